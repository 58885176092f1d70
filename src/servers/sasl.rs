//! SASL exchanges (RFC 4422) as SMTP's AUTH (RFC 4954) and POP3's (RFC 5034) carry them: base64
//! lines in, challenges and credentials out. Pure: knows neither accounts nor protocols, and the
//! text of a challenge is passed in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enumset::{EnumSet, EnumSetType};

use crate::servers::credentials::{Credentials, Digest, Proof};

/// A mechanism, in the order in which they are offered.
#[derive(Debug, EnumSetType)]
pub enum Mechanism {
    /// Name and password in one message (RFC 4616).
    Plain,
    /// Name and password in two messages (draft-murchison-sasl-login).
    Login,
    /// A digest of a challenge (RFC 2195).
    CramMd5,
    /// A bearer token, as Google and Microsoft introduced it.
    Xoauth2,
    /// A bearer token (RFC 7628).
    Oauthbearer,
}

impl Mechanism {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of this name, in upper or lower case; `None` if it is unknown.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        EnumSet::<Self>::all().iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Whether the client may send its first message with the command. With CRAM-MD5 the server
    /// speaks first, so that such a message is malformed (RFC 4954 section 4).
    #[must_use]
    pub const fn takes_initial_response(self) -> bool {
        !matches!(self, Self::CramMd5)
    }

    /// Whether the secret itself is sent, which an eavesdropper could use.
    #[must_use]
    pub const fn sends_secret(self) -> bool {
        !matches!(self, Self::CramMd5)
    }
}

/// What follows a line of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The server asks for an answer with this text, which is base64 already and may be empty:
    /// `334 ` or `+ ` comes before it.
    Challenge(String),
    /// The client has said everything. If it is wrong, [`Exchange::refused`] says what follows.
    Check(Credentials),
    /// The line is not base64, or its message is not one of the mechanism. The exchange is over.
    Malformed,
    /// The client has sent `*`. The exchange is over.
    Cancelled,
    /// The login is refused. The exchange is over.
    Refused,
}

/// One exchange, from the command to the result.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    awaits: Awaits,
}

/// What the next line of the client is.
#[derive(Debug)]
enum Awaits {
    /// Everything in one message, after an empty challenge.
    Message,
    /// LOGIN's name.
    Name,
    /// LOGIN's password.
    Password { name: String },
    /// CRAM-MD5's digest of this challenge.
    Digest { challenge: String },
    /// Anything: the error has been told, and the client must still answer (RFC 7628 section
    /// 3.2.3).
    Acknowledgement,
    /// The exchange is over.
    Nothing,
}

impl Exchange {
    /// Begins an exchange. `challenge` is the text that CRAM-MD5 makes a digest of, such as
    /// `<4711.1767225600@localhost>`; it must not come twice. No other mechanism uses it.
    #[must_use]
    pub fn begin(mechanism: Mechanism, challenge: &str) -> Self {
        let awaits = match mechanism {
            Mechanism::Plain | Mechanism::Xoauth2 | Mechanism::Oauthbearer => Awaits::Message,
            Mechanism::Login => Awaits::Name,
            Mechanism::CramMd5 => Awaits::Digest { challenge: challenge.to_owned() },
        };
        Self { mechanism, awaits }
    }

    /// The mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The first turn: the first challenge, or what follows the initial response that came with the
    /// command, where `=` is an empty one (RFC 4954 section 4).
    pub fn open(&mut self, initial_response: Option<&[u8]>) -> Turn {
        match initial_response {
            None => self.first_challenge(),
            Some(_) if !self.mechanism.takes_initial_response() => self.end(Turn::Malformed),
            Some(b"=") => self.message(Vec::new()),
            // It cannot cancel: the exchange has not begun.
            Some(line) => self.base64(line),
        }
    }

