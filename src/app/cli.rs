//! The command line: the sub-commands, with the settings as options of each. Decides nothing.

mod settings;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::cli::settings::Extent;
use crate::app::commands::assert::AssertArguments;
use crate::app::commands::ca::CaArguments;
use crate::app::commands::check::CheckArguments;
use crate::app::commands::clear::ClearArguments;
use crate::app::commands::completions::CompletionsArguments;
use crate::app::commands::config::ConfigArguments;
use crate::app::commands::demo::DemoArguments;
use crate::app::commands::echo::EchoArguments;
use crate::app::commands::events::EventsArguments;
use crate::app::commands::exec::{self, ExecArguments};
use crate::app::commands::fault::FaultArguments;
use crate::app::commands::held::HeldArguments;
use crate::app::commands::init::InitArguments;
use crate::app::commands::man::ManArguments;
use crate::app::commands::mark::MarkArguments;
use crate::app::commands::messages::MessagesArguments;
use crate::app::commands::pop3::Pop3Arguments;
use crate::app::commands::queue::arguments::QueueArguments;
use crate::app::commands::relay::RelayArguments;
use crate::app::commands::send::SendArguments;
use crate::app::commands::sendmail::{self, SendmailArguments};
use crate::app::commands::show::ShowArguments;
use crate::app::commands::smtp::SmtpArguments;
use crate::app::commands::status::StatusArguments;
use crate::app::commands::stop::StopArguments;
use crate::app::commands::wait::WaitArguments;
use crate::console::setting::given::Given;
use crate::wire::nearest::nearest;

/// What was written on the command line and in the environment.
#[derive(Debug)]
pub struct Cli {
    /// Which sub-command, if any.
    pub command: Option<Command>,
    /// The settings that were given.
    pub given: Given,
    /// What the user may not be aware of, each a sentence.
    pub warnings: Vec<String>,
}

/// Echo, SMTP and POP3 servers over plain mbox files, and a console that shows what they do
#[derive(Debug, Parser)]
#[command(name = "mailconsole", version = VERSION)]
#[command(after_help = AFTER_SHORT_HELP, after_long_help = AFTER_HELP)]
struct SubCommands {
    #[command(subcommand)]
    command: Option<Command>,
}

/// With the commit, where it was known when this was built: `0.1.0 (abcdef1)`.
const VERSION: &str = env!("VERSION_WITH_COMMIT");

const AFTER_SHORT_HELP: &str = "\
`mailconsole --help` shows all options, with examples; `mailconsole help COMMAND` a command.";

const AFTER_HELP: &str = "\
Without a command, all three servers run on one directory of mailboxes: on a full-screen console, or, \
with --no-tui, without a screen.

Every option except -v and -a can also be set in the environment (MAILCONSOLE_SMTP_PORT=2525), and \
every option except -a and --config in the config file (smtp-port = 2525). The command line overrides \
the environment, and the environment overrides the file. The config file can also change the keys of \
the console: [keys] quit = \"Q\".

Examples:
  mailconsole --dir mailtest                          the console, which shows the first steps
  mailconsole init mailtest linhphan                  create a directory with a mailbox
  mailconsole --dir mailtest --no-tui -v              the same servers, transcript on stderr
  mailconsole smtp -p 2525 mailtest                   the SMTP server alone
  mailconsole relay mailtest                          send the mail in the queue
  mailconsole queue mailtest                          list the queue";

/// A sub-command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the echo server alone
    Echo(EchoArguments),
    /// Run the SMTP server alone
    Smtp(SmtpArguments),
    /// Run the POP3 server alone
    Pop3(Pop3Arguments),
    /// Send the mail for other domains that waits in the queue
    Relay(RelayArguments),
    /// List the relay queue; retry, hold, release or drop entries
    Queue(QueueArguments),
    /// Play a fixed conversation against any server and report what differs
    Check(CheckArguments),
    /// Create a directory and mailboxes in it
    Init(InitArguments),
    /// Show our own certificate authority for TLS, and make programs trust it
    Ca(CaArguments),
    /// Show the console at work: users, mail and a mail host, in a temporary directory
    Demo(DemoArguments),
    /// Say what runs on a directory, and what is in it
    Status(StatusArguments),
    /// End the servers on a directory, and wait until they are gone
    Stop(StopArguments),
    /// Print what has happened on the servers of a directory
    Events(EventsArguments),
    /// Run a command with servers of its own: a temporary directory and free ports
    Exec(ExecArguments),
    /// Send a message, and say whether it was taken
    Send(SendArguments),
    /// Send the message on stdin, as programs expect of a sendmail
    Sendmail(SendmailArguments),
    /// Print the settings and where each came from, or a sample of the config file
    Config(ConfigArguments),
    /// Print completions for a shell
    Completions(CompletionsArguments),
    /// Print the manual page of the program or of a command
    Man(ManArguments),
    /// List messages, or write them as JSON
    Messages(MessagesArguments),
    /// Show one message: its text, HTML, header, a part or attachments
    Show(ShowArguments),
    /// Wait until a message comes, and print it
    Wait(WaitArguments),
    /// Print where the directory is now, for wait --since
    Mark(MarkArguments),
    /// Check how many messages there are
    Assert(AssertArguments),
    /// Remove messages
    Clear(ClearArguments),
    /// List, add or remove the faults that servers play on purpose
    Fault(FaultArguments),
    /// List what servers hold at breakpoints, and decide about it
    Held(HeldArguments),
}

