//! Takes letters one way: tries the hosts in their order and keeps a connection for the next
//! letter. What several couriers of one way know of its hosts they know together.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::relay::client::{Client, Connection};
use crate::relay::conversation::opening::Introduction;
use crate::relay::conversation::transaction::{After, Outcome};
use crate::relay::envelope::{Envelope, MOST_RECIPIENTS};
use crate::relay::hosts::{Hosts, Prospects, Refusal, Visit};
use crate::relay::limits::{Limits, Permit};
use crate::relay::mx::Target;
use crate::relay::text::{Letter, MessageText};
use crate::relay::verdict::{Again, Verdict};

/// Hosts that are asked to take one letter in one run; those that cannot be reached do not count.
const MOST_SESSIONS: usize = 2;

/// How long a host that has not answered yet keeps its connection from those who wait for one.
/// Each time that it gives way this doubles, so that at last it has the whole time-out.
const PROTECTED: Duration = Duration::from_secs(5);

/// Where it is written down what became of recipients.
pub trait Ledger: Send {
    /// Called right behind each transaction: these recipients, by their place in the envelope,
    /// have their verdict for this run. Nothing is sent before it returns, so that what a host
    /// has taken is on record before anything else can go wrong (RFC 1047).
    fn enter(&mut self, settled: Vec<(usize, Verdict)>) -> impl Future<Output = ()> + Send;
}

/// Carries letters to the hosts of one way, one letter after another.
pub struct Courier {
    client: Arc<Client>,
    limits: Arc<Limits>,
    introduction: Introduction,
    hosts: Arc<Hosts>,
    line: Option<OpenLine>,
}

/// What a courier leaves of a letter. Recipients are named by their places in the envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: each recipient has a verdict.
    Whole,
    /// These have none, and this courier ends: another one, who has a connection, is to take the
    /// letter to them.
    SteppedAside(Vec<usize>),
    /// These have none and get none in this run: no host was asked for them.
    NotOffered(Vec<usize>),
}

/// The connection that is kept for the next letter.
struct OpenLine {
    visit: Visit,
    connection: Connection,
    _permit: Permit,
}

/// Why there is no connection.
enum NoLine {
    /// Another courier of this way has one, and there is none for us.
    StepAside,
    /// No host is left to ask.
    NoHost,
}

impl Courier {
    /// A courier to `hosts`.
    #[must_use]
    pub const fn new(
        client: Arc<Client>,
        limits: Arc<Limits>,
        introduction: Introduction,
        hosts: Arc<Hosts>,
    ) -> Self {
        Self { client, limits, introduction, hosts, line: None }
    }

    /// Takes a letter to all its recipients, in as many transactions as that needs. None of them
    /// gets a second verdict, and whoever gets none is among those that are left.
    pub async fn deliver<M: MessageText>(
        &mut self,
        envelope: &Envelope,
        letter: &Letter<M>,
        ledger: &mut impl Ledger,
    ) -> Carried {
        let places: Vec<usize> = (0..envelope.recipients.len()).collect();
        let mut chunks = places.chunks(MOST_RECIPIENTS);
        while let Some(chunk) = chunks.next() {
            let mut carried = self.run(Errand::new(envelope, chunk), letter, ledger).await;
            if let Carried::SteppedAside(left) | Carried::NotOffered(left) = &mut carried {
                left.extend(chunks.flatten());
                return carried;
            }
        }
        Carried::Whole
    }

    /// What can be hoped for, for whatever else there is to carry.
    #[must_use]
    pub fn prospects(&self) -> Prospects {
        if self.line.is_some() { Prospects::Good } else { self.hosts.prospects() }
    }

    /// Whether this courier is to end so that others get a connection. Only where another one
    /// carries on.
    #[must_use]
    pub fn is_to_give_way(&self) -> bool {
        self.line.is_some() && self.hosts.visitors() > 1 && self.limits.is_asked_to_give_way()
    }

    /// Says good-bye to the host at hand.
    pub async fn finish(mut self) {
        self.hang_up().await;
    }

    async fn run<M: MessageText>(
        &mut self,
        mut errand: Errand<'_>,
        letter: &Letter<M>,
        ledger: &mut impl Ledger,
    ) -> Carried {
        while !errand.is_done() {
            let line = match self.line_for(&errand).await {
                Ok(line) => line,
                Err(NoLine::StepAside) => return Carried::SteppedAside(errand.places()),
                Err(NoLine::NoHost) => {
                    let (given_up, not_offered) = errand.give_up(&self.hosts.prospects());
                    ledger.enter(given_up).await;
                    return carried_but(not_offered);
                }
            };
            let stale = line.connection.is_used();
            let (places, envelope) = errand.due();
            let outcome = line.connection.deliver(&envelope, letter).await;
            let (after, host) = (outcome.connection, line.visit.host());
            if after == After::Ended && !stale {
                line.visit.broke_off();
                errand.broke = true;
            }
            let settled = errand.take(&places, outcome);
            ledger.enter(settled).await;
            match (after, stale) {
                // A host may close a connection that it has had before, at any time; it is tried
                // again on a new one.
                (After::Ended, true) => self.line = None,
                (After::Ended | After::Abandoned, _) => {
                    self.line = None;
                    errand.tried(host);
                }
                (After::Usable, _) => {
                    self.came_to_its_end();
                    errand.tried(host);
                }
            }
        }
        Carried::Whole
    }

