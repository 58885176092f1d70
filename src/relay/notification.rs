//! Delivery status notifications (RFC 3464), which tell a sender which recipients failed and why,
//! and which were relayed if it wanted to know (RFC 3461). Does no I/O. Also decides which senders
//! get one.

use std::fmt::Write;

use chrono::{DateTime, FixedOffset};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;

use crate::mail::dsn::{self, EnvelopeId, OriginalRecipient};
use crate::mail::path::{Address, ReversePath};
use crate::relay::verdict::{Diagnosis, Source};

/// The most octets of the undelivered message's header that are returned.
pub const HEADER_SENT_BACK: usize = 64 * 1024;

/// The most octets of a message that is returned in full, to a sender that asked with RET=FULL; of
/// a longer one only the header is returned.
pub const MESSAGE_SENT_BACK: u64 = 1024 * 1024;

/// The line length at which a field is folded (RFC 5322 section 2.1.1).
const FOLDED_AT: usize = 76;

/// The content of a notification.
#[derive(Debug)]
pub struct Notification<'a> {
    /// Our domain, as Reporting-MTA.
    pub domain: &'a str,
    /// The queue id of the message.
    pub id: &'a str,
    /// The sender's own name for the message, if it gave one.
    pub envid: Option<&'a EnvelopeId>,
    /// The sender of the message, who gets the notification.
    pub sender: &'a Address,
    /// When the message was queued.
    pub queued: DateTime<FixedOffset>,
    /// When delivery was last attempted.
    pub tried: DateTime<FixedOffset>,
    /// What is returned of the message.
    pub returned: Returned<'a>,
    /// What became of which recipients.
    pub reports: &'a [Report],
}

/// What a notification returns of the message.
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Its header, without the empty line that ends it; at most [`HEADER_SENT_BACK`] octets of it
    /// are used.
    Header(&'a [u8]),
    /// All of it, with CRLF line ends.
    Message(&'a [u8]),
}

/// What a notification says of one recipient.
#[derive(Debug, Clone)]
pub struct Report {
    /// The recipient.
    pub recipient: Address,
    /// The recipient that the sender named at first, if it said so.
    pub original: Option<OriginalRecipient>,
    /// What became of it.
    pub action: Action,
    /// Who said so, and why.
    pub diagnosis: Diagnosis,
}

/// What became of a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It failed for good.
    Failed,
    /// It was given to a host that will not notify the sender of what becomes of it.
    Relayed,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Relayed => "relayed",
        }
    }
}

/// The sender to notify when a message with this reverse-path fails. `None` for `<>`, the
/// reverse-path of notifications themselves: notifying about a notification could loop endlessly
/// (RFC 5321 section 6.1).
#[must_use]
pub const fn owed_to(reverse_path: &ReversePath) -> Option<&Address> {
    match reverse_path {
        ReversePath::Null => None,
        ReversePath::Address(sender) => Some(sender),
    }
}

