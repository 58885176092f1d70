//! `mailconsole check client` against a right client of each protocol and deliberately wrong ones:
//! each wrong one fails, for the right reason. By the real program, and clients in Python.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::process::Output;

use program::{has_python, program};
use serde_json::Value;

/// Where the clients are.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/check_client.py");

const SMTP: &str = "smtp {host} {port} {from} {message} {to} {to2}";
const POP3: &str = "pop3 {host} {port} {user} {password} {out}";

fn check(options: &str, command: &[&str]) -> Output {
    let mut check = program();
    check.args(["check", "client"]).args(options.split_whitespace());
    if !command.is_empty() {
        check.arg("--").args(command);
    }
    check.output().unwrap()
}

/// What is found of the client with this flaw in these scenarios.
fn found(flaw: &str, words: &str, scenarios: &str) -> Value {
    let protocol = words.split(' ').next().unwrap();
    let command: Vec<&str> =
        ["python3", CLIENTS, flaw].into_iter().chain(words.split(' ')).collect();
    let output = check(&format!("{protocol} {scenarios} --json --patience 6s"), &command);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Asserts that a client fails in a scenario, and why.
#[track_caller]
fn fails(flaw: &str, words: &str, scenario: &str, why: &str) {
    let found = found(flaw, words, scenario);
    let result = &found["results"][0];
    assert_eq!(result["verdict"], "fail", "{flaw}: {result:#}");
    assert!(result["reason"].as_str().unwrap().contains(why), "{flaw}: {result:#}");
    let marked = result["line"].as_u64().unwrap();
    let conversation = result["conversation"].as_array().unwrap();
    assert!(usize::try_from(marked).unwrap() < conversation.len(), "{result:#}");
}

/// Asserts that the right client fails nowhere, and passes wherever it is judged and reached.
#[track_caller]
fn passes(words: &str, least: u64) {
    let found = found("none", words, "");
    let bad: Vec<&Value> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| {
            let is_free = matches!(
                result["name"].as_str().unwrap(),
                "cannot-verify" | "lie" | "unstuffed" | "lone-dot"
            );
            let verdict = result["verdict"].as_str().unwrap();
            verdict == "fail" || (verdict == "info") != is_free
        })
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(found["pass"].as_u64().unwrap() >= least, "{}", found["pass"]);
}

#[test]
fn a_right_client_that_sends_passes_wherever_it_is_judged() {
    if has_python("a_right_client_that_sends_passes_wherever_it_is_judged") {
        passes(SMTP, 40);
    }
}

#[test]
fn a_right_client_that_fetches_passes_wherever_it_is_judged() {
    if has_python("a_right_client_that_fetches_passes_wherever_it_is_judged") {
        passes(POP3, 24);
    }
}

#[test]
fn each_wrong_client_that_sends_fails_for_what_it_does() {
    if !has_python("each_wrong_client_that_sends_fails_for_what_it_does") {
        return;
    }
    for (flaw, scenario, why) in [
        ("goes-on", "ehlo-421", "went on with HELO client after 421"),
        ("text-anyway", "wrong-250", "sent the text after 250"),
        ("first-line", "mixed-codes", "went on with DATA although 250-"),
        ("says-sent", "lost-before", "said that the message was sent (exit 0), and nothing"),
        ("says-sent", "lost-after", "although no reply has told so"),
        ("never-fails", "busy", "said that the message was sent (exit 0), and nothing"),
        ("says-failed", "quit-drop", "said that sending failed (exit 1) although 250"),
        ("gives-up", "one-refused", "sent nothing to the recipient that was accepted"),
        ("repeats", "sender-refused", "although 550 5.7.1 sender refused is final"),
        ("repeats", "sender-later", "at once after 451"),
        ("spins", "mute-dot", "of the processor"),
        ("talks-first", "late-greeting", "said EHLO client before the greeting"),
        ("careless", "double-reply", "took each reply for that of the command before"),
        ("careless", "no-code", "went on with RCPT although ok had accepted nothing"),
        ("careless", "all-refused", "went on with DATA although 550"),
        ("careless", "idle-421", "for the reply to EHLO client, and went on with HELO client"),
        ("skips", "no-code", "which cannot be read"),
        ("no-tls-no-matter", "tls-cut", "sent its password in the clear"),
        ("waits", "quit-mute", "hangs for the reply to QUIT"),
        ("swallows", "long-reply", "a reply line of 2 MB"),
    ] {
        fails(flaw, SMTP, scenario, why);
    }
}

#[test]
fn each_wrong_client_that_fetches_fails_for_what_it_does() {
    if !has_python("each_wrong_client_that_fetches_fails_for_what_it_does") {
        return;
    }
    for (flaw, scenario, why) in [
        ("takes-parts", "cut-retr", "delivered a part of message 2"),
        ("takes-parts", "no-dot", "delivered message 1, whose end had not come"),
        ("deletes-all", "retr-later", "deleted message 1, which it had not fetched whole"),
        ("spins", "pop-idle", "of the processor"),
        ("trusts-ids", "uid-same", "deleted message 2, which it had not fetched whole"),
        ("forgets", "no-update", "fetched message 1 twice"),
        ("counts", "size-less", "delivered a part of message 1"),
        ("endless", "loop-retr", "needs a bound"),
        ("tries-again", "in-use", "repeated PASS ****** at once after -ERR [IN-USE]"),
        ("tries-again", "sys-perm", "is final"),
        ("never-fails", "bad-password", "could not log in"),
    ] {
        fails(flaw, POP3, scenario, why);
    }
}

