//! Letters to scripted mail hosts over real connections: every kind of reply, and every kind of
//! silence, at every place of the conversation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mailconsole::relay::delivery_agent::DeliveryAgent;
use mailconsole::relay::hosts::Hosts;
use mailconsole::relay::limits::Limits;
use mailconsole::relay::mx::Target;
use mailconsole::relay::text::Letter;
use mailconsole::watch::event::Service;

use crate::harness::{Relay, TEXT, Text, carry, letter};
use crate::mail_host::{Act, Heard, MailHost, polite, say};

/// Where a host can do something odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Greeting,
    Helo,
    Mail,
    Rcpt,
    Data,
    Text,
}

const PLACES: [Place; 6] =
    [Place::Greeting, Place::Helo, Place::Mail, Place::Rcpt, Place::Data, Place::Text];

impl Place {
    fn is_at(self, heard: Heard<'_>) -> bool {
        match heard {
            Heard::Connection => self == Self::Greeting,
            Heard::Text => self == Self::Text,
            Heard::Command(line) => match line.get(..4) {
                Some("HELO") => self == Self::Helo,
                Some("MAIL") => self == Self::Mail,
                Some("RCPT") => self == Self::Rcpt,
                Some("DATA") => self == Self::Data,
                _ => false,
            },
        }
    }
}

/// A host that is polite but for one place.
async fn host_that(at: Place, act: Act) -> MailHost {
    MailHost::that(move |heard| if at.is_at(heard) { act.clone() } else { polite(heard) }).await
}

/// The verdict on one recipient at a host that is polite but for one place.
async fn verdict_of_host_that(at: Place, act: Act) -> String {
    verdict_of(Relay::new(), at, act).await
}

async fn verdict_of(relay: Relay, at: Place, act: Act) -> String {
    let host = host_that(at, act).await;
    let mut verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    verdicts.remove(0)
}

#[tokio::test]
async fn a_letter_is_delivered_and_the_transcript_tells_how() {
    let host = MailHost::that(polite).await;
    let (mut agent, recorder) = Relay::new().agent(&[host.address]);
    let letter = letter();
    let verdicts = carry(&mut agent, &["a@x.example", "b@x.example"], &letter).await;
    agent.finish().await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"; 2]);
    assert_eq!(host.texts(), [[b"Received: by relay.example\r\n", TEXT].concat()]);
    assert_eq!(letter.sent.load(Relaxed), letter.octets());
    assert_eq!(
        recorder.lines(),
        [
            "New connection",
            "S: 220 mx.example ready",
            "C: HELO relay.example",
            "S: 250 ok",
            "C: MAIL FROM:<ben@localhost>",
            "S: 250 ok",
            "C: RCPT TO:<a@x.example>",
            "S: 250 ok",
            "C: RCPT TO:<b@x.example>",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go on",
            ".. 50 octets of message text",
            "C: .",
            "S: 250 2.0.0 queued",
            "C: QUIT",
            "S: 221 bye",
            "Connection closed",
        ]
    );
}

#[tokio::test]
async fn the_wire_view_shows_the_reads_of_replies_and_the_dots_of_the_text() {
    let host = host_that(Place::Helo, say("250-ok\r\n250 ok")).await;
    let (mut agent, recorder) = Relay::new().seen_on_the_wire().agent(&[host.address]);
    let letter = Letter::new(".a\r\n".to_owned(), Text::of(b"b\n.\n"));
    carry(&mut agent, &["a@x.example"], &letter).await;
    agent.finish().await;
    let lines = recorder.lines();
    assert_eq!(lines[2..5], ["C: HELO relay.example␍␊", "S: 250-ok␍␊", "S: 250 ok␍␊┊"]);
    let text = ["C: ..a␍␊", "C: b␍␊", "C: ..␍␊", ".. 10 octets of message text", "C: .␍␊"];
    assert_eq!(lines[11..16], text);
}

