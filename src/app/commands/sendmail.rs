//! `mailconsole sendmail`: what programs expect of `/usr/sbin/sendmail`. It goes by its own words
//! alone: neither config file nor environment of the servers can be in its way.

pub mod pipe;
pub mod words;

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::app::commands::sendmail::words::{Mode, Order};
use crate::app::error::StartError;
use crate::app::last_word;
use crate::app::smtp_address::{self, SmtpAddress};
use crate::app::submission::{DOMAIN, Said, Way, address, own_address, read, send, submission};
use crate::mail::address_list::addresses;
use crate::mail::path::{Address, ReversePath};
use crate::mailroom::fields::Written;
use crate::mailroom::new_message::named;
use crate::mailroom::submission::{Refusal, Refused};
use crate::relay::conversation::opening::{ChosenTls, Protection};

/// The name under which the program does nothing else.
const NAME: &str = "sendmail";

/// Exit statuses as sysexits.h has them: wrong use, no such user, no service, try again.
const USAGE: u8 = 64;
const NO_USER: u8 = 67;
const UNAVAILABLE: u8 = 69;
const TRY_AGAIN: u8 = 75;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = "mailconsole sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [-bs] [--smtp \
                            HOST:PORT] [RECIPIENT]...")]
#[command(after_help = EXAMPLES)]
pub struct SendmailArguments {
    /// Options and recipients, as sendmail reads them
    #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

const EXAMPLES: &str = "\
-t takes recipients from To, Cc and Bcc too, and removes Bcc; -i lets a line with only a dot stand; -f \
is the sender, <> nobody; -F is the sender's name; -bs speaks SMTP on stdin and stdout; -v says the \
conversation on stderr. Other options of sendmail are ignored. A link to mailconsole with the name \
sendmail does the same. The server is found as by mailconsole send.

The exit status is 0 if all recipients have it, 64 for wrong use, 67 if a recipient was refused, 69 if \
the message was, and 75 without a server or after a 4xx reply.

Examples:
  mailconsole sendmail bob@localhost < message.txt
  mailconsole sendmail -t -i -f ada@localhost < message.eml
  git -c sendemail.smtpServer=/usr/local/bin/sendmail send-email HEAD~1";

/// The words for sendmail, if it is called: by its name, or as the first word.
#[must_use]
pub fn words(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = arguments.split_first()?;
    let words = match Path::new(program).file_name() {
        Some(name) if name == NAME => rest,
        _ => rest.split_first().filter(|(first, _)| *first == NAME)?.1,
    };
    // Help is clap's. A lone -h, which wants a number, can only mean that.
    let is_help = words.len() == 1 && words.iter().any(|word| word == "--help" || word == "-h");
    (!is_help).then_some(words)
}

/// Sends the message on stdin, or speaks SMTP there.
pub fn run(arguments: &SendmailArguments) -> Result<ExitCode, StartError> {
    let done = Order::read(&arguments.words).and_then(|order| carry_out(&order));
    Ok(ExitCode::from(match done {
        Ok(status) => status,
        Err(sentence) => {
            last_word::say(&format!("sendmail: {sentence}"));
            USAGE
        }
    }))
}

fn carry_out(order: &Order) -> Result<u8, String> {
    let named = order.smtp.as_deref().map(str::parse).transpose();
    let named = named.map_err(|error| format!("--smtp: {error}"))?;
    let server = smtp_address::find(named)?;
    match order.mode {
        Mode::Smtp => Ok(speak(&server)),
        Mode::Message => deliver(order, server),
    }
}

fn speak(server: &SmtpAddress) -> u8 {
    match pipe::speak(server) {
        Ok(()) => 0,
        Err(error) => {
            let SmtpAddress { host, port } = server;
            last_word::say(&format!("sendmail: cannot connect to {host} port {port}: {error}"));
            TRY_AGAIN
        }
    }
}

fn deliver(order: &Order, server: SmtpAddress) -> Result<u8, String> {
    const NO_RECIPIENT: &str = "there is no recipient: name one, or use -t and To, Cc or Bcc";
    if order.recipients.is_empty() && !order.takes_header {
        return Err(NO_RECIPIENT.to_owned());
    }
    let sender = sender(order)?;
    let octets = message(io::stdin().lock(), order.dots_stand)
        .map_err(|error| format!("cannot read the message: {error}"))?;
    let mut message = Written::read(without_from_line(&octets));
    let (to, names) = recipients(order, &mut message);
    let (recipients, wrong) = checked(&names);
    for error in &wrong {
        last_word::say(&format!("sendmail: {error}"));
    }
    if recipients.is_empty() {
        return if wrong.is_empty() { Err(NO_RECIPIENT.to_owned()) } else { Ok(NO_USER) };
    }
    let from = from_field(order, &sender);
    let submission = submission(message, &from, &to, sender, recipients);
    let said = if order.is_verbose { Said::Lines } else { Said::Nothing };
    let protection = Protection::Chosen(ChosenTls::IfOffered, None);
    let way = Way { server, protection, authority: None, said };
    let fates = send(way, &submission).map_err(|error| error.to_string())?;
    let refusals = submission.recipients.iter().zip(fates);
    let refusals: Vec<_> = refusals.filter_map(|(to, fate)| Some((to, fate.err()?))).collect();
    let lines = refusals.iter().map(|(to, why)| format!("sendmail: {to}: {}", why.reason));
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        last_word::say(&lines.join("\n"));
    }
    Ok(status(&refusals, !wrong.is_empty()))
}

