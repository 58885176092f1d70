//! TLS of the servers: the transport under a session, and the program with its TLS ports and its
//! certificate authority.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;
mod support;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mailconsole::servers::channel::{Channel, End, Place, Security};
use mailconsole::servers::serve::{Service, refuse, serve};
use mailconsole::servers::session::{Farewell, Reply, Session, Step};
use mailconsole::servers::settings::{Idle, Settings};
use mailconsole::servers::tls::authority::certificate_path;
use mailconsole::servers::tls::{CertificateSource, Tls};
use mailconsole::watch::connection_log::ConnectionLog;
use mailconsole::watch::event::{self, ConnectionName};
use mailconsole::watch::observers::Observers;
use mailconsole::watch::registry::Registry;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::task::{JoinHandle, yield_now};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_util::sync::CancellationToken;

use program::{Client, Servers, has_python, program, skip};
use support::{Peer, Recorder, stranger};

/// A protocol with STARTTLS and a name to be forgotten.
#[derive(Default)]
struct Names {
    name: Option<String>,
    over_tls: bool,
}

impl Session for Names {
    type Effect = Infallible;
    type Outcome = Infallible;

    fn verb(_: &[u8]) -> Option<&'static str> {
        None
    }

    fn greeting(&self) -> Reply {
        Reply::fixed(if self.over_tls { "220 secret" } else { "220 open" })
    }

    fn line(&mut self, line: &[u8]) -> Step<Infallible> {
        match line.split_at_checked(4) {
            Some((b"STAR", _)) => Step::Secure(Reply::fixed("220 go ahead")),
            Some((b"WHO ", name)) => {
                self.name = Some(String::from_utf8_lossy(name).into_owned());
                Step::Reply(Reply::fixed("250 OK"))
            }
            Some((b"NAME", _)) => Step::Reply(format!("250 {:?}", self.name).into()),
            Some((b"MUCH", _)) => Step::Reply(vec![b'x'; 300_000].into()),
            _ => Step::Close(Reply::fixed("221 bye")),
        }
    }

    fn overlong(&mut self) -> Reply {
        Reply::fixed("500 too long")
    }

    fn resume(&mut self, outcome: Infallible) -> Step<Infallible> {
        match outcome {}
    }

    fn farewell(&self, _: Farewell) -> Option<Reply> {
        Some(Reply::fixed("421 farewell"))
    }

    fn state(&self) -> Cow<'static, str> {
        Cow::Borrowed(if self.over_tls { "secret" } else { "open" })
    }

    fn secured(&mut self) {
        *self = Self { name: None, over_tls: true };
    }
}

struct Nothing;

impl Service for Nothing {
    type Effect = Infallible;
    type Outcome = Infallible;

    async fn perform(&mut self, effect: Infallible, _: &mut Channel) -> Result<Infallible, End> {
        match effect {}
    }
}

/// When TLS begins.
#[derive(Clone, Copy)]
enum Begins {
    OnRequest,
    AtOnce,
}

/// A conversation over a pipe in memory.
struct Held {
    peer: Peer<DuplexStream>,
    recorder: Arc<Recorder>,
    registry: Arc<Registry>,
    ending: CancellationToken,
    ended: JoinHandle<()>,
    house: House,
}

/// A certificate authority of its own.
struct House {
    tls: Arc<Tls>,
    client: Arc<ClientConfig>,
    _dir: TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("ca");
        let source =
            CertificateSource::Authority { directory: directory.clone(), domain: "x.test".into() };
        let tls = Arc::new(Tls::new(source));
        tls.ready().unwrap();
        Self { tls, client: trusting(&certificate_path(&directory)), _dir: dir }
    }
}

/// A client of TLS that trusts the authority whose certificate is in this file.
fn trusting(certificate: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(certificate).unwrap() {
        roots.add(root.unwrap()).unwrap();
    }
    with_roots(roots)
}

