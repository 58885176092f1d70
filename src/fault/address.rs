//! Addresses that ask for a fault: `NAME+fault.POINT[.after].ACTION[.LIMIT]@DOMAIN`, for tests that
//! can choose nothing but an address.

use std::ops::Range;
use std::sync::Arc;

use crate::fault::argument::{argument, path, text_of};
use crate::fault::parse;
use crate::fault::plan::{Plan, Says};
use crate::fault::point::{Place, Point};
use crate::fault::rule::Limits;
use crate::watch::event::Service;

/// What stands before the words that ask.
const MARK: &str = "+fault.";

/// A fault that an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The address as it was written; counted over all sessions.
    pub whole: Arc<str>,
    /// The address without the suffix: who gets the mail.
    pub address: Box<str>,
    /// Where it acts.
    pub point: Point,
    /// What it does.
    pub plan: Arc<Plan>,
    /// How often.
    pub limits: Limits,
    /// Whether it is for the command that has the address, and not for what follows.
    is_for_its_command: bool,
}

/// A word in an address that asks for a fault is not known, or has no meaning there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault is asked for by \"{word}\": use {expected}")]
pub struct UnknownWord {
    /// The word; empty if one is missing.
    pub word: String,
    /// What may stand there.
    pub expected: String,
}

impl Trigger {
    /// The fault that an address or user asks for in a command at `smtp.mail`, `smtp.rcpt` or
    /// `pop3.user`. `None` if it asks for none, and at all other points.
    #[must_use]
    pub fn of(at: Point, whole: &str) -> Option<Result<Self, UnknownWord>> {
        let places = places_for(at)?;
        let (local_part, domain) = whole.rsplit_once('@').unwrap_or((whole, ""));
        let mark = local_part.to_ascii_lowercase().find(MARK)?;
        let name = local_part.get(..mark)?;
        let words = local_part.get(mark + MARK.len()..)?;
        let at_sign = if whole.len() > local_part.len() { "@" } else { "" };
        let address = format!("{name}{at_sign}{domain}").into();
        Some(read(at, &places, words, whole).map(|(point, plan, limits)| Self {
            whole: whole.into(),
            address,
            point,
            plan,
            limits,
            is_for_its_command: point == at,
        }))
    }

    /// As [`of`](Self::of), of a whole command line without its end; also the line as the session
    /// sees it, without the suffix.
    #[must_use]
    pub fn in_command(at: Point, line: &[u8]) -> Option<Result<(Self, Vec<u8>), UnknownWord>> {
        let range = if at.place == Place::User { range_of_user(line) } else { path(line)? };
        let trigger = Self::of(at, &text_of(line.get(range.clone())?))?;
        let (before, behind) = (line.get(..range.start)?, line.get(range.end..)?);
        Some(trigger.map(|trigger| {
            let line = [before, trigger.address.as_bytes(), behind].concat();
            (trigger, line)
        }))
    }
}

fn range_of_user(line: &[u8]) -> Range<usize> {
    let argument = argument(line);
    let end = line.trim_ascii_end().len();
    end.saturating_sub(argument.len())..end
}

/// What an address in this command may ask for.
fn places_for(at: Point) -> Option<Vec<Place>> {
    use Place::{Connect, Data, Dot, Mail, Quit, Rcpt, Text, User};
    match (at.service, at.place) {
        (Service::Smtp, Mail) => Some(vec![Mail, Rcpt, Data, Text, Dot, Quit]),
        (Service::Smtp, Rcpt) => Some(vec![Rcpt, Data, Text, Dot, Quit]),
        (Service::Pop3, User) => {
            let places = Place::all_of(Service::Pop3).iter().copied();
            Some(places.filter(|place| *place != Connect).collect())
        }
        _ => None,
    }
}

/// Reads `POINT[.after].ACTION[.LIMIT]`.
fn read(
    at: Point,
    places: &[Place],
    words: &str,
    whole: &str,
) -> Result<(Point, Arc<Plan>, Limits), UnknownWord> {
    let mut words = words.split('.').peekable();
    let word = words.next().unwrap_or_default();
    let place = places.iter().find(|place| place.name().eq_ignore_ascii_case(word));
    let Some(place) = place else {
        let names: Vec<&str> = places.iter().map(|place| place.name()).collect();
        return Err(unknown(word, names.join(" ")));
    };
    let point = Point { service: at.service, place: *place };
    let after = words.next_if(|word| word.eq_ignore_ascii_case("after"));
    let plan = plan(point, after, words.next().unwrap_or_default(), whole)?;
    let limits = words.next().map_or(Ok(Limits::default()), limits)?;
    match words.next() {
        Some(word) => Err(unknown(word, "nothing behind the limit".to_owned())),
        None => Ok((point, Arc::new(plan), limits)),
    }
}

