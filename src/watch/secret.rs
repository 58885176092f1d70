//! What of a conversation is secret: the argument of PASS, what a client logs in with behind AUTH,
//! and the lines of the exchange that follows (RFC 4954, RFC 5034). Clients send AUTH to servers that
//! have never offered it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The mechanisms that clients name (RFC 4422), or what their names begin with, in upper case.
const MECHANISMS: [&[u8]; 14] = [
    b"PLAIN",
    b"LOGIN",
    b"CRAM-",
    b"DIGEST-",
    b"SCRAM-",
    b"XOAUTH",
    b"OAUTHBEARER",
    b"NTLM",
    b"GSSAPI",
    b"GS2-",
    b"KERBEROS",
    b"EXTERNAL",
    b"ANONYMOUS",
    b"OTP",
];

/// Octets of a mechanism's name at most (RFC 4422 section 3.1).
const MECHANISM_MOST: usize = 20;

/// Commands without an argument, which could be taken for base64.
const COMMANDS: [&[u8]; 17] = [
    b"QUIT",
    b"RSET",
    b"NOOP",
    b"DATA",
    b"HELP",
    b"TURN",
    b"STAT",
    b"LIST",
    b"UIDL",
    b"CAPA",
    b"STLS",
    b"STARTTLS",
    b"EHLO",
    b"HELO",
    b"LANG",
    b"UTF8",
    b"PASS",
];

/// From which octet on a client's line (whole, overlong or unfinished) is secret, if any of it is.
#[must_use]
pub fn secret_from(line: &[u8]) -> Option<usize> {
    let from = line.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let command = line.get(from..)?;
    let keyword = command.get(..4)?;
    if keyword.eq_ignore_ascii_case(b"PASS") && command.len() > 4 {
        return Some(from + 4);
    }
    let behind = behind_auth(command)?;
    let secret = command.get(behind..)?;
    let has_any = secret.iter().any(|octet| !octet.is_ascii_whitespace());
    has_any.then_some(from + behind)
}

/// Where in a command that begins with AUTH its argument is secret; `None`: it is no such command.
fn behind_auth(command: &[u8]) -> Option<usize> {
    let (keyword, rest) = command.split_at_checked(4)?;
    if !keyword.eq_ignore_ascii_case(b"AUTH") {
        return None;
    }
    // As IMAP and ManageSieve spell it.
    let long = b"ENTICATE";
    let is_long = rest.get(..long.len()).is_some_and(|word| word.eq_ignore_ascii_case(long));
    let rest = if is_long { rest.get(long.len()..)? } else { rest };
    let behind_keyword = command.len() - rest.len();
    let blanks = rest.iter().take_while(|octet| !octet.is_ascii_alphanumeric()).count();
    let mechanism = rest.get(blanks..)?;
    let length = mechanism.iter().take_while(|octet| is_of_name(**octet)).count();
    let mechanism = mechanism.get(..length)?;
    let is_mechanism = is_known(mechanism) || has_shape_of_name(mechanism);
    match blanks {
        _ if is_mechanism && (blanks > 0 || is_known(mechanism)) => {
            Some(behind_keyword + blanks + length)
        }
        // Another word that begins alike.
        0 if !rest.is_empty() => None,
        _ => Some(behind_keyword),
    }
}

const fn is_of_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

fn is_known(mechanism: &[u8]) -> bool {
    MECHANISMS.iter().any(|known| {
        mechanism.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
    })
}

fn has_shape_of_name(word: &[u8]) -> bool {
    (1..=MECHANISM_MOST).contains(&word.len())
        && !word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_uppercase)
}

/// How far a login is, as its lines go by. Watched by many, told by one.
#[derive(Debug, Default)]
pub struct Login(AtomicU8);

/// Nobody logs in.
const NONE: u8 = 0;

/// AUTH was said. Clients that do not wait for what it comes to send their answers at once.
const SAID: u8 = 1;

/// The server has asked for an answer.
const ASKED: u8 = 2;

impl Login {
    /// Takes a line of the client; says whether all of it is an answer, and secret.
    pub fn hears_client(&self, line: &[u8]) -> bool {
        let is_answer = self.expects(line);
        self.0.store(if is_answer || is_auth(line) { SAID } else { NONE }, Relaxed);
        is_answer
    }

    /// Takes a line of the server.
    pub fn hears_server(&self, line: &[u8]) {
        let before = self.0.load(Relaxed);
        let now = match line {
            _ if before == NONE => NONE,
            [b'3', b'3', b'4', ..] | [b'+'] | [b'+', b' ', ..] => ASKED,
            [b'2' | b'+', ..] => NONE,
            _ => SAID,
        };
        self.0.store(now, Relaxed);
    }

    /// Whether a line of the client, of which this has come so far, would be an answer.
    #[must_use]
    pub fn expects(&self, line: &[u8]) -> bool {
        match self.0.load(Relaxed) {
            // It takes back what it has begun.
            ASKED => line != b"*",
            SAID => has_shape_of_answer(line),
            _ => false,
        }
    }
}

