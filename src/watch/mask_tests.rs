//! Whatever a client logs in with, however its octets are cut into reads, and whether the server
//! offers a login or not: no line that is told, no unfinished line in the registry and no line of the
//! wire view shows the secret, and everything else is shown.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use crate::watch::connection_log::ConnectionLog;
use crate::watch::event::{
    ConnectionName, Event, Passwords, Service, Side, transcript_line, unended, wire_line,
};
use crate::watch::observers::{Observer, Observers};
use crate::watch::registry::{Registry, Secrecy};
use crate::watch::text_log::TextLog;
use crate::wire::dot::Unstuffer;
use crate::wire::line::{LINE_OCTETS, LineBuffer};

/// Keeps all events.
#[derive(Default)]
struct Watcher(Mutex<Vec<Event>>);

impl Observer for Watcher {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn wants_text(&self) -> bool {
        true
    }

    fn wants_reads(&self) -> bool {
        true
    }
}

/// What the server makes of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It is offered, and the credentials are right.
    Accepts,
    /// It is offered, and they are wrong.
    Refuses,
    /// The server does not know AUTH.
    NeverOffered,
}

/// A server of ours, as far as AUTH and DATA are concerned.
struct Fake {
    manner: Manner,
    is_pop3: bool,
    /// Answers that are still to come in an exchange.
    awaited: usize,
}

/// What the fake says yes to.
const KNOWN: [&str; 9] = ["EHLO", "NOOP", "USER", "PASS", "APOP", "RSET", "MAIL", "QUIT", "STAT"];

impl Fake {
    fn reply(&mut self, line: &[u8], is_overlong: bool) -> String {
        let [ok, no, ask] =
            if self.is_pop3 { ["+OK", "-ERR no", "+ "] } else { ["250 OK", "535 no", "334 "] };
        let verdict = if self.manner == Manner::Accepts { ok } else { no };
        let text = String::from_utf8_lossy(line).to_ascii_uppercase();
        let words: Vec<&str> = text.split(' ').collect();
        let answers = match words.as_slice() {
            _ if is_overlong => return no.into(),
            ["DATA"] => return "354 go on".into(),
            ["AUTH", ..] if self.manner == Manner::NeverOffered => return no.into(),
            ["AUTH", "LOGIN"] => 2,
            ["AUTH", "PLAIN" | "CRAM-MD5" | "XOAUTH2"] => 1,
            ["AUTH", _, _] => return verdict.into(),
            _ if !KNOWN.iter().any(|known| text.starts_with(known)) => return no.into(),
            _ => 0,
        };
        self.awaited = answers;
        if answers > 0 { ask.into() } else { ok.into() }
    }

    /// The reply to an answer, if an exchange is going on.
    fn take_answer(&mut self, line: &[u8], is_overlong: bool) -> String {
        if self.awaited > 1 && line != b"*" && !is_overlong {
            self.awaited -= 1;
            return if self.is_pop3 { "+ ".into() } else { "334 ".into() };
        }
        self.awaited = 0;
        let is_right = self.manner == Manner::Accepts && line != b"*" && !is_overlong;
        match (is_right, self.is_pop3) {
            (true, false) => "235 welcome".into(),
            (true, true) => "+OK".into(),
            (false, false) => "535 no".into(),
            (false, true) => "-ERR no".into(),
        }
    }
}

/// A client's line with its CRLF, and how it is shown with all secrets masked.
#[derive(Debug, Clone)]
struct Said {
    wire: Vec<u8>,
    shown: String,
}

fn said(wire: impl AsRef<[u8]>, shown: impl Into<String>) -> Said {
    Said { wire: [wire.as_ref(), b"\r\n"].concat(), shown: shown.into() }
}

fn open(line: &str) -> Said {
    said(line, line)
}

/// The secrets of one conversation.
#[derive(Debug, Clone)]
struct Secrets {
    /// What follows PASS.
    password: String,
    /// What AUTH and APOP prove.
    login: String,
}

impl Secrets {
    fn plain(&self) -> String {
        STANDARD.encode(format!("\0linhphan\0{}", self.login))
    }

    fn base64(&self) -> String {
        STANDARD.encode(&self.login)
    }

    fn digest(&self) -> String {
        // As random as the login itself.
        let octets = self.login.bytes().cycle().take(16);
        let mixed =
            octets.fold(0_u128, |all, octet| (all ^ u128::from(octet)).wrapping_mul(0x0100_01b3));
        format!("{:032x}", mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834))
    }

    fn cram(&self) -> String {
        STANDARD.encode(format!("linhphan {}", self.digest()))
    }

    /// All forms in which what AUTH and APOP prove goes over the wire.
    fn of_logins(&self) -> Vec<String> {
        vec![self.login.clone(), self.plain(), self.base64(), self.digest(), self.cram()]
    }
}

