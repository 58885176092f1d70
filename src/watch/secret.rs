//! The secret parts of a conversation: the argument of PASS, the digest of APOP, the credentials
//! after AUTH, and the client's lines in the exchange that follows (RFC 4954, RFC 5034). These are
//! found even on servers that never offered AUTH, because clients send it to them too. What hides
//! them is in [`crate::watch::event`].

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use memchr::memchr2;

/// SASL mechanisms that clients name (RFC 4422), in upper case.
const MECHANISMS: [&[u8]; 25] = [
    b"PLAIN",
    b"LOGIN",
    b"CRAM-MD5",
    b"XOAUTH2",
    b"XOAUTH",
    b"OAUTHBEARER",
    b"DIGEST-MD5",
    b"SCRAM-SHA-1-PLUS",
    b"SCRAM-SHA-1",
    b"SCRAM-SHA-256-PLUS",
    b"SCRAM-SHA-256",
    b"SCRAM-SHA-512-PLUS",
    b"SCRAM-SHA-512",
    b"NTLM",
    b"GSSAPI",
    b"GSS-SPNEGO",
    b"GS2-KRB5-PLUS",
    b"GS2-KRB5",
    b"GS2-IAKERB",
    b"KERBEROS_V4",
    b"KERBEROS_V5",
    b"EXTERNAL",
    b"ANONYMOUS",
    b"SECURID",
    b"OTP",
];

/// Maximum octets of a mechanism's name (RFC 4422 section 3.1).
const MECHANISM_MOST: usize = 20;

/// A word without a dash that is longer than this, and names no known mechanism, is taken for a
/// secret in the place of one.
const PLAIN_NAME_MOST: usize = 7;

/// The commands of SMTP, POP3 and echo, also those that nobody offers: a client that sends one of
/// them is done with a refused login.
const COMMANDS: [&[u8]; 42] = [
    b"MAIL",
    b"RCPT",
    b"DATA",
    b"QUIT",
    b"RSET",
    b"NOOP",
    b"HELO",
    b"EHLO",
    b"LHLO",
    b"AUTH",
    b"USER",
    b"PASS",
    b"APOP",
    b"STAT",
    b"LIST",
    b"UIDL",
    b"RETR",
    b"DELE",
    b"TOP",
    b"LAST",
    b"CAPA",
    b"STLS",
    b"UTF8",
    b"LANG",
    b"RPOP",
    b"XTND",
    b"STARTTLS",
    b"BDAT",
    b"VRFY",
    b"EXPN",
    b"HELP",
    b"SEND",
    b"SOML",
    b"SAML",
    b"TURN",
    b"ATRN",
    b"ETRN",
    b"BURL",
    b"XCLIENT",
    b"XFORWARD",
    b"ECHO",
    b"AUTHENTICATE",
];

/// What kind of secret a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The argument of PASS.
    Password,
    /// What stands behind AUTH and its mechanism, or APOP's digest.
    Login,
}

/// Where the first secret of a client's line begins (whole, overlong or unfinished), among those
/// that `hidden` names; `None` if it holds none. All of the line from there on is taken for secret.
///
/// A client that ends its lines by a lone LF or CR sends several commands in what is one line to a
/// server, so each of them is looked at.
#[must_use]
pub fn secret_from(line: &[u8], hidden: impl Fn(Secret) -> bool) -> Option<usize> {
    let mut from = 0;
    for command in commands(line) {
        if let Some((kind, at)) = secret_of(command, line.get(from..)?)
            && hidden(kind)
        {
            return Some(from + at);
        }
        from += command.len() + 1;
    }
    None
}

/// The pieces of a line between lone CRs and LFs.
fn commands(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (command, behind) = match memchr2(b'\r', b'\n', line) {
            Some(end) => (line.get(..end), line.get(end + 1..)),
            None => (Some(line), None),
        };
        rest = behind;
        command
    })
}

/// The secret of one command, and where it begins. `line` is the command with everything behind it:
/// what follows AUTH are answers, so that a secret may begin there.
fn secret_of(command: &[u8], line: &[u8]) -> Option<(Secret, usize)> {
    let from = indent(command);
    let bare = command.get(from..)?;
    let keyword = bare.get(..4)?;
    if keyword.eq_ignore_ascii_case(b"PASS") {
        return (bare.len() > 4).then_some((Secret::Password, from + 4));
    }
    let open = match keyword {
        _ if keyword.eq_ignore_ascii_case(b"APOP") => from + behind_apop(bare)?,
        _ => from + behind_auth(bare)?,
    };
    let has_any = line.get(open..)?.iter().any(|octet| !octet.is_ascii_whitespace());
    // Without a mechanism AUTH asks for their list (RFC 1734), and no answer follows.
    let is_list = open == from + 4 && open == command.trim_ascii_end().len();
    (has_any && !is_list).then_some((Secret::Login, open))
}

