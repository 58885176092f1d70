//! Carries out the effects of SMTP sessions: looks up mailboxes and stores messages. The rules of
//! the protocol are in the session.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::mail::address::{ForwardPath, ReversePath};
use crate::servers::accounts::Accounts;
use crate::servers::channel::{Channel, End};
use crate::servers::credentials::Credentials;
use crate::servers::exposure::Exposure;
use crate::servers::guesses::Guesses;
use crate::servers::listener::Server;
use crate::servers::login::{Authenticator, fresh_timestamp, tell_login};
use crate::servers::recipients::{Destination, Refusal, Relaying, Resolver};
use crate::servers::serve::Service;
use crate::servers::settings::Settings;
use crate::servers::smtp::session::{Delivery, SmtpEffect, SmtpOutcome, SmtpSession};
use crate::servers::smtp::transaction::Transaction;
use crate::servers::smtp::unknown_users::UnknownUsers;
use crate::servers::stored;
use crate::store::delivery::DeliverError;
use crate::store::directory::Envelope;
use crate::store::queue::{Client, RemoteRecipient};
use crate::store::receipt::{QueuedCopy, Receipt};
use crate::store::text::Text;
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{self, Kind};
use crate::watch::fact::Fact;
use crate::watch::observers::FactsWanted;

/// The end of a line, and what the text before its first octet ends in.
const LINE_END: [u8; 2] = *b"\r\n";

/// The last two octets of a text that ended in `before` and goes on with `piece`.
const fn last_two(before: [u8; 2], piece: &[u8]) -> [u8; 2] {
    match (before, piece) {
        (_, [.., last_but_one, last]) => [*last_but_one, *last],
        ([_, last_but_one], [last]) => [last_but_one, *last],
        (_, []) => before,
    }
}

/// The SMTP server.
#[derive(Debug)]
pub struct SmtpServer {
    /// The users, with their mailboxes, the queue beside them, and our host name.
    pub accounts: Arc<Accounts>,
    /// The recent wrong logins, shared by all connections.
    pub guesses: Arc<Guesses>,
    /// Which clients may relay, whom mail is for, and the size limit of messages.
    pub settings: Arc<Settings>,
    /// The unknown users that the log has named.
    pub unknown_users: Arc<UnknownUsers>,
}

impl Server for SmtpServer {
    type Session = SmtpSession;
    type Service = SmtpService;
    const PROTOCOL: event::Service = event::Service::Smtp;

    fn open(&self, peer: SocketAddr) -> (SmtpSession, SmtpService) {
        let rules = self.settings.rules_for(peer);
        let exposure = Exposure::of_plain(peer.ip());
        let (domain, settings) = (Arc::clone(&self.accounts.domain), Arc::clone(&self.settings));
        let session = SmtpSession::new(domain, settings, Arc::clone(&rules), exposure);
        let (accounts, guesses) = (Arc::clone(&self.accounts), Arc::clone(&self.guesses));
        let service = SmtpService {
            login: Box::new(Authenticator::new(accounts, guesses, rules, peer.ip())),
            is_proven: false,
            unknown_users: Arc::clone(&self.unknown_users),
            settings: Arc::clone(&self.settings),
            peer: peer.ip(),
            text: self.accounts.directory.new_text(),
            text_end: LINE_END,
            message_most: None,
        };
        (session, service)
    }
}

/// Carries out the effects of one SMTP session.
#[derive(Debug)]
pub struct SmtpService {
    /// Who may log in, and what else holds for the whole session. Boxed, because the tasks of idle
    /// connections should be small.
    login: Box<Authenticator>,
    /// Whether the client has proven who it is, and so may send to other domains.
    is_proven: bool,
    unknown_users: Arc<UnknownUsers>,
    settings: Arc<Settings>,
    peer: IpAddr,
    /// The text of the message being received; empty between messages.
    text: Text,
    /// The last two octets of it. Chunks may end within a line (RFC 3030 section 2).
    text_end: [u8; 2],
    /// The size limit of that message. It stays the same until the message ends, even if the
    /// setting is raised: a text over the limit has been discarded and cannot be stored any more.
    message_most: Option<u64>,
}

impl SmtpService {
    fn decide(&self, path: &ForwardPath, wanted: FactsWanted) -> SmtpOutcome {
        let Accounts { domain: ours, directory, .. } = self.login.accounts();
        let rules = &self.login.rules().recipients;
        let mut decision = Resolver { rules, ours, directory }.decide(path, || self.relaying());
        if let Ok(Destination::Mailbox(recipient) | Destination::NewMailbox { recipient, .. }) =
            &mut decision
            && wanted > FactsWanted::None
        {
            recipient.named = vec![without_brackets(path).into()];
        }
        if let Err(Refusal::NoSuchUser | Refusal::NoSuchUserWithRemedy) = decision {
            self.unknown_users.tell(&path.to_string());
        }
        SmtpOutcome::Recipient(decision)
    }

    /// Whether the client may send to other domains. Read at each RCPT, because the setting may
    /// change at run time.
    fn relaying(&self) -> Relaying {
        let may = self.is_proven || self.settings.relays_for(self.peer);
        if may { Relaying::Allowed } else { Relaying::Denied }
    }

    async fn log_in(
        &mut self,
        credentials: &Credentials,
        channel: &mut Channel,
    ) -> Result<SmtpOutcome, End> {
        let identity = self.login.authenticate(credentials, channel).await?;
        self.is_proven = identity.as_ref().is_some_and(|identity| identity.is_proven);
        let right = identity.as_ref().map(|identity| &*identity.name);
        let (accounts, rules) = (self.login.accounts(), self.login.rules());
        tell_login(accounts, rules, &credentials.name, right, channel.connection_log());
        Ok(if identity.is_some() { SmtpOutcome::LoggedIn } else { SmtpOutcome::LoginRefused })
    }