    /// Takes the client's answer to a challenge, a line without its CRLF.
    pub fn answer(&mut self, line: &[u8]) -> Turn {
        match (line, &self.awaits) {
            (b"*", _) => self.end(Turn::Cancelled),
            // Nothing depends on it, so it need not be base64 either.
            (_, Awaits::Acknowledgement) => self.end(Turn::Refused),
            _ => self.base64(line),
        }
    }

    /// What follows if the credentials of [`Turn::Check`] are wrong: a challenge that holds the
    /// error, as the mechanisms with tokens have it, or the refusal.
    pub fn refused(&mut self) -> Turn {
        let error = match self.mechanism {
            Mechanism::Xoauth2 => r#"{"status":"401","schemes":"bearer","scope":"mail"}"#,
            Mechanism::Oauthbearer => r#"{"status":"invalid_token"}"#,
            Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 => {
                return self.end(Turn::Refused);
            }
        };
        self.ask(error, Awaits::Acknowledgement)
    }

    fn first_challenge(&self) -> Turn {
        Turn::Challenge(match &self.awaits {
            Awaits::Name => STANDARD.encode("Username:"),
            Awaits::Digest { challenge } => STANDARD.encode(challenge),
            _ => String::new(),
        })
    }

    fn base64(&mut self, line: &[u8]) -> Turn {
        match STANDARD.decode(line) {
            Ok(message) => self.message(message),
            Err(_) => self.end(Turn::Malformed),
        }
    }

    fn message(&mut self, message: Vec<u8>) -> Turn {
        let awaited = std::mem::replace(&mut self.awaits, Awaits::Nothing);
        let credentials = match awaited {
            Awaits::Message => self.mechanism.credentials(&message),
            Awaits::Name => {
                let Ok(name) = String::from_utf8(message) else { return Turn::Malformed };
                return self.ask("Password:", Awaits::Password { name });
            }
            Awaits::Password { name } => {
                Some(Credentials { authzid: None, name, proof: Proof::Password(message) })
            }
            Awaits::Digest { challenge } => digest(&message, challenge),
            Awaits::Acknowledgement | Awaits::Nothing => None,
        };
        credentials.map_or(Turn::Malformed, Turn::Check)
    }

    fn ask(&mut self, challenge: &str, awaits: Awaits) -> Turn {
        self.awaits = awaits;
        Turn::Challenge(STANDARD.encode(challenge))
    }

    fn end(&mut self, turn: Turn) -> Turn {
        self.awaits = Awaits::Nothing;
        turn
    }
}

