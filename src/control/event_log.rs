//! The last events of a process, as values, for any number of readers. Whoever tells an event never
//! waits for a reader: one that is too far behind misses events, and is told how many.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::control::kept_octets::{KeptOctets, Place};
use crate::watch::event::{ConnectionName, Event, KeptLine, Kind, Side};
use crate::watch::fact::{Fact, FactEvent, PackedFact, Unpack};
use crate::watch::kept::kept_of;
use crate::watch::observers::{FactsWanted, Observer, Said};

/// Events that are kept, and so the most that may wait for a reader.
pub const EVENTS_KEPT: usize = 10_000;

/// Octets of memory that lines and facts take, with the texts of short messages. Beyond it fewer
/// events are kept.
pub const OCTETS_KEPT: usize = 32 * 1024 * 1024;

/// Keeps the last events.
#[derive(Debug)]
pub struct EventLog {
    kept: Mutex<Kept>,
    /// Wakes the readers that wait.
    moved: Notify,
    readers: AtomicUsize,
}

#[derive(Debug)]
struct Kept {
    slots: VecDeque<Slot>,
    /// The number of the first of `slots`, or of the next if there is none.
    first: u64,
    /// What the slots have a [`Place`] for.
    octets: KeptOctets,
    /// Octets of memory that the facts take, but for packed ones.
    facts: usize,
    most: usize,
    /// The time of the last event: later ones are not earlier.
    at: SystemTime,
    /// The peers of the connections that are open, and of those whose end is kept.
    peers: FxHashMap<u64, SocketAddr>,
    /// Whether a reader waits for the next event.
    is_awaited: bool,
    is_closed: bool,
}

/// An event as it is kept. Small, because there are ten thousand, and each event of each connection
/// passes through one.
#[derive(Debug)]
struct Slot {
    at: SystemTime,
    connection: Option<ConnectionName>,
    what: Short,
}

/// What happened, in short.
#[derive(Debug)]
enum Short {
    Opened(SocketAddr),
    Closed,
    Text(u64),
    Line {
        side: Side,
        is_answer: bool,
        /// What is kept of it.
        kept: Place,
        /// Octets of the whole line.
        octets: u64,
    },
    Fact(Box<Fact>),
    /// The parts of a fact, each behind its length, and how they make one.
    Packed(Place, Unpack),
}

/// An event, and where and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Wall-clock time; never earlier than that of the event before it.
    pub at: SystemTime,
    /// The connection; `None` for what belongs to none.
    pub connection: Option<ConnectionName>,
    /// The other end of the connection, as long as it is open.
    pub peer: Option<SocketAddr>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something on a connection.
    Event(Kind),
    /// Something that came of it.
    Fact(Fact),
    /// So many events are missing here.
    Dropped(u64),
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the oldest event that is kept.
    Start,
    /// With the next event.
    Now,
    /// With the first event that is not earlier.
    Time(SystemTime),
}

impl Default for EventLog {
    fn default() -> Self {
        Self::keeping(EVENTS_KEPT)
    }
}

impl EventLog {
    fn keeping(most: usize) -> Self {
        let kept = Kept {
            // All of it at once: what is not used yet takes no memory, and growing would copy it.
            slots: VecDeque::with_capacity(most + 1),
            first: 0,
            octets: KeptOctets::default(),
            facts: 0,
            most,
            at: SystemTime::UNIX_EPOCH,
            peers: FxHashMap::default(),
            is_awaited: false,
            is_closed: false,
        };
        Self { kept: Mutex::new(kept), moved: Notify::new(), readers: AtomicUsize::new(0) }
    }

    /// A reader that follows the events from there on.
    #[must_use]
    pub fn reader(self: &Arc<Self>, since: Since) -> Reader {
        self.readers.fetch_add(1, Relaxed);
        let next = self.kept.lock().number(since);
        Reader { log: Arc::clone(self), next, until: u64::MAX }
    }

    /// Ends the readers after the last event. What is told later is not kept.
    pub fn close(&self) {
        self.kept.lock().is_closed = true;
        self.moved.notify_waiters();
    }

    /// Keeps what `push` adds, and wakes the readers that wait for it.
    fn keep(&self, push: impl FnOnce(&mut Kept)) {
        let is_awaited = {
            let mut kept = self.kept.lock();
            if kept.is_closed {
                return;
            }
            push(&mut kept);
            std::mem::take(&mut kept.is_awaited)
        };
        // Not for every event: waking takes longer than keeping.
        if is_awaited {
            self.moved.notify_waiters();
        }
    }
}

