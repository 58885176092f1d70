//! The directory of mailboxes that a command works on: opened, and created if that is asked for.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::app::error::StartError;
use crate::store::directory::{CreateError, Directory, Durability, OpenError};

/// Where the mailboxes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailboxes {
    /// The directory that holds them.
    pub directory: PathBuf,
    /// Users whose mailbox is made if it is missing.
    pub users: Vec<String>,
    /// Whether a message is on the disk before it is acknowledged.
    pub durability: Durability,
    /// What they are for, which says what to do where there are none.
    pub purpose: Purpose,
}

/// What a directory is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be served: it can be made.
    Serving,
    /// For the queue in it: an empty one is of no use.
    Queue,
}

impl Mailboxes {
    /// Whether mail that was acknowledged can be lost in a power failure.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        self.durability == Durability::Unsynced
    }

    /// The same, for a command about the queue: it makes no mailboxes.
    #[must_use]
    pub fn for_queue(self) -> Self {
        Self { users: Vec::new(), purpose: Purpose::Queue, ..self }
    }
}

/// Whether something was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was.
    Before,
    /// It was made.
    Now,
}

/// Makes a directory if there is none.
pub fn make_directory(path: &Path) -> Result<Made, StartError> {
    if path.exists() {
        return Ok(Made::Before);
    }
    std::fs::create_dir_all(path)
        .map_err(|error| StartError::DirectoryNotMade(path.to_owned(), error))?;
    Ok(Made::Now)
}

/// Opens the directory, and creates it and its mailboxes if users are named.
pub fn open(mailboxes: &Mailboxes) -> Result<Directory, StartError> {
    let path = &mailboxes.directory;
    if !mailboxes.users.is_empty() {
        make_directory(path)?;
    }
    let directory = open_as_it_is(mailboxes)?;
    make_sure_of_writable(path)?;
    for user in &mailboxes.users {
        create(&directory, user)?;
    }
    Ok(directory)
}

/// Makes the mailbox of a user, if there is none.
pub fn create(directory: &Directory, user: &str) -> Result<(), StartError> {
    let made = directory.create(user).map_err(|error| match error {
        CreateError::BadName(_) => StartError::BadUser(error),
        CreateError::NotRegular(_) | CreateError::Io(..) => StartError::MailboxNotMade(error),
    });
    made.map(|_| ())
}

/// Opens the directory without creating anything; it may be read-only.
pub fn open_as_it_is(mailboxes: &Mailboxes) -> Result<Directory, StartError> {
    Directory::open(&mailboxes.directory, mailboxes.durability).map_err(|error| match error {
        OpenError::Missing(path) => match mailboxes.purpose {
            Purpose::Serving => StartError::DirectoryMissing(path),
            Purpose::Queue => StartError::QueueMissing(path),
        },
        OpenError::NotDirectory(_) => StartError::NotDirectory(error),
        OpenError::Io(..) => StartError::DirectoryClosed(error),
    })
}

/// Opens the directory for a command about the messages in it, which makes nothing.
pub fn open_for_messages(path: &Path) -> Result<Directory, StartError> {
    Directory::open(path, Durability::Synced).map_err(|error| match error {
        OpenError::Missing(path) | OpenError::NotDirectory(path) => {
            StartError::NoSuchDirectory(path)
        }
        OpenError::Io(..) => StartError::DirectoryClosed(error),
    })
}

/// Refuses a directory in which nothing can be written.
pub fn make_sure_of_writable(path: &Path) -> Result<(), StartError> {
    access(path, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|_| StartError::NotWritable(path.to_owned()))
}
