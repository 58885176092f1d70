//! The state of the screen, and how events and the user's actions change it. Does no I/O and reads
//! no clock: each frame passes the time in.

pub mod account;
pub mod appearance;
pub mod body;
pub mod checklist;
pub mod command;
mod compose;
mod connections;
mod copy;
pub mod extent;
pub mod fault;
mod faults;
pub mod filter;
pub mod form;
mod held;
pub mod list;
pub mod listed;
mod mail;
pub mod messages;
pub mod offers;
pub mod overlay;
pub mod pattern;
pub mod prompt;
mod queue;
pub mod rate;
pub mod reader;
pub mod relay;
pub mod ring;
pub mod row;
pub mod rows;
pub mod scrollback;
pub mod server;
mod servers;
pub mod strip;
#[cfg(test)]
pub(crate) mod tests;
pub mod tiles;
mod typing;
mod update;
pub mod viewer;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::FixedOffset;
use tui_input::Input;

use crate::console::action::{Action, Context, Pane, Step};
use crate::console::keys::{Key, Keymap};
use crate::console::state::appearance::{LongRows, Mouse, Palette, Stamps};
use crate::console::state::checklist::Checklist;
use crate::console::state::fault::FaultRow;
use crate::console::state::form::Form;
use crate::console::state::list::List;
use crate::console::state::overlay::Overlay;
use crate::console::state::pattern::Pattern;
use crate::console::state::prompt::{History, Prompt};
use crate::console::state::rate::Rate;
use crate::console::state::reader::Reader;
use crate::console::state::relay::{RelayNow, Story};
use crate::console::state::row::{Notation, Row};
use crate::console::state::rows::{ConnectionRow, MailboxRow, QueueRow};
use crate::console::state::scrollback::Scrollback;
use crate::console::state::server::Server;
use crate::console::state::strip::Strip;
use crate::console::state::tiles::Tiles;
use crate::mailroom::MailroomEvent;
use crate::relay::orders::QueueTarget;
use crate::relay::progress::{Live, Tally};
use crate::servers::settings::SettingsView;
use crate::store::overview::{Overview, RecipientState};
use crate::watch::event::{ConnectionName, Service};
use crate::watch::registry::{Counters, RegistryView};
use crate::wire::display::DisplayText;

/// How often ages shown in seconds change.
const SECOND: Duration = Duration::from_secs(1);

/// How often the spinner of a message that is being sent turns.
pub const SPIN: Duration = Duration::from_millis(100);

/// How often ages shown in minutes change.
const MINUTE: Duration = Duration::from_mins(1);

/// How long a message to the user is shown, unless a key removes it earlier.
const SAID: Duration = Duration::from_secs(5);

/// The time of a frame. The state reads no clock, so that tests can set the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For the ages of what this process has seen.
    pub instant: Instant,
    /// For what carries a date.
    pub wall: SystemTime,
    /// The difference of local time from UTC.
    pub offset: FixedOffset,
}

