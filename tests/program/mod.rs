//! The words in which tests of the real program are written: the program as a process, and
//! clients that talk to it over sockets.
#![allow(dead_code, reason = "every test file uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mailconsole");

/// How long anything may take to be answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// What must be over within a second: as much again, twice, for a busy machine. Whatever else it could
/// wait for takes longer.
pub(crate) const A_SECOND: Duration = Duration::from_secs(3);

/// The program, without what the user of this machine has configured.
pub(crate) fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Says that a test was not tried, and why. Not by a macro: what those write is hidden when a test
/// passes.
pub(crate) fn skip(test: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("not tried: {test}: {why}\n").as_bytes());
}

/// Whether there is a Python for tests that need one; says so for `test` if there is none.
pub(crate) fn has_python(test: &str) -> bool {
    let version = Command::new("python3").arg("--version").output();
    let is_there = version.is_ok_and(|output| output.status.success());
    if !is_there {
        skip(test, "python3 is not installed");
    }
    is_there
}

/// Lets programs end at SIGHUP also where nohup has started the tests: they inherit that it is
/// ignored, which mailconsole respects; but what is caught here is not ignored there.
fn catch_hang_ups() {
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let hang_up = tokio::signal::unix::SignalKind::hangup();
        let _caught = tokio::signal::unix::signal(hang_up).unwrap();
    });
}

/// A running program; killed when dropped.
pub(crate) struct Servers {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    ports: Vec<(String, u16)>,
}

impl Servers {
    pub(crate) fn start(mut command: Command) -> Self {
        catch_hang_ups();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, ports: Vec::new() }
    }

    /// All three, on ports that the system chooses, with a mailbox.
    pub(crate) fn on(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(all_three(dir)).args(arguments).stderr(Stdio::piped());
        Self::start(command).listening(3)
    }

    pub(crate) fn listening(mut self, listeners: usize) -> Self {
        for _ in 0..listeners {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            let (service, address) = line.trim_end().split_once(": listening on ").unwrap();
            let (_, port) = address.rsplit_once(':').unwrap();
            self.ports.push((service.to_owned(), port.parse().unwrap()));
        }
        self
    }

    pub(crate) fn port(&self, service: &str) -> u16 {
        self.ports.iter().find(|(name, _)| name == service).unwrap().1
    }

    /// A client that has heard the greeting.
    pub(crate) fn connect(&self, service: &str) -> Client {
        let mut client = Client::connect(self.port(service));
        client.line();
        client
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until the transcript, one line after the other, comes to `line`.
    pub(crate) fn wait_for(&mut self, line: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let mut transcript = Vec::new();
        while !transcript.ends_with(format!("] {line}\n").as_bytes()) {
            let mut byte = [0];
            stderr.read_exact(&mut byte).unwrap();
            transcript.extend(byte);
        }
    }

    /// How it ended, and what it had written to stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        if let Some(pipe) = &mut self.child.stderr {
            pipe.read_to_string(&mut stderr).unwrap();
        }
        (self.child.wait().unwrap(), stderr)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Also if the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What starts all three servers without a screen, with a mailbox for linhphan.
pub(crate) fn all_three(dir: &Path) -> Vec<&str> {
    let mut arguments = vec!["--no-tui", "--user", "linhphan", "--dir", dir.to_str().unwrap()];
    arguments.extend(["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"]);
    arguments.extend(["--bind", "127.0.0.1"]);
    arguments
}

/// Somebody who talks to a server over a socket.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn says(&mut self, command: &str, reply: &str) {
        self.send(format!("{command}\r\n"));
        let line = self.line();
        assert!(line.starts_with(reply), "{command}: {line}");
    }

    /// Begins a message to linhphan, up to the last line of its text.
    pub(crate) fn begin_message(&mut self) {
        self.says("HELO tester", "250");
        self.says("MAIL FROM:<a@b>", "250");
        self.says("RCPT TO:<linhphan@localhost>", "250");
        self.says("DATA", "354");
        self.send("Hello\r\n");
    }

    /// Sends a message without looking at the replies in between; the last one, or `None` if the
    /// server is gone.
    pub(crate) fn try_deliver(&mut self, users: &[&str], text: &[u8]) -> Option<String> {
        let stream = self.0.get_mut();
        let recipients = users.iter().map(|user| format!("RCPT TO:<{user}@localhost>\r\n"));
        let commands = ["RSET\r\nMAIL FROM:<a@b>\r\n".to_owned()].into_iter();
        let commands: Vec<String> = commands.chain(recipients).collect();
        stream.write_all(commands.concat().as_bytes()).ok()?;
        stream.write_all(b"DATA\r\n").ok()?;
        stream.write_all(text).ok()?;
        stream.write_all(b".\r\n").ok()?;
        let replies = (0..users.len() + 4).map(|_| self.try_line()).collect::<Option<Vec<_>>>();
        replies?.pop()
    }

    /// Sends a message of a client that has said HELO; how it was answered.
    pub(crate) fn deliver(&mut self, users: &[&str], text: impl AsRef<[u8]>) -> String {
        self.try_deliver(users, text.as_ref()).unwrap()
    }

    fn try_line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|_| line.ends_with('\n'))?;
        Some(line.trim_end().to_owned())
    }

    /// Logs in; what PASS was answered.
    pub(crate) fn log_in(&mut self, user: &str) -> String {
        self.send(format!("USER {user}\r\nPASS cis505\r\n"));
        self.line();
        self.line()
    }

    /// A message of the open maildrop.
    pub(crate) fn message(&mut self, number: usize) -> Vec<u8> {
        self.says(&format!("RETR {number}"), "+OK");
        self.multi_line()
    }

    /// All messages of the open maildrop.
    pub(crate) fn messages(&mut self) -> Vec<Vec<u8>> {
        self.send("STAT\r\n");
        let stat = self.line();
        let count: usize = stat.split(' ').nth(1).unwrap().parse().unwrap();
        (1..=count).map(|number| self.message(number)).collect()
    }

    /// The lines up to the lone dot, unstuffed, with their line ends.
    pub(crate) fn multi_line(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            let from = text.len();
            assert!(self.0.read_until(b'\n', &mut text).unwrap() > 0, "cut off");
            if &text[from..] == b".\r\n" {
                text.truncate(from);
                return text;
            }
            if text[from] == b'.' {
                text.remove(from);
            }
        }
    }

    pub(crate) fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}
