//! A sample of the config file: every setting once, in a comment, with what it is. Prose begins with
//! `##`, so that without each `# ` the rest is a config file.

use std::fmt::Write as _;

use strum::VariantArray;

use crate::console::setting::row::{DefaultValue, Group, Row};
use crate::console::setting::table::ROWS;
use crate::console::setting::value::{Shape, Written};

/// Columns of a line of prose.
const WIDTH: usize = 98;

const HEAD: &str = "\
The settings of mailconsole, each with its default or an example. Remove `# ` to set one. The command \
line and the environment override this file; mailconsole config shows what holds.";

const TABLES: &str = "
## Users with passwords of their own, which may have commas:
##
## [users]
## linhphan = \"secret, and long\"

## Keys of the console:
##
## [keys]
## quit = [\"q\", \"F10\"]
";

/// The sample.
pub(super) fn sample() -> String {
    let mut text = prose(HEAD);
    for &group in Group::VARIANTS {
        let rows = ROWS.iter().filter(|row| row.group == group && row.places.has_file());
        let _ = writeln!(text, "\n## ---- {} ----", <&str>::from(group));
        for row in rows {
            text.push('\n');
            text.push_str(&prose(&meaning(row)));
            let _ = writeln!(text, "# {} = {}", row.name, value(row));
        }
    }
    text + TABLES
}

fn meaning(row: &Row) -> String {
    let help = row.help.trim_start();
    let default = match row.default {
        DefaultValue::Says(words) => format!(" [default: {words}]"),
        DefaultValue::Is(_) | DefaultValue::None => String::new(),
    };
    let more = if row.more.is_empty() { String::new() } else { format!(" {}", row.more) };
    format!("{help}{default}.{more}")
}

/// The default as the file has it, or else an example.
fn value(row: &Row) -> String {
    match (row.shape, row.default) {
        (Shape::Switch, _) => "false".to_owned(),
        (Shape::Times, _) => "0".to_owned(),
        (_, DefaultValue::Is(default)) => match (row.written, default.parse::<i64>()) {
            (Written::Number | Written::Both, Ok(number)) => number.to_string(),
            _ => format!("\"{default}\""),
        },
        (_, DefaultValue::None | DefaultValue::Says(_)) => row.example.to_owned(),
    }
}

/// Lines of a comment.
fn prose(words: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("##");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            "##".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
