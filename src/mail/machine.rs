//! Which addresses are this machine's own. Asked anew each time: interfaces come and go.

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// The addresses of this machine's interfaces.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let addresses = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    Ok(addresses.collect())
}

/// Whether mail for `user@[address]` is for this machine (RFC 1123 section 5.2.17: it recognises
/// its own addresses).
#[must_use]
pub fn has(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || addresses().is_ok_and(|ours| ours.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_ours_and_those_of_documentation_are_not() {
        assert!(addresses().unwrap().contains(&IpAddr::from([127, 0, 0, 1])));
        for ours in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(has(ours.parse().unwrap()), "{ours}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "0.0.0.0", "224.0.0.1"] {
            assert!(!has(other.parse().unwrap()), "{other}");
        }
    }
}
