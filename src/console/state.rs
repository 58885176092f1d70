//! What the screen shows, and how what happens and what a user does change it. Pure: knows no
//! terminal, no server and no clock of its own.

pub mod appearance;
pub mod body;
pub mod checklist;
pub mod command;
mod compose;
mod connections;
mod copy;
pub mod extent;
pub mod filter;
pub mod form;
pub mod list;
pub mod listed;
pub mod messages;
pub mod offers;
pub mod overlay;
pub mod pattern;
pub mod prompt;
pub mod rate;
pub mod reader;
pub mod relay;
pub mod ring;
pub mod row;
pub mod rows;
pub mod scrollback;
pub mod server;
mod servers;
#[cfg(test)]
pub(crate) mod tests;
pub mod tiles;
mod update;
pub mod viewer;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::FixedOffset;
use tui_input::Input;

use crate::console::action::{Context, Pane, Step};
use crate::console::keys::Keymap;
use crate::console::state::appearance::{LongRows, Mouse, Palette, Stamps};
use crate::console::state::checklist::Checklist;
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
use crate::console::state::tiles::Tiles;
use crate::mailroom::MailroomEvent;
use crate::relay::orders::QueueTarget;
use crate::relay::progress::{Live, Tally};
use crate::servers::settings::SettingsView;
use crate::store::overview::{Overview, RecipientState};
use crate::watch::event::{ConnectionName, Service};
use crate::watch::registry::{Counters, RegistryView};
use crate::wire::display::DisplayText;

/// How often ages change that are shown in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// How often the sign of what is being sent turns.
pub const SPIN: Duration = Duration::from_millis(100);

/// How often ages change that are shown in minutes.
const MINUTE: Duration = Duration::from_mins(1);

/// How long something that was said is shown, if no key takes it away before.
const SAID: Duration = Duration::from_secs(5);

/// The time of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For ages of what the process itself saw.
    pub instant: Instant,
    /// For what carries a date.
    pub wall: SystemTime,
    /// From UTC to what the user's clock shows.
    pub offset: FixedOffset,
}

/// Everything the screen shows.
#[derive(Debug, Clone)]
pub struct State {
    /// The time of this frame.
    pub clock: Clock,
    /// The servers, in the order of the top line.
    pub servers: Vec<Server>,
    /// What each server and the relay have had to do.
    pub counters: Counters,
    /// The settings that can be changed while the servers run.
    pub settings: SettingsView,
    /// Settings and warnings that the user must know of.
    pub notices: Vec<DisplayText>,
    /// The pane that keys go to.
    pub focus: Pane,
    /// Whether the focused pane has the whole screen.
    pub zoomed: bool,
    /// Whether the newest connections have a pane each.
    pub tiled: bool,
    /// Which connections these are, and which of them keys are for.
    pub tiles: Tiles,
    /// The connections.
    pub connections: List<ConnectionRow>,
    /// How many connections there have ever been.
    pub opened: u64,
    /// The mailboxes.
    pub mailboxes: List<MailboxRow>,
    /// The recipients in the relay queue.
    pub queue: List<QueueRow>,
    /// What the relay is doing.
    pub relay: RelayNow,
    /// The transcript.
    pub transcript: Scrollback,
    /// Lines a second.
    pub rate: Rate,
    /// Messages a second.
    pub messages: Rate,
    /// What lies over the panes.
    pub overlay: Overlay,
    /// What is being typed in the last line.
    pub prompt: Option<Prompt>,
    /// What is looked for in the help.
    pub search: Input,
    /// The commands that were typed.
    pub history: History,
    /// The filters that were typed before, in whichever pane.
    pub filters: History,
    /// The mailbox that is open, and the message; or the message of a queue entry.
    pub reader: Reader,
    /// What was read before a queue entry's message was, and is again behind it.
    set_aside: Option<Reader>,
    /// How far a mail client's first visit is.
    pub checklist: Checklist,
    /// The directory, if it was made at the start.
    pub made: Option<DisplayText>,
    /// The domain whose mailboxes these are.
    pub domain: DisplayText,
    /// The password of every user.
    pub password: DisplayText,
    /// The message that is composed; it stays until it is sent.
    pub form: Form,
    /// Which keys do what.
    pub keymap: Arc<Keymap>,
    /// The program's answer to the last key.
    pub said: Option<DisplayText>,
    /// Until when; known from the frame on that shows it first.
    said_until: Option<Instant>,
    /// Time stamps.
    pub stamps: Stamps,
    /// Long rows.
    pub long_rows: LongRows,
    /// How rows are written.
    pub notation: Notation,
    /// Colours.
    pub palette: Palette,
    /// The mouse.
    pub mouse: Mouse,
    /// Messages of each mailbox when the user last looked.
    seen: HashMap<DisplayText, u64>,
    /// Mailboxes whose messages are not new when they are seen first; `None`: all of them.
    old: Option<HashSet<DisplayText>>,
}

