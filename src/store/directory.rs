//! The directory of mailboxes: which users exist, and the operations on their mailboxes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::store::anchor;
use crate::store::browse::Snapshot;
use crate::store::committer::{self, Committer};
use crate::store::delivery::DeliverError;
use crate::store::envelope;
use crate::store::files::{Access, Creation, Files};
use crate::store::ground::Ground;
use crate::store::lock;
use crate::store::maildrop::{Maildrop, MaildropError, Missing};
use crate::store::marks::Marks;
use crate::store::queue::Queue;
use crate::store::receipt::{Draft, Receipt};
use crate::store::sessions::Sessions;
use crate::store::text::Text;
use crate::store::user::{self, SUFFIX};

pub use crate::store::envelope::{Envelope, Recipient};
pub use crate::store::ground::Durability;
pub use crate::store::user::{USER_MOST, User};

/// A name that every machine has; addresses at it are local whatever the configured domain is.
pub const LOCALHOST: &str = "localhost";

/// Maximum number of mailboxes listed; more are served but not listed.
pub const LISTED_MOST: usize = 10_000;

/// A directory of mailboxes. Clones share everything.
#[derive(Debug, Clone)]
pub struct Directory {
    path: Arc<Path>,
    durability: Durability,
    /// The directory that the path named when last checked; another may take its place.
    opened: Arc<RwLock<Opened>>,
}

/// One directory that the path has named, and all work on it.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) committer: Arc<Committer>,
    pub(super) sessions: Arc<Sessions>,
}

impl Opened {
    fn at(path: &Path, durability: Durability) -> io::Result<Self> {
        let files = Files::open(path)?;
        if let Err(error) = anchor::remove_left_over(&files) {
            tracing::warn!("cannot tidy up {}: {error}", path.display());
        }
        let committer = Arc::new(Committer::new(Ground::new(files, durability)));
        // Before any other use of the mailboxes: after a power failure they may lack acknowledged
        // messages.
        committer.recover_all();
        Ok(Self { committer, sessions: Arc::default() })
    }

    pub(super) fn ground(&self) -> &Ground {
        self.committer.ground()
    }
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path does not exist.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// The path is not a directory.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// The operating system reported an error.
    #[error("cannot open the directory {path}: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Why a mailbox was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is not allowed.
    #[error(
        "{0:?} cannot be the name of a mailbox: use 1 to 64 letters, digits, inner dots and any of \
         !#$%&'*+=?^_{{|}}~-, but not mqueue"
    )]
    BadName(String),
    /// Something that is not a regular file has the name.
    #[error("{0} exists and is not a regular file")]
    NotRegular(String),
    /// The operating system reported an error.
    #[error("cannot make {0}: {1}")]
    Io(String, #[source] io::Error),
}

