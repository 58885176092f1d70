//! The messages of the mailbox that is open, as far as they have been listed, and which of them is
//! selected. What comes to the mailbox never moves what is looked at: rows are added behind the
//! others, and a listing that begins anew is shown when it is complete. Only a user who has not
//! moved since the mailbox was opened, or who went to the end, is taken along to the newest.

use std::collections::HashSet;

use crate::console::action::{Direction, Step};
use crate::console::state::list::List;
use crate::console::state::pattern::Pattern;
use crate::mailroom::Summary;
use crate::wire::display::DisplayText;

/// How far a listing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun. What is told before it does is about another one.
    Asked,
    /// It goes on; rows are shown as they come.
    Listing {
        /// Messages that will be listed.
        of: usize,
    },
    /// The mailbox is listed anew, while the listing before is still shown.
    Again {
        /// Messages that will be listed.
        of: usize,
        /// Those that have been.
        listed: Vec<Summary>,
    },
    /// It has all there is.
    Complete,
    /// There is none, for this reason.
    NotListed(DisplayText),
}

/// The messages of a mailbox.
#[derive(Debug, Clone)]
pub struct Messages {
    mailbox: String,
    list: List<Summary>,
    stage: Stage,
    /// Older messages, which are more than can be listed.
    left_out: usize,
    /// Whether the selection goes along to the newest.
    follows: bool,
    /// Numbers of messages in view that a session means to remove.
    marked: HashSet<usize>,
}

impl Messages {
    /// Those of `mailbox`, of which none has been listed.
    #[must_use]
    pub fn of(mailbox: String) -> Self {
        Self {
            mailbox,
            list: List::default(),
            stage: Stage::Asked,
            left_out: 0,
            follows: true,
            marked: HashSet::new(),
        }
    }

    /// Whose they are.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// The messages that can be shown.
    #[must_use]
    pub const fn list(&self) -> &List<Summary> {
        &self.list
    }

    /// How far the listing is.
    #[must_use]
    pub const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Older messages, which are more than can be listed.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Messages listed so far and messages that will be, while a listing is under way.
    #[must_use]
    pub fn progress(&self) -> Option<(usize, usize)> {
        match &self.stage {
            Stage::Listing { of } => Some((self.list.items().len(), *of)),
            Stage::Again { of, listed } => Some((listed.len(), *of)),
            Stage::Asked | Stage::Complete | Stage::NotListed(_) => None,
        }
    }

    /// Takes that a listing of `mailbox` begins, or begins anew.
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

    /// Takes the next messages.
    pub fn take(&mut self, more: Vec<Summary>) {
        match &mut self.stage {
            Stage::Asked => {}
            Stage::Again { listed, .. } => listed.extend(more),
            Stage::Listing { .. } | Stage::Complete | Stage::NotListed(_) => {
                self.list.extend(more);
                self.follow();
            }
        }
    }

    /// Takes that all there is has been listed.
    pub fn complete(&mut self) {
        if self.stage == Stage::Asked {
            return;
        }
        if let Stage::Again { listed, .. } = std::mem::replace(&mut self.stage, Stage::Complete) {
            self.list.replace(listed);
            self.follow();
        }
    }

    /// Takes that the mailbox cannot be listed. What has been listed is kept.
    pub fn give_up(&mut self, why: &str) {
        self.stage = Stage::NotListed(DisplayText::from(why));
    }

    /// Shows only what has the pattern, or everything; then who looks for something has moved.
    pub fn filter(&mut self, pattern: Option<Pattern>) {
        let is_looking = pattern.is_some();
        self.list.filter(pattern);
        self.follow();
        self.follows &= !is_looking;
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

    /// Selects the next row, or the one before.
    pub fn find(&mut self, direction: Direction) {
        self.follows = false;
        self.list.find(direction);
    }

    /// Shows the next of the orders.
    pub fn next_order(&mut self) {
        self.follows = false;
        self.list.next_order();
    }

    /// Shows one of the orders, or that of the mailbox.
    pub fn show_in(&mut self, order: Option<usize>) {
        self.follows = false;
        self.list.show_in(order);
    }

    /// Marks the selected message, or takes its mark away, and goes to the next.
    pub fn mark(&mut self) {
        self.follows = false;
        self.list.mark();
    }

    /// Marks all messages that are shown, or takes their marks away.
    pub fn mark_all(&mut self) {
        self.list.mark_all();
    }

    /// Takes all marks away; says whether there were any.
    pub fn unmark(&mut self) -> bool {
        self.list.unmark()
    }

    /// Stays with the selected message, whatever comes.
    pub const fn hold(&mut self) {
        self.follows = false;
    }

    /// Fits the rows into a view of `height` rows.
    pub fn fit(&mut self, height: usize) {
        self.list.fit(height);
    }

    /// Numbers of the messages in view, of which the screen wants to know whether they are marked.
    pub fn in_sight(&self) -> impl Iterator<Item = usize> {
        let page = self.list.extent().page;
        self.list.in_view().take(page).map(|(summary, _)| summary.number)
    }

    /// Takes which of the messages in view the POP3 session that has the mailbox means to remove.
    pub fn marks_are(&mut self, numbers: impl Iterator<Item = usize>) {
        self.marked = numbers.collect();
    }

    /// Whether a session means to remove this one.
    #[must_use]
    pub fn is_marked(&self, summary: &Summary) -> bool {
        self.marked.contains(&summary.number)
    }

    fn follow(&mut self) {
        // In another order than the mailbox's the newest is not the last.
        if self.follows && self.list.order().is_none() {
            self.list.step(Step::Last);
        }
    }
}
