//! Commands and replies that wait for an operator: what is held, and what is decided about it.
//! Knows neither what is said nor how it is sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::fault::breakpoint::{Breakpoint, Side};
use crate::fault::point::{Place, Point};
use crate::fault::progress::Progress;
use crate::fault::rule::Who;
use crate::watch::event::Service;

/// The most that are held at the same time. Then the oldest is let go.
pub const HELD_MOST: usize = 100;

/// The most breakpoints.
const BREAKPOINTS_MOST: usize = 1_000;

/// How long something is held if nothing is said of it.
pub const USUAL_PATIENCE: Duration = Duration::from_mins(10);

/// The breakpoints of a process, and what is held at them.
#[derive(Debug)]
pub struct Holds {
    inner: Mutex<Inner>,
    /// Whether anything may be held now, to be asked at every line.
    is_active: AtomicBool,
    patience: Duration,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    breakpoints: Vec<Breakpoint>,
    is_off: bool,
    last_id: u64,
    held: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    held: Held,
    decide: oneshot::Sender<Decision>,
}

/// A place where a breakpoint holds something.
#[derive(Debug)]
pub struct Stop {
    /// The place.
    pub at: Point,
    /// The breakpoint as it was written.
    pub rule: Arc<str>,
}

/// Something that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its number, from 1 on; never given again.
    pub id: u64,
    /// The id of the connection.
    pub session: u64,
    /// The number of the connection in the transcript.
    pub number: i32,
    /// The server.
    pub service: Service,
    /// The client.
    pub peer: SocketAddr,
    /// Where.
    pub point: Point,
    /// A command of the client, or our reply.
    pub side: Side,
    /// The line without its line end, with secrets masked; the first line of a longer reply.
    pub text: String,
    /// What an operator may begin with to edit it, as [`typed`](crate::fault::typed) has it. `None` if
    /// it holds a secret, or is longer than a line that can be typed.
    pub editable: Option<String>,
    /// Since when.
    pub since: SystemTime,
    /// The same, to measure from.
    pub began: Instant,
    /// How long the client waits here by its own rules, in seconds (RFC 5321 section 4.5.3.2).
    pub limit: Option<u64>,
}

impl Held {
    /// Whether it is a line or a reply, and not the beginning or the end of a message text.
    #[must_use]
    pub const fn is_line(&self) -> bool {
        matches!(self.side, Side::Reply) || !matches!(self.point.place, Place::Text | Place::Dot)
    }
}

/// What is decided about something that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on as it is.
    Release(Cause),
    /// It goes on as these octets, with their line end.
    Edit(Vec<u8>),
    /// A command is not seen, a reply not sent.
    Drop,
    /// A command is not seen, and this is the reply to it; a reply is replaced by it.
    Answer(Vec<u8>),
    /// The connection ends.
    Kill,
}

/// Why something is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The operator has said so.
    Operator,
    /// It was held as long as anything is held.
    Patience,
    /// There are too many: it was the oldest.
    TooMany,
}

/// Which of those that are held are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichHeld {
    /// All.
    All,
    /// One.
    One(u64),
}

/// Why nothing is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDecided {
    /// Nothing with this number is held.
    #[error("nothing with the ID {0} is held")]
    NotHeld(u64),
    /// It is the beginning or the end of a message text, and there is no line to be edited.
    #[error("what is held with the ID {0} is no line that can be edited")]
    NoLine(u64),
}

