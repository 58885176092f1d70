//! Counts and times what a rule does, apart for each key. Bounded: of many keys the oldest goes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::fault::progress::Progress;
use crate::fault::rule::{Limits, Per, Who};

/// The most keys that are kept.
pub(super) const KEYS_MOST: usize = 10_000;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An address without regard to case.
    Address(Arc<str>),
    Client(IpAddr),
    Session(u64),
}

impl Key {
    /// The key of what a rule counts now.
    pub(super) fn of(per: Per, progress: &Progress, who: Who) -> Self {
        let address =
            |address: &Option<String>| Self::address(address.as_deref().unwrap_or_default());
        match per {
            Per::To => address(&progress.to),
            Per::From => address(&progress.from),
            Per::Client => Self::Client(who.client.to_canonical()),
            Per::Session => Self::Session(who.session),
        }
    }

    /// An address.
    pub(super) fn address(address: &str) -> Self {
        Self::Address(address.to_lowercase().into())
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    pub(super) hits: u64,
    first_hit: Option<Instant>,
    /// When it would have acted, `over` apart: the last so many times.
    reached: VecDeque<Instant>,
}

impl Counter {
    /// Whether no hit is left, or none in time.
    pub(super) fn is_spent(&self, limits: &Limits, now: Instant) -> bool {
        let is_used_up = limits.times.is_some_and(|times| self.hits >= times);
        is_used_up || self.ends(limits).is_some_and(|ends| now >= ends)
    }

    /// When no hit is left in time; `None` before the first one, and without such a limit.
    pub(super) fn ends(&self, limits: &Limits) -> Option<Instant> {
        self.first_hit?.checked_add(limits.until?)
    }

    /// Counts towards `over`; whether it is exceeded now.
    pub(super) fn is_over(&mut self, limits: &Limits, now: Instant) -> bool {
        let Some((times, time)) = limits.over else {
            return true;
        };
        let is_recent = |then: &Instant| now.saturating_duration_since(*then) < time;
        while self.reached.front().is_some_and(|then| !is_recent(then)) {
            self.reached.pop_front();
        }
        let is_over = self.reached.len() as u64 >= times;
        if is_over {
            // As many as may happen are enough to know that one more is too many.
            self.reached.pop_front();
        }
        self.reached.push_back(now);
        is_over
    }

    /// Counts a hit.
    pub(super) fn hit(&mut self, now: Instant) {
        self.hits = self.hits.saturating_add(1);
        self.first_hit.get_or_insert(now);
    }
}

/// What is kept of many keys.
#[derive(Debug)]
pub(super) struct Keys<T> {
    kept: HashMap<Key, T>,
    /// The oldest first.
    order: VecDeque<Key>,
}

impl<T: Default> Keys<T> {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&T> {
        self.kept.get(key)
    }

    /// What is kept of a key. A new one may push the oldest out, which then begins anew.
    pub(super) fn of(&mut self, key: Key) -> &mut T {
        if !self.kept.contains_key(&key) {
            if self.order.len() >= KEYS_MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.kept.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.kept.entry(key).or_default()
    }

    /// What is kept, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.order.iter().filter_map(|key| self.kept.get(key))
    }
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self { kept: HashMap::new(), order: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn over_acts_on_what_exceeds_so_many_times_hits_counted_too() {
        let limits = Limits { over: Some((2, Duration::from_secs(10))), ..Limits::default() };
        let (start, mut counter) = (Instant::now(), Counter::default());
        let mut at = |second| counter.is_over(&limits, start + Duration::from_secs(second));
        assert_eq!([at(0), at(1), at(2), at(3)], [false, false, true, true]);
        // What happened at 2 and 3 counts until 12 and 13.
        assert_eq!([at(11), at(12), at(13)], [true, true, true]);
        assert_eq!([at(40), at(41), at(42)], [false, false, true]);
    }

    #[test]
    fn until_counts_from_the_first_hit() {
        let limits = Limits { until: Some(Duration::from_mins(1)), ..Limits::default() };
        let (start, mut counter) = (Instant::now(), Counter::default());
        assert!(!counter.is_spent(&limits, start + Duration::from_mins(10)));
        counter.hit(start);
        counter.hit(start + Duration::from_secs(59));
        assert!(!counter.is_spent(&limits, start + Duration::from_secs(59)));
        assert!(counter.is_spent(&limits, start + Duration::from_mins(1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn keys_are_bounded_and_the_oldest_goes(more in 0_u64..300) {
            let mut keys: Keys<Counter> = Keys::default();
            let most = KEYS_MOST as u64;
            for session in 0..most + more {
                keys.of(Key::Session(session)).hit(Instant::now());
            }
            prop_assert_eq!(keys.len(), KEYS_MOST);
            prop_assert!(more == 0 || keys.get(&Key::Session(more - 1)).is_none());
            prop_assert!(keys.get(&Key::Session(more)).is_some());
        }
    }
}
