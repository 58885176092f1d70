//! Splits a byte stream into CRLF lines, in bounded memory. Does no I/O.
//!
//! Only CR LF ends a line; a lone CR or LF is an ordinary byte (RFC 5321 section 2.3.8). This is
//! what prevents SMTP smuggling, a second message hidden within the first.

use std::mem;

use memchr::memchr_iter;

use crate::wire::reads::{ReadLog, Reads};

/// Maximum octets of a command line, without its CRLF. RFC 821 section 4.5.3 asks for 512, RFC 2449
/// section 4 for 255; 1,000 octets of text must fit after `ECHO`.
pub const LINE_OCTETS: usize = 4_096;

/// Octets kept of an overlong line, so that a transcript can show its beginning.
pub const OVERLONG_KEPT: usize = 1_024;

/// One octet more: in message text the first may be a stuffed dot, which is not shown.
const BEGINNING: usize = OVERLONG_KEPT + 1;

/// A line found by [`LineBuffer::next_line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its CRLF.
    Whole(&'a [u8]),
    /// A line over the limit, reported once, when its CRLF has arrived.
    Overlong {
        /// Its first octets: at least [`OVERLONG_KEPT`], unless the limit is lower.
        beginning: &'a [u8],
        /// Its full length in octets, without its CRLF.
        octets: u64,
    },
}

impl<'a> Line<'a> {
    /// The whole line, or the beginning of an overlong one.
    #[must_use]
    pub const fn beginning(&self) -> &'a [u8] {
        match self {
            Self::Whole(line) => line,
            Self::Overlong { beginning, .. } => beginning,
        }
    }

    /// The full length in octets, without the CRLF.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        match self {
            Self::Whole(line) => line.len() as u64,
            Self::Overlong { octets, .. } => *octets,
        }
    }
}

/// Bytes that have arrived and have not been consumed.
///
/// Holds at most the limit plus one read, however long the peer's line is. An empty buffer can give
/// its memory back ([`release`](Self::release)), so that an idle connection costs none.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Index of the first unconsumed byte.
    start: usize,
    /// No CRLF ends before this index. Without it, a line that arrives byte by byte would be
    /// scanned from its beginning each time.
    scanned: usize,
    limit: usize,
    overlong: Option<Overlong>,
    /// The beginning of the last overlong line, kept here while the caller borrows it.
    beginning: Vec<u8>,
    /// Octets of the stream that came before the first one still held.
    gone: u64,
    reads: ReadLog,
}

/// A line over the limit whose CRLF has not arrived.
#[derive(Debug)]
struct Overlong {
    /// Octets discarded so far, not counting those still in the buffer.
    octets: u64,
}

