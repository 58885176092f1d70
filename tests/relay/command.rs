//! The relay as its users start it: the program itself, its exit status, what it prints, and what
//! is left when it is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mailconsole::mail::machine;
use mailconsole::store::directory::{Directory, Durability, Envelope};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Notify;

use crate::mail_host::{Act, Heard, MailHost, polite, say};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailconsole");

/// Exit status when something is left.
const LEFT: Option<i32> = Some(75);

/// A directory with a queue that the program works on.
pub(crate) struct RelayHandle {
    dir: tempfile::TempDir,
    routes: Vec<String>,
}

impl RelayHandle {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), routes: Vec::new() }
    }

    pub(crate) fn route(mut self, domain: &str, host: &MailHost) -> Self {
        self.routes.push(format!("--route={domain}={}", host.address));
        self
    }

    /// Queues a message through a process of its own, as an SMTP server would.
    pub(crate) async fn queue(&self, recipients: &[&str], text: &str) {
        self.queue_from("ben@localhost", recipients, text).await;
    }

    pub(crate) async fn queue_from(&self, reverse_path: &str, recipients: &[&str], text: &str) {
        let directory =
            Directory::open(self.dir.path(), Durability::Unsynced).expect("a directory");
        let mut message = directory.new_text();
        message.push(format!("Subject: {text}\r\n\r\nHello\r\n").as_bytes());
        let envelope = Envelope {
            reverse_path: reverse_path.to_owned(),
            remote: recipients.iter().map(|&recipient| recipient.into()).collect(),
            ..Envelope::default()
        };
        directory.deliver(envelope, message).await.expect("queued");
    }

    /// Begins `mailconsole relay DIR`, with the routes.
    pub(crate) fn begin(&self, options: &[&str]) -> Child {
        let mut command = program(&["relay"]);
        command.arg(self.dir.path()).args(&self.routes).args(options);
        command.spawn().expect("the program")
    }

    pub(crate) async fn relay(&self, options: &[&str]) -> Ended {
        Ended::of(self.begin(options)).await
    }

    /// `mailconsole queue …` on the directory.
    pub(crate) async fn queue_command(&self, words: &[&str]) -> Ended {
        let mut command = program(&["queue", "--dir"]);
        command.arg(self.dir.path()).args(words);
        Ended::of(command.spawn().expect("the program")).await
    }

    /// The same, with this on its stdin.
    pub(crate) async fn queue_command_with(&self, words: &[&str], stdin: String) -> Ended {
        let mut command = program(&["queue", "--dir"]);
        command.arg(self.dir.path()).args(words).stdin(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut pipe = child.stdin.take().expect("a pipe");
        tokio::task::spawn_blocking(move || pipe.write_all(stdin.as_bytes()));
        Ended::of(child).await
    }

    /// What waits, and is like this.
    pub(crate) async fn listed(&self, choice: &[&str]) -> Vec<serde_json::Value> {
        let list = self.queue_command(&[&["--json"], choice].concat()).await;
        let objects =
            list.stdout.lines().map(|line| serde_json::from_str(line).expect("an object"));
        objects.collect()
    }

    async fn list(&self) -> Vec<serde_json::Value> {
        self.listed(&[]).await
    }

    pub(crate) fn file(&self) -> String {
        std::fs::read_to_string(self.path("mqueue")).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the program has said and how it has ended.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The hosts of this process go on while it is waited for.
    pub(crate) async fn of(child: Child) -> Self {
        let output = tokio::task::spawn_blocking(move || child.wait_with_output());
        let Output { status, stdout, stderr } = output.await.expect("a task").expect("an end");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = child.id().try_into().expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("a process");
}

/// A host that tells when it has heard something, and what it says then.
async fn host_telling(
    what: impl Fn(Heard<'_>) -> bool + Send + Sync + 'static,
    act: Act,
) -> (MailHost, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let tell = Arc::clone(&told);
    let host = MailHost::that(move |heard| {
        if what(heard) {
            tell.notify_one();
            return act.clone();
        }
        polite(heard)
    })
    .await;
    (host, told)
}

#[tokio::test]
async fn the_exit_status_tells_whether_something_is_left() {
    let host = MailHost::that(polite).await;
    let nobody = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 no such user"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host).route("y.example", &nobody);
    assert_eq!(post.relay(&[]).await.status, Some(0));
    post.queue(&["a@x.example"], "one").await;
    let ended = post.relay(&[]).await;
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.stdout, "1 delivered, 0 deferred, 0 failed; 0 left in the queue\n");
    assert_eq!(ended.stderr, "");
    post.queue(&["a@x.example", "b@y.example"], "two").await;
    let ended = post.relay(&[]).await;
    assert_eq!(ended.status, LEFT);
    assert_eq!(ended.stdout, "1 delivered, 0 deferred, 1 failed; 1 left in the queue\n");
    // What failed is not tried again, and is still there.
    let ended = post.relay(&[]).await;
    assert_eq!(ended.stdout, "0 delivered, 0 deferred, 0 failed; 1 left in the queue\n");
    assert_eq!(ended.status, LEFT);
}

#[tokio::test]
async fn what_is_wrong_is_one_sentence() {
    for (words, status) in [
        (&["relay"][..], 2),
        (&["relay", "/nonexistent/dir"], 1),
        (&["relay", ".", "--route", "x.example"], 2),
        (&["relay", ".", "--smarthost", "a b"], 2),
        (&["relay", ".", "--resolver", "dns.example"], 2),
        (&["relay", ".", "--every", "0"], 2),
        (&["relay", ".", "--smarthost", "h", "--smarthost-user", "u"], 2),
        (&["queue"], 2),
        (&["queue", "hold"], 2),
        (&["queue", "/nonexistent/dir"], 1),
    ] {
        let ended = Ended::of(program(words).spawn().expect("the program")).await;
        assert_eq!(ended.status, Some(status), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconsole: "), "{}", ended.stderr);
        assert_eq!(ended.stderr.matches('\n').count(), 1, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_conversation_has_the_form_of_the_servers() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host);
    post.queue(&["a@x.example"], "one").await;
    let ended = post.relay(&["-v"]).await;
    let (number, _) = ended.stderr.split_once(" New connection\n").expect("a connection");
    assert!(number.starts_with('[') && number.ends_with(']'), "{number}");
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .map(|line| line.strip_prefix(number).expect("one connection").trim_start())
        .filter(|line| !line.ends_with("octets of message text"))
        .collect();
    let expected = [
        "New connection",
        "S: 220 mx.example ready",
        "C: HELO localhost",
        "S: 250 ok",
        "C: MAIL FROM:<ben@localhost>",
        "S: 250 ok",
        "C: RCPT TO:<a@x.example>",
        "S: 250 ok",
        "C: DATA",
        "S: 354 go on",
        "C: .",
        "S: 250 2.0.0 queued",
        "C: QUIT",
        "S: 221 bye",
        "Connection closed",
    ];
    assert_eq!(lines, expected);
    post.queue(&["a@x.example"], "two").await;
    let ended = post.relay(&["-vv"]).await;
    assert!(ended.stderr.contains("] C: Subject: two\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("] C: Received: from unknown by localhost "), "{}", ended.stderr);
}

#[tokio::test]
async fn two_runs_at_once_send_nothing_twice() {
    let (host, begun) = host_telling(|heard| matches!(heard, Heard::Text), say("250 taken")).await;
    let post = RelayHandle::new().route("x.example", &host);
    for number in 0..50 {
        post.queue(&["a@x.example"], &number.to_string()).await;
    }
    let first = post.begin(&[]);
    begun.notified().await;
    let second = post.relay(&[]).await;
    let first = Ended::of(first).await;
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    if second.status == LEFT {
        let sentence = "mailconsole: another relay run is at work on this queue";
        assert!(second.stderr.starts_with(sentence), "{}", second.stderr);
    }
    assert_eq!(host.texts().len(), 50);
    assert_eq!(post.file(), "");
}

#[tokio::test]
async fn what_is_queued_during_a_run_is_there_after_it() {
    // The host takes its time with the text: meanwhile something is queued.
    let (host, waits) =
        host_telling(|heard| matches!(heard, Heard::Text), Act::Drip(b"250 ok\r\n".to_vec())).await;
    let post = RelayHandle::new().route("x.example", &host);
    post.queue(&["a@x.example"], "first").await;
    let run = post.begin(&[]);
    waits.notified().await;
    post.queue(&["b@x.example"], "second").await;
    let ended = Ended::of(run).await;
    assert_eq!(ended.stdout, "1 delivered, 0 deferred, 0 failed; 1 left in the queue\n");
    let list = post.list().await;
    assert_eq!((list.len(), &list[0]["recipient"]), (1, &"b@x.example".into()));
    assert_eq!(post.relay(&[]).await.status, Some(0));
    assert_eq!(host.texts().len(), 2);
}

#[tokio::test]
async fn a_signal_ends_a_run_soon_and_the_queue_is_as_it_was() {
    for ending in [Signal::SIGINT, Signal::SIGTERM] {
        let data = |heard: Heard<'_>| matches!(heard, Heard::Command("DATA"));
        let (host, silent) = host_telling(data, Act::Silence).await;
        let post = RelayHandle::new().route("x.example", &host);
        post.queue(&["a@x.example"], "one").await;
        let before = post.file();
        let run = post.begin(&[]);
        silent.notified().await;
        signal(&run, ending);
        let ended = Ended::of(run).await;
        assert_eq!(ended.status, LEFT, "{}", ended.stderr);
        assert_eq!(post.file(), before);
    }
}

#[tokio::test]
async fn a_relay_that_keeps_running_sends_what_comes_and_ends_with_a_signal() {
    let (host, taken) = host_telling(|heard| matches!(heard, Heard::Text), say("250 taken")).await;
    let post = RelayHandle::new().route("x.example", &host);
    post.queue(&["a@x.example"], "one").await;
    let run = post.begin(&["--every", "1"]);
    taken.notified().await;
    post.queue(&["a@x.example"], "two").await;
    taken.notified().await;
    signal(&run, Signal::SIGTERM);
    let ended = Ended::of(run).await;
    assert_eq!(host.texts().len(), 2);
    assert!(matches!(ended.status, Some(0 | 75)), "{:?} {}", ended.status, ended.stderr);
}

#[tokio::test]
async fn the_servers_send_by_a_timer() {
    let (host, taken) = host_telling(|heard| matches!(heard, Heard::Text), say("250 taken")).await;
    let post = RelayHandle::new().route("x.example", &host);
    post.queue(&["a@x.example"], "one").await;
    let mut command = program(&["smtp", "-p", "0", "--relay-every", "1"]);
    let mut servers = command.args(&post.routes).arg(post.dir.path()).spawn().expect("the program");
    taken.notified().await;
    post.queue(&["a@x.example"], "two").await;
    taken.notified().await;
    let mut line = String::new();
    let stdout = servers.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert!(line.starts_with("smtp: listening on "), "{line}");
    signal(&servers, Signal::SIGINT);
    assert_eq!(Ended::of(servers).await.status, Some(0));
}

/// An SMTP server of the program, and what it says to a client that sends these lines.
struct Server {
    program: Child,
    address: SocketAddr,
}

impl Server {
    fn of(post: &RelayHandle) -> Self {
        let mut command = program(&["smtp", "-p", "0", "--bind", "127.0.0.1"]);
        let mut program = command.arg(post.dir.path()).spawn().expect("the program");
        let mut line = String::new();
        let stdout = program.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let (_, address) = line.trim().rsplit_once(' ').expect("an address");
        Self { address: address.parse().expect("an address"), program }
    }

    fn answers(&self, lines: &[&str]) -> Vec<String> {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.write_all((lines.join("\r\n") + "\r\nQUIT\r\n").as_bytes()).expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("text");
        said.lines().map(str::to_owned).collect()
    }

    async fn ends(self) {
        signal(&self.program, Signal::SIGTERM);
        Ended::of(self.program).await;
    }
}

#[tokio::test]
async fn the_trace_line_says_who_brought_the_message() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host);
    let server = Server::of(&post);
    let long = "v".repeat(255);
    let said = server.answers(&[
        "HELO my_app_1",
        "MAIL FROM:<www-data@my_app_1>",
        "RCPT TO:<dot@x.example.>",
        "RCPT TO:<a@x.example>",
        &format!("RCPT TO:<{long}@x.example>"),
        "DATA",
        "Subject: x",
        "",
        ".",
    ]);
    let codes: Vec<&str> = said.iter().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "501", "250", "250", "354", "250", "221"]);
    server.ends().await;
    assert!(post.file().contains("\nX-MC-Client: [127.0.0.1] my_app_1\n"), "{}", post.file());
    assert_eq!(post.relay(&[]).await.status, Some(0));
    let text = String::from_utf8(host.texts().remove(0)).expect("text");
    let begins = "Received: from my_app_1 ([127.0.0.1]) by localhost (mailconsole) with SMTP id ";
    assert!(text.starts_with(begins), "{text}");
    assert!(text.ends_with("\r\nSubject: x\r\n\r\n"), "{text}");
    let rcpt = host.commands().into_iter().filter(|line| line.starts_with("RCPT"));
    let expected = ["RCPT TO:<a@x.example>".to_owned(), format!("RCPT TO:<{long}@x.example>")];
    assert_eq!(rcpt.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn mail_for_an_address_of_this_machine_is_for_its_users() {
    let post = RelayHandle::new();
    std::fs::write(post.path("ben.mbox"), "").expect("a mailbox");
    let server = Server::of(&post);
    let addresses = machine::addresses().expect("addresses");
    for address in &addresses {
        let literal = match address {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let said = server.answers(&[
            "HELO x",
            "MAIL FROM:<>",
            &format!("RCPT TO:<nobody@{literal}>"),
            &format!("RCPT TO:<ben@{literal}>"),
            "DATA",
            ".",
        ]);
        let codes: Vec<&str> = said.iter().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "550", "250", "354", "250", "221"], "{literal}");
    }
    server.ends().await;
    let mailbox = std::fs::read_to_string(post.path("ben.mbox")).expect("a mailbox");
    assert_eq!(mailbox.matches("From <MAILER-DAEMON>").count(), addresses.len());
    assert!(!post.path("mqueue").exists());
}

#[tokio::test]
async fn a_failure_is_told_to_its_local_sender_if_that_is_wanted() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host);
    std::fs::write(post.dir.path().join("ben.mbox"), "").expect("a mailbox");
    post.queue(&["a@x.example"], "one").await;
    assert_eq!(post.relay(&["--bounce"]).await.status, Some(0));
    let mailbox = std::fs::read_to_string(post.dir.path().join("ben.mbox")).expect("a mailbox");
    assert!(mailbox.contains("message/delivery-status"), "{mailbox}");
    assert!(mailbox.contains("Status: 5.1.1"), "{mailbox}");
}

