//! The actions of rules: their words, where they mean something, and what is written behind them.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::parse::quantity::{Part, duration, size, some_octets, whole};
use crate::fault::parse::words::Word;
use crate::fault::plan::{Amount, Ending, Most, Omit, TlsFault, UidFault};
use crate::fault::point::{Place, Point};
use crate::watch::event::Service;

/// An action, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Lines(Vec<Vec<u8>>),
    Raw(Vec<u8>),
    Lie,
    Mute,
    /// `cut`, `reset`, `hang` and `close`.
    End(Ending),
    /// `cut after N`, `reset after N` and `half`.
    Part(Most, Ending),
    Delay(Duration),
    Drip(NonZeroU64, Duration),
    Twice,
    Lf,
    SoManyLines(NonZeroU64),
    Pad(NonZeroU64),
    Append(Vec<u8>),
    Do,
    Pass,
    SlowRead(NonZeroU64),
    Size(Amount),
    Count(Amount),
    Uid(UidFault),
    Omit(Omit),
    NoDot,
    Unstuffed,
    Loop,
    Tls(TlsFault),
}

impl Action {
    /// Whether it changes the reply of the session, or what a rule says instead.
    pub(super) const fn shapes(&self) -> bool {
        self.shapes_any_reply() || self.shapes_pop3()
    }

    const fn shapes_any_reply(&self) -> bool {
        use Action::{Append, Drip, Lf, Pad, SoManyLines, Twice};
        matches!(self, Drip(..) | Twice | Lf | SoManyLines(_) | Pad(_) | Append(_))
    }

    /// Whether it changes what the session says of messages.
    pub(super) const fn shapes_pop3(&self) -> bool {
        use Action::{Count, Loop, NoDot, Omit, Size, Uid, Unstuffed};
        matches!(self, Size(_) | Count(_) | Uid(_) | Omit(_) | NoDot | Unstuffed | Loop)
    }

    /// Whether it says something of its own.
    pub(super) const fn has_words(&self) -> bool {
        matches!(self, Self::Lines(_) | Self::Raw(_))
    }

    /// Whether it settles what is said: there is one of them in a rule.
    pub(super) const fn is_reply(&self) -> bool {
        self.has_words() || matches!(self, Self::Lie | Self::Mute)
    }

    /// Whether it ends the connection: there is one of them in a rule.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::End(_) | Self::Part(..))
    }
}

/// An action and the word that begins it.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) action: Action,
    pub(super) name: &'a str,
    pub(super) at: usize,
}

/// A word that begins an action.
struct Form {
    name: &'static str,
    /// What is written behind it.
    rest: &'static str,
    has_meaning: fn(Point) -> bool,
    read: fn(&mut Behind<'_, '_>) -> Parsed<Action>,
}

const fn form(
    name: &'static str,
    rest: &'static str,
    has_meaning: fn(Point) -> bool,
    read: fn(&mut Behind<'_, '_>) -> Parsed<Action>,
) -> Form {
    Form { name, rest, has_meaning, read }
}

