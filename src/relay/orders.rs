//! What an operator says about queued mail: retry, hold, release, drop.

use std::collections::BTreeSet;

use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Edit, Queue, QueueError, Recipient};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Try again in the next run, whatever has happened so far.
    Retry,
    /// Try no more until it is released.
    Hold,
    /// What was held may be tried again.
    Release,
    /// Forget it.
    Drop,
}

/// With what it is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// The id of the entry.
    pub id: String,
    /// The address of one of its recipients, or all of them.
    pub recipient: Option<String>,
}

impl Pick {
    /// One recipient of an entry.
    #[must_use]
    pub fn one(id: &str, recipient: &str) -> Self {
        Self { id: id.to_owned(), recipient: Some(recipient.to_owned()) }
    }

    /// Whether this recipient of the entry with this id is meant.
    #[must_use]
    pub fn means(&self, id: &str, forward_path: &str) -> bool {
        let mut recipient = self.recipient.iter();
        self.id == id && recipient.all(|recipient| recipient == forward_path)
    }
}

impl Order {
    /// Carries it out in the queue; returns the envelopes that are left.
    pub async fn give(
        self,
        queue: &Queue,
        picks: BTreeSet<Pick>,
    ) -> Result<Vec<Block>, QueueError> {
        queue.edit(move |block| self.apply(&picks, block)).await
    }

    fn apply(self, picks: &BTreeSet<Pick>, block: &mut Block) -> Edit {
        let Block { id, recipients, .. } = block;
        let mut changed = false;
        recipients.retain_mut(|recipient| {
            let picked = picks.iter().any(|pick| pick.means(id, &recipient.forward_path));
            if !picked || !self.concerns(recipient.state) {
                return true;
            }
            changed = true;
            self.leaves(recipient)
        });
        match (recipients.is_empty(), changed) {
            (true, true) => Edit::Removed,
            (_, true) => Edit::Changed,
            (_, false) => Edit::Unchanged,
        }
    }

    /// What is delivered is beyond all orders; it only waits to be cleared away.
    const fn concerns(self, state: RecipientState) -> bool {
        match (self, state) {
            (_, RecipientState::Delivered) => false,
            (Self::Hold, state) => !matches!(state, RecipientState::Held),
            (Self::Release, state) => matches!(state, RecipientState::Held),
            (Self::Retry | Self::Drop, _) => true,
        }
    }

    /// Whether it leaves the recipient in the queue, and how.
    fn leaves(self, recipient: &mut Recipient) -> bool {
        recipient.state = match self {
            Self::Retry | Self::Release => RecipientState::Pending,
            Self::Hold => RecipientState::Held,
            Self::Drop => return false,
        };
        recipient.next_attempt = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(order: Order, picks: &[(&str, Option<&str>)]) -> (Edit, String) {
        let block = "X-MC-Id: 1\nX-MC-From: <>\nX-MC-Queued: 0\n\
                     X-MC-Rcpt: P 1 99 <p@x> 451\nX-MC-Rcpt: D 1 0 <d@x> 250\n\
                     X-MC-Rcpt: F 1 0 <f@x> 550\nX-MC-Rcpt: H 1 0 <h@x>\nX-MC-End:\n";
        let (mut block, _) = Block::parse(block.as_bytes()).unwrap();
        let picks = picks.iter().map(|(id, recipient)| Pick {
            id: (*id).to_owned(),
            recipient: recipient.map(str::to_owned),
        });
        let edit = order.apply(&picks.collect(), &mut block);
        let states = block.recipients.iter().map(|recipient| match recipient.state {
            RecipientState::Pending if recipient.next_attempt == 0 => 'P',
            RecipientState::Pending => 'p',
            RecipientState::Delivered => 'D',
            RecipientState::Failed => 'F',
            RecipientState::Held => 'H',
        });
        (edit, states.collect())
    }

    #[test]
    fn an_order_is_for_an_entry_or_for_one_recipient() {
        let all = [("1", None)];
        assert_eq!(after(Order::Retry, &all), (Edit::Changed, "PDPP".to_owned()));
        assert_eq!(after(Order::Hold, &all), (Edit::Changed, "HDHH".to_owned()));
        assert_eq!(after(Order::Release, &all), (Edit::Changed, "pDFP".to_owned()));
        assert_eq!(after(Order::Drop, &all), (Edit::Changed, "D".to_owned()));
        let one = [("1", Some("f@x"))];
        assert_eq!(after(Order::Retry, &one), (Edit::Changed, "pDPH".to_owned()));
        assert_eq!(after(Order::Drop, &one), (Edit::Changed, "pDH".to_owned()));
    }

    #[test]
    fn an_order_for_somebody_else_changes_nothing() {
        assert_eq!(after(Order::Drop, &[("2", None)]).0, Edit::Unchanged);
        assert_eq!(after(Order::Drop, &[("1", Some("d@x"))]).0, Edit::Unchanged);
        assert_eq!(after(Order::Release, &[("1", Some("p@x"))]).0, Edit::Unchanged);
    }
}
