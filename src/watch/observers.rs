//! The observers of the connections: any number of them, each with its own limit. Without
//! observers, events are not even made.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::watch::event::{ConnectionName, Event, KeptLine, Kind, Side};
use crate::watch::fact::{Fact, FactEvent, PackedFact, UID_AT_ONCE_MOST};
use crate::wire::line::Line;

/// Receives events. It is called from many tasks at once and must not wait; an event that it cannot
/// take at once it drops and counts.
pub trait Observer: Send + Sync + 'static {
    /// Takes one event.
    fn observe(&self, event: Event);

    /// Takes several events, in order.
    fn observe_all(&self, events: &mut dyn Iterator<Item = Event>) {
        events.for_each(|event| self.observe(event));
    }

    /// Takes a line without an event, and so without memory of its own for it; returns whether it has.
    /// One that it has not taken comes as an event.
    fn take_line(&self, _connection: ConnectionName, _at: SystemTime, _said: Said<'_>) -> bool {
        false
    }

    /// Whether it wants message text line by line. If not, it gets none, whatever other observers
    /// want.
    fn wants_text(&self) -> bool;

    /// Whether it wants read ends. If another observer does, lines carry them even if this returns
    /// `false`.
    fn wants_reads(&self) -> bool {
        false
    }

    /// How much it wants to know of what has come of conversations. One that will ever want anything
    /// says so from the start: the directory is only followed if somebody wants to know of it then.
    fn facts_wanted(&self) -> FactsWanted {
        FactsWanted::None
    }

    /// Takes a fact; called only if it wants any. The same rules hold as for
    /// [`observe`](Self::observe).
    fn fact(&self, _event: FactEvent) {}

    /// Takes a fact by its octets, and so without memory of its own for it; returns whether it has. One
    /// that it has not taken comes with [`fact`](Self::fact).
    fn take_packed(
        &self,
        _connection: Option<ConnectionName>,
        _at: SystemTime,
        _fact: PackedFact<'_>,
    ) -> bool {
        false
    }
}

/// A whole line of a connection, before anybody has kept it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Who says it.
    pub side: Side,
    /// The line.
    pub line: Line<'a>,
    /// Whether all of it is secret: an answer during AUTH.
    pub is_answer: bool,
}

/// How much an observer wants to know of what has come of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactsWanted {
    /// Nothing: no fact is made.
    None,
    /// Facts, but for what is expensive: they are kept, and nobody reads them yet.
    Cheap,
    /// Facts with everything in them: somebody reads them now.
    Whole,
}

impl FactsWanted {
    /// Octets of the longest message whose unique-id is computed for a fact; `None` if no fact is
    /// wanted.
    #[must_use]
    pub const fn uid_most(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Cheap => Some(UID_AT_ONCE_MOST),
            Self::Whole => Some(u64::MAX),
        }
    }
}

/// All observers of the connections of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Observers(Option<Arc<[Arc<dyn Observer>]>>);

impl Observers {
    /// No observers: making an event costs nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// A single observer.
    #[must_use]
    pub fn one(observer: Arc<dyn Observer>) -> Self {
        Self(Some([observer].into()))
    }

    /// Adds an observer, which gets every event after the others.
    #[must_use]
    pub fn and(self, observer: Arc<dyn Observer>) -> Self {
        let before = self.0.iter().flat_map(|observers| observers.iter().cloned());
        Self(Some(before.chain([observer]).collect()))
    }

    /// Whether there is at least one observer.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether any of them wants message text line by line.
    #[must_use]
    pub fn want_text(&self) -> bool {
        self.all().iter().any(|observer| observer.wants_text())
    }

    /// Whether any of them wants read ends.
    #[must_use]
    pub fn want_reads(&self) -> bool {
        self.all().iter().any(|observer| observer.wants_reads())
    }

    /// The most that any of them wants to know of what has come of conversations.
    #[must_use]
    pub fn facts_wanted(&self) -> FactsWanted {
        let wanted = self.all().iter().map(|observer| observer.facts_wanted());
        wanted.max().unwrap_or(FactsWanted::None)
    }

