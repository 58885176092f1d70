//! Whole relay runs: from the queue file to mail hosts, and what the file says afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconsole::mail::dsn::RecipientDsn;
use mailconsole::mail::parameters::MailParameters;
use mailconsole::relay::conversation::opening::{Hello, Protection};
use mailconsole::relay::limits::TO_ONE_HOST;
use mailconsole::relay::mx::{Loopback, Own};
use mailconsole::relay::orders::{Order, QueueTarget};
use mailconsole::relay::progress::Progress;
use mailconsole::relay::resolver::Dns;
use mailconsole::relay::route::{Routes, Smarthost};
use mailconsole::relay::run::{Bounces, Choice, Relay, RunError, Summary};
use mailconsole::store::directory::{Directory, Durability, Envelope};
use mailconsole::store::queue::RemoteRecipient;

use crate::harness;
use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::name_server::{Answer, NameServer, at, mx};

/// A directory with a relay that finds all hosts by routes.
pub(crate) struct RelayHandle {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) relay: Relay<Dns>,
}

impl RelayHandle {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(dir.path(), Durability::Synced).expect("a directory");
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let relay = Relay {
            directory,
            domain: "localhost".to_owned(),
            helo: "localhost".to_owned(),
            hello: Hello::Helo,
            protection: Protection::Opportunistic,
            routes: Routes {
                named: BTreeMap::new(),
                smarthost: None,
                port: 25,
                own: Own::default(),
            },
            resolver: Arc::new(Dns::at(nobody, Duration::from_millis(200))),
            client: Arc::new(harness::Relay::new().client),
            connections_per_domain: TO_ONE_HOST,
            bounces: Bounces::Never,
            progress: Progress::default(),
        };
        Self { dir, relay }
    }

    pub(crate) fn route(mut self, domain: &str, host: &MailHost) -> Self {
        let host = host.address.to_string().parse().expect("a host");
        self.relay.routes.named.insert(domain.to_owned(), host);
        self
    }

    pub(crate) fn impatient(mut self) -> Self {
        self.relay.client = Arc::new(harness::Relay::new().impatient().client);
        self
    }

    /// At most so many connections to the hosts of one domain.
    pub(crate) fn connections(mut self, most: usize) -> Self {
        self.relay.connections_per_domain = most;
        self
    }

    pub(crate) fn bouncing(mut self) -> Self {
        self.relay.bounces = Bounces::ToLocalSenders;
        self
    }

    pub(crate) fn with_ehlo(mut self) -> Self {
        self.relay.hello = Hello::Ehlo;
        self
    }

    pub(crate) fn ready(self) -> Ready {
        Ready { dir: self.dir, relay: Arc::new(self.relay) }
    }
}

pub(crate) struct Ready {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) relay: Arc<Relay<Dns>>,
}

impl Ready {
    pub(crate) async fn queue(&self, recipients: &[&str]) {
        self.queue_text("ben@localhost", recipients, "Subject: x\r\n\r\nHello\r\n").await;
    }

    /// Queues what a client has sent with these parameters of MAIL, and of RCPT for each recipient.
    pub(crate) async fn queue_asking(
        &self,
        mail: (&str, &str),
        recipients: &[(&str, &str)],
        text: &str,
    ) {
        let mut message = self.relay.directory.new_text();
        message.push(text.as_bytes());
        let remote = recipients.iter().map(|&(path, asked)| RemoteRecipient {
            path: path.to_owned(),
            dsn: RecipientDsn::parse(asked).unwrap_or_default(),
        });
        let envelope = Envelope {
            reverse_path: mail.0.to_owned(),
            remote: remote.collect(),
            parameters: MailParameters::parse(mail.1).unwrap_or_default(),
            ..Envelope::default()
        };
        self.relay.directory.deliver(envelope, message).await.expect("queued");
    }

    pub(crate) async fn queue_text(&self, reverse_path: &str, recipients: &[&str], text: &str) {
        let mut message = self.relay.directory.new_text();
        message.push(text.as_bytes());
        let envelope = Envelope {
            reverse_path: reverse_path.to_owned(),
            remote: recipients.iter().map(|&recipient| recipient.into()).collect(),
            ..Envelope::default()
        };
        self.relay.directory.deliver(envelope, message).await.expect("queued");
    }

    pub(crate) async fn run(&self, choice: Choice) -> Summary {
        self.relay.run(&choice).await.expect("a run")
    }

    pub(crate) async fn run_all(&self) -> Summary {
        self.run(Choice::All).await
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("mqueue")
    }

