//! Paths, mailboxes and domains (RFC 821 section 4.1.2, RFC 5321 section 4.1.2). Syntax only:
//! whether a user exists and which domains are local is decided elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mail::alphabet::Alphabet;

/// Maximum octets of a local-part at our own domain (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_OCTETS: usize = 64;

/// Maximum octets of a local-part at another domain. Mailing lists write whole addresses into it
/// (VERP), and only the host of that domain may judge it too long (RFC 5321 section 2.3.11).
pub const FOREIGN_LOCAL_PART_OCTETS: usize = 255;

/// Maximum octets of a domain (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_OCTETS: usize = 255;

/// Maximum octets of a path, including its brackets and source route (RFC 5321 section 4.5.3.1.3).
/// Of the local-part, at most [`LOCAL_PART_OCTETS`] count.
pub const PATH_OCTETS: usize = 256;

/// The text does not match the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The sender of a message, who is notified if it cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: no sender. The message is itself a notification, and is never answered by one.
    Null,
    /// A mailbox. A source route before it has been dropped.
    Mailbox(Mailbox),
}

/// A recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>`, the one mailbox that needs no domain (RFC 5321 section 4.5.1).
    Postmaster,
    /// A mailbox. A source route before it has been dropped.
    Mailbox(Mailbox),
}

/// `local-part@domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name of the mailbox at its domain.
    pub local_part: LocalPart,
    /// The domain, as a name or an address literal.
    pub domain: Domain,
}

/// The name of a mailbox at its domain: printable, unquoted and unescaped, so that `"user"` and
/// `user` are the same. ASCII, unless it was parsed with [`Alphabet::Utf8`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPart(String);

/// The domain of a mailbox.
#[derive(Debug, Clone)]
pub enum Domain {
    /// `example.org`, spelled as it was written; compared without regard to the case of ASCII.
    Name(String),
    /// `[127.0.0.1]` or `[IPv6:::1]`.
    Literal(IpAddr),
    /// `#123` (RFC 821 only).
    Number(String),
}

impl ReversePath {
    /// Parses a reverse-path at the beginning of `text`; returns it and the rest.
    pub fn take(text: &str) -> Result<(Self, &str), Malformed> {
        Self::take_with(text, Alphabet::Ascii)
    }

    /// As [`take`](Self::take), of a path in these characters. All lengths are octets.
    pub fn take_with(text: &str, alphabet: Alphabet) -> Result<(Self, &str), Malformed> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Ok((Self::Null, rest));
        }
        let (mailbox, rest) = take_path(text, alphabet)?;
        Ok((Self::Mailbox(mailbox), rest))
    }
}

impl ForwardPath {
    /// Parses a forward-path at the beginning of `text`; returns it and the rest.
    pub fn take(text: &str) -> Result<(Self, &str), Malformed> {
        Self::take_with(text, Alphabet::Ascii)
    }

    /// As [`take`](Self::take), of a path in these characters. All lengths are octets.
    pub fn take_with(text: &str, alphabet: Alphabet) -> Result<(Self, &str), Malformed> {
        const POSTMASTER: &str = "<postmaster>";
        if let Some((path, rest)) = text.split_at_checked(POSTMASTER.len())
            // Without regard to case (RFC 5321 section 4.5.1).
            && path.eq_ignore_ascii_case(POSTMASTER)
        {
            return Ok((Self::Postmaster, rest));
        }
        let (mailbox, rest) = take_path(text, alphabet)?;
        Ok((Self::Mailbox(mailbox), rest))
    }
}

impl Mailbox {
    /// Whether it is ASCII; else it can only be named with SMTPUTF8 (RFC 6531 section 3.2).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        let Self { local_part, domain } = self;
        let is_ascii = |domain: &Domain| match domain {
            Domain::Name(name) | Domain::Number(name) => name.is_ascii(),
            Domain::Literal(_) => true,
        };
        local_part.0.is_ascii() && is_ascii(domain)
    }
}

