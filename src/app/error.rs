//! Why the program cannot do what was asked for.

use std::io;
use std::path::PathBuf;

use crate::check::CheckError;
use crate::relay::run::RunError;
use crate::servers::listener::BindError;
use crate::servers::port::cannot_listen;
use crate::servers::tls::error::TlsError;
use crate::store::directory::{CreateError, OpenError};
use crate::store::index::ReadError;
use crate::store::maildrop::{MaildropError, UpdateError};
use crate::store::queue::QueueError;

/// Exit status for wrong use.
pub const WRONG_USE: u8 = 2;

/// Exit status if there is no server, or no such directory.
pub const NOTHING_THERE: u8 = 3;

/// Why a command fails: a sentence that names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is missing, and no option asks for it to be created.
    #[error(
        "{path} does not exist: create it with mailconsole init {path}, or use --user NAME",
        path = .0.display()
    )]
    DirectoryMissing(PathBuf),
    /// The same, for a command about the queue in it.
    #[error("{path} does not exist: name the directory that holds the queue", path = .0.display())]
    QueueMissing(PathBuf),
    /// It is something else.
    #[error("{0}. Name a directory of mailboxes, or a new one together with --user NAME")]
    NotDirectory(OpenError),
    /// It cannot be opened.
    #[error("{0}. Check its permissions or name another directory")]
    DirectoryClosed(OpenError),
    /// It cannot be created.
    #[error("cannot create the directory {path}: {1}. Choose another place", path = .0.display())]
    DirectoryNotMade(PathBuf, #[source] io::Error),
    /// It is read-only.
    #[error(
        "{path} is not writable, so mail could neither be received nor deleted. Change its \
         permissions or name another directory", path = .0.display()
    )]
    NotWritable(PathBuf),
    /// A mailbox cannot have this name.
    #[error("{0}. Choose another name for --user")]
    BadUser(CreateError),
    /// A mailbox cannot be created.
    #[error("{0}. Check the directory, or leave out --user")]
    MailboxNotMade(CreateError),
    /// A file that an option names cannot be written.
    #[error("cannot write {path}: {error}. Name another file with {option}", path = .path.display())]
    FileNotMade {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
        /// The option that names it.
        option: &'static str,
    },
    /// An address cannot be listened on.
    #[error("{}", cannot_listen(.error, .flag))]
    CannotListen {
        /// Which, and why not.
        error: BindError,
        /// The flag that changes its port.
        flag: &'static str,
    },
    /// A command that only reads or asks names a directory that does not exist.
    #[error("there is no directory {path}: name the one that the servers use", path = .0.display())]
    NoSuchDirectory(PathBuf),
    /// A command that asks servers finds none.
    #[error(
        "no server runs on {path}: start one with mailconsole --no-tui --dir {path}",
        path = .0.display()
    )]
    NoServer(PathBuf),
    /// Events cannot be written there.
    #[error("cannot write events to {path}: {1}. Name another file", path = .0.display())]
    NoEventsFile(PathBuf, #[source] io::Error),
    /// A server does not do what it is asked for.
    #[error("{0}. End it with a signal if that stays so")]
    Server(String),
    /// A mailbox that is named does not exist.
    #[error("there is no mailbox {0}: mailconsole messages DIR lists the messages of all that are")]
    NoSuchMailbox(String),
    /// A message that is named does not exist.
    #[error(
        "there is no message {word} in {mailbox}: mailconsole messages DIR {mailbox} lists them"
    )]
    NoSuchMessage {
        /// In which mailbox.
        mailbox: String,
        /// How it was named.
        word: String,
    },
    /// A mailbox cannot be read or changed.
    #[error("{0}: {1}")]
    Mailbox(String, MailboxError),
    /// What was asked for cannot be written.
    #[error("cannot write {0}: {1}. Check disk space and permissions")]
    Output(String, #[source] io::Error),
    /// There is no certificate for TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The relay queue cannot be read or written.
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Queue(#[from] QueueError),
    /// There is no such entry in the relay queue.
    #[error("there is no entry {0} in the relay queue: mailconsole queue lists the IDs")]
    NoSuchEntry(String),
    /// The relay cannot run.
    #[error("{0}. Check the permissions of the directory")]
    Relay(RunError),
    /// A check cannot be carried on.
    #[error("{0}")]
    Check(#[from] CheckError),
    /// The console needs a terminal.
    #[error("stdin or stdout is not a terminal: run the console in a terminal, or use --no-tui")]
    NoTerminal,
    /// Commands that change the system were not agreed to.
    #[error("nobody answers on stdin: run it in a terminal, or with --yes")]
    NoConsent,
    /// The screen has failed.
    #[error("the terminal has failed: {0}. Use another terminal, or --no-tui")]
    Screen(#[source] io::Error),
    /// The system lacks something that every program needs.
    #[error("cannot start: {0}. Free memory or processes and try again")]
    System(#[from] io::Error),
}

/// Why a mailbox cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// A POP3 session has it.
    #[error("a POP3 session holds it; try again when that has ended")]
    InUse,
    /// It cannot be opened.
    #[error(transparent)]
    Opening(MaildropError),
    /// It cannot be read.
    #[error(transparent)]
    Reading(#[from] ReadError),
    /// It cannot be changed.
    #[error(transparent)]
    Updating(#[from] UpdateError),
}

impl From<MaildropError> for MailboxError {
    fn from(error: MaildropError) -> Self {
        match error {
            MaildropError::InUse => Self::InUse,
            error => Self::Opening(error),
        }
    }
}

impl StartError {
    /// The exit status: 1 is a failure, 2 wrong use, 3 no server or no such directory.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::BadUser(_) | Self::NoTerminal | Self::NoConsent => WRONG_USE,
            Self::NoSuchDirectory(_) | Self::NoServer(_) => NOTHING_THERE,
            _ => 1,
        }
    }
}

/// What to do about a queue that cannot be read or changed, to follow its error.
const fn remedy(error: &QueueError) -> &'static str {
    match error {
        QueueError::Busy => ". Try again when that program has finished",
        // It says so itself.
        QueueError::NotMbox(_) => "",
        QueueError::NotRegular => {
            ". Move it out of the directory: the next mail for another domain creates a new one"
        }
        QueueError::Gone => ": mailconsole queue lists the entries",
        QueueError::Io(_) => ". Check disk space and permissions",
    }
}
