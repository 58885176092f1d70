//! Decides which parts of a message are its text and which are attachments. Each part is one or the
//! other, so that no part is lost.

use std::collections::HashSet;
use std::ops::Range;

use crate::mailroom::decode::header::is_blank;
use crate::mailroom::decode::media::Kind;
use crate::mailroom::decode::parts::{Content, Part};
use crate::mailroom::decode::passage::{Form, Section, has_nothing_to_see};
use crate::mailroom::decode::transfer::{self, Encoding};

/// The octets that decide whether a part without a usable type is text.
const LOOKED_AT: usize = 4 * 1024;

/// The text of a message in its two forms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Views {
    /// With plain text where there is a choice.
    pub(super) text: Vec<Section>,
    /// With HTML where there is a choice.
    pub(super) html: Vec<Section>,
}

/// The preferred form of a text with alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Text,
    Html,
}

impl Views {
    /// The views of a message.
    #[must_use]
    pub(super) fn of(octets: &[u8], message: &Part) -> Self {
        let reading = Reading { octets };
        let views = |choice| {
            let sections = reading.sections(message, choice);
            if reading.has_text(&sections) {
                sections
            } else {
                reading.otherwise(message, sections)
            }
        };
        Self { text: views(Choice::Text), html: views(Choice::Html) }
    }
}

/// The attachments of a message, in their order: parts that are in neither view, and parts with a
/// name or with a type other than plain text and HTML.
#[must_use]
pub(super) fn attached<'a>(octets: &'a [u8], message: &'a Part, views: &Views) -> Vec<&'a Part> {
    let sections = views.text.iter().chain(&views.html);
    let shown = sections.map(|section| section.range.start).collect();
    let mut attached = Attached { reading: Reading { octets }, shown, parts: Vec::new() };
    attached.add_of_message(message);
    attached.parts
}

struct Attached<'a> {
    reading: Reading<'a>,
    /// The offsets of the parts that are in a view.
    shown: HashSet<usize>,
    parts: Vec<&'a Part>,
}

impl<'a> Attached<'a> {
    /// The message itself may be an attachment (an image, for instance); its own text is not
    /// attached to it.
    fn add_of_message(&mut self, message: &'a Part) {
        if is_attachable(message) {
            self.add(message);
        } else {
            self.add_inner(message);
        }
    }

    fn add(&mut self, part: &'a Part) {
        let is_attached = match &part.content {
            Content::Parts { .. } => false,
            Content::Message(_) => true,
            Content::Leaf => is_attachable(part) || self.is_lost(part),
        };
        if is_attached {
            self.parts.push(part);
        }
        self.add_inner(part);
    }

    fn add_inner(&mut self, part: &'a Part) {
        match &part.content {
            Content::Leaf => {}
            Content::Message(message) => self.add_of_message(message),
            Content::Parts { parts, .. } => parts.iter().for_each(|part| self.add(part)),
        }
    }

    /// Whether a text is in no view although it has visible content.
    fn is_lost(&self, part: &Part) -> bool {
        let is_shown = self.shown.contains(&part.body.start);
        let text = section(part, self.reading.form(part).unwrap_or(Form::Plain));
        !is_shown && !has_nothing_to_see(self.reading.octets, &text)
    }
}

fn is_attachable(part: &Part) -> bool {
    let declared = &part.declared;
    let has_own_form = match declared.kind {
        Kind::Plain | Kind::Html => false,
        Kind::Multipart(_) => return false,
        Kind::OtherText | Kind::Unknown | Kind::Other | Kind::Message => true,
    };
    has_own_form || declared.is_attachment || declared.name.is_some()
}

struct Reading<'a> {
    octets: &'a [u8],
}

