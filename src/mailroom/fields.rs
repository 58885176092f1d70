//! A message that somebody has written, as header fields and a body (RFC 5322 section 2.1): which
//! fields it has, and those that every message needs added. Pure.

use chrono::{DateTime, Local};
use memchr::memchr;

use crate::mail::address_list::addresses;

/// Longest line of a list of addresses that is added, in octets (RFC 5322 section 2.1.1).
const LINE_MOST: usize = 78;

/// A message in its parts. Line ends may be LF or CRLF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Each with all of its lines and their ends.
    fields: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// What missing fields are made of.
#[derive(Debug)]
pub struct Missing<'a> {
    /// For `From:`.
    pub from: &'a str,
    /// For `To:`; nobody if they are not to be told of each other.
    pub to: &'a [String],
    /// For `Message-ID:`, without brackets.
    pub id: &'a str,
    /// For `Date:`.
    pub at: DateTime<Local>,
}

impl Written {
    /// Reads a message. The first line that cannot belong to a header begins the body, also where
    /// no blank line stands before it.
    #[must_use]
    pub fn read(octets: &[u8]) -> Self {
        let mut written = Self::default();
        let mut rest = octets;
        while let Some((line, behind)) = first_line(rest) {
            let is_continued = line.starts_with(b" ") || line.starts_with(b"\t");
            match written.fields.last_mut().filter(|_| is_continued) {
                Some(field) if !line.trim_ascii().is_empty() => field.extend_from_slice(line),
                _ if name_of(line).is_some() => written.fields.push(line.to_vec()),
                _ => break,
            }
            rest = behind;
        }
        let blank = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"));
        written.body = blank.unwrap_or(rest).to_vec();
        written
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The values of the fields of this name, unfolded.
    pub fn values(&self, name: &str) -> impl Iterator<Item = String> {
        let named = self.fields.iter().filter(move |field| is_named(field, name));
        named.map(|field| {
            let value = memchr(b':', field).and_then(|colon| field.get(colon + 1..));
            let value = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            value.replace(['\r', '\n'], "").trim().to_owned()
        })
    }

    /// The addresses in the fields of these names.
    #[must_use]
    pub fn addresses(&self, names: &[&str]) -> Vec<String> {
        let values = names.iter().flat_map(|name| self.values(name));
        values.flat_map(|value| addresses(&value)).collect()
    }

    /// Removes the fields of this name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|field| !is_named(field, name));
    }

    /// Adds a field behind the others. `value` may be folded.
    pub fn add(&mut self, name: &str, value: &str) {
        self.fields.push(format!("{name}: {value}\r\n").into_bytes());
    }

    /// The same fields, then those of `content`, and its body.
    #[must_use]
    pub fn followed_by(mut self, content: Self) -> Self {
        self.fields.extend(content.fields);
        Self { body: content.body, ..self }
    }

    /// Adds the fields that every message needs and this one lacks: `From:`, `Date:`, `Message-ID:`,
    /// and `To:` unless there is a `Cc:`.
    pub fn complete(&mut self, missing: &Missing<'_>) {
        let mut added = Vec::new();
        let mut add = |name: &str, value: &str| {
            added.push(format!("{name}: {value}\r\n").into_bytes());
        };
        if !self.has("From") {
            add("From", missing.from);
        }
        if !self.has("To") && !self.has("Cc") {
            add("To", &list(missing.to));
        }
        if !self.has("Date") {
            add("Date", &missing.at.to_rfc2822());
        }
        if !self.has("Message-ID") {
            add("Message-ID", &format!("<{}>", missing.id));
        }
        // Trace fields stay where they are, ahead of all others.
        let is_trace =
            |field: &Vec<u8>| ["Received", "Return-Path"].iter().any(|n| is_named(field, n));
        let place = self.fields.iter().take_while(|field| is_trace(field)).count();
        self.fields.splice(place..place, added);
    }

    /// Whether the header is ASCII; else it needs SMTPUTF8 (RFC 6532).
    #[must_use]
    pub fn has_ascii_header(&self) -> bool {
        self.fields.iter().all(|field| field.is_ascii())
    }

    /// The whole message.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        let mut octets = self.fields.concat();
        if !octets.is_empty() && !octets.ends_with(b"\n") {
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&self.body);
        octets
    }
}

