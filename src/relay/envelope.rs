//! The envelope of one transaction with a mail host.

use crate::mail::path::{Address, ReversePath};

/// The most recipients of one transaction. Every host must accept this many (RFC 5321 section
/// 4.5.3.1.8).
pub const MOST_RECIPIENTS: usize = 100;

/// Sender and recipients of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path, for MAIL FROM.
    pub reverse_path: ReversePath,
    /// The forward-paths, for RCPT TO; at most [`MOST_RECIPIENTS`] in one transaction.
    pub recipients: Vec<Address>,
}
