//! Replaces an mbox file by another, so that the path names either the old file or the new one,
//! whole, at every moment. The draft is written beside it and synced, then renamed over it, then
//! the directory is synced.
//!
//! See docs/files.md 6.3.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::fs::{Gid, Mode, Uid};

use crate::store::files::{Files, NAMES_MOST, Stamp, Window};
use crate::store::ground::QUEUE_FILE;

/// Octets gathered before they are written.
const GATHERED: usize = 256 * 1024;

/// The new file. If it is dropped without [`replace`](Self::replace), it is removed.
#[derive(Debug)]
pub struct Draft {
    files: Arc<Files>,
    /// The name of the file it will replace.
    name: String,
    file: io::BufWriter<File>,
    done: bool,
}

/// The result of repairing a locked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The locked file is in order.
    Whole,
    /// A new file has taken its place: lock that one.
    Replaced,
}

/// A fixed name, so that the next rewrite clears away what a crash left.
fn draft_name(name: &str) -> String {
    format!(".{name}.tmp")
}

/// The files whose drafts were left behind by a crash.
pub fn drafts(files: &Files) -> io::Result<Vec<String>> {
    let draft_of = |name: &String| {
        let file = name.strip_prefix('.')?.strip_suffix(".tmp")?;
        (file.strip_suffix(".mbox").is_some() || file == QUEUE_FILE).then(|| file.to_owned())
    };
    Ok(files.names(NAMES_MOST)?.iter().filter_map(draft_of).collect())
}

/// Removes whatever has the name of a draft for `name`. If that is a hard link to the file itself,
/// removing it changes the file's state, so call this before looking at the file.
pub fn make_room(files: &Files, name: &str) -> io::Result<()> {
    files.clear(&draft_name(name))
}

impl Draft {
    /// Begins a file that will replace `name`, with the owner and mode of `old`. The caller holds
    /// the lock.
    pub fn begin(files: &Arc<Files>, name: &str, old: &File) -> io::Result<Self> {
        let file = files.new_file(&draft_name(name))?;
        let draft = Self {
            files: Arc::clone(files),
            name: name.to_owned(),
            file: io::BufWriter::with_capacity(GATHERED, file),
            done: false,
        };
        draft.take_after(old)?;
        Ok(draft)
    }

    fn take_after(&self, old: &File) -> io::Result<()> {
        let (old, new) = (old.metadata()?, self.file.get_ref());
        if (old.uid(), old.gid()) != (new.metadata()?.uid(), new.metadata()?.gid()) {
            let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
            rustix::fs::fchown(new, Some(owner), Some(group))?;
        }
        // After the owner: chown clears the setuid and setgid bits.
        Ok(rustix::fs::fchmod(new, Mode::from_raw_mode(old.mode() & 0o7777))?)
    }

    /// Appends octets.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Appends a stretch of the old file.
    pub fn copy(&mut self, old: &File, stretch: Range<u64>) -> io::Result<()> {
        self.copy_all(old, std::iter::once(stretch))
    }

    /// Appends ascending stretches of the old file. Stretches close to each other are read
    /// together: there may be 50,000 of a kilobyte each.
    pub fn copy_all(
        &mut self,
        old: &File,
        stretches: impl IntoIterator<Item = Range<u64>>,
    ) -> io::Result<()> {
        let mut window = Window::new(old);
        for stretch in stretches {
            let mut at = stretch.start;
            while at < stretch.end {
                let octets = window.at(at, stretch.end)?;
                self.file.write_all(octets)?;
                at += octets.len() as u64;
            }
        }
        Ok(())
    }

    /// Syncs the draft.
    pub fn sync(mut self) -> io::Result<Synced> {
        self.file.flush()?;
        // fsync, not fdatasync: the owner and mode of the draft must be on disk as well.
        self.file.get_ref().sync_all()?;
        Ok(Synced(self))
    }

    /// Syncs the draft, renames it over the old file, and syncs the directory.
    pub fn replace(self) -> io::Result<()> {
        self.sync()?.replace().map(drop)
    }
}

/// A draft that is on disk. Only the rename is left, which takes no time.
#[derive(Debug)]
pub struct Synced(Draft);

impl Synced {
    /// The new file.
    #[must_use]
    pub fn file(&self) -> &File {
        self.0.file.get_ref()
    }

    /// Renames the draft over the old file and syncs the directory. Returns the new file's state;
    /// `None` if a program has written to it since, or the state cannot be determined.
    pub fn replace(self) -> io::Result<Option<Stamp>> {
        let Self(mut draft) = self;
        let file = draft.file.get_ref();
        let before = Stamp::of_file(file)?;
        draft.files.rename(&draft_name(&draft.name), &draft.name)?;
        draft.done = true;
        // The rename is done, so an unknown state is no error: the file is then scanned again.
        let after = Stamp::of_file(draft.file.get_ref()).ok();
        draft.files.sync()?;
        Ok(after.filter(|after| after.is_renamed(&before)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = self.files.remove(&draft_name(&self.name))
        {
            tracing::warn!("cannot remove the draft of {}: {error}", self.name);
        }
    }
}
