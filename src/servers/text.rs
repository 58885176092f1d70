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

/// Sends the text, dot-stuffed, and the final dot (RFC 1939 section 3).
///
/// # Errors
///
/// [`End::Torn`] if the source fails: part of the text may have been sent, so the connection must
/// be cut.
pub async fn send(source: &mut impl TextSource, channel: &mut Channel) -> Result<(), End> {
    let mut stuffer = Stuffer::default();
    let mut log = TextLog::sent(Side::Server, channel.connection_log());
    let mut piece = Vec::new();
    while source.next_piece(&mut piece).await.map_err(End::Torn)? {
        log.push(&piece, channel.connection_log());
        channel.say_text(|wire| stuffer.push(&piece, wire)).await?;
        piece.clear();
    }
    channel.say_text(|wire| stuffer.finish(wire)).await?;
    log.end(channel.connection_log());
    Ok(())
}
