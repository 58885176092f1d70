//! A line said on a connection, as an event stores it.

use smallvec::SmallVec;

use crate::wire::display::DisplayText;
use crate::wire::line::{Line, OVERLONG_KEPT};
use crate::wire::reads::{ReadEnds, Reads};

/// Octets of one line that an event keeps; a transcript line shows fewer columns than this.
const LINE_KEPT: usize = 4_096;

/// Octets of a line stored within the value itself. Most commands and replies fit, and text lines
/// as mail programs fold them (RFC 5322 section 2.1.1), so that few of the hundred thousand lines a
/// second that the servers can make and the screen drops need an allocation.
const INLINE: usize = 80;

/// A line without its CRLF, cut to the length that a transcript can show, and what else was on the
/// wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    bytes: SmallVec<[u8; INLINE]>,
    /// Octets of the line that were not kept.
    omitted: u64,
    /// Read ends, counted with the stuffed dot.
    reads: ReadEnds,
    stuffing: Stuffing,
    ending: Ending,
    content: Content,
    is_edited: bool,
}

/// What is kept of a line, and how many octets it has in all.
#[must_use]
pub fn kept_of<'a>(line: &Line<'a>) -> (&'a [u8], u64) {
    match *line {
        Line::Whole(line) => (line.get(..LINE_KEPT).unwrap_or(line), line.len() as u64),
        Line::Overlong { beginning, octets } => {
            // The line buffer keeps one octet more, in case the first is a stuffed dot.
            (beginning.get(..OVERLONG_KEPT).unwrap_or(beginning), octets)
        }
    }
}

impl KeptLine {
    /// Keeps the beginning of a whole line.
    #[must_use]
    pub fn new(line: &[u8]) -> Self {
        Self::beginning(line, line.len() as u64)
    }

    /// Keeps `beginning` of a line that was `octets` long in all.
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
            is_edited: false,
        }
    }

    /// Keeps the beginning of a received line, with its read ends.
    #[must_use]
    pub fn arrived(line: &Line<'_>, reads: Reads<'_>) -> Self {
        let (beginning, octets) = kept_of(line);
        Self::beginning(beginning, octets).with_reads(reads)
    }

    /// Adds the read ends.
    #[must_use]
    pub fn with_reads(self, reads: Reads<'_>) -> Self {
        Self { reads: reads.into(), ..self }
    }

    /// Notes that a dot was stuffed before it on the wire.
    #[must_use]
    pub fn stuffed(self) -> Self {
        Self { stuffing: Stuffing::Dot, ..self }
    }

    /// Notes that its CRLF had not arrived.
    #[must_use]
    pub fn unended(self) -> Self {
        Self { ending: Ending::None, ..self }
    }

    /// Notes that all of it is a client's answer during AUTH, and so is secret.
    #[must_use]
    pub fn answer(self) -> Self {
        Self { content: Content::Answer, ..self }
    }

    /// Whether all of it is secret: an answer during AUTH.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.content == Content::Answer
    }

    /// Notes that an operator has put it in the place of what was said.
    #[must_use]
    pub fn edited(self) -> Self {
        Self { is_edited: true, ..self }
    }

    /// What stands behind the speaker's letter in a transcript: `:`, or `*` if an operator has put
    /// the line in the place of what was said.
    #[must_use]
    pub const fn sign(&self) -> char {
        if self.is_edited { '*' } else { ':' }
    }

    /// Length of the whole line in octets, without its CRLF.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.bytes.len() as u64 + self.omitted
    }

    /// The kept beginning of the line.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Octets of heap memory it owns.
    #[must_use]
    pub fn octets_kept(&self) -> usize {
        let spilled = if self.bytes.spilled() { self.bytes.len() } else { 0 };
        spilled + self.reads.octets()
    }

    /// The line, escaped, without its line end.
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

    /// The wire view with `masked` in place of the text. The mask begins after `keyword` octets;
    /// read ends behind it are left out, so that nothing reveals the length of the secret.
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

/// Whether a line may be shown, as far as the lines before it decide that. Its own text may still
/// contain a secret ([`secret_from`](crate::watch::secret::secret_from)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Open,
    Answer,
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Crlf,
    /// It was reported before its end had arrived.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::line::LineBuffer;

    /// The wire view of the lines that these reads bring.
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
        // The read that ends after QUIT.
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
