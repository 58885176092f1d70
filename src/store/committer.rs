//! Who may work on which file of the directory, and when; and deliveries, gathered so that many
//! of them share one write and one sync.
//!
//! Inside this process each file has one user at a time, in the order they came: nobody polls.
//! Deliveries that wait for a file are written together by whoever gets it next (group commit).
//! Against other processes there are the locks of [`lock`](crate::store::lock), which can only be
//! tried again; only those who want that very file wait.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::store::append::{self, DeliverError, Delivery};
use crate::store::directory::Shared;
use crate::store::journal::{self, Recovered};
use crate::store::lock::{self, Attempt, LockedFile, Purpose};

/// How long a foreign lock is waited for.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Between two attempts to lock: 10 to 40 ms, at random, so that two who wait do not meet again
/// and again.
const RETRY_MILLISECONDS: std::ops::Range<u64> = 10..40;

/// Deliveries written together at most.
const BATCH_MOST: usize = 1_000;

/// Octets written together at most.
const BATCH_OCTETS_MOST: u64 = 16 * 1024 * 1024;

/// Octets from which on a delivery is written by itself, so that small ones need not wait for it.
const LARGE: u64 = 512 * 1024;

/// Batches of small deliveries that are written at once. Few, so that while one is being synced
/// the next grows: a sync costs the same for one message and for a hundred.
const WRITERS_MOST: usize = 1;

/// How long a journal is kept for the next delivery.
const JOURNAL_KEPT: Duration = Duration::from_secs(1);

/// How long the locks are kept while more and more deliveries arrive; then other programs must
/// have their chance.
const BURST: Duration = Duration::from_millis(100);

/// A file of the directory, by its name.
pub type FileName = Arc<str>;

/// The queue of those who want to work on files.
#[derive(Debug, Default)]
pub struct Committer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    busy: HashSet<FileName>,
    waiting: VecDeque<Waiting>,
    /// How many of those waiting want each file.
    wanted: HashMap<FileName, usize>,
    /// Batches of small deliveries that are being written.
    writers: usize,
}

#[derive(Debug)]
enum Waiting {
    Delivery(Delivery),
    Turn(FileName, oneshot::Sender<Turn>),
}

impl Waiting {
    /// Whether it is a delivery that may share a batch with others.
    fn is_small(&self) -> bool {
        matches!(self, Self::Delivery(delivery) if delivery.octets() < LARGE)
    }

    fn files(&self) -> impl Iterator<Item = &FileName> {
        let (files, one) = match self {
            Self::Delivery(delivery) => (delivery.files(), None),
            Self::Turn(file, _) => (&[][..], Some(file)),
        };
        files.iter().map(|part| &part.file).chain(one)
    }
}

/// The right to be the only one in this process who works on a file; passed on when dropped.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<Shared>,
    file: FileName,
}

impl Drop for Turn {
    fn drop(&mut self) {
        release(&self.shared, [&self.file], 0);
    }
}

/// What [`with_locked`] could not do.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another program has had the file locked for [`LOCK_WAIT`].
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
pub fn deliver(shared: &Arc<Shared>, delivery: Delivery) {
    enqueue(shared, Waiting::Delivery(delivery));
}

/// Locks a file and does `work` with it, away from the async threads.
pub async fn with_locked<R: Send + 'static>(
    shared: &Arc<Shared>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    let mut work = work;
    let since = Instant::now();
    loop {
        match attempt(shared, file, purpose, work).await? {
            Tried::Done(result) => return Ok(result),
            Tried::Busy(_) if since.elapsed() > LOCK_WAIT => return Err(LockError::Busy),
            Tried::Busy(again) => work = again,
        }
        tokio::time::sleep(retry_delay()).await;
    }
}

/// As [`with_locked`], but other programs are not waited for.
pub async fn with_locked_at_once<R: Send + 'static>(
    shared: &Arc<Shared>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    match attempt(shared, file, purpose, work).await? {
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
    shared: &Arc<Shared>,
    file: &FileName,
    purpose: Purpose,
    work: W,
) -> Result<Tried<R, W>, LockError> {
    let turn = turn(shared, file).await;
    let tried =
        tokio::task::spawn_blocking(move || match acquire(&turn.shared, &turn.file, purpose)? {
            Attempt::Locked(locked) => Ok(Tried::Done(work(locked))),
            Attempt::Busy => Ok(Tried::Busy(work)),
            Attempt::Missing => Err(LockError::Missing),
        });
    tried.await.map_err(io::Error::other)?
}

