//! The command line: what can be said behind `:`, what it means, and how it is completed. Every
//! name of the table of keys is a command; these are the ones that can be told more.

use std::path::PathBuf;

use crate::console::action::{Action, Command, Context, Pane};
use crate::console::keys::named;
use crate::console::setting;
use crate::console::state::listed::{OF_CONNECTIONS, OF_MESSAGES, OF_QUEUE};
use crate::console::state::overlay::Question;
use crate::console::state::rows::QueueRow;
use crate::console::state::{State, filter};
use crate::mailroom::Wish;
use crate::relay::orders::{Order, Pick};
use crate::servers::settings::SettingName;
use crate::servers::supervisor::{Change, ServerOrder};
use crate::watch::event::{ConnectionName, Service};

/// What `:sort` calls a list's own order.
pub(super) const NO_ORDER: &str = "none";

/// What can stand behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Connection,
    Entry,
    Order,
    File,
    Filter,
    Theme,
    Mailbox,
    NewMailbox,
    Server,
    Setting,
}

impl Argument {
    /// As the manual has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Connection => "N|#N",
            Self::Entry => "ROW|ID|ADDRESS|marked|shown|all",
            Self::Order => "ORDER",
            Self::File => "FILE",
            Self::Filter => "TEXT",
            Self::Theme => "dark|light|high-contrast|none",
            Self::Mailbox | Self::NewMailbox => "NAME",
            Self::Server => "smtp|pop3|echo",
            Self::Setting => "SETTING VALUE",
        }
    }
}

/// A command that can be told more.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// What it is called.
    pub name: &'static str,
    pub(super) argument: Argument,
    /// In a line, for the manual.
    pub help: &'static str,
}

impl Verb {
    /// What can stand behind it, as the manual has it.
    #[must_use]
    pub const fn argument(&self) -> &'static str {
        self.argument.name()
    }
}

const fn verb(name: &'static str, argument: Argument, help: &'static str) -> Verb {
    Verb { name, argument, help }
}

/// The commands that can be told more, by name.
pub const VERBS: &[Verb] = &[
    verb("clear", Argument::Mailbox, "delete all messages of a mailbox (asks first)"),
    verb("close", Argument::Connection, "close the connection [N], or #N (asks first)"),
    verb("drop", Argument::Entry, "drop entries of the relay queue (asks first)"),
    verb(
        "filter",
        Argument::Filter,
        "show only the transcript lines that have it; all without TEXT",
    ),
    verb("hold", Argument::Entry, "hold entries of the relay queue"),
    verb("new-mailbox", Argument::NewMailbox, "make a mailbox"),
    verb("only", Argument::Connection, "narrow the transcript to the connection [N], or #N"),
    verb("open", Argument::Mailbox, "list the messages of a mailbox"),
    verb("release", Argument::Entry, "release entries that are held"),
    verb("restart", Argument::Server, "stop a server and start it again"),
    verb("retry", Argument::Entry, "try entries of the relay queue now"),
    verb("save", Argument::File, "save the shown transcript lines"),
    verb("set", Argument::Setting, "change a setting while the servers run"),
    verb(
        "sort",
        Argument::Order,
        "show the list that has the keys in another order, or in its own (none)",
    ),
    verb("start", Argument::Server, "start a server"),
    verb("stop", Argument::Server, "stop a server"),
    verb("theme", Argument::Theme, "choose the colours"),
];

impl State {
    /// Does what a command line says; an error says what is wrong with it.
    pub(super) fn obey(&mut self, line: &str) -> Result<Option<Command>, String> {
        let (name, argument) = split(line);
        let argument = argument.trim();
        let verb = VERBS.iter().find(|verb| verb.name == name);
        if let Some(verb) = verb.filter(|verb| !argument.is_empty() || verb.name == "filter") {
            return self.obey_verb(verb, argument);
        }
        // In the popup the keys of these names know which server is meant.
        let needs_more = verb.is_some_and(|verb| verb.argument == Argument::Server);
        match named(alias(name)).filter(|_| !needs_more) {
            Some(binding) if argument.is_empty() => Ok(self.update(binding.action)),
            Some(_) => Err(format!("{name} takes nothing behind it.")),
            None => Err(match verb {
                Some(verb) => format!("Say which: {name} {}", verb.argument()),
                None => format!("There is no command {name}: the list shows what there is."),
            }),
        }
    }

    fn obey_verb(&mut self, verb: &Verb, argument: &str) -> Result<Option<Command>, String> {
        match verb.name {
            "close" => self.ask_to_close_number(argument)?,
            "only" => self.narrow_to_number(argument)?,
            "drop" => {
                let picks = self.entries_named(argument)?;
                self.ask(Question::Drop(picks));
            }
            "clear" => self.ask_to_clear(argument)?,
            "sort" => self.sort_by(argument)?,
            "hold" => return self.order(Order::Hold, argument),
            "release" => return self.order(Order::Release, argument),
            "retry" => return self.order(Order::Retry, argument),
            "filter" => self.set_filter(Context::Pane(Pane::Transcript), argument)?,
            "new-mailbox" => return Ok(Some(Command::Wish(Wish::Create(argument.to_owned())))),
            "open" => return self.open_named(argument),
            "save" => return Ok(Some(Command::Save(Some(PathBuf::from(argument))))),
            "theme" => self.palette = argument.parse()?,
            "start" => return self.server(Change::Start, argument),
            "stop" => return self.server(Change::Stop, argument),
            "restart" => return self.server(Change::Restart, argument),
            _ => return set(argument),
        }
        Ok(None)
    }

    fn ask_to_close_number(&mut self, number: &str) -> Result<(), String> {
        let name = self.open_connection(number)?;
        self.ask(Question::Close(name));
        Ok(())
    }

