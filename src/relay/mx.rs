//! Selects and orders the mail hosts of a domain (RFC 5321 section 5.1, RFC 7505). Does no I/O: the
//! DNS answers and the random numbers are passed in.

use std::net::{IpAddr, SocketAddr};

use fastrand::Rng;

use crate::relay::status::Status;
use crate::relay::verdict::Verdict;

/// The most MX records of a domain that are used; the least preferred ones beyond that are ignored.
const MOST_EXCHANGES: usize = 20;

/// The most addresses of a domain that are tried in one run.
pub const MOST_TARGETS: usize = 5;

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The lowest value is tried first.
    pub preference: u16,
    /// The host name without the final dot; empty for the root, which is no host (RFC 7505).
    pub host: String,
}

/// A mail host and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its MX record, or one of preference 0 for a domain without any (RFC 5321 section 5.1).
    pub exchange: Exchange,
    /// Its addresses, in the order to be tried.
    pub addresses: Vec<IpAddr>,
}

/// A host and address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The preference of its MX record; 0 if the domain is its own host; `None` if an operator
    /// named the host.
    pub preference: Option<u16>,
    /// The host name, or the address if the host was given as one.
    pub host: String,
    /// The address and port.
    pub address: SocketAddr,
}

/// What belongs to this machine, and whether mail may be sent to it.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The host names of this machine.
    pub names: Vec<String>,
    /// Addresses of this machine, besides those its interfaces have at the moment.
    pub addresses: Vec<IpAddr>,
    /// The addresses our own SMTP server listens on.
    pub listeners: Vec<SocketAddr>,
    /// Whether mail may go to other programs on this machine.
    pub loopback: Loopback,
}

/// Whether mail may be relayed to this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loopback {
    /// No: a DNS answer must not make the relay talk to local services.
    #[default]
    Refused,
    /// Yes, except to our own SMTP server. For tests.
    Allowed,
}

/// The MX records of `domain` by preference, those of equal preference in random order.
///
/// # Errors
///
/// A failure for good if the domain has a null MX (RFC 7505).
pub fn in_order(
    domain: &str,
    mut records: Vec<Exchange>,
    chance: &mut Rng,
) -> Result<Vec<Exchange>, Verdict> {
    // A null MX only counts if there is no other record.
    records.retain(|record| !record.host.is_empty());
    if records.is_empty() {
        let reason = format!("{domain} takes no mail (null MX)");
        return Err(Verdict::failed(Status::NULL_MX, &reason));
    }
    chance.shuffle(&mut records);
    // A stable sort: records of equal preference stay in random order (RFC 5321 section 5.1).
    records.sort_by_key(|record| record.preference);
    records.truncate(MOST_EXCHANGES);
    Ok(records)
}

/// The addresses of `hosts`, which must be in order, without this machine and all hosts that are
/// not preferred to it (RFC 5321 section 5.1).
///
/// # Errors
///
/// A failure for good if no host is left, because the mail would loop.
pub fn targets(
    domain: &str,
    hosts: Vec<Host>,
    port: u16,
    own: &Own,
) -> Result<Vec<Target>, Verdict> {
    let ours =
        hosts.iter().filter(|host| own.is(host, port)).min_by_key(|host| host.exchange.preference);
    let Some(ours) = ours.map(|host| host.exchange.clone()) else {
        return Ok(addresses(hosts, port));
    };
    let better = hosts.into_iter().filter(|host| host.exchange.preference < ours.preference);
    let targets = addresses(better, port);
    if targets.is_empty() {
        let reason = format!(
            "mail for {domain} loops back to this machine, which is its mail host {}; name another \
             with --route, or allow it with --relay-to-loopback",
            ours.host
        );
        return Err(Verdict::failed(Status::LOOP, &reason));
    }
    Ok(targets)
}

fn addresses(hosts: impl IntoIterator<Item = Host>, port: u16) -> Vec<Target> {
    let targets = hosts.into_iter().flat_map(|host| {
        let Exchange { preference, host: name } = host.exchange;
        host.addresses.into_iter().map(move |address| Target {
            preference: Some(preference),
            host: name.clone(),
            address: SocketAddr::new(address, port),
        })
    });
    targets.take(MOST_TARGETS).collect()
}

impl Own {
    fn is(&self, host: &Host, port: u16) -> bool {
        let mut addresses = host.addresses.iter();
        self.has_name(&host.exchange.host) || addresses.any(|&address| self.has(address, port))
    }

    /// With [`Loopback::Allowed`] a matching name proves nothing: another program on this machine
    /// may use the same name.
    fn has_name(&self, name: &str) -> bool {
        let mut names = self.names.iter();
        self.loopback == Loopback::Refused && names.any(|own| own.eq_ignore_ascii_case(name))
    }

    fn has(&self, address: IpAddr, port: u16) -> bool {
        // `::ffff:127.0.0.1` is this machine as well.
        let address = address.to_canonical();
        match self.loopback {
            Loopback::Refused => self.is_here(address),
            Loopback::Allowed => self.listens_at(address, port),
        }
    }

    /// `connect` takes the unspecified address for this machine, and a multicast address is never a
    /// mail host.
    fn is_here(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || self.addresses.contains(&address)
    }

