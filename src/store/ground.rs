//! What all work on the files of one directory stands on: the directory itself, the locks, whether
//! writes are synced, and what is known of each mailbox.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::store::anchor::Anchor;
use crate::store::budget::Budget;
use crate::store::files::Files;
use crate::store::index::Indexes;

/// The name of the relay queue's file.
pub const QUEUE_FILE: &str = "mqueue";

/// Whether a message is on disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is (RFC 5321 sections 4.2.5 and 6.1).
    #[default]
    Synced,
    /// Only the kernel has it: it survives the death of the process, not that of the machine.
    Unsynced,
}

impl Durability {
    /// Syncs what has been written to a file, where that is asked for.
    pub fn sync(self, file: &File) -> io::Result<()> {
        match self {
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
    /// What the dotlocks in it are links to.
    pub anchor: Arc<Anchor>,
    /// Whether writes are synced.
    pub durability: Durability,
    /// What texts on their way in may have in memory.
    pub texts: Arc<Budget>,
    /// Where the messages of each visited mailbox lie.
    pub indexes: Indexes,
}

impl Ground {
    /// The directory `files`, of whose mailboxes nothing is known yet.
    #[must_use]
    pub fn new(files: Files, durability: Durability) -> Self {
        let files = Arc::new(files);
        let anchor = Arc::new(Anchor::new(&files));
        let indexes = Indexes::of_directory(&files);
        Self { files, anchor, durability, texts: Arc::default(), indexes }
    }
}