impl Notification<'_> {
    /// The notification as a message text with CRLF line ends. Its envelope must have the null
    /// reverse-path.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let report = MimePart::new(
            ContentType::new("multipart/report").attribute("report-type", "delivery-status"),
            vec![self.explanation(), self.delivery_status(), self.returned()],
        );
        let postmaster = format!("MAILER-DAEMON@{}", self.domain);
        let mut text = Vec::new();
        MessageBuilder::new()
            .from(Mailbox::new_address(Some("Mail Delivery System"), postmaster))
            .to(Mailbox::new_address(None::<&str>, self.sender.as_str()))
            .subject(self.subject())
            .date(self.tried.timestamp())
            .message_id(format!("{}.{}@{}", self.id, self.tried.timestamp(), self.domain))
            // Tells automatic responders not to answer (RFC 3834 section 5).
            .header("Auto-Submitted", Raw::new("auto-replied"))
            .body(report)
            .serialize(&mut text);
        text
    }

    fn tells_of_failure(&self) -> bool {
        self.reports.iter().any(|report| report.action == Action::Failed)
    }

    fn subject(&self) -> &'static str {
        if self.tells_of_failure() { "Undelivered mail returned to sender" } else { "Mail relayed" }
    }

    fn explanation(&self) -> MimePart<'static> {
        let fate = if self.tells_of_failure() {
            "Your message could not be delivered to everyone."
        } else {
            "Your message was relayed to hosts that will not tell you of its delivery."
        };
        let attached = match self.returned {
            Returned::Header(_) => "Its header is attached.",
            Returned::Message(_) => "It is attached.",
        };
        let mut text = format!(
            "This is the mail system at {}.\n\n\
             {fate} It was queued as {} on\n\
             {}. {attached}\n",
            self.domain,
            self.id,
            self.queued.to_rfc2822()
        );
        for Report { recipient, action, diagnosis, .. } in self.reports {
            let reason = &diagnosis.reason;
            let relayed = if *action == Action::Relayed { "relayed; " } else { "" };
            let _ = match &diagnosis.source {
                Source::Host(host) => {
                    writeln!(text, "\n<{recipient}>: {relayed}{host} said: {reason}")
                }
                Source::Relay => writeln!(text, "\n<{recipient}>: {relayed}{reason}"),
            };
        }
        MimePart::new("text/plain", text)
    }

    /// RFC 3464 section 2: one group of fields for the message, then one for each recipient.
    fn delivery_status(&self) -> MimePart<'static> {
        let mut fields = Fields::default();
        if let Some(envid) = self.envid {
            fields.add("Original-Envelope-Id", envid.as_str());
        }
        fields.add("Reporting-MTA", &format!("dns; {}", self.domain));
        fields.add("X-Mailconsole-Queue-ID", self.id);
        fields.add("Arrival-Date", &self.queued.to_rfc2822());
        for Report { recipient, original, action, diagnosis } in self.reports {
            fields.end_group();
            if let Some(original) = original {
                let address = format!("{}; {}", original.kind(), original.in_ascii());
                fields.add("Original-Recipient", &address);
            }
            fields.add("Final-Recipient", &typed(recipient));
            fields.add("Action", action.word());
            let status = match action {
                // A deferral that ran out of time may have a transient code, but this reports a
                // failure.
                Action::Failed => diagnosis.status.made_permanent(),
                Action::Relayed => diagnosis.status,
            };
            fields.add("Status", &status.to_string());
            match &diagnosis.source {
                Source::Host(host) => {
                    fields.add("Remote-MTA", &format!("dns; {host}"));
                    fields.add("Diagnostic-Code", &format!("smtp; {}", diagnosis.reason));
                }
                Source::Relay => {
                    let reason = format!("X-Mailconsole; {}", diagnosis.reason);
                    fields.add("Diagnostic-Code", &reason);
                }
            }
            fields.add("Last-Attempt-Date", &self.tried.to_rfc2822());
        }
        // RFC 3464 section 2 allows only 7bit for this media type.
        MimePart::new("message/delivery-status", fields.0.into_bytes()).transfer_encoding("7bit")
    }

    fn returned(&self) -> MimePart<'static> {
        match self.returned {
            Returned::Header(header) => {
                let header = header.get(..HEADER_SENT_BACK).unwrap_or(header);
                let header = String::from_utf8_lossy(header).into_owned();
                MimePart::new("text/rfc822-headers", header)
            }
            // RFC 2046 section 5.2.1 allows no encoding that changes this media type.
            Returned::Message(message) => {
                MimePart::new("message/rfc822", message.to_vec()).transfer_encoding("8bit")
            }
        }
    }
}

/// An address with its type: in ASCII, also one in UTF-8 (RFC 6533 section 3).
fn typed(recipient: &Address) -> String {
    if recipient.is_ascii() {
        format!("rfc822; {recipient}")
    } else {
        format!("utf-8; {}", dsn::escaped(&recipient.to_string()))
    }
}

/// The fields of a delivery status part: ASCII, folded.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push_str(name);
        self.0.push(':');
        let mut column = name.len() + 1;
        for word in words(&in_ascii(value)) {
            if column + 1 + word.len() > FOLDED_AT {
                self.0.push_str("\r\n");
                column = 0;
            }
            self.0.push(' ');
            self.0.push_str(word);
            column += 1 + word.len();
        }
        self.0.push_str("\r\n");
    }

    fn end_group(&mut self) {
        self.0.push_str("\r\n");
    }
}

