//! The relay against mail hosts and name servers in this process, all at loopback addresses.

#![expect(clippy::expect_used, reason = "in a test that is how it fails")]

mod command;
mod delivery_agents;
mod dns;
mod dsn;
mod facts;
mod harness;
mod letters;
mod mail_host;
mod name_server;
mod notifications;
mod postmaster;
mod queue;
mod runs;
mod tls;
