//! The POP3 server (RFC 1939, docs/protocol.md 4): command grammar, session rules, and access to
//! the maildrops.

pub mod command;
pub mod maildrop;
mod reply;
pub mod service;
pub mod session;
