//! A stage for faults: three servers over one directory, by rules, over sockets and through pipes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mailconsole::fault::faults::Faults;
use mailconsole::servers::channel::{Channel, Place};
use mailconsole::servers::echo::EchoServer;
use mailconsole::servers::listener::{Lifetime, Server, Shared};
use mailconsole::servers::pop3::service::Pop3Server;
use mailconsole::servers::profile::{Choices, Profile, TlsPolicy};
use mailconsole::servers::serve::serve;
use mailconsole::servers::smtp::service::SmtpServer;
use mailconsole::servers::tls::authority::certificate_path;
use mailconsole::servers::tls::{CertificateSource, Tls};
use mailconsole::watch::connection_log::ConnectionLog;
use mailconsole::watch::event::{ConnectionName, Service};
use mailconsole::watch::observers::Observers;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Mail, Peer, Recorder, Sockets, connect, connect_from};

/// Octets that a pipe takes before its writer must wait.
const PIPE: usize = 1 << 20;

/// Servers with mailboxes for bob and eve, by rules.
pub(crate) struct Stage {
    pub(crate) faults: Arc<Faults>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sockets: Sockets,
    pub(crate) smtp: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) echo: SocketAddr,
    pub(crate) dir: TempDir,
    /// Where the authority of its certificates is.
    authority: TempDir,
    tls: Option<Arc<Tls>>,
    smtp_server: Arc<SmtpServer>,
    pop3_server: Arc<Pop3Server>,
    /// How many pipes there have been.
    pipes: AtomicU64,
}

/// A protocol of the stage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Smtp,
    Pop3,
    Echo,
}

impl Stage {
    pub(crate) fn with(rules: &[&str]) -> Self {
        Self::in_profile(Profile::default(), rules)
    }

    pub(crate) fn in_profile(profile: Profile, rules: &[&str]) -> Self {
        let faults = Arc::new(Faults::new(1, false));
        for rule in rules {
            faults.add(rule).unwrap();
        }
        Self::of(profile, faults)
    }

    /// Without TLS.
    pub(crate) fn of(profile: Profile, faults: Arc<Faults>) -> Self {
        let choices = Choices {
            profile,
            smtp_tls: Some(TlsPolicy::None),
            pop3_tls: Some(TlsPolicy::None),
            // The greeting of APOP is never the same.
            capabilities: (profile == Profile::Everything).then(|| "-APOP".parse().ok()).flatten(),
            ..Choices::default()
        };
        Self::offering(choices, faults)
    }

    /// With TLS, if it is offered.
    pub(crate) fn offering(choices: Choices, faults: Arc<Faults>) -> Self {
        let mail = Mail::with_users(&["bob", "eve"]);
        let authority = tempfile::tempdir().unwrap();
        let rules = choices.rules();
        let takes_tls = [Service::Smtp, Service::Pop3].iter().any(|one| rules.offers_tls(*one));
        let source = CertificateSource::Authority {
            directory: authority.path().to_owned(),
            domain: "localhost".into(),
        };
        let tls = takes_tls.then(|| Arc::new(Tls::new(source)));
        mail.settings.set_choices(choices);
        let recorder = Arc::new(Recorder::default());
        let transcript = Observers::one(Arc::clone(&recorder) as _);
        let shared = Shared::new(transcript, None, Arc::clone(&mail.settings), 2_000, 5_000)
            .with_tls(tls.clone())
            .with_faults(Arc::clone(&faults));
        let sockets = Sockets { shared: Arc::new(shared), lifetime: Lifetime::default() };
        let Mail { smtp, pop3, dir, .. } = mail;
        let (smtp_server, pop3_server) = (Arc::new(smtp), Arc::new(pop3));
        Self {
            smtp: sockets.serve_shared(&smtp_server),
            pop3: sockets.serve_shared(&pop3_server),
            echo: sockets.serve(EchoServer { author: "ann".into() }),
            faults,
            recorder,
            sockets,
            dir,
            authority,
            tls,
            smtp_server,
            pop3_server,
            pipes: AtomicU64::default(),
        }
    }

