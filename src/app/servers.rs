//! Binds everything, serves, waits for the end. Whoever shows what happens (stderr here, the
//! console beside it) only looks on.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{AccessFlags, access};
use procfs::process::Process;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::app::commands::{queue, relay};
use crate::app::config::{Config, Mailboxes, PUBLIC_PASSWORD, Port, Purpose, Verbosity};
use crate::app::transcript::{Headless, MessageText};
use crate::mailroom::Desk;
use crate::mailroom::browser::Browser;
use crate::mailroom::clerk::{Clerk, Room, SmtpListener};
use crate::relay::postmaster::{Post, Postmaster};
use crate::relay::run::RunError;
use crate::servers::echo::EchoServer;
use crate::servers::listener::{BindError, Shared, Term, bind};
use crate::servers::pop3::service::Pop3Server;
use crate::servers::port::cannot_listen;
use crate::servers::settings::Settings;
use crate::servers::smtp::service::SmtpServer;
use crate::servers::supervised::{Protocol, Station};
use crate::servers::supervisor::{Control, Switchboard};
use crate::store::directory::{CreateError, Directory, Durability, OpenError};
use crate::store::overview::Overview;
use crate::store::queue::QueueError;
use crate::watch::event::{Service, Transcript};
use crate::watch::registry::Registry;

/// Why the servers do not run: a sentence that names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is not there, and nobody asked for it to be made.
    #[error(
        "{path} does not exist: name a --user to have it made, or make it with mailconsole init \
         {path}", path = .0.display()
    )]
    DirectoryMissing(PathBuf),
    /// The same, for whoever wants the queue in it.
    #[error("{path} does not exist: name the directory whose queue is meant", path = .0.display())]
    QueueMissing(PathBuf),
    /// It is not what was meant.
    #[error("{0}. Name a directory of mailboxes, or a new one and a --user to have it made")]
    NotDirectory(OpenError),
    /// It cannot be opened.
    #[error("{0}. Check its permissions, or name another directory")]
    DirectoryClosed(OpenError),
    /// It cannot be made.
    #[error("cannot make the directory {path}: {1}. Name another, or create it", path = .0.display())]
    DirectoryNotMade(PathBuf, #[source] io::Error),
    /// It can be read only.
    #[error(
        "{path} is not writable: mail could be neither received nor removed. Change its \
         permissions, or name another directory", path = .0.display()
    )]
    NotWritable(PathBuf),
    /// A name for a mailbox that cannot be one.
    #[error("{0}. Name another with --user")]
    BadUser(CreateError),
    /// A mailbox cannot be made.
    #[error("{0}. Check the directory, or leave out the --user")]
    MailboxNotMade(CreateError),
    /// An address cannot be listened on.
    #[error("{}", cannot_listen(.error, .port.flag))]
    CannotListen {
        /// Which, and why not.
        error: BindError,
        /// How its port was chosen.
        port: Port,
    },
    /// The relay queue cannot be read or written.
    #[error("{0}{remedy}", remedy = queue::remedy(.0))]
    Queue(#[from] QueueError),
    /// There is no such entry in the relay queue.
    #[error("no entry of the relay queue is named {0}: mailconsole queue lists their ids")]
    NoSuchEntry(String),
    /// The relay cannot run.
    #[error("{0}. Check the permissions of the directory")]
    Relay(RunError),
    /// The console has no screen to be on.
    #[error("there is no terminal for the console: run it in one, or without a screen by --no-tui")]
    NoTerminal,
    /// The screen has failed.
    #[error("the screen has failed: {0}. Use another terminal, or none with --no-tui")]
    Screen(#[source] io::Error),
    /// The system lacks something that every program needs.
    #[error("cannot start: {0}. Free some memory or processes, and try again")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether the command line is wrong, rather than the world.
    #[must_use]
    pub const fn is_wrong_use(&self) -> bool {
        matches!(self, Self::BadUser(_) | Self::NoTerminal)
    }
}

/// The servers of this process: everything is bound, and nothing runs yet.
#[derive(Debug)]
pub struct Servers {
    config: Config,
    directory: Option<Directory>,
    sockets: Vec<(Service, Vec<TcpListener>)>,
    shared: Arc<Shared>,
}

impl Servers {
    /// Opens the directory and binds every address, or does nothing.
    ///
    /// `registry` lists the connections for whoever shows them.
    pub fn bind(
        config: Config,
        transcript: Transcript,
        registry: Option<Arc<Registry>>,
    ) -> Result<Self, StartError> {
        let descriptors = raise_descriptor_limit();
        let directory = config.mailboxes.as_ref().map(open).transpose()?;
        let mut sockets = Vec::new();
        for &(service, port) in &config.servers {
            let listeners = bind(&config.addresses, port.number)
                .map_err(|error| StartError::CannotListen { error, port })?;
            sockets.push((service, listeners));
        }
        let settings = Arc::new(Settings::new(config.settings.clone()));
        let connections = config.connections_most;
        let shared = Shared::new(transcript, registry, settings, connections, descriptors);
        Ok(Self { config, directory, sockets, shared: Arc::new(shared) })
    }

    /// Who listens where.
    #[must_use]
    pub fn listening(&self) -> Vec<(Service, SocketAddr)> {
        listening(&self.sockets)
    }

    /// How they are set up.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The mailboxes, if there are any.
    #[must_use]
    pub const fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// What may change while they run.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.shared.settings
    }

    /// Begins to serve, in the runtime in which this is called.
    pub fn serve(self) -> io::Result<Running> {
        let Self { config, directory, sockets, shared } = self;
        let term = Term::default();
        let relay = directory.clone().map(|directory| {
            let own = listeners_of(&sockets, Service::Smtp);
            let watchers = relay::Watchers::of_servers(&shared, &term);
            relay::relay(&config.relay, &config.domain, directory, own, watchers)
        });
        let post = relay.map(|relay| Postmaster::start(relay, config.relay.every, &term.tasks));
        let mut stations = Vec::new();
        for (service, sockets) in sockets {
            if let Some(server) = server(service, &config, directory.as_ref(), &shared.settings) {
                stations.push(Station::open(server, sockets, &shared, term.within())?);
            }
        }
        let control = Switchboard::start(stations, config.addresses, shared, &term);
        Ok(Running { term, directory, post, control, domain: config.domain })
    }
}

