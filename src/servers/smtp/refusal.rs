//! Why a command line is refused before it is looked at in its place.

use crate::mail::address::Malformed;

/// Why a line is no command of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpRefusal {
    /// The verb is unknown.
    Unrecognized,
    /// The verb belongs to SMTP or ESMTP, but is not supported here.
    NotImplemented,
    /// The argument is missing, malformed or not allowed.
    Argument,
    /// The same, of a BDAT that says how many octets follow it: they are no commands.
    ChunkArgument(u64),
    /// There is a parameter after a path, which only extensions allow, and the server does not
    /// offer it.
    Parameter,
}

impl From<Malformed> for SmtpRefusal {
    fn from(_: Malformed) -> Self {
        Self::Argument
    }
}
