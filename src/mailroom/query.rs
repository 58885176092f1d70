//! The query language: which messages are meant, in one line of terms. Pure.
//!
//! A line is `[USER] TERM…`; all terms must match. A term is `NAME=VALUE` (equal), `NAME~VALUE`
//! (contains), `NAME~/EXPRESSION/` or `unread`, with `!` before it for the opposite. Case is folded,
//! but for expressions, which fold it as `/EXPRESSION/i`. A value with blanks stands in double
//! quotes, in which `\"` and `\\` stand for themselves.

mod error;
mod scan;

use regex::{Regex, RegexBuilder};

pub use crate::mailroom::query::error::QueryError;
use crate::mailroom::query::scan::{Operator, Value, Word, words};
use crate::servers::units::Size;
use crate::wire::nearest::nearest;

/// The longest query, in octets.
const QUERY_MOST: usize = 64 * 1024;

/// The most terms of a query.
const TERMS_MOST: usize = 100;

/// The most octets that a compiled expression may take.
const COMPILED_MOST: usize = 1024 * 1024;

/// What terms are called, for corrections.
const NAMES: [&str; 12] = [
    "from", "to", "cc", "subject", "body", "header:", "user", "uid", "larger", "smaller", "has",
    "unread",
];

/// Which messages are meant.
#[derive(Debug, Clone, Default)]
pub struct Query {
    user: Option<String>,
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    is_negated: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Text(Property, Comparison),
    Larger(u64),
    Smaller(u64),
    HasAttachment,
    Unread,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Property {
    From,
    To,
    Cc,
    Subject,
    Body,
    /// A header field, by its name in lower case.
    Header(String),
    User,
    Uid,
}

#[derive(Debug, Clone)]
enum Comparison {
    /// Equal to this text, which is folded.
    Is(String),
    /// Contains this text, which is folded.
    Contains(String),
    Matches(Regex),
}

/// Addresses of a message, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The addresses alone, decoded.
    pub addresses: Vec<String>,
    /// The fields that they are from, decoded: with the names.
    pub texts: Vec<String>,
}

/// What a query looks at in a message. All text is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The name of the mailbox.
    pub mailbox: &'a str,
    /// The unique-id; empty if [`Query::needs_uid`] is false.
    pub uid: &'a str,
    /// The length as POP3 counts it.
    pub octets: u64,
    /// Whether no `Status:` field has an R.
    pub unread: bool,
    /// The author.
    pub from: &'a Addresses,
    /// The recipients of the header and of the envelope.
    pub to: &'a Addresses,
    /// The recipients of copies.
    pub cc: &'a Addresses,
    /// The subject.
    pub subject: &'a str,
    /// All header fields, as name and value.
    pub headers: &'a [(String, String)],
    /// The text, and the HTML as text; empty if [`Query::needs_body`] is false.
    pub texts: &'a [String],
    /// Whether there are attachments; false if [`Query::needs_body`] is.
    pub has_attachment: bool,
}