/// Tries to lock a file, and repairs what a crash left of it.
fn acquire(shared: &Arc<Shared>, file: &str, purpose: Purpose) -> io::Result<Attempt> {
    let attempt = lock::try_lock(&shared.files, file, purpose)?;
    let Attempt::Locked(locked) = attempt else {
        return Ok(attempt);
    };
    match journal::recover(&shared.files, file, &locked) {
        Ok(Recovered::Whole) => Ok(Attempt::Locked(locked)),
        Ok(Recovered::Replaced) => Ok(Attempt::Busy),
        // What cannot be repaired can still be read.
        Err(_) if purpose == Purpose::Read => Ok(Attempt::Locked(locked)),
        Err(error) => Err(error),
    }
}

/// Until the file is ours, inside this process.
async fn turn(shared: &Arc<Shared>, file: &FileName) -> Turn {
    loop {
        let (ready, turn) = oneshot::channel();
        enqueue(shared, Waiting::Turn(Arc::clone(file), ready));
        // The sender is dropped unanswered only if nobody can answer any more.
        if let Ok(turn) = turn.await {
            return turn;
        }
    }
}

fn enqueue(shared: &Arc<Shared>, waiting: Waiting) {
    let start = {
        let mut state = shared.committer.lock();
        if state.must_wait(&waiting) {
            state.wait(waiting);
            return;
        }
        state.start(waiting)
    };
    start.run(shared);
}

fn release<'a>(
    shared: &Arc<Shared>,
    files: impl IntoIterator<Item = &'a FileName>,
    writers: usize,
) {
    let starts = {
        let mut state = shared.committer.lock();
        for file in files {
            state.busy.remove(file);
        }
        state.writers -= writers;
        state.startable()
    };
    for start in starts {
        start.run(shared);
    }
}

impl Committer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether somebody works on one of the files, or waits for it and was here before; or enough
    /// is being written already.
    fn must_wait(&self, waiting: &Waiting) -> bool {
        let taken = |file| self.busy.contains(file) || self.wanted.contains_key(file);
        waiting.files().any(taken) || (waiting.is_small() && self.writers >= WRITERS_MOST)
    }

    fn wait(&mut self, waiting: Waiting) {
        for file in waiting.files() {
            *self.wanted.entry(Arc::clone(file)).or_default() += 1;
        }
        self.waiting.push_back(waiting);
    }

    fn no_longer_waits(&mut self, waiting: &Waiting) {
        for file in waiting.files() {
            if let Some(count) = self.wanted.get_mut(file) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(file);
                }
            }
        }
    }

    /// Marks the files as worked on.
    fn start(&mut self, waiting: Waiting) -> Start {
        self.busy.extend(waiting.files().map(Arc::clone));
        let small = waiting.is_small();
        match waiting {
            Waiting::Turn(file, ready) => Start::Turn(file, ready),
            Waiting::Delivery(delivery) => {
                self.writers += usize::from(small);
                Start::Batch(Batch::of(delivery, small))
            }
        }
    }

    /// All that can begin now, first come, first served: who comes later does not overtake
    /// somebody who waits for the same file. Small deliveries join one batch.
    fn startable(&mut self) -> Vec<Start> {
        let mut taken = self.busy.clone();
        let mut starts = Vec::new();
        let mut batch: Option<Batch> = None;
        for waiting in mem::take(&mut self.waiting) {
            let joins = batch.as_ref().is_some_and(|batch| batch.admits(&waiting, &taken));
            let is_taken = |file| taken.contains(file) || self.busy.contains(file);
            let starts_now = !waiting.files().any(is_taken)
                && (!waiting.is_small() || (batch.is_none() && self.writers < WRITERS_MOST));
            if !joins && !starts_now {
                taken.extend(waiting.files().map(Arc::clone));
                self.waiting.push_back(waiting);
                continue;
            }
            self.no_longer_waits(&waiting);
            let small = waiting.is_small();
            if !small {
                taken.extend(waiting.files().map(Arc::clone));
            }
            match (&mut batch, waiting) {
                (Some(batch), Waiting::Delivery(delivery)) if joins => {
                    self.busy.extend(batch.take(delivery));
                }
                (_, waiting) => match self.start(waiting) {
                    Start::Batch(first) if small => batch = Some(first),
                    start => starts.push(start),
                },
            }
        }
        starts.extend(batch.map(Start::Batch));
        starts
    }

    /// What has come for the files of a batch meanwhile; nothing if anybody waits for another file,
    /// or for one of these but not to deliver: then it is their turn.
    fn more(&mut self, files: &BTreeSet<FileName>) -> Vec<Delivery> {
        let fits = |waiting: &Waiting| {
            waiting.is_small() && waiting.files().all(|file| files.contains(file))
        };
        if self.waiting.len() > BATCH_MOST || !self.waiting.iter().all(fits) {
            return Vec::new();
        }
        let mut deliveries = Vec::new();
        for waiting in mem::take(&mut self.waiting) {
            self.no_longer_waits(&waiting);
            if let Waiting::Delivery(delivery) = waiting {
                deliveries.push(delivery);
            }
        }
        deliveries
    }
}

