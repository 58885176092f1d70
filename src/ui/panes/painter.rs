//! One row of the transcript: what it says, what was found in it, and the marks of the wire view.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::state::pattern::Pattern;
use crate::app::state::ring::Bodies;
use crate::app::state::row::{Notation, Row};
use crate::app::state::{LongRows, State};
use crate::ui::text::{columns, put, wrap};
use crate::ui::theme::Theme;
use crate::wire::event::{Event, Kind, Side};

/// What the wire view puts into a line; whoever sends one of these is shown escaped.
const MARKS: &str = "␀␉␊␍┊";

/// Draws one row.
pub(super) struct Painter<'a> {
    state: &'a State,
    row: &'a Row,
    text: String,
    /// Where in the text is what was looked for, in octets.
    found: Vec<Range<usize>>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(state: &'a State, row: &'a Row) -> Self {
        let passwords = state.transcript.ring().passwords();
        let text = row.shown(state.notation, passwords).into_string();
        let found = found_in(state, &text);
        Self { state, row, text, found }
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Which octets of the text each line has, where there are `room` columns.
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

    /// Draws a piece of the text.
    pub(super) fn draw(&self, line: Rect, piece: &Range<usize>, buffer: &mut Buffer) {
        let theme = Theme::of(self.state.palette);
        let shown = self.text.get(piece.clone()).unwrap_or_default();
        let said = said_style(self.row, &theme);
        let taken = put(buffer, line.as_position(), line.width, shown, said);
        if piece.start == 0 {
            faint_number(line, shown, &theme, buffer);
        }
        if self.state.notation == Notation::Wire {
            faint_marks(line, &theme, buffer);
        }
        self.highlight(line, piece, theme.found, buffer);
        if piece.end == self.text.len() {
            let rest = Rect { x: line.x + taken, width: line.width - taken, ..line };
            self.draw_fold(rest, &theme, buffer);
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

    /// Says behind a row that stands for a message text how to see that. It is no part of the row.
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

/// The marks of the wire view are not looked at: they may stand in the middle of what is found.
fn found_among_marks(pattern: &Pattern, text: &str) -> Vec<Range<usize>> {
    let mut plain = String::with_capacity(text.len());
    // Where in `text` each octet of `plain` is.
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

/// The `[N]` of a row is there on every row: it must not be louder than what follows.
fn faint_number(line: Rect, piece: &str, theme: &Theme, buffer: &mut Buffer) {
    let Some(end) = piece.starts_with('[').then(|| piece.find(']')).flatten() else {
        return;
    };
    let width = u16::try_from(end + 1).unwrap_or(u16::MAX).min(line.width);
    buffer.set_style(Rect { width, ..line }, theme.faint);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::filter::Filter;
    use crate::app::state::tests::{event, line, with_connections};

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
