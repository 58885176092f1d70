//! Which processor the clients have and which one the server that is measured has. Where each has
//! its own, neither takes time from the other, and the figures of two servers can be compared.

use std::process::{Child, Command};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Where clients and server run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Placement {
    /// On a processor each.
    Apart,
    /// On the same one. A single client and its server work by turns: with a processor each, every
    /// turn would wait for an idle processor to wake, which in a virtual machine takes longer than
    /// the work.
    Together,
    /// Wherever the scheduler likes.
    Free,
}

/// This calling thread and the processes that it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    client: CpuSet,
    server: CpuSet,
}

impl Cores {
    /// Places the calling thread. Processes are placed as they are started.
    pub(crate) fn take(placement: Placement) -> Self {
        let allowed: Vec<usize> = {
            let all = all();
            (0..CpuSet::count()).filter(|&core| all.is_set(core).unwrap()).collect()
        };
        let only = |nth: usize| {
            let mut set = CpuSet::new();
            set.set(allowed[nth % allowed.len()]).unwrap();
            set
        };
        let cores = match placement {
            Placement::Apart => Self { client: only(0), server: only(1) },
            Placement::Together => Self { client: only(1), server: only(1) },
            Placement::Free => Self { client: all(), server: all() },
        };
        set(&cores.client);
        cores
    }

    /// Starts a process on the server's processor.
    pub(crate) fn start(&self, command: &mut Command) -> Child {
        // A process begins where the thread is that starts it.
        self.as_server(|| command.spawn().unwrap())
    }

    /// Does something on the server's processor.
    pub(crate) fn as_server<R>(&self, work: impl FnOnce() -> R) -> R {
        set(&self.server);
        let result = work();
        set(&self.client);
        result
    }
}

/// The processors that this process was given. They are asked for before the first thread is
/// placed, and kept.
fn all() -> CpuSet {
    static ALL: std::sync::OnceLock<CpuSet> = std::sync::OnceLock::new();
    *ALL.get_or_init(|| sched_getaffinity(Pid::from_raw(0)).unwrap())
}

fn set(cores: &CpuSet) {
    sched_setaffinity(Pid::from_raw(0), cores).unwrap();
}
