//! The figures, in the end: ours, what they are compared with, and what is aimed at.

use std::fmt;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// How often a second.
    PerSecond,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Octets.
    Octets,
}

/// What the ratio of ours to the peer's is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// As much, or more.
    AtLeast(f64),
    /// As much, or less.
    AtMost(f64),
    /// It is only told.
    Nothing,
}

impl Aim {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(aim) => ratio >= aim,
            Self::AtMost(aim) => ratio <= aim,
            Self::Nothing => true,
        }
    }
}

/// What was measured of one kind of work: a figure of each round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Vec<f64>,
    /// Of the other build, if one is measured in turn.
    pub(crate) other: Vec<f64>,
    /// Of whatever the work is compared with; of nothing if that is not installed.
    pub(crate) peer: Vec<f64>,
    pub(crate) peer_name: &'static str,
    pub(crate) aim: Aim,
}

/// Rows under their headings, and remarks.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sections: Vec<(&'static str, Vec<Row>)>,
    notes: Vec<String>,
}

impl Table {
    /// Puts a row under its heading.
    pub(crate) fn add(&mut self, heading: &'static str, row: Row) {
        match self.sections.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, rows)) => rows.push(row),
            None => self.sections.push((heading, vec![row])),
        }
    }

    /// Puts a remark below the rows, once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (heading, rows) in &self.sections {
            let has_other = rows.iter().any(|row| !row.other.is_empty());
            let other = if has_other { ["other", "ours / other"] } else { [""; 2] };
            writeln!(f, "\n{heading}")?;
            let line = Line {
                name: "",
                ours: "ours",
                other,
                peer: ["peer", "", "ours / peer"],
                aim: "aim",
            };
            line.fmt(f)?;
            rows.iter().try_for_each(|row| row.fmt(f))?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

/// One line of the table, in its columns.
struct Line<'a> {
    name: &'a str,
    ours: &'a str,
    /// Nothing where no other build is measured.
    other: [&'a str; 2],
    peer: [&'a str; 3],
    aim: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ours, other: [other, to_other], peer: [peer, peer_name, to_peer], aim } =
            self;
        write!(f, "  {name:<36} {ours:>9}  ")?;
        if !other.is_empty() {
            write!(f, "{other:>9}  {to_other:<18} ")?;
        }
        let line = format!("{peer:>9}  {peer_name:<12} {to_peer:<18} {aim}");
        writeln!(f, "{}", line.trim_end())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to_other, to_peer) =
            (Ratio::of(&self.ours, &self.other), Ratio::of(&self.ours, &self.peer));
        let other = [self.figure(&self.other), shown_or_dash(to_other.as_ref())];
        let peer = [self.figure(&self.peer), shown_or_dash(to_peer.as_ref())];
        let line = Line {
            name: &self.name,
            ours: &self.figure(&self.ours),
            other: if self.other.is_empty() { [""; 2] } else { [&other[0], &other[1]] },
            peer: [&peer[0], self.peer_name, &peer[1]],
            aim: &self.verdict(to_peer.as_ref()),
        };
        line.fmt(f)
    }
}

impl Row {
    fn figure(&self, figures: &[f64]) -> String {
        let Some(figure) = median(figures) else { return "-".to_owned() };
        match self.unit {
            Unit::PerSecond => format!("{figure:.0}/s"),
            Unit::Microseconds => format!("{figure:.1} us"),
            Unit::Milliseconds => format!("{figure:.1} ms"),
            Unit::Octets => format!("{figure:.0}"),
        }
    }

    fn verdict(&self, ratio: Option<&Ratio>) -> String {
        let aim = match self.aim {
            Aim::AtLeast(aim) => format!("at least {aim:.2}"),
            Aim::AtMost(aim) => format!("at most {aim:.2}"),
            Aim::Nothing => return String::new(),
        };
        match ratio {
            Some(ratio) if !self.aim.is_met_by(ratio.median) => format!("{aim}, missed"),
            _ => aim,
        }
    }
}

/// How much more one is than the other: the median of the rounds, and the range.
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

impl Ratio {
    fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Some(Self {
            median: median(&ratios)?,
            least: ratios.iter().copied().min_by(f64::total_cmp)?,
            most: ratios.iter().copied().max_by(f64::total_cmp)?,
        })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = self;
        f.pad(&format!("{median:.2} ({least:.2}-{most:.2})"))
    }
}

fn shown_or_dash(ratio: Option<&Ratio>) -> String {
    ratio.map_or_else(|| "-".to_owned(), Ratio::to_string)
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
