//! What rules mean.

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fault::plan::{Amount, Ending, Most, Omit, Plan, Says, TlsFault, UidFault, Work};
use crate::fault::rule::{Condition, Per};
use crate::wire::glob::Glob;

#[track_caller]
fn read(text: &str) -> Rule {
    rule(text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn plan(text: &str) -> Plan {
    Plan::clone(&read(text).plan.unwrap())
}

#[track_caller]
fn limits(text: &str) -> Limits {
    read(text).limits
}

/// What goes out, with LF behind each line.
#[track_caller]
fn said(text: &str) -> String {
    match plan(text).says {
        Says::Lines(lines) => lines
            .iter()
            .flat_map(|line| [line.escape_ascii().to_string(), "\n".to_owned()])
            .collect(),
        says => panic!("{says:?}"),
    }
}

#[test]
fn the_examples_of_the_page() {
    let rule = read("smtp.rcpt to=bob@* : 451 4.7.1 greylisted per to until 60s");
    assert_eq!(&*rule.matches, "smtp.rcpt to=bob@*");
    assert_eq!(rule.point.to_string(), "smtp.rcpt");
    assert_eq!(rule.conditions, [Condition::To(Glob::of("bob@*"))]);
    let until = Some(Duration::from_mins(1));
    assert_eq!(rule.limits, Limits { per: Some(Per::To), until, ..Limits::default() });
    let says = Says::Lines(vec![b"451 4.7.1 greylisted".to_vec()]);
    assert_eq!(*rule.plan.unwrap(), Plan { work: Work::NotDone, says, ..Plan::default() });

    let rule =
        read("smtp.dot after : cut                    # stored and synced, the reply is lost");
    assert_eq!((&*rule.text, &*rule.matches), ("smtp.dot after : cut", "smtp.dot after"));
    let plan = rule.plan.unwrap();
    assert!(plan.acts_after_work);
    assert_eq!((plan.work, &plan.says), (Work::Done, &Says::Nothing));
    assert_eq!(plan.end, Some(Ending::Cut));

    let limits = limits("smtp.mail : 421 4.7.0 slow down over 10/1m");
    assert_eq!(limits.over, Some((10, Duration::from_mins(1))));

    let rule = read("pop3.retr n=2 : cut after 60");
    assert_eq!(rule.conditions, [Condition::Number(2)]);
    let plan = rule.plan.unwrap();
    assert_eq!((plan.work, &plan.says, plan.end), (Work::Done, &Says::ItsReply, Some(Ending::Cut)));
    assert_eq!(plan.shape.most, Some(Most::Octets(60)));

    assert_eq!(said("pop3.pass : -ERR [IN-USE] locked times 2"), "-ERR [IN-USE] locked\n");
    assert_eq!(read("pop3.pass : -ERR [IN-USE] locked times 2").limits.times, Some(2));

    let drip = Some((NonZeroU64::MIN, Duration::from_millis(20)));
    assert_eq!(self::plan("echo.line : drip 1/20ms").shape.drip, drip);
}

#[test]
fn blanks_around_the_colon_may_be_left_out() {
    for text in ["smtp.rcpt: cut", "smtp.rcpt :cut", "smtp.rcpt:cut", " \tsmtp.rcpt\t:\tcut "] {
        assert_eq!(read(text).point.to_string(), "smtp.rcpt", "{text}");
        assert_eq!(plan(text).end, Some(Ending::Cut), "{text}");
    }
    assert_eq!(plan("smtp.dot after: cut").work, Work::Done);
    assert_eq!(read("smtp.any nth=2: cut").conditions, [Condition::Nth(2..=2)]);
}

#[test]
fn conditions_are_what_they_say() {
    let conditions = |text: &str| read(&format!("{text} : cut")).conditions;
    assert_eq!(conditions("smtp.mail from="), [Condition::From(Glob::of(""))]);
    assert_eq!(conditions("smtp.mail from=<>"), [Condition::From(Glob::of(""))]);
    assert_eq!(conditions("smtp.mail from=<a@b>"), [Condition::From(Glob::of("a@b"))]);
    assert_eq!(
        conditions(r#"smtp.mail from="\"a b\"@c""#),
        [Condition::From(Glob::of("\"a b\"@c"))]
    );
    assert_eq!(conditions("smtp.rcpt to=a@[IPv6:::1]"), [Condition::To(Glob::of("a@[IPv6:::1]"))]);
    assert_eq!(conditions("smtp.any nth=3+"), [Condition::Nth(3..=u64::MAX)]);
    assert_eq!(conditions("smtp.text after=1K"), [Condition::After(1_024)]);
    assert_eq!(read("smtp.text after=1K : cut").mark(), 1_024);
    let net = |text: &str| vec![Condition::Client(text.parse().unwrap())];
    assert_eq!(conditions("smtp.connect client=127.0.0.1"), net("127.0.0.1/32"));
    assert_eq!(conditions("smtp.connect client=::1"), net("::1/128"));
    assert_eq!(conditions("smtp.connect client=fe80::"), net("fe80::/128"));
    assert_eq!(conditions("echo.line client=10.0.0.0/8"), net("10.0.0.0/8"));
    assert_eq!(conditions("smtp.dot from=a to=b helo=c user=d").len(), 4);
}

#[test]
fn lines_of_a_reply_get_the_code_and_the_hyphen() {
    assert_eq!(said(r"smtp.rcpt : 250-ok\n550 no"), "250-ok\n550 no\n");
    assert_eq!(said(r"smtp.rcpt : 451 one\ntwo"), "451-one\n451 two\n");
    assert_eq!(said(r"smtp.rcpt : 250 ok\n550 no"), "250-ok\n550 no\n");
    assert_eq!(said(r"smtp.rcpt : 250-ok\n550-no"), "250-ok\n550-no\n");
    assert_eq!(said(r"smtp.rcpt : 451 a\nb\n452 c\n4521 d"), "451-a\n451-b\n452-c\n451 4521 d\n");
    assert_eq!(said(r#"smtp.rcpt : 451 "one\r\ntwo""#), "451-one\n451 two\n");
    assert_eq!(said("smtp.rcpt : 451"), "451\n");
    assert_eq!(said(r"smtp.rcpt : 451\n"), "451-\n451\n");
    assert_eq!(said(r"pop3.list : +OK\n1 120\n."), "+OK\n1 120\n.\n");
    assert_eq!(said(r"pop3.capa : -ERR one\ntwo"), "-ERR one\ntwo\n");
    assert_eq!(said("echo.line : 250 ok"), "250 ok\n");
    assert_eq!(said("smtp.rcpt : 451  two  blanks"), "451  two  blanks\n");
}

#[test]
fn quotes_keep_words_that_look_like_something_else() {
    let text = r#"smtp.rcpt : 451 "4.7.1 only once" once # a comment"#;
    assert_eq!(said(text), "451 4.7.1 only once\n");
    assert_eq!(limits(text).times, Some(1));
    assert_eq!(
        said(r#"smtp.rcpt : 451 4.7.1 "a; b: c # d per to" ; close"#),
        "451 4.7.1 a; b: c # d per to\n"
    );
    assert_eq!(said(r#"smtp.rcpt : 451 "\x41\t\"""#), "451 A\\t\\\"\n");
    assert_eq!(said("smtp.rcpt : 451 see: a#b, 5\" disk"), "451 see: a#b, 5\\\" disk\n");
}

#[test]
fn limits_are_taken_from_the_end_in_any_order_and_number() {
    let all = limits("smtp.rcpt : 451 a times 3 until 1h per to over 2/5s chance 50%");
    let expected = Limits {
        times: Some(3),
        until: Some(Duration::from_hours(1)),
        per: Some(Per::To),
        over: Some((2, Duration::from_secs(5))),
        chance: Some(0.5),
    };
    assert_eq!(all, expected);
    assert_eq!(limits("smtp.rcpt : cut chance 50% over 2/5s per to until 1h times 3"), expected);
    assert_eq!(limits("smtp.rcpt : pass once").times, Some(1));
    assert_eq!(limits("pop3.uidl : omit once").times, Some(1));
    assert_eq!(limits("pop3.uidl : omit 2 times 2").times, Some(2));
    assert_eq!(limits("smtp.any : cut per session").per, Some(Per::Session));
    // Words that only look a little like limits are text.
    assert_eq!(said("smtp.dot : 552 5.2.2 mailbox over quota"), "552 5.2.2 mailbox over quota\n");
    assert_eq!(said("smtp.dot : 451 once upon a time"), "451 once upon a time\n");
}

#[test]
fn actions_of_a_rule_make_one_plan() {
    let plan = plan(
        r#"smtp.data : close; append "x\r\n"; 250 ok; delay 5s; drip 2/1s; twice; lf; lines 3; pad 1K"#,
    );
    assert_eq!(plan.work, Work::NotDone);
    assert_eq!(plan.delay, Some(Duration::from_secs(5)));
    assert_eq!(plan.end, Some(Ending::Close));
    assert_eq!(plan.shape.append.as_deref(), Some(&b"x\r\n"[..]));
    assert!(plan.shape.is_twice && plan.shape.is_lf);
    assert_eq!((plan.shape.lines.map(NonZeroU64::get), plan.shape.pad), (Some(3), Some(1_024)));
    let plan = self::plan("smtp.text : slow-read 1K/s");
    assert_eq!((plan.work, plan.slow_read.map(NonZeroU64::get)), (Work::Done, Some(1_024)));
    assert_eq!(self::plan("smtp.starttls : tls ca").tls, Some(TlsFault::Authority));
    assert_eq!(self::plan(r#"smtp.mail : raw "\xff""#).says, Says::Raw(vec![0xff]));
    assert_eq!(read("smtp.quit : pass").plan, None);
}

#[test]
fn what_pop3_tells_can_be_changed() {
    let shape = |text: &str| plan(&format!("pop3.{text}")).shape;
    assert_eq!(shape("any : size -10").size, Some(Amount::Less(10)));
    assert_eq!(shape("list : size =4G").size, Some(Amount::Is(4 << 30)));
    assert_eq!(shape("stat : count +1").count, Some(Amount::More(1)));
    assert_eq!(shape("uidl : uid spaces").uid, Some(UidFault::Spaces));
    assert_eq!(shape("uidl : omit").omit, Some(Omit::Last));
    assert_eq!(shape("list : omit 2").omit, Some(Omit::Message(2)));
    assert!(shape("retr : loop").is_endless && shape("top : unstuffed").is_unstuffed);
    assert!(shape("retr : nodot").has_no_dot);
}

#[test]
fn what_becomes_of_the_work_and_the_words() {
    use Ending::{Close, Cut, Hang, Reset};
    use Work::{Done, Lied, NotDone};
    for (text, work, is_silent, end, is_after) in [
        ("smtp.rcpt : cut", NotDone, true, Some(Cut), false),
        ("smtp.rcpt : reset", NotDone, true, Some(Reset), false),
        ("smtp.rcpt : hang", NotDone, true, Some(Hang), false),
        ("smtp.rcpt : mute", NotDone, true, None, false),
        ("smtp.rcpt : delay 1s; cut", NotDone, true, Some(Cut), false),
        ("smtp.rcpt : 250 ok; reset", NotDone, false, Some(Reset), false),
        ("smtp.rcpt : do; 250 ok; hang", Done, false, Some(Hang), false),
        ("smtp.rcpt : close", Done, false, Some(Close), false),
        ("smtp.rcpt : half", Done, false, Some(Cut), false),
        ("smtp.rcpt : cut after 3", Done, false, Some(Cut), false),
        ("smtp.rcpt : 250 ok; cut after 3", NotDone, false, Some(Cut), false),
        ("smtp.rcpt : lie", Lied, false, None, false),
        ("smtp.dot : lie; delay 1s", Lied, false, None, false),
        ("smtp.dot : delay 1s", Done, false, None, false),
        ("smtp.dot after : delay 1s", Done, false, None, true),
        ("smtp.dot : cut", NotDone, true, Some(Cut), false),
        ("smtp.dot before : cut", NotDone, true, Some(Cut), false),
        ("smtp.dot after : mute", Done, true, None, true),
        ("smtp.dot after : 451 no", Done, false, None, true),
        ("smtp.dot : cut after 3", Done, false, Some(Cut), true),
        ("smtp.dot : half", Done, false, Some(Cut), true),
        ("pop3.quit : reset after 3", Done, false, Some(Reset), true),
        ("smtp.quit : half", Done, false, Some(Cut), false),
        ("smtp.dot : 250 ok; half", NotDone, false, Some(Cut), false),
        ("smtp.dot : do; 451 no", Done, false, None, false),
        // What is changed in a reply must be said before the end.
        ("pop3.retr : nodot; hang", Done, false, Some(Hang), false),
        (r#"smtp.mail : append "x"; reset"#, Done, false, Some(Reset), false),
        ("smtp.text after=5 : cut", NotDone, true, Some(Cut), false),
        ("smtp.text : 550 no", NotDone, false, None, false),
    ] {
        let plan = plan(text);
        let says_nothing = plan.says == Says::Nothing;
        let found = (plan.work, says_nothing, plan.end, plan.acts_after_work);
        assert_eq!(found, (work, is_silent, end, is_after), "{text}");
    }
}

/// A rule with blanks only where they must be, of parts that go together.
fn canonical() -> impl Strategy<Value = String> {
    let conditions = prop::sample::subsequence(
        vec!["from=a*", "to=?@b", "helo=c", "user=d", "client=10.0.0.0/8", "nth=2+"],
        0..6,
    );
    let head = (prop::sample::select(vec!["smtp.rcpt", "smtp.rcpt", "smtp.any"]), conditions);
    let words =
        prop::sample::select(vec!["", "451 later", r"250-a\n550 b", r#"raw "\x00; # : \"""#]);
    let shapes = prop::sample::subsequence(
        vec!["delay 5s", "drip 1/20ms", "twice", "lf", "lines 3", "pad 2M", r#"append "x\r\n""#],
        1..7,
    );
    let end = prop::sample::select(vec!["", "close", "cut", "reset after 3", "half", "hang"]);
    let limits = prop::sample::subsequence(
        vec!["times 3", "per client", "until 60s", "over 3/1m", "chance 50%"],
        0..5,
    );
    (head, words, shapes, end, limits).prop_map(
        |((point, conditions), words, shapes, end, limits)| {
            let head = [vec![point], conditions].concat().join(" ");
            let actions = [vec![words], shapes, vec![end]].concat();
            let actions: Vec<&str> = actions.into_iter().filter(|one| !one.is_empty()).collect();
            let tail = [vec![actions.join("; ")], limits.into_iter().map(str::to_owned).collect()];
            format!("{head} : {}", tail.concat().join(" "))
        },
    )
}

/// Pieces of rules in any order, which come farther than any text.
fn nearly_a_rule() -> impl Strategy<Value = String> {
    let words = "smtp.rcpt smtp.dot smtp.text pop3.retr pop3.uidl after before to=a from=\"b n=2 nth=1+ \
                 after=5 client=::1: : :451 ; 451 -ERR +OK\\n \"a\\ \"\\x4 \" cut after 60 half lie do pass mute \
                 delay 5s 5x drip 1/ size +4G -1 uid same omit tls ca once times per until over 3/1m chance 5% \
                 # é \u{300} \t !";
    let words: Vec<&'static str> = words.split(' ').collect();
    let between = prop::sample::select(vec![" ", "", "  "]);
    prop::collection::vec((prop::sample::select(words), between), 0..12)
        .prop_map(|words| words.into_iter().flat_map(|(word, blank)| [word, blank]).collect())
}

#[track_caller]
fn has_its_caret_within(text: &str) {
    if let Err(error) = rule(text) {
        assert!(error.place() <= text.trim().chars().count(), "{error}");
        assert_eq!(error.to_string().lines().count(), 3, "{error}");
    }
}

proptest! {
    #[test]
    fn a_canonical_rule_is_what_it_was_written_as(text in canonical()) {
        let rule = read(&text);
        prop_assert_eq!(&*rule.text, &text);
        prop_assert_eq!(&*rule.matches, text.split(" : ").next().unwrap());
        prop_assert_eq!(read(&rule.text), rule);
        let commented = format!("  {text} # {text}");
        prop_assert_eq!(&*read(&commented).text, &text);
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>()) {
        has_its_caret_within(&text);
    }

    #[test]
    fn nor_is_what_is_nearly_a_rule(text in nearly_a_rule()) {
        has_its_caret_within(&text);
    }
}
