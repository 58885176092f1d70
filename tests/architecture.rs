//! The rooms know of each other only what ARCHITECTURE.md says, and no files use each other in a
//! circle.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

/// The rooms. Each may use those behind it, and none before it.
const ROOMS: [&str; 13] = [
    "app", "ui", "control", "console", "mailroom", "relay", "servers", "check", "fault", "watch",
    "store", "mail", "wire",
];

/// Rooms that must not be used though they stand below: the first does not name the second.
const FORBIDDEN: [(&str, &str); 9] = [
    // The screen shows what the console says of these; other programs have the control socket.
    ("ui", "control"),
    ("ui", "relay"),
    ("ui", "servers"),
    // The tester plays against any server, and knows nothing of ours.
    ("check", "watch"),
    ("check", "store"),
    ("check", "mail"),
    // A mailbox is the same whoever is connected.
    ("watch", "store"),
    ("watch", "mail"),
    // An address needs no line.
    ("mail", "wire"),
];

/// Something of another file that a file uses.
#[derive(Debug)]
struct Use {
    /// The module that uses it, such as `store::journal::wal`.
    by: String,
    /// Where it says so.
    at: String,
    /// What is used: `store::files::FileName`.
    path: String,
}

impl Use {
    fn room(&self) -> &str {
        self.path.split("::").next().unwrap()
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: uses crate::{}", self.at, self.path)
    }
}

/// Every source file below `src/room`, but for those that hold only tests.
fn files(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            if stem == "tests" || stem.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there is no room {room}");
    found
}

/// A file's name below `src`.
fn below_src(path: &Path) -> &Path {
    path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap()
}

/// The module that a file is: `store::journal` for `store/journal/mod.rs`.
fn module(path: &Path) -> String {
    let parts = below_src(path).with_extension("");
    let parts: Vec<_> = parts.iter().map(|part| part.to_str().unwrap()).collect();
    let module = parts.join("::");
    module.strip_suffix("::mod").unwrap_or(&module).to_owned()
}

/// Gathers what the code of one file uses of the crate, tests left out.
struct Gatherer {
    module: String,
    file: String,
    uses: Vec<Use>,
}

impl Gatherer {
    fn note(&mut self, path: &[String], line: usize) {
        let parent = self.module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let rest = path.get(1..).unwrap_or_default().join("::");
        let path = match path.first().map(String::as_str) {
            Some("crate") => rest,
            Some("super") => format!("{parent}::{rest}"),
            Some("self") => format!("{}::{rest}", self.module),
            _ => return,
        };
        let at = format!("src/{}:{line}", self.file);
        self.uses.push(Use { by: self.module.clone(), at, path });
    }

    fn note_tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        let line = tree.span().start().line;
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_tree(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.note_tree(before, tree));
            }
            UseTree::Name(name) if name.ident == "self" => self.note(before, line),
            UseTree::Name(name) => self.note(&with(before, &name.ident), line),
            UseTree::Rename(rename) => self.note(&with(before, &rename.ident), line),
            UseTree::Glob(_) => self.note(before, line),
        }
    }
}

fn with(before: &[String], last: &impl ToString) -> Vec<String> {
    before.iter().cloned().chain([last.to_string()]).collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Gatherer {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(module) => &module.attrs,
            Item::Fn(function) => &function.attrs,
            Item::Use(used) => &used.attrs,
            Item::Impl(block) => &block.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, used: &'ast ItemUse) {
        self.note_tree(&mut Vec::new(), &used.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|one| one.ident.to_string()).collect();
        if names.len() > 1 {
            self.note(&names, path.span().start().line);
        }
        visit::visit_path(self, path);
    }
}

/// What all files of a room use of the crate.
fn uses(room: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    for path in files(room) {
        let code = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        let file = below_src(&path).display().to_string();
        let mut gatherer = Gatherer { module: module(&path), file, uses: Vec::new() };
        gatherer.visit_file(&code);
        uses.extend(gatherer.uses);
    }
    uses
}

