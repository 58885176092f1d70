//! The journal of this process: what is about to be appended to which mailbox, on the disk before
//! the first octet of it is in a mailbox.
//!
//! That is what makes one sync do for a batch: a message is acknowledged when the journal has it on
//! the disk and the mailbox has it in the kernel. Mailboxes are synced later, side by side, by a
//! checkpoint; then their records are needed no longer. What a crash left is mended by
//! [`recovery`], from the records.

pub mod first_design;
pub mod mend;
pub mod record;
pub mod recovery;
pub mod torn;
pub mod wal;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::store::anchor::Anchor;
use crate::store::files::{Access, Creation, FileName, Files, Stamp};
use crate::store::ground::Durability;
use crate::store::journal::record::{Draft, Finished, State};
use crate::store::journal::wal::{Entry, Wal};
use crate::store::lock::{self, Attempt, Purpose};

/// How long a message may be in the journal only.
pub const CHECKPOINT_EVERY: Duration = Duration::from_millis(100);

/// How long the journal is kept after the last delivery.
pub const KEPT: Duration = Duration::from_secs(2);

/// Mailboxes that are synced at once.
const SYNCED_AT_ONCE: usize = 16;

/// Journals that have been given up and are still needed, at most.
const OLDER_MOST: usize = 16;

/// Octets that are written again at once where a sync has failed.
const WRITTEN_AGAIN_AT_ONCE: u64 = 1024 * 1024;

/// The journal of this process for one directory. There is a file only while it is needed.
#[derive(Debug)]
pub struct Journal {
    files: Arc<Files>,
    anchor: Arc<Anchor>,
    durability: Durability,
    state: Mutex<Wals>,
    /// Held during a checkpoint.
    checkpoint: Mutex<()>,
    /// Whether a file has been left to be recovered from.
    has_left: AtomicBool,
}

#[derive(Debug, Default)]
struct Wals {
    current: Option<Wal>,
    /// Those that were full of what is needed, or could not be synced.
    older: Vec<Wal>,
    /// What is in mailboxes and may not be on the disk there.
    appended: Vec<Appended>,
    used: Option<Instant>,
    /// Of the last record, to be used again.
    memory: Vec<u8>,
}

/// A record whose messages are in their mailboxes.
#[derive(Debug)]
struct Appended {
    journal: u64,
    number: u64,
    mailboxes: Vec<FileName>,
    /// The least size that one of them had before.
    from: u64,
}

impl Wals {
    fn all(&mut self) -> impl Iterator<Item = &mut Wal> {
        self.older.iter_mut().chain(&mut self.current)
    }

    fn settle(&mut self, journal: u64, number: u64) {
        for wal in self.all().filter(|wal| wal.journal == journal) {
            wal.settle(|other| other == number);
        }
    }
}

