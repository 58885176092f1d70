//! Clients that ask as much of a server as it can do: all in one thread, with one system call to
//! say something and one to hear the answer, so that it is the server that is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::process::{Server, own_cpu};
use crate::transport::Transport;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Octets read at once.
const READ: usize = 256 * 1024;

/// Events taken at once.
const EVENTS: usize = 256;

/// How long a server may do nothing at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client says, and the answer to it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    say: Box<[u8]>,
    beginning: &'static [u8],
    end: &'static [u8],
}

impl Exchange {
    /// The answer is a line that begins with `beginning`.
    pub(crate) fn line(say: impl AsRef<[u8]>, beginning: &'static str) -> Self {
        Self { say: say.as_ref().into(), beginning: beginning.as_bytes(), end: b"\n" }
    }

    /// The answer goes on to a line that is one dot.
    pub(crate) fn lines(say: impl AsRef<[u8]>, beginning: &'static str) -> Self {
        Self { end: b"\r\n.\r\n", ..Self::line(say, beginning) }
    }
}

/// What the clients of a server say.
#[derive(Debug)]
pub(crate) struct Script {
    /// First, in each session its own; where nothing is said, a greeting is waited for.
    pub(crate) openings: Vec<Vec<Exchange>>,
    /// One after another, and then from the beginning. Each is one piece of the work that is
    /// counted. The sessions begin with different ones.
    pub(crate) rounds: Vec<Vec<Exchange>>,
    /// At the end of a session that has one round.
    pub(crate) closing: Vec<Exchange>,
    /// How many rounds a session has.
    pub(crate) sessions: Sessions,
}

/// How many rounds a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// All.
    Kept,
    /// One; the next begins with a new connection.
    New,
}

/// What a server has done in a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Rounds a second.
    pub(crate) rate: f64,
    /// Microseconds of the server's processor time for each.
    pub(crate) cpu: f64,
    /// The same of the clients'.
    pub(crate) client_cpu: f64,
    /// Rounds from the first to the last, those before the measurement too.
    pub(crate) rounds: u32,
}

/// Holds `clients` sessions for `warm_up`, and measures for `time`.
pub(crate) fn measure(
    server: &Server,
    script: &Script,
    clients: usize,
    warm_up: Duration,
    time: Duration,
) -> Sample {
    let mut load = Load::start(server, script, clients);
    load.run(warm_up);
    let (rounds, cpu, client_cpu) = (load.rounds, server.cpu(), own_cpu());
    let began = Instant::now();
    load.run(time);
    let (took, done) = (began.elapsed(), f64::from(load.rounds - rounds));
    let of_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / done;
    Sample {
        rate: done / took.as_secs_f64(),
        cpu: of_each(server.cpu().saturating_sub(cpu)),
        client_cpu: of_each(own_cpu().saturating_sub(client_cpu)),
        rounds: load.rounds,
    }
}

/// One client that takes its time: what is measured is how long it waits.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self { stream: TcpStream::connect(("127.0.0.1", port)).unwrap(), buffer: vec![0; READ] }
    }

    /// Says all of it, each when the answer before has come; how long that takes.
    pub(crate) fn converse<'a>(
        &mut self,
        exchanges: impl IntoIterator<Item = &'a Exchange>,
    ) -> Duration {
        let began = Instant::now();
        for exchange in exchanges {
            self.stream.write_all(&exchange.say).unwrap();
            let mut answer = Answer::default();
            while !answer.take(exchange, read(&mut self.stream, &mut self.buffer).unwrap()) {}
        }
        began.elapsed()
    }
}

/// Clients at work.
struct Load<'a> {
    script: &'a Script,
    server: &'a Server,
    epoll: Epoll,
    sessions: Vec<Session>,
    buffer: Vec<u8>,
    rounds: u32,
}

/// One of them.
struct Session {
    number: usize,
    stream: Transport,
    part: Part,
    round: usize,
    step: usize,
    /// Octets of what is being said that have gone out.
    said: usize,
    answer: Answer,
}

#[derive(Clone, Copy)]
enum Part {
    Opening,
    Round,
    Closing,
}

