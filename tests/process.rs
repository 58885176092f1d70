//! The program as a user meets it: what it prints, how it ends, what it says when it cannot run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::program::{A_SECOND, Client, PROGRAM, Servers, program};

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// The program says one sentence with all of `words`, and ends with `status`.
#[track_caller]
fn refuses(arguments: &[&str], status: i32, words: &[&str]) {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.starts_with("mailconsole: "), "{stderr}");
    assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} is missing: {stderr}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_use_is_one_sentence_and_status_2() {
    refuses(&[], 2, &["no directory", "--dir"]);
    refuses(&["--no-tui"], 2, &["no directory", "--dir"]);
    refuses(&["smtp"], 2, &["no directory", "DIR"]);
    refuses(&["--bogus"], 2, &["--bogus", "--help"]);
    refuses(&["smtp", "-p", "65536", "x"], 2, &["65536"]);
    refuses(&["echo", "DIR"], 2, &["DIR"]);
    refuses(&["--config", "/nonexistent/config.toml"], 2, &["/nonexistent/config.toml"]);
    refuses(&["echo", "--author", "a\nb"], 2, &["--author"]);
    refuses(&["--domain", "a b", "smtp", "x"], 2, &["--domain"]);
    refuses(&["--max-connections", "0", "echo"], 2, &["--max-connections", "1 or more"]);
    refuses(&["--max-message", "0", "smtp", "x"], 2, &["--max-message"]);
}

#[test]
fn a_password_that_no_client_can_send_is_refused() {
    let long = "x".repeat(5_000);
    for password in ["a\nb", "a\r", "\n", &long] {
        refuses(&["--password", password, "pop3", "x"], 2, &["--password", "one line", "4,091"]);
    }
    let dir = tempfile::tempdir().unwrap();
    let longest = "x".repeat(4_091);
    let servers = Servers::on(dir.path(), &["--password", &longest]);
    let mut client = servers.connect("pop3");
    client.says("USER linhphan", "+OK");
    client.says(&format!("PASS {longest}"), "+OK");
}

#[test]
fn users_may_have_passwords_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "[users]\nada = \"of: hers, too\"\n").unwrap();
    let options = ["--config", config.to_str().unwrap(), "--user", "bob:x:y"];
    let servers = Servers::on(dir.path(), &options);
    let users = [("linhphan", "cis505"), ("ada@localhost", "of: hers, too"), ("bob", "x:y")];
    for (user, password) in users {
        let mut client = servers.connect("pop3");
        for (_, other) in users.iter().filter(|(_, other)| *other != password) {
            client.says(&format!("USER {user}"), "+OK");
            client.says(&format!("PASS {other}"), "-ERR invalid user name or password");
        }
        client.says(&format!("USER {user}"), "+OK");
        client.says(&format!("PASS {password}"), "+OK 0 messages");
    }
    refuses(&["smtp", "--user", "ada:", "x"], 2, &["--user", "the password is empty"]);
    refuses(&["smtp", "--show-passwords", "--mask-passwords", "x"], 2, &["--show", "--mask"]);
}

#[test]
fn headless_only_the_argument_of_pass_is_shown_unless_an_option_says_otherwise() {
    let transcript = |options: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let servers = Servers::on(dir.path(), &[&["-v"], options].concat());
        let mut client = servers.connect("smtp");
        client.says("AUTH LOGIN", "502");
        client.says("Y2lzNTA1", "500");
        client.says("QUIT", "221");
        let mut client = servers.connect("pop3");
        client.says("AUTH PLAIN AGFkYQBjaXM1MDU=", "-ERR");
        client.says("APOP linhphan c4c9334bac560ecc979e58001b3e22fb", "-ERR");
        client.says("USER linhphan", "+OK");
        client.says("PASS cis505", "+OK");
        client.says("QUIT", "+OK");
        servers.signal(Signal::SIGINT);
        let stderr = servers.wait().1;
        let lines = stderr.lines().filter_map(|line| line.split_once("] C: "));
        lines.map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
    };
    let masked = |pass| {
        ["AUTH LOGIN", "******", "QUIT", "AUTH PLAIN ******", "APOP linhphan ******"]
            .into_iter()
            .chain(["USER linhphan", pass, "QUIT"])
            .collect::<Vec<_>>()
    };
    assert_eq!(transcript(&[]), masked("PASS cis505"));
    assert_eq!(transcript(&["--mask-passwords"]), masked("PASS ******"));
    let shown = transcript(&["--show-passwords"]);
    assert_eq!(shown[1], "Y2lzNTA1");
    assert_eq!(shown[3], "AUTH PLAIN AGFkYQBjaXM1MDU=");
    assert_eq!(shown[4], "APOP linhphan c4c9334bac560ecc979e58001b3e22fb");
}

