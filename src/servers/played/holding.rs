//! How a connection waits for an operator: what is held, until when, and what is told of it. Nothing
//! is locked meanwhile but what a slow client would keep as well.

use std::future;
use std::io::{self, ErrorKind::WouldBlock};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::fault::breakpoint::{self, Side};
use crate::fault::point::Point;
use crate::fault::progress::Progress;
use crate::fault::rule::Who;
use crate::servers::channel::{Channel, End};
use crate::servers::holds::{Cause, Decision, HELD_MOST, Held, Stop, Waiting};
use crate::servers::stream::Stream;
use crate::watch::event::Kind;
use crate::watch::fact::Fact;
use crate::wire::line::{LINE_OCTETS, LineBuffer};

impl Channel {
    /// The breakpoint that holds this side here.
    pub(super) fn stop(
        &self,
        at: Point,
        side: Side,
        progress: &Progress,
        who: Who,
    ) -> Option<Stop> {
        let rule = self.holds.as_ref()?.stops(at, side, progress, who)?;
        Some(Stop { at, rule })
    }

    /// Holds something until an operator has decided about it; `text` is shown of it, `editable` is
    /// what editing begins with.
    ///
    /// # Errors
    ///
    /// The end of the conversation, if it ends meanwhile or the operator ends it.
    pub(super) async fn hold(
        &mut self,
        stop: &Stop,
        side: Side,
        text: String,
        editable: Option<String>,
    ) -> Result<Decision, End> {
        // What was said before must not wait with it.
        self.flush().await?;
        let Some(holds) = self.holds.clone() else {
            return Ok(Decision::Release(Cause::Operator));
        };
        let replaced = (side == Side::Reply).then(|| text.clone());
        let mut waiting = holds.hold(Held { editable, ..self.held(stop, side, text) });
        let id = waiting.id();
        let sign = if side == Side::Reply { "!" } else { "" };
        self.tell_hold(stop, side, id, "held", || format!(": {}{sign}", stop.at));
        let decided = self.decided(&mut waiting).await;
        drop(waiting);
        match decided {
            Ok(Decision::Kill) => {
                self.tell_hold(stop, side, id, "killed", String::new);
                Err(End::Operator)
            }
            Ok(decision) => {
                self.tell_hold(stop, side, id, name_of(&decision), || {
                    more_of(&decision, holds.patience().as_secs_f64(), replaced)
                });
                Ok(decision)
            }
            Err(end) => {
                self.has_left_held = matches!(end, End::Hangup);
                let why = match end {
                    End::Shutdown => "the servers end",
                    End::Operator => "the connection is closed",
                    _ => "the client has gone",
                };
                self.tell_hold(stop, side, id, "ended", || format!(": {why}"));
                Err(end)
            }
        }
    }

    fn held(&self, stop: &Stop, side: Side, text: String) -> Held {
        let name = self.connection_log.name();
        let peer = self.stream.tcp().and_then(|tcp| tcp.peer_addr().ok());
        Held {
            id: 0,
            session: name.id,
            number: name.number,
            service: name.service,
            peer: peer.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()),
            point: stop.at,
            side,
            text,
            editable: None,
            since: SystemTime::now(),
            began: Instant::now(),
            limit: breakpoint::patience(stop.at).map(|time| time.as_secs()),
        }
    }

    /// Waits for the decision. Reads meanwhile, so that a peer that leaves is noticed; over the limit
    /// of a line, TCP holds the peer.
    async fn decided(&mut self, waiting: &mut Waiting) -> Result<Decision, End> {
        let mut decided = pin!(waiting.decided());
        let mut early = self.early.take().unwrap_or_else(|| Box::new(LineBuffer::new(LINE_OCTETS)));
        let ended = loop {
            let room = LINE_OCTETS.saturating_sub(early.unread().len());
            tokio::select! {
                biased;
                () = self.ending.cancelled() => break Err(End::Shutdown),
                () = self.connection_log.close_requested() => break Err(End::Operator),
                decision = &mut decided => break Ok(decision),
                read = read_early(&mut self.stream, &mut early, room) => match read {
                    Ok(0) => break Err(End::Hangup),
                    Ok(_) => {}
                    Err(error) => break Err(End::Lost(error)),
                },
            }
        };
        if !early.unread().is_empty() {
            self.early = Some(early);
        }
        ended
    }

    /// Moves what has come during a hold to the input; returns how many octets.
    pub(in crate::servers) fn take_early(&mut self, input: &mut LineBuffer) -> usize {
        let Some(early) = self.early.take() else { return 0 };
        let octets = early.unread().len();
        input.extend_from(&early, octets);
        octets
    }

    fn tell_hold(
        &self,
        stop: &Stop,
        side: Side,
        id: u64,
        what: &'static str,
        more: impl FnOnce() -> String,
    ) {
        self.connection_log.tell(|| Kind::Note(format!("{what} {id}{}", more())));
        self.connection_log.tell_fact(|| Fact::Held {
            id,
            rule: Arc::clone(&stop.rule),
            point: stop.at.to_string(),
            side: side.name(),
            what,
        });
    }
}

/// Reads what a held peer says while there is room for it; then it is only noticed that the peer leaves.
async fn read_early(stream: &mut Stream, early: &mut LineBuffer, room: usize) -> io::Result<usize> {
    if room > 0 {
        return stream.read_into(early, room).await;
    }
    let Some(tcp) = stream.tcp() else { return future::pending().await };
    tokio::select! {
        biased;
        broken = tcp.ready(Interest::ERROR) => {
            broken?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        () = closed(tcp) => Ok(0),
    }
}

/// Completes when the peer has closed its side, though what it has said before is not read.
async fn closed(tcp: &TcpStream) {
    // By a descriptor of its own: what is cleared of its readiness the stream must keep.
    let own = || TcpStream::from_std(tcp.as_fd().try_clone_to_owned()?.into());
    // Without one the peer is noticed when it is let go.
    let Ok(own) = own() else { return future::pending().await };
    while let Ok(ready) = own.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // Clears the readiness: the next look waits until more input comes, or the end.
        let _ = own.try_io(Interest::READABLE, || io::Result::<()>::Err(WouldBlock.into()));
    }
}

const fn name_of(decision: &Decision) -> &'static str {
    match decision {
        Decision::Release(_) => "released",
        Decision::Edit(_) => "edited",
        Decision::Drop => "dropped",
        Decision::Answer(_) => "answered",
        Decision::Kill => "killed",
    }
}

/// What stands behind the number in the note about a decision.
fn more_of(decision: &Decision, seconds: f64, replaced: Option<String>) -> String {
    match decision {
        Decision::Release(Cause::Patience) => format!(": held for {seconds} s"),
        Decision::Release(Cause::TooMany) => format!(": over {HELD_MOST} are held"),
        Decision::Release(Cause::Operator) => String::new(),
        // A command stands in the transcript already.
        Decision::Drop => replaced.map_or_else(String::new, |text| format!(": {text}")),
        _ => replaced.map_or_else(String::new, |text| format!(": instead of {text}")),
    }
}
