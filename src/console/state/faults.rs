//! The actions of the popup with the faults that are played on purpose.

use std::time::Duration;

use crate::console::action::{Command, Context, FaultAction, FaultOrder, Pane, Step};
use crate::console::state::fault::FaultRow;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::prompt::{Prompt, Purpose};
use crate::console::state::{SECOND, State};
use crate::fault::faults::RuleView;

impl State {
    /// Takes over the rules.
    pub fn faults_are(&mut self, rules: Vec<RuleView>) {
        self.faults.clear();
        self.faults.extend(rules.into_iter().map(FaultRow::from));
        if let Overlay::Faults { at } = &mut self.overlay {
            *at = (*at).min(self.faults.len().saturating_sub(1));
        }
    }

    /// How many rules are on and not spent.
    #[must_use]
    pub fn faults_active(&self) -> usize {
        let now = self.clock.instant;
        self.faults.iter().filter(|rule| rule.is_on && !rule.is_spent(now)).count()
    }

    /// How long what is shown of the rules stays correct if nothing happens.
    pub(super) fn faults_age_in(&self) -> Option<Duration> {
        let now = self.clock.instant;
        let ends = self.faults.iter().filter_map(|rule| rule.ends?.checked_duration_since(now));
        let next = ends.filter(|left| !left.is_zero()).min()?;
        // The popup counts down, in whole seconds.
        let is_open = self.fault_selected().is_some();
        Some(if is_open { next.min(SECOND) } else { next })
    }

    /// The rule with this number.
    #[must_use]
    pub fn fault(&self, id: u64) -> Option<&FaultRow> {
        self.faults.iter().find(|rule| rule.id == id)
    }

    /// The index of the selected rule in the popup.
    #[must_use]
    pub fn fault_selected(&self) -> Option<usize> {
        match &self.overlay {
            Overlay::Faults { at } => Some(*at),
            Overlay::Ask { beneath, .. } => match **beneath {
                Overlay::Faults { at } => Some(at),
                _ => None,
            },
            _ => None,
        }
    }

    /// Carries out an action of the popup.
    pub(super) fn perform_in_faults(&mut self, action: FaultAction) -> Option<Command> {
        match action {
            FaultAction::Switch => return self.switch_fault(),
            FaultAction::Add => self.type_fault(),
            FaultAction::Remove => self.ask_to_remove_fault(),
            FaultAction::Reset => return self.reset_fault(),
            FaultAction::Hits => self.show_fault_hits(),
            FaultAction::Select(row) => self.select_fault(row),
        }
        None
    }

    pub(super) fn step_in_faults(&mut self, step: Step) {
        const PAGE: usize = 10;
        let last = self.faults.len().saturating_sub(1);
        if let Overlay::Faults { at } = &mut self.overlay {
            *at = match step {
                Step::Up => at.saturating_sub(1),
                Step::Down => *at + 1,
                Step::PageUp | Step::HalfPageUp => at.saturating_sub(PAGE),
                Step::PageDown | Step::HalfPageDown => *at + PAGE,
                Step::First => 0,
                Step::Last => last,
            }
            .min(last);
        }
    }

    fn select_fault(&mut self, row: usize) {
        if let Overlay::Faults { at } = &mut self.overlay {
            *at = row;
        }
    }

    /// The selected rule; if there is none, the user is told so.
    fn fault_at_hand(&mut self) -> Option<FaultRow> {
        let row = self.fault_selected().and_then(|at| self.faults.get(at)).cloned();
        if row.is_none() {
            self.say("No rule is selected: F lists them, a adds one.");
        }
        row
    }

    fn switch_fault(&mut self) -> Option<Command> {
        let FaultRow { id, is_on, .. } = self.fault_at_hand()?;
        Some(Command::Fault(FaultOrder::Switch(id, !is_on)))
    }

    fn reset_fault(&mut self) -> Option<Command> {
        let FaultRow { id, .. } = self.fault_at_hand()?;
        Some(Command::Fault(FaultOrder::Reset(id)))
    }

    fn ask_to_remove_fault(&mut self) {
        if let Some(FaultRow { id, .. }) = self.fault_at_hand() {
            self.ask(Question::RemoveFault(id));
        }
    }

