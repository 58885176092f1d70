//! A relay run: which queued recipients are due, which way each goes, who carries it, and what
//! the queue says afterwards.
//!
//! Nothing of the queue is locked while a network is waited for. A delivery is marked in the file
//! right behind the host's 250; everything else is written down in one pass at the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, Local};
use fastrand::Rng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::relay::board::{Attempt, Board, Found, Tally};
use crate::relay::client::Client;
use crate::relay::conversation::opening::{Hello, Introduction, Protection};
use crate::relay::courier::{Courier, Ledger};
use crate::relay::envelope::{Address, Envelope, ReversePath};
use crate::relay::limits::Limits;
use crate::relay::mx::Target;
use crate::relay::notification::{self, Notification};
use crate::relay::orders::Pick;
use crate::relay::outcomes::{self, Outcome, Outcomes};
use crate::relay::queued::QueuedText;
use crate::relay::resolver::Resolver;
use crate::relay::route::{Routes, Way};
use crate::relay::status::Status;
use crate::relay::text::{self, Letter};
use crate::relay::verdict::{Again, Diagnosis, Verdict};
use crate::store::directory::{Directory, Envelope as StoredEnvelope, User};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Queue, QueueError};

/// Ways that are gone at the same time; each may be held up by its hosts and name servers.
const MOST_WAYS: usize = 100;

/// Lookups at the same time.
const MOST_LOOKUPS: usize = 20;

/// Couriers of one way. They share the limit of connections to one host.
const COURIERS: usize = 2;

/// Everything a relay needs, for one run after another.
#[derive(Debug)]
pub struct Relay<R> {
    /// Where the queue is, and the mailboxes of local senders.
    pub directory: Directory,
    /// Our domain.
    pub domain: String,
    /// How we introduce ourselves.
    pub hello: Hello,
    /// How connections are protected where no login is needed.
    pub protection: Protection,
    /// Which way mail goes.
    pub routes: Routes,
    /// Who is asked for hosts.
    pub resolver: R,
    /// How connections are made.
    pub client: Arc<Client>,
    /// Whether senders are told of failures.
    pub bounces: Bounces,
    /// Where it is shown what happens.
    pub board: Board,
}

/// Whether senders are told of failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bounces {
    /// No: what failed stays in the queue until an operator decides.
    #[default]
    Never,
    /// Local ones are, and the entry goes.
    ToLocalSenders,
}

/// Which recipients a run takes. Those that failed or are held are never among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All, at once: a person has started it.
    All,
    /// Those whose time has come.
    Due,
    /// These, at once.
    Only(BTreeSet<Pick>),
}

/// What a run has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Its recipients.
    pub tally: Tally,
    /// Recipients that are in the queue now, for whatever reason.
    pub left: usize,
}

/// Why there was no run, or why its results are not in the queue.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one, here or in another process, has the queue.
    #[error("another relay run is at work on this queue; wait for its end")]
    UnderWay,
    /// The system says why.
    #[error("cannot lock the relay queue for a run: {0}")]
    Lock(#[source] io::Error),
    /// The queue cannot be read or written.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl<R: Resolver + 'static> Relay<R> {
    /// Tries every recipient of the choice once. Returns when each has been tried, or soon after
    /// the client was told to stop.
    pub async fn run(self: &Arc<Self>, choice: &Choice) -> Result<Summary, RunError> {
        let queue = self.directory.queue();
        let _lock = queue.begin_run().map_err(RunError::Lock)?.ok_or(RunError::UnderWay)?;
        let entries = queue.entries().await?;
        let run = Arc::new(Run::new(self, queue));
        let ways = run.plan(entries, choice);
        run.go(ways).await;
        let concluded = run.conclude().await;
        self.board.run_ends();
        concluded
    }

    /// Runs again and again until the client is told to stop, `pause` apart: first as `choice`
    /// says, then for what is due. A run that cannot be is a warning; the next one may.
    pub async fn run_every(self: &Arc<Self>, pause: Duration, mut choice: Choice) {
        let stopped = self.client.stop.clone();
        while !stopped.is_cancelled() {
            match self.run(&choice).await {
                // The other run does what this one would have done.
                Ok(_) | Err(RunError::UnderWay) => {}
                Err(error) => tracing::warn!("{error}"),
            }
            choice = Choice::Due;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped.cancelled() => {}
            }
        }
    }
}

