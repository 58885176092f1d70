//! A relay without a queue: letters, hosts, and a ledger that remembers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconsole::mail::path::{Address, ReversePath};
use mailconsole::relay::client::Client;
use mailconsole::relay::conversation::opening::{Hello, Introduction, Protection};
use mailconsole::relay::delivery_agent::{Carried, DeliveryAgent, Ledger, Settled};
use mailconsole::relay::envelope::Envelope;
use mailconsole::relay::hosts::Hosts;
use mailconsole::relay::limits::Limits;
use mailconsole::relay::mx::Target;
use mailconsole::relay::text::{Letter, MessageText, TextReader};
use mailconsole::relay::timeouts::Timeouts;
use mailconsole::relay::tls::Tls;
use mailconsole::relay::verdict::Verdict;
use mailconsole::watch::event::{Event, Passwords, transcript_line, wire_line};
use mailconsole::watch::observers::{Observer, Observers};
use mailconsole::watch::registry::Registry;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

/// Message text that is in memory.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) octets: Vec<u8>,
    /// Octets after which it cannot be read any further.
    pub(crate) readable: usize,
}

impl Text {
    pub(crate) fn of(octets: &[u8]) -> Self {
        Self { octets: octets.to_vec(), readable: octets.len() }
    }
}

impl MessageText for Text {
    type Reader = Reader;

    fn octets(&self) -> u64 {
        self.octets.len() as u64
    }

    async fn open(&self) -> io::Result<Reader> {
        Ok(Reader { text: self.clone(), at: 0 })
    }
}

pub(crate) struct Reader {
    text: Text,
    at: usize,
}

impl TextReader for Reader {
    async fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<usize> {
        if self.at >= self.text.readable && self.text.readable < self.text.octets.len() {
            return Err(io::Error::other("the disk is gone"));
        }
        let end = (self.at + 10_000).min(self.text.readable);
        piece.extend_from_slice(&self.text.octets[self.at..end]);
        let octets = end - self.at;
        self.at = end;
        Ok(octets)
    }
}

/// Remembers verdicts in the order of the recipients.
#[derive(Debug, Default)]
pub(crate) struct Remembered(pub(crate) Vec<Option<Verdict>>);

impl Ledger for Remembered {
    async fn enter(&mut self, settled: Vec<Settled>) {
        for Settled { place, verdict, .. } in settled {
            if self.0.len() <= place {
                self.0.resize(place + 1, None);
            }
            assert_eq!(self.0[place].replace(verdict), None, "a second verdict");
        }
    }
}

/// Keeps transcript lines, `[N]` cut off.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    lines: Mutex<Vec<String>>,
    view: View,
}

/// As what the lines are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// As `-v` prints them.
    #[default]
    Transcript,
    /// As they were on the wire, those of message text too.
    Wire,
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        let line = match self.view {
            View::Transcript => transcript_line(&event, Passwords::Shown).into_string(),
            View::Wire => wire_line(&event, Passwords::Shown).into_string(),
        };
        let line = line.split_once(' ').expect("[N] and a blank").1.to_owned();
        self.lines.lock().expect("the lines").push(line);
    }

    fn wants_text(&self) -> bool {
        self.view == View::Wire
    }

    fn wants_reads(&self) -> bool {
        self.view == View::Wire
    }
}

/// A relay, as its tests see it.
pub(crate) struct Relay {
    pub(crate) client: Client,
    pub(crate) introduction: Introduction,
    pub(crate) recorder: Arc<Recorder>,
}

impl Relay {
    /// One that says HELO and is as patient as RFC 5321 wants it.
    pub(crate) fn new() -> Self {
        let recorder = Arc::new(Recorder::default());
        Self {
            client: Client {
                timeouts: Timeouts::default(),
                transcript: Observers::one(Arc::<Recorder>::clone(&recorder)),
                registry: Some(Arc::new(Registry::default())),
                ids: Arc::new(AtomicU64::new(1)),
                tls: Tls::default(),
                announce: None,
                stop: CancellationToken::new(),
            },
            introduction: Introduction {
                domain: "relay.example".to_owned(),
                hello: Hello::Helo,
                protection: Protection::Opportunistic,
            },
            recorder,
        }
    }

