//! A list with a selected row. The selection and the marks belong to items, not to positions, so
//! that rows that appear and disappear never move what the user is looking at. Marks select several
//! items for one action.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::Hash;

use crate::console::action::{Direction, Step};
use crate::console::state::extent::Extent;
use crate::console::state::pattern::Pattern;

/// A sort order.
#[derive(Debug)]
pub struct Order<T: 'static> {
    /// Its name for `:sort`.
    pub name: &'static str,
    /// The words for it in the title of the list.
    pub words: &'static str,
    /// Compares two items; those that compare equal keep their order.
    pub compare: fn(&T, &T) -> Ordering,
}

/// An item of a list.
pub trait Listed: Sized + 'static {
    /// Identifies the same item in the next snapshot.
    type Key: Clone + Eq + Hash;

    /// The sort orders besides the list's own.
    const ORDERS: &'static [Order<Self>] = &[];

    /// The key of this item.
    fn key(&self) -> Self::Key;

    /// The text that a filter searches.
    fn text(&self) -> String;

    /// Whether a filter lets this item through. Types with very many items override this, to search
    /// without building the text.
    fn has(&self, pattern: &Pattern) -> bool {
        pattern.is_in(&self.text())
    }
}

/// Items, with the filter, the order, the selection and the marks.
#[derive(Debug, Clone)]
pub struct List<T: Listed> {
    items: Vec<T>,
    /// Indices of the items that the filter lets through.
    shown: Vec<usize>,
    pattern: Option<Pattern>,
    /// The items that were found for the filter; `None` if the pattern itself decides.
    found: Option<HashSet<T::Key>>,
    selected: Option<T::Key>,
    /// The index of the order in [`Listed::ORDERS`]; `None`: the list's own.
    order: Option<usize>,
    /// Whether items were added that have not been sorted yet.
    is_mixed: bool,
    marks: HashSet<T::Key>,
    /// The number of marked items among those shown.
    marked: usize,
    /// The position of the selected item in `shown`.
    at: usize,
    /// The position in `shown` of the first row in view.
    top: usize,
    /// The number of rows in view.
    page: usize,
}

impl<T: Listed> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            shown: Vec::new(),
            pattern: None,
            found: None,
            selected: None,
            order: None,
            is_mixed: false,
            marks: HashSet::new(),
            marked: 0,
            at: 0,
            top: 0,
            page: 1,
        }
    }
}

impl<T: Listed> List<T> {
    /// Replaces the items by a new snapshot.
    pub fn replace(&mut self, items: Vec<T>) {
        self.items = items;
        if !self.marks.is_empty() {
            let there: HashSet<_> = self.items.iter().map(Listed::key).collect();
            self.marks.retain(|key| there.contains(key));
        }
        self.filter_again();
    }

    /// Appends items. The cost depends on the number of new items, not on those already there.
    pub fn extend(&mut self, more: impl IntoIterator<Item = T>) {
        let (before, was_empty) = (self.items.len(), self.shown.is_empty());
        self.items.extend(more);
        let Self { items, pattern, found, shown, .. } = self;
        let passes = |item: &T| passes(item, pattern.as_ref(), found.as_ref());
        let more = (before..).zip(items.iter().skip(before));
        shown.extend(more.filter(|(_, item)| passes(item)).map(|(index, _)| index));
        // Sorted only when the list is next looked at, because a long list arrives in many parts.
        self.is_mixed = self.order.is_some();
        if was_empty {
            self.select(self.at);
        }
    }

    /// Shows only the items that match the pattern, or all.
    pub fn filter(&mut self, pattern: Option<Pattern>) {
        (self.pattern, self.found) = (pattern, None);
        self.filter_again();
    }

    /// Shows only the items that [`take_found`](Self::take_found) will name: what was typed asks for
    /// more than an item shows.
    pub fn filter_by_search(&mut self, typed: Pattern) {
        (self.pattern, self.found) = (Some(typed), Some(HashSet::new()));
        self.filter_again();
    }

    /// Takes more of what was found for the filter.
    pub fn take_found(&mut self, keys: impl IntoIterator<Item = T::Key>) {
        let Some(found) = &mut self.found else { return };
        found.extend(keys);
        // Filtered when the list is next looked at, because much is found in many parts.
        self.is_mixed = true;
    }

    /// Shows the next of the orders; after the last comes the list's own.
    pub fn next_order(&mut self) {
        let next = self.order.map_or(0, |order| order + 1);
        self.show_in(Some(next).filter(|&order| order < T::ORDERS.len()));
    }

