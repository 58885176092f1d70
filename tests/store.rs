//! The store through its front door: what is delivered is on disk and is what a session reads,
//! also beside other programs that work on the same files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use mailconsole::store::delivery::DeliverError;
use mailconsole::store::directory::{Directory, Durability, Envelope, Recipient, User};
use mailconsole::store::index::ReadError;
use mailconsole::store::lock::{OfdLock, try_ofd_lock};
use mailconsole::store::maildrop::{Maildrop, MaildropError, UpdateError};

struct Store {
    directory: Directory,
    dir: tempfile::TempDir,
}

impl Store {
    fn with_users(users: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Synced).unwrap();
        for user in users {
            directory.create(user).unwrap();
        }
        Self { directory, dir }
    }

    /// As another process sees the directory.
    fn other(&self) -> Directory {
        Directory::open(self.dir.path(), Durability::Synced).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn content(&self, file: &str) -> String {
        String::from_utf8(std::fs::read(self.path(file)).unwrap()).unwrap()
    }

    async fn deliver(&self, users: &[&str], text: &[u8]) -> Result<(), DeliverError> {
        deliver(&self.directory, users, text).await
    }

    async fn open(&self, user: &str) -> Result<Maildrop, MaildropError> {
        self.directory.open_maildrop(&self.directory.user(user.as_bytes()).unwrap()).await
    }

    /// All texts of a mailbox, as a new session reads them.
    async fn texts(&self, user: &str) -> Vec<String> {
        texts(&self.directory, user).await
    }

    /// What is in the directory once nothing more is delivered.
    async fn files(&self) -> Vec<String> {
        self.directory.close().await;
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

async fn deliver(directory: &Directory, users: &[&str], text: &[u8]) -> Result<(), DeliverError> {
    let mut spool = directory.new_text();
    for piece in text.chunks(100_000) {
        spool.push(piece);
        if spool.wants_spill() {
            spool.spill().await;
        }
    }
    let local = users.iter().map(|user| directory.user(user.as_bytes()).unwrap().into()).collect();
    let envelope = Envelope { reverse_path: "a@b.org".into(), local, ..Envelope::default() };
    directory.deliver(envelope, spool).await
}

async fn texts(directory: &Directory, user: &str) -> Vec<String> {
    let user = directory.user(user.as_bytes()).unwrap();
    let maildrop = directory.open_maildrop(&user).await.unwrap();
    let mut texts = Vec::new();
    for index in 0..maildrop.octets().len() {
        texts.push(text(&maildrop, index).await.unwrap());
    }
    texts
}

async fn text(maildrop: &Maildrop, index: usize) -> Result<String, ReadError> {
    let mut reader = maildrop.message(index).await?;
    let mut text = Vec::new();
    while reader.read(&mut text).await? > 0 {}
    assert_eq!(text.len() as u64, maildrop.octets()[index]);
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn what_is_delivered_is_read_to_the_byte_and_leaves_only_the_mailbox() {
    let store = Store::with_users(&["u"]);
    let sent = "Subject: x\r\n\r\nFrom here\r\n>From there\r\n.\r\n\u{e9}\0\r\n";
    store.deliver(&["u"], sent.as_bytes()).await.unwrap();
    store.deliver(&["u"], b"").await.unwrap();
    assert_eq!(store.texts("u").await, [sent, ""]);
    let stored = store.content("u.mbox");
    assert!(stored.starts_with("From <a@b.org> "), "{stored}");
    assert!(stored.contains("\r\n>From here\r\n>>From there\r\n"), "{stored}");
    assert_eq!(store.files().await, ["u.mbox"]);
}

#[tokio::test]
async fn a_large_message_passes_through_a_spool_and_is_whole() {
    let store = Store::with_users(&["u", "v"]);
    let line = "From a line that must be quoted, some seventy octets of it\r\n";
    let sent = line.repeat(60_000);
    store.deliver(&["u", "v"], sent.as_bytes()).await.unwrap();
    store.deliver(&["u"], b"small\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, [sent.as_str(), "small\r\n"]);
    assert_eq!(store.texts("v").await, [sent]);
    assert_eq!(store.files().await, ["u.mbox", "v.mbox"]);
}

#[tokio::test]
async fn mail_for_elsewhere_is_queued_with_its_envelope() {
    let store = Store::with_users(&["u"]);
    let mut spool = store.directory.new_text();
    spool.push(b"Subject: x\r\n");
    let envelope = Envelope {
        reverse_path: String::new(),
        local: vec![store.directory.user(b"u").unwrap().into()],
        remote: vec!["b@example.org".into(), "c@example.net".into()],
        ..Envelope::default()
    };
    store.directory.deliver(envelope, spool).await.unwrap();
    assert_eq!(store.texts("u").await, ["Subject: x\r\n"]);
    let queue = store.content("mqueue");
    assert!(queue.starts_with("From <MAILER-DAEMON> "), "{queue}");
    assert!(queue.contains("\nX-MC-From: <>\n"), "{queue}");
    assert!(queue.contains("\nX-MC-Rcpt: P 0 0 <b@example.org>\n"), "{queue}");
    assert!(queue.ends_with("\nX-MC-End:\nSubject: x\r\n\n"), "{queue}");
}

#[tokio::test]
async fn a_mailbox_that_has_gone_fails_the_message_for_all() {
    let store = Store::with_users(&["u", "v"]);
    let users = [b"u", b"v"].map(|user| store.directory.user(user).unwrap());
    std::fs::remove_file(store.path("v.mbox")).unwrap();
    let mut spool = store.directory.new_text();
    spool.push(b"x\r\n");
    let envelope = Envelope { local: users.map(Into::into).to_vec(), ..Envelope::default() };
    let refused = store.directory.deliver(envelope, spool).await;
    assert!(matches!(refused, Err(DeliverError::Missing)), "{refused:?}");
    assert_eq!(store.content("u.mbox"), "");
    assert_eq!(store.files().await, ["u.mbox"]);
}

/// A recipient whose mailbox is made for the message.
fn new_recipient(name: &str, made_below: usize) -> Recipient {
    let user = User::of_local_part(name.as_bytes()).unwrap();
    Recipient { made_below: Some(made_below), ..user.into() }
}

#[tokio::test]
async fn a_mailbox_is_made_for_a_message_and_not_if_nothing_is_stored() {
    let store = Store::with_users(&["v"]);
    let deliver = async |local: Vec<Recipient>| {
        let mut spool = store.directory.new_text();
        spool.push(b"x\r\n");
        store.directory.deliver(Envelope { local, ..Envelope::default() }, spool).await
    };
    let v = store.directory.user(b"v").unwrap();
    std::fs::remove_file(store.path("v.mbox")).unwrap();
    let refused = deliver(vec![v.into(), new_recipient("u", 9)]).await;
    assert!(matches!(refused, Err(DeliverError::Missing)), "{refused:?}");
    assert!(store.files().await.is_empty());
    deliver(vec![new_recipient("u", 1), new_recipient("u", 1)]).await.unwrap();
    deliver(vec![new_recipient("u", 1)]).await.unwrap();
    assert_eq!(store.texts("u").await, ["x\r\n", "x\r\n"]);
    let refused = deliver(vec![new_recipient("w", 1), new_recipient("u", 1)]).await;
    assert!(matches!(refused, Err(DeliverError::TooManyMailboxes)), "{refused:?}");
    assert_eq!(store.texts("u").await.len(), 2);
    assert_eq!(store.files().await, ["u.mbox"]);
}

#[tokio::test]
async fn the_header_behind_a_thousand_redirected_recipients_is_listed() {
    let store = Store::with_users(&["u"]);
    let user = store.directory.user(b"u").unwrap();
    let redirected = |nth| {
        let address = format!("{nth}@{}", "x".repeat(200));
        Recipient { redirected: Some(address.into()), ..user.clone().into() }
    };
    let local = (0..1_000).map(redirected).collect();
    let mut spool = store.directory.new_text();
    spool.push(b"Subject: x\r\n\r\nbody\r\n");
    store.directory.deliver(Envelope { local, ..Envelope::default() }, spool).await.unwrap();
    let snapshot = Arc::new(store.directory.snapshot(&user).await.unwrap());
    let heads = snapshot.heads(0..1).await.unwrap();
    assert!(heads[0].text.starts_with(b"X-Original-To: 0@xx"));
    assert!(heads[0].text.ends_with(b"x\r\nSubject: x\r\n\r\n"));
    // Read in another way after a change by another program.
    let stored = store.content("u.mbox");
    std::fs::write(store.path("u.mbox"), &stored).unwrap();
    assert_eq!(snapshot.heads(0..1).await.unwrap(), heads);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_and_many_senders_lose_and_mix_nothing() {
    const EACH: usize = 100;
    let store = Store::with_users(&["u", "v"]);
    let other = store.other();
    let mut senders = tokio::task::JoinSet::new();
    for (process, directory) in [&store.directory, &other].into_iter().enumerate() {
        for nth in 0..EACH {
            let directory = directory.clone();
            senders.spawn(async move {
                let users: &[&str] = if nth % 3 == 0 { &["u", "v"] } else { &["u"] };
                let text = format!("Subject: {process}-{nth}\r\n\r\n{}\r\n", "x".repeat(nth));
                deliver(&directory, users, text.as_bytes()).await.unwrap();
                text
            });
        }
    }
    let mut sent = senders.join_all().await;
    let mut stored = store.texts("u").await;
    sent.sort_unstable();
    stored.sort_unstable();
    assert_eq!(stored, sent);
    assert_eq!(store.texts("v").await.len(), 2 * EACH.div_ceil(3));
    other.close().await;
    assert_eq!(store.files().await, ["u.mbox", "v.mbox"]);
}

#[tokio::test]
async fn a_delivery_waits_for_a_foreign_lock_and_others_do_not() {
    let store = Store::with_users(&["u", "v"]);
    let foreign = File::options().write(true).open(store.path("u.mbox")).unwrap();
    assert!(try_ofd_lock(&foreign, OfdLock::Exclusive).unwrap());
    let directory = store.directory.clone();
    let waiting = tokio::spawn(async move { deliver(&directory, &["u"], b"x\r\n").await });
    store.deliver(&["v"], b"y\r\n").await.unwrap();
    assert_eq!(store.content("u.mbox"), "");
    assert!(!waiting.is_finished());
    drop(foreign);
    waiting.await.unwrap().unwrap();
    assert_eq!(store.texts("u").await, ["x\r\n"]);
}

#[tokio::test]
async fn a_second_session_is_refused_until_the_first_ends_also_across_processes() {
    let store = Store::with_users(&["u"]);
    let first = store.open("u").await.unwrap();
    assert!(matches!(store.open("u").await, Err(MaildropError::InUse)));
    let other = store.other();
    let user = other.user(b"u").unwrap();
    assert!(matches!(other.open_maildrop(&user).await, Err(MaildropError::InUse)));
    store.deliver(&["u"], b"x\r\n").await.unwrap();
    drop(first);
    assert_eq!(other.open_maildrop(&user).await.unwrap().octets().len(), 1);
}

#[tokio::test]
async fn update_removes_what_was_deleted_and_keeps_what_arrived() {
    let store = Store::with_users(&["u"]);
    for text in ["a\r\n", "b\r\n", "c\r\n"] {
        store.deliver(&["u"], text.as_bytes()).await.unwrap();
    }
    let maildrop = store.open("u").await.unwrap();
    store.deliver(&["u"], b"arrived\r\n").await.unwrap();
    let mut by_hand = File::options().append(true).open(store.path("u.mbox")).unwrap();
    by_hand.write_all(b"From x Wed Sep 17 11:00:00 2025\nby hand\n\n").unwrap();
    maildrop.update(vec![0, 2]).await.unwrap();
    assert_eq!(store.texts("u").await, ["b\r\n", "arrived\r\n", "by hand\r\n"]);
    let maildrop = store.open("u").await.unwrap();
    maildrop.update(vec![0, 1, 2]).await.unwrap();
    assert_eq!(store.content("u.mbox"), "");
    assert_eq!(store.files().await, ["u.mbox"]);
}

#[tokio::test]
async fn an_update_behind_another_keeps_what_a_second_process_appended() {
    let store = Store::with_users(&["u"]);
    for text in [b"one\r\n", b"two\r\n"] {
        store.deliver(&["u"], text).await.unwrap();
    }
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    // The file was found as the first update had left it, and was not looked at again: then
    // what was appended could not be told from a change of the rest, and nothing was removed.
    let session = store.open("u").await.unwrap();
    deliver(&store.other(), &["u"], b"three\r\n").await.unwrap();
    session.update(vec![0]).await.unwrap();
    assert_eq!(store.texts("u").await, ["three\r\n"]);
}

#[tokio::test]
async fn update_without_deletions_touches_nothing() {
    use std::os::unix::fs::MetadataExt;
    let store = Store::with_users(&["u"]);
    store.deliver(&["u"], b"a\r\n").await.unwrap();
    let before = std::fs::metadata(store.path("u.mbox")).unwrap();
    store.open("u").await.unwrap().update(Vec::new()).await.unwrap();
    let after = std::fs::metadata(store.path("u.mbox")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[tokio::test]
async fn update_keeps_owner_and_mode_and_every_kept_byte() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::with_users(&[]);
    let kept = "From x Wed Sep 17 11:00:00 2025\r\nkept\n\nFrom y Wed Sep 17 11:00 2025\nlast";
    let path = store.path("u.mbox");
    std::fs::write(&path, format!("From d Wed Sep 17 11:00:00 2025\ngone\n\n{kept}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert_eq!(store.content("u.mbox"), kept);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn a_mailbox_rewritten_under_a_session_loses_only_what_was_deleted() {
    const ENTRY: &str = "From x Wed Sep 17 11:00:00 2025\n";
    let store = Store::with_users(&[]);
    let path = store.path("u.mbox");
    let mbox = |texts: &[&str]| {
        texts.iter().fold(String::new(), |mbox, text| mbox + ENTRY + text + "\n\n")
    };
    std::fs::write(&path, mbox(&["a", "b", "c", "b"])).unwrap();
    let maildrop = store.open("u").await.unwrap();
    maildrop.unique_ids().await.unwrap();
    // In place: the first message is gone, another has come.
    std::fs::write(&path, mbox(&["b", "c", "b", "new"])).unwrap();
    maildrop.update(vec![0, 1]).await.unwrap();
    assert_eq!(store.content("u.mbox"), mbox(&["c", "b", "new"]));

    // Replaced: what was deleted can still be read from the old file.
    let maildrop = store.open("u").await.unwrap();
    std::fs::write(store.path("new"), mbox(&["new", "c"])).unwrap();
    std::fs::rename(store.path("new"), &path).unwrap();
    maildrop.update(vec![0]).await.unwrap();
    assert_eq!(store.content("u.mbox"), mbox(&["new"]));

    // In place, and nobody ever asked what the message was: nothing is removed.
    std::fs::write(&path, mbox(&["p", "q", "r"])).unwrap();
    let maildrop = store.open("u").await.unwrap();
    std::fs::write(&path, mbox(&["x", "y"])).unwrap();
    assert!(matches!(maildrop.update(vec![0]).await, Err(UpdateError::Changed)));
    assert_eq!(store.content("u.mbox"), mbox(&["x", "y"]));
}

#[tokio::test]
async fn a_message_that_was_changed_under_a_session_is_not_sent() {
    let store = Store::with_users(&["u"]);
    store.deliver(&["u"], b"aaaa\r\n").await.unwrap();
    store.deliver(&["u"], b"bbbb\r\n").await.unwrap();
    let maildrop = store.open("u").await.unwrap();
    maildrop.unique_ids().await.unwrap();
    let content = store.content("u.mbox");
    std::fs::write(store.path("u.mbox"), content.replace("bbbb", "cccc")).unwrap();
    assert_eq!(text(&maildrop, 0).await.unwrap(), "aaaa\r\n");
    assert!(matches!(text(&maildrop, 1).await, Err(ReadError::Changed)));
    std::fs::write(store.path("u.mbox"), "").unwrap();
    assert!(matches!(text(&maildrop, 0).await, Err(ReadError::Changed)));
}

#[tokio::test]
async fn a_mailbox_that_vanishes_under_a_session_does_not_come_back() {
    let store = Store::with_users(&["u"]);
    store.deliver(&["u"], b"a\r\n").await.unwrap();
    let maildrop = store.open("u").await.unwrap();
    std::fs::remove_file(store.path("u.mbox")).unwrap();
    assert_eq!(text(&maildrop, 0).await.unwrap(), "a\r\n");
    assert!(matches!(maildrop.update(vec![0]).await, Err(UpdateError::Missing)));
    assert_eq!(store.files().await, [""; 0]);
}

#[tokio::test]
async fn unique_ids_are_the_md5_of_what_is_sent_whatever_the_line_ends() {
    let store = Store::with_users(&["u"]);
    let lf = b"From x Wed Sep 17 11:00:00 2025\n>From me\nx\n\nFrom x Wed Sep 17 11:00:00 2025\r\n>From me\r\nx\r\n\r\n";
    std::fs::write(store.path("u.mbox"), lf).unwrap();
    let maildrop = store.open("u").await.unwrap();
    let ids = maildrop.unique_ids().await.unwrap();
    // printf 'From me\r\nx\r\n' | md5sum
    assert_eq!(ids[0].to_string(), "916dd23202107316307ad97543c49ff9");
    assert_eq!(maildrop.unique_id(1).await.unwrap(), ids[0]);
}

#[tokio::test]
async fn a_file_that_is_no_mbox_is_refused_and_left_alone_and_deliveries_append() {
    let store = Store::with_users(&["u"]);
    let why = "not an mbox file: it begins with \"Subject: x\", not with a From line; put one before \
               it, or move the file away";
    std::fs::write(store.path("u.mbox"), "Subject: x\n\nnot an mbox").unwrap();
    let refused = store.open("u").await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the mailbox is {why}"));
    assert!(matches!(refused, MaildropError::NotMbox(_)));
    assert_eq!(store.content("u.mbox"), "Subject: x\n\nnot an mbox");
    store.deliver(&["u"], b"sent\r\n").await.unwrap();
    let content = store.content("u.mbox");
    assert!(content.starts_with("Subject: x\n\nnot an mbox\n\nFrom <a@b.org> "), "{content}");
    assert!(content.ends_with("\nsent\r\n\n"), "{content}");
    assert!(matches!(store.open("u").await, Err(MaildropError::NotMbox(_))));
    // With a From_ line before it everything is there.
    std::fs::write(store.path("u.mbox"), format!("From \n{content}")).unwrap();
    assert_eq!(store.texts("u").await, ["Subject: x\r\n\r\nnot an mbox\r\n", "sent\r\n"]);
    std::fs::write(store.path("mqueue"), "Subject: x\n").unwrap();
    let refused = store.directory.queue().entries().await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the relay queue is {why}"));
    assert_eq!(store.files().await, ["mqueue", "u.mbox"]);
}

/// A mailbox of these texts as Thunderbird keeps them.
fn bare(texts: &[&str]) -> String {
    texts.iter().fold(String::new(), |mbox, text| mbox + "From \n" + text + "\n\n")
}

#[tokio::test]
async fn mail_that_is_appended_to_a_mailbox_without_dates_is_found_between_visits() {
    let store = Store::with_users(&["u"]);
    std::fs::write(store.path("u.mbox"), bare(&["a", "b"])).unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "b\r\n"]);
    store.deliver(&["u"], b"From \r\nc\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "b\r\n", "From \r\nc\r\n"]);
    let mut file = File::options().append(true).open(store.path("u.mbox")).unwrap();
    file.write_all(bare(&["d\n\nFrom here on", "e"]).as_bytes()).unwrap();
    let all = ["a\r\n", "b\r\n", "From \r\nc\r\n", "d\r\n\r\nFrom here on\r\n", "e\r\n"];
    assert_eq!(store.texts("u").await, all);
    // What is left is still in this form.
    store.open("u").await.unwrap().update(vec![0, 3]).await.unwrap();
    assert_eq!(store.texts("u").await, [all[1], all[2], all[4]]);
    file = File::options().append(true).open(store.path("u.mbox")).unwrap();
    file.write_all(bare(&["f"]).as_bytes()).unwrap();
    assert_eq!(store.texts("u").await, [all[1], all[2], all[4], "f\r\n"]);
}

#[tokio::test]
async fn a_mailbox_without_dates_does_not_merge_when_a_dated_message_becomes_its_first() {
    let store = Store::with_users(&["u"]);
    let dated = "From x@y Wed Sep 17 11:00:00 2025\nb\n\n";
    let write = |content: String| std::fs::write(store.path("u.mbox"), content).unwrap();
    write(format!("{}{dated}{}{dated}", bare(&["a"]), bare(&["c", "From d"])));
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert_eq!(texts(&store.other(), "u").await, ["b\r\n", "c\r\n", "From d\r\n", "b\r\n"]);
    assert!(store.content("u.mbox").starts_with(dated));
    assert!(store.content("u.mbox").ends_with(dated));
    // Each can go by itself then, also for who has seen the mailbox before.
    assert_eq!(store.texts("u").await, ["b\r\n", "c\r\n", "From d\r\n", "b\r\n"]);
    store.open("u").await.unwrap().update(vec![1]).await.unwrap();
    assert_eq!(texts(&store.other(), "u").await, ["b\r\n", "From d\r\n", "b\r\n"]);
    // An address is kept.
    write(format!("From a@b\na\n\n{dated}From c@d\r\nc\r\n"));
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert!(store.content("u.mbox").contains("\n\nFrom <c@d> "));
    assert_eq!(texts(&store.other(), "u").await, ["b\r\n", "c\r\n"]);
    // Nothing is touched without need.
    write(format!("{}{dated}", bare(&["a", "c"])));
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert_eq!(store.content("u.mbox"), format!("{}{dated}", bare(&["c"])));
}

/// What Dovecot, UW-IMAP and Pine keep at the beginning of a mailbox, and hide.
const RECORD: &str = "From MAILER_DAEMON  Sat Nov 28 17:55:10 2026\n\
    Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\
    X-IMAP: 1795888510 0000000002\n\nnot a real message\n\n";

#[tokio::test]
async fn a_record_of_another_program_is_no_message_and_stays_where_it_is() {
    let store = Store::with_users(&["u"]);
    let write = |content: &str| std::fs::write(store.path("u.mbox"), content).unwrap();
    write(RECORD);
    assert_eq!(store.texts("u").await, [""; 0]);
    assert_eq!(store.content("u.mbox"), RECORD);
    store.deliver(&["u"], b"a\r\n").await.unwrap();
    store.deliver(&["u"], b"b\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "b\r\n"]);
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert_eq!(store.texts("u").await, ["b\r\n"]);
    assert!(store.content("u.mbox").starts_with(RECORD));
    store.open("u").await.unwrap().update(vec![0]).await.unwrap();
    assert_eq!(store.content("u.mbox"), RECORD);
    store.deliver(&["u"], b"c\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["c\r\n"]);
    // Somebody who sends one sends a message.
    let sent = RECORD.split_once('\n').unwrap().1.replace('\n', "\r\n");
    write("");
    store.deliver(&["u"], sent.as_bytes()).await.unwrap();
    assert_eq!(store.texts("u").await, [sent]);
}

#[tokio::test]
async fn a_record_that_was_seen_half_written_moves_no_message_under_a_session() {
    let store = Store::with_users(&["u"]);
    let (half, rest) = RECORD.split_at(RECORD.find("X-IMAP").unwrap());
    std::fs::write(store.path("u.mbox"), half).unwrap();
    let maildrop = store.open("u").await.unwrap();
    assert_eq!(maildrop.octets().len(), 1);
    let mut file = File::options().append(true).open(store.path("u.mbox")).unwrap();
    file.write_all(format!("{rest}From x@y Wed Sep 17 11:00:00 2025\na\n\n").as_bytes()).unwrap();
    assert!(matches!(maildrop.update(vec![0]).await, Err(UpdateError::Changed)));
    assert_eq!(store.texts("u").await, ["a\r\n"]);
}

#[tokio::test]
async fn sessions_see_what_others_appended_or_changed_between_them() {
    let store = Store::with_users(&["u"]);
    store.deliver(&["u"], b"a\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n"]);
    deliver(&store.other(), &["u"], b"b\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "b\r\n"]);
    store.deliver(&["u"], b"c\r\n").await.unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "b\r\n", "c\r\n"]);
    let content = store.content("u.mbox").replace("b\r\n", "longer\r\n");
    std::fs::write(store.path("u.mbox"), content).unwrap();
    assert_eq!(store.texts("u").await, ["a\r\n", "longer\r\n", "c\r\n"]);
}

#[tokio::test]
async fn a_picture_of_the_directory_follows_whoever_changes_it() {
    let store = Store::with_users(&["u"]);
    let mut overview = mailconsole::store::survey::follow(
        &store.directory,
        mailconsole::store::survey::Tells::Log,
    );
    let seen = |overview: &std::sync::Arc<mailconsole::store::overview::Overview>| {
        let mailbox = |m: &mailconsole::store::overview::MailboxView| (m.name.clone(), m.messages);
        overview.mailboxes.iter().map(mailbox).collect::<Vec<_>>()
    };
    let u = |messages| ("u".to_owned(), Some(messages));
    overview.wait_for(|overview| seen(overview) == [u(0)]).await.unwrap();
    deliver(&store.other(), &["u"], b"x\r\n").await.unwrap();
    overview.wait_for(|overview| seen(overview) == [u(1)]).await.unwrap();
    let session = store.open("u").await.unwrap();
    overview.wait_for(|overview| overview.mailboxes[0].holder.is_some()).await.unwrap();
    drop(session);
    std::fs::write(store.path("v.mbox"), "rubbish").unwrap();
    overview.wait_for(|overview| seen(overview) == [u(1), ("v".to_owned(), None)]).await.unwrap();
    let error = overview.borrow().mailboxes[1].error.clone().unwrap();
    let why = "not an mbox file: it begins with \"rubbish\", not with a From line; ";
    assert!(error.starts_with(why), "{error}");
    std::fs::remove_file(store.path("v.mbox")).unwrap();
    queue(&store, &[&["a@x", "b@x"], &["c@y"]]).await;
    let queued = ("mqueue".to_owned(), Some(2));
    overview.wait_for(|overview| seen(overview) == [u(1), queued.clone()]).await.unwrap();
    overview.wait_for(|overview| overview.queue.len() == 3).await.unwrap();
}

/// Queues a message for each list of recipients.
async fn queue(store: &Store, messages: &[&[&str]]) {
    for (nth, recipients) in messages.iter().enumerate() {
        let mut spool = store.directory.new_text();
        spool.push(format!("Subject: {nth}\r\n\r\nFrom me\r\n").as_bytes());
        let remote = recipients.iter().map(|&recipient| recipient.into()).collect();
        let envelope = Envelope { reverse_path: "a@b".into(), remote, ..Envelope::default() };
        store.directory.deliver(envelope, spool).await.unwrap();
    }
}

/// The letter and path of every recipient in the queue file.
fn recipients(store: &Store) -> Vec<String> {
    let lines = store.content("mqueue");
    let lines = lines.lines().filter_map(|line| line.strip_prefix("X-MC-Rcpt: "));
    lines.map(|line| line.replace(" 0 0 <", " ").replace('>', "")).collect()
}

#[tokio::test]
async fn a_delivered_recipient_is_marked_in_place_and_gone_after_the_edit() {
    use mailconsole::store::overview::RecipientState;
    use mailconsole::store::queue::Edit;
    let store = Store::with_users(&[]);
    let remote = store.directory.queue();
    assert_eq!(remote.entries().await.unwrap(), []);
    queue(&store, &[&["a@x", "b@x"], &["c@y"], &["d@z"]]).await;
    std::fs::File::options()
        .append(true)
        .open(store.path("mqueue"))
        .unwrap()
        .write_all(b"From x Wed Sep 17 11:00:00 2025\nno envelope\n\n")
        .unwrap();
    let entries = remote.entries().await.unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0].octets, 23);
    remote.mark_delivered(&entries[0], vec![1]).await.unwrap();
    remote.mark_delivered(&entries[2], vec![0]).await.unwrap();
    assert_eq!(recipients(&store), ["P a@x", "D b@x", "P c@y", "D d@z"]);
    let left = remote.edit(|block| {
        let before = block.recipients.len();
        block.recipients.retain(|recipient| recipient.state != RecipientState::Delivered);
        match block.recipients.len() {
            0 => Edit::Removed,
            after if after == before => Edit::Unchanged,
            _ => Edit::Changed,
        }
    });
    assert_eq!(left.await.unwrap().len(), 2);
    assert_eq!(recipients(&store), ["P a@x", "P c@y"]);
    assert!(store.content("mqueue").contains("\nno envelope\n"));
    // What was listed before is found where it is now, and its text is what was sent.
    let mut reader = remote.text(&entries[1]).await.unwrap();
    let mut text = Vec::new();
    while reader.read(&mut text).await.unwrap() > 0 {}
    assert_eq!(text, b"Subject: 1\r\n\r\nFrom me\r\n");
    remote.mark_delivered(&entries[1], vec![0]).await.unwrap();
    assert_eq!(recipients(&store), ["P a@x", "D c@y"]);
    assert!(remote.mark_delivered(&entries[2], vec![0]).await.is_err());
    assert_eq!(store.files().await, ["mqueue"]);
}

#[tokio::test]
async fn one_relay_run_has_the_queue_at_a_time() {
    let store = Store::with_users(&[]);
    let first = store.directory.queue().begin_run().unwrap();
    assert!(first.is_some());
    assert!(store.other().queue().begin_run().unwrap().is_none());
    drop(first);
    assert!(store.other().queue().begin_run().unwrap().is_some());
    assert_eq!(store.files().await, [""; 0]);
}
