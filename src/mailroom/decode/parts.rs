//! Splits a message into its parts, in one pass over its octets (RFC 2046 section 5.1). A missing
//! delimiter only joins two parts. Decodes only the headers of the parts.

use std::ops::Range;

use memchr::memmem;

use crate::mailroom::decode::header::{Fields, begins_with_known_field, is_blank, line};
use crate::mailroom::decode::media::{Declared, Kind, Multipart, Unsaid};
use crate::mailroom::decode::transfer::{Encoding, end_of_base64};

/// The deepest nesting of parts, as in mutt. Deeper content is text.
const DEPTH_MOST: usize = 50;

/// The most parts of a message; everything after the last is one part.
const PARTS_MOST: usize = 10_000;

/// A part of a message, or the message itself. Ranges are offsets in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The header.
    pub(super) header: Range<usize>,
    /// The content, still encoded.
    pub(super) body: Range<usize>,
    /// Text that was added after the encoded content and does not belong to it.
    pub(super) rest: Range<usize>,
    /// The declarations in the header.
    pub(super) declared: Declared,
    /// The structure of the content.
    pub(super) content: Content,
}

/// The structure of a part's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Neither parts nor a message.
    Leaf,
    /// A message.
    Message(Box<Part>),
    /// Parts.
    Parts {
        /// The parts, in their order.
        parts: Vec<Part>,
        /// Whether each part is an alternative of the whole.
        is_alternative: bool,
        /// The text before the first part, usually a note that the message has parts.
        preamble: Range<usize>,
        /// The text after the last part.
        epilogue: Range<usize>,
    },
}

impl Part {
    /// Parses these octets as a message.
    #[must_use]
    pub(super) fn of_message(octets: &[u8]) -> Self {
        let mut cutter = Cutter { octets, at: 0, open: Vec::new(), depth: 0, left: PARTS_MOST };
        cutter.part(Unsaid::Plain).0
    }
}

/// Walks through the octets once.
struct Cutter<'a> {
    octets: &'a [u8],
    at: usize,
    /// The boundaries of the open multiparts, the outermost first.
    open: Vec<Vec<u8>>,
    depth: usize,
    /// The number of parts that are still allowed.
    left: usize,
}

/// The end of some content, and what ended it.
struct Stop {
    end: usize,
    /// The offset of the line after the delimiter.
    next: usize,
    delimiter: Option<Delimiter>,
}

#[derive(Clone, Copy)]
struct Delimiter {
    /// The index of its boundary among the open ones.
    level: usize,
    /// Whether it is the closing delimiter.
    closes: bool,
}

impl Stop {
    const fn is_of(&self, level: usize) -> bool {
        matches!(self.delimiter, Some(delimiter) if delimiter.level == level)
    }

    const fn closes(&self, level: usize) -> bool {
        matches!(self.delimiter, Some(delimiter) if delimiter.level == level && delimiter.closes)
    }
}

