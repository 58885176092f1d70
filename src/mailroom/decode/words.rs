//! Decodes encoded words in header fields (RFC 2047). Adjacent words with the same charset are
//! joined before the charset is decoded, because some senders split characters. Malformed words are
//! read as far as possible, and other text is left unchanged.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;

use crate::mailroom::decode::charset::{guessed, in_utf8};
use crate::mailroom::decode::transfer::{self, Encoding};

/// The longest encoded word. RFC 2047 section 2 allows 75 octets; some senders ignore that.
const WORD_MOST: usize = 8 * 1024;

/// A piece of a field's value.
enum Piece<'a> {
    Plain(&'a [u8]),
    Encoded { charset: &'a str, octets: Vec<u8> },
}

/// The value as one line of UTF-8 text. Undeclared 8-bit text is UTF-8 or else Windows-1252.
#[must_use]
pub(super) fn decoded(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for piece in pieces(&unfolded(value)) {
        match piece {
            Piece::Plain(plain) => text.extend_from_slice(&guessed(plain)),
            Piece::Encoded { charset, octets } => {
                text.extend_from_slice(&in_utf8(Some(charset), &octets));
            }
        }
    }
    text
}

/// The value in one line for the library's structured parsers: encoded words are replaced by
/// well-formed ones, and everything is UTF-8.
#[must_use]
pub(super) fn tidied(value: &[u8]) -> Vec<u8> {
    let mut tidy = Vec::with_capacity(value.len() + 1);
    for piece in pieces(&unfolded(value)) {
        match piece {
            Piece::Plain(plain) => tidy.extend_from_slice(&guessed(plain)),
            Piece::Encoded { charset, octets } => {
                let text = BASE64_STANDARD.encode(in_utf8(Some(charset), &octets));
                tidy.extend_from_slice(format!("=?utf-8?B?{text}?=").as_bytes());
            }
        }
    }
    tidy.push(b'\n');
    tidy
}

/// Joins the lines of a value; the blanks before a continuation line become one.
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines: Vec<&[u8]> = value.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii).collect();
    Cow::Owned(lines.join(&b' '))
}

fn pieces(value: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = memmem::find(value.get(at..).unwrap_or_default(), b"=?") {
        let start = at + found;
        at = start + 2;
        let Some(word) = word(value.get(start..).unwrap_or_default()) else { continue };
        add_plain(&mut pieces, value.get(from..start).unwrap_or_default(), Next::Word);
        at = start + word.length;
        from = at;
        match pieces.last_mut() {
            Some(Piece::Encoded { charset, octets })
                if charset.eq_ignore_ascii_case(word.charset) =>
            {
                octets.extend_from_slice(&word.octets);
            }
            _ => pieces.push(Piece::Encoded { charset: word.charset, octets: word.octets }),
        }
    }
    add_plain(&mut pieces, value.get(from..).unwrap_or_default(), Next::Nothing);
    pieces
}

/// What follows a plain piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Word,
    Nothing,
}

/// Blanks between encoded words only separate them (RFC 2047 section 6.2).
fn add_plain<'a>(pieces: &mut Vec<Piece<'a>>, plain: &'a [u8], next: Next) {
    let is_between_words =
        next == Next::Word && matches!(pieces.last(), Some(Piece::Encoded { .. }));
    if !(plain.is_empty() || is_between_words && plain.trim_ascii().is_empty()) {
        pieces.push(Piece::Plain(plain));
    }
}

struct Word<'a> {
    charset: &'a str,
    octets: Vec<u8>,
    /// The length of the encoded word itself.
    length: usize,
}

/// The encoded word at the beginning of some octets.
fn word(octets: &[u8]) -> Option<Word<'_>> {
    let rest = octets.strip_prefix(b"=?")?.get(..WORD_MOST).unwrap_or(octets.get(2..)?);
    let (charset, rest) = until_mark(rest)?;
    let (encoding, rest) = until_mark(rest)?;
    let encoded = rest.get(..memmem::find(rest, b"?=")?)?;
    let decoded = match encoding {
        b"B" | b"b" => transfer::decoded(Encoding::Base64, encoded, usize::MAX).octets.into_owned(),
        b"Q" | b"q" => q(encoded),
        _ => return None,
    };
    let length = "=?".len() + charset.len() + 1 + encoding.len() + 1 + encoded.len() + "?=".len();
    // A language may follow the charset (RFC 2231 section 5).
    let name = charset.split(|&octet| octet == b'*').next()?;
    let charset =
        str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains(' '))?;
    Some(Word { charset, octets: decoded, length })
}

