//! What the POP3 server of the real program offers, by profile and by list.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use program::{Client, Servers};

const MESSAGE: &[u8] = b"From x Wed Sep 17 11:00:00 2025\nA: 1\n\n.one\ntwo\n\n";

/// What is offered beside RFC 1939, with the name that offers it.
const COMMANDS: [(&str, &str); 5] = [
    ("TOP 1 0", "TOP"),
    ("APOP linhphan c4c9334bac560ecc979e58001b3e22fb", "APOP"),
    ("AUTH", "SASL"),
    ("STLS", "STLS"),
    ("UTF8", "UTF8"),
];

/// The program with a message for linhphan.
fn servers(dir: &Path, arguments: &[&str]) -> Servers {
    std::fs::write(dir.join("linhphan.mbox"), MESSAGE).unwrap();
    Servers::on(dir, arguments)
}

/// The greeting, and a client that has heard it.
fn greeted(servers: &Servers) -> (String, Client) {
    let mut client = Client::connect(servers.port("pop3"));
    (client.line(), client)
}

/// What CAPA lists, with a comma between capabilities.
fn capabilities(client: &mut Client) -> String {
    client.says("CAPA", "+OK capability list follows");
    let list = String::from_utf8(client.multi_line()).unwrap();
    list.trim_end().replace("\r\n", ", ")
}

fn top(client: &mut Client, lines: u64) -> String {
    client.says(&format!("TOP 1 {lines}"), "+OK top of message follows");
    String::from_utf8(client.multi_line()).unwrap()
}

/// What every command of an extension is answered where none is offered.
fn offers_nothing(client: &mut Client) {
    for (command, _) in COMMANDS {
        client.says(command, "-ERR Not supported");
    }
}

#[test]
fn by_default_nothing_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let servers = servers(dir.path(), &[]);
    let (greeting, mut client) = greeted(&servers);
    assert_eq!(greeting, "+OK POP3 ready [localhost]");
    for round in ["before the login", "after it"] {
        for line in ["CAPA", "CAPA x", "AUTH PLAIN", "TOP", "APOP"] {
            client.says(line, "-ERR Not supported");
        }
        offers_nothing(&mut client);
        if round == "before the login" {
            assert!(client.log_in("linhphan").starts_with("+OK"));
        }
    }
    let mut other = servers.connect("pop3");
    assert!(other.log_in("linhphan").starts_with("-ERR [IN-USE] "));
}

#[test]
fn esmtp_offers_what_modern_clients_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let servers = servers(dir.path(), &["--profile", "esmtp"]);
    let (greeting, mut client) = greeted(&servers);
    assert_eq!(greeting, "+OK POP3 ready [localhost]");
    let version = env!("CARGO_PKG_VERSION");
    let all =
        format!("TOP, UIDL, USER, RESP-CODES, PIPELINING, IMPLEMENTATION mailconsole-{version}");
    assert_eq!(capabilities(&mut client), all);
    for (command, name) in COMMANDS {
        let answer = if name == "TOP" { "-ERR log in first" } else { "-ERR Not supported" };
        client.says(command, answer);
    }
    assert!(client.log_in("linhphan").starts_with("+OK"));
    assert_eq!(capabilities(&mut client), all);
    assert_eq!(top(&mut client, 0), "A: 1\r\n\r\n");
    assert_eq!(top(&mut client, 1), "A: 1\r\n\r\n.one\r\n");
    assert_eq!(top(&mut client, u64::MAX), "A: 1\r\n\r\n.one\r\ntwo\r\n");
    let mut other = servers.connect("pop3");
    assert!(other.log_in("linhphan").starts_with("-ERR [IN-USE] "));
    // Only with AUTH-RESP-CODE is it told apart.
    assert_eq!(other.log_in("nobody"), "-ERR invalid user name or password");
}

#[test]
fn everything_offers_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let servers = servers(dir.path(), &["--profile", "everything"]);
    std::fs::write(dir.path().join("letter.mbox"), "Dear reader\n").unwrap();
    let (_, mut client) = greeted(&servers);
    let all = capabilities(&mut client);
    assert!(all.starts_with(
        "TOP, UIDL, USER, RESP-CODES, AUTH-RESP-CODE, PIPELINING, SASL PLAIN, STLS, UTF8, EXPIRE \
         NEVER, IMPLEMENTATION mailconsole-"
    ));
    client.says("UTF8", "+OK");
    client.says("USER zoë", "+OK");
    client.says("PASS zoë", "-ERR [AUTH] ");
    assert!(client.log_in("letter").starts_with("-ERR [SYS/PERM] "));
    client.send("AUTH\r\n");
    assert_eq!(
        (client.line(), client.multi_line()),
        ("+OK mechanisms follow".into(), b"PLAIN\r\n".to_vec())
    );
    let secret = STANDARD.encode("\0linhphan\0cis505");
    client.says(&format!("AUTH PLAIN {secret}"), "+OK 1 messages");
    client.says("QUIT", "+OK");
    let mut client = servers.connect("pop3");
    client.says("AUTH PLAIN", "+");
    client.says("*", "-ERR AUTH cancelled");
    client.says("AUTH PLAIN", "+");
    client.says(&secret, "+OK 1 messages");
    client.says("STLS", "-ERR this command comes before the login only");
}