    /// Makes a fact and passes it to the observers that want facts; `fact` is called only if there
    /// are any. `connection` is what it has come of, if it has come of one.
    pub fn tell_fact(&self, connection: Option<ConnectionName>, fact: impl FnOnce() -> Fact) {
        if self.facts_wanted() == FactsWanted::None {
            return;
        }
        let event = FactEvent { connection, at: SystemTime::now(), fact: fact() };
        let wanting = |one: &&Arc<dyn Observer>| one.facts_wanted() > FactsWanted::None;
        let mut wanting = self.all().iter().filter(wanting).peekable();
        while let Some(observer) = wanting.next() {
            if wanting.peek().is_none() {
                // The last one takes the fact itself.
                observer.fact(event);
                return;
            }
            observer.fact(event.clone());
        }
    }

    /// Passes a fact to the observers that want facts: to those that do not take it as it is, unpacked.
    pub fn tell_packed(&self, connection: Option<ConnectionName>, fact: PackedFact<'_>) {
        let at = SystemTime::now();
        let wanting =
            self.all().iter().filter(|observer| observer.facts_wanted() > FactsWanted::None);
        for observer in wanting {
            if !observer.take_packed(connection, at, fact) {
                let fact = (fact.unpack)(fact.parts);
                observer.fact(FactEvent { connection, at, fact });
            }
        }
    }

    /// Makes an event and passes it to the observers; `kind` is called only if there are any.
    pub fn tell(&self, connection: ConnectionName, kind: impl FnOnce() -> Kind) {
        let Some((last, others)) = self.all().split_last() else { return };
        let event = Event { connection, at: SystemTime::now(), kind: kind() };
        for observer in others.iter().filter(|observer| wants(observer, &event)) {
            observer.observe(event.clone());
        }
        // The last observer takes the event itself: with a single observer nothing is cloned.
        if wants(last, &event) {
            last.observe(event);
        }
    }

    /// Passes a line to the observers. To those that do not take it as it is, it comes as an event with
    /// what `kept` returns.
    pub fn tell_line(
        &self,
        connection: ConnectionName,
        said: Said<'_>,
        kept: impl FnOnce() -> KeptLine,
    ) {
        if !self.is_any() {
            return;
        }
        let at = SystemTime::now();
        let waits = |one: &&Arc<dyn Observer>| !one.take_line(connection, at, said);
        let mut waiting = self.all().iter().filter(waits);
        let Some(mut observer) = waiting.next() else { return };
        let event = Event { connection, at, kind: Kind::Line(said.side, kept()) };
        for next in waiting {
            observer.observe(event.clone());
            observer = next;
        }
        // The last one takes the event itself.
        observer.observe(event);
    }

    /// Reports several events that happened at once on one connection. A single observer gets them
    /// one by one; for several, all of them are collected first, so the caller must bound their
    /// number.
    pub fn tell_all(&self, connection: ConnectionName, kinds: impl Iterator<Item = Kind>) {
        // One reading of the clock serves all of them.
        let at = SystemTime::now();
        let mut events = kinds.map(|kind| Event { connection, at, kind });
        match self.all() {
            [] => {}
            [only] => only.observe_all(&mut events.filter(|event| wants(only, event))),
            several => {
                let events: Vec<Event> = events.by_ref().collect();
                for observer in several {
                    let wanted = events.iter().filter(|event| wants(observer, event));
                    observer.observe_all(&mut wanted.cloned());
                }
            }
        }
    }

    fn all(&self) -> &[Arc<dyn Observer>] {
        self.0.as_deref().unwrap_or_default()
    }
}

