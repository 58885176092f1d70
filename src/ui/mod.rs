//! The console: a full screen that shows what the servers do and takes an operator's keys.
//!
//! It runs on a thread of its own with its own event loop, so that busy servers do not slow it
//! down, and a slow terminal does not slow down the servers. It wakes only for events, for keys,
//! and when an age on the screen changes.

pub mod ascii;
pub mod buttons;
pub mod canvas;
pub mod clipboard;
pub mod depth;
mod diagnostics;
pub mod frame;
pub mod hits;
pub mod keymap;
pub mod layout;
mod output;
pub mod panes;
pub mod save;
mod screen;
pub mod table;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chrono::{Local, Offset};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::console::action::{Action, Pane};
use crate::console::program::Program;
use crate::console::state::overlay::Overlay;
use crate::console::state::{Clock, State};
use crate::ui::ascii::Symbols;
use crate::ui::depth::Depth;
use crate::ui::hits::HitMap;
use crate::ui::layout::Layout;
use crate::ui::panes::log::LogView;
use crate::ui::panes::{
    chart, compose, connections, faults, first_steps, held, help, hint_bar, log, mailboxes, offers,
    question, queue, queue_entry, reader, servers, tiles, too_small, top_line, transcript,
};
use crate::ui::theme::Theme;

/// How long a screen that was told to end may take to do so.
const ENDING: Duration = Duration::from_millis(700);

/// What the console starts with.
#[derive(Debug)]
pub struct Console {
    /// The handle to the program that it shows and controls.
    pub program: Program,
    /// The state before anything has happened, with the user's wishes for its appearance.
    pub state: State,
    /// The number of colours that the terminal has.
    pub depth: Depth,
    /// What the terminal shows besides ASCII.
    pub symbols: Symbols,
    /// The program's own log.
    pub log: Log,
}

/// What the program's own log has, and where it goes besides the Log pane.
#[derive(Debug)]
pub struct Log {
    /// Which records it has.
    pub filter: EnvFilter,
    /// A file that has them too.
    pub file: Option<Arc<File>>,
}

/// Why the console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user quit.
    Quit,
    /// The program told it to end.
    Shutdown,
    /// The terminal is gone.
    TerminalGone,
}

/// The current time, as a frame of the screen needs it.
#[must_use]
pub fn clock() -> Clock {
    Clock { instant: Instant::now(), wall: SystemTime::now(), offset: Local::now().offset().fix() }
}

/// Runs the console until its user quits or `shutdown` is cancelled. The terminal is given back
/// before this returns.
///
/// # Errors
///
/// Standard output is not a terminal (check with [`terminal::require`] first), or the terminal
/// cannot be taken; or the screen's thread has panicked, which its panic message has reported.
pub async fn run(console: Console, shutdown: CancellationToken) -> io::Result<Ending> {
    terminal::require().map_err(io::Error::other)?;
    let stop = shutdown.child_token();
    // If this future is dropped, the screen's thread must end too.
    let _stop_when_dropped = stop.clone().drop_guard();
    let (tell, told) = oneshot::channel();
    thread::Builder::new().name("screen".to_owned()).spawn(move || {
        let _ = tell.send(screen::run(console, &stop));
    })?;
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(ENDING).await;
    };
    tokio::select! {
        ending = told => ending.unwrap_or_else(|_| Err(io::Error::other("the screen has failed"))),
        () = overdue => {
            terminal::restore();
            Ok(Ending::Shutdown)
        }
    }
}

