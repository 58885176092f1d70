//! The relay queue: an mbox file whose messages carry their envelope and its state, entry by entry.

pub mod block;
pub mod entry;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::committer::{self, Committer, LockError};
use crate::store::files::{Access, Creation, FileName, Files, Stamp, Window};
use crate::store::ground::QUEUE_FILE;
use crate::store::index::{IndexError, Message};
use crate::store::lock::{self, LockedFile, OfdLock, Purpose};
use crate::store::mbox::{NotMbox, Span};
use crate::store::overview::{QueueView, RecipientState};
use crate::store::queue::entry::{Places, find_by_id};
use crate::store::reader::MessageReader;
use crate::store::rewrite::Draft;

pub use crate::store::queue::block::{Block, Client, Ended, Recipient, Tried, envelope_block};
pub use crate::store::queue::entry::Entry;

/// What a relay run keeps locked, so that there is one at a time.
const RUN_LOCK: &str = ".mqueue.relay";

/// How long the file is still waited for after the end of all waiting has come.
const GRACE: Duration = Duration::from_millis(300);

/// The recipients of the messages at `spans`, as a list shows them; `most` at most.
pub(super) fn views(
    file: &File,
    spans: impl Iterator<Item = Span>,
    most: usize,
) -> io::Result<Vec<QueueView>> {
    let mut window = Window::new(file);
    let mut views = Vec::new();
    for span in spans {
        let Some(entry) = Entry::read(span, &mut window)? else { continue };
        let Entry { block, octets, .. } = &entry;
        views.extend(block.recipients.iter().map(|recipient| view(block, recipient, *octets)));
        if views.len() >= most {
            views.truncate(most);
            break;
        }
    }
    Ok(views)
}

fn view(block: &Block, recipient: &Recipient, octets: u64) -> QueueView {
    let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    QueueView {
        id: block.id.clone(),
        reverse_path: block.reverse_path.to_string(),
        recipient: recipient.forward_path.to_string(),
        state: recipient.state,
        octets,
        queued: at(block.queued).unwrap_or(UNIX_EPOCH),
        attempts: recipient.attempts,
        last_reply: recipient.last_reply.clone(),
        next_attempt: (recipient.next_attempt > 0).then(|| at(recipient.next_attempt)).flatten(),
    }
}

/// The relay queue of a directory.
///
/// Nothing here is held while a network is waited for: a run takes a list of the entries, and says
/// afterwards, by their ids, what has become of them. What is queued meanwhile stays.
#[derive(Debug, Clone)]
pub struct Queue {
    committer: Arc<Committer>,
    name: FileName,
    /// For entries that are not where they were. Clones share it.
    places: Arc<Mutex<Option<Places>>>,
    /// Ends all waiting for other programs.
    stop: CancellationToken,
}

/// Why the queue cannot be read or changed. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another program has had it locked for 30 s.
    #[error("another program keeps the relay queue locked")]
    Busy,
    /// The file is no mbox; it is left as it is.
    #[error("the relay queue is {0}")]
    NotMbox(NotMbox),
    /// Something else has its name.
    #[error("the relay queue is not a regular file: something else has the name {QUEUE_FILE}")]
    NotRegular,
    /// The entry is not there any more.
    #[error("the entry is no longer in the relay queue")]
    Gone,
    /// The system says why.
    #[error("the relay queue cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

impl From<LockError> for QueueError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::Missing => Self::Gone,
            LockError::Io(error) => Self::Io(error),
        }
    }
}

impl From<IndexError> for QueueError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NotMbox(why) => Self::NotMbox(why),
            IndexError::Io(error) => Self::Io(error),
        }
    }
}

/// What an edit has made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Nothing: it stays as it lies there.
    Unchanged,
    /// Its block was changed.
    Changed,
    /// It is to be removed, with its message.
    Removed,
}

impl Queue {
    pub(super) fn of(committer: &Arc<Committer>) -> Self {
        let stop = CancellationToken::new();
        Self {
            committer: Arc::clone(committer),
            name: QUEUE_FILE.into(),
            places: Arc::default(),
            stop,
        }
    }

