//! The octets of an answer as they go out: with which line ends, how many of them, and what the
//! transcript shows. Waits for nothing.

use std::borrow::Cow;

use memchr::memmem;

use crate::fault::plan::{Most, Shape};
use crate::servers::limits::HALF_KEPT;
use crate::servers::played::part::Part;
use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::Side;
use crate::watch::text_log::TextLog;
use crate::wire::dot::Unstuffer;
use crate::wire::line::{LINE_OCTETS, LineBuffer};

/// What goes out of one answer.
#[derive(Debug)]
pub struct Outgoing {
    is_lf: bool,
    /// An operator has typed it.
    is_by_hand: bool,
    /// A CR has come, and what follows it has not.
    ends_in_cr: bool,
    /// How many octets may still go out; `None` for any number.
    left: Option<u64>,
    half: Option<Half>,
    /// What may still go out before the next pause of a drip; `None` before the first piece.
    pub piece_left: Option<u64>,
    /// Splits what has gone out into lines, for the transcript.
    lines: LineBuffer,
    text: Option<SentText>,
}

/// A message text as far as it has gone out.
#[derive(Debug)]
struct SentText {
    log: TextLog,
    unstuffer: Unstuffer,
    has_ended: bool,
}

/// The beginning of an answer whose half is to be said, kept until its length is known.
#[derive(Debug, Default)]
struct Half {
    kept: Vec<u8>,
    /// Where message text begins.
    text_from: Option<usize>,
    octets: u64,
}

/// Half of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Halved {
    /// These octets, of which the last so many are message text.
    Known(Vec<u8>, usize),
    /// So many octets: more than are kept, so that the answer must be given once more.
    Long(u64),
}

impl Outgoing {
    /// All of what `shape` leaves of an answer.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let left = match shape.most {
            Some(Most::Octets(octets)) => Some(octets),
            Some(Most::Half) | None => None,
        };
        let half = (shape.most == Some(Most::Half)).then(Half::default);
        Self {
            is_lf: shape.is_lf,
            is_by_hand: shape.is_by_hand,
            ends_in_cr: false,
            left,
            half,
            piece_left: None,
            lines: LineBuffer::new(LINE_OCTETS),
            text: None,
        }
    }

    /// The same, of which so many octets go out.
    #[must_use]
    pub fn limited(shape: &Shape, octets: u64) -> Self {
        Self { left: Some(octets), half: None, ..Self::new(shape) }
    }

    /// The octets in the form in which they go out; `None` if they are kept.
    pub fn formed<'a>(&mut self, octets: &'a [u8], part: Part) -> Option<Cow<'a, [u8]>> {
        let formed = if self.is_lf { self.with_lf(octets).into() } else { Cow::Borrowed(octets) };
        let Some(half) = &mut self.half else { return Some(formed) };
        half.keep(&formed, part);
        None
    }

    /// Without the CR of each CRLF.
    fn with_lf(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut formed = Vec::with_capacity(octets.len() + 1);
        if self.ends_in_cr && octets.first() != Some(&b'\n') {
            formed.push(b'\r');
        }
        let mut from = 0;
        for at in memmem::find_iter(octets, b"\r\n") {
            formed.extend_from_slice(octets.get(from..at).unwrap_or_default());
            from = at + 1;
        }
        formed.extend_from_slice(octets.get(from..).unwrap_or_default());
        self.ends_in_cr = formed.ends_with(b"\r");
        if self.ends_in_cr {
            formed.pop();
        }
        formed
    }

    /// As many of the octets as may go out.
    pub fn cut<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let Some(left) = &mut self.left else { return octets };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        let piece = octets.get(..most).unwrap_or(octets);
        *left -= piece.len() as u64;
        piece
    }

    /// Tells the transcript what goes out.
    pub fn tell(&mut self, octets: &[u8], part: Part, log: &ConnectionLog) {
        if !log.is_observed() {
            return;
        }
        // The transcript knows lines by their CRLF.
        let octets = if self.is_lf { with_crlf(octets).into() } else { Cow::Borrowed(octets) };
        if part == Part::Text {
            self.text.get_or_insert_with(|| SentText::new(log)).push(&octets, log);
            return;
        }
        self.tell_text(log);
        self.lines.extend(&octets);
        while let Some((line, reads)) = self.lines.next_line_and_reads() {
            if self.is_by_hand {
                log.edited(Side::Server, line.beginning());
            } else {
                log.heard(Side::Server, &line, reads);
            }
        }
    }

    /// Tells the transcript that these octets go out, which an operator has typed.
    pub fn tell_by_hand(&mut self, octets: &[u8], log: &ConnectionLog) {
        let before = std::mem::replace(&mut self.is_by_hand, true);
        self.tell(octets, Part::Reply, log);
        self.tell_line_begun(log);
        self.is_by_hand = before;
    }

    /// Tells what has gone out of a line that has no end, and that a text is over.
    pub fn tell_rest(&mut self, log: &ConnectionLog) {
        self.tell_text(log);
        self.tell_line_begun(log);
    }

    fn tell_line_begun(&mut self, log: &ConnectionLog) {
        match self.lines.unread() {
            [] => return,
            line if self.is_by_hand => log.edited(Side::Server, line),
            line => log.line(Side::Server, line),
        }
        self.lines = LineBuffer::new(LINE_OCTETS);
    }

    fn tell_text(&mut self, log: &ConnectionLog) {
        match self.text.take() {
            Some(SentText { log: text, has_ended: true, .. }) => text.end(log),
            Some(SentText { log: text, .. }) => text.end_of_chunk(log),
            None => {}
        }
    }

    /// Half of what was kept, now that the whole is known; `None` if all of it has gone out.
    pub fn halved(&mut self) -> Option<Halved> {
        let Half { mut kept, text_from, octets } = self.half.take()?;
        let half = octets / 2;
        Some(match usize::try_from(half) {
            Ok(most) if most <= kept.len() => {
                kept.truncate(most);
                let text = text_from.map_or(0, |from| most.saturating_sub(from));
                Halved::Known(kept, text)
            }
            _ => Halved::Long(half),
        })
    }
}

