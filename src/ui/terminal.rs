//! The terminal: taken for the screen, and given back as it was, however the screen ends.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::signal::unix::{self, SignalKind};

use crate::app::state::Mouse;
use crate::ui::canvas::Canvas;

/// Clicks and the wheel, in coordinates of any size; not every movement, as crossterm's own
/// command asks for, which would wake the screen for nothing.
const CAPTURE_MOUSE: &str = "\x1b[?1000h\x1b[?1006h";

/// How long a shell is given to stop the process.
const STOPPING: Duration = Duration::from_millis(100);

/// Whether the terminal is in the screen's hands.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Standard output is no terminal.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot show the console: standard output is no terminal. \
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

/// The terminal, in the screen's hands until this is dropped.
pub struct Terminal {
    canvas: Canvas,
    mouse: Mouse,
    continued: unix::Signal,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// It cannot be put into raw mode or written; it is then as it was.
    pub fn enter(mouse: Mouse) -> io::Result<Self> {
        let (columns, lines) = size()?;
        // Made first: if taking the terminal fails half way, dropping this gives it back.
        let terminal = Self {
            canvas: Canvas::new(columns, lines),
            mouse,
            continued: unix::signal(SignalKind::from_raw(Signal::SIGCONT as i32))?,
        };
        take(mouse)?;
        Ok(terminal)
    }

    /// How large it is.
    #[must_use]
    pub const fn area(&self) -> Rect {
        self.canvas.area()
    }

    /// Draws a frame.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written: it is gone.
    pub fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.canvas.draw(&mut io::stdout().lock(), paint)
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
        execute!(io::stdout(), Print(sequence))
    }

    /// Takes the mouse, or gives it back to the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn set_mouse(&mut self, mouse: Mouse) -> io::Result<()> {
        self.mouse = mouse;
        match mouse {
            Mouse::Captured => execute!(io::stdout(), Print(CAPTURE_MOUSE)),
            Mouse::Free => execute!(io::stdout(), DisableMouseCapture),
        }
    }

    /// Waits until somebody has stopped and continued the process from outside.
    pub async fn continued(&mut self) {
        self.continued.recv().await;
    }

    /// Takes the terminal again after a stop in which others have used it.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn take_again(&mut self) -> io::Result<()> {
        restore();
        take(self.mouse)?;
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
        restore();
        // The whole process group, as the terminal itself would: whoever started this process in
        // a pipe or with `cargo run` is to stop with it.
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        // The stop may hit another thread a moment later, or nobody may be there to continue.
        let _ = tokio::time::timeout(STOPPING, self.continued.recv()).await;
        self.take_again()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn take(mouse: Mouse) -> io::Result<()> {
    IS_TAKEN.store(true, SeqCst);
    enable_raw_mode()?;
    let mut bytes = Vec::new();
    queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
    if mouse == Mouse::Captured {
        queue!(bytes, Print(CAPTURE_MOUSE))?;
    }
    let mut out = io::stdout();
    out.write_all(&bytes)?;
    out.flush()
}

/// Gives the terminal back as it was; nothing if it has been given back already. Its failures
/// have nobody to be told to: the terminal is gone.
pub fn restore() {
    if !IS_TAKEN.swap(false, SeqCst) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        SetAttribute(Attribute::Reset),
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// Ends raw mode and writes nothing, for a terminal that has stopped taking output.
pub(super) fn abandon() {
    if IS_TAKEN.swap(false, SeqCst) {
        let _ = disable_raw_mode();
    }
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
