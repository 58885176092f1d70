//! The table of keys, the single source for what a key does, for the hint bar, for the help and the
//! manual page, and for the commands after `:`. Independent of the terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use strum::VariantArray;

use crate::console::action::{Action, Context, Direction, FaultAction, HeldAction, Pane, Step};

/// A key, as the table and the config file name it. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A key that types this character.
    Char(char),
    /// A letter with the control key, in lower case.
    Control(char),
    /// A function key, by its number.
    F(u8),
    /// A key that types no character.
    Named(Named),
}

/// A key that types no character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are called what is printed on them")]
pub enum Named {
    Enter,
    Esc,
    Tab,
    BackTab,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Insert,
    Delete,
    Backspace,
}

impl Named {
    /// Each key with its name in the config file and its symbol on the screen.
    const ALL: [(Self, &'static str, &'static str); 15] = [
        (Self::Enter, "Enter", "⏎"),
        (Self::Esc, "Esc", "Esc"),
        (Self::Tab, "Tab", "Tab"),
        (Self::BackTab, "Shift-Tab", "⇧Tab"),
        (Self::Up, "Up", "↑"),
        (Self::Down, "Down", "↓"),
        (Self::Left, "Left", "←"),
        (Self::Right, "Right", "→"),
        (Self::PageUp, "PageUp", "PgUp"),
        (Self::PageDown, "PageDown", "PgDn"),
        (Self::Home, "Home", "Home"),
        (Self::End, "End", "End"),
        (Self::Insert, "Insert", "Ins"),
        (Self::Delete, "Delete", "Del"),
        (Self::Backspace, "Backspace", "⌫"),
    ];
}

/// Whether the terminal shows nothing but ASCII: a property of the process.
static IS_ASCII: AtomicBool = AtomicBool::new(false);

/// From now on keys are shown in ASCII: Enter, not its symbol. For the start, on terminals that show
/// nothing else.
pub fn show_in_ascii() {
    IS_ASCII.store(true, Relaxed);
}

impl Display for Key {
    /// Writes the key as help and hints show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char(' ') => f.write_str("Space"),
            Self::Char(character) => write!(f, "{character}"),
            Self::Control(character) => write!(f, "^{}", character.to_ascii_uppercase()),
            Self::F(number) => write!(f, "F{number}"),
            Self::Named(named) => {
                let known = Named::ALL.iter().find(|(one, ..)| one == named);
                f.write_str(known.map_or("", |(_, name, sign)| {
                    if IS_ASCII.load(Relaxed) && !sign.is_ascii() { name } else { sign }
                }))
            }
        }
    }
}

/// An error: a word that is not the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key: write a character, Space, Enter, Esc, Tab, Shift-Tab, Up, Down, Left, Right, \
     PageUp, PageDown, Home, End, Insert, Delete, Backspace, F1 to F12, or Ctrl-D"
)]
pub struct NoKey(String);

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(word: &str) -> Result<Self, NoKey> {
        // Long names come first, because the symbols of some keys are single characters.
        if let Some(key) = long_name(word) {
            return Ok(key);
        }
        let mut characters = word.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) if !character.is_control() => Ok(Self::Char(character)),
            _ => Err(NoKey(word.to_owned())),
        }
    }
}

fn long_name(word: &str) -> Option<Key> {
    if word.eq_ignore_ascii_case("space") {
        return Some(Key::Char(' '));
    }
    let named =
        Named::ALL.iter().find(|(_, name, sign)| name.eq_ignore_ascii_case(word) || *sign == word);
    if let Some((named, ..)) = named {
        return Some(Key::Named(*named));
    }
    control(word).or_else(|| {
        let number = word.strip_prefix(['F', 'f'])?.parse().ok()?;
        (1..=12).contains(&number).then_some(Key::F(number))
    })
}

/// Parses `^D`, `Ctrl-D` and `C-d`.
fn control(word: &str) -> Option<Key> {
    let prefixes = ["^", "Ctrl-", "ctrl-", "C-"];
    let letter = prefixes.iter().find_map(|prefix| word.strip_prefix(prefix))?;
    let mut letters = letter.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => {
            Some(Key::Control(letter.to_ascii_lowercase()))
        }
        _ => None,
    }
}