fn listening(sockets: &[(Service, Vec<TcpListener>)]) -> Vec<(Service, SocketAddr)> {
    let addresses = |(service, sockets): &(Service, Vec<TcpListener>)| {
        let addresses = sockets.iter().filter_map(|socket| socket.local_addr().ok());
        addresses.map(|address| (*service, address)).collect::<Vec<_>>()
    };
    sockets.iter().flat_map(addresses).collect()
}

fn listeners_of(sockets: &[(Service, Vec<TcpListener>)], service: Service) -> Vec<SocketAddr> {
    let of_service = listening(sockets).into_iter().filter(|(one, _)| *one == service);
    of_service.map(|(_, address)| address).collect()
}

/// The server of a protocol. The two that carry mail need a directory.
fn server(
    service: Service,
    config: &Config,
    directory: Option<&Directory>,
    settings: &Arc<Settings>,
) -> Option<Protocol> {
    let domain = || Arc::clone(&config.domain);
    Some(match (service, directory.cloned()) {
        (Service::Echo, _) => {
            Protocol::Echo(Arc::new(EchoServer { author: Arc::clone(&config.author) }))
        }
        (Service::Smtp, Some(directory)) => {
            let settings = Arc::clone(settings);
            Protocol::Smtp(Arc::new(SmtpServer { directory, domain: domain(), settings }))
        }
        (Service::Pop3, Some(directory)) => {
            let password = Arc::clone(&config.password);
            Protocol::Pop3(Arc::new(Pop3Server {
                directory,
                domain: domain(),
                password,
                guesses: Arc::default(),
            }))
        }
        (Service::Smtp | Service::Pop3, None) | (Service::Relay, _) => return None,
    })
}

/// Servers that run.
#[derive(Debug)]
pub struct Running {
    term: Term,
    directory: Option<Directory>,
    post: Option<Post>,
    domain: Arc<str>,
    control: Control,
}

impl Running {
    /// How an operator reaches the relay, if there are mailboxes. Given once.
    pub const fn post(&mut self) -> Option<Post> {
        self.post.take()
    }

