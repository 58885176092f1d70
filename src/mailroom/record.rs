//! A message as programs see it: one JSON object, the same everywhere. Fields are only ever added.
//! Text is decoded, not escaped.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::mailroom::decode::Parsed;
use crate::mailroom::decode::plain::{self, Declaration};
use crate::mailroom::query::{Addresses, Fields, Query};
use crate::store::delivery::ORIGINAL_FIELD;
use crate::store::directory::LOCALHOST;
use crate::store::from_date::date_of;

/// The version of the form.
const VERSION: u8 = 1;

/// The last second of the year 9999: beyond it RFC 3339 has no dates.
const LAST_SECOND: i64 = 253_402_300_799;

/// A message as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    v: u8,
    /// The name of its mailbox.
    pub mailbox: String,
    /// Its number, from 1, as a POP3 session that begins now would have it.
    pub number: usize,
    /// Its unique-id as POP3 tells it.
    pub uid: String,
    /// Its length as POP3 counts it.
    pub octets: u64,
    /// When it arrived, in UTC: `2026-11-28T17:49:01Z`.
    pub date: String,
    /// The author's address; that of the envelope if the header has none.
    pub from: String,
    /// The addresses of `To:`.
    pub to: Vec<String>,
    /// The addresses of `Cc:`.
    pub cc: Vec<String>,
    /// The subject; empty if there is none.
    pub subject: String,
    /// The `Message-ID:`, with its brackets; empty if there is none.
    pub message_id: String,
    /// How it was sent.
    pub envelope: EnvelopeRecord,
    /// Whether no `Status:` field has an R.
    pub unread: bool,
    /// Its attachments, in their order.
    pub attachments: Vec<AttachmentRecord>,
}

/// Sender and recipients of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvelopeRecord {
    /// The reverse-path; empty for the null one.
    pub from: String,
    /// The mailbox, or for whom a message was that was redirected to it.
    pub to: Vec<String>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentRecord {
    /// The file name, or a generated one.
    pub name: String,
    /// The media type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// The decoded length.
    pub octets: u64,
}

impl From<Declaration> for AttachmentRecord {
    fn from(Declaration { name, media_type, octets }: Declaration) -> Self {
        Self { name, media_type, octets }
    }
}

/// A message as JSON, with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WholeRecord {
    /// What every message has.
    #[serde(flatten)]
    pub record: Record,
    /// The text.
    pub text: String,
    /// The HTML, if there is any.
    pub html: Option<String>,
    /// The links of both.
    pub links: Vec<String>,
    /// All header fields, as name and value.
    pub headers: Vec<(String, String)>,
}

/// A message that was read from its mailbox: its header at least.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The name of the mailbox.
    pub mailbox: String,
    /// The place in it, from 0.
    pub place: usize,
    /// The From_ line, with its LF.
    pub from_line: Vec<u8>,
    /// The message as RETR sends it, or only its header.
    pub text: Vec<u8>,
    /// The length of the whole message as POP3 counts it.
    pub octets: u64,
    /// The unique-id; empty if it was not asked for.
    pub uid: String,
}