#[tokio::test]
async fn a_4yz_defers_and_a_5yz_fails_wherever_it_comes() {
    for place in PLACES {
        let deferred = verdict_of_host_that(place, say("451 4.7.1 later")).await;
        assert_eq!(deferred, "deferred: 451 4.7.1 later", "{place:?}");
        let refused = verdict_of_host_that(place, say("550-5.7.1 never\r\n550 ever")).await;
        // Before MAIL the host speaks of the connection, not of the mail.
        let fate = match place {
            Place::Greeting | Place::Helo => "deferred",
            _ => "failed",
        };
        assert_eq!(refused, format!("{fate}: 550 5.7.1 never ever"), "{place:?}");
        let busy = verdict_of_host_that(place, Act::SayAndClose("421 bye".to_owned())).await;
        assert_eq!(busy, "deferred: 421 bye", "{place:?}");
    }
}

#[tokio::test]
async fn a_lost_connection_defers_wherever_it_is_lost() {
    for place in PLACES {
        let verdict = verdict_of_host_that(place, Act::Close).await;
        let begins = "deferred: mx.example closed the connection, at ";
        assert!(verdict.starts_with(begins), "{place:?}: {verdict}");
        assert_eq!(verdict.ends_with("it may have the message"), place == Place::Text);
    }
}

#[tokio::test]
async fn silence_and_dripping_defer_when_the_time_is_over() {
    let drip = Act::Drip(b"250 it takes longer to say this than anybody waits\r\n".to_vec());
    for act in [Act::Silence, drip] {
        for place in PLACES {
            let verdict = verdict_of(Relay::new().impatient(), place, act.clone()).await;
            let begins = "deferred: mx.example did not answer within 0.3 s, at ";
            assert!(verdict.starts_with(begins), "{place:?}: {verdict}");
        }
    }
}

#[tokio::test]
async fn what_is_no_reply_defers_with_what_is_wrong_with_it() {
    let endless = b"250-and so on\r\n".repeat(200);
    for (octets, wrong) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "is no SMTP reply: HTTP/1.1 400 Bad Request"),
        (b"250-a\r\n550 b\r\n", "has lines with different codes (250 and 550)"),
        (b"250 a\0b\r\n", "has a NUL, a lone CR or a lone LF in it"),
        (b"250 ok\n", "has a NUL, a lone CR or a lone LF in it"),
        (&[b'2'; 9_000], "has a line of more than 4096 octets"),
        (&endless, "has more than 100 lines"),
        (b"\x1b]0;x\x07\r\n", "is no SMTP reply: \\x1b]0;x\\x07"),
    ] {
        // Behind the dot less is wrong.
        for place in PLACES.into_iter().filter(|place| *place != Place::Text) {
            let verdict = verdict_of_host_that(place, Act::Raw(octets.to_vec())).await;
            let begins = format!("deferred: mx.example sent a reply that {wrong}, at ");
            assert!(verdict.starts_with(&begins), "{place:?}: {verdict}");
        }
    }
    let octets = b"HTTP/1.1 400 Bad Request\r\n".to_vec();
    let verdict = verdict_of_host_that(Place::Text, Act::Raw(octets)).await;
    assert!(verdict.starts_with("deferred: mx.example sent a reply that is no SMTP reply: HTTP"));
}

#[tokio::test]
async fn behind_the_dot_the_code_of_the_last_line_decides() {
    let endless = "250-and so on\r\n".repeat(150);
    for (octets, fate) in [
        (format!("{endless}250 taken\r\n"), "delivered: 250 and so on and so on"),
        (format!("{endless}554 not taken\r\n"), "failed: 554 not taken"),
        ("250-a\r\n550 b\r\n".to_owned(), "failed: 550 b"),
        ("550-a\r\n250 b\r\n".to_owned(), "delivered: 250 b"),
        (format!("250 {}\r\n", "x".repeat(9_000)), "delivered: 250 xxx"),
        ("250 a\0b\r\n".to_owned(), "delivered: 250 a\\x00b"),
        ("250 ok\n".to_owned(), "delivered: 250 ok"),
        ("250-a\n451 b\n".to_owned(), "deferred: 451 b"),
    ] {
        let verdict = verdict_of_host_that(Place::Text, Act::Raw(octets.into_bytes())).await;
        assert!(verdict.starts_with(fate), "{verdict} instead of {fate}");
    }
}

