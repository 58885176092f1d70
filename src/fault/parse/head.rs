//! What stands before the colon of a rule: a point, a moment, and conditions. A breakpoint is that
//! much of a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::fault::parse::problem::{Parsed, problem};
use crate::fault::parse::quantity::{Part, size, whole};
use crate::fault::parse::words::{Scanner, Word};
use crate::fault::point::{Place, Point};
use crate::fault::rule::Condition;
use crate::watch::event::Service;
use crate::wire::glob::Glob;

/// The protocols that have points.
const SERVICES: [Service; 3] = [Service::Smtp, Service::Pop3, Service::Echo];

/// When a rule acts that may act before the work or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fault) enum Moment {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// Conditions, and where a rule acts.
#[derive(Debug)]
pub(in crate::fault) struct Head {
    pub(in crate::fault) point: Point,
    /// Whether a `!` follows the point.
    pub(in crate::fault) is_reply: bool,
    /// With the octet at which it stands.
    pub(in crate::fault) moment: Option<(Moment, usize)>,
    pub(in crate::fault) conditions: Vec<Condition>,
    /// The octet behind the last word.
    pub(in crate::fault) end: usize,
    /// Whether a colon follows.
    pub(in crate::fault) has_colon: bool,
}

/// The name of a condition, what is written behind its `=`, and where it means something.
type Name = (&'static str, &'static str, fn(Point) -> bool);

const NAMES: [Name; 8] = [
    ("from", "GLOB", |point| point.service == Service::Smtp),
    ("to", "GLOB", |point| point.service == Service::Smtp),
    ("helo", "GLOB", |point| point.service == Service::Smtp),
    ("user", "GLOB", |point| point.service != Service::Echo),
    ("client", "CIDR", |_| true),
    ("n", "NUMBER", |point| point.service == Service::Pop3 && names_a_message(point.place)),
    ("nth", "K", |_| true),
    ("after", "OCTETS", |point| point.place == Place::Text),
];

/// The conditions that mean something at a point, as they are written: `client=CIDR`.
pub(in crate::fault) fn conditions_at(point: Point) -> Vec<String> {
    let meant = NAMES.iter().filter(|(_, _, has_meaning)| has_meaning(point));
    meant.map(|(name, form, _)| format!("{name}={form}")).collect()
}

/// Whether a rule may act before or after the work of this point.
pub(in crate::fault) fn has_moments(point: Point) -> bool {
    point.place == Place::Dot || (point.service == Service::Pop3 && point.place == Place::Quit)
}

const fn names_a_message(place: Place) -> bool {
    use Place::{Any, Dele, List, Retr, Top, Uidl};
    matches!(place, List | Uidl | Retr | Top | Dele | Any)
}

/// Reads up to the colon behind the conditions, or to the end of what was written.
pub(in crate::fault) fn head(scanner: &mut Scanner<'_>) -> Parsed<Head> {
    let begins = scanner.at();
    let Item::Word(first) = item(scanner, true)? else {
        return problem(begins, "a point is missing", "smtp. pop3. echo.");
    };
    let (name, is_reply) = match first.text.strip_suffix('!') {
        Some(name) => (name, true),
        None => (first.text, false),
    };
    let point = point(Part { text: name, at: first.at })?;
    let (conditions, end) = (Vec::new(), first.end());
    let mut head = Head { point, is_reply, moment: None, conditions, end, has_colon: false };
    let mut names: Vec<&str> = Vec::new();
    loop {
        match item(scanner, false)? {
            Item::End => return Ok(head),
            Item::Colon => return Ok(Head { has_colon: true, ..head }),
            Item::Word(word) if head.end == first.end() && is_moment(&word) => {
                head.moment = Some((moment(&word, point)?, word.at));
                head.end = word.end();
            }
            Item::Word(word) => {
                let (name, condition) = condition(&word, point)?;
                if names.contains(&name) && matches!(name, "n" | "nth" | "after") {
                    return problem(word.at, format!("{name}= is given twice"), "one of them");
                }
                names.push(name);
                head.conditions.push(condition);
                head.end = word.end();
            }
        }
    }
}

/// What stands before the colon.
enum Item<'a> {
    Word(Word<'a>),
    Colon,
    End,
}

