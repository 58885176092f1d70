//! Work on the files of a directory, one user of a file at a time: deliveries, which are gathered
//! so that many share one write and one sync, and any other work that needs a file locked.
//!
//! Within this process nothing polls: [`turns`](crate::store::turns) decides who is next. Locks of
//! other processes ([`crate::store::lock`]) can only be tried again, and only work on the same file
//! waits for them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use crate::store::append::{self, Answers};
use crate::store::delivery::{Answer, DeliverError, Delivered, Delivery, Part};
use crate::store::files::FileName;
use crate::store::ground::{Ground, QUEUE_FILE};
use crate::store::journal::recovery::{Outcome, Recovery};
use crate::store::journal::{self, Journal};
use crate::store::lock::{self, Attempt, LockedFile, Purpose};
use crate::store::rewrite;
use crate::store::sessions;
use crate::store::text::Finished;
use crate::store::turns::{Batch, Size, Start, Turns, Waiting};
use crate::store::user;

/// How long another program's lock is waited for.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Pause between two attempts to lock, in milliseconds. It is random, so that two waiting programs
/// do not keep colliding.
const RETRY_MILLISECONDS: Range<u64> = 10..40;

/// Attempts to lock a file that needs repair when the directory is opened: about half a second.
const RECOVERED_AGAIN: usize = 20;

/// How long the locks are kept while deliveries keep arriving; then other programs get their turn.
const BURST: Duration = Duration::from_millis(100);

/// Batches in a row after which a session that has brought all their mail counts as alone.
const ALONE_MOST: u32 = 8;

/// Orders all work on the files of a directory.
#[derive(Debug)]
pub struct Committer {
    ground: Ground,
    journal: Journal,
    recovery: Recovery,
    /// Whether a task that tidies up is running.
    is_tidied: AtomicBool,
    /// Tells that task that the files were used again.
    used: Notify,
    turns: Mutex<Turns<oneshot::Sender<Turn>>>,
    /// Batches in a row for which only one session has brought mail.
    alone: AtomicU32,
    /// Held while a mailbox is made, so that there are never more than allowed.
    making: Mutex<()>,
}

/// The exclusive right within this process to work on a file; passed on when dropped.
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
    /// Another program holds the lock: for [`LOCK_WAIT`], or right now if the caller does not wait.
    #[error("another program keeps it locked")]
    Busy,
    /// There is no regular file of that name.
    #[error("there is no such mailbox")]
    Missing,
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Stores a text in its files. When this returns, it is on disk in all of them, or in none.
///
/// A session that brings a small message while nothing is being written writes it at once, on its
/// own thread; deliveries that arrive in the meantime are written by the first of their sessions.
/// Waking another thread would cost more than the write. At most one thread of the runtime is
/// blocked by the disk in this way.
pub(super) async fn deliver(
    committer: &Arc<Committer>,
    parts: Vec<Part>,
    text: Finished,
) -> Result<Delivered, DeliverError> {
    let (delivery, mut answered) = Delivery::new(parts, text);
    let start = committer.lock().enter(Waiting::Delivery(delivery));
    match start {
        Some(Start::Batch(Batch { files, deliveries, size: Size::Small, .. })) => {
            let burst = Burst::new(Arc::clone(committer), files, Size::Small);
            // A guard: this future may be dropped while it waits, when other deliveries have
            // joined the batch.
            let work = Work(Some((burst, deliveries)));
            committer.let_others_join().await;
            work.run();
        }
        Some(start) => run(committer, start),
        None => {}
    }
    // Each round brings the result, or asks this session to write the next batch.
    loop {
        match answered.await.map_err(|gone| DeliverError::from(io::Error::other(gone)))? {
            Answer::Done(result) => return result,
            Answer::Work(work, then) => {
                answered = then;
                committer.let_others_join().await;
                work();
            }
        }
    }
}

/// Locks a file and runs `work` on it, on a blocking thread.
///
/// # Errors
///
/// If the file is missing, cannot be opened, or stays locked for [`LOCK_WAIT`].
pub async fn with_locked<R: Send + 'static>(
    committer: &Arc<Committer>,
    file: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    with_locked_until(committer, file, purpose, std::future::pending(), work).await
}

