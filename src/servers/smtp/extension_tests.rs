//! Conversations with a server that offers extensions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::mail::address::{Domain, ForwardPath};
use crate::servers::credentials::{Credentials, Proof};
use crate::servers::exposure::Exposure;
use crate::servers::limits::AUTH_LINE_OCTETS;
use crate::servers::profile::{AuthPolicy, Choices, Profile, TlsPolicy};
use crate::servers::recipients::{Decision, Destination, Refusal};
use crate::servers::session::script::Peer;
use crate::servers::session::{AfterChunk, Chunk, ChunkFate, Farewell, Session, Step};
use crate::servers::settings::{Settings, SettingsView};
use crate::servers::smtp::session::{Delivery, SmtpEffect, SmtpOutcome, SmtpSession};
use crate::servers::smtp::transaction::Transaction;
use crate::store::directory::User;
use crate::wire::line::LINE_OCTETS;

type Delivered = Rc<RefCell<Vec<Transaction>>>;

/// Messages may have 1,000 octets.
fn session(choices: Choices, exposure: Exposure) -> SmtpSession {
    let view = SettingsView { choices, message_most: 1_000, ..SettingsView::default() };
    let settings = Arc::new(Settings::new(view));
    let rules = settings.rules();
    SmtpSession::new("localhost".into(), settings, rules, exposure)
}

/// The user linhphan has the password cis505; every challenge is `<1@localhost>`.
fn perform(effect: SmtpEffect, delivered: &Delivered) -> SmtpOutcome {
    match effect {
        SmtpEffect::Recipient(path) => SmtpOutcome::Recipient(decide(*path)),
        SmtpEffect::Deliver(transaction) => {
            delivered.borrow_mut().push(*transaction);
            SmtpOutcome::Delivery(Delivery::Stored)
        }
        SmtpEffect::Challenge => SmtpOutcome::Challenge("<1@localhost>".to_owned()),
        SmtpEffect::LogIn(credentials) => match *credentials {
            Credentials { name, proof: Proof::Password(password), .. }
                if name == "linhphan" && password == b"cis505" =>
            {
                SmtpOutcome::LoggedIn
            }
            _ => SmtpOutcome::LoginRefused,
        },
    }
}

fn decide(path: ForwardPath) -> Decision {
    match path {
        ForwardPath::Mailbox(mailbox) if mailbox.to_string() == "linhphan@localhost" => {
            Ok(Destination::Mailbox(User::named("linhphan").into()))
        }
        ForwardPath::Mailbox(mailbox) if mailbox.domain == Domain::Name("example.org".into()) => {
            Ok(Destination::Queue(mailbox))
        }
        _ => Err(Refusal::NoSuchUser),
    }
}

type Client = (Peer<SmtpSession, Box<dyn FnMut(SmtpEffect) -> SmtpOutcome>>, Delivered);

fn client(choices: Choices, exposure: Exposure) -> Client {
    let delivered = Delivered::default();
    let deliveries = Rc::clone(&delivered);
    let effects = Box::new(move |effect| perform(effect, &deliveries));
    (Peer::new(session(choices, exposure), effects), delivered)
}

fn with(profile: Profile) -> Client {
    client(Choices { profile, ..Choices::default() }, Exposure::Loopback)
}

/// A client that has said EHLO.
fn greeted(profile: Profile) -> Client {
    let (mut peer, delivered) = with(profile);
    peer.send("EHLO client.example").expect("250-localhost*");
    (peer, delivered)
}

#[test]
fn by_default_nothing_is_offered() {
    let (mut peer, _) = with(Profile::Rfc821);
    for line in ["EHLO x", "EHLO", "AUTH PLAIN", "STARTTLS", "VRFY a", "HELP", "EXPN a"] {
        peer.send(line).expect("502 Command not implemented");
    }
    for line in ["BDAT 1 LAST", "BDAT"] {
        peer.send(line).expect("500 Syntax error, command unrecognized");
    }
    peer.send("HELO x").expect("250 localhost");
    peer.send("MAIL FROM:<a@b> SIZE=1").expect("555 *");
}

#[test]
fn ehlo_lists_what_the_profile_offers() {
    let (mut peer, _) = with(Profile::Esmtp);
    peer.send("EHLO").expect("501 Syntax error in parameters or arguments");
    peer.send("EHLO client.example").expect(
        "250-localhost\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 HELP",
    );
    let list = Some("none".parse().unwrap());
    let (mut peer, _) =
        client(Choices { extensions: list, ..Choices::default() }, Exposure::Loopback);
    peer.send("EHLO x").expect("250 localhost");
    peer.send("MAIL FROM:<a@b>").expect("250 OK");
}

