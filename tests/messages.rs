//! The commands about messages that are there: `messages`, `show`, `assert`, `clear`, `init`, by the
//! real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use program::{Client, Servers, program};
use serde_json::{Value, json};

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    program().args(arguments).output().unwrap()
}

/// A directory with mailboxes whose messages have fixed dates.
struct Place {
    dir: tempfile::TempDir,
}

/// A message as it stands in a file.
fn stored(sender: &str, seconds: u32, text: &str) -> String {
    format!("From <{sender}> Wed Sep 17 11:00:{seconds:02} +0000 2025\n{text}\n")
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir };
        assert_eq!(place.run("init", &["alice", "bob", "empty"]).0, 0);
        place
    }

    fn full() -> Self {
        let place = Self::new();
        place.write("alice", &[stored("x@y", 20, "Subject: second\nTo: alice@localhost\n\nx\n")]);
        place.write(
            "bob",
            &[
                stored("a@x", 10, &letter()),
                stored("MAILER-DAEMON", 30, "Subject: tab\there\n\nplain https://t/1.\n"),
                stored("c@x", 40, HTML),
            ],
        );
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, user: &str) -> PathBuf {
        self.path().join(format!("{user}.mbox"))
    }

    fn write(&self, user: &str, messages: &[String]) {
        fs::write(self.file(user), messages.concat()).unwrap();
    }

    /// Status, stdout and stderr.
    fn run(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        let words = [command, self.path().to_str().unwrap()];
        let output = run(words.iter().chain(arguments));
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// stdout of a command that succeeds and says nothing else.
    #[track_caller]
    fn says(&self, command: &str, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(command, arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// The status of a command that writes nothing on stdout and one line with `words` on stderr.
    #[track_caller]
    fn refuses(&self, command: &str, arguments: &[&str], words: &[&str]) -> i32 {
        let (status, stdout, stderr) = self.run(command, arguments);
        assert_eq!((stdout.as_str(), stderr.matches('\n').count()), ("", 1), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word} is missing: {stderr}");
        }
        status
    }

    fn subjects(&self, arguments: &[&str]) -> Vec<String> {
        let lines = self.says("messages", arguments);
        lines.lines().map(|line| line.split('\t').nth(6).unwrap().to_owned()).collect()
    }

    fn json(&self, command: &str, arguments: &[&str]) -> Vec<Value> {
        let all = [arguments, &["--json"]].concat();
        let lines = self.says(command, &all);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn letter() -> String {
    "From: =?utf-8?q?=C3=84nne?= <a@x>\nTo: Bob <bob@localhost>, list@y\nCc: c@y\n\
     Subject: =?iso-8859-1?q?Gr=FC=DFe?=\nMessage-ID: <1@x>\nStatus: RO\nMIME-Version: 1.0\n\
     Content-Type: multipart/mixed; boundary=b\n\n\
     --b\nContent-Type: multipart/alternative; boundary=i\n\n\
     --i\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8NLJ18XU\n\
     --i\nContent-Type: text/html; charset=utf-8\n\n<p>H\u{e9} <a href=\"https://h/a?b=1&amp;c=2\">x</a>\n\
     --i--\n\
     --b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\
     Content-Disposition: attachment; filename=\"../../etc/pass\u{1}wd.pdf\"\n\nAAEC\n\
     --b\nContent-Type: application/octet-stream; name=\".bashrc\"\n\nrm -rf\n\
     --b\nContent-Type: image/png; name=\".bashrc\"\nContent-Disposition: attachment\n\npng\n\
     --b--\n"
        .to_owned()
}

const HTML: &str = "Subject: only html\nContent-Type: text/html\n\n\
                    <p>Hello <b>Bob</b><p>see <a href='http://h/confirm'>here</a>\n";

#[test]
fn init_makes_what_is_missing_and_leaves_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let init = |users: &[&str]| run([&["init", path.to_str().unwrap()], users].concat());
    assert!(init(&[]).status.success() && path.is_dir());
    assert!(init(&["bob"]).status.success());
    fs::write(path.join("bob.mbox"), stored("a@b", 1, "x\n")).unwrap();
    assert!(init(&["bob", "eve"]).status.success());
    assert_eq!(fs::read_to_string(path.join("bob.mbox")).unwrap(), stored("a@b", 1, "x\n"));
    assert_eq!(fs::read(path.join("eve.mbox")).unwrap(), b"");
}

#[test]
fn a_line_has_eight_columns_and_mailboxes_are_merged_by_arrival() {
    let place = Place::full();
    let lines = place.says("messages", &[]);
    let rows: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 8), "{lines}");
    let order: Vec<_> = rows.iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(order, [("bob", "1"), ("alice", "1"), ("bob", "2"), ("bob", "3")]);
    assert_eq!(rows[0][3..7], ["2025-09-17T11:00:10Z", "a@x", "bob@localhost,list@y", "Grüße"]);
    assert_eq!(rows[2][4..7], ["", "bob@localhost", "tab here"]);
    assert!(rows.iter().all(|row| row[2].len() == 32));
    // In a mailbox by number, whatever the dates say.
    place
        .write("alice", &[stored("a@x", 50, "Subject: 1\n\n"), stored("a@x", 5, "Subject: 2\n\n")]);
    assert_eq!(place.subjects(&["alice"]), ["1", "2"]);
    assert_eq!(place.subjects(&["alice@localhost"]), ["1", "2"]);
}

