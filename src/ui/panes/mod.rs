//! The panes, one per file. Each draws its part of the state into its area.

mod begun;
mod buttons;
pub mod chart;
pub mod compose;
pub mod connections;
pub mod faults;
pub mod first_steps;
pub mod held;
pub mod help;
pub mod hint_bar;
pub mod log;
pub mod mailboxes;
pub mod message;
pub mod messages;
pub mod offers;
mod painter;
pub mod question;
pub mod queue;
pub mod queue_entry;
pub mod reader;
pub mod servers;
mod stamps;
pub mod tiles;
pub mod too_small;
pub mod top_line;
pub mod transcript;
