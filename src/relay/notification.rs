//! Delivery status notifications (RFC 3464), which tell a sender which recipients failed and why.
//! Does no I/O. Also decides which senders get one.

use std::fmt::Write;

use chrono::{DateTime, FixedOffset};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;

use crate::mail::path::{Address, ReversePath};
use crate::relay::verdict::{Diagnosis, Source};

/// The most octets of the undelivered message's header that are returned.
pub const HEADER_SENT_BACK: usize = 64 * 1024;

/// The line length at which a field is folded (RFC 5322 section 2.1.1).
const FOLDED_AT: usize = 76;

/// The content of a notification.
#[derive(Debug)]
pub struct Notification<'a> {
    /// Our domain, as Reporting-MTA.
    pub domain: &'a str,
    /// The queue id of the message.
    pub id: &'a str,
    /// The sender of the message, who gets the notification.
    pub sender: &'a Address,
    /// When the message was queued.
    pub queued: DateTime<FixedOffset>,
    /// When delivery was last attempted.
    pub tried: DateTime<FixedOffset>,
    /// The header of the message, without the empty line that ends it.
    pub header: &'a [u8],
    /// The failed recipients, and why they failed.
    pub failures: &'a [(Address, Diagnosis)],
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
            vec![self.explanation(), self.delivery_status(), self.header()],
        );
        let postmaster = format!("MAILER-DAEMON@{}", self.domain);
        let mut text = Vec::new();
        MessageBuilder::new()
            .from(Mailbox::new_address(Some("Mail Delivery System"), postmaster))
            .to(Mailbox::new_address(None::<&str>, self.sender.as_str()))
            .subject("Undelivered mail returned to sender")
            .date(self.tried.timestamp())
            .message_id(format!("{}.{}@{}", self.id, self.tried.timestamp(), self.domain))
            // Tells automatic responders not to answer (RFC 3834 section 5).
            .header("Auto-Submitted", Raw::new("auto-replied"))
            .body(report)
            .serialize(&mut text);
        text
    }

    fn explanation(&self) -> MimePart<'static> {
        let mut text = format!(
            "This is the mail system at {}.\n\n\
             Your message could not be delivered to everyone. It was queued as {} on\n\
             {}. Its header is attached.\n",
            self.domain,
            self.id,
            self.queued.to_rfc2822()
        );
        for (recipient, diagnosis) in self.failures {
            let reason = &diagnosis.reason;
            let _ = match &diagnosis.source {
                Source::Host(host) => writeln!(text, "\n<{recipient}>: {host} said: {reason}"),
                Source::Relay => writeln!(text, "\n<{recipient}>: {reason}"),
            };
        }
        MimePart::new("text/plain", text)
    }

    /// RFC 3464 section 2: one group of fields for the message, then one for each recipient.
    fn delivery_status(&self) -> MimePart<'static> {
        let mut fields = Fields::default();
        fields.add("Reporting-MTA", &format!("dns; {}", self.domain));
        fields.add("X-Mailconsole-Queue-ID", self.id);
        fields.add("Arrival-Date", &self.queued.to_rfc2822());
        for (recipient, diagnosis) in self.failures {
            fields.end_group();
            fields.add("Final-Recipient", &format!("rfc822; {recipient}"));
            fields.add("Action", "failed");
            // A deferral that ran out of time may have a transient code, but this reports a
            // failure.
            fields.add("Status", &diagnosis.status.made_permanent().to_string());
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

    fn header(&self) -> MimePart<'static> {
        let header = self.header.get(..HEADER_SENT_BACK).unwrap_or(self.header);
        let header = String::from_utf8_lossy(header).into_owned();
        MimePart::new("text/rfc822-headers", header)
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
        Notification {
            domain: "relay.example",
            id: "4f1c",
            sender: &address("ben@localhost"),
            queued: date("2025-09-17T11:00:00+02:00"),
            tried: date("2025-09-18T11:00:00+02:00"),
            header,
            failures,
        }
        .render()
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
