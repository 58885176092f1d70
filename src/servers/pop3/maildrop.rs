//! A maildrop as a session sees it: how long each message is, and which are marked deleted. Knows
//! neither their text nor the file they lie in.

use std::sync::Arc;

use crate::servers::pop3::command::MessageNumber;

/// The messages of a locked maildrop. Their numbers stay what they are during a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    /// Octets of each message, as RETR sends it.
    octets: Arc<[u64]>,
    deleted: Arc<[bool]>,
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

/// The messages that are not marked deleted, in order. A value of its own, so that a listing can
/// be sent while the session does something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    octets: Arc<[u64]>,
    deleted: Arc<[bool]>,
    next: usize,
}

impl Maildrop {
    /// A maildrop with messages of these lengths.
    #[must_use]
    pub fn new(octets: Arc<[u64]>) -> Self {
        Self {
            deleted: vec![false; octets.len()].into(),
            count: octets.len(),
            total: octets.iter().sum(),
            octets,
        }
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
        match (self.octets.get(index), self.deleted.get(index)) {
            (Some(_), Some(true)) => Err(Absent::Deleted),
            (Some(&octets), _) => Ok(Message { index, octets }),
            (None, _) => Err(Absent::NoSuchMessage),
        }
    }

    /// Marks a message deleted.
    pub fn delete(&mut self, number: MessageNumber) -> Result<(), Absent> {
        let message = self.message(number)?;
        if let Some(deleted) = Arc::make_mut(&mut self.deleted).get_mut(message.index) {
            *deleted = true;
        }
        self.count -= 1;
        self.total -= message.octets;
        Ok(())
    }

    /// Unmarks all messages.
    pub fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.octets));
    }

    /// The messages that are not marked deleted.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        Remaining { octets: Arc::clone(&self.octets), deleted: Arc::clone(&self.deleted), next: 0 }
    }

    /// The messages that are marked deleted, by their places, in order.
    #[must_use]
    pub fn deleted(&self) -> Vec<usize> {
        let marked = self.deleted.iter().enumerate();
        marked.filter_map(|(index, &deleted)| deleted.then_some(index)).collect()
    }
}

impl Iterator for Remaining {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            let index = self.next;
            let octets = *self.octets.get(index)?;
            self.next += 1;
            if self.deleted.get(index) != Some(&true) {
                return Some(Message { index, octets });
            }
        }
    }
}
