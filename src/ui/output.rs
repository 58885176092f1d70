//! The output to the terminal. Writing never blocks: what the terminal does not accept at once is
//! kept here, so that a terminal that has stopped reading does not block the program.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{Action, QueueSelector, tcflow, tcflush};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most octets that wait for the terminal, besides a frame. Control sequences beyond that are
/// dropped; this happens only if the terminal has read nothing for long.
const MOST_WAITING: usize = 1024 * 1024;

/// Makes a terminal abandon a control sequence that was cut off (CAN).
const CANCEL: u8 = 0x18;

/// The terminal on standard output, opened anew so that it can be non-blocking. Standard output
/// itself is shared with the shell, which would be affected by a change of its flags.
static DEVICE: OnceLock<Arc<File>> = OnceLock::new();

/// Whether standard output itself had to be made non-blocking, because it could not be opened anew.
static IS_STANDARD_OUTPUT: AtomicBool = AtomicBool::new(false);

/// Whether the terminal has received only a part of what was written last.
static IS_CUT: AtomicBool = AtomicBool::new(false);

fn device() -> io::Result<Arc<File>> {
    if let Some(device) = DEVICE.get() {
        return Ok(Arc::clone(device));
    }
    let opened = Arc::new(open()?);
    Ok(Arc::clone(DEVICE.get_or_init(|| opened)))
}

fn open() -> io::Result<File> {
    // The second path serves a user who may not open the terminal because it belongs to the user
    // that they were before (`su`).
    let anew = ["/proc/self/fd/1", "/dev/tty"].into_iter().find_map(|path| {
        OpenOptions::new().write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open(path).ok()
    });
    if let Some(file) = anew {
        return Ok(file);
    }
    IS_STANDARD_OUTPUT.store(true, SeqCst);
    Ok(rustix::io::dup(rustix::stdio::stdout())?.into())
}

/// Writes as many octets as the terminal accepts now; returns their number.
fn write_now(device: &File, octets: &[u8]) -> io::Result<usize> {
    match write(device, octets) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}

fn write(mut device: &File, octets: &[u8]) -> io::Result<usize> {
    match device.write(octets) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        written => written,
    }
}

/// The octets that wait for the terminal.
pub(super) struct Output {
    device: AsyncFd<Arc<File>>,
    waiting: Vec<u8>,
}

impl Output {
    /// Makes an output for the terminal on standard output. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// There is no terminal, or the runtime cannot watch it.
    pub(super) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "a file keeps its descriptor; the form that takes what may not is unsafe"
        )]
        let device = AsyncFd::with_interest(device()?, Interest::WRITABLE)?;
        Ok(Self { device, waiting: Vec::new() })
    }

    /// Starts writing to a terminal that other programs have had in between.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub(super) fn begin(&self) -> io::Result<()> {
        if IS_STANDARD_OUTPUT.load(SeqCst) {
            let device = self.device.get_ref();
            fcntl_setfl(device, fcntl_getfl(device)? | OFlags::NONBLOCK)?;
        }
        Ok(())
    }

    /// Whether the terminal has accepted everything.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops what the terminal has not accepted.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Writes what the terminal accepts at once.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub(super) fn send(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let written = write_now(self.device.get_ref(), &self.waiting)?;
            if written == 0 {
                break;
            }
            self.waiting.drain(..written);
        }
        IS_CUT.store(!self.waiting.is_empty(), SeqCst);
        Ok(())
    }

    /// Waits until the terminal accepts more, and writes that.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub(super) async fn go_on(&mut self) -> io::Result<()> {
        let mut ready = self.device.writable().await?;
        match ready.try_io(|device| write(device.get_ref(), &self.waiting)) {
            Ok(written) => {
                self.waiting.drain(..written?);
                self.send()
            }
            Err(_not_yet) => Ok(()),
        }
    }
}

impl Write for Output {
    /// Queues the octets; [`send`](Self::send) writes them.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.extend_from_slice(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the last octets, within `time`. If the terminal is not reading, what it has not read yet
/// is discarded, so that it finds these when it reads again.
pub(super) fn write_last(words: &[u8], time: Duration) {
    // Without a terminal there is nothing to restore.
    let Ok(device) = device() else { return };
    let device = device.as_ref();
    let cut = if IS_CUT.swap(false, SeqCst) { &[CANCEL][..] } else { &[] };
    let words = [cut, words].concat();
    if !matches!(write_within(device, &words, time), Ok(true)) {
        let _ = tcflush(device, QueueSelector::OFlush);
        let _ = tcflow(device, Action::OOn);
        let _ = write_now(device, &[&[CANCEL][..], &words].concat());
    }
    if IS_STANDARD_OUTPUT.load(SeqCst)
        && let Ok(flags) = fcntl_getfl(device)
    {
        let _ = fcntl_setfl(device, flags - OFlags::NONBLOCK);
    }
}

/// Writes within `time`; returns whether everything was accepted.
fn write_within(device: &File, octets: &[u8], time: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + time;
    let mut rest = octets;
    loop {
        let written = write_now(device, rest)?;
        rest = rest.get(written..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut waited_for = [PollFd::new(device, PollFlags::OUT)];
        if poll(&mut waited_for, Some(&left))? == 0 {
            return Ok(false);
        }
    }
}
