//! Parses POP3 command lines (RFC 1939 section 3, RFC 2449 section 4). Independent of the session's
//! state: the session decides whether a command is allowed.

use std::fmt;

use crate::servers::credentials::Digest;
use crate::servers::extensions::Pop3Capability;

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
    /// `TOP msg n`: the header and so many lines of the body.
    Top(MessageNumber, u64),
    /// `DELE msg`.
    Dele(MessageNumber),
    /// `NOOP`.
    Noop,
    /// `RSET`.
    Rset,
    /// `QUIT`.
    Quit,
    /// `CAPA` (RFC 2449 section 5).
    Capa,
    /// `UTF8` (RFC 6856 section 2).
    Utf8,
    /// `APOP name digest` (RFC 1939 section 7).
    Apop(String, Digest),
    /// `AUTH` alone, which asks for the mechanisms (RFC 1734 section 2, RFC 5034 section 4).
    Mechanisms,
    /// `AUTH mechanism [initial-response]` (RFC 5034 section 4).
    Auth(String, Option<Vec<u8>>),
    /// `STLS` (RFC 2595 section 4).
    Stls,
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
    /// The second argument of TOP is not a number of lines: plain digits.
    NotACount,
    /// The second argument of APOP is not a digest: 32 hexadecimal digits.
    NotADigest,
    /// The argument contains a NUL, a control character or a byte that is not ASCII.
    NotPrintable,
    /// The argument contains a control character, or is not UTF-8.
    NotUtf8,
}

/// What may stand in the arguments of commands that log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Printable ASCII (RFC 1939 section 3).
    #[default]
    Ascii,
    /// UTF-8 without control characters, once the client has said UTF8 (RFC 6856 section 2).
    Utf8,
}

/// A keyword of the protocol.
#[derive(Debug)]
pub struct Keyword {
    /// In capitals.
    pub name: &'static str,
    /// When the server has it.
    pub known: Known,
    parse: Parse,
}

/// When a server has a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Always.
    Always,
    /// If CAPA is answered.
    WithCapa,
    /// If this is offered.
    With(Pop3Capability),
    /// Unless this was taken away.
    Unless(Pop3Capability),
}

/// A message number, from 1. A number too large for `usize` is stored as the largest, since no
/// maildrop has that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNumber(usize);

/// The text after a keyword and one blank, if there is any.
type Argument<'a> = Option<&'a [u8]>;

/// Parses the argument of a keyword.
type Parse = fn(Argument<'_>, Charset) -> Result<Pop3Command, Pop3Refusal>;

static KEYWORDS: [Keyword; 16] = [
    row("RETR", Known::Always, |argument, _| Ok(Pop3Command::Retr(number(argument)?))),
    row("DELE", Known::Always, |argument, _| Ok(Pop3Command::Dele(number(argument)?))),
    row("LIST", Known::Always, |argument, _| Ok(Pop3Command::List(number_if_any(argument)?))),
    row("UIDL", Known::Unless(Pop3Capability::Uidl), |argument, _| {
        Ok(Pop3Command::Uidl(number_if_any(argument)?))
    }),
    row("TOP", Known::With(Pop3Capability::Top), |argument, _| top(argument)),
    row("STAT", Known::Always, |argument, _| alone(argument, Pop3Command::Stat)),
    row("USER", Known::Unless(Pop3Capability::User), user),
    row("PASS", Known::Unless(Pop3Capability::User), |argument, _| pass(argument)),
    row("NOOP", Known::Always, |argument, _| alone(argument, Pop3Command::Noop)),
    row("RSET", Known::Always, |argument, _| alone(argument, Pop3Command::Rset)),
    row("QUIT", Known::Always, |argument, _| alone(argument, Pop3Command::Quit)),
    row("CAPA", Known::WithCapa, |argument, _| alone(argument, Pop3Command::Capa)),
    row("UTF8", Known::With(Pop3Capability::Utf8), |argument, _| {
        alone(argument, Pop3Command::Utf8)
    }),
    row("APOP", Known::With(Pop3Capability::Apop), apop),
    row("AUTH", Known::With(Pop3Capability::Sasl), |argument, _| auth(argument)),
    row("STLS", Known::With(Pop3Capability::Stls), |argument, _| {
        alone(argument, Pop3Command::Stls)
    }),
];

const fn row(name: &'static str, known: Known, parse: Parse) -> Keyword {
    Keyword { name, known, parse }
}

impl Pop3Command {
    /// Parses a line, given without its CRLF. Knows all keywords, also those that the server does
    /// not offer.
    ///
    /// # Errors
    ///
    /// Why the line is not a valid command.
    pub fn parse(line: &[u8], charset: Charset) -> Result<Self, Pop3Refusal> {
        let (keyword, argument) = split(line).ok_or(Pop3Refusal::NotSupported)?;
        (keyword.parse)(argument, charset)
    }
}

/// The keyword of a line, if the protocol has it.
#[must_use]
pub fn keyword(line: &[u8]) -> Option<&'static Keyword> {
    split(line).map(|(keyword, _)| keyword)
}

