//! What the screen shows, and how what happens and what a user does change it. Pure: knows no
//! terminal, no server and no clock of its own.

pub mod list;
pub mod pattern;
pub mod rate;
pub mod relay;
pub mod ring;
pub mod row;
pub mod rows;
pub mod scrollback;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use chrono::FixedOffset;

use crate::app::action::{Action, Answer, Command, Direction, Pane, Request, Step};
use crate::app::state::list::List;
use crate::app::state::pattern::Pattern;
use crate::app::state::rate::Rate;
use crate::app::state::relay::{RelayNow, Story};
use crate::app::state::row::Row;
use crate::app::state::rows::{ConnectionRow, MailboxRow, QueueRow};
use crate::app::state::scrollback::Scrollback;
use crate::relay::board::{Live, Tally};
use crate::relay::orders::{Order, Pick};
use crate::servers::registry::RegistryView;
use crate::store::overview::{Overview, RecipientState};
use crate::wire::display::DisplayText;
use crate::wire::event::{ConnectionName, Service};

/// Characters that can be typed into a filter.
const MOST_TYPED: usize = 80;

/// How often ages change that are shown in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// How often the sign of what is being sent turns.
pub const SPIN: Duration = Duration::from_millis(100);

/// How often ages change that are shown in minutes.
const MINUTE: Duration = Duration::from_mins(1);

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

/// How far down a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Rows above the view.
    pub above: usize,
    /// Rows in the view.
    pub page: usize,
    /// Rows in all.
    pub all: usize,
}

/// How transcript rows show when they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// `10:42:57`.
    Seconds,
    /// `10:42:57.301`.
    Milliseconds,
    /// Not at all.
    Off,
}

/// What happens to transcript rows longer than the pane is wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongRows {
    /// An ellipsis stands for the rest.
    Cut,
    /// They go on in the next line.
    Wrapped,
}

/// Which colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// None: bold, dim and reverse only.
    Plain,
}

/// Who gets the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The program: clicks select, the wheel scrolls.
    Captured,
    /// The terminal: it selects text.
    Free,
}

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Quit while so many connections are open, or a relay run is under way?
    Quit {
        /// How many.
        open: usize,
    },
    /// Close this connection?
    Close(ConnectionName),
    /// Drop this recipient of a queued message?
    Drop(Pick),
}

/// What lies over the panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    None,
    /// The keys.
    Help {
        /// What is looked for among them.
        search: String,
        /// Lines scrolled down.
        top: usize,
    },
    /// A question.
    Ask {
        /// What is asked.
        question: Question,
        /// What Enter answers.
        marked: Answer,
    },
    /// The selected queue entry.
    QueueEntry {
        /// Lines scrolled down.
        top: usize,
    },
}

/// One of the servers, in the top line.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it speaks.
    pub service: Service,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// The port; the ports, where addresses differ; the whole address, where others than this
    /// machine can connect.
    #[must_use]
    pub fn ports(&self) -> String {
        if let Some(open_to_others) = self.addresses.iter().find(|a| !a.ip().is_loopback()) {
            return open_to_others.to_string();
        }
        let mut ports: Vec<String> = self.addresses.iter().map(|a| a.port().to_string()).collect();
        ports.dedup();
        ports.join(",")
    }
}

/// Everything the screen shows.
#[derive(Debug, Clone)]
pub struct State {
    /// The time of this frame.
    pub clock: Clock,
    /// The servers, in the order of the top line.
    pub servers: Vec<Server>,
    /// Settings and warnings that the user must know of.
    pub notices: Vec<DisplayText>,
    /// The pane that keys go to.
    pub focus: Pane,
    /// Whether the focused pane has the whole screen.
    pub zoomed: bool,
    /// Whether the newest connections have a pane each.
    pub tiled: bool,
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
    /// What lies over the panes.
    pub overlay: Overlay,
    /// The pane whose filter is being typed.
    pub typing: Option<Pane>,
    /// The program's answer to the last key.
    pub said: Option<DisplayText>,
    /// Time stamps.
    pub stamps: Stamps,
    /// Long rows.
    pub long_rows: LongRows,
    /// Colours.
    pub palette: Palette,
    /// The mouse.
    pub mouse: Mouse,
    /// Messages of each mailbox when the user last looked.
    seen: HashMap<DisplayText, u64>,
}

