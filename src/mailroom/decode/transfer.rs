//! Decodes transfer encodings (RFC 2045 section 6), as far as requested. A fault affects only the
//! line that contains it, whereas the library would reject the whole content.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

use crate::mailroom::decode::header::{is_blank, line};

/// A transfer encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The octets are not encoded.
    None,
    /// Quoted-printable (RFC 2045 section 6.7).
    QuotedPrintable,
    /// Base64 (RFC 2045 section 6.8).
    Base64,
}

/// The longest line of base64 that is examined for whole quanta; RFC 2045 section 6.8 allows 76.
const LINE_MOST: usize = 4 * 1024;

/// More octets than usual lines of base64 have.
const LINE_USUAL: usize = 100;

/// The result of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    /// The decoded octets.
    pub(super) octets: Cow<'a, [u8]>,
    /// The number of encoded octets that were used.
    pub(super) used: usize,
}

impl Encoding {
    /// The encoding named by a field's value; comments, quotes and text after it are ignored.
    #[must_use]
    pub(super) fn named(value: &[u8]) -> Self {
        let mut rest = value.trim_ascii();
        while rest.starts_with(b"(")
            && let Some(end) = memchr(b')', rest)
        {
            rest = rest.get(end + 1..).unwrap_or_default().trim_ascii();
        }
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let begins = |with: &[u8]| {
            rest.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
        };
        match () {
            () if begins(b"base64") => Self::Base64,
            () if begins(b"quoted-printable") => Self::QuotedPrintable,
            () => Self::None,
        }
    }
}

/// Decodes until there are at least `most` octets, or all.
#[must_use]
pub(super) fn decoded(encoding: Encoding, encoded: &[u8], most: usize) -> Decoded<'_> {
    match encoding {
        Encoding::None => {
            let octets = encoded.get(..most).unwrap_or(encoded);
            Decoded { octets: Cow::Borrowed(octets), used: octets.len() }
        }
        Encoding::QuotedPrintable => quoted_printable(encoded, most),
        Encoding::Base64 => base64(encoded, most),
    }
}

/// The decoded length of the whole content.
#[must_use]
pub(super) fn decoded_length(encoding: Encoding, encoded: &[u8]) -> u64 {
    /// Octets decoded at a time, so that a large attachment is not in memory twice.
    const AT_ONCE: usize = 256 * 1024;
    match encoding {
        Encoding::None => encoded.len() as u64,
        Encoding::QuotedPrintable => {
            let (mut length, mut at) = (0, 0);
            while at < encoded.len() {
                let piece = quoted_printable(encoded.get(at..).unwrap_or_default(), AT_ONCE);
                length += piece.octets.len() as u64;
                at += piece.used.max(1);
            }
            length
        }
        Encoding::Base64 => {
            let mut quanta = Quanta::new(encoded, Vec::new());
            let mut length = 0;
            while quanta.take_line() {
                length += quanta.decoded.len() as u64;
                quanta.decoded.clear();
            }
            length + quanta.finish().len() as u64
        }
    }
}

/// Decodes quoted-printable (RFC 2045 section 6.7). As recommended there, an `=` that begins no
/// escape is kept; blanks at the end of a line were added in transit and are removed. Stops only at
/// a line end, or within a line longer than the requested length.
fn quoted_printable(encoded: &[u8], most: usize) -> Decoded<'_> {
    let mut octets = Vec::with_capacity(encoded.len().min(most));
    let mut at = 0;
    while at < encoded.len() && octets.len() < most {
        let rest = encoded.get(at..).unwrap_or_default();
        // An escape of three octets gives one.
        let most_of_line = (most - octets.len()).saturating_mul(3);
        let beginning = rest.get(..most_of_line).unwrap_or(rest);
        if let Some(end) = memchr(b'\n', beginning) {
            line_decoded(rest.get(..=end).unwrap_or_default(), &mut octets);
            at += end + 1;
        } else if beginning.len() == rest.len() {
            line_decoded(rest, &mut octets);
            at = encoded.len();
        } else {
            let piece = beginning.get(..before_escape(beginning)).unwrap_or_default();
            escapes_decoded(piece, &mut octets);
            at += piece.len();
            break;
        }
    }
    Decoded { octets: Cow::Owned(octets), used: at }
}

