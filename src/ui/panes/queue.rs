//! The relay queue: a row for each recipient, and what was last said about it.

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Pane;
use crate::app::state::State;
use crate::app::state::rows::QueueRow;
use crate::store::overview::RecipientState;
use crate::ui::panes::{
    Titles, below_header, frame, inside, mark, name_and_filter, row_style, say_empty, scroll_bar,
    top_line,
};
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{age, clock, columns, line, width};
use crate::ui::theme::Theme;

/// Columns that an entry's id gets at most. Ids begin alike, so that a longer one shows its end.
const MOST_ID: u16 = 7;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = below_header(inside(area));
    state.queue.fit(usize::from(rows.height));
}

/// Draws it.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let counts = top_line::counts(state).unwrap_or_else(|| "empty".to_owned());
    let left = name_and_filter(state, Pane::Queue);
    let titles = Titles { left: &left, right: &counts };
    let inner = frame(state, Pane::Queue, area, buffer, &titles);
    if state.queue.is_empty() {
        let words = match state.queue.pattern() {
            None => "Nothing waits. Mail for other domains comes here.",
            Some(_) => "No entry has what is looked for.",
        };
        say_empty(inner, buffer, theme.faint, words);
        return;
    }
    let table = table(state, inner.width);
    if let Some(header) = line(inner, 0) {
        table.header(buffer, header, theme.header);
    }
    scroll_bar(area, buffer, &theme, state.queue.extent());
    let area = below_header(inner);
    for (n, (row, is_selected)) in state.queue.in_view().enumerate() {
        let Some(at) = line(area, n) else {
            return;
        };
        draw_row(state, &table, row, is_selected, at, buffer);
    }
}

fn draw_row(
    state: &State,
    table: &Table,
    row: &QueueRow,
    is_selected: bool,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let style = row_style(state, Pane::Queue, is_selected, theme.text);
    buffer.set_style(at, style);
    let (sign, colour) = sign(row.state, &theme);
    let colour = row_style(state, Pane::Queue, is_selected, colour);
    let waited = state.clock.wall.duration_since(row.queued);
    let cells = [
        (mark(is_selected), style),
        (sign, colour),
        (&short_id(row.id.as_str()), style),
        (row.recipient.as_str(), style),
        (&row.attempts.to_string(), style),
        (row.last_reply.as_str(), colour),
        (&age(waited.unwrap_or_default()), style),
        (&next(row, state.clock.wall), style),
    ];
    table.row(buffer, at, &cells);
}

fn short_id(id: &str) -> String {
    let most = usize::from(MOST_ID);
    match id.char_indices().rev().nth(most - 2) {
        Some((at, _)) if width(id) > most => format!("…{}", id.get(at..).unwrap_or_default()),
        _ => id.to_owned(),
    }
}

/// A sign for each state, so that colour is not alone in saying it.
fn sign(state: RecipientState, theme: &Theme) -> (&'static str, Style) {
    match state {
        RecipientState::Pending => ("◷", theme.notice),
        RecipientState::Delivered => ("✓", theme.good),
        RecipientState::Failed => ("✗", theme.bad),
        RecipientState::Held => ("‖", theme.faint),
    }
}

/// When an entry is due: a time to go, `now`, or never by itself.
pub(super) fn next(row: &QueueRow, now: SystemTime) -> String {
    match row.next_attempt {
        None => "—".to_owned(),
        Some(at) => match at.duration_since(now) {
            Ok(left) => clock(left),
            Err(_) => "now".to_owned(),
        },
    }
}

fn table(state: &State, available: u16) -> Table {
    let ids = state.queue.items().iter().take(usize::from(u8::MAX));
    let id = ids.map(|row| columns(row.id.as_str())).fold(2, u16::max);
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::new(
        &[
            column("", 1, 1, 0, Side::Left),
            column("", 1, 1, 1, Side::Left),
            column("id", id.min(MOST_ID), id.min(MOST_ID), 4, Side::Left),
            column("recipient", 18, 40, 2, Side::Left),
            column("tries", 5, 5, 6, Side::Right),
            column("last reply", 18, u16::MAX, 3, Side::Left),
            column("age", 4, 4, 7, Side::Right),
            column("next", 5, 5, 5, Side::Right),
        ],
        available,
    )
}