#[tokio::test]
async fn one_of_three_recipients_may_be_refused() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let recipients = ["a@x.example", "b@x.example", "c@x.example"];
    let relay = Relay::new();
    let registry = relay.client.registry.clone().expect("a registry");
    let verdicts = relay.sends(&[host.address], &recipients).await;
    assert_eq!(
        verdicts,
        [
            "delivered: 250 2.0.0 queued",
            "failed: 550 5.1.1 no such user",
            "delivered: 250 2.0.0 queued"
        ]
    );
    assert_eq!(host.texts().len(), 1);
    let counts = registry.view().counters[Service::Relay];
    assert_eq!((counts.opened, counts.open, counts.messages), (1, 0, 2));
}

#[tokio::test]
async fn the_next_host_is_asked_where_the_first_has_not_got_the_message() {
    let nobody = unused_address().await;
    for (place, act) in [
        (Place::Greeting, say("554 no mail here")),
        (Place::Greeting, say("421 busy")),
        (Place::Helo, say("550 who?")),
        (Place::Mail, say("451 later")),
        (Place::Rcpt, say("450 greylisted")),
        (Place::Rcpt, Act::Close),
        (Place::Data, say("451 later")),
        (Place::Text, say("452 no space")),
    ] {
        let first = host_that(place, act).await;
        let second = MailHost::that(polite).await;
        let hosts = [nobody, first.address, second.address];
        let verdicts = Relay::new().sends(&hosts, &["a@x.example"]).await;
        assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"], "{place:?}");
        assert_eq!(second.texts().len(), 1);
    }
}

#[tokio::test]
async fn no_other_host_gets_what_the_first_may_have_or_has_refused_for_good() {
    for (place, act) in [
        (Place::Text, Act::Close),
        (Place::Text, Act::Silence),
        (Place::Text, say("354 go on")),
        (Place::Text, say("554 spam")),
        (Place::Rcpt, say("550 no such user")),
    ] {
        let first = host_that(place, act).await;
        let second = MailHost::that(polite).await;
        let hosts = [first.address, second.address];
        let verdicts = Relay::new().impatient().sends(&hosts, &["a@x.example"]).await;
        assert!(!verdicts[0].starts_with("delivered"), "{place:?}");
        assert_eq!(second.connections(), 0, "{place:?}");
    }
}

#[tokio::test]
async fn only_those_who_need_it_go_to_the_next_host() {
    let first = MailHost::that(|heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => say("450 greylisted"),
        heard => polite(heard),
    })
    .await;
    let second = MailHost::that(polite).await;
    let hosts = [first.address, second.address];
    let verdicts = Relay::new().sends(&hosts, &["a@x.example", "b@x.example"]).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"; 2]);
    let named = |host: &MailHost| {
        let commands = host.commands().into_iter();
        commands.filter(|line| line.starts_with("RCPT")).collect::<Vec<_>>()
    };
    assert_eq!(named(&first).len(), 2);
    assert_eq!(named(&second), ["RCPT TO:<b@x.example>"]);
}

#[tokio::test]
async fn where_no_host_can_be_reached_the_reason_names_the_last() {
    let (first, second) = (unused_address().await, unused_address().await);
    let verdicts = Relay::new().sends(&[first, second], &["a@x.example"]).await;
    let begins = format!("deferred: cannot connect to mx.example ({second}): ");
    assert!(verdicts[0].starts_with(&begins), "{verdicts:?}");
}