    /// A connection to a host that has not been tried on this errand.
    async fn line_for(&mut self, errand: &Errand<'_>) -> Result<&mut OpenLine, NoLine> {
        let is_new = |line: &OpenLine| !errand.has_tried(line.visit.host());
        if !self.line.as_ref().is_some_and(is_new) {
            // Where nobody else can be asked, the connection is of use to the next letter.
            if errand.tried.len() >= MOST_SESSIONS || !self.hosts.has_another(&errand.tried) {
                return Err(NoLine::NoHost);
            }
            self.hang_up().await;
            self.line = Some(self.connect(errand).await?);
        }
        self.line.as_mut().ok_or(NoLine::NoHost)
    }

    async fn connect(&mut self, errand: &Errand<'_>) -> Result<OpenLine, NoLine> {
        let mut protected = PROTECTED;
        while let Some(mut visit) = self.hosts.visit(&errand.tried) {
            let permit = self.permit(visit.target()).await.ok_or(NoLine::StepAside)?;
            match self.knock(visit.target(), protected).await {
                Some(Ok(connection)) => {
                    visit.opened();
                    return Ok(OpenLine { visit, connection, _permit: permit });
                }
                Some(Err(verdict)) => match visit.refused(verdict) {
                    Refusal::StepAside => return Err(NoLine::StepAside),
                    Refusal::NextHost => {}
                },
                None => protected *= 2,
            }
        }
        Err(NoLine::NoHost)
    }

    /// The right to a connection. The first of a way waits for it; more are only made where nobody
    /// has to wait.
    async fn permit(&mut self, target: &Target) -> Option<Permit> {
        if self.hosts.visitors() > 1 {
            return self.limits.permit_at_once(target.address);
        }
        tokio::select! {
            permit = self.limits.permit(target.address) => permit,
            () = self.client.stop.cancelled() => None,
        }
    }

    /// A connection, or why the host takes none; nothing if it has not answered and others need the
    /// connection more.
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

/// One letter for at most [`MOST_RECIPIENTS`] recipients, of whom some may be left.
struct Errand<'a> {
    envelope: &'a Envelope,
    left: Vec<Left>,
    /// The hosts that have been asked.
    tried: Vec<usize>,
    /// A host has broken the conversation off.
    broke: bool,
}

/// A recipient who has no verdict for this run.
struct Left {
    place: usize,
    so_far: Option<Verdict>,
}

impl<'a> Errand<'a> {
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

    /// Notes that a host has been asked, unless it is to be asked for the others now.
    fn tried(&mut self, host: usize) {
        if !self.left.iter().any(Left::waits_for_its_turn) {
            self.tried.push(host);
        }
    }

    /// Those who have no verdict.
    fn places(&self) -> Vec<usize> {
        self.left.iter().map(|left| left.place).collect()
    }

    /// The recipients of the next transaction.
    fn due(&self) -> (Vec<usize>, Envelope) {
        let some_wait = self.left.iter().any(Left::waits_for_its_turn);
        let due = self.left.iter().filter(|left| !some_wait || left.waits_for_its_turn());
        let places: Vec<usize> = due.map(|left| left.place).collect();
        let recipients =
            places.iter().filter_map(|&place| self.envelope.recipients.get(place).cloned());
        let envelope = Envelope {
            reverse_path: self.envelope.reverse_path.clone(),
            recipients: recipients.collect(),
        };
        (places, envelope)
    }

    /// Takes the outcome for `places`; gives back what is settled by it.
    fn take(&mut self, places: &[usize], outcome: Outcome) -> Vec<(usize, Verdict)> {
        let progress =
            outcome.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Delivered(_)));
        let broke_off = outcome.connection == After::Ended;
        self.left.retain(|left| !places.contains(&left.place));
        let mut settled = Vec::new();
        for (&place, verdict) in places.iter().zip(outcome.verdicts) {
            match without_vain_hope(verdict, progress) {
                // It was behind the dot: it is not tried once more to see whether it breaks again.
                Verdict::Deferred(diagnosis, Again::NextRun) if broke_off => {
                    settled.push((place, Verdict::Deferred(diagnosis, Again::BehindOthers)));
                }
                verdict @ Verdict::Deferred(_, Again::NextTransaction | Again::NextHost) => {
                    let so_far = Some(verdict);
                    self.left.push(Left { place, so_far });
                }
                verdict => settled.push((place, self.final_word(verdict))),
            }
        }
        settled
    }

    /// Nobody else can be asked: what was said so far stands, or else what is said of all mail.
    /// Gives also those of whom nothing has been said.
    fn give_up(self, prospects: &Prospects) -> (Vec<(usize, Verdict)>, Vec<usize>) {
        let (mut given_up, mut not_offered) = (Vec::new(), Vec::new());
        for Left { place, so_far } in &self.left {
            match (so_far, prospects) {
                (Some(verdict), _) => given_up.push((*place, self.final_word(verdict.clone()))),
                (None, Prospects::Refused(verdict)) => given_up.push((*place, verdict.clone())),
                (None, Prospects::Good | Prospects::Spared(_)) => not_offered.push(*place),
            }
        }
        (given_up, not_offered)
    }

    /// A letter at which a host hangs up must not stand before others in the next run too: they
    /// would never be offered.
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
        matches!(self.so_far, Some(Verdict::Deferred(_, Again::NextTransaction)))
    }
}

/// A host that took nobody in this transaction will not take the others in the next one.
fn without_vain_hope(verdict: Verdict, progress: bool) -> Verdict {
    match verdict {
        Verdict::Deferred(diagnosis, Again::NextTransaction) if !progress => {
            Verdict::Deferred(diagnosis, Again::NextHost)
        }
        verdict => verdict,
    }
}
