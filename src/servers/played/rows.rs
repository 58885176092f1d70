//! What POP3 tells of messages, changed: sizes, counts, unique-ids, rows of listings. Knows only how
//! the lines look.

use crate::fault::plan::{Amount, Omit, Shape, UidFault};
use crate::servers::played::part::Part;

/// Characters of a unique-id that is too long (RFC 1939 section 7 allows 70).
const LONG: usize = 300;

/// What the lines of an answer are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum About {
    /// Nothing that is changed here.
    #[default]
    Nothing,
    /// STAT: the number of messages and their sum.
    Sum,
    /// LIST: the size of each message.
    Sizes(Extent),
    /// UIDL: the unique-id of each.
    UniqueIds(Extent),
}

/// Of how many messages an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Of one, in the reply itself.
    One,
    /// Of all, a row for each.
    All,
}

impl About {
    /// What the answer to a command of POP3 is about.
    #[must_use]
    pub fn command(verb: Option<&str>, line: &[u8]) -> Self {
        let extent = if line.trim_ascii().contains(&b' ') { Extent::One } else { Extent::All };
        match verb {
            Some("STAT") => Self::Sum,
            Some("LIST") => Self::Sizes(extent),
            Some("UIDL") => Self::UniqueIds(extent),
            _ => Self::Nothing,
        }
    }
}

/// The rows of an answer, and how they are changed.
#[derive(Debug, Default)]
pub struct Rows {
    about: About,
    size: Option<Amount>,
    count: Option<Amount>,
    uid: Option<UidFault>,
    /// Differs in each session.
    salt: u64,
    known: Capture,
    /// The last row, kept because it may be the one that is left out.
    held: Option<Vec<u8>>,
}

/// What a look at the listings has shown.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    size: Option<Amount>,
    /// The sum of the sizes as they are told.
    pub sum: u64,
    /// The unique-id of the first message.
    pub first: Option<Vec<u8>>,
}

impl Capture {
    /// Nothing seen yet; sizes are told as `size` says.
    #[must_use]
    pub fn new(size: Option<Amount>) -> Self {
        Self { size, ..Self::default() }
    }

    /// Looks at a row.
    pub fn see(&mut self, said: &[u8], part: Part) {
        let (Part::Lines, Some((_, value))) = (part, row(said)) else { return };
        let size = number(value).unwrap_or(0);
        self.sum = self.sum.saturating_add(self.size.map_or(size, |amount| amount.of(size)));
        self.first.get_or_insert_with(|| value.to_vec());
    }
}

impl Rows {
    /// The rows of an answer, changed by `shape`. `known` is what a look before has shown.
    #[must_use]
    pub fn new(about: About, shape: &Shape, salt: u64, known: Capture) -> Self {
        let Shape { size, count, uid, .. } = *shape;
        Self { about, size, count, uid, salt, known, held: None }
    }

    /// What is told instead of what was said.
    pub fn edited(&mut self, said: Vec<u8>, part: Part, omit: Option<Omit>) -> Vec<u8> {
        match (self.about, part) {
            (About::Nothing, _) => said,
            (About::Sum, _) => self.sum(said),
            (About::Sizes(Extent::One) | About::UniqueIds(Extent::One), _) => {
                let Some(rest) = said.strip_prefix(b"+OK ") else { return said };
                self.row(rest).map_or(said, |row| [b"+OK ", &*row].concat())
            }
            (_, Part::Lines) => {
                let told = self.row(&said).unwrap_or(said);
                self.omitted(told, omit)
            }
            // The dot: the row before it was the last.
            (_, Part::Reply) if said.starts_with(b".") => {
                let mut told = if omit == Some(Omit::Last) { Vec::new() } else { self.before() };
                self.held = None;
                told.extend_from_slice(&said);
                told
            }
            (_, Part::Reply | Part::Text) => said,
        }
    }

    fn before(&mut self) -> Vec<u8> {
        self.held.take().unwrap_or_default()
    }

    /// What can be said of the listing now that another row is known.
    fn omitted(&mut self, told: Vec<u8>, omit: Option<Omit>) -> Vec<u8> {
        match omit {
            None => told,
            Some(Omit::Last) => self.held.replace(told).unwrap_or_default(),
            Some(Omit::Message(message)) => {
                let is_it = row(&told).and_then(|(name, _)| number(name)) == Some(message);
                if is_it { Vec::new() } else { told }
            }
        }
    }

    fn sum(&self, said: Vec<u8>) -> Vec<u8> {
        let told = said.strip_prefix(b"+OK ").and_then(row).and_then(|(count, sum)| {
            let (count, sum) = (number(count)?, number(sum)?);
            let sum = self.size.map_or(sum, |_| self.known.sum);
            let count = self.count.map_or(count, |amount| amount.of(count));
            Some(format!("+OK {count} {sum}\r\n").into_bytes())
        });
        told.unwrap_or(said)
    }