impl Journal {
    /// The journal for the directory in which `anchor` is; there is no file yet.
    #[must_use]
    pub fn new(anchor: &Arc<Anchor>, durability: Durability) -> Self {
        Self {
            files: Arc::clone(anchor.files()),
            anchor: Arc::clone(anchor),
            durability,
            state: Mutex::default(),
            checkpoint: Mutex::default(),
            has_left: AtomicBool::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Wals> {
        self.state.lock()
    }

    /// A record of so many appends, to be filled.
    #[must_use]
    pub fn draft(&self, appends: usize) -> Draft {
        Draft::new(appends, std::mem::take(&mut self.state().memory))
    }

    /// Writes a record and makes it durable: its appends may begin. On an error they must not, and
    /// nobody will ever complete them.
    pub fn write(&self, draft: Draft) -> io::Result<Entry> {
        let mut record = draft.finish();
        let entry = self.place(&mut record)?;
        let synced = self.make_durable(&entry);
        self.state().memory = record.into_memory();
        if let Err(error) = synced {
            self.give_up(&entry);
            return Err(error);
        }
        Ok(entry)
    }

    fn place(&self, record: &mut Finished) -> io::Result<Entry> {
        if let Some(entry) = self.state().place(record, &self.files)? {
            return Ok(entry);
        }
        // Full of what has not been synced elsewhere, or of what cannot be yet.
        self.checkpoint();
        if let Some(entry) = self.state().place(record, &self.files)? {
            return Ok(entry);
        }
        let mut state = self.state();
        if state.older.len() >= OLDER_MOST {
            return Err(io::Error::other("mailboxes cannot be synced; the journals are full"));
        }
        let full = state.current.take();
        state.older.extend(full);
        state.place(record, &self.files)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }

    fn make_durable(&self, entry: &Entry) -> io::Result<()> {
        {
            let mut state = self.state();
            let unnamed = state.all().find(|wal| wal.journal == entry.journal && !wal.is_named());
            if let Some(wal) = unnamed {
                return wal.sync(&self.files, self.durability);
            }
        }
        entry.sync(self.durability)
    }

    /// Makes sure that nobody completes what a record describes, which may be on the disk or not.
    fn give_up(&self, entry: &Entry) {
        if let Err(error) = entry.set(State::Undone) {
            tracing::error!("cannot take a record of the journal back: {error}");
        }
        let mut state = self.state();
        state.settle(entry.journal, entry.number);
        // Nothing that is written to it can be trusted any more.
        if state.current.as_ref().is_some_and(|wal| wal.journal == entry.journal) {
            let failed = state.current.take();
            state.older.extend(failed);
        }
    }

    /// Says that the kernel has all that a record describes, in these mailboxes, none of which was
    /// smaller than `from`.
    pub fn appended(&self, entry: &Entry, mailboxes: Vec<FileName>, from: u64) {
        if let Err(error) = entry.set(State::Appended) {
            // Then whoever comes after a crash looks at the mailboxes.
            tracing::warn!("the journal does not say that its messages are stored: {error}");
        }
        let Entry { journal, number, .. } = *entry;
        let mut state = self.state();
        state.used = Some(Instant::now());
        state.appended.push(Appended { journal, number, mailboxes, from });
    }

    /// Says, durably, that all that a record describes is on the disk, in synced mailboxes.
    pub fn durable(&self, entry: &Entry) -> io::Result<()> {
        self.end(entry, State::Durable)
    }

    /// Says, durably, that all that a record describes has been taken back.
    pub fn undone(&self, entry: &Entry) -> io::Result<()> {
        self.end(entry, State::Undone)
    }

    fn end(&self, entry: &Entry, how: State) -> io::Result<()> {
        entry.set(how)?;
        entry.sync(self.durability)?;
        let mut state = self.state();
        state.used = Some(Instant::now());
        state.settle(entry.journal, entry.number);
        Ok(())
    }

    /// Says, durably, which appends of a record could not be taken back. Whoever locks their
    /// mailboxes next, in this process too, cuts off what is there of them: the journal is left to
    /// them as that of a dead process is.
    pub fn torn(&self, entry: &Entry, appends: &[usize]) {
        let said = entry.set(State::Undone).and_then(|()| {
            appends.iter().try_for_each(|&append| entry.set_one(append, State::Torn))?;
            entry.sync(self.durability)
        });
        if let Err(error) = said {
            tracing::error!("the journal cannot say what could not be taken back: {error}");
        }
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|wal| wal.journal == entry.journal) {
            state.current = None;
        }
        state.older.retain(|wal| wal.journal != entry.journal);
        self.has_left.store(true, Ordering::Release);
    }

    /// Whether, since the last call, a file of ours has been left to be recovered from.
    pub fn has_left_one(&self) -> bool {
        self.has_left.swap(false, Ordering::AcqRel)
    }

    /// The names of this process's journals.
    #[must_use]
    pub fn own_names(&self) -> Vec<String> {
        self.state().all().map(|wal| wal.name().to_owned()).collect()
    }

    /// Whether a checkpoint would find something to do.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        !self.state().appended.is_empty()
    }

