"""Names beside a mailbox that the store uses, when something else has them already: a crash within
rename(2) on some file systems, a careless program, or a local user who means harm."""

import os
import socket
import time

from rules.checks import check, holds, same, table
from rules.console import eventually, mbox, read, write
from rules.pop3 import ONE, THREE, TWO, mailbox

ALL = mailbox(ONE, TWO, THREE)
NEW = b"Subject: new\r\n\r\nnew\r\n"
PRECIOUS = b"not ours, and precious\n"
WORKS = (
    "files 6.3: a rewrite is old or new, never between; files 1.4: nothing but mail is left; files 1.2: no symbolic link followed; "
    "files 1.3: what is in the way is put aside, and a lock that is no regular file is no lock"
)


class Things:
    """What may be in the way, each made at a path. None of them may be written through."""

    def __init__(self, hall, directory):
        self.mailbox = mbox(directory, "u")
        self.elsewhere = hall.directory()
        self.precious = os.path.join(self.elsewhere, "precious")
        write(self.precious, PRECIOUS)
        # A link must be on the same file system, as any other user could make it.
        self.beside = os.path.join(directory, "precious.txt")
        write(self.beside, PRECIOUS)

    def hard_link_to_the_mailbox(self, path):
        os.link(self.mailbox, path)

    def hard_link_to_another_file(self, path):
        os.link(self.beside, path)

    def symlink_to_the_mailbox(self, path):
        os.symlink("u.mbox", path)

    def symlink_to_another_file(self, path):
        os.symlink(self.precious, path)

    def symlink_to_a_directory(self, path):
        os.symlink(self.elsewhere, path)

    def symlink_to_nowhere(self, path):
        os.symlink(os.path.join(self.elsewhere, "nowhere"), path)

    def empty_directory(self, path):
        os.mkdir(path)

    def directory_with_a_file(self, path):
        os.mkdir(path)
        write(os.path.join(path, "precious"), PRECIOUS)

    def fifo(self, path):
        os.mkfifo(path)

    def socket(self, path):
        here = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as one:
                # The whole path may be longer than an address can be.
                one.bind(f"/proc/self/fd/{here}/{os.path.basename(path)}")
        finally:
            os.close(here)

    def file_with_other_content(self, path):
        write(path, PRECIOUS)

    def unharmed(self, path):
        """Nothing was written through the thing, nor into what is not ours."""
        same([read(self.precious), read(self.beside)], [PRECIOUS, PRECIOUS], "files that are not ours")
        same(sorted(os.listdir(self.elsewhere)), ["precious"], "another directory")

    def still_there(self, path):
        """What had a file in it is there, or has been put aside under a name that begins alike."""
        there = [os.path.join(one, "precious") for one in aside(path)]
        holds(any(os.path.exists(one) and read(one) == PRECIOUS for one in there), "a file in a directory was lost")


def aside(path):
    """The path, and what may have been made of it to put it aside."""
    directory, name = os.path.split(path)
    return [os.path.join(directory, one) for one in os.listdir(directory) if one == name or one.startswith(f"{name}.")]


KINDS = [name for name in vars(Things) if name not in ("unharmed", "still_there") and not name.startswith("_")]
SIDE_FILES = [".u.mbox.tmp", ".u.mbox.wal", ".u.mbox.pop", "u.mbox.lock", ".mailconsole.{pid}", ".mailconsole"]

# A regular file as lock is a lock, until it is old; see update.py.
LOCKS_FOR_A_WHILE = {"hard_link_to_the_mailbox", "hard_link_to_another_file", "file_with_other_content"}


def put(things, kind, path):
    getattr(things, kind)(path)
    if path.endswith(".lock") and kind in LOCKS_FOR_A_WHILE:
        long_ago = time.time() - 600
        os.utime(path, (long_ago, long_ago))