/// Octets before a command that nobody would see: blanks, control octets, a byte order mark.
fn indent(command: &[u8]) -> usize {
    command.iter().take_while(|octet| !octet.is_ascii_graphic()).count()
}

/// Index of the first octet behind the name that APOP is given, even if no blank is before it.
/// `None` if nothing follows.
fn behind_apop(command: &[u8]) -> Option<usize> {
    let rest = command.get(4..)?;
    let blanks = rest.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let name = rest.get(blanks..)?;
    let length = name.iter().position(u8::is_ascii_whitespace)?;
    Some(4 + blanks + length)
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
    let blanks = rest.iter().take_while(|octet| separates(**octet)).count();
    let word = rest.get(blanks..)?;
    let length = word.iter().take_while(|octet| is_of_name(**octet)).count();
    let (word, behind) = word.split_at_checked(length)?;
    match (blanks, name_in(word, behind)) {
        // Another word that begins with AUTH. Without a blank only a known name counts
        // (`AUTHPLAIN`).
        (0, Name::Other | Name::None) if !rest.is_empty() => None,
        (_, Name::None) => Some(behind_keyword),
        (_, Name::Known(octets)) => Some(behind_keyword + blanks + octets),
        (_, Name::Other) => Some(behind_keyword + blanks + length),
    }
}

/// Whether an octet may stand between AUTH and its mechanism, whatever a client is up to; not one
/// with which a secret could begin.
const fn separates(octet: u8) -> bool {
    octet.is_ascii_whitespace() || octet.is_ascii_punctuation() && !matches!(octet, b'+' | b'/')
}

const fn is_of_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

/// What stands in the place of a mechanism.
enum Name {
    /// A known one with so many octets. What is glued to it is secret.
    Known(usize),
    /// Probably one.
    Other,
    /// None: perhaps the secret itself.
    None,
}

/// `behind` is what follows the word.
fn name_in(word: &[u8], behind: &[u8]) -> Name {
    let known =
        MECHANISMS.iter().filter(|known| starts(word, known)).map(|known| known.len()).max();
    if known == Some(word.len()) {
        return Name::Known(word.len());
    }
    // The beginning of a known name may be all that has arrived.
    let is_begun = !word.is_empty() && MECHANISMS.iter().any(|known| starts(known, word));
    let is_whole = behind.first().is_none_or(u8::is_ascii_whitespace);
    if is_whole && (is_begun || known.is_none() && has_shape_of_name(word, behind)) {
        return Name::Other;
    }
    known.map_or(Name::None, Name::Known)
}

fn starts(word: &[u8], start: &[u8]) -> bool {
    word.get(..start.len()).is_some_and(|its| its.eq_ignore_ascii_case(start))
}

/// Names are in upper case (RFC 4422 section 3.1); a word with lower-case letters may be the secret
/// itself. So may a long word alone; with something behind it, that is the secret.
fn has_shape_of_name(word: &[u8], behind: &[u8]) -> bool {
    let has_dash = word.iter().any(|octet| matches!(octet, b'-' | b'_'));
    let is_last = behind.trim_ascii().is_empty();
    let most = if is_last && !has_dash { PLAIN_NAME_MOST } else { MECHANISM_MOST };
    (1..=most).contains(&word.len())
        && !word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_uppercase)
}

/// The progress of a login, derived from the lines of the conversation. Shared: one task reports
/// the lines, and others may ask at the same time.
#[derive(Debug, Default)]
pub struct Login(AtomicU8);

/// No login is in progress.
const NONE: u8 = 0;

/// AUTH was sent, and either not answered yet or refused. Clients that do not wait for the server, or
/// do not heed it, send their answers all the same.
const SAID: u8 = 1;

/// The server has asked for an answer.
const ASKED: u8 = 2;

/// What cancels an exchange (RFC 4954 section 4).
const CANCEL: &[u8] = b"*";

