//! The transcript as the screen keeps it: the newest rows, which of them are let through, and
//! where in them the user looks.
//!
//! Every row has a sequence number, and everything that points at rows does so by number, so that
//! rows that fall out at the old end never move what is being read. What is let through is kept
//! as indices that grow and shrink with the rows: a frame costs what is visible, not what is kept.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use crate::app::action::{Direction, Step};
use crate::app::state::Extent;
use crate::app::state::pattern::Pattern;
use crate::wire::display::DisplayText;
use crate::wire::event::{ConnectionName, Event, Kind, Passwords, transcript_line};

/// Octets of all kept rows together; past that the oldest go, however few there are.
const MOST_OCTETS: usize = 32 * 1024 * 1024;

/// Rows that one turn of the mouse wheel moves.
const WHEEL_ROWS: usize = 3;

/// A row of the transcript.
#[derive(Debug, Clone)]
pub enum Row {
    /// Something that happened on a connection.
    Event(Event),
    /// So many rows came faster than the screen could take them.
    Skipped(u64),
    /// So many lines of one message text were not kept.
    TextLeftOut {
        /// Where the text went.
        connection: ConnectionName,
        /// How many.
        lines: u64,
    },
}

impl Row {
    /// Octets that the row takes in memory, about.
    #[must_use]
    pub fn octets(&self) -> usize {
        let payload = match self {
            Self::Event(event) => match &event.kind {
                Kind::Line(_, line) | Kind::TextLine(_, line) => line.bytes().len(),
                Kind::Note(note) => note.len(),
                Kind::Opened { .. } | Kind::Text { .. } | Kind::Closed => 0,
            },
            Self::Skipped(_) | Self::TextLeftOut { .. } => 0,
        };
        size_of::<Self>() + payload
    }

    /// How many transcript lines it stands for.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Skipped(lines) | Self::TextLeftOut { lines, .. } => *lines,
        }
    }

    /// The connection it is about.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionName> {
        match self {
            Self::Event(event) => Some(event.connection),
            Self::TextLeftOut { connection, .. } => Some(*connection),
            Self::Skipped(_) => None,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Option<SystemTime> {
        match self {
            Self::Event(event) => Some(event.at),
            Self::Skipped(_) | Self::TextLeftOut { .. } => None,
        }
    }

    /// The row as headless `-v` would print it.
    #[must_use]
    pub fn text(&self, passwords: Passwords) -> DisplayText {
        match self {
            Self::Event(event) => transcript_line(event, passwords),
            Self::Skipped(lines) => DisplayText::already_safe(format!("… {lines} lines skipped …")),
            Self::TextLeftOut { connection, lines } => DisplayText::already_safe(format!(
                "[{}] .. {lines} more lines of message text",
                connection.number
            )),
        }
    }

    const fn is_body(&self) -> bool {
        matches!(
            self,
            Self::TextLeftOut { .. } | Self::Event(Event { kind: Kind::TextLine(..), .. })
        )
    }
}

impl From<Event> for Row {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// Whether message text is shown line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bodies {
    /// One row says how much it was.
    #[default]
    Hidden,
    /// All of it that was kept.
    Shown,
}

/// What a pattern does to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matches {
    /// Only rows that have it are shown.
    Only,
    /// All rows are shown, the matches among them.
    InContext,
}

#[derive(Debug, Clone)]
struct Search {
    pattern: Pattern,
    matches: Matches,
    /// Rows of `base` that have the pattern.
    found: VecDeque<u64>,
}

/// Where in the rows the user looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// At the end, whatever comes.
    Following,
    Held {
        /// The first row in view.
        top: u64,
        cursor: u64,
        /// The first row that came after following ended.
        since: u64,
        /// Whether rows from `since` on stay out of sight.
        frozen: bool,
    },
}

/// The newest rows of the transcript, and the user's view of them.
#[derive(Debug, Clone)]
pub struct Scrollback {
    rows: VecDeque<Row>,
    /// Sequence number of the oldest row.
    first: u64,
    octets: usize,
    most_rows: usize,
    skipped: u64,
    bodies: Bodies,
    passwords: Passwords,
    only: Option<ConnectionName>,
    /// Rows that `bodies` and `only` let through.
    base: VecDeque<u64>,
    search: Option<Search>,
    /// Rows that `bodies` lets through, of each connection, by its id.
    by_connection: HashMap<u64, VecDeque<u64>>,
    view: View,
    /// Rows in view when it was last fitted.
    page: usize,
}

