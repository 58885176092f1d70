//! Breakpoints: what is held, what becomes of it by each order of `mailconsole held`, and what ends a
//! hold. By the real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{A_SECOND, Client, Servers, all_three, program};

/// Runs `mailconsole held DIR …`; stdout and stderr.
#[track_caller]
fn held(dir: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let output = program().arg("held").arg(dir).args(arguments).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn listed(dir: &Path) -> Value {
    let (stdout, _) = held(dir, &["--json"], 0);
    assert_eq!(stdout.lines().count(), 1);
    serde_json::from_str(&stdout).unwrap()
}

/// Servers with breakpoints that hold for a minute, and their directory.
fn breaking(breakpoints: &[&str]) -> (TempDir, Servers) {
    breaking_with(breakpoints, &["--break-timeout", "1m"])
}

fn breaking_with(breakpoints: &[&str], more: &[&str]) -> (TempDir, Servers) {
    let dir = tempfile::tempdir().unwrap();
    let breaks: Vec<&str> = breakpoints.iter().flat_map(|one| ["--break", one]).collect();
    let servers = Servers::on(dir.path(), &[&breaks[..], more, &["-v"]].concat());
    (dir, servers)
}

/// A client that has said MAIL.
fn at_rcpt(servers: &Servers) -> Client {
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    client.says("MAIL FROM:<a@b>", "250");
    client
}

const RCPT: &str = "RCPT TO:<linhphan@localhost>\r\n";

#[test]
fn a_command_is_held_listed_and_let_go() {
    let (dir, mut servers) = breaking(&["smtp.rcpt to=linhphan@*"]);
    let dir = dir.path();
    let none =
        json!({"v": 1, "active": true, "breakpoints": ["smtp.rcpt to=linhphan@*"], "held": []});
    assert_eq!(listed(dir), none);
    assert_eq!(held(dir, &[], 0).0, "nothing is held\n");
    let mut client = at_rcpt(&servers);
    client.says("RCPT TO:<nobody@localhost>", "550");
    client.send(RCPT);
    servers.wait_for(".. held 1: smtp.rcpt");
    let list = listed(dir);
    let one = &list["held"][0];
    let mut fields: Vec<&String> = one.as_object().unwrap().keys().collect();
    fields.sort();
    let names = "id limit peer point service session side since text waited";
    assert_eq!(fields, names.split(' ').collect::<Vec<_>>());
    let peer = client.stream().local_addr().unwrap().to_string();
    assert_eq!(
        (&one["id"], &one["peer"], &one["service"]),
        (&json!(1), &json!(peer), &json!("smtp"))
    );
    assert_eq!(
        (&one["point"], &one["side"], &one["limit"]),
        (&json!("smtp.rcpt"), &json!("command"), &json!(300))
    );
    assert_eq!(one["text"], RCPT.trim_end());
    assert!(held(dir, &["list"], 0).0.contains(RCPT.trim_end()));
    // Other connections go on, and what follows waits.
    client.send("DATA\r\n");
    at_rcpt(&servers).says("NOOP", "250");
    held(dir, &["release", "2"], 1);
    held(dir, &["release", "1"], 0);
    servers.wait_for(".. released 1");
    assert!(client.line().starts_with("250") && client.line().starts_with("354"));
    held(dir, &["release", "1"], 1);
    held(dir, &["release", "all"], 0);
    assert_eq!(listed(dir)["held"], json!([]));
}

#[test]
fn a_command_is_edited_dropped_or_answered_instead() {
    let (dir, mut servers) = breaking(&["smtp.rcpt"]);
    let dir = dir.path();
    let mut client = at_rcpt(&servers);
    client.send("RCPT TO:<eve@localhost>\r\n");
    servers.wait_for("C: RCPT TO:<eve@localhost>");
    servers.wait_for(".. held 1: smtp.rcpt");
    held(
        dir,
        &["edit", "1", r"RCPT TO:<linhphan@localhost>\r\nNOOP\r\nRCPT TO:<eve@localhost>"],
        0,
    );
    servers.wait_for(".. edited 1");
    servers.wait_for("C* RCPT TO:<linhphan@localhost>");
    let replies = [client.line(), client.line(), client.line()];
    assert!(replies[0].starts_with("250") && replies[2].starts_with("550"), "{replies:?}");
    client.send(RCPT);
    servers.wait_for(".. held 2: smtp.rcpt");
    held(dir, &["answer", "2", "451 4.7.1 not now"], 0);
    servers.wait_for(".. answered 2");
    servers.wait_for("S* 451 4.7.1 not now");
    assert_eq!(client.line(), "451 4.7.1 not now");
    client.send(RCPT);
    servers.wait_for(".. held 3: smtp.rcpt");
    held(dir, &["drop", "3"], 0);
    servers.wait_for(".. dropped 3");
    client.says("DATA", "354");
    client.send("Hello\r\n.\r\n");
    assert!(client.line().starts_with("250"));
}

#[test]
fn a_connection_is_killed_with_its_last_word() {
    let (dir, mut servers) = breaking(&["smtp.rcpt", "pop3.stat!"]);
    let mut client = at_rcpt(&servers);
    client.send(RCPT);
    servers.wait_for(".. held 1: smtp.rcpt");
    let mut pop3 = servers.connect("pop3");
    assert!(pop3.log_in("linhphan").starts_with("+OK"));
    pop3.send("STAT\r\n");
    servers.wait_for(".. held 2: pop3.stat!");
    held(dir.path(), &["kill", "all"], 0);
    assert!(client.line().starts_with("421"));
    assert_eq!(client.rest(), "");
    assert!(pop3.line().starts_with("-ERR"));
    assert_eq!(pop3.rest(), "");
}

#[test]
fn a_reply_is_held_behind_those_before_it_and_edited() {
    let (dir, mut servers) = breaking(&["smtp.rcpt!", "smtp.dot!", "smtp.quit!"]);
    let dir = dir.path();
    let mut client = servers.connect("smtp");
    client.send(format!("HELO x\r\nMAIL FROM:<a@b>\r\n{RCPT}"));
    assert!(client.line().starts_with("250") && client.line().starts_with("250"));
    servers.wait_for(".. held 1: smtp.rcpt!");
    let one = &listed(dir)["held"][0];
    assert_eq!(one["side"], "reply");
    assert!(one["text"].as_str().unwrap().starts_with("250"), "{one}");
    held(dir, &["edit", "1", "550 5.1.1 nobody"], 0);
    servers.wait_for("S* 550 5.1.1 nobody");
    assert_eq!(client.line(), "550 5.1.1 nobody");
    // It does not undo what the session did.
    client.says("DATA", "354");
    client.send("Hello\r\n.\r\n");
    servers.wait_for(".. held 2: smtp.dot!");
    let mut pop3 = servers.connect("pop3");
    assert!(pop3.log_in("linhphan").starts_with("+OK"));
    assert_eq!(pop3.messages().len(), 1);
    held(dir, &["drop", "2"], 0);
    client.says("NOOP", "250");
    client.send("QUIT\r\n");
    servers.wait_for(".. held 3: smtp.quit!");
    held(dir, &["answer", "3", r"221 bye\r\n221 bye"], 0);
    assert_eq!(client.rest(), "221 bye\r\n221 bye\r\n");
}

#[test]
fn greetings_texts_and_long_replies_are_held() {
    let (dir, mut servers) = breaking(&[
        "pop3.connect",
        "pop3.retr!",
        "pop3.quit!",
        "smtp.text",
        "smtp.dot",
        "smtp.ehlo!",
    ]);
    let dir = dir.path();
    let mut client = servers.connect("smtp");
    client.begin_message();
    servers.wait_for(".. held 1: smtp.text");
    held(dir, &["edit", "1", "x"], 1);
    held(dir, &["release", "1"], 0);
    client.send(".\r\n");
    servers.wait_for(".. held 2: smtp.dot");
    held(dir, &["release", "all"], 0);
    assert!(client.line().starts_with("250"));
    let mut pop3 = Client::connect(servers.port("pop3"));
    servers.wait_for(".. held 3: pop3.connect!");
    held(dir, &["release", "3"], 0);
    assert!(pop3.line().starts_with("+OK"));
    assert!(pop3.log_in("linhphan").starts_with("+OK"));
    pop3.send("RETR 1\r\n");
    servers.wait_for(".. held 4: pop3.retr!");
    held(dir, &["edit", "4", "+OK mine"], 0);
    assert_eq!(pop3.line(), "+OK mine");
    assert!(pop3.multi_line().ends_with(b"Hello\r\n"));
    pop3.send("RETR 1\r\n");
    servers.wait_for(".. held 5: pop3.retr!");
    held(dir, &["answer", "5", "-ERR none"], 0);
    assert_eq!(pop3.line(), "-ERR none");
    pop3.says("DELE 1", "+OK");
    pop3.send("QUIT\r\n");
    servers.wait_for(".. held 6: pop3.quit!");
    // The work is done, and nothing is locked.
    let mut other = Client::connect(servers.port("pop3"));
    servers.wait_for(".. held 7: pop3.connect!");
    held(dir, &["release", "7"], 0);
    other.line();
    assert!(other.log_in("linhphan").starts_with("+OK"));
    assert!(other.messages().is_empty());
    held(dir, &["release", "6"], 0);
    assert!(pop3.rest().starts_with("+OK"));
}

#[test]
fn an_edited_listing_keeps_its_rows_only_behind_one_good_line_and_ehlo_is_edited_whole() {
    let (dir, mut servers) = breaking_with(
        &["pop3.list!", "smtp.ehlo!"],
        &["--profile", "esmtp", "--break-timeout", "1m"],
    );
    let dir = dir.path();
    let mut pop3 = Client::connect(servers.port("pop3"));
    pop3.line();
    assert!(pop3.log_in("linhphan").starts_with("+OK"));
    for (id, typed, heard) in [
        ("1", "+OK mine", "+OK mine\r\n.\r\n"),
        ("2", "-ERR [SYS/TEMP] later", "-ERR [SYS/TEMP] later\r\n"),
        ("3", r"+OK\r\n1 9\r\n.", "+OK\r\n1 9\r\n.\r\n"),
    ] {
        pop3.send("LIST\r\n");
        servers.wait_for(&format!(".. held {id}: pop3.list!"));
        held(dir, &["edit", id, typed], 0);
        for line in heard.lines() {
            assert_eq!(pop3.line(), line);
        }
    }
    pop3.says("NOOP", "+OK");
    let mut client = Client::connect(servers.port("smtp"));
    client.line();
    client.send("EHLO a\r\n");
    servers.wait_for(".. held 4: smtp.ehlo!");
    held(dir, &["edit", "4", r"250-mine\r\n250 SIZE"], 0);
    assert_eq!((client.line(), client.line()), ("250-mine".to_owned(), "250 SIZE".to_owned()));
    client.says("NOOP", "250");
}

#[test]
fn of_two_servers_that_count_alike_one_carries_out_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let server = |service: &str, at: &str| {
        let mut server = program();
        let more = ["--user", "linhphan", "--break-timeout", "1m", "-v", "--break", at];
        server.args([service, "-p", "0"]).args(more).arg(path).stderr(Stdio::piped());
        Servers::start(server).listening(1)
    };
    let (mut smtp, mut pop3) = (server("smtp", "smtp.noop"), server("pop3", "pop3.noop"));
    let clients = [smtp.connect("smtp"), pop3.connect("pop3")].map(|mut client| {
        client.send("NOOP\r\n");
        client
    });
    smtp.wait_for(".. held 1: smtp.noop");
    pop3.wait_for(".. held 1: pop3.noop");
    let held_now = || held(path, &["--json"], 0).0.matches("\"text\":\"NOOP\"").count();
    assert_eq!(held_now(), 2);
    held(path, &["drop", "1"], 0);
    assert_eq!(held_now(), 1);
    held(path, &["drop", "1"], 0);
    assert_eq!(held_now(), 0);
    held(path, &["drop", "1"], 1);
    drop(clients);
}

