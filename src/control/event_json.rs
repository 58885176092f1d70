//! An event as a line of JSON, for programs: docs/events.md says what the fields mean, and
//! [`SCHEMA`] how they are written. Secrets are always masked.

use std::net::SocketAddr;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::control::event_log::{Entry, What};
use crate::mailroom::decode;
use crate::watch::event::{ConnectionName, Kind, Passwords, Side, shown};
use crate::watch::fact::{Fact, MailboxChange, MessageName, RelayOutcome};
use crate::wire::display::DisplayText;

/// The form of the lines (JSON Schema 2020-12).
pub const SCHEMA: &str = include_str!("../../docs/events.schema.json");

/// The version of the form. Fields are only ever added within one.
const VERSION: u8 = 1;

#[derive(Serialize)]
struct Line {
    v: u8,
    at: String,
    #[serde(flatten)]
    event: Event,
}

/// The events, with their fields in the order in which they are written.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    Listening(Listener),
    Stopped(Listener),
    Opened(Connection),
    Closed(Connection),
    Line {
        #[serde(flatten)]
        connection: Connection,
        who: &'static str,
        text: String,
    },
    Text {
        session: u64,
        service: &'static str,
        octets: u64,
    },
    Stored {
        #[serde(flatten)]
        connection: Connection,
        mailbox: String,
        uid: Option<String>,
        octets: u64,
        from: String,
        to: Vec<String>,
        subject: String,
    },
    Refused {
        session: u64,
        service: &'static str,
        verb: Option<&'static str>,
        code: Code,
        text: String,
    },
    Fault {
        session: u64,
        service: &'static str,
        rule: String,
        id: Option<u64>,
        text: String,
    },
    Held {
        session: u64,
        service: &'static str,
        rule: String,
        id: u64,
        point: String,
        side: &'static str,
        what: &'static str,
    },
    Login {
        session: u64,
        mailbox: String,
        ok: bool,
    },
    Fetched(Message),
    Deleted(Message),
    Queued {
        session: u64,
        id: String,
        from: String,
        to: Vec<String>,
        octets: u64,
    },
    RelayAttempt {
        id: String,
        to: Vec<String>,
        host: String,
    },
    Delivered(Relayed),
    Deferred(Relayed),
    Failed(Relayed),
    Mailbox {
        mailbox: String,
        change: &'static str,
    },
    Dropped {
        count: u64,
    },
}

#[derive(Serialize)]
struct Listener {
    service: &'static str,
    address: SocketAddr,
}

#[derive(Serialize)]
struct Connection {
    session: u64,
    service: &'static str,
    peer: Option<SocketAddr>,
}

#[derive(Serialize)]
struct Message {
    session: u64,
    mailbox: String,
    uid: Option<String>,
    octets: u64,
}

#[derive(Serialize)]
struct Relayed {
    id: String,
    to: [String; 1],
    host: Option<String>,
    reply: String,
}

/// How a reply begins: a number in SMTP, a word elsewhere.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(untagged)]
enum Code {
    Number(u16),
    Word(String),
}

/// The line of an event, with its line end; `None` for what is no event for programs.
#[must_use]
pub fn line(entry: Entry) -> Option<String> {
    let at = stamp(entry.at);
    let event = event(entry)?;
    let mut line = serde_json::to_string(&Line { v: VERSION, at, event }).ok()?;
    line.push('\n');
    Some(line)
}

/// A time as events have it: in UTC, with microseconds (RFC 3339).
#[must_use]
pub fn stamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn event(Entry { connection, peer, what, .. }: Entry) -> Option<Event> {
    match what {
        What::Event(kind) => of_connection(connection?, peer, kind),
        What::Fact(fact) => of_fact(connection, peer, fact),
        What::Dropped(count) => Some(Event::Dropped { count }),
    }
}