/// Where a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Wherever keys are not typed into something.
    Everywhere,
    /// Only in this context; there it has precedence over a key that works everywhere.
    In(Context),
}

/// The heading under which the help lists a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Section {
    /// Moving about.
    Move,
    /// The panes.
    Panes,
    /// The program as a whole.
    Program,
    /// The connections.
    Connections,
    /// The transcript.
    Transcript,
    /// The mailboxes and the messages in them.
    Mailboxes,
    /// The relay queue.
    Queue,
    /// The servers' popup.
    Servers,
    /// The popup of the faults.
    Faults,
}

impl Section {
    /// All sections, in the order of the help.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The heading on the screen.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Panes => "Panes",
            Self::Transcript => "Transcript",
            Self::Connections => "Connections",
            Self::Mailboxes => "Mailboxes and messages",
            Self::Queue => "Relay queue",
            Self::Servers => "Servers",
            Self::Faults => "Faults",
            Self::Program => "Everywhere",
        }
    }

    /// The section that the help shows first in this context.
    #[must_use]
    pub const fn of(context: Context) -> Self {
        match context {
            Context::Pane(Pane::Connections) => Self::Connections,
            Context::Pane(Pane::Transcript) => Self::Transcript,
            Context::Pane(Pane::Mailboxes) | Context::Messages | Context::Message => {
                Self::Mailboxes
            }
            Context::Pane(Pane::Queue) => Self::Queue,
            Context::Pane(Pane::Log) => Self::Move,
            Context::Servers => Self::Servers,
            Context::Faults | Context::Held => Self::Faults,
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The name in the config file and after `:`.
    pub name: &'static str,
    /// The default keys, each of which works; the config file may replace them.
    pub keys: &'static [Key],
    /// Where the keys work.
    pub scope: Scope,
    /// Where the help lists them. Neighbouring rows with the same help text are listed as one.
    pub section: Section,
    /// What the keys do.
    pub action: Action,
    /// A word for the hint bar; if empty, the hint bar leaves the keys out.
    pub hint: &'static str,
    /// A line for the help.
    pub help: &'static str,
}

const fn row(
    name: &'static str,
    keys: &'static [Key],
    scope: Scope,
    section: Section,
    action: Action,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { name, keys, scope, section, action, hint, help }
}

const fn k(character: char) -> Key {
    Key::Char(character)
}

const fn n(named: Named) -> Key {
    Key::Named(named)
}

const ANY: Scope = Scope::Everywhere;
const CONNECTIONS: Scope = Scope::In(Context::Pane(Pane::Connections));
const TRANSCRIPT: Scope = Scope::In(Context::Pane(Pane::Transcript));
const MAILBOXES: Scope = Scope::In(Context::Pane(Pane::Mailboxes));
const MESSAGES: Scope = Scope::In(Context::Messages);
const MESSAGE: Scope = Scope::In(Context::Message);
const QUEUE: Scope = Scope::In(Context::Pane(Pane::Queue));
const SERVERS: Scope = Scope::In(Context::Servers);
const FAULTS: Scope = Scope::In(Context::Faults);
const HELD: Scope = Scope::In(Context::Held);

/// All bindings; the hint bar keeps this order.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    row("help", &[k('?'), Key::F(1)], ANY, Section::Program, Action::Help, "Help", "this help; type to search"),
    row("only-this", &[n(Named::Enter)], CONNECTIONS, Section::Connections, Action::OnlyThis, "Only this", "only this in transcript"),
    row("close-connection", &[k('x')], CONNECTIONS, Section::Connections, Action::CloseConnection, "Close", "close it (asks first)"),
    row("sort-connections", &[k('o')], CONNECTIONS, Section::Connections, Action::Sort, "Sort", "sort: the next order"),
    row("all-connections", &[k('0')], ANY, Section::Connections, Action::AllConnections, "", "all connections again"),
    row("tiles", &[k('v')], ANY, Section::Connections, Action::Tiles, "", "tiles of the newest"),
    row("row-only-this", &[n(Named::Enter)], TRANSCRIPT, Section::Transcript, Action::OnlyThis, "Only this", "only this row's connection"),
    row("close-row-connection", &[k('x')], TRANSCRIPT, Section::Transcript, Action::CloseConnection, "", "close it (asks first)"),
    row("previous-tile", &[n(Named::Left)], TRANSCRIPT, Section::Transcript, Action::OtherTile(Direction::Backward), "", "previous, next tile"),
    row("next-tile", &[n(Named::Right)], TRANSCRIPT, Section::Transcript, Action::OtherTile(Direction::Forward), "", "previous, next tile"),
    row("open", &[n(Named::Enter)], MAILBOXES, Section::Mailboxes, Action::OpenMailbox, "Open", "open mailbox, message"),
    row("open-message", &[n(Named::Enter)], MESSAGES, Section::Mailboxes, Action::OpenMessage, "Open", "open mailbox, message"),
    row("new-mailbox", &[k('n')], MAILBOXES, Section::Mailboxes, Action::NewMailbox, "New", "new mailbox"),
    row("mark-message", &[k(' '), k('t')], MESSAGES, Section::Mailboxes, Action::Mark, "Mark", "mark for s and d, mark all"),
    row("mark-all-messages", &[k('a')], MESSAGES, Section::Mailboxes, Action::MarkAll, "", "mark for s and d, mark all"),
    row("sort-messages", &[k('o')], MESSAGES, Section::Mailboxes, Action::Sort, "Sort", "sort: the next order"),
    row("save-message", &[k('s')], MESSAGES, Section::Mailboxes, Action::SaveMessage, "Save", "save as .eml file"),
    row("save-this-message", &[k('s')], MESSAGE, Section::Mailboxes, Action::SaveMessage, "Save", "save as .eml file"),
    row("delete-message", &[k('d')], MESSAGES, Section::Mailboxes, Action::DeleteMessage, "Delete", "delete (asks first)"),
    row("delete-this-message", &[k('d')], MESSAGE, Section::Mailboxes, Action::DeleteMessage, "Delete", "delete (asks first)"),
    row("attachments", &[k('a')], MESSAGE, Section::Mailboxes, Action::SaveAttachments, "Attachments", "save attachments"),
    row("raw", &[k('e')], MESSAGE, Section::Mailboxes, Action::NextShape, "Raw", "as text, HTML, raw"),
    row("browser", &[k('o')], MESSAGE, Section::Mailboxes, Action::Browse, "", "HTML in the browser"),
    row("all-headers", &[k('H')], MESSAGE, Section::Mailboxes, Action::AllHeaders, "Headers", "all headers, usual ones"),
    row("previous-message", &[n(Named::Left)], MESSAGE, Section::Mailboxes, Action::OtherMessage(Direction::Backward), "", "previous, next message"),
    row("next-message", &[n(Named::Right)], MESSAGE, Section::Mailboxes, Action::OtherMessage(Direction::Forward), "", "previous, next message"),
    row("messages-new-mailbox", &[k('n')], MESSAGES, Section::Mailboxes, Action::NewMailbox, "", "new mailbox"),
    row("details", &[n(Named::Enter)], QUEUE, Section::Queue, Action::Details, "Details", "details of the entry"),
    row("view-queued", &[k('v')], QUEUE, Section::Queue, Action::ViewQueued, "View", "view its message"),
    row("previous-entry", &[n(Named::Left)], QUEUE, Section::Queue, Action::OtherEntry(Direction::Backward), "", "previous, next entry"),
    row("next-entry", &[n(Named::Right)], QUEUE, Section::Queue, Action::OtherEntry(Direction::Forward), "", "previous, next entry"),
    row("mark-entry", &[k(' '), k('t')], QUEUE, Section::Queue, Action::Mark, "Mark", "mark for r h d, mark all"),
    row("mark-all-entries", &[k('a')], QUEUE, Section::Queue, Action::MarkAll, "", "mark for r h d, mark all"),
    row("sort-queue", &[k('o')], QUEUE, Section::Queue, Action::Sort, "Sort", "sort: the next order"),
    row("retry", &[k('r')], QUEUE, Section::Queue, Action::Retry, "Retry", "retry it, retry all"),
    row("retry-all", &[k('R')], ANY, Section::Queue, Action::RelayRun, "", "retry it, retry all"),
    row("hold", &[k('h')], QUEUE, Section::Queue, Action::Hold, "Hold", "hold, release"),
    row("drop", &[k('d')], QUEUE, Section::Queue, Action::Drop, "Drop", "drop (asks first)"),
    row("change", &[n(Named::Enter)], SERVERS, Section::Servers, Action::Change, "Change", "start, stop; set a value"),
    row("start", &[k('s')], SERVERS, Section::Servers, Action::StartServer, "Start", "start, stop, restart it"),
    row("stop", &[k('x')], SERVERS, Section::Servers, Action::StopServer, "Stop", "start, stop, restart it"),
    row("restart", &[k('r')], SERVERS, Section::Servers, Action::RestartServer, "Restart", "start, stop, restart it"),
    row("faults", &[k('F')], ANY, Section::Faults, Action::Faults, "", "faults on purpose"),
    row("fault-hits", &[n(Named::Enter)], FAULTS, Section::Faults, Action::Fault(FaultAction::Hits), "Hits", "its hits in transcript"),
    row("fault-switch", &[k(' ')], FAULTS, Section::Faults, Action::Fault(FaultAction::Switch), "On, off", "switch it on, off"),
    row("fault-add", &[k('a')], FAULTS, Section::Faults, Action::Fault(FaultAction::Add), "Add", "add a rule"),
    row("fault-remove", &[k('d')], FAULTS, Section::Faults, Action::Fault(FaultAction::Remove), "Remove", "remove it (asks first)"),
    row("fault-reset", &[k('r')], FAULTS, Section::Faults, Action::Fault(FaultAction::Reset), "Reset", "reset its counters"),
    row("breakpoints", &[k('I')], ANY, Section::Faults, Action::Held(HeldAction::SwitchBreakpoints), "", "breakpoints on, off"),
    row("break-here", &[k('i')], TRANSCRIPT, Section::Faults, Action::Held(HeldAction::BreakHere), "", "break at this row's point"),
    row("held", &[k('H')], ANY, Section::Faults, Action::Held(HeldAction::Focus), "", "go to what is held"),
    row("let-go", &[k('a')], HELD, Section::Faults, Action::Held(HeldAction::LetGo), "Let go", "held: let it go, all go"),
    row("let-all-go", &[k('A')], HELD, Section::Faults, Action::Held(HeldAction::LetAllGo), "All", "held: let it go, all go"),
    row("edit-held", &[k('E')], HELD, Section::Faults, Action::Held(HeldAction::Edit), "Edit", "held: edit, answer it"),
    row("answer-held", &[k('R')], HELD, Section::Faults, Action::Held(HeldAction::Answer), "Answer", "held: edit, answer it"),
    row("kill-held", &[k('X')], HELD, Section::Faults, Action::Held(HeldAction::Kill), "Kill", "held: close, drop it"),
    row("drop-held", &[k('D')], HELD, Section::Faults, Action::Held(HeldAction::Drop), "Drop", "held: close, drop it"),
    row("filter", &[k('/')], ANY, Section::Transcript, Action::Filter, "Filter", "filter, find (lists too)"),
    row("find-next", &[k('n')], ANY, Section::Transcript, Action::Find(Direction::Forward), "", "next, previous match"),
    row("find-previous", &[k('N')], ANY, Section::Transcript, Action::Find(Direction::Backward), "", "next, previous match"),
    row("pause", &[k(' ')], ANY, Section::Transcript, Action::Pause, "Pause", "pause (servers go on)"),
    row("follow", &[k('f')], ANY, Section::Transcript, Action::Follow, "", "follow, stop following"),
    row("next-pane", &[n(Named::Tab)], ANY, Section::Panes, Action::FocusNext, "Next pane", "next, previous pane"),
    row("previous-pane", &[n(Named::BackTab)], ANY, Section::Panes, Action::FocusPrevious, "", "next, previous pane"),
    row("connections", &[k('1')], ANY, Section::Panes, Action::Focus(Pane::Connections), "", "this pane"),
    row("transcript", &[k('2')], ANY, Section::Panes, Action::Focus(Pane::Transcript), "", "this pane"),
    row("mailboxes", &[k('3')], ANY, Section::Panes, Action::Focus(Pane::Mailboxes), "", "this pane"),
    row("queue", &[k('4')], ANY, Section::Panes, Action::Focus(Pane::Queue), "", "this pane"),
    row("log", &[k('5')], ANY, Section::Panes, Action::Focus(Pane::Log), "", "this pane"),
    row("zoom", &[k('z')], ANY, Section::Panes, Action::Zoom, "Zoom", "zoom the pane"),
    row("back", &[n(Named::Esc)], ANY, Section::Panes, Action::Escape, "", "back"),
    row("copy-line", &[k('y')], ANY, Section::Transcript, Action::CopyLine, "Copy", "copy line, connection"),
    row("copy-connection", &[k('Y')], ANY, Section::Transcript, Action::CopyConnection, "", "copy line, connection"),
    row("save", &[k('s')], ANY, Section::Transcript, Action::Save, "Save", "save shown lines to a file"),
    row("stamps", &[k('t')], ANY, Section::Transcript, Action::Stamps, "", "time stamps, wrap lines"),
    row("wrap", &[k('w')], ANY, Section::Transcript, Action::Wrap, "", "time stamps, wrap lines"),
    row("bodies", &[k('b')], ANY, Section::Transcript, Action::Bodies, "", "message text, passwords"),
    row("passwords", &[k('p')], ANY, Section::Transcript, Action::Passwords, "", "message text, passwords"),
    row("wire", &[k('e')], ANY, Section::Transcript, Action::Wire, "", "wire view: CR, LF, reads"),
    row("compose", &[k('c')], ANY, Section::Mailboxes, Action::Compose, "Compose", "compose a test message"),
    row("up", &[n(Named::Up), k('k')], ANY, Section::Move, Action::Move(Step::Up), "", "up, down"),
    row("down", &[n(Named::Down), k('j')], ANY, Section::Move, Action::Move(Step::Down), "", "up, down"),
    row("page-up", &[n(Named::PageUp)], ANY, Section::Move, Action::Move(Step::PageUp), "", "a page"),
    row("page-down", &[n(Named::PageDown)], ANY, Section::Move, Action::Move(Step::PageDown), "", "a page"),
    row("half-page-up", &[Key::Control('u')], ANY, Section::Move, Action::Move(Step::HalfPageUp), "", "half a page"),
    row("half-page-down", &[Key::Control('d')], ANY, Section::Move, Action::Move(Step::HalfPageDown), "", "half a page"),
    row("beginning", &[k('g'), n(Named::Home)], ANY, Section::Move, Action::Move(Step::First), "", "to the beginning"),
    row("end", &[k('G'), n(Named::End)], ANY, Section::Move, Action::Move(Step::Last), "", "to the end; follow"),
    row("servers", &[k('S')], ANY, Section::Program, Action::Servers, "Servers", "servers and settings"),
    row("command", &[k(':')], ANY, Section::Program, Action::CommandLine, "Command", "command (Tab completes)"),
    row("first-steps", &[Key::F(2)], ANY, Section::Program, Action::FirstSteps, "", "first steps; Thunderbird"),
    row("theme", &[k('T')], ANY, Section::Program, Action::Theme, "Theme", "next theme"),
    row("mouse", &[k('m')], ANY, Section::Program, Action::Mouse, "", "mouse on, off (selects)"),
    row("redraw", &[Key::Control('l')], ANY, Section::Program, Action::Redraw, "", "redraw, suspend"),
    row("suspend", &[Key::Control('z')], ANY, Section::Program, Action::Suspend, "", "redraw, suspend"),
    row("quit", &[k('q')], ANY, Section::Program, Action::Quit, "Quit", "quit (may ask), quit now"),
    row("quit-now", &[Key::Control('c')], ANY, Section::Program, Action::QuitNow, "", "quit (may ask), quit now"),
];

