//! Fulfils what an operator wishes of mailboxes and messages: a task that hears at any time, and
//! others that do the work. What came of it is told in sentences.

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

use crate::app::mailroom::browser::Browser;
use crate::app::mailroom::compose::{self, Composed};
use crate::app::mailroom::decode::{self, Attached, Parsed};
use crate::app::mailroom::listing::{Found, Lister, Listing};
use crate::app::mailroom::{Desk, Draft, MessageKey, News, Wish};
use crate::app::new_file::{NewFile, safe_name};
use crate::relay::client::Client;
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::Tls;
use crate::store::directory::Directory;
use crate::store::index::ReadError;
use crate::store::maildrop::{Maildrop, MaildropError, UpdateError};
use crate::store::overview::Overview;
use crate::wire::event::Transcript;

/// Wishes that may wait.
const WISHES_WAITING: usize = 64;

/// News that may wait; one may tell of hundreds of messages.
const NEWS_WAITING: usize = 16;

/// Errands that may be under way at once.
const ERRANDS_MOST: usize = 16;

/// Octets of a message that is taken apart; the SMTP server takes no longer ones by default.
const PARSED_MOST: usize = 64 * 1024 * 1024;

/// Octets of a message that are read before it is shown for the first time: a longer one is shown
/// again when it has been read.
const READ_FIRST: usize = 256 * 1024;

/// Octets of a message that are written at once.
const WRITTEN_AT_ONCE: usize = 1024 * 1024;

/// How long our own SMTP server is waited for; it syncs before it answers.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the clerk works with.
#[derive(Debug)]
pub struct Room {
    /// The mailboxes.
    pub directory: Directory,
    /// Says when one has changed.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// Our domain.
    pub domain: Arc<str>,
    /// Our own SMTP server.
    pub smtp: SmtpListener,
    /// Where messages are saved.
    pub save_to: PathBuf,
    /// What shows HTML.
    pub browser: Browser,
    /// Ends all work.
    pub stop: CancellationToken,
}

/// Says where our own SMTP server listens at the moment, if it does.
#[derive(Clone)]
pub struct SmtpListener(Arc<dyn Fn() -> Option<SocketAddr> + Send + Sync>);

impl SmtpListener {
    /// It is asked whenever a message is to be sent.
    pub fn new(address: impl Fn() -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(address))
    }
}

impl fmt::Debug for SmtpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SmtpListener").field(&(self.0)()).finish()
    }
}

/// Hears wishes, and has them fulfilled.
#[derive(Debug)]
pub struct Clerk {
    room: Arc<Room>,
    wishes: mpsc::Receiver<Wish>,
    news: mpsc::Sender<News>,
    open: Option<Open>,
    /// Held while a message is deleted: the session lock keeps out our own next one too.
    deleting: Arc<Mutex<()>>,
    /// What is finished whatever is wished next.
    errands: JoinSet<()>,
}

/// The mailbox that is open.
#[derive(Debug)]
struct Open {
    mailbox: Arc<str>,
    listing: Listing,
    /// Lists it, alone.
    lister: JoinSet<()>,
    /// Reads the message that was wished for last.
    reader: JoinSet<()>,
}

impl Clerk {
    /// Begins to work among `tasks`, until the room's stop.
    #[must_use]
    pub fn start(room: Room, tasks: &TaskTracker) -> Desk {
        let (wishes, taken) = mpsc::channel(WISHES_WAITING);
        let (news, told) = mpsc::channel(NEWS_WAITING);
        let directory = room.directory.clone();
        let clerk = Self {
            room: Arc::new(room),
            wishes: taken,
            news,
            open: None,
            deleting: Arc::default(),
            errands: JoinSet::new(),
        };
        tasks.spawn(clerk.work());
        Desk { wishes, news: told, directory }
    }

