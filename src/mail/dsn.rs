//! The parameters of MAIL and RCPT with which a sender asks for delivery status notifications (RFC
//! 3461 section 4): RET, ENVID, NOTIFY and ORCPT. Each type parses the value of one parameter and
//! displays it as it is sent.

use std::fmt;

use enumset::{EnumSet, EnumSetType};

use crate::mail::address::Malformed;
use crate::mail::alphabet::Alphabet;
use crate::mail::xtext;

/// Maximum octets of an ENVID, decoded (RFC 3461 section 4.4).
pub const ENVELOPE_ID_OCTETS: usize = 100;

/// Maximum octets of the value of ORCPT (RFC 3461 section 4.2).
pub const ORIGINAL_RECIPIENT_OCTETS: usize = 500;

/// How much of a message a notification of its failure returns: the value of RET (RFC 3461 section
/// 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Hdrs,
}

/// The sender's own name for a message: the value of ENVID (RFC 3461 section 4.4). 1 to
/// [`ENVELOPE_ID_OCTETS`] printable ASCII characters and spaces, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeId(String);

/// What a sender may want to be notified of (RFC 3461 section 4.1).
#[derive(Debug, EnumSetType)]
#[enumset(no_ops)]
pub enum Occasion {
    /// The message was delivered, or relayed to a host that notifies nobody.
    Success,
    /// It could not be delivered.
    Failure,
    /// It is late.
    Delay,
}

/// On which occasions the sender is notified: the value of NOTIFY (RFC 3461 section 4.1). Without
/// any it is `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify(EnumSet<Occasion>);

/// The recipient that the sender named at first: the value of ORCPT (RFC 3461 section 4.2).
/// Printable; ASCII unless the type is `utf-8` (RFC 6533 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    kind: String,
    address: String,
}

/// What a sender asked for the whole message, with parameters of MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageDsn {
    /// RET, if it was given.
    pub ret: Option<Ret>,
    /// ENVID, if it was given.
    pub envid: Option<EnvelopeId>,
}

/// What a sender asked for one recipient, with parameters of RCPT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientDsn {
    /// NOTIFY, if it was given.
    pub notify: Option<Notify>,
    /// ORCPT, if it was given.
    pub orcpt: Option<OriginalRecipient>,
}

impl Ret {
    /// Parses `FULL` or `HDRS`, without regard to case.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let is = |one: &Self| one.word().eq_ignore_ascii_case(value);
        [Self::Full, Self::Hdrs].into_iter().find(is).ok_or(Malformed)
    }

    /// The keyword.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Hdrs => "HDRS",
        }
    }
}

impl EnvelopeId {
    /// Parses `xtext`.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let id = xtext::decode(value)?;
        let fits = (1..=ENVELOPE_ID_OCTETS).contains(&id.len()) && id.chars().all(is_printable);
        fits.then_some(Self(id)).ok_or(Malformed)
    }

    /// The id, decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Occasion {
    const fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Delay => "DELAY",
        }
    }
}

impl Notify {
    const NEVER: &'static str = "NEVER";

    /// Parses `NEVER`, or some of `SUCCESS`, `FAILURE` and `DELAY` joined by commas, without regard
    /// to case.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        if value.eq_ignore_ascii_case(Self::NEVER) {
            return Ok(Self(EnumSet::empty()));
        }
        let occasion = |word: &str| {
            let mut all = EnumSet::<Occasion>::all().into_iter();
            all.find(|one| one.word().eq_ignore_ascii_case(word)).ok_or(Malformed)
        };
        value.split(',').map(occasion).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the sender is to be notified on this occasion.
    #[must_use]
    pub fn on(self, occasion: Occasion) -> bool {
        self.0.contains(occasion)
    }
}

impl OriginalRecipient {
    const UTF_8: &'static str = "utf-8";

    /// Parses `addr-type;xtext`. An address of type `utf-8` may also be written in UTF-8 as it is
    /// (`utf-8-addr-unitext`), or in ASCII with `\x{E9}` (`utf-8-addr-xtext`, RFC 6533 section 3).
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let (kind, address) = value.split_once(';').ok_or(Malformed)?;
        let is_utf8 = kind.eq_ignore_ascii_case(Self::UTF_8);
        let decoded = xtext::decode_with(address, |byte| is_utf8 && !byte.is_ascii())?;
        let address = if is_utf8 { unescaped(&decoded)? } else { decoded };
        let alphabet = if is_utf8 { Alphabet::Utf8 } else { Alphabet::Ascii };
        let is_shown = |character| is_printable(character) || alphabet.has(character);
        let fits = !kind.is_empty()
            && kind.chars().all(is_atext)
            && !address.is_empty()
            && address.chars().all(is_shown);
        let read = Self { kind: kind.to_owned(), address };
        // In the form in which it is sent: characters in UTF-8 become longer there.
        let fits = fits && read.to_string().len() <= ORIGINAL_RECIPIENT_OCTETS;
        fits.then_some(read).ok_or(Malformed)
    }

    /// The type of the address, such as `rfc822`, as it was written.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address, decoded.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address in ASCII, as a field of a notification has it: decoded, but one of type `utf-8`
    /// with `\x{E9}` (RFC 6533 section 3).
    #[must_use]
    pub fn in_ascii(&self) -> String {
        if self.kind.eq_ignore_ascii_case(Self::UTF_8) {
            escaped(&self.address)
        } else {
            self.address.clone()
        }
    }
}

