//! Where the SMTP server is that `send` and `sendmail` give mail to.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::control::client;

/// The port if none is named: the SMTP server's own default.
const USUAL_PORT: u16 = 2_500;

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpAddress {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What must be written instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write HOST:PORT, such as localhost:2500 or [::1]:2500")]
pub struct BadAddress;

impl FromStr for SmtpAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        // A bare IPv6 address is taken whole, before its last colon is read as that of a port.
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { host: text.to_owned(), port: USUAL_PORT });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port > 0).ok_or(BadAddress)?)
            }
            _ => (text, USUAL_PORT),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let is_name = |c: char| c.is_alphanumeric() || "-._".contains(c);
        let is_host = host.parse::<IpAddr>().is_ok() || host.chars().all(is_name);
        if host.is_empty() || !is_host {
            return Err(BadAddress);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The server: the one that is named, else that of `SMTP_HOST` and `SMTP_PORT`, else the one on the
/// directory `MAILCONSOLE_DIR`, else localhost:2500.
///
/// # Errors
///
/// A sentence about a variable that is wrong.
pub fn find(named: Option<SmtpAddress>) -> Result<SmtpAddress, String> {
    match named {
        Some(named) => Ok(named),
        None => of_environment(|name| env::var_os(name)),
    }
}

fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<SmtpAddress, String> {
    // An empty variable is as good as none.
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let (host, port) = (variable("SMTP_HOST"), variable("SMTP_PORT"));
    if host.is_some() || port.is_some() {
        return Ok(SmtpAddress { host: host_of(host)?, port: port_of(port)? });
    }
    let directory = variable("MAILCONSOLE_DIR");
    Ok(match directory.as_deref().and_then(|directory| smtp_of_directory(Path::new(directory))) {
        Some(address) => SmtpAddress { host: address.ip().to_string(), port: address.port() },
        None => SmtpAddress { host: "localhost".to_owned(), port: USUAL_PORT },
    })
}

fn host_of(value: Option<OsString>) -> Result<String, String> {
    let Some(value) = value else { return Ok("localhost".to_owned()) };
    let text = value.to_string_lossy();
    // Without a port, so that a bare IPv6 address is one.
    let host = text.parse::<SmtpAddress>().ok().filter(|address| address.port == USUAL_PORT);
    let wrong = || format!("SMTP_HOST wants a host name or an address, not '{text}'");
    host.map(|address| address.host).ok_or_else(wrong)
}

fn port_of(value: Option<OsString>) -> Result<u16, String> {
    let Some(value) = value else { return Ok(USUAL_PORT) };
    let text = value.to_string_lossy();
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("SMTP_PORT wants a number from 1 to 65535, not '{text}'"))
}

/// Where the servers that run on a directory listen for SMTP: they are asked over its socket.
fn smtp_of_directory(directory: &Path) -> Option<SocketAddr> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let port = runtime.block_on(async {
        for mut server in client::servers(directory).await.ok()? {
            let answer = server.ask(&json!({ "do": "status" })).await.ok()?;
            let port = Value::from(answer).pointer("/ports/smtp").and_then(Value::as_u64);
            if port.is_some() {
                return port;
            }
        }
        None
    });
    Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), u16::try_from(port?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    fn address(host: &str, port: u16) -> SmtpAddress {
        SmtpAddress { host: host.to_owned(), port }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("localhost:2525", "localhost", 2_525),
            ("mx.example", "mx.example", USUAL_PORT),
            ("[::1]:25", "::1", 25),
            ("[::1]", "::1", USUAL_PORT),
            ("::1", "::1", USUAL_PORT),
            ("127.0.0.1:1", "127.0.0.1", 1),
        ] {
            assert_eq!(text.parse(), Ok(address(host, port)), "{text}");
        }
        for text in ["", ":25", "x:", "x:0", "x:65536", "x:smtp", "smtp://x:25", "a b:25", "[x"] {
            assert_eq!(text.parse::<SmtpAddress>(), Err(BadAddress), "{text}");
        }
    }

    fn found(variables: &[(&str, &str)]) -> Result<SmtpAddress, String> {
        of_environment(|name| {
            variables.iter().find(|(one, _)| *one == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_say_where_the_server_is() {
        assert_eq!(found(&[]), Ok(address("localhost", 2_500)));
        let both = [("SMTP_HOST", "mx.example"), ("SMTP_PORT", "26"), ("MAILCONSOLE_DIR", "/")];
        assert_eq!(found(&both), Ok(address("mx.example", 26)));
        assert_eq!(found(&[("SMTP_PORT", "26"), ("SMTP_HOST", "")]), Ok(address("localhost", 26)));
        assert_eq!(found(&[("SMTP_HOST", "::1")]), Ok(address("::1", 2_500)));
        assert_eq!(found(&[("MAILCONSOLE_DIR", "/nonexistent")]), Ok(address("localhost", 2_500)));
        let wrong = found(&[("SMTP_PORT", "smtp")]).unwrap_err();
        assert_eq!(wrong, "SMTP_PORT wants a number from 1 to 65535, not 'smtp'");
        assert!(found(&[("SMTP_HOST", "a b")]).unwrap_err().starts_with("SMTP_HOST wants "));
    }

    #[test]
    fn the_servers_on_a_directory_are_asked() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".mailconsole.sock")).unwrap();
        let server = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&socket).read_line(&mut request).unwrap();
            let answer = "{\"ok\":true,\"ports\":{\"smtp\":4321}}\n";
            (&socket).write_all(answer.as_bytes()).unwrap();
            request
        });
        let variable = directory.path().to_str().unwrap();
        assert_eq!(found(&[("MAILCONSOLE_DIR", variable)]), Ok(address("127.0.0.1", 4_321)));
        assert_eq!(server.join().unwrap(), "{\"do\":\"status\"}\n");
    }
}
