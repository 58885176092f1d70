//! As what a message can be shown, and how much of it.

/// Octets of a message's text that are shown at most; it is saved whole.
pub const SHOWN_MOST: usize = 4 * 1024 * 1024;

/// The header fields that say whom a message is from and what it is about, in this order.
pub const USUAL_FIELDS: [&str; 6] = ["From", "To", "Cc", "Reply-To", "Subject", "Date"];

/// As what the text of a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Its text, decoded: plain text where there is a choice.
    Text,
    /// Its text, decoded: HTML where there is a choice, as text.
    Html,
    /// The message as it is.
    Raw,
}
