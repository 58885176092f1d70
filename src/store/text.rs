//! Message text on its way to disk. It is quoted as it arrives, and kept in memory while it is
//! small; it goes to a nameless file when it is not, or when all texts together are too large.
//!
//! See docs/files.md 6.2.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crc32fast::Hasher;

use crate::store::budget::{Budget, Memory};
use crate::store::files::{Files, Window};
use crate::store::mbox::Quoter;

thread_local! {
    /// Reused buffer for the quoted form of a piece, until it is stored.
    static QUOTED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Maximum octets of a text that the journal repeats. For a longer one it has checksums.
pub const REPEATED_MOST: u64 = 256 * 1024;

/// Octets of a block; a long text has a checksum for each block.
pub const BLOCK: usize = 64 * 1024;

/// The checksums of a long text, a CRC-32 for each [`BLOCK`] octets. With them, the remains of the
/// text after a crash can be told from what another program wrote after it.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    complete: Vec<u32>,
    last: Hasher,
    in_last: usize,
}

impl Blocks {
    /// Checksums read from a journal.
    #[must_use]
    pub fn of_checksums(checksums: Vec<u32>) -> Self {
        Self { complete: checksums, ..Self::default() }
    }

    /// The checksums of a complete text.
    #[must_use]
    pub fn checksums(&self) -> &[u32] {
        &self.complete
    }

    fn push(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.in_last));
            self.last.update(now);
            self.in_last += now.len();
            rest = later;
            if self.in_last == BLOCK {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        if self.in_last > 0 {
            let last = std::mem::take(&mut self.last);
            self.complete.push(last.finalize());
            self.in_last = 0;
        }
    }
}

impl PartialEq for Blocks {
    fn eq(&self, other: &Self) -> bool {
        self.complete == other.complete && self.in_last == 0 && other.in_last == 0
    }
}

impl Eq for Blocks {}

/// The text of a message that is being received, in the form it will have in an mbox.
#[derive(Debug)]
pub struct Text {
    files: Arc<Files>,
    quoter: Quoter,
    memory: Memory,
    spool: Option<File>,
    spooled: u64,
    /// Checksums of what is in the spool.
    blocks: Blocks,
    octets: u64,
    /// The first error; delivery fails with it.
    fault: Option<io::Error>,
}

impl Text {
    pub(super) fn new(files: Arc<Files>, budget: &Arc<Budget>) -> Self {
        Self {
            files,
            quoter: Quoter::default(),
            memory: Memory::new(budget),
            spool: None,
            spooled: 0,
            blocks: Blocks::default(),
            octets: 0,
            fault: None,
        }
    }

    /// Takes the next piece, without dot stuffing.
    pub fn push(&mut self, piece: &[u8]) {
        self.octets += piece.len() as u64;
        if self.fault.is_none() {
            let mut quoted = QUOTED.take();
            self.quoter.push(piece, &mut quoted);
            self.keep(&quoted);
            quoted.clear();
            QUOTED.set(quoted);
        }
    }

    fn keep(&mut self, quoted: &[u8]) {
        if let Err(error) = self.memory.push(quoted) {
            self.fault = Some(error);
        }
    }

    /// Octets received so far.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether so much is in memory that [`spill`](Self::spill) should be called.
    #[must_use]
    pub fn wants_spill(&self) -> bool {
        self.memory.is_too_much()
    }

    /// Moves what is in memory to disk. An error is reported by the delivery, because only then can
    /// the client be told.
    pub async fn spill(&mut self) {
        let mut memory = self.memory.take();
        self.blocks.push(&memory);
        let (spool, files) = (self.spool.take(), Arc::clone(&self.files));
        let moved = tokio::task::spawn_blocking(move || {
            let mut spool = spool.map_or_else(|| files.nameless(), Ok)?;
            spool.write_all(&memory)?;
            let octets = memory.len() as u64;
            // Reuses the pages: new ones would cost more than writing these.
            memory.clear();
            Ok((spool, memory, octets))
        });
        match moved.await.map_err(io::Error::other).flatten() {
            Ok((spool, memory, octets)) => {
                self.spool = Some(spool);
                self.memory = memory;
                self.spooled += octets;
            }
            Err(error) => self.fault = Some(error),
        }
    }

