//! The command line: the table of commands that can be typed after `:`, with what each does, the
//! argument that it takes and how that is completed. Every name in the table of keys is a command
//! too.

use std::path::PathBuf;

use crate::console::action::{Action, Command, Context, Pane};
use crate::console::keys::{Binding, named};
use crate::console::setting;
use crate::console::state::appearance::Palette;
use crate::console::state::listed::{OF_CONNECTIONS, OF_MESSAGES, OF_QUEUE};
use crate::console::state::overlay::Question;
use crate::console::state::rows::QueueRow;
use crate::console::state::{State, fault, filter, strip};
use crate::mailroom::MailroomRequest;
use crate::relay::orders::{Order, QueueTarget};
use crate::servers::settings::SettingName;
use crate::servers::supervisor::{Change, ServerOrder};
use crate::watch::event::{ConnectionName, Service};

/// The name that `:sort` uses for a list's own order.
pub(super) const NO_ORDER: &str = "none";

/// Runs a command with the text after its name. The error is a sentence that says what is wrong
/// with that text.
type Run = fn(&mut State, &str) -> Result<Option<Command>, String>;

/// Completes an argument, given what is typed of it so far: each candidate with a description.
type Complete = fn(&State, &str) -> Vec<(String, String)>;

/// What a command does when it is typed without an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// The same as its key.
    Key,
    /// It runs with an empty argument.
    Runs,
    /// It asks for the argument, and does nothing.
    Refuses,
}

/// A row of the table of commands.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// The name of the command.
    pub name: &'static str,
    /// Other names for it: words from other programs, and words that a user might guess.
    other_names: &'static [&'static str],
    /// The name of the binding in the table of keys that does the same; empty if no key does.
    key: &'static str,
    argument: Option<Argument>,
    alone: Alone,
    /// Whether the effect can be seen in a popup, which then stays open.
    keeps_popup: bool,
    /// A line for the list above the command line and for the manual page.
    pub help: &'static str,
}

/// The argument of a command.
#[derive(Debug, Clone, Copy)]
struct Argument {
    /// Its name in the manual page.
    name: &'static str,
    run: Run,
    complete: Complete,
}

impl Verb {
    /// A command without an argument, which does the same as a key.
    const fn key(name: &'static str, key: &'static str, help: &'static str) -> Self {
        let (other_names, argument) = (&[] as &[_], None);
        Self { name, other_names, key, argument, alone: Alone::Key, keeps_popup: false, help }
    }

    /// A command with an argument.
    const fn with(
        name: &'static str,
        argument: &'static str,
        run: Run,
        complete: Complete,
        help: &'static str,
    ) -> Self {
        Self {
            argument: Some(Argument { name: argument, run, complete }),
            alone: Alone::Refuses,
            ..Self::key(name, "", help)
        }
    }

    /// The same command, which without an argument does the same as this key.
    const fn or_key(self, key: &'static str) -> Self {
        Self { key, alone: Alone::Key, ..self }
    }

    /// The same command, whose argument can be left out.
    const fn or_nothing(self) -> Self {
        Self { key: self.name, alone: Alone::Runs, ..self }
    }

    /// The same command, for a server or a setting. In the servers' popup the keys with these names
    /// act on the selected server; the command does not.
    const fn of_servers(self) -> Self {
        Self { key: self.name, keeps_popup: true, ..self }
    }

    /// The same command, for faults. Their popup stays open.
    const fn of_faults(self) -> Self {
        Self { keeps_popup: true, ..self }
    }

