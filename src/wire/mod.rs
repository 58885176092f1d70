//! Bytes to protocol units and back: lines, dot transparency, transcript text. Pure functions and
//! values: no I/O, no clock.

pub mod display;
pub mod dot;
pub mod figures;
pub mod glob;
pub mod line;
pub mod nearest;
pub mod reads;
pub mod unended;
