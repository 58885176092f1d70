//! Work on the files of a directory, one user of a file at a time: deliveries, gathered so that
//! many of them share one write and one sync, and whatever else needs a file locked.
//!
//! Inside this process nobody polls: [`turns`](crate::store::turns) says who is next. Against
//! other processes there are the locks of [`crate::store::lock`], which can only be tried
//! again; only those who want that very file wait.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use crate::store::append::{self, Answers};
use crate::store::delivery::{Answer, DeliverError, Delivery, Part};
use crate::store::files::FileName;
use crate::store::ground::{Ground, QUEUE_FILE};
use crate::store::journal::recovery::{Outcome, Recovery};
use crate::store::journal::{self, Journal};
use crate::store::lock::{self, Attempt, LockedFile, Purpose};
use crate::store::rewrite;
use crate::store::sessions;
use crate::store::text::Finished;
use crate::store::turns::{Batch, Size, Start, Turns, Waiting};

/// How long a foreign lock is waited for.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Between two attempts to lock, at random, so that two who wait do not meet again and again.
const RETRY_MILLISECONDS: Range<u64> = 10..40;

/// Attempts to lock a file that must be mended, when the directory is opened: half a second.
const RECOVERED_AGAIN: usize = 20;

/// How long the locks are kept while more and more deliveries arrive; then other programs must
/// have their chance.
const BURST: Duration = Duration::from_millis(100);

/// The queue of those who want to work on the files of a directory.
#[derive(Debug)]
pub struct Committer {
    ground: Ground,
    journal: Journal,
    recovery: Recovery,
    /// Whether somebody is on the way to tidy up.
    is_tidied: AtomicBool,
    /// Says that there is something new to tidy up.
    used: Notify,
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

/// Stores a text in its files; when this returns it is on disk, or nothing of it is anywhere.
///
/// Whoever brings a small message when nobody writes writes it at once, in its own thread, and
/// what others bring meanwhile is written by the first of them: another thread would have to be
/// woken, which costs more than the write. The disk is waited for meanwhile, by one thread of the
/// runtime at most.
pub(super) async fn deliver(
    committer: &Arc<Committer>,
    parts: Vec<Part>,
    text: Finished,
) -> Result<(), DeliverError> {
    let (delivery, mut answered) = Delivery::new(parts, text);
    let start = committer.lock().enter(Waiting::Delivery(delivery));
    match start {
        Some(Start::Batch(Batch { files, deliveries, size: Size::Small, .. })) => {
            let burst = Burst::new(Arc::clone(committer), files, Size::Small);
            let work = Work(Some((burst, deliveries)));
            let_others_join().await;
            work.run();
        }
        Some(start) => run(committer, start),
        None => {}
    }
    loop {
        match answered.await.map_err(|gone| DeliverError::from(io::Error::other(gone)))? {
            Answer::Done(result) => return result,
            Answer::Work(work, then) => {
                answered = then;
                let_others_join().await;
                work();
            }
        }
    }
}

/// Before a batch is written: sessions whose messages have come meanwhile bring them first, since
/// one sync does for all. Where there are none this takes a microsecond.
async fn let_others_join() {
    tokio::task::yield_now().await;
}

/// Locks a file and does `work` with it, away from the async threads.
pub async fn with_locked<R: Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    with_locked_until(committer, file, purpose, std::future::pending(), work).await
}

/// As [`with_locked`], but other programs are waited for no longer than until `end`. Work that has
/// begun is finished.
pub async fn with_locked_until<R: Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    end: impl Future<Output = ()>,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    let mut work = work;
    let mut end = std::pin::pin!(end);
    let since = Instant::now();
    loop {
        match attempt(committer, file, purpose, work).await? {
            Tried::Done(result) => return Ok(result),
            Tried::Busy(_) if since.elapsed() > LOCK_WAIT => return Err(LockError::Busy),
            Tried::Busy(again) => work = again,
        }
        tokio::select! {
            () = tokio::time::sleep(retry_delay()) => {}
            () = &mut end => return Err(LockError::Busy),
        }
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
            Attempt::Locked(locked) => {
                let done = work(locked);
                tidy_later(&turn.committer);
                Ok(Tried::Done(done))
            }
            Attempt::Busy => Ok(Tried::Busy(work)),
            Attempt::Missing => Err(LockError::Missing),
        });
    tried.await.map_err(io::Error::other)?
}

/// Tries to lock a file, and repairs what a crash left of it.
fn acquire(committer: &Committer, file: &str, purpose: Purpose) -> io::Result<Attempt> {
    let attempt = lock::try_lock(&committer.ground.anchor, file, purpose)?;
    let Attempt::Locked(locked) = attempt else { return Ok(attempt) };
    let recovered = committer.recovery.recover(file, &locked, || committer.journal.own_names());
    let recovered = match recovered {
        Ok(Outcome::Whole) if purpose == Purpose::Rewrite => {
            committer.journal.checkpoint();
            committer.recovery.await_others(file)
        }
        recovered => recovered,
    };
    match recovered {
        Ok(Outcome::Whole) => Ok(Attempt::Locked(locked)),
        Ok(Outcome::Again) => Ok(Attempt::Busy),
        // What cannot be repaired can still be read.
        Err(_) if purpose == Purpose::Read => Ok(Attempt::Locked(locked)),
        Err(error) => Err(error),
    }
}

