//! TLS from the first octet: what it costs beside the same in the clear, and beside Dovecot and
//! Postfix over TLS. All of them present a key of the same kind and speak TLS 1.3 with the same
//! cipher suite, and no session is taken up again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_rustls::rustls::ClientConfig;

use crate::Bench;
use crate::cores::{Cores, Placement};
use crate::daemons::{Certificate, Dovecot, Postfix};
use crate::load::{Exchange, Sample, Script, Sessions, measure};
use crate::process::Server;
use crate::table::{Aim, Row, Table, Unit};
use crate::transport::demands;
use crate::{pop3, smtp};

/// Mailboxes, each of a client of its own.
const USERS: usize = 10;

/// Messages of a kilobyte in each of them.
const MESSAGES: usize = 10;

/// Messages of a megabyte in the mailbox that is read.
const LARGE_MESSAGES: usize = 20;

/// Octets of a message that is sent.
const SMALL: usize = 1_024;

const LARGE: usize = 1_024 * 1_024;

/// How long the clients work before they are measured: until Dovecot has its index.
const WARM_UP: Duration = Duration::from_millis(500);

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Workload {
    Logins,
    Retrieval,
    Connections,
    Messages,
}

impl Workload {
    const ALL: [Self; 4] = [Self::Logins, Self::Retrieval, Self::Connections, Self::Messages];

    const fn name(self) -> &'static str {
        match self {
            Self::Logins => "POP3S: new connections, 10 clients",
            Self::Retrieval => "POP3S: RETR of 1 MB, 2 sessions kept",
            Self::Connections => "SMTPS: new connections, 10 clients",
            Self::Messages => "SMTPS: 1 KB, 10 sessions, --no-sync",
        }
    }

    const fn clients(self) -> usize {
        match self {
            Self::Retrieval => 2,
            Self::Logins | Self::Connections | Self::Messages => USERS,
        }
    }

    const fn is_pop3(self) -> bool {
        matches!(self, Self::Logins | Self::Retrieval)
    }

    /// Who does the same over TLS. Mail that is not synced is nobody else's.
    const fn peer(self) -> Option<&'static str> {
        match self {
            Self::Logins | Self::Retrieval => Some("Dovecot"),
            Self::Connections => Some("Postfix"),
            Self::Messages => None,
        }
    }

    fn mailbox(self) -> String {
        match self {
            Self::Logins => pop3::mailbox(SMALL, MESSAGES),
            Self::Retrieval => pop3::mailbox(LARGE, LARGE_MESSAGES),
            Self::Connections | Self::Messages => String::new(),
        }
    }

    fn script(self) -> Script {
        let (openings, rounds, closing) = if self.is_pop3() {
            let openings = (0..self.clients()).map(pop3::login).collect();
            (openings, self.visits(), Exchange::line("QUIT\r\n", "+OK"))
        } else {
            let opening = [Exchange::line("", "220"), Exchange::line("EHLO bench\r\n", "250")];
            let text = smtp::text(SMALL);
            let rounds = (0..USERS).map(|user| smtp::mail(user, &text)).collect();
            (vec![opening.to_vec()], rounds, Exchange::line("QUIT\r\n", "221"))
        };
        let is_new = matches!(self, Self::Logins | Self::Connections);
        let sessions = if is_new { Sessions::New } else { Sessions::Kept };
        Script { openings, rounds, closing: vec![closing], sessions }
    }

    /// What is done in a maildrop, one after the other.
    fn visits(self) -> Vec<Vec<Exchange>> {
        if self == Self::Logins {
            return vec![vec![Exchange::line("STAT\r\n", "+OK")]];
        }
        let retr = |number| vec![Exchange::lines(format!("RETR {number}\r\n"), "+OK")];
        (1..=LARGE_MESSAGES).map(retr).collect()
    }
}

/// Measures all kinds of load.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    let setup = Setup::make(bench, table);
    for workload in Workload::ALL.into_iter().filter(|workload| bench.wants(workload.name())) {
        Results::measure(&setup, workload).add_to(table);
    }
}

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// One of the builds, by its number.
    Tls(usize),
    Clear(usize),
    Peer,
}

/// What all servers have in common, and those of others.
struct Setup<'a> {
    bench: &'a Bench,
    /// Of the certificate.
    _dir: TempDir,
    certificate: Certificate,
    demands: Arc<ClientConfig>,
    dovecot: Option<Dovecot>,
    postfix: Option<Postfix>,
}

impl<'a> Setup<'a> {
    fn make(bench: &'a Bench, table: &mut Table) -> Self {
        let dir = open_directory();
        let dovecot = Dovecot::find(dir.path());
        let postfix = Postfix::find(dir.path());
        if let Err(why) = &dovecot {
            table.note(format!("Dovecot is left out: {why}."));
        }
        if let Err(why) = &postfix {
            table.note(format!("Postfix is left out: {why}."));
        }
        let certificate = Certificate::make(dir.path());
        let (dovecot, postfix) = (dovecot.ok(), postfix.ok());
        Self { bench, _dir: dir, certificate, demands: demands(), dovecot, postfix }
    }

    fn runners(&self, workload: Workload) -> Vec<Runner> {
        let builds = 0..self.bench.builds.len();
        let ours = builds.flat_map(|nth| [Runner::Tls(nth), Runner::Clear(nth)]);
        let has_peer = match workload {
            Workload::Logins | Workload::Retrieval => self.dovecot.is_some(),
            Workload::Connections => self.postfix.is_some(),
            Workload::Messages => false,
        };
        ours.chain(has_peer.then_some(Runner::Peer)).collect()
    }

