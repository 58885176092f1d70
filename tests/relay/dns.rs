//! From a domain to its hosts, with a real resolver and a name server that does as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hickory_proto::rr::{RData, RecordType};
use mailconsole::relay::mx::{Loopback, Own};
use mailconsole::relay::resolver::{Dns, NotFound, PATIENCE, Resolver};
use mailconsole::relay::route::Routes;
use mailconsole::relay::verdict::Verdict;

use crate::harness::shown;
use crate::name_server::Answer::{
    Garbage, NoData, NxDomain, OverTcp, Records, Refused, ServFail, Silence,
};
use crate::name_server::{Answer, NameServer, alias, at, mx};

fn zone(name: &str, kind: RecordType) -> Answer {
    match (name, kind) {
        ("x.example", RecordType::MX) => Records(vec![mx(20, "b.example."), mx(10, "a.example.")]),
        ("a.example", RecordType::A) => Records(vec![at("127.0.0.2"), at("127.0.0.3")]),
        ("a.example" | "b.example", RecordType::AAAA) => Records(vec![at("::1")]),
        ("null.example", RecordType::MX) => Records(vec![mx(0, ".")]),
        ("mixed.example", RecordType::MX) => Records(vec![mx(0, "."), mx(10, "a.example.")]),
        ("alias.example", _) => Records(vec![alias("x.example.")]),
        ("cname.example", RecordType::MX) => Records(vec![mx(10, "host-alias.example.")]),
        ("host-alias.example", _) => Records(vec![alias("a.example.")]),
        ("loop1.example", _) => Records(vec![alias("loop2.example.")]),
        ("loop2.example", _) => Records(vec![alias("loop1.example.")]),
        ("dangling.example", _) => Records(vec![alias("nothing-there.example.")]),
        ("refused.example", RecordType::MX) => Refused,
        ("silent.example", RecordType::MX) => Silence,
        ("garbage.example", RecordType::MX) => Garbage,
        ("servfail.example", RecordType::MX) | ("half.example", RecordType::AAAA) => ServFail,
        ("long.example", RecordType::MX) => OverTcp(many_records()),
        ("slow.example", RecordType::MX) => {
            let silent = (0..8).map(|nth| mx(nth, &format!("silent-host-{nth}.example.")));
            Records(silent.chain([mx(10, "a.example.")]).collect())
        }
        (name, _) if name.starts_with("silent-host-") => Silence,
        ("gone-hosts.example", RecordType::MX) => Records(vec![mx(10, "nothing-there.example.")]),
        ("nothing-there.example" | "nxdomain.example", _) => NxDomain,
        // Whatever else exists has an address, which must not be used where MX counts.
        (name, RecordType::A) if name != "empty.example" => Records(vec![at("127.0.0.4")]),
        _ => NoData,
    }
}

fn many_records() -> Vec<RData> {
    let far = (100..400).map(|n| mx(n, &format!("host-number-{n}.example.")));
    far.chain([mx(10, "a.example.")]).collect()
}

struct Lookup {
    server: NameServer,
    dns: Arc<Dns>,
    routes: Routes,
}

impl Lookup {
    async fn new() -> Self {
        let server = NameServer::of(zone).await;
        let dns = Arc::new(Dns::at(server.address, Duration::from_millis(300)));
        let routes = Routes {
            named: BTreeMap::new(),
            smarthost: None,
            port: 2525,
            own: Own { loopback: Loopback::Allowed, ..Own::default() },
        };
        Self { server, dns, routes }
    }

    async fn of(&self, domain: &str) -> Result<Vec<String>, Verdict> {
        let route = self.routes.route(domain)?;
        let mut chance = Rng::with_seed(1);
        let targets = self.routes.targets(&route, &self.dns, &mut chance).await?;
        let shown = targets.iter().map(|target| format!("{} {}", target.host, target.address));
        Ok(shown.collect())
    }

    #[track_caller]
    fn is(result: Result<Vec<String>, Verdict>, targets: &[&str]) {
        assert_eq!(result.expect("targets"), targets);
    }

    #[track_caller]
    fn is_not(result: Result<Vec<String>, Verdict>, verdict: &str) {
        let found = shown(&result.expect_err("targets were found"));
        assert!(found.starts_with(verdict), "{found} instead of {verdict}");
    }
}

#[tokio::test]
async fn hosts_come_by_preference_with_the_addresses_of_both_families() {
    let lookup = Lookup::new().await;
    Lookup::is(
        lookup.of("x.example").await,
        &[
            "a.example 127.0.0.2:2525",
            "a.example [::1]:2525",
            "a.example 127.0.0.3:2525",
            "b.example 127.0.0.4:2525",
            "b.example [::1]:2525",
        ],
    );
}

#[tokio::test]
async fn a_domain_with_an_address_only_is_its_own_host() {
    let lookup = Lookup::new().await;
    Lookup::is(lookup.of("implicit.example").await, &["implicit.example 127.0.0.4:2525"]);
    Lookup::is(lookup.of("half.example").await, &["half.example 127.0.0.4:2525"]);
}

