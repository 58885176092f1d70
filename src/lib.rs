//! mailconsole: echo, SMTP and POP3 servers over plain mbox files, and a console that shows them.

pub mod app;
pub mod check;
pub mod relay;
pub mod servers;
pub mod store;
pub mod ui;
pub mod wire;