impl Observer for EventLog {
    fn take_line(&self, connection: ConnectionName, at: SystemTime, said: Said<'_>) -> bool {
        let (line, octets) = kept_of(&said.line);
        self.keep(|kept| kept.push_line(connection, at, said.side, line, octets, said.is_answer));
        true
    }

    fn observe(&self, event: Event) {
        self.keep(|kept| kept.push_event(event));
    }

    fn observe_all(&self, events: &mut dyn Iterator<Item = Event>) {
        self.keep(|kept| events.for_each(|event| kept.push_event(event)));
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn facts_wanted(&self) -> FactsWanted {
        match self.readers.load(Relaxed) {
            0 => FactsWanted::Cheap,
            1.. => FactsWanted::Whole,
        }
    }

    fn fact(&self, FactEvent { connection, at, fact }: FactEvent) {
        let fact = Box::new(fact);
        self.keep(|kept| kept.push(Slot { at, connection, what: Short::Fact(fact) }));
    }

    fn take_packed(
        &self,
        connection: Option<ConnectionName>,
        at: SystemTime,
        fact: PackedFact<'_>,
    ) -> bool {
        self.keep(|kept| kept.push_packed(connection, at, fact));
        true
    }
}

impl Kept {
    /// Keeps an event, unless it is a remark of the transcript or message text.
    fn push_event(&mut self, Event { connection, at, kind }: Event) {
        let what = match kind {
            Kind::Opened { peer } => {
                self.peers.insert(connection.id, peer);
                Short::Opened(peer)
            }
            Kind::Closed => Short::Closed,
            Kind::Text { octets } => Short::Text(octets),
            Kind::Line(side, line) => {
                let (octets, is_answer) = (line.octets(), line.is_answer());
                return self.push_line(connection, at, side, line.bytes(), octets, is_answer);
            }
            Kind::Note(_) | Kind::TextLine(..) => return,
        };
        self.push(Slot { at, connection: Some(connection), what });
    }

    /// Keeps a line of `octets` octets in all, which begins with `line`.
    fn push_line(
        &mut self,
        connection: ConnectionName,
        at: SystemTime,
        side: Side,
        line: &[u8],
        octets: u64,
        is_answer: bool,
    ) {
        let kept = self.octets.keep(line.len(), |octets| octets.extend_from_slice(line));
        let what = Short::Line { side, is_answer, kept, octets };
        self.push(Slot { at, connection: Some(connection), what });
    }

    fn push_packed(
        &mut self,
        connection: Option<ConnectionName>,
        at: SystemTime,
        PackedFact { parts, unpack }: PackedFact<'_>,
    ) {
        let octets = parts.iter().map(|part| LENGTH + part.len()).sum();
        let place = self.octets.keep(octets, |octets| {
            for part in parts {
                octets.extend_from_slice(&part.len().to_ne_bytes());
                octets.extend_from_slice(part);
            }
        });
        self.push(Slot { at, connection, what: Short::Packed(place, unpack) });
    }

    fn push(&mut self, mut slot: Slot) {
        self.at = self.at.max(slot.at);
        slot.at = self.at;
        if let Short::Fact(fact) = &slot.what {
            self.facts += octets_of(fact);
        }
        self.slots.push_back(slot);
        while self.slots.len() > self.most || self.octets.octets() + self.facts > OCTETS_KEPT {
            let Some(oldest) = self.slots.pop_front() else { return };
            self.first += 1;
            self.forget(&oldest);
        }
    }

    /// Drops what was kept for a slot.
    fn forget(&mut self, Slot { connection, what, .. }: &Slot) {
        match what {
            Short::Line { kept: place, .. } | Short::Packed(place, _) => {
                self.octets.forget_before(*place);
            }
            Short::Fact(fact) => self.facts -= octets_of(fact),
            Short::Closed => {
                connection.and_then(|name| self.peers.remove(&name.id));
            }
            Short::Opened(_) | Short::Text(_) => {}
        }
    }