static FORMS: [Form; 26] = [
    form("raw", "\"OCTETS\"", always, |words| words.quotation().map(Action::Raw)),
    form("cut", "[after N]", always, |words| words.end(Ending::Cut)),
    form("reset", "[after N]", always, |words| words.end(Ending::Reset)),
    form("hang", "", always, |_| Ok(Action::End(Ending::Hang))),
    form("mute", "", always, |_| Ok(Action::Mute)),
    form("lie", "", does_something, |_| Ok(Action::Lie)),
    form("delay", "D", always, |words| duration(words.part()).map(Action::Delay)),
    form("drip", "N/D", always, drip),
    form("half", "", always, |_| Ok(Action::Part(Most::Half, Ending::Cut))),
    form("twice", "", always, |_| Ok(Action::Twice)),
    form("lf", "", always, |_| Ok(Action::Lf)),
    form("lines", "N", is_smtp, |words| {
        whole(words.part(), 1..=u64::MAX).map(at_least_1).map(Action::SoManyLines)
    }),
    form("pad", "SIZE", always, |words| some_octets(words.part()).map(Action::Pad)),
    form("append", "\"OCTETS\"", always, |words| words.quotation().map(Action::Append)),
    form("close", "", always, |_| Ok(Action::End(Ending::Close))),
    form("do", "", is_command, |_| Ok(Action::Do)),
    form("pass", "", always, |_| Ok(Action::Pass)),
    form("slow-read", "RATE", |point| point.place == Place::Text, slow_read),
    form("size", "+N|-N|=N", tells_sizes, |words| words.amount_of_octets().map(Action::Size)),
    form("count", "+N|-N", tells_the_count, |words| words.amount_of_messages().map(Action::Count)),
    form("uid", "same|empty|long|new|spaces", tells_ids, |words| words.uid().map(Action::Uid)),
    form("omit", "[K]", lists_messages, |words| words.omit().map(Action::Omit)),
    form("nodot", "", has_dot, |_| Ok(Action::NoDot)),
    form("unstuffed", "", has_text, |_| Ok(Action::Unstuffed)),
    form("loop", "", has_dot, |_| Ok(Action::Loop)),
    form("tls", "cut|garbage|alert|expired|name|ca", begins_tls, |words| {
        words.tls().map(Action::Tls)
    }),
];

const fn always(_: Point) -> bool {
    true
}

fn is_smtp(point: Point) -> bool {
    point.service == Service::Smtp
}

const fn is_command(point: Point) -> bool {
    !matches!(point.place, Place::Connect)
}

/// A greeting and the lines of a text ask for no work, and echo has none.
fn does_something(point: Point) -> bool {
    let asks = !matches!(point.place, Place::Connect | Place::Text);
    asks && point.service != Service::Echo
}

const fn begins_tls(point: Point) -> bool {
    matches!(point.place, Place::StartTls | Place::Stls)
}

fn is_pop3(point: Point, places: &[Place]) -> bool {
    let is_there = point.place == Place::Any || places.contains(&point.place);
    point.service == Service::Pop3 && is_there
}

fn tells_sizes(point: Point) -> bool {
    is_pop3(point, &[Place::Stat, Place::List])
}

fn tells_the_count(point: Point) -> bool {
    is_pop3(point, &[Place::Stat])
}

fn tells_ids(point: Point) -> bool {
    is_pop3(point, &[Place::Uidl])
}

fn lists_messages(point: Point) -> bool {
    is_pop3(point, &[Place::List, Place::Uidl])
}

fn has_text(point: Point) -> bool {
    is_pop3(point, &[Place::Retr, Place::Top])
}

fn has_dot(point: Point) -> bool {
    is_pop3(point, &[Place::Capa, Place::List, Place::Uidl, Place::Retr, Place::Top])
}

/// The actions that mean something at a point, but for replies, as they are written: `delay D`.
pub(in crate::fault) fn actions_at(point: Point) -> Vec<String> {
    let meant = FORMS.iter().filter(|form| (form.has_meaning)(point));
    meant.map(|form| format!("{} {}", form.name, form.rest).trim_end().to_owned()).collect()
}

/// The action that these words begin with, and the words that are left.
pub(super) fn action<'a, 'w>(
    words: &'w [Word<'a>],
    point: Point,
    expected: impl Fn() -> String,
) -> Parsed<(Placed<'a>, &'w [Word<'a>])> {
    let Some((first, rest)) = words.split_first() else {
        return problem(0, "an action is missing", expected());
    };
    let form = FORMS.iter().find(|form| first.is(form.name));
    let Some(form) = form else {
        return problem(first.at, format!("there is no action {}", first.text), expected());
    };
    if !(form.has_meaning)(point) {
        let sentence = format!("{} has no meaning at {point}", form.name);
        return problem(first.at, sentence, expected());
    }
    let mut behind = Behind { words: rest, end: first.end(), form };
    let action = (form.read)(&mut behind)?;
    Ok((Placed { action, name: first.text, at: first.at }, behind.words))
}

/// What stands behind the word that begins an action.
struct Behind<'a, 'w> {
    words: &'w [Word<'a>],
    /// The octet behind what was read.
    end: usize,
    form: &'static Form,
}

