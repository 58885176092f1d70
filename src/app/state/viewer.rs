//! The message that is open: what of it is shown, how far down, and what is looked for in it. How
//! its text falls into lines is worked out once for each width, by whoever draws it.

use std::ops::Range;
use std::sync::Arc;

use crate::app::action::{Direction, Step};
use crate::app::mailroom::{Field, Message, MessageKey};
use crate::app::state::pattern::Pattern;
use crate::app::state::{Extent, LongRows};

/// The header fields that say whom a message is from and what it is about, in this order.
const USUAL: [&str; 6] = ["From", "To", "Cc", "Reply-To", "Subject", "Date"];

/// As what a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Its header fields and its text, decoded.
    Decoded,
    /// As it is.
    Raw,
}

/// Which header fields are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The usual ones.
    Usual,
    /// All of them.
    All,
}

/// What a line of the view belongs to; they stand in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The n-th of the header fields that are shown.
    Field(u32),
    /// The n-th attachment.
    Attachment(u32),
    /// Between header and text.
    Rule,
    /// The n-th line of the text, or of the message as it is.
    Text(u32),
    /// What is said behind the text.
    End,
}

/// A line of the view: a part, or a stretch of one, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What it shows.
    pub part: Part,
    /// Where in the part's text it begins.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
}

impl Line {
    /// Where it is in the part's text.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// What the lines of a view depend on, besides the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Columns.
    pub width: u16,
    /// What happens to lines of the message as it is that are wider.
    pub long_rows: LongRows,
}

/// The open message.
#[derive(Debug, Clone)]
pub struct Viewer {
    message: Arc<Message>,
    shape: Shape,
    header: Header,
    /// Places of the header fields that are shown.
    fields: Vec<usize>,
    /// What the lines were made for; `None`: they must be made anew.
    room: Option<Room>,
    lines: Vec<Line>,
    /// The first line in view.
    top: usize,
    /// Lines in view.
    page: usize,
    search: Option<Search>,
}

/// What is looked for.
#[derive(Debug, Clone)]
struct Search {
    pattern: Pattern,
    /// The first line in view when it began.
    origin: usize,
    /// The lines in which something begins that was found.
    found: Vec<usize>,
    /// Which of them was gone to.
    at: usize,
}

impl Viewer {
    /// Opens a message at its beginning.
    #[must_use]
    pub fn new(message: Message) -> Self {
        let mut viewer = Self {
            message: Arc::new(message),
            shape: Shape::Decoded,
            header: Header::Usual,
            fields: Vec::new(),
            room: None,
            lines: Vec::new(),
            top: 0,
            page: 1,
            search: None,
        };
        viewer.choose_fields();
        viewer
    }

    /// Shows another message in the same way.
    #[must_use]
    pub fn turned_to(&self, message: Message) -> Self {
        let mut viewer = Self { shape: self.shape, header: self.header, ..Self::new(message) };
        viewer.choose_fields();
        viewer
    }

    /// Which message it is.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        self.message.key
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// As what it is shown.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How many header fields are shown.
    #[must_use]
    pub const fn field_count(&self) -> usize {
        self.fields.len()
    }

    /// The n-th of the header fields that are shown.
    #[must_use]
    pub fn field(&self, n: u32) -> Option<&Field> {
        self.message.header.get(*self.fields.get(n as usize)?)
    }

    /// The text of a part of which lines show stretches.
    #[must_use]
    pub fn text(&self, part: Part) -> &str {
        let text = match (part, self.shape) {
            (Part::Field(n), _) => self.field(n).map(|field| &field.value),
            (Part::Text(n), Shape::Decoded) => self.message.text.get(n as usize),
            (Part::Text(n), Shape::Raw) => self.message.raw.get(n as usize),
            (Part::Attachment(_) | Part::Rule | Part::End, _) => None,
        };
        text.map_or("", |text| text.as_str())
    }

    /// Shows the message as it is, or decoded again.
    pub fn toggle_raw(&mut self) {
        self.shape = match self.shape {
            Shape::Decoded => Shape::Raw,
            Shape::Raw => Shape::Decoded,
        };
        self.top = 0;
        self.room = None;
    }

    /// Shows all header fields, or the usual ones.
    pub fn toggle_header(&mut self) {
        self.header = match self.header {
            Header::Usual => Header::All,
            Header::All => Header::Usual,
        };
        self.choose_fields();
    }

    /// Fits the message into a view of `height` lines. `lines` makes the lines, and is asked only
    /// when they have changed; the view then stays at the text that was its first.
    pub fn fit(&mut self, room: Room, height: usize, lines: impl FnOnce(&Self) -> Vec<Line>) {
        self.page = height.max(1);
        if self.room != Some(room) {
            let first = self.lines.get(self.top).copied().filter(|_| self.top > 0);
            self.lines = lines(self);
            self.room = Some(room);
            self.top = first.map_or(self.top, |first| self.line_with(first));
            self.look_again();
        }
        self.top = self.top.min(self.most_above());
    }

