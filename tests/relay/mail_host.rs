//! A mail host in the test process that does what its script says, and keeps what it heard.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconsole::wire::dot::Unstuffer;
use mailconsole::wire::line::{Line, LineBuffer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// What a host reacts to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard<'a> {
    /// A new connection.
    Connection,
    /// A command line.
    Command(&'a str),
    /// Message text and its final dot.
    Text,
}

/// What it does then.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says this, CRLF added.
    Say(String),
    /// Sends these octets.
    Raw(Vec<u8>),
    /// Says this and closes the connection.
    SayAndClose(String),
    /// Closes the connection.
    Close,
    /// Says nothing more and waits for the client to go.
    Silence,
    /// Says this and never reads again.
    Deafness(&'static str),
    /// Sends the octets one by one, a tenth of a second apart.
    Drip(Vec<u8>),
    /// Says this, then goes on in TLS.
    SayAndSecure(String),
    /// Waits for TLS, then says this in it.
    SecureAndSay(String),
    /// Says this to DATA, reads this much of the text, says that and closes the connection.
    Interrupt(&'static str, usize, &'static str),
}

/// Says a line.
pub(crate) fn say(line: &str) -> Act {
    Act::Say(line.to_owned())
}

/// What a host does that takes everything.
pub(crate) fn polite(heard: Heard<'_>) -> Act {
    match heard {
        Heard::Connection => say("220 mx.example ready"),
        Heard::Text => say("250 2.0.0 queued"),
        Heard::Command(line) => match line.get(..4) {
            Some("DATA") => say("354 go on"),
            Some("QUIT") => Act::SayAndClose("221 bye".to_owned()),
            _ => say("250 ok"),
        },
    }
}

#[derive(Debug, Default)]
struct Record {
    commands: Vec<String>,
    texts: Vec<Vec<u8>>,
    connections: usize,
    open: usize,
    most_open: usize,
}

type Script = Arc<dyn Fn(Heard<'_>) -> Act + Send + Sync>;

/// The host, as long as it lives.
pub(crate) struct MailHost {
    pub(crate) address: SocketAddr,
    /// Its self-made certificate, for `mx.example`.
    pub(crate) certificate: CertificateDer<'static>,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

impl Drop for MailHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MailHost {
    /// A host at a loopback address of its own, at any port.
    pub(crate) async fn that(script: impl Fn(Heard<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", script).await
    }

    /// The same, which takes so many connections at once and says this to one more.
    pub(crate) async fn taking(
        most: usize,
        greeting: &str,
        script: impl Fn(Heard<'_>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let door = Door { most, greeting: greeting.to_owned() };
        Self::behind(door, "127.0.0.1:0", script).await
    }

    pub(crate) async fn at(
        address: &str,
        script: impl Fn(Heard<'_>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let door = Door { most: usize::MAX, greeting: String::new() };
        Self::behind(door, address, script).await
    }

    async fn behind(
        door: Door,
        address: &str,
        script: impl Fn(Heard<'_>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let record = Arc::new(Mutex::new(Record::default()));
        let (tls, certificate) = certified();
        let (script, noted) = (Arc::new(script), Arc::clone(&record));
        let task = tokio::spawn(accept(listener, door, script, noted, tls));
        Self { address, certificate, record, task }
    }

    /// All command lines of all connections.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.record.lock().expect("the record").commands.clone()
    }

    /// All texts that were sent to their end, unstuffed.
    pub(crate) fn texts(&self) -> Vec<Vec<u8>> {
        self.record.lock().expect("the record").texts.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.record.lock().expect("the record").connections
    }

    /// How many connections there were at the same time.
    pub(crate) fn most_open(&self) -> usize {
        self.record.lock().expect("the record").most_open
    }
}

/// How many connections a host takes, and what it says to one more.
struct Door {
    most: usize,
    greeting: String,
}

async fn accept(
    listener: TcpListener,
    door: Door,
    script: Script,
    record: Arc<Mutex<Record>>,
    tls: TlsAcceptor,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut visit = Visit {
            stream: Box::new(stream),
            arrived: LineBuffer::new(4_096),
            script: Arc::clone(&script),
            record: Arc::clone(&record),
            tls: tls.clone(),
        };
        let refusal = (visit.opened() > door.most).then(|| door.greeting.clone());
        tokio::spawn(async move {
            let _ = match refusal {
                None => visit.goes_on().await,
                Some(refusal) => visit.does(&Act::SayAndClose(refusal)).await.map(drop),
            };
            visit.record.lock().expect("the record").open -= 1;
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Visit {
    stream: Box<dyn Stream>,
    arrived: LineBuffer,
    script: Script,
    record: Arc<Mutex<Record>>,
    tls: TlsAcceptor,
}

/// Whether the conversation goes on.
type Goes = io::Result<bool>;

impl Visit {
    /// How many are open now.
    fn opened(&self) -> usize {
        let mut record = self.record.lock().expect("the record");
        record.connections += 1;
        record.open += 1;
        record.most_open = record.most_open.max(record.open);
        record.open
    }

    async fn goes_on(&mut self) -> io::Result<()> {
        let mut act = (self.script)(Heard::Connection);
        while self.does(&act).await? {
            let Some(line) = self.line().await? else {
                return Ok(());
            };
            self.record.lock().expect("the record").commands.push(line.clone());
            act = (self.script)(Heard::Command(&line));
            if let Act::Say(reply) = &act
                && line == "DATA"
                && reply.starts_with("354")
            {
                self.does(&act).await?;
                let Some(text) = self.text().await? else {
                    return Ok(());
                };
                act = (self.script)(Heard::Text);
                self.record.lock().expect("the record").texts.push(text);
            }
        }
        Ok(())
    }

    async fn does(&mut self, act: &Act) -> Goes {
        match act {
            Act::Say(line) => self.send(line).await?,
            Act::Raw(octets) => self.stream.write_all(octets).await?,
            Act::SayAndClose(line) => {
                self.send(line).await?;
                return Ok(false);
            }
            Act::Close => return Ok(false),
            Act::Silence => {
                self.read_to_the_end().await?;
                return Ok(false);
            }
            Act::Deafness(line) => {
                self.send(line).await?;
                std::future::pending::<()>().await;
            }
            Act::Drip(octets) => {
                for octet in octets {
                    self.stream.write_all(&[*octet]).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Act::SayAndSecure(line) => {
                self.send(line).await?;
                self.secure().await?;
            }
            Act::SecureAndSay(line) => {
                self.secure().await?;
                self.send(line).await?;
            }
            Act::Interrupt(go_on, octets, reply) => {
                self.send(go_on).await?;
                let mut some = vec![0; *octets];
                self.stream.read_exact(&mut some).await?;
                self.send(reply).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn secure(&mut self) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(self.tls.accept(plain).await?);
        Ok(())
    }

    async fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    async fn read_to_the_end(&mut self) -> io::Result<()> {
        let mut sink = [0; 4_096];
        while self.stream.read(&mut sink).await? > 0 {}
        Ok(())
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(Line::Whole(line)) = self.arrived.next_line() {
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            if self.stream.read_buf(self.arrived.space(4_096)).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn text(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut unstuffer = Unstuffer::default();
        let mut text = Vec::new();
        loop {
            let arrived = self.arrived.unread();
            let octets = arrived.len();
            let end = unstuffer.push(arrived, |piece| text.extend_from_slice(piece));
            self.arrived.consume(end.unwrap_or(octets));
            if end.is_some() {
                return Ok(Some(text));
            }
            if self.stream.read_buf(self.arrived.space(65_536)).await? == 0 {
                return Ok(None);
            }
        }
    }
}

fn certified() -> (TlsAcceptor, CertificateDer<'static>) {
    let made =
        rcgen::generate_simple_self_signed(["mx.example".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("a TLS configuration");
    (TlsAcceptor::from(Arc::new(config)), certificate)
}