fn with_roots(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn held(begins: Begins, idle: Idle) -> Held {
    held_by(begins, |channel| {
        let settings = Settings::default();
        settings.set_idle(idle);
        tokio::spawn(serve(channel, Names::default(), Nothing, Arc::new(settings)))
    })
}

fn held_by(begins: Begins, start: impl FnOnce(Channel) -> JoinHandle<()>) -> Held {
    let house = House::new();
    let (ours, theirs) = duplex(64 * 1024);
    let recorder = Arc::new(Recorder::default());
    let registry = Arc::new(Registry::default());
    let name = ConnectionName { id: 1, number: 7, service: event::Service::Smtp };
    let observers = Observers::one(Arc::clone(&recorder) as _);
    let log = ConnectionLog::opened(name, stranger(), observers, Some(Arc::clone(&registry)));
    let ending = CancellationToken::new();
    let tls = Arc::clone(&house.tls);
    let security = match begins {
        Begins::OnRequest => Security::OnRequest(tls),
        Begins::AtOnce => Security::AtOnce(tls),
    };
    let channel = Channel::new(theirs.into(), log, Place::default(), ending.clone());
    let ended = start(channel.with_security(security));
    Held { peer: Peer { stream: ours }, recorder, registry, ending, ended, house }
}

impl Held {
    /// The handshake, as the client.
    async fn secure(self) -> (Peer<TlsStream<DuplexStream>>, Arc<Recorder>, Arc<Registry>) {
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.house.client));
        let stream = connector.connect(name, self.peer.stream).await.unwrap();
        (Peer { stream }, self.recorder, self.registry)
    }

    /// The server ends the connection; what it has noted, and what it has sent.
    async fn end(mut self) -> (Vec<String>, Vec<u8>) {
        let rest = self.peer.rest_bytes().await;
        self.ended.await.unwrap();
        let notes = self.recorder.lines();
        (notes.into_iter().filter(|line| line.contains("] .. ")).collect(), rest)
    }
}

/// Lets the other tasks go as far as they can.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

async fn over_tls<T: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<T>) {
    peer.says("NAME", "250 None").await;
    peer.says("WHO bob", "250 OK").await;
    peer.says("NAME", "250 Some(\"bob\")").await;
    peer.says("QUIT", "221 bye").await;
    peer.expect_end().await;
}

