//! Pages that the operator has opened in a browser: written to a folder that nobody else can read,
//! and removed when the mailroom closes.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use parking_lot::Mutex;

use crate::mailroom::new_file::NewFile;

/// What opens a page where nothing else is said.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Folders that are tried for one that is not there yet.
const FOLDERS_TRIED: usize = 16;

/// Opens pages.
#[derive(Debug)]
pub struct Browser {
    opener: OsString,
    folder: Mutex<Option<Folder>>,
}

impl Default for Browser {
    /// The browser that the environment names, or that of the desktop.
    fn default() -> Self {
        let named = env::var("BROWSER").unwrap_or_default();
        let named = named.split(':').next().unwrap_or_default();
        // One with arguments is for programs that know what to make of them.
        let is_program = !named.is_empty() && !named.contains([' ', '%']);
        Self::opened_by(if is_program { named } else { OPENER })
    }
}

impl Browser {
    /// One that this program opens, which gets the name of a file.
    #[must_use]
    pub fn opened_by(opener: impl Into<OsString>) -> Self {
        Self { opener: opener.into(), folder: Mutex::default() }
    }

    /// Writes a page to a file of its own; says where it is.
    pub fn write(&self, name: &str, page: &str) -> io::Result<PathBuf> {
        let mut folder = self.folder.lock();
        let folder = match &mut *folder {
            Some(folder) => folder,
            none => none.insert(Folder::create()?),
        };
        let mut file = NewFile::create(&folder.path, name)?;
        file.write_all(page.as_bytes())?;
        Ok(file.keep())
    }

    /// Has a page opened, and waits for nothing: `failed` hears, some time later, how the opener has
    /// ended if it could not do it.
    pub fn open(
        &self,
        page: &Path,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<()> {
        let mut command = Command::new(&self.opener);
        // Away from our terminal: a browser that would like to draw there ends.
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        thread::Builder::new().name("browser".to_owned()).spawn(move || match child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => failed(status.to_string()),
            Err(error) => failed(error.to_string()),
        })?;
        Ok(())
    }

    /// The program that opens pages.
    #[must_use]
    pub fn opener(&self) -> String {
        self.opener.to_string_lossy().into_owned()
    }
}

/// A folder that goes with its owner.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one that is new: in a directory where anybody may write, what is there may be a trap.
    fn create() -> io::Result<Self> {
        for _ in 0..FOLDERS_TRIED {
            let path = env::temp_dir().join(format!("mailconsole-{:016x}", fastrand::u64(..)));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self { path }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {}: {error}; remove it by hand", self.path.display());
        }
    }
}
