//! The relay queue: a row for each recipient, what was last said about it, how far it is while it
//! is sent, and buttons for what can be done.

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::app::action::{Action, Pane};
use crate::app::state::rows::QueueRow;
use crate::app::state::{SPIN, State};
use crate::relay::board::Sent;
use crate::store::overview::RecipientState;
use crate::ui::layout::TITLE_ONLY;
use crate::ui::panes::{
    Titles, below_header, frame, inside, mark, name_and_filter, row_style, say_empty, scroll_bar,
    top_line,
};
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{age, clock, columns, line, put, width};
use crate::ui::theme::Theme;

/// Which column has the button of its row.
const RETRY_COLUMN: usize = 8;

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
    let left = match run(state) {
        Some(run) => format!("{} {run}", name_and_filter(state, Pane::Queue)),
        None => name_and_filter(state, Pane::Queue),
    };
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
    for button in buttons(state, area) {
        put(buffer, button.at.as_position(), button.at.width, &button.words, theme.title);
    }
    let area = below_header(inner);
    for (n, (row, is_selected)) in state.queue.in_view().enumerate() {
        let Some(at) = line(area, n) else {
            return;
        };
        draw_row(state, &table, &state.relay.bring_up_to_date(row), is_selected, at, buffer);
    }
}

/// Which action a place in the pane stands for, if it is on a button.
#[must_use]
pub fn button_at(state: &State, area: Rect, at: Position) -> Option<Action> {
    if let Some(button) = buttons(state, area).iter().find(|button| button.at.contains(at)) {
        return Some(button.action);
    }
    let inner = inside(area);
    let rows = below_header(inner);
    let row = usize::from(at.y.checked_sub(rows.y)?);
    let line = line(rows, row)?;
    let is_there = state.queue.in_view().nth(row).is_some();
    let button = table(state, inner.width).rest(line, RETRY_COLUMN);
    (is_there && button.contains(at)).then_some(Action::RetryRow(row))
}

/// What can be clicked in the border.
struct Button {
    at: Rect,
    words: String,
    action: Action,
}

/// The buttons in the lower border, at its right end; those for which there is no room are left
/// out, the last first.
fn buttons(state: &State, area: Rect) -> Vec<Button> {
    if area.height <= TITLE_ONLY || state.queue.is_empty() {
        return Vec::new();
    }
    let is_held = state.queue.selected().is_some_and(|row| row.state == RecipientState::Held);
    let labels = [
        (Action::Retry, "Retry"),
        (Action::RelayRun, "Retry all"),
        (Action::Hold, if is_held { "Release" } else { "Hold" }),
        (Action::Drop, "Drop"),
        (Action::Details, "Details"),
    ];
    let words = labels
        .map(|(action, label)| (action, format!("[{} {label}]", state.keymap.key_of(action))));
    let room = area.width.saturating_sub(2);
    let mut taken = 0;
    let mut shown = Vec::new();
    for (action, words) in words {
        let width = columns(&words) + u16::from(taken > 0);
        if taken + width > room {
            break;
        }
        taken += width;
        shown.push((action, words));
    }
    let mut x = area.right().saturating_sub(1 + taken);
    let y = area.bottom() - 1;
    let mut buttons = Vec::new();
    for (action, words) in shown {
        let at = Rect::new(x, y, columns(&words), 1);
        x += at.width + 1;
        buttons.push(Button { at, words, action });
    }
    buttons
}

/// How far the run is, if one is under way.
pub(super) fn run(state: &State) -> Option<String> {
    let tally = state.relay.tally?;
    let tried = tally.delivered + tally.deferred + tally.failed;
    Some(format!("{} {tried} of {} tried", spinner(state), tally.recipients))
}

/// A sign that turns with time.
fn spinner(state: &State) -> &'static str {
    const SIGNS: [&str; 8] = ["⣾", "⣽", "⣻", "⢿", "⡿", "⣟", "⣯", "⣷"];
    let since = state.clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let turns = since.as_millis() / SPIN.as_millis();
    let sign = usize::try_from(turns % 8).unwrap_or_default();
    SIGNS.get(sign).copied().unwrap_or("⣾")
}

/// `sending… DATA 61%`
pub(super) fn sending(sent: Sent) -> String {
    match sent.octets.saturating_mul(100).checked_div(sent.of) {
        None | Some(0) => "sending…".to_owned(),
        Some(percent) => format!("sending… DATA {}%", percent.min(100)),
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
    let (sign, colour) = match row.sending {
        Some(_) => (spinner(state), theme.notice),
        None => sign(row.state, &theme),
    };
    let colour = row_style(state, Pane::Queue, is_selected, colour);
    let waited = state.clock.wall.duration_since(row.queued);
    let reply = row.sending.map_or_else(|| row.last_reply.as_str().to_owned(), sending);
    let cells = [
        (mark(is_selected), style),
        (sign, colour),
        (&short_id(row.id.as_str()), style),
        (row.recipient.as_str(), style),
        (&row.attempts.to_string(), style),
        (&reply, colour),
        (&age(waited.unwrap_or_default()), style),
        (&next(row, state.clock.wall), style),
        (if row.sending.is_some() { "[ ··· ]" } else { "[Retry]" }, style),
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
    let left = row.next_attempt.and_then(|at| at.duration_since(now).ok());
    match (row.sending, row.state, left) {
        (None, RecipientState::Pending, Some(left)) => clock(left),
        (Some(_), _, _) | (None, RecipientState::Pending, None) => "now".to_owned(),
        (None, _, _) => "—".to_owned(),
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
            column("id", id.min(MOST_ID), id.min(MOST_ID), 6, Side::Left),
            column("recipient", 18, 40, 2, Side::Left),
            column("tries", 5, 5, 7, Side::Right),
            column("last reply", 12, u16::MAX, 3, Side::Left),
            column("age", 4, 4, 8, Side::Right),
            column("next", 5, 5, 5, Side::Right),
            column("", 7, 7, 4, Side::Left),
        ],
        available,
    )
}
