//! The maildrop as a session sees it: the size of each message and the deletion marks. Independent
//! of the file that holds the messages.

use std::sync::Arc;

use crate::servers::pop3::command::MessageNumber;
use crate::store::marks::Marks;

/// The messages of a locked maildrop. Their numbers do not change during a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    /// The size of each message in octets, as RETR sends it.
    octets: Arc<[u64]>,
    /// Shared with the console, which shows them.
    deleted: Arc<Marks>,
    count: usize,
    total: u64,
}

/// Why a message number is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The maildrop has no message with this number.
    NoSuchMessage,
    /// The message is marked as deleted.
    Deleted,
}

/// One message of a maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its index from 0; its number is one more.
    pub index: usize,
    /// Its size as RETR sends it, without dot-stuffing.
    pub octets: u64,
}

/// An iterator over the messages that are not marked as deleted, in order. The session marks no
/// message while a listing is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    octets: Arc<[u64]>,
    deleted: Arc<Marks>,
    next: usize,
}

impl Maildrop {
    /// A maildrop with messages of these sizes; `deleted` must have no marks.
    #[must_use]
    pub fn new(octets: Arc<[u64]>, deleted: Arc<Marks>) -> Self {
        Self { deleted, count: octets.len(), total: octets.iter().sum(), octets }
    }

    /// The number of messages that are not marked as deleted.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The total size in octets of the messages that are not marked as deleted.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.total
    }

    /// The message with this number.
    ///
    /// # Errors
    ///
    /// If there is none, or it is marked as deleted.
    pub fn message(&self, number: MessageNumber) -> Result<Message, Absent> {
        let index = number.index();
        match self.octets.get(index) {
            Some(_) if self.deleted.is_marked(index) => Err(Absent::Deleted),
            Some(&octets) => Ok(Message { index, octets }),
            None => Err(Absent::NoSuchMessage),
        }
    }

    /// Marks a message as deleted.
    ///
    /// # Errors
    ///
    /// If there is none with this number, or it is marked already.
    pub fn delete(&mut self, number: MessageNumber) -> Result<(), Absent> {
        let message = self.message(number)?;
        self.deleted.mark(message.index);
        self.count -= 1;
        self.total -= message.octets;
        Ok(())
    }

    /// Removes all deletion marks (RSET).
    pub fn reset(&mut self) {
        self.deleted.clear();
        *self = Self::new(Arc::clone(&self.octets), Arc::clone(&self.deleted));
    }

    /// The messages that are not marked as deleted, in order.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        Remaining { octets: Arc::clone(&self.octets), deleted: Arc::clone(&self.deleted), next: 0 }
    }

    /// The indexes of the messages marked as deleted, in order.
    #[must_use]
    pub fn deleted(&self) -> Vec<usize> {
        self.deleted.marked().collect()
    }
}

impl Iterator for Remaining {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            let index = self.next;
            let octets = *self.octets.get(index)?;
            self.next += 1;
            if !self.deleted.is_marked(index) {
                return Some(Message { index, octets });
            }
        }
    }
}
