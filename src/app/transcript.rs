//! The transcript on stderr and in a file: nothing is lost while it is read, however slowly, and a reader that has
//! stopped does not stop the servers. Knows neither servers nor sessions.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::level_filters::LevelFilter;

use crate::app::config::{Records, Verbosity};
use crate::app::error::StartError;
use crate::watch::event::{Event, Kind, Passwords, transcript_line};
use crate::watch::observers::{Observer, Observers};

/// Octets of lines that may wait to be written. Beyond it lines are dropped, and counted.
const WAITING_MOST: usize = 64 * 1_024 * 1_024;

/// How long the reader may pause at the end before the remaining lines are given up: the program must
/// be gone within a second.
pub(super) const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// The pause before another attempt, where the pipe is full and does not block.
const NOT_YET: Duration = Duration::from_millis(10);

/// Whether message text is written line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageText {
    /// `-v`: one line with its length.
    Summed,
    /// `-vv`.
    Shown,
}

/// Does `work` with its transcript and the program's own warnings on stderr and in files, and waits
/// until they are written.
pub fn with_transcript(
    verbosity: Verbosity,
    passwords: Passwords,
    records: &Records,
    work: impl FnOnce(Observers) -> Result<ExitCode, StartError>,
) -> Result<ExitCode, StartError> {
    let stderr = writer(verbosity, passwords, records, io::stderr())?;
    let file = in_file(verbosity, passwords, records)?;
    log_to(&stderr, records)?;
    let is_quiet = verbosity == Verbosity::Quiet;
    let transcripts = Some(&stderr).filter(|_| !is_quiet).into_iter().chain(&file);
    let code = work(transcripts.fold(Observers::none(), |all, one| all.and(Arc::clone(one) as _)));
    for transcript in file.iter().chain([&stderr]) {
        transcript.finish();
    }
    code
}

/// The transcript in a file, if there is to be one: what `-v` prints, even without `-v`.
pub fn in_file(
    verbosity: Verbosity,
    passwords: Passwords,
    records: &Records,
) -> Result<Option<Arc<TranscriptWriter>>, StartError> {
    let file = records.open_transcript()?;
    file.map(|file| writer(verbosity, passwords, records, file)).transpose()
}

/// Begins a transcript with as much text as `-v` asks for.
pub fn writer(
    verbosity: Verbosity,
    passwords: Passwords,
    records: &Records,
    out: impl Write + Send + 'static,
) -> Result<Arc<TranscriptWriter>, StartError> {
    let text = match verbosity {
        Verbosity::Text => MessageText::Shown,
        Verbosity::Lines | Verbosity::Quiet => MessageText::Summed,
    };
    let writer = TranscriptWriter::start(text, passwords, out)?;
    Ok(Arc::new(if records.is_stamped { writer.stamped() } else { writer }))
}

/// The program's own log, which is little, each record in one write. On stderr it goes through the
/// transcript's queue, so that no task waits for the reader.
fn log_to(stderr: &TranscriptWriter, records: &Records) -> Result<(), StartError> {
    // There is a log already where a test has set one.
    if let Some(file) = records.open_log()? {
        let log = tracing_subscriber::fmt().with_env_filter(records.filter(LevelFilter::INFO));
        let _ = log.with_writer(file).with_ansi(false).try_init();
        return Ok(());
    }
    let log = tracing_subscriber::fmt().with_env_filter(records.filter(LevelFilter::WARN));
    let writer = stderr.log();
    let _ = log.with_writer(move || writer.clone()).with_ansi(false).without_time().try_init();
    Ok(())
}

/// Takes the events of all connections, and has a line written for each.
#[derive(Debug)]
pub struct TranscriptWriter {
    text: MessageText,
    passwords: Passwords,
    is_stamped: bool,
    shared: Arc<Shared>,
}

/// What the servers' tasks and the writing thread share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// The writer waits here for a line.
    filled: Condvar,
    /// The end of the program waits here for the writer.
    drained: Condvar,
}

