//! The scenarios in words and as JSON.

/// The scenarios, for stdout.
pub(super) fn text(_json: bool) -> String {
    String::new()
}