#[test]
fn replies_after_ehlo_have_enhanced_codes_until_helo() {
    let (mut peer, _) = with(Profile::Esmtp);
    peer.send("NOOP").expect("250 OK");
    peer.send("EHLO x").expect("250-localhost*");
    for (line, reply) in [
        ("NOOP", "250 2.0.0 OK"),
        ("MAIL FROM:<a@b>", "250 2.1.0 OK"),
        ("MAIL FROM:<a@b>", "503 5.5.1 *"),
        ("RCPT TO:<nobody@localhost>", "550 5.1.1 *"),
        ("RCPT TO:<linhphan@localhost>", "250 2.1.5 OK"),
        ("DATA", "250 2.0.0 OK"),
        ("DATA", "503 5.5.1 *"),
        ("FOO", "500 5.5.2 *"),
        ("EXPN a", "502 5.5.1 *"),
        ("MAIL FROM:<a@b> FOO=1", "555 5.5.4 *"),
        ("HELP", "214 2.0.0 Commands: MAIL RCPT *"),
    ] {
        peer.send(line).expect(reply);
    }
    let farewell = peer.session.farewell(Farewell::Idle).unwrap();
    assert!(farewell.bytes().starts_with(b"421 4.4.2 localhost Idle"));
    peer.send("HELO x").expect("250 localhost");
    peer.send("NOOP").expect("250 OK");
    peer.send("EHLO x").expect("250-*");
    peer.send("QUIT")
        .expect("221 2.0.0 localhost Service closing transmission channel")
        .and_close();
}

#[test]
fn a_second_ehlo_ends_a_transaction() {
    let (mut peer, _) = greeted(Profile::Esmtp);
    peer.send("MAIL FROM:<a@b>").expect("250 *");
    peer.send("EHLO x").expect("250-*");
    peer.send("RCPT TO:<linhphan@localhost>").expect("503 *");
}

#[test]
fn a_size_over_the_limit_is_refused_at_mail() {
    let (mut peer, _) = greeted(Profile::Esmtp);
    peer.send("MAIL FROM:<a@b> SIZE=1001").expect("552 5.3.4 *");
    peer.send("MAIL FROM:<a@b> SIZE=x").expect("501 5.5.4 *");
    peer.send("MAIL FROM:<a@b> SIZE=1000").expect("250 *");
}

#[test]
fn what_mail_and_rcpt_declare_travels_with_the_message() {
    let (mut peer, delivered) = greeted(Profile::Esmtp);
    peer.send("MAIL FROM:<\u{e9}@b> SMTPUTF8 RET=HDRS ENVID=x").expect("250 *");
    peer.send("RCPT TO:<\u{fc}@example.org> NOTIFY=NEVER").expect("250 *");
    peer.send("RCPT TO:<\u{fc}@localhost>").expect("550 5.1.1 *");
    peer.send("DATA").expect("250 *");
    let sent = &delivered.borrow()[0];
    assert_eq!(sent.parameters.to_string(), " SMTPUTF8 RET=HDRS ENVID=x");
    assert_eq!(sent.remote[0].1.to_string(), " NOTIFY=NEVER");
    peer.send("MAIL FROM:<a@b>").expect("250 *");
    peer.send("RCPT TO:<\u{fc}@example.org>").expect("501 *");
}

#[test]
fn vrfy_tells_nothing() {
    let (mut peer, _) = greeted(Profile::Everything);
    peer.send("VRFY linhphan").expect("252 2.1.5 *");
    peer.send("VRFY nobody").expect("252 2.1.5 *");
    peer.send("VRFY").expect("501 *");
}

/// What follows BDAT: the octets, their fate, and the reply or `None` if the message is complete.
fn chunk(session: &mut SmtpSession, line: &str) -> (u64, ChunkFate, Option<String>) {
    match session.line(line.as_bytes()) {
        Step::Chunk(Chunk { octets, fate, then: AfterChunk::Reply(reply) }) => {
            (octets, fate, Some(String::from_utf8(reply.bytes().to_vec()).unwrap()))
        }
        Step::Chunk(Chunk { octets, fate, then: AfterChunk::Perform(_) }) => (octets, fate, None),
        step => panic!("{line}: {step:?}"),
    }
}

