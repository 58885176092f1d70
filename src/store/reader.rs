//! Reads one message of an mbox file in pieces, as POP3 sends it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{ReadWriteFlags, preadv2};

use crate::store::checksum::{Checksum, RunningChecksum};
use crate::store::index::{Message, ReadError};
use crate::store::mbox::{Span, Unquoter};

/// Octets of a message read at once.
const READ_AT_ONCE: u64 = 64 * 1024;

thread_local! {
    /// Reused buffer for what is read of a file, until it is unquoted.
    static RAW: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A message being read.
#[derive(Debug)]
pub struct MessageReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    unquoter: Unquoter,
    /// Octets still to come.
    left: u64,
    /// `None` if no checksum is known.
    check: Option<Check>,
    finished: bool,
}

/// Whether what is read has the checksum that is expected.
#[derive(Debug)]
struct Check {
    expected: Checksum,
    /// Of what has been read; `None` if that is nothing or all of it. Boxed, as it is large and few
    /// messages need it.
    running: Option<Box<RunningChecksum>>,
    /// Of all of it.
    found: Option<Checksum>,
}

impl Check {
    const fn new(expected: Checksum) -> Self {
        Self { expected, running: None, found: None }
    }

    fn push(&mut self, raw: &[u8], is_last: bool) {
        if is_last && self.running.is_none() {
            // Several times faster than piece by piece.
            self.found = Some(Checksum::of(raw));
            return;
        }
        self.running.get_or_insert_default().push(raw);
        if is_last {
            self.found = self.running.take().map(|running| running.finish());
        }
    }

    fn is_as_expected(&self) -> bool {
        self.found.unwrap_or_else(|| Checksum::of(b"")) == self.expected
    }
}

impl MessageReader {
    /// Reads whatever is at `span`, provided that its length is right.
    pub(super) fn of_span(file: Arc<File>, span: Span) -> Self {
        Self {
            file,
            at: span.text,
            end: span.text_end,
            unquoter: Unquoter::default(),
            left: span.octets,
            check: None,
            finished: false,
        }
    }

    /// Reads `message`, and fails if anything else is in its place.
    pub(super) fn of_message(file: Arc<File>, message: &Message) -> Self {
        let check = Some(Check::new(message.checksum()));
        Self { check, ..Self::of_span(file, message.span) }
    }

    /// Appends the next piece, of at most about 128 KiB, with CRLF line ends and without dot
    /// stuffing; returns its length in octets, 0 at the end.
    ///
    /// # Errors
    ///
    /// If reading fails or the message turns out to have changed. What has been sent of it must
    /// then not pass for the whole message.
    pub async fn read(&mut self, out: &mut Vec<u8>) -> Result<usize, ReadError> {
        let before = out.len();
        // A piece may be withheld as a whole (a `>` that may be quoting), but 0 means the end.
        while out.len() == before && !self.finished {
            if self.at < self.end {
                let mut buffer = RAW.take();
                let octets = self.next_raw(&mut buffer).await?;
                let raw = buffer.get(..octets).unwrap_or_default();
                self.at += octets as u64;
                if let Some(check) = &mut self.check {
                    check.push(raw, self.at >= self.end);
                }
                // Once, not line by line: with CR before LF it is a little longer.
                out.reserve(raw.len() + raw.len() / 32);
                self.unquoter.push(raw, |text| out.extend_from_slice(text));
                RAW.set(buffer);
            }
            if self.at >= self.end {
                self.finished = true;
                self.unquoter.finish(|text| out.extend_from_slice(text));
            }
        }
        let octets = out.len() - before;
        // More octets than the message had: another one is in its place.
        self.left = self.left.checked_sub(octets as u64).ok_or(ReadError::Changed)?;
        if self.finished && !self.is_whole() {
            return Err(ReadError::Changed);
        }
        Ok(octets)
    }

    /// Whether all of the message has been read, unchanged.
    fn is_whole(&self) -> bool {
        self.left == 0 && self.check.as_ref().is_none_or(Check::is_as_expected)
    }

    /// Reads the next octets of the file into `buffer`, and returns how many: at once if they are in
    /// the page cache, otherwise on a blocking thread.
    async fn next_raw(&self, buffer: &mut Vec<u8>) -> Result<usize, ReadError> {
        let wanted = usize::try_from((self.end - self.at).min(READ_AT_ONCE)).unwrap_or(0);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let there = {
            let buffers = &mut [IoSliceMut::new(buffer.get_mut(..wanted).unwrap_or_default())];
            // EAGAIN, or the flag is not supported: the blocking read below reports real errors.
            preadv2(&self.file, buffers, self.at, ReadWriteFlags::NOWAIT).unwrap_or(0)
        };
        if there > 0 {
            return Ok(there);
        }
        let (file, at, mut taken) = (Arc::clone(&self.file), self.at, mem::take(buffer));
        let read = tokio::task::spawn_blocking(move || {
            file.read_exact_at(taken.get_mut(..wanted).unwrap_or_default(), at)?;
            Ok(taken)
        });
        *buffer = read.await.map_err(io::Error::other)?.map_err(ReadError::at_end_of_file)?;
        Ok(wanted)
    }
}
