//! Replaces an mbox file by another, so that at every moment the path names the old file or the
//! new one, whole: a draft beside it, synced, then renamed over it, then the directory synced.

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

/// The file that is to take another's place. Dropped without [`replace`](Self::replace), it is
/// removed.
#[derive(Debug)]
pub struct Draft {
    files: Arc<Files>,
    /// The name it is to take.
    name: String,
    file: io::BufWriter<File>,
    done: bool,
}

/// What mending a locked file left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The file that was locked, whole.
    Whole,
    /// A new file in its place: lock that one.
    Replaced,
}

/// A fixed name: what a crash left over is cleared away by the next rewrite.
fn draft_name(name: &str) -> String {
    format!(".{name}.tmp")
}

/// The files whose drafts a crash has left.
pub fn drafts(files: &Files) -> io::Result<Vec<String>> {
    let draft_of = |name: &String| {
        let file = name.strip_prefix('.')?.strip_suffix(".tmp")?;
        (file.strip_suffix(".mbox").is_some() || file == QUEUE_FILE).then(|| file.to_owned())
    };
    Ok(files.names(NAMES_MOST)?.iter().filter_map(draft_of).collect())
}

/// Takes away whatever has the name of a draft for `name`. Should it be a link to the file itself,
/// that changes the file's state, so this is done before anybody looks at it.
pub fn make_room(files: &Files, name: &str) -> io::Result<()> {
    files.clear(&draft_name(name))
}

impl Draft {
    /// Begins a file that is to replace `name`, whose lock the caller holds, with the owner and
    /// mode of `old`.
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
        Ok(rustix::fs::fchmod(new, Mode::from_raw_mode(old.mode() & 0o7777))?)
    }

    /// Appends octets.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Appends a stretch of the file that is to be replaced.
    pub fn copy(&mut self, old: &File, stretch: Range<u64>) -> io::Result<()> {
        self.copy_all(old, std::iter::once(stretch))
    }

    /// Appends ascending stretches of the file that is to be replaced. Stretches that lie close
    /// to each other are read together: there may be 50,000 of a kilobyte each.
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

    /// Makes the draft durable.
    pub fn sync(mut self) -> io::Result<Synced> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(Synced(self))
    }

    /// Makes the draft durable, puts it in the place of the old file and makes that durable too.
    pub fn replace(self) -> io::Result<()> {
        self.sync()?.replace().map(drop)
    }
}

/// A draft that is on disk: what is left is to put it in its place, which takes no time.
#[derive(Debug)]
pub struct Synced(Draft);

impl Synced {
    /// Puts the draft in the place of the old file and makes that durable. Returns the state of the
    /// new file; none if somebody has written to it since, or if it cannot be found out.
    pub fn replace(self) -> io::Result<Option<Stamp>> {
        let Self(mut draft) = self;
        let file = draft.file.get_ref();
        let before = Stamp::of_file(file)?;
        draft.files.rename(&draft_name(&draft.name), &draft.name)?;
        draft.done = true;
        // It is in its place: whoever cannot be told its state scans it anew.
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
