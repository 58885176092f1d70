//! Decides which route mail for a domain takes: to a host named by the operator, or to the hosts found
//! in the DNS (docs/protocol.md 5.2 and 5.3).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::mail::{address, machine};
use crate::relay::conversation::opening::{Login, Protection};
use crate::relay::mx::{self, Exchange, Host, Own, Target};
use crate::relay::resolver::{NotFound, Resolver};
use crate::relay::status::Status;
use crate::relay::verdict::{Again, Verdict};

/// The longest time for all DNS lookups of one domain.
const LOOKUP_BUDGET: Duration = Duration::from_mins(1);

/// The SMTP port.
pub const SMTP_PORT: u16 = 25;

/// The port with implicit TLS (RFC 8314 section 7.3).
const SUBMISSIONS_PORT: u16 = 465;

/// The routing table of the relay.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The host that an operator named for a domain; the keys are in lower case.
    pub named: BTreeMap<String, NextHop>,
    /// The host for all other mail; `None` means the domains' own mail hosts.
    pub smarthost: Option<Smarthost>,
    /// The port of mail hosts, and of named hosts without a port of their own.
    pub port: u16,
    /// The names and addresses of this machine, to avoid mail loops.
    pub own: Own,
}

/// A host that accepts mail for all domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smarthost {
    /// Its name or address.
    pub host: NextHop,
    /// User name and password, if it requires them.
    pub login: Option<Login>,
    /// How TLS is used; `None` if the operator did not say.
    pub tls: Option<SmarthostTls>,
}

/// How TLS is used with a smarthost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmarthostTls {
    /// STARTTLS; without it no mail is sent.
    StartTls,
    /// Implicit TLS (RFC 8314 section 3.3).
    Implicit,
    /// No TLS.
    None,
}

/// A host named by an operator, in the form `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    host: String,
    port: Option<u16>,
}

/// The route of mail for a recipient. Recipients of one message with the same route may share a
/// transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// To the mail hosts of this domain, in lower case.
    Domain(String),
    /// To the address of an address literal.
    Literal(IpAddr),
    /// To the host named for the domain.
    Named(NextHop),
    /// To the smarthost.
    Smarthost,
}

/// The text is not a valid `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "“{0}” is not of the form HOST or HOST:PORT; examples: mx.example.org, 192.0.2.1:2525, [::1]:2525"
)]
pub struct BadHost(String);

impl FromStr for NextHop {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.to_owned());
        // A bare IPv6 address is taken whole, before the last colon is read as the start of a port.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = bracketed.unwrap_or(host);
        let port = port.map(|port| port.parse().map_err(|_| bad())).transpose()?;
        let is_address = bare.parse::<IpAddr>().is_ok();
        if !is_address && (bare != host || !is_name(bare)) || port == Some(0) {
            return Err(bad());
        }
        Ok(Self { host: bare.to_owned(), port })
    }
}

impl From<SocketAddr> for NextHop {
    /// This address, with its port.
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: Some(address.port()) }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether the text could be a host name: no blanks, no control characters, not a URL.
fn is_name(text: &str) -> bool {
    let in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(in_names)
}