    const fn or(self, other_names: &'static [&'static str]) -> Self {
        Self { other_names, ..self }
    }

    /// The argument as the manual page shows it; empty if the command takes none.
    #[must_use]
    pub const fn argument(&self) -> &'static str {
        match self.argument {
            Some(argument) => argument.name,
            None => "",
        }
    }

    /// The completions of the argument, given what is typed of it so far.
    pub(super) fn completed(&self, state: &State, so_far: &str) -> Vec<(String, String)> {
        self.argument.map_or_else(Vec::new, |argument| (argument.complete)(state, so_far))
    }

    /// The binding in the table of keys that does the same, if there is one.
    pub(super) fn binding(&self) -> Option<&'static Binding> {
        named(self.key)
    }

    /// Whether this is one of its names; the name of its key in the config file is one too.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let is_key = !self.key.is_empty() && self.key == name;
        self.name == name || is_key || self.other_names.contains(&name)
    }
}

/// The commands that take an argument, sorted by name.
pub fn with_arguments() -> impl Iterator<Item = &'static Verb> {
    VERBS.iter().filter(|verb| verb.argument.is_some())
}

const ENTRIES: &str = "ROW|ID|ADDRESS|marked|shown|all";
const CONNECTION: &str = "N|#N";
const SERVER: &str = "smtp|pop3|echo";

