//! One run of the command: started in a group of its own, and ended with all its children.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::rlim_t;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};
use tokio::process::{Child, Command};
use tokio::time::{Instant as Clock, interval_at, sleep};

use crate::app::commands::check::client::recorder::Recorder;
use crate::app::commands::exec::child::with_limit;
use crate::app::commands::exec::passed_signals::PassedSignals;

/// How often its use of the processor is read.
const SAMPLE: Duration = Duration::from_millis(100);

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
    /// How long nothing had passed on the wire.
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
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut use_of = Use::begin(group);
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
                end(group, &mut child).await;
                return Err(Failed::Signal(signal));
            }
            _ = samples.tick() => use_of.sample(recorder.moved()),
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    // Also what it has left behind.
    end(group, &mut child).await;
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

/// Ends the group, and whoever has left it and is a child of it still.
async fn end(group: Option<Pid>, child: &mut Child) {
    let Some(group) = group else { return };
    for process in family(group) {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait().await;
}

/// The processes of the group, and their children.
fn family(group: Pid) -> Vec<Stat> {
    let all: Vec<Stat> =
        all_processes().into_iter().flatten().filter_map(|one| one.ok()?.stat().ok()).collect();
    let mut known: HashSet<i32> = HashSet::from([group.as_raw()]);
    loop {
        let is_new = |stat: &&Stat| {
            let is_of_it = stat.pgrp == group.as_raw() || known.contains(&stat.ppid);
            is_of_it && !known.contains(&stat.pid)
        };
        let found: Vec<i32> = all.iter().filter(is_new).map(|stat| stat.pid).collect();
        if found.is_empty() {
            break;
        }
        known.extend(found);
    }
    all.into_iter().filter(|stat| known.contains(&stat.pid)).collect()
}

/// What a group of processes uses of the processor while nothing passes on the wire.
#[derive(Debug)]
struct Use {
    group: Option<Pid>,
    /// When something passed last, as far as it was looked at, and what had been used by then.
    moved: Instant,
    since: (Instant, f64),
    now: (Instant, f64),
}

impl Use {
    fn begin(group: Option<Pid>) -> Self {
        let now = Instant::now();
        Self { group, moved: now, since: (now, 0.0), now: (now, 0.0) }
    }

    fn sample(&mut self, moved: Instant) {
        let Some(group) = self.group else { return };
        let ticks: u64 = family(group).iter().map(ticks).sum();
        let milliseconds = ticks.saturating_mul(1_000) / procfs::ticks_per_second().max(1);
        let seconds = Duration::from_millis(milliseconds).as_secs_f64();
        // Who has ended takes along what it had used.
        self.now = (Instant::now(), seconds.max(self.now.1));
        if std::mem::replace(&mut self.moved, moved) != moved {
            self.since = self.now;
        }
    }

    fn waited(&self) -> (f64, f64) {
        let (began, used_then) = self.since;
        let (now, used) = self.now;
        (now.duration_since(began).as_secs_f64(), used - used_then)
    }
}

/// What a process has used, with those of its children that it has waited for.
fn ticks(stat: &Stat) -> u64 {
    let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
    stat.utime + stat.stime + children
}
