//! What has come of a conversation: a message was stored, a command refused, somebody has logged in.
//! Lines show what was said; facts say what it led to, for programs that read events.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use crate::watch::event::{ConnectionName, Service};

/// A unique-id as POP3 tells it: 32 lower-case hexadecimal digits (RFC 1939 section 7).
pub type Uid = String;

/// What has come of what was said on a connection, of a delivery, or of what the servers stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A message is on the disk, in one mailbox; told for each mailbox, before the reply.
    Stored(Stored),
    /// A reply said no: 4xx or 5xx of SMTP, `-ERR` of POP3.
    Refused {
        /// The command that it answers, in capitals; `DATA` at the end of a message. `None` if it
        /// answers no command that the protocol has.
        verb: Option<&'static str>,
        /// The reply's lines, without the last CRLF, as they are sent.
        reply: Box<[u8]>,
    },
    /// A fault was played on purpose.
    Fault {
        /// The rule's number; `None` where an address has asked for the fault.
        id: Option<u64>,
        /// The rule as it was written, or `ADDRESS`.
        rule: Arc<str>,
        /// What the transcript says of it.
        told: String,
    },
    /// A command or reply is held at a breakpoint, or is held no longer.
    Held {
        /// Its number.
        id: u64,
        /// The breakpoint as it was written.
        rule: Arc<str>,
        /// Where: `smtp.rcpt`.
        point: String,
        /// `command` or `reply`.
        side: &'static str,
        /// `held`, and then what has become of it: `released`, `edited`, `dropped`, `answered`,
        /// `killed`, or `ended` if the connection has ended.
        what: &'static str,
    },
    /// A login was tried.
    Login {
        /// The mailbox, or the name that was given if there is none.
        mailbox: String,
        /// Whether it was right. The mailbox may be in use all the same.
        ok: bool,
    },
    /// RETR has sent a whole message.
    Fetched(MessageName),
    /// A message that a session has marked is gone from the file.
    Deleted(MessageName),
    /// A message waits in the relay queue.
    Queued {
        /// The entry's id.
        id: String,
        /// The reverse-path without its brackets; empty for the null reverse-path.
        from: String,
        /// The recipients elsewhere, as `user@domain`.
        to: Vec<String>,
        /// Length of the message text in octets, with CRLF line ends.
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
        /// The mail host that decided it or could not be reached, with its port; `None` if there was
        /// none to ask.
        host: Option<String>,
        /// What came of it.
        outcome: RelayOutcome,
        /// The host's reply, or our own remark if there was none.
        reply: String,
    },
    /// A server accepts connections at an address.
    Listening {
        /// The server.
        service: Service,
        /// The address and port.
        address: SocketAddr,
    },
    /// It does so no longer, and its connections are closed.
    Stopped {
        /// The server.
        service: Service,
        /// The address and port.
        address: SocketAddr,
    },
    /// A mailbox has come or gone, or messages have gone from it, whatever program was the cause.
    Mailbox {
        /// Its name.
        mailbox: String,
        /// What has happened.
        change: MailboxChange,
    },
}

/// A fact as the octets it consists of, for an observer that keeps many facts of which few are read.
#[derive(Debug, Clone, Copy)]
pub struct PackedFact<'a> {
    /// The parts.
    pub parts: &'a [&'a [u8]],
    /// Makes the fact of them.
    pub unpack: Unpack,
}

/// Makes a fact of its parts. It is called while others wait: what takes long is left for later, by
/// [`Late`].
pub type Unpack = fn(&[&[u8]]) -> Fact;

/// What has happened to a mailbox as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxChange {
    /// It has come.
    Created,
    /// It has gone.
    Removed,
    /// It is another file, or has lost or changed messages that it had.
    Rewritten,
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
    /// The reverse-path without its brackets; empty for the null reverse-path.
    pub from: String,
    /// The recipients whose copy this is, as the client named them, without brackets, each once.
    pub to: Vec<String>,
    /// What is known of its text.
    pub content: Late<StoredContent>,
}

/// What is known of the text of a stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    /// Its unique-id. `None` if nobody read events at that time and the message is long: keeping or
    /// reading it for that would cost every delivery.
    pub uid: Option<Uid>,
    /// Its length as RETR sends it.
    pub octets: u64,
    /// The header as the client sent it, at most 16 KiB of it, without the fields that we have put
    /// before it.
    pub head: Arc<[u8]>,
}

/// A value that is computed when it is first looked at, from what was kept for that: most facts are
/// never read.
pub struct Late<T>(Arc<dyn Source<T>>);

/// Where the value comes from, in one piece of memory whatever makes it.
trait Source<T>: Send + Sync {
    fn value(&self) -> &T;
    fn octets(&self) -> usize;
}

struct Made<T, F> {
    value: LazyLock<T, F>,
    octets: usize,
}

impl<T, F> Source<T> for Made<T, F>
where
    T: Send + Sync,
    F: FnOnce() -> T + Send,
{
    fn value(&self) -> &T {
        &self.value
    }

    fn octets(&self) -> usize {
        self.octets
    }
}

impl<T: Send + Sync + 'static> Late<T> {
    /// What `make` will return. Until then it keeps `octets` octets of memory.
    pub fn of(octets: usize, make: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(Arc::new(Made { value: LazyLock::new(make), octets }))
    }
}

impl<T> Late<T> {
    /// Octets of memory that were kept for it.
    #[must_use]
    pub fn octets_kept(&self) -> usize {
        self.0.octets()
    }
}

impl<T> Clone for Late<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> From<T> for Late<T> {
    /// A value that is known already.
    fn from(value: T) -> Self {
        Self::of(0, move || value)
    }
}

impl<T> Deref for Late<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T: PartialEq> PartialEq for Late<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Late<T> {}

impl<T: fmt::Debug> fmt::Debug for Late<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// A message that was fetched or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageName {
    /// The mailbox.
    pub mailbox: String,
    /// Its unique-id; `None` as in [`StoredContent::uid`].
    pub uid: Late<Option<Uid>>,
    /// Its length as RETR sends it.
    pub octets: u64,
}

/// Longest message, in octets, whose unique-id is told by events that nobody reads yet: its text is
/// kept for that.
pub const UID_AT_ONCE_MOST: u64 = 16 * 1024;

/// A fact, and where and when it came to be.
#[derive(Debug, Clone)]
pub struct FactEvent {
    /// The connection; `None` if the fact has come of none.
    pub connection: Option<ConnectionName>,
    /// Wall-clock time.
    pub at: std::time::SystemTime,
    /// The fact.
    pub fact: Fact,
}
