//! Parse, run, print the error, exit code.

use std::io::Write;
use std::process::ExitCode;

use mailconsole::app::cli::{Cli, Stop};
use mailconsole::app::config::Task;
use mailconsole::app::run;

/// Exit status for wrong use; failures are 1.
const WRONG_USE: u8 = 2;

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
        Task::Headless(config) => run::headless(config),
        Task::Console(config) => run::make_sure_of_terminal().and_then(|()| run::headless(config)),
        Task::Check(_) => {
            eprintln!("mailconsole: check is no part of this build");
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(code) => code,
        Err(error) if error.is_wrong_use() => wrong_use(&error.to_string()),
        Err(error) => {
            eprintln!("mailconsole: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_use(sentence: &str) -> ExitCode {
    eprintln!("mailconsole: {sentence}; see mailconsole --help");
    ExitCode::from(WRONG_USE)
}
