//! Gives a message to an SMTP server as any mail program does, through the relay's conversation, and
//! says what came of each recipient.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::mail::path::{Address, ReversePath};
use crate::relay::client::{Client, Connection};
use crate::relay::conversation::extensions::Extension;
use crate::relay::conversation::opening::Introduction;
use crate::relay::conversation::transaction::{After, Outcome};
use crate::relay::envelope::{Envelope, MOST_RECIPIENTS};
use crate::relay::mx::Target;
use crate::relay::status::Status;
use crate::relay::text::{Letter, MessageText, TextReader};
use crate::relay::verdict::{Again, Diagnosis, Source, Verdict};
use crate::wire::display::DisplayText;

/// Octets of a message that are handed over at a time.
const PIECE: usize = 64 * 1024;

/// A message with its envelope.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The reverse-path.
    pub sender: ReversePath,
    /// The recipients, at least one.
    pub recipients: Vec<Address>,
    /// The message. Bare LFs leave as CRLF.
    pub octets: Arc<[u8]>,
    /// Whether the header is ASCII. If it is not, SMTPUTF8 is said where it is offered, and the
    /// header leaves as it is where it is not.
    pub has_ascii_header: bool,
}

/// Where a message is to go.
#[derive(Debug, Clone)]
pub struct Server {
    /// The host's name, for messages and for its certificate.
    pub host: String,
    /// Its addresses, tried in this order.
    pub addresses: Vec<SocketAddr>,
}

/// Why a recipient does not have the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused.
    pub refused: Refused,
    /// Whether trying again is of no use.
    pub is_final: bool,
    /// The server's reply, or our own sentence.
    pub reason: DisplayText,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The recipient.
    Recipient,
    /// The client, the sender or the message.
    Message,
    /// Nothing: there was no server, or it broke off.
    Nothing,
}

/// What came of each recipient, in their order.
pub type Fates = Vec<Result<(), Refusal>>;

/// Sends the message, in as many transactions as its recipients need.
pub async fn submit(
    client: &Client,
    server: &Server,
    introduction: &Introduction,
    submission: &Submission,
) -> Fates {
    match connect(client, server, introduction).await {
        Ok(connection) => carry(connection, submission).await,
        Err(refusal) => vec![Err(refusal); submission.recipients.len()],
    }
}

async fn connect(
    client: &Client,
    server: &Server,
    introduction: &Introduction,
) -> Result<Connection, Refusal> {
    let mut refusal = Refusal::without_address(&server.host);
    for &address in &server.addresses {
        let target = Target { preference: None, host: server.host.clone(), address };
        match Connection::open(client, &target, introduction).await {
            Ok(connection) => return Ok(connection),
            Err(verdict) => refusal = Refusal::at_opening(verdict.diagnosis()),
        }
        // Only where nobody answers may somebody answer at another address.
        if refusal.refused != Refused::Nothing {
            break;
        }
    }
    Err(refusal)
}

async fn carry(mut connection: Connection, submission: &Submission) -> Fates {
    let mut fates: Vec<Option<Result<(), Refusal>>> = vec![None; submission.recipients.len()];
    let mut waiting: VecDeque<usize> = (0..submission.recipients.len()).collect();
    let mut after = After::Usable;
    while !waiting.is_empty() && after == After::Usable {
        let batch: Vec<usize> = waiting.drain(..waiting.len().min(MOST_RECIPIENTS)).collect();
        let outcome = transact(&mut connection, submission, &batch).await;
        after = outcome.connection;
        let some_taken = outcome.delivered() > 0;
        let verdicts = outcome.verdicts.iter().zip(&outcome.refused_at_rcpt);
        for (&recipient, (verdict, at_rcpt)) in batch.iter().zip(verdicts) {
            // A server that has taken as many recipients as it does at once gets the others next.
            if some_taken && matches!(verdict, Verdict::Deferred(_, Again::NextTransaction)) {
                waiting.push_back(recipient);
            }
            if let Some(fate) = fates.get_mut(recipient) {
                *fate = Some(fate_of(verdict, *at_rcpt));
            }
        }
    }
    if after == After::Usable {
        connection.quit().await;
    }
    let mut refusals = fates.iter().flatten().filter_map(|fate| fate.as_ref().err());
    let closed = || Refusal::ours("the server has closed the connection");
    let lost = refusals.next_back().cloned().unwrap_or_else(closed);
    fates.into_iter().map(|fate| fate.unwrap_or_else(|| Err(lost.clone()))).collect()
}

async fn transact(
    connection: &mut Connection,
    submission: &Submission,
    batch: &[usize],
) -> Outcome {
    let recipients = batch.iter().filter_map(|&nth| submission.recipients.get(nth).cloned());
    let mut envelope = Envelope::plain(submission.sender.clone(), recipients.collect());
    envelope.header_is_utf8 =
        !submission.has_ascii_header && connection.offers(Extension::SmtpUtf8);
    let text = Octets(Arc::clone(&submission.octets));
    connection.deliver(&envelope, &Letter::new(String::new(), text)).await
}

fn fate_of(verdict: &Verdict, at_rcpt: bool) -> Result<(), Refusal> {
    match verdict {
        Verdict::Delivered(..) => Ok(()),
        Verdict::Deferred(why, _) | Verdict::Failed(why) => Err(Refusal::of(why, at_rcpt)),
    }
}

impl Refusal {
    fn of(why: &Diagnosis, at_rcpt: bool) -> Self {
        let is_broken = [Status::NO_ANSWER, Status::BROKEN, Status::LOCAL, Status::PROTOCOL];
        let refused = match why.source {
            Source::Host(_) if at_rcpt => Refused::Recipient,
            Source::Relay if is_broken.contains(&why.status) => Refused::Nothing,
            Source::Host(_) | Source::Relay => Refused::Message,
        };
        let is_final = match why.source {
            Source::Host(_) => why.reason.as_str().starts_with('5'),
            Source::Relay => refused != Refused::Nothing,
        };
        Self { refused, is_final, reason: why.reason.clone() }
    }

    /// Before MAIL: without a login or TLS there is a server, but none that we may send to.
    fn at_opening(why: &Diagnosis) -> Self {
        match why.source {
            Source::Relay if why.status != Status::NO_LOGIN => {
                Self { refused: Refused::Nothing, is_final: false, reason: why.reason.clone() }
            }
            _ => Self::of(why, false),
        }
    }

    fn without_address(host: &str) -> Self {
        Self::ours(&format!("{host} has no address"))
    }

    fn ours(reason: &str) -> Self {
        Self { refused: Refused::Nothing, is_final: false, reason: DisplayText::from(reason) }
    }
}

/// The message as it is sent.
#[derive(Debug, Clone)]
struct Octets(Arc<[u8]>);

struct Reader {
    octets: Arc<[u8]>,
    read: usize,
}

impl MessageText for Octets {
    type Reader = Reader;

    fn octets(&self) -> u64 {
        self.0.len() as u64
    }

    async fn open(&self) -> io::Result<Reader> {
        Ok(Reader { octets: Arc::clone(&self.0), read: 0 })
    }
}

impl TextReader for Reader {
    async fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<usize> {
        let rest = self.octets.get(self.read..).unwrap_or_default();
        let next = rest.get(..PIECE).unwrap_or(rest);
        piece.extend_from_slice(next);
        self.read += next.len();
        Ok(next.len())
    }
}
