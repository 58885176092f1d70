//! What a relay run is doing now and what it has found, for whoever watches. Written by the run,
//! which never waits for a reader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::relay::mx::Target;
use crate::relay::route::Way;
use crate::relay::verdict::Verdict;

/// Attempts that are remembered, of all recipients together; of more, the oldest go.
const MOST_ATTEMPTS: usize = 10_000;

/// Ways whose hosts are remembered.
const MOST_WAYS: usize = 1_000;

/// The board.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    /// Moves whenever a view would differ, but for the octets of a text on its way.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    tally: Option<Tally>,
    under_way: BTreeMap<(String, String), UnderWay>,
    attempts: VecDeque<Attempt>,
    hosts: BTreeMap<Way, Result<Vec<Target>, Verdict>>,
}

/// The recipients of the run that is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// To be tried.
    pub recipients: usize,
    /// Delivered so far.
    pub delivered: usize,
    /// Deferred so far.
    pub deferred: usize,
    /// Failed so far.
    pub failed: usize,
}

#[derive(Debug)]
struct UnderWay {
    octets: u64,
    sent: Arc<AtomicU64>,
}

/// A recipient whose message is being brought to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// The entry's id.
    pub id: String,
    /// The recipient's address.
    pub recipient: String,
    /// Octets of the message, about.
    pub octets: u64,
    /// How many of them the host has been sent.
    pub sent: u64,
}

/// One attempt to deliver to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: SystemTime,
    /// The entry's id.
    pub id: String,
    /// The recipient's address.
    pub recipient: String,
    /// How it ended, by whose word.
    pub verdict: Verdict,
}

/// What stands on the board at one moment.
#[derive(Debug, Clone, Default)]
pub struct BoardView {
    /// The run, if one is under way.
    pub tally: Option<Tally>,
    /// What is being sent.
    pub sending: Vec<Sending>,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
    /// The hosts of each way as they were last looked up, or why there are none.
    pub hosts: BTreeMap<Way, Result<Vec<Target>, Verdict>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { state: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Board {
    /// Tells when there is something new.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What stands there now.
    #[must_use]
    pub fn view(&self) -> BoardView {
        let state = self.lock();
        BoardView {
            tally: state.tally,
            sending: state.under_way.iter().map(sending).collect(),
            attempts: state.attempts.iter().cloned().collect(),
            hosts: state.hosts.clone(),
        }
    }

    /// The run, if one is under way.
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

    pub(super) fn found(&self, way: &Way, targets: Result<Vec<Target>, Verdict>) {
        self.change(|state| {
            if state.hosts.len() >= MOST_WAYS {
                state.hosts.pop_first();
            }
            state.hosts.insert(way.clone(), targets);
        });
    }

    pub(super) fn sends(&self, id: &str, recipient: &str, octets: u64, sent: &Arc<AtomicU64>) {
        let under_way = UnderWay { octets, sent: Arc::clone(sent) };
        let key = (id.to_owned(), recipient.to_owned());
        self.change(|state| {
            state.under_way.insert(key, under_way);
        });
    }

    pub(super) fn settled(&self, attempt: Attempt) {
        let key = (attempt.id.clone(), attempt.recipient.clone());
        self.change(|state| {
            state.under_way.remove(&key);
            if let Some(tally) = &mut state.tally {
                tally.count(&attempt.verdict);
            }
            if state.attempts.len() >= MOST_ATTEMPTS {
                state.attempts.pop_front();
            }
            state.attempts.push_back(attempt);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Counts a recipient.
    pub(super) const fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Delivered(_) => self.delivered += 1,
            Verdict::Deferred(..) => self.deferred += 1,
            Verdict::Failed(_) => self.failed += 1,
        }
    }
}

fn sending(((id, recipient), under_way): (&(String, String), &UnderWay)) -> Sending {
    Sending {
        id: id.clone(),
        recipient: recipient.clone(),
        octets: under_way.octets,
        sent: under_way.sent.load(Relaxed),
    }
}
