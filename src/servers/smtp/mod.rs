//! The SMTP server (RFC 821): the grammar, the session's rules, and the deliveries.

pub mod command;
mod reply;
pub mod service;
pub mod session;