#[test]
fn a_switch_in_the_environment_is_yes_or_no() {
    let switches = ["NO_SYNC", "NO_TUI", "BOUNCE", "EHLO", "RELAY_TO_LOOPBACK"];
    for switch in switches {
        let variable = format!("MAILCONSOLE_{switch}");
        for value in ["maybe", "2", "yess"] {
            let output = program().args(["smtp", "x"]).env(&variable, value).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{variable}={value}: {stderr}");
            assert!(stderr.contains(value) && stderr.contains("write yes or no"), "{stderr}");
        }
        for value in ["yes", "ON", "1", "no", "0", ""] {
            let output = program().args(["-a"]).env(&variable, value).output().unwrap();
            assert!(output.status.success(), "{variable}={value}");
        }
    }
}

#[test]
fn who_looks_for_a_queue_is_not_told_to_make_mailboxes() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let missing = missing.to_str().unwrap();
    for arguments in
        [&["relay", missing][..], &["queue", missing], &["queue", "retry", missing, "1-2-3"]]
    {
        let stderr = String::from_utf8(run(arguments).stderr).unwrap();
        assert!(stderr.contains("does not exist") && !stderr.contains("--user"), "{stderr}");
        assert!(!dir.path().join("nowhere").exists());
    }
}

#[test]
fn servers_say_what_their_operator_may_not_be_aware_of() {
    let dir = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let mut command = program();
        command.args(["smtp", "-p", "0", "--user", "u"]).arg(dir.path()).args(arguments);
        command.stderr(Stdio::piped());
        let servers = Servers::start(command).listening(1);
        servers.signal(Signal::SIGINT);
        servers.wait().1
    };
    assert_eq!(said(&["--bind", "127.0.0.1"]), "");
    let stderr = said(&["--bind", "127.0.0.1", "--no-sync"]);
    assert!(stderr.contains("warning: not synced (--no-sync): "), "{stderr}");
    let stderr = said(&["--bind", "0.0.0.0"]);
    assert!(stderr.contains("password cis505 is public: set another with --password"), "{stderr}");
    let stderr = said(&["--bind", "0.0.0.0", "--password", "x"]);
    assert!(stderr.contains("warning: other machines that reach "), "{stderr}");
    assert!(!stderr.contains("public"), "{stderr}");
}
#[test]
fn a_directory_that_cannot_be_used_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    refuses(
        &["smtp", missing.to_str().unwrap()],
        1,
        &["missing does not exist", "--user", "mailconsole init"],
    );
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    refuses(&["pop3", file.to_str().unwrap()], 1, &["file is not a directory"]);
    refuses(&["smtp", "--user", "../x", dir.path().to_str().unwrap()], 2, &["../x", "--user"]);
    refuses(&["smtp", "--user", "mqueue", dir.path().to_str().unwrap()], 2, &["mqueue"]);
}