impl Query {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`QueryError`] is a sentence that names the term and what to write instead.
    pub fn parse(line: &str) -> Result<Self, QueryError> {
        if line.len() > QUERY_MOST {
            return Err(QueryError::TooLong);
        }
        let mut query = Self::default();
        for (nth, word) in words(line).enumerate() {
            match word? {
                Word::Bare(word) => match Term::bare(word) {
                    Some(term) => query.terms.push(term),
                    None if nth == 0 => query.user = Some(word.to_owned()),
                    None => return Err(QueryError::no_term(word, &NAMES)),
                },
                Word::Term { is_negated, name, operator, value } => {
                    let test = Test::new(name, operator, value)?;
                    query.terms.push(Term { is_negated, test });
                }
            }
            if query.terms.len() > TERMS_MOST {
                return Err(QueryError::TooMany(TERMS_MOST));
            }
        }
        Ok(query)
    }

    /// Reads several arguments, which count as one line.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn of_words(words: &[String]) -> Result<Self, QueryError> {
        Self::parse(&words.join(" "))
    }

    /// Whether there are terms, and not at most a user.
    #[must_use]
    pub fn has_terms(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Whether a word of the line begins as a term does, so that the line is meant to be a query even
    /// if it is wrong.
    #[must_use]
    pub fn names_term(line: &str) -> bool {
        let begins = |word: &str| {
            let word = word.strip_prefix('!').unwrap_or(word);
            let name = word.find(['=', '~']).and_then(|at| word.get(..at));
            name.is_some_and(|name| NAMES.contains(&name) || name.starts_with("header:"))
        };
        line.split_whitespace().any(begins)
    }

    /// The user named by the first word.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the whole message must be decoded, and not only its header.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        let needs =
            |test: &Test| matches!(test, Test::HasAttachment | Test::Text(Property::Body, _));
        self.terms.iter().any(|term| needs(&term.test))
    }

    /// Whether unique-ids are looked at.
    #[must_use]
    pub fn needs_uid(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.test, Test::Text(Property::Uid, _)))
    }

    /// Whether a message in this mailbox may be meant.
    #[must_use]
    pub fn may_mean_mailbox(&self, mailbox: &str) -> bool {
        let named = self.user.as_deref().is_none_or(|user| is_mailbox(user, mailbox));
        named && self.terms.iter().all(|term| term.on_mailbox(mailbox).unwrap_or(true))
    }

    /// Whether a message is meant.
    #[must_use]
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        let named = self.user.as_deref().is_none_or(|user| is_mailbox(user, fields.mailbox));
        named && self.terms.iter().all(|term| term.test.holds(fields) != term.is_negated)
    }
}

/// Whether `user` is the mailbox, or its address at localhost.
fn is_mailbox(user: &str, mailbox: &str) -> bool {
    user == mailbox
        || user.rsplit_once('@').is_some_and(|(local_part, domain)| {
            local_part == mailbox && domain.eq_ignore_ascii_case("localhost")
        })
}

impl Term {
    /// A term that is a word without `=` and `~`.
    fn bare(word: &str) -> Option<Self> {
        let is_negated = word.starts_with('!');
        let word = word.strip_prefix('!').unwrap_or(word);
        (word == "unread").then_some(Self { is_negated, test: Test::Unread })
    }

    /// What it says of all messages of a mailbox; `None` if that depends on the message.
    fn on_mailbox(&self, mailbox: &str) -> Option<bool> {
        match &self.test {
            Test::Text(Property::User, comparison) => {
                Some(is_user(mailbox, comparison) != self.is_negated)
            }
            _ => None,
        }
    }
}

impl Test {
    fn new(name: &str, operator: Operator, value: Value) -> Result<Self, QueryError> {
        match name {
            "larger" => Ok(Self::Larger(size(name, operator, value)?)),
            "smaller" => Ok(Self::Smaller(size(name, operator, value)?)),
            "has" => match (operator, value) {
                (Operator::Equals, Value::Text(value)) if value == "attachment" => {
                    Ok(Self::HasAttachment)
                }
                _ => Err(QueryError::Has),
            },
            "unread" => Err(QueryError::Unread),
            _ => {
                let property = Property::named(name)?;
                Ok(Self::Text(property, Comparison::new(operator, value)?))
            }
        }
    }

    fn holds(&self, fields: &Fields<'_>) -> bool {
        match self {
            Self::Larger(octets) => fields.octets > *octets,
            Self::Smaller(octets) => fields.octets < *octets,
            Self::HasAttachment => fields.has_attachment,
            Self::Unread => fields.unread,
            Self::Text(property, comparison) => property.compares(fields, comparison),
        }
    }
}

