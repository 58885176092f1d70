//! What is said of rules that cannot be read, and where the caret stands.

use super::rule;

#[test]
fn the_three_lines_of_an_error() {
    let error = rule("smtp.rcp : 451 later").unwrap_err();
    assert_eq!(
        format!("mailconsole: --fault: {error}"),
        "mailconsole: --fault: there is no point smtp.rcp\n  \
           smtp.rcp : 451 later\n  \
           ^ connect helo ehlo mail rcpt data text dot rset noop quit vrfy auth starttls other any"
    );
}

/// The rule cannot be read: the sentence, and where the caret stands below the rule.
#[track_caller]
fn wrong(text: &str, sentence: &str, caret: &str) {
    let error = rule(text).unwrap_err();
    let told = error.to_string();
    let lines: Vec<&str> = told.lines().collect();
    let at = lines[2].chars().position(|one| one == '^').unwrap();
    assert_eq!((lines[0], at - 2), (sentence, caret.chars().count()), "\n{told}");
    assert_eq!(lines[1], format!("  {}", text.trim()));
    assert!(text.trim().starts_with(caret), "{caret}");
}

#[test]
fn a_point_must_be_one() {
    wrong("", "a point is missing", "");
    wrong("# nothing", "a point is missing", "");
    wrong(": cut", "a point is missing", "");
    wrong("smpt.rcpt : cut", "there is no point smpt.rcpt", "");
    wrong("relay.rcpt : cut", "there is no point relay.rcpt", "");
    wrong("smtp : cut", "there is no point smtp", "");
    wrong("pop3.rcpt : cut", "there is no point pop3.rcpt", "");
    wrong("echo.noop : cut", "there is no point echo.noop", "");
    wrong("smtp.rcpt! : cut", "only a breakpoint has a !", "smtp.rcpt");
    wrong("smtp.rcpt", "a colon and an action are missing", "smtp.rcpt");
    wrong("smtp.rcpt to=a # : cut", "a colon and an action are missing", "smtp.rcpt to=a ");
}

#[test]
fn a_condition_must_be_one_and_have_a_meaning() {
    wrong("smtp.rcpt foo=a : cut", "there is no condition foo", "smtp.rcpt ");
    wrong("smtp.rcpt foo : cut", "there is no condition foo", "smtp.rcpt ");
    wrong("smtp.rcpt after : cut", "after has no meaning at smtp.rcpt", "smtp.rcpt ");
    wrong("smtp.quit before : cut", "before has no meaning at smtp.quit", "smtp.quit ");
    wrong("smtp.dot to=a after : cut", "after stands behind the point", "smtp.dot to=a ");
    wrong("smtp.rcpt n=2 : cut", "n= has no meaning at smtp.rcpt", "smtp.rcpt ");
    wrong("pop3.stat n=2 : cut", "n= has no meaning at pop3.stat", "pop3.stat ");
    wrong("pop3.retr to=a : cut", "to= has no meaning at pop3.retr", "pop3.retr ");
    wrong("smtp.dot after=5 : cut", "after= has no meaning at smtp.dot", "smtp.dot ");
    wrong("pop3.retr n=0 : cut", "0 is not a whole number from 1", "pop3.retr n=");
    wrong("smtp.any nth=+ : cut", "a whole number from 1 is missing", "smtp.any nth=");
    wrong("smtp.any nth=1 nth=2 : cut", "nth= is given twice", "smtp.any nth=1 ");
    wrong("smtp.any client=1.2.3 : cut", "1.2.3 is not a network", "smtp.any client=");
    wrong("smtp.any client=1.2.3.4/33 : cut", "1.2.3.4/33 is not a network", "smtp.any client=");
}

