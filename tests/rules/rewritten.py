"""A POP3 session whose mailbox another program rewrites: what was listed is what is sent and what is
removed, whatever is cheap to compare (protocol 4.10)."""

import os

from rules.checks import holds, same, table
from rules.console import read, write
from rules.peer import md5
from rules.pop3 import mailbox

LISTED = "protocol 4.6: Numbers stay fixed during a session; protocol 4.10: what is sent is what LIST meant, or -ERR"
FOUND = "protocol 4.10: what was deleted is found again by its content and removed, or QUIT answers `-ERR` and removes nothing"


def in_place(path, content):
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def in_place_with_times_kept(path, content):
    """Only its ctime tells of it, if the size is the same."""
    before = os.stat(path)
    in_place(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [in_place, in_place_with_times_kept, write]


def alike(number, octets=5_000, end=True):
    """Messages of one length that differ in one line, at their end or in their middle."""
    half = b"This line stands in all of these messages, again and again.\r\n" * (octets // 122)
    line = b"number %04d\r\n" % number
    return b"Subject: alike\r\n\r\n" + (half + half + line if end else half + line + half)


def short(number):
    return b"Subject: number %04d\r\n\r\nx\r\n" % number


SHAPES = {"differ at their end": alike, "differ in their middle": lambda n: alike(n, end=False), "are short": short}


def rows(counts):
    return [
        (f"{count} messages that {show}, {way.__name__.replace('_', ' ').replace('write', 'by a new file')}", [shape(n) for n in range(count)], way)
        for count in counts for show, shape in SHAPES.items() for way in WAYS
    ]


@table(FOUND, [(f"rewritten: the first gone, two more behind: {name}", *row) for name, *row in rows((6, 20, 200))])
def _(hall, texts, way):
    user = hall.user(mailbox(*texts))
    peer = hall.login(user)
    for number in (1, 2, 3):
        same(peer.retr(number), texts[number - 1], f"RETR {number}")
    now = [*texts[1:], b"Subject: one more\r\n\r\nx\r\n", b"Subject: another\r\n\r\nx\r\n"]
    way(hall.path(user), mailbox(*now))
    for number in (1, 2, 3):
        peer.say(f"DELE {number}", "+OK*")
    peer.send("QUIT\r\n")
    came = peer.line()
    wanted = [text for text in now if text not in texts[:3]] if came.startswith(b"+OK") else now
    same(hall.disk(user), mailbox(*wanted), f"the file behind {came!r}")


@table(FOUND, [(f"rewritten: others in their places: {name}", *row) for name, *row in rows((2, 20))])
def _(hall, texts, way):
    """Nothing of what is removed was ever fetched, and the unique-ids are those of the session."""
    user = hall.user(mailbox(*texts[:-1]))
    peer = hall.login(user)
    same(peer.retr(1), texts[0], "RETR 1")
    way(hall.path(user), mailbox(*texts[1:]))
    peer.send("UIDL\r\n")
    if peer.line().startswith(b"+OK"):
        due = [f"{number} {md5(text)}\r\n".encode() for number, text in enumerate(texts[:-1], 1)]
        same(peer.lines_behind_ok(), due, "UIDL")
    peer.say("DELE 1", "+OK*")
    peer.send("QUIT\r\n")
    came = peer.line()
    same(hall.disk(user), mailbox(*texts[1:]), f"the file behind {came!r}")


@table(FOUND, [(f"rewritten: the same without UIDL: {name}", *row) for name, *row in rows((2, 20))])
def _(hall, texts, way):
    user = hall.user(mailbox(*texts[:-1]))
    peer = hall.login(user)
    way(hall.path(user), mailbox(*texts[1:]))
    for number in range(1, len(texts)):
        peer.say(f"DELE {number}", "+OK*")
    peer.send("QUIT\r\n")
    came = peer.line()
    wanted = [texts[-1]] if came.startswith(b"+OK") else texts[1:]
    same(hall.disk(user), mailbox(*wanted), f"the file behind {came!r}")


@table(LISTED, [
    (f"rewritten: two swapped{' behind UIDL' if known else ''}: {name}", *row, known)
    for name, *row in rows((20, 200)) for known in (False, True)
])
def _(hall, texts, way, known):
    user = hall.user(mailbox(*texts))
    peer = hall.login(user)
    if known:
        peer.listing("UIDL")
    one, other = len(texts) // 4, len(texts) // 4 + 1
    swapped = list(texts)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    way(hall.path(user), mailbox(*swapped))
    for number in (other + 1, one + 1, 1, len(texts)):
        peer.send(f"RETR {number}\r\n")
        if peer.line().startswith(b"+OK"):
            same(peer.text_behind_ok(), texts[number - 1], f"RETR {number}")
        peer.send(f"UIDL {number}\r\n")
        reply = peer.line()
        holds(reply.startswith(b"-ERR") or reply == f"+OK {number} {md5(texts[number - 1])}".encode(), f"UIDL {number}: {reply!r}")


@table(LISTED, [(f"rewritten: the next session sees what is there now: {name}", *row) for name, *row in rows((6, 100))])
def _(hall, texts, way):
    """What is remembered of a file between sessions is forgotten when it may be another."""
    user = hall.user(mailbox(*texts))
    same(hall.messages(user), texts, "the mailbox")
    swapped = [*texts[:2], texts[3], texts[2], *texts[4:]]
    way(hall.path(user), mailbox(*swapped))
    same(hall.messages(user), swapped, "the mailbox, rewritten")
    same(read(hall.path(user)), mailbox(*swapped), "the file")
