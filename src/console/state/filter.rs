//! The filter for transcript rows: by side, by service, by connection, and by text. The words that
//! name the former come first; the rest is the text that a row must contain.

use crate::console::state::pattern::Pattern;
use crate::console::state::row::Row;
use crate::watch::event::{ConnectionName, Passwords, Service, Side};

/// A filter for transcript rows. Filters are equal if the same was typed.
#[derive(Debug, Clone)]
pub struct Filter {
    typed: String,
    /// The sides that pass; if empty, both do. The same holds for services and connections.
    sides: Vec<Side>,
    services: Vec<Service>,
    /// Connection numbers, each of which means its newest connection.
    numbers: Vec<Newest>,
    /// Sessions: the N of `#N`.
    sessions: Vec<u64>,
    pattern: Option<Pattern>,
}

/// The newest connection with a number. The system gives numbers again once they are free.
#[derive(Debug, Clone)]
struct Newest {
    /// The N of `[N]`.
    number: i32,
    /// The newest session seen with this number; 0 if there was none.
    session: u64,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.typed == other.typed
    }
}

impl Eq for Filter {}

impl Filter {
    /// Parses what was typed: `C:` or `S:`, `@smtp` and the like, `[12]` (the newest connection with
    /// this number), `#12`, and after them a text or `/an expression/`. Of several of one kind (`[12] [14]`) any one may apply. `None` if
    /// nothing was typed; the error is a sentence that says what is wrong with the expression.
    pub fn parse(typed: &str) -> Result<Option<Self>, String> {
        let mut filter = Self {
            typed: typed.to_owned(),
            sides: Vec::new(),
            services: Vec::new(),
            numbers: Vec::new(),
            sessions: Vec::new(),
            pattern: None,
        };
        let mut rest = typed.trim_start();
        while let Some(behind) = filter.take_word(rest) {
            rest = behind.trim_start();
        }
        filter.pattern = Pattern::parse(rest)?;
        let is_something = filter.is_qualified() || filter.pattern.is_some();
        Ok(is_something.then_some(filter))
    }

    /// The filter as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The pattern that the text of a row must contain, if any.
    #[must_use]
    pub const fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// Whether a row passes. Its text is built only if the filter needs it.
    #[must_use]
    pub fn lets_through(&self, row: &Row, passwords: Passwords) -> bool {
        let connection = row.connection();
        is_one_of(&self.sides, row.side())
            && is_one_of(&self.services, connection.map(|name| name.service))
            && self.is_of(connection)
            && self.pattern.as_ref().is_none_or(|p| p.is_in(row.text(passwords).as_str()))
    }

    /// Whether a connection is one of those that the filter names, by number or by session.
    fn is_of(&self, connection: Option<ConnectionName>) -> bool {
        let is_newest = |newest: &Newest, name: ConnectionName| {
            newest.number == name.number && newest.session <= name.id
        };
        let is_named = |name: ConnectionName| {
            self.sessions.contains(&name.id)
                || self.numbers.iter().any(|newest| is_newest(newest, name))
        };
        (self.numbers.is_empty() && self.sessions.is_empty()) || connection.is_some_and(is_named)
    }

    /// Takes note of a connection. Returns whether rows that passed pass no more: a number that the
    /// filter names belongs to a newer connection now.
    pub(super) fn meets(&mut self, connection: ConnectionName) -> bool {
        let mut is_news = false;
        for newest in self.numbers.iter_mut().filter(|one| one.number == connection.number) {
            is_news |= newest.session < connection.id;
            newest.session = newest.session.max(connection.id);
        }
        is_news
    }

    const fn is_qualified(&self) -> bool {
        !(self.sides.is_empty()
            && self.services.is_empty()
            && self.numbers.is_empty()
            && self.sessions.is_empty())
    }

    /// Takes the first word of `rest` if it names a side, a service or a connection; returns the
    /// text after it.
    fn take_word<'a>(&mut self, rest: &'a str) -> Option<&'a str> {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(side) = side(word) {
            self.sides.push(side);
        } else if let Some(service) = service(word) {
            self.services.push(service);
        } else if let Some(session) = session(word) {
            self.sessions.push(session);
        } else {
            self.numbers.push(Newest { number: number(word)?, session: 0 });
        }
        Some(behind)
    }
}

/// Whether `it` is in the list; true if the list is empty.
fn is_one_of<T: PartialEq>(named: &[T], it: Option<T>) -> bool {
    named.is_empty() || it.is_some_and(|it| named.contains(&it))
}

fn side(word: &str) -> Option<Side> {
    match word {
        "C:" => Some(Side::Client),
        "S:" => Some(Side::Server),
        _ => None,
    }
}

fn service(word: &str) -> Option<Service> {
    let name = word.strip_prefix('@')?;
    let services = [Service::Echo, Service::Smtp, Service::Pop3, Service::Relay];
    services.into_iter().find(|service| service.name() == name)
}

