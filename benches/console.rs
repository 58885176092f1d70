//! What the screen costs the servers and its user, in one run: the same load on the servers with
//! the console in a terminal and with `--no-tui`, how long a key waits for its answer meanwhile,
//! and how much memory the process comes to.
//!
//! `cargo bench --bench console`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

#[path = "../tests/tty/mod.rs"]
mod tty;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::tty::{Terminal, connect};

/// Connections that say something.
const CLIENTS: u32 = 4;

/// Transcript lines a second at which the screen is measured.
const LINES: u32 = 100_000;

/// Transcript lines of one command and its reply.
const LINES_OF_A_COMMAND: u32 = 2;

/// How often a second each client sends what is due.
const BEATS: u32 = 100;

/// How long one measurement takes.
const TIME: Duration = Duration::from_secs(6);

/// How often each pair is measured.
const ROUNDS: usize = 3;

/// Keys pressed while the load is on.
const KEYS: usize = 60;

fn main() {
    at_a_hundred_thousand_lines();
    at_full_speed();
}

/// The load is paced: each server is asked for as much, and may fall behind.
fn at_a_hundred_thousand_lines() {
    let mut ratios = Vec::new();
    let (mut latencies, mut memory) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let headless = Headless::start();
        let without = Load::start(headless.port, Pace::Lines(LINES)).run_for(TIME);
        drop(headless);
        let mut console = Terminal::console(120, 40).shows("echo:");
        let load = Load::start(console.port("echo"), Pace::Lines(LINES));
        let began = Instant::now();
        for _ in 0..KEYS {
            let (back, latency) = answered(console);
            console = back;
            latencies.push(latency);
        }
        let with = load.run_for(TIME.saturating_sub(began.elapsed()).max(Duration::from_secs(1)));
        memory = memory.max(most_resident(console.id()));
        ratios.push(with / without);
        console.press("\x03").ends_and_gives_the_terminal_back();
    }
    latencies.sort_unstable();
    println!(
        "echo commands a second, console / --no-tui, at {LINES} transcript lines a second asked \
         for: {:.2}",
        median(&mut ratios)
    );
    println!(
        "a key is answered meanwhile, terminal included: median {:.1} ms, 95% {:.1} ms, longest \
         {:.1} ms",
        milliseconds(latencies[latencies.len() / 2]),
        milliseconds(latencies[latencies.len() * 95 / 100]),
        milliseconds(latencies[latencies.len() - 1])
    );
    println!("memory of the process at most: {} MiB", memory / 1024);
}

/// Each server does what it can.
fn at_full_speed() {
    let mut ratios = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..ROUNDS {
        let headless = Headless::start();
        let without = Load::start(headless.port, Pace::Unlimited).run_for(TIME / 2);
        drop(headless);
        let console = Terminal::console(120, 40).shows("echo:");
        let load = Load::start(console.port("echo"), Pace::Unlimited);
        let with = load.run_for(TIME / 2);
        ratios.push(with / without);
        lines.push(with * f64::from(LINES_OF_A_COMMAND));
        console.press("\x03").ends_and_gives_the_terminal_back();
    }
    println!(
        "the same at full speed, pipelined, {:.0} transcript lines a second: {:.2}",
        median(&mut lines),
        median(&mut ratios)
    );
}

/// Presses a key and waits for what it does: the help comes, or goes.
fn answered(console: Terminal) -> (Terminal, Duration) {
    let began = Instant::now();
    let console = console.press("?").shows("type to search");
    let latency = began.elapsed();
    let is_closed =
        |shown: &tty::Shown| !shown.parser.screen().contents().contains("type to search");
    (console.press("?").until(is_closed, "the help closed"), latency)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// KiB that the process has had in use at most.
fn most_resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How much is asked of a server.
#[derive(Clone, Copy)]
enum Pace {
    /// So many transcript lines a second.
    Lines(u32),
    /// As much as it can do.
    Unlimited,
}

/// Clients of an echo server, and the replies that they have got.
struct Load {
    stop: Arc<AtomicBool>,
    replies: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(port: u16, pace: Pace) -> Self {
        let (stop, replies) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| {
            let (stop, replies) = (Arc::clone(&stop), Arc::clone(&replies));
            thread::spawn(move || speak(&connect(port), pace, &stop, &replies))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, replies, clients }
    }

    /// Replies a second.
    fn run_for(self, time: Duration) -> f64 {
        let (began, before) = (Instant::now(), self.replies.load(Relaxed));
        thread::sleep(time);
        let replies = self.replies.load(Relaxed) - before;
        let rate = f64::from(u32::try_from(replies).unwrap()) / began.elapsed().as_secs_f64();
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        rate
    }
}

/// Sends what is due in one piece, reads the replies, and waits for the next beat.
fn speak(stream: &TcpStream, pace: Pace, stop: &AtomicBool, replies: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::with_capacity(1 << 16, stream);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).unwrap();
    let each: u32 = match pace {
        Pace::Lines(lines) => lines / LINES_OF_A_COMMAND / CLIENTS / BEATS,
        Pace::Unlimited => 100,
    };
    let (count, each) = (u64::from(each), usize::try_from(each).unwrap());
    let commands = "ECHO The quick brown fox jumps over the lazy dog\r\n".repeat(each);
    let answer = "+OK The quick brown fox jumps over the lazy dog\r\n".len() * each;
    let mut answers = vec![0; answer];
    let mut next = Instant::now();
    while !stop.load(Relaxed) {
        (&mut &*stream).write_all(commands.as_bytes()).unwrap();
        input.read_exact(&mut answers).unwrap();
        replies.fetch_add(count, Relaxed);
        if let Pace::Lines(_) = pace {
            next += Duration::from_secs(1) / BEATS;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// The same servers without a screen.
struct Headless {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Headless {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailconsole"))
            .args(["--no-tui", "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"])
            .args(["--user", "linhphan", "--dir"])
            .arg(directory.path().join("mail"))
            .env("XDG_CONFIG_HOME", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("echo"), "{line}");
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port, _directory: directory }
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
