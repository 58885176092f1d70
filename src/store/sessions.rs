//! The maildrops in use: the locks of POP3 sessions, which exclude each other within this process
//! and across processes, and the messages each session has marked.
//!
//! See docs/files.md 7.2.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::store::files::{Access, Creation, FileName, Files, NAMES_MOST, Stamp};
use crate::store::index::{Index, Indexes};
use crate::store::lock::{self, OfdLock, Owner};
use crate::store::marks::Marks;

/// Octets read of a side file, which contains a process id.
const SIDE_FILE_READ: u64 = 32;

/// End of the side file's name for a mailbox.
const SIDE_FILE_OF_MAILBOX: &str = ".mbox.pop";

/// The maildrops that sessions of this process have locked; with the marks of those that are open.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<FileName, Option<Opening>>>);

/// What one session has open.
#[derive(Debug)]
struct Opening {
    /// The messages, numbered as in the session.
    index: Arc<Index>,
    marks: Arc<Marks>,
}

impl Sessions {
    /// Notes the messages and marks of the session that has locked a maildrop.
    pub fn opened(&self, name: &FileName, index: Arc<Index>, marks: Arc<Marks>) {
        self.locked().insert(Arc::clone(name), Some(Opening { index, marks }));
    }

    /// Whether a session of this process has the maildrop.
    #[must_use]
    pub fn is_open(&self, name: &FileName) -> bool {
        self.locked().contains_key(name)
    }

    /// Whether a session of any process has the maildrop. The caller holds the mailbox's lock: a
    /// session that begins meanwhile has not seen the messages yet.
    pub(super) fn is_held(&self, files: &Files, name: &FileName) -> io::Result<bool> {
        if self.is_open(name) {
            return Ok(true);
        }
        match files.open_file(&side_file(name), Access::Read, Creation::Never) {
            Ok(side) => Ok(lock::ofd_lock_owner(&side)? != Owner::Nobody),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The session's marks, if its messages are the first that `indexes` has of the mailbox. If
    /// another program has rewritten it, the places of the marks mean nothing, and the result is
    /// `None`.
    #[must_use]
    pub fn marks(&self, name: &FileName, indexes: &Indexes) -> Option<Arc<Marks>> {
        let sessions = self.locked();
        let opening = sessions.get(name)?.as_ref()?;
        let fit = indexes.known_to_continue(name, &opening.index);
        fit.then(|| Arc::clone(&opening.marks))
    }

    fn begin(&self, name: &FileName) -> bool {
        match self.locked().entry(Arc::clone(name)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                // `None` until the session has listed its messages.
                vacant.insert(None);
                true
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<FileName, Option<Opening>>> {
        self.0.lock()
    }
}

/// The lock of a POP3 session: an OFD lock on a file beside the mailbox, so that deliveries can go
/// on. It is released when its holder dies.
#[derive(Debug)]
pub struct SessionLock {
    sessions: Arc<Sessions>,
    files: Arc<Files>,
    name: FileName,
    /// `None` if no file can be created in the directory: then only sessions of this process are
    /// excluded.
    file: Option<File>,
}

impl SessionLock {
    /// Locks a maildrop; `None` if another session has it.
    pub fn take(
        sessions: &Arc<Sessions>,
        files: &Arc<Files>,
        name: &FileName,
    ) -> io::Result<Option<Self>> {
        if !sessions.begin(name) {
            return Ok(None);
        }
        // From here on, dropping `lock` undoes everything.
        let (sessions, files, name) = (Arc::clone(sessions), Arc::clone(files), Arc::clone(name));
        let mut lock = Self { sessions, files, name, file: None };
        let (file, octets) = match lock_side_file(&lock.files, &side_file(&lock.name))? {
            Side::Locked(file, octets) => (file, octets),
            Side::InUse => return Ok(None),
            Side::Forbidden => return Ok(Some(lock)),
        };
        if let Err(error) = note_in(lock.file.insert(file), octets) {
            tracing::debug!(
                "{}: cannot write the process id to the session lock: {error}",
                lock.name
            );
        }
        Ok(Some(lock))
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // Held to the end: a client that sees the side file gone must be able to log in at once.
        let sessions = Arc::clone(&self.sessions);
        let mut sessions = sessions.locked();
        // Removed while it is still locked, so that the next process to lock it notices that it is
        // gone.
        if self.file.is_some()
            && let Err(error) = self.files.remove(&side_file(&self.name))
        {
            tracing::warn!("{}: cannot remove the session lock: {error}", self.name);
        }
        self.file = None;
        sessions.remove(&self.name);
    }
}

/// Name of the file that is locked while a session has `mailbox`.
#[must_use]
pub fn side_file(mailbox: &str) -> String {
    format!(".{mailbox}.pop")
}

/// Removes side files that no session has locked: they are left if removing them failed, or if
/// their process died.
pub fn remove_left(files: &Files) -> io::Result<()> {
    let is_ours = |name: &&String| name.starts_with('.') && name.ends_with(SIDE_FILE_OF_MAILBOX);
    for side in files.names(NAMES_MOST)?.iter().filter(is_ours) {
        if let Side::Locked(_held, _) = lock_side_file(files, side)? {
            files.remove(side)?;
        }
    }
    Ok(())
}

/// The outcome of locking a side file.
enum Side {
    /// And how many octets are in it.
    Locked(File, u64),
    InUse,
    /// No file can be created in the directory.
    Forbidden,
}

fn lock_side_file(files: &Files, side: &str) -> io::Result<Side> {
    loop {
        let file = match files.own_file(side) {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => return Ok(Side::Forbidden),
            Err(error) => return Err(error),
        };
        if !lock::try_ofd_lock(&file, OfdLock::Exclusive)? {
            return Ok(Side::InUse);
        }
        // Its last holder may have removed it after we opened it and before we locked it.
        let held = Stamp::of_file(&file)?;
        if let Some(named) = files.regular(side)?.filter(|named| named.identity == held.identity) {
            return Ok(Side::Locked(file, named.size));
        }
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Writes our process id to a side file that the caller has locked, and that has so many octets. This
/// is only information for people: the lock holds even if it fails.
fn note_in(side: &File, octets: u64) -> io::Result<()> {
    // A process that has died has left it.
    if octets > 0 {
        side.set_len(0)?;
    }
    side.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
}

/// The process id written in a side file, if any.
#[must_use]
pub fn noted_in(side: File) -> Option<i32> {
    let mut noted = String::new();
    side.take(SIDE_FILE_READ).read_to_string(&mut noted).ok()?;
    noted.trim().parse().ok().filter(|&id| id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_files_that_no_session_has_are_removed_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        let sessions = Arc::new(Sessions::default());
        let name = FileName::from("u.mbox");
        let held = SessionLock::take(&sessions, &files, &name).unwrap().unwrap();
        for left in [".left.mbox.pop", ".not-ours.pop", "left.mbox.pop"] {
            std::fs::write(dir.path().join(left), "1\n").unwrap();
        }
        remove_left(&files).unwrap();
        let mut names = files.names(9).unwrap();
        names.retain(|name| !name.trim_matches('.').is_empty());
        names.sort_unstable();
        assert_eq!(names, [".not-ours.pop", ".u.mbox.pop", "left.mbox.pop"]);
        drop(held);
        assert!(!dir.path().join(".u.mbox.pop").exists());
    }
}
