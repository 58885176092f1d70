//! The user's view of the transcript: following its end, paused, or held at a place.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::console::action::{Direction, Step};
use crate::console::state::extent::Extent;
use crate::console::state::filter::Filter;
use crate::console::state::ring::Ring;
use crate::console::state::row::Row;
use crate::watch::event::ConnectionName;

/// Rows that one turn of the mouse wheel moves.
const WHEEL_ROWS: usize = 3;

/// Rows that a paused view copies: more than any terminal shows.
const PAUSED_ROWS: usize = 256;

/// The place in the transcript that the view shows.
#[derive(Debug, Clone)]
enum View {
    /// The end, which moves with every new row.
    Following,
    /// Copies of the rows, because a flood may push them out of the ring while the view is paused.
    Paused {
        rows: Vec<(u64, Row)>,
        /// When their connections began, by connection id.
        starts: HashMap<u64, SystemTime>,
        /// The sequence number of the first row that arrived after following ended.
        since: u64,
        /// The place that was held before, if the view did not follow the end. The copied rows then
        /// begin with the first row in view.
        held: Option<Place>,
    },
    /// A place with a cursor.
    Held {
        place: Place,
        /// The sequence number of the first row that arrived after following ended.
        since: u64,
    },
}

/// A place in the rows, by sequence numbers.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The first row in view.
    top: u64,
    cursor: u64,
}

/// The transcript rows that are kept, and the view of them.
#[derive(Debug, Clone)]
pub struct Scrollback {
    ring: Ring,
    view: View,
    /// The number of rows in view, as last fitted.
    page: usize,
    /// The value of [`Ring::ever`] when following ended.
    ever_then: u64,
}

impl Scrollback {
    /// A scrollback that keeps at most `most_rows` rows.
    #[must_use]
    pub fn new(most_rows: usize) -> Self {
        Self { ring: Ring::new(most_rows), view: View::Following, page: 1, ever_then: 0 }
    }