fn size(name: &str, operator: Operator, value: Value) -> Result<u64, QueryError> {
    let wrong = || QueryError::Size(name.to_owned());
    match (operator, value) {
        (Operator::Equals, Value::Text(value)) => {
            value.parse::<Size>().map(|size| size.0).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

impl Property {
    fn named(name: &str) -> Result<Self, QueryError> {
        Ok(match name {
            "from" => Self::From,
            "to" => Self::To,
            "cc" => Self::Cc,
            "subject" => Self::Subject,
            "body" => Self::Body,
            "user" => Self::User,
            "uid" => Self::Uid,
            _ => match name.strip_prefix("header:") {
                Some("") => return Err(QueryError::HeaderWithoutName),
                Some(field) => Self::Header(field.to_ascii_lowercase()),
                None => {
                    let suggestion = nearest(&name.to_lowercase(), NAMES).map(str::to_owned);
                    return Err(QueryError::Unknown { name: name.to_owned(), suggestion });
                }
            },
        })
    }

    fn compares(&self, fields: &Fields<'_>, comparison: &Comparison) -> bool {
        match self {
            Self::From => are_addresses(fields.from, comparison),
            Self::To => are_addresses(fields.to, comparison),
            Self::Cc => are_addresses(fields.cc, comparison),
            Self::Subject => comparison.holds(fields.subject),
            // The line end of the last line is no part of what was written.
            Self::Body => fields.texts.iter().any(|text| match comparison {
                Comparison::Is(_) => comparison.holds(text.trim_end_matches(['\r', '\n'])),
                _ => comparison.holds(text),
            }),
            Self::Header(name) => fields
                .headers
                .iter()
                .any(|(its, value)| its.eq_ignore_ascii_case(name) && comparison.holds(value)),
            Self::User => is_user(fields.mailbox, comparison),
            Self::Uid => comparison.holds(fields.uid),
        }
    }
}

fn is_user(mailbox: &str, comparison: &Comparison) -> bool {
    match comparison {
        Comparison::Is(wanted) => {
            is_address(mailbox, wanted) || is_address(&format!("{mailbox}@localhost"), wanted)
        }
        _ => comparison.holds(mailbox),
    }
}

fn are_addresses(all: &Addresses, comparison: &Comparison) -> bool {
    let Addresses { addresses, texts } = all;
    match comparison {
        Comparison::Is(wanted) => addresses.iter().any(|address| is_address(address, wanted)),
        _ => addresses.iter().chain(texts).any(|text| comparison.holds(text)),
    }
}

/// Whether an address is the wanted one, or its local-part if that is all that is wanted.
fn is_address(address: &str, wanted: &str) -> bool {
    let address = folded(address);
    let local_part =
        address.rsplit_once('@').map_or(address.as_str(), |(local_part, _)| local_part);
    address == wanted || (!wanted.contains('@') && local_part == wanted)
}

impl Comparison {
    fn new(operator: Operator, value: Value) -> Result<Self, QueryError> {
        Ok(match (operator, value) {
            (Operator::Equals, Value::Text(text)) => Self::Is(folded(&text)),
            (Operator::Contains, Value::Text(text)) => Self::Contains(folded(&text)),
            (_, Value::Expression { expression, folds }) => {
                Self::Matches(compiled(&expression, folds)?)
            }
        })
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => folded(text) == *wanted,
            Self::Contains(wanted) => folded(text).contains(wanted),
            Self::Matches(regex) => regex.is_match(text),
        }
    }
}

/// Compiles an expression, within bounds.
///
/// # Errors
///
/// If it is none, or takes too much memory.
pub fn compiled(expression: &str, folds_case: bool) -> Result<Regex, QueryError> {
    RegexBuilder::new(expression)
        .case_insensitive(folds_case)
        .size_limit(COMPILED_MOST)
        .dfa_size_limit(COMPILED_MOST)
        .build()
        .map_err(|error| QueryError::expression(expression, &error))
}

/// Compiles `/EXPRESSION/` or `/EXPRESSION/i`.
///
/// # Errors
///
/// If it is not of this form, or no expression.
pub fn between_slashes(text: &str) -> Result<Regex, QueryError> {
    match scan::expression(text) {
        Some((Value::Expression { expression, folds }, "")) => compiled(&expression, folds),
        _ => Err(QueryError::Slashes(text.to_owned())),
    }
}

/// Text without regard to case. By way of upper case, so that `ß` is `SS`; letter by letter, so that
/// a sigma is one wherever it stands.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
