//! The mailroom through its handle: what an operator wishes of mailboxes and messages, and hears and
//! finds on the disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconsole::console::state::rows::MailboxRow;
use mailconsole::mailroom::browser::Browser;
use mailconsole::mailroom::tasks::{MailroomTask, Room, SmtpListener};
use mailconsole::mailroom::{
    Draft, MailroomEvent, MailroomHandle, MailroomRequest, Message, MessageKey, QueuedRequest,
    SHOWN_MOST, Summary,
};
use mailconsole::relay::orders::QueueTarget;
use mailconsole::servers::accounts::Accounts;
use mailconsole::servers::listener::{Lifetime, Shared};
use mailconsole::servers::settings::Settings;
use mailconsole::servers::smtp::service::SmtpServer;
use mailconsole::store::directory::{Directory, Durability, Envelope};
use mailconsole::store::overview::Overview;
use mailconsole::store::survey::{self, Tells};
use mailconsole::watch::observers::Observers;
use mailconsole::wire::display::DisplayText;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use support::{Mail, Recorder, Sockets, hold};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An operator at the screen.
struct Operator {
    mail: Mail,
    desk: MailroomHandle,
    overview: watch::Receiver<Arc<Overview>>,
    smtp: Arc<Mutex<Option<SocketAddr>>>,
    /// Where messages are saved, and what the browser gets.
    saved: tempfile::TempDir,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Operator {
    fn of(users: &[&str]) -> Self {
        let mail = Mail::with_users(users);
        let directory = mail.pop3.accounts.directory.clone();
        let (saved, stop, tasks) =
            (tempfile::tempdir().unwrap(), CancellationToken::new(), TaskTracker::new());
        let overview = survey::follow(&directory, Tells::Log);
        let smtp: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let listener = {
            let smtp = Arc::clone(&smtp);
            SmtpListener::new(move || *smtp.lock().unwrap())
        };
        let browser = Browser::opened_by(opener(saved.path(), "cp \"$1\" browsed.html"));
        let room = Room {
            directory,
            overview: overview.clone(),
            domain: "localhost".into(),
            smtp: listener,
            save_to: saved.path().to_owned(),
            browser,
            stop: stop.clone(),
        };
        let desk = MailroomTask::start(room, &tasks);
        Self { mail, desk, overview, smtp, saved, stop, tasks }
    }

    fn directory(&self) -> &Directory {
        &self.mail.pop3.accounts.directory
    }

    fn path(&self, file: &str) -> PathBuf {
        self.mail.dir.path().join(file)
    }

    /// Another program puts this into a mailbox, all at once.
    fn replace(&self, file: &str, content: &str) {
        let draft = self.path("draft");
        std::fs::write(&draft, content).unwrap();
        std::fs::rename(draft, self.path(file)).unwrap();
    }

    async fn requests(&self, request: MailroomRequest) {
        self.desk.requests.send(request).await.unwrap();
    }

    async fn hears(&mut self) -> MailroomEvent {
        tokio::time::timeout(PATIENCE, self.desk.news.recv()).await.unwrap().unwrap()
    }

    /// The next sentence; whatever else is told before is passed over.
    async fn hears_words(&mut self) -> String {
        loop {
            match self.hears().await {
                MailroomEvent::Said(words)
                | MailroomEvent::NotShown(words)
                | MailroomEvent::NotListed(words) => return words,
                _ => {}
            }
        }
    }

    async fn hears_that(&mut self, words: &str) {
        assert_eq!(self.hears_words().await, words);
    }

    /// What is told until a listing is complete: how often it has begun, and what is listed.
    async fn hears_listing(&mut self) -> (usize, Vec<Summary>) {
        let (mut begun, mut listed) = (0, Vec::new());
        loop {
            match self.hears().await {
                MailroomEvent::Begun { .. } => {
                    begun += 1;
                    listed.clear();
                }
                MailroomEvent::Listed(summaries) => listed.extend(summaries),
                MailroomEvent::Complete => return (begun, listed),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The messages of a mailbox.
    async fn opens(&mut self, mailbox: &str) -> Vec<Summary> {
        self.requests(MailroomRequest::Open(mailbox.to_owned())).await;
        let (begun, listed) = self.hears_listing().await;
        assert_eq!(begun, 1);
        listed
    }

    async fn reads(&mut self, key: MessageKey) -> Result<Box<Message>, String> {
        self.requests(MailroomRequest::Read(key)).await;
        loop {
            match self.hears().await {
                MailroomEvent::Shown(message) => return Ok(message),
                MailroomEvent::NotShown(words) => return Err(words),
                _ => {}
            }
        }
    }

    /// The words of the list of mailboxes on who holds the first one, once there are any.
    async fn sees_holder(&mut self, is_held: bool) -> String {
        let changed = self.overview.wait_for(|overview| {
            overview.mailboxes.first().is_some_and(|view| view.holder.is_some() == is_held)
        });
        let overview = tokio::time::timeout(PATIENCE, changed).await.unwrap().unwrap();
        let row = MailboxRow::new(&overview.mailboxes[0], 0);
        row.holder.map_or_else(String::new, DisplayText::into_string)
    }

    /// Ends the mailroom, and waits for that.
    async fn ends(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
    }

    async fn deliver(&self, user: &str, text: &[u8]) {
        let directory = self.directory();
        let mut spool = directory.new_text();
        spool.push(text);
        let envelope = Envelope {
            reverse_path: "a@b.org".into(),
            local: vec![directory.user(user.as_bytes()).unwrap().into()],
            ..Envelope::default()
        };
        directory.deliver(envelope, spool).await.unwrap();
    }

    fn files_saved(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.saved.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "opener");
        names.sort_unstable();
        names
    }

    fn content_saved(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.saved.path().join(name)).unwrap()
    }
}

/// A program in this directory that does this there.
fn opener(directory: &Path, does: &str) -> PathBuf {
    let program = directory.join("opener");
    let script = format!("#!/bin/sh\ncd \"$(dirname \"$0\")\" && {does} && echo done >opened\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program
}

fn text_of(message: &Message) -> Vec<String> {
    let shape = message.body.shapes()[0];
    let lines = message.body.passage(shape, SHOWN_MOST).lines;
    lines.into_iter().map(DisplayText::into_string).collect()
}

/// A message with its From_ line, as it lies in a mailbox.
fn stored(second: u32, subject: &str) -> String {
    format!(
        "From <a@b.org> Wed Sep 17 11:00:{second:02} 2025\n\
         From: A <a@b.org>\nSubject: {subject}\n\ntext of {subject}\n\n"
    )
}

fn subjects(listed: &[Summary]) -> Vec<&str> {
    listed.iter().map(|one| one.subject.as_str()).collect()
}

fn numbers(listed: &[Summary]) -> Vec<usize> {
    listed.iter().map(|one| one.number).collect()
}

#[tokio::test]
async fn a_mailbox_is_listed_and_a_message_is_shown() {
    let mut operator = Operator::of(&["u"]);
    assert_eq!(operator.opens("u").await, []);
    operator.deliver("u", b"From: Linh <l@x>\r\nSubject: one\r\n\r\n.text\r\nFrom here\r\n").await;
    let (begun, listed) = operator.hears_listing().await;
    assert_eq!((begun, numbers(&listed)), (0, vec![1]));
    assert_eq!((listed[0].from.as_str(), listed[0].subject.as_str()), ("Linh", "one"));
    assert!(listed[0].date.is_some());
    let message = operator.reads(listed[0].key).await.unwrap();
    assert_eq!(text_of(&message), [".text", "From here"]);
    assert_eq!(message.octets, listed[0].octets);
    operator.ends().await;
}

#[tokio::test]
async fn mail_that_arrives_follows_by_itself_and_begins_nothing_anew() {
    let mut operator = Operator::of(&["u", "v"]);
    operator.deliver("u", b"Subject: 1\r\n\r\n").await;
    assert_eq!(subjects(&operator.opens("u").await), ["1"]);
    operator.deliver("v", b"Subject: elsewhere\r\n\r\n").await;
    operator.deliver("u", b"Subject: 2\r\n\r\n").await;
    let (begun, listed) = operator.hears_listing().await;
    assert_eq!((begun, subjects(&listed), numbers(&listed)), (0, vec!["2"], vec![2]));
    operator.ends().await;
}

#[tokio::test]
async fn a_mailbox_that_another_program_rewrites_is_listed_anew_and_keeps_its_keys() {
    let mut operator = Operator::of(&["u"]);
    operator.replace("u.mbox", &[stored(1, "a"), stored(2, "b"), stored(3, "c")].concat());
    let before = operator.opens("u").await;
    // As long as before, so that no figure shows it.
    operator.replace("u.mbox", &[stored(1, "x"), stored(2, "b"), stored(3, "c")].concat());
    let (begun, after) = operator.hears_listing().await;
    assert!(begun > 0);
    assert_eq!(subjects(&after), ["x", "b", "c"]);
    assert_ne!(before[0].key, after[0].key);
    assert_eq!(before[1..], after[1..]);
    operator.replace("u.mbox", &stored(3, "c"));
    let (_, after) = operator.hears_listing().await;
    assert_eq!((after[0].key, after[0].number), (before[2].key, 1));
    let words = operator.reads(before[1].key).await.unwrap_err();
    assert_eq!(words, "The message is no longer in u; the list shows what is.");
    operator.ends().await;
}

#[tokio::test]
async fn messages_that_look_alike_are_kept_apart() {
    let mut operator = Operator::of(&["u"]);
    operator.replace("u.mbox", &stored(1, "twin").repeat(3));
    let listed = operator.opens("u").await;
    let occurrences: Vec<_> = listed.iter().map(|one| one.key.occurrence).collect();
    assert_eq!(occurrences, [0, 1, 2]);
    assert_eq!(listed[0].key.hash, listed[2].key.hash);
    operator.ends().await;
}

#[tokio::test]
async fn what_cannot_be_listed_is_told_and_listed_once_it_can_be() {
    let mut operator = Operator::of(&[]);
    operator.requests(MailroomRequest::Open("u".into())).await;
    operator.hears_that("Cannot list u: there is no such mailbox.").await;
    operator.requests(MailroomRequest::Create("u".into())).await;
    operator.hears_that("Made the mailbox u.").await;
    let (begun, listed) = operator.hears_listing().await;
    assert_eq!((begun, listed.len()), (1, 0));
    operator.requests(MailroomRequest::Create("u".into())).await;
    operator.hears_that("There is a mailbox u already.").await;
    operator.requests(MailroomRequest::Create("../x".into())).await;
    let words = operator.hears_words().await;
    assert!(words.starts_with("No mailbox made: \"../x\" cannot be the name"), "{words}");
    operator.ends().await;
}

fn large(messages: usize) -> String {
    (0..messages).fold(String::new(), |mut mailbox, nth| {
        let _ = write!(mailbox, "From a Wed Sep 17 11:00:00 2025\nSubject: {nth}\n\nx\n\n");
        mailbox
    })
}

#[tokio::test]
async fn twenty_thousand_messages_are_listed_in_pieces() {
    let mut operator = Operator::of(&["u"]);
    operator.replace("u.mbox", &large(20_000));
    operator.requests(MailroomRequest::Open("u".into())).await;
    let MailroomEvent::Begun { mailbox, messages, left_out } = operator.hears().await else {
        panic!("it does not begin");
    };
    assert_eq!((mailbox.as_str(), messages, left_out), ("u", 20_000, 0));
    let MailroomEvent::Listed(first) = operator.hears().await else { panic!("nothing is listed") };
    assert!(first.len() < 1_000);
    let (_, rest) = operator.hears_listing().await;
    assert_eq!(first.len() + rest.len(), 20_000);
    assert_eq!(rest.last().unwrap().subject.as_str(), "19999");
    operator.ends().await;
}

#[tokio::test]
async fn a_listing_that_nobody_reads_is_given_up_when_another_mailbox_is_opened() {
    let mut operator = Operator::of(&["u", "v"]);
    operator.replace("u.mbox", &large(20_000));
    operator.requests(MailroomRequest::Open("u".into())).await;
    let MailroomEvent::Begun { .. } = operator.hears().await else { panic!("it does not begin") };
    operator.requests(MailroomRequest::Open("v".into())).await;
    let mut listed = 0;
    loop {
        match operator.hears().await {
            MailroomEvent::Listed(summaries) => listed += summaries.len(),
            MailroomEvent::Begun { mailbox, .. } => {
                assert_eq!(mailbox, "v");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(listed < 20_000);
    operator.requests(MailroomRequest::Open("u".into())).await;
    // Nobody listens any more.
    operator.ends().await;
}

#[tokio::test]
async fn a_message_is_not_deleted_while_a_session_has_its_mailbox() {
    let mut operator = Operator::of(&["linhphan"]);
    operator.replace("linhphan.mbox", &[stored(1, "a"), stored(2, "b")].concat());
    let listed = operator.opens("linhphan").await;
    let user = operator.directory().user(b"linhphan").unwrap();
    let session = operator.directory().open_maildrop(&user).await.unwrap();
    operator.requests(MailroomRequest::Delete(listed[0].key)).await;
    operator
        .hears_that("Cannot delete: a POP3 session has linhphan locked; try again when it ends.")
        .await;
    assert_eq!(session.octets().len(), 2);
    drop(session);
    operator.requests(MailroomRequest::Delete(listed[0].key)).await;
    operator.hears_that("Deleted message 1 of linhphan.").await;
    assert_eq!(operator.mail.content("linhphan.mbox"), stored(2, "b"));
    operator.ends().await;
}

#[tokio::test]
async fn of_messages_that_are_alike_the_one_that_was_meant_is_deleted() {
    let mut operator = Operator::of(&["u"]);
    // Their From_ lines, which POP3 does not show, tell which is left.
    let twins = [stored(1, "twin"), stored(2, "twin"), stored(3, "twin")];
    operator.replace("u.mbox", &twins.concat());
    let listed = operator.opens("u").await;
    operator.requests(MailroomRequest::Delete(listed[1].key)).await;
    operator.hears_that("Deleted message 2 of u.").await;
    assert_eq!(operator.mail.content("u.mbox"), [&*twins[0], &*twins[2]].concat());
    operator.ends().await;
}

#[tokio::test]
async fn messages_are_deleted_together() {
    let mut operator = Operator::of(&["u"]);
    let mail: Vec<String> = (1..=6).map(|n| stored(n, &format!("m{n}"))).collect();
    operator.replace("u.mbox", &mail.concat());
    let listed = operator.opens("u").await;
    let keys = [5, 0, 2].map(|n: usize| listed[n].key).to_vec();
    operator.requests(MailroomRequest::DeleteAll(keys)).await;
    operator.hears_that("Deleted 3 messages of u.").await;
    assert_eq!(operator.mail.content("u.mbox"), [&*mail[1], &*mail[3], &*mail[4]].concat());
    operator.ends().await;
}

#[tokio::test]
async fn of_messages_that_another_program_has_moved_those_that_were_meant_are_deleted() {
    let mut operator = Operator::of(&["u"]);
    let mail: Vec<String> = (1..=5).map(|n| stored(n, &format!("m{n}"))).collect();
    let moved = [&*mail[4], &*mail[2], &*mail[0], &*mail[3]].concat();
    operator.replace("u.mbox", &mail.concat());
    let listed = operator.opens("u").await;
    let user = operator.directory().user(b"u").unwrap();
    let session = operator.directory().open_maildrop(&user).await.unwrap();
    operator.replace("u.mbox", &moved);
    operator.hears_listing().await;
    drop(session);
    let keys = [0, 1, 2].map(|n: usize| listed[n].key).to_vec();
    operator.requests(MailroomRequest::DeleteAll(keys)).await;
    operator.hears_that("Deleted 2 messages of u. 1 had gone before.").await;
    assert_eq!(operator.mail.content("u.mbox"), [&*mail[4], &*mail[3]].concat());
    operator.ends().await;
}

#[tokio::test]
async fn a_mailbox_is_cleared_but_for_what_has_come_since() {
    let mut operator = Operator::of(&["u"]);
    let mail: Vec<String> = (1..=3).map(|n| stored(n, &format!("m{n}"))).collect();
    operator.replace("u.mbox", &mail.concat());
    operator.requests(MailroomRequest::Clear("u".into(), 2)).await;
    operator.hears_that("Deleted all 2 messages of u.").await;
    assert_eq!(operator.mail.content("u.mbox"), mail[2]);
    operator.requests(MailroomRequest::Clear("u".into(), 2)).await;
    operator
        .hears_that(
            "Cannot delete the messages of u: there are fewer than there were; look at what is \
             left, and try again.",
        )
        .await;
    assert_eq!(operator.mail.content("u.mbox"), mail[2]);
    operator.ends().await;
}

#[tokio::test]
async fn several_messages_are_deleted_one_after_the_other() {
    let mut operator = Operator::of(&["u"]);
    let messages: Vec<_> = (1..=5).map(|nth| stored(nth, &nth.to_string())).collect();
    operator.replace("u.mbox", &messages.concat());
    let listed = operator.opens("u").await;
    for nth in [1, 3] {
        operator.requests(MailroomRequest::Delete(listed[nth].key)).await;
    }
    let mut words = [operator.hears_words().await, operator.hears_words().await];
    words.sort_unstable();
    assert_eq!(words, ["Deleted message 2 of u.", "Deleted message 4 of u."]);
    let left = [&*messages[0], &*messages[2], &*messages[4]].concat();
    assert_eq!(operator.mail.content("u.mbox"), left);
    operator.ends().await;
}

#[tokio::test]
async fn a_message_is_found_again_after_another_program_has_rewritten_its_mailbox() {
    let mut operator = Operator::of(&["u"]);
    operator.replace("u.mbox", &[stored(1, "a"), stored(2, "b"), stored(3, "c")].concat());
    let listed = operator.opens("u").await;
    operator.replace("u.mbox", &[stored(2, "b"), stored(3, "c"), stored(4, "d")].concat());
    operator.requests(MailroomRequest::Delete(listed[1].key)).await;
    let words = operator.hears_words().await;
    assert!(words.starts_with("Deleted message"), "{words}");
    assert_eq!(operator.mail.content("u.mbox"), [stored(3, "c"), stored(4, "d")].concat());
    operator.ends().await;
}

#[tokio::test]
async fn a_message_that_is_another_one_now_is_neither_deleted_nor_shown_nor_saved() {
    let mut operator = Operator::of(&["u"]);
    let (before, after) =
        ([stored(1, "a"), stored(2, "b")].concat(), [stored(1, "a"), stored(2, "x")].concat());
    operator.replace("u.mbox", &before);
    let listed = operator.opens("u").await;
    // In place, as an editor does.
    std::fs::write(operator.path("u.mbox"), &after).unwrap();
    // Only this one: where the list has followed already, the first may well be deleted.
    let other = listed[1].key;
    let all = MailroomRequest::DeleteAll(vec![other, other]);
    for request in [
        MailroomRequest::Delete(other),
        MailroomRequest::Read(other),
        MailroomRequest::Save(other),
        all,
    ] {
        operator.requests(request).await;
        let words = operator.hears_words().await;
        assert!(words.starts_with("Cannot ") || words.contains("is no longer in u"), "{words}");
    }
    assert_eq!(operator.mail.content("u.mbox"), after);
    assert_eq!(operator.files_saved(), Vec::<String>::new());
    operator.ends().await;
}

#[tokio::test]
async fn a_saved_message_is_what_retr_sends_and_overwrites_nothing() {
    let mut operator = Operator::of(&["u"]);
    let line = ".A line of a text that is longer than any buffer\r\nFrom here\r\n";
    let sent = format!("Subject: x\r\n\r\n{}\u{e9}\0\r\n", line.repeat(60_000));
    operator.deliver("u", sent.as_bytes()).await;
    let listed = operator.opens("u").await;
    for name in ["u-1.eml", "u-1-2.eml"] {
        operator.requests(MailroomRequest::Save(listed[0].key)).await;
        operator.hears_that(&format!("Saved {name} ({} octets).", sent.len())).await;
        assert!(operator.content_saved(name) == sent.as_bytes());
    }
    assert_eq!(operator.files_saved(), ["u-1-2.eml", "u-1.eml"]);
    operator.ends().await;
}

#[tokio::test]
async fn a_queued_message_is_read_and_saved_as_it_was_sent() {
    let mut operator = Operator::of(&["u"]);
    let text = "Subject: queued\n\n>From here\n";
    let mqueue = format!(
        "From <a@b> Wed Sep 17 11:00:00 2025\nX-MC-Id: 1-2-3\nX-MC-From: <a@b>\n\
         X-MC-Queued: 0\nX-MC-Rcpt: P 0 0 <x@y.example>\nX-MC-End:\n{text}\n"
    );
    operator.replace("mqueue", &mqueue);
    let target = QueueTarget::one("1-2-3", "x@y.example");
    operator.requests(MailroomRequest::Queued(target.clone(), QueuedRequest::Read)).await;
    let MailroomEvent::Shown(message) = operator.hears().await else { panic!("nothing is shown") };
    assert_eq!(message.key, MessageKey::of_queued(&target));
    assert!(message.header.iter().all(|field| !field.name.as_str().starts_with("X-MC")));
    operator.requests(MailroomRequest::Queued(target.clone(), QueuedRequest::Save)).await;
    operator.hears_that("Saved queued-1-2-3.eml (30 octets).").await;
    let sent = b"Subject: queued\r\n\r\nFrom here\r\n";
    assert_eq!(operator.content_saved("queued-1-2-3.eml"), sent);
    operator.requests(MailroomRequest::Queued(target, QueuedRequest::SaveAttachments(None))).await;
    operator.hears_that("The queued message has no such attachment; save it whole instead.").await;
    let gone = QueueTarget::one("../1", "x@y.example");
    operator.requests(MailroomRequest::Queued(gone, QueuedRequest::Read)).await;
    operator
        .hears_that("Cannot show the queued message: the entry is no longer in the relay queue.")
        .await;
    operator.ends().await;
}

#[tokio::test]
async fn attachments_are_saved_under_names_that_do_no_harm() {
    let mut operator = Operator::of(&["u"]);
    let long = format!("{}.pdf", "x".repeat(300));
    let names = ["../../etc/passwd", "", &long, "\x1b]52;c;x\x07.txt", "passwd"];
    let mut text = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    for (nth, name) in names.iter().enumerate() {
        let _ = write!(
            text,
            "--b\r\nContent-Type: application/octet-stream\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{nth}\r\n"
        );
    }
    text.push_str("--b--\r\n");
    operator.deliver("u", text.as_bytes()).await;
    let listed = operator.opens("u").await;
    operator.requests(MailroomRequest::SaveAttachments(listed[0].key, None)).await;
    let shortened = format!("{}.pdf", "x".repeat(96));
    let words = format!("Saved passwd, attachment-2.bin, {shortened}, _]52_c_x_.txt, passwd-2.");
    operator.hears_that(&words).await;
    assert_eq!(operator.content_saved("passwd-2"), b"4");
    assert_eq!(operator.content_saved(&shortened), b"2");
    operator.requests(MailroomRequest::SaveAttachments(listed[0].key, Some(1))).await;
    operator.hears_that("Saved attachment-2-2.bin.").await;
    operator.requests(MailroomRequest::SaveAttachments(listed[0].key, Some(9))).await;
    operator.hears_that("Message 1 has no such attachment; save it whole instead.").await;
    assert_eq!(operator.files_saved().len(), 6);
    operator.ends().await;
}

#[tokio::test]
async fn a_long_message_is_shown_at_its_beginning_before_it_has_been_read() {
    let mut operator = Operator::of(&["u"]);
    let line = "w".repeat(3 << 20);
    let text = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{line}\r\n--b\r\n\
         Content-Type: image/png\r\n\r\npixels\r\n--b--\r\n"
    );
    operator.deliver("u", text.as_bytes()).await;
    let listed = operator.opens("u").await;
    let beginning = operator.reads(listed[0].key).await.unwrap();
    let read = beginning.octets - beginning.body.unread();
    assert!((1..1 << 20).contains(&read), "{read} octets were read");
    assert!(text_of(&beginning)[0].starts_with("www"));
    let MailroomEvent::Shown(whole) = operator.hears().await else {
        panic!("it was not shown again")
    };
    assert_eq!((whole.key, whole.body.unread(), whole.attachments.len()), (listed[0].key, 0, 1));
    operator.ends().await;
}

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n\r\n\
    <meta http-equiv=refresh content=1><p>na\u{ef}ve</p>\r\n";

#[tokio::test]
async fn html_is_opened_in_a_browser_that_fetches_nothing_and_is_gone_with_the_mailroom() {
    let mut operator = Operator::of(&["u"]);
    operator.deliver("u", HTML.as_bytes()).await;
    operator.deliver("u", b"Subject: plain\r\n\r\ntext\r\n").await;
    let listed = operator.opens("u").await;
    operator.requests(MailroomRequest::Browse(listed[1].key)).await;
    operator.hears_that("Message 2 has no HTML.").await;
    operator.requests(MailroomRequest::Browse(listed[0].key)).await;
    let words = operator.hears_words().await;
    let page = words.strip_prefix("Opened in the browser, remote content blocked: ").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(Path::new(page).parent().unwrap()) & 0o777, 0o700);
    let content = std::fs::read_to_string(page).unwrap();
    assert!(
        content.contains("default-src 'none'") && !content.contains("<meta http-equiv=refresh")
    );
    assert!(page.ends_with("/u-1.html") && content.contains("<p>na\u{ef}ve</p>"), "{content}");
    let page = page.to_owned();
    operator.ends().await;
    assert!(!Path::new(&page).parent().unwrap().exists());
}

#[tokio::test]
async fn a_browser_that_cannot_be_opened_is_told_with_the_remedy() {
    let mut operator = Operator::of(&["u"]);
    operator.deliver("u", HTML.as_bytes()).await;
    let listed = operator.opens("u").await;
    let program = opener(operator.saved.path(), "exit 3");
    operator.requests(MailroomRequest::Browse(listed[0].key)).await;
    let words = [operator.hears_words().await, operator.hears_words().await];
    let told = words.iter().find(|words| words.starts_with("Open /")).unwrap();
    let why = "-1.html by hand: no browser has opened it (exit status: 3).";
    assert!(told.ends_with(why), "{words:?}");
    std::fs::remove_file(program).unwrap();
    operator.requests(MailroomRequest::Browse(listed[0].key)).await;
    let words = operator.hears_words().await;
    assert!(
        words.starts_with("Open /") && words.contains("-1-2.html by hand: cannot run "),
        "{words}"
    );
    operator.ends().await;
}

fn draft(to: &str) -> Draft {
    Draft {
        from: "linhphan@localhost".into(),
        to: to.into(),
        subject: "Hello ✉".into(),
        body: "Hello\n.\nFrom world\n".into(),
        attachment: 100_000,
    }
}

/// Starts the SMTP server of an operator, and keeps its conversations.
fn start_smtp(operator: &Operator) -> (Sockets, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let transcript = Observers::one(Arc::clone(&recorder) as _);
    let settings = Arc::new(Settings::default());
    settings.set_message_most(1 << 20);
    let shared = Shared::new(transcript, None, Arc::clone(&settings), 1_000, 1_000);
    let sockets = Sockets { shared: Arc::new(shared), lifetime: Lifetime::default() };
    let directory = operator.directory().clone();
    let server = SmtpServer {
        accounts: Accounts::new(directory, "localhost".into(), "cis505".into()).into(),
        guesses: Arc::default(),
        settings,
        unknown_users: Arc::default(),
    };
    *operator.smtp.lock().unwrap() = Some(sockets.serve(server));
    (sockets, recorder)
}

#[tokio::test]
async fn a_composed_message_goes_through_our_own_server_where_its_conversation_is_seen() {
    let mut operator = Operator::of(&["linhphan", "zives"]);
    let (sockets, recorder) = start_smtp(&operator);
    operator.requests(MailroomRequest::Send(draft("linhphan@localhost, zives@localhost"))).await;
    let words = operator.hears_words().await;
    let listed = operator.opens("linhphan").await;
    let octets = listed[0].octets;
    let sent = format!("Sent to linhphan@localhost, zives@localhost ({octets} octets).");
    assert_eq!(words, sent);
    let message = operator.reads(listed[0].key).await.unwrap();
    assert_eq!(text_of(&message), ["Hello", ".", "From world"]);
    let attachment = &message.attachments[0];
    assert_eq!(attachment.name.as_str(), "attachment-100000.bin");
    assert_eq!(attachment.octets, 100_000);
    assert!(message.header.iter().all(|field| field.name.as_str() != "Received"));
    sockets.end().await;
    let lines = recorder.lines();
    let seen: Vec<_> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(seen.iter().filter(|line| **line == "New connection").count(), 1);
    for line in ["C: HELO localhost", "C: MAIL FROM:<linhphan@localhost>", "C: DATA", "C: QUIT"] {
        assert_eq!(seen.iter().filter(|seen| **seen == line).count(), 1, "{line} in {seen:?}");
    }
    operator.ends().await;
}

#[tokio::test]
async fn what_is_not_sent_is_told_with_the_reason() {
    let mut operator = Operator::of(&["linhphan"]);
    operator.requests(MailroomRequest::Send(draft("linhphan@localhost"))).await;
    operator.hears_that("The SMTP server is stopped; start it with S.").await;
    let (sockets, _) = start_smtp(&operator);
    operator.requests(MailroomRequest::Send(draft("nobody@localhost, linhphan@localhost"))).await;
    let words = operator.hears_words().await;
    assert!(words.starts_with("Not sent to nobody@localhost: 550 "), "{words}");
    let words = operator.hears_words().await;
    assert!(words.starts_with("Sent to linhphan@localhost ("), "{words}");
    operator.requests(MailroomRequest::Send(draft("nobody"))).await;
    operator.hears_that("Not sent: “nobody” is not an address of the form user@domain.").await;
    let too_large = Draft { attachment: 4 << 20, ..draft("linhphan@localhost") };
    operator.requests(MailroomRequest::Send(too_large)).await;
    let words = operator.hears_words().await;
    assert!(words.starts_with("Not sent to linhphan@localhost: 552 "), "{words}");
    sockets.end().await;
    operator.requests(MailroomRequest::Send(draft("linhphan@localhost"))).await;
    let words = operator.hears_words().await;
    assert!(words.starts_with("Not sent: cannot connect to our own SMTP server"), "{words}");
    operator.ends().await;
}

#[tokio::test]
async fn a_message_that_nobody_has_got_is_given_back_as_it_was_typed() {
    let mut operator = Operator::of(&["linhphan"]);
    let typed = draft("linhphan@localhost");
    operator.requests(MailroomRequest::Send(typed.clone())).await;
    let MailroomEvent::NotSent(returned) = operator.hears().await else { panic!("it is gone") };
    assert_eq!(returned, typed);
    operator.hears_that("The SMTP server is stopped; start it with S.").await;
    operator.ends().await;
}

#[tokio::test]
async fn what_a_session_marks_is_seen_until_it_ends() {
    let operator = Operator::of(&["u"]);
    for _ in 0..3 {
        operator.deliver("u", b"x\r\n").await;
    }
    let marked = || {
        let marks = operator.directory().marks("u")?;
        Some((0..3).filter(|&place| marks.is_marked(place)).collect::<Vec<_>>())
    };
    assert_eq!(marked(), None);
    let mut held = hold(&operator.mail.pop3, None);
    held.peer.expect("+OK*").await;
    held.peer.says("USER u", "+OK*").await;
    held.peer.says("PASS cis505", "+OK 3 messages*").await;
    held.peer.says("DELE 2", "+OK*").await;
    assert_eq!(marked(), Some(vec![1]));
    held.peer.says("RSET", "+OK*").await;
    assert_eq!(marked(), Some(vec![]));
    held.peer.says("DELE 3", "+OK*").await;
    // Mail that arrives behind the session moves nothing.
    operator.deliver("u", b"y\r\n").await;
    assert_eq!(marked(), Some(vec![2]));
    // In a mailbox that has been rewritten the session's numbers mean nothing.
    operator.replace("u.mbox", &stored(1, "a"));
    let user = operator.directory().user(b"u").unwrap();
    operator.directory().snapshot(&user).await.unwrap();
    assert_eq!(marked(), None);
    held.peer.says("RSET", "+OK*").await;
    held.peer.says("QUIT", "+OK*").await;
    held.ended.await.unwrap();
    assert_eq!(marked(), None);
    operator.ends().await;
}

#[tokio::test]
async fn a_session_of_ours_that_holds_a_mailbox_is_told_in_a_word() {
    let mut operator = Operator::of(&["u"]);
    assert_eq!(operator.sees_holder(false).await, "");
    let user = operator.directory().user(b"u").unwrap();
    let session = operator.directory().open_maildrop(&user).await.unwrap();
    assert_eq!(operator.sees_holder(true).await, "locked");
    drop(session);
    operator.sees_holder(false).await;
    operator.ends().await;
}

/// Says to a second process, which is this test once more, what it is to lock.
const LOCKED_BY_THIS_TEST: &str = "MAILCONSOLE_TEST_LOCKS";

/// A second process that has a mailbox locked until it is dropped.
struct Second(Child);

impl Second {
    fn that_locks(path: &Path, how: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "another_process_that_holds_a_mailbox_is_named", "--nocapture"])
            .env(LOCKED_BY_THIS_TEST, format!("{how} {}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("locked")));
        Self(child)
    }

    fn words(&self) -> String {
        let id = self.0.id();
        let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap();
        format!("locked by pid {id} ({})", name.trim_end())
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the second process does.
async fn lock(how: &str, path: &Path) {
    match how {
        "session" => {
            let directory = Directory::open(path.parent().unwrap(), Durability::Synced).unwrap();
            let user = directory.user(b"u").unwrap();
            let _session = directory.open_maildrop(&user).await.unwrap();
            wait();
        }
        "dotlock" => {
            let id = format!("{}\n", std::process::id());
            std::fs::write(path.with_extension("mbox.lock"), id).unwrap();
            wait();
        }
        _ => {
            let _file = locked_by_fcntl(path);
            wait();
        }
    }
}

fn locked_by_fcntl(path: &Path) -> File {
    let file = File::options().write(true).open(path).unwrap();
    let l_type = libc::F_WRLCK.try_into().unwrap();
    let lock = libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    file
}

/// Until nobody needs this process any more.
fn wait() {
    println!("locked");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
async fn another_process_that_holds_a_mailbox_is_named() {
    if let Ok(wanted) = std::env::var(LOCKED_BY_THIS_TEST) {
        let (how, path) = wanted.split_once(' ').unwrap();
        return lock(how, Path::new(path)).await;
    }
    let mut operator = Operator::of(&["u"]);
    operator.sees_holder(false).await;
    for how in ["session", "dotlock", "fcntl"] {
        let second = Second::that_locks(&operator.path("u.mbox"), how);
        // An fcntl lock is told to nobody; it is seen when something else is.
        std::fs::write(operator.path("note"), how).unwrap();
        assert_eq!(operator.sees_holder(true).await, second.words(), "{how}");
        drop(second);
        assert_eq!(operator.sees_holder(false).await, "", "{how}");
    }
    operator.ends().await;
}
