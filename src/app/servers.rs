//! The servers of this process: bound together, started, and stopped. The transcript and the console
//! only observe.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::app::config::{Config, Port};
use crate::app::error::StartError;
use crate::app::mailboxes::open;
use crate::app::relay;
use crate::app::signals::{INTERRUPTED, Signals};
use crate::control::desk::Desk;
use crate::control::event_log::EventLog;
use crate::control::socket::ControlSocket;
use crate::fault::faults::Faults;
use crate::mailroom::MailroomHandle;
use crate::mailroom::browser::Browser;
use crate::mailroom::tasks::{MailroomTask, Room, SmtpListener};
use crate::relay::client::Announce;
use crate::relay::postmaster::{Postmaster, RelayHandle, Request};
use crate::servers::accounts::Accounts;
use crate::servers::attendance::Attendance;
use crate::servers::echo::EchoServer;
use crate::servers::guesses::Guesses;
use crate::servers::holds::Holds;
use crate::servers::listener::{Lifetime, Shared, TlsBegins, bind};
use crate::servers::mailbox_changes;
use crate::servers::pop3::service::Pop3Server;
use crate::servers::retention;
use crate::servers::settings::Settings;
use crate::servers::smtp::service::SmtpServer;
use crate::servers::supervised::{Protocol, Socket, SupervisedServer};
use crate::servers::supervisor::{Control, Supervisor};
use crate::servers::tls::Tls;
use crate::store::directory::Directory;
use crate::store::overview::Overview;
use crate::store::survey::{self, Tells};
use crate::watch::event::Service;
use crate::watch::observers::{FactsWanted, Observers};
use crate::watch::registry::Registry;
use crate::watch::tally::Tally;

/// Threads that serve sessions, also on a single processor.
const WORKERS_LEAST: usize = 2;

/// Where a service listens, and when TLS begins there.
pub type Listening = (Service, TlsBegins, SocketAddr);

/// The servers of this process: everything is bound, and nothing runs yet.
#[derive(Debug)]
pub struct Servers {
    config: Config,
    directory: Option<Directory>,
    sockets: Vec<(Service, Vec<Socket>)>,
    shared: Arc<Shared>,
    lifetime: Lifetime,
}

impl Servers {
    /// Opens the directory and binds every address, or does nothing.
    ///
    /// `registry` lists the connections, for a screen.
    pub fn bind(
        config: Config,
        observers: Observers,
        registry: Option<Arc<Registry>>,
    ) -> Result<Self, StartError> {
        let descriptors = raise_descriptor_limit();
        let directory = config.mailboxes.as_ref().map(open).transpose()?;
        let mut sockets = Vec::new();
        for (service, _) in &config.servers {
            sockets.push((*service, sockets_of(*service, &config)?));
        }
        let tls = config.certificate.clone().map(|source| Arc::new(Tls::new(source)));
        if let Some(tls) = tls.as_ref().filter(|_| config.needs_certificate) {
            tls.ready()?;
        }
        let settings = Arc::new(Settings::new(config.settings.clone()));
        let connections = config.connections_most;
        let shared = Shared::new(observers, registry, settings, connections, descriptors);
        let attendance = config.exit_when_idle.map(|_| Attendance::default());
        let shared = shared.with_tls(tls).with_attendance(attendance);
        let shared = shared.with_faults(Arc::clone(&config.faults.faults));
        let shared = shared.with_holds(Arc::clone(&config.faults.holds));
        let (shared, lifetime) = (Arc::new(shared), Lifetime::default());
        Ok(Self { config, directory, sockets, shared, lifetime })
    }

    /// Where each service listens, and when TLS begins there.
    #[must_use]
    pub fn listening(&self) -> Vec<Listening> {
        listening(&self.sockets)
    }