impl Letter {
    /// When it arrived, in seconds since 1970: the date of its From_ line, else that of its header,
    /// else 0.
    #[must_use]
    pub fn date(&self) -> i64 {
        let in_header = || {
            let date = plain::date(&self.text)?;
            let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs()).ok()
        };
        date_of(self.from_line.trim_ascii_end()).or_else(in_header).unwrap_or(0)
    }

    /// What a query sees of it. With a query that needs the body, `text` must be the whole message.
    #[must_use]
    pub fn matches(&self, query: &Query) -> bool {
        let (from, cc) = (self.authors(), self.people("Cc"));
        let mut to = self.people("To");
        to.addresses.extend(self.envelope_to());
        let headers = plain::headers(&self.text);
        let parsed = query.needs_body().then(|| Parsed::of(&self.text));
        let texts = parsed.as_ref().map_or_else(Vec::new, |parsed| {
            std::iter::once(parsed.text()).chain(parsed.html_as_text()).collect()
        });
        let has_attachment = parsed.is_some_and(|parsed| parsed.attached().next().is_some());
        query.matches(&Fields {
            mailbox: &self.mailbox,
            uid: &self.uid,
            octets: self.octets,
            unread: is_unread(&headers),
            from: &from,
            to: &to,
            cc: &cc,
            subject: first(&headers, "Subject"),
            headers: &headers,
            texts: &texts,
            has_attachment,
        })
    }

    /// It as JSON; `text` must be the whole message.
    #[must_use]
    pub fn record(&self) -> Record {
        let headers = plain::headers(&self.text);
        let parsed = Parsed::of(&self.text);
        let attachments = parsed.attached().map(|one| one.declaration().into()).collect();
        Record { attachments, ..self.head_record(&headers) }
    }

    /// It as JSON with its content; `text` must be the whole message.
    #[must_use]
    pub fn whole_record(&self) -> WholeRecord {
        let parsed = Parsed::of(&self.text);
        WholeRecord {
            record: self.record(),
            text: parsed.text(),
            html: parsed.html(),
            links: parsed.links(),
            headers: plain::headers(&self.text),
        }
    }

    /// What the header alone tells; no attachments.
    fn head_record(&self, headers: &[(String, String)]) -> Record {
        let envelope = EnvelopeRecord { from: self.envelope_from(), to: self.envelope_to() };
        Record {
            v: VERSION,
            mailbox: self.mailbox.clone(),
            number: self.place + 1,
            uid: self.uid.clone(),
            octets: self.octets,
            date: rfc_3339(self.date()),
            from: self.authors().addresses.into_iter().next().unwrap_or_default(),
            to: plain::addresses(&self.text, "To"),
            cc: plain::addresses(&self.text, "Cc"),
            subject: first(headers, "Subject").to_owned(),
            message_id: first(headers, "Message-ID").to_owned(),
            envelope,
            unread: is_unread(headers),
            attachments: Vec::new(),
        }
    }

    /// The same for a list, which shows no attachments: the header is enough.
    #[must_use]
    pub fn listed(&self) -> Record {
        self.head_record(&plain::headers(&self.text))
    }

    /// The authors of the header, else the sender of the envelope.
    fn authors(&self) -> Addresses {
        let mut authors = self.people("From");
        if authors.addresses.is_empty() {
            authors.addresses.push(self.envelope_from());
        }
        authors
    }

    fn people(&self, field: &str) -> Addresses {
        let headers = plain::headers(&self.text).into_iter();
        let texts = headers.filter(|(name, _)| name.eq_ignore_ascii_case(field));
        let texts = texts.map(|(_, value)| value).collect();
        Addresses { addresses: plain::addresses(&self.text, field), texts }
    }

    fn envelope_from(&self) -> String {
        sender(&String::from_utf8_lossy(&self.from_line)).to_owned()
    }

    /// The addresses of the `X-Original-To:` fields at the top, else the mailbox's own.
    fn envelope_to(&self) -> Vec<String> {
        let fields = plain::headers(&self.text).into_iter();
        let original = fields.take_while(|(name, _)| name.eq_ignore_ascii_case(ORIGINAL_FIELD));
        let original: Vec<String> = original.map(|(_, value)| value).collect();
        if !original.is_empty() {
            original
        } else if self.mailbox.contains('@') {
            vec![self.mailbox.clone()]
        } else {
            vec![format!("{}@{LOCALHOST}", self.mailbox)]
        }
    }
}

/// The address of a From_ line. That of the null reverse-path is `<MAILER-DAEMON>` there.
fn sender(from_line: &str) -> &str {
    let rest = from_line.strip_prefix("From ").unwrap_or_default().trim_start();
    let address = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((address, _)) => address,
        None => rest.split_whitespace().next().unwrap_or_default(),
    };
    let is_weekday = || {
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&address.trim_end_matches(','))
    };
    if matches!(address, "MAILER-DAEMON" | "-") || is_weekday() { "" } else { address }
}

/// The value of the first field of this name.
fn first<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let found = headers.iter().find(|(its, _)| its.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

fn is_unread(headers: &[(String, String)]) -> bool {
    !headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("Status") && value.contains('R'))
}