    /// The recipient lines of the queue file, without the time of the next attempt.
    pub(crate) fn recipients(&self) -> Vec<String> {
        recipients_in(&self.file())
    }

    pub(crate) async fn order(&self, order: Order, recipient: Option<&str>) {
        let entries = self.relay.directory.queue().entries().await.expect("entries");
        let recipient = recipient.map(str::to_owned);
        let targets = entries
            .iter()
            .map(|entry| QueueTarget { id: entry.block.id.clone(), recipient: recipient.clone() });
        order.give(&self.relay.directory.queue(), targets.collect()).await.expect("obeyed");
    }
}

fn recipients_in(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("X-MC-Rcpt: "));
    let without_time = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (letter, attempts, _time, rest) = (word(), word(), word(), word());
        format!("{letter} {attempts} {rest}")
    };
    lines.map(without_time).collect()
}

#[tokio::test]
async fn what_is_delivered_leaves_the_queue() {
    let (x, y) = (MailHost::that(polite).await, MailHost::that(polite).await);
    let post = RelayHandle::new().route("x.example", &x).route("y.example", &y).ready();
    post.queue(&["a@x.example", "b@y.example", "c@x.example"]).await;
    let summary = post.run_all().await;
    assert_eq!((summary.tally.recipients, summary.tally.delivered, summary.left), (3, 3, 0));
    assert_eq!(std::fs::read(post.file()).expect("the file"), b"");
    let rcpt = |host: &MailHost| {
        let commands = host.commands().into_iter();
        commands.filter(|line| line.starts_with("RCPT")).collect::<Vec<_>>()
    };
    assert_eq!(rcpt(&x), ["RCPT TO:<a@x.example>", "RCPT TO:<c@x.example>"]);
    assert_eq!(rcpt(&y), ["RCPT TO:<b@y.example>"]);
    let text = String::from_utf8(x.texts().remove(0)).expect("UTF-8");
    let (received, rest) = text.split_once("\r\n").expect("a line");
    let begins = "Received: from unknown by localhost (mailconsole) with SMTP id ";
    assert!(received.starts_with(begins), "{received}");
    assert_eq!(rest, "Subject: x\r\n\r\nHello\r\n");
}

#[tokio::test]
async fn what_is_not_delivered_stays_with_the_reason() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => say("451 4.7.1 greylisted"),
        Heard::Command("RCPT TO:<c@x.example>") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example", "b@x.example", "c@x.example"]).await;
    let summary = post.run_all().await;
    assert_eq!(summary.left, 2);
    assert_eq!(
        post.recipients(),
        ["P 1 <b@x.example> 451 4.7.1 greylisted", "F 1 <c@x.example> 550 5.1.1 no such user"]
    );
}

#[tokio::test]
async fn a_person_tries_the_deferred_at_once_and_a_timer_when_they_are_due() {
    let moods = Arc::new(Mutex::new(vec!["250 ok", "451 later"]));
    let host = MailHost::that(move |heard| match heard {
        Heard::Text => say(moods.lock().expect("moods").pop().unwrap_or("250 ok")),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    assert_eq!(post.run(Choice::Due).await.tally.deferred, 1);
    assert_eq!(post.run(Choice::Due).await.tally.recipients, 0);
    assert_eq!(post.recipients(), ["P 1 <a@x.example> 451 later"]);
    assert_eq!(post.run_all().await.left, 0);
}

#[tokio::test]
async fn the_failed_and_the_held_wait_for_an_operator() {
    let refuse = Arc::new(Mutex::new(true));
    let refused = Arc::clone(&refuse);
    let host = MailHost::that(move |heard| match heard {
        Heard::Command("RCPT TO:<a@x.example>") if *refused.lock().expect("it") => say("550 no"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example", "b@x.example"]).await;
    post.order(Order::Hold, Some("b@x.example")).await;
    post.run_all().await;
    *refuse.lock().expect("it") = false;
    assert_eq!(post.run_all().await.left, 2);
    assert_eq!(post.recipients(), ["F 1 <a@x.example> 550 no", "H 0 <b@x.example>"]);
    post.order(Order::Retry, Some("a@x.example")).await;
    assert_eq!(post.run_all().await.left, 1);
    post.order(Order::Release, None).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.texts().len(), 2);
}

#[tokio::test]
async fn a_run_may_be_for_one_recipient() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example", "b@x.example"]).await;
    let entries = post.relay.directory.queue().entries().await.expect("entries");
    let id = entries[0].block.id.clone();
    let target = QueueTarget { id, recipient: Some("b@x.example".to_owned()) };
    assert_eq!(post.run(Choice::Only(BTreeSet::from([target]))).await.left, 1);
    assert_eq!(post.recipients(), ["P 0 <a@x.example>"]);
}

#[tokio::test]
async fn a_delivery_is_marked_before_anything_else_is_said() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let post = RelayHandle::new();
    let file = post.dir.path().join("mqueue");
    let noted = Arc::clone(&seen);
    let host = MailHost::that(move |heard| {
        if let Heard::Command("QUIT" | "MAIL FROM:<ben@localhost>") = heard {
            noted.lock().expect("notes").push(recipients_in(&file));
        }
        polite(heard)
    })
    .await;
    let post = post.route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    post.run_all().await;
    assert_eq!(*seen.lock().expect("notes"), [["P 0 <a@x.example>"], ["D 0 <a@x.example>"]]);
}

#[tokio::test]
async fn what_an_earlier_run_has_marked_is_not_sent_again() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    post.queue(&["b@x.example"]).await;
    let queue = post.relay.directory.queue();
    let entries = queue.entries().await.expect("entries");
    queue.mark_delivered(&entries[0], vec![0]).await.expect("marked");
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.texts().len(), 1);
}