impl Login {
    /// Takes a line of the client; returns whether all of it is an answer, and so is secret.
    pub fn hears_client(&self, line: &[u8]) -> bool {
        let before = self.0.load(Relaxed);
        let is_answer = match before {
            ASKED => line != CANCEL,
            SAID => !is_command(line, Complete::Yes),
            _ => false,
        };
        self.0.store(
            if is_answer || is_auth(line) { SAID } else { after_open(before, line) },
            Relaxed,
        );
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

    /// Whether a client's line that begins with `line` and has not ended is expected to be an answer.
    /// The beginning of a command may be the beginning of an answer just as well, until a blank is
    /// behind it.
    #[must_use]
    pub fn expects(&self, line: &[u8]) -> bool {
        match self.0.load(Relaxed) {
            ASKED => line != CANCEL,
            SAID => !is_command(line, Complete::No),
            _ => false,
        }
    }
}

/// The state after a line of the client that is no answer and no AUTH.
fn after_open(before: u8, line: &[u8]) -> u8 {
    // Cancelling what was refused already ends nothing, nor does an empty line: more answers may
    // follow.
    let is_nothing = line == CANCEL || line.trim_ascii().is_empty();
    if before == SAID && is_nothing { SAID } else { NONE }
}

fn is_auth(line: &[u8]) -> bool {
    commands(line).any(|command| {
        let command = command.get(indent(command)..).unwrap_or_default();
        // AUTH alone asks for the list of mechanisms (RFC 1734).
        command.trim_ascii_end().len() > 4 && behind_auth(command).is_some()
    })
}

/// Whether a line has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complete {
    Yes,
    No,
}

/// Whether everything in the line is a known command, or the sign that cancels.
fn is_command(line: &[u8], complete: Complete) -> bool {
    let mut commands = commands(line).peekable();
    while let Some(command) = commands.next() {
        // A lone CR or LF ends a command too, for a client that sends it.
        let complete = if commands.peek().is_some() { Complete::Yes } else { complete };
        if !is_known(command, complete) {
            return line == CANCEL;
        }
    }
    true
}

