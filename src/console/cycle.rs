//! Enums whose values a key steps through, one after the other, in the order of declaration.

use strum::VariantArray;

/// An enum whose values form a cycle: after the last value comes the first.
pub trait Cycle: VariantArray + Copy + PartialEq {
    /// The value after this one.
    #[must_use]
    fn next(self) -> Self {
        self.after(1)
    }

    /// The value before this one.
    #[must_use]
    fn previous(self) -> Self {
        self.after(Self::VARIANTS.len() - 1)
    }

    /// The value `steps` after this one.
    #[must_use]
    fn after(self, steps: usize) -> Self {
        let at = Self::VARIANTS.iter().position(|one| *one == self).unwrap_or(0);
        Self::VARIANTS.get((at + steps) % Self::VARIANTS.len()).copied().unwrap_or(self)
    }
}

impl<T: VariantArray + Copy + PartialEq> Cycle for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::action::Pane;

    #[test]
    fn behind_the_last_comes_the_first() {
        assert_eq!(Pane::Connections.next(), Pane::Transcript);
        assert_eq!(Pane::Log.next(), Pane::Connections);
        assert_eq!(Pane::Connections.previous(), Pane::Log);
        assert_eq!(Pane::Queue.previous(), Pane::Mailboxes);
    }
}
