//! The SMTP server (RFC 821, docs/protocol.md 3): command grammar, session rules, and deliveries.

pub mod command;
mod reply;
pub mod service;
pub mod session;
