//! Mail read, beside popa3d, which like us keeps no index on disk, and beside `md5sum`.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Uid;
use tempfile::TempDir;

use crate::Bench;
use crate::cores::{Cores, Placement};
use crate::load::{Client, Exchange, Script, Sessions, measure};
use crate::peers::{installed, ourselves};
use crate::process::Server;
use crate::table::{Aim, Row, Table, Unit};

/// Messages of a kilobyte in the mailbox that is visited.
const MESSAGES: usize = 100_000;

/// Sessions that read at once, each its own mailbox.
const READERS: usize = 10;

/// Messages in each of these mailboxes.
const MESSAGES_OF_A_READER: usize = 1_000;

/// Messages of a megabyte.
const LARGE_MESSAGES: usize = 100;

const WARM_UP: Duration = Duration::from_millis(200);

/// Of every user.
pub(crate) const PASSWORD: &str = "cis505";

/// That password as `/etc/shadow` has it.
const PASSWORD_HASH: &str = "$1$perfperf$eOeQYHrrX8B0Ien/ygUSo/";

/// The first user id of those who have mailboxes with popa3d.
const FIRST_ID: u32 = 30_000;

/// Who may not be root and must not be anybody else either.
const POPA3D_ID: u32 = 29_004;

/// Gives popa3d users, passwords and mailboxes of its own, which nobody outside sees.
const PRIVATE_NAMESPACE: &str = "
    mount --bind \"$1/passwd\" /etc/passwd &&
    mount --bind \"$1/group\" /etc/group &&
    mount --bind \"$1/shadow\" /etc/shadow &&
    mount --bind \"$1/mail\" /var/mail &&
    mount -t tmpfs tmpfs /var/lib &&
    mkdir /var/lib/popa3d &&
    shift && exec \"$@\"";

/// Measures visits.
pub(crate) fn measure_all(bench: &Bench, table: &mut Table) {
    let popa3d = find_popa3d();
    if let Err(why) = &popa3d {
        table.note(format!("popa3d is left out: {why}"));
    }
    let setup = Setup::make(bench, popa3d.ok());
    setup.visits(table);
    setup.many_readers(table);
    setup.large_messages(table);
    setup.update(table);
}

/// Where popa3d is, if it can be measured here. A package that is only unpacked will do.
fn find_popa3d() -> Result<PathBuf, &'static str> {
    let named = env::var_os("MAILCONSOLE_BENCH_POPA3D").map(PathBuf::from);
    let named = named.filter(|program| program.is_file());
    let program = named.or_else(|| installed("popa3d")).ok_or(
        "it is not installed; MAILCONSOLE_BENCH_POPA3D may name it where it is only unpacked",
    )?;
    if !Uid::effective().is_root() {
        return Err("only root can give it users of its own");
    }
    installed("unshare").ok_or("there is no unshare to give it users of its own with")?;
    Ok(program)
}

/// Who serves.
#[derive(Debug, Clone, Copy)]
enum Runner<'a> {
    Build(&'a Path),
    Popa3d(&'a Path),
}

/// The mailboxes, and who serves them.
struct Setup<'a> {
    bench: &'a Bench,
    popa3d: Option<PathBuf>,
    dir: TempDir,
}

impl<'a> Setup<'a> {
    fn make(bench: &'a Bench, popa3d: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let setup = Self { bench, popa3d, dir };
        fs::create_dir(setup.dir.path().join("mail")).unwrap();
        let users: Vec<u32> = (0..u32::try_from(READERS).unwrap()).collect();
        let of_each = |line: &dyn Fn(u32) -> String| -> String {
            users.iter().map(|&user| line(user)).collect()
        };
        setup.write_with(
            "passwd",
            &of_each(&|user| {
                let id = FIRST_ID + user;
                format!("u{user}:x:{id}:{FIRST_ID}::/nonexistent:/bin/false\n")
            }),
            &format!("popa3d:x:{POPA3D_ID}:{POPA3D_ID}::/var/lib/popa3d:/bin/false\n"),
        );
        setup.write_with(
            "group",
            &format!("bench:x:{FIRST_ID}:\n"),
            &format!("popa3d:x:{POPA3D_ID}:\n"),
        );
        let line = |user| format!("u{user}:{PASSWORD_HASH}:19000:0:99999:7:::\n");
        setup.write_with("shadow", &of_each(&line), "");
        setup
    }

    /// What the system has under this name, and more.
    fn write_with(&self, name: &str, users: &str, popa3d: &str) {
        let system = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        fs::write(self.dir.path().join(name), format!("{system}{users}{popa3d}")).unwrap();
    }

