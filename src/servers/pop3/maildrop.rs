//! A maildrop as a session sees it: how long each message is, and which are marked deleted. Knows
//! neither their text nor the file they lie in.

use std::sync::Arc;

use crate::servers::pop3::command::MessageNumber;
use crate::store::marks::Marks;

/// The messages of a locked maildrop. Their numbers stay what they are during a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    /// Octets of each message, as RETR sends it.
    octets: Arc<[u64]>,
    /// Whoever looks on sees these too.
    deleted: Arc<Marks>,
    count: usize,
    total: u64,
}

/// Why there is no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The maildrop never had one of this number.
    NoSuchMessage,
    /// It is marked deleted.
    Deleted,
}

/// One message, by its place in the maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Counted from 0; its number is one more.
    pub index: usize,
    /// As RETR sends it, without dot stuffing.
    pub octets: u64,
}

/// The messages that are not marked deleted, in order. The session marks none while it waits for
/// its listing to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    octets: Arc<[u64]>,
    deleted: Arc<Marks>,
    next: usize,
}

impl Maildrop {
    /// A maildrop with messages of these lengths, none of them marked in `deleted`.
    #[must_use]
    pub fn new(octets: Arc<[u64]>, deleted: Arc<Marks>) -> Self {
        Self { deleted, count: octets.len(), total: octets.iter().sum(), octets }
    }

    /// Messages that are not marked deleted.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Octets of the messages that are not marked deleted.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.total
    }

    /// The message of this number.
    pub fn message(&self, number: MessageNumber) -> Result<Message, Absent> {
        let index = number.index();
        match self.octets.get(index) {
            Some(_) if self.deleted.is_marked(index) => Err(Absent::Deleted),
            Some(&octets) => Ok(Message { index, octets }),
            None => Err(Absent::NoSuchMessage),
        }
    }

    /// Marks a message deleted.
    pub fn delete(&mut self, number: MessageNumber) -> Result<(), Absent> {
        let message = self.message(number)?;
        self.deleted.mark(message.index);
        self.count -= 1;
        self.total -= message.octets;
        Ok(())
    }

    /// Unmarks all messages.
    pub fn reset(&mut self) {
        self.deleted.clear();
        *self = Self::new(Arc::clone(&self.octets), Arc::clone(&self.deleted));
    }

    /// The messages that are not marked deleted.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        Remaining { octets: Arc::clone(&self.octets), deleted: Arc::clone(&self.deleted), next: 0 }
    }

    /// The messages that are marked deleted, by their places, in order.
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
