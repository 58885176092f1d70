//! Parses POP3 command lines (RFC 1939 section 3). Independent of the session's state: the session
//! decides whether a command is allowed.

use std::fmt;

/// A command that the server supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pop3Command {
    /// `USER name`.
    User(String),
    /// `PASS string`: everything after the first blank, including blanks.
    Pass(Vec<u8>),
    /// `STAT`.
    Stat,
    /// `LIST`, for one message or for all.
    List(Option<MessageNumber>),
    /// `UIDL`, for one message or for all.
    Uidl(Option<MessageNumber>),
    /// `RETR msg`.
    Retr(MessageNumber),
    /// `DELE msg`.
    Dele(MessageNumber),
    /// `NOOP`.
    Noop,
    /// `RSET`.
    Rset,
    /// `QUIT`.
    Quit,
}

/// Why a line is no command of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pop3Refusal {
    /// The keyword is unknown or not supported.
    NotSupported,
    /// The command needs an argument.
    ArgumentMissing,
    /// The command takes no argument.
    ArgumentNotTaken,
    /// The argument is not a message number: plain digits, not zero.
    NotANumber,
    /// The argument contains a NUL, a control character or a byte that is not ASCII.
    NotPrintable,
}

/// A message number, from 1. A number too large for `usize` is stored as the largest, since no
/// maildrop has that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNumber(usize);

/// The text after a keyword and one blank, if there is any.
type Argument<'a> = Option<&'a [u8]>;

/// Parses the argument of a keyword.
type Parse = fn(Argument<'_>) -> Result<Pop3Command, Pop3Refusal>;

static KEYWORDS: [(&str, Parse); 10] = [
    ("RETR", |argument| Ok(Pop3Command::Retr(number(argument)?))),
    ("DELE", |argument| Ok(Pop3Command::Dele(number(argument)?))),
    ("LIST", |argument| Ok(Pop3Command::List(number_if_any(argument)?))),
    ("UIDL", |argument| Ok(Pop3Command::Uidl(number_if_any(argument)?))),
    ("STAT", |argument| without_argument(argument, Pop3Command::Stat)),
    ("USER", user),
    ("PASS", pass),
    ("NOOP", |argument| without_argument(argument, Pop3Command::Noop)),
    ("RSET", |argument| without_argument(argument, Pop3Command::Rset)),
    ("QUIT", |argument| without_argument(argument, Pop3Command::Quit)),
];

impl Pop3Command {
    /// Parses a line, given without its CRLF.
    ///
    /// # Errors
    ///
    /// Why the line is not a valid command.
    pub fn parse(line: &[u8]) -> Result<Self, Pop3Refusal> {
        let (&(_, parse), argument) = split(line).ok_or(Pop3Refusal::NotSupported)?;
        parse(argument)
    }
}

/// The keyword of a line, in capitals, if the server supports it.
#[must_use]
pub fn keyword(line: &[u8]) -> Option<&'static str> {
    split(line).map(|(&(keyword, _), _)| keyword)
}

/// The table row of the line's keyword, and the argument.
fn split(line: &[u8]) -> Option<(&'static (&'static str, Parse), Argument<'_>)> {
    let blank = line.iter().position(|&byte| byte == b' ');
    let (keyword, rest) = line.split_at(blank.unwrap_or(line.len()));
    let row = KEYWORDS.iter().find(|(known, _)| keyword.eq_ignore_ascii_case(known.as_bytes()))?;
    Some((row, rest.get(1..)))
}

impl MessageNumber {
    /// The index of the message in the maildrop, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 - 1
    }

    /// Accepts leading zeros, but no signs, other characters or zero itself.
    fn parse(digits: &str) -> Result<Self, Pop3Refusal> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Pop3Refusal::NotANumber);
        }
        match digits.parse() {
            Ok(0) => Err(Pop3Refusal::NotANumber),
            Ok(number) => Ok(Self(number)),
            Err(_) => Ok(Self(usize::MAX)),
        }
    }
}

fn user(argument: Argument<'_>) -> Result<Pop3Command, Pop3Refusal> {
    match trimmed(argument)? {
        "" => Err(Pop3Refusal::ArgumentMissing),
        name => Ok(Pop3Command::User(name.into())),
    }
}

/// The argument is not trimmed: blanks may be part of a password (RFC 1939 section 7).
fn pass(argument: Argument<'_>) -> Result<Pop3Command, Pop3Refusal> {
    let password = argument.ok_or(Pop3Refusal::ArgumentMissing)?;
    Ok(Pop3Command::Pass(password.into()))
}

