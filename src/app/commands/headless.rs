//! The servers without a screen, all or one alone, until a signal ends them.

use std::io;
use std::net::IpAddr;
use std::process::ExitCode;

use crate::app::announcement::Announcement;
use crate::app::config::{Config, PUBLIC_PASSWORD, Port};
use crate::app::error::StartError;
use crate::app::event_writer::Reporting;
use crate::app::mailboxes::Mailboxes;
use crate::app::servers::{Servers, runtime};
use crate::app::signals::Signals;
use crate::app::transcript::with_transcript;
use crate::store::directory::Directory;

/// The port of a server that runs alone.
#[must_use]
pub const fn alone(number: u16) -> Port {
    Port { number, flag: "-p" }
}

/// Runs the servers without a screen until a signal ends them.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    let records = config.records.clone();
    with_transcript(config.verbosity, config.passwords, &records, |transcript| {
        let reporting = Reporting::start(&config)?;
        let servers = Servers::bind(config, reporting.observers(transcript), None)?;
        for warning in warnings(&servers) {
            eprintln!("mailconsole: warning: {warning}");
        }
        if let Some(line) = seed_line(servers.config()) {
            eprintln!("{line}");
        }
        let runtime = runtime()?;
        let code = runtime.block_on(serve_until_asked(servers, &reporting));
        // After a second signal, tasks that were cut short are not waited for.
        runtime.shutdown_background();
        code
    })
}

async fn serve_until_asked(
    servers: Servers,
    reporting: &Reporting,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::new()?;
    let announcement = Announcement::of(&servers);
    let running = servers.serve()?;
    // Before anybody can learn that they listen.
    let socket = running.open_socket(reporting.log());
    let announced = announcement.publish()?;
    if reporting.takes_stdout() {
        announcement.print(&mut io::stderr().lock());
    } else {
        announcement.print(&mut io::stdout().lock());
    }
    running.asked_to_end(&mut signals).await;
    drop(announced);
    let code = running.end_or_interrupt(&mut signals).await;
    reporting.close(socket).await;
    Ok(code)
}

/// Risks of this configuration that are easily overlooked.
pub(super) fn warnings(servers: &Servers) -> Vec<String> {
    let (config, directory) = (servers.config(), servers.directory());
    let unsynced = config.mailboxes.as_ref().is_some_and(Mailboxes::is_unsynced);
    let unsynced = unsynced
        .then(|| "not synced (--no-sync): a power failure can lose acknowledged mail".to_owned());
    let warnings = [
        directory.and_then(sentence_on_no_mailbox),
        unsynced,
        on_others(config),
        on_faults(config),
        servers.warning_on_certificate(),
    ];
    warnings.into_iter().flatten().collect()
}

/// What the chance of faults is drawn from, where that is told: the same number gives the same hits.
pub(super) fn seed_line(config: &Config) -> Option<String> {
    config.faults.seed_told.map(|seed| format!("fault seed: {seed}"))
}

/// Faults are meant for tests on one machine.
fn on_faults(config: &Config) -> Option<String> {
    let is_open = config.faults.is_any && !config.open_addresses().is_empty();
    is_open.then(|| {
        "faults are played on purpose (--fault), for other machines too (--bind)".to_owned()
    })
}

/// What it means that other machines can connect.
fn on_others(config: &Config) -> Option<String> {
    let open = config.open_addresses();
    if open.is_empty() {
        return None;
    }
    let others = format!("other machines that reach {} can connect (--bind)", listed(&open));
    Some(match config.mailboxes {
        None => others,
        Some(_) if config.has_public_password() => format!(
            "{others}, and the password {PUBLIC_PASSWORD} is public: set another with --password"
        ),
        Some(_) => format!("{others}, and passwords and mail travel unencrypted"),
    })
}

/// The addresses in words; `this machine` for all that it has.
pub(super) fn listed(addresses: &[IpAddr]) -> String {
    let words = addresses.iter().map(|address| match address {
        address if address.is_unspecified() => "this machine".to_owned(),
        address => address.to_string(),
    });
    let mut words: Vec<String> = words.collect();
    words.dedup();
    words.join(" or ")
}

/// What to do about a directory without a mailbox. It is no failure, because mailboxes may be
/// added later.
fn sentence_on_no_mailbox(directory: &Directory) -> Option<String> {
    let path = directory.path().display();
    let none = directory.users().is_ok_and(|users| users.is_empty());
    none.then(|| {
        format!(
            "there is no mailbox in {path}, so no mail can be received: create one with --user NAME, \
             or create the file {path}/NAME.mbox"
        )
    })
}
