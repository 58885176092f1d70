//! What was asked for: flag over environment over config file over default, and which sub-command.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::cli::{Cli, Command};
use crate::app::commands::assert::{self, AssertTask};
use crate::app::commands::ca::{self, CaTask};
use crate::app::commands::check::{self, CheckTask};
use crate::app::commands::clear::{self, ClearTask};
use crate::app::commands::events::{self, EventsTask};
use crate::app::commands::exec::{self, ExecTask};
use crate::app::commands::fault::{self, FaultTask};
use crate::app::commands::held::{self, HeldTask};
use crate::app::commands::mark::{self, MarkTask};
use crate::app::commands::messages::{self, MessagesTask};
use crate::app::commands::queue::job::Job;
use crate::app::commands::relay::Relaying;
use crate::app::commands::send::{self, SendTask};
use crate::app::commands::sendmail::{self, SendmailArguments};
use crate::app::commands::show::{self, ShowTask};
use crate::app::commands::status::{self, Asked};
use crate::app::commands::wait::{self, WaitTask};
use crate::app::commands::{console, demo, headless, init, queue, relay, stop};
use crate::app::config::{Config, Port, Setup};
use crate::app::config_error::ConfigError;
use crate::app::config_file::ConfigFile;
use crate::app::error::StartError;
use crate::app::event_writer::is_stdout;
use crate::app::mailboxes::Mailboxes;
use crate::app::manual;
use crate::console::setting::table::Options;
use crate::watch::event::Service;

/// What was asked for.
#[derive(Debug)]
pub enum Task {
    /// Print the author.
    ShowAuthor(Arc<str>),
    /// Run servers on the console.
    Console(Config),
    /// Run servers without a screen.
    Headless(Config),
    /// Send what waits in the queue.
    Relay(Relaying),
    /// List or change the queue.
    Queue(Mailboxes, Job),
    /// Play a conversation against a server, or faults to a client.
    Check(CheckTask),
    /// Make a directory and mailboxes.
    Init(Mailboxes),
    /// Show our own certificate authority, or make programs trust it.
    Ca(CaTask),
    /// Run the servers on the console, with a demonstration beside them.
    Demo(Config),
    /// Say what runs on a directory.
    Status(Asked),
    /// End the servers on a directory.
    Stop(PathBuf),
    /// Say what has happened there.
    Events(EventsTask),
    /// Run a command with servers.
    Exec(ExecTask),
    /// Send a message.
    Send(SendTask),
    /// Send the message on stdin.
    Sendmail(SendmailArguments),
    /// Print this.
    Print(Vec<u8>),
    /// List messages.
    Messages(MessagesTask),
    /// Show a message.
    Show(ShowTask),
    /// Wait for messages.
    Wait(WaitTask),
    /// Print a mark.
    Mark(MarkTask),
    /// Check conditions.
    Assert(AssertTask),
    /// Remove messages.
    Clear(ClearTask),
    /// List what is held, or decide about it.
    Held(HeldTask),
    /// List or change faults.
    Fault(FaultTask),
}

impl Task {
    /// Decides what to do, with the config file read.
    pub fn new(cli: Cli) -> Result<Self, ConfigError> {
        let Cli { command, given, .. } = cli;
        let named = Options::read(&given).map_err(ConfigError::Setting)?.config;
        let file = ConfigFile::read(named.as_deref())?;
        let ConfigFile { path, given: in_file, users, keys, .. } = file;
        let given = given.or(in_file);
        let options = Options::read(&given).map_err(ConfigError::Setting)?;
        if options.show_author {
            return Ok(Self::ShowAuthor(options.author.0));
        }
        let setup = Setup { options, users, keys };
        Ok(match command {
            None => return all_servers(setup),
            Some(Command::Echo(echo)) => Self::Headless(echo.config(setup)?.without_screen()?),
            Some(Command::Smtp(smtp)) => Self::Headless(smtp.config(setup)?.without_screen()?),
            Some(Command::Pop3(pop3)) => Self::Headless(pop3.config(setup)?.without_screen()?),
            Some(Command::Relay(relay)) => Self::Relay(relay.relaying(setup)?),
            Some(Command::Queue(queue)) => {
                let (mailboxes, job) = queue.job(&setup)?;
                Self::Queue(mailboxes, job)
            }
            Some(Command::Check(check)) => Self::Check(check.task(setup)?),
            Some(Command::Init(init)) => Self::Init(init.mailboxes(&setup)?),
            Some(Command::Ca(ca)) => Self::Ca(ca.task(setup)?),
            Some(Command::Demo(demo)) => Self::Demo(demo.config(setup)?),
            Some(Command::Status(status)) => Self::Status(status.asked(&setup)?),
            Some(Command::Stop(stop)) => Self::Stop(setup.directory(stop.directory)?),
            Some(Command::Events(events)) => Self::Events(events.task(&setup)?),
            Some(Command::Exec(exec)) => Self::Exec(exec.task(setup)?),
            Some(Command::Send(send)) => Self::Send(send.task(&setup)),
            Some(Command::Sendmail(sendmail)) => Self::Sendmail(sendmail),
            Some(Command::Config(of)) => Self::Print(of.answer(&given, path.as_deref()).into()),
            Some(Command::Completions(of)) => Self::Print(manual::completions(of.shell)),
            Some(Command::Man(of)) => Self::Print(manual::page(&of.command)?),
            Some(Command::Messages(messages)) => Self::Messages(messages.task()?),
            Some(Command::Show(show)) => Self::Show(show.task()?),
            Some(Command::Wait(wait)) => Self::Wait(wait.task()?),
            Some(Command::Mark(mark)) => Self::Mark(mark.task()),
            Some(Command::Assert(assert)) => Self::Assert(assert.task()?),
            Some(Command::Clear(clear)) => Self::Clear(clear.task()?),
            Some(Command::Held(held)) => Self::Held(held.task(&setup)?),
            Some(Command::Fault(fault)) => Self::Fault(fault.task(&setup)?),
        })
    }

