//! What observers are told of a relay run: each attempt, and what came of each recipient.

use std::sync::{Arc, Mutex};

use mailconsole::relay::run::Bounces;
use mailconsole::watch::event::{Event, Service};
use mailconsole::watch::fact::{Fact, FactEvent};
use mailconsole::watch::observers::{FactsWanted, Observer, Observers};

use crate::mail_host::{Act, Heard, MailHost, polite, say};
use crate::runs::{Ready, RelayHandle};

/// Keeps the facts that it is told.
#[derive(Default)]
struct Keeper(Mutex<Vec<FactEvent>>);

impl Observer for Keeper {
    fn observe(&self, _: Event) {}

    fn wants_text(&self) -> bool {
        false
    }

    fn facts_wanted(&self) -> FactsWanted {
        FactsWanted::Whole
    }

    fn fact(&self, event: FactEvent) {
        self.0.lock().expect("the facts").push(event);
    }
}

impl Keeper {
    /// The facts in words, `(…)` if they have come of a connection; `ID` is that of the entry.
    fn said(&self) -> Vec<String> {
        self.0.lock().expect("the facts").iter().map(in_words).collect()
    }
}

fn in_words(event: &FactEvent) -> String {
    let words = match &event.fact {
        Fact::RelayAttempt { id, to, host } => {
            assert!(!id.is_empty());
            format!("attempt {} at {host}", to.join(","))
        }
        Fact::Relayed { id, to, host, outcome, reply } => {
            assert!(!id.is_empty());
            let host = host.as_deref().unwrap_or("nobody");
            format!("{outcome:?} {to} by {host}: {reply}")
        }
        Fact::Stored(stored) => {
            assert!(stored.content.uid.is_some() && stored.content.octets > 0);
            format!("stored {} <{}> {}", stored.mailbox, stored.from, stored.to.join(","))
        }
        fact => format!("{fact:?}"),
    };
    match event.connection {
        Some(name) => {
            assert_eq!(name.service, Service::Relay);
            format!("({words})")
        }
        None => words,
    }
}

/// The relay, observed.
fn observed(mut post: RelayHandle) -> (Ready, Arc<Keeper>) {
    let keeper = Arc::new(Keeper::default());
    let client = Arc::get_mut(&mut post.relay.client).expect("no connection");
    client.transcript = Observers::one(Arc::clone(&keeper) as _);
    (post.ready(), keeper)
}

#[tokio::test]
async fn each_recipient_has_one_outcome_with_the_host_and_its_reply() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("RCPT TO:<b@x.example>") => say("451 4.7.1 greylisted"),
        Heard::Command("RCPT TO:<c@x.example>") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let (post, keeper) = observed(RelayHandle::new().route("x.example", &host));
    post.queue(&["a@x.example", "b@x.example", "c@x.example"]).await;
    post.run_all().await;
    let mut said = keeper.said();
    let at = host.address;
    assert_eq!(said.remove(0), format!("(attempt a@x.example,b@x.example,c@x.example at {at})"));
    said.sort_unstable();
    let expected = [
        format!("(Deferred b@x.example by {at}: 451 4.7.1 greylisted)"),
        format!("(Delivered a@x.example by {at}: 250 2.0.0 queued)"),
        format!("(Failed c@x.example by {at}: 550 5.1.1 no such user)"),
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_attempt_is_told_before_its_outcome_for_each_message_of_a_connection() {
    let host = MailHost::that(polite).await;
    let (post, keeper) = observed(RelayHandle::new().route("x.example", &host).connections(1));
    post.queue(&["a@x.example"]).await;
    post.queue(&["b@x.example"]).await;
    post.run_all().await;
    let at = host.address;
    let delivered = |to: &str| format!("(Delivered {to} by {at}: 250 2.0.0 queued)");
    let expected = [
        format!("(attempt a@x.example at {at})"),
        delivered("a@x.example"),
        format!("(attempt b@x.example at {at})"),
        delivered("b@x.example"),
    ];
    assert_eq!(keeper.said(), expected);
}

#[tokio::test]
async fn a_host_that_lets_nobody_in_is_named_and_there_is_no_attempt() {
    let host = MailHost::that(|_| Act::SayAndClose("554 no mail here".to_owned())).await;
    let gone = MailHost::that(polite).await;
    let at = gone.address;
    let handle = RelayHandle::new().route("x.example", &host).route("y.example", &gone);
    drop(gone);
    let (post, keeper) = observed(handle.impatient());
    post.queue(&["a@x.example", "b@y.example"]).await;
    post.run_all().await;
    let mut said = keeper.said();
    said.sort_unstable();
    let refused = format!("Deferred a@x.example by {}: 554 no mail here", host.address);
    let beginning = format!("Deferred b@y.example by {at}: cannot connect to ");
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], refused);
    assert!(said[1].starts_with(&beginning), "{said:?}");
}

#[tokio::test]
async fn where_no_host_is_found_none_is_named() {
    let (post, keeper) = observed(RelayHandle::new());
    post.queue(&["a@nowhere.example"]).await;
    post.run_all().await;
    let said = keeper.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("Deferred a@nowhere.example by nobody: "), "{said:?}");
}

#[tokio::test]
async fn a_host_that_breaks_off_is_named_with_our_own_remark() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => Act::Close,
        heard => polite(heard),
    })
    .await;
    let (post, keeper) = observed(RelayHandle::new().route("x.example", &host));
    post.queue(&["a@x.example"]).await;
    post.run_all().await;
    let said = keeper.said();
    let at = host.address;
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], format!("(attempt a@x.example at {at})"));
    assert!(said[1].starts_with(&format!("(Deferred a@x.example by {at}: ")), "{said:?}");
    assert!(said[1].contains("closed the connection"), "{said:?}");
}

#[tokio::test]
async fn a_notification_is_mail_too() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("RCPT") => say("550 5.1.1 no such user"),
        heard => polite(heard),
    })
    .await;
    let mut handle = RelayHandle::new().route("x.example", &host);
    handle.relay.bounces = Bounces::ToLocalSenders;
    let (post, keeper) = observed(handle);
    post.relay.directory.create("ben").expect("a mailbox");
    post.queue(&["a@x.example"]).await;
    post.run_all().await;
    assert_eq!(keeper.said().last().expect("a fact"), "stored ben <> ben@localhost");
}
