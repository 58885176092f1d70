//! Files by name in one directory that is held open, so that no name from the network can lead
//! out of it and a renamed directory is still the same. Knows no mbox.

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

/// Mode of the files we make: mail is its owner's.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What the mode of a lock has that was whole before it became one: the sticky bit, which means
/// nothing for a file. Unlike the file's octets it is on the disk if its name is.
pub const LOCK_MARK: Mode = Mode::SVTX;

/// Octets of a [`Window`].
const WINDOW: usize = 1024 * 1024;

/// A file of the directory, by its name.
pub type FileName = Arc<str>;

/// Attempts to get a name that is ours for a file of ours.
const ATTEMPTS: usize = 10;

/// Names that are looked at when what dead processes left is looked for.
pub const NAMES_MOST: usize = 100_000;

/// A directory, open.
#[derive(Debug)]
pub struct Files {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// What has a name in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// There is nothing of that name.
    Nothing,
    /// A regular file, in this state.
    Regular(Stamp),
    /// Something else: a link, a directory, a FIFO.
    Other,
}

/// Which file a name stood for at one moment, and what it held, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device and inode: which file.
    pub identity: (u64, u64),
    /// Octets.
    pub size: u64,
    /// Last modification, in nanoseconds since 1970.
    modified: i128,
    /// Last change of the inode, which nobody can set back.
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

    /// When it was last modified, since 1970.
    #[must_use]
    pub fn modified(&self) -> Duration {
        u64::try_from(self.modified).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// The state of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// When the file was last changed, in nanoseconds since 1970, which nobody can set back.
    #[must_use]
    pub const fn changed(&self) -> i128 {
        self.changed
    }

    /// Whether the file has only got another name since it was in the state `earlier`.
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

    /// Opens a folder of ours in it, made if it is missing. What else has its name is cleared away.
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
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Opens a folder of ours, if there is one.
    pub fn folder(&self, name: &str) -> io::Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Self::of(fd, self.path.join(name)).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The state of the directory `name`; `None` if there is none.
    pub fn folder_stamp(&self, name: &str) -> io::Result<Option<Stamp>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                Ok(Some(Stamp::of(&stat)))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a folder of ours, unless something is in it.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The path it was opened at, for words to people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path names another directory by now. If it names none, it does not.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        rustix::fs::statat(CWD, &self.path, AtFlags::empty()).is_ok_and(|named| {
            FileType::from_raw_mode(named.st_mode).is_dir()
                && Stamp::of(&named).identity != self.identity
        })
    }

    /// The state of the regular file `name`; `None` if there is no file of that name, or it is
    /// something else (a link, a directory, a FIFO).
    pub fn regular(&self, name: &str) -> io::Result<Option<Stamp>> {
        Ok(match self.look(name)? {
            Named::Regular(stamp) => Some(stamp),
            Named::Nothing | Named::Other => None,
        })
    }

    /// Whether something that is no regular file has the name.
    pub fn is_irregular(&self, name: &str) -> io::Result<bool> {
        Ok(matches!(self.look(name)?, Named::Other))
    }

    /// What has the name. One system call.
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

    /// Opens the file `name`, made if it is missing where `creation` says so. Follows no link and
    /// waits for no FIFO.
    pub fn open_file(&self, name: &str, access: Access, creation: Creation) -> io::Result<File> {
        let flags = access.flags() | creation.flags() | FLAGS;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, PRIVATE)?))
    }

    /// Opens a file that is to become a lock, made if it is missing. It has [`LOCK_MARK`] from its
    /// first moment on.
    pub fn open_lock(&self, name: &str) -> io::Result<File> {
        let flags = Access::Write.flags() | Creation::IfMissing.flags() | FLAGS;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, PRIVATE | LOCK_MARK)?))
    }

    /// Opens a file that is ours by its name, made if it is missing. Whatever else stands there (a
    /// link to another file, a directory, a FIFO) is not opened but cleared away.
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

    /// Makes a file that is ours by its name anew. Whatever stood there is cleared away unopened.
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

    /// Takes away whatever has a name that is ours. A directory that is not empty holds something
    /// that is not: it is moved aside.
    pub fn clear(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
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
                        "{name} is a directory where a file of ours belongs: it is {aside} now"
                    );
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A file that has no name and is gone with its last descriptor.
    pub fn nameless(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, ".", flags, PRIVATE) {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => self.unlinked(),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for file systems that know no nameless files, such as those that containers share
    /// with their hosts.
    fn unlinked(&self) -> io::Result<File> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".mailconsole.{}.{number}", std::process::id());
        let file = self.new_file(&name)?;
        self.remove(&name)?;
        Ok(file)
    }

    /// Gives a file a second name that must be free.
    pub fn link(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.fd, old, &self.fd, new, AtFlags::empty())?)
    }

    /// Puts the file `old` in the place of `new`.
    pub fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, old, &self.fd, new)?)
    }

    /// Gives the file `old` the name `new`, which must be free.
    pub fn rename_to_free(&self, old: &str, new: &str) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(&self.fd, old, &self.fd, new, flags)?)
    }

    /// Removes the file `name`; there being none is no error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the names in the directory durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.fd.as_fd())?)
    }

    /// The names in the directory that are UTF-8, `most` at most.
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
}

/// Whether an open file is a regular one that has no other name: what is written to it can harm no
/// other file.
fn is_only_name(file: &File) -> io::Result<bool> {
    let stat = rustix::fs::fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_nlink <= 1)
}

/// Whether a name could not be opened because it is no file: a symbolic link, a directory, a FIFO
/// or a socket.
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

/// Whether a missing file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It must exist.
    Never,
    /// It is made, empty, if it is missing.
    IfMissing,
    /// It must not exist.
    Always,
}

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

/// A view of a file that is read front to back, a mebibyte at a time.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    /// What is in the buffer: where it begins in the file, and how many octets.
    start: u64,
    filled: usize,
}

impl<'a> Window<'a> {
    /// A view of `file`.
    #[must_use]
    pub fn new(file: &'a File) -> Self {
        Self::of_octets(file, WINDOW as u64)
    }

    /// The same for whoever wants to see no more than so many octets.
    #[must_use]
    pub fn of_octets(file: &'a File, most: u64) -> Self {
        let octets = usize::try_from(most).unwrap_or(WINDOW).min(WINDOW);
        Self { file, buffer: vec![0; octets], start: 0, filled: 0 }
    }

    /// Some octets at `at`, not beyond `end`; there is at least one, or it is an error.
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