/// The length of the piece without an escape that is cut at its end.
fn before_escape(piece: &[u8]) -> usize {
    let tail = piece.len().saturating_sub(2);
    let escape = memrchr(b'=', piece.get(tail..).unwrap_or_default());
    escape.map_or(piece.len(), |escape| tail + escape)
}

/// Decodes a line including its line end.
fn line_decoded(line: &[u8], octets: &mut Vec<u8>) {
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let blanks = line.iter().rev().take_while(|octet| is_blank(octet)).count();
    let content = line.get(..line.len() - blanks).unwrap_or_default();
    let is_soft = content.ends_with(b"=");
    escapes_decoded(content.strip_suffix(b"=").unwrap_or(content), octets);
    if !is_soft {
        let line_ends = [&b"\r\n"[..], b"\n"];
        let line_end = line_ends.into_iter().find(|end| line.ends_with(end));
        octets.extend_from_slice(line_end.unwrap_or_default());
    }
}

/// Decodes the escapes in a line or in an encoded word: `=` and two hexadecimal digits, in either
/// case.
pub(super) fn escapes_decoded(mut line: &[u8], octets: &mut Vec<u8>) {
    while let Some(escape) = memchr(b'=', line) {
        let (before, rest) = line.split_at(escape);
        octets.extend_from_slice(before);
        line = if let [_, high, low, behind @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            octets.push(high << 4 | low);
            behind
        } else {
            octets.push(b'=');
            rest.get(1..).unwrap_or_default()
        };
    }
    octets.extend_from_slice(line);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn base64(encoded: &[u8], most: usize) -> Decoded<'_> {
    let mut quanta = Quanta::new(encoded, Vec::with_capacity(most.min(encoded.len() / 4 * 3 + 3)));
    while quanta.decoded.len() < most {
        if quanta.is_at_long_line(most - quanta.decoded.len()) {
            quanta.take_some_of_line(most);
            let used = quanta.at;
            return Decoded { octets: Cow::Owned(quanta.decoded), used };
        }
        if !quanta.take_line() {
            break;
        }
    }
    let used = quanta.at;
    let is_all = used >= encoded.len();
    let octets = if is_all { quanta.finish() } else { quanta.decoded };
    Decoded { octets: Cow::Owned(octets), used }
}

/// The offset at which base64 data ends and added text begins. Padding ends the data (RFC 2045
/// section 6.8), and text after an empty line is not data either: it may be the footer of a
/// mailing list, or a part whose delimiter was lost.
#[must_use]
pub(super) fn end_of_base64(encoded: &[u8]) -> usize {
    let mut at = 0;
    let (mut is_first, mut is_behind_blank, mut has_padding) = (true, false, false);
    while at < encoded.len() {
        let (content, next) = line(encoded, at);
        let content = content.trim_ascii();
        if content.is_empty() {
            is_behind_blank = true;
            at = next;
            continue;
        }
        let letters = content.iter().filter(|&&octet| value(octet).is_some()).count();
        let padding = content.iter().rev().take_while(|&&octet| octet == b'=').count();
        let others = content.len() - letters - padding;
        let is_text = match () {
            () if is_first => others > 1 && letters % 4 != 0,
            () if has_padding => is_behind_blank || others > 0 || (letters + padding) % 4 != 0,
            () if is_behind_blank => others > 0 || (letters + padding) % 4 != 0,
            () => false,
        };
        if is_text || others > letters || begins_a_part(content) {
            return at;
        }
        (is_first, is_behind_blank, has_padding) = (false, false, padding > 0);
        at = next;
    }
    encoded.len()
}

fn begins_a_part(content: &[u8]) -> bool {
    let field = b"content-";
    content.starts_with(b"--")
        || content.get(..field.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(field))
}

