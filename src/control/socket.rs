//! The servers' end of the control socket: connections, requests one a line, answers one a line.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest, copy, sink};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::control::desk::{Desk, Reply, refusal};
use crate::control::event_json;
use crate::control::event_log::Reader;
use crate::control::place::{Bound, Place};

/// Connections at a time.
pub const CONNECTIONS_MOST: usize = 100;

/// Connections beyond these that are being refused at a time; more are closed without a word.
const REFUSALS_MOST: usize = 100;

/// Octets of a request, without its line end.
pub const REQUEST_MOST: usize = 64 * 1024;

/// How long a connection may be without a request.
const IDLE_MOST: Duration = Duration::from_mins(5);

/// How long an answer may wait for its reader. Events wait as long as it takes.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// How long, and for how many octets, a client that is refused is heard out, so that it comes to read
/// the answer: closing at once would discard it.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);
const FAREWELL_OCTETS: u64 = 16 * 1024 * 1024;

/// How long readers of events may pause at the end of the program before the rest is given up.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// The pause after connections could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A control socket that is served.
#[derive(Debug)]
pub struct ControlSocket {
    _bound: Bound,
    accepting: JoinHandle<()>,
    followers: Followers,
}

/// The connections that send events.
#[derive(Debug, Clone, Default)]
struct Followers {
    tasks: TaskTracker,
    /// Events that they have sent.
    sent: Arc<AtomicU64>,
}

impl ControlSocket {
    /// Makes the socket in the directory and serves it, in the runtime in which this is called.
    ///
    /// # Errors
    ///
    /// If there can be no socket in the directory.
    pub fn open(directory: &Path, desk: Desk) -> io::Result<Self> {
        let (listener, bound) = Place::open(directory)?.listen()?;
        let followers = Followers::default();
        let counter = Counter {
            listener: UnixListener::from_std(listener)?,
            desk: Arc::new(desk),
            followers: followers.clone(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MOST)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MOST)),
        };
        let accepting = tokio::spawn(counter.accept());
        Ok(Self { _bound: bound, accepting, followers })
    }

    /// Accepts no more connections, gives readers of events a moment for the last ones, and removes
    /// the socket. To be called when the log is closed. Connections that have asked for the end stay
    /// open until the process is gone, which tells them that it is.
    pub async fn end(self) {
        self.accepting.abort();
        let Followers { tasks, sent } = &self.followers;
        tasks.close();
        let mut before = u64::MAX;
        // A closed log has an end.
        while before != sent.load(Relaxed) {
            before = sent.load(Relaxed);
            if timeout(LAST_PATIENCE, tasks.wait()).await.is_ok() {
                return;
            }
        }
    }
}

/// Takes connections.
struct Counter {
    listener: UnixListener,
    desk: Arc<Desk>,
    followers: Followers,
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

impl Counter {
    async fn accept(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => self.admit(stream),
                Err(error) => {
                    tracing::warn!("cannot accept connections at the control socket: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream) {
        let connection = Connection::new(stream, Arc::clone(&self.desk), self.followers.clone());
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            tokio::spawn(async move {
                connection.serve().await;
                drop(permit);
            });
        } else if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            tokio::spawn(async move {
                connection.refuse("there are too many connections").await;
                drop(permit);
            });
        }
    }
}

struct Connection {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    desk: Arc<Desk>,
    followers: Followers,
}

/// What a client has sent.
enum Heard {
    Request(Value),
    /// Something that ends the connection, with the reason.
    Unfit(String),
    /// It has nothing more to say, or has gone.
    End,
}

impl Connection {
    fn new(stream: UnixStream, desk: Arc<Desk>, followers: Followers) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output, desk, followers }
    }

    async fn serve(mut self) {
        loop {
            let heard = timeout(IDLE_MOST, self.hear()).await;
            let unfit = || Heard::Unfit("there was no request for 5 minutes".to_owned());
            let reply = match heard.unwrap_or_else(|_| unfit()) {
                Heard::Request(request) => self.desk.answer(request).await,
                Heard::Unfit(why) => return self.refuse(&why).await,
                Heard::End => return,
            };
            let told = match reply {
                Reply::Once(answer) => self.say(&answer).await,
                Reply::Events(reader) => return self.follow(reader).await,
                Reply::Stopping(answer) => {
                    let _ = self.say(&answer).await;
                    // Ends with the process.
                    return std::future::pending().await;
                }
            };
            if told.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        let mut line = Vec::new();
        let most = REQUEST_MOST as u64 + 1;
        match (&mut self.input).take(most).read_until(b'\n', &mut line).await {
            Err(_) | Ok(0) => return Heard::End,
            Ok(_) => {}
        }
        if line.len() > REQUEST_MOST && line.last() != Some(&b'\n') {
            return Heard::Unfit(format!("a request has at most {REQUEST_MOST} octets"));
        }
        match serde_json::from_slice(&line) {
            Ok(request) => Heard::Request(request),
            Err(error) => {
                Heard::Unfit(format!("a request is one JSON object in one line: {error}"))
            }
        }
    }

    async fn say(&mut self, answer: &Value) -> io::Result<()> {
        let line = format!("{answer}\n");
        let said = self.output.write_all(line.as_bytes());
        timeout(ANSWER_PATIENCE, said).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says why not, and ends the connection.
    async fn refuse(mut self, why: &str) {
        if self.say(&refusal(why)).await.is_err() || self.output.shutdown().await.is_err() {
            return;
        }
        let mut rest = self.input.take(FAREWELL_OCTETS);
        let mut nowhere = sink();
        let heard_out = copy(&mut rest, &mut nowhere);
        let _ = timeout(FAREWELL_PATIENCE, heard_out).await;
    }

    /// Sends events until there are no more, or nobody reads them any more.
    async fn follow(mut self, mut reader: Reader) {
        let Followers { tasks, sent } = self.followers.clone();
        let _token = tasks.token();
        let Ok(hang_up) = HangUp::of(&self.output) else { return };
        if self.say(&serde_json::json!({"ok": true})).await.is_err() {
            return;
        }
        let output = &mut self.output;
        let sending = async {
            while let Some(entry) = reader.next().await {
                if let Some(line) = event_json::line(entry) {
                    output.write_all(line.as_bytes()).await?;
                    sent.fetch_add(1, Relaxed);
                }
            }
            output.shutdown().await
        };
        tokio::select! {
            _ = sending => {}
            () = hang_up.happens() => {}
        }
    }
}

/// Notices that the other end is closed, also while there is nothing to send. A client that has only
/// finished sending is still there to read, so that the end of its input says nothing.
struct HangUp(UnixStream);

impl HangUp {
    /// Looks at a descriptor of its own, so that the writer's readiness stays the writer's.
    fn of(output: &OwnedWriteHalf) -> io::Result<Self> {
        let stream: &UnixStream = output.as_ref();
        let descriptor = stream.as_fd().try_clone_to_owned()?;
        Ok(Self(UnixStream::from_std(descriptor.into())?))
    }

    async fn happens(&self) {
        // Every change of the connection shows here: one that was closed stays so.
        while let Ok(ready) = self.0.ready(Interest::WRITABLE).await {
            if ready.is_write_closed() {
                return;
            }
            // Says that the readiness is seen, so that the next look waits for a change.
            let seen = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.0.try_io(Interest::WRITABLE, seen);
        }
    }
}
