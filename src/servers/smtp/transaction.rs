//! A mail transaction: the envelope so far, and whether the text may follow.

use std::mem;
use std::sync::Arc;

use crate::mail::address::{Mailbox, ReversePath};
use crate::mail::dsn::RecipientDsn;
use crate::mail::parameters::MailParameters;
use crate::servers::recipients::Destination;
use crate::servers::session::Known;
use crate::servers::smtp::reply::{self, SmtpReply};
use crate::store::directory::Recipient;

/// A mail transaction: the envelope so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The argument of MAIL FROM.
    pub reverse_path: ReversePath,
    /// What MAIL declares of the message.
    pub parameters: MailParameters,
    /// The recipients with a mailbox here, in the order of RCPT, each once.
    pub local: Vec<Recipient>,
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
            local: Vec::new(),
            remote: Vec::new(),
            helo,
            accepted: 0,
            dsn: RecipientDsn::default(),
            chunks: None,
        }
    }

    /// What the client has said of the message; mailboxes here are at `domain`.
    pub(super) fn known(&self, domain: &str) -> Known {
        let here = self.local.iter().map(|one| match one.user.name() {
            address if address.contains('@') => address.to_owned(),
            name => format!("{name}@{domain}"),
        });
        let elsewhere = self.remote.iter().map(|(mailbox, _)| mailbox.to_string());
        let from = match &self.reverse_path {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        };
        Known { from: Some(from), accepted: here.chain(elsewhere).collect(), ..Known::default() }
    }

    /// Adds the recipient of the RCPT that has been decided.
    pub(super) fn add(&mut self, destination: Destination) -> SmtpReply {
        match destination {
            Destination::Mailbox(recipient) => self.add_local(recipient),
            Destination::NewMailbox { recipient, room } => {
                if self.new_mailboxes_besides(&recipient) >= room {
                    return reply::TOO_MANY_MAILBOXES;
                }
                self.add_local(recipient);
            }
            Destination::Queue(mailbox) => self.add_remote(mailbox),
        }
        self.accepted += 1;
        reply::RECIPIENT_OK
    }

    fn add_local(&mut self, recipient: Recipient) {
        match self.local.iter_mut().find(|there| there.is_same_copy(&recipient)) {
            Some(there) => there.is_also_named(recipient),
            None => self.local.push(recipient),
        }
    }

    fn add_remote(&mut self, mailbox: Mailbox) {
        if self.remote.iter().all(|(there, _)| *there != mailbox) {
            self.remote.push((mailbox, mem::take(&mut self.dsn)));
        }
    }

    /// The number of mailboxes that are to be made for the message, besides that of a recipient.
    fn new_mailboxes_besides(&self, recipient: &Recipient) -> usize {
        let is_new = |one: &&Recipient| one.made_below.is_some() && one.user != recipient.user;
        self.local.iter().filter(is_new).count()
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
