//! `mailconsole send`: one message, built from options or read from a file, to an SMTP server.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::app::config::{Setup, Verbosity, verbosity};
use crate::app::error::{NOTHING_THERE, StartError, WRONG_USE};
use crate::app::last_word;
use crate::app::smtp_address::{self, SmtpAddress};
use crate::app::submission::{DOMAIN, Said, Way, address, own_address, read, send, submission};
use crate::mail::address_list::{Mailbox, mailboxes};
use crate::mail::path::{Address, ReversePath};
use crate::mailroom::fields::Written;
use crate::mailroom::new_message::{Attached, encoded, named, new_message};
use crate::mailroom::submission::{Fates, Refusal, Refused};
use crate::relay::conversation::opening::{ChosenTls, Login, Protection};

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SendArguments {
    /// A recipient; may be repeated [default: those in the header of --eml]
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// The sender; <> is nobody [default: From of --eml, or you]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// The subject
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub subject: Option<String>,
    /// The text; - is stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub body: Option<String>,
    /// A whole message, to which only missing fields are added; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "subject", "attach"])]
    pub eml: Option<PathBuf>,
    /// A file to attach; may be repeated
    #[arg(long, value_name = "FILE")]
    pub attach: Vec<PathBuf>,
    /// A field of the header; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = field, hide_short_help = true)]
    pub header: Vec<(String, String)>,
    /// The server.
    #[arg(long, value_name = "HOST:PORT", help = SERVER, long_help = SERVER_IN_FULL)]
    pub smtp: Option<SmtpAddress>,
    /// Log in, by what the server offers of PLAIN, LOGIN and CRAM-MD5
    #[arg(long, value_name = "USER:PASSWORD")]
    pub auth: Option<OsString>,
    /// TLS: none, starttls, required or implicit
    ///
    /// With starttls, STARTTLS is used if it is offered, with any certificate. With required nothing
    /// is sent without it, and with implicit TLS comes before the greeting; both verify the
    /// certificate. A password is sent whatever the connection is.
    #[arg(long, value_name = "HOW", default_value = "starttls", hide_possible_values = true)]
    pub tls: TlsWord,
    /// Whom to trust, beside the authorities of the system.
    #[arg(long, value_name = "FILE", hide_short_help = true, help = TRUSTED)]
    pub ca: Option<PathBuf>,
}

const SERVER: &str = "The server [default: $SMTP_HOST:$SMTP_PORT, else localhost:2500]";
const SERVER_IN_FULL: &str = "\
The server [default: $SMTP_HOST and $SMTP_PORT, else the one that runs on $MAILCONSOLE_DIR, else \
localhost:2500]";
const TRUSTED: &str =
    "PEM file of authorities to trust, beside the system's [default: $MAILCONSOLE_CA]";

const EXAMPLES: &str = "\
The exit status is 0 if all recipients have it, 1 if any was refused, and 3 without a connection.

Examples:
  mailconsole send --to bob@localhost --subject Hello --body \"How are you?\"
  mailconsole send --eml message.eml --smtp localhost:2525 -v
  mailconsole send --to bob@localhost --auth ada:secret --tls required";

/// How TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are called what the user types")]
pub enum TlsWord {
    None,
    Starttls,
    Required,
    Implicit,
}

impl From<TlsWord> for ChosenTls {
    fn from(word: TlsWord) -> Self {
        match word {
            TlsWord::None => Self::None,
            TlsWord::Starttls => Self::IfOffered,
            TlsWord::Required => Self::Required,
            TlsWord::Implicit => Self::FromTheStart,
        }
    }
}

/// A field as `NAME: VALUE`.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').unwrap_or_default();
    let name = name.trim_end();
    if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("write 'NAME: VALUE', such as 'Reply-To: ada@example.org'".to_owned());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// What is to be sent.
#[derive(Debug)]
pub struct SendTask {
    arguments: SendArguments,
    verbosity: Verbosity,
}

impl SendArguments {
    /// What is to be sent.
    #[must_use]
    pub fn task(self, setup: &Setup) -> SendTask {
        SendTask { arguments: self, verbosity: verbosity(setup.options.verbose) }
    }
}

/// Sends it.
pub fn run(task: SendTask) -> Result<ExitCode, StartError> {
    let SendTask { arguments, verbosity } = task;
    let (way, message) = match (way(&arguments, verbosity), composed(&arguments)) {
        (Err(sentence), _) | (_, Err(sentence)) => {
            last_word::say(&format!("mailconsole: {sentence}; see mailconsole help send"));
            return Ok(ExitCode::from(WRONG_USE));
        }
        (Ok(way), Ok(message)) => (way, message),
    };
    let Composed { message, from, to, sender, recipients } = message;
    let submission = submission(message, &from, &to, sender, recipients);
    match send(way, &submission) {
        Ok(fates) => Ok(report(&submission.recipients, fates)),
        Err(error) => {
            last_word::say(&format!("mailconsole: cannot read the authorities: {error}"));
            Ok(ExitCode::from(WRONG_USE))
        }
    }
}