@table(WORKS, [
    (f"side files: {kind.replace('_', ' ')} as {name}", name, kind) for name in SIDE_FILES for kind in KINDS
])
def _(hall, name, kind):
    console, directory = hall.own()
    with console:
        write(mbox(directory, "u"), ALL)
        things = Things(hall, directory)
        path = os.path.join(directory, name.format(pid=console.process.pid))
        put(things, kind, path)
        console.smtp().hello().transaction("s@example.org", "u").text(NEW)
        things.unharmed(path)
        same(console.pop3().login("u").everything(), [ONE, TWO, THREE, NEW], "the mailbox behind a delivery")
        if not os.path.lexists(path):
            put(things, kind, path)
        peer = console.pop3().login("u")
        same(peer.retr(2), TWO, "RETR 2")
        peer.say("DELE 1", "+OK*")
        peer.say("QUIT", "+OK*")
        peer.ends()
        things.unharmed(path)
        same(console.pop3().login("u").everything(), [TWO, THREE, NEW], "the mailbox behind UPDATE")
        console.signal(15)
        same(console.ended(), 0, "the exit status")
    if kind == "directory_with_a_file":
        things.still_there(path)
    known = {"u.mbox", "precious.txt", *map(os.path.basename, aside(path))}
    same(sorted(set(os.listdir(directory)) - known), [], "other names in the directory")


@table(WORKS, [
    (f"side files: queue: {kind.replace('_', ' ')} as {name}", name, kind)
    for name in (".mqueue.tmp", ".mqueue.wal", ".mqueue.relay", "mqueue.lock") for kind in KINDS
    if "mailbox" not in kind
])
def _(hall, name, kind):
    """Orders rewrite the queue, and a relay run locks it."""
    console, directory = hall.own()
    with console:
        things = Things(hall, directory)
        path = os.path.join(directory, name)
        console.smtp().hello().transaction("s@example.org", "x@example.net").text(ONE)
        console.smtp().hello().transaction("s@example.org", "y@example.net").text(TWO)
        put(things, kind, path)
        console.smtp().hello().transaction("s@example.org", "z@example.net").text(THREE)
        before = read(os.path.join(directory, "mqueue"))
        ids = [line.split(b": ")[1].decode() for line in before.splitlines() if line.startswith(b"X-MC-Id: ")]
        same(len(ids), 3, "entries")
        for order in ("hold", "drop"):
            with hall.run("queue", order, directory, ids[0]) as done:
                same((done.ended(), order), (0, order), "the exit status of the order")
        things.unharmed(path)
        with hall.run("queue", directory) as listing:
            listing.ended()
            holds(not any(ids[0] in line for line in listing.shown), "the entry was dropped, and is there")
            same(sum(one in line for one in ids[1:] for line in listing.shown), 2, "entries that stay")
        with hall.run("relay", "--timeout", "1", "--smarthost", "127.0.0.1:1", directory) as run:
            same(run.ended(40), 75, "the exit status of a relay run that delivers nothing")
        things.unharmed(path)


@check("side files: a burst of sessions leaves none", "files 7.1: locks are taken for the file operation only; files 1.4: nothing but mail is left in a quiet directory")
def _(hall):
    users = [f"u{number}" for number in range(40)]
    console, directory = hall.own(users=users)
    with console:
        for user in users:
            write(mbox(directory, user), ALL)
        peers = [console.pop3() for _ in users]
        for peer, user in zip(peers, users):
            peer.send(f"USER {user}\r\nPASS cis505\r\nUIDL\r\nDELE 2\r\n")
        for peer in peers[::2]:
            peer.send("QUIT\r\n")
        for peer in peers[::2]:
            while peer.raw_line():
                pass
        for peer in peers[1::2]:
            peer.close()
        mail = sorted([".mailconsole.sock", *(f"{user}.mbox" for user in users)])
        eventually(lambda: sorted(os.listdir(directory)) == mail, f"the end of side files in {os.listdir(directory)}")
