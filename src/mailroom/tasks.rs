//! Carries out the operator's requests about mailboxes and messages: one task takes requests at any
//! time, others do the work. Results are reported as sentences.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::mailroom::browser::Browser;
use crate::mailroom::compose::{self, Composed};
use crate::mailroom::decode::{self, Attached, Parsed};
use crate::mailroom::listing::{self, Found, Lister, Listing, Search, Searcher};
use crate::mailroom::new_file::{NewFile, safe_name};
use crate::mailroom::query::Query;
use crate::mailroom::{
    Draft, MailroomEvent, MailroomHandle, MailroomRequest, MessageKey, QueuedRequest,
};
use crate::relay::client::{Announce, Client};
use crate::relay::queue_target::QueueTarget;
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::Tls;
use crate::store::directory::Directory;
use crate::store::index::{ReadError, UniqueId};
use crate::store::maildrop::{Maildrop, MaildropError, UpdateError};
use crate::store::overview::Overview;
use crate::store::queue::{Entry, QueueError};
use crate::store::reader::MessageReader;
use crate::watch::observers::Observers;
use crate::wire::figures::grouped;

/// The most requests that may wait.
const WISHES_WAITING: usize = 64;

/// The most results that may wait; one may describe hundreds of messages.
const NEWS_WAITING: usize = 16;

/// The most jobs at the same time.
const ERRANDS_MOST: usize = 16;

/// The most octets of a message that are parsed; the SMTP server accepts no longer messages by
/// default.
const PARSED_MOST: usize = 64 * 1024 * 1024;

/// The octets of a message that are read before it is shown for the first time. A longer message is
/// shown again when the rest has been read.
const READ_FIRST: usize = 256 * 1024;

/// The most octets written to a file at a time.
const WRITTEN_AT_ONCE: usize = 1024 * 1024;

/// How long to wait for our own SMTP server, which syncs to disk before it replies.
const PATIENCE: Duration = Duration::from_mins(2);

/// The resources of the mailroom.
#[derive(Debug)]
pub struct Room {
    /// The directory with the mailboxes.
    pub directory: Directory,
    /// Reports changes of mailboxes.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// Our domain, for composed messages.
    pub domain: Arc<str>,
    /// The address of our own SMTP server.
    pub smtp: SmtpListener,
    /// The directory to save messages in.
    pub save_to: PathBuf,
    /// Opens HTML in a browser.
    pub browser: Browser,
    /// Cancelled to end all work.
    pub stop: CancellationToken,
}

/// How our own SMTP server is reached.
#[derive(Clone)]
pub struct SmtpListener {
    address: Arc<dyn Fn() -> Option<SocketAddr> + Send + Sync>,
    announce: Option<Announce>,
}

impl SmtpListener {
    /// `address` is called for each message to be sent, and says where the server is, or `None` while
    /// it is stopped.
    pub fn new(address: impl Fn() -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self { address: Arc::new(address), announce: None }
    }

    /// The same, where the server is told of each connection before it is made: its operator need
    /// not log in.
    #[must_use]
    pub fn announcing(self, announce: Announce) -> Self {
        Self { announce: Some(announce), ..self }
    }
}

impl fmt::Debug for SmtpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SmtpListener").field(&(self.address)()).finish()
    }
}

/// The task that takes requests.
#[derive(Debug)]
pub struct MailroomTask {
    room: Arc<Room>,
    requests: mpsc::Receiver<MailroomRequest>,
    news: mpsc::Sender<MailroomEvent>,
    open: Option<Open>,
    /// Held while messages are deleted: the session lock would also refuse our own next deletion.
    deleting: Arc<Mutex<()>>,
    /// Errands that are completed whatever is requested next.
    jobs: JoinSet<()>,
}

/// The mailbox that is open.
#[derive(Debug)]
struct Open {
    mailbox: Arc<str>,
    listing: Listing,
    /// The task that lists the mailbox.
    lister: JoinSet<()>,
    /// The task that reads the message requested last.
    reader: JoinSet<()>,
    /// The task that searches what was listed before the search began.
    finder: JoinSet<()>,
}