/// The commands, sorted by name. In addition, each name in the table of keys is a command.
#[rustfmt::skip]
pub(super) const VERBS: &[Verb] = &[
    Verb::key("all", "all-connections", "show the lines of all connections again"),
    Verb::key("answer-held", "answer-held", "answer by hand instead of what is held"),
    Verb::key("attachments", "attachments", "save attachments of the open message"),
    Verb::key("back", "back", "go back: close what is open, clear the filter"),
    Verb::key("bodies", "bodies", "show or hide message text in the transcript"),
    Verb::with("break", "POINT", State::add_breakpoint, |_, so_far| strip::so_far(so_far), "hold conversations at a point: smtp.rcpt, or smtp.rcpt! for the reply; list the points without POINT").or_nothing(),
    Verb::key("break-here", "break-here", "hold conversations at the point of the selected line"),
    Verb::key("breakpoints", "breakpoints", "switch all breakpoints on or off"),
    Verb::key("browser", "browser", "open the HTML of the message in the browser"),
    Verb::with("clear", "NAME", State::ask_to_clear, State::mailbox_names, "delete all messages of a mailbox (asks first)"),
    Verb::with("close", CONNECTION, State::ask_to_close_number, State::open_connections, "close the connection [N], or #N (asks first)").or_key("close-connection"),
    Verb::key("compose", "compose", "write a test message and send it through the SMTP server"),
    Verb::key("connections", "connections", "go to the connections"),
    Verb::key("copy", "copy-line", "copy the selected line"),
    Verb::key("copy-all", "copy-connection", "copy the whole conversation of a connection"),
    Verb::key("delete", "delete-message", "delete messages (asks first)"),
    Verb::key("details", "details", "show a queue entry in full, with every attempt"),
    Verb::with("drop", ENTRIES, State::ask_to_drop_named, State::entries, "drop entries of the relay queue (asks first)").or_key("drop"),
    Verb::key("drop-held", "drop-held", "drop what is held: a command is not seen, a reply not sent"),
    Verb::key("edit-held", "edit-held", "edit what is held before it goes on"),
    Verb::with("fault", "RULE", |_, rule| fault::add(rule), |_, so_far| fault::so_far(so_far), "play a fault on purpose: a rule, or a scenario's name").or_key("faults").of_faults(),
    Verb::key("fault-hits", "fault-hits", "show the hits of the selected fault in the transcript"),
    Verb::key("fault-remove", "fault-remove", "remove the selected fault (asks first)").of_faults(),
    Verb::key("fault-reset", "fault-reset", "set the counters of the selected fault back").of_faults(),
    Verb::key("fault-switch", "fault-switch", "switch the selected fault on or off").of_faults(),
    Verb::key("faults", "faults", "list the faults that are played on purpose").of_faults(),
    Verb::with("filter", "TEXT", State::filter_transcript, |_, so_far| filters_so_far(so_far), "show only the transcript lines that have it; all without TEXT").or_nothing(),
    Verb::key("find-next", "find-next", "go to the next match"),
    Verb::key("find-previous", "find-previous", "go to the previous match"),
    Verb::key("first-steps", "first-steps", "show how to begin, and how to set up Thunderbird"),
    Verb::key("follow", "follow", "keep the newest line in view"),
    Verb::key("headers", "all-headers", "show all header fields of a message, or the usual ones"),
    Verb::key("held", "held", "go to what is held at breakpoints"),
    Verb::key("help", "help", "list the keys of this pane").or(&["h"]),
    Verb::with("hold", ENTRIES, |state, which| state.order(Order::Hold, which), State::entries, "hold entries of the relay queue").or_key("hold"),
    Verb::key("kill-held", "kill-held", "close the connection of what is held"),
    Verb::key("let-all-go", "let-all-go", "let go all that is held"),
    Verb::key("let-go", "let-go", "let go what is held"),
    Verb::key("log", "log", "go to the program's own log"),
    Verb::key("mailboxes", "mailboxes", "go to the mailboxes"),
    Verb::key("mark", "mark-entry", "mark a message or a queue entry for what is done next"),
    Verb::key("mark-all", "mark-all-entries", "mark all that are shown"),
    Verb::key("mouse", "mouse", "take the mouse, or leave it to the terminal to select text"),
    Verb::with("new-mailbox", "NAME", |_, name| Ok(Some(Command::MailroomRequest(MailroomRequest::Create(name.to_owned())))), |_, _| Vec::new(), "make a mailbox").or_key("new-mailbox"),
    Verb::key("next", "next-message", "show the next message"),
    Verb::key("next-pane", "next-pane", "go to the next pane"),
    Verb::with("only", CONNECTION, State::narrow_to_number, State::open_connections, "narrow the transcript to the connection [N], or #N").or_key("only-this"),
    Verb::with("open", "NAME", State::open_named, State::mailbox_names, "list the messages of a mailbox").or_key("open"),
    Verb::key("passwords", "passwords", "show or mask passwords"),
    Verb::key("pause", "pause", "pause the transcript, or continue").or(&["resume"]),
    Verb::key("previous", "previous-message", "show the previous message"),
    Verb::key("previous-pane", "previous-pane", "go to the previous pane"),
    Verb::key("queue", "queue", "go to the relay queue"),
    Verb::key("quit", "quit", "quit the program (asks if something is under way)").or(&["q", "exit"]),
    Verb::key("quit-now", "quit-now", "quit the program without asking").or(&["q!"]),
    Verb::key("raw", "raw", "show a message as text, as HTML, or raw"),
    Verb::key("read", "open-message", "open the selected message"),
    Verb::key("redraw", "redraw", "redraw the screen"),
    Verb::with("release", ENTRIES, |state, which| state.order(Order::Release, which), State::entries, "release entries that are held").or_key("hold"),
    Verb::with("restart", SERVER, |state, name| state.server(Change::Restart, name), |_, _| server_names(), "stop a server and start it again").of_servers(),
    Verb::with("retry", ENTRIES, |state, which| state.order(Order::Retry, which), State::entries, "try entries of the relay queue now").or_key("retry"),
    Verb::key("retry-all", "retry-all", "run the relay now: try everything that waits").or(&["relay", "run"]),
    Verb::with("save", "FILE", |_, file| Ok(Some(Command::Save(Some(PathBuf::from(file))))), |_, _| Vec::new(), "save the shown transcript lines").or_key("save"),
    Verb::key("save-message", "save-message", "save messages as .eml files"),
    Verb::key("servers", "servers", "start and stop servers, and change settings"),
    Verb::with("set", "SETTING VALUE", |_, argument| set(argument), State::settings_so_far, "change a setting while the servers run").of_servers(),
    Verb::with("sort", "ORDER", State::sort_by, State::orders, "show the list that has the keys in another order, or in its own (none)").or_key("sort-queue"),
    Verb::key("stamps", "stamps", "show other time stamps, or none"),
    Verb::with("start", SERVER, |state, name| state.server(Change::Start, name), |_, _| server_names(), "start a server").of_servers(),
    Verb::with("stop", SERVER, |state, name| state.server(Change::Stop, name), |_, _| server_names(), "stop a server").of_servers(),
    Verb::key("suspend", "suspend", "suspend the program and return to the shell"),
    Verb::with("theme", "dark|light|high-contrast|none", State::choose_theme, |_, _| theme_names(), "choose the colours").or_key("theme"),
    Verb::key("tiles", "tiles", "show a tile for each of the newest connections"),
    Verb::key("transcript", "transcript", "go to the transcript"),
    Verb::with("unbreak", "POINT|all", State::remove_breakpoint, State::breakpoints_there, "hold conversations there no longer"),
    Verb::key("view", "view-queued", "read the message of a queue entry"),
    Verb::key("wire", "wire", "show line ends and reads as they were on the wire"),
    Verb::key("wrap", "wrap", "wrap long lines, or cut them"),
    Verb::key("zoom", "zoom", "give the whole screen to one pane, or take it back"),
];

