//! Opens HTML pages in a browser. The pages are written to a private folder that is removed when
//! the mailroom closes.

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

/// The program that opens a page if `BROWSER` does not name one.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// The most attempts to find a folder name that is not in use.
const FOLDERS_TRIED: usize = 16;

/// Opens pages in a browser.
#[derive(Debug)]
pub struct Browser {
    opener: OsString,
    folder: Mutex<Option<Folder>>,
}

impl Default for Browser {
    /// The browser named by `BROWSER`, or the desktop's.
    fn default() -> Self {
        let named = env::var("BROWSER").unwrap_or_default();
        let named = named.split(':').next().unwrap_or_default();
        // A value with arguments or a `%s` needs a shell to take it apart, so it is ignored.
        let is_program = !named.is_empty() && !named.contains([' ', '%']);
        Self::opened_by(if is_program { named } else { OPENER })
    }
}

impl Browser {
    /// A browser started by this program, which gets the file name as its argument.
    #[must_use]
    pub fn opened_by(opener: impl Into<OsString>) -> Self {
        Self { opener: opener.into(), folder: Mutex::default() }
    }

    /// Writes a page to a new file; returns its path.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be created or written.
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

    /// Starts the program and returns at once. If the program fails later, `failed` is called with
    /// the reason.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn open(
        &self,
        page: &Path,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<()> {
        let mut command = Command::new(&self.opener);
        // In a process group of its own and without our terminal: a text browser that wants to draw
        // on it ends instead.
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        // A thread waits for the program, because it may run as long as the browser does.
        thread::Builder::new().name("browser".to_owned()).spawn(move || match child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => failed(status.to_string()),
            Err(error) => failed(error.to_string()),
        })?;
        Ok(())
    }

    /// The name of the program that opens pages.
    #[must_use]
    pub fn opener(&self) -> String {
        self.opener.to_string_lossy().into_owned()
    }
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates a new folder with mode 0700. In a directory that everyone can write to, an existing
    /// folder may be a trap.
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
