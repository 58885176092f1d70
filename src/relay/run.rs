//! A relay run: selects the recipients to try, groups them by route, delivers their messages, and
//! writes the results to the queue (docs/protocol.md 5.1).
//!
//! The queue is never locked during network I/O. A delivery is marked in the queue file right after
//! the host's 250; all other results are written in one pass at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, Local};
use fastrand::Rng;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::mail::dsn::Ret;
use crate::mail::parameters::MailParameters;
use crate::mail::path::{Address, BadAddress, EnvelopePath};
use crate::mail::{address, machine};
use crate::relay::asked::AskedHost;
use crate::relay::client::Client;
use crate::relay::conversation::opening::{Hello, Introduction, Protection};
use crate::relay::delivery_agent::{Carried, DeliveryAgent, Ledger, Settled};
use crate::relay::envelope::{Envelope, Recipient};
use crate::relay::hosts::{Hosts, Prospects};
use crate::relay::jobs::{Job, Jobs};
use crate::relay::limits::Limits;
use crate::relay::mx::Target;
use crate::relay::notification::{self, Action, MESSAGE_SENT_BACK, Notification, Returned};
use crate::relay::outcomes::{self, Outcomes};
use crate::relay::owed::{self, Owed};
use crate::relay::progress::{Attempt, Found, Progress, Tally};
use crate::relay::queue_target::QueueTarget;
use crate::relay::queued::QueuedText;
use crate::relay::resolver::Resolver;
use crate::relay::route::{Route, Routes};
use crate::relay::selection::{Names, QueueTargets};
use crate::relay::status::Status;
use crate::relay::text::{self, Letter, MessageText, Protocol, TextReader};
use crate::relay::verdict::{Again, Notice, Verdict};
use crate::servers::stored;
use crate::store::directory::{
    Directory, Envelope as StoredEnvelope, Recipient as LocalRecipient, User,
};
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Queue, QueueError};
use crate::store::text::Text;
use crate::watch::fact::{Fact, RelayOutcome};

/// The most routes whose hosts are looked up concurrently; slow name servers may delay each.
const MOST_LOOKUPS: usize = 100;

/// The most senders that are notified concurrently; a locked mailbox may delay each.
const MOST_SENDERS: usize = 100;

/// The most messages that are returned in full concurrently; each is in memory.
const MOST_RETURNED: usize = 8;

/// How long a notification that has begun may still take when the relay is told to stop.
const GRACE: Duration = Duration::from_millis(300);

/// The most messages that one sender is notified of before this is recorded.
const TOLD_AT_ONCE: usize = 10;

/// What relay runs need; shared by all runs of a process.
#[derive(Debug)]
pub struct Relay<R> {
    /// The directory with the queue and the mailboxes of local senders.
    pub directory: Directory,
    /// Our domain, for trace lines and notifications.
    pub domain: String,
    /// The name sent with HELO or EHLO.
    pub helo: String,
    /// The command that introduces us.
    pub hello: Hello,
    /// The protection of connections where the route does not set another.
    pub protection: Protection,
    /// The routing table.
    pub routes: Routes,
    /// Looks up mail hosts.
    pub resolver: Arc<R>,
    /// Opens connections.
    pub client: Arc<Client>,
    /// The most connections to the hosts of one domain, and to one host.
    pub connections_per_domain: usize,
    /// Whether senders are notified of failed mail.
    pub bounces: Bounces,
    /// Shows the progress of runs.
    pub progress: Progress,
}

/// Whether senders are notified of failed mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bounces {
    /// No: failed recipients stay in the queue until an operator decides.
    #[default]
    Never,
    /// Senders with a mailbox here are notified, and the failed recipients leave the queue.
    ToLocalSenders,
}

/// Which recipients a run tries. Failed and held ones are never tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All pending ones now; a person started the run.
    All,
    /// Those that are due.
    Due,
    /// These, now.
    Only(BTreeSet<QueueTarget>),
    /// Those that are named, now.
    Named(Names),
    /// Those that are named and due.
    NamedAndDue(Names),
}

