"""Relay runs: what a mail host is told, and what stays in the queue (protocol 5)."""

import os
import re
import socket
import threading

from rules.checks import check, holds, same, table
from rules.console import free_port, mbox, read
from rules.peer import PATIENCE
from rules.text import TEXTS

EMPTY, LEFT = 0, 75  # exit statuses; EX_TEMPFAIL if something is left
TRY_LATER, NEVER = "450 not now", "550 never"


class Host:
    """A mail host that answers as it is told, and remembers what it heard."""

    def __init__(self, **replies):
        self.replies = replies  # by verb; `dot` for the end of data; a function gets the line
        self.heard, self.texts = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(PATIENCE)
        file = connection.makefile("rwb")
        try:
            self.converse(file)
        except OSError:
            pass
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def converse(self, file):
        if not self.say(file, "connect", "", "220 host ready"):
            return
        while True:
            line = file.readline()
            if not line:
                return
            self.heard.append(line)
            verb = line[:4].decode().strip().lower()
            usual = {"data": "354 go on", "quit": "221 bye"}.get(verb, "250 fine")
            if not self.say(file, verb, line.decode(), usual):
                return
            if verb == "quit":
                return
            if verb == "data" and self.replies.get("data", "354").startswith("354"):
                self.texts.append(self.text(file))
                if not self.say(file, "dot", "", "250 stored"):
                    return

    def text(self, file):
        lines = []
        while True:
            line = file.readline()
            if line in (b".\r\n", b""):
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def say(self, file, event, line, usual):
        """Answers; false if the connection is to be cut instead."""
        reply = self.replies.get(event, usual)
        reply = reply(line) if callable(reply) else reply
        if reply is None:
            return False
        file.write(reply.encode() + b"\r\n")
        file.flush()
        return True

    def close(self):
        self.listener.close()


class Queue:
    """A directory with mail in its mqueue, and relay runs over it."""

    def __init__(self, hall, *recipients, sender="s@example.org", text=b"Subject: x\r\n\r\nbody\r\n", users=("u",)):
        self.hall = hall
        console, self.directory = hall.own(users=users)
        with console:
            if recipients:
                console.smtp().hello().transaction(sender, *recipients).text(text).close()

    def content(self):
        path = os.path.join(self.directory, "mqueue")
        return read(path) if os.path.exists(path) else b""

    def start(self, *arguments):
        return self.hall.run("relay", "--resolver", f"127.0.0.1:{free_port()}", *arguments, self.directory)

    def run(self, host, *arguments, status):
        with self.start("--smarthost", f"127.0.0.1:{host.port}", *arguments) as run:
            same(run.ended(), status, f"heard {host.heard}, said {run.said}: the exit status")
            return run


HEARD = "protocol 5.4 and 5.5: HELO, MAIL, RCPT, DATA, QUIT; protocol 5.1: one MAIL/RCPT…/DATA per (message, domain)"
STAYS = "protocol 5.14: after a run only what could not be delivered is in the file; exit 75 (EX_TEMPFAIL)"


@check("relay: nothing in the queue", "protocol 5.14: Success, and nothing left: exit 0")
def _(hall):
    for queue in (Queue(hall), Queue(hall, "u@localhost")):
        with queue.start() as run:
            same((run.ended(), run.said), (EMPTY, []), "exit status and stderr")


@check("relay: a message is brought to its host", HEARD)
def _(hall):
    host, queue = Host(), Queue(hall, "x@example.net", text=b"Subject: x\r\n\r\n.dot\r\n")
    queue.run(host, status=EMPTY)
    due = [rb"HELO \S+", rb"MAIL FROM:<s@example\.org>", rb"RCPT TO:<x@example\.net>", rb"DATA", rb"QUIT"]
    same(len(host.heard), len(due), f"the number of commands, {host.heard}")
    for line, pattern in zip(host.heard, due):
        holds(re.fullmatch(pattern + rb"\r\n", line), f"heard {line!r}, due {pattern!r}")
    holds(re.fullmatch(rb"Received: [^\r\n]+\r\n(?:[ \t][^\r\n]+\r\n)*Subject: x\r\n\r\n\.dot\r\n", host.texts[0]), f"the text: {host.texts[0]!r}")
    holds(b"example.net" not in queue.content(), f"the queue: {queue.content()!r}")


@check("relay: the null sender", HEARD)
def _(hall):
    host, queue = Host(), Queue(hall, "x@example.net", sender="")
    queue.run(host, status=EMPTY)
    holds(b"MAIL FROM:<>\r\n" in host.heard, f"heard {host.heard}")


@check("relay: recipients at one domain go together", HEARD)
def _(hall):
    host, queue = Host(), Queue(hall, "x@example.net", "y@example.net", "z@EXAMPLE.net")
    queue.run(host, status=EMPTY)
    same((len(host.texts), sum(line.startswith(b"RCPT") for line in host.heard)), (1, 3), "messages and recipients")


