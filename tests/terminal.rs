//! The real program in a real (pseudo) terminal: what it draws there, and that it gives the
//! terminal back as it was, however it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;
use vt100::Parser;

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the terminal has received and shows.
struct Shown {
    parser: Parser,
    octets: usize,
}

type Display = Arc<(Mutex<Shown>, Condvar)>;

/// A program in a terminal of its own.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    display: Display,
    _directory: TempDir,
}

impl Terminal {
    /// Starts the console on a new directory, on ports that the system chooses.
    fn console(columns: u16, lines: u16) -> Self {
        Self::run(columns, lines, |console| console)
    }

    /// Starts what `wrap` makes of the console's command line.
    fn run(columns: u16, lines: u16, wrap: impl Fn(Vec<String>) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pty = native_pty_system().openpty(size(columns, lines)).unwrap();
        let mail = directory.path().join("mail").display().to_string();
        let console = [env!("CARGO_BIN_EXE_mailconsole"), "--dir", &mail, "--user", "linhphan"];
        let ports = ["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"];
        let console = console.iter().chain(&ports).map(ToString::to_string).collect();
        let mut command =
            CommandBuilder::from_argv(wrap(console).into_iter().map(Into::into).collect());
        command.env("TERM", "xterm-256color");
        command.env("XDG_CONFIG_HOME", directory.path());
        command.env_remove("NO_COLOR");
        let child = pty.slave.spawn_command(command).unwrap();
        let shown = Shown { parser: Parser::new(some(lines), some(columns), 0), octets: 0 };
        let display: Display = Arc::new((Mutex::new(shown), Condvar::new()));
        let reader = pty.master.try_clone_reader().unwrap();
        let seen = Arc::clone(&display);
        thread::spawn(move || watch(reader, &seen));
        Self {
            keyboard: pty.master.take_writer().unwrap(),
            master: pty.master,
            child,
            display,
            _directory: directory,
        }
    }

    fn press(mut self, keys: &str) -> Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Waits until the terminal shows `text`.
    #[track_caller]
    fn shows(self, text: &str) -> Self {
        self.until(|shown| shown.parser.screen().contents().contains(text), text)
    }

    #[track_caller]
    fn until(self, is_so: impl Fn(&Shown) -> bool, what: &str) -> Self {
        let (lock, changed) = &*self.display;
        let shown = lock.lock().unwrap();
        let waited = changed.wait_timeout_while(shown, PATIENCE, |shown| !is_so(shown)).unwrap();
        let screen = waited.0.parser.screen().contents();
        assert!(!waited.1.timed_out(), "waited in vain for {what:?} on\n{screen}");
        drop(waited);
        self
    }

