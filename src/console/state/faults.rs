//! The faults that are played on purpose, as the screen shows them, and the actions of their popup.

use std::ffi::OsString;
use std::time::SystemTime;

use crate::console::action::{Command, Context, FaultOrder, Pane, Step};
use crate::console::setting::value::{FaultRules, Values};
use crate::console::state::State;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::prompt::{Prompt, Purpose};
use crate::fault::faults::RuleView;
use crate::fault::point::Place;
use crate::watch::event::Service;
use crate::wire::display::DisplayText;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRow {
    /// Its number.
    pub id: u64,
    /// As it was written, with the name of its scenario behind it as a comment.
    pub rule: DisplayText,
    /// Whether it may act.
    pub is_on: bool,
    /// How often it has acted.
    pub hits: u64,
    /// How often it may still act; `None` if that is not limited, or by key.
    pub left: Option<u64>,
    /// When it has acted last.
    pub last_hit: Option<SystemTime>,
}

impl From<RuleView> for FaultRow {
    fn from(view: RuleView) -> Self {
        let scenario = view.scenario.map(|name| format!(" # {name}")).unwrap_or_default();
        Self {
            id: view.id,
            rule: DisplayText::from(&*format!("{}{scenario}", view.rule)),
            is_on: view.is_on,
            hits: view.hits,
            left: view.left,
            last_hit: view.last_hit,
        }
    }
}

impl FaultRow {
    /// Whether it has acted as often as it may.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left == Some(0)
    }
}

impl State {
    /// Takes over the rules.
    pub fn faults_are(&mut self, rules: Vec<RuleView>) {
        self.faults.clear();
        self.faults.extend(rules.into_iter().map(FaultRow::from));
        if let Overlay::Faults { at } = &mut self.overlay {
            *at = (*at).min(self.faults.len().saturating_sub(1));
        }
    }