#[test]
fn an_echo_server_alone_is_asked_in_the_directory_that_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let mut echo = program();
    echo.args(["echo", "-p", "0", "--break", "echo.line", "--break-timeout", "1m", "-v", "--dir"]);
    echo.arg(path).stderr(Stdio::piped());
    let mut servers = Servers::start(echo).listening(1);
    let mut client = Client::connect(servers.port("echo"));
    client.line();
    client.send("ECHO hi\r\n");
    servers.wait_for(".. held 1: echo.line");
    assert_eq!(listed(path)["held"][0]["service"], "echo");
    held(path, &["release", "1"], 0);
    assert_eq!(client.line(), "+OK hi");
}

#[test]
fn a_chunk_whose_command_is_dropped_is_no_command() {
    let (dir, mut servers) = breaking_with(
        &["smtp.other to=*", "smtp.other! nth=2"],
        &["--break-timeout", "1m", "--profile", "everything"],
    );
    let mut client = servers.connect("smtp");
    client.send("EHLO x\r\n");
    while !client.line().starts_with("250 ") {}
    client.says("MAIL FROM:<a@b>", "250");
    client.says("RCPT TO:<linhphan@localhost>", "250");
    client.send("BDAT 6\r\nNOOP\r\n");
    servers.wait_for(".. held 1: smtp.other");
    held(dir.path(), &["answer", "1", "451 no"], 0);
    assert_eq!(client.line(), "451 no");
    client.send("BDAT 6\r\nNOOP\r\n");
    servers.wait_for(".. held 2: smtp.other");
    held(dir.path(), &["release", "2"], 0);
    servers.wait_for(".. held 3: smtp.other!");
    held(dir.path(), &["release", "3"], 0);
    assert!(client.line().starts_with("250"));
    client.says("RSET", "250");
}