#[test]
fn none_is_no_failure_but_no_mailbox_and_no_directory_are() {
    let place = Place::full();
    assert_eq!(place.says("messages", &["empty"]), "");
    assert_eq!(place.says("messages", &["subject=none"]), "");
    assert_eq!(place.says("messages", &["--json", "empty"]), "");
    assert_eq!(place.refuses("messages", &["nobody"], &["no mailbox nobody"]), 1);
    assert_eq!(place.refuses("messages", &["sbject=x"], &["did you mean subject?"]), 2);
    assert_eq!(place.refuses("messages", &["bob", "jim"], &["\"jim\" is no term"]), 2);
    for command in [
        &["messages", "/nonexistent/x"][..],
        &["show", "/nonexistent/x", "bob", "1"],
        &["clear", "/nonexistent/x"],
        &["assert", "/nonexistent/x", "messages"],
        &["mark", "/nonexistent/x"],
        &["wait", "/nonexistent/x"],
        &["messages", "/dev/null"],
    ] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("there is no directory"));
    }
}

#[test]
fn queries_choose() {
    let place = Place::full();
    for (query, subjects) in [
        (&["to=bob"][..], &["Grüße", "tab here", "only html"][..]),
        (&["to=list"], &["Grüße"]),
        (&["from~ÄNNE"], &["Grüße"]),
        (&["cc=c@y unread"], &[]),
        (&["cc=c@y", "!unread"], &["Grüße"]),
        (&["bob", "!subject=GRÜSSE"], &["tab here", "only html"]),
        (&["body~привет"], &["Grüße"]),
        (&["body~\"hello bob\""], &["only html"]),
        (&["has=attachment"], &["Grüße"]),
        (&["!has=attachment", "larger=20", "smaller=1K", "user=alice"], &["second"]),
        (&["header:message-id=<1@x>"], &["Grüße"]),
        (&["subject~/^s.*d$/"], &["second"]),
        (&["subject~/^S.*D$/"], &[]),
        (&["subject~/^S.*D$/i"], &["second"]),
    ] {
        assert_eq!(place.subjects(query), subjects, "{query:?}");
    }
    let uid = place.says("messages", &["alice"]).split('\t').nth(2).unwrap().to_owned();
    assert_eq!(place.subjects(&[&format!("uid={uid}")]), ["second"]);
}

