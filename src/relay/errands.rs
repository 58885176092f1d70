//! What is to go one way, for whichever courier comes next.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::mail::path::Address;
use crate::relay::outcomes;
use crate::store::queue::Entry;

/// A message and those of its recipients that go one way.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The message, as it was when the run began.
    pub entry: Arc<Entry>,
    /// The recipients.
    pub recipients: Vec<Address>,
}

impl Errand {
    /// Whether it is to stand behind others.
    #[must_use]
    pub fn goes_last(&self) -> bool {
        let Self { entry, recipients } = self;
        recipients.iter().any(|recipient| outcomes::goes_last(&entry.block, recipient.as_str()))
    }
}

/// The errands of one way.
#[derive(Debug, Default)]
pub struct Errands(Mutex<VecDeque<Errand>>);

impl Errands {
    /// These errands, to be run in this order.
    #[must_use]
    pub fn new(errands: VecDeque<Errand>) -> Self {
        Self(Mutex::new(errands))
    }

    /// The next one, which is the caller's from here on.
    #[must_use]
    pub fn next(&self) -> Option<Errand> {
        self.lock().pop_front()
    }

    /// Gives one back that somebody else is to run.
    pub fn put_back(&self, errand: Errand) {
        self.lock().push_front(errand);
    }

    /// Whether there is none left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Errand>> {
        self.0.lock()
    }
}
