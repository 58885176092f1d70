//! The kinds of output that pass the gate.

/// The kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A reply.
    Reply,
    /// Complete lines that follow a reply.
    Lines,
    /// A piece of message text, which the transcript shows in its own form.
    Text,
}
