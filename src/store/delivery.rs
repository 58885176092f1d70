//! A message on its way to its files, and how whoever brought it learns what became of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use nix::libc;
use tokio::sync::oneshot;

use crate::store::files::FileName;
use crate::store::text::{Finished, REPEATED_MOST};

/// Octets in all files together from which on a delivery is large.
const LARGE: u64 = 512 * 1024;

/// What ends every message in an mbox: the empty line of the separator.
pub const END_OF_MESSAGE: &[u8] = b"\n";

/// One message and the files it goes to.
#[derive(Debug)]
pub struct Delivery {
    parts: Vec<Part>,
    /// What is stored for each of them.
    pub(super) text: Finished,
    answer: oneshot::Sender<Answer>,
    /// Since when it waits.
    pub since: Instant,
}

/// What comes back to whoever brought a delivery.
pub enum Answer {
    /// What became of it.
    Done(Result<(), DeliverError>),
    /// Work to be done now, for this delivery and others, and where the answer comes then.
    Work(Box<dyn FnOnce() + Send>, oneshot::Receiver<Answer>),
}

/// Somebody who is about to be asked to do some work.
#[derive(Debug)]
pub struct Asked {
    whom: oneshot::Sender<Answer>,
    answered: oneshot::Receiver<Answer>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Work(..) => f.write_str("Work"),
        }
    }
}

impl Asked {
    /// Hands the work over.
    pub fn to(self, work: Box<dyn FnOnce() + Send>) {
        // Who is gone drops it.
        let _ = self.whom.send(Answer::Work(work, self.answered));
    }
}

/// What of a delivery goes to one file: all but the text.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: FileName,
    /// What stands before the text: the From_ line, and in the queue the envelope.
    pub head: String,
}

/// Why a message was not stored. Nothing of it is in any file then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliverError {
    /// The disk, a quota or the limit of a file's size is full.
    #[error("there is no space left")]
    NoSpace,
    /// Another program has had a file locked for 30 s.
    #[error("another program keeps a mailbox locked")]
    Busy,
    /// A mailbox was removed since its user was looked up.
    #[error("a mailbox has disappeared")]
    Missing,
    /// The system says why.
    #[error("{0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for DeliverError {
    fn from(error: io::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Io(Arc::new(error)) }
    }
}

/// Whether a disk, a quota or the limit of a file's size is full.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    let full = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

impl Delivery {
    /// A delivery, and where its answer will come.
    pub(super) fn new(parts: Vec<Part>, text: Finished) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { parts, text, answer, since: Instant::now() }, answered)
    }

    /// What goes to each of its files, each of which is named once.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Octets that are written for it, in all files together.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let of_part = |part: &Part| part.head.len() + END_OF_MESSAGE.len();
        self.parts.iter().map(|part| of_part(part) as u64 + self.text.octets).sum()
    }

    /// Whether it is written by itself, so that small ones need not wait for it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.text.octets > REPEATED_MOST || self.octets() >= LARGE
    }

    /// The part that goes to `file`.
    #[must_use]
    pub fn part_for(&self, file: &FileName) -> Option<&Part> {
        self.parts.iter().find(|part| part.file == *file)
    }

    /// Whether a part of it goes to `file`.
    #[must_use]
    pub fn goes_to(&self, file: &FileName) -> bool {
        self.part_for(file).is_some()
    }

    /// Whether anybody still waits for its answer.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Tells whoever brought it.
    pub fn answer(self, result: Result<(), DeliverError>) {
        // A client that is gone is told nothing; the message stays.
        let _ = self.answer.send(Answer::Done(result));
    }

    /// Asks whoever brought it to do some work, which ends with its answer; the work is told where
    /// that is to go. Work that nobody takes up is dropped.
    pub fn ask(&mut self) -> Asked {
        let (answer, answered) = oneshot::channel();
        Asked { whom: std::mem::replace(&mut self.answer, answer), answered }
    }
}
