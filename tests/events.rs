//! Events as other programs read them: from `--events`, and from `mailconsole events`, by the real
//! program; in order, whole, and without slowing the servers down.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::program::{Client, Servers, all_three, program};

const SUBJECT: &str = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n";

fn events(dir: &Path, arguments: &[&str]) -> Output {
    program().arg("events").arg(dir).args(arguments).output().unwrap()
}

/// The objects in some lines, each of which is whole.
#[track_caller]
fn objects(octets: &[u8]) -> Vec<Value> {
    assert!(octets.is_empty() || octets.ends_with(b"\n"));
    let text = std::str::from_utf8(octets).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kept(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = events(dir, &[&["--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    objects(&output.stdout)
}

fn end(servers: Servers) -> String {
    servers.signal(Signal::SIGTERM);
    let (status, stderr) = servers.wait();
    assert!(status.success());
    stderr
}

/// One word for each event of a session.
fn word(event: &Value) -> String {
    match event["event"].as_str().unwrap() {
        "line" => {
            let who = if event["who"] == "client" { "C" } else { "S" };
            format!("{who}: {}", event["text"].as_str().unwrap())
        }
        other => other.to_owned(),
    }
}

#[track_caller]
fn fits_the_schema(events: &[Value]) {
    let output = program().args(["events", "--schema"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for event in events {
        let errors: Vec<_> = validator.iter_errors(event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}: {errors:?}");
    }
}

#[track_caller]
fn time_never_goes_back(events: &[Value]) {
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// A message for linhphan and somebody elsewhere, and one for nobody; then it is fetched.
fn conversations(servers: &Servers) {
    let mut smtp = servers.connect("smtp");
    smtp.says("HELO x", "250");
    smtp.says("MAIL FROM:<a@x>", "250");
    smtp.says("RCPT TO:<nobody@localhost>", "550");
    smtp.says("RCPT TO:<linhphan@localhost>", "250");
    smtp.says("RCPT TO:<ben@elsewhere.example>", "250");
    smtp.says("DATA", "354");
    smtp.send(format!("{SUBJECT}.\r\n"));
    assert_eq!(smtp.line(), "250 OK");
    smtp.says("QUIT", "221");
    smtp.rest();
    let mut pop3 = servers.connect("pop3");
    pop3.says("USER linhphan", "+OK");
    pop3.says("PASS wrong", "-ERR");
    pop3.says("USER linhphan", "+OK");
    pop3.says("PASS cis505", "+OK");
    pop3.message(1);
    pop3.says("DELE 1", "+OK");
    pop3.says("QUIT", "+OK");
    pop3.rest();
}

#[test]
fn a_conversation_is_told_in_the_order_of_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--show-passwords"]);
    let mut follow = program();
    follow.args(["events", "--json", "--follow"]).arg(dir.path());
    let mut follower = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(follower.stdout.take().unwrap());
    let mut told = Vec::new();
    // It follows before anything happens that could end.
    stdout.read_until(b'\n', &mut told).unwrap();
    conversations(&servers);
    end(servers);
    stdout.read_to_end(&mut told).unwrap();
    assert!(follower.wait().unwrap().success());
    let events = objects(&told);
    fits_the_schema(&events);
    time_never_goes_back(&events);
    let of = |service: &str| {
        let opened = |event: &&Value| event["event"] == "opened" && event["service"] == service;
        let session = events.iter().find(opened);
        let session = session.unwrap()["session"].clone();
        let its: Vec<Value> =
            events.iter().filter(|event| event["session"] == session).cloned().collect();
        its
    };
    let smtp = of("smtp");
    let words: Vec<String> = smtp.iter().map(word).collect();
    let without_facts: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !["refused", "stored", "queued"].contains(word))
        .collect();
    assert_eq!(without_facts[0], "opened");
    assert!(without_facts[1].starts_with("S: 220 "));
    assert_eq!(
        without_facts[2..without_facts.len() - 3],
        [
            "C: HELO x",
            "S: 250 localhost",
            "C: MAIL FROM:<a@x>",
            "S: 250 OK",
            "C: RCPT TO:<nobody@localhost>",
            without_facts[7],
            "C: RCPT TO:<linhphan@localhost>",
            "S: 250 OK",
            "C: RCPT TO:<ben@elsewhere.example>",
            "S: 250 OK",
            "C: DATA",
            without_facts[13],
            "text",
            "C: .",
            "S: 250 OK",
        ]
    );
    let pop3: Vec<String> = of("pop3").iter().map(word).collect();
    assert!(pop3.contains(&"C: PASS ******".to_owned()), "{pop3:?}");
    assert!(!pop3.iter().any(|word| word.contains("cis505")), "{pop3:?}");
    assert_eq!(pop3.last().unwrap(), "closed");
}

#[test]
fn what_has_come_of_a_conversation_stands_before_the_reply() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.json");
    let servers = Servers::on(dir.path(), &["--events", file.to_str().unwrap()]);
    conversations(&servers);
    end(servers);
    let events = objects(&fs::read(&file).unwrap());
    fits_the_schema(&events);
    let place = |name: &str| events.iter().position(|event| event["event"] == name);
    let of = |name: &str| &events[place(name).unwrap_or_else(|| panic!("no {name}"))];
    let stored = of("stored");
    assert_eq!(stored["mailbox"], "linhphan");
    assert_eq!((&stored["from"], &stored["to"]), (&json!("a@x"), &json!(["linhphan@localhost"])));
    assert_eq!(stored["subject"], "Grüße");
    assert_eq!(stored["octets"], SUBJECT.len());
    assert_eq!(stored["uid"].as_str().unwrap().len(), 32);
    let answer =
        events.iter().skip(place("text").unwrap()).position(|event| word(event) == "S: 250 OK");
    assert!(place("stored").unwrap() < place("text").unwrap() + answer.unwrap());
    assert_eq!(of("queued")["to"], json!(["ben@elsewhere.example"]));
    let refused = of("refused");
    assert_eq!((&refused["verb"], &refused["code"]), (&json!("RCPT"), &json!(550)));
    let logins: Vec<_> = events.iter().filter(|event| event["event"] == "login").collect();
    assert_eq!(
        (logins.len(), &logins[0]["ok"], &logins[1]["ok"]),
        (2, &json!(false), &json!(true))
    );
    for name in ["fetched", "deleted"] {
        assert_eq!(of(name)["uid"], stored["uid"], "{name}");
        assert_eq!(of(name)["octets"], stored["octets"], "{name}");
    }
    for name in ["listening", "stopped"] {
        let services = events.iter().filter(|event| event["event"] == name);
        assert_eq!(services.count(), 3, "{name}");
    }
}

#[test]
fn what_is_kept_is_told_as_words_and_since_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    servers.connect("smtp").says("HELO one", "250");
    let before = kept(dir.path(), &[]);
    assert!(before.iter().any(|event| event["text"] == "HELO one"));
    assert_eq!(kept(dir.path(), &["--since", "now"]), [] as [Value; 0]);
    let mut client = servers.connect("smtp");
    client.says("HELO two", "250");
    let opened = kept(dir.path(), &[]).into_iter().rfind(|event| event["event"] == "opened");
    let since = kept(dir.path(), &["--since", opened.unwrap()["at"].as_str().unwrap()]);
    assert!(since.iter().any(|event| event["text"] == "HELO two"));
    assert!(!since.iter().any(|event| event["text"] == "HELO one"));
    let output = events(dir.path(), &[]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.lines().any(|line| line.ends_with(" C: HELO one")), "{words}");
    assert!(words.contains(" opened peer=127.0.0.1:"), "{words}");
    let wrong = events(dir.path(), &["--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn on_stdout_there_is_nothing_but_events() {
    let mut command = program();
    command.args(["echo", "-p", "0", "--bind", "127.0.0.1", "--events", "-"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut listening = String::new();
    stderr.read_line(&mut listening).unwrap();
    let port = listening.trim_end().rsplit_once(':').unwrap().1.parse().unwrap();
    assert!(listening.starts_with("echo: listening on "), "{listening}");
    let mut client = Client::connect(port);
    client.line();
    client.says("ECHO hi", "+OK hi");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let events = objects(&output.stdout);
    fits_the_schema(&events);
    assert!(events.iter().any(|event| word(event) == "C: ECHO hi"));
    assert!(events.iter().any(|event| event["event"] == "closed"));
}

#[test]
fn a_file_is_appended_to_and_one_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.json");
    fs::write(&file, "{\"mine\":1}\n").unwrap();
    for _ in 0..2 {
        end(Servers::on(dir.path(), &["--events", file.to_str().unwrap()]));
    }
    let events = objects(&fs::read(&file).unwrap());
    assert_eq!(events[0]["mine"], 1);
    let output =
        program().args(all_three(dir.path())).args(["--events", "/nonexistent/x"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot write events to /nonexistent/x"), "{stderr}");
    let console = program().args(["--events", "-", "--dir"]).arg(dir.path()).output().unwrap();
    assert_eq!(console.status.code(), Some(2));
    assert!(String::from_utf8(console.stderr).unwrap().contains("--events -"));
}

/// Sends `count` commands and reads their replies.
fn chat(client: &mut Client, count: usize) {
    const AT_ONCE: usize = 500;
    for _ in 0..count / AT_ONCE {
        client.send("NOOP\r\n".repeat(AT_ONCE));
        (0..AT_ONCE).for_each(|_| assert_eq!(client.line(), "250 OK"));
    }
}

/// Events, and those that were dropped.
fn counted(events: &[Value]) -> u64 {
    let missed = |event: &Value| event["count"].as_u64().filter(|_| event["event"] == "dropped");
    events.iter().map(|event| missed(event).unwrap_or(1)).sum()
}

#[test]
fn a_reader_that_stops_misses_events_and_is_told_how_many() {
    const COMMANDS: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let mut reader = UnixStream::connect(dir.path().join(".mailconsole.sock")).unwrap();
    reader.write_all(b"{\"do\":\"events\",\"since\":\"now\",\"follow\":true}\n").unwrap();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "{\"ok\":true}");
    // From here on it stands still, and the servers answer all the same.
    let mut client = servers.connect("smtp");
    chat(&mut client, COMMANDS);
    client.says("QUIT", "221");
    client.rest();
    let mut events: Vec<Value> = Vec::new();
    while events.last().is_none_or(|event| event["event"] != "closed") {
        events.push(serde_json::from_str(&lines.next().unwrap()).unwrap());
    }
    fits_the_schema(&events);
    time_never_goes_back(&events);
    let dropped = events.iter().filter(|event| event["event"] == "dropped").count();
    assert!(dropped >= 1 && events.len() < 2 * COMMANDS, "{dropped} of {}", events.len());
    // The beginning, the greeting, each command with its reply, and the end.
    assert_eq!(counted(&events), 2 * COMMANDS as u64 + 5);
    end(servers);
    assert!(lines.all(|line| line.contains("\"stopped\"")));
}

#[test]
fn a_fifo_may_be_read_late_or_never() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let servers = Servers::on(dir.path(), &["--events", fifo.to_str().unwrap()]);
    let mut client = servers.connect("smtp");
    chat(&mut client, 10_000);
    let mut lines = BufReader::new(File::open(&fifo).unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["v"], 1);
    let mut seen = vec![first];
    while !seen.iter().any(|event| event["event"] == "dropped") {
        seen.push(serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap());
    }
    time_never_goes_back(&seen);
    drop(lines);
    // Nobody reads any more.
    chat(&mut client, 10_000);
    end(servers);
}