impl Routes {
    /// The route to `domain`, which may be an address literal in brackets.
    ///
    /// # Errors
    ///
    /// A failure for good if the text is neither a domain nor an address literal.
    pub fn route(&self, domain: &str) -> Result<Route, Verdict> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        if let Some(host) = self.named.get(&domain) {
            return Ok(Route::Named(host.clone()));
        }
        if self.smarthost.is_some() {
            return Ok(Route::Smarthost);
        }
        match address::literal(&domain) {
            Some(address) => Ok(Route::Literal(address)),
            None if is_name(&domain) => Ok(Route::Domain(domain)),
            None => {
                let reason = format!("{domain} is neither a domain nor an address");
                Err(Verdict::failed(Status::BAD_DOMAIN, &reason))
            }
        }
    }

    /// The protection of connections on this route; `usual` if it does not ask for another.
    #[must_use]
    pub fn protection(&self, route: &Route, usual: &Protection) -> Protection {
        let is_implicit = |hop: &NextHop| hop.port.unwrap_or(self.port) == SUBMISSIONS_PORT;
        match (route, &self.smarthost) {
            (Route::Smarthost, Some(Smarthost { host, login, tls })) => {
                let tls = tls.or_else(|| is_implicit(host).then_some(SmarthostTls::Implicit));
                match (tls, login.clone()) {
                    (Some(SmarthostTls::Implicit), login) => Protection::FromTheStart(login),
                    (Some(SmarthostTls::StartTls), None) => Protection::Required,
                    (Some(SmarthostTls::StartTls) | None, Some(login)) => {
                        Protection::Verified(login)
                    }
                    (Some(SmarthostTls::None), _) => Protection::None,
                    (None, None) => usual.clone(),
                }
            }
            (Route::Named(hop), _) if is_implicit(hop) => Protection::FromTheStart(None),
            _ => usual.clone(),
        }
    }

    /// The hosts and addresses to connect to, in order; never an empty list. Takes no longer than
    /// `LOOKUP_BUDGET`: hosts that have been found by then are used.
    ///
    /// # Errors
    ///
    /// The verdict for all recipients of the route, if no host was found.
    pub async fn targets(
        &self,
        route: &Route,
        resolver: &Arc<impl Resolver + 'static>,
        chance: &mut Rng,
    ) -> Result<Vec<Target>, Verdict> {
        let end = Instant::now() + LOOKUP_BUDGET;
        match (route, &self.smarthost) {
            (Route::Domain(domain), _) => self.of_domain(domain, resolver, chance, end).await,
            (Route::Literal(address), _) => self.of_literal(*address),
            (Route::Named(host), _) => self.of_named(host, resolver, end).await,
            (Route::Smarthost, Some(smarthost)) => {
                self.of_named(&smarthost.host, resolver, end).await
            }
            (Route::Smarthost, None) => Err(no_address("the smarthost")),
        }
    }

    async fn of_domain(
        &self,
        domain: &str,
        resolver: &Arc<impl Resolver + 'static>,
        chance: &mut Rng,
        end: Instant,
    ) -> Result<Vec<Target>, Verdict> {
        let hosts = match until(end, resolver.exchanges(domain)).await {
            Ok(records) => {
                let order = mx::in_order(domain, records, chance)?;
                hosts(domain, order, resolver, end).await?
            }
            Err(NotFound::NoRecord) => implicit(domain, resolver, end).await?,
            Err(NotFound::NoName) => return Err(no_domain(domain)),
            // Not the domain's own address instead: its MX records, which we cannot see now, may
            // name other hosts.
            Err(NotFound::NoAnswer(why)) => {
                return Err(no_answer(&format!("no mail host of {domain} found: {why}")));
            }
        };
        mx::targets(domain, hosts, self.port, &self.own_now())
    }

    fn of_literal(&self, address: IpAddr) -> Result<Vec<Target>, Verdict> {
        let name = format!("[{address}]");
        let host = host_without_record(&name, vec![address]);
        mx::targets(&name, vec![host], self.port, &self.own_now())
    }

    /// The names and addresses of this machine now: it may have got addresses since the start.
    fn own_now(&self) -> Own {
        let mut own = self.own.clone();
        own.addresses.extend(machine::addresses().unwrap_or_default());
        own
    }

    /// An operator may name any host, including this machine.
    async fn of_named(
        &self,
        hop: &NextHop,
        resolver: &Arc<impl Resolver + 'static>,
        end: Instant,
    ) -> Result<Vec<Target>, Verdict> {
        let port = hop.port.unwrap_or(self.port);
        let addresses = match hop.host.parse() {
            Ok(address) => vec![address],
            Err(_) => until(end, resolver.addresses(&hop.host)).await.map_err(|why| {
                let reason = format!("no address of {} found: {why}", hop.host);
                no_answer(&reason)
            })?,
        };
        let targets = addresses.into_iter().map(|address| Target {
            preference: None,
            host: hop.host.clone(),
            address: SocketAddr::new(address, port),
        });
        Ok(targets.take(mx::MOST_TARGETS).collect())
    }
}