impl SentText {
    fn new(log: &ConnectionLog) -> Self {
        let log = TextLog::on_wire(Side::Server, log);
        Self { log, unstuffer: Unstuffer::default(), has_ended: false }
    }

    fn push(&mut self, octets: &[u8], log: &ConnectionLog) {
        self.log.show_piece(octets, log);
        let ended = self.unstuffer.push(octets, |text| self.log.count(text));
        self.has_ended |= ended.is_some();
    }
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut told = Vec::with_capacity(octets.len() + 1);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => told.extend_from_slice(&[line, b"\r\n"].concat()),
            None => told.extend_from_slice(line),
        }
    }
    told
}

impl Half {
    fn keep(&mut self, octets: &[u8], part: Part) {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if part == Part::Text && self.text_from.is_none() {
            self.text_from = Some(self.kept.len());
        }
        let room = HALF_KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(octets.get(..room).unwrap_or(octets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_lf_however_the_octets_come() {
        let said = b"250-a\r\n\r\r\n\rb\r\n";
        let shape = Shape { is_lf: true, ..Shape::default() };
        for piece in 1..said.len() {
            let mut outgoing = Outgoing::new(&shape);
            let formed = said
                .chunks(piece)
                .map(|piece| outgoing.formed(piece, Part::Reply).unwrap().into_owned());
            assert_eq!(formed.collect::<Vec<_>>().concat(), b"250-a\n\r\n\rb\n", "{piece}");
        }
    }

    #[test]
    fn half_is_half_of_all_octets_rounded_down() {
        let shape = Shape { most: Some(Most::Half), ..Shape::default() };
        let mut outgoing = Outgoing::new(&shape);
        assert_eq!(outgoing.formed(b"+OK\r\n", Part::Reply), None);
        assert_eq!(outgoing.formed(b"ab\r\n.\r\n", Part::Text), None);
        assert_eq!(outgoing.halved(), Some(Halved::Known(b"+OK\r\na".to_vec(), 1)));
        assert_eq!(outgoing.halved(), None);
    }
}
