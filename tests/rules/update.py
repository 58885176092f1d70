"""POP3's UPDATE: what it removes, and what it must never touch (protocol 4.9 and 4.10)."""

import mailbox as python_mailbox
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

from rules.checks import check, holds, same, table
from rules.console import write
from rules.pop3 import ONE, THREE, TWO, login_soon, mailbox

ALL = mailbox(ONE, TWO, THREE)


def delete(hall, user, *numbers):
    """A session that has marked the numbers."""
    peer = hall.login(user)
    for number in numbers:
        peer.say(f"DELE {number}", "+OK*")
    return peer


def quit_well(peer):
    peer.say("QUIT", "+OK*")
    peer.ends()


@table("protocol 4.9: removes exactly the marked messages; kept ones byte-identical incl. their From_ lines", [
    (f"update: DELE {numbers}", numbers, kept)
    for numbers, kept in (([1], [TWO, THREE]), ([2], [ONE, THREE]), ([3], [ONE, TWO]), ([1, 2], [THREE]), ([3, 1], [TWO]),
                          ([2, 3], [ONE]), ([1, 2, 3], []), ([3, 2, 1], []))
])
def _(hall, numbers, kept):
    user = hall.user(ALL)
    quit_well(delete(hall, user, *numbers))
    same(hall.disk(user), mailbox(*kept), "the file")
    same(hall.messages(user), kept, "the mailbox")


ODD = [
    b"From mutt@host Wed Sep 17 11:00:00 2025\nSubject: a\n\nbody\n\n",
    b"From <x@y> Thu Jan  1 00:00:00 1970\r\nSubject: b\r\n\r\nbody\r\n>From x\r\n\r\n",
    b"From z  Wed Sep 17 11:00 CET 2025\n>>From \xff\0\n\n\n\n",
]


@table("protocol 4.9: kept ones byte-identical incl. their From_ lines", [
    (f"update: odd messages stay as they are, without number {gone}", gone) for gone in (1, 2, 3)
])
def _(hall, gone):
    user = hall.user(b"".join(ODD))
    quit_well(delete(hall, user, gone))
    same(hall.disk(user), b"".join(ODD[:gone - 1] + ODD[gone:]), "the file")


@table("protocol 4.9: a connection that ends otherwise removes nothing", [
    (f"update: nothing is removed when {name}", end)
    for name, end in (
        ("the connection closes", lambda peer: peer.close()), ("it is reset", lambda peer: peer.reset()),
        ("QUIT is half typed", lambda peer: (peer.send("QUIT"), peer.end_sending(), peer.ends())),
        ("QUIT has no LF", lambda peer: (peer.send("QUIT\r"), peer.end_sending(), peer.ends())),
        ("QUIT has an argument", lambda peer: (peer.say("QUIT now", "-ERR*"), peer.close())),
        ("RSET is said before QUIT", lambda peer: (peer.say("RSET", "+OK*"), quit_well(peer))),
    )
])
def _(hall, end):
    user = hall.user(ALL)
    end(delete(hall, user, 1, 3))
    login_soon(hall.pop3(), user)
    same(hall.disk(user), ALL, "the file")


@check("update: no DELE leaves the file untouched", "protocol 4.9: no DELE -> file untouched (no rewrite, same inode)")
def _(hall):
    user = hall.user(ALL)
    before = os.stat(hall.path(user))
    peer = hall.login(user)
    peer.retr(1)
    peer.say("DELE 1", "+OK*")
    peer.say("RSET", "+OK*")
    quit_well(peer)
    after = os.stat(hall.path(user))
    same((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns), "inode and time of the file")


@check("update: mode and owner stay", "protocol 4.9: mode/owner kept")
def _(hall):
    user = hall.user(ALL)
    os.chmod(hall.path(user), 0o640)
    if os.getuid() == 0:
        os.chown(hall.path(user), 1234, 2345)
    before = os.stat(hall.path(user))
    quit_well(delete(hall, user, 2))
    after = os.stat(hall.path(user))
    same((stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid), (0o640, before.st_uid, before.st_gid), "mode and owner")