#[test]
fn a_password_is_masked_in_what_is_listed() {
    let (dir, mut servers) = breaking(&["pop3.pass", "smtp.auth"]);
    let mut pop3 = servers.connect("pop3");
    pop3.send("USER linhphan\r\nPASS cis505\r\n");
    servers.wait_for(".. held 1: pop3.pass");
    let mut smtp = servers.connect("smtp");
    smtp.send("AUTH PLAIN AGJvYgB4\r\n");
    servers.wait_for(".. held 2: smtp.auth");
    let list = listed(dir.path());
    assert_eq!(list["held"][0]["text"], "PASS ******");
    assert_eq!(list["held"][1]["text"], "AUTH PLAIN ******");
    assert_eq!(list["held"][0]["limit"], Value::Null);
}

#[test]
fn rules_see_what_is_let_go_and_the_words_of_rules_are_held() {
    let fault = ["--fault", "smtp.rcpt nth=2 : 451 4.7.1 of a rule", "--break-timeout", "1m"];
    let (dir, mut servers) = breaking_with(&["smtp.rcpt", "smtp.rcpt! nth=2"], &fault);
    let mut client = at_rcpt(&servers);
    client.send("RCPT TO:<nobody@localhost>\r\n");
    servers.wait_for(".. held 1: smtp.rcpt");
    // The edited command is the first one.
    held(dir.path(), &["edit", "1", RCPT.trim_end()], 0);
    assert!(client.line().starts_with("250"));
    client.send(RCPT);
    servers.wait_for(".. held 2: smtp.rcpt");
    held(dir.path(), &["release", "2"], 0);
    servers.wait_for(".. held 3: smtp.rcpt!");
    assert_eq!(listed(dir.path())["held"][0]["text"], "451 4.7.1 of a rule");
    held(dir.path(), &["release", "3"], 0);
    assert_eq!(client.line(), "451 4.7.1 of a rule");
}

