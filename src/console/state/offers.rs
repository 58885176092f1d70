//! The offers of the command line: each command with a sentence and its key, found by its name or
//! by a word of its sentence.

use crate::console::action::Action;
use crate::console::setting;
use crate::console::state::State;
use crate::console::state::command::{NO_ORDER, VERBS, Verb, alone, split};
use crate::console::state::rows::{ConnectionRow, MailboxRow, QueueRow};
use crate::servers::settings::SettingName;
use crate::wire::display::DisplayText;

/// The most offers that are made at once.
const MOST: usize = 200;

/// A command line that is offered for completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The whole line.
    pub line: String,
    /// What the command does, or what the argument names.
    pub sentence: DisplayText,
    /// The key that does the same; empty if there is none.
    pub key: String,
}

impl State {
    /// The offers for a line, best first: those that begin with it, then those that have it in
    /// their name, then those that have it in their sentence.
    #[must_use]
    pub fn offers(&self, line: &str) -> Vec<Offer> {
        let (name, argument) = split(line);
        if line.trim_start().contains(' ') {
            return self.offers_behind(name, argument);
        }
        let typed = name.to_ascii_lowercase();
        let mut ranked: Vec<(u8, Offer)> =
            self.commands().filter_map(|offer| Some((rank(&offer, &typed)?, offer))).collect();
        ranked.sort_by(|(one, a), (other, b)| one.cmp(other).then_with(|| a.line.cmp(&b.line)));
        ranked.into_iter().map(|(_, offer)| offer).take(MOST).collect()
    }

    /// Every command, once.
    fn commands(&self) -> impl Iterator<Item = Offer> {
        VERBS.iter().map(|verb| {
            let argument = if verb.argument().is_empty() { "" } else { " …" };
            Offer {
                line: verb.name.to_owned(),
                sentence: DisplayText::from(&*format!("{}{argument}", capital(verb.help))),
                key: self.key_of_command(verb),
            }
        })
    }

    fn key_of_command(&self, verb: &Verb) -> String {
        let keys = verb.binding().map(|binding| self.keymap.keys_of(binding));
        keys.and_then(|keys| keys.first()).map_or_else(String::new, ToString::to_string)
    }

    fn offers_behind(&self, name: &str, so_far: &str) -> Vec<Offer> {
        let words = VERBS.iter().find(|verb| verb.name == name);
        let words = words.map_or_else(Vec::new, |verb| verb.completed(self, so_far));
        let fitting = words.into_iter().filter(|(word, _)| word.starts_with(so_far)).take(MOST);
        let offer = |(word, sentence): (String, String)| Offer {
            line: format!("{name} {word}"),
            sentence: DisplayText::from(sentence.as_str()),
            key: String::new(),
        };
        fitting.map(offer).collect()
    }

    pub(super) fn open_connections(&self, _so_far: &str) -> Vec<(String, String)> {
        let open = self.connections.items().iter().filter(|row| row.closed.is_none());
        open.map(|row| (row.name.session(), of_connection(row))).collect()
    }

    pub(super) fn orders(&self, _so_far: &str) -> Vec<(String, String)> {
        self.order_names().into_iter().chain([NO_ORDER]).map(alone).collect()
    }

    pub(super) fn mailbox_names(&self, _so_far: &str) -> Vec<(String, String)> {
        let rows = self.mailboxes.items().iter();
        rows.map(|row| (row.name.as_str().to_owned(), of_mailbox(row))).collect()
    }

    /// The names of the settings; after a name, its current value, and the others if they are few.
    pub(super) fn settings_so_far(&self, so_far: &str) -> Vec<(String, String)> {
        let Some((named, _)) = so_far.split_once(' ') else {
            let name = |name: SettingName| (name.name().to_owned(), name.expected().to_owned());
            return SettingName::ALL.map(name).to_vec();
        };
        let found = SettingName::ALL.into_iter().find(|name| name.name() == named);
        found.map_or_else(Vec::new, |name| self.values(name))
    }

    fn values(&self, name: SettingName) -> Vec<(String, String)> {
        let now = setting::typed(name, &self.settings);
        let others = setting::values(name).into_iter().filter(|(value, _)| *value != now);
        let others: Vec<_> = others
            .map(|(value, means)| (format!("{} {value}", name.name()), means.to_owned()))
            .collect();
        [(format!("{} {now}", name.name()), name.expected().to_owned())]
            .into_iter()
            .chain(others)
            .collect()
    }