    /// What the certificate lacks, if anything: a sentence with the remedy.
    #[must_use]
    pub fn warning_on_certificate(&self) -> Option<String> {
        let tls = self.shared.tls.as_ref().filter(|_| self.config.needs_certificate);
        tls?.warning()
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

    /// The faults that they play.
    #[must_use]
    pub fn faults(&self) -> &Arc<Faults> {
        &self.shared.faults
    }

    /// What they count.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.shared.tally
    }

    /// Follows the mailboxes, if there are any, for as long as the servers run, in the runtime in which
    /// this is called.
    #[must_use]
    pub fn follow(&self, tells: Tells) -> Option<watch::Receiver<Arc<Overview>>> {
        let Lifetime { ending, tasks } = &self.lifetime;
        let directory = self.directory.as_ref()?;
        Some(survey::follow_until(ending.child_token(), tasks, directory, tells))
    }

    /// The same without locking or reading a mailbox: how they come and go.
    fn follow_outlines(&self) -> Option<watch::Receiver<Arc<Overview>>> {
        let Lifetime { ending, tasks } = &self.lifetime;
        let directory = self.directory.as_ref()?;
        Some(survey::follow_outlines_until(ending.child_token(), tasks, directory))
    }

    /// Begins to serve, in the runtime in which this is called.
    pub fn serve(self) -> io::Result<Running> {
        self.serve_beside(None)
    }

    /// The same beside somebody who follows the directory by this `overview`: it is not followed
    /// twice.
    pub fn serve_beside(
        self,
        overview: Option<watch::Receiver<Arc<Overview>>>,
    ) -> io::Result<Running> {
        let wants_facts = self.shared.transcript.facts_wanted() > FactsWanted::None;
        let overview = match (overview, self.config.keep.is_some()) {
            (Some(overview), _) => Some(overview),
            (None, true) => self.follow(Tells::Nobody),
            (None, false) if wants_facts => self.follow_outlines(),
            (None, false) => None,
        };
        let Self { config, directory, sockets, shared, lifetime } = self;
        if let Some((directory, overview)) = directory.as_ref().zip(overview.clone())
            && wants_facts
        {
            tell_of_mailboxes(directory, overview, &shared, &lifetime);
        }
        let relay = directory.clone().map(|directory| {
            let own = listeners_of(&sockets, Service::Smtp);
            let watchers = relay::Watchers::of_servers(&shared, &lifetime);
            relay::relay(&config.relay, &config.domain, directory, own, watchers)
        });
        let post = relay.map(|relay| Postmaster::start(relay, config.relay.every, &lifetime.tasks));
        if let Some(((directory, keep), overview)) =
            directory.clone().zip(config.keep).zip(overview)
        {
            let ending = lifetime.ending.child_token();
            lifetime.tasks.spawn(retention::run(directory, keep, overview, ending));
        }
        // Shared, so that who guesses at one server waits at the other.
        let guesses = Arc::default();
        let absence = shared.attendance.clone().zip(config.exit_when_idle);
        let mut supervised = Vec::new();
        for (service, sockets) in sockets {
            if let Some(server) =
                server(service, &config, directory.as_ref(), &shared.settings, &guesses)
            {
                supervised.push(SupervisedServer::open(
                    server,
                    sockets,
                    &shared,
                    lifetime.within(),
                )?);
            }
        }
        let tally = Arc::clone(&shared.tally);
        let (faults, holds) = (Arc::clone(&shared.faults), Arc::clone(&shared.holds));
        let control = Supervisor::start(supervised, config.addresses, shared, &lifetime);
        let relay = post.as_ref().map(|post| post.requests.clone());
        let stop = CancellationToken::new();
        Ok(Running {
            lifetime,
            directory,
            asked_in: config.asked_in,
            post,
            control,
            tally,
            faults,
            holds,
            fault_changes: watch::Sender::default(),
            domain: config.domain,
            relay,
            stop,
            absence,
        })
    }
}

