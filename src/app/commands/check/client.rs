//! `mailconsole check client`: what a mail client makes of faults that are played to it on purpose.

mod ground;
mod process;
mod recorder;
mod serve;
mod stdout;
mod tap;
mod trial;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::app::commands::check::client::ground::Ground;
use crate::app::commands::check::client::serve::Serving;
use crate::app::commands::check::client::stdout::print;
use crate::app::commands::check::client::trial::{Stopped, Tester};
use crate::app::commands::exec::child::descriptor_limit;
use crate::app::commands::exec::passed_signals::PassedSignals;
use crate::app::config::{Config, Port, Setup};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::app::last_word;
use crate::app::servers::runtime;
use crate::check::client::junit::in_junit;
use crate::check::client::names::chosen;
use crate::check::client::record::Protocol;
use crate::check::client::report::{self, Counts, Outcome};
use crate::check::client::scale::Delays;
use crate::check::client::verdict::Verdict;
use crate::fault::catalogue::{self, Scenario};
use crate::servers::profile::Profile;
use crate::servers::units::Period;
use crate::watch::event::Service;
use crate::wire::nearest::nearest;

/// Exit status if the file of the verdicts cannot be made.
const WRONG_USE: u8 = 2;

/// Exit status if the command, or what it needs of us, cannot be run: no verdict says anything of it.
const NOT_RUN: u8 = 3;

/// Its own arguments.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole check client [OPTIONS] smtp|pop3 [SCENARIO|GLOB]... -- \
                            COMMAND [ARGUMENT]...\n       \
                            mailconsole check client smtp|pop3 --serve|--list [SCENARIO|GLOB]...\n       \
                            mailconsole check client smtp|pop3 --explain NAME")]
