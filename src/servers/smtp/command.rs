//! Parses SMTP command lines (RFC 821 section 4.1). Independent of the session's state: the session
//! decides whether a command is allowed.

use std::fmt;

use crate::mail::address::{Domain, ForwardPath, Malformed, ReversePath};

/// A command that the server supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpCommand {
    /// `HELO <domain>`, with the name the client gives.
    Helo(String),
    /// `MAIL FROM:<reverse-path>`.
    Mail(ReversePath),
    /// `RCPT TO:<forward-path>`.
    Rcpt(ForwardPath),
    /// `DATA`.
    Data,
    /// `RSET`.
    Rset,
    /// `NOOP`; an argument is ignored.
    Noop,
    /// `QUIT`.
    Quit,
}

/// Why a line is no command of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpRefusal {
    /// The verb is unknown.
    Unrecognized,
    /// The verb belongs to SMTP or ESMTP, but is not supported here.
    NotImplemented,
    /// The argument is missing, malformed or not allowed.
    Argument,
    /// There is a parameter after a path, which only extensions allow, and the server offers none.
    Parameter,
}

/// Parses the argument of a verb.
type Parse = fn(&str) -> Result<SmtpCommand, SmtpRefusal>;

/// The known verbs, the most frequent ones first.
static VERBS: [(&str, Parse); 17] = [
    ("MAIL", mail),
    ("RCPT", rcpt),
    ("DATA", |argument| without_argument(argument, SmtpCommand::Data)),
    ("HELO", helo),
    ("RSET", |argument| without_argument(argument, SmtpCommand::Rset)),
    ("NOOP", |_| Ok(SmtpCommand::Noop)),
    ("QUIT", |argument| without_argument(argument, SmtpCommand::Quit)),
    // A client that is refused EHLO falls back to HELO.
    ("EHLO", not_implemented),
    ("VRFY", not_implemented),
    ("EXPN", not_implemented),
    ("HELP", not_implemented),
    ("SEND", not_implemented),
    ("SOML", not_implemented),
    ("SAML", not_implemented),
    ("TURN", not_implemented),
    ("AUTH", not_implemented),
    ("STARTTLS", not_implemented),
];

impl SmtpCommand {
    /// Parses a line, given without its CRLF.
    ///
    /// # Errors
    ///
    /// Why the line is not a valid command.
    pub fn parse(line: &[u8]) -> Result<Self, SmtpRefusal> {
        let (&(_, parse), argument) = split(line).ok_or(SmtpRefusal::Unrecognized)?;
        parse(printable(argument)?.trim_start_matches(' '))
    }
}

/// The verb of a line, in capitals, if it is known, even if it is not supported.
#[must_use]
pub fn verb(line: &[u8]) -> Option<&'static str> {
    split(line).map(|(&(verb, _), _)| verb)
}

/// The table row of the line's verb, and the argument.
fn split(line: &[u8]) -> Option<(&'static (&'static str, Parse), &[u8])> {
    let line = trim_end(line);
    let blank = line.iter().position(|&byte| byte == b' ');
    let (verb, argument) = line.split_at(blank.unwrap_or(line.len()));
    let row = VERBS.iter().find(|(known, _)| verb.eq_ignore_ascii_case(known.as_bytes()))?;
    Some((row, argument))
}

/// RFC 5321 section 4.1.1: servers should tolerate trailing white space.
fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|&&byte| matches!(byte, b' ' | b'\t'));
    line.get(..line.len() - blanks.count()).unwrap_or(line)
}

/// RFC 5321 section 4.1.2: a byte that is not printable ASCII makes the whole line invalid. Cutting
/// the line there could execute a different command.
fn printable(argument: &[u8]) -> Result<&str, SmtpRefusal> {
    match std::str::from_utf8(argument) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) => Ok(text),
        _ => Err(SmtpRefusal::Argument),
    }
}

fn not_implemented(_: &str) -> Result<SmtpCommand, SmtpRefusal> {
    Err(SmtpRefusal::NotImplemented)
}

fn without_argument(argument: &str, command: SmtpCommand) -> Result<SmtpCommand, SmtpRefusal> {
    if argument.is_empty() {
        return Ok(command);
    }
    Err(SmtpRefusal::Argument)
}

