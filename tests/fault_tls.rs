//! Faults where TLS begins, and over TLS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{self, ErrorKind};
use std::sync::Arc;

use mailconsole::fault::faults::Faults;
use mailconsole::servers::profile::{Choices, Profile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use support::Peer;
use support::stage::{Stage, To};

/// Servers that offer TLS in this profile, by this rule.
fn offering(profile: Profile, rule: &str) -> Stage {
    let faults = Arc::new(Faults::new(1, false));
    faults.add(rule).unwrap();
    Stage::offering(Choices { profile, ..Choices::default() }, faults)
}

/// A client that has said STARTTLS, and heard the reply to it.
async fn after_starttls(stage: &Stage) -> Peer<TcpStream> {
    let mut peer = stage.connect(To::Smtp).await;
    peer.expect("220 *").await;
    peer.says("STARTTLS", "220 *").await;
    peer
}

async fn handshake(stage: &Stage, peer: Peer<TcpStream>) -> io::Result<Peer<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(stage.trust()).connect(name, peer.stream).await?;
    Ok(Peer { stream })
}

#[tokio::test]
async fn each_wrong_certificate_is_wrong_in_its_own_way() {
    for (fault, reason) in
        [("expired", "Expired"), ("name", "NotValidForName"), ("ca", "UnknownIssuer")]
    {
        let stage = offering(Profile::Everything, &format!("smtp.starttls : tls {fault} once"));
        let peer = after_starttls(&stage).await;
        let error = handshake(&stage, peer).await.map(|_| ()).unwrap_err();
        assert!(format!("{error:?}").contains(reason), "{fault}: {error:?}");
        // The rule is spent, and the right certificate is presented again.
        let mut peer = handshake(&stage, after_starttls(&stage).await).await.unwrap();
        peer.says("NOOP", "250 *").await;
        assert!(stage.notes().contains(&"fault 1: smtp.starttls (1 of 1)".to_owned()), "{fault}");
        stage.sockets.end().await;
    }
}

#[tokio::test]
async fn what_comes_instead_of_the_handshake_is_seen_by_the_client() {
    let stage = offering(Profile::Everything, "smtp.starttls : tls cut");
    after_starttls(&stage).await.expect_end().await;
    let stage = offering(Profile::Everything, "smtp.starttls : tls garbage");
    let mut peer = after_starttls(&stage).await;
    peer.send("hello").await;
    assert_eq!(peer.rest().await, "This is not TLS.\r\n");
    let stage = offering(Profile::Everything, "smtp.starttls : tls alert");
    let error = handshake(&stage, after_starttls(&stage).await).await.map(|_| ()).unwrap_err();
    assert!(format!("{error:?}").contains("AlertReceived(HandshakeFailure)"), "{error:?}");
}

#[tokio::test]
async fn octets_are_injected_in_the_write_of_the_reply_and_the_handshake_follows() {
    let stage = offering(Profile::Everything, r#"smtp.starttls : append "250 injected\r\n""#);
    let mut peer = after_starttls(&stage).await;
    peer.expect("250 injected").await;
    let mut peer = handshake(&stage, peer).await.unwrap();
    peer.says("NOOP", "250 *").await;
}

#[tokio::test]
async fn where_starttls_is_refused_the_refusal_passes_untouched() {
    let stage = offering(Profile::default(), "smtp.starttls : tls cut");
    let mut peer = stage.connect(To::Smtp).await;
    peer.expect("220 *").await;
    peer.says("STARTTLS", "50*").await;
    peer.says("NOOP", "250 OK").await;
    assert_eq!(stage.faults.view()[0].hits, 0);
}

#[tokio::test]
async fn stls_fails_as_starttls_does() {
    let stage = offering(Profile::Everything, "pop3.stls : tls ca");
    let mut peer = stage.connect(To::Pop3).await;
    peer.expect("+OK *").await;
    peer.says("STLS", "+OK *").await;
    let error = handshake(&stage, peer).await.map(|_| ()).unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn over_tls_a_reset_is_one_of_the_connection_below_and_comes_behind_the_reply() {
    let stage = offering(Profile::Everything, "smtp.noop : 250 ok; reset");
    let mut peer = handshake(&stage, after_starttls(&stage).await).await.unwrap();
    peer.says("NOOP", "250 ok").await;
    let error = peer.stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error:?}");
}

#[tokio::test]
async fn over_tls_a_cut_reply_ends_in_good_order() {
    let stage = offering(Profile::Everything, "smtp.noop : cut after 3");
    let mut peer = handshake(&stage, after_starttls(&stage).await).await.unwrap();
    peer.send("NOOP\r\n").await;
    assert_eq!(peer.rest().await, "250");
    let _ = peer.stream.shutdown().await;
}
