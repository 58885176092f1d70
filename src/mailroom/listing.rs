//! The listed messages of a mailbox, and the task that lists them and the messages that arrive
//! later.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};

use crate::mailroom::folder::Folder;
use crate::mailroom::query::Query;
use crate::mailroom::{LISTED_MOST, MailroomEvent, MessageKey, Summary, decode};
use crate::store::browse::{Head, Snapshot};
use crate::store::directory::Directory;
use crate::store::index::ReadError;
use crate::store::maildrop::MaildropError;
use crate::store::overview::{MailboxView, Overview};
use crate::store::since::Newer;

/// The most messages in one report.
const BATCH: usize = 512;

/// The messages beyond [`LISTED_MOST`] that may be added before the listing starts over.
const MORE_MOST: usize = LISTED_MOST / 10;

/// The attempts to list a mailbox that another program changes at the same time.
const ATTEMPTS: usize = 5;

/// A listing, shared between the task that adds to it and its readers.
#[derive(Debug, Clone, Default)]
pub struct Listing(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    snapshot: Option<Arc<Snapshot>>,
    /// The range of its messages that have been listed.
    places: Range<usize>,
    keys: HashMap<MessageKey, usize>,
    /// The number of messages with each hash.
    alike: HashMap<u64, u32>,
    /// What is searched for in what is listed.
    search: Option<Search>,
}

/// A query, and how it was requested.
#[derive(Debug, Clone)]
pub struct Search {
    /// As it was requested.
    pub line: Arc<str>,
    /// What it means.
    pub query: Arc<Query>,
}

/// A listed message.
#[derive(Debug, Clone)]
pub struct Found {
    key: MessageKey,
    /// The mailbox as it was when it was last read.
    pub snapshot: Arc<Snapshot>,
    /// The index of the message in the snapshot.
    pub place: usize,
}

/// What a new snapshot means for the listing.
enum Turn {
    Anew,
    MoreCame,
    NothingNew,
}

impl Listing {
    /// The message with this key, if it has been listed.
    #[must_use]
    pub fn find(&self, key: MessageKey) -> Option<Found> {
        let listed = self.lock();
        let place = *listed.keys.get(&key)?;
        Some(Found { key, snapshot: Arc::clone(listed.snapshot.as_ref()?), place })
    }

    /// Those of the messages that have been listed, all from one snapshot, in the order of the
    /// mailbox.
    #[must_use]
    pub fn find_all(&self, keys: &[MessageKey]) -> Vec<Found> {
        let listed = self.lock();
        let Some(snapshot) = &listed.snapshot else { return Vec::new() };
        let found = |key: &MessageKey| {
            let place = *listed.keys.get(key)?;
            Some(Found { key: *key, snapshot: Arc::clone(snapshot), place })
        };
        let mut all: Vec<Found> = keys.iter().filter_map(found).collect();
        all.sort_unstable_by_key(|found| found.place);
        all
    }

    /// Searches for this from now on in what is added, or for nothing. Returns it with what has been
    /// listed already.
    #[must_use]
    pub fn search_for(
        &self,
        search: Option<Search>,
    ) -> Option<(Search, Arc<Snapshot>, Range<usize>)> {
        let mut listed = self.lock();
        listed.search.clone_from(&search);
        Some((search?, Arc::clone(listed.snapshot.as_ref()?), listed.places.clone()))
    }

    fn search(&self) -> Option<Search> {
        self.lock().search.clone()
    }

    /// The keys of the listed messages at these places.
    fn keys_at(&self, places: &HashSet<usize>) -> Vec<MessageKey> {
        let listed = self.lock();
        let meant = listed.keys.iter().filter(|(_, place)| places.contains(place));
        meant.map(|(key, _)| *key).collect()
    }

    fn forget(&self) {
        let mut listed = self.lock();
        let search = listed.search.take();
        *listed = Listed { search, ..Listed::default() };
    }

