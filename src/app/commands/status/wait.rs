//! Waits for a control socket in a directory that may not be there yet. The kernel tells.

use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::app::error::StartError;
use crate::control::place::is_socket_name;

/// Tells when a control socket may have come.
pub(super) struct Arrivals {
    watcher: RecommendedWatcher,
    directory: PathBuf,
    /// What is watched: the directory, or the nearest of those above it that is there.
    watched: Option<PathBuf>,
    told: Arc<Notify>,
}

impl Arrivals {
    pub(super) fn of(directory: &Path) -> Result<Self, StartError> {
        let directory = path::absolute(directory)?;
        let told = Arc::new(Notify::new());
        let (ours, tell) = (directory.clone(), Arc::clone(&told));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&ours, &event)) {
                tell.notify_one();
            }
        });
        let watcher = watcher.map_err(|error| StartError::System(io::Error::other(error)))?;
        Ok(Self { watcher, directory, watched: None, told })
    }

    /// Watches the nearest place that is there.
    pub(super) fn listen(&mut self) {
        if let Some(watched) = self.watched.take() {
            // It may be gone.
            let _ = self.watcher.unwatch(&watched);
        }
        // What comes or goes meanwhile makes the attempt fail, and one further up is watched.
        let nearest = self
            .directory
            .ancestors()
            .find(|place| self.watcher.watch(place, RecursiveMode::NonRecursive).is_ok());
        self.watched = nearest.map(Path::to_owned);
        if self.watched.as_ref().is_some_and(|watched| self.has_come_nearer(watched)) {
            self.told.notify_one();
        }
    }

    /// Whether a directory below the watched one, on the way, has come before we listened.
    fn has_come_nearer(&self, watched: &Path) -> bool {
        let mut nearer = self.directory.ancestors().take_while(|place| *place != watched);
        nearer.any(Path::is_dir)
    }

    pub(super) async fn next(&self) {
        self.told.notified().await;
    }
}

/// Whether an event may mean that the socket, or a directory on the way to it, has come or gone.
fn concerns(directory: &Path, event: &Event) -> bool {
    let is_meant = |path: &PathBuf| {
        directory.starts_with(path)
            || path.file_name().and_then(|name| name.to_str()).is_some_and(is_socket_name)
    };
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_meant))
}
