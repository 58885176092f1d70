//! Buttons in a row: each names its key, and a click does what the key does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::action::Action;
use crate::console::state::State;
use crate::ui::hits::HitMap;
use crate::ui::text::{columns, put};
use crate::ui::theme::Theme;

/// Draws them from the left of `at` on, as far as there is room.
pub fn draw(
    state: &State,
    at: Rect,
    labels: &[(Action, &str)],
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let style = Theme::of(state.palette).title;
    let mut x = at.x;
    for &(action, label) in labels {
        let words = format!("[{} {label}]", state.keymap.key_of(action));
        let width = columns(&words);
        let button = Rect { x, width, ..at }.intersection(at);
        put(buffer, button.as_position(), button.width, &words, style);
        hits.click(button, action);
        x = x.saturating_add(width + 1);
    }
}