/// The keys set in the config file, by the names of the bindings.
pub type Chosen = BTreeMap<&'static str, Vec<Key>>;

/// Why the keys in the config file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// Two bindings that work in the same place have the same key.
    #[error("{key} is given to both {one} and {other}: give one of them another key")]
    Twice {
        /// The key.
        key: Key,
        /// The name of one binding.
        one: &'static str,
        /// The name of the other.
        other: &'static str,
    },
    /// A binding without which the user could not find the others was left without a key.
    #[error("{0} needs a key: name one, or leave the line out")]
    NoKey(&'static str),
    /// `^C` was given to something else; it must always quit.
    #[error("^C always quits at once: choose another key for {0}")]
    Reserved(&'static str),
}

/// The key that always quits, whatever the config file says.
const ALWAYS_QUITS: Key = Key::Control('c');

/// Bindings that must have a key: with these a user can reach everything else.
const NEEDED: [&str; 6] = ["back", "command", "down", "help", "quit", "up"];

/// The keys of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    /// The keys of each row of [`BINDINGS`], by index.
    keys: Vec<Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { keys: BINDINGS.iter().map(|binding| binding.keys.to_vec()).collect() }
    }
}

impl Keymap {
    /// The table with the user's own keys, which replace the default keys of their bindings.
    ///
    /// # Errors
    ///
    /// A needed binding is left without a key, or two bindings have the same key in the same place. A
    /// user who wants a key that another binding has must give that one another key; only the keys
    /// for what is held at breakpoints give way.
    pub fn with(chosen: &Chosen) -> Result<Self, KeymapError> {
        let mut keymap = Self::default();
        for (binding, keys) in BINDINGS.iter().zip(&mut keymap.keys) {
            if let Some(own) = chosen.get(binding.name) {
                keys.clone_from(own);
                keys.dedup();
            } else if matches!(binding.action, Action::Held(_)) {
                // They came last, and are of use only now and then: config files from before them
                // stay valid.
                keys.retain(|key| !is_wanted(binding, *key, chosen));
            }
        }
        keymap.judged()
    }

