//! Connections that are held and say nothing.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tokio_rustls::rustls::ClientConfig;

use crate::Bench;
use crate::cores::{Cores, Placement};
use crate::daemons::Certificate;
use crate::process::Server;
use crate::smtp;
use crate::table::{Aim, Row, Table, Unit};
use crate::tls::start_smtps;
use crate::transport::{Transport, demands};

/// Connections that are held.
const IDLE: u32 = 2_000;

/// What is held, and the octets of the process that each may take.
const CLEAR: (&str, f64) = ("an SMTP connection", 4_096.0);

/// rustls alone keeps a buffer of 4 KiB for the next record.
const TLS: (&str, f64) = ("an SMTPS connection", 12_288.0);

/// Measures the memory of a process for each connection that waits for its first command.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    measure(bench, CLEAR, table, |build, dir, cores| smtp::start(build, &[], dir, cores));
    measure(bench, TLS, table, |build, dir, cores| {
        start_smtps(build, &Certificate::make(dir), dir, cores).over_tls(&demands())
    });
}

fn measure(
    bench: &Bench,
    (name, most): (&str, f64),
    table: &mut Table,
    start: impl Fn(&Path, &Path, &Cores) -> Server,
) {
    if !bench.wants(name) {
        return;
    }
    let cores = bench.cores(Placement::Apart);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(dir.path().join("u.mbox"), "").unwrap();
    let mut octets = bench.in_turn(name, &bench.builds, |build| {
        let server = start(build, dir.path(), &cores);
        of_each(&server)
    });
    let other = if octets.len() > 1 { octets.remove(1) } else { Vec::new() };
    let row = Row {
        name: name.to_owned(),
        unit: Unit::Octets,
        peer: vec![most; bench.rounds],
        peer_name: "allowed",
        ours: octets.remove(0),
        other,
        aim: Aim::AtMost(1.0),
    };
    table.add("Idle: octets of memory", row);
}

/// Octets of the server's memory for each connection more.
fn of_each(server: &Server) -> f64 {
    let first = greeted(server.port, server.tls.as_ref());
    let before = server.resident();
    let held: Vec<Transport> =
        (0..IDLE).map(|_| greeted(server.port, server.tls.as_ref())).collect();
    let more = u32::try_from(server.resident() - before).unwrap();
    drop((first, held));
    f64::from(more) / f64::from(IDLE)
}

fn greeted(port: u16, tls: Option<&Arc<ClientConfig>>) -> Transport {
    let mut stream = Transport::connect(port, tls);
    let mut greeting = [0; 64];
    loop {
        match stream.read(&mut greeting) {
            Ok(octets) => {
                assert!(octets > 0);
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => panic!("there is no greeting: {error}"),
        }
    }
}
