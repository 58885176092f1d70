//! The transcript: what was said on all connections, or on one.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Pane;
use crate::app::state::pattern::Pattern;
use crate::app::state::ring::Matches;
use crate::app::state::row::Row;
use crate::app::state::rows::ConnectionRow;
use crate::app::state::{LongRows, Stamps, State};
use crate::ui::panes::{Titles, first_steps, frame, inside, row_style, say_empty, scroll_bar};
use crate::ui::text::{self, clock, cut, grouped, line, put, width, wrap};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;
use crate::wire::event::{Event, Kind, Side};

/// Fits the rows into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let rows = rows_area(state, inside(area));
    let (room, long_rows, passwords) =
        (text_room(state, rows), state.long_rows, state.transcript.ring().passwords());
    let height = usize::from(rows.height);
    state.transcript.fit(height, |row| lines_of(long_rows, room, row.text(passwords).as_str()));
}

/// Draws it.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let (left, right) = (left_title(state), right_title(state));
    let titles = Titles { left: &left, right: &right };
    let inner = frame(state, Pane::Transcript, area, buffer, &titles);
    if state.transcript.ring().is_empty() {
        let style = Theme::of(state.palette).faint;
        match why_empty(state) {
            Some(words) => say_empty(inner, buffer, style, words),
            None => first_steps::draw_in_place(state, inner, buffer),
        }
    }
    draw_rows(state, rows_area(state, inner), buffer);
    let theme = Theme::of(state.palette);
    scroll_bar(area, buffer, &theme, state.transcript.extent());
    if let (Some(row), Some(foot)) =
        (partial_row(state), line(inner, usize::from(inner.height).saturating_sub(1)))
    {
        let number = format!("[{}] ", row.name.number);
        let indent = indent(state.stamps).min(foot.width);
        let foot = Rect { x: foot.x + indent, width: foot.width - indent, ..foot };
        draw_partial(state, row, &number, foot, buffer);
    }
}

/// Which of the rows in view is on the n-th line of the pane.
#[must_use]
pub fn row_at(state: &State, area: Rect, n: usize) -> Option<usize> {
    let area = rows_area(state, inside(area));
    let (above, rows) = in_view(state, area);
    let room = text_room(state, area);
    let mut end = 0_usize;
    rows.iter().position(|(_, row)| {
        let text = row.text(state.transcript.ring().passwords());
        end += lines_of(state.long_rows, room, text.as_str());
        n + above < end
    })
}

fn left_title(state: &State) -> String {
    let transcript = &state.transcript;
    let narrowed = match transcript.ring().only() {
        None => "all connections".to_owned(),
        Some(name) => format!("only [{}] {}", name.number, name.service),
    };
    let title = format!("{}  {narrowed}", Pane::Transcript.title());
    let Some((pattern, matches)) = transcript.ring().search() else {
        return title;
    };
    let pattern = DisplayText::from(pattern.as_str());
    match matches {
        Matches::Only => format!("{title} / {pattern}"),
        Matches::InContext => {
            format!("{title} / {pattern} · {} found", grouped(transcript.ring().found()))
        }
    }
}

fn right_title(state: &State) -> String {
    let transcript = &state.transcript;
    let lines = grouped(transcript.ring().len());
    if transcript.is_following() {
        return format!("● follow · {lines} lines");
    }
    let new = grouped(transcript.unseen());
    if transcript.is_paused() {
        format!("‖ paused · +{new} new")
    } else {
        format!("○ +{new} new · {lines} lines")
    }
}

/// Why no row is let through; `None`: there is none yet.
fn why_empty(state: &State) -> Option<&'static str> {
    let ring = state.transcript.ring();
    if ring.search().is_some() {
        return Some("No row has what is looked for.");
    }
    ring.only().map(|_| "Nothing of this connection is kept; 0 shows all connections.")
}

/// Where rows go: all that is inside, but for the line that a narrowed client has not ended.
fn rows_area(state: &State, inner: Rect) -> Rect {
    let foot = u16::from(partial_row(state).is_some() && inner.height > 1);
    Rect { height: inner.height - foot, ..inner }
}

