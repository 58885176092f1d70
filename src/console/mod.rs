//! What the screen shows and what its user may do, pure: the state, the actions, the table of keys,
//! the settings in words, the feed that brings the transcript, and the handle to the program. Knows no
//! terminal.

pub mod action;
pub mod cycle;
pub mod feed;
pub mod keys;
pub mod program;
pub mod setting;
pub mod state;
