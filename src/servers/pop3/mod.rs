//! The POP3 server (RFC 1939, docs/protocol.md 4): command grammar, session rules, and access to
//! the maildrops.

mod authorization;
pub mod capabilities;
pub mod command;
pub mod effect;
pub mod maildrop;
mod reply;
pub mod service;
pub mod session;
pub mod top;
mod transaction;

#[cfg(test)]
mod extension_tests;
