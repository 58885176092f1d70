//! The terminal: taken for the screen, and given back as it was, however the screen ends.

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste};
use crossterm::queue;
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::signal::unix::{self, SignalKind};

use crate::console::state::appearance::Mouse;
use crate::ui::canvas::Canvas;
use crate::ui::depth::Depth;
use crate::ui::output::{self, Output};

/// Clicks and the wheel, in coordinates of any size; not every movement, as crossterm's own
/// command asks for, which would wake the screen for nothing.
const CAPTURE_MOUSE: &str = "\x1b[?1000h\x1b[?1006h";

/// How long a shell is given to stop the process.
const STOPPING: Duration = Duration::from_millis(100);

/// How long a terminal that is given back may take for it.
const PARTING: Duration = Duration::from_millis(250);

/// Whether the terminal is in the screen's hands.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Standard output is no terminal.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot show the console: standard output is not a terminal. \
     Use --no-tui to run the servers without a screen."
)]
pub struct NoTerminal;

/// Tells whether there is a terminal to draw on.
///
/// # Errors
///
/// There is none.
pub fn require() -> Result<(), NoTerminal> {
    if io::stdout().is_terminal() { Ok(()) } else { Err(NoTerminal) }
}

/// What has happened to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stirred {
    /// Somebody has stopped and continued the process from outside.
    Continued,
    /// It has taken more of what was written to it.
    Written,
}

/// The terminal, in the screen's hands until this is dropped.
pub struct Terminal {
    canvas: Canvas,
    output: Output,
    mouse: Mouse,
    continued: unix::Signal,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// It cannot be put into raw mode or written; it is then as it was.
    pub fn enter(mouse: Mouse, depth: Depth) -> io::Result<Self> {
        let (columns, lines) = size()?;
        // Made first: if taking the terminal fails half way, dropping this gives it back.
        let mut terminal = Self {
            canvas: Canvas::new(columns, lines, depth),
            output: Output::new()?,
            mouse,
            continued: unix::signal(SignalKind::from_raw(Signal::SIGCONT as i32))?,
        };
        terminal.take()?;
        Ok(terminal)
    }

    /// How large it is.
    #[must_use]
    pub const fn area(&self) -> Rect {
        self.canvas.area()
    }

    /// Whether the terminal has taken what was written so far: a frame is drawn only then.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.output.is_empty()
    }

    /// Waits until something happens to the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written: it is gone.
    pub async fn stirs(&mut self) -> io::Result<Stirred> {
        let Self { output, continued, .. } = self;
        tokio::select! {
            _ = continued.recv() => Ok(Stirred::Continued),
            written = output.go_on(), if !output.is_empty() => written.map(|()| Stirred::Written),
        }
    }

    /// Draws a frame.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written: it is gone.
    pub fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.canvas.draw(&mut self.output, paint)?;
        self.output.send()
    }

    /// Takes another size.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.canvas.resize(columns, lines);
    }

    /// Paints everything anew in the next frame.
    pub const fn redraw(&mut self) {
        self.canvas.forget();
    }

    /// Writes what tells the terminal something, between two frames.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written: it is gone.
    pub fn tell(&mut self, sequence: &str) -> io::Result<()> {
        queue!(self.output, Print(sequence))?;
        self.output.send()
    }

    /// Takes the mouse, or gives it back to the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn set_mouse(&mut self, mouse: Mouse) -> io::Result<()> {
        self.mouse = mouse;
        match mouse {
            Mouse::Captured => queue!(self.output, Print(CAPTURE_MOUSE))?,
            Mouse::Free => queue!(self.output, DisableMouseCapture)?,
        }
        self.output.send()
    }

    /// Takes the terminal again after a stop in which others have used it.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn take_again(&mut self) -> io::Result<()> {
        self.give_back();
        self.take()?;
        let (columns, lines) = size()?;
        self.resize(columns, lines);
        Ok(())
    }

    /// Gives the terminal back, stops the process as Ctrl-Z does elsewhere, and takes the terminal
    /// again once the process goes on.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub async fn suspend(&mut self) -> io::Result<()> {
        self.give_back();
        // The whole process group, as the terminal itself would: whoever started this process in
        // a pipe or with `cargo run` is to stop with it.
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        // The stop may hit another thread a moment later, or nobody may be there to continue.
        let _ = tokio::time::timeout(STOPPING, self.continued.recv()).await;
        self.take_again()
    }

    fn take(&mut self) -> io::Result<()> {
        IS_TAKEN.store(true, SeqCst);
        enable_raw_mode()?;
        self.output.begin()?;
        queue!(self.output, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse == Mouse::Captured {
            queue!(self.output, Print(CAPTURE_MOUSE))?;
        }
        self.output.send()
    }

    /// What has not been written yet would be written to somebody else's terminal.
    fn give_back(&mut self) {
        self.output.forget();
        restore();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was, in a moment whatever the terminal does; nothing if it has
/// been given back already. Its failures have nobody to be told to: the terminal is gone.
pub fn restore() {
    if !IS_TAKEN.swap(false, SeqCst) {
        return;
    }
    let mut words = Vec::new();
    let _ = queue!(
        words,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        SetAttribute(Attribute::Reset),
        LeaveAlternateScreen,
        Show
    );
    output::write_last(&words, PARTING);
    let _ = disable_raw_mode();
}

/// While this is there, a panic of the screen's thread gives the terminal back before it is
/// reported, and a panic of any other thread is a line in the log, not a scar on the screen.
pub struct PanicGuard {
    before: Arc<PanicHook>,
}

type PanicHook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

impl PanicGuard {
    /// Guards the screen, whose thread is the one that calls this.
    #[must_use]
    pub fn new() -> Self {
        let screen = thread::current().id();
        let before: Arc<PanicHook> = Arc::from(panic::take_hook());
        let report = Arc::clone(&before);
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == screen {
                restore();
            }
            if IS_TAKEN.load(SeqCst) {
                let report = info.to_string().replace('\n', " ");
                tracing::error!(target: "mailconsole", "{report}");
            } else {
                report(info);
            }
        }));
        Self { before }
    }
}

impl Default for PanicGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A panicking thread may not change the hook.
        if !thread::panicking() {
            let before = Arc::clone(&self.before);
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}
