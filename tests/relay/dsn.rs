//! What senders ask for with DSN and SMTPUTF8: what a host is told of it, what the relay does where
//! the host cannot, and what senders are told.

use std::sync::Arc;

use mailconsole::relay::run::{Bounces, Choice};

use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::runs::{Ready, RelayHandle};

const TEXT: &str = "Subject: x\r\n\r\nHello\r\n";

const BEN: &str = "ben@localhost";

/// A host that offers these extensions.
fn offering(lines: &'static str) -> impl Fn(Heard<'_>) -> Act + Send + Sync {
    move |heard| match heard {
        Heard::Command(line) if line.starts_with("EHLO") => {
            Act::Raw(format!("250-mx.example\r\n{lines}250 XEND\r\n").into_bytes())
        }
        Heard::Command(line) if line.contains("<refused@") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    }
}

/// MAIL and RCPT as the host has heard them.
fn heard(host: &MailHost) -> Vec<String> {
    let is_envelope = |line: &String| line.starts_with("MAIL") || line.starts_with("RCPT");
    host.commands().into_iter().filter(is_envelope).collect()
}

/// A relay that says EHLO and tells ben, who has a mailbox.
fn telling(host: &MailHost) -> Ready {
    let post = RelayHandle::new().route("x.example", host).with_ehlo().bouncing().ready();
    post.relay.directory.create("ben").expect("a mailbox");
    post
}

fn told(post: &Ready) -> String {
    std::fs::read_to_string(post.dir.path().join("ben.mbox")).expect("a mailbox")
}

/// What ben is told when a message to these recipients has been tried once.
async fn told_of(offer: &'static str, asked: &str, recipients: &[(&str, &str)]) -> String {
    let host = MailHost::that(offering(offer)).await;
    let post = telling(&host);
    post.queue_asking((BEN, asked), recipients, TEXT).await;
    assert_eq!(post.run_all().await.left, 0, "{:?}", post.recipients());
    told(&post)
}

