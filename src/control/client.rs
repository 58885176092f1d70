//! The other end of the control socket: finds the servers of a directory, and asks them.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::place::Place;

/// How long a server may take to answer.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Octets of a line that is read: an event has at most a message's header and its recipients.
const LINE_MOST: u64 = 16 * 1024 * 1024;

/// An answer, or an event.
pub type Object = Map<String, Value>;

/// Why a server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It says so itself.
    #[error("{0}")]
    Refused(String),
    /// It does not answer.
    #[error("it does not answer")]
    TimedOut,
    /// It has gone, or says what cannot be understood.
    #[error("the connection has failed: {0}")]
    Io(#[from] io::Error),
}

/// A connection to a server.
#[derive(Debug)]
pub struct Server {
    stream: BufReader<UnixStream>,
}

/// Connects to all servers of a directory, the first one first. Sockets at which nobody listens are
/// left out.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn servers(directory: &Path) -> io::Result<Vec<Server>> {
    let place = Place::open(directory)?;
    let mut servers = Vec::new();
    for name in place.names()? {
        if let Ok(Ok(stream)) =
            timeout(ANSWER_PATIENCE, UnixStream::connect(place.path_of(&name))).await
        {
            servers.push(Server { stream: BufReader::new(stream) });
        }
    }
    Ok(servers)
}

impl Server {
    /// The process id; `None` if it is in a place where it has none that we could use.
    #[must_use]
    pub fn process(&self) -> Option<i32> {
        let process = self.stream.get_ref().peer_cred().ok()?.pid();
        process.filter(|process| *process > 0)
    }

    /// Sends a request, and waits for its answer.
    pub async fn ask(&mut self, request: &Value) -> Result<Object, AskError> {
        let answered = timeout(ANSWER_PATIENCE, self.asked(request)).await;
        let answer = answered.map_err(|_| AskError::TimedOut)??;
        if answer.get("ok") == Some(&Value::Bool(true)) {
            return Ok(answer);
        }
        let why = answer.get("error").and_then(Value::as_str).unwrap_or("it gives no reason");
        Err(AskError::Refused(why.to_owned()))
    }

    async fn asked(&mut self, request: &Value) -> io::Result<Object> {
        let request = format!("{request}\n");
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The next line that it sends; `None` at the end.
    pub async fn line(&mut self) -> io::Result<Option<String>> {
        use tokio::io::AsyncReadExt;
        let mut line = Vec::new();
        (&mut self.stream).take(LINE_MOST).read_until(b'\n', &mut line).await?;
        let is_whole = line.last() == Some(&b'\n');
        Ok(is_whole.then(|| String::from_utf8_lossy(&line).into_owned()))
    }

    /// Waits until it closes the connection.
    pub async fn closed(&mut self) {
        while let Ok(Some(_)) = self.line().await {}
    }
}
