//! The locks of one mbox file: the dotlock, the OFD lock, and a check that the path still names the
//! locked inode. They are only tried, never waited for.
//!
//! All three are needed to keep out programs that take only the fcntl lock, or only the dotlock, or
//! take them in the other order. The check notices a file that another program has replaced by a
//! rename: otherwise we would append to a file that no program sees any more. See docs/files.md
//! 7.1.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::Mode;

use crate::store::anchor::{self, Anchor};
use crate::store::files::{Access, Creation, Files, LOCK_MARK, Stamp};

/// Age at which a dotlock counts as stale if its holder is unknown.
const STALE_AFTER: Duration = Duration::from_mins(5);

/// Octets read of a dotlock, which contains a process id.
const DOTLOCK_READ: u64 = 32;

/// When this process began to use locks. An older dotlock with our own process id belongs to an
/// earlier process with the same id, as in a restarted container.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// The outcome of an attempt to lock a file.
#[derive(Debug)]
pub enum Attempt {
    /// The file is ours until the value is dropped.
    Locked(LockedFile),
    /// Another program holds it, or it was replaced in the meantime: try again shortly.
    Busy,
    /// There is no regular file of that name.
    Missing,
}

/// A file that only this process may read and write, until the value is dropped.
#[derive(Debug)]
pub struct LockedFile {
    // Dropped in this order: the OFD lock, which goes with the descriptor, then the dotlock.
    file: Arc<File>,
    is_new: bool,
    _dotlock: Option<Dotlock>,
}

impl LockedFile {
    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether it was made when it was locked.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The open file, for another thread that must finish with it before the lock is to be
    /// released: the lock lasts until the last descriptor is closed.
    #[must_use]
    pub fn share(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

/// Why a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read it. Also works where nothing can be written.
    Read,
    /// To append to it, or to change it in place.
    Write,
    /// To replace it by another file.
    Rewrite,
    /// To append to it, creating it if it is missing.
    Create,
}

/// Tries to lock the file `name`.
///
/// # Errors
///
/// If the dotlock cannot be taken, except for lack of permission or for reading only, or the file
/// cannot be opened.
pub fn try_lock(anchor: &Arc<Anchor>, name: &str, purpose: Purpose) -> io::Result<Attempt> {
    let files = anchor.files();
    let dotlock = match Dotlock::try_take(anchor, name) {
        Ok(Taken::Ours(dotlock)) => Some(dotlock),
        Ok(Taken::Busy) => return Ok(Attempt::Busy),
        Ok(Taken::NoLock) => None,
        // The directory is read-only, or the disk is full and we only read: go on without a
        // dotlock.
        Err(error) if is_forbidden(&error) || purpose == Purpose::Read => None,
        Err(error) => return Err(error),
    };
    let Some(Opened { file, lock, is_new }) = open(files, name, purpose)? else {
        return Ok(Attempt::Missing);
    };
    let is_locked = try_ofd_lock(&file, lock);
    // The name may have been given to another file before we had the lock.
    let is_named = || -> io::Result<bool> {
        let held = Stamp::of_file(&file)?;
        Ok(files.regular(name)?.is_some_and(|named| named.identity == held.identity))
    };
    if matches!(is_locked, Ok(true)) && is_named()? {
        return Ok(Attempt::Locked(LockedFile { file: Arc::new(file), is_new, _dotlock: dotlock }));
    }
    // A FIFO can be opened, too. Asked only now, as it is rarely one.
    if file.metadata()?.is_file() { is_locked.map(|_| Attempt::Busy) } else { Ok(Attempt::Missing) }
}

/// A file that is to be locked.
struct Opened {
    file: File,
    /// The kind of lock that its descriptor allows.
    lock: OfdLock,
    /// Whether it has been made.
    is_new: bool,
}

impl Opened {
    const fn writable(file: File, is_new: bool) -> Self {
        Self { file, lock: OfdLock::Exclusive, is_new }
    }
}

fn open(files: &Files, name: &str, purpose: Purpose) -> io::Result<Option<Opened>> {
    let creation = match purpose {
        Purpose::Create => Creation::IfMissing,
        Purpose::Read | Purpose::Write | Purpose::Rewrite => Creation::Never,
    };
    let opened = match files.open_file(name, Access::Write, Creation::Never) {
        Err(error) if creation == Creation::IfMissing && is_no_such_file(&error) => {
            files.open_file(name, Access::Write, creation).and_then(|file| {
                // The new name must be on disk before mail is acknowledged in it.
                files.sync()?;
                Ok(Opened::writable(file, true))
            })
        }
        Err(error) if purpose == Purpose::Read && is_forbidden(&error) => {
            let shared = |file| Opened { file, lock: OfdLock::Shared, is_new: false };
            files.open_file(name, Access::Read, creation).map(shared)
        }
        opened => opened.map(|file| Opened::writable(file, false)),
    };
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_no_such_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not a mailbox: missing, a symbolic link (`ELOOP`), a directory, or a FIFO without a reader.
fn is_no_such_file(error: &io::Error) -> bool {
    let no_mailbox = [libc::ENOENT, libc::ELOOP, libc::EISDIR, libc::ENXIO, libc::ENOTDIR];
    error.raw_os_error().is_some_and(|code| no_mailbox.contains(&code))
}

fn is_forbidden(error: &io::Error) -> bool {
    let forbidden = [libc::EACCES, libc::EPERM, libc::EROFS];
    error.raw_os_error().is_some_and(|code| forbidden.contains(&code))
}

/// `F_UNLCK` as the C short of `struct flock`.
#[expect(clippy::cast_possible_truncation, reason = "the constant is 2")]
const UNLOCKED: i16 = libc::F_UNLCK as i16;

/// What an OFD lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfdLock {
    /// Writers.
    Shared,
    /// Readers and writers.
    Exclusive,
}

impl OfdLock {
    fn of_whole_file(self) -> libc::flock {
        self.of(0, 0)
    }