    /// How many rules may act.
    #[must_use]
    pub fn faults_active(&self) -> usize {
        self.faults.iter().filter(|rule| rule.is_on && !rule.is_spent()).count()
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

    pub(super) fn select_fault(&mut self, row: usize) {
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

    pub(super) fn switch_fault(&mut self) -> Option<Command> {
        let FaultRow { id, is_on, .. } = self.fault_at_hand()?;
        Some(Command::Fault(FaultOrder::Switch(id, !is_on)))
    }

    pub(super) fn reset_fault(&mut self) -> Option<Command> {
        let FaultRow { id, .. } = self.fault_at_hand()?;
        Some(Command::Fault(FaultOrder::Reset(id)))
    }

    pub(super) fn ask_to_remove_fault(&mut self) {
        if let Some(FaultRow { id, .. }) = self.fault_at_hand() {
            self.ask(Question::RemoveFault(id));
        }
    }

    /// The command line completes points and actions, and shows where a rule is wrong.
    pub(super) fn type_fault(&mut self) {
        self.prompt = Some(Prompt::new(Purpose::Command, "fault "));
    }

    /// Shows only the lines that tell of hits of the selected rule.
    pub(super) fn show_fault_hits(&mut self) {
        let Some(FaultRow { id, .. }) = self.fault_at_hand() else { return };
        self.overlay = Overlay::None;
        self.tiled = false;
        self.transcript.narrow(None);
        self.focus_on(Pane::Transcript);
        let _ = self.set_filter(Context::Pane(Pane::Transcript), &format!(".. fault {id}:"));
    }
}

/// The error has several lines: the sentence, the rule, and the place in it.
pub(super) fn add(rule: &str) -> Result<Option<Command>, String> {
    FaultRules::read_all(&[OsString::from(rule)])?;
    Ok(Some(Command::Fault(FaultOrder::Add(rule.to_owned()))))
}

/// Completions of a rule: points at first, and then actions and limits.
pub(super) fn so_far(so_far: &str) -> Vec<(String, String)> {
    let Some((before, after)) = so_far.split_once(':') else {
        return points(so_far);
    };
    let service = before.split('.').next().unwrap_or_default();
    let typed = after.rsplit([' ', ';']).next().unwrap_or_default();
    let head = so_far.strip_suffix(typed).unwrap_or(so_far);
    let head = if head.ends_with(' ') { head.to_owned() } else { format!("{head} ") };
    let own = match service {
        "pop3" => OF_POP3,
        "smtp" => OF_SMTP,
        _ => &[],
    };
    // Limits stand behind an action.
    let limits = if after.trim().is_empty() { &[] } else { LIMITS };
    let words = own.iter().chain(ACTIONS).chain(limits);
    let fitting = words.filter(|(word, _)| word.starts_with(typed));
    fitting.map(|(word, sentence)| (format!("{head}{word}"), (*sentence).to_owned())).collect()
}

/// The points, each ready for an action.
fn points(so_far: &str) -> Vec<(String, String)> {
    let services = [Service::Smtp, Service::Pop3, Service::Echo];
    let names = services.into_iter().flat_map(|service| {
        let places = Place::all_of(service).iter();
        places.map(move |place| format!("{}.{}", service.name(), place.name()))
    });
    let conditions = ["from=", "to=", "helo=", "user=", "client=", "n=", "nth=", "after="];
    match so_far.rsplit_once(' ') {
        None => names.map(|name| (format!("{name} : "), String::new())).collect(),
        Some((before, _)) => {
            let conditions = conditions.map(|word| (format!("{before} {word}"), String::new()));
            conditions.into_iter().chain([(format!("{before} : "), String::new())]).collect()
        }
    }
}

/// Actions of every protocol, with what they do.
const ACTIONS: &[(&str, &str)] = &[
    ("cut", "end the connection"),
    ("reset", "end the connection by RST"),
    ("hang", "never answer"),
    ("mute", "do not answer, and go on"),
    ("lie", "say what success says, and do nothing"),
    ("close", "end the connection behind the reply"),
    ("delay 5s", "wait before the reply"),
    ("drip 1/20ms", "send the reply octet by octet"),
    ("half", "send half of the reply, then end"),
    ("twice", "send the reply twice"),
    ("lf", "end its lines with LF"),
    ("cut after 60", "end after so many octets of the reply"),
    ("do", "do the work, whatever is said"),
    ("pass", "let the command go its way"),
];

const OF_SMTP: &[(&str, &str)] = &[
    ("421 4.7.0 try later; close", "refuse for now, and end"),
    ("451 4.7.1 try later", "refuse for now"),
    ("550 5.1.1 no such user", "refuse for good"),
];

const OF_POP3: &[(&str, &str)] = &[
    ("-ERR no", "refuse"),
    ("-ERR [IN-USE] locked", "refuse for now"),
    ("nodot", "leave the last line out"),
    ("unstuffed", "do not double dots"),
    ("loop", "send a text without an end"),
];

const LIMITS: &[(&str, &str)] = &[
    ("once", "one hit"),
    ("times 3", "so many hits"),
    ("per client", "count each client apart"),
    ("per session", "count each session apart"),
    ("until 60s", "from the first hit on so long"),
    ("over 10/1m", "only what is more than that"),
    ("chance 50%", "by chance"),
];

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
            last_hit: None,
            keys: None,
        }
    }

    fn with_rules() -> State {
        let mut state = with_connections(1);
        state.faults_are(vec![rule(3, None, true), rule(5, Some(0), true), rule(8, None, false)]);
        state
    }

    #[test]
    fn rules_that_are_off_or_spent_are_not_active() {
        assert_eq!(with_rules().faults_active(), 1);
    }

    #[test]
    fn keys_act_on_the_selected_rule() {
        let mut state = with_rules();
        state.update(Action::Faults);
        state.update(Action::Move(Step::Down));
        let reset = Command::Fault(FaultOrder::Reset(5));
        assert_eq!(state.update(Action::ResetFault), Some(reset));
        state.update(Action::Move(Step::Last));
        let switch = Command::Fault(FaultOrder::Switch(8, true));
        assert_eq!(state.update(Action::SwitchFault), Some(switch));
        assert_eq!(state.update(Action::RemoveFault), None);
        let yes = Action::Answer(crate::console::action::Answer::Yes);
        assert_eq!(state.update(yes), Some(Command::Fault(FaultOrder::Remove(8))));
        state.faults_are(vec![rule(3, None, true)]);
        assert_eq!(state.overlay, Overlay::Faults { at: 0 });
        state.update(Action::FaultHits);
        assert_eq!(state.filter_of(Context::Pane(Pane::Transcript)), Some(".. fault 3:"));
        assert_eq!((state.focus, state.overlay), (Pane::Transcript, Overlay::None));
    }

    #[test]
    fn points_actions_and_limits_are_offered() {
        let state = with_rules();
        let lines = |typed: &str| state.candidates(typed);
        assert!(lines("fault smtp.rc").contains(&"fault smtp.rcpt : ".to_owned()));
        assert!(lines("fault smtp.rcpt t").contains(&"fault smtp.rcpt to=".to_owned()));
        let actions = lines("fault pop3.retr : ");
        assert!(actions.contains(&"fault pop3.retr : nodot".to_owned()), "{actions:?}");
        assert!(!actions.contains(&"fault pop3.retr : once".to_owned()), "{actions:?}");
        assert_eq!(lines("fault smtp.rcpt : cut o")[..1], ["fault smtp.rcpt : cut once"]);
    }
}
