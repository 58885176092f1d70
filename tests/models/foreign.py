"""Other programs that work on the same mailboxes: they take the locks that mutt and Dovecot take
(fcntl and `user.mbox.lock`, in either order) and then do what programs do to mailboxes."""

import errno
import fcntl
import mailbox as python_mailbox
import os
import time
from contextlib import contextmanager

from models.mboxes import messages, read

PATIENCE = 30  # seconds after which a lock that is still held is a finding
FROM = b"From other@example.org Wed Sep 17 11:00:00 2025\n"


class Stuck(Exception):
    """The lock of a mailbox is never let go."""


@contextmanager
def locked(path, dotlock_first=True):
    """The mailbox, open for reading and writing, under both locks; it is the file of that name."""
    deadline = time.monotonic() + PATIENCE
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR), "r+b", buffering=0)
        if _lock(file, path, dotlock_first):
            break
        file.close()
        if time.monotonic() > deadline:
            raise Stuck(f"{path} cannot be locked for {PATIENCE} s; {holders(path)}")
        time.sleep(0.005)
    try:
        yield file
    finally:
        os.unlink(path + ".lock")
        file.close()


def _lock(file, path, dotlock_first):
    """Both locks or none, without waiting: who waits for one while it holds the other deadlocks."""
    if dotlock_first and not _dotlock(path):
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.ENOENT):
            raise
        same = False
    if same and (dotlock_first or _dotlock(path)):
        return True
    if dotlock_first:
        os.unlink(path + ".lock")
    return False


def holders(path):
    """Who has which lock, for the report."""
    inode = f":{os.stat(path).st_ino} " if os.path.exists(path) else "no file"
    with open("/proc/locks", encoding="ascii") as locks:
        kernel = [line.strip() for line in locks if inode in line]
    return f"lock file: {read(path + '.lock')!r}, locks of the kernel: {kernel}"


def _dotlock(path):
    """As mutt makes it: a file of its own that is then linked."""
    own = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
    with open(own, "wb") as file:
        file.write(b"%d\n" % os.getpid())
    try:
        os.link(own, path + ".lock")
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(own)


def append(path, octets, **how):
    """Appends as they are."""
    with locked(path, **how) as file:
        file.seek(0, os.SEEK_END)
        file.write(octets)


def append_by_python(path, text):
    """Python's own mailbox module, which puts no line end before its From line."""
    box = python_mailbox.mbox(path, create=False)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            box.lock()
            break
        except python_mailbox.ExternalClashError:
            if time.monotonic() > deadline:
                raise Stuck(f"{path} cannot be locked for {PATIENCE} s; {holders(path)}") from None
            time.sleep(0.005)
    try:
        box.add(text)
        box.flush()
    finally:
        box.unlock()
        box.close()


def rewrite_in_place(path, change, times_kept=False, **how):
    """The same file with other content. With `times_kept` only its ctime tells of it."""
    with locked(path, **how) as file:
        overwrite(file, change(read(path)), times_kept)


def overwrite(file, content, times_kept=False):
    """What `rewrite_in_place` does under the lock."""
    before = os.fstat(file.fileno())
    file.seek(0)
    file.write(content)
    file.truncate()
    if times_kept:
        os.utime(file.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite_by_rename(path, change, **how):
    """Another file of the same name."""
    with locked(path, **how):
        replace(path, change(read(path)))


def replace(path, content):
    """What `rewrite_by_rename` does under the lock."""
    with open(path + ".fresh", "wb") as fresh:
        fresh.write(content)
    os.rename(path + ".fresh", path)


def remove(path, **how):
    with locked(path, **how):
        os.unlink(path)


# What becomes of the content. Each takes and returns octets.


def tidy(raw):
    """A message that another may follow."""
    return raw if raw.endswith((b"\n\n", b"\n\r\n")) else raw.rstrip(b"\r\n") + b"\n\n"


def parts(content):
    return [tidy(message.raw) for message in messages(content)]


def without(rng):
    """One message, or several, removed."""
    def change(content):
        raws = parts(content)
        for _ in range(min(len(raws), rng.choice((1, 1, 1, 2, 3)))):
            raws.pop(rng.choice((0, rng.randrange(len(raws)))))
        return b"".join(raws)
    return change


def swapped(rng):
    """Two equally long messages have changed places; or any two, where none are."""
    def change(content):
        raws = parts(content)
        if len(raws) < 2:
            return content
        first = rng.randrange(len(raws))
        alike = [n for n, raw in enumerate(raws) if n != first and len(raw) == len(raws[first])]
        other = rng.choice(alike or [n for n in range(len(raws)) if n != first])
        raws[first], raws[other] = raws[other], raws[first]
        return b"".join(raws)
    return change


def replaced(rng, old_token, new_token):
    """A message has become another of the same length: its token is a new one."""
    def change(content):
        raws = parts(content)
        having = [n for n, raw in enumerate(raws) if old_token.search(raw)]
        if having:
            nth = rng.choice(having)
            raws[nth] = old_token.sub(new_token(), raws[nth])
        return b"".join(raws)
    return change


def with_a_new_first(text):
    return lambda content: FROM + text.replace(b"\r\n", b"\n") + b"\n" + content


def marked_as_read(rng):
    """`Status: RO` at the end of a message's header, as mutt writes it."""
    def change(content):
        raws = parts(content)
        having = [n for n, raw in enumerate(raws) if b"Status: RO" not in raw and b"\n\n" in raw[:-1].replace(b"\r", b"")]
        if having:
            nth = rng.choice(having)
            end = min(at for at in (raws[nth].find(b"\n\n"), raws[nth].find(b"\n\r\n")) if at >= 0) + 1
            raws[nth] = raws[nth][:end] + b"Status: RO\n" + raws[nth][end:]
        return b"".join(raws)
    return change


def emptied(_):
    return b""


def untouched(content):
    """Rewritten to the same octets."""
    return content
