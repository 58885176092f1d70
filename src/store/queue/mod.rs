//! The relay queue: an mbox file in which each message carries its envelope and delivery state.
//!
//! See docs/files.md 5.

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

pub use crate::store::queue::block::{
    Block, Client, Ended, Recipient, RemoteRecipient, Tried, new_block,
};
pub use crate::store::queue::entry::Entry;

/// File that a relay run keeps locked, so that there is only one at a time.
const RUN_LOCK: &str = ".mqueue.relay";

/// How long the file is still waited for after the program was told to stop.
const GRACE: Duration = Duration::from_millis(300);

/// The recipients of the messages at `spans`, as a list shows them; at most `most`.
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
        parameters: format!("{}{}", block.parameters, recipient.dsn).trim_start().to_owned(),
        next_attempt: (recipient.next_attempt > 0).then(|| at(recipient.next_attempt)).flatten(),
    }
}

/// The relay queue of a directory.
///
/// No lock is held while the relay waits for the network: a run takes a list of the entries, and
/// later reports the results by entry id. What is queued in the meantime stays.
#[derive(Debug, Clone)]
pub struct Queue {
    committer: Arc<Committer>,
    name: FileName,
    /// Finds entries that are not where they were. Shared among clones.
    places: Arc<Mutex<Option<Places>>>,
    /// Ends all waiting for other programs.
    stop: CancellationToken,
}

/// Why the queue could not be read or changed. It is unchanged then.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another program has held the lock for 30 s.
    #[error("another program keeps the relay queue locked")]
    Busy,
    /// The file is not an mbox; it is left unchanged.
    #[error("the relay queue is {0}")]
    NotMbox(NotMbox),
    /// Something that is not a regular file has its name.
    #[error("the relay queue is not a regular file: something else has the name {QUEUE_FILE}")]
    NotRegular,
    /// The entry is no longer in the queue.
    #[error("the entry is no longer in the relay queue")]
    Gone,
    /// The operating system reported an error.
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