/// Parts of conversations. Each ends with a command, so that a refused login is over.
fn parts(secrets: &Secrets) -> Vec<Vec<Said>> {
    let Secrets { password, login } = secrets;
    let (plain, base64) = (secrets.plain(), secrets.base64());
    let (digest, cram) = (secrets.digest(), secrets.cram());
    let answer = |line: &str| said(line, "******");
    let long = base64.repeat(LINE_OCTETS / base64.len() + 2);
    vec![
        vec![open("EHLO tester")],
        vec![open("NOOP"), open("FOO bar"), open("c2VjcmV0cw==")],
        vec![open("USER linhphan"), said(format!("PASS {password}"), "PASS ******")],
        vec![said(format!("pass{password}"), "pass ******")],
        vec![said(
            format!("USER linhphan\nPASS {password}\nSTAT\n"),
            "USER linhphan\\x0aPASS ******",
        )],
        vec![said(format!("APOP linhphan {digest}"), "APOP linhphan ******")],
        vec![said(format!("APOPlinhphan {digest}"), "APOPlinhphan ******")],
        vec![said(format!("AUTH PLAIN {plain}"), "AUTH PLAIN ******"), open("RSET")],
        vec![said(format!("auth  xoauth2 {plain}"), "auth  xoauth2 ******"), open("NOOP")],
        vec![said(format!("AUTHPLAIN {plain}"), "AUTHPLAIN ******"), open("NOOP")],
        vec![said(format!("AUTHPLAIN{plain}"), "AUTHPLAIN ******"), open("NOOP")],
        vec![said(format!("AUTH PLAIN{plain}"), "AUTH PLAIN ******"), open("NOOP")],
        vec![said(format!("AUTH {plain}"), "AUTH ******"), open("NOOP")],
        vec![said(format!("AUTH \0linhphan\0{login}"), "AUTH ******"), open("NOOP")],
        vec![
            said(format!("NOOP\nAUTH LOGIN\n{base64}"), "NOOP\\x0aAUTH LOGIN ******"),
            open("NOOP"),
        ],
        vec![open("AUTH PLAIN"), answer(&plain), open("MAIL FROM:<a@b.org>")],
        vec![open("AUTH LOGIN"), answer("bGluaHBoYW4="), answer(&base64), open("RSET")],
        vec![open("AUTH LOGIN"), answer("linhphan"), answer(login), open("QUIT")],
        vec![open("AUTH LOGIN"), open("*"), open("NOOP")],
        vec![open("AUTH LOGIN"), answer(&base64), open("*"), open("STAT")],
        vec![open("AUTH CRAM-MD5"), answer(&cram), open("NOOP")],
        vec![open("AUTH PLAIN"), answer(&long), open("NOOP")],
        vec![
            open("AUTH XOAUTH2"),
            answer(&plain),
            open("DATA"),
            open("PASS the salt"),
            open("AUTH PLAIN abc"),
            open(""),
            open("."),
            open("FOO bar"),
        ],
    ]
}

/// What was shown of a conversation.
#[derive(Debug, Default)]
struct Shown {
    /// The client's whole lines.
    lines: Vec<String>,
    /// Everything else, with unfinished lines and the wire view.
    more: Vec<String>,
}

/// Plays the client's octets, read by read.
fn play(reads: &[&[u8]], mut fake: Fake, passwords: Passwords) -> Shown {
    let watcher = Arc::new(Watcher::default());
    let registry = Arc::new(Registry::default());
    let service = if fake.is_pop3 { Service::Pop3 } else { Service::Smtp };
    let name = ConnectionName { id: 1, number: 7, service };
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    let observers = Observers::one(Arc::clone(&watcher) as _);
    let log = ConnectionLog::opened(name, peer, observers, Some(Arc::clone(&registry)));
    let mut input = LineBuffer::new(LINE_OCTETS);
    let mut text: Option<(Unstuffer, TextLog)> = None;
    let mut shown = Shown::default();
    for read in reads {
        input.extend(read);
        log.read_ended(&mut input);
        loop {
            if let Some((unstuffer, text_log)) = &mut text {
                let used = unstuffer.push(input.unread(), |piece| text_log.count(piece));
                let taken = used.unwrap_or(input.unread().len());
                log.text_came(&input.unread()[..taken]);
                text_log.show(&input, taken, &log);
                input.consume(taken);
                if used.is_none() {
                    break;
                }
                log.unended_line(input.unread());
                shown.more.push(shown_unended(&registry, passwords));
                if let Some((_, text_log)) = text.take() {
                    text_log.end(&log);
                }
                log.line(Side::Server, b"250 OK");
                continue;
            }
            let Some((line, reads)) = input.next_line_and_reads() else { break };
            log.heard(Side::Client, &line, reads);
            let is_overlong = line.octets() > LINE_OCTETS as u64;
            let reply = match fake.awaited {
                0 => fake.reply(line.beginning(), is_overlong),
                _ => fake.take_answer(line.beginning(), is_overlong),
            };
            log.line(Side::Server, reply.as_bytes());
            if reply.starts_with("354") {
                log.text_begins();
                text = Some((Unstuffer::default(), TextLog::received(&log)));
            }
        }
        if text.is_none() {
            log.unended_line(input.unread());
            shown.more.push(shown_unended(&registry, passwords));
        }
    }
    for event in &*watcher.0.lock().unwrap() {
        let line = transcript_line(event, passwords).into_string();
        shown.more.push(wire_line(event, passwords).as_str().replace('┊', ""));
        if let Some(line) = line.strip_prefix("[7] C: ") {
            shown.lines.push(line.to_owned());
        }
    }
    shown
}