/// Ten messages a minute are taken.
#[test]
fn a_client_that_sends_many_messages_must_slow_down() {
    if !has_python("a_client_that_sends_many_messages_must_slow_down") {
        return;
    }
    let one = format!(
        "python3 {CLIENTS} none smtp {{host}} {{port}} {{from}} {{message}} {{to}} {{to2}}"
    );
    for (script, verdict, why) in [
        (format!("for i in 1 2 3 4 5 6 7 8 9; do {one} || exit; done"), "skip", "smtp.mail"),
        (format!("for i in 1 2 3 4 5 6 7 8 9 0 1; do {one} || exit; done"), "pass", "(exit 0)"),
        (format!("for i in 1 2 3 4 5 6 7 8 9 0 1 2; do {one}; done"), "fail", "at once after 421"),
    ] {
        let output = check("smtp rate --json", &["sh", "-c", &script]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let result = &found["results"][0];
        assert_eq!(result["verdict"], verdict, "{result:#}");
        assert!(result["reason"].as_str().unwrap().contains(why), "{result:#}");
    }
}

#[test]
fn a_client_that_waits_as_long_as_it_may_is_neither_right_nor_wrong() {
    if !has_python("a_client_that_waits_as_long_as_it_may_is_neither_right_nor_wrong") {
        return;
    }
    let found = found("waits", SMTP, "mute-dot");
    let result = &found["results"][0];
    assert_eq!(result["verdict"], "info", "{result:#}");
    assert!(result["reason"].as_str().unwrap().contains("10 minutes"), "{result:#}");
    assert_eq!(result["runs"][0]["timed_out"], true);
    assert_eq!(result["runs"][0]["exit"], Value::Null);
    assert_eq!(found["info"], 1);
}

#[test]
fn what_the_client_cannot_reach_is_skipped() {
    let output = check("smtp one-later too-many busy", &["false"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = stdout.lines().take(3).collect();
    assert_eq!(
        lines,
        [
            "skip busy (5321 3.8, 4.2.2): the client never connected",
            "skip one-later (5321 4.2.1, 4.5.4.1): the command has no {to2}",
            "skip too-many (5321 4.5.3.1.10): the command has no {to101}",
        ]
    );
    assert!(stdout.ends_with("\nall: 0 pass, 0 fail, 0 info, 3 skip\n"), "{stdout}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_status_says_whether_anything_failed_or_could_not_be_tried() {
    let status = |options: &str, command: &[&str]| check(options, command).status.code();
    assert_eq!(status("smtp busy", &["there-is-no-such-command"]), Some(3));
    assert_eq!(status("smtp busy", &[]), Some(2));
    assert_eq!(status("smtp --explain busy", &[]), Some(0));
    assert_eq!(status("imap", &["true"]), Some(2));
    let unknown = check("smtp bussy", &["true"]);
    assert_eq!(unknown.status.code(), Some(2));
    let stderr = String::from_utf8(unknown.stderr).unwrap();
    assert!(stderr.contains("there is no scenario bussy: did you mean busy?"), "{stderr}");
    if has_python("the_status_says_whether_anything_failed_or_could_not_be_tried") {
        let junit = tempfile::tempdir().unwrap();
        let file = junit.path().join("junit.xml");
        let options = format!("smtp quit-drop --junit {}", file.display());
        let command = ["python3", CLIENTS, "says-failed", "smtp", "{host}", "{port}", "{from}"];
        let command: Vec<&str> = command.into_iter().chain(["{message}", "{to}"]).collect();
        assert_eq!(status(&options, &command), Some(1));
        let xml = std::fs::read_to_string(file).unwrap();
        assert!(xml.contains("<testcase name=\"quit-drop\" classname=\"smtp.rfc5321\""), "{xml}");
        assert!(xml.contains("<failure message=\"it said that sending failed"), "{xml}");
    }
}

#[test]
fn a_list_names_the_scenarios_of_a_protocol() {
    let names = String::from_utf8(check("pop3 --list", &[]).stdout).unwrap();
    let names: Vec<&str> = names.lines().collect();
    assert_eq!((names.len(), names[0]), (31, "pop-busy"));
    let some = String::from_utf8(check("smtp --list tls-c*", &[]).stdout).unwrap();
    assert_eq!(some, "tls-cut\ntls-ca\n");
}

#[test]
fn what_a_command_leaves_behind_is_ended_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let file = file.display();
    for script in [
        format!("sleep 600 & echo $! >{file}; setsid sleep 600 & wait"),
        // A daemon: of another session, and its parent has gone.
        format!(
            "rm {file}; (setsid sh -c 'echo $$ >{file}; exec sleep 600' &); \
             until [ -s {file} ]; do :; done"
        ),
    ] {
        let output = check("smtp busy --patience 1s", &["sh", "-c", &script]);
        assert_eq!(output.status.code(), Some(0));
        let id = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        assert!(stat.is_err() || stat.unwrap().contains(") Z "), "it still runs: {script}");
    }
}
