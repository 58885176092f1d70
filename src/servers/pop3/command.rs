//! POP3 command lines (RFC 1939 section 3). Knows no state: whether a command comes at the right
//! moment is the session's to judge.

use std::fmt;

/// A command that the server carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `USER name`.
    User(String),
    /// `PASS string`: everything behind the one blank, blanks included.
    Pass(Vec<u8>),
    /// `STAT`.
    Stat,
    /// `LIST`, of one message or of all.
    List(Option<MessageNumber>),
    /// `UIDL`, of one message or of all.
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

/// A line that is no such command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not a command of this server.
    NotSupported,
    /// The command needs an argument.
    ArgumentMissing,
    /// The command takes no argument.
    ArgumentNotTaken,
    /// The argument is no message number: plain digits, not zero.
    NotANumber,
    /// The argument holds a NUL, a control character or a byte that is no ASCII.
    NotPrintable,
}

/// A message number, from 1. One beyond what a machine can count is the highest: no maildrop
/// holds that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNumber(usize);

/// What stands behind a keyword and its one blank, if anything does.
type Argument<'a> = Option<&'a [u8]>;

/// What is made of a keyword's argument.
type Parse = fn(Argument<'_>) -> Result<Command, Refusal>;

static KEYWORDS: [(&str, Parse); 10] = [
    ("RETR", |argument| Ok(Command::Retr(number(argument)?))),
    ("DELE", |argument| Ok(Command::Dele(number(argument)?))),
    ("LIST", |argument| Ok(Command::List(number_if_any(argument)?))),
    ("UIDL", |argument| Ok(Command::Uidl(number_if_any(argument)?))),
    ("STAT", |argument| without_argument(argument, Command::Stat)),
    ("USER", user),
    ("PASS", pass),
    ("NOOP", |argument| without_argument(argument, Command::Noop)),
    ("RSET", |argument| without_argument(argument, Command::Rset)),
    ("QUIT", |argument| without_argument(argument, Command::Quit)),
];

impl Command {
    /// Parses a line, given without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let (&(_, parse), argument) = split(line).ok_or(Refusal::NotSupported)?;
        parse(argument)
    }
}

/// The keyword of a line, if it is one of this server's.
#[must_use]
pub fn keyword(line: &[u8]) -> Option<&'static str> {
    split(line).map(|(&(keyword, _), _)| keyword)
}

/// The row of the line's keyword, and the argument behind it.
fn split(line: &[u8]) -> Option<(&'static (&'static str, Parse), Argument<'_>)> {
    let blank = line.iter().position(|&byte| byte == b' ');
    let (keyword, rest) = line.split_at(blank.unwrap_or(line.len()));
    let row = KEYWORDS.iter().find(|(known, _)| keyword.eq_ignore_ascii_case(known.as_bytes()))?;
    Some((row, rest.get(1..)))
}

impl MessageNumber {
    /// The message's place in the maildrop, counted from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 - 1
    }

    /// Leading zeros are let pass; signs, other characters and zero itself are not.
    fn parse(digits: &str) -> Result<Self, Refusal> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::NotANumber);
        }
        match digits.parse() {
            Ok(0) => Err(Refusal::NotANumber),
            Ok(number) => Ok(Self(number)),
            Err(_) => Ok(Self(usize::MAX)),
        }
    }
}

fn user(argument: Argument<'_>) -> Result<Command, Refusal> {
    match trimmed(argument)? {
        "" => Err(Refusal::ArgumentMissing),
        name => Ok(Command::User(name.into())),
    }
}

/// Not even trimmed: blanks belong to a password (RFC 1939 section 7).
fn pass(argument: Argument<'_>) -> Result<Command, Refusal> {
    let password = argument.ok_or(Refusal::ArgumentMissing)?;
    Ok(Command::Pass(password.into()))
}

fn number(argument: Argument<'_>) -> Result<MessageNumber, Refusal> {
    number_if_any(argument)?.ok_or(Refusal::ArgumentMissing)
}

fn number_if_any(argument: Argument<'_>) -> Result<Option<MessageNumber>, Refusal> {
    match trimmed(argument)? {
        "" => Ok(None),
        digits => MessageNumber::parse(digits).map(Some),
    }
}

fn without_argument(argument: Argument<'_>, command: Command) -> Result<Command, Refusal> {
    match trimmed(argument)? {
        "" => Ok(command),
        _ => Err(Refusal::ArgumentNotTaken),
    }
}

/// RFC 1939 section 3: arguments consist of printable ASCII characters. One that does not spoils
/// the whole line; cutting it at a NUL would be the worse answer.
fn trimmed(argument: Argument<'_>) -> Result<&str, Refusal> {
    match std::str::from_utf8(argument.unwrap_or_default()) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Ok(text.trim_matches(' '))
        }
        _ => Err(Refusal::NotPrintable),
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
    fn reads(line: &str, command: &Command) {
        assert_eq!(Command::parse(line.as_bytes()).as_ref(), Ok(command));
    }

    #[track_caller]
    fn refuses(refusal: Refusal, lines: &[&str]) {
        for line in lines {
            assert_eq!(Command::parse(line.as_bytes()), Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_keyword_is_named_whatever_follows_it() {
        assert_eq!((keyword(b"retr x"), keyword(b"PASS")), (Some("RETR"), Some("PASS")));
        assert_eq!((keyword(b""), keyword(b"TOP 1 0"), keyword(b" QUIT")), (None, None, None));
    }

    #[test]
    fn keywords_are_read_without_case() {
        reads("sTaT", &Command::Stat);
        reads("user Linh", &Command::User("Linh".into()));
        reads("Quit", &Command::Quit);
    }

    #[test]
    fn a_password_is_everything_behind_the_one_blank() {
        reads("PASS  a b ", &Command::Pass(b" a b ".into()));
        reads("PASS ", &Command::Pass(b"".into()));
        refuses(Refusal::ArgumentMissing, &["PASS"]);
    }

    #[test]
    fn numbers_are_plain_digits() {
        reads("RETR 1", &Command::Retr(MessageNumber(1)));
        reads("DELE  007 ", &Command::Dele(MessageNumber(7)));
        reads("LIST 4294967297", &Command::List(Some(MessageNumber(4_294_967_297))));
        let highest = MessageNumber(usize::MAX);
        reads("UIDL 18446744073709551617", &Command::Uidl(Some(highest)));
        reads("RETR 999999999999999999999999999999", &Command::Retr(highest));
        for keyword in ["RETR", "DELE", "LIST", "UIDL"] {
            for argument in ["0", "00", "-1", "+1", "1abc", "0x1", "1.0", "1 2", "1,2", "a"] {
                refuses(Refusal::NotANumber, &[&format!("{keyword} {argument}")]);
            }
            for argument in ["1\0", "\0", "1\t", "é", "1\r", "1\n2"] {
                refuses(Refusal::NotPrintable, &[&format!("{keyword} {argument}")]);
            }
        }
    }

    #[test]
    fn arguments_are_where_they_belong() {
        reads("LIST", &Command::List(None));
        reads("UIDL ", &Command::Uidl(None));
        reads("STAT ", &Command::Stat);
        refuses(Refusal::ArgumentMissing, &["RETR", "DELE", "RETR ", "USER", "USER  "]);
        refuses(Refusal::ArgumentNotTaken, &["STAT 1", "NOOP x", "RSET x", "QUIT now"]);
    }

    #[test]
    fn everything_else_is_not_supported() {
        refuses(
            Refusal::NotSupported,
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
            let _ = Command::parse(&line);
        }
    }
}
