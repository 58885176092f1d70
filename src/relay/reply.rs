//! Parses the replies of a mail host (RFC 5321 section 4.2) from lines, in bounded memory. Does no
//! I/O; any input gives a reply or [`Malformed`].

use thiserror::Error;

use crate::relay::status::Status;
use crate::wire::display::DisplayText;
use crate::wire::line::{Line, LineBuffer};

/// The most lines of one reply. RFC 5321 sets no limit; a host that sends more is hostile or
/// broken. In the reply to the message text, lines over the limit are dropped.
pub const MOST_LINES: usize = 100;

/// The most octets of a reply line without its CRLF. RFC 5321 section 4.5.3.1.5 sets 512.
pub const LONGEST_LINE: usize = 4_096;

/// A reply: a code and one or more lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    texts: Vec<Vec<u8>>,
}

/// The meaning of a reply by the first digit of its code (RFC 5321 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 2yz: the command was carried out.
    Completion,
    /// 3yz: the host waits for more input.
    Intermediate,
    /// 4yz: refused for now; a retry may succeed.
    Transient,
    /// 5yz: refused for good.
    Permanent,
}

/// Why a host's input is not a valid reply. Completes the sentence “sent a reply that …”.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// A line does not begin with a code.
    #[error("is no SMTP reply: {0}")]
    NoCode(DisplayText),
    /// The lines of one reply have different codes.
    #[error("has lines with different codes ({0} and {1})")]
    CodeChanges(u16, u16),
    /// More than [`MOST_LINES`] lines.
    #[error("has more than {MOST_LINES} lines")]
    TooManyLines,
    /// A line of more than [`LONGEST_LINE`] octets.
    #[error("has a line of more than {LONGEST_LINE} octets")]
    LongLine,
    /// A NUL, or a CR or LF outside a CRLF.
    #[error("has a NUL, a lone CR or a lone LF in it")]
    ControlByte,
}

impl Reply {
    /// The three-digit code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The class of the code.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self.code {
            ..300 => Class::Completion,
            300..400 => Class::Intermediate,
            400..500 => Class::Transient,
            500.. => Class::Permanent,
        }
    }

    /// The text of each line, without code and separator.
    #[must_use]
    pub fn texts(&self) -> &[Vec<u8>] {
        &self.texts
    }

    /// The enhanced status code in the first line, or one made from the class alone.
    #[must_use]
    pub fn status(&self) -> Status {
        let text = self.texts.first().map_or(&[][..], Vec::as_slice);
        Status::of_reply(self.code, text)
    }

    /// The whole reply in one line, escaped, such as `550 5.1.1 no such user`.
    #[must_use]
    pub fn in_one_line(&self) -> DisplayText {
        let mut line = self.code.to_string().into_bytes();
        for text in self.texts.iter().filter(|text| !text.is_empty()) {
            line.push(b' ');
            line.extend_from_slice(text);
        }
        let beyond = line.split_off(line.len().min(LONGEST_LINE));
        DisplayText::cut(&line, beyond.len() as u64)
    }
}

/// How strictly the next reply is parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    /// Only what RFC 5321 section 4.2.1 allows.
    #[default]
    Strict,
    /// The code of the last line counts, whatever its line ends and the lines before it. Used after
    /// the final dot: the host has the message, and rejecting the form of its reply would mean
    /// sending the message again and again.
    LastLineDecides,
}

/// Assembles replies from their lines.
#[derive(Debug, Default)]
pub struct ReplyReader {
    texts: Vec<Vec<u8>>,
    code: Option<u16>,
    manner: Manner,
}

impl ReplyReader {
    /// Sets how the next reply is parsed.
    pub const fn expect(&mut self, manner: Manner) {
        self.manner = manner;
    }

    /// How the next reply is parsed.
    #[must_use]
    pub const fn manner(&self) -> Manner {
        self.manner
    }

