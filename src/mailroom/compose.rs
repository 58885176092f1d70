//! Composes a message from a form (RFC 5322, RFC 2045) and sends it through our own SMTP server,
//! like any client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::mime::MimePart;
use memchr::memmem;

use crate::mail::path::{Address, BadAddress, ReversePath};
use crate::mailroom::{ATTACHMENT_MOST, Draft};
use crate::relay::client::{Client, Connection};
use crate::relay::conversation::opening::{Hello, Introduction, Protection};
use crate::relay::envelope::{Envelope, MOST_RECIPIENTS, Recipient};
use crate::relay::mx::Target;
use crate::relay::text::{Letter, MessageText, TextReader};
use crate::relay::verdict::Verdict;

/// The pattern that attachments repeat: 57 octets make a base64 line of 76 characters (RFC 2045
/// section 6.8).
const PATTERN: &[u8; 57] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234";

/// Octets of such a line with its CRLF.
const LINE: u64 = 78;

/// The lines of an attachment that are generated at a time.
const LINES_AT_ONCE: u64 = 512;

/// A placeholder for the attachment until it is sent.
const PLACE: &[u8] = b"@attachment@";

/// A message that is ready to be sent.
#[derive(Debug)]
pub struct Composed {
    envelope: Envelope,
    text: Text,
}

/// Why a draft cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotComposed {
    /// Some text is not a valid address.
    #[error("{0}")]
    BadAddress(#[from] BadAddress),
    /// There is no recipient.
    #[error("enter at least one recipient, such as linhphan@localhost")]
    NoRecipient,
    /// There are more recipients than one transaction may have.
    #[error("{0} recipients are too many; name {MOST_RECIPIENTS} at most")]
    TooManyRecipients(usize),
    /// The attachment is larger than [`ATTACHMENT_MOST`].
    #[error("the attachment is too large; it can have {ATTACHMENT_MOST} octets")]
    AttachmentTooLarge,
}

/// The text of a composed message. The attachment, which may have a gigabyte, is generated while it
/// is sent.
#[derive(Debug, Clone)]
pub struct Text {
    before: Arc<[u8]>,
    /// Octets of the attachment before encoding.
    attachment: u64,
    after: Arc<[u8]>,
}

impl Composed {
    /// Composes a message at `domain`. `id` distinguishes its Message-ID from others of the same
    /// second.
    ///
    /// # Errors
    ///
    /// If an address is invalid, or there are too few or too many recipients, or the attachment is
    /// too large.
    pub fn new(
        draft: &Draft,
        domain: &str,
        at: DateTime<Utc>,
        id: u64,
    ) -> Result<Self, NotComposed> {
        if draft.attachment > ATTACHMENT_MOST {
            return Err(NotComposed::AttachmentTooLarge);
        }
        let reverse_path = ReversePath::parse(draft.from.trim())?;
        let recipients = recipients(&draft.to)?;
        let envelope = Envelope::plain(reverse_path, recipients);
        let text = Text::of(&message(draft, &envelope, domain, at, id), draft);
        Ok(Self { envelope, text })
    }
}

fn recipients(typed: &str) -> Result<Vec<Address>, NotComposed> {
    let addresses = typed.split(',').map(str::trim).filter(|address| !address.is_empty());
    let recipients: Vec<Address> = addresses.map(Address::parse).collect::<Result<_, _>>()?;
    match recipients.len() {
        0 => Err(NotComposed::NoRecipient),
        count if count > MOST_RECIPIENTS => Err(NotComposed::TooManyRecipients(count)),
        _ => Ok(recipients),
    }
}

fn message(
    draft: &Draft,
    envelope: &Envelope,
    domain: &str,
    at: DateTime<Utc>,
    id: u64,
) -> Vec<u8> {
    let from = match &envelope.reverse_path {
        ReversePath::Address(address) => address.to_string(),
        // Every message must have an author (RFC 5322 section 3.6).
        ReversePath::Null => format!("MAILER-DAEMON@{domain}"),
    };
    let mailbox = |address: String| Mailbox::new_address(None::<&str>, address);
    let to = envelope.recipients.iter().map(|recipient| mailbox(recipient.to_string()));
    let mut octets = Vec::new();
    MessageBuilder::new()
        .from(mailbox(from))
        .to(Mailbox::new_list(to.collect()))
        .subject(one_line(&draft.subject))
        .date(at.timestamp())
        .message_id(format!("{}.{id:x}@{domain}", at.timestamp()))
        .body(body(draft))
        .serialize(&mut octets);
    octets
}

fn body(draft: &Draft) -> MimePart<'_> {
    let text = MimePart::new("text/plain", draft.body.as_str());
    match draft.attachment {
        0 => text,
        octets => MimePart::new("multipart/mixed", vec![text, attachment(octets)]),
    }
}

