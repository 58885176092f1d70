//! The composition root: what was asked for is decided, wired, run and ended here.

pub mod cli;
pub mod commands;
pub mod config;
pub mod last_word;
pub mod servers;
pub mod transcript;
