//! Which part of a list or a text is in view.

/// How far down a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Rows above the view.
    pub above: usize,
    /// Rows in the view.
    pub page: usize,
    /// Rows in all.
    pub all: usize,
}
