//! Gives a message to the server that was found, for `send` and `sendmail`.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Local;
use nix::unistd::{Uid, User};
use tokio::net::lookup_host;
use tokio::runtime::Builder;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_util::sync::CancellationToken;

use crate::app::smtp_address::SmtpAddress;
use crate::mail::alphabet::Alphabet;
use crate::mail::path::{Address, BadAddress, ReversePath};
use crate::mailroom::fields::{Missing, Written};
use crate::mailroom::submission::{Fates, Server, Submission, submit};
use crate::relay::client::Client;
use crate::relay::conversation::opening::{Hello, Introduction, Protection};
use crate::relay::timeouts::Timeouts;
use crate::relay::tls::Tls;
use crate::watch::event::{Event, Kind, Passwords, transcript_line};
use crate::watch::observers::{Observer, Observers};

/// The domain of names without one, of Message-IDs, and of EHLO.
pub const DOMAIN: &str = "localhost";

/// Longest message that is read, in octets.
const MESSAGE_MOST: u64 = 1 << 30;

/// How long the server may take for one reply.
const PATIENCE: Duration = Duration::from_mins(1);

/// The variable that `exec` sets to the certificate of our authority.
const AUTHORITY: &str = "MAILCONSOLE_CA";

/// How the message is sent.
#[derive(Debug)]
pub struct Way {
    /// To which server.
    pub server: SmtpAddress,
    /// With which TLS and login.
    pub protection: Protection,
    /// Whom to trust beside the system's authorities: a PEM file.
    pub authority: Option<PathBuf>,
    /// What of the conversation is said on stderr.
    pub said: Said,
}

/// What of a conversation is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// Commands and replies.
    Lines,
    /// Message text too.
    Text,
}

/// An address in an envelope; a name alone is at our domain.
///
/// # Errors
///
/// If it is no address.
pub fn address(text: &str) -> Result<Address, BadAddress> {
    let at_home = || format!("{text}@{DOMAIN}");
    let whole = if text.contains('@') { text.to_owned() } else { at_home() };
    Address::parse_with(&whole, Alphabet::Utf8)
}

/// Who runs this program, at our domain.
#[must_use]
pub fn own_address() -> String {
    let name = User::from_uid(Uid::current()).ok().flatten().map(|user| user.name);
    let named = name.map(|name| format!("{name}@{DOMAIN}"));
    let fits = named.filter(|named| address(named).is_ok());
    fits.unwrap_or_else(|| format!("mailconsole@{DOMAIN}"))
}

/// Adds what is missing, and puts the message into its envelope.
#[must_use]
pub fn submission(
    mut message: Written,
    from: &str,
    to: &[String],
    sender: ReversePath,
    recipients: Vec<Address>,
) -> Submission {
    let at = Local::now();
    let id = format!("{}.{:016x}@{DOMAIN}", at.timestamp(), fastrand::u64(..));
    message.complete(&Missing { from, to, id: &id, at });
    Submission {
        sender,
        recipients,
        has_ascii_header: message.has_ascii_header(),
        octets: message.into_octets().into(),
    }
}

/// Sends it.
///
/// # Errors
///
/// If the file of the authority cannot be read, or the system lacks something.
pub fn send(way: Way, submission: &Submission) -> io::Result<Fates> {
    let introduction =
        Introduction { domain: DOMAIN.to_owned(), hello: Hello::Ehlo, protection: way.protection };
    let client = Client {
        timeouts: Timeouts::default().capped(PATIENCE),
        transcript: match way.said {
            Said::Nothing => Observers::none(),
            said => Observers::one(Arc::new(Teller { text: said == Said::Text })),
        },
        registry: None,
        ids: Arc::default(),
        tls: Tls::trusting(trusted(way.authority)?),
        announce: None,
        stop: CancellationToken::new(),
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let server = found(way.server).await;
        submit(&client, &server, &introduction, submission).await
    }))
}

/// The addresses of the server; none if its name is unknown.
async fn found(server: SmtpAddress) -> Server {
    let addresses = lookup_host((server.host.as_str(), server.port)).await;
    let addresses: Vec<SocketAddr> = addresses.map(Iterator::collect).unwrap_or_default();
    Server { host: server.host, addresses }
}

/// The certificates of the file that is named, else of the one that `exec` has named, if it is there.
fn trusted(named: Option<PathBuf>) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = |path: &Path| -> io::Result<Vec<_>> {
        let pem = read(File::open(path)?)?;
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(io::Error::other)
    };
    if let Some(path) = named {
        let unreadable = |error| io::Error::other(format!("{}: {error}", path.display()));
        return certificates(&path).map_err(unreadable);
    }
    let set = env::var_os(AUTHORITY).map(PathBuf::from);
    Ok(set.and_then(|path| certificates(&path).ok()).unwrap_or_default())
}

/// Reads a message to its end.
///
/// # Errors
///
/// If it cannot be read, or is too long to be one.
pub fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    source.take(MESSAGE_MOST + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MESSAGE_MOST {
        return Err(io::Error::other(format!("it has more than {MESSAGE_MOST} octets")));
    }
    Ok(octets)
}

/// Says the conversation on stderr.
#[derive(Debug)]
struct Teller {
    text: bool,
}

impl Observer for Teller {
    fn observe(&self, event: Event) {
        let is_said = match event.kind {
            Kind::Opened { .. } | Kind::Closed => false,
            Kind::Text { .. } => !self.text,
            Kind::Line(..) | Kind::TextLine(..) | Kind::Note(_) => true,
        };
        let line = transcript_line(&event, Passwords::Masked).into_string();
        // There is one connection: its number says nothing.
        if let Some((_, line)) = line.split_once(' ').filter(|_| is_said) {
            let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }

    fn wants_text(&self) -> bool {
        self.text
    }
}
