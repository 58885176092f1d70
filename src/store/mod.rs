//! What is on disk: mailboxes and the relay queue, as mbox files in one directory. Independent of
//! the protocols and of the screen.

pub mod anchor;
pub mod append;
pub mod browse;
pub mod budget;
pub mod checksum;
pub mod committer;
pub mod delivery;
pub mod directory;
pub mod envelope;
pub mod files;
pub mod from_date;
pub mod from_line;
pub mod ground;
pub mod holder;
pub mod index;
pub mod journal;
pub mod lock;
pub mod maildrop;
pub mod marks;
pub mod mbox;
pub mod overview;
pub mod pages;
pub mod queue;
pub mod reader;
pub mod receipt;
pub mod retention;
pub mod rewrite;
pub mod sessions;
pub mod sighting;
pub mod survey;
pub mod text;
pub mod turns;
pub mod user;
pub mod whereabouts;
