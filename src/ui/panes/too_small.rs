//! What is shown on a terminal that is too small for the panes.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::console::state::State;
use crate::console::state::overlay::Overlay;
use crate::ui::layout::LEAST;
use crate::ui::panes::question;
use crate::ui::text::{columns, put};
use crate::ui::theme::Theme;

/// Says how large the terminal is, and how large it must be.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let sizes = format!("have {}x{}, need {}x{}", area.width, area.height, LEAST.0, LEAST.1);
    let asked = match &state.overlay {
        Overlay::Ask { question, .. } => question::in_short(state, question),
        _ => "q quits".to_owned(),
    };
    let lines = [
        ("Terminal too small", theme.notice),
        (sizes.as_str(), theme.text),
        ("servers keep running", theme.faint),
        (asked.as_str(), theme.faint),
    ];
    let top = area.y + area.height.saturating_sub(4) / 2;
    for (y, (words, style)) in (top..area.bottom()).zip(lines) {
        let x = area.x + area.width.saturating_sub(columns(words)) / 2;
        put(buffer, Position::new(x, y), area.width, words, style);
    }
}
