//! Handshakes with real clients, and with what is none.

use super::*;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

const EHLO: &[u8] = b"EHLO tester\r\n";

/// An authority in a directory of its own, and what its servers present.
struct House {
    tls: Arc<Tls>,
    dir: TempDir,
}

impl House {
    fn new(domain: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = CertificateSource::Authority {
            directory: dir.path().join("mailconsole/ca"),
            domain: domain.into(),
        };
        let tls = Arc::new(Tls::new(source));
        tls.ready().unwrap();
        Self { tls, dir }
    }

    fn authority(&self) -> CertificateDer<'static> {
        let directory = self.dir.path().join("mailconsole/ca");
        Authority::load(&directory).unwrap().unwrap().certificate().clone()
    }

    /// What comes of a client that sends these octets and then closes its side.
    async fn hears(&self, octets: &[u8]) -> String {
        let (ours, mut theirs) = duplex(4_096);
        let refused = self.tls.accept(ours.into());
        let client = async {
            theirs.write_all(octets).await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).await.unwrap();
        };
        tokio::join!(refused, client).0.unwrap_err().to_string()
    }

    /// What comes of a client of TLS that has these roots and expects this name.
    async fn meets(
        &self,
        roots: &[CertificateDer<'static>],
        name: &str,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(Stream, TlsStream<DuplexStream>, Secured), String> {
        let (ours, theirs) = duplex(4_096);
        let connector = TlsConnector::from(Arc::new(client(roots, version)));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let accepted = async { self.tls.accept(ours.into()).await.map_err(|why| why.to_string()) };
        let (accepted, connected) = tokio::join!(accepted, connector.connect(name, theirs));
        let (stream, secured) = accepted?;
        Ok((stream, connected.unwrap(), secured))
    }
}

fn client(
    roots: &[CertificateDer<'static>],
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth()
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_by_every_name_of_this_machine() {
    let house = House::new("mail.test");
    for (name, version, note) in [
        ("localhost", &TLS13, "TLS 1.3 TLS_AES_256_GCM_SHA384"),
        ("127.0.0.1", &TLS12, "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ("::1", &TLS13, "TLS 1.3 TLS_AES_256_GCM_SHA384"),
        ("mail.test", &TLS12, "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let met = house.meets(&[house.authority()], name, version).await;
        let (mut stream, mut client, secured) = met.unwrap();
        assert_eq!(secured.to_string(), note);
        stream.write_all(b"220 secret\r\n").await.unwrap();
        let mut heard = [0; 12];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"220 secret\r\n");
    }
}

#[tokio::test]
async fn why_a_client_gets_no_tls_is_told_in_words() {
    let house = House::new("localhost");
    let stranger = House::new("localhost").authority();
    let untrusted = "client does not trust our certificate";
    for version in [&TLS12, &TLS13] {
        for (roots, name) in [
            (&[][..], "localhost"),
            (std::slice::from_ref(&stranger), "localhost"),
            (&[house.authority()], "mail.example.org"),
        ] {
            let refused = house.meets(roots, name, version).await.map(|_| ()).unwrap_err();
            assert_eq!(refused, untrusted, "{name}");
        }
    }
    for octets in [EHLO, b"CAPA\r\n", b"\r\n\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        assert_eq!(house.hears(octets).await, "client speaks plain text");
    }
    let old = "client offers only versions older than TLS 1.2";
    for version in [[3, 0], [3, 1], [3, 2]] {
        assert_eq!(house.hears(&hello(version)).await, old, "{version:?}");
    }
    assert_eq!(house.hears(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10").await, old);
    let nothing = house.hears(&hello([3, 3])).await;
    assert_eq!(nothing, "client offers no cipher suite, key exchange or signature that we have");
    assert_eq!(house.hears(b"").await, "closed by the client");
    assert_eq!(house.hears(&hello([3, 1])[..20]).await, "closed by the client");
    let garbage = house.hears(b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff").await;
    assert!(garbage.starts_with("client does not speak TLS: "), "{garbage}");
}

/// The hello of an old client: RSA key exchange, no extensions.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 3, version[1].min(1), 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_waited_for_half_a_minute() {
    let house = House::new("localhost");
    for octets in [&b""[..], b"\x16", &hello([3, 1])[..30]] {
        let (ours, mut theirs) = duplex(4_096);
        theirs.write_all(octets).await.unwrap();
        let refused = house.tls.accept(ours.into()).await.unwrap_err();
        assert_eq!(refused.to_string(), "no handshake within 30 s");
    }
}

#[tokio::test]
async fn a_client_that_closes_without_a_goodbye_has_closed() {
    let house = House::new("localhost");
    let met = house.meets(&[house.authority()], "localhost", &TLS13).await;
    let (mut stream, client, _) = met.unwrap();
    drop(client);
    let mut input = crate::wire::line::LineBuffer::new(100);
    assert_eq!(stream.read_into(&mut input, 100).await.unwrap(), 0);
}

#[test]
fn the_certificate_is_renewed_before_it_expires_and_is_valid_for_397_days_at_most() {
    let house = House::new("localhost");
    let day = Duration::from_hours(24);
    let now = SystemTime::now();
    let first = house.tls.config(now).unwrap();
    assert!(Arc::ptr_eq(&first, &house.tls.config(now + 364 * day).unwrap()));
    let second = house.tls.config(now + 366 * day).unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &house.tls.config(now + 600 * day).unwrap()));
    let identity = house.tls.identity(now).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&identity.chain[0]).unwrap();
    let valid = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert!(valid <= 397 * 86_400, "{valid}");
}

#[test]
fn a_certificate_that_cannot_be_renewed_is_used_on() {
    let house = House::new("localhost");
    let later = SystemTime::now() + Duration::from_hours(366 * 24);
    std::fs::remove_file(house.dir.path().join("mailconsole/ca/ca.pem")).unwrap();
    let before = house.tls.config(SystemTime::now()).unwrap();
    assert!(Arc::ptr_eq(&before, &house.tls.config(later).unwrap()));
    let another = Tls::new(house.tls.source.clone());
    assert!(another.ready().unwrap_err().to_string().contains("ca.pem is missing"));
}

/// A certificate for a name, and its key, signed by itself.
fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key);
    (certificate.unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_certificate_of_the_users_own_is_taken_with_its_chain_and_its_own_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let outcome = |certificates: &str, keys: &str| {
        std::fs::write(&certificate, certificates).unwrap();
        std::fs::write(&key, keys).unwrap();
        let source =
            CertificateSource::Files { certificate: certificate.clone(), key: key.clone() };
        Tls::new(source).ready().map_err(|error| error.to_string())
    };
    let (one, its_key) = pair("mail.example.org");
    let (other, other_key) = pair("other.example.org");
    assert_eq!(outcome(&one, &its_key), Ok(()));
    assert_eq!(outcome(&format!("a comment\n{one}{other}"), &its_key), Ok(()));
    // Both may stand in one file.
    assert_eq!(outcome(&format!("{its_key}{one}"), &format!("{one}{its_key}")), Ok(()));
    for (certificates, keys, words) in [
        (&*one, &*other_key, "does not belong to the certificate in"),
        (&format!("{other}{one}"), &its_key, "put that one first"),
        ("", &its_key, "holds no certificate"),
        (&its_key, &its_key, "holds no certificate"),
        (&one, "", "holds no private key"),
        (&one, &one, "holds no private key"),
        (&one, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "openssl pkey -in "),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &its_key,
            "cannot be used",
        ),
    ] {
        let sentence = outcome(certificates, keys).unwrap_err();
        assert!(sentence.contains(words), "{sentence}");
        assert!(sentence.contains(dir.path().to_str().unwrap()), "{sentence}");
    }
    let missing = CertificateSource::Files { certificate: "/nonexistent".into(), key };
    let sentence = Tls::new(missing).ready().unwrap_err().to_string();
    assert!(sentence.starts_with("cannot read /nonexistent: "), "{sentence}");
    assert!(sentence.ends_with("Name another file with --tls-cert"), "{sentence}");
}

#[test]
fn the_names_of_a_certificate_are_those_that_clients_ask_for() {
    let house = House::new("mail.test");
    let identity = house.tls.identity(SystemTime::now()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&identity.chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0].contains("localhost") && names[1].contains("mail.test"), "{names:?}");
}
