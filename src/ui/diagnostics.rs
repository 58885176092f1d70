//! Sends the program's own log messages to the Log pane. Used only with the console.
//!
//! The thread of tui-logger, which would wake a hundred times a second to move records into its
//! pane, is never started. Instead each record wakes the screen, which moves the records before it
//! draws.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use crate::console::feed::Feed;

/// Shows messages from INFO on, or as `RUST_LOG` says. If a subscriber is already installed, it
/// stays: its owner wants the messages elsewhere.
pub(super) fn start(feed: Arc<Feed>) {
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let _ = registry()
        .with(filter)
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
