//! The connections: the state of each, and lines that clients have begun and not ended.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::rows::ConnectionRow;
use crate::ui::frame::{
    Titles, below_header, frame, inside, lay_bar, mark, name_and_filter, say_empty, scroll_bar,
};
use crate::ui::hits::HitMap;
use crate::ui::panes::begun;
use crate::ui::table::{Column, Side, Table};
use crate::ui::text::{clock, columns, cut, grouped, line, octets, put, width};
use crate::ui::theme::Theme;

/// Columns of the mark, the age and the octets in both directions, and the gaps between all ten
/// columns.
const OTHERS: u16 = 1 + 3 * 5 + 9;

/// The index of the column with the state.
const STATE_COLUMN: usize = 6;

/// Columns of a port.
const PORT: u16 = 5;

/// Columns of a state that has precedence over other columns.
const STATE: u16 = 18;

/// The most columns of a state with its mailbox.
const MOST_STATE: u16 = 30;

/// The sign of a connection over TLS. The padlock itself is two columns wide, and in colours that
/// are not the theme's.
const LOCK: char = '⚿';

/// Columns of the longest address with its port.
const MOST_ADDRESS: u16 = 47;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let height = usize::from(below_header(inside(area)).height);
    state.connections.fit(height);
    // The newly selected connection may itself have an unended line, which takes a line of the
    // area: so fit a second time.
    for _ in 0..2 {
        let unended = lines_for_unended(state, height);
        state.connections.fit(height - unended);
    }
}

/// Columns needed to show all rows without their addresses.
#[must_use]
pub fn columns_wanted(state: &State) -> u16 {
    const AROUND: u16 = 2;
    let (number, session, service, idle, state) = measured(state);
    OTHERS - 1 + AROUND + number + session + service + PORT + idle.saturating_sub(4) + state
}

/// Lines below the header needed for all rows.
#[must_use]
pub fn lines_wanted(state: &State) -> usize {
    let now = state.clock.instant;
    let rows = state.connections.shown();
    rows.map(|row| 1 + usize::from(row.is_waiting(now))).take(usize::from(u8::MAX)).sum()
}

/// Draws the pane.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let theme = Theme::of(state.palette);
    let right = format!("{} open / {} total", grouped(state.open(None)), grouped(state.opened));
    let left = name_and_filter(state, Pane::Connections);
    let titles = Titles { left: &left, right: &right };
    let inner = frame(state, Pane::Connections, area, buffer, &titles);
    if state.connections.is_empty() {
        let words = match state.connections.pattern() {
            None => "No client is connected.",
            Some(_) => "No connection matches the filter.",
        };
        say_empty(inner, buffer, theme.faint, words);
        return;
    }
    let table = table(state, inner.width);
    if let Some(header) = line(inner, 0) {
        table.header(buffer, header, theme.header);
    }
    draw_rows(state, &table, below_header(inner), buffer, hits);
    scroll_bar(area, buffer, &theme, state.connections.extent());
}

fn draw_rows(state: &State, table: &Table, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let mut lines = (0..).map_while(|n| line(area, n));
    let placed = placed(state, usize::from(area.height));
    for (n, Placed { row, is_selected, has_unended }) in placed.into_iter().enumerate() {
        let Some(at) = lines.next() else { return };
        draw_row(state, table, row, is_selected, at, buffer);
        hits.click(at, Action::Click(Pane::Connections, Some(n)));
        if let Some(at) = has_unended.then(|| lines.next()).flatten() {
            draw_begun(state, row, at, buffer);
            hits.click(at, Action::Click(Pane::Connections, Some(n)));
        }
    }
}

/// A connection in view.
struct Placed<'a> {
    row: &'a ConnectionRow,
    is_selected: bool,
    /// Whether the unended line is shown below it.
    has_unended: bool,
}

/// The connections that fit into `height` lines, with their unended lines.
fn placed(state: &State, height: usize) -> Vec<Placed<'_>> {
    let unended = lines_for_unended(state, height);
    let rows: Vec<(&ConnectionRow, bool)> =
        state.connections.in_view().take(height - unended).collect();
    let now = state.clock.instant;
    let is_told = rows.iter().any(|(row, is_selected)| *is_selected && row.is_waiting(now));
    let mut for_selected = unended.min(usize::from(is_told));
    let mut for_others = unended - for_selected;
    let mut placed = Vec::with_capacity(rows.len());
    for (row, is_selected) in rows {
        let left = if is_selected { &mut for_selected } else { &mut for_others };
        let has_unended = *left > 0 && row.is_waiting(now);
        *left -= usize::from(has_unended);
        placed.push(Placed { row, is_selected, has_unended });
    }
    placed
}

/// How many of `height` lines are for unended lines: as many as needed, but none that open
/// connections take, except for the selected connection's unended line. What a hung client waits
/// for is more important than clients that are gone.
fn lines_for_unended(state: &State, height: usize) -> usize {
    let count = |is: &dyn Fn(&ConnectionRow, bool) -> bool| {
        let in_view = state.connections.in_view().take(height);
        in_view.filter(|(row, is_selected)| is(row, *is_selected)).count()
    };
    let now = state.clock.instant;
    let waiting = count(&|row, _| row.is_waiting(now));
    let open = count(&|row, _| row.closed.is_none());
    let selected = count(&|row, is_selected| is_selected && row.is_waiting(now));
    let least = if height > 2 { selected } else { 0 };
    waiting.min(height.saturating_sub(open).max(least))
}