/// The command with this name, or the one whose key has this name in the config file.
pub(super) fn verb(name: &str) -> Option<&'static Verb> {
    let by_name = VERBS.iter().find(|verb| verb.name == name);
    by_name.or_else(|| VERBS.iter().find(|verb| verb.other_names.contains(&name)))
}

impl State {
    /// Runs a command line. The error is a sentence that says what is wrong with the line.
    pub(super) fn obey(&mut self, line: &str) -> Result<Option<Command>, String> {
        let (name, argument) = split(line);
        let argument = argument.trim();
        let verb = verb(name);
        let takes = verb.and_then(|verb| verb.argument);
        let runs_alone = verb.is_some_and(|verb| verb.alone == Alone::Runs);
        match (verb, takes) {
            (_, Some(takes)) if !argument.is_empty() || runs_alone => (takes.run)(self, argument),
            (Some(verb), _) if verb.alone == Alone::Refuses => {
                Err(format!("Missing argument: {name} {}", verb.argument()))
            }
            _ => match verb.map_or_else(|| named(name), Verb::binding) {
                Some(binding) if argument.is_empty() => Ok(self.update(binding.action)),
                Some(_) => Err(format!("{name} takes no argument.")),
                None => Err(format!("There is no command {name}: the list shows what there is.")),
            },
        }
    }

    fn ask_to_drop_named(&mut self, which: &str) -> Result<Option<Command>, String> {
        let targets = self.entries_named(which)?;
        self.ask(Question::Drop(targets));
        Ok(None)
    }

    fn filter_transcript(&mut self, text: &str) -> Result<Option<Command>, String> {
        self.set_filter(Context::Pane(Pane::Transcript), text)?;
        Ok(None)
    }

    fn choose_theme(&mut self, name: &str) -> Result<Option<Command>, String> {
        self.palette = name.parse()?;
        Ok(None)
    }

    fn ask_to_close_number(&mut self, number: &str) -> Result<Option<Command>, String> {
        let name = self.open_connection(number)?;
        self.ask(Question::Close(name));
        Ok(None)
    }

    fn narrow_to_number(&mut self, number: &str) -> Result<Option<Command>, String> {
        let rows = self.connections.items().iter();
        let found = rows.map(|row| row.name).find(|name| is_named(number, *name));
        let name = found.ok_or_else(|| format!("There is no connection {}.", called(number)))?;
        self.tiled = false;
        self.transcript.narrow(Some(name));
        Ok(None)
    }

    fn open_connection(&self, number: &str) -> Result<ConnectionName, String> {
        let open = self.connections.items().iter().filter(|row| row.closed.is_none());
        let mut names = open.map(|row| row.name);
        let found = names.find(|name| is_named(number, *name));
        found.ok_or_else(|| format!("No connection {} is open.", called(number)))
    }

