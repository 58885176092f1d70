//! The mail host of the demonstration: it lets new senders wait, and does not know everybody.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener as Bound;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The longest line that it reads, in octets.
const LINE_MOST: u64 = 64 * 1024;

/// Serves one connection after the other, until it is dropped. `listener` does not block.
pub(super) async fn serve(listener: Bound) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut host = Host::default();
    while let Ok((stream, _)) = listener.accept().await {
        // Whatever becomes of one connection, the next is served.
        let _ = host.talk(stream).await;
    }
}

#[derive(Debug, Default)]
struct Host {
    /// The recipients that it has let wait once.
    known: HashSet<String>,
}

impl Host {
    async fn talk(&mut self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mx1.example.org ready\r\n").await?;
        let mut is_text = false;
        loop {
            let mut line = String::new();
            if (&mut stream).take(LINE_MOST).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if is_text && line != "." {
                continue;
            }
            let reply = self.reply(line);
            is_text = reply.starts_with("354");
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
            if reply.starts_with("221") {
                return Ok(());
            }
        }
    }

    fn reply(&mut self, line: &str) -> &'static str {
        match line.get(..4) {
            Some("EHLO" | "HELO") => "250 mx1.example.org",
            Some("RCPT") if line.contains("<nobody@") => "550 5.1.1 no such user here",
            Some("RCPT") if self.known.insert(line.to_owned()) => {
                "451 4.7.1 greylisted: I do not know you yet, try again later"
            }
            Some("DATA") => "354 go ahead",
            Some("QUIT") => "221 bye",
            _ => "250 2.0.0 ok",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_senders_wait_once_and_refuses_whom_it_does_not_know() {
        let mut host = Host::default();
        let friend = "RCPT TO:<friend@example.org>";
        assert!(host.reply(friend).starts_with("451 "));
        assert!(host.reply(friend).starts_with("250 "));
        assert!(host.reply("RCPT TO:<nobody@example.org>").starts_with("550 "));
        assert!(host.reply("DATA").starts_with("354 "));
        assert!(host.reply(".").starts_with("250 "));
        assert!(host.reply("QUIT").starts_with("221 "));
    }
}
