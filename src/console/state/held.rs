//! The actions of the strip of what is held at breakpoints.

use crate::console::action::{Command, HeldAction, HoldOrder, Pane, Step};
use crate::console::state::State;
use crate::console::state::prompt::{Prompt, Purpose};
use crate::console::state::row::Row;
use crate::fault::point::{Place, Point};
use crate::servers::holds::{Cause, Decision, Held, WhichHeld};
use crate::watch::event::{self, Event, Kind};

impl State {
    /// Takes over what is held, and the breakpoints. The selected one stays selected.
    pub fn held_is(&mut self, held: Vec<Held>, breakpoints: (bool, usize)) {
        let strip = &mut self.strip;
        let selected = strip.selected().map(|held| held.id);
        let place = held.iter().position(|held| Some(held.id) == selected);
        strip.at = place.unwrap_or_else(|| strip.at.min(held.len().saturating_sub(1)));
        strip.held = held;
        strip.has_focus &= !strip.held.is_empty();
        (strip.are_on, strip.breakpoints) = breakpoints;
    }

    /// Carries out an action that concerns what is held, or breakpoints.
    pub(super) fn perform_in_strip(&mut self, action: HeldAction) -> Option<Command> {
        match action {
            HeldAction::Focus => self.focus_on_strip(),
            HeldAction::Select(row) => self.select_held(row),
            HeldAction::LetGo => return self.decide(Decision::Release(Cause::Operator)),
            HeldAction::LetAllGo => return self.let_all_go(),
            HeldAction::Edit => self.edit_held(),
            HeldAction::Kill => return self.decide(Decision::Kill),
            HeldAction::Drop => return self.decide(Decision::Drop),
            HeldAction::Answer => self.answer_held(),
            HeldAction::SwitchBreakpoints => return self.switch_breakpoints(),
            HeldAction::BreakHere => self.break_here(),
        }
        None
    }

    fn focus_on_strip(&mut self) {
        if self.strip.held.is_empty() {
            self.say("Nothing is held: i on a line of the transcript adds a breakpoint.");
            return;
        }
        self.focus_on(Pane::Transcript);
        self.strip.has_focus = true;
    }

    fn select_held(&mut self, row: usize) {
        self.focus_on_strip();
        self.strip.at = row.min(self.strip.held.len().saturating_sub(1));
    }

    pub(super) fn step_in_strip(&mut self, step: Step) {
        const PAGE: usize = 4;
        let last = self.strip.held.len().saturating_sub(1);
        let at = self.strip.at;
        self.strip.at = match step {
            Step::Up => at.saturating_sub(1),
            Step::Down => at + 1,
            Step::PageUp | Step::HalfPageUp => at.saturating_sub(PAGE),
            Step::PageDown | Step::HalfPageDown => at + PAGE,
            Step::First => 0,
            Step::Last => last,
        }
        .min(last);
    }

    /// The one that the keys are for; if there is none, the user is told so.
    fn held_at_hand(&mut self) -> Option<Held> {
        let held = self.strip.selected().cloned();
        if held.is_none() {
            self.say("Nothing is held.");
        }
        held
    }

    fn decide(&mut self, decision: Decision) -> Option<Command> {
        let Held { id, .. } = self.held_at_hand()?;
        Some(Command::Hold(HoldOrder::Decide(WhichHeld::One(id), decision)))
    }

    fn let_all_go(&mut self) -> Option<Command> {
        self.held_at_hand()?;
        let release = Decision::Release(Cause::Operator);
        Some(Command::Hold(HoldOrder::Decide(WhichHeld::All, release)))
    }

    fn edit_held(&mut self) {
        let Some(held) = self.held_at_hand() else { return };
        if held.is_line() {
            self.prompt = Some(Prompt::new(Purpose::EditHeld(held.id), &held.text));
        } else {
            self.say("Here is no line to edit: R answers instead.");
        }
    }

    fn answer_held(&mut self) {
        if let Some(Held { id, .. }) = self.held_at_hand() {
            self.prompt = Some(Prompt::new(Purpose::AnswerHeld(id), ""));
        }
    }

    fn switch_breakpoints(&mut self) -> Option<Command> {
        if self.strip.breakpoints == 0 {
            self.say("There are no breakpoints: i on a line of the transcript adds one.");
            return None;
        }
        Some(Command::Hold(HoldOrder::Switch(!self.strip.are_on)))
    }

    /// Proposes the point of the selected row, or else of the newest one.
    fn break_here(&mut self) {
        let row = self.transcript.cursor_or_newest();
        let proposed = row.and_then(|row| self.breakpoint_of(row)).unwrap_or_default();
        self.prompt = Some(Prompt::new(Purpose::Command, &format!("break {proposed}")));
    }

    /// The breakpoint that would hold what a row shows.
    fn breakpoint_of(&self, row: &Row) -> Option<String> {
        let Row::Event(Event { connection, kind, at }) = row else { return None };
        let point = |place| Point { service: connection.service, place };
        match kind {
            Kind::Opened { .. } => Some(point(Place::Connect).to_string()),
            Kind::TextLine(..) | Kind::Text { .. } => Some(point(Place::Text).to_string()),
            Kind::Line(event::Side::Client, line) => {
                Some(point_of(connection.service, line.bytes()).to_string())
            }
            Kind::Line(event::Side::Server, _) => {
                // The last that the client has said before it.
                let said = self.transcript.ring().of(connection.id);
                let asked = said.filter(|row| row.at() <= Some(*at)).filter_map(asks).next_back();
                Some(format!("{}!", asked.unwrap_or_else(|| point(Place::Connect))))
            }
            Kind::Note(_) | Kind::Closed => None,
        }
    }
}

/// The point that a row is at, if a reply follows it.
fn asks(row: &Row) -> Option<Point> {
    let Row::Event(Event { connection, kind, .. }) = row else { return None };
    match kind {
        Kind::Line(event::Side::Client, line) => Some(point_of(connection.service, line.bytes())),
        Kind::TextLine(event::Side::Client, _) | Kind::Text { .. } => {
            Some(Point { service: connection.service, place: Place::Dot })
        }
        _ => None,
    }
}

fn point_of(service: event::Service, line: &[u8]) -> Point {
    let verb = line.split(|&octet| octet == b' ').next().unwrap_or_default();
    Point::of_verb(service, str::from_utf8(verb).ok())
}