impl LocalPart {
    /// The name, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Number of octets by which it exceeds [`LOCAL_PART_OCTETS`]; 0 if it does not.
    #[must_use]
    pub const fn excess(&self) -> usize {
        self.0.len().saturating_sub(LOCAL_PART_OCTETS)
    }
}

impl Domain {
    /// Parses a domain; the whole text must be one.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::parse_with(text, Alphabet::Ascii)
    }

    /// As [`parse`](Self::parse), of a domain in these characters.
    pub fn parse_with(text: &str, alphabet: Alphabet) -> Result<Self, Malformed> {
        if text.len() > DOMAIN_OCTETS {
            return Err(Malformed);
        }
        if text.starts_with('[') {
            return literal(text).map(Self::Literal).ok_or(Malformed);
        }
        if let Some(digits) = text.strip_prefix('#') {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            return is_number.then(|| Self::Number(digits.into())).ok_or(Malformed);
        }
        // A final dot (the DNS root) is not part of a domain (RFC 5321 section 2.3.5): a mail host
        // would take it for another name, or for an error.
        let is_name = text.split('.').all(|label| is_label(label, alphabet));
        is_name.then(|| Self::Name(text.into())).ok_or(Malformed)
    }
}

/// `<@a,@b:local@domain>`; the route is checked and dropped (RFC 5321 section 4.1.1.3).
fn take_path(text: &str, alphabet: Alphabet) -> Result<(Mailbox, &str), Malformed> {
    let inside = text.strip_prefix('<').ok_or(Malformed)?;
    let (local_part, rest) = take_local_part(skip_route(inside, alphabet)?, alphabet)?;
    let rest = rest.strip_prefix('@').ok_or(Malformed)?;
    let (domain, rest) = take_domain(rest, alphabet)?;
    let rest = rest.strip_prefix('>').ok_or(Malformed)?;
    // A long foreign local-part is allowed, so its excess does not count against the path's limit.
    if text.len() - rest.len() > PATH_OCTETS + local_part.excess() {
        return Err(Malformed);
    }
    Ok((Mailbox { local_part, domain }, rest))
}

fn skip_route(text: &str, alphabet: Alphabet) -> Result<&str, Malformed> {
    let Some(mut route) = text.strip_prefix('@') else {
        return Ok(text);
    };
    loop {
        let (_, rest) = take_domain(route, alphabet)?;
        if let Some(local_part) = rest.strip_prefix(':') {
            return Ok(local_part);
        }
        route = rest.strip_prefix(",@").ok_or(Malformed)?;
    }
}

/// An address literal ends with its bracket, because an IPv6 address contains colons.
fn take_domain(text: &str, alphabet: Alphabet) -> Result<(Domain, &str), Malformed> {
    let end = if text.starts_with('[') {
        text.find(']').map(|at| at + 1)
    } else {
        text.find([',', ':', '>'])
    };
    let (domain, rest) = end.and_then(|end| text.split_at_checked(end)).ok_or(Malformed)?;
    Ok((Domain::parse_with(domain, alphabet)?, rest))
}

fn take_local_part(text: &str, alphabet: Alphabet) -> Result<(LocalPart, &str), Malformed> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => take_quoted(quoted, alphabet)?,
        None => take_dot_string(text, alphabet)?,
    };
    if name.len() > FOREIGN_LOCAL_PART_OCTETS {
        return Err(Malformed);
    }
    Ok((LocalPart(name), rest))
}

/// The text of a quoted string, in which only `\` and `"` are special.
fn take_quoted(text: &str, alphabet: Alphabet) -> Result<(String, &str), Malformed> {
    let is_printable = |&character: &char| is_printable(character) || alphabet.has(character);
    let mut name = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next().ok_or(Malformed)? {
            '"' => return Ok((name, characters.as_str())),
            '\\' => name.push(characters.next().filter(is_printable).ok_or(Malformed)?),
            character if is_printable(&character) => name.push(character),
            _ => return Err(Malformed),
        }
    }
}

