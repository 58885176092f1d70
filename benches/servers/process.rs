//! A server in a process of its own: where it listens, and what it has used up.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::Process;

use crate::cores::Cores;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(5);

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts one whose first line of output ends with the port that it listens on.
    pub(crate) fn start(command: &mut Command, cores: &Cores) -> Self {
        let mut child = cores.start(command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse();
        Self { child, port: port.unwrap_or_else(|_| panic!("{command:?} says {line:?}")) }
    }

    /// Starts one that says nothing and is to listen on `port`.
    pub(crate) fn start_on(port: u16, command: &mut Command, cores: &Cores) -> Self {
        let child = cores.start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < START, "{command:?} does not listen on {port}");
            thread::sleep(Duration::from_millis(5));
        }
        Self { child, port }
    }

    /// Processor time that it has used so far, in user and in kernel mode.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(&self.process())
    }

    /// Octets of memory that it has in use.
    pub(crate) fn resident(&self) -> u64 {
        self.process().status().unwrap().vmrss.unwrap() * 1024
    }

    fn process(&self) -> Process {
        Process::new(self.child.id().try_into().unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
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
    Duration::from_secs(stat.utime + stat.stime)
        / u32::try_from(procfs::ticks_per_second()).unwrap()
}