fn item<'a>(scanner: &mut Scanner<'a>, is_point: bool) -> Parsed<Item<'a>> {
    let Some(mut word) = scanner.condition()? else {
        return Ok(Item::End);
    };
    match colon_in(&word, is_point) {
        Some(0) => {
            scanner.go_on_at(word.at + 1);
            return Ok(Item::Colon);
        }
        Some(colon) => {
            scanner.go_on_at(word.at + colon);
            word.text = word.text.get(..colon).unwrap_or_default();
        }
        None => {}
    }
    Ok(Item::Word(word))
}

/// Where in a word the colon is that ends the conditions. An address may have colons, too.
fn colon_in(word: &Word<'_>, is_point: bool) -> Option<usize> {
    let first = word.text.find(':')?;
    let is_value = !is_point && word.text.contains('=');
    if first == 0 || !is_value {
        return Some(first);
    }
    let value = word.text.strip_prefix("client=");
    let is_network = value.is_some_and(|value| network(value).is_some());
    let last = word.text.len() - 1;
    (word.text.ends_with(':') && !is_network).then_some(last)
}

fn point(part: Part<'_>) -> Parsed<Point> {
    let unknown = format!("there is no point {}", part.text);
    let (service, place) = part.text.split_once('.').unwrap_or((part.text, ""));
    let Some(service) = SERVICES.into_iter().find(|known| known.name() == service) else {
        return problem(part.at, unknown, "smtp. pop3. echo.");
    };
    let places = Place::all_of(service);
    let Some(place) = places.iter().copied().find(|known| known.name() == place) else {
        let names: Vec<&str> = places.iter().map(|place| place.name()).collect();
        return problem(part.at, unknown, names.join(" "));
    };
    Ok(Point { service, place })
}

fn is_moment(word: &Word<'_>) -> bool {
    word.is("before") || word.is("after")
}

fn moment(word: &Word<'_>, point: Point) -> Parsed<Moment> {
    if !has_moments(point) {
        let sentence = format!("{} has no meaning at {point}", word.text);
        return problem(word.at, sentence, conditions_at(point).join(" "));
    }
    Ok(if word.is("after") { Moment::After } else { Moment::Before })
}

fn condition(word: &Word<'_>, point: Point) -> Parsed<(&'static str, Condition)> {
    let expected = || {
        let moments = if has_moments(point) { "before after " } else { "" };
        format!("{moments}{}", conditions_at(point).join(" "))
    };
    let (name, value) = word.text.split_once('=').unwrap_or((word.text, ""));
    let known = NAMES.iter().find(|(known, _, _)| *known == name && word.text.contains('='));
    let Some((name, _, has_meaning)) = known else {
        let sentence = if is_moment(word) {
            format!("{} stands behind the point", word.text)
        } else {
            format!("there is no condition {name}")
        };
        return problem(word.at, sentence, expected());
    };
    if !has_meaning(point) {
        return problem(word.at, format!("{name}= has no meaning at {point}"), expected());
    }
    let value = Part { text: value, at: word.at + name.len() + 1 };
    let glob = || Glob::of(&glob_text(word, value.text));
    let condition = match *name {
        "from" => Condition::From(glob()),
        "to" => Condition::To(glob()),
        "helo" => Condition::Helo(glob()),
        "user" => Condition::User(glob()),
        "client" => Condition::Client(client(value)?),
        "n" => Condition::Number(whole(value, 1..=u64::MAX)?),
        "nth" => Condition::Nth(nth(value)?),
        _ => Condition::After(size(value, 0..=u64::MAX)?),
    };
    Ok((name, condition))
}

/// A pattern without quotes, and without the angle brackets that an address has in a command.
fn glob_text(word: &Word<'_>, written: &str) -> String {
    let quoted = word.quoted.as_deref().map(String::from_utf8_lossy);
    let text = quoted.as_deref().unwrap_or(written);
    let address = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    address.unwrap_or(text).to_owned()
}

fn client(value: Part<'_>) -> Parsed<IpNet> {
    let Some(network) = network(value.text) else {
        let form = "an address, or a network such as 192.0.2.0/24";
        return problem(value.at, format!("{} is not a network", value.text), form);
    };
    Ok(network)
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).ok()
}

fn nth(value: Part<'_>) -> Parsed<std::ops::RangeInclusive<u64>> {
    let (text, is_open) = match value.text.strip_suffix('+') {
        Some(text) => (text, true),
        None => (value.text, false),
    };
    let first = whole(Part { text, at: value.at }, 1..=u64::MAX)?;
    Ok(first..=if is_open { u64::MAX } else { first })
}
