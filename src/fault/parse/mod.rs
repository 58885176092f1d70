//! Reads rules of one line.

mod actions;
mod assemble;
pub(in crate::fault) mod head;
mod limits;
pub(in crate::fault) mod problem;
mod quantity;
mod reply;
pub(in crate::fault) mod words;

#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(in crate::fault) use crate::fault::parse::actions::actions_at;
use crate::fault::parse::actions::{Action, Placed};
pub use crate::fault::parse::problem::RuleError;
use crate::fault::parse::problem::{Parsed, Problem, problem};
use crate::fault::parse::words::{Scanner, Word};
use crate::fault::point::Point;
use crate::fault::rule::{Limits, Rule};

/// Reads a rule; what is behind ` #` is a comment.
///
/// # Errors
///
/// If it cannot be read, with the character at fault.
pub fn rule(text: &str) -> Result<Rule, RuleError> {
    let text = text.trim();
    read(text).map_err(|problem| RuleError::new(text, problem))
}

fn read(text: &str) -> Parsed<Rule> {
    is_one_line(text)?;
    let mut scanner = Scanner::new(text);
    let head = head::head(&mut scanner)?;
    let matches = text.get(..head.end).unwrap_or_default();
    if head.is_reply {
        return problem(
            head.end.min(matches.find('!').unwrap_or(0)),
            "only a breakpoint has a !",
            ":",
        );
    }
    if !head.has_colon {
        return problem(scanner.at(), "a colon and an action are missing", ": ACTION");
    }
    let (actions, limits) = actions(&scanner.actions()?, text, head.point)?;
    let plan = assemble::plan(head.point, head.moment, &actions)?;
    Ok(Rule {
        text: text.get(..scanner.at()).unwrap_or(text).trim_end().into(),
        matches: matches.into(),
        point: head.point,
        conditions: head.conditions,
        plan: plan.map(Arc::new),
        limits,
    })
}

/// Refuses octets that a terminal would not show where they stand.
pub(in crate::fault) fn is_one_line(text: &str) -> Parsed<()> {
    let is_control = |one: char| one.is_control() && one != '\t';
    match text.find(is_control) {
        Some(at) => {
            problem(at, "a rule is one line without control characters", r"\n \xNN in quotes")
        }
        None => Ok(()),
    }
}

/// What may stand where an action begins.
fn expected(point: Point) -> String {
    format!("{}, {}", reply::forms(point.service), actions_at(point).join(", "))
}

/// All actions, and the limits behind the last one.
fn actions<'a>(
    written: &[(usize, Vec<Word<'a>>)],
    rule: &str,
    point: Point,
) -> Parsed<(Vec<Placed<'a>>, Limits)> {
    let (mut actions, mut limits) = (Vec::new(), Limits::default());
    for (nth, (begins, words)) in written.iter().enumerate() {
        let (action, rest) = action(words, rule, point).map_err(|found| match words.first() {
            Some(_) => found,
            None => Problem { at: *begins, ..found },
        })?;
        actions.push(action);
        let is_last = nth + 1 == written.len();
        match rest.first() {
            Some(word) if !is_last => {
                // A limit within would be taken for a part of the text, or of nothing.
                limits::limits(rest, point)?;
                return problem(word.at, "limits stand at the end of the rule", "; and an action");
            }
            _ => limits = limits::limits(rest, point)?,
        }
    }
    Ok((actions, limits))
}

/// An action, and the words behind it.
fn action<'a, 'w>(
    words: &'w [Word<'a>],
    rule: &str,
    point: Point,
) -> Parsed<(Placed<'a>, &'w [Word<'a>])> {
    match words.first().filter(|first| reply::is_meant(first)) {
        None => actions::action(words, point, || expected(point)),
        Some(first) => {
            let (own, rest) = words.split_at(limits::end_of_text(words));
            let action = Action::Lines(reply::lines(own, rule, point)?);
            Ok((Placed { action, name: first.text, at: first.at }, rest))
        }
    }
}
