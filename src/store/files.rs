//! Files by name in a directory that is held open: no name from the network can lead out of it, and
//! it stays the same when renamed. Independent of the mbox format.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::libc;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// Mode of new files: mail is readable by its owner only.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Mode bit of a lock that had its content before it got its name: the sticky bit, which has no
/// meaning for a file. Unlike the file's content, it is on disk whenever the name is.
pub const LOCK_MARK: Mode = Mode::SVTX;

/// Octets of a [`Window`].
const WINDOW: usize = 1024 * 1024;

/// Name of a file in the directory.
pub type FileName = Arc<str>;

/// Attempts to replace whatever has the name of one of our files.
const ATTEMPTS: usize = 10;

/// Maximum number of names examined when looking for files of dead processes.
pub const NAMES_MOST: usize = 100_000;

/// An open directory.
#[derive(Debug)]
pub struct Files {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of the directory.
    identity: (u64, u64),
}

/// What a name in the directory refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// The name does not exist.
    Nothing,
    /// A regular file, in this state.
    Regular(Stamp),
    /// Something else: a link, a directory, a FIFO.
    Other,
}

/// The identity and state of a file at one moment, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device and inode: which file.
    pub identity: (u64, u64),
    /// Size in octets.
    pub size: u64,
    /// Last modification, in nanoseconds since 1970.
    modified: i128,
    /// Last change of the inode, in nanoseconds since 1970. No program can set it back.
    changed: i128,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        let nanoseconds =
            |seconds: i64, rest: u64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            identity: (stat.st_dev, stat.st_ino),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Time of the last modification, since 1970.
    #[must_use]
    pub fn modified(&self) -> Duration {
        u64::try_from(self.modified).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// The state of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Time of the last change of the inode, in nanoseconds since 1970. No program can set it back.
    #[must_use]
    pub const fn changed(&self) -> i128 {
        self.changed
    }

    /// Whether the file has at most been renamed or linked since its state was `earlier`.
    #[must_use]
    pub fn is_renamed(&self, earlier: &Self) -> bool {
        Self { changed: earlier.changed, ..*self } == *earlier
    }
}

impl Files {
    /// Opens the directory at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Self::of(fd, path.to_owned())
    }

    fn of(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let identity = Stamp::of(&rustix::fs::fstat(&fd)?).identity;
        Ok(Self { fd, path, identity })
    }

    /// Opens a subdirectory of ours, creating it if it is missing. Anything else of that name is
    /// cleared away.
    pub fn own_folder(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
                Ok(fd) => return Self::of(fd, self.path.join(name)),
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => self.clear(name)?,
                Err(error) => return Err(error.into()),
            }
            match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
                // If another process was quicker, its folder is opened.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Opens a subdirectory of ours, if it exists.
    pub fn folder(&self, name: &str) -> io::Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Self::of(fd, self.path.join(name)).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The state of the subdirectory `name`; `None` if there is none.
    pub fn folder_stamp(&self, name: &str) -> io::Result<Option<Stamp>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                Ok(Some(Stamp::of(&stat)))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a subdirectory of ours unless something is in it.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            // POSIX allows both ENOTEMPTY and EEXIST for a directory with something in it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The path it was opened at, for messages to people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path names another directory now. `false` if it names none.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        // Follows symbolic links, as opening it did: the path itself may be one.
        rustix::fs::statat(CWD, &self.path, AtFlags::empty()).is_ok_and(|named| {
            FileType::from_raw_mode(named.st_mode).is_dir()
                && Stamp::of(&named).identity != self.identity
        })
    }

    /// The state of the regular file `name`; `None` if the name does not exist or is something else
    /// (a link, a directory, a FIFO).
    pub fn regular(&self, name: &str) -> io::Result<Option<Stamp>> {
        Ok(match self.look(name)? {
            Named::Regular(stamp) => Some(stamp),
            Named::Nothing | Named::Other => None,
        })
    }

    /// Whether the name refers to something that is not a regular file.
    pub fn is_irregular(&self, name: &str) -> io::Result<bool> {
        Ok(matches!(self.look(name)?, Named::Other))
    }

    /// What the name refers to. One system call.
    pub fn look(&self, name: &str) -> io::Result<Named> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                Ok(Named::Regular(Stamp::of(&stat)))
            }
            Ok(_) => Ok(Named::Other),
            Err(Errno::NOENT) => Ok(Named::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file `name`. Follows no symbolic link and does not block on a FIFO.
    pub fn open_file(&self, name: &str, access: Access, creation: Creation) -> io::Result<File> {
        let flags = access.flags() | creation.flags() | FLAGS;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, PRIVATE)?))
    }

    /// Opens a file that is to become a lock, creating it if it is missing. It has [`LOCK_MARK`]
    /// from the start.
    pub fn open_lock(&self, name: &str) -> io::Result<File> {
        let flags = Access::Write.flags() | Creation::IfMissing.flags() | FLAGS;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, PRIVATE | LOCK_MARK)?))
    }

    /// Opens one of our own files, creating it if it is missing. Anything else of that name (a link
    /// to another file, a directory, a FIFO) is cleared away, not opened.
    pub fn own_file(&self, name: &str) -> io::Result<File> {
        for _ in 0..ATTEMPTS {
            match self.open_file(name, Access::Write, Creation::IfMissing) {
                Ok(file) if is_only_name(&file)? => return Ok(file),
                Ok(_) => {}
                Err(error) if is_odd(&error) => {}
                Err(error) => return Err(error),
            }
            self.clear(name)?;
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Creates one of our own files anew. Anything of that name is cleared away, not opened.
    pub fn new_file(&self, name: &str) -> io::Result<File> {
        for _ in 0..ATTEMPTS {
            self.clear(name)?;
            match self.open_file(name, Access::Write, Creation::Always) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Removes whatever has the name of one of our files. A non-empty directory is moved aside
    /// instead, because its content is not ours.
    pub fn clear(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // A directory: EISDIR on Linux, EPERM by POSIX.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => self.move_aside(name),
            Err(error) => Err(error.into()),
        }
    }

    fn move_aside(&self, name: &str) -> io::Result<()> {
        for nth in 1..=ATTEMPTS {
            let aside = format!("{name}.{nth}");
            match self.rename_to_free(name, &aside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    tracing::warn!(
                        "{name} is a directory but must be a file: renamed it to {aside}"
                    );
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A file without a name, which vanishes with its last descriptor.
    pub fn nameless(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, ".", flags, PRIVATE) {
            Ok(file) => Ok(File::from(file)),
            // What file systems and kernels without O_TMPFILE answer.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => self.unlinked(),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for file systems without `O_TMPFILE`, such as those that containers share with
    /// their hosts.
    fn unlinked(&self) -> io::Result<File> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".mailconsole.{}.{number}", std::process::id());
        let file = self.new_file(&name)?;
        self.remove(&name)?;
        Ok(file)
    }

    /// Gives the file `old` a second name, `new`, which must be free.
    pub fn link(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.fd, old, &self.fd, new, AtFlags::empty())?)
    }

    /// Renames `old` to `new`, replacing `new`.
    pub fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, old, &self.fd, new)?)
    }

    /// Renames `old` to `new`, which must be free.
    pub fn rename_to_free(&self, old: &str, new: &str) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(&self.fd, old, &self.fd, new, flags)?)
    }

    /// Removes the file `name`; succeeds if it does not exist.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Syncs the directory, so that names created, changed or removed in it are on disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.fd.as_fd())?)
    }

    /// The names in the directory that are UTF-8, at most `most`.
    pub fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = rustix::fs::Dir::read_from(&self.fd)?;
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().to_str()
                && names.len() < most
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The number of names for which `counts` is true, counted up to `most`.
    pub fn count_names(&self, counts: impl Fn(&str) -> bool, most: usize) -> io::Result<usize> {
        let mut counted = 0;
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            if counted >= most {
                break;
            }
            counted += usize::from(entry?.file_name().to_str().is_ok_and(&counts));
        }
        Ok(counted)
    }
}

