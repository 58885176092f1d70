//! The servers with a screen: the console observes their events, and its user stops them. A
//! sibling of [`headless`](crate::app::commands::headless), not a flag inside it.

use std::env;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::app::announcement::Announcement;
use crate::app::commands::headless::{listed, seed_line, warnings};
use crate::app::config::{Config, PUBLIC_PASSWORD, Records, Verbosity};
use crate::app::error::StartError;
use crate::app::event_writer::Reporting;
use crate::app::last_word;
use crate::app::mailboxes::{Made, Mailboxes, make_directory};
use crate::app::servers::{Listening, Servers, runtime};
use crate::app::signals::{INTERRUPTED, Signals};
use crate::app::transcript::{TranscriptWriter, in_file, writer};
use crate::console::feed::Feed;
use crate::console::program::{Parts, Program};
use crate::console::state::State;
use crate::relay::postmaster::RelayHandle;
use crate::store::directory::Directory;
use crate::store::ground::QUEUE_FILE;
use crate::store::survey::Tells;
use crate::ui::ascii::Symbols;
use crate::ui::depth::Depth;
use crate::ui::{self, Console, Ending, Log};
use crate::watch::event::Passwords;
use crate::watch::observers::Observers;
use crate::watch::registry::Registry;
use crate::wire::display::DisplayText;

/// What `-v` comes to where stderr is the screen's own terminal.
const VERBOSE: &str =
    "-v: the screen is the transcript; 2>FILE writes it to a file too, and s saves it.";

/// What goes on beside the servers while they run, given where they listen. It ends with them.
pub type Guests = Box<dyn FnOnce(Vec<Listening>) -> Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Runs the servers and shows them until the console's user quits or a signal ends them.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    run_with_guests(config, None, Box::new(|_| Box::pin(async {})))
}

/// The same, with `guests` beside the servers. The top line has `notice`.
pub fn run_with_guests(
    config: Config,
    notice: Option<&str>,
    guests: Guests,
) -> Result<ExitCode, StartError> {
    make_sure_of_terminal()?;
    let made = make_missing_directory(&config)?;
    let registry = Arc::new(Registry::default());
    let feed = Arc::new(Feed::default());
    let transcripts = transcripts(&config)?;
    let observers = Observers::one(Arc::clone(&feed) as _);
    let observers = transcripts.iter().fold(observers, |all, one| all.and(Arc::clone(one) as _));
    let log = log(&config.records)?;
    let reporting = Reporting::start(&config)?;
    let observers = reporting.observers(observers);
    let servers = Servers::bind(config, observers, Some(Arc::clone(&registry)))?;
    if !io::stderr().is_terminal() {
        // The screen does not write there.
        for warning in warnings(&servers) {
            eprintln!("mailconsole: warning: {warning}");
        }
        if let Some(line) = seed_line(servers.config()) {
            eprintln!("{line}");
        }
    }
    let runtime = runtime()?;
    let mut state = state(servers.config());
    state.made = made.map(|path| DisplayText::from(&*path.display().to_string()));
    state.notices.splice(..0, notice.map(DisplayText::from));
    let work = show(servers, &reporting, Arc::clone(&registry), feed, state, log, guests);
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    for transcript in transcripts {
        transcript.finish();
    }
    let code = ended?;
    last_word::say(&format!("mailconsole: connections served: {}", registry.view().opened));
    Ok(code)
}

/// The transcripts beside the screen: in a file, and on stderr, if `-v` asks for it and stderr is not
/// the terminal of the screen.
fn transcripts(config: &Config) -> Result<Vec<Arc<TranscriptWriter>>, StartError> {
    let Config { verbosity, passwords, records, .. } = config;
    let mut transcripts: Vec<_> = in_file(*verbosity, *passwords, records)?.into_iter().collect();
    if *verbosity != Verbosity::Quiet && !io::stderr().is_terminal() {
        transcripts.push(writer(*verbosity, *passwords, records, io::stderr())?);
    }
    Ok(transcripts)
}

/// What the screen logs, and to which file besides.
fn log(records: &Records) -> Result<Log, StartError> {
    Ok(Log { filter: records.filter(LevelFilter::INFO), file: records.open_log()? })
}

/// Refuses to draw a console into a file or a pipe.
fn make_sure_of_terminal() -> Result<(), StartError> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(StartError::NoTerminal)
}

/// On the first start there is no directory yet, and the screen can tell that it was created.
/// Returns it, if it was.
fn make_missing_directory(config: &Config) -> Result<Option<PathBuf>, StartError> {
    let Some(Mailboxes { directory, .. }) = &config.mailboxes else { return Ok(None) };
    Ok(match make_directory(directory)? {
        Made::Now => Some(directory.clone()),
        Made::Before => None,
    })
}

/// The names of the mailboxes that exist at the start, including the relay queue: their messages are
/// not new.
fn there_already(directory: &Directory) -> Vec<String> {
    let users = directory.users().unwrap_or_default();
    let names = users.iter().map(|user| user.name().to_owned());
    let queue = directory.path().join(QUEUE_FILE);
    names.chain(queue.exists().then(|| QUEUE_FILE.to_owned())).collect()
}

