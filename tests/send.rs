//! `mailconsole send`: against our own servers, and against hosts that say what a test wants.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread::{self, JoinHandle};

use mail_parser::{Message, MessageParser, MimeHeaders};
use program::{Servers, program};

/// Runs send, with `input` on stdin.
fn send_with(smtp: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = program()
        .args(["send", "--smtp", smtp])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn send(smtp: &str, arguments: &[&str]) -> Output {
    send_with(smtp, arguments, b"")
}

#[track_caller]
fn ends(output: &Output, status: i32, stderr: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
    assert_eq!((output.status.code(), &*output.stdout), (Some(status), &b""[..]));
}

struct Ours {
    servers: Servers,
    dir: tempfile::TempDir,
}

impl Ours {
    fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let servers = Servers::on(dir.path(), arguments);
        Self { servers, dir }
    }

    fn smtp(&self) -> String {
        format!("127.0.0.1:{}", self.servers.port("smtp"))
    }

    /// The only message of linhphan, without its From_ line.
    fn message(&self) -> Vec<u8> {
        let mbox = fs::read(self.dir.path().join("linhphan.mbox")).unwrap();
        let begin = mbox.iter().position(|octet| *octet == b'\n').unwrap() + 1;
        mbox[begin..].to_vec()
    }
}

fn parsed(octets: &[u8]) -> Message<'_> {
    MessageParser::default().parse(octets).unwrap()
}

#[test]
fn a_message_is_built_of_the_options() {
    let ours = Ours::new(&[]);
    let file = ours.dir.path().join("a b.pdf");
    fs::write(&file, b"\x00\xff\r\n.\n").unwrap();
    let sent = send_with(
        &ours.smtp(),
        &[
            "--to",
            "Linh <linhphan@localhost>",
            "--from",
            "Zoë <zoe@x>",
            "--subject",
            "Grüße ✉",
            "--body",
            "-",
            "--attach",
            file.to_str().unwrap(),
            "--header",
            "X-Tag: a: b",
        ],
        "Zeile ü\n.\nEnde".as_bytes(),
    );
    ends(&sent, 0, "");
    let octets = ours.message();
    assert!(octets.is_ascii());
    let message = parsed(&octets);
    assert_eq!(message.subject(), Some("Grüße ✉"));
    assert_eq!(message.from().unwrap().first().unwrap().name(), Some("Zoë"));
    assert_eq!(message.from().unwrap().first().unwrap().address(), Some("zoe@x"));
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("linhphan@localhost"));
    assert!(message.date().is_some() && message.message_id().is_some());
    assert_eq!(message.header("X-Tag").unwrap().as_text(), Some("a: b"));
    let body = message.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(body.trim_end(), "Zeile ü\n.\nEnde");
    let attachment = message.attachment(0).unwrap();
    assert_eq!(attachment.attachment_name(), Some("a b.pdf"));
    assert_eq!(attachment.contents(), b"\x00\xff\r\n.\n");
}

#[test]
fn a_whole_message_gets_only_the_fields_it_lacks() {
    let ours = Ours::new(&[]);
    let eml = "Subject: Hi\r\nX-Odd:   kept  as it is\r\nFrom: =?utf-8?Q?Zo=C3=AB?= <zoe@x>\r\n\
               Date: Wed, 1 Jan 2020 00:00:00 +0000\r\nTo: linhphan\r\n\r\nText\r\n.\r\n";
    let file = ours.dir.path().join("m.eml");
    fs::write(&file, eml).unwrap();
    ends(&send(&ours.smtp(), &["--eml", file.to_str().unwrap()]), 0, "");
    let octets = ours.message();
    let text = String::from_utf8(octets).unwrap();
    let (id, rest) = text.split_once("\r\n").unwrap();
    assert!(id.starts_with("Message-ID: <"), "{text}");
    assert_eq!(rest.trim_end(), eml.trim_end());
}

#[test]
fn a_refused_recipient_is_named_and_the_others_get_it() {
    let ours = Ours::new(&[]);
    let sent = send(&ours.smtp(), &["--to", "nobody@localhost", "--to", "linhphan"]);
    let stderr = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(stderr.starts_with("mailconsole: not sent to nobody@localhost: 550 "), "{stderr}");
    assert_eq!((sent.status.code(), stderr.lines().count()), (Some(1), 1));
    assert!(parsed(&ours.message()).message_id().is_some());
}

#[test]
fn hello_is_said_again_to_a_server_without_extensions() {
    let ours = Ours::new(&[]);
    let sent = send(&ours.smtp(), &["--to", "linhphan", "--from", "<>", "-v"]);
    let stderr = String::from_utf8_lossy(&sent.stderr).into_owned();
    let commands: Vec<&str> = stderr.lines().filter(|line| line.starts_with("C: ")).collect();
    assert_eq!(
        commands,
        [
            "C: EHLO localhost",
            "C: HELO localhost",
            "C: MAIL FROM:<>",
            "C: RCPT TO:<linhphan@localhost>",
            "C: DATA",
            "C: .",
            "C: QUIT"
        ]
    );
    assert!(stderr.starts_with("S: 220 ") && stderr.ends_with('\n'), "{stderr}");
    assert_eq!(sent.status.code(), Some(0));
}