    pub(super) fn entries(&self, _so_far: &str) -> Vec<(String, String)> {
        let words = [
            ("marked", "those that are marked"),
            ("shown", "those that the filter shows"),
            ("all", "every entry"),
        ];
        let words = words.map(|(word, of)| (word.to_owned(), of.to_owned())).into_iter();
        let rows = self.queue.items().iter();
        words.chain(rows.map(|row| (row.recipient.as_str().to_owned(), of_entry(row)))).collect()
    }
}

fn of_connection(row: &ConnectionRow) -> String {
    format!("[{}] {} {} {}", row.name.number, row.name.service, row.peer, row.state)
}

fn of_mailbox(row: &MailboxRow) -> String {
    row.messages.map_or_else(String::new, |messages| format!("{messages} messages"))
}

fn of_entry(row: &QueueRow) -> String {
    row.last_reply.as_str().to_owned()
}

fn rank(offer: &Offer, typed: &str) -> Option<u8> {
    let verb = VERBS.iter().find(|verb| verb.name == offer.line);
    let begins = offer.line.starts_with(typed) || verb.is_some_and(|verb| verb.is_called(typed));
    if begins {
        Some(0)
    } else if offer.line.contains(typed) {
        Some(1)
    } else if typed.len() >= LEAST_IN_SENTENCE
        && offer.sentence.as_str().to_lowercase().contains(typed)
    {
        Some(2)
    } else {
        None
    }
}

/// The fewest letters that are searched for in sentences: one or two occur in every sentence.
const LEAST_IN_SENTENCE: usize = 3;

fn capital(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// Whether one of the offered commands does this.
#[must_use]
pub fn is_offered(action: Action) -> bool {
    VERBS.iter().filter_map(Verb::binding).any(|binding| binding.action == action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::keys::{BINDINGS, Section};
    use crate::console::state::tests::with_connections;

    fn lines(state: &State, typed: &str) -> Vec<String> {
        state.offers(typed).into_iter().map(|offer| offer.line).collect()
    }

    #[test]
    fn whatever_a_key_does_is_offered() {
        let with_direction = ["tile", "entry"];
        let names = BINDINGS.iter().filter(|binding| {
            // Of a list there are two ways on; in the servers' popup one is selected.
            let is_move = binding.section == Section::Move
                || with_direction.iter().any(|word| binding.name.ends_with(word));
            !is_move
                && !is_offered(binding.action)
                && !["change", "command", "fault-add"].contains(&binding.name)
        });
        let names: Vec<_> = names.map(|binding| binding.name).collect();
        assert!(names.is_empty(), "not offered: {names:?}");
    }

    #[test]
    fn names_are_what_a_person_would_guess_and_none_is_there_twice() {
        let state = with_connections(1);
        let all = lines(&state, "");
        let mut once = all.clone();
        once.dedup();
        assert_eq!(all, once);
        for name in ["close", "copy", "delete", "mark", "retry", "view", "quit", "help"] {
            assert!(all.iter().any(|line| line == name), "{name}");
        }
        for insider in ["messages-new-mailbox", "row-only-this", "save-this-message"] {
            assert!(!all.iter().any(|line| line == insider), "{insider}");
        }
    }

    #[test]
    fn a_command_is_found_by_its_beginning_its_name_and_its_sentence() {
        let state = with_connections(1);
        assert_eq!(lines(&state, "ret")[..2], ["retry", "retry-all"]);
        assert!(lines(&state, "mailb").contains(&"new-mailbox".to_owned()));
        assert!(lines(&state, "thunderbird").contains(&"first-steps".to_owned()));
        assert_eq!(lines(&state, "exit")[0], "quit");
        assert!(lines(&state, "xyzzy").is_empty());
    }

    #[test]
    fn each_has_a_sentence_and_the_key_that_does_it() {
        let state = with_connections(1);
        let offers = state.offers("zoom");
        assert_eq!((offers[0].line.as_str(), offers[0].key.as_str()), ("zoom", "z"));
        assert!(state.offers("").iter().all(|offer| offer.sentence.as_str().len() > 10));
        assert_eq!(state.offers("drop")[0].key, "d");
        let behind = state.offers("close ");
        assert_eq!(behind[0].line, "close #1");
        assert!(behind[0].sentence.as_str().contains("127.0.0.1"), "{behind:?}");
    }
}