/// Replaces line ends and control characters: a pasted subject must not add header fields.
fn one_line(subject: &str) -> String {
    subject.replace(char::is_control, " ")
}

fn attachment(octets: u64) -> MimePart<'static> {
    MimePart::new("application/octet-stream", PLACE)
        .attachment(format!("attachment-{octets}.bin"))
        // An encoding that is set already makes the builder write the content unchanged.
        .transfer_encoding("base64")
}

impl Text {
    fn of(message: &[u8], draft: &Draft) -> Self {
        // The last match, because the typed text may contain the placeholder too.
        let place = match draft.attachment {
            0 => None,
            _ => memmem::rfind(message, PLACE),
        };
        let (before, after) = message.split_at(place.unwrap_or(message.len()));
        let after = after.strip_prefix(PLACE).unwrap_or(after);
        // The generated attachment brings the end of its last line.
        let after = after.strip_prefix(b"\r\n").unwrap_or(after);
        Self { before: before.into(), attachment: draft.attachment, after: after.into() }
    }

    const fn whole_lines(&self) -> u64 {
        self.attachment / PATTERN.len() as u64
    }

    /// The last, shorter line of the attachment, encoded; empty if there is none.
    fn last_line(&self) -> String {
        let octets = usize::try_from(self.attachment % PATTERN.len() as u64).unwrap_or(0);
        match octets {
            0 => String::new(),
            _ => encoded(PATTERN.get(..octets).unwrap_or_default()),
        }
    }
}

fn encoded(octets: &[u8]) -> String {
    BASE64_STANDARD.encode(octets) + "\r\n"
}

impl MessageText for Text {
    type Reader = Reader;

    fn octets(&self) -> u64 {
        let parts = self.before.len() + self.last_line().len() + self.after.len();
        parts as u64 + self.whole_lines() * LINE
    }

    async fn open(&self) -> io::Result<Reader> {
        Ok(Reader { text: self.clone(), next: Piece::Before })
    }
}

/// Reads the text of a composed message.
#[derive(Debug)]
pub struct Reader {
    text: Text,
    next: Piece,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    Before,
    /// The number of whole lines that are left.
    Attachment(u64),
    After,
    Nothing,
}

impl TextReader for Reader {
    async fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<usize> {
        let before = piece.len();
        while piece.len() == before && !matches!(self.next, Piece::Nothing) {
            self.next = self.append(piece);
        }
        Ok(piece.len() - before)
    }
}

impl Reader {
    /// Appends the next piece; returns which one follows.
    fn append(&self, piece: &mut Vec<u8>) -> Piece {
        match self.next {
            Piece::Before => {
                piece.extend_from_slice(&self.text.before);
                Piece::Attachment(self.text.whole_lines())
            }
            Piece::Attachment(0) => {
                piece.extend_from_slice(self.text.last_line().as_bytes());
                Piece::After
            }
            Piece::Attachment(left) => {
                let now = left.min(LINES_AT_ONCE);
                let line = encoded(PATTERN);
                (0..now).for_each(|_| piece.extend_from_slice(line.as_bytes()));
                Piece::Attachment(left - now)
            }
            Piece::After => {
                piece.extend_from_slice(&self.text.after);
                Piece::Nothing
            }
            Piece::Nothing => Piece::Nothing,
        }
    }
}

/// Sends a message to our own SMTP server at `address`; returns sentences that report the result.
///
/// # Errors
///
/// The sentences, if no recipient got the message.
pub async fn send(
    composed: Composed,
    domain: &str,
    address: SocketAddr,
    client: &Client,
) -> Result<Vec<String>, Vec<String>> {
    let Composed { envelope, text } = composed;
    let target = Target {
        preference: None,
        host: "our own SMTP server".to_owned(),
        address: reachable(address),
    };
    let introduction = Introduction {
        domain: domain.to_owned(),
        hello: Hello::Helo,
        protection: Protection::None,
    };
    let mut connection = match Connection::open(client, &target, &introduction).await {
        Ok(connection) => connection,
        Err(verdict) => return Err(vec![format!("Not sent: {}", verdict.diagnosis().reason)]),
    };
    // No trace line: the message originates here, so nothing has been passed on yet.
    let letter = Letter::new(String::new(), text);
    let outcome = connection.deliver(&envelope, &letter).await;
    connection.quit().await;
    let words = in_words(&envelope.recipients, &outcome.verdicts, letter.sent.load(Relaxed));
    let is_delivered = |verdict: &Verdict| matches!(verdict, Verdict::Delivered(..));
    if outcome.verdicts.iter().any(is_delivered) { Ok(words) } else { Err(words) }
}