#[test]
fn init_makes_a_directory_and_mailboxes_and_leaves_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/mail");
    let made = |arguments: &[&str]| {
        let output = run(&[&["init"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(path.to_str().unwrap(), "DIR")
    };
    let name = path.to_str().unwrap();
    assert_eq!(made(&[name]), "created DIR\n");
    assert_eq!(made(&[name, "ada"]), "created DIR/ada.mbox\n");
    std::fs::write(path.join("ada.mbox"), "From a Wed Sep 17 11:00:00 2025\n\nx\n\n").unwrap();
    assert_eq!(made(&["ada", "bob", "--dir", name]), "created DIR/bob.mbox\n");
    assert!(std::fs::metadata(path.join("ada.mbox")).unwrap().len() > 0);
    refuses(&["init"], 2, &["no directory"]);
    refuses(&["init", name, "../x"], 2, &["../x"]);
    refuses(
        &["init", "/proc/nowhere/mail"],
        1,
        &["cannot create the directory /proc/nowhere/mail"],
    );
}

#[test]
fn a_port_in_use_is_named_with_its_holder_and_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let holder = format!("pid {}", std::process::id());
    refuses(&["echo", "-p", &port], 1, &[&port, "in use", &holder, "-p"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let arguments = ["--no-tui", "--dir", path, "--echo-port", "0", "--smtp-port", &port];
    refuses(&arguments, 1, &[&port, &holder, "--smtp-port"]);
    refuses(&["echo", "--bind", "192.0.2.1"], 1, &["192.0.2.1", "--bind"]);
}

#[test]
fn the_console_needs_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    refuses(&["--dir", dir.path().to_str().unwrap()], 2, &["terminal", "--no-tui"]);
}

#[test]
fn the_author_is_shown_and_nothing_else_done() {
    for arguments in [&["-a"][..], &["echo", "-a"], &["smtp", "-a"], &["-a", "pop3", "DIR"]] {
        let output = run(arguments);
        assert_eq!(output.stderr, b"Mail Console / mailconsole\n");
        assert!(output.stdout.is_empty() && output.status.success());
    }
    let output = run(&["smtp", "--author", "Ada Lovelace / ada", "-a"]);
    assert_eq!(output.stderr, b"Ada Lovelace / ada\n");
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["echo", "smtp", "pop3", "check", "--smtp-port", "2500", "cis505", "--no-tui"] {
        assert!(help.contains(word), "{word} is missing");
    }
    assert!(run(&["--version"]).stdout.starts_with(b"mailconsole "));
}

#[test]
fn a_directory_and_mailboxes_are_made_for_named_users() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mailboxes = dir.path().join("new");
    let servers = Servers::on(&mailboxes, &["--user", "zives"]);
    for name in ["linhphan.mbox", "zives.mbox"] {
        let permissions = std::fs::metadata(mailboxes.join(name)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
    }
    servers.signal(Signal::SIGINT);
    assert_eq!(servers.wait().1, "");
}

#[test]
fn a_directory_without_a_mailbox_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["smtp", "-p", "0", "--bind", "127.0.0.1"]).arg(dir.path());
    let servers = Servers::start({
        command.stderr(Stdio::piped());
        command
    })
    .listening(1);
    servers.signal(Signal::SIGTERM);
    let (status, stderr) = servers.wait();
    assert!(status.success());
    assert!(stderr.starts_with("mailconsole: warning: there is no mailbox in "), "{stderr}");
    assert!(stderr.contains("--user"), "{stderr}");
}

#[test]
fn every_ending_signal_is_a_clean_end_and_the_port_is_free_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().unwrap();
        let servers = Servers::on(dir.path(), &[]);
        let port = servers.port("echo");
        let client = servers.connect("echo");
        let begun = Instant::now();
        servers.signal(signal);
        assert_eq!(client.rest(), "-ERR Server shutting down\r\n");
        assert!(servers.wait().0.success());
        assert!(begun.elapsed() < A_SECOND);
        let mut command = program();
        command.args(["echo", "--bind", "127.0.0.1", "-p", &port.to_string()]);
        let again = Servers::start(command).listening(1);
        again.signal(Signal::SIGINT);
        assert!(again.wait().0.success());
    }
}