    /// Takes the next line; returns the reply if this was its last line.
    ///
    /// # Errors
    ///
    /// If the line cannot belong to a valid reply; the connection must then be given up.
    pub fn line(&mut self, line: &Line<'_>) -> Result<Option<Reply>, Malformed> {
        match self.manner {
            Manner::Strict => self.strict(line),
            Manner::LastLineDecides => self.lenient(line.beginning()),
        }
    }

    /// Also accepts a bare LF as a line end.
    fn lenient(&mut self, lines: &[u8]) -> Result<Option<Reply>, Malformed> {
        // What ends in CRLF may contain bare LFs.
        for line in lines.split(|&byte| byte == b'\n') {
            let plain = line.strip_suffix(b"\r").unwrap_or(line);
            let parsed = ReplyLine::of_plain(plain)
                .ok_or_else(|| Malformed::NoCode(DisplayText::new(plain)))?;
            // A code that changes begins the text anew: only the last code is reported, with its
            // text.
            if self.code.replace(parsed.code) != Some(parsed.code) {
                self.texts.clear();
            }
            // Text over the limits is dropped, but never a reason to reject the reply: the host has
            // the message, and a rejected 250 would make the relay send it again and again.
            let kept: usize = self.texts.iter().map(Vec::len).sum();
            if self.texts.len() < MOST_LINES && kept + parsed.text.len() <= LONGEST_LINE {
                self.texts.push(parsed.text.to_vec());
            }
            if let Place::Last = parsed.place {
                return Ok(Some(self.finished(parsed.code)));
            }
        }
        Ok(None)
    }

    fn strict(&mut self, line: &Line<'_>) -> Result<Option<Reply>, Malformed> {
        let Line::Whole(line) = line else {
            return Err(Malformed::LongLine);
        };
        let parsed = ReplyLine::parse(line)?;
        let code = *self.code.get_or_insert(parsed.code);
        if code != parsed.code {
            return Err(Malformed::CodeChanges(code, parsed.code));
        }
        if self.texts.len() == MOST_LINES {
            return Err(Malformed::TooManyLines);
        }
        self.texts.push(parsed.text.to_vec());
        Ok(match parsed.place {
            Place::Within => None,
            Place::Last => Some(self.finished(code)),
        })
    }

    /// Checks unfinished input, so that the caller does not wait in vain for the end of a line.
    ///
    /// # Errors
    ///
    /// If the input can no longer become a valid line.
    pub fn check_unfinished(&self, arrived: &LineBuffer) -> Result<(), Malformed> {
        if self.manner == Manner::LastLineDecides {
            return Ok(());
        }
        if arrived.is_overlong() {
            return Err(Malformed::LongLine);
        }
        // A line that ends in CRLF would have been taken already, so this LF stands alone.
        if arrived.unread().contains(&b'\n') {
            return Err(Malformed::ControlByte);
        }
        Ok(())
    }

    fn finished(&mut self, code: u16) -> Reply {
        self.code = None;
        Reply { code, texts: std::mem::take(&mut self.texts) }
    }
}

struct ReplyLine<'a> {
    code: u16,
    place: Place,
    text: &'a [u8],
}

/// The position of a line in its reply.
enum Place {
    Within,
    Last,
}

impl<'a> ReplyLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        if line.iter().any(|byte| b"\0\r\n".contains(byte)) {
            return Err(Malformed::ControlByte);
        }
        Self::of_plain(line).ok_or_else(|| Malformed::NoCode(DisplayText::new(line)))
    }

    /// RFC 5321 section 4.2: a client must accept a code without text.
    fn of_plain(line: &'a [u8]) -> Option<Self> {
        let (&[class, category, detail], rest) = line.split_first_chunk()?;
        let digits =
            // The first digit is 2 to 5 (RFC 5321 section 4.2).
            (b'2'..=b'5').contains(&class) && category.is_ascii_digit() && detail.is_ascii_digit();
        let (place, text) = match rest {
            [b'-', text @ ..] => (Place::Within, text),
            [b' ', text @ ..] => (Place::Last, text),
            [] => (Place::Last, rest),
            _ => return None,
        };
        digits.then(|| Self { code: number([class, category, detail]), place, text })
    }
}

