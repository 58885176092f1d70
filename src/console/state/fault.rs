//! A rule of faults as the screen shows it, and what can be typed for one.

use std::ffi::OsString;
use std::time::SystemTime;

use crate::console::action::{Command, FaultOrder};
use crate::console::setting::value::{FaultRules, Values};
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