#[test]
fn the_transcript_has_the_form_that_testers_compare() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["-v"]);
    let mut client = servers.connect("smtp");
    client.begin_message();
    client.says("\x1b[2J\r\n.", "250");
    client.says("QUIT", "221");
    client.rest();
    let mut client = servers.connect("pop3");
    client.says("USER linhphan", "+OK");
    client.says("PASS cis505", "+OK");
    drop(client);
    servers.signal(Signal::SIGINT);
    let (_, stderr) = servers.wait();
    let (number, _) = stderr.split_once(" New connection\n").unwrap();
    let lines = stderr.lines().filter(|line| line.starts_with(number));
    let expected = [
        "New connection",
        "S: 220 localhost mailconsole service ready",
        "C: HELO tester",
        "S: 250 localhost",
        "C: MAIL FROM:<a@b>",
        "S: 250 OK",
        "C: RCPT TO:<linhphan@localhost>",
        "S: 250 OK",
        "C: DATA",
        "S: 354 Start mail input; end with <CRLF>.<CRLF>",
        ".. 13 octets of message text",
        "C: .",
        "S: 250 OK",
        "C: QUIT",
        "S: 221 localhost Service closing transmission channel",
        "Connection closed",
    ];
    let lines: Vec<&str> = lines.take(expected.len()).collect();
    assert_eq!(lines, expected.map(|line| format!("{number} {line}")));
    assert!(stderr.contains("] C: PASS cis505\n"), "{stderr}");
    assert!(stderr.ends_with("] Connection closed\n"), "{stderr}");
}

#[test]
fn twice_verbose_shows_message_text_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["-vv"]);
    let mut client = servers.connect("smtp");
    client.begin_message();
    client.says("\x1b[2J\r\n.", "250");
    drop(client);
    servers.signal(Signal::SIGINT);
    let (_, stderr) = servers.wait();
    assert!(stderr.contains("] C: Hello\n"), "{stderr}");
    assert!(stderr.contains("] C: \\x1b[2J\n"), "{stderr}");
    assert!(stderr.contains("] C: .\n") && !stderr.contains(" octets of message text"));
}

#[test]
fn a_reader_that_stops_reading_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing reads this stderr until the end, and its pipe holds 64 KiB.
    let servers = Servers::on(dir.path(), &["-v"]);
    let mut client = servers.connect("echo");
    for number in 0..5_000 {
        client.says(&format!("ECHO {number}"), &format!("+OK {number}"));
    }
    client.says("QUIT", "+OK");
    client.rest();
    servers.signal(Signal::SIGINT);
    let (status, stderr) = servers.wait();
    assert!(status.success());
    assert_eq!(stderr.lines().count(), 10_005);
}

#[test]
fn a_delivery_that_has_begun_is_finished_and_answered_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::on(dir.path(), &["-v"]);
    let mut client = servers.connect("smtp");
    client.begin_message();
    let lock = dir.path().join("linhphan.mbox.lock");
    std::fs::write(&lock, format!("{}\n", std::process::id())).unwrap();
    let mut other = servers.connect("smtp");
    client.send(".\r\n");
    servers.wait_for("C: .");
    servers.signal(Signal::SIGINT);
    assert_eq!(other.line(), "421 localhost Server shutting down");
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(client.line(), "250 OK");
    assert_eq!(client.rest(), "421 localhost Server shutting down\r\n");
    assert!(servers.wait().0.success());
    let mailbox = std::fs::read_to_string(dir.path().join("linhphan.mbox")).unwrap();
    assert!(mailbox.contains("\nHello\r\n"), "{mailbox}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::on(dir.path(), &["-v"]);
    let mut client = servers.connect("smtp");
    client.begin_message();
    let lock = dir.path().join("linhphan.mbox.lock");
    std::fs::write(&lock, format!("{}\n", std::process::id())).unwrap();
    let mut other = servers.connect("smtp");
    client.send(".\r\n");
    servers.wait_for("C: .");
    servers.signal(Signal::SIGINT);
    assert_eq!(other.line(), "421 localhost Server shutting down");
    let begun = Instant::now();
    servers.signal(Signal::SIGINT);
    assert_eq!(servers.wait().0.code(), Some(130));
    assert!(begun.elapsed() < A_SECOND);
}

