//! Connections that are held and say nothing.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use crate::Bench;
use crate::cores::Placement;
use crate::smtp;
use crate::table::{Aim, Row, Table, Unit};

const NAME: &str = "an SMTP connection";

/// Connections that are held.
const IDLE: u32 = 2_000;

/// Octets of the process that each may take.
const MOST: f64 = 4_096.0;

/// Measures the memory of a process for each connection that waits for its first command.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    if !bench.wants(NAME) {
        return;
    }
    let cores = bench.cores(Placement::Apart);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(dir.path().join("u.mbox"), "").unwrap();
    let mut octets = bench.in_turn(NAME, &bench.builds, |build| {
        let server = smtp::start(build, &[], dir.path(), &cores);
        let first = greeted(server.port);
        let before = server.resident();
        let held: Vec<TcpStream> = (0..IDLE).map(|_| greeted(server.port)).collect();
        let more = u32::try_from(server.resident() - before).unwrap();
        drop((first, held));
        f64::from(more) / f64::from(IDLE)
    });
    let other = if octets.len() > 1 { octets.remove(1) } else { Vec::new() };
    let row = Row {
        name: NAME.to_owned(),
        unit: Unit::Octets,
        peer: vec![MOST; bench.rounds],
        peer_name: "allowed",
        ours: octets.remove(0),
        other,
        aim: Aim::AtMost(1.0),
    };
    table.add("Idle: octets of memory", row);
}

fn greeted(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut greeting = [0; 64];
    assert!(stream.read(&mut greeting).unwrap() > 0);
    stream
}