    /// Gives a user this mailbox, in both places where it is looked for.
    fn fill(&self, user: usize, text: &str) {
        let theirs = self.dir.path().join("mail").join(format!("u{user}"));
        let id = FIRST_ID + u32::try_from(user).unwrap();
        for file in [self.mailbox(user), theirs.clone()] {
            fs::write(&file, text).unwrap();
            let file = File::open(&file).unwrap();
            file.set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
            // popa3d waits for a second where a mailbox has just been changed.
            file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
            file.sync_all().unwrap();
        }
        if self.popa3d.is_some() {
            chown(&theirs, Some(id), Some(FIRST_ID)).unwrap();
        }
    }

    fn mailbox(&self, user: usize) -> PathBuf {
        self.dir.path().join(format!("u{user}.mbox"))
    }

    /// Our builds, then popa3d.
    fn runners(&self) -> Vec<Runner<'_>> {
        let builds = self.bench.builds.iter().map(|build| Runner::Build(build));
        builds.chain(self.popa3d.iter().map(|program| Runner::Popa3d(program))).collect()
    }

    fn start(&self, runner: Runner<'_>, cores: &Cores) -> Server {
        let mut command = match runner {
            Runner::Build(build) => {
                let mut command = Command::new(build);
                command.args(["pop3", "-p", "0", "--bind", "127.0.0.1"]).arg(self.dir.path());
                command
            }
            Runner::Popa3d(program) => {
                let ourselves = ourselves("popa3d");
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-c"]);
                command.args([PRIVATE_NAMESPACE, "popa3d"]).arg(self.dir.path());
                command.arg(ourselves.get_program()).args(ourselves.get_args()).arg(program);
                command
            }
        };
        Server::start(&mut command, cores)
    }

    /// Adds a row of what our builds and popa3d have come to.
    fn add(&self, table: &mut Table, name: &str, unit: Unit, figures: &[Vec<f64>], aim: Aim) {
        self.add_beside("popa3d", table, name, unit, figures, aim);
    }

    fn add_beside(
        &self,
        peer_name: &'static str,
        table: &mut Table,
        name: &str,
        unit: Unit,
        figures: &[Vec<f64>],
        aim: Aim,
    ) {
        let (ours, peer) = figures.split_at(self.bench.builds.len());
        let nth = |all: &[Vec<f64>], nth: usize| all.get(nth).cloned().unwrap_or_default();
        let row = Row {
            name: name.to_owned(),
            unit,
            ours: nth(ours, 0),
            other: nth(ours, 1),
            peer: nth(peer, 0),
            peer_name,
            aim,
        };
        table.add(HEADING, row);
    }

    fn visits(&self, table: &mut Table) {
        if !self.bench.wants(VISITS) {
            return;
        }
        let cores = self.bench.cores(Placement::Apart);
        self.fill(0, &mailbox(1_024, MESSAGES));
        let visits = self.bench.in_turn(VISITS, &self.runners(), |&runner| {
            let server = self.start(runner, &cores);
            [visit(server.port), visit(server.port)]
        });
        let figures = |figure: fn(&[Visit; 2]) -> f64| -> Vec<Vec<f64>> {
            visits.iter().map(|of_runner| of_runner.iter().map(figure).collect()).collect()
        };
        let mut add = |name: &str, figure, aim| {
            let name = format!("{VISITS}: {name}");
            self.add(table, &name, Unit::Milliseconds, &figures(figure), aim);
        };
        add("first login", |[first, _]| first.login, Aim::AtMost(0.94));
        add("with STAT and LIST", |[first, _]| first.login + first.listing, Aim::Nothing);
        add("next login", |[_, next]| next.login, Aim::AtMost(0.03));
        add("with STAT and LIST", |[_, next]| next.login + next.listing, Aim::Nothing);
        self.unique_ids(&cores, table);
    }

    fn unique_ids(&self, cores: &Cores, table: &mut Table) {
        let name = format!("{VISITS}: first login, UIDL");
        let session = session(0, [Exchange::lines("UIDL\r\n", "+OK")]);
        let builds = self.bench.builds.iter().map(|build| Some(build.as_path()));
        let runners: Vec<Option<&Path>> = builds.chain([None]).collect();
        let times = self.bench.in_turn(&name, &runners, |runner| {
            milliseconds(match runner {
                Some(build) => {
                    let server = self.start(Runner::Build(build), cores);
                    Client::connect(server.port).converse(&session)
                }
                None => cores.as_server(|| md5sum(&self.mailbox(0))),
            })
        });
        self.add_beside("cat | md5sum", table, &name, Unit::Milliseconds, &times, Aim::AtMost(1.3));
    }

    fn many_readers(&self, table: &mut Table) {
        let name = "RETR of 1 KB, 10 sessions";
        if self.bench.wants(name) {
            let text = mailbox(1_024, MESSAGES_OF_A_READER);
            (0..READERS).for_each(|user| self.fill(user, &text));
            self.retrieve(name, READERS, MESSAGES_OF_A_READER, 2.0, table);
        }
    }

    fn large_messages(&self, table: &mut Table) {
        let name = "RETR of 1 MB, 1 session";
        if self.bench.wants(name) {
            self.fill(0, &mailbox(1_024 * 1_024, LARGE_MESSAGES));
            self.retrieve(name, 1, LARGE_MESSAGES, 1.9, table);
        }
    }

    fn retrieve(&self, name: &str, readers: usize, messages: usize, aim: f64, table: &mut Table) {
        let cores = self.bench.cores(Placement::Apart);
        let retr = |number: usize| vec![Exchange::lines(format!("RETR {number}\r\n"), "+OK")];
        let script = Script {
            openings: (0..readers).map(login).collect(),
            rounds: (1..=messages).map(retr).collect(),
            closing: Vec::new(),
            sessions: Sessions::Kept,
        };
        let rates = self.bench.in_turn(name, &self.runners(), |&runner| {
            let server = self.start(runner, &cores);
            measure(&server, &script, readers, WARM_UP, self.bench.time).rate
        });
        self.add(table, name, Unit::PerSecond, &rates, Aim::AtLeast(aim));
    }

    fn update(&self, table: &mut Table) {
        let name = "100,000 messages: DELE of half, QUIT";
        if !self.bench.wants(name) {
            return;
        }
        let cores = self.bench.cores(Placement::Together);
        let text = mailbox(1_024, MESSAGES);
        let dele = |number: usize| Exchange::line(format!("DELE {number}\r\n"), "+OK");
        let visit = session(0, (1..=MESSAGES).step_by(2).map(dele));
        let times = self.bench.in_turn(name, &self.runners(), |&runner| {
            self.fill(0, &text);
            let server = self.start(runner, &cores);
            milliseconds(Client::connect(server.port).converse(&visit))
        });
        self.add(table, name, Unit::Milliseconds, &times, Aim::Nothing);
    }
}

