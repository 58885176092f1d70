//! Faults where TLS begins, and over TLS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use mailconsole::fault::faults::Faults;
use mailconsole::servers::listener::{Lifetime, Shared};
use mailconsole::servers::profile::{Choices, Profile};
use mailconsole::servers::tls::authority::certificate_path;
use mailconsole::servers::tls::{CertificateSource, Tls};
use mailconsole::watch::observers::Observers;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use support::{Mail, Peer, Recorder, Sockets, connect};

/// A server of SMTP that offers STARTTLS, and the authority of its certificates.
struct Stage {
    recorder: Arc<Recorder>,
    faults: Arc<Faults>,
    smtp: SocketAddr,
    pop3: SocketAddr,
    sockets: Sockets,
    directory: TempDir,
}

impl Stage {
    fn with(profile: Profile, rule: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = CertificateSource::Authority {
            directory: directory.path().to_owned(),
            domain: "localhost".into(),
        };
        let tls = Arc::new(Tls::new(source));
        tls.ready().unwrap();
        let mail = Mail::with_users(&["bob"]);
        mail.settings.set_choices(Choices { profile, ..Choices::default() });
        let faults = Arc::new(Faults::new(1, false));
        faults.add(rule).unwrap();
        let recorder = Arc::new(Recorder::default());
        let transcript = Observers::one(Arc::clone(&recorder) as _);
        let shared = Shared::new(transcript, None, Arc::clone(&mail.settings), 10, 1_000)
            .with_tls(Some(tls))
            .with_faults(Arc::clone(&faults));
        let sockets = Sockets { shared: Arc::new(shared), lifetime: Lifetime::default() };
        let (smtp, pop3) = (sockets.serve(mail.smtp), sockets.serve(mail.pop3));
        Self { recorder, faults, smtp, pop3, sockets, directory }
    }

    /// A client that has said STARTTLS, and heard the reply to it.
    async fn after_starttls(&self) -> Peer<TcpStream> {
        let mut peer = connect(self.smtp).await;
        peer.expect("220 *").await;
        peer.says("STARTTLS", "220 *").await;
        peer
    }

    async fn handshake(&self, peer: Peer<TcpStream>) -> io::Result<Peer<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(certificate_path(self.directory.path())).unwrap()
        {
            roots.add(root.unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, peer.stream).await?;
        Ok(Peer { stream })
    }

    fn has_noted(&self, note: &str) -> bool {
        self.recorder.lines().iter().any(|line| line.contains(note))
    }
}

#[tokio::test]
async fn each_wrong_certificate_is_wrong_in_its_own_way() {
    for (fault, reason) in
        [("expired", "Expired"), ("name", "NotValidForName"), ("ca", "UnknownIssuer")]
    {
        let stage = Stage::with(Profile::Everything, &format!("smtp.starttls : tls {fault} once"));
        let peer = stage.after_starttls().await;
        let error = stage.handshake(peer).await.map(|_| ()).unwrap_err();
        assert!(format!("{error:?}").contains(reason), "{fault}: {error:?}");
        // The rule is spent, and the right certificate is presented again.
        let mut peer = stage.handshake(stage.after_starttls().await).await.unwrap();
        peer.says("NOOP", "250 *").await;
        assert!(stage.has_noted("fault 1: smtp.starttls (1 of 1)"), "{fault}");
        stage.sockets.end().await;
    }
}

#[tokio::test]
async fn what_comes_instead_of_the_handshake_is_seen_by_the_client() {
    let stage = Stage::with(Profile::Everything, "smtp.starttls : tls cut");
    stage.after_starttls().await.expect_end().await;
    let stage = Stage::with(Profile::Everything, "smtp.starttls : tls garbage");
    let mut peer = stage.after_starttls().await;
    peer.send("hello").await;
    assert_eq!(peer.rest().await, "This is not TLS.\r\n");
    let stage = Stage::with(Profile::Everything, "smtp.starttls : tls alert");
    let error = stage.handshake(stage.after_starttls().await).await.map(|_| ()).unwrap_err();
    assert!(format!("{error:?}").contains("AlertReceived(HandshakeFailure)"), "{error:?}");
}

#[tokio::test]
async fn octets_are_injected_in_the_write_of_the_reply_and_the_handshake_follows() {
    let stage = Stage::with(Profile::Everything, r#"smtp.starttls : append "250 injected\r\n""#);
    let mut peer = stage.after_starttls().await;
    peer.expect("250 injected").await;
    let mut peer = stage.handshake(peer).await.unwrap();
    peer.says("NOOP", "250 *").await;
}

#[tokio::test]
async fn where_starttls_is_refused_the_refusal_passes_untouched() {
    let stage = Stage::with(Profile::default(), "smtp.starttls : tls cut");
    let mut peer = connect(stage.smtp).await;
    peer.expect("220 *").await;
    peer.says("STARTTLS", "50*").await;
    peer.says("NOOP", "250 OK").await;
    assert_eq!(stage.faults.view()[0].hits, 0);
}

#[tokio::test]
async fn stls_fails_as_starttls_does() {
    let stage = Stage::with(Profile::Everything, "pop3.stls : tls ca");
    let mut peer = connect(stage.pop3).await;
    peer.expect("+OK *").await;
    peer.says("STLS", "+OK *").await;
    let error = stage.handshake(peer).await.map(|_| ()).unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn over_tls_a_reset_is_one_of_the_connection_below_and_comes_behind_the_reply() {
    let stage = Stage::with(Profile::Everything, "smtp.noop : 250 ok; reset");
    let mut peer = stage.handshake(stage.after_starttls().await).await.unwrap();
    peer.says("NOOP", "250 ok").await;
    let error = peer.stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error:?}");
}

#[tokio::test]
async fn over_tls_a_cut_reply_ends_in_good_order() {
    let stage = Stage::with(Profile::Everything, "smtp.noop : cut after 3");
    let mut peer = stage.handshake(stage.after_starttls().await).await.unwrap();
    peer.send("NOOP\r\n").await;
    assert_eq!(peer.rest().await, "250");
    let _ = peer.stream.shutdown().await;
}
