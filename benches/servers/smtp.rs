//! Mail taken in: stored and synced, beside a server that throws it away, and beside the syncs that
//! the disk can do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Bench;
use crate::cores::{Cores, Placement};
use crate::disk::fdatasyncs;
use crate::load::{Exchange, Sample, Script, Sessions, measure};
use crate::peers::MailSink;
use crate::process::Server;
use crate::table::{Aim, Row, Table, Unit};

/// Mailboxes that the messages go to in turn.
const USERS: usize = 10;

/// How long the clients work before they are measured: until a new server is at its pace.
const WARM_UP: Duration = Duration::from_millis(300);

/// Processor time of a message, beside the sink's.
const CPU_AIM: Aim = Aim::AtMost(1.3);

/// One kind of load.
struct Workload {
    name: &'static str,
    octets: usize,
    clients: usize,
    sessions: Sessions,
    /// Messages a second, beside the sink's; of a single client, beside the disk's syncs.
    aim: f64,
}

const WORKLOADS: [Workload; 7] = [
    workload("1 KB, 1 session kept", 1_024, 1, Sessions::Kept, 0.6),
    workload("1 KB, 10 sessions kept", 1_024, 10, Sessions::Kept, 0.8),
    workload("1 KB, 100 sessions kept", 1_024, 100, Sessions::Kept, 1.0),
    workload("1 KB, 10 clients, new connections", 1_024, 10, Sessions::New, 1.0),
    workload("1 KB, 100 clients, new connections", 1_024, 100, Sessions::New, 1.0),
    workload("10 KB, 10 sessions kept", 10 * 1_024, 10, Sessions::Kept, 1.0),
    workload("1 MB, 10 sessions kept", 1_024 * 1_024, 10, Sessions::Kept, 1.0),
];

const fn workload(
    name: &'static str,
    octets: usize,
    clients: usize,
    sessions: Sessions,
    aim: f64,
) -> Workload {
    Workload { name, octets, clients, sessions, aim }
}

impl Workload {
    /// Whether each message waits for a sync of its own: a single client sends the next one only
    /// then.
    const fn is_bound_by_the_disk(&self) -> bool {
        self.clients == 1
    }

    /// A single client and its server never work at the same time.
    const fn placement(&self) -> Placement {
        if self.clients == 1 { Placement::Together } else { Placement::Apart }
    }
}

/// Measures all kinds of load.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    let sink = MailSink::find();
    if let MailSink::StandIn = sink {
        table.note(
            "smtp-sink (of Postfix) is not installed. A sink of our own stands in, which does less \
             than that one: the aims do not hold against it.",
        );
    }
    for workload in WORKLOADS.iter().filter(|workload| bench.wants(workload.name)) {
        Results::measure(bench, workload, &sink).add_to(table);
    }
    if bench.wants(ONE_MAILBOX) {
        measure_one_mailbox(bench, table);
    }
}

/// What takes part in a measurement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// One of the builds, by its number.
    Build(usize, Durability),
    Sink,
    Disk,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Unsynced,
}

impl Durability {
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Synced => &[],
            Self::Unsynced => &["--no-sync"],
        }
    }
}

/// What is looked at of a sample.
#[derive(Clone, Copy)]
enum Figure {
    Rate,
    Cpu,
    ClientCpu,
}

impl Figure {
    const fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::Rate => sample.rate,
            Self::Cpu => sample.cpu,
            Self::ClientCpu => sample.client_cpu,
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Rate => Unit::PerSecond,
            Self::Cpu | Self::ClientCpu => Unit::Microseconds,
        }
    }
}

/// What each runner has come to on one workload.
struct Results<'a> {
    workload: &'a Workload,
    sink: &'static str,
    runners: Vec<Runner>,
    samples: Vec<Vec<Sample>>,
}

impl<'a> Results<'a> {
    fn measure(bench: &Bench, workload: &'a Workload, sink: &MailSink) -> Self {
        let cores = bench.cores(workload.placement());
        let builds = (0..bench.builds.len()).flat_map(|nth| {
            [Durability::Synced, Durability::Unsynced].map(|durable| Runner::Build(nth, durable))
        });
        let disk = workload.is_bound_by_the_disk().then_some(Runner::Disk);
        let runners: Vec<Runner> = builds.chain([Runner::Sink]).chain(disk).collect();
        let samples = bench.in_turn(workload.name, &runners, |&runner| match runner {
            Runner::Build(nth, durability) => {
                store(bench, nth, durability.options(), workload, USERS, &cores)
            }
            Runner::Sink => throw_away(bench, sink, workload, &cores),
            Runner::Disk => sync(bench, workload, &cores),
        });
        Self { workload, sink: sink.name(), runners, samples }
    }

    fn add_to(&self, table: &mut Table) {
        use Durability::{Synced, Unsynced};
        use Figure::{ClientCpu, Cpu, Rate};
        let (rates, times) = ("SMTP: messages", "SMTP: processor time of a message");
        let aim = Aim::AtLeast(self.workload.aim);
        if self.workload.is_bound_by_the_disk() {
            table.add(rates, self.row(Rate, Synced, Runner::Disk, aim));
            table.add(rates, self.row(Rate, Synced, Runner::Sink, Aim::Nothing));
            // A sync alone takes more than a sink takes for a message.
            table.add(times, self.row(Cpu, Synced, Runner::Disk, Aim::Nothing));
            table.add(times, self.row(Cpu, Synced, Runner::Sink, Aim::Nothing));
        } else {
            table.add(rates, self.row(Rate, Synced, Runner::Sink, aim));
            table.add(times, self.row(Cpu, Synced, Runner::Sink, CPU_AIM));
        }
        let unsynced = "SMTP with --no-sync: messages";
        table.add(unsynced, self.row(Rate, Unsynced, Runner::Sink, Aim::Nothing));
        let unsynced = "SMTP with --no-sync: processor time of a message";
        table.add(unsynced, self.row(Cpu, Unsynced, Runner::Sink, Aim::Nothing));
        let clients = "The clients of these servers: processor time of a message";
        table.add(clients, self.row(ClientCpu, Synced, Runner::Sink, Aim::Nothing));
    }