    /// The rows that are kept.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.ring.push(row);
    }

    /// Whether the view follows the end.
    #[must_use]
    pub const fn is_following(&self) -> bool {
        matches!(self.view, View::Following)
    }

    /// Whether the view is paused.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        matches!(self.view, View::Paused { .. })
    }

    /// The number of shown rows that arrived since following ended.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        match self.view {
            View::Following => 0,
            View::Paused { .. } | View::Held { .. } => {
                self.ring.ever().saturating_sub(self.ever_then)
            }
        }
    }

    /// Counts the unseen rows anew after the filters have changed. Of the rows that arrived since
    /// following ended, only those that are still kept can be counted.
    fn count_again(&mut self) {
        if let View::Paused { since, .. } | View::Held { since, .. } = self.view {
            self.ever_then = self.ring.ever() - self.kept_since(since);
        }
    }

    fn kept_since(&self, since: u64) -> u64 {
        (self.ring.len() - self.ring.place_of(since)) as u64
    }

    /// The row under the cursor, which exists only once the user has moved it.
    #[must_use]
    pub fn cursor(&self) -> Option<(u64, &Row)> {
        match self.view {
            View::Held { place, .. } => self.ring.at(self.clamped(place.cursor)),
            View::Paused { ref rows, held: Some(place), .. } => {
                let row = rows.iter().find(|(seq, _)| *seq >= place.cursor);
                row.map(|(seq, row)| (*seq, row))
            }
            View::Following | View::Paused { .. } => None,
        }
    }

    /// The row under the cursor, or without a cursor the newest row that is shown.
    #[must_use]
    pub fn cursor_or_newest(&self) -> Option<&Row> {
        match &self.view {
            View::Held { .. } | View::Paused { held: Some(_), .. } => {
                self.cursor().map(|(_, row)| row)
            }
            View::Paused { rows, .. } => rows.last().map(|(_, row)| row),
            View::Following => self.ring.at(self.ring.len().checked_sub(1)?).map(|(_, row)| row),
        }
    }

    /// When the connection of a row in view began, if known.
    #[must_use]
    pub fn start_of(&self, row: &Row) -> Option<SystemTime> {
        match &self.view {
            View::Paused { starts, .. } => starts.get(&row.connection()?.id).copied(),
            View::Following | View::Held { .. } => self.ring.start_of(row),
        }
    }

    /// The time of the row that is shown before the one with this sequence number.
    #[must_use]
    pub fn before(&self, seq: u64) -> Option<SystemTime> {
        match &self.view {
            View::Paused { rows, .. } => {
                let before = rows.iter().take_while(|(shown, _)| *shown < seq);
                before.filter_map(|(_, row)| row.at()).last()
            }
            View::Following | View::Held { .. } => self.ring.before(seq),
        }
    }

    /// Shows one connection or all of them, and goes to the end.
    pub fn narrow(&mut self, only: Option<ConnectionName>) {
        self.view = View::Following;
        self.ring.narrow(only);
    }

    /// Shows or hides message text.
    pub fn toggle_bodies(&mut self) {
        self.go_on();
        self.ring.toggle_bodies();
        self.count_again();
    }

    /// Shows or masks passwords.
    pub fn toggle_passwords(&mut self) {
        self.ring.toggle_passwords();
        self.count_again();
    }

    /// Shows only the rows that pass the filter, or all.
    pub fn filter(&mut self, filter: Option<Filter>) {
        self.go_on();
        self.ring.filter(filter);
        self.count_again();
    }

    /// Goes to the next match and shows the rows around it; after the last match comes the first.
    /// Returns whether there is a match whose surroundings are still kept.
    pub fn find(&mut self, direction: Direction) -> bool {
        let from = match self.view {
            View::Following => self.ring.end(),
            View::Held { place, .. } | View::Paused { held: Some(place), .. } => place.cursor,
            View::Paused { since, .. } => since,
        };
        let found = self.ring.find(from, direction);
        if let Some(seq) = found {
            self.look_at(seq);
            self.count_again();
        }
        found.is_some()
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

    /// Moves the view with the mouse wheel; at the end it follows again.
    pub fn wheel(&mut self, direction: Direction) {
        let (top, cursor) = self.window();
        let up = |place: usize| place.saturating_sub(WHEEL_ROWS);
        match direction {
            Direction::Forward if cursor + WHEEL_ROWS + 1 >= self.ring.len() => {
                self.view = View::Following;
            }
            Direction::Forward => self.hold(top + WHEEL_ROWS, cursor + WHEEL_ROWS),
            Direction::Backward => self.hold(up(top), up(cursor)),
        }
    }

    /// Puts the cursor on the n-th row in view.
    pub fn click(&mut self, row: usize) {
        let (top, _) = self.window();
        if row < self.page && top + row < self.ring.len() {
            self.hold(top, top + row);
        }
    }

    /// Pauses the view where it is, or lets it follow again.
    pub fn pause(&mut self) {
        self.view = match self.view {
            View::Paused { .. } => View::Following,
            View::Held { place, since } => {
                self.standing_still(self.clamped(place.top), since, Some(place))
            }
            View::Following => {
                self.ever_then = self.ring.ever();
                let from = self.ring.len().saturating_sub(PAUSED_ROWS);
                self.standing_still(from, self.ring.end(), None)
            }
        };
    }

    fn standing_still(&self, from: usize, since: u64, held: Option<Place>) -> View {
        let rows = self.ring.from(from).take(PAUSED_ROWS);
        let rows: Vec<_> = rows.map(|(seq, row)| (seq, row.clone())).collect();
        let start = |(_, row): &(u64, Row)| Some((row.connection()?.id, self.ring.start_of(row)?));
        View::Paused { starts: rows.iter().filter_map(start).collect(), rows, since, held }
    }

    /// Follows the end, or stops following.
    pub fn follow(&mut self) {
        if self.is_following() {
            let (top, cursor) = self.window();
            self.hold(top, cursor);
        } else {
            self.view = View::Following;
        }
    }

    /// Scrolls so that the cursor is within a view of `height` lines. `lines_of` gives the lines
    /// that a row takes, which must be at least one.
    pub fn fit(&mut self, height: usize, lines_of: impl Fn(&Row) -> usize) {
        if let View::Held { place: Place { top, cursor }, .. } = self.view {
            let cursor = self.clamped(cursor);
            let latest = self.top_for(self.ring.len(), height, &lines_of);
            let least = self.top_for(cursor + 1, height, &lines_of);
            let place = self.clamped(top).min(latest).min(cursor).max(least);
            let seq = self.ring.at(place).map(|(seq, _)| seq);
            if let (Some(seq), View::Held { place, .. }) = (seq, &mut self.view) {
                place.top = seq;
            }
        }
        self.page = self.in_view(height, lines_of).1.len().max(1);
    }

    /// The rows in a view of `height` lines with their sequence numbers, and how many lines of the
    /// first row are above the view.
    pub fn in_view(
        &self,
        height: usize,
        lines_of: impl Fn(&Row) -> usize,
    ) -> (usize, Vec<(u64, &Row)>) {
        match &self.view {
            View::Following => {
                let newest_first = (0..self.ring.len()).rev().filter_map(|n| self.ring.at(n));
                from_end(newest_first, height, lines_of)
            }
            View::Paused { rows, held: None, .. } => {
                let newest_first = rows.iter().rev().map(|(seq, row)| (*seq, row));
                from_end(newest_first, height, lines_of)
            }
            View::Paused { rows, held: Some(_), .. } => {
                from_top(rows.iter().map(|(seq, row)| (*seq, row)), height, lines_of)
            }
            View::Held { place, .. } => {
                from_top(self.ring.from(self.clamped(place.top)), height, lines_of)
            }
        }
    }

    /// How far down the view is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { above: self.window().0, page: self.page, all: self.ring.len() }
    }

    /// Ends a pause but holds its place: new filters cannot be applied to copied rows.
    fn go_on(&mut self) {
        if self.is_paused() {
            let (top, cursor) = self.window();
            self.hold(top, cursor);
        }
    }

    /// The place of a row, or of the nearest row that is let through.
    fn clamped(&self, seq: u64) -> usize {
        self.ring.place_of(seq).min(self.ring.len().saturating_sub(1))
    }

    /// The places of the first row in view and of the cursor.
    fn window(&self) -> (usize, usize) {
        let end = match self.view {
            View::Held { place, .. } | View::Paused { held: Some(place), .. } => {
                return (self.clamped(place.top), self.clamped(place.cursor));
            }
            View::Paused { since, .. } => self.ring.place_of(since),
            View::Following => self.ring.len(),
        };
        (end.saturating_sub(self.page), end.saturating_sub(1))
    }

    fn hold(&mut self, top: usize, cursor: usize) {
        let since = match self.view {
            View::Held { since, .. } | View::Paused { since, .. } => since,
            View::Following => {
                self.ever_then = self.ring.ever();
                self.ring.end()
            }
        };
        let last = self.ring.len().saturating_sub(1);
        let seq_at = |place: usize| self.ring.at(place.min(last)).map_or(since, |(seq, _)| seq);
        let place = Place { top: seq_at(top), cursor: seq_at(cursor) };
        self.view = View::Held { place, since };
    }

    /// Puts the cursor on a row; one that was out of view goes to the middle.
    fn look_at(&mut self, seq: u64) {
        let (top, _) = self.window();
        let place = self.ring.place_of(seq);
        let is_in_view = (top..top + self.page).contains(&place);
        let middle = place.saturating_sub(self.page / 2);
        self.hold(if is_in_view { top } else { middle }, place);
    }

    /// The first place from which the rows up to `end` fit into `height` lines; at least the last
    /// row does.
    fn top_for(&self, end: usize, height: usize, lines_of: impl Fn(&Row) -> usize) -> usize {
        let newest_first = (0..end).rev().filter_map(|place| self.ring.at(place));
        let (above, rows) = from_end(newest_first, height, lines_of);
        let whole = rows.len() - usize::from(above > 0 && rows.len() > 1);
        end - whole
    }
}

