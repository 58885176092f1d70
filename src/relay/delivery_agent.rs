//! Delivers messages to the hosts of one route: tries the hosts in order and keeps the connection
//! open for the next message. Several agents of one route share what they learn of its hosts in
//! [`Hosts`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::relay::asked::AskedHost;
use crate::relay::client::{Client, Connection};
use crate::relay::conversation::opening::Introduction;
use crate::relay::conversation::transaction::{After, Outcome};
use crate::relay::envelope::{Envelope, MOST_RECIPIENTS};
use crate::relay::hosts::{Hosts, Prospects, Refusal, Visit};
use crate::relay::limits::{Limits, Permit};
use crate::relay::mx::Target;
use crate::relay::text::{Letter, MessageText};
use crate::relay::verdict::{Again, Verdict};

/// The most hosts that are offered one message in one run. Hosts that cannot be reached do not
/// count.
const MOST_SESSIONS: usize = 2;

/// How long a host that has not answered yet may keep its connection while others wait for one.
/// Doubled each time the host has to give way, so that a slow host gets its whole timeout in the
/// end.
const PROTECTED: Duration = Duration::from_secs(5);

/// A verdict that is final for this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The recipient, by its index in the envelope.
    pub place: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// The host that it is of; `None` if there was none.
    pub asked: Option<Arc<AskedHost>>,
}

/// Records the verdicts of a agent.
pub trait Ledger: Send {
    /// Called before each transaction, with its recipients and the host that is asked.
    fn begins(&mut self, _places: &[usize], _asked: &AskedHost) {}

    /// Called right after each transaction with the recipients whose verdict for this run is final.
    /// Nothing is sent before it returns, so that a delivery is on record before anything else can
    /// go wrong (RFC 1047).
    fn enter(&mut self, settled: Vec<Settled>) -> impl Future<Output = ()> + Send;
}

/// Delivers messages to the hosts of one route, one message after another.
pub struct DeliveryAgent {
    client: Arc<Client>,
    limits: Arc<Limits>,
    introduction: Introduction,
    hosts: Arc<Hosts>,
    line: Option<OpenLine>,
}

/// The recipients of a message that a agent did not settle, by their index in the envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Carried {
    /// None: every recipient has a verdict.
    Whole,
    /// These have no verdict, and this agent must end: another agent of the route, which has a
    /// connection, should take them over.
    SteppedAside(Vec<usize>),
    /// These have no verdict and get none in this run: no host was asked for them.
    NotOffered(Vec<usize>),
}

/// An open connection, kept for the next message.
struct OpenLine {
    visit: Visit,
    connection: Connection,
    asked: Arc<AskedHost>,
    _permit: Permit,
}

/// Why a agent has no connection.
enum NoLine {
    /// Another agent of this route has a connection, and no further one is available.
    StepAside,
    /// All hosts have been tried or are unusable.
    NoHost,
}

impl DeliveryAgent {
    /// A agent to `hosts`, without a connection yet.
    #[must_use]
    pub const fn new(
        client: Arc<Client>,
        limits: Arc<Limits>,
        introduction: Introduction,
        hosts: Arc<Hosts>,
    ) -> Self {
        Self { client, limits, introduction, hosts, line: None }
    }

    /// Delivers a message to all recipients of the envelope, in as many transactions as that needs.
    /// Each recipient either gets exactly one verdict or is returned as left over.
    pub async fn deliver<M: MessageText>(
        &mut self,
        envelope: &Envelope,
        letter: &Letter<M>,
        ledger: &mut impl Ledger,
    ) -> Carried {
        let places: Vec<usize> = (0..envelope.recipients.len()).collect();
        let mut chunks = places.chunks(MOST_RECIPIENTS);
        while let Some(chunk) = chunks.next() {
            let mut carried = self.run(Job::new(envelope, chunk), letter, ledger).await;
            if let Carried::SteppedAside(left) | Carried::NotOffered(left) = &mut carried {
                // The chunks that have not been tried are left over too.
                left.extend(chunks.flatten());
                return carried;
            }
        }
        Carried::Whole
    }

    /// Whether the hosts can be expected to accept another message.
    #[must_use]
    pub fn prospects(&self) -> Prospects {
        if self.line.is_some() { Prospects::Good } else { self.hosts.prospects() }
    }

    /// Whether this agent should end so that another route gets its connection. Never true for the
    /// only agent of a route.
    #[must_use]
    pub fn is_to_give_way(&self) -> bool {
        self.line.is_some() && self.hosts.visitors() > 1 && self.limits.is_asked_to_give_way()
    }

    /// Closes the connection with QUIT, if there is one.
    pub async fn finish(mut self) {
        self.hang_up().await;
    }

