//! What lies on disk: mailboxes and the relay queue, as mbox files in one directory.
//! Knows no protocol and no screen.

pub mod overview;
