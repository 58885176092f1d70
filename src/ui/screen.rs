//! The event loop of the screen: what wakes it, what a frame takes over, and what a key does.

use std::env;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_core::Stream;
use tokio::time::{Instant as Timer, sleep_until};
use tokio_util::sync::CancellationToken;
use tui_input::InputRequest;

use crate::console::action::{Action, Command};
use crate::console::keys;
use crate::console::program::Program;
use crate::console::state::State;
use crate::ui::ascii::Symbols;
use crate::ui::clipboard::{Desktop, osc_52};
use crate::ui::depth::Depth;
use crate::ui::hits::HitMap;
use crate::ui::layout::Layout;
use crate::ui::panes::log::LogView;
use crate::ui::panes::{hint_bar, top_line};
use crate::ui::save::save;
use crate::ui::terminal::{PanicGuard, Stirred, Terminal};
use crate::ui::text::grouped;
use crate::ui::{Console, Ending, clock, diagnostics, draw, fit, keymap};
use crate::wire::display::DisplayText;

/// The shortest time between two frames: more than sixty a second cannot be seen.
const FRAME: Duration = Duration::from_micros(16_667);

/// How often the chart and the rates move on while they show anything.
const CHART_STEP: Duration = Duration::from_secs(1);

/// The time between two frames while more arrives than can be read: half as many frames leave more
/// of the processor to the servers.
const BUSY_FRAME: Duration = Duration::from_micros(33_334);

/// The rows of one frame above which the screen counts as busy: more than can be read.
const BUSY_ROWS: usize = 200;

/// Runs the screen on the calling thread until its user quits or `stop` is cancelled.
pub(super) fn run(console: Console, stop: &CancellationToken) -> io::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Console { program, state, depth, symbols, log } = console;
    diagnostics::start(Arc::clone(program.feed()), log);
    let _panics = PanicGuard::new();
    runtime.block_on(async {
        let mut screen = Screen::new(program, state, depth, symbols)?;
        screen.run(stop).await
    })
}

struct Screen {
    program: Program,
    state: State,
    log: LogView,
    terminal: Terminal,
    symbols: Symbols,
    desktop: Desktop,
    /// What clicks and the wheel do on the last picture.
    hits: HitMap,
    /// Whether the state has changed since the last picture.
    is_dirty: bool,
    /// When the last frame was drawn.
    drawn: Instant,
    /// The earliest time of the next frame.
    next_frame: Instant,
    /// When an age on the screen next changes.
    next_age: Option<Instant>,
    /// The latest message to the user that was too long for the screen, so that it is logged once.
    too_long: Option<DisplayText>,
}

/// What woke the loop.
enum Woken {
    Stop,
    Input(Option<io::Result<Event>>),
    Changed,
    Aged,
    Frame,
    Terminal(io::Result<Stirred>),
}

impl Screen {
    fn new(
        mut program: Program,
        mut state: State,
        depth: Depth,
        symbols: Symbols,
    ) -> io::Result<Self> {
        let now = Instant::now();
        if symbols == Symbols::Ascii {
            keys::show_in_ascii();
        }
        program.begin(&mut state);
        Ok(Self {
            terminal: Terminal::enter(state.mouse, depth)?,
            symbols,
            desktop: Desktop::default(),
            program,
            state,
            log: LogView::new(),
            hits: HitMap::default(),
            is_dirty: true,
            drawn: now,
            next_frame: now,
            next_age: None,
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
                Woken::Changed | Woken::Aged => self.is_dirty = true,
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
        // Output that the terminal has not accepted yet would only delay a newer frame.
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
            () = self.program.changed(), if !self.is_dirty => Woken::Changed,
            () = at(age) => Woken::Aged,
            stirred = self.terminal.stirs() => Woken::Terminal(stirred),
        }
    }

    async fn take_input(&mut self, event: &Event) -> io::Result<Option<Ending>> {
        self.is_dirty = true;
        // Keys are answered without the delay for a busy screen.
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
            Command::Save(name) => self.save(name.as_deref()),
            Command::Copy(text) => self.copy(text)?,
            Command::ScrollLog(step) => self.log.scroll(step),
            Command::Mouse => self.terminal.set_mouse(self.state.mouse)?,
            Command::Redraw => self.terminal.redraw(),
            Command::Suspend => self.terminal.suspend().await?,
            command => self.program.send(command, &mut self.state),
        }
        Ok(None)
    }

    fn save(&mut self, name: Option<&Path>) {
        // If the current directory is unknown, saving to `.` fails with the reason.
        let here = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let words = match save(&self.state, &here, name) {
            Ok((path, 1)) => format!("Saved 1 line to {}.", path.display()),
            Ok((path, rows)) => format!("Saved {} lines to {}.", grouped(rows), path.display()),
            Err(error) => error.to_string(),
        };
        self.state.say(&words);
    }

    /// The state has already told the user that the text is copied.
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
        self.program.take_changes(&mut self.state);
        self.state.tick(clock());
        let taken = self.program.take_transcript(&mut self.state, started);
        let is_busy = taken.rows > BUSY_ROWS;
        diagnostics::collect();
        fit(&mut self.state, self.terminal.area());
        self.log_what_is_too_long();
        self.program.take_details(&mut self.state);
        let Self { state, log, terminal, symbols, hits, .. } = self;
        terminal.draw(|buffer| {
            *hits = draw(state, log, buffer);
            symbols.spell(buffer);
        })?;
        self.is_dirty = taken.more;
        self.drawn = started;
        self.next_frame = started + if is_busy { BUSY_FRAME } else { FRAME };
        self.next_age = self.ages_in().map(|time| started + time);
        Ok(())
    }

    /// Logs a message to the user that does not fit on the screen, once.
    fn log_what_is_too_long(&mut self) {
        let said = hint_bar::too_long(&self.state, self.terminal.area().width).cloned();
        if let Some(said) = said.as_ref().filter(|_| said != self.too_long) {
            tracing::info!("{said}");
        }
        self.too_long = said;
    }

    /// How long the picture stays correct if nothing happens.
    fn ages_in(&self) -> Option<Duration> {
        let layout = Layout::of(&self.state, self.terminal.area());
        let has_chart = layout.is_some_and(|layout| layout.chart.is_some());
        let has_figures = (has_chart && self.state.rate.peak() > 0)
            || top_line::has_rate(&self.state, self.terminal.area().width);
        let figures = has_figures.then_some(CHART_STEP);
        figures.into_iter().chain(self.state.ages_in()).min()
    }
}

/// Waits until a moment; without one, forever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(Timer::from_std(moment)).await,
        None => std::future::pending().await,
    }
}