#[test]
fn nothing_is_held_for_longer_than_said() {
    let (dir, mut servers) =
        breaking_with(&["echo.line"], &["--break-timeout", "20ms", "--idle", "1"]);
    let mut client = servers.connect("echo");
    client.says("ECHO hello", "+OK hello");
    servers.wait_for(".. released 1: held for 0.02 s");
    assert_eq!(listed(dir.path())["held"], json!([]));
}

#[test]
fn a_hundred_are_held_and_the_oldest_of_more_goes_on() {
    let (dir, mut servers) = breaking(&["echo.line"]);
    let mut clients: Vec<Client> = (0..100).map(|_| servers.connect("echo")).collect();
    for (nth, client) in clients.iter_mut().enumerate() {
        client.send(format!("ECHO {nth}\r\n"));
        servers.wait_for(&format!(".. held {}: echo.line", nth + 1));
    }
    let mut last = servers.connect("echo");
    last.send("ECHO last\r\n");
    servers.wait_for(".. released 1: over 100 are held");
    assert_eq!(clients[0].line(), "+OK 0");
    assert_eq!(listed(dir.path())["held"].as_array().unwrap().len(), 100);
    held(dir.path(), &["release", "all"], 0);
    for (nth, client) in clients.iter_mut().enumerate().skip(1) {
        assert_eq!(client.line(), format!("+OK {nth}"));
    }
    assert_eq!(last.line(), "+OK last");
}