impl<R> Relay<R> {
    /// The hosts of a recipient's domain as they were last looked up, if they were.
    #[must_use]
    pub fn hosts_of(&self, forward_path: &str) -> Option<Found> {
        let address = Address::parse(forward_path).ok()?;
        let way = self.routes.way(address.domain()).ok()?;
        self.board.hosts(&way)
    }
}

/// One run.
struct Run<R> {
    relay: Arc<Relay<R>>,
    queue: Queue,
    limits: Arc<Limits>,
    lookups: Semaphore,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    outcomes: Outcomes,
    tally: Tally,
    failures: BTreeMap<String, Failures>,
}

/// The recipients of one entry that failed.
struct Failures {
    entry: Arc<Entry>,
    recipients: Vec<(Address, Diagnosis)>,
}

/// A message and those of its recipients that go one way.
struct Errand {
    entry: Arc<Entry>,
    recipients: Vec<Address>,
}

type Errands = VecDeque<Errand>;

/// Why an errand is not run.
enum Unsent {
    /// Everybody has been dropped or held since the run began.
    Gone,
    /// What became of its recipients without it.
    Settled(Verdict),
}

impl From<Verdict> for Unsent {
    fn from(verdict: Verdict) -> Self {
        Self::Settled(verdict)
    }
}

impl From<QueueError> for Unsent {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Gone => Self::Gone,
            error => Self::Settled(unreadable(&error)),
        }
    }
}

