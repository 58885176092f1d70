//! The envelope of a queued message and its state, as a block of header fields before the message's
//! own (docs/files.md 5.1 to 5.3). Does no I/O.
//!
//! The block begins right after the From_ line and is closed by its own last line, so that no line
//! of a message can be mistaken for envelope:
//!
//! ```text
//! From <alice@localhost> Wed Sep 17 11:00:00 2025
//! X-MC-Id: 68ca9f30-2b1f-0
//! X-MC-From: <alice@localhost>
//! X-MC-Queued: 1758106800
//! X-MC-Client: [127.0.0.1] client.example
//! X-MC-Mail: SMTPUTF8 RET=HDRS ENVID=QQ314159
//! X-MC-Rcpt: P 1 1758107100 <bob@example.org> 451 4.7.1 later
//! X-MC-Rcpt-Dsn: NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org
//! X-MC-Rcpt: D 1 0 <carol@example.net> 250 OK
//! X-MC-Tried: 1758106800 deferred 4.7.1 mx.example.org <bob@example.org> 451 4.7.1 later
//! X-MC-End:
//! Subject: the message begins here
//! ```
//!
//! The letter of a recipient is P (pending), D (done: delivered, or its sender has been notified),
//! R (relayed: delivered, and its sender is to be notified of that), F (failed) or H (held). It is
//! followed by the number of attempts, the time of the next one (seconds since 1970; 0 for at once)
//! and, after the path, the last reply. The client and the attempts may be missing, as in old
//! entries. X-MC-Mail has the parameters of MAIL, and X-MC-Rcpt-Dsn those of RCPT for the recipient
//! in the line before it; they stand there only if such parameters were given.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mail::dsn::RecipientDsn;
use crate::mail::parameters::MailParameters;
use crate::mail::path::{Address, EnvelopePath, ReversePath, take_bracketed};
use crate::store::overview::RecipientState;

/// Maximum octets of an envelope block: 1,000 recipients of 800 octets, each with parameters, a
/// reply and an attempt, and [`TRIED_MOST`] more attempts.
pub(super) const BLOCK_MOST: u64 = 4 * 1024 * 1024;

/// Attempts kept in an entry besides the last one for each recipient; the oldest beyond this are
/// dropped.
const TRIED_MOST: usize = 200;

pub(super) const ID: &str = "X-MC-Id: ";
const FROM: &str = "X-MC-From: ";
const QUEUED: &str = "X-MC-Queued: ";
const CLIENT: &str = "X-MC-Client: ";
const MAIL: &str = "X-MC-Mail:";
const RECIPIENT: &str = "X-MC-Rcpt: ";
const RECIPIENT_DSN: &str = "X-MC-Rcpt-Dsn:";
const TRIED: &str = "X-MC-Tried: ";
const END: &str = "X-MC-End:";

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its state.
    pub state: RecipientState,
    /// Whether it was delivered to a host that will not notify the sender, who has asked for that
    /// and is to be notified by us. Its state is [`RecipientState::Delivered`] then.
    pub is_relayed: bool,
    /// Number of attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, in seconds since 1970; 0 for at once.
    pub next_attempt: u64,
    /// Its address.
    pub forward_path: EnvelopePath<Address>,
    /// The last reply, without control characters; empty before the first attempt.
    pub last_reply: String,
    /// Which notifications the sender asked for.
    pub dsn: RecipientDsn,
}

/// A recipient elsewhere of a message that is being queued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRecipient {
    /// Its address, `user@domain`, without brackets.
    pub path: String,
    /// Which notifications the sender asked for.
    pub dsn: RecipientDsn,
}

impl From<String> for RemoteRecipient {
    fn from(path: String) -> Self {
        Self { path, dsn: RecipientDsn::default() }
    }
}

impl From<&str> for RemoteRecipient {
    fn from(path: &str) -> Self {
        path.to_owned().into()
    }
}

/// The client that brought a message, for the `Received:` field (RFC 5321 section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its IP address.
    pub address: IpAddr,
    /// The argument of its HELO or EHLO, in printable ASCII.
    pub helo: String,
}