/// What is final counts before what may be tried again: a second try would not help.
fn status(refusals: &[(&Address, Refusal)], has_wrong: bool) -> u8 {
    let is = |refused, why: &Refusal| why.is_final && why.refused == refused;
    if has_wrong || refusals.iter().any(|(_, why)| is(Refused::Recipient, why)) {
        NO_USER
    } else if refusals.iter().any(|(_, why)| why.is_final) {
        UNAVAILABLE
    } else if refusals.is_empty() {
        0
    } else {
        TRY_AGAIN
    }
}

/// Reads the message: up to a line with only a dot, unless those stand.
fn message(mut source: impl BufRead, dots_stand: bool) -> io::Result<Vec<u8>> {
    let octets = read(&mut source)?;
    if dots_stand {
        return Ok(octets);
    }
    let mut end = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if matches!(line, b".\n" | b".\r\n" | b".") {
            break;
        }
        end += line.len();
    }
    Ok(octets.get(..end).unwrap_or_default().to_vec())
}

/// A mailbox's separator line before the header is none of its fields.
fn without_from_line(octets: &[u8]) -> &[u8] {
    match octets.strip_prefix(b"From ").or_else(|| octets.strip_prefix(b">From ")) {
        None => octets,
        Some(rest) => {
            memchr::memchr(b'\n', rest).and_then(|end| rest.get(end + 1..)).unwrap_or(b"")
        }
    }
}

/// For whom the message is: those that `To:` names if it is missing, and all.
fn recipients(order: &Order, message: &mut Written) -> (Vec<String>, Vec<String>) {
    let mut names = order.recipients.clone();
    let mut to = order.recipients.clone();
    if order.takes_header {
        names.extend(message.addresses(&["To", "Cc", "Bcc"]));
        if message.has("Bcc") {
            // Nobody is to learn of those it names, nor of whom else they are sent with.
            message.remove("Bcc");
            to.clear();
        }
    }
    let to = to.iter().map(|name| whole(name)).collect();
    (to, names)
}

fn whole(name: &str) -> String {
    address(name).map_or_else(|_| name.to_owned(), |address| address.to_string())
}

/// The addresses, each once, and what is wrong with others.
fn checked(names: &[String]) -> (Vec<Address>, Vec<String>) {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for name in names {
        match address(name) {
            Ok(address) if !found.contains(&address) => found.push(address),
            Ok(_) => {}
            Err(error) => wrong.push(error.to_string()),
        }
    }
    (found, wrong)
}

fn sender(order: &Order) -> Result<ReversePath, String> {
    let named = match order.sender.as_deref().map(str::trim) {
        None => own_address(),
        Some("" | "<>") => return Ok(ReversePath::Null),
        Some(named) => addresses(named).into_iter().next().unwrap_or_else(|| named.to_owned()),
    };
    address(&named).map(ReversePath::Address).map_err(|error| format!("-f: {error}"))
}

fn from_field(order: &Order, sender: &ReversePath) -> String {
    let address = match sender {
        ReversePath::Null => format!("MAILER-DAEMON@{DOMAIN}"),
        ReversePath::Address(address) => address.to_string(),
    };
    named(order.name.as_deref().unwrap_or_default(), &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_dot_ends_the_message_unless_dots_stand() {
        for (input, whole) in [
            ("a\n.\nb\n", "a\n"),
            ("a\r\n.\r\nb", "a\r\n"),
            ("a\n.", "a\n"),
            ("a\n..\n. b\n", "a\n..\n. b\n"),
            (".\n", ""),
            ("", ""),
        ] {
            assert_eq!(message(input.as_bytes(), false).unwrap(), whole.as_bytes(), "{input}");
            assert_eq!(message(input.as_bytes(), true).unwrap(), input.as_bytes(), "{input}");
        }
    }

    #[test]
    fn it_is_called_by_its_name_or_by_a_word() {
        let words = |line: &str| {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            super::words(&line).map(<[OsString]>::len)
        };
        assert_eq!(words("/usr/sbin/sendmail -t -i"), Some(2));
        assert_eq!(words("mailconsole sendmail"), Some(0));
        assert_eq!(words("mailconsole send --to sendmail"), None);
        assert_eq!(words("mailconsole sendmail --help"), None);
        assert_eq!(words("/sendmail/mailconsole -v"), None);
    }
}
