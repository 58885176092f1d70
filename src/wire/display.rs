//! Turns bytes into text that is safe to show on a terminal. Everything that a peer, a file or a
//! name server says counts as hostile until it has been escaped here.

use std::fmt::{self, Write};

use unicode_width::UnicodeWidthChar;

/// Maximum columns of one shown line; the rest is cut off and a note says how many octets are
/// missing.
pub const MOST_COLUMNS: usize = 1_000;

/// Maximum columns of one piece of a text that is read rather than glanced at. The screen wraps a
/// piece into lines; most paragraphs are a single piece.
const PIECE_COLUMNS: usize = 16 * 1024;

/// Maximum octets examined for one piece. A piece never needs more: a column holds one character
/// and its combining marks, of at most four octets each.
const PIECE_OCTETS: usize = 2 * PIECE_COLUMNS * (1 + MOST_COMBINING) * 4;

/// Combining marks shown on one base character; more would pile up over the lines above.
const MOST_COMBINING: usize = 4;

/// Text without control characters, invisible characters and bidirectional overrides. It is at most
/// [`MOST_COLUMNS`] wide, plus the note about omitted octets and, in the wire view, the line end; a
/// [piece](Self::pieces) of a longer text may be wider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct DisplayText(String);

impl DisplayText {
    /// Escapes `bytes`: control bytes and bytes that are not UTF-8 as `\x1b`, invisible and
    /// direction-changing characters as `\u{202e}`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self::cut(bytes, 0)
    }

    /// As [`new`](Self::new), for the beginning of a line of which `omitted` further octets were
    /// not kept.
    #[must_use]
    pub fn cut(bytes: &[u8], omitted: u64) -> Self {
        let mut escaper = Escaper::new(Controls::Escaped, bytes.len());
        let shown = escaper.take(bytes);
        escaper.finish(omitted.saturating_add((bytes.len() - shown) as u64))
    }

    /// As [`cut`](Self::cut), but CR, LF, TAB and NUL are shown as pictures (`␍`), and `┊` marks
    /// where a read ended. `ends` are the offsets of these read ends in octets, ascending. A
    /// character that a read end splits is escaped.
    #[must_use]
    pub fn wire(bytes: &[u8], omitted: u64, ends: impl IntoIterator<Item = usize>) -> Self {
        let mut escaper = Escaper::new(Controls::Pictured, bytes.len());
        let shown = escaper.take_in_reads(bytes, ends);
        escaper.finish(omitted.saturating_add((bytes.len() - shown) as u64))
    }

    /// As [`new`](Self::new), but text wider than one piece continues in the next piece instead of
    /// being cut. Returns at least one piece.
    #[must_use]
    pub fn pieces(bytes: &[u8]) -> Vec<Self> {
        let mut pieces = Vec::with_capacity(1);
        let mut rest = bytes;
        loop {
            let mut escaper = Escaper::new(Controls::Escaped, rest.len().min(PIECE_COLUMNS));
            escaper.most = PIECE_COLUMNS;
            // Not the whole rest: `take` would look at all of it again for each piece.
            let shown = escaper.take(rest.get(..PIECE_OCTETS).unwrap_or(rest));
            pieces.push(Self(escaper.text));
            rest = rest.get(shown..).unwrap_or_default();
            if rest.is_empty() {
                return pieces;
            }
        }
    }

    /// As [`cut`](Self::cut), but as wide as a [piece](Self::pieces) may be.
    #[must_use]
    pub fn wide(bytes: &[u8], omitted: u64) -> Self {
        let mut escaper = Escaper::new(Controls::Escaped, bytes.len().min(PIECE_COLUMNS));
        escaper.most = PIECE_COLUMNS;
        let shown = escaper.take(bytes);
        escaper.finish(omitted.saturating_add((bytes.len() - shown) as u64))
    }

    /// Text composed of escaped parts and fixed words. The caller vouches that it is safe to show.
    pub(crate) const fn already_safe(text: String) -> Self {
        Self(text)
    }

    /// The text, safe to show.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text without copying it.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<&str> for DisplayText {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for DisplayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How control characters are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controls {
    /// Every control character as `\x0d`.
    Escaped,
    /// CR, LF, TAB and NUL as pictures (`␍`), all others as `\x0d`.
    Pictured,
}

/// Marks where a read ended.
const READ_END: char = '┊';

struct Escaper {
    controls: Controls,
    text: String,
    /// Maximum columns of the result.
    most: usize,
    columns: usize,
    /// Combining marks since the last base character.
    marks: usize,
}

impl Escaper {
    fn new(controls: Controls, octets: usize) -> Self {
        let text = String::with_capacity(octets);
        Self { controls, text, most: MOST_COLUMNS, columns: 0, marks: 0 }
    }

