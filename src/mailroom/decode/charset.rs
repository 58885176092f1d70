//! Converts text to UTF-8. The conversion tables are the library's; if the declared charset is
//! wrong or missing, the text is read all the same.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

/// The octets at the beginning of a line that decide whether it is UTF-8. The decision must not
/// change when more of the line is read.
const TOLD_BY: usize = 4 * 1024;

/// Charsets that the library knows by name but cannot decode: it would turn a whole text into one
/// `U+FFFD`.
const UNREAD: [&str; 6] =
    ["iso-2022-cn", "iso-2022-cn-ext", "iso-2022-kr", "csiso2022kr", "hz-gb-2312", "replacement"];

/// Converts to UTF-8. Octets that are declared as UTF-8 but are not stay unchanged and are escaped
/// later. A charset that is unknown, or US-ASCII with 8-bit octets, counts as missing.
#[must_use]
pub(super) fn in_utf8<'a>(charset: Option<&str>, octets: &'a [u8]) -> Cow<'a, [u8]> {
    let Some(charset) = charset.map(str::trim) else { return guessed(octets) };
    let is = |name: &str| charset.eq_ignore_ascii_case(name);
    if is("utf-8") || is("utf8") {
        return Cow::Borrowed(octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets));
    }
    if is("us-ascii") || is("ascii") {
        return guessed(octets);
    }
    if is("iso-2022-kr") || is("csiso2022kr") {
        return Cow::Owned(decoded("euc-kr", &without_shifts(octets)));
    }
    if is("hz-gb-2312") {
        return Cow::Owned(decoded("gb2312", &without_tildes(octets)));
    }
    if is("iso-2022-jp") || is("csiso2022jp") {
        return Cow::Owned(japanese(octets));
    }
    match charset_decoder(charset.as_bytes()).filter(|_| !UNREAD.iter().any(|name| is(name))) {
        Some(decode) => Cow::Owned(decode(octets).into_bytes()),
        None => guessed(octets),
    }
}

/// Decodes ISO-2022-JP line by line: each line begins in ASCII (RFC 1468), so that damage ends with
/// its line.
fn japanese(octets: &[u8]) -> Vec<u8> {
    /// The escape sequence for ASCII. The library reports an error if another escape follows it, as
    /// it does where encoded words were joined.
    const TO_ASCII: &[u8] = b"\x1b(B";
    let mut text = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let (line, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        let mut joined = Vec::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = memmem::find(rest, TO_ASCII) {
            let (before, behind) = rest.split_at(at);
            joined.extend_from_slice(before);
            rest = behind.get(TO_ASCII.len()..).unwrap_or_default();
            if !rest.starts_with(b"\x1b") {
                joined.extend_from_slice(TO_ASCII);
            }
        }
        joined.extend_from_slice(rest);
        text.extend(decoded("iso-2022-jp", &joined));
        text.extend_from_slice(end);
    }
    text
}

fn decoded(charset: &str, octets: &[u8]) -> Vec<u8> {
    let decode = charset_decoder(charset.as_bytes());
    decode.map_or_else(|| octets.to_vec(), |decode| decode(octets).into_bytes())
}

/// Decodes text without a declared charset: each line is UTF-8 or else Windows-1252.
#[must_use]
pub(super) fn guessed(octets: &[u8]) -> Cow<'_, [u8]> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    if str::from_utf8(octets).is_ok() {
        return Cow::Borrowed(octets);
    }
    let lines = octets.split_inclusive(|&octet| octet == b'\n').map(|line| {
        if is_utf8(line) { Cow::Borrowed(line) } else { Cow::Owned(decoded("windows-1252", line)) }
    });
    let mut text = Vec::with_capacity(octets.len() + octets.len() / 4);
    lines.for_each(|line| text.extend_from_slice(&line));
    Cow::Owned(text)
}

/// Whether most of a line's non-ASCII text is valid UTF-8: one damaged octet should not spoil the
/// others.
fn is_utf8(line: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    for chunk in line.get(..TOLD_BY).unwrap_or(line).utf8_chunks() {
        good += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > bad || bad == 0
}

/// Converts ISO-2022-KR to EUC-KR (RFC 1557): octets between SO and SI get the eighth bit.
fn without_shifts(octets: &[u8]) -> Vec<u8> {
    let octets = octets.strip_prefix(b"\x1b$)C").unwrap_or(octets);
    let mut bit = 0;
    let shifted = |&octet: &u8| {
        match octet {
            b'\x0e' => bit = 0x80,
            b'\x0f' => bit = 0,
            // Shifts end with the line, and so does the effect of a lost SI.
            b'\n' => {
                bit = 0;
                return Some(octet);
            }
            b'!'..=b'~' => return Some(octet | bit),
            _ => return Some(octet),
        }
        None
    };
    octets.iter().filter_map(shifted).collect()
}

/// Converts HZ to GB 2312 with the eighth bit (RFC 1843): octets between `~{` and `~}`.
fn without_tildes(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len());
    let (mut bit, mut at) = (0, 0);
    while let Some(&octet) = octets.get(at) {
        let next = octets.get(at + 1);
        at += 1;
        match (octet, next) {
            (b'~', Some(b'{')) if bit == 0 => (bit, at) = (0x80, at + 1),
            (b'~', Some(b'}')) if bit != 0 => (bit, at) = (0, at + 1),
            (b'~', Some(b'~')) if bit == 0 => {
                text.push(b'~');
                at += 1;
            }
            (b'\n', _) => {
                bit = 0;
                text.push(octet);
            }
            (b'!'..=b'~', _) => text.push(octet | bit),
            _ => text.push(octet),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_read(charset: Option<&str>, octets: &[u8], text: &str) {
        assert_eq!(String::from_utf8_lossy(&in_utf8(charset, octets)), text);
    }

    #[test]
    fn a_declared_charset_is_read() {
        is_read(Some("ISO-8859-1"), b"gr\xfc\xdfe", "grüße");
        is_read(Some("koi8-r"), b"\xf0\xd2\xc9", "При");
        is_read(Some("Shift_JIS"), b"\x93\xfa\x96{", "日本");
        is_read(Some("iso-2022-jp"), b"\x1b$BF|K\\\x1b(B", "日本");
        is_read(Some("iso-2022-jp"), b"\x1b$BF|K\\ a\nb\n", "日本\u{fffd}\u{fffd}\nb\n");
        is_read(Some("iso-2022-kr"), b"\x1b$)C\x0e0!\x0f a\n", "가 a\n");
        is_read(Some("hz-gb-2312"), b"~{VPND~} ~~", "中文 ~");
        is_read(Some("gb2312"), b"\xd6\xd0\xce\xc4", "中文");
        is_read(Some("utf-8"), "\u{feff}grüße".as_bytes(), "grüße");
    }

    #[test]
    fn an_undeclared_charset_is_guessed_for_each_line() {
        for charset in [None, Some("x-none"), Some("us-ascii"), Some(""), Some("iso-2022-cn")] {
            is_read(charset, "grüße\n日本".as_bytes(), "grüße\n日本");
            is_read(charset, b"gr\xfc\xdfe \x93x\x94", "grüße “x”");
            is_read(charset, b"gr\xfc\xdfe\n\xe2\x82\xac", "grüße\n€");
        }
    }

    #[test]
    fn one_damaged_octet_does_not_spoil_what_is_utf8() {
        is_read(None, "日\u{672c}".replace('本', "日本").as_bytes(), "日日本");
        assert_eq!(
            *guessed(b"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa"),
            *b"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa"
        );
    }
}
