//! One server that can be started and stopped: its state, and how it reacts to orders. Independent
//! of the other servers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::servers::echo::EchoServer;
use crate::servers::listener::{Addresses, Lifetime, Listener, Server, Shared, TlsBegins, bind};
use crate::servers::pop3::service::Pop3Server;
use crate::servers::port::cannot_listen_again;
use crate::servers::smtp::service::SmtpServer;
use crate::watch::event::Service;
use crate::watch::fact::Fact;
use crate::watch::observers::Observers;

/// An order to a server. It does nothing if the server is already in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Listen on the same addresses as before.
    Start,
    /// Stop listening, and send a farewell to the open connections.
    Stop,
    /// Stop, then start.
    Restart,
}

/// A snapshot of a server's state, for the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// The protocol.
    pub service: Service,
    /// The addresses it listens on while it runs. They stay the same when it is restarted.
    pub addresses: Vec<SocketAddr>,
    /// The same for connections that begin with TLS; mostly there are none.
    pub tls_addresses: Vec<SocketAddr>,
    /// Whether it is running.
    pub condition: Condition,
}

/// Whether a server is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It accepts connections.
    Running,
    /// It accepts no connections, and its open ones are being closed.
    Stopping,
    /// It does not listen and has no connections.
    Stopped,
    /// It could not be started again; the text is the reason and the remedy.
    Failed(String),
}

/// A listening socket, and when TLS begins on its connections.
pub type Socket = (TlsBegins, TcpListener);

/// A server of any of the protocols.
#[derive(Debug)]
pub enum Protocol {
    /// The echo server.
    Echo(Arc<EchoServer>),
    /// The SMTP server.
    Smtp(Arc<SmtpServer>),
    /// The POP3 server.
    Pop3(Arc<Pop3Server>),
}

impl Protocol {
    const fn service(&self) -> Service {
        match self {
            Self::Echo(_) => Service::Echo,
            Self::Smtp(_) => Service::Smtp,
            Self::Pop3(_) => Service::Pop3,
        }
    }

    fn listen(
        &self,
        sockets: Vec<Socket>,
        shared: &Arc<Shared>,
        lifetime: &Lifetime,
    ) -> io::Result<()> {
        match self {
            Self::Echo(server) => listen(server, sockets, shared, lifetime),
            Self::Smtp(server) => listen(server, sockets, shared, lifetime),
            Self::Pop3(server) => listen(server, sockets, shared, lifetime),
        }
    }
}

/// Listens on all the sockets, or on none.
fn listen<S: Server>(
    server: &Arc<S>,
    sockets: Vec<Socket>,
    shared: &Arc<Shared>,
    lifetime: &Lifetime,
) -> io::Result<()> {
    let listener = |(begins, socket)| {
        Ok(Listener {
            begins,
            socket: tokio::net::TcpListener::from_std(socket)?,
            server: Arc::clone(server),
            shared: Arc::clone(shared),
            lifetime: lifetime.clone(),
        })
    };
    let listeners: io::Result<Vec<_>> = sockets.into_iter().map(listener).collect();
    // Started only now, so that none runs if one of the sockets failed.
    for listener in listeners? {
        lifetime.tasks.spawn(listener.run());
    }
    Ok(())
}

/// A server with its addresses and its state.
#[derive(Debug)]
pub struct SupervisedServer {
    protocol: Protocol,
    /// The addresses it was first bound to, and is bound to again.
    bound: Vec<(TlsBegins, SocketAddr)>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Running(Lifetime),
    Stopping(Then),
    Stopped,
    Failed(String),
}

/// What to do when a server has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Stay stopped.
    Rest,
    /// Start again.
    Start,
}

impl From<Change> for Then {
    fn from(what: Change) -> Self {
        match what {
            Change::Stop => Self::Rest,
            Change::Start | Change::Restart => Self::Start,
        }
    }
}

/// What the caller must do to carry out an order.
#[derive(Debug)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// End this term, then call [`SupervisedServer::stopped`].
    End(Lifetime),
    /// Call [`SupervisedServer::start`].
    Start,
}

impl SupervisedServer {
    /// Starts a server on these sockets. Must be called within the tokio runtime that will run it.
    ///
    /// # Errors
    ///
    /// If a socket cannot be registered with the runtime.
    pub fn open(
        protocol: Protocol,
        sockets: Vec<Socket>,
        shared: &Arc<Shared>,
        lifetime: Lifetime,
    ) -> io::Result<Self> {
        let bound = |(begins, socket): &Socket| Ok((*begins, socket.local_addr()?));
        let bound: io::Result<Vec<_>> = sockets.iter().map(bound).collect();
        let bound = bound?;
        protocol.listen(sockets, shared, &lifetime)?;
        let server = Self { protocol, bound, stage: Stage::Running(lifetime) };
        server.tell_listening(&shared.transcript);
        Ok(server)
    }

