//! Conversations with a server that offers capabilities.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::servers::credentials::Credentials;
use crate::servers::exposure::Exposure;
use crate::servers::limits::AUTH_LINE_OCTETS;
use crate::servers::pop3::capabilities::Offers;
use crate::servers::pop3::effect::{Pop3Effect, Pop3Outcome};
use crate::servers::pop3::session::Pop3Session;
use crate::servers::profile::{Choices, Profile, TlsPolicy};
use crate::servers::session::script::Peer;
use crate::servers::session::{Session, Step};
use crate::store::marks::Marks;
use crate::store::mbox::NotMbox;
use crate::wire::line::LINE_OCTETS;

/// A service with these mailboxes: linhphan, password cis505, has messages of 120 and 200 octets, and
/// mrose, password tanstaaf, of RFC 1939's example has them too; the maildrop of zives is locked,
/// another program has busy's, and that of letter is not an mbox file.
fn answers(effect: Pop3Effect) -> Pop3Outcome {
    match effect {
        Pop3Effect::Login { user, password } if password == b"cis505" => opened(&user),
        Pop3Effect::Login { .. } => Pop3Outcome::LoginRefused,
        Pop3Effect::Prove(credentials) => {
            let Credentials { authzid, name, proof } = *credentials;
            let password = if name == "mrose" { "tanstaaf" } else { "cis505" };
            let is_own = authzid.is_none_or(|other| other == name);
            if is_own && proof.fits(&password.into()) {
                opened(&name)
            } else {
                Pop3Outcome::LoginRefused
            }
        }
        Pop3Effect::Update { .. } => Pop3Outcome::Updated,
        _ => Pop3Outcome::Said,
    }
}

fn opened(user: &str) -> Pop3Outcome {
    match user {
        "linhphan" | "mrose" => Pop3Outcome::Opened {
            mailbox: user.into(),
            octets: [120, 200].into(),
            deleted: Arc::new(Marks::of(2)),
        },
        "zives" => Pop3Outcome::InUse,
        "busy" => Pop3Outcome::Busy,
        "letter" => Pop3Outcome::NotMbox(NotMbox::begins_with(&[0xff; 1_000])),
        _ => Pop3Outcome::LoginRefused,
    }
}

type Client = Peer<Pop3Session, fn(Pop3Effect) -> Pop3Outcome>;

fn client(choices: &Choices, exposure: Exposure) -> Client {
    let offers = Offers::new(choices.rules().pop3, exposure);
    let session = Pop3Session::new("localhost".into(), offers);
    let timestamp = "<1896.697170952@dbc.mtview.ca.us>".to_owned();
    Peer::new(session.with_timestamp(timestamp), answers)
}

/// The client of a server with this profile and this list, on the same machine.
fn client_of(profile: Profile, list: &str) -> Client {
    let capabilities = (!list.is_empty()).then(|| list.parse().unwrap());
    client(&Choices { profile, capabilities, ..Choices::default() }, Exposure::Loopback)
}

/// A client of everything, with this policy of TLS.
fn peer_with_tls(policy: TlsPolicy, exposure: Exposure) -> Client {
    let choices =
        Choices { profile: Profile::Everything, pop3_tls: Some(policy), ..Choices::default() };
    client(&choices, exposure)
}

fn base64(message: &str) -> String {
    STANDARD.encode(message)
}

#[test]
fn capa_is_answered_in_both_states() {
    let mut peer = client_of(Profile::Rfc821, "UIDL,top,EXPIRE");
    let list = "+OK capability list follows\r\nTOP\r\nUIDL\r\nEXPIRE NEVER\r\n.";
    peer.send("CAPA").expect(list);
    peer.send("CAPA x").expect("-ERR this command takes no argument");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("capa").expect(list);
    peer.send("PASS cis505").expect("+OK 2 messages*");
    peer.send("CAPA").expect(list);
    // What a plain list does not name is not offered, but still there.
    peer.send("UIDL 3").expect("-ERR no such message");
}

