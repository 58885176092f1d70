//! Reads the text of queued messages for the relay.

use std::io;
use std::sync::Arc;

use crate::relay::notification::HEADER_SENT_BACK;
use crate::relay::text::{Hops, MessageText, TextReader};
use crate::store::queue::{Entry, Queue};
use crate::store::reader::MessageReader;

/// The text of a queued message. It can be read once for each host that is tried.
#[derive(Debug)]
pub struct QueuedText {
    queue: Queue,
    entry: Arc<Entry>,
}

impl QueuedText {
    /// The text of `entry` in `queue`.
    #[must_use]
    pub const fn new(queue: Queue, entry: Arc<Entry>) -> Self {
        Self { queue, entry }
    }

    /// The queue entry the text belongs to.
    #[must_use]
    pub const fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Reads the header, at most [`HEADER_SENT_BACK`] octets of it, and counts its `Received:`
    /// lines.
    ///
    /// # Errors
    ///
    /// If the queue file cannot be read, or the entry is no longer in it.
    pub async fn header(&self) -> io::Result<(Vec<u8>, Hops)> {
        let mut reader = self.open().await?;
        let mut hops = Hops::default();
        let mut header = Vec::new();
        let mut piece = Vec::new();
        while !hops.header_is_over() && TextReader::read(&mut reader, &mut piece).await? > 0 {
            hops.push(&piece);
            // All `Received:` lines count, so the whole header is read, but only its beginning is
            // kept.
            let room = HEADER_SENT_BACK.saturating_sub(header.len());
            header.extend(piece.drain(..).take(room));
        }
        if let Some(end) = memchr::memmem::find(&header, b"\r\n\r\n") {
            // The CRLF of the last field stays.
            header.truncate(end + 2);
        }
        Ok((header, hops))
    }
}

impl MessageText for QueuedText {
    type Reader = MessageReader;

    fn octets(&self) -> u64 {
        self.entry.octets
    }

    async fn open(&self) -> io::Result<MessageReader> {
        self.queue.text(&self.entry).await.map_err(io::Error::other)
    }
}

impl TextReader for MessageReader {
    async fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<usize> {
        Self::read(self, piece).await.map_err(io::Error::other)
    }
}
