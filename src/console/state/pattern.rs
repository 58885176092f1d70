//! A search pattern for shown text: a plain string, or a regular expression between slashes. Upper
//! and lower case are not distinguished.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// The most octets that a compiled expression may take.
const MOST_COMPILED: usize = 1024 * 1024;

/// A search pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    typed: String,
    /// The regular expression; if `None`, `typed` itself is searched for.
    regex: Option<Regex>,
}

impl Pattern {
    /// A pattern for the plain `text`, in which the case of ASCII letters is ignored; `None` if it
    /// is empty.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self { typed: text.to_owned(), regex: None })
    }

    /// As [`new`](Self::new), but text after a slash is a regular expression, which a second slash
    /// may end. The error is a sentence that says what is wrong with the expression.
    pub fn parse(typed: &str) -> Result<Option<Self>, String> {
        let Some(expression) = typed.strip_prefix('/') else {
            return Ok(Self::new(typed));
        };
        let expression = expression.strip_suffix('/').unwrap_or(expression);
        if expression.is_empty() {
            return Ok(None);
        }
        let regex = RegexBuilder::new(expression)
            .case_insensitive(true)
            .size_limit(MOST_COMPILED)
            .build()
            .map_err(|error| why(&error))?;
        Ok(Some(Self { typed: typed.to_owned(), regex: Some(regex) }))
    }

    /// The text as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Whether `text` contains a match.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(text),
            None => self.find(text, 0).is_some(),
        }
    }

    /// The ranges of all matches in `text`, in octets, without overlaps.
    #[must_use]
    pub fn all_in(&self, text: &str) -> Vec<Range<usize>> {
        if let Some(regex) = &self.regex {
            let found = regex.find_iter(text).map(|found| found.range());
            return found.filter(|range| !range.is_empty()).collect();
        }
        let mut from = 0;
        let next = || {
            let start = self.find(text, from)?;
            from = start + self.typed.len();
            Some(start..from)
        };
        std::iter::from_fn(next).collect()
    }

    /// The first match of the plain text at or after `from`. A match starts and ends at character
    /// boundaries, because the pattern does.
    fn find(&self, text: &str, from: usize) -> Option<usize> {
        let pattern = self.typed.as_bytes();
        let first = *pattern.first()?;
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let haystack = text.as_bytes().get(from..)?;
        memchr::memchr2_iter(lower, upper, haystack)
            .find(|&at| {
                haystack
                    .get(at..at + pattern.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(pattern))
            })
            .map(|at| from + at)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.typed == other.typed
    }
}

impl Eq for Pattern {}

/// The last line of the error says what is wrong; the lines before it mark the place.
fn why(error: &regex::Error) -> String {
    let report = error.to_string();
    let reason = report.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("Not a regular expression: {reason}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_no_matter_and_every_place_is_found() {
        let pattern = Pattern::new("err").unwrap();
        assert_eq!(pattern.all_in("-ERR no Error, err"), [1..4, 8..11, 15..18]);
        assert!(!pattern.is_in("er r"));
    }

    #[test]
    fn letters_beyond_ascii_are_found_as_they_are() {
        assert_eq!(Pattern::new("ï").unwrap().all_in("naïve"), std::slice::from_ref(&(2..4)));
    }

    #[test]
    fn an_empty_text_is_no_pattern() {
        assert_eq!(Pattern::new(""), None);
        assert_eq!(Pattern::parse("/"), Ok(None));
        assert_eq!(Pattern::parse("//"), Ok(None));
    }

    #[test]
    fn what_stands_between_slashes_is_a_regular_expression() {
        for typed in ["/-err|retr/", "/-err|retr"] {
            let pattern = Pattern::parse(typed).unwrap().unwrap();
            assert!(pattern.is_in("S: -ERR no") && pattern.is_in("C: RETR 1"));
            assert_eq!(pattern.all_in("C: RETR 1"), std::slice::from_ref(&(3..7)));
            assert_eq!(pattern.as_str(), typed);
        }
        let anywhere = Pattern::parse("/x*/").unwrap().unwrap();
        assert!(anywhere.is_in("abc") && anywhere.all_in("abc").is_empty());
    }

    #[test]
    fn what_is_no_expression_is_explained_in_one_line() {
        for typed in ["/(/", "/a{9999999}/", "/[z-a]/"] {
            let words = Pattern::parse(typed).unwrap_err();
            assert!(words.starts_with("Not a regular expression: "), "{words}");
            assert!(!words.contains('\n'), "{words}");
        }
    }
}