impl MailroomTask {
    /// Starts the task among `tasks`; it ends when the room is stopped.
    #[must_use]
    pub fn start(room: Room, tasks: &TaskTracker) -> MailroomHandle {
        let (requests, taken) = mpsc::channel(WISHES_WAITING);
        let (news, told) = mpsc::channel(NEWS_WAITING);
        let directory = room.directory.clone();
        let clerk = Self {
            room: Arc::new(room),
            requests: taken,
            news,
            open: None,
            deleting: Arc::default(),
            jobs: JoinSet::new(),
        };
        tasks.spawn(clerk.work());
        MailroomHandle { requests, news: told, directory }
    }

    async fn work(mut self) {
        let stop = self.room.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                request = self.requests.recv() => match request {
                    Some(request) => self.take(request).await,
                    None => break,
                },
                Some(ended) = self.jobs.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a mailbox task panicked: {error}");
                    }
                }
            }
        }
        self.close().await;
        // Errands are not aborted: a deletion is completed or not begun, and its locks are
        // released.
        while self.jobs.join_next().await.is_some() {}
    }

    /// Takes a request; does not wait for slow work.
    async fn take(&mut self, request: MailroomRequest) {
        match request {
            MailroomRequest::Open(mailbox) => self.open(mailbox).await,
            MailroomRequest::Close => self.close().await,
            MailroomRequest::Find(query) => self.find(&query).await,
            MailroomRequest::Read(key) => self.read(key).await,
            MailroomRequest::Browse(key) => self.with_message(key, Job::browse),
            MailroomRequest::Save(key) => self.with_message(key, Job::save),
            MailroomRequest::SaveAll(keys) => self.with_messages(&keys, Job::save_all),
            MailroomRequest::SaveAttachments(key, which) => {
                self.with_message(key, move |job, found| job.save_attachments(found, which));
            }
            MailroomRequest::Delete(key) => self.with_message(key, Job::delete),
            MailroomRequest::DeleteAll(keys) => self.with_messages(&keys, Job::delete_all),
            MailroomRequest::Clear(mailbox, messages) => {
                self.run(|job| job.clear(mailbox, messages));
            }
            MailroomRequest::Queued(target, request) => self.with_queued(target, request),
            MailroomRequest::Create(name) => self.run(|job| job.create(name)),
            MailroomRequest::Send(draft) => self.run(|job| job.send(draft)),
        }
    }

    async fn open(&mut self, mailbox: String) {
        self.close().await;
        let (mailbox, listing) = (Arc::from(mailbox), Listing::default());
        let lister = Lister {
            directory: self.room.directory.clone(),
            mailbox: Arc::clone(&mailbox),
            overview: self.room.overview.clone(),
            listing: listing.clone(),
            news: self.news.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(lister.work());
        self.open = Some(Open {
            mailbox,
            listing,
            lister: tasks,
            reader: JoinSet::new(),
            finder: JoinSet::new(),
        });
    }

    /// Closes the open mailbox. After this, nothing more is reported about it.
    async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.lister.shutdown().await;
            open.reader.shutdown().await;
            open.finder.shutdown().await;
        }
    }

    /// Searches for what a query means, instead of what was searched for before.
    async fn find(&mut self, line: &str) {
        let directory = self.room.directory.clone();
        let Some(open) = &mut self.open else { return };
        open.finder.shutdown().await;
        // The screen has checked it.
        let query = Query::parse(line).ok().filter(Query::has_terms);
        let search = query.map(|query| Search { line: line.into(), query: Arc::new(query) });
        let listed = open.listing.search_for(search);
        let (mailbox, listing, news) =
            (Arc::clone(&open.mailbox), open.listing.clone(), self.news.clone());
        open.finder.spawn(async move {
            if let Some((search, snapshot, places)) = listed {
                let searcher = Searcher { directory, mailbox, listing, news };
                searcher.search(&search, &snapshot, places).await;
            }
        });
    }

    async fn read(&mut self, key: MessageKey) {
        let job = self.job();
        let Some(open) = &mut self.open else { return };
        // A user who pages through messages wants to see only the last one.
        open.reader.shutdown().await;
        let (mailbox, found) = (Arc::clone(&open.mailbox), open.listing.find(key));
        open.reader.spawn(async move {
            match found {
                Some(found) => job.read(key, &found).await,
                None => job.tell(MailroomEvent::NotShown(gone(&mailbox))).await,
            }
        });
    }

    fn with_message<F>(&mut self, key: MessageKey, work: impl FnOnce(Job, Listed) -> F)
    where
        F: Future<Output = Vec<String>> + Send + 'static,
    {
        let Some(open) = &self.open else { return };
        let mailbox = Arc::clone(&open.mailbox);
        match open.listing.find(key) {
            Some(message) => self.run(|job| work(job, Listed { mailbox, message })),
            None => self.say(gone(&mailbox)),
        }
    }

    /// Starts work on those of the messages that are still there.
    fn with_messages<F>(&mut self, keys: &[MessageKey], work: impl FnOnce(Job, AllListed) -> F)
    where
        F: Future<Output = Vec<String>> + Send + 'static,
    {
        let Some(open) = &self.open else { return };
        let (mailbox, messages) = (Arc::clone(&open.mailbox), open.listing.find_all(keys));
        if messages.is_empty() {
            self.say(gone(&mailbox));
            return;
        }
        let gone = keys.len() - messages.len();
        self.run(|job| work(job, AllListed { mailbox, messages, gone }));
    }

    fn with_queued(&mut self, target: QueueTarget, request: QueuedRequest) {
        match request {
            QueuedRequest::Read => self.run(|job| job.read_queued(target)),
            QueuedRequest::Browse => self.run(|job| job.browse_queued(target)),
            QueuedRequest::Save => self.run(|job| job.save_queued(target)),
            QueuedRequest::SaveAttachments(which) => {
                self.run(move |job| job.save_attachments_queued(target, which));
            }
        }
    }

    /// Runs a job concurrently with all others and reports its results.
    fn run<F>(&mut self, work: impl FnOnce(Job) -> F)
    where
        F: Future<Output = Vec<String>> + Send + 'static,
    {
        if self.jobs.len() >= ERRANDS_MOST {
            self.say("Too many requests are under way; try again when some are done.".to_owned());
            return;
        }
        let (job, work) = (self.job(), work(self.job()));
        self.jobs.spawn(async move {
            for words in work.await {
                job.tell(MailroomEvent::Said(words)).await;
            }
        });
    }

    fn job(&self) -> Job {
        let (room, deleting) = (Arc::clone(&self.room), Arc::clone(&self.deleting));
        Job { room, news: self.news.clone(), deleting }
    }

    /// Reports a sentence if there is room: the task must not wait for the screen.
    fn say(&self, words: String) {
        let _ = self.news.try_send(MailroomEvent::Said(words));
    }
}

