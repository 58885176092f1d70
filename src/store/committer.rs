//! Work on the files of a directory, one user of a file at a time: deliveries, gathered so that
//! many of them share one write and one sync, and whatever else needs a file locked.
//!
//! Inside this process nobody polls: [`turns`](crate::store::turns) says who is next. Against
//! other processes there are the locks of [`crate::store::lock`], which can only be tried
//! again; only those who want that very file wait.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::store::append;
use crate::store::delivery::{DeliverError, Delivery};
use crate::store::files::FileName;
use crate::store::ground::{Ground, QUEUE_FILE};
use crate::store::journal::{self, Journal, Recovered};
use crate::store::lock::{self, Attempt, LockedFile, Purpose};
use crate::store::turns::{Batch, Size, Start, Turns, Waiting};

/// How long a foreign lock is waited for.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Between two attempts to lock, at random, so that two who wait do not meet again and again.
const RETRY_MILLISECONDS: Range<u64> = 10..40;

/// How long the locks are kept while more and more deliveries arrive; then other programs must
/// have their chance.
const BURST: Duration = Duration::from_millis(100);

/// How long a journal is kept for the next delivery.
const JOURNAL_KEPT: Duration = Duration::from_secs(1);

/// The queue of those who want to work on the files of a directory.
#[derive(Debug)]
pub struct Committer {
    ground: Ground,
    journals: Journals,
    turns: Mutex<Turns<oneshot::Sender<Turn>>>,
}

/// The right to be the only one in this process who works on a file; passed on when dropped.
#[derive(Debug)]
pub struct Turn {
    committer: Arc<Committer>,
    file: FileName,
}

impl Drop for Turn {
    fn drop(&mut self) {
        release(&self.committer, [&self.file], None);
    }
}

/// Why a file could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another program has it locked: for [`LOCK_WAIT`], or at all if nobody was to wait.
    #[error("another program keeps it locked")]
    Busy,
    /// There is no regular file of that name.
    #[error("there is no such mailbox")]
    Missing,
    /// The system says why.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Hands a delivery over; its answer comes through its own channel, when it is on disk.
pub fn deliver(committer: &Arc<Committer>, delivery: Delivery) {
    enter(committer, Waiting::Delivery(delivery));
}

/// Locks a file and does `work` with it, away from the async threads.
pub async fn with_locked<R: Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    let mut work = work;
    let since = Instant::now();
    loop {
        match attempt(committer, file, purpose, work).await? {
            Tried::Done(result) => return Ok(result),
            Tried::Busy(_) if since.elapsed() > LOCK_WAIT => return Err(LockError::Busy),
            Tried::Busy(again) => work = again,
        }
        tokio::time::sleep(retry_delay()).await;
    }
}

/// As [`with_locked`], but other programs are not waited for.
pub async fn with_locked_at_once<R: Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    match attempt(committer, file, purpose, work).await? {
        Tried::Done(result) => Ok(result),
        Tried::Busy(_) => Err(LockError::Busy),
    }
}

/// What came of one attempt: a result, or the work that could not be done yet.
enum Tried<R, W> {
    Done(R),
    Busy(W),
}

async fn attempt<R: Send + 'static, W: FnOnce(LockedFile) -> R + Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    work: W,
) -> Result<Tried<R, W>, LockError> {
    let turn = turn(committer, file).await;
    let tried =
        tokio::task::spawn_blocking(move || match acquire(&turn.committer, &turn.file, purpose)? {
            Attempt::Locked(locked) => Ok(Tried::Done(work(locked))),
            Attempt::Busy => Ok(Tried::Busy(work)),
            Attempt::Missing => Err(LockError::Missing),
        });
    tried.await.map_err(io::Error::other)?
}

/// Tries to lock a file, and repairs what a crash left of it.
fn acquire(committer: &Arc<Committer>, file: &str, purpose: Purpose) -> io::Result<Attempt> {
    let attempt = lock::try_lock(&committer.ground.anchor, file, purpose)?;
    let Attempt::Locked(locked) = attempt else { return Ok(attempt) };
    match journal::recover(&committer.ground.files, file, &locked) {
        Ok(Recovered::Whole) => Ok(Attempt::Locked(locked)),
        Ok(Recovered::Replaced) => Ok(Attempt::Busy),
        // What cannot be repaired can still be read.
        Err(_) if purpose == Purpose::Read => Ok(Attempt::Locked(locked)),
        Err(error) => Err(error),
    }
}