/// Fits selections and scroll positions to the areas of the panes. This is the only step between
/// the state and its picture that changes the state.
pub fn fit(state: &mut State, area: Rect) {
    let most = match &state.overlay {
        Overlay::Help { of, .. } => help::most_scrolled(state, *of, area),
        Overlay::QueueEntry { .. } => queue_entry::most_scrolled(state, area),
        Overlay::FirstSteps { .. } => first_steps::most_scrolled(state, area),
        _ => 0,
    };
    state.fit_overlay(most);
    let Some(layout) = Layout::of(state, area) else {
        return;
    };
    for (pane, area) in layout.panes {
        let area = if pane == Pane::Transcript { held::split(state, area).1 } else { area };
        match pane {
            Pane::Connections => connections::fit(state, area),
            Pane::Transcript if state.tiled => tiles::fit(state, area),
            Pane::Transcript => transcript::fit(state, area),
            Pane::Mailboxes => mailboxes::fit(state, area),
            Pane::Queue => queue::fit(state, area),
            Pane::Log => {}
        }
    }
    if let Some(area) = layout.reader {
        reader::fit(state, area);
    }
    if state.overlay == Overlay::Compose {
        compose::fit(state, area);
    }
}

/// Draws the whole screen; returns what clicks and the wheel do on it.
pub fn draw(state: &State, log: &LogView, buffer: &mut Buffer) -> HitMap {
    let mut hits = HitMap::default();
    let area = buffer.area;
    buffer.set_style(area, Theme::of(state.palette).base);
    let Some(layout) = Layout::of(state, area) else {
        too_small::draw(state, area, buffer);
        return hits;
    };
    top_line::draw(state, layout.top, buffer, &mut hits);
    if let Some(notices) = layout.notices {
        top_line::draw_notices(state, notices, buffer);
    }
    for &(pane, area) in &layout.panes {
        hits.click(area, Action::Click(pane, None));
        hits.wheel(area, |direction| Action::Wheel(pane, direction));
        draw_pane(state, log, pane, area, buffer, &mut hits);
    }
    if let Some(area) = layout.reader {
        hits.click(area, Action::ClickReader(None));
        hits.wheel(area, Action::WheelReader);
        reader::draw(state, area, buffer, &mut hits);
    }
    if let Some(area) = layout.chart {
        chart::draw(state, area, buffer);
    }
    if let Some(area) = layout.entry {
        queue_entry::draw(state, area, buffer, &mut hits);
    }
    match state.overlay {
        Overlay::None => {}
        // A click beside the popup closes it.
        Overlay::Servers { .. } | Overlay::Faults { .. } => hits.click(area, Action::Escape),
        _ => hits.cover(area),
    }
    hint_bar::draw(state, layout.hints, buffer, &mut hits);
    draw_overlay(state, &state.overlay, area, buffer, &mut hits);
    offers::draw(state, offers::above(area, layout.hints), buffer, &mut hits);
    hits
}

fn draw_pane(
    state: &State,
    log: &LogView,
    pane: Pane,
    area: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    match pane {
        Pane::Connections => connections::draw(state, area, buffer, hits),
        Pane::Transcript => {
            let (strip, area) = held::split(state, area);
            held::draw(state, strip, buffer, hits);
            if state.tiled {
                tiles::draw(state, area, buffer, hits);
                return;
            }
            transcript::draw(state, area, buffer, hits);
            first_steps::draw_strip(state, area, buffer);
        }
        Pane::Mailboxes => mailboxes::draw(state, area, buffer, hits),
        Pane::Queue => queue::draw(state, area, buffer, hits),
        Pane::Log => log::draw(state, log, area, buffer),
    }
}

fn draw_overlay(
    state: &State,
    overlay: &Overlay,
    area: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    match overlay {
        Overlay::None => {}
        Overlay::Compose => compose::draw(state, area, buffer, hits),
        Overlay::Servers { .. } => servers::draw(state, area, buffer, hits),
        Overlay::Faults { .. } => faults::draw(state, area, buffer, hits),
        Overlay::FirstSteps { top } => first_steps::draw_over(state, *top, area, buffer),
        Overlay::Help { top, of } => help::draw(state, *of, *top, area, buffer),
        Overlay::Ask { question, marked, beneath } => {
            // While a question is open, only its answers can be clicked.
            draw_overlay(state, beneath, area, buffer, &mut HitMap::default());
            question::draw(state, question, *marked, area, buffer, hits);
        }
        Overlay::QueueEntry { top } => queue_entry::draw_over(state, *top, area, buffer, hits),
    }
}
