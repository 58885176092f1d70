//! Who could overhear a connection, on which it depends which secrets are asked for.

use std::net::IpAddr;

/// Who could overhear what is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exposure {
    /// The network.
    #[default]
    Network,
    /// Nobody but this machine.
    Loopback,
    /// Nobody: TLS has begun.
    Tls,
}

impl Exposure {
    /// That of a connection without TLS from this address.
    #[must_use]
    pub fn of_plain(peer: IpAddr) -> Self {
        if peer.to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }

    /// Whether TLS has begun.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self == Self::Tls
    }

    /// Whether others could read a secret.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Network
    }
}
