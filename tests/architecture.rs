//! The rooms know of each other only what ARCHITECTURE.md says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src/room`, with its text up to its tests.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                found.push((path, code.to_owned()));
            }
        }
    }
    assert!(!found.is_empty(), "there is no room {room}");
    found
}

/// No line of code in the room says any of the words.
#[track_caller]
fn knows_nothing_of(room: &str, is_meant: impl Fn(&Path) -> bool, words: &[&str]) {
    for (path, code) in sources(room).iter().filter(|(path, _)| is_meant(path)) {
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in words {
                assert!(!line.contains(word), "{} says {word}: {line}", path.display());
            }
        }
    }
}

#[test]
fn nothing_below_the_composition_root_names_the_command_line_or_the_screen() {
    for room in ["wire", "store", "servers", "relay", "check"] {
        knows_nothing_of(room, |_| true, &["clap", "ratatui", "crossterm", "tui_logger"]);
        knows_nothing_of(room, |_| true, &["crate::app", "crate::ui"]);
    }
}

#[test]
fn dependencies_point_one_way() {
    knows_nothing_of("wire", |_| true, &["crate::store", "crate::servers", "crate::check"]);
    knows_nothing_of("store", |_| true, &["crate::servers", "crate::check"]);
    for room in ["wire", "store", "servers", "check"] {
        knows_nothing_of(room, |_| true, &["crate::relay"]);
    }
    let protocols = ["crate::servers::smtp", "crate::servers::pop3", "crate::servers::serve"];
    knows_nothing_of("relay", |_| true, &protocols);
    knows_nothing_of("check", |_| true, &["crate::servers", "crate::store"]);
    knows_nothing_of("ui", |_| true, &["crate::servers::smtp", "crate::servers::pop3"]);
    let draws = |path: &Path| path.components().any(|part| part.as_os_str() == "panes");
    knows_nothing_of("ui", draws, &["std::fs", "tokio", "crossterm"]);
}

#[test]
fn sessions_hold_no_socket_no_file_and_no_clock() {
    let is_session = |path: &Path| path.ends_with("session.rs") || path.ends_with("echo.rs");
    let words = ["tokio", "std::fs", "std::net", "std::time", "chrono", "async "];
    knows_nothing_of("servers/smtp", |path| path.ends_with("session.rs"), &words);
    knows_nothing_of("servers/pop3", |path| path.ends_with("session.rs"), &words);
    knows_nothing_of("servers", |path| is_session(path), &["std::fs", "std::time", "chrono"]);
}

#[test]
fn what_is_called_pure_does_no_io() {
    let words = ["tokio", "std::fs", "std::io", "std::thread"];
    knows_nothing_of("wire", |_| true, &words);
    knows_nothing_of("relay/conversation", |_| true, &words);
    let decodes = |path: &Path| path.components().any(|part| part.as_os_str() == "decode");
    knows_nothing_of("app/mailroom", |path| path.ends_with("decode.rs") || decodes(path), &words);
    let pure = ["reply.rs", "text.rs", "mx.rs", "envelope.rs", "backoff.rs", "outcomes.rs"];
    let is_pure = |path: &Path| pure.iter().any(|name| path.ends_with(name));
    knows_nothing_of("relay", is_pure, &["tokio::net", "std::fs", "std::thread", "tokio::time"]);
    knows_nothing_of(
        "store",
        |path| ["from_line.rs", "mbox.rs", "turns.rs"].iter().any(|name| path.ends_with(name)),
        &words,
    );
}

#[test]
fn what_the_screen_shows_is_kept_without_a_screen() {
    let words = ["ratatui", "crossterm", "tokio", "std::fs", "std::io", "std::thread", "crate::ui"];
    knows_nothing_of("app/state", |_| true, &words);
    let is_value = |path: &Path| {
        ["action.rs", "keys.rs", "setting.rs"].iter().any(|name| path.ends_with(name))
    };
    knows_nothing_of("app", is_value, &words);
}

/// Files of the store that each file of the store uses, by their modules' names.
fn uses_within_store() -> Vec<(String, Vec<String>)> {
    let name = |path: &Path| {
        let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"));
        let below = below.unwrap().with_extension("");
        let names: Vec<_> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        names.join("::").trim_end_matches("::mod").to_owned()
    };
    let files: Vec<_> = sources("store")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("store/mod.rs"))
        .map(|(path, code)| (name(&path), code))
        .collect();
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let used = |code: &str, other: &String| {
        code.match_indices(&format!("crate::store::{other}::"))
            .any(|(at, found)| deepest(code.get(at + found.len()..).unwrap(), other, &names))
    };
    files
        .iter()
        .map(|(file, code)| {
            let others = names.iter().filter(|other| *other != file && used(code, other));
            (file.clone(), others.cloned().collect())
        })
        .collect()
}

/// Whether what follows `crate::store::other::` names something in that file, not in one below it.
fn deepest(rest: &str, other: &str, names: &[String]) -> bool {
    let next: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    !names.contains(&format!("{other}::{next}"))
}

#[test]
fn no_files_of_the_store_use_each_other_in_a_circle() {
    let mut left = uses_within_store();
    // Whoever uses nobody that is left cannot be part of a circle.
    loop {
        let names: Vec<String> = left.iter().map(|(name, _)| name.clone()).collect();
        let before = left.len();
        left.retain(|(_, others)| others.iter().any(|other| names.contains(other)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:?}");
}
