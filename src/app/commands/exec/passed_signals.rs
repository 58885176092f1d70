//! The signals that we get and the command should: each ends or tells the command, not us.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::getpgrp;
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{self, SignalKind, signal};

use crate::app::signals::ignored;

/// Those that are passed on.
const PASSED: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGINT,
    Signal::SIGQUIT,
];

/// The signals as they come. While this lives, none of them ends us, and a write beyond
/// `RLIMIT_FSIZE` fails instead of killing. One that was ignored when we were started, as nohup
/// does, stays ignored, for us and for the command.
#[derive(Debug)]
pub struct PassedSignals {
    streams: Vec<(Signal, unix::Signal)>,
    _file_too_large: unix::Signal,
}

impl PassedSignals {
    /// Begins to listen for them.
    pub fn new() -> io::Result<Self> {
        let ignored = ignored();
        let is_heard = |one: &Signal| ignored & (1 << (*one as libc::c_int - 1)) == 0;
        let stream = |one| Ok((one, signal(SignalKind::from_raw(one as libc::c_int))?));
        Ok(Self {
            streams: PASSED.into_iter().filter(is_heard).map(stream).collect::<io::Result<_>>()?,
            _file_too_large: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (one, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*one);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// One that has come already and asks for an end.
    pub async fn ended_already(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            one = self.end() => Some(one),
            () = std::future::ready(()) => None,
        }
    }

    /// Waits for one that asks for an end.
    pub async fn end(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::SIGUSR1 | Signal::SIGUSR2 => {}
                one => return one,
            }
        }
    }
}

/// Whether the command has got the signal already: what is typed at a terminal goes to all of its
/// foreground process group, in which the command is if we are.
#[must_use]
pub fn came_from_the_terminal(one: Signal) -> bool {
    matches!(one, Signal::SIGINT | Signal::SIGQUIT) && is_in_foreground()
}

fn is_in_foreground() -> bool {
    let group = File::open("/dev/tty").ok().and_then(|terminal| tcgetpgrp(terminal).ok());
    group.is_some_and(|group| group.as_raw_pid() == getpgrp().as_raw())
}
