"""The relay queue as SMTP fills it (protocol 3.9, files 5)."""

import mailbox as python_mailbox
import os
import subprocess

from rules.checks import check, holds, same
from rules.console import clean_environment, mbox, read, write


def queue(directory):
    path = os.path.join(directory, "mqueue")
    return read(path) if os.path.exists(path) else b""


QUEUED = "protocol 3.9: a recipient at another domain goes to DIR/mqueue; files 5.1: an mbox whose entries carry their envelope ahead of the message"


@check("queue: mail for another domain waits in mqueue", QUEUED)
def _(hall):
    console, directory = hall.own()
    with console:
        peer = console.smtp().hello().transaction("s@example.org", "x@example.net", "y@example.com")
        peer.text(b"Subject: out\r\n\r\nbody\r\n")
        content = queue(directory)
        holds(content.startswith(b"From <s@example.org> "), f"mqueue: {content!r}")
        for word in (b"x@example.net", b"y@example.com", b"s@example.org", b"Subject: out\r\n\r\nbody\r\n"):
            holds(word in content.split(b"\n", 1)[1], f"mqueue lacks {word!r}: {content!r}")
        holds(content.endswith(b"body\r\n\n"), f"mqueue: {content!r}")
        holds(content.index(b"x@example.net") < content.index(b"Subject: out"), "the envelope comes first")
        same(read(mbox(directory, "u")), b"", "the mailbox")
        box = python_mailbox.mbox(os.path.join(directory, "mqueue"))
        same(len(box), 1, "entries that Python reads")
        box.close()


@check("queue: entries follow one another", QUEUED)
def _(hall):
    console, directory = hall.own()
    with console:
        for number in range(3):
            console.smtp().hello().transaction("", f"x{number}@example.net").text(b"From x@y Wed Sep 17 11:00:00 2025\r\n\r\nb\r\n")
        content = queue(directory)
        same(content.count(b"\nFrom <MAILER-DAEMON> ") + content.startswith(b"From <MAILER-DAEMON> "), 3, "entries")
        same(content.count(b"\n>From x@y "), 3, "quoted lines")


@check("queue: refused mail is not queued", "protocol 3.8: after a 4xx/5xx nothing of it is in any mailbox")
def _(hall):
    console, directory = hall.own("--max-message", "100")
    with console:
        console.smtp().hello().transaction("s@example.org", "x@example.net", "u").text(b"x" * 300 + b"\r\n", "552 *")
        same([queue(directory), read(mbox(directory, "u"))], [b"", b""], "mqueue and the mailbox")


@check("queue: mqueue is no mailbox", "files 2.1: `mqueue` is not a user")
def _(hall):
    console, directory = hall.own(users=("u", "mqueue"))
    with console:
        peer = console.smtp().hello()
        peer.say("MAIL FROM:<>", "250 OK")
        peer.say("RCPT TO:<mqueue@localhost>", "550 *")
        pop3 = console.pop3()
        pop3.say("USER mqueue", "+OK*")
        pop3.say("PASS cis505", "-ERR*")


@check("queue: a remote recipient named twice is one recipient", "protocol 3.5: A recipient named twice gets one copy")
def _(hall):
    console, directory = hall.own()
    with console:
        peer = console.smtp().hello().transaction("s@example.org", "x@example.net", "x@EXAMPLE.net", "x@example.net")
        peer.text(b"b\r\n")
        same(queue(directory).lower().count(b"x@example.net"), 1, "times that the recipient stands in mqueue")


@check("queue: an mqueue that is no mbox file", "one sentence that names the thing, the reason and the remedy; the file is left as it is")
def _(hall):
    directory = hall.directory()
    path = os.path.join(directory, "mqueue")
    write(path, b"Subject: \x1b[2J\n")
    for command in ("queue", "relay"):
        done = subprocess.run([hall.binary, command, directory], env=clean_environment(), capture_output=True, timeout=60)
        said = done.stderr.decode()
        holds(done.returncode == 1 and said.count("\n") == 1, f"{command}: exit {done.returncode}, stderr {said!r}")
        for words in ("the relay queue is not an mbox file", 'begins with "Subject: \\x1b[2J"', "move the file away"):
            holds(words in said, f"{command}: {said!r} lacks {words!r}")
        holds("Try again" not in said, f"{command}: a remedy that does not fit: {said!r}")
    same(read(path), b"Subject: \x1b[2J\n", "mqueue")
