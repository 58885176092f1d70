//! The model of the console, without I/O of its own: the state of the screen, the actions that
//! change it, the table of keys, the settings as text, the feed of transcript events, and the
//! handle to the running program. Independent of the terminal.

pub mod action;
pub mod cycle;
pub mod feed;
pub mod keys;
pub mod program;
pub mod setting;
pub mod state;