impl<'a> Load<'a> {
    fn start(server: &'a Server, script: &'a Script, clients: usize) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let open = |number| {
            let round = number % script.rounds.len();
            Session::open(number, round, server, &epoll)
        };
        let sessions = (0..clients).map(open).collect();
        Self { script, server, epoll, sessions, buffer: vec![0; READ], rounds: 0 }
    }

    fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut events = [EpollEvent::empty(); EVENTS];
        while Instant::now() < end {
            let patience = EpollTimeout::try_from(PATIENCE).unwrap();
            let ready = self.epoll.wait(&mut events, patience).unwrap();
            assert!(ready > 0, "the server has fallen silent");
            for event in &events[..ready] {
                self.go_on(event.data().try_into().unwrap());
            }
        }
    }

    fn go_on(&mut self, number: usize) {
        let session = &mut self.sessions[number];
        if !session.has_said(self.script) {
            session.say(self.script);
            return;
        }
        while let Some(octets) = session.hear(&mut self.buffer) {
            let is_short = octets.len() < READ;
            if session.answer.take(session.exchange(self.script), octets) {
                self.rounds += session.advance(self.script);
                if session.is_over(self.script) {
                    *session = Session::open(number, session.round, self.server, &self.epoll);
                } else {
                    session.say(self.script);
                }
                return;
            }
            if is_short && session.stream.gives_all_at_once() {
                return;
            }
        }
    }
}

impl Session {
    fn open(number: usize, round: usize, server: &Server, epoll: &Epoll) -> Self {
        let stream = Transport::connect(server.port, server.tls.as_ref());
        // Whatever is ready is taken at once: no second call to find that there is no more.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(flags, number as u64)).unwrap();
        let answer = Answer::default();
        Self { number, stream, part: Part::Opening, round, step: 0, said: 0, answer }
    }

    fn exchanges<'a>(&self, script: &'a Script) -> &'a [Exchange] {
        match self.part {
            Part::Opening => &script.openings[self.number % script.openings.len()],
            Part::Round => &script.rounds[self.round],
            Part::Closing => &script.closing,
        }
    }

    fn exchange<'a>(&self, script: &'a Script) -> &'a Exchange {
        &self.exchanges(script)[self.step]
    }

    fn has_said(&self, script: &Script) -> bool {
        self.said == self.exchange(script).say.len()
    }

    fn say(&mut self, script: &Script) {
        let words = &self.exchange(script).say;
        while self.said < words.len() {
            match self.stream.write(&words[self.said..]) {
                Ok(octets) => self.said += octets,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server does not listen: {error}"),
            }
        }
    }

    fn hear<'a>(&mut self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        read(&mut self.stream, buffer)
    }

    /// Goes on behind an answer; returns how many rounds that completes.
    fn advance(&mut self, script: &Script) -> u32 {
        (self.said, self.answer) = (0, Answer::default());
        self.step += 1;
        if self.step < self.exchanges(script).len() {
            return 0;
        }
        self.step = 0;
        match (self.part, script.sessions) {
            (Part::Opening, _) => {
                self.part = Part::Round;
                0
            }
            (Part::Round, sessions) => {
                self.round = (self.round + 1) % script.rounds.len();
                if sessions == Sessions::New {
                    self.part = Part::Closing;
                }
                1
            }
            (Part::Closing, _) => {
                self.step = script.closing.len();
                0
            }
        }
    }

    fn is_over(&self, script: &Script) -> bool {
        self.step == self.exchanges(script).len()
    }
}

/// What there is to read, if there is anything.
fn read<'a>(stream: &mut impl Read, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    match stream.read(buffer) {
        Ok(0) => panic!("the server has closed the connection"),
        Ok(octets) => Some(&buffer[..octets]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("the server does not answer: {error}"),
    }
}

/// An answer, as far as it has come: only its last octets are kept.
#[derive(Default)]
struct Answer {
    octets: usize,
    last: Vec<u8>,
}

impl Answer {
    /// Takes a piece; whether that is the last one.
    fn take(&mut self, exchange: &Exchange, piece: &[u8]) -> bool {
        if self.octets == 0 {
            let said = || String::from_utf8_lossy(piece);
            assert!(piece.starts_with(exchange.beginning), "the server says {:?}", said());
        }
        self.octets += piece.len();
        if piece.ends_with(exchange.end) {
            return true;
        }
        let kept = exchange.end.len();
        self.last.extend_from_slice(&piece[piece.len().saturating_sub(kept)..]);
        self.last.drain(..self.last.len().saturating_sub(kept));
        self.last.ends_with(exchange.end)
    }
}
