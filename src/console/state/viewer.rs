//! The open message: which part of it is shown, the scroll position, and the search in it. The text
//! is decoded only as far as it is looked at. The drawing code breaks it into lines, once for each
//! width.

use std::ops::Range;
use std::sync::Arc;

use crate::console::action::{Direction, Step};
use crate::console::state::appearance::LongRows;
use crate::console::state::extent::Extent;
use crate::console::state::pattern::Pattern;
use crate::mailroom::decode::Passage;
use crate::mailroom::{Field, Message, MessageKey, SHOWN_MOST, Shape, USUAL_FIELDS};
use crate::wire::display::DisplayText;

/// Octets of text that are decoded when a message is opened: more than any screen shows.
const DECODED_FIRST: usize = 32 * 1024;

/// The factor by which more is decoded when the user scrolls on. Each time everything before is
/// decoded again; with a factor, that stays a fraction of the whole.
const GROWTH: usize = 4;

/// Which header fields are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The usual ones.
    Usual,
    /// All of them.
    All,
}

/// The part of the view that a line belongs to. The parts are shown in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The n-th of the shown header fields, counted from 0.
    Field(u32),
    /// The n-th attachment, counted from 0.
    Attachment(u32),
    /// The rule between header and text.
    Rule,
    /// The n-th line of the text, or of the source, counted from 0.
    Text(u32),
    /// The note after the text.
    End,
}

/// A line of the view: a part, or a range of its text, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The part.
    pub part: Part,
    /// The offset in the part's text at which the line begins.
    pub from: u32,
    /// The offset at which it ends.
    pub to: u32,
}

impl Line {
    /// The line's range in the part's text.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// What the lines of a view depend on, besides the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The width in columns.
    pub width: u16,
    /// What happens to longer lines of a message that is shown as source.
    pub long_rows: LongRows,
}

/// The open message.
#[derive(Debug, Clone)]
pub struct Viewer {
    message: Arc<Message>,
    shape: Shape,
    /// The decoded beginning of the text, and the number of octets that were asked for.
    passage: Passage,
    asked: usize,
    header: Header,
    /// Indices of the header fields that are shown.
    fields: Vec<usize>,
    /// What the lines were made for; `None`: they must be made again.
    room: Option<Room>,
    lines: Vec<Line>,
    /// The first line in view.
    top: usize,
    /// The number of lines in view.
    page: usize,
    search: Option<Search>,
}

/// A search in the whole text.
#[derive(Debug, Clone)]
struct Search {
    pattern: Pattern,
    /// The first line in view when the search began.
    origin: usize,
    /// Whether the view must still go to the first match, once the lines have been made.
    is_new: bool,
    /// The lines in which a match begins.
    found: Vec<usize>,
    /// The index in `found` of the match that the view went to.
    at: usize,
}

impl Viewer {
    /// Opens a message at its beginning.
    #[must_use]
    pub fn new(message: Message) -> Self {
        let shape = message.body.shapes().first().copied().unwrap_or(Shape::Raw);
        Self::shaped(message, shape, Header::Usual)
    }

    /// Shows another message, in the same form.
    #[must_use]
    pub fn turned_to(&self, message: Message) -> Self {
        let shape = self.shape_of(&message);
        Self::shaped(message, shape, self.header)
    }

    /// Shows a longer part of the same message, at the same place.
    pub fn grow_to(&mut self, message: Message) {
        self.shape = self.shape_of(&message);
        self.message = Arc::new(message);
        self.choose_fields();
        self.decode(self.asked);
    }

    fn shaped(message: Message, shape: Shape, header: Header) -> Self {
        let mut viewer = Self {
            message: Arc::new(message),
            shape,
            passage: Passage::default(),
            asked: 0,
            header,
            fields: Vec::new(),
            room: None,
            lines: Vec::new(),
            top: 0,
            page: 1,
            search: None,
        };
        viewer.choose_fields();
        viewer.decode(DECODED_FIRST);
        viewer
    }

