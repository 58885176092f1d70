//! TLS for the relay's connections: with any certificate for opportunistic TLS, with a verified one
//! where a password follows.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls_native_certs::load_native_certs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    self, CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Whether a host's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Any certificate is accepted.
    None,
    /// The certificate must be trusted by the system and be valid for the host's name.
    Certificate,
}

/// Performs TLS handshakes. The configurations, and the system's certificates, are loaded when
/// first needed.
#[derive(Debug, Default)]
pub struct Tls {
    /// Certificates trusted in addition to the system's.
    trusted: Vec<CertificateDer<'static>>,
    any: OnceLock<Arc<ClientConfig>>,
    proven: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Also trusts these certificates, such as the one of a smarthost's private authority.
    #[must_use]
    pub fn trusting(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self { trusted: certificates, ..Self::default() }
    }

    /// Performs the handshake over `stream` with `host`, whose address is `address`.
    ///
    /// # Errors
    ///
    /// A text for people that says why the handshake failed.
    pub async fn shake_hands<S>(
        &self,
        proof: Proof,
        host: &str,
        address: IpAddr,
        stream: S,
    ) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // If the host is no DNS name, the certificate must be for its address.
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(address.into()));
        let config = self.config(proof).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        stream.map_err(|error| error.to_string())
    }

    fn config(&self, proof: Proof) -> Result<Arc<ClientConfig>, Error> {
        let made = match proof {
            Proof::None => &self.any,
            Proof::Certificate => &self.proven,
        };
        if let Some(config) = made.get() {
            return Ok(Arc::clone(config));
        }
        let config = match proof {
            Proof::None => accepting_any()?,
            Proof::Certificate => self.accepting_trusted()?,
        };
        // Two tasks may get here at once; both use the configuration that was stored first.
        Ok(Arc::clone(made.get_or_init(|| Arc::new(config))))
    }

    fn accepting_trusted(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be parsed must not disable the others.
        roots.add_parsable_certificates(load_native_certs().certs);
        roots.add_parsable_certificates(self.trusted.iter().cloned());
        let builder = ClientConfig::builder_with_provider(provider());
        Ok(builder
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

fn accepting_any() -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let builder = ClientConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// Accepts any certificate. An attacker who could present a false one could also remove the offer
/// of STARTTLS, so verifying it here would only send more mail in the clear (RFC 7435 section 3).
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
