//! The loop of the screen: what wakes it, what a frame takes, what a key does.

use std::env;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{Local, Offset};
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_core::Stream;
use tokio::sync::watch;
use tokio::time::{Instant as Timer, sleep_until};
use tokio_util::sync::CancellationToken;
use tui_input::InputRequest;

use crate::console::action::{Action, Command, ServerOrder};
use crate::console::setting::in_words;
use crate::console::state::relay::Story;
use crate::console::state::server::SettingsView;
use crate::console::state::{Clock, State};
use crate::mailroom::{News, Wish};
use crate::relay::postmaster::Request;
use crate::ui::clipboard::{Desktop, osc_52};
use crate::ui::hits::HitMap;
use crate::ui::layout::Layout;
use crate::ui::panes::log::LogView;
use crate::ui::panes::{hint_bar, top_line};
use crate::ui::save::save;
use crate::ui::terminal::{PanicGuard, Stirred, Terminal};
use crate::ui::text::grouped;
use crate::ui::{Console, Ending, diagnostics, draw, fit, keymap};
use crate::wire::display::DisplayText;

/// Sixty frames a second are as many as anybody sees.
const FRAME: Duration = Duration::from_micros(16_667);

/// How often the figures move on while there is something in them.
const CHART_STEP: Duration = Duration::from_secs(1);

/// News of the mailroom that one frame takes; each may tell of hundreds of messages.
const NEWS_A_FRAME: usize = 16;

/// What a frame takes while so much is said that nobody can read it as it goes: every other one is
/// left to the servers.
const BUSY_FRAME: Duration = Duration::from_micros(33_334);

/// Rows of one frame that are more than anybody reads.
const BUSY_ROWS: usize = 200;

/// What `-v` comes to where stderr is the screen's own terminal.
const VERBOSE: &str =
    "-v: the screen is the transcript; 2>FILE writes it to a file too, and s saves it.";

/// A snapshot of the connections may take this part of the time at most: ten thousand of them are
/// not copied sixty times a second.
const SNAPSHOT_SHARE: u32 = 20;

/// Runs the screen on the calling thread until its user quits or `stop` fires.
pub(super) fn run(console: Console, stop: &CancellationToken) -> io::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    diagnostics::start(Arc::clone(&console.feed));
    let _panics = PanicGuard::new();
    runtime.block_on(async {
        let mut screen = Screen::new(console)?;
        screen.run(stop).await
    })
}

struct Screen {
    console: Console,
    state: State,
    log: LogView,
    terminal: Terminal,
    desktop: Desktop,
    /// What the mouse does on the last picture.
    hits: HitMap,
    /// Whether the picture is behind the state.
    is_dirty: bool,
    /// When the last frame was drawn.
    drawn: Instant,
    /// When the next frame may be drawn.
    next_frame: Instant,
    /// When something in sight has aged.
    next_age: Option<Instant>,
    connections: Snapshot,
    relay_changes: watch::Receiver<u64>,
    /// What the mailroom has told since the last frame.
    news: Vec<News>,
    settings: watch::Receiver<SettingsView>,
    /// What was said last that is too long for the screen.
    too_long: Option<DisplayText>,
}

/// Which version of the registry the state has, and when it may have the next.
struct Snapshot {
    version: Option<u64>,
    not_before: Instant,
}

/// What woke the loop.
enum Woken {
    Stop,
    Input(Option<io::Result<Event>>),
    News,
    Overview,
    /// A server, or a setting, is no longer what it was.
    Servers,
    /// The relay says something to its operator.
    Words(String),
    /// The mailroom says what came of a wish.
    Mail,
    Aged,
    Frame,
    Terminal(io::Result<Stirred>),
}

