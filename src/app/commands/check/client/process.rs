//! One run of the command: started in a group of its own, and ended with all that it has started.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::rlim_t;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use procfs::process::{Process, Stat, all_processes};
use tokio::process::{Child, Command};
use tokio::time::{Instant as Clock, interval_at, sleep, timeout};

use crate::app::commands::check::client::recorder::Recorder;
use crate::app::commands::exec::child::with_limit;
use crate::app::commands::exec::passed_signals::PassedSignals;

/// How often its use of the processor is read.
const SAMPLE: Duration = Duration::from_millis(100);

/// How often it is looked whether anything is left that has to be ended, and the pause between.
const ROUNDS_MOST: u32 = 100;
const ROUND: Duration = Duration::from_millis(10);

/// What is started.
#[derive(Debug)]
pub(super) struct Started<'a> {
    pub(super) command: &'a [OsString],
    /// Where what it prints goes.
    pub(super) stdout: File,
    pub(super) stderr: File,
    /// Variables beside our own.
    pub(super) variables: &'a [(&'static str, OsString)],
    /// The limit of descriptors that we were given.
    pub(super) limit: Option<rlim_t>,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` if a signal has ended it, ours or another.
    pub(super) exit: Option<i32>,
    pub(super) timed_out: bool,
    pub(super) seconds: f64,
    /// How long nothing had passed on the wire while it could run.
    pub(super) waited: f64,
    /// What it used of the processor in that time.
    pub(super) burnt: f64,
}

/// Why there is no end to tell of.
#[derive(Debug)]
pub(super) enum Failed {
    /// It cannot be started.
    NotStarted(io::Error),
    /// We were asked to end.
    Signal(Signal),
}

/// Runs it, for as long as patience lasts.
pub(super) async fn run(
    started: Started<'_>,
    patience: Duration,
    recorder: &Recorder,
    signals: &mut PassedSignals,
) -> Result<Ended, Failed> {
    let begin = Instant::now();
    let mut child = spawn(started).map_err(Failed::NotStarted)?;
    let mut use_of = Use::begin();
    let mut samples = interval_at(Clock::now() + SAMPLE, SAMPLE);
    let patience = sleep(patience);
    tokio::pin!(patience);
    let (status, timed_out) = loop {
        tokio::select! {
            status = child.wait() => break (status.ok(), false),
            () = &mut patience => {
                use_of.sample(recorder.moved());
                break (None, true);
            }
            signal = signals.end() => {
                end(&mut child).await;
                return Err(Failed::Signal(signal));
            }
            _ = samples.tick() => use_of.sample(recorder.moved()),
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    // Also what it has left behind.
    end(&mut child).await;
    let exit = status.filter(|_| !timed_out).and_then(|status: ExitStatus| status.code());
    let (waited, burnt) = use_of.waited();
    Ok(Ended { exit, timed_out, seconds, waited, burnt })
}

fn spawn(started: Started<'_>) -> io::Result<Child> {
    let Started { command, stdout, stderr, variables, limit } = started;
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0).kill_on_drop(true);
    with_limit(limit, || command.spawn())
}

/// Has what the command leaves behind become our child, so that we find it: also what has made a
/// session of its own, as daemons do.
pub(super) fn adopt_what_is_left() -> io::Result<()> {
    Ok(set_child_subreaper(true)?)
}

/// Ends the command, and whatever it has started.
async fn end(child: &mut Child) {
    for _ in 0..ROUNDS_MOST {
        let family = family();
        for process in &family {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        // Bounded: what runs as another user cannot be ended.
        let _ = timeout(ROUND, child.wait()).await;
        // Orphans, for which nobody else waits.
        while matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
        ) {}
        if family.is_empty() {
            break;
        }
        sleep(ROUND).await;
    }
}

/// All that the command has started, and it. We start nothing else.
fn family() -> Vec<Stat> {
    let all: Vec<Stat> =
        all_processes().into_iter().flatten().filter_map(|one| one.ok()?.stat().ok()).collect();
    let us = std::process::id().cast_signed();
    let mut known: HashSet<i32> = HashSet::from([us]);
    loop {
        let is_new = |stat: &&Stat| known.contains(&stat.ppid) && !known.contains(&stat.pid);
        let found: Vec<i32> = all.iter().filter(is_new).map(|stat| stat.pid).collect();
        if found.is_empty() {
            break;
        }
        known.extend(found);
    }
    all.into_iter().filter(|stat| stat.pid != us && known.contains(&stat.pid)).collect()
}

/// What the command uses of the processor while nothing passes on the wire.
#[derive(Debug)]
struct Use {
    /// When something passed last, as far as it was looked at, and what had been used by then.
    moved: Instant,
    since: Reading,
    now: Reading,
}

/// What it has used so far, in seconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    used: f64,
    /// How long it could have run if others had not had the processors.
    stalled: f64,
}

impl Use {
    fn begin() -> Self {
        let now = Reading { at: Instant::now(), used: 0.0, stalled: 0.0 };
        Self { moved: now.at, since: now, now }
    }

    fn sample(&mut self, moved: Instant) {
        let family = family();
        let ticks: u64 = family.iter().map(ticks).sum();
        let milliseconds = ticks.saturating_mul(1_000) / procfs::ticks_per_second().max(1);
        let used = Duration::from_millis(milliseconds).as_secs_f64();
        let stalled = Duration::from_nanos(family.iter().map(stalled).sum()).as_secs_f64();
        // Who has ended takes along what it had used.
        let Reading { used: least, stalled: stalled_least, .. } = self.now;
        let (used, stalled) = (used.max(least), stalled.max(stalled_least));
        self.now = Reading { at: Instant::now(), used, stalled };
        if std::mem::replace(&mut self.moved, moved) != moved {
            self.since = self.now;
        }
    }

    /// How long it had to wait, without the time in which it was others that kept it from running, so
    /// that it is the same on a busy machine; and what it used meanwhile.
    fn waited(&self) -> (f64, f64) {
        let (since, now) = (self.since, self.now);
        let used = now.used - since.used;
        let free = now.at.duration_since(since.at).as_secs_f64() - (now.stalled - since.stalled);
        (free.max(used), used)
    }
}

/// How long a process was ready to run and did not, in nanoseconds; 0 where the kernel does not tell.
fn stalled(stat: &Stat) -> u64 {
    let process = Process::new(stat.pid).and_then(|process| process.schedstat());
    process.map_or(0, |told| told.run_delay)
}

/// What a process has used, with those of its children that it has waited for.
fn ticks(stat: &Stat) -> u64 {
    let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
    stat.utime + stat.stime + children
}
