//! What an SMTP session wants done, done: mailboxes looked up, messages stored. Knows no rules of
//! the protocol.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::servers::channel::{Channel, End, Stream};
use crate::servers::listener::Server;
use crate::servers::serve::Service;
use crate::servers::smtp::address::ReversePath;
use crate::servers::smtp::session::{
    Delivery, Effect, Outcome, Relaying, SmtpSession, Transaction,
};
use crate::store::append::DeliverError;
use crate::store::directory::{Directory, Envelope};
use crate::store::text::Text;
use crate::wire::event::{self, Kind};

/// The SMTP server.
#[derive(Debug)]
pub struct SmtpServer {
    /// Where the mailboxes are.
    pub directory: Directory,
    /// Our name, and the domain whose mailboxes these are.
    pub domain: Arc<str>,
    /// Whose mail for other domains is taken, besides that of this machine.
    pub relay_from: Vec<IpNet>,
    /// Octets of message text at most.
    pub message_most: u64,
}

impl SmtpServer {
    fn relaying(&self, peer: IpAddr) -> Relaying {
        let is_known = self.relay_from.iter().any(|network| network.contains(&peer));
        if peer.is_loopback() || is_known { Relaying::Allowed } else { Relaying::Denied }
    }
}

impl Server for SmtpServer {
    type Session = SmtpSession;
    type Service = SmtpService;
    const PROTOCOL: event::Service = event::Service::Smtp;

    fn open(&self, peer: SocketAddr) -> (SmtpSession, SmtpService) {
        let session = SmtpSession::new(Arc::clone(&self.domain), self.relaying(peer.ip()));
        let service = SmtpService {
            directory: self.directory.clone(),
            message_most: self.message_most,
            text: self.directory.new_text(),
        };
        (session, service)
    }
}

/// Carries out what one SMTP session wants done.
#[derive(Debug)]
pub struct SmtpService {
    directory: Directory,
    message_most: u64,
    /// The text of the message that is being received; empty between messages.
    text: Text,
}

impl SmtpService {
    fn verify(&self, local_part: &str) -> Outcome {
        match self.directory.user(local_part.as_bytes()) {
            Some(user) => Outcome::Verified(user),
            None => Outcome::NoSuchUser,
        }
    }

    /// Stores the text that has come; the room for the next one is made on the way.
    async fn deliver(&mut self, transaction: Transaction) -> Result<(), NotStored> {
        let text = std::mem::replace(&mut self.text, self.directory.new_text());
        if text.octets() > self.message_most {
            return Err(NotStored::TooLarge(text.octets()));
        }
        let envelope = Envelope::from(transaction);
        self.directory.deliver(envelope, text).await.map_err(NotStored::Store)
    }
}

impl Service for SmtpService {
    type Effect = Effect;
    type Outcome = Outcome;

    async fn perform<T: Stream>(
        &mut self,
        effect: Effect,
        channel: &mut Channel<T>,
    ) -> Result<Outcome, End> {
        let transaction = match effect {
            Effect::Verify(local_part) => return Ok(self.verify(&local_part)),
            Effect::Deliver(transaction) => transaction,
        };
        // Boxed, because an idle session should not keep the room that the work needs.
        let Err(reason) = Box::pin(self.deliver(transaction)).await else {
            channel.presence().carried(1);
            return Ok(Outcome::Delivery(Delivery::Stored));
        };
        channel.presence().tell(|| Kind::Note(reason.to_string()));
        Ok(Outcome::Delivery(reason.into()))
    }

    fn take_text(&mut self, piece: &[u8]) {
        self.text.push(piece);
        if self.text.octets() > self.message_most {
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
            NotStored::Store(error @ (DeliverError::Missing | DeliverError::Io(_))) => {
                tracing::error!("a message could not be stored: {error}");
                Self::Failed
            }
        }
    }
}

impl From<Transaction> for Envelope {
    fn from(transaction: Transaction) -> Self {
        Self {
            reverse_path: match transaction.reverse_path {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            },
            local: transaction.users,
            remote: transaction.remote.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Durability;

    #[test]
    fn neighbours_and_named_networks_may_relay() {
        let dir = tempfile::tempdir().unwrap();
        let server = SmtpServer {
            directory: Directory::open(dir.path(), Durability::Unsynced).unwrap(),
            domain: "localhost".into(),
            relay_from: vec!["192.0.2.0/24".parse().unwrap()],
            message_most: 1,
        };
        for (peer, relaying) in [
            ("127.0.0.1", Relaying::Allowed),
            ("::1", Relaying::Allowed),
            ("192.0.2.7", Relaying::Allowed),
            ("192.0.3.7", Relaying::Denied),
            ("2001:db8::1", Relaying::Denied),
        ] {
            assert_eq!(server.relaying(peer.parse().unwrap()), relaying, "{peer}");
        }
    }
}
