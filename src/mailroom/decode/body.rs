//! The text of a message, decoded on demand.

use std::fmt;
use std::sync::Arc;

use crate::mailroom::decode::passage::{Form, Passage, Section, passage};
use crate::mailroom::decode::transfer::Encoding;
use crate::mailroom::decode::views::Views;
use crate::mailroom::shape::Shape;

/// The text of a message. Only the part that is looked at is decoded; the result is
/// [`DisplayText`](crate::wire::display::DisplayText).
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    octets: Arc<Vec<u8>>,
    views: Arc<Views>,
    unread: u64,
}

impl Body {
    /// The text in `octets`, whose sections are in `views`; `unread` more octets of the message
    /// were not read.
    #[must_use]
    pub(super) fn new(octets: Vec<u8>, views: Views, unread: u64) -> Self {
        Self { octets: Arc::new(octets), views: Arc::new(views), unread }
    }

    /// The forms it can be shown in, the best first.
    #[must_use]
    pub fn shapes(&self) -> &'static [Shape] {
        let is_html = |section: &Section| section.form == Form::Html;
        match () {
            () if self.views.text != self.views.html => &[Shape::Text, Shape::Html, Shape::Raw],
            () if self.has_text() && self.views.text.iter().all(is_html) => {
                &[Shape::Html, Shape::Raw]
            }
            () => &[Shape::Text, Shape::Raw],
        }
    }

    /// The beginning of the text: about `most` decoded octets.
    #[must_use]
    pub fn passage(&self, shape: Shape, most: usize) -> Passage {
        match shape {
            Shape::Text => passage(&self.octets, &self.views.text, most),
            Shape::Html => passage(&self.octets, &self.views.html, most),
            Shape::Raw => {
                let range = 0..self.octets.len();
                let (encoding, form) = (Encoding::None, Form::Raw);
                let raw = Section { range, encoding, charset: None, form };
                passage(&self.octets, &[raw], most)
            }
        }
    }

    /// The number of octets of the message that were not read.
    #[must_use]
    pub const fn unread(&self) -> u64 {
        self.unread
    }

    /// Whether the message has any text.
    #[must_use]
    pub fn has_text(&self) -> bool {
        !self.views.text.is_empty()
    }

    /// Whether the message has any HTML.
    #[must_use]
    pub fn has_html(&self) -> bool {
        self.views.html.iter().any(|section| section.form == Form::Html)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.octets.len();
        f.debug_struct("Body")
            .field("octets", &octets)
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}
