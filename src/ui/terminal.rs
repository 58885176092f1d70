//! The terminal: taken over for the screen, and restored however the screen ends.

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

/// Reports clicks and the wheel, in coordinates of any size (SGR mode). The command of crossterm
/// also asks for every movement, which would wake the screen for nothing.
const CAPTURE_MOUSE: &str = "\x1b[?1000h\x1b[?1006h";

/// How long to wait until the process is stopped by its signal.
const STOPPING: Duration = Duration::from_millis(100);

/// How long restoring the terminal may take.
const PARTING: Duration = Duration::from_millis(250);

/// Whether the screen has the terminal.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// An error: standard output is not a terminal.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot show the console: standard output is not a terminal. \
     Use --no-tui to run the servers without a screen."
)]
pub struct NoTerminal;

/// Checks that there is a terminal to draw on.
///
/// # Errors
///
/// Standard output is not a terminal.
pub fn require() -> Result<(), NoTerminal> {
    if io::stdout().is_terminal() { Ok(()) } else { Err(NoTerminal) }
}

/// An event of the terminal other than keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stirred {
    /// The process was stopped from outside and has been continued.
    Continued,
    /// The terminal has accepted more of the output.
    Written,
}

/// The terminal while the screen has it; dropping this restores it.
pub struct Terminal {
    canvas: Canvas,
    output: Output,
    mouse: Mouse,
    continued: unix::Signal,
}

impl Terminal {
    /// Takes over the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be put into raw mode or written; it is restored in that case.
    pub fn enter(mouse: Mouse, depth: Depth) -> io::Result<Self> {
        let (columns, lines) = size()?;
        // Made first: if taking over the terminal fails half way, dropping this restores it.
        let mut terminal = Self {
            canvas: Canvas::new(columns, lines, depth),
            output: Output::new()?,
            mouse,
            continued: unix::signal(SignalKind::from_raw(Signal::SIGCONT as i32))?,
        };
        terminal.take()?;
        Ok(terminal)
    }

    /// The size of the screen.
    #[must_use]
    pub const fn area(&self) -> Rect {
        self.canvas.area()
    }

    /// Whether the terminal has accepted all output so far. A frame is drawn only then.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.output.is_empty()
    }

    /// Waits for the next event of the terminal.
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

    /// Changes the size of the screen.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.canvas.resize(columns, lines);
    }

    /// Repaints the whole screen in the next frame.
    pub const fn redraw(&mut self) {
        self.canvas.forget();
    }

    /// Writes a control sequence between two frames.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written: it is gone.
    pub fn tell(&mut self, sequence: &str) -> io::Result<()> {
        queue!(self.output, Print(sequence))?;
        self.output.send()
    }

    /// Captures the mouse, or releases it to the terminal.
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

    /// Takes over the terminal again after a stop, during which other programs may have used it.
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

    /// Restores the terminal, stops the process as Ctrl-Z does in other programs, and takes over
    /// the terminal again once the process is continued.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub async fn suspend(&mut self) -> io::Result<()> {
        self.give_back();
        // Stops the whole process group, as the terminal itself would: a process that started this
        // one in a pipe or with `cargo run` must stop with it.
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        // The signal may stop the process a moment later, and without job control it may never be
        // continued: so the wait is limited.
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

    /// Drops output that is still waiting: it would be written while another program has the
    /// terminal.
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

/// Restores the terminal, within a short time whatever the terminal does; does nothing if it is
/// restored already. Errors are ignored: with the terminal gone they cannot be shown.
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

/// While this exists, a panic of the screen's thread restores the terminal before it is reported,
/// and a panic of any other thread is logged instead of being printed over the screen.
pub struct PanicGuard {
    before: Arc<PanicHook>,
}

type PanicHook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

impl PanicGuard {
    /// Installs the guard for a screen on the calling thread.
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
        // A panicking thread must not change the panic hook.
        if !thread::panicking() {
            let before = Arc::clone(&self.before);
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}
