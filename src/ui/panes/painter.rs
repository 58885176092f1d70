//! One row of the transcript: its text, the matches of the search, and the marks of the wire view.

use std::ops::Range;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::console::action::Action;
use crate::console::state::State;
use crate::console::state::appearance::LongRows;
use crate::console::state::pattern::Pattern;
use crate::console::state::ring::Bodies;
use crate::console::state::row::{Notation, Row};
use crate::ui::text::{columns, put, wrap};
use crate::ui::theme::Theme;
use crate::watch::event::{Event, Kind, Side};

/// The marks that the wire view adds to a line. If a client or server sends one of these characters
/// itself, it is shown escaped.
const MARKS: &str = "␀␉␊␍┊";

/// A reply that took longer than this is shown with its time.
const SLOW: Duration = Duration::from_secs(1);

/// Draws one row.
pub(super) struct Painter<'a> {
    state: &'a State,
    row: &'a Row,
    text: String,
    /// The ranges of the matches in the text, in octets.
    found: Vec<Range<usize>>,
    /// How long the reply took, if it was slow.
    took: Option<Duration>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(state: &'a State, row: &'a Row) -> Self {
        let passwords = state.transcript.ring().passwords();
        let text = row.shown(state.notation, passwords).into_string();
        let found = found_in(state, &text);
        Self { state, row, text, found, took: None }
    }

    /// Adds the time of a slow reply; `seq` is the sequence number of the row.
    pub(super) fn in_place(self, seq: u64) -> Self {
        let took = self.state.transcript.ring().took(seq).filter(|time| *time > SLOW);
        Self { took, ..self }
    }

    /// The text of the row.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The range of the text, in octets, that each line shows if there are `room` columns.
    pub(super) fn pieces(&self, room: usize) -> Vec<Range<usize>> {
        match self.state.long_rows {
            LongRows::Cut => std::iter::once(0..self.text.len()).collect(),
            LongRows::Wrapped => {
                let mut end = 0;
                let pieces = wrap(&self.text, room).into_iter().map(|piece| {
                    end += piece.len();
                    end - piece.len()..end
                });
                pieces.collect()
            }
        }
    }

    /// Draws one of these ranges.
    pub(super) fn draw(&self, line: Rect, piece: &Range<usize>, buffer: &mut Buffer) {
        let theme = Theme::of(self.state.palette);
        let shown = self.text.get(piece.clone()).unwrap_or_default();
        let said = said_style(self.row, &theme);
        let taken = put(buffer, line.as_position(), line.width, shown, said);
        if piece.start == 0 {
            self.draw_number(line, shown, &theme, buffer);
        }
        if self.state.notation == Notation::Wire {
            faint_marks(line, &theme, buffer);
        }
        self.highlight(line, piece, theme.found, buffer);
        if piece.end == self.text.len() {
            let rest = Rect { x: line.x + taken, width: line.width - taken, ..line };
            self.draw_fold(rest, &theme, buffer);
            self.draw_rule(rest, piece, &theme, buffer);
            self.draw_time(rest, &theme, buffer);
        }
    }

    /// Draws the `[N]` that every row begins with. It must not be more prominent than what follows;
    /// only open connections have colours that tell them apart.
    fn draw_number(&self, line: Rect, piece: &str, theme: &Theme, buffer: &mut Buffer) {
        let Some(end) = piece.starts_with('[').then(|| piece.find(']')).flatten() else {
            return;
        };
        let width = u16::try_from(end + 1).unwrap_or(u16::MAX).min(line.width);
        let name = self.row.connection();
        let open = name.filter(|name| self.state.transcript.ring().is_open(name.id));
        let style = open.map_or(theme.faint, |name| theme.number(name.id));
        buffer.set_style(Rect { width, ..line }, style);
    }

    /// Draws a rule after the text of a connection's first row, which sets it off from earlier
    /// rows.
    fn draw_rule(&self, rest: Rect, piece: &Range<usize>, theme: &Theme, buffer: &mut Buffer) {
        if self.row.is_start() && piece.start == 0 && rest.width > 1 {
            let rule = "─".repeat(usize::from(rest.width - 1));
            put(buffer, Position::new(rest.x + 1, rest.y), rest.width - 1, &rule, theme.border);
        }
    }

    fn draw_time(&self, rest: Rect, theme: &Theme, buffer: &mut Buffer) {
        let Some(time) = self.took else { return };
        let words = format!("  took {:.1} s", time.as_secs_f64());
        if columns(&words) <= rest.width {
            put(buffer, rest.as_position(), rest.width, &words, theme.stamp);
        }
    }

    fn highlight(&self, line: Rect, piece: &Range<usize>, style: Style, buffer: &mut Buffer) {
        let columns_of = |range| self.text.get(range).map_or(0, columns);
        for found in &self.found {
            let from = found.start.clamp(piece.start, piece.end);
            let to = found.end.clamp(piece.start, piece.end);
            let x = line.x.saturating_add(columns_of(piece.start..from));
            let area = Rect { x, width: columns_of(from..to), ..line };
            buffer.set_style(area.intersection(line), style);
        }
    }

    /// Says after a row that stands for a message text how to show the text. This is not part of
    /// the row.
    fn draw_fold(&self, rest: Rect, theme: &Theme, buffer: &mut Buffer) {
        if !self.row.is_message() || self.state.transcript.ring().bodies() == Bodies::Shown {
            return;
        }
        let words = format!("  ▸ {} shows it", self.state.keymap.key_of(Action::Bodies));
        if columns(&words) <= rest.width {
            put(buffer, rest.as_position(), rest.width, &words, theme.faint);
        }
    }
}