impl<R: Resolver + 'static> Run<R> {
    fn new(relay: &Arc<Relay<R>>, queue: Queue) -> Self {
        Self {
            relay: Arc::clone(relay),
            queue,
            limits: Arc::default(),
            lookups: Semaphore::new(MOST_LOOKUPS),
            results: Mutex::default(),
        }
    }

    /// Sorts what is to be tried by the way it goes.
    fn plan(&self, entries: Vec<Entry>, choice: &Choice) -> BTreeMap<Way, Errands> {
        let now = SystemTime::now();
        let chosen = |block: &Block| -> Vec<String> {
            let recipients = block.recipients.iter();
            let chosen = recipients.filter(|recipient| match choice {
                _ if recipient.state != RecipientState::Pending => false,
                Choice::All => true,
                Choice::Due => outcomes::is_due(recipient, now),
                Choice::Only(picks) => {
                    picks.iter().any(|pick| pick.means(&block.id, &recipient.forward_path))
                }
            });
            chosen.map(|recipient| recipient.forward_path.clone()).collect()
        };
        let entries = entries.into_iter().map(|entry| (chosen(&entry.block), Arc::new(entry)));
        let entries: Vec<(Vec<String>, Arc<Entry>)> = entries.collect();
        let recipients = entries.iter().map(|(chosen, _)| chosen.len()).sum();
        self.results().tally.recipients = recipients;
        self.relay.board.run_begins(recipients);
        let mut ways: BTreeMap<Way, Errands> = BTreeMap::new();
        for (chosen, entry) in entries {
            for (way, recipients) in self.by_way(&entry, &chosen) {
                let errand = Errand { entry: Arc::clone(&entry), recipients };
                ways.entry(way).or_default().push_back(errand);
            }
        }
        ways
    }

    fn by_way(&self, entry: &Arc<Entry>, chosen: &[String]) -> BTreeMap<Way, Vec<Address>> {
        let mut ways: BTreeMap<Way, Vec<Address>> = BTreeMap::new();
        for forward_path in chosen {
            let address = Address::parse(forward_path)
                .map_err(|bad| Verdict::failed(Status::BAD_ADDRESS, &bad.to_string()));
            let way = address.and_then(|address| {
                let way = self.relay.routes.way(address.domain())?;
                Ok((way, address))
            });
            match way {
                Ok((way, address)) => ways.entry(way).or_default().push(address),
                Err(verdict) => self.settle(entry, forward_path, verdict),
            }
        }
        ways
    }

    async fn go(self: &Arc<Self>, ways: BTreeMap<Way, Errands>) {
        let mut under_way = JoinSet::new();
        for (way, errands) in ways {
            if under_way.len() >= MOST_WAYS {
                gone(under_way.join_next().await);
            }
            under_way.spawn(Arc::clone(self).go_way(way, errands));
        }
        while let Some(ended) = under_way.join_next().await {
            gone(Some(ended));
        }
    }

    async fn go_way(self: Arc<Self>, way: Way, errands: Errands) {
        let targets = match self.targets(&way).await {
            Ok(targets) => targets,
            Err(verdict) => return self.settle_all(&errands, &verdict),
        };
        let couriers = errands.len().min(COURIERS);
        let errands = Arc::new(Mutex::new(errands));
        let mut under_way = JoinSet::new();
        for _ in 0..couriers {
            let courier = self.courier(&way, targets.clone());
            under_way.spawn(Arc::clone(&self).carry(courier, Arc::clone(&errands)));
        }
        while let Some(ended) = under_way.join_next().await {
            gone(Some(ended));
        }
    }

    async fn targets(&self, way: &Way) -> Result<Vec<Target>, Verdict> {
        let _permit = self.lookups.acquire().await;
        let Relay { routes, resolver, board, client, .. } = &*self.relay;
        let mut chance = Rng::new();
        let targets = tokio::select! {
            targets = routes.targets(way, resolver, &mut chance) => targets,
            () = client.stop.cancelled() => Err(stopped()),
        };
        board.found(way, targets.clone());
        targets
    }

    fn courier(&self, way: &Way, targets: Vec<Target>) -> Courier {
        let Relay { domain, hello, protection, routes, client, .. } = &*self.relay;
        let introduction = Introduction {
            domain: domain.clone(),
            hello: *hello,
            protection: routes.protection(way, protection),
        };
        let (client, limits) = (Arc::clone(client), Arc::clone(&self.limits));
        Courier::new(client, limits, introduction, targets)
    }

    async fn carry(self: Arc<Self>, mut courier: Courier, errands: Arc<Mutex<Errands>>) {
        let next = || errands.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while !self.is_stopped()
            && let Some(errand) = next()
        {
            match courier.hopeless() {
                Some(verdict) => self.settle_errand(&errand, &verdict),
                None => self.run_errand(&mut courier, &errand).await,
            }
        }
        courier.finish().await;
    }

    async fn run_errand(&self, courier: &mut Courier, errand: &Errand) {
        match self.prepare(errand).await {
            Ok((envelope, letter)) => {
                let entry = Arc::clone(letter.text.entry());
                for recipient in &envelope.recipients {
                    let pick = Pick::one(&entry.block.id, recipient.as_str());
                    self.relay.board.sends(pick, letter.octets(), &letter.sent);
                }
                let recipients = &envelope.recipients;
                let mut ledger = QueueLedger { run: self, entry, recipients };
                courier.deliver(&envelope, &letter, &mut ledger).await;
            }
            Err(Unsent::Gone) => {}
            Err(Unsent::Settled(verdict)) => self.settle_errand(errand, &verdict),
        }
    }

    async fn prepare(&self, errand: &Errand) -> Result<(Envelope, Letter<QueuedText>), Unsent> {
        let (entry, recipients) = self.still_wanted(errand).await?;
        let reverse_path = ReversePath::parse(&entry.block.reverse_path)
            .map_err(|bad| Verdict::failed(Status::BAD_ADDRESS, &bad.to_string()))?;
        let queued = local_time(entry.block.queued);
        let received = text::received(&self.relay.domain, &entry.block.id, queued);
        let text = QueuedText::new(self.queue.clone(), entry);
        let (_, hops) = text.header().await.map_err(|error| unreadable(&error))?;
        if hops.are_too_many() {
            return Err(Unsent::Settled(goes_in_circles()));
        }
        Ok((Envelope { reverse_path, recipients }, Letter::new(received, text)))
    }

    /// The entry as it is now, and those of the errand's recipients that nobody has held or
    /// dropped since the run began.
    async fn still_wanted(&self, errand: &Errand) -> Result<(Arc<Entry>, Vec<Address>), Unsent> {
        let entry = self.queue.now(&errand.entry).await?;
        let is_pending = |address: &&Address| {
            entry.block.recipients.iter().any(|recipient| {
                recipient.state == RecipientState::Pending
                    && recipient.forward_path == address.as_str()
            })
        };
        let recipients: Vec<Address> =
            errand.recipients.iter().filter(is_pending).cloned().collect();
        if recipients.is_empty() {
            return Err(Unsent::Gone);
        }
        Ok((Arc::new(entry), recipients))
    }

    fn settle_all(&self, errands: &Errands, verdict: &Verdict) {
        for errand in errands {
            self.settle_errand(errand, verdict);
        }
    }

    fn settle_errand(&self, errand: &Errand, verdict: &Verdict) {
        for recipient in &errand.recipients {
            self.settle(&errand.entry, recipient.as_str(), verdict.clone());
        }
    }

    /// Notes what became of a recipient.
    fn settle(&self, entry: &Arc<Entry>, forward_path: &str, verdict: Verdict) {
        // It was not the host who deferred it; it is as if it had not been tried.
        if self.is_stopped() && matches!(verdict, Verdict::Deferred(..)) {
            return;
        }
        let at = SystemTime::now();
        let verdict = outcomes::within_patience(verdict, entry.block.queued, at);
        self.results().note(entry, forward_path, &verdict);
        let number = attempts_so_far(&entry.block, forward_path).saturating_add(1);
        let pick = Pick::one(&entry.block.id, forward_path);
        self.relay.board.settled(pick, Attempt { at, number, verdict });
    }

    fn is_stopped(&self) -> bool {
        self.relay.client.stop.is_cancelled()
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells senders, and writes everything down.
    async fn conclude(&self) -> Result<Summary, RunError> {
        let Results { mut outcomes, tally, failures } = std::mem::take(&mut *self.results());
        if self.relay.bounces == Bounces::ToLocalSenders {
            for (id, failures) in &failures {
                self.notify(id, failures, &mut outcomes).await;
            }
        }
        let now = SystemTime::now();
        let left = self.queue.edit(move |block| outcomes.apply(block, now)).await?;
        let left = left.iter().map(|block| block.recipients.len()).sum();
        Ok(Summary { tally, left })
    }

    /// Tells the sender, if it is one of ours. If that fails, the entry stays.
    async fn notify(&self, id: &str, failures: &Failures, outcomes: &mut Outcomes) {
        let Some((sender, user)) = self.local_sender(&failures.entry) else { return };
        match self.send_notification(&sender, user, failures).await {
            Ok(()) => {
                for (recipient, _) in &failures.recipients {
                    outcomes.note(id, recipient.as_str(), Outcome::Notified);
                }
            }
            Err(error) => tracing::warn!("cannot notify {sender} that {id} failed: {error}"),
        }
    }

    fn local_sender(&self, entry: &Entry) -> Option<(Address, User)> {
        let reverse_path = ReversePath::parse(&entry.block.reverse_path).ok()?;
        let sender = notification::owed_to(&reverse_path)?;
        let ours = sender.domain().eq_ignore_ascii_case(&self.relay.domain);
        let user = self.relay.directory.user(sender.local_part().as_bytes())?;
        ours.then(|| (sender.clone(), user))
    }

    async fn send_notification(
        &self,
        sender: &Address,
        user: User,
        failures: &Failures,
    ) -> io::Result<()> {
        let entry = Arc::clone(&failures.entry);
        let queued = local_time(entry.block.queued);
        let (header, _) = QueuedText::new(self.queue.clone(), entry).header().await?;
        let notification = Notification {
            domain: &self.relay.domain,
            id: &failures.entry.block.id,
            sender,
            queued,
            tried: Local::now().fixed_offset(),
            header: &header,
            failures: &failures.recipients,
        };
        let mut text = self.relay.directory.new_text();
        text.push(&notification.render());
        let envelope = StoredEnvelope { local: vec![user], ..StoredEnvelope::default() };
        self.relay.directory.deliver(envelope, text).await.map_err(io::Error::other)
    }
}

