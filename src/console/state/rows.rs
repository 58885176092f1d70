//! The rows of the lists. Here the words of clients, of files and of remote hosts become
//! [`DisplayText`], which is safe to show.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::relay::orders::QueueTarget;
use crate::relay::progress::Sent;
use crate::store::ground::QUEUE_FILE;
use crate::store::overview::{Holder, MailboxView, QueueView, RecipientState};
use crate::watch::event::{ConnectionName, Passwords, Service, Side, unended};
use crate::watch::registry::{ConnectionView, Secrecy};
use crate::wire::display::DisplayText;
use crate::wire::unended::{NotEnded, TextEnd, last_line, why_line_goes_on};

/// Message text that is arriving is not shown as an unended line; only if it stops for this long.
const TEXT_STOPS: Duration = Duration::from_secs(1);

/// A connection in its list.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    /// The name of the connection in the transcript.
    pub name: ConnectionName,
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The state of the protocol.
    pub state: DisplayText,
    /// The user whose mailbox the POP3 session has open.
    pub user: Option<DisplayText>,
    /// The version of TLS that secures it; `None` in the clear.
    pub tls: Option<&'static str>,
    /// When the peer last sent something.
    pub heard: Instant,
    /// When the connection ended; `None` while it is open.
    pub closed: Option<Instant>,
    /// Octets received from the peer.
    pub octets_in: u64,
    /// Octets sent to the peer.
    pub octets_out: u64,
    partial: Vec<u8>,
    secrecy: Secrecy,
    text: Option<TextEnd>,
    partial_since: Instant,
}

/// A line that a peer has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The side that has begun it.
    pub side: Side,
    /// The line so far, or the last line of the message text.
    pub line: DisplayText,
    /// Why it has not ended, if it looks as if it had.
    pub not_ended: Option<NotEnded>,
    /// How long it has been waiting for its end.
    pub age: Duration,
}

impl ConnectionRow {
    /// Whether at `now` the peer has begun something and not ended it.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        let has_begun = match &self.text {
            None => !self.partial.is_empty(),
            Some(end) => !end.octets().is_empty() && self.waits_for(now) >= TEXT_STOPS,
        };
        has_begun && self.closed.is_none()
    }

    /// What the peer has begun and not ended, as of `now`.
    #[must_use]
    pub fn begun(&self, passwords: Passwords, now: Instant) -> Option<Begun> {
        if !self.is_waiting(now) {
            return None;
        }
        let (line, not_ended) = match &self.text {
            None => {
                let is_answer = self.secrecy == Secrecy::Answer;
                let line = unended(&self.partial, is_answer, passwords);
                (line, why_line_goes_on(&self.partial))
            }
            // Message text contains no password of a session, so it is not masked.
            Some(end) => {
                let (line, not_ended) = last_line(end.octets());
                (DisplayText::new(line), not_ended)
            }
        };
        Some(Begun { side: self.speaker(), line, not_ended, age: self.waits_for(now) })
    }

    fn waits_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.partial_since)
    }

    /// The side whose lines are waited for: the mail host, if the relay made the connection.
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
            state: DisplayText::from(&*with_login(&view)),
            user: view.user.as_deref().map(DisplayText::from),
            tls: view.tls,
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

/// The state, with the name of who has logged in, unless POP3's has it already.
fn with_login(view: &ConnectionView) -> Cow<'static, str> {
    match &view.login {
        Some(name) if view.name.service == Service::Smtp => format!("{} {name}", view.state).into(),
        _ => view.state.clone(),
    }
}

/// A mailbox in its list.
#[derive(Debug, Clone)]
pub struct MailboxRow {
    /// The name of the user, or `mqueue`.
    pub name: DisplayText,
    /// The number of messages; `None` if the mailbox cannot be read.
    pub messages: Option<u64>,
    /// The number of messages that arrived since the user last looked at the mailbox.
    pub new: u64,
    /// The size of the file in octets.
    pub octets: u64,
    /// The holder of its lock: `locked` for a POP3 session of this process, or `locked by pid 812
    /// (mutt)`.
    pub holder: Option<DisplayText>,
    /// Why it cannot be read or written.
    pub error: Option<DisplayText>,
}

impl MailboxRow {
    /// A row for `view`; the user has seen `seen` of its messages.
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
    /// The recipient and its message, as the relay names them.
    pub target: QueueTarget,
    /// The number of the row in the order of the file, counted from 1.
    pub number: usize,
    /// The entry's id.
    pub id: DisplayText,
    /// The sender; `<>` for the null reverse-path.
    pub reverse_path: DisplayText,
    /// The recipient.
    pub recipient: DisplayText,
    /// The state of the delivery.
    pub state: RecipientState,
    /// The size of the message text in octets.
    pub octets: u64,
    /// When it was queued.
    pub queued: SystemTime,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The last reply of the mail host, or the relay's own last remark.
    pub last_reply: DisplayText,
    /// The parameters of MAIL and RCPT that travel with it; empty without any.
    pub parameters: DisplayText,
    /// When the next attempt is due; `None` before the first attempt and after a failure.
    pub next_attempt: Option<SystemTime>,
    /// The progress of the message while it is being sent.
    pub sending: Option<Sent>,
}

impl QueueRow {
    /// A row for `view`, the `number`-th of the queue.
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
            parameters: DisplayText::from(view.parameters.as_str()),
            next_attempt: view.next_attempt,
            sending: None,
        }
    }

    /// The state in a word.
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
