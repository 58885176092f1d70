//! Enhanced status codes (RFC 3463), the part of a delivery status notification for programs.

use std::fmt;

/// An enhanced status code such as `5.1.10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    class: u8,
    subject: u16,
    detail: u16,
}

impl Status {
    /// The host accepted the message.
    pub const DELIVERED: Self = Self::new(2, 0, 0);
    /// The domain does not exist.
    pub const BAD_DOMAIN: Self = Self::new(5, 1, 2);
    /// The recipient's address is not well-formed.
    pub const BAD_ADDRESS: Self = Self::new(5, 1, 3);
    /// The domain publishes a null MX: it accepts no mail (RFC 7505 section 4.1).
    pub const NULL_MX: Self = Self::new(5, 1, 10);
    /// We cannot read the message or reach our own resources.
    pub const LOCAL: Self = Self::new(4, 3, 0);
    /// The message is larger than the host accepts.
    pub const TOO_LARGE: Self = Self::new(5, 3, 4);
    /// Our configuration does not match what the host offers.
    pub const CONFIGURATION: Self = Self::new(4, 3, 5);
    /// No host answers.
    pub const NO_ANSWER: Self = Self::new(4, 4, 1);
    /// The connection broke.
    pub const BROKEN: Self = Self::new(4, 4, 2);
    /// The name servers do not answer.
    pub const NO_NAME_SERVER: Self = Self::new(4, 4, 3);
    /// The domain has no host that accepts mail.
    pub const NO_HOST: Self = Self::new(5, 4, 4);
    /// The mail would come back to us.
    pub const LOOP: Self = Self::new(5, 4, 6);
    /// The message could not be delivered in time.
    pub const EXPIRED: Self = Self::new(5, 4, 7);
    /// The message would have to be converted, which the relay does not do.
    pub const CONVERSION: Self = Self::new(5, 6, 3);
    /// An address or the header is in UTF-8, and the host does not offer SMTPUTF8 (RFC 6531 section
    /// 3.5).
    pub const NO_UTF8: Self = Self::new(5, 6, 7);
    /// The host violates the protocol.
    pub const PROTOCOL: Self = Self::new(4, 5, 0);
    /// TLS is required and not available (RFC 7817).
    pub const NO_TLS: Self = Self::new(4, 7, 10);
    /// The host rejects our user name or password.
    pub const NO_LOGIN: Self = Self::new(4, 7, 8);

    const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// The status of a reply: the code at the start of its text if it has the class of the reply
    /// (RFC 2034 section 4), else one made from the class alone.
    #[must_use]
    pub fn of_reply(code: u16, text: &[u8]) -> Self {
        let class = u8::try_from(code / 100).unwrap_or(4);
        Self::parse(text).filter(|status| status.class == class).unwrap_or(Self::new(class, 0, 0))
    }

    /// Parses a code such as `5.1.10`; `None` if the text does not begin with one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text.as_bytes())
    }

    /// The same code with class 5: a transient fault becomes permanent when time has run out.
    #[must_use]
    pub const fn made_permanent(self) -> Self {
        Self { class: 5, ..self }
    }

    /// The same code with class 4: a permanent refusal of a connection is not final for the mail.
    #[must_use]
    pub const fn made_transient(self) -> Self {
        Self { class: 4, ..self }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let word = text.split(|&byte| byte == b' ').next()?;
        let mut numbers = str::from_utf8(word).ok()?.split('.');
        let class = number(numbers.next()?)?;
        let status = Self {
            class: u8::try_from(class).ok()?,
            subject: number(numbers.next()?)?,
            detail: number(numbers.next()?)?,
        };
        numbers.next().is_none().then_some(status)
    }
}

/// Parses one to three digits (RFC 3463 section 2).
fn number(digits: &str) -> Option<u16> {
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn of(code: u16, text: &str, status: &str) {
        assert_eq!(Status::of_reply(code, text.as_bytes()).to_string(), status);
    }

    #[test]
    fn a_reply_that_names_its_status_keeps_it() {
        of(550, "5.1.1 no such user", "5.1.1");
        of(451, "4.7.1", "4.7.1");
        of(250, "2.0.0 queued", "2.0.0");
    }

    #[test]
    fn a_status_of_another_class_or_another_form_is_not_believed() {
        of(550, "4.7.1 come back", "5.0.0");
        of(450, "4.7.1.2 x", "4.0.0");
        of(550, "5.1.+1 x", "5.0.0");
        of(550, "5.1.1234 x", "5.0.0");
        of(550, "", "5.0.0");
        of(550, "\u{665}.1.1 x", "5.0.0");
    }
}