/// As [`with_locked`], but stops waiting for other programs when `end` completes. Work that has
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

/// As [`with_locked`], but does not wait for other programs.
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

/// The result of one attempt, or the work itself if the file was busy.
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
    // Within this process first, so that only one task at a time competes with other programs.
    let turn = turn(committer, file).await;
    let tried =
        // The turn goes along: it ends with the work, even if this future is dropped.
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

/// Tries to lock a file, and repairs what a crash left in it.
fn acquire(committer: &Committer, file: &str, purpose: Purpose) -> io::Result<Attempt> {
    let attempt = lock::try_lock(&committer.ground.anchor, file, purpose)?;
    let Attempt::Locked(locked) = attempt else { return Ok(attempt) };
    // Every use of a mailbox repairs it first.
    let recovered = committer.recovery.recover(file, &locked, || committer.journal.own_names());
    let recovered = match recovered {
        Ok(Outcome::Whole) if purpose == Purpose::Rewrite => {
            // Another file is about to take its place. Appends that are only in a journal so far,
            // ours or another process's, must be on disk first: a power failure would bring removed
            // messages back.
            committer.journal.checkpoint();
            committer.recovery.await_others(file)
        }
        recovered => recovered,
    };
    match recovered {
        Ok(Outcome::Whole) => Ok(Attempt::Locked(locked)),
        // The lock is dropped; the next attempt may find another file at the path.
        Ok(Outcome::Again) => Ok(Attempt::Busy),
        // A file that cannot be repaired can still be read.
        Err(_) if purpose == Purpose::Read => Ok(Attempt::Locked(locked)),
        Err(error) => Err(error),
    }
}

