//! The transcript: what was said on all connections, or on one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::appearance::LongRows;
use crate::console::state::ring::Matches;
use crate::console::state::row::{Notation, Row};
use crate::console::state::rows::{Begun, ConnectionRow};
use crate::ui::frame::{Titles, frame, inside, lay_bar, room_beside, say_empty, scroll_bar};
use crate::ui::hits::HitMap;
use crate::ui::panes::painter::Painter;
use crate::ui::panes::stamps::{self, stamp};
use crate::ui::panes::{begun, first_steps};
use crate::ui::text::{cut, grouped, line, put, width, wrap};
use crate::ui::theme::Theme;
use crate::watch::event::Passwords;
use crate::wire::display::DisplayText;

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = rows_area(state, inside(area));
    let lines = Lines::of(state, rows);
    state.transcript.fit(usize::from(rows.height), |row| lines.taken_by(row));
}

/// Draws the pane.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let right = right_title(state);
    let left = left_title(state, usize::from(room_beside(area, &right)));
    let titles = Titles { left: &left, right: &right };
    let inner = frame(state, Pane::Transcript, area, buffer, &titles);
    if state.transcript.ring().is_empty() {
        let style = Theme::of(state.palette).faint;
        match why_empty(state) {
            Some(words) => say_empty(inner, buffer, style, words),
            None => first_steps::draw_in_place(state, inner, buffer),
        }
    }
    draw_rows(state, rows_area(state, inner), buffer, hits);
    let theme = Theme::of(state.palette);
    scroll_bar(area, buffer, &theme, state.transcript.extent());
    let foot = line(inner, usize::from(inner.height).saturating_sub(1));
    if let (Some(row), Some(foot)) = (waiting_row(state), foot) {
        draw_foot(state, row, foot, buffer);
    }
}

/// The title in at most `room` columns. Whether the view follows, or how much has arrived since,
/// has precedence over the end of a filter, and a filter over the words for all connections.
fn left_title(state: &State, room: usize) -> String {
    let transcript = &state.transcript;
    let notation = match state.notation {
        Notation::Transcript => "",
        Notation::Wire => " · wire",
    };
    let filter = transcript.ring().search().map(|(filter, matches)| {
        let filter = DisplayText::from(filter.as_str());
        match matches {
            Matches::Only => format!(" / {filter}"),
            Matches::InContext => {
                format!(" / {filter} · {} found", grouped(transcript.ring().found()))
            }
        }
    });
    let filter = filter.unwrap_or_default();
    let title =
        |narrowed: &str| format!("{}{narrowed}{notation}{filter}", Pane::Transcript.title());
    let whole = match transcript.ring().only() {
        None => title("  all connections"),
        Some(name) => {
            title(&format!("  only [{}] {} {}", name.number, name.session(), name.service))
        }
    };
    if width(&whole) > room && transcript.ring().only().is_none() {
        return cut(&title(""), room).into_owned();
    }
    cut(&whole, room).into_owned()
}

fn right_title(state: &State) -> String {
    let transcript = &state.transcript;
    let lines = grouped(transcript.ring().len());
    if transcript.is_following() {
        return format!("● follow · {lines} lines");
    }
    let new = grouped(transcript.unseen());
    match transcript.unseen() {
        _ if transcript.is_paused() => format!("‖ paused · +{new} new"),
        0 => format!("○ scrolled · {lines} lines"),
        _ => format!("○ scrolled · +{new} new · {lines} lines"),
    }
}

/// Why no row is shown; `None` if no row has arrived yet.
fn why_empty(state: &State) -> Option<&'static str> {
    let ring = state.transcript.ring();
    if ring.search().is_some() {
        return Some("No line matches the filter.");
    }
    ring.only().map(|_| "No lines of this connection are left; 0 shows all connections.")
}

/// The area of the rows: all of the inside, except the line for an unended line of the connection
/// that the transcript is narrowed to.
fn rows_area(state: &State, inner: Rect) -> Rect {
    let foot = u16::from(waiting_row(state).is_some() && inner.height > 1);
    Rect { height: inner.height - foot, ..inner }
}