    /// The text, with a note of how many octets were left out.
    fn finish(self, left_out: u64) -> DisplayText {
        let mut text = self.text;
        if left_out > 0 {
            // Writing to a `String` cannot fail.
            let _ = write!(text, " … ({left_out} more octets)");
        }
        DisplayText(text)
    }

    /// Appends as much as fits, with marks where reads ended; returns the number of bytes shown.
    fn take_in_reads(&mut self, bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> usize {
        let mut shown = 0;
        for end in ends {
            let Some(read) = bytes.get(shown..end) else { break };
            let taken = self.take(read);
            shown += taken;
            if taken < read.len() || !self.read_end() {
                return shown;
            }
        }
        shown + self.take(bytes.get(shown..).unwrap_or_default())
    }

    fn read_end(&mut self) -> bool {
        let fits = self.push(READ_END, 1);
        // A combining mark must not land on this sign: it belongs to the character before it.
        self.marks = MOST_COMBINING;
        fits
    }

    /// Appends as much as fits; returns the number of bytes shown.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut shown = 0;
        // Only invalid bytes are escaped; the valid text around them stays readable.
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if !self.character(character) {
                    return shown;
                }
                shown += character.len_utf8();
            }
            for &byte in chunk.invalid() {
                if !self.escape(format_args!("\\x{byte:02x}"), 4) {
                    return shown;
                }
                shown += 1;
            }
        }
        shown
    }

    fn character(&mut self, character: char) -> bool {
        if let Some(picture) = self.picture(character) {
            self.marks = MOST_COMBINING;
            return self.push(picture, 1);
        }
        if character.is_ascii_control() {
            return self.escape(format_args!("\\x{:02x}", u32::from(character)), 4);
        }
        // The width is `None` only for control characters, which are escaped below.
        let columns = character.width().unwrap_or(0);
        // Without a width of its own it is a combining mark.
        self.marks = if columns == 0 { self.marks + 1 } else { 0 };
        if is_treacherous(character) || self.marks > MOST_COMBINING || self.is_feigned(character) {
            return self.escape(format_args!("\\u{{{:x}}}", u32::from(character)), 8);
        }
        self.push(character, columns)
    }

    fn picture(&self, character: char) -> Option<char> {
        let picture = match character {
            '\0' => '␀',
            '\t' => '␉',
            '\n' => '␊',
            '\r' => '␍',
            _ => return None,
        };
        (self.controls == Controls::Pictured).then_some(picture)
    }

    /// Whether the peer has sent a character that would be mistaken for one of our own signs.
    fn is_feigned(&self, character: char) -> bool {
        self.controls == Controls::Pictured && "␀␉␊␍┊".contains(character)
    }

    fn push(&mut self, character: char, columns: usize) -> bool {
        if self.columns + columns > self.most {
            return false;
        }
        self.text.push(character);
        self.columns += columns;
        true
    }

    fn escape(&mut self, escape: fmt::Arguments<'_>, columns: usize) -> bool {
        // An escape is shown whole or not at all.
        if self.columns + columns > self.most {
            return false;
        }
        self.columns += columns;
        self.text.write_fmt(escape).is_ok()
    }
}

