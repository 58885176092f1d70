//! The write-ahead journal of this process. It describes what is about to be appended to which
//! mailbox, and is on disk before the first octet is written to a mailbox.
//!
//! Thus one sync is enough for a batch: a message is acknowledged when its record is on disk and
//! the kernel has its mailbox. A checkpoint later syncs the mailboxes in parallel; then their
//! records are no longer needed. After a crash, [`recovery`] repairs the mailboxes from the
//! records.
//!
//! See docs/files.md 8, and "What a crash leaves" in ARCHITECTURE.md.

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

/// How long an appended message may be on disk in the journal only.
pub const CHECKPOINT_EVERY: Duration = Duration::from_millis(100);

/// How long the journal is kept after the last delivery.
pub const KEPT: Duration = Duration::from_secs(2);

/// Mailboxes synced in parallel.
const SYNCED_AT_ONCE: usize = 16;

/// Maximum number of older journal files that are still needed.
const OLDER_MOST: usize = 16;

/// Octets written again at once after a failed sync.
const WRITTEN_AGAIN_AT_ONCE: u64 = 1024 * 1024;

/// The journal of this process for one directory. Its file exists only while it is needed.
#[derive(Debug)]
pub struct Journal {
    files: Arc<Files>,
    anchor: Arc<Anchor>,
    durability: Durability,
    state: Mutex<Wals>,
    /// Held during a checkpoint, so that there is one at a time.
    checkpoint: Mutex<()>,
    /// Whether a file has been left for recovery since the last
    /// [`has_left_one`](Self::has_left_one).
    has_left: AtomicBool,
}

#[derive(Debug, Default)]
struct Wals {
    current: Option<Wal>,
    /// Earlier files: full of records still needed, or impossible to sync.
    older: Vec<Wal>,
    /// Records of messages that are in their mailboxes but perhaps not yet on disk there.
    appended: Vec<Appended>,
    /// When the last delivery was recorded.
    used: Option<Instant>,
    /// Memory of the last record, for reuse.
    memory: Vec<u8>,
}

/// A record whose messages have been appended to their mailboxes.
#[derive(Debug)]
struct Appended {
    journal: u64,
    number: u64,
    mailboxes: Vec<FileName>,
    /// The smallest size that one of the mailboxes had before.
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
    /// The journal for the directory of `anchor`; there is no file yet.
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

    /// A record of `appends` appends, to be filled.
    #[must_use]
    pub fn draft(&self, appends: usize) -> Draft {
        Draft::new(appends, std::mem::take(&mut self.state().memory))
    }

