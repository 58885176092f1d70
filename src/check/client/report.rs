//! What was found, for people and for programs: lines, one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::check::client::record::{Entry, Protocol, Run, Side, What};
use crate::check::client::steps::without_secret;
use crate::check::client::verdict::{Judgement, Verdict};
use crate::wire::display::DisplayText;

/// Lines of a long conversation that are shown from its beginning.
const LINES_BEFORE: usize = 20;

/// Lines that are shown before and behind the marked one.
const LINES_AROUND: usize = 20;

/// What came of one scenario.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// The paragraph that says what is right.
    pub paragraph: String,
    /// What a good client does.
    pub good: String,
    /// The rules as they were played.
    pub rules: Vec<String>,
    /// How often they have acted.
    pub hits: u64,
    /// The runs.
    pub runs: Vec<Run>,
    /// The verdict.
    pub judgement: Judgement,
}

impl Outcome {
    /// `VERDICT NAME (PARAGRAPH): REASON`, without a line end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { name, paragraph, judgement, .. } = self;
        let reason = DisplayText::from(judgement.reason.as_str());
        format!("{} {name} ({paragraph}): {reason}", judgement.verdict.name())
    }

    /// The conversation with the line marked that the verdict rests on, and what a good client does:
    /// several lines, each with its end.
    #[must_use]
    pub fn explained(&self) -> String {
        let Conversation { lines, marked } = self.conversation();
        let mut text = String::new();
        let around = marked.unwrap_or(lines.len());
        let is_shown =
            |index: usize| index < LINES_BEFORE || index.abs_diff(around) <= LINES_AROUND;
        let mut left_out = 0;
        for (index, line) in lines.iter().enumerate() {
            if !is_shown(index) {
                left_out += 1;
                continue;
            }
            if std::mem::take(&mut left_out) > 0 {
                let _ = writeln!(text, "     …");
            }
            let mark = if marked == Some(index) { "->" } else { "  " };
            let _ = writeln!(text, "  {mark} {line}");
        }
        if left_out > 0 {
            let _ = writeln!(text, "     …");
        }
        let _ = writeln!(text, "  a good client: {}", self.good);
        text
    }

    fn conversation(&self) -> Conversation {
        let mut conversation = Conversation::default();
        for (number, run) in self.runs.iter().enumerate() {
            let mark = self.judgement.mark.filter(|mark| mark.run == number);
            if number > 0 {
                conversation.lines.push(format!(".. run {}", number + 1));
            }
            let mut connection = 0;
            for (index, entry) in run.entries.iter().enumerate() {
                if std::mem::replace(&mut connection, entry.connection) != entry.connection {
                    conversation.lines.push(format!(".. connection {}", entry.connection + 1));
                }
                if mark.is_some_and(|mark| mark.entry == index) {
                    conversation.marked = Some(conversation.lines.len());
                }
                conversation.lines.push(shown(entry));
            }
        }
        conversation
    }

    /// How long all of its runs took.
    pub(super) fn seconds(&self) -> f64 {
        self.runs.iter().map(|run| run.seconds).sum()
    }
}

#[derive(Default)]
struct Conversation {
    lines: Vec<String>,
    marked: Option<usize>,
}

fn shown(entry: &Entry) -> String {
    match &entry.what {
        What::Opened => ".. new connection".to_owned(),
        What::Command { line, .. } => {
            let line = without_secret(&String::from_utf8_lossy(line));
            format!("C: {}", DisplayText::from(line.as_str()))
        }
        What::Answer => "C: ******".to_owned(),
        What::Reply { line, octets, .. } if *octets > line.len() as u64 + 2 => {
            format!("S: {} [{octets} octets]", DisplayText::new(line))
        }
        What::Reply { line, .. } => format!("S: {}", DisplayText::new(line)),
        What::Text { side, octets, is_whole } => {
            let letter = letter(*side);
            let end = if *is_whole { "" } else { ", without its end" };
            format!("{letter}: [{octets} octets of text{end}]")
        }
        What::Fault(told) => format!(".. fault {}", DisplayText::from(told.as_str())),
        What::Secured => ".. TLS".to_owned(),
        What::Closed(Some(Side::Client)) => ".. closed by the client".to_owned(),
        What::Closed(Some(Side::Server)) => ".. closed by the server".to_owned(),
        What::Closed(None) => ".. closed".to_owned(),
    }
}

const fn letter(side: Side) -> char {
    match side {
        Side::Client => 'C',
        Side::Server => 'S',
    }
}

/// How many scenarios had which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Passed.
    pub pass: usize,
    /// Failed.
    pub fail: usize,
    /// Neither.
    pub info: usize,
    /// Not tried.
    pub skip: usize,
}