    /// Does it.
    pub fn perform(self) -> Result<ExitCode, StartError> {
        match self {
            Self::ShowAuthor(author) => {
                eprintln!("{author}");
                Ok(ExitCode::SUCCESS)
            }
            Self::Console(config) => console::run(config),
            Self::Headless(config) => headless::run(config),
            Self::Relay(relaying) => relay::run(relaying),
            Self::Queue(mailboxes, job) => queue::run(&mailboxes, job),
            Self::Check(task) => check::run(task),
            Self::Init(mailboxes) => init::run(&mailboxes),
            Self::Ca(task) => ca::run(&task),
            Self::Demo(config) => demo::run(config),
            Self::Status(asked) => status::run(&asked),
            Self::Stop(directory) => stop::run(&directory),
            Self::Events(task) => events::run(&task),
            Self::Exec(task) => exec::run(task),
            Self::Send(task) => send::run(task),
            Self::Sendmail(arguments) => sendmail::run(&arguments),
            Self::Print(answer) => {
                let mut stdout = io::stdout().lock();
                // A closed stdout is no failure.
                let _ = stdout.write_all(&answer).and_then(|()| stdout.flush());
                Ok(ExitCode::SUCCESS)
            }
            Self::Messages(task) => messages::run(&task),
            Self::Show(task) => show::run(&task),
            Self::Wait(task) => wait::run(task),
            Self::Mark(task) => mark::run(&task),
            Self::Assert(task) => assert::run(&task),
            Self::Clear(task) => clear::run(&task),
            Self::Held(task) => held::run(&task),
            Self::Fault(task) => fault::run(&task),
        }
    }
}

