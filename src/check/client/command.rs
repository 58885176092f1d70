//! The command of a client, with the words in braces that stand for what each scenario has.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The word that becomes 101 arguments, one for each recipient.
pub const MANY: &str = "to101";

/// How many recipients `{to101}` stands for: one more than every server must take (RFC 5321 section
/// 4.5.3.1.10).
pub const MANY_RECIPIENTS: usize = 101;

/// What the words in braces stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Each word without its braces, and its value.
    pub one: BTreeMap<&'static str, OsString>,
    /// The recipients of `{to101}`.
    pub many: Vec<String>,
}

/// Whether a command has a word in braces.
#[must_use]
pub fn names(command: &[OsString], word: &str) -> bool {
    let word = format!("{{{word}}}");
    command.iter().any(|argument| found(argument.as_bytes(), word.as_bytes()).is_some())
}

/// The command with the values in the place of its words. What else stands in braces stays.
#[must_use]
pub fn filled(command: &[OsString], words: &Words) -> Vec<OsString> {
    let many = format!("{{{MANY}}}");
    let mut filled = Vec::new();
    for argument in command {
        let one = one(argument, words);
        match found(one.as_bytes(), many.as_bytes()) {
            None => filled.push(one),
            Some(_) => filled.extend(words.many.iter().map(|recipient| {
                OsString::from_vec(replaced(one.as_bytes(), many.as_bytes(), recipient.as_bytes()))
            })),
        }
    }
    filled
}

fn one(argument: &OsStr, words: &Words) -> OsString {
    let mut octets = Vec::new();
    let mut rest = argument.as_bytes();
    // In one pass: a value may itself hold braces.
    while let Some((&octet, behind)) = rest.split_first() {
        let value = words.one.iter().find_map(|(word, value)| {
            let word = format!("{{{word}}}");
            rest.strip_prefix(word.as_bytes()).map(|behind| (value, behind))
        });
        if let Some((value, behind)) = value {
            octets.extend_from_slice(value.as_bytes());
            rest = behind;
        } else {
            octets.push(octet);
            rest = behind;
        }
    }
    OsString::from_vec(octets)
}

fn found(octets: &[u8], word: &[u8]) -> Option<usize> {
    octets.windows(word.len()).position(|window| window == word)
}

fn replaced(octets: &[u8], word: &[u8], value: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = octets;
    while let Some(place) = found(rest, word) {
        replaced.extend_from_slice(rest.get(..place).unwrap_or_default());
        replaced.extend_from_slice(value);
        rest = rest.get(place + word.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let one = [("to", "a@b".into()), ("port", "25".into()), ("message", "{to}".into())];
        Words { one: one.into_iter().collect(), many: vec!["x@b".into(), "y@b".into()] }
    }

    fn filled_words(command: &[&str]) -> Vec<OsString> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        filled(&command, &words())
    }

    #[test]
    fn words_in_braces_stand_anywhere_in_an_argument_and_others_stay() {
        let expected = ["smtp://h:25/a@b", "{who}", "{to}", "{", "a@b"];
        let command = ["smtp://h:{port}/{to}", "{who}", "{message}", "{", "{to}"];
        assert_eq!(filled_words(&command), expected);
    }

    #[test]
    fn the_word_for_many_becomes_as_many_arguments() {
        assert_eq!(filled_words(&["-t", "<{to101}>", "z"]), ["-t", "<x@b>", "<y@b>", "z"]);
        assert!(names(&["a{to101}".into()], MANY) && !names(&["to101".into()], MANY));
    }
}
