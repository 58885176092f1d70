//! What is wrong with a rule, and at which character of it.

use std::fmt;

/// Something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fault) struct Problem {
    /// The octet of the rule at which it begins.
    pub(in crate::fault) at: usize,
    /// What is wrong, in one sentence.
    pub(in crate::fault) sentence: String,
    /// What may stand there.
    pub(in crate::fault) expected: String,
}

/// What was read, or what is wrong with it.
pub(in crate::fault) type Parsed<T> = Result<T, Problem>;

/// A problem, to be returned.
pub(in crate::fault) fn problem<T>(
    at: usize,
    sentence: impl Into<String>,
    expected: impl Into<String>,
) -> Parsed<T> {
    Err(Problem { at, sentence: sentence.into(), expected: expected.into() })
}

/// A rule or a breakpoint that cannot be read: three lines for people, of which the first is a
/// sentence, the second what was written, and the third a caret under the place with what may stand
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    sentence: String,
    rule: String,
    /// Characters before the caret.
    place: usize,
    expected: String,
}

impl RuleError {
    /// What is wrong with `rule`.
    pub(in crate::fault) fn new(rule: &str, problem: Problem) -> Self {
        let before = rule.get(..problem.at).unwrap_or(rule);
        Self {
            sentence: problem.sentence,
            // A line stays one line, and the caret under its character.
            rule: rule.chars().map(|one| if one.is_control() { ' ' } else { one }).collect(),
            place: before.chars().count(),
            expected: problem.expected,
        }
    }

    /// What is wrong, in one sentence without its full stop.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// How many characters of the rule stand before the place.
    #[must_use]
    pub const fn place(&self) -> usize {
        self.place
    }

    /// What may stand there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentence, rule, place, expected } = self;
        write!(f, "{sentence}\n  {rule}\n  {:place$}^ {expected}", "")
    }
}

impl std::error::Error for RuleError {}
