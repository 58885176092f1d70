//! The rules of a process while it runs: their order, counters and clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, MutexGuard};

use crate::fault::address::Remembered;
use crate::fault::catalogue;
use crate::fault::counters::{Counter, Key, Keys};
use crate::fault::entry::Entry;
pub use crate::fault::entry::Hit;
use crate::fault::parse::problem::Problem;
use crate::fault::parse::{self, RuleError};
use crate::fault::point::{Place, Point};
use crate::fault::progress::Progress;
use crate::fault::rule::{Rule, Who};
use crate::wire::figures::grouped;
use crate::wire::nearest::nearest;

/// The most rules at a time.
pub const RULES_MOST: usize = 1_000;

/// The rules, and what they have done. All sessions share it; every call that asks the rules holds
/// one lock, and only while it looks.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    takes_addresses: bool,
    /// Kept beside the rules, so that a session asks no lock while there are no faults.
    is_active: AtomicBool,
    version: AtomicU64,
    rules: Mutex<Rules>,
}

/// What is behind the lock.
#[derive(Debug, Default)]
struct Rules {
    entries: Vec<Entry>,
    last_id: u64,
    /// Of addresses that ask for faults.
    addresses: Keys<Asked>,
}

/// What has come of an address that asks for a fault.
#[derive(Debug, Default)]
struct Asked {
    address: Arc<str>,
    counter: Counter,
    times: Option<u64>,
    last_hit: Option<SystemTime>,
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
    /// When it is spent because its time is over; `None` without `until`, before its first hit, and with
    /// `per`.
    pub ends: Option<Instant>,
    /// When it has acted last.
    pub last_hit: Option<SystemTime>,
    /// With `per`: how many keys are kept.
    pub keys: Option<usize>,
}

/// An address that has asked for a fault, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressView {
    /// The whole address, as it was written first.
    pub address: Arc<str>,
    /// How often its fault has come.
    pub hits: u64,
    /// How often it may still come; `None` without a limit.
    pub left: Option<u64>,
    /// When it has come last.
    pub last_hit: Option<SystemTime>,
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

impl Default for Faults {
    /// No rules, seed 0, and addresses that ask for nothing.
    fn default() -> Self {
        Self::new(0, false)
    }
}

impl Faults {
    /// No rules yet. `chance` is drawn from `seed`. Whether addresses may ask for faults
    /// (`--fault-addresses`).
    #[must_use]
    pub fn new(seed: u64, takes_addresses: bool) -> Self {
        Self {
            seed,
            takes_addresses,
            is_active: AtomicBool::new(takes_addresses),
            version: AtomicU64::new(0),
            rules: Mutex::default(),
        }
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether addresses may ask for faults.
    #[must_use]
    pub const fn takes_addresses(&self) -> bool {
        self.takes_addresses
    }

    /// Whether anything may ever match now: a rule that is on and not spent, or an address. One
    /// atomic load, to be asked at every command.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// Another number whenever [`view`](Self::view) may tell something else.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Adds a rule, or all rules of a scenario; returns their numbers.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or there would be over 1,000 rules. The error is three lines: a
    /// sentence, the rule, and a caret under the place with what may stand there.
    pub fn add(&self, text: &str) -> Result<Vec<u64>, String> {
        self.added(text.trim()).map_err(|error| error.to_string())
    }

    fn added(&self, text: &str) -> Result<Vec<u64>, RuleError> {
        let (scenario, new) = rules_of(text)?;
        let mut rules = self.rules.lock();
        if rules.entries.len() + new.len() > RULES_MOST {
            let most = grouped(RULES_MOST);
            return Err(RuleError::new(
                text,
                Problem {
                    at: 0,
                    sentence: format!("there are at most {most} rules, and this would be one more"),
                    expected: "nothing, until a rule is removed".to_owned(),
                },
            ));
        }
        let mut ids = Vec::with_capacity(new.len());
        for rule in new {
            rules.last_id += 1;
            let id = rules.last_id;
            rules.entries.push(Entry::new(id, rule, scenario, self.seed));
            ids.push(id);
        }
        self.changed(&rules, Instant::now());
        Ok(ids)
    }

    /// Removes rules. What already acts goes on.
    ///
    /// # Errors
    ///
    /// If there is no such rule; nothing is removed then.
    pub fn remove(&self, which: Which) -> Result<(), NoSuchRule> {
        let mut rules = self.meant(which)?;
        rules.entries.retain(|entry| !which.means(entry));
        self.changed(&rules, Instant::now());
        Ok(())
    }

    /// Switches rules on or off. Their counters and clocks go on.
    ///
    /// # Errors
    ///
    /// If there is no such rule.
    pub fn switch(&self, which: Which, is_on: bool) -> Result<(), NoSuchRule> {
        self.each(which, |entry| entry.is_on = is_on)
    }

    /// Sets counters, clocks, keys and the dice of `chance` back to the start; with all rules also
    /// the counters of addresses.
    ///
    /// # Errors
    ///
    /// If there is no such rule.
    pub fn reset(&self, which: Which) -> Result<(), NoSuchRule> {
        if which == Which::All {
            self.rules.lock().addresses = Keys::default();
        }
        self.each(which, |entry| entry.reset(self.seed))
    }

    fn each(&self, which: Which, mut carry_out: impl FnMut(&mut Entry)) -> Result<(), NoSuchRule> {
        let mut rules = self.meant(which)?;
        rules.entries.iter_mut().filter(|entry| which.means(entry)).for_each(&mut carry_out);
        self.changed(&rules, Instant::now());
        Ok(())
    }

    /// The rules, if the one that is meant is among them.
    fn meant(&self, which: Which) -> Result<MutexGuard<'_, Rules>, NoSuchRule> {
        let rules = self.rules.lock();
        match which {
            Which::One(id) if !rules.entries.iter().any(|entry| entry.id == id) => {
                Err(NoSuchRule(id))
            }
            _ => Ok(rules),
        }
    }

