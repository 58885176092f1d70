//! What happens on connections, for observers: events and the lines they keep, the registry of
//! connections, the log of one connection, and which octets are secret.

pub mod connection_log;
pub mod event;
pub mod fact;
pub mod kept;
#[cfg(test)]
mod mask_tests;
pub mod observers;
pub mod registry;
pub mod secret;
pub mod tally;
pub mod text_log;
