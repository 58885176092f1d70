//! Requests about mailboxes and messages, and their results, as values for the screen. Everything
//! that comes from a message is [`DisplayText`](crate::wire::display::DisplayText) here.

pub mod browser;
pub mod compose;
pub mod condition;
pub mod decode;
pub mod fields;
pub mod folder;
pub mod listing;
pub mod message;
pub mod new_file;
pub mod new_message;
pub mod query;
pub mod record;
pub mod shape;
pub mod submission;
pub mod tasks;

use tokio::sync::mpsc;

pub use crate::mailroom::message::{Attachment, Field, Message, MessageKey, Summary};
pub use crate::mailroom::shape::{SHOWN_MOST, Shape, USUAL_FIELDS};
use crate::relay::queue_target::QueueTarget;
use crate::store::directory::Directory;

/// The most messages of a mailbox that are listed; the newest ones are, and the listing says so.
pub const LISTED_MOST: usize = 200_000;

/// The largest attachment of a composed message, in octets.
pub const ATTACHMENT_MOST: u64 = 1024 * 1024 * 1024;

/// The screen's connection to the mailroom.
#[derive(Debug)]
pub struct MailroomHandle {
    /// Takes requests.
    pub requests: mpsc::Sender<MailroomRequest>,
    /// Delivers results. If it is not read, only the listing stops.
    pub news: mpsc::Receiver<MailroomEvent>,
    /// For the deletion marks of POP3 sessions: see [`Directory::marks`].
    pub directory: Directory,
}

/// A request of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailroomRequest {
    /// List this mailbox, and the messages that arrive, until another is opened or this one is
    /// closed.
    Open(String),
    /// Search the open mailbox, and what comes, for the messages that a query means; empty: search no
    /// more.
    Find(String),
    /// Close the mailbox; a listing in progress is abandoned.
    Close,
    /// Show a message of the open mailbox.
    Read(MessageKey),
    /// Open the HTML of a message in the browser.
    Browse(MessageKey),
    /// Save a message unchanged to a new file in the current directory.
    Save(MessageKey),
    /// Save several messages, each to a new file.
    SaveAll(Vec<MessageKey>),
    /// Save one attachment, by its index, or all of them, to the current directory.
    SaveAttachments(MessageKey, Option<usize>),
    /// Delete a message, under the locks of a POP3 session.
    Delete(MessageKey),
    /// Delete several messages in one rewrite, under the same locks.
    DeleteAll(Vec<MessageKey>),
    /// Delete the first messages of a mailbox, as many as given: those the operator knew of.
    /// Messages that have arrived since stay.
    Clear(String, usize),
    /// A request about the message of a queue entry.
    Queued(QueueTarget, QueuedRequest),
    /// Create a mailbox.
    Create(String),
    /// Send a message through our own SMTP server.
    Send(Draft),
}

/// A request about a queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuedRequest {
    /// Show it.
    Read,
    /// Open its HTML in the browser.
    Browse,
    /// Save it unchanged to a new file in the current directory.
    Save,
    /// Save one attachment, by its index, or all of them, to the current directory.
    SaveAttachments(Option<usize>),
}

/// A message to be sent, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The sender's address; empty for the null reverse-path.
    pub from: String,
    /// The recipients' addresses, separated by commas.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text, with LF between lines.
    pub body: String,
    /// The size of the attachment in octets; 0 means none.
    pub attachment: u64,
}

/// A result for the screen.
#[derive(Debug, Clone)]
pub enum MailroomEvent {
    /// The listing of a mailbox begins or starts over: rows reported before are void.
    Begun {
        /// The name of the mailbox.
        mailbox: String,
        /// The number of messages that will be listed.
        messages: usize,
        /// The number of older messages, which are over the limit.
        left_out: usize,
    },
    /// The next messages, in the order of the mailbox.
    Listed(Vec<Summary>),
    /// The listing is complete; messages that arrive will follow.
    Complete,
    /// More of what the query means, of messages that were listed.
    Found {
        /// The query, as it was requested.
        query: String,
        /// The messages.
        keys: Vec<MessageKey>,
    },
    /// A sentence that says why the mailbox cannot be listed.
    NotListed(String),
    /// A message for display; a long one is reported again when the rest has been read.
    Shown(Box<Message>),
    /// A sentence that says why a message cannot be shown.
    NotShown(String),
    /// A sentence that reports the result of a request.
    Said(String),
    /// A draft that reached nobody; the reason is reported separately.
    NotSent(Draft),
}