fn is_known(command: &[u8], complete: Complete) -> bool {
    let command = command.trim_ascii_start();
    let end = command.iter().position(u8::is_ascii_whitespace);
    let word = command.get(..end.unwrap_or(command.len())).unwrap_or_default();
    let has_ended = end.is_some() || complete == Complete::Yes;
    word.is_empty()
        || has_ended && COMMANDS.iter().any(|known| word.eq_ignore_ascii_case(known))
        || behind_auth(command).is_some_and(|open| open > b"AUTH ".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The open part of a line, and whether a secret follows it.
    fn open_part(line: &str) -> (&str, bool) {
        match secret_from(line.as_bytes(), |_| true) {
            Some(from) => (&line[..from], true),
            None => (line, false),
        }
    }

    #[test]
    fn what_follows_pass_is_secret() {
        assert_eq!(open_part("PASS cis505"), ("PASS", true));
        assert_eq!(open_part("  pass\tx"), ("  pass", true));
        assert_eq!(open_part("\0PASS x"), ("\0PASS", true));
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
    fn what_is_glued_to_a_mechanism_is_secret() {
        assert_eq!(open_part("AUTHPLAINAGJvYg=="), ("AUTHPLAIN", true));
        assert_eq!(open_part("AUTH LOGINYm9i"), ("AUTH LOGIN", true));
        assert_eq!(open_part("AUTH PLAIN=AGJv"), ("AUTH PLAIN", true));
    }

    #[test]
    fn what_stands_in_the_place_of_a_mechanism_may_be_secret_too() {
        assert_eq!(open_part("AUTH AGJvYgBjaXM1MDU="), ("AUTH", true));
        assert_eq!(open_part("AUTH AGJvYgBjaXM"), ("AUTH", true));
        assert_eq!(open_part("AUTH \0bob\0cis505"), ("AUTH", true));
        assert_eq!(open_part("AUTH \0\0SECRET"), ("AUTH", true));
        assert_eq!(open_part("AUTH ABCD+EFGH"), ("AUTH", true));
        assert_eq!(open_part("AUTH +ABCDEF"), ("AUTH", true));
        assert_eq!(open_part("AUTH ABCDEFGH"), ("AUTH", true));
    }

    #[test]
    fn what_follows_the_name_that_apop_has_is_secret() {
        let digest = "c4c9334bac560ecc979e58001b3e22fb";
        assert_eq!(open_part(&format!("APOP mrose {digest}")), ("APOP mrose", true));
        assert_eq!(open_part(&format!("apop\tmrose  {digest}")), ("apop\tmrose", true));
        assert_eq!(open_part(&format!("APOPmrose {digest}")), ("APOPmrose", true));
        for line in ["APOP", "APOP mrose", "APOP mrose "] {
            assert_eq!(open_part(line), (line, false));
        }
    }

    #[test]
    fn a_secret_is_found_behind_a_lone_lf_or_cr_too() {
        assert_eq!(open_part("USER bob\nPASS x\nSTAT\n"), ("USER bob\nPASS", true));
        assert_eq!(open_part("NOOP\rAUTH PLAIN x"), ("NOOP\rAUTH PLAIN", true));
        assert_eq!(open_part("AUTH LOGIN\nYm9i\nY2lz"), ("AUTH LOGIN", true));
        assert_eq!(open_part("AUTH\nNOOP\n"), ("AUTH\nNOOP\n", false));
    }

    #[test]
    fn one_kind_of_secret_may_be_shown_and_the_other_hidden() {
        let login_from = |line: &str| secret_from(line.as_bytes(), |kind| kind == Secret::Login);
        assert_eq!(login_from("PASS cis505"), None);
        assert_eq!(login_from("PASS cis505\nAUTH PLAIN AGJv"), Some(22));
        assert_eq!(login_from("APOP bob c4c9"), Some(8));
    }

    #[test]
    fn what_holds_no_secret_is_shown() {
        for line in [
            "AUTH",
            "AUTH ",
            "AUTH LOGIN",
            "AUTH PLAIN ",
            "AUTH FOO",
            "AUTH X-NEW_ONE",
            "AUTH PLA",
            "auth scram-sha-25",
            "AUTHOR me",
            "AUTHPLA",
            "STAT",
            "A",
            "",
            "USER pass",
            "ECHO PASS x",
        ] {
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
            ["AUTH LOGIN", "S:334 VXNlcm5hbWU6", "QUIT", "S:334 UGFzcw==", "my word", "S:235 ok"];
        assert_eq!(answers(&[&smtp[..], &["NOOP", "abc"]].concat()), ["QUIT", "my word"]);
        assert_eq!(answers(&["AUTH PLAIN", "S:+ ", "AGJv", "S:+OK", "STAT"]), ["AGJv"]);
        assert_eq!(answers(&["AUTH PLAIN", "S:334 ", "*", "S:501 no", "QUIT"]), Vec::<&str>::new());
    }

    #[test]
    fn clients_that_do_not_heed_a_refusal_send_answers_too() {
        let lines = [
            "AUTH LOGIN",
            "S:502 no",
            "Ym9i",
            "S:500 what",
            "my word",
            "S:500 what",
            "QUIT",
            "abc",
        ];
        assert_eq!(answers(&lines), ["Ym9i", "my word"]);
        let lines = ["AUTHLOGIN", "S:500 no", "*", "S:500 no", "", "S:500 no", "Ym9i", "S:500 no"];
        assert_eq!(answers(&lines), ["Ym9i"]);
        let lines = ["AUTH PLAIN AGJv", "S:-ERR no", "USER bob", "Ym9i"];
        assert_eq!(answers(&lines), Vec::<&str>::new());
    }

    #[test]
    fn a_command_of_the_same_line_is_not_the_end_of_a_refused_login() {
        assert_eq!(answers(&["AUTH LOGIN", "S:502 no", "NOOP\nYm9i"]), ["NOOP\nYm9i"]);
        assert_eq!(answers(&["NOOP\nAUTH LOGIN", "S:500 no", "Ym9i"]), ["Ym9i"]);
    }

    #[test]
    fn outside_of_a_login_nothing_is_an_answer() {
        assert_eq!(answers(&["AUTH", "S:-ERR no", "Ym9i", "S:334 x", "Ym9i"]), Vec::<&str>::new());
    }

    #[test]
    fn the_beginning_of_a_command_may_be_that_of_an_answer() {
        let login = Login::default();
        login.hears_client(b"AUTH LOGIN");
        login.hears_server(b"502 no");
        for line in ["Q", "QUIT", "Ym9i", "MAILx"] {
            assert!(login.expects(line.as_bytes()), "{line}");
        }
        for line in ["MAIL F", "QUIT\r", "*", "", "AUTH PLAIN x"] {
            assert!(!login.expects(line.as_bytes()), "{line}");
        }
    }
}
