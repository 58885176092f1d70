//! One scenario: servers of its own, the command once or twice, and the verdict.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Local;
use nix::sys::resource::rlim_t;

use crate::app::commands::check::client::ground::{Plot, SECOND, USER};
use crate::app::commands::check::client::process::{self, Ended, Failed, Started};
use crate::app::commands::check::client::recorder::Recorder;
use crate::app::commands::check::client::tap::Tap;
use crate::app::commands::exec::passed_signals::PassedSignals;
use crate::app::config::Config;
use crate::app::error::StartError;
use crate::app::servers::Servers;
use crate::check::client::command::{self, MANY, MANY_RECIPIENTS, Words};
use crate::check::client::judge::{Again, Rule, again, judge};
use crate::check::client::record::{Protocol, Run, Trial};
use crate::check::client::report::Outcome;
use crate::check::client::scale::{Delays, scaled, time_of};
use crate::check::client::verdict::{Judgement, Verdict};
use crate::fault::catalogue::{self, Scenario};
use crate::fault::faults::Faults;
use crate::servers::holds::{Holds, USUAL_PATIENCE};
use crate::servers::profile::{AuthPolicy, TlsPolicy};
use crate::servers::tls::CertificateSource;
use crate::servers::tls::authority::certificate_path;
use crate::store::directory::Durability;
use crate::watch::observers::Observers;

/// A signal that has killed is 128 and its number, as shells have it.
const KILLED: u8 = 128;

/// Who tries a command.
#[derive(Debug)]
pub(super) struct Tester {
    pub(super) config: Config,
    pub(super) protocol: Protocol,
    pub(super) command: Vec<OsString>,
    pub(super) patience: Duration,
    pub(super) delays: Delays,
    /// The limit of descriptors that we were given: our servers raise their own.
    pub(super) limit: Option<rlim_t>,
    /// Where the authority for TLS is.
    pub(super) authority: PathBuf,
    pub(super) signals: PassedSignals,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The command cannot be run: a sentence.
    NotRun(String),
    /// We were asked to end: our exit status.
    Signal(u8),
    /// We cannot go on.
    Error(StartError),
}

impl<E: Into<StartError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Tester {
    /// Tries the command in one scenario.
    pub(super) async fn try_one(&mut self, scenario: &Scenario) -> Result<Outcome, Stopped> {
        let rules: Vec<String> =
            scenario.rules.iter().map(|rule| scaled(scenario.name, rule, self.delays)).collect();
        let mut outcome = Outcome {
            name: scenario.name.to_owned(),
            paragraph: scenario.paragraph.to_owned(),
            good: scenario.good.to_owned(),
            rules,
            hits: 0,
            runs: Vec::new(),
            judgement: Judgement::new(Verdict::Skip, ""),
        };
        if let Some(missing) = self.missing(scenario) {
            outcome.judgement.reason = format!("the command has no {{{missing}}}");
            return Ok(outcome);
        }
        let plot = self.plot(scenario)?;
        let mut trial = Trial {
            name: scenario.name.to_owned(),
            runs: Vec::new(),
            message_id: plot.message_id(),
        };
        let tap = Tap::open().await?;
        let first = self.run(scenario, &plot, &tap, &outcome.rules, 1).await?;
        let hit = first.1;
        trial.runs.push(first.0);
        if self.tries_again(scenario, &trial) {
            self.wait_for(scenario, &outcome.rules, hit).await?;
            let (second, _) = self.run(scenario, &plot, &tap, &[], 2).await?;
            trial.runs.push(second);
        }
        let rule = match scenario.verdict {
            catalogue::Verdict::Judged => Rule::Says,
            catalogue::Verdict::Info => Rule::Silent,
        };
        outcome.judgement = judge(self.protocol, rule, &points(scenario), &trial);
        outcome.hits = trial.runs.iter().map(|run| run.hits).sum();
        outcome.runs = trial.runs;
        Ok(outcome)
    }