    /// Writes a record and syncs it; its appends may then begin.
    ///
    /// # Errors
    ///
    /// If the record could not be written or synced. Its appends must not begin, and no recovery
    /// will complete them.
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
        // Full of records of mailboxes that have not been synced, or cannot be.
        self.checkpoint();
        if let Some(entry) = self.state().place(record, &self.files)? {
            return Ok(entry);
        }
        let mut state = self.state();
        if state.older.len() >= OLDER_MOST {
            return Err(io::Error::other("mailboxes cannot be synced; the journals are full"));
        }
        // The full journal is kept for recovery, and another one begun.
        let full = state.current.take();
        state.older.extend(full);
        state.place(record, &self.files)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }

    fn make_durable(&self, entry: &Entry) -> io::Result<()> {
        {
            let mut state = self.state();
            // The first sync of a file also gives it its name: without the name, recovery would not
            // find it.
            let unnamed = state.all().find(|wal| wal.journal == entry.journal && !wal.is_named());
            if let Some(wal) = unnamed {
                return wal.sync(&self.files, self.durability);
            }
        }
        entry.sync(self.durability)
    }

    /// Prevents recovery from completing what a record describes, whether the record reached the
    /// disk or not.
    fn give_up(&self, entry: &Entry) {
        if let Err(error) = entry.set(State::Undone) {
            tracing::error!("cannot mark a journal record as undone: {error}");
        }
        let mut state = self.state();
        state.settle(entry.journal, entry.number);
        // After a failed sync, nothing written to this file can be trusted.
        if state.current.as_ref().is_some_and(|wal| wal.journal == entry.journal) {
            let failed = state.current.take();
            state.older.extend(failed);
        }
    }

    /// Notes that the kernel has everything that a record describes. The appends went to
    /// `mailboxes`, each of which had at least `from` octets before.
    pub fn appended(&self, entry: &Entry, mailboxes: Vec<FileName>, from: u64) {
        // Not synced: the state matters only if the process is killed, and then the kernel has it.
        // After a power failure the mailbox is examined in any case.
        if let Err(error) = entry.set(State::Appended) {
            // Recovery then examines the mailboxes themselves.
            tracing::warn!("cannot mark a journal record as appended: {error}");
        }
        let Entry { journal, number, .. } = *entry;
        let mut state = self.state();
        state.used = Some(Instant::now());
        state.appended.push(Appended { journal, number, mailboxes, from });
    }

    /// Notes on disk that everything a record describes is in synced mailboxes.
    pub fn durable(&self, entry: &Entry) -> io::Result<()> {
        self.end(entry, State::Durable)
    }

    /// Notes on disk that everything a record describes has been undone.
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

    /// Notes on disk which appends of a record could not be undone. When their mailboxes are locked
    /// next, even by this process, the remains are cut off: this journal file is left for recovery,
    /// like that of a dead process.
    pub fn torn(&self, entry: &Entry, appends: &[usize]) {
        let said = entry.set(State::Undone).and_then(|()| {
            appends.iter().try_for_each(|&append| entry.set_one(append, State::Torn))?;
            entry.sync(self.durability)
        });
        if let Err(error) = said {
            tracing::error!("cannot mark a journal record as torn: {error}");
        }
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|wal| wal.journal == entry.journal) {
            // Dropped together with its lock, so that recovery takes it for the journal of a dead
            // process.
            state.current = None;
        }
        state.older.retain(|wal| wal.journal != entry.journal);
        self.has_left.store(true, Ordering::Release);
    }

    /// Whether a file of ours has been left for recovery since the last call.
    pub fn has_left_one(&self) -> bool {
        self.has_left.swap(false, Ordering::AcqRel)
    }

    /// File names of this process's journals.
    #[must_use]
    pub fn own_names(&self) -> Vec<String> {
        self.state().all().map(|wal| wal.name().to_owned()).collect()
    }

    /// Whether a checkpoint would have something to do.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        !self.state().appended.is_empty()
    }

    /// Whether a journal file exists.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.state().all().next().is_some()
    }

    /// Syncs the mailboxes with messages that may be on disk in the journal only, in parallel; then
    /// notes on disk that the journal is no longer needed for them. Call it before replacing a
    /// mailbox by a new file, or recovery might bring removed messages back.
    pub fn checkpoint(&self) {
        // A caller that finds a checkpoint running waits for it: a rewrite must not begin before
        // its mailbox is synced.
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
        // Tried again at the next checkpoint; until then their records stay needed.
        state.appended.extend(failed);
        for one in settled {
            state.settle(one.journal, one.number);
        }
        self.say_what_is_needed(state);
    }

    /// Records which record is the oldest still needed, and removes the journal files that hold
    /// none.
    fn say_what_is_needed(&self, mut state: MutexGuard<'_, Wals>) {
        let (needed, done): (Vec<_>, Vec<_>) = state.older.drain(..).partition(Wal::is_needed);
        state.older = needed;
        let said = state.current.as_mut().map(|wal| wal.write(&mut Finished::checkpoint()));
        // The sync may take long, and deliveries must be able to write records meanwhile.
        drop(state);
        let entry = said.transpose().map(Option::flatten);
        let synced = entry.and_then(|entry| entry.map_or(Ok(()), |e| e.sync(self.durability)));
        if let Err(error) = synced {
            tracing::warn!("cannot record a checkpoint in the journal: {error}");
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

    /// Removes the journal if nothing has been delivered for `unused_for` and no record is needed.
    /// A journal that stayed open would keep the file system from being remounted read-only.
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

    /// Syncs mailboxes; returns those for which that failed.
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
            // If the mailbox was removed, so were its messages.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        let Err(error) = synced else { return true };
        let with_it = appended.iter().filter(|one| one.mailboxes.contains(mailbox));
        let from = with_it.map(|one| one.from).min().unwrap_or(0);
        match self.write_again(mailbox, from) {
            Ok(Some(())) => {
                tracing::warn!(
                    "{mailbox}: synced at the second attempt; the first failed: {error}"
                );
                true
            }
            // Another program has it locked: the next checkpoint tries again.
            Ok(None) => false,
            Err(again) => {
                tracing::error!("{mailbox}: cannot be synced: {again}; check the disk");
                false
            }
        }
    }

    /// Writes the octets of a mailbox from `from` on again, unchanged, and syncs them: the kernel
    /// drops the pages that a failed sync could not write, so the next sync would succeed without
    /// the data being on disk. `None` if another program has it locked.
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
    /// Writes a record to the current journal, which is created if there is none; `None` if it is
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
