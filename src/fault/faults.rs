//! The rules of a process while it runs: their order, counters and clocks.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::fault::plan::Plan;
use crate::fault::point::Point;
use crate::fault::progress::Progress;
use crate::fault::rule::Who;

/// The rules, and what they have done.
#[derive(Debug, Default)]
pub struct Faults {}

/// A rule has matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The rule's number; `None` for an address that asks for a fault.
    pub id: Option<u64>,
    /// The rule as it was written, or `ADDRESS`.
    pub rule: Arc<str>,
    /// What the transcript says behind `.. fault `: `1: smtp.rcpt to=bob@* (1 of 3)`, or the address.
    pub told: String,
    /// What is to be done.
    pub plan: Arc<Plan>,
}

/// A rule as an operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleView {
    /// Its number, from 1 on; never given again.
    pub id: u64,
    /// As it was written.
    pub rule: Arc<str>,
    /// The scenario that it belongs to.
    pub scenario: Option<&'static str>,
    /// Whether it may act.
    pub is_on: bool,
    /// How often it has acted.
    pub hits: u64,
    /// How often it may still act; `None` without `times`, and with `per`.
    pub left: Option<u64>,
    /// When it has acted last.
    pub last_hit: Option<SystemTime>,
    /// With `per`: how many keys are kept.
    pub keys: Option<usize>,
}

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All rules.
    All,
    /// One.
    One(u64),
}

/// There is no rule with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule {0}")]
pub struct NoSuchRule(pub u64);

impl Faults {
    /// No rules yet. `chance` is drawn from `seed`.
    #[must_use]
    pub fn new(_seed: u64, _takes_addresses: bool) -> Self {
        todo!()
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        todo!()
    }

    /// Whether anything may ever match now: cheap, to be asked at every command.
    #[must_use]
    pub fn is_active(&self) -> bool {
        false
    }

    /// Adds a rule, or all rules of a scenario; returns their numbers. The error is several lines:
    /// a sentence, the rule, and a caret under the place with what may stand there.
    pub fn add(&self, _text: &str) -> Result<Vec<u64>, String> {
        todo!()
    }

    /// Removes rules. What already acts goes on.
    pub fn remove(&self, _which: Which) -> Result<(), NoSuchRule> {
        todo!()
    }

    /// Switches rules on or off.
    pub fn switch(&self, _which: Which, _is_on: bool) -> Result<(), NoSuchRule> {
        todo!()
    }

    /// Sets counters, clocks and keys back to the start.
    pub fn reset(&self, _which: Which) -> Result<(), NoSuchRule> {
        todo!()
    }

    /// All rules, in their order.
    #[must_use]
    pub fn view(&self) -> Vec<RuleView> {
        todo!()
    }

    /// The first rule that matches here, counted as a hit. At `dot` and `pop3.quit` it is asked once,
    /// before the work. At `text` it is asked at the beginning, and at every [`next_mark`](Self::next_mark).
    #[must_use]
    pub fn hit(&self, _at: Point, _progress: &Progress, _who: Who, _now: Instant) -> Option<Hit> {
        None
    }

    /// At how many octets of a text some rule acts next, after this many.
    #[must_use]
    pub fn next_mark(&self, _octets: u64) -> Option<u64> {
        None
    }
}
