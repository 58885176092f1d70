//! Faults that an operator plays on purpose: rules of one line, when they match, and what they do to
//! a conversation. Pure: knows neither sockets nor sessions; time is a parameter.

pub mod address;
mod argument;
pub mod breakpoint;
pub mod catalogue;
pub mod completion;
mod counters;
mod entry;
pub mod faults;
#[cfg(test)]
mod faults_tests;
pub mod parse;
pub mod plan;
pub mod point;
pub mod progress;
pub mod rule;
pub mod typed;