    /// The lock of `length` octets from `start`; 0 stands for all that follow.
    fn of(self, start: libc::off_t, length: libc::off_t) -> libc::flock {
        let kind = match self {
            Self::Shared => libc::F_RDLCK,
            Self::Exclusive => libc::F_WRLCK,
        };
        // The constants are C ints, but the fields are C shorts.
        #[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
        let (kind, whence) = (kind as i16, libc::SEEK_SET as i16);
        libc::flock { l_type: kind, l_whence: whence, l_start: start, l_len: length, l_pid: 0 }
    }
}

/// Tries to take an open-file-description lock on the whole file; `false` if another program's lock
/// conflicts. It is released with the last descriptor, however the process ends.
pub fn try_ofd_lock(file: &File, lock: OfdLock) -> io::Result<bool> {
    try_lock_range(file, &lock.of_whole_file())
}

/// Tries to take an exclusive open-file-description lock on one octet of a file, which need not
/// exist.
pub fn try_lock_octet(file: &File, octet: u32) -> io::Result<bool> {
    try_lock_range(file, &OfdLock::Exclusive.of(octet.into(), 1))
}

/// Releases the lock on one octet.
pub fn unlock_octet(file: &File, octet: u32) -> io::Result<()> {
    let mut range = OfdLock::Exclusive.of(octet.into(), 1);
    range.l_type = UNLOCKED;
    fcntl(file, FcntlArg::F_OFD_SETLK(&range))?;
    Ok(())
}

/// Whether someone else holds a lock on one octet of a file.
pub fn is_octet_locked(file: &File, octet: u32) -> io::Result<bool> {
    let mut range = OfdLock::Exclusive.of(octet.into(), 1);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut range))?;
    Ok(range.l_type != UNLOCKED)
}

