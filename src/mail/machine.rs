//! The addresses of this machine. Each call asks the system again, because interfaces come and go.

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// The addresses of this machine's interfaces.
///
/// # Errors
///
/// If the system does not list them.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let addresses = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    Ok(addresses.collect())
}

/// Whether `user@[address]` is a mailbox of this machine (RFC 1123 section 5.2.17 requires a host
/// to recognise its own addresses). `false` also if the system does not list its addresses.
#[must_use]
pub fn has(address: IpAddr) -> bool {
    // An IPv4 address may be written as an IPv6 one: `::ffff:192.0.2.1`.
    let address = address.to_canonical();
    // All of 127.0.0.0/8 is this machine, not only the address of the interface.
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
