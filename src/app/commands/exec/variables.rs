//! What the command finds in its environment.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{self, PathBuf};

use crate::app::servers::Servers;
use crate::servers::listener::TlsBegins;
use crate::servers::tls::CertificateSource;
use crate::servers::tls::authority::certificate_path;
use crate::watch::event::Service;

/// A variable, and its value; without one, it is taken from the environment.
pub type Variable = (&'static str, Option<OsString>);

/// The variables that say where the servers are and how they are reached.
#[must_use]
pub fn of(servers: &Servers) -> Vec<Variable> {
    let config = servers.config();
    let directory = config.mailboxes.as_ref().map(|mailboxes| mailboxes.directory.clone());
    let mut variables = vec![
        ("MAILCONSOLE_DIR", directory.map(OsString::from)),
        ("MAILCONSOLE_PASSWORD", Some(config.password.as_str().into())),
        ("MAILCONSOLE_CA", authority(servers).map(OsString::from)),
    ];
    for (service, [host, port], url) in [
        (Service::Smtp, ["SMTP_HOST", "SMTP_PORT"], Some(("SMTP_URL", "smtp"))),
        (Service::Pop3, ["POP3_HOST", "POP3_PORT"], Some(("POP3_URL", "pop3"))),
        (Service::Echo, ["ECHO_HOST", "ECHO_PORT"], None),
    ] {
        let address = address_of(servers, service);
        variables.push((host, address.map(|address| address.ip().to_string().into())));
        variables.push((port, address.map(|address| address.port().to_string().into())));
        if let Some((url, scheme)) = url {
            variables.push((url, address.map(|address| format!("{scheme}://{address}").into())));
        }
    }
    variables
}

/// Where a service is reached in the clear, at first.
fn address_of(servers: &Servers, service: Service) -> Option<SocketAddr> {
    let listening = servers.listening();
    let mut plain = listening.iter().filter(|(_, begins, _)| *begins == TlsBegins::OnRequest);
    let (_, _, address) = plain.find(|(one, ..)| *one == service)?;
    // A server that listens on all addresses is reached at that of this machine.
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(SocketAddr::new(ip, address.port()))
}

/// The PEM file that a client of the servers must trust, if they have TLS. A certificate of the
/// user's own stands for itself.
fn authority(servers: &Servers) -> Option<PathBuf> {
    let config = servers.config();
    match config.certificate.as_ref().filter(|_| config.needs_certificate)? {
        CertificateSource::Authority { directory, .. } => Some(certificate_path(directory)),
        CertificateSource::Files { certificate, .. } => path::absolute(certificate).ok(),
    }
}
