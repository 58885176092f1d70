//! What `status` says: the servers, as they tell it, and the files, as they are.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::control::client::Object;
use crate::store::directory::Directory;
use crate::store::overview::RecipientState;
use crate::wire::display::DisplayText;

/// What runs on a directory, and what is in it.
#[derive(Serialize)]
pub(super) struct Summary {
    v: u8,
    running: bool,
    servers: Vec<Server>,
    mailboxes: Vec<Mailbox>,
    queue: Option<Queue>,
}

/// What a server tells, in the order in which it is written.
#[derive(Serialize)]
struct Server {
    pid: Value,
    version: Value,
    domain: Value,
    profile: Value,
    ports: Value,
    sessions: Value,
    counters: Value,
}

/// `None` where the mailbox cannot be read.
#[derive(Serialize)]
struct Mailbox {
    name: String,
    messages: Option<u64>,
    octets: Option<u64>,
}

/// Recipients in the queue.
#[derive(Serialize, Default)]
struct Queue {
    waiting: u64,
    failed: u64,
    held: u64,
}

impl Summary {
    /// Counts what is in the directory. What cannot be counted is told on stderr.
    pub(super) async fn of(running: Vec<Object>, directory: &Directory) -> Self {
        Self {
            v: 1,
            running: !running.is_empty(),
            servers: running.into_iter().map(Server::of).collect(),
            mailboxes: mailboxes(directory).await,
            queue: queue(directory).await,
        }
    }

    pub(super) fn json(&self) -> String {
        // Not by way of a `Value`, which has its keys in the order of their letters.
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{text}\n")
    }

    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        if !self.running {
            text.push_str("no server is running\n");
        }
        for server in &self.servers {
            server.tell(&mut text);
        }
        for Mailbox { name, messages, octets } in &self.mailboxes {
            let name = DisplayText::from(name.as_str());
            let _ = match messages.zip(*octets) {
                Some((messages, octets)) => {
                    writeln!(text, "mailbox {name}: messages {messages}, octets {octets}")
                }
                None => writeln!(text, "mailbox {name}: cannot be read"),
            };
        }
        if let Some(Queue { waiting, failed, held }) = &self.queue {
            let _ = writeln!(text, "queue: waiting {waiting}, failed {failed}, held {held}");
        }
        text
    }
}

impl Server {
    fn of(mut status: Object) -> Self {
        let mut field = |name| status.remove(name).unwrap_or_default();
        Self {
            pid: field("pid"),
            version: field("version"),
            domain: field("domain"),
            profile: field("profile"),
            ports: field("ports"),
            sessions: field("sessions"),
            counters: field("counters"),
        }
    }

    fn tell(&self, text: &mut String) {
        let Self { pid, version, domain, profile, ports, sessions, counters } = self;
        let [version, domain, profile] = [version, domain, profile].map(plain);
        let _ = writeln!(
            text,
            "running: pid {pid}, version {version}, domain {domain}, profile {profile}"
        );
        for (what, counts) in [("ports", ports), ("sessions", sessions), ("counters", counters)] {
            let _ = writeln!(text, "  {what}: {}", listed(counts));
        }
    }
}

/// `echo 10000, pop3 11000, smtp 2500`.
fn listed(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let words: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    DisplayText::from(words.join(", ").as_str()).into_string()
}

fn plain(value: &Value) -> DisplayText {
    DisplayText::from(value.as_str().unwrap_or_default())
}

async fn mailboxes(directory: &Directory) -> Vec<Mailbox> {
    let users = directory.users().unwrap_or_else(|error| {
        eprintln!("mailconsole: warning: the directory cannot be listed: {error}");
        Vec::new()
    });
    let mut mailboxes = Vec::with_capacity(users.len());
    for user in users {
        let name = user.name().to_owned();
        mailboxes.push(match directory.snapshot(&user).await {
            Ok(snapshot) => Mailbox {
                name,
                messages: Some(snapshot.count() as u64),
                octets: Some(snapshot.octets()),
            },
            Err(error) => {
                eprintln!("mailconsole: warning: {}: {error}", DisplayText::from(name.as_str()));
                Mailbox { name, messages: None, octets: None }
            }
        });
    }
    mailboxes
}

async fn queue(directory: &Directory) -> Option<Queue> {
    let entries = directory.queue().entries().await.inspect_err(|error| {
        eprintln!("mailconsole: warning: the queue cannot be read: {error}");
    });
    let mut queue = Queue::default();
    for recipient in entries.ok()?.iter().flat_map(|entry| &entry.block.recipients) {
        match recipient.state {
            RecipientState::Pending => queue.waiting += 1,
            RecipientState::Failed => queue.failed += 1,
            RecipientState::Held => queue.held += 1,
            RecipientState::Delivered => {}
        }
    }
    Some(queue)
}