fn gone(mailbox: &str) -> String {
    format!("The message is no longer in {mailbox}; the list shows what is.")
}

/// A message of the open mailbox.
struct Listed {
    mailbox: Arc<str>,
    message: Found,
}

/// Messages of the open mailbox, in its order.
struct AllListed {
    mailbox: Arc<str>,
    messages: Vec<Found>,
    /// The number of requested messages that are no longer there.
    gone: usize,
}

/// One piece of work.
struct Job {
    room: Arc<Room>,
    news: mpsc::Sender<MailroomEvent>,
    deleting: Arc<Mutex<()>>,
}

impl Job {
    async fn tell(&self, news: MailroomEvent) {
        tokio::select! {
            () = self.room.stop.cancelled() => {}
            _ = self.news.send(news) => {}
        }
    }

    async fn read(&self, key: MessageKey, found: &Found) {
        if let Err(error) = self.show(key, found).await {
            let words = format!("Cannot show message {}: {error}.", found.number());
            self.tell(MailroomEvent::NotShown(words)).await;
        }
    }

    /// Shows the beginning of a message at once, however long it is, and then as much as is parsed.
    async fn show(&self, key: MessageKey, found: &Found) -> Result<(), ReadError> {
        // Also checks that the message at this place is still the one that was listed.
        let octets = found.head().await?.octets;
        self.show_read(key, octets, found.snapshot.message(found.place).await?).await
    }