/// The session that a word like `#12` names.
pub(super) fn session(word: &str) -> Option<u64> {
    word.strip_prefix('#')?.parse().ok()
}

fn number(word: &str) -> Option<i32> {
    word.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::row::Row;
    use crate::watch::event::{ConnectionName, Event, KeptLine, Kind};
    use std::time::SystemTime;

    fn said(number: i32, service: Service, side: Side, text: &str) -> Row {
        let connection = ConnectionName { id: 1, number, service };
        let kind = Kind::Line(side, KeptLine::new(text.as_bytes()));
        Row::Event(Event { connection, at: SystemTime::UNIX_EPOCH, kind })
    }

    fn let_through(typed: &str) -> Vec<usize> {
        let rows = [
            said(12, Service::Smtp, Side::Client, "RCPT TO:<a@localhost>"),
            said(12, Service::Smtp, Side::Server, "250 OK"),
            said(14, Service::Pop3, Side::Client, "RETR 1"),
            said(14, Service::Pop3, Side::Server, "-ERR no such message"),
            Row::Skipped(7),
        ];
        let filter = Filter::parse(typed).unwrap().unwrap();
        assert_eq!(filter.as_str(), typed);
        let passes = |row: &Row| filter.lets_through(row, Passwords::Masked);
        (0..rows.len()).filter(|&n| passes(&rows[n])).collect()
    }

    #[test]
    fn sides_services_and_connections_are_named_first() {
        assert_eq!(let_through("C:"), [0, 2]);
        assert_eq!(let_through("S: "), [1, 3]);
        assert_eq!(let_through("@pop3"), [2, 3]);
        assert_eq!(let_through("[12]"), [0, 1]);
        assert_eq!(let_through("[12] C:"), [0]);
    }

    #[test]
    fn connections_that_had_one_number_are_told_apart_by_their_sessions() {
        let on = |id| {
            let connection = ConnectionName { id, number: 12, service: Service::Smtp };
            let kind = Kind::Line(Side::Client, KeptLine::new(b"NOOP"));
            Row::Event(Event { connection, at: SystemTime::UNIX_EPOCH, kind })
        };
        let lets_through = |typed: &str, id| {
            Filter::parse(typed).unwrap().unwrap().lets_through(&on(id), Passwords::Masked)
        };
        assert!(lets_through("#7", 7) && lets_through("#7 C: noop", 7) && lets_through("[12]", 7));
        assert!(!lets_through("#7", 8) && !lets_through("#7", 77) && !lets_through("#70", 7));
        assert!(lets_through("#7 #8", 8) && lets_through("#7 [12]", 8));
    }

    #[test]
    fn a_number_means_the_newest_connection_that_has_it() {
        let row = |id, number| {
            let connection = ConnectionName { id, number, service: Service::Smtp };
            let kind = Kind::Line(Side::Client, KeptLine::new(b"NOOP"));
            Row::Event(Event { connection, at: SystemTime::UNIX_EPOCH, kind })
        };
        let mut filter = Filter::parse("[12] [14]").unwrap().unwrap();
        let passes =
            |filter: &Filter, id, number| filter.lets_through(&row(id, number), Passwords::Masked);
        let name = |id, number| ConnectionName { id, number, service: Service::Smtp };
        assert!(passes(&filter, 3, 12) && passes(&filter, 4, 12) && passes(&filter, 5, 14));
        assert!(filter.meets(name(4, 12)) && !filter.meets(name(4, 12)));
        assert!(!filter.meets(name(3, 12)) && !filter.meets(name(9, 13)));
        assert!(!passes(&filter, 3, 12) && passes(&filter, 4, 12) && passes(&filter, 5, 14));
        assert_eq!(filter, Filter::parse("[12] [14]").unwrap().unwrap());
    }

    #[test]
    fn of_several_of_a_kind_either_will_do() {
        assert_eq!(let_through("[12] [14] S:"), [1, 3]);
        assert_eq!(let_through("@pop3 @smtp C:"), [0, 2]);
        assert_eq!(let_through("C: S: ok"), [1]);
    }

    #[test]
    fn what_is_behind_them_is_looked_for() {
        assert_eq!(let_through("C: r"), [0, 2]);
        assert_eq!(let_through("@smtp C: rcpt to"), [0]);
        assert_eq!(let_through("@pop3 /-err|retr/"), [2, 3]);
        assert_eq!(let_through("skipped"), [4]);
    }

    #[test]
    fn what_only_looks_like_a_name_is_text() {
        assert_eq!(let_through("@localhost"), [0]);
        assert_eq!(let_through("rcpt C:"), Vec::<usize>::new());
        assert_eq!(let_through("[12"), [0, 1]);
    }

    #[test]
    fn nothing_is_no_filter_and_nonsense_is_explained() {
        assert_eq!(Filter::parse("  "), Ok(None));
        assert!(Filter::parse("C: /(/").is_err());
    }
}
