//! `mailconsole wait`, by the real program: with and without servers, one and ten at a time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use program::{Servers, program};
use serde_json::Value;

/// Longer than any test takes.
const LONG: &str = "5m";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for user in ["linhphan", "bob"] {
            fs::write(place.path().join(format!("{user}.mbox")), "").unwrap();
        }
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// As another program delivers, without any lock.
    fn append(&self, user: &str, subject: &str, text: &str) {
        let path = self.path().join(format!("{user}.mbox"));
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        let message =
            format!("From a@b Wed Sep 17 11:00:00 2025\nSubject: {subject}\n\n{text}\n\n");
        file.write_all(message.as_bytes()).unwrap();
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = program();
        command.arg("wait").arg(self.path()).args(arguments).env("TMPDIR", self.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn wait(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.begin(arguments).wait_with_output().unwrap())
    }

    /// What it prints when it succeeds.
    #[track_caller]
    fn finds(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.wait(arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
        stdout
    }

    fn servers(&self) -> Servers {
        let mut command = program();
        command.args(program::all_three(self.path())).stderr(Stdio::null());
        Servers::start(command).listening(3)
    }
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Waits until the process follows the directory, which it does with inotify.
fn is_following(child: &Child) {
    let path = PathBuf::from(format!("/proc/{}/fdinfo", child.id()));
    let deadline = Instant::now() + Duration::from_mins(1);
    let watches = || {
        let files = fs::read_dir(&path).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.map(|text| text.matches("inotify wd").count()).sum::<usize>()
    };
    while watches() == 0 {
        assert!(Instant::now() < deadline, "it does not follow the directory");
        std::thread::yield_now();
    }
}

#[test]
fn a_message_that_is_there_is_found_at_once() {
    let place = Place::new();
    place.append("bob", "one", "x");
    place.append("bob", "two", "x");
    let line = place.finds(&["--timeout", LONG]);
    assert_eq!(line.split('\t').nth(6), Some("one"));
    assert!(place.finds(&["bob", "subject=two", "--timeout", "0"]).contains("\ttwo\t"));
    let both = place.finds(&["--count", "2", "--print", "json"]);
    let subjects: Vec<Value> =
        both.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&subjects[0]["subject"], &subjects[1]["subject"]), (&"one".into(), &"two".into()));
}

#[test]
fn a_message_that_comes_ends_the_wait() {
    let place = Place::new();
    let waiting = place.begin(&["subject~Welcome", "--timeout", LONG, "--print", "text"]);
    is_following(&waiting);
    place.append("bob", "else", "no");
    place.append("bob", "Welcome", "Hello Bob");
    assert_eq!(
        ended(waiting.wait_with_output().unwrap()),
        (0, "Hello Bob\n".into(), String::new())
    );
    // Also in a mailbox that is made meanwhile.
    let waiting = place.begin(&["eve", "--timeout", LONG, "--print", "text"]);
    is_following(&waiting);
    place.append("eve", "x", "Hello Eve");
    assert_eq!(ended(waiting.wait_with_output().unwrap()).1, "Hello Eve\n");
}