/// The table row of the line's keyword, and the argument.
fn split(line: &[u8]) -> Option<(&'static Keyword, Argument<'_>)> {
    let blank = line.iter().position(|&byte| byte == b' ');
    let (keyword, rest) = line.split_at(blank.unwrap_or(line.len()));
    let is_its = |known: &&Keyword| keyword.eq_ignore_ascii_case(known.name.as_bytes());
    Some((KEYWORDS.iter().find(is_its)?, rest.get(1..)))
}

impl MessageNumber {
    /// The index of the message in the maildrop, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 - 1
    }

    /// Accepts leading zeros, but no signs, other characters or zero itself.
    fn parse(digits: &str) -> Result<Self, Pop3Refusal> {
        if !is_number(digits) {
            return Err(Pop3Refusal::NotANumber);
        }
        match digits.parse() {
            Ok(0) => Err(Pop3Refusal::NotANumber),
            Ok(number) => Ok(Self(number)),
            Err(_) => Ok(Self(usize::MAX)),
        }
    }
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn user(argument: Argument<'_>, charset: Charset) -> Result<Pop3Command, Pop3Refusal> {
    match trimmed_by(argument, charset)? {
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

/// RFC 1939 section 7: both numbers are needed, and the second may be zero.
fn top(argument: Argument<'_>) -> Result<Pop3Command, Pop3Refusal> {
    let arguments = trimmed(argument)?;
    let (number, lines) = arguments.split_once(' ').unwrap_or((arguments, ""));
    if number.is_empty() {
        return Err(Pop3Refusal::ArgumentMissing);
    }
    let number = MessageNumber::parse(number)?;
    match lines.trim_start_matches(' ') {
        "" => Err(Pop3Refusal::ArgumentMissing),
        // More lines than can be counted are all of them.
        lines if is_number(lines) => {
            Ok(Pop3Command::Top(number, lines.parse().unwrap_or(u64::MAX)))
        }
        _ => Err(Pop3Refusal::NotACount),
    }
}

fn apop(argument: Argument<'_>, charset: Charset) -> Result<Pop3Command, Pop3Refusal> {
    let arguments = trimmed_by(argument, charset)?;
    let (name, digest) = arguments.split_once(' ').ok_or(Pop3Refusal::ArgumentMissing)?;
    let digest = Digest::parse(digest.trim_start_matches(' ').as_bytes());
    Ok(Pop3Command::Apop(name.into(), digest.ok_or(Pop3Refusal::NotADigest)?))
}

/// What follows the mechanism is not judged here: the exchange knows what it may be.
fn auth(argument: Argument<'_>) -> Result<Pop3Command, Pop3Refusal> {
    let arguments = trimmed(argument)?;
    Ok(match arguments.split_once(' ') {
        _ if arguments.is_empty() => Pop3Command::Mechanisms,
        None => Pop3Command::Auth(arguments.into(), None),
        Some((mechanism, initial)) => {
            Pop3Command::Auth(mechanism.into(), Some(initial.trim_start_matches(' ').into()))
        }
    })
}

fn alone(argument: Argument<'_>, command: Pop3Command) -> Result<Pop3Command, Pop3Refusal> {
    match trimmed(argument)? {
        "" => Ok(command),
        _ => Err(Pop3Refusal::ArgumentNotTaken),
    }
}

/// RFC 1939 section 3: arguments consist of printable ASCII characters. Any other byte makes the
/// whole line invalid; cutting the line at a NUL could execute a different command.
fn trimmed(argument: Argument<'_>) -> Result<&str, Pop3Refusal> {
    trimmed_by(argument, Charset::Ascii)
}

fn trimmed_by(argument: Argument<'_>, charset: Charset) -> Result<&str, Pop3Refusal> {
    let text = std::str::from_utf8(argument.unwrap_or_default()).ok();
    let text = match charset {
        Charset::Ascii => text
            .filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
            .ok_or(Pop3Refusal::NotPrintable),
        Charset::Utf8 => {
            text.filter(|text| !text.contains(char::is_control)).ok_or(Pop3Refusal::NotUtf8)
        }
    };
    Ok(text?.trim_matches(' '))
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

    fn parse(line: &str) -> Result<Pop3Command, Pop3Refusal> {
        Pop3Command::parse(line.as_bytes(), Charset::Ascii)
    }

    #[track_caller]
    fn reads(line: &str, command: &Pop3Command) {
        assert_eq!(parse(line).as_ref(), Ok(command));
    }

    #[track_caller]
    fn refuses(refusal: Pop3Refusal, lines: &[&str]) {
        for line in lines {
            assert_eq!(parse(line), Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_keyword_is_named_whatever_follows_it() {
        let keyword = |line: &[u8]| keyword(line).map(|keyword| keyword.name);
        assert_eq!((keyword(b"retr x"), keyword(b"PASS")), (Some("RETR"), Some("PASS")));
        assert_eq!((keyword(b"top x"), keyword(b"Capa x")), (Some("TOP"), Some("CAPA")));
        assert_eq!((keyword(b""), keyword(b"LAST"), keyword(b" QUIT")), (None, None, None));
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
        refuses(Pop3Refusal::ArgumentNotTaken, &["CAPA x", "UTF8 USER"]);
    }

    #[test]
    fn top_has_a_message_and_a_number_of_lines() {
        reads("TOP 1 0", &Pop3Command::Top(MessageNumber(1), 0));
        reads("top  2   010 ", &Pop3Command::Top(MessageNumber(2), 10));
        reads("TOP 1 18446744073709551616", &Pop3Command::Top(MessageNumber(1), u64::MAX));
        refuses(Pop3Refusal::ArgumentMissing, &["TOP", "TOP ", "TOP 1", "TOP 1 "]);
        refuses(Pop3Refusal::NotANumber, &["TOP 0 1", "TOP x 1", "TOP -1 1", "TOP x"]);
        refuses(Pop3Refusal::NotACount, &["TOP 1 -1", "TOP 1 +1", "TOP 1 x", "TOP 1 2 3"]);
        refuses(Pop3Refusal::NotPrintable, &["TOP 1\t2", "TOP 1 é", "TOP 1\x001"]);
    }

    #[test]
    fn apop_has_a_name_and_a_digest() {
        let digits = "c4c9334bac560ecc979e58001b3e22fb";
        let digest = Digest::parse(digits.as_bytes()).unwrap();
        reads(&format!("APOP mrose {digits}"), &Pop3Command::Apop("mrose".into(), digest));
        reads(&format!("apop  mrose  {digits} "), &Pop3Command::Apop("mrose".into(), digest));
        refuses(Pop3Refusal::ArgumentMissing, &["APOP", "APOP ", "APOP mrose"]);
        for digest in ["x", &digits[1..], &format!("{digits}0"), &format!("{digits} x")] {
            refuses(Pop3Refusal::NotADigest, &[&format!("APOP mrose {digest}")]);
        }
        refuses(Pop3Refusal::NotPrintable, &[&format!("APOP ros\u{e9} {digits}")]);
    }

    #[test]
    fn auth_may_have_a_mechanism_and_an_initial_response() {
        let auth = |mechanism: &str, initial: Option<&str>| {
            Pop3Command::Auth(mechanism.into(), initial.map(|text| text.as_bytes().to_vec()))
        };
        reads("AUTH", &Pop3Command::Mechanisms);
        reads("auth ", &Pop3Command::Mechanisms);
        reads("AUTH PLAIN", &auth("PLAIN", None));
        reads("AUTH plain ", &auth("plain", None));
        reads("AUTH PLAIN  =", &auth("PLAIN", Some("=")));
        reads("AUTH PLAIN AGEA b", &auth("PLAIN", Some("AGEA b")));
        refuses(Pop3Refusal::NotPrintable, &["AUTH PLAIN\tx", "AUTH PLAIN \0"]);
        refuses(Pop3Refusal::ArgumentNotTaken, &["STLS x"]);
    }

    #[test]
    fn names_may_be_utf_8_once_the_client_has_said_so() {
        let user = |name: &[u8]| Pop3Command::parse(&[b"USER ", name].concat(), Charset::Utf8);
        assert_eq!(user("zoë".as_bytes()), Ok(Pop3Command::User("zoë".into())));
        for name in [&b"zo\xeb"[..], b"a\0b", "a\u{85}b".as_bytes()] {
            assert_eq!(user(name), Err(Pop3Refusal::NotUtf8));
        }
        let stat = Pop3Command::parse("STAT é".as_bytes(), Charset::Utf8);
        assert_eq!(stat, Err(Pop3Refusal::NotPrintable));
    }

    #[test]
    fn everything_else_is_not_supported() {
        refuses(
            Pop3Refusal::NotSupported,
            &[
                "", " ", " STAT", " CAPA", "TOPS 1 0", "LANG", "XTND", "LAST", "STAT\0", "STATX",
                "PASS\tx",
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
            for charset in [Charset::Ascii, Charset::Utf8] {
                let _ = Pop3Command::parse(&line, charset);
            }
        }
    }
}
