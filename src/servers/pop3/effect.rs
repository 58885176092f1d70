//! What a POP3 session and its service say to each other.

use std::sync::Arc;

use crate::servers::credentials::Credentials;
use crate::servers::pop3::maildrop::Remaining;
use crate::servers::session::Reply;
use crate::store::marks::Marks;
use crate::store::mbox::NotMbox;

/// Work that the session asks its service for.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop3Effect {
    /// Lock and open the maildrop of `user`, if the password is right.
    Login {
        /// The user name, as given with USER.
        user: String,
        /// The password, as given with PASS.
        password: Vec<u8>,
    },
    /// Lock and open the maildrop of the user who sends these credentials with AUTH or APOP, if they
    /// are right.
    Prove(Box<Credentials>),
    /// Send `status`, a line with number and size for each message, and the final dot.
    List {
        /// The status line of the reply.
        status: Reply,
        /// The messages to list.
        messages: Remaining,
    },
    /// Send `status`, a line with number and unique-id for each message, and the final dot.
    UniqueIds {
        /// The status line of the reply.
        status: Reply,
        /// The messages to list.
        messages: Remaining,
    },
    /// Send the number and unique-id of one message.
    UniqueId {
        /// The index of the message, from 0.
        index: usize,
    },
    /// Send `status`, the text of one message, and the final dot.
    Retrieve {
        /// The status line of the reply.
        status: Reply,
        /// The index of the message, from 0.
        index: usize,
    },
    /// Send the header and the first lines of the body of one message, and the final dot.
    Top {
        /// The index of the message, from 0.
        index: usize,
        /// How many lines of the body.
        lines: u64,
    },
    /// Enter the UPDATE state: remove these messages and unlock the maildrop.
    Update {
        /// The indexes of the messages, in order.
        deleted: Vec<usize>,
    },
}

/// The result of an effect.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop3Outcome {
    /// The maildrop is open and locked.
    Opened {
        /// The name of the mailbox; the client may have given its full address.
        mailbox: String,
        /// The sizes of its messages in octets.
        octets: Arc<[u64]>,
        /// The deletion marks, none of them set.
        deleted: Arc<Marks>,
    },
    /// There is no such user, or the password is wrong.
    LoginRefused,
    /// Too many wrong passwords came from that address, so this one was not checked.
    TooManyGuesses,
    /// Another POP3 session has locked the maildrop.
    InUse,
    /// Another program keeps the mailbox locked.
    Busy,
    /// The mailbox is not an mbox file; it is left unchanged.
    NotMbox(NotMbox),
    /// The mailbox cannot be read.
    NoMaildrop,
    /// The service has sent the whole reply.
    Said,
    /// The message has changed or cannot be read.
    Unreadable,
    /// The directory of the maildrop has been replaced by another one. Nothing was removed.
    Replaced,
    /// The maildrop is updated.
    Updated,
    /// The maildrop could not be updated; nothing has been removed.
    NotUpdated,
}