/// Waits until no other task of this process uses the file.
async fn turn(committer: &Arc<Committer>, file: &FileName) -> Turn {
    loop {
        let (ready, turn) = oneshot::channel();
        let start = committer.lock().enter(Waiting::Turn(Arc::clone(file), ready));
        if let Some(start) = start {
            run(committer, start);
        }
        // The sender is dropped without an answer if its work panicked or was never run: enter
        // again.
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
    // The mutex is released before the work is started: a turn that cannot be delivered comes back
    // here.
    let starts = committer.lock().leave(files, size);
    for start in starts {
        run(committer, start);
    }
}

impl Committer {
    /// A committer for the directory `ground`, with no work yet.
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        Self {
            journal: Journal::new(&ground.anchor, ground.durability),
            recovery: Recovery::new(&ground.files, ground.durability),
            ground,
            is_tidied: AtomicBool::default(),
            used: Notify::new(),
            turns: Mutex::default(),
            alone: AtomicU32::default(),
            making: Mutex::default(),
        }
    }

    /// The directory and what is shared about it.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Yields before a batch is written, so that sessions whose messages have arrived meanwhile can
    /// add them: one sync serves all.
    async fn let_others_join(&self) {
        // Measured: with ten sessions this saves a tenth of the syncs, and a tenth of the processor
        // time without them; to a session that is alone it costs a tenth.
        if self.alone.load(Ordering::Relaxed) < ALONE_MOST {
            tokio::task::yield_now().await;
        }
    }

    /// Notes whether other sessions have brought mail for a batch, or while it was written.
    fn note_company(&self, has_any: bool) {
        let alone = self.alone.load(Ordering::Relaxed);
        let alone = if has_any { 0 } else { alone.saturating_add(1) };
        self.alone.store(alone, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Turn>>> {
        self.turns.lock()
    }
}

fn run(committer: &Arc<Committer>, start: Start<oneshot::Sender<Turn>>) {
    let committer = Arc::clone(committer);
    match start {
        // If the receiver is gone, the turn is dropped here, which passes it to the next in line.
        Start::Turn(file, ready) => drop(ready.send(Turn { committer, file })),
        Start::Batch(batch) if batch.size == Size::Small => {
            let Batch { files, deliveries, size, .. } = batch;
            ask(Burst::new(committer, files, size), deliveries);
        }
        // A large batch takes too long for a thread of the runtime.
        Start::Batch(batch) => drop(tokio::task::spawn_blocking(move || write(&committer, batch))),
    }
}

/// Writes a batch, on a blocking thread.
fn write(committer: &Arc<Committer>, batch: Batch) {
    let Batch { files, deliveries, size, .. } = batch;
    Burst::new(Arc::clone(committer), files, size).write(deliveries);
}

/// Asks the session of the first delivery to write them all.
fn ask(burst: Burst, mut deliveries: Vec<Delivery>) {
    let Some(first) = deliveries.first_mut() else { return };
    let asked = first.ask();
    let work = Work(Some((burst, deliveries)));
    asked.to(Box::new(move || work.run()));
}

/// Deliveries that a session has been asked to write. If the session is gone, a blocking thread
/// writes them.
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

/// Consecutive batches for the same files, which stay locked in between. When it is dropped, also
/// by a panic, the files pass to those who wait.
struct Burst {
    committer: Arc<Committer>,
    files: BTreeSet<FileName>,
    size: Size,
    /// The files locked so far; `None` before the first attempt.
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
        if let Some(locked) = &mut self.locked {
            locked.targets.remove_unused(&self.committer.ground.files);
        }
        // Unlocked before the files are passed on, so that the next in line can lock them.
        self.locked = None;
        release(&self.committer, &self.files, Some(self.size));
        tidy_later(&self.committer);
    }
}

impl Burst {
    const fn new(committer: Arc<Committer>, files: BTreeSet<FileName>, size: Size) -> Self {
        Self { committer, files, size, locked: None }
    }

    /// Writes the deliveries, then has more written if more have come for these files.
    fn write(mut self, mut deliveries: Vec<Delivery>) {
        self.gather(&mut deliveries);
        let committer = Arc::clone(&self.committer);
        let Committer { ground, journal, recovery, .. } = &*committer;
        let mut has_company = deliveries.len() > 1;
        let (deliveries, refused) = self.lock(deliveries);
        let Some(locked) = &mut self.locked else { return refused.give() };
        let answers = locked.targets.write(ground, journal, deliveries).and(refused);
        // A journal file of ours has to be recovered from as if its process were dead.
        if journal.has_left_one() {
            recovery.look_again();
        }
        // After a burst, other programs get their chance to lock the files.
        let lasts = self.size == Size::Small && locked.since.elapsed() < BURST;
        let mut more = Vec::new();
        if lasts {
            committer.lock().more_for(&locked.names, &mut more);
        }
        has_company |= !more.is_empty();
        committer.note_company(has_company);
        if more.is_empty() {
            // Unlocks before answering, so that a client that has its reply finds no lock.
            drop(self);
        } else {
            ask(self, more);
        }
        answers.give();
    }

    /// Adds deliveries that have arrived since this batch was formed.
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
        // Released first: starting the others may need it again.
        drop(turns);
        for start in others {
            run(&self.committer, start);
        }
    }

    /// Locks the files unless they are locked. Returns the deliveries that can be written now, and
    /// the answers of those that never can.
    fn lock(&mut self, deliveries: Vec<Delivery>) -> (Vec<Delivery>, Answers) {
        let mut refused = Answers::default();
        // A later batch of the burst: the files are still locked.
        if self.locked.is_some() {
            return (deliveries, refused);
        }
        let Locks { ours, busy, failed } = lock_all(&self.committer, &self.files, &deliveries);
        let names = ours.keys().map(Arc::clone).collect();
        let (targets, since) = (append::Targets::new(ours), Instant::now());
        self.locked = Some(LockedFiles { names, targets, since });
        let mut deliveries = deliveries;
        // A bad mailbox fails only its own mail.
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

/// The outcome of locking the files of a batch. Missing files are in none of these: deliveries to
/// them fail.
#[derive(Default)]
struct Locks {
    ours: append::Locked,
    busy: HashSet<FileName>,
    failed: HashMap<FileName, DeliverError>,
}

/// Locks the files in the order of their names, so that two processes cannot deadlock. A failure
/// affects only deliveries to that file.
fn lock_all(
    committer: &Arc<Committer>,
    files: &BTreeSet<FileName>,
    deliveries: &[Delivery],
) -> Locks {
    let mut locks = Locks::default();
    // Few batches make mailboxes; the others need not be searched for every file.
    let all = || deliveries.iter().flat_map(Delivery::parts);
    let makes_any = all().any(|part| part.made_below.is_some());
    for file in files {
        let parts = || all().filter(|part| part.file == *file);
        let made_below = || parts().filter_map(|part| part.made_below).max();
        let made_below = if makes_any { made_below() } else { None };
        let file = Arc::clone(file);
        match acquire_to_write(committer, &file, made_below) {
            Ok(Attempt::Locked(one)) => drop(locks.ours.insert(file, one)),
            Ok(Attempt::Busy) => drop(locks.busy.insert(file)),
            Ok(Attempt::Missing) => {}
            Err(error) => {
                tracing::error!("{file}: a delivery failed: {error}");
                locks.failed.insert(file, error);
            }
        }
    }
    locks
}

/// Tries to lock a file for deliveries. A missing mailbox is made only if there are fewer than
/// `made_below`: otherwise its user no longer exists.
fn acquire_to_write(
    committer: &Committer,
    file: &FileName,
    made_below: Option<usize>,
) -> Result<Attempt, DeliverError> {
    let files = &committer.ground.files;
    let is_missing = || Ok::<_, io::Error>(files.regular(file)?.is_none());
    let _making = made_below.map(|_| committer.making.lock());
    let purpose = match made_below {
        // The queue is made when it is first needed.
        _ if **file == *QUEUE_FILE => Purpose::Create,
        Some(most) if is_missing()? && user::count_mailboxes(files, most)? >= most => {
            return Err(DeliverError::TooManyMailboxes);
        }
        Some(_) => Purpose::Create,
        None => Purpose::Write,
    };
    Ok(acquire(committer, file, purpose)?)
}

/// Queues deliveries again after a pause. Those that have waited too long fail; those whose session
/// is gone are dropped, since no client would learn of them.
fn try_again_later(committer: &Arc<Committer>, deliveries: Vec<Delivery>) -> Answers {
    let (late, waiting): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|delivery| delivery.since.elapsed() > LOCK_WAIT);
    let refused = Answers::refused(late, &DeliverError::Busy);
    if waiting.is_empty() {
        return refused;
    }
    let committer = Arc::clone(committer);
    // In a task of its own: the rest of the batch does not wait for the locked file.
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

/// Starts the task that makes checkpoints and removes the files that only speed up the next
/// delivery or login, once none comes. There is at most one such task, and none while there is
/// nothing to do.
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
            // Another call may have found the task still marked as running.
            tidy_later(&committer);
        });
    }
}