fn partial_row(state: &State) -> Option<&ConnectionRow> {
    let only = state.transcript.ring().only()?;
    let rows = state.connections.items();
    let row = rows.iter().find(|row| row.name.id == only.id)?;
    row.partial(state.transcript.ring().passwords()).map(|_| row)
}

/// Draws what a client has begun and not ended, and for how long, behind `number`.
pub(super) fn draw_partial(
    state: &State,
    row: &ConnectionRow,
    number: &str,
    line: Rect,
    buffer: &mut Buffer,
) {
    let theme = Theme::of(state.palette);
    let Some(partial) = row.partial(state.transcript.ring().passwords()) else {
        return;
    };
    let age = clock(state.clock.instant.saturating_duration_since(row.partial_since));
    let age = format!(" … not ended for {age}");
    let room = usize::from(line.width).saturating_sub(width(&age));
    let begun = format!("{number}C: {partial}");
    let words = format!("{}{age}", cut(&begun, room));
    put(buffer, line.as_position(), line.width, &words, theme.faint);
}

fn in_view(state: &State, area: Rect) -> (usize, Vec<(u64, &Row)>) {
    let room = text_room(state, area);
    let passwords = state.transcript.ring().passwords();
    state.transcript.in_view(usize::from(area.height), |row| {
        lines_of(state.long_rows, room, row.text(passwords).as_str())
    })
}

fn draw_rows(state: &State, area: Rect, buffer: &mut Buffer) {
    let (above, rows) = in_view(state, area);
    let cursor = state.transcript.cursor().map(|(seq, _)| seq);
    let mut next = 0;
    let mut above = above;
    for (seq, row) in rows {
        let painter = Painter::numbered(state, (seq, row), cursor == Some(seq));
        next = painter.draw(area, next, std::mem::take(&mut above), buffer);
    }
}

/// Columns for the text of a row.
fn text_room(state: &State, area: Rect) -> usize {
    usize::from(area.width.saturating_sub(indent(state.stamps)))
}

/// Columns that the time takes.
const fn indent(stamps: Stamps) -> u16 {
    match stamps {
        Stamps::Seconds => 9,
        Stamps::Milliseconds => 13,
        Stamps::SinceStart | Stamps::SinceBefore => 11,
        Stamps::Off => 0,
    }
}

fn lines_of(long_rows: LongRows, room: usize, text: &str) -> usize {
    match long_rows {
        LongRows::Cut => 1,
        LongRows::Wrapped => wrap(text, room).len(),
    }
}

/// Draws one row.
pub(super) struct Painter<'a> {
    state: &'a State,
    row: &'a Row,
    /// The row's number, where it is one of many.
    seq: Option<u64>,
    is_selected: bool,
}

impl<'a> Painter<'a> {
    pub(super) const fn new(state: &'a State, row: &'a Row) -> Self {
        Self { state, row, seq: None, is_selected: false }
    }

