//! The contents of a directory at one moment, as plain values for display.

use std::fmt;
use std::time::SystemTime;

/// A mailbox as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxView {
    /// The user, which is the file's name without `.mbox`; `mqueue` for the relay queue.
    pub name: String,
    /// Number of messages; `None` if the file is not an mbox or cannot be read.
    pub messages: Option<u64>,
    /// Size of the file in octets.
    pub octets: u64,
    /// Changes whenever the file has been written to, even if nothing else shows it.
    pub revision: u64,
    /// Changes when it has become another file, or has lost or changed messages that it had; new
    /// messages do not change it. 0 if that is not known yet.
    pub edition: u64,
    /// The holder of its lock; `None` if it is not locked.
    pub holder: Option<Holder>,
    /// Why it cannot be read or written; `None` if it can.
    pub error: Option<String>,
}

impl MailboxView {
    /// A mailbox of which only the length of its file is known.
    pub(super) fn unknown(user: &str, octets: u64) -> Self {
        Self {
            name: user.to_owned(),
            messages: None,
            octets,
            revision: 0,
            edition: 0,
            holder: None,
            error: None,
        }
    }
}

/// The holder of a mailbox's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A POP3 session of this process.
    OwnSession,
    /// A POP3 session of another process, which is `None` if unknown.
    OtherSession(Option<Process>),
    /// A program that works on the file directly, which is `None` if unknown.
    Program(Option<Process>),
}

/// A process on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub id: i32,
    /// The name of its program; `None` if it cannot be read. May contain hostile characters.
    pub name: Option<String>,
}

/// `pid 812 (mutt)`.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "pid {} ({name})", self.id),
            None => write!(f, "pid {}", self.id),
        }
    }
}

/// The state of a queued recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// Waits for a relay run, for the first time or again.
    Pending,
    /// Its mail host has accepted the message.
    Delivered,
    /// Refused permanently; not tried again unless an operator requests it.
    Failed,
    /// Held by an operator.
    Held,
}

/// One recipient of one queued message, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// The entry's id, shared by all its recipients.
    pub id: String,
    /// The sender; empty for the null reverse-path.
    pub reverse_path: String,
    /// The recipient, as `user@domain`.
    pub recipient: String,
    /// Its state.
    pub state: RecipientState,
    /// Length of the message text in octets.
    pub octets: u64,
    /// Time at which it was queued.
    pub queued: SystemTime,
    /// Number of attempts so far.
    pub attempts: u32,
    /// The last reply of the mail host, or our own last remark; may contain hostile characters.
    pub last_reply: String,
    /// The parameters of MAIL and RCPT that travel with it, such as `RET=HDRS NOTIFY=NEVER`; empty
    /// without any.
    pub parameters: String,
    /// When it is due again; `None` before the first attempt and after a failure.
    pub next_attempt: Option<SystemTime>,
}

/// Everything in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// The mailboxes, by name.
    pub mailboxes: Vec<MailboxView>,
    /// The queued recipients, in the order of the queue file.
    pub queue: Vec<QueueView>,
}