    fn message_most(&mut self) -> u64 {
        // Read once for each message, because the setting may change at run time.
        *self.message_most.get_or_insert_with(|| self.settings.message_most())
    }

    fn envelope(&self, transaction: Transaction) -> Envelope {
        let Transaction { reverse_path, parameters, local, remote, helo, .. } = transaction;
        // Only the queue records it.
        let client = (!remote.is_empty())
            .then(|| Client { address: self.peer.to_canonical(), helo: (*helo).into() });
        let remote = remote.into_iter();
        Envelope {
            reverse_path: match reverse_path {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            },
            local,
            remote: remote
                .map(|(mailbox, dsn)| RemoteRecipient { path: mailbox.to_string(), dsn })
                .collect(),
            client,
            parameters,
        }
    }

    /// Stores the text received, and prepares an empty one for the next message.
    async fn deliver(
        &mut self,
        transaction: Box<Transaction>,
        log: &ConnectionLog,
    ) -> Result<(), NotStored> {
        if self.text_end != LINE_END {
            self.take_text(&LINE_END);
        }
        let message_most = self.message_most();
        self.message_most = None;
        let text = std::mem::replace(&mut self.text, self.login.accounts().directory.new_text());
        if text.octets() > message_most {
            return Err(NotStored::TooLarge(text.octets()));
        }
        let envelope = self.envelope(*transaction);
        let directory = &self.login.accounts().directory;
        let Some(uid_most) = log.facts_wanted().uid_most() else {
            return directory.deliver(envelope, text).await.map_err(NotStored::Store);
        };
        let from = envelope.reverse_path.clone();
        let remote = envelope.remote.iter().map(|recipient| recipient.path.clone()).collect();
        let receipt = directory.deliver_for_receipt(envelope, text, uid_most).await;
        tell_stored(&receipt.map_err(NotStored::Store)?, &from, remote, log);
        Ok(())
    }
}

impl Service for SmtpService {
    type Effect = SmtpEffect;
    type Outcome = SmtpOutcome;

    async fn perform(
        &mut self,
        effect: SmtpEffect,
        channel: &mut Channel,
    ) -> Result<SmtpOutcome, End> {
        let transaction = match effect {
            SmtpEffect::Recipient(path) => {
                return Ok(self.decide(&path, channel.connection_log().facts_wanted()));
            }
            SmtpEffect::Deliver(transaction) => transaction,
            SmtpEffect::Challenge => {
                return Ok(SmtpOutcome::Challenge(fresh_timestamp(&self.login.accounts().domain)));
            }
            SmtpEffect::LogIn(credentials) => {
                return Box::pin(self.log_in(&credentials, channel)).await;
            }
        };
        // Boxed, so that an idle session does not keep the memory of the work's future.
        let delivery = self.deliver(transaction, channel.connection_log());
        let Err(reason) = Box::pin(delivery).await else {
            channel.connection_log().carried(1);
            return Ok(SmtpOutcome::Delivery(Delivery::Stored));
        };
        channel.connection_log().tell(|| Kind::Note(reason.to_string()));
        Ok(SmtpOutcome::Delivery(reason.into()))
    }

    /// What was proven before could have been said by anybody in between (RFC 3207 section 4.2).
    fn secured(&mut self) {
        self.is_proven = false;
        self.begin_text();
    }

    fn begin_text(&mut self) {
        // Chunks of a message that was given up.
        if self.text.octets() > 0 {
            self.text = self.login.accounts().directory.new_text();
        }
        self.message_most = None;
        self.text_end = LINE_END;
    }

    fn take_text(&mut self, piece: &[u8]) {
        self.text.push(piece);
        self.text_end = last_two(self.text_end, piece);
        if self.text.octets() > self.message_most() {
            // The rest of the text is still received, since the reply can only follow its end.
            self.text.discard();
        }
    }

    fn wants_spill(&self) -> bool {
        self.text.wants_spill()
    }

    async fn spill(&mut self) {
        self.text.spill().await;
    }
}

/// Tells which mailboxes have a message now, and that it is in the queue for those elsewhere.
fn tell_stored(receipt: &Receipt, from: &str, remote: Vec<String>, log: &ConnectionLog) {
    stored::tell(receipt, from, Some(log.name()), log.observers());
    if let Some(QueuedCopy { id, octets }) = receipt.queued() {
        log.tell_fact(|| Fact::Queued { id, from: from.to_owned(), to: remote, octets });
    }
}

/// A forward-path as an address.
fn without_brackets(path: &ForwardPath) -> String {
    match path {
        ForwardPath::Postmaster => "Postmaster".to_owned(),
        ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
    }
}

/// Why a message was not stored.
enum NotStored {
    TooLarge(u64),
    Store(DeliverError),
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(octets) => write!(f, "not stored: {octets} octets are too many"),
            Self::Store(error) => write!(f, "not stored: {error}"),
        }
    }
}

impl From<NotStored> for Delivery {
    fn from(reason: NotStored) -> Self {
        match reason {
            NotStored::TooLarge(_) => Self::TooLarge,
            NotStored::Store(DeliverError::NoSpace) => Self::NoSpace,
            NotStored::Store(DeliverError::Busy) => Self::Busy,
            NotStored::Store(DeliverError::TooManyMailboxes) => Self::TooManyMailboxes,
            NotStored::Store(error @ (DeliverError::Missing | DeliverError::Io(_))) => {
                tracing::error!("cannot store a message: {error}");
                Self::Failed
            }
        }
    }
}