#[test]
fn a_message_as_json_is_the_same_everywhere() {
    let place = Place::full();
    let [first, ..] = &place.json("messages", &["bob"])[..] else { panic!("no message") };
    let expected = json!({
        "v": 1, "mailbox": "bob", "number": 1, "uid": first["uid"], "octets": first["octets"],
        "date": "2025-09-17T11:00:10Z", "from": "a@x", "to": ["bob@localhost", "list@y"],
        "cc": ["c@y"], "subject": "Grüße", "message_id": "<1@x>",
        "envelope": {"from": "a@x", "to": ["bob@localhost"]}, "unread": false,
        "attachments": [
            {"name": first["attachments"][0]["name"], "type": "application/pdf", "octets": 3},
            {"name": ".bashrc", "type": "application/octet-stream", "octets": 6},
            {"name": ".bashrc", "type": "image/png", "octets": 3},
        ],
    });
    assert_eq!(*first, expected);
    let whole = &place.json("show", &["bob", "1"])[0];
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&whole[key], value, "{key}");
    }
    assert_eq!(whole["text"], "Привет");
    assert_eq!(whole["html"], "<p>Hé <a href=\"https://h/a?b=1&amp;c=2\">x</a>");
    assert_eq!(whole["links"], json!(["https://h/a?b=1&c=2"]));
    assert_eq!(whole["headers"][3], json!(["Subject", "Grüße"]));
    let daemon = &place.json("show", &["bob", "2"])[0];
    assert_eq!((&daemon["html"], &daemon["from"]), (&Value::Null, &json!("")));
    assert_eq!((&daemon["unread"], &daemon["links"]), (&json!(true), &json!(["https://t/1"])));
}

#[test]
fn octets_and_uids_are_those_of_pop3_and_raw_is_what_retr_gives() {
    let place = Place::full();
    let mut command = program();
    command.args(program::all_three(place.path()));
    let servers = Servers::start(command).listening(3);
    let mut client = servers.connect("pop3");
    assert!(client.log_in("bob").starts_with("+OK"));
    for message in place.json("messages", &["bob"]) {
        let number = message["number"].as_u64().unwrap();
        client.says(
            &format!("UIDL {number}"),
            &format!("+OK {number} {}", message["uid"].as_str().unwrap()),
        );
        client.says(&format!("LIST {number}"), &format!("+OK {number} {}", message["octets"]));
        let retrieved = client.message(usize::try_from(number).unwrap());
        let words = ["show", place.path().to_str().unwrap(), "bob", &number.to_string(), "--raw"];
        assert_eq!(run(words).stdout, retrieved);
    }
}

#[test]
fn show_gives_each_form() {
    let place = Place::full();
    assert_eq!(place.says("show", &["bob", "1", "--text"]), "Привет\n");
    assert_eq!(place.says("show", &["bob", "2", "--text"]), "plain https://t/1.\n");
    let html_only = place.says("show", &["bob", "latest", "--text"]);
    assert_eq!(html_only, "Hello Bob\n\nsee here [1]\n\n[1] http://h/confirm\n");
    assert!(place.says("show", &["bob", "3", "--html"]).contains("<b>Bob</b>"));
}

#[test]
fn parts_are_counted_from_1_and_decoded() {
    let place = Place::full();
    let part = |number: &str| {
        run(["show", place.path().to_str().unwrap(), "bob", "1", "--part", number]).stdout
    };
    assert_eq!(part("1"), b"\xf0\xd2\xc9\xd7\xc5\xd4");
    assert!(part("2").starts_with(b"<p>H\xc3\xa9"));
    assert_eq!(part("3"), [0, 1, 2]);
    assert_eq!(part("5"), b"png");
    assert_eq!(place.refuses("show", &["bob", "1", "--part", "6"], &["no part 6"]), 1);
    assert_eq!(place.refuses("show", &["bob", "1", "--part", "0"], &["from 1"]), 2);
}

