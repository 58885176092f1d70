//! What was found, as `JUnit`'s XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::check::client::record::Protocol;
use crate::check::client::report::Outcome;
use crate::check::client::verdict::Verdict;
use crate::wire::display::DisplayText;

/// All of it as `JUnit`'s XML, with a suite for the protocol.
///
/// # Errors
///
/// If the XML cannot be made.
pub fn in_junit(protocol: Protocol, outcomes: &[Outcome]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(protocol.name());
    suite.set_time(outcomes.iter().map(time).sum());
    suite.add_test_cases(outcomes.iter().map(|outcome| testcase(protocol, outcome)));
    let mut report = Report::unnamed();
    report.add_test_suite(suite);
    report.to_string()
}

fn testcase(protocol: Protocol, outcome: &Outcome) -> TestCase {
    let mut status = match outcome.judgement.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Info | Verdict::Skip => TestCaseStatus::skipped(),
    };
    let reason = DisplayText::from(outcome.judgement.reason.as_str()).to_string();
    if outcome.judgement.verdict == Verdict::Fail {
        status.set_description(format!("{reason}\n{}", outcome.explained()));
    }
    // Of a success it is left out.
    status.set_message(reason);
    let mut case = TestCase::new(&outcome.name, status);
    case.set_classname(class(protocol, &outcome.paragraph)).set_time(time(outcome));
    case
}

fn time(outcome: &Outcome) -> Duration {
    Duration::try_from_secs_f64(outcome.seconds()).unwrap_or_default()
}

/// `smtp.rfc5321`: the first RFC that the paragraph names.
fn class(protocol: Protocol, paragraph: &str) -> String {
    let rfc = paragraph.split(|character: char| !character.is_ascii_digit()).next();
    match rfc.filter(|rfc| !rfc.is_empty()) {
        Some(rfc) => format!("{}.rfc{rfc}", protocol.name()),
        None => protocol.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::client::report::tests::outcome;
    use crate::check::client::verdict::Judgement;

    #[test]
    fn one_suite_has_a_case_for_each_scenario() {
        let outcomes = [
            outcome(Judgement::pass("it tried later")),
            outcome(Judgement::fail(0, Some(1), "a < b\u{1}")),
            outcome(Judgement::new(Verdict::Info, "clients differ")),
            outcome(Judgement::new(Verdict::Skip, "the client never connected")),
        ];
        let xml = in_junit(Protocol::Smtp, &outcomes).unwrap();
        for part in [
            "<testsuite name=\"smtp\" tests=\"4\" skipped=\"2\" errors=\"0\" failures=\"1\" time=\"0.494\">",
            "<testcase name=\"busy\" classname=\"smtp.rfc5321\" time=\"0.123\"/>",
            "<failure message=\"a &lt; b\\x01\">a &lt; b\\x01\n",
            "-&gt; C: HELO &quot;x&quot; &lt;&amp;&gt;\n",
            "<skipped message=\"clients differ\"/>",
            "<skipped message=\"the client never connected\"/>",
        ] {
            assert!(xml.contains(part), "{part} is not in {xml}");
        }
    }

    #[test]
    fn the_class_is_the_first_rfc() {
        assert_eq!(class(Protocol::Pop3, "-"), "pop3");
        assert_eq!(class(Protocol::Smtp, "1047"), "smtp.rfc1047");
        assert_eq!(class(Protocol::Smtp, "5321 6.1, 1047"), "smtp.rfc5321");
    }
}
