//! Sends the text of a message. Independent of where the text is stored.

use std::future::Future;
use std::mem;

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

/// Sends the text, dot-stuffed, and the final dot (RFC 1939 section 3). Returns the text if it came in
/// one piece.
///
/// # Errors
///
/// [`End::Torn`] if the source fails: part of the text may have been sent, so the connection must
/// be cut.
pub async fn send(
    source: &mut impl TextSource,
    channel: &mut Channel,
) -> Result<Option<Vec<u8>>, End> {
    let mut stuffer = Stuffer::default();
    // Where a fault is played, the gate tells what goes out.
    let mut log =
        (!channel.is_played()).then(|| TextLog::sent(Side::Server, channel.connection_log()));
    let (mut piece, mut next) = (Vec::new(), Vec::new());
    let mut pieces = 0;
    while source.next_piece(&mut next).await.map_err(End::Torn)? {
        mem::swap(&mut piece, &mut next);
        next.clear();
        pieces += 1;
        if let Some(log) = &mut log {
            log.push(&piece, channel.connection_log());
        }
        channel.say_text(|wire| stuffer.push(&piece, wire)).await?;
    }
    channel.say_text(|wire| stuffer.finish(wire)).await?;
    if let Some(log) = log {
        log.end(channel.connection_log());
    }
    Ok((pieces == 1).then_some(piece))
}
