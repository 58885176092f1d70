//! A server as the screen shows it, and the rows of the servers' popup.

use std::net::SocketAddr;

use crate::servers::settings::SettingName;
pub use crate::servers::settings::{Idle, RelayPolicy, SettingsView};
pub use crate::servers::supervisor::Condition;
use crate::servers::supervisor::ServerView;
use crate::watch::event::Service;

/// One of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it speaks.
    pub service: Service,
    /// Where it listens, or would listen.
    pub addresses: Vec<SocketAddr>,
    /// Whether it runs.
    pub condition: Condition,
}

impl From<&ServerView> for Server {
    fn from(view: &ServerView) -> Self {
        Self {
            service: view.service,
            addresses: view.addresses.clone(),
            condition: view.condition.clone(),
        }
    }
}

impl Server {
    /// Whether it takes connections.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.condition == Condition::Running
    }

    /// The port; the ports, where addresses differ; the whole address, where others than this
    /// machine can connect.
    #[must_use]
    pub fn ports(&self) -> String {
        if let Some(open_to_others) = self.addresses.iter().find(|a| !a.ip().is_loopback()) {
            return open_to_others.to_string();
        }
        let mut ports: Vec<String> = self.addresses.iter().map(|a| a.port().to_string()).collect();
        ports.dedup();
        ports.join(",")
    }
}

/// A row of the popup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopupRow {
    /// The n-th server.
    Server(usize),
    /// A setting.
    Setting(SettingName),
}
