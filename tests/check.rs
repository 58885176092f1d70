//! `mailconsole check` against right servers and deliberately wrong ones: each wrong one fails,
//! for the right reason, in the right bracket.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mailconsole::check::{CheckError, Pace, Script, Verdict, run_at};

/// One act of a scripted server.
#[derive(Clone, Copy)]
enum Act {
    /// Writes these octets.
    Say(&'static str),
    /// Reads these octets and no others.
    Hear(&'static str),
    /// Waits until the client closes.
    Stay,
}
use Act::{Hear, Say, Stay};

const ECHO: &[Act] = &[
    Say("+OK Server ready (Author: Linh Thi Xuan Phan / linhphan)\r\n"),
    Hear("ECHO Hello world!\r\n"),
    Say("+OK Hello world!\r\n"),
    Hear("BLAH\r\n"),
    Say("-ERR Unknown command\r\n"),
    Hear("ECHO blah\r\n"),
    Say("+OK blah\r\n"),
    Hear("ECHO blubb\r\nECHO xyz\r\n"),
    Say("+OK blubb\r\n+OK xyz\r\n"),
    Hear("QUIT\r\n"),
    Say("+OK Goodbye!\r\n"),
];

const LETTER: &str = "From: Benjamin Franklin <benjamin.franklin@localhost>\r\n\
    To: Linh Thi Xuan Phan <linhphan@localhost>\r\n\
    Date: Fri, 21 Oct 2016 18:29:11 -0400\r\n\
    Subject: Testing my new email account\r\n\
    \r\n\
    Linh,\r\n\
    \r\n\
    I just wanted to see whether my new email account works.\r\n\
    \r\n\
    \x20       - Ben\r\n";

const SMTP: &[Act] = &[
    Say("220 localhost service ready\r\n"),
    Hear("HELO tester\r\n"),
    Say("250 localhost\r\n"),
    Hear("MAIL FROM:<benjamin.franklin@localhost>\r\n"),
    Say("250 OK\r\n"),
    Hear("RCPT TO:<linhphan@localhost>\r\n"),
    Say("250 OK\r\n"),
    Hear("RCPT TO:<nonexistent.mailbox@localhost>\r\n"),
    Say("550 no such user here\r\n"),
    Hear("DATA\r\n"),
    Say("354 go ahead\r\n"),
    Hear(LETTER),
    Hear(".\r\n"),
    Say("250 OK\r\n"),
    Hear("QUIT\r\n"),
    Say("221 bye\r\n"),
];

const POP3: &[Act] = &[
    Say("+OK POP3 ready [localhost]\r\n"),
    Hear("USER linhphan\r\n"),
    Say("+OK\r\n"),
    Hear("PASS cis505\r\n"),
    Say("+OK 1 message\r\n"),
    Hear("STAT\r\n"),
    Say("+OK 1 264\r\n"),
    Hear("BLAH\r\n"),
    Say("-ERR Not supported\r\n"),
    Hear("RETR 1\r\n"),
    Say("+OK 264 octets\r\n"),
    Say(LETTER),
    Say(".\r\n"),
    Hear("DELE 1\r\n"),
    Say("+OK\r\n"),
    Hear("QUIT\r\n"),
    Say("+OK Goodbye\r\n"),
];

/// Short pauses, and a limit that a loaded machine keeps too.
const QUICK: Pace = Pace {
    pause: Duration::from_millis(20),
    hush: Duration::from_millis(20),
    answer: Duration::from_secs(20),
};

/// For servers that keep silent: how long is not what is tested.
const IMPATIENT: Pace = Pace { answer: Duration::from_millis(200), ..QUICK };

/// What a conversation with a server that performs `acts` showed.
struct Played {
    transcript: String,
    outcome: Result<Verdict, CheckError>,
}

impl Played {
    /// The one line of the transcript that is off.
    #[track_caller]
    fn only_line_off(&self) -> &str {
        assert!(matches!(self.outcome, Ok(Verdict::Off)), "{}", self.transcript);
        let mut off = self.transcript.lines().filter(|line| is_off(line));
        match (off.next(), off.next()) {
            (Some(line), None) => line,
            _ => panic!("not one line is off:\n{}", self.transcript),
        }
    }

    /// The last line of the transcript and the sentence of the error.
    #[track_caller]
    fn stopped(&self) -> (&str, String) {
        let error = self.outcome.as_ref().expect_err("the tester went on");
        let last = self.transcript.lines().last().unwrap_or_default();
        assert!(self.transcript.is_empty() || self.transcript.ends_with('\n'));
        (last, error.to_string())
    }
}

fn is_off(line: &str) -> bool {
    line.ends_with(']') && !line.ends_with(" [OK]")
}

fn serve(acts: Vec<Act>) -> (u16, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept()?;
        acts.iter().try_for_each(|act| perform(&mut client, *act))
    });
    (port, server)
}