    /// A recipient in the queue, given by its row (counted from 1), by the end of its entry's id,
    /// or by its address.
    fn entry(&self, which: &str) -> Result<QueueRow, String> {
        let rows = self.queue.items();
        let by_row = which.parse::<usize>().ok().and_then(|n| rows.get(n.checked_sub(1)?));
        let found = by_row.or_else(|| {
            let is_meant = |row: &&QueueRow| {
                row.id.as_str().ends_with(which) || row.recipient.as_str() == which
            };
            rows.iter().find(is_meant)
        });
        found.cloned().ok_or_else(|| format!("There is no entry {which} in the relay queue."))
    }

    /// The recipients that an argument names: the marked ones, the shown ones, all, or a single
    /// one.
    fn entries_named(&self, which: &str) -> Result<Vec<QueueTarget>, String> {
        let targets: Vec<QueueTarget> = match which {
            "marked" if self.queue.marked() == 0 => Vec::new(),
            "marked" => self.queue.meant().iter().map(|row| row.target.clone()).collect(),
            "shown" => self.queue.shown().map(|row| row.target.clone()).collect(),
            "all" => self.queue.items().iter().map(|row| row.target.clone()).collect(),
            one => vec![self.entry(one)?.target],
        };
        if targets.is_empty() {
            return Err(match which {
                "marked" => "No entry of the relay queue is marked.".to_owned(),
                _ => "There is no entry in the relay queue.".to_owned(),
            });
        }
        Ok(targets)
    }

    fn order(&mut self, order: Order, which: &str) -> Result<Option<Command>, String> {
        let targets = self.entries_named(which)?;
        Ok(self.give(order, targets))
    }

    fn ask_to_clear(&mut self, name: &str) -> Result<Option<Command>, String> {
        let mut rows = self.mailboxes.items().iter();
        let row = rows.find(|row| row.name.as_str() == name);
        let row = row.ok_or_else(|| format!("There is no mailbox {name}."))?;
        if row.is_queue() {
            return Err("mqueue is the relay queue: drop all empties it.".to_owned());
        }
        match row.messages {
            None => Err(format!("{name} cannot be read, so that it cannot be cleared.")),
            Some(0) => Err(format!("{name} has no message.")),
            Some(messages) => {
                let mailbox = row.name.clone();
                self.ask(Question::Clear { mailbox, messages });
                Ok(None)
            }
        }
    }

    /// Shows the focused list in the order with this name.
    fn sort_by(&mut self, name: &str) -> Result<Option<Command>, String> {
        let names = self.order_names();
        let order = match names.iter().position(|one| *one == name) {
            _ if names.is_empty() => return Err("This pane has no list to sort.".to_owned()),
            None if name != NO_ORDER => {
                let names = names.join(", ");
                return Err(format!("There is no order {name}: there are {names}, {NO_ORDER}."));
            }
            order => order,
        };
        match self.context() {
            Context::Pane(Pane::Connections) => self.connections.show_in(order),
            Context::Pane(Pane::Queue) => self.queue.show_in(order),
            _ => {
                if let Some(messages) = self.reader.messages_mut() {
                    messages.show_in(order);
                }
            }
        }
        Ok(None)
    }