impl Counts {
    /// Those of these outcomes.
    #[must_use]
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            *match outcome.judgement.verdict {
                Verdict::Pass => &mut counts.pass,
                Verdict::Fail => &mut counts.fail,
                Verdict::Info => &mut counts.info,
                Verdict::Skip => &mut counts.skip,
            } += 1;
        }
        counts
    }

    fn words(self) -> String {
        let Self { pass, fail, info, skip } = self;
        format!("{pass} pass, {fail} fail, {info} info, {skip} skip")
    }
}

/// The summary by paragraph, and the sum: several lines, each with its end.
#[must_use]
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut paragraphs: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        paragraphs.entry(&outcome.paragraph).or_default().push(outcome);
    }
    let mut text = String::from("\n");
    for (paragraph, outcomes) in paragraphs {
        let _ = writeln!(text, "{paragraph}: {}", Counts::of(outcomes).words());
    }
    let _ = writeln!(text, "all: {}", Counts::of(outcomes).words());
    text
}

/// All of it as one JSON object on one line, with its end.
#[must_use]
pub fn in_json(protocol: Protocol, outcomes: &[Outcome]) -> String {
    let whole = WholeView {
        v: 1,
        protocol: protocol.name(),
        results: outcomes.iter().map(ResultView::of).collect(),
        counts: Counts::of(outcomes),
    };
    let mut line = serde_json::to_string(&whole).unwrap_or_default();
    line.push('\n');
    line
}

#[derive(Serialize)]
struct WholeView<'a> {
    v: u8,
    protocol: &'static str,
    results: Vec<ResultView<'a>>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct ResultView<'a> {
    name: &'a str,
    verdict: Verdict,
    reason: &'a str,
    paragraph: &'a str,
    good: &'a str,
    rules: &'a [String],
    hits: u64,
    runs: Vec<RunView>,
    conversation: Vec<String>,
    line: Option<usize>,
}

#[derive(Serialize)]
struct RunView {
    exit: Option<i32>,
    timed_out: bool,
    seconds: f64,
}

impl<'a> ResultView<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let Conversation { lines, marked } = outcome.conversation();
        let run = |run: &Run| RunView {
            exit: run.exit,
            timed_out: run.timed_out,
            seconds: (run.seconds * 1_000.0).round() / 1_000.0,
        };
        Self {
            name: &outcome.name,
            verdict: outcome.judgement.verdict,
            reason: &outcome.judgement.reason,
            paragraph: &outcome.paragraph,
            good: &outcome.good,
            rules: &outcome.rules,
            hits: outcome.hits,
            runs: outcome.runs.iter().map(run).collect(),
            conversation: lines,
            line: marked,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::check::client) fn outcome(judgement: Judgement) -> Outcome {
        let entry = |what| Entry { connection: 0, at: 0.0, what };
        let command = What::Command { line: b"HELO \"x\" <&>".to_vec(), is_pipelined: false };
        Outcome {
            name: "busy".into(),
            paragraph: "5321 3.8, 4.2.2".into(),
            good: "tries later".into(),
            rules: vec!["smtp.connect : 421 x".into()],
            hits: 1,
            runs: vec![Run {
                entries: vec![entry(What::Opened), entry(command)],
                exit: Some(1),
                seconds: 0.12345,
                ..Run::default()
            }],
            judgement,
        }
    }

    #[test]
    fn a_line_says_it_all_and_the_summary_counts() {
        let one = outcome(Judgement::fail(0, Some(1), "it said HELO"));
        assert_eq!(one.line(), "fail busy (5321 3.8, 4.2.2): it said HELO");
        assert_eq!(
            summary(&[one]),
            "\n5321 3.8, 4.2.2: 0 pass, 1 fail, 0 info, 0 skip\nall: 0 pass, 1 fail, 0 info, 0 skip\n"
        );
    }

    #[test]
    fn json_is_one_object_with_the_marked_line() {
        let one = outcome(Judgement::fail(0, Some(1), "it said HELO"));
        assert_eq!(
            in_json(Protocol::Smtp, &[one]),
            "{\"v\":1,\"protocol\":\"smtp\",\"results\":[{\"name\":\"busy\",\"verdict\":\"fail\",\
             \"reason\":\"it said HELO\",\"paragraph\":\"5321 3.8, 4.2.2\",\"good\":\"tries later\",\
             \"rules\":[\"smtp.connect : 421 x\"],\"hits\":1,\"runs\":[{\"exit\":1,\"timed_out\":false,\
             \"seconds\":0.123}],\"conversation\":[\".. new connection\",\"C: HELO \\\"x\\\" <&>\"],\
             \"line\":1}],\"pass\":0,\"fail\":1,\"info\":0,\"skip\":0}\n"
        );
    }
}
