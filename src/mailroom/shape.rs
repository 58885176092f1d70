//! The forms in which a message can be shown, and how much of it.

/// The most octets of a message's text that are shown; saving has no such limit.
pub const SHOWN_MOST: usize = 4 * 1024 * 1024;

/// The header fields that identify a message (to whom a redirected one was sent, author,
/// recipients, subject, date), in this order.
pub const USUAL_FIELDS: [&str; 7] =
    ["X-Original-To", "From", "To", "Cc", "Reply-To", "Subject", "Date"];

/// The form in which a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The decoded text, plain text where there is a choice.
    Text,
    /// The decoded text, HTML rendered as text where there is a choice.
    Html,
    /// The message as it is, not decoded.
    Raw,
}