impl MessageDsn {
    /// Whether nothing was asked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ret.is_none() && self.envid.is_none()
    }
}

impl RecipientDsn {
    /// Whether nothing was asked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.notify.is_none() && self.orcpt.is_none()
    }

    /// Whether the sender is to be notified on this occasion. Without NOTIFY it is, but for success
    /// (RFC 3461 section 4.1).
    #[must_use]
    pub fn asks(&self, occasion: Occasion) -> bool {
        self.notify.map_or(occasion != Occasion::Success, |notify| notify.on(occasion))
    }
}

/// An address as `utf-8-addr-xtext` (RFC 6533 section 3): ASCII, with `\x{E9}` for other characters
/// and for those that are special in `xtext`.
#[must_use]
pub fn escaped(address: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(address.len());
    for character in address.chars() {
        if character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=') {
            text.push(character);
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\\x{{{:02X}}}", u32::from(character));
        }
    }
    text
}

/// The address that `utf-8-addr-xtext` stands for.
fn unescaped(text: &str) -> Result<String, Malformed> {
    let mut address = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        let (digits, behind) =
            escape.strip_prefix("x{").and_then(|escape| escape.split_once('}')).ok_or(Malformed)?;
        let is_number = (2..=6).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        address.push_str(before);
        address.push(number.and_then(char::from_u32).ok_or(Malformed)?);
        rest = behind;
    }
    address.push_str(rest);
    Ok(address)
}

/// Notifications have only these in their fields (RFC 3461 sections 4.2 and 4.4).
const fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~')
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for EnvelopeId {
    /// As `xtext`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&xtext::encode(&self.0))
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(Self::NEVER);
        }
        let words: Vec<&str> = self.0.into_iter().map(Occasion::word).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Display for OriginalRecipient {
    /// As `addr-type;xtext`, in ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, xtext::encode(&self.in_ascii()))
    }
}

/// The parameters, each with a blank before it, as they follow the path of MAIL.
impl fmt::Display for MessageDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ret) = self.ret {
            write!(f, " RET={ret}")?;
        }
        match &self.envid {
            Some(envid) => write!(f, " ENVID={envid}"),
            None => Ok(()),
        }
    }
}