@check("relay: every text arrives as it was sent", "protocol 5.6: dot-stuffing, line ends; files 3.2: mboxrd")
def _(hall):
    chosen = [text for _, text in TEXTS if 0 < len(text) < 100_000 and b"\0" not in text and b"\r" not in text.replace(b"\r\n", b"")]
    host, queue = Host(), Queue(hall)
    console = hall.run("smtp", "-p", "0", queue.directory)
    with console:
        peer = console.listens("smtp").smtp().hello()
        for text in chosen:
            peer.transaction("s@example.org", "x@example.net").text(text)
    queue.run(host, status=EMPTY)
    came = [re.sub(rb"\AReceived: [^\r\n]+\r\n(?:[ \t][^\r\n]+\r\n)*", b"", text) for text in host.texts]
    same(sorted(came), sorted(chosen), "the texts")


@table(STAYS, [
    (f"relay: {reply or 'the connection cut'} at {event} keeps the message, and the next run tries again", event, reply)
    for event in ("connect", "helo", "mail", "rcpt", "data", "dot") for reply in (TRY_LATER, None)
])
def _(hall, event, reply):
    queue = Queue(hall, "x@example.net")
    queue.run(Host(**{event: reply}), status=LEFT)
    holds(b"x@example.net" in queue.content() and queue.content().endswith(b"Subject: x\r\n\r\nbody\r\n\n"), f"the queue: {queue.content()!r}")
    host = Host()
    queue.run(host, status=EMPTY)
    same(len(host.texts), 1, "messages at the second run")


@table("protocol 5.8: failed (5xx …: kept, marked, not tried again until an operator says so)", [
    (f"relay: {NEVER} at {event} is kept and not tried again", event) for event in ("mail", "rcpt", "data", "dot")
])
def _(hall, event):
    queue = Queue(hall, "x@example.net")
    queue.run(Host(**{event: NEVER}), status=LEFT)
    holds(b"x@example.net" in queue.content(), f"the queue: {queue.content()!r}")
    host = Host()
    queue.run(host, status=LEFT)
    same(host.texts, [], "messages at the second run")


@check("relay: delivered recipients leave the file, others of the entry stay", "protocol 5.14: Delivered recipients leave the file even where others of the entry stay")
def _(hall):
    queue = Queue(hall, "good@example.net", "later@example.net", "never@example.net")
    queue.run(Host(rcpt=lambda line: {"g": "250 ok", "l": TRY_LATER, "n": NEVER}[line[9]]), status=LEFT)
    content = queue.content()
    same([word in content for word in (b"good@", b"later@", b"never@")], [False, True, True], "good, later and never in the queue")
    host = Host()
    queue.run(host, status=LEFT)
    same([line for line in host.heard if line.startswith(b"RCPT")], [b"RCPT TO:<later@example.net>\r\n"], "recipients at the second run")


@check("relay: replies of several lines", "protocol 5.7: the relay client must parse it")
def _(hall):
    queue = Queue(hall, "x@example.net")
    lines = "250-one\r\n250-two\r\n250 three"
    queue.run(Host(connect="220-a\r\n220 b", helo=lines, mail=lines, rcpt=lines, dot=lines), status=EMPTY)


@table(STAYS, [
    (f"relay: a host that says {show} keeps the message", reply)
    for show, reply in (("nonsense", "hello there"), ("an endless line", "250 " + "x" * 70_000), ("different codes in one reply", "250-a\r\n550 b"),
                        ("endless lines", "250-a\r\n" * 5000 + "250 b"), ("a code out of range", "999 x"), ("nothing readable", "\x00\x1b[2J"))
])
def _(hall, reply):
    queue = Queue(hall, "x@example.net")
    queue.run(Host(mail=reply), status=LEFT)
    holds(b"x@example.net" in queue.content(), f"the queue: {queue.content()!r}")


@check("relay: nobody listens at the host", STAYS)
def _(hall):
    queue, host = Queue(hall, "x@example.net"), Host()
    host.close()
    host.port = free_port()
    queue.run(host, status=LEFT)


@check("relay: --timeout caps the wait for a silent host", "protocol 5.11: `--timeout SECONDS` (caps every wait for a peer)")
def _(hall):
    queue = Queue(hall, "x@example.net")
    silent = socket.create_server(("127.0.0.1", 0))
    with queue.start("--timeout", "1", "--smarthost", f"127.0.0.1:{silent.getsockname()[1]}") as run:
        same(run.ended(10), LEFT, "the exit status")
    silent.close()


