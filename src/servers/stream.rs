//! The one stream type of the servers and the relay: plain TCP or TLS.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, Empty};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{CommonState, ProtocolVersion};
use tokio_rustls::{client, server};
use tokio_util::either::Either;

use crate::servers::limits::{RECORD_OCTETS, SPARE_OCTETS};
use crate::wire::line::LineBuffer;

/// A bidirectional byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection at the bottom of it, if there is one.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Io for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Io for Box<dyn Io> {
    fn tcp(&self) -> Option<&TcpStream> {
        (**self).tcp()
    }
}

impl<S: Io> Io for client::TlsStream<S> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.get_ref().0.tcp()
    }
}

impl<S: Io> Io for server::TlsStream<S> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.get_ref().0.tcp()
    }
}

impl Io for DuplexStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Io for Empty {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

/// The byte stream of a connection.
pub struct Stream(Either<TcpStream, Box<dyn Io>>);

impl Stream {
    /// Waits for input and appends it to `input`; returns the number of octets, at most `octets`,
    /// or 0 at the end of the stream.
    pub async fn read_into(&mut self, input: &mut LineBuffer, octets: usize) -> io::Result<usize> {
        let tcp = match &mut self.0 {
            Either::Left(tcp) => tcp,
            // Readiness of the socket says nothing about what a layer can deliver.
            Either::Right(layer) => {
                return poll_fn(|context| poll_layer(layer, input, octets, context)).await;
            }
        };
        // The buffer is taken only when input is ready, so that ten thousand idle connections hold
        // none.
        loop {
            poll_fn(|context| tcp.poll_read_ready(context)).await?;
            input.adopt(SPARE.take());
            if let Poll::Ready(read) =
                once((&mut *tcp).take(octets as u64).read_buf(input.space(octets))).await
            {
                return read;
            }
            // The readiness was spurious.
            release(input);
        }
    }

    /// Sends some of the octets; returns how many.
    pub async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Either::Right(layer) = &mut self.0 else { return self.0.write(octets).await };
        // In pieces that a slow reader takes within the limit, because each is sent to its end: a
        // TLS layer keeps what the socket does not take.
        let piece = octets.get(..RECORD_OCTETS).unwrap_or(octets);
        let written = layer.write(piece).await?;
        layer.flush().await?;
        Ok(written)
    }

    /// Sends all the octets.
    pub async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets).await?;
        // A TLS layer may keep octets until it is flushed.
        self.0.flush().await
    }

    /// Closes the sending side.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }

    /// Reads and drops input until the peer has closed its side, at most `octets` at a time.
    pub async fn drain(&mut self, octets: usize) {
        let mut ignored = Vec::with_capacity(octets);
        while let Ok(1..) = self.0.read_buf(&mut ignored).await {
            ignored.clear();
        }
    }

    /// The TCP connection below all layers; `None` for a pipe in memory.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Either::Left(tcp) => Some(tcp),
            Either::Right(layer) => layer.tcp(),
        }
    }

    /// The underlying byte stream, for a layer such as TLS on top of it.
    #[must_use]
    pub fn into_io(self) -> Box<dyn Io> {
        match self.0 {
            Either::Left(tcp) => Box::new(tcp),
            Either::Right(layer) => layer,
        }
    }
}

/// The name of the version of TLS that was agreed: `TLS 1.2` or `TLS 1.3`.
#[must_use]
pub fn version_of(connection: &CommonState) -> &'static str {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self(Either::Left(tcp))
    }
}

/// TLS of the side that connected.
impl From<client::TlsStream<Box<dyn Io>>> for Stream {
    fn from(tls: client::TlsStream<Box<dyn Io>>) -> Self {
        Self(Either::Right(Box::new(tls)))
    }
}

/// TLS of the side that accepted.
impl<S: Io + 'static> From<server::TlsStream<S>> for Stream {
    fn from(tls: server::TlsStream<S>) -> Self {
        Self(Either::Right(Box::new(tls)))
    }
}

/// In-memory pipes, for tests.
impl From<DuplexStream> for Stream {
    fn from(pipe: DuplexStream) -> Self {
        Self(Either::Right(Box::new(pipe)))
    }
}

/// No connection: output is lost and there is no input. A placeholder during the TLS handshake.
impl Default for Stream {
    fn default() -> Self {
        Self(Either::Right(Box::new(tokio::io::empty())))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Either::Left(_) => "Stream(TCP)",
            Either::Right(_) => "Stream(layered)",
        })
    }
}

thread_local! {
    /// A buffer released by an idle connection of this thread, for the next one that has input:
    /// allocating a buffer for each command costs more than parsing the command.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Releases the buffer of an idle connection; the thread keeps it as its spare one.
pub fn release(input: &mut LineBuffer) {
    let memory = input.release();
    if (1..=SPARE_OCTETS).contains(&memory.capacity()) {
        SPARE.set(memory);
    }
}

/// Polls a layer for input. While there is none, no buffer is held.
fn poll_layer(
    layer: &mut dyn Io,
    input: &mut LineBuffer,
    octets: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    input.adopt(SPARE.take());
    let read = pin!(layer.take(octets as u64).read_buf(input.space(octets))).poll(context);
    if read.is_pending() {
        release(input);
    }
    // Many clients close without TLS's own goodbye. Lines have their own ends, so that nothing is
    // taken for whole that was cut off.
    read.map(|read| match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    })
}

/// Polls a future once.
async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::wire::line::LINE_OCTETS;

    #[tokio::test]
    async fn a_read_takes_no_more_than_it_is_asked_for() {
        let (mut ours, theirs) = duplex(1 << 16);
        ours.write_all(&vec![b'a'; 50_000]).await.unwrap();
        let (mut stream, mut input) = (Stream::from(theirs), LineBuffer::new(LINE_OCTETS));
        assert_eq!(stream.read_into(&mut input, 1_000).await.unwrap(), 1_000);
        assert_eq!(input.unread().len(), 1_000);
    }
}
