//! A mail transaction: the envelope so far, and whether the text may follow.

use std::mem;
use std::sync::Arc;

use crate::mail::address::{Mailbox, ReversePath};
use crate::mail::dsn::RecipientDsn;
use crate::mail::parameters::MailParameters;
use crate::servers::smtp::reply::{self, SmtpReply};
use crate::store::directory::User;

/// A mail transaction: the envelope so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The argument of MAIL FROM.
    pub reverse_path: ReversePath,
    /// What MAIL declares of the message.
    pub parameters: MailParameters,
    /// The local recipients, each once.
    pub users: Vec<User>,
    /// The recipients at other domains, each once, with what RCPT asked for them.
    pub remote: Vec<(Mailbox, RecipientDsn)>,
    /// The argument of HELO or EHLO, for the relay's trace line.
    pub helo: Arc<str>,
    /// The number of accepted RCPT commands, including repeated recipients.
    pub(super) accepted: usize,
    /// What the RCPT that is being decided asked for.
    pub(super) dsn: RecipientDsn,
    /// Octets received with BDAT so far; `None` before the first chunk.
    pub(super) chunks: Option<u64>,
}

impl Transaction {
    pub(super) fn new(
        reverse_path: ReversePath,
        parameters: MailParameters,
        helo: Arc<str>,
    ) -> Self {
        Self {
            reverse_path,
            parameters,
            users: Vec::new(),
            remote: Vec::new(),
            helo,
            accepted: 0,
            dsn: RecipientDsn::default(),
            chunks: None,
        }
    }

    pub(super) fn add_user(&mut self, user: User) -> SmtpReply {
        self.accepted += 1;
        if !self.users.contains(&user) {
            self.users.push(user);
        }
        reply::RECIPIENT_OK
    }

    pub(super) fn add_remote(&mut self, mailbox: Mailbox) -> SmtpReply {
        self.accepted += 1;
        if self.remote.iter().all(|(there, _)| *there != mailbox) {
            self.remote.push((mailbox, mem::take(&mut self.dsn)));
        }
        reply::RECIPIENT_OK
    }

    /// Whether the text may follow with DATA.
    pub(super) const fn takes_data(&self) -> bool {
        self.accepted > 0 && self.chunks.is_none() && !self.parameters.binary
    }

    /// Why it may not (RFC 3030 sections 2 and 3).
    pub(super) const fn refuses_data(&self) -> SmtpReply {
        match self {
            Self { chunks: Some(_), .. } => reply::BDAT_ONLY,
            Self { accepted: 0, .. } => reply::RCPT_FIRST,
            _ => reply::NO_DATA_FOR_BINARY,
        }
    }
}