/// Deliveries that are written together, and the files they go to.
#[derive(Debug, Default)]
struct Batch {
    files: BTreeSet<FileName>,
    deliveries: Vec<Delivery>,
    octets: u64,
    /// Whether it is one of those that more deliveries may join.
    small: bool,
}

impl Batch {
    fn of(delivery: Delivery, small: bool) -> Self {
        let mut batch = Self { small, ..Self::default() };
        batch.take(delivery);
        batch
    }

    /// Whether a delivery may join, where files are `taken` by others.
    fn admits(&self, waiting: &Waiting, taken: &HashSet<FileName>) -> bool {
        self.small
            && waiting.is_small()
            && self.deliveries.len() < BATCH_MOST
            && self.octets < BATCH_OCTETS_MOST
            && !waiting.files().any(|file| taken.contains(file))
    }

    /// Takes a delivery in; the files that it goes to.
    fn take(&mut self, delivery: Delivery) -> Vec<FileName> {
        let files: Vec<_> = delivery.files().iter().map(|part| Arc::clone(&part.file)).collect();
        self.files.extend(files.iter().map(Arc::clone));
        self.octets += delivery.octets();
        self.deliveries.push(delivery);
        files
    }
}

enum Start {
    Turn(FileName, oneshot::Sender<Turn>),
    Batch(Batch),
}

impl Start {
    fn run(self, shared: &Arc<Shared>) {
        match self {
            // Who no longer listens drops the turn at once, and the next one gets it.
            Self::Turn(file, ready) => drop(ready.send(Turn { shared: Arc::clone(shared), file })),
            Self::Batch(batch) => {
                let shared = Arc::clone(shared);
                tokio::task::spawn_blocking(move || {
                    write(&shared, batch);
                    if shared.journals.needs_sweeper() {
                        tokio::spawn(sweep(shared));
                    }
                });
            }
        }
    }
}

/// Writes a batch and what arrives for its files meanwhile.
fn write(shared: &Arc<Shared>, batch: Batch) {
    let files: Vec<FileName> = batch.files.iter().map(Arc::clone).collect();
    let _released = Release { shared, files: &files, writers: usize::from(batch.small) };
    match lock_all(shared, &batch.files) {
        Ok((locked, busy)) => {
            let blocked =
                |delivery: &Delivery| delivery.files().iter().any(|part| busy.contains(&part.file));
            let (later, now) = batch.deliveries.into_iter().partition(blocked);
            try_again_later(shared, later);
            write_locked(shared, now, locked);
        }
        Err(error) => append::refuse(batch.deliveries, &error.into()),
    }
}

/// Passes the files on, also should writing panic.
struct Release<'a> {
    shared: &'a Arc<Shared>,
    files: &'a [FileName],
    writers: usize,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        release(self.shared, self.files, self.writers);
    }
}

