//! Keeps mailboxes from growing: removes their oldest messages, beside the servers, for as long as
//! they run.
//!
//! See docs/files.md 6.4.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::directory::Directory;
use crate::store::overview::{Holder, MailboxView, Overview};
use crate::store::retention::{Keep, KeepError, Kept, Oldest};

/// Pause after a change, so that a burst of deliveries is followed by one rewrite.
const SETTLE: Duration = Duration::from_secs(1);

/// Pause before another attempt at a mailbox that is in use: nobody tells when another program
/// unlocks it.
const RETRY: Duration = Duration::from_secs(1);

/// The longest pause while a message is known to expire: the clock may be set meanwhile, and time
/// passes while the machine is suspended.
const PAUSE_MOST: Duration = Duration::from_mins(1);

/// Removes old messages until `stop` is cancelled; `overview` says when mailboxes change. What has
/// begun is finished.
pub async fn run(
    directory: Directory,
    keep: Keep,
    overview: watch::Receiver<Arc<Overview>>,
    stop: CancellationToken,
) {
    Retention { directory, keep, mailboxes: HashMap::new(), stop }.keep_up(overview).await;
}

struct Retention {
    directory: Directory,
    keep: Keep,
    /// By name, those that are there.
    mailboxes: HashMap<String, Seen>,
    stop: CancellationToken,
}

/// What is known of a mailbox.
#[derive(Debug, Default)]
struct Seen {
    /// Its revision when nothing was left to do.
    done: Option<u64>,
    oldest: Option<Oldest>,
}

impl Retention {
    async fn keep_up(&mut self, mut overview: watch::Receiver<Arc<Overview>>) {
        loop {
            let seen = Arc::clone(&overview.borrow_and_update());
            let pause = self.look(&seen).await;
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = something(&mut overview, pause) => {}
            }
        }
    }

    /// Goes through all mailboxes; returns how long it may be until something is to be done, unless
    /// one changes before.
    async fn look(&mut self, overview: &Overview) -> Option<Duration> {
        let mut soonest: Option<Duration> = None;
        let mut before = std::mem::take(&mut self.mailboxes);
        for mailbox in &overview.mailboxes {
            if self.stop.is_cancelled() {
                break;
            }
            let mut seen = before.remove(&mailbox.name).unwrap_or_default();
            let pause = self.mailbox(mailbox, &mut seen).await;
            soonest = [soonest, pause].into_iter().flatten().min();
            self.mailboxes.insert(mailbox.name.clone(), seen);
        }
        soonest
    }

    async fn mailbox(&self, mailbox: &MailboxView, seen: &mut Seen) -> Option<Duration> {
        let now = SystemTime::now();
        // The end of a session is a change. What cannot be read is left alone.
        if is_held(mailbox) || mailbox.messages.is_none() {
            return None;
        }
        if !self.is_due(mailbox, seen, now) {
            return self.pause(seen, now);
        }
        // None for the queue.
        let user = self.directory.mailbox(&mailbox.name)?;
        match self.directory.keep(&user, self.keep, seen.oldest, now).await {
            Ok(Kept { removed, oldest }) => {
                *seen = Seen { done: Some(mailbox.revision), oldest };
                tell(&mailbox.name, removed, self.keep);
                self.pause(seen, now)
            }
            Err(KeepError::InUse) => Some(RETRY),
            Err(KeepError::Failed(error)) => {
                tracing::warn!(target: "mailbox", "{}: no old messages removed: {error}", mailbox.name);
                // Not again before it changes.
                *seen = Seen { done: Some(mailbox.revision), oldest: None };
                None
            }
        }
    }

    fn is_due(&self, mailbox: &MailboxView, seen: &Seen, now: SystemTime) -> bool {
        let is_new = seen.done != Some(mailbox.revision);
        match self.keep {
            Keep::Messages(most) => is_new && mailbox.messages.is_some_and(|all| all > most as u64),
            Keep::For(age) => is_new || expires(seen, age).is_some_and(|at| at <= now),
        }
    }

    fn pause(&self, seen: &Seen, now: SystemTime) -> Option<Duration> {
        match self.keep {
            Keep::Messages(_) => None,
            Keep::For(age) => {
                let left = expires(seen, age)?.duration_since(now).unwrap_or_default();
                Some((left + Duration::from_millis(1)).min(PAUSE_MOST))
            }
        }
    }
}

fn expires(seen: &Seen, age: Duration) -> Option<SystemTime> {
    seen.oldest.and_then(|oldest| oldest.expires(age))
}

const fn is_held(mailbox: &MailboxView) -> bool {
    matches!(mailbox.holder, Some(Holder::OwnSession | Holder::OtherSession(_)))
}

fn tell(name: &str, removed: usize, keep: Keep) {
    if removed > 0 {
        tracing::info!(target: "mailbox", "{name}: {removed} removed, because --keep is {keep}");
    }
}

/// Waits until something has changed, or for a pause.
async fn something(overview: &mut watch::Receiver<Arc<Overview>>, pause: Option<Duration>) {
    let changed = async {
        match overview.changed().await {
            Ok(()) => sleep(SETTLE).await,
            // Cannot happen: the survey ends with its receivers.
            Err(_) => std::future::pending().await,
        }
    };
    match pause {
        Some(pause) => drop(timeout(pause, changed).await),
        None => changed.await,
    }
}