/// Decodes base64 line by line. Encoders put whole quanta of four letters into each line, so that a
/// lost or added letter only spoils its line. If the lines are cut otherwise they are read as one.
struct Quanta<'a> {
    encoded: &'a [u8],
    at: usize,
    has_whole_lines: bool,
    /// Bits that do not make an octet yet, and the number of letters they came from.
    bits: u32,
    letters: u32,
    decoded: Vec<u8>,
}

impl<'a> Quanta<'a> {
    fn new(encoded: &'a [u8], decoded: Vec<u8>) -> Self {
        let has_whole_lines = has_whole_lines(encoded);
        Self { encoded, at: 0, has_whole_lines, bits: 0, letters: 0, decoded }
    }

    /// Decodes the next line; `false` if there is none.
    fn take_line(&mut self) -> bool {
        if self.at >= self.encoded.len() {
            return false;
        }
        let (content, next) = line(self.encoded, self.at);
        self.at = next;
        let content = content.trim_ascii();
        let letters = content.iter().filter(|&&octet| value(octet).is_some()).count();
        let padding = content.iter().rev().take_while(|&&octet| octet == b'=').count();
        // A single octet of another kind in place of a missing letter is a letter that was changed.
        let is_changed = letters + padding + 1 == content.len() && (letters + padding) % 4 == 3;
        let instead = (self.has_whole_lines && is_changed).then_some(0);
        let data = content.get(..content.len() - padding).unwrap_or_default();
        for &octet in data {
            if let Some(value) = value(octet).or(instead) {
                self.push(value);
            }
        }
        if padding > 0 || (self.has_whole_lines && !content.is_empty()) {
            self.end_quantum();
        }
        true
    }

    /// Whether the next line is much longer than `octets` decoded octets need.
    fn is_at_long_line(&self, octets: usize) -> bool {
        let rest = self.encoded.get(self.at..).unwrap_or_default();
        let letters = (octets / 3).saturating_mul(4).saturating_add(LINE_USUAL);
        let beginning = rest.get(..letters).unwrap_or_default();
        !beginning.is_empty() && memchr(b'\n', beginning).is_none()
    }

    fn take_some_of_line(&mut self, most: usize) {
        while self.decoded.len() < most
            && let Some(&octet) = self.encoded.get(self.at)
        {
            self.at += 1;
            if let Some(value) = value(octet) {
                self.push(value);
            }
        }
    }

    fn push(&mut self, value: u8) {
        self.bits = self.bits << 6 | u32::from(value);
        self.letters += 1;
        if self.letters == 4 {
            let [_, octets @ ..] = self.bits.to_be_bytes();
            self.decoded.extend_from_slice(&octets);
            (self.bits, self.letters) = (0, 0);
        }
    }