#[tokio::test]
async fn a_message_without_envelope_is_left_as_it_is() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    let foreign = "From x Wed Sep 17 11:00:00 2025\nSubject: not ours\n\nbody\n\n";
    std::fs::write(post.file(), foreign).expect("written");
    post.queue(&["a@x.example"]).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(std::fs::read_to_string(post.file()).expect("the file"), foreign);
}

#[tokio::test]
async fn mail_that_is_queued_during_a_run_stays_for_the_next() {
    let (said, mut heard_mail) = tokio::sync::mpsc::unbounded_channel();
    let host = MailHost::that(move |heard| match heard {
        Heard::Command(line) if line.starts_with("MAIL") => {
            let _ = said.send(());
            Act::Drip(b"250 slow\r\n".to_vec())
        }
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    heard_mail.recv().await.expect("a conversation");
    post.queue(&["b@x.example"]).await;
    assert!(matches!(post.relay.run(&Choice::All).await, Err(RunError::UnderWay)));
    assert_eq!(run.await.expect("no panic").expect("a run").left, 1);
    assert_eq!(post.recipients(), ["P 0 <b@x.example>"]);
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.texts().len(), 2);
}

#[tokio::test]
async fn who_is_dropped_or_held_during_a_run_is_not_sent_to() {
    let (said, mut heard_mail) = tokio::sync::mpsc::unbounded_channel();
    let host = MailHost::that(move |heard| match heard {
        Heard::Command("RCPT TO:<a@x.example>") => {
            let _ = said.send(());
            Act::Drip(b"250 slow\r\n".to_vec())
        }
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).connections(2).ready();
    // Two agents take one each; the others wait until these are delivered.
    post.queue(&["a@x.example"]).await;
    post.queue(&["a@x.example"]).await;
    post.queue(&["late@x.example"]).await;
    post.queue(&["held@x.example"]).await;
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    heard_mail.recv().await.expect("a conversation");
    heard_mail.recv().await.expect("another conversation");
    post.order(Order::Drop, Some("late@x.example")).await;
    post.order(Order::Hold, Some("held@x.example")).await;
    run.await.expect("no panic").expect("a run");
    assert_eq!(post.recipients(), ["H 0 <held@x.example>"]);
    assert!(!host.commands().iter().any(|line| line.contains("late@") || line.contains("held@")));
}

#[tokio::test]
async fn the_mark_of_a_delivery_finds_its_recipient_where_another_has_been_dropped() {
    let (said, mut heard_rcpt) = tokio::sync::mpsc::unbounded_channel();
    let marks = Arc::new(Mutex::new(Vec::new()));
    let post = RelayHandle::new();
    let (file, noted) = (post.dir.path().join("mqueue"), Arc::clone(&marks));
    let host = MailHost::that(move |heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => {
            let _ = said.send(());
            Act::Drip(b"250 slow\r\n".to_vec())
        }
        Heard::Command("QUIT") => {
            noted.lock().expect("notes").extend(recipients_in(&file));
            polite(heard)
        }
        heard => polite(heard),
    })
    .await;
    let post = post.route("x.example", &host).ready();
    post.queue(&["a@elsewhere.example", "b@x.example", "c@elsewhere.example"]).await;
    post.order(Order::Hold, Some("a@elsewhere.example")).await;
    post.order(Order::Hold, Some("c@elsewhere.example")).await;
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    heard_rcpt.recv().await.expect("a conversation");
    post.order(Order::Drop, Some("a@elsewhere.example")).await;
    run.await.expect("no panic").expect("a run");
    assert_eq!(*marks.lock().expect("notes"), ["D 0 <b@x.example>", "H 0 <c@elsewhere.example>"]);
    assert_eq!(post.recipients(), ["H 0 <c@elsewhere.example>"]);
}

#[tokio::test]
async fn a_silent_host_does_not_hold_up_the_others_and_a_stop_ends_the_run() {
    let silent = MailHost::that(|_| Act::Silence).await;
    let (said, mut heard_text) = tokio::sync::mpsc::unbounded_channel();
    let host = MailHost::that(move |heard| {
        if let Heard::Text = heard {
            let _ = said.send(());
        }
        polite(heard)
    })
    .await;
    let post = RelayHandle::new().route("a.example", &silent).route("x.example", &host).ready();
    for _ in 0..5 {
        post.queue(&["a@a.example", "b@x.example"]).await;
    }
    let relay = Arc::clone(&post.relay);
    let run = tokio::spawn(async move { relay.run(&Choice::All).await });
    for _ in 0..5 {
        heard_text.recv().await.expect("a text");
    }
    post.relay.client.stop.cancel();
    let summary = run.await.expect("no panic").expect("a run");
    assert_eq!(summary.left, 5);
    // It is as if they had not been tried: nobody has refused them.
    assert_eq!(post.recipients(), ["P 0 <a@a.example>"; 5]);
}

#[tokio::test]
async fn a_thousand_messages_go_out_once_each_over_few_connections() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    for n in 0..1_000 {
        let text = format!("Subject: {n}\r\n\r\n");
        post.queue_text("ben@localhost", &["a@x.example"], &text).await;
    }
    assert_eq!(post.run_all().await.left, 0);
    let texts: BTreeSet<Vec<u8>> = host.texts().into_iter().collect();
    assert_eq!((host.texts().len(), texts.len()), (1_000, 1_000));
    assert!(host.connections() <= TO_ONE_HOST, "{} connections", host.connections());
}

