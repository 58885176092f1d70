//! The result of a delivery attempt for a recipient, and who determined it.

use crate::relay::reply::Reply;
use crate::relay::status::Status;
use crate::wire::display::DisplayText;

/// The result of an attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host has accepted the message and is responsible for it from now on.
    Delivered(Diagnosis, Notice),
    /// Not delivered now; it will be tried again.
    Deferred(Diagnosis, Again),
    /// Not delivered, and not tried again unless an operator orders it.
    Failed(Diagnosis),
}

/// Whether the sender must be notified of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// No: it did not ask for that, or the host offers DSN and does it.
    None,
    /// Yes, by us: it asked with NOTIFY=SUCCESS, and the host does not offer DSN (RFC 3461 section
    /// 5.2.2).
    Owed,
}

/// When and where a deferred recipient may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// In the next transaction with the same host, which has accepted as many recipients as it does
    /// at once (RFC 5321 section 4.5.3.1.10).
    NextTransaction,
    /// Now, at the next host of the domain: this one does not have the message.
    NextHost,
    /// In a later run: this host may have the message, or the fault is ours.
    NextRun,
    /// In a later run and behind all other messages of its route: a host broke off the conversation
    /// about this one.
    BehindOthers,
}

/// The reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The status code, for programs.
    pub status: Status,
    /// Who gave the reason.
    pub source: Source,
    /// The reason for people: a host's reply or our own sentence, in one line, escaped.
    pub reason: DisplayText,
}

/// Who gave a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This host, in its reply.
    Host(DisplayText),
    /// The relay.
    Relay,
}

impl Diagnosis {
    /// A diagnosis of our own.
    #[must_use]
    pub fn ours(status: Status, reason: &str) -> Self {
        Self { status, source: Source::Relay, reason: DisplayText::from(reason) }
    }

    /// The diagnosis that `host` gave in a reply.
    #[must_use]
    pub fn of_reply(host: &str, reply: &Reply) -> Self {
        Self {
            status: reply.status(),
            source: Source::Host(DisplayText::from(host)),
            reason: reply.in_one_line(),
        }
    }
}

impl Verdict {
    /// A deferral that we decided ourselves.
    #[must_use]
    pub fn deferred(status: Status, again: Again, reason: &str) -> Self {
        Self::Deferred(Diagnosis::ours(status, reason), again)
    }

    /// A failure for good that we decided ourselves.
    #[must_use]
    pub fn failed(status: Status, reason: &str) -> Self {
        Self::Failed(Diagnosis::ours(status, reason))
    }

    /// The reason.
    #[must_use]
    pub const fn diagnosis(&self) -> &Diagnosis {
        match self {
            Self::Delivered(diagnosis, _)
            | Self::Deferred(diagnosis, _)
            | Self::Failed(diagnosis) => diagnosis,
        }
    }
}
