//! Takes letters one way: tries the hosts in their order, keeps a connection for the next letter,
//! and remembers within a run which hosts are of no use.

use std::future::Future;
use std::sync::Arc;

use crate::relay::client::{Client, Connection};
use crate::relay::conversation::opening::Introduction;
use crate::relay::conversation::transaction::{After, Outcome};
use crate::relay::envelope::{Envelope, MOST_RECIPIENTS};
use crate::relay::limits::{Limits, Permit};
use crate::relay::mx::Target;
use crate::relay::status::Status;
use crate::relay::text::{Letter, MessageText};
use crate::relay::verdict::{Again, Verdict};

/// Hosts that are asked to take one letter in one run; those that cannot be reached do not count.
const MOST_SESSIONS: usize = 2;

/// Conversations in a row that a host may break off before the letters that follow are spared it:
/// each of them could cost the longest time-out.
const MOST_BROKEN: u32 = 3;

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
    hosts: Vec<KnownHost>,
    line: Option<OpenLine>,
}

struct KnownHost {
    target: Target,
    /// Conversations in a row that did not come to their end.
    broken: u32,
    /// Why no further letter is brought there in this run.
    useless: Option<Verdict>,
}

/// The connection that is kept for the next letter.
struct OpenLine {
    host: usize,
    connection: Connection,
    _permit: Permit,
}

impl Courier {
    /// A courier to `targets`, who are to be tried in this order.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        limits: Arc<Limits>,
        introduction: Introduction,
        targets: Vec<Target>,
    ) -> Self {
        let hosts =
            targets.into_iter().map(|target| KnownHost { target, broken: 0, useless: None });
        Self { client, limits, introduction, hosts: hosts.collect(), line: None }
    }

    /// Takes a letter to all its recipients, in as many transactions as that needs. Each of them
    /// has exactly one verdict in the ledger when it is done.
    pub async fn deliver<M: MessageText>(
        &mut self,
        envelope: &Envelope,
        letter: &Letter<M>,
        ledger: &mut impl Ledger,
    ) {
        let places: Vec<usize> = (0..envelope.recipients.len()).collect();
        for places in places.chunks(MOST_RECIPIENTS) {
            self.run(Errand::new(envelope, places), letter, ledger).await;
        }
    }

    /// The verdict on whatever else there is to carry, once all hosts are known to be of no use.
    #[must_use]
    pub fn hopeless(&self) -> Option<Verdict> {
        let useless = self.hosts.iter().all(|host| host.useless.is_some());
        (useless && self.line.is_none()).then(|| self.nobody_there())
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
    ) {
        while !errand.is_done() {
            let Some(line) = self.line_for(&errand).await else {
                let given_up = errand.give_up(&self.nobody_there());
                return ledger.enter(given_up).await;
            };
            let stale = line.connection.is_used();
            let host = line.host;
            let (places, envelope) = errand.due();
            let outcome = line.connection.deliver(&envelope, letter).await;
            let after = outcome.connection;
            let settled = errand.take(&places, outcome);
            ledger.enter(settled).await;
            match (after, stale) {
                // A host may close a connection that it has had before, at any time; it is tried
                // again on a new one.
                (After::Ended, true) => self.line = None,
                (After::Ended, false) => {
                    self.line = None;
                    self.broke_off(host, &errand);
                    errand.tried(host);
                }
                (After::Usable, _) => {
                    self.came_to_its_end(host);
                    errand.tried(host);
                }
            }
        }
    }

    /// A connection to a host that has not been tried on this errand.
    async fn line_for(&mut self, errand: &Errand<'_>) -> Option<&mut OpenLine> {
        if errand.tried.len() >= MOST_SESSIONS {
            return None;
        }
        if self.line.as_ref().is_some_and(|line| errand.has_tried(line.host)) {
            self.hang_up().await;
        }
        if self.line.is_none() {
            self.line = self.connect(errand).await;
        }
        self.line.as_mut()
    }

    async fn connect(&mut self, errand: &Errand<'_>) -> Option<OpenLine> {
        for (index, host) in self.hosts.iter_mut().enumerate() {
            if host.useless.is_some() || errand.has_tried(index) {
                continue;
            }
            let permit = self.limits.permit(host.target.address).await.ok()?;
            match Connection::open(&self.client, &host.target, &self.introduction).await {
                Ok(connection) => {
                    return Some(OpenLine { host: index, connection, _permit: permit });
                }
                Err(verdict) => host.useless = Some(verdict),
            }
        }
        None
    }

    async fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.connection.quit().await;
        }
    }

    fn broke_off(&mut self, host: usize, errand: &Errand<'_>) {
        let Some(host) = self.hosts.get_mut(host) else {
            return;
        };
        host.broken += 1;
        if host.broken >= MOST_BROKEN {
            host.useless = errand.last_word();
        }
    }

    fn came_to_its_end(&mut self, host: usize) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.broken = 0;
        }
    }

    /// The verdict where no host could be asked: for good only if all of them say so.
    fn nobody_there(&self) -> Verdict {
        let verdicts = || self.hosts.iter().filter_map(|host| host.useless.as_ref());
        let deferring = verdicts().rfind(|verdict| matches!(verdict, Verdict::Deferred(..)));
        deferring.or(verdicts().next_back()).cloned().unwrap_or_else(|| {
            Verdict::deferred(Status::NO_ANSWER, Again::NextRun, "there is no host to ask")
        })
    }
}

/// One letter for at most [`MOST_RECIPIENTS`] recipients, of whom some may be left.
struct Errand<'a> {
    envelope: &'a Envelope,
    left: Vec<Left>,
    /// The hosts that have been asked.
    tried: Vec<usize>,
    /// What was last said to defer anybody.
    last_word: Option<Verdict>,
}

/// A recipient who has no verdict for this run.
struct Left {
    place: usize,
    so_far: Option<Verdict>,
}

impl<'a> Errand<'a> {
    fn new(envelope: &'a Envelope, places: &[usize]) -> Self {
        let left = places.iter().map(|&place| Left { place, so_far: None });
        Self { envelope, left: left.collect(), tried: Vec::new(), last_word: None }
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

    fn last_word(&self) -> Option<Verdict> {
        self.last_word.clone()
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
        self.left.retain(|left| !places.contains(&left.place));
        let mut settled = Vec::new();
        for (&place, verdict) in places.iter().zip(outcome.verdicts) {
            match without_vain_hope(verdict, progress) {
                verdict @ Verdict::Deferred(_, Again::NextTransaction | Again::NextHost) => {
                    self.last_word = Some(verdict.clone());
                    let so_far = Some(verdict);
                    self.left.push(Left { place, so_far });
                }
                verdict => settled.push((place, verdict)),
            }
        }
        settled
    }

    /// Nobody else can be asked: what was said so far stands, or else `nobody`.
    fn give_up(self, nobody: &Verdict) -> Vec<(usize, Verdict)> {
        let verdict = |left: Left| (left.place, left.so_far.unwrap_or_else(|| nobody.clone()));
        self.left.into_iter().map(verdict).collect()
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