#[tokio::test]
async fn a_smarthost_gets_all_recipients_of_a_message_at_once() {
    let host = MailHost::that(polite).await;
    let mut post = RelayHandle::new();
    let smarthost = host.address.to_string().parse().expect("a host");
    post.relay.routes.smarthost = Some(Smarthost { host: smarthost, login: None, tls: None });
    let post = post.ready();
    post.queue(&["a@x.example", "b@y.example"]).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.texts().len(), 1);
}

#[tokio::test]
async fn a_message_that_goes_in_circles_fails() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    let text = "Received: from x by y; z\r\n".repeat(101) + "\r\nbody\r\n";
    post.queue_text("ben@localhost", &["a@x.example"], &text).await;
    assert_eq!(post.run_all().await.left, 1);
    assert!(
        post.recipients()[0]
            .starts_with("F 1 <a@x.example> mail loop: more than 100 Received fields")
    );
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_local_sender_is_told_and_the_entry_goes() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).bouncing().ready();
    post.relay.directory.create("ben").expect("a mailbox");
    post.queue(&["a@x.example", "b@x.example"]).await;
    assert_eq!(post.run_all().await.left, 0);
    let mailbox = std::fs::read_to_string(post.dir.path().join("ben.mbox")).expect("the mailbox");
    assert!(mailbox.starts_with("From <MAILER-DAEMON> "), "{mailbox}");
    assert!(mailbox.contains("\nFinal-Recipient: rfc822; b@x.example\r\n"), "{mailbox}");
    assert!(mailbox.contains("\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"), "{mailbox}");
    assert!(!mailbox.contains("a@x.example"), "{mailbox}");
}

#[tokio::test]
async fn nobody_is_told_where_there_is_nobody_to_tell() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 no"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).bouncing().ready();
    post.relay.directory.create("ben").expect("a mailbox");
    for reverse_path in ["", "nobody@localhost", "ben@elsewhere.example"] {
        post.queue_text(reverse_path, &["a@x.example"], "x\r\n").await;
    }
    assert_eq!(post.run_all().await.left, 3);
    assert_eq!(post.recipients(), ["F 1 <a@x.example> 550 no"; 3]);
    assert_eq!(std::fs::read(post.dir.path().join("ben.mbox")).expect("the mailbox"), b"");
}

