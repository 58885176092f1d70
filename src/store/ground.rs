//! What all work on the files of one directory shares: the directory itself, its locks, whether
//! writes are synced, and the indexes of its mailboxes.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::store::anchor::Anchor;
use crate::store::budget::Budget;
use crate::store::files::Files;
use crate::store::index::Indexes;

/// File name of the relay queue.
pub const QUEUE_FILE: &str = "mqueue";

/// Whether a message is on disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Synced before the reply (RFC 5321 sections 4.2.5 and 6.1).
    #[default]
    Synced,
    /// Written but not synced: it survives the death of the process, but not that of the machine.
    Unsynced,
}

impl Durability {
    /// Syncs the data of a file, unless writes are not to be synced.
    pub fn sync(self, file: &File) -> io::Result<()> {
        match self {
            // fdatasync: it includes the size of the file, and the times need not be on disk.
            Self::Synced => file.sync_data(),
            Self::Unsynced => Ok(()),
        }
    }
}

/// A directory of mbox files.
#[derive(Debug)]
pub struct Ground {
    /// The directory, held open.
    pub files: Arc<Files>,
    /// The file that the dotlocks in it are links to.
    pub anchor: Arc<Anchor>,
    /// Whether writes are synced.
    pub durability: Durability,
    /// Limits the memory of texts that are being received.
    pub texts: Arc<Budget>,
    /// The indexes of the mailboxes visited so far.
    pub indexes: Indexes,
}

impl Ground {
    /// The directory `files`, with no mailbox indexed yet.
    #[must_use]
    pub fn new(files: Files, durability: Durability) -> Self {
        let files = Arc::new(files);
        let anchor = Arc::new(Anchor::new(&files));
        let indexes = Indexes::of_directory(&files);
        Self { files, anchor, durability, texts: Arc::default(), indexes }
    }
}