#[tokio::test]
async fn a_host_with_dsn_is_told_everything_and_tells_the_sender_itself() {
    let host = MailHost::that(offering("250-DSN\r\n")).await;
    let post = telling(&host);
    let recipients = [
        ("a@x.example", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A+2Bb@y.example"),
        ("b@x.example", "NOTIFY=NEVER"),
        ("c@x.example", ""),
    ];
    post.queue_asking((BEN, "RET=HDRS ENVID=QQ+20x"), &recipients, TEXT).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(
        heard(&host),
        [
            "MAIL FROM:<ben@localhost> RET=HDRS ENVID=QQ+20x",
            "RCPT TO:<a@x.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A+2Bb@y.example",
            "RCPT TO:<b@x.example> NOTIFY=NEVER",
            "RCPT TO:<c@x.example>",
        ]
    );
    assert_eq!(told(&post), "");
}

#[tokio::test]
async fn a_host_without_dsn_hears_nothing_of_it_and_the_sender_is_told_what_was_relayed() {
    let host = MailHost::that(offering("250-8BITMIME\r\n")).await;
    let post = telling(&host);
    let recipients = [
        ("a@x.example", "NOTIFY=SUCCESS ORCPT=rfc822;o@y.example"),
        ("b@x.example", "NOTIFY=FAILURE"),
    ];
    post.queue_asking((BEN, "ENVID=QQ+20x"), &recipients, TEXT).await;
    assert_eq!(post.run_all().await.left, 0);
    let expected = [
        "MAIL FROM:<ben@localhost> BODY=8BITMIME",
        "RCPT TO:<a@x.example>",
        "RCPT TO:<b@x.example>",
    ];
    assert_eq!(heard(&host), expected);
    let told = told(&post);
    for words in [
        "\nSubject: Mail relayed\r\n",
        "\nOriginal-Envelope-Id: QQ x\r\n",
        "\nOriginal-Recipient: rfc822; o@y.example\r\n",
        "\nFinal-Recipient: rfc822; a@x.example\r\n",
        "\nAction: relayed\r\n",
        "\nStatus: 2.0.0\r\n",
        "\nRemote-MTA: dns; 127.0.0.1\r\n",
    ] {
        assert_eq!(told.matches(words).count(), 1, "{words:?} in {told}");
    }
    assert!(!told.contains("b@x.example"), "{told}");
}

#[tokio::test]
async fn without_bounce_or_a_mailbox_nobody_is_told_and_nothing_stays() {
    let host = MailHost::that(polite).await;
    let post = RelayHandle::new().route("x.example", &host).ready();
    post.relay.directory.create("ben").expect("a mailbox");
    let asking = [("a@x.example", "NOTIFY=SUCCESS")];
    post.queue_asking((BEN, ""), &asking, TEXT).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(told(&post), "");
    let post = telling(&host);
    for sender in ["zoe@localhost", "ben@elsewhere.example", ""] {
        post.queue_asking((sender, ""), &asking, TEXT).await;
    }
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(told(&post), "");
}

#[tokio::test]
async fn what_a_killed_run_had_relayed_is_told_by_the_next_or_dropped_where_none_is_told() {
    let host = MailHost::that(polite).await;
    let post = telling(&host);
    post.queue_asking((BEN, ""), &[("a@x.example", "NOTIFY=SUCCESS")], TEXT).await;
    let queue = post.relay.directory.queue();
    let entries = queue.entries().await.expect("entries");
    queue.mark_relayed(&entries[0], vec![0]).await.expect("marked");
    assert_eq!(post.recipients(), ["R 0 <a@x.example>"]);
    assert_eq!(post.run(Choice::Due).await.left, 0);
    assert_eq!(told(&post).matches("\nAction: relayed\r\n").count(), 1);
    assert_eq!(host.connections(), 0);

    let mut post = post;
    Arc::get_mut(&mut post.relay).expect("no run").bounces = Bounces::Never;
    post.queue_asking((BEN, ""), &[("a@x.example", "NOTIFY=SUCCESS")], TEXT).await;
    let queue = post.relay.directory.queue();
    let entries = queue.entries().await.expect("entries");
    queue.mark_relayed(&entries[0], vec![0]).await.expect("marked");
    assert_eq!(post.run(Choice::Due).await.left, 0);
    assert_eq!(told(&post).matches("\nAction: relayed\r\n").count(), 1);
}

#[tokio::test]
async fn who_does_not_want_to_know_of_failure_is_not_told() {
    for asked in ["NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=DELAY"] {
        for offer in ["", "250-DSN\r\n"] {
            assert_eq!(told_of(offer, "", &[("refused@x.example", asked)]).await, "", "{asked}");
        }
    }
    let told = told_of("", "", &[("refused@x.example", "NOTIFY=FAILURE,SUCCESS")]).await;
    assert!(told.contains("\nAction: failed\r\n"), "{told}");
}

#[tokio::test]
async fn ret_says_how_much_of_a_failed_message_comes_back() {
    let refused = [("refused@x.example", "")];
    for asked in ["", "RET=HDRS"] {
        let told = told_of("", asked, &refused).await;
        assert!(told.contains("Content-Type: text/rfc822-headers"), "{told}");
        assert!(!told.contains("Hello"), "{told}");
    }
    let told = told_of("", "RET=FULL", &refused).await;
    assert!(told.contains("Content-Type: message/rfc822\r\n"), "{told}");
    assert!(told.contains(TEXT), "{told}");
    // Of what was relayed nobody needs more than the header.
    let told = told_of("", "RET=FULL", &[("a@x.example", "NOTIFY=SUCCESS")]).await;
    assert!(told.contains("Content-Type: text/rfc822-headers"), "{told}");
}

#[tokio::test]
async fn addresses_in_utf8_go_to_a_host_that_offers_smtputf8() {
    let host = MailHost::that(offering("250-8BITMIME\r\n250-SMTPUTF8\r\n")).await;
    let post = telling(&host);
    post.queue_asking(("josé@müller.example", "SMTPUTF8"), &[("用户@x.example", "")], TEXT).await;
    post.queue_asking((BEN, "SMTPUTF8"), &[("a@x.example", "")], TEXT).await;
    post.queue_asking((BEN, "SMTPUTF8"), &[("b@x.example", "")], "Subject: é\r\n\r\n").await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(
        heard(&host),
        [
            "MAIL FROM:<josé@müller.example> BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<用户@x.example>",
            "MAIL FROM:<ben@localhost> BODY=8BITMIME",
            "RCPT TO:<a@x.example>",
            "MAIL FROM:<ben@localhost> BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<b@x.example>",
        ]
    );
    let text = String::from_utf8_lossy(&host.texts()[0]).into_owned();
    assert!(text.contains(" with UTF8SMTP id "), "{text}");
}

#[tokio::test]
async fn without_smtputf8_who_needs_it_fails_for_good_and_the_sender_is_told() {
    let host = MailHost::that(offering("250-8BITMIME\r\n")).await;
    let post = telling(&host);
    let recipients = [("a@x.example", ""), ("josé@x.example", "ORCPT=utf-8;jos\\x{E9}@y")];
    post.queue_asking((BEN, "SMTPUTF8"), &recipients, TEXT).await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.texts().len(), 1);
    let told = told(&post);
    for words in [
        "\nOriginal-Recipient: utf-8; jos\\x{E9}@y\r\n",
        "\nFinal-Recipient: utf-8; jos\\x{E9}@x.example\r\n",
        "\nStatus: 5.6.7\r\n",
        " does not offer SMTPUTF8",
    ] {
        assert!(told.contains(words), "{words:?} in {told}");
    }
    // Nothing of it can be named or sent without SMTPUTF8.
    post.queue_asking((BEN, "SMTPUTF8"), &[("b@x.example", "")], "Subject: é\r\n\r\n").await;
    post.queue_asking(("é@y.example", "SMTPUTF8"), &[("c@x.example", "")], TEXT).await;
    assert_eq!(post.run_all().await.left, 1);
    assert_eq!(host.texts().len(), 1);
    let line = "F 1 <c@x.example> 127.0.0.1 does not offer SMTPUTF8, which the sender's address in UTF-8 needs";
    assert_eq!(post.recipients(), [line]);
}

#[tokio::test]
async fn eight_bit_headers_that_were_never_declared_go_as_ever() {
    let host = MailHost::that(polite).await;
    let post = telling(&host);
    post.queue_text(BEN, &["a@x.example"], "Subject: é\r\n\r\n").await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(heard(&host), ["MAIL FROM:<ben@localhost>", "RCPT TO:<a@x.example>"]);
}

#[tokio::test]
async fn what_was_declared_binary_is_not_sent_as_lines() {
    let host = MailHost::that(polite).await;
    let post = telling(&host);
    post.queue_asking((BEN, "BODY=BINARYMIME"), &[("a@x.example", "")], "a\nb\0\r\n").await;
    assert_eq!(post.run_all().await.left, 0);
    assert_eq!(host.connections(), 0);
    assert!(told(&post).contains("\nStatus: 5.6.3\r\n"));
}