    fn listens_at(&self, address: IpAddr, port: u16) -> bool {
        self.listeners.iter().any(|listener| {
            let everywhere = listener.ip().is_unspecified() && self.is_here(address);
            listener.port() == port && (everywhere || listener.ip().to_canonical() == address)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(preference: u16, host: &str) -> Exchange {
        Exchange { preference, host: host.to_owned() }
    }

    fn host(preference: u16, name: &str, addresses: &[&str]) -> Host {
        Host {
            exchange: exchange(preference, name),
            addresses: addresses
                .iter()
                .map(|address| address.parse().expect("an address"))
                .collect(),
        }
    }

    fn order(records: &[(u16, &str)], seed: u64) -> Result<Vec<String>, Verdict> {
        let records = records.iter().map(|&(preference, host)| exchange(preference, host));
        let ordered = in_order("x.example", records.collect(), &mut Rng::with_seed(seed))?;
        Ok(ordered.into_iter().map(|record| record.host).collect())
    }

    fn found(hosts: Vec<Host>, own: &Own) -> Result<Vec<String>, Verdict> {
        let targets = targets("x.example", hosts, 25, own)?;
        Ok(targets.iter().map(|target| format!("{} {}", target.host, target.address)).collect())
    }

    #[track_caller]
    fn loops(result: Result<Vec<String>, Verdict>) {
        match result {
            Err(Verdict::Failed(diagnosis)) => assert_eq!(diagnosis.status, Status::LOOP),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_least_preference_comes_first_and_ties_take_turns() {
        let records = [(20, "c"), (10, "a"), (10, "b"), (30, "d")];
        let orders: Vec<_> = (0..20).map(|seed| order(&records, seed)).collect();
        assert!(orders.contains(&Ok(["a", "b", "c", "d"].map(String::from).to_vec())));
        assert!(orders.contains(&Ok(["b", "a", "c", "d"].map(String::from).to_vec())));
        assert!(orders.iter().flatten().all(|order| order[2..] == ["c", "d"]));
    }

    #[test]
    fn a_null_mx_fails_for_good_and_the_root_among_others_is_no_host() {
        match order(&[(0, "")], 1) {
            Err(Verdict::Failed(diagnosis)) => {
                assert_eq!(diagnosis.status.to_string(), "5.1.10");
                assert_eq!(diagnosis.reason.as_str(), "x.example takes no mail (null MX)");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(order(&[(0, ""), (10, "a")], 1), Ok(vec!["a".to_owned()]));
    }

    #[test]
    fn a_flood_of_records_is_cut() {
        let flood: Vec<(u16, &str)> = (0..1_000).map(|preference| (preference, "a")).collect();
        assert_eq!(order(&flood, 1).map(|hosts| hosts.len()), Ok(MOST_EXCHANGES));
        let hosts = vec![host(0, "a", &["192.0.2.1"; 50])];
        assert_eq!(found(hosts, &Own::default()).map(|targets| targets.len()), Ok(MOST_TARGETS));
    }

    #[test]
    fn each_address_of_each_host_is_a_target() {
        let hosts =
            vec![host(10, "a", &["192.0.2.1", "2001:db8::1"]), host(20, "b", &["192.0.2.2"])];
        let targets = found(hosts, &Own::default()).expect("targets");
        assert_eq!(targets, ["a 192.0.2.1:25", "a [2001:db8::1]:25", "b 192.0.2.2:25"]);
    }

    #[test]
    fn hosts_at_or_behind_our_own_preference_are_dropped() {
        let own = Own {
            names: vec!["relay.example".to_owned()],
            addresses: vec!["198.51.100.7".parse().expect("an address")],
            ..Own::default()
        };
        let with = |us: Host| {
            vec![
                host(10, "a", &["192.0.2.1"]),
                host(20, "b", &["192.0.2.2"]),
                us,
                host(30, "c", &["192.0.2.3"]),
            ]
        };
        for us in [
            host(20, "RELAY.example", &["203.0.113.9"]),
            host(20, "other", &["203.0.113.9", "198.51.100.7"]),
            host(20, "other", &["127.9.9.9"]),
            host(20, "other", &["::1"]),
            host(20, "other", &["::ffff:127.0.0.1"]),
            host(20, "other", &["0.0.0.0"]),
            host(20, "other", &["224.0.0.1"]),
        ] {
            let targets = found(with(us.clone()), &own);
            assert_eq!(targets, Ok(vec!["a 192.0.2.1:25".to_owned()]), "{us:?}");
            loops(found(vec![us, host(20, "c", &["192.0.2.3"])], &own));
        }
    }

    #[test]
    fn loopback_may_be_allowed_but_never_our_own_server() {
        let own = Own {
            names: vec!["localhost".to_owned()],
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 25))],
            loopback: Loopback::Allowed,
            ..Own::default()
        };
        let targets = found(vec![host(10, "localhost", &["127.0.0.2"])], &own);
        assert_eq!(targets, Ok(vec!["localhost 127.0.0.2:25".to_owned()]));
        loops(found(vec![host(10, "x", &["127.0.0.1"])], &own));

        let everywhere = Own { listeners: vec![SocketAddr::from(([0, 0, 0, 0], 25))], ..own };
        loops(found(vec![host(10, "x", &["127.0.0.2"])], &everywhere));
        let elsewhere = found(vec![host(10, "x", &["192.0.2.1"])], &everywhere);
        assert_eq!(elsewhere, Ok(vec!["x 192.0.2.1:25".to_owned()]));
    }
}
