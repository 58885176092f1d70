//! A rule of faults as the screen shows it, and what can be typed for one.

use std::ffi::OsString;
use std::time::{Instant, SystemTime};

use crate::console::action::{Command, FaultOrder};
use crate::console::setting::value::{FaultRules, Values};
use crate::fault::completion::{Completion, completions};
use crate::fault::faults::RuleView;
use crate::wire::display::DisplayText;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRow {
    /// Its number.
    pub id: u64,
    /// As it was written, with the name of its scenario behind it as a comment.
    pub rule: DisplayText,
    /// Whether it may act.
    pub is_on: bool,
    /// How often it has acted.
    pub hits: u64,
    /// How often it may still act; `None` if that is not limited, or by key.
    pub left: Option<u64>,
    /// When its time is over, if it has one and that has begun.
    pub ends: Option<Instant>,
    /// When it has acted last.
    pub last_hit: Option<SystemTime>,
}

impl From<RuleView> for FaultRow {
    fn from(view: RuleView) -> Self {
        let scenario = view.scenario.map(|name| format!(" # {name}")).unwrap_or_default();
        Self {
            id: view.id,
            rule: DisplayText::from(&*format!("{}{scenario}", view.rule)),
            is_on: view.is_on,
            hits: view.hits,
            left: view.left,
            ends: view.ends,
            last_hit: view.last_hit,
        }
    }
}

impl FaultRow {
    /// Whether it has acted as often as it may, or for as long.
    #[must_use]
    pub fn is_spent(&self, now: Instant) -> bool {
        self.left == Some(0) || self.ends.is_some_and(|ends| now >= ends)
    }
}

/// The error has several lines: the sentence, the rule, and the place in it.
pub(super) fn add(rule: &str) -> Result<Option<Command>, String> {
    FaultRules::read_all(&[OsString::from(rule)])?;
    Ok(Some(Command::Fault(FaultOrder::Add(rule.to_owned()))))
}

/// Completions of a rule.
pub(super) fn so_far(so_far: &str) -> Vec<(String, String)> {
    whole(completions(so_far))
}

/// Completions as whole rules or breakpoints.
pub(super) fn whole((before, found): (&str, Vec<Completion>)) -> Vec<(String, String)> {
    let found = found.into_iter();
    found
        .map(|Completion { word, sentence }| (format!("{before}{word}"), sentence.to_owned()))
        .collect()
}
