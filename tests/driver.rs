//! The loop that drives the sessions: lines however they arrive, time-outs, endings.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use mailconsole::servers::echo::EchoServer;
use mailconsole::watch::registry::Registry;
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use support::{A_SECOND, Held, Mail, Peer, Sockets, View, connect, fits, hold, hold_in_view};

const GREETING: &str = "+OK Server ready (Author: A / a)";

fn echo() -> EchoServer {
    EchoServer { author: "A / a".into() }
}

/// A conversation with the echo server, after the greeting.
async fn greeted() -> Held {
    let mut held = hold(&echo(), None);
    held.peer.expect(GREETING).await;
    held
}

/// Everything the echo server says to these pieces, and to the end of the stream behind them.
async fn answers(pieces: &[&[u8]]) -> String {
    let Held { mut peer, .. } = hold(&echo(), None);
    for piece in pieces {
        peer.send(piece).await;
        tokio::task::yield_now().await;
    }
    peer.stream.shutdown().await.unwrap();
    peer.rest().await
}

#[tokio::test]
async fn commands_in_pieces_and_together_are_answered_in_order() {
    let mut peer = greeted().await.peer;
    peer.send("ECH").await;
    peer.send("O blah\r\nEC").await;
    peer.expect("+OK blah").await;
    peer.send("HO blubb\r\nECHO xyz\r\n").await;
    peer.expect("+OK blubb").await;
    peer.expect("+OK xyz").await;
}

#[tokio::test]
async fn a_thousand_commands_in_one_piece_get_a_thousand_replies() {
    let mut held = greeted().await;
    let commands: Vec<String> = (0..1_000).map(|number| format!("ECHO {number}\r\n")).collect();
    held.peer.send(commands.concat() + "QUIT\r\n").await;
    for number in 0..1_000 {
        held.peer.expect(&format!("+OK {number}")).await;
    }
    held.peer.expect("+OK Goodbye!").await;
    held.peer.expect_end().await;
}

#[tokio::test]
async fn what_follows_quit_is_ignored() {
    let mut peer = greeted().await.peer;
    peer.send("QUIT\r\nECHO x\r\n").await;
    peer.expect("+OK Goodbye!").await;
    peer.expect_end().await;
}

#[tokio::test]
async fn an_overlong_line_is_answered_once_and_its_tail_is_no_command() {
    let mut held = greeted().await;
    for _ in 0..100 {
        held.peer.send("QUIT\nQUIT\rx".repeat(1_000)).await;
    }
    held.peer.send("QUIT\r\nECHO still here\r\n").await;
    held.peer.expect("-ERR Line too long").await;
    held.peer.expect("+OK still here").await;
    let longest = "x".repeat(4_096 - "ECHO ".len());
    held.peer.says(&format!("ECHO {longest}"), &format!("+OK {longest}")).await;
    held.peer.says(&format!("ECHO {longest}x"), "-ERR Line too long").await;
}

#[tokio::test]
async fn a_fragment_at_the_end_is_not_executed() {
    let Held { mut peer, recorder, ended, .. } = greeted().await;
    peer.send("ECHO x\r\nQUIT").await;
    peer.stream.shutdown().await.unwrap();
    assert_eq!(peer.rest().await, "+OK x\r\n");
    ended.await.unwrap();
    let lines = recorder.lines();
    let note = "[7] .. closed by the client in the middle of a line";
    assert_eq!(lines[4..], [note, "[7] Connection closed"]);
}

#[tokio::test]
async fn the_transcript_is_in_order_and_ends_with_the_close() {
    let Held { mut peer, recorder, ended, .. } = greeted().await;
    peer.send("ECHO a\r\nBLAH\r\nQUIT\r\n").await;
    peer.rest().await;
    drop(peer);
    ended.await.unwrap();
    assert_eq!(
        recorder.lines(),
        [
            "[7] New connection",
            "[7] S: +OK Server ready (Author: A / a)",
            "[7] C: ECHO a",
            "[7] S: +OK a",
            "[7] C: BLAH",
            "[7] S: -ERR Unknown command",
            "[7] C: QUIT",
            "[7] S: +OK Goodbye!",
            "[7] Connection closed",
        ]
    );
}

