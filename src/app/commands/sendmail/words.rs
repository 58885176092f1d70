//! The words of sendmail's command line, which has a grammar of its own: `-oi`, `-fada@x` and
//! `-f ada@x`, `-ti`, and options behind recipients.

use std::ffi::OsString;

/// Options that have a value, glued or as the next word: of sendmail, Postfix and Exim. Those that
/// mean something here are read by [`Order::value`].
const WITH_VALUE: &str = "AbBCDeFfhLMNoOpQrRVX";

/// Options with a value that may be missing: only what looks like one is taken from the next word.
const WITH_VALUE_OR_NOT: &str = "dq";

/// The task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What stdin has.
    pub mode: Mode,
    /// `-t`: recipients are taken from the header too.
    pub takes_header: bool,
    /// `-i`: a line with only a dot is part of the message.
    pub dots_stand: bool,
    /// `-f`.
    pub sender: Option<String>,
    /// `-F`.
    pub name: Option<String>,
    /// `-v`.
    pub is_verbose: bool,
    /// `--smtp`.
    pub smtp: Option<String>,
    /// The recipients that are named.
    pub recipients: Vec<String>,
}

/// What stdin has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// A message.
    #[default]
    Message,
    /// `-bs`: commands of SMTP.
    Smtp,
}

impl Order {
    /// Reads the words. Options that are unknown are ignored.
    ///
    /// # Errors
    ///
    /// A sentence about an option without its value, or a mode that there is not.
    pub fn read(words: &[OsString]) -> Result<Self, String> {
        let mut order = Self::default();
        let mut words = words.iter().map(|word| word.to_string_lossy().into_owned()).peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                order.recipients.extend(words.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                order.long(long, &mut words)?;
            } else if let Some(letters) = word.strip_prefix('-') {
                let next = words.peek().cloned();
                if order.letters(letters, next)? == Taken::NextWord {
                    words.next();
                }
            } else {
                order.recipients.push(word);
            }
        }
        Ok(order)
    }

    fn long(&mut self, word: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        match word.split_once('=') {
            Some(("smtp", value)) => self.smtp = Some(value.to_owned()),
            None if word == "smtp" => {
                self.smtp = Some(rest.next().ok_or("--smtp wants HOST:PORT")?);
            }
            _ => {}
        }
        Ok(())
    }

    fn letters(&mut self, letters: &str, next: Option<String>) -> Result<Taken, String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let glued = rest.as_str();
            if WITH_VALUE.contains(letter) {
                let (value, taken) = match (glued, next) {
                    ("", Some(next)) => (next, Taken::NextWord),
                    ("", None) => return Err(format!("-{letter} wants a value")),
                    (glued, _) => (glued.to_owned(), Taken::Nothing),
                };
                return self.value(letter, value).map(|()| taken);
            }
            if WITH_VALUE_OR_NOT.contains(letter) {
                let is_its = glued.is_empty() && next.as_deref().is_some_and(is_number);
                return Ok(if is_its { Taken::NextWord } else { Taken::Nothing });
            }
            match letter {
                't' => self.takes_header = true,
                'i' => self.dots_stand = true,
                'v' => self.is_verbose = true,
                _ => {}
            }
        }
        Ok(Taken::Nothing)
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), String> {
        match (letter, value.as_str()) {
            ('f' | 'r', _) => self.sender = Some(value),
            ('F', _) => self.name = Some(value),
            ('o', "i") | ('O', "IgnoreDots" | "IgnoreDots=true" | "IgnoreDots=True") => {
                self.dots_stand = true;
            }
            ('b', "s") => self.mode = Mode::Smtp,
            ('b', "m") => self.mode = Mode::Message,
            ('b', mode) => return Err(format!("there is no -b{mode} here: only -bm and -bs")),
            _ => {}
        }
        Ok(())
    }
}

/// Whether the next word is used up.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Nothing,
    NextWord,
}

/// A debug level such as `0-99.1`, a queue interval such as `1h30m`; a recipient is neither.
fn is_number(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || "-.smhdw".contains(c);
    word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        Order::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn programs_call_it_in_their_ways() {
        let order = |line: &str| read(line).unwrap();
        let of = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        // PHP's default, with mail()'s fifth argument.
        let php = order("-t -i -fweb@x");
        assert!(php.takes_header && php.dots_stand);
        assert_eq!(php.sender.as_deref(), Some("web@x"));
        // Debian's cron, and that of Vixie.
        let cron = order("-i -FCronDaemon -B8BITMIME -oem root");
        assert_eq!((cron.name.as_deref(), cron.recipients), (Some("CronDaemon"), of(&["root"])));
        assert_eq!(order("-FCronDaemon -odi -oem -oi -t").recipients, of(&[]));
        // git send-email, with and without an envelope sender.
        let git = order("-f a@x -i b@x c@x");
        assert_eq!((git.sender.as_deref(), git.recipients), (Some("a@x"), of(&["b@x", "c@x"])));
        // Debian's reportbug, and mutt with its dsn_notify and use_envelope_from.
        assert!(order("-oi -t -oem").takes_header);
        let mutt = order("-oem -oi -f a@x -N failure -R hdrs -B 8BITMIME -- b@x -c@x");
        assert_eq!((mutt.sender.as_deref(), mutt.recipients), (Some("a@x"), of(&["b@x", "-c@x"])));
        // heirloom mailx.
        let mailx = order("-i -r a@x b@x");
        assert_eq!((mailx.sender.as_deref(), mailx.recipients), (Some("a@x"), of(&["b@x"])));
    }

    #[test]
    fn values_are_skipped_glued_or_not() {
        let many = "-B 7BIT -C /etc/x.cf -d 0-99.1 -h 3 -N never -O A=b -oA -o em -p ESMTP:x -q 30m \
                    -R full -V id -X /tmp/log -L tag -Ac -M id -q -d b@x -q1h -bm -G -U -n";
        assert_eq!(read(many).unwrap().recipients, ["b@x"]);
        let order = read("b@x -tif a@x --frobnicate - -Z --smtp=h:25").unwrap();
        assert_eq!((order.recipients.len(), order.sender.as_deref()), (1, Some("a@x")));
        assert_eq!(order.smtp.as_deref(), Some("h:25"));
        assert!(order.takes_header && order.dots_stand);
    }

    #[test]
    fn what_is_missing_or_not_there_is_said() {
        assert_eq!(read("-t -f").unwrap_err(), "-f wants a value");
        assert_eq!(read("-bp").unwrap_err(), "there is no -bp here: only -bm and -bs");
        assert_eq!(read("-bs").unwrap().mode, Mode::Smtp);
        let null: Vec<OsString> = ["-f", "", "b@x"].map(OsString::from).to_vec();
        assert_eq!(Order::read(&null).unwrap().sender.as_deref(), Some(""));
    }
}
