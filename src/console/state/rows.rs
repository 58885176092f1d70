//! What the lists show, made safe to be shown: here the words of peers, of files and of remote
//! hosts become [`DisplayText`].

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::relay::orders::QueueTarget;
use crate::relay::progress::Sent;
use crate::store::ground::QUEUE_FILE;
use crate::store::overview::{Holder, MailboxView, QueueView, RecipientState};
use crate::watch::event::{ConnectionName, Passwords, Service, Side, masked, masked_answer};
use crate::watch::registry::{ConnectionView, Secrecy};
use crate::wire::display::DisplayText;
use crate::wire::unended::{NotEnded, TextEnd, last_line, why_line_goes_on};

/// Message text is not looked at as it comes; only where it stops.
const TEXT_STOPS: Duration = Duration::from_secs(1);

/// A connection in its list.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    /// Its name in the transcript.
    pub name: ConnectionName,
    /// Who connected.
    pub peer: SocketAddr,
    /// The protocol's state.
    pub state: DisplayText,
    /// The user whose mailbox a POP3 session holds.
    pub user: Option<DisplayText>,
    /// When something last came from the peer.
    pub heard: Instant,
    /// When it ended, if it has.
    pub closed: Option<Instant>,
    /// Octets from the peer.
    pub octets_in: u64,
    /// Octets to the peer.
    pub octets_out: u64,
    partial: Vec<u8>,
    secrecy: Secrecy,
    text: Option<TextEnd>,
    partial_since: Instant,
}

/// What a peer has begun and not ended, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Who has begun it.
    pub side: Side,
    /// The line, or the last line of message text.
    pub line: DisplayText,
    /// Why it goes on, where it looks as if it had ended.
    pub not_ended: Option<NotEnded>,
    /// For how long it has stood there.
    pub age: Duration,
}

impl ConnectionRow {
    /// Whether the peer has begun something at `now` and not ended it.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        let has_begun = match &self.text {
            None => !self.partial.is_empty(),
            Some(end) => !end.octets().is_empty() && self.waits_for(now) >= TEXT_STOPS,
        };
        has_begun && self.closed.is_none()
    }

    /// What the peer has begun at `now` and not ended.
    #[must_use]
    pub fn begun(&self, passwords: Passwords, now: Instant) -> Option<Begun> {
        if !self.is_waiting(now) {
            return None;
        }
        let (line, not_ended) = match &self.text {
            None => (self.partial.as_slice(), why_line_goes_on(&self.partial)),
            Some(end) => last_line(end.octets()),
        };
        let masked = match (passwords, self.secrecy) {
            (Passwords::Masked, Secrecy::Answer) => Some(masked_answer()),
            // What a message says is nobody's password.
            (Passwords::Masked, Secrecy::AsItSays) if self.text.is_none() => masked(line),
            _ => None,
        };
        let line = DisplayText::new(masked.as_deref().unwrap_or(line));
        Some(Begun { side: self.speaker(), line, not_ended, age: self.waits_for(now) })
    }

    fn waits_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.partial_since)
    }

    /// Who is listened to: the mail host, where it is the relay that has connected.
    const fn speaker(&self) -> Side {
        match self.name.service {
            Service::Relay => Side::Server,
            Service::Echo | Service::Smtp | Service::Pop3 => Side::Client,
        }
    }
}

impl From<ConnectionView> for ConnectionRow {
    fn from(view: ConnectionView) -> Self {
        Self {
            name: view.name,
            peer: view.peer,
            state: DisplayText::from(&*view.state),
            user: view.user.as_deref().map(DisplayText::from),
            heard: view.heard,
            closed: view.closed,
            octets_in: view.octets_in,
            octets_out: view.octets_out,
            partial: view.partial,
            secrecy: view.secrecy,
            text: view.text,
            partial_since: view.partial_since,
        }
    }
}

/// A mailbox in its list.
#[derive(Debug, Clone)]
pub struct MailboxRow {
    /// The user, or `mqueue`.
    pub name: DisplayText,
    /// Messages in it; `None` if it cannot be read.
    pub messages: Option<u64>,
    /// Messages that came since the user last looked here.
    pub new: u64,
    /// Octets of the file.
    pub octets: u64,
    /// Who keeps it locked: `locked` for a POP3 session of ours, `locked by pid 812 (mutt)`.
    pub holder: Option<DisplayText>,
    /// Why it cannot be read or written.
    pub error: Option<DisplayText>,
}

impl MailboxRow {
    /// Shows `view`, of whose messages the user has seen `seen`.
    #[must_use]
    pub fn new(view: &MailboxView, seen: u64) -> Self {
        Self {
            name: DisplayText::from(view.name.as_str()),
            messages: view.messages,
            new: view.messages.unwrap_or(0).saturating_sub(seen),
            octets: view.octets,
            holder: view.holder.as_ref().map(in_words),
            error: view.error.as_deref().map(DisplayText::from),
        }
    }

    /// Whether it is the relay queue.
    #[must_use]
    pub fn is_queue(&self) -> bool {
        self.name.as_str() == QUEUE_FILE
    }
}

fn in_words(holder: &Holder) -> DisplayText {
    match holder {
        Holder::OwnSession => "locked".into(),
        Holder::OtherSession(Some(process)) | Holder::Program(Some(process)) => {
            format!("locked by {process}").as_str().into()
        }
        Holder::OtherSession(None) => "locked by another process".into(),
        Holder::Program(None) => "locked by another program".into(),
    }
}

/// A recipient in the list of the relay queue.
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// Which it is, for the relay.
    pub target: QueueTarget,
    /// Which of the rows of the queue it is, in the order of the file, counted from 1.
    pub number: usize,
    /// The entry's id.
    pub id: DisplayText,
    /// Who sent it; `<>` for nobody.
    pub reverse_path: DisplayText,
    /// Who is to get it.
    pub recipient: DisplayText,
    /// How far it is.
    pub state: RecipientState,
    /// Octets of the message text.
    pub octets: u64,
    /// When it was queued.
    pub queued: SystemTime,
    /// Attempts so far.
    pub attempts: u32,
    /// What was last said about it.
    pub last_reply: DisplayText,
    /// When it is due again.
    pub next_attempt: Option<SystemTime>,
    /// How far the message is, if it is being sent.
    pub sending: Option<Sent>,
}

impl QueueRow {
    /// Shows `view`, the `number`-th of the queue.
    #[must_use]
    pub fn new(number: usize, view: &QueueView) -> Self {
        let reverse_path = match view.reverse_path.as_str() {
            "" => "<>",
            path => path,
        };
        Self {
            target: QueueTarget::one(&view.id, &view.recipient),
            number,
            id: DisplayText::from(view.id.as_str()),
            reverse_path: DisplayText::from(reverse_path),
            recipient: DisplayText::from(view.recipient.as_str()),
            state: view.state,
            octets: view.octets,
            queued: view.queued,
            attempts: view.attempts,
            last_reply: DisplayText::from(view.last_reply.as_str()),
            next_attempt: view.next_attempt,
            sending: None,
        }
    }

    /// How far it is, in a word.
    #[must_use]
    pub const fn standing(&self) -> &'static str {
        match self.state {
            RecipientState::Pending => "waiting",
            RecipientState::Delivered => "delivered",
            RecipientState::Failed => "failed",
            RecipientState::Held => "held",
        }
    }
}
