//! The envelope of a transaction with a mail host.

use crate::mail::path::{Address, ReversePath};

/// Recipients of one transaction (RFC 5321 section 4.5.3.1.8: every host takes as many).
pub const MOST_RECIPIENTS: usize = 100;

/// The envelope of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent the message.
    pub reverse_path: ReversePath,
    /// Who is to get it; a transaction names at most [`MOST_RECIPIENTS`].
    pub recipients: Vec<Address>,
}