#[derive(Debug)]
struct Queue {
    entries: VecDeque<Entry>,
    octets: usize,
    octets_most: usize,
    writer: Writer,
    /// Entries written so far.
    written: u64,
    /// Whether the end of the program waits for the queue to be drained.
    ending: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Line(String),
    /// This many lines are missing here.
    Dropped(u64),
}

/// What the writing thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Parked,
    Writing,
    /// Nothing will ever be read again.
    Gone,
}

impl TranscriptWriter {
    /// Begins to write to `out`, in a thread of its own: one write for each line.
    pub fn start(
        text: MessageText,
        passwords: Passwords,
        out: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_bounded(WAITING_MOST, text, passwords, out)
    }

    fn start_bounded(
        octets_most: usize,
        text: MessageText,
        passwords: Passwords,
        out: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(octets_most)),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("transcript".into()).spawn(move || writer.write_to(out))?;
        Ok(Self { text, passwords, is_stamped: false, shared })
    }

    /// The same, each line with a stamp.
    #[must_use]
    pub fn stamped(self) -> Self {
        Self { is_stamped: true, ..self }
    }

    /// A writer for lines that are not events.
    #[must_use]
    pub fn log(&self) -> Log {
        Log(Arc::clone(&self.shared))
    }

    /// Waits until everything is written, as long as the reader takes anything at all.
    pub fn finish(&self) {
        let mut queue = self.shared.lock();
        queue.ending = true;
        while !queue.is_drained() {
            let before = queue.written;
            let waits = |queue: &mut Queue| queue.written == before && !queue.is_drained();
            let waited = self.shared.drained.wait_timeout_while(queue, LAST_PATIENCE, waits);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            if queue.written == before {
                return;
            }
        }
    }
}

impl Observer for TranscriptWriter {
    fn observe(&self, event: Event) {
        // The text itself is there.
        if self.wants_text() && matches!(event.kind, Kind::Text { .. }) {
            return;
        }
        let line = transcript_line(&event, self.passwords);
        let stamp = if self.is_stamped { stamp(&event) } else { String::new() };
        self.shared.push(format!("{stamp}{line}\n"));
    }

    fn wants_text(&self) -> bool {
        self.text == MessageText::Shown
    }
}

/// Time, service and session of an event: `2026-11-28T17:49:01.123456Z smtp #12 `.
fn stamp(event: &Event) -> String {
    let at = DateTime::<Utc>::from(event.at).to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{at} {} {} ", event.connection.service, event.connection.session())
}

/// Takes whole lines, one in each write; never waits for the reader.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        let mut queue = self.lock();
        queue.push(line);
        // Waking is a system call: not for a writer that is awake.
        if queue.writer == Writer::Parked {
            self.filled.notify_one();
        }
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            let entry = self.next_entry();
            if write_whole(&mut out, entry.to_string().as_bytes()).is_err() {
                return self.give_up();
            }
            self.note_written();
        }
    }

    fn next_entry(&self) -> Entry {
        let mut queue = self.lock();
        loop {
            if let Some(entry) = queue.pop() {
                queue.writer = Writer::Writing;
                return entry;
            }
            queue.writer = Writer::Parked;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note_written(&self) {
        let mut queue = self.lock();
        queue.written += 1;
        queue.writer = Writer::Parked;
        if queue.ending {
            self.drained.notify_all();
        }
    }

    fn give_up(&self) {
        let mut queue = self.lock();
        queue.writer = Writer::Gone;
        queue.entries = VecDeque::new();
        self.drained.notify_all();
    }
}

impl Queue {
    const fn new(octets_most: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            octets: 0,
            octets_most,
            writer: Writer::Parked,
            written: 0,
            ending: false,
        }
    }

    fn push(&mut self, line: String) {
        if self.writer == Writer::Gone {
            return;
        }
        let octets = self.octets + cost(&line);
        if octets <= self.octets_most {
            self.octets = octets;
            self.entries.push_back(Entry::Line(line));
        } else if let Some(Entry::Dropped(lines)) = self.entries.back_mut() {
            *lines += 1;
        } else {
            self.entries.push_back(Entry::Dropped(1));
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        if let Entry::Line(line) = &entry {
            self.octets -= cost(line);
        }
        Some(entry)
    }

    fn is_drained(&self) -> bool {
        self.entries.is_empty() && self.writer != Writer::Writing
    }
}

/// Octets that a waiting line takes.
const fn cost(line: &str) -> usize {
    line.len() + size_of::<Entry>()
}

impl fmt::Display for Entry {
    /// With its line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Dropped(lines) => {
                write!(f, ".. {lines} lines dropped")?;
                f.write_char('\n')
            }
        }
    }
}

