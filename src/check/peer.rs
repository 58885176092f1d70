//! The connection to the server under test: whole lines, stray octets, the end. Every wait and
//! every buffer is bounded. Knows nothing of what is expected.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use memchr::memchr;

use super::CheckError;

/// Octets of a line that the tester reads, its line end among them (protocol 8.1).
pub(super) const LONGEST_LINE: usize = 5_000;

/// A connected server.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// What has come and has not been taken; at most [`LONGEST_LINE`] octets.
    unread: Vec<u8>,
    /// Octets that came beyond that while nobody expected any.
    omitted: u64,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Octets,
    /// The server has closed.
    End,
    /// The deadline passed.
    Nothing,
}

/// How a stretch of listening ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Its time passed.
    Silence,
    /// The server closed.
    End,
}

impl Peer {
    /// Connects to the first address of `host` that accepts, each within `limit`.
    pub(super) fn connect(host: &str, port: u16, limit: Duration) -> Result<Self, CheckError> {
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|reason| CheckError::NoSuchHost { host: host.to_owned(), reason })?;
        let mut reason = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(stream) => return Self::over(stream).map_err(CheckError::Connection),
                Err(error) => reason = error,
            }
        }
        Err(CheckError::NotConnected { host: host.to_owned(), port, reason })
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        // Each write of a script is to leave at once, as a segment of its own.
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new(), omitted: 0 })
    }

    /// One write.
    pub(super) fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), CheckError> {
        self.stream
            .set_write_timeout(Some(limit))
            .and_then(|()| self.stream.write_all(octets))
            .map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => CheckError::ClosedEarly,
                _ => CheckError::Connection(error),
            })
    }

    /// The next line, its LF included. `expected` is named if none comes within `limit`.
    pub(super) fn line(&mut self, expected: &str, limit: Duration) -> Result<Vec<u8>, CheckError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = memchr(b'\n', &self.unread) {
                let rest = self.unread.split_off(at + 1);
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            if self.room() == 0 {
                return Err(CheckError::LineTooLong);
            }
            match self.read(deadline).map_err(CheckError::Connection)? {
                Arrival::Octets => {}
                Arrival::End => return Err(CheckError::ClosedEarly),
                Arrival::Nothing => {
                    return Err(CheckError::NoAnswer { expected: expected.to_owned(), limit });
                }
            }
        }
    }

    /// Takes in whatever comes for as long as `window`, or until the server closes.
    pub(super) fn listen(&mut self, window: Duration) -> Result<Heard, CheckError> {
        let deadline = Instant::now() + window;
        loop {
            match self.read(deadline).map_err(CheckError::Connection)? {
                Arrival::Octets => {}
                Arrival::End => return Ok(Heard::End),
                Arrival::Nothing => return Ok(Heard::Silence),
            }
        }
    }

    /// Takes what has come and was not part of a line, and the count of what was not kept of it.
    pub(super) fn stray(&mut self) -> (Vec<u8>, u64) {
        let octets = std::mem::take(&mut self.unread);
        (octets, std::mem::take(&mut self.omitted))
    }

    fn room(&self) -> usize {
        LONGEST_LINE.saturating_sub(self.unread.len())
    }

    /// One read. Once there is no room, octets are only counted.
    fn read(&mut self, deadline: Instant) -> io::Result<Arrival> {
        let mut piece = [0; LONGEST_LINE];
        let room = match self.room() {
            0 => piece.as_mut_slice(),
            room => piece.get_mut(..room).unwrap_or_default(),
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Arrival::Nothing);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(room) {
                Ok(0) => return Ok(Arrival::End),
                Ok(octets) => {
                    self.keep(room.get(..octets).unwrap_or(room));
                    return Ok(Arrival::Octets);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    // Closed with what we had written still unread: an end like any other.
                    ErrorKind::ConnectionReset => return Ok(Arrival::End),
                    _ => return Err(error),
                },
            }
        }
    }

    fn keep(&mut self, arrived: &[u8]) {
        if self.room() == 0 {
            self.omitted += arrived.len() as u64;
        } else {
            self.unread.extend_from_slice(arrived);
        }
    }
}
