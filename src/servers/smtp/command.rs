//! Parses SMTP command lines (RFC 821 section 4.1, and the extensions that are offered). Independent
//! of the session's state, but for the [`Dialect`]: the session decides whether a command is allowed.

use std::fmt;

use enumset::EnumSet;

use crate::mail::address::{Domain, ForwardPath, ReversePath};
use crate::mail::alphabet::Alphabet;
use crate::mail::dsn::RecipientDsn;
use crate::servers::extensions::{Offer, SmtpExtension};
use crate::servers::smtp::parameters::{self, MailArguments};
use crate::servers::smtp::refusal::SmtpRefusal;

/// A command that the server supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpCommand {
    /// `HELO <domain>`, with the name the client gives.
    Helo(String),
    /// `EHLO <domain>`.
    Ehlo(String),
    /// `MAIL FROM:<reverse-path>`.
    Mail(ReversePath, MailArguments),
    /// `RCPT TO:<forward-path>`.
    Rcpt(ForwardPath, RecipientDsn),
    /// `DATA`.
    Data,
    /// `BDAT <octets> [LAST]` (RFC 3030 section 2).
    Bdat(ChunkSize),
    /// `RSET`.
    Rset,
    /// `NOOP`; an argument is ignored.
    Noop,
    /// `QUIT`.
    Quit,
    /// `STARTTLS` (RFC 3207 section 4).
    StartTls,
    /// `AUTH <mechanism> [<initial response>]` (RFC 4954 section 4), both as they were written.
    Auth(String, Option<String>),
    /// `VRFY <string>`.
    Vrfy,
    /// `HELP`; an argument is ignored.
    Help,
}

/// The length of a chunk, and whether it is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// Octets.
    pub octets: u64,
    /// Whether it ends the message.
    pub is_last: bool,
}

/// What this client may say at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Whether EHLO is answered.
    pub answers_ehlo: bool,
    /// The extensions that the server offers.
    pub offers: EnumSet<SmtpExtension>,
    /// Whether the client has said EHLO. Otherwise it may give no parameters.
    pub is_extended: bool,
    /// Whether the transaction was opened with SMTPUTF8.
    pub is_utf8: bool,
}

impl Dialect {
    /// The extensions whose parameters this client may give.
    fn parameters(self) -> EnumSet<SmtpExtension> {
        if self.is_extended { self.offers } else { EnumSet::empty() }
    }

    /// The characters that the argument of a verb may have (RFC 6531 section 3.2). What MAIL and
    /// VRFY have is refused later, if it turns out that the client has not declared it.
    fn alphabet_of(self, verb: &str) -> Alphabet {
        let may_declare = || self.parameters().contains(SmtpExtension::SmtpUtf8);
        match verb {
            "MAIL" | "VRFY" if may_declare() => Alphabet::Utf8,
            "RCPT" if self.is_utf8 => Alphabet::Utf8,
            _ => Alphabet::Ascii,
        }
    }
}

/// A verb that is known.
struct Verb {
    name: &'static str,
    /// Whether the server supports it.
    is_offered: fn(Dialect) -> bool,
    /// What is said if not.
    refusal: SmtpRefusal,
    parse: Parse,
}

/// Parses the argument of a verb: printable, and without blanks before it.
type Parse = fn(&str, Dialect) -> Result<SmtpCommand, SmtpRefusal>;

const fn always(name: &'static str, parse: Parse) -> Verb {
    Verb { name, is_offered: |_| true, refusal: SmtpRefusal::NotImplemented, parse }
}

const fn never(name: &'static str) -> Verb {
    let parse: Parse = |_, _| Err(SmtpRefusal::NotImplemented);
    Verb { name, is_offered: |_| false, refusal: SmtpRefusal::NotImplemented, parse }
}

const fn with(name: &'static str, is_offered: fn(Dialect) -> bool, parse: Parse) -> Verb {
    Verb { name, is_offered, refusal: SmtpRefusal::NotImplemented, parse }
}

