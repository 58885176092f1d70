//! The form for a test message.

use tui_input::InputRequest;

use crate::app::action::{Direction, Step};

/// What has been filled in, and where the cursor is.
#[derive(Debug, Clone, Default)]
pub struct Form {}

impl Form {
    /// Goes to another field.
    pub fn go(&mut self, _direction: Direction) {}

    /// Changes the field that the cursor is in.
    pub fn edit(&mut self, _request: InputRequest) {}

    /// Moves in the field.
    pub fn step(&mut self, _step: Step) {}

    /// Takes Enter: a new line in the text, the next field elsewhere; something only on the button
    /// that sends.
    pub fn enter(&mut self) -> Option<()> {
        None
    }
}
