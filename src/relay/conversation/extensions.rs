//! The extensions a host offers in its reply to EHLO (RFC 5321 section 4.1.1.1), as far as the
//! relay uses them.

use crate::relay::reply::Reply;

/// An extension or authentication mechanism that the relay supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// DSN (RFC 3461).
    Dsn,
    /// PIPELINING (RFC 2920).
    Pipelining,
    /// SMTPUTF8 (RFC 6531).
    SmtpUtf8,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH with the mechanism PLAIN (RFC 4616).
    AuthPlain,
    /// AUTH with the older mechanism LOGIN, the only one that some hosts offer.
    AuthLogin,
    /// AUTH with the mechanism CRAM-MD5 (RFC 2195).
    AuthCramMd5,
}

/// The extensions a host offers; none if it was greeted with HELO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Whether the host was greeted with EHLO.
    asked: bool,
    offered: Vec<Extension>,
    size: Size,
}

/// What the reply to EHLO says about SIZE (RFC 1870).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Size {
    /// SIZE is not offered.
    #[default]
    NotOffered,
    /// SIZE is offered without a limit.
    Unlimited,
    /// The host accepts messages of at most this many octets.
    AtMost(u64),
}

impl Extensions {
    /// Reads a reply to EHLO. Lines that are unknown or malformed are ignored.
    #[must_use]
    pub fn of_reply(reply: &Reply) -> Self {
        let mut extensions = Self { asked: true, ..Self::default() };
        // The first line holds the host's domain and greeting (RFC 5321 section 4.1.1.1).
        for line in reply.texts().iter().skip(1) {
            if let Ok(line) = str::from_utf8(line) {
                // Keywords are case-insensitive (RFC 5321 section 2.4).
                extensions.line(&line.to_ascii_uppercase());
            }
        }
        extensions
    }

    /// Whether the host was greeted with EHLO, and so could offer anything.
    #[must_use]
    pub const fn were_asked_for(&self) -> bool {
        self.asked
    }

    /// Whether the host offers `extension`.
    #[must_use]
    pub fn offer(&self, extension: Extension) -> bool {
        self.offered.contains(&extension)
    }

    /// What the host says about SIZE.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    fn line(&mut self, line: &str) {
        // Some old hosts write AUTH=LOGIN instead of AUTH LOGIN.
        let mut words = line.split([' ', '=']);
        match words.next() {
            Some("8BITMIME") => self.offered.push(Extension::EightBitMime),
            Some("DSN") => self.offered.push(Extension::Dsn),
            Some("SMTPUTF8") => self.offered.push(Extension::SmtpUtf8),
            Some("PIPELINING") => self.offered.push(Extension::Pipelining),
            Some("STARTTLS") => self.offered.push(Extension::StartTls),
            Some("SIZE") => self.size = limit(words.next()),
            Some("AUTH") => self.offered.extend(words.filter_map(mechanism)),
            _ => {}
        }
    }
}

/// RFC 1870 section 4: no number, or 0, means that there is no fixed limit.
fn limit(number: Option<&str>) -> Size {
    match number.and_then(|number| number.parse().ok()) {
        None | Some(0) => Size::Unlimited,
        Some(octets) => Size::AtMost(octets),
    }
}

fn mechanism(name: &str) -> Option<Extension> {
    match name {
        "PLAIN" => Some(Extension::AuthPlain),
        "LOGIN" => Some(Extension::AuthLogin),
        "CRAM-MD5" => Some(Extension::AuthCramMd5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(wire: &str) -> Extensions {
        Extensions::of_reply(&Reply::of_wire(wire))
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let extensions = offered(
            "250-PIPELINING is the name of this host\r\n250-8bitmime\r\n250-SIZE 1000\r\n\
             250-XFOO bar\r\n250-AUTH CRAM-MD5 plain\r\n250 StartTLS\r\n",
        );
        assert!(!extensions.offer(Extension::Pipelining));
        assert!(extensions.offer(Extension::EightBitMime));
        assert!(extensions.offer(Extension::StartTls));
        assert!(extensions.offer(Extension::AuthPlain));
        assert!(!extensions.offer(Extension::AuthLogin));
        assert_eq!(extensions.size(), Size::AtMost(1_000));
    }

    #[test]
    fn a_size_of_nothing_zero_or_nonsense_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE -1", "SIZE 99999999999999999999"] {
            let extensions = offered(&format!("250-x\r\n250 {line}\r\n"));
            assert_eq!(extensions.size(), Size::Unlimited, "{line}");
        }
        assert_eq!(offered("250 x\r\n").size(), Size::NotOffered);
    }

    #[test]
    fn the_old_spelling_of_auth_counts() {
        assert!(offered("250-x\r\n250 AUTH=LOGIN\r\n").offer(Extension::AuthLogin));
    }
}