    async fn work(mut self) {
        let stop = self.room.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                wish = self.wishes.recv() => match wish {
                    Some(wish) => self.take(wish).await,
                    None => break,
                },
                Some(ended) = self.errands.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a wish about a mailbox broke down: {error}");
                    }
                }
            }
        }
        self.close().await;
        // A message that is being removed is removed or still there, and its locks are gone.
        while self.errands.join_next().await.is_some() {}
    }

    /// Waits for nothing that takes time.
    async fn take(&mut self, wish: Wish) {
        match wish {
            Wish::Open(mailbox) => self.open(mailbox).await,
            Wish::Close => self.close().await,
            Wish::Read(key) => self.read(key).await,
            Wish::Browse(key) => self.with_message(key, Errand::browse),
            Wish::Save(key) => self.with_message(key, Errand::save),
            Wish::SaveAttachments(key, which) => {
                self.with_message(key, move |errand, found| errand.save_attachments(found, which));
            }
            Wish::Delete(key) => self.with_message(key, Errand::delete),
            Wish::Create(name) => self.run(|errand| errand.create(name)),
            Wish::Send(draft) => self.run(|errand| errand.send(draft)),
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
        self.open = Some(Open { mailbox, listing, lister: tasks, reader: JoinSet::new() });
    }

    /// When this returns, nothing more is told of the mailbox that was open.
    async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.lister.shutdown().await;
            open.reader.shutdown().await;
        }
    }

    async fn read(&mut self, key: MessageKey) {
        let errand = self.errand();
        let Some(open) = &mut self.open else { return };
        // Whoever leafs through a mailbox wants to see the last one.
        open.reader.shutdown().await;
        let (mailbox, found) = (Arc::clone(&open.mailbox), open.listing.find(key));
        open.reader.spawn(async move {
            match found {
                Some(found) => errand.read(key, &found).await,
                None => errand.tell(News::NotShown(gone(&mailbox))).await,
            }
        });
    }

    fn with_message<F>(&mut self, key: MessageKey, work: impl FnOnce(Errand, Listed) -> F)
    where
        F: Future<Output = Vec<String>> + Send + 'static,
    {
        let Some(open) = &self.open else { return };
        let mailbox = Arc::clone(&open.mailbox);
        match open.listing.find(key) {
            Some(message) => self.run(|errand| work(errand, Listed { mailbox, message })),
            None => self.say(gone(&mailbox)),
        }
    }

    /// Runs an errand beside all others, and tells what came of it.
    fn run<F>(&mut self, work: impl FnOnce(Errand) -> F)
    where
        F: Future<Output = Vec<String>> + Send + 'static,
    {
        if self.errands.len() >= ERRANDS_MOST {
            self.say("Too much is under way; try again when some of it is done.".to_owned());
            return;
        }
        let (errand, work) = (self.errand(), work(self.errand()));
        self.errands.spawn(async move {
            for words in work.await {
                errand.tell(News::Said(words)).await;
            }
        });
    }

    fn errand(&self) -> Errand {
        let (room, deleting) = (Arc::clone(&self.room), Arc::clone(&self.deleting));
        Errand { room, news: self.news.clone(), deleting }
    }

    /// Only if there is room: the clerk waits for nobody.
    fn say(&self, words: String) {
        let _ = self.news.try_send(News::Said(words));
    }
}

fn gone(mailbox: &str) -> String {
    format!("The message is no longer in {mailbox}; the list shows what is.")
}

/// A message of the mailbox that was open.
struct Listed {
    mailbox: Arc<str>,
    message: Found,
}

/// Does one piece of work.
struct Errand {
    room: Arc<Room>,
    news: mpsc::Sender<News>,
    deleting: Arc<Mutex<()>>,
}

impl Errand {
    async fn tell(&self, news: News) {
        tokio::select! {
            () = self.room.stop.cancelled() => {}
            _ = self.news.send(news) => {}
        }
    }

    async fn read(&self, key: MessageKey, found: &Found) {
        if let Err(error) = self.show(key, found).await {
            let words = format!("Cannot show message {}: {error}.", found.number());
            self.tell(News::NotShown(words)).await;
        }
    }

    /// Shows the beginning of a message at once, however long it is, and then all that can be taken
    /// apart.
    async fn show(&self, key: MessageKey, found: &Found) -> Result<(), ReadError> {
        let octets = found.head().await?.octets;
        let mut reader = found.snapshot.message(found.place).await?;
        let mut text = Vec::new();
        for most in [READ_FIRST, PARSED_MOST] {
            while text.len() < most && reader.read(&mut text).await? > 0 {}
            let is_all = text.len() as u64 >= octets || most == PARSED_MOST;
            let read = if is_all { std::mem::take(&mut text) } else { text.clone() };
            let shown = away(move || Box::new(decode::message(key, read, octets))).await?;
            self.tell(News::Shown(shown)).await;
            if is_all {
                break;
            }
        }
        Ok(())
    }

    /// The HTML is read as far as messages are taken apart.
    async fn browse(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let number = message.number();
        let words = match self.written_page(&mailbox, &message).await {
            Ok(Some(page)) => self.open_page(&page),
            Ok(None) => format!("Message {number} has no HTML."),
            Err(error) => format!("Cannot open the HTML of message {number}: {error}."),
        };
        vec![words]
    }

    async fn written_page(
        &self,
        mailbox: &str,
        found: &Found,
    ) -> Result<Option<PathBuf>, ReadError> {
        found.head().await?;
        let text = beginning(found).await?;
        let name = safe_name(&format!("{mailbox}-{}.html", found.number()), "message.html");
        let room = Arc::clone(&self.room);
        let written = away(move || {
            let page = Parsed::of(&text).page();
            page.map(|page| room.browser.write(&name, &page)).transpose()
        });
        Ok(written.await??)
    }

