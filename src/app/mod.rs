//! The composition root: what was asked for is decided, wired, run and ended here.

pub mod cli;
pub mod config;
pub mod headless;
pub mod interactive;
pub mod last_word;
pub mod queue;
pub mod relay;
pub mod run;
