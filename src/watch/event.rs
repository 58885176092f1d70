//! What happens on connections, as values, and the functions that format an event as a transcript
//! line. Does no I/O.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::time::SystemTime;

pub use crate::watch::kept::KeptLine;
use crate::watch::secret::{Secret, secret_from};
use crate::wire::display::DisplayText;

/// The protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The echo server.
    Echo,
    /// The SMTP server.
    Smtp,
    /// The POP3 server.
    Pop3,
    /// The relay, an SMTP client.
    Relay,
}

impl Service {
    /// The name as options and screens spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Identifies a connection in the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    /// Unique for the lifetime of the process.
    pub id: u64,
    /// The file descriptor: the N of `[N]`. The system reuses it once the connection is closed.
    pub number: i32,
    /// The protocol spoken on it.
    pub service: Service,
}

impl ConnectionName {
    /// A name that is unique for the lifetime of the process: `#12`. The lines of `-v` show only
    /// the file descriptor, which is reused.
    #[must_use]
    pub fn session(self) -> String {
        format!("#{}", self.id)
    }
}

/// The speaker of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that connected. For the relay's connections this is the relay.
    Client,
    /// The side that accepted.
    Server,
}

impl Side {
    /// Its letter in the transcript: `C` or `S`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Client => 'C',
            Self::Server => 'S',
        }
    }
}

/// Something that happened on a connection.
#[derive(Debug, Clone)]
pub struct Event {
    /// The connection it happened on.
    pub connection: ConnectionName,
    /// Wall-clock time of the event.
    pub at: SystemTime,
    /// What happened.
    pub kind: Kind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The connection began.
    Opened {
        /// Address of the client, or of the mail host that the relay connected to.
        peer: SocketAddr,
    },
    /// A whole command or reply line.
    Line(Side, KeptLine),
    /// A line of message text; reported only to observers that ask for message text.
    TextLine(Side, KeptLine),
    /// The end of a message text, with its length, for observers that do not get it line by line.
    Text {
        /// Length of the text without dot stuffing.
        octets: u64,
    },
    /// A remark of this program about the connection, such as why it was closed.
    Note(String),
    /// The connection ended.
    Closed,
}

/// Which secrets a transcript line shows: the argument of PASS, the digest of APOP, the credentials
/// that a client sends with AUTH and its answers to the challenges that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passwords {
    /// None: `PASS ******`, `AUTH PLAIN ******`. The screen, until its user asks for them, and with
    /// `--mask-passwords` also headless `-v`.
    #[default]
    Masked,
    /// The argument of PASS alone: headless `-v`, whose output testers compare.
    OfPass,
    /// All, as they were sent: the screen when its user asks for them, and `--show-passwords`.
    Shown,
}

impl Passwords {
    fn hide(self, secret: Secret) -> bool {
        match self {
            Self::Masked => true,
            Self::OfPass => secret == Secret::Login,
            Self::Shown => false,
        }
    }
}

/// The transcript line of an event: `[N] C: …`, without a line end.
#[must_use]
pub fn transcript_line(event: &Event, passwords: Passwords) -> DisplayText {
    let mut text = format!("[{}] ", event.connection.number);
    match &event.kind {
        Kind::Opened { .. } => text.push_str("New connection"),
        Kind::Line(side, line) => {
            let _ = write!(text, "{}{} ", side.letter(), line.sign());
            text.push_str(shown(*side, line, passwords).as_str());
        }
        // Message text is never masked: it contains no login.
        Kind::TextLine(side, line) => {
            let _ = write!(text, "{}: {}", side.letter(), line.shown());
        }
        Kind::Text { octets } => {
            let _ = write!(text, ".. {octets} octets of message text");
        }
        Kind::Note(note) => {
            let _ = write!(text, ".. {}", DisplayText::from(note.as_str()));
        }
        Kind::Closed => text.push_str("Connection closed"),
    }
    DisplayText::already_safe(text)
}

/// The line of an event as it was on the wire, as far as that is known: `[N] C: ECH┊O …␍␊┊`. CR,
/// LF, TAB and NUL are shown as pictures, `┊` marks where a read ended, and stuffed dots are shown.
/// Events without a line are formatted as in [`transcript_line`].
#[must_use]
pub fn wire_line(event: &Event, passwords: Passwords) -> DisplayText {
    let (Kind::Line(side, line) | Kind::TextLine(side, line)) = &event.kind else {
        return transcript_line(event, passwords);
    };
    let masked = match event.kind {
        Kind::Line(..) => mask(*side, line, passwords),
        _ => None,
    };
    let shown = match masked {
        Some(Masked { text, open }) => line.masked_on_the_wire(&text, open),
        None => line.on_the_wire(),
    };
    let (number, letter, sign) = (event.connection.number, side.letter(), line.sign());
    DisplayText::already_safe(format!("[{number}] {letter}{sign} {shown}"))
}