fn found_in(state: &State, text: &str) -> Vec<Range<usize>> {
    let search = state.transcript.ring().search();
    let Some(pattern) = search.and_then(|(filter, _)| filter.pattern()) else {
        return Vec::new();
    };
    match state.notation {
        Notation::Transcript => pattern.all_in(text),
        Notation::Wire => found_among_marks(pattern, text),
    }
}

/// Searches the text without the marks of the wire view, which may stand in the middle of a match.
fn found_among_marks(pattern: &Pattern, text: &str) -> Vec<Range<usize>> {
    let mut plain = String::with_capacity(text.len());
    // The offset in `text` of each octet of `plain`.
    let mut places = Vec::with_capacity(text.len());
    for (at, character) in text.char_indices().filter(|(_, c)| !MARKS.contains(*c)) {
        plain.push(character);
        places.extend(at..at + character.len_utf8());
    }
    let in_text = |found: Range<usize>| {
        let last = places.get(found.clone())?.last()?;
        Some(*places.get(found.start)?..last + 1)
    };
    pattern.all_in(&plain).into_iter().filter_map(in_text).collect()
}

fn faint_marks(line: Rect, theme: &Theme, buffer: &mut Buffer) {
    for x in line.left()..line.right() {
        if let Some(cell) = buffer.cell_mut(Position::new(x, line.y))
            && MARKS.contains(cell.symbol())
        {
            cell.set_style(theme.faint);
        }
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
        Kind::Line(Side::Server, line) => reply_style(line.bytes(), theme),
        Kind::Line(Side::Client, _) => theme.client,
        Kind::TextLine(..) => theme.text,
        Kind::Opened { .. } | Kind::Text { .. } | Kind::Note(_) | Kind::Closed => theme.faint,
    }
}

