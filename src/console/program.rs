//! The running program as the console sees it: one handle that copies what has happened into the
//! state, and carries out what the user asks for. The code that draws the state needs neither
//! servers nor relay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::console::action::{Command, FaultOrder, HoldOrder, ServerOrder};
use crate::console::feed::Feed;
use crate::console::setting::in_words;
use crate::console::state::State;
use crate::console::state::relay::Story;
use crate::console::state::row::Row;
use crate::fault::faults::{Faults, Which};
use crate::mailroom::{MailroomEvent, MailroomHandle, MailroomRequest};
use crate::relay::postmaster::Request;
use crate::relay::resolver::Dns;
use crate::relay::run::Relay;
use crate::servers::holds::Holds;
use crate::servers::settings::SettingsView;
use crate::servers::supervisor::Control;
use crate::store::overview::Overview;
use crate::watch::registry::Registry;

/// The most answers of the mailroom that one frame takes; each may carry hundreds of messages.
const ANSWERS_A_FRAME: usize = 16;

/// Snapshots of the connections take at most one part in this many of the time: after one that took
/// 1 ms, the next is due 20 ms later. Copying ten thousand connections sixty times a second would
/// leave no time for anything else.
const SNAPSHOT_SHARE: u32 = 20;

/// The parts of the handle, supplied by the code that starts the servers.
#[derive(Debug)]
pub struct Parts {
    /// The open and the recently closed connections.
    pub registry: Arc<Registry>,
    /// The contents of the mail directory and of the queue.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// The transcript feed; the same feed is the servers' observer.
    pub feed: Arc<Feed>,
    /// Requests of the user to the relay. Bounded: when it is full, a request is refused.
    pub requests: mpsc::Sender<Request>,
    /// The results of these requests, as sentences for the screen.
    pub words: mpsc::Receiver<String>,
    /// The relay, which knows the progress of each recipient.
    pub relay: Arc<Relay<Dns>>,
    /// The mailroom, which lists mailboxes and reads, saves, deletes and sends messages.
    pub mailroom: MailroomHandle,
    /// Starts and stops the servers, and changes their settings.
    pub control: Control,
    /// The faults that are played on purpose.
    pub faults: Arc<Faults>,
    /// Moves when somebody has changed their rules.
    pub fault_changes: watch::Receiver<()>,
    /// The breakpoints, and what is held at them.
    pub holds: Arc<Holds>,
    /// Moves when they change.
    pub hold_changes: watch::Receiver<u64>,
    /// The current settings.
    pub settings: watch::Receiver<SettingsView>,
}

/// The running servers, the relay and the mailroom.
#[derive(Debug)]
pub struct Program {
    parts: Parts,
    relay_changes: watch::Receiver<u64>,
    /// The relay's latest sentence since the last frame.
    said: Option<String>,
    /// The mailroom's answers since the last frame.
    answers: Vec<MailroomEvent>,
    connections: Snapshot,
}

/// The registry's version that the state shows, and the earliest time of the next snapshot.
#[derive(Debug)]
struct Snapshot {
    version: Option<u64>,
    not_before: Instant,
}

/// How much of the transcript a frame has taken.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// The number of rows.
    pub rows: usize,
    /// Whether rows are left for the next frame.
    pub more: bool,
}

