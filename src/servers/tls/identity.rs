//! What a server presents: a certificate and its key, however it came by them.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its key, ready to be presented.
pub(super) struct Identity {
    /// The certificate first, then those that lead to its authority.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub(super) key: PrivateKeyDer<'static>,
    /// When another one must be issued; `None` if this one is not ours to renew.
    pub(super) renewal: Option<SystemTime>,
}

/// The cryptography that everything here uses.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
