//! Surveys the directory for the console, and keeps the result up to date. The kernel reports
//! changes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::committer::{self, Committer, LockError};
use crate::store::directory::{Directory, Opened};
use crate::store::files::FileName;
use crate::store::ground::QUEUE_FILE;
use crate::store::holder;
use crate::store::index::{Index, IndexError};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::outline::Outlines;
use crate::store::overview::{Holder, MailboxView, Overview, QueueView};
use crate::store::queue;
use crate::store::sighting::Sighting;

/// Minimum time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// If looks take long, because a large mailbox to which another program has appended must be read,
/// the pause is this many times as long as the last look. Thus watching never keeps a machine busy.
const PAUSE_FACTOR: u32 = 5;

/// The same where only outlines are looked at: no screen waits for them.
const PAUSE_FACTOR_OF_OUTLINES: u32 = 20;

/// Maximum of that pause.
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// Time until the next look if the last one found a file locked by another program: the kernel does
/// not report when it is unlocked.
const PAUSE_WHEN_LOCKED: Duration = Duration::from_secs(1);

/// Time between two looks if the kernel cannot report changes.
const PAUSE_UNTOLD: Duration = Duration::from_secs(2);

/// Maximum number of queued recipients listed.
pub const QUEUE_LISTED: usize = 10_000;

/// Mailboxes opened at each look to find the holder of an fcntl lock. Beyond these, only mailboxes
/// that have changed and cannot be read.
const PROBED_MOST: usize = 100;

/// How long a look may go on after the survey was stopped: it may have locked a mailbox, and a process
/// that ends then would leave the lock.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Whether the log is told what comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// It is.
    Log,
    /// It is not.
    Nobody,
}

/// Begins to watch a directory, until all receivers are dropped.
#[must_use]
pub fn follow(directory: &Directory, tells: Tells) -> watch::Receiver<Arc<Overview>> {
    let (sender, receiver) = watch::channel(Arc::default());
    let sight = Sight::Contents(Survey::telling(directory, tells));
    tokio::spawn(keep_up(sight, sender, CancellationToken::new()));
    receiver
}

/// The same as one of `tasks`, which is soon over when `stop` is cancelled.
#[must_use]
pub fn follow_until(
    stop: CancellationToken,
    tasks: &TaskTracker,
    directory: &Directory,
    tells: Tells,
) -> watch::Receiver<Arc<Overview>> {
    let (sender, receiver) = watch::channel(Arc::default());
    let sight = Sight::Contents(Survey::telling(directory, tells));
    tasks.spawn(keep_up(sight, sender, stop));
    receiver
}

/// The same, but no mailbox is locked or read ([`Outlines`]): for whoever wants to know only how
/// mailboxes come and go.
#[must_use]
pub fn follow_outlines_until(
    stop: CancellationToken,
    tasks: &TaskTracker,
    directory: &Directory,
) -> watch::Receiver<Arc<Overview>> {
    let (sender, receiver) = watch::channel(Arc::default());
    let sight = Sight::Outlines(Outlines::new(directory.clone()));
    tasks.spawn(keep_up(sight, sender, stop));
    receiver
}

/// What is looked at.
enum Sight {
    Contents(Survey),
    Outlines(Outlines),
}

impl Sight {
    const fn directory(&self) -> &Directory {
        match self {
            Self::Contents(survey) => &survey.directory,
            Self::Outlines(outlines) => outlines.directory(),
        }
    }

    async fn look(&mut self) -> Overview {
        match self {
            Self::Contents(survey) => survey.look().await,
            Self::Outlines(outlines) => outlines.look(),
        }
    }

    const fn pause_factor(&self) -> u32 {
        match self {
            Self::Contents(_) => PAUSE_FACTOR,
            Self::Outlines(_) => PAUSE_FACTOR_OF_OUTLINES,
        }
    }

    async fn reason_to_look(&self, changes: Option<&Changes>) {
        let Some(changes) = changes.filter(|changes| changes.is_told) else {
            return sleep(PAUSE_UNTOLD).await;
        };
        match self {
            // The kernel does not report when it is unlocked.
            Self::Contents(Survey { foreign_lock: true, .. }) => {
                let _ = timeout(PAUSE_WHEN_LOCKED, changes.next()).await;
            }
            Self::Contents(_) | Self::Outlines(_) => changes.next().await,
        }
    }
}