/// Until the file is ours, inside this process.
async fn turn(committer: &Arc<Committer>, file: &FileName) -> Turn {
    loop {
        let (ready, turn) = oneshot::channel();
        let start = committer.lock().enter(Waiting::Turn(Arc::clone(file), ready));
        if let Some(start) = start {
            run(committer, start);
        }
        // The sender is dropped unanswered only if nobody can answer any more.
        if let Ok(turn) = turn.await {
            return turn;
        }
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
        Self {
            journal: Journal::new(&ground.anchor, ground.durability),
            recovery: Recovery::new(&ground.files, ground.durability),
            ground,
            is_tidied: AtomicBool::default(),
            used: Notify::new(),
            turns: Mutex::default(),
        }
    }

    /// What the work stands on.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    fn lock(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Turn>>> {
        self.turns.lock()
    }
}

fn run(committer: &Arc<Committer>, start: Start<oneshot::Sender<Turn>>) {
    let committer = Arc::clone(committer);
    match start {
        // Who no longer listens drops the turn at once, and the next one gets it.
        Start::Turn(file, ready) => drop(ready.send(Turn { committer, file })),
        Start::Batch(batch) if batch.size == Size::Small => {
            let Batch { files, deliveries, size, .. } = batch;
            ask(Burst::new(committer, files, size), deliveries);
        }
        Start::Batch(batch) => drop(tokio::task::spawn_blocking(move || write(&committer, batch))),
    }
}

/// Writes a batch.
fn write(committer: &Arc<Committer>, batch: Batch) {
    let Batch { files, deliveries, size, .. } = batch;
    Burst::new(Arc::clone(committer), files, size).write(deliveries);
}

/// Asks whoever brought the first of some deliveries to write them all.
fn ask(burst: Burst, mut deliveries: Vec<Delivery>) {
    let Some(first) = deliveries.first_mut() else { return };
    let asked = first.ask();
    let work = Work(Some((burst, deliveries)));
    asked.to(Box::new(move || work.run()));
}

/// Deliveries that somebody is asked to write. Should nobody do it, another thread does.
struct Work(Option<(Burst, Vec<Delivery>)>);

impl Work {
    fn run(mut self) {
        if let Some((burst, deliveries)) = self.0.take() {
            burst.write(deliveries);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some((burst, deliveries)) = self.0.take() {
            drop(tokio::task::spawn_blocking(move || burst.write(deliveries)));
        }
    }
}

/// Batches that follow each other to the same files, which stay locked in between. They are passed
/// on to whoever waits when it is dropped, also should writing panic.
struct Burst {
    committer: Arc<Committer>,
    files: BTreeSet<FileName>,
    size: Size,
    /// Those that are locked, once it has been tried.
    locked: Option<LockedFiles>,
}

/// The files of a burst that are locked, and since when.
struct LockedFiles {
    names: BTreeSet<FileName>,
    targets: append::Targets,
    since: Instant,
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.locked = None;
        release(&self.committer, &self.files, Some(self.size));
        tidy_later(&self.committer);
    }
}

impl Burst {
    const fn new(committer: Arc<Committer>, files: BTreeSet<FileName>, size: Size) -> Self {
        Self { committer, files, size, locked: None }
    }

    /// Writes the deliveries, and asks for more to be written if more have come for these files.
    fn write(mut self, mut deliveries: Vec<Delivery>) {
        self.gather(&mut deliveries);
        let committer = Arc::clone(&self.committer);
        let Committer { ground, journal, recovery, .. } = &*committer;
        let (deliveries, refused) = self.lock(deliveries);
        let Some(locked) = &mut self.locked else { return refused.give() };
        let answers = locked.targets.write(ground, journal, deliveries).and(refused);
        if journal.has_left_one() {
            recovery.look_again();
        }
        let lasts = self.size == Size::Small && locked.since.elapsed() < BURST;
        let mut more = Vec::new();
        if lasts {
            committer.lock().more_for(&locked.names, &mut more);
        }
        if more.is_empty() {
            // Whoever is told what became of a message finds no lock beside it.
            drop(self);
        } else {
            ask(self, more);
        }
        answers.give();
    }

    /// Adds what has come since it was decided to write these.
    fn gather(&mut self, deliveries: &mut Vec<Delivery>) {
        if self.size == Size::Large {
            return;
        }
        let mut turns = self.committer.lock();
        let others = match &self.locked {
            Some(locked) => {
                turns.more_for(&locked.names, deliveries);
                Vec::new()
            }
            None => turns.join(&mut self.files, deliveries),
        };
        drop(turns);
        for start in others {
            run(&self.committer, start);
        }
    }