impl<'a, 'w> Behind<'a, 'w> {
    fn next(&mut self) -> Option<&'w Word<'a>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        self.end = first.end();
        Some(first)
    }

    /// The next word; empty at the end.
    fn part(&mut self) -> Part<'a> {
        let end = Part { text: "", at: self.end };
        self.next().map_or(end, |word| Part { text: word.text, at: word.at })
    }

    /// What is said of a word that is wrong here.
    fn wrong<T>(&self, part: Part<'_>) -> Parsed<T> {
        let Form { name, rest, .. } = self.form;
        let sentence = match part.text {
            "" => format!("{name} stands alone"),
            text => format!("{text} has no meaning behind {name}"),
        };
        problem(part.at, sentence, *rest)
    }

    fn quotation(&mut self) -> Parsed<Vec<u8>> {
        let missing = Part { text: "", at: self.end };
        match self.next() {
            Some(Word { quoted: Some(octets), .. }) => Ok(octets.clone()),
            Some(word) => {
                let sentence = format!("the octets of {} stand in quotes", self.form.name);
                problem(word.at, sentence, self.form.rest)
            }
            None => self.wrong(missing),
        }
    }

    fn end(&mut self, end: Ending) -> Parsed<Action> {
        if !self.words.first().is_some_and(|word| word.is("after")) {
            return Ok(Action::End(end));
        }
        self.next();
        let octets = size(self.part(), 0..=u64::MAX)?;
        Ok(Action::Part(Most::Octets(octets), end))
    }

    fn amount_of_octets(&mut self) -> Parsed<Amount> {
        let part = self.part();
        let number = size(part.behind(1), 0..=u64::MAX);
        match part.text.chars().next() {
            Some('+') => number.map(Amount::More),
            Some('-') => number.map(Amount::Less),
            Some('=') => number.map(Amount::Is),
            _ => self.wrong(part),
        }
    }

    fn amount_of_messages(&mut self) -> Parsed<Amount> {
        let part = self.part();
        let number = whole(part.behind(1), 0..=u64::MAX);
        match part.text.chars().next() {
            Some('+') => number.map(Amount::More),
            Some('-') => number.map(Amount::Less),
            _ => self.wrong(part),
        }
    }

    fn uid(&mut self) -> Parsed<UidFault> {
        let part = self.part();
        Ok(match part.text {
            "same" => UidFault::Same,
            "empty" => UidFault::Empty,
            "long" => UidFault::Long,
            "new" => UidFault::New,
            "spaces" => UidFault::Spaces,
            _ => return self.wrong(part),
        })
    }

    /// A number is the row's; any other word is left for the limits.
    fn omit(&mut self) -> Parsed<Omit> {
        let is_number = |word: &Word<'_>| {
            word.text.trim_start_matches(['-', '+']).starts_with(|one: char| one.is_ascii_digit())
        };
        if !self.words.first().is_some_and(is_number) {
            return Ok(Omit::Last);
        }
        whole(self.part(), 1..=u64::MAX).map(Omit::Message)
    }

    fn tls(&mut self) -> Parsed<TlsFault> {
        let part = self.part();
        Ok(match part.text {
            "cut" => TlsFault::Cut,
            "garbage" => TlsFault::Garbage,
            "alert" => TlsFault::Alert,
            "expired" => TlsFault::Expired,
            "name" => TlsFault::Name,
            "ca" => TlsFault::Authority,
            _ => return self.wrong(part),
        })
    }
}

fn drip(words: &mut Behind<'_, '_>) -> Parsed<Action> {
    let part = words.part();
    let Some((octets, pause)) = part.halves('/') else {
        return words.wrong(part);
    };
    Ok(Action::Drip(some_octets(octets)?, duration(pause)?))
}

fn slow_read(words: &mut Behind<'_, '_>) -> Parsed<Action> {
    let part = words.part();
    let Some(rate) = part.text.strip_suffix("/s") else {
        let sentence = "the rate of slow-read is a size behind which /s stands";
        return problem(part.at, sentence, "SIZE/s, such as 1K/s");
    };
    some_octets(Part { text: rate, at: part.at }).map(Action::SlowRead)
}

fn at_least_1(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN)
}
