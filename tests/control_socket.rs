//! The socket in the directory of the mailboxes, and the commands that ask there: by the real
//! program, beside one server and several, after a kill, with garbage.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::program::{Servers, program};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client at the socket of a directory.
struct Asker(BufReader<UnixStream>);

impl Asker {
    fn at(socket: impl AsRef<Path>) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn of(dir: &Path) -> Self {
        Self::at(dir.join(".mailconsole.sock"))
    }

    fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.send(format!("{request}\n"));
        self.line()
    }

    #[track_caller]
    fn refuses(&mut self, request: &Value, words: &str) {
        let answer = self.ask(request);
        assert_eq!(answer["ok"], false, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer}");
    }

    #[track_caller]
    fn ends(mut self) {
        let mut rest = Vec::new();
        assert_eq!(self.0.read_to_end(&mut rest).unwrap(), 0, "{rest:?}");
    }
}

fn run(arguments: &[&str], dir: &Path) -> Output {
    program().args(arguments).arg(dir).output().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, status: i32) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    (stdout, stderr)
}

fn status_json(dir: &Path, status: i32) -> Value {
    let (stdout, _) = ends_with(&run(&["status", "--json"], dir), status);
    assert_eq!(stdout.lines().count(), 1);
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn status_says_what_runs_and_what_is_in_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--profile", "esmtp", "--domain", "mail.test"]);
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    for recipient in ["linhphan@mail.test", "x@elsewhere.example"] {
        client.says("MAIL FROM:<a@b>", "250");
        client.says(&format!("RCPT TO:<{recipient}>"), "250");
        client.says("DATA", "354");
        client.says("Hello\r\n.", "250");
    }
    let status = status_json(dir.path(), 0);
    let [server] = status["servers"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!((&status["v"], &status["running"]), (&json!(1), &json!(true)));
    assert_eq!(server["pid"], servers.child.id());
    assert_eq!(server["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&server["domain"], &server["profile"]), (&json!("mail.test"), &json!("esmtp")));
    let ports = json!({"echo": servers.port("echo"), "smtp": servers.port("smtp"),
                       "pop3": servers.port("pop3")});
    assert_eq!(server["ports"], ports);
    assert_eq!(server["sessions"], json!({"open": 1, "total": 1}));
    assert_eq!(server["counters"], json!({"messages": 2, "refused": 0, "faults": 0}));
    assert_eq!(status["mailboxes"], json!([{"name": "linhphan", "messages": 1, "octets": 7}]));
    assert_eq!(status["queue"], json!({"waiting": 1, "failed": 0, "held": 0}));
    let (words, _) = ends_with(&run(&["status"], dir.path()), 0);
    for word in ["running: pid ", "smtp ", "mailbox linhphan: messages 1, octets 7", "waiting 1"] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

#[test]
fn without_a_server_the_files_are_told_and_without_a_directory_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bob.mbox"), "").unwrap();
    let status = status_json(dir.path(), 1);
    let mailboxes = json!([{"name": "bob", "messages": 0, "octets": 0}]);
    let queue = json!({"waiting": 0, "failed": 0, "held": 0});
    let expected = json!({"v": 1, "running": false, "servers": [], "mailboxes": mailboxes,
                          "queue": queue});
    assert_eq!(status, expected);
    for command in ["stop", "events"] {
        let (stdout, stderr) = ends_with(&run(&[command], dir.path()), 3);
        assert!(stdout.is_empty() && stderr.contains("no server runs on"), "{stderr}");
    }
    let missing = dir.path().join("missing");
    for command in [&["status"][..], &["status", "--json"], &["stop"], &["events", "--json"]] {
        let (stdout, stderr) = ends_with(&run(command, &missing), 3);
        assert!(stdout.is_empty() && stderr.contains("there is no directory"), "{stderr}");
    }
}

#[test]
fn the_socket_is_for_the_user_alone_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let socket = dir.path().join(".mailconsole.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    servers.signal(Signal::SIGTERM);
    assert!(servers.wait().0.success());
    assert!(!socket.exists());
}

#[test]
fn servers_alone_have_a_socket_too() {
    let dir = tempfile::tempdir().unwrap();
    for service in ["smtp", "pop3"] {
        let mut command = program();
        command.args([service, "-p", "0", "--bind", "127.0.0.1", "--user", "u"]).arg(dir.path());
        let servers = Servers::start(command).listening(1);
        let status = status_json(dir.path(), 0);
        assert_eq!(status["servers"][0]["ports"], json!({service: servers.port(service)}));
        servers.signal(Signal::SIGINT);
        assert!(servers.wait().0.success());
    }
}

#[test]
fn settings_are_changed_as_in_the_console() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let mut asker = Asker::of(dir.path());
    let set = |name: &str, value: Value| json!({"do": "set", "name": name, "value": value});
    let answer = asker.ask(&set("profile", json!("esmtp")));
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(answer["words"].as_str().unwrap().contains("profile esmtp"), "{answer}");
    servers.connect("smtp").says("EHLO x", "250-localhost");
    assert_eq!(asker.ask(&set("idle", json!(30)))["ok"], true);
    asker.refuses(&set("idle", json!("soon")), "seconds such as 30");
    asker.refuses(&set("dir", json!("x")), "there is no setting dir: there are idle,");
    asker.refuses(&json!({"do": "set", "name": "idle"}), "value");
    assert_eq!(asker.ask(&json!({"do": "status"}))["profile"], "esmtp");
}

#[test]
fn orders_go_to_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--smarthost", "127.0.0.1:1"]);
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    client.says("MAIL FROM:<a@b>", "250");
    for user in ["x", "y"] {
        client.says(&format!("RCPT TO:<{user}@elsewhere.example>"), "250");
    }
    client.says("DATA", "354");
    client.says("Hi\r\n.", "250");
    let (listed, _) = ends_with(&run(&["queue", "--json"], dir.path()), 0);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = first["id"].as_str().unwrap();
    let queue = |dir: &Path| status_json(dir, 0)["queue"].clone();
    let mut asker = Asker::of(dir.path());
    let mut order = |order: &str, target: &str| {
        let answer = asker.ask(&json!({"do": "queue", "order": order, "targets": [target]}));
        assert_eq!(answer["ok"], true, "{answer}");
        (answer["recipients"].as_u64().unwrap(), answer["messages"].as_u64().unwrap())
    };
    assert_eq!(order("hold", id), (2, 1));
    assert_eq!(queue(dir.path()), json!({"waiting": 0, "failed": 0, "held": 2}));
    assert_eq!(order("release", &format!("{id}/x@elsewhere.example")), (1, 1));
    assert_eq!(queue(dir.path()), json!({"waiting": 1, "failed": 0, "held": 1}));
    assert_eq!(order("drop", "0-0-0"), (0, 0));
    assert_eq!(order("drop", id), (2, 1));
    assert_eq!(queue(dir.path()), json!({"waiting": 0, "failed": 0, "held": 0}));
    let mut asker = Asker::of(dir.path());
    assert_eq!(asker.ask(&json!({"do": "relay"})), json!({"ok": true}));
    asker.refuses(&json!({"do": "queue", "order": "eat", "targets": []}), "retry, hold");
    asker.refuses(&json!({"do": "queue", "order": "hold"}), "targets");
}

#[test]
fn what_is_not_understood_is_answered_and_garbage_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let _servers = Servers::on(dir.path(), &[]);
    let mut asker = Asker::of(dir.path());
    for request in [json!({"do": "dance"}), json!({}), json!([1]), json!("stop"), json!(null)] {
        asker.refuses(&request, "status, stop, events");
    }
    assert_eq!(asker.ask(&json!({"do": "status", "and": "more"}))["ok"], true);
    let long = format!("{{\"do\":\"status\",\"x\":\"{}\"}}", "y".repeat(70_000));
    for garbage in ["\n", "status\n", "{\"do\":\n", "\0\u{ff}\n", &long, &(long.clone() + "\n")] {
        let mut asker = Asker::of(dir.path());
        asker.send(garbage);
        let answer = asker.line();
        assert_eq!(answer["ok"], false, "{answer}");
        asker.ends();
    }
    let fits = "{\"do\":\"status\",\"x\":\"".to_owned() + &"y".repeat(65_536 - 22) + "\"}";
    assert_eq!(fits.len(), 65_536);
    asker.send(fits + "\n");
    assert_eq!(asker.line()["ok"], true);
    let mut unended = Asker::of(dir.path());
    unended.send("{\"do\":\"status\"}");
    unended.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(unended.line()["ok"], true);
    unended.ends();
}