#[test]
fn a_time_out_says_what_came_instead() {
    let place = Place::new();
    place.append("bob", "before", "x");
    let (status, stdout, stderr) = place.wait(&["subject=none", "--timeout", "20ms"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no message matches") && stderr.contains("none came"), "{stderr}");
    let mark = String::from_utf8(program().arg("mark").arg(place.path()).output().unwrap().stdout);
    place.append("bob", "other \u{1b}[2J", "x");
    let mark = mark.unwrap();
    let (status, _, stderr) =
        place.wait(&["subject=none", "--since", mark.trim(), "--timeout", "20ms", "--count", "2"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("(0 of 2)") && stderr.contains("bob 2 from <a@b>"), "{stderr}");
    assert!(stderr.contains("other") && !stderr.contains('\u{1b}'), "{stderr}");
    assert!(!stderr.contains("before"), "{stderr}");
}

#[test]
fn wrong_use_is_told_before_anything_is_waited_for() {
    let place = Place::new();
    for (arguments, word) in [
        (&["sbject~x"][..], "did you mean subject?"),
        (&["--since", "yesterday"], "not a mark"),
        (&["--since", ""], "not a mark"),
        (&["--count", "0"], "--count"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--timeout", "25h"], "--timeout"),
        (&["--print", "xml"], "--print"),
        (&["--print", "link=confirm"], "between slashes"),
        (&["--print", "link=/(/"], "not a regular expression"),
    ] {
        let (status, stdout, stderr) = place.wait(arguments);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word) && stderr.matches('\n').count() == 1, "{stderr}");
    }
}

#[test]
fn each_form_is_printed() {
    let place = Place::new();
    place.append("bob", "x", "see https://a/1, https://b/confirm?x=1&amp;y=2 and\n>From me");
    let print = |form: &str| place.finds(&["bob", "--print", form]);
    assert_eq!(print("link"), "https://a/1\n");
    assert_eq!(print("link=/CONFIRM/i"), "https://b/confirm?x=1&y=2\n");
    assert!(print("raw").ends_with("and\r\nFrom me\r\n"));
    assert!(print("text").ends_with("and\nFrom me\n"));
    let path = print("path");
    let path = Path::new(path.trim_end());
    assert_eq!((path.parent(), path.extension().unwrap()), (Some(place.path()), "eml".as_ref()));
    assert_eq!(fs::read_to_string(path).unwrap(), print("raw"));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_ne!(print("path").trim_end(), path.to_str().unwrap());
    for form in ["html", "link=/nothing/"] {
        let (status, stdout, stderr) = place.wait(&["bob", "--print", form]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{form}");
        assert!(stderr.contains("message 1 of bob has no"), "{stderr}");
    }
}

#[test]
fn a_wait_outlives_the_server_and_sees_the_next_one() {
    let place = Place::new();
    let first = place.servers();
    let waiting = place.begin(&["subject=late", "--timeout", LONG, "--since", "now"]);
    is_following(&waiting);
    first.signal(Signal::SIGKILL);
    assert!(!first.wait().0.success());
    let second = place.servers();
    let mut client = second.connect("smtp");
    client.says("HELO x", "250");
    assert!(client.deliver(&["bob"], "Subject: late\r\n\r\nx\r\n").starts_with("250"));
    let (status, stdout, stderr) = ended(waiting.wait_with_output().unwrap());
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("bob\t1\t"), "{stdout}");
}

#[test]
fn no_message_is_missed_or_told_twice_while_ten_wait() {
    const MESSAGES: usize = 1_000;
    let place = Place::new();
    let servers = place.servers();
    let count = MESSAGES.to_string();
    let all = |user: &str| {
        let mut arguments = vec!["subject~number", "--timeout", LONG, "--print", "json"];
        arguments.extend(["--since", "now", "--count", &count]);
        if !user.is_empty() {
            arguments.insert(0, user);
        }
        place.begin(&arguments)
    };
    let waiting: Vec<Child> = (0..10).map(|n| all(if n % 2 == 0 { "bob" } else { "" })).collect();
    waiting.iter().for_each(is_following);
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    for n in 0..MESSAGES {
        let text = format!("Subject: number {n}\r\n\r\nx\r\n");
        assert!(client.deliver(&["bob"], text).starts_with("250"));
    }
    for child in waiting {
        let (status, stdout, stderr) = ended(child.wait_with_output().unwrap());
        assert_eq!((status, stderr.as_str()), (0, ""));
        let subjects = stdout.lines().map(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            message["subject"].as_str().unwrap().to_owned()
        });
        let subjects: Vec<String> = subjects.collect();
        assert_eq!(subjects.len(), MESSAGES);
        assert_eq!(subjects.iter().collect::<BTreeSet<_>>().len(), MESSAGES);
    }
}

#[test]
fn a_reader_that_closes_the_pipe_ends_it_quietly() {
    let place = Place::new();
    for n in 0..3_000 {
        place.append("bob", &n.to_string(), "x");
    }
    let mut child = place.begin(&["--count", "3000", "--print", "raw"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