    /// Whether there is a file.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.state().all().next().is_some()
    }

    /// Syncs the mailboxes whose messages may be in the journal only, side by side, and then says
    /// in the journal, durably, that they need it no longer. Whoever writes a new file in a
    /// mailbox's place calls it first, so that nothing that is removed comes back.
    pub fn checkpoint(&self) {
        let _one_at_a_time = self.checkpoint.lock();
        let appended = std::mem::take(&mut self.state().appended);
        if appended.is_empty() {
            return;
        }
        let mailboxes: BTreeSet<&FileName> =
            appended.iter().flat_map(|one| &one.mailboxes).collect();
        let failed = match self.durability {
            Durability::Synced => self.sync_mailboxes(&mailboxes, &appended),
            Durability::Unsynced => BTreeSet::new(),
        };
        let (failed, settled): (Vec<_>, Vec<_>) =
            appended.into_iter().partition(|one| one.mailboxes.iter().any(|m| failed.contains(m)));
        let mut state = self.state();
        state.appended.extend(failed);
        for one in settled {
            state.settle(one.journal, one.number);
        }
        self.say_what_is_needed(state);
    }

    /// Writes down which record is the first that is needed, and lets go of journals of which none
    /// is.
    fn say_what_is_needed(&self, mut state: MutexGuard<'_, Wals>) {
        let (needed, done): (Vec<_>, Vec<_>) = state.older.drain(..).partition(Wal::is_needed);
        state.older = needed;
        let said = state.current.as_mut().map(|wal| wal.write(&mut Finished::checkpoint()));
        drop(state);
        let entry = said.transpose().map(Option::flatten);
        let synced = entry.and_then(|entry| entry.map_or(Ok(()), |e| e.sync(self.durability)));
        if let Err(error) = synced {
            tracing::warn!("the journal does not say what it is no longer needed for: {error}");
        }
        for wal in done {
            self.remove(wal);
        }
    }

    fn remove(&self, wal: Wal) {
        if let Err(error) = wal.remove(&self.files) {
            tracing::warn!("cannot remove a journal: {error}");
        }
    }

    /// Removes the journal if nothing has been delivered for so long, and nothing needs it.
    pub fn retire(&self, unused_for: Duration) {
        let mut state = self.state();
        let is_unused = state.used.is_none_or(|used| used.elapsed() >= unused_for);
        if is_unused && state.current.as_ref().is_some_and(|wal| !wal.is_needed()) {
            let unused = state.current.take();
            state.memory = Vec::new();
            drop(state);
            if let Some(wal) = unused {
                self.remove(wal);
            }
        }
    }

    /// Syncs mailboxes; which of them could not be.
    fn sync_mailboxes(
        &self,
        mailboxes: &BTreeSet<&FileName>,
        appended: &[Appended],
    ) -> BTreeSet<FileName> {
        let mailboxes: Vec<&FileName> = mailboxes.iter().copied().collect();
        let sync = |share: &[&FileName]| -> Vec<FileName> {
            let failed = share.iter().filter(|mailbox| !self.sync_mailbox(mailbox, appended));
            failed.map(|&mailbox| Arc::clone(mailbox)).collect()
        };
        let share = mailboxes.len().div_ceil(SYNCED_AT_ONCE).max(1);
        let mut shares = mailboxes.chunks(share);
        let mine = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = shares.map(|share| scope.spawn(|| sync(share))).collect();
            let mut failed: BTreeSet<FileName> = sync(mine).into_iter().collect();
            for other in others {
                failed.extend(other.join().unwrap_or_default());
            }
            failed
        })
    }

    fn sync_mailbox(&self, mailbox: &FileName, appended: &[Appended]) -> bool {
        let synced = match self.files.open_file(mailbox, Access::Read, Creation::Never) {
            Ok(file) => file.sync_data(),
            // Whoever has removed it has removed what was in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        let Err(error) = synced else { return true };
        let with_it = appended.iter().filter(|one| one.mailboxes.contains(mailbox));
        let from = with_it.map(|one| one.from).min().unwrap_or(0);
        match self.write_again(mailbox, from) {
            Ok(Some(())) => {
                tracing::warn!("{mailbox}: synced at the second attempt: {error}");
                true
            }
            // Another program has it locked: another time.
            Ok(None) => false,
            Err(again) => {
                tracing::error!("{mailbox}: cannot be synced: {again}; check the disk");
                false
            }
        }
    }

    /// Writes the octets of a mailbox from `from` on once more, as they are, and syncs them: what a
    /// failed sync could not write the kernel has forgotten, so that the next one would succeed
    /// without anything being on the disk.
    fn write_again(&self, mailbox: &FileName, from: u64) -> io::Result<Option<()>> {
        let locked = match lock::try_lock(&self.anchor, mailbox, Purpose::Write)? {
            Attempt::Locked(locked) => locked,
            Attempt::Busy => return Ok(None),
            Attempt::Missing => return Ok(Some(())),
        };
        let file = locked.file();
        let size = Stamp::of_file(file)?.size;
        let mut at = from;
        while at < size {
            let length = (size - at).min(WRITTEN_AGAIN_AT_ONCE);
            let mut octets = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut octets, at)?;
            file.write_all_at(&octets, at)?;
            at += length;
        }
        file.sync_data().map(Some)
    }
}

impl Wals {
    /// Writes a record to the current journal, which is made if there is none; `None` if that is
    /// full.
    fn place(&mut self, record: &mut Finished, files: &Files) -> io::Result<Option<Entry>> {
        if self.current.as_ref().is_some_and(Wal::has_failed) {
            let failed = self.current.take();
            self.older.extend(failed);
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Wal::create(files)?),
        };
        current.write_live(record)
    }
}
