//! Sends the program's own diagnostics to the Log pane. Started with the screen only.
//!
//! tui-logger's own thread, which would wake a hundred times a second to move records into its
//! pane, is never started: the screen moves them before it draws, and a new record wakes it.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use crate::console::feed::Feed;

/// Shows diagnostics from INFO on, or what `RUST_LOG` says. A subscriber that is there already
/// stays: its owner wants them elsewhere.
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

/// Moves what has come into the pane.
pub(super) fn collect() {
    tui_logger::move_events();
}

/// Asks for a frame at each record.
struct Wake(Arc<Feed>);

impl<S: Subscriber> Layer<S> for Wake {
    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
        self.0.wake();
    }
}