/// The known verbs, the most frequent ones first.
static VERBS: [Verb; 18] = [
    always("MAIL", mail),
    always("RCPT", rcpt),
    always("DATA", |argument, _| without_argument(argument, SmtpCommand::Data)),
    always("HELO", |argument, _| hello(argument).map(SmtpCommand::Helo)),
    always("RSET", |argument, _| without_argument(argument, SmtpCommand::Rset)),
    always("NOOP", |_, _| Ok(SmtpCommand::Noop)),
    always("QUIT", |argument, _| without_argument(argument, SmtpCommand::Quit)),
    // A client that is refused EHLO falls back to HELO.
    with(
        "EHLO",
        |dialect| dialect.answers_ehlo,
        |argument, _| hello(argument).map(SmtpCommand::Ehlo),
    ),
    // RFC 3030 is younger than the verbs that answer 502.
    Verb {
        name: "BDAT",
        is_offered: |dialect| dialect.offers.contains(SmtpExtension::Chunking),
        refusal: SmtpRefusal::Unrecognized,
        parse: |argument, _| bdat(argument),
    },
    with("VRFY", |dialect| dialect.offers.contains(SmtpExtension::Vrfy), vrfy),
    never("EXPN"),
    with(
        "HELP",
        |dialect| dialect.offers.contains(SmtpExtension::Help),
        |_, _| Ok(SmtpCommand::Help),
    ),
    never("SEND"),
    never("SOML"),
    never("SAML"),
    never("TURN"),
    with(
        "AUTH",
        |dialect| dialect.offers.contains(SmtpExtension::Auth),
        |argument, _| auth(argument),
    ),
    with(
        "STARTTLS",
        |dialect| dialect.offers.contains(SmtpExtension::StartTls),
        |argument, _| without_argument(argument, SmtpCommand::StartTls),
    ),
];

impl SmtpCommand {
    /// Parses a line, given without its CRLF.
    ///
    /// # Errors
    ///
    /// Why the line is not a valid command.
    pub fn parse(line: &[u8], dialect: Dialect) -> Result<Self, SmtpRefusal> {
        let (verb, argument) = split(line).ok_or(SmtpRefusal::Unrecognized)?;
        let is_offered = (verb.is_offered)(dialect);
        if !is_offered && verb.refusal == SmtpRefusal::Unrecognized {
            return Err(verb.refusal);
        }
        let argument = printable(argument, dialect.alphabet_of(verb.name))?;
        let argument = argument.trim_start_matches(' ');
        if is_offered { (verb.parse)(argument, dialect) } else { Err(verb.refusal) }
    }
}

/// The verb of a line, in capitals, if it is known, even if it is not supported.
#[must_use]
pub fn verb(line: &[u8]) -> Option<&'static str> {
    split(line).map(|(verb, _)| verb.name)
}

/// The verbs that the server supports.
pub fn offered(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    VERBS.iter().filter(move |verb| (verb.is_offered)(dialect)).map(|verb| verb.name)
}

/// The table row of the line's verb, and the argument.
fn split(line: &[u8]) -> Option<(&'static Verb, &[u8])> {
    let line = trim_end(line);
    let blank = line.iter().position(|&byte| byte == b' ');
    let (verb, argument) = line.split_at(blank.unwrap_or(line.len()));
    let row = VERBS.iter().find(|known| verb.eq_ignore_ascii_case(known.name.as_bytes()))?;
    Some((row, argument))
}

/// RFC 5321 section 4.1.1: servers should tolerate trailing white space.
fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|&&byte| matches!(byte, b' ' | b'\t'));
    line.get(..line.len() - blanks.count()).unwrap_or(line)
}

