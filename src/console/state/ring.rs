//! The newest rows of the transcript, and the indices of those that are let through.
//!
//! Every row has a sequence number, and everything that refers to rows does so by number: removing
//! the oldest rows never moves what the user is reading. The rows that are let through are kept as
//! indices that are updated with each row, so that the cost of a frame depends on what is visible,
//! not on what is kept.
//!
//! When newer rows push out rows of the connection that the transcript is narrowed to, or rows that
//! a filter has found, these are set aside: a flood must not remove what the user has picked out of
//! it.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use crate::console::action::Direction;
use crate::console::state::filter::Filter;
use crate::console::state::row::Row;
use crate::watch::event::{ConnectionName, Passwords};

/// Octets of all kept rows together; beyond that the oldest are removed, however few rows there
/// are.
const MOST_OCTETS: usize = 32 * 1024 * 1024;

/// Whether message text is shown line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bodies {
    /// One row shows the size of the text.
    #[default]
    Hidden,
    /// All lines of it that were kept are shown.
    Shown,
}

/// The rows set aside take at most one part in this many of the room for all rows.
const ASIDE_SHARE: usize = 2;

/// Connections that are remembered although none of their rows are kept.
const MOST_SILENT: usize = 20_000;

/// Which rows a filter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matches {
    /// Only rows that match.
    Only,
    /// All rows, with the matches marked.
    InContext,
}

#[derive(Debug, Clone)]
struct Search {
    filter: Filter,
    matches: Matches,
    /// The rows of `base` that the filter lets through.
    found: VecDeque<u64>,
}

/// The rows that are kept. A *place* is a position among those that are let through.
#[derive(Debug, Clone)]
pub struct Ring {
    rows: VecDeque<Row>,
    /// The sequence number of the oldest row in `rows`.
    first: u64,
    /// Older rows that were set aside, with their sequence numbers, in order.
    aside: VecDeque<(u64, Row)>,
    aside_octets: usize,
    /// Octets of all rows, including those set aside.
    octets: usize,
    /// The number of rows that were let through and are no longer kept.
    forgotten: u64,
    most_rows: usize,
    skipped: u64,
    bodies: Bodies,
    passwords: Passwords,
    only: Option<ConnectionName>,
    /// The rows that `bodies` and `only` let through, by sequence number, in order.
    base: VecDeque<u64>,
    search: Option<Search>,
    /// What is known of each connection, by its id.
    connections: FxHashMap<u64, Connection>,
}

/// What is known of a connection. A connection may be silent for so long that none of its rows are
/// kept, and then continue.
#[derive(Debug, Clone, Default)]
struct Connection {
    /// When it began, if known.
    began: Option<SystemTime>,
    is_closed: bool,
    /// The number of its rows that are kept.
    kept: usize,
    /// Those of them that `bodies` lets through.
    rows: VecDeque<u64>,
}