#[test]
fn what_is_off_is_not_supported() {
    for (command, name) in [
        ("TOP 1 0", "TOP"),
        ("UTF8", "UTF8"),
        ("AUTH", "SASL"),
        ("AUTH PLAIN", "SASL"),
        ("APOP linhphan c4c9334bac560ecc979e58001b3e22fb", "APOP"),
        ("STLS", "STLS"),
    ] {
        for line in [command.to_owned(), format!("{command} x")] {
            let mut peer = client_of(Profile::Everything, &format!("-{name}"));
            peer.send(&line).expect("-ERR Not supported");
            peer.send("USER linhphan").expect("+OK*");
            peer.send("PASS cis505").expect("+OK*");
            peer.send(&line).expect("-ERR Not supported");
        }
    }
}

#[test]
fn commands_that_were_taken_away_are_not_supported() {
    let mut peer = client_of(Profile::Esmtp, "-UIDL");
    peer.send("UIDL").expect("-ERR Not supported");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("PASS cis505").expect("+OK*");
    peer.send("UIDL 1").expect("-ERR Not supported");
    let mut peer = client_of(Profile::Esmtp, "-USER");
    for line in ["USER linhphan", "USER", "PASS cis505", "PASS"] {
        peer.send(line).expect("-ERR Not supported");
    }
    peer.send("STAT").expect("-ERR log in first");
    peer.send("QUIT").expect("+OK*").and_close();
}

#[test]
fn top_needs_both_numbers_and_a_message_that_is_there() {
    let mut peer = client_of(Profile::Esmtp, "");
    peer.send("TOP 1 0").expect("-ERR log in first*");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("PASS cis505").expect("+OK*");
    peer.send("TOP 1").expect("-ERR argument missing");
    peer.send("TOP 1 -1").expect("-ERR not a number of lines");
    peer.send("TOP 3 0").expect("-ERR no such message");
    let top = Pop3Effect::Top { index: 1, lines: 7 };
    assert_eq!(peer.session.line(b"TOP 2 7"), Step::Perform(top));
    peer.send("DELE 2").expect("+OK*");
    peer.send("TOP 2 7").expect("-ERR message is deleted");
}

#[test]
fn names_in_utf_8_come_after_utf8_which_comes_before_the_login() {
    let mut peer = client_of(Profile::Everything, "");
    peer.send("USER zoë").expect("-ERR argument is not printable ASCII");
    peer.send("UTF8 x").expect("-ERR this command takes no argument");
    peer.send("UTF8").expect("+OK");
    peer.send("UTF8").expect("+OK");
    peer.send("USER zoë").expect("+OK*");
    peer.send("PASS cis505").expect("-ERR [AUTH] invalid*");
    peer.send(b"USER zo\xeb").expect("-ERR argument is not printable UTF-8");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("PASS cis505").expect("+OK*");
    peer.send("UTF8").expect("-ERR this command comes before the login only");
}

#[test]
fn replies_have_the_codes_that_are_offered() {
    let refusals = |profile, list| {
        let mut peer = client_of(profile, list);
        ["zives", "busy", "letter", "nobody"].map(|user| {
            peer.send(format!("USER {user}")).expect("+OK*");
            let reply = peer.send("PASS cis505").text();
            reply.split(' ').nth(1).unwrap().to_owned()
        })
    };
    assert_eq!(refusals(Profile::Rfc821, ""), ["[IN-USE]", "[SYS/TEMP]", "mailbox", "invalid"]);
    assert_eq!(refusals(Profile::Esmtp, ""), ["[IN-USE]", "mailbox", "mailbox", "invalid"]);
    assert_eq!(refusals(Profile::Esmtp, "none"), ["maildrop", "mailbox", "mailbox", "invalid"]);
    let every = ["[IN-USE]", "[SYS/TEMP]", "[SYS/PERM]", "[AUTH]"];
    assert_eq!(refusals(Profile::Everything, ""), every);
}

