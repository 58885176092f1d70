//! Plays faults on purpose: what a plan of `fault` does to one conversation, on the wire and in the
//! loop. Session files know nothing of it, and where no rule is set none of it runs.

pub mod answer;
mod answers;
mod asking;
mod commands;
mod dots;
mod ends;
mod gate;
mod handshake;
mod heard;
mod held;
mod holding;
pub mod outgoing;
pub mod part;
pub mod rows;
mod texts;
pub mod told;