impl Screen {
    fn new(console: Console) -> io::Result<Self> {
        let now = Instant::now();
        let mut state = State::new(clock(), console.look.scrollback);
        state.palette = console.look.palette;
        state.domain = DisplayText::from(&*console.look.domain);
        state.password = DisplayText::from(&*console.look.password);
        state.keymap = Arc::clone(&console.look.keymap);
        state.servers_are(console.control.servers.borrow().iter());
        state.notices = console.notices.iter().map(|n| DisplayText::from(n.as_str())).collect();
        state.made = console.made.as_ref().map(|path| path.display().to_string().as_str().into());
        if console.look.wants_transcript {
            state.say(VERBOSE);
        }
        state.only_these_are_old(console.there.iter().map(String::as_str));
        state.settings_are(console.settings.view());
        state.overview_is(&console.overview.borrow());
        Ok(Self {
            terminal: Terminal::enter(state.mouse, console.look.depth)?,
            desktop: Desktop::default(),
            relay_changes: console.relay.board.changes(),
            settings: console.settings.changes(),
            console,
            state,
            log: LogView::new(),
            hits: HitMap::default(),
            is_dirty: true,
            drawn: now,
            next_frame: now,
            next_age: None,
            connections: Snapshot { version: None, not_before: now },
            news: Vec::with_capacity(NEWS_A_FRAME),
            too_long: None,
        })
    }