impl Choice {
    /// The choice of later runs, which a timer starts.
    fn when_due(self) -> Self {
        match self {
            Self::Named(names) | Self::NamedAndDue(names) => Self::NamedAndDue(names),
            Self::All | Self::Due | Self::Only(_) => Self::Due,
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The counts of its recipients.
    pub tally: Tally,
    /// The recipients in the queue after the run, for whatever reason.
    pub left: usize,
}

/// Why a run did not take place, or why its results are not in the queue.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another run, in this process or another one, holds the run lock.
    #[error("another relay run is at work on this queue; wait for its end")]
    UnderWay,
    /// The run lock cannot be taken.
    #[error("cannot lock the relay queue for a run: {0}")]
    Lock(#[source] io::Error),
    /// The queue cannot be read or written.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl<R: Resolver + 'static> Relay<R> {
    /// Tries every chosen recipient once. Returns when all have been tried, or soon after the
    /// client was told to stop.
    ///
    /// # Errors
    ///
    /// If another run is at work, or the queue cannot be locked, read or written.
    pub async fn run(self: &Arc<Self>, choice: &Choice) -> Result<Summary, RunError> {
        // Waiting for the queue's lock ends when the relay is told to stop.
        let queue = self.directory.queue().until(self.client.stop.clone());
        // Held until the results are written: two runs must never send the same message.
        let _lock = queue.begin_run().map_err(RunError::Lock)?.ok_or(RunError::UnderWay)?;
        let entries = queue.entries().await?;
        // The DNS may have changed since the last run.
        self.resolver.renew();
        let run = Arc::new(Run::new(self, queue));
        let routes = run.plan(entries, choice);
        run.go(routes).await;
        let concluded = run.conclude().await;
        self.progress.run_ends();
        concluded
    }

    /// Runs until the client is told to stop, with `pause` between runs: first with `choice`, then
    /// for those of its recipients that are due. An error is logged, because the next run may
    /// succeed.
    pub async fn run_every(self: &Arc<Self>, pause: Duration, mut choice: Choice) {
        let stopped = self.client.stop.clone();
        while !stopped.is_cancelled() {
            match self.run(&choice).await {
                // The other run does what this one would have done.
                Ok(_) | Err(RunError::UnderWay) => {}
                Err(error) => tracing::warn!("{error}"),
            }
            choice = choice.when_due();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped.cancelled() => {}
            }
        }
    }
}

impl<R> Relay<R> {
    /// The hosts of a recipient's domain as they were last looked up, if they have been.
    #[must_use]
    pub fn hosts_of(&self, forward_path: &str) -> Option<Found> {
        let address = Address::parse(forward_path).ok()?;
        let route = self.routes.route(address.domain()).ok()?;
        self.progress.hosts(&route)
    }
}

/// The state of one run.
struct Run<R> {
    relay: Arc<Relay<R>>,
    queue: Queue,
    limits: Arc<Limits>,
    lookups: Semaphore,
    returns: Semaphore,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    outcomes: Outcomes,
    tally: Tally,
}

/// How a agent's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// No job is left, or another route needs the connection more.
    Finished,
    /// No connection is available for it besides those of other agents.
    SteppedAside,
}

