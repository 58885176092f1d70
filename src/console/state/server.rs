//! A server as the screen shows it, and the rows of the servers' popup.

use std::net::SocketAddr;

use crate::servers::settings::SettingName;
pub use crate::servers::settings::{Idle, RelayPolicy, SettingsView};
pub use crate::servers::supervisor::Condition;
use crate::servers::supervisor::ServerView;
use crate::watch::event::Service;

/// The state of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The service that it provides.
    pub service: Service,
    /// The addresses on which it listens, or would listen if it ran.
    pub addresses: Vec<SocketAddr>,
    /// The same for connections that begin with TLS.
    pub tls_addresses: Vec<SocketAddr>,
    /// Whether it runs, or why it does not.
    pub condition: Condition,
}

impl From<&ServerView> for Server {
    fn from(view: &ServerView) -> Self {
        Self {
            service: view.service,
            addresses: view.addresses.clone(),
            tls_addresses: view.tls_addresses.clone(),
            condition: view.condition.clone(),
        }
    }
}

impl Server {
    /// Whether it accepts connections.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.condition == Condition::Running
    }

    /// The port; several ports if they differ by address; the whole address if other machines can
    /// connect. Behind it, `smtps:4650`: the same for connections that begin with TLS.
    #[must_use]
    pub fn ports(&self) -> String {
        let plain = ports(&self.addresses);
        if self.tls_addresses.is_empty() {
            return plain;
        }
        format!("{plain} {}s:{}", self.service, ports(&self.tls_addresses))
    }
}

/// The port of these addresses; several ports if they differ; the whole address if other machines can
/// connect.
pub(super) fn ports(addresses: &[SocketAddr]) -> String {
    if let Some(open_to_others) = addresses.iter().find(|a| !a.ip().is_loopback()) {
        return open_to_others.to_string();
    }
    let mut ports: Vec<String> = addresses.iter().map(|a| a.port().to_string()).collect();
    ports.dedup();
    ports.join(",")
}

/// A row of the servers' popup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopupRow {
    /// The n-th server, counted from 0.
    Server(usize),
    /// A setting.
    Setting(SettingName),
}
