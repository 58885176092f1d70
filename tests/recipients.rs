//! Whom mail is for, over the real program: what is caught, what mailboxes are made, and what is
//! kept of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::program::{Client, Servers, program};

const TEXT: &str = "Subject: x\r\n\r\nFrom here\r\n";

/// The servers on a directory of their own.
struct Office {
    dir: TempDir,
    servers: Servers,
}

impl Office {
    fn with(arguments: &[&str]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), arguments)
    }

    fn on(dir: TempDir, arguments: &[&str]) -> Self {
        let servers = Servers::on(dir.path(), arguments);
        Self { dir, servers }
    }

    /// A client that has begun a message.
    fn sender(&self) -> Client {
        let mut client = self.servers.connect("smtp");
        client.says("HELO tester", "250");
        client.says("MAIL FROM:<a@b>", "250");
        client
    }

    /// Sends a message to recipients who are all accepted.
    fn deliver(&self, recipients: &[&str], text: &str) {
        let mut client = self.sender();
        for recipient in recipients {
            client.says(&format!("RCPT TO:<{recipient}>"), "250");
        }
        client.says("DATA", "354");
        client.send(text);
        client.says(".", "250");
    }

    fn reader(&self, user: &str) -> Client {
        let mut client = self.servers.connect("pop3");
        assert!(client.log_in(user).starts_with("+OK"));
        client
    }

    fn messages(&self, user: &str) -> Vec<String> {
        let messages = self.reader(user).messages();
        messages.into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
    }

    fn content(&self, file: &str) -> String {
        content(self.dir.path(), file)
    }

    fn mailboxes(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.retain(|name| Path::new(name).extension().is_none_or(|end| end != "lock"));
        names.sort_unstable();
        names
    }
}

fn content(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).unwrap()
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_for_nobody_is_caught_and_tells_for_whom_it_was() {
    let office = Office::with(&["--catch-all", "catch"]);
    assert_eq!(office.mailboxes(), ["catch.mbox", "linhphan.mbox"]);
    let recipients = [
        "zoe@localhost",
        "linhphan@localhost",
        "anna@Example.com",
        "zoe@localhost",
        "mqueue@localhost",
    ];
    office.deliver(&recipients, TEXT);
    let fields = ["zoe@localhost", "anna@Example.com", "mqueue@localhost"]
        .map(|address| format!("X-Original-To: {address}\r\n"));
    let caught = fields.concat() + TEXT;
    assert_eq!(office.messages("catch"), [&*caught]);
    // Exact to the byte, where it was sent.
    assert_eq!(office.messages("linhphan"), [TEXT]);
    let stored = office.content("catch.mbox");
    let (from_line, text) = stored.split_once('\n').unwrap();
    assert!(from_line.starts_with("From <a@b> "), "{from_line}");
    assert_eq!(text, caught.replace("\r\nFrom here", "\r\n>From here") + "\n");
    // Its size and id are those of what is served.
    let mut reader = office.reader("catch");
    reader.says("LIST 1", &format!("+OK 1 {}", caught.len()));
    // The mailbox itself is named: nothing is redirected.
    office.deliver(&["catch@localhost"], TEXT);
    drop(reader);
    until("both are there", || office.servers.connect("pop3").log_in("catch").contains("+OK"));
    assert_eq!(office.messages("catch")[1], TEXT);
    assert_eq!(office.mailboxes(), ["catch.mbox", "linhphan.mbox"]);
}

#[test]
fn exact_text_stays_exact() {
    let office = Office::with(&["--catch-all", "catch", "--exact-text"]);
    office.deliver(&["zoe@localhost", "anna@example.com"], TEXT);
    assert_eq!(office.messages("catch"), [TEXT]);
}

#[test]
fn a_thousand_redirected_recipients_are_one_message() {
    let office = Office::with(&["--catch-all", "catch"]);
    let recipients: Vec<String> = (0..1_000).map(|nth| format!("u{nth}@example.com")).collect();
    let all: Vec<&str> = recipients.iter().map(String::as_str).collect();
    office.deliver(&all, TEXT);
    let fields: Vec<_> = all.iter().map(|one| format!("X-Original-To: {one}\r\n")).collect();
    assert_eq!(office.messages("catch"), [fields.concat() + TEXT]);
}