    async fn show_read(
        &self,
        key: MessageKey,
        octets: u64,
        mut reader: MessageReader,
    ) -> Result<(), ReadError> {
        let mut text = Vec::new();
        for most in [READ_FIRST, PARSED_MOST] {
            let octets_most = usize::try_from(octets).unwrap_or(most).min(most);
            // Exactly: doubling would take up to twice the length of a long message.
            text.reserve_exact(octets_most.saturating_sub(text.len()));
            while text.len() < most && reader.read(&mut text).await? > 0 {}
            let is_all = text.len() as u64 >= octets || most == PARSED_MOST;
            let read = if is_all { std::mem::take(&mut text) } else { text.clone() };
            let shown = away(move || Box::new(decode::message(key, read, octets))).await?;
            self.tell(MailroomEvent::Shown(shown)).await;
            if is_all {
                break;
            }
        }
        Ok(())
    }

    /// Opens the message's HTML, as far as messages are parsed.
    async fn browse(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let number = message.number();
        let name = format!("{mailbox}-{number}.html");
        let page = async {
            message.head().await?;
            self.written_page(beginning(&message).await?, &name).await
        };
        vec![match page.await {
            Ok(Some(page)) => self.open_page(&page),
            Ok(None) => format!("Message {number} has no HTML."),
            Err(error) => format!("Cannot open the HTML of message {number}: {error}."),
        }]
    }

    async fn written_page(&self, text: Vec<u8>, name: &str) -> Result<Option<PathBuf>, ReadError> {
        let name = safe_name(name, "message.html");
        let room = Arc::clone(&self.room);
        let written = away(move || {
            let page = Parsed::of(&text).page();
            page.map(|page| room.browser.write(&name, &page)).transpose()
        });
        Ok(written.await??)
    }

    fn open_page(&self, page: &Path) -> String {
        let (place, opener) = (page.display().to_string(), self.room.browser.opener());
        let by_hand = format!("Open {place} by hand");
        let (news, remedy) = (self.news.clone(), by_hand.clone());
        let failed = move |why: String| {
            let words = format!("{remedy}: no browser has opened it ({why}).");
            // Called on the thread of the browser, which may block.
            let _ = news.blocking_send(MailroomEvent::Said(words));
        };
        match self.room.browser.open(page, failed) {
            Ok(()) => format!("Opened in the browser, remote content blocked: {place}"),
            Err(error) => format!("{by_hand}: cannot run {opener} ({error})."),
        }
    }

    async fn save(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let name = format!("{mailbox}-{}.eml", message.number());
        vec![match self.saved(&message, name).await {
            Ok((name, octets)) => format!("Saved {name} ({octets} octets)."),
            Err(error) => format!("Cannot save message {}: {error}.", message.number()),
        }]
    }

    /// The name of the file and its length in octets.
    async fn saved(&self, message: &Found, name: String) -> Result<(String, u64), ReadError> {
        let octets = message.head().await?.octets;
        let reader = message.snapshot.message(message.place).await?;
        self.written(reader, name).await.map(|name| (name, octets))
    }

    /// Writes the whole message to a file; returns the name of the file.
    async fn written(&self, mut reader: MessageReader, name: String) -> Result<String, ReadError> {
        let directory = self.room.save_to.clone();
        let mut file = away(move || NewFile::create(&directory, &name)).await??;
        loop {
            let mut piece = Vec::new();
            while piece.len() < WRITTEN_AT_ONCE && reader.read(&mut piece).await? > 0 {}
            if piece.is_empty() {
                break;
            }
            if self.room.stop.is_cancelled() {
                return Err(io::Error::other("mailconsole ends").into());
            }
            file = away(move || file.write_all(&piece).map(|()| file)).await??;
        }
        Ok(name_of(&file.keep()))
    }