impl Scrollback {
    /// Keeps at most `most_rows` rows, and at least one.
    #[must_use]
    pub fn new(most_rows: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            first: 0,
            octets: 0,
            most_rows: most_rows.max(1),
            skipped: 0,
            bodies: Bodies::Hidden,
            passwords: Passwords::Masked,
            only: None,
            base: VecDeque::new(),
            search: None,
            by_connection: HashMap::new(),
            view: View::Following,
            page: 1,
        }
    }

    /// Adds a row; the oldest go where there is no room.
    pub fn push(&mut self, row: Row) {
        if let Row::Skipped(lines) = row {
            self.skipped += lines;
            if let Some(Row::Skipped(before)) = self.rows.back_mut() {
                *before += lines;
                return;
            }
        }
        self.octets += row.octets();
        self.rows.push_back(row);
        self.index(self.end() - 1);
        while self.rows.len() > self.most_rows || self.octets > MOST_OCTETS {
            self.forget_oldest();
        }
    }

    /// How many rows the filters let through.
    #[must_use]
    pub fn len(&self) -> usize {
        self.visible().len()
    }

    /// Whether there is nothing to see.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.visible().is_empty()
    }

    /// How many rows were skipped since the beginning.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether passwords are shown.
    #[must_use]
    pub const fn passwords(&self) -> Passwords {
        self.passwords
    }

    /// Whether message text is shown.
    #[must_use]
    pub const fn bodies(&self) -> Bodies {
        self.bodies
    }

    /// The connection that the rows are narrowed to.
    #[must_use]
    pub const fn only(&self) -> Option<ConnectionName> {
        self.only
    }

    /// What is looked for, and whether only that is shown.
    #[must_use]
    pub fn search(&self) -> Option<(&Pattern, Matches)> {
        let search = self.search.as_ref()?;
        Some((&search.pattern, search.matches))
    }

    /// How many rows have the pattern; 0 without one.
    #[must_use]
    pub fn found(&self) -> usize {
        self.search.as_ref().map_or(0, |search| search.found.len())
    }

    /// Whether the view stays at the end.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.view == View::Following
    }

    /// Whether the view is frozen.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        matches!(self.view, View::Held { frozen: true, .. })
    }

    /// Rows that came since following ended.
    #[must_use]
    pub fn unseen(&self) -> usize {
        match self.view {
            View::Following => 0,
            View::Held { since, .. } => self.len() - self.place_of(since),
        }
    }

    /// The row the cursor is on; there is no cursor while following.
    #[must_use]
    pub fn cursor(&self) -> Option<(u64, &Row)> {
        let View::Held { cursor, .. } = self.view else {
            return None;
        };
        let seq = *self.visible().get(self.clamped(cursor))?;
        Some((seq, self.row(seq)?))
    }

    /// All rows that the filters let through, oldest first.
    pub fn shown(&self) -> impl Iterator<Item = &Row> {
        self.visible().iter().filter_map(|&seq| self.row(seq))
    }

    /// Rows of one connection, newest first.
    pub fn newest_of(&self, connection: u64) -> impl Iterator<Item = &Row> {
        let rows = self.by_connection.get(&connection);
        rows.into_iter().flat_map(|rows| rows.iter().rev()).filter_map(|&seq| self.row(seq))
    }

    /// Shows all rows, or those of one connection.
    pub fn narrow(&mut self, only: Option<ConnectionName>) {
        self.only = only;
        self.view = View::Following;
        self.index_again();
    }

    /// Shows or hides message text.
    pub fn toggle_bodies(&mut self) {
        self.bodies = match self.bodies {
            Bodies::Hidden => Bodies::Shown,
            Bodies::Shown => Bodies::Hidden,
        };
        self.index_again();
    }

    /// Shows or masks passwords. Looks for the pattern again: it must not find what is masked.
    pub fn toggle_passwords(&mut self) {
        self.passwords = match self.passwords {
            Passwords::Masked => Passwords::Shown,
            Passwords::Shown => Passwords::Masked,
        };
        self.index_again();
    }

    /// Shows only rows that have the pattern, or all.
    pub fn filter(&mut self, pattern: Option<Pattern>) {
        self.search = pattern.map(|pattern| Search {
            pattern,
            matches: Matches::Only,
            found: VecDeque::new(),
        });
        self.index_again();
    }

    /// Goes to the next match and shows what stands around it; after the last comes the first.
    pub fn find(&mut self, direction: Direction) {
        let end = self.end();
        let Some(search) = &mut self.search else {
            return;
        };
        let (from, after) = match self.view {
            View::Following => (end, end),
            View::Held { cursor, .. } => (cursor, cursor + 1),
        };
        let found = &search.found;
        let next = match direction {
            Direction::Forward => {
                found.get(found.partition_point(|&seq| seq < after)).or(found.front())
            }
            Direction::Backward => found
                .partition_point(|&seq| seq < from)
                .checked_sub(1)
                .and_then(|place| found.get(place))
                .or(found.back()),
        };
        let Some(&seq) = next else {
            return;
        };
        search.matches = Matches::InContext;
        self.look_at(seq);
    }

    /// Moves the cursor, and the view with it.
    pub fn step(&mut self, step: Step) {
        if step == Step::Last {
            self.view = View::Following;
            return;
        }
        let (top, cursor) = self.window();
        let half = (self.page / 2).max(1);
        let up = |rows: usize| (top.saturating_sub(rows), cursor.saturating_sub(rows));
        let (top, cursor) = match step {
            Step::Up => (top, cursor.saturating_sub(1)),
            Step::Down => (top, cursor + 1),
            Step::HalfPageUp => up(half),
            Step::HalfPageDown => (top + half, cursor + half),
            Step::PageUp => up(self.page),
            Step::PageDown => (top + self.page, cursor + self.page),
            Step::First | Step::Last => (0, 0),
        };
        self.hold(top, cursor);
    }

    /// Moves the view with the wheel; at its end it follows again.
    pub fn wheel(&mut self, direction: Direction) {
        let (top, cursor) = self.window();
        match direction {
            Direction::Forward if cursor + WHEEL_ROWS >= self.len() => self.view = View::Following,
            Direction::Forward => self.hold(top + WHEEL_ROWS, cursor + WHEEL_ROWS),
            Direction::Backward => {
                self.hold(top.saturating_sub(WHEEL_ROWS), cursor.saturating_sub(WHEEL_ROWS))
            }
        }
    }

    /// Puts the cursor on the n-th row in view.
    pub fn click(&mut self, row: usize) {
        let (top, _) = self.window();
        if row < self.page && top + row < self.len() {
            self.hold(top, top + row);
        }
    }

    /// Freezes the view, or lets it follow again.
    pub fn pause(&mut self) {
        if self.is_paused() {
            self.view = View::Following;
            return;
        }
        let (top, cursor) = self.window();
        self.hold(top, cursor);
        if let View::Held { frozen, .. } = &mut self.view {
            *frozen = true;
        }
    }

    /// Follows the end, or stops following.
    pub fn follow(&mut self) {
        match self.view {
            View::Held { .. } => self.view = View::Following,
            View::Following => {
                let (top, cursor) = self.window();
                self.hold(top, cursor);
            }
        }
    }

    /// Brings the cursor into a view of `height` lines, where a row takes as many as `lines_of`
    /// says, which is at least one.
    pub fn fit(&mut self, height: usize, lines_of: impl Fn(&Row) -> usize) {
        let (_, cursor) = self.window();
        if let View::Held { top, .. } = self.view {
            let latest = self.top_for(self.reach(), height, &lines_of);
            let least = self.top_for(cursor + 1, height, &lines_of);
            let place = self.clamped(top).min(latest).min(cursor).max(least);
            let seq = self.visible().get(place).copied();
            if let (Some(seq), View::Held { top, .. }) = (seq, &mut self.view) {
                *top = seq;
            }
        }
        self.page = self.in_view(height, lines_of).1.len().max(1);
    }

    /// The rows in a view of `height` lines with their sequence numbers, and how many lines of
    /// the first are above it.
    pub fn in_view(
        &self,
        height: usize,
        lines_of: impl Fn(&Row) -> usize,
    ) -> (usize, Vec<(u64, &Row)>) {
        let reach = self.reach();
        let (place, above) = match self.view {
            View::Held { top, .. } => (self.clamped(top), 0),
            View::Following => self.place_from_end(height, &lines_of),
        };
        let mut left = height + above;
        let mut rows = Vec::new();
        for &seq in self.visible().range(place.min(reach)..reach) {
            let Some(row) = self.row(seq).filter(|_| left > 0) else {
                break;
            };
            left = left.saturating_sub(lines_of(row));
            rows.push((seq, row));
        }
        (above, rows)
    }

    /// How far down the view is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { above: self.window().0, page: self.page, all: self.len() }
    }

    /// The sequence number that the next row gets.
    fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    fn row(&self, seq: u64) -> Option<&Row> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.rows.get(index)
    }

    fn visible(&self) -> &VecDeque<u64> {
        match &self.search {
            Some(search) if search.matches == Matches::Only => &search.found,
            _ => &self.base,
        }
    }

    /// Where among the visible rows the first is that is not older than `seq`.
    fn place_of(&self, seq: u64) -> usize {
        self.visible().partition_point(|&visible| visible < seq)
    }

    /// As [`place_of`](Self::place_of), and never past the last row that may be seen.
    fn clamped(&self, seq: u64) -> usize {
        self.place_of(seq).min(self.reach().saturating_sub(1))
    }

    /// How many of the visible rows may be in view.
    fn reach(&self) -> usize {
        match self.view {
            View::Held { since, frozen: true, .. } => self.place_of(since),
            _ => self.len(),
        }
    }

    /// The places of the first row in view and of the cursor.
    fn window(&self) -> (usize, usize) {
        match self.view {
            View::Held { top, cursor, .. } => (self.clamped(top), self.clamped(cursor)),
            View::Following => {
                let end = self.len();
                (end.saturating_sub(self.page), end.saturating_sub(1))
            }
        }
    }

    fn hold(&mut self, top: usize, cursor: usize) {
        let since = match self.view {
            View::Held { since, .. } => since,
            View::Following => self.end(),
        };
        let last = self.len().saturating_sub(1);
        let seq_at = |place: usize| self.visible().get(place.min(last)).copied();
        self.view = View::Held {
            top: seq_at(top).unwrap_or(since),
            cursor: seq_at(cursor).unwrap_or(since),
            since,
            frozen: false,
        };
    }

    /// Puts the cursor on a row; if it was out of view, into the middle.
    fn look_at(&mut self, seq: u64) {
        let (top, _) = self.window();
        let place = self.place_of(seq);
        let is_in_view = (top..top + self.page).contains(&place);
        let middle = place.saturating_sub(self.page / 2);
        self.hold(if is_in_view { top } else { middle }, place);
    }

    /// The first place from which the rows up to `end` fit into `height` lines; at least the last
    /// row does.
    fn top_for(&self, end: usize, height: usize, lines_of: impl Fn(&Row) -> usize) -> usize {
        let mut left = height;
        let mut top = end;
        while let Some(place) = top.checked_sub(1) {
            let lines = self.lines_at(place, &lines_of);
            if lines > left && top < end {
                break;
            }
            left = left.saturating_sub(lines);
            top = place;
            if left == 0 {
                break;
            }
        }
        top
    }

    /// The place of the row, and how many of its lines are above, where the view ends with the
    /// last row.
    fn place_from_end(&self, height: usize, lines_of: impl Fn(&Row) -> usize) -> (usize, usize) {
        let mut left = height;
        let mut place = self.reach();
        while left > 0 && place > 0 {
            place -= 1;
            let lines = self.lines_at(place, &lines_of);
            if lines > left {
                return (place, lines - left);
            }
            left -= lines;
        }
        (place, 0)
    }

    fn lines_at(&self, place: usize, lines_of: impl Fn(&Row) -> usize) -> usize {
        let row = self.visible().get(place).and_then(|&seq| self.row(seq));
        row.map_or(1, lines_of)
    }

    fn index_again(&mut self) {
        self.base.clear();
        self.by_connection.clear();
        if let Some(search) = &mut self.search {
            search.found.clear();
        }
        for seq in self.first..self.end() {
            self.index(seq);
        }
    }

    fn index(&mut self, seq: u64) {
        let Some(row) = self.row(seq) else {
            return;
        };
        if row.is_body() && self.bodies == Bodies::Hidden {
            return;
        }
        let connection = row.connection().map(|name| name.id);
        let is_let_through = match (self.only, connection) {
            (Some(only), Some(id)) => only.id == id,
            _ => true,
        };
        let is_found = is_let_through
            && self.search.as_ref().is_some_and(|search| {
                let text = row.text(self.passwords);
                search.pattern.is_in(text.as_str())
            });
        if let Some(id) = connection {
            self.by_connection.entry(id).or_default().push_back(seq);
        }
        if is_let_through {
            self.base.push_back(seq);
        }
        if let Some(search) = self.search.as_mut().filter(|_| is_found) {
            search.found.push_back(seq);
        }
    }

    fn forget_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else {
            return;
        };
        let seq = self.first;
        self.first += 1;
        self.octets -= row.octets();
        forget(&mut self.base, seq);
        if let Some(search) = &mut self.search {
            forget(&mut search.found, seq);
        }
        let Some(id) = row.connection().map(|name| name.id) else {
            return;
        };
        if let Some(rows) = self.by_connection.get_mut(&id) {
            forget(rows, seq);
            if rows.is_empty() {
                self.by_connection.remove(&id);
            }
        }
    }
}

fn forget(index: &mut VecDeque<u64>, seq: u64) {
    if index.front() == Some(&seq) {
        index.pop_front();
    }
}
