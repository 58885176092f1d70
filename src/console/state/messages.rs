//! The messages of the open mailbox, as far as they have been listed, and the selection. Changes in
//! the mailbox never move what the user is looking at: rows are added at the end, and a new listing
//! is shown only when it is complete. The selection follows the newest message only until the user
//! moves, or after the user went to the end.

use std::collections::HashSet;

use crate::console::action::{Direction, Step};
use crate::console::state::list::List;
use crate::console::state::pattern::Pattern;
use crate::mailroom::{MessageKey, Summary};
use crate::wire::display::DisplayText;

/// The progress of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Requested, but not begun. Rows that arrive before it begins belong to another listing.
    Asked,
    /// Under way; rows are shown as they arrive.
    Listing {
        /// The number of messages that will be listed.
        of: usize,
    },
    /// Under way again, while the previous listing is still shown.
    Again {
        /// The number of messages that will be listed.
        of: usize,
        /// The messages listed so far.
        listed: Vec<Summary>,
    },
    /// All messages have been listed.
    Complete,
    /// The mailbox cannot be listed, for this reason.
    NotListed(DisplayText),
}

/// The messages of a mailbox.
#[derive(Debug, Clone)]
pub struct Messages {
    mailbox: String,
    list: List<Summary>,
    stage: Stage,
    /// The number of older messages that are not listed, because there are too many.
    left_out: usize,
    /// Whether the selection moves to the newest message when one arrives.
    follows: bool,
    /// Numbers of the messages in view that a POP3 session has marked as deleted.
    marked: HashSet<usize>,
    /// Whether some of them were redirected to this mailbox.
    has_caught: bool,
}

impl Messages {
    /// An empty list for `mailbox`, whose listing has been requested.
    #[must_use]
    pub fn of(mailbox: String) -> Self {
        Self {
            mailbox,
            list: List::default(),
            stage: Stage::Asked,
            left_out: 0,
            follows: true,
            marked: HashSet::new(),
            has_caught: false,
        }
    }

    /// The name of the mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// The messages that are listed.
    #[must_use]
    pub const fn list(&self) -> &List<Summary> {
        &self.list
    }

    /// Whether some of them were redirected to this mailbox, so that it matters to whom they were
    /// sent.
    #[must_use]
    pub const fn has_caught(&self) -> bool {
        self.has_caught
    }

    /// The progress of the listing.
    #[must_use]
    pub const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The number of older messages that are not listed, because there are too many.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// While a listing is under way: the messages listed so far, and those that will be.
    #[must_use]
    pub fn progress(&self) -> Option<(usize, usize)> {
        match &self.stage {
            Stage::Listing { of } => Some((self.list.items().len(), *of)),
            Stage::Again { of, listed } => Some((listed.len(), *of)),
            Stage::Asked | Stage::Complete | Stage::NotListed(_) => None,
        }
    }

    /// Records that a listing of `mailbox` has begun, for the first time or again.
    pub fn begin(&mut self, mailbox: &str, messages: usize, left_out: usize) {
        if mailbox != self.mailbox {
            return;
        }
        self.left_out = left_out;
        self.stage = if self.list.items().is_empty() {
            Stage::Listing { of: messages }
        } else {
            Stage::Again { of: messages, listed: Vec::with_capacity(messages) }
        };
    }

    /// Adds the next messages of the listing.
    pub fn take(&mut self, more: Vec<Summary>) {
        self.has_caught |= more.iter().any(|summary| summary.caught_for.is_some());
        match &mut self.stage {
            Stage::Asked => {}
            Stage::Again { listed, .. } => listed.extend(more),
            Stage::Listing { .. } | Stage::Complete | Stage::NotListed(_) => {
                self.list.extend(more);
                self.follow();
            }
        }
    }

    /// Records that all messages have been listed.
    pub fn complete(&mut self) {
        if self.stage == Stage::Asked {
            return;
        }
        if let Stage::Again { listed, .. } = std::mem::replace(&mut self.stage, Stage::Complete) {
            self.list.replace(listed);
            self.follow();
        }
    }

    /// Records that the mailbox cannot be listed. Messages listed so far are kept.
    pub fn give_up(&mut self, why: &str) {
        self.stage = Stage::NotListed(DisplayText::from(why));
    }

    /// Shows only the messages that match the pattern, or all. Filtering counts as moving.
    pub fn filter(&mut self, pattern: Option<Pattern>) {
        let is_looking = pattern.is_some();
        self.list.filter(pattern);
        self.follow();
        self.follows &= !is_looking;
    }

    /// Shows only the messages that the mailroom finds for what was typed. Filtering counts as moving.
    pub fn filter_by_search(&mut self, typed: Pattern) {
        self.list.filter_by_search(typed);
        self.follows = false;
    }

    /// Takes what was found for `typed`, unless something else was typed since.
    pub fn take_found(&mut self, typed: &str, keys: Vec<MessageKey>) {
        if self.list.pattern().is_some_and(|pattern| pattern.as_str() == typed) {
            self.list.take_found(keys);
        }
    }

    /// Moves the selection.
    pub fn step(&mut self, step: Step) {
        self.follows = step == Step::Last;
        self.list.step(step);
    }

    /// Selects the n-th row in view.
    pub fn click(&mut self, row: usize) {
        self.follows = false;
        self.list.click(row);
    }

    /// Selects the next match, or the previous one.
    pub fn find(&mut self, direction: Direction) {
        self.follows = false;
        self.list.find(direction);
    }

    /// Shows the next of the sort orders.
    pub fn next_order(&mut self) {
        self.follows = false;
        self.list.next_order();
    }

    /// Shows one of the sort orders by its index, or (`None`) the order of the mailbox.
    pub fn show_in(&mut self, order: Option<usize>) {
        self.follows = false;
        self.list.show_in(order);
    }

    /// Marks the selected message, or unmarks it, and selects the next one.
    pub fn mark(&mut self) {
        self.follows = false;
        self.list.mark();
    }

    /// Marks all messages that are shown, or unmarks them.
    pub fn mark_all(&mut self) {
        self.list.mark_all();
    }

    /// Removes all marks; returns whether there were any.
    pub fn unmark(&mut self) -> bool {
        self.list.unmark()
    }

    /// Keeps the selection where it is when messages arrive.
    pub const fn hold(&mut self) {
        self.follows = false;
    }

    /// Fits the rows into a view of `height` rows.
    pub fn fit(&mut self, height: usize) {
        self.list.fit(height);
    }

    /// Numbers of the messages in view, for which the screen wants to know whether a POP3 session
    /// has marked them as deleted.
    pub fn in_sight(&self) -> impl Iterator<Item = usize> {
        let page = self.list.extent().page;
        self.list.in_view().take(page).map(|(summary, _)| summary.number)
    }

    /// Sets which of the messages in view the POP3 session has marked as deleted.
    pub fn marks_are(&mut self, numbers: impl Iterator<Item = usize>) {
        self.marked = numbers.collect();
    }

    /// Whether a POP3 session has marked this message as deleted.
    #[must_use]
    pub fn is_marked(&self, summary: &Summary) -> bool {
        self.marked.contains(&summary.number)
    }

    fn follow(&mut self) {
        // In any order but the mailbox's own, the newest message is not the last.
        if self.follows && self.list.order().is_none() {
            self.list.step(Step::Last);
        }
    }
}
