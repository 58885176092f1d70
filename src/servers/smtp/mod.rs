//! The SMTP server (RFC 821, docs/protocol.md 3): command grammar, session rules, and deliveries.

mod authentication;
mod chunking;
pub mod command;
mod ehlo;
pub mod parameters;
pub mod refusal;
mod reply;
pub mod service;
pub mod session;
pub mod transaction;
pub mod unknown_users;

#[cfg(test)]
mod extension_tests;