impl Results {
    fn note(&mut self, entry: &Arc<Entry>, forward_path: &str, verdict: &Verdict) {
        self.tally.count(verdict);
        let id = &entry.block.id;
        self.outcomes.note(id, forward_path, Outcome::Tried(verdict.clone()));
        if let Verdict::Failed(diagnosis) = verdict
            && let Ok(address) = Address::parse(forward_path)
        {
            let failures = self
                .failures
                .entry(id.clone())
                .or_insert_with(|| Failures { entry: Arc::clone(entry), recipients: Vec::new() });
            failures.recipients.push((address, diagnosis.clone()));
        }
    }
}

/// Writes what became of the recipients of one letter into the queue.
struct QueueLedger<'a, R> {
    run: &'a Run<R>,
    entry: Arc<Entry>,
    recipients: &'a [Address],
}

impl<R: Resolver + 'static> Ledger for QueueLedger<'_, R> {
    async fn enter(&mut self, settled: Vec<(usize, Verdict)>) {
        let delivered =
            settled.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Delivered(_)));
        let delivered: Vec<usize> = delivered.filter_map(|(nth, _)| self.place(*nth)).collect();
        if !delivered.is_empty()
            && let Err(error) = self.run.queue.mark_delivered(&self.entry, delivered).await
        {
            // The end of the run will say it too. Only if we die before that, it is sent twice.
            tracing::warn!("cannot mark a delivery of {}: {error}", self.entry.block.id);
        }
        for (nth, verdict) in settled {
            if let Some(recipient) = self.recipients.get(nth) {
                self.run.settle(&self.entry, recipient.as_str(), verdict);
            }
        }
    }
}

