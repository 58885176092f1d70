//! Where reads ended in a stream of bytes, and which of these ends fall within a line. Does no I/O.

use std::iter;
use std::mem;
use std::ops::RangeInclusive;

/// Maximum read ends kept of one line. A line typed or split octet by octet has one per octet.
pub const MOST_ENDS: usize = 32;

/// Octets of the CRLF that ends a line.
const CRLF: u64 = 2;

/// Where reads ended, as offsets from the beginning of the stream. Ends within consumed lines are
/// forgotten.
///
/// Of the current line it keeps the first `MOST_ENDS - 1` ends and the last one.
#[derive(Debug)]
pub(crate) struct ReadLog {
    /// All ends but the last. Stays unallocated while every read brings whole lines.
    earlier: Vec<u64>,
    /// Number of ends dropped between the earlier ones and the last.
    more: u32,
    /// The latest read end; 0 before the first read.
    last: u64,
}

impl ReadLog {
    /// A log in which no read has ended yet.
    pub(crate) const fn new() -> Self {
        Self { earlier: Vec::new(), more: 0, last: 0 }
    }

    /// Notes that a read ended at `end`; the current line begins at `line`.
    pub(crate) fn push(&mut self, end: u64, line: u64) {
        self.forget(line);
        // The last end counts only if it is within the current line.
        if self.last > line {
            self.keep_last();
        }
        self.last = end;
    }

    /// Forgets the ends in lines before `line`, and gives their memory back.
    pub(crate) fn forget(&mut self, line: u64) {
        if self.earlier.last().is_some_and(|&end| end > line) {
            self.earlier.retain(|&end| end > line);
        } else {
            self.earlier = Vec::new();
            self.more = 0;
        }
    }

    /// The read ends from `begin` to `end`, which delimit a line with its CRLF, or a piece of text.
    pub(crate) const fn within(&self, begin: u64, end: u64) -> Reads<'_> {
        Reads { log: self, begin, end }
    }

    fn keep_last(&mut self) {
        if self.earlier.len() < MOST_ENDS - 1 {
            self.earlier.push(self.last);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// The read ends within one line. An end exactly at the beginning of a line belongs to the line
/// before it.
#[derive(Debug, Clone, Copy)]
pub struct Reads<'a> {
    log: &'a ReadLog,
    begin: u64,
    end: u64,
}

impl Reads<'_> {
    /// Octets of the line before each end, ascending.
    pub fn ends(&self) -> impl Iterator<Item = u64> {
        let inside = self.inside();
        let all = self.log.earlier.iter().copied().chain(iter::once(self.log.last));
        all.filter(move |end| inside.contains(end)).map(|end| end - self.begin)
    }

    /// Number of read ends in this line that [`ends`](Self::ends) leaves out.
    #[must_use]
    pub fn more(&self) -> u32 {
        match self.log.earlier.last() {
            Some(end) if self.inside().contains(end) => self.log.more,
            _ => 0,
        }
    }

    /// Octets of the line without its CRLF.
    const fn octets(&self) -> u64 {
        self.end.saturating_sub(self.begin).saturating_sub(CRLF)
    }

    const fn inside(&self) -> RangeInclusive<u64> {
        self.begin.saturating_add(1)..=self.end
    }
}

/// Where reads ended within one line, as an event stores it.
///
/// Allocates nothing if a read brings the whole line with its CRLF.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadEnds {
    /// Offsets of the ends within the line, ascending, none after the line's CR.
    before_crlf: Box<[u16]>,
    more: u32,
    behind_cr: bool,
    behind_lf: bool,
}

impl ReadEnds {
    /// Offsets of the read ends within the text of the line, ascending. For a line longer than an
    /// event keeps, only those near its beginning.
    pub fn before_crlf(&self) -> impl Iterator<Item = usize> {
        self.before_crlf.iter().map(|&end| usize::from(end))
    }

    /// Offsets of the read ends within the line's CRLF: 1 is between CR and LF, 2 is after both.
    pub fn in_crlf(&self) -> impl Iterator<Item = usize> {
        let behind_cr = self.behind_cr.then_some(1);
        behind_cr.into_iter().chain(self.behind_lf.then_some(2))
    }

    /// Number of read ends that were not kept.
    #[must_use]
    pub const fn more(&self) -> u32 {
        self.more
    }

    /// Octets of heap memory it owns.
    #[must_use]
    pub const fn octets(&self) -> usize {
        mem::size_of_val(&*self.before_crlf)
    }
}

impl From<Reads<'_>> for ReadEnds {
    fn from(reads: Reads<'_>) -> Self {
        let octets = reads.octets();
        let has = |at: u64| reads.ends().any(|end| end == at);
        let before_crlf = reads.ends().take_while(|&end| end <= octets);
        Self {
            // An event keeps fewer octets of a line than fit into a u16.
            before_crlf: before_crlf.filter_map(|end| end.try_into().ok()).collect(),
            more: reads.more(),
            behind_cr: has(octets + 1),
            behind_lf: has(octets + CRLF),
        }
    }
}