fn of_connection(name: ConnectionName, peer: Option<SocketAddr>, kind: Kind) -> Option<Event> {
    let (session, service) = (name.id, name.service.name());
    let connection = Connection { session, service, peer };
    Some(match kind {
        Kind::Opened { .. } => Event::Opened(connection),
        Kind::Closed => Event::Closed(connection),
        Kind::Line(side, line) => {
            let text = shown(side, &line, Passwords::Masked).into_string();
            Event::Line { connection, who: who(side), text }
        }
        Kind::Text { octets } => Event::Text { session, service, octets },
        Kind::Note(_) | Kind::TextLine(..) => return None,
    })
}

const fn who(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn of_fact(
    connection: Option<ConnectionName>,
    peer: Option<SocketAddr>,
    fact: Fact,
) -> Option<Event> {
    Some(match fact {
        Fact::Stored(stored) => {
            let ConnectionName { id: session, service, .. } = connection?;
            Event::Stored {
                connection: Connection { session, service: service.name(), peer },
                mailbox: stored.mailbox,
                uid: stored.content.uid.clone(),
                octets: stored.content.octets,
                from: stored.from,
                to: stored.to,
                subject: decode::subject(&stored.content.head),
            }
        }
        Fact::Refused { verb, reply } => {
            let ConnectionName { id: session, service, .. } = connection?;
            let (code, text) = divided(&reply);
            Event::Refused { session, service: service.name(), verb, code, text }
        }
        Fact::Fault { id, rule, told: text } => {
            let ConnectionName { id: session, service, .. } = connection?;
            Event::Fault { session, service: service.name(), rule: rule.as_ref().into(), id, text }
        }
        Fact::Held { id, rule, point, side, what } => {
            let ConnectionName { id: session, service, .. } = connection?;
            let (service, rule) = (service.name(), rule.as_ref().into());
            Event::Held { session, service, rule, id, point, side, what }
        }
        Fact::Login { mailbox, ok } => Event::Login { session: connection?.id, mailbox, ok },
        Fact::Fetched(message) => Event::Fetched(named(connection?.id, message)),
        Fact::Deleted(message) => Event::Deleted(named(connection?.id, message)),
        Fact::Queued { id, from, to, octets } => {
            Event::Queued { session: connection?.id, id, from, to, octets }
        }
        Fact::RelayAttempt { id, to, host } => Event::RelayAttempt { id, to, host },
        Fact::Relayed { id, to, host, outcome, reply } => {
            let reply = DisplayText::from(reply.as_str()).into_string();
            of_relay(outcome, Relayed { id, to: [to], host, reply })
        }
        Fact::Listening { service, address } => {
            Event::Listening(Listener { service: service.name(), address })
        }
        Fact::Stopped { service, address } => {
            Event::Stopped(Listener { service: service.name(), address })
        }
        Fact::Mailbox { mailbox, change } => Event::Mailbox { mailbox, change: word(change) },
    })
}

fn named(session: u64, MessageName { mailbox, uid, octets }: MessageName) -> Message {
    Message { session, mailbox, uid: (*uid).clone(), octets }
}

const fn of_relay(outcome: RelayOutcome, relayed: Relayed) -> Event {
    match outcome {
        RelayOutcome::Delivered => Event::Delivered(relayed),
        RelayOutcome::Deferred => Event::Deferred(relayed),
        RelayOutcome::Failed => Event::Failed(relayed),
    }
}

const fn word(change: MailboxChange) -> &'static str {
    match change {
        MailboxChange::Created => "created",
        MailboxChange::Removed => "removed",
        MailboxChange::Rewritten => "rewritten",
    }
}

