//! The messages that go one route, shared by all agents of that route.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::mail::path::Address;
use crate::relay::outcomes;
use crate::store::queue::Entry;

/// A message and those of its recipients that take the same route.
#[derive(Debug, Clone)]
pub struct Job {
    /// The queue entry, as it was when the run began.
    pub entry: Arc<Entry>,
    /// The recipients of this route.
    pub recipients: Vec<Address>,
}

impl Job {
    /// Whether it goes behind the other jobs of its route.
    #[must_use]
    pub fn goes_last(&self) -> bool {
        let Self { entry, recipients } = self;
        recipients.iter().any(|recipient| outcomes::goes_last(&entry.block, recipient.as_str()))
    }
}

/// The jobs of one route that no agent has taken yet.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<VecDeque<Job>>);

impl Jobs {
    /// Errands that will be taken in the given order.
    #[must_use]
    pub fn new(jobs: VecDeque<Job>) -> Self {
        Self(Mutex::new(jobs))
    }

    /// Takes the next job out of the list.
    #[must_use]
    pub fn next(&self) -> Option<Job> {
        self.lock().pop_front()
    }

    /// Puts a job at the head of the list, for another agent.
    pub fn put_back(&self, job: Job) {
        // At the front, so that the order of the messages stays.
        self.lock().push_front(job);
    }

    /// Whether all jobs have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.0.lock()
    }
}
