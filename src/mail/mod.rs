//! Mail addresses: one grammar for paths, domains and address literals (RFC 5321 section 4.1.2),
//! and the addresses of this machine.

pub mod address;
pub mod machine;
pub mod path;
