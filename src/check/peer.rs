//! The connection to the server under test: reads lines, unexpected octets and the end of the
//! stream. Every wait and every buffer is bounded. Independent of what the script expects.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use memchr::memchr;

use super::CheckError;

/// The most octets of a line that the tester reads, including the line end (protocol 8.1).
pub(super) const LONGEST_LINE: usize = 5_000;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// Octets that have arrived and not been taken; at most [`LONGEST_LINE`].
    unread: Vec<u8>,
    /// The number of octets beyond that, which were dropped because no line was expected.
    omitted: u64,
}

/// The result of one read.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Octets,
    /// The server closed the connection.
    End,
    /// The deadline passed.
    Nothing,
}

/// How listening ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The time passed.
    Silence,
    /// The server closed the connection.
    End,
}

impl Peer {
    /// Connects to the first address of `host` that accepts, with `limit` for each.
    pub(super) fn connect(host: &str, port: u16, limit: Duration) -> Result<Self, CheckError> {
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|reason| CheckError::NoSuchHost { host: host.to_owned(), reason })?;
        // For a name without any address.
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
        // Each write of a script must leave at once, as a segment of its own.
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new(), omitted: 0 })
    }

    /// Sends the octets.
    pub(super) fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), CheckError> {
        self.stream
            .set_write_timeout(Some(limit))
            .and_then(|()| self.stream.write_all(octets))
            .map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => CheckError::ClosedEarly,
                _ => CheckError::Connection(error),
            })
    }

    /// The next line, including its LF. `expected` is for the error if none comes within `limit`.
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

    /// Receives octets for as long as `window`, or until the server closes.
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

    /// Takes the octets that were not part of a line, and the number of those dropped.
    pub(super) fn stray(&mut self) -> (Vec<u8>, u64) {
        let octets = std::mem::take(&mut self.unread);
        (octets, std::mem::take(&mut self.omitted))
    }

    fn room(&self) -> usize {
        LONGEST_LINE.saturating_sub(self.unread.len())
    }

    /// One read. If there is no room, the octets are only counted.
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
                    // The server closed without reading all that we had sent, which counts as an
                    // ordinary end.
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
