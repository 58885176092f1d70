//! One rule while it runs: what it has done, and whether it acts now.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::fault::counters::{Counter, Key, Keys};
use crate::fault::plan::Plan;
use crate::fault::point::Point;
use crate::fault::progress::Progress;
use crate::fault::rule::{Rule, Who};

/// A rule has matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The rule's number; `None` for an address that asks for a fault.
    pub id: Option<u64>,
    /// The rule as it was written, or the whole address that asks for a fault.
    pub rule: Arc<str>,
    /// What the transcript says behind `.. fault `: `1: smtp.rcpt to=bob@* (1 of 3)`, or the address.
    pub told: String,
    /// The plan. For `pass` it is the plan that changes nothing.
    pub plan: Arc<Plan>,
}

/// A rule and what it has done.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) rule: Rule,
    /// As it was written, shared with every hit.
    pub(super) text: Arc<str>,
    pub(super) scenario: Option<&'static str>,
    pub(super) is_on: bool,
    /// All that it has done; with `per` it only tells how often.
    pub(super) whole: Counter,
    /// With `per`: what it has done for each.
    pub(super) keys: Keys<Counter>,
    pub(super) last_hit: Option<SystemTime>,
    dice: fastrand::Rng,
}

impl Entry {
    pub(super) fn new(id: u64, rule: Rule, scenario: Option<&'static str>, seed: u64) -> Self {
        Self {
            id,
            text: (*rule.text).into(),
            rule,
            scenario,
            is_on: true,
            whole: Counter::default(),
            keys: Keys::default(),
            last_hit: None,
            dice: dice(seed, id),
        }
    }

    /// Sets back what it has done, as if it had just been added.
    pub(super) fn reset(&mut self, seed: u64) {
        self.whole = Counter::default();
        self.keys = Keys::default();
        self.last_hit = None;
        self.dice = dice(seed, self.id);
    }

    /// How often it may still act; `None` without `times`, and with `per`.
    pub(super) fn left(&self) -> Option<u64> {
        let times = self.rule.limits.times.filter(|_| self.rule.limits.per.is_none())?;
        Some(times.saturating_sub(self.whole.hits))
    }

    /// When it is spent because its time is over; `None` without `until`, before its first hit, and with
    /// `per`.
    pub(super) fn ends(&self) -> Option<Instant> {
        let limits = &self.rule.limits;
        self.whole.ends(limits).filter(|_| limits.per.is_none())
    }

    /// Whether it acts never again. With `per` there may always be another key.
    pub(super) fn is_spent(&self, now: Instant) -> bool {
        let limits = &self.rule.limits;
        limits.per.is_none() && self.whole.is_spent(limits, now)
    }

    /// Whether it is on and not spent.
    pub(super) fn may_act(&self, now: Instant) -> bool {
        self.is_on && !self.is_spent(now)
    }

    /// Whether it acts here: a hit, which is counted.
    pub(super) fn ask(
        &mut self,
        at: Point,
        progress: &Progress,
        who: Who,
        now: Instant,
    ) -> Option<Hit> {
        let is_asked = self.may_act(now) && self.rule.is_met(at, progress, who);
        let key = self.rule.limits.per.map(|per| Key::of(per, progress, who));
        if !is_asked || self.is_spent_for(key.as_ref(), now) {
            return None;
        }
        // A key of which nothing need be known takes no place.
        if self.rule.limits.over.is_some() && !self.is_over(key.clone(), now) {
            return None;
        }
        let chance = self.rule.limits.chance;
        if chance.is_some_and(|chance| self.dice.f64() >= chance) {
            return None;
        }
        Some(self.hit(key, now))
    }

    fn is_spent_for(&self, key: Option<&Key>, now: Instant) -> bool {
        let counter = key.and_then(|key| self.keys.get(key));
        counter.is_some_and(|counter| counter.is_spent(&self.rule.limits, now))
    }

    fn is_over(&mut self, key: Option<Key>, now: Instant) -> bool {
        let counter = match key {
            Some(key) => self.keys.of(key),
            None => &mut self.whole,
        };
        counter.is_over(&self.rule.limits, now)
    }

    fn hit(&mut self, key: Option<Key>, now: Instant) -> Hit {
        self.whole.hit(now);
        self.last_hit = Some(SystemTime::now());
        let nth = match key {
            Some(key) => {
                let counter = self.keys.of(key);
                counter.hit(now);
                counter.hits
            }
            None => self.whole.hits,
        };
        let times = self.rule.limits.times.map(|times| format!(" ({nth} of {times})"));
        Hit {
            id: Some(self.id),
            rule: self.text.clone(),
            told: format!("{}: {}{}", self.id, self.rule.matches, times.unwrap_or_default()),
            plan: self.rule.plan.clone().unwrap_or_default(),
        }
    }
}

/// The dice of a rule: the same for the same seed, and others for each rule.
fn dice(seed: u64, id: u64) -> fastrand::Rng {
    // An odd number of 64 bits, so that neighbouring rules are not drawn alike.
    fastrand::Rng::with_seed(seed ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
