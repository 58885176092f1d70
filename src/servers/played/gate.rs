//! The gate where a fault is played: changes an answer as the plan says, and sends it at the pace that
//! it says.

use std::future;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::fault::breakpoint::Side;
use crate::fault::faults::Hit;
use crate::fault::plan::{Ending, Plan};
use crate::fault::typed::text_of;
use crate::servers::channel::{Channel, End};
use crate::servers::holds::{Decision, Stop};
use crate::servers::limits::REPLIES_OCTETS;
use crate::servers::played::answer::{Ear, Last, Played};
use crate::servers::played::outgoing::{Halved, Outgoing};
use crate::servers::played::part::Part;
use crate::servers::played::rows::{Capture, Rows};
use crate::servers::session::Reply;
use crate::watch::event::Kind;
use crate::watch::fact::Fact;
use crate::wire::display::DisplayText;

/// Octets of a filler that are sent at once.
const FILLER_OCTETS: usize = 16 * 1024;

/// What makes a line longer.
static PADDING: [u8; FILLER_OCTETS] = [b'x'; FILLER_OCTETS];

/// What has become of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// All of it was said that is to be said.
    Whole,
    /// So many octets are to be said, which were not kept: it must be given once more.
    Again(u64),
}

impl Channel {
    /// Tells that a rule has matched.
    pub(super) fn tell_hit(&self, hit: &Hit) {
        self.connection_log.tell(|| Kind::Note(format!("fault {}", hit.told)));
        self.connection_log.tell_fact(|| Fact::Fault {
            id: hit.id,
            rule: Arc::clone(&hit.rule),
            told: hit.told.clone(),
        });
        if let Some(tally) = self.tally() {
            tally.fault();
        }
    }

    /// Whether what is said now is changed by a fault.
    #[must_use]
    pub const fn is_played(&self) -> bool {
        self.played.is_some()
    }

    /// Whether less is sent than the session says, so that nobody gets it whole.
    #[must_use]
    pub fn sends_less(&self) -> bool {
        self.played.as_ref().is_some_and(|played| {
            let shape = &played.plan.shape;
            !matches!(played.ear, Ear::Open)
                || played.is_silenced
                || shape.most.is_some()
                || shape.has_no_dot
                || shape.is_endless
        })
    }

    /// From now on, what is said is the answer to one command, changed by this plan.
    pub(super) fn begin_answer(&mut self, plan: &Arc<Plan>, rows: Rows) {
        let outgoing = Outgoing::new(&plan.shape);
        self.played = Some(Box::new(Played::new(Arc::clone(plan), rows, outgoing)));
    }

    /// The same, of which so many octets are said.
    pub(super) fn begin_answer_of(&mut self, plan: &Arc<Plan>, rows: Rows, octets: u64) {
        let outgoing = Outgoing::limited(&plan.shape, octets);
        self.played = Some(Box::new(Played::new(Arc::clone(plan), rows, outgoing)));
    }

    /// From now on, what is said is only looked at.
    pub(super) fn begin_look(&mut self, plan: &Arc<Plan>, capture: Capture) {
        self.begin_answer(plan, Rows::default());
        if let Some(played) = &mut self.played {
            played.ear = Ear::Looking(capture);
        }
    }

    /// What a look has shown.
    pub(super) fn end_look(&mut self) -> Capture {
        match self.played.take().map(|played| played.ear) {
            Some(Ear::Looking(capture)) => capture,
            _ => Capture::default(),
        }
    }

    /// Says the rule's own words, with their line ends if they have any.
    pub(super) async fn say_words(&mut self, octets: &[u8]) -> Result<(), End> {
        if let Some(played) = &mut self.played {
            played.ear = Ear::Open;
        }
        let from = self.replies.len();
        self.replies.extend_from_slice(octets);
        self.pass_played(from, Part::Reply).await
    }

    /// Says a reply within an answer.
    pub(super) async fn say_reply(&mut self, reply: &Reply) -> Result<(), End> {
        let from = self.replies.len();
        self.replies.extend_from_slice(reply.bytes());
        self.replies.extend_from_slice(b"\r\n");
        self.pass_played(from, Part::Reply).await
    }

    /// Takes the part of the answer that begins at `from` in the output.
    pub(in crate::servers) async fn pass_played(
        &mut self,
        from: usize,
        part: Part,
    ) -> Result<(), End> {
        let said = self.replies.split_off(from);
        let Some(played) = &mut self.played else { return Ok(()) };
        match &mut played.ear {
            Ear::Open => {}
            Ear::Deaf => return Ok(()),
            Ear::Looking(capture) => {
                capture.see(&said, part);
                return Ok(());
            }
        }
        if part == Part::Reply && !said.is_empty() {
            self.judge_reply(&said);
        }
        let Some(played) = &mut self.played else { return Ok(()) };
        match played.take(said, part) {
            Some((octets, part)) => self.put(&octets, part).await,
            None => Ok(()),
        }
    }

