//! The POP3 server (RFC 1939): the grammar, the session's rules, and what it reads from disk.

pub mod command;
pub mod guesses;
pub mod maildrop;
mod reply;
pub mod service;
pub mod session;
