//! Each scenario of the catalogue and each limit of a rule, octet by octet as a client hears it, and
//! the same conversation once the rules are taken out: tests/catalogue.
//!
//! `== NAME` begins a scenario, `rule RULE` is a rule of one that is not in the catalogue, `:: NAME`
//! a part of conversations that `> NAME` says again, `#` a comment. `!` before a line is for the
//! conversation with the rules, `=` for that without; lines without either are for both:
//!
//! | line | |
//! | --- | --- |
//! | `C: LINE` | the client says this line |
//! | `S: LINE` | it hears this line |
//! | `s: OCTETS` | it hears these octets, without a line end behind them |
//! | `FIN`, `RST` | the server closes the connection, or resets it, and says nothing before |
//! | `waits D` | it hears what follows (or the end) just D later; nothing else takes any time |
//! | `drips D` | from here on each octet comes D behind the one before |
//! | `sleeps D` | the client does nothing for so long |
//! | `TLS: begins` | a handshake, behind which both go on over TLS |
//! | `TLS: WORD` | a handshake that the client breaks off because of an error with this word |
//! | `TLS: hello` | the client says the first octets of a handshake |
//! | `leaves` | the client goes in the middle |
//! | `again` | it connects once more; `again ADDRESS` from there |
//! | `bob: WORD…` | these lie in the mailbox now, by their subjects, each as it was sent; `eve` too |
//!
//! In a line, `\r \n \xNN` are octets, `{5*TEXT}` is TEXT five times, `{id2}` the unique-id of
//! message 2, `{300 of id2}` this id again and again, up to 300 characters, and `{salt}` sixteen
//! hexadecimal digits, others in each session. `+ TEXT` is a message that lies in bob's mailbox
//! before any scenario of the file.
//!
//! Scenarios in which time passes are played through a pipe, by a clock that stands still while
//! anybody has something to do; the others over a socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use mailconsole::fault::catalogue;
use mailconsole::fault::faults::{Faults, Which};
use mailconsole::servers::profile::{Choices, Profile};
use mailconsole::watch::event::Service;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;

use support::stage::{Stage, To};

/// How long anything may take: longer than the longest wait of a fault.
const PATIENCE: Duration = Duration::from_hours(2);

/// How much longer a wait may be than it should, as one part of so many: a clock of milliseconds is
/// late a little each time.
const LATE: u32 = 50;

/// The hexadecimal digits of a salt.
const SALT: usize = 16;

/// The scenarios of one protocol.
struct Table {
    /// What lies in the mailbox before each, as it is on the wire.
    letters: Vec<String>,
    scenarios: Vec<Scenario>,
}

struct Scenario {
    name: String,
    /// Its rules, if it is not in the catalogue.
    rules: Vec<String>,
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    /// Only for the conversation with the rules, or only for that without.
    only: Option<With>,
    item: Item,
    /// As it stands in the table, for a complaint.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum With {
    Rules,
    Nothing,
}

#[derive(Clone)]
enum Item {
    Says(String),
    Hears(String),
    Waits(Duration),
    Drips(Duration),
    Sleeps(Duration),
    Ends(End),
    Hello,
    Handshake(String),
    Leaves,
    Again(IpAddr),
    Mailbox(String, Vec<String>),
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Fin,
    Rst,
}

impl Table {
    fn read(text: &str) -> Self {
        let mut parts: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
        let mut table = Self { letters: Vec::new(), scenarios: Vec::new() };
        let mut part = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (sign, rest) = line.split_at_checked(2).unwrap();
            let more = match sign {
                "==" => {
                    part = None;
                    let name = rest.trim().to_owned();
                    table.scenarios.push(Scenario { name, rules: Vec::new(), lines: Vec::new() });
                    continue;
                }
                "::" => {
                    part = Some(rest.trim());
                    continue;
                }
                "+ " => {
                    table.letters.push(String::from_utf8(unescaped(rest)).unwrap());
                    continue;
                }
                "ru" => {
                    let rule = rest.strip_prefix("le ").unwrap().to_owned();
                    table.scenarios.last_mut().unwrap().rules.push(rule);
                    continue;
                }
                _ => lines_of(line, sign, rest, &parts),
            };
            match part {
                Some(name) => parts.entry(name).or_default().extend(more),
                None => table.scenarios.last_mut().unwrap().lines.extend(more),
            }
        }
        table
    }
}

