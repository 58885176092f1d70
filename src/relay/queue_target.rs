//! Names a queue entry or one of its recipients.

use std::convert::Infallible;
use std::str::FromStr;

/// A queue entry, or one of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueTarget {
    /// The queue id of the entry.
    pub id: String,
    /// The address of one recipient; `None` means all recipients of the entry.
    pub recipient: Option<String>,
}

/// Reads `ID` or `ID/ADDRESS`. Text without a slash is an id, so this cannot fail.
impl FromStr for QueueTarget {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(match word.split_once('/') {
            Some((id, recipient)) => Self::one(id, recipient),
            None => Self { id: word.to_owned(), recipient: None },
        })
    }
}

impl QueueTarget {
    /// One recipient of an entry.
    #[must_use]
    pub fn one(id: &str, recipient: &str) -> Self {
        Self { id: id.to_owned(), recipient: Some(recipient.to_owned()) }
    }
}
