//! What an operator does with mailboxes and messages, as values: what the screen wishes, and what
//! it is told. Everything that comes from a message has become [`DisplayText`] here.

pub mod browser;
pub mod clerk;
pub mod compose;
pub mod decode;
pub mod listing;
pub mod new_file;

use std::hash::{Hash, Hasher};
use std::time::SystemTime;

use rustc_hash::FxHasher;
use tokio::sync::mpsc;

use crate::mailroom::decode::Body;
use crate::relay::orders::Pick;
use crate::store::directory::Directory;
use crate::wire::display::DisplayText;

/// Messages of one mailbox that are listed at most, the newest; the listing says so.
pub const LISTED_MOST: usize = 200_000;

/// Octets of a message's text that are shown at most; it is saved whole.
pub const SHOWN_MOST: usize = 4 * 1024 * 1024;

/// Octets of an attachment that a composed message can be given.
pub const ATTACHMENT_MOST: u64 = 1024 * 1024 * 1024;

/// How the screen reaches the mailroom.
#[derive(Debug)]
pub struct Desk {
    /// Takes what the operator wants.
    pub wishes: mpsc::Sender<Wish>,
    /// Says what came of it. Whoever does not read it stops the listing, and nothing else.
    pub news: mpsc::Receiver<News>,
    /// Knows what the POP3 session of a mailbox has marked deleted: see [`Directory::marks`].
    pub directory: Directory,
}

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

/// What the screen wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// List this mailbox, and what comes to it, until another is opened or this is closed.
    Open(String),
    /// List nothing any more; a listing under way is given up.
    Close,
    /// Show a message of the mailbox that is open.
    Read(MessageKey),
    /// Open the HTML of a message in the browser.
    Browse(MessageKey),
    /// Save a message as it is to a file of its own in the current directory.
    Save(MessageKey),
    /// Save several messages, each to a file of its own.
    SaveAll(Vec<MessageKey>),
    /// Save one attachment, by its place, or all of them, to the current directory.
    SaveAttachments(MessageKey, Option<usize>),
    /// Remove a message, under the locks that a POP3 session takes.
    Delete(MessageKey),
    /// Remove several messages in one rewrite, under the same locks.
    DeleteAll(Vec<MessageKey>),
    /// Remove all messages of a mailbox, which are so many. What has come since stays.
    Clear(String, usize),
    /// Something with the message of an entry of the relay queue.
    Queued(Pick, QueuedWish),
    /// Make a mailbox.
    Create(String),
    /// Send a message through our own SMTP server.
    Send(Draft),
}

/// What is wanted of a queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuedWish {
    /// Show it.
    Read,
    /// Open its HTML in the browser.
    Browse,
    /// Save it as it is to a file of its own in the current directory.
    Save,
    /// Save one attachment, by its place, or all of them, to the current directory.
    SaveAttachments(Option<usize>),
}

/// A message to be sent, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The sender's address; empty for the null reverse-path.
    pub from: String,
    /// The recipients' addresses, with commas between them.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text, with LF between its lines.
    pub body: String,
    /// Octets of the attachment; 0: none.
    pub attachment: u64,
}

/// What the screen is told.
#[derive(Debug, Clone)]
pub enum News {
    /// The listing of a mailbox begins, or begins anew: what was listed of it is void.
    Begun {
        /// Which mailbox.
        mailbox: String,
        /// Messages that will be listed.
        messages: usize,
        /// Messages before those, which are more than can be listed.
        left_out: usize,
    },
    /// The next messages, in the order of the mailbox.
    Listed(Vec<Summary>),
    /// The listing has all there is; what comes to the mailbox follows by itself.
    Complete,
    /// The mailbox cannot be listed, in a sentence.
    NotListed(String),
    /// A message to be shown; a long one first as far as it has been read, and then again.
    Shown(Box<Message>),
    /// A message cannot be shown, in a sentence.
    NotShown(String),
    /// What came of a wish, in a sentence.
    Said(String),
    /// A message that nobody has got, as it was typed; why is said beside it.
    NotSent(Draft),
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

/// The header fields that say whom a message is from and what it is about, in this order.
pub const USUAL_FIELDS: [&str; 6] = ["From", "To", "Cc", "Reply-To", "Subject", "Date"];

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; `?` for a line that is no field.
    pub name: DisplayText,
    /// What it says.
    pub value: DisplayText,
}

/// As what the text of a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Its text, decoded: plain text where there is a choice.
    Text,
    /// Its text, decoded: HTML where there is a choice, as text.
    Html,
    /// The message as it is.
    Raw,
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