impl Ring {
    /// A ring that keeps at most `most_rows` rows, and at least one.
    #[must_use]
    pub fn new(most_rows: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            first: 0,
            aside: VecDeque::new(),
            aside_octets: 0,
            octets: 0,
            forgotten: 0,
            most_rows: most_rows.max(1),
            skipped: 0,
            bodies: Bodies::Hidden,
            passwords: Passwords::Masked,
            only: None,
            base: VecDeque::new(),
            search: None,
            connections: FxHashMap::default(),
        }
    }

    /// Adds a row; the oldest are removed if there is no room.
    pub fn push(&mut self, row: Row) {
        if let Row::Skipped(lines) = row {
            self.skipped += lines;
            if let Some(Row::Skipped(before)) = self.rows.back_mut() {
                *before += lines;
                self.look_again_at_last();
                return;
            }
        }
        self.octets += row.octets();
        self.meet(&row);
        self.keep(&row);
        self.index(self.end(), &row);
        self.rows.push_back(row);
        while self.rows.len() + self.aside.len() > self.most_rows || self.octets > MOST_OCTETS {
            let is_much = self.aside.len() > self.most_rows / ASIDE_SHARE
                || self.aside_octets > MOST_OCTETS / ASIDE_SHARE;
            if is_much {
                self.forget_aside();
            } else {
                self.let_oldest_go();
            }
        }
    }

    /// The sequence number of the next row.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// The number of rows that have ever been let through, whether they are still kept or not. Two
    /// values can be compared only if the filters have not changed in between.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.forgotten + self.len() as u64
    }

    /// The number of rows that are let through.
    #[must_use]
    pub fn len(&self) -> usize {
        self.visible().len()
    }

    /// Whether no row is let through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.visible().is_empty()
    }

    /// The row at a place, and its sequence number.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<(u64, &Row)> {
        let seq = *self.visible().get(place)?;
        Some((seq, self.row(seq)?))
    }

    /// The rows from a place on, with their sequence numbers.
    pub fn from(&self, place: usize) -> impl Iterator<Item = (u64, &Row)> {
        let seqs = self.visible().range(place.min(self.len())..);
        seqs.filter_map(|&seq| Some((seq, self.row(seq)?)))
    }

    /// The place of the first row with this sequence number or a later one; [`len`](Self::len) if
    /// there is none.
    #[must_use]
    pub fn place_of(&self, seq: u64) -> usize {
        self.visible().partition_point(|&visible| visible < seq)
    }

    /// The rows of one connection, regardless of narrowing and filter.
    #[must_use]
    pub fn of(&self, connection: u64) -> impl DoubleEndedIterator<Item = &Row> {
        let known = self.connections.get(&connection);
        known.into_iter().flat_map(|known| &known.rows).filter_map(|&seq| self.row(seq))
    }

    /// The number of rows that were skipped since the start.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether passwords are shown.
    #[must_use]
    pub const fn passwords(&self) -> Passwords {
        self.passwords
    }

    /// The connection that the rows are narrowed to.
    #[must_use]
    pub const fn only(&self) -> Option<ConnectionName> {
        self.only
    }

    /// Whether message text is shown line by line.
    #[must_use]
    pub const fn bodies(&self) -> Bodies {
        self.bodies
    }

    /// The filter, and which rows it shows.
    #[must_use]
    pub fn search(&self) -> Option<(&Filter, Matches)> {
        let search = self.search.as_ref()?;
        Some((&search.filter, search.matches))
    }

    /// When the connection of a row began, if known.
    #[must_use]
    pub fn start_of(&self, row: &Row) -> Option<SystemTime> {
        self.connections.get(&row.connection()?.id)?.began
    }

    /// Whether a connection is open, as far as its rows show.
    #[must_use]
    pub fn is_open(&self, connection: u64) -> bool {
        self.connections.get(&connection).is_some_and(|known| !known.is_closed)
    }

    /// How long this reply took, if the row is a reply and the line that it answers is the one
    /// before it on its connection.
    #[must_use]
    pub fn took(&self, seq: u64) -> Option<Duration> {
        let row = self.row(seq).filter(|row| row.is_reply())?;
        let rows = &self.connections.get(&row.connection()?.id)?.rows;
        let place = rows.binary_search(&seq).ok()?.checked_sub(1)?;
        let before = self.row(*rows.get(place)?).filter(|before| before.is_answered())?;
        row.at()?.duration_since(before.at()?).ok()
    }

    /// The time of the row before this one, among those that are let through.
    #[must_use]
    pub fn before(&self, seq: u64) -> Option<SystemTime> {
        let mut rows = (0..self.place_of(seq)).rev().filter_map(|place| self.at(place));
        rows.find_map(|(_, row)| row.at())
    }

    /// The number of rows that match the filter; 0 without a filter.
    #[must_use]
    pub fn found(&self) -> usize {
        self.search.as_ref().map_or(0, |search| search.found.len())
    }

    /// Lets all rows through, or only those of one connection.
    pub fn narrow(&mut self, only: Option<ConnectionName>) {
        self.only = only;
        self.index_again();
    }

    /// Lets message text through, or hides it.
    pub fn toggle_bodies(&mut self) {
        self.bodies = match self.bodies {
            Bodies::Hidden => Bodies::Shown,
            Bodies::Shown => Bodies::Hidden,
        };
        self.index_again();
    }

    /// Shows or masks passwords, and applies the filter again: it must not find masked text.
    pub fn toggle_passwords(&mut self) {
        self.passwords = match self.passwords {
            Passwords::Masked | Passwords::OfPass => Passwords::Shown,
            Passwords::Shown => Passwords::Masked,
        };
        self.search_again();
    }

    /// A number that the filter names may have come to belong to a newer connection.
    fn meet(&mut self, row: &Row) {
        let Some((search, name)) = self.search.as_mut().zip(row.connection()) else { return };
        if search.filter.meets(name) {
            self.search_again();
        }
    }

    /// Lets only matching rows through, or (`None`) all.
    pub fn filter(&mut self, filter: Option<Filter>) {
        match (&mut self.search, filter) {
            (Some(search), Some(filter)) if search.filter == filter => {
                search.matches = Matches::Only;
            }
            (search, mut filter) => {
                if let Some(filter) = &mut filter {
                    let kept = self.aside.iter().map(|(_, row)| row).chain(&self.rows);
                    kept.filter_map(Row::connection).for_each(|name| _ = filter.meets(name));
                }
                let found = VecDeque::new();
                *search = filter.map(|filter| Search { filter, matches: Matches::Only, found });
                self.search_again();
            }
        }
    }

    /// The next match after `seq`, or the previous one before it; at the end it starts again from
    /// the other end. From then on all rows are let through, with the matches among them. Matches
    /// that were set aside are dropped, because the rows around them are no longer kept; for a
    /// narrowed transcript these are set aside too, and nothing is dropped.
    pub fn find(&mut self, seq: u64, direction: Direction) -> Option<u64> {
        let last = *self.search.as_ref()?.found.back()?;
        if self.only.is_none() && last < self.first {
            return None;
        }
        if let Some(search) = &mut self.search {
            search.matches = Matches::InContext;
        }
        if self.only.is_none() && !self.aside.is_empty() {
            self.index_again();
        }
        let found = &self.search.as_ref()?.found;
        let next = match direction {
            Direction::Forward => {
                found.get(found.partition_point(|&match_| match_ <= seq)).or(found.front())
            }
            Direction::Backward => found
                .partition_point(|&match_| match_ < seq)
                .checked_sub(1)
                .and_then(|place| found.get(place))
                .or(found.back()),
        };
        next.copied()
    }

    fn row(&self, seq: u64) -> Option<&Row> {
        if let Some(index) = seq.checked_sub(self.first) {
            return self.rows.get(usize::try_from(index).ok()?);
        }
        let place = self.aside.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        Some(&self.aside.get(place)?.1)
    }

    fn visible(&self) -> &VecDeque<u64> {
        match &self.search {
            Some(search) if search.matches == Matches::Only => &search.found,
            _ => &self.base,
        }
    }

    /// Applies the filter anew to the rows of `base`; the other indices stay as they are.
    fn search_again(&mut self) {
        if !self.aside.is_empty() {
            self.index_again();
            return;
        }
        let Some(mut search) = self.search.take() else { return };
        let is_found = |seq: &u64| {
            let row = self.row(*seq);
            row.is_some_and(|row| search.filter.lets_through(row, self.passwords))
        };
        search.found = self.base.iter().copied().filter(is_found).collect();
        self.search = Some(search);
    }

    fn index_again(&mut self) {
        let aside = mem::take(&mut self.aside);
        let (aside, unwanted) = aside.into_iter().partition(|(_, row)| self.is_picked_out(row));
        self.aside = aside;
        for (seq, row) in &unwanted {
            self.aside_octets -= row.octets();
            self.octets -= row.octets();
            self.forget(*seq, row);
        }
        self.base.clear();
        self.connections.values_mut().for_each(|known| known.rows.clear());
        if let Some(search) = &mut self.search {
            search.found.clear();
        }
        self.index_aside();
        let rows = mem::take(&mut self.rows);
        for (seq, row) in (self.first..).zip(&rows) {
            self.index(seq, row);
        }
        self.rows = rows;
    }

    fn index_aside(&mut self) {
        if self.only.is_some() {
            let aside = mem::take(&mut self.aside);
            for (seq, row) in &aside {
                self.index(*seq, row);
            }
            self.aside = aside;
        } else if let Some(search) = &mut self.search {
            // These are not in `base`: the rows that were between them are gone.
            search.found.extend(self.aside.iter().map(|(seq, _)| *seq));
        }
    }

    /// Whether a row is set aside when newer rows push it out. For a narrowed transcript this
    /// includes message text, even while it is hidden.
    fn is_picked_out(&self, row: &Row) -> bool {
        match (self.only, &self.search) {
            (Some(only), _) => row.connection().is_none_or(|name| name.id == only.id),
            (None, Some(search)) if search.matches == Matches::Only => {
                !self.is_hidden(row) && search.filter.lets_through(row, self.passwords)
            }
            _ => false,
        }
    }

    fn is_hidden(&self, row: &Row) -> bool {
        row.is_body() && self.bodies == Bodies::Hidden
    }

    fn index(&mut self, seq: u64, row: &Row) {
        if self.is_hidden(row) {
            return;
        }
        let connection = row.connection().map(|name| name.id);
        if let Some(known) = connection.and_then(|id| self.connections.get_mut(&id)) {
            known.rows.push_back(seq);
        }
        let is_let_through = match (self.only, connection) {
            (Some(only), Some(id)) => only.id == id,
            _ => true,
        };
        if !is_let_through {
            return;
        }
        self.base.push_back(seq);
        if self.is_found(row)
            && let Some(search) = &mut self.search
        {
            search.found.push_back(seq);
        }
    }

    /// Updates the matches after the text of the last row has changed.
    fn look_again_at_last(&mut self) {
        let last = self.end() - 1;
        let is_found = self.rows.back().is_some_and(|row| self.is_found(row));
        let Some(search) = &mut self.search else { return };
        if search.found.back() == Some(&last) {
            search.found.pop_back();
        }
        if is_found {
            search.found.push_back(last);
        }
    }

    fn is_found(&self, row: &Row) -> bool {
        let search = self.search.as_ref();
        search.is_some_and(|search| search.filter.lets_through(row, self.passwords))
    }

    /// Records a row that is about to be kept.
    fn keep(&mut self, row: &Row) {
        let Some(name) = row.connection() else { return };
        // Every other connection has at least one kept row, so the excess must be silent ones.
        if self.connections.len() > MOST_SILENT + self.rows.len() + self.aside.len() {
            self.connections.retain(|_, known| known.kept > 0);
        }
        let known = self.connections.entry(name.id).or_default();
        known.began = known.began.or(row.at());
        known.kept += 1;
        known.is_closed |= row.is_end();
    }

    /// Removes the oldest row: sets it aside, or forgets it.
    fn let_oldest_go(&mut self) {
        let Some(row) = self.rows.pop_front() else {
            return;
        };
        let seq = self.first;
        self.first += 1;
        let is_picked_out = match (self.only, &self.search) {
            (None, Some(search)) if search.matches == Matches::Only => {
                // The matches before this one are the rows set aside, so it is a match if it comes
                // next.
                search.found.get(self.aside.len()) == Some(&seq)
            }
            _ => self.is_picked_out(&row),
        };
        if !is_picked_out {
            self.octets -= row.octets();
            self.forget(seq, &row);
            return;
        }
        if self.only.is_none() {
            forget(&mut self.base, seq);
            let known = row.connection().and_then(|name| self.connections.get_mut(&name.id));
            if let Some(known) = known {
                forget(&mut known.rows, seq);
            }
        }
        self.aside_octets += row.octets();
        self.aside.push_back((seq, row));
    }

    fn forget_aside(&mut self) {
        if let Some((seq, row)) = self.aside.pop_front() {
            self.aside_octets -= row.octets();
            self.octets -= row.octets();
            self.forget(seq, &row);
        }
    }

    /// Removes the oldest row from the indices that it is in.
    fn forget(&mut self, seq: u64, row: &Row) {
        self.forgotten += u64::from(self.visible().front() == Some(&seq));
        forget(&mut self.base, seq);
        if let Some(search) = &mut self.search {
            forget(&mut search.found, seq);
        }
        let Some(name) = row.connection() else { return };
        let Some(known) = self.connections.get_mut(&name.id) else { return };
        known.kept -= 1;
        forget(&mut known.rows, seq);
        if known.kept == 0 {
            known.rows = VecDeque::new();
            if known.is_closed {
                self.connections.remove(&name.id);
            }
        }
    }
}