    /// The names of the focused list's sort orders.
    pub(super) fn order_names(&self) -> Vec<&'static str> {
        match self.context() {
            Context::Pane(Pane::Connections) => OF_CONNECTIONS.iter().map(|o| o.name).collect(),
            Context::Pane(Pane::Queue) => OF_QUEUE.iter().map(|order| order.name).collect(),
            Context::Messages => OF_MESSAGES.iter().map(|order| order.name).collect(),
            _ => Vec::new(),
        }
    }

    fn open_named(&mut self, name: &str) -> Result<Option<Command>, String> {
        let rows = self.mailboxes.items();
        if !rows.iter().any(|row| row.name.as_str() == name) {
            return Err(format!("There is no mailbox {name}: new-mailbox {name} creates one."));
        }
        self.update(Action::Focus(Pane::Mailboxes));
        Ok(Some(Command::MailroomRequest(self.reader.open(name.to_owned()))))
    }

    /// The completions of a command line, each as the whole line, in the order of
    /// [`State::offers`].
    #[must_use]
    pub fn candidates(&self, line: &str) -> Vec<String> {
        self.offers(line).into_iter().map(|offer| offer.line).collect()
    }

    fn server(&mut self, what: Change, name: &str) -> Result<Option<Command>, String> {
        let found = SERVERS.into_iter().find(|service| service.name() == name);
        let service =
            found.ok_or_else(|| format!("There is no server {name}: type smtp, pop3 or echo."))?;
        Ok(self.give_order(ServerOrder { service, what }))
    }
}

fn theme_names() -> Vec<(String, String)> {
    Palette::ALL.iter().map(|palette| alone(palette.name())).collect()
}

fn server_names() -> Vec<(String, String)> {
    SERVERS.map(|service| alone(service.name())).to_vec()
}

/// Completions of a filter, besides text that the user makes up.
fn filters_so_far(so_far: &str) -> Vec<(String, String)> {
    let before = so_far.rfind(' ').map_or("", |blank| so_far.split_at(blank + 1).0);
    let services = [Service::Smtp, Service::Pop3, Service::Echo, Service::Relay];
    let services = services.map(|service| format!("{before}@{service}"));
    let sides = ["C:", "S:"].map(|side| format!("{before}{side}"));
    services.into_iter().chain(sides).map(|words| alone(&words)).collect()
}

/// A completion without a description.
pub(super) fn alone(word: &str) -> (String, String) {
    (word.to_owned(), String::new())
}

/// The servers that can be started and stopped.
const SERVERS: [Service; 3] = [Service::Smtp, Service::Pop3, Service::Echo];

/// Splits a line into its first word and the rest.
pub(super) fn split(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    (name, argument.trim_start())
}

/// Whether the effect of a command line can be seen in a popup.
#[must_use]
pub fn keeps_popup(line: &str) -> bool {
    verb(split(line).0).is_some_and(|verb| verb.keeps_popup)
}

/// Whether `12`, `[12]`, or the session `#12` names this connection.
fn is_named(typed: &str, name: ConnectionName) -> bool {
    match filter::session(typed) {
        Some(session) => session == name.id,
        None => bare(typed).parse() == Ok(name.number),
    }
}

fn bare(typed: &str) -> &str {
    typed.trim_start_matches('[').trim_end_matches(']')
}

/// Writes a connection as the screen does: `[12]`, or `#12` for a session.
fn called(typed: &str) -> String {
    if typed.starts_with('#') { typed.to_owned() } else { format!("[{}]", bare(typed)) }
}