/// A line as the transcript has it behind `[N] C: `: escaped, and with its secrets masked.
#[must_use]
pub fn shown(side: Side, line: &KeptLine, passwords: Passwords) -> DisplayText {
    match mask(side, line, passwords) {
        Some(masked) => DisplayText::new(&masked.text),
        None => line.shown(),
    }
}

/// A line whose secret has been replaced by the mask.
struct Masked {
    text: Vec<u8>,
    /// Octets before the mask.
    open: usize,
}

fn mask(side: Side, line: &KeptLine, passwords: Passwords) -> Option<Masked> {
    match side {
        Side::Server => None,
        Side::Client if line.is_answer() => masked_answer(passwords),
        Side::Client => masked(line.bytes(), passwords),
    }
}

/// What a client has begun and not ended, with its secrets masked. `is_answer` says that all of it
/// answers a challenge; otherwise it is a command.
#[must_use]
pub fn unended(line: &[u8], is_answer: bool, passwords: Passwords) -> DisplayText {
    let masked = if is_answer { masked_answer(passwords) } else { masked(line, passwords) };
    DisplayText::new(masked.as_ref().map_or(line, |masked| &masked.text))
}

/// The line with its secret masked, such as `PASS ******`. `line` is a client's line: whole,
/// overlong or unfinished. `None` if it holds no secret that is to be hidden.
fn masked(line: &[u8], passwords: Passwords) -> Option<Masked> {
    let open = line.get(..secret_from(line, |secret| passwords.hide(secret))?)?;
    Some(Masked { text: [open, MASK].concat(), open: open.len() })
}

/// What is shown for a line that is secret as a whole.
fn masked_answer(passwords: Passwords) -> Option<Masked> {
    // There is no keyword before it, from which a blank would separate it.
    let text = MASK.trim_ascii_start().to_vec();
    passwords.hide(Secret::Login).then_some(Masked { text, open: 0 })
}

