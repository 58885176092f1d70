//! A mailbox as a POP3 session sees it: locked against other sessions, with its messages numbered
//! as they were when it was opened. Deliveries may append to it in the meantime.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::store::browse::Snapshot;
use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{FileName, Files, Stamp};
use crate::store::from_line::{self, Form};
use crate::store::ground::Ground;
use crate::store::index::{Index, IndexError, Known, Message, ReadError, UniqueId};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::marks::Marks;
use crate::store::mbox;
use crate::store::reader::MessageReader;
use crate::store::rewrite;
use crate::store::rewrites::{self, Rewrite};
use crate::store::sessions::{SessionLock, Sessions};
use crate::store::user::SUFFIX;
use crate::store::whereabouts::{self, Mailbox};

pub use crate::store::browse::MaildropError;

/// A maildrop that is open, and locked against other sessions.
#[derive(Debug)]
pub struct Maildrop {
    committer: Arc<Committer>,
    name: FileName,
    snapshot: Arc<Snapshot>,
    octets: Arc<[u64]>,
    marks: Arc<Marks>,
    _session: SessionLock,
}

/// What a maildrop is whose mailbox does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// [`MaildropError::Missing`].
    IsAnError,
    /// An empty one. The mailbox is not made.
    IsEmpty,
}

/// Why no message was removed. All of them are still there.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// Another program has changed the mailbox, and it is not certain which messages were to be
    /// removed.
    #[error("another program has changed the mailbox")]
    Changed,
    /// The mailbox was removed.
    #[error("the mailbox has disappeared")]
    Missing,
    /// The directory of the mailbox has been replaced by another.
    #[error("the mailbox's directory has been replaced by another")]
    Replaced,
    /// Another program has held the lock for 30 s.
    #[error("another program keeps the mailbox locked")]
    Busy,
    /// The operating system reported an error.
    #[error("the mailbox cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl From<LockError> for UpdateError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::Missing => Self::Missing,
            LockError::Io(error) => Self::Io(error),
        }
    }
}

impl From<IndexError> for UpdateError {
    fn from(error: IndexError) -> Self {
        match error {
            // It was an mbox when the maildrop was opened.
            IndexError::NotMbox(_) => Self::Changed,
            IndexError::Io(error) => Self::Io(error),
        }
    }
}

impl From<ReadError> for UpdateError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Changed | ReadError::Missing => Self::Changed,
            ReadError::Replaced => Self::Replaced,
        }
    }
}

impl Maildrop {
    pub(super) async fn open(
        committer: &Arc<Committer>,
        sessions: &Arc<Sessions>,
        name: FileName,
        missing: Missing,
    ) -> Result<Self, MaildropError> {
        // Before the messages are numbered: from here on no other session can remove any.
        let session = SessionLock::take(sessions, &committer.ground().files, &name)?;
        let session = session.ok_or(MaildropError::InUse)?;
        let snapshot = match Snapshot::take(committer, &name).await {
            Err(MaildropError::Missing) if missing == Missing::IsEmpty => {
                Snapshot::of_nothing(committer, &name)?
            }
            taken => taken?,
        };
        let index = snapshot.index();
        let marks = Arc::new(Marks::of(index.messages.len()));
        sessions.opened(&name, Arc::clone(index), Arc::clone(&marks));
        Ok(Self {
            committer: Arc::clone(committer),
            name,
            octets: index.messages.iter().map(|message| message.span.octets).collect(),
            snapshot: Arc::new(snapshot),
            marks,
            _session: session,
        })
    }