fn wants(observer: &Arc<dyn Observer>, event: &Event) -> bool {
    !matches!(event.kind, Kind::TextLine(..)) || observer.wants_text()
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.all().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::watch::event::{KeptLine, Service, Side};

    const NAME: ConnectionName = ConnectionName { id: 1, number: 7, service: Service::Echo };

    /// Keeps what it is told.
    struct Keeper {
        kinds: Mutex<Vec<Kind>>,
        facts: Mutex<Vec<FactEvent>>,
        wants_text: bool,
        facts_wanted: FactsWanted,
    }

    impl Default for Keeper {
        fn default() -> Self {
            let (kinds, facts) = (Mutex::default(), Mutex::default());
            Self { kinds, facts, wants_text: false, facts_wanted: FactsWanted::None }
        }
    }

    impl Observer for Keeper {
        fn observe(&self, event: Event) {
            self.kinds.lock().unwrap().push(event.kind);
        }

        fn wants_text(&self) -> bool {
            self.wants_text
        }

        fn facts_wanted(&self) -> FactsWanted {
            self.facts_wanted
        }

        fn fact(&self, event: FactEvent) {
            self.facts.lock().unwrap().push(event);
        }
    }

    fn text_line() -> Kind {
        Kind::TextLine(Side::Client, KeptLine::new(b"Dear all"))
    }

    #[test]
    fn no_event_is_made_without_an_observer() {
        Observers::none().tell(NAME, || unreachable!("an event was made for nobody"));
        let kinds = std::iter::from_fn(|| unreachable!("an event was made for nobody"));
        Observers::none().tell_all(NAME, kinds);
    }

    #[test]
    fn no_fact_is_made_that_nobody_wants_and_those_who_want_it_get_it() {
        let none = || -> Fact { unreachable!("a fact was made for nobody") };
        Observers::none().tell_fact(Some(NAME), none);
        let other = Arc::new(Keeper::default());
        let observers = Observers::one(Arc::clone(&other) as _);
        observers.tell_fact(Some(NAME), none);
        assert_eq!(observers.facts_wanted().uid_most(), None);
        let wanting = |facts_wanted| Arc::new(Keeper { facts_wanted, ..Keeper::default() });
        let (cheap, whole) = (wanting(FactsWanted::Cheap), wanting(FactsWanted::Whole));
        let observers = observers.and(Arc::clone(&cheap) as _);
        assert_eq!(observers.facts_wanted().uid_most(), Some(UID_AT_ONCE_MOST));
        let observers = observers.and(Arc::clone(&whole) as _);
        assert_eq!(observers.facts_wanted().uid_most(), Some(u64::MAX));
        let fact = Fact::Login { mailbox: "bob".into(), ok: true };
        observers.tell_fact(None, || fact.clone());
        for (keeper, told) in [(&other, 0), (&cheap, 1), (&whole, 1)] {
            let facts = keeper.facts.lock().unwrap();
            assert_eq!(facts.len(), told);
            assert!(facts.iter().all(|event| event.fact == fact && event.connection.is_none()));
        }
    }

    #[test]
    fn each_observer_is_told_what_it_wants() {
        let reader = Arc::new(Keeper { wants_text: true, ..Keeper::default() });
        let other = Arc::new(Keeper::default());
        for observers in [
            Observers::one(Arc::clone(&reader) as _).and(Arc::clone(&other) as _),
            Observers::none().and(Arc::clone(&other) as _).and(Arc::clone(&reader) as _),
        ] {
            assert!(observers.want_text() && !observers.want_reads());
            observers.tell(NAME, text_line);
            observers.tell_all(NAME, [text_line(), Kind::Text { octets: 10 }].into_iter());
            observers.tell(NAME, || Kind::Closed);
            let told = |keeper: &Keeper| std::mem::take(&mut *keeper.kinds.lock().unwrap());
            let text = Kind::Text { octets: 10 };
            let all = [text_line(), text_line(), text.clone(), Kind::Closed];
            assert_eq!(told(&reader), all);
            assert_eq!(told(&other), [text, Kind::Closed]);
        }
    }

    #[test]
    fn one_observer_that_wants_no_text_is_told_of_none() {
        let other = Arc::new(Keeper::default());
        let observers = Observers::one(Arc::clone(&other) as _);
        observers.tell_all(NAME, [text_line(), Kind::Closed].into_iter());
        assert_eq!(*other.kinds.lock().unwrap(), [Kind::Closed]);
    }
}
