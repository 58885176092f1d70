//! What has come of a conversation: a message was stored, a command refused, somebody has logged in.
//! Lines show what was said; facts say what it led to, for programs that read events.

use crate::watch::event::ConnectionName;

/// A unique-id as POP3 tells it: 32 lower-case hexadecimal digits (RFC 1939 section 7).
pub type Uid = String;

/// What has come of what was said on a connection, or of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A message is on the disk, in one mailbox; told for each mailbox, before the reply.
    Stored(Box<Stored>),
    /// A reply said no: 4xx or 5xx of SMTP, `-ERR` of POP3.
    Refused {
        /// The command that it answers, in capitals; `DATA` at the end of a message. `None` if it
        /// answers no command that the protocol has.
        verb: Option<&'static str>,
        /// The reply's lines, without the last CRLF, as they are sent.
        reply: Box<[u8]>,
    },
    /// A login was tried.
    Login {
        /// The mailbox, or the name that was given if there is none.
        mailbox: String,
        /// Whether it was right.
        ok: bool,
    },
    /// RETR has sent a whole message.
    Fetched(Box<MessageName>),
    /// A message that a session has marked is gone from the file.
    Deleted(Box<MessageName>),
    /// A message waits in the relay queue.
    Queued {
        /// The entry's id.
        id: String,
        /// The reverse-path without its brackets; empty for the null reverse-path.
        from: String,
        /// The recipients elsewhere, as `user@domain`.
        to: Vec<String>,
        /// Length of the message text in octets.
        octets: u64,
    },
    /// The relay has a connection to a mail host, and begins to give it a message.
    RelayAttempt {
        /// The entry's id.
        id: String,
        /// The recipients of this attempt.
        to: Vec<String>,
        /// The mail host, with its port.
        host: String,
    },
    /// What a mail host, or the lack of one, has made of one recipient.
    Relayed {
        /// The entry's id.
        id: String,
        /// The recipient, as `user@domain`.
        to: String,
        /// The mail host, with its port; `None` if none was reached.
        host: Option<String>,
        /// What came of it.
        outcome: RelayOutcome,
        /// The host's reply, or our own remark if there was none.
        reply: String,
    },
}

/// What an attempt to relay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayOutcome {
    /// The mail host has taken the message.
    Delivered,
    /// It will be tried again.
    Deferred,
    /// It will not be tried again.
    Failed,
}

/// A message that was stored in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The mailbox.
    pub mailbox: String,
    /// Its unique-id. `None` if nobody read events at that time and the message is long: computing
    /// it would cost every delivery.
    pub uid: Option<Uid>,
    /// Its length as RETR sends it.
    pub octets: u64,
    /// The reverse-path without its brackets; empty for the null reverse-path.
    pub from: String,
    /// The recipients whose copy this is, as the client named them, without brackets.
    pub to: Vec<String>,
    /// The beginning of the message: as much of its header as is needed for the subject.
    pub head: Box<[u8]>,
}

/// A message that was fetched or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageName {
    /// The mailbox.
    pub mailbox: String,
    /// Its unique-id; `None` as in [`Stored::uid`].
    pub uid: Option<Uid>,
    /// Its length as RETR sends it.
    pub octets: u64,
}

/// Longest message, in octets, whose unique-id is computed for events that nobody reads yet: MD5
/// costs 2 us for each 1,024 octets.
pub const UID_AT_ONCE_MOST: u64 = 16 * 1024;

/// A fact, and where and when it came to be.
#[derive(Debug, Clone)]
pub struct FactEvent {
    /// The connection.
    pub connection: ConnectionName,
    /// Wall-clock time.
    pub at: std::time::SystemTime,
    /// The fact.
    pub fact: Fact,
}