#[test]
fn every_room_uses_only_rooms_below_it() {
    let mut wrong = String::new();
    for (nth, room) in ROOMS.iter().enumerate() {
        for one in uses(room) {
            let is_above = ROOMS.iter().take(nth).any(|above| *above == one.room());
            if is_above || FORBIDDEN.contains(&(room, one.room())) {
                let _ = writeln!(wrong, "{one}, but {room} must not use {}", one.room());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_rooms_are_all_there_are() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders = fs::read_dir(src).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let names: BTreeSet<String> = names.collect();
    assert_eq!(names, ROOMS.map(str::to_owned).into());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let modules: BTreeSet<String> =
        ROOMS.iter().flat_map(|room| files(room)).map(|path| module(&path)).collect();
    // The file that what is used stands in is the deepest module that its path names.
    let file_of = |path: &str| {
        let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
        let modules = ends.filter_map(|end| modules.get(path.get(..end)?));
        modules.last().cloned()
    };
    let mut used_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut uses: Vec<(String, Use)> = Vec::new();
    for one in ROOMS.iter().flat_map(|room| self::uses(room)) {
        if let Some(used) = file_of(&one.path).filter(|used| *used != one.by) {
            used_by.entry(one.by.clone()).or_default().insert(used.clone());
            uses.push((used, one));
        }
    }
    let wrong = uses.iter().filter(|(used, one)| reaches(used, &one.by, &used_by));
    let lines: Vec<String> = wrong.map(|(_, one)| one.to_string()).collect();
    assert!(lines.is_empty(), "in a circle:\n{}", lines.join("\n"));
}

/// Whether one file uses another, or uses one that does.
fn reaches(from: &str, to: &str, used_by: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        if file == to {
            return true;
        }
        if seen.insert(file) {
            next.extend(used_by.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// No line of code in these files says any of the words.
#[track_caller]
fn knows_nothing_of(room: &str, is_meant: impl Fn(&Path) -> bool, words: &[&str]) {
    let meant: Vec<PathBuf> = files(room).into_iter().filter(|path| is_meant(path)).collect();
    assert!(!meant.is_empty(), "no file of {room} is meant");
    for path in meant {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (nth, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in words {
                let at = below_src(&path).display();
                assert!(!line.contains(word), "src/{at}:{} says {word}: {line}", nth + 1);
            }
        }
    }
}

fn has_name(path: &Path, names: &[&str]) -> bool {
    names.iter().any(|name| path.ends_with(name))
}

fn is_within(path: &Path, folder: &str) -> bool {
    path.components().any(|part| part.as_os_str() == folder)
}

#[test]
fn only_the_composition_root_names_the_command_line_and_only_the_screen_the_terminal() {
    for room in ROOMS {
        if room != "app" {
            knows_nothing_of(room, |_| true, &["clap"]);
        }
        if room != "ui" && room != "app" {
            knows_nothing_of(room, |_| true, &["ratatui", "crossterm", "tui_logger"]);
        }
    }
    knows_nothing_of("app", |_| true, &["ratatui", "crossterm"]);
    knows_nothing_of("ui", |path| is_within(path, "panes"), &["std::fs", "tokio", "crossterm"]);
}

#[test]
fn sessions_hold_no_socket_no_file_and_no_clock() {
    let words = ["tokio", "std::fs", "std::net", "std::time", "chrono", "async "];
    knows_nothing_of("servers/smtp", |path| has_name(path, &["session.rs"]), &words);
    knows_nothing_of("servers/pop3", |path| has_name(path, &["session.rs"]), &words);
    let is_session = |path: &Path| has_name(path, &["session.rs", "echo.rs"]);
    knows_nothing_of("servers", is_session, &["std::fs", "std::time", "chrono"]);
}

#[test]
fn what_is_called_pure_does_no_io() {
    let words = ["tokio", "std::fs", "std::io", "std::thread"];
    knows_nothing_of("wire", |_| true, &words);
    knows_nothing_of("fault", |_| true, &words);
    knows_nothing_of("mail", |path| has_name(path, &["address.rs", "path.rs"]), &words);
    knows_nothing_of("relay/conversation", |_| true, &words);
    let decodes = |path: &Path| path.ends_with("decode.rs") || is_within(path, "decode");
    knows_nothing_of("mailroom", decodes, &words);
    let pure = ["reply.rs", "text.rs", "mx.rs", "envelope.rs", "backoff.rs", "outcomes.rs"];
    let words_of_relay = ["tokio::net", "std::fs", "std::thread", "tokio::time"];
    knows_nothing_of("relay", |path| has_name(path, &pure), &words_of_relay);
    let pure = ["from_line.rs", "mbox.rs", "turns.rs"];
    knows_nothing_of("store", |path| has_name(path, &pure), &words);
}

#[test]
fn what_the_screen_shows_is_kept_without_a_screen() {
    let words = ["tokio", "std::fs", "std::io", "std::thread"];
    knows_nothing_of("console/state", |_| true, &words);
    let values = ["action.rs", "keys.rs", "setting.rs", "state.rs"];
    knows_nothing_of("console", |path| has_name(path, &values), &words);
}