impl LineBuffer {
    /// A buffer for lines of at most `limit` octets, CRLF not counted.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            scanned: 0,
            limit,
            overlong: None,
            beginning: Vec::new(),
            gone: 0,
            reads: ReadLog::new(),
        }
    }

    /// Sets the limit of the next line, which may differ from that of the lines before.
    pub const fn set_limit(&mut self, octets: usize) {
        self.limit = octets;
    }

    /// Reserves room for a read of at least `octets`; the caller appends to the vector what it
    /// reads.
    pub fn space(&mut self, octets: usize) -> &mut Vec<u8> {
        self.drop_consumed();
        self.bytes.reserve(octets);
        &mut self.bytes
    }

    /// Appends bytes that have arrived.
    pub fn extend(&mut self, arrived: &[u8]) {
        self.space(arrived.len()).extend_from_slice(arrived);
    }

    /// Appends the first `octets` that `other` holds, with the read ends noted there.
    pub fn extend_from(&mut self, other: &Self, octets: usize) {
        let arrived = other.unread();
        let arrived = arrived.get(..octets).unwrap_or(arrived);
        let (here, there) = (self.arrived(), other.taken());
        self.extend(arrived);
        let reads = other.reads.within(there, there.saturating_add(arrived.len() as u64));
        for end in reads.ends() {
            self.reads.push(here.saturating_add(end), self.line_begin());
        }
    }

    /// Notes that a read ended with the last byte that has arrived. Without this call, lines report
    /// no read ends.
    pub fn read_ended(&mut self) {
        self.reads.push(self.arrived(), self.line_begin());
    }

    /// The next whole line, or `None` until its CRLF has arrived.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        self.next_line_and_reads().map(|(line, _)| line)
    }

    /// As [`next_line`](Self::next_line), with the read ends noted within the line.
    pub fn next_line_and_reads(&mut self) -> Option<(Line<'_>, Reads<'_>)> {
        let Some(end) = self.find_crlf() else {
            self.discard_beyond_limit();
            return None;
        };
        let begin = self.line_begin();
        // The CRLF is consumed together with the line.
        let from = mem::replace(&mut self.start, end + 2);
        self.scanned = self.start;
        let overlong = self.overlong.take();
        let reads = self.reads.within(begin, self.taken());
        Some((self.line(from, end, overlong)?, reads))
    }

    fn line(&self, from: usize, end: usize, overlong: Option<Overlong>) -> Option<Line<'_>> {
        let length = (end - from) as u64;
        if let Some(overlong) = overlong {
            let octets = overlong.octets.saturating_add(length);
            return Some(Line::Overlong { beginning: &self.beginning, octets });
        }
        let line = self.bytes.get(from..end)?;
        // An overlong line that arrived in one read has not been discarded.
        Some(if line.len() > self.limit {
            let beginning = line.get(..BEGINNING).unwrap_or(line);
            Line::Overlong { beginning, octets: length }
        } else {
            Line::Whole(line)
        })
    }

    /// Bytes that have arrived and have not been consumed: an unfinished line, or message text.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Removes the first `octets` of [`unread`](Self::unread); the next byte begins a line.
    pub fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.bytes.len());
        self.scanned = self.start;
    }

    /// Whether no byte is held: the peer is between two lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread().is_empty() && self.overlong.is_none()
    }

    /// Whether the unfinished line already exceeds the limit.
    #[must_use]
    pub const fn is_overlong(&self) -> bool {
        self.overlong.is_some()
    }

    /// Gives memory back while the peer is silent. An empty buffer returns its memory, which any
    /// other buffer can [`adopt`](Self::adopt).
    pub fn release(&mut self) -> Vec<u8> {
        self.drop_consumed();
        // The beginning of an overlong line is needed until its CRLF arrives.
        if self.overlong.is_none() {
            self.beginning = Vec::new();
        }
        self.reads.forget(self.line_begin());
        if self.bytes.is_empty() {
            // Handed over and not freed: glibc consolidates its whole heap when so large a piece
            // is freed, and the next read would have to allocate it again.
            return mem::take(&mut self.bytes);
        }
        // An unfinished line stays, but without spare room.
        self.bytes.shrink_to(0);
        Vec::new()
    }

    /// Takes over memory from another buffer, unless this one already has some.
    pub fn adopt(&mut self, mut memory: Vec<u8>) {
        if self.bytes.capacity() == 0 {
            memory.clear();
            self.bytes = memory;
        }
    }

    /// Octets that have arrived since the beginning of the stream.
    const fn arrived(&self) -> u64 {
        self.gone.saturating_add(self.bytes.len() as u64)
    }

    /// Octets of the stream that have been consumed or discarded.
    const fn taken(&self) -> u64 {
        self.gone.saturating_add(self.start as u64)
    }

    /// Octets of the stream before the current line.
    fn line_begin(&self) -> u64 {
        let discarded = self.overlong.as_ref().map_or(0, |overlong| overlong.octets);
        self.taken().saturating_sub(discarded)
    }

    /// Index of the CR of the first CRLF at or after `start`.
    fn find_crlf(&mut self) -> Option<usize> {
        // A CR may have been the last byte of the previous read.
        let from = self.scanned.saturating_sub(1).max(self.start);
        let window = self.bytes.get(from..)?;
        let found = memchr_iter(b'\n', window)
            .find(|&at| at > 0 && window.get(at - 1) == Some(&b'\r'))
            .map(|at| from + at - 1);
        self.scanned = self.bytes.len();
        found
    }

    /// Once an unfinished line exceeds the limit, discards all of it but a final CR, which may be
    /// half of a CRLF.
    fn discard_beyond_limit(&mut self) {
        // A CR at the end is not counted: it may belong to the line's CRLF.
        let ends_in_cr = self.unread().last() == Some(&b'\r');
        let length = self.unread().len() - usize::from(ends_in_cr);
        let discarded = match &self.overlong {
            Some(overlong) => overlong.octets,
            None if length <= self.limit => return,
            None => {
                // Kept aside, because the buffer is emptied below.
                self.beginning = self.unread().iter().take(BEGINNING).copied().collect();
                0
            }
        };
        self.overlong = Some(Overlong { octets: discarded.saturating_add(length as u64) });
        self.gone = self.taken().saturating_add(length as u64);
        self.bytes.clear();
        if ends_in_cr {
            self.bytes.push(b'\r');
        }
        self.start = 0;
        self.scanned = self.bytes.len();
    }

    fn drop_consumed(&mut self) {
        if self.start == 0 {
            return;
        }
        self.bytes.drain(..self.start);
        self.gone = self.taken();
        self.scanned -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An owned copy of a line, so that runs can be compared.
    #[derive(Debug, PartialEq, Eq, Clone)]
    enum Owned {
        Whole(Vec<u8>),
        Overlong(Vec<u8>, u64),
    }

    fn lines_of(chunks: &[&[u8]], limit: usize) -> (Vec<Owned>, Vec<u8>) {
        let mut buffer = LineBuffer::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            buffer.extend(chunk);
            while let Some(line) = buffer.next_line() {
                lines.push(match line {
                    Line::Whole(line) => Owned::Whole(line.to_vec()),
                    Line::Overlong { beginning, octets } => {
                        Owned::Overlong(beginning.to_vec(), octets)
                    }
                });
            }
        }
        (lines, buffer.unread().to_vec())
    }

    fn whole(line: &[u8]) -> Owned {
        Owned::Whole(line.to_vec())
    }

    #[test]
    fn a_bare_lf_or_cr_does_not_end_a_line() {
        let (lines, rest) = lines_of(&[b"a\nb\rc\r\r\nd\n"], 100);
        assert_eq!(lines, [whole(b"a\nb\rc\r")]);
        assert_eq!(rest, b"d\n");
    }

    #[test]
    fn cr_and_lf_may_arrive_apart() {
        assert_eq!(lines_of(&[b"QUIT\r", b"\nX"], 100).0, [whole(b"QUIT")]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_one_more_is_overlong() {
        assert_eq!(lines_of(&[b"12345\r\n"], 5).0, [whole(b"12345")]);
        assert_eq!(lines_of(&[b"123456\r\n"], 5).0, [Owned::Overlong(b"123456".to_vec(), 6)]);
        assert_eq!(lines_of(&[b"12345\r", b"\n"], 5).0, [whole(b"12345")]);
    }

    #[test]
    fn an_overlong_line_is_reported_once_and_its_tail_is_no_line() {
        let mut buffer = LineBuffer::new(8);
        for _ in 0..10_000 {
            buffer.extend(b"QUIT\rQUIT\nxx");
            assert!(buffer.next_line().is_none());
            assert!(buffer.unread().len() <= 1);
        }
        buffer.extend(b"\r\nNOOP\r\n");
        let Some(Line::Overlong { octets, beginning }) = buffer.next_line() else {
            panic!("the overlong line is not reported");
        };
        assert_eq!(octets, 120_000);
        assert_eq!(beginning.len(), 12);
        assert_eq!(buffer.next_line(), Some(Line::Whole(b"NOOP")));
        assert_eq!(buffer.next_line(), None);
    }

    #[test]
    fn a_released_buffer_owns_no_memory() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"NOOP\r\n");
        assert!(buffer.next_line().is_some());
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn released_memory_serves_the_next_buffer_and_brings_nothing_along() {
        let mut one = LineBuffer::new(100);
        one.space(1_000).extend_from_slice(b"NOOP\r\n");
        assert!(one.next_line().is_some());
        let mut other = LineBuffer::new(100);
        other.adopt(one.release());
        assert!(other.space(10).capacity() >= 1_000, "the memory was not taken over");
        other.extend(b"QUIT\r\n");
        assert_eq!(other.next_line(), Some(Line::Whole(b"QUIT")));
        other.extend(b"half a li");
        other.adopt(b"NOOP\r\n".to_vec());
        assert_eq!(other.release().capacity(), 0);
        other.extend(b"ne\r\n");
        assert_eq!(other.next_line(), Some(Line::Whole(b"half a line")));
    }

    /// Where the reads ended that were reported with the lines, and where the last line ends; all
    /// offsets count from the beginning of the stream.
    fn ends_of(chunks: &[&[u8]], limit: usize) -> (Vec<u64>, u64) {
        let mut buffer = LineBuffer::new(limit);
        let (mut ends, mut begin) = (Vec::new(), 0);
        for chunk in chunks {
            buffer.release();
            buffer.extend(chunk);
            buffer.read_ended();
            while let Some((line, reads)) = buffer.next_line_and_reads() {
                ends.extend(reads.ends().map(|end| begin + end));
                begin += line.octets() + 2;
            }
        }
        (ends, begin)
    }

    #[test]
    fn a_read_that_ends_between_two_lines_belongs_to_the_first() {
        assert_eq!(ends_of(&[b"a\r\n", b"b\r\n"], 9), (vec![3, 6], 6));
    }

    #[test]
    fn what_is_taken_over_from_another_buffer_keeps_its_read_ends() {
        let mut input = LineBuffer::new(100);
        for read in ["DATA\r\na", "b\r\n.", "\r\nQ"] {
            input.extend(read.as_bytes());
            input.read_ended();
        }
        assert_eq!(input.next_line(), Some(Line::Whole(b"DATA")));
        let mut text = LineBuffer::new(100);
        text.extend_from(&input, 7);
        let mut next = || {
            let (line, reads) = text.next_line_and_reads()?;
            Some((line.beginning().to_vec(), reads.ends().collect::<Vec<_>>()))
        };
        assert_eq!(next(), Some((b"ab".to_vec(), vec![1])));
        assert_eq!(next(), Some((b".".to_vec(), vec![1])));
        assert_eq!(next(), None);
    }

    #[test]
    fn where_no_read_end_is_noted_none_is_found() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"NOOP\r\n");
        let (_, reads) = buffer.next_line_and_reads().unwrap();
        assert_eq!(reads.ends().count(), 0);
    }

    proptest! {
        #[test]
        fn the_read_ends_of_all_lines_are_where_the_stream_was_cut(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r\n.".to_vec()), 0..200),
            cuts in prop::collection::btree_set(1u64..200, 0..20),
            limit in 1usize..20,
        ) {
            let octets = bytes.len() as u64;
            let mut cuts: Vec<u64> = cuts.into_iter().filter(|&cut| cut < octets).collect();
            let bounds: Vec<usize> = [0].into_iter().chain(cuts.iter().copied()).chain([octets])
                .map(|cut| usize::try_from(cut).unwrap()).collect();
            let chunks: Vec<&[u8]> = bounds.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let (ends, last_line) = ends_of(&chunks, limit);
            cuts.push(octets);
            cuts.retain(|&cut| 0 < cut && cut <= last_line);
            prop_assert_eq!(ends, cuts);
        }

        #[test]
        fn any_cut_of_the_bytes_gives_the_same_lines(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r\n.".to_vec()), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..20),
            limit in 1usize..20,
        ) {
            let (at_once, _) = lines_of(&[&bytes], limit);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let (in_pieces, _) = lines_of(&chunks, limit);
            // How much of an overlong line is kept depends on how it arrived; nothing else does.
            let shape = |lines: Vec<Owned>| lines.into_iter().map(|line| match line {
                Owned::Overlong(_, octets) => Owned::Overlong(Vec::new(), octets),
                line @ Owned::Whole(_) => line,
            }).collect::<Vec<_>>();
            prop_assert_eq!(shape(at_once), shape(in_pieces));
        }
    }
}