/// Tells observers how mailboxes come and go.
fn tell_of_mailboxes(
    directory: &Directory,
    overview: watch::Receiver<Arc<Overview>>,
    shared: &Shared,
    lifetime: &Lifetime,
) {
    let users = directory.users().unwrap_or_default();
    let known = users.iter().map(|user| user.name().to_owned()).collect();
    let (observers, stop) = (shared.transcript.clone(), lifetime.ending.child_token());
    lifetime.tasks.spawn(mailbox_changes::tell(known, overview, observers, stop));
}

/// The sockets of a service: in the clear, and those whose connections begin with TLS.
fn sockets_of(service: Service, config: &Config) -> Result<Vec<Socket>, StartError> {
    let plain = config.servers.iter().map(|server| (TlsBegins::OnRequest, server));
    let tls = config.tls_ports.iter().map(|server| (TlsBegins::AtOnce, server));
    let mut sockets = Vec::new();
    for (begins, (_, port)) in plain.chain(tls).filter(|(_, (one, _))| *one == service) {
        let Port { number, flag } = *port;
        let bound = bind(&config.addresses, number)
            .map_err(|error| StartError::CannotListen { error, flag })?;
        sockets.extend(bound.into_iter().map(|socket| (begins, socket)));
    }
    Ok(sockets)
}

fn listening(sockets: &[(Service, Vec<Socket>)]) -> Vec<Listening> {
    let addresses = |(service, sockets): &(Service, Vec<Socket>)| {
        let address =
            |(begins, socket): &Socket| Some((*service, *begins, socket.local_addr().ok()?));
        sockets.iter().filter_map(address).collect::<Vec<_>>()
    };
    sockets.iter().flat_map(addresses).collect()
}

fn listeners_of(sockets: &[(Service, Vec<Socket>)], service: Service) -> Vec<SocketAddr> {
    let of_service = listening(sockets).into_iter().filter(|(one, ..)| *one == service);
    of_service.map(|(_, _, address)| address).collect()
}

/// The server of a protocol. The two that carry mail need a directory.
fn server(
    service: Service,
    config: &Config,
    directory: Option<&Directory>,
    settings: &Arc<Settings>,
    guesses: &Arc<Guesses>,
) -> Option<Protocol> {
    Some(match (service, directory.cloned()) {
        (Service::Echo, _) => {
            Protocol::Echo(Arc::new(EchoServer { author: Arc::clone(&config.author) }))
        }
        (Service::Smtp, Some(directory)) => Protocol::Smtp(Arc::new(SmtpServer {
            accounts: Arc::new(accounts(config, directory)),
            guesses: Arc::clone(guesses),
            settings: Arc::clone(settings),
            unknown_users: Arc::default(),
        })),
        (Service::Pop3, Some(directory)) => Protocol::Pop3(Arc::new(Pop3Server {
            accounts: Arc::new(accounts(config, directory)),
            guesses: Arc::clone(guesses),
            settings: Arc::clone(settings),
        })),
        (Service::Smtp | Service::Pop3, None) | (Service::Relay, _) => return None,
    })
}

/// Who may log in, at whichever server.
fn accounts(config: &Config, directory: Directory) -> Accounts {
    Accounts {
        directory,
        domain: Arc::clone(&config.domain),
        password: config.password.clone(),
        own: Arc::clone(&config.own_passwords),
    }
}

/// Servers that run.
#[derive(Debug)]
pub struct Running {
    lifetime: Lifetime,
    directory: Option<Directory>,
    /// Where the control socket is if there are no mailboxes.
    asked_in: Option<PathBuf>,
    post: Option<RelayHandle>,
    domain: Arc<str>,
    control: Control,
    tally: Arc<Tally>,
    faults: Arc<Faults>,
    holds: Arc<Holds>,
    /// Moves when another program changes their rules.
    fault_changes: watch::Sender<()>,
    relay: Option<mpsc::Sender<Request>>,
    /// Cancelled when another program asks for the end.
    stop: CancellationToken,
    /// Who counts the clients, and after how long without one the servers end.
    absence: Option<(Attendance, Duration)>,
}