async fn tidy(committer: &Arc<Committer>) {
    if committer.journal.wants_checkpoint() {
        tokio::time::sleep(journal::CHECKPOINT_EVERY).await;
    } else if tokio::time::timeout(journal::KEPT, committer.used.notified()).await.is_ok() {
        // Used again before the time was up: wait anew.
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

    /// Removes the files that only speed up the next delivery. Call it when there will be no more.
    pub fn close(&self) {
        self.recover_all();
        self.journal.checkpoint();
        // Stays if the checkpoint has left a record in it that is needed.
        self.journal.retire(Duration::ZERO);
        self.ground.anchor.remove();
    }

    /// Repairs all mailboxes that a process was appending to when it died, and removes the other
    /// files that dead processes have left. A mailbox that another program has locked is repaired
    /// when it is locked next.
    pub fn recover_all(&self) {
        let own = || self.journal.own_names();
        let unsettled = self.recovery.unsettled(own).unwrap_or_else(|error| {
            tracing::warn!("cannot look for journals after a crash: {error}");
            BTreeSet::new()
        });
        let drafts = rewrite::drafts(&self.ground.files).unwrap_or_default();
        for file in unsettled.iter().chain(&drafts) {
            if let Err(error) = self.recover(file) {
                tracing::error!("{file}: cannot be repaired after a crash: {error}");
            }
        }
        if let Err(error) = sessions::remove_left(&self.ground.files) {
            tracing::warn!("cannot remove unused session locks: {error}");
        }
    }

    fn recover(&self, file: &str) -> io::Result<()> {
        for _ in 0..RECOVERED_AGAIN {
            match acquire(self, file, Purpose::Write)? {
                // Under the lock: its holder may be writing a draft.
                Attempt::Locked(_) => return rewrite::make_room(&self.ground.files, file),
                // Nothing is left to repair, and its records must not keep the journal.
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
