//! Certificates that are wrong on purpose, for tests of clients: each is made when it is first
//! wanted, and kept.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_rustls::rustls::ServerConfig;

use crate::servers::tls::authority::Authority;
use crate::servers::tls::error::TlsError;
use crate::servers::tls::identity::Identity;
use crate::servers::tls::{CertificateSource, Presented, made};

/// A name that no server here has.
const OTHER_NAME: &str = "wrong.test";

/// The certificates that have been made, each in its place.
#[derive(Debug)]
pub(super) struct WrongCertificates(Mutex<Vec<(Presented, Arc<ServerConfig>)>>);

impl WrongCertificates {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The configuration with a certificate that is wrong in this way. Blocks on the disk.
    pub(super) fn config(
        &self,
        source: &CertificateSource,
        wrong: Presented,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let mut kept = self.0.lock();
        if let Some((_, config)) = kept.iter().find(|(presented, _)| *presented == wrong) {
            return Ok(Arc::clone(config));
        }
        let config = made(identity(source, wrong, now)?)?.config;
        kept.push((wrong, Arc::clone(&config)));
        Ok(config)
    }
}

fn identity(
    source: &CertificateSource,
    wrong: Presented,
    now: SystemTime,
) -> Result<Identity, TlsError> {
    let domain = match source {
        CertificateSource::Authority { domain, .. } => domain,
        CertificateSource::Files { .. } => "localhost",
    };
    let ours = || match source {
        CertificateSource::Authority { directory, .. } => {
            Authority::load_or_make(directory, domain, now)
        }
        // The key of the authority that has certified a user's files is not here.
        CertificateSource::Files { .. } => Authority::in_memory(domain, now),
    };
    match wrong {
        Presented::Right => ours()?.issue(domain, now),
        Presented::Expired => ours()?.issue_expired(domain, now),
        Presented::OtherName => ours()?.issue_for(OTHER_NAME, now),
        Presented::OtherAuthority => Authority::in_memory(domain, now)?.issue(domain, now),
    }
}
