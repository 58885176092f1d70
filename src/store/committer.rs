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

/// Octets written together at most, unless one message alone has more.
const BATCH_OCTETS_MOST: u64 = 16 * 1024 * 1024;

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
}

#[derive(Debug)]
enum Waiting {
    Delivery(Delivery),
    Turn(FileName, oneshot::Sender<Turn>),
}

impl Waiting {
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
        release(&self.shared, std::slice::from_ref(&self.file));
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
        if waiting.files().any(|file| state.is_taken(file)) {
            state.wait(waiting);
            return;
        }
        state.start(waiting)
    };
    start.run(shared);
}

fn release(shared: &Arc<Shared>, files: &[FileName]) {
    let starts = {
        let mut state = shared.committer.lock();
        for file in files {
            state.busy.remove(file);
        }
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
    /// Whether somebody works on the file, or waits for it and was here before.
    fn is_taken(&self, file: &FileName) -> bool {
        self.busy.contains(file) || self.wanted.contains_key(file)
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
        match waiting {
            Waiting::Turn(file, ready) => Start::Turn(file, ready),
            Waiting::Delivery(delivery) => Start::Batch(Batch::of(delivery)),
        }
    }

    /// All that can begin now, first come, first served: who comes later does not overtake
    /// somebody who waits for the same file.
    fn startable(&mut self) -> Vec<Start> {
        let mut claimed = self.busy.clone();
        let mut starts = Vec::new();
        let waiting = mem::take(&mut self.waiting);
        for waiting in waiting {
            if waiting.files().any(|file| claimed.contains(file)) {
                claimed.extend(waiting.files().map(Arc::clone));
                self.waiting.push_back(waiting);
                continue;
            }
            self.no_longer_waits(&waiting);
            claimed.extend(waiting.files().map(Arc::clone));
            starts.push(self.start(waiting));
        }
        for start in &mut starts {
            if let Start::Batch(batch) = start {
                self.join(batch);
            }
        }
        starts
    }

    /// Lets the deliveries that want no other file than the batch has come along.
    fn join(&mut self, batch: &mut Batch) {
        let mut room = batch.room();
        let waiting = mem::take(&mut self.waiting);
        for waiting in waiting {
            match waiting {
                Waiting::Delivery(delivery) if batch.admits(&delivery, room) => {
                    let waiting = Waiting::Delivery(delivery);
                    self.no_longer_waits(&waiting);
                    if let Waiting::Delivery(delivery) = waiting {
                        room = room.after(&delivery);
                        batch.deliveries.push(delivery);
                    }
                }
                other => self.waiting.push_back(other),
            }
        }
    }

    /// What has come for the batch's files meanwhile, unless somebody else is first in line.
    fn more(&mut self, files: &BTreeSet<FileName>) -> Vec<Delivery> {
        let first = self.waiting.iter().find(|waiting| waiting.files().any(|f| files.contains(f)));
        if !matches!(first, Some(Waiting::Delivery(_))) {
            return Vec::new();
        }
        let mut batch = Batch { files: files.clone(), deliveries: Vec::new() };
        self.join(&mut batch);
        batch.deliveries
    }
}

/// Deliveries that are written together, and the files they go to.
#[derive(Debug)]
struct Batch {
    files: BTreeSet<FileName>,
    deliveries: Vec<Delivery>,
}

/// What a batch can still take.
#[derive(Debug, Clone, Copy)]
struct Room {
    deliveries: usize,
    octets: u64,
}

impl Room {
    fn after(self, delivery: &Delivery) -> Self {
        Self {
            deliveries: self.deliveries.saturating_sub(1),
            octets: self.octets.saturating_sub(delivery.octets()),
        }
    }
}

impl Batch {
    fn of(delivery: Delivery) -> Self {
        let files = delivery.files().iter().map(|part| Arc::clone(&part.file)).collect();
        Self { files, deliveries: vec![delivery] }
    }

    fn room(&self) -> Room {
        let room = Room { deliveries: BATCH_MOST, octets: BATCH_OCTETS_MOST };
        self.deliveries.iter().fold(room, Room::after)
    }

    fn admits(&self, delivery: &Delivery, room: Room) -> bool {
        room.deliveries > 0
            && delivery.octets() <= room.octets
            && delivery.files().iter().all(|part| self.files.contains(&part.file))
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
                tokio::task::spawn_blocking(move || write(&shared, batch));
            }
        }
    }
}

/// Writes a batch and what arrives for its files meanwhile.
fn write(shared: &Arc<Shared>, batch: Batch) {
    let files: Vec<FileName> = batch.files.iter().map(Arc::clone).collect();
    let _released = Release { shared, files: &files };
    match lock_all(shared, &batch) {
        Ok(Some(locked)) => write_locked(shared, batch, locked),
        Ok(None) => try_again_later(shared, batch.deliveries),
        Err(error) => append::refuse(batch.deliveries, &error.into()),
    }
}

/// Passes the files on, also should writing panic.
struct Release<'a> {
    shared: &'a Arc<Shared>,
    files: &'a [FileName],
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        release(self.shared, self.files);
    }
}

/// Locks every file of the batch, in the order of their names; `None` if one of them is busy.
/// Missing ones are left out: deliveries to them fail.
fn lock_all(shared: &Arc<Shared>, batch: &Batch) -> io::Result<Option<append::Locked>> {
    let mut locked = append::Locked::new();
    for file in &batch.files {
        let purpose = if shared.is_queue(file) { Purpose::Create } else { Purpose::Write };
        match acquire(shared, file, purpose)? {
            Attempt::Locked(one) => locked.insert(Arc::clone(file), one),
            Attempt::Busy => return Ok(None),
            Attempt::Missing => None,
        };
    }
    Ok(Some(locked))
}

fn write_locked(shared: &Arc<Shared>, batch: Batch, locked: append::Locked) {
    let since = Instant::now();
    let Batch { files, deliveries } = batch;
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
    // Whoever is told what became of a message finds neither lock nor journal beside it.
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

fn retry_delay() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0);
    let span = RETRY_MILLISECONDS.end - RETRY_MILLISECONDS.start;
    Duration::from_millis(RETRY_MILLISECONDS.start + random % span)
}