    fn judged(self) -> Result<Self, KeymapError> {
        let mut rows = BINDINGS.iter().zip(&self.keys);
        let is_lost = |(binding, keys): &(&Binding, &Vec<Key>)| {
            keys.is_empty() && NEEDED.contains(&binding.name)
        };
        if let Some((binding, _)) = rows.find(is_lost) {
            return Err(KeymapError::NoKey(binding.name));
        }
        for (n, (binding, key)) in self.pairs().enumerate() {
            if key == ALWAYS_QUITS && binding.action != Action::QuitNow {
                return Err(KeymapError::Reserved(binding.name));
            }
            let is_same =
                |(other, same): &(&Binding, Key)| *same == key && clash(binding, other, key);
            if let Some((other, _)) = self.pairs().skip(n + 1).find(is_same) {
                return Err(KeymapError::Twice { key, one: binding.name, other: other.name });
            }
        }
        Ok(self)
    }

    /// The bindings whose keys differ from the table's.
    pub fn changed(&self) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        let rows = BINDINGS.iter().zip(&self.keys);
        rows.filter(|(binding, keys)| binding.keys != keys.as_slice())
            .map(|(binding, keys)| (binding, keys.as_slice()))
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static Binding, Key)> {
        let rows = BINDINGS.iter().zip(&self.keys);
        rows.flat_map(|(binding, keys)| keys.iter().map(move |key| (binding, *key)))
    }

    /// What a key does in this context.
    #[must_use]
    pub fn action(&self, context: Context, key: Key) -> Option<Action> {
        self.action_beside(context, None, key)
    }

    /// What a key does in this context where the keys of another one, if they are not its own, come
    /// before those that work everywhere.
    #[must_use]
    pub fn action_beside(
        &self,
        context: Context,
        other: Option<Context>,
        key: Key,
    ) -> Option<Action> {
        if key == ALWAYS_QUITS {
            return Some(Action::QuitNow);
        }
        let in_scope = |scope| self.pairs().find(move |(b, k)| b.scope == scope && *k == key);
        let found = in_scope(Scope::In(context))
            .or_else(|| in_scope(Scope::In(other?)))
            .or_else(|| in_scope(Scope::Everywhere));
        found.map(|(binding, _)| binding.action)
    }

    /// The keys of a binding.
    #[must_use]
    pub fn keys_of(&self, binding: &Binding) -> &[Key] {
        let row = BINDINGS.iter().position(|one| one.name == binding.name);
        row.and_then(|row| self.keys.get(row)).map_or(&[], Vec::as_slice)
    }

    /// The first key for this action; empty if it has none.
    #[must_use]
    pub fn key_of(&self, action: Action) -> String {
        let found = self.pairs().find(|(binding, _)| binding.action == action);
        found.map_or_else(String::new, |(_, key)| key.to_string())
    }
}

