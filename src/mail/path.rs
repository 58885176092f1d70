//! Addresses as envelopes store them: kept exactly as written, and checked only so far that none
//! can close its `<…>` or end its line. `address.rs` is stricter about what a client may send; this
//! grammar is wider because the queue may hold entries that older versions accepted.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::OnceLock;

use thiserror::Error;

use crate::mail::alphabet::Alphabet;

/// Maximum octets of an address: a quoted local-part of 255 octets, each escaped, `@`, and a domain
/// of 255 octets.
const LONGEST_ADDRESS: usize = 2 * 255 + 2 + 1 + 255;

/// An address, `local-part@domain`, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    /// Index at which the domain begins.
    domain: usize,
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("“{}” is not an address of the form user@domain", .0.escape_debug())]
pub struct BadAddress(String);

impl Address {
    /// Parses `user@domain` in ASCII. The local-part may be quoted, the domain may be an address
    /// literal.
    ///
    /// # Errors
    ///
    /// If the text could not stand in an envelope.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        Self::parse_with(text, Alphabet::Ascii)
    }

    /// As [`parse`](Self::parse), of an address in these characters.
    ///
    /// # Errors
    ///
    /// If the text could not stand in an envelope.
    pub fn parse_with(text: &str, alphabet: Alphabet) -> Result<Self, BadAddress> {
        Self::of(text, alphabet).ok_or_else(|| BadAddress(text.to_owned()))
    }

    fn of(text: &str, alphabet: Alphabet) -> Option<Self> {
        // The last one: a quoted local-part may contain others.
        let (local_part, domain) = text.rsplit_once('@')?;
        let well_formed = text.len() <= LONGEST_ADDRESS
            && is_local_part(local_part, alphabet)
            && !domain.is_empty()
            && domain.chars().all(|character| is_in_domains(character, alphabet));
        well_formed.then(|| Self { text: text.to_owned(), domain: text.len() - domain.len() })
    }

    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is ASCII; else a host must offer SMTPUTF8 to be given it (RFC 6531 section 3.2).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The part before the `@`, with its quotes if it was written with any.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.text.get(..self.domain - 1).unwrap_or_default()
    }

    /// The part after the `@`: a name, or an address literal in brackets.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(self.domain..).unwrap_or_default()
    }
}

/// The form that mail hosts are given: without a final dot, which is not part of a domain (RFC 5321
/// section 2.3.5) but which old queue entries may have.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.strip_suffix('.').unwrap_or(&self.text))
    }
}

fn is_in_domains(character: char, alphabet: Alphabet) -> bool {
    // Brackets and colons are those of address literals.
    character.is_ascii_alphanumeric()
        || ".-_:[]".contains(character)
        || alphabet.has_in_labels(character)
}

/// Whether brackets and spaces occur only within quotes (RFC 5321 section 4.1.2), and every
/// quotation ends.
fn is_local_part(text: &str, alphabet: Alphabet) -> bool {
    let is_printable = |character| matches!(character, ' '..='~') || alphabet.has(character);
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if !characters.next().is_some_and(is_printable) => return false,
            '\\' => {}
            '"' => quoted = !quoted,
            ' ' | '<' | '>' | '@' if !quoted => return false,
            character if !is_printable(character) => return false,
            _ => {}
        }
    }
    !text.is_empty() && !quoted
}

/// The address that delivery status notifications go to (RFC 5321 section 3.6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: no notification is sent.
    Null,
    /// Notifications go to this address.
    Address(Address),
}

impl ReversePath {
    /// Parses an address in ASCII; empty text is the null path. A source route before the address
    /// is dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    ///
    /// If the text is neither empty nor an address.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        Self::parse_with(text, Alphabet::Ascii)
    }

    /// As [`parse`](Self::parse), of an address in these characters.
    ///
    /// # Errors
    ///
    /// If the text is neither empty nor an address.
    pub fn parse_with(text: &str, alphabet: Alphabet) -> Result<Self, BadAddress> {
        if text.is_empty() {
            return Ok(Self::Null);
        }
        let routed = text.starts_with('@').then(|| text.split_once(':'));
        let address = routed.flatten().map_or(text, |(_route, address)| address);
        Address::parse_with(address, alphabet).map(Self::Address)
    }

    /// Whether it is ASCII; else a host must offer SMTPUTF8 to be given it (RFC 6531 section 3.2).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Address(address) => address.is_ascii(),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// As the queue stores it: in UTF-8 too, because whoever queued it had asked for that.
impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        Self::parse_with(text, Alphabet::Utf8)
    }
}

/// As the queue stores it: in UTF-8 too, because whoever queued it had asked for that.
impl FromStr for ReversePath {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        Self::parse_with(text, Alphabet::Utf8)
    }
}

/// A path of a queue entry, without its brackets. It is parsed at most once, as an [`Address`] or a
/// [`ReversePath`], and kept as it was written, so that reading an entry that was edited by hand
/// never changes it. Two paths are equal if their texts are.
#[derive(Debug, Clone)]
pub struct EnvelopePath<A> {
    text: String,
    // Filled at the first `read`: a list of the whole queue shows paths and parses none.
    read: OnceLock<Result<A, BadAddress>>,
}