@check("relay: -v prints the conversation", "protocol 5 and 6: `-v` prints the conversation in the same form (C: is what the relay, the client, says)")
def _(hall):
    host, queue = Host(), Queue(hall, "x@example.net")
    said = [re.sub(r"^\[\d+\]", "[N]", line) for line in queue.run(host, "-v", status=EMPTY).said]
    for line in ("[N] New connection", "[N] S: 220 host ready", "[N] C: MAIL FROM:<s@example.org>", "[N] S: 250 fine", "[N] C: DATA",
                 "[N] S: 354 go on", "[N] S: 250 stored", "[N] C: QUIT", "[N] Connection closed"):
        holds(line in said, f"no {line!r} in {said}")
    holds(any(re.fullmatch(r"\[N\] \.\. \d+ octets of message text", line) for line in said), f"no summary in {said}")
    holds("[N] C: body" not in said, f"message text in {said}")


@check("relay: two runs never send one entry twice", "protocol 5.1: New mail may be queued at any moment, and two runs never send one entry twice")
def _(hall):
    host, queue = Host(), Queue(hall)
    with hall.run("smtp", "-p", "0", queue.directory) as console:
        peer = console.listens("smtp").smtp().hello()
        for number in range(10):
            peer.transaction("s@example.org", "x@example.net").text(f"{number}\r\n".encode())
        runs = [queue.start("--smarthost", f"127.0.0.1:{host.port}") for _ in range(3)]
        for number in range(10, 15):
            peer.transaction("s@example.org", "x@example.net").text(f"{number}\r\n".encode())
        for run in runs:
            run.ended()
        queue.run(host, status=EMPTY)
    same(sorted(int(text.splitlines()[-1]) for text in host.texts), list(range(15)), "the texts")


@check("relay: a message without an envelope is left as it is", "protocol 5.1: a message in the file that has no envelope is left as it is")
def _(hall):
    queue = Queue(hall, "x@example.net")
    foreign = b"From a@b Wed Sep 17 11:00:00 2025\nSubject: mine\n\nbody\n\n"
    with open(os.path.join(queue.directory, "mqueue"), "ab") as file:
        file.write(foreign)
    host = Host()
    with queue.start("--smarthost", f"127.0.0.1:{host.port}") as run:
        run.ended()
    same(len(host.texts), 1, "messages sent")
    holds(foreign in queue.content() and b"x@example.net" not in queue.content(), f"the queue: {queue.content()!r}")


@check("relay: --bounce tells a local sender", "protocol 5.13: with `--bounce` a notification (RFC 3464) goes to a local sender and the entry is removed")
def _(hall):
    queue = Queue(hall, "x@example.net", sender="u@localhost")
    queue.run(Host(rcpt=NEVER), "--bounce", status=EMPTY)
    report = read(mbox(queue.directory, "u"))
    holds(report.startswith(b"From <MAILER-DAEMON> "), f"the report: {report!r}")
    for word in (b"multipart/report", b"message/delivery-status", b"x@example.net", b"Action: failed", b"Status: 5"):
        holds(word in report, f"no {word!r} in {report!r}")
    holds(b"x@example.net" not in queue.content(), f"the queue: {queue.content()!r}")


@check("relay: --bounce never answers the null sender", "protocol 5.13: never for `<>`")
def _(hall):
    queue = Queue(hall, "x@example.net", sender="")
    queue.run(Host(rcpt=NEVER), "--bounce", status=LEFT)
    same(read(mbox(queue.directory, "u")), b"", "the mailbox")


@check("relay: --route names the host of a domain", "protocol 5.2: `--route DOMAIN=HOST[:PORT]` (repeatable)")
def _(hall):
    one, two, queue = Host(), Host(), Queue(hall, "x@one.example", "y@two.example")
    with queue.start("--route", f"one.example=127.0.0.1:{one.port}", "--route", f"TWO.example=127.0.0.1:{two.port}") as run:
        same(run.ended(), EMPTY, f"{run.said}: the exit status")
    same([[line for line in host.heard if line.startswith(b"RCPT")] for host in (one, two)],
         [[b"RCPT TO:<x@one.example>\r\n"], [b"RCPT TO:<y@two.example>\r\n"]], "recipients at the hosts")


@check("relay: a resolver that does not answer keeps the message", "protocol 5.3: no answer of a name server: deferred")
def _(hall):
    queue = Queue(hall, "x@example.net")
    with queue.start("--timeout", "1") as run:
        same(run.ended(), LEFT, "the exit status")
    holds(b"x@example.net" in queue.content(), f"the queue: {queue.content()!r}")


@check("relay: wrong use and a missing DIR", "protocol 7.4: exit status 2 for wrong use and 1 for a failure")
def _(hall):
    for arguments, status in ((["relay"], 2), (["relay", "--route", "nowhere", "d"], 2), (["relay", os.path.join(hall.home, "none")], 1)):
        with hall.run(*arguments) as run:
            same((run.ended(), len(run.said)), (status, 1), f"{arguments}, {run.said}: exit status and lines on stderr")
