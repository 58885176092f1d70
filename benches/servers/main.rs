//! What the servers cost, beside what others need for the same work: measured in one run and in
//! turn, so that the ratios hold whatever else the machine is doing.
//!
//! `cargo bench --bench servers` measures all; `-- --help` says how to measure less, or a second
//! build beside this one.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod cores;
mod daemons;
mod disk;
mod echo;
mod idle;
mod load;
mod peers;
mod pop3;
mod process;
mod smtp;
mod table;
mod tls;
mod transport;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cores::{Cores, Placement};
use crate::table::Table;

/// Measures the servers beside others that do the same work.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure [default: everything]
    parts: Vec<Part>,
    /// Another build of mailconsole, measured in turn with this one
    #[arg(long, env = "MAILCONSOLE_BENCH_BINARY", value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Only rows whose name holds this text, such as "10 sessions kept"
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    only: String,
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long each takes each time, where it is the rate that is measured
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Where clients and server run [default: apart, but together where there is one client]
    #[arg(long)]
    placement: Option<Placement>,
    /// Cargo says it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of what can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Smtp,
    Echo,
    Pop3,
    Tls,
    Idle,
}

impl Part {
    fn measure(self, bench: &Bench, table: &mut Table) {
        match self {
            Self::Smtp => smtp::measure_all(bench, table),
            Self::Echo => echo::measure_all(bench, table),
            Self::Pop3 => pop3::measure_all(bench, table),
            Self::Tls => tls::measure_all(bench, table),
            Self::Idle => idle::measure_all(bench, table),
        }
    }
}

/// How to measure.
struct Bench {
    /// The programs: this build, and the other one if there is one.
    builds: Vec<PathBuf>,
    only: String,
    rounds: usize,
    time: Duration,
    placement: Option<Placement>,
}

fn main() {
    peers::serve_if_asked();
    let arguments = Arguments::parse();
    let this = PathBuf::from(env!("CARGO_BIN_EXE_mailconsole"));
    let bench = Bench {
        builds: [this].into_iter().chain(arguments.binary).collect(),
        only: arguments.only,
        rounds: arguments.rounds.into(),
        time: Duration::from_secs_f64(arguments.seconds),
        placement: arguments.placement,
    };
    let parts = Part::value_variants().iter().copied();
    let mut table = Table::default();
    for part in parts.filter(|part| arguments.parts.is_empty() || arguments.parts.contains(part)) {
        part.measure(&bench, &mut table);
    }
    println!("{table}");
}

impl Bench {
    /// Whether a row of this name is asked for.
    fn wants(&self, row: &str) -> bool {
        row.contains(&self.only)
    }

    /// The processors, for a measurement that is best made so.
    fn cores(&self, best: Placement) -> Cores {
        Cores::take(self.placement.unwrap_or(best))
    }

    /// Lets each of the runners work once in every round; what each comes to, round by round.
    fn in_turn<R, S>(
        &self,
        name: &str,
        runners: &[R],
        mut measure: impl FnMut(&R) -> S,
    ) -> Vec<Vec<S>> {
        eprint!("{name} ");
        let mut samples: Vec<Vec<S>> = runners.iter().map(|_| Vec::new()).collect();
        for round in 0..self.rounds {
            // Nobody is always the first: what comes before may leave something behind.
            for nth in (0..runners.len()).map(|nth| (nth + round) % runners.len()) {
                samples[nth].push(measure(&runners[nth]));
                eprint!(".");
            }
        }
        eprintln!();
        samples
    }
}
