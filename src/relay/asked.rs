//! The mail host that a verdict is of, for those who observe the relay.

use std::net::Ipv6Addr;

use crate::relay::mx::Target;
use crate::watch::event::ConnectionName;

/// A mail host that was asked to take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedHost {
    /// The host.
    pub target: Target,
    /// The connection to it; `None` if there was none.
    pub connection: Option<ConnectionName>,
}

impl AskedHost {
    /// A host that lets no mail in.
    #[must_use]
    pub const fn without_connection(target: Target) -> Self {
        Self { target, connection: None }
    }

    /// The host's name, or its address if it was given as one, and the port.
    #[must_use]
    pub fn with_port(&self) -> String {
        let Target { host, address, .. } = &self.target;
        let port = address.port();
        match host.parse::<Ipv6Addr>() {
            Ok(host) => format!("[{host}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_can_be_told_from_the_address() {
        let named = |host: &str| {
            let address = ([192, 0, 2, 1], 25).into();
            let target = Target { preference: None, host: host.to_owned(), address };
            AskedHost::without_connection(target).with_port()
        };
        assert_eq!(named("mx.example"), "mx.example:25");
        assert_eq!(named("192.0.2.1"), "192.0.2.1:25");
        assert_eq!(named("2001:db8::1"), "[2001:db8::1]:25");
    }
}