    fn row(&self, figure: Figure, durability: Durability, peer: Runner, aim: Aim) -> Row {
        Row {
            name: self.workload.name.to_owned(),
            unit: figure.unit(),
            ours: self.figures(figure, Runner::Build(0, durability)),
            other: self.figures(figure, Runner::Build(1, durability)),
            peer: self.figures(figure, peer),
            peer_name: if peer == Runner::Disk { "fdatasync" } else { self.sink },
            aim,
        }
    }

    /// The figures of a runner; none if it has not taken part.
    fn figures(&self, figure: Figure, runner: Runner) -> Vec<f64> {
        let of_runner = self.runners.iter().zip(&self.samples).find(|(one, _)| **one == runner);
        let samples = of_runner.map(|(_, samples)| samples.iter());
        samples.into_iter().flatten().map(|sample| figure.of(sample)).collect()
    }
}

const ONE_MAILBOX: &str = "1 KB, 10 sessions kept, 1 mailbox";

/// All messages to one mailbox, beside messages to many.
fn measure_one_mailbox(bench: &Bench, table: &mut Table) {
    let workload = workload(ONE_MAILBOX, 1_024, 10, Sessions::Kept, 1.0);
    let cores = bench.cores(workload.placement());
    let runners: Vec<(usize, usize)> =
        (0..bench.builds.len()).flat_map(|nth| [(nth, 1), (nth, USERS)]).collect();
    let rates = bench.in_turn(workload.name, &runners, |&(nth, users)| {
        store(bench, nth, Durability::Synced.options(), &workload, users, &cores).rate
    });
    let row = Row {
        name: workload.name.to_owned(),
        unit: Unit::PerSecond,
        ours: rates[0].clone(),
        other: rates.get(2).cloned().unwrap_or_default(),
        peer: rates[1].clone(),
        peer_name: "10 mailboxes",
        aim: Aim::AtLeast(workload.aim),
    };
    table.add("SMTP: messages", row);
}

/// What a build does with mail for so many users.
fn store(
    bench: &Bench,
    build: usize,
    options: &[&str],
    workload: &Workload,
    users: usize,
    cores: &Cores,
) -> Sample {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mailbox = |user: usize| dir.path().join(format!("u{user}.mbox"));
    (0..users).for_each(|user| fs::write(mailbox(user), "").unwrap());
    let server = start(&bench.builds[build], options, dir.path(), cores);
    let script = script(workload, users);
    let sample = measure(&server, &script, workload.clients, WARM_UP, bench.time);
    drop(server);
    let stored: u64 = (0..users).map(|user| fs::metadata(mailbox(user)).unwrap().len()).sum();
    let acknowledged = u64::from(sample.rounds) * workload.octets as u64;
    assert!(stored >= acknowledged, "{stored} octets are stored of {acknowledged} acknowledged");
    sample
}

fn throw_away(bench: &Bench, sink: &MailSink, workload: &Workload, cores: &Cores) -> Sample {
    let script = script(workload, USERS);
    measure(&sink.start(cores), &script, workload.clients, WARM_UP, bench.time)
}

fn sync(bench: &Bench, workload: &Workload, cores: &Cores) -> Sample {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (rate, cpu) = cores.as_server(|| fdatasyncs(dir.path(), workload.octets, bench.time));
    Sample { rate, cpu, client_cpu: 0.0, rounds: 0 }
}

/// The program, serving SMTP on a directory.
pub(crate) fn start(build: &Path, options: &[&str], dir: &Path, cores: &Cores) -> Server {
    let mut command = Command::new(build);
    command.args(["smtp", "-p", "0", "--bind", "127.0.0.1"]).args(options).arg(dir);
    Server::start(&mut command, cores)
}

fn script(workload: &Workload, users: usize) -> Script {
    let text = text(workload.octets);
    Script {
        openings: vec![vec![Exchange::line("", "220"), Exchange::line("HELO bench\r\n", "250")]],
        rounds: (0..users).map(|user| mail(user, &text)).collect(),
        closing: vec![Exchange::line("QUIT\r\n", "221")],
        sessions: workload.sessions,
    }
}

/// One message for a user, from MAIL to the dot.
pub(crate) fn mail(user: usize, text: &[u8]) -> Vec<Exchange> {
    vec![
        Exchange::line("MAIL FROM:<bench@localhost>\r\n", "250"),
        Exchange::line(format!("RCPT TO:<u{user}@localhost>\r\n"), "250"),
        Exchange::line("DATA\r\n", "354"),
        Exchange::line(text, "250"),
    ]
}

/// A message of so many octets, and the dot that ends it.
pub(crate) fn text(octets: usize) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.\r\n";
    let mut text =
        format!("Subject: x\r\n\r\n{}", line.repeat(octets / line.len() + 1)).into_bytes();
    text.truncate(octets - 2);
    // No CR LF may be cut in two.
    if let Some(last) = text.last_mut().filter(|last| **last == b'\r') {
        *last = b'.';
    }
    text.extend_from_slice(b"\r\n.\r\n");
    text
}