impl Holds {
    /// No breakpoints yet; what is held is let go after `patience`.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            is_active: AtomicBool::new(false),
            patience,
            version: watch::Sender::default(),
        }
    }

    /// Whether anything may be held now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active.load(Relaxed)
    }

    /// Adds a breakpoint.
    ///
    /// # Errors
    ///
    /// A sentence; if the breakpoint cannot be read, with further lines: the breakpoint, and a caret
    /// under the place with what may stand there.
    pub fn add(&self, text: &str) -> Result<(), String> {
        let breakpoint = Breakpoint::parse(text).map_err(|error| error.to_string())?;
        self.change(|inner| {
            if inner.breakpoints.len() >= BREAKPOINTS_MOST {
                return Err(format!("there are {BREAKPOINTS_MOST} breakpoints already"));
            }
            inner.breakpoints.push(breakpoint);
            Ok(())
        })
    }

    /// Removes the breakpoints that were written like this, or all. What is held stays.
    pub fn remove(&self, text: Option<&str>) {
        self.change(|inner| {
            inner.breakpoints.retain(|one| text.is_some_and(|text| *one.text != *text));
        });
    }

    /// Switches all breakpoints on or off. What is held stays.
    pub fn switch(&self, are_on: bool) {
        self.change(|inner| inner.is_off = !are_on);
    }

    /// Whether they are on, and all breakpoints as they were written.
    #[must_use]
    pub fn breakpoints(&self) -> (bool, Vec<String>) {
        let inner = self.inner.lock();
        (!inner.is_off, inner.breakpoints.iter().map(|one| one.text.to_string()).collect())
    }

    /// The breakpoint here, as it was written.
    #[must_use]
    pub fn stops(&self, at: Point, side: Side, progress: &Progress, who: Who) -> Option<Arc<str>> {
        if !self.is_active() {
            return None;
        }
        let inner = self.inner.lock();
        let mut all = inner.breakpoints.iter().filter(|_| !inner.is_off);
        let here = all.find(|one| one.matches(at, side, progress, who))?;
        Some(here.text.as_ref().into())
    }

    /// How long something is held if nothing is said of it.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether anything is held.
    #[must_use]
    pub fn has_held(&self) -> bool {
        !self.inner.lock().held.is_empty()
    }

    /// All that is held, the oldest first.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.inner.lock().held.iter().map(|entry| entry.held.clone()).collect()
    }

    /// Moves whenever something changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Holds something, given with any number; the connection waits for what is decided. It is held
    /// until the result is dropped.
    #[must_use]
    pub fn hold(self: &Arc<Self>, held: Held) -> Waiting {
        let (decide, decided) = oneshot::channel();
        let id = self.change(|inner| {
            inner.last_id += 1;
            let id = inner.last_id;
            inner.held.push_back(Entry { held: Held { id, ..held }, decide });
            if inner.held.len() > HELD_MOST
                && let Some(oldest) = inner.held.pop_front()
            {
                let _ = oldest.decide.send(Decision::Release(Cause::TooMany));
            }
            id
        });
        Waiting { id, decided, holds: Arc::clone(self) }
    }

    /// Decides about what is held.
    ///
    /// # Errors
    ///
    /// If nothing with this number is held any more, or it cannot be edited.
    pub fn decide(&self, which: WhichHeld, decision: &Decision) -> Result<(), NotDecided> {
        self.change(|inner| {
            let meant = |entry: &Entry| match which {
                WhichHeld::All => true,
                WhichHeld::One(id) => entry.held.id == id,
            };
            let has_no_line = |entry: &Entry| meant(entry) && !entry.held.is_line();
            if let (Decision::Edit(_), Some(entry)) =
                (decision, inner.held.iter().find(|entry| has_no_line(entry)))
            {
                return Err(NotDecided::NoLine(entry.held.id));
            }
            let (taken, kept): (VecDeque<_>, _) = inner.held.drain(..).partition(meant);
            inner.held = kept;
            if let (WhichHeld::One(id), true) = (which, taken.is_empty()) {
                return Err(NotDecided::NotHeld(id));
            }
            for entry in taken {
                let _ = entry.decide.send(decision.clone());
            }
            Ok(())
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let changed = change(&mut inner);
        self.is_active.store(!inner.is_off && !inner.breakpoints.is_empty(), Relaxed);
        drop(inner);
        self.version.send_modify(|version| *version += 1);
        changed
    }
}

impl Default for Holds {
    fn default() -> Self {
        Self::new(USUAL_PATIENCE)
    }
}

/// A connection that waits for a decision.
#[derive(Debug)]
pub struct Waiting {
    id: u64,
    decided: oneshot::Receiver<Decision>,
    holds: Arc<Holds>,
}

impl Waiting {
    /// The number of what is held.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What is decided, or that it goes on because nothing is.
    pub async fn decided(&mut self) -> Decision {
        match timeout(self.holds.patience, &mut self.decided).await {
            Ok(Ok(decision)) => decision,
            // The other side is dropped only with the process.
            Ok(Err(_)) => Decision::Release(Cause::Operator),
            Err(_) => Decision::Release(Cause::Patience),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let is_held = |entry: &Entry| entry.held.id == self.id;
        if self.holds.inner.lock().held.iter().any(is_held) {
            self.holds.change(|inner| inner.held.retain(|entry| !is_held(entry)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held {
            id: 0,
            session: 7,
            number: 12,
            service: Service::Smtp,
            peer: SocketAddr::from(([127, 0, 0, 1], 9)),
            point: Point { service: Service::Smtp, place: Place::Rcpt },
            side: Side::Command,
            text: "RCPT TO:<bob@localhost>".to_owned(),
            editable: None,
            since: SystemTime::UNIX_EPOCH,
            began: Instant::now(),
            limit: Some(300),
        }
    }

    fn ids(holds: &Holds) -> Vec<u64> {
        holds.held().iter().map(|held| held.id).collect()
    }

    #[tokio::test]
    async fn each_gets_what_is_decided_about_it() {
        let holds = Arc::new(Holds::default());
        let (mut first, mut second) = (holds.hold(held()), holds.hold(held()));
        assert_eq!(ids(&holds), [1, 2]);
        let edit = Decision::Edit(b"NOOP\r\n".to_vec());
        holds.decide(WhichHeld::One(2), &edit).unwrap();
        assert_eq!(second.decided().await, edit);
        assert_eq!(holds.decide(WhichHeld::One(2), &Decision::Kill), Err(NotDecided::NotHeld(2)));
        holds.decide(WhichHeld::All, &Decision::Drop).unwrap();
        assert_eq!(first.decided().await, Decision::Drop);
        assert_eq!(ids(&holds), <[u64; 0]>::default());
        holds.decide(WhichHeld::All, &Decision::Drop).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_for_longer_than_the_patience() {
        let holds = Arc::new(Holds::new(Duration::from_secs(5)));
        let began = tokio::time::Instant::now();
        let mut waiting = holds.hold(held());
        assert_eq!(waiting.decided().await, Decision::Release(Cause::Patience));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        drop(waiting);
        assert_eq!(ids(&holds), <[u64; 0]>::default());
    }

    #[tokio::test]
    async fn the_oldest_of_too_many_goes_on() {
        let holds = Arc::new(Holds::default());
        let mut waiting: Vec<Waiting> = (0..=HELD_MOST).map(|_| holds.hold(held())).collect();
        assert_eq!(waiting[0].decided().await, Decision::Release(Cause::TooMany));
        assert_eq!(holds.held().len(), HELD_MOST);
        drop(waiting);
        assert_eq!(holds.held().len(), 0);
    }

    #[test]
    fn breakpoints_are_switched_together() {
        let holds = Holds::default();
        assert!(!holds.is_active());
        holds.add("smtp.rcpt").unwrap();
        assert!(holds.is_active());
        holds.switch(false);
        assert!(!holds.is_active());
        assert_eq!(holds.breakpoints(), (false, vec!["smtp.rcpt".to_owned()]));
        holds.switch(true);
        holds.add("smtp.rcpt!").unwrap();
        holds.remove(Some("smtp.rcpt"));
        assert_eq!(holds.breakpoints(), (true, vec!["smtp.rcpt!".to_owned()]));
        holds.remove(None);
        assert!(!holds.is_active());
    }
}
