//! Patterns of names: `*` and `?`.

use std::str::Chars;

/// A pattern: `*` is any run of characters, `?` one character; without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(pub Box<str>);

impl Glob {
    /// A pattern.
    #[must_use]
    pub fn of(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole text is like this. Takes at most as many steps as the pattern has
    /// characters, for each of the text's.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on if what follows the last `*` does not fit: the pattern behind it, and the
        // text from one character later on.
        let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let was = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), was.clone()));
                    rest = was;
                }
                (Some('?'), Some(_)) => {}
                (Some(one), Some(other)) if is_same(one, other) => {}
                _ => {
                    let Some((behind, from)) = &mut retry else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (behind.clone(), from.clone());
                }
            }
        }
    }
}

fn is_same(one: char, other: char) -> bool {
    one == other || one.to_lowercase().eq(other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_is_like_the_whole_text() {
        let matches = |pattern: &str, text: &str| Glob::of(pattern).matches(text);
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "any"),
            ("bob@*", "Bob@localhost"),
            ("*@localhost", "a@b@LOCALHOST"),
            ("b?b@*", "bäb@x"),
            ("a*b*c", "a1b2b3c"),
            ("*aab", "aaaaaab"),
            ("ÄRGER*", "ärger@x"),
            ("a**", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("bob", "bobby"),
            ("bob@*", "abob@x"),
            ("a*b", "abc"),
            ("*?", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!Glob::of(&pattern).matches(&"a".repeat(4_000)));
    }

    proptest! {
        #[test]
        fn a_text_is_like_itself_and_like_its_parts_with_stars(text in "[^*?]{0,20}", at in 0_usize..20) {
            prop_assert!(Glob::of(&text).matches(&text));
            let before: String = text.chars().take(at).collect();
            let pattern = before + "*";
            prop_assert!(Glob::of(&pattern).matches(&text));
        }
    }
}
