//! How a message's text is sent. Knows neither where it is stored nor what it says.

use std::future::Future;

use crate::servers::channel::{Channel, End};
use crate::watch::event::Side;
use crate::watch::text_log::TextLog;
use crate::wire::dot::Stuffer;

/// Where the text of a message comes from.
pub trait TextSource: Send {
    /// Appends the next piece, of bounded size and with CRLF line ends; `false` at the end.
    /// An error says why the rest cannot be had.
    fn next_piece(
        &mut self,
        piece: &mut Vec<u8>,
    ) -> impl Future<Output = Result<bool, String>> + Send;
}

/// Sends a message's text, dot-stuffed, and the lone dot that ends it (RFC 1939 section 3).
pub async fn send(source: &mut impl TextSource, channel: &mut Channel) -> Result<(), End> {
    let mut stuffer = Stuffer::default();
    let mut log = TextLog::sent(Side::Server, channel.presence());
    let mut piece = Vec::new();
    while source.next_piece(&mut piece).await.map_err(End::Torn)? {
        log.push(&piece, channel.presence());
        channel.say_text(|wire| stuffer.push(&piece, wire)).await?;
        piece.clear();
    }
    channel.say_text(|wire| stuffer.finish(wire)).await?;
    log.end(channel.presence());
    Ok(())
}
