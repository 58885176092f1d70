//! `mailconsole ca`: shows our own certificate authority, and makes programs trust it.

pub mod stores;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use nix::unistd::Uid;

use crate::app::commands::ca::stores::{Machine, Plan};
use crate::app::config::{Setup, authority_directory};
use crate::app::config_error::ConfigError;
use crate::app::error::StartError;
use crate::servers::tls::authority::{Authority, certificate_path};

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = BRIEF, after_long_help = EXAMPLES, disable_help_subcommand = true)]
pub struct CaArguments {
    /// What to do.
    #[command(subcommand)]
    pub order: CaOrder,
}

/// What to do with the authority.
#[derive(Debug, Subcommand)]
pub enum CaOrder {
    /// Print the path of the authority's certificate
    #[command(
        after_help = "Examples:\n  mailconsole ca path\n  curl --cacert \"$(mailconsole ca path)\" --ssl-reqd smtp://localhost:2500"
    )]
    Path,
    /// Print the authority's certificate as PEM
    #[command(
        after_help = "Examples:\n  mailconsole ca print > ca.pem\n  mailconsole ca print | openssl x509 -noout -text"
    )]
    Print,
    /// Print shell commands that make single programs trust it
    #[command(
        after_help = "Examples:\n  eval \"$(mailconsole ca env)\"\n  mailconsole ca env >> ~/.profile"
    )]
    Env,
    /// Make this system, Firefox and Thunderbird trust it
    #[command(after_help = "Examples:\n  mailconsole ca install\n  mailconsole ca install --yes")]
    Install(Consent),
    /// Undo install
    #[command(
        after_help = "Examples:\n  mailconsole ca uninstall\n  mailconsole ca uninstall --yes"
    )]
    Uninstall(Consent),
}

/// Whether to ask.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Run the commands without asking
    #[arg(long)]
    pub yes: bool,
}

const EXAMPLES: &str = "\
The servers' certificates are issued by an authority of your own, unless --tls-cert and --tls-key are \
given. It is made when it is first needed, and can certify only names of this machine, names under \
.test and the --domain of that moment.

Examples:
  mailconsole ca path                         where the certificate is
  mailconsole ca install                      the system, Firefox and Thunderbird trust it
  eval \"$(mailconsole ca env)\"                curl, Python, Node and Git here trust it";

const BRIEF: &str = "`mailconsole ca --help` says what the authority is for, with examples.";

/// The variables by which programs are told whom to trust.
const VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// A task, and the authority that it concerns.
#[derive(Debug)]
pub struct CaTask {
    order: CaOrder,
    directory: PathBuf,
    domain: Arc<str>,
}

impl CaArguments {
    /// The task.
    ///
    /// # Errors
    ///
    /// If there is no place for an authority, or the domain is none.
    pub fn task(self, setup: Setup) -> Result<CaTask, ConfigError> {
        let directory = authority_directory()?;
        Ok(CaTask { order: self.order, directory, domain: setup.options.domain.0 })
    }
}

/// Does it.
pub fn run(task: &CaTask) -> Result<ExitCode, StartError> {
    let make = || Authority::load_or_make(&task.directory, &task.domain, SystemTime::now());
    let certificate = certificate_path(&task.directory);
    match task.order {
        CaOrder::Path => {
            make()?;
            print(&[certificate.as_os_str().as_bytes(), b"\n"].concat());
        }
        CaOrder::Print => print(make()?.pem().as_bytes()),
        CaOrder::Env => {
            make()?;
            print(&exports(&certificate));
        }
        CaOrder::Install(consent) => {
            let authority = make()?;
            return carry_out(
                &stores::install(&machine(), &authority.name(), &certificate),
                consent,
            );
        }
        CaOrder::Uninstall(consent) => {
            let Some(authority) = Authority::load(&task.directory)? else {
                let directory = task.directory.display();
                eprintln!("mailconsole: there is no certificate authority in {directory}");
                return Ok(ExitCode::SUCCESS);
            };
            return carry_out(&stores::uninstall(&machine(), &authority.name()), consent);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `export NAME='PATH'` for each variable.
fn exports(certificate: &Path) -> Vec<u8> {
    let line = |name: &str| {
        let value = stores::quoted(certificate.as_os_str());
        [b"export ", name.as_bytes(), b"=", &value, b"\n"].concat()
    };
    VARIABLES.map(line).concat()
}

/// A closed stdout is no failure.
fn print(octets: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(octets).and_then(|()| stdout.flush());
}

/// Shows the commands, asks, and runs them.
fn carry_out(plan: &Plan, consent: Consent) -> Result<ExitCode, StartError> {
    for remark in &plan.remarks {
        eprintln!("mailconsole: {remark}");
    }
    if plan.commands.is_empty() {
        eprintln!("mailconsole: there is nothing to do");
        return Ok(ExitCode::SUCCESS);
    }
    for command in &plan.commands {
        print(&[b"  ", stores::line(command).as_slice(), b"\n"].concat());
    }
    if !consent.yes && !agrees()? {
        eprintln!("mailconsole: nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let failed = plan.commands.iter().filter(|command| !succeeds(command)).count();
    let done = plan.commands.len() - failed;
    eprintln!("mailconsole: {done} of {} commands succeeded", plan.commands.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks on the terminal, or whatever stands in its place; if that says nothing at all, there is
/// nobody.
fn agrees() -> Result<bool, StartError> {
    eprint!("Run these commands? [y/N] ");
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        eprintln!();
        return Err(StartError::NoConsent);
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Runs a command; says why if it fails.
fn succeeds(command: &[OsString]) -> bool {
    let [program, arguments @ ..] = command else { return true };
    let why = match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => return true,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let line = stores::line(command);
    eprintln!("mailconsole: {} failed: {why}", String::from_utf8_lossy(&line));
    false
}

/// This machine.
fn machine() -> Machine {
    Machine {
        root: PathBuf::from("/"),
        home: env::home_dir(),
        is_root: Uid::effective().is_root(),
        programs: env::var_os("PATH").iter().flat_map(env::split_paths).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_takes_whatever_path_it_is() {
        let exports = exports(Path::new("/home/o'neil/a b/ca.pem"));
        let text = String::from_utf8(exports).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.starts_with("export SSL_CERT_FILE='/home/o'\\''neil/a b/ca.pem'\n"), "{text}");
        let run = Command::new("sh").arg("-c").arg(text + "printf %s \"$GIT_SSL_CAINFO\"").output();
        assert_eq!(run.unwrap().stdout, b"/home/o'neil/a b/ca.pem");
    }

    #[test]
    fn a_command_that_fails_is_counted() {
        let of = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let plan = |commands: &[&[&str]]| Plan {
            commands: commands.iter().map(|c| of(c)).collect(),
            remarks: vec![],
        };
        let yes = Consent { yes: true };
        let code = |plan: &Plan| format!("{:?}", carry_out(plan, yes).unwrap());
        assert_eq!(code(&plan(&[&["true"]])), format!("{:?}", ExitCode::SUCCESS));
        let failing = plan(&[&["false"], &["/nonexistent/program"], &["true"]]);
        assert_eq!(code(&failing), format!("{:?}", ExitCode::FAILURE));
    }
}
