//! A line that was said on a connection, as an event keeps it. Does not know who said it.

use smallvec::SmallVec;

use crate::wire::display::DisplayText;
use crate::wire::line::{Line, OVERLONG_KEPT};
use crate::wire::reads::{ReadEnds, Reads};

/// Octets of one line that an event keeps; a transcript line shows fewer columns than this.
const LINE_KEPT: usize = 4_096;

/// Octets of a line that are kept in the value itself: most commands and replies, and lines of text
/// as mail programs fold them (RFC 5322 section 2.1.1). Of a hundred thousand lines a second that the
/// servers make and the screen drops, few ask for memory of their own.
const INLINE: usize = 80;

/// A line without its CRLF, cut to what a transcript can show, and what more of it was on the
/// wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    bytes: SmallVec<[u8; INLINE]>,
    omitted: u64,
    /// Counted with the stuffed dot.
    reads: ReadEnds,
    stuffing: Stuffing,
    ending: Ending,
    content: Content,
}

impl KeptLine {
    /// Keeps the beginning of a whole line.
    #[must_use]
    pub fn new(line: &[u8]) -> Self {
        Self::beginning(line, line.len() as u64)
    }

    /// Keeps `beginning` of a line that was `octets` long.
    #[must_use]
    pub fn beginning(beginning: &[u8], octets: u64) -> Self {
        let bytes = beginning.get(..LINE_KEPT).unwrap_or(beginning);
        Self {
            bytes: SmallVec::from_slice(bytes),
            omitted: octets.saturating_sub(bytes.len() as u64),
            reads: ReadEnds::default(),
            stuffing: Stuffing::None,
            ending: Ending::Crlf,
            content: Content::Open,
        }
    }

    /// Keeps the beginning of a line that has arrived.
    #[must_use]
    pub fn arrived(line: &Line<'_>, reads: Reads<'_>) -> Self {
        let kept = match *line {
            Line::Whole(line) => Self::new(line),
            Line::Overlong { beginning, octets } => {
                Self::beginning(beginning.get(..OVERLONG_KEPT).unwrap_or(beginning), octets)
            }
        };
        kept.with_reads(reads)
    }

    /// Says which reads brought it.
    #[must_use]
    pub fn with_reads(self, reads: Reads<'_>) -> Self {
        Self { reads: reads.into(), ..self }
    }

    /// Says that a dot was stuffed before it.
    #[must_use]
    pub fn stuffed(self) -> Self {
        Self { stuffing: Stuffing::Dot, ..self }
    }

    /// Says that its CRLF had not come.
    #[must_use]
    pub fn unended(self) -> Self {
        Self { ending: Ending::None, ..self }
    }

    /// Says that all of it is an answer by which somebody logs in.
    #[must_use]
    pub fn answer(self) -> Self {
        Self { content: Content::Answer, ..self }
    }

    /// Whether all of it is secret.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.content == Content::Answer
    }

    /// How long the whole line was.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.bytes.len() as u64 + self.omitted
    }

    /// What was kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Octets of memory beside the value itself.
    #[must_use]
    pub fn octets_kept(&self) -> usize {
        let spilled = if self.bytes.spilled() { self.bytes.len() } else { 0 };
        spilled + self.reads.octets()
    }

    /// The line without its line end.
    #[must_use]
    pub fn shown(&self) -> DisplayText {
        DisplayText::cut(&self.bytes, self.omitted)
    }

    /// The line as it was on the wire, with its line end.
    #[must_use]
    pub fn on_the_wire(&self) -> DisplayText {
        let line = self.stuffing.before(&self.bytes);
        let text = DisplayText::wire(&line, self.omitted, self.reads.before_crlf());
        let more = match self.reads.more() {
            0 => String::new(),
            more => format!(" … ({more} more reads)"),
        };
        DisplayText::already_safe(format!("{text}{}{more}", self.line_end()))
    }

    /// The same with `masked` instead of its text, of which what is behind `keyword` octets is a
    /// mask: nothing tells how many octets it stands for, or how many reads brought them.
    #[must_use]
    pub fn masked_on_the_wire(&self, masked: &[u8], keyword: usize) -> DisplayText {
        let line = self.stuffing.before(masked);
        let keyword = line.len() - masked.len() + keyword;
        let ends = self.reads.before_crlf().take_while(|&end| end <= keyword);
        let text = DisplayText::wire(&line, 0, ends);
        DisplayText::already_safe(format!("{text}{}", self.line_end()))
    }

    fn line_end(&self) -> DisplayText {
        match self.ending {
            Ending::Crlf => DisplayText::wire(b"\r\n", 0, self.reads.in_crlf()),
            Ending::None => DisplayText::default(),
        }
    }
}

/// Whether a dot was stuffed before a line (RFC 821 section 4.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stuffing {
    None,
    Dot,
}

impl Stuffing {
    fn before(self, line: &[u8]) -> Vec<u8> {
        let dot: &[u8] = match self {
            Self::None => b"",
            Self::Dot => b".",
        };
        [dot, line].concat()
    }
}

