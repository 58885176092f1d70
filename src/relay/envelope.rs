//! The envelope of one transaction with a mail host.

use std::fmt;
use std::ops::Deref;

use crate::mail::dsn::{MessageDsn, RecipientDsn};
use crate::mail::path::{Address, ReversePath};

/// The most recipients of one transaction. Every host must accept this many (RFC 5321 section
/// 4.5.3.1.8).
pub const MOST_RECIPIENTS: usize = 100;

/// Sender and recipients of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path, for MAIL FROM.
    pub reverse_path: ReversePath,
    /// Which notifications the sender asked for, for a host that offers DSN.
    pub dsn: MessageDsn,
    /// Whether the message was declared SMTPUTF8 and has a header in UTF-8.
    pub header_is_utf8: bool,
    /// The forward-paths, for RCPT TO; at most [`MOST_RECIPIENTS`] in one transaction.
    pub recipients: Vec<Recipient>,
}

/// A recipient of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its address.
    pub address: Address,
    /// Which notifications the sender asked for, for a host that offers DSN.
    pub dsn: RecipientDsn,
}

impl Envelope {
    /// An envelope of a sender that asked for nothing.
    #[must_use]
    pub fn plain(reverse_path: ReversePath, recipients: Vec<Address>) -> Self {
        Self {
            reverse_path,
            dsn: MessageDsn::default(),
            header_is_utf8: false,
            recipients: recipients.into_iter().map(Recipient::from).collect(),
        }
    }

    /// Whether MAIL must say SMTPUTF8 (RFC 6531 section 3.4).
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        self.is_utf8_for_all() || self.recipients.iter().any(|recipient| !recipient.is_ascii())
    }

    /// Whether no recipient can be served without SMTPUTF8: the header or the sender needs it.
    #[must_use]
    pub fn is_utf8_for_all(&self) -> bool {
        self.header_is_utf8 || !self.reverse_path.is_ascii()
    }
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Self { address, dsn: RecipientDsn::default() }
    }
}

impl Deref for Recipient {
    type Target = Address;

    fn deref(&self) -> &Address {
        &self.address
    }
}

/// The address.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