/// Splits ASCII text into words, and words too long for a line into pieces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ')
        .flat_map(|word| word.as_bytes().chunks(FOLDED_AT - 1))
        .filter_map(|piece| str::from_utf8(piece).ok())
}

fn in_ascii(text: &str) -> String {
    text.chars().fold(String::new(), |mut ascii, character| {
        if character.is_ascii() && !character.is_ascii_control() {
            ascii.push(character);
        } else {
            ascii.extend(character.escape_default());
        }
        ascii
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::alphabet::Alphabet;
    use crate::relay::reply::Reply;
    use crate::relay::status::Status;
    use mail_parser::{Message, MessageParser, MimeHeaders};

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn date(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).expect("a date")
    }

    fn rendered(header: &[u8], failures: &[(Address, Diagnosis)]) -> Vec<u8> {
        let report = |(recipient, diagnosis): &(Address, Diagnosis)| Report {
            recipient: recipient.clone(),
            original: None,
            action: Action::Failed,
            diagnosis: diagnosis.clone(),
        };
        let reports: Vec<Report> = failures.iter().map(report).collect();
        reported(None, Returned::Header(header), &reports)
    }

    fn reported(envid: Option<&EnvelopeId>, returned: Returned<'_>, reports: &[Report]) -> Vec<u8> {
        Notification {
            domain: "relay.example",
            id: "4f1c",
            envid,
            sender: &address("ben@localhost"),
            queued: date("2025-09-17T11:00:00+02:00"),
            tried: date("2025-09-18T11:00:00+02:00"),
            returned,
            reports,
        }
        .render()
    }

    fn relayed(recipient: &str, original: &str) -> Report {
        Report {
            recipient: Address::parse_with(recipient, Alphabet::Utf8).expect("an address"),
            original: OriginalRecipient::parse(original).ok(),
            action: Action::Relayed,
            diagnosis: Diagnosis::of_reply("mx.example", &Reply::of_wire("250 2.6.0 ok\r\n")),
        }
    }

    #[test]
    fn what_was_relayed_is_told_with_the_names_that_the_sender_gave() {
        let envid = EnvelopeId::parse("Q+20x").expect("an id");
        let reports = [relayed("a@x.example", "rfc822;A+2Bb@y"), relayed("é@x", "utf-8;é@y")];
        let text = reported(Some(&envid), Returned::Header(b"Subject: x\r\n"), &reports);
        let message = parsed(&text);
        assert_eq!(message.subject(), Some("Mail relayed"));
        let status = part(&message, 2);
        assert!(status.starts_with("Original-Envelope-Id: Q x\r\nReporting-MTA: "), "{status}");
        assert!(
            status.contains(
                "\r\n\r\nOriginal-Recipient: rfc822; A+b@y\r\n\
                 Final-Recipient: rfc822; a@x.example\r\nAction: relayed\r\nStatus: 2.6.0\r\n\
                 Remote-MTA: dns; mx.example\r\n"
            ),
            "{status}"
        );
        assert!(
            status.contains(
                "Original-Recipient: utf-8; \\x{E9}@y\r\nFinal-Recipient: utf-8; \\x{E9}@x\r\n"
            ),
            "{status}"
        );
    }

    #[test]
    fn the_whole_message_is_returned_octet_for_octet() {
        let whole = b"Subject: x\r\n\r\n\xe9 --\r\nFrom y\r\n";
        let failed = Report { action: Action::Failed, ..relayed("a@x", "") };
        let text = reported(None, Returned::Message(whole), &[failed]);
        assert!(text.windows(whole.len()).any(|there| there == whole));
        let head = b"Content-Type: message/rfc822\r\n";
        assert!(text.windows(head.len()).any(|there| there == head));
        assert!(!text.windows(6).any(|there| there == b"base64"));
    }

    fn parsed(text: &[u8]) -> Message<'_> {
        MessageParser::default().parse(text).expect("a message")
    }

    fn part(message: &Message<'_>, index: u32) -> String {
        String::from_utf8(message.part(index).expect("a part").contents().to_vec()).expect("UTF-8")
    }

    fn refused(reply: &str) -> Diagnosis {
        Diagnosis::of_reply("mx.example", &Reply::of_wire(reply))
    }

    #[test]
    fn it_tells_people_and_programs_who_does_not_get_what_and_why() {
        let text = rendered(
            b"Subject: x\r\nTo: a@x.example\r\n",
            &[
                (address("a@x.example"), refused("550 5.1.1 no such user\r\n")),
                (
                    address("b@y.example"),
                    Diagnosis::ours(Status::NULL_MX, "y.example takes no mail (null MX)"),
                ),
            ],
        );
        let message = parsed(&text);
        let kind = message.content_type().expect("a type");
        assert_eq!(kind.ctype(), "multipart");
        assert_eq!(kind.subtype(), Some("report"));
        assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
        assert_eq!(
            part(&message, 2),
            "Reporting-MTA: dns; relay.example\r\n\
             X-Mailconsole-Queue-ID: 4f1c\r\n\
             Arrival-Date: Wed, 17 Sep 2025 11:00:00 +0200\r\n\
             \r\n\
             Final-Recipient: rfc822; a@x.example\r\n\
             Action: failed\r\n\
             Status: 5.1.1\r\n\
             Remote-MTA: dns; mx.example\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\
             Last-Attempt-Date: Thu, 18 Sep 2025 11:00:00 +0200\r\n\
             \r\n\
             Final-Recipient: rfc822; b@y.example\r\n\
             Action: failed\r\n\
             Status: 5.1.10\r\n\
             Diagnostic-Code: X-Mailconsole; y.example takes no mail (null MX)\r\n\
             Last-Attempt-Date: Thu, 18 Sep 2025 11:00:00 +0200\r\n"
        );
        let people = part(&message, 1);
        assert!(people.contains("<a@x.example>: mx.example said: 550 5.1.1 no such user"));
        assert!(people.contains("<b@y.example>: y.example takes no mail (null MX)"));
        assert!(part(&message, 3).starts_with("Subject: x"));
        assert_eq!(
            message.to().and_then(|to| to.first()).and_then(|to| to.address()),
            Some("ben@localhost")
        );
        assert!(String::from_utf8_lossy(&text).contains("Auto-Submitted: auto-replied\r\n"));
    }

    #[test]
    fn a_hostile_reply_forges_no_field_and_no_part() {
        let flood = format!("550-{}\r\n", "long".repeat(500));
        let reply = format!("550-\x1b[2J naïve\u{202e} Action: delivered\r\n{flood}550 --x--\r\n");
        let text = rendered(b"", &[(address("a@x.example"), refused(&reply))]);
        let message = parsed(&text);
        assert_eq!(message.parts.len(), 4);
        let status = part(&message, 2);
        assert!(status.is_ascii());
        assert_eq!(status.lines().filter(|line| line.starts_with("Action:")).count(), 1);
        assert!(status.lines().all(|line| line.len() <= 78), "{status}");
        assert!(status.contains("\\x1b[2J na\\u{ef}ve\\u{202e}"), "{status}");
        assert!(text.split(|&byte| byte == b'\n').all(|line| line.len() < 998));
        assert!(!text.contains(&0x1b));
    }

    #[test]
    fn a_header_of_any_bytes_is_sent_back_as_far_as_it_fits() {
        let mut header = b"Subject: \xff\xfe\0\r\n--\r\nFrom x\n".to_vec();
        header.resize(2 * HEADER_SENT_BACK, b'x');
        let text = rendered(&header, &[(address("a@x.example"), refused("550 no\r\n"))]);
        let message = parsed(&text);
        assert_eq!(message.parts.len(), 4);
        assert!(text.len() < 4 * HEADER_SENT_BACK);
        assert!(text.windows(2).all(|pair| pair[1] != b'\n' || pair[0] == b'\r'));
    }

    #[test]
    fn what_was_deferred_too_long_has_a_permanent_status() {
        let deferred = refused("451 4.7.1 greylisted\r\n");
        let text = rendered(b"", &[(address("a@x.example"), deferred)]);
        assert!(part(&parsed(&text), 2).contains("Status: 5.7.1\r\n"));
    }

    #[test]
    fn nobody_is_notified_about_a_notification() {
        assert_eq!(owed_to(&ReversePath::Null), None);
        let path = ReversePath::parse("@hop:ben@localhost").expect("a path");
        let owed = owed_to(&path).map(Address::as_str);
        assert_eq!(owed, Some("ben@localhost"));
    }
}