    /// Shows one of the orders by its index, or (`None`) the list's own.
    pub fn show_in(&mut self, order: Option<usize>) {
        self.order = order;
        self.filter_again();
    }

    /// The order in which it is shown; `None`: the list's own.
    #[must_use]
    pub fn order(&self) -> Option<&'static Order<T>> {
        T::ORDERS.get(self.order?)
    }

    /// Marks the selected item, or unmarks it, and selects the next one.
    pub fn mark(&mut self) {
        let Some(key) = self.selected().map(Listed::key) else { return };
        if self.marks.remove(&key) {
            self.marked -= 1;
        } else {
            self.marks.insert(key);
            self.marked += 1;
        }
        self.step(Step::Down);
    }

    /// Marks all shown items; if all of them are marked already, unmarks them.
    pub fn mark_all(&mut self) {
        let shown = self.shown.iter().filter_map(|&index| Some(self.items.get(index)?.key()));
        if self.marked < self.shown.len() {
            self.marks.extend(shown);
            self.marked = self.shown.len();
        } else {
            let shown: HashSet<T::Key> = shown.collect();
            self.marks.retain(|key| !shown.contains(key));
            self.marked = 0;
        }
    }

    /// Removes all marks; returns whether there were any.
    pub fn unmark(&mut self) -> bool {
        self.marked = 0;
        let had_marks = !self.marks.is_empty();
        self.marks.clear();
        had_marks
    }

    /// The number of marked items among those shown.
    #[must_use]
    pub const fn marked(&self) -> usize {
        self.marked
    }

    /// Whether an item is marked.
    #[must_use]
    pub fn is_marked(&self, item: &T) -> bool {
        !self.marks.is_empty() && self.marks.contains(&item.key())
    }

    /// The items that an action is for: all that are shown and marked, or else the selected one.
    #[must_use]
    pub fn meant(&self) -> Vec<&T> {
        if self.marked == 0 {
            return self.selected().into_iter().collect();
        }
        self.shown().filter(|item| self.is_marked(item)).collect()
    }

    /// All shown items, in the order in which they are shown.
    pub fn shown(&self) -> impl Iterator<Item = &T> {
        self.shown.iter().filter_map(|&index| self.items.get(index))
    }

    /// The pattern of the filter.
    #[must_use]
    pub const fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// All items, including those that the filter hides.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The number of items that are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    /// Whether no item is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// The selected item.
    #[must_use]
    pub fn selected(&self) -> Option<&T> {
        self.items.get(*self.shown.get(self.at)?)
    }

    /// The position of the selected item among those shown, counted from 0.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        (!self.is_empty()).then_some(self.at)
    }

    /// The items in view, each with whether it is selected.
    pub fn in_view(&self) -> impl Iterator<Item = (&T, bool)> {
        let rows = self.shown.iter().enumerate().skip(self.top);
        rows.filter_map(|(row, &index)| Some((self.items.get(index)?, row == self.at)))
    }

    /// How far down the view is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { above: self.top, page: self.page, all: self.len() }
    }

    /// Moves the selection.
    pub fn step(&mut self, step: Step) {
        let half = (self.page / 2).max(1);
        self.select(match step {
            Step::Up => self.at.saturating_sub(1),
            Step::Down => self.at + 1,
            Step::HalfPageUp => self.at.saturating_sub(half),
            Step::HalfPageDown => self.at + half,
            Step::PageUp => self.at.saturating_sub(self.page),
            Step::PageDown => self.at + self.page,
            Step::First => 0,
            Step::Last => usize::MAX,
        });
    }

    /// Selects the last shown item for which `is` holds; if that one or a later one is already
    /// selected, selects the very last.
    pub fn step_to_last(&mut self, is: impl Fn(&T) -> bool) {
        let is_so = |&index: &usize| self.items.get(index).is_some_and(&is);
        match self.shown.iter().rposition(is_so) {
            Some(row) if self.at < row => self.select(row),
            _ => self.step(Step::Last),
        }
    }

    /// Whether the n-th row in view is the selected one.
    #[must_use]
    pub fn is_selected(&self, row: usize) -> bool {
        !self.is_empty() && self.top + row == self.at
    }

    /// Selects the n-th row in view.
    pub fn click(&mut self, row: usize) {
        if row < self.page && self.top + row < self.shown.len() {
            self.select(self.top + row);
        }
    }

    /// Selects the next or the previous shown row; after the last comes the first.
    pub fn find(&mut self, direction: Direction) {
        let last = self.shown.len().saturating_sub(1);
        self.select(match direction {
            Direction::Forward if self.at >= last => 0,
            Direction::Forward => self.at + 1,
            Direction::Backward if self.at == 0 => last,
            Direction::Backward => self.at - 1,
        });
    }

    /// Scrolls so that the selection is within a view of `height` rows.
    pub fn fit(&mut self, height: usize) {
        if self.is_mixed {
            self.filter_again();
        }
        self.page = height.max(1);
        let fullest = self.shown.len().saturating_sub(self.page);
        let least = (self.at + 1).saturating_sub(self.page);
        self.top = self.top.min(fullest).min(self.at).max(least);
    }

    fn filter_again(&mut self) {
        let Self { items, pattern, found, .. } = self;
        let passes = |item: &T| passes(item, pattern.as_ref(), found.as_ref());
        self.shown =
            (0..items.len()).filter(|&index| items.get(index).is_some_and(passes)).collect();
        self.put_in_order();
        self.marked = if self.marks.is_empty() {
            0
        } else {
            self.shown().filter(|item| self.marks.contains(&item.key())).count()
        };
        let place = self.shown.iter().position(|&index| {
            self.items.get(index).map(Listed::key).as_ref() == self.selected.as_ref()
        });
        if let Some(place) = place {
            // Rows above the selection came or went; it stays at the same line of the screen.
            self.top = (self.top + place).saturating_sub(self.at);
        }
        self.select(place.unwrap_or(self.at));
    }

    fn put_in_order(&mut self) {
        self.is_mixed = false;
        let Some(order) = self.order() else { return };
        let items = &self.items;
        self.shown.sort_by(|&one, &other| match (items.get(one), items.get(other)) {
            (Some(one), Some(other)) => (order.compare)(one, other),
            _ => std::cmp::Ordering::Equal,
        });
    }

    fn select(&mut self, row: usize) {
        self.at = row.min(self.shown.len().saturating_sub(1));
        if let Some(item) = self.selected() {
            self.selected = Some(item.key());
        }
    }
}

