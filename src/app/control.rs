//! Starts and stops the servers one by one at an operator's word, while the others run.

use std::net::SocketAddr;

use crate::wire::event::Service;

/// One of the servers at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// What it speaks.
    pub service: Service,
    /// Where it listens while it runs. They stay the same when it is stopped and started again.
    pub addresses: Vec<SocketAddr>,
    /// Whether it runs.
    pub condition: Condition,
}

/// Whether a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It takes connections.
    Running,
    /// It takes none, and says farewell to those that it has.
    Stopping,
    /// It is not there.
    Stopped,
    /// It could not be started again: why, in a sentence with the remedy.
    Failed(String),
}
