//! Sends the program's own log messages to the Log pane. Used only with the console.
//!
//! The thread of tui-logger, which would wake a hundred times a second to move records into its
//! pane, is never started. Instead each record wakes the screen, which moves the records before it
//! draws.

use std::sync::Arc;

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::console::feed::Feed;
use crate::ui::Log;

/// Shows messages, and writes them to the file of the log. If a subscriber is already installed, it
/// stays: its owner wants the messages elsewhere.
pub(super) fn start(feed: Arc<Feed>, log: Log) {
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let file = log.file.map(|file| fmt::layer().with_writer(file).with_ansi(false));
    let _ = registry()
        .with(log.filter)
        .with(file)
        .with(tui_logger::TuiTracingSubscriberLayer)
        .with(Wake(feed))
        .try_init();
}

/// Moves new records into the pane.
pub(super) fn collect() {
    tui_logger::move_events();
}

/// Requests a frame for each record.
struct Wake(Arc<Feed>);

impl<S: Subscriber> Layer<S> for Wake {
    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
        self.0.wake();
    }
}