    /// The command line completes points and actions, and shows where a rule is wrong.
    fn type_fault(&mut self) {
        self.prompt = Some(Prompt::new(Purpose::Command, "fault "));
    }

    /// Shows only the lines that tell of hits of the selected rule.
    fn show_fault_hits(&mut self) {
        let Some(FaultRow { id, .. }) = self.fault_at_hand() else { return };
        self.overlay = Overlay::None;
        self.tiled = false;
        self.transcript.narrow(None);
        self.focus_on(Pane::Transcript);
        let _ = self.set_filter(Context::Pane(Pane::Transcript), &format!(".. fault {id}:"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::action::Action;
    use crate::console::state::tests::with_connections;

    fn rule(id: u64, left: Option<u64>, is_on: bool) -> RuleView {
        RuleView {
            id,
            rule: format!("smtp.rcpt n={id} : 451 later").into(),
            scenario: None,
            is_on,
            hits: 0,
            left,
            ends: None,
            last_hit: None,
            keys: None,
        }
    }

    fn with_rules() -> State {
        let mut state = with_connections(1);
        let rules = vec![rule(3, None, true), rule(5, Some(0), true), rule(8, None, false)];
        state.faults_are(rules);
        state
    }

    #[test]
    fn keys_act_on_the_selected_rule() {
        let mut state = with_rules();
        state.update(Action::Faults);
        state.update(Action::Move(Step::Down));
        let reset = Command::Fault(FaultOrder::Reset(5));
        assert_eq!(state.update(Action::Fault(FaultAction::Reset)), Some(reset));
        state.update(Action::Move(Step::Last));
        let switch = Command::Fault(FaultOrder::Switch(8, true));
        assert_eq!(state.update(Action::Fault(FaultAction::Switch)), Some(switch));
        assert_eq!(state.update(Action::Fault(FaultAction::Remove)), None);
        let yes = Action::Answer(crate::console::action::Answer::Yes);
        assert_eq!(state.update(yes), Some(Command::Fault(FaultOrder::Remove(8))));
        state.faults_are(vec![rule(3, None, true)]);
        assert_eq!(state.overlay, Overlay::Faults { at: 0 });
        state.update(Action::Fault(FaultAction::Hits));
        assert_eq!(state.filter_of(Context::Pane(Pane::Transcript)), Some(".. fault 3:"));
        assert_eq!((state.focus, state.overlay), (Pane::Transcript, Overlay::None));
    }

    #[test]
    fn a_rule_whose_time_is_over_is_active_no_more_and_the_screen_is_drawn_then() {
        let mut state = with_rules();
        assert_eq!((state.faults_active(), state.faults_age_in()), (1, None));
        let ends = Some(state.clock.instant + Duration::from_millis(2_500));
        state.faults_are(vec![RuleView { ends, ..rule(3, None, true) }]);
        assert_eq!(state.faults_age_in(), Some(Duration::from_millis(2_500)));
        state.update(Action::Faults);
        assert_eq!(state.faults_age_in(), Some(SECOND));
        state.clock.instant += Duration::from_secs(2);
        assert_eq!((state.faults_active(), state.faults_age_in()), (1, Some(SECOND / 2)));
        state.clock.instant += SECOND / 2;
        assert_eq!((state.faults_active(), state.faults_age_in()), (0, None));
    }

    #[test]
    fn points_actions_and_limits_are_offered() {
        let state = with_rules();
        let lines = |typed: &str| state.candidates(typed);
        assert!(lines("fault smtp.rc").contains(&"fault smtp.rcpt ".to_owned()));
        assert!(lines("fault smtp.rcpt t").contains(&"fault smtp.rcpt to=".to_owned()));
        let actions = lines("fault pop3.retr : ");
        assert!(actions.contains(&"fault pop3.retr : nodot".to_owned()), "{actions:?}");
        assert!(!actions.contains(&"fault pop3.retr : once".to_owned()), "{actions:?}");
        assert_eq!(lines("fault smtp.rcpt : cut o")[..1], ["fault smtp.rcpt : cut once"]);
    }
}
