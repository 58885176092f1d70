//! What the screen shows and what its user may do, pure: the state, the actions, the table of keys,
//! the settings in words, and the feed that brings the transcript. Knows no terminal.

pub mod action;
pub mod feed;
pub mod keys;
pub mod palette;
pub mod setting;
pub mod state;
