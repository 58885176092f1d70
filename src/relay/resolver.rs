//! DNS lookups for the relay: MX records and addresses.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use parking_lot::Mutex;
use thiserror::Error;

use crate::relay::mx::Exchange;

/// The longest time for one query to a name server.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Tries after the first one.
const RETRIES: usize = 1;

/// The most CNAMEs that are followed one after another.
const MOST_ALIASES: usize = 8;

/// The system's resolver configuration.
const SYSTEM: &str = "/etc/resolv.conf";

/// The DNS port.
const DNS_PORT: u16 = 53;

/// The DNS lookups that the relay needs.
pub trait Resolver: Send + Sync {
    /// The MX records of a domain, in any order; never an empty list.
    fn exchanges(
        &self,
        domain: &str,
    ) -> impl Future<Output = Result<Vec<Exchange>, NotFound>> + Send;

    /// The addresses of a host, alternating between IPv4 and IPv6; never an empty list.
    fn addresses(&self, host: &str) -> impl Future<Output = Result<Vec<IpAddr>, NotFound>> + Send;

    /// Drops cached answers and reads the list of name servers again. Called at the start of each
    /// run.
    fn renew(&self) {}
}

/// Why a lookup returned nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// The name does not exist (NXDOMAIN) or is not a valid name.
    #[error("the name does not exist")]
    NoName,
    /// The name exists but has no such record.
    #[error("the name has no such record")]
    NoRecord,
    /// No answer now: SERVFAIL, timeout, no name server.
    #[error("{0}")]
    NoAnswer(String),
}

/// Why no name server can be asked at all.
#[derive(Debug, Error)]
enum NoServers {
    /// The system's configuration cannot be read.
    #[error("cannot find out the system's name servers ({0}); name one with --resolver ADDR")]
    System(NetError),
    /// The resolver cannot be set up.
    #[error("cannot ask name servers ({0})")]
    Unusable(NetError),
}

/// A resolver that queries name servers, over UDP and, if an answer does not fit, over TCP.
pub struct Dns {
    servers: Servers,
    /// The longest time for one query.
    patience: Duration,
    current: Mutex<Option<Current>>,
}

/// The name servers to ask.
#[derive(Debug, Clone)]
enum Servers {
    /// Only this one.
    At(SocketAddr),
    /// Those listed in a file, which may change at any time, at this port.
    Listed(PathBuf, u16),
}

/// The resolver in use.
struct Current {
    resolver: Arc<Result<TokioResolver, NoServers>>,
    /// The state of the file that listed the name servers, when it was read.
    file: Option<Stamp>,
}

/// Metadata that shows whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    octets: u64,
    // The ctime, because programs can set the mtime back, but not this.
    changed: (i64, i64),
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dns").field(&self.servers).finish()
    }
}

impl Dns {
    /// Asks the system's current name servers, and its hosts file for addresses. No query takes
    /// longer than `patience`.
    #[must_use]
    pub fn of_system(patience: Duration) -> Self {
        Self::listed_in(Path::new(SYSTEM), DNS_PORT, patience)
    }

    /// Asks the name servers listed in `file`, which has the form of `/etc/resolv.conf`, at `port`.
    #[must_use]
    pub fn listed_in(file: &Path, port: u16, patience: Duration) -> Self {
        Self::new(Servers::Listed(file.to_owned(), port), patience)
    }

    /// Asks only this name server, and not the hosts file. No query takes longer than `patience`.
    #[must_use]
    pub fn at(server: SocketAddr, patience: Duration) -> Self {
        Self::new(Servers::At(server), patience)
    }

    fn new(servers: Servers, patience: Duration) -> Self {
        Self { servers, patience, current: Mutex::new(None) }
    }

    /// The resolver to use now: a new one, with an empty cache, if the file has changed.
    fn resolver(&self) -> Arc<Result<TokioResolver, NoServers>> {
        let mut current = self.current.lock();
        let file = self.servers.stamp();
        match &*current {
            Some(Current { resolver, file: then }) if *then == file => Arc::clone(resolver),
            _ => {
                let resolver = Arc::new(self.servers.resolver(self.patience));
                *current = Some(Current { resolver: Arc::clone(&resolver), file });
                resolver
            }
        }
    }
}

impl Servers {
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::At(_) => None,
            Self::Listed(file, _) => fs::metadata(file).ok().map(|file| Stamp {
                inode: file.ino(),
                octets: file.size(),
                changed: (file.ctime(), file.ctime_nsec()),
            }),
        }
    }

    fn resolver(&self, patience: Duration) -> Result<TokioResolver, NoServers> {
        let (config, mut options, hosts) = match self {
            Self::At(server) => {
                let server = at_port(server.ip(), server.port());
                let config = ResolverConfig::from_name_servers(vec![server]);
                (config, ResolverOpts::default(), ResolveHosts::Never)
            }
            Self::Listed(file, port) => {
                let read = fs::read(file).map_err(NetError::from).and_then(parse_resolv_conf);
                let (config, options) = read.map_err(NoServers::System)?;
                let servers = config.name_servers().iter();
                let servers = servers.map(|server| at_port(server.ip, *port)).collect();
                (ResolverConfig::from_name_servers(servers), options, ResolveHosts::Always)
            }
        };
        options.timeout = patience.min(PATIENCE);
        options.attempts = RETRIES;
        options.use_hosts_file = hosts;
        let provider = TokioRuntimeProvider::default();
        let builder: ResolverBuilder<_> = TokioResolver::builder_with_config(config, provider);
        builder.with_options(options).build().map_err(NoServers::Unusable)
    }
}

