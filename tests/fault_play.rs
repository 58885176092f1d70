//! Faults that are played on purpose, octet by octet as a client gets them, each beside the same
//! conversation without the rule.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconsole::fault::faults::{Faults, Which};
use mailconsole::servers::channel::{Channel, Place};
use mailconsole::servers::holds::{Cause, Decision, Holds, WhichHeld};
use mailconsole::servers::listener::Server;
use mailconsole::servers::profile::Profile;
use mailconsole::servers::serve::serve;
use mailconsole::servers::settings::Setting;
use mailconsole::watch::connection_log::ConnectionLog;
use mailconsole::watch::event::ConnectionName;
use mailconsole::watch::observers::Observers;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;

use support::stage::{Stage, To};
use support::{A_SECOND, Mail, stranger};

/// A message of 19 octets, as it is on the wire.
const LETTER: &str = "Subject: x\r\n\r\n..hi\r\n";
const READY: &str = "220 localhost mailconsole service ready\r\n";
const BYE: &str = "221 localhost Service closing transmission channel\r\n";
const GO_ON: &str = "354 Start mail input; end with <CRLF>.<CRLF>\r\n";
const ENVELOPE: &str = "HELO a\r\nMAIL FROM:<al@a.test>\r\nRCPT TO:<bob@localhost>\r\n";
const OKS: &str = "250 localhost\r\n250 OK\r\n250 OK\r\n";

/// A conversation of SMTP with one message: what is heard by this rule, and what without.
async fn smtp(rule: &str, said: &str) -> (String, Stage) {
    let stage = Stage::with(&[rule]);
    let heard = stage.heard(To::Smtp, said).await;
    (heard, stage)
}

#[tokio::test]
async fn a_reply_takes_the_place_of_its_command() {
    let said = "HELO a\r\nMAIL FROM:<al@a.test>\r\nMAIL FROM:<al@a.test>\r\nQUIT\r\n";
    let (heard, stage) = smtp("smtp.mail : 451 4.7.1 later once", said).await;
    assert_eq!(heard, format!("{READY}250 localhost\r\n451 4.7.1 later\r\n250 OK\r\n{BYE}"));
    assert_eq!(stage.notes(), ["fault 1: smtp.mail (1 of 1)"]);
    let without = Stage::with(&[]).heard(To::Smtp, said).await;
    assert!(without.starts_with(&format!("{READY}250 localhost\r\n250 OK\r\n503 ")), "{without}");
}