impl Mechanism {
    /// The credentials in a mechanism's only message.
    fn credentials(self, message: &[u8]) -> Option<Credentials> {
        match self {
            Self::Plain => plain(message),
            Self::Xoauth2 => xoauth2(message),
            Self::Oauthbearer => oauthbearer(message),
            Self::Login | Self::CramMd5 => None,
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2).
fn plain(message: &[u8]) -> Option<Credentials> {
    let parts: Vec<&[u8]> = message.split(|&octet| octet == 0).collect();
    let [authzid, name, password] = parts.as_slice() else { return None };
    let (authzid, name) = (text(authzid)?, text(name).filter(|name| !name.is_empty())?);
    Some(Credentials {
        authzid: (!authzid.is_empty()).then_some(authzid),
        name,
        proof: Proof::Password(password.to_vec()),
    })
}

/// `name SP digest`, the digest in hexadecimal digits (RFC 2195 section 2). The name may hold
/// blanks.
fn digest(message: &[u8], challenge: String) -> Option<Credentials> {
    let blank = message.iter().rposition(|&octet| octet == b' ')?;
    let name = text(message.get(..blank)?)?;
    let digest = Digest::parse(message.get(blank + 1..)?)?;
    Some(Credentials { authzid: None, name, proof: Proof::CramMd5 { challenge, digest } })
}

/// Separates the parts of the mechanisms with tokens (RFC 7628 section 3.1).
const SEPARATOR: char = '\x01';

/// `user=NAME ^A auth=Bearer TOKEN ^A ^A`.
fn xoauth2(message: &[u8]) -> Option<Credentials> {
    let message = text(message)?;
    let (first, rest) = message.split_once(SEPARATOR)?;
    Some(Credentials {
        authzid: None,
        name: first.strip_prefix("user=")?.to_owned(),
        proof: token(rest)?,
    })
}

/// A GS2 header (RFC 5801 section 4) and key-value pairs (RFC 7628 section 3.1). The user is the
/// one whom the header names, since the token itself does not say to us whose it is.
fn oauthbearer(message: &[u8]) -> Option<Credentials> {
    let message = text(message)?;
    let (header, rest) = message.split_once(SEPARATOR)?;
    let (binding, named) = header.split_once(',')?;
    // There is no channel binding with bearer tokens, so that `p=` cannot stand here.
    if !matches!(binding, "n" | "y") {
        return None;
    }
    let name = match named.strip_suffix(',')? {
        "" => String::new(),
        named => unescaped(named.strip_prefix("a=")?)?,
    };
    Some(Credentials { authzid: None, name, proof: token(rest)? })
}

/// The bearer token among key-value pairs, which end with an empty one. The scheme's name is read
/// without regard to case (RFC 7235 section 2.1). An empty value asks where tokens can be had (RFC
/// 7628 section 4.3): an empty token, which is always refused.
fn token(pairs: &str) -> Option<Proof> {
    let pairs = pairs.strip_suffix(SEPARATOR)?.strip_suffix(SEPARATOR)?;
    let value = pairs.split(SEPARATOR).find_map(|pair| pair.strip_prefix("auth="))?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim_matches(' '),
        None if value.is_empty() => value,
        _ => return None,
    };
    Some(Proof::Password(token.as_bytes().to_vec()))
}

/// A saslname, in which `=2C` is a comma and `=3D` an equals sign (RFC 5801 section 4).
fn unescaped(name: &str) -> Option<String> {
    if name.contains(',') {
        return None;
    }
    let mut parts = name.split('=');
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        whole.push(character);
        whole.push_str(rest);
    }
    Some(whole)
}

fn text(octets: &[u8]) -> Option<String> {
    String::from_utf8(octets.to_vec()).ok()
}

