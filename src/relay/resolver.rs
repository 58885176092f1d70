//! Asks name servers for mail hosts and addresses. Knows nothing of mail beyond MX records.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use thiserror::Error;

use crate::relay::mx::Exchange;

/// How long one try to ask a name server takes at most.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Tries besides the first.
const RETRIES: usize = 1;

/// CNAMEs that are followed from one name to the next.
const MOST_ALIASES: usize = 8;

/// What the relay asks name servers.
pub trait Resolver: Send + Sync {
    /// The MX records of a domain, in no order.
    fn exchanges(
        &self,
        domain: &str,
    ) -> impl Future<Output = Result<Vec<Exchange>, NotFound>> + Send;

    /// The addresses of a host, those of both families taking turns.
    fn addresses(&self, host: &str) -> impl Future<Output = Result<Vec<IpAddr>, NotFound>> + Send;
}

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// The name does not exist (NXDOMAIN), nor could it.
    #[error("the name does not exist")]
    NoName,
    /// The name exists and has no such record.
    #[error("the name has no such record")]
    NoRecord,
    /// Nobody knows at the moment: SERVFAIL, time-out, no name server.
    #[error("{0}")]
    NoAnswer(String),
}

/// Why no name server can be asked at all.
#[derive(Debug, Error)]
pub enum ResolverError {
    /// The system's configuration cannot be read.
    #[error("cannot find out the system's name servers ({0}); name one with --resolver ADDR")]
    System(NetError),
    /// The resolver cannot be set up.
    #[error("cannot ask name servers ({0})")]
    Unusable(NetError),
}

/// Asks real name servers: over UDP, and over TCP what does not fit.
pub struct Dns(Result<TokioResolver, ResolverError>);

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dns").field(&self.0.as_ref().err()).finish()
    }
}

/// Where nobody can be asked, every answer is why.
impl From<ResolverError> for Dns {
    fn from(error: ResolverError) -> Self {
        Self(Err(error))
    }
}

impl Dns {
    /// Asks the system's name servers, and its hosts file for addresses. No try takes longer than
    /// `patience`.
    pub fn of_system(patience: Duration) -> Result<Self, ResolverError> {
        let (config, options) = read_system_conf().map_err(ResolverError::System)?;
        Self::new(config, options, ResolveHosts::Always, patience)
    }

    /// Asks this server and nothing else. No try takes longer than `patience`.
    pub fn at(server: SocketAddr, patience: Duration) -> Result<Self, ResolverError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
            .map(|connection| with_port(connection, server.port()))
            .to_vec();
        let server = NameServerConfig::new(server.ip(), true, connections);
        let config = ResolverConfig::from_name_servers(vec![server]);
        Self::new(config, ResolverOpts::default(), ResolveHosts::Never, patience)
    }

    fn new(
        config: ResolverConfig,
        mut options: ResolverOpts,
        hosts: ResolveHosts,
        patience: Duration,
    ) -> Result<Self, ResolverError> {
        options.timeout = patience.min(PATIENCE);
        options.attempts = RETRIES;
        options.use_hosts_file = hosts;
        let provider = TokioRuntimeProvider::default();
        let builder: ResolverBuilder<_> = TokioResolver::builder_with_config(config, provider);
        let resolver = builder.with_options(options).build();
        resolver.map(|resolver| Self(Ok(resolver))).map_err(ResolverError::Unusable)
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, NotFound> {
        let name = absolute(name)?;
        let resolver = self.0.as_ref().map_err(|error| NotFound::NoAnswer(error.to_string()))?;
        let lookup = resolver.lookup(name, kind).await;
        let lookup = lookup.map_err(|error| not_found(&error))?;
        let records = lookup.answers().iter();
        let of_kind = records.filter(|record| record.record_type() == kind);
        Ok(of_kind.map(|record| record.data.clone()).collect())
    }

    /// Whether the aliases of a name lead from one to the next and never to a record. To those
    /// who only ask for the record, such a name has none.
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
}

fn with_port(mut connection: ConnectionConfig, port: u16) -> ConnectionConfig {
    connection.port = port;
    connection
}

/// A name that no search list of the system is tried on.
fn absolute(name: &str) -> Result<Name, NotFound> {
    let mut name = Name::from_ascii(name).map_err(|_| NotFound::NoName)?;
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

/// One family is enough; an empty list means that the name has neither.
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

/// So that a machine without IPv6, or without IPv4, soon comes to an address it can reach.
fn taking_turns(v4: &[RData], v6: &[RData]) -> Vec<IpAddr> {
    let rounds = 0..v4.len().max(v6.len());
    rounds
        .flat_map(|round| [v4.get(round), v6.get(round)])
        .filter_map(|record| record?.ip_addr())
        .collect()
}
