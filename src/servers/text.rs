//! Message text under way: what the transcript shows of it, and how it is sent. Knows neither
//! where it is stored nor what it says.

use std::future::Future;

use crate::servers::channel::{Channel, End, Stream};
use crate::servers::limits::LINE_OCTETS;
use crate::servers::presence::Presence;
use crate::wire::dot::Stuffer;
use crate::wire::event::{KeptLine, Kind, Side};
use crate::wire::line::{Line, LineBuffer};

/// What the transcript is told of one message text: how long it was, and all its lines where
/// anybody wants them.
#[derive(Debug)]
pub struct TextLog {
    side: Side,
    octets: u64,
    /// The lines, where anybody wants them.
    lines: Option<LineBuffer>,
}

impl TextLog {
    /// The log of a text that `side` sends.
    #[must_use]
    pub fn new(side: Side, presence: &Presence) -> Self {
        let lines = presence.wants_text().then(|| LineBuffer::new(LINE_OCTETS));
        Self { side, octets: 0, lines }
    }

    /// Takes note of a piece of the text, without its dot stuffing.
    pub fn push(&mut self, piece: &[u8], presence: &Presence) {
        self.octets = self.octets.saturating_add(piece.len() as u64);
        let Some(lines) = &mut self.lines else { return };
        lines.extend(piece);
        while let Some(line) = lines.next_line() {
            let kept = match line {
                Line::Whole(line) => KeptLine::new(line),
                Line::Overlong { beginning, octets } => KeptLine::beginning(beginning, octets),
            };
            presence.tell(|| Kind::TextLine(self.side, kept));
        }
    }

    /// Says that the text has ended with its lone dot, and how long it was.
    pub fn end(self, presence: &Presence) {
        if let Some(lines) = self.lines.filter(|lines| !lines.is_empty()) {
            presence.tell(|| Kind::TextLine(self.side, KeptLine::new(lines.unread())));
        }
        presence.tell(|| Kind::Text { octets: self.octets });
        presence.line(self.side, b".");
    }
}

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
pub async fn send<T: Stream>(
    source: &mut impl TextSource,
    channel: &mut Channel<T>,
) -> Result<(), End> {
    let mut stuffer = Stuffer::default();
    let mut log = TextLog::new(Side::Server, channel.presence());
    let mut piece = Vec::new();
    while source.next_piece(&mut piece).await.map_err(End::Torn)? {
        log.push(&piece, channel.presence());
        stuffer.push(&piece, channel.text());
        piece.clear();
        channel.make_room().await?;
    }
    stuffer.finish(channel.text());
    log.end(channel.presence());
    Ok(())
}
