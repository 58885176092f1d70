//! Divides a query into words. Values may have blanks if they stand in quotes or between slashes.

use crate::mailroom::query::error::QueryError;

/// A word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A word without `=` and `~`.
    Bare(&'a str),
    /// `[!]NAME=VALUE` or `[!]NAME~VALUE`.
    Term {
        /// Whether `!` stands before it.
        is_negated: bool,
        /// What it looks at.
        name: &'a str,
        /// How it compares.
        operator: Operator,
        /// With what.
        value: Value,
    },
}

/// How a term compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `=`
    Equals,
    /// `~`
    Contains,
}

/// What a term compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Text, without its quotes.
    Text(String),
    /// What stood between slashes.
    Expression {
        /// The expression.
        expression: String,
        /// Whether an `i` followed.
        folds: bool,
    },
}

/// The words of a line. Behind an error there are no more.
pub(super) fn words(line: &str) -> impl Iterator<Item = Result<Word<'_>, QueryError>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let read = word(rest);
        rest = read.as_ref().map_or("", |(_, behind)| behind);
        Some(read.map(|(word, _)| word))
    })
}

/// The first word of `rest`, which begins with no blank, and what follows it.
fn word(rest: &str) -> Result<(Word<'_>, &str), QueryError> {
    let end = rest.find(|one: char| one.is_whitespace() || "=~".contains(one));
    let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
    let operator = match behind.chars().next() {
        Some('=') => Operator::Equals,
        Some('~') => Operator::Contains,
        _ => return Ok((Word::Bare(name), behind)),
    };
    let (value, behind) = value(operator, behind.get(1..).unwrap_or_default())?;
    let bare = name.strip_prefix('!');
    let (is_negated, name) = (bare.is_some(), bare.unwrap_or(name));
    Ok((Word::Term { is_negated, name, operator, value }, behind))
}

fn value(operator: Operator, rest: &str) -> Result<(Value, &str), QueryError> {
    match (operator, rest.chars().next()) {
        (_, Some('"')) => quoted(rest),
        (Operator::Contains, Some('/')) => {
            expression(rest).ok_or_else(|| QueryError::OpenSlash(rest.to_owned()))
        }
        _ => {
            let (value, behind) =
                rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            Ok((Value::Text(value.to_owned()), behind))
        }
    }
}

/// The text in the quotes at the beginning of `rest`.
fn quoted(rest: &str) -> Result<(Value, &str), QueryError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let behind = rest.get(at + 1..).unwrap_or_default();
                if !is_end(behind) {
                    let word = rest.get(..=at).unwrap_or(rest);
                    return Err(QueryError::NotDivided(word.to_owned()));
                }
                return Ok((Value::Text(text), behind));
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, other)) => text.extend(['\\', other]),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    Err(QueryError::OpenQuote(rest.to_owned()))
}

/// The expression between slashes at the beginning of `rest`, and what follows it; `None` if there
/// is no closing slash. That is one with a blank or the end behind it, or an `i` and one of them:
/// addresses of web pages have others.
pub(super) fn expression(rest: &str) -> Option<(Value, &str)> {
    let inner = rest.strip_prefix('/')?;
    let mut is_escaped = false;
    for (at, character) in inner.char_indices() {
        let behind = inner.get(at + 1..).unwrap_or_default();
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '/' => {
                let folded = behind.strip_prefix('i').filter(|behind| is_end(behind));
                if folded.is_some() || is_end(behind) {
                    // `\/` means the same to the regular expressions: a slash.
                    let expression = inner.get(..at)?.to_owned();
                    let value = Value::Expression { expression, folds: folded.is_some() };
                    return Some((value, folded.unwrap_or(behind)));
                }
            }
            _ => {}
        }
    }
    None
}

fn is_end(behind: &str) -> bool {
    behind.chars().next().is_none_or(char::is_whitespace)
}
