//! What a row of the table of settings says.

use std::ffi::OsString;

use crate::console::setting::value::{Shape, Written};
use crate::servers::settings::SettingName;

/// What the table says of a setting.
#[derive(Debug)]
pub struct Row {
    /// `smtp-port`: the option `--smtp-port`, the key `smtp-port` of the config file and the variable
    /// `MAILCONSOLE_SMTP_PORT` of the environment.
    pub name: &'static str,
    /// The option of one letter, if there is one.
    pub short: Option<char>,
    /// What stands for a value in help; nothing for switches.
    pub value: &'static str,
    /// What holds when it is not set.
    pub default: DefaultValue,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// More of it, for the long help.
    pub more: &'static str,
    /// A value for the sample of the config file, as the file has it, where there is no default.
    pub example: &'static str,
    /// What `-h` says of it, in half a line, where it has it: what beginners need.
    pub brief: &'static str,
    /// Under which heading it is listed.
    pub group: Group,
    /// The sub-commands that read it. All others take it, and do nothing with it.
    pub commands: &'static [SubCommand],
    /// Where it can be set besides the command line.
    pub places: Places,
    /// From when on a change holds.
    pub acts: Acts,
    /// How many values it takes.
    pub shape: Shape,
    /// Whether a value may begin with `-`, which elsewhere begins an option.
    pub may_begin_with_hyphen: bool,
    /// Whether a value may hold a password. Errors then do not repeat it.
    pub holds_password: bool,
    /// How the config file may have a value.
    pub written: Written,
    /// What a user must write, to stand behind "write".
    pub expected: &'static str,
    /// Says what is wrong with values, if anything is.
    pub check: fn(&[OsString]) -> Result<(), String>,
}

/// What holds when a setting is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing that help could name.
    None,
    /// This value, as a user would write it.
    Is(&'static str),
    /// What these words say.
    Says(&'static str),
}

/// A heading of the help, in the order of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[expect(missing_docs, reason = "they are the headings")]
pub enum Group {
    Mailboxes,
    Listening,
    Profile,
    Limits,
    Faults,
    Relay,
    Screen,
    Service,
    General,
}

/// A sub-command. Without one, the program runs all servers, on the console or without a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "they are called what the user types")]
pub enum SubCommand {
    Echo,
    Smtp,
    Pop3,
    Relay,
    Queue,
    Check,
    Init,
    Ca,
    Demo,
    Status,
    Stop,
    Events,
    Exec,
    Send,
    Config,
    Messages,
    Show,
    Wait,
    Mark,
    Assert,
    Clear,
    Fault,
    Held,
}

/// Where a setting can be set besides the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// In the environment and in the config file.
    All,
    /// In the environment only.
    Environment,
    /// In the config file only.
    File,
    /// Nowhere else.
    None,
}

impl Places {
    /// Whether an environment variable sets it.
    #[must_use]
    pub const fn has_environment(self) -> bool {
        matches!(self, Self::All | Self::Environment)
    }

    /// Whether the config file may set it.
    #[must_use]
    pub const fn has_file(self) -> bool {
        matches!(self, Self::All | Self::File)
    }
}

/// From when on a change of a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    /// It is read when the program starts.
    AtStart,
    /// `S` and `:set` change it while the servers run.
    WhileRunning {
        /// Which of the servers' settings it is.
        setting: SettingName,
        /// What the screen calls it in a sentence.
        title: &'static str,
        /// What can be typed.
        typed: &'static str,
    },
}

impl Row {
    /// The values, where there are only a few and each is a word: `off`, `offered`, `required`.
    #[must_use]
    pub fn choices(&self) -> Vec<&'static str> {
        let words: Vec<&str> =
            self.expected.split(", ").flat_map(|part| part.split(" or ")).collect();
        let is_one = |word: &&str| {
            let is_word =
                |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
            word.bytes().all(is_word) && (self.check)(&[OsString::from(word)]).is_ok()
        };
        if words.len() > 1 && words.iter().all(is_one) { words } else { Vec::new() }
    }

    /// A row that says nothing yet. What most settings share stays as it is here.
    pub const USUAL: Self = Self {
        name: "",
        short: None,
        value: "",
        default: DefaultValue::None,
        help: "",
        more: "",
        example: "",
        brief: "",
        group: Group::General,
        commands: &[],
        places: Places::All,
        acts: Acts::AtStart,
        shape: Shape::One,
        may_begin_with_hyphen: false,
        holds_password: false,
        written: Written::Text,
        expected: "",
        check: |_| Ok(()),
    };

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MAILCONSOLE_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether a sub-command reads it. `exec` runs all servers, and so reads what any of them does,
    /// but for when they end: that is when its command does.
    #[must_use]
    pub fn is_read_by(&self, command: SubCommand) -> bool {
        const SERVERS: [SubCommand; 3] = [SubCommand::Echo, SubCommand::Smtp, SubCommand::Pop3];
        const PORTS: [&str; 3] = ["echo-port", "smtp-port", "pop3-port"];
        let has = |one| self.commands.contains(&one);
        match command {
            SubCommand::Exec if self.name == "exit-when-idle" => false,
            SubCommand::Exec => {
                has(command) || SERVERS.into_iter().any(has) || PORTS.contains(&self.name)
            }
            _ => has(command),
        }
    }

    /// The help, with the default behind it.
    #[must_use]
    pub fn help_with_default(&self) -> String {
        let help = self.help.trim_start();
        match self.default {
            DefaultValue::None => help.to_owned(),
            DefaultValue::Is(default) | DefaultValue::Says(default) => {
                format!("{help} [default: {default}]")
            }
        }
    }
}
