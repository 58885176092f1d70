//! The limits at the end of a rule.

use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::parse::quantity::{Part, percentage, some_time, whole};
use crate::fault::parse::words::Word;
use crate::fault::point::{Place, Point};
use crate::fault::rule::{Limits, Per};
use crate::watch::event::Service;

/// What may stand at the end of a rule.
pub(in crate::fault) const LIMITS: &str = "once, times K, per WHAT, until D, over K/D, chance P%";

/// The most times of `over`: so many moments are kept for each key.
const OVER_MOST: u64 = 1_000;

/// How many words of a reply are its own; what is behind them looks like limits.
pub(super) fn end_of_text(words: &[Word<'_>]) -> usize {
    let mut end = words.len();
    loop {
        let (before, last) = (word_at(words, end, 2), word_at(words, end, 1));
        if last.is_some_and(|last| last.is("once")) {
            end -= 1;
        } else if before.zip(last).is_some_and(|(name, value)| is_limit(name, value)) {
            end -= 2;
        } else if end == words.len() && last.is_some_and(is_unfinished) {
            return end - 1;
        } else {
            return end;
        }
    }
}

/// So many words before the end, but not the one that begins the reply.
fn word_at<'a>(words: &'a [Word<'a>], end: usize, before: usize) -> Option<&'a Word<'a>> {
    let index = end.checked_sub(before).filter(|index| *index > 0)?;
    words.get(index).filter(|word| word.quoted.is_none())
}

/// Whether two words look like a limit, be it a wrong one. A mailbox may be over quota.
fn is_limit(name: &Word<'_>, value: &Word<'_>) -> bool {
    let has_digit =
        value.text.trim_start_matches(['-', '+']).starts_with(|one: char| one.is_ascii_digit());
    match name.text {
        "times" | "per" | "until" | "chance" => true,
        "over" => has_digit,
        _ => false,
    }
}

fn is_unfinished(last: &Word<'_>) -> bool {
    matches!(last.text, "times" | "per" | "until" | "chance")
}

/// Reads limits up to the end of the rule.
pub(super) fn limits(words: &[Word<'_>], point: Point) -> Parsed<Limits> {
    let mut limits = Limits::default();
    let mut words = words.iter();
    while let Some(name) = words.next() {
        if name.is("once") {
            set(&mut limits.times, 1, name)?;
            continue;
        }
        let is_known =
            ["times", "per", "until", "over", "chance"].iter().any(|known| name.is(known));
        if !is_known {
            return problem(name.at, format!("there is no limit {}", name.text), LIMITS);
        }
        let text = words.next().map_or(Part { text: "", at: name.end() }, |word| Part {
            text: word.text,
            at: word.at,
        });
        limit(&mut limits, name, text, point)?;
    }
    Ok(limits)
}

fn limit(limits: &mut Limits, name: &Word<'_>, value: Part<'_>, point: Point) -> Parsed<()> {
    match name.text {
        "times" => set(&mut limits.times, whole(value, 1..=u64::MAX)?, name),
        "until" => set(&mut limits.until, some_time(value)?, name),
        "chance" => set(&mut limits.chance, percentage(value)?, name),
        "per" => set(&mut limits.per, per(value, point)?, name),
        _ => {
            let Some((times, time)) = value.halves('/') else {
                return problem(
                    value.at,
                    format!("{} has no / in it", value.text),
                    "K/D, such as 10/1m",
                );
            };
            set(&mut limits.over, (whole(times, 1..=OVER_MOST)?, some_time(time)?), name)
        }
    }
}

fn set<T>(limit: &mut Option<T>, value: T, name: &Word<'_>) -> Parsed<()> {
    if limit.replace(value).is_some() {
        let others = "another limit, or the end of the rule";
        return problem(name.at, format!("there are two limits like {}", name.text), others);
    }
    Ok(())
}

fn per(value: Part<'_>, point: Point) -> Parsed<Per> {
    let (is_smtp, is_rcpt) = (point.service == Service::Smtp, point.place == Place::Rcpt);
    let known = [
        ("to", Per::To, is_smtp && is_rcpt),
        ("from", Per::From, is_smtp),
        ("client", Per::Client, true),
        ("session", Per::Session, true),
    ];
    let meant: Vec<&str> =
        known.iter().filter(|(.., has_meaning)| *has_meaning).map(|(name, ..)| *name).collect();
    let found = known.iter().find(|(name, ..)| *name == value.text);
    match found {
        Some((_, per, true)) => Ok(*per),
        Some((name, ..)) => {
            problem(value.at, format!("per {name} has no meaning at {point}"), meant.join(" "))
        }
        None => {
            let sentence = match value.text {
                "" => "per says nothing of what is counted apart".to_owned(),
                text => format!("there is no limit per {text}"),
            };
            problem(value.at, sentence, meant.join(" "))
        }
    }
}