#[tokio::test]
async fn what_came_before_tls_counts_for_nothing_wherever_it_is_cut() {
    const PLAIN: &[u8] = b"WHO eve\r\nSTARTTLS\r\n";
    const INJECTED: &[u8] = b"WHO mallory\r\n";
    for injected in [&b""[..], INJECTED, &INJECTED[..5]] {
        for cut in 0..PLAIN.len() {
            let mut held = held(Begins::OnRequest, Idle::Unlimited);
            held.peer.expect("220 open").await;
            held.peer.send(&PLAIN[..cut]).await;
            settle().await;
            held.peer.send([&PLAIN[cut..], injected].concat()).await;
            held.peer.expect("250 OK").await;
            held.peer.expect("220 go ahead").await;
            let (mut peer, recorder, registry) = held.secure().await;
            over_tls(&mut peer).await;
            assert_eq!(registry.view().connections[0].tls, Some("TLS 1.3"));
            let lines = recorder.lines();
            let dropped = format!("[7] .. {} octets before TLS dropped", injected.len());
            assert_eq!(lines.contains(&dropped), !injected.is_empty(), "{lines:?}");
            assert!(lines.contains(&"[7] .. TLS 1.3 TLS_AES_256_GCM_SHA384".to_owned()));
            assert!(!lines.concat().contains("mallory"), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn plain_text_instead_of_a_handshake_ends_the_connection() {
    let mut held = held(Begins::OnRequest, Idle::Unlimited);
    held.peer.expect("220 open").await;
    held.peer.says("STARTTLS", "220 go ahead").await;
    held.peer.send("WHO mallory\r\n").await;
    let (notes, rest) = held.end().await;
    assert_eq!(notes, ["[7] .. TLS failed: client speaks plain text"]);
    // An alert (RFC 8446 section 6), and no reply.
    assert_eq!(rest.first(), Some(&0x15), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn everything_that_ends_a_connection_ends_a_handshake_without_a_word() {
    for begins in [Begins::OnRequest, Begins::AtOnce] {
        let waiting = |idle| async move {
            let mut held = held(begins, idle);
            if let Begins::OnRequest = begins {
                held.peer.expect("220 open").await;
                held.peer.says("STARTTLS", "220 go ahead").await;
            }
            settle().await;
            held
        };
        let ends = |held: Held, reason: &'static str| async move {
            let (notes, rest) = held.end().await;
            assert_eq!(notes, [format!("[7] .. TLS failed: {reason}")]);
            assert_eq!(rest, b"", "{reason}");
        };
        let held = waiting(Idle::Unlimited).await;
        held.ending.cancel();
        ends(held, "the server shuts down").await;
        let held = waiting(Idle::Unlimited).await;
        held.registry.close(1);
        ends(held, "closed by the operator").await;
        let idle = Idle::Limited(Duration::from_secs(7));
        ends(waiting(idle).await, "no handshake within the idle limit of 7 s").await;
        ends(waiting(Idle::Unlimited).await, "no handshake within 30 s").await;
    }
}

#[tokio::test]
async fn where_tls_comes_first_the_greeting_is_secret_too() {
    let held = held(Begins::AtOnce, Idle::Unlimited);
    settle().await;
    let view = held.registry.view().connections.remove(0);
    assert_eq!((&*view.state, view.tls), ("TLS handshake", None));
    let (mut peer, _, registry) = held.secure().await;
    peer.expect("220 secret").await;
    peer.says("WHO ada", "250 OK").await;
    let view = registry.view().connections.remove(0);
    assert_eq!((&*view.state, view.tls), ("secret", Some("TLS 1.3")));
    peer.says("WHO none", "250 OK").await;
}

#[tokio::test]
async fn one_client_too_many_hears_so_over_tls() {
    let held = held_by(Begins::AtOnce, |channel| tokio::spawn(refuse(channel, Names::default())));
    let (mut peer, _, _) = held.secure().await;
    peer.expect("421 farewell").await;
    peer.expect_end().await;
}

#[tokio::test]
async fn a_shutdown_says_farewell_over_tls() {
    let held = held(Begins::AtOnce, Idle::Unlimited);
    let ending = held.ending.clone();
    let (mut peer, _, _) = held.secure().await;
    peer.expect("220 secret").await;
    settle().await;
    ending.cancel();
    peer.expect("421 farewell").await;
    peer.expect_end().await;
}

#[tokio::test]
async fn a_long_reply_comes_whole_over_a_narrow_pipe() {
    let held = held(Begins::AtOnce, Idle::Unlimited);
    let (mut peer, _, _) = held.secure().await;
    peer.expect("220 secret").await;
    peer.send("MUCH\r\nMUCH\r\nNAME\r\n").await;
    settle().await;
    for _ in 0..2 {
        assert_eq!(peer.line_bytes().await.len(), 300_002);
    }
    peer.expect("250 None").await;
}

#[tokio::test]
async fn without_a_certificate_there_is_no_tls() {
    let held = held_by(Begins::OnRequest, |channel| {
        let channel = channel.with_security(Security::None);
        tokio::spawn(serve(channel, Names::default(), Nothing, Arc::default()))
    });
    let mut held = held;
    held.peer.expect("220 open").await;
    held.peer.says("STARTTLS", "220 go ahead").await;
    let (notes, rest) = held.end().await;
    assert_eq!(notes, ["[7] .. TLS failed: no certificate is set up"]);
    assert_eq!(rest, b"");
}

/// Directories for the program: mailboxes, and what belongs to the user.
struct User {
    mail: TempDir,
    data: TempDir,
}

impl User {
    fn new() -> Self {
        Self { mail: tempfile::tempdir().unwrap(), data: tempfile::tempdir().unwrap() }
    }

    fn ca(&self) -> PathBuf {
        self.data.path().join("mailconsole/ca")
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.env("XDG_DATA_HOME", self.data.path()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// All servers and both TLS ports.
    fn serve(&self, arguments: &[&str]) -> Servers {
        let mut command = self.program(&program::all_three(self.mail.path()));
        command.args(["--smtps-port", "0", "--pop3s-port", "0"]).args(arguments);
        command.stderr(Stdio::piped());
        Servers::start(command)
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], status: i32, words: &[&str]) {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word:?} is not in {stderr}");
        }
    }
}

/// A client of the program over TLS.
struct SecureClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl SecureClient {
    fn connect(port: u16, config: &Arc<ClientConfig>) -> Self {
        let stream = Client::connect(port).stream().try_clone().unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self(BufReader::new(StreamOwned::new(connection, stream)))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn says(&mut self, command: &str, reply: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let line = self.line();
        assert!(line.starts_with(reply), "{command}: {line}");
    }
}

#[test]
fn mail_is_sent_and_fetched_over_tls() {
    let user = User::new();
    let mut servers = user.serve(&["-v"]).listening(5);
    let config = trusting(&user.ca().join("ca.pem"));
    let mut smtp = SecureClient::connect(servers.port("smtps"), &config);
    assert_eq!(smtp.line(), "220 localhost mailconsole service ready");
    smtp.says("HELO tester", "250");
    smtp.says("MAIL FROM:<a@b>", "250");
    smtp.says("RCPT TO:<linhphan@localhost>", "250");
    smtp.says("DATA", "354");
    smtp.says("secret\r\n.", "250 OK");
    smtp.says("QUIT", "221");
    let mut end = Vec::new();
    // An error here would mean that the server has closed without TLS's own goodbye.
    smtp.0.read_to_end(&mut end).unwrap();
    let mut pop3 = SecureClient::connect(servers.port("pop3s"), &config);
    assert_eq!(pop3.line(), "+OK POP3 ready [localhost]");
    pop3.says("USER linhphan", "+OK");
    pop3.says("PASS cis505", "+OK");
    pop3.says("RETR 1", "+OK");
    assert_eq!((pop3.line(), pop3.line()), ("secret".to_owned(), ".".to_owned()));
    servers.wait_for(".. TLS 1.3 TLS_AES_256_GCM_SHA384");
    servers.wait_for("S: 220 localhost mailconsole service ready");
    servers.wait_for("C: QUIT");
    // The ports in the clear are as ever.
    servers.connect("smtp").says("HELO x", "250 localhost");
    servers.signal(Signal::SIGTERM);
    assert_eq!(pop3.line(), "-ERR Server shutting down");
    let (status, _) = servers.wait();
    assert!(status.success());
}

#[test]
fn a_server_alone_has_its_tls_port_too() {
    for (name, greeting) in [("smtp", "220 "), ("pop3", "+OK ")] {
        let user = User::new();
        let dir = user.mail.path().to_str().unwrap();
        let port = format!("--{name}s-port");
        let mut command = user.program(&[name, "-p", "0", dir, "--bind", "127.0.0.1", &port, "0"]);
        command.stderr(Stdio::null());
        let servers = Servers::start(command).listening(2);
        let config = trusting(&user.ca().join("ca.pem"));
        let mut client = SecureClient::connect(servers.port(&format!("{name}s")), &config);
        assert!(client.line().starts_with(greeting));
    }
}

#[test]
fn a_client_that_gets_no_tls_is_told_of_in_the_transcript() {
    let user = User::new();
    let mut servers = user.serve(&["-v"]).listening(5);
    let mut plain = Client::connect(servers.port("smtps"));
    plain.send("EHLO tester\r\n");
    servers.wait_for(".. TLS failed: client speaks plain text");
    servers.wait_for("Connection closed");
    let config = with_roots(RootCertStore::empty());
    let mut untrusting = SecureClient::connect(servers.port("pop3s"), &config);
    assert!(untrusting.0.read_line(&mut String::new()).is_err());
    servers.wait_for(".. TLS failed: client does not trust our certificate");
    drop(Client::connect(servers.port("smtps")));
    servers.wait_for(".. TLS failed: closed by the client");
}

#[test]
fn processes_that_start_at_once_make_one_authority() {
    let user = User::new();
    let mail = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |mail: &TempDir| {
        let mut command = user.program(&program::all_three(mail.path()));
        command.args(["--smtps-port", "0"]).stderr(Stdio::null());
        Servers::start(command)
    };
    let servers = mail.each_ref().map(start).map(|servers| servers.listening(4));
    let config = trusting(&user.ca().join("ca.pem"));
    for servers in &servers {
        let mut client = SecureClient::connect(servers.port("smtps"), &config);
        assert!(client.line().starts_with("220 "));
    }
}

/// A certificate and its key in files.
fn pair(dir: &Path, name: &str) -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let paths = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&paths.0, pair.cert.pem()).unwrap();
    fs::write(&paths.1, pair.signing_key.serialize_pem()).unwrap();
    (paths.0.to_str().unwrap().to_owned(), paths.1.to_str().unwrap().to_owned())
}

#[test]
fn a_certificate_of_the_users_own_needs_no_authority() {
    let user = User::new();
    let (certificate, key) = pair(user.data.path(), "own");
    let servers = user.serve(&["--tls-cert", &certificate, "--tls-key", &key]).listening(5);
    let config = trusting(Path::new(&certificate));
    assert!(SecureClient::connect(servers.port("smtps"), &config).line().starts_with("220 "));
    assert!(!user.ca().exists());
}

#[test]
fn what_cannot_be_used_is_told_at_the_start() {
    let user = User::new();
    let dir = user.data.path();
    let ((one, one_key), (_, other_key)) = (pair(dir, "one"), pair(dir, "other"));
    let mail = user.mail.path().to_str().unwrap();
    let smtp = |more: &[&'static str]| [&["smtp", "-p", "0"], more].concat();
    let with = |certificate: &str, key: &str, status, words: &[&str]| {
        let arguments = smtp(&[]);
        let options = ["--tls-cert", certificate, "--tls-key", key, mail];
        user.fails(&[arguments.as_slice(), &options].concat(), status, words);
    };
    with(&one, &other_key, 1, &["does not belong to the certificate in", &one, &other_key]);
    with(&one_key, &one_key, 1, &["holds no certificate", "--tls-cert"]);
    with(&one, &one, 1, &["holds no private key", "--tls-key"]);
    with("/nonexistent", &one_key, 1, &["cannot read /nonexistent: No such file"]);
    let sentence = "--tls-cert is set without --tls-key: set both or neither";
    user.fails(&["smtp", mail, "--tls-cert", &one], 2, &[sentence]);
    user.fails(&["smtp", mail, "--tls-key", &one_key], 2, &["without --tls-cert"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let flag = "Choose another with --smtps-port";
    let alone = ["smtp", "-p", "0", mail, "--bind", "127.0.0.1", "--smtps-port", &port];
    user.fails(&alone, 1, &["in use", flag]);
    user.run(&["ca", "path"]);
    fs::remove_file(user.ca().join("ca.pem")).unwrap();
    let alone = ["smtp", "-p", "0", mail, "--smtps-port", "0"];
    user.fails(&alone, 1, &["ca.pem is missing", "Remove "]);
}

#[test]
fn a_domain_that_the_authority_was_not_made_for_is_a_warning() {
    let user = User::new();
    user.run(&["ca", "path"]);
    let mut servers = user.serve(&["--domain", "example.org"]).listening(5);
    let mut stderr = BufReader::new(servers.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("the certificate is not for example.org (--domain)"), "{line}");
    let config = trusting(&user.ca().join("ca.pem"));
    assert!(SecureClient::connect(servers.port("smtps"), &config).line().starts_with("220 "));
}

#[test]
fn the_authority_is_shown_for_scripts() {
    let user = User::new();
    let stdout = |arguments: &[&str]| {
        let output = user.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let path = user.ca().join("ca.pem").display().to_string();
    assert_eq!(stdout(&["ca", "path"]), format!("{path}\n"));
    assert_eq!(stdout(&["ca", "print"]), fs::read_to_string(&path).unwrap());
    let exports = stdout(&["ca", "env"]);
    assert!(exports.contains(&format!("export NODE_EXTRA_CA_CERTS='{path}'\n")), "{exports}");
    let none = User::new();
    let output = none.run(&["ca", "uninstall"]);
    assert!(output.status.success() && !none.ca().exists(), "{output:?}");
}

#[test]
fn nothing_is_installed_without_being_asked_for() {
    let user = User::new();
    let home = user.data.path();
    let profile = home.join(".thunderbird/x.default");
    fs::create_dir_all(&profile).unwrap();
    fs::write(profile.join("cert9.db"), "").unwrap();
    fs::write(home.join("certutil"), "").unwrap();
    let mut command = user.program(&["ca", "install"]);
    let output = command.env("HOME", home).env("PATH", home).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("certutil -A -d sql:"), "{shown}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--yes"), "{stderr}");
}

/// Runs openssl; its exit status and all it says.
fn openssl(directory: &Path, line: &str) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(line.split(' ')).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn openssl_takes_our_certificates_and_none_that_a_thief_of_the_key_makes() {
    if Command::new("openssl").arg("version").output().is_err() {
        skip("openssl_takes_our_certificates", "openssl is not installed");
        return;
    }
    let user = User::new();
    let servers = user.serve(&[]).listening(5);
    let ca = user.ca();
    let dir = user.data.path();
    for (port, option) in [("smtps", "-tls1_2"), ("smtps", "-tls1_3"), ("pop3s", "-tls1_3")] {
        let (is_taken, said) = openssl(
            dir,
            &format!(
                "s_client -connect 127.0.0.1:{} -CAfile {} {option} -x509_strict \
                 -verify_hostname localhost -verify_return_error",
                servers.port(port),
                ca.join("ca.pem").display(),
            ),
        );
        assert!(is_taken && said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    for (name, is_taken) in [("mail.test", true), ("example.org", false)] {
        let line = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout thief.key \
                    -subj /CN=thief -out thief.csr";
        assert!(openssl(dir, line).0);
        fs::write(dir.join("names"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        let line = "x509 -req -in thief.csr -CA mailconsole/ca/ca.pem -CAkey mailconsole/ca/ca.key \
                    -set_serial 7 -extfile names -out thief.pem";
        assert!(openssl(dir, line).0);
        let (verified, said) = openssl(dir, "verify -CAfile mailconsole/ca/ca.pem thief.pem");
        assert_eq!(verified, is_taken, "{said}");
        assert_eq!(said.contains("permitted subtree violation"), !is_taken, "{said}");
    }
}

#[test]
fn python_takes_our_certificates_at_its_strictest() {
    const CLIENT: &str = "import smtplib, poplib, ssl, sys\n\
        context = ssl.create_default_context(cafile=sys.argv[1])\n\
        context.verify_flags |= ssl.VERIFY_X509_STRICT\n\
        smtp = smtplib.SMTP_SSL('localhost', int(sys.argv[2]), context=context)\n\
        smtp.helo('x')\n\
        smtp.sendmail('a@b', ['linhphan@localhost'], 'Subject: x\\r\\n\\r\\nHello\\r\\n')\n\
        smtp.quit()\n\
        pop3 = poplib.POP3_SSL('localhost', int(sys.argv[3]), context=context)\n\
        pop3.user('linhphan')\n\
        pop3.pass_('cis505')\n\
        assert pop3.retr(1)[1][-1] == b'Hello', pop3.retr(1)\n\
        pop3.quit()\n";
    if !has_python("python_takes_our_certificates") {
        return;
    }
    let user = User::new();
    let servers = user.serve(&[]).listening(5);
    let ports = ["smtps", "pop3s"].map(|name| servers.port(name).to_string());
    let mut python = Command::new("python3");
    python.args(["-c", CLIENT]).arg(user.ca().join("ca.pem")).args(ports);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