/// What a line says, or the part that it names.
fn lines_of(line: &str, sign: &str, rest: &str, parts: &BTreeMap<&str, Vec<Line>>) -> Vec<Line> {
    let only = match sign {
        "! " => Some(With::Rules),
        "= " => Some(With::Nothing),
        "  " => None,
        _ => panic!("{line}"),
    };
    match rest.strip_prefix("> ") {
        Some(name) => {
            let part = parts.get(name).unwrap_or_else(|| panic!("there is no {name}"));
            let part = part.iter().cloned();
            part.map(|line| Line { only: only.or(line.only), ..line }).collect()
        }
        None => vec![Line { only, item: item(rest), text: line.to_owned() }],
    }
}

fn item(text: &str) -> Item {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "C:" => Item::Says(format!("{rest}\\r\\n")),
        "S:" => Item::Hears(format!("{rest}\\r\\n")),
        "s:" => Item::Hears(rest.to_owned()),
        "waits" => Item::Waits(duration(rest)),
        "drips" => Item::Drips(duration(rest)),
        "sleeps" => Item::Sleeps(duration(rest)),
        "FIN" => Item::Ends(End::Fin),
        "RST" => Item::Ends(End::Rst),
        "TLS:" if rest == "hello" => Item::Hello,
        "TLS:" => Item::Handshake(rest.to_owned()),
        "leaves" => Item::Leaves,
        "again" if rest.is_empty() => Item::Again(Ipv4Addr::LOCALHOST.into()),
        "again" => Item::Again(rest.parse().unwrap()),
        "bob:" | "eve:" => {
            let subjects = rest.split_whitespace().map(str::to_owned).collect();
            Item::Mailbox(word.trim_end_matches(':').to_owned(), subjects)
        }
        _ => panic!("{text}"),
    }
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|one: char| !one.is_ascii_digit()).unwrap());
    let number = number.parse().unwrap();
    match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "h" => Duration::from_hours(number),
        _ => panic!("{text}"),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let (octet, length) = match escape.as_bytes()[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            _ => (u8::from_str_radix(&escape[1..3], 16).unwrap(), 3),
        };
        octets.push(octet);
        rest = &escape[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

/// What a text with braces means; `None` stands for a digit of a salt.
fn expanded(text: &str, ids: &[String]) -> Vec<Option<u8>> {
    let known = |text: &str| unescaped(text).into_iter().map(Some).collect::<Vec<_>>();
    let Some((before, rest)) = text.split_once('{') else { return known(text) };
    let mut depth = 1;
    let end = rest.find(|one| {
        depth += i32::from(one == '{') - i32::from(one == '}');
        depth == 0
    });
    let (inner, behind) = rest.split_at(end.unwrap());
    let id =
        |name: &str| ids[name.strip_prefix("id").unwrap().parse::<usize>().unwrap() - 1].clone();
    let meant = if inner == "salt" {
        vec![None; SALT]
    } else if let Some((times, text)) = inner.split_once('*') {
        expanded(text, ids).repeat(times.parse().unwrap())
    } else if let Some((characters, name)) = inner.split_once(" of ") {
        id(name).bytes().cycle().take(characters.parse().unwrap()).map(Some).collect()
    } else {
        known(&id(inner))
    };
    [known(before), meant, expanded(&behind[1..], ids)].concat()
}

/// Octets as a complaint shows them: the end of them, if there are many.
fn show(octets: impl IntoIterator<Item = Option<u8>>) -> String {
    let octets: Vec<u8> = octets.into_iter().map(|octet| octet.unwrap_or(b'?')).collect();
    let from = octets.len().saturating_sub(300);
    format!("{} octets: {}", octets.len(), octets[from..].escape_ascii())
}

/// Whether these octets are those that are expected first.
fn fit(heard: &[u8], expected: &[Option<u8>]) -> bool {
    heard.iter().zip(expected).all(|(heard, expected)| match expected {
        Some(octet) => octet == heard,
        None => heard.is_ascii_hexdigit(),
    })
}

/// A connection to the servers.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// A conversation that is being played.
struct Play<'a> {
    stage: &'a Stage,
    to: To,
    is_timed: bool,
    wire: Option<Box<dyn Wire>>,
    /// The unique-ids of what lies in the mailbox before.
    ids: Vec<String>,
    /// What is to be heard before anything else happens, and how long that takes.
    to_hear: Vec<Option<u8>>,
    waits: Duration,
    drips: Duration,
    /// The text that the client is sending.
    text: Option<String>,
    /// All texts that it has sent or that were there, by their subjects.
    letters: BTreeMap<String, String>,
    /// The salts that were heard, of each connection.
    salts: Vec<Vec<Vec<u8>>>,
}

