//! What may come next while a rule or a breakpoint is typed.

use crate::fault::catalogue::{self, Scenario};
use crate::fault::parse::actions_at;
use crate::fault::parse::head::{conditions_at, has_moments, head};
use crate::fault::parse::words::Scanner;
use crate::fault::point::{Place, Point};
use crate::watch::event::Service;

/// What may complete a rule that was typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The word, as much of it as there is to type: `delay D` is `delay `, `from=GLOB` is `from=`.
    pub word: String,
    /// What it means, in a few words.
    pub sentence: &'static str,
}

/// The words that may complete a rule, in the order of the documentation, and what was typed before
/// the word that they complete.
#[must_use]
pub fn completions(typed: &str) -> (&str, Vec<Completion>) {
    completed(typed, |before| if before.is_empty() { beginnings() } else { after(before) })
}

/// The same for a breakpoint.
#[must_use]
pub fn breakpoint_completions(typed: &str) -> (&str, Vec<Completion>) {
    completed(typed, |before| match head(&mut Scanner::new(before)) {
        _ if before.is_empty() => {
            let reply = |at: &Point| (at.place != Place::Connect).then(|| told(format!("{at}!")));
            points().flat_map(|at| [Some(told(at.to_string())), reply(&at)]).flatten().collect()
        }
        Ok(head) if !head.has_colon => {
            conditions_at(head.point).iter().map(|form| condition(form)).collect()
        }
        _ => Vec::new(),
    })
}

fn completed(typed: &str, known: impl Fn(&str) -> Vec<Completion>) -> (&str, Vec<Completion>) {
    let divided = typed.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (before, word) = typed.split_at(divided);
    let known = known(before.trim()).into_iter();
    let is_more =
        |known: &Completion| known.word.starts_with(word) && known.word.trim_end() != word;
    (before, known.filter(is_more).collect())
}

/// What may stand behind whole words of a rule.
fn after(before: &str) -> Vec<Completion> {
    let Ok(head) = head(&mut Scanner::new(before)) else {
        return Vec::new();
    };
    if head.has_colon {
        if before.ends_with([':', ';']) {
            return replies(head.point.service).chain(actions(head.point)).collect();
        }
        return LIMITS.iter().map(|limit| told((*limit).to_owned())).collect();
    }
    let is_first = head.conditions.is_empty() && head.moment.is_none();
    let moments: &[&str] =
        if is_first && has_moments(head.point) { &["before", "after"] } else { &[] };
    let moments = moments.iter().map(|&moment| told(moment.to_owned()));
    let conditions = conditions_at(head.point);
    let conditions = conditions.iter().map(|form| condition(form));
    moments.chain(conditions).chain([told(": ".to_owned())]).collect()
}

fn condition(form: &str) -> Completion {
    told(first(form, '=').to_owned() + "=")
}

/// Each once, though `cut` and `cut after N` are two.
fn actions(at: Point) -> Vec<Completion> {
    let mut found: Vec<Completion> = Vec::new();
    for form in actions_at(at) {
        let Completion { word, sentence } = told(first(&form, ' ').to_owned());
        if found.iter().all(|earlier| earlier.word.trim_end() != word) {
            let blank = if form.contains(' ') { " " } else { "" };
            found.push(Completion { word: word + blank, sentence });
        }
    }
    found
}

/// Replies that are often wanted.
fn replies(service: Service) -> impl Iterator<Item = Completion> {
    let replies: &[&str] = match service {
        Service::Smtp => {
            &["421 4.7.0 try later; close", "451 4.7.1 try later", "550 5.1.1 no such user"]
        }
        Service::Pop3 => &["-ERR [IN-USE] try later", "-ERR no such message"],
        Service::Echo | Service::Relay => &[],
    };
    replies.iter().map(|&reply| Completion { word: reply.to_owned(), sentence: "say it instead" })
}

const LIMITS: [&str; 6] = ["once", "times", "per", "until", "over", "chance"];

fn points() -> impl Iterator<Item = Point> {
    [Service::Smtp, Service::Pop3, Service::Echo].into_iter().flat_map(|service| {
        Place::all_of(service).iter().map(move |place| Point { service, place: *place })
    })
}

/// The points, and the names of scenarios.
fn beginnings() -> Vec<Completion> {
    let scenario = |scenario: &Scenario| Completion {
        word: scenario.name.to_owned(),
        sentence: scenario.good,
    };
    let points = points().map(|point| told(format!("{point} ")));
    points.chain(catalogue::all().into_iter().map(scenario)).collect()
}

fn first(form: &str, end: char) -> &str {
    form.split(end).next().unwrap_or_default()
}

