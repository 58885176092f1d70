//! The composition root: what was asked for is decided, wired, run and ended here; and what the
//! screen shows, its state and what a user may do to it.

pub mod action;
pub mod cli;
pub mod config;
pub mod console;
pub mod control;
pub mod headless;
pub mod keys;
pub mod last_word;
pub mod mailroom;
pub mod new_file;
mod port;
pub mod postmaster;
pub mod queue;
pub mod relay;
pub mod run;
pub mod setting;
pub mod state;
mod station;