/// RFC 5321 section 4.1.2: a byte that is not printable ASCII makes the whole line invalid, and so
/// does a control character where UTF-8 is allowed. Cutting the line there could execute a different
/// command.
fn printable(argument: &[u8], alphabet: Alphabet) -> Result<&str, SmtpRefusal> {
    let is_printable = |text: &str| {
        text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
            || alphabet == Alphabet::Utf8
                && text.chars().all(|one| one == '\t' || !one.is_control())
    };
    match std::str::from_utf8(argument) {
        Ok(text) if is_printable(text) => Ok(text),
        _ => Err(SmtpRefusal::Argument),
    }
}

fn without_argument(argument: &str, command: SmtpCommand) -> Result<SmtpCommand, SmtpRefusal> {
    if argument.is_empty() {
        return Ok(command);
    }
    Err(SmtpRefusal::Argument)
}

/// The name is not used for decisions, so underscores and a final dot are accepted.
fn hello(argument: &str) -> Result<String, SmtpRefusal> {
    let name = argument.strip_suffix('.').unwrap_or(argument);
    Domain::parse(&name.replace('_', "x"))?;
    Ok(name.into())
}

fn mail(argument: &str, dialect: Dialect) -> Result<SmtpCommand, SmtpRefusal> {
    let path = path_behind("FROM:", argument)?;
    let (path, rest) = ReversePath::take_with(path, dialect.alphabet_of("MAIL"))?;
    let arguments = parameters::of_mail(rest, dialect.parameters())?;
    if !arguments.parameters.smtputf8 && !argument.is_ascii() {
        return Err(SmtpRefusal::Argument);
    }
    Ok(SmtpCommand::Mail(path, arguments))
}

fn rcpt(argument: &str, dialect: Dialect) -> Result<SmtpCommand, SmtpRefusal> {
    let alphabet = dialect.alphabet_of("RCPT");
    let (path, rest) = ForwardPath::take_with(path_behind("TO:", argument)?, alphabet)?;
    Ok(SmtpCommand::Rcpt(path, parameters::of_rcpt(rest, dialect.parameters())?))
}

fn path_behind<'a>(keyword: &str, argument: &'a str) -> Result<&'a str, SmtpRefusal> {
    match argument.split_at_checked(keyword.len()) {
        Some((found, path)) if found.eq_ignore_ascii_case(keyword) => {
            Ok(path.trim_start_matches(' '))
        }
        _ => Err(SmtpRefusal::Argument),
    }
}

/// A number that is too large for `u64` is taken for the largest: whatever follows such a line is no
/// command.
fn bdat(argument: &str) -> Result<SmtpCommand, SmtpRefusal> {
    let mut words = argument.split_ascii_whitespace();
    let digits = words.next().unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SmtpRefusal::Argument);
    }
    let octets = digits.parse().unwrap_or(u64::MAX);
    let is_last = match (words.next(), words.next()) {
        (None, _) => false,
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(SmtpRefusal::ChunkArgument(octets)),
    };
    Ok(SmtpCommand::Bdat(ChunkSize { octets, is_last }))
}

/// Nothing of it is looked up. `SMTPUTF8` may stand behind it (RFC 6531 section 3.7.4.2).
fn vrfy(argument: &str, dialect: Dialect) -> Result<SmtpCommand, SmtpRefusal> {
    let (whom, word) = argument.rsplit_once(' ').unwrap_or((argument, ""));
    let is_declared = dialect.alphabet_of("VRFY") == Alphabet::Utf8
        && word.eq_ignore_ascii_case(SmtpExtension::SmtpUtf8.name());
    let whom = if is_declared { whom } else { argument };
    if whom.trim().is_empty() || !is_declared && !whom.is_ascii() {
        return Err(SmtpRefusal::Argument);
    }
    Ok(SmtpCommand::Vrfy)
}

fn auth(argument: &str) -> Result<SmtpCommand, SmtpRefusal> {
    let mut words = argument.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => {
            Ok(SmtpCommand::Auth(mechanism.to_owned(), initial.map(str::to_owned)))
        }
        _ => Err(SmtpRefusal::Argument),
    }
}