impl State {
    /// An empty screen with room for `scrollback` transcript rows.
    #[must_use]
    pub fn new(clock: Clock, scrollback: usize) -> Self {
        Self {
            clock,
            servers: Vec::new(),
            counters: Counters::default(),
            settings: SettingsView::default(),
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

    /// Sets the time of the coming frame.
    pub fn tick(&mut self, clock: Clock) {
        self.clock = clock;
        self.rate.advance(clock.instant);
        self.messages.advance(clock.instant);
        self.let_words_pass(clock.instant);
    }

    /// What was said long enough ago gives way.
    fn let_words_pass(&mut self, now: Instant) {
        if self.said.is_some() && now >= *self.said_until.get_or_insert(now + SAID) {
            self.said = None;
        }
    }

    /// Takes a transcript row.
    pub fn apply(&mut self, row: impl Into<Row>) {
        let row = row.into();
        self.rate.count(row.lines(), self.clock.instant);
        if row.is_message() {
            self.messages.count(1, self.clock.instant);
        }
        self.checklist.apply(&row);
        self.transcript.push(row);
    }

    /// Takes a snapshot of the connections.
    pub fn connections_are(&mut self, view: RegistryView) {
        self.opened = view.opened;
        self.counters = view.counters;
        let is_at_top = self.connections.place().is_none_or(|place| place == 0);
        let rows = view.connections.into_iter().map(ConnectionRow::from);
        self.connections.replace(open_first(rows.collect()));
        if is_at_top {
            // Who looks at the top looks at what is open, not at what has just closed.
            self.connections.step(Step::First);
        }
    }

    /// What is in other mailboxes than these has come while the program runs.
    pub fn only_these_are_old<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.old = Some(names.map(DisplayText::from).collect());
    }

    /// Takes a snapshot of what lies in the directory.
    pub fn overview_is(&mut self, overview: &Overview) {
        let rows = overview.mailboxes.iter().map(|mailbox| {
            let name = DisplayText::from(mailbox.name.as_str());
            // Of one that cannot be read at the moment nothing is known to be new.
            let Some(messages) = mailbox.messages else { return MailboxRow::new(mailbox, 0) };
            let is_old = self.old.as_ref().is_none_or(|old| old.contains(&name));
            let seen = self.seen.entry(name).or_insert(if is_old { messages } else { 0 });
            // Mail that was fetched and deleted must not hide as much that comes later.
            *seen = messages.min(*seen);
            MailboxRow::new(mailbox, *seen)
        });
        self.mailboxes.replace(rows.collect());
        let rows = (1..).zip(&overview.queue).map(|(number, view)| QueueRow::new(number, view));
        self.queue.replace(rows.collect());
    }

    /// The recipients in the queue's view, of whom the screen wants to know what the relay does.
    #[must_use]
    pub fn queue_in_sight(&self) -> Vec<QueueTarget> {
        let page = self.queue.extent().page;
        let mut targets: Vec<QueueTarget> =
            self.queue.in_view().take(page).map(|(row, _)| row.target.clone()).collect();
        targets.extend(self.queue.selected().map(|row| row.target.clone()));
        targets
    }

    /// Takes what the relay is doing for them, and everything about the selected one.
    pub fn relay_is(
        &mut self,
        tally: Option<Tally>,
        live: impl Iterator<Item = (QueueTarget, Live)>,
        story: Story,
    ) {
        self.relay.is(tally, live);
        self.relay.story = story;
    }

    /// The selected recipient in the queue, as it is now.
    #[must_use]
    pub fn queue_selected(&self) -> Option<QueueRow> {
        self.queue.selected().map(|row| self.relay.bring_up_to_date(row))
    }

    /// Says something to the user, until the next key or for a while.
    pub fn say(&mut self, words: &str) {
        self.said = Some(DisplayText::from(words));
        self.said_until = None;
    }

    /// Says something beside what has been said since the last key.
    fn say_more(&mut self, words: &str) {
        match self.said.take() {
            Some(said) => self.say(&format!("{said} {words}")),
            None => self.say(words),
        }
    }

    /// How many connections of a service are open, or of all.
    #[must_use]
    pub fn open(&self, service: Option<Service>) -> usize {
        let open = self.connections.items().iter().filter(|connection| {
            connection.closed.is_none() && service.is_none_or(|s| s == connection.name.service)
        });
        open.count()
    }

    /// The POP3 session of this process that has a mailbox locked.
    #[must_use]
    pub fn session_on(&self, mailbox: &DisplayText) -> Option<ConnectionName> {
        let mut rows = self.connections.items().iter();
        let row = rows.find(|row| row.closed.is_none() && row.user.as_ref() == Some(mailbox));
        row.map(|row| row.name)
    }

    /// How many recipients in the queue are in this state.
    #[must_use]
    pub fn queued(&self, state: RecipientState) -> usize {
        let rows = self.queue.items().iter();
        rows.filter(|row| row.state == state).count()
    }

    /// Tells how far down what lies over the panes can be scrolled.
    pub fn fit_overlay(&mut self, most: usize) {
        if let Some(top) = self.overlay.top_mut() {
            *top = most.min(*top);
        }
    }

    /// Where keys go, where no question, no help and no typing takes them.
    #[must_use]
    pub fn context(&self) -> Context {
        match (&self.overlay, self.focus) {
            (Overlay::Servers { .. }, _) => Context::Servers,
            (_, pane) if self.is_reading() => self.reader.context().unwrap_or(Context::Pane(pane)),
            (_, pane) => Context::Pane(pane),
        }
    }

    /// Takes what came of a request about mailboxes and messages.
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
            // What is about a list is about the mailbox that is open.
            MailroomEvent::Begun { .. }
            | MailroomEvent::Listed(_)
            | MailroomEvent::Complete
            | MailroomEvent::NotListed(_) => {
                let reader = self.set_aside.as_mut().unwrap_or(&mut self.reader);
                if let Some(words) = reader.take(news) {
                    self.say_more(&words);
                }
            }
        }
    }

    /// Goes back from the message of a queue entry to what was read before.
    fn leave_queued(&mut self) {
        if let Some(reader) = self.set_aside.take() {
            self.reader = reader;
        }
    }

    /// Whether what is read is in sight: while the mailboxes have the keys and one is open, or the
    /// queue has them and the message of an entry is.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        let of = if self.set_aside.is_some() { Pane::Queue } else { Pane::Mailboxes };
        self.focus == of && self.reader.context().is_some()
    }

    /// What is looked for where `place` has the keys.
    #[must_use]
    pub fn filter_of(&self, place: Context) -> Option<&str> {
        match place {
            Context::Pane(Pane::Connections) => self.connections.pattern(),
            Context::Pane(Pane::Transcript | Pane::Log) => {
                return self.transcript.ring().search().map(|(filter, _)| filter.as_str());
            }
            Context::Pane(Pane::Mailboxes) => self.mailboxes.pattern(),
            Context::Pane(Pane::Queue) => self.queue.pattern(),
            Context::Messages | Context::Message => return self.reader.filter(),
            Context::Servers => None,
        }
        .map(Pattern::as_str)
    }

    /// How long the screen stays true when nothing happens; `None`: for ever.
    #[must_use]
    pub fn ages_in(&self) -> Option<Duration> {
        let said = self.said.as_ref().and(self.said_until);
        let said = said.map(|until| until.saturating_duration_since(self.clock.instant));
        said.into_iter().chain(self.lists_age_in()).min()
    }

    fn lists_age_in(&self) -> Option<Duration> {
        if self.relay.is_sending() || self.relay.tally.is_some() {
            return Some(SPIN);
        }
        if !self.connections.items().is_empty() {
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

/// The open ones as they came, then those that have closed, the latest first: however many come and
/// go, the open ones stay in sight.
fn open_first(mut rows: Vec<ConnectionRow>) -> Vec<ConnectionRow> {
    rows.sort_unstable_by_key(|row| match row.closed {
        None => (false, None, row.name.id),
        Some(closed) => (true, Some(Reverse(closed)), u64::MAX - row.name.id),
    });
    rows
}
