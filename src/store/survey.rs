//! Looks over the directory and keeps a picture of it up to date, told by the kernel when
//! something has changed: the state plane of the console for what lies on disk.

use std::collections::{HashMap, HashSet};
use std::iter;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::store::committer::{self, Committer, LockError};
use crate::store::directory::{Directory, Opened};
use crate::store::files::FileName;
use crate::store::ground::QUEUE_FILE;
use crate::store::holder;
use crate::store::index::{Index, IndexError};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::overview::{Holder, MailboxView, Overview, QueueView};
use crate::store::queue;
use crate::store::sighting::Sighting;

/// Time between two looks at least, however much happens.
const PAUSE: Duration = Duration::from_millis(200);

/// The same where looks take long, because a large mailbox that another program has appended to is
/// read: so many times as long as the last one took, so that looking on is never what a machine is
/// busy with.
const PAUSE_FACTOR: u32 = 5;

/// But no longer than this.
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// Until the next look when the last one found a file locked by somebody else, whose unlocking the
/// kernel does not tell.
const PAUSE_WHEN_LOCKED: Duration = Duration::from_secs(1);

/// Time between two looks where the kernel cannot tell of changes.
const PAUSE_UNTOLD: Duration = Duration::from_secs(2);

/// Recipients of the queue that are listed at most.
pub const QUEUE_LISTED: usize = 10_000;

/// Mailboxes that are opened at each look to see who has an fcntl lock on them; of more, only those
/// that have changed and cannot be read.
const PROBED_MOST: usize = 100;

/// Begins to watch a directory; the picture is renewed until nobody has its receiver any more.
#[must_use]
pub fn follow(directory: &Directory) -> watch::Receiver<Arc<Overview>> {
    let (sender, receiver) = watch::channel(Arc::default());
    tokio::spawn(keep_up(Survey::new(directory.clone()), sender));
    receiver
}

async fn keep_up(mut survey: Survey, sender: watch::Sender<Arc<Overview>>) {
    let changes = Changes::of(survey.directory.path());
    if let Err(error) = &changes {
        tracing::warn!("cannot watch the directory ({error}); polling every 2 s");
    }
    let mut changes = changes.ok();
    loop {
        let looked = Instant::now();
        // First, so that what changes while we look is told, and seen in the next look.
        if let Some(changes) = &mut changes {
            changes.listen();
        }
        let overview = survey.look().await;
        let pause = (looked.elapsed() * PAUSE_FACTOR).clamp(PAUSE, PAUSE_MOST);
        sender.send_if_modified(|shown| {
            let is_news = **shown != overview;
            if is_news {
                *shown = Arc::new(overview);
            }
            is_news
        });
        tokio::select! {
            () = sender.closed() => return,
            () = survey.reason_to_look(changes.as_ref()) => {}
        }
        if let Some(changes) = &mut changes {
            changes.listen_no_more();
        }
        sleep_until(looked + pause).await;
    }
}

/// A directory and what was last seen in it.
#[derive(Debug)]
pub struct Survey {
    directory: Directory,
    /// Of the directory that was looked at last: another may have taken its place.
    committer: Option<Arc<Committer>>,
    mailboxes: HashMap<FileName, Seen<MailboxView>>,
    queue: Option<Seen<Vec<QueueView>>>,
    /// Changes seen so far, of all mailboxes.
    revisions: u64,
    /// Whether another process has something locked, whose unlocking nobody tells.
    foreign_lock: bool,
}

/// What a file held when it was in a certain state.
#[derive(Debug, Clone)]
struct Seen<T> {
    sighting: Sighting,
    value: T,
}

impl Survey {
    /// A survey that has seen nothing yet.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self {
            directory,
            committer: None,
            mailboxes: HashMap::new(),
            queue: None,
            revisions: 0,
            foreign_lock: false,
        }
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

    /// Forgets what was in another directory: nobody has removed it from this one.
    fn turn_to(&mut self, opened: &Opened) {
        let is_same = |before: &Arc<Committer>| Arc::ptr_eq(before, &opened.committer);
        if !self.committer.as_ref().is_some_and(is_same) {
            self.committer = Some(Arc::clone(&opened.committer));
            self.mailboxes.clear();
            self.queue = None;
        }
    }

    /// Who has the `nth` mailbox locked.
    fn holder(&mut self, opened: &Opened, name: &FileName, nth: usize) -> Option<Holder> {
        let files = &opened.ground().files;
        let fcntl_lock = || {
            (nth < PROBED_MOST).then(|| holder::fcntl_lock(&opened.ground().files, name)).flatten()
        };
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
            return Some(MailboxView { holder, ..seen.value.clone() });
        }
        let before = before.map(|seen| seen.value.clone());
        let (messages, trouble) = match count(opened, name).await {
            Ok(index) => (Some(index.messages.len() as u64), None),
            Err(Trouble::Locked) => {
                self.foreign_lock = true;
                let holder = Some(whoever(holder, opened, name));
                let before = before.unwrap_or_else(|| MailboxView::unknown(user, stamp.size));
                return Some(MailboxView { holder, ..before });
            }
            Err(Trouble::Other(why)) => (None, Some(why)),
        };
        self.revisions += 1;
        let (octets, revision) = (stamp.size, self.revisions);
        let value =
            MailboxView { messages, octets, revision, holder, trouble, name: user.to_owned() };
        if let Some(before) = before {
            tell_change(&before, &value);
        }
        self.mailboxes.insert(Arc::clone(name), Seen { sighting, value: value.clone() });
        Some(value)
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
            Err(trouble) => {
                self.foreign_lock |= matches!(trouble, Trouble::Locked);
                self.queue.as_ref().map(|seen| seen.value.clone()).unwrap_or_default()
            }
        }
    }

    async fn reason_to_look(&self, changes: Option<&Changes>) {
        let Some(changes) = changes.filter(|changes| changes.is_told) else {
            return sleep(PAUSE_UNTOLD).await;
        };
        if self.foreign_lock {
            let _ = timeout(PAUSE_WHEN_LOCKED, changes.next()).await;
        } else {
            changes.next().await;
        }
    }
}