    /// The event in a slot.
    fn entry(&self, slot: &Slot) -> Entry {
        let peer = slot.connection.and_then(|name| self.peers.get(&name.id).copied());
        let what = match &slot.what {
            Short::Opened(peer) => What::Event(Kind::Opened { peer: *peer }),
            Short::Closed => What::Event(Kind::Closed),
            Short::Text(octets) => What::Event(Kind::Text { octets: *octets }),
            Short::Line { side, is_answer, kept, octets } => {
                let line = KeptLine::beginning(self.octets.at(*kept), *octets);
                What::Event(Kind::Line(*side, if *is_answer { line.answer() } else { line }))
            }
            Short::Packed(place, unpack) => {
                let parts: Vec<&[u8]> = Parts(self.octets.at(*place)).collect();
                What::Fact(unpack(&parts))
            }
            Short::Fact(fact) => What::Fact((**fact).clone()),
        };
        Entry { at: slot.at, connection: slot.connection, peer, what }
    }

    /// The number of the event that comes next.
    fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn number(&self, since: Since) -> u64 {
        match since {
            Since::Start => self.first,
            Since::Now => self.next(),
            Since::Time(time) => {
                self.first + self.slots.partition_point(|slot| slot.at < time) as u64
            }
        }
    }

    /// What a reader takes that has come to `next`, and where it is then; `None` if there is nothing
    /// yet.
    fn after(&self, next: u64, until: u64) -> Option<(Entry, u64)> {
        let end = self.first.min(until);
        if next < end {
            let at = self.slots.front().map_or(self.at, |slot| slot.at);
            let what = What::Dropped(end - next);
            return Some((Entry { at, connection: None, peer: None, what }, end));
        }
        let place = usize::try_from(next - self.first).ok()?;
        self.slots.get(place).map(|slot| (self.entry(slot), next + 1))
    }
}

/// Octets of the length before a part of a packed fact.
const LENGTH: usize = size_of::<usize>();

/// The parts of a packed fact.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<LENGTH>()?;
        let (part, rest) = rest.split_at_checked(usize::from_ne_bytes(*length))?;
        self.0 = rest;
        Some(part)
    }
}

/// Octets of memory that a fact owns.
fn octets_of(fact: &Fact) -> usize {
    let of_list = |list: &[String]| list.iter().map(|one| one.len() + size_of::<String>()).sum();
    let more = match fact {
        Fact::Stored(stored) => {
            let to: usize = of_list(&stored.to);
            stored.content.octets_kept() + to + stored.from.len()
        }
        Fact::Fetched(message) | Fact::Deleted(message) => message.uid.octets_kept(),
        Fact::Refused { reply, .. } => reply.len(),
        Fact::Fault { told, .. } => told.len(),
        Fact::Relayed { reply, .. } => reply.len(),
        Fact::Queued { to, .. } | Fact::RelayAttempt { to, .. } => of_list(to),
        Fact::Held { point, .. } => point.len(),
        Fact::Login { .. }
        | Fact::Listening { .. }
        | Fact::Stopped { .. }
        | Fact::Mailbox { .. } => 0,
    };
    size_of::<Fact>() + more
}

/// Reads the events of a log one after the other.
#[derive(Debug)]
pub struct Reader {
    log: Arc<EventLog>,
    /// The number of the event that it reads next.
    next: u64,
    /// The number at which it ends.
    until: u64,
}

impl Reader {
    /// The same, which ends with the last event that there is now.
    #[must_use]
    pub fn until_now(mut self) -> Self {
        self.until = self.log.kept.lock().next();
        self
    }

