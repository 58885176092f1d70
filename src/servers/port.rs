//! Explains why a port cannot be listened on, and which process uses it.

use std::io;
use std::net::SocketAddr;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use crate::servers::listener::BindError;

/// The error message for users, with the remedy; `flag` is the option that sets the port.
#[must_use]
pub fn cannot_listen(error: &BindError, flag: &str) -> String {
    let why = why(error);
    match error.source.kind() {
        io::ErrorKind::AddrInUse => format!("{why}. Choose another with {flag}"),
        io::ErrorKind::PermissionDenied => format!("{why}. Choose one above 1023 with {flag}"),
        io::ErrorKind::AddrNotAvailable => format!("{why}. Choose another with --bind"),
        _ => format!("{why}. Choose another with {flag} or --bind"),
    }
}

/// The same for a server that is started again in a running process, where options cannot be
/// changed.
#[must_use]
pub fn cannot_listen_again(error: &BindError) -> String {
    let remedy = match error.source.kind() {
        io::ErrorKind::AddrInUse => "Free the port",
        io::ErrorKind::PermissionDenied => "Grant the permission",
        io::ErrorKind::AddrNotAvailable => "Give the machine this address",
        _ => "Fix the cause",
    };
    format!("{}. {remedy}, and start the server again", why(error))
}

fn why(error: &BindError) -> String {
    let BindError { address, source } = error;
    let port = address.port();
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder_of(*address).map(|holder| format!(" by {holder}"));
            format!("cannot listen on port {port}: in use{}", holder.unwrap_or_default())
        }
        io::ErrorKind::PermissionDenied => format!("cannot listen on port {port}: not permitted"),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {}: not an address of this machine", address.ip())
        }
        _ => format!("cannot listen on {address}: {source}"),
    }
}

/// For example `pid 812 (postfix)`. `None` if the process cannot be found, for instance because it
/// belongs to another user.
fn holder_of(address: SocketAddr) -> Option<String> {
    let sockets = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let inodes: Vec<u64> = sockets
        .filter(|socket| socket.state == TcpState::Listen)
        .filter(|socket| socket.local_address.port() == address.port())
        .map(|socket| socket.inode)
        .collect();
    let mut processes = procfs::process::all_processes().ok()?.flatten();
    let holder = processes.find(|process| holds_any(process, &inodes))?;
    let stat = holder.stat().ok()?;
    Some(format!("pid {} ({})", stat.pid, stat.comm))
}

fn holds_any(process: &Process, inodes: &[u64]) -> bool {
    let Ok(descriptors) = process.fd() else { return false };
    descriptors.flatten().any(|descriptor| match descriptor.target {
        FDTarget::Socket(inode) => inodes.contains(&inode),
        _ => false,
    })
}