@check("update: all deleted leaves an empty file", "protocol 4.9: all deleted -> empty file remains (else the user vanishes)")
def _(hall):
    user = hall.user(ALL)
    quit_well(delete(hall, user, 1, 2, 3))
    same(hall.disk(user), b"", "the file")
    hall.deliver(user, b"new\r\n")
    same(hall.messages(user), [b"new\r\n"], "the mailbox")


@check("update: mail that arrives while a session is open is kept", "protocol 4.9: Mail that arrives while a session is open is never lost by UPDATE")
def _(hall):
    user = hall.user(ALL)
    peer = delete(hall, user, 1, 2, 3)
    for number in range(5):
        hall.deliver(user, f"new {number}\r\n".encode())
    quit_well(peer)
    same(hall.messages(user), [f"new {n}\r\n".encode() for n in range(5)], "the mailbox")


@check("update: mail that another program appends is kept", "protocol 4.9: mail that has arrived stays, whether we or another program have stored it")
def _(hall):
    user = hall.user(ALL)
    peer = delete(hall, user, 2)
    box = python_mailbox.mbox(hall.path(user))
    box.lock()
    box.add(b"Subject: python\n\nhi\n")
    box.flush()
    box.unlock()
    box.close()
    quit_well(peer)
    same(hall.messages(user), [ONE, THREE, b"Subject: python\r\n\r\nhi\r\n"], "the mailbox")


@check("update: mail that another program appends behind an earlier UPDATE is kept", "protocol 4.9: mail that has arrived stays, whether we or another program have stored it")
def _(hall):
    user = hall.user(ALL)
    quit_well(delete(hall, user, 1))
    peer = delete(hall, user, 1)
    append_as_python(hall.path(user), b"python\n")
    quit_well(peer)
    texts = [text.removeprefix(b"\r\n") for text in hall.messages(user)]
    same(texts, [THREE, b"python\r\n"], "the mailbox")


@check("update: what another program wrote is not overwritten", "protocol 4.10: nothing stale is written back: found again by its content and removed, or -ERR and nothing")
def _(hall):
    user = hall.user(ALL)
    peer = delete(hall, user, 2)
    write(hall.path(user), mailbox(b"fresh\r\n", THREE, TWO))
    peer.send("QUIT\r\n")
    came = peer.line()
    after = hall.disk(user)
    wanted = mailbox(b"fresh\r\n", THREE) if came.startswith(b"+OK") else mailbox(b"fresh\r\n", THREE, TWO)
    same(after, wanted, f"the file behind {came!r}")


@table("protocol 4.10: If another program rewrote the mailbox under the session, nothing stale is written back", [
    (f"update: {name} under a session", change)
    for name, change in (
        ("a removed mailbox", os.unlink), ("a truncated mailbox", lambda path: os.truncate(path, 0)),
        ("a mailbox with its first message gone", lambda path: write(path, mailbox(TWO, THREE))),
        ("a mailbox that is something else", lambda path: write(path, b"no mbox\n")),
        ("a mailbox cut in the middle", lambda path: os.truncate(path, 70)),
    )
])
def _(hall, change):
    user = hall.user(ALL)
    peer = delete(hall, user, 1)
    change(hall.path(user))
    before = hall.disk(user) if os.path.exists(hall.path(user)) else None
    peer.send("RETR 2\r\nRETR 3\r\n")
    peer.send("QUIT\r\n")
    while True:
        line = peer.raw_line()
        if not line:
            break
    after = hall.disk(user) if os.path.exists(hall.path(user)) else None
    same(after, before, "the file")
    hall.pop3().alive()


@check("update: RETR never sends something else under a session", "protocol 4.10: mailbox edited in a session: no stale write-back, no resurrection")
def _(hall):
    user = hall.user(ALL)
    peer = hall.login(user)
    peer.listing("UIDL")
    path = hall.path(user)
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(content.replace(b"Subject: one", b"Subject: ONE"))
    peer.send("RETR 1\r\n")
    if peer.line().startswith(b"+OK"):
        peer.expect("Subject: one")
    else:
        peer.alive()


