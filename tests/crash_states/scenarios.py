"""The workloads: what is done to the program while it is traced. Each fills the ledger with what it
sent and where it was acknowledged.
"""

import json
import os
import signal
import time
from dataclasses import dataclass

from clients import ExitMark, Reader, Refused, Sender
from ledger import ALWAYS, Handed, Ledger, Message, Order, Update
from states import KILL, POWER

USERS = ("alice", "bob", "carol")
OUTSIDE = "example.org"
QUIET = 3  # seconds after which nothing but mail may be in the directory


@dataclass(frozen=True)
class Scenario:
    name: str
    play: object
    kinds: tuple = (POWER, KILL)
    foreign: bool = False  # whether other programs change mailboxes of its states
    weight: float = 1.0  # of its share of a sample


def text(name, size=300):
    """A message of about so many octets, with what mailbox formats stumble over. No line of it
    stands in another message, or twice in this one.
    """
    lines = [
        f"From: <{name}@client.example.org>",
        f"Subject: the message {name}",
        "",
        f"From the beginning of {name} Wed Sep 17 11:00:00 2025",
        f">From a reply to {name} Wed Sep 17 11:00:00 2025",
        f".a dot and, behind it, {name}",
        f"\u00fcml\u00e4uts and \0\0\0\0 zeros in {name}",
    ]
    octets = "\r\n".join(lines).encode() + b"\r\n"
    number = 0
    while len(octets) < size:
        number += 1
        count = min(60 * (1 + size // 4000), 900)
        octets += (f"{name} {number:06} " * count).encode()[:count] + b"\r\n"
    return octets + f"the end of {name}\r\n".encode()


def foreign(name, line_end="\n"):
    """A message as another program stores it, and as POP3 serves it."""
    body = [f"From: {name}@elsewhere.example.org", f"Subject: {name}", "", f"kept: {name}", ""]
    stored = f"From {name}@elsewhere.example.org Tue Sep 16 10:00:00 2025{line_end}"
    stored += line_end.join(body)
    return stored.encode(), "\r\n".join(body).encode()


def mailboxes():
    """Mail of other programs: two messages, one whose separating line is missing, and none."""
    first, second, third = foreign("old1"), foreign("old2", "\r\n"), foreign("old3")
    files = {
        "alice.mbox": first[0] + b"\n" + second[0] + b"\r\n",
        "bob.mbox": third[0],
        "carol.mbox": b"",
    }
    ledger = Ledger(USERS)
    for name, (stored, served), user in (
        ("old1", first, "alice"), ("old2", second, "alice"), ("old3", third, "bob"),
    ):
        message = Message(name, served, (user,), promised=ALWAYS, stored=stored)
        ledger.messages.append(message)
    return files, ledger


class Play:
    """A workload under way."""

    def __init__(self, stage, binary, ledger, mail_host):
        self.stage = stage
        self.binary = binary
        self.directory = stage.machine.directory
        self.ledger = ledger
        self.mail_host = mail_host
        self.processes = []
        self.first_process = 0
        self.ports = {}

    # Programs

    def serve(self, *options):
        """All three servers in one process."""
        ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0")
        command = [self.binary, "--dir", self.directory, "--no-tui", *ports, *options]
        return self.start(command, 3)

    def serve_one(self, server, *options):
        return self.start([self.binary, server, "-p", "0", *options, self.directory], 1)

    def start(self, command, listeners):
        command += ["--bind", "127.0.0.1"]
        process, ports = self.stage.start(*command, listeners=listeners)
        self.processes.append(process)
        self.first_process = self.first_process or process
        self.ports.update(ports)
        return ports

    def stop(self):
        for process in self.processes:
            os.kill(process, signal.SIGTERM)
        for process in self.processes:
            status = self.stage.wait(process)
            if status != 0:
                raise Refused(f"the program ended with status {status}")
        self.processes = []

    def run(self, *arguments, allowed=(0,)):
        status, process, said = self.stage.run(self.binary, *arguments)
        if status not in allowed:
            raise Refused(f"{' '.join(arguments)} ended with status {status}")
        return process, said

    def rest(self):
        """Gives the program the time to put the directory in order, and looks whether it has."""
        time.sleep(QUIET)
        for name in left_over(self.directory):
            raise Refused(f"{name} is in the directory after {QUIET} s of quiet")

    # Mail

    def message(self, name, boxes, queued=(), size=300):
        message = Message(name, text(name, size), tuple(boxes), tuple(queued))
        self.ledger.messages.append(message)
        return message

    def begin(self, message, port=None):
        """A session that has sent all but the last dot."""
        session = Sender(port or self.ports["smtp"])
        local = [f"{user}@localhost" for user in message.boxes]
        session.begin(f"{message.name}@client.example.org", [*local, *message.queued])
        session.text(message.text)
        return session

    def deliver(self, name, boxes, queued=(), size=300, port=None):
        message = self.message(name, boxes, queued, size)
        with self.begin(message, port) as session:
            session.end()
            message.promised = session.acknowledged()

    def redirect(self, name, recipients, box, size=300):
        """A message for others, which the mailbox of `--catch-all` gets."""
        sent = text(name, size)
        fields = "".join(f"X-Original-To: {one}\r\n" for one in recipients)
        message = Message(name, fields.encode() + sent, (box,))
        self.ledger.messages.append(message)
        with Sender(self.ports["smtp"]) as session:
            session.begin(f"{name}@client.example.org", recipients)
            session.text(sent)
            session.end()
            message.promised = session.acknowledged()

    def deliver_together(self, messages, ports=(None,)):
        """All dots at once."""
        sessions = []
        for nth, message in enumerate(messages):
            sessions.append((message, self.begin(message, ports[nth % len(ports)])))
        for _, session in sessions:
            session.end()
        for message, session in sessions:
            message.promised = session.acknowledged()
            session.socket.close()

    def burst(self, prefix, count, ports=(None,)):
        messages = []
        for nth in range(count):
            boxes = (USERS[nth % 3],) if nth % 4 else USERS[:2]
            messages.append(self.message(f"{prefix}{nth}", boxes))
        self.deliver_together(messages, ports)

    def update(self, names, user, port=None, meanwhile=None):
        """A POP3 session that removes the messages of these names."""
        texts = {message.text: message.name for message in self.ledger.messages}
        with Reader(port or self.ports["pop3"], user) as session:
            there = [texts[one] for one in session.texts()]
            session.delete(there.index(name) + 1 for name in names)
            if meanwhile:
                meanwhile()
            self.ledger.updates.append(Update(user, tuple(names), session.quit()))

    def look(self, users):
        """POP3 sessions that change nothing."""
        for user in users:
            with Reader(self.ports["pop3"], user) as session:
                session.quit()

    # The queue

    def relay(self):
        self.mail_host.take()
        route = f"{OUTSIDE}=127.0.0.1:{self.mail_host.port}"
        self.run("relay", self.directory, "--route", route, "--timeout", "5", allowed=(0, 75))
        for recipients, octets, mark in self.mail_host.take():
            name = next(
                one.name for one in self.ledger.messages
                if one.queued and octets.endswith(one.text)
            )
            self.ledger.handed.append(Handed(name, recipients, mark))

    def order(self, verb, message, recipients):
        _, listed = self.run("queue", "--json", self.directory)
        ids = {one["recipient"]: one["id"] for one in map(json.loads, listed.splitlines())}
        picked = [f"{ids[recipient]}/{recipient}" for recipient in recipients]
        process, _ = self.run("queue", verb, self.directory, *picked)
        self.ledger.orders.append(Order(verb, message, tuple(recipients), ExitMark(process)))


def left_over(directory):
    """The names in a mail directory that are no mail, and not the control socket of a server."""
    names = sorted(os.listdir(directory))
    ours = ("mqueue", ".mailconsole.sock")
    return [name for name in names if name not in ours and not name.endswith(".mbox")]


# The workloads


def one_mailbox(play):
    play.serve()
    play.deliver("one", ["alice"])
    play.deliver("two", ["bob"])
    play.deliver("three", ["alice"])
    play.stop()


def three_recipients(play):
    play.serve()
    play.deliver("to-three", USERS)
    play.deliver("to-two", USERS[1:], size=5000)
    play.stop()


def burst(play):
    play.serve()
    play.burst("first-", 10)
    play.burst("second-", 10)
    play.burst("third-", 6)
    play.stop()


def large(play):
    play.serve()
    play.deliver("before", ["alice"])
    play.deliver("large", ["alice"], size=300_000)
    # Too long for memory: part of it is copied from a file without a name.
    play.deliver("large-two", ["alice", "bob"], size=2_300_000)
    play.deliver("behind", ["alice", "bob"])
    play.stop()


def very_large(play):
    play.serve()
    play.deliver("very-large", ["carol"], size=2_000_000)
    play.deliver("behind", ["carol"])
    play.stop()


def large_among_small(play):
    play.serve()
    big = play.message("big", ["alice"], size=700_000)
    with play.begin(big) as session:
        play.deliver("small-1", ["alice"])
        small = [play.message(f"small-{nth}", USERS[nth % 2 :][:1]) for nth in range(2, 6)]
        sessions = [(message, play.begin(message)) for message in small]
        session.end()
        for _, other in sessions:
            other.end()
        big.promised = session.acknowledged()
        for message, other in sessions:
            message.promised = other.acknowledged()
            other.socket.close()
    play.stop()


def pop3_update(play):
    play.serve()
    for name in ("stays", "goes-1", "goes-2", "stays-too"):
        play.deliver(name, ["alice"])
    play.update(
        ["old1", "goes-1", "goes-2"], "alice", meanwhile=lambda: play.deliver("meanwhile", USERS)
    )
    play.deliver("later", ["alice"])
    play.update(["old3", "meanwhile"], "bob")
    play.stop()


def queue_and_relay(play):
    play.serve_one("smtp")
    first = [f"first-{nth}@{OUTSIDE}" for nth in range(3)]
    second = [f"second@{OUTSIDE}", f"later@{OUTSIDE}", f"never@{OUTSIDE}"]
    play.deliver("q1", ["alice"], first)
    play.deliver("q2", [], second, size=3000)
    play.ledger.orders.append(Order("refuse", "q2", tuple(second[1:]), ALWAYS))
    play.relay()
    play.deliver("q3", ["bob"], [f"third@{OUTSIDE}"])
    play.relay()
    play.stop()


def queue_orders(play):
    play.serve_one("smtp")
    recipients = {name: [f"{name}-{nth}@{OUTSIDE}" for nth in range(2)] for name in ("a", "b", "c")}
    for name, queued in recipients.items():
        play.deliver(name, [], queued)
    play.order("drop", "b", recipients["b"])
    play.order("hold", "c", recipients["c"][:1])
    play.deliver("d", ["carol"], [f"d@{OUTSIDE}"])
    play.order("retry", "c", recipients["c"][:1])
    play.order("drop", "a", recipients["a"][:1])
    play.stop()


def pause(play):
    play.serve()
    play.burst("before-", 4)
    play.rest()
    play.deliver("after-the-pause", USERS)
    play.rest()
    play.stop()


def shutdown(play):
    """SIGTERM right behind the dots: what is under way is finished and answered."""
    play.serve()
    play.burst("early-", 6)
    messages = [play.message(f"late-{nth}", (USERS[nth % 3],)) for nth in range(5)]
    sessions = [(message, play.begin(message)) for message in messages]
    for _, session in sessions:
        session.end()
    for process in play.processes:
        os.kill(process, signal.SIGTERM)
    for message, session in sessions:
        mark = session.mark()
        # A text whose dot had not been read yet is refused, and its message was never promised.
        if session.line().startswith(b"250"):
            message.promised = mark
        session.socket.close()
    for process in play.processes:
        play.stage.wait(process)


def without_sync(play):
    play.serve("--no-sync")
    play.deliver("one", ["alice"])
    play.burst("burst-", 8)
    play.deliver("large", ["bob"], size=300_000)
    play.update(["one"], "alice")
    play.stop()


def two_smtp_servers(play):
    ports = [play.serve_one("smtp")["smtp"] for _ in range(2)]
    play.deliver("a", ["alice"], port=ports[0])
    play.deliver("b", USERS, port=ports[1])
    play.burst("burst-", 8, ports)
    play.deliver("c", ["alice"], port=ports[0])
    play.burst("again-", 8, ports)
    play.stop()


def smtp_and_pop3(play):
    smtp = play.serve_one("smtp")["smtp"]
    pop3 = play.serve_one("pop3")["pop3"]
    play.burst("burst-", 6)
    removed = ["old1", "burst-0", "burst-3"]
    play.update(removed, "alice", pop3, lambda: play.deliver("meanwhile", ["alice"], port=smtp))
    play.deliver("last", USERS, port=smtp)
    play.stop()


def redirected(play):
    play.serve("--catch-all", "carol")
    play.redirect("one", [f"anna@{OUTSIDE}"], "carol")
    play.redirect("many", [f"u{nth}@{OUTSIDE}" for nth in range(9)], "carol")
    play.deliver("sent", ["carol"])
    play.redirect("large", ["nobody@localhost"], "carol", size=300_000)
    play.stop()


SCENARIOS = [
    Scenario("one", one_mailbox, foreign=True),
    Scenario("three", three_recipients, foreign=True),
    Scenario("burst", burst, foreign=True, weight=2),
    Scenario("large", large, foreign=True),
    Scenario("very-large", very_large, weight=0.5),
    Scenario("mixed", large_among_small),
    Scenario("update", pop3_update, foreign=True),
    Scenario("queue", queue_and_relay),
    Scenario("orders", queue_orders),
    Scenario("pause", pause),
    Scenario("shutdown", shutdown),
    Scenario("no-sync", without_sync, kinds=(KILL,)),
    Scenario("two-smtp", two_smtp_servers),
    Scenario("smtp-pop3", smtp_and_pop3),
    Scenario("redirected", redirected),
]