fn number(argument: Argument<'_>) -> Result<MessageNumber, Pop3Refusal> {
    number_if_any(argument)?.ok_or(Pop3Refusal::ArgumentMissing)
}

fn number_if_any(argument: Argument<'_>) -> Result<Option<MessageNumber>, Pop3Refusal> {
    match trimmed(argument)? {
        "" => Ok(None),
        digits => MessageNumber::parse(digits).map(Some),
    }
}

fn without_argument(
    argument: Argument<'_>,
    command: Pop3Command,
) -> Result<Pop3Command, Pop3Refusal> {
    match trimmed(argument)? {
        "" => Ok(command),
        _ => Err(Pop3Refusal::ArgumentNotTaken),
    }
}

/// RFC 1939 section 3: arguments consist of printable ASCII characters. Any other byte makes the
/// whole line invalid; cutting the line at a NUL could execute a different command.
fn trimmed(argument: Argument<'_>) -> Result<&str, Pop3Refusal> {
    match std::str::from_utf8(argument.unwrap_or_default()) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Ok(text.trim_matches(' '))
        }
        _ => Err(Pop3Refusal::NotPrintable),
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn reads(line: &str, command: &Pop3Command) {
        assert_eq!(Pop3Command::parse(line.as_bytes()).as_ref(), Ok(command));
    }

    #[track_caller]
    fn refuses(refusal: Pop3Refusal, lines: &[&str]) {
        for line in lines {
            assert_eq!(Pop3Command::parse(line.as_bytes()), Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_keyword_is_named_whatever_follows_it() {
        assert_eq!((keyword(b"retr x"), keyword(b"PASS")), (Some("RETR"), Some("PASS")));
        assert_eq!((keyword(b""), keyword(b"TOP 1 0"), keyword(b" QUIT")), (None, None, None));
    }

    #[test]
    fn keywords_are_read_without_case() {
        reads("sTaT", &Pop3Command::Stat);
        reads("user Linh", &Pop3Command::User("Linh".into()));
        reads("Quit", &Pop3Command::Quit);
    }

    #[test]
    fn a_password_is_everything_behind_the_one_blank() {
        reads("PASS  a b ", &Pop3Command::Pass(b" a b ".into()));
        reads("PASS ", &Pop3Command::Pass(b"".into()));
        refuses(Pop3Refusal::ArgumentMissing, &["PASS"]);
    }

    #[test]
    fn numbers_are_plain_digits() {
        reads("RETR 1", &Pop3Command::Retr(MessageNumber(1)));
        reads("DELE  007 ", &Pop3Command::Dele(MessageNumber(7)));
        reads("LIST 4294967297", &Pop3Command::List(Some(MessageNumber(4_294_967_297))));
        let highest = MessageNumber(usize::MAX);
        reads("UIDL 18446744073709551617", &Pop3Command::Uidl(Some(highest)));
        reads("RETR 999999999999999999999999999999", &Pop3Command::Retr(highest));
        for keyword in ["RETR", "DELE", "LIST", "UIDL"] {
            for argument in ["0", "00", "-1", "+1", "1abc", "0x1", "1.0", "1 2", "1,2", "a"] {
                refuses(Pop3Refusal::NotANumber, &[&format!("{keyword} {argument}")]);
            }
            for argument in ["1\0", "\0", "1\t", "é", "1\r", "1\n2"] {
                refuses(Pop3Refusal::NotPrintable, &[&format!("{keyword} {argument}")]);
            }
        }
    }

    #[test]
    fn arguments_are_where_they_belong() {
        reads("LIST", &Pop3Command::List(None));
        reads("UIDL ", &Pop3Command::Uidl(None));
        reads("STAT ", &Pop3Command::Stat);
        refuses(Pop3Refusal::ArgumentMissing, &["RETR", "DELE", "RETR ", "USER", "USER  "]);
        refuses(Pop3Refusal::ArgumentNotTaken, &["STAT 1", "NOOP x", "RSET x", "QUIT now"]);
    }

    #[test]
    fn everything_else_is_not_supported() {
        refuses(
            Pop3Refusal::NotSupported,
            &[
                "", " ", " STAT", "CAPA", "TOP 1 0", "APOP a b", "AUTH", "STLS", "LAST", "STAT\0",
                "STATX", "PASS\tx",
            ],
        );
    }

    proptest! {
        #[test]
        fn a_rendered_number_parses_to_itself(number in 1usize..) {
            let number = MessageNumber(number);
            prop_assert_eq!(MessageNumber::parse(&number.to_string()), Ok(number));
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Pop3Command::parse(&line);
        }
    }
}