impl State {
    /// An empty screen with room for `scrollback` transcript rows.
    #[must_use]
    pub fn new(clock: Clock, scrollback: usize) -> Self {
        Self {
            clock,
            servers: Vec::new(),
            notices: Vec::new(),
            focus: Pane::Connections,
            zoomed: false,
            tiled: false,
            connections: List::default(),
            opened: 0,
            mailboxes: List::default(),
            queue: List::default(),
            relay: RelayNow::default(),
            transcript: Scrollback::new(scrollback),
            rate: Rate::new(clock.instant),
            overlay: Overlay::None,
            typing: None,
            said: None,
            stamps: Stamps::Seconds,
            long_rows: LongRows::Cut,
            palette: Palette::Dark,
            mouse: Mouse::Captured,
            seen: HashMap::new(),
        }
    }

    /// Sets the time of the coming frame.
    pub fn tick(&mut self, clock: Clock) {
        self.clock = clock;
        self.rate.advance(clock.instant);
    }

    /// Takes a transcript row.
    pub fn apply(&mut self, row: impl Into<Row>) {
        let row = row.into();
        self.rate.count(row.lines(), self.clock.instant);
        self.transcript.push(row);
    }

    /// Takes a snapshot of the connections.
    pub fn connections_are(&mut self, view: RegistryView) {
        self.opened = view.opened;
        let rows = view.connections.into_iter().map(ConnectionRow::from);
        self.connections.replace(rows.collect());
    }

    /// Takes a snapshot of what lies in the directory.
    pub fn overview_is(&mut self, overview: &Overview) {
        let rows = overview.mailboxes.iter().map(|mailbox| {
            let name = DisplayText::from(mailbox.name.as_str());
            let messages = mailbox.messages.unwrap_or(0);
            let seen = self.seen.entry(name).or_insert(messages);
            // Mail that was fetched and deleted must not hide as much that comes later.
            *seen = messages.min(*seen);
            MailboxRow::new(mailbox, *seen)
        });
        self.mailboxes.replace(rows.collect());
        let rows = overview.queue.iter().map(QueueRow::from);
        self.queue.replace(rows.collect());
    }

    /// The recipients in the queue's view, of whom the screen wants to know what the relay does.
    #[must_use]
    pub fn queue_in_sight(&self) -> Vec<Pick> {
        let page = self.queue.extent().page;
        let mut picks: Vec<Pick> =
            self.queue.in_view().take(page).map(|(row, _)| row.pick.clone()).collect();
        picks.extend(self.queue.selected().map(|row| row.pick.clone()));
        picks
    }