async fn keep_up(mut sight: Sight, sender: watch::Sender<Arc<Overview>>, stop: CancellationToken) {
    let changes = Changes::of(sight.directory().path());
    if let Err(error) = &changes {
        tracing::warn!("cannot watch the directory ({error}); polling every 2 s");
    }
    let mut changes = changes.ok();
    loop {
        let looked = Instant::now();
        // Listen first, so that a change during the look is reported and seen in the next one.
        if let Some(changes) = &mut changes {
            changes.listen();
        }
        let overview = tokio::select! {
            overview = sight.look() => overview,
            () = long_after(&stop) => return,
        };
        let pause = (looked.elapsed() * sight.pause_factor()).clamp(PAUSE, PAUSE_MOST);
        sender.send_if_modified(|shown| {
            let is_news = **shown != overview;
            if is_news {
                *shown = Arc::new(overview);
            }
            is_news
        });
        tokio::select! {
            () = sender.closed() => return,
            () = stop.cancelled() => return,
            () = sight.reason_to_look(changes.as_ref()) => {}
        }
        if let Some(changes) = &mut changes {
            changes.listen_no_more();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(looked + pause) => {}
        }
    }
}

/// Completes [`LAST_LOOK`] after the survey was stopped.
async fn long_after(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_LOOK).await;
}

/// A directory and what was last seen in it.
#[derive(Debug)]
pub struct Survey {
    directory: Directory,
    /// The directory that was last looked at; another may have taken its place.
    committer: Option<Arc<Committer>>,
    mailboxes: HashMap<FileName, Seen<Counted>>,
    queue: Option<Seen<Vec<QueueView>>>,
    /// Number of changes seen so far, in all mailboxes.
    revisions: u64,
    /// Whether another process has a lock, whose release is not reported.
    foreign_lock: bool,
    /// Whether the log is told what comes and goes.
    tells_log: bool,
}

/// A value derived from a file, with the state of the file.
#[derive(Debug, Clone)]
struct Seen<T> {
    sighting: Sighting,
    value: T,
}

/// A mailbox whose messages have been counted.
#[derive(Debug, Clone)]
struct Counted {
    view: MailboxView,
    /// The generation of its index; `None` if it cannot be read.
    generation: Option<u64>,
}

