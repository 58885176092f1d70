//! The addresses in the value of a header field such as `To:` (RFC 5322 section 3.4). Comments and
//! the names of groups are left out.

/// An address with the name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, without quotes; empty if there is none.
    pub name: String,
    /// The address, as it is written.
    pub address: String,
}

/// The addresses of a list, as they are written: `Bob <bob@x>, team: eve@x, root;` has `bob@x`,
/// `eve@x` and `root`. What is no address is given too, for whoever checks them.
#[must_use]
pub fn addresses(list: &str) -> Vec<String> {
    mailboxes(list).into_iter().map(|mailbox| mailbox.address).collect()
}

/// The same with the names.
#[must_use]
pub fn mailboxes(list: &str) -> Vec<Mailbox> {
    let mut reader = Reader::default();
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        reader.take(character, &mut characters);
    }
    reader.item_ends();
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Vec<Mailbox>,
    /// What stands outside `<…>` in the current item.
    plain: String,
    /// What stands in `<…>` there.
    angle: Option<String>,
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Plain,
    Angle,
    /// An address literal, in whose `[…]` a colon is no end of a group's name.
    Literal,
}

impl Reader {
    fn take(&mut self, character: char, rest: &mut impl Iterator<Item = char>) {
        match (self.place, character) {
            (_, '"') => {
                self.push('"');
                self.quoted(rest);
            }
            (Place::Plain, '(') => skip_comment(rest),
            (Place::Plain, '<') => {
                self.angle = Some(String::new());
                self.place = Place::Angle;
            }
            (Place::Angle, '>') => self.place = Place::Plain,
            (Place::Plain, '[') => {
                self.place = Place::Literal;
                self.push(character);
            }
            (Place::Literal, ']') => {
                self.place = Place::Plain;
                self.push(character);
            }
            (Place::Plain, ',' | ';') => self.item_ends(),
            // What stands before it is the name of a group.
            (Place::Plain, ':') => self.plain.clear(),
            _ => self.push(character),
        }
    }

    fn push(&mut self, character: char) {
        match (self.place, &mut self.angle) {
            (Place::Angle, Some(angle)) => angle.push(character),
            _ => self.plain.push(character),
        }
    }

    fn quoted(&mut self, rest: &mut impl Iterator<Item = char>) {
        while let Some(character) = rest.next() {
            self.push(character);
            match character {
                '\\' => rest.next().into_iter().for_each(|next| self.push(next)),
                '"' => return,
                _ => {}
            }
        }
    }

    fn item_ends(&mut self) {
        let plain = std::mem::take(&mut self.plain);
        let (name, item) = match self.angle.take() {
            Some(angle) => (unquoted(plain.trim()), angle),
            None => (String::new(), plain),
        };
        self.place = Place::Plain;
        // A source route is no part of the address (RFC 5322 section 4.4).
        let routed = item.trim_start().starts_with('@').then(|| item.split_once(':'));
        let address = routed.flatten().map_or(item.as_str(), |(_, address)| address).trim();
        if !address.is_empty() {
            self.found.push(Mailbox { name, address: address.to_owned() });
        }
    }
}

/// What a quoted string says; other text as it is.
fn unquoted(text: &str) -> String {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return text.to_owned() };
    let mut plain = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

/// Skips to the end of a comment; they may be nested.
fn skip_comment(rest: &mut impl Iterator<Item = char>) {
    let mut depth = 1_u32;
    while let Some(character) = rest.next() {
        match character {
            '\\' => drop(rest.next()),
            '(' => depth += 1,
            ')' if depth == 1 => return,
            ')' => depth -= 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_found_among_names_comments_and_groups() {
        for (list, found) in [
            ("bob@x", &["bob@x"][..]),
            ("root", &["root"]),
            (" a@x ,\r\n b@y,, ", &["a@x", "b@y"]),
            ("Bob <bob@x>, \"Eve, the\\\" first\" <eve@y>", &["bob@x", "eve@y"]),
            ("bob@x (Bob (of X), a\\) b), c@z", &["bob@x", "c@z"]),
            ("team: a@x, B <b@x>; , root", &["a@x", "b@x", "root"]),
            ("undisclosed-recipients:;", &[]),
            ("<@relay,@other:bob@x>", &["bob@x"]),
            ("bob@[IPv6:::1], \"a b\"@x", &["bob@[IPv6:::1]", "\"a b\"@x"]),
            ("Bob <>", &[]),
            ("no address, <open@x", &["no address", "open@x"]),
            ("\"open, a@x", &["\"open, a@x"]),
        ] {
            assert_eq!(addresses(list), found, "{list}");
        }
    }

    #[test]
    fn names_stand_before_addresses() {
        let found = mailboxes("Bob B <b@x>, \"O. \\\"Z\\\"\" <o@x>, root, <c@x> (C)");
        let names: Vec<&str> = found.iter().map(|mailbox| mailbox.name.as_str()).collect();
        assert_eq!(names, ["Bob B", "O. \"Z\"", "", ""]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(list in "[a<>@,;:()\\[\\]\\\\\" é]{0,40}") {
            prop_assert!(addresses(&list).iter().all(|address| !address.trim().is_empty()));
        }
    }
}