impl Directory {
    /// Opens the directory at `path`, removes what dead processes have left in it, and repairs
    /// mailboxes after a crash.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, OpenError> {
        // Before the first lock is taken: older dotlocks with our process id are not ours.
        lock::note_start();
        let opened = Opened::at(path, durability).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::Missing(path.to_owned()),
            io::ErrorKind::NotADirectory => OpenError::NotDirectory(path.to_owned()),
            _ => OpenError::Io(path.to_owned(), error),
        })?;
        Ok(Self { path: path.into(), durability, opened: Arc::new(RwLock::new(opened)) })
    }

    /// The path it was opened at.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that the path named when last checked.
    fn known(&self) -> Opened {
        self.opened.read().clone()
    }

    /// The directory that the path names now. If it names none, the last one: it may have been
    /// moved away for a moment.
    pub(super) fn opened(&self) -> Opened {
        let opened = self.known();
        if opened.ground().files.was_replaced() { self.opened_anew() } else { opened }
    }

    fn opened_anew(&self) -> Opened {
        let mut opened = self.opened.write();
        // Another thread may have been quicker.
        if opened.ground().files.was_replaced() {
            match Opened::at(&self.path, self.durability) {
                Ok(anew) => {
                    tracing::warn!(
                        "{}: replaced by another directory, which is used from now on",
                        self.path.display()
                    );
                    *opened = anew;
                }
                Err(error) => tracing::error!(
                    "{}: replaced by another directory, which cannot be opened: {error}",
                    self.path.display()
                ),
            }
        }
        opened.clone()
    }

    /// The user whose address has this local-part. `None` also if the name cannot be that of a
    /// mailbox, or the mailbox cannot be looked up.
    #[must_use]
    pub fn user(&self, local_part: &[u8]) -> Option<User> {
        self.look_up(local_part).ok().flatten()
    }

    /// As [`user`](Self::user), but an error if the mailbox cannot be looked up: it may exist.
    pub fn look_up(&self, local_part: &[u8]) -> io::Result<Option<User>> {
        let Some(user) = User::of_local_part(local_part) else { return Ok(None) };
        let found = self.opened().ground().files.regular(&user.file())?;
        Ok(found.map(|_| user))
    }

    /// The mailbox that a POP3 client means by `name`, at the server of `domain`: the one with
    /// exactly that name or, if the name is a local address, the one of its local-part.
    ///
    /// A mailbox whose own name is an address can be opened this way, although no recipient's
    /// address refers to it.
    #[must_use]
    pub fn mailbox_of(&self, name: &str, domain: &str) -> Option<User> {
        self.mailbox(name).or_else(|| {
            let (local_part, its_domain) = name.rsplit_once('@')?;
            let is_ours = |ours: &str| its_domain.eq_ignore_ascii_case(ours);
            if is_ours(domain) || is_ours(LOCALHOST) { self.mailbox(local_part) } else { None }
        })
    }

    /// The mailbox of this name, which may contain an inner `@`.
    #[must_use]
    pub fn mailbox(&self, name: &str) -> Option<User> {
        let user = User::of_mailbox(name)?;
        self.opened().ground().files.regular(&user.file()).ok().flatten().map(|_| user)
    }

    /// Creates an empty mailbox; does nothing if it exists.
    pub fn create(&self, name: &str) -> Result<User, CreateError> {
        let bad = || CreateError::BadName(name.to_owned());
        let user = User::of_local_part(name.as_bytes()).ok_or_else(bad)?;
        let file = user.file();
        let failed = |error| CreateError::Io(file.to_string(), error);
        if self.user(name.as_bytes()).is_some() {
            return Ok(user);
        }
        let opened = self.opened();
        let files = &opened.ground().files;
        match files.open_file(&file, Access::Write, Creation::Always) {
            // The name must survive a power failure, since mail will be acknowledged in the file.
            Ok(_) => files.sync().map_err(failed)?,
            // Another thread was quicker, or it is not a mailbox.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let not_regular = || CreateError::NotRegular(file.to_string());
                self.user(name.as_bytes()).ok_or_else(not_regular)?;
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(user)
    }

    /// The number of mailboxes, counted up to `most`.
    pub fn count_mailboxes(&self, most: usize) -> io::Result<usize> {
        user::count_mailboxes(&self.opened().ground().files, most)
    }

    /// Whether a user has a mailbox now.
    ///
    /// # Errors
    ///
    /// If it cannot be looked up: it may exist.
    pub fn has_mailbox(&self, user: &User) -> io::Result<bool> {
        Ok(self.opened().ground().files.regular(&user.file())?.is_some())
    }

    /// All users, sorted by name, at most [`LISTED_MOST`].
    pub fn users(&self) -> io::Result<Vec<User>> {
        let names = self.opened().ground().files.names(LISTED_MOST)?;
        let names = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
        let mut users: Vec<User> = names.filter_map(|name| self.mailbox(name)).collect();
        users.sort_unstable();
        Ok(users)
    }

    /// A place for the text of a message that is about to arrive.
    #[must_use]
    pub fn new_text(&self) -> Text {
        let opened = self.known();
        let Ground { files, texts, .. } = opened.ground();
        Text::new(Arc::clone(files), texts)
    }

    /// Stores a message for all its recipients or for none. When this returns, it is on disk.
    ///
    /// Writing that has begun is finished even if the returned future is dropped.
    pub fn deliver(
        &self,
        envelope: Envelope,
        text: Text,
    ) -> impl Future<Output = Result<(), DeliverError>> + Send + use<> {
        // Done outside the async block, because the future's size counts for every connection.
        let (committer, parts) = (self.known().committer, envelope::parcel(envelope).parts);
        // `use<>`: the future borrows nothing from `self`, so that a session can own it.
        async move { committer::deliver(&committer, parts, text.finish()?).await.map(drop) }
    }

    /// The same, and tells what was stored where. Of a message that is too long to be kept for the
    /// receipt, the unique-id is computed only if it has at most `uid_most` octets: it costs more than
    /// the delivery.
    pub fn deliver_for_receipt(
        &self,
        envelope: Envelope,
        text: Text,
        uid_most: u64,
    ) -> impl Future<Output = Result<Receipt, DeliverError>> + Send + use<> {
        let (committer, parcel) = (self.known().committer, envelope::parcel(envelope));
        async move {
            // Before it is delivered: a text that cannot be read must not be stored.
            let (draft, parts, text) = Draft::of(parcel, text.finish()?, uid_most).await?;
            Ok(draft.receipt(committer::deliver(&committer, parts, text).await?))
        }
    }

    /// Removes the files that only speed up the next delivery. Call it when there will be no more.
    pub async fn close(&self) {
        let committer = self.opened().committer;
        let closed = tokio::task::spawn_blocking(move || committer.close()).await;
        if let Err(error) = closed {
            tracing::error!("the directory was not tidied up: {error}");
        }
    }

    /// Opens a user's maildrop for a POP3 session: locks it against other sessions and lists its
    /// messages.
    pub async fn open_maildrop(&self, user: &User) -> Result<Maildrop, MaildropError> {
        let Opened { committer, sessions } = self.opened();
        Maildrop::open(&committer, &sessions, user.file(), Missing::IsAnError).await
    }

    /// The same, but the maildrop is empty if there is no mailbox. None is made.
    pub async fn open_maildrop_or_none(&self, user: &User) -> Result<Maildrop, MaildropError> {
        let Opened { committer, sessions } = self.opened();
        Maildrop::open(&committer, &sessions, user.file(), Missing::IsEmpty).await
    }

    /// Takes a snapshot of a user's mailbox, for reading. Does not keep sessions out.
    pub async fn snapshot(&self, user: &User) -> Result<Snapshot, MaildropError> {
        Snapshot::take(&self.opened().committer, &user.file()).await
    }

    /// The messages, by place in the mailbox, that a POP3 session of this process has marked for
    /// deletion; `None` if no session has the mailbox open.
    #[must_use]
    pub fn marks(&self, user: &str) -> Option<Arc<Marks>> {
        let file = User::of_mailbox(user)?.file();
        let opened = self.opened();
        opened.sessions.marks(&file, &opened.ground().indexes)
    }

    /// The relay queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::of(&self.opened().committer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_somebody_with_a_regular_file() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Synced).unwrap();
        assert!(directory.user(b"u").is_none());
        directory.create("u").unwrap();
        assert_eq!(directory.user(b"u").unwrap().name(), "u");
        assert!(directory.user(b"U").is_none());
        std::os::unix::fs::symlink("u.mbox", dir.path().join("link.mbox")).unwrap();
        std::fs::create_dir(dir.path().join("dir.mbox")).unwrap();
        assert!(directory.user(b"link").is_none());
        assert!(matches!(directory.create("dir"), Err(CreateError::NotRegular(_))));
        let names: Vec<_> =
            directory.users().unwrap().iter().map(|user| user.name().to_owned()).collect();
        assert_eq!(names, ["u"]);
    }

    #[test]
    fn a_directory_that_is_none_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let open = |path: &Path| Directory::open(path, Durability::Synced).unwrap_err();
        assert!(matches!(open(&file), OpenError::NotDirectory(_)));
        assert!(matches!(open(&dir.path().join("none")), OpenError::Missing(_)));
    }
}