impl Reading<'_> {
    fn sections(&self, part: &Part, choice: Choice) -> Vec<Section> {
        match &part.content {
            Content::Leaf => {
                let form = if part.declared.is_attachment { None } else { self.form(part) };
                let text = form.map(|form| section(part, form));
                text.into_iter().chain(self.added(&part.rest)).collect()
            }
            Content::Message(message) => {
                let header = plain(message.header.clone(), Form::Header);
                [vec![header], self.sections(message, choice)].concat()
            }
            Content::Parts { parts, is_alternative, epilogue, .. } => {
                let each = parts.iter().map(|part| self.sections(part, choice));
                let mut sections = if *is_alternative {
                    self.chosen(each, choice)
                } else {
                    each.collect::<Vec<_>>().concat()
                };
                sections.extend(self.added(epilogue));
                sections
            }
        }
    }

    /// The form in which a part is read; `None` if it cannot be.
    fn form(&self, part: &Part) -> Option<Form> {
        match part.declared.kind {
            Kind::Plain => Some(Form::Plain),
            Kind::Html => Some(Form::Html),
            Kind::OtherText => Some(Form::OtherText),
            Kind::Unknown => self.looks_like_text(part).then_some(Form::OtherText),
            Kind::Multipart(_) | Kind::Message | Kind::Other => None,
        }
    }

    /// Whether a part looks like text. A part declared as something else must pass a stricter test.
    fn looks_like_text(&self, part: &Part) -> bool {
        let encoded = self.octets.get(part.body.clone()).unwrap_or_default();
        let decoded = transfer::decoded(part.declared.encoding, encoded, LOOKED_AT).octets;
        match part.declared.kind {
            Kind::Other => looks_like_utf8_text(&decoded),
            _ => looks_like_text(&decoded),
        }
    }

    /// The last of the best alternatives (RFC 2046 section 5.1.4).
    fn chosen(&self, each: impl Iterator<Item = Vec<Section>>, choice: Choice) -> Vec<Section> {
        let ranked = each.map(|sections| (self.rank(&sections, choice), sections));
        // `max_by_key` returns the last of several maxima.
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, sections)| sections).unwrap_or_default()
    }

    fn rank(&self, sections: &[Section], choice: Choice) -> u8 {
        let rank = |section: &Section| match (section.form, choice) {
            (Form::Plain, Choice::Text) | (Form::Html, Choice::Html) => 3,
            (Form::Html, Choice::Text) | (Form::Plain, Choice::Html) => 2,
            (Form::OtherText | Form::Raw | Form::Header, _) => 1,
        };
        let seen = sections.iter().filter(|section| !has_nothing_to_see(self.octets, section));
        seen.map(rank).max().unwrap_or(0)
    }

    /// A section for text in a place where there should be none.
    fn added(&self, range: &Range<usize>) -> Option<Section> {
        let octets = self.octets.get(range.clone()).unwrap_or_default();
        (!is_blank(octets)).then(|| plain(range.clone(), Form::Plain))
    }

    fn has_text(&self, sections: &[Section]) -> bool {
        sections.iter().any(|section| !has_nothing_to_see(self.octets, section))
    }

    /// The text of a message without text parts: its readable attachments, or else the text before
    /// the parts.
    fn otherwise(&self, message: &Part, sections: Vec<Section>) -> Vec<Section> {
        let mut leaves = Leaves::default();
        leaves.add(message);
        let readable = |part: &&&Part| self.looks_like_text(part);
        let texts = leaves.parts.iter().filter(readable).map(|part| section(part, Form::OtherText));
        let texts: Vec<Section> = texts.collect();
        if !texts.is_empty() {
            return texts;
        }
        let preambles: Vec<Section> =
            leaves.preambles.iter().filter_map(|range| self.added(range)).collect();
        if preambles.is_empty() { sections } else { preambles }
    }
}

/// The parts of a message that have neither parts nor a message in them, in their order.
#[must_use]
pub(super) fn leaves(message: &Part) -> Vec<&Part> {
    let mut leaves = Leaves::default();
    leaves.add(message);
    leaves.parts
}

#[derive(Default)]
struct Leaves<'a> {
    parts: Vec<&'a Part>,
    preambles: Vec<Range<usize>>,
}

impl<'a> Leaves<'a> {
    fn add(&mut self, part: &'a Part) {
        match &part.content {
            Content::Leaf => self.parts.push(part),
            Content::Message(message) => self.add(message),
            Content::Parts { parts, preamble, .. } => {
                self.preambles.push(preamble.clone());
                for part in parts {
                    self.add(part);
                }
            }
        }
    }
}

fn section(part: &Part, form: Form) -> Section {
    let declared = &part.declared;
    let (range, charset) = (part.body.clone(), declared.charset.clone());
    Section { range, encoding: declared.encoding, charset, form }
}

fn plain(range: Range<usize>, form: Form) -> Section {
    Section { range, encoding: Encoding::None, charset: None, form }
}

/// Whether octets of unknown type look like text: text has hardly any control characters, and other
/// data soon has some.
fn looks_like_text(octets: &[u8]) -> bool {
    !is_blank(octets) && controls(octets) * 20 <= octets.len()
}

fn looks_like_utf8_text(octets: &[u8]) -> bool {
    let is_utf8 = match str::from_utf8(octets) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !is_blank(octets) && controls(octets) == 0
}

fn controls(octets: &[u8]) -> usize {
    octets.iter().filter(|&&octet| octet < b' ' && !b"\t\r\n\x0c\x1b".contains(&octet)).count()
}