impl Play<'_> {
    async fn connect(&mut self, from: IpAddr) {
        self.wire = Some(if self.is_timed {
            Box::new(self.stage.pipe(self.to).stream)
        } else {
            Box::new(self.stage.connect_from(from, self.to).await.stream)
        });
        self.salts.push(Vec::new());
    }

    fn know(&mut self, letter: &str) {
        let subject = letter.lines().next().and_then(|line| line.strip_prefix("Subject: "));
        let text =
            letter.split_inclusive("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line));
        self.letters.insert(subject.unwrap().to_owned(), text.collect());
    }

    async fn step(&mut self, item: &Item) -> Result<(), String> {
        match item {
            Item::Hears(text) => {
                let expected = expanded(text, &self.ids);
                self.to_hear.extend(expected);
                return Ok(());
            }
            Item::Waits(time) => {
                self.hear().await?;
                self.waits += *time;
                return Ok(());
            }
            Item::Ends(end) => {
                self.hear().await?;
                return self.ends(*end).await;
            }
            _ => self.hear().await?,
        }
        match item {
            Item::Says(text) => {
                let octets: Vec<u8> = expanded(text, &self.ids).into_iter().flatten().collect();
                self.wire()?.write_all(&octets).await.map_err(|error| error.to_string())?;
                self.said(&String::from_utf8(octets).unwrap());
            }
            Item::Drips(time) => self.drips = *time,
            Item::Sleeps(time) => tokio::time::sleep(*time).await,
            Item::Hello => {
                let mut hello = Vec::new();
                let name = ServerName::try_from("localhost").unwrap();
                let mut client = ClientConnection::new(self.stage.trust(), name).unwrap();
                client.write_tls(&mut hello).unwrap();
                self.wire()?.write_all(&hello).await.map_err(|error| error.to_string())?;
            }
            Item::Handshake(outcome) => self.shake_hands(outcome).await?,
            Item::Leaves => self.wire = None,
            Item::Again(from) => match &self.wire {
                Some(_) => return Err("the connection before has not ended".to_owned()),
                None => self.connect(*from).await,
            },
            Item::Mailbox(user, subjects) => self.finds(user, subjects)?,
            Item::Hears(_) | Item::Waits(_) | Item::Ends(_) => {}
        }
        Ok(())
    }

    fn wire(&mut self) -> Result<&mut Box<dyn Wire>, String> {
        self.wire.as_mut().ok_or_else(|| "the connection has ended".to_owned())
    }

    /// Notes what the client has said of a message.
    fn said(&mut self, line: &str) {
        match (&mut self.text, line) {
            (None, "DATA\r\n") => self.text = Some(String::new()),
            (None, _) => {}
            // DATA was refused, so that this is a command.
            (Some(text), "DATA\r\n") if text.is_empty() => {}
            (Some(text), "RSET\r\n" | "QUIT\r\n") if text.is_empty() => self.text = None,
            (Some(text), ".\r\n") => {
                let text = mem::take(text);
                self.text = None;
                self.know(&text);
            }
            (Some(text), line) => text.push_str(line),
        }
    }

    /// Hears all that is to be heard.
    async fn hear(&mut self) -> Result<(), String> {
        let expected = mem::take(&mut self.to_hear);
        if expected.is_empty() {
            return Ok(());
        }
        let pauses = u32::try_from(expected.len() - 1).unwrap();
        let time = mem::take(&mut self.waits) + self.drips * pauses;
        let begin = Instant::now();
        let mut heard: Vec<u8> = Vec::new();
        while heard.len() < expected.len() {
            let mut piece = vec![0; (expected.len() - heard.len()).min(1 << 16)];
            let read = timeout(PATIENCE, self.wire()?.read(&mut piece)).await;
            let came = match read {
                Err(_) => "and nothing more",
                Ok(Ok(0)) => "and FIN",
                Ok(Err(_)) => "and RST",
                Ok(Ok(octets)) if fit(&piece[..octets], &expected[heard.len()..]) => {
                    heard.extend_from_slice(&piece[..octets]);
                    continue;
                }
                Ok(Ok(octets)) => {
                    heard.extend_from_slice(&piece[..octets]);
                    ""
                }
            };
            let heard = show(heard.into_iter().map(Some));
            return Err(format!("{heard} {came}\ncame, not {}", show(expected)));
        }
        self.note_salts(&heard, &expected);
        self.took(begin, time)
    }

    fn note_salts(&mut self, heard: &[u8], expected: &[Option<u8>]) {
        let digits = heard.iter().zip(expected).filter(|(_, expected)| expected.is_none());
        let digits: Vec<u8> = digits.map(|(heard, _)| *heard).collect();
        self.salts.last_mut().unwrap().extend(digits.chunks(SALT).map(<[u8]>::to_vec));
    }

    /// Whether just so much time has passed.
    fn took(&self, begin: Instant, time: Duration) -> Result<(), String> {
        let took = begin.elapsed();
        let is_right = !self.is_timed || (time..=time + time / LATE).contains(&took);
        if is_right { Ok(()) } else { Err(format!("took {took:?}, not {time:?}")) }
    }

    /// The connection ends in this way, and nothing is said before.
    async fn ends(&mut self, end: End) -> Result<(), String> {
        let (time, begin) = (mem::take(&mut self.waits), Instant::now());
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.wire()?.read_to_end(&mut rest)).await;
        if !rest.is_empty() {
            return Err(format!("{} came, not {end:?}", show(rest.into_iter().map(Some))));
        }
        let came = match read {
            Ok(Ok(_)) => End::Fin,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => End::Rst,
            other => return Err(format!("{other:?} came, not {end:?}")),
        };
        if came != end {
            return Err(format!("{came:?} came, not {end:?}"));
        }
        // Before the client's own FIN: a server that closes properly waits for it.
        self.took(begin, time)?;
        self.wire = None;
        Ok(())
    }

    async fn shake_hands(&mut self, outcome: &str) -> Result<(), String> {
        let wire = self.wire.take().ok_or("the connection has ended")?;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(self.stage.trust()).connect(name, wire);
        match connecting.into_fallible().await {
            Ok(stream) if outcome == "begins" => self.wire = Some(Box::new(stream)),
            Err((error, wire)) if format!("{error:?}").contains(outcome) => self.wire = Some(wire),
            Ok(_) => return Err("the handshake has succeeded".to_owned()),
            Err((error, _)) => return Err(format!("the handshake has failed: {error:?}")),
        }
        Ok(())
    }

    /// Just these messages lie in the mailbox, each as it was sent.
    fn finds(&self, user: &str, subjects: &[String]) -> Result<(), String> {
        let mailbox = self.stage.mailbox_of(user);
        let stored = mailbox.split_inclusive('\n').filter(|line| !line.starts_with("From <"));
        let sent = subjects.iter().map(|subject| format!("{}\n", self.letters[subject]));
        let (stored, sent): (String, String) = (stored.collect(), sent.collect());
        if stored == sent {
            return Ok(());
        }
        Err(format!("{} lies there, not {}", stored.escape_debug(), sent.escape_debug()))
    }

    /// Each session has one salt, which no other has.
    fn judge_salts(&self) -> Result<(), String> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for mut salts in self.salts.clone() {
            salts.dedup();
            if salts.len() > 1 || salts.iter().any(|salt| all.contains(salt)) {
                return Err(format!("the salts are {:?}", self.salts));
            }
            all.extend(salts);
        }
        Ok(())
    }
}