    /// Switches to a new snapshot; also returns the range of messages to list.
    fn turn_to(&self, snapshot: &Arc<Snapshot>) -> (Turn, Range<usize>) {
        let (mut listed, count) = (self.lock(), snapshot.count());
        let fits = count.saturating_sub(listed.places.start) <= LISTED_MOST + MORE_MOST;
        let continues = listed.snapshot.as_ref().is_some_and(|before| snapshot.continues(before));
        let turn = match listed.places.end {
            _ if !(continues && fits) => Turn::Anew,
            end if end == count => Turn::NothingNew,
            _ => Turn::MoreCame,
        };
        if let Turn::Anew = turn {
            let first = count.saturating_sub(LISTED_MOST);
            let search = listed.search.take();
            *listed = Listed { places: first..first, search, ..Listed::default() };
        }
        listed.snapshot = Some(Arc::clone(snapshot));
        (turn, listed.places.end..count)
    }

    /// Adds the next messages; returns their rows.
    fn add(&self, heads: &[Head]) -> Vec<Summary> {
        // Hashed before the lock is taken, which other tasks wait for.
        let hashes: Vec<u64> = heads.iter().map(decode::hash).collect();
        let named = self.lock().name(&hashes);
        let summary = |(head, (key, place)): (&Head, (MessageKey, usize))| {
            decode::summary(key, place + 1, head)
        };
        heads.iter().zip(named).map(summary).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock()
    }
}

impl Listed {
    /// Assigns keys to the next messages; also returns their indexes.
    fn name(&mut self, hashes: &[u64]) -> Vec<(MessageKey, usize)> {
        let mut named = Vec::with_capacity(hashes.len());
        for &hash in hashes {
            let alike = self.alike.entry(hash).or_default();
            let key = MessageKey { hash, occurrence: *alike };
            *alike += 1;
            self.keys.insert(key, self.places.end);
            named.push((key, self.places.end));
            self.places.end += 1;
        }
        named
    }
}

impl Found {
    /// Its number, counted from 1, as in POP3.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.place + 1
    }

    /// The header of the message.
    ///
    /// # Errors
    ///
    /// If it is no longer the message that was listed, or cannot be read.
    pub async fn head(&self) -> Result<Head, ReadError> {
        let heads = self.snapshot.heads(self.place..self.place + 1).await?;
        let head = heads.into_iter().next().ok_or(ReadError::Missing)?;
        if decode::hash(&head) == self.key.hash { Ok(head) } else { Err(ReadError::Changed) }
    }
}

/// Checks that these messages, sorted by index, are still the ones that were listed.
///
/// # Errors
///
/// If one of them is not, or cannot be read.
pub async fn make_sure_of(messages: &[Found]) -> Result<(), ReadError> {
    for run in messages.chunk_by(|one, next| one.place + 1 == next.place) {
        for part in run.chunks(BATCH) {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let heads = first.snapshot.heads(first.place..last.place + 1).await?;
            let is_same = |(found, head): (&Found, &Head)| decode::hash(head) == found.key.hash;
            if heads.len() != part.len() || !part.iter().zip(&heads).all(is_same) {
                return Err(ReadError::Changed);
            }
        }
    }
    Ok(())
}

/// The task that lists a mailbox and the messages that arrive later.
#[derive(Debug)]
pub struct Lister {
    /// The directory with the mailbox.
    pub directory: Directory,
    /// The name of the mailbox.
    pub mailbox: Arc<str>,
    /// Reports changes of mailboxes.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// The listing to add to.
    pub listing: Listing,
    /// Receives the results.
    pub news: mpsc::Sender<MailroomEvent>,
}

impl Lister {
    /// Runs until it is dropped or there are no more changes to wait for.
    pub async fn work(mut self) {
        loop {
            // Read before the listing begins, so that a change during the listing is noticed
            // afterwards.
            let seen = view(&self.overview.borrow_and_update(), &self.mailbox);
            if let Err(why) = self.list().await {
                let words = format!("Cannot list {}: {why}.", self.mailbox);
                self.tell(MailroomEvent::NotListed(words)).await;
            }
            let has_changed = |overview: &Arc<Overview>| view(overview, &self.mailbox) != seen;
            if self.overview.wait_for(has_changed).await.is_err() {
                return;
            }
        }
    }

