//! Couriers who share what goes one way: how many there are, what a refusal means to them, and
//! what becomes of mail that hosts hang up at or never hear of.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailconsole::relay::run::Choice;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::runs::{Ready, RelayHandle};

async fn queued(post: RelayHandle, messages: usize) -> Ready {
    let post = post.ready();
    for _ in 0..messages {
        post.queue(&["a@x.example"]).await;
    }
    post
}

/// A host that takes its time behind the dot, and tells when it has a text.
fn slow(heard: Heard<'_>) -> Act {
    match heard {
        Heard::Text => Act::Drip(b"250 ok\r\n".to_vec()),
        heard => polite(heard),
    }
}

#[tokio::test]
async fn a_host_that_takes_one_connection_gets_all_over_that_one() {
    for refusal in ["554 5.7.1 one at a time", "421 4.7.0 too many", "521 no", "450 later"] {
        let host = MailHost::taking(1, refusal, polite).await;
        let post = queued(RelayHandle::new().route("x.example", &host).bouncing(), 30).await;
        post.relay.directory.create("ben").expect("a mailbox");
        let summary = post.run_all().await;
        assert_eq!((summary.tally.delivered, summary.left), (30, 0), "{refusal}");
        assert_eq!((summary.tally.failed, summary.tally.deferred), (0, 0), "{refusal}");
        // Who was refused stepped aside, once.
        assert!(host.connections() <= 2, "{refusal}: {}", host.connections());
        let told = std::fs::read(post.dir.path().join("ben.mbox")).expect("a mailbox");
        assert_eq!(told, b"", "{refusal}");
    }
}

#[tokio::test]
async fn a_host_that_takes_one_connection_and_one_message_on_it_gets_all_the_same() {
    let host = MailHost::taking(1, "554 one at a time", |heard| match heard {
        Heard::Text => Act::SayAndClose("250 taken".to_owned()),
        heard => polite(heard),
    })
    .await;
    let post = queued(RelayHandle::new().route("x.example", &host), 10).await;
    let mut runs = 0;
    // It may not have noticed yet that a connection is gone when the next one comes: then what is
    // left waits for the next run, and nothing fails.
    while post.run_all().await.left > 0 {
        runs += 1;
        assert!(runs < 10, "{:?}", post.recipients());
        assert!(post.recipients().iter().all(|line| line.starts_with('P')));
    }
    assert_eq!(host.texts().len(), 10);
}

#[tokio::test]
async fn where_all_hosts_refuse_all_is_deferred_with_what_they_say() {
    let host = MailHost::that(|_| say("554 5.3.2 no mail here")).await;
    let post = queued(RelayHandle::new().route("x.example", &host).bouncing(), 5).await;
    post.relay.directory.create("ben").expect("a mailbox");
    assert_eq!(post.run_all().await.left, 5);
    assert_eq!(post.recipients(), ["P 1 <a@x.example> 554 5.3.2 no mail here"; 5]);
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn connections_grow_up_to_the_limit_while_the_host_answers() {
    for (most, messages) in [(1, 3), (3, 12), (5, 20)] {
        let host = MailHost::that(slow).await;
        let post = RelayHandle::new().route("x.example", &host).connections(most);
        let post = queued(post, messages).await;
        assert_eq!(post.run_all().await.left, 0);
        assert_eq!((host.most_open(), host.connections()), (most, most));
        assert_eq!(host.texts().len(), messages);
    }
}

#[tokio::test]
async fn no_more_connect_than_there_is_to_carry() {
    let host = MailHost::that(slow).await;
    let post = queued(RelayHandle::new().route("x.example", &host), 2).await;
    assert_eq!(post.run_all().await.left, 0);
    assert!(host.connections() <= 2, "{} connections", host.connections());
}

#[tokio::test]
async fn a_host_that_has_not_answered_has_one_connection() {
    let silent = MailHost::that(|_| Act::Silence).await;
    let post = queued(RelayHandle::new().route("x.example", &silent).impatient(), 20).await;
    assert_eq!(post.run_all().await.tally.deferred, 20);
    assert_eq!(silent.connections(), 1);
}

/// What a host hangs up at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Mail,
    Rcpt,
    Data,
    Dot,
}

/// Hangs up, at this place, at messages from `bad@localhost`. For one connection at a time.
async fn host_that_hangs_up_at_bad_ones(at: At) -> MailHost {
    let in_hand = AtomicBool::new(false);
    MailHost::that(move |heard| {
        let place = match heard {
            Heard::Command(line) if line.starts_with("MAIL") => {
                in_hand.store(line.contains("<bad@"), Relaxed);
                Some(At::Mail)
            }
            Heard::Command(line) if line.starts_with("RCPT") => Some(At::Rcpt),
            Heard::Command("DATA") => Some(At::Data),
            Heard::Text => Some(At::Dot),
            _ => None,
        };
        let hangs_up = in_hand.load(Relaxed) && place == Some(at);
        if hangs_up { Act::Close } else { polite(heard) }
    })
    .await
}

