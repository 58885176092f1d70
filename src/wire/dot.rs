//! Dot transparency (RFC 821 section 4.5.2, RFC 1939 section 3) on a stream: a dot that begins a
//! line of message text is doubled on the wire, and a line that is a single dot ends the text.
//!
//! A line begins at the start of the text and after CR LF, never after a lone CR or LF (RFC 5321
//! section 2.3.8).

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Finds dots that begin lines. Made once: for a short text, making it takes as long as the search.
static DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));

/// Finds dots that begin lines of text that is to be stuffed, whose lines all end in CRLF.
static TO_STUFF: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n."));

/// Octets that follow a text at most: the end of its last line, and the dot.
const ENDING_MOST: usize = b"\r\n.\r\n".len();

/// Removes dot stuffing from message text that arrives in pieces, and finds its end.
#[derive(Debug, Clone, Default)]
pub struct Unstuffer {
    state: State,
}

/// Position of the next byte within its line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The next byte is the first of a line.
    #[default]
    LineStart,
    /// Within a line.
    Inside,
    /// After a CR within a line.
    Cr,
    /// After a dot that began a line; the dot has not been passed on and never will be.
    Dot,
    /// After such a dot and a CR; neither has been passed on.
    DotCr,
}

impl Unstuffer {
    /// Takes the next piece and passes the text in it, unstuffed, to `text`, in as few slices as
    /// possible.
    ///
    /// Returns the number of octets used once `CRLF . CRLF` has been seen, and `None` while the
    /// text goes on (then all of the piece was used). The first of these CRLFs belongs to the text;
    /// if the text is empty, it is the one that ended the DATA command.
    pub fn push(&mut self, piece: &[u8], mut text: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            match (self.state, byte) {
                (State::LineStart, b'.') => {
                    self.state = State::Dot;
                    at += 1;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCr;
                    at += 1;
                }
                (State::DotCr, b'\n') => {
                    self.state = State::LineStart;
                    return Some(at + 1);
                }
                // The dot was a stuffed one, and the CR after it belongs to the text.
                (State::DotCr, _) => {
                    text(b"\r");
                    self.state = State::Cr;
                }
                (State::Cr, b'\n') => {
                    // The CR before it has been passed on with its run.
                    text(b"\n");
                    self.state = State::LineStart;
                    at += 1;
                }
                // After Dot the line goes on, so the dot was a stuffed one: it is dropped.
                (State::LineStart | State::Inside | State::Cr | State::Dot, _) => {
                    at += self.run(piece.get(at..).unwrap_or_default(), &mut text);
                }
            }
        }
        None
    }

    /// Passes on the longest run without a line-starting dot; returns its length (at least 1).
    fn run(&mut self, rest: &[u8], text: &mut impl FnMut(&[u8])) -> usize {
        // Only a dot at the beginning of a line matters, so everything before the next one is
        // passed on at once.
        let length = DOT.find(rest).map_or(rest.len(), |at| at + 2);
        let run = rest.get(..length).unwrap_or(rest);
        text(run);
        self.state = match run {
            [.., b'\r', b'\n'] => State::LineStart,
            [.., b'\r'] => State::Cr,
            _ => State::Inside,
        };
        run.len()
    }
}