/// An attempt to deliver to a recipient that is still in the entry, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Time of the attempt, in seconds since 1970.
    pub at: u64,
    /// Its result.
    pub ended: Ended,
    /// The enhanced status code (RFC 3463).
    pub status: String,
    /// The host that replied; `None` if the text is our own.
    pub host: Option<String>,
    /// The recipient, without brackets.
    pub forward_path: String,
    /// The reply, without control characters.
    pub reply: String,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Failed temporarily.
    Deferred,
    /// Failed temporarily: a host broke off the conversation about this message.
    Broke,
    /// Failed permanently.
    Failed,
    /// Delivered to a host that does not notify the sender.
    Relayed,
}

impl Ended {
    const ALL: [Self; 4] = [Self::Deferred, Self::Broke, Self::Failed, Self::Relayed];

    /// Its name, in the file and for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Broke => "broke-off",
            Self::Failed => "failed",
            Self::Relayed => "relayed",
        }
    }
}

/// The envelope of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The permanent id of the message, also used in its `Received:` field.
    pub id: String,
    /// The sender.
    pub reverse_path: EnvelopePath<ReversePath>,
    /// Time at which it was queued, in seconds since 1970.
    pub queued: u64,
    /// The client that brought it, if known.
    pub client: Option<Client>,
    /// What MAIL said of it.
    pub parameters: MailParameters,
    /// The recipients.
    pub recipients: Vec<Recipient>,
    /// Attempts so far, oldest first.
    pub tried: Vec<Tried>,
}

/// The block of a message that is being queued now, with an id of its own.
#[must_use]
pub fn new_block(
    reverse_path: &str,
    client: Option<&Client>,
    parameters: &MailParameters,
    recipients: &[RemoteRecipient],
) -> Block {
    let recipient = |recipient: &RemoteRecipient| Recipient {
        state: RecipientState::Pending,
        is_relayed: false,
        attempts: 0,
        next_attempt: 0,
        forward_path: recipient.path.as_str().into(),
        last_reply: String::new(),
        dsn: recipient.dsn.clone(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Block {
        id: new_id(now),
        reverse_path: reverse_path.into(),
        queued: now.as_secs(),
        client: client.cloned(),
        parameters: parameters.clone(),
        recipients: recipients.iter().map(recipient).collect(),
        tried: Vec::new(),
    }
}

/// An id that differs for every message of every process.
fn new_id(now: Duration) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{number:x}", now.as_nanos(), std::process::id())
}

impl Block {
    /// The block as it is written to the file.
    #[must_use]
    pub fn render(&self) -> String {
        use std::fmt::Write;
        let mut block = String::new();
        // Writing to a `String` cannot fail.
        let _ = writeln!(block, "{ID}{}", self.id);
        let _ = writeln!(block, "{FROM}<{}>", self.reverse_path);
        let _ = writeln!(block, "{QUEUED}{}", self.queued);
        if let Some(Client { address, helo }) = &self.client {
            let _ = writeln!(block, "{CLIENT}[{address}] {helo}");
        }
        if !self.parameters.is_empty() {
            let _ = writeln!(block, "{MAIL}{}", self.parameters);
        }
        for recipient in &self.recipients {
            let _ = writeln!(block, "{RECIPIENT}{}", recipient.render());
            if !recipient.dsn.is_empty() {
                let _ = writeln!(block, "{RECIPIENT_DSN}{}", recipient.dsn);
            }
        }
        for tried in &self.tried {
            let _ = writeln!(block, "{TRIED}{}", tried.render());
        }
        let _ = writeln!(block, "{END}");
        block
    }

    /// Parses the block at the beginning of `text`, the text after a From_ line; returns it and its
    /// length in octets. `None` if there is no block.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let mut letters = Vec::new();
        Self::parse_noting(text, &mut letters)
    }

    /// As [`parse`](Self::parse); also notes the offset of each recipient's letter.
    pub(super) fn parse_noting(text: &[u8], letters: &mut Vec<usize>) -> Option<(Self, usize)> {
        let mut lines = Lines { rest: text, used: 0 };
        let mut block = Self {
            id: lines.field(ID)?.to_owned(),
            reverse_path: take_bracketed(lines.field(FROM)?)?.0.into(),
            queued: lines.field(QUEUED)?.parse().ok()?,
            client: None,
            parameters: MailParameters::default(),
            recipients: Vec::new(),
            tried: Vec::new(),
        };
        loop {
            let letter = lines.used + RECIPIENT.len();
            let line = lines.next()?;
            if let Some(recipient) = line.strip_prefix(RECIPIENT) {
                block.recipients.push(Recipient::parse(recipient)?);
                letters.push(letter);
            } else if let Some(tried) = line.strip_prefix(TRIED) {
                block.tried.push(Tried::parse(tried)?);
            } else if let Some(dsn) = line.strip_prefix(RECIPIENT_DSN) {
                block.recipients.last_mut()?.dsn = RecipientDsn::parse(dsn.trim()).ok()?;
            } else if let Some(parameters) = line.strip_prefix(MAIL) {
                block.parameters = MailParameters::parse(parameters.trim()).ok()?;
            } else if let Some(client) = line.strip_prefix(CLIENT) {
                block.client = Some(Client::parse(client)?);
            } else {
                // A block that is not closed is not one of ours.
                return (line.trim_end() == END).then_some((block, lines.used));
            }
        }
    }

    /// The last attempt for a recipient, if it has been kept.
    #[must_use]
    pub fn last_tried(&self, forward_path: &str) -> Option<&Tried> {
        self.tried.iter().rfind(|tried| tried.forward_path == forward_path)
    }

    /// Adds attempts, which must be later than those already there. Keeps the last one for each
    /// recipient and the latest of the others; attempts for recipients no longer in the entry are
    /// dropped.
    pub fn remember(&mut self, attempts: impl IntoIterator<Item = Tried>) {
        self.tried.extend(attempts);
        let there: HashSet<&str> =
            self.recipients.iter().map(|recipient| recipient.forward_path.as_str()).collect();
        let mut without_last = there.clone();
        let mut others = 0;
        let mut kept = Vec::with_capacity(self.tried.len());
        for tried in self.tried.iter().rev() {
            let is_last = without_last.remove(tried.forward_path.as_str());
            let is_there = there.contains(tried.forward_path.as_str());
            others += usize::from(is_there && !is_last);
            kept.push(is_last || is_there && others <= TRIED_MOST);
        }
        let mut kept = kept.into_iter().rev();
        self.tried.retain(|_| kept.next().unwrap_or(true));
    }
}