fn perform(client: &mut TcpStream, act: Act) -> io::Result<()> {
    match act {
        Say(text) => client.write_all(text.as_bytes()),
        Stay => client.read_to_end(&mut Vec::new()).map(drop),
        Hear(text) => {
            let mut heard = vec![0; text.len()];
            client.read_exact(&mut heard)?;
            assert_eq!(String::from_utf8_lossy(&heard), text);
            Ok(())
        }
    }
}

fn play(script: Script, acts: Vec<Act>, pace: Pace) -> Played {
    let (port, server) = serve(acts);
    let mut transcript = Vec::new();
    let outcome = run_at(pace, script, "localhost", port, &mut transcript);
    // Its client may have left in the middle of an act: that is no failure of the test.
    let _ = server.join().expect("the tester sent something else");
    Played { transcript: String::from_utf8(transcript).unwrap(), outcome }
}

/// The right server, but for the acts that say `right`.
fn with(right_server: &[Act], right: &str, wrong: &'static str) -> Vec<Act> {
    let mut acts = right_server.to_vec();
    let act = acts
        .iter_mut()
        .find(|act| matches!(act, Say(text) if *text == right))
        .expect("the right server does not say so");
    *act = Say(wrong);
    acts
}

/// The right server up to the act that hears `last`, and then only `acts`.
fn until(right_server: &[Act], last: &str, acts: &[Act]) -> Vec<Act> {
    let at = right_server
        .iter()
        .position(|act| matches!(act, Hear(text) if *text == last))
        .expect("the right server does not hear that");
    [&right_server[..=at], acts].concat()
}

#[track_caller]
fn passes(script: Script, server: &[Act], transcript: &str) {
    let played = play(script, server.to_vec(), QUICK);
    assert_eq!(played.transcript, transcript);
    assert!(matches!(played.outcome, Ok(Verdict::Right)));
}

#[test]
fn a_right_echo_server_passes() {
    passes(
        Script::Echo,
        ECHO,
        "S: +OK Server ready (Author: Linh Thi Xuan Phan / linhphan)<CR><LF> [OK]\n\
         C: ECHO Hello world!<CR><LF>\n\
         S: +OK Hello world!<CR><LF> [OK]\n\
         C: BLAH<CR><LF>\n\
         S: -ERR Unknown command<CR><LF> [OK]\n\
         C: ECH\n\
         C: O blah<CR><LF>EC\n\
         S: +OK blah<CR><LF> [OK]\n\
         C: HO blubb<CR><LF>ECHO xyz<CR><LF>\n\
         S: +OK blubb<CR><LF> [OK]\n\
         S: +OK xyz<CR><LF> [OK]\n\
         C: QUIT<CR><LF>\n\
         S: +OK Goodbye!<CR><LF> [OK]\n",
    );
}

