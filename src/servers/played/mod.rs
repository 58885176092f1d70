//! Plays faults on purpose: what a plan of `fault` does to one conversation, on the wire and in the
//! loop. Session files know nothing of it, and where no rule is set none of it runs.

pub mod answer;
mod commands;
mod ends;
mod gate;
mod handshake;
mod outgoing;
mod rows;
mod texts;
pub mod told;