    /// Says what was kept of an answer that is given once more behind this.
    pub(super) async fn end_copy(&mut self) -> Result<(), End> {
        if let Some(Last { octets, part, filler }) = self.played.as_mut().and_then(|one| one.last())
        {
            match filler {
                Some(filler) => self.put_without_end(&octets, part, &filler).await?,
                None => self.put_last(&octets, part).await?,
            }
        }
        Ok(())
    }

    /// Ends the answer: says what was kept of it, and what is glued behind it; then the connection
    /// ends, if the plan says so.
    pub(super) async fn end_answer(&mut self) -> Result<Given, End> {
        self.end_copy().await?;
        let halved = self.played.as_mut().and_then(|played| played.outgoing.halved());
        match halved {
            Some(Halved::Long(octets)) => {
                self.played = None;
                return Ok(Given::Again(octets));
            }
            Some(Halved::Known(octets, text)) => {
                let (reply, text) = octets.split_at(octets.len() - text);
                self.write(reply, Some(Part::Reply)).await?;
                if !text.is_empty() {
                    self.write(text, Some(Part::Text)).await?;
                }
            }
            None => {}
        }
        self.append().await?;
        match self.stop_playing().and_then(|plan| plan.end) {
            None => Ok(Given::Whole),
            Some(Ending::Hang) => Err(self.hang().await),
            Some(end) => Err(End::Fault(end)),
        }
    }

    /// Nothing is changed any more; returns the plan that did it.
    pub(in crate::servers) fn stop_playing(&mut self) -> Option<Arc<Plan>> {
        let mut played = self.played.take()?;
        played.outgoing.tell_rest(&self.connection_log);
        Some(played.plan)
    }

    /// What the plan glues behind the answer.
    async fn append(&mut self) -> Result<(), End> {
        let plan = self.played.as_ref().map(|played| Arc::clone(&played.plan));
        match plan.as_ref().and_then(|plan| plan.shape.append.as_deref()) {
            Some(octets) => self.write(octets, Some(Part::Reply)).await,
            None => Ok(()),
        }
    }

    /// The last part of an answer, with the lines and the length that the plan gives it.
    async fn put_last(&mut self, octets: &[u8], part: Part) -> Result<(), End> {
        let Some(plan) = self.played.as_ref().map(|played| Arc::clone(&played.plan)) else {
            return Ok(());
        };
        let (lines, pad) = (plan.shape.lines, plan.shape.pad);
        if lines.is_none() && pad.is_none() {
            return self.put(octets, part).await;
        }
        let (before, last) = last_line(octets);
        match lines {
            Some(lines) => self.put_lines(octets, last, lines.get()).await?,
            None => self.put(before, part).await?,
        }
        match pad {
            Some(octets) => self.put_padded(last, octets, part).await,
            None => self.put(last, part).await,
        }
    }

    /// All but the last of so many lines: those of the reply as far as they go, then the last one
    /// again and again, with a hyphen behind its code.
    async fn put_lines(&mut self, reply: &[u8], last: &[u8], lines: u64) -> Result<(), End> {
        let mut given = reply.split_inclusive(|&octet| octet == b'\n');
        for _ in 1..lines {
            let mut line = given.next().unwrap_or(last).to_vec();
            if let Some(sign) = line.get_mut(3)
                && *sign == b' '
            {
                *sign = b'-';
            }
            self.put(&line, Part::Reply).await?;
            self.go_on().await?;
        }
        Ok(())
    }

    /// A line of so many octets, with its line end.
    async fn put_padded(&mut self, line: &[u8], octets: u64, part: Part) -> Result<(), End> {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let end = line.get(text.len()..).unwrap_or_default();
        let room = octets.saturating_sub(end.len() as u64);
        let shown = text.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(text);
        self.put(shown, part).await?;
        let mut left = room - shown.len() as u64;
        if left > 0 {
            self.put(b" ", part).await?;
            left -= 1;
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = PADDING.get(..most).unwrap_or(&PADDING);
            self.put(piece, part).await?;
            left -= piece.len() as u64;
            self.go_on().await?;
        }
        self.put(end, part).await
    }

    /// A part, and then the filler until the peer goes, the limit of its patience is reached, or the
    /// connection is to end.
    async fn put_without_end(
        &mut self,
        octets: &[u8],
        part: Part,
        filler: &[u8],
    ) -> Result<(), End> {
        self.put(octets, part).await?;
        if let Some(played) = &mut self.played {
            played.outgoing.tell_rest(&self.connection_log);
        }
        if self.played.as_ref().is_some_and(|played| played.is_silenced) {
            return Ok(());
        }
        let filler = filler.repeat((FILLER_OCTETS / filler.len().max(1)).max(1));
        // Not told: it would fill the transcript.
        while let Some(formed) =
            self.played.as_mut().and_then(|played| played.outgoing.formed(&filler, part))
        {
            self.write(&formed, None).await?;
            self.go_on().await?;
        }
        Ok(())
    }

    /// Octets of an answer, as the session or the rule has them.
    async fn put(&mut self, octets: &[u8], part: Part) -> Result<(), End> {
        let Some(played) = &mut self.played else { return Ok(()) };
        match played.outgoing.formed(octets, part) {
            Some(formed) => self.write(&formed, Some(part)).await,
            None => Ok(()),
        }
    }

