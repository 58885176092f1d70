//! Whole conversations, played from tests/transcripts: through a pipe, all at once, byte by byte
//! and cut at every byte; and over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use mailconsole::servers::echo::EchoServer;
use mailconsole::servers::profile::{Choices, Profile, TlsPolicy};
use mailconsole::watch::event::Service;
use tokio::io::{AsyncRead, AsyncWrite};

use support::{Mail, Peer, Sockets, connect, hold};

/// One connection of a transcript: what each side says, in order.
struct Conversation {
    service: Service,
    lines: Vec<Line>,
}

enum Line {
    Client(Vec<u8>),
    /// With `*` at the end, the beginning of the line.
    Server(Vec<u8>),
}

/// A transcript: `== smtp` begins a connection, `C:` and `S:` are lines, `\x00` `\r` `\n` bytes.
fn read(name: &str) -> Vec<Conversation> {
    let path = Path::new("tests/transcripts").join(name);
    let mut conversations: Vec<Conversation> = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if let Some(service) = line.strip_prefix("== ") {
            let service = match service {
                "echo" => Service::Echo,
                "smtp" => Service::Smtp,
                "pop3" => Service::Pop3,
                _ => panic!("{service} is no server"),
            };
            conversations.push(Conversation { service, lines: Vec::new() });
        } else if let Some(text) = line.strip_prefix("C: ").or(line.strip_prefix("C:")) {
            conversations.last_mut().unwrap().lines.push(Line::Client(unescape(text)));
        } else if let Some(text) = line.strip_prefix("S: ").or(line.strip_prefix("S:")) {
            conversations.last_mut().unwrap().lines.push(Line::Server(unescape(text)));
        } else {
            assert!(line.starts_with('#'), "{name}: {line}");
        }
    }
    conversations
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, length) = match escape.as_bytes()[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            _ => (u8::from_str_radix(&escape[1..3], 16).unwrap(), 3),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

impl Conversation {
    fn client_bytes(&self) -> Vec<u8> {
        let lines = self.lines.iter().filter_map(|line| match line {
            Line::Client(text) => Some([text, &b"\r\n"[..]].concat()),
            Line::Server(_) => None,
        });
        lines.flatten().collect()
    }

    /// Compares everything that came, line by line.
    fn judge(&self, answer: &[u8], how: &str) {
        let mut rest = answer;
        for line in &self.lines {
            let Line::Server(expected) = line else { continue };
            let end = rest.windows(2).position(|two| two == b"\r\n");
            let (came, behind) = rest.split_at(end.unwrap_or(rest.len()));
            assert!(is_as(came, expected), "{how}: {} came, not {}", show(came), show(expected));
            rest = &behind[2..];
        }
        assert!(rest.is_empty(), "{how}: {} came too", show(rest));
    }

    /// Plays it in turns: each reply is read before the next command is sent.
    async fn play_in_turns<T: AsyncRead + AsyncWrite + Unpin>(&self, peer: &mut Peer<T>) {
        let mut heard = Vec::new();
        for line in &self.lines {
            match line {
                Line::Client(text) => peer.send([text, &b"\r\n"[..]].concat()).await,
                Line::Server(_) => heard.extend(peer.line_bytes().await),
            }
        }
        heard.extend(peer.rest_bytes().await);
        self.judge(&heard, "in turns");
    }
}

fn is_as(came: &[u8], expected: &[u8]) -> bool {
    match expected.strip_suffix(b"*") {
        Some(beginning) => came.starts_with(beginning),
        None => came == expected,
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A fresh set of servers with an empty mailbox.
struct Servers {
    mail: Mail,
    echo: EchoServer,
}

impl Servers {
    fn new(choices: &Choices) -> Self {
        let mail = Mail::with_users(&["linhphan"]);
        mail.settings.set_choices(choices.clone());
        Self { mail, echo: EchoServer { author: "A / a".into() } }
    }

    /// Sends these pieces through a pipe, and returns everything that came back.
    async fn answer(&self, service: Service, pieces: &[&[u8]]) -> Vec<u8> {
        let mut peer = match service {
            Service::Echo => hold(&self.echo, None).peer,
            Service::Pop3 => hold(&self.mail.pop3, None).peer,
            Service::Smtp | Service::Relay => hold(&self.mail.smtp, None).peer,
        };
        for piece in pieces {
            peer.send(piece).await;
            tokio::task::yield_now().await;
        }
        peer.rest_bytes().await
    }

    /// Plays a transcript; `cut` makes pieces of what the client says.
    async fn play(name: &str, choices: &Choices, how: &str, cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
        let servers = Self::new(choices);
        for conversation in read(name) {
            let bytes = conversation.client_bytes();
            let answer = servers.answer(conversation.service, &cut(&bytes)).await;
            conversation.judge(&answer, how);
        }
    }
}

async fn play_every_way(name: &str) {
    play_every_way_with(name, &Choices::default()).await;
}

/// The same, with servers that offer what these choices say.
async fn play_every_way_with(name: &str, choices: &Choices) {
    Servers::play(name, choices, "at once", |bytes| vec![bytes]).await;
    Servers::play(name, choices, "byte by byte", |bytes| bytes.chunks(1).collect()).await;
    let longest = read(name).iter().map(|one| one.client_bytes().len()).max().unwrap();
    for at in 1..longest {
        let how = format!("cut at {at}");
        Servers::play(name, choices, &how, |bytes| {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            vec![head, tail]
        })
        .await;
    }
    play_over_sockets(name, choices).await;
}

async fn play_over_sockets(name: &str, choices: &Choices) {
    let Servers { mail, echo } = Servers::new(choices);
    let sockets = Sockets::new(10);
    // A client at the loopback address may relay; the transcripts are those of a stranger.
    let (echo, smtp, pop3) = (
        sockets.serve(echo),
        sockets.serve(support::Stranger(mail.smtp)),
        sockets.serve(mail.pop3),
    );
    for conversation in read(name) {
        let address = match conversation.service {
            Service::Echo => echo,
            Service::Pop3 => pop3,
            Service::Smtp | Service::Relay => smtp,
        };
        conversation.play_in_turns(&mut connect(address).await).await;
    }
    sockets.end().await;
}

#[tokio::test]
async fn echo() {
    play_every_way("echo.txt").await;
}

#[tokio::test]
async fn what_smtp_takes_pop3_gives_back() {
    play_every_way("smtp-and-pop3.txt").await;
}

#[tokio::test]
async fn dots_and_line_ends() {
    play_every_way("smtp-dots.txt").await;
}

#[tokio::test]
async fn the_order_of_smtp_commands() {
    play_every_way("smtp-order.txt").await;
}

#[tokio::test]
async fn the_states_of_pop3() {
    play_every_way("pop3-states.txt").await;
}

/// Everything that can be offered where there is no TLS.
fn everything() -> Choices {
    Choices {
        profile: Profile::Everything,
        smtp_tls: Some(TlsPolicy::None),
        pop3_tls: Some(TlsPolicy::None),
        // The client of a pipe is on no machine.
        auth_plaintext: true,
        // Their greeting and their codes are not those of the transcripts.
        capabilities: "none".parse().ok(),
        ..Choices::default()
    }
}

#[tokio::test]
async fn the_extensions_of_smtp() {
    play_every_way_with("esmtp.txt", &everything()).await;
}

#[tokio::test]
async fn a_text_in_chunks() {
    play_every_way_with("chunks.txt", &everything()).await;
}

#[tokio::test]
async fn what_pop3_offers_beside_rfc_1939() {
    let choices = Choices {
        // Its greeting is never the same.
        capabilities: "-APOP".parse().ok(),
        // Only told: STLS comes when it is refused.
        pop3_tls: Some(TlsPolicy::Offered),
        ..everything()
    };
    play_every_way_with("pop3-extensions.txt", &choices).await;
}
