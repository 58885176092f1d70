//! The octets below TLS, and with which of them the client has begun: those tell what a client is
//! that does not speak our TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::servers::stream::Io;

/// The octets of a client's hello up to its version: the headers of the record and of the message
/// (RFC 5246 sections 6.2.1 and 7.4), and the version.
const HELLO: usize = 5 + 4 + 2;

/// A byte stream that remembers its beginning.
pub(super) struct Opening {
    io: Box<dyn Io>,
    first: [u8; HELLO],
    seen: u8,
}

impl Opening {
    pub(super) const fn new(io: Box<dyn Io>) -> Self {
        Self { io, first: [0; HELLO], seen: 0 }
    }

    /// The octets with which the client has begun, at most [`HELLO`].
    pub(super) fn first(&self) -> &[u8] {
        self.first.get(..usize::from(self.seen)).unwrap_or_default()
    }

    fn see(&mut self, octets: &[u8]) {
        let rest = self.first.get_mut(usize::from(self.seen)..).unwrap_or_default();
        for (place, octet) in rest.iter_mut().zip(octets) {
            *place = *octet;
            self.seen += 1;
        }
    }
}

impl Io for Opening {
    fn tcp(&self) -> Option<&TcpStream> {
        self.io.tcp()
    }
}

impl AsyncRead for Opening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.see(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