fn all_servers(setup: Setup) -> Result<Task, ConfigError> {
    let Options { echo_port, smtp_port, pop3_port, no_tui, .. } = setup.options;
    let servers = vec![
        (Service::Echo, Port { number: echo_port, flag: "--echo-port" }),
        (Service::Smtp, Port { number: smtp_port, flag: "--smtp-port" }),
        (Service::Pop3, Port { number: pop3_port, flag: "--pop3-port" }),
    ];
    let mailboxes = Some(setup.mailboxes(None, "--dir DIR")?);
    let config = Config::new(setup, servers, mailboxes)?;
    if !no_tui && config.events.as_deref().is_some_and(is_stdout) {
        return Err(ConfigError::EventsOnScreen);
    }
    if no_tui { config.without_screen().map(Task::Headless) } else { Ok(Task::Console(config)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::path::Path;
    use std::time::Duration;

    use crate::app::commands::queue::job::{Meant, Shown};
    use crate::app::config::{RelaySettings, Verbosity};
    use crate::relay::conversation::opening::Hello;
    use crate::relay::orders::{Order, QueueTarget};
    use crate::relay::run::Bounces;
    use crate::relay::selection::State;
    use crate::servers::listener::Addresses;
    use crate::servers::settings::{Idle, SettingsView};
    use crate::watch::event::Passwords;

    fn task(line: &str) -> Result<Task, ConfigError> {
        Task::new(Cli::read(line.split(' ').map(OsString::from)).unwrap())
    }

    fn headless(line: &str) -> Config {
        match task(line) {
            Ok(Task::Headless(config)) => config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn users_of_the_command_line_come_before_those_of_the_config_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "[users]\nada = \"of-file\"\nzoe = \"secret\"\n").unwrap();
        let users = "--user bob --user ada:a:b --user eve:x";
        let line = format!("mailconsole --dir d --no-tui --config {} {users}", file.display());
        let config = headless(&line);
        let own: Vec<_> = config.own_passwords.iter().collect();
        let of = |user: &str| own.iter().find(|own| own.0 == user).map(|own| own.1.as_str());
        assert_eq!((of("ada"), of("eve"), of("zoe")), (Some("a:b"), Some("x"), Some("secret")));
        assert_eq!(of("bob"), None);
        assert_eq!(config.mailboxes.unwrap().users, ["bob", "ada", "eve", "ada", "zoe"]);
    }

    #[test]
    fn secrets_of_the_transcript_are_shown_or_masked_but_not_both() {
        let passwords =
            |options: &str| headless(&format!("mailconsole --dir d --no-tui {options}")).passwords;
        assert_eq!(passwords("--show-passwords"), Passwords::Shown);
        assert_eq!(passwords("--mask-passwords"), Passwords::Masked);
        let both = task("mailconsole smtp DIR --show-passwords --mask-passwords");
        assert!(matches!(both, Err(ConfigError::ShownAndMasked)));
    }

    #[test]
    fn all_servers_have_their_usual_ports() {
        let config = headless("mailconsole --dir d --no-tui");
        let ports: Vec<u16> = config.servers.iter().map(|(_, port)| port.number).collect();
        assert_eq!(ports, [10_000, 2_500, 11_000]);
        assert_eq!(config.addresses, Addresses::Loopback);
        assert_eq!(config.settings, SettingsView::default());
        assert_eq!(config.password, "cis505".into());
        assert!(config.own_passwords.is_empty());
        assert_eq!(config.passwords, Passwords::OfPass);
        assert!(matches!(task("mailconsole --dir d"), Ok(Task::Console(_))));
    }

    #[test]
    fn a_server_alone_is_headless_and_takes_its_port_from_p() {
        let config = headless("mailconsole smtp -p 25 -v d");
        assert_eq!(config.servers, [(Service::Smtp, Port { number: 25, flag: "-p" })]);
        assert_eq!(config.verbosity, Verbosity::Lines);
        assert_eq!(config.mailboxes.unwrap().directory, Path::new("d"));
        assert!(headless("mailconsole echo").mailboxes.is_none());
        assert_eq!(headless("mailconsole --pop3-port 7 pop3 d").servers[0].1.number, 7);
    }

    #[test]
    fn mail_needs_a_directory() {
        for line in ["mailconsole", "mailconsole smtp", "mailconsole pop3 -v"] {
            assert!(matches!(task(line), Err(ConfigError::NoDirectory(_))), "{line}");
        }
    }

    #[test]
    fn the_author_is_shown_wherever_it_is_asked_for() {
        for line in ["mailconsole -a", "mailconsole smtp -a", "mailconsole check echo -a"] {
            assert!(matches!(task(line), Ok(Task::ShowAuthor(_))), "{line}");
        }
    }

    #[test]
    fn a_flag_counts_before_the_file_and_the_file_before_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let text = "dir = \"d\"\nsmtp-port = 1\npop3-port = 2\nmax-message = \"1K\"\nno-tui = true\n\
                    bind = [\"127.0.0.1\"]\nrelay-from = [\"192.0.2.0/24\"]\nuser = [\"linhphan\"]\n";
        std::fs::write(&file, text).unwrap();
        let config = headless(&format!("mailconsole --config {} --smtp-port 3", file.display()));
        let ports: Vec<u16> = config.servers.iter().map(|(_, port)| port.number).collect();
        assert_eq!(ports, [10_000, 3, 2]);
        assert_eq!(config.settings.message_most, 1_024);
        assert_eq!(config.settings.notices()[0], "relays for 192.0.2.0/24");
        assert_eq!(config.mailboxes.unwrap().users, ["linhphan"]);
    }

    fn relaying(line: &str) -> RelaySettings {
        match task(line) {
            Ok(Task::Relay(relaying)) => relaying.settings,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_relay_is_set_up_by_its_options() {
        let settings = relaying(
            "mailconsole relay d --smarthost mx.example:587 --smarthost-user u \
             --smarthost-password p --route A.example=127.0.0.1:2525 --route b.example=h \
             --timeout 7 --every 60 --resolver 127.0.0.1:5353 --bounce --ehlo",
        );
        let smarthost = settings.smarthost.unwrap();
        assert_eq!(smarthost.host.to_string(), "mx.example:587");
        assert_eq!(smarthost.login.map(|login| login.password).as_deref(), Some("p"));
        assert_eq!(settings.routes["a.example"].to_string(), "127.0.0.1:2525");
        assert_eq!(settings.timeouts.final_dot, Duration::from_secs(7));
        assert_eq!(settings.every, Some(Duration::from_mins(1)));
        assert_eq!((settings.bounces, settings.hello), (Bounces::ToLocalSenders, Hello::Ehlo));
        assert_eq!((settings.helo, settings.connections_per_domain), (None, 5));
        let other = relaying("mailconsole relay d --helo mx.example --connections-per-domain 1");
        assert_eq!((other.helo.as_deref(), other.connections_per_domain), (Some("mx.example"), 1));
        let wrong = "mailconsole relay d --helo a_b_".split(' ').map(OsString::from);
        assert!(Cli::read(wrong).is_err());
        let usual = relaying("mailconsole relay d --relay-every 60");
        assert_eq!((usual.port, usual.every, usual.hello), (25, None, Hello::Helo));
        let servers = headless("mailconsole --dir d --no-tui --relay-every 60");
        assert_eq!(servers.relay.every, Some(Duration::from_mins(1)));
    }

    #[test]
    fn half_a_login_is_refused() {
        for line in [
            "mailconsole relay d --smarthost h --smarthost-user u",
            "mailconsole relay d --smarthost h --smarthost-password p",
            "mailconsole relay d --smarthost-user u --smarthost-password p",
        ] {
            assert!(matches!(task(line), Err(ConfigError::Half { .. })), "{line}");
        }
        let line = "mailconsole relay d --smarthost h --smarthost-user u --smarthost-password p \
                    --smarthost-tls none";
        assert!(matches!(task(line), Err(ConfigError::PasswordInTheClear)));
        let tls = "mailconsole relay d --smarthost-tls implicit";
        assert!(matches!(task(tls), Err(ConfigError::Half { .. })));
    }

    #[test]
    fn an_order_names_entries_or_recipients_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        for line in [
            format!("mailconsole queue hold {path} 1-2-3 4-5-6/a@b"),
            format!("mailconsole queue --dir {path} hold 1-2-3 4-5-6/a@b"),
            format!("mailconsole queue --dir /elsewhere hold {path} 1-2-3 4-5-6/a@b"),
        ] {
            let Ok(Task::Queue(mailboxes, Job::Order(Order::Hold, meant))) = task(&line) else {
                panic!("{line}");
            };
            assert_eq!(mailboxes.directory, dir.path());
            let whole = QueueTarget { id: "1-2-3".into(), recipient: None };
            assert_eq!(meant.targets, BTreeSet::from([whole, QueueTarget::one("4-5-6", "a@b")]));
            assert!(!meant.stdin && meant.selection.is_any());
        }
        assert!(matches!(task("mailconsole queue hold x"), Err(ConfigError::NoEntry)));
    }

    #[test]
    fn an_order_is_for_what_is_named_chosen_or_all_and_never_for_all_by_mistake() {
        let meant = |words: &str| match task(&format!("mailconsole queue drop d {words}")) {
            Ok(Task::Queue(mailboxes, Job::Order(Order::Drop, meant))) => {
                assert_eq!(mailboxes.directory, Path::new("d"));
                meant
            }
            other => panic!("{words}: {other:?}"),
        };
        assert_eq!(meant("--all"), Meant::default());
        assert_eq!(meant("-"), Meant { stdin: true, ..Meant::default() });
        let selection = meant("--state failed --domain a.example,b.example --sender <>").selection;
        assert_eq!(selection.states, [State::Failed]);
        assert_eq!(selection.domains, ["a.example", "b.example"]);
        assert_eq!(selection.senders, [""]);
        let wrong = |words: &str| task(&format!("mailconsole queue drop d {words}")).unwrap_err();
        assert!(matches!(wrong("1-2-3 --all"), ConfigError::AllAndSome));
        assert!(matches!(task("mailconsole queue drop d"), Err(ConfigError::NoEntry)));
        assert!(matches!(task("mailconsole queue drop"), Err(ConfigError::NoDirectory(_))));
    }

    #[test]
    fn one_entry_is_shown() {
        assert!(matches!(
            task("mailconsole queue show d 1-2-3 --raw"),
            Ok(Task::Queue(_, Job::Show(QueueTarget { recipient: None, .. }, Shown::Raw)))
        ));
        assert!(matches!(task("mailconsole queue show d"), Err(ConfigError::NoEntry)));
        let two = task("mailconsole --dir d queue show 1-2-3 4-5-6");
        assert!(matches!(two, Err(ConfigError::OneEntry(_))), "{two:?}");
    }

    #[test]
    fn idle_limits_are_the_protocols_unless_set() {
        let idle = |line: &str| headless(line).settings.idle;
        assert_eq!(idle("mailconsole --dir d --no-tui"), Idle::AsTheProtocolSays);
        assert_eq!(idle("mailconsole --dir d --no-tui --idle 0"), Idle::Unlimited);
        let seven = Idle::Limited(Duration::from_secs(7));
        assert_eq!(idle("mailconsole --dir d --no-tui --idle 7"), seven);
    }
}
