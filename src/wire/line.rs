//! Splits a byte stream into CRLF lines, in bounded memory. Knows nothing of sockets.
//!
//! A line ends at CR LF and only there: a lone CR or LF is an ordinary byte (RFC 5321 section
//! 2.3.8), which is what keeps a message from smuggling a second one past us.

use std::mem;

use memchr::memchr_iter;

/// Octets of an overlong line that are kept, so that a transcript can show how it began.
pub const OVERLONG_KEPT: usize = 1_024;

/// What [`LineBuffer::next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its CRLF.
    Whole(&'a [u8]),
    /// A line over the limit, reported once, when its CRLF has arrived.
    Overlong {
        /// Its first [`OVERLONG_KEPT`] octets.
        beginning: &'a [u8],
        /// How long it was, in octets without its CRLF.
        octets: u64,
    },
}

/// Bytes that have arrived and have not been consumed.
///
/// Holds at most the limit plus what one read brought, however long the peer's line is. An empty
/// buffer owns no memory, so that an idle connection costs none.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the first unconsumed byte is.
    start: usize,
    /// No CRLF ends before this index; keeps byte-wise arrival linear.
    scanned: usize,
    limit: usize,
    overlong: Option<Overlong>,
    /// What the last overlong line began with, while its report is borrowed.
    beginning: Vec<u8>,
}

/// A line over the limit whose CRLF has not arrived.
#[derive(Debug)]
struct Overlong {
    /// Octets discarded so far, without the bytes still in the buffer.
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
        }
    }

    /// Room for a read of at least `octets`: append to the vector what has arrived.
    pub fn space(&mut self, octets: usize) -> &mut Vec<u8> {
        self.drop_consumed();
        self.bytes.reserve(octets);
        &mut self.bytes
    }

    /// Appends what has arrived.
    pub fn extend(&mut self, arrived: &[u8]) {
        self.space(arrived.len()).extend_from_slice(arrived);
    }

    /// The next whole line, or `None` until its CRLF arrives.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let Some(end) = self.find_crlf() else {
            self.discard_beyond_limit();
            return None;
        };
        let from = mem::replace(&mut self.start, end + 2);
        self.scanned = self.start;
        let length = end - from;
        if let Some(overlong) = self.overlong.take() {
            let octets = overlong.octets.saturating_add(length as u64);
            return Some(Line::Overlong { beginning: &self.beginning, octets });
        }
        let line = self.bytes.get(from..end)?;
        if length > self.limit {
            let beginning = line.get(..OVERLONG_KEPT).unwrap_or(line);
            return Some(Line::Overlong { beginning, octets: length as u64 });
        }
        Some(Line::Whole(line))
    }

    /// What has arrived and has not been consumed: an unfinished line, or message text.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Takes `octets` of [`unread`](Self::unread) away; what follows begins a line.
    pub fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.bytes.len());
        self.scanned = self.start;
    }

    /// Whether nothing at all is held: the peer is between two lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread().is_empty() && self.overlong.is_none()
    }

    /// Whether the unfinished line is over the limit already.
    #[must_use]
    pub const fn is_overlong(&self) -> bool {
        self.overlong.is_some()
    }

    /// Gives the memory back while the peer is silent.
    pub fn release(&mut self) {
        self.drop_consumed();
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        } else {
            self.bytes.shrink_to(0);
        }
        if self.overlong.is_none() {
            self.beginning = Vec::new();
        }
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

    /// Forgets all but a possible first half of a CRLF once an unfinished line is over the limit.
    fn discard_beyond_limit(&mut self) {
        // A CR at the end is not counted: it may belong to the line's CRLF.
        let ends_in_cr = self.unread().last() == Some(&b'\r');
        let length = self.unread().len() - usize::from(ends_in_cr);
        let discarded = match &self.overlong {
            Some(overlong) => overlong.octets,
            None if length <= self.limit => return,
            None => {
                self.beginning = self.unread().iter().take(OVERLONG_KEPT).copied().collect();
                0
            }
        };
        self.overlong = Some(Overlong { octets: discarded.saturating_add(length as u64) });
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
        self.scanned -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line as an owned value, so that runs can be compared.
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

    proptest! {
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
