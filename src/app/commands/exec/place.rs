//! The directory of the servers of a command: a temporary one, or one that was named.

use std::fs;
use std::path::{self, Path, PathBuf};

use tempfile::TempDir;

use crate::app::error::StartError;
use crate::app::mailboxes::make_directory;

/// The directory. Dropping it removes a temporary one.
#[derive(Debug)]
pub enum Place {
    /// It was named, and stays.
    Named(PathBuf),
    /// It goes at the end.
    Temporary(TempDir, PathBuf),
}

impl Place {
    /// Makes it, under an absolute path: the command may go elsewhere.
    pub fn make(named: Option<PathBuf>) -> Result<Self, StartError> {
        if let Some(named) = named {
            make_directory(&named)?;
            return Ok(Self::Named(path::absolute(named)?));
        }
        let made = tempfile::Builder::new().prefix("mailconsole-").tempdir();
        let made =
            made.map_err(|error| StartError::DirectoryNotMade(std::env::temp_dir(), error))?;
        let path = path::absolute(made.path())?;
        Ok(Self::Temporary(made, path))
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Temporary(_, path) => path,
        }
    }

    /// Has it stay, and says where it is.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        match self {
            Self::Named(path) => path,
            Self::Temporary(made, path) => {
                let _ = made.keep();
                path
            }
        }
    }

    /// Removes it if it is temporary, else the file of ours in it; says what cannot be removed.
    #[must_use]
    pub fn leave(self, ours: Option<&str>) -> Option<String> {
        let path = self.path().to_owned();
        let removed = match self {
            Self::Named(path) => ours.map_or(Ok(()), |name| fs::remove_file(path.join(name))),
            Self::Temporary(made, _) => made.close(),
        };
        removed.err().map(|error| format!("cannot remove {}: {error}", path.display()))
    }
}
