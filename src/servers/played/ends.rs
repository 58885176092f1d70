//! How a fault ends a connection: in good order, by a reset, or not at all for a long time.

use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::fault::plan::Ending;
use crate::servers::channel::{Channel, End};
use crate::servers::limits::{FAULT_LINGER, HANG_MOST, READ_OCTETS, RESET_WAIT};

/// How long the first wait for an acknowledgement is; each further one is twice as long, up to the
/// longest.
const LOOK: Duration = Duration::from_millis(1);
const LOOK_MOST: Duration = Duration::from_millis(100);

impl Channel {
    /// Ends the connection as a fault says; it is dropped behind this.
    pub(in crate::servers) async fn end_by_fault(&mut self, ending: Ending) {
        match ending {
            Ending::Close | Ending::Cut | Ending::Hang => self.part_within(FAULT_LINGER).await,
            Ending::Reset => self.reset().await,
        }
    }

    /// Says nothing more, and drops what the peer says, until it goes, an hour has passed or the
    /// connection is to end.
    pub(super) async fn hang(&mut self) -> End {
        if let Err(end) = self.flush().await {
            return end;
        }
        tokio::select! {
            biased;
            // No farewell: the peer may wait for the rest of a reply.
            () = self.ending.cancelled() => End::Fault(Ending::Cut),
            () = self.connection_log.close_requested() => End::Torn("by the operator".into()),
            () = self.stream.drain(READ_OCTETS) => End::Fault(Ending::Cut),
            () = sleep(HANG_MOST) => End::Fault(Ending::Cut),
        }
    }

    /// Sends the rest of the output, and has the connection reset when it is dropped.
    async fn reset(&mut self) {
        if self.flush().await.is_err() {
            return;
        }
        let Some(tcp) = self.stream.tcp() else { return };
        if let (Ok(ours), Ok(peers)) = (tcp.local_addr(), tcp.peer_addr()) {
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = acknowledged(ours, peers) => {}
                () = sleep(RESET_WAIT) => {}
            }
        }
        // Closing resets then, and drops what has not been acknowledged.
        if let Some(tcp) = self.stream.tcp() {
            let _ = tcp.set_zero_linger();
        }
    }

    /// Waits before or within an answer, while nothing is said.
    pub(super) async fn delay(&mut self, time: Option<Duration>) -> Result<(), End> {
        match time {
            // What is being played concerns what comes behind the delay.
            Some(time) => {
                let played = mem::take(&mut self.played);
                let waited = self.pause(time).await;
                self.played = played;
                waited
            }
            None => Ok(()),
        }
    }
}

/// Completes when the peer's system has acknowledged all that was written.
async fn acknowledged(ours: SocketAddr, peers: SocketAddr) {
    // Looked for again and again, because nothing tells of it: a socket that is written is ready as
    // soon as there is room.
    let (begin, mut pause) = (Instant::now(), LOOK);
    while begin.elapsed() < RESET_WAIT {
        let waiting = spawn_blocking(move || unacknowledged(ours, peers)).await;
        if !matches!(waiting, Ok(Some(1..))) {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_MOST);
    }
}

/// Octets that were written and not acknowledged; `None` if the system does not tell.
fn unacknowledged(ours: SocketAddr, peers: SocketAddr) -> Option<u32> {
    let is_it = |one: &procfs::net::TcpNetEntry| {
        same(one.local_address, ours) && same(one.remote_address, peers)
    };
    let sockets = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    sockets.into_iter().find(is_it).map(|socket| socket.tx_queue)
}

/// Whether two addresses are one, however IPv4 is written.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}
