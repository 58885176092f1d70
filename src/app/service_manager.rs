//! Tells the service manager that the program is ready or ends: `sd_notify(3)`. There are crates for
//! it, but sd-notify 0.5 takes the name of an abstract socket, which containers have, for that of a
//! file.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells it, if there is one. One that does not listen is no failure.
pub fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!("cannot tell the service manager at {}: {error}", socket.display());
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let own = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    own.set_nonblocking(true)?;
    own.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
