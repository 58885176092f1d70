//! A mailbox as a POP3 session sees it: locked against other sessions, its messages numbered as
//! they were when it was opened, while deliveries go on behind them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::store::browse::Snapshot;
use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{FileName, Stamp};
use crate::store::from_line::{self, Form};
use crate::store::ground::Ground;
use crate::store::index::{Index, IndexError, Known, Message, ReadError, UniqueId};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::marks::Marks;
use crate::store::mbox;
use crate::store::reader::MessageReader;
use crate::store::rewrite;
use crate::store::sessions::{SessionLock, Sessions};
use crate::store::whereabouts::{self, Mailbox};

pub use crate::store::browse::MaildropError;

/// A locked maildrop.
#[derive(Debug)]
pub struct Maildrop {
    committer: Arc<Committer>,
    name: FileName,
    snapshot: Snapshot,
    octets: Arc<[u64]>,
    marks: Arc<Marks>,
    _session: SessionLock,
}

/// Why messages were not removed. All of them are still there then.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// Another program has changed the mailbox, and what was to be removed cannot be told from
    /// what was not.
    #[error("another program has changed the mailbox")]
    Changed,
    /// The mailbox was removed.
    #[error("the mailbox has disappeared")]
    Missing,
    /// The directory that holds the mailbox has been replaced by another.
    #[error("the mailbox's directory has been replaced by another")]
    Replaced,
    /// Another program has had the file locked for 30 s.
    #[error("another program keeps the mailbox locked")]
    Busy,
    /// The system says why.
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
    ) -> Result<Self, MaildropError> {
        let session = SessionLock::take(sessions, &committer.ground().files, &name)?;
        let session = session.ok_or(MaildropError::InUse)?;
        let snapshot = Snapshot::take(committer, &name).await?;
        let index = snapshot.index();
        let marks = Arc::new(Marks::of(index.messages.len()));
        sessions.opened(&name, Arc::clone(index), Arc::clone(&marks));
        Ok(Self {
            committer: Arc::clone(committer),
            name,
            octets: index.messages.iter().map(|message| message.span.octets).collect(),
            snapshot,
            marks,
            _session: session,
        })
    }

    /// Length of each message in octets, with CRLF line ends, as RETR sends it.
    #[must_use]
    pub fn octets(&self) -> Arc<[u64]> {
        Arc::clone(&self.octets)
    }

    /// Which messages the session means to remove; whoever looks on sees them too, until this is
    /// dropped. What [`update`](Self::update) removes is another matter.
    #[must_use]
    pub fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// The messages as they were when the maildrop was opened.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The unique-ids of all messages, as they were when the maildrop was opened, or an error.
    pub async fn unique_ids(&self) -> Result<Arc<[UniqueId]>, ReadError> {
        if let Some(known) = self.snapshot.known_unique_ids() {
            return Ok(known);
        }
        self.make_sure_of_directory()?;
        self.snapshot.unique_ids().await
    }

    /// The unique-id of one message, as it was when the maildrop was opened, or an error.
    pub async fn unique_id(&self, index: usize) -> Result<UniqueId, ReadError> {
        if let Some(known) = self.snapshot.known_unique_id(index)? {
            return Ok(known);
        }
        self.make_sure_of_directory()?;
        self.snapshot.unique_id(index).await
    }

    /// A message, to be read piece by piece. It is what it was when the maildrop was opened, or
    /// this is an error: now, or at the end of the reading.
    pub async fn message(&self, index: usize) -> Result<MessageReader, ReadError> {
        self.make_sure_of_directory()?;
        self.snapshot.message(index).await
    }

    /// Removes messages, by their indexes, from the mailbox as it is now: whatever has arrived
    /// since stays. On an error all messages are still there.
    ///
    /// Where another program has rewritten the mailbox meanwhile, the messages are found again by
    /// their content. What that program has removed is gone; where it may have changed one of them,
    /// none is removed. See [`whereabouts::find`].
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

    /// The files of a directory that was removed may still be read, but nobody sees any more what
    /// is done to them.
    fn make_sure_of_directory(&self) -> Result<(), ReadError> {
        let was_replaced = self.committer.ground().files.was_replaced();
        if was_replaced { Err(ReadError::Replaced) } else { Ok(()) }
    }
}

/// POP3's UPDATE state (RFC 1939 section 6).
struct Update<'a> {
    maildrop: &'a Maildrop,
    deleted: &'a [usize],
}

impl Update<'_> {
    fn run(&self, locked: &LockedFile) -> Result<(), UpdateError> {
        let Maildrop { committer, name, snapshot, .. } = self.maildrop;
        let Ground { files, indexes, .. } = committer.ground();
        let file = locked.file();
        rewrite::make_room(files, name)?;
        let now = indexes.of(name, file)?;
        let mailbox = Mailbox { index: &now.index, file };
        let gone = whereabouts::find(snapshot.mailbox(), self.deleted, mailbox)?;
        let gone = gone.ok_or(UpdateError::Changed)?;
        if !gone.contains(&true) {
            return Ok(());
        }
        let kept = |nth: usize| !gone.get(nth).copied().unwrap_or(false);
        match self.rewrite(file, &now, kept)? {
            Some(stamp) => indexes.replaced(name, stamp, &now.index, kept),
            None => indexes.forget(name),
        }
        Ok(())
    }

    /// Puts a file without the removed messages in the place of the mailbox; its state, if nobody
    /// got in between.
    fn rewrite(
        &self,
        file: &File,
        now: &Known,
        kept: impl Fn(usize) -> bool,
    ) -> Result<Option<Stamp>, UpdateError> {
        let Maildrop { committer, name, .. } = self.maildrop;
        let files = &committer.ground().files;
        let seen = now.sighting.stamp();
        let mut draft = rewrite::Draft::begin(files, name, file)?;
        let all = now.index.messages.iter().enumerate();
        let mut left = all.filter(|(nth, _)| kept(*nth)).map(|(_, message)| message).peekable();
        let dates_needed = loses_its_form(&now.index, file, left.peek().copied())?;
        if dates_needed {
            copy_with_dates(&mut draft, file, left)?;
        } else {
            draft.copy_all(file, kept_stretches(&now.index.messages, seen.size, kept))?;
        }
        let draft = draft.sync()?;
        // A program that takes no locks may have appended to the file, or replaced it.
        if files.regular(name)? != Some(seen) {
            return Err(UpdateError::Changed);
        }
        // With dates the messages are elsewhere: they are looked for anew.
        Ok(draft.replace()?.filter(|_| !dates_needed))
    }
}

/// Whether a file whose From_ lines have no dates would begin with one that has: then the others
/// would be text of the messages before them.
fn loses_its_form(now: &Index, file: &File, first: Option<&Message>) -> io::Result<bool> {
    let Some(first) = first.filter(|_| now.form != Some(Form::Dated)) else { return Ok(false) };
    Ok(mbox::is_from_line(&from_line_of(first, file)?))
}

/// Copies messages, and gives a date to each From_ line that has none: that of the file, because
/// nobody knows when they came.
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
fn from_line_of(message: &Message, file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(message.span.text - message.span.start).unwrap_or(0);
    let mut line = vec![0; length];
    file.read_exact_at(&mut line, message.span.start)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

/// What is left of a file without the removed messages, in as few stretches as possible.
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