/// Adds dot stuffing to message text that passes in pieces.
///
/// Every LF must end a line: the text has CRLF line ends only, which the code that reads it from
/// disk ensures.
#[derive(Debug, Clone)]
pub struct Stuffer {
    at_line_start: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl Stuffer {
    /// Appends the piece to `wire`, with dots stuffed.
    pub fn push(&mut self, piece: &[u8], wire: &mut Vec<u8>) {
        let Some(&last) = piece.last() else { return };
        if self.at_line_start && piece.first() == Some(&b'.') {
            wire.push(b'.');
        }
        let mut from = 0;
        wire.reserve(piece.len() + ENDING_MOST);
        for at in TO_STUFF.find_iter(piece) {
            wire.extend_from_slice(piece.get(from..=at).unwrap_or_default());
            wire.push(b'.');
            from = at + 1;
        }
        wire.extend_from_slice(piece.get(from..).unwrap_or_default());
        self.at_line_start = last == b'\n';
    }

    /// Ends the text: completes an unfinished last line, then writes the single dot.
    pub fn finish(&mut self, wire: &mut Vec<u8>) {
        if !self.at_line_start {
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
        self.at_line_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The unstuffed text of `wire`, given in two pieces cut at `cut`, and the octets used if it
    /// ended.
    fn unstuffed(wire: &[u8], cut: usize) -> (Vec<u8>, Option<usize>) {
        let mut unstuffer = Unstuffer::default();
        let mut out = Vec::new();
        let (head, tail) = wire.split_at(cut.min(wire.len()));
        if let Some(used) = unstuffer.push(head, |text| out.extend_from_slice(text)) {
            return (out, Some(used));
        }
        let used = unstuffer.push(tail, |text| out.extend_from_slice(text));
        (out, used.map(|used| used + head.len()))
    }

    #[track_caller]
    fn check(wire: &[u8], text: &[u8], used: Option<usize>) {
        for cut in 0..=wire.len() {
            assert_eq!(unstuffed(wire, cut), (text.to_vec(), used), "cut at {cut}");
        }
    }

    #[test]
    fn only_a_lone_dot_between_two_crlf_ends_the_text() {
        check(b"a\r\n.\r\nQUIT\r\n", b"a\r\n", Some(6));
        check(b".\r\n", b"", Some(3));
    }

    #[test]
    fn a_lone_dot_between_other_line_ends_is_text() {
        check(b"a\n.\n", b"a\n.\n", None);
        check(b"a\n.\r\n", b"a\n.\r\n", None);
        check(b"a\r\n.\n", b"a\r\n\n", None);
        check(b"a\r.\r", b"a\r.\r", None);
        check(b"a\r\n.\r", b"a\r\n", None);
        check(b"a\r\n.\rb", b"a\r\n\rb", None);
        check(b"a\r\n.\r\r\n", b"a\r\n\r\r\n", None);
        check(b"a\r.\r\n", b"a\r.\r\n", None);
        check(b"a\r\n\0.\r\n", b"a\r\n\0.\r\n", None);
        check(b"a\r\n.\0\r\n", b"a\r\n\0\r\n", None);
        check(b"a\r\n. \r\n", b"a\r\n \r\n", None);
        check(b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", Some(10));
    }

    #[test]
    fn a_leading_dot_is_removed_once() {
        check(b"..\r\n...\r\n.x\r\n.\r\n", b".\r\n..\r\nx\r\n", Some(16));
    }

    #[test]
    fn the_first_line_is_stuffed_too() {
        let mut wire = Vec::new();
        let mut stuffer = Stuffer::default();
        stuffer.push(b".a\r\n.\r\n", &mut wire);
        stuffer.finish(&mut wire);
        assert_eq!(wire, b"..a\r\n..\r\n.\r\n");
    }

    #[test]
    fn an_unfinished_last_line_is_completed() {
        let mut wire = Vec::new();
        let mut stuffer = Stuffer::default();
        stuffer.push(b"a", &mut wire);
        stuffer.finish(&mut wire);
        assert_eq!(wire, b"a\r\n.\r\n");
    }

    /// Random text with CRLF line ends and many dots.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec!["a", ".", "\r\n", "..", "\r"]), 0..60)
            .prop_map(|parts| parts.concat().into_bytes())
            .prop_filter("ends a line", |text| text.is_empty() || text.ends_with(b"\r\n"))
    }

    proptest! {
        #[test]
        fn unstuffing_what_was_stuffed_gives_the_text(text in text(), a in 0usize..80, b in 0usize..80) {
            let mut wire = Vec::new();
            let mut stuffer = Stuffer::default();
            let (head, tail) = text.split_at(a.min(text.len()));
            stuffer.push(head, &mut wire);
            stuffer.push(tail, &mut wire);
            stuffer.finish(&mut wire);
            let length = wire.len();
            prop_assert_eq!(unstuffed(&wire, b), (text, Some(length)));
        }

        #[test]
        fn any_cut_gives_the_same_text(
            wire in prop::collection::vec(prop::sample::select(b"a.\r\n".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            prop_assert_eq!(unstuffed(&wire, 0), unstuffed(&wire, cut));
        }
    }
}
