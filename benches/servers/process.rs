//! A server in a process of its own: where it listens, and what it has used up.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Process, all_processes};
use tokio_rustls::rustls::ClientConfig;

use crate::cores::Cores;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(5);

/// How long a server of processes may take to end them.
const END: Duration = Duration::from_secs(10);

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// How clients speak TLS with it, from the first octet; `None` if in the clear.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// It has processes of its own, which it ends when it is asked to end.
    has_children: bool,
}

impl Server {
    /// Starts one whose first line of output ends with the port that it listens on.
    pub(crate) fn start(command: &mut Command, cores: &Cores) -> Self {
        Self::start_saying("", command, cores)
    }

    /// Starts one whose output has a line that begins with `name` and ends with the port that it
    /// listens on.
    pub(crate) fn start_saying(name: &str, command: &mut Command, cores: &Cores) -> Self {
        let mut child = cores.start(command.stdout(Stdio::piped()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with(name)).unwrap_or_default();
        let port = line.trim().rsplit(':').next().unwrap().parse();
        let port = port.unwrap_or_else(|_| panic!("{command:?} says {line:?}"));
        Self { child, port, tls: None, has_children: false }
    }

    /// Starts one that says nothing and is to listen on `port`.
    pub(crate) fn start_on(port: u16, command: &mut Command, cores: &Cores) -> Self {
        Self::start_quiet(port, false, command, cores)
    }

    /// The same, which works in processes that it starts and ends itself.
    pub(crate) fn start_tree_on(port: u16, command: &mut Command, cores: &Cores) -> Self {
        Self::start_quiet(port, true, command, cores)
    }

    fn start_quiet(port: u16, has_children: bool, command: &mut Command, cores: &Cores) -> Self {
        let child = cores.start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        // Dropped, and so ended, also if it never listens.
        let server = Self { child, port, tls: None, has_children };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < START, "{command:?} does not listen on {port}");
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// The same server, spoken with over TLS.
    pub(crate) fn over_tls(mut self, demands: &Arc<ClientConfig>) -> Self {
        self.tls = Some(Arc::clone(demands));
        self
    }

    /// Processor time that it has used so far, in user and in kernel mode, its processes too.
    pub(crate) fn cpu(&self) -> Duration {
        let own = self.process();
        if !self.has_children {
            return cpu(&own);
        }
        let parent = own.pid;
        let others = all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
        let children = others.filter(|stat| stat.pid == parent || stat.ppid == parent);
        // Those that have ended and were waited for are counted in their parent.
        let ticks = children.map(|stat| {
            let waited_for = stat.cutime.saturating_add(stat.cstime);
            stat.utime + stat.stime + u64::try_from(waited_for).unwrap()
        });
        of_ticks(ticks.sum())
    }

    /// Octets of memory that it has in use.
    pub(crate) fn resident(&self) -> u64 {
        self.process().status().unwrap().vmrss.unwrap() * 1024
    }

    fn process(&self) -> Process {
        Process::new(self.child.id().try_into().unwrap()).unwrap()
    }

    /// Asks it to end, and waits until it has ended its processes and itself.
    fn ask_to_end(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let asked = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if asked.elapsed() > END {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.has_children {
            self.ask_to_end();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time that this process has used so far: the clients'.
pub(crate) fn own_cpu() -> Duration {
    cpu(&Process::myself().unwrap())
}

fn cpu(process: &Process) -> Duration {
    let stat = process.stat().unwrap();
    of_ticks(stat.utime + stat.stime)
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second()).unwrap()
}
