//! One entry of the queue, for people: its envelope, what was tried, and the message.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use chrono::{DateTime, Local};

use crate::app::commands::queue::job::Shown;
use crate::app::commands::queue::words::{at, print, shown, word};
use crate::app::error::StartError;
use crate::relay::outcomes;
use crate::store::overview::RecipientState;
use crate::store::queue::{Block, Entry, Queue, Recipient, Tried};
use crate::wire::display::DisplayText;

/// Octets of a line that are gathered before it is shown.
const LINE_MOST: usize = 64 * 1024;

/// What is known of the message besides its text; of one recipient, if one is meant.
pub(super) fn envelope(entry: &Entry, whom: Option<&str>, now: SystemTime) -> String {
    let Entry { block, octets, .. } = entry;
    let Block { id, reverse_path, queued, client, parameters, recipients, tried } = block;
    let is_meant = |path: &str| whom.is_none_or(|whom| whom == path);
    let mut text = String::new();
    let _ = writeln!(text, "ID       {}", shown(id));
    let _ = writeln!(text, "From     {}", shown(&format!("<{reverse_path}>")));
    if let Some(client) = client {
        let _ = writeln!(text, "Client   {} [{}]", shown(&client.helo), client.address);
    }
    let _ = writeln!(text, "Queued   {}", local(*queued));
    let _ = writeln!(text, "Octets   {octets}");
    if !parameters.is_empty() {
        let _ = writeln!(text, "Asked   {}", shown(&parameters.to_string()));
    }
    for recipient in recipients.iter().filter(|recipient| is_meant(&recipient.forward_path)) {
        let path = shown(&format!("<{}>", recipient.forward_path));
        let _ = writeln!(text, "To       {path}  {}", state(recipient, now));
        if !recipient.dsn.is_empty() {
            let _ = writeln!(text, "        {}", shown(&recipient.dsn.to_string()));
        }
        if !recipient.last_reply.is_empty() {
            let _ = writeln!(text, "         {}", shown(&recipient.last_reply));
        }
    }
    let attempts = tried.iter().filter(|tried| is_meant(&tried.forward_path));
    let attempts: String = attempts.map(attempt).collect();
    if !attempts.is_empty() {
        let _ = write!(text, "\nAttempts\n{attempts}");
    }
    text + "\n"
}

fn state(recipient: &Recipient, now: SystemTime) -> String {
    let Recipient { state, attempts, next_attempt, .. } = recipient;
    let tries = if *attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") };
    let next = match state {
        RecipientState::Pending if outcomes::is_time(*next_attempt, now) => ", due now".to_owned(),
        RecipientState::Pending => format!(", due {}", local(*next_attempt)),
        _ => String::new(),
    };
    format!("{}, {tries}{next}", word(*state))
}

fn attempt(tried: &Tried) -> String {
    let Tried { at, ended, status, host, forward_path, reply } = tried;
    let by = host.as_ref().map_or_else(String::new, |host| format!(" {}", shown(host)));
    format!(
        "{}  {}  {} {}{by}: {}\n",
        local(*at),
        shown(&format!("<{forward_path}>")),
        ended.word(),
        shown(status),
        shown(reply)
    )
}

fn local(seconds: u64) -> String {
    DateTime::<Local>::from(at(seconds)).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Prints the message: octet for octet, or as lines in which nothing can harm a terminal.
pub(super) async fn print_text(
    queue: &Queue,
    entry: &Entry,
    form: Shown,
) -> Result<(), StartError> {
    let mut reader = queue.text(entry).await?;
    let mut piece = Vec::new();
    loop {
        let read = reader.read(&mut piece).await.map_err(io::Error::other)?;
        match form {
            Shown::Raw => {
                print(&piece);
                piece.clear();
            }
            Shown::Whole => print_lines(&mut piece, read == 0),
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Prints the lines that have come whole, and leaves the rest, but no more than it must.
fn print_lines(text: &mut Vec<u8>, is_last: bool) {
    let end = match memchr::memrchr(b'\n', text) {
        _ if is_last || text.len() > LINE_MOST => text.len(),
        Some(at) => at + 1,
        None => return,
    };
    let rest = text.split_off(end);
    let whole = std::mem::replace(text, rest);
    let mut lines = String::new();
    for line in whole.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        for cell in line.split_inclusive(|&byte| byte == b'\t') {
            let (cell, tab) = cell.strip_suffix(b"\t").map_or((cell, ""), |cell| (cell, "\t"));
            let pieces = DisplayText::pieces(cell);
            lines.extend(pieces.iter().map(DisplayText::as_str));
            lines.push_str(tab);
        }
        lines.push('\n');
    }
    print(lines.as_bytes());
}
