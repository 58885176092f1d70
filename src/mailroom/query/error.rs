//! What is wrong with a query, in one sentence.

use crate::wire::nearest::nearest;

/// Why a query is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A term with an unknown name.
    #[error(
        "{name:?} is nothing that a query can look at{}: use from, to, cc, subject, body, \
         header:NAME, user, uid, larger, smaller, has=attachment or unread",
        did_you_mean(.suggestion.as_deref())
    )]
    Unknown {
        /// What was written.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A word without `=` and `~` where it is no user.
    #[error(
        "{word:?} is no term{}: write NAME=VALUE or NAME~VALUE, and a value with blanks in double \
         quotes", did_you_mean(.suggestion.as_deref())
    )]
    NoTerm {
        /// What was written.
        word: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// `header:` alone.
    #[error("header: stands without a name: write header:NAME=VALUE")]
    HeaderWithoutName,
    /// A size that is none.
    #[error("{0} wants a number of octets behind =, such as {0}=10K or {0}=1M")]
    Size(String),
    /// Anything but `has=attachment`.
    #[error("has knows only has=attachment; did you mean that?")]
    Has,
    /// `unread` with a value.
    #[error("unread has no value: write unread or !unread")]
    Unread,
    /// Text behind a closing quote or slash.
    #[error("{0:?} is not divided from what follows it: put a blank there")]
    NotDivided(String),
    /// No closing quote.
    #[error("{0:?} has no closing double quote")]
    OpenQuote(String),
    /// No closing slash.
    #[error("{0:?} has no closing slash: write ~/EXPRESSION/ or ~/EXPRESSION/i")]
    OpenSlash(String),
    /// Anything but an expression between slashes.
    #[error("{0:?} is no expression between slashes: write /EXPRESSION/ or /EXPRESSION/i")]
    Slashes(String),
    /// An expression that is none.
    #[error("/{expression}/ is not a regular expression: {why}")]
    Expression {
        /// What was written.
        expression: String,
        /// What is wrong with it.
        why: String,
    },
    /// A query that is too long.
    #[error("the query is too long: 64 KiB are the most")]
    TooLong,
    /// Too many terms.
    #[error("the query has too many terms: {0} are the most")]
    TooMany(usize),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |one| format!("; did you mean {one}?"))
}

impl QueryError {
    /// A word without `=` and `~`.
    pub(super) fn no_term(word: &str, names: &[&'static str]) -> Self {
        let suggestion =
            nearest(&word.trim_start_matches('!').to_lowercase(), names.iter().copied())
                .map(str::to_owned);
        Self::NoTerm { word: word.to_owned(), suggestion }
    }

    /// The last line of the report says what is wrong; the lines before it mark the place.
    pub(super) fn expression(expression: &str, error: &regex::Error) -> Self {
        let report = error.to_string();
        let why = report.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Self::Expression { expression: expression.to_owned(), why: why.to_owned() }
    }
}
