//! Which part of a list or a text is in view.

/// The position of a view, in rows; scroll bars are drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Rows above the view.
    pub above: usize,
    /// Rows in the view.
    pub page: usize,
    /// All rows.
    pub all: usize,
}