    /// All rules, in their order.
    #[must_use]
    pub fn view(&self) -> Vec<RuleView> {
        let rules = self.rules.lock();
        let view = |entry: &Entry| RuleView {
            id: entry.id,
            rule: entry.text.clone(),
            scenario: entry.scenario,
            is_on: entry.is_on,
            hits: entry.whole.hits,
            left: entry.left(),
            ends: entry.ends(),
            last_hit: entry.last_hit,
            keys: entry.rule.limits.per.map(|_| entry.keys.len()),
        };
        rules.entries.iter().map(view).collect()
    }

    /// The addresses whose faults have come, those asked first at the beginning; at most 10,000.
    #[must_use]
    pub fn addresses(&self) -> Vec<AddressView> {
        let rules = self.rules.lock();
        let view = |asked: &Asked| AddressView {
            address: asked.address.clone(),
            hits: asked.counter.hits,
            left: asked.times.map(|times| times.saturating_sub(asked.counter.hits)),
            last_hit: asked.last_hit,
        };
        rules.addresses.all().map(view).collect()
    }

    /// The first rule that matches here, counted as a hit. At `dot` and `pop3.quit` it is asked once,
    /// before the work. At `text` it is asked at the beginning, and at every
    /// [`next_mark`](Self::next_mark) with exactly as many octets in [`Progress::text_octets`].
    #[must_use]
    pub fn hit(&self, at: Point, progress: &Progress, who: Who, now: Instant) -> Option<Hit> {
        if !self.is_active() {
            return None;
        }
        let mut rules = self.rules.lock();
        let hit = rules.entries.iter_mut().find_map(|entry| entry.ask(at, progress, who, now));
        let has_spent = rules.entries.iter().any(|entry| entry.is_on && entry.is_spent(now));
        if hit.is_some() || has_spent {
            self.settle(&rules, now);
        }
        if hit.is_some() {
            self.version.fetch_add(1, Ordering::Release);
        }
        hit
    }

    /// The first of the addresses that asks for a fault here, counted as a hit. Rules are asked
    /// first: this is for what [`hit`](Self::hit) finds no rule for.
    #[must_use]
    pub fn trigger_hit(&self, remembered: &Remembered, at: Point, now: Instant) -> Option<Hit> {
        let mut rules = self.rules.lock();
        let trigger = remembered.at(at).find(|trigger| {
            let asked = rules.addresses.get(&Key::address(&trigger.whole));
            !asked.is_some_and(|asked| asked.counter.is_spent(&trigger.limits, now))
        })?;
        let asked = rules.addresses.of(Key::address(&trigger.whole));
        asked.address = trigger.whole.clone();
        asked.times = trigger.limits.times;
        asked.counter.hit(now);
        asked.last_hit = Some(SystemTime::now());
        self.version.fetch_add(1, Ordering::Release);
        let (rule, told) = (trigger.whole.clone(), trigger.whole.to_string());
        Some(Hit { id: None, rule, told, plan: trigger.plan.clone() })
    }

    /// At how many octets of a text some rule acts next, after this many.
    #[must_use]
    pub fn next_mark(&self, octets: u64) -> Option<u64> {
        let rules = self.rules.lock();
        let at_text = rules.entries.iter().filter(|entry| {
            entry.is_on && entry.rule.point.place == Place::Text && entry.left() != Some(0)
        });
        at_text.map(|entry| entry.rule.mark()).filter(|mark| *mark > octets).min()
    }

    fn changed(&self, rules: &Rules, now: Instant) {
        self.settle(rules, now);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn settle(&self, rules: &Rules, now: Instant) {
        let may_act = self.takes_addresses || rules.entries.iter().any(|entry| entry.may_act(now));
        self.is_active.store(may_act, Ordering::Relaxed);
    }
}

impl Which {
    fn means(self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::One(id) => entry.id == id,
        }
    }
}

/// The rules that are meant, and their scenario if they are given by its name.
fn rules_of(text: &str) -> Result<(Option<&'static str>, Vec<Rule>), RuleError> {
    let name = text.split_once(" #").map_or(text, |(name, _comment)| name).trim_end();
    let is_in_names = |one: char| one.is_ascii_alphanumeric() || one == '-';
    if name.is_empty() || !name.chars().all(is_in_names) {
        return Ok((None, vec![parse::rule(text)?]));
    }
    let Some(scenario) = catalogue::scenario(name) else {
        return Err(RuleError::new(text, no_scenario(name)));
    };
    let rules: Result<Vec<Rule>, RuleError> =
        scenario.rules.iter().map(|rule| parse::rule(rule)).collect();
    Ok((Some(scenario.name), rules?))
}

fn no_scenario(name: &str) -> Problem {
    let known = nearest(name, catalogue::all().iter().map(|scenario| scenario.name));
    let suggestion = known.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    Problem {
        at: 0,
        sentence: format!("there is no scenario {name}{suggestion}"),
        expected: "POINT : ACTION, or a name of mailconsole fault --catalogue".to_owned(),
    }
}