/// Everything the screen shows.
#[derive(Debug, Clone)]
pub struct State {
    /// The time of this frame.
    pub clock: Clock,
    /// The servers, in the order of the top line.
    pub servers: Vec<Server>,
    /// The counters of the servers and of the relay.
    pub counters: Counters,
    /// The settings that can be changed while the servers run.
    pub settings: SettingsView,
    /// The rules of faults, in the order in which they are tried.
    pub faults: Vec<FaultRow>,
    /// What is held at breakpoints.
    pub strip: Strip,
    /// How the program was started, where that differs from the defaults, and warnings; the top
    /// line shows them.
    pub notices: Vec<DisplayText>,
    /// The pane that receives keys.
    pub focus: Pane,
    /// Whether the focused pane has the whole screen.
    pub zoomed: bool,
    /// Whether tiles are shown, one for each of the newest connections.
    pub tiled: bool,
    /// Which connections have a tile, and which tile is chosen.
    pub tiles: Tiles,
    /// The open connections and the recently closed ones.
    pub connections: List<ConnectionRow>,
    /// The number of connections since the start.
    pub opened: u64,
    /// The mailboxes of the directory.
    pub mailboxes: List<MailboxRow>,
    /// The recipients in the relay queue.
    pub queue: List<QueueRow>,
    /// The progress of the relay.
    pub relay: RelayNow,
    /// The transcript.
    pub transcript: Scrollback,
    /// Transcript lines per second.
    pub rate: Rate,
    /// Messages per second.
    pub messages: Rate,
    /// What is open over the panes.
    pub overlay: Overlay,
    /// The line being typed in the last row of the screen.
    pub prompt: Option<Prompt>,
    /// The text being searched for in the help.
    pub search: Input,
    /// The commands typed so far.
    pub history: History,
    /// The filters typed so far, shared by all panes.
    pub filters: History,
    /// The open mailbox and message, or the open message of a queue entry.
    pub reader: Reader,
    /// The reader that the message of a queue entry has replaced, until that is closed.
    set_aside: Option<Reader>,
    /// The progress of a mail client's first visit.
    pub checklist: Checklist,
    /// The mail directory, if the program created it at the start.
    pub made: Option<DisplayText>,
    /// The domain of the mailboxes.
    pub domain: DisplayText,
    /// The password of all users who have none of their own.
    pub password: DisplayText,
    /// The users who have a password of their own.
    pub have_own_passwords: Vec<DisplayText>,
    /// The form for a test message; it keeps its contents until the message is sent.
    pub form: Form,
    /// The user's keys.
    pub keymap: Arc<Keymap>,
    /// The message to the user about the last key.
    pub said: Option<DisplayText>,
    /// When that message disappears; set by the first frame that shows it.
    said_until: Option<Instant>,
    /// The form of the time stamps.
    pub stamps: Stamps,
    /// Whether long rows are cut or wrapped.
    pub long_rows: LongRows,
    /// How rows are written: as the transcript or as on the wire.
    pub notation: Notation,
    /// The colours.
    pub palette: Palette,
    /// Whether the program or the terminal has the mouse.
    pub mouse: Mouse,
    /// The number of messages of each mailbox when the user last looked.
    seen: HashMap<DisplayText, u64>,
    /// The mailboxes that existed at the start; the messages of any other are new when it first
    /// appears. `None`: the messages of a mailbox that appears are never new.
    old: Option<HashSet<DisplayText>>,
}

impl State {
    /// An empty screen that keeps at most `scrollback` transcript rows.
    #[must_use]
    pub fn new(clock: Clock, scrollback: usize) -> Self {
        Self {
            clock,
            servers: Vec::new(),
            counters: Counters::default(),
            settings: SettingsView::default(),
            faults: Vec::new(),
            strip: Strip::default(),
            notices: Vec::new(),
            focus: Pane::Connections,
            zoomed: false,
            tiled: false,
            tiles: Tiles::default(),
            connections: List::default(),
            opened: 0,
            mailboxes: List::default(),
            queue: List::default(),
            relay: RelayNow::default(),
            transcript: Scrollback::new(scrollback),
            rate: Rate::new(clock.instant),
            messages: Rate::new(clock.instant),
            overlay: Overlay::None,
            prompt: None,
            search: Input::default(),
            history: History::default(),
            filters: History::default(),
            reader: Reader::default(),
            set_aside: None,
            checklist: Checklist::default(),
            made: None,
            domain: DisplayText::from("localhost"),
            password: DisplayText::default(),
            have_own_passwords: Vec::new(),
            form: Form::default(),
            keymap: Arc::default(),
            said: None,
            said_until: None,
            stamps: Stamps::Seconds,
            long_rows: LongRows::Cut,
            notation: Notation::Transcript,
            palette: Palette::Dark,
            mouse: Mouse::Captured,
            seen: HashMap::new(),
            old: None,
        }
    }

    /// Sets the time of the next frame.
    pub fn tick(&mut self, clock: Clock) {
        self.clock = clock;
        self.rate.advance(clock.instant);
        self.messages.advance(clock.instant);
        self.let_words_pass(clock.instant);
    }

    /// Removes the message to the user when its time is over.
    fn let_words_pass(&mut self, now: Instant) {
        if self.said.is_some() && now >= *self.said_until.get_or_insert(now + SAID) {
            self.said = None;
        }
    }

    /// Adds a transcript row.
    pub fn apply(&mut self, row: impl Into<Row>) {
        let row = row.into();
        self.rate.count(row.lines(), self.clock.instant);
        if row.is_message() {
            self.messages.count(1, self.clock.instant);
        }
        self.checklist.apply(&row);
        self.transcript.push(row);
    }

    /// Takes over a snapshot of the connections.
    pub fn connections_are(&mut self, view: RegistryView) {
        self.opened = view.opened;
        self.counters = view.counters;
        let is_at_top = self.connections.place().is_none_or(|place| place == 0);
        let rows = view.connections.into_iter().map(ConnectionRow::from);
        self.connections.replace(open_first(rows.collect()));
        if is_at_top {
            // With the first row selected, the user is watching the newest open connections: stay
            // at the top rather than follow that connection down among the closed ones.
            self.connections.step(Step::First);
        }
    }