    async fn save_all(self, AllListed { mailbox, messages, .. }: AllListed) -> Vec<String> {
        let mut names = Vec::with_capacity(messages.len());
        for message in &messages {
            let name = format!("{mailbox}-{}.eml", message.number());
            match self.saved(message, name).await {
                Ok((name, _)) => names.push(name),
                Err(error) => {
                    let number = message.number();
                    let saved = in_all(names.len(), "message");
                    return vec![format!("Cannot save message {number}: {error}. Saved {saved}.")];
                }
            }
        }
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return Vec::new() };
        vec![format!("Saved {}: {first} to {last}.", in_all(names.len(), "message"))]
    }

    async fn save_attachments(
        self,
        Listed { message, .. }: Listed,
        which: Option<usize>,
    ) -> Vec<String> {
        let number = message.number();
        vec![match self.saved_attachments(&message, which).await {
            Ok(names) if names.is_empty() => {
                format!("Message {number} has no such attachment; save it whole instead.")
            }
            Ok(names) => format!("Saved {}.", names.join(", ")),
            Err(error) => format!("Cannot save the attachments of message {number}: {error}."),
        }]
    }

    /// Saves attachments; returns the names of the files.
    async fn saved_attachments(
        &self,
        message: &Found,
        which: Option<usize>,
    ) -> Result<Vec<String>, ReadError> {
        let octets = message.head().await?.octets;
        // The beginning of an attachment must not be saved as if it were all of it.
        if octets > PARSED_MOST as u64 {
            let why = format!("it is longer than {PARSED_MOST} octets; save it whole instead");
            return Err(io::Error::other(why).into());
        }
        self.saved_attachments_of(beginning(message).await?, which).await
    }

    /// Saves the attachments of this text; returns the names of the files.
    async fn saved_attachments_of(
        &self,
        text: Vec<u8>,
        which: Option<usize>,
    ) -> Result<Vec<String>, ReadError> {
        let (directory, stop) = (self.room.save_to.clone(), self.room.stop.clone());
        let save = move |attached: &Attached<'_>| {
            if stop.is_cancelled() {
                return Err(io::Error::other("mailconsole ends"));
            }
            let name = safe_name(&attached.name(), &attached.made_up_name());
            let mut file = NewFile::create(&directory, &name)?;
            file.write_all(&attached.content())?;
            Ok(name_of(&file.keep()))
        };
        let saved = away(move || {
            let parsed = Parsed::of(&text);
            let wanted = parsed.attached().filter(|one| which.is_none_or(|it| it == one.place));
            wanted.map(|attached| save(&attached)).collect::<io::Result<Vec<_>>>()
        });
        Ok(saved.await??)
    }

    async fn read_queued(self, target: QueueTarget) -> Vec<String> {
        let shown = async {
            let (entry, reader) = self.unless_stopped(self.queued(&target)).await??;
            Ok::<_, NotRead>(
                self.show_read(MessageKey::of_queued(&target), entry.octets, reader).await?,
            )
        };
        if let Err(error) = shown.await {
            self.tell(MailroomEvent::NotShown(format!("Cannot show the queued message: {error}.")))
                .await;
        }
        Vec::new()
    }

    async fn browse_queued(self, target: QueueTarget) -> Vec<String> {
        let page = async {
            let (_, reader) = self.unless_stopped(self.queued(&target)).await??;
            let name = format!("queued-{}.html", target.id);
            Ok::<_, NotRead>(self.written_page(beginning_of(reader).await?, &name).await?)
        };
        vec![match page.await {
            Ok(Some(page)) => self.open_page(&page),
            Ok(None) => "The queued message has no HTML.".to_owned(),
            Err(error) => format!("Cannot open the HTML of the queued message: {error}."),
        }]
    }

    /// The queue entry as it is now, and its message.
    async fn queued(&self, target: &QueueTarget) -> Result<(Entry, MessageReader), QueueError> {
        let queue = self.room.directory.queue();
        let entries = queue.entries().await?;
        let entry = entries.into_iter().find(|entry| entry.block.id == target.id);
        let entry = entry.ok_or(QueueError::Gone)?;
        let reader = queue.text(&entry).await?;
        Ok((entry, reader))
    }

    async fn save_queued(self, target: QueueTarget) -> Vec<String> {
        let saved = async {
            let (entry, reader) = self.unless_stopped(self.queued(&target)).await??;
            let name = safe_name(&format!("queued-{}.eml", target.id), "queued.eml");
            let name = self.written(reader, name).await?;
            Ok::<_, NotRead>(format!("Saved {name} ({} octets).", entry.octets))
        };
        let words = saved.await;
        vec![words.unwrap_or_else(|error| format!("Cannot save the queued message: {error}."))]
    }

    async fn save_attachments_queued(
        self,
        target: QueueTarget,
        which: Option<usize>,
    ) -> Vec<String> {
        let saved = async {
            let (_, reader) = self.unless_stopped(self.queued(&target)).await??;
            let text = beginning_of(reader).await?;
            Ok::<_, NotRead>(self.saved_attachments_of(text, which).await?)
        };
        vec![match saved.await {
            Ok(names) if names.is_empty() => {
                "The queued message has no such attachment; save it whole instead.".to_owned()
            }
            Ok(names) => format!("Saved {}.", names.join(", ")),
            Err(error) => format!("Cannot save the attachments of the queued message: {error}."),
        }]
    }

    async fn delete(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let number = message.number();
        vec![match self.deleted(&mailbox, &message).await {
            Ok(()) => format!("Deleted message {number} of {mailbox}."),
            Err(error) => error.in_words(&mailbox, &format!("message {number}")),
        }]
    }

    async fn delete_all(self, AllListed { mailbox, messages, gone }: AllListed) -> Vec<String> {
        let meant = messages.len();
        let deleted = match self.all_deleted(&mailbox, &messages).await {
            Ok(deleted) => deleted,
            Err(error) => return vec![error.in_words(&mailbox, &in_all(meant, "message"))],
        };
        let words = format!("Deleted {} of {mailbox}.", in_all(deleted, "message"));
        vec![match gone + meant - deleted {
            0 => words,
            gone => format!("{words} {gone} had gone before."),
        }]
    }

    /// Deletes the messages; returns how many of them were still there.
    async fn all_deleted(&self, mailbox: &str, messages: &[Found]) -> Result<usize, NotDeleted> {
        let _alone = self.deleting.lock().await;
        let maildrop = self.unless_stopped(self.maildrop(mailbox)).await??;
        let places = self.unless_stopped(places_now(&maildrop, messages)).await??;
        let deleted = places.len();
        // Not within `unless_stopped`: a rewrite that has begun is completed.
        maildrop.update(places).await?;
        Ok(deleted)
    }

    async fn clear(self, mailbox: String, messages: usize) -> Vec<String> {
        vec![match self.cleared(&mailbox, messages).await {
            Ok(()) => format!("Deleted all {} of {mailbox}.", in_all(messages, "message")),
            Err(error) => error.in_words(&mailbox, "the messages"),
        }]
    }

    /// Deletes the first `messages` messages of a mailbox, which the operator has counted; later
    /// ones stay.
    async fn cleared(&self, mailbox: &str, messages: usize) -> Result<(), NotDeleted> {
        let _alone = self.deleting.lock().await;
        let maildrop = self.unless_stopped(self.maildrop(mailbox)).await??;
        if maildrop.snapshot().count() < messages {
            return Err(NotDeleted::Fewer);
        }
        Ok(maildrop.update((0..messages).collect()).await?)
    }

    async fn deleted(&self, mailbox: &str, message: &Found) -> Result<(), NotDeleted> {
        let _alone = self.deleting.lock().await;
        let maildrop = self.unless_stopped(self.maildrop(mailbox)).await??;
        // Another message may be at that place by now.
        let place = self.unless_stopped(place_now(&maildrop, message)).await??;
        Ok(maildrop.update(vec![place]).await?)
    }

    async fn maildrop(&self, mailbox: &str) -> Result<Maildrop, MaildropError> {
        let directory = &self.room.directory;
        let user = directory.mailbox(mailbox).ok_or(MaildropError::Missing)?;
        directory.open_maildrop(&user).await
    }

    async fn create(self, name: String) -> Vec<String> {
        let directory = self.room.directory.clone();
        let created = away(move || {
            if directory.user(name.as_bytes()).is_some() {
                return format!("There is a mailbox {name} already.");
            }
            match directory.create(&name) {
                Ok(user) => format!("Made the mailbox {}.", user.name()),
                Err(error) => format!("No mailbox made: {error}."),
            }
        });
        vec![created.await.unwrap_or_else(|error| format!("No mailbox made: {error}."))]
    }

    /// Sends a draft. A draft that reached nobody goes back to the form, since somebody typed it.
    async fn send(self, draft: Draft) -> Vec<String> {
        match self.sent(&draft).await {
            Ok(words) => words,
            Err(words) => {
                self.tell(MailroomEvent::NotSent(draft)).await;
                words
            }
        }
    }

    /// The sentences to report; an error if no recipient got the message.
    async fn sent(&self, draft: &Draft) -> Result<Vec<String>, Vec<String>> {
        let id = fastrand::u64(..);
        let composed = Composed::new(draft, &self.room.domain, Utc::now(), id)
            .map_err(|error| vec![format!("Not sent: {error}.")])?;
        let Some(address) = (self.room.smtp.address)() else {
            return Err(vec!["The SMTP server is stopped; start it with S.".to_owned()]);
        };
        compose::send(composed, &self.room.domain, address, &self.client()).await
    }

    /// No transcript: the server records the conversation already, and our side would show every
    /// line twice.
    fn client(&self) -> Client {
        Client {
            timeouts: Timeouts::default().capped(PATIENCE),
            transcript: Observers::none(),
            registry: None,
            ids: Arc::default(),
            tls: Tls::default(),
            announce: self.room.smtp.announce.clone(),
            stop: self.room.stop.clone(),
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        tokio::select! {
            () = self.room.stop.cancelled() => Err(io::Error::other("mailconsole ends")),
            done = work => Ok(done),
        }
    }
}