impl Survey {
    /// A survey that has not looked yet.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self {
            directory,
            committer: None,
            mailboxes: HashMap::new(),
            queue: None,
            revisions: 0,
            foreign_lock: false,
            tells_log: true,
        }
    }

    fn telling(directory: &Directory, tells: Tells) -> Self {
        Self { tells_log: tells == Tells::Log, ..Self::new(directory.clone()) }
    }

    /// The directory as it is now. Files that have not changed are not read.
    pub async fn look(&mut self) -> Overview {
        self.foreign_lock = false;
        let users = self.directory.users().unwrap_or_else(|error| {
            tracing::warn!("cannot list {}: {error}", self.directory.path().display());
            Vec::new()
        });
        let opened = self.directory.opened();
        self.turn_to(&opened);
        let mut mailboxes = Vec::with_capacity(users.len());
        let mut names = HashSet::new();
        for (nth, user) in users.iter().enumerate() {
            let name = user.file();
            let holder = self.holder(&opened, &name, nth);
            if let Some(view) = self.mailbox(&opened, &name, user.name(), holder).await {
                mailboxes.push(view);
                names.insert(name);
            }
        }
        let queue: FileName = QUEUE_FILE.into();
        let holder = self.holder(&opened, &queue, 0);
        mailboxes.extend(self.mailbox(&opened, &queue, QUEUE_FILE, holder).await);
        names.insert(queue);
        self.mailboxes.retain(|name, _| names.contains(name));
        let queue = self.queue(&opened).await;
        Overview { mailboxes, queue }
    }

    /// Drops what was seen in another directory, so that its mailboxes are not reported as removed.
    fn turn_to(&mut self, opened: &Opened) {
        let is_same = |before: &Arc<Committer>| Arc::ptr_eq(before, &opened.committer);
        if !self.committer.as_ref().is_some_and(is_same) {
            self.committer = Some(Arc::clone(&opened.committer));
            self.mailboxes.clear();
            self.queue = None;
        }
    }

    /// The holder of the lock of the `nth` mailbox.
    fn holder(&mut self, opened: &Opened, name: &FileName, nth: usize) -> Option<Holder> {
        let files = &opened.ground().files;
        let fcntl_lock = || {
            (nth < PROBED_MOST).then(|| holder::fcntl_lock(&opened.ground().files, name)).flatten()
        };
        // The fcntl lock last, because the mailbox has to be opened to find it.
        let holder = holder::session(&opened.sessions, files, name)
            .or_else(|| holder::dotlock(files, name))
            .or_else(fcntl_lock);
        self.foreign_lock |= holder.as_ref().is_some_and(|one| *one != Holder::OwnSession);
        holder
    }

    async fn mailbox(
        &mut self,
        opened: &Opened,
        name: &FileName,
        user: &str,
        holder: Option<Holder>,
    ) -> Option<MailboxView> {
        let sighting = opened.ground().indexes.look_at(name).ok()??;
        let stamp = sighting.stamp();
        let before = self.mailboxes.get(name);
        if let Some(seen) = before.filter(|seen| seen.sighting.proves(stamp)) {
            return Some(MailboxView { holder, ..seen.value.view.clone() });
        }
        let identity = before.map(|seen| seen.sighting.stamp().identity);
        let before = before.map(|seen| seen.value.clone());
        let (index, error) = match count(opened, name).await {
            Ok(index) => (Some(index), None),
            Err(ConnectionError::Locked) => {
                self.foreign_lock = true;
                // What was seen before is shown on; the next look tries again.
                let holder = Some(whoever(holder, opened, name));
                let unknown = || MailboxView::unknown(user, stamp.size);
                return Some(MailboxView {
                    holder,
                    ..before.map_or_else(unknown, |before| before.view)
                });
            }
            Err(ConnectionError::Other(why)) => (None, Some(why)),
        };
        self.revisions += 1;
        let (octets, revision) = (stamp.size, self.revisions);
        let messages = index.as_ref().map(|index| index.messages.len() as u64);
        let generation = index.map(|index| index.generation());
        let has_grown =
            |before: &&Counted| identity == Some(stamp.identity) && before.generation == generation;
        let edition = before.as_ref().filter(has_grown).map_or(revision, |one| one.view.edition);
        let name_shown = user.to_owned();
        let view =
            MailboxView { name: name_shown, messages, octets, revision, edition, holder, error };
        if let Some(before) = before.filter(|_| self.tells_log) {
            tell_change(&before.view, &view);
        }
        let value = Counted { view: view.clone(), generation };
        self.mailboxes.insert(Arc::clone(name), Seen { sighting, value });
        Some(view)
    }

    async fn queue(&mut self, opened: &Opened) -> Vec<QueueView> {
        let name: FileName = QUEUE_FILE.into();
        let Ok(Some(sighting)) = opened.ground().indexes.look_at(&name) else { return Vec::new() };
        let stamp = sighting.stamp();
        if let Some(seen) = self.queue.as_ref().filter(|seen| seen.sighting.proves(stamp)) {
            return seen.value.clone();
        }
        match list_queue(opened, &name).await {
            Ok(value) => {
                self.queue = Some(Seen { sighting, value: value.clone() });
                value
            }
            Err(error) => {
                self.foreign_lock |= matches!(error, ConnectionError::Locked);
                self.queue.as_ref().map(|seen| seen.value.clone()).unwrap_or_default()
            }
        }
    }
}

/// The holder of the lock of a file that could not be read.
fn whoever(known: Option<Holder>, opened: &Opened, name: &FileName) -> Holder {
    let holder = known.or_else(|| holder::fcntl_lock(&opened.ground().files, name));
    holder.unwrap_or(Holder::Program(None))
}

/// Logs messages that have come and gone since the last look, whatever program was the cause.
fn tell_change(before: &MailboxView, now: &MailboxView) {
    let name = &now.name;
    match (before.messages, now.messages, &now.error) {
        (_, _, Some(why)) if before.error.as_ref() != Some(why) => {
            tracing::warn!(target: "mailbox", "{name}: {why}");
        }
        (Some(before), Some(now), _) if before < now => {
            tracing::info!(target: "mailbox", "{name}: {} came, {now} in all", now - before);
        }
        (Some(before), Some(now), _) if before > now => {
            tracing::info!(target: "mailbox", "{name}: {} removed, {now} left", before - now);
        }
        _ => {}
    }
}

/// Why a file could not be looked at.
enum ConnectionError {
    Locked,
    Other(String),
}

