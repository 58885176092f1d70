//! Sends the text of a message. Independent of where the text is stored.

use std::future::Future;

use crate::servers::channel::{Channel, End};
use crate::watch::event::Side;
use crate::watch::text_log::TextLog;
use crate::wire::dot::Stuffer;

/// A source of message text.
pub trait TextSource: Send {
    /// Appends the next piece, of bounded size and with CRLF line ends; returns `false` at the end.
    /// The error says why the rest cannot be read.
    fn next_piece(
        &mut self,
        piece: &mut Vec<u8>,
    ) -> impl Future<Output = Result<bool, String>> + Send;
}

/// A source whose text is kept as it passes, if that is wanted.
pub struct Keeping<S> {
    source: S,
    kept: Option<Vec<u8>>,
}

impl<S> Keeping<S> {
    /// Keeps the text of `source`, which has so many octets; none if `octets` is `None`.
    pub fn new(source: S, octets: Option<u64>) -> Self {
        let room = |octets| Vec::with_capacity(usize::try_from(octets).unwrap_or(0));
        Self { source, kept: octets.map(room) }
    }

    /// The text that has passed, if it was kept.
    pub fn into_kept(self) -> Option<Vec<u8>> {
        self.kept
    }
}

impl<S: TextSource> TextSource for Keeping<S> {
    async fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, String> {
        let from = piece.len();
        let is_more = self.source.next_piece(piece).await?;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(piece.get(from..).unwrap_or_default());
        }
        Ok(is_more)
    }
}

/// Sends the text, dot-stuffed, and the final dot (RFC 1939 section 3).
///
/// # Errors
///
/// [`End::Torn`] if the source fails: part of the text may have been sent, so the connection must
/// be cut.
pub async fn send(source: &mut impl TextSource, channel: &mut Channel) -> Result<(), End> {
    let mut stuffer = Stuffer::default();
    // Where a fault is played, the gate tells what goes out.
    let mut log =
        (!channel.is_played()).then(|| TextLog::sent(Side::Server, channel.connection_log()));
    let mut piece = Vec::new();
    while source.next_piece(&mut piece).await.map_err(End::Torn)? {
        if let Some(log) = &mut log {
            log.push(&piece, channel.connection_log());
        }
        channel.say_text(|wire| stuffer.push(&piece, wire)).await?;
        piece.clear();
    }
    channel.say_text(|wire| stuffer.finish(wire)).await?;
    if let Some(log) = log {
        log.end(channel.connection_log());
    }
    Ok(())
}