#[test]
fn apop_has_a_new_timestamp_in_each_greeting() {
    let dir = tempfile::tempdir().unwrap();
    let servers = servers(dir.path(), &["--pop3-capabilities", "APOP"]);
    let timestamp_of = |greeting: &str| {
        let timestamp = greeting.strip_prefix("+OK POP3 ready [localhost] ").unwrap().to_owned();
        assert!(timestamp.starts_with('<') && timestamp.ends_with("@localhost>"), "{timestamp}");
        timestamp
    };
    let digest_of = |timestamp: &str| {
        let digest = <[u8; 16]>::from(Md5::digest(format!("{timestamp}cis505")));
        format!("{:032x}", u128::from_be_bytes(digest))
    };
    let (first, mut client) = greeted(&servers);
    let (second, mut other) = greeted(&servers);
    let (first, second) = (timestamp_of(&first), timestamp_of(&second));
    assert_ne!(first, second);
    assert_eq!(capabilities(&mut client), "");
    client.says(&format!("APOP linhphan {}", digest_of(&second)), "-ERR invalid");
    client.says(&format!("APOP linhphan@localhost {}", digest_of(&first)), "+OK 1 messages");
    client.says("QUIT", "+OK");
    other.says(&format!("APOP nobody {}", digest_of(&second)), "-ERR invalid");
    other.says(&format!("APOP linhphan {}", digest_of(&second)), "+OK 1 messages");
}

#[test]
fn each_is_refused_when_it_is_off() {
    let dir = tempfile::tempdir().unwrap();
    for (command, name) in COMMANDS {
        let list = format!("--pop3-capabilities=-{name}");
        let servers = servers(dir.path(), &["--profile", "everything", &list]);
        let mut client = servers.connect("pop3");
        client.says(command, "-ERR Not supported");
        let listed = capabilities(&mut client);
        assert!(!listed.split(", ").any(|one| one.starts_with(name)), "{listed}");
    }
}

#[test]
fn a_list_takes_commands_away_only_by_a_sign() {
    let dir = tempfile::tempdir().unwrap();
    let plain = servers(dir.path(), &["--pop3-capabilities", "top"]);
    let mut client = plain.connect("pop3");
    assert_eq!(capabilities(&mut client), "TOP");
    assert!(client.log_in("linhphan").starts_with("+OK"));
    client.says("UIDL 1", "+OK 1 ");
    assert!(plain.connect("pop3").log_in("linhphan").starts_with("-ERR maildrop"));
    let without_uidl = servers(dir.path(), &["--pop3-capabilities=-UIDL"]);
    let mut client = without_uidl.connect("pop3");
    assert_eq!(capabilities(&mut client), "");
    client.says("UIDL", "-ERR Not supported");
    let without_user = servers(dir.path(), &["--pop3-capabilities=-USER,+SASL"]);
    let mut client = without_user.connect("pop3");
    client.says("USER linhphan", "-ERR Not supported");
    client.says("PASS cis505", "-ERR Not supported");
    client.says("AUTH", "+OK");
}

#[test]
fn a_required_tls_comes_before_any_login() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--profile", "everything", "--pop3-tls", "required"];
    let servers = servers(dir.path(), &arguments);
    let mut client = servers.connect("pop3");
    let listed = capabilities(&mut client);
    assert!(listed.contains("STLS") && !listed.contains("USER") && !listed.contains("SASL"));
    let apop = "APOP linhphan c4c9334bac560ecc979e58001b3e22fb";
    for line in ["USER linhphan", "PASS cis505", apop, "AUTH", "AUTH PLAIN"] {
        client.says(line, "-ERR STLS first");
    }
}

#[test]
fn an_answer_may_be_longer_than_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let servers = servers(dir.path(), &["--profile", "everything"]);
    let mut client = servers.connect("pop3");
    let secret = |octets: usize| {
        let message = format!("\0linhphan\0{}", "x".repeat(octets - "\0linhphan\0".len()));
        STANDARD.encode(message)
    };
    client.says("AUTH PLAIN", "+");
    assert_eq!(secret(9_216).len(), 12_288);
    client.says(&secret(9_216), "-ERR [AUTH] ");
    client.says("AUTH PLAIN", "+");
    client.says(&format!("{}=", secret(9_216)), "-ERR Line too long");
    // That was the end of the exchange.
    client.says("STAT", "-ERR log in first");
    client.says(&format!("AUTH PLAIN {}", secret(9_216)), "-ERR Line too long");
}