/// Why a command line is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// It asks for help or the version: text for stdout.
    Information(String),
    /// It is wrong: one sentence.
    WrongUse(String),
}

impl Cli {
    /// All that the program understands, for help and the manual page.
    #[must_use]
    pub fn grammar() -> clap::Command {
        settings::with_settings(SubCommands::command(), Extent::Taken)
    }

    /// The same, but each command has only the settings that it reads: for completions and the
    /// manual. The version is that of the package, so that files made of it outlive a commit.
    #[must_use]
    pub fn grammar_of_what_is_read() -> clap::Command {
        let grammar = settings::with_settings(SubCommands::command(), Extent::Read);
        in_full(grammar).version(env!("CARGO_PKG_VERSION"))
    }

    /// Reads a command line, the program's name included, and the environment.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        if let Some(words) = sendmail::words(&arguments) {
            let command = Some(Command::Sendmail(SendmailArguments { words: words.to_vec() }));
            return Ok(Self { command, given: Given::default(), warnings: Vec::new() });
        }
        let has = |word: &str| arguments.iter().any(|argument| argument == word);
        let is_brief = has("-h") && !has("help");
        let grammar = if is_brief { briefly(Self::grammar()) } else { Self::grammar() };
        let matches = grammar.try_get_matches_from(arguments).map_err(|error| stop(&error))?;
        let SubCommands { command } =
            SubCommands::from_arg_matches(&matches).map_err(|error| stop(&error))?;
        let mut given = settings::given(&matches);
        settings::check_lines(&given).map_err(Stop::WrongUse)?;
        if matches!(command, Some(Command::Queue(_))) {
            // There it is the domain of recipients, which the arguments of queue have.
            given.remove("domain");
        }
        if matches!(command, Some(Command::Send(_))) {
            // There it is the login, which the arguments of send have.
            given.remove("auth");
        }
        if matches!(command, Some(Command::Wait(_))) {
            // There it is how long is waited.
            given.remove("timeout");
        }
        let mut environment = settings::environment().map_err(Stop::WrongUse)?;
        if matches!(command, Some(Command::Exec(_))) {
            exec::choose_ports(&mut given);
            exec::forget_ports(&mut environment);
        }
        let warnings = settings::unknown_variables();
        Ok(Self { command, given: given.or(environment), warnings })
    }
}

/// Pages of the manual have no text of what `-h` does not show.
fn in_full(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide_short_help(false)).mut_subcommands(in_full)
}

/// What `-h` shows fits a screen: there are no headings, and nothing of what goes without saying, nor
/// `help`, which its last line names.
fn briefly(command: clap::Command) -> clap::Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    // This flag, and the next, count for all sub-commands.
    let command = command.disable_help_flag(true).disable_version_flag(true);
    let command = command.disable_help_subcommand(true);
    without_headings(command).arg(version.hide(true))
}

fn without_headings(command: clap::Command) -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    command
        .mut_args(|argument| argument.help_heading(None::<&str>))
        .arg(help.hide(true))
        .mut_subcommands(without_headings)
}

fn stop(error: &clap::Error) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Stop::Information(error.render().to_string())
        }
        _ => Stop::WrongUse(sentence(error)),
    }
}

/// The first paragraph of clap's report as one line, and what could have been meant: the rest are
/// other hints and the usage.
fn sentence(error: &clap::Error) -> String {
    let report = error.render().to_string();
    let paragraph = report.split("\n\n").next().unwrap_or(&report);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let sentence = words.join(" ");
    let sentence = sentence.trim_start_matches("error: ");
    match suggestion(error) {
        Some(near) => {
            format!("{}: did you mean {near}?", sentence.trim_end_matches(" found"))
        }
        None => sentence.to_owned(),
    }
}