    async fn run(&mut self, stop: &CancellationToken) -> io::Result<Ending> {
        let mut input = EventStream::new();
        loop {
            match self.wait(&mut input, stop).await {
                Woken::Stop => return Ok(Ending::Shutdown),
                Woken::Input(Some(Ok(event))) => {
                    if let Some(ending) = self.take_input(&event).await? {
                        return Ok(ending);
                    }
                }
                Woken::Input(_) | Woken::Terminal(Err(_)) => return Ok(Ending::TerminalGone),
                Woken::News | Woken::Aged => self.is_dirty = true,
                Woken::Overview => self.take_overview(),
                Woken::Mail => self.take_news(),
                Woken::Servers => self.take_servers(),
                Woken::Words(words) => self.take_words(&words),
                Woken::Terminal(Ok(Stirred::Continued)) => {
                    self.terminal.take_again()?;
                    self.is_dirty = true;
                }
                Woken::Terminal(Ok(Stirred::Written)) => {}
                Woken::Frame => {
                    if self.draw_frame().is_err() {
                        return Ok(Ending::TerminalGone);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, input: &mut EventStream, stop: &CancellationToken) -> Woken {
        // What the terminal has not taken yet is the newest that it can be shown.
        let may_draw = self.is_dirty && self.terminal.is_ready();
        let frame = may_draw.then_some(self.next_frame);
        let age = self.next_age.filter(|_| !self.is_dirty);
        tokio::select! {
            biased;
            () = stop.cancelled() => Woken::Stop,
            event = poll_fn(|context| std::pin::Pin::new(&mut *input).poll_next(context)) => {
                Woken::Input(event)
            }
            () = at(frame) => Woken::Frame,
            () = self.console.feed.moved(), if !self.is_dirty => Woken::News,
            () = self.console.registry.moved(), if !self.is_dirty => Woken::News,
            Ok(()) = self.console.overview.changed(), if !self.is_dirty => Woken::Overview,
            Some(words) = self.console.words.recv(), if !self.is_dirty => Woken::Words(words),
            1.. = self.console.mailroom.news.recv_many(&mut self.news, NEWS_A_FRAME),
                if !self.is_dirty => Woken::Mail,
            Ok(()) = self.relay_changes.changed(), if !self.is_dirty => Woken::News,
            Ok(()) = self.console.control.servers.changed(), if !self.is_dirty => Woken::Servers,
            Ok(()) = self.settings.changed(), if !self.is_dirty => Woken::Servers,
            () = at(age) => Woken::Aged,
            stirred = self.terminal.stirs() => Woken::Terminal(stirred),
        }
    }

    async fn take_input(&mut self, event: &Event) -> io::Result<Option<Ending>> {
        self.is_dirty = true;
        // Keys are answered as quickly while the servers are busy.
        self.next_frame = self.next_frame.min(self.drawn + FRAME);
        match event {
            Event::Key(event) if event.kind != KeyEventKind::Release => {
                for key in keymap::pressed(&self.state, *event) {
                    if let Some(action) = keymap::action(&self.state, key)
                        && let Some(ending) = self.act(action).await?
                    {
                        return Ok(Some(ending));
                    }
                }
                Ok(None)
            }
            Event::Mouse(event) => match self.hits.action(*event) {
                Some(action) => self.act(action).await,
                None => Ok(None),
            },
            Event::Paste(text) => {
                for character in text.chars() {
                    let request = InputRequest::InsertChar(character);
                    self.state.update(Action::Edit(request));
                }
                Ok(None)
            }
            Event::Resize(columns, lines) => {
                self.terminal.resize(*columns, *lines);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    async fn act(&mut self, action: Action) -> io::Result<Option<Ending>> {
        let Some(command) = self.state.update(action) else {
            return Ok(None);
        };
        match command {
            Command::Quit => return Ok(Some(Ending::Quit)),
            Command::Close(connection) => self.console.registry.close(connection),
            Command::Relay(request) => self.ask_relay(request),
            Command::Save(name) => self.save(name.as_deref()),
            Command::Copy(text) => self.copy(text)?,
            Command::Server(order) => self.order_server(order),
            Command::Set(setting) => {
                let name = setting.name();
                let now = self.console.control.set(setting);
                self.state.say(&in_words(name, &now));
            }
            Command::Wish(wish) => self.ask_mailroom(wish),
            Command::ScrollLog(step) => self.log.scroll(step),
            Command::Mouse => self.terminal.set_mouse(self.state.mouse)?,
            Command::Redraw => self.terminal.redraw(),
            Command::Suspend => self.terminal.suspend().await?,
        }
        Ok(None)
    }

    fn ask_relay(&mut self, request: Request) {
        if self.console.requests.try_send(request).is_err() {
            self.state.say("The relay has more to do than it can remember. Try again.");
        }
    }

    fn ask_mailroom(&mut self, wish: Wish) {
        let Err(refused) = self.console.mailroom.wishes.try_send(wish) else {
            return;
        };
        self.state.say("The mailroom has more to do than it can remember. Try again.");
        if let Wish::Send(draft) = refused.into_inner() {
            self.state.take_news(News::NotSent(draft));
        }
    }

    fn order_server(&mut self, order: ServerOrder) {
        if self.console.control.orders.try_send(order).is_err() {
            self.state.say("There are more orders than can be remembered. Try again.");
        }
    }

    fn save(&mut self, name: Option<&Path>) {
        // Where it cannot be told where the console runs, `.` fails with the reason.
        let here = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let words = match save(&self.state, &here, name) {
            Ok((path, 1)) => format!("Saved 1 line to {}.", path.display()),
            Ok((path, rows)) => format!("Saved {} lines to {}.", grouped(rows), path.display()),
            Err(error) => error.to_string(),
        };
        self.state.say(&words);
    }

    /// The state has said already that it is copied.
    fn copy(&mut self, text: String) -> io::Result<()> {
        match osc_52(&text) {
            Ok(told) => {
                self.terminal.tell(&told)?;
                self.desktop.copy(text);
            }
            Err(error) => self.state.say(&error.to_string()),
        }
        Ok(())
    }

    fn draw_frame(&mut self) -> io::Result<()> {
        let started = Instant::now();
        self.take_planes();
        self.is_dirty = false;
        self.state.tick(clock());
        let mut taken = self.console.feed.take();
        let is_busy = taken.rows.len() > BUSY_ROWS;
        for row in taken.rows.drain(..) {
            self.state.apply(row);
        }
        self.console.feed.give_back(taken.rows);
        self.take_snapshot(started);
        diagnostics::collect();
        fit(&mut self.state, self.terminal.area());
        self.log_what_is_too_long();
        self.take_relay();
        self.take_marks();
        let Self { state, log, terminal, hits, .. } = self;
        terminal.draw(|buffer| *hits = draw(state, log, buffer))?;
        self.is_dirty |= taken.more;
        self.drawn = started;
        self.next_frame = started + if is_busy { BUSY_FRAME } else { FRAME };
        self.next_age = self.ages_in().map(|time| started + time);
        Ok(())
    }

    /// What was said and has no room on the screen is in the log, once.
    fn log_what_is_too_long(&mut self) {
        let said = hint_bar::too_long(&self.state, self.terminal.area().width).cloned();
        if let Some(said) = said.as_ref().filter(|_| said != self.too_long) {
            tracing::info!("{said}");
        }
        self.too_long = said;
    }

    /// Whatever has asked for the frame, it shows the newest of everything: servers that talk without
    /// a pause must not keep the rest from the screen.
    fn take_planes(&mut self) {
        if self.console.overview.has_changed().unwrap_or(false) {
            self.take_overview();
        }
        let servers = &self.console.control.servers;
        if servers.has_changed().unwrap_or(false) || self.settings.has_changed().unwrap_or(false) {
            self.take_servers();
        }
        if let Ok(words) = self.console.words.try_recv() {
            self.take_words(&words);
        }
        while self.news.len() < NEWS_A_FRAME
            && let Ok(news) = self.console.mailroom.news.try_recv()
        {
            self.news.push(news);
        }
        if !self.news.is_empty() {
            self.take_news();
        }
    }

    fn take_words(&mut self, words: &str) {
        self.state.say(words);
        self.is_dirty = true;
    }

    fn take_overview(&mut self) {
        let overview = Arc::clone(&self.console.overview.borrow_and_update());
        self.state.overview_is(&overview);
        self.is_dirty = true;
    }

    fn take_news(&mut self) {
        for news in self.news.drain(..) {
            self.state.take_news(news);
        }
        self.is_dirty = true;
    }

    /// Takes which of the messages in sight a POP3 session means to remove.
    fn take_marks(&mut self) {
        let Some(messages) = self.state.reader.messages_mut() else { return };
        let Some(marks) = self.console.mailroom.directory.marks(messages.mailbox()) else {
            messages.marks_are(std::iter::empty());
            return;
        };
        let is_marked = |number: &usize| number.checked_sub(1).is_some_and(|n| marks.is_marked(n));
        let marked: Vec<usize> = messages.in_sight().filter(is_marked).collect();
        messages.marks_are(marked.into_iter());
    }

    fn take_servers(&mut self) {
        let servers = Arc::clone(&self.console.control.servers.borrow_and_update());
        self.state.servers_are(servers.iter());
        self.state.settings_are(self.settings.borrow_and_update().clone());
        self.is_dirty = true;
    }

    /// Takes what the relay is doing for those who are in sight.
    fn take_relay(&mut self) {
        let Self { console: Console { relay, .. }, state, .. } = self;
        let story = state.queue.selected().map(|row| Story {
            hosts: relay.hosts_of(row.pick.recipient.as_deref().unwrap_or_default()),
            attempts: relay.board.attempts(&row.pick),
        });
        let picks = state.queue_in_sight();
        let live = relay.board.live(&picks);
        let live = picks.into_iter().zip(live);
        state.relay_is(relay.board.tally(), live, story.unwrap_or_default());
    }

    /// How long the picture stays true when nothing happens.
    fn ages_in(&self) -> Option<Duration> {
        let layout = Layout::of(&self.state, self.terminal.area());
        let has_chart = layout.is_some_and(|layout| layout.chart.is_some());
        let has_figures = (has_chart && self.state.rate.peak() > 0)
            || top_line::has_rate(&self.state, self.terminal.area().width);
        let figures = has_figures.then_some(CHART_STEP);
        figures.into_iter().chain(self.state.ages_in()).min()
    }

    /// Takes a snapshot of the connections if there is news of them, or if closed ones are listed,
    /// which go by themselves.
    fn take_snapshot(&mut self, now: Instant) {
        let version = self.console.registry.version();
        let rows = self.state.connections.items();
        let has_closed = rows.iter().any(|row| row.closed.is_some());
        if self.connections.version == Some(version) && !has_closed {
            return;
        }
        if now < self.connections.not_before {
            // The frame after next will have it.
            self.is_dirty = true;
            return;
        }
        self.state.connections_are(self.console.registry.view());
        self.connections =
            Snapshot { version: Some(version), not_before: now + now.elapsed() * SNAPSHOT_SHARE };
    }
}

/// Waits until a moment; for ever, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(Timer::from_std(moment)).await,
        None => std::future::pending().await,
    }
}

fn clock() -> Clock {
    Clock { instant: Instant::now(), wall: SystemTime::now(), offset: Local::now().offset().fix() }
}
