"""The mail directory itself removed, replaced, or made again while the servers run (files 1.2
and 2.2)."""

import os
import shutil

from rules.checks import check, holds, same, table
from rules.console import eventually, mbox, read, write
from rules.pop3 import ONE, THREE, TWO, login_soon, mailbox

ANEW = "files 2.2: a user comes and goes with the file; files 1.2: a directory that is another now is opened anew, and that is said"


def removed_and_made(directory):
    shutil.rmtree(directory)
    os.mkdir(directory)


def moved_away_and_made(directory):
    os.rename(directory, directory + ".old")
    os.mkdir(directory)


def another_moved_there(directory):
    os.mkdir(directory + ".new")
    os.rename(directory, directory + ".old")
    os.rename(directory + ".new", directory)


def delivered(console, user):
    """Whether the user is known and a delivery is taken."""
    peer = console.smtp().hello()
    peer.say("MAIL FROM:<s@example.org>", "250 OK")
    peer.send(f"RCPT TO:<{user}@localhost>\r\n")
    known = peer.expect(("250 OK", "4*", "5*")).startswith(b"250")
    if known:
        peer.say("DATA", peer.go_ahead)
        peer.send(THREE + b".\r\n")
        known = peer.expect(("250 OK", "4*")).startswith(b"250")
    peer.close()
    return known


@table(ANEW, [
    (f"directory: {how.__name__.replace('_', ' ')}: {show}", how, used)
    for how in (removed_and_made, moved_away_and_made, another_moved_there)
    for show, used in (("unused so far", False), ("with mail before", True))
])
def _(hall, how, used):
    console, directory = hall.own(users=("u", "gone"))
    with console:
        if used:
            holds(delivered(console, "u"), "a delivery before")
            console.pop3().login("u").everything()
        how(directory)
        write(mbox(directory, "u"), mailbox(ONE))
        write(mbox(directory, "fresh"), b"")
        before = len(console.said)
        eventually(lambda: delivered(console, "u"), "a delivery into the new directory")
        holds(delivered(console, "fresh"), "a user of the new directory is unknown")
        holds(not delivered(console, "gone"), "a user of the old directory is known")
        same(console.pop3().login("u").everything(), [ONE, THREE], "the new mailbox")
        holds(read(mbox(directory, "u")).startswith(mailbox(ONE)), "the file in the new directory")
        eventually(lambda: len(console.said) >= before and any(directory in line or "directory" in line for line in console.said),
                   "a word about the directory on stderr")


@table(ANEW, [
    (f"directory: {how.__name__.replace('_', ' ')} under a session", how)
    for how in (removed_and_made, moved_away_and_made, another_moved_there)
])
def _(hall, how):
    """The session was about another file: it ends, and nothing of it reaches the new one."""
    console, directory = hall.own()
    with console:
        write(mbox(directory, "u"), mailbox(ONE, TWO))
        session = console.pop3().login("u")
        session.say("DELE 1", "+OK*")
        how(directory)
        write(mbox(directory, "u"), mailbox(ONE, THREE))
        login_soon(console.pop3(), "u")
        session.send("RETR 2\r\nQUIT\r\n")
        came = session.raw_line()
        holds(not came or came.startswith(b"-ERR"), f"RETR 2 was answered {came!r}")
        came = session.raw_line()
        holds(not came or came.startswith(b"-ERR"), f"QUIT was answered {came!r}")
        same(read(mbox(directory, "u")), mailbox(ONE, THREE), "the new mailbox")


@check("directory: removed and not made again", ANEW + "; protocol 4.4: an answer, not a dropped connection")
def _(hall):
    console, directory = hall.own()
    with console:
        shutil.rmtree(directory)
        peer = console.smtp().hello()
        peer.say("MAIL FROM:<s@example.org>", "250 OK")
        peer.say("RCPT TO:<u@localhost>", ("4*", "5*"))
        peer = console.pop3()
        peer.say("USER u", "+OK*")
        peer.say("PASS cis505", "-ERR*")
        os.mkdir(directory)
        write(mbox(directory, "u"), mailbox(ONE))
        eventually(lambda: delivered(console, "u"), "a delivery when it is there again")
        console.signal(15)
        same(console.ended(), 0, "the exit status")