    /// Opens the mailroom, if there are mailboxes: whoever has the desk can look into them.
    /// `overview` says when they change. Messages are saved to the current directory.
    #[must_use]
    pub fn open_mailroom(&self, overview: watch::Receiver<Arc<Overview>>) -> Option<Desk> {
        let control = self.control.clone();
        let room = Room {
            directory: self.directory.clone()?,
            overview,
            domain: Arc::clone(&self.domain),
            smtp: SmtpListener::new(move || control.address_of(Service::Smtp)),
            save_to: PathBuf::from("."),
            browser: Browser::default(),
            stop: self.term.ending.child_token(),
        };
        Some(Clerk::start(room, &self.term.tasks))
    }

    /// How an operator reaches the servers.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Ends them: no new connections, a farewell to those that are open. Returns when the last
    /// one is gone and everything that had begun is on the disk.
    pub async fn end(&self) {
        self.term.end().await;
        if let Some(directory) = &self.directory {
            directory.close().await;
        }
    }
}

/// The signals that end the program. While this lives, none of them does so by itself, and a
/// write beyond `RLIMIT_FSIZE` fails instead of killing.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    _file_too_large: Signal,
}

impl Signals {
    /// Begins to listen for them.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
            _file_too_large: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether `nohup` asked for SIGHUP to be ignored.
fn is_hangup_ignored() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (libc::SIGHUP - 1)) != 0)
}

/// Runs the servers without a screen until a signal ends them.
pub fn headless(config: Config) -> Result<ExitCode, StartError> {
    with_transcript(config.verbosity, |transcript| {
        let servers = Servers::bind(config, transcript, None)?;
        for warning in warnings(&servers) {
            eprintln!("mailconsole: warning: {warning}");
        }
        let runtime = Runtime::new()?;
        let code = runtime.block_on(serve_until_signal(servers));
        // What a second signal cut short is not waited for.
        runtime.shutdown_background();
        code
    })
}

/// Does `work` with its transcript, and the program's own warnings, on stderr, and waits until that
/// is written.
pub(super) fn with_transcript(
    verbosity: Verbosity,
    work: impl FnOnce(Transcript) -> Result<ExitCode, StartError>,
) -> Result<ExitCode, StartError> {
    let text = match verbosity {
        Verbosity::Text => MessageText::Shown,
        Verbosity::Lines | Verbosity::Quiet => MessageText::Summed,
    };
    let stderr = Arc::new(Headless::start(text, io::stderr())?);
    log_to(&stderr);
    let code = work(match verbosity {
        Verbosity::Quiet => Transcript::off(),
        Verbosity::Lines | Verbosity::Text => Transcript::to(Arc::clone(&stderr) as _),
    });
    stderr.finish();
    code
}

/// The program's own warnings, which are rare, each in one write. They take the transcript's way,
/// because nobody may have to wait for whoever reads them.
fn log_to(stderr: &Headless) {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
    let writer = stderr.log();
    // There is a log already where a test has set one.
    let _ = log.with_writer(move || writer.clone()).with_ansi(false).without_time().try_init();
}

async fn serve_until_signal(servers: Servers) -> Result<ExitCode, StartError> {
    let mut signals = Signals::new()?;
    let listening = servers.listening();
    let running = servers.serve()?;
    print_listening(&listening);
    signals.next().await;
    Ok(end(&running, &mut signals).await)
}

/// Ends the servers; another signal meanwhile ends everything.
pub(super) async fn end(running: &Running, signals: &mut Signals) -> ExitCode {
    tokio::select! {
        () = running.end() => ExitCode::SUCCESS,
        () = signals.next() => ExitCode::from(INTERRUPTED),
    }
}

/// 128 and the number of SIGINT, as shells report it.
pub(super) const INTERRUPTED: u8 = 130;

/// One line for each listener, in one write. Nobody has to be there to read it.
fn print_listening(listening: &[(Service, SocketAddr)]) {
    let mut lines = Vec::new();
    for (service, address) in listening {
        let _ = writeln!(lines, "{service}: listening on {address}");
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&lines).and_then(|()| stdout.flush());
}

/// What somebody who starts the servers may not be aware of.
fn warnings(servers: &Servers) -> Vec<String> {
    let (config, directory) = (servers.config(), servers.directory());
    let unsynced = config.mailboxes.as_ref().is_some_and(is_unsynced);
    let unsynced = unsynced.then(|| {
        "not synced (--no-sync): mail that was acknowledged can be lost with the power".to_owned()
    });
    let warnings = [directory.and_then(sentence_on_no_mailbox), unsynced, on_others(config)];
    warnings.into_iter().flatten().collect()
}

