//! The actions of the strip of what is held at breakpoints.

use crate::console::action::{Command, HeldAction, HoldOrder, Pane, Step};
use crate::console::state::State;
use crate::console::state::prompt::{MOST_TYPED, Prompt, Purpose};
use crate::console::state::row::Row;
use crate::console::state::strip::Strip;
use crate::fault::breakpoint::Breakpoint;
use crate::fault::point::{Place, Point};
use crate::servers::holds::{Cause, Decision, Held, WhichHeld};
use crate::watch::event::{self, Event, Kind};

/// Stands for every breakpoint.
const ALL: &str = "all";

const NO_BREAKPOINTS: &str =
    "There are no breakpoints: i on a line of the transcript adds one, and so does :break POINT.";

impl State {
    /// Takes over what is held, and the breakpoints. The selected one stays selected.
    pub fn held_is(&mut self, held: Vec<Held>, breakpoints: (bool, Vec<String>)) {
        let strip = &mut self.strip;
        let selected = strip.selected().map(|held| held.id);
        let place = held.iter().position(|held| Some(held.id) == selected);
        strip.at = place.unwrap_or_else(|| strip.at.min(held.len().saturating_sub(1)));
        strip.held = held;
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
            // What does not fit is not cut: the line is typed anew.
            let line = held.editable.filter(|line| line.chars().count() <= MOST_TYPED);
            let line = line.unwrap_or_default();
            self.prompt = Some(Prompt::new(Purpose::EditHeld(held.id), &line));
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
        if self.strip.breakpoints.is_empty() {
            self.say(NO_BREAKPOINTS);
            return None;
        }
        Some(Command::Hold(HoldOrder::Switch(!self.strip.are_on)))
    }

    /// Adds a breakpoint; without a text it says which there are. The error has several lines: the
    /// sentence, the breakpoint, and the place in it.
    pub(super) fn add_breakpoint(&mut self, text: &str) -> Result<Option<Command>, String> {
        if text.trim().is_empty() {
            self.tell_breakpoints();
            return Ok(None);
        }
        Breakpoint::parse(text).map_err(|error| error.to_string())?;
        Ok(Some(Command::Hold(HoldOrder::Add(text.to_owned()))))
    }

    /// Takes away a breakpoint, given as it was written, or all.
    pub(super) fn remove_breakpoint(&mut self, text: &str) -> Result<Option<Command>, String> {
        let text = text.trim();
        if text != ALL && !self.strip.breakpoints.iter().any(|one| one == text) {
            return Err(format!("There is no breakpoint {text}: :break lists them."));
        }
        let which = (text != ALL).then(|| text.to_owned());
        Ok(Some(Command::Hold(HoldOrder::Remove(which))))
    }

    /// Completions of a breakpoint that there is.
    pub(super) fn breakpoints_there(&self, _so_far: &str) -> Vec<(String, String)> {
        let all = self.strip.breakpoints.iter().map(String::as_str).chain([ALL]);
        all.map(|one| (one.to_owned(), String::new())).collect()
    }

    fn tell_breakpoints(&mut self) {
        let Strip { breakpoints, are_on, .. } = &self.strip;
        if breakpoints.is_empty() {
            self.say(NO_BREAKPOINTS);
            return;
        }
        let are_on = if *are_on { "on" } else { "off" };
        let words = format!("Breakpoints ({are_on}): {}.", breakpoints.join(" · "));
        self.say(&words);
    }

    /// Proposes the point of the selected row, or else of the newest one.
    fn break_here(&mut self) {
        let row = self.transcript.cursor_or_newest();
        let Some(proposed) = row.and_then(|row| self.breakpoint_of(row)) else {
            self.say(
                "This line is at no point: choose one that the client or the server has said.",
            );
            return;
        };
        self.prompt = Some(Prompt::new(Purpose::Command, &format!("break {proposed}")));
    }

    /// The breakpoint that would hold what a row shows.
    fn breakpoint_of(&self, row: &Row) -> Option<String> {
        let Row::Event(Event { connection, kind, at }) = row else { return None };
        let point = |place| Point { service: connection.service, place };
        match kind {
            Kind::Opened { .. } => Some(point(Place::Connect).to_string()),
            Kind::TextLine(..) | Kind::Text { .. } => Some(point(Place::Text).to_string()),
            // The dot behind a text is none of its lines.
            Kind::Line(event::Side::Client, line) if line.bytes() == b"." => {
                Some(point(Place::Dot).to_string())
            }
            Kind::Line(event::Side::Client, line) => {
                Some(point_of(connection.service, line.bytes()).to_string())
            }
            Kind::Line(event::Side::Server, _) => {
                // The last that the client has said before it.
                let said = self.transcript.ring().of(connection.id);
                let asked = said.filter(|row| row.at() <= Some(*at)).filter_map(asks).next_back();
                Some(format!("{}!", asked.unwrap_or_else(|| point(Place::Connect))))
            }
            // `held 2: pop3.retr!` and `fault 3: smtp.dot after` name their points.
            Kind::Note(note) => note.split([' ', ',']).find_map(|word| {
                Breakpoint::parse(word).ok().map(|breakpoint| breakpoint.text.into_string())
            }),
            Kind::Closed => None,
        }
    }
}

/// The point that a row is at, if a reply follows it.
fn asks(row: &Row) -> Option<Point> {
    let Row::Event(Event { connection, kind, .. }) = row else { return None };
    match kind {
        Kind::Line(event::Side::Client, line) if line.bytes() != b"." => {
            Some(point_of(connection.service, line.bytes()))
        }
        Kind::Line(event::Side::Client, _)
        | Kind::TextLine(event::Side::Client, _)
        | Kind::Text { .. } => Some(Point { service: connection.service, place: Place::Dot }),
        _ => None,
    }
}

fn point_of(service: event::Service, line: &[u8]) -> Point {
    let verb = line.split(|&octet| octet == b' ').next().unwrap_or_default();
    Point::of_verb(service, str::from_utf8(verb).ok())
}