/// RFC 1939 section 7.
#[test]
fn apop_is_that_of_rfc_1939() {
    let mut peer = client_of(Profile::Everything, "");
    let greeting = peer.session.greeting();
    let timestamp = "<1896.697170952@dbc.mtview.ca.us>";
    assert_eq!(greeting.bytes(), format!("+OK POP3 ready [localhost] {timestamp}").as_bytes());
    peer.send("APOP mrose c4c9334bac560ecc979e58001b3e22fc").expect("-ERR [AUTH] invalid*");
    peer.send("APOP mrose").expect("-ERR argument missing");
    peer.send("APOP mrose c4c9").expect("-ERR not a digest of 32 hexadecimal digits");
    peer.send("APOP mrose c4c9334bac560ecc979e58001b3e22fb").expect("+OK 2 messages (320 octets)");
    assert_eq!(peer.session.user(), Some("mrose"));
    peer.send("APOP mrose c4c9334bac560ecc979e58001b3e22fb").expect("-ERR already logged in");
}

#[test]
fn auth_alone_lists_the_mechanisms() {
    let mut peer = client_of(Profile::Everything, "");
    peer.send("AUTH").expect("+OK mechanisms follow\r\nPLAIN\r\n.");
    peer.send("AUTH LOGIN").expect("-ERR this mechanism is not offered");
    peer.send("AUTH CRAM-MD5").expect("-ERR this mechanism is not offered");
    peer.send("AUTH NONSENSE").expect("-ERR this mechanism is not offered");
}

#[test]
fn auth_plain_logs_in_with_and_without_an_initial_response() {
    let right = base64("\0linhphan\0cis505");
    let mut first = client_of(Profile::Everything, "");
    first.send(format!("AUTH PLAIN {right}")).expect("+OK 2 messages (320 octets)");
    first.send("AUTH").expect("-ERR already logged in");
    let mut second = client_of(Profile::Everything, "");
    second.send("auth plain").expect("+ ");
    assert_eq!(second.session.state(), "AUTHORIZATION");
    second.send(&right).expect("+OK 2 messages (320 octets)");
    assert_eq!(second.session.state(), "TRANSACTION linhphan");
    let mut third = client_of(Profile::Everything, "");
    third.send(format!("AUTH PLAIN {}", base64("linhphan\0linhphan\0cis505"))).expect("+OK*");
}

#[test]
fn an_exchange_that_fails_leaves_the_client_where_it_was() {
    let mut peer = client_of(Profile::Everything, "");
    peer.send("AUTH PLAIN").expect("+ ");
    peer.send("*").expect("-ERR AUTH cancelled");
    // No answer any more.
    peer.send("*").expect("-ERR Not supported");
    for answer in ["QUIT", "", "=", "?", &base64("linhphan"), &base64("\0linhphan\0cis505")[1..]] {
        peer.send("AUTH PLAIN").expect("+ ");
        peer.send(answer).expect("-ERR not base64*");
    }
    for initial in ["=", "*", "?", "AG xp"] {
        peer.send(format!("AUTH PLAIN {initial}")).expect("-ERR not base64*");
    }
    peer.send("AUTH PLAIN").expect("+ ");
    peer.send(base64("\0linhphan\0wrong")).expect("-ERR [AUTH] invalid*");
    peer.send(format!("AUTH PLAIN {}", base64("mrose\0linhphan\0cis505"))).expect("-ERR [AUTH]*");
    peer.send(format!("AUTH PLAIN {}", base64("\0zives\0cis505"))).expect("-ERR [IN-USE]*");
    peer.send("STAT").expect("-ERR log in first*");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("PASS cis505").expect("+OK*");
}

#[test]
fn an_exchange_forgets_the_name_that_user_gave() {
    let mut peer = client_of(Profile::Everything, "");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("AUTH PLAIN").expect("+ ");
    peer.send("*").expect("-ERR*");
    peer.send("PASS cis505").expect("-ERR USER first");
}

