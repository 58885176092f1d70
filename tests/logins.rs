//! Whom the POP3 server lets in, by which names, and how long it lets those wait who guess.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mailconsole::servers::listener::Server;
use mailconsole::servers::pop3::service::{Pop3Server, Pop3Service};
use mailconsole::servers::pop3::session::Pop3Session;
use mailconsole::watch::event;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use support::{Mail, Peer, hold};

/// The server as clients at this address see it.
struct SeenFrom {
    address: IpAddr,
    server: Pop3Server,
}

impl Server for SeenFrom {
    type Session = Pop3Session;
    type Service = Pop3Service;
    const PROTOCOL: event::Service = event::Service::Pop3;

    fn open(&self, _: SocketAddr) -> (Pop3Session, Pop3Service) {
        self.server.open(SocketAddr::new(self.address, 9))
    }
}

fn seen_from(address: &str, server: &Pop3Server) -> SeenFrom {
    let Pop3Server { accounts, guesses, settings } = server;
    let server = Pop3Server {
        accounts: Arc::clone(accounts),
        guesses: Arc::clone(guesses),
        settings: Arc::clone(settings),
    };
    SeenFrom { address: address.parse().unwrap(), server }
}

async fn greeted(server: &SeenFrom) -> Peer<DuplexStream> {
    let mut peer = hold(server, None).peer;
    peer.expect("+OK POP3 ready*").await;
    peer
}

/// Logs in; how long the answer took.
async fn log_in(peer: &mut Peer<DuplexStream>, name: &str, password: &str, answer: &str) -> u128 {
    peer.says(&format!("USER {name}"), "+OK*").await;
    let asked = Instant::now();
    peer.says(&format!("PASS {password}"), answer).await;
    asked.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn who_guesses_waits_longer_each_time() {
    let mail = Mail::with_users(&["linhphan"]);
    let mut peer = greeted(&seen_from("127.0.0.1", &mail.pop3)).await;
    let mut waited = Vec::new();
    for _ in 0..8 {
        waited.push(log_in(&mut peer, "linhphan", "wrong", "-ERR invalid*").await);
    }
    assert!(waited[0] < 10 && waited[1] >= 100 && waited[7] >= 1_000, "{waited:?}");
    assert!(waited.is_sorted(), "{waited:?}");
    let took = log_in(&mut peer, "linhphan", "cis505", "+OK*").await;
    assert!(took < 10, "a right password waited {took} ms");
}

#[tokio::test(start_paused = true)]
async fn new_connections_do_not_help_who_guesses() {
    let mail = Mail::with_users(&["linhphan"]);
    let (guesser, other) = (seen_from("192.0.2.7", &mail.pop3), seen_from("127.0.0.1", &mail.pop3));
    let begun = Instant::now();
    for guess in 0..10 {
        let user = if guess % 2 == 0 { "linhphan" } else { "nobody" };
        log_in(&mut greeted(&guesser).await, user, &format!("word{guess}"), "-ERR invalid*").await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let took = log_in(&mut greeted(&other).await, "linhphan", "cis505", "+OK*").await;
    assert!(took < 10, "another address waited {took} ms");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_does_not_wait_and_a_shutdown_ends_the_wait() {
    let mail = Mail::with_users(&[]);
    let mut held = hold(&seen_from("127.0.0.1", &mail.pop3), None);
    held.peer.expect("+OK POP3 ready*").await;
    for _ in 0..7 {
        log_in(&mut held.peer, "u", "wrong", "-ERR*").await;
    }
    let asked = Instant::now();
    held.peer.send("USER u\r\nPASS wrong\r\n").await;
    held.peer.expect("+OK send PASS").await;
    assert!(asked.elapsed() < Duration::from_millis(10));
    held.ending.cancel();
    held.peer.expect("-ERR Server shutting down").await;
    assert!(asked.elapsed() < Duration::from_millis(10));
    let lines = held.recorder.lines();
    assert!(
        lines.iter().any(|line| line.contains("waits 1.0 s after wrong passwords")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_whole_address_names_the_mailbox_too() {
    let mut mail = Mail::with_users(&["linhphan", "zives"]);
    Arc::make_mut(&mut mail.pop3.accounts).domain = "Example.org".into();
    std::fs::write(mail.dir.path().join("zives@localhost.mbox"), "").unwrap();
    std::fs::write(mail.dir.path().join("a@other.example.mbox"), "").unwrap();
    let server = seen_from("127.0.0.1", &mail.pop3);
    for (name, opened) in [
        ("linhphan@localhost", "linhphan"),
        ("linhphan@LOCALHOST", "linhphan"),
        ("linhphan@example.org", "linhphan"),
        ("zives", "zives"),
        ("zives@localhost", "zives@localhost"),
        ("zives@example.org", "zives"),
        ("a@other.example", "a@other.example"),
    ] {
        let held = hold(&server, None);
        let mut peer = held.peer;
        peer.expect("+OK POP3 ready*").await;
        log_in(&mut peer, name, "cis505", "+OK*").await;
        let mailbox = mail.pop3.accounts.directory.mailbox(opened).unwrap();
        let lock = mail.pop3.accounts.directory.open_maildrop(&mailbox);
        assert!(lock.await.is_err(), "{name} has not opened {opened}");
        peer.says("QUIT", "+OK*").await;
        peer.expect_end().await;
    }
    for name in [
        "linhphan@other.example",
        "@localhost",
        "linhphan@",
        "nobody@localhost",
        "mqueue@localhost",
    ] {
        let mut peer = greeted(&server).await;
        log_in(&mut peer, name, "cis505", "-ERR invalid*").await;
    }
}

#[tokio::test]
async fn no_recipient_address_names_a_mailbox_with_an_at_sign() {
    let mail = Mail::with_users(&["zives"]);
    std::fs::write(mail.dir.path().join("zives@localhost.mbox"), "").unwrap();
    let mut peer = hold(&mail.smtp, None).peer;
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    for path in ["\"zives@localhost\"@localhost", "zives@localhost@localhost"] {
        peer.send(format!("RCPT TO:<{path}>\r\n")).await;
        let reply = peer.line().await;
        assert!(reply.starts_with('5'), "{path}: {reply}");
    }
    peer.says("RCPT TO:<zives@localhost>", "250 *").await;
}
