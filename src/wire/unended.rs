//! Unfinished input: the last line of it, and why a dot that looks like the end of a message, or a
//! line end that looks like the end of a command, does not count. Does no I/O.
//!
//! Only CRLF ends a line, and only a dot on a line of its own between two CRLFs ends a message (RFC
//! 5321 section 2.3.8). A client that ends its lines differently waits for a reply that never
//! comes.

use std::fmt;

/// Octets kept of unfinished input, to be shown.
pub const UNENDED_KEPT: usize = 256;

/// The last octets of unfinished message text, as received, with line ends.
#[derive(Debug, Clone, Default)]
pub struct TextEnd(Vec<u8>);

impl TextEnd {
    /// Takes the next piece; returns whether it contains a line end of any kind.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let kept = piece.get(piece.len().saturating_sub(UNENDED_KEPT)..).unwrap_or(piece);
        let surplus = (self.0.len() + kept.len()).saturating_sub(UNENDED_KEPT);
        self.0.drain(..surplus.min(self.0.len()));
        self.0.extend_from_slice(kept);
        memchr::memchr2(b'\r', b'\n', piece).is_some()
    }

    /// The last octets received, at most [`UNENDED_KEPT`].
    #[must_use]
    pub const fn octets(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Crlf,
    Lf,
    Cr,
    None,
}

/// Why a line or a message goes on although it looks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotEnded {
    /// The line ends in CR or LF alone.
    Line(Lone),
    /// The line is a single dot and ends in CR or LF alone.
    Dot(Lone),
    /// The line is a single dot, but the line before it ends in CR or LF alone.
    DotBehind(Lone),
    /// The last line is a single dot without a line end.
    BareDot,
}

/// Half a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lone {
    /// CR without LF.
    Cr,
    /// LF without CR.
    Lf,
}

impl fmt::Display for NotEnded {
    /// The reason in a few words; `{:#}` is shorter still.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(lone) | Self::Dot(lone) if f.alternate() => {
                write!(f, "ends in {lone} alone")
            }
            Self::DotBehind(lone) if f.alternate() => write!(f, "behind {lone} alone"),
            Self::BareDot if f.alternate() => f.write_str("does not end"),
            Self::Line(lone) => write!(f, "its line ends in {lone} alone"),
            Self::Dot(lone) => write!(f, "a dot, but its line ends in {lone} alone"),
            Self::DotBehind(lone) => {
                write!(f, "a dot, but the line before it ends in {lone} alone")
            }
            Self::BareDot => f.write_str("a dot, but its line does not end"),
        }
    }
}

impl fmt::Display for Lone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cr => "CR",
            Self::Lf => "LF",
        })
    }
}

impl End {
    const fn lone(self) -> Option<Lone> {
        match self {
            Self::Lf => Some(Lone::Lf),
            Self::Cr => Some(Lone::Cr),
            Self::Crlf | Self::None => None,
        }
    }
}

/// Why the line of a command goes on, if the part received so far looks ended.
#[must_use]
pub fn why_line_goes_on(unended: &[u8]) -> Option<NotEnded> {
    Some(NotEnded::Line(match unended {
        [.., b'\n'] => Lone::Lf,
        [.., b'\r'] => Lone::Cr,
        _ => return None,
    }))
}

/// The last line of unfinished message text, whatever ends its lines, and why the text goes on if
/// it looks ended. `end` is the last part of the text, with its line ends.
#[must_use]
pub fn last_line(end: &[u8]) -> (&[u8], Option<NotEnded>) {
    let lines = lines(end);
    let Some(&(last, last_end)) = lines.last() else {
        return (b"", None);
    };
    // From the end: the client most likely waits for a reply to its latest dot.
    let at_dot = (0..lines.len()).rev().find_map(|n| dot_that_ends_nothing(&lines, n, end));
    (last, at_dot.or_else(|| last_end.lone().map(NotEnded::Line)))
}

