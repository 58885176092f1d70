//! `mailconsole held`: what the servers on a directory hold at breakpoints.

mod arguments;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::app::commands::fault::{asked, asked_until, said};
pub use crate::app::commands::held::arguments::{HeldArguments, HeldTask, Order};
use crate::app::commands::queue::words::print;
use crate::app::error::StartError;
use crate::control::held_list::{Held, HeldList};
use crate::wire::display::DisplayText;

/// Carries out the order, with its answer on stdout.
pub fn run(task: &HeldTask) -> Result<ExitCode, StartError> {
    Runtime::new()?.block_on(carry_out(&task.directory, &task.order))
}

async fn carry_out(directory: &Path, order: &Order) -> Result<ExitCode, StartError> {
    match order {
        Order::List { json } => {
            for list in lists_of(directory).await? {
                print(if *json { in_json(&list) } else { in_words(&list) }.as_bytes());
            }
            Ok(ExitCode::SUCCESS)
        }
        Order::Decide { verb, id, text } => {
            let request = json!({"do": "held", "order": verb, "id": id, "text": text});
            // Each server counts its own IDs: what was meant for one client must not reach another.
            let most = if id.is_number() { 1 } else { usize::MAX };
            let (done, refused) = asked_until(most, directory, &request).await?;
            let refused = refused.filter(|_| done.is_empty());
            Ok(refused.map_or(ExitCode::SUCCESS, |why| said(&why, 1)))
        }
    }
}

async fn lists_of(directory: &Path) -> Result<Vec<HeldList>, StartError> {
    let (answers, refused) = asked(directory, &json!({"do": "held", "order": "list"})).await?;
    if let Some(why) = refused {
        return Err(StartError::Server(why));
    }
    let read = |answer| serde_json::from_value(Value::Object(answer));
    let read: Result<_, _> = answers.into_iter().map(read).collect();
    read.map_err(|error| StartError::Server(format!("the answer is not understood: {error}")))
}

/// One object on one line.
fn in_json(list: &HeldList) -> String {
    serde_json::to_string(list).unwrap_or_default() + "\n"
}

/// A line for each that is held.
fn in_words(list: &HeldList) -> String {
    if list.held.is_empty() {
        return "nothing is held\n".to_owned();
    }
    let mut lines = format!(
        "{:>3}  {:>7}  {:<21}  {:<12}  {:>7}  TEXT\n",
        "ID", "SESSION", "PEER", "POINT", "WAITED"
    );
    for Held { id, session, peer, point, side, text, waited, .. } in &list.held {
        let sign = if side == "reply" { "!" } else { "" };
        let (point, session) = (format!("{point}{sign}"), format!("#{session}"));
        let (waited, text) = (format!("{waited:.1} s"), DisplayText::from(text.as_str()));
        let _ =
            writeln!(lines, "{id:>3}  {session:>7}  {peer:<21}  {point:<12}  {waited:>7}  {text}");
    }
    lines
}
