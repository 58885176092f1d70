//! `mailconsole demo`: the console on a temporary directory, with clients and a mail host that make
//! every pane live.

mod day;
mod host;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::commands::console::{self, Guests};
use crate::app::config::{AFTER, Config, Port, Setup};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::console::setting::value::NewUser;
use crate::relay::route::NextHop;
use crate::watch::event::Service;

/// Its own arguments: none but the settings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArguments {}

const EXAMPLES: &str = "\
Three users, ada, bob and carol, in a temporary directory that goes when you quit; the system chooses \
the ports. Nothing leaves this machine. The exit status is that of the console.

Examples:
  mailconsole demo                            press ? for the keys, q to quit
  mailconsole demo --theme light
  mailconsole demo --profile esmtp            the same day with EHLO";

/// The users of the demonstration.
const USERS: [&str; 3] = ["ada", "bob", "carol"];

/// What the top line says.
const NOTICE: &str = "demo: R retries the queue, ? shows the keys, q ends it and removes all";

impl DemoArguments {
    /// What the console is to show. The mailboxes, the ports and the route to the mail host are the
    /// demonstration's own; everything else is as it is set.
    pub fn config(self, mut setup: Setup) -> Result<Config, ConfigError> {
        let user = |name: &&str| NewUser { name: (*name).to_owned(), password: None };
        setup.options.user = USERS.iter().map(user).collect();
        setup.users.clear();
        // The directory is made when it begins.
        let mailboxes = setup.mailboxes(Some(PathBuf::new()), AFTER)?;
        let port = |flag| Port { number: 0, flag };
        let servers = vec![
            (Service::Echo, port("--echo-port")),
            (Service::Smtp, port("--smtp-port")),
            (Service::Pop3, port("--pop3-port")),
        ];
        Config::new(setup, servers, Some(mailboxes))
    }
}

/// Shows it until its user quits or a signal ends it.
pub fn run(mut config: Config) -> Result<ExitCode, StartError> {
    let folder = tempfile::Builder::new().prefix("mailconsole-demo-").tempdir()?;
    if let Some(mailboxes) = &mut config.mailboxes {
        folder.path().clone_into(&mut mailboxes.directory);
    }
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    host.set_nonblocking(true)?;
    let hop = NextHop::from(host.local_addr()?);
    config.relay.routes.insert(day::ELSEWHERE.to_owned(), hop);
    config.relay.every.get_or_insert(day::RELAY_EVERY);
    let guests: Guests = Box::new(|listening| {
        Box::pin(async { tokio::join!(host::serve(host), day::go(listening)).1 })
    });
    console::run_with_guests(config, Some(NOTICE), guests)
}