    /// The first port that the top line has behind `service`.
    fn port(&self, service: &str) -> u16 {
        let screen = self.display.0.lock().unwrap().parser.screen().contents();
        let (_, after) = screen.split_once(&format!("{service}:")).unwrap();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    fn resize(self, columns: u16, lines: u16) -> Self {
        self.display.0.lock().unwrap().parser.screen_mut().set_size(some(lines), some(columns));
        self.master.resize(size(columns, lines)).unwrap();
        self
    }

    fn signal(self, signal: Signal) -> Self {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
        self
    }

    /// Waits until nothing has been written for `time`.
    #[track_caller]
    fn falls_silent_for(self, time: Duration) -> Self {
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
    fn ends_and_gives_the_terminal_back(mut self) -> u32 {
        let status = self.child.wait().unwrap();
        let terminal = self.until(is_given_back, "a terminal given back");
        drop(terminal);
        status.exit_code()
    }
}

fn some(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

fn is_given_back(shown: &Shown) -> bool {
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
    // A terminal whose last program has gone reports an error.
    while let Ok(octets @ 1..) = reader.read(&mut piece) {
        let mut shown = lock.lock().unwrap();
        shown.parser.process(&piece[..octets]);
        shown.octets += octets;
        changed.notify_all();
    }
}

fn say(connection: &mut TcpStream, words: &str) {
    connection.write_all(words.as_bytes()).unwrap();
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}

#[test]
fn all_parts_are_on_one_screen_and_q_quits() {
    let terminal = Terminal::console(80, 24)
        .shows("1 Connections")
        .shows("2 Transcript")
        .shows("3 Mailboxes")
        .shows("linhphan")
        .shows("4 Relay queue")
        .shows("5 Log")
        .press("q");
    assert_eq!(terminal.ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn what_a_client_says_is_seen_as_it_says_it() {
    let terminal = Terminal::console(80, 24).shows("echo:");
    let mut client = connect(terminal.port("echo"));
    say(&mut client, "ECHO hello\r\nECHO unfin");
    let terminal = terminal.shows("C: ECHO hello").shows("S: +OK hello").shows("└ ECHO unfin");
    let terminal = terminal.shows("1 open / 1 total").press("q").shows("Quit?").press("y");
    assert_eq!(terminal.ends_and_gives_the_terminal_back(), 0);
    let mut farewell = String::new();
    client.read_to_string(&mut farewell).unwrap();
    assert!(farewell.ends_with("-ERR Server shutting down\r\n"), "{farewell}");
}

#[test]
fn a_hostile_client_cannot_drive_the_terminal() {
    let terminal = Terminal::console(80, 24).shows("echo:");
    let mut client = connect(terminal.port("echo"));
    say(&mut client, "ECHO \x1b[2J\x1b]0;title\x07\u{9b}2J\r\n");
    let terminal =
        terminal.shows("C: ECHO \\x1b[2J\\x1b]0;title\\x07\\u{9b}2J").shows("1 Connections");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn an_idle_console_writes_nothing() {
    let terminal = Terminal::console(80, 24).shows("q  Quit");
    let terminal = terminal.falls_silent_for(Duration::from_secs(3)).press("q");
    terminal.ends_and_gives_the_terminal_back();
}

#[test]
fn a_key_is_answered_at_once() {
    let mut terminal = Terminal::console(80, 24).shows("┏ 1 Connections");
    let began = Instant::now();
    for pane in ["┏ 3 Mailboxes", "┏ 2 Transcript", "┏ 1 Connections"] {
        terminal = terminal.press(&pane[4..5]).shows(pane);
    }
    // Three times fifty milliseconds, and as much again for a busy machine.
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    terminal.press("q").ends_and_gives_the_terminal_back();
}

#[test]
fn the_help_comes_and_goes() {
    let terminal = Terminal::console(80, 24).shows("1 Connections").press("?");
    let terminal = terminal.shows("type to search").press("\x1b").shows("1 Connections");
    terminal.press("q").ends_and_gives_the_terminal_back();
}

#[test]
fn any_size_will_do() {
    let mut terminal = Terminal::console(80, 24).shows("1 Connections");
    for (columns, lines, text) in
        [(200, 60, "lines/s"), (59, 16, "need 60x16"), (1, 1, ""), (120, 40, "mailconsole")]
    {
        terminal = terminal.resize(columns, lines).shows(text);
    }
    terminal.press("q").ends_and_gives_the_terminal_back();
}

#[test]
fn signals_end_it_as_cleanly_as_its_user() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let terminal = Terminal::console(80, 24).shows("1 Connections").signal(signal);
        assert_eq!(terminal.ends_and_gives_the_terminal_back(), 0, "{signal}");
    }
}

#[test]
fn control_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let script = r#"set -m; "$@"; echo stopped; read key; fg; echo ended"#;
    let shell = |console| {
        let shell = ["bash", "--norc", "-c", script, "bash"].map(String::from);
        shell.into_iter().chain::<Vec<String>>(console).collect()
    };
    let terminal = Terminal::run(80, 24, shell).shows("1 Connections").press("\x1a");
    let terminal = terminal.shows("stopped").until(is_given_back, "the shell's terminal");
    let terminal = terminal.press("\n").shows("1 Connections").press("q").shows("ended");
    assert_eq!(terminal.ends_and_gives_the_terminal_back(), 0);
}

/// A mail host that takes nobody until it has recovered.
struct MailHost {
    port: u16,
    has_recovered: Arc<AtomicBool>,
}

impl MailHost {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let has_recovered = Arc::new(AtomicBool::new(false));
        let recovered = Arc::clone(&has_recovered);
        thread::spawn(move || {
            for visit in listener.incoming() {
                // Who hangs up early is none of its business.
                let _ = hold_conversation(visit.unwrap(), &recovered);
            }
        });
        Self { port, has_recovered }
    }
}

fn hold_conversation(mut stream: TcpStream, recovered: &AtomicBool) -> io::Result<()> {
    stream.write_all(b"220 mx.example ready\r\n")?;
    let mut is_text = false;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let reply = match line.get(..4).unwrap_or(&line) {
            "." => "250 2.0.0 taken",
            _ if is_text => continue,
            "RCPT" if !recovered.load(Relaxed) => "451 4.7.1 come back later",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        is_text = reply.starts_with("354");
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}

#[test]
fn an_operator_sends_what_waits_sees_why_it_does_not_go_and_retries_it() {
    let host = MailHost::start();
    let route = format!("--route=x.example=127.0.0.1:{}", host.port);
    let terminal = Terminal::run(120, 40, |mut console| {
        console.push(route.clone());
        console
    });
    let terminal = terminal.shows("smtp:");
    let mut client = connect(terminal.port("smtp"));
    say(&mut client, "HELO tester\r\nMAIL FROM:<linhphan@localhost>\r\n");
    say(&mut client, "RCPT TO:<friend@x.example>\r\nDATA\r\nSubject: x\r\n.\r\nQUIT\r\n");
    let terminal = terminal.shows("friend@x.example").shows("1 waiting").press("R");
    let terminal = terminal.shows("C: RCPT TO:<friend@x.example>").shows("S: 451 4.7.1 come back");
    let terminal = terminal.shows("1 451 4.7.1 come back later").shows("1 deferred");
    let terminal = terminal.press("4\r").shows("Queue entry").shows("#1 deferred by 127.0.0.1");
    host.has_recovered.store(true, Relaxed);
    let is_closed = |shown: &Shown| !shown.parser.screen().contents().contains("Queue entry");
    let terminal = terminal.press("\x1b").until(is_closed, "the entry closed");
    let terminal = terminal.press("r").shows("S: 250 2.0.0 taken").shows("empty");
    assert_eq!(terminal.press("\x03").ends_and_gives_the_terminal_back(), 0);
}
