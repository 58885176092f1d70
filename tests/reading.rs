//! Mail in the real program in a real (pseudo) terminal: composed, delivered, listed, read, marked
//! by a mail client, deleted.

mod tty;

use std::io::{BufRead, BufReader};

use crate::tty::{Terminal, connect, say};

/// A message has been composed and sent, and is in the mailbox.
fn sent() -> Terminal {
    let terminal = Terminal::console(80, 24).shows("linhphan").press("c").shows("[ Send ]");
    let terminal = terminal.press("Is anybody there?\t\tHello\rworld").shows("world");
    terminal.press("\x13").shows("Sent to linhphan@localhost")
}

#[test]
fn a_message_that_is_composed_is_listed_read_and_deleted() {
    let terminal = sent().press("3\r").shows("linhphan  1 message").shows("Is anybody there?");
    let terminal = terminal.press("\r").shows("linhphan  message 1").shows("Subject     Is any");
    let terminal = terminal.shows("world").press("d").shows("Delete message 1: Is anybody there?");
    let terminal = terminal.press("y").shows("Deleted message 1 of linhphan.");
    let terminal = terminal.shows("No messages. New ones are shown at once.");
    let terminal = terminal.press("\x1b").shows("2 Transcript").press("q");
    assert_eq!(terminal.ends_and_gives_the_terminal_back(), 0);
}

#[test]
fn mail_that_comes_to_an_open_mailbox_is_shown_by_itself() {
    let terminal = sent().press("3\r").shows("linhphan  1 message");
    let mut client = connect(terminal.port("smtp"));
    let letter = "HELO x\r\nMAIL FROM:<a@localhost>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\n\
                  Subject: the second one\r\n\r\nx\r\n.\r\nQUIT\r\n";
    for line in letter.split_inclusive("\r\n") {
        say(&mut client, line);
    }
    let terminal = terminal.shows("linhphan  2 messages").shows("the second one");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn a_query_finds_messages_by_what_the_list_does_not_show() {
    let terminal = sent().press("3\r").shows("linhphan  1 message").shows("Is anybody there?");
    let terminal = terminal.press("/body~world\r").shows("Is anybody there?");
    let terminal = terminal.press("/").press("\x15body~moon to=linhphan\r");
    let terminal = terminal.shows("No message matches the filter.");
    let mut client = connect(terminal.port("smtp"));
    let letter = "HELO x\r\nMAIL FROM:<a@localhost>\r\nRCPT TO:<linhphan@localhost>\r\nDATA\r\n\
                  Subject: to the moon\r\n\r\nmoon\r\n.\r\nQUIT\r\n";
    for line in letter.split_inclusive("\r\n") {
        say(&mut client, line);
    }
    let terminal = terminal.shows("to the moon").press("/").press("\x15larger=soon");
    let terminal = terminal.shows("larger wants a number of octets").press("\x1b");
    let terminal = terminal.shows("Is anybody there?").shows("to the moon");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}

#[test]
fn what_a_mail_client_marks_is_marked_on_the_screen() {
    let terminal = sent().press("3\r").shows("linhphan  1 message");
    let mut client = connect(terminal.port("pop3"));
    say(&mut client, "USER linhphan\r\nPASS cis505\r\nDELE 1\r\n");
    let replies: Vec<_> = BufReader::new(&client).lines().take(4).map(Result::unwrap).collect();
    assert!(replies.iter().all(|reply| reply.starts_with("+OK")), "{replies:?}");
    let terminal = terminal.shows("▸ D  1").press("dy").shows("Cannot delete: a POP3 session");
    terminal.press("\x03").ends_and_gives_the_terminal_back();
}
