//! TLS for the servers' connections: the certificate that they present, and the handshake.
//! Independent of the protocol that is spoken inside.

pub mod authority;
pub mod error;
pub mod failure;
mod files;
mod identity;
mod opening;
mod wrong;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use crate::servers::limits::HANDSHAKE;
use crate::servers::stream::{Stream, version_of};
use crate::servers::tls::authority::Authority;
use crate::servers::tls::error::TlsError;
use crate::servers::tls::failure::HandshakeError;
use crate::servers::tls::identity::{Identity, provider};
use crate::servers::tls::opening::Opening;
pub use crate::servers::tls::wrong::Presented;

/// Where the servers' certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Our own authority issues it. The certificate itself is only ever in memory.
    Authority {
        /// Where the authority is; it is made there if there is none.
        directory: PathBuf,
        /// The domain of the mailboxes, one of the names that the certificate is for.
        domain: Arc<str>,
    },
    /// Two PEM files, read at the start.
    Files {
        /// The certificate, and behind it those that lead to its authority.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Performs the servers' side of TLS handshakes (TLS 1.2 and 1.3). The certificate is loaded or
/// issued when it is first needed.
#[derive(Debug)]
pub struct Tls {
    source: CertificateSource,
    made: Mutex<Option<Made>>,
    /// Those that are wrong on purpose, each made when it is first wanted.
    wrong: Mutex<Vec<(Presented, Arc<ServerConfig>)>>,
}

#[derive(Debug, Clone)]
struct Made {
    config: Arc<ServerConfig>,
    renewal: Option<SystemTime>,
}

/// What was agreed in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secured {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite as rustls spells it: `TLS13_AES_256_GCM_SHA384`.
    suite: &'static str,
}

impl Tls {
    /// TLS with a certificate from `source`, which is not touched yet.
    #[must_use]
    pub const fn new(source: CertificateSource) -> Self {
        Self { source, made: Mutex::new(None), wrong: Mutex::new(Vec::new()) }
    }

    /// Loads or issues the certificate, so that errors are told before the first client comes.
    /// Makes the authority if there is none. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Why there is no certificate.
    pub fn ready(&self) -> Result<(), TlsError> {
        self.config(SystemTime::now()).map(|_| ())
    }

    /// A sentence for the user if the certificate cannot be for the domain, because the authority
    /// was made for others. Blocks on the disk.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let CertificateSource::Authority { directory, domain } = &self.source else { return None };
        let authority = Authority::load(directory).ok().flatten()?;
        let is_left_out = !authority.permits(domain);
        is_left_out.then(|| authority::sentence_on_domain(domain, directory))
    }

    /// Performs the handshake over `stream`, within [`HANDSHAKE`].
    ///
    /// # Errors
    ///
    /// Why there is no TLS. The connection is gone then.
    pub async fn accept(
        self: &Arc<Self>,
        stream: Stream,
    ) -> Result<(Stream, Secured), HandshakeError> {
        self.accept_presenting(Presented::Right, stream).await
    }

    /// The same with a certificate that may be wrong on purpose.
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept).
    pub async fn accept_presenting(
        self: &Arc<Self>,
        presented: Presented,
        stream: Stream,
    ) -> Result<(Stream, Secured), HandshakeError> {
        let config = self.prepared(presented).await.map_err(HandshakeError::Certificate)?;
        let opening = Opening::new(stream.into_io());
        let handshake = TlsAcceptor::from(config).accept(opening).into_fallible();
        let Ok(done) = timeout(HANDSHAKE, handshake).await else {
            return Err(HandshakeError::Silent);
        };
        let secured = done.map_err(|(error, opening)| failure::of(error, &opening))?;
        let agreed = Secured::of(secured.get_ref().1);
        Ok((secured.into(), agreed))
    }

    /// The configuration; made on a blocking thread if it must be made.
    async fn prepared(
        self: &Arc<Self>,
        presented: Presented,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        if presented == Presented::Right
            && let Some(config) = self.fresh(SystemTime::now())
        {
            return Ok(config);
        }
        let tls = Arc::clone(self);
        let made = spawn_blocking(move || match presented {
            Presented::Right => tls.config(SystemTime::now()),
            wrong => tls.wrong_config(wrong, SystemTime::now()),
        })
        .await;
        made.unwrap_or_else(|error| Err(TlsError::Broken(error.to_string())))
    }

    /// The configuration, unless it must be made or renewed.
    fn fresh(&self, now: SystemTime) -> Option<Arc<ServerConfig>> {
        let made = self.made.lock();
        let made = made.as_ref().filter(|made| made.renewal.is_none_or(|renewal| now < renewal))?;
        Some(Arc::clone(&made.config))
    }

    fn config(&self, now: SystemTime) -> Result<Arc<ServerConfig>, TlsError> {
        if let Some(config) = self.fresh(now) {
            return Ok(config);
        }
        // Not under the lock: other handshakes go on with the old certificate.
        match self.identity(now).and_then(made) {
            Ok(made) => {
                let config = Arc::clone(&made.config);
                *self.made.lock() = Some(made);
                Ok(config)
            }
            Err(error) => self.keep(error, now),
        }
    }

    fn wrong_config(
        &self,
        presented: Presented,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let mut kept = self.wrong.lock();
        if let Some((_, config)) = kept.iter().find(|(one, _)| *one == presented) {
            return Ok(Arc::clone(config));
        }
        let (directory, domain) = match &self.source {
            CertificateSource::Authority { directory, domain } => (Some(&**directory), &**domain),
            CertificateSource::Files { .. } => (None, "localhost"),
        };
        let config = made(wrong::identity(directory, domain, presented, now)?)?.config;
        kept.push((presented, Arc::clone(&config)));
        Ok(config)
    }

    /// Goes on with the certificate that should have been renewed, for a while; without one, there
    /// is no TLS.
    fn keep(&self, error: TlsError, now: SystemTime) -> Result<Arc<ServerConfig>, TlsError> {
        const AGAIN: Duration = Duration::from_hours(1);
        let mut made = self.made.lock();
        let Some(made) = made.as_mut() else { return Err(error) };
        tracing::warn!("the certificate cannot be renewed: {error}");
        made.renewal = Some(now + AGAIN);
        Ok(Arc::clone(&made.config))
    }

    fn identity(&self, now: SystemTime) -> Result<Identity, TlsError> {
        match &self.source {
            CertificateSource::Authority { directory, domain } => {
                Authority::load_or_make(directory, domain, now)?.issue(domain, now)
            }
            CertificateSource::Files { certificate, key } => files::identity(certificate, key),
        }
    }
}

impl Secured {
    fn of(connection: &ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Self {
            version: version_of(connection),
            suite: suite.unwrap_or("with an unknown cipher suite"),
        }
    }
}

/// `TLS 1.3 TLS_AES_256_GCM_SHA384`: the version, and the cipher suite as the RFCs spell it.
impl fmt::Display for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.suite.strip_prefix("TLS13_") {
            Some(suite) => write!(f, "{} TLS_{suite}", self.version),
            None => write!(f, "{} {}", self.version, self.suite),
        }
    }
}

fn made(identity: Identity) -> Result<Made, TlsError> {
    let Identity { chain, key, renewal } = identity;
    let builder = ServerConfig::builder_with_provider(provider());
    let config = builder
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| TlsError::Broken(error.to_string()))?;
    // No session is taken up again: that would cost memory for each client, to save a mail client
    // some milliseconds.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Made { config: Arc::new(config), renewal })
}

#[cfg(test)]
mod tests;
