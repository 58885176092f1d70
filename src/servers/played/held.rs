//! The loop's way with breakpoints: holds commands, texts and their ends before anything sees them,
//! and has replies held in the gate.

use std::sync::Arc;

use crate::fault::breakpoint::Side;
use crate::fault::plan::{Plan, Says, Shape, Work};
use crate::fault::point::{Place, Point};
use crate::fault::typed::text_of;
use crate::servers::channel::End;
use crate::servers::holds::Decision;
use crate::servers::serve::{Conversation, Service};
use crate::servers::session::Session;
use crate::watch::event::{self, Passwords};
use crate::wire::line::{LINE_OCTETS, LineBuffer};

/// What becomes of something that may have been held.
pub(super) enum Fate {
    /// It goes on.
    GoesOn,
    /// Nothing sees it, and this is done instead.
    Instead(Arc<Plan>),
    /// Nothing sees it, and these octets are in its place.
    Retyped(Vec<u8>),
}

impl<S, V> Conversation<S, V>
where
    S: Session,
    V: Service<Effect = S::Effect, Outcome = S::Outcome>,
{
    /// Holds what the client has said, if a breakpoint is here. `line` is what it has said.
    pub(super) async fn held(&mut self, at: Point, line: &[u8]) -> Result<Fate, End> {
        let told = self.remember();
        // What an operator has typed is not held again.
        if told.is_retyped && !matches!(at.place, Place::Text | Place::Dot) {
            return Ok(Fate::GoesOn);
        }
        let who = told.who;
        let stop = self
            .told
            .as_ref()
            .and_then(|told| self.channel.stop(at, Side::Command, &told.progress, who));
        let Some(stop) = stop else { return Ok(Fate::GoesOn) };
        let shown = |passwords| event::unended(line, false, passwords).into_string();
        let text = shown(Passwords::Masked);
        let editable = (text == shown(Passwords::Shown)).then(|| text_of(line));
        let decision = Box::pin(self.channel.hold(&stop, Side::Command, text, editable)).await?;
        // It is we who have kept it waiting.
        self.idle.renew();
        Ok(match decision {
            Decision::Release(_) | Decision::Kill => Fate::GoesOn,
            Decision::Edit(octets) => Fate::Retyped(octets),
            Decision::Drop => Fate::Instead(Arc::new(by_hand(Says::Nothing))),
            Decision::Answer(octets) => Fate::Instead(Arc::new(by_hand(Says::Raw(octets)))),
        })
    }

    /// Has the reply to what is at hand held, if a breakpoint says so.
    pub(super) fn hold_reply(&mut self, at: Point) {
        let Some(told) = &self.told else { return };
        if let Some(stop) = self.channel.stop(at, Side::Reply, &told.progress, told.who) {
            self.channel.to_hold = Some(Box::new(stop));
        }
    }

    /// The plan by which a reply passes through the gate: that of a rule, or one that changes nothing
    /// if the reply is to be held.
    pub(super) fn gated(&self, plan: Option<Arc<Plan>>) -> Option<Arc<Plan>> {
        plan.or_else(|| self.channel.to_hold.is_some().then(Arc::default))
    }

    /// These octets come next, as if the client had said them.
    pub(super) fn retype(&mut self, octets: &[u8]) {
        let mut input = LineBuffer::new(LINE_OCTETS);
        input.extend(octets);
        input.extend_from(&self.input, self.input.unread().len());
        self.input = input;
        let told = self.remember();
        told.edited_octets = octets.len();
    }
}

/// What an operator has done instead of the work.
fn by_hand(says: Says) -> Plan {
    let shape = Shape { is_by_hand: true, ..Shape::default() };
    Plan { work: Work::NotDone, says, shape, ..Plan::default() }
}
