//! Parse, run, print the error, exit code.

use std::io::Write;
use std::process::ExitCode;

use mailconsole::app::cli::{Cli, Stop};
use mailconsole::app::error::WRONG_USE;
use mailconsole::app::last_word;
use mailconsole::app::task::Task;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Stop::Information(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Stop::WrongUse(sentence)) => return wrong_use(&sentence),
    };
    for warning in &cli.warnings {
        eprintln!("mailconsole: warning: {warning}");
    }
    let task = match Task::new(cli) {
        Ok(task) => task,
        Err(error) => return wrong_use(&error.to_string()),
    };
    match task.perform() {
        Ok(code) => code,
        Err(error) if error.status() == WRONG_USE => wrong_use(&error.to_string()),
        Err(error) => failure(&error.to_string(), error.status()),
    }
}

fn failure(sentence: &str, status: u8) -> ExitCode {
    last_word::say(&format!("mailconsole: {sentence}"));
    ExitCode::from(status)
}

fn wrong_use(sentence: &str) -> ExitCode {
    if sentence.contains('\n') {
        // It shows the place, and says itself what may stand there.
        eprintln!("mailconsole: {sentence}");
        return ExitCode::from(WRONG_USE);
    }
    let see = if sentence.ends_with('?') { " See" } else { "; see" };
    eprintln!("mailconsole: {sentence}{see} mailconsole --help");
    ExitCode::from(WRONG_USE)
}