    /// Takes what the relay is doing for them, and everything about the selected one.
    pub fn relay_is(
        &mut self,
        tally: Option<Tally>,
        live: impl Iterator<Item = (Pick, Live)>,
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

    /// Says something to the user, until the next key.
    pub fn say(&mut self, words: &str) {
        self.said = Some(DisplayText::from(words));
    }

    /// How many connections of a service are open, or of all.
    #[must_use]
    pub fn open(&self, service: Option<Service>) -> usize {
        let open = self.connections.items().iter().filter(|connection| {
            connection.closed.is_none() && service.is_none_or(|s| s == connection.name.service)
        });
        open.count()
    }

    /// How many recipients in the queue are in this state.
    #[must_use]
    pub fn queued(&self, state: RecipientState) -> usize {
        let rows = self.queue.items().iter();
        rows.filter(|row| row.state == state).count()
    }

    /// Tells how far down what lies over the panes can be scrolled.
    pub fn fit_overlay(&mut self, most: usize) {
        if let Overlay::Help { top, .. } | Overlay::QueueEntry { top } = &mut self.overlay {
            *top = most.min(*top);
        }
    }

    /// What is being typed, or was typed, as a pane's filter.
    #[must_use]
    pub fn filter_of(&self, pane: Pane) -> Option<&Pattern> {
        match pane {
            Pane::Connections => self.connections.pattern(),
            Pane::Transcript | Pane::Log => {
                self.transcript.ring().search().map(|(pattern, _)| pattern)
            }
            Pane::Mailboxes => self.mailboxes.pattern(),
            Pane::Queue => self.queue.pattern(),
        }
    }

    /// How long the screen stays true when nothing happens; `None`: for ever.
    #[must_use]
    pub fn ages_in(&self) -> Option<Duration> {
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

    /// Does what a user asks of the screen; returns what the screen asks of the program.
    pub fn update(&mut self, action: Action) -> Option<Command> {
        self.said = None;
        match action {
            Action::Help => self.toggle_help(),
            Action::Focus(pane) => self.focus_on(pane),
            Action::FocusNext => self.focus_on(self.focus.next()),
            Action::FocusPrevious => self.focus_on(self.focus.previous()),
            Action::Zoom => self.zoomed = !self.zoomed,
            Action::Tiles => self.toggle_tiles(),
            Action::Escape => self.escape(),
            Action::Move(step) => return self.step(step),
            Action::Wheel(pane, direction) => return self.wheel(pane, direction),
            Action::Click(pane, row) => self.click(pane, row),
            Action::Filter => self.type_filter(),
            Action::Find(direction) => self.find(direction),
            Action::Type(character) => self.edit(|text| push_typed(text, character)),
            Action::Erase => self.edit(|text| text.truncate(without_last(text))),
            Action::Confirm => return self.confirm(),
            Action::Answer(answer) => return self.answer(answer),
            Action::OtherAnswer => self.mark_other_answer(),
            Action::OnlyThis => self.narrow_to_selected(),
            Action::AllConnections => self.transcript.narrow(None),
            Action::CloseConnection => self.ask_to_close(),
            Action::Details => self.show_details(),
            Action::RelayRun => return Some(Command::Relay(Request::Run)),
            Action::Retry => return self.retry(),
            Action::RetryRow(row) => {
                self.click(Pane::Queue, Some(row));
                return self.retry();
            }
            Action::Hold => return self.hold_or_release(),
            Action::Drop => self.ask_to_drop(),
            Action::Pause => self.transcript.pause(),
            Action::Follow => self.transcript.follow(),
            Action::Stamps => self.stamps = self.stamps.next(),
            Action::Wrap => self.long_rows = self.long_rows.other(),
            Action::Bodies => self.transcript.toggle_bodies(),
            Action::Passwords => self.transcript.toggle_passwords(),
            Action::Save => return Some(Command::Save),
            Action::Theme => self.palette = self.palette.next(),
            Action::Mouse => return Some(self.toggle_mouse()),
            Action::Redraw => return Some(Command::Redraw),
            Action::Suspend => return Some(Command::Suspend),
            Action::Quit => return self.quit(),
            Action::QuitNow => return Some(Command::Quit),
        }
        None
    }

    fn toggle_help(&mut self) {
        self.overlay = match self.overlay {
            Overlay::Help { .. } => Overlay::None,
            _ => Overlay::Help { search: String::new(), top: 0 },
        };
    }

    fn focus_on(&mut self, pane: Pane) {
        if self.focus == Pane::Mailboxes && pane != Pane::Mailboxes {
            self.has_looked_at_mailboxes();
        }
        self.focus = pane;
        self.typing = None;
    }

    /// What is in the mailboxes now is new no more.
    fn has_looked_at_mailboxes(&mut self) {
        let mut rows = self.mailboxes.items().to_vec();
        for row in &mut rows {
            let messages = row.messages.unwrap_or(0);
            self.seen.insert(row.name.clone(), messages);
            row.new = 0;
        }
        self.mailboxes.replace(rows);
    }

    fn toggle_tiles(&mut self) {
        self.tiled = !self.tiled;
        if self.tiled {
            self.transcript.narrow(None);
        }
    }

    fn escape(&mut self) {
        if self.overlay != Overlay::None {
            self.overlay = Overlay::None;
        } else if self.typing.is_some() || self.filter_of(self.focus).is_some() {
            self.set_filter(self.typing.unwrap_or(self.focus), None);
            self.typing = None;
        } else if self.zoomed {
            self.zoomed = false;
        } else if self.tiled {
            self.tiled = false;
        } else if self.transcript.ring().only().is_some() {
            self.transcript.narrow(None);
        }
    }

    fn step(&mut self, step: Step) -> Option<Command> {
        if let Overlay::Help { top, .. } | Overlay::QueueEntry { top } = &mut self.overlay {
            *top = stepped(*top, step);
            return None;
        }
        self.step_in(self.focus, step)
    }

    fn step_in(&mut self, pane: Pane, step: Step) -> Option<Command> {
        match pane {
            Pane::Connections => self.connections.step(step),
            // Tiles always show what is newest.
            Pane::Transcript if self.tiled => {}
            Pane::Transcript => self.transcript.step(step),
            Pane::Mailboxes => self.mailboxes.step(step),
            Pane::Queue => self.queue.step(step),
            Pane::Log => return Some(Command::ScrollLog(step)),
        }
        None
    }

    fn wheel(&mut self, pane: Pane, direction: Direction) -> Option<Command> {
        let step = match direction {
            Direction::Forward => Step::Down,
            Direction::Backward => Step::Up,
        };
        match self.overlay {
            Overlay::Help { .. } | Overlay::QueueEntry { .. } => self.step(step),
            Overlay::Ask { .. } => None,
            Overlay::None if pane == Pane::Transcript && !self.tiled => {
                self.transcript.wheel(direction);
                None
            }
            Overlay::None => self.step_in(pane, step),
        }
    }

    fn click(&mut self, pane: Pane, row: Option<usize>) {
        if self.overlay != Overlay::None {
            return;
        }
        self.focus_on(pane);
        match (pane, row) {
            (Pane::Connections, Some(row)) => self.connections.click(row),
            (Pane::Transcript, Some(row)) => self.transcript.click(row),
            (Pane::Mailboxes, Some(row)) => self.mailboxes.click(row),
            (Pane::Queue, Some(row)) => self.queue.click(row),
            _ => {}
        }
    }

    fn type_filter(&mut self) {
        let pane = match self.focus {
            Pane::Log => Pane::Transcript,
            pane => pane,
        };
        // Again after a search that showed the matches in context: only the matches.
        let pattern = self.filter_of(pane).cloned();
        self.set_filter(pane, pattern);
        self.typing = Some(pane);
    }

    fn find(&mut self, direction: Direction) {
        let pane = self.focus;
        if self.filter_of(pane).is_none() {
            self.say("Nothing is looked for yet: type / and what to look for.");
            return;
        }
        match pane {
            Pane::Connections => self.connections.find(direction),
            Pane::Transcript | Pane::Log => self.transcript.find(direction),
            Pane::Mailboxes => self.mailboxes.find(direction),
            Pane::Queue => self.queue.find(direction),
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        if let Overlay::Help { search, top } = &mut self.overlay {
            change(search);
            *top = 0;
        } else if let Some(pane) = self.typing {
            let mut text = match self.filter_of(pane) {
                Some(pattern) => pattern.as_str().to_owned(),
                None => String::new(),
            };
            change(&mut text);
            self.set_filter(pane, Pattern::new(&text));
        }
    }

    fn set_filter(&mut self, pane: Pane, pattern: Option<Pattern>) {
        match pane {
            Pane::Connections => self.connections.filter(pattern),
            Pane::Transcript | Pane::Log => self.transcript.filter(pattern),
            Pane::Mailboxes => self.mailboxes.filter(pattern),
            Pane::Queue => self.queue.filter(pattern),
        }
    }

    fn confirm(&mut self) -> Option<Command> {
        self.typing = None;
        if let Overlay::Ask { marked, .. } = &self.overlay {
            self.answer(*marked)
        } else {
            self.overlay = Overlay::None;
            None
        }
    }

    fn answer(&mut self, answer: Answer) -> Option<Command> {
        let Overlay::Ask { question, .. } = &self.overlay else {
            return None;
        };
        let question = question.clone();
        self.overlay = Overlay::None;
        match (answer, question) {
            (Answer::No, _) => None,
            (Answer::Yes, Question::Quit { .. }) => Some(Command::Quit),
            (Answer::Yes, Question::Close(connection)) => Some(Command::Close(connection.id)),
            (Answer::Yes, Question::Drop(pick)) => Some(give(Order::Drop, pick)),
        }
    }

    fn mark_other_answer(&mut self) {
        if let Overlay::Ask { marked, .. } = &mut self.overlay {
            *marked = match marked {
                Answer::Yes => Answer::No,
                Answer::No => Answer::Yes,
            };
        }
    }

    fn narrow_to_selected(&mut self) {
        let connection = match self.focus {
            Pane::Transcript => self.transcript.cursor().and_then(|(_, row)| row.connection()),
            _ => self.connections.selected().map(|row| row.name),
        };
        if connection.is_none() {
            self.say(match self.focus {
                Pane::Transcript => "No row is selected: ↑ selects one.",
                _ => "No connection is selected.",
            });
            return;
        }
        self.tiled = false;
        self.transcript.narrow(connection);
    }

    fn ask_to_close(&mut self) {
        match self.connections.selected() {
            Some(row) if row.closed.is_none() => self.ask(Question::Close(row.name)),
            Some(_) => self.say("This connection is closed already."),
            None => self.say("No connection is selected."),
        }
    }

    fn ask(&mut self, question: Question) {
        self.overlay = Overlay::Ask { question, marked: Answer::No };
    }

    fn show_details(&mut self) {
        if self.queue.selected().is_some() {
            self.overlay = Overlay::QueueEntry { top: 0 };
        }
    }

    fn retry(&mut self) -> Option<Command> {
        let row = self.queue_entry()?;
        if row.sending.is_some() {
            self.say("It is being sent now.");
            return None;
        }
        Some(give(Order::Retry, row.pick))
    }

    fn hold_or_release(&mut self) -> Option<Command> {
        let row = self.queue_entry()?;
        let order = match row.state {
            RecipientState::Held => Order::Release,
            _ => Order::Hold,
        };
        Some(give(order, row.pick))
    }

    fn ask_to_drop(&mut self) {
        if let Some(row) = self.queue_entry() {
            self.ask(Question::Drop(row.pick));
        }
    }

    /// The selected recipient, or a word to the user that there is none.
    fn queue_entry(&mut self) -> Option<QueueRow> {
        let row = self.queue_selected();
        if row.is_none() {
            self.say("No queue entry is selected.");
        }
        row
    }

    fn toggle_mouse(&mut self) -> Command {
        self.mouse = match self.mouse {
            Mouse::Captured => Mouse::Free,
            Mouse::Free => Mouse::Captured,
        };
        self.say(match self.mouse {
            Mouse::Captured => "The mouse is the console's: click and wheel work.",
            Mouse::Free => "The mouse is the terminal's: it selects text; m takes it back.",
        });
        Command::Mouse
    }

    fn quit(&mut self) -> Option<Command> {
        match (self.open(None), self.relay.tally) {
            (0, None) => Some(Command::Quit),
            (open, _) => {
                self.ask(Question::Quit { open });
                None
            }
        }
    }
}

fn give(order: Order, pick: Pick) -> Command {
    Command::Relay(Request::Give(order, pick))
}

impl Stamps {
    const fn next(self) -> Self {
        match self {
            Self::Seconds => Self::Milliseconds,
            Self::Milliseconds => Self::Off,
            Self::Off => Self::Seconds,
        }
    }
}

impl LongRows {
    const fn other(self) -> Self {
        match self {
            Self::Cut => Self::Wrapped,
            Self::Wrapped => Self::Cut,
        }
    }
}

impl Palette {
    const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Plain,
            Self::Plain => Self::Dark,
        }
    }
}

fn push_typed(text: &mut String, character: char) {
    if text.chars().count() < MOST_TYPED {
        text.push(character);
    }
}

/// The length of `text` without its last character.
fn without_last(text: &str) -> usize {
    text.char_indices().next_back().map_or(0, |(at, _)| at)
}

/// Where a text of unknown length is scrolled to; whoever draws it knows its end.
fn stepped(top: usize, step: Step) -> usize {
    const PAGE: usize = 10;
    match step {
        Step::Up => top.saturating_sub(1),
        Step::Down => top.saturating_add(1),
        Step::HalfPageUp | Step::PageUp => top.saturating_sub(PAGE),
        Step::HalfPageDown | Step::PageDown => top.saturating_add(PAGE),
        Step::First => 0,
        Step::Last => usize::MAX,
    }
}
