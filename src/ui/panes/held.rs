//! The strip above the transcript: what is held at breakpoints, and for how long the client waits.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::action::{Action, HeldAction};
use crate::console::state::State;
use crate::console::state::strip::{Held, place_of};
use crate::ui::buttons;
use crate::ui::frame::mark;
use crate::ui::hits::HitMap;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{age, clock, line, put};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// The most rows of the strip. The selected one is always among them.
const ROWS_MOST: usize = 4;

/// Lines that the transcript keeps for itself.
const KEPT: u16 = 5;

/// The strip, where something is held and there is room for it, and what is left of the area.
#[must_use]
pub fn split(state: &State, area: Rect) -> (Rect, Rect) {
    let rows = u16::try_from(state.strip.held.len().min(ROWS_MOST)).unwrap_or(u16::MAX);
    let room = area.height.saturating_sub(KEPT);
    let height = if rows == 0 || room < 2 { 0 } else { (rows + 1).min(room) };
    let strip = Rect { height, ..area };
    (strip, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Draws the strip.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let Some(head) = line(area, 0) else { return };
    let theme = Theme::of(state.palette);
    let style = if state.strip.takes_keys() { theme.focus } else { theme.title };
    let title = format!("Held {} ", state.strip.held.len());
    let taken = put(buffer, head.as_position(), head.width, &title, style);
    let labels = [
        (Action::Held(HeldAction::LetGo), "Let go"),
        (Action::Held(HeldAction::LetAllGo), "All"),
        (Action::Held(HeldAction::Edit), "Edit"),
        (Action::Held(HeldAction::Kill), "Kill"),
        (Action::Held(HeldAction::Drop), "Drop"),
        (Action::Held(HeldAction::Answer), "Answer"),
    ];
    let rest = Rect { x: head.x + taken, width: head.width.saturating_sub(taken), ..head };
    buttons::draw(state, rest, &labels, buffer, hits);
    let page = usize::from(area.height).saturating_sub(1);
    let above = (state.strip.at + 1).saturating_sub(page);
    let table = table(area.width);
    for (n, held) in state.strip.held.iter().enumerate().skip(above).take(page) {
        if let Some(at) = line(area, 1 + n - above) {
            draw_row(state, held, n == state.strip.at, &table, at, buffer);
            hits.click(at, Action::Held(HeldAction::Select(n)));
        }
    }
}

fn draw_row(
    state: &State,
    held: &Held,
    is_selected: bool,
    table: &Table,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let waited = state.clock.instant.saturating_duration_since(held.began);
    let (id, number) = (held.id.to_string(), format!("[{}]", held.number));
    let peer = held.peer.to_string();
    let (place, text) = (place_of(held), DisplayText::from(held.text.as_str()));
    let since = DateTime::<Utc>::from(held.since).with_timezone(&state.clock.offset);
    let since = since.format("%H:%M:%S").to_string();
    let (left, style) = match held.limit.map(Duration::from_secs) {
        None => ("no limit".to_owned(), theme.faint),
        Some(limit) if waited >= limit => ("too late".to_owned(), theme.bad),
        Some(limit) => (format!("{} left", clock(limit.saturating_sub(waited))), theme.text),
    };
    let waited = format!("for {}", age(waited));
    let cells = [
        (mark(is_selected), theme.text),
        (id.as_str(), theme.text),
        (place.as_str(), theme.title),
        (text.as_str(), theme.text),
        (number.as_str(), theme.text),
        (peer.as_str(), theme.faint),
        (since.as_str(), theme.faint),
        (waited.as_str(), theme.text),
        (left.as_str(), style),
    ];
    table.row(buffer, at, &cells);
    if is_selected && state.strip.takes_keys() {
        theme.select(at, buffer);
    }
}

fn table(available: u16) -> Table {
    const TEXT: usize = 3;
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::with_precedence(
        TEXT,
        &[
            column("", 1, 1, 0, Side::Left),
            column("id", 3, 5, 2, Side::Right),
            // None is longer than `smtp.starttls!`.
            column("point", 14, 14, 0, Side::Left),
            column("line", 16, 90, 0, Side::Left),
            column("number", 4, 7, 0, Side::Left),
            column("peer", 15, 21, 3, Side::Left),
            column("since", 8, 8, 4, Side::Left),
            column("waited", 7, 8, 1, Side::Right),
            column("left", 9, 10, 0, Side::Right),
        ],
        available,
    )
}