/// Whether a character changes how its neighbours are shown, or cannot be seen: C1 controls, line
/// and paragraph separators, bidirectional controls, zero-width characters, tags and noncharacters.
///
/// This includes the zero-width joiner: it is harmless in an emoji sequence, but terminals disagree
/// on the width of such a sequence, and a wrong width spoils the row.
fn is_treacherous(character: char) -> bool {
    matches!(u32::from(character),
        0x80..=0x9f                     // C1
        | 0xad                          // soft hyphen
        | 0x61c | 0x180e                // Arabic letter mark, Mongolian vowel separator
        | 0x200b..=0x200f               // zero width, directional marks
        | 0x2028..=0x202e               // separators, embeddings, overrides
        | 0x2060..=0x206f               // joiner, isolates, deprecated controls
        | 0xfeff                        // byte order mark
        | 0xfff0..=0xfffb               // specials, interlinear annotation
        | 0xe0000..=0xe0fff) // tags, variation selectors supplement
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn shows(bytes: &[u8], text: &str) {
        assert_eq!(DisplayText::new(bytes).as_str(), text);
    }

    #[test]
    fn printable_text_is_shown_as_it_is() {
        shows("ECHO naïve 日本語 ✉ \\x".as_bytes(), "ECHO naïve 日本語 ✉ \\x");
    }

    #[test]
    fn control_bytes_and_broken_utf8_are_escaped() {
        shows(b"\x1b]52;c;x\x07\t\0\r\x7f", "\\x1b]52;c;x\\x07\\x09\\x00\\x0d\\x7f");
        shows(b"a\x9b2J\xff\xc3", "a\\x9b2J\\xff\\xc3");
        shows("\u{9b}\u{202e}\u{200b}\u{feff}".as_bytes(), "\\u{9b}\\u{202e}\\u{200b}\\u{feff}");
    }

    #[test]
    fn a_pile_of_combining_marks_is_cut_down() {
        let text = format!("a{}", "\u{301}".repeat(9));
        let shown = DisplayText::new(text.as_bytes());
        assert_eq!(shown.as_str().matches('\u{301}').count(), MOST_COMBINING);
    }

    #[test]
    fn a_line_over_a_thousand_columns_is_cut_with_a_count() {
        let shown = DisplayText::new(&[b'x'; 1_500]);
        assert_eq!(shown.as_str(), format!("{} … (500 more octets)", "x".repeat(1_000)));
        shows(&[b'x'; 1_000], &"x".repeat(1_000));
        assert_eq!(DisplayText::cut(b"ab", 7).as_str(), "ab … (7 more octets)");
    }

    #[test]
    fn a_line_that_is_too_wide_goes_on_in_the_next_piece() {
        let widths = |bytes: &[u8]| -> Vec<usize> {
            DisplayText::pieces(bytes).iter().map(|piece| piece.as_str().chars().count()).collect()
        };
        assert_eq!(widths(b""), [0]);
        assert_eq!(widths(&vec![b'x'; 40_000]), [16_384, 16_384, 7_232]);
        assert_eq!(widths("日".repeat(8_193).as_bytes()), [8_192, 1]);
        let marks = "a\u{301}\u{301}\u{301}\u{301}".repeat(16_385);
        assert_eq!(widths(marks.as_bytes()), [5 * 16_384, 5]);
    }

    #[track_caller]
    fn is_on_the_wire(bytes: &[u8], ends: &[usize], text: &str) {
        assert_eq!(DisplayText::wire(bytes, 0, ends.iter().copied()).as_str(), text);
    }

    #[test]
    fn on_the_wire_line_ends_and_blanks_are_pictures() {
        is_on_the_wire(b"a\t\0\r\n\x1b\x7f", &[], "a␉␀␍␊\\x1b\\x7f");
    }

    #[test]
    fn what_would_be_taken_for_a_picture_is_escaped() {
        is_on_the_wire("␍␊┊".as_bytes(), &[], "\\u{240d}\\u{240a}\\u{250a}");
        shows("␍␊┊".as_bytes(), "␍␊┊");
    }

    #[test]
    fn a_character_that_two_reads_bring_is_shown_in_octets() {
        is_on_the_wire("aéb".as_bytes(), &[1, 2, 4], "a┊\\xc3┊\\xa9b┊");
        is_on_the_wire("e\u{301}".as_bytes(), &[1], "e┊\\u{301}");
    }

    #[test]
    fn a_line_cut_on_the_wire_shows_no_read_end_beyond() {
        let shown = DisplayText::wire(&[b'x'; 1_500], 0, [999, 1_200]);
        let all = format!("{}┊ … (501 more octets)", "x".repeat(999));
        assert_eq!(shown.as_str(), all);
    }

    proptest! {
        #[test]
        fn pieces_leave_nothing_out(text in "\\PC{0,3000}", times in 1..20_usize) {
            let text = text.repeat(times);
            let whole: String =
                DisplayText::pieces(text.as_bytes()).iter().map(DisplayText::as_str).collect();
            let short: String = text.chars().map(|c| DisplayText::from(&*c.to_string()).0).collect();
            // Marks beyond the limit are escaped, and each piece counts its own.
            prop_assert!(whole == short || text.chars().any(|c| c.width() == Some(0)));
        }

        #[test]
        fn no_reads_yield_anything_a_terminal_obeys(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
            mut ends in prop::collection::vec(0usize..3_500, 0..40),
        ) {
            ends.sort_unstable();
            let shown = DisplayText::wire(&bytes, 0, ends);
            prop_assert!(!shown.as_str().chars().any(|c| c.is_control() || is_treacherous(c)));
            let columns: usize = shown.as_str().chars().filter_map(UnicodeWidthChar::width).sum();
            prop_assert!(columns <= MOST_COLUMNS + 30);
        }

        #[test]
        fn no_bytes_yield_anything_a_terminal_obeys(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
        ) {
            let shown = DisplayText::new(&bytes);
            prop_assert!(!shown.as_str().chars().any(|c| c.is_control() || is_treacherous(c)));
            let columns: usize = shown.as_str().chars().filter_map(UnicodeWidthChar::width).sum();
            prop_assert!(columns <= MOST_COLUMNS + 30);
        }
    }
}
