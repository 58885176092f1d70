//! What a client logs in with, and whether it fits a password. Pure: knows neither users nor files.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest as _, Md5};

use crate::wire::line::LINE_OCTETS;

/// What is printed in place of a secret.
const HIDDEN: &str = "******";

/// A password that the server knows. Debug output, which goes to logs, does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<str>);

/// Octets of a password: what the longest line has room for after `PASS`.
const PASSWORD_MOST: usize = LINE_OCTETS - "PASS ".len();

impl Password {
    /// Whether a client can send it: one line of at most 4,091 octets.
    #[must_use]
    pub fn can_be_sent(&self) -> bool {
        !self.0.contains(['\r', '\n']) && self.0.len() <= PASSWORD_MOST
    }

    /// The password itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self(password.into())
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A name, and the proof that the client may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user to act for (RFC 4422 section 3.4.1); `None` for the one who logs in.
    pub authzid: Option<String>,
    /// The user who logs in, as the client spells it: a mailbox name or a whole address.
    pub name: String,
    /// What proves it.
    pub proof: Proof,
}

/// What a client sends to prove that it knows a password. Debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The password itself, or a bearer token in its place.
    Password(Vec<u8>),
    /// The keyed digest of a challenge (RFC 2195 section 2).
    CramMd5 {
        /// The challenge that was sent, decoded, with its angle brackets.
        challenge: String,
        /// HMAC-MD5 of it, keyed with the password.
        digest: Digest,
    },
    /// The digest of the greeting's timestamp (RFC 1939 section 7).
    Apop {
        /// The timestamp, with its angle brackets.
        timestamp: String,
        /// MD5 of it and the password behind it.
        digest: Digest,
    },
}

impl Proof {
    /// Whether this is the proof of `password`. The time that this takes does not depend on how
    /// much of a digest is right.
    #[must_use]
    pub fn fits(&self, password: &Password) -> bool {
        let password = password.as_str().as_bytes();
        match self {
            Self::Password(given) => given.as_slice() == password,
            Self::CramMd5 { challenge, digest } => {
                keyed(password, challenge).is_some_and(|right| right == *digest)
            }
            Self::Apop { timestamp, digest } => {
                let right = Md5::new().chain_update(timestamp).chain_update(password).finalize();
                Digest(right.into()) == *digest
            }
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Password(_) => "Password",
            Self::CramMd5 { .. } => "CramMd5",
            Self::Apop { .. } => "Apop",
        };
        write!(f, "{kind}({HIDDEN})")
    }
}

/// A key of any length will do (RFC 2104 section 3), so that there always is a digest.
fn keyed(password: &[u8], challenge: &str) -> Option<Digest> {
    let mut hmac = Hmac::<Md5>::new_from_slice(password).ok()?;
    hmac.update(challenge.as_bytes());
    Some(Digest(hmac.finalize().into_bytes().into()))
}

/// An MD5 digest. It stands for a password, so Debug output does not show it.
#[derive(Clone, Copy)]
pub struct Digest([u8; 16]);

impl Digest {
    /// Reads 32 hexadecimal digits, in either case; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(text).ok()?;
        // `from_str_radix` would take a sign.
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl PartialEq for Digest {
    /// Compares all octets, so that the time does not tell where the first difference is.
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(&other.0).map(|(one, other)| one ^ other);
        differences.fold(0, |all, difference| all | difference) == 0
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digits: &str) -> Digest {
        Digest::parse(digits.as_bytes()).unwrap()
    }

    #[test]
    fn cram_md5_is_that_of_rfc_2195() {
        let challenge = "<1896.697170952@postoffice.reston.mci.net>".to_owned();
        let digest = digest("b913a602c7eda7a495b4e6e7334d3890");
        let proof = Proof::CramMd5 { challenge, digest };
        assert!(proof.fits(&"tanstaaftanstaaf".into()));
        assert!(!proof.fits(&"tanstaaf".into()));
    }

    #[test]
    fn apop_is_that_of_rfc_1939() {
        let timestamp = "<1896.697170952@dbc.mtview.ca.us>".to_owned();
        let digest = digest("c4c9334bac560ecc979e58001b3e22fb");
        let proof = Proof::Apop { timestamp, digest };
        assert!(proof.fits(&"tanstaaf".into()));
        assert!(!proof.fits(&"tanstaaF".into()));
    }

    #[test]
    fn a_password_fits_only_as_a_whole() {
        let fits = |given: &[u8]| Proof::Password(given.to_vec()).fits(&"cis505".into());
        assert!(fits(b"cis505"));
        for given in [&b""[..], b"cis50", b"cis5055", b"CIS505", b"cis505\0"] {
            assert!(!fits(given), "{given:?}");
        }
    }

    #[test]
    fn a_password_is_one_line_that_fits_behind_pass() {
        assert!(Password::from("").can_be_sent());
        assert!(Password::from("x".repeat(4_091)).can_be_sent());
        for password in ["a\nb", "a\r", &"x".repeat(4_092)] {
            assert!(!Password::from(password).can_be_sent());
        }
    }

    #[test]
    fn a_digest_is_32_hexadecimal_digits() {
        let digits = "b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(Digest::parse(digits.to_uppercase().as_bytes()), Some(digest(digits)));
        for wrong in ["", "b9", &digits[1..], &format!("+{}", &digits[1..]), &format!("{digits}0")]
        {
            assert_eq!(Digest::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_ne!(digest(digits), digest("b913a602c7eda7a495b4e6e7334d3891"));
    }

    #[test]
    fn no_secret_gets_into_debug_output() {
        let digest = digest("b913a602c7eda7a495b4e6e7334d3890");
        for proof in [
            Proof::Password(b"secret".to_vec()),
            Proof::CramMd5 { challenge: "<secret>".into(), digest },
            Proof::Apop { timestamp: "<secret>".into(), digest },
        ] {
            let credentials = Credentials { authzid: None, name: "ada".into(), proof };
            let shown = format!("{credentials:?} {:?} {digest:?}", Password::from("secret"));
            for secret in ["secret", "115", "b913", "185"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}