impl<R> QueueLedger<'_, R> {
    /// Where a recipient of the letter stands in the entry.
    fn place(&self, nth: usize) -> Option<usize> {
        let address = self.recipients.get(nth)?.as_str();
        let mut recipients = self.entry.block.recipients.iter();
        recipients.position(|recipient| recipient.forward_path == address)
    }
}

fn attempts_so_far(block: &Block, forward_path: &str) -> u32 {
    let mut recipients = block.recipients.iter();
    let recipient = recipients.find(|recipient| recipient.forward_path == forward_path);
    recipient.map_or(0, |recipient| recipient.attempts)
}

fn local_time(seconds: u64) -> DateTime<FixedOffset> {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    DateTime::<Local>::from(at).fixed_offset()
}

fn unreadable(error: &impl std::fmt::Display) -> Verdict {
    let reason = format!("the queued message cannot be read ({error})");
    Verdict::deferred(Status::LOCAL, Again::NextRun, &reason)
}

fn stopped() -> Verdict {
    Verdict::deferred(Status::LOCAL, Again::NextRun, "the relay was stopped")
}

fn goes_in_circles() -> Verdict {
    let reason = format!(
        "the message has passed more than {} hosts and goes in circles: its header has so many \
         Received lines",
        text::MOST_HOPS
    );
    Verdict::failed(Status::LOOP, &reason)
}

/// A panic in a task is a bug of ours; what it had in hand stays in the queue.
fn gone(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        tracing::error!("a part of the relay run broke down: {error}");
    }
}