    /// The word without which the command cannot come into the scenario.
    fn missing(&self, scenario: &Scenario) -> Option<&'static str> {
        let has = |word| command::names(&self.command, word);
        match scenario.name {
            "one-later" | "one-refused" if !has("to2") && !has(MANY) => Some("to2"),
            "too-many" if !has(MANY) => Some(MANY),
            _ => None,
        }
    }

    fn plot(&self, scenario: &Scenario) -> io::Result<Plot> {
        let plot = Plot::make()?;
        let date = Local::now().to_rfc2822();
        match self.protocol {
            Protocol::Smtp => {
                plot.write_message(&self.address("sender"), &self.address(USER), &date)?;
            }
            Protocol::Pop3 => plot.write_maildrop(&date, special(scenario))?,
        }
        Ok(plot)
    }

    fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.config.domain)
    }

    /// The recipients of `{to101}`.
    fn many(&self) -> impl Iterator<Item = String> {
        let is_meant = command::names(&self.command, MANY);
        (1..=MANY_RECIPIENTS).filter(move |_| is_meant).map(|number| format!("to{number:03}"))
    }

    fn tries_again(&self, scenario: &Scenario, trial: &Trial) -> bool {
        let is_about_it = again(scenario.name, scenario.rules) != Again::No;
        let Some(run) = trial.runs.first().filter(|run| is_about_it && run.hits > 0) else {
            return false;
        };
        // A message that is sent is not to be sent again.
        let is_sent =
            self.protocol == Protocol::Smtp && run.exit == Some(0) && !run.stored.is_empty();
        !is_sent
    }

    async fn wait_for(
        &mut self,
        scenario: &Scenario,
        rules: &[String],
        hit: Option<Instant>,
    ) -> Result<(), Stopped> {
        if again(scenario.name, scenario.rules) != Again::Later {
            return Ok(());
        }
        let until = rules.iter().find_map(|rule| time_of(rule, "until")).unwrap_or_default();
        let left = hit.map_or(until, |hit| until.saturating_sub(hit.elapsed()));
        tokio::select! {
            () = tokio::time::sleep(left) => Ok(()),
            signal = self.signals.end() => Err(killed(signal as i32)),
        }
    }

    /// Runs the command once beside servers with these rules; says also when a rule acted first.
    async fn run(
        &mut self,
        scenario: &Scenario,
        plot: &Plot,
        tap: &Tap,
        rules: &[String],
        number: usize,
    ) -> Result<(Run, Option<Instant>), Stopped> {
        let recorder = Arc::new(Recorder::start(self.protocol));
        let config = self.config_of(scenario, plot);
        let servers = Servers::bind(config, Observers::one(Arc::clone(&recorder) as _), None)?;
        add(&servers, rules)?;
        let address = address(&servers)?;
        let running = servers.serve()?;
        let command = command::filled(&self.command, &self.words(plot, tap.address()));
        let (stdout, stderr) = plot.printed(number)?;
        let variables = self.variables(scenario);
        let started =
            Started { command: &command, stdout, stderr, variables: &variables, limit: self.limit };
        let patience = self.patience_for(rules);
        let mut passage = tap.passage(address, &recorder);
        let ended = tokio::select! {
            ended = process::run(started, patience, &recorder, &mut self.signals) => ended,
            never = passage.pass() => match never {},
        };
        passage.pass_last_words().await;
        drop(passage);
        running.end().await;
        let ended = ended.map_err(|failed| stopped(failed, &command))?;
        let run = self.record(plot, &recorder, &ended)?;
        Ok((run, recorder.first_hit()))
    }

    fn config_of(&self, scenario: &Scenario, plot: &Plot) -> Config {
        let mut config = self.config.clone();
        let many = self.many();
        if let Some(mailboxes) = &mut config.mailboxes {
            mailboxes.directory = plot.mail();
            mailboxes.users = [USER, SECOND].map(str::to_owned).into_iter().chain(many).collect();
            // What a power failure leaves of it is of no use to anybody.
            mailboxes.durability = Durability::Unsynced;
        }
        offer(&mut config, scenario, &self.authority);
        config
    }

    fn words(&self, plot: &Plot, address: SocketAddr) -> Words {
        let one = [
            ("host", address.ip().to_string().into()),
            ("port", address.port().to_string().into()),
            ("from", self.address("sender").into()),
            ("to", self.address(USER).into()),
            ("to2", self.address(SECOND).into()),
            ("message", plot.message().into_os_string()),
            ("user", USER.into()),
            ("password", self.config.password.as_str().into()),
            ("out", plot.out().into_os_string()),
        ];
        let many = self.many().map(|user| self.address(&user)).collect();
        Words { one: one.into_iter().collect(), many }
    }

    fn variables(&self, scenario: &Scenario) -> Vec<(&'static str, OsString)> {
        let authority = certificate_path(&self.authority).into_os_string();
        has_tls(scenario).then_some(("MAILCONSOLE_CA", authority)).into_iter().collect()
    }

    /// A delay that may be long must not use up the patience.
    fn patience_for(&self, rules: &[String]) -> Duration {
        let delay =
            rules.iter().filter_map(|rule| time_of(rule, "delay")).max().unwrap_or_default();
        match self.delays {
            Delays::Within(_) => self.patience,
            Delays::Long => self.patience + delay,
        }
    }

    fn record(&self, plot: &Plot, recorder: &Recorder, ended: &Ended) -> io::Result<Run> {
        let Ended { exit, timed_out, seconds, waited, burnt } = *ended;
        let mut run = Run {
            entries: recorder.entries(),
            hits: recorder.hits(),
            exit,
            timed_out,
            seconds,
            waited,
            burnt,
            ..Run::default()
        };
        match self.protocol {
            Protocol::Smtp => run.stored = plot.stored()?,
            Protocol::Pop3 => (run.left, run.delivered) = (plot.left()?, plot.delivered()?),
        }
        Ok(run)
    }
}

