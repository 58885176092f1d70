//! Judges how a mail client copes with faults that were played to it on purpose: from what was said on
//! the wire, from what lies in the mailboxes and from how the command ended. Starts nothing, and knows
//! neither sockets nor our servers.

pub mod command;
mod entries;
mod findings;
pub mod judge;
pub mod junit;
mod limits;
pub mod names;
mod pop3;
pub mod record;
pub mod report;
pub mod scale;
mod smtp;
mod steps;
mod talk;
pub mod verdict;
pub mod wire;