#[test]
fn a_right_smtp_server_passes() {
    passes(
        Script::Smtp,
        SMTP,
        "S: 220 localhost service ready<CR><LF> [OK]\n\
         C: HELO tester<CR><LF>\n\
         S: 250 localhost<CR><LF> [OK]\n\
         C: MAIL FROM:<benjamin.franklin@localhost><CR><LF>\n\
         S: 250 OK<CR><LF> [OK]\n\
         C: RCPT TO:<linhphan@localhost><CR><LF>\n\
         S: 250 OK<CR><LF> [OK]\n\
         C: RCPT TO:<nonexistent.mailbox@localhost><CR><LF>\n\
         S: 550 no such user here<CR><LF> [OK]\n\
         C: DATA<CR><LF>\n\
         S: 354 go ahead<CR><LF> [OK]\n\
         C: From: Benjamin Franklin <benjamin.franklin@localhost><CR><LF>\n\
         C: To: Linh Thi Xuan Phan <linhphan@localhost><CR><LF>\n\
         C: Date: Fri, 21 Oct 2016 18:29:11 -0400<CR><LF>\n\
         C: Subject: Testing my new email account<CR><LF>\n\
         C: <CR><LF>\n\
         C: Linh,<CR><LF>\n\
         C: <CR><LF>\n\
         C: I just wanted to see whether my new email account works.<CR><LF>\n\
         C: <CR><LF>\n\
         C:         - Ben<CR><LF>\n\
         C: .<CR><LF>\n\
         S: 250 OK<CR><LF> [OK]\n\
         C: QUIT<CR><LF>\n\
         S: 221 bye<CR><LF> [OK]\n",
    );
}

#[test]
fn a_right_pop3_server_passes() {
    passes(
        Script::Pop3,
        POP3,
        "S: +OK POP3 ready [localhost]<CR><LF> [OK]\n\
         C: USER linhphan<CR><LF>\n\
         S: +OK<CR><LF> [OK]\n\
         C: PASS cis505<CR><LF>\n\
         S: +OK 1 message<CR><LF> [OK]\n\
         C: STAT<CR><LF>\n\
         S: +OK 1 264<CR><LF> [OK]\n\
         C: BLAH<CR><LF>\n\
         S: -ERR Not supported<CR><LF> [OK]\n\
         C: RETR 1<CR><LF>\n\
         S: +OK 264 octets<CR><LF> [OK]\n\
         S: From: Benjamin Franklin <benjamin.franklin@localhost><CR><LF> [OK]\n\
         S: To: Linh Thi Xuan Phan <linhphan@localhost><CR><LF> [OK]\n\
         S: Date: Fri, 21 Oct 2016 18:29:11 -0400<CR><LF> [OK]\n\
         S: Subject: Testing my new email account<CR><LF> [OK]\n\
         S: <CR><LF> [OK]\n\
         S: Linh,<CR><LF> [OK]\n\
         S: <CR><LF> [OK]\n\
         S: I just wanted to see whether my new email account works.<CR><LF> [OK]\n\
         S: <CR><LF> [OK]\n\
         S:         - Ben<CR><LF> [OK]\n\
         S: .<CR><LF> [OK]\n\
         C: DELE 1<CR><LF>\n\
         S: +OK<CR><LF> [OK]\n\
         C: QUIT<CR><LF>\n\
         S: +OK Goodbye<CR><LF> [OK]\n",
    );
}

#[test]
fn a_wrong_text_is_told_and_the_conversation_goes_on() {
    let acts = with(ECHO, "+OK blah\r\n", "+OK Blah\x1b[2J\r\n");
    let played = play(Script::Echo, acts, QUICK);
    assert_eq!(played.only_line_off(), "S: +OK Blah\\x1b[2J<CR><LF> [Expected: '+OK blah']");
    assert!(played.transcript.ends_with("S: +OK Goodbye!<CR><LF> [OK]\n"));
}

#[test]
fn a_wrong_beginning_is_told_with_its_star() {
    let acts = with(SMTP, "550 no such user here\r\n", "250 OK\r\n");
    let played = play(Script::Smtp, acts, QUICK);
    assert_eq!(played.only_line_off(), "S: 250 OK<CR><LF> [Expected: '550 *']");
}

