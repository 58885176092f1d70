//! `mailconsole fault`: the faults that the servers on a directory play on purpose.

pub(super) mod arguments;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub use crate::app::commands::fault::arguments::{FaultArguments, FaultTask, Order};
use crate::app::commands::queue::words::print;
use crate::app::commands::stop::found;
use crate::app::error::{StartError, WRONG_USE};
use crate::app::last_word;
use crate::control::client::{AskError, Object, Server};
use crate::control::fault_rules::{FaultRule, FaultRules};
use crate::fault::catalogue;
use crate::wire::display::DisplayText;

/// Carries out the order, with its answer on stdout.
pub fn run(task: &FaultTask) -> Result<ExitCode, StartError> {
    match task {
        FaultTask::Catalogue { json } => {
            let text = if *json { catalogue::json() + "\n" } else { catalogue::table() };
            print(text.as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        FaultTask::Of { directory, order } => Runtime::new()?.block_on(carry_out(directory, order)),
    }
}

async fn carry_out(directory: &Path, order: &Order) -> Result<ExitCode, StartError> {
    match order {
        Order::List { json } => {
            for rules in rules_of(directory).await? {
                print(if *json { in_json(&rules) } else { in_words(&rules) }.as_bytes());
            }
            Ok(ExitCode::SUCCESS)
        }
        Order::Add(rule) => {
            let request = json!({"do": "fault", "order": "add", "rule": rule});
            let (answers, refused) = asked(directory, &request).await?;
            for answer in &answers {
                print(ids(answer).as_bytes());
            }
            Ok(refused.map_or(ExitCode::SUCCESS, |why| said(&why, WRONG_USE)))
        }
        Order::Change { verb, id } => {
            let request = json!({"do": "fault", "order": verb, "id": id});
            // It is done if one of several servers has the rule.
            let (done, refused) = asked(directory, &request).await?;
            let refused = refused.filter(|_| done.is_empty());
            Ok(refused.map_or(ExitCode::SUCCESS, |why| said(&why, 1)))
        }
    }
}

pub(super) fn said(why: &str, status: u8) -> ExitCode {
    last_word::say(&format!("mailconsole: {why}"));
    ExitCode::from(status)
}

/// The rules of all servers on a directory, which has at least one.
pub(super) async fn rules_of(directory: &Path) -> Result<Vec<FaultRules>, StartError> {
    let (answers, refused) = asked(directory, &json!({"do": "fault", "order": "list"})).await?;
    if let Some(why) = refused {
        return Err(StartError::Server(why));
    }
    let read = |answer| serde_json::from_value(Value::Object(answer));
    let read: Result<_, _> = answers.into_iter().map(read).collect();
    read.map_err(|error| StartError::Server(format!("the answer is not understood: {error}")))
}

/// The answers of all servers on a directory, and why one has refused, if one has.
pub(super) async fn asked(
    directory: &Path,
    request: &Value,
) -> Result<(Vec<Object>, Option<String>), StartError> {
    asked_until(usize::MAX, directory, request).await
}

/// The same, but no more servers are asked once so many have not refused.
pub(super) async fn asked_until(
    most: usize,
    directory: &Path,
    request: &Value,
) -> Result<(Vec<Object>, Option<String>), StartError> {
    let (mut answers, mut refused) = (Vec::new(), None);
    for mut server in found(directory).await? {
        match server.ask(request).await {
            Ok(answer) => {
                answers.push(answer);
                if answers.len() >= most {
                    break;
                }
            }
            Err(AskError::Refused(why)) => refused = Some(why),
            // It has gone meanwhile.
            Err(AskError::Io(_)) => {}
            Err(error) => return Err(silent(&server, &error)),
        }
    }
    if answers.is_empty() && refused.is_none() {
        return Err(StartError::NoServer(directory.to_owned()));
    }
    Ok((answers, refused))
}

fn silent(server: &Server, error: &AskError) -> StartError {
    let process = server.process().unwrap_or_default();
    StartError::Server(format!("the server with pid {process}: {error}"))
}

/// The new rules' numbers, one a line.
fn ids(answer: &Object) -> String {
    let ids = answer.get("ids").and_then(Value::as_array).into_iter().flatten();
    ids.fold(String::new(), |lines, id| lines + &id.to_string() + "\n")
}

/// One object on one line.
fn in_json(rules: &FaultRules) -> String {
    serde_json::to_string(rules).unwrap_or_default() + "\n"
}

/// A line for each rule.
fn in_words(FaultRules { rules, .. }: &FaultRules) -> String {
    if rules.is_empty() {
        return "no rules\n".to_owned();
    }
    let mut lines =
        format!("{:>3}  {:<3}  {:>5}  {:>5}  {:<27}  RULE\n", "ID", "", "HITS", "LEFT", "LAST HIT");
    for rule in rules {
        let FaultRule { id, rule, scenario, on, hits, left, last_hit, .. } = rule;
        let number =
            |number: &Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let (id, left) = (number(id), number(left));
        let on = if *on { "on" } else { "off" };
        let last_hit = last_hit.as_deref().unwrap_or("-");
        // Behind a rule, this is a comment.
        let scenario = scenario.as_deref().map(|name| format!("  # {name}")).unwrap_or_default();
        let rule = DisplayText::from(rule.as_str());
        let _ = writeln!(
            lines,
            "{id:>3}  {on:<3}  {hits:>5}  {left:>5}  {last_hit:<27}  {rule}{scenario}"
        );
    }
    lines
}
