//! Where reads ended in a stream of bytes, and which of these ends fall into a line of it.
//! Knows neither sockets nor what the bytes are.

use std::iter;
use std::mem;
use std::ops::RangeInclusive;

/// Read ends kept of one line: a line that is typed or cut octet by octet has as many as octets.
pub const MOST_ENDS: usize = 32;

/// Octets of the CRLF behind a line.
const CRLF: u64 = 2;

/// Where reads ended, counted from the beginning of the stream; only those that fall into lines
/// which have not been taken.
///
/// Of the line at hand it keeps the first [`MOST_ENDS`] less one, and the last.
#[derive(Debug)]
pub(crate) struct ReadLog {
    /// All but the last. Nothing is allocated while every read brings whole lines.
    earlier: Vec<u64>,
    /// Not kept, between the earlier ones and the last.
    more: u32,
    /// 0 before the first read.
    last: u64,
}

impl ReadLog {
    /// No read has ended yet.
    pub(crate) const fn new() -> Self {
        Self { earlier: Vec::new(), more: 0, last: 0 }
    }

    /// A read ended at `end`, and a line that has not been taken begins at `line`.
    pub(crate) fn push(&mut self, end: u64, line: u64) {
        self.forget(line);
        if self.last > line {
            self.keep_last();
        }
        self.last = end;
    }

    /// Forgets what lies in the lines before `line`, and gives the memory back.
    pub(crate) fn forget(&mut self, line: u64) {
        if self.earlier.last().is_some_and(|&end| end > line) {
            self.earlier.retain(|&end| end > line);
        } else {
            self.earlier = Vec::new();
            self.more = 0;
        }
    }

    /// The read ends among the octets from `begin` to `end`: a line with its CRLF, or a piece of
    /// text.
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

/// The read ends in one line. An end at the very beginning of a line is one behind the line
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

    /// How many there were that are not among [`ends`](Self::ends).
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

/// Where reads ended in one line, as an event keeps it.
///
/// A read that brings a line with its CRLF, or many of them, allocates nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadEnds {
    /// Octets of the line before each end, ascending, none of them behind the line's CR.
    before_crlf: Box<[u16]>,
    more: u32,
    behind_cr: bool,
    behind_lf: bool,
}

impl ReadEnds {
    /// The octets before each end in the text of the line, which ascend. Where the line is longer
    /// than any that is kept, only its beginning is told.
    pub fn before_crlf(&self) -> impl Iterator<Item = usize> {
        self.before_crlf.iter().map(|&end| usize::from(end))
    }

    /// The same within the line's CRLF: 1 is between CR and LF, 2 is behind both.
    pub fn in_crlf(&self) -> impl Iterator<Item = usize> {
        let behind_cr = self.behind_cr.then_some(1);
        behind_cr.into_iter().chain(self.behind_lf.then_some(2))
    }

    /// How many more there were.
    #[must_use]
    pub const fn more(&self) -> u32 {
        self.more
    }

    /// Octets of memory beside the value itself.
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
            before_crlf: before_crlf.filter_map(|end| end.try_into().ok()).collect(),
            more: reads.more(),
            behind_cr: has(octets + 1),
            behind_lf: has(octets + CRLF),
        }
    }
}
