//! A conversation in steps: each command with the reply that it got.

use crate::check::client::record::{Answers, Entry, What};

/// One command of a client, or the greeting, which has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) connection: usize,
    /// Where the command is in the conversation; for the greeting, where the connection began.
    pub(super) index: usize,
    /// When it came.
    pub(super) at: f64,
    /// The command without its line end; empty for the greeting.
    pub(super) line: String,
    /// Its first word in capitals; `.` for the end of a message, empty for the greeting.
    pub(super) verb: String,
    /// Whether a reply was still due when it came.
    pub(super) is_pipelined: bool,
    /// The reply, as far as it came.
    pub(super) reply: Option<Answer>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// Where its first line is in the conversation.
    pub(super) first: usize,
    /// Where its last line is.
    pub(super) last: usize,
    /// When the last line came.
    pub(super) at: f64,
    /// Its first line.
    pub(super) line: String,
    /// SMTP's code, if it has one of three digits.
    pub(super) code: Option<u16>,
    /// Whether its lines have different codes.
    pub(super) is_mixed: bool,
    /// Whether its last line has come.
    pub(super) is_complete: bool,
}

impl Answer {
    /// Whether SMTP has accepted something by it.
    pub(super) fn accepts(&self) -> bool {
        self.is_complete && !self.is_mixed && self.code.is_some_and(|code| code / 100 == 2)
    }

    /// Whether it says no, now or for ever.
    pub(super) fn refuses(&self) -> bool {
        self.is_complete && (self.is_mixed || self.code.is_some_and(|code| code >= 400))
    }

    /// Whether POP3 says yes by it.
    pub(super) fn is_ok(&self) -> bool {
        self.line.starts_with("+OK")
    }
}

impl Step {
    pub(super) fn accepts(&self) -> bool {
        self.reply.as_ref().is_some_and(Answer::accepts)
    }

    pub(super) fn code(&self) -> Option<u16> {
        self.reply.as_ref().filter(|reply| !reply.is_mixed).and_then(|reply| reply.code)
    }

    /// Where it is marked: at its last line.
    pub(super) fn mark(&self) -> usize {
        self.reply.as_ref().map_or(self.index, |reply| reply.last)
    }

    /// The command without what it logs in with.
    pub(super) fn shown(&self) -> String {
        without_secret(&self.line)
    }

    /// What a POP3 command names: the number of a message.
    pub(super) fn number(&self) -> Option<usize> {
        self.line.split_whitespace().nth(1)?.parse().ok()
    }
}

/// A command without what it logs in with: `PASS ******`, `AUTH PLAIN ******`.
pub(super) fn without_secret(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let verb = words.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
    let open = match verb.as_str() {
        "PASS" => 1,
        "AUTH" | "APOP" => 2,
        _ => return line.to_owned(),
    };
    match words.get(..open).filter(|_| words.len() > open) {
        Some(shown) => format!("{} ******", shown.join(" ")),
        None => line.to_owned(),
    }
}

/// The steps of a conversation, in the order in which they began.
pub(super) fn steps(entries: &[Entry]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match &entry.what {
            What::Opened => steps.push(begun(index, entry, "", false)),
            What::Command { line, is_pipelined } => {
                let line = String::from_utf8_lossy(line);
                steps.push(begun(index, entry, &line, *is_pipelined));
            }
            What::Reply { line, to, is_last, .. } => {
                let answered = |step: &&mut Step| match *to {
                    Answers::Greeting => {
                        step.connection == entry.connection && step.verb.is_empty()
                    }
                    Answers::Command(command) => step.index == command,
                    Answers::Nothing => false,
                };
                if let Some(step) = steps.iter_mut().find(answered) {
                    add(&mut step.reply, (index, entry.at), line, *is_last);
                }
            }
            _ => {}
        }
    }
    steps
}

fn begun(index: usize, entry: &Entry, line: &str, is_pipelined: bool) -> Step {
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let ends_text = verb == "BDAT" && words.nth(1).is_some();
    Step {
        connection: entry.connection,
        index,
        at: entry.at,
        line: line.to_owned(),
        verb: if ends_text { ".".to_owned() } else { verb },
        is_pipelined,
        reply: None,
    }
}

fn add(reply: &mut Option<Answer>, (index, at): (usize, f64), line: &[u8], is_last: bool) {
    let code = code(line);
    let line = String::from_utf8_lossy(line).into_owned();
    match reply {
        // A challenge of AUTH and what follows it: the last one decides.
        Some(known) if known.is_complete => {
            let first = known.first;
            *known = Answer { first, last: index, at, line, code, ..known.clone() };
        }
        Some(known) => {
            known.is_mixed |= known.code != code && known.line.get(3..4) == Some("-");
            (known.last, known.at, known.is_complete) = (index, at, is_last);
        }
        None => {
            let (first, last, is_complete) = (index, index, is_last);
            *reply = Some(Answer { first, last, at, line, code, is_mixed: false, is_complete });
        }
    }
}

/// A code of three digits, with a blank, a hyphen or nothing behind it (RFC 5321 section 4.2).
fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let ends = matches!(line.get(3), None | Some(b' ' | b'-'));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| ends)
}
