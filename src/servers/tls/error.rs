//! Why there is no certificate to present.

use std::io;
use std::path::PathBuf;

/// Why there is no certificate: a sentence that names the file, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the authority cannot be read.
    #[error(
        "cannot read {path}: {error}. Change its permissions, or remove {directory} to have a new \
         certificate authority made", path = .path.display(), directory = .directory.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The directory of the authority.
        directory: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The authority cannot be made.
    #[error(
        "cannot make a certificate authority in {path}: {1}. Change the permissions there, set \
         XDG_DATA_HOME to another directory, or use --tls-cert and --tls-key", path = .0.display()
    )]
    NotMade(PathBuf, #[source] io::Error),
    /// Only one of the authority's two files is there.
    #[error(
        "the certificate authority in {directory} is incomplete: {missing} is missing. Remove \
         {directory}, and a new one is made", directory = .directory.display()
    )]
    Incomplete {
        /// The directory of the authority.
        directory: PathBuf,
        /// The name of the file that is missing.
        missing: &'static str,
    },
    /// The authority's files are there, and are of no use.
    #[error(
        "the certificate authority in {path} cannot be used: {1}. Remove {path}, and a new one is \
         made, which clients must be told to trust", path = .0.display()
    )]
    Unusable(PathBuf, String),
    /// A file of the user's cannot be read.
    #[error("cannot read {path}: {error}. Name another file with {option}", path = .path.display())]
    FileUnreadable {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The user's certificate file has none.
    #[error(
        "{path} holds no certificate: name a PEM file with --tls-cert, the server's certificate first",
        path = .0.display()
    )]
    NoCertificate(PathBuf),
    /// The user's key file has none.
    #[error(
        "{path} holds no private key: name a PEM file with --tls-key that has the certificate's \
         private key", path = .0.display()
    )]
    NoKey(PathBuf),
    /// The user's key is encrypted.
    #[error(
        "the private key in {path} is encrypted: decrypt it with openssl pkey -in {path} -out FILE, \
         and name FILE with --tls-key", path = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The user's key belongs to another certificate.
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}: name a pair \
         with --tls-cert and --tls-key", key = .key.display(), certificate = .certificate.display()
    )]
    OtherKey {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The key belongs to a certificate that is not the first.
    #[error(
        "the first certificate in {path} is not the server's: put that one first, and those of its \
         authorities behind it", path = .0.display()
    )]
    NotFirst(PathBuf),
    /// The user's certificate or key cannot be used.
    #[error(
        "the certificate in {path} cannot be used: {1}. Name another with --tls-cert and --tls-key",
        path = .0.display()
    )]
    FileUnusable(PathBuf, String),
    /// Something within this program or the system.
    #[error("cannot prepare TLS: {0}. Start without the options for TLS")]
    Broken(String),
}