#[test]
fn a_mailbox_is_made_when_its_first_message_is_stored_and_not_before() {
    let office = Office::with(&["--accept-any", "--max-message", "100"]);
    let mut client = office.sender();
    client.says("RCPT TO:<zoe+tag@localhost>", "250");
    client.says("RCPT TO:<Anna@Example.COM>", "250");
    client.says("RCPT TO:<\"a b\"@localhost>", "550 Requested action not taken: a mailbox cannot");
    client.says("RCPT TO:<mqueue@example.com>", "550");
    client.says("DATA", "354");
    assert_eq!(office.mailboxes(), ["linhphan.mbox"]);
    client.send("x".repeat(200));
    client.says("\r\n.", "552");
    assert_eq!(office.mailboxes(), ["linhphan.mbox"]);
    office.deliver(&["zoe+tag@localhost", "Anna@Example.COM", "zoe@localhost"], TEXT);
    assert_eq!(office.mailboxes(), ["Anna@example.com.mbox", "linhphan.mbox", "zoe.mbox"]);
    for user in ["zoe", "Anna@example.com", "Anna@Example.Com"] {
        assert_eq!(office.messages(user), [TEXT], "{user}");
    }
}

#[test]
fn a_user_without_a_mailbox_has_an_empty_one() {
    let office = Office::with(&["--accept-any"]);
    let mut reader = office.reader("zoe");
    reader.says("STAT", "+OK 0 0");
    reader.says("UIDL", "+OK");
    assert_eq!(reader.multi_line(), b"");
    reader.says("RETR 1", "-ERR");
    // The session has the maildrop, also after mail has come.
    assert!(office.servers.connect("pop3").log_in("zoe").starts_with("-ERR"));
    assert_eq!(office.mailboxes(), ["linhphan.mbox"]);
    office.deliver(&["zoe@localhost"], TEXT);
    reader.says("STAT", "+OK 0 0");
    reader.says("QUIT", "+OK");
    assert_eq!(office.messages("zoe"), [TEXT]);
    let mut wrong = office.servers.connect("pop3");
    wrong.says("USER eve", "+OK");
    wrong.says("PASS wrong", "-ERR");
    assert!(office.servers.connect("pop3").log_in("mqueue").starts_with("-ERR"));
}

#[test]
fn as_many_mailboxes_are_made_as_are_allowed() {
    let office = Office::with(&["--accept-any", "--max-mailboxes", "3"]);
    let mut client = office.sender();
    for (recipient, reply) in [
        ("u1", "250"),
        ("u2", "250"),
        ("u3", "452 Requested action not taken: too many mailboxes"),
        ("u1", "250"),
        ("linhphan", "250"),
    ] {
        client.says(&format!("RCPT TO:<{recipient}@localhost>"), reply);
    }
    // Another client is quicker: now there is room for one.
    office.deliver(&["other@localhost"], TEXT);
    client.says("DATA", "354");
    client.says(".", "452 Requested action not taken: too many mailboxes");
    assert_eq!(office.mailboxes(), ["linhphan.mbox", "other.mbox"]);
    assert_eq!(office.content("linhphan.mbox"), "");
    office.deliver(&["u1@localhost"], TEXT);
    let mut client = office.sender();
    client.says("RCPT TO:<u2@localhost>", "452");
    client.says("RCPT TO:<u1@localhost>", "250");
}

#[test]
fn more_domains_are_ours() {
    let office = Office::with(&["--local-domains", "*.test", "--local-domains", "shop.example"]);
    office.deliver(&["linhphan@mail.TEST", "linhphan@shop.example"], TEXT);
    assert_eq!(office.messages("linhphan@a.test"), [TEXT]);
    office
        .sender()
        .says("RCPT TO:<nobody@a.test>", "550 Requested action not taken: no such user here");
    office.deliver(&["anna@example.org"], TEXT);
    assert_eq!(office.mailboxes(), ["linhphan.mbox", "mqueue"]);
}

