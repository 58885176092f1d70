//! What happens on connections, for whoever observes: events, the lines that are kept of them, the
//! registry of connections, the log of one connection, and which octets are secret.

pub mod connection_log;
pub mod event;
pub mod kept;
pub mod observers;
pub mod registry;
pub mod secret;
pub mod text_log;
