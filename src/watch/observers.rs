//! Who is told what happens on connections: any number of observers, each with its own bound. Where
//! there is none, an event is not even made.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::watch::event::{ConnectionName, Event, Kind};

/// Takes events in. Called from many tasks at once, and never waits: what cannot be taken at
/// once is the observer's to count.
pub trait Observer: Send + Sync + 'static {
    /// Takes one event.
    fn observe(&self, event: Event);

    /// Takes several, in their order.
    fn observe_all(&self, events: &mut dyn Iterator<Item = Event>) {
        events.for_each(|event| self.observe(event));
    }

    /// Whether message text is wanted line by line. An observer that does not want it is told of
    /// none, whatever others want.
    fn wants_text(&self) -> bool;

    /// Whether it is wanted where in a line a read ended. Others may want it, so that lines may
    /// tell it where this is `false`.
    fn wants_reads(&self) -> bool {
        false
    }
}

/// Everyone who observes the connections of a process. Clones are the same observers.
#[derive(Clone, Default)]
pub struct Observers(Option<Arc<[Arc<dyn Observer>]>>);

impl Observers {
    /// No observer: making an event costs nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// One observer.
    #[must_use]
    pub fn one(observer: Arc<dyn Observer>) -> Self {
        Self(Some([observer].into()))
    }

    /// These, and one more, which is told of everything last.
    #[must_use]
    pub fn and(self, observer: Arc<dyn Observer>) -> Self {
        let before = self.0.iter().flat_map(|observers| observers.iter().cloned());
        Self(Some(before.chain([observer]).collect()))
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether any of them wants message text line by line.
    #[must_use]
    pub fn want_text(&self) -> bool {
        self.all().iter().any(|observer| observer.wants_text())
    }

    /// Whether any of them wants to know where in a line a read ended.
    #[must_use]
    pub fn want_reads(&self) -> bool {
        self.all().iter().any(|observer| observer.wants_reads())
    }

    /// Makes an event and tells it, if there is anyone to tell.
    pub fn tell(&self, connection: ConnectionName, kind: impl FnOnce() -> Kind) {
        let Some((last, others)) = self.all().split_last() else { return };
        let event = Event { connection, at: SystemTime::now(), kind: kind() };
        for observer in others.iter().filter(|observer| wants(observer, &event)) {
            observer.observe(event.clone());
        }
        if wants(last, &event) {
            last.observe(event);
        }
    }

    /// Tells what has happened at once on one connection. With one observer, nothing is kept on
    /// the way; with several, all of it is, so that the caller bounds how much it is.
    pub fn tell_all(&self, connection: ConnectionName, kinds: impl Iterator<Item = Kind>) {
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
    #[derive(Default)]
    struct Keeper {
        kinds: Mutex<Vec<Kind>>,
        wants_text: bool,
    }

    impl Observer for Keeper {
        fn observe(&self, event: Event) {
            self.kinds.lock().unwrap().push(event.kind);
        }

        fn wants_text(&self) -> bool {
            self.wants_text
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
