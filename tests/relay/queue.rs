//! The queue on the command line: what is chosen, shown, counted and ordered, and what is said of
//! a queue that is none.

use std::fmt::Write;

use crate::command::{Ended, RelayHandle, program};
use crate::mail_host::{Heard, MailHost, polite, say};

/// Seconds of a day.
const DAY: u64 = 86_400;

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a time after 1970").as_secs()
}

/// An entry of the queue file, so old, with these recipient lines and this text.
fn entry(id: &str, sender: &str, age: u64, recipients: &str, text: &str) -> String {
    let queued = now() - age;
    format!(
        "From <MAILER-DAEMON> Wed Sep 17 11:00:00 2025\nX-MC-Id: {id}\nX-MC-From: <{sender}>\n\
         X-MC-Queued: {queued}\n{recipients}X-MC-End:\n{text}\n\n"
    )
}

/// A queue of three messages: new, a week old, and a notification.
fn post() -> RelayHandle {
    let post = RelayHandle::new();
    let one = entry(
        "1-a",
        "ben@localhost",
        60,
        "X-MC-Rcpt: P 0 0 <new@x.example>\nX-MC-Rcpt: P 2 99999999999 <later@y.example> 451 4.7.1 later\n",
        "Subject: one\n\nbody",
    );
    let two = entry(
        "2-b",
        "zoe@elsewhere.example",
        7 * DAY,
        "X-MC-Client: [192.0.2.9] client.example\n\
         X-MC-Rcpt: F 3 0 <never@x.example> 550 5.1.1 no such user\n\
         X-MC-Rcpt: H 0 0 <held@z.example>\n\
         X-MC-Tried: 1758106800 broke-off 4.4.2 - <never@x.example> mx closed the connection\n\
         X-MC-Tried: 1758106900 failed 5.1.1 mx.x.example <never@x.example> 550 5.1.1 no such user\n",
        &format!("Subject: two\n\n{}\x1b[2J\n\ttab\n>From here", "x".repeat(5_000)),
    );
    let three =
        entry("3-c", "", DAY, "X-MC-Rcpt: F 1 0 <never@y.example> 552 full\n", "Subject: 3");
    std::fs::write(post.path("mqueue"), one + &two + &three).expect("written");
    post
}

async fn chosen(post: &RelayHandle, choice: &str) -> Vec<String> {
    let words: Vec<&str> = choice.split_whitespace().collect();
    let names = post.listed(&words).await.into_iter().map(|object| {
        let recipient = object["recipient"].as_str().expect("a recipient");
        recipient.split(".example").next().unwrap_or_default().to_owned()
    });
    names.collect()
}

#[tokio::test]
async fn recipients_are_chosen_by_state_domain_sender_age_size_and_reason() {
    let post = post();
    for (choice, expected) in [
        ("", &["new@x", "later@y", "never@x", "held@z", "never@y"][..]),
        ("--state failed", &["never@x", "never@y"]),
        ("--state pending", &["new@x", "later@y"]),
        ("--state deferred,held", &["later@y", "held@z"]),
        ("--domain X.example", &["new@x", "never@x"]),
        ("--domain x.example,z.example", &["new@x", "never@x", "held@z"]),
        ("--sender <>", &["never@y"]),
        ("--sender ben@localhost", &["new@x", "later@y"]),
        ("--older 2d", &["never@x", "held@z"]),
        ("--newer 2d", &["new@x", "later@y", "never@y"]),
        ("--older 12h --newer 48h", &["never@y"]),
        ("--larger 1K", &["never@x", "held@z"]),
        ("--smaller 15", &["never@y"]),
        ("--reason NO", &["never@x"]),
        ("--state failed --domain x.example --older 1d", &["never@x"]),
        ("--state failed --domain z.example", &[]),
    ] {
        assert_eq!(chosen(&post, choice).await, expected, "{choice}");
    }
}