    fn open_page(&self, page: &Path) -> String {
        let (place, opener) = (page.display().to_string(), self.room.browser.opener());
        let by_hand = format!("open {place} by hand");
        let (news, remedy) = (self.news.clone(), by_hand.clone());
        let failed = move |why: String| {
            let words = format!("No browser was opened ({why}); {remedy}.");
            let _ = news.blocking_send(News::Said(words));
        };
        match self.room.browser.open(page, failed) {
            Ok(()) => format!("The browser gets {place}; what is remote stays blocked."),
            Err(error) => format!("Cannot run {opener}: {error}; {by_hand}."),
        }
    }

    async fn save(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let name = format!("{mailbox}-{}.eml", message.number());
        vec![match self.saved(&message, name).await {
            Ok((name, octets)) => format!("Saved {name} ({octets} octets)."),
            Err(error) => format!("Cannot save message {}: {error}.", message.number()),
        }]
    }

    /// The file's name, and its octets.
    async fn saved(&self, message: &Found, name: String) -> Result<(String, u64), ReadError> {
        let octets = message.head().await?.octets;
        let mut reader = message.snapshot.message(message.place).await?;
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
        Ok((name_of(&file.keep()), octets))
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

    /// The files' names.
    async fn saved_attachments(
        &self,
        message: &Found,
        which: Option<usize>,
    ) -> Result<Vec<String>, ReadError> {
        let octets = message.head().await?.octets;
        if octets > PARSED_MOST as u64 {
            let why = format!("it is longer than {PARSED_MOST} octets; save it whole instead");
            return Err(io::Error::other(why).into());
        }
        let text = beginning(message).await?;
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

    async fn delete(self, Listed { mailbox, message }: Listed) -> Vec<String> {
        let number = message.number();
        vec![match self.deleted(&mailbox, &message).await {
            Ok(()) => format!("Deleted message {number} of {mailbox}."),
            Err(NotDeleted::Opening(MaildropError::InUse)) => format!(
                "Cannot delete: a POP3 session has {mailbox} locked; try again when it ends."
            ),
            Err(
                NotDeleted::Opening(MaildropError::Busy) | NotDeleted::Updating(UpdateError::Busy),
            ) => {
                format!(
                    "Cannot delete: another program keeps {mailbox} locked; try again when it \
                     lets go."
                )
            }
            Err(error) => format!("Cannot delete message {number} of {mailbox}: {error}."),
        }]
    }

    async fn deleted(&self, mailbox: &str, message: &Found) -> Result<(), NotDeleted> {
        let _alone = self.deleting.lock().await;
        let maildrop = self.unless_stopped(self.maildrop(mailbox)).await??;
        // What is there now at the place of the message may be another one.
        let place = self.unless_stopped(place_now(&maildrop, message)).await??;
        Ok(maildrop.update(vec![place]).await?)
    }

    async fn maildrop(&self, mailbox: &str) -> Result<Maildrop, MaildropError> {
        let directory = &self.room.directory;
        let user = directory.user(mailbox.as_bytes()).ok_or(MaildropError::Missing)?;
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

    /// Gives the draft back if nobody has got it: it took somebody time to type.
    async fn send(self, draft: Draft) -> Vec<String> {
        match self.sent(&draft).await {
            Ok(words) => words,
            Err(words) => {
                self.tell(News::NotSent(draft)).await;
                words
            }
        }
    }

    /// What is to be said: an error if nobody has got it.
    async fn sent(&self, draft: &Draft) -> Result<Vec<String>, Vec<String>> {
        let id = fastrand::u64(..);
        let composed = Composed::new(draft, &self.room.domain, Utc::now(), id)
            .map_err(|error| vec![format!("Not sent: {error}.")])?;
        let Some(address) = (self.room.smtp.0)() else {
            return Err(vec!["The SMTP server is stopped; start it with S.".to_owned()]);
        };
        compose::send(composed, &self.room.domain, address, &self.client()).await
    }

    /// The conversation is seen where the server has it; to show our side of it too would say
    /// everything twice.
    fn client(&self) -> Client {
        Client {
            timeouts: Timeouts::default().capped(PATIENCE),
            transcript: Transcript::off(),
            registry: None,
            ids: Arc::default(),
            tls: Tls::default(),
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

/// The text of a message, all of it if it is not longer than what can be taken apart.
async fn beginning(message: &Found) -> Result<Vec<u8>, ReadError> {
    let mut reader = message.snapshot.message(message.place).await?;
    let mut text = Vec::new();
    while text.len() < PARSED_MOST && reader.read(&mut text).await? > 0 {}
    Ok(text)
}

async fn place_now(maildrop: &Maildrop, message: &Found) -> Result<usize, ReadError> {
    let place = maildrop.snapshot().place_of(&message.snapshot, message.place).await?;
    place.ok_or(ReadError::Missing)
}

/// Why a message was not deleted.
#[derive(Debug, thiserror::Error)]
enum NotDeleted {
    #[error("{0}")]
    Opening(#[from] MaildropError),
    #[error("{0}")]
    Reading(#[from] ReadError),
    #[error("{0}")]
    Updating(#[from] UpdateError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Does what may wait for a disk, or takes a while, away from the async threads.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