    /// Names the mailboxes that existed at the start; the messages of all others are new.
    pub fn only_these_are_old<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.old = Some(names.map(DisplayText::from).collect());
    }

    /// Takes over a snapshot of the directory.
    pub fn overview_is(&mut self, overview: &Overview) {
        let rows = overview.mailboxes.iter().map(|mailbox| {
            let name = DisplayText::from(mailbox.name.as_str());
            // A mailbox that cannot be read at the moment has an unknown number of messages.
            let Some(messages) = mailbox.messages else { return MailboxRow::new(mailbox, 0) };
            let is_old = self.old.as_ref().is_none_or(|old| old.contains(&name));
            let seen = self.seen.entry(name).or_insert(if is_old { messages } else { 0 });
            // After messages have been fetched and deleted, the count seen must go down with them:
            // otherwise it would hide as many new ones.
            *seen = messages.min(*seen);
            MailboxRow::new(mailbox, *seen)
        });
        self.mailboxes.replace(rows.collect());
        let rows = (1..).zip(&overview.queue).map(|(number, view)| QueueRow::new(number, view));
        self.queue.replace(rows.collect());
    }

    /// The recipients whose queue rows are in view, for which the screen wants the relay's
    /// progress.
    #[must_use]
    pub fn queue_in_sight(&self) -> Vec<QueueTarget> {
        let page = self.queue.extent().page;
        let mut targets: Vec<QueueTarget> =
            self.queue.in_view().take(page).map(|(row, _)| row.target.clone()).collect();
        targets.extend(self.queue.selected().map(|row| row.target.clone()));
        targets
    }

    /// Takes over the relay's run, its progress for the recipients in view, and the details of the
    /// selected one.
    pub fn relay_is(
        &mut self,
        tally: Option<Tally>,
        live: impl Iterator<Item = (QueueTarget, Live)>,
        story: Story,
    ) {
        self.relay.is(tally, live);
        self.relay.story = story;
    }

    /// The selected recipient of the queue, with the relay's progress applied.
    #[must_use]
    pub fn queue_selected(&self) -> Option<QueueRow> {
        self.queue.selected().map(|row| self.relay.bring_up_to_date(row))
    }

    /// Shows a message to the user, until the next key or for five seconds.
    pub fn say(&mut self, words: &str) {
        self.said = Some(DisplayText::from(words));
        self.said_until = None;
    }

    /// Appends to the message that is shown since the last key.
    fn say_more(&mut self, words: &str) {
        match self.said.take() {
            Some(said) => self.say(&format!("{said} {words}")),
            None => self.say(words),
        }
    }

    /// The number of open connections of a service, or of all services (`None`).
    #[must_use]
    pub fn open(&self, service: Option<Service>) -> usize {
        let open = self.connections.items().iter().filter(|connection| {
            connection.closed.is_none() && service.is_none_or(|s| s == connection.name.service)
        });
        open.count()
    }

    /// The POP3 session of this process that holds the lock of a mailbox.
    #[must_use]
    pub fn session_on(&self, mailbox: &DisplayText) -> Option<ConnectionName> {
        let mut rows = self.connections.items().iter();
        let row = rows.find(|row| row.closed.is_none() && row.user.as_ref() == Some(mailbox));
        row.map(|row| row.name)
    }

    /// The number of recipients in the queue in this state.
    #[must_use]
    pub fn queued(&self, state: RecipientState) -> usize {
        let rows = self.queue.items().iter();
        rows.filter(|row| row.state == state).count()
    }

    /// Limits how far an overlay is scrolled: to `most` lines, which the drawing code works out.
    pub fn fit_overlay(&mut self, most: usize) {
        if let Some(top) = self.overlay.top_mut() {
            *top = most.min(*top);
        }
    }

    /// The part of the screen that receives keys while no question, help or prompt is open.
    #[must_use]
    pub fn context(&self) -> Context {
        match (&self.overlay, self.focus) {
            (Overlay::Servers { .. }, _) => Context::Servers,
            (Overlay::Faults { .. }, _) => Context::Faults,
            (_, Pane::Transcript) if self.strip.takes_keys() => Context::Held,
            (_, pane) if self.is_reading() => self.reader.context().unwrap_or(Context::Pane(pane)),
            (_, pane) => Context::Pane(pane),
        }
    }

    /// What a key does where no question, help or prompt takes it. Something that is held waits for
    /// its keys, so they work beside those of any pane as long as it can be seen, but for the queue,
    /// where `R` sends mail and stands below the list.
    #[must_use]
    pub fn bound(&self, key: Key) -> Option<Action> {
        let context = self.context();
        let is_shown = !self.zoomed || self.focus == Pane::Transcript;
        let is_beside = is_shown
            && !self.strip.held.is_empty()
            && self.overlay == Overlay::None
            && matches!(context, Context::Pane(pane) if pane != Pane::Queue);
        self.keymap.action_beside(context, is_beside.then_some(Context::Held), key)
    }

    /// Takes over the result of a request about mailboxes and messages.
    pub fn take_news(&mut self, news: MailroomEvent) {
        match news {
            MailroomEvent::NotSent(draft) => self.form.take_back(&draft),
            MailroomEvent::Shown(_) | MailroomEvent::NotShown(_) | MailroomEvent::Said(_) => {
                if let Some(words) = self.reader.take(news) {
                    self.say_more(&words);
                }
                if self.reader.is_idle() {
                    self.leave_queued();
                }
            }
            // Listings belong to the open mailbox, which may be set aside behind a queue entry's
            // message.
            MailroomEvent::Begun { .. }
            | MailroomEvent::Listed(_)
            | MailroomEvent::Complete
            | MailroomEvent::Found { .. }
            | MailroomEvent::NotListed(_) => {
                let reader = self.set_aside.as_mut().unwrap_or(&mut self.reader);
                if let Some(words) = reader.take(news) {
                    self.say_more(&words);
                }
            }
        }
    }

    /// Closes the message of a queue entry and goes back to the reader that it has replaced.
    fn leave_queued(&mut self) {
        if let Some(reader) = self.set_aside.take() {
            self.reader = reader;
        }
    }

    /// Whether the open mailbox or message is visible: while the mailboxes are focused and a
    /// mailbox is open, or while the queue is focused and the message of an entry is open.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        let of = if self.set_aside.is_some() { Pane::Queue } else { Pane::Mailboxes };
        self.focus == of && self.reader.context().is_some()
    }

    /// The filter of this context, as it was typed.
    #[must_use]
    pub fn filter_of(&self, place: Context) -> Option<&str> {
        match place {
            Context::Pane(Pane::Connections) => self.connections.pattern(),
            Context::Pane(Pane::Transcript | Pane::Log) | Context::Held => {
                return self.transcript.ring().search().map(|(filter, _)| filter.as_str());
            }
            Context::Pane(Pane::Mailboxes) => self.mailboxes.pattern(),
            Context::Pane(Pane::Queue) => self.queue.pattern(),
            Context::Messages | Context::Message => return self.reader.filter(),
            Context::Servers | Context::Faults => None,
        }
        .map(Pattern::as_str)
    }

    /// How long the screen stays correct if nothing happens; `None`: indefinitely.
    #[must_use]
    pub fn ages_in(&self) -> Option<Duration> {
        let said = self.said.as_ref().and(self.said_until);
        let said = said.map(|until| until.saturating_duration_since(self.clock.instant));
        said.into_iter().chain(self.lists_age_in()).chain(self.faults_age_in()).min()
    }

    fn lists_age_in(&self) -> Option<Duration> {
        if self.relay.is_sending() || self.relay.tally.is_some() {
            return Some(SPIN);
        }
        if !self.connections.items().is_empty() || !self.strip.held.is_empty() {
            return Some(SECOND);
        }
        let now = self.clock.wall;
        let is_by_the_second = |row: &QueueRow| {
            row.next_attempt.is_some_and(|at| at > now)
                || now.duration_since(row.queued).unwrap_or_default() < MINUTE
        };
        let queue = self.queue.items();
        if queue.iter().any(is_by_the_second) {
            return Some(SECOND);
        }
        (!queue.is_empty()).then_some(MINUTE)
    }
}

/// The open connections in the order of their arrival, then the closed ones, the latest first. The
/// open ones stay in view however many come and go.
fn open_first(mut rows: Vec<ConnectionRow>) -> Vec<ConnectionRow> {
    rows.sort_unstable_by_key(|row| match row.closed {
        None => (false, None, row.name.id),
        Some(closed) => (true, Some(Reverse(closed)), u64::MAX - row.name.id),
    });
    rows
}