    /// Decodes a quantum that is incomplete or padded.
    fn end_quantum(&mut self) {
        let octets = match self.letters {
            2 => 1,
            3 => 2,
            _ => 0,
        };
        let bits = self.bits << (6 * (4 - self.letters.min(4)));
        let [_, decoded @ ..] = bits.to_be_bytes();
        self.decoded.extend_from_slice(decoded.get(..octets).unwrap_or_default());
        (self.bits, self.letters) = (0, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.end_quantum();
        self.decoded
    }
}

/// Whether the lines have whole quanta. Some of the first lines may be damaged, and two may have
/// been joined; an encoder that cuts quanta does so in all lines of the same length.
fn has_whole_lines(encoded: &[u8]) -> bool {
    let lengths = first_lengths(encoded);
    let is_whole = |length: &usize| length.is_multiple_of(4);
    match lengths.as_slice() {
        [] => false,
        // The last line has any length; the usual length occurs twice in a row.
        [usual @ .., last] => {
            let has_usual = usual.iter().zip(usual.iter().skip(1)).any(|(one, next)| one == next);
            usual.iter().any(is_whole) || (is_whole(last) && !has_usual)
        }
    }
}

/// The numbers of letters in the first lines.
fn first_lengths(encoded: &[u8]) -> Vec<usize> {
    /// Enough lines that a single fault does not affect them all.
    const LINES: usize = 5;
    let mut lengths = Vec::with_capacity(LINES);
    let mut at = 0;
    while lengths.len() < LINES && at < encoded.len() {
        let (content, next) = line(encoded, at);
        at = next;
        if content.len() > LINE_MOST {
            break;
        }
        if !is_blank(content) {
            let letters = content.iter().filter(|&&octet| value(octet).is_some() || octet == b'=');
            lengths.push(letters.count());
        }
    }
    lengths
}

/// The value of a letter of the base64 alphabet.
fn value(letter: u8) -> Option<u8> {
    const NONE: u8 = 64;
    const VALUES: [u8; 256] = {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut values = [NONE; 256];
        let mut nth: u8 = 0;
        while nth < NONE {
            values[alphabet[nth as usize] as usize] = nth;
            nth += 1;
        }
        values
    };
    VALUES.get(usize::from(letter)).copied().filter(|&value| value != NONE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn makes(encoding: Encoding, encoded: &str, text: &str) {
        for encoded in [encoded.to_owned(), encoded.replace('\n', "\r\n")] {
            let octets = decoded(encoding, encoded.as_bytes(), usize::MAX);
            assert_eq!(String::from_utf8_lossy(&octets.octets).replace("\r\n", "\n"), text);
            assert_eq!(octets.used, encoded.len());
            let length = decoded_length(encoding, encoded.as_bytes());
            assert_eq!(length, octets.octets.len() as u64);
        }
    }

    #[test]
    fn an_encoding_is_known_whatever_stands_around_it() {
        for named in ["base64", " BASE64 (comment)", "(a) base64", "\"base64\"", "Base64;"] {
            assert_eq!(Encoding::named(named.as_bytes()), Encoding::Base64, "{named}");
        }
        for none in ["", "8bit", "base65", "x-uuencode", "(base64", "(base64) 7bit"] {
            assert_eq!(Encoding::named(none.as_bytes()), Encoding::None, "{none}");
        }
        assert_eq!(Encoding::named(b"Quoted-Printable"), Encoding::QuotedPrintable);
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        let makes = |encoded, text| makes(Encoding::QuotedPrintable, encoded, text);
        makes("?p=1&q=2 =ZZ =4 a=C3=a4b=", "?p=1&q=2 =ZZ =4 aäb");
        makes("soft=  \nbreak = end=\n=", "softbreak = end");
        makes("a   \nb=20\n\nc\t\n", "a\nb \n\nc\n");
        makes("==3D=3D=3=D", "====3=D");
    }

    #[test]
    fn what_is_no_letter_of_base64_is_passed_over() {
        let makes = |encoded, text| makes(Encoding::Base64, encoded, text);
        makes("aGVsbG8gd29ybGQK\n", "hello world\n");
        makes("aGVsbG8!gd29ybGQK\n", "hello world\n");
        makes("aGVs!bG8g!d29y!bGQK\n", "hello world\n");
        makes("aGVs bG8g d29y bGQK\n", "hello world\n");
        makes("aGVsbG8gd29ybGQ", "hello world");
        makes("aGVsbG8gd29ybGQ=\n\n", "hello world");
        makes("b25lCg==\ndHdvCg==\n", "one\ntwo\n");
        makes("", "");
        makes("=", "");
    }

    #[test]
    fn a_fault_in_a_line_of_base64_spoils_that_line_alone() {
        let good = "b25lIG9uZSBv\nbmUgYW5kIHR3\nbyB0d28gdHdv\nCg==\n";
        makes(Encoding::Base64, good, "one one one and two two two\n");
        let encoded = good.replace("bmUg", "bUg");
        let text = decoded(Encoding::Base64, encoded.as_bytes(), usize::MAX);
        let text = String::from_utf8_lossy(&text.octets).into_owned();
        assert!(text.starts_with("one one o") && text.ends_with("o two two\n"), "{text}");
        makes(Encoding::Base64, &good.replace("YW5k", "YW5=k"), "one one one and two two two\n");
        makes(Encoding::Base64, &good.replace("YW5k", "Y=5k"), "one one one `\u{e}d two two two\n");
    }

    #[test]
    fn lines_that_cut_quanta_in_two_are_read_as_one() {
        makes(Encoding::Base64, "aGVsb\nG8gd2\n9ybGQ\nK\n", "hello world\n");
    }

    #[track_caller]
    fn ends(encoded: &str, behind: &str) {
        assert_eq!(&encoded[end_of_base64(encoded.as_bytes())..], behind);
    }

    #[test]
    fn what_was_added_behind_base64_is_told_from_it() {
        ends("aGVsbG8gd29ybGQK\n\n_____\na list footer\n", "_____\na list footer\n");
        ends("aGVsbG8gd29ybGQK\n\na list footer\n", "a list footer\n");
        ends("aGVsbG8gd29ybGQ=\nlist@example.org\n", "list@example.org\n");
        ends("aGVsbG8gd29ybGQ=\n\ntest\n", "test\n");
        ends(
            "aGVsbG8gd29ybGQK\nContent-Type: text/plain\n\nx\n",
            "Content-Type: text/plain\n\nx\n",
        );
        ends("aGVsbG8gd29ybGQK\n--x\n", "--x\n");
        ends("this is no base64 at all\n", "this is no base64 at all\n");
        for all in [
            "aGVsbG8gd29ybGQK\n\nbW9yZQo=\n\n",
            "aGV!sbG8g\nd29@ybGQK\n",
            "b25lCg==\ndHdvCg==\n",
            "",
        ] {
            ends(all, "");
        }
    }

    fn encoded(encoding: Encoding, octets: &[u8]) -> Vec<u8> {
        use base64::Engine;
        match encoding {
            Encoding::None => octets.to_vec(),
            Encoding::QuotedPrintable => {
                let escaped = |octet: &u8| match octet {
                    b'\n' => "\r\n".to_owned(),
                    b'a'..=b'z' => char::from(*octet).to_string(),
                    _ => format!("={octet:02X}"),
                };
                let escaped: Vec<String> = octets.iter().map(escaped).collect();
                let lines = escaped.chunks(20).map(|line| line.concat() + "=\r\n");
                lines.collect::<String>().into_bytes()
            }
            Encoding::Base64 => base64::prelude::BASE64_STANDARD
                .encode(octets)
                .as_bytes()
                .chunks(76)
                .map(|line| [line, b"\r\n"].concat())
                .collect::<Vec<_>>()
                .concat(),
        }
    }

    fn encodings() -> impl Strategy<Value = Encoding> {
        prop::sample::select(vec![Encoding::None, Encoding::QuotedPrintable, Encoding::Base64])
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            for encoding in [Encoding::None, Encoding::Base64] {
                let encoded = encoded(encoding, &octets);
                prop_assert_eq!(&*decoded(encoding, &encoded, usize::MAX).octets, &octets[..]);
                prop_assert_eq!(end_of_base64(&self::encoded(Encoding::Base64, &octets)), self::encoded(Encoding::Base64, &octets).len());
            }
        }

        #[test]
        fn some_of_it_is_the_beginning_of_all_of_it(
            octets in prop::collection::vec(any::<u8>(), 0..600),
            encoding in encodings(),
            most in 0..400_usize,
            is_in_lines in any::<bool>(),
        ) {
            let mut encoded = encoded(encoding, &octets);
            if !is_in_lines {
                encoded.retain(|octet| !octet.is_ascii_whitespace());
            }
            let all = decoded(encoding, &encoded, usize::MAX);
            let some = decoded(encoding, &encoded, most);
            prop_assert!(some.octets.len() >= most.min(all.octets.len()).saturating_sub(3));
            prop_assert!(all.octets.starts_with(&some.octets));
            prop_assert!(some.octets.len() <= most + 100 && some.used <= 3 * most + 200);
        }

        #[test]
        fn no_octets_make_it_panic(octets in "[A-Za-z0-9+/=\\r\\n -]{0,200}", most in 0..200_usize) {
            let octets = octets.as_bytes();
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable] {
                let _ = (decoded(encoding, octets, most), decoded_length(encoding, octets));
            }
            prop_assert!(end_of_base64(octets) <= octets.len());
        }
    }
}
