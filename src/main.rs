//! Parse, run, print the error, exit code.

use std::io::Write;
use std::process::ExitCode;

use mailconsole::app::cli::{Cli, Stop};
use mailconsole::app::commands::{console, headless, init, queue, relay};
use mailconsole::app::config::{Target, Task};
use mailconsole::app::last_word;
use mailconsole::check::{self, CheckError, Verdict};

/// Exit status for wrong use; failures are 1.
const WRONG_USE: u8 = 2;

/// Exit status of a check that nobody answers: nothing was wrong with what was said.
const NOT_CONNECTED: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Stop::Information(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Stop::WrongUse(sentence)) => return wrong_use(&sentence),
    };
    match Task::new(cli) {
        Ok(task) => perform(task),
        Err(error) => wrong_use(&error.to_string()),
    }
}

fn perform(task: Task) -> ExitCode {
    let ended = match task {
        Task::ShowAuthor(author) => {
            eprintln!("{author}");
            return ExitCode::SUCCESS;
        }
        Task::Headless(config) => headless::run(config),
        Task::Console(config) => console::run(config),
        Task::Relay(task) => relay::run(task),
        Task::ListQueue(mailboxes, listing) => queue::list(&mailboxes, listing),
        Task::ShowEntry(mailboxes, pick, shown) => queue::show(&mailboxes, &pick, shown),
        Task::Order(mailboxes, order, meant) => queue::order(&mailboxes, order, meant),
        Task::Check(target) => return check(&target),
        Task::Init(mailboxes) => init::run(&mailboxes),
    };
    match ended {
        Ok(code) => code,
        Err(error) if error.is_wrong_use() => wrong_use(&error.to_string()),
        Err(error) => failure(&error.to_string()),
    }
}

fn check(target: &Target) -> ExitCode {
    let Target { script, host, port } = target;
    match check::run(*script, host, *port, &mut std::io::stdout()) {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Off) => ExitCode::FAILURE,
        Err(error @ (CheckError::NoSuchHost { .. } | CheckError::NotConnected { .. })) => {
            last_word::say(&format!("mailconsole: {error}"));
            ExitCode::from(NOT_CONNECTED)
        }
        Err(error) => failure(&error.to_string()),
    }
}

fn failure(sentence: &str) -> ExitCode {
    last_word::say(&format!("mailconsole: {sentence}"));
    ExitCode::FAILURE
}

fn wrong_use(sentence: &str) -> ExitCode {
    eprintln!("mailconsole: {sentence}; see mailconsole --help");
    ExitCode::from(WRONG_USE)
}
