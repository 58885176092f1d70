//! The messages that go one way, shared by all couriers of that way.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::mail::path::Address;
use crate::relay::outcomes;
use crate::store::queue::Entry;

/// A message and those of its recipients that go the same way.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The queue entry, as it was when the run began.
    pub entry: Arc<Entry>,
    /// The recipients of this way.
    pub recipients: Vec<Address>,
}

impl Errand {
    /// Whether it goes behind the other errands of its way.
    #[must_use]
    pub fn goes_last(&self) -> bool {
        let Self { entry, recipients } = self;
        recipients.iter().any(|recipient| outcomes::goes_last(&entry.block, recipient.as_str()))
    }
}

/// The errands of one way that no courier has taken yet.
#[derive(Debug, Default)]
pub struct Errands(Mutex<VecDeque<Errand>>);

impl Errands {
    /// Errands that will be taken in the given order.
    #[must_use]
    pub fn new(errands: VecDeque<Errand>) -> Self {
        Self(Mutex::new(errands))
    }

    /// Takes the next errand out of the list.
    #[must_use]
    pub fn next(&self) -> Option<Errand> {
        self.lock().pop_front()
    }

    /// Puts an errand at the head of the list, for another courier.
    pub fn put_back(&self, errand: Errand) {
        // At the front, so that the order of the messages stays.
        self.lock().push_front(errand);
    }

    /// Whether all errands have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Errand>> {
        self.0.lock()
    }
}
