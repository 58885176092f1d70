//! What `mailconsole fault` is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::app::config::Setup;
use crate::app::config_error::ConfigError;
use crate::console::setting::value::{FaultRules, Values};
use crate::wire::nearest::nearest;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
#[command(after_help = EXAMPLES)]
pub struct FaultArguments {
    /// The directory of the mailboxes, and an order: list, add RULE, remove ID, on ID, off
    /// ID, reset or reset ID; all for an ID
    #[arg(value_name = "DIR ORDER")]
    pub words: Vec<OsString>,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print the scenarios: name, rules, what a good client does, and the paragraph
    #[arg(long)]
    pub catalogue: bool,
}

const USAGE: &str = "\
mailconsole fault DIR list [--json]
       mailconsole fault DIR add RULE
       mailconsole fault DIR remove|on|off ID
       mailconsole fault DIR reset [ID]
       mailconsole fault --catalogue [--json]";

const EXAMPLES: &str = "\
Exit status: 0 done, 1 there is no such ID, 2 a rule or an order that cannot be read, 3 no server, or \
no such DIR.

Examples:
  mailconsole fault mailtest add 'smtp.rcpt to=bob@* : 451 4.7.1 later times 2'
  mailconsole fault mailtest list
  mailconsole fault mailtest remove all";

/// The orders.
const ORDERS: [&str; 6] = ["list", "add", "remove", "on", "off", "reset"];

/// The task.
#[derive(Debug)]
pub enum FaultTask {
    /// Print the scenarios.
    Catalogue {
        /// Whether as JSON.
        json: bool,
    },
    /// Ask the servers on a directory.
    Of {
        /// The directory.
        directory: PathBuf,
        /// What for.
        order: Order,
    },
}

/// What servers are asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// To list their rules.
    List {
        /// Whether as JSON.
        json: bool,
    },
    /// To take this rule, or the rules of this scenario.
    Add(String),
    /// To do something with rules that they have.
    Change {
        /// `remove`, `on`, `off` or `reset`.
        verb: &'static str,
        /// A rule's number, or `all`.
        id: Value,
    },
}

impl FaultArguments {
    /// The task.
    pub fn task(self, setup: &Setup) -> Result<FaultTask, ConfigError> {
        let Self { words, json, catalogue } = self;
        if catalogue {
            return Ok(FaultTask::Catalogue { json });
        }
        let mut words = words.into_iter().peekable();
        let is_order = |word: &OsString| word.to_str().is_some_and(|word| ORDERS.contains(&word));
        let has_directory = setup.options.dir.is_some();
        // An order is one unless it is a directory's name.
        let named = words.next_if(|word| !(has_directory && is_order(word) && !is_directory(word)));
        let directory = setup.directory(named.map(PathBuf::from))?;
        let words: Result<Vec<String>, _> = words.map(OsString::into_string).collect();
        let words = words.map_err(|_| ConfigError::Setting(NOT_UTF8.to_owned()))?;
        let order = order(&words, json).map_err(ConfigError::Setting)?;
        Ok(FaultTask::Of { directory, order })
    }
}

const NOT_UTF8: &str = "an order must be UTF-8: write other octets in quotes as \\xNN";

fn is_directory(word: &OsString) -> bool {
    Path::new(word).is_dir()
}

/// The order that a word names.
pub(in crate::app::commands) fn known(
    word: &str,
    orders: &[&'static str],
) -> Result<&'static str, String> {
    let found = orders.iter().find(|order| **order == word).copied();
    found.ok_or_else(|| match nearest(word, orders.iter().copied()) {
        Some(near) => format!("there is no order {word:?}: did you mean {near}?"),
        None => format!("there is no order {word:?}: write one of {}", orders.join(", ")),
    })
}

fn order(words: &[String], json: bool) -> Result<Order, String> {
    let Some((verb, rest)) = words.split_first() else {
        return Err(format!("there is no order: write one of {}", ORDERS.join(", ")));
    };
    let verb = known(verb, &ORDERS)?;
    match (verb, rest) {
        ("list", []) => Ok(Order::List { json }),
        ("add", []) => Err("which rule? Write add RULE".to_owned()),
        ("add", words) => rule(words.join(" ")).map(Order::Add),
        ("reset", []) => Ok(Order::Change { verb, id: "all".into() }),
        ("remove" | "on" | "off" | "reset", [id]) => Ok(Order::Change { verb, id: number(id)? }),
        ("remove" | "on" | "off", []) => Err(format!("which rule? Write {verb} ID, or {verb} all")),
        _ => Err(format!("there are words behind {verb:?} that have no meaning")),
    }
}

/// A rule that can be read.
fn rule(text: String) -> Result<String, String> {
    FaultRules::read_all(&[OsString::from(&text)])?;
    Ok(text)
}

fn number(word: &str) -> Result<Value, String> {
    id(word, "a rule")
}

/// The ID of `what`, or `all`.
pub(in crate::app::commands) fn id(word: &str, what: &str) -> Result<Value, String> {
    if word == "all" {
        return Ok(word.into());
    }
    if word.is_empty() || !word.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(format!("{word:?} is no ID: write the number of {what}, or all"));
    }
    // Nothing has a number that is longer.
    Ok(word.parse().unwrap_or(u64::MAX).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        order(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), false)
    }

    #[test]
    fn orders_are_understood() {
        assert_eq!(read("list"), Ok(Order::List { json: false }));
        let change = |verb, id: Value| Ok(Order::Change { verb, id });
        assert_eq!(read("remove 7"), change("remove", 7.into()));
        assert_eq!(read("off all"), change("off", "all".into()));
        assert_eq!(read("reset"), change("reset", "all".into()));
        assert_eq!(read("reset 1"), change("reset", 1.into()));
        assert_eq!(read("on 99999999999999999999"), change("on", u64::MAX.into()));
    }

    #[test]
    fn others_are_explained() {
        for (line, sentence) in [
            ("lst", "there is no order \"lst\": did you mean list?"),
            ("remove", "which rule? Write remove ID, or remove all"),
            ("remove x", "\"x\" is no ID: write the number of a rule, or all"),
            ("remove 1 2", "there are words behind \"remove\" that have no meaning"),
            ("add", "which rule? Write add RULE"),
        ] {
            assert_eq!(read(line), Err(sentence.to_owned()), "{line}");
        }
    }
}