#[test]
fn a_peer_that_leaves_is_held_no_longer() {
    // Also behind more than is read meanwhile.
    for more in [1, 100, 2_000] {
        let (dir, mut servers) = breaking(&["echo.line"]);
        let mut client = servers.connect("echo");
        client.send("ECHO 1\r\n");
        servers.wait_for(".. held 1: echo.line");
        client.send("ECHO of twenty octets\r\n".repeat(more));
        drop(client);
        servers.wait_for("Connection closed");
        assert_eq!(listed(dir.path())["held"], json!([]));
        held(dir.path(), &["release", "1"], 1);
    }
}

#[test]
fn a_shutdown_ends_all_holds_within_a_second() {
    let (_dir, mut servers) = breaking(&["smtp.noop", "smtp.rset!"]);
    let mut clients = [servers.connect("smtp"), servers.connect("smtp")];
    clients[0].send("NOOP\r\n");
    servers.wait_for(".. held 1: smtp.noop");
    clients[1].send("RSET\r\n");
    servers.wait_for(".. held 2: smtp.rset!");
    let began = Instant::now();
    servers.signal(Signal::SIGTERM);
    for client in clients {
        assert!(client.rest().starts_with("421"));
    }
    assert!(servers.wait().0.success());
    assert!(began.elapsed() < A_SECOND, "{:?}", began.elapsed());
}

#[test]
fn what_a_held_client_says_is_taken_up_to_a_line_and_comes_in_order() {
    let (dir, mut servers) = breaking(&["echo.line nth=1"]);
    let mut client = servers.connect("echo");
    client.send("ECHO 0\r\n");
    servers.wait_for(".. held 1: echo.line");
    let lines: Vec<String> = (1..3_000).map(|nth| format!("ECHO {nth}\r\n")).collect();
    let many = lines.concat();
    client.send(many);
    held(dir.path(), &["release", "1"], 0);
    for nth in 0..3_000 {
        assert_eq!(client.line(), format!("+OK {nth}"));
    }
}

#[test]
fn orders_and_breakpoints_that_cannot_be_read_are_wrong_use() {
    let (dir, _servers) = breaking(&["smtp.rcpt"]);
    for (arguments, words) in [
        (&["lsit"][..], "did you mean list?"),
        (&["release"], "which of those"),
        (&["release", "one"], "\"one\" is no ID"),
        (&["edit", "1"], "edit ID TEXT"),
        (&["edit", "1", r"\q"], "there is no such escape"),
        (&["answer", "all", "250 ok"], "one at a time"),
    ] {
        let (stdout, stderr) = held(dir.path(), arguments, 2);
        assert!(stdout.is_empty() && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    let empty = tempfile::tempdir().unwrap();
    held(empty.path(), &["list"], 3);
    let starts = |arguments: &[&str]| {
        let mut command = program();
        let output = command.args(all_three(empty.path())).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = starts(&["--break", "smtp.rcp", "--break-timeout", "1m"]);
    assert!(
        wrong.starts_with("mailconsole: --break: there is no point smtp.rcp\n  smtp.rcp\n  ^ "),
        "{wrong}"
    );
    assert!(starts(&["--break", "smtp.rcpt"]).contains("--break-timeout"));
}

#[test]
fn a_hold_is_told_as_events() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events");
    let place = events.to_str().unwrap();
    let more = ["--break", "echo.any", "--break-timeout", "1m", "--events", place, "-v"];
    let mut servers = Servers::on(dir.path(), &more);
    let mut client = servers.connect("echo");
    client.send("QUIT\r\n");
    servers.wait_for(".. held 1: echo.quit");
    held(dir.path(), &["release", "1"], 0);
    let mut rest = String::new();
    client.stream().read_to_string(&mut rest).unwrap();
    servers.signal(Signal::SIGTERM);
    servers.wait();
    let events = std::fs::read_to_string(events).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<Value> = events.filter(|event| event["event"] == "held").collect();
    let whats: Vec<&Value> = told.iter().map(|event| &event["what"]).collect();
    assert_eq!(whats, ["held", "released"]);
    assert_eq!(
        (&told[0]["rule"], &told[0]["point"], &told[0]["id"]),
        (&json!("echo.any"), &json!("echo.quit"), &json!(1))
    );
}