impl Client {
    fn parse(line: &str) -> Option<Self> {
        let (address, helo) = line.strip_prefix('[')?.split_once("] ")?;
        Some(Self { address: address.parse().ok()?, helo: helo.to_owned() })
    }
}

impl Tried {
    fn render(&self) -> String {
        let Self { at, ended, status, host, forward_path, reply } = self;
        let host = host.as_deref().unwrap_or(NO_HOST);
        let line = format!("{at} {} {status} {host} <{forward_path}> {reply}", ended.word());
        line.trim_end().to_owned()
    }

    fn parse(line: &str) -> Option<Self> {
        // The last part, path and reply, may contain blanks.
        let mut words = line.splitn(5, ' ');
        let at = words.next()?.parse().ok()?;
        let ended = words.next()?;
        let ended = Ended::ALL.into_iter().find(|one| one.word() == ended)?;
        let status = words.next()?.to_owned();
        let host = words.next().map(|host| (host != NO_HOST).then(|| host.to_owned()))?;
        let (forward_path, reply) = take_bracketed(words.next()?)?;
        Some(Self {
            at,
            ended,
            status,
            host,
            forward_path: forward_path.to_owned(),
            reply: reply.to_owned(),
        })
    }
}

/// Stands for the host if the text is our own.
const NO_HOST: &str = "-";

impl Recipient {
    fn render(&self) -> String {
        let Self { attempts, next_attempt, forward_path, last_reply, .. } = self;
        let letter = match self.state {
            _ if self.is_relayed => 'R',
            RecipientState::Pending => 'P',
            RecipientState::Delivered => 'D',
            RecipientState::Failed => 'F',
            RecipientState::Held => 'H',
        };
        // Without a blank at its end if there is no reply.
        let line = format!("{letter} {attempts} {next_attempt} <{forward_path}> {last_reply}");
        line.trim_end().to_owned()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let letter = words.next()?;
        let state = match letter {
            "P" => RecipientState::Pending,
            "D" | "R" => RecipientState::Delivered,
            "F" => RecipientState::Failed,
            "H" => RecipientState::Held,
            _ => return None,
        };
        let attempts = words.next()?.parse().ok()?;
        let next_attempt = words.next()?.parse().ok()?;
        let (forward_path, last_reply) = take_bracketed(words.next()?)?;
        Some(Self {
            state,
            is_relayed: letter == "R",
            attempts,
            next_attempt,
            forward_path: forward_path.into(),
            last_reply: last_reply.to_owned(),
            dsn: RecipientDsn::default(),
        })
    }
}