impl From<LockError> for ConnectionError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Locked,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<IndexError> for ConnectionError {
    fn from(error: IndexError) -> Self {
        Self::Other(error.to_string())
    }
}

async fn count(opened: &Opened, name: &FileName) -> Result<Arc<Index>, ConnectionError> {
    let index = indexed(opened, name);
    Ok(committer::with_locked_at_once(&opened.committer, name, Purpose::Read, index).await??)
}

fn indexed(
    opened: &Opened,
    name: &FileName,
) -> impl FnOnce(LockedFile) -> Result<Arc<Index>, IndexError> + Send + 'static {
    let (committer, name) = (Arc::clone(&opened.committer), Arc::clone(name));
    move |locked| Ok(committer.ground().indexes.of(&name, locked.file())?.index)
}

async fn list_queue(opened: &Opened, name: &FileName) -> Result<Vec<QueueView>, ConnectionError> {
    let index = indexed(opened, name);
    let list = move |locked: LockedFile| {
        // The clone keeps the lock until the entries have been read: OFD locks last until the last
        // descriptor is closed.
        let file = locked.file().try_clone()?;
        let index = index(locked)?;
        let spans = index.messages.iter().map(|message| message.span);
        Ok(queue::views(&file, spans, QUEUE_LISTED)?)
    };
    let listed: Result<_, IndexError> =
        committer::with_locked_at_once(&opened.committer, name, Purpose::Read, list).await?;
    Ok(listed?)
}

/// Notices from the kernel that something in a directory has changed. One notice is enough for a
/// look, so we stop listening until the next one: deliveries would bring thousands.
struct Changes {
    watcher: RecommendedWatcher,
    directory: PathBuf,
    parent: Option<Parent>,
    /// Whether the kernel is reporting now.
    is_told: bool,
    /// Holds at most one notice, however many changes there were.
    told: Arc<Notify>,
}

/// The directory's parent, which reports if another directory takes its place. It is watched all the
/// time: deliveries do not concern it, and each time a watch begins, the kernel goes through all names
/// in the directory.
struct Parent {
    path: PathBuf,
    /// Which directory is listened to.
    heard: Option<Identity>,
}

/// Which directory has a path: device, inode and, as an inode number can be used again, the time when
/// it was made.
type Identity = (u64, u64, Option<SystemTime>);

impl Parent {
    /// Listens to the directory that is there now.
    fn listen(&mut self, watcher: &mut RecommendedWatcher) {
        let identity = |found: Metadata| (found.dev(), found.ino(), found.created().ok());
        let there = fs::metadata(&self.path).ok().map(identity);
        if there != self.heard {
            // It may be gone.
            let _ = watcher.unwatch(&self.path);
            // We may lack permission for it.
            let heard = watcher.watch(&self.path, RecursiveMode::NonRecursive).ok();
            self.heard = there.filter(|_| heard.is_some());
        }
    }
}

impl Changes {
    fn of(directory: &Path) -> notify::Result<Self> {
        let directory = path::absolute(directory)?;
        let told = Arc::new(Notify::new());
        let (ours, tell) = (directory.clone(), Arc::clone(&told));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&ours, &event)) {
                tell.notify_one();
            }
        })?;
        let parent = directory.parent().map(|path| Parent { path: path.to_owned(), heard: None });
        Ok(Self { watcher, directory, parent, is_told: false, told })
    }

    /// Starts to listen for changes, as far as the kernel can report them.
    fn listen(&mut self) {
        let listening = self.watcher.watch(&self.directory, RecursiveMode::NonRecursive);
        if let Err(error) = &listening {
            tracing::warn!("{}: cannot watch the directory: {error}", self.directory.display());
        }
        self.is_told = listening.is_ok();
        if let Some(parent) = self.parent.as_mut().filter(|_| self.is_told) {
            parent.listen(&mut self.watcher);
        }
    }

    fn listen_no_more(&mut self) {
        if self.is_told {
            // A directory that is gone causes an error here; the next look reports it.
            let _ = self.watcher.unwatch(&self.directory);
        }
        self.is_told = false;
    }

    /// Completes when something has changed since the last call.
    async fn next(&self) {
        self.told.notified().await;
    }
}

/// Whether something has happened to the directory, within it, or to one above it.
fn concerns(directory: &Path, event: &Event) -> bool {
    let is_meant = |path: &PathBuf| path.starts_with(directory) || directory.starts_with(path);
    // Opening a file is no change, and we do it ourselves at every look.
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_meant))
}
