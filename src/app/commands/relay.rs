//! `mailconsole relay`: one run, or one after the other, until a signal ends it.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::app::config::{
    AFTER, Records, RelaySettings, Setup, Verbosity, records, relay_settings, verbosity,
};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::mailboxes::{Mailboxes, open};
use crate::app::relay::{Watchers, relay};
use crate::app::servers::raise_descriptor_limit;
use crate::app::signals::{INTERRUPTED, Signals};
use crate::app::transcript::with_transcript;
use crate::console::setting::value::Value;
use crate::relay::progress::{Progress, Tally};
use crate::relay::resolver::Dns;
use crate::relay::run::{Choice, Relay, RunError, Summary};
use crate::relay::selection::Names;
use crate::watch::event::Passwords;
use crate::wire::display::DisplayText;

/// Exit status if something is left in the queue: `EX_TEMPFAIL` of sysexits.h.
const SOMETHING_LEFT: u8 = 75;

/// The shortest time between two changes of the progress line.
const PROGRESS_STEP: Duration = Duration::from_millis(100);

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RelayArguments {
    /// Keep running and retry due mail every SECONDS
    #[arg(long, value_name = "SECONDS", value_parser = Duration::read)]
    pub every: Option<Duration>,
    /// Send only mail to a domain, an entry by its ID, or mail of a sender; may be repeated
    #[arg(long, value_name = "DOMAIN|ID|SENDER", value_delimiter = ',')]
    pub only: Vec<String>,
    /// The directory of the mailboxes
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
The exit status is 0 if nothing is left in the queue and 75 if anything is.

Examples:
  mailconsole relay mailtest                              one run
  mailconsole relay --every 300 -v mailtest               until Ctrl+C, transcript on stderr
  mailconsole relay --smarthost mx.example:587 mailtest   everything by one host";

impl RelayArguments {
    /// What is to be sent, and how.
    pub fn relaying(self, setup: Setup) -> Result<Relaying, ConfigError> {
        let mailboxes = setup.mailboxes(self.directory, AFTER)?.for_queue();
        // --relay-every is for servers, not for a relay that was told to run.
        let settings = RelaySettings { every: self.every, ..relay_settings(&setup.options)? };
        Ok(Relaying {
            mailboxes,
            settings,
            records: records(&setup.options),
            domain: setup.options.domain.0,
            only: Names(self.only),
            verbosity: verbosity(setup.options.verbose),
        })
    }
}

/// A relay without servers.
#[derive(Debug)]
pub struct Relaying {
    /// Where the queue is, and the mailboxes of local senders.
    pub mailboxes: Mailboxes,
    /// Our domain.
    pub domain: Arc<str>,
    /// How mail is sent.
    pub settings: RelaySettings,
    /// What of the queue is sent, if not all.
    pub only: Names,
    /// What the transcript shows.
    pub verbosity: Verbosity,
    /// The files of the transcript and of the log.
    pub records: Records,
}

/// Sends what waits in the queue.
pub fn run(task: Relaying) -> Result<ExitCode, StartError> {
    // The relay tells its own secrets to no transcript.
    with_transcript(task.verbosity, Passwords::Masked, &task.records.clone(), |transcript| {
        let directory = open(&task.mailboxes)?;
        // For a hundred connections, and those to name servers.
        raise_descriptor_limit();
        let runtime = Runtime::new()?;
        let watchers = Watchers {
            transcript,
            registry: None,
            ids: Arc::default(),
            stop: CancellationToken::new(),
        };
        let Relaying { settings, domain, only, verbosity, .. } = task;
        let choice = if only.0.is_empty() { Choice::All } else { Choice::Named(only) };
        let code = runtime.block_on(async {
            let relay = relay(&settings, &domain, directory, Vec::new(), watchers);
            run_until_signal(&relay, choice, settings.every, verbosity).await
        });
        // After a second signal, tasks that were cut short are not waited for.
        runtime.shutdown_background();
        code
    })
}

/// How the relay's work has ended.
enum Ended {
    /// One run has.
    Run(Summary),
    /// It did not start: another run holds the queue.
    UnderWay,
    /// A signal stopped it, with this many recipients in the queue.
    Stopped(usize),
}

async fn run_until_signal(
    relay: &Arc<Relay<Dns>>,
    choice: Choice,
    every: Option<Duration>,
    verbosity: Verbosity,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::new()?;
    let progress = show_progress(&relay.progress, verbosity);
    let mut work = std::pin::pin!(watched(work(relay, choice, every), progress));
    let ended = tokio::select! {
        ended = &mut work => ended,
        () = signals.next() => {
            relay.client.stop.cancel();
            tokio::select! {
                ended = &mut work => ended,
                () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
            }
        }
    };
    relay.directory.close().await;
    Ok(ended?.tell())
}

/// Does `work`, and drops the watcher when it is done.
async fn watched<T>(work: impl Future<Output = T>, watcher: impl Future<Output = Infallible>) -> T {
    tokio::select! {
        done = work => done,
        never = watcher => match never {},
    }
}

async fn work(
    relay: &Arc<Relay<Dns>>,
    choice: Choice,
    every: Option<Duration>,
) -> Result<Ended, StartError> {
    if let Some(pause) = every {
        relay.run_every(pause, choice).await;
        let entries = relay.directory.queue().entries().await?;
        let left = entries.iter().map(|entry| entry.block.recipients.len()).sum();
        return Ok(Ended::Stopped(left));
    }
    match relay.run(&choice).await {
        Ok(summary) => {
            if let (Choice::Named(names), 0) = (&choice, summary.tally.recipients) {
                let names = DisplayText::from(names.0.join(", ").as_str());
                eprintln!(
                    "mailconsole: nothing pending matches --only {names}: name a domain, an ID or a \
                     sender that mailconsole queue lists as pending"
                );
            }
            Ok(Ended::Run(summary))
        }
        Err(RunError::UnderWay) => Ok(Ended::UnderWay),
        Err(RunError::Queue(error)) => Err(error.into()),
        Err(error @ RunError::Lock(_)) => Err(StartError::Relay(error)),
    }
}

impl Ended {
    /// Reports it, on stdout if the run took place. A closed stdout is no failure.
    fn tell(self) -> ExitCode {
        let left = match self {
            Self::Stopped(left) => left,
            Self::Run(Summary { tally, left }) => {
                let mut stdout = io::stdout().lock();
                let _ = writeln!(stdout, "{tally}; {left} left in the queue")
                    .and_then(|()| stdout.flush());
                left
            }
            Self::UnderWay => {
                eprintln!("mailconsole: {}", RunError::UnderWay);
                return ExitCode::from(SOMETHING_LEFT);
            }
        };
        if left == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOMETHING_LEFT) }
    }
}

/// Shows the progress of the run on a terminal, in a line that is overwritten.
async fn show_progress(progress: &Progress, verbosity: Verbosity) -> Infallible {
    let mut changes = progress.changes();
    let mut line = ProgressLine::default();
    let is_wanted = verbosity == Verbosity::Quiet && io::stderr().is_terminal();
    while is_wanted && changes.changed().await.is_ok() {
        line.show(progress.tally());
        tokio::time::sleep(PROGRESS_STEP).await;
    }
    std::future::pending().await
}

/// A line on the terminal that is erased at the end.
#[derive(Debug, Default)]
struct ProgressLine {
    is_shown: bool,
}

impl ProgressLine {
    fn show(&mut self, tally: Option<Tally>) {
        let Some(tally) = tally else { return self.erase() };
        let tried = tally.delivered + tally.deferred + tally.failed;
        self.is_shown = true;
        Self::write(&format!("relay: {tried} of {} tried, {tally}", tally.recipients));
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            Self::write("");
        }
    }

    fn write(words: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{words}").and_then(|()| stderr.flush());
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.erase();
    }
}