/// The answer, or an error if it has not come by `end`.
async fn until<T>(
    end: Instant,
    answer: impl Future<Output = Result<T, NotFound>>,
) -> Result<T, NotFound> {
    let late = || Err(NotFound::NoAnswer("the name servers take too long".to_owned()));
    timeout_at(end, answer).await.unwrap_or_else(|_| late())
}

/// RFC 5321 section 5.1: a domain without MX records is its own mail host.
async fn implicit(
    domain: &str,
    resolver: &Arc<impl Resolver + 'static>,
    end: Instant,
) -> Result<Vec<Host>, Verdict> {
    match until(end, resolver.addresses(domain)).await {
        Ok(addresses) => Ok(vec![host_without_record(domain, addresses)]),
        Err(NotFound::NoName) => Err(no_domain(domain)),
        Err(NotFound::NoRecord) => Err(no_address(domain)),
        Err(NotFound::NoAnswer(why)) => {
            Err(no_answer(&format!("no address of {domain} found: {why}")))
        }
    }
}

/// The hosts among `exchanges` that have addresses, in the same order. They are looked up
/// concurrently, because each may have its own name servers that do not answer. If a domain has MX
/// records, its own address is never used (RFC 5321 section 5.1).
async fn hosts(
    domain: &str,
    exchanges: Vec<Exchange>,
    resolver: &Arc<impl Resolver + 'static>,
    end: Instant,
) -> Result<Vec<Host>, Verdict> {
    let mut lookups = JoinSet::new();
    for (nth, exchange) in exchanges.into_iter().enumerate() {
        let resolver = Arc::clone(resolver);
        lookups.spawn(async move {
            let addresses = until(end, resolver.addresses(&exchange.host)).await;
            (nth, exchange, addresses)
        });
    }
    let mut found = lookups.join_all().await;
    // Lookups complete in any order; this restores the order of preference.
    found.sort_unstable_by_key(|(nth, ..)| *nth);
    let mut hosts = Vec::new();
    let mut unanswered = None;
    for (_, exchange, addresses) in found {
        match addresses {
            Ok(addresses) => hosts.push(Host { exchange, addresses }),
            Err(NotFound::NoAnswer(why)) => {
                unanswered = Some(format!("no address of {} found: {why}", exchange.host));
            }
            // Other MX records may still lead to a host.
            Err(NotFound::NoName | NotFound::NoRecord) => {}
        }
    }
    match (hosts.is_empty(), unanswered) {
        (false, _) => Ok(hosts),
        (true, Some(reason)) => Err(no_answer(&reason)),
        (true, None) => {
            let reason = format!("no mail host of {domain} has an address");
            Err(Verdict::failed(Status::NO_HOST, &reason))
        }
    }
}

fn host_without_record(name: &str, addresses: Vec<IpAddr>) -> Host {
    let exchange = Exchange { preference: 0, host: name.to_owned() };
    Host { exchange, addresses }
}

fn no_domain(domain: &str) -> Verdict {
    let reason = format!("the domain {domain} does not exist");
    Verdict::failed(Status::BAD_DOMAIN, &reason)
}

fn no_address(domain: &str) -> Verdict {
    let reason = format!("{domain} has neither a mail host nor an address");
    Verdict::failed(Status::NO_HOST, &reason)
}