#[test]
fn a_login_is_tried_by_what_the_server_offers_and_never_shown() {
    for (mechanism, shown) in [
        ("PLAIN", &["C: AUTH PLAIN ******"][..]),
        ("LOGIN", &["C: AUTH LOGIN", "C: ******", "C: ******"]),
        ("CRAM-MD5", &["C: AUTH CRAM-MD5", "C: ******"]),
    ] {
        let ours = Ours::new(&[
            "--profile",
            "esmtp",
            "--auth",
            "required",
            "--auth-plaintext",
            "--smtp-tls",
            "none",
            "--auth-mechanisms",
            mechanism,
            "--user",
            "ada:se:cret",
        ]);
        let sent = send(&ours.smtp(), &["--to", "linhphan", "--auth", "ada:se:cret", "-v"]);
        let stderr = String::from_utf8_lossy(&sent.stderr).into_owned();
        assert_eq!(sent.status.code(), Some(0), "{stderr}");
        let login = stderr.lines().filter(|line| line.starts_with("C: "));
        let login: Vec<&str> = login.skip(1).take_while(|line| !line.contains("MAIL")).collect();
        assert_eq!(login, shown);
        let wrong = send(&ours.smtp(), &["--to", "linhphan", "--auth", "ada:wrong"]);
        let stderr = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(stderr.contains(": 535 "), "{stderr}");
        assert_eq!(wrong.status.code(), Some(1));
    }
}

#[test]
fn no_connection_is_3_and_wrong_use_is_2() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let none = send(&free, &["--to", "bob"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&none.stderr).contains("cannot connect"));
    for arguments in [
        &["--subject", "x"][..],
        &["--to", "bob@"],
        &["--to", "b ob@x"],
        &["--to", "bob", "--from", "x y"],
        &["--to", "bob", "--auth", "bob"],
        &["--to", "bob", "--eml", "/nonexistent"],
        &["--to", "bob", "--eml", "-", "--body", "x"],
        &["--to", "bob", "--attach", "/nonexistent"],
        &["--to", "bob", "--header", "no field"],
        &["--to", "bob", "--tls", "maybe"],
        &["--to", "bob", "--ca", "/nonexistent"],
        &["--to", "bob", "--bogus"],
    ] {
        let wrong = send(&free, arguments);
        assert_eq!(wrong.status.code(), Some(2), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&wrong.stderr).is_empty());
    }
    assert_eq!(send("host:port:x", &["--to", "bob"]).status.code(), Some(2));
}

#[test]
fn the_server_is_found_in_the_environment() {
    let ours = Ours::new(&[]);
    let port = ours.servers.port("smtp").to_string();
    let run = |variables: &[(&str, &str)]| {
        let mut command = program();
        command.args(["send", "--to", "linhphan"]).envs(variables.iter().copied());
        command.output().unwrap()
    };
    ends(&run(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]), 0, "");
    ends(&run(&[("SMTP_PORT", &port), ("MAILCONSOLE_DIR", "/nonexistent")]), 0, "");
    assert_eq!(run(&[("SMTP_PORT", "smtp")]).status.code(), Some(2));
}

/// A host that answers each line by what `answer` says of it, for one connection.
fn host(
    answer: impl Fn(&str) -> Option<String> + Send + 'static,
) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        talk(&stream, answer)
    });
    (address, thread)
}

fn talk(mut stream: &TcpStream, answer: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut heard = Vec::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
    let mut next = Some("connection".to_owned());
    while let Some(line) = next {
        let Some(reply) = answer(&line) else { break };
        if stream.write_all(reply.as_bytes()).is_err() {
            break;
        }
        next = lines
            .next()
            .and_then(Result::ok)
            .map(|octets| String::from_utf8_lossy(&octets).trim_end_matches('\r').to_owned());
        heard.extend(next.clone());
    }
    heard
}

/// What an ordinary host says.
fn ordinary(line: &str) -> &'static str {
    match line.get(..4).unwrap_or_default() {
        "conn" => "220 x\r\n",
        "DATA" => "354 go on\r\n",
        "QUIT" => "221 bye\r\n",
        "EHLO" | "HELO" | "MAIL" | "RCPT" | "RSET" => "250 ok\r\n",
        _ if line == "." => "250 taken\r\n",
        _ => "",
    }
}

/// Sends to a host that differs from others in one reply.
fn send_to(at: &'static str, reply: &'static str, arguments: &[&str]) -> (Output, Vec<String>) {
    let (address, thread) = host(move |line| {
        let is_it = line.starts_with(at);
        // Nothing to say is a host that closes.
        let reply = if is_it { reply } else { ordinary(line) };
        (!is_it || !reply.is_empty()).then(|| reply.to_owned())
    });
    let output = send(&address, &[&["--to", "bob", "--from", "a@x"], arguments].concat());
    (output, thread.join().unwrap())
}