    fn measure(&self, workload: Workload, runner: Runner, cores: &Cores) -> Sample {
        // In a new directory each time: Postfix and we leave mail behind.
        let home = open_directory();
        let mail = home.path().join("mail");
        fs::create_dir(&mail).unwrap();
        let text = workload.mailbox();
        let mailbox = |user: usize| mail.join(format!("u{user}.mbox"));
        (0..workload.clients()).for_each(|user| fs::write(mailbox(user), &text).unwrap());
        let server = match runner {
            Runner::Tls(nth) => self.start(workload, nth, "s:", &mail, cores),
            Runner::Clear(nth) => self.start(workload, nth, ":", &mail, cores),
            Runner::Peer => self.start_peer(workload, home.path(), &mail, cores),
        };
        let server =
            if let Runner::Clear(_) = runner { server } else { server.over_tls(&self.demands) };
        measure(&server, &workload.script(), workload.clients(), WARM_UP, self.bench.time)
    }

    /// The program, serving on a directory; the port is that of the listener with this ending.
    fn start(
        &self,
        workload: Workload,
        nth: usize,
        ending: &str,
        mail: &Path,
        cores: &Cores,
    ) -> Server {
        let protocol = if workload.is_pop3() { "pop3" } else { "smtp" };
        let mut command = serve(protocol, &self.bench.builds[nth], &self.certificate);
        if workload == Workload::Messages {
            command.arg("--no-sync");
        }
        Server::start_saying(&format!("{protocol}{ending}"), command.arg(mail), cores)
    }

    fn start_peer(&self, workload: Workload, home: &Path, mail: &Path, cores: &Cores) -> Server {
        if workload.is_pop3() {
            let dovecot = self.dovecot.as_ref().unwrap();
            dovecot.start(home, mail, pop3::PASSWORD, &self.certificate, cores)
        } else {
            self.postfix.as_ref().unwrap().start(home, &self.certificate, cores)
        }
    }
}

/// The program, serving SMTP over TLS on a directory.
pub(crate) fn start_smtps(
    build: &Path,
    certificate: &Certificate,
    dir: &Path,
    cores: &Cores,
) -> Server {
    Server::start_saying("smtps:", serve("smtp", build, certificate).arg(dir), cores)
}

/// The program, serving a protocol in the clear and over TLS, on ports of the system's choice.
fn serve(protocol: &str, build: &Path, certificate: &Certificate) -> Command {
    let mut command = Command::new(build);
    command.args([protocol, "-p", "0", "--bind", "127.0.0.1", "--profile", "esmtp"]);
    command.args([&format!("--{protocol}s-port"), "0"]);
    command.arg("--tls-cert").arg(&certificate.certificate);
    command.arg("--tls-key").arg(&certificate.key);
    command
}

/// A directory that every user may enter.
fn open_directory() -> TempDir {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// What each runner has come to on one workload.
struct Results {
    workload: Workload,
    runners: Vec<Runner>,
    samples: Vec<Vec<Sample>>,
}

/// What is looked at of a sample, and what is aimed at beside a peer.
struct Figure {
    heading: &'static str,
    unit: Unit,
    of: fn(&Sample) -> f64,
    aim: Aim,
}

const FIGURES: [Figure; 3] = [
    Figure {
        heading: "TLS: connections and messages",
        unit: Unit::PerSecond,
        of: |sample| sample.rate,
        aim: Aim::AtLeast(1.5),
    },
    Figure {
        heading: "TLS: processor time of a connection or message",
        unit: Unit::Microseconds,
        of: |sample| sample.cpu,
        aim: Aim::AtMost(0.5),
    },
    Figure {
        heading: "The clients of these servers: processor time of a connection or message",
        unit: Unit::Microseconds,
        of: |sample| sample.client_cpu,
        aim: Aim::Nothing,
    },
];

impl Results {
    fn measure(setup: &Setup<'_>, workload: Workload) -> Self {
        let cores = setup.bench.cores(Placement::Apart);
        let runners = setup.runners(workload);
        let samples = setup
            .bench
            .in_turn(workload.name(), &runners, |&runner| setup.measure(workload, runner, &cores));
        Self { workload, runners, samples }
    }

    fn add_to(&self, table: &mut Table) {
        for figure in FIGURES {
            if let Some(peer) = self.workload.peer() {
                table.add(figure.heading, self.row(&figure, Runner::Peer, peer, figure.aim));
            }
            let clear = self.row(&figure, Runner::Clear(0), "in the clear", Aim::Nothing);
            table.add(figure.heading, clear);
        }
    }

    fn row(&self, figure: &Figure, peer: Runner, peer_name: &'static str, aim: Aim) -> Row {
        Row {
            name: self.workload.name().to_owned(),
            unit: figure.unit,
            ours: self.figures(figure, Runner::Tls(0)),
            other: self.figures(figure, Runner::Tls(1)),
            peer: self.figures(figure, peer),
            peer_name,
            aim,
        }
    }

    /// The figures of a runner; none if it has not taken part.
    fn figures(&self, figure: &Figure, runner: Runner) -> Vec<f64> {
        let of_runner = self.runners.iter().zip(&self.samples).find(|(one, _)| **one == runner);
        of_runner.map_or_else(Vec::new, |(_, samples)| samples.iter().map(figure.of).collect())
    }
}