fn number(digits: [u8; 3]) -> u16 {
    digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit & 0x0f))
}

#[cfg(test)]
impl Reply {
    /// Parses `wire` as one reply, for tests.
    pub(crate) fn of_wire(wire: &str) -> Self {
        let mut buffer = LineBuffer::new(LONGEST_LINE);
        buffer.extend(wire.as_bytes());
        let mut reader = ReplyReader::default();
        while let Some(line) = buffer.next_line() {
            if let Some(reply) = reader.line(&line).expect("a reply") {
                return reply;
            }
        }
        panic!("{wire:?} is not a whole reply");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All replies in `wire`, read in pieces of this length, or the first error.
    fn replies(wire: &[u8], piece: usize) -> Result<Vec<Reply>, Malformed> {
        let mut buffer = LineBuffer::new(LONGEST_LINE);
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for piece in wire.chunks(piece) {
            buffer.extend(piece);
            while let Some(line) = buffer.next_line() {
                replies.extend(reader.line(&line)?);
            }
            reader.check_unfinished(&buffer)?;
        }
        Ok(replies)
    }

    #[track_caller]
    fn malformed(wire: &[u8]) -> Malformed {
        replies(wire, wire.len()).expect_err("taken for a reply")
    }

    fn render(reply: &Reply) -> Vec<u8> {
        let mut wire = Vec::new();
        for (index, text) in reply.texts.iter().enumerate() {
            let last = index + 1 == reply.texts.len();
            wire.extend_from_slice(reply.code.to_string().as_bytes());
            wire.push(if last { b' ' } else { b'-' });
            wire.extend_from_slice(text);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }

    #[test]
    fn a_reply_of_several_lines_is_one_reply() {
        let reply = Reply::of_wire("250-mx.example.org\r\n250-SIZE 1000\r\n250 \r\n");
        assert_eq!(reply.code(), 250);
        assert_eq!(reply.texts(), [&b"mx.example.org"[..], b"SIZE 1000", b""].map(<[u8]>::to_vec));
        assert_eq!(reply.in_one_line().as_str(), "250 mx.example.org SIZE 1000");
    }

    #[test]
    fn a_code_without_text_is_a_reply() {
        assert_eq!(Reply::of_wire("250\r\n").class(), Class::Completion);
        assert_eq!(Reply::of_wire("354 \r\n").class(), Class::Intermediate);
        assert_eq!(Reply::of_wire("421\r\n").class(), Class::Transient);
        assert_eq!(Reply::of_wire("599\r\n").class(), Class::Permanent);
    }

    #[test]
    fn the_code_stays_the_same_in_all_lines() {
        let problem = malformed(b"250-a\r\n550 b\r\n");
        assert_eq!(problem, Malformed::CodeChanges(250, 550));
    }

    #[test]
    fn what_is_no_reply_is_quoted() {
        let problem = malformed(b"SSH-2.0-OpenSSH\x1b\r\n");
        assert_eq!(problem.to_string(), "is no SMTP reply: SSH-2.0-OpenSSH\\x1b");
        for line in [&b"25\r\n"[..], b"\r\n", b"2500 x\r\n", b"150 x\r\n", b"650 x\r\n", b"+OK\r\n"]
        {
            assert!(matches!(malformed(line), Malformed::NoCode(_)), "{line:?}");
        }
    }

    #[test]
    fn nul_and_lone_line_ends_are_refused_at_once() {
        assert_eq!(malformed(b"250 a\0b\r\n"), Malformed::ControlByte);
        assert_eq!(malformed(b"250 a\rb\r\n"), Malformed::ControlByte);
        assert_eq!(malformed(b"250 ok\n"), Malformed::ControlByte);
        assert_eq!(malformed(b"250-a\n250 b\r\n"), Malformed::ControlByte);
    }

    #[test]
    fn a_line_without_end_is_refused_when_it_is_too_long() {
        assert_eq!(malformed(&[b'2'; LONGEST_LINE + 1]), Malformed::LongLine);
        let mut line = b"250 ".to_vec();
        line.resize(LONGEST_LINE, b'x');
        line.extend_from_slice(b"\r\n");
        assert_eq!(replies(&line, 1).expect("a reply").len(), 1);
    }

    #[test]
    fn a_reply_without_end_is_refused_when_it_is_too_long() {
        let hundred = "250-x\r\n".repeat(MOST_LINES);
        assert_eq!(replies(hundred.as_bytes(), 100), Ok(vec![]));
        let problem = malformed(format!("{hundred}250 x\r\n").as_bytes());
        assert_eq!(problem, Malformed::TooManyLines);
    }

    /// The reply read from `wire` after the final dot.
    fn behind_the_dot(wire: &[u8]) -> Result<Option<Reply>, Malformed> {
        let mut buffer = LineBuffer::new(LONGEST_LINE);
        let mut reader = ReplyReader::default();
        reader.expect(Manner::LastLineDecides);
        for piece in wire.chunks(1_000) {
            buffer.extend(piece);
            while let Some(line) = buffer.next_line() {
                if let Some(reply) = reader.line(&line)? {
                    return Ok(Some(reply));
                }
            }
            reader.check_unfinished(&buffer)?;
        }
        Ok(None)
    }

    #[test]
    fn behind_the_dot_the_code_of_the_last_line_decides_however_long_the_reply() {
        let lines = |count| "250-and so on\r\n".repeat(count);
        let long = "x".repeat(100_000);
        for (wire, code) in [
            (lines(150) + "250 ok\r\n", 250),
            (lines(100_000) + "250\r\n", 250),
            (lines(150) + "554 no\r\n", 554),
            ("550-a\r\n250 b\r\n".to_owned(), 250),
            (format!("250-{long}\r\n250 {long}\r\n"), 250),
            ("250 a\0b\rc\r\n".to_owned(), 250),
            ("250-a\n250-b\n451 c\r\n".to_owned(), 451),
        ] {
            let reply = behind_the_dot(wire.as_bytes()).expect("a reply").expect("a whole one");
            assert_eq!(reply.code(), code);
            assert!(reply.texts().iter().map(Vec::len).sum::<usize>() <= LONGEST_LINE);
            assert!(reply.texts().len() <= MOST_LINES);
        }
        let reply = behind_the_dot(b"250-taken\r\n554 no\r\n").expect("a reply");
        assert_eq!(reply.expect("a whole one").in_one_line().as_str(), "554 no");
        assert_eq!(behind_the_dot(lines(150).as_bytes()), Ok(None));
        assert!(matches!(behind_the_dot(b"hello\r\n"), Err(Malformed::NoCode(_))));
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let text = prop::collection::vec(any::<u8>(), 0..60)
            .prop_map(|text| text.into_iter().filter(|b| !b"\0\r\n".contains(b)).collect());
        let texts = prop::collection::vec(text, 1..8);
        (200u16..600, texts).prop_map(|(code, texts)| Reply { code, texts })
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            lines in prop::collection::vec("[2-5][0-9]{0,3}[- ]?[a-z\r\n]{0,6}\r\n", 0..20),
            piece in 1usize..50,
        ) {
            let _ = replies(&bytes, piece);
            let _ = replies(lines.concat().as_bytes(), piece);
        }

        #[test]
        fn a_rendered_reply_is_read_as_it_was_however_it_is_cut(
            reply in any_reply(),
            piece in 1usize..50,
        ) {
            let wire = render(&reply);
            prop_assert_eq!(replies(&wire, piece), Ok(vec![reply]));
        }
    }
}