const HEADING: &str = "POP3";

const VISITS: &str = "100,000 messages";

/// How long a visit takes, in milliseconds.
struct Visit {
    login: f64,
    listing: f64,
}

fn visit(port: u16) -> Visit {
    let listing = [Exchange::line("STAT\r\n", "+OK"), Exchange::lines("LIST\r\n", "+OK")];
    let mut client = Client::connect(port);
    let login = milliseconds(client.converse(&login(0)));
    let listing = milliseconds(client.converse(&listing));
    client.converse(&[Exchange::line("QUIT\r\n", "+OK")]);
    Visit { login, listing }
}

/// What a user says first.
pub(crate) fn login(user: usize) -> Vec<Exchange> {
    vec![
        Exchange::line("", "+OK"),
        Exchange::line(format!("USER u{user}\r\n"), "+OK"),
        Exchange::line(format!("PASS {PASSWORD}\r\n"), "+OK"),
    ]
}

fn session(user: usize, commands: impl IntoIterator<Item = Exchange>) -> Vec<Exchange> {
    let mut exchanges = login(user);
    exchanges.extend(commands);
    exchanges.push(Exchange::line("QUIT\r\n", "+OK"));
    exchanges
}

/// A mailbox of so many messages of so many octets.
pub(crate) fn mailbox(octets: usize, messages: usize) -> String {
    let line = "The quick brown fox jumps over the lazy dog; 0123456789 abcdefghijklmnop.\n";
    let text = line.repeat(octets / line.len());
    let entry = format!("From a@b.org Wed Sep 17 11:00:00 2025\nSubject: x\n\n{text}\n");
    entry.repeat(messages)
}

fn md5sum(file: &Path) -> Duration {
    let began = Instant::now();
    let mut cat = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let piped = cat.stdout.take().unwrap();
    let sum = Command::new("md5sum").stdin(piped).stdout(Stdio::null()).status().unwrap();
    assert!(sum.success() && cat.wait().unwrap().success());
    began.elapsed()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
