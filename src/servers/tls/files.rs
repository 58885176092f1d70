//! A certificate and its key in PEM files of the user's.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};

use crate::servers::tls::error::TlsError;
use crate::servers::tls::identity::{Identity, provider};

/// The most octets of a PEM file: a chain of a hundred certificates.
pub(super) const PEM_MOST: u64 = 1 << 20;

/// Reads a certificate, with the chain behind it, and its key.
pub(super) fn identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let pem = read(certificate, "--tls-cert")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    let pair = Pair { certificate, key };
    let key = pair.private_key()?;
    pair.check(&chain, &key)?;
    Ok(Identity { chain, key, renewal: None })
}

/// The two files.
struct Pair<'a> {
    certificate: &'a Path,
    key: &'a Path,
}

impl Pair<'_> {
    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
        let pem = read(self.key, "--tls-key")?;
        let text = String::from_utf8_lossy(&pem);
        if ENCRYPTED.iter().any(|sign| text.contains(sign)) {
            return Err(TlsError::EncryptedKey(self.key.to_owned()));
        }
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoKey(self.key.to_owned()))
    }

    fn check(
        &self,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        let fits = |chain: &[CertificateDer<'static>]| {
            CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider()).map(|_| ())
        };
        let behind = chain.get(1..).unwrap_or_default();
        fits(chain).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch)
                if behind.chunks(1).any(|one| fits(one).is_ok()) =>
            {
                TlsError::NotFirst(self.certificate.to_owned())
            }
            Error::InconsistentKeys(_) => TlsError::OtherKey {
                certificate: self.certificate.to_owned(),
                key: self.key.to_owned(),
            },
            error => TlsError::FileUnusable(self.certificate.to_owned(), error.to_string()),
        })
    }
}

fn read(path: &Path, option: &'static str) -> Result<Vec<u8>, TlsError> {
    bounded(path).map_err(|error| TlsError::FileUnreadable { option, path: path.to_owned(), error })
}

/// The beginning of a file, at most [`PEM_MOST`] octets of it.
pub(super) fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.take(PEM_MOST).read_to_end(&mut octets)?;
    Ok(octets)
}