#[test]
fn a_hundred_connections_are_served_and_the_next_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _servers = Servers::on(dir.path(), &[]);
    let status = json!({"do": "status"});
    let mut askers: Vec<_> = (0..100).map(|_| Asker::of(dir.path())).collect();
    assert!(askers.iter_mut().all(|asker| asker.ask(&status)["ok"] == true));
    let mut one_more = Asker::of(dir.path());
    one_more.refuses(&status, "too many connections");
    one_more.ends();
    // One that has gone leaves its place to the next, also if it was reading events.
    let mut follower = askers.pop().unwrap();
    assert_eq!(follower.ask(&json!({"do": "events", "since": "now", "follow": true}))["ok"], true);
    follower.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    drop(follower);
    let begun = Instant::now();
    while Asker::of(dir.path()).ask(&status)["ok"] != true {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn stop_waits_until_the_servers_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Servers::on(dir.path(), &[]);
    let second = Servers::on(dir.path(), &[]);
    let name = format!(".mailconsole.{}.sock", second.child.id());
    assert!(dir.path().join(&name).exists());
    assert_eq!(status_json(dir.path(), 0)["servers"].as_array().unwrap().len(), 2);
    let client = first.connect("smtp");
    let (stdout, _) = ends_with(&run(&["stop"], dir.path()), 0);
    assert_eq!(stdout.matches("stopped: pid ").count(), 2, "{stdout}");
    for mut server in [first, second] {
        let ended = server.child.try_wait().unwrap().expect("it runs on");
        assert!(ended.success());
    }
    assert_eq!(client.rest(), "421 localhost Server shutting down\r\n");
    let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["linhphan.mbox"]);
    ends_with(&run(&["stop"], dir.path()), 3);
}

