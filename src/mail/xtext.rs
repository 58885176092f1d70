//! `xtext` (RFC 3461 section 4): how a value of any octets stands in a parameter of MAIL or RCPT.

use crate::mail::address::Malformed;

/// The text as `xtext`: every octet that is no graphic ASCII character, and `+` and `=`, becomes
/// `+` and two hexadecimal digits.
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut xtext = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_xchar(byte) {
            xtext.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(xtext, "+{byte:02X}");
        }
    }
    xtext
}

/// The text that `xtext` stands for. Digits may be lower-case, which RFC 3461 does not allow and
/// some clients write.
///
/// # Errors
///
/// If it is not `xtext`, or stands for octets that are not UTF-8.
pub fn decode(xtext: &str) -> Result<String, Malformed> {
    decode_with(xtext, |_| false)
}

/// As [`decode`]; octets for which `is_plain` returns true stand for themselves too.
pub(super) fn decode_with(xtext: &str, is_plain: impl Fn(u8) -> bool) -> Result<String, Malformed> {
    let mut octets = Vec::with_capacity(xtext.len());
    let mut bytes = xtext.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(match byte {
            b'+' => hexadecimal(bytes.next(), bytes.next()).ok_or(Malformed)?,
            byte if is_xchar(byte) || is_plain(byte) => byte,
            _ => return Err(Malformed),
        });
    }
    String::from_utf8(octets).map_err(|_| Malformed)
}

fn is_xchar(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'+' && byte != b'='
}

fn hexadecimal(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_graphic_is_written_in_hexadecimal() {
        assert_eq!(encode("a+b=c d\u{7f}é"), "a+2Bb+3Dc+20d+7F+C3+A9");
        assert_eq!(decode("a+2bb+3Dc+20d").as_deref(), Ok("a+b=c d"));
        assert_eq!(decode("").as_deref(), Ok(""));
        for malformed in ["+", "+4", "+4G", "a=b", "a b", "é", "+é0", "+C3", "++2B", "+-1", "a\n"]
        {
            assert_eq!(decode(malformed), Err(Malformed), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_itself(text in ".{0,60}") {
            let xtext = encode(&text);
            prop_assert!(xtext.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'='));
            prop_assert_eq!(decode(&xtext), Ok(text));
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in "[+0-9A-Fa-fé]{0,20}|.{0,20}") {
            let _ = decode(&text);
        }
    }
}
