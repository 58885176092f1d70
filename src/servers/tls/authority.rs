//! Our own certificate authority: two files in a directory of the user's, made once. It may only
//! certify names of this machine and of tests, so that a stolen key is worth little, and it issues
//! the servers' certificates, which are never written to a file.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
    SanType, SerialNumber,
};
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::servers::tls::error::TlsError;
use crate::servers::tls::files::bounded;
use crate::servers::tls::identity::{Identity, provider};

/// The file of the authority's certificate, which clients are told to trust.
pub const CERTIFICATE_FILE: &str = "ca.pem";

/// The file of its private key.
const KEY_FILE: &str = "ca.key";

const DAY: Duration = Duration::from_hours(24);

/// How long an authority is valid.
const AUTHORITY_DAYS: u32 = 3_652;

/// How long a server's certificate is valid: with the day before, at most the 398 days that Apple's
/// programs take.
const LEAF_DAYS: u32 = 395;

/// How long before its end a server's certificate is replaced.
const RENEWAL_DAYS: u32 = 30;

/// Names that any authority of ours may certify, with all names below them: those that RFC 6761
/// reserves for this machine and for tests.
const NAMES: [&str; 2] = ["localhost", "test"];

/// The certificate authority.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// The domains that it may certify, with all below them; `None` if any.
    permitted: Option<Vec<String>>,
    expires: SystemTime,
}

/// The path of the certificate in the directory of an authority.
#[must_use]
pub fn certificate_path(directory: &Path) -> PathBuf {
    directory.join(CERTIFICATE_FILE)
}

/// The warning that the authority may not certify `domain`, with the remedy.
#[must_use]
pub fn sentence_on_domain(domain: &str, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "the certificate is not for {domain} (--domain), because the certificate authority in \
         {directory} was made for other names: run mailconsole ca uninstall, remove {directory}, \
         start again with the same --domain, and let clients trust the new authority"
    )
}

impl Authority {
    /// Reads the authority in `directory`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read or used.
    pub fn load(directory: &Path) -> Result<Option<Self>, TlsError> {
        let pem = content(directory, CERTIFICATE_FILE)?;
        let key = content(directory, KEY_FILE)?;
        let missing = match (pem, key) {
            (Some(pem), Some(key)) => return read(directory, pem, &key).map(Some),
            (None, None) => return Ok(None),
            (Some(_), None) => KEY_FILE,
            (None, Some(_)) => CERTIFICATE_FILE,
        };
        Err(TlsError::Incomplete { directory: directory.to_owned(), missing })
    }

    /// Reads the authority in `directory`; makes one that is valid from `now` on, also for
    /// `domain`, if there is none. Of several processes that do this at once, one makes it and the
    /// others read it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// If it cannot be read, used or made.
    pub fn load_or_make(directory: &Path, domain: &str, now: SystemTime) -> Result<Self, TlsError> {
        let not_made = |error| TlsError::NotMade(directory.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(not_made)?;
        // Held until it is dropped. The directory itself is locked, so that no file is left over.
        let lock = File::open(directory).map_err(not_made)?;
        lock.lock().map_err(not_made)?;
        if Self::load(directory)?.is_none() {
            let Made { pem, key } = make(domain, now)?;
            write(directory, KEY_FILE, key.as_bytes(), 0o400).map_err(not_made)?;
            write(directory, CERTIFICATE_FILE, pem.as_bytes(), 0o444).map_err(not_made)?;
            lock.sync_all().map_err(not_made)?;
        }
        let authority =
            Self::load(directory)?.ok_or_else(|| not_made(io::ErrorKind::NotFound.into()))?;
        if authority.expires <= now + DAY {
            return Err(TlsError::Unusable(directory.to_owned(), "it has expired".to_owned()));
        }
        Ok(authority)
    }

    /// The certificate as PEM, as it stands in the file.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The name by which stores of certificates know it.
    #[must_use]
    pub fn name(&self) -> String {
        let parsed = X509Certificate::from_der(&self.certificate).ok();
        let name = parsed.as_ref().and_then(|(_, certificate)| {
            certificate.subject().iter_common_name().next()?.as_str().ok()
        });
        name.unwrap_or("mailconsole authority").to_owned()
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether it may certify `domain`.
    #[must_use]
    pub fn permits(&self, domain: &str) -> bool {
        self.permitted.as_ref().is_none_or(|permitted| is_within(domain, permitted))
    }

    /// An authority that is new and in no file.
    pub(super) fn in_memory(domain: &str, now: SystemTime) -> Result<Self, TlsError> {
        let Made { pem, key } = make(domain, now)?;
        read(Path::new(CERTIFICATE_FILE), pem.into_bytes(), key.as_bytes())
    }

    /// Issues a server's certificate for localhost, for the loopback addresses and, where it may,
    /// for `domain`.
    pub(super) fn issue(&self, domain: &str, now: SystemTime) -> Result<Identity, TlsError> {
        let end = self.expires.min(now + LEAF_DAYS * DAY);
        let (certificate, key) = self.certify(&self.names(domain), now, end)?;
        // Close to the end of the authority itself there is less left.
        let renewal = end - (RENEWAL_DAYS * DAY).min(span(now, end) / 2);
        Ok(identity(certificate, &key, Some(renewal)))
    }

    /// Issues the same certificate as it would have been long ago: it has expired.
    pub(super) fn issue_expired(
        &self,
        domain: &str,
        now: SystemTime,
    ) -> Result<Identity, TlsError> {
        let then = now.checked_sub(LEAF_DAYS * DAY).unwrap_or(UNIX_EPOCH);
        let end = now.checked_sub(DAY).unwrap_or(UNIX_EPOCH);
        let (certificate, key) = self.certify(&self.names(domain), then, end)?;
        Ok(identity(certificate, &key, None))
    }

    /// Issues a certificate for this name and for no address.
    pub(super) fn issue_for(&self, name: &str, now: SystemTime) -> Result<Identity, TlsError> {
        let end = self.expires.min(now + LEAF_DAYS * DAY);
        let names = [SanType::DnsName(name.to_owned().try_into().map_err(broken)?)];
        let (certificate, key) = self.sign(names.into(), now, end)?;
        Ok(identity(certificate, &key, None))
    }

    /// The names that a server's certificate is for.
    fn names<'a>(&self, domain: &'a str) -> Vec<&'a str> {
        let names = [Some("localhost"), (domain != "localhost").then_some(domain)];
        names.into_iter().flatten().filter(|name| self.permits(name)).collect()
    }