    /// The form in which `message` is shown: the current one if it has that, or else its first.
    fn shape_of(&self, message: &Message) -> Shape {
        let shapes = message.body.shapes();
        let same = shapes.iter().find(|&&shape| shape == self.shape);
        same.or(shapes.first()).copied().unwrap_or(Shape::Raw)
    }

    /// Decodes about `most` octets from the beginning of the text; the lines must be made again.
    fn decode(&mut self, most: usize) {
        self.asked = most.min(SHOWN_MOST);
        self.passage = self.message.body.passage(self.shape, self.asked);
        self.room = None;
    }

    /// Whether the text has been decoded to its end, or as far as it is ever shown.
    const fn has_all(&self) -> bool {
        self.passage.left_out == 0 || self.asked >= SHOWN_MOST
    }

    /// The key of the message.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        self.message.key
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The form in which it is shown.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of header fields that are shown.
    #[must_use]
    pub const fn field_count(&self) -> usize {
        self.fields.len()
    }

    /// The n-th of the shown header fields, counted from 0.
    #[must_use]
    pub fn field(&self, n: u32) -> Option<&Field> {
        self.message.header.get(*self.fields.get(n as usize)?)
    }

    /// The text of a part, which the ranges of its lines refer to.
    #[must_use]
    pub fn text(&self, part: Part) -> &str {
        let text = match part {
            Part::Field(n) => self.field(n).map(|field| &field.value),
            Part::Text(n) => self.passage.lines.get(n as usize),
            Part::Attachment(_) | Part::Rule | Part::End => None,
        };
        text.map_or("", |text| text.as_str())
    }

    /// The number of lines of text decoded so far.
    #[must_use]
    pub const fn text_lines(&self) -> usize {
        self.passage.lines.len()
    }

