//! The sub-commands of the program, a file for each.

pub mod console;
pub mod headless;
pub mod init;
pub mod queue;
pub mod relay;