#[test]
fn what_a_host_refuses_is_1_and_what_breaks_off_is_3() {
    for (at, reply, status) in [
        ("connection", "554 go away\r\n", 1),
        ("connection", "SSH-2.0\r\n", 3),
        ("connection", "", 3),
        ("EHLO", "421 later\r\n", 1),
        ("EHLO", "550 no\r\n", 1),
        ("MAIL", "451 later\r\n", 1),
        ("MAIL", "", 3),
        ("RCPT", "550 who?\r\n", 1),
        ("DATA", "554 no\r\n", 1),
        ("DATA", "250 what?\r\n", 3),
        (".", "552 too large\r\n", 1),
        (".", "", 3),
        ("QUIT", "", 0),
    ] {
        let (output, _) = send_to(at, reply, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{at} {reply}: {stderr}");
        if status == 1 {
            assert!(stderr.contains(reply.trim_end()), "{at} {reply}: {stderr}");
        }
        assert_eq!(stderr.is_empty(), status == 0, "{stderr}");
        assert!(!stderr.contains('\x1b'));
    }
}

#[test]
fn helo_follows_500_and_502_only() {
    for (reply, again) in [
        ("500 what?\r\n", true),
        ("502 no\r\n", true),
        ("504 no\r\n", false),
        ("554 no\r\n", false),
    ] {
        let (output, heard) = send_to("EHLO", reply, &[]);
        assert_eq!(heard.contains(&"HELO localhost".to_owned()), again, "{reply}");
        assert_eq!(output.status.code(), Some(i32::from(!again)), "{reply}");
    }
}

#[test]
fn control_characters_of_a_host_reach_no_terminal() {
    let (output, _) = send_to("RCPT", "550 \x1b[2J\x07 no\r\n", &["-v"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains('\x1b') && stderr.contains("\\x1b[2J"), "{stderr}");
}

#[test]
fn more_recipients_than_a_host_takes_at_once_go_into_more_transactions() {
    let (address, thread) = {
        let taken = std::sync::atomic::AtomicUsize::new(0);
        host(move |line| {
            use std::sync::atomic::Ordering::Relaxed;
            if line.starts_with("MAIL") {
                taken.store(0, Relaxed);
            }
            let is_too_many = line.starts_with("RCPT") && taken.fetch_add(1, Relaxed) >= 2;
            Some(if is_too_many { "452 too many\r\n" } else { ordinary(line) }.to_owned())
        })
    };
    let output = send(&address, &["--to", "a,b,c,d,e", "--from", "a@x"]);
    ends(&output, 0, "");
    let heard = thread.join().unwrap();
    assert_eq!(heard.iter().filter(|line| line.as_str() == "DATA").count(), 3);
}

#[test]
fn tls_that_is_required_is_never_gone_without() {
    let (output, heard) = send_to("nothing", "", &["--tls", "required"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("offers no STARTTLS"), "{stderr}");
}

#[test]
fn eight_bit_headers_are_sent_as_they_are_and_declared_where_that_is_offered() {
    for (offers, declared) in [(false, false), (true, true)] {
        let (address, thread) = host(move |line| {
            let hello = offers && line.starts_with("EHLO");
            Some(if hello { "250-x\r\n250 SMTPUTF8\r\n" } else { ordinary(line) }.to_owned())
        });
        let eml = "From: a@x\nTo: bob@x\nSubject: Grüße\n\nText\n".as_bytes();
        let output = send_with(&address, &["--eml", "-"], eml);
        ends(&output, 0, "");
        let heard = thread.join().unwrap();
        assert!(heard.contains(&"Subject: Grüße".to_owned()), "{heard:?}");
        assert_eq!(heard.contains(&"MAIL FROM:<a@x> SMTPUTF8".to_owned()), declared, "{heard:?}");
    }
}

#[test]
fn tls_by_starttls_and_from_the_start_is_verified_by_the_named_authority() {
    let data = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(program::all_three(dir.path())).env("XDG_DATA_HOME", data.path());
    command.args(["--profile", "catch", "--smtp-tls", "offered", "--smtps-port", "0"]);
    command.stderr(Stdio::null());
    let servers = Servers::start(command).listening(4);
    let ca = data.path().join("mailconsole/ca");
    let mut pem = fs::read_dir(&ca).unwrap().map(|entry| entry.unwrap().path());
    let pem = pem.find(|path| is_certificate(path)).unwrap();
    for (service, tls) in [("smtp", "required"), ("smtps", "implicit")] {
        let smtp = format!("127.0.0.1:{}", servers.port(service));
        let to = ["--to", "linhphan", "--tls", tls];
        let untrusted = send(&smtp, &to);
        assert_eq!(untrusted.status.code(), Some(3));
        let trusted = send(&smtp, &[&to[..], &["--ca", pem.to_str().unwrap()]].concat());
        ends(&trusted, 0, "");
    }
}

fn is_certificate(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
}
