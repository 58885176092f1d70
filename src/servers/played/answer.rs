//! What is done to the answer to one command on its way to the gate: all that can be done without
//! knowing how it is sent. Waits for nothing.

use std::mem;
use std::sync::Arc;

use crate::fault::plan::{Plan, Says};
use crate::servers::played::outgoing::Outgoing;
use crate::servers::played::part::Part;
use crate::servers::played::rows::{Capture, Rows};
use crate::wire::dot::Unstuffer;

/// The line that ends a listing or a text.
const DOT: &[u8] = b".\r\n";

/// What fills a text without an end.
const FILLER: &[u8] = b"This is a line of a text that has no end.\r\n";

/// What becomes of what the session says.
#[derive(Debug)]
pub enum Ear {
    /// It is said, changed by the plan.
    Open,
    /// It is dropped, because the rule has words of its own.
    Deaf,
    /// It is only looked at.
    Looking(Capture),
}

/// What is done to one answer.
#[derive(Debug)]
pub struct Played {
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// What becomes of what the session says.
    pub ear: Ear,
    /// What goes out.
    pub outgoing: Outgoing,
    /// Nothing more of it goes out: an operator has dropped or replaced it.
    pub is_silenced: bool,
    rows: Rows,
    unstuffer: Option<Unstuffer>,
    /// The last part, kept until it is known whether another one follows.
    held: Option<(Vec<u8>, Part)>,
    has_parts: bool,
    last_row: Vec<u8>,
}

/// The last part of an answer.
#[derive(Debug)]
pub struct Last {
    /// Its octets.
    pub octets: Vec<u8>,
    /// What it is.
    pub part: Part,
    /// What is said again and again behind it.
    pub filler: Option<Vec<u8>>,
}

impl Played {
    /// An answer that is changed by this plan; `rows` are those of a listing.
    #[must_use]
    pub fn new(plan: Arc<Plan>, rows: Rows, outgoing: Outgoing) -> Self {
        let ear = if plan.says == Says::ItsReply { Ear::Open } else { Ear::Deaf };
        let unstuffer = plan.shape.is_unstuffed.then(Unstuffer::default);
        Self {
            plan,
            ear,
            outgoing,
            is_silenced: false,
            rows,
            unstuffer,
            held: None,
            has_parts: false,
            last_row: Vec::new(),
        }
    }

    /// Takes what is said; returns what is to be sent of it now, which may be what was said before.
    pub fn take(&mut self, said: Vec<u8>, part: Part) -> Option<(Vec<u8>, Part)> {
        let said = self.rows.edited(said, part, self.plan.shape.omit);
        let said = self.unstuffed(said, part);
        if self.plan.shape.is_endless && part == Part::Lines {
            self.last_row.clone_from(&said);
        }
        let before = self.held.replace((said, part));
        self.has_parts |= before.is_some();
        before.filter(|(octets, _)| !octets.is_empty())
    }

    /// Only text has stuffed dots; the dot behind it stays.
    fn unstuffed(&mut self, said: Vec<u8>, part: Part) -> Vec<u8> {
        let (Some(unstuffer), Part::Text) = (&mut self.unstuffer, part) else { return said };
        let mut text = Vec::with_capacity(said.len());
        if unstuffer.push(&said, |piece| text.extend_from_slice(piece)).is_some() {
            text.extend_from_slice(DOT);
        }
        text
    }

    /// The last part, as far as it is said: with or without the dot.
    pub fn last(&mut self) -> Option<Last> {
        let (mut octets, part) = self.held.take()?;
        let shape = &self.plan.shape;
        let has_dot =
            if self.has_parts { octets.ends_with(DOT) } else { octets.ends_with(b"\r\n.\r\n") };
        if has_dot && (shape.has_no_dot || shape.is_endless) {
            octets.truncate(octets.len() - DOT.len());
        }
        let filler = (has_dot && shape.is_endless).then(|| self.filler());
        Some(Last { octets, part, filler })
    }

    fn filler(&mut self) -> Vec<u8> {
        let row = mem::take(&mut self.last_row);
        if row.is_empty() { FILLER.to_vec() } else { row }
    }
}
