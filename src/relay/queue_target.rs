//! What of the queue is meant: an entry, or one of its recipients.

use std::convert::Infallible;
use std::str::FromStr;

/// With what it is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// The id of the entry.
    pub id: String,
    /// The address of one of its recipients, or all of them.
    pub recipient: Option<String>,
}

/// `ID`, or `ID/ADDRESS`.
impl FromStr for Pick {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(match word.split_once('/') {
            Some((id, recipient)) => Self::one(id, recipient),
            None => Self { id: word.to_owned(), recipient: None },
        })
    }
}

impl Pick {
    /// One recipient of an entry.
    #[must_use]
    pub fn one(id: &str, recipient: &str) -> Self {
        Self { id: id.to_owned(), recipient: Some(recipient.to_owned()) }
    }
}
