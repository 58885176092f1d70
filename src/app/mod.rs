//! The composition root: what was asked for is decided, wired, run and ended here.

pub mod announcement;
pub mod cli;
pub mod commands;
pub mod config;
pub mod config_error;
pub mod config_file;
pub mod error;
pub mod event_writer;
pub mod last_word;
pub mod mailboxes;
pub mod manual;
pub mod relay;
pub mod servers;
pub mod service_manager;
pub mod signals;
pub mod smtp_address;
pub mod submission;
pub mod task;
pub mod transcript;
