//! The editor for the text of a message: lines, and a cursor in one of them.

use tui_input::{Input, InputRequest};

use crate::console::action::Step;
use crate::console::state::prompt;

/// The most characters of a line (RFC 5322 section 2.1.1).
const LINE_MOST: usize = 998;

/// The most lines of a text.
const LINES_MOST: usize = 1_000;

/// A text of at least one line.
#[derive(Debug, Clone)]
pub struct Body {
    lines: Vec<Input>,
    /// The index of the line with the cursor.
    at: usize,
    /// The index of the first line in view.
    top: usize,
    /// The number of lines in view.
    page: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self { lines: vec![Input::default()], at: 0, top: 0, page: 1 }
    }
}

impl Body {
    /// Makes a text from `text`, whose lines are separated by LF.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let lines = text.split('\n').take(LINES_MOST).map(|line| Input::new(line.to_owned()));
        Self { lines: lines.collect(), ..Self::default() }
    }

    /// The text, with its lines separated by LF.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(Input::value).collect();
        lines.join("\n")
    }

    /// Whether nothing has been typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.value().is_empty())
    }

    /// The lines in view, each with whether the cursor is in it.
    pub fn in_view(&self) -> impl Iterator<Item = (&Input, bool)> {
        let lines = self.lines.iter().enumerate().skip(self.top);
        lines.map(|(n, line)| (line, n == self.at))
    }

    /// Whether there are lines above the view, and below it.
    #[must_use]
    pub const fn goes_on(&self) -> (bool, bool) {
        (self.top > 0, self.lines.len() > self.top + self.page)
    }

    /// Brings the cursor into a view of `height` lines.
    pub fn fit(&mut self, height: usize) {
        self.page = height.max(1);
        let least = (self.at + 1).saturating_sub(self.page);
        self.top = self.top.min(self.at).max(least);
    }

    /// Edits the text at the cursor.
    pub fn edit(&mut self, request: InputRequest) {
        let Some(line) = self.lines.get_mut(self.at) else { return };
        let is_at_beginning = line.cursor() == 0;
        let is_at_end = line.cursor() == line.value().chars().count();
        match request {
            // Pasted text separates its lines by one or the other.
            InputRequest::InsertChar('\n' | '\r') => self.split(),
            InputRequest::DeletePrevChar if is_at_beginning => self.join_to_previous(),
            InputRequest::DeleteNextChar if is_at_end => self.join_next(),
            InputRequest::GoToPrevChar if is_at_beginning => self.go_to_previous_end(),
            InputRequest::GoToNextChar if is_at_end => self.go_to_next_beginning(),
            request => prompt::edit(line, request, LINE_MOST),
        }
    }

    /// Splits the line at the cursor; does nothing if the text has its most lines.
    pub fn split(&mut self) {
        let Some(line) = self.lines.get(self.at) else { return };
        let characters: Vec<char> = line.value().chars().collect();
        let (before, after) = characters.split_at(line.cursor().min(characters.len()));
        let (before, after) = (before.iter().collect(), after.iter().collect());
        if self.lines.len() < LINES_MOST {
            self.put(self.at, Input::new(before));
            self.at += 1;
            self.lines.insert(self.at, Input::new(after).with_cursor(0));
        }
    }

    /// Moves the cursor to another line; returns whether there was one.
    pub fn step(&mut self, step: Step) -> bool {
        let last = self.lines.len().saturating_sub(1);
        let to = match step {
            Step::Up => self.at.saturating_sub(1),
            Step::Down => self.at + 1,
            Step::HalfPageUp | Step::PageUp => self.at.saturating_sub(self.page),
            Step::HalfPageDown | Step::PageDown => self.at + self.page,
            Step::First => 0,
            Step::Last => last,
        };
        self.go_to(to.min(last))
    }

    /// Moves the cursor to the n-th line in view, or to the last line if that is above.
    pub fn click(&mut self, row: usize) {
        let last = self.lines.len().saturating_sub(1);
        self.go_to((self.top + row).min(last));
    }

    fn go_to(&mut self, line: usize) -> bool {
        let column = self.lines.get(self.at).map_or(0, Input::cursor);
        let moves = line != self.at;
        self.at = line;
        self.set_cursor(column);
        moves
    }

    fn set_cursor(&mut self, column: usize) {
        if let Some(line) = self.lines.get_mut(self.at) {
            line.handle(InputRequest::SetCursor(column));
        }
    }

    fn put(&mut self, place: usize, line: Input) {
        if let Some(slot) = self.lines.get_mut(place) {
            *slot = line;
        }
    }

    fn go_to_previous_end(&mut self) {
        if let Some(previous) = self.at.checked_sub(1) {
            self.at = previous;
            self.set_cursor(usize::MAX);
        }
    }

    fn go_to_next_beginning(&mut self) {
        if self.at + 1 < self.lines.len() {
            self.at += 1;
            self.set_cursor(0);
        }
    }

    fn join_to_previous(&mut self) {
        if self.at > 0 {
            self.at -= 1;
            self.set_cursor(usize::MAX);
            self.join_next();
        }
    }

    /// Joins the next line to the one with the cursor, unless the result would be too long.
    fn join_next(&mut self) {
        let (Some(line), Some(next)) = (self.lines.get(self.at), self.lines.get(self.at + 1))
        else {
            return;
        };
        let joined = format!("{}{}", line.value(), next.value());
        if joined.chars().count() <= LINE_MOST {
            let cursor = line.cursor();
            self.put(self.at, Input::new(joined).with_cursor(cursor));
            self.lines.remove(self.at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Body {
        let mut body = Body::default();
        type_in(&mut body, text);
        body
    }

    fn all(body: &mut Body, requests: &[InputRequest]) {
        for &request in requests {
            body.edit(request);
        }
    }

    fn type_in(body: &mut Body, text: &str) {
        for character in text.chars() {
            body.edit(InputRequest::InsertChar(character));
        }
    }

    #[test]
    fn enter_splits_a_line_and_backspace_joins_two() {
        let mut body = typed("Hello\nworld");
        all(&mut body, &[InputRequest::GoToStart, InputRequest::DeletePrevChar]);
        assert_eq!(body.text(), "Helloworld");
        body.edit(InputRequest::InsertChar(','));
        body.split();
        assert_eq!(body.text(), "Hello,\nworld");
    }

    #[test]
    fn delete_at_the_end_of_a_line_brings_the_next_one_up() {
        let mut body = typed("a\nb\nc");
        assert!(body.step(Step::First));
        all(&mut body, &[InputRequest::GoToEnd, InputRequest::DeleteNextChar]);
        assert_eq!(body.text(), "ab\nc");
    }

    #[test]
    fn the_cursor_goes_over_the_ends_of_lines() {
        let mut body = typed("a\nb");
        all(&mut body, &[InputRequest::GoToPrevChar; 2]);
        body.edit(InputRequest::InsertChar('1'));
        body.edit(InputRequest::GoToNextChar);
        body.edit(InputRequest::InsertChar('2'));
        assert_eq!(body.text(), "a1\n2b");
    }

    #[test]
    fn the_cursor_keeps_its_column_where_the_line_is_long_enough() {
        let mut body = typed("日本語\nab\n日本語");
        body.edit(InputRequest::GoToPrevChar);
        assert!(body.step(Step::Up) && body.step(Step::Up) && !body.step(Step::Up));
        body.edit(InputRequest::InsertChar('!'));
        assert_eq!(body.text(), "日本!語\nab\n日本語");
    }

    #[test]
    fn a_view_that_is_too_small_shows_the_line_of_the_cursor() {
        let mut body = typed("1\n2\n3\n4\n5");
        body.fit(2);
        let shown: Vec<_> = body.in_view().take(2).map(|(line, at)| (line.value(), at)).collect();
        assert_eq!((shown, body.goes_on()), (vec![("4", false), ("5", true)], (true, false)));
        body.click(0);
        body.edit(InputRequest::InsertChar('!'));
        assert_eq!(body.text(), "1\n2\n3\n4!\n5");
    }

    #[test]
    fn a_text_that_is_full_takes_no_more() {
        let mut body = typed(&"\n".repeat(2 * LINES_MOST));
        assert_eq!(body.text().len(), LINES_MOST - 1);
        type_in(&mut body, &"x".repeat(2 * LINE_MOST));
        assert_eq!(body.text().len(), LINES_MOST - 1 + LINE_MOST);
    }
}