    /// The lines in view.
    pub fn in_view(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.top)
    }

    /// How far down the view is.
    #[must_use]
    pub const fn extent(&self) -> Extent {
        Extent { above: self.top, page: self.page, all: self.lines.len() }
    }

    /// Scrolls; where the end is, is known when the message is fitted into its view again.
    pub fn step(&mut self, step: Step) {
        let half = (self.page / 2).max(1);
        self.top = match step {
            Step::Up => self.top.saturating_sub(1),
            Step::Down => self.top.saturating_add(1),
            Step::HalfPageUp => self.top.saturating_sub(half),
            Step::HalfPageDown => self.top.saturating_add(half),
            Step::PageUp => self.top.saturating_sub(self.page),
            Step::PageDown => self.top.saturating_add(self.page),
            Step::First => 0,
            Step::Last => usize::MAX,
        };
    }

    /// What is looked for.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        self.search.as_ref().map(|search| &search.pattern)
    }

    /// In how many lines it was found, and at which of them the view is, counted from 1.
    #[must_use]
    pub fn found(&self) -> (usize, usize) {
        let Some(search) = &self.search else { return (0, 0) };
        let count = search.found.len();
        (count, (search.at + 1).min(count))
    }

    /// Looks for something, and goes to where it is next; `None`: for nothing any more.
    pub fn look_for(&mut self, pattern: Option<Pattern>) {
        // While it is typed, every letter looks from where the first one did.
        let origin = self.search.as_ref().map_or(self.top, |search| search.origin);
        self.search = pattern.map(|pattern| Search { pattern, origin, found: Vec::new(), at: 0 });
        self.look_again();
        if let Some(search) = &mut self.search {
            let next = search.found.partition_point(|&line| line < search.origin);
            search.at = if next < search.found.len() { next } else { 0 };
            self.go_to_found();
        }
    }

    /// Goes to the next place where it was found; after the last comes the first.
    pub fn find(&mut self, direction: Direction) {
        let Some(search) = &mut self.search else { return };
        let last = search.found.len().saturating_sub(1);
        search.at = match direction {
            Direction::Forward if search.at >= last => 0,
            Direction::Forward => search.at + 1,
            Direction::Backward => search.at.checked_sub(1).unwrap_or(last),
        };
        self.go_to_found();
    }

    fn choose_fields(&mut self) {
        let all = self.message.header.iter().enumerate();
        self.fields = match self.header {
            Header::All => all.map(|(place, _)| place).collect(),
            Header::Usual => {
                let is = |name: &str, field: &Field| field.name.as_str().eq_ignore_ascii_case(name);
                let named = |name| all.clone().filter(move |(_, field)| is(name, field));
                USUAL.into_iter().flat_map(named).map(|(place, _)| place).collect()
            }
        };
        self.room = None;
    }

    /// The line in which another one's text begins.
    fn line_with(&self, other: Line) -> usize {
        let after =
            self.lines.partition_point(|line| (line.part, line.from) <= (other.part, other.from));
        after.saturating_sub(1)
    }

    fn look_again(&mut self) {
        let Some(mut search) = self.search.take() else { return };
        let begins_in = |line: &Line| {
            let found = search.pattern.all_in(self.text(line.part));
            found.iter().any(|found| line.range().contains(&found.start))
        };
        let lines = self.lines.iter().enumerate();
        search.found = lines.filter(|(_, line)| begins_in(line)).map(|(n, _)| n).collect();
        search.at = search.at.min(search.found.len().saturating_sub(1));
        self.search = Some(search);
    }

    /// Brings what was gone to into the view, a third down if it was not there.
    fn go_to_found(&mut self) {
        let line = self.search.as_ref().and_then(|search| search.found.get(search.at).copied());
        let Some(line) = line else { return };
        if !(self.top..self.top.saturating_add(self.page)).contains(&line) {
            self.top = line.saturating_sub(self.page / 3).min(self.most_above());
        }
    }

    fn most_above(&self) -> usize {
        self.lines.len().saturating_sub(self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::mailroom::Origin;

    fn message(lines: usize) -> Message {
        Message {
            key: MessageKey { hash: 1, occurrence: 0 },
            header: Vec::new(),
            text: (0..lines).map(|n| (&*format!("line {n}")).into()).collect(),
            origin: Origin::Plain,
            raw: Vec::new(),
            attachments: Vec::new(),
            octets: 0,
            left_out: 0,
        }
    }

    fn room(width: u16) -> Room {
        Room { width, long_rows: LongRows::Cut }
    }

    /// Each line of the text falls into as many lines.
    fn pieces(viewer: &Viewer, count: u32) -> Vec<Line> {
        let texts = (0..).zip(&viewer.message().text).map(|(n, _)| Part::Text(n));
        texts.flat_map(|part| (0..count).map(move |n| Line { part, from: n, to: n + 1 })).collect()
    }

    #[test]
    fn lines_are_made_once_for_each_width_and_not_for_each_view() {
        let mut viewer = Viewer::new(message(100_000));
        let mut made = 0;
        for width in [80, 80, 80, 60, 60] {
            viewer.fit(room(width), 20, |viewer| {
                made += 1;
                pieces(viewer, 1)
            });
            viewer.step(Step::PageDown);
            assert_eq!(viewer.in_view().take(20).count(), 20);
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn another_width_leaves_the_view_where_it_was_in_the_text() {
        let mut viewer = Viewer::new(message(50));
        viewer.fit(room(80), 5, |viewer| pieces(viewer, 1));
        viewer.step(Step::PageDown);
        viewer.fit(room(40), 5, |viewer| pieces(viewer, 3));
        assert_eq!(viewer.in_view().next().unwrap().part, Part::Text(5));
        assert_eq!(viewer.extent().above, 15);
    }

    #[test]
    fn the_end_that_is_asked_for_before_there_are_lines_is_not_forgotten() {
        let mut viewer = Viewer::new(message(50));
        viewer.step(Step::Last);
        viewer.fit(room(80), 5, |viewer| pieces(viewer, 1));
        assert_eq!(viewer.extent().above, 45);
    }
}