impl Program {
    /// Makes a handle from these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            relay_changes: parts.relay.progress.changes(),
            parts,
            said: None,
            answers: Vec::with_capacity(ANSWERS_A_FRAME),
            connections: Snapshot { version: None, not_before: Instant::now() },
        }
    }

    /// The transcript's feed. It also wakes the screen for reasons outside the transcript.
    #[must_use]
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.parts.feed
    }

    /// Waits until there is something new to show. Cancel safe: nothing is lost if the future is
    /// dropped.
    pub async fn changed(&mut self) {
        let Self { parts, relay_changes, said, answers, .. } = self;
        // `changed` takes the mark of a change from a receiver; it is set again, so that the frame
        // that follows finds it. Sentences and answers are kept in `self` until then.
        tokio::select! {
            biased;
            () = parts.feed.moved() => {}
            () = parts.registry.moved() => {}
            Ok(()) = parts.overview.changed() => parts.overview.mark_changed(),
            Some(words) = parts.words.recv() => *said = Some(words),
            1.. = parts.mailroom.news.recv_many(answers, ANSWERS_A_FRAME) => {}
            Ok(()) = relay_changes.changed() => {}
            Ok(()) = parts.control.servers.changed() => parts.control.servers.mark_changed(),
            Ok(()) = parts.settings.changed() => parts.settings.mark_changed(),
            Ok(()) = parts.hold_changes.changed() => parts.hold_changes.mark_changed(),
            Ok(()) = parts.fault_changes.changed() => parts.fault_changes.mark_changed(),
        }
    }

    /// Puts the servers, the settings and the directory into the state before the first frame.
    pub fn begin(&mut self, state: &mut State) {
        self.take_servers(state);
        self.take_overview(state);
        self.show_faults(state);
        self.show_held(state);
    }

    /// Brings everything but the transcript and the connections up to date. Every frame takes all
    /// of it, whatever has woken the screen: servers that talk without a pause must not keep the
    /// rest from being shown.
    pub fn take_changes(&mut self, state: &mut State) {
        if self.parts.overview.has_changed().unwrap_or(false) {
            self.take_overview(state);
        }
        let servers = self.parts.control.servers.has_changed().unwrap_or(false);
        if servers || self.parts.settings.has_changed().unwrap_or(false) {
            self.take_servers(state);
        }
        self.take_faults(state);
        if self.parts.hold_changes.has_changed().unwrap_or(false) {
            self.parts.hold_changes.borrow_and_update();
            self.show_held(state);
        }
        if let Some(words) = self.said.take().or_else(|| self.parts.words.try_recv().ok()) {
            state.say(&words);
        }
        while self.answers.len() < ANSWERS_A_FRAME
            && let Ok(answer) = self.parts.mailroom.news.try_recv()
        {
            self.answers.push(answer);
        }
        for answer in self.answers.drain(..) {
            state.take_news(answer);
        }
    }

    /// Brings the transcript up to date, as far as one frame can, and then the connections.
    pub fn take_transcript(&mut self, state: &mut State, now: Instant) -> Taken {
        let mut taken = self.parts.feed.take();
        let rows = taken.rows.len();
        apply(&mut taken.rows, state);
        self.parts.feed.give_back(taken.rows);
        let more = !self.take_connections(state, now);
        Taken { rows, more: more || taken.more }
    }

    /// Fetches the details of the rows in view only: what the relay is doing for them, and which
    /// messages a POP3 session has marked as deleted.
    pub fn take_details(&self, state: &mut State) {
        self.take_relay(state);
        self.take_marks(state);
    }

    /// Carries out a command of the user. If it cannot be accepted now, the state says so.
    pub fn send(&self, command: Command, state: &mut State) {
        match command {
            Command::Close(connection) => self.parts.registry.close(connection),
            Command::Relay(request) => self.ask_relay(request, state),
            Command::MailroomRequest(request) => self.ask_mailroom(request, state),
            Command::Server(order) => self.order_server(order, state),
            Command::Set(setting) => {
                let name = setting.name();
                state.say(&in_words(name, &self.parts.control.set(setting)));
            }
            Command::Hold(order) => self.order_hold(order, state),
            Command::Fault(order) => self.order_fault(order, state),
            // The screen carries these out itself.
            Command::Copy(_)
            | Command::Save(_)
            | Command::ScrollLog(_)
            | Command::Mouse
            | Command::Redraw
            | Command::Suspend
            | Command::Quit => {}
        }
    }

    fn ask_relay(&self, request: Request, state: &mut State) {
        if self.parts.requests.try_send(request).is_err() {
            state.say("Too many requests are waiting for the relay; try again.");
        }
    }

    fn ask_mailroom(&self, request: MailroomRequest, state: &mut State) {
        let Err(refused) = self.parts.mailroom.requests.try_send(request) else {
            return;
        };
        state.say("Too many requests about mailboxes are waiting; try again.");
        if let MailroomRequest::Send(draft) = refused.into_inner() {
            state.take_news(MailroomEvent::NotSent(draft));
        }
    }

    fn order_server(&self, order: ServerOrder, state: &mut State) {
        if self.parts.control.orders.try_send(order).is_err() {
            state.say("Too many server orders are waiting; try again.");
        }
    }

    fn order_fault(&self, order: FaultOrder, state: &mut State) {
        let faults = &self.parts.faults;
        let done = match order {
            FaultOrder::Add(rule) => faults.add(&rule).map(|_| "The rule acts from now on."),
            FaultOrder::Switch(id, is_on) => faults
                .switch(Which::One(id), is_on)
                .map(|()| if is_on { "The rule is on." } else { "The rule is off." })
                .map_err(|none| none.to_string()),
            FaultOrder::Remove(id) => faults
                .remove(Which::One(id))
                .map(|()| "The rule is gone; what it has begun goes on.")
                .map_err(|none| none.to_string()),
            FaultOrder::Reset(id) => faults
                .reset(Which::One(id))
                .map(|()| "Its counters and clocks are as at the start.")
                .map_err(|none| none.to_string()),
        };
        match done {
            Ok(words) => state.say(words),
            Err(why) => state.say(why.lines().next().unwrap_or_default()),
        }
        self.show_faults(state);
    }

    fn order_hold(&self, order: HoldOrder, state: &mut State) {
        let holds = &self.parts.holds;
        match order {
            HoldOrder::Add(breakpoint) => match holds.add(&breakpoint) {
                Ok(()) => {
                    state.say(&format!("What comes to {} is held from now on.", breakpoint.trim()));
                }
                Err(why) => state.say(why.lines().next().unwrap_or_default()),
            },
            HoldOrder::Remove(which) => {
                holds.remove(which.as_deref());
                state.say(match which {
                    Some(_) => "The breakpoint is gone; what is held there stays.",
                    None => "All breakpoints are gone; what is held stays.",
                });
            }
            HoldOrder::Switch(are_on) => {
                holds.switch(are_on);
                let words = if are_on {
                    "The breakpoints are on."
                } else {
                    "The breakpoints are off; what is held stays."
                };
                state.say(words);
            }
            HoldOrder::Decide(which, decision) => {
                if let Err(none) = holds.decide(which, &decision) {
                    state.say(&none.to_string());
                }
            }
        }
        self.show_held(state);
    }

    fn show_held(&self, state: &mut State) {
        let holds = &self.parts.holds;
        state.held_is(holds.held(), holds.breakpoints());
    }

    fn show_faults(&self, state: &mut State) {
        let faults = &self.parts.faults;
        state.faults_are(faults.view());
    }

    /// Rules count by themselves, so that those that there are may have changed.
    fn take_faults(&mut self, state: &mut State) {
        let is_changed = self.parts.fault_changes.has_changed().unwrap_or(false);
        if is_changed {
            self.parts.fault_changes.borrow_and_update();
        }
        if is_changed || !state.faults.is_empty() {
            self.show_faults(state);
        }
    }

    fn take_overview(&mut self, state: &mut State) {
        let overview = Arc::clone(&self.parts.overview.borrow_and_update());
        state.overview_is(&overview);
    }

    fn take_servers(&mut self, state: &mut State) {
        let servers = Arc::clone(&self.parts.control.servers.borrow_and_update());
        state.servers_are(servers.iter());
        state.settings_are(self.parts.settings.borrow_and_update().clone());
    }

    /// Takes a snapshot of the connections if the registry has changed, or if closed connections
    /// are listed, which expire without a change. Returns false if a snapshot is due but the last
    /// one is too recent.
    fn take_connections(&mut self, state: &mut State, now: Instant) -> bool {
        let version = self.parts.registry.version();
        let has_closed = state.connections.items().iter().any(|row| row.closed.is_some());
        if self.connections.version == Some(version) && !has_closed {
            return true;
        }
        if now < self.connections.not_before {
            return false;
        }
        state.connections_are(self.parts.registry.view());
        self.connections =
            Snapshot { version: Some(version), not_before: now + now.elapsed() * SNAPSHOT_SHARE };
        true
    }

    fn take_relay(&self, state: &mut State) {
        let relay = &self.parts.relay;
        let story = state.queue.selected().map(|row| Story {
            hosts: relay.hosts_of(row.target.recipient.as_deref().unwrap_or_default()),
            attempts: relay.progress.attempts(&row.target),
        });
        let targets = state.queue_in_sight();
        let live = relay.progress.live(&targets);
        let live = targets.into_iter().zip(live);
        state.relay_is(relay.progress.tally(), live, story.unwrap_or_default());
    }

    fn take_marks(&self, state: &mut State) {
        let Some(messages) = state.reader.messages_mut() else { return };
        let Some(marks) = self.parts.mailroom.directory.marks(messages.mailbox()) else {
            messages.marks_are(std::iter::empty());
            return;
        };
        let is_marked = |number: &usize| number.checked_sub(1).is_some_and(|n| marks.is_marked(n));
        let marked: Vec<usize> = messages.in_sight().filter(is_marked).collect();
        messages.marks_are(marked.into_iter());
    }
}

fn apply(rows: &mut VecDeque<Row>, state: &mut State) {
    for row in rows.drain(..) {
        state.apply(row);
    }
}