    /// Lists the messages that have not been listed yet.
    async fn list(&self) -> Result<(), String> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot().await.map_err(|error| error.to_string())?;
            match self.list_messages(&Arc::new(snapshot)).await {
                Err(ReadError::Changed) => self.listing.forget(),
                listed => return listed.map_err(|error| error.to_string()),
            }
        }
        Err("another program keeps changing it".to_owned())
    }

    async fn snapshot(&self) -> Result<Snapshot, MaildropError> {
        let user = self.directory.mailbox(&self.mailbox).ok_or(MaildropError::Missing)?;
        self.directory.snapshot(&user).await
    }

    async fn list_messages(&self, snapshot: &Arc<Snapshot>) -> Result<(), ReadError> {
        let (turn, places) = self.listing.turn_to(snapshot);
        match turn {
            Turn::NothingNew => return Ok(()),
            Turn::MoreCame => {}
            Turn::Anew => self.tell(self.begun(&places)).await,
        }
        let mut from = places.start;
        while from < places.end {
            let to = places.end.min(from + BATCH);
            let heads = snapshot.heads(from..to).await?;
            let listing = self.listing.clone();
            // Decoding hundreds of headers would keep an async thread busy for too long.
            let listed = tokio::task::spawn_blocking(move || listing.add(&heads));
            self.tell(MailroomEvent::Listed(listed.await.map_err(io::Error::other)?)).await;
            if let Some(search) = self.listing.search() {
                self.searcher().search(&search, snapshot, from..to).await;
            }
            from = to;
        }
        self.tell(MailroomEvent::Complete).await;
        Ok(())
    }

    fn searcher(&self) -> Searcher {
        Searcher {
            directory: self.directory.clone(),
            mailbox: Arc::clone(&self.mailbox),
            listing: self.listing.clone(),
            news: self.news.clone(),
        }
    }

    fn begun(&self, places: &Range<usize>) -> MailroomEvent {
        MailroomEvent::Begun {
            mailbox: self.mailbox.to_string(),
            messages: places.len(),
            left_out: places.start,
        }
    }

    /// Reports a result; waits for room, which delays nothing but the listing.
    async fn tell(&self, news: MailroomEvent) {
        let _ = self.news.send(news).await;
    }
}

/// Searches what has been listed.
#[derive(Debug)]
pub struct Searcher {
    /// The directory with the mailbox.
    pub directory: Directory,
    /// The name of the mailbox.
    pub mailbox: Arc<str>,
    /// What has been listed.
    pub listing: Listing,
    /// Receives what is found.
    pub news: mpsc::Sender<MailroomEvent>,
}

impl Searcher {
    /// Reports which of the messages at these places are meant, newest first. Messages that another
    /// program changes meanwhile are left out: they are listed again.
    pub async fn search(&self, search: &Search, snapshot: &Arc<Snapshot>, places: Range<usize>) {
        let Some(user) = self.directory.mailbox(&self.mailbox) else { return };
        let folder = Folder::of(user, Arc::clone(snapshot));
        let mut to = places.end;
        while to > places.start {
            let from = to.saturating_sub(BATCH).max(places.start);
            let Ok(hits) = folder.find(&search.query, from..to, Newer::From(0)).await else {
                return;
            };
            let hits: HashSet<usize> = hits.iter().map(|hit| hit.place).collect();
            if !hits.is_empty() {
                let (query, keys) = (search.line.to_string(), self.listing.keys_at(&hits));
                if self.news.send(MailroomEvent::Found { query, keys }).await.is_err() {
                    return;
                }
            }
            to = from;
        }
    }
}

fn view(overview: &Overview, mailbox: &str) -> Option<MailboxView> {
    overview.mailboxes.iter().find(|view| view.name == mailbox).cloned()
}