fn until_mark(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mark = octets.iter().position(|&octet| octet == b'?')?;
    Some((octets.get(..mark)?, octets.get(mark + 1..)?))
}

/// RFC 2047 section 4.2: quoted-printable with `_` for a blank. Unencoded blanks are accepted too.
fn q(encoded: &[u8]) -> Vec<u8> {
    let encoded: Vec<u8> =
        encoded.iter().map(|&octet| if octet == b'_' { b' ' } else { octet }).collect();
    let mut octets = Vec::with_capacity(encoded.len());
    transfer::escapes_decoded(&encoded, &mut octets);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn is_read(value: &str, text: &str) {
        assert_eq!(String::from_utf8_lossy(&decoded(value.as_bytes())), text);
    }

    #[test]
    fn a_letter_split_over_two_words_is_whole() {
        is_read("=?utf-8?B?R3LD?=\r\n =?utf-8?B?vMOfZSBhdXMgS8O2bG4=?=", "Grüße aus Köln");
        is_read("=?utf-8?Q?Gr=C3?= =?UTF-8?q?=BC=C3=9Fe?=", "Grüße");
        is_read("=?utf-8?B?R3LD?=   =?utf-8?Q?=BC=C3=9Fe?=", "Grüße");
        is_read("=?utf-8?Q?Gr=C3?==?utf-8?Q?=BC=C3=9Fe?=", "Grüße");
        is_read("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\r\n\t=?iso-2022-jp?B?GyRCOGwbKEI=?=", "日本語");
        is_read("=?utf-8?Q?=C3=A4?= =?iso-8859-1?Q?=FC?=", "äü");
    }

    // mutt 2.2.12 gives the text on the right, except in the third case, where it shows the encoded
    // word.
    #[test]
    fn what_is_not_quite_an_encoded_word_is_read_as_far_as_it_goes() {
        is_read("a=?utf-8?Q?=C3=BC?=b", "aüb");
        is_read("=?utf-8?Q?a b =C3=BC?=", "a b ü");
        is_read("=?utf-8?B?R3L!DvMOfZQ?=", "Grüße");
        is_read("=?utf-8?Q?a=ZZ=C3=BC?=", "a=ZZü");
        is_read("=?x-none?Q?a=C3=BC?=", "aü");
        is_read("\"=?utf-8?Q?=C3=BC?=\"", "\"ü\"");
        is_read("=?utf-8?Q??= x", " x");
        is_read("=?utf-8*de?Q?=C3=BC?=", "ü");
        for none in ["=?utf-8?Q?a=C3=BC", "=?utf-8?X?abc?=", "=??Q?a?=", "=?", "=?utf-8?Q"] {
            is_read(none, none);
        }
    }

    #[test]
    fn eight_bit_text_that_nobody_has_declared_is_utf8_or_else_windows_1252() {
        is_read("grüße", "grüße");
        assert_eq!(String::from_utf8_lossy(&decoded(b"gr\xfc\xdfe =?utf-8?Q?=C3=BC?=")), "grüße ü");
    }

    #[test]
    fn lines_become_one() {
        is_read(" one\r\n  two \r\n\tthree\r\n", "one two three");
        is_read("a  b", "a  b");
    }

    #[test]
    fn the_library_gets_words_without_a_fault() {
        let tidy = tidied(b"=?utf-8?B?R3LD?= =?utf-8?B?vMOf?= <a@b.example>");
        assert_eq!(tidy, b"=?utf-8?B?R3LDvMOf?= <a@b.example>\n");
    }

    proptest! {
        #[test]
        fn a_text_cut_anywhere_into_words_is_whole(text in "[ -~é日€]{1,40}", cut in any::<prop::sample::Index>(), is_b in any::<bool>()) {
            let octets = text.as_bytes();
            let (one, other) = octets.split_at(cut.index(octets.len()));
            let word = |octets: &[u8]| {
                let hex = |octet: &u8| format!("={octet:02X}");
                if is_b {
                    format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(octets))
                } else {
                    format!("=?utf-8?Q?{}?=", octets.iter().map(hex).collect::<String>())
                }
            };
            let words = format!("{}\r\n {}", word(one), word(other));
            let decoded = decoded(words.as_bytes());
            prop_assert_eq!(String::from_utf8_lossy(&decoded), text);
        }
    }
}
