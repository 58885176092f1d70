//! The three servers: protocol state machines without I/O, and the one loop that drives them.

pub mod channel;
pub mod echo;
pub mod limits;
pub mod listener;
pub mod machine;
pub mod pop3;
pub mod presence;
pub mod registry;
pub mod serve;
pub mod session;
pub mod settings;
pub mod smtp;
pub mod text;