/// Whether a line may be shown to anybody, but for what it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Open,
    Answer,
}

/// What stood behind a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Crlf,
    /// The rest of it, which was not waited for.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::line::LineBuffer;

    /// What is shown of the lines that these reads bring.
    fn shown_of(reads: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::new(4_096);
        let mut lines = Vec::new();
        for read in reads {
            buffer.extend(read);
            buffer.read_ended();
            while let Some((line, reads)) = buffer.next_line_and_reads() {
                lines.push(KeptLine::arrived(&line, reads).on_the_wire().into_string());
            }
        }
        lines
    }

    fn octet_by_octet(bytes: &[u8]) -> Vec<&[u8]> {
        bytes.chunks(1).collect()
    }

    #[test]
    fn a_line_in_two_reads_shows_where_the_first_ended() {
        assert_eq!(shown_of(&[b"ECH", b"O blah\r\n"]), ["ECH┊O blah␍␊┊"]);
        assert_eq!(shown_of(&[b"ECHO blah", b"\r\n"]), ["ECHO blah┊␍␊┊"]);
    }

    #[test]
    fn lines_in_one_read_are_marked_behind_the_last_only() {
        assert_eq!(shown_of(&[b"NOOP\r\nRSET\r\nQUIT\r\n"]), ["NOOP␍␊", "RSET␍␊", "QUIT␍␊┊"]);
        assert_eq!(
            shown_of(&[b"ECHO a\r\nEC", b"HO b\r\nECH", b"O c\r\n"]),
            ["ECHO a␍␊", "EC┊HO b␍␊", "ECH┊O c␍␊┊"]
        );
    }

    #[test]
    fn cr_and_lf_may_come_in_two_reads() {
        assert_eq!(shown_of(&[b"QUIT\r", b"\nNOOP\r\n"]), ["QUIT␍┊␊", "NOOP␍␊┊"]);
        assert_eq!(shown_of(&[b"\r", b"\n"]), ["␍┊␊┊"]);
    }

    #[test]
    fn a_line_typed_octet_by_octet_is_marked_behind_each() {
        assert_eq!(shown_of(&octet_by_octet(b"STAT\r\n")), ["S┊T┊A┊T┊␍┊␊┊"]);
    }

    #[test]
    fn of_a_line_in_very_many_reads_the_last_is_marked_and_the_rest_counted() {
        let line = format!("ECHO {}\r\n", "x".repeat(95));
        let shown = shown_of(&octet_by_octet(line.as_bytes()));
        let marked = format!("E┊C┊H┊O┊ ┊{}", "x┊".repeat(26));
        assert_eq!(shown, [format!("{marked}{}␍␊┊ … (70 more reads)", "x".repeat(69))]);
        let two = shown_of(&octet_by_octet(line.repeat(2).as_bytes()));
        assert_eq!(two, [shown.concat(), shown.concat()]);
    }

    #[test]
    fn a_lone_cr_or_lf_a_tab_and_a_nul_are_seen() {
        assert_eq!(shown_of(&[b"a\nb\rc\td\0\r\r\n"]), ["a␊b␍c␉d␀␍␍␊┊"]);
    }

    #[test]
    fn an_overlong_line_is_cut_with_a_count_and_keeps_its_line_end() {
        let line = "x".repeat(5_000);
        let shown = shown_of(&[b"ECH", b"O ", line.as_bytes(), b"x\r", b"\n"]);
        let beginning = format!("ECH┊O ┊{}", "x".repeat(993));
        assert_eq!(shown, [format!("{beginning} … (4008 more octets)␍┊␊┊")]);
    }

    #[test]
    fn a_line_that_we_write_has_a_line_end_and_no_reads() {
        assert_eq!(KeptLine::new(b"+OK \t").on_the_wire().as_str(), "+OK ␉␍␊");
        assert_eq!(KeptLine::new(b"..").stuffed().on_the_wire().as_str(), "...␍␊");
        assert_eq!(KeptLine::new(b"2").unended().on_the_wire().as_str(), "2");
    }

    #[test]
    fn a_short_line_that_came_at_once_takes_no_memory_beside_the_value() {
        let mut buffer = LineBuffer::new(100);
        for read in ["NOOP\r\nQUIT", "\r", "\n"] {
            buffer.extend(read.as_bytes());
            buffer.read_ended();
        }
        let mut kept = || {
            let (line, reads) = buffer.next_line_and_reads().unwrap();
            KeptLine::arrived(&line, reads).octets_kept()
        };
        assert_eq!(kept(), 0);
        // The end behind QUIT.
        assert_eq!(kept(), size_of::<u16>());
    }

    #[test]
    fn a_longer_line_takes_its_octets() {
        let line = [b'x'; INLINE + 1];
        assert_eq!(KeptLine::new(&line[1..]).octets_kept(), 0);
        assert_eq!(KeptLine::new(&line).octets_kept(), INLINE + 1);
        assert_eq!(KeptLine::new(&line).bytes(), line);
    }
}
