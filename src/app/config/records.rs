//! Where the transcript and the program's own log are written, besides stderr and the screen.

use std::env;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::app::error::StartError;
use crate::console::setting::table::Options;

/// The files of the transcript and of the log, and what they have.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// The file of the transcript.
    pub transcript: Option<PathBuf>,
    /// Whether each line of a transcript begins with time, service and session.
    pub is_stamped: bool,
    log_file: Option<PathBuf>,
    log_level: Option<Level>,
}

/// What was asked for.
#[must_use]
pub fn records(options: &Options) -> Records {
    Records {
        transcript: options.transcript.clone(),
        is_stamped: options.stamps,
        log_file: options.log_file.clone(),
        log_level: options.log_level,
    }
}

impl Records {
    /// Opens the file of the transcript, if there is to be one.
    pub fn open_transcript(&self) -> Result<Option<File>, StartError> {
        self.transcript.as_deref().map(|path| appended(path, "--transcript")).transpose()
    }

    /// Opens the file of the log, if there is to be one.
    pub fn open_log(&self) -> Result<Option<Arc<File>>, StartError> {
        let file = self.log_file.as_deref().map(|path| appended(path, "--log-file")).transpose();
        Ok(file?.map(Arc::new))
    }

    /// What the log has: as `--log-level` says, else as `RUST_LOG` says, else from `usual` on.
    /// Libraries that we use tell no more than warnings, unless `RUST_LOG` asks for more; notify warns
    /// of every directory that goes while it is watched, as that of `exec` does.
    #[must_use]
    pub fn filter(&self, usual: LevelFilter) -> EnvFilter {
        let is_set = env::var_os(EnvFilter::DEFAULT_ENV).is_some_and(|value| !value.is_empty());
        match self.log_level {
            Some(Level::ERROR) => EnvFilter::new("error"),
            Some(level) => EnvFilter::new(format!("warn,notify=error,mailconsole={level}")),
            None if is_set => {
                EnvFilter::builder().with_default_directive(usual.into()).from_env_lossy()
            }
            None => EnvFilter::new(format!("{usual},notify=error")),
        }
    }
}

fn appended(path: &Path, option: &'static str) -> Result<File, StartError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| StartError::FileNotMade { path: path.to_owned(), error, option })
}