SAME = [b"Subject: %s\r\n\r\nx\r\n" % word for word in (b"aaaa", b"bbbb", b"cccc", b"dddd")]


@table("protocol 4.10: what was deleted is found again by its content and removed, or QUIT answers `-ERR` and removes nothing", [
    (f"update: messages of one size, {show}{' behind UIDL' if known else ''}, rewritten {how}", now, known, how)
    for show, now in (("the first gone", SAME[1:]), ("in another order", SAME[::-1]), ("with a new first", [b"Subject: new!\r\n\r\nx\r\n", *SAME]),
                      ("the deleted one gone", [SAME[0], *SAME[2:]]), ("the deleted one edited", [SAME[0], b"Subject: edit\r\n\r\nx\r\n", *SAME[2:]]))
    for known in (False, True) for how in ("in place", "by a new file")
])
def _(hall, now, known, how):
    user = hall.user(mailbox(*SAME))
    peer = hall.login(user)
    if known:
        peer.listing("UIDL")
    peer.say("DELE 2", "+OK*")
    if how == "in place":
        with open(hall.path(user), "r+b") as file:
            file.write(mailbox(*now))
            file.truncate()
    else:
        write(hall.path(user), mailbox(*now))
    peer.send("QUIT\r\n")
    came = peer.line()
    wanted = [text for text in now if text != SAME[1]] if came.startswith(b"+OK") else now
    same(hall.disk(user), mailbox(*wanted), f"the file behind {came!r}")


@check("update: two of the same, one deleted", "protocol 4.9: Removes exactly the marked messages")
def _(hall):
    user = hall.user(mailbox(ONE, ONE, TWO))
    quit_well(delete(hall, user, 2))
    same(hall.messages(user), [ONE, TWO], "the mailbox")


@check("update: a lock of another program is waited for", "files 7.1: every rewrite takes the locks they take")
def _(hall):
    user = hall.user(ALL)
    peer = delete(hall, user, 1)
    box = python_mailbox.mbox(hall.path(user))
    box.lock()
    peer.send("QUIT\r\n")
    peer.silent(0.3)
    same(hall.disk(user), ALL, "the file while it is locked")
    box.unlock()
    peer.expect("+OK*")
    same(hall.messages(user), [TWO, THREE], "the mailbox")


@check("update: delivery waits for the lock of another program", "files 7.1: every append takes the locks they take; protocol 3.8: lock held by another program: wait, other sessions go on")
def _(hall):
    user, other = hall.user(), hall.user()
    box = python_mailbox.mbox(hall.path(user))
    box.lock()
    peer = hall.sender().transaction("s@example.org", user)
    peer.send("x\r\n.\r\n")
    peer.silent(0.3)
    same(hall.disk(user), b"", "the file while it is locked")
    hall.deliver(other, b"y\r\n")
    box.unlock()
    peer.expect("250 OK")
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("update: no lock is left behind", "files 7.1: for the file operation only, never while waiting on a network")
def _(hall):
    user = hall.user(ALL)
    peer = delete(hall, user, 1)
    hall.deliver(user, b"x\r\n")
    holds(not os.path.exists(hall.path(user) + ".lock"), "a lock file stands while the session waits")
    box = python_mailbox.mbox(hall.path(user))
    box.lock()
    box.unlock()
    quit_well(peer)
    holds(not os.path.exists(hall.path(user) + ".lock"), "a lock file is left")


@check("update: a session sees its messages, or an error, when the mailbox is replaced", "protocol 4.6: Numbers stay fixed during a session")
def _(hall):
    user = hall.user(ALL)
    peer = hall.login(user)
    write(hall.path(user), mailbox(b"other\r\n", b"another\r\n", b"more\r\n"))
    for number, text in enumerate((ONE, TWO, THREE), 1):
        peer.send(f"RETR {number}\r\n")
        if peer.line().startswith(b"+OK"):
            same(peer.text_behind_ok(), text, f"RETR {number}")
    peer.say("STAT", "+OK 3 38")


