//! The signals that end the program.

use std::io;

use nix::libc;
use procfs::process::Process;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// 128 and the number of SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// The signals that end the program. While this lives, none of them does so by itself, and a
/// write beyond `RLIMIT_FSIZE` fails instead of killing.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    _file_too_large: Signal,
}

impl Signals {
    /// Begins to listen for them.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
            _file_too_large: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether `nohup` asked for SIGHUP to be ignored.
fn is_hangup_ignored() -> bool {
    ignored() & (1 << (libc::SIGHUP - 1)) != 0
}

/// The signals that this process ignores: bit N-1 is that of signal N.
#[must_use]
pub fn ignored() -> u64 {
    let status = Process::myself().and_then(|process| process.status());
    status.map_or(0, |status| status.sigign)
}
