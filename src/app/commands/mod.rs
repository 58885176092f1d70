//! The sub-commands, a file for each: its arguments and examples, what they mean, and how it runs.
//! `headless` and `console` are the ways to run servers.

pub mod assert;
pub mod ca;
pub mod check;
pub mod clear;
pub mod completions;
pub mod config;
pub mod console;
pub mod demo;
pub mod echo;
pub mod events;
pub mod exec;
pub mod fault;
pub mod headless;
pub mod held;
pub mod init;
pub mod man;
pub mod mark;
pub mod messages;
pub mod output;
pub mod pop3;
pub mod queue;
pub mod relay;
pub mod send;
pub mod sendmail;
pub mod show;
pub mod smtp;
pub mod status;
pub mod stop;
pub mod wait;