fn at_port(address: IpAddr, port: u16) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = port;
        connection
    });
    // `true`: a negative answer of this server is trusted.
    NameServerConfig::new(address, true, connections.to_vec())
}

impl Dns {
    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, NotFound> {
        let name = absolute(name)?;
        let resolver = self.resolver();
        let resolver = (*resolver).as_ref();
        let resolver = resolver.map_err(|error| NotFound::NoAnswer(error.to_string()))?;
        let lookup = resolver.lookup(name, kind).await;
        let lookup = lookup.map_err(|error| not_found(&error))?;
        let records = lookup.answers().iter();
        // The answer also holds the CNAME records on the route.
        let of_kind = records.filter(|record| record.record_type() == kind);
        Ok(of_kind.map(|record| record.data.clone()).collect())
    }

    /// Whether the CNAMEs of a name form a chain without a final record. A lookup of the record
    /// alone reports such a name as one without records.
    async fn aliases_have_no_end(&self, name: &str) -> bool {
        let mut name = name.to_owned();
        for _ in 0..MOST_ALIASES {
            match self.records(&name, RecordType::CNAME).await.as_deref() {
                Ok([RData::CNAME(alias), ..]) => name = alias.to_ascii(),
                _ => return false,
            }
        }
        true
    }
}

impl Resolver for Dns {
    async fn exchanges(&self, domain: &str) -> Result<Vec<Exchange>, NotFound> {
        let records = self.records(domain, RecordType::MX).await?;
        let exchanges: Vec<Exchange> = records.iter().filter_map(exchange).collect();
        if exchanges.is_empty() {
            return Err(NotFound::NoRecord);
        }
        Ok(exchanges)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NotFound> {
        let (v4, v6) =
            tokio::join!(self.records(host, RecordType::A), self.records(host, RecordType::AAAA));
        let found = both(v4, v6)?;
        if found.is_empty() && self.aliases_have_no_end(host).await {
            let reason = format!("the CNAME records of {host} lead nowhere");
            return Err(NotFound::NoAnswer(reason));
        }
        if found.is_empty() {
            return Err(NotFound::NoRecord);
        }
        Ok(found)
    }

    fn renew(&self) {
        *self.current.lock() = None;
    }
}

/// A name with a final dot, so that the system's search list is not applied to it.
fn absolute(name: &str) -> Result<Name, NotFound> {
    let mut name = Name::from_ascii(name).map_err(|_| NotFound::NoName)?;
    // Otherwise the search list could find another domain with the same beginning.
    name.set_fqdn(true);
    Ok(name)
}

fn not_found(error: &NetError) -> NotFound {
    if error.is_nx_domain() {
        NotFound::NoName
    } else if error.is_no_records_found() {
        NotFound::NoRecord
    } else {
        NotFound::NoAnswer(error.to_string())
    }
}

fn exchange(record: &RData) -> Option<Exchange> {
    let RData::MX(record) = record else {
        return None;
    };
    Some(Exchange {
        preference: record.preference,
        host: record.exchange.to_ascii().trim_end_matches('.').to_owned(),
    })
}

type Records = Result<Vec<RData>, NotFound>;

/// Merges both lookups. One address family is enough; an empty list means that the name has
/// neither.
fn both(v4: Records, v6: Records) -> Result<Vec<IpAddr>, NotFound> {
    match (v4, v6) {
        (Err(NotFound::NoName), Err(NotFound::NoName)) => Err(NotFound::NoName),
        (Ok(v4), Ok(v6)) => Ok(taking_turns(&v4, &v6)),
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(taking_turns(&found, &[])),
        (Err(NotFound::NoAnswer(why)), Err(_)) | (Err(_), Err(NotFound::NoAnswer(why))) => {
            Err(NotFound::NoAnswer(why))
        }
        (Err(_), Err(_)) => Ok(Vec::new()),
    }
}

/// Alternates between both families, so that a machine without IPv6 or without IPv4 soon comes to
/// an address it can reach.
fn taking_turns(v4: &[RData], v6: &[RData]) -> Vec<IpAddr> {
    let rounds = 0..v4.len().max(v6.len());
    rounds
        .flat_map(|round| [v4.get(round), v6.get(round)])
        .filter_map(|record| record?.ip_addr())
        .collect()
}
