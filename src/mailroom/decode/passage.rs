//! Decodes the beginning of a text into lines. A longer beginning starts with the same lines, so
//! that nothing moves on the screen when more is decoded.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr_iter;

use crate::mailroom::decode::charset::in_utf8;
use crate::mailroom::decode::header::Fields;
use crate::mailroom::decode::html::{self, Extent, Links};
use crate::mailroom::decode::transfer::{self, Encoding};
use crate::mailroom::decode::words;
use crate::mailroom::shape::{SHOWN_MOST, USUAL_FIELDS};
use crate::wire::display::DisplayText;

/// The most lines of a text that are shown: a text of empty lines must not fill the memory.
const LINES_MOST: usize = 200_000;

/// The octets that decide whether a text has anything visible. The first few are usually enough, so
/// they are tried first.
const TOLD_BY: [usize; 2] = [512, 64 * 1024];

/// Columns between tab stops.
const TAB: usize = 8;

/// A section of a message that is shown as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Its range in the octets of the message.
    pub(super) range: Range<usize>,
    /// The transfer encoding.
    pub(super) encoding: Encoding,
    /// The declared charset, if any.
    pub(super) charset: Option<String>,
    /// The form of the text.
    pub(super) form: Form,
}

/// The form of a section's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Plain text.
    Plain,
    /// Any other type of text, whose layout may matter.
    OtherText,
    /// HTML.
    Html,
    /// The header of a message within the message.
    Header,
    /// The message as it is, not decoded.
    Raw,
}

/// The beginning of a text, or all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passage {
    /// The lines.
    pub lines: Vec<DisplayText>,
    /// The encoded octets that were used.
    pub used: u64,
    /// The encoded octets that are left.
    pub left_out: u64,
}

/// The beginning of these sections: about `most` decoded octets.
#[must_use]
pub(super) fn passage(octets: &[u8], sections: &[Section], most: usize) -> Passage {
    let mut passage = Passage::default();
    let mut links = Links::default();
    let mut room = most;
    for section in sections {
        let encoded = octets.get(section.range.clone()).unwrap_or_default();
        if room == 0 || passage.lines.len() >= LINES_MOST {
            passage.left_out += encoded.len() as u64;
            continue;
        }
        // An empty line separates sections.
        if passage.lines.last().is_some_and(|line| !line.as_str().is_empty()) {
            passage.lines.push(DisplayText::default());
        }
        let decoded = transfer::decoded(section.encoding, encoded, room);
        room = room.saturating_sub(decoded.octets.len());
        passage.used += decoded.used as u64;
        let left_out = encoded.len() - decoded.used;
        passage.left_out += left_out as u64;
        let extent = if left_out == 0 { Extent::Whole } else { Extent::Beginning };
        add_lines(&mut passage, section, &decoded.octets, extent, &mut links);
    }
    // Links follow the text, but only once it does not grow any more: otherwise they would move.
    if passage.left_out == 0 || most >= SHOWN_MOST {
        add_links(&mut passage, &links);
    }
    passage
}

/// Whether a section has no visible text.
#[must_use]
pub(super) fn has_nothing_to_see(octets: &[u8], section: &Section) -> bool {
    TOLD_BY.into_iter().all(|most| {
        let beginning = passage(octets, std::slice::from_ref(section), most);
        beginning.lines.iter().all(|line| line.as_str().trim().is_empty())
    })
}

/// The HTML of a section: about the first `most` octets.
#[must_use]
pub(super) fn html_of(octets: &[u8], section: &Section, most: usize) -> String {
    let encoded = octets.get(section.range.clone()).unwrap_or_default();
    let decoded = transfer::decoded(section.encoding, encoded, most);
    String::from_utf8_lossy(&html_in_utf8(section, &decoded.octets)).into_owned()
}