impl<A: FromStr<Err = BadAddress>> EnvelopePath<A> {
    /// The parsed path.
    ///
    /// # Errors
    ///
    /// If the text is not a valid path.
    pub fn read(&self) -> Result<&A, &BadAddress> {
        self.read.get_or_init(|| self.text.parse()).as_ref()
    }
}

impl<A> EnvelopePath<A> {
    /// The text of the path, as written in the entry.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<A> From<String> for EnvelopePath<A> {
    fn from(text: String) -> Self {
        Self { text, read: OnceLock::new() }
    }
}

impl<A> From<&str> for EnvelopePath<A> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<A> Deref for EnvelopePath<A> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<A> PartialEq for EnvelopePath<A> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<A> Eq for EnvelopePath<A> {}

impl<A> PartialEq<str> for EnvelopePath<A> {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

/// The text as it was written.
impl<A> fmt::Display for EnvelopePath<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Takes `<path>` from the beginning of `text`; returns the text between the brackets and the rest,
/// without leading blanks. A `>` within a quoted local-part belongs to the path. `None` if there is
/// no complete bracketed path.
#[must_use]
pub fn take_bracketed(text: &str) -> Option<(&str, &str)> {
    let path = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    let end = path.find(|character| {
        let literal = std::mem::take(&mut escaped);
        match character {
            '\\' if !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        character == '>' && !quoted && !literal
    })?;
    let (path, rest) = path.split_at(end);
    Some((path, rest.strip_prefix('>')?.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_has_a_local_part_and_a_domain() {
        for (text, local_part, domain) in [
            ("user@example.org", "user", "example.org"),
            ("\"a@b> c\"@example.org", "\"a@b> c\"", "example.org"),
            ("user@[IPv6:::1]", "user", "[IPv6:::1]"),
            ("o\\ dd@x", "o\\ dd", "x"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.local_part(), address.domain()), (local_part, domain));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn text_that_could_end_its_brackets_is_no_address() {
        for text in [
            "",
            "user",
            "@x",
            "user@",
            "a> SIZE=1@x",
            "a b@x",
            "a@b@x",
            "\"a@x",
            "a@x y",
            "a@x>",
            "a\\@x",
            "naïve@x",
            "a@naïve",
            "a\r\n@x",
            "a@x\r\nDATA",
            "\"\r\n\"@x",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert!(Address::parse(&format!("{}@x", "a".repeat(255))).is_ok());
        assert!(Address::parse(&format!("{}@x", "a".repeat(767))).is_err());
    }

    #[test]
    fn nobody_is_told_a_dot_at_the_end_of_a_domain() {
        let address = Address::parse("user@example.org.").expect("an address");
        assert_eq!(address.to_string(), "user@example.org");
        assert_eq!(address.as_str(), "user@example.org.");
    }

    #[test]
    fn a_source_route_is_no_part_of_the_reverse_path() {
        let path = ReversePath::parse("@relay.example,@b:user@example.org").expect("a path");
        assert_eq!(path.to_string(), "user@example.org");
        assert_eq!(ReversePath::parse(""), Ok(ReversePath::Null));
        assert!(ReversePath::parse("@relay.example").is_err());
    }

    #[test]
    fn what_is_no_address_is_kept_as_it_is_written() {
        let path: EnvelopePath<Address> = "user at example.org".into();
        assert_eq!(path.as_str(), "user at example.org");
        assert_eq!(
            path.read().map_err(ToString::to_string).err().as_deref(),
            Some("“user at example.org” is not an address of the form user@domain")
        );
        let routed: EnvelopePath<ReversePath> = "@hop:user@example.org".into();
        assert_eq!(routed.to_string(), "@hop:user@example.org");
        assert_eq!(routed.read().unwrap().to_string(), "user@example.org");
    }

    #[test]
    fn an_entry_may_hold_addresses_in_utf8() {
        for text in ["naïve@x", "a@naïve", "\"jo sé@x\"@例子.广告"] {
            let path: EnvelopePath<Address> = text.into();
            let address = path.read().expect(text);
            assert_eq!((address.as_str(), address.is_ascii()), (text, false));
        }
        for text in ["a\u{85}@x", "\"\u{9b}\"@x", "a@x\u{202e}", "a@x\u{3002}y", "é\r\n@x"] {
            let path: EnvelopePath<Address> = text.into();
            assert!(path.read().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_address_holds_a_byte_that_ends_a_command(text in "[ -~\r\n\u{0}@\"\\\\<>é\u{85}]{0,20}@[a-z\r\n.>é]{1,9}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(address.as_str().bytes().all(|byte| matches!(byte, b' '..=b'~')));
            }
            if let Ok(address) = Address::parse_with(&text, Alphabet::Utf8) {
                prop_assert!(!address.as_str().chars().any(char::is_control));
                prop_assert!(!address.domain().contains('>'));
            }
        }
    }
}