#[test]
fn wrong_use_is_status_2() {
    for (arguments, words) in [
        (["--keep", "0"], "a number of messages such as 1000"),
        (["--keep", "7w"], "an age such as 7d"),
        (["--max-mailboxes", "0"], "1 or more"),
        (["--local-domains", "a b"], "a domain, in which *"),
        (["--catch-all", "../x"], "--catch-all"),
        (["--catch-all", "mqueue"], "the name of a mailbox"),
    ] {
        let output = program().args(["smtp", "x"]).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn what_was_redirected_is_whole_after_a_kill() {
    let office = Office::with(&["--catch-all", "catch", "--accept-any"]);
    let long = format!("{}\r\n", "x".repeat(300_000));
    office.deliver(&["new@localhost", "\"a b\"@localhost"], TEXT);
    office.deliver(&["new@localhost", "\"a b\"@localhost"], &long);
    office.servers.signal(Signal::SIGKILL);
    let Office { dir, servers } = office;
    servers.wait();
    let office = Office::on(dir, &[]);
    let field = "X-Original-To: \"a b\"@localhost\r\n";
    assert_eq!(office.messages("new"), [TEXT, &long]);
    assert_eq!(office.messages("catch"), [field.to_owned() + TEXT, field.to_owned() + &long]);
}

#[test]
fn the_oldest_go_where_there_are_more_than_are_kept() {
    let office = Office::with(&["--keep", "2"]);
    let reader = office.reader("linhphan");
    let mail = |nth: usize| format!("Subject: {nth}\r\n\r\n");
    for nth in 0..5 {
        office.deliver(&["linhphan@localhost"], &mail(nth));
    }
    let stored = |nth| office.content("linhphan.mbox").contains(&mail(nth));
    // Others are not held up by the session, which keeps all that is in its mailbox.
    std::fs::write(office.dir.path().join("other.mbox"), mbox(&["2025", "2024", "2023"])).unwrap();
    until("other is trimmed", || office.content("other.mbox") == mbox(&["2024", "2023"]));
    assert!((0..5).all(stored));
    let ended = Instant::now();
    drop(reader);
    until("the session's mailbox is trimmed", || !stored(2));
    assert!(ended.elapsed() < Duration::from_secs(10), "{:?}", ended.elapsed());
    assert_eq!(office.messages("linhphan"), [mail(3), mail(4)]);
}

#[test]
fn a_session_of_another_process_keeps_what_is_old() {
    let office = Office::with(&[]);
    for nth in 0..3 {
        office.deliver(&["linhphan@localhost"], &format!("{}\r\n", nth.to_string().repeat(9)));
    }
    let dir = office.dir.path().to_owned();
    let reader = office.reader("linhphan");
    let trimming = Servers::on(&dir, &["--keep", "1"]);
    // Mailboxes are looked at in the order of their names.
    std::fs::write(dir.join("z.mbox"), mbox(&["2025", "2024"])).unwrap();
    until("another mailbox is trimmed", || content(&dir, "z.mbox") == mbox(&["2024"]));
    assert_eq!(content(&dir, "linhphan.mbox").matches("From ").count(), 3);
    drop(reader);
    until("what is old is removed", || {
        content(&dir, "linhphan.mbox").matches("From ").count() == 1
    });
    assert_eq!(office.messages("linhphan"), ["222222222\r\n"]);
    drop(trimming);
}

/// A mailbox with a message of each year.
fn mbox(years: &[&str]) -> String {
    let message = |year| format!("From a@b Wed Sep 17 11:00:00 {year}\nS: x\n\n");
    years.iter().map(message).collect::<Vec<_>>().concat()
}

#[test]
fn what_is_too_old_is_removed_at_the_start_and_what_has_no_date_stays() {
    let dir = tempfile::tempdir().unwrap();
    let undated = "From - \nS: x\n\nFrom - \nS: y\n\n";
    std::fs::write(dir.path().join("old.mbox"), mbox(&["2001", "2999", "2002"])).unwrap();
    std::fs::write(dir.path().join("undated.mbox"), undated).unwrap();
    let office = Office::on(dir, &["--keep", "30m"]);
    until("the old ones are removed", || office.content("old.mbox") == mbox(&["2999"]));
    assert_eq!(office.content("undated.mbox"), undated);
    office.deliver(&["linhphan@localhost"], TEXT);
    // What arrives with an old date goes, too.
    std::fs::write(office.dir.path().join("z.mbox"), mbox(&["2003", "2998"])).unwrap();
    until("what came is removed", || office.content("z.mbox") == mbox(&["2998"]));
    assert_eq!(office.messages("linhphan"), [TEXT]);
}