/// The name is not used for decisions, so underscores and a final dot are accepted.
fn helo(argument: &str) -> Result<SmtpCommand, SmtpRefusal> {
    let name = argument.strip_suffix('.').unwrap_or(argument);
    Domain::parse(&name.replace('_', "x"))?;
    Ok(SmtpCommand::Helo(name.into()))
}

fn mail(argument: &str) -> Result<SmtpCommand, SmtpRefusal> {
    let (path, rest) = ReversePath::take(path_behind("FROM:", argument)?)?;
    no_parameters(rest)?;
    Ok(SmtpCommand::Mail(path))
}

fn rcpt(argument: &str) -> Result<SmtpCommand, SmtpRefusal> {
    let (path, rest) = ForwardPath::take(path_behind("TO:", argument)?)?;
    no_parameters(rest)?;
    Ok(SmtpCommand::Rcpt(path))
}

fn path_behind<'a>(keyword: &str, argument: &'a str) -> Result<&'a str, SmtpRefusal> {
    match argument.split_at_checked(keyword.len()) {
        Some((found, path)) if found.eq_ignore_ascii_case(keyword) => {
            Ok(path.trim_start_matches(' '))
        }
        _ => Err(SmtpRefusal::Argument),
    }
}

fn no_parameters(rest: &str) -> Result<(), SmtpRefusal> {
    if rest.is_empty() {
        return Ok(());
    }
    let parameters = rest.strip_prefix(' ').ok_or(SmtpRefusal::Argument)?;
    if parameters.split_ascii_whitespace().all(is_parameter) {
        return Err(SmtpRefusal::Parameter);
    }
    Err(SmtpRefusal::Argument)
}

