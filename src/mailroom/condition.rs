//! Conditions about a directory and the servers on it, as `assert` takes them. Pure.

use std::fmt;
use std::str::FromStr;

use crate::mailroom::query::{Query, QueryError};

/// A condition: what is counted, and how many there must be.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What is counted.
    pub what: Countable,
    operator: Operator,
    number: u64,
    typed: String,
}

/// What can be counted.
#[derive(Debug, Clone)]
pub enum Countable {
    /// The messages that a query means.
    Messages(Query),
    /// The sessions that a service has had.
    Sessions(String),
    /// How often a fault was hit.
    FaultHits(String),
    /// What was found wrong in conversations.
    Findings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The operators, those of two characters first.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// The services that have sessions.
const SERVICES: [&str; 3] = ["echo", "smtp", "pop3"];

/// Why a condition is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It is of no known form.
    #[error(
        "{0:?} is no condition: write messages QUERY == 2, sessions smtp >= 1, fault NAME hits >= 1 \
         or no findings"
    )]
    Unknown(String),
    /// What stands behind the operator is no number.
    #[error("{0:?} is no number: write one behind == != < <= > >=")]
    NoNumber(String),
    /// The query is wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Condition {
    /// Whether it is true if so many were counted.
    #[must_use]
    pub const fn holds(&self, count: u64) -> bool {
        match self.operator {
            Operator::Equal => count == self.number,
            Operator::Unequal => count != self.number,
            Operator::Less => count < self.number,
            Operator::AtMost => count <= self.number,
            Operator::More => count > self.number,
            Operator::AtLeast => count >= self.number,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let typed = text.trim();
        let unknown = || ConditionError::Unknown(typed.to_owned());
        let (kind, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        if (kind, rest.trim()) == ("no", "findings") {
            let (what, operator, typed) = (Countable::Findings, Operator::Equal, typed.to_owned());
            return Ok(Self { what, operator, number: 0, typed });
        }
        let (rest, operator, number) = comparison(rest.trim())?;
        let what = match (kind, rest) {
            ("messages", query) => Countable::Messages(Query::parse(query)?),
            ("sessions", service) if SERVICES.contains(&service) => {
                Countable::Sessions(service.to_owned())
            }
            ("fault", rest) => Countable::FaultHits(fault(rest).ok_or_else(unknown)?.to_owned()),
            _ => return Err(unknown()),
        };
        Ok(Self { what, operator, number, typed: typed.to_owned() })
    }
}

/// The name in `NAME hits`.
fn fault(rest: &str) -> Option<&str> {
    let name = rest.strip_suffix("hits")?;
    let name = name.strip_suffix(char::is_whitespace)?.trim();
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}

/// What stands before the operator, the operator, and the number; without an operator, at least 1.
fn comparison(text: &str) -> Result<(&str, Operator, u64), ConditionError> {
    let (before, last) = last_word(text);
    // `>= 2` or `>=2`: within a query, a word that begins so is no term.
    let (before, operator, number) = match operator(last) {
        Some((operator, "")) => return Err(ConditionError::NoNumber(operator_word(operator))),
        Some((operator, number)) => (before, operator, number),
        None => match operator(last_word(before).1) {
            Some((operator, "")) => (last_word(before).0, operator, last),
            _ => return Ok((text, Operator::AtLeast, 1)),
        },
    };
    match number.parse() {
        Ok(number) => Ok((before, operator, number)),
        // The operator may stand in quotes.
        Err(_) if Query::parse(text).is_ok() => Ok((text, Operator::AtLeast, 1)),
        Err(_) => Err(ConditionError::NoNumber(number.to_owned())),
    }
}

fn last_word(text: &str) -> (&str, &str) {
    match text.trim_end().rsplit_once(char::is_whitespace) {
        Some((before, last)) => (before.trim_end(), last),
        None => ("", text.trim_end()),
    }
}

/// The operator that a word begins with, and the rest.
fn operator(word: &str) -> Option<(Operator, &str)> {
    OPERATORS.iter().find_map(|(text, operator)| Some((*operator, word.strip_prefix(text)?)))
}

fn operator_word(wanted: Operator) -> String {
    let found = OPERATORS.iter().find(|(_, operator)| *operator == wanted);
    found.map_or("", |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        text.parse().unwrap()
    }

    #[test]
    fn a_number_of_messages() {
        for (text, counts) in [
            ("messages to=bob == 2", [false, false, true, false]),
            ("messages == 2", [false, false, true, false]),
            ("messages", [false, true, true, true]),
            ("messages to=bob", [false, true, true, true]),
            ("messages bob unread != 1", [true, false, true, true]),
            ("messages < 1", [true, false, false, false]),
            ("messages <= 1", [true, true, false, false]),
            ("messages > 1", [false, false, true, true]),
            ("messages subject~\"a b\" >=3", [false, false, false, true]),
            ("messages subject~\"a > b\"", [false, true, true, true]),
        ] {
            let condition = condition(text);
            assert!(matches!(condition.what, Countable::Messages(_)), "{text}");
            let held = [0, 1, 2, 3].map(|count| condition.holds(count));
            assert_eq!(held, counts, "{text}");
            assert_eq!(condition.to_string(), text);
        }
        let Countable::Messages(query) = condition("messages bob == 1").what else { panic!() };
        assert_eq!(query.user(), Some("bob"));
    }

    #[test]
    fn what_servers_are_asked() {
        let Countable::Sessions(service) = condition("sessions smtp >= 1").what else { panic!() };
        assert_eq!(service, "smtp");
        let Countable::FaultHits(name) = condition("fault greylist hits >= 1").what else {
            panic!()
        };
        assert_eq!(name, "greylist");
        let none = condition("no findings");
        assert!(matches!(none.what, Countable::Findings) && none.holds(0) && !none.holds(1));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "mesages == 1",
            "messages == x",
            "messages ==",
            "messages sbject=x",
            "sessions imap",
            "sessions",
            "fault hits",
            "fault a b hits",
            "fault a",
            "no",
            "no findings == 1",
            "findings",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