#[tokio::test]
async fn after_five_days_a_deferral_fails() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("451 later"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    let block = "X-MC-Id: 1\nX-MC-From: <>\nX-MC-Queued: 1000000000\n\
                 X-MC-Rcpt: P 99 0 <a@x.example> 451 later\nX-MC-End:\n";
    let entry = format!("From <MAILER-DAEMON> Wed Sep 17 11:00:00 2025\n{block}Subject: x\n\n\n");
    std::fs::write(post.file(), entry).expect("written");
    post.run(Choice::Due).await;
    assert_eq!(post.recipients(), ["F 100 <a@x.example> 451 later; given up after 5 days"]);
}

#[tokio::test]
async fn what_cannot_be_an_address_fails_and_stays_visible() {
    let post = RelayHandle::new().ready();
    let block = "X-MC-Id: 1\nX-MC-From: <a b>\nX-MC-Queued: 1000000000\n\
                 X-MC-Rcpt: P 0 0 <nobody>\nX-MC-Rcpt: P 0 0 <a@[nonsense]>\nX-MC-End:\n";
    let entry = format!("From <MAILER-DAEMON> Wed Sep 17 11:00:00 2025\n{block}Subject: x\n\n\n");
    std::fs::write(post.file(), entry).expect("written");
    post.run_all().await;
    let recipients = post.recipients();
    assert!(recipients[0].starts_with("F 1 <nobody> “nobody” is not an address"), "{recipients:?}");
    assert!(recipients[1].starts_with("F 1 <a@[nonsense]> [nonsense] is neither a domain nor"));
}

#[tokio::test]
async fn hosts_are_found_with_the_name_servers() {
    let host = MailHost::that(polite).await;
    let server = NameServer::of(|name, kind| {
        use hickory_proto::rr::RecordType::{A, MX};
        match (name, kind) {
            ("x.example", MX) => Answer::Records(vec![mx(10, "mx.x.example.")]),
            ("mx.x.example", A) => Answer::Records(vec![at("127.0.0.1")]),
            ("null.example", MX) => Answer::Records(vec![mx(0, ".")]),
            ("servfail.example", _) => Answer::ServFail,
            _ => Answer::NxDomain,
        }
    })
    .await;
    let mut post = RelayHandle::new().impatient();
    post.relay.resolver = Arc::new(Dns::at(server.address, Duration::from_secs(5)));
    post.relay.routes.port = host.address.port();
    post.relay.routes.own.loopback = Loopback::Allowed;
    let post = post.ready();
    let recipients =
        ["a@x.example", "b@null.example", "c@servfail.example", "d@gone.example", "e@[127.0.0.1]"];
    post.queue(&recipients).await;
    post.run_all().await;
    let left = post.recipients();
    assert_eq!(left[0], "F 1 <b@null.example> null.example takes no mail (null MX)");
    assert!(left[1].starts_with("P 1 <c@servfail.example> no mail host of servfail.example found"));
    assert_eq!(left[2], "F 1 <d@gone.example> the domain gone.example does not exist");
    assert_eq!(left.len(), 3);
    assert_eq!(host.texts().len(), 2);
}

#[tokio::test]
async fn loopback_is_refused_unless_it_is_allowed() {
    let host = MailHost::that(polite).await;
    let mut post = RelayHandle::new();
    post.relay.routes.port = host.address.port();
    let post = post.ready();
    post.queue(&["a@[127.0.0.1]"]).await;
    assert_eq!(post.run_all().await.left, 1);
    assert!(post.recipients()[0].contains("loops back to this machine"));
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn the_board_tells_what_was_found_and_tried() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("451 later"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.queue(&["a@x.example"]).await;
    post.run_all().await;
    let entries = post.relay.directory.queue().entries().await.expect("entries");
    let target = QueueTarget::one(&entries[0].block.id, "a@x.example");
    let progress = &post.relay.progress;
    assert_eq!(progress.tally(), None);
    let attempts = progress.attempts(&target);
    assert_eq!((attempts.len(), attempts[0].number), (1, 1));
    assert_eq!(attempts[0].verdict.diagnosis().reason.as_str(), "451 later");
    let live = progress.live(std::slice::from_ref(&target));
    assert_eq!((live[0].sending, live[0].last.as_ref()), (None, attempts.last()));
    let hosts = post.relay.hosts_of("c@X.example").expect("looked up").expect("found");
    assert_eq!(hosts[0].address, host.address);
}