/// A text that never comes again, in the form of a message identifier, for CRAM-MD5 and for APOP's
/// greeting (RFC 2195 section 2, RFC 1939 section 7). `random` makes it one that nobody can foresee;
/// `seconds` is the time since 1970.
#[must_use]
pub fn timestamp(random: u64, seconds: u64, domain: &str) -> String {
    format!("<{random}.{seconds}@{domain}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "<1896.697170952@postoffice.reston.mci.net>";

    fn begun(mechanism: &str) -> Exchange {
        Exchange::begin(Mechanism::parse(mechanism).unwrap(), CHALLENGE)
    }

    fn challenge(text: &str) -> Turn {
        Turn::Challenge(STANDARD.encode(text))
    }

    /// What follows this message as the initial response.
    fn at_once(mechanism: &str, message: &str) -> Turn {
        begun(mechanism).open(Some(STANDARD.encode(message).as_bytes()))
    }

    fn checks(authzid: Option<&str>, name: &str, password: &str) -> Turn {
        let proof = Proof::Password(password.as_bytes().to_vec());
        Turn::Check(Credentials { authzid: authzid.map(str::to_owned), name: name.into(), proof })
    }

    #[test]
    fn mechanisms_are_offered_in_this_order_and_read_in_any_case() {
        let names: Vec<&str> = EnumSet::<Mechanism>::all().iter().map(Mechanism::name).collect();
        assert_eq!(names, ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"]);
        assert_eq!(Mechanism::parse("cram-md5"), Some(Mechanism::CramMd5));
        for unknown in ["", "PLAI", "PLAINX", "PLAIN ", "CRAM_MD5"] {
            assert_eq!(Mechanism::parse(unknown), None, "{unknown}");
        }
        for mechanism in EnumSet::<Mechanism>::all() {
            let is_cram = mechanism == Mechanism::CramMd5;
            assert_eq!(mechanism.sends_secret(), !is_cram);
            assert_eq!(mechanism.takes_initial_response(), !is_cram);
        }
    }

    /// RFC 4616 section 4, the first two examples.
    #[test]
    fn plain_is_that_of_rfc_4616() {
        let tim = checks(None, "tim", "tanstaaftanstaaf");
        assert_eq!(at_once("PLAIN", "\0tim\0tanstaaftanstaaf"), tim);
        let kurt = checks(Some("Ursel"), "Kurt", "xipj3plmq");
        assert_eq!(at_once("PLAIN", "Ursel\0Kurt\0xipj3plmq"), kurt);
        let mut exchange = begun("PLAIN");
        assert_eq!(exchange.open(None), Turn::Challenge(String::new()));
        assert_eq!(exchange.answer(STANDARD.encode("\0tim\0tanstaaftanstaaf").as_bytes()), tim);
        assert_eq!(exchange.refused(), Turn::Refused);
    }

    #[test]
    fn a_plain_message_has_two_nuls_and_a_name() {
        for message in ["", "tim", "\0tim", "\0\0", "\0\0secret", "\0tim\0se\0cret"] {
            assert_eq!(at_once("PLAIN", message), Turn::Malformed, "{message:?}");
        }
        assert_eq!(begun("PLAIN").open(Some(b"AP8A/w==")), Turn::Malformed);
        assert_eq!(at_once("PLAIN", "\0tim\0"), checks(None, "tim", ""));
    }

    #[test]
    fn login_asks_for_name_and_password() {
        let mut exchange = begun("LOGIN");
        assert_eq!(exchange.open(None), Turn::Challenge("VXNlcm5hbWU6".into()));
        assert_eq!(exchange.answer(b"dGlt"), Turn::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.answer(b"c2VjcmV0"), checks(None, "tim", "secret"));
        let mut exchange = begun("login");
        assert_eq!(exchange.open(Some(b"dGlt")), challenge("Password:"));
        assert_eq!(exchange.answer(b""), checks(None, "tim", ""));
        let mut exchange = begun("login");
        assert_eq!(exchange.open(Some(b"=")), challenge("Password:"));
        assert_eq!(exchange.answer(b"c2VjcmV0"), checks(None, "", "secret"));
    }

    /// RFC 2195 section 2.
    #[test]
    fn cram_md5_is_that_of_rfc_2195() {
        let mut exchange = begun("CRAM-MD5");
        let asked = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        assert_eq!(exchange.open(None), Turn::Challenge(asked.into()));
        let answer = b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
        let Turn::Check(credentials) = exchange.answer(answer) else { panic!("no credentials") };
        assert_eq!(credentials.name, "tim");
        assert!(credentials.proof.fits(&"tanstaaftanstaaf".into()));
        assert_eq!(begun("CRAM-MD5").open(Some(answer)), Turn::Malformed);
        assert_eq!(begun("CRAM-MD5").open(Some(b"=")), Turn::Malformed);
    }

    #[test]
    fn a_cram_md5_message_is_a_name_and_a_digest() {
        let digest = "b913a602c7eda7a495b4e6e7334d3890";
        let message = |message: &str| {
            let mut exchange = begun("CRAM-MD5");
            exchange.open(None);
            exchange.answer(STANDARD.encode(message).as_bytes())
        };
        let two_words = message(&format!("tim berners {digest}"));
        assert!(
            matches!(two_words, Turn::Check(Credentials { name, .. }) if name == "tim berners")
        );
        for wrong in [String::new(), digest.into(), "tim".into(), format!("tim {digest}0")] {
            assert_eq!(message(&wrong), Turn::Malformed, "{wrong}");
        }
    }

    /// The example that Google publishes for SMTP, with its answer to a wrong token.
    #[test]
    fn xoauth2_is_the_one_that_google_publishes() {
        let line = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52\
                    YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";
        let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        let mut exchange = begun("XOAUTH2");
        let turn = exchange.open(Some(line.as_bytes()));
        assert_eq!(turn, checks(None, "someuser@example.com", token));
        let error = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;
        assert_eq!(exchange.refused(), challenge(error));
        assert_eq!(exchange.answer(b""), Turn::Refused);
        assert_eq!(exchange.answer(b""), Turn::Malformed);
    }

    /// RFC 7628 sections 4.1 and 4.3.
    #[test]
    fn oauthbearer_is_that_of_rfc_7628() {
        let line = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1\
                    dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let mut exchange = begun("OAUTHBEARER");
        let turn = exchange.open(Some(line.as_bytes()));
        assert_eq!(turn, checks(None, "user@example.com", token));
        assert_eq!(exchange.refused(), challenge(r#"{"status":"invalid_token"}"#));
        assert_eq!(exchange.answer(b"AQ=="), Turn::Refused);
        let discovery = "n,,\x01auth=\x01\x01";
        assert_eq!(at_once("OAUTHBEARER", discovery), checks(None, "", ""));
    }

    #[test]
    fn tokens_come_in_one_form() {
        let message = |header: &str, pairs: &str| {
            at_once("OAUTHBEARER", &format!("{header}\x01{pairs}\x01\x01"))
        };
        assert_eq!(message("y,a=a=2Cb=3Dc,", "auth=bearer t"), checks(None, "a,b=c", "t"));
        for (header, pairs) in [
            ("n", "auth=Bearer t"),
            ("n,", "auth=Bearer t"),
            ("p=tls-unique,,", "auth=Bearer t"),
            ("n,b=c,", "auth=Bearer t"),
            ("n,a=b=2,", "auth=Bearer t"),
            ("n,a=b,c,", "auth=Bearer t"),
            ("n,,", "auth=Basic t"),
            ("n,,", "auth=t"),
            ("n,,", "host=h"),
            ("n,,", ""),
        ] {
            assert_eq!(message(header, pairs), Turn::Malformed, "{header} {pairs}");
        }
        for message in ["user=ada", "user=ada\x01auth=Bearer t\x01", "ada\x01auth=Bearer t\x01\x01"]
        {
            assert_eq!(at_once("XOAUTH2", message), Turn::Malformed, "{message}");
        }
    }

    #[test]
    fn a_star_cancels_and_what_is_no_base64_ends_the_exchange() {
        for mechanism in EnumSet::<Mechanism>::all() {
            let mut exchange = begun(mechanism.name());
            exchange.open(None);
            assert_eq!(exchange.answer(b"*"), Turn::Cancelled);
            for line in [&b"?"[..], b"dGlt ", b"dGl", b"dGlt=", b"=", b"\xff", b"dGlu\r"] {
                let mut exchange = begun(mechanism.name());
                exchange.open(None);
                assert_eq!(exchange.answer(line), Turn::Malformed, "{mechanism:?} {line:?}");
                assert_eq!(exchange.answer(b"AHRpbQBzZWNyZXQ="), Turn::Malformed);
            }
        }
        assert_eq!(begun("PLAIN").open(Some(b"*")), Turn::Malformed);
        assert_eq!(begun("PLAIN").open(Some(b"=")), Turn::Malformed);
    }

    #[test]
    fn a_client_may_cancel_after_the_error_too() {
        let mut exchange = begun("XOAUTH2");
        exchange.open(None);
        exchange.refused();
        assert_eq!(exchange.answer(b"*"), Turn::Cancelled);
    }

    #[test]
    fn a_challenge_has_the_form_of_a_message_identifier() {
        assert_eq!(timestamp(4_711, 1_767_225_600, "localhost"), "<4711.1767225600@localhost>");
    }
}
