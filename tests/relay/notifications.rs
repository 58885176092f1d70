//! What senders are told, and when: behind the results, also by a later run, and hardly ever
//! twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconsole::relay::orders::Order;
use mailconsole::relay::run::{Bounces, Choice};
use nix::sys::signal::Signal;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::command::{self, Ended};
use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::runs::{Ready, RelayHandle};

fn refusing(heard: Heard<'_>) -> Act {
    match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    }
}

/// How often the mailbox tells of each message, by its id in the queue.
fn told(mailbox: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(mailbox).expect("a mailbox");
    let mut told = BTreeMap::new();
    for id in text.lines().filter_map(|line| line.strip_prefix("X-Mailconsole-Queue-ID: ")) {
        *told.entry(id.to_owned()).or_default() += 1;
    }
    told
}

/// Waits until something is so, which it soon will be.
async fn soon(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), wait).await.expect("it never happens");
}

/// A later run, which was not told to stop, and with or without notifications.
fn later(mut post: Ready, bounces: Bounces) -> Ready {
    let relay = Arc::get_mut(&mut post.relay).expect("no run");
    relay.bounces = bounces;
    Arc::get_mut(&mut relay.client).expect("no connection").stop = CancellationToken::new();
    post
}

#[tokio::test]
async fn results_are_written_before_a_locked_mailbox_is_waited_for_and_a_stop_ends_that() {
    let host = MailHost::that(refusing).await;
    let post = RelayHandle::new().route("x.example", &host).bouncing().ready();
    for sender in ["ben", "linh", "zoe"] {
        post.relay.directory.create(sender).expect("a mailbox");
        post.queue_text(&format!("{sender}@localhost"), &["a@x.example"], "x\r\n").await;
    }
    for locked in ["ben", "linh"] {
        std::fs::write(post.dir.path().join(format!("{locked}.mbox.lock")), "").expect("a lock");
    }
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    soon(|| post.recipients().iter().filter(|line| line.starts_with('F')).count() >= 2).await;
    // Who has no locked mailbox is told meanwhile.
    soon(|| told(&post.dir.path().join("zoe.mbox")).len() == 1).await;
    let stopped = Instant::now();
    post.relay.client.stop.cancel();
    let summary = run.await.expect("no panic").expect("a run");
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
    assert_eq!(summary.left, 2);

    // They are owed still.
    for locked in ["ben", "linh"] {
        std::fs::remove_file(post.dir.path().join(format!("{locked}.mbox.lock"))).expect("a lock");
    }
    let post = later(post, Bounces::ToLocalSenders);
    assert_eq!(post.run(Choice::Due).await.left, 0);
    for sender in ["ben", "linh", "zoe"] {
        let mailbox = post.dir.path().join(format!("{sender}.mbox"));
        assert_eq!(told(&mailbox).into_values().collect::<Vec<_>>(), [1], "{sender}");
    }
}

#[tokio::test]
async fn what_failed_without_notifications_is_told_by_a_later_run_with_them() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.contains("<b@") => say("451 later"),
        heard => refusing(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.relay.directory.create("ben").expect("a mailbox");
    post.queue(&["a@x.example", "b@x.example"]).await;
    post.queue(&["c@x.example"]).await;
    post.run_all().await;
    let mailbox = post.dir.path().join("ben.mbox");
    assert!(told(&mailbox).is_empty());
    // Whoever is retried has not failed any more.
    post.order(Order::Retry, Some("c@x.example")).await;
    post.order(Order::Hold, Some("c@x.example")).await;
    let post = later(post, Bounces::ToLocalSenders);
    assert_eq!(post.run(Choice::Due).await.tally.recipients, 0);
    assert_eq!(
        post.recipients(),
        ["P 1 <b@x.example> 451 later", "H 1 <c@x.example> 550 5.1.1 no such user"]
    );
    let text = std::fs::read_to_string(&mailbox).expect("a mailbox");
    for words in [
        "\nFinal-Recipient: rfc822; a@x.example\r\n",
        "\nStatus: 5.1.1\r\n",
        "\nRemote-MTA: dns; 127.0.0.1\r\n",
        "\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
    ] {
        assert_eq!(text.matches(words).count(), 1, "{words:?} in {text}");
    }
    post.run(Choice::Due).await;
    assert_eq!(told(&mailbox).into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_sender_at_an_address_of_this_machine_is_told() {
    let host = MailHost::that(refusing).await;
    let post = RelayHandle::new().route("x.example", &host).bouncing().ready();
    post.relay.directory.create("ben").expect("a mailbox");
    for sender in ["ben@[127.0.0.1]", "ben@[IPv6:::1]", "ben@[192.0.2.1]"] {
        post.queue_text(sender, &["a@x.example"], "x\r\n").await;
    }
    assert_eq!(post.run_all().await.left, 1);
    assert_eq!(told(&post.dir.path().join("ben.mbox")).len(), 2);
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_locked_mailboxes_and_results_are_kept() {
    let host = MailHost::that(refusing).await;
    let post = command::RelayHandle::new().route("x.example", &host);
    for nth in 0..5 {
        std::fs::write(post.path(&format!("u{nth}.mbox")), "").expect("a mailbox");
        std::fs::write(post.path(&format!("u{nth}.mbox.lock")), "").expect("a lock");
        post.queue_from(&format!("u{nth}@localhost"), &["a@x.example"], "x").await;
    }
    let run = post.begin(&["--bounce"]);
    soon(|| post.file().matches("X-MC-Rcpt: F 1 0 ").count() == 5).await;
    let signalled = Instant::now();
    command::signal(&run, Signal::SIGTERM);
    let ended = Ended::of(run).await;
    assert!(signalled.elapsed() < Duration::from_secs(2), "{:?}", signalled.elapsed());
    assert_eq!(ended.status, Some(75), "{}", ended.stderr);
    assert_eq!(post.file().matches("X-MC-Rcpt: F 1 0 ").count(), 5);
    for nth in 0..5 {
        std::fs::remove_file(post.path(&format!("u{nth}.mbox.lock"))).expect("a lock");
    }
    assert_eq!(post.relay(&["--bounce"]).await.status, Some(0));
    for nth in 0..5 {
        assert_eq!(told(&post.path(&format!("u{nth}.mbox"))).len(), 1);
    }
}

/// Messages that fail, all of one sender.
const FAILURES: usize = 60;

/// Notifications that one death may repeat: those of one batch.
const REPEATED: usize = 10;

#[tokio::test]
async fn a_relay_that_is_killed_while_it_tells_a_sender_repeats_little_and_forgets_nothing() {
    let host = MailHost::that(refusing).await;
    let post = command::RelayHandle::new().route("x.example", &host);
    let mailbox = post.path("ben.mbox");
    std::fs::write(&mailbox, "").expect("a mailbox");
    for nth in 0..FAILURES {
        post.queue(&["a@x.example"], &nth.to_string()).await;
    }
    post.relay(&[]).await;
    let moments = [1, 15, 30, 45];
    for moment in moments {
        let mut run = post.begin(&["--bounce"]);
        soon(|| told(&mailbox).len() >= moment).await;
        run.kill().expect("a process");
        run.wait().expect("an end");
    }
    assert_eq!(post.relay(&["--bounce"]).await.status, Some(0));
    let told = told(&mailbox);
    assert_eq!(told.len(), FAILURES);
    let repeated: usize = told.values().map(|times| times - 1).sum();
    assert!(repeated <= moments.len() * REPEATED, "{told:?}");
}
