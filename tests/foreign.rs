//! POP3 sessions under which another program changes the mailbox, or takes its directory away: what
//! is sent, named and removed is what the session was told of at its login, or the answer is -ERR.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mailconsole::servers::profile::Profile;
use mailconsole::servers::settings::Setting;
use mailconsole::store::directory::{Directory, Durability, Envelope};
use mailconsole::store::index::ReadError;
use mailconsole::store::maildrop::{Maildrop, UpdateError};
use md5::{Digest, Md5};
use proptest::prelude::*;
use support::{Mail, Peer, hold};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message as another program stores it.
fn entry(text: &str) -> String {
    format!("From x Wed Sep 17 11:00:00 2025\n{text}\n")
}

fn mbox<T: AsRef<str>>(texts: &[T]) -> String {
    texts.iter().map(|text| entry(text.as_ref())).collect()
}

/// What a client gets of a text that is stored with LF line ends.
fn sent(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn unique_id(text: &str) -> String {
    let id = <[u8; 16]>::from(Md5::digest(sent(text)));
    format!("{:032x}", u128::from_be_bytes(id))
}

/// A message of 5 KB that differs from others in its last line only.
fn five_kilobytes(number: u32) -> String {
    format!("Subject: x\n\n{}{number:04}\n", "always the same line\n".repeat(240))
}

struct Mailbox {
    directory: Directory,
    dir: tempfile::TempDir,
}

impl Mailbox {
    fn with(content: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("u.mbox"), content).unwrap();
        Self { directory: Directory::open(dir.path(), Durability::Unsynced).unwrap(), dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("u.mbox")
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    /// Another program writes the mailbox in place.
    fn rewrite(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
    }

    async fn session(&self) -> Maildrop {
        self.directory.open_maildrop(&self.directory.user(b"u").unwrap()).await.unwrap()
    }

    async fn deliver(&self, text: &str) {
        let mut spool = self.directory.new_text();
        spool.push(text.as_bytes());
        let local = vec![self.directory.user(b"u").unwrap().into()];
        let envelope = Envelope { reverse_path: "a@b".into(), local, ..Envelope::default() };
        self.directory.deliver(envelope, spool).await.unwrap();
    }
}

async fn retrieve(session: &Maildrop, index: usize) -> Result<String, ReadError> {
    let mut reader = session.message(index).await?;
    let mut text = Vec::new();
    while reader.read(&mut text).await? > 0 {}
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn what_moved_up_into_the_place_of_a_deleted_message_stays() {
    let texts: Vec<String> = (1..=22).map(five_kilobytes).collect();
    let mailbox = Mailbox::with(&mbox(&texts[..20]));
    let session = mailbox.session().await;
    for (index, text) in texts[..3].iter().enumerate() {
        assert_eq!(retrieve(&session, index).await.unwrap(), sent(text));
    }
    // The first is removed in place and two are appended.
    mailbox.rewrite(&mbox(&texts[1..]));
    session.update(vec![0, 1, 2]).await.unwrap();
    assert_eq!(mailbox.content(), mbox(&texts[3..]));
}

#[tokio::test]
async fn a_unique_id_is_never_that_of_what_another_program_put_there() {
    let (a, b, c) = ("aaaa\n", "bbbb\n", "cccc\n");
    let mailbox = Mailbox::with(&mbox(&[a, b]));
    let session = mailbox.session().await;
    assert_eq!(retrieve(&session, 0).await.unwrap(), sent(a));
    mailbox.rewrite(&mbox(&[b, c]));
    assert!(matches!(session.unique_ids().await, Err(ReadError::Changed)));
    for index in [0, 1] {
        assert!(matches!(session.unique_id(index).await, Err(ReadError::Changed)));
    }
    session.update(vec![0]).await.unwrap();
    assert_eq!(mailbox.content(), mbox(&[b, c]));
}

#[tokio::test]
async fn of_two_hundred_messages_two_that_were_swapped_are_not_sent_for_each_other() {
    let texts: Vec<String> = (1..=200).map(|number| format!("message {number:03}\n")).collect();
    let mailbox = Mailbox::with(&mbox(&texts));
    let session = mailbox.session().await;
    let mut swapped = texts.clone();
    swapped.swap(49, 50);
    mailbox.rewrite(&mbox(&swapped));
    for (index, text) in texts.iter().enumerate() {
        match retrieve(&session, index).await {
            Ok(got) => assert_eq!(got, sent(text)),
            Err(error) => assert!([49, 50].contains(&index), "message {}: {error}", index + 1),
        }
    }
    assert!(matches!(retrieve(&session, 50).await, Err(ReadError::Changed)));
    session.update(vec![50]).await.unwrap();
    swapped.remove(49);
    assert_eq!(mailbox.content(), mbox(&swapped));
}

#[tokio::test]
async fn a_deleted_message_that_was_marked_is_not_removed_and_nothing_else_is() {
    let mailbox = Mailbox::with(&mbox(&["a\n", "b\n", "c\n"]));
    let session = mailbox.session().await;
    let marked = mbox(&["a\n", "Status: RO\nb\n", "c\n"]);
    mailbox.rewrite(&marked);
    assert!(matches!(session.update(vec![0, 1]).await, Err(UpdateError::Changed)));
    assert_eq!(mailbox.content(), marked);
    // A mark on one that is kept is in nobody's way.
    let session = mailbox.session().await;
    let marked = mbox(&["a\n", "Status: RO\nb\n", "Status: RO\nc\n"]);
    mailbox.rewrite(&marked);
    session.update(vec![0]).await.unwrap();
    assert_eq!(mailbox.content(), mbox(&["Status: RO\nb\n", "Status: RO\nc\n"]));
}

#[tokio::test]
async fn messages_are_found_again_whatever_their_line_ends_and_from_lines_have_become() {
    let mailbox = Mailbox::with(&mbox(&["a\n", "b\n", "c\n"]));
    let session = mailbox.session().await;
    let others = mbox(&["a\n", "b\n", "c\n"]).replace("From x ", "From y@z ");
    mailbox.rewrite(&others);
    session.update(vec![1]).await.unwrap();
    assert_eq!(mailbox.content(), mbox(&["a\n", "c\n"]).replace("From x ", "From y@z "));

    let session = mailbox.session().await;
    session.unique_ids().await.unwrap();
    let converted = mailbox.content().replace('\n', "\r\n");
    mailbox.rewrite(&converted);
    session.update(vec![0]).await.unwrap();
    let left = mbox(&["c\n"]).replace("From x ", "From y@z ").replace('\n', "\r\n");
    assert_eq!(mailbox.content(), left);
}

#[tokio::test]
async fn of_messages_of_one_text_the_right_one_goes() {
    let stored = |second: u32| format!("From x Wed Sep 17 11:00:{second:02} 2025\ntwin\n\n");
    let mailbox = Mailbox::with(&[1, 2, 3].map(stored).concat());
    let session = mailbox.session().await;
    mailbox.rewrite(&[2, 3, 4].map(stored).concat());
    session.update(vec![1]).await.unwrap();
    assert_eq!(mailbox.content(), [3, 4].map(stored).concat());
    // The deleted one was removed by the other program: the same text elsewhere is another message.
    let session = mailbox.session().await;
    mailbox.rewrite(&[4, 5].map(stored).concat());
    session.update(vec![0]).await.unwrap();
    assert_eq!(mailbox.content(), [4, 5].map(stored).concat());
}

#[tokio::test]
async fn what_is_listed_and_picked_out_on_the_screen_is_made_sure_of_too() {
    let texts: Vec<String> = (1..=200).map(|number| format!("Subject: {number:03}\n\n")).collect();
    let mailbox = Mailbox::with(&mbox(&texts));
    let user = mailbox.directory.user(b"u").unwrap();
    let snapshot = Arc::new(mailbox.directory.snapshot(&user).await.unwrap());
    let heads = snapshot.heads(0..200).await.unwrap();
    let mut swapped = texts.clone();
    swapped.swap(49, 50);
    mailbox.rewrite(&mbox(&swapped));
    assert!(matches!(snapshot.heads(49..51).await, Err(ReadError::Changed)));
    assert_eq!(snapshot.heads(0..49).await.unwrap(), heads[..49]);
    assert_eq!(snapshot.heads(51..200).await.unwrap(), heads[51..]);
    assert!(matches!(snapshot.message(50).await, Err(ReadError::Changed)));
    // Where the mailbox is now, each of them is found.
    let session = mailbox.session().await;
    for (before, now) in [(0, 0), (49, 50), (50, 49), (199, 199)] {
        assert_eq!(session.snapshot().place_of(&snapshot, before).await.unwrap(), Some(now));
    }
    drop(session);
    swapped[0] = "Subject: xxx\n\n".to_owned();
    swapped.remove(1);
    mailbox.rewrite(&mbox(&swapped));
    let session = mailbox.session().await;
    let place = session.snapshot().place_of(&snapshot, 0).await;
    assert!(matches!(place, Err(ReadError::Changed)), "{place:?}");
    assert_eq!(session.snapshot().place_of(&snapshot, 2).await.unwrap(), Some(1));
    drop(session);
    mailbox.rewrite(&mbox(&texts[..150]));
    let session = mailbox.session().await;
    assert_eq!(session.snapshot().place_of(&snapshot, 150).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_that_was_still_being_written_at_the_login_is_another_one_afterwards() {
    let mailbox = Mailbox::with(&(mbox(&["a\n"]) + "From x Wed Sep 17 11:00:00 2025\nhalf\n"));
    let session = mailbox.session().await;
    assert_eq!(retrieve(&session, 1).await.unwrap(), "half\r\n");
    let mut other = File::options().append(true).open(mailbox.path()).unwrap();
    other.write_all(b"the other half\n\n").unwrap();
    assert!(session.update(vec![1]).await.is_err());
    assert_eq!(mailbox.content(), mbox(&["a\n", "half\nthe other half\n"]));
    // A last line that had no end, and got one when something was appended, is the same line.
    let mailbox = Mailbox::with("From x Wed Sep 17 11:00:00 2025\nno end");
    let session = mailbox.session().await;
    mailbox.deliver("new\r\n").await;
    assert_eq!(retrieve(&session, 0).await.unwrap(), "no end\r\n");
    session.update(vec![0]).await.unwrap();
    assert!(mailbox.content().ends_with("2025\nnew\r\n\n") || mailbox.content().contains("new"));
    assert!(!mailbox.content().contains("no end"));
}

#[tokio::test]
async fn messages_longer_than_what_is_scanned_at_once_are_made_sure_of_too() {
    let long = |first: &str, last: &str| format!("{first}\n{}{last}\n", "a line\n".repeat(200_000));
    let texts = [long("1", "one"), "short\n".to_owned(), long("2", "two")];
    let mailbox = Mailbox::with(&mbox(&texts));
    let session = mailbox.session().await;
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(retrieve(&session, index).await.unwrap(), sent(text));
    }
    let other = File::options().write(true).open(mailbox.path()).unwrap();
    let at = entry(&texts[0]).len() as u64;
    other.write_all_at(b"X", at - 3).unwrap();
    assert!(matches!(retrieve(&session, 0).await, Err(ReadError::Changed)));
    assert_eq!(retrieve(&session, 2).await.unwrap(), sent(&texts[2]));
    assert!(matches!(session.update(vec![0, 1]).await, Err(UpdateError::Changed)));
}

/// A client who has logged in as `u`.
async fn logged_in(mail: &Mail) -> support::Held {
    let mut held = hold(&mail.pop3, None);
    held.peer.expect("+OK POP3 ready*").await;
    held.peer.says("USER u", "+OK*").await;
    held.peer.says("PASS cis505", "+OK*").await;
    held
}

fn mail_with(content: &str) -> Mail {
    let mail = Mail::with_users(&["u"]);
    std::fs::write(mail.dir.path().join("u.mbox"), content).unwrap();
    mail
}

async fn lines_until_dot(peer: &mut Peer<DuplexStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match peer.line().await.trim_end() {
            "." => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

#[tokio::test]
async fn a_client_hears_an_error_and_no_foreign_message() {
    let mail = mail_with(&mbox(&["aaaa\n", "bbbb\n", "cccc\n"]));
    let mut client = logged_in(&mail).await.peer;
    std::fs::write(mail.dir.path().join("u.mbox"), mbox(&["aaaa\n", "xxxx\n", "cccc\n"])).unwrap();
    client.says("RETR 2", "-ERR*").await;
    client.says("UIDL 2", "-ERR*").await;
    // Nothing of a listing is sent that cannot be sent whole.
    client.says("UIDL", "-ERR*").await;
    client.says("UIDL 1", &format!("+OK 1 {}", unique_id("aaaa\n"))).await;
    client.says("RETR 1", "+OK*").await;
    assert_eq!(lines_until_dot(&mut client).await, ["aaaa"]);
    client.says("DELE 2", "+OK*").await;
    client.says("QUIT", "-ERR*").await;
    client.expect_end().await;
    assert_eq!(mail.content("u.mbox"), mbox(&["aaaa\n", "xxxx\n", "cccc\n"]));
}

#[tokio::test]
async fn a_message_that_is_changed_while_it_is_sent_does_not_end_like_a_whole_one() {
    let text = "a line of text\n".repeat(500_000);
    let last_but_ten = entry(&text).len() - 1 - 10 * "a line of text\n".len();
    let mail = mail_with(&mbox(&[&text]));
    let mut client = logged_in(&mail).await.peer;
    client.says("RETR 1", "+OK*").await;
    let mut beginning = vec![0; 1_000];
    client.stream.read_exact(&mut beginning).await.unwrap();
    // Far behind what the pipe has taken; as long as before.
    let other = File::options().write(true).open(mail.dir.path().join("u.mbox")).unwrap();
    other.write_all_at(b"another line!!", last_but_ten as u64).unwrap();
    let rest = client.rest_bytes().await;
    assert!(!rest.ends_with(b"\r\n.\r\n"), "it ends like a whole message");
}

/// A session of a client that is offered TOP.
async fn logged_in_with_top(mail: &Mail) -> Peer<DuplexStream> {
    mail.settings.set(Setting::Profile(Profile::Esmtp));
    logged_in(mail).await.peer
}

#[tokio::test]
async fn the_top_is_that_of_the_message_which_was_there_at_the_login() {
    let mail = mail_with(&mbox(&["A: 1\n\naaaa\n", "B: 1\n\nbbbb\n"]));
    let mut client = logged_in_with_top(&mail).await;
    let changed = mbox(&["A: 1\n\naaaa\n", "B: 1\n\nxxxx\n"]);
    std::fs::write(mail.dir.path().join("u.mbox"), changed).unwrap();
    client.says("TOP 1 0", "+OK*").await;
    assert_eq!(lines_until_dot(&mut client).await, ["A: 1", ""]);
    // The header is the same, but it is another message.
    client.says("TOP 2 0", "-ERR*").await;
}

#[tokio::test]
async fn a_top_whose_message_is_changed_while_it_is_sent_does_not_end_like_a_whole_one() {
    let text = format!("A: 1\n\n{}", "a line of text\n".repeat(500_000));
    let mail = mail_with(&mbox(&[&text]));
    let mut client = logged_in_with_top(&mail).await;
    client.says("TOP 1 400000", "+OK*").await;
    let mut beginning = vec![0; 1_000];
    client.stream.read_exact(&mut beginning).await.unwrap();
    let other = File::options().write(true).open(mail.dir.path().join("u.mbox")).unwrap();
    // Behind the lines that are wanted: the message has changed all the same.
    other.write_all_at(b"another line!!", 7_400_000).unwrap();
    let rest = client.rest_bytes().await;
    assert!(!rest.ends_with(b"\r\n.\r\n"), "it ends like a whole top");
}

/// Another directory takes the place of the one at `path`, as `replace` has it, with a mailbox for u.
fn replace_directory(path: &Path, replace: fn(&Path)) -> String {
    replace(path);
    std::fs::create_dir(path).unwrap();
    let content = mbox(&["aaaa\n", "new\n"]);
    std::fs::write(path.join("u.mbox"), &content).unwrap();
    content
}

fn remove(path: &Path) {
    std::fs::remove_dir_all(path).unwrap();
}

fn move_away(path: &Path) {
    move_to(path, "old");
}

fn move_to(path: &Path, extension: &str) {
    std::fs::rename(path, path.with_extension(extension)).unwrap();
}

/// The directory above goes, too, and comes again.
fn remove_with_parent(path: &Path) {
    let parent = path.parent().unwrap();
    std::fs::remove_dir_all(parent).unwrap();
    std::fs::create_dir(parent).unwrap();
}

#[tokio::test]
async fn a_session_ends_when_it_needs_a_directory_that_was_replaced() {
    for replace in [remove, move_away] {
        for command in ["RETR 1", "UIDL", "UIDL 2", "QUIT"] {
            let mut mail = Mail::with_users(&[]);
            let path = mail.dir.path().join("mail");
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("u.mbox"), mbox(&["aaaa\n", "bbbb\n"])).unwrap();
            Arc::make_mut(&mut mail.pop3.accounts).directory =
                Directory::open(&path, Durability::Unsynced).unwrap();
            let mut client = logged_in(&mail).await.peer;
            client.says("UIDL 1", "+OK*").await;
            client.says("DELE 2", "+OK*").await;
            if command == "UIDL 2" {
                client.says("RSET", "+OK*").await;
            }
            let content = replace_directory(&path, replace);
            // These need no file.
            client.says("STAT", "+OK*").await;
            client.says("UIDL 1", "+OK*").await;
            client.says(command, "-ERR*").await;
            client.expect_end().await;
            assert_eq!(std::fs::read_to_string(path.join("u.mbox")).unwrap(), content);
            assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
            let old = path.with_extension("old").join("u.mbox");
            if old.exists() {
                assert_eq!(std::fs::read_to_string(old).unwrap(), mbox(&["aaaa\n", "bbbb\n"]));
            }
            // The next session has the new directory.
            let mut client = logged_in(&mail).await.peer;
            client.says("STAT", "+OK 2 11").await;
            client.says("QUIT", "+OK*").await;
        }
    }
}

#[tokio::test]
async fn a_session_without_deletions_ends_well_wherever_its_directory_is() {
    let mut mail = Mail::with_users(&[]);
    let path = mail.dir.path().join("mail");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("u.mbox"), mbox(&["aaaa\n"])).unwrap();
    Arc::make_mut(&mut mail.pop3.accounts).directory =
        Directory::open(&path, Durability::Unsynced).unwrap();
    let mut client = logged_in(&mail).await.peer;
    replace_directory(&path, remove);
    client.says("QUIT", "+OK*").await;
}

#[tokio::test]
async fn the_picture_of_the_directory_goes_on_with_the_one_that_took_its_place() {
    for (replace, was_empty) in [
        (remove as fn(&Path), false),
        (move_away, false),
        (remove, true),
        (remove_with_parent, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("above").join("mail");
        std::fs::create_dir_all(&path).unwrap();
        if !was_empty {
            std::fs::write(path.join("u.mbox"), mbox(&["a\n"])).unwrap();
            std::fs::write(path.join("v.mbox"), mbox(&["a\n"])).unwrap();
        }
        let directory = Directory::open(&path, Durability::Unsynced).unwrap();
        let mut overview =
            mailconsole::store::survey::follow(&directory, mailconsole::store::survey::Tells::Log);
        let names = |overview: &std::sync::Arc<mailconsole::store::overview::Overview>| {
            let mailboxes = overview.mailboxes.iter();
            mailboxes.map(|one| (one.name.clone(), one.messages)).collect::<Vec<_>>()
        };
        let u = |messages| ("u".to_owned(), Some(messages));
        if was_empty {
            // Looked at, after which nothing is told but by the kernel.
            directory.create("u").unwrap();
            overview.wait_for(|overview| names(overview) == [u(0)]).await.unwrap();
            std::fs::remove_file(path.join("u.mbox")).unwrap();
            overview.wait_for(|overview| names(overview).is_empty()).await.unwrap();
        } else {
            let all = [u(1), ("v".to_owned(), Some(1))];
            overview.wait_for(|overview| names(overview) == all).await.unwrap();
        }
        // And once more: what is listened to is the new one.
        for replace in [replace, |path: &Path| move_to(path, "older")] {
            replace_directory(&path, replace);
            let followed = overview.wait_for(|overview| names(overview) == [u(2)]);
            timeout(PATIENCE, followed).await.unwrap().unwrap();
            let mut other = File::options().append(true).open(path.join("u.mbox")).unwrap();
            other.write_all(entry("x\n").as_bytes()).unwrap();
            let followed = overview.wait_for(|overview| names(overview) == [u(3)]);
            timeout(PATIENCE, followed).await.unwrap().unwrap();
        }
    }
}

/// What another program does to a list of messages.
#[derive(Debug, Clone)]
enum Change {
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    /// Puts another message in the place of one.
    Put(prop::sample::Index, String),
    Mark(prop::sample::Index),
    Insert(prop::sample::Index, String),
    Append(String),
}

/// How it writes them.
#[derive(Debug, Clone, Copy)]
enum Writing {
    /// In place, emptied first.
    Anew,
    /// In place, over what was there.
    Over,
    /// Into a new file that takes the place of the old one.
    Renamed,
}

#[derive(Debug, Clone)]
enum Step {
    /// Another program rewrites the mailbox, and sets its time back if it says so.
    Rewrite(Vec<Change>, Writing, bool),
    /// Another program appends.
    Append(String),
    Deliver(String),
    Retrieve(prop::sample::Index),
    UniqueId(prop::sample::Index),
    UniqueIds,
    /// Somebody looks into the mailbox, so that what is known of it is renewed.
    Look,
}

fn index() -> impl Strategy<Value = prop::sample::Index> {
    any::<prop::sample::Index>()
}

/// Texts of which many are equal, many more equally long, and some differ in their last line only.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..5_u8).prop_map(|id| format!("text {id}\n")),
        2 => (0..3_u32).prop_map(five_kilobytes),
        1 => (0..3_usize).prop_map(|lines| "\n".repeat(lines)),
        1 => Just("> quoted\n>From me\nno\r\nend\n".to_owned()),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        index().prop_map(Change::Remove),
        (index(), index()).prop_map(|(one, other)| Change::Swap(one, other)),
        (index(), text()).prop_map(|(place, text)| Change::Put(place, text)),
        index().prop_map(Change::Mark),
        (index(), text()).prop_map(|(place, text)| Change::Insert(place, text)),
        text().prop_map(Change::Append),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let writing = prop_oneof![Just(Writing::Anew), Just(Writing::Over), Just(Writing::Renamed)];
    let changes = prop::collection::vec(change(), 0..4);
    prop_oneof![
        3 => (changes, writing, any::<bool>())
            .prop_map(|(changes, writing, back)| Step::Rewrite(changes, writing, back)),
        1 => text().prop_map(Step::Append),
        1 => text().prop_map(|text| Step::Deliver(sent(&text).replace("\r\r", "\r"))),
        3 => index().prop_map(Step::Retrieve),
        1 => index().prop_map(Step::UniqueId),
        1 => Just(Step::UniqueIds),
        2 => Just(Step::Look),
    ]
}

impl Change {
    fn to(&self, entries: &mut Vec<String>) {
        let count = entries.len();
        match self {
            Self::Insert(place, text) => entries.insert(place.index(count + 1), entry(text)),
            Self::Append(text) => entries.push(entry(text)),
            _ if count == 0 => {}
            Self::Remove(place) => drop(entries.remove(place.index(count))),
            Self::Swap(one, other) => entries.swap(one.index(count), other.index(count)),
            Self::Put(place, text) => entries[place.index(count)] = entry(text),
            Self::Mark(place) => {
                let marked = &mut entries[place.index(count)];
                *marked = marked.replacen('\n', "\nStatus: RO\n", 1);
            }
        }
    }
}

impl Writing {
    fn write(self, path: &Path, content: &str) {
        match self {
            Self::Anew => std::fs::write(path, content).unwrap(),
            Self::Over => {
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(content.as_bytes(), 0).unwrap();
                file.set_len(content.len() as u64).unwrap();
            }
            Self::Renamed => {
                let draft = path.with_extension("new");
                std::fs::write(&draft, content).unwrap();
                std::fs::rename(draft, path).unwrap();
            }
        }
    }
}

/// The text of a stored entry, as it is sent.
fn text_of(entry: &str) -> String {
    let (_, text) = entry.split_once('\n').unwrap();
    let text = text.strip_suffix('\n').unwrap();
    let lines = text.split_inclusive('\n').map(|line| {
        let quoted = line.trim_start_matches('>').starts_with("From ");
        line.strip_prefix('>').filter(|_| quoted).unwrap_or(line)
    });
    lines.collect::<String>().replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Whoever looks into the mailbox sees what is there.
async fn look(mailbox: &Mailbox, entries: &[String]) {
    let user = mailbox.directory.user(b"u").unwrap();
    let snapshot = mailbox.directory.snapshot(&user).await.unwrap();
    assert_eq!(snapshot.count(), entries.len());
    let ids = snapshot.unique_ids().await.unwrap();
    for (place, entry) in entries.iter().enumerate() {
        let mut reader = snapshot.message(place).await.unwrap();
        let mut text = Vec::new();
        while reader.read(&mut text).await.unwrap() > 0 {}
        let right = text_of(entry);
        assert!(text == right.as_bytes(), "message {} is another one", place + 1);
        assert_eq!(ids[place].to_string(), unique_id(&right.replace("\r\n", "\n")));
    }
}

/// A session, what it was told at its login, and what is in the file now.
struct Scene {
    mailbox: Mailbox,
    session: Maildrop,
    told: Vec<String>,
    entries: Vec<String>,
    /// Whether all of the messages are where they were.
    is_untouched: bool,
    /// Whether all of them are still there, in their order.
    is_whole: bool,
}

impl Scene {
    async fn begin(texts: &[String]) -> Self {
        let mailbox = Mailbox::with(&mbox(texts));
        let session = mailbox.session().await;
        let entries: Vec<String> = texts.iter().map(|text| entry(text)).collect();
        let told = entries.iter().map(|entry| text_of(entry)).collect();
        Self { mailbox, session, told, entries, is_untouched: true, is_whole: true }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Rewrite(changes, writing, sets_back) => {
                let before = std::fs::metadata(self.mailbox.path()).unwrap().modified().unwrap();
                for change in changes {
                    change.to(&mut self.entries);
                }
                writing.write(&self.mailbox.path(), &self.entries.concat());
                if *sets_back {
                    let file = File::options().write(true).open(self.mailbox.path()).unwrap();
                    file.set_modified(before).unwrap();
                }
                self.is_untouched = false;
                self.is_whole &= changes
                    .iter()
                    .all(|change| matches!(change, Change::Append(_) | Change::Insert(..)));
            }
            Step::Append(text) => {
                let file = File::options().append(true).open(self.mailbox.path());
                file.unwrap().write_all(entry(text).as_bytes()).unwrap();
                self.entries.push(entry(text));
            }
            Step::Deliver(text) => {
                let before = self.mailbox.content().len();
                self.mailbox.deliver(text).await;
                self.entries.push(self.mailbox.content()[before..].to_owned());
            }
            Step::Retrieve(index) if !self.told.is_empty() => {
                let index = index.index(self.told.len());
                match retrieve(&self.session, index).await {
                    Ok(text) => assert!(text == self.told[index], "another message was sent"),
                    Err(error) => assert!(!self.is_untouched, "{error}"),
                }
            }
            Step::UniqueId(index) if !self.told.is_empty() => {
                let index = index.index(self.told.len());
                match self.session.unique_id(index).await {
                    Ok(id) => assert_eq!(id.to_string(), self.unique_id(index)),
                    Err(error) => assert!(!self.is_untouched, "{error}"),
                }
            }
            Step::UniqueIds => match self.session.unique_ids().await {
                Ok(ids) => {
                    let right = (0..self.told.len()).map(|index| self.unique_id(index));
                    assert!(ids.iter().map(ToString::to_string).eq(right));
                }
                Err(error) => assert!(!self.is_untouched, "{error}"),
            },
            Step::Look => look(&self.mailbox, &self.entries).await,
            Step::Retrieve(_) | Step::UniqueId(_) => {}
        }
    }

    fn unique_id(&self, index: usize) -> String {
        unique_id(&self.told[index].replace("\r\n", "\n"))
    }

    async fn end(self, deleted: Vec<usize>) {
        let Self { mailbox, session, told, entries, is_whole, .. } = self;
        let counts = |texts: &mut dyn Iterator<Item = String>| {
            let mut counts: HashMap<String, usize> = HashMap::new();
            texts.for_each(|text| *counts.entry(text).or_default() += 1);
            counts
        };
        assert!(mailbox.content() == entries.concat(), "the test itself is wrong");
        let updated = session.update(deleted.clone()).await;
        let content = mailbox.content();
        if let Err(error) = updated {
            assert!(content == entries.concat(), "something was changed in spite of: {error}");
            assert!(!is_whole, "{error}");
            return look(&mailbox, &entries).await;
        }
        // What is left are some of the entries, octet by octet, in their order.
        let (mut rest, mut left, mut removed) = (&*content, Vec::new(), Vec::new());
        for entry in &entries {
            let behind = rest.strip_prefix(&**entry);
            match behind.filter(|behind| behind.is_empty() || behind.starts_with("From ")) {
                Some(behind) => {
                    rest = behind;
                    left.push(entry.clone());
                }
                None => removed.push(text_of(entry)),
            }
        }
        assert!(rest.is_empty(), "what is left is not what was there");
        assert!(!is_whole || removed.len() == deleted.len(), "not all are removed");
        let wanted = counts(&mut deleted.iter().map(|&index| told[index].clone()));
        let (was, is) = (
            counts(&mut told.iter().cloned()),
            counts(&mut entries.iter().map(|entry| text_of(entry))),
        );
        for (text, removed) in counts(&mut removed.into_iter()) {
            let wanted = wanted.get(&text).copied().unwrap_or(0);
            assert!(removed <= wanted, "removed {removed} of {text:?}, not {wanted}");
            // As many are kept as were not deleted, if as many were there.
            let kept = was[&text] - wanted;
            assert!(is[&text] - removed >= kept.min(is[&text]), "lost one of {text:?}");
        }
        look(&mailbox, &left).await;
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

proptest! {
    #[test]
    fn whatever_another_program_does_no_wrong_message_is_sent_and_none_is_lost(
        texts in prop::collection::vec(text(), 0..8),
        steps in prop::collection::vec(step(), 0..8),
        deleted in prop::collection::btree_set(0..8_usize, 0..8),
    ) {
        RUNTIME.block_on(async {
            let mut scene = Scene::begin(&texts).await;
            for step in &steps {
                scene.step(step).await;
            }
            scene.end(deleted.into_iter().filter(|&index| index < texts.len()).collect()).await;
        });
    }
}

/// The same on a file system whose clock ticks only every few milliseconds, as most do before Linux
/// 6.13: there a file that is changed right after it was looked at may look as it did.
#[test]
fn all_of_this_holds_where_equal_times_prove_nothing() {
    let mount_point = tempfile::tempdir().unwrap();
    let in_namespace = |command: &[&OsStr]| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t ramfs ramfs \"$0\" && exec \"$@\"")
            .arg(mount_point.path())
            .args(command)
            .env("TMPDIR", mount_point.path());
        unshare.output()
    };
    if !in_namespace(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        eprintln!("not tried with coarse times, because no file system may be mounted here");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let skipped = ["--skip", "all_of_this_holds", "--skip", "the_picture"].map(OsStr::new);
    let command: Vec<&OsStr> = [this.as_os_str()].into_iter().chain(skipped).collect();
    let output = in_namespace(&command).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
