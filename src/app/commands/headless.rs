//! The servers without a screen, all or one alone, until a signal ends them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::app::config::{Config, PUBLIC_PASSWORD, Port};
use crate::app::error::StartError;
use crate::app::event_writer::Reporting;
use crate::app::mailboxes::Mailboxes;
use crate::app::servers::{Servers, runtime};
use crate::app::signals::Signals;
use crate::app::transcript::with_transcript;
use crate::servers::listener::TlsBegins;
use crate::store::directory::Directory;
use crate::watch::event::Service;

/// The port of a server that runs alone.
#[must_use]
pub const fn alone(number: u16) -> Port {
    Port { number, flag: "-p" }
}

/// Runs the servers without a screen until a signal ends them.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    with_transcript(config.verbosity, config.passwords, |transcript| {
        let reporting = Reporting::start(&config)?;
        let servers = Servers::bind(config, reporting.observers(transcript), None)?;
        for warning in warnings(&servers) {
            eprintln!("mailconsole: warning: {warning}");
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
    let listening = servers.listening();
    let running = servers.serve()?;
    // Before anybody can learn that they listen.
    let socket = running.open_socket(reporting.log());
    print_listening(&listening, reporting.takes_stdout());
    running.asked_to_end(&mut signals).await;
    let code = running.end_or_interrupt(&mut signals).await;
    reporting.close(socket).await;
    Ok(code)
}

/// One line for each listener, in one write: on stdout, unless that is taken. A closed stdout is no
/// failure.
fn print_listening(listening: &[(Service, TlsBegins, SocketAddr)], stdout_is_taken: bool) {
    let mut lines = Vec::new();
    for (service, begins, address) in listening {
        let s = if *begins == TlsBegins::AtOnce { "s" } else { "" };
        let _ = writeln!(lines, "{service}{s}: listening on {address}");
    }
    let mut out: Box<dyn Write> =
        if stdout_is_taken { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let _ = out.write_all(&lines).and_then(|()| out.flush());
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
        servers.warning_on_certificate(),
    ];
    warnings.into_iter().flatten().collect()
}

/// What it means that other machines can connect.
fn on_others(config: &Config) -> Option<String> {
    if !config.is_open_to_others() {
        return None;
    }
    let others = "other machines can connect (--bind)";
    Some(match config.mailboxes {
        None => others.to_owned(),
        Some(_) if config.has_public_password() => format!(
            "{others}, and the password {PUBLIC_PASSWORD} is public: set another with --password"
        ),
        Some(_) => format!("{others}, and passwords and mail travel unencrypted"),
    })
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