/// Locks the files in the order of their names; also says which are busy. Missing ones are in
/// neither: deliveries to them fail.
fn lock_all(
    shared: &Arc<Shared>,
    files: &BTreeSet<FileName>,
) -> io::Result<(append::Locked, HashSet<FileName>)> {
    let mut locked = append::Locked::new();
    let mut busy = HashSet::new();
    for file in files {
        let purpose = if shared.is_queue(file) { Purpose::Create } else { Purpose::Write };
        match acquire(shared, file, purpose)? {
            Attempt::Locked(one) => drop(locked.insert(Arc::clone(file), one)),
            Attempt::Busy => drop(busy.insert(Arc::clone(file))),
            Attempt::Missing => {}
        }
    }
    Ok((locked, busy))
}

fn write_locked(shared: &Arc<Shared>, deliveries: Vec<Delivery>, locked: append::Locked) {
    let since = Instant::now();
    let files = locked.keys().map(Arc::clone).collect();
    let mut writer = append::Writer::new(shared, locked);
    let mut answers = writer.write(deliveries);
    while since.elapsed() < BURST {
        let more = shared.committer.lock().more(&files);
        if more.is_empty() {
            break;
        }
        answers.give();
        answers = writer.write(more);
    }
    // Whoever is told what became of a message finds no lock beside it.
    drop(writer);
    answers.give();
}

/// Puts deliveries back after a pause; those that have waited too long fail.
fn try_again_later(shared: &Arc<Shared>, deliveries: Vec<Delivery>) {
    let (late, waiting): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|delivery| delivery.since.elapsed() > LOCK_WAIT);
    append::refuse(late, &DeliverError::Busy);
    if waiting.is_empty() {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        tokio::time::sleep(retry_delay()).await;
        for delivery in waiting {
            deliver(&shared, delivery);
        }
    });
}

/// The journals that are kept for the next delivery, and when each was last of use.
#[derive(Debug, Default)]
pub struct Journals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    used: HashMap<FileName, Instant>,
    /// Whether somebody is on the way to remove those that are no longer of use.
    swept: bool,
}

impl Journals {
    /// Says that the journal of a file has just been of use.
    pub fn used(&self, file: &FileName) {
        self.lock().used.insert(Arc::clone(file), Instant::now());
    }

    /// Those that have not been of use for so long, and no others any more.
    fn unused_for(&self, age: Duration) -> Vec<FileName> {
        let unused = |_: &FileName, used: &mut Instant| used.elapsed() >= age;
        self.lock().used.extract_if(unused).map(|(file, _)| file).collect()
    }

    /// Whether the caller is to sweep: nobody else does, and there is something to.
    fn needs_sweeper(&self) -> bool {
        let mut kept = self.lock();
        let needed = !kept.swept && !kept.used.is_empty();
        kept.swept |= needed;
        needed
    }

    /// Whether the sweeper may go home.
    fn is_swept(&self) -> bool {
        let mut kept = self.lock();
        kept.swept = !kept.used.is_empty();
        !kept.swept
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes journals once they are no longer of use; there is one such task at a time, and none
/// while there are no journals.
async fn sweep(shared: Arc<Shared>) {
    while !shared.journals.is_swept() {
        tokio::time::sleep(JOURNAL_KEPT).await;
        remove_journals(&shared, JOURNAL_KEPT).await;
    }
}

/// Removes the journals that have not been of use for so long.
pub async fn remove_journals(shared: &Arc<Shared>, unused_for: Duration) {
    for file in shared.journals.unused_for(unused_for) {
        let (files, name) = (Arc::clone(&shared.files), Arc::clone(&file));
        let remove = move |_locked| journal::remove(&files, &name);
        let removed = match with_locked_at_once(shared, &file, Purpose::Write, remove).await {
            Ok(removed) => removed,
            // Without a mailbox there is nothing to recover.
            Err(LockError::Missing) => journal::remove(&shared.files, &file),
            // Another time.
            Err(LockError::Busy) => {
                shared.journals.used(&file);
                Ok(())
            }
            Err(LockError::Io(error)) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!("{file}: cannot remove the journal: {error}");
        }
    }
}

fn retry_delay() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0);
    let span = RETRY_MILLISECONDS.end - RETRY_MILLISECONDS.start;
    Duration::from_millis(RETRY_MILLISECONDS.start + random % span)
}
