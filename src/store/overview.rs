//! What a directory holds at one moment, for whoever shows it. Plain values.

use std::fmt;
use std::time::SystemTime;

/// A mailbox as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxView {
    /// The user, which is the file's name without `.mbox`; `mqueue` for the relay queue.
    pub name: String,
    /// Messages in it; `None` if the file is no mbox or cannot be read.
    pub messages: Option<u64>,
    /// Octets of the file.
    pub octets: u64,
    /// Another one whenever the file has been written to, also where that shows in nothing else.
    pub revision: u64,
    /// Who keeps it locked.
    pub holder: Option<Holder>,
    /// Why it cannot be read or written, if it cannot.
    pub trouble: Option<String>,
}

/// Who keeps a mailbox locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A POP3 session of this process.
    OwnSession,
    /// A POP3 session of another process, if it has said of which.
    OtherSession(Option<Process>),
    /// A program that works on the file itself, if it can be told which.
    Program(Option<Process>),
}

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// The name of its program, where it can be read; may hold hostile bytes.
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

/// How far a queued recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// Waits for a relay run, for the first time or again.
    Pending,
    /// Its mail host has taken the message.
    Delivered,
    /// Refused for good; not tried again until an operator says so.
    Failed,
    /// Held by an operator.
    Held,
}

/// One recipient of one queued message, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// The entry's id, shared by all its recipients.
    pub id: String,
    /// Who sent it; empty for the null reverse-path.
    pub reverse_path: String,
    /// Who is to get it.
    pub recipient: String,
    /// How far it is.
    pub state: RecipientState,
    /// Octets of the message text.
    pub octets: u64,
    /// When it was queued.
    pub queued: SystemTime,
    /// Attempts so far.
    pub attempts: u32,
    /// What the remote host, or our own side, said last; may hold hostile bytes.
    pub last_reply: String,
    /// When it is due again; `None` before the first attempt and after a failure.
    pub next_attempt: Option<SystemTime>,
}

/// Everything that lies in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// By name.
    pub mailboxes: Vec<MailboxView>,
    /// In the order of the queue file.
    pub queue: Vec<QueueView>,
}