/// A word with its sentence; points and what explains itself have none.
fn told(word: String) -> Completion {
    let sentence = SENTENCES.iter().find(|(known, _)| *known == word);
    let sentence = sentence.map_or("", |(_, sentence)| sentence);
    Completion { word, sentence }
}

/// What the words of a rule mean.
const SENTENCES: &[(&str, &str)] = &[
    ("before", "before the work: nothing is stored"),
    ("after", "after the work: stored and synced"),
    ("from=", "a sender, * and ? as in file names"),
    ("to=", "a recipient, * and ? as in file names"),
    ("helo=", "the name of HELO or EHLO"),
    ("user=", "the user of the session"),
    ("client=", "an address, or a network as 10.0.0.0/8"),
    ("n=", "the message that the command names"),
    ("nth=", "only the K-th time in the session; K+ from then on"),
    ("after=", "after so many octets of the text"),
    ("raw", "octets in quotes instead of a reply"),
    ("cut", "end the connection"),
    ("reset", "end the connection by RST"),
    ("hang", "never answer"),
    ("mute", "do not answer, and go on"),
    ("lie", "say what success says, and do nothing"),
    ("close", "end the connection behind the reply"),
    ("delay", "wait before the reply: 5s"),
    ("drip", "send the reply in pieces: 1/20ms"),
    ("half", "send half of the reply, then end"),
    ("twice", "send the reply twice"),
    ("lf", "end its lines with LF"),
    ("lines", "the reply as so many lines"),
    ("pad", "make its last line so long: 2M"),
    ("append", "octets in quotes behind the reply"),
    ("do", "do the work, whatever is said"),
    ("pass", "let the command go its way"),
    ("slow-read", "take the text no faster: 1K/s"),
    ("size", "tell other sizes: +N -N =N"),
    ("count", "tell another number of messages: +N -N"),
    ("uid", "other unique-ids: same empty long new spaces"),
    ("omit", "leave out a row of a listing"),
    ("nodot", "leave out the last line"),
    ("unstuffed", "do not double dots"),
    ("loop", "send text without an end"),
    ("tls", "a wrong handshake: cut garbage alert expired name ca"),
    ("once", "one hit"),
    ("times", "so many hits: 3"),
    ("per", "counted apart: to from client session"),
    ("until", "so long from the first hit on: 60s"),
    ("over", "only what exceeds so many in so long: 10/1m"),
    ("chance", "in so many of 100 cases: 20%"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_next_is_offered() {
        let offered = |typed: &str| words(completions(typed).1);
        assert_eq!(offered("smtp.r"), "smtp.rcpt  smtp.rset ");
        assert_eq!(offered("grey"), "greylist");
        assert_eq!(offered("echo."), "echo.connect  echo.line  echo.quit  echo.any ");
        assert_eq!(offered("pop3.quit "), "before after user= client= nth= : ");
        assert_eq!(offered("pop3.retr n"), "n= nth=");
        assert_eq!(offered("pop3.retr n=2 : ha"), "hang half");
        assert_eq!(offered("pop3.retr : nodot; un"), "unstuffed");
        assert_eq!(offered("smtp.rcpt : de"), "delay ");
        assert_eq!(offered("smtp.rcpt : 45"), "451 4.7.1 try later");
        assert_eq!(offered("smtp.rcpt : cut "), "once times per until over chance");
        assert_eq!(offered("smtp.rcpt : 451 a ti"), "times");
        assert_eq!(offered("foo "), "");
        assert!(offered("").starts_with("smtp.connect  smtp.helo"));
        assert_eq!(completions("smtp.rcpt : cut on").0, "smtp.rcpt : cut ");
    }

    #[test]
    fn of_a_breakpoint_its_sides_and_conditions_are_offered() {
        let offered = |typed: &str| words(breakpoint_completions(typed).1);
        assert_eq!(offered("smtp.rc"), "smtp.rcpt smtp.rcpt!");
        assert_eq!(offered("pop3.con"), "pop3.connect");
        assert_eq!(offered("smtp.rcpt t"), "to=");
        assert_eq!(offered("smtp.rcpt : "), "");
    }

    #[test]
    fn every_action_condition_and_limit_has_its_sentence() {
        let known = |word: &str| SENTENCES.iter().any(|(known, _)| *known == word.trim_end());
        for at in points() {
            for found in
                actions(at).into_iter().chain(conditions_at(at).iter().map(|form| condition(form)))
            {
                assert!(known(&found.word), "{} at {at}", found.word);
            }
        }
        assert!(LIMITS.into_iter().all(known));
    }

    fn words(found: Vec<Completion>) -> String {
        found.into_iter().map(|found| found.word).collect::<Vec<_>>().join(" ")
    }
}
