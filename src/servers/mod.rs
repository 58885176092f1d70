//! The three servers (echo, SMTP and POP3): protocol state machines without I/O, and the one loop
//! that drives them.

pub mod accounts;
pub mod answering;
pub mod attendance;
pub mod channel;
pub mod credentials;
pub mod echo;
pub mod exposure;
pub mod extensions;
pub mod guesses;
pub mod holds;
mod idle;
pub mod limits;
pub mod listener;
pub mod login;
pub mod mailbox_changes;
pub mod played;
pub mod pop3;
pub mod port;
pub mod profile;
pub mod recipients;
pub mod retention;
pub mod sasl;
pub mod serve;
pub mod session;
pub mod settings;
pub mod smtp;
pub mod stored;
pub mod stream;
pub mod supervised;
pub mod supervisor;
pub mod text;
pub mod tls;
pub mod units;