fn forget(index: &mut VecDeque<u64>, seq: u64) {
    if index.front() == Some(&seq) {
        index.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::console::state::tests::{closed, event, line, name, text_line};
    use crate::watch::event::{Event, KeptLine, Kind, Service, Side};

    fn filter(typed: &str) -> Option<Filter> {
        Filter::parse(typed).unwrap()
    }

    fn texts(ring: &Ring) -> Vec<String> {
        ring.from(0).map(|(_, row)| row.text(ring.passwords()).into_string()).collect()
    }

    fn ring(rows: impl IntoIterator<Item = Row>) -> Ring {
        let mut ring = Ring::new(1_000);
        rows.into_iter().for_each(|row| ring.push(row));
        ring
    }

    #[test]
    fn the_oldest_rows_go_and_the_others_keep_their_numbers() {
        let mut ring = Ring::new(2);
        for word in ["one", "two", "three"] {
            ring.push(line(1, word));
        }
        assert_eq!(texts(&ring), ["[1] C: two", "[1] C: three"]);
        assert_eq!(ring.at(0).map(|(seq, _)| seq), Some(1));
    }

    #[test]
    fn rows_are_bounded_by_their_octets_too() {
        let mut ring = Ring::new(usize::MAX);
        let long = "x".repeat(4_096);
        for _ in 0..9_000 {
            ring.push(line(1, &long));
        }
        assert!(ring.octets <= MOST_OCTETS && ring.len() < 9_000);
    }

    #[test]
    fn message_text_is_there_once_it_is_asked_for() {
        let mut ring = ring([line(1, "DATA"), text_line(1, "Subject: x"), line(1, ".")]);
        assert_eq!(texts(&ring), ["[1] C: DATA", "[1] C: ."]);
        ring.toggle_bodies();
        assert_eq!(texts(&ring), ["[1] C: DATA", "[1] C: Subject: x", "[1] C: ."]);
    }

    #[test]
    fn narrowed_rows_are_of_one_connection_and_tell_what_was_skipped() {
        let mut ring = ring([line(1, "a"), Row::Skipped(3), line(2, "b"), closed(1)]);
        let name = ring.at(0).and_then(|(_, row)| row.connection());
        ring.narrow(name);
        assert_eq!(texts(&ring), ["[1] C: a", "… 3 lines skipped …", "[1] Connection closed"]);
    }

    #[test]
    fn skips_in_a_row_are_one_row() {
        let ring = ring([Row::Skipped(3), Row::Skipped(4)]);
        assert_eq!(texts(&ring), ["… 7 lines skipped …"]);
        assert_eq!(ring.skipped(), 7);
    }

    #[test]
    fn a_number_follows_its_newest_connection() {
        let mut ring = Ring::new(100);
        let line = |id| {
            let connection = ConnectionName { id, number: 7, service: Service::Echo };
            let kind = Kind::Line(Side::Client, KeptLine::new(b"NOOP"));
            Row::Event(Event { connection, at: SystemTime::UNIX_EPOCH, kind })
        };
        for id in [1, 1, 2] {
            ring.push(line(id));
        }
        ring.filter(filter("[7]"));
        assert_eq!(ring.len(), 1);
        ring.push(line(2));
        assert_eq!(ring.len(), 2);
        ring.push(line(3));
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn a_filter_goes_on_filtering_what_comes() {
        let mut ring = ring([line(1, "NOOP"), line(1, "QUIT")]);
        ring.filter(Filter::parse("noop").unwrap());
        ring.push(line(2, "NOOP"));
        ring.push(line(2, "RSET"));
        assert_eq!(texts(&ring), ["[1] C: NOOP", "[2] C: NOOP"]);
    }

    #[test]
    fn a_filter_is_changed_and_taken_back() {
        let mut ring = ring([line(1, "NOOP"), line(1, "QUIT"), line(2, "NOOP")]);
        for (typed, rows) in [("[2]", 1), ("noop", 2), ("[2] quit", 0), ("", 3)] {
            ring.filter(filter(typed));
            assert_eq!(ring.len(), rows, "{typed}");
        }
    }

    #[test]
    fn the_same_filter_again_shows_only_the_matches_again() {
        let mut ring = ring([line(1, "NOOP"), line(1, "QUIT")]);
        ring.filter(filter("noop"));
        ring.find(0, Direction::Forward);
        assert_eq!(ring.len(), 2);
        ring.filter(filter("noop"));
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn what_is_masked_cannot_be_looked_for() {
        let mut ring = ring([line(1, "PASS cis505")]);
        ring.filter(Filter::parse("cis505").unwrap());
        assert!(ring.is_empty());
        ring.toggle_passwords();
        assert_eq!(texts(&ring), ["[1] C: PASS cis505"]);
    }

    #[test]
    fn matches_are_found_in_turn_and_shown_in_context() {
        let mut ring = ring([line(1, "a"), line(1, "b"), line(1, "a")]);
        ring.filter(Filter::parse("C: /a$/").unwrap());
        assert_eq!(ring.len(), 2);
        assert_eq!(ring.find(0, Direction::Forward), Some(2));
        assert_eq!(ring.find(2, Direction::Forward), Some(0));
        assert_eq!(ring.find(0, Direction::Backward), Some(2));
        assert_eq!(ring.len(), 3);
    }

    #[test]
    fn when_a_connection_began_is_known_after_its_first_row_is_gone() {
        let mut ring = Ring::new(1);
        let at = |row: Row, second| match row {
            Row::Event(event) => {
                let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
                Row::Event(crate::watch::event::Event { at, ..event })
            }
            other => other,
        };
        ring.push(at(line(1, "a"), 1));
        ring.push(at(line(2, "b"), 2));
        ring.push(at(line(1, "c"), 9));
        let row = at(line(1, "d"), 10);
        assert_eq!(
            ring.start_of(&row),
            line(1, "").at().map(|t| t + std::time::Duration::from_secs(1))
        );
        ring.push(closed(1));
        ring.push(line(2, "e"));
        assert_eq!(ring.start_of(&row), None);
        assert!(ring.connections.contains_key(&2));
    }

    #[test]
    fn a_silent_connection_has_no_rows() {
        let mut ring = Ring::new(1);
        ring.push(line(1, "a"));
        ring.push(line(2, "b"));
        assert!(ring.connections[&1].rows.capacity() == 0);
        assert_eq!(ring.of(1).count(), 0);
        assert_eq!(ring.of(2).count(), 1);
    }

    #[derive(Debug, Clone)]
    enum Happening {
        Said(u64, Side, &'static str),
        Text(u64),
        Skipped(u64),
        Filter(&'static str),
        Narrow(Option<u64>),
        Find(Direction),
        Bodies,
        Passwords,
    }

    fn any_happening() -> impl Strategy<Value = Happening> {
        let id = || 1..4_u64;
        let side = prop::sample::select(vec![Side::Client, Side::Server]);
        let text = prop::sample::select(vec!["NOOP", "PASS noop", "-ERR no", "RETR 12"]);
        let typed = vec!["", "no", "C:", "S: no", "[2]", "[1] [3] /^.*no$/", "@smtp", "@pop3 12"];
        let direction = prop::sample::select(vec![Direction::Forward, Direction::Backward]);
        prop_oneof![
            6 => (id(), side, text).prop_map(|(id, side, text)| Happening::Said(id, side, text)),
            2 => id().prop_map(Happening::Text),
            1 => (1..9_u64).prop_map(Happening::Skipped),
            3 => prop::sample::select(typed).prop_map(Happening::Filter),
            1 => prop::option::of(id()).prop_map(Happening::Narrow),
            1 => direction.prop_map(Happening::Find),
            1 => Just(Happening::Bodies),
            1 => Just(Happening::Passwords),
        ]
    }

    fn happen(ring: &mut Ring, happening: &Happening) {
        match *happening {
            Happening::Said(id, side, text) => {
                ring.push(event(id, Kind::Line(side, KeptLine::new(text.as_bytes()))));
            }
            Happening::Text(id) => ring.push(text_line(id, "no text")),
            Happening::Skipped(lines) => ring.push(Row::Skipped(lines)),
            Happening::Filter(typed) => ring.filter(filter(typed)),
            Happening::Narrow(id) => ring.narrow(id.map(name)),
            Happening::Find(direction) => {
                ring.find(ring.end(), direction);
            }
            Happening::Bodies => ring.toggle_bodies(),
            Happening::Passwords => ring.toggle_passwords(),
        }
    }

    #[test]
    fn a_flood_leaves_the_connection_that_is_looked_at() {
        let mut ring = Ring::new(10);
        for row in [line(1, "NOOP"), text_line(1, "Subject: x"), line(2, "a"), line(1, "QUIT")] {
            ring.push(row);
        }
        ring.narrow(Some(name(1)));
        for n in 0..1_000 {
            ring.push(line(2, &n.to_string()));
        }
        ring.push(closed(1));
        assert_eq!(texts(&ring), ["[1] C: NOOP", "[1] C: QUIT", "[1] Connection closed"]);
        ring.toggle_bodies();
        assert_eq!(ring.len(), 4);
        assert_eq!(ring.of(1).count(), 4);
        assert_eq!(ring.rows.len() + ring.aside.len(), 10);
        let newest = ring.end() - 1;
        ring.filter(filter("o"));
        assert_eq!(ring.find(newest, Direction::Forward), Some(0));
        ring.narrow(None);
        assert_eq!(ring.aside.len(), 0);
        assert_eq!(texts(&ring).first().map(String::as_str), Some("[2] C: 994"));
    }

    #[test]
    fn a_flood_leaves_what_a_filter_has_found() {
        let mut ring = Ring::new(10);
        ring.push(line(1, "STAT"));
        ring.filter(filter("STAT"));
        for n in 0..1_000 {
            ring.push(line(2, &n.to_string()));
        }
        assert_eq!(texts(&ring), ["[1] C: STAT"]);
        // What stood around it is gone.
        assert_eq!(ring.find(0, Direction::Forward), None);
        assert_eq!(texts(&ring), ["[1] C: STAT"]);
        ring.filter(None);
        assert_eq!(texts(&ring).first().map(String::as_str), Some("[2] C: 991"));
    }

    #[test]
    fn of_what_is_picked_out_the_oldest_goes_where_there_is_no_room() {
        let mut ring = Ring::new(10);
        ring.narrow(Some(name(1)));
        for n in 0..100 {
            ring.push(line(1, &n.to_string()));
            ring.push(line(2, "a"));
        }
        assert_eq!(ring.rows.len() + ring.aside.len(), 10);
        let expected: Vec<_> = (93..100).map(|n| format!("[1] C: {n}")).collect();
        assert_eq!(texts(&ring), expected);
    }

    /// What is let through, looked at row by row.
    fn naive(ring: &Ring) -> (Vec<u64>, Vec<u64>) {
        let is_of_base = |row: &Row| {
            let is_narrowed_to =
                |only: ConnectionName| row.connection().is_none_or(|name| name.id == only.id);
            (ring.bodies == Bodies::Shown || !row.is_body()) && ring.only.is_none_or(is_narrowed_to)
        };
        let aside = ring.aside.iter().map(|(seq, row)| (*seq, row));
        let rows = aside.chain((ring.first..).zip(&ring.rows));
        let rows = rows.filter(|(_, row)| is_of_base(row));
        let search = ring.search();
        let is_found =
            |row: &Row| search.is_some_and(|(filter, _)| filter.lets_through(row, ring.passwords));
        let found = rows.clone().filter(|(_, row)| is_found(row)).map(|(seq, _)| seq).collect();
        // What a filter has picked out of all connections has lost its context.
        let is_in_context = |seq: &u64| ring.only.is_some() || *seq >= ring.first;
        let base = rows.map(|(seq, _)| seq).filter(is_in_context).collect();
        (base, found)
    }

    proptest! {
        #[test]
        fn whatever_happens_a_naive_filter_lets_the_same_rows_through(
            happenings in prop::collection::vec(any_happening(), 0..80),
        ) {
            let mut ring = Ring::new(12);
            for happening in &happenings {
                happen(&mut ring, happening);
                let (base, found) = naive(&ring);
                let shown: Vec<u64> = ring.from(0).map(|(seq, _)| seq).collect();
                let is_only = matches!(ring.search(), Some((_, Matches::Only)));
                prop_assert_eq!(shown, if is_only { &found } else { &base }.clone());
                prop_assert_eq!(ring.found(), found.len());
                prop_assert!(ring.aside.iter().all(|(_, row)| ring.is_picked_out(row)));
                prop_assert!(ring.aside.len() + ring.rows.len() <= 12);
                let all = ring.aside.iter().map(|(_, row)| row).chain(&ring.rows);
                prop_assert_eq!(ring.octets, all.map(Row::octets).sum::<usize>());
            }
        }
    }
}
