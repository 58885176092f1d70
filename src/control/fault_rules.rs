//! The rules of faults as JSON: what a server answers, and what `mailconsole fault DIR list --json`
//! prints.

use serde::{Deserialize, Serialize};

use crate::control::event_json::stamp;
use crate::fault::faults::{AddressView, Faults, RuleView};

/// The version of the form. Fields are only ever added within one.
const VERSION: u8 = 1;

/// The rules of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRules {
    v: u8,
    /// What `chance` is drawn from.
    pub seed: u64,
    /// In the order in which they are tried, and then the addresses that have asked for faults.
    pub rules: Vec<FaultRule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Its number; `None` for an address that has asked for a fault.
    pub id: Option<u64>,
    /// As it was written, or the address.
    pub rule: String,
    /// The scenario that it came with.
    pub scenario: Option<String>,
    /// Whether it may act.
    pub on: bool,
    /// How often it has acted.
    pub hits: u64,
    /// How often it may still act; `None` without `times`, and with `per`.
    pub left: Option<u64>,
    /// With `per`: how many keys are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    /// When it has acted last, as events have times.
    pub last_hit: Option<String>,
}

impl FaultRules {
    /// The rules as they are now.
    #[must_use]
    pub fn of(faults: &Faults) -> Self {
        let rules = faults.view().into_iter().map(FaultRule::from);
        let addresses = faults.addresses().into_iter().map(FaultRule::from);
        Self { v: VERSION, seed: faults.seed(), rules: rules.chain(addresses).collect() }
    }

    /// How often those have acted that are meant by a scenario's name, a number or a point.
    #[must_use]
    pub fn hits_of(&self, name: &str) -> u64 {
        let meant = self.rules.iter().filter(|rule| rule.is_called(name));
        meant.map(|rule| rule.hits).sum()
    }
}

impl From<RuleView> for FaultRule {
    fn from(view: RuleView) -> Self {
        let RuleView { id, rule, scenario, is_on: on, hits, left, last_hit, keys, .. } = view;
        Self {
            id: Some(id),
            rule: rule.as_ref().into(),
            scenario: scenario.map(str::to_owned),
            on,
            hits,
            left,
            keys,
            last_hit: last_hit.map(stamp),
        }
    }
}

impl From<AddressView> for FaultRule {
    fn from(AddressView { address, hits, left, last_hit }: AddressView) -> Self {
        let last_hit = last_hit.map(stamp);
        let rule = address.as_ref().into();
        Self { id: None, rule, scenario: None, on: true, hits, left, keys: None, last_hit }
    }
}

impl FaultRule {
    fn is_called(&self, name: &str) -> bool {
        if self.id.is_none() {
            return self.rule.eq_ignore_ascii_case(name);
        }
        let point = self.rule.split(|c: char| c == ':' || c.is_whitespace()).next();
        let is_it = |own: &str| own.eq_ignore_ascii_case(name);
        self.id.is_some_and(|id| is_it(&id.to_string()))
            || self.scenario.as_deref().is_some_and(is_it)
            || point.is_some_and(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, rule: &str, scenario: Option<&str>, hits: u64) -> FaultRule {
        FaultRule {
            id: Some(id),
            rule: rule.to_owned(),
            scenario: scenario.map(str::to_owned),
            on: true,
            hits,
            left: None,
            keys: None,
            last_hit: None,
        }
    }

    #[test]
    fn hits_are_those_of_a_scenario_a_number_or_a_point() {
        let rules = vec![
            rule(1, "smtp.rcpt to=bob@*: 451 later", None, 1),
            rule(2, "smtp.connect : 554 no", Some("no-service"), 2),
            rule(3, "smtp.any : 503 no", Some("no-service"), 4),
            rule(4, "smtp.rcpt : mute", None, 8),
        ];
        let rules = FaultRules { v: VERSION, seed: 1, rules };
        let names = ["1", "no-service", "smtp.rcpt", "SMTP.any", "greylist", "5"];
        assert_eq!(names.map(|name| rules.hits_of(name)), [1, 6, 9, 4, 0, 0]);
    }

    #[test]
    fn fields_have_the_order_of_the_documentation() {
        let mut one = rule(1, "smtp.rcpt : 451 later times 3", None, 1);
        one.left = Some(2);
        one.last_hit = Some("2026-11-28T17:49:01.123456Z".to_owned());
        let rules = FaultRules { v: VERSION, seed: 42, rules: vec![one] };
        let json = "{\"v\":1,\"seed\":42,\"rules\":[{\"id\":1,\
                    \"rule\":\"smtp.rcpt : 451 later times 3\",\"scenario\":null,\"on\":true,\
                    \"hits\":1,\"left\":2,\"last_hit\":\"2026-11-28T17:49:01.123456Z\"}]}";
        assert_eq!(serde_json::to_string(&rules).unwrap(), json);
    }
}