fn way(arguments: &SendArguments, verbosity: Verbosity) -> Result<Way, String> {
    let login = arguments.auth.as_ref().map(login).transpose()?;
    Ok(Way {
        server: smtp_address::find(arguments.smtp.clone())?,
        protection: Protection::Chosen(arguments.tls.into(), login),
        authority: arguments.ca.clone(),
        said: match verbosity {
            Verbosity::Quiet => Said::Nothing,
            Verbosity::Lines => Said::Lines,
            Verbosity::Text => Said::Text,
        },
    })
}

/// The error does not repeat what may be a password.
fn login(word: &OsString) -> Result<Login, String> {
    let pair = word.to_str().and_then(|word| word.split_once(':'));
    let (user, password) = pair.ok_or("--auth wants USER:PASSWORD")?;
    Ok(Login { user: user.to_owned(), password: password.to_owned() })
}

/// A message, and what its envelope and missing fields are made of.
struct Composed {
    message: Written,
    from: String,
    to: Vec<String>,
    sender: ReversePath,
    recipients: Vec<Address>,
}

fn composed(arguments: &SendArguments) -> Result<Composed, String> {
    let message = message(arguments)?;
    let (from, sender) = sender(arguments, &message)?;
    let mut to = Vec::new();
    let mut recipients: Vec<Address> = Vec::new();
    for Mailbox { name, address: one } in arguments.to.iter().flat_map(|list| mailboxes(list)) {
        let one = address(&one).map_err(|error| error.to_string())?;
        to.push(named(&name, &one.to_string()));
        recipients.push(one);
    }
    if arguments.to.is_empty() {
        for one in message.addresses(&["To", "Cc", "Bcc"]) {
            recipients.push(address(&one).map_err(|error| error.to_string())?);
        }
    }
    let recipients = each_once(recipients);
    if recipients.is_empty() {
        return Err("there is no recipient: name one with --to".to_owned());
    }
    Ok(Composed { message, from, to, sender, recipients })
}

fn each_once(addresses: Vec<Address>) -> Vec<Address> {
    let mut once: Vec<Address> = Vec::new();
    for address in addresses {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    once
}

/// The message, without what is missing.
fn message(arguments: &SendArguments) -> Result<Written, String> {
    if let Some(path) = &arguments.eml {
        let mut message = Written::read(&contents(path)?);
        for (name, value) in &arguments.header {
            message.add(name, &encoded(name, value));
        }
        return Ok(message);
    }
    let body = match arguments.body.as_deref() {
        Some("-") => String::from_utf8_lossy(&contents(Path::new("-"))?).into_owned(),
        body => body.unwrap_or_default().to_owned(),
    };
    let files = arguments.attach.iter().map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Attached { name, octets: contents(path)? })
    });
    let files = files.collect::<Result<_, String>>()?;
    Ok(new_message(arguments.subject.as_deref(), &arguments.header, &body, files))
}

/// The text of `From:`, and the reverse-path.
fn sender(arguments: &SendArguments, message: &Written) -> Result<(String, ReversePath), String> {
    let from = match &arguments.from {
        None => message.values("From").next().unwrap_or_else(own_address),
        Some(from) if matches!(from.trim(), "" | "<>") => {
            return Ok((format!("MAILER-DAEMON@{DOMAIN}"), ReversePath::Null));
        }
        Some(from) => from.clone(),
    };
    let as_it_is = || Mailbox { name: String::new(), address: from.clone() };
    let Mailbox { name, address: path } =
        mailboxes(&from).into_iter().next().unwrap_or_else(as_it_is);
    let path = address(&path).map_err(|error| error.to_string())?;
    Ok((named(&name, &path.to_string()), ReversePath::Address(path)))
}

/// What is in a file, or comes on stdin.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let octets = match path.to_str() {
        Some("-") => read(io::stdin().lock()),
        _ => File::open(path).and_then(read),
    };
    octets.map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Says who does not have the message, and why.
fn report(recipients: &[Address], fates: Fates) -> ExitCode {
    let refusals = recipients.iter().zip(fates).filter_map(|(to, fate)| Some((to, fate.err()?)));
    let refusals: Vec<_> = refusals.collect();
    let line = |(to, why): &(&Address, Refusal)| match why.refused {
        Refused::Nothing => format!("mailconsole: {}", why.reason),
        _ => format!("mailconsole: not sent to {to}: {}", why.reason),
    };
    let mut lines: Vec<String> = refusals.iter().map(line).collect();
    lines.dedup();
    if !lines.is_empty() {
        last_word::say(&lines.join("\n"));
    }
    let unreached = |(_, why): &(_, Refusal)| why.refused == Refused::Nothing;
    if refusals.is_empty() {
        ExitCode::SUCCESS
    } else if refusals.iter().all(unreached) {
        ExitCode::from(NOTHING_THERE)
    } else {
        ExitCode::FAILURE
    }
}
