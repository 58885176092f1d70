//! A new message of a subject, a text and files (RFC 2045, RFC 2047). Pure.

use mail_builder::headers::Header as _;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;

use crate::mail::address_list::mailboxes;
use crate::mailroom::fields::Written;

/// Fields whose addresses are not encoded with the names before them.
const OF_ADDRESSES: [&str; 6] = ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"];

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its name, without a directory.
    pub name: String,
    /// What is in it.
    pub octets: Vec<u8>,
}

/// The message, without the fields that say from whom and to whom it is.
#[must_use]
pub fn new_message(
    subject: Option<&str>,
    headers: &[(String, String)],
    body: &str,
    files: Vec<Attached>,
) -> Written {
    let text = MimePart::new("text/plain", body);
    let part = if files.is_empty() {
        text
    } else {
        MimePart::new(
            "multipart/mixed",
            [vec![text], files.into_iter().map(part).collect()].concat(),
        )
    };
    let mut octets = Vec::new();
    part.write_part(&mut octets);
    let content = Written::read(&octets);
    let mut message = Written::default();
    if let Some(subject) = subject {
        message.add("Subject", &encoded("Subject", subject));
    }
    for (name, value) in headers {
        message.add(name, &encoded(name, value));
    }
    if !message.has("MIME-Version") {
        message.add("MIME-Version", "1.0");
    }
    message.followed_by(content)
}

/// A field's value on one line: its 8-bit words are encoded, and line ends in it, which would begin
/// another field, are blanks.
#[must_use]
pub fn encoded(name: &str, value: &str) -> String {
    let value = value.replace(char::is_control, " ");
    if value.is_ascii() {
        return value;
    }
    if OF_ADDRESSES.iter().any(|field| field.eq_ignore_ascii_case(name)) {
        let mailboxes = mailboxes(&value).into_iter();
        let named: Vec<String> = mailboxes.map(|one| named(&one.name, &one.address)).collect();
        return named.join(",\r\n ");
    }
    words(name.len() + ": ".len(), value)
}

/// An address with a name before it, if there is one (RFC 5322 section 3.4).
#[must_use]
pub fn named(name: &str, address: &str) -> String {
    match name.trim().replace(char::is_control, " ") {
        name if name.is_empty() => address.to_owned(),
        name => format!("{} <{address}>", phrase(name)),
    }
}

/// A name as a phrase: as it is, quoted or encoded (RFC 5322 section 3.2.5, RFC 2047 section 5).
fn phrase(name: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if !name.is_ascii() {
        words(0, name)
    } else if name.chars().all(is_plain) {
        name
    } else {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Encoded words, from a column on.
fn words(column: usize, value: String) -> String {
    let mut octets = Vec::new();
    Text::new(value).write_header(&mut octets, column);
    String::from_utf8_lossy(&octets).trim_end().to_owned()
}

fn part(file: Attached) -> MimePart<'static> {
    MimePart::new(kind_of(&file.name), file.octets).attachment(file.name)
}

/// The media type that most programs give a file of this name.
fn kind_of(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "csv" => "text/csv",
        "gif" => "image/gif",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};

    #[test]
    fn a_name_is_quoted_or_encoded_where_it_must_be() {
        assert_eq!(named("Cron Daemon", "a@x"), "Cron Daemon <a@x>");
        assert_eq!(named("O. \"Z\"", "a@x"), "\"O. \\\"Z\\\"\" <a@x>");
        assert_eq!(named(" ", "a@x"), "a@x");
        let both = encoded("Cc", "Zoë <z@x>, \"B, b\" <b@x>, c@x");
        assert!(both.starts_with("=?utf-8?"), "{both}");
        assert!(both.ends_with("?= <z@x>,\r\n \"B, b\" <b@x>,\r\n c@x"), "{both}");
    }

    #[test]
    fn subject_text_and_files_come_as_they_were() {
        let files =
            [("a.pdf", &b"\x00\r\n.\xff"[..]), ("é x.bin", b""), ("t.txt", "ü\n".as_bytes())];
        let attached =
            files.map(|(name, octets)| Attached { name: name.to_owned(), octets: octets.to_vec() });
        let headers = [("X-Tag".to_owned(), "a\r\nBcc: b".to_owned())];
        let message = new_message(Some("Grüße ✉"), &headers, "Zeile\n.\n", attached.to_vec());
        let octets = message.into_octets();
        assert!(octets.is_ascii());
        let message = MessageParser::default().parse(&octets).unwrap();
        assert_eq!(message.subject(), Some("Grüße ✉"));
        assert_eq!(message.header("X-Tag").unwrap().as_text(), Some("a  Bcc: b"));
        assert_eq!(message.body_text(0).unwrap(), "Zeile\r\n.\r\n");
        for (attachment, (name, octets)) in message.attachments().zip(files) {
            assert_eq!(attachment.attachment_name(), Some(name));
            if !name.ends_with("txt") {
                assert_eq!(attachment.contents(), octets);
            }
        }
        assert_eq!(message.attachment_count(), 3);
    }
}