/// Whether an open file is regular and has no other name, so that writing to it cannot harm another
/// file.
fn is_only_name(file: &File) -> io::Result<bool> {
    let stat = rustix::fs::fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_nlink <= 1)
}

/// Whether opening failed because the name is not a file: a symbolic link, a directory, a FIFO or a
/// socket.
fn is_odd(error: &io::Error) -> bool {
    let odd = [libc::ELOOP, libc::EISDIR, libc::ENXIO, libc::ENOTDIR];
    error.raw_os_error().is_some_and(|code| odd.contains(&code))
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// Whether opening creates a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The file must exist.
    Never,
    /// An empty file is created if it is missing.
    IfMissing,
    /// The file must not exist.
    Always,
}

// NONBLOCK: opening a FIFO must not wait for a writer.
const FLAGS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

impl Access {
    const fn flags(self) -> OFlags {
        match self {
            Self::Read => OFlags::RDONLY,
            Self::Write => OFlags::RDWR,
        }
    }
}

impl Creation {
    const fn flags(self) -> OFlags {
        match self {
            Self::Never => OFlags::empty(),
            Self::IfMissing => OFlags::CREATE,
            Self::Always => OFlags::CREATE.union(OFlags::EXCL),
        }
    }
}

/// Reads a file from front to back through a buffer of one mebibyte.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    /// `filled` octets are in the buffer; `start` is the offset of the first in the file.
    start: u64,
    filled: usize,
}

impl<'a> Window<'a> {
    /// A window over `file`.
    #[must_use]
    pub fn new(file: &'a File) -> Self {
        Self::of_octets(file, WINDOW as u64)
    }

    /// As [`new`](Self::new), with a smaller buffer if no more than `most` octets will be read.
    #[must_use]
    pub fn of_octets(file: &'a File, most: u64) -> Self {
        let octets = usize::try_from(most).unwrap_or(WINDOW).min(WINDOW);
        Self { file, buffer: vec![0; octets], start: 0, filled: 0 }
    }

    /// Some octets at `at`, none of them beyond `end`, at least one.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before `at`.
    pub fn at(&mut self, at: u64, end: u64) -> io::Result<&[u8]> {
        if at < self.start || at >= self.start + self.filled as u64 {
            self.filled = self.file.read_at(&mut self.buffer, at)?;
            self.start = at;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.start).unwrap_or(usize::MAX).min(self.filled);
        let octets = self.buffer.get(from..to).unwrap_or_default();
        if octets.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_file_that_is_nameless_in_spite_of_the_file_system_can_be_read_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let mut file = files.unlinked().unwrap();
        assert!(files.names(9).unwrap().iter().all(|name| name.trim_matches('.').is_empty()));
        file.write_all(b"x").unwrap();
        file.rewind().unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "x");
    }
}