impl fmt::Display for SmtpCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helo(domain) => write!(f, "HELO {domain}"),
            Self::Ehlo(domain) => write!(f, "EHLO {domain}"),
            Self::Mail(path, arguments) => {
                write!(f, "MAIL FROM:{path}")?;
                if let Some(size) = arguments.size {
                    write!(f, " SIZE={size}")?;
                }
                write!(f, "{}", arguments.parameters)
            }
            Self::Rcpt(path, dsn) => write!(f, "RCPT TO:{path}{dsn}"),
            Self::Bdat(ChunkSize { octets, is_last: true }) => write!(f, "BDAT {octets} LAST"),
            Self::Bdat(ChunkSize { octets, is_last: false }) => write!(f, "BDAT {octets}"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth(mechanism, None) => write!(f, "AUTH {mechanism}"),
            Self::Auth(mechanism, Some(initial)) => write!(f, "AUTH {mechanism} {initial}"),
            Self::Vrfy => f.write_str("VRFY somebody"),
            Self::Help => f.write_str("HELP"),
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
    use crate::mail::dsn::tests::any_recipient_dsn;
    use crate::mail::parameters::tests::any_parameters;
    use proptest::prelude::*;

    /// The dialect of a client that was offered everything, in a transaction with SMTPUTF8.
    fn all() -> Dialect {
        let offers = EnumSet::all();
        Dialect { answers_ehlo: true, offers, is_extended: true, is_utf8: true }
    }

    /// What is read of a line where everything is offered.
    fn with_all(line: &str) -> Result<String, SmtpRefusal> {
        SmtpCommand::parse(line.as_bytes(), all()).map(|command| command.to_string())
    }

    #[track_caller]
    fn reads(line: &str, command: &str) {
        let parsed = SmtpCommand::parse(line.as_bytes(), Dialect::default());
        assert_eq!(parsed.map(|parsed| parsed.to_string()), Ok(command.into()));
    }

    #[track_caller]
    fn refuses(refusal: SmtpRefusal, lines: &[&[u8]]) {
        for line in lines {
            let line_shown = String::from_utf8_lossy(line);
            assert_eq!(SmtpCommand::parse(line, Dialect::default()), Err(refusal), "{line_shown}");
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
            &[
                b"",
                b" ",
                b" NOOP",
                b"BDAT 1",
                b"BDAT \0",
                b"NOOPX",
                b"MAIL\tFROM:<a@b>",
                b"MAILFROM:<a@b>",
            ],
        );
    }

    #[test]
    fn what_is_offered_is_read() {
        for line in [
            "EHLO client.example",
            "BDAT 0 LAST",
            "BDAT 18446744073709551615",
            "AUTH PLAIN =",
            "STARTTLS",
            "HELP",
            "MAIL FROM:<a@b> SIZE=7 SMTPUTF8 BODY=BINARYMIME RET=FULL ENVID=x",
            "RCPT TO:<a@b> NOTIFY=NEVER",
        ] {
            assert_eq!(with_all(line).as_deref(), Ok(line));
        }
        assert_eq!(
            with_all("bdat 99999999999999999999 last").unwrap(),
            format!("BDAT {} LAST", u64::MAX)
        );
        assert_eq!(with_all("VRFY a@b SMTPUTF8").unwrap(), "VRFY somebody");
    }

    #[test]
    fn what_is_offered_and_wrong_is_refused() {
        for line in [
            "EHLO",
            "EHLO a b",
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT 1x LAST",
            "STARTTLS x",
            "AUTH",
            "AUTH A b c",
            "VRFY",
            "VRFY  ",
            "DATA x",
        ] {
            assert_eq!(with_all(line), Err(SmtpRefusal::Argument), "{line}");
        }
        for line in ["BDAT 5 LAS", "BDAT 5 LAST x"] {
            assert_eq!(with_all(line), Err(SmtpRefusal::ChunkArgument(5)), "{line}");
        }
        assert_eq!(with_all("EXPN a"), Err(SmtpRefusal::NotImplemented));
    }

    #[test]
    fn utf_8_is_read_only_where_it_is_declared() {
        let line = "MAIL FROM:<\u{e9}@b\u{fc}cher.example>";
        assert!(with_all(&format!("{line} SMTPUTF8")).is_ok());
        assert_eq!(with_all(line), Err(SmtpRefusal::Argument));
        assert!(with_all("RCPT TO:<\u{e9}@b>").is_ok());
        let ascii = Dialect { is_utf8: false, ..all() };
        for line in ["RCPT TO:<\u{e9}@b>", "NOOP \u{e9}", "VRFY \u{e9}", "EHLO \u{e9}"] {
            let read = SmtpCommand::parse(line.as_bytes(), ascii);
            assert_eq!(read, Err(SmtpRefusal::Argument), "{line}");
        }
        assert!(SmtpCommand::parse("VRFY \u{e9} SMTPUTF8".as_bytes(), ascii).is_ok());
        for control in ["\u{85}", "\u{7f}", "\0", "\x1b"] {
            assert!(with_all(&format!("MAIL FROM:<a{control}@b> SMTPUTF8")).is_err());
        }
    }

    #[test]
    fn a_client_that_did_not_say_ehlo_gives_no_parameters() {
        let helo = Dialect { is_extended: false, ..all() };
        for line in ["MAIL FROM:<a@b> SIZE=1", "RCPT TO:<a@b> NOTIFY=NEVER"] {
            let read = SmtpCommand::parse(line.as_bytes(), helo);
            assert_eq!(read, Err(SmtpRefusal::Parameter), "{line}");
        }
    }

    #[test]
    fn noop_may_have_an_argument() {
        reads("NOOP whatever it is", "NOOP");
    }

    fn any_reverse_path() -> impl Strategy<Value = ReversePath> {
        prop_oneof![Just(ReversePath::Null), any_mailbox().prop_map(ReversePath::Mailbox)]
    }

    fn any_arguments() -> impl Strategy<Value = MailArguments> {
        (prop::option::of(any::<u64>()), any_parameters())
            .prop_map(|(size, parameters)| MailArguments { size, parameters })
    }

    fn any_command() -> impl Strategy<Value = SmtpCommand> {
        prop_oneof![
            "[a-z0-9]{1,20}(\\.[a-z_]{1,9}){0,3}".prop_map(SmtpCommand::Helo),
            "[a-z0-9]{1,20}".prop_map(SmtpCommand::Ehlo),
            (any_reverse_path(), any_arguments())
                .prop_map(|(path, arguments)| SmtpCommand::Mail(path, arguments)),
            (any_mailbox(), any_recipient_dsn())
                .prop_map(|(mailbox, dsn)| SmtpCommand::Rcpt(ForwardPath::Mailbox(mailbox), dsn)),
            any_recipient_dsn().prop_map(|dsn| SmtpCommand::Rcpt(ForwardPath::Postmaster, dsn)),
            (any::<u64>(), any::<bool>())
                .prop_map(|(octets, is_last)| SmtpCommand::Bdat(ChunkSize { octets, is_last })),
            ("[A-Z0-9-]{1,20}", prop::option::of("[A-Za-z0-9+/=]{1,30}"))
                .prop_map(|(mechanism, initial)| SmtpCommand::Auth(mechanism, initial)),
            Just(SmtpCommand::StartTls),
            Just(SmtpCommand::Vrfy),
            Just(SmtpCommand::Help),
            Just(SmtpCommand::Data),
            Just(SmtpCommand::Rset),
            Just(SmtpCommand::Noop),
            Just(SmtpCommand::Quit),
        ]
    }

    proptest! {
        #[test]
        fn a_rendered_command_parses_to_itself(command in any_command()) {
            let line = command.to_string();
            prop_assert_eq!(SmtpCommand::parse(line.as_bytes(), all()), Ok(command));
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = SmtpCommand::parse(&line, Dialect::default());
            let _ = SmtpCommand::parse(&line, all());
        }
    }
}