/// Atoms joined by single dots; `\` makes any character an ordinary one (RFC 821 only).
fn take_dot_string(text: &str, alphabet: Alphabet) -> Result<(String, &str), Malformed> {
    let is_printable = |&character: &char| is_printable(character) || alphabet.has(character);
    let mut name = String::new();
    let mut atom_begins = true;
    let mut characters = text.chars();
    loop {
        let rest = characters.as_str();
        match characters.next().ok_or(Malformed)? {
            '\\' => name.push(characters.next().filter(is_printable).ok_or(Malformed)?),
            '.' if !atom_begins => {
                name.push('.');
                atom_begins = true;
                continue;
            }
            character if is_atext(character) || alphabet.has(character) => name.push(character),
            // An empty atom: two dots in a row, or a dot at the beginning or the end.
            _ if atom_begins => return Err(Malformed),
            _ => return Ok((name, rest)),
        }
        atom_begins = false;
    }
}

/// The address of a domain such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`; `None` if the domain is
/// not an address literal (RFC 5321 section 4.1.3).
#[must_use]
pub fn literal(domain: &str) -> Option<IpAddr> {
    const TAG: &str = "IPv6:";
    let address = domain.strip_prefix('[')?.strip_suffix(']')?;
    if let Some((tag, address)) = address.split_at_checked(TAG.len())
        && tag.eq_ignore_ascii_case(TAG)
    {
        return address.parse().map(Ipv6Addr::into).ok();
    }
    address.parse().map(Ipv4Addr::into).ok()
}

/// Letters and digits, and within the label also hyphens and underscores (hosts in containers have
/// underscores in their names).
fn is_label(label: &str, alphabet: Alphabet) -> bool {
    const INSIDE: [char; 2] = ['-', '_'];
    let is_inner = |character: char| {
        character.is_ascii_alphanumeric()
            || INSIDE.contains(&character)
            || alphabet.has_in_labels(character)
    };
    !label.is_empty()
        && !label.starts_with(INSIDE)
        && !label.ends_with(INSIDE)
        && label.chars().all(is_inner)
}

