//! What observers are told beside the lines of conversations: what was stored, refused, fetched and
//! deleted, who logged in, what is queued, which servers listen and which mailboxes come and go; and
//! what is counted of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mailconsole::app::cli::Cli;
use mailconsole::app::servers::{Running, Servers, runtime};
use mailconsole::app::task::Task;
use mailconsole::servers::supervisor::{Change, ServerOrder};
use mailconsole::watch::event::{Event, Passwords, Service, transcript_line};
use mailconsole::watch::fact::{Fact, FactEvent, MessageName, Stored, UID_AT_ONCE_MOST};
use mailconsole::watch::observers::{FactsWanted, Observer, Observers};
use mailconsole::watch::tally::Counts;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Runtime;

use crate::program::Client;

/// How long anything may take to be told.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what it is told, in order.
struct Keeper {
    wanted: FactsWanted,
    told: Mutex<Vec<Told>>,
    came: Condvar,
}

#[derive(Debug, Clone)]
enum Told {
    /// A line of the transcript without its number: `C: NOOP`.
    Line(String),
    Fact(FactEvent),
}

impl Keeper {
    fn take(&self, told: Told) {
        self.told.lock().push(told);
        self.came.notify_all();
    }
}

impl Observer for Keeper {
    fn observe(&self, event: Event) {
        let line = transcript_line(&event, Passwords::Masked).into_string();
        self.take(Told::Line(line.split_once(' ').unwrap().1.to_owned()));
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn facts_wanted(&self) -> FactsWanted {
        self.wanted
    }

    fn fact(&self, event: FactEvent) {
        assert_ne!(self.wanted, FactsWanted::None, "{event:?} was made for nobody");
        self.take(Told::Fact(event));
    }
}

/// The three servers in this process, with mailboxes for ann and bob.
struct Office {
    running: Running,
    runtime: Runtime,
    keeper: Arc<Keeper>,
    dir: tempfile::TempDir,
}

impl Office {
    fn with(options: &str) -> Self {
        Self::wanting(FactsWanted::Whole, options)
    }

    fn wanting(wanted: FactsWanted, options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let line = format!(
            "mailconsole --no-tui --no-sync --user ann --user bob --echo-port 0 --smtp-port 0 \
             --pop3-port 0 --bind 127.0.0.1 --dir {} {options}",
            dir.path().display()
        );
        let cli = Cli::read(line.split_whitespace().map(Into::into)).unwrap();
        let Ok(Task::Headless(config)) = Task::new(cli) else { panic!("{line}") };
        let (told, came) = (Mutex::default(), Condvar::new());
        let keeper = Arc::new(Keeper { wanted, told, came });
        let servers = Servers::bind(config, Observers::one(Arc::clone(&keeper) as _), None);
        let runtime = runtime().unwrap();
        let running = runtime.block_on(async { servers.unwrap().serve().unwrap() });
        Self { running, runtime, keeper, dir }
    }

    fn connect(&self, service: Service) -> Client {
        let address = self.running.control().address_of(service).unwrap();
        let mut client = Client::connect(address.port());
        client.line();
        client
    }

    /// A client that has introduced itself.
    fn sender(&self) -> Client {
        let mut client = self.connect(Service::Smtp);
        client.says("HELO tester", "250");
        client
    }

    fn reader(&self, user: &str) -> Client {
        let mut client = self.connect(Service::Pop3);
        assert!(client.log_in(user).starts_with("+OK"));
        client
    }

    /// Sends a message; what the dot was answered.
    fn send(&self, recipients: &[&str], text: impl AsRef<[u8]>) -> String {
        let mut client = self.sender();
        client.says("MAIL FROM:<a@b.example>", "250");
        for recipient in recipients {
            client.says(&format!("RCPT TO:<{recipient}>"), "250");
        }
        client.says("DATA", "354");
        client.send(text);
        client.send(".\r\n");
        client.line()
    }

    fn told(&self) -> Vec<Told> {
        self.keeper.told.lock().clone()
    }

    fn facts(&self) -> Vec<Fact> {
        let told = self.told().into_iter();
        told.filter_map(|told| if let Told::Fact(event) = told { Some(event.fact) } else { None })
            .collect()
    }

