//! The secret parts of a conversation: the argument of PASS, the credentials after AUTH, and the
//! client's lines in the exchange that follows (RFC 4954, RFC 5034). These are found even on
//! servers that never offered AUTH, because clients send it to them too.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// SASL mechanisms that clients name (RFC 4422), or the beginnings of their names, in upper case.
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

/// Maximum octets of a mechanism's name (RFC 4422 section 3.1).
const MECHANISM_MOST: usize = 20;

/// Commands that may stand without an argument and could be mistaken for base64.
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

/// Index of the first secret octet of a client's line (whole, overlong or unfinished); `None` if
/// nothing in it is secret.
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

/// Index of the first secret octet of an AUTH command; `None` if it is another command.
fn behind_auth(command: &[u8]) -> Option<usize> {
    let (keyword, rest) = command.split_at_checked(4)?;
    if !keyword.eq_ignore_ascii_case(b"AUTH") {
        return None;
    }
    // AUTHENTICATE, as IMAP and ManageSieve spell it.
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
        // Without a blank only a known name counts (`AUTHPLAIN`): it may be another command.
        _ if is_mechanism && (blanks > 0 || is_known(mechanism)) => {
            Some(behind_keyword + blanks + length)
        }
        // Another word that begins with AUTH.
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
    // Names are in upper case (RFC 4422 section 3.1); a word with lower-case letters may be the
    // secret itself.
    (1..=MECHANISM_MOST).contains(&word.len())
        && !word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_uppercase)
}

/// The progress of a login, derived from the lines of the conversation. Shared: one task reports
/// the lines, and others may ask at the same time.
#[derive(Debug, Default)]
pub struct Login(AtomicU8);

/// No login is in progress.
const NONE: u8 = 0;

/// AUTH was sent, with no request for an answer yet. Clients that do not wait for the server send
/// their answers at once.
const SAID: u8 = 1;

/// The server has asked for an answer.
const ASKED: u8 = 2;

impl Login {
    /// Takes a line of the client; returns whether all of it is an answer, and so is secret.
    pub fn hears_client(&self, line: &[u8]) -> bool {
        let is_answer = self.expects(line);
        // After an answer the server may ask for another one.
        self.0.store(if is_answer || is_auth(line) { SAID } else { NONE }, Relaxed);
        is_answer
    }

    /// Takes a line of the server.
    pub fn hears_server(&self, line: &[u8]) {
        let before = self.0.load(Relaxed);
        // SMTP asks for an answer by 334 (RFC 4954), POP3 by `+` (RFC 5034).
        let now = match line {
            _ if before == NONE => NONE,
            [b'3', b'3', b'4', ..] | [b'+'] | [b'+', b' ', ..] => ASKED,
            // Accepted: the login is over.
            [b'2' | b'+', ..] => NONE,
            // Refused. A client that did not wait for this reply may still send its answers.
            _ => SAID,
        };
        self.0.store(now, Relaxed);
    }

    /// Whether a client's line that begins with `line` is expected to be an answer.
    #[must_use]
    pub fn expects(&self, line: &[u8]) -> bool {
        match self.0.load(Relaxed) {
            // `*` cancels the exchange (RFC 4954 section 4).
            ASKED => line != b"*",
            // Not asked for yet, so only what looks like an answer counts as one.
            SAID => has_shape_of_answer(line),
            _ => false,
        }
    }
}

fn is_auth(line: &[u8]) -> bool {
    let from = line.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let command = line.get(from..).unwrap_or_default();
    // AUTH alone asks for the list of mechanisms (RFC 1734).
    command.trim_ascii_end().len() > 4 && behind_auth(command).is_some()
}

/// Whether the line is base64 and not a command.
fn has_shape_of_answer(line: &[u8]) -> bool {
    let is_of_answer = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
    !line.is_empty()
        && line.iter().all(is_of_answer)
        && !COMMANDS.iter().any(|command| line.eq_ignore_ascii_case(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The open part of a line, and whether a secret follows it.
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

    /// Which of the lines are answers; those of the server begin with `S:`.
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
