//! What the screen costs the servers and its user, in one run: the same load on the servers with
//! the console in a terminal and with `--no-tui`, how long a key waits for its answer meanwhile,
//! and how much memory the process comes to. The load is echo commands, and mail with a connection
//! for each message and with sessions that are kept.
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

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader as TokioReader};
use tokio::net::TcpStream as TokioStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::tty::{Terminal, connect};

/// Connections that say `ECHO`.
const CLIENTS: u32 = 4;

/// Clients that send mail, as many at once.
const SENDERS: u32 = 20;

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

/// The same where both processors are busy, so that each measurement has some luck in it.
const MAIL_ROUNDS: usize = 7;

/// Keys pressed while the load is on.
const KEYS: usize = 60;

fn main() {
    at_a_hundred_thousand_lines();
    at_full_speed();
    with_mail(Sessions::New, "a connection for each message");
    with_mail(Sessions::Kept, "in sessions that are kept");
}

/// The load is paced: each server is asked for as much, and may fall behind.
fn at_a_hundred_thousand_lines() {
    let mut ratios = Vec::new();
    let (mut latencies, mut memory) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let headless = Headless::start();
        let without = Load::echo(headless.port("echo"), Pace::Lines(LINES)).run_for(TIME);
        drop(headless);
        let mut console = Terminal::console(120, 40).shows("echo:");
        let load = Load::echo(console.port("echo"), Pace::Lines(LINES));
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
        let without = Load::echo(headless.port("echo"), Pace::Unlimited).run_for(TIME / 2);
        drop(headless);
        let console = Terminal::console(120, 40).shows("echo:");
        let load = Load::echo(console.port("echo"), Pace::Unlimited);
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

/// The servers store and sync as much mail as they can.
fn with_mail(sessions: Sessions, how: &str) {
    let mut ratios = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..MAIL_ROUNDS {
        let headless = Headless::start();
        let without = Load::mail(headless.port("smtp"), sessions).run_for(TIME / 2);
        drop(headless);
        let console = Terminal::console(120, 40).shows("echo:");
        let with = Load::mail(console.port("smtp"), sessions).run_for(TIME / 2);
        ratios.push(with / without);
        lines.push(with * f64::from(sessions.lines_of_a_message()));
        console.press("\x03").ends_and_gives_the_terminal_back();
    }
    println!(
        "messages a second, {SENDERS} clients, {how}, {:.0} transcript lines a second: {:.2} \
         (from {:.2} to {:.2})",
        median(&mut lines),
        median(&mut ratios),
        ratios[0],
        ratios[ratios.len() - 1]
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

/// Whether a client has a connection for each message, as `smtp-source` has.
#[derive(Clone, Copy)]
enum Sessions {
    New,
    Kept,
}

impl Sessions {
    /// Transcript lines of one message, those of its text and the row that sums it up among them.
    fn lines_of_a_message(self) -> u32 {
        // Text, sum, dot; MAIL, RCPT, DATA and the four replies.
        let message = u32::try_from(TEXT_LINES + 4).unwrap() + 9;
        match self {
            // New connection, greeting, HELO, QUIT, their replies, Connection closed.
            Self::New => message + 7,
            Self::Kept => message,
        }
    }
}

/// Lines in the body of a message; there are four more in its header.
const TEXT_LINES: usize = 12;

/// Clients of a server, and what they have done: commands, or messages.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn echo(port: u16, pace: Pace) -> Self {
        Self::start(CLIENTS, move |stop, done| speak(&connect(port), pace, stop, done))
    }

    fn mail(port: u16, sessions: Sessions) -> Self {
        Self::start(1, move |stop, done| send(port, sessions, stop, done))
    }

    fn start(
        clients: u32,
        run: impl Fn(&Arc<AtomicBool>, &Arc<AtomicU64>) + Clone + Send + 'static,
    ) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| {
            let (stop, done, run) = (Arc::clone(&stop), Arc::clone(&done), run.clone());
            thread::spawn(move || run(&stop, &done))
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, done, clients }
    }

    /// How much is done a second.
    fn run_for(self, time: Duration) -> f64 {
        let (began, before) = (Instant::now(), self.done.load(Relaxed));
        thread::sleep(time);
        let done = self.done.load(Relaxed) - before;
        let rate = f64::from(u32::try_from(done).unwrap()) / began.elapsed().as_secs_f64();
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        rate
    }
}

/// All the senders, in one thread: they must take as little as they can of the machine that the
/// servers are measured on.
fn send(port: u16, sessions: Sessions, stop: &Arc<AtomicBool>, stored: &Arc<AtomicU64>) {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let sender = send_one_by_one(port, sessions, Arc::clone(stop), Arc::clone(stored));
        senders.spawn_on(sender, runtime.handle());
    }
    // A sender that could not go on has failed the measurement.
    runtime.block_on(async { while senders.join_next().await.transpose().unwrap().is_some() {} });
}

/// Sends message after message, and counts those that are stored.
async fn send_one_by_one(
    port: u16,
    sessions: Sessions,
    stop: Arc<AtomicBool>,
    stored: Arc<AtomicU64>,
) {
    let header = "From: <a@b.org>\r\nTo: <linhphan@localhost>\r\nSubject: x\r\n\r\n";
    let line = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.\r\n";
    let text = format!("{header}{}.\r\n", line.repeat(TEXT_LINES));
    let mut client = Client::new(port).await;
    while !stop.load(Relaxed) {
        client.say("MAIL FROM:<a@b.org>\r\n", "250").await;
        client.say("RCPT TO:<linhphan@localhost>\r\n", "250").await;
        client.say("DATA\r\n", "354").await;
        client.say(&text, "250").await;
        stored.fetch_add(1, Relaxed);
        if let Sessions::New = sessions {
            client.say("QUIT\r\n", "221").await;
            client = Client::new(port).await;
        }
    }
}

/// A session of an SMTP client.
struct Client {
    stream: TokioReader<TokioStream>,
    reply: String,
}

impl Client {
    /// Connects and says HELO.
    async fn new(port: u16) -> Self {
        let stream = TokioStream::connect(("127.0.0.1", port)).await.unwrap();
        let stream = TokioReader::with_capacity(512, stream);
        let mut client = Self { stream, reply: String::new() };
        client.hear("220").await;
        client.say("HELO bench\r\n", "250").await;
        client
    }

    async fn say(&mut self, words: &str, code: &str) {
        self.stream.write_all(words.as_bytes()).await.unwrap();
        self.hear(code).await;
    }

    async fn hear(&mut self, code: &str) {
        self.reply.clear();
        self.stream.read_line(&mut self.reply).await.unwrap();
        assert!(self.reply.starts_with(code), "{}", self.reply);
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
    /// What it says first: where each server listens.
    said: String,
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
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("smtp: ") {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "{said}");
        }
        Self { child, said, _directory: directory }
    }

    fn port(&self, service: &str) -> u16 {
        let line = self.said.lines().find(|line| line.starts_with(service)).unwrap();
        line.rsplit(':').next().unwrap().parse().unwrap()
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