    fn narrow_to_number(&mut self, number: &str) -> Result<(), String> {
        let rows = self.connections.items().iter();
        let found = rows.map(|row| row.name).find(|name| is_named(number, *name));
        let name = found.ok_or_else(|| format!("There is no connection {}.", called(number)))?;
        self.tiled = false;
        self.transcript.narrow(Some(name));
        Ok(())
    }

    fn open_connection(&self, number: &str) -> Result<ConnectionName, String> {
        let open = self.connections.items().iter().filter(|row| row.closed.is_none());
        let mut names = open.map(|row| row.name);
        let found = names.find(|name| is_named(number, *name));
        found.ok_or_else(|| format!("No connection {} is open.", called(number)))
    }

    /// A recipient in the queue: by its row, counted from 1, by the end of its entry's id, or by
    /// its address.
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

    /// The recipients that are meant: those that are marked, those that are shown, all of them, or
    /// one.
    fn entries_named(&self, which: &str) -> Result<Vec<Pick>, String> {
        let picks: Vec<Pick> = match which {
            "marked" if self.queue.marked() == 0 => Vec::new(),
            "marked" => self.queue.meant().iter().map(|row| row.pick.clone()).collect(),
            "shown" => self.queue.shown().map(|row| row.pick.clone()).collect(),
            "all" => self.queue.items().iter().map(|row| row.pick.clone()).collect(),
            one => vec![self.entry(one)?.pick],
        };
        if picks.is_empty() {
            return Err(match which {
                "marked" => "No entry of the relay queue is marked.".to_owned(),
                _ => "There is no entry in the relay queue.".to_owned(),
            });
        }
        Ok(picks)
    }

    fn order(&mut self, order: Order, which: &str) -> Result<Option<Command>, String> {
        let picks = self.entries_named(which)?;
        Ok(self.give(order, picks))
    }

    fn ask_to_clear(&mut self, name: &str) -> Result<(), String> {
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
                Ok(())
            }
        }
    }

    /// Shows the list that has the keys in the order of this name.
    fn sort_by(&mut self, name: &str) -> Result<(), String> {
        let names = self.order_names();
        let order = match names.iter().position(|one| *one == name) {
            _ if names.is_empty() => return Err("There is no list here that is sorted.".to_owned()),
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
        Ok(())
    }

    /// The orders of the list that has the keys.
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
            return Err(format!("There is no mailbox {name}: new-mailbox {name} makes one."));
        }
        self.update(Action::Focus(Pane::Mailboxes));
        Ok(Some(Command::Wish(self.reader.open(name.to_owned()))))
    }

    /// What the command line could go on as, the whole line each: what begins as it does, or else
    /// what is offered besides.
    #[must_use]
    pub fn candidates(&self, line: &str) -> Vec<String> {
        self.offers(line).into_iter().map(|offer| offer.line).collect()
    }

    fn server(&mut self, what: Change, name: &str) -> Result<Option<Command>, String> {
        let found = SERVERS.into_iter().find(|service| service.name() == name);
        let service =
            found.ok_or_else(|| format!("There is no server {name}: say smtp, pop3 or echo."))?;
        Ok(self.give_order(ServerOrder { service, what }))
    }
}

/// What a filter can go on with, besides text of the user's own.
pub(super) fn filters_so_far(so_far: &str) -> Vec<String> {
    let before = so_far.rfind(' ').map_or("", |blank| so_far.split_at(blank + 1).0);
    let services = [Service::Smtp, Service::Pop3, Service::Echo, Service::Relay];
    let services = services.map(|service| format!("{before}@{service}"));
    let sides = ["C:", "S:"].map(|side| format!("{before}{side}"));
    services.into_iter().chain(sides).collect()
}

/// The servers that can be started and stopped.
pub(super) const SERVERS: [Service; 3] = [Service::Smtp, Service::Pop3, Service::Echo];

/// The first word of a line, and what is behind it.
pub(super) fn split(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    (name, argument.trim_start())
}

/// Whether what a line says can be seen in the servers' popup.
#[must_use]
pub fn is_about_servers(line: &str) -> bool {
    matches!(split(line).0, "start" | "stop" | "restart" | "set")
}

/// Words that are at users' fingertips from other programs, and those that people would guess.
pub(super) fn alias(name: &str) -> &str {
    match name {
        "q" | "exit" => "quit",
        "q!" => "quit-now",
        "h" => "help",
        "all" => "all-connections",
        "close" => "close-connection",
        "copy" => "copy-line",
        "copy-all" => "copy-connection",
        "delete" => "delete-message",
        "headers" => "all-headers",
        "mark" => "mark-entry",
        "mark-all" => "mark-all-entries",
        "next" => "next-message",
        "only" => "only-this",
        "previous" => "previous-message",
        "read" => "open-message",
        "relay" | "run" => "retry-all",
        "release" => "hold",
        "resume" => "pause",
        "sort" => "sort-queue",
        "view" => "view-queued",
        other => other,
    }
}

/// Whether a connection is meant by `12`, `[12]`, or its session, `#12`.
fn is_named(typed: &str, name: ConnectionName) -> bool {
    match filter::session(typed) {
        Some(session) => session == name.id,
        None => bare(typed).parse() == Ok(name.number),
    }
}

fn bare(typed: &str) -> &str {
    typed.trim_start_matches('[').trim_end_matches(']')
}

/// As the screen writes what was typed.
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
    use crate::console::state::appearance::Palette;
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
            Ok(Some(Command::Relay(Request::Give(Order::Retry, pick)))) => {
                pick.recipient.unwrap_or_default()
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
        assert_eq!(state.obey("zoom twice"), Err("zoom takes nothing behind it.".into()));
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