    /// Octets of the message that are not shown, however far the user scrolls.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let left_out = self.passage.left_out.saturating_add(self.message.body.unread());
        if self.has_all() { left_out } else { 0 }
    }

    /// All lines of the text, as it is shown.
    #[must_use]
    pub fn all_text(&self) -> Vec<DisplayText> {
        self.message.body.passage(self.shape, SHOWN_MOST).lines
    }

    /// Shows the message in the next of the forms that it has.
    pub fn next_shape(&mut self) {
        let shapes = self.message.body.shapes();
        let next = shapes.iter().skip_while(|&&shape| shape != self.shape).nth(1);
        self.shape = next.or(shapes.first()).copied().unwrap_or(Shape::Raw);
        self.top = 0;
        self.decode(if self.search.is_some() { SHOWN_MOST } else { DECODED_FIRST });
    }

    /// Shows all header fields, or only the usual ones.
    pub fn toggle_header(&mut self) {
        self.header = match self.header {
            Header::Usual => Header::All,
            Header::All => Header::Usual,
        };
        self.choose_fields();
    }

    /// Fits the message into a view of `height` lines. `lines` makes the lines; it is called only
    /// when they have changed, and the view then stays at the text that was at its top. If the
    /// decoded text ends within the next page, more is decoded.
    pub fn fit(&mut self, room: Room, height: usize, lines: impl Fn(&Self) -> Vec<Line>) {
        self.page = height.max(1);
        loop {
            if self.room != Some(room) {
                let first = self.lines.get(self.top).copied().filter(|_| self.top > 0);
                self.lines = lines(self);
                self.room = Some(room);
                self.top = first.map_or(self.top, |first| self.line_with(first));
                self.look_again();
                self.go_to_new();
            }
            let needed = self.top.saturating_add(self.page.saturating_mul(2));
            if self.has_all() || self.lines.len() >= needed {
                break;
            }
            self.decode(self.asked.saturating_mul(GROWTH));
        }
        self.top = self.top.min(self.most_above());
    }

    /// The lines in view.
    pub fn in_view(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.top)
    }

    /// How far down the view is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { above: self.top, page: self.page, all: self.lines.len() + self.lines_to_come() }
    }

    /// An estimate of the lines of the text that has not been decoded.
    fn lines_to_come(&self) -> usize {
        if self.has_all() {
            return 0;
        }
        let lines = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        let all = self.passage.left_out.min(SHOWN_MOST as u64);
        usize::try_from(lines.saturating_mul(all) / self.passage.used.max(1))
            .unwrap_or(usize::MAX / 2)
    }

    /// Scrolls. The end is known, and the position limited, when the message is next fitted.
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

    /// The pattern that is being searched for.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        self.search.as_ref().map(|search| &search.pattern)
    }

    /// The number of lines with a match, and which of them the view is at, counted from 1.
    #[must_use]
    pub fn found(&self) -> (usize, usize) {
        let Some(search) = &self.search else { return (0, 0) };
        let count = search.found.len();
        (count, (search.at + 1).min(count))
    }

    /// Searches for a pattern and goes to the next match; `None` ends the search.
    pub fn look_for(&mut self, pattern: Option<Pattern>) {
        // While the pattern is being typed, each search starts where the first one did.
        let origin = self.search.as_ref().map_or(self.top, |search| search.origin);
        self.search = pattern.map(|pattern| Search {
            pattern,
            origin,
            is_new: true,
            found: Vec::new(),
            at: 0,
        });
        if self.search.is_some() && !self.has_all() {
            self.decode(SHOWN_MOST);
            return;
        }
        self.look_again();
        self.go_to_new();
    }

    fn go_to_new(&mut self) {
        if let Some(search) = self.search.as_mut().filter(|search| search.is_new) {
            search.is_new = false;
            let next = search.found.partition_point(|&line| line < search.origin);
            search.at = if next < search.found.len() { next } else { 0 };
            self.go_to_found();
        }
    }

    /// Goes to the next or the previous match; after the last comes the first.
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
        self.fields = match self.header {
            Header::All => (0..self.message.header.len()).collect(),
            // A line that is not a field may be text whose empty line before it was lost.
            Header::Usual => {
                let fields = |name: &'static str| {
                    let all = self.message.header.iter().enumerate();
                    all.filter(move |(_, field)| field.name.as_str().eq_ignore_ascii_case(name))
                };
                let chosen = USUAL_FIELDS.into_iter().chain(["?"]).flat_map(fields);
                chosen.map(|(place, _)| place).collect()
            }
        };
        self.room = None;
    }

    /// The line in which the text of `other` begins.
    fn line_with(&self, other: Line) -> usize {
        let after =
            self.lines.partition_point(|line| (line.part, line.from) <= (other.part, other.from));
        after.saturating_sub(1)
    }

    fn look_again(&mut self) {
        let Some(mut search) = self.search.take() else { return };
        search.found.clear();
        // Each part is searched once, however many lines it has.
        let (mut part, mut found) = (Part::End, Vec::new());
        for (n, line) in self.lines.iter().enumerate() {
            if line.part != part {
                part = line.part;
                found = search.pattern.all_in(self.text(part));
                found.reverse();
            }
            let before = found.len();
            while found.last().is_some_and(|found| found.start < line.range().end) {
                found.pop();
            }
            if found.len() < before {
                search.found.push(n);
            }
        }
        search.at = search.at.min(search.found.len().saturating_sub(1));
        self.search = Some(search);
    }

    /// Scrolls to the current match; if it was out of view, it goes a third down the page.
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
    use crate::mailroom::decode;

    const KEY: MessageKey = MessageKey { hash: 1, occurrence: 0 };

    fn of_text(text: &str) -> Message {
        let text = format!("Subject: v\n\n{text}").into_bytes();
        let octets = text.len() as u64;
        decode::message(KEY, text, octets)
    }

    fn message(lines: usize) -> Message {
        let lines: Vec<String> = (0..lines).map(|n| format!("line {n}\n")).collect();
        of_text(&lines.concat())
    }

    fn room(width: u16) -> Room {
        Room { width, long_rows: LongRows::Cut }
    }

    /// Each line of the text falls into as many lines.
    fn pieces(viewer: &Viewer, count: u32) -> Vec<Line> {
        let texts = (0..).take(viewer.text_lines()).map(Part::Text);
        texts.flat_map(|part| (0..count).map(move |n| Line { part, from: n, to: n + 1 })).collect()
    }

    #[test]
    fn lines_are_made_once_for_each_width_and_not_for_each_view() {
        let mut viewer = Viewer::new(message(2_000));
        let made = std::cell::Cell::new(0);
        for width in [80, 80, 80, 60, 60] {
            viewer.fit(room(width), 20, |viewer| {
                made.set(made.get() + 1);
                pieces(viewer, 1)
            });
            viewer.step(Step::PageDown);
            assert_eq!(viewer.in_view().take(20).count(), 20);
        }
        assert_eq!(made.get(), 2);
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
        for lines in [50, 20_000] {
            let mut viewer = Viewer::new(message(lines));
            viewer.step(Step::Last);
            viewer.fit(room(80), 5, |viewer| pieces(viewer, 1));
            assert_eq!(viewer.extent().above, lines - 5);
        }
    }

    /// Each line of the text falls into lines of 80 octets.
    fn wrapped(viewer: &Viewer) -> Vec<Line> {
        let texts = (0..).take(viewer.text_lines()).map(Part::Text);
        let lines = texts.flat_map(|part| {
            let length = u32::try_from(viewer.text(part).len()).unwrap();
            let from = (0..length.max(1)).step_by(80);
            from.map(move |from| Line { part, from, to: length.min(from + 80) })
        });
        lines.collect()
    }

    // A message of one line of 4 MB took 9 s to open, and four times as long when it was twice as long.
    #[test]
    fn only_what_is_looked_at_is_decoded_however_long_a_line_is() {
        for text in ["w".repeat(8 << 20), "word word\n".repeat(800_000)] {
            let mut viewer = Viewer::new(of_text(&text));
            viewer.fit(room(80), 20, wrapped);
            let octets = viewer.passage.used;
            assert!(octets <= DECODED_FIRST as u64, "{octets}");
            assert_eq!((viewer.in_view().take(20).count(), viewer.left_out()), (20, 0));
            for _ in 0..40 {
                viewer.step(Step::PageDown);
                viewer.fit(room(80), 20, wrapped);
            }
            assert_eq!(viewer.extent().above, 800);
            let octets = viewer.passage.used;
            assert!(octets <= (DECODED_FIRST * GROWTH) as u64, "{octets}");
            viewer.step(Step::Last);
            viewer.fit(room(80), 20, wrapped);
            assert_eq!(viewer.passage.used, SHOWN_MOST as u64);
            assert!(viewer.left_out() >= text.len() as u64 - SHOWN_MOST as u64);
        }
    }

    #[test]
    fn what_is_looked_for_is_found_also_in_what_was_not_decoded_yet() {
        let mut viewer = Viewer::new(message(100_000));
        viewer.fit(room(80), 20, |viewer| pieces(viewer, 1));
        viewer.look_for(Pattern::parse("line 90000").unwrap());
        viewer.fit(room(80), 20, |viewer| pieces(viewer, 1));
        assert_eq!(viewer.found(), (1, 1));
        assert!(viewer.in_view().take(20).any(|line| line.part == Part::Text(90_000)));
    }

    #[test]
    fn more_of_the_same_message_moves_nothing() {
        let text = message(2_000);
        let beginning = "Subject: v\n\nline 0\nline 1\nline 2\nline 3\n".as_bytes();
        let mut viewer = Viewer::new(decode::message(KEY, beginning.to_vec(), text.octets));
        viewer.fit(room(80), 2, |viewer| pieces(viewer, 1));
        viewer.step(Step::Last);
        viewer.fit(room(80), 2, |viewer| pieces(viewer, 1));
        assert_eq!((viewer.left_out() > 0, viewer.extent().above), (true, 2));
        viewer.grow_to(text);
        viewer.fit(room(80), 2, |viewer| pieces(viewer, 1));
        assert_eq!((viewer.left_out(), viewer.extent().above), (0, 2));
    }
}