async fn show(
    servers: Servers,
    reporting: &Reporting,
    registry: Arc<Registry>,
    feed: Arc<Feed>,
    mut state: State,
    log: Log,
    guests: Guests,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::new()?;
    // The console is for servers on a directory; the echo server alone has no use for one.
    let directory = servers.directory().cloned().ok_or(StartError::NoTerminal)?;
    if let Some(warning) = servers.warning_on_certificate() {
        state.say(&warning);
    }
    state.only_these_are_old(there_already(&directory).iter().map(String::as_str));
    let settings = servers.settings().changes();
    let announcement = Announcement::of(&servers);
    let listening = servers.listening();
    let overview = servers.follow(Tells::Log).ok_or(StartError::NoTerminal)?;
    let mut running = servers.serve_beside(Some(overview.clone()))?;
    let socket = running.open_socket(reporting.log());
    let RelayHandle { requests, words, relay } = running.post().ok_or(StartError::NoTerminal)?;
    let mailroom = running.open_mailroom(overview.clone()).ok_or(StartError::NoTerminal)?;
    let control = running.control().clone();
    let (faults, fault_changes) = (Arc::clone(running.faults()), running.fault_changes());
    let holds = Arc::clone(running.holds());
    let hold_changes = holds.changes();
    let program = Program::new(Parts {
        registry,
        overview,
        feed,
        requests,
        words,
        relay,
        mailroom,
        control,
        faults,
        fault_changes,
        holds,
        hold_changes,
        settings,
    });
    let announced = announcement.publish()?;
    let mut beside = JoinSet::new();
    beside.spawn(guests(listening));
    let console = Console { program, state, depth: depth(), symbols: symbols(), log };
    let shutdown = CancellationToken::new();
    let mut screen = std::pin::pin!(ui::run(console, shutdown.clone()));
    let shown = tokio::select! {
        shown = &mut screen => shown,
        () = running.asked_to_end(&mut signals) => {
            shutdown.cancel();
            tokio::select! {
                shown = screen => shown,
                () = signals.next() => {
                    ui::terminal::restore();
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            }
        }
    };
    drop(announced);
    let code = running.end_or_interrupt(&mut signals).await;
    reporting.close(socket).await;
    match shown {
        Ok(Ending::Quit | Ending::Shutdown | Ending::TerminalGone) => Ok(code),
        Err(error) => Err(StartError::Screen(error)),
    }
}

/// Whether the terminal shows more than ASCII, as far as the environment tells.
fn symbols() -> Symbols {
    let value = |name| env::var(name).unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(value).into_iter().find(|l| !l.is_empty());
    Symbols::of_terminal(&locale.unwrap_or_default(), &value("TERM"))
}

/// How many colours the terminal claims to have.
fn depth() -> Depth {
    let value = |name| env::var(name).unwrap_or_default().to_ascii_lowercase();
    Depth::of_terminal(&value("COLORTERM"), &value("TERM"))
}

/// What the screen shows before anything has happened, as the user has configured it.
fn state(config: &Config) -> State {
    let mut state = State::new(ui::clock(), config.scrollback);
    state.palette = config.palette;
    state.keymap = Arc::new(config.keymap.clone());
    state.domain = DisplayText::from(&*config.domain);
    state.password = DisplayText::from(config.password.as_str());
    state.have_own_passwords =
        config.own_passwords.keys().map(|user| user.as_str().into()).collect();
    if config.passwords == Passwords::Shown {
        state.transcript.toggle_passwords();
    }
    state.notices = notices(config).iter().map(|n| DisplayText::from(n.as_str())).collect();
    if config.verbosity > Verbosity::Quiet && io::stderr().is_terminal() {
        state.say(VERBOSE);
    }
    if let Some(line) = seed_line(config) {
        state.say(&line);
    }
    state
}

/// Who can connect to these addresses, in as few words as the top line has room for.
fn whoever_reaches(addresses: &[IpAddr]) -> String {
    if addresses.iter().any(IpAddr::is_unspecified) {
        return "any machine".to_owned();
    }
    format!("all that reach {}", listed(addresses))
}

/// What the user must know of how the program was started. The settings that can change have notices
/// of their own, and the screen itself says what to do if there is no mailbox.
fn notices(config: &Config) -> Vec<String> {
    let unsynced = config.mailboxes.as_ref().is_some_and(Mailboxes::is_unsynced);
    let unsynced = unsynced.then(|| "not synced (--no-sync)".to_owned());
    let public = config.has_public_password();
    let public = public.then(|| format!(", password {PUBLIC_PASSWORD} is public"));
    let open = config.open_addresses();
    let open = (!open.is_empty())
        .then(|| format!("open to {}{}", whoever_reaches(&open), public.unwrap_or_default()));
    let relays = config.relay.every.map(|every| format!("relay run every {} s", every.as_secs()));
    let notices = [open, unsynced, relays];
    notices.into_iter().flatten().collect()
}