fn rfc_3339(seconds: i64) -> String {
    let date = DateTime::from_timestamp(seconds.clamp(0, LAST_SECOND), 0).unwrap_or_default();
    date.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &str) -> Letter {
        let text = text.replace('\n', "\r\n").into_bytes();
        Letter {
            mailbox: "bob".to_owned(),
            place: 2,
            from_line: b"From <a@x> Wed Sep 17 11:00:00 +0000 2025\n".to_vec(),
            octets: text.len() as u64,
            text,
            uid: "9e10".to_owned(),
        }
    }

    #[test]
    fn a_message_is_this_object() {
        let letter = letter(
            "X-Original-To: bob@localhost\nFrom: =?utf-8?q?=C3=84?= <a@x>\nTo: bob@localhost\n\
             Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <1@x>\nMIME-Version: 1.0\n\
             Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi\n\
             --b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=a.pdf\n\
             Content-Transfer-Encoding: base64\n\nAAEC\n--b--\n",
        );
        let octets = letter.octets;
        let expected = format!(
            r#"{{"v":1,"mailbox":"bob","number":3,"uid":"9e10","octets":{octets},"date":"2025-09-17T11:00:00Z","from":"a@x","to":["bob@localhost"],"cc":[],"subject":"Grüße","message_id":"<1@x>","envelope":{{"from":"a@x","to":["bob@localhost"]}},"unread":true,"attachments":[{{"name":"a.pdf","type":"application/pdf","octets":3}}]}}"#
        );
        assert_eq!(serde_json::to_string(&letter.record()).unwrap(), expected);
        let whole = serde_json::to_string(&letter.whole_record()).unwrap();
        assert!(whole.starts_with(expected.trim_end_matches('}')), "{whole}");
        assert!(
            whole.contains(r#","text":"Hi","html":null,"links":[],"headers":[["X-Original-To","#)
        );
    }

    #[test]
    fn a_message_without_header_has_what_the_envelope_says() {
        let record = letter("\nhello\n").record();
        assert_eq!(
            (record.from.as_str(), record.to.len(), record.subject.as_str()),
            ("a@x", 0, "")
        );
        assert_eq!(record.envelope.to, ["bob@localhost"]);
        let caught =
            letter("X-Original-To: zoe@b\nX-Original-To: y@b\nTo: q@b\nX-Original-To: no\n\n");
        assert_eq!(caught.record().envelope.to, ["zoe@b", "y@b"]);
        let other = Letter { mailbox: "zoe@b.org".to_owned(), ..letter("\n") };
        assert_eq!(other.record().envelope.to, ["zoe@b.org"]);
    }

    #[test]
    fn the_sender_is_that_of_the_from_line() {
        for (line, expected) in [
            ("From <a@x> Wed Sep 17 11:00:00 2025\n", "a@x"),
            ("From <\"a b\"@x> Wed Sep 17 11:00:00 2025\n", "\"a b\"@x"),
            ("From <MAILER-DAEMON> Wed Sep 17 11:00:00 2025\n", ""),
            ("From a@x  Wed Sep 17 11:00:00 2025\n", "a@x"),
            ("From - Wed Sep 17 11:00:00 2025\n", ""),
            ("From Wed Sep 17 11:00:00 2025\n", ""),
            ("From \n", ""),
        ] {
            assert_eq!(sender(line), expected, "{line}");
        }
    }

    #[test]
    fn queries_look_at_header_and_envelope() {
        let letter = letter("From: b@y\nTo: List <list@y>\nStatus: RO\n\nbody\n");
        for (line, expected) in [
            ("to=bob", true),
            ("to=list@y", true),
            ("to~\"List\"", true),
            ("from=b@y", true),
            ("from=a@x", false),
            ("unread", false),
            ("body~BODY", true),
            ("bob", true),
        ] {
            assert_eq!(letter.matches(&Query::parse(line).unwrap()), expected, "{line}");
        }
    }

    #[test]
    fn arrival_is_that_of_the_from_line_else_of_the_header() {
        let undated = Letter { from_line: b"From a@x\n".to_vec(), ..letter("\n") };
        assert_eq!(undated.record().date, "1970-01-01T00:00:00Z");
        let text = b"Date: Wed, 17 Sep 2025 13:00:00 +0200\r\n\r\n".to_vec();
        assert_eq!(Letter { text, ..undated }.record().date, "2025-09-17T11:00:00Z");
    }
}