/// Why a job is not carried out.
enum Unsent {
    /// All its recipients have been dropped or held since the run began.
    Gone,
    /// Its recipients get this verdict without an attempt.
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
            limits: Arc::new(Limits::to_one_host(relay.connections_per_domain)),
            lookups: Semaphore::new(MOST_LOOKUPS),
            returns: Semaphore::new(MOST_RETURNED),
            results: Mutex::default(),
        }
    }

    /// Selects the recipients to try and groups them by route.
    fn plan(&self, entries: Vec<Entry>, choice: &Choice) -> BTreeMap<Route, VecDeque<Job>> {
        let now = SystemTime::now();
        let targets: QueueTargets = match choice {
            Choice::Only(targets) => targets.iter().cloned().collect(),
            _ => QueueTargets::default(),
        };
        let chosen = |block: &Block| -> Vec<EnvelopePath<Address>> {
            let recipients = block.recipients.iter();
            let chosen = recipients.filter(|recipient| match choice {
                _ if recipient.state != RecipientState::Pending => false,
                Choice::All => true,
                Choice::Due => outcomes::is_due(recipient, now),
                Choice::Only(_) => targets.mean(&block.id, &recipient.forward_path),
                Choice::Named(names) => names.mean(block, recipient),
                Choice::NamedAndDue(names) => {
                    outcomes::is_due(recipient, now) && names.mean(block, recipient)
                }
            });
            chosen.map(|recipient| recipient.forward_path.clone()).collect()
        };
        let entries = entries.into_iter().map(|entry| (chosen(&entry.block), Arc::new(entry)));
        let entries: Vec<(Vec<_>, Arc<Entry>)> = entries.collect();
        let recipients = entries.iter().map(|(chosen, _)| chosen.len()).sum();
        self.results().tally.recipients = recipients;
        self.relay.progress.run_begins(recipients);
        let mut routes: BTreeMap<Route, VecDeque<Job>> = BTreeMap::new();
        for (chosen, entry) in entries {
            for (route, recipients) in self.by_route(&entry, &chosen) {
                let job = Job { entry: Arc::clone(&entry), recipients };
                routes.entry(route).or_default().push_back(job);
            }
        }
        for jobs in routes.values_mut() {
            // A stable sort: within both groups the order of the queue stays.
            jobs.make_contiguous().sort_by_cached_key(Job::goes_last);
        }
        routes
    }

    fn by_route(
        &self,
        entry: &Arc<Entry>,
        chosen: &[EnvelopePath<Address>],
    ) -> BTreeMap<Route, Vec<Address>> {
        let mut routes: BTreeMap<Route, Vec<Address>> = BTreeMap::new();
        for forward_path in chosen {
            let route = forward_path.read().map_err(bad_address).and_then(|address| {
                let route = self.relay.routes.route(address.domain())?;
                Ok((route, address))
            });
            match route {
                Ok((route, address)) => routes.entry(route).or_default().push(address.clone()),
                Err(verdict) => self.settle(entry, forward_path, verdict, None),
            }
        }
        routes
    }

    async fn go(self: &Arc<Self>, routes: BTreeMap<Route, VecDeque<Job>>) {
        let mut under_way = JoinSet::new();
        for (route, jobs) in routes {
            under_way.spawn(Arc::clone(self).go_route(route, jobs));
        }
        while let Some(ended) = under_way.join_next().await {
            gone(ended);
        }
    }

    async fn go_route(self: Arc<Self>, route: Route, jobs: VecDeque<Job>) {
        match self.targets(&route).await {
            Ok(targets) => self.go_to(&route, Hosts::new(targets), Jobs::new(jobs)).await,
            Err(verdict) => {
                for job in &jobs {
                    self.settle_errand(job, &verdict, None);
                }
            }
        }
    }

    /// Runs the agents of a route. One starts alone; while hosts answer, others join up to the
    /// limit, until one of them is refused. If the last agent stepped aside, the job it gave
    /// back starts another one.
    async fn go_to(self: &Arc<Self>, route: &Route, hosts: Arc<Hosts>, jobs: Jobs) {
        let jobs = Arc::new(jobs);
        let another = || {
            let agent = self.agent(route, Arc::clone(&hosts));
            Arc::clone(self).carry(agent, Arc::clone(&jobs))
        };
        let mut agents = JoinSet::new();
        let mut grows = true;
        loop {
            if agents.is_empty() {
                if jobs.is_empty() || self.is_stopped() {
                    return;
                }
                agents.spawn(another());
            }
            tokio::select! {
                Some(ended) = agents.join_next() => {
                    // A refused agent shows that the host accepts no more connections.
                    grows &= gone(ended) != Some(Ending::SteppedAside);
                }
                () = hosts.answered() => {
                    // Only one agent connects at a time, so that a host at its limit refuses only
                    // once.
                    let all_are_in = hosts.let_in() == agents.len();
                    let fits = agents.len() < self.relay.connections_per_domain;
                    let may_grow = grows && all_are_in && fits && self.limits.have_room();
                    if may_grow && !jobs.is_empty() {
                        agents.spawn(another());
                    }
                }
            }
        }
    }

    async fn targets(&self, route: &Route) -> Result<Vec<Target>, Verdict> {
        let _permit = self.lookups.acquire().await;
        let Relay { routes, resolver, progress, client, .. } = &*self.relay;
        let mut chance = Rng::new();
        let targets = tokio::select! {
            targets = routes.targets(route, resolver, &mut chance) => targets,
            () = client.stop.cancelled() => Err(stopped()),
        };
        progress.found(route, targets.clone());
        targets
    }

    fn agent(&self, route: &Route, hosts: Arc<Hosts>) -> DeliveryAgent {
        let Relay { helo, hello, protection, routes, client, .. } = &*self.relay;
        let introduction = Introduction {
            domain: helo.clone(),
            hello: *hello,
            protection: routes.protection(route, protection),
        };
        let (client, limits) = (Arc::clone(client), Arc::clone(&self.limits));
        DeliveryAgent::new(client, limits, introduction, hosts)
    }

    async fn carry(self: Arc<Self>, mut agent: DeliveryAgent, jobs: Arc<Jobs>) -> Ending {
        let mut ending = Ending::Finished;
        while ending == Ending::Finished
            && !self.is_stopped()
            && !agent.is_to_give_way()
            && let Some(job) = jobs.next()
        {
            match agent.prospects() {
                Prospects::Good => {
                    if let Some(job) = self.run_errand(&mut agent, &job).await {
                        jobs.put_back(job);
                        ending = Ending::SteppedAside;
                    }
                }
                Prospects::Refused(verdict, target) => {
                    let asked = target.map(AskedHost::without_connection);
                    self.settle_errand(&job, &verdict, asked.as_ref());
                }
                Prospects::Spared(why) => self.pass_over(&job, &why),
            }
        }
        agent.finish().await;
        ending
    }

    /// Carries out a job; returns the part that another agent must carry out.
    async fn run_errand(&self, agent: &mut DeliveryAgent, job: &Job) -> Option<Job> {
        match self.prepare(job).await {
            Ok((envelope, letter)) => self.deliver(agent, &envelope, &letter).await,
            Err(Unsent::Gone) => None,
            Err(Unsent::Settled(verdict)) => {
                self.settle_errand(job, &verdict, None);
                None
            }
        }
    }

    async fn deliver(
        &self,
        agent: &mut DeliveryAgent,
        envelope: &Envelope,
        letter: &Letter<QueuedText>,
    ) -> Option<Job> {
        let entry = Arc::clone(letter.text.entry());
        for recipient in &envelope.recipients {
            let target = QueueTarget::one(&entry.block.id, recipient.as_str());
            self.relay.progress.sends(target, letter.octets(), &letter.sent);
        }
        let recipients = &envelope.recipients;
        let mut ledger = QueueLedger { run: self, entry: Arc::clone(&entry), recipients };
        let carried = agent.deliver(envelope, letter, &mut ledger).await;
        let (Carried::SteppedAside(left) | Carried::NotOffered(left)) = &carried else {
            return None;
        };
        let left: Vec<Address> =
            left.iter().filter_map(|&place| Some(recipients.get(place)?.address.clone())).collect();
        for recipient in &left {
            self.relay.progress.puts_back(&QueueTarget::one(&entry.block.id, recipient.as_str()));
        }
        let left = Job { entry, recipients: left };
        match (carried, agent.prospects()) {
            (Carried::SteppedAside(_), _) => return Some(left),
            (_, Prospects::Spared(why)) => self.pass_over(&left, &why),
            _ => {}
        }
        None
    }

    /// Records why a job was not carried out. Its attempts and times stay as they are.
    fn pass_over(&self, job: &Job, why: &str) {
        let id = &job.entry.block.id;
        for recipient in &job.recipients {
            self.results().outcomes.note_passed_over(id, recipient.as_str(), why);
        }
    }

    async fn prepare(&self, job: &Job) -> Result<(Envelope, Letter<QueuedText>), Unsent> {
        let (entry, recipients) = self.still_wanted(job).await?;
        let reverse_path = entry.block.reverse_path.read().map_err(bad_address)?.clone();
        let queued = local_time(entry.block.queued);
        let Block { id, client, parameters, .. } = &entry.block;
        if parameters.binary {
            return Err(Unsent::Settled(binary()));
        }
        let MailParameters { dsn, smtputf8, .. } = parameters.clone();
        let protocol = if smtputf8 { Protocol::Utf8Smtp } else { Protocol::Smtp };
        let received = text::received(client.as_ref(), &self.relay.domain, protocol, id, queued);
        let recipients = with_parameters(&entry.block, recipients);
        let text = QueuedText::new(self.queue.clone(), entry);
        let (header, hops) = text.header().await.map_err(|error| unreadable(&error))?;
        if hops.are_too_many() {
            return Err(Unsent::Settled(mail_loop()));
        }
        let header_is_utf8 = smtputf8 && !header.is_ascii();
        let envelope = Envelope { reverse_path, dsn, header_is_utf8, recipients };
        Ok((envelope, Letter::new(received, text)))
    }

    /// The entry as it is now, and the job's recipients that have not been held or dropped since
    /// the run began.
    async fn still_wanted(&self, job: &Job) -> Result<(Arc<Entry>, Vec<Address>), Unsent> {
        let entry = self.queue.now(&job.entry).await?;
        let is_pending = |address: &&Address| {
            entry.block.recipients.iter().any(|recipient| {
                recipient.state == RecipientState::Pending
                    && recipient.forward_path == *address.as_str()
            })
        };
        let recipients: Vec<Address> = job.recipients.iter().filter(is_pending).cloned().collect();
        if recipients.is_empty() {
            return Err(Unsent::Gone);
        }
        Ok((Arc::new(entry), recipients))
    }

    fn settle_errand(&self, job: &Job, verdict: &Verdict, asked: Option<&AskedHost>) {
        for recipient in &job.recipients {
            self.settle(&job.entry, recipient.as_str(), verdict.clone(), asked);
        }
    }

    /// Records the verdict on a recipient, which is of the host that was asked.
    fn settle(
        &self,
        entry: &Arc<Entry>,
        forward_path: &str,
        verdict: Verdict,
        asked: Option<&AskedHost>,
    ) {
        // The stop signal deferred it, not the host: it counts as not tried.
        if self.is_stopped() && matches!(verdict, Verdict::Deferred(..)) {
            return;
        }
        let at = SystemTime::now();
        let verdict = outcomes::within_patience(verdict, entry.block.queued, at);
        self.results().note(&entry.block.id, forward_path, at, &verdict);
        self.tell_relayed(&entry.block.id, forward_path, &verdict, asked);
        let number = attempts_so_far(&entry.block, forward_path).saturating_add(1);
        let target = QueueTarget::one(&entry.block.id, forward_path);
        self.relay.progress.settled(target, Attempt { at, number, verdict });
    }

    fn tell_relayed(&self, id: &str, to: &str, verdict: &Verdict, asked: Option<&AskedHost>) {
        let connection = asked.and_then(|asked| asked.connection);
        self.relay.client.transcript.tell_fact(connection, || Fact::Relayed {
            id: id.to_owned(),
            to: to.to_owned(),
            host: asked.map(AskedHost::with_port),
            outcome: match verdict {
                Verdict::Delivered(..) => RelayOutcome::Delivered,
                Verdict::Deferred(..) => RelayOutcome::Deferred,
                Verdict::Failed(_) => RelayOutcome::Failed,
            },
            reply: verdict.diagnosis().reason.to_string(),
        });
    }

    fn is_stopped(&self) -> bool {
        self.relay.client.stop.is_cancelled()
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock()
    }

    /// Writes the results to the queue, then notifies senders of failed mail, of this run or
    /// earlier ones.
    async fn conclude(self: &Arc<Self>) -> Result<Summary, RunError> {
        let Results { outcomes, tally } = std::mem::take(&mut *self.results());
        // Results come first: if the process dies while it notifies, no delivery is forgotten.
        let mut left = self.clear(outcomes).await?;
        if self.relay.bounces == Bounces::ToLocalSenders && self.tell_senders(&left).await? {
            // Removes the recipients whose senders have now been notified.
            left = self.clear(Outcomes::default()).await?;
        }
        let left = left.iter().map(|block| block.recipients.len()).sum();
        Ok(Summary { tally, left })
    }

    /// Applies the outcomes to the queue; returns the entries that are left.
    async fn clear(self: &Arc<Self>, outcomes: Outcomes) -> Result<Vec<Block>, QueueError> {
        let (run, now) = (Arc::clone(self), SystemTime::now());
        let edit = move |block: &mut Block| {
            // An earlier run kept them for a notification that nobody will send now.
            if block.recipients.iter().any(|recipient| recipient.is_relayed) && !run.tells(block) {
                block.recipients.iter_mut().for_each(|recipient| recipient.is_relayed = false);
            }
            outcomes.apply(block, now)
        };
        self.queue.edit(edit).await
    }

    /// Whether the sender of a message is notified of what becomes of it.
    fn tells(&self, block: &Block) -> bool {
        let sender = block.reverse_path.read().ok().and_then(notification::owed_to);
        self.relay.bounces == Bounces::ToLocalSenders
            && sender.is_some_and(|sender| self.local_user(sender).is_some())
    }

    /// Notifies the senders that have a mailbox here. A sender that cannot be notified now stays
    /// owed a notification, and a later run tries again. Returns whether there was anything to
    /// notify.
    async fn tell_senders(self: &Arc<Self>, left: &[Block]) -> Result<bool, QueueError> {
        let now = SystemTime::now();
        let mut owed: BTreeMap<User, BTreeMap<String, Owed>> = BTreeMap::new();
        for block in left {
            if let Some(one) = owed::owed(block, now)
                && let Some(user) = self.local_user(&one.sender)
            {
                owed.entry(user).or_default().insert(block.id.clone(), one);
            }
        }
        if owed.is_empty() {
            return Ok(false);
        }
        // Read again, because writing the results has changed the file.
        let entries = self.queue.entries().await?.into_iter();
        let entries: HashMap<String, Arc<Entry>> =
            entries.map(|entry| (entry.block.id.clone(), Arc::new(entry))).collect();
        let mut under_way = JoinSet::new();
        for (user, owed) in owed {
            if under_way.len() >= MOST_SENDERS {
                under_way.join_next().await.map(gone);
            }
            let owed = owed.into_iter().filter_map(|(id, owed)| Some((entries.get(&id)?, owed)));
            let owed = owed.map(|(entry, owed)| (Arc::clone(entry), owed)).collect();
            under_way.spawn(Arc::clone(self).tell(user, owed));
        }
        while let Some(ended) = under_way.join_next().await {
            gone(ended);
        }
        Ok(true)
    }

    /// The local user of a sender's address, if it has a mailbox here.
    fn local_user(&self, sender: &Address) -> Option<User> {
        let ours = sender.domain().eq_ignore_ascii_case(&self.relay.domain)
            || address::literal(sender.domain()).is_some_and(machine::has);
        ours.then(|| self.relay.directory.user(sender.local_part().as_bytes())).flatten()
    }

    /// Notifies one sender, in batches. Each batch is recorded before the next, so that if the
    /// process dies, at most one batch is sent twice.
    async fn tell(self: Arc<Self>, user: User, owed: Vec<(Arc<Entry>, Owed)>) {
        for batch in owed.chunks(TOLD_AT_ONCE) {
            let (told, failed) = self.tell_batch(&user, batch).await;
            if let Err(error) = self.queue.mark_told(told).await {
                tracing::warn!("cannot record that {} was notified: {error}", user.name());
                return;
            }
            if let Some(error) = failed {
                let name = user.name();
                tracing::warn!(
                    "cannot notify {name} of failed mail: {error}; a later run tries again"
                );
                return;
            }
            if self.is_stopped() {
                return;
            }
        }
    }

    /// Notifies a sender of these messages. Returns the recipients that were reported, and the
    /// error if some could not be.
    async fn tell_batch(
        self: &Arc<Self>,
        user: &User,
        batch: &[(Arc<Entry>, Owed)],
    ) -> (Vec<(Arc<Entry>, Vec<String>)>, Option<io::Error>) {
        let mut under_way = JoinSet::new();
        for (entry, owed) in batch.iter().cloned() {
            let (run, user) = (Arc::clone(self), user.clone());
            under_way.spawn(async move {
                if !owed.reports.is_empty() {
                    run.send_notification(user, &entry, &owed).await?;
                }
                Ok((entry, owed.about()))
            });
        }
        // On stop the grace period lets deliveries finish that wait for nothing; one that waits for
        // a locked mailbox is given up.
        let mut stopped = pin!(async {
            self.relay.client.stop.cancelled().await;
            sleep(GRACE).await;
        });
        let (mut told, mut failed) = (Vec::new(), None);
        loop {
            let ended = tokio::select! {
                ended = under_way.join_next() => ended,
                () = &mut stopped => None,
            };
            match ended.map(gone) {
                Some(Some(Ok(about))) => told.push(about),
                Some(Some(Err(error))) => failed = Some(error),
                Some(None) => {}
                None => return (told, failed),
            }
        }
    }

    async fn send_notification(
        &self,
        user: User,
        entry: &Arc<Entry>,
        owed: &Owed,
    ) -> io::Result<()> {
        let queued = QueuedText::new(self.queue.clone(), Arc::clone(entry));
        let is_whole = returns_all(entry, owed);
        let _permit = if is_whole { self.returns.acquire().await.ok() } else { None };
        let octets = if is_whole { whole(&queued).await? } else { queued.header().await?.0 };
        let notification = Notification {
            domain: &self.relay.domain,
            id: &entry.block.id,
            envid: entry.block.parameters.dsn.envid.as_ref(),
            sender: &owed.sender,
            queued: local_time(entry.block.queued),
            tried: DateTime::<Local>::from(owed.tried).fixed_offset(),
            returned: if is_whole { Returned::Message(&octets) } else { Returned::Header(&octets) },
            reports: &owed.reports,
        };
        let mut text = self.relay.directory.new_text();
        text.push(&notification.render());
        // The default reverse-path is the null one, as RFC 3464 section 2 requires.
        let recipient = LocalRecipient { named: vec![owed.sender.as_str().into()], ..user.into() };
        let envelope = StoredEnvelope { local: vec![recipient], ..StoredEnvelope::default() };
        self.store_notification(envelope, text).await
    }

    /// Stores a notification, and tells the observers as of any other mail.
    async fn store_notification(&self, envelope: StoredEnvelope, text: Text) -> io::Result<()> {
        let Relay { directory, client, .. } = &*self.relay;
        let Some(uid_most) = client.transcript.facts_wanted().uid_most() else {
            return directory.deliver(envelope, text).await.map_err(io::Error::other);
        };
        let receipt = directory.deliver_for_receipt(envelope, text, uid_most).await;
        // The null reverse-path.
        stored::tell(&receipt.map_err(io::Error::other)?, "", None, &client.transcript);
        Ok(())
    }
}