fn shown_unended(registry: &Registry, passwords: Passwords) -> String {
    let view = registry.view().connections.remove(0);
    unended(&view.partial, view.secrecy == Secrecy::Answer, passwords).into_string()
}

fn windows(text: &str) -> BTreeSet<&[u8]> {
    text.as_bytes().windows(4).collect()
}

/// What the server says here. A secret may have four octets of it by chance.
const REPLIES: [&str; 7] =
    ["250 OK", "535 no", "334 ", "354 go on", "235 welcome", "+OK", "-ERR no"];

/// The first text that shows four octets of a secret.
fn leak<'a>(shown: impl IntoIterator<Item = &'a String>, secrets: &[String]) -> Option<&'a String> {
    let mut secret: BTreeSet<&[u8]> = secrets.iter().flat_map(|secret| windows(secret)).collect();
    secret.retain(|octets| REPLIES.iter().all(|reply| !windows(reply).contains(octets)));
    shown.into_iter().find(|text| !windows(text).is_disjoint(&secret))
}

fn secret() -> impl Strategy<Value = String> {
    // A blank at an end would be no part of a word.
    "[a-zA-Z0-9+/=!,.][a-zA-Z0-9+/=!,. ]{8,40}[a-zA-Z0-9+/=!,.]"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_cut_of_a_conversation_shows_a_secret_and_all_else_is_shown(
        password in secret(),
        login in secret(),
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        manner in prop::sample::select(
            vec![Manner::Accepts, Manner::Refuses, Manner::NeverOffered],
        ),
        is_pop3 in any::<bool>(),
    ) {
        let secrets = Secrets { password, login };
        let of_logins = secrets.of_logins();
        let parts = parts(&secrets);
        // What is shown on purpose must not be taken for a secret by chance.
        let fixed: Vec<String> = parts.iter().flatten().map(|said| said.shown.clone()).collect();
        let mut all = of_logins.clone();
        all.push(secrets.password.clone());
        prop_assume!(leak(&fixed, &all).is_none());
        let password = &secrets.password;
        let headless = format!("PASS {password} pass{password} {password}\\x0aSTAT");
        prop_assume!(leak([&headless], &of_logins).is_none());

        let lines: Vec<&Said> = chosen.iter().flat_map(|part| part.get(&parts)).collect();
        let wire: Vec<u8> = lines.iter().flat_map(|said| said.wire.clone()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let reads: Vec<&[u8]> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();

        let play = |passwords| play(&reads, Fake { manner, is_pop3, awaited: 0 }, passwords);
        let shown = play(Passwords::Masked);
        let expected: Vec<&str> = lines.iter().map(|said| &*said.shown).collect();
        prop_assert_eq!(&shown.lines, &expected);
        prop_assert_eq!(leak(shown.lines.iter().chain(&shown.more), &all), None);

        // Headless, the argument of PASS alone is shown.
        let shown = play(Passwords::OfPass);
        prop_assert_eq!(leak(shown.lines.iter().chain(&shown.more), &of_logins), None);
        let passes = |said: &&&Said| said.shown.eq_ignore_ascii_case("PASS ******");
        for said in lines.iter().filter(passes) {
            let line = String::from_utf8_lossy(&said.wire);
            prop_assert!(shown.lines.iter().any(|shown| shown == line.trim_end_matches("\r\n")));
        }
    }
}

#[test]
fn every_part_is_masked_octet_by_octet() {
    let secrets = Secrets { password: "vj5Kq8#wZx".into(), login: "hR7%tGm2Yd".into() };
    let mut all = secrets.of_logins();
    all.push(secrets.password.clone());
    for part in parts(&secrets) {
        let wire: Vec<u8> = part.iter().flat_map(|said| said.wire.clone()).collect();
        let reads: Vec<&[u8]> = wire.chunks(1).collect();
        for manner in [Manner::Accepts, Manner::Refuses, Manner::NeverOffered] {
            let fake = Fake { manner, is_pop3: false, awaited: 0 };
            let shown = play(&reads, fake, Passwords::Masked);
            let expected: Vec<&str> = part.iter().map(|said| &*said.shown).collect();
            assert_eq!(shown.lines, expected, "{manner:?}");
            assert_eq!(leak(shown.lines.iter().chain(&shown.more), &all), None, "{manner:?}");
        }
    }
}
