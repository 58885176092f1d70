//! The progress and results of relay runs, for the console. Written by the run, which never waits
//! for a reader.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::relay::mx::Target;
use crate::relay::queue_target::QueueTarget;
use crate::relay::route::Route;
use crate::relay::verdict::Verdict;

/// The most attempts that are kept, over all recipients; the oldest are dropped.
const MOST_ATTEMPTS: usize = 10_000;

/// The most routes whose hosts are kept.
const MOST_ROUTES: usize = 1_000;

/// Progress, which relay runs write to and the console reads.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
    /// Changes with every change to the state, except for the octet counts of texts being sent.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    tally: Option<Tally>,
    under_way: HashMap<QueueTarget, UnderWay>,
    /// The attempts for each recipient, oldest first.
    attempts: HashMap<QueueTarget, VecDeque<Attempt>>,
    /// The recipients of these attempts, in the order in which the attempts ended.
    ended: VecDeque<QueueTarget>,
    hosts: BTreeMap<Route, Found>,
}

/// The hosts of a route as they were last looked up, or why there are none.
pub type Found = Result<Vec<Target>, Verdict>;

/// The counts of a run's recipients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recipients the run will try.
    pub recipients: usize,
    /// Delivered so far.
    pub delivered: usize,
    /// Deferred so far.
    pub deferred: usize,
    /// Failed so far.
    pub failed: usize,
}

/// For example `2 delivered, 1 deferred, 0 failed`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recipients, delivered, deferred, failed } = self;
        write!(f, "{delivered} delivered, {deferred} deferred, {failed} failed")?;
        match recipients.saturating_sub(delivered + deferred + failed) {
            0 => Ok(()),
            others => write!(f, ", {others} not tried"),
        }
    }
}

#[derive(Debug)]
struct UnderWay {
    octets: u64,
    // Updated by the sender without the lock, since it changes with every block.
    sent: Arc<AtomicU64>,
}

/// How much of a message has been sent to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Octets sent so far.
    pub octets: u64,
    /// Length of the message in octets, approximately.
    pub of: u64,
}

/// One delivery attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: SystemTime,
    /// The number of the attempt, counted from 1.
    pub number: u32,
    /// How it ended, and who said so.
    pub verdict: Verdict,
}

/// The current state of one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// How much of its message has been sent, while it is being sent.
    pub sending: Option<Sent>,
    /// The last attempt of this process, if there was one.
    pub last: Option<Attempt>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { state: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Progress {
    /// A receiver that is notified of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The current state of each of these recipients, in the same order.
    #[must_use]
    pub fn live(&self, recipients: &[QueueTarget]) -> Vec<Live> {
        let state = self.lock();
        let live = |target| Live {
            sending: state.under_way.get(target).map(UnderWay::sent),
            last: state.attempts.get(target).and_then(|attempts| attempts.back()).cloned(),
        };
        recipients.iter().map(live).collect()
    }

    /// The attempts of this process for a recipient, oldest first.
    #[must_use]
    pub fn attempts(&self, recipient: &QueueTarget) -> Vec<Attempt> {
        let state = self.lock();
        state.attempts.get(recipient).into_iter().flatten().cloned().collect()
    }

    /// The hosts of a route, if they have been looked up.
    #[must_use]
    pub fn hosts(&self, route: &Route) -> Option<Found> {
        self.lock().hosts.get(route).cloned()
    }

    /// The counts of the current run; `None` between runs.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.lock().tally
    }

    pub(super) fn run_begins(&self, recipients: usize) {
        self.change(|state| state.tally = Some(Tally { recipients, ..Tally::default() }));
    }

    pub(super) fn run_ends(&self) {
        self.change(|state| {
            state.tally = None;
            state.under_way.clear();
        });
    }

    pub(super) fn found(&self, route: &Route, found: Found) {
        self.change(|state| {
            if state.hosts.len() >= MOST_ROUTES {
                state.hosts.pop_first();
            }
            state.hosts.insert(route.clone(), found);
        });
    }

    pub(super) fn sends(&self, recipient: QueueTarget, octets: u64, sent: &Arc<AtomicU64>) {
        let under_way = UnderWay { octets, sent: Arc::clone(sent) };
        self.change(|state| {
            state.under_way.insert(recipient, under_way);
        });
    }

    /// The recipient is no longer under way and has no verdict.
    pub(super) fn puts_back(&self, recipient: &QueueTarget) {
        self.change(|state| {
            state.under_way.remove(recipient);
        });
    }

    pub(super) fn settled(&self, recipient: QueueTarget, attempt: Attempt) {
        self.change(|state| {
            state.under_way.remove(&recipient);
            if let Some(tally) = &mut state.tally {
                tally.count(&attempt.verdict);
            }
            state.remember(recipient, attempt);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // The lock is released before the version moves, so that a woken reader does not wait for
        // it.
        change(&mut self.lock());
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Tally {
    /// Counts a verdict.
    pub(super) const fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Delivered(..) => self.delivered += 1,
            Verdict::Deferred(..) => self.deferred += 1,
            Verdict::Failed(_) => self.failed += 1,
        }
    }
}

impl State {
    fn remember(&mut self, recipient: QueueTarget, attempt: Attempt) {
        if self.ended.len() >= MOST_ATTEMPTS {
            self.forget_oldest();
        }
        self.ended.push_back(recipient.clone());
        self.attempts.entry(recipient).or_default().push_back(attempt);
    }

    fn forget_oldest(&mut self) {
        let Some(recipient) = self.ended.pop_front() else { return };
        if let Entry::Occupied(mut attempts) = self.attempts.entry(recipient) {
            attempts.get_mut().pop_front();
            if attempts.get().is_empty() {
                attempts.remove();
            }
        }
    }
}

impl UnderWay {
    fn sent(&self) -> Sent {
        Sent { octets: self.sent.load(Relaxed), of: self.octets }
    }
}