    fn certify(
        &self,
        names: &[&str],
        now: SystemTime,
        end: SystemTime,
    ) -> Result<(CertificateDer<'static>, KeyPair), TlsError> {
        let mut all = Vec::new();
        for name in names {
            all.push(SanType::DnsName((*name).to_owned().try_into().map_err(broken)?));
        }
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        all.extend(addresses.map(SanType::IpAddress));
        self.sign(all, now, end)
    }

    fn sign(
        &self,
        names: Vec<SanType>,
        now: SystemTime,
        end: SystemTime,
    ) -> Result<(CertificateDer<'static>, KeyPair), TlsError> {
        let mut params = usual(now, end, "mailconsole server")?;
        params.subject_alt_names = names;
        // Written out, because strict clients want a subject key identifier (RFC 5280 section
        // 4.2.1.2), which rcgen writes only together with it.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(broken)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(broken)?;
        Ok((certificate.into(), key))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("permitted", &self.permitted)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

fn identity(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    renewal: Option<SystemTime>,
) -> Identity {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Identity { chain: vec![certificate], key, renewal }
}

/// The two files of an authority that is new.
struct Made {
    pem: String,
    key: String,
}

fn make(domain: &str, now: SystemTime) -> Result<Made, TlsError> {
    // A name of its own: where an authority is made anew, clients may trust the old one still, and
    // some tell authorities apart by their names.
    let name = format!("mailconsole authority {:08x}", u32::from_be_bytes(random()?));
    let mut params = usual(now, now + AUTHORITY_DAYS * DAY, &name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(constraints(domain));
    let key = KeyPair::generate().map_err(broken)?;
    let certificate = params.self_signed(&key).map_err(broken)?;
    Ok(Made { pem: certificate.pem(), key: key.serialize_pem() })
}

/// The names that a new authority may certify.
fn constraints(domain: &str) -> NameConstraints {
    let mut names = NAMES.map(str::to_owned).to_vec();
    if domain.is_ascii() && !is_within(domain, &names) {
        names.push(domain.to_owned());
    }
    let addresses = [
        CidrSubnet::from_v4_prefix(Ipv4Addr::new(127, 0, 0, 0).octets(), 8),
        CidrSubnet::from_v6_prefix(Ipv6Addr::LOCALHOST.octets(), 128),
    ];
    // Otherwise it could certify anybody's mail address: a kind of name without a constraint is
    // free (RFC 5280 section 4.2.1.10).
    let mail = GeneralSubtree::Rfc822Name("localhost".to_owned());
    let names = names.into_iter().map(GeneralSubtree::DnsName);
    NameConstraints {
        permitted_subtrees: names
            .chain(addresses.map(GeneralSubtree::IpAddress))
            .chain([mail])
            .collect(),
        excluded_subtrees: Vec::new(),
    }
}

/// What the certificates of an authority and of a server have in common.
fn usual(now: SystemTime, end: SystemTime, name: &str) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A day ago, for clients whose clock is behind.
    params.not_before = now.checked_sub(DAY).unwrap_or(now).into();
    params.not_after = end.into();
    params.use_authority_key_identifier_extension = true;
    let mut serial: [u8; 16] = random()?;
    // Positive, and as long as it looks (RFC 5280 section 4.1.2.2).
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Reads an authority from the contents of its files.
fn read(directory: &Path, pem: Vec<u8>, key: &[u8]) -> Result<Authority, TlsError> {
    let unusable = |why: &str| TlsError::Unusable(directory.to_owned(), why.to_owned());
    let no_certificate = || unusable("ca.pem is no certificate");
    let pem = String::from_utf8(pem).map_err(|_| no_certificate())?;
    let certificate =
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| no_certificate())?;
    let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| no_certificate())?;
    if !parsed.is_ca() {
        return Err(unusable("ca.pem is no certificate of an authority"));
    }
    let key = str::from_utf8(key).ok().and_then(|key| KeyPair::from_pem(key).ok());
    let key = key.ok_or_else(|| unusable("ca.key is no private key"))?;
    if key.subject_public_key_info() != parsed.public_key().raw {
        return Err(unusable("ca.key does not belong to ca.pem"));
    }
    let permitted = permitted(&parsed);
    let expires = parsed.validity().not_after.timestamp();
    let expires = UNIX_EPOCH + Duration::from_secs(u64::try_from(expires).unwrap_or_default());
    let issuer = Issuer::from_ca_cert_der(&certificate, key);
    let issuer = issuer.map_err(|error| unusable(&error.to_string()))?;
    Ok(Authority { certificate, pem, issuer, permitted, expires })
}

/// The domains that a certificate's name constraints permit; `None` if any.
fn permitted(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let constraints = certificate.name_constraints().ok().flatten()?;
    let subtrees = constraints.value.permitted_subtrees.as_ref()?;
    let names = subtrees.iter().filter_map(|subtree| match subtree.base {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        _ => None,
    });
    Some(names.collect())
}

fn is_within(domain: &str, permitted: &[String]) -> bool {
    let domain = domain.to_ascii_lowercase();
    permitted.iter().any(|name| {
        let name = name.trim_start_matches('.').to_ascii_lowercase();
        domain.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// The content of a file of the authority; `None` if it does not exist.
fn content(directory: &Path, file: &str) -> Result<Option<Vec<u8>>, TlsError> {
    let path = directory.join(file);
    match bounded(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TlsError::Unreadable { path, directory: directory.to_owned(), error }),
    }
}

/// Writes a new file, whole or not at all.
fn write(directory: &Path, file: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = directory.join(format!(".{file}.new"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
    new.write_all(content)?;
    new.sync_all()?;
    fs::rename(unfinished, directory.join(file))
}

/// Random octets, which nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut octets = [0; N];
    let filled = provider().secure_random.fill(&mut octets);
    filled.map_err(|_| TlsError::Broken(Error::FailedToGetRandomBytes.to_string()))?;
    Ok(octets)
}

fn span(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: rcgen::Error) -> TlsError {
    TlsError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Barrier};
    use std::thread;

    use tempfile::TempDir;
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;
    use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};

    fn place() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("data/mailconsole/ca");
        (dir, directory)
    }

    fn made(directory: &Path, domain: &str) -> Authority {
        Authority::load_or_make(directory, domain, SystemTime::now()).unwrap()
    }

    fn sentence(directory: &Path) -> String {
        Authority::load_or_make(directory, "localhost", SystemTime::now()).unwrap_err().to_string()
    }

    /// Whether a client that trusts the authority takes a certificate for `name` that was issued
    /// for `names` with the authority's key, whatever the authority may do.
    fn takes(authority: &Authority, names: &[&str], name: &str) -> bool {
        let now = SystemTime::now();
        let mut params = usual(now, now + DAY, "a thief's server").unwrap();
        params.subject_alt_names =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
                .unwrap()
                .subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::now();
        verifier.unwrap().verify_server_cert(leaf.der(), &[], &name, &[], now).is_ok()
    }

    #[test]
    fn an_authority_is_made_once_for_the_eyes_of_its_owner() {
        let (_dir, directory) = place();
        let first = made(&directory, "localhost");
        assert_eq!(made(&directory, "example.org").pem(), first.pem());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join("ca.key")), 0o400);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(certificate_path(&directory)).unwrap(), first.pem());
        let name = first.name();
        assert_eq!(name.len(), "mailconsole authority 00c0ffee".len(), "{name}");
        let years = span(SystemTime::now(), first.expires).as_secs() / (365 * 86_400);
        assert_eq!(years, 10);
    }

    #[test]
    fn threads_that_start_at_once_make_one_authority() {
        let (_dir, directory) = place();
        let barrier = Barrier::new(8);
        let make = || {
            barrier.wait();
            made(&directory, "localhost").pem().to_owned()
        };
        let pems: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pems.iter().all(|pem| *pem == pems[0]));
    }

    #[test]
    fn what_a_crash_left_of_the_making_is_no_obstacle() {
        let (_dir, directory) = place();
        fs::create_dir_all(&directory).unwrap();
        for file in [".ca.key.new", ".ca.pem.new"] {
            fs::write(directory.join(file), "half").unwrap();
        }
        made(&directory, "localhost");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    }

    #[test]
    fn an_authority_that_cannot_be_used_is_told_with_the_remedy() {
        let (_dir, directory) = place();
        made(&directory, "localhost");
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        let contents = [&certificate, &key].map(|path| fs::read(path).unwrap());
        let (_other_dir, other) = place();
        made(&other, "localhost");
        let other_key = fs::read(other.join("ca.key")).unwrap();
        let write = |path: &Path, content: Option<&[u8]>| {
            let _ = fs::remove_file(path);
            content.map_or(Ok(()), |content| fs::write(path, content)).unwrap();
        };
        for (certificate_is, key_is, words) in [
            (None, Some(&contents[1][..]), "is incomplete: ca.pem is missing"),
            (Some(&contents[0][..]), None, "is incomplete: ca.key is missing"),
            (Some(b""), Some(&contents[1]), "ca.pem is no certificate"),
            (Some(&contents[0][..99]), Some(&contents[1]), "ca.pem is no certificate"),
            (Some(&contents[0]), Some(b"\xff"), "ca.key is no private key"),
            (Some(&contents[0]), Some(&other_key), "ca.key does not belong to ca.pem"),
        ] {
            write(&certificate, certificate_is);
            write(&key, key_is);
            let sentence = sentence(&directory);
            assert!(sentence.contains(words), "{sentence}");
            assert!(sentence.contains("Remove /"), "{sentence}");
        }
        write(&certificate, None);
        fs::create_dir(&certificate).unwrap();
        assert!(sentence(&directory).starts_with("cannot read /"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let sentence = sentence(&file.path().join("ca"));
        assert!(sentence.contains("set XDG_DATA_HOME"), "{sentence}");
    }

    #[test]
    fn an_authority_that_has_expired_is_told_and_one_that_will_expire_issues_no_longer_than_it_lives()
     {
        let (_dir, directory) = place();
        let now = SystemTime::now();
        made(&directory, "localhost");
        let years = |days: u32| Authority::load_or_make(&directory, "localhost", now + days * DAY);
        let authority = years(3_600).unwrap();
        let identity = authority.issue("localhost", now + 3_600 * DAY).unwrap();
        let (_, leaf) = X509Certificate::from_der(&identity.chain[0]).unwrap();
        let end = leaf.validity().not_after.timestamp();
        let expires = authority.expires.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(u64::try_from(end).unwrap(), expires);
        assert!(identity.renewal.unwrap() < authority.expires);
        let error = years(3_652).unwrap_err().to_string();
        assert!(error.contains("it has expired"), "{error}");
    }

    #[test]
    fn a_stolen_key_makes_no_certificate_for_the_rest_of_the_world() {
        let (_dir, directory) = place();
        let authority = made(&directory, "Mail.Example.ORG");
        for name in [
            "localhost",
            "a.localhost",
            "b.test",
            "127.0.0.1",
            "127.99.1.2",
            "::1",
            "mail.example.org",
        ] {
            assert!(takes(&authority, &[name], name), "{name}");
        }
        for name in ["example.org", "evil.com", "localhost.evil.com", "mytest", "192.0.2.1", "::2"]
        {
            assert!(!takes(&authority, &[name], name), "{name}");
            // Not beside a name that it may certify either.
            assert!(!takes(&authority, &["localhost", name], "localhost"), "{name}");
        }
    }

    #[test]
    fn a_domain_that_came_later_is_left_out_and_told() {
        let (_dir, directory) = place();
        let authority = made(&directory, "localhost");
        for domain in ["localhost", "LOCALHOST", "mail.test", "x.localhost"] {
            assert!(authority.permits(domain), "{domain}");
        }
        for domain in ["example.org", "localhost.org", "mytest"] {
            assert!(!authority.permits(domain), "{domain}");
        }
        let identity = authority.issue("example.org", SystemTime::now()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&identity.chain[0]).unwrap();
        let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len();
        assert_eq!(names, 3);
        let sentence = sentence_on_domain("example.org", &directory);
        assert!(sentence.contains("mailconsole ca uninstall"), "{sentence}");
    }
}