fn is_auth(line: &[u8]) -> bool {
    let from = line.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let command = line.get(from..).unwrap_or_default();
    // Alone it asks which mechanisms there are (RFC 1734).
    command.trim_ascii_end().len() > 4 && behind_auth(command).is_some()
}

/// Base64, and no command.
fn has_shape_of_answer(line: &[u8]) -> bool {
    let is_of_answer = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
    !line.is_empty()
        && line.iter().all(is_of_answer)
        && !COMMANDS.iter().any(|command| line.eq_ignore_ascii_case(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a line, and whether there is a secret behind it.
    fn open_part(line: &str) -> (&str, bool) {
        match secret_from(line.as_bytes()) {
            Some(from) => (&line[..from], true),
            None => (line, false),
        }
    }

    #[test]
    fn what_follows_pass_is_secret() {
        assert_eq!(open_part("PASS cis505"), ("PASS", true));
        assert_eq!(open_part("  pass\tx"), ("  pass", true));
        assert_eq!(open_part("PASSx"), ("PASS", true));
        assert_eq!(open_part("PASS"), ("PASS", false));
    }

    #[test]
    fn what_follows_auth_and_its_mechanism_is_secret() {
        assert_eq!(open_part("AUTH PLAIN AGJvYgBjaXM1MDU="), ("AUTH PLAIN", true));
        assert_eq!(open_part("auth  login dXNlcg=="), ("auth  login", true));
        assert_eq!(open_part(" AUTH XOAUTH2 dXNl"), (" AUTH XOAUTH2", true));
        assert_eq!(open_part("AUTH SCRAM-SHA-256-PLUS cD10"), ("AUTH SCRAM-SHA-256-PLUS", true));
        assert_eq!(open_part("AUTH X-NEW_ONE dXNl"), ("AUTH X-NEW_ONE", true));
        assert_eq!(open_part("AUTHENTICATE PLAIN AGJv"), ("AUTHENTICATE PLAIN", true));
        assert_eq!(open_part("AUTH=PLAIN AGJv"), ("AUTH=PLAIN", true));
        assert_eq!(open_part("AUTHPLAIN AGJv"), ("AUTHPLAIN", true));
    }

    #[test]
    fn what_stands_in_the_place_of_a_mechanism_may_be_secret_too() {
        assert_eq!(open_part("AUTH AGJvYgBjaXM1MDU="), ("AUTH", true));
        assert_eq!(open_part("AUTH AGJvYgBjaXM"), ("AUTH", true));
        assert_eq!(open_part("AUTH \0bob\0cis505"), ("AUTH", true));
    }

    #[test]
    fn what_holds_no_secret_is_shown() {
        for line in ["AUTH", "AUTH ", "AUTH LOGIN", "AUTH PLAIN ", "AUTHOR me", "STAT", "A", ""] {
            assert_eq!(open_part(line), (line, false));
        }
        assert!(!open_part("Authentication-Results: mx; pass").1);
    }

    /// Which of the lines are answers; the server's begin with `S:`.
    fn answers<'a>(lines: &[&'a str]) -> Vec<&'a str> {
        let login = Login::default();
        let is_answer = |line: &&&str| match line.strip_prefix("S:") {
            Some(reply) => {
                login.hears_server(reply.as_bytes());
                false
            }
            None => login.hears_client(line.as_bytes()),
        };
        lines.iter().filter(is_answer).copied().collect()
    }

    #[test]
    fn what_the_server_asks_for_is_an_answer_whatever_it_looks_like() {
        let smtp =
            ["AUTH LOGIN", "S:334 VXNlcm5hbWU6", "bob", "S:334 UGFzcw==", "my word", "S:235 ok"];
        assert_eq!(answers(&[&smtp[..], &["NOOP", "abc"]].concat()), ["bob", "my word"]);
        assert_eq!(answers(&["AUTH PLAIN", "S:+ ", "AGJv", "S:+OK", "STAT"]), ["AGJv"]);
        assert_eq!(answers(&["AUTH PLAIN", "S:334 ", "*", "S:501 no", "QUIT"]), Vec::<&str>::new());
    }

    #[test]
    fn clients_that_do_not_wait_for_a_refusal_send_answers_too() {
        let lines =
            ["AUTH LOGIN", "S:502 no", "Ym9i", "S:500 what", "Y2lzNTA1", "S:500 what", "QUIT"];
        assert_eq!(answers(&lines), ["Ym9i", "Y2lzNTA1"]);
        assert_eq!(
            answers(&["AUTH PLAIN AGJv", "S:-ERR no", "USER bob", "Ym9i"]),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn outside_of_a_login_nothing_is_an_answer() {
        assert_eq!(answers(&["AUTH", "S:-ERR no", "Ym9i", "S:334 x", "Ym9i"]), Vec::<&str>::new());
    }
}