/// Sends the pieces, each of them read before the next one comes.
async fn send_in_reads(peer: &mut Peer<DuplexStream>, pieces: &[&str]) {
    for piece in pieces {
        peer.send(piece).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_wire_view_shows_line_ends_and_where_each_read_ended() {
    let Held { mut peer, recorder, ended, .. } = hold_in_view(View::Wire, &echo(), None);
    peer.expect(GREETING).await;
    send_in_reads(&mut peer, &["ECH", "O blah\r\nEC", "HO blubb\r\nECHO xyz\r", "\nQUIT\r\n"])
        .await;
    peer.rest().await;
    drop(peer);
    ended.await.unwrap();
    assert_eq!(
        recorder.lines(),
        [
            "[7] New connection",
            "[7] S: +OK Server ready (Author: A / a)␍␊",
            "[7] C: ECH┊O blah␍␊",
            "[7] S: +OK blah␍␊",
            "[7] C: EC┊HO blubb␍␊",
            "[7] S: +OK blubb␍␊",
            "[7] C: ECHO xyz␍┊␊",
            "[7] S: +OK xyz␍␊",
            "[7] C: QUIT␍␊┊",
            "[7] S: +OK Goodbye!␍␊",
            "[7] Connection closed",
        ]
    );
}

#[tokio::test]
async fn the_wire_view_shows_message_text_with_its_stuffed_dots() {
    let mail = Mail::with_users(&["linhphan"]);
    let Held { mut peer, recorder, .. } = hold_in_view(View::Wire, &mail.smtp, None);
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<linhphan@localhost>", "250 *").await;
    peer.says("DATA", "354 *").await;
    send_in_reads(&mut peer, &["a\r\n.", ".\tb\r\n.c\r\n.\r", "\nNOOP\r\n"]).await;
    peer.expect("250 OK").await;
    peer.expect("250 OK").await;
    let sent = [
        "[7] C: a␍␊",
        "[7] C: .┊.␉b␍␊",
        "[7] C: .c␍␊",
        "[7] .. 11 octets of message text",
        "[7] C: .␍┊␊",
        "[7] S: 250 OK␍␊",
        "[7] C: NOOP␍␊┊",
        "[7] S: 250 OK␍␊",
    ];
    assert_eq!(recorder.lines()[10..], sent);

    let Held { mut peer, recorder, .. } = hold_in_view(View::Wire, &mail.pop3, None);
    peer.expect("+OK *").await;
    peer.says("USER linhphan", "+OK*").await;
    peer.says("PASS cis505", "+OK*").await;
    peer.send("RETR 1\r\nQUIT\r\n").await;
    peer.rest().await;
    let fetched = ["[7] S: a␍␊", "[7] S: ..␉b␍␊", "[7] S: c␍␊", sent[3], "[7] S: .␍␊"];
    assert_eq!(recorder.lines()[8..13], fetched);
}

#[tokio::test(start_paused = true)]
async fn an_smtp_client_that_is_silent_for_too_long_gets_421() {
    let mail = Mail::with_users(&[]);
    let begun = Instant::now();
    let Held { mut peer, recorder, .. } = hold(&mail.smtp, Some(Duration::from_mins(5)));
    peer.expect("220 *").await;
    sleep(Duration::from_secs(200)).await;
    peer.says("NOOP", "250 OK").await;
    // A trickle of bytes is no command.
    sleep(Duration::from_secs(200)).await;
    peer.send("NO").await;
    peer.expect("421 localhost Idle for too long*").await;
    peer.expect_end().await;
    assert_eq!(begun.elapsed().as_secs(), 500);
    assert!(recorder.lines().contains(&"[7] .. idle for 300 s".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_pop3_session_is_closed_without_a_word() {
    let mail = Mail::with_users(&[]);
    let Held { mut peer, .. } = hold(&mail.pop3, Some(Duration::from_mins(10)));
    peer.expect("+OK POP3 ready [localhost]").await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn message_text_must_come_at_a_pace() {
    let mail = Mail::with_users(&["linhphan"]);
    let Held { mut peer, .. } = hold(&mail.smtp, Some(Duration::from_mins(5)));
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<linhphan@localhost>", "250 *").await;
    peer.says("DATA", "354 *").await;
    for _ in 0..10 {
        sleep(Duration::from_secs(200)).await;
        peer.send("x".repeat(1_024)).await;
    }
    for _ in 0..2 {
        sleep(Duration::from_secs(140)).await;
        peer.send("x").await;
    }
    peer.expect("421 *").await;
    peer.expect_end().await;
    assert_eq!(mail.content("linhphan.mbox"), "");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dropped() {
    let Held { mut peer, recorder, ended, .. } = greeted().await;
    let begun = Instant::now();
    // More than the pipe takes both ways, and never a read.
    let commands = format!("ECHO {}\r\n", "x".repeat(4_000)).repeat(100);
    let _ = peer.stream.write_all(commands.as_bytes()).await;
    ended.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert!(recorder.lines().contains(&"[7] .. the client does not read".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_peer_that_takes_nothing() {
    let Held { mut peer, ending, ended, .. } = greeted().await;
    let commands = format!("ECHO {}\r\n", "x".repeat(4_000)).repeat(100);
    let writing = tokio::spawn(async move {
        let _ = peer.stream.write_all(commands.as_bytes()).await;
        peer
    });
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    ending.cancel();
    ended.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    drop(writing.await);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_farewell_in_every_state() {
    let Held { mut peer, ending, .. } = greeted().await;
    peer.send("ECHO half a li").await;
    ending.cancel();
    peer.expect("-ERR Server shutting down").await;
    peer.expect_end().await;

    let mail = Mail::with_users(&["linhphan"]);
    let Held { mut peer, ending, .. } = hold(&mail.smtp, None);
    peer.expect("220 *").await;
    peer.says("HELO x", "250 *").await;
    peer.says("MAIL FROM:<a@b>", "250 *").await;
    peer.says("RCPT TO:<linhphan@localhost>", "250 *").await;
    peer.says("DATA", "354 *").await;
    peer.send("half a message\r\n").await;
    ending.cancel();
    peer.expect("421 localhost Server shutting down").await;
    peer.expect_end().await;
    assert_eq!(mail.content("linhphan.mbox"), "");

    let Held { mut peer, ending, .. } = hold(&mail.pop3, None);
    peer.expect("+OK *").await;
    peer.says("USER linhphan", "+OK*").await;
    peer.says("PASS cis505", "+OK*").await;
    ending.cancel();
    peer.expect("-ERR Server shutting down").await;
    peer.expect_end().await;
}

#[tokio::test]
async fn a_hundred_clients_are_seen_off_within_a_second() {
    let sockets = Sockets::new(1_000);
    let address = sockets.serve(echo());
    let mut peers = Vec::new();
    for _ in 0..100 {
        let mut peer = connect(address).await;
        peer.expect(GREETING).await;
        peers.push(peer);
    }
    let begun = std::time::Instant::now();
    sockets.end().await;
    assert!(begun.elapsed() < A_SECOND);
    for mut peer in peers {
        peer.expect("-ERR Server shutting down").await;
        peer.expect_end().await;
    }
}

#[tokio::test]
async fn the_operator_closes_one_connection_with_its_farewell() {
    let mail = Mail::with_users(&["linhphan"]);
    let registry = Arc::new(Registry::default());
    let sockets = Sockets::listed(&registry);
    let address = sockets.serve(mail.pop3);
    let (mut peer, mut other) = (connect(address).await, connect(address).await);
    for peer in [&mut peer, &mut other] {
        peer.expect("+OK POP3 ready [localhost]").await;
    }
    peer.says("USER linhphan", "+OK*").await;
    peer.says("PASS cis505", "+OK*").await;
    let listed = registry.view().connections;
    let logged_in = listed.iter().find(|one| one.state == "TRANSACTION linhphan").unwrap();
    assert_eq!(logged_in.user.as_deref(), Some("linhphan"));
    assert_eq!(logged_in.octets_in, "USER linhphan\r\nPASS cis505\r\n".len() as u64);
    registry.close(logged_in.name.id);
    peer.expect("-ERR Closed by the operator").await;
    peer.expect_end().await;
    other.says("USER linhphan", "+OK*").await;
}

#[tokio::test]
async fn over_the_limit_a_client_is_told_to_come_later() {
    let mail = Mail::with_users(&[]);
    let sockets = Sockets::new(2);
    let echo_at = sockets.serve(echo());
    let smtp_at = sockets.serve(mail.smtp);
    let mut inside: Vec<Peer<_>> = Vec::new();
    for _ in 0..2 {
        let mut peer = connect(echo_at).await;
        peer.expect(GREETING).await;
        inside.push(peer);
    }
    for _ in 0..200 {
        let mut outside = connect(smtp_at).await;
        outside.expect("421 localhost Too many connections, try again later").await;
        outside.expect_end().await;
    }
    let mut outside = connect(echo_at).await;
    outside.expect("-ERR Too many connections, try again later").await;
    let mut leaving = inside.pop().unwrap();
    leaving.says("QUIT", "+OK Goodbye!").await;
    leaving.expect_end().await;
    drop(leaving);
    // The place is free when the server has seen the client go.
    let mut again = connect(echo_at).await;
    while !fits(&again.line().await, GREETING) {
        again = connect(echo_at).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_answers(
        lines in prop::collection::vec("(ECHO|QUIT |x)?[ -~]{0,8}(\r\n|\n|\r|\r\n)", 0..12),
        cuts in prop::collection::vec(0usize..200, 0..8),
    ) {
        let bytes = lines.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (at_once, in_pieces) = runtime.block_on(async {
            (answers(&[&bytes]).await, answers(&pieces).await)
        });
        prop_assert_eq!(at_once, in_pieces);
    }

    #[test]
    fn one_command_gets_one_reply_whatever_its_bytes(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let lines: Vec<Vec<u8>> = lines
            .into_iter()
            .map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect())
            .filter(|line: &Vec<u8>| !line.eq_ignore_ascii_case(b"QUIT"))
            .collect();
        let bytes: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
        let mail = Mail::with_users(&[]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for replies in runtime.block_on(async {
            [replies_to(hold(&mail.smtp, None), &bytes).await,
             replies_to(hold(&mail.pop3, None), &bytes).await,
             replies_to(hold(&echo(), None), &bytes).await]
        }) {
            prop_assert_eq!(replies, lines.len() + 1);
        }
    }
}

/// Lines that come back, the greeting included.
async fn replies_to(mut held: Held, bytes: &[u8]) -> usize {
    held.peer.send(bytes).await;
    held.peer.stream.shutdown().await.unwrap();
    held.peer.rest().await.matches("\r\n").count()
}