#[tokio::test]
async fn mail_behind_messages_that_a_host_hangs_up_at_is_not_counted_as_tried_and_gets_through() {
    for at in [At::Mail, At::Rcpt, At::Data, At::Dot] {
        let host = host_that_hangs_up_at_bad_ones(at).await;
        let post = RelayHandle::new().route("x.example", &host).connections(1).ready();
        for _ in 0..8 {
            post.queue_text("bad@localhost", &["bad@x.example"], "x\r\n").await;
        }
        for _ in 0..10 {
            post.queue(&["good@x.example"]).await;
        }
        let first = post.run_all().await;
        assert_eq!((first.tally.deferred, first.left), (3, 18), "{at:?}");
        let tried = |name: &str, attempts: char| {
            let lines = post.recipients().into_iter();
            let begins = format!("P {attempts} <{name}@");
            lines.filter(|line| line.starts_with(&begins)).count()
        };
        assert_eq!(
            (tried("bad", '1'), tried("bad", '0'), tried("good", '0')),
            (3, 5, 10),
            "{at:?}"
        );
        let why = "<good@x.example> not offered: 127.0.0.1 broke off 3 conversations in a row";
        assert!(post.recipients().iter().any(|line| line.contains(why)), "{at:?}");
        // What broke last time comes last now, so that the third run reaches the good ones.
        post.run_all().await;
        assert_eq!((tried("bad", '1'), tried("good", '0')), (6, 10), "{at:?}");
        let third = post.run_all().await;
        assert_eq!((third.tally.delivered, tried("good", '0')), (10, 0), "{at:?}");
        assert!(post.recipients().iter().all(|line| !line.contains("good")), "{at:?}");
    }
}

/// So many hosts that say nothing, each for a domain of its own that comes before all others.
async fn silent_domains(
    mut post: RelayHandle,
    count: usize,
) -> (RelayHandle, Vec<MailHost>, Vec<String>) {
    let (mut hosts, mut recipients) = (Vec::new(), Vec::new());
    for nth in 0..count {
        let domain = format!("a{nth}.example");
        let host = MailHost::that(|_| Act::Silence).await;
        post = post.route(&domain, &host);
        recipients.push(format!("a@{domain}"));
        hosts.push(host);
    }
    (post, hosts, recipients)
}

/// At an address that comes after those of all others.
async fn telling_host() -> (MailHost, UnboundedReceiver<()>) {
    let (said, heard_text) = mpsc::unbounded_channel();
    let host = MailHost::at("127.0.0.9:0", move |heard| {
        if let Heard::Text = heard {
            let _ = said.send(());
        }
        polite(heard)
    })
    .await;
    (host, heard_text)
}

/// How long it takes until healthy domains have their mail beside silent ones, of whom each would
/// be waited for a minute.
async fn healthy_beside_silent(silent: usize) -> Duration {
    let (post, silent, recipients) = silent_domains(RelayHandle::new(), silent).await;
    let (healthy, mut heard_text) = telling_host().await;
    let post = post.route("z.example", &healthy).ready();
    for _ in 0..6 {
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        post.queue(&recipients).await;
        post.queue(&["a@z.example"]).await;
    }
    let (relay, began) = (Arc::clone(&post.relay), Instant::now());
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    for _ in 0..6 {
        heard_text.recv().await.expect("a text");
    }
    let took = began.elapsed();
    post.relay.client.stop.cancel();
    run.await.expect("no panic").expect("a run");
    let most = silent.iter().map(MailHost::most_open).max();
    assert_eq!(most, Some(1));
    took
}

#[tokio::test]
async fn twelve_silent_domains_hold_nobody_up() {
    assert!(healthy_beside_silent(12).await < Duration::from_secs(3));
}

#[tokio::test]
async fn domains_that_do_not_answer_give_way_where_all_connections_are_theirs() {
    assert!(healthy_beside_silent(120).await < Duration::from_secs(20));
}

#[tokio::test]
async fn who_gives_way_is_tried_again_in_the_same_run() {
    // They answer only when all that could be sent elsewhere has been.
    let (post, _silent, recipients) = silent_domains(RelayHandle::new(), 100).await;
    let ready = Arc::new(AtomicBool::new(false));
    let at_last = Arc::clone(&ready);
    let late = MailHost::that(move |heard| match heard {
        Heard::Connection if !at_last.load(Relaxed) => Act::Silence,
        heard => polite(heard),
    })
    .await;
    let (healthy, mut heard_text) = telling_host().await;
    let post = post.route("a.example", &late).route("z.example", &healthy).ready();
    post.queue(&["a@a.example", "a@z.example"]).await;
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    post.queue(&recipients).await;
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    heard_text.recv().await.expect("a text");
    ready.store(true, Relaxed);
    let mut changes = post.relay.progress.changes();
    while post.relay.progress.tally().is_some_and(|tally| tally.delivered < 2) {
        changes.changed().await.expect("progress");
    }
    post.relay.client.stop.cancel();
    run.await.expect("no panic").expect("a run");
    assert_eq!(late.texts().len(), 1);
    assert!(late.connections() >= 2, "{} connections", late.connections());
}

#[tokio::test]
async fn who_steps_aside_gives_back_what_it_had_in_hand() {
    // The second connection is refused only after its letter has been taken from the list.
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let host = MailHost::taking(1, "554 one at a time", move |heard| {
        if let Heard::Command(line) = heard
            && line.starts_with("RCPT")
        {
            noted.lock().expect("notes").push(line.to_owned());
        }
        slow(heard)
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    for nth in 0..4 {
        post.queue(&[&format!("{nth}@x.example")]).await;
    }
    let summary = post.run_all().await;
    assert_eq!((summary.tally.delivered, summary.left), (4, 0));
    let order = order.lock().expect("notes").clone();
    let expected = ["0", "1", "2", "3"].map(|nth| format!("RCPT TO:<{nth}@x.example>"));
    assert_eq!(order, expected);
}