#[command(after_help = BRIEF, after_long_help = EXAMPLES)]
pub struct ClientArguments {
    /// What the client speaks
    #[arg(value_name = "smtp|pop3", value_parser = PossibleValuesParser::new(["smtp", "pop3"]))]
    pub protocol: String,
    /// Names of scenarios, or patterns with * and ? [default: all]
    #[arg(value_name = "SCENARIO|GLOB")]
    pub scenarios: Vec<String>,
    /// How long the command may wait in each scenario
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub patience: Period,
    /// Let delays be as long as the scenarios say
    ///
    /// Without it they are at most half of the patience.
    #[arg(long)]
    pub long: bool,
    /// Write one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
    /// Write the verdicts to this file too.
    #[arg(long, value_name = "FILE", help = "Write the verdicts to this file too, as JUnit's XML")]
    pub junit: Option<PathBuf>,
    /// Print the names of the scenarios
    #[arg(long, conflicts_with_all = ["explain", "serve", "command"])]
    pub list: bool,
    /// Print what a scenario does, and what a good client makes of it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["serve", "command"])]
    pub explain: Option<String>,
    /// Run no command: give each scenario a port, and say which were reached
    #[arg(long, conflicts_with = "command")]
    pub serve: bool,
    /// The client, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

const BRIEF: &str = "\
COMMAND may have {host}, {port}, {from}, {to}, {to2}, {to101}, {message}, {user}, {password}, {out}.

Examples:
  mailconsole check client pop3 'uid-*' -- ./fetch {host} {port} {user} {password} {out}";

const EXAMPLES: &str = "\
In each scenario the command runs once, or twice where it has to try again. Anywhere in its arguments \
stand {host}, {port}, {from}, {to}, {to2}, {to101} (101 arguments), {message} (a file), {user}, \
{password} and {out} (an empty folder for what it fetches; what it prints counts too).

The servers offer what the profile esmtp does, and AUTH; no PIPELINING in SMTP, unless \
MAILCONSOLE_EXTENSIONS or the config file say so, since what a client sends before it has a reply \
shows nothing of what it makes of that; STARTTLS in tls-* only, where the variable MAILCONSOLE_CA \
names the file of the authority that the client has to trust.

The exit status is 0 if nothing failed, 1 if anything did, 2 for wrong use, and 3 if the command \
cannot be run.

Examples:
  mailconsole check client smtp -- curl --mail-from {from} --mail-rcpt {to} -T {message} \
smtp://{host}:{port}
  mailconsole check client pop3 'uid-*' cut-retr -- ./fetch {host} {port} {user} {password} {out}
  mailconsole check client smtp --explain greylist
  mailconsole check client smtp --serve             for clients with a window";

/// The task.
#[derive(Debug)]
pub enum ClientTask {
    /// Print this.
    Print(String),
    /// Run the command in each scenario.
    Try(Box<Trying>),
    /// Serve all scenarios at once.
    Serve(Box<Serving>),
}

/// A command to be tried, and how.
#[derive(Debug)]
pub struct Trying {
    config: Config,
    protocol: Protocol,
    scenarios: Vec<&'static Scenario>,
    command: Vec<OsString>,
    patience: Duration,
    delays: Delays,
    is_json: bool,
    junit: Option<PathBuf>,
}

impl ClientArguments {
    /// The task.
    ///
    /// # Errors
    ///
    /// If there is no scenario of a name, no command, or the servers cannot be set up like that.
    pub fn task(self, setup: Setup) -> Result<ClientTask, ConfigError> {
        let protocol = if self.protocol == "pop3" { Protocol::Pop3 } else { Protocol::Smtp };
        let all = of(protocol);
        if let Some(name) = &self.explain {
            let names = std::slice::from_ref(name);
            let scenarios = meant(&all, names)?;
            return Ok(ClientTask::Print(scenarios.into_iter().map(explained).collect()));
        }
        let scenarios = meant(&all, &self.scenarios)?;
        if self.list {
            let names = scenarios.iter().map(|scenario| format!("{}\n", scenario.name));
            return Ok(ClientTask::Print(names.collect()));
        }
        let (patience, is_json) = (self.patience.0, self.json);
        let delays = if self.long { Delays::Long } else { Delays::Within(patience) };
        let config = config(setup, protocol)?;
        if self.serve {
            let serving = Serving { config, protocol, scenarios, delays, is_json };
            return Ok(ClientTask::Serve(Box::new(serving)));
        }
        let (command, junit) = (self.command, self.junit);
        if command.is_empty() {
            return Err(ConfigError::Client(
                "no COMMAND is given: put it behind --, or use --serve for a client with a window"
                    .to_owned(),
            ));
        }
        Ok(ClientTask::Try(Box::new(Trying {
            config,
            protocol,
            scenarios,
            command,
            patience,
            delays,
            is_json,
            junit,
        })))
    }
}

/// The scenarios of a protocol.
fn of(protocol: Protocol) -> Vec<&'static Scenario> {
    let service = service(protocol);
    catalogue::all().into_iter().filter(|scenario| scenario.protocol == service).collect()
}

const fn service(protocol: Protocol) -> Service {
    match protocol {
        Protocol::Smtp => Service::Smtp,
        Protocol::Pop3 => Service::Pop3,
    }
}

fn meant(
    all: &[&'static Scenario],
    named: &[String],
) -> Result<Vec<&'static Scenario>, ConfigError> {
    let known: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
    let chosen = chosen(&known, named).map_err(|unknown| {
        let hint = match nearest(&unknown.0, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "--list names all".to_owned(),
        };
        ConfigError::Client(format!("there is no scenario {}: {hint}", unknown.0))
    })?;
    Ok(all.iter().filter(|scenario| chosen.contains(&scenario.name)).copied().collect())
}

fn explained(scenario: &'static Scenario) -> String {
    let Scenario { name, rules, good, paragraph, .. } = scenario;
    let rules = rules.join("\n  ");
    let judged = match scenario.verdict {
        catalogue::Verdict::Judged => "",
        catalogue::Verdict::Info => "Not judged: no rule says what a client does.\n",
    };
    format!("{name} ({paragraph})\n  {rules}\nA good client: {good}.\n{judged}")
}

