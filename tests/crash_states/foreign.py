"""Other programs that change a mailbox after the crash and before the restart.

Each returns what it did as a `Change`. None of them takes our locks: the program is not running,
and a lock file that it left is what an impatient program would remove.
"""

import mailbox
import os
import random
import re
from dataclasses import dataclass

from promises import FROM_LINE, STATUS, Doubt
from scenarios import foreign

LATER = (2, 90)  # seconds: before and after the kernel has certainly written its cache back


@dataclass
class Change:
    what: str
    doubt: Doubt
    adds: tuple = None  # its message: as it is stored, and as POP3 serves it


def apart(path, content, name, texts):
    """Appends behind an empty line, as a careful program does."""
    if content and not content.endswith((b"\n\n", b"\n\r\n")):
        append(path, b"\n" if content.endswith(b"\n") else b"\n\n")
    return appended(path, name, "appends on a line of its own")


def glued(path, content, name, texts):
    """Appends right at the end, whatever is there."""
    return appended(path, name, "appends without a line end between")


def by_python(path, content, name, texts):
    """Appends as Python's mailbox does."""
    box = mailbox.mbox(path, create=False)
    _, served = foreign(name)
    box.add(served.replace(b"\r\n", b"\n"))
    box.close()
    with open(path, "rb") as file:
        stored = file.read()[len(content) :]
    return Change("Python appends", Doubt(twice=True), (stored.strip(b"\n"), served))


def renamed(path, content, name, texts):
    """Writes a copy and renames it over the mailbox: another inode."""
    with open(f"{path}.new", "wb") as file:
        file.write(content)
    os.rename(f"{path}.new", path)
    return Change("a copy is renamed over it", Doubt(twice=True, pieces=True))


def marked(path, content, name, texts):
    """Marks all messages as read, in place, as mutt does."""
    edited = FROM_LINE.sub(lambda found: found[0] + STATUS, content)
    with open(path, "r+b") as file:
        file.write(edited)
    return Change("mutt marks all as read", Doubt(twice=True, pieces=True))


def first_removed(path, content, name, texts):
    return removed(path, content, texts, first=True)


def last_removed(path, content, name, texts):
    return removed(path, content, texts, first=False)


def removed(path, content, texts, first):
    """Removes a message in place."""
    starts = [found.start() for found in FROM_LINE.finditer(content)] + [len(content)]
    if len(starts) < 2:
        return Change("finds nothing to remove", Doubt(twice=True))
    begin, end = starts[:2] if first else starts[-2:]
    with open(path, "r+b") as file:
        file.write(content[:begin] + content[end:])
        file.truncate()
    missing = names_in(content[begin:end], texts)
    what = f"{'the first' if first else 'the last'} message is removed in place"
    return Change(what, Doubt(twice=True, pieces=True, missing=missing))


def names_in(piece, texts):
    """The messages of which a piece has the beginning, or more."""
    return frozenset(
        name for name in texts if re.search(rb"message %s\r?\n" % name.encode(), piece)
        or re.search(rb"Subject: %s\r?\n" % name.encode(), piece)
        or b"From <%s@" % name.encode() in piece
    )


def append(path, octets):
    with open(path, "ab") as file:
        file.write(octets)


def appended(path, name, what):
    stored, served = foreign(name)
    append(path, stored + b"\n")
    return Change(what, Doubt(twice=True), (stored, served))


PROGRAMS = (apart, glued, by_python, renamed, marked, first_removed, last_removed)


def change(directory, user, texts, seed):
    """Lets one program, which the seed picks, at a mailbox; its message is foreign-USER."""
    picks = random.Random(seed)
    path = os.path.join(directory, f"{user}.mbox")
    before = os.stat(path)
    with open(path, "rb") as file:
        content = file.read()
    made = picks.choice(PROGRAMS)(path, content, f"foreign-{user}", texts)
    later = picks.choice(LATER)
    when = before.st_mtime_ns + later * 1_000_000_000
    os.utime(path, ns=(when, when))
    made.what += f" {later} s later"
    return made