/// All of these sections as text, not escaped, with LF line ends.
#[must_use]
pub(super) fn whole_text(octets: &[u8], sections: &[Section]) -> String {
    let (mut whole, mut links) = (String::new(), Links::default());
    for section in sections {
        let encoded = octets.get(section.range.clone()).unwrap_or_default();
        let decoded = transfer::decoded(section.encoding, encoded, usize::MAX).octets;
        let text = text_of(section, &decoded, Extent::Whole, &mut links);
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
        // An empty line separates sections.
        if !whole.is_empty() {
            whole.push_str(if whole.ends_with('\n') { "\n" } else { "\n\n" });
        }
        whole.push_str(&text);
        if section.form == Form::Html && !text.is_empty() {
            whole.push('\n');
        }
    }
    let links: String = links.lines().map(|line| line + "\n").collect();
    if links.is_empty() { whole } else { format!("{whole}\n{links}") }
}

fn html_in_utf8<'a>(section: &Section, html: &'a [u8]) -> Cow<'a, [u8]> {
    let own = section.charset.is_none().then(|| html::own_charset(html)).flatten();
    in_utf8(section.charset.as_deref().or(own.as_deref()), html)
}

fn add_lines(
    passage: &mut Passage,
    section: &Section,
    octets: &[u8],
    extent: Extent,
    links: &mut Links,
) {
    let text = text_of(section, octets, extent, links);
    let before = passage.lines.len();
    let cut = add_text(&mut passage.lines, &text, extent);
    passage.left_out += cut as u64;
    // The last line, or piece of a line, of a cut text may be incomplete.
    if extent == Extent::Beginning && passage.lines.len() > before + 1 {
        passage.lines.pop();
    }
}

/// The text of a section whose decoded octets are given; adds the links of HTML to `links`.
fn text_of<'a>(
    section: &Section,
    octets: &'a [u8],
    extent: Extent,
    links: &mut Links,
) -> Cow<'a, [u8]> {
    match section.form {
        Form::Plain | Form::OtherText => in_utf8(section.charset.as_deref(), octets),
        Form::Html => {
            let html = html_in_utf8(section, octets);
            let text = html::text(&String::from_utf8_lossy(&html), extent, links);
            Cow::Owned(text.into_bytes())
        }
        Form::Header => Cow::Owned(header_lines(octets)),
        Form::Raw => Cow::Borrowed(octets),
    }
}

/// Adds the lines of a text; returns the number of octets over the limit.
fn add_text(shown: &mut Vec<DisplayText>, text: &[u8], extent: Extent) -> usize {
    let text = match extent {
        Extent::Whole => text.strip_suffix(b"\n").unwrap_or(text),
        Extent::Beginning => text,
    };
    if text.is_empty() {
        return 0;
    }
    let mut left = text.len();
    for line in text.split(|&octet| octet == b'\n') {
        if shown.len() >= LINES_MOST {
            return left;
        }
        left = left.saturating_sub(line.len() + 1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        shown.extend(DisplayText::pieces(&expanded(line)));
    }
    0
}

fn add_links(passage: &mut Passage, links: &Links) {
    let mut listed = links.lines().peekable();
    if listed.peek().is_some() {
        passage.lines.push(DisplayText::default());
    }
    passage.lines.extend(listed.flat_map(|line| DisplayText::pieces(line.as_bytes())));
}

/// The usual header fields of a message within the message, as text.
fn header_lines(header: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for name in USUAL_FIELDS {
        for field in Fields::of(header).filter(|field| field.is(name)) {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend(words::decoded(field.value).into_iter().filter(|&octet| octet != b'\n'));
            lines.push(b'\n');
        }
    }
    lines
}

/// Replaces tabs by blanks.
fn expanded(line: &[u8]) -> Cow<'_, [u8]> {
    let mut expanded = Vec::new();
    let (mut from, mut column) = (0, 0);
    for tab in memchr_iter(b'\t', line) {
        let before = line.get(from..tab).unwrap_or_default();
        column += before.iter().filter(|&&byte| !is_continuation(byte)).count();
        let blanks = TAB - column % TAB;
        column += blanks;
        expanded.extend_from_slice(before);
        expanded.resize(expanded.len() + blanks, b' ');
        from = tab + 1;
    }
    if from == 0 {
        return Cow::Borrowed(line);
    }
    expanded.extend_from_slice(line.get(from..).unwrap_or_default());
    Cow::Owned(expanded)
}

/// Whether a byte continues a UTF-8 character.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
