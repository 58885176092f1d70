//! What an operator does with mailboxes and messages, as values: what the screen wishes, and what
//! it is told. Everything that comes from a message has become [`DisplayText`] here.

pub mod browser;
pub mod clerk;
pub mod compose;
pub mod decode;
pub mod listing;
pub mod message;
pub mod new_file;
pub mod shape;

use tokio::sync::mpsc;

pub use crate::mailroom::message::{Attachment, Field, Message, MessageKey, Summary};
pub use crate::mailroom::shape::{SHOWN_MOST, Shape, USUAL_FIELDS};
use crate::relay::queue_target::Pick;
use crate::store::directory::Directory;

/// Messages of one mailbox that are listed at most, the newest; the listing says so.
pub const LISTED_MOST: usize = 200_000;

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
