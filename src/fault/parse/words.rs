//! Cuts a rule into words, quotations and comments. Knows nothing of what they mean.

use crate::fault::parse::problem::{Parsed, problem};

/// What may stand behind a backslash.
pub(in crate::fault) const ESCAPES: &str = r#"\r \n \t \0 \" \\ \xNN"#;

/// A word, or a quotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fault) struct Word<'a> {
    /// As it was written, a quotation with its quotes.
    pub(in crate::fault) text: &'a str,
    /// The octet of the rule at which it begins.
    pub(in crate::fault) at: usize,
    /// What a quotation says.
    pub(in crate::fault) quoted: Option<Vec<u8>>,
}

impl Word<'_> {
    /// The octet behind it.
    pub(in crate::fault) const fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is this word, and no quotation.
    pub(in crate::fault) fn is(&self, word: &str) -> bool {
        self.quoted.is_none() && self.text == word
    }
}

/// Reads a rule from its beginning.
#[derive(Debug)]
pub(in crate::fault) struct Scanner<'a> {
    rule: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(in crate::fault) const fn new(rule: &'a str) -> Self {
        Self { rule, at: 0 }
    }

    /// The octet that is read next.
    pub(in crate::fault) const fn at(&self) -> usize {
        self.at
    }

    /// Reads on from another octet.
    pub(in crate::fault) const fn go_on_at(&mut self, at: usize) {
        self.at = at;
    }

    fn rest(&self) -> &'a str {
        self.rule.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    /// Skips blanks; whether the rule ends there, or a comment begins.
    pub(in crate::fault) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        let before = self.rule.get(..self.at).unwrap_or_default();
        let is_divided = before.is_empty() || before.ends_with(is_blank);
        self.rest().is_empty() || (is_divided && self.rest().starts_with('#'))
    }

    /// The next word before the colon, up to a blank; a value behind `=` may be quoted.
    pub(in crate::fault) fn condition(&mut self) -> Parsed<Option<Word<'a>>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let (rest, at) = (self.rest(), self.at);
        let plain = rest.find(is_blank).unwrap_or(rest.len());
        let quote = rest.find("=\"").map(|equals| equals + 1).filter(|quote| *quote < plain);
        let (length, quoted) = match quote {
            Some(quote) => {
                let (octets, end) = self.quotation(at + quote)?;
                (end - at, Some(octets))
            }
            None => (plain, None),
        };
        self.at += length;
        Ok(Some(Word { text: rest.get(..length).unwrap_or_default(), at, quoted }))
    }

    /// The words of each action behind the colon, and where each should begin.
    pub(in crate::fault) fn actions(&mut self) -> Parsed<Vec<(usize, Vec<Word<'a>>)>> {
        let (mut actions, mut words) = (Vec::new(), Vec::new());
        let mut begins = self.at;
        while !self.is_at_end() {
            if self.rest().starts_with(';') {
                actions.push((begins, words));
                words = Vec::new();
                self.at += 1;
                begins = self.at;
            } else {
                words.push(self.word()?);
            }
        }
        let begins = words.first().map_or(begins, |word: &Word<'_>| word.at);
        actions.push((begins, words));
        Ok(actions)
    }

    /// A word or quotation behind the colon.
    fn word(&mut self) -> Parsed<Word<'a>> {
        let (rest, at) = (self.rest(), self.at);
        if !rest.starts_with('"') {
            let length = rest.find(|one| is_blank(one) || one == ';').unwrap_or(rest.len());
            self.at += length;
            let text = rest.get(..length).unwrap_or_default();
            return Ok(Word { text, at, quoted: None });
        }
        let (octets, end) = self.quotation(at)?;
        self.at = end;
        if !self.rest().is_empty() && !self.rest().starts_with(|one| is_blank(one) || one == ';') {
            return problem(end, "a quotation is not divided from what follows it", "a blank or ;");
        }
        let text = self.rule.get(at..end).unwrap_or_default();
        Ok(Word { text, at, quoted: Some(octets) })
    }

    /// What the quotation at this octet says, and the octet behind it.
    fn quotation(&self, at: usize) -> Parsed<(Vec<u8>, usize)> {
        let mut said = Vec::new();
        let quoted = self.rule.get(at + 1..).unwrap_or_default();
        let mut characters = quoted.char_indices();
        while let Some((offset, character)) = characters.next() {
            let here = at + 1 + offset;
            match character {
                '"' => return Ok((said, here + 1)),
                '\\' => {
                    let Some((octet, length)) = escape(characters.as_str()) else {
                        return problem(here, "there is no such escape", ESCAPES);
                    };
                    said.push(octet);
                    characters.by_ref().take(length).for_each(drop);
                }
                character => {
                    said.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        problem(at, "a quotation has no end", "a \" at its end; \\\" in it")
    }
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// The octet that is meant behind a backslash, and how many characters say so.
pub(in crate::fault) fn escape(text: &str) -> Option<(u8, usize)> {
    let octet = match text.chars().next()? {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        '"' => b'"',
        '\\' => b'\\',
        'x' => {
            let digits = text.get(1..3)?;
            let is_hex = digits.chars().all(|digit| digit.is_ascii_hexdigit());
            return Some((u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, 3));
        }
        _ => return None,
    };
    Some((octet, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn actions(rule: &str) -> Vec<Vec<String>> {
        let actions = Scanner::new(rule).actions().unwrap().into_iter();
        let said = |word: Word<'_>| match word.quoted {
            Some(octets) => format!("<{}>", octets.escape_ascii()),
            None => word.text.to_owned(),
        };
        actions.map(|(_, words)| words.into_iter().map(said).collect()).collect()
    }

    #[test]
    fn actions_are_divided_by_semicolons_outside_quotations() {
        assert_eq!(actions("451 a b;close"), [vec!["451", "a", "b"], vec!["close"]]);
        assert_eq!(actions(r#"451 "a; b # c" ; cut"#), [vec!["451", "<a; b # c>"], vec!["cut"]]);
        assert_eq!(actions("cut;"), [vec!["cut"], vec![]]);
    }

    #[test]
    fn a_comment_begins_behind_a_blank_and_outside_quotations() {
        assert_eq!(actions("451 a#b # c; d"), [vec!["451", "a#b"]]);
        assert_eq!(actions(r#"raw "a # b" # c"#), [vec!["raw", "<a # b>"]]);
    }

    #[test]
    fn quotations_have_escapes_for_any_octet() {
        assert_eq!(
            actions(r#"raw "\r\n\t\0\"\\\x7f\xFF é""#),
            [vec!["raw", r#"<\r\n\t\x00\"\\\x7f\xff \xc3\xa9>"#]]
        );
        for wrong in [r#"raw "\q""#, r#"raw "\x1""#, r#"raw "\x+1""#, r#"raw "\"#, r#"raw "\xé""#]
        {
            let found = Scanner::new(wrong).actions().unwrap_err();
            assert_eq!((found.at, found.expected.as_str()), (5, ESCAPES), "{wrong}");
        }
    }

    #[test]
    fn a_quotation_ends_and_stands_alone() {
        assert_eq!(Scanner::new(r#"raw "abc"#).actions().unwrap_err().at, 4);
        assert_eq!(Scanner::new(r#"raw "abc"d"#).actions().unwrap_err().at, 9);
        // Within a word a quote is a character.
        assert_eq!(actions(r#"451 5" disk"#), [vec!["451", "5\"", "disk"]]);
    }

    #[test]
    fn a_value_of_a_condition_may_be_quoted() {
        let mut scanner = Scanner::new(r#"from="a b" to=c : cut"#);
        let word = scanner.condition().unwrap().unwrap();
        assert_eq!((word.text, word.quoted), (r#"from="a b""#, Some(b"a b".to_vec())));
        assert_eq!(scanner.condition().unwrap().unwrap().text, "to=c");
    }
}
