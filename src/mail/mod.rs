//! Mail addresses: one grammar for paths, domains and address literals (RFC 5321 section 4.1.2),
//! the addresses of this machine, and the parameters of MAIL and RCPT that travel with a message.

pub mod address;
pub mod address_list;
pub mod alphabet;
pub mod dsn;
pub mod machine;
pub mod parameters;
pub mod path;
pub mod xtext;