/// A session of which a message has a recipient.
fn in_transaction() -> SmtpSession {
    let (mut peer, _) = greeted(Profile::Everything);
    peer.send("MAIL FROM:<a@b> BODY=BINARYMIME").expect("250 *");
    peer.send("RCPT TO:<linhphan@localhost>").expect("250 *");
    peer.session
}

#[test]
fn chunks_make_a_message() {
    let mut session = in_transaction();
    let received = Some("250 2.0.0 5 octets received".to_owned());
    assert_eq!(chunk(&mut session, "BDAT 5"), (5, ChunkFate::First, received.clone()));
    assert_eq!(chunk(&mut session, "BDAT 5"), (5, ChunkFate::Next, received));
    let Step::Reply(reply) = session.line(b"DATA") else { panic!() };
    assert!(reply.bytes().starts_with(b"503 5.5.1"));
    let Step::Reply(reply) = session.line(b"RCPT TO:<linhphan@localhost>") else { panic!() };
    assert!(reply.bytes().starts_with(b"503 5.5.1"));
    assert_eq!(chunk(&mut session, "BDAT 0 LAST"), (0, ChunkFate::Next, None));
    let mut session = in_transaction();
    assert_eq!(chunk(&mut session, "BDAT 0 LAST"), (0, ChunkFate::First, None));
}

#[test]
fn the_octets_of_a_refused_chunk_are_received_too() {
    let refused = |session: &mut SmtpSession, line: &str, code: &str| {
        let (octets, fate, reply) = chunk(session, line);
        assert_eq!(fate, ChunkFate::Dropped);
        assert!(reply.as_ref().is_some_and(|reply| reply.starts_with(code)), "{line}: {reply:?}");
        octets
    };
    let (mut peer, _) = greeted(Profile::Everything);
    assert_eq!(refused(&mut peer.session, "BDAT 7 LAST", "503"), 7);
    assert_eq!(refused(&mut peer.session, "BDAT 7 FIRST", "501"), 7);
    let mut session = in_transaction();
    assert_eq!(refused(&mut session, "BDAT 1001", "552"), 1_001);
    assert_eq!(refused(&mut session, "BDAT 1", "503"), 1);
    let mut session = in_transaction();
    chunk(&mut session, "BDAT 1000");
    assert_eq!(refused(&mut session, &format!("BDAT {}", u64::MAX), "552"), u64::MAX);
}

#[test]
fn binary_text_is_no_lines() {
    let mut session = in_transaction();
    let Step::Reply(reply) = session.line(b"DATA") else { panic!() };
    assert!(reply.bytes().starts_with(b"503 5.5.1 Bad sequence of commands: BODY=BINARYMIME"));
}

#[test]
fn before_a_required_starttls_little_is_allowed() {
    let tls = Choices { smtp_tls: Some(TlsPolicy::Required), ..Choices::default() };
    let (mut peer, _) = client(Choices { profile: Profile::Everything, ..tls }, Exposure::Loopback);
    peer.send("EHLO x").expect("250-*");
    for line in [
        "MAIL FROM:<a@b>",
        "MAIL nonsense",
        "RCPT TO:<a@b>",
        "DATA",
        "VRFY a",
        "AUTH PLAIN",
        "EXPN a",
        "BDAT 3",
    ] {
        peer.send(line).expect("530 5.7.0 Must issue a STARTTLS command first");
    }
    for (line, reply) in [
        ("NOOP", "250 *"),
        ("RSET", "250 *"),
        ("HELP", "214 *"),
        ("FOO", "500 *"),
        ("HELO x", "250 *"),
    ] {
        peer.send(line).expect(reply);
    }
    let offered = |peer: &mut Peer<SmtpSession, _>| {
        let Step::Reply(reply) = peer.session.line(b"EHLO x") else { panic!() };
        let text = String::from_utf8(reply.bytes().to_vec()).unwrap();
        (text.contains("STARTTLS"), text.contains("AUTH"))
    };
    assert_eq!(offered(&mut peer), (true, false));
    peer.send("STARTTLS x").expect("501 *");
    peer.send("STARTTLS").expect("220 2.0.0 Ready to start TLS");
    peer.send("MAIL FROM:<a@b>").expect("503 Bad sequence of commands: HELO first");
    assert_eq!(offered(&mut peer), (false, true));
    peer.send("STARTTLS").expect("503 5.5.1 *");
    peer.send("MAIL FROM:<a@b>").expect("250 *");
}

