//! An operator's orders about queued mail: retry, hold, release, drop (docs/protocol.md 5.14).

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

pub use crate::relay::queue_target::QueueTarget;
use crate::relay::selection::QueueTargets;
use crate::store::overview::RecipientState;
use crate::store::queue::{Edit, Entry, Queue, QueueError, Recipient};

/// An order about recipients in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Makes them pending and due, whatever happened before.
    Retry,
    /// Keeps them from being tried until they are released.
    Hold,
    /// Lets held recipients be tried again.
    Release,
    /// Removes them from the queue without a notification.
    Drop,
}

/// How many recipients and messages an order has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Recipients the order was carried out for.
    pub recipients: usize,
    /// The messages that these recipients belong to.
    pub messages: usize,
}

impl Order {
    /// Carries out the order for the recipients in `picks`; returns how many there were.
    ///
    /// # Errors
    ///
    /// If the queue cannot be read or written.
    pub async fn give(
        self,
        queue: &Queue,
        targets: BTreeSet<QueueTarget>,
    ) -> Result<Done, QueueError> {
        let targets: QueueTargets = targets.into_iter().collect();
        let is_meant = move |entry: &Entry, recipient: &Recipient| {
            targets.mean(&entry.block.id, &recipient.forward_path)
        };
        self.give_where(queue, is_meant).await
    }

    /// Carries out the order, in one pass over the queue, for all recipients for which `is_meant`
    /// returns true.
    ///
    /// # Errors
    ///
    /// If the queue cannot be read or written.
    pub async fn give_where(
        self,
        queue: &Queue,
        is_meant: impl Fn(&Entry, &Recipient) -> bool + Send + 'static,
    ) -> Result<Done, QueueError> {
        // The edit runs on another thread, so the counts are shared with it.
        let done = Arc::new(Mutex::new(Done::default()));
        let counted = Arc::clone(&done);
        let edit = move |entry: &mut Entry| {
            let (edit, recipients) = self.apply(entry, &is_meant);
            let mut done = counted.lock();
            done.recipients += recipients;
            done.messages += usize::from(recipients > 0);
            edit
        };
        queue.edit_entries(edit).await?;
        let done = done.lock();
        Ok(*done)
    }

    /// Applies the order to an entry; returns how many of its recipients it changed.
    fn apply(
        self,
        entry: &mut Entry,
        is_meant: impl Fn(&Entry, &Recipient) -> bool,
    ) -> (Edit, usize) {
        let recipients = entry.block.recipients.iter();
        // `is_meant` sees the whole entry, so it must have seen every recipient before one is
        // changed.
        let mut meant = recipients
            .map(|recipient| self.concerns(recipient.state) && is_meant(entry, recipient))
            .collect::<Vec<_>>()
            .into_iter();
        let mut count = 0;
        entry.block.recipients.retain_mut(|recipient| {
            if !meant.next().unwrap_or(false) {
                return true;
            }
            count += 1;
            self.leaves(recipient)
        });
        if count > 0 {
            // Attempts are only kept for recipients that are in the entry.
            entry.block.remember([]);
        }
        let edit = match (entry.block.recipients.is_empty(), count > 0) {
            (true, true) => Edit::Removed,
            (_, true) => Edit::Changed,
            (_, false) => Edit::Unchanged,
        };
        (edit, count)
    }

    /// Whether the order applies to a recipient in this state. A delivered recipient only waits to
    /// be removed; no order applies to it.
    const fn concerns(self, state: RecipientState) -> bool {
        match (self, state) {
            (_, RecipientState::Delivered) => false,
            (Self::Hold, state) => !matches!(state, RecipientState::Held),
            (Self::Release, state) => matches!(state, RecipientState::Held),
            (Self::Retry | Self::Drop, _) => true,
        }
    }

    /// Changes the recipient; returns whether it stays in the queue.
    fn leaves(self, recipient: &mut Recipient) -> bool {
        recipient.state = match self {
            Self::Retry | Self::Release => RecipientState::Pending,
            Self::Hold => RecipientState::Held,
            Self::Drop => return false,
        };
        // 0 means that the recipient is due now.
        recipient.next_attempt = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::queue::Block;

    fn after(order: Order, targets: &[(&str, Option<&str>)]) -> (Edit, String) {
        let block = "X-MC-Id: 1\nX-MC-From: <>\nX-MC-Queued: 0\n\
                     X-MC-Rcpt: P 1 99 <p@x> 451\nX-MC-Rcpt: D 1 0 <d@x> 250\n\
                     X-MC-Rcpt: F 1 0 <f@x> 550\nX-MC-Rcpt: H 1 0 <h@x>\nX-MC-End:\n";
        let mut entry = Entry::of_block(Block::parse(block.as_bytes()).unwrap().0, 0);
        let targets = targets.iter().map(|(id, recipient)| QueueTarget {
            id: (*id).to_owned(),
            recipient: recipient.map(str::to_owned),
        });
        let targets: QueueTargets = targets.collect();
        let (edit, _) = order.apply(&mut entry, |entry, recipient| {
            targets.mean(&entry.block.id, &recipient.forward_path)
        });
        let states = entry.block.recipients.iter().map(|recipient| match recipient.state {
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
