//! A message as values, for a listing and to be looked at. Everything that comes from a message has
//! become [`DisplayText`] here.

use std::hash::{Hash, Hasher};
use std::time::SystemTime;

use rustc_hash::FxHasher;

use crate::mailroom::decode::body::Body;
use crate::relay::queue_target::Pick;
use crate::wire::display::DisplayText;

/// What makes a message the same message when its mailbox is listed again, whatever has been
/// removed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// Of what the message begins with.
    pub hash: u64,
    /// Which of the messages that begin alike, counted from 0.
    pub occurrence: u32,
}

impl MessageKey {
    /// Of the message of an entry of the relay queue. Its recipients have the same.
    #[must_use]
    pub fn of_queued(pick: &Pick) -> Self {
        let mut hasher = FxHasher::default();
        pick.id.hash(&mut hasher);
        Self { hash: hasher.finish(), occurrence: u32::MAX }
    }
}

/// A message in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which it is.
    pub key: MessageKey,
    /// Its number in the mailbox, as a POP3 session that begins now would have it.
    pub number: usize,
    /// Who wrote it: the name, or the address where there is none.
    pub from: DisplayText,
    /// What about.
    pub subject: DisplayText,
    /// When, by its own account; else when it was stored.
    pub date: Option<SystemTime>,
    /// Its length, as RETR sends it.
    pub octets: u64,
}

/// A message, to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which it is.
    pub key: MessageKey,
    /// All header fields in their order, unfolded; encoded words are decoded.
    pub header: Vec<Field>,
    /// Its text.
    pub body: Body,
    /// What is attached.
    pub attachments: Vec<Attachment>,
    /// Length of the whole message, as RETR sends it.
    pub octets: u64,
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; `?` for a line that is no field.
    pub name: DisplayText,
    /// What it says.
    pub value: DisplayText,
}

/// Something attached to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name; made up where it has none.
    pub name: DisplayText,
    /// Its media type (RFC 2045).
    pub media_type: DisplayText,
    /// Its length, decoded.
    pub octets: u64,
}
