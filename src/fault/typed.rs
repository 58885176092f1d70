//! What an operator types in the place of a command or a reply: one line, with the escapes of rules.

use std::fmt::Write as _;

use crate::fault::parse::RuleError;
use crate::fault::parse::problem::Problem;
use crate::fault::parse::words::{ESCAPES, escape};

/// The octets that are meant. Without a line end they get CRLF.
///
/// # Errors
///
/// If a backslash begins no escape; the error has a caret under it.
pub fn octets_of(text: &str) -> Result<Vec<u8>, RuleError> {
    let mut octets = Vec::with_capacity(text.len() + 2);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character != '\\' {
            octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let Some((octet, length)) = escape(characters.as_str()) else {
            let sentence = "there is no such escape".to_owned();
            return Err(RuleError::new(
                text,
                Problem { at, sentence, expected: ESCAPES.to_owned() },
            ));
        };
        octets.push(octet);
        characters.by_ref().take(length).for_each(drop);
    }
    if !octets.ends_with(b"\n") {
        octets.extend_from_slice(b"\r\n");
    }
    Ok(octets)
}

/// What to type so that [`octets_of`] gives these octets, with CRLF behind them if they have no line
/// end. Nothing in it drives a terminal or is lost at its ends.
#[must_use]
pub fn text_of(octets: &[u8]) -> String {
    let octets =
        octets.strip_suffix(b"\r\n").filter(|line| !line.ends_with(b"\n")).unwrap_or(octets);
    let mut text = String::with_capacity(octets.len());
    for piece in octets.utf8_chunks() {
        for character in piece.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                ' ' | '!'..='~' => text.push(character),
                other if other.is_alphanumeric() => text.push(other),
                other => {
                    let mut bytes = [0; 4];
                    other
                        .encode_utf8(&mut bytes)
                        .bytes()
                        .for_each(|octet| push_hex(&mut text, octet));
                }
            }
        }
        piece.invalid().iter().for_each(|octet| push_hex(&mut text, *octet));
    }
    // Blanks at an end would be trimmed, or not be seen.
    let blanks = text.len() - text.trim_end_matches(' ').len();
    text.truncate(text.len() - blanks);
    text.extend((0..blanks).map(|_| "\\x20"));
    match text.strip_prefix(' ') {
        Some(rest) => format!("\\x20{rest}"),
        None => text,
    }
}

fn push_hex(text: &mut String, octet: u8) {
    let _ = write!(text, "\\x{octet:02x}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_offered_for_editing_is_plain() {
        assert_eq!(text_of(b"RCPT TO:<bob@localhost>"), "RCPT TO:<bob@localhost>");
        assert_eq!(
            text_of(b"250-localhost\r\n250 PIPELINING\r\n"),
            r"250-localhost\r\n250 PIPELINING"
        );
        assert_eq!(
            text_of("\\ \u{202e}\u{1b}[2Jé\u{ff}\n".as_bytes()),
            r"\\ \xe2\x80\xae\x1b[2Jéÿ\n"
        );
        assert_eq!(text_of(b" a  \r\n"), r"\x20a\x20\x20");
        assert_eq!(text_of(b"\xff\x00"), r"\xff\x00");
    }

    proptest! {
        #[test]
        fn what_is_offered_says_the_same(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            let line = [octets.as_slice(), b"\r\n"].concat();
            prop_assert_eq!(octets_of(&text_of(&line)).unwrap(), line.clone());
            prop_assert_eq!(text_of(&line).trim().len(), text_of(&line).len());
        }
    }

    #[test]
    fn a_line_gets_its_end_and_may_have_any_octet() {
        let octets = |text: &str| octets_of(text).unwrap();
        assert_eq!(octets("250 ok"), b"250 ok\r\n");
        assert_eq!(octets(r"250-a\r\n250 b\r\n"), b"250-a\r\n250 b\r\n");
        assert_eq!(octets(r"a\n"), b"a\n");
        assert_eq!(octets(r#"\x00\xfF\t\0\"\\é"#), b"\0\xff\t\0\"\\\xc3\xa9\r\n");
        assert_eq!(octets(""), b"\r\n");
    }

    #[test]
    fn an_escape_that_is_none_is_shown() {
        for (text, place) in [(r"é\q", 1), (r"ab\x4", 2), ("\\", 0)] {
            let error = octets_of(text).unwrap_err();
            assert_eq!((error.sentence(), error.place()), ("there is no such escape", place));
        }
    }
}
