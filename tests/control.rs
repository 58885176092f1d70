//! What an operator changes while the servers run: each of them stopped and started alone, the
//! settings, and what the counters say of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use mailconsole::app::cli::Cli;
use mailconsole::app::servers::{Running, Servers};
use mailconsole::app::task::Task;
use mailconsole::console::setting::in_words;
use mailconsole::servers::settings::{
    Idle, RelayPolicy, Setting, SettingName, Settings, SettingsView,
};
use mailconsole::servers::supervisor::{Change, Condition, Control, ServerOrder, ServerView};
use mailconsole::store::lock::{OfdLock, try_ofd_lock};
use mailconsole::watch::event::Service;
use mailconsole::watch::observers::Observers;
use mailconsole::watch::registry::{Counts, Registry};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use support::{A_SECOND, Held, Mail, Peer, connect, hold_by};

const FAREWELLS: [(Service, &str); 3] = [
    (Service::Smtp, "421 localhost Server shutting down"),
    (Service::Pop3, "-ERR Server shutting down"),
    (Service::Echo, "-ERR Server shutting down"),
];

/// All three servers, with mailboxes for linhphan and zives.
struct House {
    running: Running,
    control: Control,
    registry: Arc<Registry>,
    dir: tempfile::TempDir,
}

impl House {
    /// At a loopback address of its own, so that nobody gets a port that is free for a while.
    fn open(options: &str) -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let [.., process] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 99, process, NUMBER.fetch_add(1, Relaxed));
        Self::at(&format!("--bind {address} {options}"))
    }

    fn at(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let line = format!(
            "mailconsole --no-tui --no-sync --user linhphan --user zives --echo-port 0 \
             --smtp-port 0 --pop3-port 0 --dir {} {options}",
            dir.path().display()
        );
        let cli = Cli::read(line.split_whitespace().map(Into::into)).unwrap();
        let Ok(Task::Headless(config)) = Task::new(cli) else { panic!("{line}") };
        let registry = Arc::new(Registry::default());
        let servers = Servers::bind(config, Observers::none(), Some(Arc::clone(&registry)));
        let running = servers.unwrap().serve().unwrap();
        Self { control: running.control().clone(), running, registry, dir }
    }

    fn view(&self, service: Service) -> ServerView {
        let servers = self.control.servers.borrow();
        servers.iter().find(|server| server.service == service).unwrap().clone()
    }

    fn address(&self, service: Service) -> SocketAddr {
        self.view(service).addresses[0]
    }

    /// A client behind the greeting.
    async fn client(&self, service: Service) -> Peer<TcpStream> {
        let mut peer = connect(self.address(service)).await;
        peer.expect(if service == Service::Smtp { "220 *" } else { "+OK *" }).await;
        peer
    }

    async fn order(&self, service: Service, what: Change) {
        self.control.orders.send(ServerOrder { service, what }).await.unwrap();
    }

    async fn until(&self, service: Service, is_so: impl Fn(&Condition) -> bool) -> Condition {
        let so = |server: &ServerView| server.service == service && is_so(&server.condition);
        let mut servers = self.control.servers.clone();
        servers.wait_for(|servers| servers.iter().any(so)).await.unwrap();
        self.view(service).condition
    }

    async fn stop(&self, service: Service) {
        self.order(service, Change::Stop).await;
        self.until(service, |now| *now == Condition::Stopped).await;
    }

    async fn start(&self, service: Service) {
        self.order(service, Change::Start).await;
        self.until(service, |now| *now == Condition::Running).await;
    }

    async fn refuses(&self, service: Service) {
        let refused = TcpStream::connect(self.address(service)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    fn counts(&self, service: Service) -> Counts {
        self.registry.view().counters[service]
    }

    async fn until_all_are_gone(&self, service: Service) -> Counts {
        while self.counts(service).open > 0 {
            self.registry.moved().await;
        }
        self.counts(service)
    }

    async fn end(self) {
        let begun = Instant::now();
        self.running.end().await;
        assert!(begun.elapsed() < A_SECOND);
    }
}

/// Sends a message up to the dot; the verdict is still to be heard.
async fn send_message(peer: &mut Peer<TcpStream>, text: &str) {
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<linhphan@localhost>", "250 *").await;
    peer.says("DATA", "354 *").await;
    peer.send(format!("{text}\r\n.\r\n")).await;
}

#[tokio::test]
async fn one_server_stops_with_a_farewell_and_starts_again_at_the_same_port() {
    let house = House::open("");
    for (service, farewell) in FAREWELLS {
        let at = house.address(service);
        let mut peer = house.client(service).await;
        house.stop(service).await;
        peer.expect(farewell).await;
        peer.expect_end().await;
        house.refuses(service).await;
        assert_eq!(house.control.address_of(service), None);
        for (other, _) in FAREWELLS.iter().filter(|(other, _)| *other != service) {
            house.client(*other).await;
        }
        house.start(service).await;
        assert_eq!(house.control.address_of(service), Some(at));
        house.client(service).await;
    }
    house.end().await;
}

#[tokio::test]
async fn the_connections_of_the_others_do_not_notice() {
    let house = House::open("");
    let mut pop3 = house.client(Service::Pop3).await;
    pop3.says("USER linhphan", "+OK*").await;
    pop3.says("PASS cis505", "+OK*").await;
    house.stop(Service::Smtp).await;
    pop3.says("STAT", "+OK 0 0").await;
    house.order(Service::Smtp, Change::Restart).await;
    house.until(Service::Smtp, |now| *now == Condition::Running).await;
    pop3.says("QUIT", "+OK*").await;
    house.end().await;
}

#[tokio::test]
async fn a_restart_is_a_stop_and_a_start() {
    let house = House::open("");
    let mut peer = house.client(Service::Echo).await;
    house.order(Service::Echo, Change::Restart).await;
    peer.expect("-ERR Server shutting down").await;
    peer.expect_end().await;
    drop(peer);
    house.until(Service::Echo, |now| *now == Condition::Running).await;
    house.client(Service::Echo).await.says("ECHO again", "+OK again").await;
    house.end().await;
}

#[tokio::test]
async fn a_restarted_server_listens_on_the_same_addresses() {
    let house = House::at("");
    let addresses = house.view(Service::Smtp).addresses;
    house.stop(Service::Smtp).await;
    house.start(Service::Smtp).await;
    assert_eq!(house.view(Service::Smtp).addresses, addresses);
    for address in addresses {
        connect(address).await.expect("220 *").await;
    }
    house.end().await;
}

#[tokio::test]
async fn who_took_the_port_meanwhile_is_named_and_a_later_start_works() {
    let house = House::open("");
    house.stop(Service::Pop3).await;
    let at = house.address(Service::Pop3);
    let taken = TcpListener::bind(at).unwrap();
    house.order(Service::Pop3, Change::Start).await;
    let failed = house.until(Service::Pop3, |now| matches!(now, Condition::Failed(_))).await;
    let Condition::Failed(why) = failed else { panic!("{failed:?}") };
    let (port, holder) = (at.port(), std::process::id());
    assert!(why.starts_with(&format!("cannot listen on port {port}: in use by pid {holder} (")));
    assert!(why.ends_with("). Free the port, and start the server again"), "{why}");
    assert_eq!(house.control.address_of(Service::Pop3), None);
    house.client(Service::Smtp).await.says("NOOP", "250 OK").await;
    drop(taken);
    house.start(Service::Pop3).await;
    house.client(Service::Pop3).await;
    house.end().await;
}

#[tokio::test]
async fn a_delivery_in_progress_is_finished_and_answered_before_its_server_stops() {
    let house = House::open("");
    let path = house.dir.path().join("linhphan.mbox");
    let mailbox = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(try_ofd_lock(&mailbox, OfdLock::Exclusive).unwrap());
    let mut peer = house.client(Service::Smtp).await;
    let all = "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\nhi\r\n.\r\n";
    send_message(&mut peer, "hi").await;
    while house.counts(Service::Smtp).octets_in < all.len() as u64 {
        yield_now().await;
    }
    house.order(Service::Smtp, Change::Stop).await;
    house.until(Service::Smtp, |now| *now == Condition::Stopping).await;
    house.client(Service::Echo).await;
    // A later order is kept until it has stopped.
    house.order(Service::Smtp, Change::Start).await;
    house.order(Service::Smtp, Change::Stop).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    drop(mailbox);
    peer.expect("250 OK").await;
    peer.expect("421 localhost Server shutting down").await;
    peer.expect_end().await;
    house.until(Service::Smtp, |now| *now == Condition::Stopped).await;
    assert!(String::from_utf8(std::fs::read(&path).unwrap()).unwrap().ends_with("\nhi\r\n\n"));
    assert_eq!(house.counts(Service::Smtp).messages, 1);
    house.refuses(Service::Smtp).await;
    house.end().await;
}

#[tokio::test]
async fn the_process_ends_in_time_whatever_its_servers_do() {
    let house = House::open("");
    house.stop(Service::Smtp).await;
    let mut stopping = house.client(Service::Pop3).await;
    let mut running = house.client(Service::Echo).await;
    house.order(Service::Pop3, Change::Restart).await;
    house.until(Service::Pop3, |now| *now == Condition::Stopping).await;
    let control = house.control.clone();
    house.end().await;
    for peer in [&mut stopping, &mut running] {
        peer.expect("-ERR Server shutting down").await;
        peer.expect_end().await;
    }
    // Nobody takes orders any more.
    assert!(control.orders.is_closed());
}

#[tokio::test]
async fn counters_say_what_was_done_also_on_connections_that_are_closed() {
    let house = House::open("");
    let in_a_session = "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\n\
                        hi\r\n.\r\nQUIT\r\n";
    let out = "220 localhost mailconsole service ready\r\n250 localhost\r\n250 OK\r\n250 OK\r\n\
               354 Start mail input; end with <CRLF>.<CRLF>\r\n250 OK\r\n\
               221 localhost Service closing transmission channel\r\n";
    for _ in 0..50 {
        let mut peer = house.client(Service::Smtp).await;
        send_message(&mut peer, "hi").await;
        peer.expect("250 OK").await;
        peer.says("QUIT", "221 *").await;
        peer.expect_end().await;
    }
    let smtp = house.until_all_are_gone(Service::Smtp).await;
    assert_eq!((smtp.opened, smtp.open, smtp.refused, smtp.messages), (50, 0, 0, 50));
    assert_eq!(smtp.octets_in, 50 * in_a_session.len() as u64);
    assert_eq!(smtp.octets_out, 50 * out.len() as u64);

    let mut pop3 = house.client(Service::Pop3).await;
    pop3.says("USER linhphan", "+OK*").await;
    pop3.says("PASS cis505", "+OK*").await;
    pop3.send("RETR 1\r\nRETR 51\r\nRETR 50\r\nNOOP\r\n").await;
    while pop3.line().await != ".\r\n" {}
    pop3.expect("-ERR no such message").await;
    while pop3.line().await != ".\r\n" {}
    pop3.expect("+OK*").await;
    let counts = house.counts(Service::Pop3);
    assert_eq!((counts.opened, counts.open, counts.messages), (1, 1, 2));
    assert_eq!(house.counts(Service::Echo), Counts::default());
    assert_eq!(house.registry.view().opened, 51);
    house.end().await;
}

#[tokio::test]
async fn who_is_refused_is_counted() {
    let house = House::open("--max-connections 1");
    let _inside = house.client(Service::Echo).await;
    for _ in 0..100 {
        let mut outside = connect(house.address(Service::Echo)).await;
        outside.expect("-ERR Too many connections*").await;
        outside.expect_end().await;
    }
    let counts = house.counts(Service::Echo);
    assert_eq!((counts.opened, counts.refused), (101, 100));
    house.end().await;
}

#[tokio::test]
async fn whose_mail_is_relayed_changes_at_the_next_recipient() {
    let house = House::open("");
    let mut peer = house.client(Service::Smtp).await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<friend@example.org>", "250 OK").await;
    let said = house.control.set(Setting::Relay(RelayPolicy::Nobody));
    let said = in_words(SettingName::Relay, &said);
    assert!(said.ends_with("mail for other domains is accepted from nobody."), "{said}");
    peer.says("RCPT TO:<another@example.org>", "550 Relaying denied").await;
    peer.says("RCPT TO:<linhphan@localhost>", "250 OK").await;
    let networks = RelayPolicy::Networks(vec!["192.0.2.0/24".parse().unwrap()]);
    let _ = house.control.set(Setting::Relay(networks));
    peer.says("RCPT TO:<another@example.org>", "250 OK").await;
    house.end().await;
}

#[tokio::test]
async fn a_network_that_is_named_later_may_relay_at_once() {
    let mail = Mail::with_users(&["linhphan"]);
    // A client at 192.0.2.1.
    let Held { mut peer, .. } = hold_by(&mail.smtp, &mail.settings);
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<friend@example.org>", "550 Relaying denied").await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    mail.settings.set_relay(RelayPolicy::Networks(vec![address.into()]));
    peer.says("RCPT TO:<friend@example.org>", "250 OK").await;
}

#[tokio::test]
async fn how_long_messages_may_be_changes_at_the_next_text() {
    let mail = Mail::with_users(&["linhphan"]);
    let Held { mut peer, .. } = hold_by(&mail.smtp, &mail.settings);
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    // The last text begins while it is too long, and ends when it would not be.
    for (before, within, verdict) in
        [(100, 100, "250 OK"), (10, 10, "552 *"), (100, 10, "250 OK"), (10, 100, "552 *")]
    {
        mail.settings.set_message_most(before);
        peer.says("MAIL FROM:<a@b>", "250 *").await;
        peer.says("RCPT TO:<linhphan@localhost>", "250 *").await;
        peer.says("DATA", "354 *").await;
        peer.send("twelve octets\r\n").await;
        // The pipe is empty when the server has taken what was sent.
        for _ in 0..100 {
            yield_now().await;
        }
        mail.settings.set_message_most(within);
        peer.send("and some more\r\n.\r\n").await;
        peer.expect(verdict).await;
    }
    let whole = "twelve octets\r\nand some more\r\n";
    assert_eq!(mail.content("linhphan.mbox").matches(whole).count(), 2);
}

fn limited(seconds: u64) -> Idle {
    Idle::Limited(Duration::from_secs(seconds))
}

/// An SMTP client behind the greeting, and the settings by which it is served.
async fn silent(idle: Idle) -> (Peer<tokio::io::DuplexStream>, Arc<Settings>) {
    let mail = Mail::with_users(&[]);
    let settings = Arc::new(Settings::new(SettingsView { idle, ..SettingsView::default() }));
    let Held { mut peer, .. } = hold_by(&mail.smtp, &settings);
    peer.expect("220 *").await;
    (peer, settings)
}

/// Waits for the server to lose patience; returns the seconds that it took.
async fn patience(peer: &mut Peer<tokio::io::DuplexStream>) -> u64 {
    let begun = Instant::now();
    peer.expect("421 localhost Idle for too long*").await;
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_lower_idle_limit_counts_from_the_next_command_on() {
    for before in [limited(300), Idle::AsTheProtocolSays, Idle::Unlimited] {
        let (mut peer, settings) = silent(before).await;
        sleep(Duration::from_secs(100)).await;
        settings.set_idle(limited(10));
        sleep(Duration::from_secs(100)).await;
        peer.says("NOOP", "250 OK").await;
        assert_eq!(patience(&mut peer).await, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_higher_idle_limit_saves_who_is_silent_already() {
    let (mut peer, settings) = silent(limited(10)).await;
    sleep(Duration::from_secs(5)).await;
    settings.set_idle(limited(300));
    assert_eq!(patience(&mut peer).await, 295);

    let (mut peer, settings) = silent(limited(10)).await;
    settings.set_idle(Idle::Unlimited);
    sleep(Duration::from_hours(100)).await;
    settings.set_idle(Idle::AsTheProtocolSays);
    peer.says("NOOP", "250 OK").await;
    assert_eq!(patience(&mut peer).await, 300);
}

#[tokio::test]
async fn a_server_and_its_tls_port_stop_and_start_together() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let house = House::open(&format!(
        "--smtps-port 0 --tls-cert {} --tls-key {}",
        certificate.display(),
        key.display()
    ));
    let view = house.view(Service::Smtp);
    let [tls_address] = view.tls_addresses[..] else { panic!("{view:?}") };
    assert_ne!(tls_address, view.addresses[0]);
    assert!(house.view(Service::Pop3).tls_addresses.is_empty());
    TcpStream::connect(tls_address).await.unwrap();
    house.stop(Service::Smtp).await;
    house.refuses(Service::Smtp).await;
    let refused = TcpStream::connect(tls_address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let taken = TcpListener::bind(tls_address).unwrap();
    house.order(Service::Smtp, Change::Start).await;
    let failed = house.until(Service::Smtp, |now| matches!(now, Condition::Failed(_))).await;
    let Condition::Failed(why) = failed else { panic!("{failed:?}") };
    assert!(why.contains(&format!("port {}: in use", tls_address.port())), "{why}");
    house.refuses(Service::Smtp).await;
    drop(taken);
    house.start(Service::Smtp).await;
    assert_eq!(house.view(Service::Smtp).tls_addresses, [tls_address]);
    house.client(Service::Smtp).await;
    TcpStream::connect(tls_address).await.unwrap();
    house.running.end().await;
}
