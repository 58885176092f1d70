//! Bytes to protocol units and back, pure: lines, dot transparency, transcript text.
//! Knows no socket, no file and no clock.

pub mod display;
pub mod dot;
pub mod figures;
pub mod line;
pub mod reads;
pub mod unended;
