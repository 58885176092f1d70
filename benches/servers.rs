//! What the servers cost, as ratios, in one run: messages stored and synced to the same
//! conversations with a server that throws the mail away, and the memory of an idle connection.
//!
//! `cargo bench --bench servers`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Mailboxes that the messages go to in turn.
const USERS: usize = 10;

/// Messages of one measurement, of all sessions together.
const MESSAGES: usize = 20_000;

/// How often each pair is measured.
const ROUNDS: usize = 5;

/// Connections that are held and say nothing.
const IDLE: usize = 2_000;

fn main() {
    let runtime = Runtime::new().unwrap();
    let sink = runtime.block_on(sink());
    for sessions in [1, 10, 100] {
        let servers: [(&str, &[&str]); 2] = [("synced", &[]), ("--no-sync", &["--no-sync"])];
        for (name, options) in servers {
            let mut ratios: Vec<f64> = (0..ROUNDS)
                .map(|_| {
                    let ours = Server::start(options);
                    let stored = runtime.block_on(send(ours.port, sessions));
                    let thrown_away = runtime.block_on(send(sink, sessions));
                    thrown_away.as_secs_f64() / stored.as_secs_f64()
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            println!(
                "messages of 1 KB, {sessions} sessions, stored ({name}) / thrown away: {:.2}",
                ratios[ROUNDS / 2]
            );
        }
    }
    idle(&runtime);
}

/// Octets of the process for each connection that waits for its first command.
fn idle(runtime: &Runtime) {
    let server = Server::start(&[]);
    runtime.block_on(async {
        greeted(server.port).await;
        let before = server.resident();
        let mut held = Vec::new();
        for _ in 0..IDLE {
            held.push(greeted(server.port).await);
        }
        let each = (server.resident() - before) / IDLE as u64;
        println!("an idle SMTP connection: {each} octets of 4096");
        drop(held);
    });
}

async fn greeted(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut greeting = [0; 64];
    assert!(stream.read(&mut greeting).await.unwrap() > 0);
    stream
}

/// How long the sessions take for all the messages.
async fn send(port: u16, sessions: usize) -> Duration {
    let line = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.\r\n";
    let text = format!("Subject: x\r\n\r\n{}.\r\n", line.repeat(13));
    // One session alone waits for the disk at every message; it gets fewer.
    let each = MESSAGES / sessions.max(10);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for session in 0..sessions {
        let text = text.clone();
        clients.spawn(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut peer = Peer(tokio::io::BufReader::new(stream));
            peer.say("", "220").await;
            peer.say("HELO bench\r\n", "250").await;
            for nth in 0..each {
                let user = (session + nth) % USERS;
                peer.say("MAIL FROM:<bench@localhost>\r\n", "250").await;
                peer.say(&format!("RCPT TO:<u{user}@localhost>\r\n"), "250").await;
                peer.say("DATA\r\n", "354").await;
                peer.say(&text, "250").await;
            }
        });
    }
    clients.join_all().await;
    began.elapsed()
}

struct Peer(tokio::io::BufReader<TcpStream>);

impl Peer {
    async fn say(&mut self, words: &str, expected: &str) {
        self.0.get_mut().write_all(words.as_bytes()).await.unwrap();
        let mut reply = String::new();
        self.0.read_line(&mut reply).await.unwrap();
        assert!(reply.starts_with(expected), "{reply}");
    }
}

/// A server that says what an SMTP server says, and throws the mail away; returns its port.
async fn sink() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(throw_away(stream));
        }
    });
    port
}

async fn throw_away(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink\r\n").await?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    let mut in_text = false;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let end: &[u8] = if in_text { b"\r\n.\r\n" } else { b"\r\n" };
        if !buffer[..filled].ends_with(end) {
            continue;
        }
        let begins_text = !in_text && buffer[..filled].starts_with(b"DATA");
        stream.write_all(if begins_text { b"354 go\r\n" } else { b"250 OK\r\n" }).await?;
        (in_text, filled) = (begins_text, 0);
    }
}

/// The program, serving SMTP on a directory of its own.
struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for user in 0..USERS {
            fs::write(dir.path().join(format!("u{user}.mbox")), "").unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailconsole"))
            .args(["smtp", "-p", "0", "--bind", "127.0.0.1"])
            .args(options)
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port, _dir: dir }
    }

    /// Octets of memory that the process has in use.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