@table("files 7.3: stale: pid dead on this host, or older than 5 min: remove", [
    (f"update: the lock file of {show} stops nobody", content, age)
    for show, content, age in (("a dead process", b"4194305\n", 0), ("ten minutes ago", b"", 600))
])
def _(hall, content, age):
    user = hall.user()
    lock = hall.path(user) + ".lock"
    with open(lock, "wb") as file:
        file.write(content)
    then = time.time() - age
    os.utime(lock, (then, then))
    hall.deliver(user, b"x\r\n")
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("update: two processes deliver to one mailbox while a third removes from it", "protocol 7.1: Several separate processes may work on one DIR at once; files 7.1")
def _(hall):
    directory = hall.directory("u")
    processes = [hall.run(server, "-p", "0", directory) for server in ("smtp", "smtp", "pop3")]
    try:
        one, two, three = (p.listens(s) for p, s in zip(processes, ("smtp", "smtp", "pop3")))
        texts = [f"Subject: {n}\r\n\r\nFrom {n}\r\n.\r\n".encode() for n in range(60)]
        fetched = []

        def deliver(console, mine):
            peer = console.smtp().hello()
            for text in mine:
                peer.transaction("s@example.org", "u").text(text)

        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(deliver, one, texts[::2]), pool.submit(deliver, two, texts[1::2])]
            while len(fetched) < len(texts):
                done = all(job.done() for job in jobs)
                peer = three.pop3().login("u")
                count, _ = peer.stat()
                for number in range(1, count + 1):
                    fetched.append(peer.retr(number))
                    peer.say(f"DELE {number}", "+OK*")
                quit_well(peer)
                if done and not count:
                    break
            for job in jobs:
                job.result()
        same(sorted(fetched), sorted(texts), "what was fetched")
    finally:
        for process in processes:
            process.kill()


@check("update: Python appends while SMTP delivers", "files 7.1: every read, append and rewrite takes the locks they take")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    for number in range(15):
        peer.transaction("s@example.org", user)
        peer.send(f"smtp {number}\r\n.\r\n")
        append_as_python(hall.path(user), f"python {number}\n".encode())
        peer.expect("250 OK")
    texts = hall.messages(user)
    wanted = [f"{who} {number}\r\n".encode() for who in ("smtp", "python") for number in range(15)]
    same(sorted(text.removeprefix(b"\r\n") for text in texts), sorted(wanted), "the messages")


def append_as_python(path, text):
    """Appends a message as a program does that locks by fcntl and by a lock file."""
    box = python_mailbox.mbox(path)
    for _ in range(200):
        try:
            box.lock()
            break
        except python_mailbox.ExternalClashError:
            time.sleep(0.02)
    try:
        box.add(text)
        box.flush()
    finally:
        box.unlock()
        box.close()


@check("update: a directory that has become read-only", "protocol 3.8: read-only dir: 451; files 7.1: POP3 may read; protocol 4.9: QUIT with DELE -ERR, an answer, not a dropped connection")
def _(hall):
    directory = hall.directory("u")
    write(os.path.join(directory, "u.mbox"), ALL)
    with hall.nobody("--no-tui", "--dir", directory, "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0") as console:
        console.listens("smtp", "pop3")
        os.chmod(directory, 0o555)
        os.chmod(os.path.join(directory, "u.mbox"), 0o444)
        console.smtp().hello().transaction("s@example.org", "u").text(b"x\r\n", "4*")
        peer = console.pop3().login("u")
        same(peer.retr(1), ONE, "RETR 1")
        peer.say("DELE 1", "+OK*")
        peer.say("QUIT", "-ERR*")
        peer.ends()
        with open(os.path.join(directory, "u.mbox"), "rb") as file:
            same(file.read(), ALL, "the mailbox")
        console.pop3().login("u").say("STAT", "+OK 3 38")