/// The word that clap takes for the one that was meant; behind `help` it takes none.
fn suggestion(error: &clap::Error) -> Option<String> {
    use ContextKind::{InvalidSubcommand, SuggestedArg, SuggestedSubcommand, SuggestedValue};
    let kinds = [SuggestedSubcommand, SuggestedArg, SuggestedValue];
    let clap_s = kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.clone()),
        // The most similar comes last.
        ContextValue::Strings(words) => words.last().cloned(),
        _ => None,
    });
    clap_s.or_else(|| {
        let ContextValue::String(word) = error.get(InvalidSubcommand)? else { return None };
        let grammar = SubCommands::command();
        nearest(word, grammar.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::app::commands::queue::arguments::{Age, OrderArguments, StateWord};
    use crate::console::setting::table::Options;
    use crate::relay::selection::State;
    use crate::servers::units::Size;

    fn options(cli: &Cli) -> Options {
        Options::read(&cli.given).unwrap()
    }

    fn read(line: &str) -> Result<Cli, Stop> {
        Cli::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::grammar().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_behind_a_sub_command() {
        let cli = read("mailconsole -v smtp -p 25 --domain example.org DIR -v").unwrap();
        assert!(matches!(
            cli.command,
            Some(Command::Smtp(SmtpArguments { port: Some(25), directory: Some(_) }))
        ));
        assert_eq!(&*options(&cli).domain.0, "example.org");
        for line in
            ["mailconsole -a", "mailconsole smtp -a", "mailconsole -a pop3", "mailconsole echo -a"]
        {
            assert!(options(&read(line).unwrap()).show_author, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for line in [
            "mailconsole --bogus",
            "mailconsole smtp -p 65536 DIR",
            "mailconsole smtp -p x DIR",
            "mailconsole bogus",
            "mailconsole --bind here",
            "mailconsole --relay-from 1.2.3.4/33",
            "mailconsole --max-message 1T",
            "mailconsole check",
            "mailconsole --dir",
        ] {
            let Err(Stop::WrongUse(sentence)) = read(line) else {
                panic!("{line} is taken");
            };
            assert!(!sentence.contains('\n') && !sentence.contains("error"), "{sentence}");
        }
    }

    #[test]
    fn orders_take_the_directory_before_the_ids_or_by_option() {
        let words = |line: &str| match read(line).unwrap().command {
            Some(Command::Queue(QueueArguments {
                order: Some(OrderArguments::Hold(entries)),
                ..
            })) => entries.words,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(words("mailconsole queue hold DIR 1-2-3"), ["DIR", "1-2-3"]);
        assert_eq!(words("mailconsole queue --dir DIR hold 1-2-3"), ["1-2-3"]);
        assert_eq!(words("mailconsole queue hold 1-2-3 --dir DIR"), ["1-2-3"]);
        assert!(matches!(
            read("mailconsole queue DIR --json").unwrap().command,
            Some(Command::Queue(QueueArguments {
                order: None,
                json: true,
                directory: Some(_),
                ..
            }))
        ));
        assert_eq!(words("mailconsole queue hold DIR -"), ["DIR", "-"]);
    }

    #[test]
    fn behind_queue_a_domain_is_that_of_recipients() {
        for line in [
            "mailconsole queue DIR --domain example.org",
            "mailconsole queue drop DIR --domain example.org",
            "mailconsole --domain example.org queue drop DIR",
        ] {
            let cli = read(line).unwrap();
            let Some(Command::Queue(queue)) = cli.command else { panic!("{line}") };
            assert_eq!(queue.selection.domain.as_deref(), Some("example.org".as_ref()), "{line}");
            let domain = Options::read(&cli.given).unwrap().domain;
            assert_eq!(&*domain.0, "localhost", "{line}");
        }
        let cli = read("mailconsole relay DIR --domain example.org").unwrap();
        assert_eq!(&*options(&cli).domain.0, "example.org");
    }

    #[test]
    fn a_choice_may_stand_before_and_behind_an_order() {
        for line in [
            "mailconsole queue drop DIR --state failed,held --older 1d --larger 1K --sender <>",
            "mailconsole queue --state failed,held --older 1d --larger 1K --sender <> drop DIR",
        ] {
            let Some(Command::Queue(QueueArguments { selection, .. })) =
                read(line).unwrap().command
            else {
                panic!("{line}")
            };
            assert_eq!(
                selection.state,
                [StateWord(State::Failed), StateWord(State::Held)],
                "{line}"
            );
            assert_eq!(selection.older, Some(Age(Duration::from_hours(24))), "{line}");
            assert_eq!(selection.larger, Some(Size(1_024)), "{line}");
            assert_eq!(selection.sender, ["<>"], "{line}");
        }
    }

    #[test]
    fn a_number_that_must_not_be_0_is_asked_for_in_words() {
        for line in [
            "mailconsole relay DIR --every 0",
            "mailconsole relay DIR --every=-1",
            "mailconsole relay DIR --timeout 0",
            "mailconsole relay DIR --timeout soon",
            "mailconsole relay DIR --relay-port 0",
            "mailconsole relay DIR --relay-port 65536",
            "mailconsole relay DIR --connections-per-domain 0",
            "mailconsole --dir DIR --relay-every 0",
            "mailconsole queue DIR --older soon",
            "mailconsole queue DIR --older 99999999999999999999w",
            "mailconsole queue DIR --state lost",
            "mailconsole relay DIR --smarthost-tls maybe",
        ] {
            let Err(Stop::WrongUse(sentence)) = read(line) else {
                panic!("{line} is taken");
            };
            assert!(sentence.contains(": write "), "{sentence}");
            assert!(!sentence.contains("non-zero"), "{sentence}");
        }
    }
}
