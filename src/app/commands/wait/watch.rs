//! A directory that is followed until enough of its messages match. The kernel tells of changes; a
//! message is looked at once as long as its mailbox only grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::app::commands::output::in_words;
use crate::mailroom::folder::{Folder, Hit, oldest_first};
use crate::mailroom::query::Query;
use crate::store::browse::MaildropError;
use crate::store::directory::{Directory, User};
use crate::store::index::ReadError;
use crate::store::overview::Overview;
use crate::store::since::{Mark, Newer};
use crate::store::survey::{self, Tells};
use crate::wire::display::DisplayText;

/// Attempts to read a mailbox that another program changes at the same time. It is looked at again
/// when it has changed once more.
const ATTEMPTS: usize = 5;

/// How long the first look may take if the time is up before: messages that are there are found
/// also without waiting.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Messages that came instead of those that were waited for, as many as are told of.
const OTHERS_MOST: usize = 10;

/// A directory, and what was found in it.
pub(super) struct Watch {
    directory: Directory,
    query: Arc<Query>,
    mark: Option<Mark>,
    /// The mailboxes, by name.
    seen: BTreeMap<String, Seen>,
    /// The last revision of each mailbox that was looked at.
    revisions: HashMap<String, u64>,
    /// Whether all mailboxes were looked at once.
    has_begun: bool,
    /// What is wrong with mailboxes that cannot be read.
    unread: BTreeMap<String, String>,
}

/// A mailbox, and what was found in it.
struct Seen {
    folder: Folder,
    newer: Newer,
    /// How many messages were looked at.
    looked_at: usize,
    hits: Vec<Hit>,
    /// How many messages there were at first, before any came.
    before: usize,
}

impl Watch {
    pub(super) fn new(directory: Directory, query: Arc<Query>, mark: Option<Mark>) -> Self {
        Self {
            directory,
            query,
            mark,
            seen: BTreeMap::new(),
            revisions: HashMap::new(),
            has_begun: false,
            unread: BTreeMap::new(),
        }
    }

    /// Waits until so many messages match; `false` if the time is up before.
    pub(super) async fn wait_for(&mut self, count: usize, deadline: Instant) -> bool {
        // Before the first look, so that nothing is missed between it and the next.
        let mut changes = survey::follow(&self.directory, Tells::Nobody);
        let first = deadline.max(Instant::now() + FIRST_LOOK);
        if timeout_at(first, self.look_at_all()).await.is_err() {
            return self.found() >= count;
        }
        self.has_begun = true;
        while self.found() < count {
            let followed = timeout_at(deadline, self.follow(&mut changes)).await;
            if followed != Ok(true) {
                return false;
            }
        }
        true
    }

    async fn look_at_all(&mut self) {
        for user in self.directory.users().unwrap_or_default() {
            self.look_at(&user).await;
        }
    }

    /// Waits for a change, and looks at what has changed; `false` if there will be none.
    async fn follow(&mut self, changes: &mut watch::Receiver<Arc<Overview>>) -> bool {
        if changes.changed().await.is_err() {
            return false;
        }
        let overview = Arc::clone(&changes.borrow_and_update());
        // A mailbox that is gone has no messages.
        self.seen.retain(|name, _| overview.mailboxes.iter().any(|view| view.name == *name));
        for view in &overview.mailboxes {
            // Locked by another program: the survey looks again until it is not.
            let is_known = view.messages.is_some() || view.error.is_some();
            let revision = self.revisions.get(&view.name);
            if is_known
                && revision != Some(&view.revision)
                && let Some(user) = self.directory.mailbox(&view.name)
            {
                self.look_at(&user).await;
                // A lock that is given back changes the view, but not the revision.
                if !self.unread.contains_key(&view.name) || view.error.is_some() {
                    self.revisions.insert(view.name.clone(), view.revision);
                }
            }
        }
        true
    }

    /// Looks at the messages of a mailbox that were not looked at yet.
    async fn look_at(&mut self, user: &User) {
        let mut looked = Err(MaildropError::Busy.to_string());
        for _ in 0..ATTEMPTS {
            looked = match self.try_look_at(user).await {
                Err(LookError::Changed) => continue,
                Err(LookError::Other(why)) => Err(why),
                Ok(()) => Ok(()),
            };
            break;
        }
        match looked {
            Ok(()) => drop(self.unread.remove(user.name())),
            Err(why) => drop(self.unread.insert(user.name().to_owned(), why)),
        }
    }

