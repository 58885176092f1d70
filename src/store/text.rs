//! Message text on its way to disk: quoted as it arrives, in memory while it is small, in a file
//! without a name when it is not.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use crc32fast::Hasher;

use crate::store::files::Files;
use crate::store::mbox::Quoter;

/// Octets of one message that are kept in memory; what is above goes to disk in pieces of this
/// size.
pub const IN_MEMORY_MOST: usize = 256 * 1024;

/// The text of a message that is being received, as it will lie in an mbox.
#[derive(Debug)]
pub struct Text {
    files: Arc<Files>,
    quoter: Quoter,
    memory: Vec<u8>,
    spool: Option<File>,
    spooled: u64,
    octets: u64,
    checksum: Hasher,
    /// The first thing that went wrong; delivering fails with it.
    fault: Option<io::Error>,
}

impl Text {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self {
            files,
            quoter: Quoter::default(),
            memory: Vec::new(),
            spool: None,
            spooled: 0,
            octets: 0,
            checksum: Hasher::new(),
            fault: None,
        }
    }

    /// Takes the next piece, as it came without dot stuffing.
    pub fn push(&mut self, piece: &[u8]) {
        self.octets += piece.len() as u64;
        if self.fault.is_none() {
            self.quoter.push(piece, &mut self.memory);
        }
    }

    /// Octets received so far.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether so much is in memory that [`spill`](Self::spill) should move it.
    #[must_use]
    pub const fn wants_spill(&self) -> bool {
        self.memory.len() >= IN_MEMORY_MOST
    }

    /// Moves what is in memory to disk. What goes wrong is told by the delivery, because a client
    /// can be told only then.
    pub async fn spill(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.checksum.update(&memory);
        let (spool, files) = (self.spool.take(), Arc::clone(&self.files));
        let moved = tokio::task::spawn_blocking(move || {
            let mut spool = spool.map_or_else(|| files.nameless(), Ok)?;
            spool.write_all(&memory)?;
            Ok((spool, memory.len() as u64))
        });
        match moved.await.map_err(io::Error::other).flatten() {
            Ok((spool, octets)) => {
                self.spool = Some(spool);
                self.spooled += octets;
            }
            Err(error) => self.fault = Some(error),
        }
    }

    /// Gives up what has come and will come; it is only counted from now on.
    pub fn discard(&mut self) {
        self.fault.get_or_insert_with(|| io::Error::other("the text was discarded"));
        self.memory = Vec::new();
        self.spool = None;
    }

    /// Ends the text.
    pub(super) fn finish(mut self) -> io::Result<Finished> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.quoter.finish(&mut self.memory);
        self.checksum.update(&self.memory);
        let octets = self.spooled + self.memory.len() as u64;
        let spool = self.spool.map(|file| (file, self.spooled));
        Ok(Finished { spool, memory: self.memory, octets, checksum: self.checksum })
    }
}

/// A text that is complete, quoted.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its beginning, if that is on disk, and how many octets that is.
    pub(super) spool: Option<(File, u64)>,
    /// The rest.
    pub(super) memory: Vec<u8>,
    /// Octets of both.
    pub(super) octets: u64,
    /// CRC-32 of both.
    pub(super) checksum: Hasher,
}

#[cfg(test)]
impl Finished {
    /// Something of that length.
    pub(super) fn pretend(octets: u64) -> Self {
        Self { spool: None, memory: Vec::new(), octets, checksum: Hasher::new() }
    }
}