    /// The name of the mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        self.name.strip_suffix(SUFFIX).unwrap_or(&self.name)
    }

    /// Length of each message in octets as RETR sends it, with CRLF line ends.
    #[must_use]
    pub fn octets(&self) -> Arc<[u64]> {
        Arc::clone(&self.octets)
    }

    /// The messages that the session has marked for deletion, shared with the console for as long
    /// as the maildrop is open. [`update`](Self::update) does not look at them: it gets its own
    /// list.
    #[must_use]
    pub fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// The messages as they were when the maildrop was opened.
    #[must_use]
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The unique-ids of all messages as they were when the maildrop was opened; see
    /// [`Snapshot::unique_ids`] for errors.
    pub async fn unique_ids(&self) -> Result<Arc<[UniqueId]>, ReadError> {
        if let Some(known) = self.snapshot.known_unique_ids() {
            return Ok(known);
        }
        self.make_sure_of_directory()?;
        self.snapshot.unique_ids().await
    }

    /// The unique-id of one message as it was when the maildrop was opened.
    pub async fn unique_id(&self, index: usize) -> Result<UniqueId, ReadError> {
        if let Some(known) = self.snapshot.known_unique_id(index)? {
            return Ok(known);
        }
        self.make_sure_of_directory()?;
        self.snapshot.unique_id(index).await
    }

    /// A message, to be read in pieces.
    ///
    /// # Errors
    ///
    /// If it is not as it was when the maildrop was opened. This may also turn out at the end of
    /// reading.
    pub async fn message(&self, index: usize) -> Result<MessageReader, ReadError> {
        self.make_sure_of_directory()?;
        self.snapshot.message(index).await
    }

    /// Removes messages, given by index, from the mailbox as it is now. Messages that have arrived
    /// since stay.
    ///
    /// If another program has rewritten the mailbox in the meantime, the messages are found again
    /// by their content. Those that it has removed are gone; if it may have changed one of them,
    /// none is removed (see [`whereabouts::find`]).
    ///
    /// # Errors
    ///
    /// If the messages could not be removed. All of them are then still there.
    pub async fn update(self, deleted: Vec<usize>) -> Result<(), UpdateError> {
        if deleted.is_empty() {
            return Ok(());
        }
        self.make_sure_of_directory()?;
        let (committer, name) = (Arc::clone(&self.committer), Arc::clone(&self.name));
        let update = move |locked| {
            let result = Update { maildrop: &self, deleted: &deleted }.run(&locked);
            drop(self);
            result
        };
        committer::with_locked(&committer, &name, Purpose::Rewrite, update).await?
    }

    /// Fails if the directory was replaced: the files of a removed directory can still be read, but
    /// no program would see what is done to them.
    fn make_sure_of_directory(&self) -> Result<(), ReadError> {
        let was_replaced = self.committer.ground().files.was_replaced();
        if was_replaced { Err(ReadError::Replaced) } else { Ok(()) }
    }
}

/// The UPDATE state of POP3 (RFC 1939 section 6).
struct Update<'a> {
    maildrop: &'a Maildrop,
    deleted: &'a [usize],
}

impl Update<'_> {
    fn run(&self, locked: &LockedFile) -> Result<(), UpdateError> {
        let Maildrop { committer, name, snapshot, .. } = self.maildrop;
        let Ground { files, indexes, .. } = committer.ground();
        let file = locked.file();
        // Before the mailbox is looked at: removing a link to it would change its state.
        rewrite::make_room(files, name)?;
        let now = indexes.of(name, file)?;
        let mailbox = Mailbox { index: &now.index, file };
        let gone = whereabouts::find(snapshot.mailbox(), self.deleted, mailbox)?;
        let gone = gone.ok_or(UpdateError::Changed)?;
        remove(committer.ground(), name, file, &now, &gone)
    }
}

/// Removes those messages of a mailbox for which `gone` is true: replaces it by a file without them.
/// The caller holds the lock for [`Purpose::Rewrite`], and has made room for the draft before it
/// looked at the mailbox.
pub(super) fn remove(
    ground: &Ground,
    name: &FileName,
    file: &File,
    now: &Known,
    gone: &[bool],
) -> Result<(), UpdateError> {
    if !gone.contains(&true) {
        return Ok(());
    }
    let kept = |nth: usize| !gone.get(nth).copied().unwrap_or(false);
    match rewrite(&ground.files, name, file, now, kept)? {
        Some(stamp) => ground.indexes.replaced(name, stamp, &now.index, kept),
        None => ground.indexes.forget(name),
    }
    Ok(())
}