    const fn numbered(state: &'a State, (seq, row): (u64, &'a Row), is_selected: bool) -> Self {
        Self { state, row, seq: Some(seq), is_selected }
    }

    fn stamp(&self, at: SystemTime) -> String {
        let ring = self.state.transcript.ring();
        match self.state.stamps {
            Stamps::Off => String::new(),
            Stamps::Seconds => clock_time(self.state, at, "%H:%M:%S "),
            Stamps::Milliseconds => clock_time(self.state, at, "%H:%M:%S%.3f "),
            Stamps::SinceStart => since('+', ring.start_of(self.row), at),
            Stamps::SinceBefore => since('Δ', self.seq.and_then(|seq| ring.before(seq)), at),
        }
    }

    /// Draws from the n-th line of `area` on, leaving out the first `above` lines; returns the
    /// line after.
    fn draw(&self, area: Rect, n: usize, above: usize, buffer: &mut Buffer) -> usize {
        let text = self.row.text(self.state.transcript.ring().passwords());
        let room = text_room(self.state, area);
        let pieces = match self.state.long_rows {
            LongRows::Cut => vec![text.as_str()],
            LongRows::Wrapped => wrap(text.as_str(), room),
        };
        let mut next = n;
        for (at, piece) in pieces.into_iter().enumerate().skip(above) {
            let Some(line) = line(area, next) else {
                break;
            };
            self.draw_line(line, at == 0, piece, buffer);
            next += 1;
        }
        next
    }

    fn draw_line(&self, line: Rect, is_first: bool, piece: &str, buffer: &mut Buffer) {
        let theme = Theme::of(self.state.palette);
        let indent = indent(self.state.stamps);
        if is_first && let Some(at) = self.row.at() {
            let stamp = self.stamp(at);
            put(buffer, line.as_position(), indent, &stamp, theme.faint);
        }
        let rest = Rect {
            x: line.x + indent.min(line.width),
            width: line.width.saturating_sub(indent),
            ..line
        };
        self.draw_text(rest, is_first, piece, buffer);
        let style = row_style(self.state, Pane::Transcript, self.is_selected, Style::new());
        buffer.set_style(line, style);
    }

    /// Draws text of the row and what was found in it.
    pub(super) fn draw_text(&self, line: Rect, is_first: bool, piece: &str, buffer: &mut Buffer) {
        let theme = Theme::of(self.state.palette);
        let said = said_style(self.row, &theme);
        put(buffer, line.as_position(), line.width, piece, said);
        if is_first {
            faint_number(line, piece, &theme, buffer);
        }
        let search = self.state.transcript.ring().search();
        if let Some(pattern) = search.and_then(|(filter, _)| filter.pattern()) {
            highlight(line, piece, pattern, theme.found, buffer);
        }
    }
}

/// The `[N]` of a row is there on every row: it must not be louder than what follows.
fn faint_number(line: Rect, piece: &str, theme: &Theme, buffer: &mut Buffer) {
    let Some(end) = piece.starts_with('[').then(|| piece.find(']')).flatten() else {
        return;
    };
    let width = u16::try_from(end + 1).unwrap_or(u16::MAX).min(line.width);
    buffer.set_style(Rect { width, ..line }, theme.faint);
}

fn highlight(line: Rect, piece: &str, pattern: &Pattern, style: Style, buffer: &mut Buffer) {
    let shown = cut(piece, usize::from(line.width));
    for found in pattern.all_in(&shown) {
        let before = shown.get(..found.start).map_or(0, text::columns);
        let width = shown.get(found).map_or(0, text::columns);
        let area = Rect { x: line.x.saturating_add(before), width, ..line };
        buffer.set_style(area.intersection(line), style);
    }
}

fn said_style(row: &Row, theme: &Theme) -> Style {
    let Row::Event(Event { kind, .. }) = row else {
        return match row {
            Row::Skipped(_) => theme.bad,
            _ => theme.faint,
        };
    };
    match kind {
        Kind::Line(Side::Server, line) if is_refusal(line.bytes()) => theme.bad,
        Kind::Line(Side::Server, _) => theme.server,
        Kind::Line(Side::Client, _) => theme.client,
        Kind::TextLine(..) => theme.text,
        Kind::Opened { .. } | Kind::Text { .. } | Kind::Note(_) | Kind::Closed => theme.faint,
    }
}

/// Whether a reply says no: `-ERR`, or an SMTP reply of the fourth or fifth hundred.
fn is_refusal(reply: &[u8]) -> bool {
    match reply {
        [b'-', ..] => true,
        [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', rest @ ..] => {
            matches!(rest.first(), None | Some(b' ' | b'-'))
        }
        _ => false,
    }
}

fn clock_time(state: &State, at: SystemTime, form: &str) -> String {
    let local = DateTime::<Utc>::from(at).with_timezone(&state.clock.offset);
    local.format(form).to_string()
}

/// Seconds between two moments, in the columns of [`indent`]; none where the first is not known.
fn since(sign: char, before: Option<SystemTime>, at: SystemTime) -> String {
    let Some(before) = before else {
        return String::new();
    };
    // The clock may have been set back meanwhile.
    let passed = at.duration_since(before).unwrap_or_default();
    format!("{:>10} ", format!("{sign}{:.3}", passed.as_secs_f64()))
}