pub(super) fn is_unsynced(mailboxes: &Mailboxes) -> bool {
    mailboxes.durability == Durability::Unsynced
}

/// What it means that others than this machine can connect.
fn on_others(config: &Config) -> Option<String> {
    if !config.is_open_to_others() {
        return None;
    }
    let others = "other machines can connect (--bind)";
    Some(match config.mailboxes {
        None => others.to_owned(),
        Some(_) if config.has_public_password() => format!(
            "{others}, and the password {PUBLIC_PASSWORD} is public: set another with --password"
        ),
        Some(_) => format!("{others}, and passwords and mail travel unencrypted"),
    })
}

/// What to do about a directory without a mailbox. Mailboxes may come later, so that it is no
/// failure.
fn sentence_on_no_mailbox(directory: &Directory) -> Option<String> {
    let path = directory.path().display();
    let none = directory.users().is_ok_and(|users| users.is_empty());
    none.then(|| {
        format!(
            "there is no mailbox in {path}, so that nobody can receive mail: make one with \
             --user NAME, or create {path}/NAME.mbox"
        )
    })
}

/// Makes the directory and the mailboxes of users; says on stdout what was not there.
pub fn init(mailboxes: &Mailboxes) -> Result<ExitCode, StartError> {
    let made = make_directory(&mailboxes.directory)?;
    let path = mailboxes.directory.display();
    let mut lines = String::new();
    if made == Made::Now {
        let _ = writeln!(lines, "made {path}");
    }
    let directory = open_as_it_is(mailboxes)?;
    make_sure_of_writable(&mailboxes.directory)?;
    for user in &mailboxes.users {
        let was_there = directory.user(user.as_bytes()).is_some();
        create(&directory, user)?;
        if !was_there {
            let _ = writeln!(lines, "made {path}/{user}.mbox");
        }
    }
    // Nobody has to be there to read it.
    let _ = io::stdout().lock().write_all(lines.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Whether something was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It was.
    Before,
    /// It was made.
    Now,
}

/// Makes a directory if there is none.
pub(super) fn make_directory(path: &Path) -> Result<Made, StartError> {
    if path.exists() {
        return Ok(Made::Before);
    }
    std::fs::create_dir_all(path)
        .map_err(|error| StartError::DirectoryNotMade(path.to_owned(), error))?;
    Ok(Made::Now)
}

/// Opens the directory, and makes what is to be made.
pub(super) fn open(mailboxes: &Mailboxes) -> Result<Directory, StartError> {
    let path = &mailboxes.directory;
    if !mailboxes.users.is_empty() {
        make_directory(path)?;
    }
    let directory = open_as_it_is(mailboxes)?;
    make_sure_of_writable(path)?;
    for user in &mailboxes.users {
        create(&directory, user)?;
    }
    Ok(directory)
}

fn create(directory: &Directory, user: &str) -> Result<(), StartError> {
    let made = directory.create(user).map_err(|error| match error {
        CreateError::BadName(_) => StartError::BadUser(error),
        CreateError::NotRegular(_) | CreateError::Io(..) => StartError::MailboxNotMade(error),
    });
    made.map(|_| ())
}

/// Opens the directory for those who may only want to read.
pub(super) fn open_as_it_is(mailboxes: &Mailboxes) -> Result<Directory, StartError> {
    Directory::open(&mailboxes.directory, mailboxes.durability).map_err(|error| match error {
        OpenError::Missing(path) => match mailboxes.purpose {
            Purpose::Serving => StartError::DirectoryMissing(path),
            Purpose::Queue => StartError::QueueMissing(path),
        },
        OpenError::NotDirectory(_) => StartError::NotDirectory(error),
        OpenError::Io(..) => StartError::DirectoryClosed(error),
    })
}

fn make_sure_of_writable(path: &Path) -> Result<(), StartError> {
    access(path, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|_| StartError::NotWritable(path.to_owned()))
}

/// Raises the soft limit to the hard one; returns how many descriptors the process may have.
pub(super) fn raise_descriptor_limit() -> usize {
    const USUAL: u64 = 1_024;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    usize::try_from(limit.unwrap_or(USUAL)).unwrap_or(usize::MAX)
}
