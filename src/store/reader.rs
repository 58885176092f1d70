//! One message of an mbox file, read piece by piece as POP3 sends it.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{ReadWriteFlags, preadv2};

use crate::store::checksum::{Checksum, RunningChecksum};
use crate::store::index::{Message, ReadError};
use crate::store::mbox::{Span, Unquoter};

/// Octets of a message that are read at once.
const READ_AT_ONCE: u64 = 64 * 1024;

/// A message on its way out.
#[derive(Debug)]
pub struct MessageReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    unquoter: Unquoter,
    /// Octets that are still to come.
    left: u64,
    /// Of what has been read, and what it must come to, where that is known.
    checksum: Option<(RunningChecksum, Checksum)>,
    finished: bool,
}

impl MessageReader {
    /// Reads whatever is at `span`, if it is as long as that says.
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

    /// Reads `message`, and nothing else that may stand in its place.
    pub(super) fn of_message(file: Arc<File>, message: &Message) -> Self {
        let checksum = Some((RunningChecksum::default(), message.checksum()));
        Self { checksum, ..Self::of_span(file, message.span) }
    }

    /// Appends the next piece, at most some 128 KiB, with CRLF line ends and without dot
    /// stuffing; returns how many octets it was, 0 at the end.
    ///
    /// An error also if the message turns out to be another one than it was: then what has been
    /// sent of it must not be taken for whole.
    pub async fn read(&mut self, out: &mut Vec<u8>) -> Result<usize, ReadError> {
        let before = out.len();
        while out.len() == before && !self.finished {
            if self.at < self.end {
                let raw = self.next_raw().await?;
                self.at += raw.len() as u64;
                if let Some((checksum, _)) = &mut self.checksum {
                    checksum.push(&raw);
                }
                self.unquoter.push(&raw, |text| out.extend_from_slice(text));
            }
            if self.at >= self.end {
                self.finished = true;
                self.unquoter.finish(|text| out.extend_from_slice(text));
            }
        }
        let octets = out.len() - before;
        self.left = self.left.checked_sub(octets as u64).ok_or(ReadError::Changed)?;
        if self.finished && !self.is_whole() {
            return Err(ReadError::Changed);
        }
        Ok(octets)
    }

    /// Whether what has been read is the message, all of it.
    fn is_whole(&mut self) -> bool {
        let checksum = self.checksum.take();
        self.left == 0 && checksum.is_none_or(|(read, expected)| read.finish() == expected)
    }

    /// The next octets of the file: at once if the kernel has them in memory, and by another
    /// thread if the disk must be waited for.
    async fn next_raw(&self) -> Result<Vec<u8>, ReadError> {
        let wanted = usize::try_from((self.end - self.at).min(READ_AT_ONCE)).unwrap_or(0);
        let mut raw = vec![0; wanted];
        let there = {
            let buffers = &mut [IoSliceMut::new(&mut raw)];
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
