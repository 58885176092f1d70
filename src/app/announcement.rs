//! What servers tell the program that has started them: where they listen, that they are ready, and
//! that they end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;

use serde::Serialize;

use crate::app::error::StartError;
use crate::app::servers::Servers;
use crate::app::service_manager;
use crate::servers::listener::TlsBegins;
use crate::watch::event::Service;

/// What is said once all servers are ready.
#[derive(Debug)]
pub struct Announcement {
    listening: Vec<(Service, TlsBegins, SocketAddr)>,
    domain: String,
    profile: String,
    ports_file: Option<PathBuf>,
}

impl Announcement {
    /// That of servers that are bound.
    #[must_use]
    pub fn of(servers: &Servers) -> Self {
        let config = servers.config();
        Self {
            listening: servers.listening(),
            domain: config.domain.to_string(),
            profile: config.settings.choices.profile.to_string(),
            ports_file: config.ports_file.clone(),
        }
    }

    /// One line for each listener, and one that says that all serve. `out` takes them in one write;
    /// where it is closed, that is no failure.
    pub fn print(&self, out: &mut impl Write) {
        let mut lines = String::new();
        for (service, begins, address) in &self.listening {
            let _ = writeln!(lines, "{}: listening on {address}", name(*service, *begins));
        }
        lines.push_str("mailconsole: ready\n");
        let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes the file of ports, if there is to be one, and tells the service manager.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn publish(&self) -> Result<Announced, StartError> {
        let file = self.ports_file.as_deref().map(|path| self.write(path)).transpose()?;
        for (service, begins, address) in &self.listening {
            tracing::info!("{}: listening on {address}", name(*service, *begins));
        }
        service_manager::tell("READY=1");
        Ok(Announced { _ports: file })
    }

    fn write(&self, path: &Path) -> Result<PortsFile, StartError> {
        let failed = |error| StartError::FileNotMade {
            path: path.to_owned(),
            error,
            option: "--ports-file",
        };
        let mut text = serde_json::to_string(&self.whereabouts()).map_err(|e| failed(e.into()))?;
        text.push('\n');
        PortsFile::write(path, text).map_err(failed)
    }

    fn whereabouts(&self) -> Whereabouts<'_> {
        let mut addresses: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
        for (service, begins, address) in &self.listening {
            addresses.entry(name(*service, *begins)).or_default().push(*address);
        }
        let port = |(name, addresses): (&String, &Vec<SocketAddr>)| {
            Some((name.clone(), addresses.first()?.port()))
        };
        Whereabouts {
            pid: process::id(),
            domain: &self.domain,
            profile: &self.profile,
            ports: addresses.iter().filter_map(port).collect(),
            addresses,
        }
    }
}

/// `smtp`, or `smtps` where connections begin with TLS.
fn name(service: Service, begins: TlsBegins) -> String {
    let s = if begins == TlsBegins::AtOnce { "s" } else { "" };
    format!("{service}{s}")
}

/// The file of ports, as it is written.
#[derive(Debug, Serialize)]
struct Whereabouts<'a> {
    pid: u32,
    domain: &'a str,
    profile: &'a str,
    /// The port of each service; a service has the same on all addresses.
    ports: BTreeMap<String, u16>,
    addresses: BTreeMap<String, Vec<SocketAddr>>,
}

/// What was said holds until this is dropped, at the end: then the file is removed, and the service
/// manager told.
#[derive(Debug)]
pub struct Announced {
    _ports: Option<PortsFile>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        tracing::info!("stopping");
        service_manager::tell("STOPPING=1");
    }
}

/// A file that is ours, as long as it has what we have written: our process id stands in it.
#[derive(Debug)]
struct PortsFile {
    path: PathBuf,
    text: String,
}

impl PortsFile {
    /// Writes it under another name first, so that it appears whole.
    fn write(path: &Path, text: String) -> std::io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", process::id()));
        let beside = PathBuf::from(beside);
        let renamed = fs::write(&beside, &text).and_then(|()| fs::rename(&beside, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed.map(|()| Self { path: path.to_owned(), text })
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
