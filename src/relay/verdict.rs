//! What became of a recipient in one attempt, and who says so.

use crate::relay::reply::Reply;
use crate::relay::status::Status;
use crate::wire::display::DisplayText;

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its host has taken the message and answers for it from now on.
    Delivered(Diagnosis),
    /// Not now.
    Deferred(Diagnosis, Again),
    /// Never, unless an operator says so.
    Failed(Diagnosis),
}

/// How soon a deferred recipient may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// In the next transaction with the same host, which took as many recipients as it takes at
    /// once (RFC 5321 section 4.5.3.1.10).
    NextTransaction,
    /// At once, at the domain's next host: this one has not got the message.
    NextHost,
    /// In another run. This host may have got the message, or the fault is ours.
    NextRun,
    /// In another run, and there after all others that go that way: at this message a host broke
    /// the conversation off.
    BehindOthers,
}

/// Why, as people and programs read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// For programs.
    pub status: Status,
    /// Whose words the reason is.
    pub source: Source,
    /// For people: a host's reply or a sentence of our own, one line, escaped.
    pub reason: DisplayText,
}

/// Whose words a diagnosis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The reply of this host.
    Host(DisplayText),
    /// Our own.
    Relay,
}

impl Diagnosis {
    /// Our own finding.
    #[must_use]
    pub fn ours(status: Status, reason: &str) -> Self {
        Self { status, source: Source::Relay, reason: DisplayText::from(reason) }
    }

    /// What `host` replied.
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
    /// Our own finding that now is not the time.
    #[must_use]
    pub fn deferred(status: Status, again: Again, reason: &str) -> Self {
        Self::Deferred(Diagnosis::ours(status, reason), again)
    }

    /// Our own finding that it never will be.
    #[must_use]
    pub fn failed(status: Status, reason: &str) -> Self {
        Self::Failed(Diagnosis::ours(status, reason))
    }

    /// Why.
    #[must_use]
    pub const fn diagnosis(&self) -> &Diagnosis {
        match self {
            Self::Delivered(diagnosis) | Self::Deferred(diagnosis, _) | Self::Failed(diagnosis) => {
                diagnosis
            }
        }
    }
}