/// What has been found wrong with one conversation.
async fn played(
    table: &Table,
    scenario: &Scenario,
    with: With,
    is_timed: bool,
) -> Result<(), String> {
    let rules = match &scenario.rules[..] {
        [] => slice::from_ref(&scenario.name),
        rules => rules,
    };
    let choices = Choices {
        profile: Profile::Esmtp,
        extensions: Some("PIPELINING,STARTTLS,AUTH".parse().unwrap()),
        mechanisms: Some("PLAIN".parse().unwrap()),
        capabilities: Some("TOP,UIDL,USER,RESP-CODES,PIPELINING".parse().unwrap()),
        ..Choices::default()
    };
    let stage = Stage::offering(choices, Arc::new(Faults::new(1, false)));
    stage.deliver(&table.letters.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let ids = ids(&stage, table.letters.len()).await;
    for rule in rules {
        stage.faults.add(rule).unwrap();
    }
    let is_pop3 = stage.faults.view()[0].rule.starts_with("pop3.");
    if with == With::Nothing {
        stage.faults.remove(Which::All).unwrap();
    }
    let mut play = Play {
        stage: &stage,
        to: if is_pop3 { To::Pop3 } else { To::Smtp },
        is_timed,
        wire: None,
        ids,
        to_hear: Vec::new(),
        waits: Duration::ZERO,
        drips: Duration::ZERO,
        text: None,
        letters: BTreeMap::new(),
        salts: Vec::new(),
    };
    table.letters.iter().for_each(|letter| play.know(letter));
    play.connect(Ipv4Addr::LOCALHOST.into()).await;
    let lines = scenario.lines.iter().filter(|line| line.only.is_none_or(|only| only == with));
    for line in lines {
        play.step(&line.item).await.map_err(|error| format!("up to {:?}: {error}", line.text))?;
    }
    play.hear().await?;
    play.judge_salts()?;
    if play.wire.is_some() {
        return Err("how the connection ends is not told".to_owned());
    }
    if with == With::Rules && stage.faults.view().iter().any(|rule| rule.hits == 0) {
        return Err("a rule has not acted".to_owned());
    }
    Ok(())
}

/// The unique-ids of so many messages of bob.
async fn ids(stage: &Stage, messages: usize) -> Vec<String> {
    let mut peer = stage.pipe(To::Pop3);
    peer.send("USER bob\r\nPASS cis505\r\nUIDL\r\nQUIT\r\n").await;
    let heard = peer.rest().await;
    let rows = heard.lines().skip(4).take(messages);
    rows.map(|row| row.split_once(' ').unwrap().1.to_owned()).collect()
}

/// Plays all scenarios of a table, with their rules and without.
fn play_all(table: &Table) {
    let mut wrong = Vec::new();
    for scenario in &table.scenarios {
        let takes_time =
            |line: &Line| matches!(line.item, Item::Waits(_) | Item::Drips(_) | Item::Sleeps(_));
        let is_timed = scenario.lines.iter().any(takes_time);
        for with in [With::Rules, With::Nothing] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(is_timed)
                .build()
                .unwrap();
            if let Err(error) = runtime.block_on(played(table, scenario, with, is_timed)) {
                wrong.push(format!("{} with {with:?}, {error}", scenario.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Plays all scenarios of a protocol, of which none may be missing.
fn play_protocol(service: Service, text: &str) {
    let table = Table::read(text);
    let all = catalogue::all().into_iter().filter(|one| one.protocol == service);
    let names: Vec<&str> = table.scenarios.iter().map(|one| &*one.name).collect();
    assert_eq!(names, all.map(|one| one.name).collect::<Vec<_>>());
    play_all(&table);
}

#[test]
fn each_scenario_of_smtp_is_played_octet_by_octet() {
    play_protocol(Service::Smtp, include_str!("catalogue/smtp.txt"));
}

#[test]
fn each_scenario_of_pop3_is_played_octet_by_octet() {
    play_protocol(Service::Pop3, include_str!("catalogue/pop3.txt"));
}

#[test]
fn each_limit_is_played_octet_by_octet() {
    play_all(&Table::read(include_str!("catalogue/limits.txt")));
}