#[test]
fn only_the_lines_of_an_exchange_may_be_long() {
    let mut peer = client_of(Profile::Everything, "");
    assert_eq!(peer.session.line_octets(b"AUTH PLAIN "), LINE_OCTETS);
    peer.send("AUTH PLAIN").expect("+ ");
    assert_eq!(peer.session.line_octets(b""), AUTH_LINE_OCTETS);
    assert_eq!(peer.session.overlong().bytes(), b"-ERR Line too long");
    assert_eq!(peer.session.line_octets(b""), LINE_OCTETS);
    peer.send("STAT").expect("-ERR log in first*");
}

#[test]
fn wrong_logins_of_every_kind_are_counted_together() {
    let mut peer = client_of(Profile::Everything, "");
    let wrong = base64("\0linhphan\0wrong");
    for _ in 0..3 {
        assert!(!peer.send(format!("AUTH PLAIN {wrong}")).expect("-ERR*").closed);
        peer.send("USER linhphan").expect("+OK*");
        assert!(!peer.send("PASS wrong").expect("-ERR*").closed);
        let apop = "APOP linhphan c4c9334bac560ecc979e58001b3e22fb";
        assert!(!peer.send(apop).expect("-ERR*").closed);
    }
    peer.send(format!("AUTH PLAIN {wrong}")).expect("-ERR*").and_close();
}

#[test]
fn secrets_are_not_asked_for_where_they_could_be_overheard() {
    let mut peer = peer_with_tls(TlsPolicy::Offered, Exposure::Network);
    assert!(!peer.send("CAPA").text().contains("SASL"));
    for line in ["AUTH", "AUTH PLAIN", "AUTH LOGIN"] {
        peer.send(line).expect("-ERR AUTH is offered only over TLS*");
    }
    peer.send("STLS").expect("+OK begin TLS");
    assert!(peer.send("CAPA").text().contains("SASL PLAIN\r\n"));
    peer.send(format!("AUTH PLAIN {}", base64("\0linhphan\0cis505"))).expect("+OK*");
    let choices =
        Choices { profile: Profile::Everything, auth_plaintext: true, ..Choices::default() };
    client(&choices, Exposure::Network).send("AUTH PLAIN").expect("+ ");
}

#[test]
fn stls_comes_once_before_the_login_and_alone() {
    let mut peer = peer_with_tls(TlsPolicy::Offered, Exposure::Loopback);
    peer.send("STLS now").expect("-ERR this command takes no argument");
    assert!(peer.send("CAPA").text().contains("STLS\r\n"));
    assert!(matches!(peer.session.line(b"STLS"), Step::Secure(_)));
    peer.session.secured();
    assert!(!peer.send("CAPA").text().contains("STLS"));
    peer.send("STLS").expect("-ERR TLS has begun already");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("PASS cis505").expect("+OK*");
    peer.send("STLS").expect("-ERR this command comes before the login only");
}

#[test]
fn what_was_said_before_tls_is_forgotten() {
    let mut peer = peer_with_tls(TlsPolicy::Offered, Exposure::Network);
    peer.send("UTF8").expect("+OK");
    peer.send("USER linhphan").expect("+OK*");
    peer.send("STLS").expect("+OK begin TLS");
    peer.send("PASS cis505").expect("-ERR USER first");
    peer.send("USER zoë").expect("-ERR argument is not printable ASCII");
}

#[test]
fn no_login_comes_before_a_required_tls() {
    let mut peer = peer_with_tls(TlsPolicy::Required, Exposure::Loopback);
    let offered = peer.send("CAPA").text();
    assert!(!offered.contains("USER") && !offered.contains("SASL") && offered.contains("STLS"));
    let apop = "APOP mrose c4c9334bac560ecc979e58001b3e22fb";
    for line in ["USER linhphan", "PASS cis505", apop, "AUTH", "AUTH PLAIN", "AUTH PLAIN AAA="] {
        peer.send(line).expect("-ERR STLS first");
    }
    peer.send("UTF8").expect("+OK");
    peer.send("STLS").expect("+OK begin TLS");
    let offered = peer.send("CAPA").text();
    assert!(offered.contains("\r\nUSER\r\n") && offered.contains("\r\nSASL PLAIN\r\n"));
    peer.send(apop).expect("+OK 2 messages*");
}