/// Whether a user has chosen the key for a binding that must not share it with this one.
fn is_wanted(binding: &Binding, key: Key, chosen: &Chosen) -> bool {
    let has_it = |other: &&Binding| chosen.get(other.name).is_some_and(|own| own.contains(&key));
    BINDINGS.iter().filter(has_it).any(|other| clash(binding, other, key))
}

/// Whether the two bindings must not share the key. In one context a key may do something else than
/// everywhere, but only where the table itself says so: a key that the user chooses must do what it
/// was chosen for.
fn clash(one: &Binding, other: &Binding, key: Key) -> bool {
    match (one.scope, other.scope) {
        (Scope::In(one), Scope::In(other)) => one == other,
        (Scope::Everywhere, Scope::Everywhere) => true,
        _ => !(one.keys.contains(&key) && other.keys.contains(&key)),
    }
}

/// The binding with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Binding> {
    BINDINGS.iter().find(|binding| binding.name == name)
}

/// The bindings whose hints are useful in this context.
pub fn hints(context: Context) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| {
        let is_here = match binding.scope {
            Scope::Everywhere => is_of_use(context, binding),
            Scope::In(own) => own == context,
        };
        is_here && !binding.hint.is_empty()
    })
}

/// Whether a binding that works everywhere is worth a hint in this context: the ones about the
/// transcript are not while messages are being read, because the transcript is hidden then.
fn is_of_use(context: Context, binding: &Binding) -> bool {
    match (context, binding.action) {
        (Context::Pane(_), _) | (_, Action::Help | Action::CommandLine | Action::Quit) => true,
        (Context::Messages | Context::Message, action) => {
            matches!(action, Action::Filter | Action::Compose | Action::FocusNext | Action::Zoom)
        }
        (Context::Servers | Context::Faults | Context::Held, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(pairs: &[(&str, &str)]) -> Chosen {
        let pair =
            |(name, key): &(&str, &str)| (named(name).unwrap().name, vec![key.parse().unwrap()]);
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_table_binds_no_key_twice_in_one_place_and_no_name_twice() {
        assert_eq!(Keymap::default().judged(), Ok(Keymap::default()));
        for (n, binding) in BINDINGS.iter().enumerate() {
            assert!(BINDINGS.iter().skip(n + 1).all(|other| other.name != binding.name));
            assert!(!binding.help.is_empty() && !binding.keys.is_empty());
        }
    }

    #[test]
    fn every_help_fits_into_one_of_two_columns_of_a_small_screen() {
        for binding in BINDINGS {
            assert!(binding.help.chars().count() <= 26, "{:?} is too long", binding.help);
        }
    }

    #[test]
    fn every_key_of_the_table_is_read_as_it_is_written() {
        for (_, key) in Keymap::default().pairs() {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!("Ctrl-D".parse(), Ok(Key::Control('d')));
        assert_eq!("shift-tab".parse(), Ok(Key::Named(Named::BackTab)));
        assert_eq!("^".parse(), Ok(Key::Char('^')));
        for word in ["", "Hyper-X", "F13", "Ctrl-", "ab"] {
            assert!(word.parse::<Key>().is_err(), "{word}");
        }
    }

    #[test]
    fn what_a_place_binds_goes_before_what_is_bound_everywhere() {
        let keymap = Keymap::default();
        let enter = Key::Named(Named::Enter);
        let action = |pane| keymap.action(Context::Pane(pane), enter);
        assert_eq!(action(Pane::Queue), Some(Action::Details));
        assert_eq!(action(Pane::Connections), Some(Action::OnlyThis));
        assert_eq!(action(Pane::Log), None);
        assert_eq!(keymap.action(Context::Messages, Key::Char('s')), Some(Action::SaveMessage));
        assert_eq!(keymap.action(Context::Pane(Pane::Log), Key::Char('s')), Some(Action::Save));
    }

    #[test]
    fn chosen_keys_stand_for_those_of_the_table() {
        let keymap = Keymap::with(&chosen(&[("quit", "z"), ("zoom", "Z")])).unwrap();
        let log = Context::Pane(Pane::Log);
        assert_eq!(keymap.action(log, Key::Char('z')), Some(Action::Quit));
        assert_eq!(keymap.action(log, Key::Char('q')), None);
        assert_eq!(
            (keymap.key_of(Action::Quit), keymap.key_of(Action::Zoom)),
            ("z".into(), "Z".into())
        );
        let changed: Vec<_> = keymap.changed().map(|(binding, _)| binding.name).collect();
        assert_eq!(changed, ["zoom", "quit"]);
        assert_eq!(Keymap::default().changed().count(), 0);
    }

    #[test]
    fn keys_that_clash_where_both_work_are_refused_by_name() {
        let refused = |pairs: &[(&str, &str)], key: &str, one: &str, other: &str| {
            let words = Keymap::with(&chosen(pairs)).unwrap_err().to_string();
            let expected = format!("{key} is given to both {one} and {other}: ");
            assert!(words.starts_with(&expected), "{words}");
        };
        refused(&[("quit", "x"), ("close-connection", "x")], "x", "close-connection", "quit");
        refused(&[("quit", "j")], "j", "down", "quit");
        refused(&[("quit", "x")], "x", "close-connection", "quit");
        refused(&[("close-connection", "q")], "q", "close-connection", "quit");
        refused(&[("wrap", "f")], "f", "follow", "wrap");
        refused(&[("hold", "r")], "r", "retry", "hold");
        refused(&[("zoom", "Enter")], "⏎", "only-this", "zoom");
    }

    #[test]
    fn what_the_table_itself_has_twice_may_be_written_down() {
        let pairs = [("find-next", "n"), ("save-message", "s"), ("retry", "r"), ("restart", "r")];
        assert_eq!(Keymap::with(&chosen(&pairs)), Ok(Keymap::default()));
        // In places that never have the keys together one key does.
        assert!(Keymap::with(&chosen(&[("hold", "K"), ("raw", "K")])).is_ok());
    }

    #[test]
    fn what_nobody_can_do_without_needs_a_key() {
        for name in NEEDED {
            assert!(named(name).is_some(), "{name}");
            let none = Chosen::from([(name, Vec::new())]);
            assert_eq!(Keymap::with(&none), Err(KeymapError::NoKey(named(name).unwrap().name)));
        }
        let none = Chosen::from([("wrap", Vec::new())]);
        assert_eq!(Keymap::with(&none).unwrap().key_of(Action::Wrap), "");
    }

    #[test]
    fn keys_that_cannot_be_had_are_refused_with_the_reason() {
        let error = |pairs: &[(&str, &str)]| Keymap::with(&chosen(pairs)).unwrap_err().to_string();
        assert!(error(&[("quit", "Q"), ("zoom", "Q")]).contains("Q is given to both"));
        assert!(error(&[("zoom", "^C")]).contains("^C always quits"));
    }

    #[test]
    fn control_c_quits_whatever_the_config_file_says() {
        let keymap = Keymap::with(&chosen(&[("quit-now", "X")])).unwrap();
        assert_eq!(keymap.action(Context::Servers, Key::Control('c')), Some(Action::QuitNow));
    }

    #[test]
    fn keys_for_what_is_held_give_way_to_those_that_are_chosen() {
        let keymap = Keymap::with(&chosen(&[("quit", "X")])).unwrap();
        assert_eq!(keymap.action(Context::Held, Key::Char('X')), Some(Action::Quit));
        let kill = Some(Action::Held(HeldAction::Kill));
        assert_eq!(Keymap::default().action(Context::Held, Key::Char('X')), kill);
        assert!(Keymap::with(&chosen(&[("quit", "X"), ("kill-held", "X")])).is_err());
    }
}