/// The rows that fill a view of `height` lines which begins with the first of them.
fn from_top<'a>(
    rows: impl Iterator<Item = (u64, &'a Row)>,
    height: usize,
    lines_of: impl Fn(&Row) -> usize,
) -> (usize, Vec<(u64, &'a Row)>) {
    let mut left = height;
    let rows = rows.take_while(|(_, row)| {
        let has_room = left > 0;
        left = left.saturating_sub(lines_of(row));
        has_room
    });
    (0, rows.collect())
}

/// The rows that fill a view of `height` lines which ends with the last of them, in order, and how
/// many lines of the first are above the view.
fn from_end<'a>(
    newest_first: impl Iterator<Item = (u64, &'a Row)>,
    height: usize,
    lines_of: impl Fn(&Row) -> usize,
) -> (usize, Vec<(u64, &'a Row)>) {
    let mut lines = 0;
    let mut rows = Vec::new();
    for (seq, row) in newest_first {
        if lines >= height {
            break;
        }
        lines += lines_of(row);
        rows.push((seq, row));
    }
    rows.reverse();
    (lines.saturating_sub(height), rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::tests::line;
    use crate::watch::event::Passwords;

    fn numbered(count: usize) -> Scrollback {
        let mut scrollback = Scrollback::new(10);
        grow(&mut scrollback, 0..count);
        scrollback.fit(3, |_| 1);
        scrollback
    }

    fn grow(scrollback: &mut Scrollback, numbers: std::ops::Range<usize>) {
        for n in numbers {
            scrollback.push(line(1, &n.to_string()));
        }
    }

    #[track_caller]
    fn shows(scrollback: &Scrollback, numbers: &[&str]) {
        let (_, rows) = scrollback.in_view(3, |_| 1);
        let text = |(_, row): &(u64, &Row)| row.text(Passwords::Shown).into_string();
        let seen: Vec<String> = rows.iter().map(text).collect();
        let expected: Vec<String> = numbers.iter().map(|n| format!("[1] C: {n}")).collect();
        assert_eq!(seen, expected);
    }

    #[track_caller]
    fn cursor_is_on(scrollback: &Scrollback, number: &str) {
        let (_, row) = scrollback.cursor().unwrap();
        assert_eq!(row.text(Passwords::Shown).as_str(), format!("[1] C: {number}"));
    }

    #[test]
    fn following_shows_the_newest_rows() {
        let mut scrollback = numbered(5);
        shows(&scrollback, &["2", "3", "4"]);
        grow(&mut scrollback, 5..6);
        shows(&scrollback, &["3", "4", "5"]);
    }

    #[test]
    fn a_view_that_is_scrolled_is_paused_where_it_is() {
        let mut scrollback = numbered(9);
        scrollback.step(Step::PageUp);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["3", "4", "5"]);
        scrollback.pause();
        assert!(scrollback.is_paused());
        shows(&scrollback, &["3", "4", "5"]);
        cursor_is_on(&scrollback, "5");
        grow(&mut scrollback, 9..100);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["3", "4", "5"]);
        cursor_is_on(&scrollback, "5");
        assert_eq!(scrollback.unseen(), 91);
        scrollback.pause();
        shows(&scrollback, &["97", "98", "99"]);
    }

    #[test]
    fn a_paused_view_stands_still_even_when_its_rows_are_forgotten() {
        let mut scrollback = numbered(5);
        scrollback.pause();
        grow(&mut scrollback, 5..100);
        shows(&scrollback, &["2", "3", "4"]);
        assert_eq!(scrollback.unseen(), 95);
        scrollback.pause();
        shows(&scrollback, &["97", "98", "99"]);
    }

    #[test]
    fn moving_up_leaves_the_end_and_end_returns_to_it() {
        let mut scrollback = numbered(5);
        scrollback.step(Step::Up);
        cursor_is_on(&scrollback, "3");
        grow(&mut scrollback, 5..7);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["2", "3", "4"]);
        assert_eq!(scrollback.unseen(), 2);
        scrollback.step(Step::Last);
        assert!(scrollback.is_following());
    }

    #[test]
    fn rows_that_are_forgotten_do_not_move_what_is_read() {
        let mut scrollback = numbered(10);
        scrollback.step(Step::PageUp);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["4", "5", "6"]);
        grow(&mut scrollback, 10..13);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["4", "5", "6"]);
        cursor_is_on(&scrollback, "6");
    }

    #[test]
    fn a_forgotten_cursor_is_on_the_oldest_row() {
        let mut scrollback = numbered(10);
        scrollback.step(Step::First);
        grow(&mut scrollback, 10..15);
        scrollback.fit(3, |_| 1);
        cursor_is_on(&scrollback, "5");
    }

    #[test]
    fn the_cursor_stays_in_view_as_it_moves() {
        let mut scrollback = numbered(10);
        scrollback.step(Step::First);
        for _ in 0..4 {
            scrollback.step(Step::Down);
            scrollback.fit(3, |_| 1);
        }
        shows(&scrollback, &["2", "3", "4"]);
        cursor_is_on(&scrollback, "4");
    }

    #[test]
    fn a_wrapped_row_above_the_view_is_cut_at_its_beginning() {
        let scrollback = numbered(5);
        let (above, rows) = scrollback.in_view(3, |_| 2);
        assert_eq!((above, rows.len()), (1, 2));
    }

    #[test]
    fn a_row_taller_than_the_view_is_shown_from_its_beginning_when_the_cursor_is_on_it() {
        let mut scrollback = numbered(5);
        scrollback.step(Step::Up);
        scrollback.fit(3, |_| 9);
        let (above, rows) = scrollback.in_view(3, |_| 9);
        assert_eq!((above, rows.len()), (0, 1));
        assert_eq!(rows[0].0, 3);
    }

    #[test]
    fn a_match_out_of_view_is_brought_into_its_middle() {
        let mut scrollback = numbered(10);
        scrollback.filter(Filter::parse("C: 4").unwrap());
        assert!(scrollback.find(Direction::Backward));
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["3", "4", "5"]);
        cursor_is_on(&scrollback, "4");
    }

    #[test]
    fn the_wheel_leaves_the_end_and_comes_back_to_it() {
        let mut scrollback = numbered(10);
        scrollback.wheel(Direction::Backward);
        scrollback.fit(3, |_| 1);
        shows(&scrollback, &["4", "5", "6"]);
        scrollback.wheel(Direction::Forward);
        assert!(scrollback.is_following());
    }

    #[test]
    fn a_click_selects_the_row_that_was_clicked() {
        let mut scrollback = numbered(10);
        scrollback.click(1);
        cursor_is_on(&scrollback, "8");
        scrollback.click(9);
        cursor_is_on(&scrollback, "8");
    }
}
