//! The verdict on a client in one scenario.

use crate::check::client::pop3;
use crate::check::client::record::{Protocol, Trial};
use crate::check::client::smtp;
use crate::check::client::verdict::{Judgement, Verdict};

/// Whether a rule says what a good client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It does.
    Says,
    /// It does not: clients differ.
    Silent,
}

/// Judges a client by what it did in one scenario. `points` are where the scenario acts, as its rules
/// name them, to be told where none was reached.
#[must_use]
pub fn judge(protocol: Protocol, rule: Rule, points: &str, trial: &Trial) -> Judgement {
    if trial.runs.iter().all(|run| run.entries.is_empty()) {
        return Judgement::new(Verdict::Skip, "the client never connected");
    }
    if trial.runs.iter().all(|run| run.hits == 0) {
        return Judgement::new(Verdict::Skip, format!("the client never came to {points}"));
    }
    match (rule, protocol) {
        (Rule::Says, Protocol::Smtp) => smtp::judge(trial),
        (Rule::Says, Protocol::Pop3) => pop3::judge(trial),
        (Rule::Silent, Protocol::Smtp) => Judgement::new(Verdict::Info, smtp::what_it_did(trial)),
        (Rule::Silent, Protocol::Pop3) => Judgement::new(Verdict::Info, pop3::what_it_did(trial)),
    }
}

/// Whether the command runs a second time in this scenario, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It does not.
    No,
    /// With the fault spent.
    Spent,
    /// When the time of the rule's `until` is over.
    Later,
}

/// Scenarios about trying again, or about the next visit, beside those that say 4xx.
const TRIED_AGAIN: [&str; 15] = [
    "lost-before",
    "lost-after",
    "drop-connect",
    "reset-connect",
    "cut-in-text",
    "cut-retr",
    "lost-update",
    "no-update",
    "dele-refused",
    "pop-busy",
    "in-use",
    "login-delay",
    "sys-temp",
    "pass-drop",
    "retr-later",
];

/// Whether a scenario, by its name and its rules, is about trying again.
#[must_use]
pub fn again(name: &str, rules: &[&str]) -> Again {
    let says_later = |rule: &&str| {
        let action = rule.split_once(" : ").map_or("", |(_, action)| action);
        let action = action.strip_prefix("append \"").unwrap_or(action);
        action.starts_with('4') && action.get(1..3).is_some_and(|rest| rest.parse::<u8>().is_ok())
    };
    if rules.iter().any(|rule| rule.split_whitespace().any(|word| word == "until")) {
        Again::Later
    } else if TRIED_AGAIN.contains(&name) || rules.iter().any(says_later) {
        Again::Spent
    } else {
        Again::No
    }
}
