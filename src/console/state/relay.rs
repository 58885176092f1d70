//! The progress of the relay as the screen shows it. It is ahead of the queue file, into which a
//! run writes its results only at its end.

use std::collections::HashMap;

use crate::console::state::rows::QueueRow;
use crate::relay::backoff;
pub use crate::relay::mx::Target;
use crate::relay::orders::QueueTarget;
pub use crate::relay::progress::{Attempt, Found, Live, Sent, Tally};
pub use crate::relay::verdict::{Notice, Source, Verdict};
use crate::store::overview::RecipientState;

/// The progress of the relay.
#[derive(Debug, Clone, Default)]
pub struct RelayNow {
    /// The current run; `None` if none is under way.
    pub tally: Option<Tally>,
    /// The progress for the recipients whose rows are in view.
    live: HashMap<QueueTarget, Live>,
    /// The details of the selected recipient.
    pub story: Story,
}

/// The hosts and the attempts for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// The hosts of its domain; `None` if this process has not looked them up.
    pub hosts: Option<Found>,
    /// The attempts that this process has made, oldest first.
    pub attempts: Vec<Attempt>,
}

impl RelayNow {
    /// Takes over the run and the progress of these recipients.
    pub fn is(&mut self, tally: Option<Tally>, live: impl Iterator<Item = (QueueTarget, Live)>) {
        self.tally = tally;
        self.live = live.collect();
    }

    /// Whether a message for a recipient in view is being sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.live.values().any(|live| live.sending.is_some())
    }

    /// Whether the message for this recipient is being sent; the recipient must be in view.
    #[must_use]
    pub fn is_being_sent(&self, target: &QueueTarget) -> bool {
        self.live.get(target).is_some_and(|live| live.sending.is_some())
    }

    /// The row with the changes since the queue file was written.
    #[must_use]
    pub fn bring_up_to_date(&self, row: &QueueRow) -> QueueRow {
        let mut row = row.clone();
        let Some(live) = self.live.get(&row.target) else { return row };
        row.sending = live.sending;
        if let Some(last) = live.last.as_ref().filter(|last| last.number > row.attempts) {
            note(&mut row, last);
        }
        row
    }
}

fn note(row: &mut QueueRow, last: &Attempt) {
    row.attempts = last.number;
    row.last_reply = last.verdict.diagnosis().reason.clone();
    (row.state, row.next_attempt) = match last.verdict {
        Verdict::Delivered(..) => (RecipientState::Delivered, None),
        Verdict::Failed(_) => (RecipientState::Failed, None),
        Verdict::Deferred(..) => (row.state, Some(last.at + backoff::wait_after(last.number))),
    };
}
