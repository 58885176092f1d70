//! How commands print messages: as lines, JSON, octets, text, links and files. What goes to a
//! terminal has no control characters from the mail.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::app::error::{MailboxError, StartError};
use crate::mailroom::decode::Parsed;
use crate::mailroom::folder::Folder;
use crate::mailroom::new_file::{NewFile, safe_name};
use crate::mailroom::record::{Letter, Record};
use crate::mailroom::shape::USUAL_FIELDS;
use crate::wire::display::DisplayText;

/// Columns of a line of a list.
const COLUMNS: usize = 8;

/// The widest column of a list on a terminal that is aligned.
const WIDTH_MOST: usize = 40;

/// What stands for a tab on a terminal.
const TAB: &str = "    ";

/// What of a message is printed.
#[derive(Debug, Clone)]
pub enum Form {
    /// The line of a list.
    Line,
    /// One JSON object.
    Json,
    /// One JSON object with the content.
    WholeJson,
    /// The octets that RETR would give.
    Raw,
    /// The text.
    Text,
    /// The HTML.
    Html,
    /// The header, decoded.
    Headers,
    /// The usual fields and the text.
    Readable,
    /// The path of a new file with the octets.
    Path,
    /// The first link, or the first that the expression matches.
    Link(Option<Regex>),
    /// The decoded octets of a part, counted from 1.
    Part(usize),
    /// The paths of new files with the attachments, in this directory.
    Attachments(PathBuf),
}

/// What came of printing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// It is there.
    Yes,
    /// The message has nothing of the kind: a sentence.
    Nothing(String),
}

/// Where answers go.
#[derive(Debug)]
pub struct Output {
    stdout: io::BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    /// Lines of a list, which are aligned once all are there.
    lines: Vec<[String; COLUMNS]>,
}

impl Default for Output {
    fn default() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { stdout: io::BufWriter::new(stdout.lock()), is_terminal, lines: Vec::new() }
    }
}

/// Ends a command that has printed: a reader that has closed the pipe has seen enough.
pub fn unless_closed<T>(printed: Result<T, StartError>, enough: T) -> Result<T, StartError> {
    match printed {
        Err(StartError::Output(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(enough)
        }
        printed => printed,
    }
}

impl Output {
    /// Whether somebody looks at it.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes octets as they are.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), StartError> {
        self.stdout.write_all(octets).map_err(to_stdout)
    }

    /// Writes what comes from a message: on a terminal with all that could harm it escaped.
    fn write_mail(&mut self, octets: &[u8]) -> Result<(), StartError> {
        if self.is_terminal { self.write(harmless(octets).as_bytes()) } else { self.write(octets) }
    }

    /// Writes an object in one line. Control characters stand in it as escapes.
    fn write_json(&mut self, object: &impl Serialize) -> Result<(), StartError> {
        let json = serde_json::to_string(object).map_err(io::Error::from)?;
        self.write(with_escapes(&json).as_bytes())?;
        self.write(b"\n")
    }

    /// Adds a line to the list.
    fn write_line(&mut self, record: &Record) -> Result<(), StartError> {
        let columns = columns(record);
        if self.is_terminal {
            self.lines.push(columns.map(|column| DisplayText::from(&*column).into_string()));
            return Ok(());
        }
        self.write((columns.join("\t") + "\n").as_bytes())
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), StartError> {
        let lines = aligned(&self.lines);
        self.write(lines.as_bytes())?;
        self.stdout.flush().map_err(to_stdout)
    }

    /// Prints a message.
    pub async fn print(
        &mut self,
        folder: &Folder,
        place: usize,
        form: &Form,
    ) -> Result<Printed, StartError> {
        let failed = |error| StartError::Mailbox(folder.mailbox().to_owned(), error);
        match form {
            Form::Line => {
                let letter = folder.head(place).await.map_err(|error| failed(error.into()))?;
                self.write_line(&letter.listed())?;
            }
            Form::Raw => self.print_raw(folder, place).await?,
            Form::Path => {
                let path = saved(folder, place).await?;
                self.write_path(&path)?;
            }
            _ => {
                let letter = folder.letter(place).await.map_err(|error| failed(error.into()))?;
                return self.print_letter(&letter, form);
            }
        }
        Ok(Printed::Yes)
    }

    async fn print_raw(&mut self, folder: &Folder, place: usize) -> Result<(), StartError> {
        let failed = |error| StartError::Mailbox(folder.mailbox().to_owned(), error);
        let mut reader = folder.raw(place).await.map_err(|error| failed(error.into()))?;
        let mut piece = Vec::new();
        loop {
            let octets = reader.read(&mut piece).await.map_err(|error| failed(error.into()))?;
            // A terminal is shown whole lines: a character may be cut between two pieces.
            let whole = match octets {
                0 => piece.len(),
                _ if self.is_terminal => {
                    piece.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1)
                }
                _ => piece.len(),
            };
            self.write_mail(piece.get(..whole).unwrap_or_default())?;
            piece.drain(..whole);
            if octets == 0 {
                return Ok(());
            }
        }
    }

    fn print_letter(&mut self, letter: &Letter, form: &Form) -> Result<Printed, StartError> {
        let parsed = Parsed::of(&letter.text);
        let nothing = |what: &str| {
            let number = letter.place + 1;
            Ok(Printed::Nothing(format!("message {number} of {} has no {what}", letter.mailbox)))
        };
        match form {
            Form::Json => self.write_json(&letter.record())?,
            Form::WholeJson => self.write_json(&letter.whole_record())?,
            Form::Text => self.write_mail(ended(parsed.text()).as_bytes())?,
            Form::Headers => self.write_mail(headers(letter).as_bytes())?,
            Form::Readable => self.write_mail(readable(letter, &parsed).as_bytes())?,
            Form::Html => match parsed.html() {
                Some(html) => self.write_mail(ended(html).as_bytes())?,
                None => return nothing("HTML"),
            },
            Form::Link(wanted) => match link(&parsed, wanted.as_ref()) {
                Some(link) => self.write_mail((link + "\n").as_bytes())?,
                None if wanted.is_some() => return nothing("link that matches"),
                None => return nothing("http or https link"),
            },
            Form::Part(number) => match parsed.leaf(*number) {
                Some(octets) => self.write_mail(&octets)?,
                None => return nothing(&format!("part {number}")),
            },
            Form::Attachments(directory) => {
                for path in attachments(&parsed, directory)? {
                    self.write_path(&path)?;
                }
            }
            Form::Line | Form::Raw | Form::Path => {}
        }
        Ok(Printed::Yes)
    }

    fn write_path(&mut self, path: &Path) -> Result<(), StartError> {
        use std::os::unix::ffi::OsStrExt;
        self.write_mail(path.as_os_str().as_bytes())?;
        self.write(b"\n")
    }
}