#[tokio::test]
async fn aliases_are_followed() {
    let lookup = Lookup::new().await;
    let direct = lookup.of("x.example").await.expect("targets");
    assert_eq!(lookup.of("alias.example").await.expect("targets"), direct);
    Lookup::is(
        lookup.of("cname.example").await,
        &[
            "host-alias.example 127.0.0.2:2525",
            "host-alias.example [::1]:2525",
            "host-alias.example 127.0.0.3:2525",
        ],
    );
}

#[tokio::test]
async fn aliases_without_end_are_deferred_and_asked_for_only_so_often() {
    let lookup = Lookup::new().await;
    Lookup::is_not(
        lookup.of("loop1.example").await,
        "deferred: no address of loop1.example found: the CNAME records of loop1.example lead \
         nowhere",
    );
    assert!(lookup.server.questions() < 100, "{}", lookup.server.questions());
}

#[tokio::test]
async fn what_does_not_exist_fails() {
    let lookup = Lookup::new().await;
    Lookup::is_not(
        lookup.of("nxdomain.example").await,
        "failed: the domain nxdomain.example does not exist",
    );
    Lookup::is_not(lookup.of("dangling.example").await, "failed: ");
    Lookup::is_not(
        lookup.of("empty.example").await,
        "failed: empty.example has neither a mail host nor an address",
    );
    Lookup::is_not(
        lookup.of("gone-hosts.example").await,
        "failed: no mail host of gone-hosts.example has an address",
    );
}

#[tokio::test]
async fn a_null_mx_fails_even_if_the_domain_has_an_address() {
    let lookup = Lookup::new().await;
    Lookup::is_not(lookup.of("null.example").await, "failed: null.example takes no mail (null MX)");
    let mixed = lookup.of("mixed.example").await.expect("targets");
    assert_eq!(mixed.len(), 3);
}

#[tokio::test]
async fn a_name_server_in_trouble_defers_and_the_address_is_not_used_instead() {
    let lookup = Lookup::new().await;
    for domain in ["servfail.example", "refused.example", "silent.example", "garbage.example"] {
        let verdict = format!("deferred: no mail host of {domain} found: ");
        Lookup::is_not(lookup.of(domain).await, &verdict);
    }
}

#[tokio::test]
async fn eight_hosts_with_silent_name_servers_do_not_hide_the_ninth() {
    let lookup = Lookup::new().await;
    let began = Instant::now();
    Lookup::is(
        lookup.of("slow.example").await,
        &["a.example 127.0.0.2:2525", "a.example [::1]:2525", "a.example 127.0.0.3:2525"],
    );
    // All of them are asked side by side: each alone takes as long as two tries.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_name_servers_are_read_anew_when_the_file_that_lists_them_has_changed() {
    let knowing = |address: &'static str| {
        move |_: &str, kind| match kind {
            RecordType::A => Records(vec![at(address)]),
            _ => Records(vec![at("2001:db8::1")]),
        }
    };
    let one = NameServer::of(knowing("192.0.2.1")).await;
    let other = NameServer::beside(&one, knowing("192.0.2.2")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("resolv.conf");
    let listing = |server: &NameServer| format!("nameserver {}\n", server.address.ip());
    let dns = Dns::listed_in(&file, one.address.port(), Duration::from_secs(2));
    let answer = dns.addresses("x.example").await;
    let Err(NotFound::NoAnswer(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("--resolver ADDR"), "{why}");
    for (server, address) in [(&one, "192.0.2.1"), (&other, "192.0.2.2"), (&one, "192.0.2.1")] {
        // A new file in the place of the old one, as resolvconf and NetworkManager do it.
        let draft = dir.path().join("draft");
        std::fs::write(&draft, listing(server)).expect("written");
        std::fs::rename(&draft, &file).expect("renamed");
        let found = dns.addresses("x.example").await.expect("an address");
        assert_eq!(found[0].to_string(), address);
    }
    // For each run they are asked anew.
    let questions = one.questions();
    dns.addresses("x.example").await.expect("an address");
    assert_eq!(one.questions(), questions);
    dns.renew();
    dns.addresses("x.example").await.expect("an address");
    assert!(one.questions() > questions);
}

#[tokio::test]
async fn a_long_answer_is_fetched_over_tcp() {
    let lookup = Lookup::new().await;
    let targets = lookup.of("long.example").await.expect("targets");
    assert_eq!(targets[0], "a.example 127.0.0.2:2525");
}

#[tokio::test]
async fn without_a_name_server_nobody_waits_long() {
    let server = NameServer::of(|_, _| Silence).await;
    let dns = Dns::at(server.address, Duration::from_millis(200));
    let began = Instant::now();
    let answer = dns.exchanges("x.example").await;
    assert!(matches!(answer, Err(NotFound::NoAnswer(_))), "{answer:?}");
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn names_that_cannot_be_do_not_exist() {
    let lookup = Lookup::new().await;
    let long = format!("{}.example", "x".repeat(64));
    for name in [long.as_str(), "a..b"] {
        assert_eq!(lookup.dns.exchanges(name).await, Err(NotFound::NoName), "{name}");
    }
}
