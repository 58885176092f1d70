//! The files of a check: mailboxes, the message to send, the folder for what is fetched. All of it is
//! temporary.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::check::client::record::{Delivered, Stored};

/// Whose maildrop is fetched, and who is the first recipient.
pub(super) const USER: &str = "linhphan";

/// The second recipient.
pub(super) const SECOND: &str = "bob";

/// Messages in the maildrop.
pub(super) const MESSAGES: usize = 3;

/// Octets of one file that are looked at.
const FILE_MOST: u64 = 32 * 1024 * 1024;

/// Files that are looked at.
const FILES_MOST: usize = 1_000;

/// The place of all scenarios, which goes when it is dropped.
#[derive(Debug)]
pub(super) struct Ground(TempDir);

impl Ground {
    pub(super) fn make() -> io::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("mailconsole-check-").tempdir()?))
    }

    /// Where the certificate authority of the servers is.
    pub(super) fn authority(&self) -> PathBuf {
        self.0.path().join("authority")
    }
}

/// The fresh directory of one scenario.
#[derive(Debug)]
pub(super) struct Plot {
    directory: TempDir,
    /// What makes messages of this scenario like no others.
    mark: String,
}

impl Plot {
    pub(super) fn make() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("mailconsole-check-").tempdir()?;
        fs::create_dir(directory.path().join("mail"))?;
        fs::create_dir(directory.path().join("out"))?;
        Ok(Self { directory, mark: format!("{:08x}", fastrand::u32(..)) })
    }

    pub(super) fn mail(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    pub(super) fn message(&self) -> PathBuf {
        self.directory.path().join("message.eml")
    }

    pub(super) fn message_id(&self) -> String {
        format!("<check.{}@localhost>", self.mark)
    }

    /// Where what run `number` prints goes; and its errors.
    pub(super) fn printed(&self, number: usize) -> io::Result<(File, File)> {
        let file = |name: &str| File::create(self.directory.path().join(format!("{name}{number}")));
        Ok((file("printed")?, file("errors")?))
    }

    /// Writes the message that is to be sent: LF line ends, 2,000 to 3,000 octets.
    pub(super) fn write_message(&self, from: &str, to: &str, date: &str) -> io::Result<()> {
        let mut text = format!(
            "From: <{from}>\nTo: <{to}>\nDate: {date}\nMessage-ID: {}\nSubject: check {}\n\n",
            self.message_id(),
            self.mark
        );
        for line in 1..=40 {
            let _ = writeln!(text, "Line {line:02} of a message that no fault may lose or double.");
        }
        fs::write(self.message(), text)
    }

    /// Fills the maildrop. `special` is a line that each message has in its middle.
    pub(super) fn write_maildrop(&self, date: &str, special: Option<&str>) -> io::Result<()> {
        let mut mbox = String::new();
        for number in 1..=MESSAGES {
            let special = special.map(|line| format!("{line}\n")).unwrap_or_default();
            let mark = &self.mark;
            let _ = write!(
                mbox,
                "From check@localhost Mon Jan  6 12:00:00 2025\n{}\nFrom: <check@localhost>\n\
                 To: <{USER}@localhost>\nDate: {date}\nMessage-ID: <{number}.{mark}@localhost>\n\n",
                self.first_line(number)
            );
            for line in 1..=5 * number {
                let _ = writeln!(mbox, "Line {line} of message {number}.");
            }
            let _ = write!(mbox, "{special}Behind the middle.\n{}\n\n", self.last_line(number));
        }
        fs::write(self.mail().join(format!("{USER}.mbox")), mbox)
    }

    fn first_line(&self, number: usize) -> String {
        format!("Subject: begin-{number}-{}", self.mark)
    }

    fn last_line(&self, number: usize) -> String {
        format!("end-{number}-{}", self.mark)
    }

    /// The messages in the mailboxes.
    pub(super) fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        for path in files(&self.mail()).into_iter().filter(|path| is_mailbox(path)) {
            let mailbox = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = read(&path)?;
            let text = String::from_utf8_lossy(&text);
            let mut is_behind_blank = true;
            let mut is_header = false;
            for line in text.lines() {
                if is_behind_blank && line.starts_with("From ") {
                    stored.push(Stored { mailbox: mailbox.clone(), message_id: None });
                    is_header = true;
                }
                is_behind_blank = line.is_empty();
                is_header &= !is_behind_blank;
                let id = line
                    .split_once(':')
                    .filter(|(name, _)| is_header && name.eq_ignore_ascii_case("message-id"));
                if let Some(((_, id), last)) = id.zip(stored.last_mut()) {
                    last.message_id = Some(id.trim().to_owned());
                }
            }
        }
        Ok(stored)
    }

    /// The numbers of the messages that are still in the maildrop.
    pub(super) fn left(&self) -> io::Result<Vec<usize>> {
        let text = read(&self.mail().join(format!("{USER}.mbox")))?;
        let is_there = |number: &usize| times(&text, &self.first_line(*number)) > 0;
        Ok((1..=MESSAGES).filter(is_there).collect())
    }

    /// What of each message was delivered so far: into the folder, or printed.
    pub(super) fn delivered(&self) -> io::Result<Vec<Delivered>> {
        let mut delivered = vec![Delivered::default(); MESSAGES];
        let printed = fs::read_dir(self.directory.path())?.flatten().map(|entry| entry.path());
        let printed = printed.filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("printed"))
        });
        for path in files(&self.out()).into_iter().chain(printed) {
            // What cannot be read was not delivered.
            let Ok(text) = read(&path) else { continue };
            for (number, delivered) in (1..).zip(&mut delivered) {
                delivered.begun += times(&text, &self.first_line(number));
                delivered.ended += times(&text, &self.last_line(number));
            }
        }
        Ok(delivered)
    }
}

fn is_mailbox(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "mbox")
}

/// The files below a folder. What lies in a maildir's `tmp` is not delivered yet.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && entry.file_name() != "tmp" {
                folders.push(entry.path());
            } else if kind.is_file() && files.len() < FILES_MOST {
                files.insert(entry.path());
            }
        }
    }
    files.into_iter().collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_MOST).read_to_end(&mut text)?;
    Ok(text)
}

fn times(text: &[u8], line: &str) -> usize {
    memchr::memmem::find_iter(text, line).count()
}