fn draw_row(
    state: &State,
    table: &Table,
    row: &ConnectionRow,
    is_selected: bool,
    at: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let (style, doing) = match row.closed {
        None => (theme.text, row.state.as_str()),
        Some(_) => (theme.faint, "closed"),
    };
    let number = if row.closed.is_none() { theme.number(row.name.id) } else { style };
    let cells = [
        mark(is_selected).to_owned(),
        format!("[{}]", row.name.number),
        row.name.session(),
        service(row),
        row.peer.to_string(),
        row.peer.port().to_string(),
        state_in(doing, usize::from(table.width(STATE_COLUMN))).into_owned(),
        idle(state, row),
        octets(row.octets_in),
        octets(row.octets_out),
    ];
    let mut cells: Vec<_> = cells.iter().map(|text| (text.as_str(), style)).collect();
    cells.iter_mut().skip(1).take(2).for_each(|(_, style)| *style = number);
    table.row(buffer, at, &cells);
    lay_bar(state, Pane::Connections, is_selected, at, buffer);
}

/// A state in at most `room` columns. The name of the mailbox has precedence over the full word.
pub(super) fn state_in(state: &str, room: usize) -> Cow<'_, str> {
    if width(state) <= room {
        return state.into();
    }
    cut(&in_short(state), room).into_owned().into()
}

fn in_short(state: &str) -> String {
    let (word, rest) = state.split_once(' ').unwrap_or((state, ""));
    let short = match word {
        "AUTHORIZATION" => "AUTH",
        "TRANSACTION" => "TRANS",
        word => word,
    };
    if rest.is_empty() { short.to_owned() } else { format!("{short} {rest}") }
}

/// The service, with a lock where the connection is secured by TLS.
fn service(row: &ConnectionRow) -> String {
    match row.tls {
        None => row.name.service.to_string(),
        Some(_) => format!("{} {LOCK}", row.name.service),
    }
}

/// The time since the last input, or since the connection was closed.
fn idle(state: &State, row: &ConnectionRow) -> String {
    let since = row.closed.unwrap_or(row.heard);
    clock(state.clock.instant.saturating_duration_since(since))
}

fn draw_begun(state: &State, row: &ConnectionRow, at: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let passwords = state.transcript.ring().passwords();
    let Some(begun) = row.begun(passwords, state.clock.instant) else {
        return;
    };
    let room = at.width.saturating_sub(1);
    let words = begun::in_short("└ ", &begun, usize::from(room));
    put(buffer, Position::new(at.x + 1, at.y), room, &words, theme.faint);
}

/// The widths of numbers, sessions, services, ages and states in view.
fn measured(state: &State) -> (u16, u16, u16, u16, u16) {
    let widest = |text: &dyn Fn(&ConnectionRow) -> String, least: u16| {
        let widths = state.connections.in_view().take(usize::from(u8::MAX));
        widths.map(|(row, _)| columns(&text(row))).fold(least, u16::max)
    };
    (
        widest(&|row| format!("[{}]", row.name.number), 4),
        widest(&|row| row.name.session(), 2),
        widest(&service, 4),
        widest(&|row| idle(state, row), 4),
        widest(&|row| in_short(row.state.as_str()), 13).min(MOST_STATE),
    )
}

fn table(state: &State, available: u16) -> Table {
    let widest = |text: &dyn Fn(&ConnectionRow) -> String, least: u16| {
        let widths = state.connections.in_view().take(usize::from(u8::MAX));
        widths.map(|(row, _)| columns(&text(row))).fold(least, u16::max)
    };
    let (number, session, service, idle, _) = measured(state);
    let address = widest(&|row| row.peer.to_string(), 4).min(MOST_ADDRESS);
    // The name of the mailbox has precedence over the number of octets received.
    let state_least = widest(&|row| in_short(row.state.as_str()), 6).min(STATE);
    // The port tells clients on one machine apart. So the address has room only beside the widest
    // rows: it must not displace other columns, nor appear and disappear with the sessions.
    let with_address = OTHERS + number + session + service + address + MOST_STATE;
    let (peer, port) =
        if available >= with_address { (Some(address), None) } else { (None, Some(5)) };
    let column = |title, least, most, rank, side| Column { title, least, most, rank, side };
    Table::new(
        &[
            column("", 1, 1, 0, Side::Left),
            column("[N]", number, number, 1, Side::Left),
            column("#", session, session, 5, Side::Left),
            column("svc", service, service, 2, Side::Left),
            optional("peer", peer, 9),
            optional("port", port, 6),
            column("state", state_least, MOST_STATE, 3, Side::Left),
            column("idle", idle, idle, 4, Side::Right),
            column("in", 5, 5, 8, Side::Right),
            column("out", 5, 5, 7, Side::Right),
        ],
        available,
    )
}

/// A column that is left out altogether if its width is `None`.
fn optional(title: &'static str, width: Option<u16>, rank: u8) -> Column {
    Column {
        title,
        least: width.unwrap_or(u16::MAX),
        most: width.unwrap_or(u16::MAX),
        rank: width.map_or(u8::MAX, |_| rank),
        side: Side::Left,
    }
}