/// Until the file is ours, inside this process.
async fn turn(committer: &Arc<Committer>, file: &FileName) -> Turn {
    loop {
        let (ready, turn) = oneshot::channel();
        enter(committer, Waiting::Turn(Arc::clone(file), ready));
        // The sender is dropped unanswered only if nobody can answer any more.
        if let Ok(turn) = turn.await {
            return turn;
        }
    }
}

fn enter(committer: &Arc<Committer>, waiting: Waiting<oneshot::Sender<Turn>>) {
    let start = committer.lock().enter(waiting);
    if let Some(start) = start {
        run(committer, start);
    }
}

fn release<'a>(
    committer: &Arc<Committer>,
    files: impl IntoIterator<Item = &'a FileName>,
    size: Option<Size>,
) {
    let starts = committer.lock().leave(files, size);
    for start in starts {
        run(committer, start);
    }
}

impl Committer {
    /// Nobody works on the files yet.
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        Self { ground, journals: Journals::default(), turns: Mutex::default() }
    }

    /// What the work stands on.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    fn lock(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Turn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(committer: &Arc<Committer>, start: Start<oneshot::Sender<Turn>>) {
    let committer = Arc::clone(committer);
    match start {
        // Who no longer listens drops the turn at once, and the next one gets it.
        Start::Turn(file, ready) => drop(ready.send(Turn { committer, file })),
        Start::Batch(batch) => drop(tokio::task::spawn_blocking(move || write(&committer, batch))),
    }
}

/// Writes a batch and what arrives for its files meanwhile.
fn write(committer: &Arc<Committer>, batch: Batch) {
    let Batch { files, deliveries, size, .. } = batch;
    let _released = Release { committer, files: &files, size };
    let Locks { ours, busy, failed } = lock_all(committer, &files);
    let mut deliveries = deliveries;
    for (file, why) in failed {
        let (lost, others) = deliveries.into_iter().partition(|one| one.goes_to(&file));
        append::refuse(lost, &why);
        deliveries = others;
    }
    let is_blocked = |one: &Delivery| busy.iter().any(|file| one.goes_to(file));
    let (later, now) = deliveries.into_iter().partition(is_blocked);
    try_again_later(committer, later);
    write_locked(committer, now, ours, size);
}

/// Passes the files on, also should writing panic.
struct Release<'a> {
    committer: &'a Arc<Committer>,
    files: &'a BTreeSet<FileName>,
    size: Size,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        release(self.committer, self.files, Some(self.size));
    }
}

/// What came of locking the files of a batch. Missing files are in none of these: deliveries to
/// them fail.
#[derive(Default)]
struct Locks {
    ours: append::Locked,
    busy: HashSet<FileName>,
    failed: HashMap<FileName, DeliverError>,
}

/// Locks the files in the order of their names. One that fails does not concern mail for others.
fn lock_all(committer: &Arc<Committer>, files: &BTreeSet<FileName>) -> Locks {
    let mut locks = Locks::default();
    for file in files {
        let (purpose, file) = (purpose_of_writing(file), Arc::clone(file));
        match acquire(committer, &file, purpose) {
            Ok(Attempt::Locked(one)) => drop(locks.ours.insert(file, one)),
            Ok(Attempt::Busy) => drop(locks.busy.insert(file)),
            Ok(Attempt::Missing) => {}
            Err(error) => {
                tracing::error!("{file}: a delivery failed: {error}");
                locks.failed.insert(file, error.into());
            }
        }
    }
    locks
}

fn purpose_of_writing(file: &FileName) -> Purpose {
    if **file == *QUEUE_FILE { Purpose::Create } else { Purpose::Write }
}