fn dot_that_ends_nothing(lines: &[(&[u8], End)], n: usize, text: &[u8]) -> Option<NotEnded> {
    let &(b".", own) = lines.get(n)? else { return None };
    if n == 0 && text.len() >= UNENDED_KEPT {
        // It may be the end of a longer line whose beginning was not kept.
        return None;
    }
    let before = n.checked_sub(1).and_then(|before| lines.get(before)?.1.lone());
    match own {
        End::None => Some(NotEnded::BareDot),
        End::Lf | End::Cr => own.lone().map(NotEnded::Dot),
        End::Crlf => before.map(NotEnded::DotBehind),
    }
}

/// The lines, each with its line end; only the last may lack one.
fn lines(text: &[u8]) -> Vec<(&[u8], End)> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, behind) = rest.split_at(at);
        let (end, octets) = match behind {
            [b'\r', b'\n', ..] => (End::Crlf, 2),
            [b'\r', ..] => (End::Cr, 1),
            _ => (End::Lf, 1),
        };
        lines.push((line, end));
        rest = behind.get(octets..).unwrap_or_default();
    }
    if !rest.is_empty() {
        lines.push((rest, End::None));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn shows(text: &str, line: &str, why: &str) {
        let (shown, not_ended) = last_line(text.as_bytes());
        assert_eq!(std::str::from_utf8(shown).unwrap(), line, "{text:?}");
        assert_eq!(not_ended.map_or_else(String::new, |why| why.to_string()), why, "{text:?}");
    }

    #[test]
    fn the_last_line_is_shown_whatever_ends_it() {
        shows("", "", "");
        shows("Subject: q\r\n\r\nhangs here", "hangs here", "");
        shows("Subject: q\r\n\r\nhangs here\r\n", "hangs here", "");
        shows("a\r\n\r\n", "", "");
        shows("hangs here\n", "hangs here", "its line ends in LF alone");
        shows("hangs here\r", "hangs here", "its line ends in CR alone");
    }

    #[test]
    fn a_dot_that_ends_nothing_is_pointed_out() {
        shows("hangs here\r\n.\n", ".", "a dot, but its line ends in LF alone");
        shows("hangs here\r\n.\r", ".", "a dot, but its line ends in CR alone");
        shows("hangs here\n.\n", ".", "a dot, but its line ends in LF alone");
        shows("hangs here\n.\r\n", ".", "a dot, but the line before it ends in LF alone");
        shows("hangs here\r.\r\n", ".", "a dot, but the line before it ends in CR alone");
        shows("hangs here\r\n.", ".", "a dot, but its line does not end");
        shows(".\n", ".", "a dot, but its line ends in LF alone");
        shows(".\nQUIT\n", "QUIT", "a dot, but its line ends in LF alone");
    }

    #[test]
    fn dots_of_the_text_are_no_ends() {
        shows("a\r\n..\r\n", "..", "");
        shows("a\r\n.b\r\n", ".b", "");
        shows("a.\r\n", "a.", "");
        shows("a .", "a .", "");
    }

    #[test]
    fn a_command_that_ends_in_half_a_line_end_is_pointed_out() {
        let why = |line: &[u8]| why_line_goes_on(line).map(|why| why.to_string());
        assert_eq!(why(b"NOOP\n").as_deref(), Some("its line ends in LF alone"));
        assert_eq!(why(b"NOOP\r").as_deref(), Some("its line ends in CR alone"));
        assert_eq!(why(b"NOOP"), None);
    }

    #[test]
    fn the_end_of_a_long_line_is_not_taken_for_a_dot() {
        let mut end = TextEnd::default();
        end.push(format!("{}.\n{}", "x".repeat(999), "y".repeat(UNENDED_KEPT - 2)).as_bytes());
        assert!(end.octets().starts_with(b".\n"));
        assert_eq!(last_line(end.octets()).1, None);
    }

    proptest! {
        #[test]
        fn the_end_of_a_text_is_the_same_for_every_cut(
            text in "[ab.\r\n]{0,600}",
            cut in 1_usize..700,
        ) {
            let mut end = TextEnd::default();
            for piece in text.as_bytes().chunks(cut) {
                let has_line_end = piece.contains(&b'\r') || piece.contains(&b'\n');
                prop_assert_eq!(end.push(piece), has_line_end);
            }
            let from = text.len().saturating_sub(UNENDED_KEPT);
            prop_assert_eq!(end.octets(), &text.as_bytes()[from..]);
        }
    }
}