/// The style for the class of a reply: `+OK` or `-ERR`, or the first digit of the code of an SMTP
/// reply (RFC 5321 section 4.2.1). Lines of a multi-line listing have no class.
fn reply_style(reply: &[u8], theme: &Theme) -> Style {
    let class = match reply {
        [b'+', b' ', ..] | [b'+'] => b'3',
        [b'+', ..] => b'2',
        [b'-', ..] => b'5',
        [class, b'0'..=b'9', b'0'..=b'9', rest @ ..]
            if matches!(rest.first(), None | Some(b' ' | b'-')) =>
        {
            *class
        }
        _ => return theme.server,
    };
    match class {
        b'2' => theme.done,
        b'3' => theme.go_on,
        b'4' => theme.later,
        b'5' => theme.refused,
        _ => theme.server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::filter::Filter;
    use crate::console::state::tests::{event, line, with_connections};

    /// A state that looks for something.
    fn looking_for(typed: &str, notation: Notation) -> State {
        let mut state = with_connections(1);
        state.notation = notation;
        state.transcript.filter(Filter::parse(typed).unwrap());
        state
    }

    /// What is highlighted, in each line that is `room` columns wide.
    fn highlighted(state: &State, row: &Row, room: u16) -> Vec<String> {
        let painter = Painter::new(state, row);
        let pieces = painter.pieces(usize::from(room));
        let theme = Theme::of(state.palette);
        let lines = pieces.iter().map(|piece| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, room, 1));
            painter.draw(buffer.area, piece, &mut buffer);
            let is_found = |cell: &&ratatui::buffer::Cell| Some(cell.bg) == theme.found.bg;
            buffer.content.iter().filter(is_found).map(ratatui::buffer::Cell::symbol).collect()
        });
        lines.collect()
    }

    #[test]
    fn what_the_text_of_a_filter_finds_is_highlighted() {
        let state = looking_for("C: [1] /no+p/", Notation::Transcript);
        assert_eq!(highlighted(&state, &line(1, "NOOP noop"), 40), ["NOOPnoop"]);
        let state = looking_for("C: [1]", Notation::Transcript);
        assert_eq!(highlighted(&state, &line(1, "NOOP"), 40), [""]);
    }

    #[test]
    fn an_expression_is_looked_for_in_the_whole_row_and_not_in_its_lines() {
        let mut state = looking_for("/^.1. C: NO|c$/", Notation::Transcript);
        state.long_rows = LongRows::Wrapped;
        assert_eq!(highlighted(&state, &line(1, "NOOP abc"), 8), ["[1] C: N", "Oc"]);
        assert_eq!(highlighted(&state, &line(1, "abcabc"), 8), ["", "c"]);
    }

    #[test]
    fn marks_of_the_wire_view_hide_nothing_that_was_found() {
        let text = "[1] C: N┊OO┊P␍␊";
        let pattern = Pattern::new("noop").unwrap();
        let found: Vec<&str> =
            found_among_marks(&pattern, text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["N┊OO┊P"]);
        let state = looking_for("noop", Notation::Wire);
        assert_eq!(highlighted(&state, &line(1, "NOOP"), 40), ["NOOP"]);
    }

    #[test]
    fn replies_are_coloured_by_their_class() {
        let theme = Theme::of(crate::console::state::appearance::Palette::Dark);
        let of = |reply: &str| reply_style(reply.as_bytes(), &theme);
        for (replies, style) in [
            (["250 OK", "220-a", "+OK 2 320", "221"], theme.done),
            (["354 go on", "334 VXNl", "+ ", "+"], theme.go_on),
            (["450 no", "421-x", "452", "499 x"], theme.later),
            (["550 no", "-ERR no", "502", "-ERR"], theme.refused),
            (["1 120", "2500 octets", ".", "55x"], theme.server),
        ] {
            for reply in replies {
                assert_eq!(of(reply), style, "{reply}");
            }
        }
    }

    #[test]
    fn a_slow_reply_has_its_time_behind_it() {
        let mut state = with_connections(1);
        let at =
            |milliseconds| std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let say = |side, text: &str, time| {
            let mut row =
                event(1, Kind::Line(side, crate::watch::event::KeptLine::new(text.as_bytes())));
            if let Row::Event(event) = &mut row {
                event.at = at(time);
            }
            row
        };
        for (side, text, time) in [
            (Side::Client, "DATA", 0),
            (Side::Server, "354 go on", 100),
            (Side::Client, ".", 1_000),
            (Side::Server, "250 OK", 2_240),
            (Side::Server, "250 of the next", 9_000),
        ] {
            state.apply(say(side, text, time));
        }
        let rows = state.transcript.ring().from(0);
        let drawn: Vec<String> = rows
            .map(|(seq, row)| {
                let painter = Painter::new(&state, row).in_place(seq);
                let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 1));
                painter.draw(buffer.area, &(0..painter.text().len()), &mut buffer);
                let cells = buffer.content.iter().map(ratatui::buffer::Cell::symbol);
                cells.collect::<String>().trim_end().to_owned()
            })
            .collect();
        let expected = [
            "[1] C: DATA",
            "[1] S: 354 go on",
            "[1] C: .",
            "[1] S: 250 OK  took 1.2 s",
            "[1] S: 250 of the next",
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn how_to_see_a_text_is_said_behind_it_where_there_is_room() {
        let state = with_connections(1);
        let row = event(1, Kind::Text { octets: 264 });
        let painter = Painter::new(&state, &row);
        let drawn = |width| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, 1));
            painter.draw(buffer.area, &(0..painter.text.len()), &mut buffer);
            let cells = buffer.content.iter().map(ratatui::buffer::Cell::symbol);
            cells.collect::<String>().trim_end().to_owned()
        };
        assert_eq!(painter.text(), "[1] .. 264 octets of message text");
        assert_eq!(drawn(60), "[1] .. 264 octets of message text  ▸ b shows it");
        assert_eq!(drawn(40), "[1] .. 264 octets of message text");
    }
}