impl Running {
    /// What the servers count.
    #[must_use]
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// The faults that they play on purpose.
    #[must_use]
    pub const fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// What they hold at breakpoints.
    #[must_use]
    pub const fn holds(&self) -> &Arc<Holds> {
        &self.holds
    }

    /// Moves when another program has changed their rules.
    #[must_use]
    pub fn fault_changes(&self) -> watch::Receiver<()> {
        self.fault_changes.subscribe()
    }

    /// Gives other programs a place to ask; `log` tells them what has happened. `None` where there is
    /// no directory, or no socket can be made in it, which is logged.
    #[must_use]
    pub fn open_socket(&self, log: &Arc<EventLog>) -> Option<ControlSocket> {
        let path = self.directory.as_ref().map(Directory::path).or(self.asked_in.as_deref())?;
        let desk = Desk {
            log: Arc::clone(log),
            tally: Arc::clone(&self.tally),
            control: self.control.clone(),
            relay: self.relay.clone(),
            domain: Arc::clone(&self.domain),
            faults: Arc::clone(&self.faults),
            holds: Arc::clone(&self.holds),
            fault_changes: self.fault_changes.clone(),
            stop: self.stop.clone(),
        };
        ControlSocket::open(path, desk)
            .inspect_err(|error| {
                tracing::warn!(
                    "no control socket in {}, so that status, stop and events do not find this \
                     server: {error}",
                    path.display()
                );
            })
            .ok()
    }

    /// Waits for what ends the servers: a signal, another program that asks for it, or that no client
    /// has been connected for as long as `--exit-when-idle` says.
    pub async fn asked_to_end(&self, signals: &mut Signals) {
        tokio::select! {
            () = signals.next() => {}
            () = self.stop.cancelled() => {}
            () = self.idle() => {}
        }
    }

    /// How an operator reaches the relay, if there are mailboxes. Given once.
    pub const fn post(&mut self) -> Option<RelayHandle> {
        self.post.take()
    }

    /// Opens the mailroom, if there are mailboxes: by their handle they can be looked into.
    /// `overview` says when they change. Messages are saved to the current directory.
    #[must_use]
    pub fn open_mailroom(
        &self,
        overview: watch::Receiver<Arc<Overview>>,
    ) -> Option<MailroomHandle> {
        let control = self.control.clone();
        let settings = Arc::clone(self.control.settings());
        let room = Room {
            directory: self.directory.clone()?,
            overview,
            domain: Arc::clone(&self.domain),
            smtp: SmtpListener::new(move || control.address_of(Service::Smtp))
                .announcing(Announce::new(move |address| settings.expect_own(address))),
            save_to: PathBuf::from("."),
            browser: Browser::default(),
            stop: self.lifetime.ending.child_token(),
        };
        Some(MailroomTask::start(room, &self.lifetime.tasks))
    }

    /// How an operator reaches the servers.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Waits until no client has been connected for so long; for ever if there is no limit.
    async fn idle(&self) {
        match &self.absence {
            Some((attendance, time)) => attendance.absence(*time).await,
            None => std::future::pending().await,
        }
    }

    /// Stops them: no new connections, and a farewell to the open ones. Returns when the last one is
    /// closed and every delivery that had begun is on disk.
    pub async fn end(&self) {
        self.lifetime.end().await;
        if let Some(directory) = &self.directory {
            directory.close().await;
        }
    }

    /// The same; another signal meanwhile ends everything at once.
    pub async fn end_or_interrupt(&self, signals: &mut Signals) -> ExitCode {
        tokio::select! {
            () = self.end() => ExitCode::SUCCESS,
            () = signals.next() => ExitCode::from(INTERRUPTED),
        }
    }
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

/// The runtime of the servers. The writer of a batch waits for the disk in its own thread: on a
/// single processor, with a single thread, no other session would be heard meanwhile, and each
/// batch would hold a message or two.
pub fn runtime() -> io::Result<Runtime> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads(processors.max(WORKERS_LEAST)).enable_all().build()
}
