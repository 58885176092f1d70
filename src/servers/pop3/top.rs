//! Finds the part of a message text that TOP sends (RFC 1939 section 7): the header, the empty line,
//! and the first lines of the body. Pure, in constant memory: the text passes in pieces.

use memchr::memchr_iter;

/// Counts off the lines of one text. Every LF must end a line, and have a CR before it, as in all
/// texts that POP3 sends.
#[derive(Debug)]
pub struct Top {
    place: Place,
    /// Lines of the body that are still wanted.
    lines: u64,
    /// Octets of the current line so far, its CR included.
    octets: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Body,
}

impl Top {
    /// The top with so many lines of the body.
    #[must_use]
    pub const fn of(lines: u64) -> Self {
        Self { place: Place::Header, lines, octets: 0 }
    }

    /// How many octets at the beginning of the next piece belong to the top.
    pub fn part_of(&mut self, piece: &[u8]) -> usize {
        let mut from = 0;
        for end in memchr_iter(b'\n', piece) {
            if self.is_over() {
                return from;
            }
            self.end_line(self.octets.saturating_add(end - from));
            from = end + 1;
        }
        if self.is_over() {
            return from;
        }
        self.octets = self.octets.saturating_add(piece.len() - from);
        piece.len()
    }

    /// Whether nothing that follows belongs to the top.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.place == Place::Body && self.lines == 0
    }

    fn end_line(&mut self, octets: usize) {
        match self.place {
            Place::Body => self.lines -= 1,
            // The CR alone: this is the line between header and body.
            Place::Header if octets <= 1 => self.place = Place::Body,
            Place::Header => {}
        }
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The top of a text that arrives in pieces of this length.
    fn top_in_pieces(text: &str, lines: u64, length: usize) -> String {
        let mut top = Top::of(lines);
        let mut sent = Vec::new();
        for piece in text.as_bytes().chunks(length) {
            sent.extend_from_slice(&piece[..top.part_of(piece)]);
        }
        String::from_utf8(sent).unwrap()
    }

    #[track_caller]
    fn sends(text: &str, lines: u64, expected: &str) {
        for length in 1..=text.len().max(1) {
            assert_eq!(top_in_pieces(text, lines, length), expected, "in pieces of {length}");
        }
    }

    #[test]
    fn the_header_the_empty_line_and_so_many_lines_of_the_body() {
        let text = "A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\n";
        sends(text, 0, "A: 1\r\nB: 2\r\n\r\n");
        sends(text, 1, "A: 1\r\nB: 2\r\n\r\none\r\n");
        sends(text, 2, "A: 1\r\nB: 2\r\n\r\none\r\n\r\n");
        for lines in [3, 4, u64::MAX] {
            sends(text, lines, text);
        }
    }

    #[test]
    fn a_text_without_a_body_or_without_an_empty_line_is_sent_as_it_is() {
        for text in ["", "\r\n", "A: 1\r\n", "A: 1\r\nB: 2\r\n", "A: 1\r\n\r\n", "A: 1"] {
            sends(text, 0, text);
            sends(text, 9, text);
        }
        sends("\r\nbody\r\n", 0, "\r\n");
        sends("A: 1\r\n\r\nunended", 1, "A: 1\r\n\r\nunended");
    }

    #[test]
    fn a_lone_cr_makes_no_line_and_no_line_empty() {
        sends("A: 1\r\n\r\r\n\r\nx\ry\r\nz\r\n", 1, "A: 1\r\n\r\r\n\r\nx\ry\r\n");
    }

    /// What TOP means, by lines of the whole text.
    fn model(text: &str, lines: usize) -> String {
        let all: Vec<&str> = text.split_inclusive("\r\n").collect();
        let header = all.iter().position(|line| *line == "\r\n").map_or(all.len(), |at| at + 1);
        all[..header.saturating_add(lines).min(all.len())].concat()
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_top_is_that_of_the_whole(
            lines in prop::collection::vec("[ab.\r]{0,3}", 0..12), wanted in 0_usize..6, length in 1_usize..9,
        ) {
            let text = lines.join("\r\n") + "\r\n";
            prop_assert_eq!(top_in_pieces(&text, wanted as u64, length), model(&text, wanted));
        }
    }
}