impl Results {
    fn note(&mut self, id: &str, forward_path: &str, at: SystemTime, verdict: &Verdict) {
        self.tally.count(verdict);
        self.outcomes.note(id, forward_path, at, verdict.clone());
    }
}

/// Whether the sender of a failed message gets all of it back (RFC 3461 section 4.3).
fn returns_all(entry: &Entry, owed: &Owed) -> bool {
    entry.block.parameters.dsn.ret == Some(Ret::Full)
        && entry.octets <= MESSAGE_SENT_BACK
        && owed.reports.iter().any(|report| report.action == Action::Failed)
}

async fn whole(queued: &QueuedText) -> io::Result<Vec<u8>> {
    let mut reader = queued.open().await?;
    let mut text = Vec::new();
    while TextReader::read(&mut reader, &mut text).await? > 0 {}
    Ok(text)
}

/// The recipients with what their sender asked for.
fn with_parameters(block: &Block, recipients: Vec<Address>) -> Vec<Recipient> {
    let dsn = |address: &Address| {
        let mut recipients = block.recipients.iter();
        let there = recipients.find(|there| there.forward_path == *address.as_str());
        there.map(|there| there.dsn.clone()).unwrap_or_default()
    };
    recipients.into_iter().map(|address| Recipient { dsn: dsn(&address), address }).collect()
}