/// Has the servers offer what a scenario is about, and play no other faults.
pub(super) fn offer(config: &mut Config, scenario: &Scenario, authority: &Path) {
    // Copies of a config share their faults.
    config.faults.faults = Arc::new(Faults::new(0, false));
    config.faults.holds = Arc::new(Holds::new(USUAL_PATIENCE));
    let choices = &mut config.settings.choices;
    // A client that logs in must come to all scenarios, and one without TLS must be free to do wrong.
    choices.auth = choices.auth.or(Some(AuthPolicy::Offered));
    choices.auth_plaintext = true;
    // A client that begins TLS wherever it is offered would have to trust an authority of ours.
    if has_tls(scenario) {
        choices.smtp_tls = Some(TlsPolicy::Offered);
        let (directory, domain) = (authority.to_owned(), Arc::clone(&config.domain));
        config.certificate = Some(CertificateSource::Authority { directory, domain });
        config.needs_certificate = true;
    }
}

fn has_tls(scenario: &Scenario) -> bool {
    scenario.name.starts_with("tls-")
}

/// A line that messages of a scenario have.
pub(super) fn special(scenario: &Scenario) -> Option<&'static str> {
    match scenario.name {
        "unstuffed" => Some(".x"),
        "lone-dot" => Some("."),
        _ => None,
    }
}

/// Has the servers play these rules.
pub(super) fn add(servers: &Servers, rules: &[String]) -> Result<(), StartError> {
    for rule in rules {
        servers.faults().add(rule).map_err(StartError::Server)?;
    }
    Ok(())
}

/// Where the servers are reached by the tap.
pub(super) fn address(servers: &Servers) -> io::Result<SocketAddr> {
    let listening = servers.listening();
    let mut addresses = listening.into_iter().map(|(_, _, address)| address);
    addresses.find(SocketAddr::is_ipv4).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn points(scenario: &Scenario) -> String {
    let mut points: Vec<&str> = Vec::new();
    for rule in scenario.rules {
        let point = rule.split([' ', ':']).next().unwrap_or(rule);
        if !points.contains(&point) {
            points.push(point);
        }
    }
    points.join(" or ")
}

fn stopped(failed: Failed, command: &[OsString]) -> Stopped {
    match failed {
        Failed::Signal(signal) => killed(signal as i32),
        Failed::NotStarted(error) => {
            let name = command.first().map(|name| name.display().to_string()).unwrap_or_default();
            let why = match error.kind() {
                io::ErrorKind::NotFound => "there is no such command".to_owned(),
                _ => error.to_string(),
            };
            Stopped::NotRun(format!("cannot execute {name}: {why}"))
        }
    }
}

fn killed(signal: i32) -> Stopped {
    Stopped::Signal(u8::try_from(signal).map_or(u8::MAX, |signal| KILLED.saturating_add(signal)))
}