#[test]
fn other_octets_than_264_are_wrong() {
    for wrong in ["+OK 1 266\r\n", "+OK 1 264 octets\r\n", "+OK 01 264\r\n"] {
        let played = play(Script::Pop3, with(POP3, "+OK 1 264\r\n", wrong), QUICK);
        assert!(played.only_line_off().ends_with(" [Expected: '+OK 1 264']"));
    }
}

#[test]
fn a_line_that_ends_in_lf_alone_is_told() {
    let acts = with(ECHO, "+OK Hello world!\r\n", "+OK Hello world!\n");
    let played = play(Script::Echo, acts, QUICK);
    assert_eq!(played.only_line_off(), "S: +OK Hello world!<LF> [Terminated by LF, not by CRLF]");
}

#[test]
fn a_line_may_be_off_in_every_way_at_once() {
    let acts = with(ECHO, "+OK Hello world!\r\n", "Hello\nworld\0");
    let played = play(Script::Echo, acts, QUICK);
    assert_eq!(
        played.only_line_off(),
        "S: Hello<LF> [Expected: '+OK Hello world!'] [Terminated by LF, not by CRLF] \
         [Unexpected data: world\\x00]"
    );
}

#[test]
fn octets_behind_a_reply_are_told() {
    for (wrong, shown) in [("+OK blah\r\n\0", "\\x00"), ("+OK blah\r\n+OK \r\n", "+OK <CR><LF>")] {
        let played = play(Script::Echo, with(ECHO, "+OK blah\r\n", wrong), QUICK);
        assert_eq!(
            played.only_line_off(),
            format!("S: +OK blah<CR><LF> [Unexpected data: {shown}]")
        );
    }
}

#[test]
fn octets_behind_the_reply_to_quit_are_told() {
    let acts = with(ECHO, "+OK Goodbye!\r\n", "+OK Goodbye!\r\n\r\n");
    let played = play(Script::Echo, acts, QUICK);
    assert_eq!(played.only_line_off(), "S: +OK Goodbye!<CR><LF> [Unexpected data: <CR><LF>]");
}

#[test]
fn a_server_that_answers_half_a_command_is_found_out() {
    let acts = [
        &until(ECHO, "BLAH\r\n", &[Say("-ERR Unknown command\r\n")])[..],
        &[Hear("ECH"), Say("-ERR Unknown command\r\n"), Hear("O blah\r\nEC"), Stay],
    ]
    .concat();
    let pace = Pace {
        // Long enough for the wrong answer to come, however loaded the machine is.
        pause: Duration::from_millis(400),
        ..IMPATIENT
    };
    let played = play(Script::Echo, acts, pace);
    assert!(
        played.transcript.contains("C: ECH [Unexpected data: -ERR Unknown command<CR><LF>]\n"),
        "{}",
        played.transcript
    );
}

#[test]
fn a_reply_during_message_text_is_told() {
    let first = "From: Benjamin Franklin <benjamin.franklin@localhost>\r\n";
    let rest = LETTER.strip_prefix(first).unwrap();
    let acts = [
        &until(SMTP, "DATA\r\n", &[Say("354 go ahead\r\n")])[..],
        &[
            Hear(first),
            Say("250 OK\r\n"),
            Hear(rest),
            Hear(".\r\n"),
            Say("250 OK\r\n"),
            Hear("QUIT\r\n"),
            Say("221 bye\r\n"),
        ],
    ]
    .concat();
    let played = play(Script::Smtp, acts, QUICK);
    let line = played.only_line_off();
    assert!(line.starts_with("C: "), "{line}");
    assert!(line.ends_with("<CR><LF> [Unexpected data: 250 OK<CR><LF>]"), "{line}");
}

#[test]
fn a_flood_is_cut_short() {
    let flood: &'static str = format!("+OK blah\r\n{}", "x".repeat(20_000)).leak();
    let played = play(Script::Echo, with(ECHO, "+OK blah\r\n", flood), QUICK);
    let line = played.only_line_off();
    assert!(line.starts_with("S: +OK blah<CR><LF> [Unexpected data: xxx"));
    assert!(line.len() < 1_200, "{}", line.len());
    assert!(line.ends_with(" more octets)]"), "{line}");
}