#[tokio::test]
async fn the_queue_is_listed_for_scripts_and_obeys_orders() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.contains("<b@") => say("451 4.2.0 later"),
        heard => polite(heard),
    })
    .await;
    let post = RelayHandle::new().route("x.example", &host);
    assert_eq!(post.queue_command(&[]).await.stdout, "The relay queue is empty.\n");
    assert_eq!(post.list().await.len(), 0);
    post.queue(&["a@x.example", "b@x.example"], "one").await;
    let list = post.list().await;
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(list[0]["from"], "ben@localhost");
    assert_eq!(list[1]["recipient"], "b@x.example");
    assert_eq!(list[0]["state"], "pending");
    assert_eq!(list[0]["attempts"], 0);
    assert_eq!(list[0]["next_attempt"], serde_json::Value::Null);
    assert_eq!(list[0]["octets"], 23);
    assert!(list[0]["queued"].as_str().is_some_and(|at| at.ends_with('Z')));

    assert_eq!(post.queue_command(&["hold", &id]).await.status, Some(0));
    assert_eq!(post.relay(&[]).await.status, LEFT);
    assert_eq!(host.connections(), 0);
    let one = format!("{id}/b@x.example");
    assert_eq!(post.queue_command(&["release", &one]).await.status, Some(0));
    assert_eq!(post.relay(&[]).await.status, LEFT);
    let list = post.list().await;
    assert_eq!((&list[0]["state"], &list[1]["state"]), (&"held".into(), &"pending".into()));
    assert_eq!(list[1]["last_reply"], "451 4.2.0 later");
    assert_eq!(list[1]["attempts"], 1);
    assert!(list[1]["next_attempt"].as_str().is_some_and(|at| at.ends_with('Z')));

    assert_eq!(post.queue_command(&["drop", &one]).await.status, Some(0));
    assert_eq!(post.queue_command(&["retry", &id]).await.status, Some(0));
    assert_eq!(post.relay(&[]).await.status, Some(0));
    let gone = post.queue_command(&["drop", &id]).await;
    assert_eq!(gone.status, Some(1));
    assert!(gone.stderr.contains(&id), "{}", gone.stderr);
}