/// The code of a reply, and the text of its last line.
fn divided(reply: &[u8]) -> (Code, String) {
    let last = reply.trim_ascii_end().rsplit(|&octet| octet == b'\n').next().unwrap_or_default();
    let last = DisplayText::new(last).into_string();
    let digits = last.get(..3).filter(|code| code.bytes().all(|octet| octet.is_ascii_digit()));
    if let Some(code) = digits.and_then(|code| code.parse().ok()) {
        // A blank follows, or the hyphen of a line that is not the last one.
        return (Code::Number(code), last.get(4..).unwrap_or_default().to_owned());
    }
    let (code, text) = last.split_once(' ').unwrap_or((&last, ""));
    (Code::Word(code.to_owned()), text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event::{KeptLine, Service};
    use crate::watch::fact::Stored;
    use crate::watch::fact::{Late, StoredContent};
    use serde_json::{Value, json};
    use std::time::Duration;

    const NAME: ConnectionName = ConnectionName { id: 12, number: 7, service: Service::Smtp };
    const AT: Duration = Duration::from_micros(1_795_888_141_123_456);

    fn text_of(what: What) -> String {
        let peer = Some(([127, 0, 0, 1], 51_544).into());
        let at = SystemTime::UNIX_EPOCH + AT;
        line(Entry { at, connection: Some(NAME), peer, what }).unwrap()
    }

    fn of(fact: Fact) -> Value {
        serde_json::from_str(&text_of(What::Fact(fact))).unwrap()
    }

    fn stored() -> Fact {
        Fact::Stored(Stored {
            mailbox: "bob".into(),
            from: "a@x".into(),
            to: vec!["bob@localhost".into()],
            content: Late::from(StoredContent {
                uid: Some("9e10".into()),
                octets: 2_048,
                head: (*b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n an Bob\r\n\r\n").into(),
            }),
        })
    }

    /// One of each kind.
    fn every_kind() -> Vec<What> {
        let message = || MessageName { mailbox: "bob".into(), uid: None.into(), octets: 1 };
        let (service, address) = (Service::Pop3, ([127, 0, 0, 1], 110).into());
        let relayed = |outcome, host: Option<&str>| Fact::Relayed {
            id: "1".into(),
            to: "a@b".into(),
            host: host.map(str::to_owned),
            outcome,
            reply: "250 OK".into(),
        };
        let facts = [
            stored(),
            Fact::Refused { verb: None, reply: (*b"500 What?").into() },
            Fact::Refused { verb: Some("PASS"), reply: (*b"-ERR no").into() },
            Fact::Fault {
                id: Some(3),
                rule: "smtp.rcpt : 451 x".into(),
                told: "3: smtp.rcpt".into(),
            },
            Fact::Fault {
                id: None,
                rule: "a+fault.rcpt.451@b".into(),
                told: "a+fault.rcpt.451@b".into(),
            },
            Fact::Held {
                id: 3,
                rule: "smtp.any".into(),
                point: "smtp.rcpt".into(),
                side: "command",
                what: "held",
            },
            Fact::Login { mailbox: "bob".into(), ok: false },
            Fact::Fetched(message()),
            Fact::Deleted(message()),
            Fact::Queued { id: "1".into(), from: String::new(), to: vec!["a@b".into()], octets: 1 },
            Fact::RelayAttempt { id: "1".into(), to: vec!["a@b".into()], host: "h:25".into() },
            relayed(RelayOutcome::Delivered, Some("h:25")),
            relayed(RelayOutcome::Deferred, None),
            relayed(RelayOutcome::Failed, Some("h:25")),
            Fact::Listening { service, address },
            Fact::Stopped { service, address },
            Fact::Mailbox { mailbox: "bob".into(), change: MailboxChange::Created },
        ];
        let kinds = [
            Kind::Opened { peer: address },
            Kind::Line(Side::Client, KeptLine::new(b"HELO x")),
            Kind::Text { octets: 1 },
            Kind::Closed,
        ];
        let facts = facts.into_iter().map(What::Fact);
        let kinds = kinds.into_iter().map(What::Event);
        facts.chain(kinds).chain([What::Dropped(3)]).collect()
    }

    #[test]
    fn a_stored_message_is_written_as_the_page_has_it() {
        let text = text_of(What::Fact(stored()));
        assert_eq!(
            text,
            "{\"v\":1,\"at\":\"2026-11-28T17:49:01.123456Z\",\"event\":\"stored\",\"session\":12,\
             \"service\":\"smtp\",\"peer\":\"127.0.0.1:51544\",\"mailbox\":\"bob\",\"uid\":\"9e10\",\
             \"octets\":2048,\"from\":\"a@x\",\"to\":[\"bob@localhost\"],\
             \"subject\":\"Grüße an Bob\"}\n"
        );
    }

    #[test]
    fn a_fault_has_its_rule_its_number_and_the_words_of_the_transcript() {
        let (rule, told) =
            ("smtp.rcpt to=bob@* : 451 later times 3", "3: smtp.rcpt to=bob@* (1 of 3)");
        let fault = of(Fact::Fault { id: Some(3), rule: rule.into(), told: told.into() });
        let expected = json!({"v": 1, "at": "2026-11-28T17:49:01.123456Z", "event": "fault",
                              "session": 12, "service": "smtp", "id": 3, "rule": rule, "text": told});
        assert_eq!(fault, expected);
        let address = Fact::Fault {
            id: None,
            rule: "bob+fault.dot.cut@x".into(),
            told: "bob+fault.dot.cut@x".into(),
        };
        assert_eq!(of(address)["id"], Value::Null);
    }

    #[test]
    fn a_reply_is_divided_into_code_and_text() {
        let refused = |reply: &[u8]| {
            let fact = of(Fact::Refused { verb: Some("RCPT"), reply: reply.into() });
            (fact["code"].clone(), fact["text"].clone())
        };
        assert_eq!(refused(b"550 5.1.1 No"), (json!(550), json!("5.1.1 No")));
        assert_eq!(refused(b"550-No\r\n550 Never\r\n"), (json!(550), json!("Never")));
        assert_eq!(refused(b"550"), (json!(550), json!("")));
        assert_eq!(refused(b"-ERR no such message"), (json!("-ERR"), json!("no such message")));
        assert_eq!(refused(b"-ERR"), (json!("-ERR"), json!("")));
        assert_eq!(refused(b"500 \x1b[2J"), (json!(500), json!("\\x1b[2J")));
    }

    #[test]
    fn lines_are_escaped_and_every_secret_is_masked() {
        let text = |side, line: KeptLine| {
            let text = text_of(What::Event(Kind::Line(side, line)));
            let line: Value = serde_json::from_str(&text).unwrap();
            (line["who"].clone(), line["text"].clone())
        };
        let client = |line: &[u8]| text(Side::Client, KeptLine::new(line)).1;
        assert_eq!(client(b"PASS cis505"), "PASS ******");
        assert_eq!(client(b"AUTH PLAIN AGJv"), "AUTH PLAIN ******");
        assert_eq!(client(b"NO\x07OP"), "NO\\x07OP");
        assert_eq!(text(Side::Client, KeptLine::new(b"Ym9i").answer()).1, "******");
        assert_eq!(text(Side::Server, KeptLine::new(b"+OK")), (json!("server"), json!("+OK")));
    }

    #[test]
    fn every_kind_fits_the_schema_and_the_page_names_its_fields() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let page = include_str!("../../docs/events.md");
        for what in every_kind() {
            let line: Value = serde_json::from_str(&text_of(what)).unwrap();
            let errors: Vec<_> = validator.iter_errors(&line).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}");
            for key in line.as_object().unwrap().keys().chain([&name(&line)]) {
                assert!(page.contains(&format!("`{key}`")), "{key} is not in docs/events.md");
            }
        }
        let wrong = json!({"v": 1, "at": "2026-11-28T17:49:01.123456Z", "event": "login"});
        assert!(!validator.is_valid(&wrong));
    }

    fn name(line: &Value) -> String {
        line["event"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_schema_knows_each_kind_and_the_page_all_of_the_schema() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let page = include_str!("../../docs/events.md");
        let forms = schema["oneOf"].as_array().unwrap();
        let names = forms.iter().flat_map(|form| {
            let event = &form["properties"]["event"];
            let many = event["enum"].as_array().cloned().unwrap_or_default();
            many.into_iter().chain(event.get("const").cloned())
        });
        let names: Vec<Value> = names.collect();
        for what in every_kind() {
            let line: Value = serde_json::from_str(&text_of(what)).unwrap();
            assert!(names.contains(&line["event"]), "{line}");
        }
        for name in &names {
            assert!(page.contains(&format!("`{}`", name.as_str().unwrap())), "{name}");
        }
    }
}
