//! The values of a message, for lists and for display. Everything that comes from a message is
//! [`DisplayText`] here.

use std::hash::{Hash, Hasher};
use std::time::SystemTime;

use rustc_hash::FxHasher;

use crate::mailroom::decode::body::Body;
use crate::relay::queue_target::QueueTarget;
use crate::wire::display::DisplayText;

/// Identifies a message when its mailbox is listed again, even if messages before it were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// The hash of the message's From_ line, header and length.
    pub hash: u64,
    /// The index among the messages with the same hash, from 0.
    pub occurrence: u32,
}

impl MessageKey {
    /// The key for the message of a queue entry; the same for all its recipients.
    #[must_use]
    pub fn of_queued(target: &QueueTarget) -> Self {
        let mut hasher = FxHasher::default();
        target.id.hash(&mut hasher);
        Self { hash: hasher.finish(), occurrence: u32::MAX }
    }
}

/// A message in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The key of the message.
    pub key: MessageKey,
    /// Its number, as a POP3 session that begins now would have it.
    pub number: usize,
    /// The author: the name, or the address if there is none.
    pub from: DisplayText,
    /// The subject.
    pub subject: DisplayText,
    /// The date in its header, or else the time at which it was stored.
    pub date: Option<SystemTime>,
    /// Its length in octets, as RETR sends it.
    pub octets: u64,
    /// To whom it was sent, if it was redirected to this mailbox; several with commas between them.
    pub caught_for: Option<DisplayText>,
}

/// A message for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The key of the message.
    pub key: MessageKey,
    /// All header fields in their order, unfolded, with encoded words decoded.
    pub header: Vec<Field>,
    /// The text.
    pub body: Body,
    /// The attachments, in their order.
    pub attachments: Vec<Attachment>,
    /// The length of the whole message in octets, as RETR sends it.
    pub octets: u64,
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name; `?` for a line that is not a field.
    pub name: DisplayText,
    /// The value, unfolded and decoded.
    pub value: DisplayText,
}

/// An attachment of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The file name; a generated one if there is none.
    pub name: DisplayText,
    /// The media type (RFC 2045).
    pub media_type: DisplayText,
    /// The decoded length in octets.
    pub octets: u64,
}