    fn address(&self, to: To) -> SocketAddr {
        match to {
            To::Smtp => self.smtp,
            To::Pop3 => self.pop3,
            To::Echo => self.echo,
        }
    }

    pub(crate) async fn connect(&self, to: To) -> Peer<TcpStream> {
        connect(self.address(to)).await
    }

    /// A connection of a client with this address of IPv4.
    pub(crate) async fn connect_from(&self, from: IpAddr, to: To) -> Peer<TcpStream> {
        connect_from(from, self.address(to)).await
    }

    /// A connection through a pipe in memory: where time is paused, it passes only while nobody has
    /// anything to do.
    pub(crate) fn pipe(&self, to: To) -> Peer<DuplexStream> {
        match to {
            To::Smtp => self.pipe_to(&*self.smtp_server),
            To::Pop3 => self.pipe_to(&*self.pop3_server),
            To::Echo => self.pipe_to(&EchoServer { author: "ann".into() }),
        }
    }

    fn pipe_to<S: Server>(&self, server: &S) -> Peer<DuplexStream> {
        let (ours, theirs) = duplex(PIPE);
        // Beyond those of the sockets.
        let id = (1 << 32) + self.pipes.fetch_add(1, Ordering::Relaxed);
        let name = ConnectionName { id, number: 7, service: S::PROTOCOL };
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let transcript = Observers::one(Arc::clone(&self.recorder) as _);
        let log = ConnectionLog::opened(name, client, transcript, None);
        let ending = self.sockets.lifetime.ending.child_token();
        let channel = Channel::new(theirs.into(), log, Place::default(), ending)
            .with_faults(Arc::clone(&self.faults));
        let (session, service) = server.open(client);
        let settings = Arc::clone(&self.sockets.shared.settings);
        tokio::spawn(serve(channel, session, service, settings));
        Peer { stream: ours }
    }

    /// All that the server says to a client that says all of this at once, then no more.
    pub(crate) async fn heard(&self, to: To, said: &str) -> String {
        let mut peer = self.connect(to).await;
        peer.send(said).await;
        peer.stream.shutdown().await.unwrap();
        peer.rest().await
    }

    /// Puts messages with these texts, as they are on the wire, into the mailbox of bob.
    pub(crate) async fn deliver(&self, texts: &[&str]) {
        for text in texts {
            let mut peer = self.pipe(To::Smtp);
            peer.send(format!(
                "HELO a\r\nMAIL FROM:<al@a.test>\r\nRCPT TO:<bob@localhost>\r\nDATA\r\n{text}.\r\nQUIT\r\n"
            ))
            .await;
            let heard = peer.rest().await;
            assert!(
                heard.ends_with("250 OK\r\n221 localhost Service closing transmission channel\r\n"),
                "{heard}"
            );
        }
    }

    pub(crate) fn mailbox(&self) -> String {
        self.mailbox_of("bob")
    }

    pub(crate) fn mailbox_of(&self, user: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{user}.mbox"))).unwrap()
    }

    /// The notes of the transcript, without the connection's number.
    pub(crate) fn notes(&self) -> Vec<String> {
        let lines = self.recorder.lines();
        let notes = lines.iter().filter_map(|line| line.split_once("] .. "));
        notes.map(|(_, note)| note.to_owned()).collect()
    }

    /// What the transcript says that the servers have said.
    pub(crate) fn said(&self) -> Vec<String> {
        let lines = self.recorder.lines();
        let said = lines.iter().filter_map(|line| line.split_once("] S: "));
        said.map(|(_, line)| line.to_owned()).collect()
    }

    /// What a client needs that trusts the authority of the stage, which is made here.
    pub(crate) fn trust(&self) -> Arc<ClientConfig> {
        self.tls.as_ref().unwrap().ready().unwrap();
        let mut roots = RootCertStore::empty();
        let path = certificate_path(self.authority.path());
        for root in CertificateDer::pem_file_iter(path).unwrap() {
            roots.add(root.unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}