fn set(argument: &str) -> Result<Option<Command>, String> {
    let (name, value) = argument.split_once([' ', '=']).unwrap_or((argument, ""));
    let found = SettingName::ALL.into_iter().find(|setting| setting.name() == name);
    let found = found.ok_or_else(|| {
        let names = SettingName::ALL.map(SettingName::name).join(", ");
        format!("There is no setting {name}: there are {names}.")
    })?;
    setting::read(found, value).map(|setting| Some(Command::Set(setting)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::state::tests::{queued, with_connections};
    use crate::relay::postmaster::Request;
    use crate::store::overview::Overview;
    use std::time::SystemTime;

    fn with_queue() -> State {
        let mut state = with_connections(12);
        let entry = |recipient| queued(recipient, SystemTime::UNIX_EPOCH, None);
        let queue = vec![entry("a@x.example"), entry("b@x.example"), entry("c@x.example")];
        state.overview_is(&Overview { mailboxes: vec![], queue });
        state
    }

    fn retried(state: &mut State, line: &str) -> String {
        match state.obey(line) {
            Ok(Some(Command::Relay(Request::Give(Order::Retry, target)))) => {
                target.recipient.unwrap_or_default()
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn an_entry_is_named_by_its_row_or_its_address() {
        let mut state = with_queue();
        assert_eq!(retried(&mut state, "retry 3"), "c@x.example");
        assert_eq!(retried(&mut state, "  retry   b@x.example "), "b@x.example");
        assert_eq!(state.obey("retry 4"), Err("There is no entry 4 in the relay queue.".into()));
        assert_eq!(state.obey("retry 0").unwrap_err(), "There is no entry 0 in the relay queue.");
    }

    #[test]
    fn a_connection_is_closed_by_its_number_after_a_question() {
        let mut state = with_queue();
        assert_eq!(state.obey("close 12"), Ok(None));
        assert_eq!(
            state.update(Action::Answer(crate::console::action::Answer::Yes)),
            Some(Command::Close(12))
        );
        assert_eq!(state.obey("close 13"), Err("No connection [13] is open.".into()));
        assert_eq!(state.obey("close #13"), Err("No connection #13 is open.".into()));
        assert_eq!(state.obey("close #3"), Ok(None));
        assert_eq!(
            state.update(Action::Answer(crate::console::action::Answer::Yes)),
            Some(Command::Close(3))
        );
    }

    #[test]
    fn whatever_a_key_does_can_be_said() {
        let mut state = with_queue();
        assert_eq!(state.obey("zoom"), Ok(None));
        assert!(state.zoomed);
        assert_eq!(state.obey("q!"), Ok(Some(Command::Quit)));
        assert_eq!(state.obey("zoom twice"), Err("zoom takes no argument.".into()));
        assert!(state.obey("fly").unwrap_err().contains("no command fly"));
        assert!(state.obey("stop").unwrap_err().contains("smtp|pop3|echo"));
    }

    #[test]
    fn a_theme_a_file_and_a_server_are_named() {
        let mut state = with_queue();
        assert_eq!(state.obey("theme light"), Ok(None));
        assert_eq!(state.palette, Palette::Light);
        assert!(state.obey("theme pink").unwrap_err().contains("high-contrast"));
        assert_eq!(state.obey("save a b"), Ok(Some(Command::Save(Some("a b".into())))));
        let order = ServerOrder { service: Service::Pop3, what: Change::Restart };
        assert_eq!(state.obey("restart pop3"), Ok(Some(Command::Server(order))));
    }

    #[test]
    fn a_server_with_clients_is_stopped_after_a_question() {
        let mut state = with_queue();
        assert_eq!(state.obey("stop smtp"), Ok(None));
        let order = ServerOrder { service: Service::Smtp, what: Change::Stop };
        assert_eq!(
            state.update(Action::Answer(crate::console::action::Answer::Yes)),
            Some(Command::Server(order))
        );
    }

    #[test]
    fn a_line_is_completed_word_by_word() {
        let state = with_queue();
        assert_eq!(state.candidates("ret")[..2], ["retry", "retry-all"]);
        assert_eq!(
            state.candidates("retry "),
            [
                "retry marked",
                "retry shown",
                "retry all",
                "retry a@x.example",
                "retry b@x.example",
                "retry c@x.example"
            ]
        );
        assert_eq!(
            state.candidates("close #1"),
            ["close #1", "close #10", "close #11", "close #12"]
        );
        assert_eq!(state.candidates("theme l"), ["theme light"]);
        assert_eq!(state.candidates("set i"), ["set idle"]);
        assert_eq!(state.candidates("set idle "), ["set idle default"]);
        assert_eq!(state.candidates("filter @p"), ["filter @pop3"]);
        assert_eq!(state.candidates("filter @smtp C"), ["filter @smtp C:"]);
        assert!(state.candidates("zoom ").is_empty());
    }
}
