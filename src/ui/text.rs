//! Text on the screen: its width, cutting and wrapping, and the forms of numbers and ages. The text
//! has been escaped before it gets here.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use crate::wire::figures::grouped;

const KIB: u64 = 1024;

/// The number of columns that `text` takes.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// As [`width`], in the type that the screen uses for columns.
#[must_use]
pub fn columns(text: &str) -> u16 {
    u16::try_from(width(text)).unwrap_or(u16::MAX)
}

/// `text`, or if it is wider than `most` columns, its beginning with an ellipsis.
#[must_use]
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let Some(room) = most.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let (head, _) = text.split_at(fitting(text, room));
    Cow::Owned(format!("{head}…"))
}

/// `text` in pieces of at most `most` columns; at least one piece.
#[must_use]
pub fn wrap(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let fitting = fitting(rest, most);
        if fitting == rest.len() {
            break;
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let (piece, after) = rest.split_at(fitting.max(first));
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// The ranges of the lines of `text`, in octets, if it is wrapped at `most` columns: after blanks,
/// or within a word that is longer than a line. A blank at the end of a line may lie beyond the
/// last column. There is at least one line.
#[must_use]
pub fn wrap_words(text: &str, most: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::with_capacity(1);
    let mut from = 0;
    loop {
        let rest = text.get(from..).unwrap_or_default();
        let to = from + first_line(rest, most);
        lines.push(from..to);
        if to >= text.len() {
            return lines;
        }
        from = to;
    }
}

/// The number of octets of `text` in its first line.
fn first_line(text: &str, most: usize) -> usize {
    let fitting = fitting(text, most);
    let (line, rest) = text.split_at(fitting);
    if rest.is_empty() {
        return fitting;
    }
    if rest.starts_with(' ') {
        return fitting + 1;
    }
    match line.rfind(' ') {
        // A word that is longer than a line stays with its indentation and its quote marks.
        Some(blank) if line.trim_start_matches([' ', '>']).contains(' ') => blank + 1,
        _ => fitting.max(text.chars().next().map_or(0, char::len_utf8)),
    }
}

/// The number of octets of `text` that fit into `most` columns.
fn fitting(text: &str, most: usize) -> usize {
    let mut used = 0;
    let too_far = text.char_indices().find(|(_, character)| {
        used += character.width().unwrap_or(0);
        used > most
    });
    too_far.map_or(text.len(), |(at, _)| at)
}

/// Draws `text`, cut to `most` columns; returns the columns that it took.
pub fn put(buffer: &mut Buffer, at: Position, most: u16, text: &str, style: Style) -> u16 {
    let most = most.min(buffer.area.right().saturating_sub(at.x));
    if most == 0 || !buffer.area.contains(at) {
        return 0;
    }
    let shown = cut(text, usize::from(most));
    let (end, _) = buffer.set_stringn(at.x, at.y, &shown, usize::from(most), style);
    end.saturating_sub(at.x)
}

/// As [`put`], but aligned to the right edge of the `most` columns.
pub fn put_right(buffer: &mut Buffer, at: Position, most: u16, text: &str, style: Style) {
    let indent = most.saturating_sub(columns(text));
    let at = Position::new(at.x.saturating_add(indent), at.y);
    put(buffer, at, most - indent, text, style);
}

/// The n-th line of an area, counted from 0; `None` below its end.
#[must_use]
pub fn line(area: Rect, n: usize) -> Option<Rect> {
    let n = u16::try_from(n).ok().filter(|&n| n < area.height)?;
    Some(Rect::new(area.x, area.y + n, area.width, 1))
}

/// Formats a number of octets: `312`, `14.2K`, `318K`, `1.4G`.
#[must_use]
pub fn octets(octets: u64) -> String {
    let mut unit = 1;
    let mut letters = ["K", "M", "G", "T", "P", "E"].iter();
    let mut letter = "";
    while octets / unit >= 1000 {
        unit *= KIB;
        letter = letters.next().copied().unwrap_or("");
    }
    let whole = octets / unit;
    if whole >= 100 || unit == 1 {
        return format!("{whole}{letter}");
    }
    // The tenths of the remainder, divided first so that 64 bits suffice.
    let tenths = octets % unit / (unit / KIB) * 10 / KIB;
    format!("{whole}.{tenths}{letter}")
}

/// Formats a running duration: `0:12`, `12:40`, `1h02`, `3d04`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (hours, days) {
        (0, _) => format!("{minutes}:{:02}", seconds % 60),
        (_, 0) => format!("{hours}h{:02}", minutes % 60),
        _ => format!("{days}d{:02}", hours % 24),
    }
}

/// Formats a duration roughly: `12s`, `4m`, `3h`, `2d`.
#[must_use]
pub fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_by_what_it_takes_on_the_screen() {
        assert_eq!(cut("linhphan", 8), "linhphan");
        assert_eq!(cut("linhphan", 5), "linh…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn wrapped_text_loses_nothing() {
        assert_eq!(wrap("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[track_caller]
    fn falls_into(text: &str, most: usize, lines: &[&str]) {
        let ranges = wrap_words(text, most);
        assert_eq!(ranges.into_iter().map(|line| &text[line]).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn text_is_wrapped_between_words_where_it_can_be() {
        falls_into("to be or not", 6, &["to be ", "or not"]);
        falls_into("to be or not", 5, &["to be ", "or ", "not"]);
        falls_into("a verylongword", 6, &["a ", "verylo", "ngword"]);
        falls_into("  verylongword", 6, &["  very", "longwo", "rd"]);
        falls_into("> 日本語", 4, &["> 日", "本語"]);
        falls_into("日本語 日本語", 7, &["日本語 ", "日本語"]);
        falls_into("日本", 1, &["日", "本"]);
        falls_into("", 5, &[""]);
        falls_into("ab", 0, &["a", "b"]);
    }

    #[test]
    fn octets_take_five_columns_at_most() {
        let shown = |n| octets(n);
        assert_eq!(shown(0), "0");
        assert_eq!(shown(999), "999");
        assert_eq!(shown(1_000), "0.9K");
        assert_eq!(shown(14_541), "14.2K");
        assert_eq!(shown(325_632), "318K");
        assert_eq!(shown(1_500_000), "1.4M");
        assert_eq!(shown(u64::MAX), "15.9E");
    }

    #[test]
    fn times_grow_coarser_as_they_grow() {
        let clock_of = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!(clock_of(3), "0:03");
        assert_eq!(clock_of(760), "12:40");
        assert_eq!(clock_of(3_720), "1h02");
        assert_eq!(clock_of(273_600), "3d04");
        let age_of = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(age_of(12), "12s");
        assert_eq!(age_of(540), "9m");
        assert_eq!(age_of(90_000), "1d");
    }

    #[test]
    fn nothing_is_put_beside_the_screen() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        assert_eq!(put(&mut buffer, Position::new(9, 9), 5, "x", Style::new()), 0);
        assert_eq!(put(&mut buffer, Position::new(2, 0), 5, "abc", Style::new()), 2);
    }

    proptest! {
        #[test]
        fn wrapped_words_lose_nothing_and_fit(text in "[ a-c日é>]{0,80}", most in 2..20_usize) {
            let lines = wrap_words(&text, most);
            let whole: String = lines.iter().map(|line| &text[line.clone()]).collect();
            prop_assert_eq!(&whole, &text);
            for line in lines {
                prop_assert!(width(text[line].trim_end_matches(' ')) <= most);
            }
        }
    }
}