#[tokio::test]
async fn a_greeting_that_refuses_fails_no_mail_also_if_all_hosts_say_so() {
    for greeting in ["554 no mail here", "521 no mail here"] {
        let closed = host_that(Place::Greeting, say(greeting)).await;
        let verdicts = Relay::new().sends(&[closed.address; 2], &["a@x.example"]).await;
        assert_eq!(verdicts, [format!("deferred: {greeting}")]);
    }
}

#[tokio::test]
async fn a_connection_carries_one_letter_after_another() {
    let host = MailHost::that(polite).await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    for _ in 0..3 {
        let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
        assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    }
    agent.finish().await;
    assert_eq!(host.connections(), 1);
    assert_eq!(host.commands().iter().filter(|line| *line == "QUIT").count(), 1);
}

#[tokio::test]
async fn a_refused_letter_is_reset_and_the_next_one_goes() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.contains("<b@") => say("550 no such user"),
        heard => polite(heard),
    })
    .await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    assert_eq!(carry(&mut agent, &["b@x.example"], &letter()).await, ["failed: 550 no such user"]);
    assert_eq!(
        carry(&mut agent, &["a@x.example"], &letter()).await,
        ["delivered: 250 2.0.0 queued"]
    );
    assert_eq!(host.connections(), 1);
    assert!(host.commands().contains(&"RSET".to_owned()));
}

#[tokio::test]
async fn a_host_that_hangs_up_after_each_letter_is_called_again() {
    let host = host_that(Place::Text, Act::SayAndClose("250 taken".to_owned())).await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    for _ in 0..3 {
        let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
        assert_eq!(verdicts, ["delivered: 250 taken"]);
    }
    assert_eq!(host.connections(), 3);
}

#[tokio::test]
async fn a_dead_host_costs_one_attempt_a_run_not_one_a_letter() {
    let host = host_that(Place::Greeting, Act::Silence).await;
    let (mut agent, _) = Relay::new().impatient().agent(&[host.address]);
    for _ in 0..50 {
        let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
        assert!(verdicts[0].starts_with("deferred: mx.example did not answer"));
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_host_that_keeps_breaking_off_is_spared_the_rest_and_nothing_is_said_of_that() {
    for place in [Place::Mail, Place::Rcpt, Place::Data, Place::Text] {
        let host = host_that(place, Act::Close).await;
        let (mut agent, _) = Relay::new().agent(&[host.address]);
        for nth in 0..10 {
            let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
            let fate =
                if nth < 3 { "deferred: mx.example closed the connection" } else { "not offered" };
            assert!(verdicts[0].starts_with(fate), "{place:?} {nth}: {verdicts:?}");
        }
        assert_eq!(host.connections(), 3);
    }
}

#[tokio::test]
async fn our_own_fault_is_not_taken_for_the_hosts() {
    let host = MailHost::that(polite).await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    for _ in 0..4 {
        let torn = Text { octets: vec![b'x'; 500_000], readable: 300_000 };
        let verdicts = carry(&mut agent, &["a@x.example"], &Letter::new(String::new(), torn)).await;
        assert!(verdicts[0].contains("the queued message cannot be read"), "{verdicts:?}");
    }
    let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
}

#[tokio::test]
async fn a_letter_that_is_deferred_by_the_only_host_leaves_the_connection_to_the_next() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.contains("<b@") => say("450 greylisted"),
        heard => polite(heard),
    })
    .await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    for (recipient, verdict) in [
        ("b@x.example", "deferred: 450 greylisted"),
        ("a@x.example", "delivered: 250 2.0.0 queued"),
        ("b@x.example", "deferred: 450 greylisted"),
    ] {
        assert_eq!(carry(&mut agent, &[recipient], &letter()).await, [verdict]);
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn recipients_are_split_at_a_hundred() {
    let host = MailHost::that(polite).await;
    let recipients: Vec<String> = (0..250).map(|n| format!("u{n}@x.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let verdicts = Relay::new().sends(&[host.address], &recipients).await;
    assert!(verdicts.iter().all(|verdict| verdict.starts_with("delivered")));
    assert_eq!(host.texts().len(), 3);
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_host_that_takes_few_recipients_at_once_gets_them_one_after_another() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") && !line.contains("<u0@") => {
            say("452 4.5.3 too many recipients")
        }
        heard => polite(heard),
    })
    .await;
    let verdicts = Relay::new().sends(&[host.address], &["u0@x.example", "u1@x.example"]).await;
    assert_eq!(
        verdicts,
        ["delivered: 250 2.0.0 queued", "deferred: 452 4.5.3 too many recipients"]
    );
    let named = host.commands().into_iter().filter(|line| line.starts_with("RCPT"));
    assert_eq!(named.count(), 3);
}