/// RFC 5321 section 4.1.2: no part of an address may contain a control character, not even a quoted
/// string.
const fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~')
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // Domains are not case-sensitive (RFC 5321 section 2.4).
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::Literal(one), Self::Literal(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Domain {}

impl fmt::Display for ReversePath {
    /// With its angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl fmt::Display for ForwardPath {
    /// With its angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl fmt::Display for LocalPart {
    /// Quoted if the name requires it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it may hold beyond ASCII was decided when it was parsed.
        let is_plain = |character: char| is_atext(character) || !character.is_ascii();
        let is_dot_string =
            self.0.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_plain));
        if is_dot_string {
            return f.write_str(&self.0);
        }
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{escaped}\"")
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
            Self::Number(digits) => write!(f, "#{digits}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn is(path: &str, mailbox: &str) {
        let (parsed, rest) = ForwardPath::take(path).unwrap();
        assert_eq!(parsed.to_string(), format!("<{mailbox}>"));
        assert_eq!(rest, "");
    }

    #[track_caller]
    fn is_malformed(path: &str) {
        assert_eq!(ForwardPath::take(path), Err(Malformed), "{path}");
    }

    #[test]
    fn plain_mailboxes() {
        is("<linhphan@localhost>", "linhphan@localhost");
        is("<a.b+c@Example.ORG>", "a.b+c@Example.ORG");
        is("<x@a-b.c1>", "x@a-b.c1");
        is("<www-data@my_app_1>", "www-data@my_app_1");
    }

    #[test]
    fn a_source_route_is_dropped() {
        is("<@a,@b.c:user@localhost>", "user@localhost");
        is("<@[IPv6:::1],@b:user@localhost>", "user@localhost");
        for path in ["<@a,b:u@c>", "<@a:>", "<@a>", "<@:u@c>", "<@a,@:u@c>", "<@a u@c>"] {
            is_malformed(path);
        }
    }

    #[test]
    fn quotes_are_no_part_of_the_name() {
        is("<\"user\"@localhost>", "user@localhost");
        is("<\"us\\er\"@localhost>", "user@localhost");
        is("<\"a b\"@localhost>", "\"a b\"@localhost");
        is("<\"a>b@c\"@localhost>", "\"a>b@c\"@localhost");
        is("<\"a\\\"b\\\\\"@localhost>", "\"a\\\"b\\\\\"@localhost");
        is("<\"\"@localhost>", "\"\"@localhost");
        is_malformed("<\"user@localhost>");
        is_malformed("<\"user\"x@localhost>");
    }

    #[test]
    fn a_backslash_makes_an_ordinary_character_outside_quotes_too() {
        is("<a\\@b@localhost>", "\"a@b\"@localhost");
        is("<\\u\\s\\e\\r@localhost>", "user@localhost");
    }

    #[test]
    fn address_literals_and_numbers_are_domains() {
        is("<u@[127.0.0.1]>", "u@[127.0.0.1]");
        is("<u@[ipv6:::1]>", "u@[IPv6:::1]");
        is("<u@#123>", "u@#123");
        for domain in
            ["[]", "[127.0.0]", "[256.0.0.1]", "[::1]", "[IPv6:x]", "[127.0.0.1", "#", "#1a"]
        {
            is_malformed(&format!("<u@{domain}>"));
        }
    }

    #[test]
    fn postmaster_needs_no_domain_and_is_the_only_one() {
        for path in ["<Postmaster>", "<postmaster>", "<POSTMASTER>"] {
            assert_eq!(ForwardPath::take(path), Ok((ForwardPath::Postmaster, "")));
        }
        is_malformed("<linhphan>");
        is_malformed("<>");
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_malformed() {
        for path in [
            "",
            "<",
            "u@localhost",
            "<u@localhost",
            "u@localhost>",
            "<@>",
            "<u@>",
            "<@localhost>",
            "<.u@localhost>",
            "<u.@localhost>",
            "<u..v@localhost>",
            "<u v@localhost>",
            "<u@a..b>",
            "<u@.a>",
            "<u@.>",
            "<u@-a>",
            "<u@a->",
            "<u@a_>",
            "<u@_a>",
            "<u@a.>",
            "<u@localhost.>",
            "<u@example.org.>",
            "<@a.:u@b>",
            "<u@a b>",
            "<u@a@b>",
            "<<u@localhost>",
            "<(u)@localhost>",
            "<u@local\nhost>",
            "<\"u\n\"@localhost>",
        ] {
            is_malformed(path);
        }
    }

    #[test]
    fn lengths_are_limited() {
        let local = |octets| format!("<{}@localhost>", "u".repeat(octets));
        for octets in [64, 65, 255] {
            is(&local(octets), &local(octets)[1..local(octets).len() - 1]);
        }
        is_malformed(&local(256));
        let path = |local: usize, octets: usize| {
            let domain = "d".repeat(octets - local - "<@>".len());
            format!("<{}@{domain}>", "u".repeat(local))
        };
        for (local, octets) in [(1, 256), (64, 256), (65, 257), (164, 356), (255, 447)] {
            assert!(ForwardPath::take(&path(local, octets)).is_ok(), "{local} of {octets}");
            is_malformed(&path(local, octets + 1));
        }
    }

    #[test]
    fn what_follows_the_path_is_given_back() {
        let (path, rest) = ReversePath::take("<> SIZE=1").unwrap();
        assert_eq!((path, rest), (ReversePath::Null, " SIZE=1"));
    }

    #[test]
    fn domains_compare_without_case() {
        let domain = |text| Domain::parse(text).unwrap();
        assert_eq!(domain("LocalHost"), domain("localhost"));
        assert_ne!(domain("localhost.example.org"), domain("localhost"));
    }

    #[track_caller]
    fn is_in_utf8(path: &str, mailbox: &str) {
        let (parsed, rest) = ForwardPath::take_with(path, Alphabet::Utf8).unwrap();
        assert_eq!((parsed.to_string(), rest), (format!("<{mailbox}>"), ""));
        is_malformed(path);
    }

    #[test]
    fn utf8_is_taken_where_it_is_asked_for() {
        is_in_utf8("<josé@example.org>", "josé@example.org");
        is_in_utf8("<用户.名@例子.广告>", "用户.名@例子.广告");
        is_in_utf8("<\"jo sé\"@example.org>", "\"jo sé\"@example.org");
        is_in_utf8("<\"\\é\"@example.org>", "é@example.org");
        is_in_utf8("<@bücher.example:u@b>", "u@b");
        let (path, rest) = ReversePath::take_with("<é@b> SIZE=1", Alphabet::Utf8).unwrap();
        assert_eq!((path.to_string().as_str(), rest), ("<é@b>", " SIZE=1"));
        let ReversePath::Mailbox(mailbox) = path else { panic!("no mailbox") };
        assert!(!mailbox.is_ascii());
    }

    #[test]
    fn utf8_hides_no_control_character_and_no_other_domain() {
        for path in [
            "<a\u{85}@b>",
            "<\"a\u{9b}31m\"@b>",
            "<a\\\u{80}@b>",
            "<a\u{202e}@b>",
            "<\"a\u{2028}\"@b>",
            "<a\u{a0}b@c>",
            "<a\u{fffd}@b>",
            "<a@b\u{3002}c>",
            "<a@b\u{ff0e}c>",
            "<a@-é>",
            "<a@é.>",
            "<a@é\u{ad}>",
            "<é>",
        ] {
            let taken = ForwardPath::take_with(path, Alphabet::Utf8);
            assert_eq!(taken, Err(Malformed), "{path:?}");
        }
    }

    #[test]
    fn lengths_are_octets_in_utf8_too() {
        let local = |characters| format!("<{}@b>", "é".repeat(characters));
        assert!(ForwardPath::take_with(&local(127), Alphabet::Utf8).is_ok());
        assert!(ForwardPath::take_with(&local(128), Alphabet::Utf8).is_err());
        let domain = |characters| format!("<a@{}>", "é".repeat(characters));
        assert!(ForwardPath::take_with(&domain(126), Alphabet::Utf8).is_ok());
        assert!(ForwardPath::take_with(&domain(127), Alphabet::Utf8).is_err());
    }

    pub(crate) fn any_mailbox() -> impl Strategy<Value = Mailbox> {
        let domain = prop_oneof![
            "[a-z0-9]{1,9}([._-][A-Z0-9]{1,9}){0,3}".prop_map(Domain::Name),
            any::<IpAddr>().prop_map(Domain::Literal),
            "[0-9]{1,9}".prop_map(Domain::Number),
        ];
        ("[ -~]{0,255}", domain)
            .prop_map(|(local_part, domain)| Mailbox { local_part: LocalPart(local_part), domain })
    }

    proptest! {
        #[test]
        fn a_rendered_mailbox_parses_to_itself(mailbox in any_mailbox()) {
            let path = ForwardPath::Mailbox(mailbox);
            let text = path.to_string();
            prop_assert_eq!(ForwardPath::take(&text), Ok((path, "")));
        }

        #[test]
        fn a_rendered_mailbox_in_utf8_parses_to_itself(
            local_part in "[ -~éß用д😀]{0,60}",
            domain in "[a-zé用]{1,9}([._-][A-Z0-9ü]{1,9}){0,3}",
        ) {
            let domain = Domain::Name(domain);
            let path = ForwardPath::Mailbox(Mailbox { local_part: LocalPart(local_part), domain });
            let text = path.to_string();
            prop_assert_eq!(ForwardPath::take_with(&text, Alphabet::Utf8), Ok((path, "")));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[<@\"\\\\a.,:>\\[\\]# é]{0,40}|.{0,40}") {
            for alphabet in [Alphabet::Ascii, Alphabet::Utf8] {
                let _ = ForwardPath::take_with(&text, alphabet);
                let _ = ReversePath::take_with(&text, alphabet);
            }
        }

        #[test]
        fn what_ascii_takes_is_the_same_in_utf8(text in "[<@\"\\\\a.,:>\\[\\]# é]{0,40}") {
            if let Ok(taken) = ForwardPath::take(&text) {
                prop_assert!(taken.0.to_string().is_ascii());
                prop_assert_eq!(ForwardPath::take_with(&text, Alphabet::Utf8), Ok(taken));
            }
        }
    }
}