    /// Tells the recorder what is on the wire.
    pub(crate) fn seen_on_the_wire(mut self) -> Self {
        self.recorder = Arc::new(Recorder { view: View::Wire, ..Recorder::default() });
        self.client.transcript = Observers::one(Arc::<Recorder>::clone(&self.recorder));
        self
    }

    /// Waits no longer than 0.3 s for anything.
    pub(crate) fn impatient(mut self) -> Self {
        self.client.timeouts = Timeouts::default().capped(Duration::from_millis(300));
        self
    }

    pub(crate) fn with_ehlo(mut self) -> Self {
        self.introduction.hello = Hello::Ehlo;
        self
    }

    pub(crate) fn with_protection(mut self, protection: Protection) -> Self {
        self.introduction.protection = protection;
        self
    }

    pub(crate) fn trusting(mut self, certificate: CertificateDer<'static>) -> Self {
        self.client.tls = Tls::trusting(vec![certificate]);
        self
    }

    /// A agent to these hosts, who are all called mx.example.
    pub(crate) fn agent(self, hosts: &[SocketAddr]) -> (DeliveryAgent, Arc<Recorder>) {
        let targets = hosts.iter().map(|&address| Target {
            preference: None,
            host: "mx.example".to_owned(),
            address,
        });
        let limits = Arc::new(Limits::default());
        let hosts = Hosts::new(targets.collect());
        let agent = DeliveryAgent::new(Arc::new(self.client), limits, self.introduction, hosts);
        (agent, self.recorder)
    }

    /// Takes one letter to the hosts, says good-bye, and tells the verdicts.
    pub(crate) async fn sends(self, hosts: &[SocketAddr], recipients: &[&str]) -> Vec<String> {
        let (mut agent, _) = self.agent(hosts);
        let verdicts = carry(&mut agent, recipients, &letter()).await;
        agent.finish().await;
        verdicts
    }
}

impl Recorder {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("the lines").clone()
    }
}

pub(crate) fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| Address::parse(text));
    let reverse_path = ReversePath::parse("ben@localhost").expect("a path");
    Envelope::plain(reverse_path, recipients.collect::<Result<_, _>>().expect("addresses"))
}

pub(crate) const TEXT: &[u8] = b"Subject: x\r\n\r\n.a dot\r\n";

pub(crate) fn letter() -> Letter<Text> {
    Letter::new("Received: by relay.example\r\n".to_owned(), Text::of(TEXT))
}

/// Takes one letter and tells the verdicts.
pub(crate) async fn carry(
    agent: &mut DeliveryAgent,
    recipients: &[&str],
    letter: &Letter<Text>,
) -> Vec<String> {
    let mut ledger = Remembered(vec![None; recipients.len()]);
    let carried = agent.deliver(&envelope(recipients), letter, &mut ledger).await;
    let left = match carried {
        Carried::Whole => Vec::new(),
        Carried::SteppedAside(left) | Carried::NotOffered(left) => left,
    };
    let verdicts = ledger.0.iter().enumerate();
    verdicts
        .map(|(place, verdict)| match verdict {
            Some(verdict) => shown(verdict),
            None if left.contains(&place) => "not offered".to_owned(),
            None => panic!("a recipient without verdict"),
        })
        .collect()
}

pub(crate) fn shown(verdict: &Verdict) -> String {
    let fate = match verdict {
        Verdict::Delivered(..) => "delivered",
        Verdict::Deferred(..) => "deferred",
        Verdict::Failed(_) => "failed",
    };
    format!("{fate}: {}", verdict.diagnosis().reason)
}
