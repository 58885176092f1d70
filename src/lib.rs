//! mailconsole: echo, SMTP and POP3 servers over plain mbox files, and a console that shows them.
//!
//! The modules in the order in which they may use each other: each uses those below it.

pub mod app;
pub mod ui;

pub mod control;

pub mod console;

pub mod mailroom;

pub mod relay;

pub mod servers;

pub mod check;

pub mod fault;

pub mod watch;

pub mod store;

pub mod mail;

pub mod wire;