    /// A row, `1 120`, as it is told.
    fn row(&mut self, said: &[u8]) -> Option<Vec<u8>> {
        let (name, value) = row(said)?;
        match (self.about, self.size, self.uid) {
            (About::Sizes(_), Some(size), _) => {
                let size = size.of(number(value)?);
                Some([name, b" ", size.to_string().as_bytes(), b"\r\n"].concat())
            }
            (About::UniqueIds(_), _, Some(uid)) => {
                number(name)?;
                Some([name, b" ", &*self.unique_id(uid, value), b"\r\n"].concat())
            }
            _ => None,
        }
    }

    fn unique_id(&mut self, uid: UidFault, value: &[u8]) -> Vec<u8> {
        match uid {
            UidFault::Same => self.known.first.get_or_insert_with(|| value.to_vec()).clone(),
            UidFault::Empty => Vec::new(),
            UidFault::Long => value.iter().copied().cycle().take(LONG).collect(),
            UidFault::New => [format!("{:016x}", self.salt).as_bytes(), value].concat(),
            UidFault::Spaces => [b" ", value, b" "].concat(),
        }
    }
}

/// The name of the message in a row, and what is told of it.
fn row(said: &[u8]) -> Option<(&[u8], &[u8])> {
    let row = said.strip_suffix(b"\r\n").unwrap_or(said);
    let blank = row.iter().position(|&octet| octet == b' ')?;
    Some((row.get(..blank)?, row.get(blank + 1..)?))
}

fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client hears of a listing.
    fn heard(shape: &Shape, about: About, said: &[(&str, Part)]) -> String {
        let mut rows = Rows::new(about, shape, 7, Capture::default());
        let told = said
            .iter()
            .map(|&(said, part)| rows.edited(format!("{said}\r\n").into_bytes(), part, shape.omit));
        String::from_utf8(told.collect::<Vec<_>>().concat()).unwrap()
    }

    const LISTING: [(&str, Part); 4] = [
        ("+OK 2 messages (320 octets)", Part::Reply),
        ("1 120", Part::Lines),
        ("2 200", Part::Lines),
        (".", Part::Reply),
    ];

    #[test]
    fn each_size_of_a_listing_is_another_one() {
        let shape = Shape { size: Some(Amount::Less(150)), ..Shape::default() };
        let told = heard(&shape, About::Sizes(Extent::All), &LISTING);
        assert_eq!(told, "+OK 2 messages (320 octets)\r\n1 0\r\n2 50\r\n.\r\n");
        let told = heard(&shape, About::Sizes(Extent::One), &[("+OK 2 200", Part::Reply)]);
        assert_eq!(told, "+OK 2 50\r\n");
        let told = heard(&shape, About::Sizes(Extent::One), &[("-ERR no 1", Part::Reply)]);
        assert_eq!(told, "-ERR no 1\r\n");
    }

    #[test]
    fn a_row_is_left_out_by_its_number_or_as_the_last() {
        let shape = |omit| Shape { omit: Some(omit), ..Shape::default() };
        let about = About::Sizes(Extent::All);
        let status = "+OK 2 messages (320 octets)\r\n";
        let told = heard(&shape(Omit::Last), about, &LISTING);
        assert_eq!(told, format!("{status}1 120\r\n.\r\n"));
        let told = heard(&shape(Omit::Message(1)), about, &LISTING);
        assert_eq!(told, format!("{status}2 200\r\n.\r\n"));
        let told = heard(&shape(Omit::Message(9)), about, &LISTING);
        assert_eq!(told, format!("{status}1 120\r\n2 200\r\n.\r\n"));
    }

    #[test]
    fn unique_ids_are_wrong_in_each_way() {
        let told = |uid| {
            let shape = Shape { uid: Some(uid), ..Shape::default() };
            heard(
                &shape,
                About::UniqueIds(Extent::All),
                &[("1 ab", Part::Lines), ("2 cd", Part::Lines)],
            )
        };
        assert_eq!(told(UidFault::Same), "1 ab\r\n2 ab\r\n");
        assert_eq!(told(UidFault::Empty), "1 \r\n2 \r\n");
        assert_eq!(told(UidFault::Spaces), "1  ab \r\n2  cd \r\n");
        assert_eq!(told(UidFault::New), "1 0000000000000007ab\r\n2 0000000000000007cd\r\n");
        let long = format!("1 {}\r\n2 {}\r\n", "ab".repeat(150), "cd".repeat(150));
        assert_eq!(told(UidFault::Long), long);
    }
}
