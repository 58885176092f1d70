//! Why the program cannot do what was asked for.

use std::io;
use std::path::PathBuf;

use crate::check::CheckError;
use crate::relay::run::RunError;
use crate::servers::listener::BindError;
use crate::servers::port::cannot_listen;
use crate::store::directory::{CreateError, OpenError};
use crate::store::queue::QueueError;

/// Why the servers do not run: a sentence that names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is not there, and nobody asked for it to be made.
    #[error(
        "{path} does not exist: name a --user to have it made, or make it with mailconsole init \
         {path}", path = .0.display()
    )]
    DirectoryMissing(PathBuf),
    /// The same, for whoever wants the queue in it.
    #[error("{path} does not exist: name the directory whose queue is meant", path = .0.display())]
    QueueMissing(PathBuf),
    /// It is not what was meant.
    #[error("{0}. Name a directory of mailboxes, or a new one and a --user to have it made")]
    NotDirectory(OpenError),
    /// It cannot be opened.
    #[error("{0}. Check its permissions, or name another directory")]
    DirectoryClosed(OpenError),
    /// It cannot be made.
    #[error("cannot make the directory {path}: {1}. Name another, or create it", path = .0.display())]
    DirectoryNotMade(PathBuf, #[source] io::Error),
    /// It can be read only.
    #[error(
        "{path} is not writable: mail could be neither received nor removed. Change its \
         permissions, or name another directory", path = .0.display()
    )]
    NotWritable(PathBuf),
    /// A name for a mailbox that cannot be one.
    #[error("{0}. Name another with --user")]
    BadUser(CreateError),
    /// A mailbox cannot be made.
    #[error("{0}. Check the directory, or leave out the --user")]
    MailboxNotMade(CreateError),
    /// An address cannot be listened on.
    #[error("{}", cannot_listen(.error, .flag))]
    CannotListen {
        /// Which, and why not.
        error: BindError,
        /// The flag that changes its port.
        flag: &'static str,
    },
    /// The relay queue cannot be read or written.
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Queue(#[from] QueueError),
    /// There is no such entry in the relay queue.
    #[error("no entry of the relay queue is named {0}: mailconsole queue lists their ids")]
    NoSuchEntry(String),
    /// The relay cannot run.
    #[error("{0}. Check the permissions of the directory")]
    Relay(RunError),
    /// A check cannot be carried on.
    #[error("{0}")]
    Check(#[from] CheckError),
    /// The console has no screen to be on.
    #[error("there is no terminal for the console: run it in one, or without a screen by --no-tui")]
    NoTerminal,
    /// The screen has failed.
    #[error("the screen has failed: {0}. Use another terminal, or none with --no-tui")]
    Screen(#[source] io::Error),
    /// The system lacks something that every program needs.
    #[error("cannot start: {0}. Free some memory or processes, and try again")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether the command line is wrong, rather than the world.
    #[must_use]
    pub const fn is_wrong_use(&self) -> bool {
        matches!(self, Self::BadUser(_) | Self::NoTerminal)
    }
}

/// What to do about a queue that cannot be read or changed, behind its error.
const fn remedy(error: &QueueError) -> &'static str {
    match error {
        QueueError::Busy => ". Try again when that program has done with it",
        // It says so itself.
        QueueError::NotMbox(_) => "",
        QueueError::NotRegular => {
            ". Move it out of the directory: the next mail for another domain makes a new one"
        }
        QueueError::Gone => ": mailconsole queue lists what is there",
        QueueError::Io(_) => ". Look after its disk and permissions",
    }
}
