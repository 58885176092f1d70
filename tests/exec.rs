//! `mailconsole exec`: a command with servers of its own. By the real program, and shell commands.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{PROGRAM, program};

/// Where temporary directories are made, alone: what is left there is seen.
struct Tmp(tempfile::TempDir);

impl Tmp {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn exec(&self, options: &[&str], command: &[&str]) -> Command {
        let mut exec = program();
        exec.env("TMPDIR", self.0.path()).env("XDG_DATA_HOME", self.0.path().join("data"));
        // What a sh of a command calls the program.
        exec.env("MAILCONSOLE", PROGRAM);
        exec.arg("exec").args(options).arg("--").args(command);
        exec
    }

    fn sh(&self, options: &[&str], script: &str) -> Output {
        self.exec(options, &["sh", "-c", script]).output().unwrap()
    }

    /// Directories of servers that were not removed.
    fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_ours = |path: &PathBuf| {
            path.file_name().unwrap().to_str().unwrap().starts_with("mailconsole-")
        };
        entries.filter(is_ours).collect()
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[track_caller]
fn ends(output: &Output, status: i32, stderr: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), stderr);
}

/// The variables that the command prints with env.
fn variables(output: &Output) -> BTreeMap<String, String> {
    let lines = text(&output.stdout);
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_ports_stand_in_a_file_while_the_command_runs() {
    let tmp = Tmp::new();
    let file = tmp.0.path().join("ports.json");
    let output = tmp.sh(
        &["--ports-file", file.to_str().unwrap()],
        &format!("cat {}; printf '\\n%s' $SMTP_PORT", file.display()),
    );
    let stdout = text(&output.stdout);
    let (json, port) = stdout.trim_end().rsplit_once('\n').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["ports"]["smtp"].to_string(), port, "{stdout}");
    assert!(!file.exists());
}

const SEND: &str = "$MAILCONSOLE send --from a@x --to bob@localhost --subject Hi --body Text";

#[test]
fn the_command_finds_the_servers_in_its_environment() {
    let tmp = Tmp::new();
    let output = tmp.sh(&["--user", "bob", "--password", "secret"], "env");
    ends(&output, 0, "mailconsole: 0 messages, 0 refused\n");
    let variables = variables(&output);
    for (host, port, url) in
        [("SMTP_HOST", "SMTP_PORT", "SMTP_URL"), ("POP3_HOST", "POP3_PORT", "POP3_URL")]
    {
        assert_eq!(variables[host], "127.0.0.1");
        let scheme = &host[..4].to_lowercase();
        assert_eq!(variables[url], format!("{scheme}://127.0.0.1:{}", variables[port]));
        assert!(![2_500, 11_000].contains(&variables[port].parse::<u16>().unwrap()));
    }
    assert_eq!(variables["ECHO_HOST"], "127.0.0.1");
    assert_ne!(variables["ECHO_PORT"].parse::<u16>().unwrap(), 10_000);
    assert_eq!(variables["MAILCONSOLE_PASSWORD"], "secret");
    assert!(variables["MAILCONSOLE_DIR"].starts_with(tmp.0.path().to_str().unwrap()));
    assert!(!variables.contains_key("MAILCONSOLE_CA"));
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn the_servers_are_ready_and_what_they_took_is_counted_and_on_disk() {
    let tmp = Tmp::new();
    let script = format!(
        "{SEND} && {SEND} && $MAILCONSOLE send --to nobody@localhost; \
                          echo $? && cat $MAILCONSOLE_DIR/bob.mbox"
    );
    let output = tmp.sh(&["--user", "bob"], &script);
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("1\n"), "{stdout}");
    assert_eq!(stdout.matches("\nSubject: Hi\r\n").count(), 2, "{stdout}");
    let stderr = text(&output.stderr);
    assert!(stderr.ends_with("\nmailconsole: 2 messages, 1 refused\n"), "{stderr}");
}