#[test]
fn a_server_that_closes_early_stops_the_tester() {
    let acts = until(ECHO, "BLAH\r\n", &[]);
    let played = play(Script::Echo, acts, QUICK);
    assert!(matches!(played.outcome, Err(CheckError::ClosedEarly)));
    let (last, sentence) = played.stopped();
    assert_eq!(last, "C: BLAH<CR><LF>");
    assert_eq!(sentence, "the server closed the connection too early");
}

#[test]
fn a_server_that_closes_after_its_greeting_stops_the_tester() {
    let played = play(Script::Pop3, vec![Say("+OK\r\n")], QUICK);
    assert!(matches!(played.outcome, Err(CheckError::ClosedEarly)));
    assert_eq!(played.transcript, "S: +OK<CR><LF> [OK]\n");
}

#[test]
fn a_line_cut_off_by_the_close_is_shown() {
    let acts = until(ECHO, "BLAH\r\n", &[Say("-ERR Unk")]);
    let played = play(Script::Echo, acts, QUICK);
    assert!(matches!(played.outcome, Err(CheckError::ClosedEarly)));
    assert_eq!(played.stopped().0, "S: -ERR Unk [Expected: '-ERR Unknown command']");
}

#[test]
fn a_silent_server_stops_the_tester() {
    let acts = until(SMTP, "DATA\r\n", &[Stay]);
    let played = play(Script::Smtp, acts, IMPATIENT);
    assert!(matches!(played.outcome, Err(CheckError::NoAnswer { .. })));
    let (last, sentence) = played.stopped();
    assert_eq!(last, "C: DATA<CR><LF>");
    assert_eq!(sentence, "the server did not answer within 0.2 s: expected '354 *'");
}

#[test]
fn a_line_that_never_ends_stops_the_tester() {
    let line: &'static str = "y".repeat(5_000).leak();
    let acts = vec![Say(line), Stay];
    let played = play(Script::Echo, acts, QUICK);
    assert!(matches!(played.outcome, Err(CheckError::LineTooLong)));
    let (last, sentence) = played.stopped();
    assert_eq!(sentence, "the server sent a line of over 5,000 octets");
    assert!(last.ends_with(" more octets) [Expected: '+OK Server ready (Author: *']"));
}

#[test]
fn a_line_of_5000_octets_is_read() {
    let greeting = format!("+OK Server ready (Author: {:4972}\r\n", "");
    assert_eq!(greeting.len(), 5_000);
    let mut acts = ECHO.to_vec();
    acts[0] = Say(greeting.leak());
    let played = play(Script::Echo, acts, QUICK);
    assert!(matches!(played.outcome, Ok(Verdict::Right)));
}

#[test]
fn a_server_that_does_not_close_after_quit_is_told() {
    let acts = [SMTP, &[Stay]].concat();
    let played = play(Script::Smtp, acts, IMPATIENT);
    assert!(matches!(played.outcome, Err(CheckError::NotClosed { .. })));
    let (last, sentence) = played.stopped();
    assert_eq!(last, "S: 221 bye<CR><LF> [OK]");
    assert_eq!(sentence, "the server did not close the connection within 0.2 s after QUIT");
}

#[test]
fn a_refused_connection_names_port_and_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut transcript = Vec::new();
    let outcome = run_at(QUICK, Script::Echo, "127.0.0.1", port, &mut transcript);
    assert!(matches!(outcome, Err(CheckError::NotConnected { .. })));
    let sentence = outcome.unwrap_err().to_string();
    assert!(
        sentence.starts_with(&format!("cannot connect to port {port} of 127.0.0.1: ")),
        "{sentence}"
    );
    assert!(transcript.is_empty());
}

#[test]
fn the_usual_pace_is_the_promised_one() {
    assert_eq!(Pace::USUAL.pause, Duration::from_secs(1));
    assert_eq!(Pace::USUAL.answer, Duration::from_secs(5));
}