fn passes<T: Listed>(item: &T, pattern: Option<&Pattern>, found: Option<&HashSet<T::Key>>) -> bool {
    match found {
        Some(found) => found.contains(&item.key()),
        None => pattern.is_none_or(|pattern| item.has(pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Listed for &'static str {
        type Key = &'static str;

        const ORDERS: &'static [Order<Self>] =
            &[Order { name: "back", words: "backwards", compare: |one, other| other.cmp(one) }];

        fn key(&self) -> &'static str {
            self
        }

        fn text(&self) -> String {
            (*self).to_owned()
        }
    }

    fn list(items: &[&'static str]) -> List<&'static str> {
        let mut list = List::default();
        list.replace(items.to_vec());
        list
    }

    #[test]
    fn rows_that_come_and_go_do_not_move_the_selection() {
        let mut list = list(&["a", "b", "c"]);
        list.step(Step::Down);
        list.replace(vec!["x", "a", "b"]);
        assert_eq!(list.selected(), Some(&"b"));
    }

    #[test]
    fn when_the_selected_row_goes_its_neighbour_is_selected() {
        let mut list = list(&["a", "b", "c"]);
        list.step(Step::Last);
        list.replace(vec!["a", "b"]);
        assert_eq!(list.selected(), Some(&"b"));
        list.replace(vec![]);
        assert_eq!(list.selected(), None);
    }

    #[test]
    fn a_filter_hides_and_gives_back() {
        let mut list = list(&["apple", "berry", "apricot"]);
        list.filter(Pattern::new("AP"));
        list.step(Step::Down);
        assert_eq!((list.len(), list.selected()), (2, Some(&"apricot")));
        list.filter(None);
        assert_eq!((list.len(), list.selected()), (3, Some(&"apricot")));
    }

    #[test]
    fn what_was_found_is_shown_and_nothing_else_until_the_filter_ends() {
        let mut list = list(&["apple", "berry", "apricot"]);
        list.take_found(["berry"]);
        list.fit(3);
        assert_eq!(list.len(), 3);
        list.filter_by_search(Pattern::new("body~r").unwrap());
        assert_eq!((list.len(), list.pattern().map(Pattern::as_str)), (0, Some("body~r")));
        list.take_found(["apricot", "cherry"]);
        list.fit(3);
        assert_eq!(list.shown().collect::<Vec<_>>(), [&"apricot"]);
        list.extend(["cherry", "date"]);
        assert_eq!(list.shown().collect::<Vec<_>>(), [&"apricot", &"cherry"]);
        list.filter(None);
        assert_eq!(list.len(), 5);
    }

    #[test]
    fn the_view_follows_the_selection_and_stays_full() {
        let mut list = list(&["a", "b", "c", "d", "e"]);
        list.step(Step::Last);
        list.fit(2);
        let seen: Vec<_> = list.in_view().take(2).collect();
        assert_eq!(seen, [(&"d", false), (&"e", true)]);
        list.fit(4);
        assert_eq!(list.top, 1);
    }

    #[test]
    fn what_comes_behind_the_others_moves_nothing() {
        let mut list = list(&["a", "b"]);
        list.step(Step::Down);
        list.extend(["c", "d"]);
        assert_eq!((list.len(), list.selected(), list.place()), (4, Some(&"b"), Some(1)));
    }

    #[test]
    fn what_comes_is_let_through_as_the_others_are() {
        let mut list = list(&["apple"]);
        list.filter(Pattern::new("b"));
        assert_eq!(list.selected(), None);
        list.extend(["berry", "apricot"]);
        assert_eq!((list.len(), list.selected()), (1, Some(&"berry")));
    }

    #[test]
    fn the_selected_row_stays_where_it_is_on_the_screen() {
        let mut list = list(&["a", "b", "c", "d", "e", "f"]);
        list.step(Step::Last);
        list.fit(3);
        list.step(Step::Up);
        list.replace(vec!["b", "c", "d", "e", "f"]);
        list.fit(3);
        assert!(list.in_view().map(|(item, _)| *item).eq(["d", "e", "f"]));
        assert_eq!(list.selected(), Some(&"e"));
    }

    fn shown(list: &List<&'static str>) -> Vec<&'static str> {
        list.shown().copied().collect()
    }

    #[test]
    fn an_order_holds_for_what_comes_and_the_selection_stays() {
        let mut list = list(&["b", "c"]);
        list.next_order();
        assert_eq!((shown(&list), list.selected()), (vec!["c", "b"], Some(&"b")));
        list.extend(["d", "a"]);
        list.fit(9);
        assert_eq!((shown(&list), list.selected()), (vec!["d", "c", "b", "a"], Some(&"b")));
        list.filter(Pattern::parse("/[ac]/").unwrap());
        assert_eq!(
            (shown(&list), list.order().map(|o| o.words)),
            (vec!["c", "a"], Some("backwards"))
        );
        list.filter(None);
        list.next_order();
        assert_eq!((shown(&list), list.order().is_none()), (vec!["b", "c", "d", "a"], true));
    }

    #[test]
    fn an_order_is_for_what_is_marked_and_shown_or_else_for_the_selected() {
        let mut list = list(&["apple", "berry", "apricot"]);
        assert_eq!((list.marked(), list.meant()), (0, vec![&"apple"]));
        list.mark();
        list.mark();
        assert_eq!((list.marked(), list.meant()), (2, vec![&"apple", &"berry"]));
        list.filter(Pattern::new("ap"));
        assert_eq!((list.marked(), list.meant()), (1, vec![&"apple"]));
        list.mark_all();
        assert_eq!(list.meant(), [&"apple", &"apricot"]);
        list.filter(None);
        assert_eq!(list.marked(), 3);
        list.replace(vec!["apricot", "cherry"]);
        assert_eq!((list.marked(), list.meant()), (1, vec![&"apricot"]));
        list.mark_all();
        list.mark_all();
        assert_eq!(list.marked(), 0);
        assert!(!list.unmark());
    }

    #[test]
    fn the_last_of_a_kind_comes_before_the_very_last() {
        let mut list = list(&["a", "b", "c", "d"]);
        list.step_to_last(|item| *item < "c");
        assert_eq!(list.selected(), Some(&"b"));
        list.step_to_last(|item| *item < "c");
        assert_eq!(list.selected(), Some(&"d"));
        list.step_to_last(|item| *item < "c");
        assert_eq!(list.selected(), Some(&"d"));
    }

    #[test]
    fn the_next_match_after_the_last_is_the_first() {
        let mut list = list(&["a", "b"]);
        list.find(Direction::Backward);
        assert_eq!(list.selected(), Some(&"b"));
        list.find(Direction::Forward);
        assert_eq!(list.selected(), Some(&"a"));
    }
}
