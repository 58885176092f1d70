//! What is written to the terminal. It is never waited for: what the terminal does not take at once
//! stays here, and a terminal that has stopped taking output holds up nobody.

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

/// Octets that wait for the terminal at most, beside a frame. What is told it beyond that, because
/// it has taken nothing for long, is lost.
const MOST_WAITING: usize = 1024 * 1024;

/// Makes a terminal forget a sequence that was cut off.
const CANCEL: u8 = 0x18;

/// The terminal on standard output, by a descriptor that never waits. It is not standard output
/// itself: the shell has that too, and would have to live with its flags.
static DEVICE: OnceLock<Arc<File>> = OnceLock::new();

/// Whether standard output itself had to be told not to wait, because it cannot be opened anew.
static IS_STANDARD_OUTPUT: AtomicBool = AtomicBool::new(false);

/// Whether the terminal has had a part of something whose rest still waits.
static IS_CUT: AtomicBool = AtomicBool::new(false);

fn device() -> io::Result<Arc<File>> {
    if let Some(device) = DEVICE.get() {
        return Ok(Arc::clone(device));
    }
    let opened = Arc::new(open()?);
    Ok(Arc::clone(DEVICE.get_or_init(|| opened)))
}

fn open() -> io::Result<File> {
    // The second for those who may not open the terminal of the user they have come from.
    let anew = ["/proc/self/fd/1", "/dev/tty"].into_iter().find_map(|path| {
        OpenOptions::new().write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open(path).ok()
    });
    if let Some(file) = anew {
        return Ok(file);
    }
    IS_STANDARD_OUTPUT.store(true, SeqCst);
    Ok(rustix::io::dup(rustix::stdio::stdout())?.into())
}

/// As many octets as the terminal takes now.
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

/// What the terminal is to get.
pub(super) struct Output {
    device: AsyncFd<Arc<File>>,
    waiting: Vec<u8>,
}

impl Output {
    /// To the terminal on standard output; within a runtime.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be waited for.
    pub(super) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "a file keeps its descriptor; the form that takes what may not is unsafe"
        )]
        let device = AsyncFd::with_interest(device()?, Interest::WRITABLE)?;
        Ok(Self { device, waiting: Vec::new() })
    }

    /// Begins to write to a terminal that others have had.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub(super) fn begin(&self) -> io::Result<()> {
        if IS_STANDARD_OUTPUT.load(SeqCst) {
            let device = self.device.get_ref();
            fcntl_setfl(device, fcntl_getfl(device)? | OFlags::NONBLOCK)?;
        }
        Ok(())
    }

    /// Whether the terminal has taken everything.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets what the terminal has not taken.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Writes what the terminal takes at once.
    ///
    /// # Errors
    ///
    /// It is gone.
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

    /// Waits until the terminal takes more, and writes that.
    ///
    /// # Errors
    ///
    /// It is gone.
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
    /// Keeps it to be sent.
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

/// Writes last words, within `time`. Of a terminal that takes nothing what it has not taken is
/// thrown away, so that it finds these when it reads again.
pub(super) fn write_last(words: &[u8], time: Duration) {
    // Where there is no terminal, nobody needs them.
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

/// Whether all was taken.
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