#[test]
fn out_of_descriptors_accepting_pauses_and_resumes() {
    let mut command = Command::new("sh");
    command.env("XDG_CONFIG_HOME", "/nonexistent").args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]);
    command.args([PROGRAM, "echo", "--bind", "127.0.0.1", "-p", "0"]);
    let servers = Servers::start(command).listening(1);
    let mut clients: Vec<Client> =
        (0..100).map(|_| Client::connect(servers.port("echo"))).collect();
    for mut client in clients.drain(..) {
        assert!(client.line().starts_with("+OK Server ready"));
    }
    servers.signal(Signal::SIGINT);
    assert!(servers.wait().0.success());
}

#[test]
fn separate_processes_work_on_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let alone = |service: &str| {
        let mut command = program();
        command.args([service, "-p", "0", "--bind", "127.0.0.1", "--user", "linhphan"]);
        Servers::start({
            command.arg(dir.path());
            command
        })
        .listening(1)
    };
    let (smtp, pop3, other) = (alone("smtp"), alone("pop3"), alone("pop3"));
    let mut client = smtp.connect("smtp");
    client.begin_message();
    client.says(".", "250 OK");
    let mut reader = pop3.connect("pop3");
    reader.says("USER linhphan", "+OK");
    reader.says("PASS cis505", "+OK");
    reader.says("STAT", "+OK 1 7");
    let mut second = other.connect("pop3");
    second.says("USER linhphan", "+OK");
    second.says("PASS cis505", "-ERR");
    reader.says("DELE 1", "+OK");
    reader.says("QUIT", "+OK");
    second.says("USER linhphan", "+OK");
    second.says("PASS cis505", "+OK");
    second.says("STAT", "+OK 0 0");
    for servers in [smtp, pop3, other] {
        servers.signal(Signal::SIGINT);
        assert!(servers.wait().0.success());
    }
}

#[test]
fn the_environment_counts_after_flags() {
    let mut command = program();
    let dir = tempfile::tempdir().unwrap();
    command.env("MAILCONSOLE_DOMAIN", "example.org").env("MAILCONSOLE_SMTP_PORT", "1");
    command.args(["smtp", "-p", "0", "--bind", "127.0.0.1", "--user", "u"]).arg(dir.path());
    let servers = Servers::start(command).listening(1);
    let mut client = Client::connect(servers.port("smtp"));
    assert_eq!(client.line(), "220 example.org mailconsole service ready");
    servers.signal(Signal::SIGINT);
    assert_eq!(client.rest(), "421 example.org Server shutting down\r\n");
    assert!(servers.wait().0.success());
}

#[test]
fn the_tester_finds_nothing_off_with_our_own_servers() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    for service in ["echo", "smtp", "pop3"] {
        let output = run(&["check", service, &servers.port(service).to_string()]);
        let transcript = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{transcript}");
        let replies = transcript.lines().filter(|line| line.starts_with("S: "));
        assert!(replies.clone().count() > 5 && replies.clone().all(|line| line.ends_with(" [OK]")));
        assert!(output.stderr.is_empty());
    }
    servers.signal(Signal::SIGINT);
    assert!(servers.wait().0.success());
}

#[test]
fn the_tester_ends_with_status_1_if_anything_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let output = run(&["check", "smtp", &servers.port("echo").to_string()]);
    let transcript = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{transcript}");
    assert!(transcript.contains("<CR><LF> [Expected: '220 localhost *']\n"));
    servers.signal(Signal::SIGINT);
    assert!(servers.wait().0.success());
}

#[test]
fn a_tester_that_nobody_answers_has_a_status_of_its_own() {
    refuses(&["check", "pop3", "1"], 3, &["port 1 of localhost", "refused"]);
    refuses(&["check", "echo", "--host", "no.such.invalid"], 3, &["no.such.invalid"]);
}