impl Cutter<'_> {
    /// Parses the part at the current offset.
    fn part(&mut self, unsaid: Unsaid) -> (Part, Stop) {
        let start = self.at;
        let mut fields = Fields::of(self.octets.get(start..).unwrap_or_default());
        let declared = Declared::in_header(&mut fields, unsaid);
        self.at = start + fields.text();
        let header = start..self.at;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            // No further delimiter is looked for: everything that follows is one part.
            self.open.clear();
        }
        if self.left == 0 || self.depth >= DEPTH_MOST {
            return self.leaf(header, declared);
        }
        self.depth += 1;
        let cut = match declared.kind.clone() {
            Kind::Message => self.message(header, declared),
            Kind::Multipart(multipart) => self.multipart(header, declared, &multipart),
            _ => self.leaf(header, declared),
        };
        self.depth -= 1;
        cut
    }

    fn leaf(&mut self, header: Range<usize>, declared: Declared) -> (Part, Stop) {
        let start = self.at;
        let stop = self.seek();
        (self.leaf_of(header, declared, start..stop.end), stop)
    }

    fn leaf_of(&self, header: Range<usize>, mut declared: Declared, body: Range<usize>) -> Part {
        // A multipart without parts, or a message that is not parsed, is shown as text.
        if matches!(declared.kind, Kind::Multipart(_) | Kind::Message) {
            declared.kind = Kind::Plain;
        }
        let end = match declared.encoding {
            Encoding::Base64 => {
                body.start + end_of_base64(self.octets.get(body.clone()).unwrap_or_default())
            }
            Encoding::None | Encoding::QuotedPrintable => body.end,
        };
        let rest = end..body.end;
        Part { header, body: body.start..end, rest, declared, content: Content::Leaf }
    }

    fn message(&mut self, header: Range<usize>, declared: Declared) -> (Part, Stop) {
        let start = self.at;
        let (message, stop) = self.part(Unsaid::Plain);
        let content = Content::Message(Box::new(message));
        let rest = stop.end..stop.end;
        (Part { header, body: start..stop.end, rest, declared, content }, stop)
    }

    /// Parses the parts between delimiters; the whole is one text if there is no boundary or no
    /// delimiter.
    fn multipart(
        &mut self,
        header: Range<usize>,
        declared: Declared,
        multipart: &Multipart,
    ) -> (Part, Stop) {
        let Some(boundary) = &multipart.boundary else { return self.leaf(header, declared) };
        let unsaid = if multipart.is_digest { Unsaid::Message } else { Unsaid::Plain };
        let (start, level) = (self.at, self.open.len());
        self.open.push(boundary.clone());
        let mut stop = self.seek();
        let preamble = start..stop.end;
        let mut parts = Vec::new();
        if stop.is_of(level) {
            parts.extend(self.part_without_delimiter(&preamble, boundary));
        }
        while stop.is_of(level) && !stop.closes(level) {
            self.at = stop.next;
            let (part, next) = self.part(unsaid);
            parts.push(part);
            stop = next;
        }
        self.open.truncate(level);
        let mut epilogue = stop.end..stop.end;
        if stop.closes(level) {
            epilogue.start = stop.next;
            self.at = stop.next;
            stop = self.seek();
            epilogue.end = stop.end.max(epilogue.start);
        }
        let body = start..stop.end;
        if parts.is_empty() {
            return (self.leaf_of(header, declared, body), stop);
        }
        let is_alternative = multipart.is_alternative;
        let content = Content::Parts { parts, is_alternative, preamble, epilogue };
        let rest = stop.end..stop.end;
        (Part { header, body, rest, declared, content }, stop)
    }

    /// Text before the first delimiter is no part, unless it looks like the beginning of one: then
    /// the delimiter of that part is missing or damaged.
    fn part_without_delimiter(&mut self, preamble: &Range<usize>, boundary: &[u8]) -> Option<Part> {
        let octets = self.octets.get(..preamble.end).unwrap_or_default();
        let at = beginning_of_part(octets, preamble.start, boundary)?;
        // There is no delimiter in the preamble, so no boundary is open.
        let (open, depth, left) = (Vec::new(), self.depth, self.left);
        let mut cutter = Cutter { octets, at, open, depth, left };
        let (part, _) = cutter.part(Unsaid::Plain);
        self.left = cutter.left;
        Some(part)
    }

    /// Finds the next delimiter from the current offset, or the end.
    fn seek(&mut self) -> Stop {
        let start = self.at;
        let mut from = start;
        while !self.open.is_empty()
            && let Some(at) = next_dashes(self.octets, from)
        {
            let (content, next) = line(self.octets, at);
            if let Some(delimiter) = self.delimiter(content) {
                self.at = next;
                return Stop {
                    end: before_line_end(self.octets, start, at),
                    next,
                    delimiter: Some(delimiter),
                };
            }
            from = at + 1;
        }
        let end = self.octets.len();
        self.at = end;
        Stop { end, next: end, delimiter: None }
    }

    /// The delimiter in a line; if two boundaries are equal, that of the innermost multipart.
    fn delimiter(&self, content: &[u8]) -> Option<Delimiter> {
        let content = content.strip_prefix(b"--")?.trim_ascii_end();
        let of = |(level, boundary): (usize, &Vec<u8>)| {
            let closes = match content.strip_prefix(boundary.as_slice())? {
                b"" => false,
                b"--" => true,
                _ => return None,
            };
            Some(Delimiter { level, closes })
        };
        self.open.iter().enumerate().rev().find_map(of)
    }
}