/// The lines of a block, in order.
struct Lines<'a> {
    rest: &'a [u8],
    used: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        self.used += line.len();
        // A program that rewrote the file may have given it CRLF line ends.
        let line = line.get(..end)?;
        str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()
    }

    fn field(&mut self, name: &str) -> Option<&'a str> {
        self.next()?.strip_prefix(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dsn::tests::any_recipient_dsn;
    use crate::mail::parameters::tests::any_parameters;
    use proptest::prelude::*;

    fn block(recipients: Vec<Recipient>) -> Block {
        Block {
            id: "1-2-3".into(),
            reverse_path: "a@b".into(),
            queued: 1_758_106_800,
            client: None,
            parameters: MailParameters::default(),
            recipients,
            tried: Vec::new(),
        }
    }

    #[test]
    fn parameters_are_written_only_where_they_were_given() {
        let parameters = MailParameters::parse("SMTPUTF8 BODY=BINARYMIME RET=HDRS ENVID=Q+20x");
        let dsn = RecipientDsn::parse("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@y").unwrap();
        let recipients =
            ["a@x".into(), RemoteRecipient { path: "é@x".into(), dsn: dsn.clone() }, "c@x".into()];
        let text = new_block("jo@é", None, parameters.as_ref().unwrap(), &recipients).render();
        let lines: Vec<&str> = text.lines().skip(1).filter(|l| !l.contains("Queued")).collect();
        assert_eq!(
            lines,
            [
                "X-MC-From: <jo@é>",
                "X-MC-Mail: SMTPUTF8 BODY=BINARYMIME RET=HDRS ENVID=Q+20x",
                "X-MC-Rcpt: P 0 0 <a@x>",
                "X-MC-Rcpt: P 0 0 <é@x>",
                "X-MC-Rcpt-Dsn: NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@y",
                "X-MC-Rcpt: P 0 0 <c@x>",
                "X-MC-End:",
            ]
        );
        let (block, _) = Block::parse(text.as_bytes()).unwrap();
        assert_eq!(Ok(&block.parameters), parameters.as_ref());
        let kept: Vec<&RecipientDsn> = block.recipients.iter().map(|there| &there.dsn).collect();
        assert_eq!(kept, [&RecipientDsn::default(), &dsn, &RecipientDsn::default()]);
    }

    #[test]
    fn a_block_with_parameters_that_cannot_be_read_is_not_ours() {
        let text =
            |line: &str| format!("X-MC-Id: 1\nX-MC-From: <>\nX-MC-Queued: 5\n{line}\nX-MC-End:\n");
        assert!(Block::parse(text("X-MC-Mail: RET=FULL").as_bytes()).is_some());
        for line in ["X-MC-Mail: RET=ALL", "X-MC-Mail: X=1", "X-MC-Rcpt-Dsn: NOTIFY=NEVER"] {
            assert_eq!(Block::parse(text(line).as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_new_block_holds_its_envelope() {
        let client = Client { address: [127, 0, 0, 1].into(), helo: "client.example".into() };
        let recipients = ["b@example.org".into(), "\"c>d\"@x".into()];
        let declared = MailParameters::default();
        let text = new_block("a@localhost", Some(&client), &declared, &recipients).render();
        let message = format!("{text}Subject: x\r\nX-MC-Rcpt: P 0 0 <evil@example.org>\r\n");
        let (block, length) = Block::parse(message.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        assert_eq!(block.reverse_path.as_str(), "a@localhost");
        assert_eq!(block.client, Some(client));
        let paths: Vec<_> = block.recipients.iter().map(|r| r.forward_path.as_str()).collect();
        assert_eq!(paths, ["b@example.org", "\"c>d\"@x"]);
        assert!(block.recipients.iter().all(|r| r.state == RecipientState::Pending));
    }

    #[test]
    fn a_message_without_a_block_has_no_envelope() {
        for text in
            ["", "Subject: x\n\nX-MC-Id: 1\n", "X-MC-Id: 1\nX-MC-From: <a>\nX-MC-Queued: 1\n"]
        {
            assert_eq!(Block::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_block_of_old_says_nothing_of_clients_and_attempts() {
        let text = "X-MC-Id: 1\nX-MC-From: <a@b>\nX-MC-Queued: 5\n\
                    X-MC-Rcpt: P 2 9 <c@d> 451 later\nX-MC-End:\nSubject: x\n";
        let (block, length) = Block::parse(text.as_bytes()).unwrap();
        assert_eq!((block.client.as_ref(), block.tried.len()), (None, 0));
        assert_eq!(block.render(), text[..length]);
    }

    #[test]
    fn the_last_attempt_for_each_recipient_stays_and_the_latest_of_the_others() {
        let tried = |at, forward_path: &str| Tried {
            at,
            ended: Ended::Deferred,
            status: "4.0.0".into(),
            host: None,
            forward_path: forward_path.into(),
            reply: String::new(),
        };
        let there = |path: &str| Recipient {
            state: RecipientState::Pending,
            is_relayed: false,
            attempts: 1,
            next_attempt: 0,
            forward_path: path.into(),
            last_reply: String::new(),
            dsn: RecipientDsn::default(),
        };
        let mut block = block(vec![there("a@x"), there("b@x")]);
        block.remember([tried(1, "a@x")]);
        block.remember((2..1_000).map(|at| tried(at, if at == 2 { "gone@x" } else { "b@x" })));
        let kept: Vec<u64> = block.tried.iter().map(|tried| tried.at).collect();
        assert_eq!(kept, [vec![1], (799..1_000).collect()].concat());
        block.recipients.pop();
        block.remember([]);
        assert_eq!(block.tried.len(), 1);
        assert_eq!(block.last_tried("a@x").map(|tried| tried.at), Some(1));
        assert_eq!(block.last_tried("b@x"), None);
    }

    fn attempt() -> impl Strategy<Value = Tried> {
        let host = prop::option::of("[a-z.]{1,9}|\\[[0-9.]{7}\\]");
        let words = ("[245]\\.[0-9]{1,3}\\.[0-9]{1,3}", host, "[a-z]{1,5}@[a-z.]{1,9}");
        let reply = "([2-5]50 [a-z<> ]{0,9}[a-z])?";
        (any::<u64>(), prop::sample::select(Ended::ALL.to_vec()), words, reply).prop_map(
            |(at, ended, (status, host, forward_path), reply)| Tried {
                at,
                ended,
                status,
                host,
                forward_path,
                reply,
            },
        )
    }

    fn client() -> impl Strategy<Value = Client> {
        (any::<IpAddr>(), "[!-~]{1,20}").prop_map(|(address, helo)| Client { address, helo })
    }

    fn recipient() -> impl Strategy<Value = Recipient> {
        let state = prop::sample::select(vec![
            RecipientState::Pending,
            RecipientState::Delivered,
            RecipientState::Failed,
            RecipientState::Held,
        ]);
        (
            state,
            any::<u32>(),
            any::<u64>(),
            ("[a-zé]{1,5}@[a-z.ü]{1,9}", any::<bool>(), any_recipient_dsn()),
            "([2-5]50 [a-z<> ]{0,9}[a-z])?",
        )
            .prop_map(
                |(state, attempts, next_attempt, (forward_path, owed, dsn), last_reply)| {
                    Recipient {
                        state,
                        is_relayed: owed && state == RecipientState::Delivered,
                        attempts,
                        next_attempt,
                        forward_path: forward_path.into(),
                        last_reply,
                        dsn,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(
            client in prop::option::of(client()),
            parameters in any_parameters(),
            recipients in prop::collection::vec(recipient(), 0..5),
            tried in prop::collection::vec(attempt(), 0..5),
        ) {
            let block = Block { client, parameters, tried, ..block(recipients) };
            let text = block.render();
            prop_assert_eq!(Block::parse(text.as_bytes()), Some((block, text.len())));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Block::parse(&text);
        }
    }
}