/// Replaces the mailbox by a file without the removed messages. Returns the new file's state, or
/// `None` if it is uncertain.
fn rewrite(
    files: &Arc<Files>,
    name: &FileName,
    file: &File,
    now: &Known,
    kept: impl Fn(usize) -> bool,
) -> Result<Option<Stamp>, UpdateError> {
    let seen = now.sighting.stamp();
    let mut draft = rewrite::Draft::begin(files, name, file)?;
    let all = now.index.messages.iter().enumerate();
    let mut left = all.filter(|(nth, _)| kept(*nth)).map(|(_, message)| message).peekable();
    let dates_needed = loses_its_form(&now.index, file, left.peek().copied())?;
    if dates_needed {
        copy_with_dates(&mut draft, file, left)?;
    } else {
        draft.copy_all(file, kept_stretches(&now.index.messages, seen.size, &kept))?;
    }
    let draft = draft.sync()?;
    // A program that takes no locks may have appended to the file or replaced it.
    if files.regular(name)? != Some(seen) {
        return Err(UpdateError::Changed);
    }
    if !dates_needed {
        note_rewrite(
            files,
            name,
            [file, draft.file()],
            removed_stretches(&now.index.messages, kept),
        );
    }
    // With dates added, the messages are at other places, so the index must be rebuilt.
    Ok(draft.replace()?.filter(|_| !dates_needed))
}

/// Tells the log of rewrites that a file is about to take the place of another. Before the rename:
/// behind it, a kill could leave a file of which the log knows nothing.
fn note_rewrite(files: &Files, name: &FileName, [old, new]: [&File; 2], removed: Vec<Range<u64>>) {
    if let (Ok(old), Ok(new)) = (rewrites::identity(old), rewrites::identity(new)) {
        rewrites::note(files, name, &Rewrite { old, new, removed });
    }
}

/// Whether a file whose From_ lines have no dates would now begin with one that has a date: the
/// other From_ lines would then become text of the messages before them.
fn loses_its_form(now: &Index, file: &File, first: Option<&Message>) -> io::Result<bool> {
    let Some(first) = first.filter(|_| now.form != Some(Form::Dated)) else { return Ok(false) };
    Ok(mbox::is_from_line(&from_line_of(first, file)?))
}

/// Copies messages and adds a date to each From_ line without one. The date is the file's
/// modification time, since the time of arrival is unknown.
fn copy_with_dates<'a>(
    draft: &mut rewrite::Draft,
    file: &File,
    messages: impl Iterator<Item = &'a Message>,
) -> io::Result<()> {
    let modified = file.metadata()?.modified()?.into();
    for message in messages {
        let line = from_line_of(message, file)?;
        if mbox::is_from_line(&line) {
            draft.copy(file, message.span.start..message.span.end)?;
        } else {
            draft.write(from_line::dated(&line, modified).as_bytes())?;
            draft.copy(file, message.span.text..message.span.end)?;
        }
    }
    Ok(())
}

/// The From_ line of a message, without its LF.
pub(super) fn from_line_of(message: &Message, file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(message.span.text - message.span.start).unwrap_or(0);
    let mut line = vec![0; length];
    file.read_exact_at(&mut line, message.span.start)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

/// The removed messages of a file, in as few stretches as possible.
fn removed_stretches(messages: &[Message], kept: impl Fn(usize) -> bool) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for (_, message) in messages.iter().enumerate().filter(|(nth, _)| !kept(*nth)) {
        match stretches.last_mut() {
            Some(last) if last.end == message.span.start => last.end = message.span.end,
            _ => stretches.push(message.span.start..message.span.end),
        }
    }
    stretches
}

/// The rest of a file without the removed messages, in as few stretches as possible.
fn kept_stretches(
    messages: &[Message],
    size: u64,
    kept: impl Fn(usize) -> bool,
) -> Vec<Range<u64>> {
    let mut stretches = Vec::new();
    let mut from = 0;
    for (nth, message) in messages.iter().enumerate() {
        if kept(nth) {
            continue;
        }
        if from < message.span.start {
            stretches.push(from..message.span.start);
        }
        from = message.span.end;
    }
    if from < size {
        stretches.push(from..size);
    }
    stretches
}