fn to_stdout(error: io::Error) -> StartError {
    StartError::Output("to stdout".to_owned(), error)
}

/// Text with a line end behind it, unless it is empty.
fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Mailbox, number, unique-id, date, from, to, subject and octets, each in one line.
fn columns(record: &Record) -> [String; COLUMNS] {
    // Mail to many, or to a list by Bcc, still went to somebody.
    let to = if record.to.is_empty() { &record.envelope.to } else { &record.to };
    [
        record.mailbox.clone(),
        record.number.to_string(),
        record.uid.clone(),
        record.date.clone(),
        record.from.clone(),
        to.join(","),
        record.subject.clone(),
        record.octets.to_string(),
    ]
    .map(|column| {
        column.replace(['\t', '\r', '\n', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'], " ")
    })
}

/// Lines whose columns stand below each other; wider ones push the rest aside.
fn aligned(lines: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for line in lines {
        for (width, column) in widths.iter_mut().zip(line) {
            *width = column.width().min(WIDTH_MOST).max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut one = String::new();
        for (column, width) in line.iter().zip(widths) {
            let blanks = " ".repeat(width.saturating_sub(column.width()) + 2);
            let _ = write!(one, "{column}{blanks}");
        }
        text.push_str(one.trim_end());
        text.push('\n');
    }
    text
}

/// Lines in which nothing can harm a terminal.
fn harmless(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let (content, end) = match line.strip_suffix(b"\n") {
            Some(content) => (content.strip_suffix(b"\r").unwrap_or(content), "\n"),
            None => (line, ""),
        };
        for (nth, piece) in content.split(|&octet| octet == b'\t').enumerate() {
            text.push_str(if nth == 0 { "" } else { TAB });
            text.extend(DisplayText::pieces(piece).iter().map(DisplayText::as_str));
        }
        text.push_str(end);
    }
    text
}

/// JSON in which control characters, and those that turn the direction of text, stand as escapes.
/// It means the same.
fn with_escapes(json: &str) -> String {
    let is_harmful = |one: char| {
        one.is_control()
            || matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmful(character) {
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

fn headers(letter: &Letter) -> String {
    let headers = letter.whole_record().headers;
    let line = |(name, value): (String, String)| {
        let value = value.replace(['\r', '\n'], " ");
        if name.is_empty() { format!("{value}\n") } else { format!("{name}: {value}\n") }
    };
    headers.into_iter().map(line).collect()
}

/// The usual fields, decoded, the text, and what is attached.
fn readable(letter: &Letter, parsed: &Parsed<'_>) -> String {
    let record = letter.whole_record();
    let mut text = String::new();
    for name in USUAL_FIELDS {
        let fields = record.headers.iter().filter(|(its, _)| its.eq_ignore_ascii_case(name));
        for (_, value) in fields {
            let _ = writeln!(text, "{name}: {}", value.replace(['\r', '\n'], " "));
        }
    }
    let _ = write!(text, "\n{}", ended(parsed.text()));
    for (nth, one) in record.record.attachments.iter().enumerate() {
        let name = one.name.replace(['\r', '\n'], " ");
        let before = if nth == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{before}[{name}, {}, {} octets]", one.media_type, one.octets);
    }
    text
}

fn link(parsed: &Parsed<'_>, wanted: Option<&Regex>) -> Option<String> {
    let is_wanted = |link: &String| wanted.is_none_or(|wanted| wanted.is_match(link));
    // On a line of its own, whatever stands in it.
    parsed.links().into_iter().find(is_wanted).map(|link| link.replace(char::is_control, ""))
}

/// Writes the attachments to new files; returns their paths.
fn attachments(parsed: &Parsed<'_>, directory: &Path) -> Result<Vec<PathBuf>, StartError> {
    let failed = |error| StartError::Output(directory.display().to_string(), error);
    fs::create_dir_all(directory).map_err(failed)?;
    let mut paths = Vec::new();
    for attached in parsed.attached() {
        let name = safe_name(&attached.name(), &attached.made_up_name());
        let mut file = NewFile::create(directory, &name).map_err(failed)?;
        file.write_all(&attached.content()).map_err(failed)?;
        paths.push(file.keep());
    }
    Ok(paths)
}

/// Writes a message to a new file in the directory for temporary files; returns its path.
async fn saved(folder: &Folder, place: usize) -> Result<PathBuf, StartError> {
    let directory = env::temp_dir();
    let failed = |error| StartError::Output(directory.display().to_string(), error);
    let unread = |error: MailboxError| StartError::Mailbox(folder.mailbox().to_owned(), error);
    let name = format!("{}-{}-{:016x}.eml", folder.mailbox(), place + 1, fastrand::u64(..));
    let name = safe_name(&name, "message.eml");
    let mut file = NewFile::private(directory.join(name)).map_err(failed)?;
    let mut reader = folder.raw(place).await.map_err(|error| unread(error.into()))?;
    let mut piece = Vec::new();
    while reader.read(&mut piece).await.map_err(|error| unread(error.into()))? > 0 {
        file.write_all(&piece).map_err(failed)?;
        piece.clear();
    }
    Ok(file.keep())
}

/// A message in a sentence: `bob 3 from a@x to bob@localhost: "Welcome"`.
#[must_use]
pub fn in_words(record: &Record) -> String {
    let [mailbox, number, _, _, from, to, subject, _] = columns(record);
    let words = format!("{mailbox} {number} from <{from}> to {to}: {subject:?}");
    DisplayText::from(&*words).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_goes_to_a_terminal_can_harm_it() {
        assert_eq!(harmless(b"a\tb\r\n\x1b[2J\xff\nc"), "a    b\n\\x1b[2J\\xff\nc");
        assert_eq!(
            with_escapes("{\"a\":\"\u{9b}2J\u{202e}\u{7f}é\"}"),
            "{\"a\":\"\\u009b2J\\u202e\\u007fé\"}"
        );
    }

    #[test]
    fn columns_stand_below_each_other() {
        let line = |subject: &str| {
            let mut line: [String; COLUMNS] = Default::default();
            line[0] = subject.to_owned();
            line[1] = "x".to_owned();
            line
        };
        assert_eq!(aligned(&[line("a"), line("日本")]), "a     x\n日本  x\n");
        let long = "w".repeat(WIDTH_MOST + 10);
        assert!(aligned(&[line(&long), line("a")]).starts_with(&format!("{long}  x\n")));
        assert_eq!(aligned(&[]), "");
    }
}
