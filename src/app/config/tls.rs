//! Where the servers' certificate comes from.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use crate::app::config_error::ConfigError;
use crate::console::setting::table::Options;
use crate::servers::tls::CertificateSource;

/// Where the certificate comes from: files that are named, or else our own authority.
///
/// Nothing is read or made here. `None` if there is no place for an authority, and TLS is not needed
/// from the start: it can still be offered while the servers run.
///
/// # Errors
///
/// If only one of the two files is named, or there is no place for an authority.
pub fn certificate_source(
    options: &Options,
    domain: &Arc<str>,
    is_needed: bool,
) -> Result<Option<CertificateSource>, ConfigError> {
    const CERTIFICATE: &str = "--tls-cert";
    const KEY: &str = "--tls-key";
    match (options.tls_cert.clone(), options.tls_key.clone()) {
        (Some(certificate), Some(key)) => Ok(Some(CertificateSource::Files { certificate, key })),
        (Some(_), None) => Err(ConfigError::Half { given: CERTIFICATE, missing: KEY }),
        (None, Some(_)) => Err(ConfigError::Half { given: KEY, missing: CERTIFICATE }),
        (None, None) => match authority_directory() {
            Ok(directory) => {
                Ok(Some(CertificateSource::Authority { directory, domain: Arc::clone(domain) }))
            }
            Err(error) if is_needed => Err(error),
            Err(_) => Ok(None),
        },
    }
}

/// The directory of our own authority, which is the user's and not that of the mailboxes: clients
/// are told once to trust it.
///
/// # Errors
///
/// If the user has no home directory.
pub fn authority_directory() -> Result<PathBuf, ConfigError> {
    // A relative path is to be ignored, says the XDG Base Directory Specification.
    let named = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || env::home_dir().filter(|home| home.is_absolute());
    let data = named.or_else(|| Some(usual()?.join(".local/share")));
    Ok(data.ok_or(ConfigError::NoDataHome)?.join("mailconsole/ca"))
}