    /// Octets as they go out; told as this part.
    async fn write(&mut self, octets: &[u8], part: Option<Part>) -> Result<(), End> {
        let Some(played) = &mut self.played else { return Ok(()) };
        if played.is_silenced {
            return Ok(());
        }
        let piece = played.outgoing.cut(octets);
        match (self.to_hold.take_if(|_| !piece.is_empty()), part) {
            // Boxed, so that only held replies have memory for it.
            (Some(stop), Some(part)) => Box::pin(self.write_held(&stop, piece, part)).await?,
            (_, part) => {
                if let Some(part) = part {
                    played.outgoing.tell(piece, part, &self.connection_log);
                }
                self.drip(piece).await?;
            }
        }
        if piece.len() < octets.len() { Err(self.broken_off()) } else { Ok(()) }
    }

    /// The first octets of an answer, once an operator has decided about them.
    async fn write_held(&mut self, stop: &Stop, piece: &[u8], part: Part) -> Result<(), End> {
        let line = piece.split(|&octet| octet == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = DisplayText::new(line).into_string();
        let decision = self.hold(stop, Side::Reply, text, Some(text_of(piece))).await?;
        let Some(played) = &mut self.played else { return Ok(()) };
        let typed = match decision {
            Decision::Release(_) | Decision::Kill => {
                played.outgoing.tell(piece, part, &self.connection_log);
                return self.drip(piece).await;
            }
            Decision::Drop => {
                played.is_silenced = true;
                return Ok(());
            }
            Decision::Answer(octets) => {
                played.is_silenced = true;
                octets
            }
            Decision::Edit(octets) => {
                // The rest of a listing or of a message stands behind one good line, and no other.
                let is_one_line = memchr::memchr_iter(b'\n', &octets).take(2).count() <= 1;
                played.is_silenced |= !(is_one_line && octets.starts_with(b"+"));
                octets
            }
        };
        played.outgoing.tell_by_hand(&typed, &self.connection_log);
        self.drip(&typed).await
    }

    /// The end of an answer of which no more may be said.
    fn broken_off(&mut self) -> End {
        let Some(plan) = self.stop_playing() else { return End::Fault(Ending::Cut) };
        if let Some(octets) = &plan.shape.append {
            self.replies.extend_from_slice(octets);
        }
        End::Fault(plan.end.unwrap_or(Ending::Cut))
    }

    /// Octets in pieces, if the plan lets them drip.
    async fn drip(&mut self, octets: &[u8]) -> Result<(), End> {
        let Some(drip) = self.played.as_ref().and_then(|played| played.plan.shape.drip) else {
            self.replies.extend_from_slice(octets);
            return if self.replies.len() < REPLIES_OCTETS { Ok(()) } else { self.flush().await };
        };
        let (piece_octets, pause) = (drip.0.get(), drip.1);
        let mut rest = octets;
        while !rest.is_empty() {
            let left = self.next_drip(piece_octets, pause).await?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(REPLIES_OCTETS);
            let (piece, behind) = rest.split_at_checked(most).unwrap_or((rest, &[]));
            self.replies.extend_from_slice(piece);
            let left = left - piece.len() as u64;
            if let Some(played) = &mut self.played {
                played.outgoing.piece_left = Some(left);
            }
            if left == 0 || self.replies.len() >= REPLIES_OCTETS {
                self.flush().await?;
            }
            rest = behind;
        }
        Ok(())
    }

    /// What there is still room for in the piece of a drip; begins the next one if there is none.
    async fn next_drip(&mut self, octets: u64, pause: Duration) -> Result<u64, End> {
        match self.played.as_ref().and_then(|played| played.outgoing.piece_left) {
            Some(0) => {
                self.rest_for(pause).await?;
                Ok(octets)
            }
            Some(left) => Ok(left),
            None => {
                // What was said before is no part of the first piece.
                self.flush().await?;
                Ok(octets)
            }
        }
    }

    /// Waits within an answer, where no farewell can follow.
    async fn rest_for(&mut self, time: Duration) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(End::Fault(Ending::Cut)),
            () = self.connection_log.close_requested() => Err(End::Torn("by the operator".into())),
            () = sleep(time) => Ok(()),
        }
    }

    /// Looks whether a long answer may go on.
    async fn go_on(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(End::Fault(Ending::Cut)),
            () = self.connection_log.close_requested() => Err(End::Torn("by the operator".into())),
            () = future::ready(()) => Ok(()),
        }
    }

    /// Drops all that was to be said of the answer.
    pub(super) fn drop_answer(&mut self) {
        drop(mem::take(&mut self.played));
    }
}

/// The lines before the last one, and the last one.
fn last_line(reply: &[u8]) -> (&[u8], &[u8]) {
    let body = reply.strip_suffix(b"\n").unwrap_or(reply);
    let from = memchr::memrchr(b'\n', body).map_or(0, |at| at + 1);
    reply.split_at(from)
}