#[test]
fn headers_are_decoded_and_a_message_without_an_option_can_be_read() {
    let place = Place::full();
    let headers = place.says("show", &["bob", "1", "--headers"]);
    assert!(
        headers.starts_with("From: Änne <a@x>\nTo: Bob <bob@localhost>, list@y\n"),
        "{headers}"
    );
    assert!(headers.contains("\nSubject: Grüße\n") && headers.contains("\nStatus: RO\n"));
    let readable = place.says("show", &["bob", "1"]);
    assert!(readable.contains("Subject: Grüße\n\nПривет\n\n["), "{readable}");
    assert!(readable.ends_with("[.bashrc, image/png, 3 octets]\n"), "{readable}");
}

#[test]
fn messages_are_named_by_number_word_and_uid() {
    let place = Place::full();
    let uid = place.json("messages", &["bob"])[1]["uid"].as_str().unwrap().to_owned();
    for word in ["2", &uid, &uid.to_uppercase()] {
        assert_eq!(place.json("show", &["bob", word])[0]["number"], 2, "{word}");
    }
    for word in ["4", "0", "none", "-1"] {
        let (status, stdout, _) = place.run("show", &["bob", "--", word]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{word}");
    }
    assert_eq!(place.refuses("show", &["empty", "latest"], &["no message latest"]), 1);
    assert_eq!(place.refuses("show", &["nobody", "1"], &["no mailbox nobody"]), 1);
    assert_eq!(place.refuses("show", &["alice", "1", "--html"], &["has no HTML"]), 1);
    assert_eq!(place.refuses("show", &["alice", "1", "--text", "--raw"], &["cannot be used"]), 2);
}

#[test]
fn attachments_get_safe_names_of_their_own() {
    let place = Place::full();
    let target = place.path().join("new/files");
    for copies in [3, 6] {
        let paths = place.says("show", &["bob", "1", "--attachments", target.to_str().unwrap()]);
        assert_eq!(paths.lines().count(), 3);
        for path in paths.lines().map(Path::new) {
            assert_eq!(path.parent().unwrap(), target);
            assert!(
                path.is_file() && !path.file_name().unwrap().to_str().unwrap().starts_with('.')
            );
        }
        assert_eq!(fs::read_dir(&target).unwrap().count(), copies);
    }
    let contents: Vec<_> = ["pass_wd.pdf", "bashrc", "bashrc-2", "pass_wd-2.pdf"]
        .map(|name| fs::read(target.join(name)).unwrap())
        .into();
    assert_eq!(contents, [&[0, 1, 2][..], b"rm -rf", b"png", &[0, 1, 2]]);
    assert_eq!(place.says("show", &["alice", "1", "--attachments", target.to_str().unwrap()]), "");
}

#[test]
fn assert_counts() {
    let place = Place::full();
    for (condition, status, found) in [
        ("messages to=bob == 3", 0, 3),
        ("messages to=bob == 2", 1, 3),
        ("messages != 4", 1, 4),
        ("messages < 5", 0, 4),
        ("messages bob <= 2", 1, 3),
        ("messages > 3", 0, 4),
        ("messages unread >= 4", 1, 3),
        ("messages subject~none", 1, 0),
        ("messages alice", 0, 1),
        ("messages nobody == 0", 0, 0),
    ] {
        let (code, stdout, stderr) = place.run("assert", &[condition]);
        assert_eq!((code, stdout), (status, format!("{found}\n")), "{condition}: {stderr}");
        assert_eq!(stderr.is_empty(), status == 0, "{condition}: {stderr}");
    }
    let (status, stdout, stderr) = place.run("assert", &["messages alice", "messages == 0"]);
    assert_eq!((status, stdout.as_str()), (1, "1\n4\n"));
    assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");
    for condition in ["mesages", "messages == x", "messages sbject=1", "sessions imap", "no"] {
        assert_eq!(place.refuses("assert", &[condition], &[]), 2, "{condition}");
    }
    for condition in ["sessions smtp >= 1", "fault greylist hits >= 1", "no findings"] {
        assert_eq!(place.refuses("assert", &[condition], &["no server runs on"]), 3, "{condition}");
    }
}

#[test]
fn clear_removes_what_matches_and_says_how_many() {
    let place = Place::full();
    assert_eq!(place.says("clear", &["subject=none"]), "0\n");
    assert_eq!(place.says("clear", &["bob", "unread", "!subject~html", "--yes"]), "1\n");
    assert_eq!(place.subjects(&[]), ["Grüße", "second", "only html"]);
    assert_eq!(place.refuses("clear", &["nobody"], &["no mailbox nobody"]), 1);
    assert_eq!(place.refuses("clear", &["unred=1"], &["did you mean unread"]), 2);
    assert_eq!(place.says("clear", &[]), "3\n");
    assert_eq!(place.says("messages", &[]), "");
    assert!(place.file("bob").exists());
}

#[test]
fn clear_leaves_the_mailbox_of_a_session_and_the_queue() {
    let place = Place::full();
    fs::write(place.path().join("mqueue"), "not mail\n").unwrap();
    let mut command = program();
    command.args(program::all_three(place.path())).stderr(Stdio::null());
    let servers = Servers::start(command).listening(3);
    let mut session = servers.connect("pop3");
    assert!(session.log_in("bob").starts_with("+OK"));
    let (status, stdout, stderr) = place.run("clear", &[]);
    assert_eq!((status, stdout.as_str()), (1, "1\n"));
    assert!(stderr.contains("bob: a POP3 session holds it"), "{stderr}");
    let (status, stdout, _) = place.run("clear", &["bob"]);
    assert_eq!((status, stdout.as_str()), (1, "0\n"));
    assert_eq!(place.says("clear", &["bob", "subject=none"]), "0\n");
    session.says("QUIT", "+OK");
    assert_eq!(place.says("clear", &["bob"]), "3\n");
    assert_eq!(fs::read_to_string(place.path().join("mqueue")).unwrap(), "not mail\n");
}

#[test]
fn a_mailbox_that_cannot_be_read_is_named_and_the_others_are_listed() {
    let place = Place::full();
    fs::write(place.file("alice"), "no mbox\n").unwrap();
    let (status, stdout, stderr) = place.run("messages", &[]);
    assert_eq!((status, stdout.lines().count()), (1, 3));
    assert!(stderr.contains("alice") && stderr.contains("not an mbox"), "{stderr}");
    assert_eq!(place.refuses("messages", &["alice"], &["alice", "not an mbox"]), 1);
    assert_eq!(place.refuses("assert", &["messages"], &["alice"]), 1);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let place = Place::new();
    let many: Vec<String> =
        (0..3_000).map(|n| stored("a@x", 1, &format!("Subject: {n}\n\n"))).collect();
    place.write("bob", &many);
    for arguments in [&["messages"][..], &["messages", "--json"]] {
        let mut command = program();
        command.arg(arguments[0]).arg(place.path()).args(&arguments[1..]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut beginning = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut beginning).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    }
}

#[test]
fn what_a_server_has_stored_has_its_envelope() {
    let place = Place::new();
    let mut command = program();
    command.args(program::all_three(place.path())).args(["--catch-all", "bob"]);
    let servers = Servers::start(command).listening(3);
    let mut client: Client = servers.connect("smtp");
    client.says("HELO tester", "250");
    client.says("MAIL FROM:<>", "250");
    for to in ["zoe", "yan", "alice"] {
        client.says(&format!("RCPT TO:<{to}@localhost>"), "250");
    }
    client.says("DATA", "354");
    client.send("Subject: caught\r\n\r\nx\r\n.\r\n");
    assert!(client.line().starts_with("250"));
    let caught = &place.json("messages", &["bob"])[0];
    assert_eq!(caught["envelope"], json!({"from": "", "to": ["zoe@localhost", "yan@localhost"]}));
    assert_eq!(caught["from"], "");
    assert_eq!(place.subjects(&["to=yan"]), ["caught"]);
    assert_eq!(place.json("messages", &["to=alice"])[0]["mailbox"], "alice");
}
