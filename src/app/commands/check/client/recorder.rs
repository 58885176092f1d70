//! Writes down one run: what passes the tap, and what the servers tell of faults and within TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use parking_lot::Mutex;

use crate::check::client::record::{Entry, Protocol, Side};
use crate::check::client::wire::Wire;
use crate::watch::event::{ConnectionName, Event, Kind, Side as EventSide};
use crate::watch::fact::{Fact, FactEvent};
use crate::watch::observers::{FactsWanted, Observer};

/// Writes down one run.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wire: Wire,
    /// When something passed last.
    moved: Instant,
    /// When a rule acted first.
    first_hit: Option<Instant>,
    hits: u64,
    /// Which connection the servers know by the address of our side of it.
    by_peer: HashMap<SocketAddr, usize>,
    /// Which connection the servers know by this id.
    by_id: HashMap<u64, usize>,
}

impl Recorder {
    pub(super) fn start(protocol: Protocol) -> Self {
        let started = Instant::now();
        let state = State {
            wire: Wire::new(protocol),
            moved: started,
            first_hit: None,
            hits: 0,
            by_peer: HashMap::new(),
            by_id: HashMap::new(),
        };
        Self { started, state: Mutex::new(state) }
    }

    fn at(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.state.lock().by_peer.len()
    }

    /// A client has connected; the servers will see `peer`.
    pub(super) fn opened(&self, peer: SocketAddr) -> usize {
        let (at, mut state) = (self.at(), self.state.lock());
        let connection = state.wire.opened(at);
        state.by_peer.insert(peer, connection);
        state.moved = Instant::now();
        connection
    }

    pub(super) fn sent(&self, connection: usize, side: Side, octets: &[u8]) {
        let (at, mut state) = (self.at(), self.state.lock());
        state.wire.sent(connection, side, at, octets);
        state.moved = Instant::now();
    }

    pub(super) fn closed(&self, connection: usize, by: Option<Side>) {
        let (at, mut state) = (self.at(), self.state.lock());
        state.wire.closed(connection, at, by);
        state.moved = Instant::now();
    }

    /// When something passed last.
    pub(super) fn moved(&self) -> Instant {
        self.state.lock().moved
    }

    pub(super) fn first_hit(&self) -> Option<Instant> {
        self.state.lock().first_hit
    }

    pub(super) fn hits(&self) -> u64 {
        self.state.lock().hits
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.state.lock().wire.entries()
    }
}

impl State {
    fn connection(&self, name: ConnectionName) -> Option<usize> {
        self.by_id.get(&name.id).copied()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        let (at, mut state) = (self.at(), self.state.lock());
        match event.kind {
            Kind::Opened { peer } => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                if let Some(connection) = state.by_peer.get(&peer).copied() {
                    state.by_id.insert(event.connection.id, connection);
                }
            }
            Kind::Line(side, line) => {
                let side = match side {
                    EventSide::Client => Side::Client,
                    EventSide::Server => Side::Server,
                };
                if let Some(connection) = state.connection(event.connection) {
                    state.wire.said(connection, side, at, line.bytes());
                }
            }
            _ => {}
        }
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn facts_wanted(&self) -> FactsWanted {
        FactsWanted::Cheap
    }

    fn fact(&self, event: FactEvent) {
        let Fact::Fault { told, .. } = event.fact else { return };
        let (at, mut state) = (self.at(), self.state.lock());
        state.hits += 1;
        state.first_hit.get_or_insert_with(Instant::now);
        let connection = event.connection.and_then(|name| state.connection(name));
        if let Some(connection) = connection {
            state.wire.fault(connection, at, &told);
        }
    }
}
