//! The words in which the real program in a real (pseudo) terminal is tried, measured and
//! pictured: what it shows, keys, the end.
#![allow(dead_code, reason = "everyone uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;
use vt100::Parser;

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the terminal has received and shows.
pub(crate) struct Shown {
    pub(crate) parser: Parser,
    pub(crate) octets: usize,
    /// Whether nothing is read of what is written to it.
    stands_still: bool,
}

type Display = Arc<(Mutex<Shown>, Condvar)>;

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    display: Display,
    directory: TempDir,
}

impl Terminal {
    /// Starts the console on a new directory, on ports that the system chooses.
    pub(crate) fn console(columns: u16, lines: u16) -> Self {
        Self::run(columns, lines, |console| console)
    }

    /// Starts what `wrap` makes of the console's command line.
    pub(crate) fn run(columns: u16, lines: u16, wrap: impl Fn(Vec<String>) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pty = native_pty_system().openpty(size(columns, lines)).unwrap();
        let mail = directory.path().join("mail").display().to_string();
        let console = [env!("CARGO_BIN_EXE_mailconsole"), "--dir", &mail, "--user", "linhphan"];
        let ports = ["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"];
        let console = console.iter().chain(&ports).map(ToString::to_string).collect();
        let mut command =
            CommandBuilder::from_argv(wrap(console).into_iter().map(Into::into).collect());
        command.cwd(directory.path());
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env("XDG_CONFIG_HOME", directory.path());
        command.env_remove("NO_COLOR");
        let child = pty.slave.spawn_command(command).unwrap();
        let parser = Parser::new(some(lines), some(columns), 0);
        let shown = Shown { parser, octets: 0, stands_still: false };
        let display: Display = Arc::new((Mutex::new(shown), Condvar::new()));
        let reader = pty.master.try_clone_reader().unwrap();
        let seen = Arc::clone(&display);
        thread::spawn(move || watch(reader, &seen));
        Self {
            keyboard: pty.master.take_writer().unwrap(),
            master: pty.master,
            child,
            display,
            directory,
        }
    }

    pub(crate) fn press(mut self, keys: &str) -> Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Waits until the terminal shows `text`.
    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        self.until(|shown| shown.parser.screen().contents().contains(text), text)
    }

    #[track_caller]
    pub(crate) fn until(self, is_so: impl Fn(&Shown) -> bool, what: &str) -> Self {
        let (lock, changed) = &*self.display;
        let shown = lock.lock().unwrap();
        let waited = changed.wait_timeout_while(shown, PATIENCE, |shown| !is_so(shown)).unwrap();
        let screen = waited.0.parser.screen().contents();
        assert!(!waited.1.timed_out(), "waited in vain for {what:?} on\n{screen}");
        drop(waited);
        self
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// The directory of the mailboxes.
    pub(crate) fn mail(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    /// What it shows now.
    pub(crate) fn screen(&self) -> vt100::Screen {
        self.display.0.lock().unwrap().parser.screen().clone()
    }

    /// The first port that the top line has behind `service`.
    pub(crate) fn port(&self, service: &str) -> u16 {
        let screen = self.display.0.lock().unwrap().parser.screen().contents();
        let (_, after) = screen.split_once(&format!("{service}:")).unwrap();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    pub(crate) fn resize(self, columns: u16, lines: u16) -> Self {
        self.display.0.lock().unwrap().parser.screen_mut().set_size(some(lines), some(columns));
        self.master.resize(size(columns, lines)).unwrap();
        self
    }

    pub(crate) fn signal(self, signal: Signal) -> Self {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
        self
    }

    /// Reads nothing any more of what is written to it.
    pub(crate) fn stands_still(self) -> Self {
        self.display.0.lock().unwrap().stands_still = true;
        self
    }

    /// Reads again what is written to it.
    pub(crate) fn goes_on(self) -> Self {
        self.display.0.lock().unwrap().stands_still = false;
        self.display.1.notify_all();
        self
    }

    /// Waits for the end of the process, and leaves it to be seen; returns how long it took.
    #[track_caller]
    pub(crate) fn ends_within(&self, time: Duration) -> Duration {
        let began = Instant::now();
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let _ = waitid(Id::Pid(id), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let _ = tell.send(());
        });
        assert!(told.recv_timeout(time).is_ok(), "it has not ended within {time:?}");
        began.elapsed()
    }

    /// Waits until nothing has been written for `time`.
    #[track_caller]
    pub(crate) fn falls_silent_for(self, time: Duration) -> Self {
        let (lock, changed) = &*self.display;
        let began = Instant::now();
        let mut shown = lock.lock().unwrap();
        loop {
            assert!(began.elapsed() < PATIENCE, "it is written to for ever");
            let before = shown.octets;
            let waited = changed.wait_timeout_while(shown, time, |now| now.octets == before);
            let (now, timeout) = waited.unwrap();
            if timeout.timed_out() {
                break;
            }
            shown = now;
        }
        self
    }

    /// Waits for the end; the terminal must be as it was before. Returns the exit status.
    #[track_caller]
    pub(crate) fn ends_and_gives_the_terminal_back(self) -> u32 {
        let mut terminal = self.until(is_given_back, "a terminal given back");
        terminal.child.wait().unwrap().exit_code()
    }
}

/// A test that has failed leaves no program behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

pub(crate) fn is_given_back(shown: &Shown) -> bool {
    let screen = shown.parser.screen();
    !screen.alternate_screen()
        && !screen.hide_cursor()
        && !screen.bracketed_paste()
        && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
}

const fn size(columns: u16, lines: u16) -> PtySize {
    PtySize { rows: lines, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn watch(mut reader: Box<dyn Read + Send>, display: &Display) {
    let (lock, changed) = &**display;
    let mut piece = [0; 4_096];
    let is_still = |shown: &mut Shown| shown.stands_still;
    // A terminal whose last program has gone reports an error.
    while let Ok(octets @ 1..) = reader.read(&mut piece) {
        drop(changed.wait_while(lock.lock().unwrap(), is_still).unwrap());
        let mut shown = lock.lock().unwrap();
        shown.parser.process(&piece[..octets]);
        shown.octets += octets;
        changed.notify_all();
    }
}

pub(crate) fn say(connection: &mut TcpStream, words: &str) {
    connection.write_all(words.as_bytes()).unwrap();
}

pub(crate) fn connect(port: u16) -> TcpStream {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}