#[tokio::test]
async fn each_action_on_a_reply_is_seen_on_the_wire() {
    let noop = "NOOP\r\n";
    for (action, heard, closes) in [
        ("delay 1ms", "250 OK\r\n", false),
        ("drip 1/1ms", "250 OK\r\n", false),
        ("drip 100/1ms", "250 OK\r\n", false),
        ("twice", "250 OK\r\n250 OK\r\n", false),
        ("lf", "250 OK\n", false),
        ("lines 3", "250-OK\r\n250-OK\r\n250 OK\r\n", false),
        ("pad 16", "250 OK xxxxxxx\r\n", false),
        ("pad 9", "250 OK \r\n", false),
        ("lines 2; pad 12", "250-OK\r\n250 OK xxx\r\n", false),
        (r#"append "x\r\ny""#, "250 OK\r\nx\r\ny", false),
        ("cut after 5", "250 O", true),
        ("cut after 0", "", true),
        ("cut after 99", "250 OK\r\n", true),
        ("half", "250 ", true),
        ("twice; half", "250 OK\r\n", true),
        ("twice; pad 10", "250 OK x\r\n250 OK x\r\n", false),
        ("twice; lines 2", "250-OK\r\n250 OK\r\n250-OK\r\n250 OK\r\n", false),
        ("lf; lines 2; cut after 9", "250-OK\n25", true),
        ("drip 3/1ms; half", "250 ", true),
        ("close", "250 OK\r\n", true),
        ("cut", "", true),
        ("mute", "", false),
        ("do; 250 yes", "250 yes\r\n", false),
        ("251 mine", "251 mine\r\n", false),
        (r"250-ok\n550 no", "250-ok\r\n550 no\r\n", false),
        (r"451 one\ntwo", "451-one\r\n451 two\r\n", false),
        (r#"raw "2x0 ok\r\n""#, "2x0 ok\r\n", false),
        ("250 ok; close", "250 ok\r\n", true),
        ("250 ok; twice; close", "250 ok\r\n250 ok\r\n", true),
        ("lie", "250 OK\r\n", false),
    ] {
        let rule = format!("smtp.noop : {action}");
        let (all, _) = smtp(&rule, &format!("{noop}QUIT\r\n")).await;
        let bye = if closes { "" } else { BYE };
        assert_eq!(all, format!("{READY}{heard}{bye}"), "{rule}");
    }
    let without = Stage::with(&[]).heard(To::Smtp, &format!("{noop}QUIT\r\n")).await;
    assert_eq!(without, format!("{READY}250 OK\r\n{BYE}"));
}

#[tokio::test]
async fn long_replies_are_as_long_as_they_are_asked_to_be() {
    let (heard, _) = smtp("smtp.noop : pad 2M", "NOOP\r\nQUIT\r\n").await;
    assert_eq!(heard.len(), READY.len() + (2 << 20) + BYE.len());
    let (heard, _) = smtp("smtp.noop : pad 4M; half", "NOOP\r\nQUIT\r\n").await;
    assert_eq!(heard.len(), READY.len() + (2 << 20));
    let (heard, _) = smtp("smtp.connect : lines 10001", "QUIT\r\n").await;
    assert_eq!(heard.lines().count(), 10_002);
    assert_eq!(heard.lines().next().unwrap(), "220-localhost mailconsole service ready");
}

#[tokio::test]
async fn the_greeting_is_a_reply_like_any_other() {
    for (action, heard) in [
        ("421 busy; close", "421 busy\r\n".to_owned()),
        ("554 no", format!("554 no\r\n{BYE}")),
        ("cut", String::new()),
        ("half", READY[..READY.len() / 2].to_owned()),
        ("twice", format!("{READY}{READY}{BYE}")),
        (r#"append "421 idle\r\n"; close"#, format!("{READY}421 idle\r\n")),
        ("mute", BYE.to_owned()),
    ] {
        let rule = format!("smtp.connect : {action}");
        assert_eq!(smtp(&rule, "QUIT\r\n").await.0, heard, "{rule}");
    }
}

#[tokio::test]
async fn at_quit_a_reply_closes() {
    for (action, heard) in
        [("500 no", "500 no\r\n"), ("lie", BYE), (r#"raw "x""#, "x"), ("cut", "")]
    {
        let rule = format!("smtp.quit : {action}");
        let (all, _) = smtp(&rule, "QUIT\r\nNOOP\r\n").await;
        assert_eq!(all, format!("{READY}{heard}"), "{rule}");
    }
    let (all, _) = smtp("smtp.quit : mute", "QUIT\r\nNOOP\r\n").await;
    assert_eq!(all, format!("{READY}250 OK\r\n"));
    let stage = Stage::with(&["echo.quit : -ERR no", "echo.line : twice"]);
    let heard = stage.heard(To::Echo, "ECHO a\r\nQUIT\r\nECHO b\r\n").await;
    assert_eq!(heard, "+OK Server ready (Author: ann)\r\n+OK a\r\n+OK a\r\n-ERR no\r\n");
}

#[tokio::test]
async fn the_end_of_a_message_is_a_place_before_and_after_the_work() {
    let said = format!("{ENVELOPE}DATA\r\n{LETTER}.\r\nMAIL FROM:<al@a.test>\r\nQUIT\r\n");
    let before = format!("{READY}{OKS}{GO_ON}");
    for (rule, heard, is_stored, lied) in [
        ("smtp.dot : 451 later", format!("451 later\r\n250 OK\r\n{BYE}"), false, false),
        ("smtp.dot : cut", String::new(), false, false),
        ("smtp.dot after : cut", String::new(), true, false),
        ("smtp.dot : half", "250 ".into(), true, false),
        ("smtp.dot : lie", format!("250 OK\r\n250 OK\r\n{BYE}"), false, true),
        ("smtp.dot : 250 mine", format!("250 mine\r\n250 OK\r\n{BYE}"), false, true),
        ("smtp.dot : do; 250 mine", format!("250 mine\r\n250 OK\r\n{BYE}"), true, false),
        ("smtp.dot : mute", format!("250 OK\r\n{BYE}"), false, false),
        ("smtp.dot after : delay 1ms", format!("250 OK\r\n250 OK\r\n{BYE}"), true, false),
        ("smtp.data : lie", format!("250 OK\r\n250 OK\r\n{BYE}"), false, true),
        ("smtp.text : 550 no", format!("550 no\r\n250 OK\r\n{BYE}"), false, false),
        ("smtp.text after=5 : 550 no", format!("550 no\r\n250 OK\r\n{BYE}"), false, false),
        ("smtp.text after=19 : 550 no", format!("550 no\r\n250 OK\r\n{BYE}"), false, false),
        ("smtp.text after=20 : 550 no", format!("250 OK\r\n250 OK\r\n{BYE}"), true, false),
        ("smtp.text : do; 250 mine", format!("250 mine\r\n250 OK\r\n{BYE}"), true, false),
        ("smtp.text after=5 : cut", String::new(), false, false),
        ("smtp.text : mute", format!("250 OK\r\n{BYE}"), false, false),
        ("smtp.text : delay 1ms", format!("250 OK\r\n250 OK\r\n{BYE}"), true, false),
    ] {
        let (all, stage) = smtp(rule, &said).await;
        assert_eq!(all, format!("{before}{heard}"), "{rule}");
        assert_eq!(stage.mailbox().contains("Subject: x"), is_stored, "{rule}");
        let notes = stage.notes();
        assert_eq!(notes.contains(&"lied: not stored".to_owned()), lied, "{rule}: {notes:?}");
    }
}

#[tokio::test]
async fn a_chunk_is_read_whatever_is_said_of_it() {
    let said = "EHLO a\r\nMAIL FROM:<al@a.test>\r\nRCPT TO:<bob@localhost>\r\nBDAT 6 LAST\r\nQUIT\r\nQUIT\r\n";
    for (rule, is_stored, heard) in [
        ("smtp.other : 451 later", false, "451 later\r\n"),
        ("smtp.dot : 451 later", false, "451 later\r\n"),
        ("smtp.text : 451 later", false, "451 later\r\n"),
        ("smtp.text after=6 : 451 later", false, "451 later\r\n"),
        ("smtp.dot : lie", false, "250 2.0.0 OK\r\n"),
        ("smtp.other : lie", false, "250 2.0.0 OK\r\n"),
        ("smtp.dot : twice", true, "250 2.0.0 OK\r\n250 2.0.0 OK\r\n"),
        ("smtp.other : twice", true, "250 2.0.0 OK\r\n250 2.0.0 OK\r\n"),
    ] {
        let stage = Stage::in_profile(Profile::Everything, &[rule]);
        let all = stage.heard(To::Smtp, said).await;
        let end = format!(
            "250 2.1.5 OK\r\n{heard}221 2.0.0 localhost Service closing transmission channel\r\n"
        );
        assert!(all.ends_with(&end), "{rule}: {all}");
        assert_eq!(stage.mailbox().contains("\nQUIT"), is_stored, "{rule}");
    }
}

#[tokio::test]
async fn ehlo_that_is_answered_by_a_rule_counts_as_helo() {
    let (heard, stage) = smtp(
        r#"smtp.ehlo : do; raw "250-x\r\n250 Y\r\n""#,
        &format!("E{}DATA\r\n{LETTER}.\r\nQUIT\r\n", &ENVELOPE.replacen("HELO", "HLO", 1)),
    )
    .await;
    assert_eq!(
        heard,
        format!("{READY}250-x\r\n250 Y\r\n250 OK\r\n250 OK\r\n{GO_ON}250 OK\r\n{BYE}")
    );
    assert!(stage.mailbox().contains("Subject: x"));
}

const POP3: &str = "USER bob\r\nPASS cis505\r\n";
const IN: &str = "+OK POP3 ready [localhost]\r\n+OK send PASS\r\n+OK 2 messages (38 octets)\r\n";

/// What follows the login of a client of POP3 that says this, by this rule.
async fn pop3(rule: &str, said: &str) -> (String, Stage) {
    let faults = Arc::new(Faults::new(1, false));
    let stage = Stage::of(Profile::default(), Arc::clone(&faults));
    stage.deliver(&[LETTER, LETTER]).await;
    if !rule.is_empty() {
        faults.add(rule).unwrap();
    }
    let heard = stage.heard(To::Pop3, &format!("{POP3}{said}")).await;
    (heard.strip_prefix(IN).unwrap_or(&heard).to_owned(), stage)
}

#[tokio::test]
async fn what_pop3_tells_of_messages_is_changed() {
    let said = "STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 2\r\n";
    let (without, _) = pop3("", said).await;
    let id = without.lines().nth(7).unwrap().strip_prefix("1 ").unwrap().to_owned();
    let all = |stat: &str, list: [&str; 2], one: &str, uids: [&str; 2], uid: &str| {
        let [first, second] = list;
        let status = "+OK 2 messages (38 octets)\r\n";
        let uids = uids.concat();
        format!(
            "+OK {stat}\r\n{status}{first}{second}.\r\n+OK 2 {one}\r\n{status}{uids}.\r\n+OK 2 {uid}\r\n"
        )
    };
    let (row1, row2) = (format!("1 {id}\r\n"), format!("2 {id}\r\n"));
    let ids = [&*row1, &*row2];
    assert_eq!(without, all("2 38", ["1 19\r\n", "2 19\r\n"], "19", ids, &id));
    for (action, heard) in [
        ("size +10", all("2 58", ["1 29\r\n", "2 29\r\n"], "29", ids, &id)),
        ("size -20", all("2 0", ["1 0\r\n", "2 0\r\n"], "0", ids, &id)),
        (
            "size =4G",
            all("2 8589934592", ["1 4294967296\r\n", "2 4294967296\r\n"], "4294967296", ids, &id),
        ),
        ("count +1", all("3 38", ["1 19\r\n", "2 19\r\n"], "19", ids, &id)),
        ("uid empty", all("2 38", ["1 19\r\n", "2 19\r\n"], "19", ["1 \r\n", "2 \r\n"], "")),
        ("omit", all("2 38", ["1 19\r\n", ""], "19", [&row1, ""], &id)),
        ("omit 1", all("2 38", ["", "2 19\r\n"], "19", ["", &row2], &id)),
    ] {
        let rule = format!("pop3.any : {action}");
        assert_eq!(pop3(&rule, said).await.0, heard, "{rule}");
    }
    let (same, _) = pop3("pop3.uidl : uid long", "UIDL 1\r\n").await;
    assert_eq!(same.len(), "+OK 1 ".len() + 300 + 2);
}

#[tokio::test]
async fn a_text_is_cut_unstuffed_or_without_an_end() {
    let ok = "+OK 19 octets\r\n";
    for (action, heard) in [
        ("delay 1ms", format!("{ok}{LETTER}.\r\n")),
        ("drip 7/1ms", format!("{ok}{LETTER}.\r\n")),
        ("cut after 20", format!("{ok}{LETTER}.\r\n")[..20].to_owned()),
        ("half", format!("{ok}{LETTER}.\r\n")[..19].to_owned()),
        ("nodot", format!("{ok}{LETTER}")),
        ("nodot; close", format!("{ok}{LETTER}")),
        ("loop; cut after 50", format!("{ok}{LETTER}This is a line of")[..50].to_owned()),
        ("unstuffed", format!("{ok}{LETTER}.\r\n").replace("..hi", ".hi")),
        ("lf", format!("{ok}{LETTER}.\r\n").replace('\r', "")),
        ("twice", format!("{ok}{LETTER}.\r\n{ok}{LETTER}.\r\n")),
        ("-ERR no", "-ERR no\r\n".to_owned()),
        ("do; -ERR no", "-ERR no\r\n".to_owned()),
        ("lie", format!("{ok}{LETTER}.\r\n")),
    ] {
        let rule = format!("pop3.retr : {action}");
        assert_eq!(pop3(&rule, "RETR 2\r\n").await.0, heard, "{rule}");
    }
}

#[tokio::test]
async fn half_of_a_long_text_is_exactly_half() {
    let faults = Arc::new(Faults::new(1, false));
    let stage = Stage::of(Profile::default(), Arc::clone(&faults));
    let line = format!("{}\r\n", "x".repeat(78));
    stage.sockets.shared.settings.set_message_most(10 << 20);
    stage.deliver(&[&line.repeat(50_000)]).await;
    let said = format!("{POP3}RETR 1\r\n");
    let whole = stage.heard(To::Pop3, &said).await;
    faults.add("pop3.retr : half").unwrap();
    let half = stage.heard(To::Pop3, &said).await;
    let begin = whole.find("+OK 4000000 octets").unwrap();
    assert_eq!(half.len(), begin + (whole.len() - begin) / 2);
    assert!(whole.starts_with(&half));
}

#[tokio::test]
async fn the_update_is_done_before_or_not_at_all() {
    for (rule, heard, is_there) in [
        ("pop3.quit : -ERR no", "-ERR no\r\n", true),
        ("pop3.quit : cut", "", true),
        ("pop3.quit : lie", "+OK Goodbye!\r\n", true),
        ("pop3.quit after : cut", "", false),
        ("pop3.quit : half", "+OK Goo", false),
        ("pop3.quit : do; -ERR no", "-ERR no\r\n", false),
    ] {
        let (all, stage) = pop3(rule, "DELE 1\r\nDELE 2\r\nQUIT\r\n").await;
        let deleted = "+OK message deleted\r\n".repeat(2);
        assert_eq!(all, format!("{deleted}{heard}"), "{rule}");
        assert_eq!(stage.mailbox().contains("Subject: x"), is_there, "{rule}");
    }
}

#[tokio::test]
async fn a_reset_comes_behind_the_reply() {
    let stage = Stage::with(&["smtp.noop : 250 ok; reset"]);
    let mut peer = stage.connect(To::Smtp).await;
    peer.send("HELO a\r\nNOOP\r\n").await;
    for line in ["220 *", "250 localhost", "250 ok"] {
        peer.expect(line).await;
    }
    let error = peer.stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn behind_a_close_what_the_client_still_says_resets_nothing() {
    let stage = Stage::with(&["smtp.noop : 250 ok; close"]);
    let mut peer = stage.connect(To::Smtp).await;
    peer.send(format!("NOOP\r\n{}", "NOOP\r\n".repeat(10_000))).await;
    assert_eq!(peer.rest().await, format!("{READY}250 ok\r\n"));
}

#[tokio::test]
async fn a_hang_says_nothing_until_the_client_goes() {
    let stage = Stage::with(&["smtp.mail : hang"]);
    let heard = stage.heard(To::Smtp, &format!("{ENVELOPE}QUIT\r\n")).await;
    assert_eq!(heard, format!("{READY}250 localhost\r\n"));
    assert_eq!(stage.notes(), ["fault 1: smtp.mail"]);
    assert_eq!(stage.faults.view()[0].hits, 1);
}

#[tokio::test]
async fn the_servers_end_within_a_second_though_a_thousand_connections_hang() {
    let stage = Stage::with(&["smtp.connect : hang"]);
    let mut peers = Vec::new();
    for _ in 0..1_000 {
        peers.push(stage.connect(To::Smtp).await);
    }
    while stage.faults.view()[0].hits < 1_000 {
        tokio::task::yield_now().await;
    }
    let begin = Instant::now();
    stage.sockets.end().await;
    assert!(begin.elapsed() < A_SECOND, "{:?}", begin.elapsed());
    for mut peer in peers {
        peer.expect_end().await;
    }
}

#[tokio::test]
async fn a_reset_may_come_instead_of_a_greeting() {
    let stage = Stage::with(&["smtp.connect : reset"]);
    let mut peer = stage.connect(To::Smtp).await;
    let error = peer.stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_shutdown_ends_a_delay_with_a_farewell_and_a_drip_without() {
    for (rule, heard) in [
        ("smtp.noop : delay 24h", "421 localhost Server shutting down\r\n"),
        ("smtp.noop : drip 3/24h", "250"),
        ("smtp.noop : hang", ""),
        ("smtp.dot after : delay 24h", "421 localhost Server shutting down\r\n"),
    ] {
        let stage = Stage::with(&[rule]);
        let mut peer = stage.connect(To::Smtp).await;
        peer.expect("220 *").await;
        peer.send(format!("NOOP\r\n{ENVELOPE}DATA\r\n{LETTER}.\r\n")).await;
        while stage.faults.view()[0].hits == 0 {
            tokio::task::yield_now().await;
        }
        // The work behind the hit is done, or the first piece is gone.
        let is_done = || !rule.contains("after") || stage.mailbox().contains("Subject: x");
        while !is_done() {
            tokio::task::yield_now().await;
        }
        let begin = Instant::now();
        stage.sockets.end().await;
        assert!(begin.elapsed() < A_SECOND, "{rule}: {:?}", begin.elapsed());
        let all = peer.rest().await;
        assert!(all.ends_with(heard), "{rule}: {all}");
        assert_eq!(all.contains("421"), heard.contains("421"), "{rule}: {all}");
    }
}

#[tokio::test]
async fn a_client_that_is_kept_hanging_keeps_its_maildrop_but_the_mailbox_takes_mail() {
    let stage = Stage::with(&["pop3.stat : hang"]);
    let mut first = stage.connect(To::Pop3).await;
    first.send(format!("{POP3}STAT\r\n")).await;
    while stage.faults.view()[0].hits == 0 {
        tokio::task::yield_now().await;
    }
    stage.deliver(&[LETTER]).await;
    assert!(stage.mailbox().contains("Subject: x"));
    let heard = stage.heard(To::Pop3, &format!("{POP3}QUIT\r\n")).await;
    assert!(heard.contains("-ERR [IN-USE] maildrop is locked"), "{heard}");
    first.stream.shutdown().await.unwrap();
    first.rest().await;
    let heard = stage.heard(To::Pop3, &format!("{POP3}QUIT\r\n")).await;
    assert!(heard.contains("+OK 1 messages"), "{heard}");
}

#[tokio::test]
async fn a_text_without_an_end_ends_with_the_servers() {
    let faults = Arc::new(Faults::new(1, false));
    let stage = Stage::of(Profile::default(), Arc::clone(&faults));
    stage.deliver(&[LETTER]).await;
    faults.add("pop3.retr : loop").unwrap();
    let mut peer = stage.connect(To::Pop3).await;
    peer.send(format!("{POP3}RETR 1\r\n")).await;
    let mut octets = vec![0; 4 << 20];
    peer.stream.read_exact(&mut octets).await.unwrap();
    let begin = Instant::now();
    stage.sockets.end().await;
    assert!(begin.elapsed() < A_SECOND, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn pieces_of_a_drip_are_segments_with_pauses_between() {
    let stage = Stage::with(&["echo.line : drip 2/20ms"]);
    let mut peer = stage.connect(To::Echo).await;
    peer.expect("+OK Server ready*").await;
    peer.send("ECHO abc\r\n").await;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let begin = Instant::now();
    while pieces.concat().len() < "+OK abc\r\n".len() {
        let mut piece = vec![0; 100];
        let octets = peer.stream.read(&mut piece).await.unwrap();
        piece.truncate(octets);
        pieces.push(piece);
    }
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
    assert!(begin.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_delay_holds_back_what_stands_behind_it_and_nothing_before() {
    let stage = Stage::with(&["smtp.mail : delay 1s"]);
    let mut peer = stage.connect(To::Smtp).await;
    peer.expect("220 *").await;
    let begin = Instant::now();
    peer.send("HELO a\r\nMAIL FROM:<al@a.test>\r\nNOOP\r\n").await;
    peer.expect("250 localhost").await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    peer.expect("250 OK").await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    peer.expect("250 OK").await;
}

#[tokio::test]
async fn a_slow_text_is_taken_no_faster() {
    let stage = Stage::with(&["smtp.text : slow-read 10K/s"]);
    let text = "x".repeat(3_000);
    let begin = Instant::now();
    stage.deliver(&[&format!("{text}\r\n")]).await;
    assert!(begin.elapsed() >= Duration::from_millis(270), "{:?}", begin.elapsed());
    assert!(stage.mailbox().contains(&text));
}

/// What a client hears that says NOOP again and again, to a rule by chance with this seed.
async fn by_chance(seed: u64, chance: u8) -> String {
    let faults = Arc::new(Faults::new(seed, false));
    faults.add(&format!("smtp.noop : 451 later chance {chance}%")).unwrap();
    let stage = Stage::of(Profile::default(), faults);
    let first = stage.heard(To::Smtp, &"NOOP\r\n".repeat(60)).await;
    // The dice go on in the next session.
    let second = stage.heard(To::Smtp, &"NOOP\r\n".repeat(60)).await;
    assert_ne!(first == second, (1..100).contains(&chance), "{seed}, {chance}: {first}");
    first + &second
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    assert_eq!(by_chance(7, 50).await, by_chance(7, 50).await);
    assert_ne!(by_chance(7, 50).await, by_chance(8, 50).await);
    assert_eq!(by_chance(7, 100).await.matches("451 later\r\n").count(), 120);
    assert_eq!(by_chance(7, 0).await.matches("250 OK\r\n").count(), 120);
}

#[tokio::test]
async fn of_10_000_keys_the_oldest_goes() {
    let stage = Stage::with(&["smtp.rcpt : 451 later once per to"]);
    let mut peer = stage.connect(To::Smtp).await;
    peer.expect("220 *").await;
    peer.says("HELO a", "250 *").await;
    peer.says("MAIL FROM:<al@a.test>", "250 OK").await;
    // In groups, so that neither waits for the other to read.
    for group in 0..100 {
        let rcpt = |nth| format!("RCPT TO:<u{}@localhost>\r\n", group * 100 + nth);
        peer.send((0..100).map(rcpt).collect::<String>()).await;
        for _ in 0..100 {
            peer.expect("451 later").await;
        }
    }
    assert_eq!(stage.faults.view()[0].keys, Some(10_000));
    // All are known, until there is one more.
    peer.says("RCPT TO:<u0@localhost>", "550 *").await;
    peer.says("RCPT TO:<u10000@localhost>", "451 later").await;
    peer.says("RCPT TO:<u1@localhost>", "550 *").await;
    peer.says("RCPT TO:<u0@localhost>", "451 later").await;
    peer.says("RCPT TO:<u1@localhost>", "451 later").await;
    peer.says("RCPT TO:<u10000@localhost>", "550 *").await;
    let view = stage.faults.view().remove(0);
    assert_eq!((view.keys, view.hits), (Some(10_000), 10_003));
}

#[tokio::test]
async fn the_transcript_shows_what_goes_out() {
    let (_, stage) = smtp("smtp.noop : lines 2; cut after 10", "NOOP\r\n").await;
    assert_eq!(stage.said(), [READY.trim_end(), "250-OK", "25"]);
    let (_, stage) = pop3("pop3.retr : cut after 20", "RETR 1\r\n").await;
    let lines = stage.recorder.lines();
    let cut: Vec<_> = lines.iter().skip_while(|line| !line.contains("fault 1")).collect();
    assert!(cut[1].ends_with("S: +OK 19 octets"), "{cut:?}");
    assert!(cut[2].contains("5 octets"), "{cut:?}");
}

#[tokio::test]
async fn a_rule_acts_in_a_session_that_has_begun_before_it() {
    let stage = Stage::with(&[]);
    let mut peer = stage.connect(To::Smtp).await;
    peer.expect("220 *").await;
    peer.says("HELO a", "250 localhost").await;
    peer.says("MAIL FROM:<al@a.test>", "250 OK").await;
    peer.says("RCPT TO:<bob@localhost>", "250 OK").await;
    stage.faults.add("smtp.data from=al@* to=bob@localhost helo=a : 451 later").unwrap();
    peer.says("DATA", "451 later").await;
    stage.faults.remove(Which::All).unwrap();
    peer.says("DATA", "354 *").await;
}

/// A stage on which an address may ask for a fault.
fn asking() -> Stage {
    Stage::of(Profile::default(), Arc::new(Faults::new(1, true)))
}

fn letter_to(address: &str) -> String {
    format!(
        "HELO a\r\nMAIL FROM:<al@a.test>\r\nRCPT TO:<{address}>\r\nDATA\r\n{LETTER}.\r\nQUIT\r\n"
    )
}

#[tokio::test]
async fn an_address_asks_for_a_fault_and_gets_the_mail_without_the_suffix() {
    let stage = asking();
    let address = "bob+fault.dot.451.once@localhost";
    let said = letter_to(address);
    let first = stage.heard(To::Smtp, &said).await;
    assert_eq!(first, format!("{READY}{OKS}{GO_ON}451 fault {address}\r\n{BYE}"));
    assert_eq!(stage.mailbox(), "");
    let second = stage.heard(To::Smtp, &said).await;
    assert_eq!(second, format!("{READY}{OKS}{GO_ON}250 OK\r\n{BYE}"));
    assert!(stage.mailbox().contains("Subject: x") && !stage.mailbox().contains("fault"));
    let hits = stage.notes().into_iter().filter(|note| note.starts_with("fault"));
    assert_eq!(hits.collect::<Vec<_>>(), [format!("fault {address}")]);
}

#[tokio::test]
async fn each_place_that_an_address_can_name_is_reached() {
    for (address, heard) in [
        ("bob+fault.rcpt.550@localhost", "250 localhost\r\n250 OK\r\n550 fault *"),
        ("bob+fault.data.cut@localhost", OKS),
        ("bob+fault.text.cut@localhost", &format!("{OKS}{GO_ON}")),
        ("bob+fault.dot.after.cut@localhost", &format!("{OKS}{GO_ON}")),
        ("bob+fault.dot.twice@localhost", &format!("{OKS}{GO_ON}250 OK\r\n250 OK\r\n{BYE}")),
        ("bob+fault.quit.mute@localhost", &format!("{OKS}{GO_ON}250 OK\r\n")),
        ("bob+fault.dot.451@localhost", &format!("{OKS}{GO_ON}451 fault *")),
        (
            "bob+fault.dat.451@localhost",
            "250 localhost\r\n250 OK\r\n501 no fault is asked for by \"dat\"*",
        ),
    ] {
        let all = asking().heard(To::Smtp, &letter_to(address)).await;
        let heard = format!("{READY}{heard}");
        match heard.strip_suffix('*') {
            Some(beginning) => assert!(all.starts_with(beginning), "{address}: {all}"),
            None => assert_eq!(all, heard, "{address}"),
        }
        let without = Stage::with(&[]).heard(To::Smtp, &letter_to(address)).await;
        assert!(without.contains("550 ") && !without.contains("fault"), "{without}");
    }
}

#[tokio::test]
async fn a_user_of_pop3_asks_for_a_fault() {
    let stage = asking();
    stage.deliver(&[LETTER]).await;
    let said = "USER bob+fault.retr.nodot\r\nPASS cis505\r\nRETR 1\r\nQUIT\r\n";
    let heard = stage.heard(To::Pop3, said).await;
    assert!(heard.ends_with(&format!("octets\r\n{LETTER}+OK Goodbye!\r\n")), "{heard}");
    let heard = stage.heard(To::Pop3, "USER bob+fault.retr.what\r\nQUIT\r\n").await;
    assert!(heard.contains("\r\n-ERR no fault is asked for by \"what\""), "{heard}");
}

#[tokio::test]
async fn rules_are_asked_before_addresses() {
    let stage = asking();
    stage.faults.add("smtp.rcpt to=bob@* : 452 rule").unwrap();
    let heard = stage.heard(To::Smtp, &letter_to("bob+fault.rcpt.550@localhost")).await;
    assert!(heard.contains("452 rule\r\n"), "{heard}");
}

/// All that a server says to these pieces, each sent alone.
async fn answered<S: Server>(server: &S, faults: Option<Arc<Faults>>, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut ours, theirs) = duplex(1 << 20);
    let name = ConnectionName { id: 1, number: 7, service: S::PROTOCOL };
    let log = ConnectionLog::opened(name, stranger(), Observers::none(), None);
    let channel = Channel::new(theirs.into(), log, Place::default(), CancellationToken::new());
    let channel = match faults {
        Some(faults) => channel.with_faults(faults),
        None => channel,
    };
    let (session, service) = server.open(stranger());
    tokio::spawn(serve(channel, session, service, Arc::default()));
    for piece in pieces {
        if ours.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = ours.shutdown().await;
    let mut heard = Vec::new();
    ours.read_to_end(&mut heard).await.unwrap();
    heard
}

/// The end of any conversation: of a chunk, of a text, and of the session.
const END: &[u8] = b"aaaaaaaa\r\n.\r\nQUIT\r\nQUIT\r\n";

/// All that a server says while everything is held, and let go at once; or while nothing is.
async fn let_go<S: Server>(server: &S, are_held: bool, pieces: &[&[u8]]) -> Vec<u8> {
    let (ours, theirs) = duplex(1 << 20);
    let (mut ours, mut says) = tokio::io::split(ours);
    let name = ConnectionName { id: 1, number: 7, service: S::PROTOCOL };
    let log = ConnectionLog::opened(name, stranger(), Observers::none(), None);
    let channel = Channel::new(theirs.into(), log, Place::default(), CancellationToken::new());
    let holds = Arc::new(Holds::default());
    if are_held {
        for point in ["smtp.any", "smtp.any!", "smtp.text", "pop3.any", "pop3.any!"] {
            holds.add(point).unwrap();
        }
    }
    let channel = channel.with_faults(Arc::default()).with_holds(Arc::clone(&holds));
    // Before anything can be held.
    let mut changes = holds.changes();
    let (session, service) = server.open(stranger());
    tokio::spawn(serve(channel, session, service, Arc::default()));
    let operator = tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            if holds.has_held() {
                let release = Decision::Release(Cause::Operator);
                // What was held may have gone by itself.
                let _ = holds.decide(WhichHeld::All, &release);
            }
        }
    });
    for piece in pieces.iter().chain([&END]) {
        if says.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut heard = Vec::new();
    ours.read_to_end(&mut heard).await.unwrap();
    operator.abort();
    heard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn without_a_rule_that_matches_nothing_changes(
        lines in prop::collection::vec(prop::sample::select(vec![
            "HELO a", "EHLO a", "MAIL FROM:<al@a.test>", "RCPT TO:<bob@localhost>", "DATA", "x", ".",
            "..y", "RSET", "NOOP", "BDAT 4", "BDAT 7 LAST", "VRFY bob", "FOO", "AUTH LOGIN", "Ym9i",
            "STAT", "USER bob", "PASS cis505", "LIST", "UIDL", "RETR 1", "DELE 1", "TOP 1 0", "QUIT",
        ]), 0..25),
        cuts in prop::collection::btree_set(1usize..400, 0..10),
        is_pop3 in any::<bool>(),
    ) {
        let said = lines.join("\r\n") + "\r\n";
        let said = said.as_bytes();
        let bounds: Vec<usize> = [0].into_iter()
            .chain(cuts.into_iter().filter(|&cut| cut < said.len())).chain([said.len()]).collect();
        let pieces: Vec<&[u8]> = bounds.windows(2).map(|pair| &said[pair[0]..pair[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let watched = Arc::new(Faults::new(1, false));
        watched.add("smtp.any client=203.0.113.1 : cut").unwrap();
        watched.add("smtp.text client=203.0.113.1 : cut").unwrap();
        watched.add("pop3.any client=203.0.113.1 : cut").unwrap();
        let all = [None, Some(Arc::new(Faults::new(1, false))), Some(watched)];
        let heard = all.map(|faults| runtime.block_on(async {
            let mail = Mail::with_users(&["bob"]);
            mail.settings.set(Setting::Profile(Profile::Esmtp));
            if is_pop3 {
                answered(&mail.pop3, faults, &pieces).await
            } else {
                answered(&mail.smtp, faults, &pieces).await
            }
        }));
        // The timestamp of a greeting is never the same.
        let heard = heard.map(|heard| {
            let from = heard.iter().position(|&octet| octet == b'\n').unwrap();
            String::from_utf8(heard[from..].to_vec()).unwrap()
        });
        prop_assert_eq!(&heard[0], &heard[1]);
        prop_assert_eq!(&heard[0], &heard[2]);
        let heard = [false, true].map(|are_held| runtime.block_on(async {
            let mail = Mail::with_users(&["bob"]);
            mail.settings.set(Setting::Profile(Profile::Esmtp));
            let heard = if is_pop3 {
                let_go(&mail.pop3, are_held, &pieces).await
            } else {
                let_go(&mail.smtp, are_held, &pieces).await
            };
            let from = heard.iter().position(|&octet| octet == b'\n').unwrap();
            String::from_utf8(heard[from..].to_vec()).unwrap()
        }));
        prop_assert_eq!(&heard[0], &heard[1]);
    }
}