fn try_lock_range(file: &File, range: &libc::flock) -> io::Result<bool> {
    // Not F_SETLK: such a lock would be lost as soon as this process closes any descriptor of the
    // file.
    match fcntl(file, FcntlArg::F_OFD_SETLK(range)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The holder of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The lock is free.
    Nobody,
    /// The process with this id holds it.
    Process(i32),
    /// It is held, but the holder is unknown: OFD locks belong to no process, and a dotlock may be
    /// empty.
    Unknown,
}

/// The holder of an OFD or fcntl lock on the file.
pub fn ofd_lock_owner(file: &File) -> io::Result<Owner> {
    let mut lock = OfdLock::Exclusive.of_whole_file();
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(match lock.l_pid {
        _ if lock.l_type == UNLOCKED => Owner::Nobody,
        id if id > 0 => Owner::Process(id),
        _ => Owner::Unknown,
    })
}

/// The holder of a mailbox's dotlock. A stale one counts as free.
pub fn dotlock_owner(files: &Files, mailbox: &str) -> io::Result<Owner> {
    let name = format!("{mailbox}.lock");
    let file = match files.open_file(&name, Access::Read, Creation::Never) {
        Ok(file) => file,
        Err(error) if is_no_such_file(&error) => return Ok(Owner::Nobody),
        Err(error) => return Err(error),
    };
    let said = Said::read(file)?;
    if said.is_stale() {
        return Ok(Owner::Nobody);
    }
    Ok(said.holder_id().map_or(Owner::Unknown, Owner::Process))
}

/// The dotlock `user.mbox.lock`, ours until dropped.
#[derive(Debug)]
struct Dotlock {
    anchor: Arc<Anchor>,
    name: String,
}

enum Taken {
    Ours(Dotlock),
    Busy,
    /// The name belongs to something that is not a lock: a directory, a FIFO, a symbolic link.
    NoLock,
}

impl Dotlock {
    fn try_take(anchor: &Arc<Anchor>, mailbox: &str) -> io::Result<Taken> {
        let name = format!("{mailbox}.lock");
        if anchor.link(&name)? {
            return Ok(Taken::Ours(Self { anchor: Arc::clone(anchor), name }));
        }
        if anchor.files().is_irregular(&name)? {
            anchor.tell_once_of_no_lock(&name);
            return Ok(Taken::NoLock);
        }
        anchor.remove_left(&name)?;
        // A stale lock is removed now but only taken at the next attempt, so that waiting programs
        // compete fairly.
        remove_if_stale(anchor.files(), &name)?;
        Ok(Taken::Busy)
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        self.anchor.unlock(&self.name);
        self.anchor.remove_if_quiet();
    }
}

/// Removes a dotlock whose holder is dead.
fn remove_if_stale(files: &Files, name: &str) -> io::Result<()> {
    let Some(seen) = files.regular(name)? else {
        return Ok(());
    };
    let file = match files.open_file(name, Access::Read, Creation::Never) {
        Ok(file) => file,
        Err(error) if is_no_such_file(&error) || is_forbidden(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if !Said::read(file)?.is_stale() {
        return Ok(());
    }
    // Another program may have removed it and taken the lock anew since.
    if files.regular(name)? == Some(seen) {
        tracing::info!("removing the stale lock {name}");
        files.remove(name)?;
    }
    Ok(())
}

/// The content of a dotlock.
#[derive(Debug)]
struct Said {
    holder: Vec<u8>,
    modified: SystemTime,
    /// Whether it had its content before it became a lock.
    was_whole: bool,
}

impl Said {
    fn read(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let was_whole = Mode::from_raw_mode(metadata.mode()).contains(LOCK_MARK);
        let mut holder = Vec::new();
        file.take(DOTLOCK_READ).read_to_end(&mut holder)?;
        Ok(Self { holder, modified: metadata.modified()?, was_whole })
    }

    /// The process id it contains. An id followed by a host name does not count, since it may be
    /// another machine's.
    fn holder_id(&self) -> Option<i32> {
        let id = str::from_utf8(&self.holder).ok()?.trim().parse().ok()?;
        (id > 0).then_some(id)
    }

    /// Whether its holder cannot exist any more.
    fn is_stale(&self) -> bool {
        let old = self.modified.elapsed().is_ok_and(|age| age > STALE_AFTER);
        // A lock that was whole and now is not has lost its content in a power failure.
        let is_whole = self.holder.ends_with(b"\n") || !self.was_whole;
        let Some(id) = self.holder_id().filter(|_| is_whole) else {
            return old || self.was_whole;
        };
        if u32::try_from(id) == Ok(std::process::id()) {
            // Ours, unless an earlier process with the same id left it behind.
            return self.modified < *STARTED;
        }
        old || !anchor::is_alive(id)
    }
}

/// Notes when the process began: later dotlocks with our own process id are ours.
pub fn note_start() {
    LazyLock::force(&STARTED);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox() -> (tempfile::TempDir, Arc<Anchor>) {
        note_start();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("u.mbox"), b"").unwrap();
        let files = Arc::new(Files::open(dir.path()).unwrap());
        (dir, Arc::new(Anchor::new(&files)))
    }

    fn lock(anchor: &Arc<Anchor>) -> Attempt {
        try_lock(anchor, "u.mbox", Purpose::Write).unwrap()
    }

    #[test]
    fn a_locked_file_is_busy_until_it_is_dropped_and_leaves_nothing() {
        let (dir, anchor) = mailbox();
        let held = lock(&anchor);
        assert!(matches!(held, Attempt::Locked(_)));
        let pid = std::fs::read_to_string(dir.path().join("u.mbox.lock")).unwrap();
        assert_eq!(pid, format!("{}\n", std::process::id()));
        assert!(matches!(lock(&anchor), Attempt::Busy));
        drop(held);
        assert!(matches!(lock(&anchor), Attempt::Locked(_)));
        drop(anchor);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_fcntl_lock_of_another_descriptor_is_respected() {
        let (dir, anchor) = mailbox();
        let other = File::options().write(true).open(dir.path().join("u.mbox")).unwrap();
        assert!(try_ofd_lock(&other, OfdLock::Exclusive).unwrap());
        assert!(matches!(lock(&anchor), Attempt::Busy));
        assert!(!dir.path().join("u.mbox.lock").exists(), "the dotlock is held while waiting");
        drop(other);
        assert!(matches!(lock(&anchor), Attempt::Locked(_)));
    }

    #[test]
    fn a_dotlock_is_stale_when_its_process_is_gone_or_it_is_old() {
        let now = SystemTime::now();
        let old = now - STALE_AFTER - Duration::from_secs(1);
        let gone = {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            child.id().to_string()
        };
        let is_stale = |holder: &str, modified, was_whole| {
            Said { holder: holder.into(), modified, was_whole }.is_stale()
        };
        for was_whole in [false, true] {
            assert!(is_stale(&format!("{gone}\n"), now, was_whole));
            assert!(!is_stale("1\n", now, was_whole));
            assert!(is_stale("", old, was_whole));
            assert!(is_stale(&std::process::id().to_string(), old, was_whole));
        }
        assert!(!is_stale("", now, false));
        assert!(!is_stale("1", now, false));
        assert!(!is_stale(&format!("{gone}:otherhost"), now, false));
        // A power failure took all or part of its content.
        for torn in ["", "1", "\0\0", "1\0"] {
            assert!(is_stale(torn, now, true), "{torn:?}");
        }
    }

    #[test]
    fn a_stale_dotlock_is_removed_and_a_fresh_one_is_not() {
        let (dir, anchor) = mailbox();
        let dotlock = dir.path().join("u.mbox.lock");
        std::fs::write(&dotlock, b"").unwrap();
        assert!(matches!(lock(&anchor), Attempt::Busy));
        assert!(dotlock.exists());
        let old = SystemTime::now() - STALE_AFTER - Duration::from_secs(1);
        File::options().write(true).open(&dotlock).unwrap().set_modified(old).unwrap();
        assert!(matches!(lock(&anchor), Attempt::Busy));
        assert!(matches!(lock(&anchor), Attempt::Locked(_)));
    }

    #[test]
    fn links_directories_and_fifos_are_no_mailboxes() {
        let (dir, anchor) = mailbox();
        std::os::unix::fs::symlink("u.mbox", dir.path().join("link.mbox")).unwrap();
        std::fs::create_dir(dir.path().join("dir.mbox")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo.mbox"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link.mbox", "dir.mbox", "fifo.mbox", "none.mbox"] {
            let attempt = try_lock(&anchor, name, Purpose::Write).unwrap();
            assert!(matches!(attempt, Attempt::Missing), "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_made_where_that_is_asked_for() {
        let (dir, anchor) = mailbox();
        let attempt = try_lock(&anchor, "mqueue", Purpose::Create).unwrap();
        assert!(matches!(attempt, Attempt::Locked(_)));
        assert!(dir.path().join("mqueue").exists());
    }
}