#[tokio::test]
async fn large_text_goes_out_whole_and_dots_and_line_ends_arrive_as_they_should() {
    let host = MailHost::that(polite).await;
    let mut text = b"Subject: x\r\n\r\n".to_vec();
    for n in 0..200_000u32 {
        text.extend_from_slice(format!(".{n}\r\n..\r\n").as_bytes());
    }
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    let letter = Letter::new(String::new(), Text::of(&text));
    let verdicts = carry(&mut agent, &["a@x.example"], &letter).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    assert!(host.texts() == [text], "the text has changed on its way");

    let letter = Letter::new(String::new(), Text::of(b"a\n.\nb\rc"));
    carry(&mut agent, &["a@x.example"], &letter).await;
    assert_eq!(host.texts()[1], b"a\r\n.\r\nb c\r\n");
}

#[tokio::test]
async fn text_that_cannot_be_read_to_its_end_is_never_given_one() {
    let host = MailHost::that(polite).await;
    let text = Text { octets: vec![b'x'; 500_000], readable: 300_000 };
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    let letter = Letter::new(String::new(), text);
    let verdicts = carry(&mut agent, &["a@x.example"], &letter).await;
    assert!(
        verdicts[0].contains("the queued message cannot be read (the disk is gone)"),
        "{verdicts:?}"
    );
    assert_eq!(host.texts(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn a_host_may_refuse_large_text_before_its_end() {
    let host = host_that(Place::Data, Act::Interrupt("354 go on", 1_000, "552 too large")).await;
    let (mut agent, _) = Relay::new().agent(&[host.address]);
    let letter = Letter::new(String::new(), Text::of(&vec![b'x'; 30_000_000]));
    let verdicts = carry(&mut agent, &["a@x.example"], &letter).await;
    assert_eq!(verdicts, ["failed: 552 too large"]);
}

#[tokio::test]
async fn a_host_that_reads_no_text_is_given_up() {
    let host = host_that(Place::Data, Act::Deafness("354 go on")).await;
    let (mut agent, _) = Relay::new().impatient().agent(&[host.address]);
    let letter = Letter::new(String::new(), Text::of(&vec![b'x'; 30_000_000]));
    let verdicts = carry(&mut agent, &["a@x.example"], &letter).await;
    let begins = "deferred: mx.example took no more octets for 0.3 s, at ";
    assert!(verdicts[0].starts_with(begins), "{verdicts:?}");
}

#[tokio::test]
async fn pipelining_size_and_8bitmime_are_used_where_they_are_offered() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("EHLO") => {
            say("250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME")
        }
        heard => polite(heard),
    })
    .await;
    let (mut agent, _) = Relay::new().with_ehlo().agent(&[host.address]);
    let verdicts = carry(&mut agent, &["a@x.example", "b@x.example"], &letter()).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"; 2]);
    assert_eq!(host.commands()[1], "MAIL FROM:<ben@localhost> SIZE=50 BODY=8BITMIME");
    let large = Letter::new(String::new(), Text::of(&[b'x'; 1_001]));
    let verdicts = carry(&mut agent, &["a@x.example"], &large).await;
    assert_eq!(
        verdicts,
        ["failed: mx.example takes messages of at most 1000 octets, and this one has 1001"]
    );
}