fn plan(point: Point, after: Option<&str>, word: &str, whole: &str) -> Result<Plan, UnknownWord> {
    let expected = || match point.service {
        Service::Pop3 => format!("err {ACTIONS} nodot unstuffed loop"),
        _ => format!("a code {ACTIONS}"),
    };
    let Some(action) = action(point.service, word) else {
        return Err(unknown(word, expected()));
    };
    let read = |moment: &str| parse::rule(&format!("{point}{moment} : {action}")).ok()?.plan;
    // What means nothing without the moment means nothing with it.
    let Some(plan) = read("") else {
        return Err(unknown(word, expected()));
    };
    let plan = match after {
        Some(after) => read(" after").ok_or_else(|| unknown(after, expected()))?,
        None => plan,
    };
    let mut plan = Arc::unwrap_or_clone(plan);
    if let Says::Lines(lines) = &mut plan.says {
        for line in lines {
            line.extend_from_slice(whole.as_bytes());
        }
    }
    Ok(plan)
}

/// The actions that an address may ask for in each protocol, but for replies.
const ACTIONS: &str = "cut reset half hang mute twice lf lie close delay-5s";

/// The action of a rule that a word asks for. The address goes behind a reply.
fn action(service: Service, word: &str) -> Option<String> {
    let word = word.to_ascii_lowercase();
    let is_code = word.len() == 3 && word.bytes().all(|octet| octet.is_ascii_digit());
    if let Some(time) = word.strip_prefix("delay-") {
        return Some(format!("delay {time}"));
    }
    match word.as_str() {
        "err" if service == Service::Pop3 => Some(r#"-ERR "fault ""#.to_owned()),
        code if is_code => Some(format!(r#"{code} "fault ""#)),
        "nodot" | "unstuffed" | "loop" => Some(word),
        known if !known.contains('-') && ACTIONS.split(' ').any(|one| one == known) => Some(word),
        _ => None,
    }
}

fn limits(word: &str) -> Result<Limits, UnknownWord> {
    let lower = word.to_ascii_lowercase();
    let times = lower.strip_prefix("times-").filter(|times| !times.starts_with('+'));
    let times = if lower == "once" { Some(1) } else { times.and_then(|times| times.parse().ok()) };
    match times.filter(|times| *times > 0) {
        Some(times) => Ok(Limits { times: Some(times), ..Limits::default() }),
        None => Err(unknown(word, "once times-3".to_owned())),
    }
}

fn unknown(word: &str, expected: String) -> UnknownWord {
    UnknownWord { word: word.to_owned(), expected }
}

/// What the addresses of one session have asked for and not yet got. The loop notes each trigger
/// when its command comes, tells what came of every command, and asks
/// [`Faults::trigger_hit`](crate::fault::faults::Faults::trigger_hit) at each point.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Of commands that were accepted: at most one for each command of a transaction.
    kept: Vec<Trigger>,
    /// Of the command at hand.
    at_hand: Option<Trigger>,
}

/// The most triggers of a session: one for each recipient that is remembered, and the sender's.
const REMEMBERED_MOST: usize = 1_001;

impl Remembered {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.at_hand.is_none()
    }

    /// Notes what the command at hand asks for; `None` for a command without such an address.
    pub fn note(&mut self, trigger: Option<Trigger>) {
        self.at_hand = trigger;
    }

    /// What is asked for at this point, in the order in which it was asked.
    pub fn at(&self, at: Point) -> impl Iterator<Item = &Trigger> {
        self.kept.iter().chain(&self.at_hand).filter(move |trigger| trigger.point.covers(at))
    }

    /// Notes what has come of the command at hand, or of a text at its dot. What a refused command
    /// asks for does not follow; and a transaction takes what was asked in it with it, but for
    /// `quit`, which comes behind the transaction and waits until the next.
    pub fn answered(&mut self, at: Point, is_accepted: bool) {
        use Place::{Dot, Ehlo, Helo, Mail, Rset, User};
        let at_hand = self.at_hand.take().filter(|one| is_accepted && !one.is_for_its_command);
        match (at.service, at.place) {
            (Service::Smtp, Dot) => self.end_transaction(),
            (Service::Smtp, Helo | Ehlo | Rset) if is_accepted => self.end_transaction(),
            (Service::Smtp, Mail) | (Service::Pop3, User) if is_accepted => self.kept.clear(),
            _ => {}
        }
        if self.kept.len() < REMEMBERED_MOST {
            self.kept.extend(at_hand);
        }
    }

    /// Nothing that was said before TLS counts.
    pub fn secured(&mut self) {
        *self = Self::default();
    }

    fn end_transaction(&mut self) {
        self.kept.retain(|trigger| trigger.point.place == Place::Quit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::plan::{Ending, Most, Work};

    fn point(name: &str) -> Point {
        let (service, place) = name.split_once('.').unwrap();
        let service = if service == "pop3" { Service::Pop3 } else { Service::Smtp };
        Point { service, place: place.parse().unwrap() }
    }

    #[track_caller]
    fn read(at: &str, whole: &str) -> Trigger {
        Trigger::of(point(at), whole).unwrap().unwrap()
    }

    #[track_caller]
    fn unknown_word(at: &str, whole: &str) -> String {
        Trigger::of(point(at), whole).unwrap().unwrap_err().word
    }

    #[test]
    fn an_address_asks_for_a_fault() {
        let trigger = read("smtp.rcpt", "linhphan+fault.dot.451.once@localhost");
        assert_eq!(&*trigger.address, "linhphan@localhost");
        assert_eq!(trigger.point, point("smtp.dot"));
        assert_eq!(trigger.limits.times, Some(1));
        assert_eq!(trigger.plan.work, Work::NotDone);
        let said = b"451 fault linhphan+fault.dot.451.once@localhost".to_vec();
        assert_eq!(trigger.plan.says, Says::Lines(vec![said]));

        let trigger = read("smtp.mail", "a+tag+FAULT.dot.After.cut.times-3@[IPv6:::1]");
        assert_eq!(&*trigger.address, "a+tag@[IPv6:::1]");
        assert_eq!((trigger.plan.work, trigger.plan.end), (Work::Done, Some(Ending::Cut)));
        assert_eq!(trigger.limits.times, Some(3));

        let trigger = read("pop3.user", "linhphan+fault.retr.half");
        assert_eq!((&*trigger.address, trigger.point), ("linhphan", point("pop3.retr")));
        assert_eq!(trigger.plan.shape.most, Some(Most::Half));
        let trigger = read("pop3.user", "bob+fault.user.err@x");
        assert_eq!(&*trigger.address, "bob@x");
        let said = b"-ERR fault bob+fault.user.err@x".to_vec();
        assert_eq!(trigger.plan.says, Says::Lines(vec![said]));
        let delay = read("smtp.rcpt", "a+fault.rcpt.delay-5s@x").plan.delay;
        assert_eq!(delay, Some(std::time::Duration::from_secs(5)));
    }

    #[test]
    fn other_addresses_ask_for_nothing() {
        for whole in
            ["", "bob@localhost", "bob+fault@localhost", "bob+faults.dot.451@x", "a@b+fault.x"]
        {
            assert_eq!(Trigger::of(point("smtp.rcpt"), whole), None, "{whole}");
        }
        assert_eq!(Trigger::of(point("smtp.vrfy"), "bob+fault.dot.451@x"), None);
    }

    #[test]
    fn a_word_that_is_unknown_or_means_nothing_is_named() {
        for (at, whole, word) in [
            ("smtp.rcpt", "a+fault.@x", ""),
            ("smtp.rcpt", "a+fault.dott.451@x", "dott"),
            ("smtp.rcpt", "a+fault.mail.451@x", "mail"),
            ("smtp.rcpt", "a+fault.retr.451@x", "retr"),
            ("smtp.rcpt", "a+fault.dot@x", ""),
            ("smtp.rcpt", "a+fault.dot.explode@x", "explode"),
            ("smtp.rcpt", "a+fault.dot.600@x", "600"),
            ("smtp.rcpt", "a+fault.dot.err@x", "err"),
            ("smtp.rcpt", "a+fault.dot.nodot@x", "nodot"),
            ("smtp.rcpt", "a+fault.dot.delay-5@x", "delay-5"),
            ("smtp.rcpt", "a+fault.rcpt.after.451@x", "after"),
            ("smtp.rcpt", "a+fault.dot.after.lie@x", "after"),
            ("smtp.rcpt", "a+fault.text.twice@x", "twice"),
            ("smtp.rcpt", "a+fault.dot.451.twice@x", "twice"),
            ("smtp.rcpt", "a+fault.dot.451.times-0@x", "times-0"),
            ("smtp.rcpt", "a+fault.dot.451.times-+1@x", "times-+1"),
            ("smtp.rcpt", "a+fault.dot.451.once.more@x", "more"),
            ("smtp.rcpt", "a+fault.dot.451;cut@x", "451;cut"),
            ("pop3.user", "a+fault.retr.451", "451"),
            ("pop3.user", "a+fault.connect.err", "connect"),
            ("pop3.user", "a+fault.stat.unstuffed", "unstuffed"),
        ] {
            assert_eq!(unknown_word(at, whole), word, "{whole}");
        }
        let error = Trigger::of(point("smtp.rcpt"), "a+fault.dot.451.x@x").unwrap().unwrap_err();
        assert_eq!(error.to_string(), "no fault is asked for by \"x\": use once times-3");
    }

    #[test]
    fn the_session_sees_the_command_without_the_suffix() {
        let seen = |at: &str, line: &str| {
            let (_, line) = Trigger::in_command(point(at), line.as_bytes()).unwrap().unwrap();
            String::from_utf8(line).unwrap()
        };
        assert_eq!(
            seen("smtp.mail", "MAIL FROM: <a+fault.mail.451@x> SIZE=1"),
            "MAIL FROM: <a@x> SIZE=1"
        );
        assert_eq!(seen("smtp.rcpt", "RCPT TO:<@h:b+fault.dot.cut@x>"), "RCPT TO:<@h:b@x>");
        assert_eq!(seen("pop3.user", "USER  linhphan+fault.retr.cut "), "USER  linhphan ");
        assert_eq!(Trigger::in_command(point("smtp.rcpt"), b"RCPT TO:<bob@x>"), None);
        assert_eq!(Trigger::in_command(point("smtp.rcpt"), b"RCPT"), None);
    }

    #[track_caller]
    fn asks(remembered: &Remembered, at: &str, expected: &[&str]) {
        let found: Vec<&str> = remembered.at(point(at)).map(|one| &*one.whole).collect();
        assert_eq!(found, expected, "{at}");
    }

    #[test]
    fn what_is_asked_for_lasts_as_long_as_the_transaction() {
        let mut remembered = Remembered::default();
        let (all, data) = ("al+fault.rcpt.451@x", "al+fault.data.451@x");
        let (alone, dot, quit) = ("a+fault.rcpt.451@x", "b+fault.dot.451@x", "c+fault.quit.cut@x");
        let say = |remembered: &mut Remembered, at: &str, whole: Option<&str>, is_accepted| {
            remembered.note(whole.map(|whole| read(at, whole)));
            remembered.answered(point(at), is_accepted);
        };
        say(&mut remembered, "smtp.mail", Some(data), true);
        asks(&remembered, "smtp.data", &[data]);
        // Another sender is another transaction; what the command alone asks for is over with it.
        say(&mut remembered, "smtp.mail", Some(all), true);
        asks(&remembered, "smtp.data", &[]);
        remembered.note(Some(read("smtp.rcpt", alone)));
        asks(&remembered, "smtp.rcpt", &[all, alone]);
        remembered.answered(point("smtp.rcpt"), true);
        asks(&remembered, "smtp.rcpt", &[all]);
        say(&mut remembered, "smtp.rcpt", Some(dot), true);
        say(&mut remembered, "smtp.rcpt", Some("no+fault.dot.451@x"), false);
        say(&mut remembered, "smtp.rcpt", Some(quit), true);
        say(&mut remembered, "smtp.data", None, true);
        asks(&remembered, "smtp.dot", &[dot]);
        remembered.answered(point("smtp.dot"), false);
        asks(&remembered, "smtp.dot", &[]);
        asks(&remembered, "smtp.quit", &[quit]);
        remembered.secured();
        assert!(remembered.is_empty());
    }
}
