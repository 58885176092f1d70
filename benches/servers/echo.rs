//! Echo commands answered, beside a loop that sends back what comes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Bench;
use crate::cores::Placement;
use crate::load::{Exchange, Sample, Script, Sessions, measure};
use crate::peers::ourselves;
use crate::process::Server;
use crate::table::{Aim, Row, Table, Unit};

const NAME: &str = "50 connections";

const CLIENTS: usize = 50;

const WARM_UP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
enum Runner<'a> {
    Build(&'a Path),
    Loop,
}

/// Measures commands that are each answered before the next is sent.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    if !bench.wants(NAME) {
        return;
    }
    let cores = bench.cores(Placement::Apart);
    let builds = bench.builds.iter().map(|build| Runner::Build(build));
    let runners: Vec<Runner<'_>> = [Runner::Loop].into_iter().chain(builds).collect();
    let samples = bench.in_turn(NAME, &runners, |runner| {
        let (server, greeting) = match runner {
            Runner::Build(build) => {
                let mut command = Command::new(build);
                command.args(["echo", "-p", "0", "--bind", "127.0.0.1"]);
                (Server::start(&mut command, &cores), Some(Exchange::line("", "+OK")))
            }
            Runner::Loop => (Server::start(&mut ourselves("echo"), &cores), None),
        };
        measure(&server, &script(greeting), CLIENTS, WARM_UP, bench.time)
    });
    let figures = |nth: usize, figure: fn(&Sample) -> f64| -> Vec<f64> {
        samples.get(nth).map_or_else(Vec::new, |all| all.iter().map(figure).collect())
    };
    let row = |unit, figure, aim| Row {
        name: NAME.to_owned(),
        unit,
        ours: figures(1, figure),
        other: figures(2, figure),
        peer: figures(0, figure),
        peer_name: "epoll loop",
        aim,
    };
    let aim = Aim::AtLeast(0.9);
    table.add("Echo: commands", row(Unit::PerSecond, |sample| sample.rate, aim));
    let time = row(Unit::Microseconds, |sample| sample.cpu, Aim::Nothing);
    table.add("Echo: processor time of a command", time);
}

fn script(greeting: Option<Exchange>) -> Script {
    let text = "The quick brown fox jumps over the l";
    // The loop sends the command itself back, which ends its line as an answer does.
    let answer = if greeting.is_some() { "+OK" } else { "ECHO" };
    let command = Exchange::line(format!("ECHO {text}\r\n"), answer);
    let opening = vec![greeting.unwrap_or_else(|| command.clone())];
    Script {
        openings: vec![opening],
        rounds: vec![vec![command]],
        closing: Vec::new(),
        sessions: Sessions::Kept,
    }
}