/// The result of editing an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It stays as it is in the file.
    Unchanged,
    /// Its block was changed.
    Changed,
    /// It must be removed, with its message.
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

    /// The same queue, which stops waiting for other programs shortly after `stop` is cancelled.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The entries as they are now, in the order of the file. Messages without an envelope are left
    /// out.
    pub async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let queue = self.clone();
        let list = move |locked: LockedFile| queue.list(locked.file());
        match self.locked(Purpose::Read, list).await {
            Ok(listed) => listed,
            Err(LockError::Missing) => self.nothing(),
            Err(error) => Err(error.into()),
        }
    }

    /// No entries: a missing queue file means that nothing was ever queued.
    fn nothing<T>(&self) -> Result<Vec<T>, QueueError> {
        if self.committer.ground().files.is_irregular(QUEUE_FILE)? {
            Err(QueueError::NotRegular)
        } else {
            Ok(Vec::new())
        }
    }

    /// Runs `work` on the file once it is locked.
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

    /// Opens the text of an entry, as it was sent. The text stays the same while it is read, even
    /// if the queue is rewritten in the meantime.
    pub async fn text(&self, entry: &Entry) -> Result<MessageReader, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let open = move |locked: LockedFile| {
            let entry = queue.find(locked.file(), &entry)?;
            // A descriptor of its own outlives the lock, and a rewrite leaves the old file to it.
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

    /// Marks recipients of an entry, given by index, as delivered: one small write for each, and
    /// one sync. Call it right after the remote host's 250: if the machine dies before the mark is
    /// written, the message is sent again.
    pub async fn mark_delivered(
        &self,
        entry: &Entry,
        recipients: Vec<usize>,
    ) -> Result<(), QueueError> {
        self.mark_as(DONE, entry, recipients).await
    }

    /// As [`mark_delivered`](Self::mark_delivered), for recipients whose sender must still be
    /// notified of the delivery: they stay until [`mark_told`](Self::mark_told).
    pub async fn mark_relayed(
        &self,
        entry: &Entry,
        recipients: Vec<usize>,
    ) -> Result<(), QueueError> {
        self.mark_as(RELAYED, entry, recipients).await
    }

    async fn mark_as(
        &self,
        letter: Letter,
        entry: &Entry,
        recipients: Vec<usize>,
    ) -> Result<(), QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let mark = move |locked: LockedFile| {
            let of_entry = entry.block.recipients.iter();
            let mut done = of_entry.enumerate().filter(|(nth, _)| recipients.contains(nth));
            let done = done.by_ref().map(|(_, recipient)| recipient.forward_path.as_str());
            queue.mark(locked.file(), |mark| mark.with(letter, &entry, done, |_| true))
        };
        self.locked(Purpose::Write, mark).await?
    }

    /// Marks failed and relayed recipients of several entries as done, because their senders have
    /// been notified. One sync for all. Recipients that have been retried in the meantime, or are gone,
    /// are left alone.
    pub async fn mark_told(&self, told: Vec<(Arc<Entry>, Vec<String>)>) -> Result<(), QueueError> {
        let queue = self.clone();
        let mark = move |locked: LockedFile| {
            queue.mark(locked.file(), |mark| {
                // What was delivered is done, whether its sender was to be notified or not.
                let ends =
                    |state| matches!(state, RecipientState::Failed | RecipientState::Delivered);
                for (entry, recipients) in &told {
                    match mark.with(DONE, entry, recipients.iter().map(String::as_str), ends) {
                        // If an operator has dropped the entry, there is nothing to mark.
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
        // Even after an error: some of the marks may have been written.
        self.committer.ground().durability.sync(file)?;
        // The marks move nothing, so the index is still right.
        self.committer.ground().indexes.appended(&self.name, before, Stamp::of_file(file)?);
        marked
    }

    /// The entry as it is now: an operator may have changed it since it was listed.
    pub async fn now(&self, entry: &Entry) -> Result<Entry, QueueError> {
        let (queue, entry) = (self.clone(), entry.clone());
        let find = move |locked: LockedFile| queue.find(locked.file(), &entry);
        self.locked(Purpose::Read, find).await?
    }

    /// Finds the entry, which is usually where it was.
    fn find(&self, file: &File, entry: &Entry) -> Result<Entry, QueueError> {
        let id = &entry.block.id;
        if let Some(there) = entry.place().entry(id, file) {
            return Ok(there);
        }
        let mut places = self.places.lock();
        find_by_id(id, file, &mut places)?.ok_or(QueueError::Gone)
    }

    /// Passes the block of every entry to `edit`, in one pass. If any was changed, a new file
    /// replaces the queue. Returns the remaining blocks.
    pub async fn edit(
        &self,
        mut edit: impl FnMut(&mut Block) -> Edit + Send + 'static,
    ) -> Result<Vec<Block>, QueueError> {
        self.edit_entries(move |entry| edit(&mut entry.block)).await
    }

    /// As [`edit`](Self::edit), with the whole entries.
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
        // Entries have moved, so the new file must be scanned.
        self.committer.ground().indexes.forget(&self.name);
        Ok(())
    }

    /// Takes the right to run the relay on this queue; `None` if another process has it. It is
    /// released with the value, or with the process.
    pub fn begin_run(&self) -> io::Result<Option<RunLock>> {
        let file = self.committer.ground().files.own_file(RUN_LOCK)?;
        if !lock::try_ofd_lock(&file, OfdLock::Exclusive)? {
            return Ok(None);
        }
        // Its last holder may have removed it after we opened it and before we locked it.
        let named = self.committer.ground().files.regular(RUN_LOCK)?.map(|stamp| stamp.identity);
        if named != Some(Stamp::of_file(&file)?.identity) {
            return self.begin_run();
        }
        Ok(Some(RunLock { files: Arc::clone(&self.committer.ground().files), _file: file }))
    }
}

/// The octet that stands for the state of a recipient.
type Letter = u8;

const DONE: Letter = b'D';
const RELAYED: Letter = b'R';

/// Marks recipients in the queue file, whose lock is held.
struct Marker<'a> {
    queue: &'a Queue,
    file: &'a File,
}

impl Marker<'_> {
    /// Marks recipients of an entry with this letter if they are still in a state for which
    /// `is_meant` returns `true`.
    fn with<'a>(
        &self,
        mark: Letter,
        entry: &Entry,
        recipients: impl Iterator<Item = &'a str>,
        is_meant: impl Fn(RecipientState) -> bool,
    ) -> Result<(), QueueError> {
        let there = self.queue.find(self.file, entry)?;
        for forward_path in recipients {
            // An operator may have dropped the recipient in the meantime.
            if let Some((letter, state)) = there.letter_of(forward_path)
                && is_meant(state)
            {
                // A single octet is either old or new after a power failure.
                self.file.write_all_at(&[mark], there.span.text + letter)?;
            }
        }
        Ok(())
    }
}

/// The right to run the relay on a queue, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    files: Arc<Files>,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Removed while it is still locked, so that the next process to lock it notices that it is
        // gone.
        if let Err(error) = self.files.remove(RUN_LOCK) {
            tracing::warn!("cannot remove {RUN_LOCK}: {error}");
        }
    }
}