/// The first line, with its end, and what follows it.
fn first_line(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', octets).map_or(octets.len(), |at| at + 1);
    (end > 0).then(|| octets.split_at(end))
}

/// The name of the field that a line begins (RFC 5322 section 2.2), if it begins one.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    // Blanks before the colon are obsolete, and still to be taken (section 4.5).
    let name = line.get(..memchr(b':', line)?)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some(name)
}

fn is_named(field: &[u8], name: &str) -> bool {
    name_of(field).is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()))
}

/// Addresses between commas, with line ends where a line would be too long. A list of nobody is an
/// empty group (RFC 5322 section 3.4).
fn list(addresses: &[String]) -> String {
    let mut list = String::new();
    let mut column = "To: ".len();
    for address in addresses {
        if !list.is_empty() {
            let fits = column + address.len() + 2 <= LINE_MOST;
            list.push_str(if fits { ", " } else { ",\r\n " });
            column = if fits { column + 2 } else { 1 };
        }
        list.push_str(address);
        column += address.len();
    }
    if list.is_empty() { "undisclosed-recipients:;".to_owned() } else { list }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn completed(message: &str, to: &[&str]) -> String {
        let mut written = Written::read(message.as_bytes());
        let to: Vec<String> = to.iter().map(ToString::to_string).collect();
        let at = DateTime::UNIX_EPOCH.into();
        written.complete(&Missing { from: "a@x", to: &to, id: "1@x", at });
        String::from_utf8(written.into_octets()).unwrap()
    }

    #[test]
    fn missing_fields_are_added_and_others_stay() {
        let whole = completed("Subject: Hi\n\nText\n", &["b@x", "c@x"]);
        assert!(whole.starts_with("From: a@x\r\nTo: b@x, c@x\r\nDate: "), "{whole}");
        assert!(whole.ends_with("\r\nMessage-ID: <1@x>\r\nSubject: Hi\n\r\nText\n"), "{whole}");
        let all = "from: z@x\nDATE: today\nmessage-id: <2>\nCC: c@x\n";
        assert_eq!(completed(&format!("{all}\nText"), &["b@x"]), format!("{all}\r\nText"));
        assert!(completed("", &[]).contains("To: undisclosed-recipients:;\r\n"));
    }

    #[test]
    fn trace_fields_stay_ahead() {
        let whole = completed("Received: by x;\r\n today\r\nSubject: Hi\r\n\r\n", &["b@x"]);
        assert!(whole.starts_with("Received: by x;\r\n today\r\nFrom: a@x\r\n"), "{whole}");
    }

    #[test]
    fn what_cannot_be_a_field_begins_the_text() {
        for (message, body) in [
            ("Hello\nTo: b@x\n", "Hello\nTo: b@x\n"),
            (" Subject: x\n", " Subject: x\n"),
            ("Subject: x\nno field here: or is it\n", "no field here: or is it\n"),
            ("Subject: x\n  \nText", "  \nText"),
            ("\nTo: b@x\n", "To: b@x\n"),
            ("Subject: x", ""),
        ] {
            assert_eq!(Written::read(message.as_bytes()).body, body.as_bytes(), "{message}");
        }
    }

    #[test]
    fn values_are_unfolded_and_fields_removed_with_all_their_lines() {
        let mut written = Written::read(b"Bcc : a@x,\r\n\tB <b@x>\r\nTo: root\r\nbcc: c@x\r\n\r\n");
        assert_eq!(written.addresses(&["To", "Bcc"]), ["root", "a@x", "b@x", "c@x"]);
        written.remove("BCC");
        assert_eq!(written.into_octets(), b"To: root\r\n\r\n");
    }

    #[test]
    fn a_long_list_is_folded() {
        let many = vec!["somebody@example.org".to_owned(); 50];
        assert!(list(&many).split("\r\n").all(|line| line.len() <= LINE_MOST));
        assert_eq!(addresses(&list(&many)).len(), 50);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(message in "[a: \r\n]{0,60}") {
            let whole = Written::read(message.as_bytes()).into_octets();
            let keep = |octets: &[u8]| -> Vec<u8> {
                octets.iter().copied().filter(|octet| !b"\r\n".contains(octet)).collect()
            };
            prop_assert_eq!(keep(&whole), keep(message.as_bytes()));
        }
    }
}