    /// Locks the files, unless they are; what can be written now, and what cannot at all.
    fn lock(&mut self, deliveries: Vec<Delivery>) -> (Vec<Delivery>, Answers) {
        let mut refused = Answers::default();
        if self.locked.is_some() {
            return (deliveries, refused);
        }
        let Locks { ours, busy, failed } = lock_all(&self.committer, &self.files);
        let names = ours.keys().map(Arc::clone).collect();
        let (targets, since) = (append::Targets::new(ours), Instant::now());
        self.locked = Some(LockedFiles { names, targets, since });
        let mut deliveries = deliveries;
        for (file, why) in failed {
            let (lost, others) = deliveries.into_iter().partition(|one| one.goes_to(&file));
            refused = refused.and(Answers::refused(lost, &why));
            deliveries = others;
        }
        let is_blocked = |one: &Delivery| busy.iter().any(|file| one.goes_to(file));
        let (later, now) = deliveries.into_iter().partition(is_blocked);
        (now, refused.and(try_again_later(&self.committer, later)))
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

/// Puts deliveries back after a pause; those that have waited too long fail, and those that nobody
/// waits for any more are not made: nobody would know of them.
fn try_again_later(committer: &Arc<Committer>, deliveries: Vec<Delivery>) -> Answers {
    let (late, waiting): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|delivery| delivery.since.elapsed() > LOCK_WAIT);
    let refused = Answers::refused(late, &DeliverError::Busy);
    if waiting.is_empty() {
        return refused;
    }
    let committer = Arc::clone(committer);
    tokio::spawn(async move {
        tokio::time::sleep(retry_delay()).await;
        for delivery in waiting.into_iter().filter(Delivery::is_awaited) {
            let start = committer.lock().enter(Waiting::Delivery(delivery));
            if let Some(start) = start {
                run(&committer, start);
            }
        }
    });
    refused
}

fn retry_delay() -> Duration {
    Duration::from_millis(fastrand::u64(RETRY_MILLISECONDS))
}

/// Sees to it that checkpoints are made, and that what is only there to make the next delivery or
/// login quick is removed once none comes. There is one such task at a time, and none while there
/// is nothing to do.
fn tidy_later(committer: &Arc<Committer>) {
    if !committer.has_to_tidy() {
        return;
    }
    committer.used.notify_one();
    if !committer.is_tidied.swap(true, Ordering::AcqRel) {
        let committer = Arc::clone(committer);
        tokio::spawn(async move {
            while committer.has_to_tidy() {
                tidy(&committer).await;
            }
            committer.is_tidied.store(false, Ordering::Release);
            // Somebody may have relied on us in between.
            tidy_later(&committer);
        });
    }
}

async fn tidy(committer: &Arc<Committer>) {
    if committer.journal.wants_checkpoint() {
        tokio::time::sleep(journal::CHECKPOINT_EVERY).await;
    } else if tokio::time::timeout(journal::KEPT, committer.used.notified()).await.is_ok() {
        return;
    }
    let committer = Arc::clone(committer);
    let tidied = tokio::task::spawn_blocking(move || committer.tidy(journal::KEPT));
    if let Err(error) = tidied.await {
        tracing::error!("tidying up failed: {error}");
    }
}

impl Committer {
    fn has_to_tidy(&self) -> bool {
        self.journal.is_there() || self.ground.anchor.is_there()
    }

    fn tidy(&self, unused_for: Duration) {
        self.journal.checkpoint();
        self.journal.retire(unused_for);
        self.ground.anchor.remove_if_quiet();
    }

    /// Removes what is only there to make the next delivery quick. To be called when there will be
    /// none.
    pub fn close(&self) {
        self.recover_all();
        self.journal.checkpoint();
        self.journal.retire(Duration::ZERO);
        self.ground.anchor.remove();
    }

    /// Mends all mailboxes to which somebody who died was about to append, and removes what else the
    /// dead have left. Mailboxes that another program has locked are mended when they are locked
    /// next.
    pub fn recover_all(&self) {
        let own = || self.journal.own_names();
        let unsettled = self.recovery.unsettled(own).unwrap_or_else(|error| {
            tracing::warn!("cannot look for what a crash left: {error}");
            BTreeSet::new()
        });
        let drafts = rewrite::drafts(&self.ground.files).unwrap_or_default();
        for file in unsettled.iter().chain(&drafts) {
            if let Err(error) = self.recover(file) {
                tracing::error!("{file}: cannot mend what a crash left: {error}");
            }
        }
        if let Err(error) = sessions::remove_left(&self.ground.files) {
            tracing::warn!("cannot remove unused session locks: {error}");
        }
    }

    fn recover(&self, file: &str) -> io::Result<()> {
        for _ in 0..RECOVERED_AGAIN {
            match acquire(self, file, Purpose::Write)? {
                // Whoever has the lock may be writing a draft.
                Attempt::Locked(_) => return rewrite::make_room(&self.ground.files, file),
                Attempt::Missing => {
                    rewrite::make_room(&self.ground.files, file)?;
                    return self.recovery.forget(file, || self.journal.own_names());
                }
                Attempt::Busy => std::thread::sleep(retry_delay()),
            }
        }
        Ok(())
    }
}
