//! What an operator types in the place of a command or a reply: one line, with the escapes of rules.

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

#[cfg(test)]
mod tests {
    use super::*;

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