/// The text of a message, up to the length that is parsed.
async fn beginning(message: &Found) -> Result<Vec<u8>, ReadError> {
    beginning_of(message.snapshot.message(message.place).await?).await
}

async fn beginning_of(mut reader: MessageReader) -> Result<Vec<u8>, ReadError> {
    let mut text = Vec::new();
    while text.len() < PARSED_MOST && reader.read(&mut text).await? > 0 {}
    Ok(text)
}

async fn place_now(maildrop: &Maildrop, message: &Found) -> Result<usize, ReadError> {
    let place = maildrop.snapshot().place_of(&message.snapshot, message.place).await?;
    place.ok_or(ReadError::Missing)
}

/// The current indexes of these messages, in the order of the mailbox; those that are gone are left
/// out.
async fn places_now(maildrop: &Maildrop, messages: &[Found]) -> Result<Vec<usize>, ReadError> {
    let Some(Found { snapshot: earlier, .. }) = messages.first() else { return Ok(Vec::new()) };
    listing::make_sure_of(messages).await?;
    let now = maildrop.snapshot();
    // Nothing has changed before these messages, so their indexes are still right.
    if now.continues(earlier) {
        return Ok(messages.iter().map(|message| message.place).collect());
    }
    let mut places: HashMap<UniqueId, Vec<usize>> = HashMap::new();
    // Reversed, so that `pop` returns the first of identical messages.
    for (place, id) in now.unique_ids().await?.iter().enumerate().rev() {
        places.entry(*id).or_default().push(place);
    }
    let mut found = Vec::with_capacity(messages.len());
    for message in messages {
        // Of identical messages the first ones are as good as any.
        let id = earlier.unique_id(message.place).await?;
        found.extend(places.get_mut(&id).and_then(Vec::pop));
    }
    found.sort_unstable();
    Ok(found)
}

/// For example `1 message` or `12 messages`.
fn in_all(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", grouped(count)),
    }
}

/// Why a queued message cannot be read.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("{0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Reading(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a message was not deleted.
#[derive(Debug, thiserror::Error)]
enum NotDeleted {
    #[error("there are fewer than there were; look at what is left, and try again")]
    Fewer,
    #[error("{0}")]
    Opening(#[from] MaildropError),
    #[error("{0}")]
    Reading(#[from] ReadError),
    #[error("{0}")]
    Updating(#[from] UpdateError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NotDeleted {
    /// The sentence about `which` messages of the mailbox that were not deleted.
    fn in_words(&self, mailbox: &str, which: &str) -> String {
        match self {
            Self::Opening(MaildropError::InUse) => format!(
                "Cannot delete: a POP3 session has {mailbox} locked; try again when it ends."
            ),
            Self::Opening(MaildropError::Busy) | Self::Updating(UpdateError::Busy) => format!(
                "Cannot delete: another program keeps {mailbox} locked; try again when it lets go."
            ),
            error => format!("Cannot delete {which} of {mailbox}: {error}."),
        }
    }
}

/// Runs work that may block on the disk, or take a while, on a blocking thread.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
