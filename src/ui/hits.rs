//! What the mouse does at each place. The code that draws something clickable registers it here
//! with the same rectangle, so that no position is worked out twice, and a click acts on what its
//! user saw.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::console::action::{Action, Direction};

/// The areas of one picture in which a click or a turn of the wheel has an effect. Areas registered
/// later lie above earlier ones, in the same way as what is drawn later.
#[derive(Debug, Clone, Default)]
pub struct HitMap {
    /// `None`: a click has no effect here, whatever lies beneath.
    clicks: Vec<(Rect, Option<Action>)>,
    wheels: Vec<(Rect, Wheel)>,
}

/// The effect of the wheel in an area.
#[derive(Debug, Clone, Copy)]
struct Wheel {
    up: Action,
    down: Action,
}

impl HitMap {
    /// Registers what a click in `area` does.
    pub fn click(&mut self, area: Rect, action: Action) {
        self.clicks.push((area, Some(action)));
    }

    /// Makes `area` opaque to clicks: what lies beneath can no longer be clicked.
    pub fn cover(&mut self, area: Rect) {
        self.clicks.push((area, None));
    }

    /// Registers what a turn of the wheel over `area` does; towards the user is
    /// [`Direction::Forward`]. Popups do not cover it: the state decides what the wheel moves while
    /// one is open.
    pub fn wheel(&mut self, area: Rect, turned: impl Fn(Direction) -> Action) {
        let wheel = Wheel { up: turned(Direction::Backward), down: turned(Direction::Forward) };
        self.wheels.push((area, wheel));
    }

    /// The action of a mouse event, if it has one.
    #[must_use]
    pub fn action(&self, event: MouseEvent) -> Option<Action> {
        let at = Position::new(event.column, event.row);
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => *topmost(&self.clicks, at)?,
            MouseEventKind::ScrollUp => topmost(&self.wheels, at).map(|wheel| wheel.up),
            MouseEventKind::ScrollDown => topmost(&self.wheels, at).map(|wheel| wheel.down),
            _ => None,
        }
    }
}

fn topmost<T>(areas: &[(Rect, T)], at: Position) -> Option<&T> {
    areas.iter().rev().find(|(area, _)| area.contains(at)).map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    fn event(kind: MouseEventKind, (column, row): (u16, u16)) -> MouseEvent {
        MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }
    }

    #[test]
    fn what_was_drawn_last_takes_the_click() {
        let mut hits = HitMap::default();
        hits.click(Rect::new(0, 0, 10, 10), Action::Help);
        hits.cover(Rect::new(2, 2, 4, 4));
        hits.click(Rect::new(3, 3, 1, 1), Action::Quit);
        let click = |at| hits.action(event(MouseEventKind::Down(MouseButton::Left), at));
        assert_eq!(click((0, 0)), Some(Action::Help));
        assert_eq!(click((2, 2)), None);
        assert_eq!(click((3, 3)), Some(Action::Quit));
        assert_eq!(click((10, 0)), None);
    }

    #[test]
    fn the_wheel_goes_through_what_covers_clicks() {
        let mut hits = HitMap::default();
        hits.wheel(Rect::new(0, 0, 10, 10), Action::WheelReader);
        hits.cover(Rect::new(0, 0, 10, 10));
        let turned = |kind| hits.action(event(kind, (1, 1)));
        let (up, down) = (MouseEventKind::ScrollUp, MouseEventKind::ScrollDown);
        assert_eq!(turned(up), Some(Action::WheelReader(Direction::Backward)));
        assert_eq!(turned(down), Some(Action::WheelReader(Direction::Forward)));
        assert_eq!(turned(MouseEventKind::Moved), None);
    }
}
