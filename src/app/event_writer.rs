//! Events for other programs: the log that keeps them, and what `--events` has written to a file or
//! to stdout. The writer has a thread of its own, so that nobody waits for its reader.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Builder;

use crate::app::config::Config;
use crate::app::error::StartError;
use crate::app::transcript::{LAST_PATIENCE, write_whole};
use crate::control::event_json;
use crate::control::event_log::{EventLog, Reader, Since};
use crate::control::socket::ControlSocket;
use crate::watch::observers::Observers;

/// Whether this names stdout.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// What other programs are told while servers run.
#[derive(Debug)]
pub struct Reporting {
    log: Arc<EventLog>,
    /// Whether anybody could ever read the log.
    is_read: bool,
    takes_stdout: bool,
    writer: Option<EventWriter>,
}

impl Reporting {
    /// Begins to write events, if that is asked for.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let log = Arc::new(EventLog::default());
        let path = config.events.as_deref();
        Ok(Self {
            is_read: path.is_some() || config.mailboxes.is_some() || config.asked_in.is_some(),
            takes_stdout: path.is_some_and(is_stdout),
            writer: path.map(|path| EventWriter::start(path, &log)).transpose()?,
            log,
        })
    }

    /// These observers and the log. An echo server whose events nobody asks for needs none.
    #[must_use]
    pub fn observers(&self, others: Observers) -> Observers {
        if self.is_read { others.and(Arc::clone(&self.log) as _) } else { others }
    }

    /// The last events.
    #[must_use]
    pub const fn log(&self) -> &Arc<EventLog> {
        &self.log
    }

    /// Whether stdout is for events alone.
    #[must_use]
    pub const fn takes_stdout(&self) -> bool {
        self.takes_stdout
    }

    /// Ends the log when the servers have ended, and then the socket. All readers get what is left, as
    /// long as they take anything at all.
    pub async fn close(&self, socket: Option<ControlSocket>) {
        self.log.close();
        let writer = self.writer.clone();
        let written = tokio::task::spawn_blocking(move || writer.map(|writer| writer.finish()));
        if let Some(socket) = socket {
            socket.end().await;
        }
        let _ = written.await;
    }
}

/// Writes events in a thread of its own, each in one write.
#[derive(Debug, Clone)]
struct EventWriter(Arc<Progress>);

/// How far the writer has come.
#[derive(Debug, Default)]
struct Progress {
    written: Mutex<Written>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    lines: u64,
    is_all: bool,
}

impl EventWriter {
    fn start(path: &Path, log: &Arc<EventLog>) -> Result<Self, StartError> {
        let out = open(path).map_err(|error| StartError::NoEventsFile(path.to_owned(), error))?;
        let progress = Arc::new(Progress::default());
        let (ours, reader) = (Arc::clone(&progress), log.reader(Since::Start));
        let runtime = Builder::new_current_thread().build()?;
        thread::Builder::new().name("events".into()).spawn(move || {
            // A reader that has gone, or a full disk, ends it: nothing else depends on it.
            match runtime.block_on(write_all(reader, out, &ours)) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    tracing::warn!("events are no longer written: {error}");
                }
                _ => {}
            }
            ours.note(|written| written.is_all = true);
        })?;
        Ok(Self(progress))
    }

    fn finish(&self) {
        let Progress { written, moved } = &*self.0;
        let mut written = written.lock();
        while !written.is_all {
            let before = written.lines;
            let in_time = moved.wait_for(&mut written, LAST_PATIENCE);
            if in_time.timed_out() && written.lines == before {
                return;
            }
        }
    }
}

impl Progress {
    fn note(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock());
        self.moved.notify_all();
    }
}

async fn write_all(
    mut reader: Reader,
    mut out: Box<dyn Write + Send>,
    progress: &Progress,
) -> io::Result<()> {
    while let Some(entry) = reader.next().await {
        if let Some(line) = event_json::line(entry) {
            write_whole(&mut out, line.as_bytes())?;
            progress.note(|written| written.lines += 1);
        }
    }
    Ok(())
}

/// Opens the file for appending. A FIFO is opened for reading too: else we would wait here until
/// somebody reads it, and the events would end when that reader goes and another comes.
fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if is_stdout(path) {
        // Not through the buffer of `io::stdout`, which nobody would flush at the end.
        return Ok(Box::new(fs::File::from(rustix::io::dup(rustix::stdio::stdout())?)));
    }
    let is_fifo = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    Ok(Box::new(OpenOptions::new().append(true).create(true).read(is_fifo).open(path)?))
}