/// Replaces the unspecified address, on which the server listens for all addresses, with loopback.
const fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn in_words(recipients: &[Recipient], verdicts: &[Verdict], octets: u64) -> Vec<String> {
    let mut sent = Vec::new();
    let mut words = Vec::new();
    for (recipient, verdict) in recipients.iter().zip(verdicts) {
        match verdict {
            Verdict::Delivered(..) => sent.push(recipient.as_str()),
            Verdict::Deferred(why, _) | Verdict::Failed(why) => {
                words.push(format!("Not sent to {recipient}: {}", why.reason));
            }
        }
    }
    if !sent.is_empty() {
        words.push(format!("Sent to {} ({octets} octets).", sent.join(", ")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{Message, MessageParser, MimeHeaders};

    fn draft() -> Draft {
        Draft {
            from: "linhphan@localhost".into(),
            to: "bcpierce@localhost, zives@localhost".into(),
            subject: "Hello ✉".into(),
            body: "one\n.two\nFrom three\n".into(),
            attachment: 0,
        }
    }

    fn composed(draft: &Draft) -> Composed {
        Composed::new(draft, "localhost", DateTime::UNIX_EPOCH, 0xabc).unwrap()
    }

    async fn text(composed: &Composed) -> Vec<u8> {
        let mut reader = composed.text.open().await.unwrap();
        let mut text = Vec::new();
        while reader.read(&mut text).await.unwrap() > 0 {}
        assert_eq!(text.len() as u64, composed.text.octets());
        text
    }

    fn parsed(text: &[u8]) -> Message<'_> {
        MessageParser::default().parse(text).unwrap()
    }

    #[tokio::test]
    async fn what_was_typed_is_a_message() {
        let text = text(&composed(&draft())).await;
        let message = parsed(&text);
        assert_eq!(message.subject(), Some("Hello ✉"));
        assert_eq!(message.from().unwrap().first().unwrap().address(), Some("linhphan@localhost"));
        assert_eq!(message.to().unwrap().iter().count(), 2);
        assert_eq!(message.message_id(), Some("0.abc@localhost"));
        assert_eq!(message.date().unwrap().to_timestamp(), 0);
        assert_eq!(message.body_text(0).unwrap(), "one\r\n.two\r\nFrom three\r\n");
        assert!(text.is_ascii());
    }

    #[tokio::test]
    async fn an_attachment_has_the_octets_that_were_asked_for() {
        for attachment in [1, 56, 57, 58, 57 * 512, 100_000] {
            let body = "@attachment@".to_owned();
            let text = text(&composed(&Draft { body, attachment, ..draft() })).await;
            let message = parsed(&text);
            assert_eq!(message.body_text(0).unwrap().trim_end(), "@attachment@");
            let part = message.attachment(0).unwrap();
            assert_eq!(part.attachment_name(), Some(&*format!("attachment-{attachment}.bin")));
            assert_eq!(part.len() as u64, attachment);
            let pattern = PATTERN.iter().cycle().take(part.len());
            assert!(part.contents().iter().eq(pattern));
            assert!(text.split(|&byte| byte == b'\n').all(|line| line.len() <= 79));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_in_a_sentence() {
        let refused = |draft: &Draft| {
            let refused = Composed::new(draft, "localhost", DateTime::UNIX_EPOCH, 0).unwrap_err();
            refused.to_string()
        };
        let to = |to: &str| refused(&Draft { to: to.into(), ..draft() });
        assert_eq!(to("linhphan"), "“linhphan” is not an address of the form user@domain");
        assert!(to("a@x>\r\nDATA").starts_with("“a@x>\\r\\nDATA” is not an address"));
        assert!(to(" , ").starts_with("enter at least one recipient"));
        assert!(to(&"a@x,".repeat(101)).starts_with("101 recipients are too many"));
        assert!(refused(&Draft { from: "x".into(), ..draft() }).contains("“x”"));
        let attachment = ATTACHMENT_MOST + 1;
        assert!(refused(&Draft { attachment, ..draft() }).contains("too large"));
    }

    #[tokio::test]
    async fn a_pasted_subject_forges_no_field_and_nobody_can_be_the_author() {
        let draft = Draft { from: String::new(), subject: "x\r\nBcc: a@x\x1by".into(), ..draft() };
        let text = text(&composed(&draft)).await;
        let message = parsed(&text);
        assert!(message.bcc().is_none());
        assert_eq!(message.subject(), Some("x  Bcc: a@x y"));
        let from = message.from().unwrap().first().unwrap().address();
        assert_eq!(from, Some("MAILER-DAEMON@localhost"));
    }
}