    /// The same, for which other programs are waited for no longer than until `stop`, and a little.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The entries as they are now, in the order of the file. Messages without an envelope are
    /// not among them.
    pub async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let queue = self.clone();
        let list = move |locked: LockedFile| queue.list(locked.file());
        match self.locked(Purpose::Read, list).await {
            Ok(listed) => listed,
            Err(LockError::Missing) => self.nothing(),
            Err(error) => Err(error.into()),
        }
    }

    /// Where there is no queue file, nothing has ever been queued.
    fn nothing<T>(&self) -> Result<Vec<T>, QueueError> {
        if self.committer.ground().files.is_irregular(QUEUE_FILE)? {
            Err(QueueError::NotRegular)
        } else {
            Ok(Vec::new())
        }
    }

    /// Works on the file as soon as it is locked.
    async fn locked<R: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(LockedFile) -> R + Send + 'static,
    ) -> Result<R, LockError> {
        let stopped = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        committer::with_locked_until(&self.committer, &self.name, purpose, stopped, work).await
    }

    fn list(&self, file: &File) -> Result<Vec<Entry>, QueueError> {
        let index = self.committer.ground().indexes.of(&self.name, file)?.index;
        let mut window = Window::new(file);
        let read = |message: &Message| Entry::read(message.span, &mut window).transpose();
        Ok(index.messages.iter().filter_map(read).collect::<io::Result<_>>()?)
    }

    /// Opens the text of an entry, as it was sent. What is read of it stays what it is now, also
    /// if the queue is compacted meanwhile.
    pub async fn text(&self, entry: &Entry) -> Result<MessageReader, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let open = move |locked: LockedFile| {
            let entry = queue.find(locked.file(), &entry)?;
            let file = queue.committer.ground().files.open_file(
                QUEUE_FILE,
                Access::Read,
                Creation::Never,
            )?;
            let text = Span { text: entry.text, octets: entry.octets, ..entry.span };
            Ok(MessageReader::of_span(Arc::new(file), text))
        };
        self.locked(Purpose::Read, open).await?
    }

    /// Marks recipients of an entry (by their place in its block) as delivered: one small write
    /// for each, and one sync. To be called right after the remote's 250, before anything else: what
    /// is not marked when the machine dies is sent again.
    pub async fn mark_delivered(
        &self,
        entry: &Entry,
        recipients: Vec<usize>,
    ) -> Result<(), QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let mark = move |locked: LockedFile| {
            let of_entry = entry.block.recipients.iter();
            let mut done = of_entry.enumerate().filter(|(nth, _)| recipients.contains(nth));
            let done = done.by_ref().map(|(_, recipient)| recipient.forward_path.as_str());
            queue.mark(locked.file(), |mark| mark.done(&entry, done, |_| true))
        };
        self.locked(Purpose::Write, mark).await?
    }

    /// Marks failed recipients of several entries as done with, because their senders have been
    /// told. One sync for all. Whoever has been retried meanwhile, or is no longer there, is let
    /// be.
    pub async fn mark_told(&self, told: Vec<(Arc<Entry>, Vec<String>)>) -> Result<(), QueueError> {
        let queue = self.clone();
        let mark = move |locked: LockedFile| {
            queue.mark(locked.file(), |mark| {
                let is_failed = |state| state == RecipientState::Failed;
                for (entry, recipients) in &told {
                    match mark.done(entry, recipients.iter().map(String::as_str), is_failed) {
                        Ok(()) | Err(QueueError::Gone) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
        };
        self.locked(Purpose::Write, mark).await?
    }

    fn mark(
        &self,
        file: &File,
        marks: impl FnOnce(&Marker<'_>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let before = Stamp::of_file(file)?;
        let marked = marks(&Marker { queue: self, file });
        self.committer.ground().durability.sync(file)?;
        // The marks move nothing, so that what is known of the file still holds.
        self.committer.ground().indexes.appended(&self.name, before, Stamp::of_file(file)?);
        marked
    }

    /// The entry as it is now: an operator may have changed it since it was listed.
    pub async fn now(&self, entry: &Entry) -> Result<Entry, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let find = move |locked: LockedFile| queue.find(locked.file(), &entry);
        self.locked(Purpose::Read, find).await?
    }

    /// The entry where it is now: usually where it was.
    fn find(&self, file: &File, entry: &Entry) -> Result<Entry, QueueError> {
        let id = &entry.block.id;
        if let Some(there) = entry.place().entry(id, file) {
            return Ok(there);
        }
        let mut places = self.places.lock();
        find_by_id(id, file, &mut places)?.ok_or(QueueError::Gone)
    }

    /// Passes the block of every entry to `edit`, in one pass, and puts a file with the changes in
    /// the place of the old one, if there are any. Returns the blocks that are left.
    pub async fn edit(
        &self,
        mut edit: impl FnMut(&mut Block) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        self.edit_entries(move |entry| edit(&mut entry.block)).await
    }

    /// The same, for those who look at more than the blocks.
    pub async fn edit_entries(
        &self,
        edit: impl FnMut(&mut Entry) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        let queue = self.clone();
        let rewrite = move |locked: LockedFile| queue.rewrite(locked.file(), edit);
        match self.locked(Purpose::Rewrite, rewrite).await {
            Ok(left) => left,
            Err(LockError::Missing) => self.nothing(),
            Err(error) => Err(error.into()),
        }
    }

    fn rewrite(
        &self,
        file: &File,
        mut edit: impl FnMut(&mut Entry) -> Edit,
    ) -> Result<Vec<Block>, QueueError> {
        let mut left = Vec::new();
        let mut edited = Vec::new();
        for mut entry in self.list(file)? {
            let verdict = edit(&mut entry);
            if verdict != Edit::Removed {
                left.push(entry.block.clone());
            }
            if verdict != Edit::Unchanged {
                edited.push((entry, verdict));
            }
        }
        if !edited.is_empty() {
            self.replace(file, &edited)?;
        }
        Ok(left)
    }

    fn replace(&self, file: &File, edited: &[(Entry, Edit)]) -> Result<(), QueueError> {
        let mut draft = Draft::begin(&self.committer.ground().files, &self.name, file)?;
        let mut copied = 0;
        for (entry, edit) in edited {
            let kept_until =
                if *edit == Edit::Removed { entry.span.start } else { entry.span.text };
            draft.copy(file, copied..kept_until)?;
            copied = if *edit == Edit::Removed {
                entry.span.end
            } else {
                draft.write(entry.block.render().as_bytes())?;
                entry.text
            };
        }
        draft.copy(file, copied..Stamp::of_file(file)?.size)?;
        draft.replace()?;
        self.committer.ground().indexes.forget(&self.name);
        Ok(())
    }

    /// Takes the right to run the relay on this queue, which one process has at a time; `None` if
    /// another has it. It goes with the value, or with the process.
    pub fn begin_run(&self) -> io::Result<Option<RunLock>> {
        let file = self.committer.ground().files.own_file(RUN_LOCK)?;
        if !lock::try_ofd_lock(&file, OfdLock::Exclusive)? {
            return Ok(None);
        }
        // Its last holder may have removed it between our opening and our locking it.
        let named = self.committer.ground().files.regular(RUN_LOCK)?.map(|stamp| stamp.identity);
        if named != Some(Stamp::of_file(&file)?.identity) {
            return self.begin_run();
        }
        Ok(Some(RunLock { files: Arc::clone(&self.committer.ground().files), _file: file }))
    }
}

/// Marks recipients in the queue file, whose lock is held.
struct Marker<'a> {
    queue: &'a Queue,
    file: &'a File,
}

impl Marker<'_> {
    /// Marks these recipients of an entry as done with, where they are still in such a state.
    fn done<'a>(
        &self,
        entry: &Entry,
        recipients: impl Iterator<Item = &'a str>,
        is_meant: impl Fn(RecipientState) -> bool,
    ) -> Result<(), QueueError> {
        let there = self.queue.find(self.file, entry)?;
        for forward_path in recipients {
            // An operator may have dropped another recipient meanwhile.
            if let Some((letter, state)) = there.letter_of(forward_path)
                && is_meant(state)
            {
                self.file.write_all_at(b"D", there.span.text + letter)?;
            }
        }
        Ok(())
    }
}

/// The right to run the relay on a queue.
#[derive(Debug)]
pub struct RunLock {
    files: Arc<Files>,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Removed while it is still locked, so that whoever locks it next sees that it is gone.
        if let Err(error) = self.files.remove(RUN_LOCK) {
            tracing::warn!("cannot remove {RUN_LOCK}: {error}");
        }
    }
}