    fn stored(&self) -> Vec<Stored> {
        let facts = self.facts().into_iter();
        facts
            .filter_map(|fact| if let Fact::Stored(one) = fact { Some(one) } else { None })
            .collect()
    }

    /// Those facts in words that `words` has words for.
    fn said(&self, words: impl Fn(&Fact) -> Option<String>) -> Vec<String> {
        self.facts().iter().filter_map(words).collect()
    }

    /// Waits until so many facts have words.
    fn until(&self, count: usize, words: impl Fn(&Fact) -> Option<String>) -> Vec<String> {
        let mut told = self.keeper.told.lock();
        loop {
            let facts = told.iter().filter_map(|told| match told {
                Told::Fact(event) => words(&event.fact),
                Told::Line(_) => None,
            });
            let said: Vec<String> = facts.collect();
            if said.len() >= count {
                return said;
            }
            let waited = self.keeper.came.wait_for(&mut told, PATIENCE);
            assert!(!waited.timed_out(), "{said:?}");
        }
    }

    fn counts(&self) -> Counts {
        self.running.tally().counts()
    }

    fn mailbox(&self, user: &str) -> PathBuf {
        self.dir.path().join(format!("{user}.mbox"))
    }

    fn end(&self) {
        self.runtime.block_on(self.running.end());
    }
}

/// What is told of a message, but for its id and size.
fn in_short(stored: &Stored) -> String {
    let Stored { mailbox, from, to, content } = stored;
    format!(
        "{mailbox} <{from}> {} {}",
        to.join(","),
        String::from_utf8_lossy(&content.head).trim_end()
    )
}

fn mailbox_changes(fact: &Fact) -> Option<String> {
    let Fact::Mailbox { mailbox, change } = fact else { return None };
    Some(format!("{mailbox} {change:?}"))
}

fn refusals(fact: &Fact) -> Option<String> {
    let Fact::Refused { verb, reply } = fact else { return None };
    let reply = String::from_utf8_lossy(reply);
    Some(format!("{} {}", verb.unwrap_or("-"), reply.split(' ').next().unwrap()))
}

fn logins(fact: &Fact) -> Option<String> {
    let Fact::Login { mailbox, ok } = fact else { return None };
    Some(format!("{mailbox} {ok}"))
}

fn name(what: &str, MessageName { mailbox, uid, octets }: &MessageName) -> String {
    format!("{what} {mailbox} {} {octets}", uid.as_deref().unwrap_or("-"))
}

fn fetched_and_deleted(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Fetched(message) => Some(name("fetched", message)),
        Fact::Deleted(message) => Some(name("deleted", message)),
        _ => None,
    }
}