/// How the servers of each scenario are set up; where their mailboxes are is known later.
fn config(mut setup: Setup, protocol: Protocol) -> Result<Config, ConfigError> {
    let options = &mut setup.options;
    options.profile = Profile::Esmtp;
    // What a client sends before it has a reply tells nothing of what it makes of that.
    options.extensions = options.extensions.take().or_else(|| "-PIPELINING".parse().ok());
    options.user.clear();
    (options.keep, options.exit_when_idle, options.relay_every) = (None, None, None);
    (options.smtps_port, options.pop3s_port) = (None, None);
    options.bind.clear();
    setup.users.clear();
    let mailboxes = setup.mailboxes(Some(PathBuf::new()), "")?;
    let flag = match protocol {
        Protocol::Smtp => "--smtp-port",
        Protocol::Pop3 => "--pop3-port",
    };
    let port = Port { number: 0, flag };
    Config::new(setup, vec![(service(protocol), port)], Some(mailboxes))
}

/// Does it.
pub fn run(task: ClientTask) -> Result<ExitCode, StartError> {
    match task {
        ClientTask::Print(text) => {
            print(&text);
            Ok(ExitCode::SUCCESS)
        }
        ClientTask::Try(trying) => try_all(*trying),
        ClientTask::Serve(serving) => serve::run(&serving),
    }
}

fn try_all(trying: Trying) -> Result<ExitCode, StartError> {
    let Trying { config, protocol, scenarios, command, patience, delays, is_json, junit } = trying;
    // Not after minutes: whether it can be written is known now.
    let junit = match junit.map(JunitFile::make).transpose() {
        Ok(junit) => junit,
        Err(error) => {
            // Not 1, by which a script knows a client that has failed.
            last_word::say(&format!("mailconsole: {error}"));
            return Ok(ExitCode::from(WRONG_USE));
        }
    };
    let runtime = runtime()?;
    process::adopt_what_is_left()?;
    let ground = Ground::make()?;
    let mut tester = Tester {
        config,
        protocol,
        command,
        patience,
        delays,
        limit: descriptor_limit(),
        authority: ground.authority(),
        signals: runtime.block_on(async { PassedSignals::new() })?,
    };
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let outcome = match runtime.block_on(tester.try_one(scenario)) {
            Ok(outcome) => outcome,
            Err(Stopped::NotRun(why)) => {
                last_word::say(&format!("mailconsole: {why}"));
                return Ok(ExitCode::from(NOT_RUN));
            }
            Err(Stopped::Signal(status)) => return Ok(ExitCode::from(status)),
            Err(Stopped::Error(error)) => {
                last_word::say(&format!("mailconsole: {error}"));
                return Ok(ExitCode::from(NOT_RUN));
            }
        };
        if !is_json {
            tell(&outcome);
        }
        outcomes.push(outcome);
    }
    runtime.shutdown_background();
    print(&if is_json { report::in_json(protocol, &outcomes) } else { report::summary(&outcomes) });
    if let Some(Err(error)) = junit.map(|junit| junit.write(protocol, &outcomes)) {
        last_word::say(&format!("mailconsole: {error}"));
        return Ok(ExitCode::from(NOT_RUN));
    }
    let has_failed = Counts::of(&outcomes).fail > 0;
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The verdict on stdout; where it is a bad one, what shows it on stderr.
fn tell(outcome: &Outcome) {
    print(&(outcome.line() + "\n"));
    if outcome.judgement.verdict == Verdict::Fail {
        let _ = io::stderr().write_all(outcome.explained().as_bytes());
    }
}

/// The file of `--junit`.
struct JunitFile {
    path: PathBuf,
    file: File,
}

impl JunitFile {
    fn make(path: PathBuf) -> Result<Self, StartError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(not_made(path, error)),
        }
    }

    fn write(self, protocol: Protocol, outcomes: &[Outcome]) -> Result<(), StartError> {
        let Self { path, mut file } = self;
        let xml = in_junit(protocol, outcomes).map_err(io::Error::other);
        xml.and_then(|xml| file.write_all(xml.as_bytes())).map_err(|error| not_made(path, error))
    }
}

const fn not_made(path: PathBuf, error: io::Error) -> StartError {
    StartError::FileNotMade { path, error, option: "--junit" }
}
