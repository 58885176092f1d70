//! What the relay is doing, as the screen shows it: ahead of what the queue file says, until a
//! run ends and writes it down.

use std::collections::HashMap;

use crate::console::state::rows::QueueRow;
use crate::relay::backoff;
pub use crate::relay::mx::Target;
use crate::relay::orders::QueueTarget;
pub use crate::relay::progress::{Attempt, Found, Live, Sent, Tally};
pub use crate::relay::verdict::{Source, Verdict};
use crate::store::overview::RecipientState;

/// What the relay is doing.
#[derive(Debug, Clone, Default)]
pub struct RelayNow {
    /// The run, if one is under way.
    pub tally: Option<Tally>,
    /// How far the recipients are whose rows are in sight.
    live: HashMap<QueueTarget, Live>,
    /// What is known of the selected recipient.
    pub story: Story,
}

/// Everything that was found and tried for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// The hosts of its domain, if this process has looked them up.
    pub hosts: Option<Found>,
    /// The attempts of this process, oldest first.
    pub attempts: Vec<Attempt>,
}

impl RelayNow {
    /// Takes what the progress says of these recipients.
    pub fn is(&mut self, tally: Option<Tally>, live: impl Iterator<Item = (QueueTarget, Live)>) {
        self.tally = tally;
        self.live = live.collect();
    }

    /// Whether a message in sight is being sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.live.values().any(|live| live.sending.is_some())
    }

    /// Whether the message for this recipient, which is in sight, is being sent.
    #[must_use]
    pub fn is_being_sent(&self, target: &QueueTarget) -> bool {
        self.live.get(target).is_some_and(|live| live.sending.is_some())
    }

    /// The row with what has happened since the file was written.
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
        Verdict::Delivered(_) => (RecipientState::Delivered, None),
        Verdict::Failed(_) => (RecipientState::Failed, None),
        Verdict::Deferred(..) => (row.state, Some(last.at + backoff::wait_after(last.number))),
    };
}
