//! What a client has declared of a message with parameters of MAIL, as far as it travels with the
//! message.

use std::fmt;

use crate::mail::address::Malformed;
use crate::mail::dsn::{EnvelopeId, MessageDsn, Notify, OriginalRecipient, RecipientDsn, Ret};

/// The value of BODY (RFC 6152 section 2, RFC 3030 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
    /// `BINARYMIME`
    BinaryMime,
}

impl Body {
    const ALL: [Self; 3] = [Self::SevenBit, Self::EightBitMime, Self::BinaryMime];

    /// Parses the value, without regard to case.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let is = |one: &Self| one.word().eq_ignore_ascii_case(value);
        Self::ALL.into_iter().find(is).ok_or(Malformed)
    }

    /// The keyword.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }
}

/// What MAIL said of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Which notifications the sender asked for.
    pub dsn: MessageDsn,
    /// Whether SMTPUTF8 was given: addresses and header may be in UTF-8 (RFC 6531 section 3.4).
    pub smtputf8: bool,
    /// Whether BODY=BINARYMIME was given: the text may have anything between its lines' ends, or no
    /// lines. The other values need not be known: 8-bit text goes to every host as it is.
    pub binary: bool,
}

const SMTPUTF8: &str = "SMTPUTF8";

impl MailParameters {
    /// Whether nothing was declared.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.smtputf8 && !self.binary && self.dsn.is_empty()
    }

    /// Parses what [`Display`](fmt::Display) writes, without its first blank.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parameters = Self::default();
        for word in text.split(' ') {
            match word.split_once('=') {
                None if word == SMTPUTF8 => parameters.smtputf8 = true,
                Some(("BODY", value)) => {
                    parameters.binary = Body::parse(value)? == Body::BinaryMime;
                }
                Some(("RET", value)) => parameters.dsn.ret = Some(Ret::parse(value)?),
                Some(("ENVID", value)) => parameters.dsn.envid = Some(EnvelopeId::parse(value)?),
                _ => return Err(Malformed),
            }
        }
        Ok(parameters)
    }
}

impl RecipientDsn {
    /// Parses what [`Display`](fmt::Display) writes, without its first blank.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut dsn = Self::default();
        for word in text.split(' ') {
            match word.split_once('=') {
                Some(("NOTIFY", value)) => dsn.notify = Some(Notify::parse(value)?),
                Some(("ORCPT", value)) => dsn.orcpt = Some(OriginalRecipient::parse(value)?),
                _ => return Err(Malformed),
            }
        }
        Ok(dsn)
    }
}

/// The parameters, each with a blank before it.
impl fmt::Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.smtputf8 {
            write!(f, " {SMTPUTF8}")?;
        }
        if self.binary {
            write!(f, " BODY={}", Body::BinaryMime.word())?;
        }
        self.dsn.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mail::dsn::tests::{any_message_dsn, any_recipient_dsn};
    use proptest::prelude::*;

    #[test]
    fn the_values_of_body_are_read_in_any_case() {
        assert_eq!(Body::parse("8bitmime"), Ok(Body::EightBitMime));
        assert_eq!(Body::parse("7BIT"), Ok(Body::SevenBit));
        for malformed in ["", "8BIT", "8BITMIME "] {
            assert_eq!(Body::parse(malformed), Err(Malformed), "{malformed}");
        }
    }

    pub(crate) fn any_parameters() -> impl Strategy<Value = MailParameters> {
        (any_message_dsn(), any::<bool>(), any::<bool>())
            .prop_map(|(dsn, smtputf8, binary)| MailParameters { dsn, smtputf8, binary })
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_as_it_was(mail in any_parameters(), rcpt in any_recipient_dsn()) {
            let text = mail.to_string();
            if !mail.is_empty() {
                prop_assert_eq!(MailParameters::parse(&text[1..]), Ok(mail));
            }
            let text = rcpt.to_string();
            if !rcpt.is_empty() {
                prop_assert_eq!(RecipientDsn::parse(&text[1..]), Ok(rcpt));
            }
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "[A-Z0-9=;,+ ]{0,40}|.{0,40}") {
            let _ = MailParameters::parse(&text);
            let _ = RecipientDsn::parse(&text);
        }
    }
}
