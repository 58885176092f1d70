//! Compares the server's lines with what the script expects, and describes the differences. Does no
//! I/O.

use std::fmt;

use crate::wire::display::DisplayText;

/// A difference; its text is shown in brackets after the line it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// The line is not this one.
    Expected(&'static str),
    /// The CR is missing.
    LfOnly,
    /// Octets that no command asked for, and the number of further ones that were not kept.
    Unexpected { octets: Vec<u8>, omitted: u64 },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(expected) => write!(f, "Expected: '{expected}'"),
            Self::LfOnly => f.write_str("Terminated by LF, not by CRLF"),
            Self::Unexpected { octets, omitted: 0 } => {
                write!(f, "Unexpected data: {}", shown(octets))
            }
            Self::Unexpected { octets, omitted } => {
                let octets = shown(octets);
                write!(f, "Unexpected data: {octets} … ({omitted} more octets)")
            }
        }
    }
}

/// Compares a line, read up to its LF, with the expected one.
pub(super) fn judge(line: &[u8], expected: &'static str) -> Vec<Remark> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (line, ended_in_crlf) = match line.strip_suffix(b"\r") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let mut remarks = Vec::new();
    if !agrees(line, expected) {
        remarks.push(Remark::Expected(expected));
    }
    if !ended_in_crlf {
        remarks.push(Remark::LfOnly);
    }
    remarks
}

fn agrees(line: &[u8], expected: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(beginning) => line.starts_with(beginning.as_bytes()),
        None => line == expected.as_bytes(),
    }
}

/// The octets, escaped for a terminal, with `<CR>` and `<LF>` where these stand.
pub(super) fn shown(octets: &[u8]) -> String {
    let mut text = String::new();
    for piece in octets.split_inclusive(|octet| matches!(octet, b'\r' | b'\n')) {
        let (words, end) = match piece {
            [words @ .., b'\r'] => (words, "<CR>"),
            [words @ .., b'\n'] => (words, "<LF>"),
            words => (words, ""),
        };
        text.push_str(DisplayText::new(words).as_str());
        text.push_str(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_compared_exactly() {
        assert_eq!(judge(b"250 OK\r\n", "250 OK"), []);
        for other in ["250 ok\r\n", "250 OK \r\n", "250 O\r\n", "250\r\n", "\r\n", "250 OK\r\r\n"] {
            let remarks = judge(other.as_bytes(), "250 OK");
            assert_eq!(remarks, [Remark::Expected("250 OK")], "{other:?}");
        }
    }

    #[test]
    fn a_trailing_star_leaves_the_rest_to_the_server() {
        assert_eq!(judge(b"+OK\r\n", "+OK*"), []);
        assert_eq!(judge(b"+OK \xff\0\r\n", "+OK*"), []);
        assert_eq!(judge(b"-ERR\r\n", "+OK*"), [Remark::Expected("+OK*")]);
        assert_eq!(judge(b"354\r\n", "354 *"), [Remark::Expected("354 *")]);
    }

    #[test]
    fn a_lone_lf_is_told_beside_a_wrong_text() {
        assert_eq!(judge(b"250 OK\n", "250 OK"), [Remark::LfOnly]);
        let both = [Remark::Expected("250 OK"), Remark::LfOnly];
        assert_eq!(judge(b"500\n", "250 OK"), both);
    }

    #[test]
    fn what_is_shown_can_be_read_and_harms_no_terminal() {
        assert_eq!(shown(b"+OK\r\n"), "+OK<CR><LF>");
        assert_eq!(shown(b"a\rb\n\n\x1b[2J\xff"), "a<CR>b<LF><LF>\\x1b[2J\\xff");
        assert_eq!(shown(b""), "");
    }

    proptest! {
        #[test]
        fn no_octets_are_shown_raw(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!shown(&octets).chars().any(char::is_control));
        }
    }
}