    async fn run<M: MessageText>(
        &mut self,
        mut job: Job<'_>,
        letter: &Letter<M>,
        ledger: &mut impl Ledger,
    ) -> Carried {
        while !job.is_done() {
            let line = match self.line_for(&job).await {
                Ok(line) => line,
                Err(NoLine::StepAside) => return Carried::SteppedAside(job.places()),
                Err(NoLine::NoHost) => {
                    let (given_up, not_offered) = job.give_up(&self.hosts.prospects());
                    ledger.enter(given_up).await;
                    return carried_but(not_offered);
                }
            };
            // Read before the transaction, which counts as a use itself.
            let stale = line.connection.is_used();
            let (places, envelope) = job.due();
            ledger.begins(&places, &line.asked);
            let outcome = line.connection.deliver(&envelope, letter).await;
            let (after, host) = (outcome.connection, line.visit.host());
            if after == After::Ended && !stale {
                line.visit.broke_off();
                job.broke = true;
            }
            let settled = job.take(&places, outcome, &line.asked);
            ledger.enter(settled).await;
            match (after, stale) {
                // A host may close a reused connection at any time between messages, so this says
                // nothing about the message: it is tried again on a new connection to the same
                // host.
                (After::Ended, true) => self.line = None,
                (After::Ended | After::Abandoned, _) => {
                    self.line = None;
                    job.tried(host);
                }
                (After::Usable, _) => {
                    self.came_to_its_end();
                    job.tried(host);
                }
            }
        }
        Carried::Whole
    }

    /// A connection to a host that has not been tried for this message.
    async fn line_for(&mut self, job: &Job<'_>) -> Result<&mut OpenLine, NoLine> {
        let is_new = |line: &OpenLine| !job.has_tried(line.visit.host());
        if !self.line.as_ref().is_some_and(is_new) {
            // If no other host can be asked, the connection stays open for the next message.
            if job.tried.len() >= MOST_SESSIONS || !self.hosts.has_another(&job.tried) {
                return Err(NoLine::NoHost);
            }
            // A agent has one connection at a time.
            self.hang_up().await;
            self.line = Some(self.connect(job).await?);
        }
        self.line.as_mut().ok_or(NoLine::NoHost)
    }

    async fn connect(&mut self, job: &Job<'_>) -> Result<OpenLine, NoLine> {
        let mut protected = PROTECTED;
        while let Some(mut visit) = self.hosts.visit(&job.tried) {
            let permit = self.permit(visit.target()).await.ok_or(NoLine::StepAside)?;
            match self.knock(visit.target(), protected).await {
                Some(Ok(connection)) => {
                    visit.opened();
                    let target = visit.target().clone();
                    let asked = AskedHost { target, connection: Some(connection.name()) };
                    let asked = Arc::new(asked);
                    return Ok(OpenLine { visit, connection, asked, _permit: permit });
                }
                Some(Err(verdict)) => match visit.refused(verdict) {
                    Refusal::StepAside => return Err(NoLine::StepAside),
                    Refusal::NextHost => {}
                },
                // We gave way; the same host is tried again, with more time.
                None => protected *= 2,
            }
        }
        Err(NoLine::NoHost)
    }

    /// A permit for a connection. The first agent of a route waits for it; further ones only take a
    /// permit that is free, because they must not delay other routes.
    async fn permit(&mut self, target: &Target) -> Option<Permit> {
        if self.hosts.visitors() > 1 {
            return self.limits.permit_at_once(target.address);
        }
        tokio::select! {
            permit = self.limits.permit(target.address) => permit,
            () = self.client.stop.cancelled() => None,
        }
    }

    /// Opens a connection. `None` if the host has not answered within `protected` and others are
    /// waiting for a connection.
    async fn knock(
        &mut self,
        target: &Target,
        protected: Duration,
    ) -> Option<Result<Connection, Verdict>> {
        tokio::select! {
            opened = Connection::open(&self.client, target, &self.introduction) => Some(opened),
            () = self.limits.asked_to_give_way(protected) => None,
        }
    }

    async fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.connection.quit().await;
        }
    }

    fn came_to_its_end(&self) {
        if let Some(line) = &self.line {
            line.visit.came_to_its_end();
        }
    }
}

fn carried_but(not_offered: Vec<usize>) -> Carried {
    if not_offered.is_empty() { Carried::Whole } else { Carried::NotOffered(not_offered) }
}

/// One message for at most [`MOST_RECIPIENTS`] recipients, and the recipients without a verdict.
struct Job<'a> {
    envelope: &'a Envelope,
    left: Vec<Left>,
    /// The hosts that have been offered the message, by index.
    tried: Vec<usize>,
    /// Whether a host broke off a conversation about this message.
    broke: bool,
}

/// A recipient without a final verdict for this run.
struct Left {
    place: usize,
    /// The last verdict, and the host that it is of.
    so_far: Option<(Verdict, Arc<AskedHost>)>,
}

impl<'a> Job<'a> {
    fn new(envelope: &'a Envelope, places: &[usize]) -> Self {
        let left = places.iter().map(|&place| Left { place, so_far: None });
        Self { envelope, left: left.collect(), tried: Vec::new(), broke: false }
    }

    fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    fn has_tried(&self, host: usize) -> bool {
        self.tried.contains(&host)
    }

    /// Records that a host has been asked, unless it is asked again at once for the recipients that
    /// it had no room for.
    fn tried(&mut self, host: usize) {
        if !self.left.iter().any(Left::waits_for_its_turn) {
            self.tried.push(host);
        }
    }

    /// The recipients without a verdict, by index.
    fn places(&self) -> Vec<usize> {
        self.left.iter().map(|left| left.place).collect()
    }

    /// The recipients of the next transaction, by index and as an envelope. Recipients waiting for
    /// the same host go first.
    fn due(&self) -> (Vec<usize>, Envelope) {
        let some_wait = self.left.iter().any(Left::waits_for_its_turn);
        let due = self.left.iter().filter(|left| !some_wait || left.waits_for_its_turn());
        let places: Vec<usize> = due.map(|left| left.place).collect();
        let recipients =
            places.iter().filter_map(|&place| self.envelope.recipients.get(place).cloned());
        let envelope = Envelope {
            reverse_path: self.envelope.reverse_path.clone(),
            dsn: self.envelope.dsn.clone(),
            header_is_utf8: self.envelope.header_is_utf8,
            recipients: recipients.collect(),
        };
        (places, envelope)
    }

    /// Applies the outcome of a transaction for `places`; returns the verdicts that are final.
    fn take(&mut self, places: &[usize], outcome: Outcome, asked: &Arc<AskedHost>) -> Vec<Settled> {
        let settled_as = |place: usize, verdict: Verdict| Settled {
            place,
            verdict,
            asked: Some(Arc::clone(asked)),
        };
        let progress =
            outcome.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Delivered(..)));
        let broke_off = outcome.connection == After::Ended;
        // They get a final verdict below, or are put back with what was said so far.
        self.left.retain(|left| !places.contains(&left.place));
        let mut settled = Vec::new();
        for (&place, verdict) in places.iter().zip(outcome.verdicts) {
            match without_vain_hope(verdict, progress) {
                // The connection broke after the final dot: a retry in the usual order could break
                // again and delay all others.
                Verdict::Deferred(diagnosis, Again::NextRun) if broke_off => {
                    let verdict = Verdict::Deferred(diagnosis, Again::BehindOthers);
                    settled.push(settled_as(place, verdict));
                }
                verdict @ Verdict::Deferred(_, Again::NextTransaction | Again::NextHost) => {
                    let so_far = Some((verdict, Arc::clone(asked)));
                    self.left.push(Left { place, so_far });
                }
                verdict => settled.push(settled_as(place, self.final_word(verdict))),
            }
        }
        settled
    }

    /// No other host can be asked: recipients keep the last verdict they got, or get the verdict
    /// that holds for all mail to these hosts. Returns the verdicts, and the recipients that no
    /// host was asked for.
    fn give_up(self, prospects: &Prospects) -> (Vec<Settled>, Vec<usize>) {
        let (mut given_up, mut not_offered) = (Vec::new(), Vec::new());
        let refuses = match prospects {
            Prospects::Refused(_, target) => target.clone().map(AskedHost::without_connection),
            Prospects::Good | Prospects::Spared(_) => None,
        };
        let refuses = refuses.map(Arc::new);
        for &Left { place, ref so_far } in &self.left {
            match (so_far, prospects) {
                (Some((verdict, asked)), _) => {
                    let (verdict, asked) =
                        (self.final_word(verdict.clone()), Some(Arc::clone(asked)));
                    given_up.push(Settled { place, verdict, asked });
                }
                (None, Prospects::Refused(verdict, _)) => {
                    let (verdict, asked) = (verdict.clone(), refuses.clone());
                    given_up.push(Settled { place, verdict, asked });
                }
                (None, Prospects::Good | Prospects::Spared(_)) => not_offered.push(place),
            }
        }
        (given_up, not_offered)
    }

    /// A message during which a host broke off must go behind others in the next run, or those
    /// might never be offered.
    fn final_word(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Deferred(diagnosis, _) if self.broke => {
                Verdict::Deferred(diagnosis, Again::BehindOthers)
            }
            verdict => verdict,
        }
    }
}

impl Left {
    fn waits_for_its_turn(&self) -> bool {
        matches!(self.so_far, Some((Verdict::Deferred(_, Again::NextTransaction), _)))
    }
}

/// If a host accepted no recipient in this transaction, it will not accept the remaining ones in
/// the next.
fn without_vain_hope(verdict: Verdict, progress: bool) -> Verdict {
    match verdict {
        Verdict::Deferred(diagnosis, Again::NextTransaction) if !progress => {
            Verdict::Deferred(diagnosis, Again::NextHost)
        }
        verdict => verdict,
    }
}