/// The unique-ids and sizes of a mailbox, as POP3 tells them.
fn listed(client: &mut Client) -> Vec<(String, u64)> {
    let mut column = |command: &str| -> Vec<String> {
        client.says(command, "+OK");
        let lines = String::from_utf8(client.multi_line()).unwrap();
        lines.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    let (uids, sizes) = (column("UIDL"), column("LIST"));
    uids.into_iter().zip(sizes.iter().map(|size| size.parse().unwrap())).collect()
}

#[test]
fn a_message_is_told_for_each_mailbox_before_its_reply() {
    let office = Office::with("");
    let to = ["bob@localhost", "ann@localhost", "bob@[127.0.0.1]", "bob@localhost"];
    assert_eq!(office.send(&to, "Subject: x\r\nTo: y\r\n\r\nSubject: z\r\n"), "250 OK");
    let told: Vec<String> = office
        .told()
        .iter()
        .filter_map(|told| match told {
            Told::Line(line) => Some(line.clone()),
            Told::Fact(event) => match &event.fact {
                Fact::Stored(stored) => {
                    assert_eq!(event.connection.unwrap().service, Service::Smtp);
                    Some(in_short(stored))
                }
                _ => None,
            },
        })
        .collect();
    let dot = told.iter().position(|line| line == "C: .").unwrap();
    let head = "Subject: x\r\nTo: y";
    let expected = [
        format!("ann <a@b.example> ann@localhost {head}"),
        format!("bob <a@b.example> bob@localhost,bob@[127.0.0.1] {head}"),
        "S: 250 OK".to_owned(),
    ];
    assert_eq!(told[dot + 1..dot + 4], expected);
}

/// Texts that are stored otherwise than they are sent, long ones and short ones, as on the wire
/// without their dot.
fn texts() -> Vec<Vec<u8>> {
    let header = "Subject: x\r\n\r\n";
    let mut texts: Vec<Vec<u8>> = [
        "",
        "\r\n",
        header,
        "Subject: no body\r\n",
        "Subject: x\r\n\r\nFrom here\r\n>From there\r\n>>From >\r\n> From\r\n>\r\n",
        "Subject: x\r\n\r\n..a\r\n...\r\n\r\n\r\n\r\n",
        "Subject: x\r\n\r\na\nb\n\nFrom lf\nc\rd\r\n",
        "From a@b Wed Sep 17 11:00:00 2025\r\nSubject: x\r\n\r\nFrom a@b Wed Sep 17 11:00:00 2025\r\n",
        "Subject: x\r\n\r\n>>>>>From\r\nFro\r\n>Fro\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    texts.push(b"Subject: \xe9\r\n\r\n\xff\xfe\x80\r\n".to_vec());
    // In memory, longer than what is looked at in the task itself, and so long that it is spooled.
    for octets in [16_000, 100_000, 300_000, 5_000_000] {
        let line = "From the beginning to the end of a line\nand beyond it.\r\n";
        texts.push([header, &line.repeat(octets / line.len())].concat().into_bytes());
    }
    texts
}

#[test]
fn the_unique_id_and_the_size_are_those_that_pop3_tells_later() {
    let office = Office::with("--catch-all ann");
    let texts = texts();
    for text in &texts {
        let to = ["bob@localhost", "zoe@localhost", "anna@example.org", "zoe@localhost"];
        assert_eq!(office.send(&to, text), "250 OK");
    }
    let stored = office.stored();
    for user in ["ann", "bob"] {
        let told: Vec<_> = stored.iter().filter(|stored| stored.mailbox == user).collect();
        let expected = listed(&mut office.reader(user));
        assert_eq!(expected.len(), texts.len());
        for (nth, (told, (uid, octets))) in told.iter().zip(&expected).enumerate() {
            let beginning: Vec<u8> = texts[nth].iter().copied().take(60).collect();
            let text = String::from_utf8_lossy(&beginning);
            let told = (told.content.uid.as_ref(), told.content.octets);
            assert_eq!(told, (Some(uid), *octets), "{user}: {text:?}");
        }
    }
    let caught = stored.iter().find(|stored| stored.mailbox == "ann").unwrap();
    assert_eq!(caught.to, ["zoe@localhost", "anna@example.org"]);
}

#[test]
fn nobody_waits_for_the_unique_id_of_a_long_message_that_nobody_reads_yet() {
    let office = Office::wanting(FactsWanted::Cheap, "");
    let of = |octets: u64| "x".repeat(usize::try_from(octets).unwrap() - 2) + "\r\n";
    let sizes = [UID_AT_ONCE_MOST, UID_AT_ONCE_MOST + 1, 400_000];
    for octets in sizes {
        office.send(&["bob@localhost"], of(octets));
    }
    let stored = office.stored();
    let told: Vec<_> =
        stored.iter().map(|one| (one.content.octets, one.content.uid.is_some())).collect();
    assert_eq!(told, [(sizes[0], true), (sizes[1], false), (sizes[2], false)]);
    let mut reader = office.reader("bob");
    reader.message(2);
    let uids = listed(&mut reader);
    // Known by now, so it costs nothing.
    reader.message(2);
    reader.says("DELE 3", "+OK");
    reader.says("QUIT", "+OK");
    let expected = [
        format!("fetched bob - {}", sizes[1]),
        format!("fetched bob {} {}", uids[1].0, sizes[1]),
        format!("deleted bob {} {}", uids[2].0, sizes[2]),
    ];
    assert_eq!(office.said(fetched_and_deleted), expected);
}

#[test]
fn a_mailbox_that_is_made_for_mail_is_told_with_it_and_its_tags() {
    let office = Office::with("--accept-any");
    let to = ["new+a@localhost", "new+b@localhost", "Zoe@Example.ORG"];
    assert_eq!(office.send(&to, "Subject: x\r\n\r\n"), "250 OK");
    let told: Vec<String> = office.stored().iter().map(in_short).collect();
    let expected = [
        "Zoe@example.org <a@b.example> Zoe@Example.ORG Subject: x",
        "new <a@b.example> new+a@localhost,new+b@localhost Subject: x",
    ];
    assert_eq!(told, expected);
    assert_eq!(office.until(2, mailbox_changes), ["Zoe@example.org Created", "new Created"]);
}

#[test]
fn what_is_for_elsewhere_is_told_with_the_id_that_it_has_in_the_queue() {
    let office = Office::with("");
    let to = ["bob@localhost", "c@example.org", "d@example.net"];
    assert_eq!(office.send(&to, "Subject: x\r\n\r\na\nb\r\n"), "250 OK");
    let queued = |fact: &Fact| match fact {
        Fact::Queued { id, from, to, octets } => {
            Some(format!("{id} <{from}> {} {octets}", to.join(",")))
        }
        _ => None,
    };
    let queue = fs::read_to_string(office.dir.path().join("mqueue")).unwrap();
    let id = queue.lines().find_map(|line| line.strip_prefix("X-MC-Id: ")).unwrap();
    // As it is sent on: with CRLF.
    let octets = "Subject: x\r\n\r\na\r\nb\r\n".len();
    let expected = format!("{id} <a@b.example> c@example.org,d@example.net {octets}");
    assert_eq!(office.said(queued), [expected]);
    assert_eq!(office.stored().len(), 1);
}

#[test]
fn refusals_are_told_with_the_command_that_they_answer_and_counted() {
    let office = Office::with("--profile everything --max-message 1000 --idle 600");
    let mut client = office.connect(Service::Smtp);
    let refused =
        [("MAIL FROM:<a@b>", "503"), ("nonsense", "500"), ("EHLO", "501"), ("AUTH NOSUCH", "5")];
    for (command, reply) in refused {
        client.says(command, reply);
    }
    client.says("HELO x", "250");
    client.says("MAIL FROM:<a@b>", "250");
    client.says("RCPT TO:<nobody@localhost>", "550");
    client.says("DATA", "503");
    client.says(&"x".repeat(5_000), "500");
    client.says("rcpt to:<bob@localhost>", "250");
    client.says("DATA", "354");
    client.send("RSET\r\n".repeat(200));
    client.says(".", "552");
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<bob@localhost>\r\nBDAT 3\r\nxxxBDAT 2000 LAST\r\n");
    client.send("x".repeat(2_000));
    for reply in ["250", "250", "250", "552"] {
        assert!(client.line().starts_with(reply));
    }
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<bob@localhost>\r\nBDAT 3 LAST\r\nxxx");
    (0..3).for_each(|_| assert!(client.line().starts_with("250")));
    let told = office.said(refusals);
    let expected = [
        "MAIL 503", "- 500", "EHLO 501", "AUTH 503", "RCPT 550", "DATA 503", "- 500", "DATA 552",
        "BDAT 552",
    ];
    assert_eq!(told, expected);
    let Counts { messages, refused, faults, sessions_open, sessions_total, .. } = office.counts();
    assert_eq!((messages, refused, faults, sessions_open, sessions_total), (1, 5, 0, 1, 1));
    // A farewell answers nothing, whatever was said before.
    office.end();
    assert!(client.line().starts_with("421"));
    assert_eq!(office.said(refusals).last().unwrap(), "- 421");
    assert_eq!(office.counts(), Counts { sessions_open: 0, ..office.counts() });
}

#[test]
fn refusals_of_pop3_and_echo_and_of_connections_are_told_too() {
    let office = Office::with("--max-connections 2");
    let mut echo = office.connect(Service::Echo);
    let mut client = office.connect(Service::Pop3);
    client.says("NOOP", "-ERR");
    client.says("WHAT", "-ERR");
    assert!(client.log_in("bob").starts_with("+OK"));
    client.says("RETR 9", "-ERR");
    let address = office.running.control().address_of(Service::Smtp).unwrap();
    assert!(Client::connect(address.port()).line().starts_with("421"));
    echo.says("ECHO -ERR 5", "+OK -ERR 5");
    echo.says("x", "-ERR");
    let expected = ["NOOP -ERR", "- -ERR", "RETR -ERR", "- 421", "- -ERR"];
    assert_eq!(office.said(refusals), expected);
    assert_eq!((office.counts().refused, office.counts().sessions_total), (0, 3));
}

#[test]
fn logins_are_told_of_each_kind_and_the_lines_of_an_exchange_are_no_commands() {
    let office = Office::with("--profile everything");
    let mut client = office.connect(Service::Pop3);
    client.says("USER bob@localhost", "+OK");
    client.says("PASS wrong", "-ERR");
    client.says("USER nobody", "+OK");
    client.says("PASS cis505", "-ERR");
    client.says("AUTH PLAIN", "+");
    // \0bob\0wrong
    client.says("AGJvYgB3cm9uZw==", "-ERR");
    assert!(client.log_in("bob@localhost").starts_with("+OK"));
    let mut client = office.connect(Service::Smtp);
    client.says("EHLO x", "250");
    while client.line().starts_with("250-") {}
    client.says("AUTH LOGIN", "334");
    client.says("Ym9i", "334");
    client.says("d3Jvbmc=", "535");
    // \0ann\0cis505
    client.says("AUTH PLAIN AGFubgBjaXM1MDU=", "235");
    let expected = ["bob false", "nobody false", "bob false", "bob true", "bob false", "ann true"];
    assert_eq!(office.said(logins), expected);
    let expected = ["PASS -ERR", "PASS -ERR", "AUTH -ERR", "AUTH 535"];
    assert_eq!(office.said(refusals), expected);
}

#[test]
fn what_is_fetched_and_deleted_is_told_by_its_unique_id() {
    let office = Office::with("--profile everything");
    for nth in 1..=4 {
        office.send(&["bob@localhost"], format!("Subject: {nth}\r\n\r\n"));
    }
    let mut client = office.reader("bob");
    client.message(2);
    client.says("TOP 1 0", "+OK");
    client.multi_line();
    client.says("DELE 1", "+OK");
    client.says("RSET", "+OK");
    client.says("DELE 4", "+OK");
    client.says("DELE 2", "+OK");
    let uids = office.stored();
    let uid = |nth: usize| uids[nth - 1].content.uid.clone().unwrap();
    assert_eq!(office.said(fetched_and_deleted), [format!("fetched bob {} 14", uid(2))]);
    // Another program adds a message meanwhile; the marked ones go all the same.
    let mut mailbox = fs::File::options().append(true).open(office.mailbox("bob")).unwrap();
    mailbox.write_all(b"From x Wed Sep 17 11:00:00 2025\nSubject: 5\n\n\n").unwrap();
    client.says("QUIT", "+OK");
    let expected = [
        format!("fetched bob {} 14", uid(2)),
        format!("deleted bob {} 14", uid(2)),
        format!("deleted bob {} 14", uid(4)),
    ];
    assert_eq!(office.said(fetched_and_deleted), expected);
    assert_eq!(office.until(1, mailbox_changes), ["bob Rewritten"]);
    assert_eq!(listed(&mut office.reader("bob")).len(), 3);
}

#[test]
fn nothing_is_deleted_if_another_program_has_changed_what_was_marked() {
    let office = Office::with("");
    office.send(&["bob@localhost"], "Subject: 1\r\n\r\n");
    let mut client = office.reader("bob");
    client.says("DELE 1", "+OK");
    let mailbox = fs::read_to_string(office.mailbox("bob")).unwrap();
    fs::write(office.mailbox("bob"), mailbox.replace("Subject: 1", "Subject: 2")).unwrap();
    client.says("QUIT", "-ERR");
    assert_eq!(office.said(fetched_and_deleted), [""; 0]);
    assert_eq!(office.said(refusals), ["QUIT -ERR"]);
}

#[test]
fn mailboxes_are_told_when_other_programs_make_remove_and_rewrite_them() {
    let office = Office::with("");
    office.send(&["bob@localhost"], "Subject: 1\r\n\r\n");
    fs::write(office.mailbox("carl"), "").unwrap();
    assert_eq!(office.until(1, mailbox_changes), ["carl Created"]);
    fs::write(office.mailbox("bob"), "").unwrap();
    assert_eq!(office.until(2, mailbox_changes)[1..], ["bob Rewritten"]);
    fs::remove_file(office.mailbox("ann")).unwrap();
    assert_eq!(office.until(3, mailbox_changes)[2..], ["ann Removed"]);
    // What comes is no change of the mailbox.
    office.send(&["bob@localhost"], "Subject: 2\r\n\r\n");
    fs::remove_file(office.mailbox("carl")).unwrap();
    assert_eq!(office.until(4, mailbox_changes)[3..], ["carl Removed"]);
}

#[test]
fn servers_are_told_when_they_begin_and_end_also_by_an_order() {
    let office = Office::with("");
    let words = |fact: &Fact| match fact {
        Fact::Listening { service, address } => Some((format!("+{service}"), *address)),
        Fact::Stopped { service, address } => Some((format!("-{service}"), *address)),
        _ => None,
    };
    let services = |fact: &Fact| words(fact).map(|(said, _)| said);
    assert_eq!(office.said(services).len(), 3);
    let smtp = office.running.control().address_of(Service::Smtp).unwrap();
    let order = |what| {
        let order = ServerOrder { service: Service::Smtp, what };
        office.runtime.block_on(office.running.control().orders.send(order)).unwrap();
    };
    order(Change::Stop);
    office.until(4, services);
    order(Change::Start);
    assert_eq!(office.until(5, services)[3..], ["-smtp", "+smtp"]);
    office.end();
    let mut ended = office.said(services).split_off(5);
    ended.sort_unstable();
    assert_eq!(ended, ["-echo", "-pop3", "-smtp"]);
    let addresses = office.facts().iter().filter_map(words).collect::<Vec<_>>();
    let of_smtp = addresses.iter().filter(|(said, _)| said.ends_with("smtp"));
    assert!(of_smtp.clone().all(|(_, address)| *address == smtp));
    assert_eq!(of_smtp.count(), 4);
}

#[test]
fn no_fact_is_made_for_those_who_want_none_and_all_is_counted() {
    let office = Office::wanting(FactsWanted::None, "--catch-all ann");
    assert_eq!(office.send(&["bob@localhost", "x@localhost"], "x\r\n"), "250 OK");
    let mut client = office.reader("bob");
    client.message(1);
    client.says("DELE 1", "+OK");
    client.says("DELE 9", "-ERR");
    client.says("QUIT", "+OK");
    let mut client = office.sender();
    client.says("DATA", "503");
    office.end();
    assert!(office.facts().is_empty());
    let Counts { messages, refused, sessions_open, sessions_total, .. } = office.counts();
    assert_eq!((messages, refused, sessions_open, sessions_total), (1, 1, 0, 3));
}

#[test]
fn within_a_session_the_order_is_that_of_the_wire() {
    let office = Office::with("");
    let mut client = office.sender();
    // All in one packet.
    client.send(
        "MAIL FROM:<a@b>\r\nRCPT TO:<no@localhost>\r\nRCPT TO:<bob@localhost>\r\nDATA\r\n\
         x\r\n.\r\nRCPT TO:<bob@localhost>\r\nQUIT\r\n",
    );
    client.rest();
    let told = office.told();
    let from =
        told.iter().position(|told| matches!(told, Told::Line(line) if line.contains("MAIL")));
    let told = told[from.unwrap()..].iter().filter_map(|told| match told {
        Told::Line(line) => Some(line.clone()),
        Told::Fact(FactEvent { fact: Fact::Stored(_), .. }) => Some("stored".to_owned()),
        Told::Fact(event) => refusals(&event.fact),
    });
    let told: Vec<String> = told.filter(|line| !line.starts_with("..")).collect();
    let expected = [
        "C: MAIL FROM:<a@b>",
        "S: 250 OK",
        "C: RCPT TO:<no@localhost>",
        "S: 550 Requested action not taken: no such user here",
        "RCPT 550",
        "C: RCPT TO:<bob@localhost>",
        "S: 250 OK",
        "C: DATA",
        "S: 354 Start mail input; end with <CRLF>.<CRLF>",
        "C: .",
        "stored",
        "S: 250 OK",
        "C: RCPT TO:<bob@localhost>",
        "S: 503 Bad sequence of commands: MAIL first",
        "RCPT 503",
    ];
    assert_eq!(told[..expected.len()], expected);
}
