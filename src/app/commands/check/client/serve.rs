//! `--serve`: a port for each scenario, for clients that a person operates.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Local;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::app::commands::check::client::ground::{Ground, Plot, SECOND, USER};
use crate::app::commands::check::client::stdout::print;
use crate::app::commands::check::client::trial::{add, address, offer, special};
use crate::app::config::Config;
use crate::app::error::StartError;
use crate::app::servers::{Running, Servers, runtime};
use crate::app::signals::Signals;
use crate::check::client::record::Protocol;
use crate::check::client::scale::{Delays, scaled};
use crate::fault::catalogue::Scenario;
use crate::servers::tls::authority::certificate_path;
use crate::watch::event::Event;
use crate::watch::fact::{Fact, FactEvent};
use crate::watch::observers::{FactsWanted, Observer, Observers};

/// Scenarios to be served.
#[derive(Debug)]
pub struct Serving {
    pub(super) config: Config,
    pub(super) protocol: Protocol,
    pub(super) scenarios: Vec<&'static Scenario>,
    pub(super) delays: Delays,
    pub(super) is_json: bool,
}

/// Says when the first rule of a scenario has acted.
#[derive(Debug)]
struct Reached {
    name: &'static str,
    is_json: bool,
    is_told: AtomicBool,
}

impl Observer for Reached {
    fn observe(&self, _: Event) {}

    fn wants_text(&self) -> bool {
        false
    }

    fn facts_wanted(&self) -> FactsWanted {
        FactsWanted::Cheap
    }

    fn fact(&self, event: FactEvent) {
        let is_fault = matches!(event.fact, Fact::Fault { .. });
        if is_fault && !self.is_told.swap(true, Ordering::Relaxed) {
            let Self { name, is_json, .. } = self;
            print(&if *is_json {
                in_json(&ReachedView { v: 1, name, reached: true })
            } else {
                format!("{name} reached\n")
            });
        }
    }
}

/// Serves them until a signal comes.
pub(super) fn run(serving: &Serving) -> Result<ExitCode, StartError> {
    let runtime = runtime()?;
    let ground = Ground::make()?;
    let authority = ground.authority();
    let code = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut running = Vec::new();
        for scenario in &serving.scenarios {
            running.push(begin(serving, scenario, &authority)?);
        }
        tell_how_to_get_in(serving, &authority);
        signals.next().await;
        // All at once: each may have a client that takes its time.
        let mut ending = JoinSet::new();
        for (running, plot) in running {
            ending.spawn(async move {
                running.end().await;
                drop(plot);
            });
        }
        tokio::select! {
            _ = ending.join_all() => {}
            () = signals.next() => {}
        }
        Ok::<_, StartError>(ExitCode::SUCCESS)
    });
    runtime.shutdown_background();
    code
}

/// What a client with a window has to be told beside the ports, on stderr.
fn tell_how_to_get_in(serving: &Serving, authority: &Path) {
    let password = serving.config.password.as_str();
    let authority = certificate_path(authority);
    let authority = authority.display();
    let _ = writeln!(
        io::stderr(),
        "user {USER}, password {password}; recipients {USER} and {SECOND}; the certificates of tls-* \
         are of {authority}"
    );
}

/// Begins to serve one scenario; its directory goes with the plot.
fn begin(
    serving: &Serving,
    scenario: &'static Scenario,
    authority: &Path,
) -> Result<(Running, Plot), StartError> {
    let Serving { protocol, delays, is_json, .. } = serving;
    let plot = Plot::make()?;
    if *protocol == Protocol::Pop3 {
        plot.write_maildrop(&Local::now().to_rfc2822(), special(scenario))?;
    }
    let mut config = serving.config.clone();
    if let Some(mailboxes) = &mut config.mailboxes {
        mailboxes.directory = plot.mail();
        mailboxes.users = [USER, SECOND].map(str::to_owned).to_vec();
    }
    offer(&mut config, scenario, authority);
    let name = scenario.name;
    let reached = Reached { name, is_json: *is_json, is_told: AtomicBool::new(false) };
    let servers = Servers::bind(config, Observers::one(Arc::new(reached)), None)?;
    let rules: Vec<String> =
        scenario.rules.iter().map(|rule| scaled(name, rule, *delays)).collect();
    add(&servers, &rules)?;
    let address = address(&servers)?;
    let running = servers.serve()?;
    print(&if *is_json {
        let (host, port) = (address.ip().to_string(), address.port());
        in_json(&ServedView { v: 1, name, host, port })
    } else {
        format!("{name} {address}\n")
    });
    Ok((running, plot))
}

#[derive(Serialize)]
struct ServedView {
    v: u8,
    name: &'static str,
    host: String,
    port: u16,
}

#[derive(Serialize)]
struct ReachedView {
    v: u8,
    name: &'static str,
    reached: bool,
}

fn in_json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_default() + "\n"
}