fn binary() -> Verdict {
    let reason = "the message was declared BODY=BINARYMIME, and the relay sends lines of text only";
    Verdict::failed(Status::CONVERSION, reason)
}

fn bad_address(bad: &BadAddress) -> Verdict {
    Verdict::failed(Status::BAD_ADDRESS, &bad.to_string())
}

/// Writes the verdicts for one message to the queue.
struct QueueLedger<'a, R> {
    run: &'a Run<R>,
    entry: Arc<Entry>,
    recipients: &'a [Recipient],
}

impl<R: Resolver + 'static> Ledger for QueueLedger<'_, R> {
    fn begins(&mut self, places: &[usize], asked: &AskedHost) {
        let to = || {
            let recipients = places.iter().filter_map(|&place| self.recipients.get(place));
            recipients.map(|recipient| recipient.as_str().to_owned()).collect()
        };
        self.run.relay.client.transcript.tell_fact(asked.connection, || Fact::RelayAttempt {
            id: self.entry.block.id.clone(),
            to: to(),
            host: asked.with_port(),
        });
    }

    async fn enter(&mut self, mut settled: Vec<Settled>) {
        self.excuse(&mut settled);
        let delivered = self.places(&settled, Notice::None);
        if !delivered.is_empty() {
            self.noted(self.run.queue.mark_delivered(&self.entry, delivered).await);
        }
        let relayed = self.places(&settled, Notice::Owed);
        if !relayed.is_empty() {
            self.noted(self.run.queue.mark_relayed(&self.entry, relayed).await);
        }
        for Settled { place, verdict, asked } in settled {
            if let Some(recipient) = self.recipients.get(place) {
                self.run.settle(&self.entry, recipient.as_str(), verdict, asked.as_deref());
            }
        }
    }
}

