//! Reads one message of an mbox file in pieces, as POP3 sends it.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{ReadWriteFlags, preadv2};

use crate::store::checksum::{Checksum, RunningChecksum};
use crate::store::index::{Message, ReadError};
use crate::store::mbox::{Span, Unquoter};

/// Octets of a message read at once.
const READ_AT_ONCE: u64 = 64 * 1024;

/// A message being read.
#[derive(Debug)]
pub struct MessageReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    unquoter: Unquoter,
    /// Octets still to come.
    left: u64,
    /// Checksum of what has been read, and the expected one; `None` if that is unknown.
    checksum: Option<(RunningChecksum, Checksum)>,
    finished: bool,
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
            checksum: None,
            finished: false,
        }
    }

    /// Reads `message`, and fails if anything else is in its place.
    pub(super) fn of_message(file: Arc<File>, message: &Message) -> Self {
        let checksum = Some((RunningChecksum::default(), message.checksum()));
        Self { checksum, ..Self::of_span(file, message.span) }
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
                let raw = self.next_raw().await?;
                self.at += raw.len() as u64;
                if let Some((checksum, _)) = &mut self.checksum {
                    checksum.push(&raw);
                }
                // Once, not line by line: with CR before LF it is a little longer.
                out.reserve(raw.len() + raw.len() / 32);
                self.unquoter.push(&raw, |text| out.extend_from_slice(text));
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
    fn is_whole(&mut self) -> bool {
        let checksum = self.checksum.take();
        self.left == 0 && checksum.is_none_or(|(read, expected)| read.finish() == expected)
    }

    /// The next octets of the file: at once if they are in the page cache, otherwise on a blocking
    /// thread.
    async fn next_raw(&self) -> Result<Vec<u8>, ReadError> {
        let wanted = usize::try_from((self.end - self.at).min(READ_AT_ONCE)).unwrap_or(0);
        let mut raw = vec![0; wanted];
        let there = {
            let buffers = &mut [IoSliceMut::new(&mut raw)];
            // EAGAIN, or the flag is not supported: the blocking read below reports real errors.
            preadv2(&self.file, buffers, self.at, ReadWriteFlags::NOWAIT).unwrap_or(0)
        };
        if there > 0 {
            raw.truncate(there);
            return Ok(raw);
        }
        let (file, at) = (Arc::clone(&self.file), self.at);
        let read = tokio::task::spawn_blocking(move || {
            file.read_exact_at(&mut raw, at)?;
            Ok(raw)
        });
        read.await.map_err(io::Error::other)?.map_err(ReadError::at_end_of_file)
    }
}