fn waiting_row(state: &State) -> Option<&ConnectionRow> {
    let only = state.transcript.ring().only()?;
    let rows = state.connections.items();
    let row = rows.iter().find(|row| row.name.id == only.id)?;
    row.is_waiting(state.clock.instant).then_some(row)
}

/// Draws the unended line of the only connection, below the texts of its rows, or from the left
/// edge if it needs the whole width.
fn draw_foot(state: &State, row: &ConnectionRow, foot: Rect, buffer: &mut Buffer) {
    let before = format!("[{}] ", row.name.number);
    let in_all = |begun: Begun| width(&begun::in_short("C: ", &begun, usize::MAX)) + width(&before);
    let behind = behind_stamp(state, foot);
    let has_room = begun(state, row).is_some_and(|b| in_all(b) <= usize::from(behind.width));
    draw_begun(state, row, &before, if has_room { behind } else { foot }, buffer);
}

/// Draws a client's unended line and its age, after `before`.
pub(super) fn draw_begun(
    state: &State,
    row: &ConnectionRow,
    before: &str,
    line: Rect,
    buffer: &mut Buffer,
) {
    let Some(begun) = begun(state, row) else { return };
    let before = format!("{before}{}: ", begun.side.letter());
    let words = begun::in_words(&before, &begun, usize::from(line.width));
    put(buffer, line.as_position(), line.width, &words, Theme::of(state.palette).faint);
}

fn begun(state: &State, row: &ConnectionRow) -> Option<Begun> {
    row.begun(state.transcript.ring().passwords(), state.clock.instant)
}

fn in_view(state: &State, area: Rect) -> (usize, Vec<(u64, &Row)>) {
    let lines = Lines::of(state, area);
    state.transcript.in_view(usize::from(area.height), |row| lines.taken_by(row))
}

fn draw_rows(state: &State, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let (mut above, rows) = in_view(state, area);
    let room = text_room(state, area);
    let mut n = 0;
    for (nth, (seq, row)) in rows.into_iter().enumerate() {
        let painter = Painter::new(state, row).in_place(seq);
        for piece in painter.pieces(room).iter().skip(std::mem::take(&mut above)) {
            let Some(at) = line(area, n) else { return };
            if piece.start == 0 {
                draw_stamp(state, seq, row, at, buffer);
            }
            painter.draw(behind_stamp(state, at), piece, buffer);
            lay_bar(state, Pane::Transcript, is_selected(state, seq), at, buffer);
            hits.click(at, Action::Click(Pane::Transcript, Some(nth)));
            n += 1;
        }
    }
}

fn is_selected(state: &State, seq: u64) -> bool {
    state.transcript.cursor().is_some_and(|(cursor, _)| cursor == seq)
}

fn draw_stamp(state: &State, seq: u64, row: &Row, line: Rect, buffer: &mut Buffer) {
    if let Some(stamp) = stamp(state, seq, row) {
        let theme = Theme::of(state.palette);
        put(buffer, line.as_position(), stamps::columns(state.stamps), &stamp, theme.stamp);
    }
}

/// The part of a line after the time stamp.
fn behind_stamp(state: &State, line: Rect) -> Rect {
    let taken = stamps::columns(state.stamps).min(line.width);
    Rect { x: line.x + taken, width: line.width - taken, ..line }
}

/// Columns for the text of a row.
fn text_room(state: &State, area: Rect) -> usize {
    usize::from(behind_stamp(state, area).width)
}

/// How many lines rows take. For rows that are cut this is known without building their text.
#[derive(Debug, Clone, Copy)]
struct Lines {
    long_rows: LongRows,
    notation: Notation,
    passwords: Passwords,
    room: usize,
}

impl Lines {
    fn of(state: &State, area: Rect) -> Self {
        Self {
            long_rows: state.long_rows,
            notation: state.notation,
            passwords: state.transcript.ring().passwords(),
            room: text_room(state, area),
        }
    }

    fn taken_by(self, row: &Row) -> usize {
        match self.long_rows {
            LongRows::Cut => 1,
            LongRows::Wrapped => {
                wrap(row.shown(self.notation, self.passwords).as_str(), self.room).len()
            }
        }
    }
}
