//! What is looked for in shown text: a plain string, ASCII letters without regard to case.

use std::ops::Range;

/// A string to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Looks for `text`; an empty text is no pattern.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` has it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.find(text, 0).is_some()
    }

    /// Where it stands in `text`, in octets, without overlaps.
    pub fn all_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = self.find(text, from)?;
            from = start + self.0.len();
            Some(start..from)
        })
    }

    /// Where it stands first at or after `from`. A match begins and ends between characters,
    /// because the pattern does.
    fn find(&self, text: &str, from: usize) -> Option<usize> {
        let pattern = self.0.as_bytes();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_no_matter_and_every_place_is_found() {
        let pattern = Pattern::new("err").unwrap();
        let found: Vec<_> = pattern.all_in("-ERR no Error, err").collect();
        assert_eq!(found, [1..4, 8..11, 15..18]);
        assert!(!pattern.is_in("er r"));
    }

    #[test]
    fn letters_beyond_ascii_are_found_as_they_are() {
        let pattern = Pattern::new("ï").unwrap();
        assert!(pattern.all_in("naïve").eq(std::iter::once(2..4)));
    }

    #[test]
    fn an_empty_text_is_no_pattern() {
        assert_eq!(Pattern::new(""), None);
    }
}