/// The offset of a field of a part's header, or of the text after a line that was a delimiter.
fn beginning_of_part(octets: &[u8], mut at: usize, boundary: &[u8]) -> Option<usize> {
    let field = b"content-";
    while at < octets.len() {
        let (content, next) = line(octets, at);
        let begins =
            content.get(..field.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(field));
        if begins && begins_with_known_field(octets, at) {
            return Some(at);
        }
        let is_delimiter = content.starts_with(b"-") || content.ends_with(boundary);
        if is_delimiter && !is_blank(octets.get(next..).unwrap_or_default()) {
            return Some(next);
        }
        at = next;
    }
    None
}

/// The offset of the next line that begins with two dashes.
fn next_dashes(octets: &[u8], from: usize) -> Option<usize> {
    let rest = octets.get(from..)?;
    let is_at_line_start = from == 0 || octets.get(from - 1) == Some(&b'\n');
    if is_at_line_start && rest.starts_with(b"--") {
        return Some(from);
    }
    memmem::find(rest, b"\n--").map(|at| from + at + 1)
}

/// The line end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1).
fn before_line_end(octets: &[u8], start: usize, delimiter: usize) -> usize {
    let before = octets.get(start..delimiter).unwrap_or_default();
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    start + before.strip_suffix(b"\r").unwrap_or(before).len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIXED: &str = "Content-Type: multipart/mixed; boundary=bb\n\n";

    /// The structure in one line: `(` and `)` around the parts of a multipart, `<` and `>` around a
    /// message.
    fn outline(octets: &[u8], part: &Part) -> String {
        let text = |range: &Range<usize>| {
            String::from_utf8_lossy(&octets[range.clone()]).replace("\r\n", "\n").replace('\n', "/")
        };
        let rest = if is_blank(&octets[part.rest.clone()]) {
            String::new()
        } else {
            format!("+{}", text(&part.rest))
        };
        match &part.content {
            Content::Leaf => format!("{}{rest}", text(&part.body)),
            Content::Message(message) => format!("<{}>", outline(octets, message)),
            Content::Parts { parts, epilogue, .. } => {
                let parts: Vec<_> = parts.iter().map(|part| outline(octets, part)).collect();
                format!("({}){}", parts.join(" "), text(epilogue))
            }
        }
    }

    #[track_caller]
    fn is_cut(message: &str, parts: &str) {
        for message in [message.to_owned(), message.replace('\n', "\r\n")] {
            let octets = message.as_bytes();
            assert_eq!(outline(octets, &Part::of_message(octets)), parts, "{message}");
        }
    }

    #[track_caller]
    fn mixed(body: &str, parts: &str) {
        is_cut(&format!("{MIXED}{body}"), parts);
    }

    #[test]
    fn parts_stand_between_delimiters() {
        is_cut("Subject: v\n\nhello\n", "hello/");
        mixed("words\n--bb\n\none\n--bb\nA: b\n\ntwo\n\n--bb--\nbehind\n", "(one two/)behind/");
        mixed("--bb  \n\none\n--bb-- \n", "(one)");
        mixed("--bb\n--bb--\n", "()");
    }

    #[test]
    fn a_delimiter_begins_a_line_and_ends_it() {
        mixed(
            "--bb\n\nsee --bb here\nx--bb--\nrest\n--bbb\n--bb x\n--bb--\n",
            "(see --bb here/x--bb--/rest/--bbb/--bb x)",
        );
    }

    #[test]
    fn a_delimiter_that_is_missing_or_damaged_loses_nothing() {
        mixed("--bb\n\none\n", "(one/)");
        mixed("--bb\n\none\n--bb\n\ntwo\n", "(one two/)");
        mixed("Content-Type: text/plain\n\none\n--bb\n\ntwo\n--bb--\n", "(one two)");
        mixed("-bb\nContent-Type: text/plain\n\none\n--bb\n\ntwo\n--bb--\n", "(one two)");
        mixed("Content-Type: text/plain\n\none\n--bb--\nbehind\n", "(one)behind/");
        mixed("There are parts.\n\nx-bb\n\none\n--bb\n\ntwo\n--bb--\n", "(one two)");
        mixed("There are parts.\n--\n\n--bb\n\ntwo\n--bb--\n", "(two)");
        mixed(
            "--bb\n\none\nContent-Type: text/plain\n\ntwo\n--bb--\n",
            "(one/Content-Type: text/plain//two)",
        );
        mixed(
            "--bb\nContent-Transfer-Encoding: base64\n\nb25lCg==\nContent-Type: text/plain\n\ntwo\n--bb--\n",
            "(b25lCg==/+Content-Type: text/plain//two)",
        );
    }

    #[test]
    fn where_no_delimiter_comes_there_is_one_text() {
        mixed("--cc\n\none\n--cc--\n", "--cc//one/--cc--/");
        mixed("hello\n", "hello/");
        mixed("hello\n--bb--\n", "hello/--bb--/");
        is_cut("Content-Type: multipart/mixed\n\n--bb\n\none\n--bb--\n", "--bb//one/--bb--/");
    }

    #[test]
    fn a_part_needs_neither_header_nor_empty_line() {
        mixed("--bb\none two\nthree\n--bb--\n", "(one two/three)");
        mixed("--bb\nContent-Type: text/plain\none two\n--bb--\n", "(one two)");
        mixed("--bb\nContent-Type: text/plain\n--bb\n\ntwo\n--bb--\n", "( two)");
    }

    #[test]
    fn inner_parts_end_with_the_outer_ones_at_the_latest() {
        let inner = "--bb\nContent-Type: multipart/alternative; boundary=";
        mixed(
            &format!("{inner}aa\n\n--aa\n\none\n--aa\n\ntwo\n--aa--\n\n--bb\n\nthree\n--bb--\n"),
            "((one two) three)",
        );
        mixed(&format!("{inner}aa\n\n--aa\n\none\n--bb\n\ntwo\n--bb--\n"), "((one) two)");
        mixed(&format!("{inner}aa\n\n--cc\n\none\n--bb\n\ntwo\n--bb--\n"), "(--cc//one two)");
        mixed(
            &format!("{inner}bb1\n\n--bb1\n\none\n--bb1--\n--bb\n\ntwo\n--bb--\n"),
            "((one) two)",
        );
        mixed(&format!("{inner}bb\n\n--bb\n\none\n--bb--\n--bb\n\ntwo\n--bb--\n"), "((one) two)");
    }

    #[test]
    fn messages_are_cut_too() {
        mixed("--bb\nContent-Type: message/rfc822\n\nSubject: x\n\ninner\n--bb--\n", "(<inner>)");
        is_cut(
            "Content-Type: multipart/digest; boundary=bb\n\n--bb\n\nSubject: x\n\ninner\n--bb--\n",
            "(<inner>)",
        );
    }

    #[test]
    fn what_is_nested_too_deep_or_has_too_many_parts_is_not_cut_further() {
        let deep = "Content-Type: message/rfc822\n\n".repeat(DEPTH_MOST + 9);
        let message = Part::of_message(deep.as_bytes());
        let outline = outline(deep.as_bytes(), &message);
        assert_eq!(outline.matches('<').count(), DEPTH_MOST);
        assert_eq!(outline.matches("message/rfc822").count(), 8);
        let many = format!("{MIXED}{}", "--bb\n\nx\n".repeat(PARTS_MOST + 9));
        let message = Part::of_message(many.as_bytes());
        let Content::Parts { parts, .. } = &message.content else { panic!() };
        assert_eq!(parts.len(), PARTS_MOST - 1);
        assert!(parts.last().unwrap().body.len() > 9 * 7);
    }

    /// Checks that the ranges of the parts are nested and in order.
    fn check(part: &Part, within: &Range<usize>) {
        let all = part.header.start..part.rest.end;
        assert!(within.start <= all.start && all.end <= within.end);
        assert!(
            part.header.end <= part.body.start
                && part.body.end <= part.rest.start.max(part.body.end)
        );
        match &part.content {
            Content::Leaf => {}
            Content::Message(message) => check(message, &part.body),
            Content::Parts { parts, preamble, epilogue, .. } => {
                assert!(preamble.end <= part.body.end && epilogue.end <= part.body.end);
                for inner in parts {
                    check(inner, &part.body);
                }
                assert!(parts.is_sorted_by_key(|part| part.header.start));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_octets_are_parts_are_in_their_order(
            lines in prop::collection::vec(prop::sample::select(vec![
                "--aa", "--bb", "--aa--", "--bb--", "", " ", "x", "a: b",
                "Content-Type: multipart/mixed; boundary=aa",
                "Content-Type: multipart/digest; boundary=bb",
                "Content-Type: message/rfc822",
                "Content-Transfer-Encoding: base64",
            ]), 0..60),
        ) {
            let message = lines.join("\r\n");
            check(&Part::of_message(message.as_bytes()), &(0..message.len()));
        }
    }
}