/// Writes all of it, also to a pipe that does not block.
pub(super) fn write_whole(out: &mut impl Write, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(octets) => rest = rest.get(octets..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(NOT_YET),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::{ConnectionName, Service};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::SystemTime;

    /// A reader that takes one line at a time, when it is asked to.
    struct Pipe(SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(line).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Pipe, Receiver<String>) {
        let (writer, reader) = sync_channel(0);
        (Pipe(writer), reader)
    }

    fn note(text: &str) -> Event {
        Event {
            connection: ConnectionName { id: 1, number: 7, service: Service::Echo },
            at: SystemTime::UNIX_EPOCH,
            kind: Kind::Note(text.into()),
        }
    }

    #[test]
    fn one_line_is_one_write_and_nothing_is_lost() {
        let (writer, reader) = pipe();
        let headless =
            TranscriptWriter::start(MessageText::Summed, Passwords::OfPass, writer).unwrap();
        for number in 0..1_000 {
            headless.observe(note(&number.to_string()));
        }
        for number in 0..1_000 {
            assert_eq!(reader.recv().unwrap(), format!("[7] .. {number}\n"));
        }
        headless.finish();
    }

    #[test]
    fn past_the_bound_lines_are_dropped_and_the_count_stands_in_their_place() {
        let line = "[7] .. x\n".to_owned();
        let mut queue = Queue::new(3 * cost(&line));
        for _ in 0..5 {
            queue.push(line.clone());
        }
        for _ in 0..3 {
            assert_eq!(queue.pop(), Some(Entry::Line(line.clone())));
        }
        queue.push(line.clone());
        assert_eq!(queue.pop().unwrap().to_string(), ".. 2 lines dropped\n");
        assert_eq!(queue.pop(), Some(Entry::Line(line)));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.octets, 0);
    }

    #[test]
    fn a_stamp_is_time_service_and_session() {
        let (writer, reader) = pipe();
        let transcript = TranscriptWriter::start(MessageText::Summed, Passwords::OfPass, writer);
        let transcript = transcript.unwrap().stamped();
        transcript.observe(note("x"));
        assert_eq!(reader.recv().unwrap(), "1970-01-01T00:00:00.000000Z echo #1 [7] .. x\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_not_waited_for() {
        let (writer, reader) = pipe();
        let headless =
            TranscriptWriter::start(MessageText::Summed, Passwords::OfPass, writer).unwrap();
        drop(reader);
        for _ in 0..100 {
            headless.observe(note("x"));
        }
        headless.finish();
        assert!(headless.shared.lock().entries.is_empty());
    }

    #[test]
    fn the_end_waits_for_a_slow_reader() {
        let (writer, reader) = pipe();
        let headless =
            TranscriptWriter::start(MessageText::Summed, Passwords::OfPass, writer).unwrap();
        for _ in 0..100 {
            headless.observe(note("x"));
        }
        let slow = thread::spawn(move || reader.iter().take(100).count());
        headless.finish();
        assert_eq!(slow.join().unwrap(), 100);
    }
}