#[test]
fn mail_is_on_disk_when_exec_returns_in_a_directory_that_was_named() {
    let tmp = Tmp::new();
    let dir = tmp.0.path().join("a/b");
    let options = ["--dir", dir.to_str().unwrap(), "--user", "bob"];
    let output = tmp.sh(&options, SEND);
    ends(&output, 0, "mailconsole: 1 message, 0 refused\n");
    assert!(fs::read_to_string(dir.join("bob.mbox")).unwrap().contains("\nSubject: Hi\r\n"));
    assert!(!dir.join("transcript.log").exists());
}

#[test]
fn the_exit_status_is_the_commands() {
    let tmp = Tmp::new();
    let summary = "mailconsole: 0 messages, 0 refused\n";
    let user = ["--user", "bob"];
    ends(&tmp.sh(&user, "exit 7"), 7, summary);
    ends(&tmp.sh(&user, "exit 255"), 255, summary);
    ends(&tmp.sh(&user, "kill -KILL $$"), 137, summary);
    ends(&tmp.sh(&user, "kill -TERM $$"), 143, summary);
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn what_cannot_be_executed_has_the_statuses_of_shells() {
    let tmp = Tmp::new();
    let file = tmp.0.path().join("plain");
    fs::write(&file, "text").unwrap();
    for (command, status) in [
        ("/nonexistent/program", 127),
        ("no-such-program-anywhere", 127),
        (file.to_str().unwrap(), 126),
        (tmp.0.path().to_str().unwrap(), 126),
    ] {
        let output = tmp.exec(&["--user", "bob"], &[command]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{command}");
        let stderr = text(&output.stderr);
        let begins = format!("mailconsole: cannot execute {command}: ");
        assert!(stderr.starts_with(&begins), "{stderr}");
        assert!(stderr.ends_with("\nmailconsole: 0 messages, 0 refused\n"), "{stderr}");
    }
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn failures_of_the_servers_are_125_and_the_command_does_not_begin() {
    let tmp = Tmp::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = tmp.0.path().join("file");
    fs::write(&file, "").unwrap();
    for options in [["--smtp-port", &port], ["--dir", file.to_str().unwrap()]] {
        let output = tmp.sh(&[&options[..], &["--user", "bob"]].concat(), "echo begun");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(125), String::new()));
        assert!(text(&output.stderr).starts_with("mailconsole: "));
    }
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn wrong_use_is_2() {
    for line in [&["exec"][..], &["exec", "--"], &["exec", "--bogus", "--", "true"]] {
        let output = program().args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line:?}");
    }
}

#[test]
fn stdin_and_stdout_are_the_commands() {
    let tmp = Tmp::new();
    let mut child = tmp
        .exec(&["--user", "bob", "-v"], &["cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"one\0two\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"one\0two\n");
    ends(&output, 0, "mailconsole: 0 messages, 0 refused\n");
}

#[test]
fn a_directory_is_kept_with_its_transcript_when_the_command_fails() {
    let tmp = Tmp::new();
    let options = ["--user", "bob", "--keep-on-failure"];
    let output = tmp.sh(&options, &format!("{SEND}; exit 3"));
    let [kept] = &tmp.left()[..] else { panic!("{:?}", tmp.left()) };
    let stderr =
        format!("mailconsole: 1 message, 0 refused\nmailconsole: kept {}\n", kept.display());
    ends(&output, 3, &stderr);
    let transcript = fs::read_to_string(kept.join("transcript.log")).unwrap();
    assert!(transcript.contains("] C: MAIL FROM:<a@x>"), "{transcript}");
    assert!(transcript.contains("] S: 250 "), "{transcript}");
    assert!(transcript.ends_with("] Connection closed\n"), "{transcript}");
    assert!(kept.join("bob.mbox").exists());
    fs::remove_dir_all(kept).unwrap();
    ends(&tmp.sh(&options, "true"), 0, "mailconsole: 0 messages, 0 refused\n");
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn a_named_directory_has_a_transcript_only_after_a_failure() {
    let tmp = Tmp::new();
    let dir = tmp.0.path().join("d");
    let path = dir.to_str().unwrap();
    let options = ["--user", "bob", "--keep-on-failure", "--dir", path];
    let last = format!("mailconsole: 0 messages, 0 refused\nmailconsole: kept {path}\n");
    ends(&tmp.sh(&options, "false"), 1, &last);
    assert!(dir.join("transcript.log").exists());
    ends(&tmp.sh(&options, "true"), 0, "mailconsole: 0 messages, 0 refused\n");
    assert!(!dir.join("transcript.log").exists() && dir.join("bob.mbox").exists());
}

/// A command that runs, and has said on stdout that it does.
struct Begun {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Begun {
    fn sh(tmp: &Tmp, options: &[&str], script: &str) -> Self {
        let mut child = tmp
            .exec(options, &["sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
        Self { child, stdout }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn ends(mut self, status: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(status));
    }
}

/// Waits for a signal without a process that would keep stdout open.
const WAIT: &str = "while :; do read line < $TMPDIR/fifo; done";

#[test]
fn signals_pass_on_to_the_command() {
    let tmp = Tmp::new();
    let fifo = tmp.0.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGQUIT, "QUIT"),
    ] {
        let script = format!("trap 'echo got {name}; exit 9' {name}; echo begun; {WAIT}");
        let mut begun = Begun::sh(&tmp, &["--user", "bob"], &script);
        begun.signal(signal);
        assert_eq!(begun.line(), format!("got {name}\n"));
        begun.ends(9);
    }
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn a_command_that_a_signal_ends_ends_exec_and_the_directory_goes() {
    let tmp = Tmp::new();
    nix::unistd::mkfifo(&tmp.0.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let begun = Begun::sh(&tmp, &["--user", "bob"], "echo begun; exec cat $TMPDIR/fifo");
    assert_eq!(tmp.left().len(), 1);
    begun.signal(Signal::SIGTERM);
    begun.ends(143);
    assert_eq!(tmp.left(), <[PathBuf; 0]>::default());
}

#[test]
fn children_that_the_command_leaves_are_neither_waited_for_nor_killed() {
    let tmp = Tmp::new();
    let fifo = tmp.0.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // It keeps stdout open, so only a file tells that exec has ended.
    let script = "(read line < $TMPDIR/fifo; echo $line > $TMPDIR/said) & echo begun";
    let mut begun = Begun::sh(&tmp, &["--user", "bob"], script);
    assert_eq!(begun.child.wait().unwrap().code(), Some(0));
    fs::write(&fifo, "still here\n").unwrap();
    let mut rest = String::new();
    begun.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(fs::read_to_string(tmp.0.path().join("said")).unwrap(), "still here\n");
}

#[test]
fn several_at_once_do_not_meet() {
    let tmp = Tmp::new();
    nix::unistd::mkfifo(&tmp.0.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = "echo begun; echo $ECHO_PORT $SMTP_PORT $POP3_PORT $MAILCONSOLE_DIR; \
                  exec cat $TMPDIR/fifo";
    let mut all: Vec<Begun> = (0..5).map(|_| Begun::sh(&tmp, &["--user", "bob"], script)).collect();
    let lines: Vec<String> = all.iter_mut().map(Begun::line).collect();
    let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
    let different: std::collections::BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!((words.len(), different.len()), (20, 20), "{lines:?}");
    for begun in all {
        begun.signal(Signal::SIGTERM);
        begun.ends(143);
    }
}

#[test]
fn ports_and_directory_are_those_of_the_command_line_only() {
    let tmp = Tmp::new();
    let config = tmp.0.path().join("config.toml");
    fs::write(&config, "smtp-port = 1\npop3s-port = 2\ndir = \"/nonexistent\"\nuser = [\"eve\"]\n")
        .unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut command = tmp.exec(
        &["--pop3-port", &free, "--config", config.to_str().unwrap()],
        &["sh", "-c", "echo $SMTP_PORT $POP3_PORT; ls $MAILCONSOLE_DIR"],
    );
    command.env("MAILCONSOLE_ECHO_PORT", "3").env("MAILCONSOLE_DIR", "/nonexistent/either");
    let output = command.output().unwrap();
    let stdout = text(&output.stdout);
    let (ports, files) = stdout.split_once('\n').unwrap();
    let (smtp, pop3) = ports.split_once(' ').unwrap();
    assert_eq!((pop3, files), (free.as_str(), "eve.mbox\n"));
    assert_ne!(smtp, "1");
}

#[test]
fn exec_within_exec_has_servers_of_its_own() {
    let tmp = Tmp::new();
    let script = "echo $MAILCONSOLE_DIR $SMTP_PORT; \
                  $MAILCONSOLE exec --user eve -- sh -c 'echo $MAILCONSOLE_DIR $SMTP_PORT'";
    let output = tmp.sh(&["--user", "bob"], script);
    let stdout = text(&output.stdout);
    let words: std::collections::BTreeSet<&str> = stdout.split_whitespace().collect();
    assert_eq!(words.len(), 4, "{stdout}");
    ends(&output, 0, &"mailconsole: 0 messages, 0 refused\n".repeat(2));
}

#[test]
fn with_tls_the_command_learns_whom_to_trust() {
    let tmp = Tmp::new();
    let script = "grep -c BEGIN $MAILCONSOLE_CA; $MAILCONSOLE send --to ada@localhost \
                  --from ada@localhost --auth ada:$MAILCONSOLE_PASSWORD --tls required -v";
    let output = tmp.sh(&["--profile", "submission", "--user", "ada"], script);
    assert_eq!(text(&output.stdout), "1\n", "{}", text(&output.stderr));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("\nC: STARTTLS\n") && stderr.contains("\nC: AUTH PLAIN ******\n"));
    assert!(stderr.ends_with("\nmailconsole: 1 message, 0 refused\n"), "{stderr}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn any_address_is_caught_with_the_profile_for_it() {
    let tmp = Tmp::new();
    let script =
        "$MAILCONSOLE send --to somebody@example.org && grep -l example $MAILCONSOLE_DIR/*";
    let output = tmp.sh(&["--profile", "catch"], script);
    ends(&output, 0, "mailconsole: 1 message, 0 refused\n");
    assert!(text(&output.stdout).contains("/catch.mbox"), "{}", text(&output.stdout));
}

#[test]
fn the_command_has_the_limit_of_descriptors_that_exec_was_given() {
    let tmp = Tmp::new();
    let limits = |command: &mut Command| text(&command.output().unwrap().stdout);
    let script = format!("ulimit -Sn 300; exec {PROGRAM} exec --user bob -- sh -c 'ulimit -Sn'");
    let mut outer = Command::new("sh");
    outer.args(["-c", &script]).env("TMPDIR", tmp.0.path());
    assert_eq!(limits(&mut outer), "300\n");
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let tmp = Tmp::new();
    let fifo = tmp.0.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!(
        "trap '' HUP; exec {PROGRAM} exec --user bob -- sh -c \
         'echo begun; kill -HUP $$; kill -HUP $PPID; read line < $TMPDIR/fifo; echo $line'"
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .env("TMPDIR", tmp.0.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(&fifo, "unmoved\n").unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "begun\nunmoved\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn pythons_test_runner_needs_no_more_than_the_environment() {
    if !program::has_python("pythons_test_runner_needs_no_more_than_the_environment") {
        return;
    }
    let tmp = Tmp::new();
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ci/test_mail.py");
    let command = ["python3", "-m", "unittest", test.to_str().unwrap()];
    let mut exec = tmp.exec(&["--profile", "catch"], &command);
    let output = exec.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.ends_with("\nmailconsole: 1 message, 0 refused\n"), "{stderr}");
}