/// What is shown for a password.
const MASK: &[u8] = b" ******";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::line::LineBuffer;

    fn event(kind: Kind) -> Event {
        let connection = ConnectionName { id: 1, number: 7, service: Service::Pop3 };
        Event { connection, at: SystemTime::UNIX_EPOCH, kind }
    }

    fn line_of(kind: Kind, passwords: Passwords) -> String {
        transcript_line(&event(kind), passwords).into_string()
    }

    fn client(line: &[u8]) -> Kind {
        Kind::Line(Side::Client, KeptLine::new(line))
    }

    #[test]
    fn lines_have_the_form_that_testers_compare() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(line_of(Kind::Opened { peer }, Passwords::Shown), "[7] New connection");
        assert_eq!(line_of(client(b"STAT"), Passwords::Shown), "[7] C: STAT");
        let reply = Kind::Line(Side::Server, KeptLine::new(b"+OK 1 264"));
        assert_eq!(line_of(reply, Passwords::Shown), "[7] S: +OK 1 264");
        let text = Kind::Text { octets: 264 };
        assert_eq!(line_of(text, Passwords::Shown), "[7] .. 264 octets of message text");
        assert_eq!(line_of(Kind::Closed, Passwords::Shown), "[7] Connection closed");
        let edited = Kind::Line(Side::Server, KeptLine::new(b"+OK 1 264").edited());
        assert_eq!(line_of(edited, Passwords::Shown), "[7] S* +OK 1 264");
    }

    fn wire_of(kind: Kind, passwords: Passwords) -> String {
        wire_line(&event(kind), passwords).into_string()
    }

    #[test]
    fn on_the_wire_a_line_ends_in_crlf() {
        assert_eq!(wire_of(client(b"STAT"), Passwords::Shown), "[7] C: STAT␍␊");
        assert_eq!(wire_of(client(b"PASS x"), Passwords::Masked), "[7] C: PASS ******␍␊");
        assert_eq!(wire_of(Kind::Closed, Passwords::Shown), "[7] Connection closed");
    }

    /// The POP3 client's line that these reads bring, in the wire view.
    fn wire_of_reads(reads: &[&[u8]], passwords: Passwords) -> String {
        let mut buffer = LineBuffer::new(100);
        for read in reads {
            buffer.extend(read);
            buffer.read_ended();
        }
        let (line, reads) = buffer.next_line_and_reads().unwrap();
        wire_of(Kind::Line(Side::Client, KeptLine::arrived(&line, reads)), passwords)
    }

    #[test]
    fn a_masked_password_does_not_tell_where_in_it_a_read_ended() {
        let reads: [&[u8]; 4] = [b"PA", b"SS ci", b"s505\r", b"\n"];
        assert_eq!(wire_of_reads(&reads, Passwords::Masked), "[7] C: PA┊SS ******␍┊␊┊");
        assert_eq!(wire_of_reads(&reads, Passwords::Shown), "[7] C: PA┊SS ci┊s505␍┊␊┊");
        let octets: Vec<&[u8]> =
            b"pass 0123456789012345678901234567890123456789\r\n".chunks(1).collect();
        assert_eq!(wire_of_reads(&octets, Passwords::Masked), "[7] C: p┊a┊s┊s┊ ******␍␊┊");
    }

    #[test]
    fn control_bytes_reach_no_terminal() {
        assert_eq!(line_of(client(b"a\x1b[2J\n"), Passwords::Shown), "[7] C: a\\x1b[2J\\x0a");
    }

    #[test]
    fn a_password_is_masked_however_it_is_typed() {
        for line in [&b"PASS cis505"[..], b"pass  cis505", b"PASS\tx", b"PASSx"] {
            let shown = line_of(client(line), Passwords::Masked);
            assert!(shown.eq_ignore_ascii_case("[7] C: PASS ******"), "{shown}");
        }
        assert_eq!(line_of(client(b"  PaSs a b"), Passwords::Masked), "[7] C:   PaSs ******");
        assert_eq!(line_of(client(b"PASS"), Passwords::Masked), "[7] C: PASS");
        assert_eq!(line_of(client(b"PASS x"), Passwords::Shown), "[7] C: PASS x");
    }

    #[test]
    fn what_a_client_logs_in_with_is_masked() {
        let masked = |kind| line_of(kind, Passwords::Masked);
        assert_eq!(masked(client(b"AUTH PLAIN AGJv")), "[7] C: AUTH PLAIN ******");
        assert_eq!(line_of(client(b"AUTH PLAIN AGJv"), Passwords::Shown), "[7] C: AUTH PLAIN AGJv");
        let answer = || Kind::Line(Side::Client, KeptLine::new(b"Y2lzNTA1").answer());
        assert_eq!(masked(answer()), "[7] C: ******");
        assert_eq!(line_of(answer(), Passwords::Shown), "[7] C: Y2lzNTA1");
        assert_eq!(wire_of(answer(), Passwords::Masked), "[7] C: ******␍␊");
        assert_eq!(masked(client(b"APOP linhphan c4c9")), "[7] C: APOP linhphan ******");
        let text = Kind::TextLine(Side::Client, KeptLine::new(b"Pass the salt, AUTH PLAIN x"));
        assert_eq!(masked(text), "[7] C: Pass the salt, AUTH PLAIN x");
    }

    #[test]
    fn headless_the_argument_of_pass_alone_is_shown() {
        let of_pass = |kind| line_of(kind, Passwords::OfPass);
        assert_eq!(of_pass(client(b"PASS cis505")), "[7] C: PASS cis505");
        assert_eq!(of_pass(client(b"AUTH PLAIN AGJv")), "[7] C: AUTH PLAIN ******");
        assert_eq!(of_pass(client(b"APOP linhphan c4c9")), "[7] C: APOP linhphan ******");
        let answer = Kind::Line(Side::Client, KeptLine::new(b"PASS cis505").answer());
        assert_eq!(of_pass(answer), "[7] C: ******");
    }

    #[test]
    fn an_unfinished_line_is_masked_as_a_whole_one() {
        let shown = |line: &[u8], is_answer, passwords| {
            unended(line, is_answer, passwords).as_str().to_owned()
        };
        assert_eq!(shown(b"PASS ci", false, Passwords::Masked), "PASS ******");
        assert_eq!(shown(b"PASS ci", false, Passwords::OfPass), "PASS ci");
        assert_eq!(shown(b"AUTH PLAIN A", false, Passwords::OfPass), "AUTH PLAIN ******");
        assert_eq!(shown(b"Ym9", true, Passwords::OfPass), "******");
        assert_eq!(shown(b"Ym9", true, Passwords::Shown), "Ym9");
        assert_eq!(shown(b"NOO", false, Passwords::Masked), "NOO");
    }
}