#[test]
fn a_client_logs_in_once_after_ehlo_and_outside_of_transactions() {
    let (mut peer, _) = with(Profile::Submission);
    peer.send("AUTH PLAIN").expect("503 Bad sequence of commands: EHLO first");
    peer.send("EHLO x").expect("250-*");
    peer.send("MAIL FROM:<a@b>").expect("530 5.7.0 Authentication required");
    for (line, reply) in [
        ("AUTH", "501 5.5.4 *"),
        ("AUTH FOO", "504 5.5.4 *"),
        ("AUTH PLAIN !", "501 5.5.2 *"),
        ("AUTH CRAM-MD5 eA==", "501 5.5.2 *"),
        ("AUTH PLAIN", "334 "),
        ("*", "501 5.7.0 *"),
        ("AUTH PLAIN AGxpbmhwaGFuAHdyb25n", "535 5.7.8 *"),
        ("AUTH cram-md5", "334 PDFAbG9jYWxob3N0Pg=="),
        ("bGluaHBoYW4gMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=", "535 *"),
        ("AUTH XOAUTH2 dXNlcj1saW5ocGhhbgFhdXRoPUJlYXJlciB4AQE=", "334 ey*"),
        ("", "535 5.7.8 *"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("bGluaHBoYW4=", "334 UGFzc3dvcmQ6"),
        ("Y2lzNTA1", "235 2.7.0 *"),
        ("AUTH PLAIN", "503 5.5.1 *"),
        ("MAIL FROM:<a@b>", "250 *"),
    ] {
        peer.send(line).expect(reply);
    }
    let (mut peer, _) = greeted(Profile::Everything);
    peer.send("MAIL FROM:<a@b>").expect("250 *");
    peer.send("AUTH PLAIN").expect("503 5.5.1 *");
}

#[test]
fn a_line_of_an_exchange_may_be_longer_than_others() {
    let (mut peer, _) = greeted(Profile::Everything);
    let session = &mut peer.session;
    let auth = format!("AUTH PLAIN {}", "A".repeat(LINE_OCTETS));
    assert_eq!(session.line_octets(auth.as_bytes()), AUTH_LINE_OCTETS);
    assert_eq!(session.line_octets(&[b'A'; LINE_OCTETS + 1]), LINE_OCTETS);
    session.line(b"AUTH PLAIN");
    assert_eq!(session.line_octets(b"A"), AUTH_LINE_OCTETS);
    assert!(session.overlong().bytes().starts_with(b"500 5.5.6"));
    assert_eq!(session.line_octets(b"A"), LINE_OCTETS);
    assert!(session.overlong().bytes().starts_with(b"500 5.5.2"));
}

#[test]
fn in_the_clear_a_secret_is_asked_for_on_this_machine_only() {
    let required = || Choices { auth: Some(AuthPolicy::Offered), ..Choices::default() };
    let (mut peer, _) = client(required(), Exposure::Network);
    peer.send("EHLO x").expect("250-localhost\r\n250 AUTH CRAM-MD5");
    peer.send("AUTH PLAIN").expect("538 *");
    peer.session.secured();
    peer.send("EHLO x").expect("250-localhost\r\n250 AUTH PLAIN LOGIN *");
    let (mut peer, _) = client(Choices { auth_plaintext: true, ..required() }, Exposure::Network);
    peer.send("EHLO x").expect("250-localhost\r\n250 AUTH PLAIN LOGIN *");
    let mechanisms = Some("LOGIN".parse().unwrap());
    let (mut peer, _) = client(Choices { mechanisms, ..required() }, Exposure::Network);
    peer.send("EHLO x").expect("250 localhost");
    peer.send("AUTH PLAIN").expect("504 *");
}

#[test]
fn a_name_that_no_mailbox_can_have_is_an_error_unless_it_is_caught() {
    let long = format!("RCPT TO:<{}@localhost>", "u".repeat(65));
    for (profile, reply) in [(Profile::Esmtp, "501 *"), (Profile::Catch, "550 5.1.1 *")] {
        let (mut peer, _) = greeted(profile);
        peer.send("MAIL FROM:<a@b>").expect("250 *");
        // The service of this test knows one user only.
        peer.send(&long).expect(reply);
    }
}
