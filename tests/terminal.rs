//! The real program in a real (pseudo) terminal: what it draws there, and that it gives the
//! terminal back as it was, however it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod tty;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::tty::{Shown, Terminal, connect, is_given_back, say};

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
fn the_demonstration_shows_every_pane_at_work_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("TMPDIR={}", folder.path().display());
    let terminal = Terminal::run(120, 40, |console| {
        vec!["env".into(), place.clone(), console[0].clone(), "demo".into()]
    });
    let terminal = terminal
        .shows("demo: R retries")
        .shows("RCPT TO:<car")
        .shows("TRANSACTION bob")
        .shows("451 4.7.1 greylisted")
        .shows("550 5.1.1 no such user here")
        .press("R")
        .shows("1 delivered, 0 deferred, 0 failed; 1 left in the queue");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    assert_eq!(terminal.press("\x03").ends_and_gives_the_terminal_back(), 0);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_terminal_that_may_not_show_unicode_gets_ascii() {
    for setting in ["LC_ALL=C", "TERM=dumb"] {
        let wrap =
            |console: Vec<String>| [vec!["env".to_owned(), setting.to_owned()], console].concat();
        let terminal = Terminal::run(80, 24, wrap).shows("1 Connections").shows("Enter");
        let terminal = terminal
            .press("?")
            .shows("Shift-Tab")
            .until(|shown| shown.parser.screen().contents().is_ascii(), "nothing but ASCII");
        let is_closed = |shown: &Shown| !shown.parser.screen().contents().contains("Shift-Tab");
        let terminal = terminal.press("\x1b").until(is_closed, "the help to close");
        assert_eq!(terminal.press("q").ends_and_gives_the_terminal_back(), 0);
    }
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
fn what_a_client_has_begun_of_a_message_is_seen_while_it_hangs() {
    let terminal = Terminal::console(80, 24).shows("smtp:");
    let mut client = connect(terminal.port("smtp"));
    say(&mut client, "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\n");
    say(&mut client, "Subject: q\r\n\r\nhangs here\r\n.\n");
    let terminal = terminal.shows("└ .  a dot, but its line ends in LF alone");
    say(&mut client, "\r\n.\r\n");
    let is_taken = |shown: &Shown| {
        let screen = shown.parser.screen().contents();
        screen.contains("S: 250 OK") && !screen.contains("a dot, but")
    };
    terminal.until(is_taken, "the message").press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn what_a_client_logs_in_with_is_masked_until_it_is_asked_for() {
    let terminal = Terminal::console(120, 40).shows("smtp:");
    let mut client = connect(terminal.port("smtp"));
    say(&mut client, "EHLO a\r\nAUTH PLAIN AGJvYgBjaXM1MDU=\r\nAUTH LOGIN\r\nYm9i\r\n");
    say(&mut client, "Y2lzNTA1\r\nHELO a\r\nauth login Ym9i\r\nY2lz");
    let terminal = terminal.shows("C: AUTH PLAIN ******").shows("C: auth login ******");
    let terminal = terminal.shows("└ ****** …").shows("C: HELO a");
    let screen = terminal.screen().contents();
    for secret in ["AGJv", "Ym9i", "Y2lz"] {
        assert!(!screen.contains(secret), "{secret} is on\n{screen}");
    }
    let terminal = terminal.press("p").shows("C: AUTH PLAIN AGJvYgBjaXM1MDU=").shows("C: Y2lzNTA1");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn a_verbose_console_writes_the_transcript_beside_the_screen() {
    let verbose = |mut command: Vec<String>| {
        command.push("-v".into());
        command
    };
    let terminal = Terminal::run(120, 40, verbose).shows("-v: the screen is the transcript");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
    let written = |command: Vec<String>| {
        let script = format!("exec {} -v 2>written", command.join(" "));
        vec!["sh".into(), "-c".into(), script]
    };
    let terminal = Terminal::run(120, 40, written).shows("smtp:");
    let mut client = connect(terminal.port("smtp"));
    say(&mut client, "HELO a\r\n");
    let terminal = terminal.shows("C: HELO a");
    let file = terminal.mail().with_file_name("written");
    let is_written =
        |_: &_| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("] C: HELO a\n"));
    let terminal = terminal.press("\x0c").until(is_written, "a transcript in the file");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn faults_are_seen_while_they_are_on_whoever_has_added_them() {
    let faulty = |mut command: Vec<String>| {
        command.extend(["--fault".into(), "echo.line nth=2 : mute".into()]);
        command
    };
    let terminal = Terminal::run(120, 40, faulty).shows("FAULTS 1");
    let mut client = connect(terminal.port("echo"));
    say(&mut client, "ECHO one\r\nECHO two\r\n");
    let terminal = terminal.shows(".. fault 1: echo.line nth=2");
    // Nothing else wakes the screen than the order of another program.
    let mut fault = std::process::Command::new(env!("CARGO_BIN_EXE_mailconsole"));
    fault.arg("fault").arg(terminal.mail()).args(["add", "smtp.rcpt : 451 later"]);
    let added = fault.env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
    assert!(added.status.success());
    let terminal = terminal.shows("FAULTS 2").press("F").shows("smtp.rcpt : 451 later");
    let terminal = terminal.press(" ").shows("The rule is off.").shows("FAULTS 1");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn what_an_operator_may_not_be_aware_of_is_in_the_top_line() {
    let open = |mut command: Vec<String>| {
        command.extend(["--bind".into(), "0.0.0.0".into(), "--no-sync".into()]);
        command
    };
    let terminal =
        Terminal::run(160, 45, open).shows("password cis505 is public").shows("not synced");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
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
    // Fifty milliseconds each, and much more on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
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

/// Has the console draw so much that a terminal which does not read is full.
fn fill_terminal(echo: u16) {
    let mut client = connect(echo);
    let mut answers = vec![0; 65_536];
    let began = Instant::now();
    for n in 0.. {
        say(&mut client, &format!("ECHO {}\r\n", n.to_string().repeat(20)).repeat(50));
        assert!(client.read(&mut answers).unwrap() > 0);
        if began.elapsed() > Duration::from_secs(3) {
            return;
        }
    }
}

#[test]
fn signals_end_it_while_its_terminal_takes_no_output() {
    for signals in [&[Signal::SIGTERM][..], &[Signal::SIGINT], &[Signal::SIGTERM, Signal::SIGTERM]]
    {
        let terminal = Terminal::console(200, 60).shows("1 Connections");
        let echo = terminal.port("echo");
        let terminal = terminal.stands_still();
        fill_terminal(echo);
        let terminal = signals.iter().fold(terminal, |terminal, signal| terminal.signal(*signal));
        terminal.ends_within(Duration::from_secs(2));
        terminal.goes_on().ends_and_gives_the_terminal_back();
    }
}

#[test]
fn keys_work_while_its_terminal_takes_no_output() {
    let terminal = Terminal::console(200, 60).shows("1 Connections");
    let echo = terminal.port("echo");
    let terminal = terminal.stands_still();
    fill_terminal(echo);
    let terminal = terminal.press("\x03");
    terminal.ends_within(Duration::from_secs(2));
    assert_eq!(terminal.goes_on().ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn a_terminal_that_reads_again_shows_the_newest() {
    let terminal = Terminal::console(200, 60).shows("1 Connections");
    let echo = terminal.port("echo");
    let terminal = terminal.stands_still();
    fill_terminal(echo);
    let mut client = connect(echo);
    say(&mut client, "ECHO at last\r\n");
    let terminal = terminal.goes_on().shows("+OK at last");
    assert_eq!(terminal.press("\x03").ends_and_gives_the_terminal_back(), 0);
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
    let terminal = terminal.shows("friend@x.example").shows("1 waiting").shows("+1 new").press("R");
    let terminal = terminal.shows("C: RCPT TO:<friend@x.example>").shows("S: 451 4.7.1 come back");
    let terminal = terminal.shows("1 451 4.7.1 come back later").shows("1 deferred");
    let terminal = terminal.press("4v").shows("queued for friend@x.example").shows("Subject");
    let terminal = terminal.press("\x1b").shows("┏ 4 Relay queue");
    let terminal = terminal.press("\r").shows("Queue entry").shows("#1 deferred by 127.0.0.1");
    host.has_recovered.store(true, Relaxed);
    let is_closed = |shown: &Shown| !shown.parser.screen().contents().contains("Queue entry");
    let terminal = terminal.press("\x1b").until(is_closed, "the entry closed");
    let terminal = terminal.press("r").shows("S: 250 2.0.0 taken").shows("empty");
    assert_eq!(terminal.press("\x03").ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn a_server_is_stopped_alone_with_a_farewell_and_started_again_on_its_port() {
    let terminal = Terminal::console(120, 40).shows("echo:");
    let port = terminal.port("echo");
    let mut client = connect(port);
    let terminal = terminal.shows("1 open").press("S").shows("Settings");
    let terminal = terminal.press("\x1b[B\x1b[Bx").shows("Stop the echo server?").press("y");
    let mut farewell = String::new();
    client.read_to_string(&mut farewell).unwrap();
    assert!(farewell.ends_with("-ERR Server shutting down\r\n"), "{farewell}");
    let terminal = terminal.shows("stopped").shows("○ echo:");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let terminal = terminal.press("s").shows("● echo:");
    let mut client = connect(port);
    say(&mut client, "ECHO again\r\n");
    let terminal = terminal.press("\x1b").shows("C: ECHO again");
    assert_eq!(terminal.press("\x03").ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn a_setting_changes_while_the_servers_run_and_stands_in_the_top_line() {
    let terminal = Terminal::console(120, 40).shows("smtp:");
    let mut client = connect(terminal.port("smtp"));
    let terminal = terminal.shows("220 localhost").press(":set max-message 1K\r");
    let terminal = terminal.shows("! messages of at most 1K");
    say(&mut client, "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\n");
    say(&mut client, &format!("{}\r\n.\r\n", "x".repeat(2_000)));
    let terminal = terminal.shows("S: 552 ").press(":set max-message lots\r");
    let terminal = terminal.shows("The longest message cannot be \"lots\"");
    let terminal = terminal.press(&"\x7f".repeat(4)).press("default\r");
    let is_usual = |shown: &Shown| !shown.parser.screen().contents().contains("at most 1K");
    terminal.until(is_usual, "no badge").press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn a_missing_directory_is_made_and_tells_how_to_begin_and_n_makes_the_first_mailbox() {
    let terminal = Terminal::run(80, 24, |mut console| {
        console.truncate(console.len() - 8);
        console
            .extend(["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"].map(Into::into));
        console
    });
    let terminal = terminal.shows("was made and is empty: n makes the first").shows("☐ connected");
    let terminal = terminal.press("nada\r").shows("ada can receive mail");
    let mut client = connect(terminal.port("smtp"));
    say(&mut client, "EHLO [127.0.0.1]\r\n");
    let terminal = terminal.shows("✓ connected ✓ EHLO refused ☐ HELO");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn no_colour_is_used_where_none_is_wanted() {
    let terminal = Terminal::run(80, 24, |console| {
        ["env", "NO_COLOR=1"].map(String::from).into_iter().chain(console).collect()
    });
    let terminal = terminal.shows("1 Connections");
    let screen = terminal.screen();
    for (row, column) in (0..24).flat_map(|row| (0..80).map(move |column| (row, column))) {
        let cell = screen.cell(row, column).unwrap();
        let colours = (cell.fgcolor(), cell.bgcolor());
        assert_eq!(colours, (vt100::Color::Default, vt100::Color::Default), "{row} {column}");
    }
    terminal.press("q").ends_and_gives_the_terminal_back();
}

#[test]
fn what_was_said_gives_way_by_itself() {
    let terminal = Terminal::console(80, 24).shows("q  Quit").press("t").shows("Time stamps:");
    terminal.shows("q  Quit").press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn keys_of_the_config_file_work_and_stand_in_the_hints() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "theme = \"none\"\n[keys]\nquit = \"X\"\n").unwrap();
    let terminal = Terminal::run(80, 24, |mut console| {
        console.extend(["--config".to_owned(), config.display().to_string()]);
        console
    });
    let terminal = terminal.shows("X  Quit").press("q").press("?").shows("type to search");
    let is_closed = |shown: &Shown| !shown.parser.screen().contents().contains("type to search");
    let terminal = terminal.press("?").until(is_closed, "the help closed");
    assert_eq!(terminal.press("X").ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn what_lies_in_mailboxes_is_seen_while_the_servers_never_pause() {
    let terminal = Terminal::console(120, 40).shows("echo:");
    let mut talker = connect(terminal.port("echo"));
    let ended = Arc::new(AtomicBool::new(false));
    let is_ended = Arc::clone(&ended);
    let talking = thread::spawn(move || {
        let mut answers = vec![0; 65_536];
        while !is_ended.load(Relaxed) {
            talker.write_all("ECHO hello\r\n".repeat(500).as_bytes()).unwrap();
            assert!(talker.read(&mut answers).unwrap() > 0);
        }
    });
    let mut client = connect(terminal.port("smtp"));
    say(
        &mut client,
        "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\nx\r\n.\r\n",
    );
    let terminal = terminal.shows("+1 new").press(":set idle 77\r").shows("! idle at most 77 s");
    ended.store(true, Relaxed);
    talking.join().unwrap();
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}