    /// The protocol.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.protocol.service()
    }

    /// A snapshot of the state.
    #[must_use]
    pub fn view(&self) -> ServerView {
        let condition = match &self.stage {
            Stage::Running(_) => Condition::Running,
            Stage::Stopping(_) => Condition::Stopping,
            Stage::Stopped => Condition::Stopped,
            Stage::Failed(why) => Condition::Failed(why.clone()),
        };
        ServerView {
            service: self.service(),
            addresses: self.addresses(TlsBegins::OnRequest).collect(),
            tls_addresses: self.addresses(TlsBegins::AtOnce).collect(),
            condition,
        }
    }

    /// Takes an order. While the server is stopping, only the last order counts.
    pub fn take(&mut self, what: Change) -> Task {
        match (&mut self.stage, what) {
            (Stage::Running(lifetime), Change::Stop | Change::Restart) => {
                let lifetime = lifetime.clone();
                self.stage = Stage::Stopping(what.into());
                Task::End(lifetime)
            }
            (Stage::Stopping(then), _) => {
                *then = what.into();
                Task::Nothing
            }
            (Stage::Stopped | Stage::Failed(_), Change::Start | Change::Restart) => Task::Start,
            (Stage::Running(_), Change::Start)
            | (Stage::Stopped | Stage::Failed(_), Change::Stop) => Task::Nothing,
        }
    }

    /// To be called when its term has ended.
    pub fn stopped(&mut self, observers: &Observers) -> Task {
        for &(_, address) in &self.bound {
            let service = self.service();
            observers.tell_fact(None, || Fact::Stopped { service, address });
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Stopped);
        tracing::info!("{}: stopped", self.service());
        if matches!(stage, Stage::Stopping(Then::Start)) { Task::Start } else { Task::Nothing }
    }

    /// Serves again on the same ports, or stores why it cannot.
    pub async fn start(&mut self, addresses: &Addresses, shared: &Arc<Shared>, lifetime: Lifetime) {
        let bound = bind_again(addresses.clone(), self.ports()).await;
        let started = bound.and_then(|sockets| {
            self.protocol.listen(sockets, shared, &lifetime).map_err(|error| cannot_serve(&error))
        });
        let service = self.service();
        self.stage = match started {
            Ok(()) => {
                self.tell_listening(&shared.transcript);
                for (_, port) in self.ports() {
                    tracing::info!("{service}: listening on port {port} again");
                }
                Stage::Running(lifetime)
            }
            Err(why) => {
                tracing::warn!("{service}: {why}");
                Stage::Failed(why)
            }
        };
    }

    fn tell_listening(&self, observers: &Observers) {
        for &(_, address) in &self.bound {
            let service = self.service();
            observers.tell_fact(None, || Fact::Listening { service, address });
        }
    }

    fn addresses(&self, begins: TlsBegins) -> impl Iterator<Item = SocketAddr> {
        self.bound.iter().filter(move |(one, _)| *one == begins).map(|(_, address)| *address)
    }

    /// The port for each beginning of TLS that it listens for.
    fn ports(&self) -> Vec<(TlsBegins, u16)> {
        let port = |begins| Some((begins, self.addresses(begins).next()?.port()));
        [TlsBegins::OnRequest, TlsBegins::AtOnce].into_iter().filter_map(port).collect()
    }
}

/// On a blocking thread, because finding the process that uses a port may take a while.
async fn bind_again(
    addresses: Addresses,
    ports: Vec<(TlsBegins, u16)>,
) -> Result<Vec<Socket>, String> {
    let work = move || {
        let mut sockets = Vec::new();
        for (begins, port) in ports {
            let bound = bind(&addresses, port).map_err(|error| cannot_listen_again(&error))?;
            sockets.extend(bound.into_iter().map(|socket| (begins, socket)));
        }
        Ok(sockets)
    };
    let bound = tokio::task::spawn_blocking(work).await;
    bound.unwrap_or_else(|error| Err(cannot_serve(&io::Error::other(error))))
}

fn cannot_serve(error: &io::Error) -> String {
    format!("cannot serve: {error}. Free some memory or descriptors, and start the server again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervised(stage: Stage) -> SupervisedServer {
        let echo = EchoServer { author: "A / a".into() };
        SupervisedServer { protocol: Protocol::Echo(Arc::new(echo)), bound: Vec::new(), stage }
    }

    #[test]
    fn what_is_so_already_is_not_done_again() {
        let mut running = supervised(Stage::Running(Lifetime::default()));
        assert!(matches!(running.take(Change::Start), Task::Nothing));
        assert_eq!(running.view().condition, Condition::Running);
        let mut stopped = supervised(Stage::Stopped);
        assert!(matches!(stopped.take(Change::Stop), Task::Nothing));
        assert!(matches!(stopped.take(Change::Restart), Task::Start));
        let mut failed = supervised(Stage::Failed("in use".into()));
        assert!(matches!(failed.take(Change::Stop), Task::Nothing));
        assert_eq!(failed.view().condition, Condition::Failed("in use".into()));
        assert!(matches!(failed.take(Change::Start), Task::Start));
    }

    #[test]
    fn the_last_order_counts_while_a_server_stops() {
        let orders = [
            (&[Change::Stop][..], Then::Rest),
            (&[Change::Restart], Then::Start),
            (&[Change::Stop, Change::Start], Then::Start),
            (&[Change::Restart, Change::Stop], Then::Rest),
            (&[Change::Stop, Change::Restart, Change::Stop], Then::Rest),
        ];
        for (orders, then) in orders {
            let mut supervised = supervised(Stage::Running(Lifetime::default()));
            assert!(matches!(supervised.take(orders[0]), Task::End(_)));
            for &what in &orders[1..] {
                assert!(matches!(supervised.take(what), Task::Nothing));
            }
            assert_eq!(supervised.view().condition, Condition::Stopping);
            let starts = matches!(supervised.stopped(&Observers::none()), Task::Start);
            assert_eq!(starts, then == Then::Start, "{orders:?}");
            assert_eq!(supervised.view().condition, Condition::Stopped);
        }
    }
}
