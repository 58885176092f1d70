//! The control socket as a file: which names it may have, how it comes into a directory, and how it
//! goes. A directory whose path is longer than a socket address is reached through its descriptor.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;

use nix::libc;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::store::anchor::is_alive;

/// The name of the socket of the first server on a directory.
pub const SOCKET: &str = ".mailconsole.sock";

/// How the names of all of them begin and end. Between them stands nothing, or the process id of a
/// server that came later.
const BEGINNING: &str = ".mailconsole.";
const END: &str = "sock";

/// Octets of a path that a socket address takes (`sun_path`, without the zero at its end).
const PATH_MOST: usize = 107;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// How often another process may come between the looks at a socket that is left over.
const ATTEMPTS: usize = 8;

/// Whether a file of this name is a control socket.
#[must_use]
pub fn is_socket_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(BEGINNING) else { return false };
    match rest.strip_suffix(END) {
        Some("") => true,
        Some(id) => id.strip_suffix('.').is_some_and(is_number),
        None => false,
    }
}

fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_digit())
}

/// A directory with control sockets.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    directory: File,
}

impl Place {
    /// Opens the directory.
    ///
    /// # Errors
    ///
    /// If there is none, or something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
        Ok(Self { path: path.to_owned(), directory: options.open(path)? })
    }

    /// A path of a file in it that fits into a socket address. It leads there while this lives.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        if path.as_os_str().as_bytes().len() <= PATH_MOST {
            return path;
        }
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd()))
    }

    /// The names of all control sockets, that of the first server first.
    ///
    /// # Errors
    ///
    /// If the directory cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?.filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name()).filter_map(|name: OsString| {
            name.into_string().ok().filter(|name| is_socket_name(name))
        });
        let mut names: Vec<String> = names.collect();
        names.sort_by_key(|name| (name != SOCKET, name.len(), name.clone()));
        Ok(names)
    }

    /// Whether the file is a socket at which nobody listens any more.
    fn is_left_over(&self, name: &str) -> io::Result<bool> {
        if !fs::symlink_metadata(self.path_of(name))?.file_type().is_socket() {
            return Ok(false);
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A server that is stopped, with many who wait, must not keep us waiting.
        socket.set_nonblocking(true)?;
        let connected = socket.connect(&SockAddr::unix(self.path_of(name))?);
        Ok(connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
    }

    /// Removes the socket of a server that was killed. Another process may do the same, and have put
    /// its own in that place meanwhile: so it is first moved away, and put back if it is another.
    fn remove_left_over(&self, name: &str) -> io::Result<()> {
        let seen = Identity::of(&self.path_of(name))?;
        if !self.is_left_over(name)? {
            return Ok(());
        }
        let away = self.path_of(&format!("{BEGINNING}{}.old", process::id()));
        fs::rename(self.path_of(name), &away)?;
        if Identity::of(&away)? != seen {
            fs::hard_link(&away, self.path_of(name))?;
        }
        fs::remove_file(&away)
    }

    /// Listens in this directory, for this user alone.
    ///
    /// # Errors
    ///
    /// If there can be no socket: the directory is read-only, or the file system has none.
    pub fn listen(self) -> io::Result<(UnixListener, Bound)> {
        let own = format!("{BEGINNING}{}.{END}", process::id());
        ignore_missing(self.remove_left_over(&own))?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let path = self.path_of(&own);
        socket.bind(&SockAddr::unix(&path)?)?;
        let identity = Identity::of(&path)?;
        let mut bound = Bound { place: self, name: own, identity };
        // Nobody can connect before `listen`.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        bound.take_first_name()?;
        bound.tidy_up();
        Ok((OwnedFd::from(socket).into(), bound))
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// The file of a socket that is listened on. It is removed when this is dropped.
#[derive(Debug)]
pub struct Bound {
    place: Place,
    name: String,
    identity: Identity,
}

impl Bound {
    /// Takes the name of the first server, unless another has it.
    fn take_first_name(&mut self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            let own = self.place.path_of(&self.name);
            // Not by renaming, which would replace the socket of another.
            match fs::hard_link(&own, self.place.path_of(SOCKET)) {
                Ok(()) => {
                    SOCKET.clone_into(&mut self.name);
                    return fs::remove_file(own);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // Without hard links it keeps the other name, by which it is found as well.
                Err(_) => return Ok(()),
            }
            match self.place.is_left_over(SOCKET) {
                Ok(false) => return Ok(()),
                Ok(true) => ignore_missing(self.place.remove_left_over(SOCKET))?,
                Err(error) => ignore_missing(Err(error))?,
            }
        }
        Ok(())
    }

    /// Removes what servers have left that were killed.
    fn tidy_up(&self) {
        let names = self.place.names().unwrap_or_default();
        for name in names.iter().filter(|name| **name != self.name && is_of_the_dead(name)) {
            if let Err(error) = ignore_missing(self.place.remove_left_over(name)) {
                tracing::warn!("cannot remove {name}: {error}");
            }
        }
    }
}

/// Whether the process that its name names has ended. One that lives may be about to listen.
fn is_of_the_dead(name: &str) -> bool {
    let id = name.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(END));
    let id = id.and_then(|id| id.strip_suffix('.')).unwrap_or_default();
    id.parse().is_ok_and(|id| !is_alive(id))
}

impl Drop for Bound {
    fn drop(&mut self) {
        let path = self.place.path_of(&self.name);
        // Another server may have its own there: a directory can be replaced.
        if Identity::of(&path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(path);
        }
    }
}

/// What is gone already is no failure.
fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn sockets_are_known_by_their_names() {
        for name in [".mailconsole.sock", ".mailconsole.1.sock", ".mailconsole.4194304.sock"] {
            assert!(is_socket_name(name), "{name}");
        }
        for name in
            ["mailconsole.sock", ".mailconsole.x.sock", ".mailconsole..sock", ".mailconsole"]
        {
            assert!(!is_socket_name(name), "{name}");
        }
        assert!(is_of_the_dead(".mailconsole.4194305.sock"));
        assert!(!is_of_the_dead(&format!(".mailconsole.{}.sock", process::id())));
        assert!(!is_of_the_dead(SOCKET));
    }

    #[test]
    fn a_socket_is_for_its_user_alone_and_goes_with_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, bound) = Place::open(dir.path()).unwrap().listen().unwrap();
        let path = dir.path().join(SOCKET);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        UnixStream::connect(&path).unwrap();
        drop((listener, bound));
        assert!(!path.exists());
    }

    #[test]
    fn a_second_server_has_a_name_of_its_own_and_removes_only_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Place::open(dir.path()).unwrap();
        let (_first, bound) = open().listen().unwrap();
        let (_second, other) = open().listen().unwrap();
        let own = format!(".mailconsole.{}.sock", process::id());
        assert_eq!(open().names().unwrap(), [SOCKET, &own]);
        drop(bound);
        assert_eq!(open().names().unwrap(), [own]);
        drop(other);
        assert_eq!(open().names().unwrap(), [""; 0]);
    }

    #[test]
    fn what_a_killed_server_has_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join(".mailconsole.4194305.sock");
        let first = dir.path().join(SOCKET);
        for path in [&dead, &first] {
            drop(UnixListener::bind(path).unwrap());
        }
        let place = Place::open(dir.path()).unwrap();
        let (_listener, _bound) = place.listen().unwrap();
        UnixStream::connect(first).unwrap();
        assert!(!dead.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SOCKET), "mine").unwrap();
        let (_listener, bound) = Place::open(dir.path()).unwrap().listen().unwrap();
        assert_ne!(bound.name, SOCKET);
        assert_eq!(fs::read(dir.path().join(SOCKET)).unwrap(), b"mine");
    }

    #[test]
    fn a_path_that_is_longer_than_a_socket_address_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(100)).join("y".repeat(100));
        fs::create_dir_all(&long).unwrap();
        let (_listener, bound) = Place::open(&long).unwrap().listen().unwrap();
        assert!(long.join(SOCKET).exists());
        let place = Place::open(&long).unwrap();
        UnixStream::connect(place.path_of(SOCKET)).unwrap();
        drop(bound);
        assert!(!long.join(SOCKET).exists());
    }
}