#[test]
fn stop_ends_the_process_as_a_signal_does() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["-v"]);
    let mut client = servers.connect("smtp");
    client.begin_message();
    let mut asker = Asker::of(dir.path());
    let answer = asker.ask(&json!({"do": "stop"}));
    assert_eq!(answer, json!({"ok": true, "pid": servers.child.id()}));
    assert_eq!(client.rest(), "421 localhost Server shutting down\r\n");
    asker.ends();
    let (status, transcript) = servers.wait();
    assert!(status.success() && transcript.contains("S: 421 localhost"), "{transcript}");
}

#[test]
fn the_socket_of_a_killed_server_is_none_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join(".mailconsole.sock");
    let servers = Servers::on(dir.path(), &[]);
    servers.signal(Signal::SIGKILL);
    servers.wait();
    assert!(socket.exists());
    assert_eq!(status_json(dir.path(), 1)["servers"], json!([]));
    ends_with(&run(&["stop"], dir.path()), 3);
    let servers = Servers::on(dir.path(), &[]);
    assert_eq!(status_json(dir.path(), 0)["servers"][0]["pid"], servers.child.id());
    assert_eq!(Asker::of(dir.path()).ask(&json!({"do": "status"}))["pid"], servers.child.id());
}

#[test]
fn a_long_path_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(120)).join("y".repeat(120));
    fs::create_dir_all(&long).unwrap();
    let servers = Servers::on(&long, &[]);
    assert_eq!(status_json(&long, 0)["servers"][0]["pid"], servers.child.id());
    ends_with(&run(&["stop"], &long), 0);
    assert!(!long.join(".mailconsole.sock").exists());
}

#[test]
fn what_has_the_name_of_the_socket_and_is_none_stays() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join(".mailconsole.sock");
    fs::write(&socket, "somebody's").unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let own = format!(".mailconsole.{}.sock", servers.child.id());
    assert!(dir.path().join(own).exists());
    assert_eq!(status_json(dir.path(), 0)["running"], true);
    assert_eq!(fs::read(&socket).unwrap(), b"somebody's");
}

/// `status --wait` as it waits.
fn waiting(dir: &Path, most: &str) -> Child {
    let mut command = program();
    command.args(["status", "--json", "--wait", most]).arg(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the process watches something, by the system's own word.
fn until_it_watches(child: &Child) {
    let begun = Instant::now();
    let folder = PathBuf::from(format!("/proc/{}/fdinfo", child.id()));
    let watches =
        |file: PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("inotify"));
    let is_there = || {
        fs::read_dir(&folder).is_ok_and(|mut files| files.any(|file| watches(file.unwrap().path())))
    };
    while !is_there() {
        assert!(begun.elapsed() < PATIENCE, "it watches nothing");
        std::thread::yield_now();
    }
}

#[test]
fn status_waits_for_a_server_whose_directory_is_still_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let far = dir.path().join("a").join("b").join("c");
    let child = waiting(&far, "20s");
    until_it_watches(&child);
    fs::create_dir(dir.path().join("a")).unwrap();
    let servers = Servers::on(&far, &[]);
    let output = child.wait_with_output().unwrap();
    let (stdout, _) = ends_with(&output, 0);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["servers"][0]["pid"], servers.child.id());
    ends_with(&waiting(&far, "20s").wait_with_output().unwrap(), 0);
}

#[test]
fn status_waits_for_a_server_in_a_directory_that_is_there_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let child = waiting(dir.path(), "20s");
    until_it_watches(&child);
    let _servers = Servers::on(dir.path(), &[]);
    ends_with(&child.wait_with_output().unwrap(), 0);
    let nowhere = dir.path().join("none");
    let begun = Instant::now();
    let (stdout, stderr) = ends_with(&waiting(&nowhere, "50ms").wait_with_output().unwrap(), 1);
    assert!(stdout.is_empty() && stderr.contains("within 0.05 s"), "{stderr}");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(dir.path().join(".mailconsole.sock")).unwrap();
    let (stdout, stderr) = ends_with(&run(&["status"], dir.path()), 1);
    assert!(stdout.contains("no server is running"), "{stdout}");
    assert!(stderr.contains("it does not answer"), "{stderr}");
}
