//! The three servers: protocol state machines without I/O, and the one loop that drives them.

pub mod registry;
