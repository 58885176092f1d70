//! A message on its way to its files, and how the session that brought it gets the result.

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

/// Ends every message in an mbox: the empty line before the next From_ line.
pub const END_OF_MESSAGE: &[u8] = b"\n";

/// The field that names a recipient whose message was redirected, as Postfix has it.
pub const ORIGINAL_FIELD: &str = "X-Original-To";

/// One message and the files it goes to.
#[derive(Debug)]
pub struct Delivery {
    parts: Vec<Part>,
    /// The text, stored in each of the files.
    pub(super) text: Finished,
    answer: oneshot::Sender<Answer>,
    /// When it was created; limits how long locks are waited for.
    pub since: Instant,
}

/// What was delivered: its session gets it back.
#[derive(Debug)]
pub struct Delivered {
    /// The parts for its files.
    pub(super) parts: Vec<Part>,
    /// The text, stored in each of the files.
    pub(super) text: Finished,
}

/// A message to the session that brought a delivery.
pub enum Answer {
    /// The result of its delivery.
    Done(Result<Delivered, DeliverError>),
    /// Work to do now, which writes this delivery and others, and the receiver of the next answer.
    Work(Box<dyn FnOnce() + Send>, oneshot::Receiver<Answer>),
}

/// A session that is about to be asked to do some work.
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
    /// Hands over the work.
    pub fn to(self, work: Box<dyn FnOnce() + Send>) {
        // If the session is gone, the work is dropped, and `Work::drop` finds another thread for
        // it.
        let _ = self.whom.send(Answer::Work(work, self.answered));
    }
}

/// The part of a delivery that goes to one file: everything but the text.
#[derive(Debug)]
pub struct Part {
    /// Name of the file.
    pub file: FileName,
    /// Written before the text: the From_ line and, in the queue, the envelope; in a mailbox, fields
    /// that name the recipients who were redirected to it.
    pub head: String,
    /// Makes the file if it is missing, provided that there are fewer mailboxes than this. A new
    /// mailbox that nothing was stored in is removed again. The queue is made in any case.
    pub made_below: Option<usize>,
    /// The addresses that the client has named whose copy this is, if that is noted.
    pub named: Vec<Box<str>>,
}

/// Why a message was not stored. Nothing of it is in any file then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliverError {
    /// The disk or a quota is full, or the file would exceed the size limit.
    #[error("there is no space left")]
    NoSpace,
    /// Another program has held the lock of a file for 30 s.
    #[error("another program keeps a mailbox locked")]
    Busy,
    /// A mailbox was removed after its user was looked up.
    #[error("a mailbox has disappeared")]
    Missing,
    /// A mailbox was to be made for it, and there are too many.
    #[error("there are too many mailboxes")]
    TooManyMailboxes,
    /// The operating system reported an error.
    #[error("{0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for DeliverError {
    fn from(error: io::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Io(Arc::new(error)) }
    }
}

/// Whether a disk or a quota is full, or a file has reached the size limit.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    let full = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

impl Delivery {
    /// A delivery, and the receiver of its answer.
    pub(super) fn new(parts: Vec<Part>, text: Finished) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { parts, text, answer, since: Instant::now() }, answered)
    }

    /// Its parts, at most one for each file.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Octets written for it in all files together.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let of_part = |part: &Part| part.head.len() + END_OF_MESSAGE.len();
        self.parts.iter().map(|part| of_part(part) as u64 + self.text.octets).sum()
    }

    /// Whether it gets a batch of its own, so that small ones need not wait for it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.text.octets > REPEATED_MOST || self.octets() >= LARGE
    }

    /// The part that goes to `file`, if any.
    #[must_use]
    pub fn part_for(&self, file: &FileName) -> Option<&Part> {
        self.parts.iter().find(|part| part.file == *file)
    }

    /// Whether a part of it goes to `file`.
    #[must_use]
    pub fn goes_to(&self, file: &FileName) -> bool {
        self.part_for(file).is_some()
    }

    /// Whether its session still waits for the answer.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Sends the result to the session.
    pub fn answer(self, result: Result<(), DeliverError>) {
        let Self { parts, text, answer, .. } = self;
        // If the session is gone, nobody is told; the message stays.
        let _ = answer.send(Answer::Done(result.map(|()| Delivered { parts, text })));
    }

    /// Prepares to ask the session to do some work, after which it waits for the answer as before.
    /// If the session is gone, the work is dropped.
    pub fn ask(&mut self) -> Asked {
        let (answer, answered) = oneshot::channel();
        Asked { whom: std::mem::replace(&mut self.answer, answer), answered }
    }
}
