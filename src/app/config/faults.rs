//! The faults that are there from the start.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::app::config_error::ConfigError;
use crate::console::setting::table::Options;
use crate::console::setting::value::{Breakpoints, FaultRules};
use crate::fault::faults::Faults;
use crate::fault::parse;
use crate::fault::rule::Rule;
use crate::servers::holds::{Holds, USUAL_PATIENCE};

/// The faults of the servers, and what is told of them at the start.
#[derive(Debug, Clone)]
pub struct FaultSetup {
    /// The rules.
    pub faults: Arc<Faults>,
    /// Whether there is anything to play: a rule, or addresses that may ask for it.
    pub is_any: bool,
    /// What their chance is drawn from, where that is told: a rule draws, or the user has set it.
    pub seed_told: Option<u64>,
    /// The breakpoints.
    pub holds: Arc<Holds>,
    /// Whether there are any, and the user has not said how long they hold.
    pub holds_without_limit: bool,
}

impl FaultSetup {
    /// The faults that options, environment and config file name.
    pub fn new(options: &Options) -> Result<Self, ConfigError> {
        let seed = options.fault_seed.unwrap_or_else(random);
        let faults = Faults::new(seed, options.fault_addresses);
        let FaultRules(rules) = &options.fault;
        for rule in rules {
            faults.add(rule).map_err(ConfigError::Setting)?;
        }
        let patience = options.break_timeout.map_or(USUAL_PATIENCE, |period| period.0);
        let (holds, Breakpoints(breakpoints)) = (Holds::new(patience), &options.breakpoints);
        for breakpoint in breakpoints {
            holds.add(breakpoint).map_err(ConfigError::Setting)?;
        }
        let tells_seed = options.fault_seed.is_some() || draws_by_chance(&faults);
        Ok(Self {
            is_any: options.fault_addresses || !rules.is_empty(),
            seed_told: tells_seed.then_some(seed),
            faults: Arc::new(faults),
            holds_without_limit: holds.is_active() && options.break_timeout.is_none(),
            holds: Arc::new(holds),
        })
    }
}

/// A number that nobody can foresee, short enough to be typed again.
fn random() -> u64 {
    RandomState::new().hash_one(()) & u64::from(u32::MAX)
}

/// Whether a rule has the limit `chance P%`.
fn draws_by_chance(faults: &Faults) -> bool {
    let has_chance = |rule: Rule| rule.limits.chance.is_some();
    faults.view().iter().any(|view| parse::rule(&view.rule).is_ok_and(has_chance))
}