impl<R: Resolver + 'static> QueueLedger<'_, R> {
    /// Drops the notices that this run will not send.
    fn excuse(&self, settled: &mut [Settled]) {
        let notices = settled.iter_mut().filter_map(|settled| match &mut settled.verdict {
            Verdict::Delivered(_, notice @ Notice::Owed) => Some(notice),
            _ => None,
        });
        let mut notices = notices.peekable();
        // Whether the sender has a mailbox here is looked up on the disk: not for each delivery.
        if notices.peek().is_some() && !self.run.tells(&self.entry.block) {
            notices.for_each(|notice| *notice = Notice::None);
        }
    }

    /// The delivered recipients with this notice, by index in the queue entry.
    fn places(&self, settled: &[Settled], meant: Notice) -> Vec<usize> {
        let is_meant = |verdict: &Verdict| matches!(verdict, Verdict::Delivered(_, notice) if *notice == meant);
        let delivered = settled.iter().filter(|settled| is_meant(&settled.verdict));
        delivered.filter_map(|settled| self.place(settled.place)).collect()
    }

    /// The run writes a result again at its end, so if a mark cannot be written, the message is sent
    /// twice only if the process dies before that.
    fn noted(&self, marked: Result<(), QueueError>) {
        if let Err(error) = marked {
            let id = &self.entry.block.id;
            tracing::warn!("cannot mark a recipient of {id} as delivered: {error}");
        }
    }

    /// The index of a recipient in the queue entry, which may have other recipients too.
    fn place(&self, nth: usize) -> Option<usize> {
        let address = self.recipients.get(nth)?.as_str();
        let mut recipients = self.entry.block.recipients.iter();
        recipients.position(|recipient| recipient.forward_path == *address)
    }
}

fn attempts_so_far(block: &Block, forward_path: &str) -> u32 {
    let mut recipients = block.recipients.iter();
    let recipient = recipients.find(|recipient| recipient.forward_path == *forward_path);
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

fn mail_loop() -> Verdict {
    let reason = format!("mail loop: more than {} Received fields", text::MOST_HOPS);
    Verdict::failed(Status::LOOP, &reason)
}

/// The result of a task. A panic is a bug; the recipients the task was working on stay in the
/// queue.
fn gone<T>(ended: Result<T, tokio::task::JoinError>) -> Option<T> {
    ended.inspect_err(|error| tracing::error!("a task of the relay run panicked: {error}")).ok()
}