    /// The next event; in the place of those that it has missed, one that says how many. `None` after
    /// the last one. Cancel safe.
    pub async fn next(&mut self) -> Option<Entry> {
        let Self { log, next, until } = self;
        loop {
            let mut moved = pin!(log.moved.notified());
            // Registered before the look, so that an event between the two is noticed.
            moved.as_mut().enable();
            {
                let mut kept = log.kept.lock();
                if *next >= *until {
                    return None;
                }
                if let Some((entry, after)) = kept.after(*next, *until) {
                    *next = after;
                    return Some(entry);
                }
                if kept.is_closed {
                    return None;
                }
                kept.is_awaited = true;
            }
            moved.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.readers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::Service;
    use crate::watch::observers::Observers;
    use std::time::Duration;

    const NAME: ConnectionName = ConnectionName { id: 1, number: 7, service: Service::Smtp };

    fn event(seconds: u64, text: &str) -> Event {
        let kind = Kind::Line(Side::Client, KeptLine::new(text.as_bytes()));
        Event { connection: NAME, at: at(seconds), kind }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn word(entry: Entry) -> String {
        match entry.what {
            What::Event(Kind::Line(_, line)) => line.shown().into_string(),
            What::Dropped(count) => format!("-{count}"),
            other => format!("{other:?}"),
        }
    }

    async fn all(mut reader: Reader) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(entry) = reader.next().await {
            words.push(word(entry));
        }
        words
    }

    fn log(most: usize, count: u64) -> Arc<EventLog> {
        let log = Arc::new(EventLog::keeping(most));
        (0..count).for_each(|n| log.observe(event(n, &n.to_string())));
        log
    }

    #[tokio::test]
    async fn a_reader_begins_where_it_is_told_to() {
        let log = log(3, 5);
        let read = |since| all(log.reader(since).until_now());
        assert_eq!(read(Since::Start).await, ["2", "3", "4"]);
        assert_eq!(read(Since::Time(at(4))).await, ["4"]);
        assert_eq!(read(Since::Time(at(9))).await, [""; 0]);
        assert_eq!(read(Since::Now).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_reader_that_is_behind_is_told_how_many_events_it_missed() {
        let log = log(3, 2);
        let mut reader = log.reader(Since::Start);
        assert_eq!(reader.next().await.map(word).as_deref(), Some("0"));
        (2..9).for_each(|n| log.observe(event(n, &n.to_string())));
        let behind = log.reader(Since::Start);
        log.close();
        assert_eq!(all(reader).await, ["-5", "6", "7", "8"]);
        assert_eq!(all(behind).await, ["6", "7", "8"]);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_and_ended() {
        let log = log(3, 0);
        let reader = tokio::spawn(all(log.reader(Since::Now)));
        while !log.kept.lock().is_awaited {
            tokio::task::yield_now().await;
        }
        log.observe_all(&mut [event(1, "a"), event(2, "b")].into_iter());
        log.close();
        log.observe(event(3, "late"));
        assert_eq!(reader.await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn time_never_goes_back_and_the_peer_is_known_while_the_end_is_kept() {
        let log = log(9, 0);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let tell = |seconds, kind| log.observe(Event { connection: NAME, at: at(seconds), kind });
        tell(5, Kind::Opened { peer });
        tell(3, Kind::Note("no event".into()));
        log.observe(event(3, "x"));
        tell(7, Kind::Closed);
        log.observe(event(6, "y"));
        let mut reader = log.reader(Since::Start).until_now();
        let mut seen = Vec::new();
        while let Some(entry) = reader.next().await {
            seen.push((entry.at, entry.peer));
        }
        let here = Some(peer);
        assert_eq!(seen, [(at(5), here), (at(5), here), (at(7), here), (at(7), here)]);
        (8..20).for_each(|n| log.observe(event(n, "z")));
        assert!(log.kept.lock().peers.is_empty());
    }

    #[test]
    fn long_lines_leave_room_for_fewer_events() {
        let log = log(EVENTS_KEPT, 0);
        let line = "x".repeat(4_096);
        (0..9_000).for_each(|n| log.observe(event(n, &line)));
        let kept = log.kept.lock();
        assert!(kept.octets.octets() <= OCTETS_KEPT && kept.slots.len() < 9_000);
        assert_eq!(kept.next(), 9_000);
    }

    #[tokio::test]
    async fn a_packed_fact_is_read_as_the_fact_that_its_parts_make() {
        fn unpack(parts: &[&[u8]]) -> Fact {
            let mailbox = parts.iter().map(|part| String::from_utf8_lossy(part) + ";").collect();
            Fact::Login { mailbox, ok: true }
        }
        let log = log(3, 1);
        let parts: [&[u8]; 3] = [b"bob", b"", b"more"];
        let at = at(1);
        assert!(log.take_packed(Some(NAME), at, PackedFact { parts: &parts, unpack }));
        let mut reader = log.reader(Since::Time(at)).until_now();
        let what = What::Fact(Fact::Login { mailbox: "bob;;more;".into(), ok: true });
        let entry = Entry { at, connection: Some(NAME), peer: None, what };
        assert_eq!(reader.next().await, Some(entry));
        assert_eq!(reader.next().await, None);
    }

    #[test]
    fn facts_are_wanted_whole_while_somebody_reads() {
        let log = log(3, 0);
        let observers = Observers::one(Arc::clone(&log) as _);
        assert_eq!(observers.facts_wanted(), FactsWanted::Cheap);
        let reader = log.reader(Since::Now);
        assert_eq!(observers.facts_wanted(), FactsWanted::Whole);
        drop(reader);
        assert_eq!(observers.facts_wanted(), FactsWanted::Cheap);
    }
}