fn no_answer(reason: &str) -> Verdict {
    Verdict::deferred(Status::NO_NAME_SERVER, Again::NextRun, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::mx::Loopback;

    /// Name servers with these records and no others.
    #[derive(Clone, Default)]
    struct Zone {
        exchanges: BTreeMap<&'static str, Result<Vec<Exchange>, NotFound>>,
        addresses: BTreeMap<&'static str, Result<Vec<IpAddr>, NotFound>>,
        /// How long a lookup of a host takes whose name begins with `silent`.
        silence: Duration,
    }

    impl Zone {
        fn mx(mut self, domain: &'static str, hosts: &[(u16, &str)]) -> Self {
            let records = hosts
                .iter()
                .map(|&(preference, host)| Exchange { preference, host: host.to_owned() });
            self.exchanges.insert(domain, Ok(records.collect()));
            self
        }

        fn no_mx(mut self, domain: &'static str, why: NotFound) -> Self {
            self.exchanges.insert(domain, Err(why));
            self
        }

        fn address(mut self, host: &'static str, address: &str) -> Self {
            let address = address.parse().expect("an address");
            self.addresses.insert(host, Ok(vec![address]));
            self
        }

        fn no_address(mut self, host: &'static str, why: NotFound) -> Self {
            self.addresses.insert(host, Err(why));
            self
        }
    }

    impl Resolver for Zone {
        async fn exchanges(&self, domain: &str) -> Result<Vec<Exchange>, NotFound> {
            let found = self.exchanges.get(domain).cloned();
            found.unwrap_or(Err(NotFound::NoName))
        }

        async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NotFound> {
            if host.starts_with("silent") {
                tokio::time::sleep(self.silence).await;
                return Err(NotFound::NoAnswer("time-out".to_owned()));
            }
            let found = self.addresses.get(host).cloned();
            found.unwrap_or(Err(NotFound::NoName))
        }
    }

    fn routes() -> Routes {
        Routes { named: BTreeMap::new(), smarthost: None, port: SMTP_PORT, own: Own::default() }
    }

    fn hop(text: &str) -> NextHop {
        text.parse().expect("a host")
    }

    async fn targets(routes: &Routes, domain: &str, zone: &Zone) -> Result<Vec<String>, Verdict> {
        let (route, zone) = (routes.route(domain)?, Arc::new(zone.clone()));
        let targets = routes.targets(&route, &zone, &mut Rng::with_seed(1)).await?;
        let shown = |target: &Target| format!("{} {}", target.host, target.address);
        Ok(targets.iter().map(shown).collect())
    }

    #[track_caller]
    fn fails(result: Result<Vec<String>, Verdict>, status: Status) {
        match result {
            Err(Verdict::Failed(diagnosis)) => assert_eq!(diagnosis.status, status),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn is_deferred(result: Result<Vec<String>, Verdict>, reason: &str) {
        match result {
            Err(Verdict::Deferred(diagnosis, _)) => assert_eq!(diagnosis.reason.as_str(), reason),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn mail_goes_to_the_hosts_of_its_domain() {
        let zone = Zone::default()
            .mx("x.example", &[(20, "b.example"), (10, "a.example")])
            .address("a.example", "192.0.2.1")
            .address("b.example", "2001:db8::1")
            .address("x.example", "192.0.2.9");
        let found = targets(&routes(), "X.Example.", &zone).await;
        assert_eq!(
            found.expect("targets"),
            ["a.example 192.0.2.1:25", "b.example [2001:db8::1]:25"]
        );
    }

    #[tokio::test]
    async fn a_domain_without_mx_is_its_own_host() {
        let zone = Zone::default()
            .no_mx("x.example", NotFound::NoRecord)
            .address("x.example", "192.0.2.9");
        let found = targets(&routes(), "x.example", &zone).await;
        assert_eq!(found.expect("targets"), ["x.example 192.0.2.9:25"]);
    }

    #[tokio::test]
    async fn what_does_not_exist_fails_and_what_nobody_knows_is_deferred() {
        let unknown = NotFound::NoAnswer("SERVFAIL".to_owned());
        let zone = Zone::default()
            .no_mx("servfail.example", unknown.clone())
            .address("servfail.example", "192.0.2.9")
            .no_mx("nothing.example", NotFound::NoRecord)
            .no_address("nothing.example", NotFound::NoRecord)
            .no_mx("half.example", NotFound::NoRecord)
            .no_address("half.example", unknown.clone())
            .mx("hosts.example", &[(10, "gone.example"), (20, "servfail2.example")])
            .no_address("servfail2.example", unknown)
            .mx("gone2.example", &[(10, "gone.example")])
            .address("gone2.example", "192.0.2.9");
        let routes = routes();
        let of = |domain| targets(&routes, domain, &zone);
        fails(of("nxdomain.example").await, Status::BAD_DOMAIN);
        fails(of("nothing.example").await, Status::NO_HOST);
        fails(of("gone2.example").await, Status::NO_HOST);
        is_deferred(
            of("servfail.example").await,
            "no mail host of servfail.example found: SERVFAIL",
        );
        is_deferred(of("half.example").await, "no address of half.example found: SERVFAIL");
        is_deferred(of("hosts.example").await, "no address of servfail2.example found: SERVFAIL");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_found_among_silent_name_servers_is_used() {
        let silent: Vec<(u16, String)> =
            (0..8).map(|nth| (nth * 10, format!("silent{nth}.example"))).collect();
        let mut records: Vec<(u16, &str)> =
            silent.iter().map(|(preference, host)| (*preference, host.as_str())).collect();
        records.push((10, "good.example"));
        // A lookup may fail after a while, or last longer than the budget for all lookups.
        for silence in [Duration::from_secs(10), LOOKUP_BUDGET * 2] {
            let zone = Zone { silence, ..Zone::default() }
                .mx("x.example", &records)
                .mx("y.example", &records[..8])
                .address("good.example", "192.0.2.1");
            let began = Instant::now();
            let found = targets(&routes(), "x.example", &zone).await;
            assert_eq!(found.expect("targets"), ["good.example 192.0.2.1:25"]);
            assert!(began.elapsed() <= silence.min(LOOKUP_BUDGET));
            let none = targets(&routes(), "y.example", &zone).await.expect_err("a target");
            assert!(matches!(none, Verdict::Deferred(..)), "{none:?}");
        }
    }

    #[tokio::test]
    async fn a_literal_is_an_address() {
        let zone = Zone::default();
        let routes = routes();
        let of = |domain| targets(&routes, domain, &zone);
        assert_eq!(of("[192.0.2.1]").await.expect("a target"), ["[192.0.2.1] 192.0.2.1:25"]);
        assert_eq!(
            of("[IPv6:2001:db8::1]").await.expect("a target"),
            ["[2001:db8::1] [2001:db8::1]:25"]
        );
        fails(of("[127.0.0.1]").await, Status::LOOP);
        fails(of("[2001:db8::1]").await, Status::BAD_DOMAIN);
        fails(of("[x]").await, Status::BAD_DOMAIN);
        fails(of("a:b").await, Status::BAD_DOMAIN);
    }

    #[tokio::test]
    async fn a_named_host_may_be_anywhere_and_is_asked_for_no_mx() {
        let mut routes = routes();
        routes.port = 2525;
        routes.named.insert("x.example".to_owned(), hop("127.0.0.1"));
        routes.named.insert("y.example".to_owned(), hop("mx.example:26"));
        let zone = Zone::default().address("mx.example", "192.0.2.1");
        let of = |domain| targets(&routes, domain, &zone);
        assert_eq!(of("X.example").await.expect("a target"), ["127.0.0.1 127.0.0.1:2525"]);
        assert_eq!(of("y.example").await.expect("a target"), ["mx.example 192.0.2.1:26"]);
        is_deferred(
            targets(&routes, "y.example", &Zone::default()).await,
            "no address of mx.example found: the name does not exist",
        );
    }

    #[tokio::test]
    async fn all_else_goes_to_the_smarthost_and_only_there_do_we_log_in() {
        let login = Login { user: "linh".to_owned(), password: "cis505".to_owned() };
        let mut routes = routes();
        routes.named.insert("x.example".to_owned(), hop("192.0.2.1"));
        routes.smarthost =
            Some(Smarthost { host: hop("192.0.2.7:587"), login: Some(login.clone()), tls: None });
        let (named, smart) = (routes.route("x.example"), routes.route("[127.0.0.1]"));
        assert_eq!(smart, Ok(Route::Smarthost));
        let usual = Protection::Opportunistic;
        let protection = |route: Result<Route, Verdict>| {
            route.map(|route| routes.protection(&route, &usual)).expect("a way")
        };
        assert_eq!(protection(named), Protection::Opportunistic);
        assert_eq!(protection(smart), Protection::Verified(login));
        let found = targets(&routes, "anything.example", &Zone::default()).await;
        assert_eq!(found.expect("a target"), ["192.0.2.7 192.0.2.7:587"]);
    }

    #[test]
    fn port_465_means_tls_from_the_start_unless_something_else_is_said() {
        let user = || Some(Login { user: "linh".to_owned(), password: "cis505".to_owned() });
        let usual = Protection::Opportunistic;
        let of = |host: &str, login, tls| {
            let smarthost = Some(Smarthost { host: hop(host), login, tls });
            Routes { smarthost, ..routes() }.protection(&Route::Smarthost, &usual)
        };
        let verified = Protection::Verified(user().expect("a login"));
        assert_eq!(of("h:465", None, None), Protection::FromTheStart(None));
        assert_eq!(of("h:465", user(), None), Protection::FromTheStart(user()));
        assert_eq!(of("h:465", user(), Some(SmarthostTls::StartTls)), verified);
        assert_eq!(of("h:587", None, Some(SmarthostTls::StartTls)), Protection::Required);
        assert_eq!(of("h", None, Some(SmarthostTls::Implicit)), Protection::FromTheStart(None));
        assert_eq!(of("h:465", None, Some(SmarthostTls::None)), Protection::None);
        assert_eq!(of("h:587", None, None), usual);
        assert_eq!(of("h:587", user(), None), verified);
        let named = |host: &str| routes().protection(&Route::Named(hop(host)), &usual);
        assert_eq!(named("h:465"), Protection::FromTheStart(None));
        assert_eq!(named("h"), usual);
    }

    #[tokio::test]
    async fn loopback_may_be_allowed() {
        let mut routes = routes();
        routes.own.loopback = Loopback::Allowed;
        let found = targets(&routes, "[127.0.0.1]", &Zone::default()).await;
        assert_eq!(found.expect("a target"), ["[127.0.0.1] 127.0.0.1:25"]);
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_port() {
        for (text, host, port) in [
            ("mx.example", "mx.example", None),
            ("mx.example:2525", "mx.example", Some(2525)),
            ("192.0.2.1:25", "192.0.2.1", Some(25)),
            ("[192.0.2.1]", "192.0.2.1", None),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:2525", "::1", Some(2525)),
        ] {
            let hop = hop(text);
            assert_eq!((hop.host.as_str(), hop.port), (host, port), "{text}");
        }
        for text in [
            "",
            ":25",
            "mx:",
            "mx:x",
            "mx:0",
            "mx:65536",
            "[mx]",
            "a b",
            "http://mx",
            "[::1",
            "[192.0.2.1",
        ] {
            assert!(text.parse::<NextHop>().is_err(), "{text}");
        }
        let problem = "mx:x".parse::<NextHop>().expect_err("taken");
        assert!(problem.to_string().contains("HOST:PORT"));
    }
}