#[tokio::test]
async fn the_list_ends_with_a_total_and_says_when_nothing_is_like_that() {
    let post = post();
    let list = post.queue_command(&[]).await.stdout;
    let total = "5 recipients of 3 messages, ";
    let ending = list.lines().last().expect("a line");
    assert!(ending.starts_with(total), "{list}");
    assert!(ending.ends_with("1 not tried yet, 1 deferred, 2 failed, 1 held"), "{list}");
    // A time that no wait reaches was set by a wrong clock.
    let row = list.lines().find(|line| line.contains("<later@y.example>")).expect("a row");
    assert!(row.split_whitespace().any(|word| word == "now"), "{row}");
    let some = post.queue_command(&["--state", "failed"]).await.stdout;
    assert!(some.contains("\n2 recipients of 5 of 2 messages, "), "{some}");
    let none = post.queue_command(&["--domain", "nowhere.example"]).await;
    assert_eq!(none.stdout, "Nothing in the relay queue matches; it holds 5 recipients.\n");
    assert_eq!((none.status, none.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_domain_in_the_environment_chooses_nobody() {
    let post = post();
    let mut command = program(&["queue", "--json"]);
    command.arg(post.path("")).env("MAILCONSOLE_DOMAIN", "nowhere.example");
    let ended = Ended::of(command.spawn().expect("the program")).await;
    assert_eq!(ended.stdout.lines().count(), 5, "{}", ended.stderr);
}

#[tokio::test]
async fn json_is_an_object_a_line_and_nothing_where_there_is_nothing() {
    let post = post();
    let list = post.queue_command(&["--json"]).await.stdout;
    assert_eq!(list.lines().count(), 5);
    let first: serde_json::Value =
        serde_json::from_str(list.lines().next().expect("a line")).expect("an object");
    assert_eq!((&first["id"], &first["state"]), (&"1-a".into(), &"pending".into()));
    assert_eq!(RelayHandle::new().queue_command(&["--json"]).await.stdout, "");
}

#[tokio::test]
async fn an_order_for_a_choice_is_one_pass_and_says_how_many() {
    let post = post();
    let drop = ["drop", "--state", "failed", "--domain", "y.example"];
    let ended = post.queue_command(&drop).await;
    assert_eq!(ended.stdout, "1 recipient of 1 message dropped\n");
    assert_eq!(chosen(&post, "").await, ["new@x", "later@y", "never@x", "held@z"]);
    let held = post.queue_command(&["hold", "--older", "1d", "--all"]).await;
    assert_eq!(held.stdout, "1 recipient of 1 message held\n");
    let retry = post.queue_command(&["retry", "2-b/never@x.example", "--state", "held"]).await;
    assert_eq!(retry.stdout, "1 recipient of 1 message to be retried\n");
    let nobody = post.queue_command(&["retry", "2-b", "--state", "failed"]).await;
    assert_eq!(nobody.stdout, "0 recipients of 0 messages to be retried\n");
    assert_eq!(chosen(&post, "--state pending").await, ["new@x", "later@y", "never@x"]);
    for words in [&["drop"][..], &["drop", "1-a", "--all"]] {
        let wrong = post.queue_command(words).await;
        assert_eq!(wrong.status, Some(2), "{words:?}: {}", wrong.stderr);
    }
    assert_eq!(chosen(&post, "").await.len(), 4);
    let all = post.queue_command(&["drop", "--all"]).await;
    assert_eq!(all.stdout, "4 recipients of 2 messages dropped\n");
    assert_eq!(post.file(), "");
}

/// As many as no command line holds.
const MANY: usize = 30_000;

#[tokio::test]
async fn ids_come_from_stdin_however_many_and_those_that_are_gone_are_passed_over() {
    let post = RelayHandle::new();
    let mut file = String::new();
    let mut ids = String::new();
    for nth in 0..MANY {
        file.push_str(&entry(&nth.to_string(), "a@b", 60, "X-MC-Rcpt: P 0 0 <a@x.example>\n", ""));
        if nth != 7 {
            let _ = writeln!(ids, "{nth}");
        }
    }
    std::fs::write(post.path("mqueue"), file).expect("written");
    ids.push_str("gone-1\ngone-2/a@b\n\n");
    let ended = post.queue_command_with(&["drop", "-"], ids).await;
    let dropped = MANY - 1;
    assert_eq!(ended.stdout, format!("{dropped} recipients of {dropped} messages dropped\n"));
    assert!(ended.stderr.contains("2 of the IDs from stdin"), "{}", ended.stderr);
    assert_eq!(post.listed(&[]).await[0]["id"], "7");
    let none = post.queue_command_with(&["drop", "-"], String::new()).await;
    assert_eq!(none.stdout, "0 recipients of 0 messages dropped\n");
    assert_eq!(post.listed(&[]).await.len(), 1);
}

#[tokio::test]
async fn one_entry_is_shown_with_its_envelope_every_attempt_and_the_message() {
    let post = post();
    let shown = post.queue_command(&["show", "2-b"]).await.stdout;
    for words in [
        "From     <zoe@elsewhere.example>\n",
        "Client   client.example [192.0.2.9]\n",
        "To       <never@x.example>  failed, 3 tries\n         550 5.1.1 no such user\n",
        "To       <held@z.example>  held, 0 tries\n",
        "  <never@x.example>  broke-off 4.4.2: mx closed the connection\n",
        "  <never@x.example>  failed 5.1.1 mx.x.example: 550 5.1.1 no such user\n",
        "\nSubject: two\n",
        "x\\x1b[2J\n\ttab\nFrom here\n",
    ] {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
    assert!(shown.contains(&"x".repeat(5_000)));
    let one = post.queue_command(&["show", "2-b/held@z.example"]).await.stdout;
    assert!(!one.contains("never@x.example"), "{one}");
    let raw = post.queue_command(&["show", "--raw", "2-b"]).await.stdout;
    let text =
        format!("Subject: two\r\n\r\n{}\x1b[2J\r\n\ttab\r\nFrom here\r\n", "x".repeat(5_000));
    assert!(raw == text, "{raw}");
    let gone = post.queue_command(&["show", "9-z"]).await;
    assert_eq!(gone.status, Some(1));
    assert!(gone.stderr.contains("9-z"), "{}", gone.stderr);
}

#[tokio::test]
async fn a_summary_counts_by_domain_and_age_and_by_reason() {
    let post = post();
    let summary = post.queue_command(&["--summary"]).await.stdout;
    let lines: Vec<Vec<&str>> =
        summary.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(
        lines.contains(&vec!["x.example", "2", "1", "0", "0", "0", "0", "0", "1"]),
        "{summary}"
    );
    assert!(
        lines.contains(&vec!["y.example", "2", "1", "0", "0", "0", "0", "1", "0"]),
        "{summary}"
    );
    assert!(lines.contains(&vec!["1", "failed", "552", "full"]), "{summary}");
    assert!(summary.lines().last().is_some_and(|line| line.starts_with("5 recipients of 3")));
    let some = post.queue_command(&["--summary", "--state", "held", "--json"]).await.stdout;
    assert_eq!(some.lines().count(), 2, "{some}");
}

#[tokio::test]
async fn a_run_may_be_for_a_domain_an_entry_or_a_sender() {
    let host = MailHost::that(polite).await;
    let all = |post: RelayHandle| {
        ["x", "y", "z"]
            .iter()
            .fold(post, |post, domain| post.route(&format!("{domain}.example"), &host))
    };
    for (only, sent) in [
        ("y.example", &["later@y"][..]),
        ("Y.Example", &["later@y"]),
        ("1-a", &["new@x", "later@y"]),
        ("1-a/new@x.example", &["new@x"]),
        ("ben@localhost", &["new@x", "later@y"]),
        ("x.example,y.example", &["new@x", "later@y"]),
        ("z.example", &[]),
    ] {
        let post = all(post());
        let ended = post.relay(&["--only", only]).await;
        assert_eq!(ended.status, Some(75), "{only}: {}", ended.stderr);
        let left = chosen(&post, "").await;
        assert_eq!(left.len(), 5 - sent.len(), "{only}: {left:?}");
        assert!(!left.iter().any(|one| sent.contains(&one.as_str())), "{only}: {left:?}");
        assert_eq!(ended.stderr.contains("nothing pending matches"), sent.is_empty());
    }
}

#[tokio::test]
async fn we_introduce_ourselves_as_an_operator_says() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host);
    post.queue(&["a@x.example"], "one").await;
    assert_eq!(post.relay(&["--helo", "out.example.org"]).await.status, Some(0));
    assert_eq!(host.commands()[0], "HELO out.example.org");
    let text = String::from_utf8(host.texts().remove(0)).expect("text");
    assert!(text.starts_with("Received: from unknown by localhost "), "{text}");
    let wrong = post.relay(&["--helo", "a b"]).await;
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("for '--helo <NAME>': write a host name"), "{}", wrong.stderr);
}

#[tokio::test]
async fn what_is_no_queue_is_named_with_what_to_do_about_it() {
    let directory = RelayHandle::new();
    std::fs::create_dir(directory.path("mqueue")).expect("a directory");
    let link = RelayHandle::new();
    std::os::unix::fs::symlink("/dev/null", link.path("mqueue")).expect("a link");
    let foreign = RelayHandle::new();
    std::fs::write(foreign.path("mqueue"), "this is no mbox\n").expect("written");
    let irregular = "the relay queue is not a regular file: something else has the name mqueue. Move \
                     it out of the directory";
    let no_mbox = "the relay queue is not an mbox file: it begins with \"this is no mbox\", not with a \
                   From line; put one before it, or move the file away";
    for (post, what) in [(&directory, irregular), (&link, irregular), (&foreign, no_mbox)] {
        let queue = [
            post.queue_command(&[]).await,
            post.queue_command(&["--summary"]).await,
            post.queue_command(&["drop", "--all"]).await,
            post.queue_command(&["show", "1"]).await,
            post.relay(&[]).await,
        ];
        for ended in queue {
            assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
            assert!(ended.stderr.contains(what), "{}", ended.stderr);
            assert_eq!(ended.stderr.matches('\n').count(), 1, "{}", ended.stderr);
        }
    }
    assert_eq!(std::fs::read(foreign.path("mqueue")).expect("a file"), b"this is no mbox\n");
}

#[tokio::test]
async fn what_is_due_later_than_any_wait_is_long_is_due() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("451 later"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host);
    let due = now() + 400 * DAY;
    let waits = format!("X-MC-Rcpt: P 1 {due} <a@x.example> 451 later\n");
    std::fs::write(post.path("mqueue"), entry("1", "a@b", 60, &waits, "x")).expect("written");
    let mut command = program(&["smtp", "-p", "0", "--relay-every", "1"]);
    let route = format!("--route=x.example={}", host.address);
    let servers = command.arg(route).arg(post.path("")).spawn().expect("the program");
    let wait = async {
        while !host.commands().iter().any(|line| line.starts_with("RCPT")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), wait).await.expect("it waits");
    crate::command::signal(&servers, nix::sys::signal::Signal::SIGTERM);
    Ended::of(servers).await;
}