    /// Discards the text; what arrives from now on is only counted.
    pub fn discard(&mut self) {
        self.fault.get_or_insert_with(|| io::Error::other("the text was discarded"));
        drop(self.memory.take());
        self.spool = None;
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// The first error that has occurred with it, or that it was discarded.
    pub(super) fn finish(mut self) -> io::Result<Finished> {
        let mut withheld = Vec::new();
        self.quoter.finish(&mut withheld);
        self.keep(&withheld);
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let octets = self.spooled + self.memory.len() as u64;
        if octets > REPEATED_MOST {
            self.blocks.push(&self.memory);
            self.blocks.finish();
        }
        let spool = self.spool.map(|file| Spool { file, octets: self.spooled });
        Ok(Finished { spool, memory: self.memory, blocks: self.blocks, octets })
    }
}

/// A complete text, quoted.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its beginning, if that is on disk.
    pub(super) spool: Option<Spool>,
    /// The rest.
    pub(super) memory: Memory,
    /// Checksums of both, if the text is longer than the journal repeats.
    pub(super) blocks: Blocks,
    /// Octets of both.
    pub(super) octets: u64,
}

impl Finished {
    /// Passes all of it to `text` in pieces, quoted.
    pub(super) fn read(&self, mut text: impl FnMut(&[u8])) -> io::Result<()> {
        if let Some(spool) = &self.spool {
            let mut window = Window::of_octets(&spool.file, spool.octets);
            let mut at = 0;
            while at < spool.octets {
                let piece = window.at(at, spool.octets)?;
                text(piece);
                at += piece.len() as u64;
            }
        }
        text(&self.memory);
        Ok(())
    }
}

/// The part of a text that is on disk.
#[derive(Debug)]
pub(super) struct Spool {
    /// A file without a name.
    pub(super) file: File,
    /// Length of the text in it.
    pub(super) octets: u64,
}

impl Spool {
    /// Reads all of it into memory.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = vec![0; usize::try_from(self.octets).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut text, 0)?;
        Ok(text)
    }
}

#[cfg(test)]
impl Finished {
    /// Something of this length.
    pub(super) fn pretend(octets: u64) -> Self {
        Self {
            spool: None,
            memory: Memory::new(&Arc::default()),
            blocks: Blocks::default(),
            octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::budget::{IN_MEMORY_MOST, SPILLED_LEAST};

    #[test]
    fn blocks_are_the_same_however_a_text_comes() {
        let text: Vec<u8> = (0..=250).cycle().take(BLOCK * 2 + 100).collect();
        let expected: Vec<u32> = text.chunks(BLOCK).map(crc32fast::hash).collect();
        for piece in [1000, BLOCK, BLOCK + 1, text.len()] {
            let mut blocks = Blocks::default();
            text.chunks(piece).for_each(|piece| blocks.push(piece));
            blocks.finish();
            assert_eq!(blocks.checksums(), expected, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn texts_go_to_disk_early_when_all_together_are_too_much_and_give_back_what_they_had() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let budget = Arc::new(Budget::default());
        let new = || Text::new(Arc::clone(&files), &budget);
        let piece = vec![b'x'; IN_MEMORY_MOST - 1];
        let mut texts = Vec::new();
        while !budget.is_spent() {
            let mut text = new();
            text.push(&piece);
            texts.push(text);
        }
        let mut late = new();
        late.push(&vec![b'y'; SPILLED_LEAST]);
        assert!(late.wants_spill());
        late.spill().await;
        assert_eq!(late.memory.octets(), 0);
        let finished = late.finish().unwrap();
        assert_eq!(finished.spool.unwrap().read().unwrap(), vec![b'y'; SPILLED_LEAST]);
        drop(texts);
        assert_eq!(budget.taken(), 0);
    }
}