/// Messages that are to survive the killing.
const MESSAGES: usize = 20;

/// How often the relay is killed.
const KILLS: usize = 20;

/// Connections to one host, each with one message on its way.
const IN_FLIGHT: usize = 5;

#[tokio::test]
async fn a_relay_that_is_killed_at_any_moment_loses_nothing() {
    let moment = Arc::new(AtomicUsize::new(usize::MAX));
    let (reached, heard_so_far) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let host = {
        let (moment, reached) = (Arc::clone(&moment), Arc::clone(&reached));
        let heard_so_far = Arc::clone(&heard_so_far);
        MailHost::that(move |heard| {
            if heard_so_far.fetch_add(1, Relaxed) >= moment.load(Relaxed) {
                reached.notify_one();
            }
            polite(heard)
        })
        .await
    };
    let post = RelayHandle::new().route("x.example", &host);
    for number in 0..MESSAGES {
        post.queue(&["a@x.example"], &format!("number {number}")).await;
    }
    let mut chance = fastrand::Rng::with_seed(25);
    let mut kills = 0;
    for _ in 0..KILLS {
        heard_so_far.store(0, Relaxed);
        moment.store(chance.usize(0..12), Relaxed);
        let mut run = post.begin(&[]);
        tokio::select! {
            () = reached.notified() => {}
            () = ended(&mut run) => {}
        }
        kills += usize::from(run.kill().is_ok());
        run.wait().expect("an end");
        // Whatever the moment was, the file can be read.
        assert_eq!(post.queue_command(&[]).await.status, Some(0));
    }
    moment.store(usize::MAX, Relaxed);
    let last = post.relay(&[]).await;
    assert_eq!(last.status, Some(0), "{}", last.stderr);
    assert_eq!(post.file(), "");
    let copies = copies(&host);
    assert_eq!(copies.len(), MESSAGES, "{copies:?}");
    let too_many: usize = copies.values().map(|copies| copies - 1).sum();
    assert!(too_many <= kills * IN_FLIGHT, "{copies:?}");
}

/// How often the host has got each message, by its subject.
fn copies(host: &MailHost) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for text in host.texts() {
        let text = String::from_utf8(text).expect("text");
        let subject = text.lines().find(|line| line.starts_with("Subject: "));
        *copies.entry(subject.expect("a subject").to_owned()).or_default() += 1;
    }
    copies
}

/// Until the program has ended by itself: then its stdout is closed.
async fn ended(child: &mut Child) {
    if let Some(mut stdout) = child.stdout.take() {
        let end = tokio::task::spawn_blocking(move || stdout.read_to_end(&mut Vec::new()));
        let _ = end.await;
    }
}