    async fn try_look_at(&mut self, user: &User) -> Result<(), LookError> {
        let folder = match Folder::open(&self.directory, user).await {
            Err(MaildropError::Missing) => {
                self.seen.remove(user.name());
                return Ok(());
            }
            opened => opened?,
        };
        let known = self.seen.get(user.name()).filter(|seen| folder.continues(&seen.folder));
        let (newer, from, mut hits) = match known {
            Some(seen) => (seen.newer, seen.looked_at, seen.hits.clone()),
            None => (self.newer(&folder).await?, 0, Vec::new()),
        };
        let count = folder.count();
        hits.extend(folder.find(&self.query, from..count, newer).await?);
        let before = match self.seen.get(user.name()) {
            Some(seen) => seen.before.min(count),
            None if self.has_begun => 0,
            None => count,
        };
        let seen = Seen { folder, newer, looked_at: count, hits, before };
        self.seen.insert(user.name().to_owned(), seen);
        Ok(())
    }

    async fn newer(&self, folder: &Folder) -> Result<Newer, ReadError> {
        match &self.mark {
            Some(mark) => folder.newer(&self.directory, mark).await,
            None => Ok(Newer::From(0)),
        }
    }

    /// How many messages match.
    pub(super) fn found(&self) -> usize {
        self.seen.values().map(|seen| seen.hits.len()).sum()
    }

    /// The oldest messages that match.
    pub(super) fn oldest(&self, count: usize) -> Vec<(Folder, usize)> {
        let seen: Vec<&Seen> = self.seen.values().collect();
        let hits: Vec<Vec<Hit>> = seen.iter().map(|seen| seen.hits.clone()).collect();
        let oldest = oldest_first(&hits).into_iter().take(count);
        let found = oldest.filter_map(|(which, hit)| {
            seen.get(which).map(|seen| (seen.folder.clone(), hit.place))
        });
        found.collect()
    }

    /// What came instead, in a few words.
    pub(super) fn summary(&self) -> String {
        let mut words = match self.others_of_all().iter().map(|(_, hits)| hits.len()).sum::<usize>()
        {
            0 => "none came".to_owned(),
            1 => "1 came that does not match:".to_owned(),
            others if others > OTHERS_MOST => {
                format!("{others} came that do not match, the last of them:")
            }
            others => format!("{others} came that do not match:"),
        };
        for (mailbox, why) in &self.unread {
            words = format!("{mailbox} cannot be read ({}); {words}", DisplayText::from(&**why));
        }
        words
    }

    /// The messages that came instead, each in a line; the newest, if there are many.
    pub(super) async fn others(&self) -> Vec<String> {
        let others = self.others_of_all();
        let hits: Vec<Vec<Hit>> = others.iter().map(|(_, hits)| hits.clone()).collect();
        let merged = oldest_first(&hits);
        let mut lines = Vec::new();
        for (which, hit) in merged.iter().skip(merged.len().saturating_sub(OTHERS_MOST)) {
            let Some((seen, _)) = others.get(*which) else { continue };
            if let Ok(letter) = seen.folder.head(hit.place).await {
                lines.push(in_words(&letter.listed()));
            }
        }
        lines
    }

    /// The messages that came and do not match. Without a mark they came after the first look.
    fn others_of_all(&self) -> Vec<(&Seen, Vec<Hit>)> {
        let others = |seen: &Seen| {
            let is_hit =
                |place: usize| seen.hits.binary_search_by_key(&place, |hit| hit.place).is_ok();
            let first = match (&self.mark, seen.newer) {
                (Some(_), Newer::From(first)) => first,
                // Where only dates tell, the last ones are the most likely.
                (None, _) | (Some(_), Newer::At(_)) => seen.before,
            };
            let places = (first..seen.folder.count()).filter(|place| !is_hit(*place));
            places.map(|place| Hit { place, date: 0 }).collect()
        };
        self.seen.values().map(|seen| (seen, others(seen))).collect()
    }
}

/// Why a mailbox was not looked at.
enum LookError {
    /// Another program is changing it.
    Changed,
    /// It cannot be read.
    Other(String),
}

impl From<MaildropError> for LookError {
    fn from(error: MaildropError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<ReadError> for LookError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Changed => Self::Changed,
            error => Self::Other(error.to_string()),
        }
    }
}
