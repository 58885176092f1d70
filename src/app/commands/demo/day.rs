//! The day of the demonstration: who sends, who fetches, who hangs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mail_builder::MessageBuilder;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::app::servers::Listening;
use crate::servers::listener::TlsBegins;
use crate::watch::event::Service;

/// The domain of the mail host.
pub(super) const ELSEWHERE: &str = "example.org";

/// How often the relay runs by itself. What the host has deferred waits longer.
pub(super) const RELAY_EVERY: Duration = Duration::from_secs(3);

/// Between two lines of a client: slow enough to follow.
const PACE: Duration = Duration::from_millis(150);

/// How long bob reads before he logs out, so that the lock of his mailbox is seen.
const READING: Duration = Duration::from_secs(30);

/// Between the letters of the later day.
const LATER: Duration = Duration::from_secs(8);

/// The longest reply line that a client reads, in octets.
const REPLY_MOST: u64 = 64 * 1024;

/// Goes through the day. What fails, because the user has stopped a server or closed a connection,
/// ends only the client that it befell.
pub(super) async fn go(listening: Vec<Listening>) {
    let address = |service| {
        let plain = |one: &&Listening| one.0 == service && one.1 == TlsBegins::OnRequest;
        listening.iter().find(plain).map(|(.., address)| *address)
    };
    let (Some(echo), Some(smtp), Some(pop3)) =
        (address(Service::Echo), address(Service::Smtp), address(Service::Pop3))
    else {
        return;
    };
    let morning = async {
        send(smtp, &invitation()).await?;
        send(smtp, &to_elsewhere()).await?;
        send(smtp, &to_a_stranger()).await?;
        send(smtp, &report()).await
    };
    let (_, _, _, _, _) = tokio::join!(chat(echo), morning, fetch(pop3), hang(smtp), later(smtp),);
}

/// A client of one server.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects, and reads the greeting.
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut client = Self(BufReader::new(TcpStream::connect(address).await?));
        client.reply().await?;
        Ok(client)
    }

    /// Says a line, and reads the last line of the reply.
    async fn say(&mut self, line: &str) -> io::Result<String> {
        sleep(PACE).await;
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Says a line of POP3 whose reply ends with a dot, unless it is an error.
    async fn ask(&mut self, line: &str) -> io::Result<()> {
        if self.say(line).await?.starts_with("+OK") {
            while self.line().await? != "." {}
        }
        Ok(())
    }

    async fn reply(&mut self) -> io::Result<String> {
        loop {
            let line = self.line().await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(REPLY_MOST).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// A message and its envelope.
struct Letter {
    from: &'static str,
    to: &'static [&'static str],
    text: Vec<u8>,
}

async fn send(smtp: SocketAddr, letter: &Letter) -> io::Result<()> {
    let mut client = Client::connect(smtp).await?;
    if !client.say("EHLO laptop.localhost").await?.starts_with("250") {
        client.say("HELO laptop.localhost").await?;
    }
    client.say(&format!("MAIL FROM:<{}>", letter.from)).await?;
    let mut accepted = 0;
    for to in letter.to {
        let reply = client.say(&format!("RCPT TO:<{to}>")).await?;
        accepted += u32::from(reply.starts_with("25"));
    }
    if accepted > 0 && client.say("DATA").await?.starts_with("354") {
        // None of these has a line that begins with a dot.
        client.0.write_all(&letter.text).await?;
        client.say(".").await?;
    }
    client.say("QUIT").await?;
    Ok(())
}

async fn chat(echo: SocketAddr) -> io::Result<()> {
    let mut client = Client::connect(echo).await?;
    for line in ["ECHO Good morning!", "ECHO Is anybody there?", "HELLO", "QUIT"] {
        client.say(line).await?;
    }
    Ok(())
}

/// Bob fetches his mail, and reads it while he stays logged in.
async fn fetch(pop3: SocketAddr) -> io::Result<()> {
    sleep(PACE * 16).await;
    let mut client = Client::connect(pop3).await?;
    client.say("USER bob").await?;
    client.say("PASS cis505").await?;
    client.say("STAT").await?;
    client.ask("UIDL").await?;
    client.ask("RETR 1").await?;
    sleep(READING).await;
    client.say("QUIT").await?;
    Ok(())
}

/// A client that has got stuck in the middle of a command.
async fn hang(smtp: SocketAddr) -> io::Result<()> {
    sleep(PACE * 8).await;
    let mut client = Client::connect(smtp).await?;
    client.say("HELO old-printer.localhost").await?;
    client.say("MAIL FROM:<printer@localhost>").await?;
    client.0.write_all(b"RCPT TO:<car").await?;
    std::future::pending().await
}

/// The rest of the day, more slowly.
async fn later(smtp: SocketAddr) -> io::Result<()> {
    let subjects = [
        "Minutes of Tuesday",
        "Re: Lunch on Friday?",
        "The build is green again",
        "Your parcel is on its way",
        "Na\u{ef}ve \u{65e5}\u{672c}\u{8a9e} \u{2709}",
    ];
    for (nth, subject) in subjects.into_iter().enumerate() {
        sleep(LATER).await;
        let (from, to): (_, &[_]) = match nth % 2 {
            0 => ("carol@localhost", &["ada@localhost"]),
            _ => ("ada@localhost", &["bob@localhost", "carol@localhost"]),
        };
        let text = format!("See the subject: {subject}.\r\n\r\nYours\r\n");
        let text = message(from, to, subject).text_body(text);
        send(smtp, &Letter { from, to, text: octets(text) }).await?;
    }
    Ok(())
}

fn message(
    from: &'static str,
    to: &'static [&'static str],
    subject: &str,
) -> MessageBuilder<'static> {
    MessageBuilder::new().from(from).to(to.to_vec()).subject(subject.to_owned())
}

fn octets(message: MessageBuilder<'_>) -> Vec<u8> {
    // Writing to memory does not fail.
    message.write_to_vec().unwrap_or_default()
}

/// With HTML and an attachment, for two of three users.
fn invitation() -> Letter {
    let (from, to): (_, &[_]) = ("ada@localhost", &["bob@localhost", "carol@localhost"]);
    let text = "Bob, Carol,\r\n\r\nshall we have lunch on Friday? The menu is attached.\r\n\r\n        - Ada\r\n";
    let html = "<p>Bob, Carol,</p><p>shall we have lunch on <b>Friday</b>? The menu is attached.</p>\
                <p>- <a href=\"https://example.org/ada\">Ada</a></p>";
    let message = message(from, to, "Lunch on Friday?").text_body(text).html_body(html).attachment(
        "text/plain",
        "menu.txt",
        "Soup\r\nPasta\r\nIce cream\r\n",
    );
    Letter { from, to, text: octets(message) }
}

/// The host lets the one recipient wait, and does not know the other.
fn to_elsewhere() -> Letter {
    let (from, to): (_, &[_]) = ("carol@localhost", &["friend@example.org", "nobody@example.org"]);
    let message = message(from, to, "Holidays").text_body("Wish you were here.\r\n");
    Letter { from, to, text: octets(message) }
}

/// Refused by our own server: there is no such user.
fn to_a_stranger() -> Letter {
    let (from, to): (_, &[_]) = ("ada@localhost", &["stranger@localhost"]);
    Letter { from, to, text: Vec::new() }
}

fn report() -> Letter {
    let (from, to): (_, &[_]) = ("cron@localhost", &["ada@localhost", "bob@localhost"]);
    let message = message(from, to, "Backup done").text_body("42 files, 1.2 GB, no errors.\r\n");
    Letter { from, to, text: octets(message) }
}