fn write_locked(
    committer: &Arc<Committer>,
    deliveries: Vec<Delivery>,
    locked: append::Locked,
    size: Size,
) {
    let since = Instant::now();
    let files: BTreeSet<FileName> = locked.keys().map(Arc::clone).collect();
    // There is one writer of small batches at a time, which gets the journal of the one before.
    let kept = if size == Size::Small { committer.journals.take() } else { None };
    let mut writer = append::Writer::new(&committer.ground, locked, kept);
    let mut answers = writer.write(deliveries);
    while size == Size::Small && since.elapsed() < BURST {
        let more = committer.lock().more_for(&files);
        if more.is_empty() {
            break;
        }
        answers.give();
        answers = writer.write(more);
    }
    // Whoever is told what became of a message finds no lock beside it.
    if size == Size::Small && committer.ground.anchor.is_busy() {
        keep_journal(committer, writer.finish(), files);
    } else {
        writer.remove_journal();
    }
    answers.give();
}

/// Puts deliveries back after a pause; those that have waited too long fail.
fn try_again_later(committer: &Arc<Committer>, deliveries: Vec<Delivery>) {
    let (late, waiting): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|delivery| delivery.since.elapsed() > LOCK_WAIT);
    append::refuse(late, &DeliverError::Busy);
    if waiting.is_empty() {
        return;
    }
    let committer = Arc::clone(committer);
    tokio::spawn(async move {
        tokio::time::sleep(retry_delay()).await;
        for delivery in waiting {
            deliver(&committer, delivery);
        }
    });
}

fn retry_delay() -> Duration {
    let random = RandomState::new().hash_one(0);
    let Range { start, end } = RETRY_MILLISECONDS;
    Duration::from_millis(start + random % (end - start))
}

/// The journal that is kept for the next delivery, and beside which mailboxes it has stood.
#[derive(Debug, Default)]
pub struct Journals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    journal: Option<Journal>,
    /// When it was last of use to each mailbox.
    used: HashMap<FileName, Instant>,
    /// Whether somebody is on the way to remove what is no longer of use.
    sweeping: bool,
}

impl Journals {
    fn take(&self) -> Option<Journal> {
        self.lock().journal.take()
    }

    /// The mailboxes to which it has not been of use for so long, and when it last was.
    fn unused_for(&self, age: Duration) -> Vec<(FileName, Instant)> {
        let kept = self.lock();
        let unused = kept.used.iter().filter(|(_, used)| used.elapsed() >= age);
        unused.map(|(file, used)| (Arc::clone(file), *used)).collect()
    }

    /// Forgets a mailbox, unless the journal has been of use to it since.
    fn forget(&self, file: &FileName, used: Instant) {
        let mut kept = self.lock();
        if kept.used.get(file) == Some(&used) {
            kept.used.remove(file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_journal(committer: &Arc<Committer>, journal: Option<Journal>, files: BTreeSet<FileName>) {
    let now = Instant::now();
    let mut kept = committer.journals.lock();
    kept.journal = journal;
    kept.used.extend(files.into_iter().map(|file| (file, now)));
    if !kept.sweeping {
        kept.sweeping = true;
        tokio::spawn(sweep(Arc::clone(committer)));
    }
}

/// Removes journals once they are no longer of use. There is one such task at a time, and none
/// while there are no journals.
async fn sweep(committer: Arc<Committer>) {
    loop {
        tokio::time::sleep(JOURNAL_KEPT).await;
        remove_journals(&committer, JOURNAL_KEPT).await;
        let mut kept = committer.journals.lock();
        if kept.used.is_empty() {
            kept.sweeping = false;
            // Without a name it is of no more use, and a file open for writing keeps the file
            // system from being remounted read-only.
            kept.journal = None;
            return;
        }
    }
}

/// Removes the journals beside mailboxes to which they have not been of use for so long.
pub async fn remove_journals(committer: &Arc<Committer>, unused_for: Duration) {
    for (file, used) in committer.journals.unused_for(unused_for) {
        let (files, name) = (Arc::clone(&committer.ground.files), Arc::clone(&file));
        let remove = move |_locked| journal::remove(&files, &name);
        let removed = match with_locked_at_once(committer, &file, Purpose::Write, remove).await {
            Ok(removed) => removed,
            // Without a mailbox there is nothing to recover.
            Err(LockError::Missing) => journal::remove(&committer.ground.files, &file),
            // Another time.
            Err(LockError::Busy) => continue,
            Err(LockError::Io(error)) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!("{file}: cannot remove the journal: {error}");
        }
        committer.journals.forget(&file, used);
    }
}