/// `keyword` or `keyword=value` (RFC 5321 section 4.1.2).
fn is_parameter(text: &str) -> bool {
    let keyword = text.split('=').next().unwrap_or_default();
    !keyword.is_empty() && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl From<Malformed> for SmtpRefusal {
    fn from(_: Malformed) -> Self {
        Self::Argument
    }
}

impl fmt::Display for SmtpCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helo(domain) => write!(f, "HELO {domain}"),
            Self::Mail(path) => write!(f, "MAIL FROM:{path}"),
            Self::Rcpt(path) => write!(f, "RCPT TO:{path}"),
            Self::Data => f.write_str("DATA"),
            Self::Rset => f.write_str("RSET"),
            Self::Noop => f.write_str("NOOP"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::address::tests::any_mailbox;
    use proptest::prelude::*;

    #[track_caller]
    fn reads(line: &str, command: &str) {
        let parsed = SmtpCommand::parse(line.as_bytes());
        assert_eq!(parsed.map(|parsed| parsed.to_string()), Ok(command.into()));
    }

    #[track_caller]
    fn refuses(refusal: SmtpRefusal, lines: &[&[u8]]) {
        for line in lines {
            let line_shown = String::from_utf8_lossy(line);
            assert_eq!(SmtpCommand::parse(line), Err(refusal), "{line_shown}");
        }
    }

    #[test]
    fn verbs_and_keywords_are_read_without_case() {
        reads("helo tester", "HELO tester");
        reads("mAiL fRoM:<A@b>", "MAIL FROM:<A@b>");
        reads("rcpt to:<A@b>", "RCPT TO:<A@b>");
        reads("data", "DATA");
    }

    #[test]
    fn a_verb_is_named_whatever_follows_it() {
        assert_eq!(verb(b"rcpt TO:<nonsense"), Some("RCPT"));
        assert_eq!(verb(b"QUIT \t "), Some("QUIT"));
        assert_eq!(verb(b"ehlo client"), Some("EHLO"));
        assert_eq!((verb(b""), verb(b"RCPTX"), verb(b" QUIT")), (None, None, None));
    }

    #[test]
    fn blanks_are_tolerated_after_the_verb_the_colon_and_the_line() {
        reads("MAIL   FROM:   <a@b>  \t", "MAIL FROM:<a@b>");
        reads("RCPT TO: <a@b> ", "RCPT TO:<a@b>");
        reads("DATA \t ", "DATA");
        reads("QUIT ", "QUIT");
        reads("HELO  [127.0.0.1] ", "HELO [127.0.0.1]");
    }

    #[test]
    fn a_wrong_argument_is_refused() {
        refuses(
            SmtpRefusal::Argument,
            &[
                b"HELO",
                b"HELO ",
                b"HELO a b",
                b"HELO <x>",
                b"HELO a..b",
                b"HELO a..",
                b"HELO .",
                b"MAIL",
                b"MAIL FROM",
                b"MAIL FROM:",
                b"MAIL FROM:a@b",
                b"MAIL <a@b>",
                b"MAIL FROM :<a@b>",
                b"MAIL FROM:<a@b>x",
                b"MAIL FROM:<a@b> <c@d>",
                b"MAIL TO:<a@b>",
                b"RCPT",
                b"RCPT TO:",
                b"RCPT TO:<>",
                b"RCPT TO:<a>",
                b"DATA x",
                b"RSET x",
                b"QUIT x",
            ],
        );
    }

    #[test]
    fn a_parameter_is_refused_as_such() {
        refuses(
            SmtpRefusal::Parameter,
            &[
                b"MAIL FROM:<a@b> SIZE=100",
                b"MAIL FROM:<> BODY=8BITMIME SIZE=1",
                b"RCPT TO:<a@b> NOTIFY=NEVER",
            ],
        );
    }

    #[test]
    fn nul_and_eight_bit_bytes_spoil_the_line() {
        refuses(
            SmtpRefusal::Argument,
            &[
                b"MAIL FROM:<a@b>\0",
                b"MAIL FROM:<a\0@b>",
                b"RCPT TO:<\xe9@b>",
                b"NOOP \0",
                b"NOOP \xff",
                b"HELO a\0b",
                b"DATA \0",
                b"RSET \x80",
                b"NOOP a\nQUIT",
                b"NOOP a\r",
            ],
        );
        refuses(
            SmtpRefusal::Unrecognized,
            &[b"QUIT\0", b"\0QUIT", b"NOOP\xff", b"QUIT\r", b"NOOP\nQUIT", b"DATA\x0c"],
        );
    }

    #[test]
    fn verbs_that_are_not_offered_and_verbs_that_nobody_knows() {
        refuses(
            SmtpRefusal::NotImplemented,
            &[
                b"EHLO x",
                b"vrfy",
                b"EXPN a",
                b"HELP",
                b"SEND",
                b"SOML",
                b"SAML",
                b"TURN",
                b"AUTH PLAIN",
                b"STARTTLS",
            ],
        );
        refuses(
            SmtpRefusal::Unrecognized,
            &[b"", b" ", b" NOOP", b"BDAT 1", b"NOOPX", b"MAIL\tFROM:<a@b>", b"MAILFROM:<a@b>"],
        );
    }

    #[test]
    fn noop_may_have_an_argument() {
        reads("NOOP whatever it is", "NOOP");
    }

    fn any_command() -> impl Strategy<Value = SmtpCommand> {
        prop_oneof![
            "[a-z0-9]{1,20}(\\.[a-z_]{1,9}){0,3}".prop_map(SmtpCommand::Helo),
            Just(SmtpCommand::Mail(ReversePath::Null)),
            any_mailbox().prop_map(|mailbox| SmtpCommand::Mail(ReversePath::Mailbox(mailbox))),
            any_mailbox().prop_map(|mailbox| SmtpCommand::Rcpt(ForwardPath::Mailbox(mailbox))),
            Just(SmtpCommand::Rcpt(ForwardPath::Postmaster)),
            Just(SmtpCommand::Data),
            Just(SmtpCommand::Rset),
            Just(SmtpCommand::Noop),
            Just(SmtpCommand::Quit),
        ]
    }

    proptest! {
        #[test]
        fn a_rendered_command_parses_to_itself(command in any_command()) {
            prop_assert_eq!(SmtpCommand::parse(command.to_string().as_bytes()), Ok(command));
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = SmtpCommand::parse(&line);
        }
    }
}