#[test]
fn an_action_must_be_one_and_have_a_meaning() {
    wrong("smtp.rcpt :", "an action is missing", "smtp.rcpt :");
    wrong("smtp.rcpt : cut;", "an action is missing", "smtp.rcpt : cut;");
    wrong("smtp.rcpt : ; cut", "an action is missing", "smtp.rcpt :");
    wrong("smtp.rcpt : explode", "there is no action explode", "smtp.rcpt : ");
    wrong("pop3.retr : lines 3", "lines has no meaning at pop3.retr", "pop3.retr : ");
    wrong("smtp.rcpt : nodot", "nodot has no meaning at smtp.rcpt", "smtp.rcpt : ");
    wrong("smtp.rcpt : 451 a; nodot", "nodot has no meaning at smtp.rcpt", "smtp.rcpt : 451 a; ");
    wrong("smtp.rcpt : slow-read 1K/s", "slow-read has no meaning at smtp.rcpt", "smtp.rcpt : ");
    wrong("smtp.rcpt : tls cut", "tls has no meaning at smtp.rcpt", "smtp.rcpt : ");
    wrong("smtp.connect : lie", "lie has no meaning at smtp.connect", "smtp.connect : ");
    wrong("pop3.retr : uid same", "uid has no meaning at pop3.retr", "pop3.retr : ");
    wrong("smtp.text : twice", "twice has no reply to change at smtp.text", "smtp.text : ");
    wrong("smtp.rcpt : -ERR no", "-ERR is no reply of SMTP", "smtp.rcpt : ");
    wrong("pop3.retr : 451 no", "451 is no reply of POP3", "pop3.retr : ");
    wrong("smtp.rcpt : 099 no", "099 does not begin a reply", "smtp.rcpt : ");
    wrong("smtp.rcpt : 600 no", "600 does not begin a reply", "smtp.rcpt : ");
    wrong("smtp.rcpt : 4511 no", "4511 does not begin a reply", "smtp.rcpt : ");
    wrong("smtp.rcpt : raw", "raw stands alone", "smtp.rcpt : raw");
    wrong("smtp.rcpt : raw abc", "the octets of raw stand in quotes", "smtp.rcpt : raw ");
    wrong(r#"smtp.rcpt : raw "é\q""#, "there is no such escape", r#"smtp.rcpt : raw "é"#);
    wrong(r#"smtp.rcpt : 451 "later"#, "a quotation has no end", "smtp.rcpt : 451 ");
    wrong("smtp.rcpt : delay 5", "5 is not a duration", "smtp.rcpt : delay ");
    wrong("smtp.rcpt : delay 25h", "25h is not a duration", "smtp.rcpt : delay ");
    wrong(
        "smtp.rcpt : drip 0/1s",
        "0 is not a number of octets from 1, also with K, M or G",
        "smtp.rcpt : drip ",
    );
    wrong("smtp.rcpt : drip 1/x", "x is not a duration", "smtp.rcpt : drip 1/");
    wrong("pop3.stat : count 1", "1 has no meaning behind count", "pop3.stat : count ");
    wrong("smtp.rcpt : cut now", "there is no limit now", "smtp.rcpt : cut ");
    wrong(
        "smtp.rcpt : cut after",
        "a number of octets from 0, also with K, M or G is missing",
        "smtp.rcpt : cut after",
    );
    let error = rule("smtp.rcpt : 451 é\u{7}").unwrap_err();
    assert_eq!(error.sentence(), "a rule is one line without control characters");
    assert!(error.to_string().contains(&format!("\n{}^ ", " ".repeat(2 + 17))), "{error}");
}

#[test]
fn actions_must_go_together() {
    wrong("smtp.rcpt : 451 a; 452 b", "a rule has one reply", "smtp.rcpt : 451 a; ");
    wrong(r#"smtp.rcpt : 451 a; raw "b""#, "a rule has one reply", "smtp.rcpt : 451 a; ");
    wrong("smtp.rcpt : lie; 250 b", "a rule has one reply", "smtp.rcpt : lie; ");
    wrong("smtp.rcpt : cut; reset", "a rule has one end", "smtp.rcpt : cut; ");
    wrong("smtp.rcpt : half; close", "a rule has one end", "smtp.rcpt : half; ");
    wrong("smtp.rcpt : delay 1s; delay 2s", "delay is given twice", "smtp.rcpt : delay 1s; ");
    wrong("smtp.rcpt : 451 a; pass", "pass acts alone", "smtp.rcpt : 451 a; ");
    wrong("smtp.rcpt : do", "do has no words to say", "smtp.rcpt : ");
    wrong("smtp.rcpt : cut; do", "do has no words to say", "smtp.rcpt : cut; ");
    wrong("smtp.dot after : lie", "lie does no work that it could act after", "smtp.dot ");
    wrong(
        "smtp.dot before : half",
        "a part of the reply is known only after the work",
        "smtp.dot ",
    );
    wrong(
        "smtp.starttls : tls cut; 220 go",
        "tls needs the reply that lets TLS begin",
        "smtp.starttls : ",
    );
    wrong(
        "pop3.retr : +OK a; nodot",
        "nodot has no meaning for a reply of the rule's own",
        "pop3.retr : +OK a; ",
    );
    wrong(
        "smtp.rcpt : mute; cut",
        "mute says nothing and goes on, so that cut has no meaning",
        "smtp.rcpt : mute; ",
    );
}

#[test]
fn limits_must_be_right_and_at_the_end() {
    wrong(
        "smtp.rcpt : 451 a times 0",
        "0 is not a whole number from 1",
        "smtp.rcpt : 451 a times ",
    );
    wrong(
        "smtp.rcpt : 451 a times -1",
        "-1 is not a whole number from 1",
        "smtp.rcpt : 451 a times ",
    );
    wrong("smtp.rcpt : 451 a times", "a whole number from 1 is missing", "smtp.rcpt : 451 a times");
    wrong("smtp.rcpt : 451 a until 5", "5 is not a duration", "smtp.rcpt : 451 a until ");
    wrong(
        "smtp.rcpt : 451 a over 1001/1m",
        "1001 is not a whole number from 1 to 1,000",
        "smtp.rcpt : 451 a over ",
    );
    wrong("smtp.rcpt : 451 a over 10", "10 has no / in it", "smtp.rcpt : 451 a over ");
    wrong("smtp.rcpt : 451 a chance 101%", "101% is not a percentage", "smtp.rcpt : 451 a chance ");
    wrong(
        "smtp.mail : 451 a per to",
        "per to has no meaning at smtp.mail",
        "smtp.mail : 451 a per ",
    );
    wrong(
        "pop3.retr : cut per from",
        "per from has no meaning at pop3.retr",
        "pop3.retr : cut per ",
    );
    wrong("smtp.rcpt : 451 a per day", "there is no limit per day", "smtp.rcpt : 451 a per ");
    wrong(
        "smtp.rcpt : 451 a once times 2",
        "there are two limits like times",
        "smtp.rcpt : 451 a once ",
    );
    wrong(
        "smtp.rcpt : cut once; delay 1s",
        "limits stand at the end of the rule",
        "smtp.rcpt : cut ",
    );
    wrong(
        "smtp.rcpt : 451 a times 2; close",
        "limits stand at the end of the rule",
        "smtp.rcpt : 451 a ",
    );
}