/// The parameters, each with a blank before it, as they follow the path of RCPT.
impl fmt::Display for RecipientDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.notify {
            write!(f, " NOTIFY={notify}")?;
        }
        match &self.orcpt {
            Some(orcpt) => write!(f, " ORCPT={orcpt}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keywords_are_read_in_any_case() {
        assert_eq!(Ret::parse("hdrs"), Ok(Ret::Hdrs));
        assert_eq!(Ret::parse("Full"), Ok(Ret::Full));
        let notify = Notify::parse("delay,SUCCESS").unwrap();
        assert_eq!(notify.to_string(), "SUCCESS,DELAY");
        assert!(notify.on(Occasion::Delay) && !notify.on(Occasion::Failure));
        let never = Notify::parse("never").unwrap();
        assert_eq!(never.to_string(), "NEVER");
        assert!(!never.on(Occasion::Failure));
        for malformed in ["", "BODY", "FULL,HDRS", " FULL"] {
            assert_eq!(Ret::parse(malformed), Err(Malformed), "{malformed}");
        }
        for malformed in ["", ",", "NEVER,FAILURE", "FAILURE,NEVER", "SUCCESS,", "ALWAYS", "DELAY "]
        {
            assert_eq!(Notify::parse(malformed), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn an_envelope_id_has_a_hundred_printable_characters_at_most() {
        assert_eq!(EnvelopeId::parse("QQ+2B314+20x").unwrap().as_str(), "QQ+314 x");
        assert!(EnvelopeId::parse(&"+2B".repeat(100)).is_ok());
        for malformed in ["", "a b", "a=b", "+0D+0A", "+C3+A9", "é", "+2", &"x".repeat(101)] {
            assert_eq!(EnvelopeId::parse(malformed), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn an_original_recipient_has_a_type_and_an_address() {
        let read = OriginalRecipient::parse("RFC822;Bob+2Bx@example.org").unwrap();
        assert_eq!((read.kind(), read.address()), ("RFC822", "Bob+x@example.org"));
        assert_eq!(read.to_string(), "RFC822;Bob+2Bx@example.org");
        let rfc822 = |octets: usize| format!("rfc822;{}", "x".repeat(octets - 7));
        assert!(OriginalRecipient::parse(&rfc822(500)).is_ok());
        for malformed in [
            "",
            "rfc822",
            ";a@b",
            "rfc822;",
            "rfc 822;a@b",
            "rfc822;a b",
            "rfc822;+0A",
            "rfc822;é@b",
            "rfc822;+C3+A9@b",
            &rfc822(501),
        ] {
            assert_eq!(OriginalRecipient::parse(malformed), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn an_original_recipient_in_utf8_is_sent_in_ascii() {
        for value in
            ["utf-8;josé@b", r"utf-8;jos\x{E9}@b", r"utf-8;jos+5Cx+7Be9+7D@b", "utf-8;jos+C3+A9@b"]
        {
            let read = OriginalRecipient::parse(value).expect(value);
            assert_eq!(read.address(), "josé@b");
            assert_eq!(read.to_string(), r"utf-8;jos\x{E9}@b");
        }
        assert_eq!(OriginalRecipient::parse(r"rfc822;\x{E9}").unwrap().address(), r"\x{E9}");
        for malformed in [
            r"utf-8;\x{E9",
            r"utf-8;\x{}",
            r"utf-8;\x{0D}",
            r"utf-8;\x{85}",
            r"utf-8;\x{202E}",
            r"utf-8;\x{D800}",
            r"utf-8;\x{110000}",
            r"utf-8;\x{+2BE9}",
            r"utf-8;\y",
            "utf-8;a\u{9b}b",
            "utf-8;",
            &format!("utf-8;{}", "é".repeat(100)),
        ] {
            assert_eq!(OriginalRecipient::parse(malformed), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn who_asked_for_nothing_is_told_of_failure() {
        let nothing = RecipientDsn::default();
        assert!(nothing.asks(Occasion::Failure) && !nothing.asks(Occasion::Success));
        let success = RecipientDsn { notify: Notify::parse("SUCCESS").ok(), orcpt: None };
        assert!(!success.asks(Occasion::Failure) && success.asks(Occasion::Success));
        assert_eq!(nothing.to_string() + &MessageDsn::default().to_string(), "");
    }

    fn any_envid() -> impl Strategy<Value = EnvelopeId> {
        "[ -~]{1,100}".prop_map(EnvelopeId)
    }

    fn any_orcpt() -> impl Strategy<Value = OriginalRecipient> {
        let ascii = ("[a-z0-9]{1,20}", "[ -~]{1,150}");
        let utf8 = (Just("UTF-8".to_owned()), "[ -~é用😀]{1,48}");
        prop_oneof![ascii, utf8].prop_map(|(kind, address)| OriginalRecipient { kind, address })
    }

    pub(crate) fn any_message_dsn() -> impl Strategy<Value = MessageDsn> {
        let ret = prop::option::of(prop::sample::select(vec![Ret::Full, Ret::Hdrs]));
        (ret, prop::option::of(any_envid())).prop_map(|(ret, envid)| MessageDsn { ret, envid })
    }

    pub(crate) fn any_recipient_dsn() -> impl Strategy<Value = RecipientDsn> {
        let all: Vec<Occasion> = EnumSet::all().into_iter().collect();
        let notify = prop::sample::subsequence(all, 0..=3)
            .prop_map(|occasions| Notify(occasions.into_iter().collect()));
        (prop::option::of(notify), prop::option::of(any_orcpt()))
            .prop_map(|(notify, orcpt)| RecipientDsn { notify, orcpt })
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_as_it_was(
            MessageDsn { ret, envid } in any_message_dsn(),
            RecipientDsn { notify, orcpt } in any_recipient_dsn(),
        ) {
            prop_assert_eq!(ret.map(|ret| Ret::parse(&ret.to_string())), ret.map(Ok));
            let read = envid.as_ref().map(|envid| EnvelopeId::parse(&envid.to_string()));
            prop_assert_eq!(read, envid.map(Ok));
            prop_assert_eq!(notify.map(|notify| Notify::parse(&notify.to_string())), notify.map(Ok));
            let read = orcpt.as_ref().map(|orcpt| OriginalRecipient::parse(&orcpt.to_string()));
            prop_assert_eq!(read, orcpt.map(Ok));
        }

        #[test]
        fn no_value_makes_a_parser_panic_or_hides_a_control_character(
            value in r"(rfc822|utf-8);[+0-9A-Fa-f\\x{}é]{0,30}|.{0,40}",
        ) {
            let _ = Ret::parse(&value);
            let _ = Notify::parse(&value);
            let envid = EnvelopeId::parse(&value).map(|envid| envid.0).unwrap_or_default();
            let orcpt = OriginalRecipient::parse(&value);
            let sent = orcpt.as_ref().map(ToString::to_string).unwrap_or_default();
            let address = orcpt.map(|orcpt| orcpt.address).unwrap_or_default();
            prop_assert!(!(envid + &address).chars().any(char::is_control));
            prop_assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