/// Who has a file locked that could not be looked at.
fn whoever(known: Option<Holder>, opened: &Opened, name: &FileName) -> Holder {
    let holder = known.or_else(|| holder::fcntl_lock(&opened.ground().files, name));
    holder.unwrap_or(Holder::Program(None))
}

/// Says in the log what has come and gone since the last look, whoever brought or took it.
fn tell_change(before: &MailboxView, now: &MailboxView) {
    let name = &now.name;
    match (before.messages, now.messages, &now.trouble) {
        (_, _, Some(why)) if before.trouble.as_ref() != Some(why) => {
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

impl MailboxView {
    fn unknown(user: &str, octets: u64) -> Self {
        Self {
            name: user.to_owned(),
            messages: None,
            octets,
            revision: 0,
            holder: None,
            trouble: None,
        }
    }
}

/// Why a file could not be looked at.
enum Trouble {
    Locked,
    Other(String),
}

impl From<LockError> for Trouble {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Locked,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<IndexError> for Trouble {
    fn from(error: IndexError) -> Self {
        Self::Other(error.to_string())
    }
}

async fn count(opened: &Opened, name: &FileName) -> Result<Arc<Index>, Trouble> {
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

async fn list_queue(opened: &Opened, name: &FileName) -> Result<Vec<QueueView>, Trouble> {
    let index = indexed(opened, name);
    let list = move |locked: LockedFile| {
        let file = locked.file().try_clone()?;
        let index = index(locked)?;
        let spans = index.messages.iter().map(|message| message.span);
        Ok(queue::views(&file, spans, QUEUE_LISTED)?)
    };
    let listed: Result<_, IndexError> =
        committer::with_locked_at_once(&opened.committer, name, Purpose::Read, list).await?;
    Ok(listed?)
}

/// The kernel's word that something in a directory has changed. One word is enough to look: nobody
/// listens to the others, which deliveries would bring by the thousand, until we look again.
struct Changes {
    watcher: RecommendedWatcher,
    directory: PathBuf,
    /// What the directory has its name in: a directory that takes its place is told there.
    parent: Option<PathBuf>,
    /// Whether the kernel tells at the moment.
    is_told: bool,
    /// Holds one word, however many changes there were.
    told: Arc<Notify>,
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
        let parent = directory.parent().map(Path::to_owned);
        Ok(Self { watcher, directory, parent, is_told: false, told })
    }

    /// From now on, as far as the kernel can tell.
    fn listen(&mut self) {
        let listening = self.watcher.watch(&self.directory, RecursiveMode::NonRecursive);
        if let Err(error) = &listening {
            tracing::warn!("{}: changes are not told: {error}", self.directory.display());
        }
        self.is_told = listening.is_ok();
        if let Some(parent) = self.parent.as_ref().filter(|_| self.is_told) {
            // It may be one that we must not read.
            let _ = self.watcher.watch(parent, RecursiveMode::NonRecursive);
        }
    }

    fn listen_no_more(&mut self) {
        if self.is_told {
            // What could be said of a directory that is gone is said when it is looked at.
            for watched in iter::once(&self.directory).chain(&self.parent) {
                let _ = self.watcher.unwatch(watched);
            }
        }
        self.is_told = false;
    }

    /// Until something has changed since the last call.
    async fn next(&self) {
        self.told.notified().await;
    }
}

/// Whether something has happened to the directory, in it, or to what holds it.
fn concerns(directory: &Path, event: &Event) -> bool {
    let is_meant = |path: &PathBuf| path.starts_with(directory) || directory.starts_with(path);
    // That somebody opened a file changes nothing; we do it ourselves at every look.
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_meant))
}