#[tokio::test]
async fn eight_bit_text_goes_as_it_is_and_the_transcript_says_so_where_nobody_offered_to_take_it() {
    for (ehlo, offers, text, told) in [
        (true, "250-mx.example\r\n250 SIZE", "na\u{ef}ve\r\n", 1),
        (true, "502 what?", "na\u{ef}ve\r\n", 1),
        (true, "250-mx.example\r\n250 8BITMIME", "na\u{ef}ve\r\n", 0),
        (true, "250-mx.example\r\n250 SIZE", "naive\r\n", 0),
        (false, "502 what?", "na\u{ef}ve\r\n", 0),
    ] {
        let host = MailHost::that(move |heard| match heard {
            Heard::Command(line) if line.starts_with("EHLO") => say(offers),
            heard => polite(heard),
        })
        .await;
        let relay = if ehlo { Relay::new().with_ehlo() } else { Relay::new() };
        let (mut agent, recorder) = relay.agent(&[host.address]);
        let letter = Letter::new(String::new(), Text::of(text.as_bytes()));
        carry(&mut agent, &["a@x.example"], &letter).await;
        assert_eq!(host.texts(), [text.as_bytes()]);
        let lines = recorder.lines();
        let notes = lines.iter().filter(|line| line.contains("does not offer 8BITMIME")).count();
        assert_eq!(notes, told, "{offers}: {lines:?}");
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_a_host_at_once() {
    let host = host_that(Place::Mail, Act::Silence).await;
    let relay = Relay::new();
    let stop = relay.client.stop.clone();
    let registry = relay.client.registry.clone().expect("a registry");
    let sending = tokio::spawn(async move { relay.sends(&[host.address], &["a@x.example"]).await });
    while !registry.view().connections.iter().any(|connection| connection.state == "MAIL") {
        tokio::task::yield_now().await;
    }
    // The host has ended its lines: there is nothing that it has begun.
    assert_eq!(registry.view().connections[0].partial, b"");
    stop.cancel();
    let verdicts = tokio::time::timeout(Duration::from_secs(5), sending).await;
    let verdicts = verdicts.expect("it goes on waiting").expect("verdicts");
    assert!(verdicts[0].starts_with("deferred: "), "{verdicts:?}");
}

#[tokio::test]
async fn what_a_host_has_begun_to_say_is_seen() {
    let host = host_that(Place::Mail, Act::Raw(b"250-ok\r\n250 o".to_vec())).await;
    let relay = Relay::new();
    let stop = relay.client.stop.clone();
    let registry = relay.client.registry.clone().expect("a registry");
    let sending = tokio::spawn(async move { relay.sends(&[host.address], &["a@x.example"]).await });
    while !registry.view().connections.iter().any(|connection| connection.partial == b"250 o") {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    sending.await.expect("verdicts");
}

/// An address that nobody listens at.
async fn unused_address() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn a_host_never_has_more_connections_from_us_than_it_may() {
    let host = MailHost::that(polite).await;
    let relay = Relay::new();
    let client = Arc::new(relay.client);
    let limits = Arc::new(Limits::to_one_host(2));
    let agents = (0..8).map(|_| {
        let target =
            Target { preference: None, host: "mx.example".to_owned(), address: host.address };
        let (client, limits) = (Arc::clone(&client), Arc::clone(&limits));
        let introduction = relay.introduction.clone();
        tokio::spawn(async move {
            let hosts = Hosts::new(vec![target]);
            let mut agent = DeliveryAgent::new(client, limits, introduction, hosts);
            let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
            agent.finish().await;
            verdicts
        })
    });
    for agent in agents.collect::<Vec<_>>() {
        let verdicts = agent.await.expect("the agent");
        assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    }
    assert_eq!(host.connections(), 8);
    assert!(host.most_open() <= 2, "{} connections at once", host.most_open());
}
