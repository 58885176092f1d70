#!/usr/bin/env python3
"""A model of the relay queue, among kills.

    tests/models/queue.py target/release/mailconsole [--seconds S] [--seed N]

Clients queue mail through two servers, relay runs send it to mail hosts that take, defer, refuse and
hang up at random, an operator holds, releases, retries and drops, another program appends to the
queue file and edits it, and servers and relay runs are killed. In the end the hosts take everything.

- What was acknowledged to a client reached its host, whole, or was dropped, or its sender was told.
- What was refused reached nobody.
- Nothing comes twice, but for a message in flight when the relay was killed or the host hung up.
- The queue can be read at any time; what another program put there stays.
- Behind clean stops nothing but mail is left.

Exit status 1 if that was broken; the directory is kept then.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.dont_write_bytecode = True

import argparse  # noqa: E402
import collections  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from models import foreign, letters, mboxes  # noqa: E402
from models.mail_host import KIND, RULES, Host, as_sent_on  # noqa: E402
from rules.checks import Off, show  # noqa: E402
from rules.console import Console, clean_environment, terminate_all  # noqa: E402
from rules.peer import stuff  # noqa: E402

TOKEN = re.compile(rb"t\d{7}")
SENDERS = ("local@localhost", "remote@example.org", "")
LONGEST_RUN = 60  # seconds


class Book:
    """What was promised, and to whom."""

    def __init__(self):
        self.lock = threading.Lock()
        self.texts = {}  # of each recipient
        self.senders = {}
        self.fates = {}  # queued, refused, or unknown where the server was killed
        self.dropped = set()
        self.edited = set()
        self.history = collections.defaultdict(list)
        self.began = time.monotonic()

    def note(self, recipients, what):
        with self.lock:
            for recipient in recipients:
                self.history[recipient].append(f"{time.monotonic() - self.began:8.3f} {what}")


class World:
    def __init__(self, binary, directory, seed):
        self.binary, self.directory = binary, directory
        self.mqueue = os.path.join(directory, "mqueue")
        self.mailbox = os.path.join(directory, "local.mbox")
        foreign.replace(self.mailbox, b"")
        self.book, self.faults, self.counts = Book(), [], collections.Counter()
        self.hosts = [Host(rules, seed + nth) for nth, rules in enumerate(RULES)]
        self.strangers = []  # texts that another program appended
        self.over = threading.Event()
        self.servers = [self.start(nth) for nth in range(2)]

    # The program

    def start(self, nth):
        """The first is an SMTP server alone, the second has a relay of its own."""
        common = ("--bind", "127.0.0.1", *self.routes())
        if nth == 0:
            return Console(self.binary, "smtp", "-p", "0", *common, self.directory).listens("smtp")
        ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0")
        console = Console(self.binary, "--no-tui", "--dir", self.directory, *ports, "--relay-every", "1", *common)
        return console.listens("smtp")

    def routes(self):
        routes = (f"d{nth}.example=127.0.0.1:{host.port}" for nth, host in enumerate(self.hosts))
        return [word for route in routes for word in ("--route", route)] + ["--timeout", "3"]

    def command(self, *arguments):
        return subprocess.Popen(
            [self.binary, *arguments], env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def said(self, process, patience=LONGEST_RUN):
        try:
            out, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Off(f"{process.args[1:3]} did not end within {patience} s") from None
        if b"panicked" in errors:
            raise Off(f"{process.args[1:3]} panicked: {errors[-300:]}")
        return process.returncode, out, errors

    def queue(self, *order):
        return self.said(self.command("queue", *order, "--dir", self.directory))

    def listed(self):
        """The recipients in the queue, as scripts read them: a line for each."""
        status, out, errors = self.queue("--json")
        if status != 0:
            raise Off(f"the queue cannot be listed: {errors.decode()}")
        return [json.loads(line) for line in out.splitlines()]

    # What goes on at once

    def clients(self, rng):
        """Queues messages, one after the other."""
        while not self.over.is_set():
            word = letters.token()
            recipients = [f"{word.decode()}-{n}@d{rng.randrange(len(self.hosts))}.example" for n in range(rng.choice((1, 1, 2, 3, 5)))]
            sender, text = rng.choice(SENDERS), rng.choice(letters.SHAPES)(word)
            with self.book.lock:
                for recipient in recipients:
                    self.book.texts[recipient], self.book.senders[recipient] = text, sender
                    self.book.fates[recipient] = "unknown"
            reply = b""
            try:
                reply = submit(rng.choice(self.servers), sender, recipients, text)
            except (Off, OSError):
                pass
            fate = "queued" if reply.startswith(b"250") else "refused" if reply[:1] in (b"4", b"5") else "unknown"
            with self.book.lock:
                self.book.fates.update((recipient, fate) for recipient in recipients)
            self.book.note(recipients, f"{fate} by SMTP {show(reply, 60)}")
            self.counts[fate] += 1
            self.over.wait(rng.choice((0, 0, 0.02, 0.1)))

    def runs(self, rng):
        """One relay run after the other; some are killed."""
        while not self.over.is_set():
            process = self.command("relay", self.directory, *self.routes(), *rng.choice(([], [], ["--bounce"])))
            if rng.random() < 0.6:
                time.sleep(rng.choice((0.02, 0.1, 0.3, 1, 2)) * rng.random())
                process.kill()
                process.communicate()
                self.counts["relay runs killed"] += 1
            else:
                self.said(process)
                self.counts["relay runs"] += 1

    def kills(self, rng):
        """Kills a server and starts another in its place."""
        while not self.over.wait(rng.random() * 3):
            nth = rng.randrange(len(self.servers))
            self.servers[nth].kill()
            self.servers[nth] = self.start(nth)
            self.counts["servers killed"] += 1

    def orders(self, rng):
        while not self.over.wait(rng.random() * 0.5):
            rows = self.listed()
            if not rows:
                continue
            row = rng.choice(rows)
            whole = rng.random() < 0.5
            target = row["id"] if whole else f"{row['id']}/{row['recipient']}"
            order = rng.choice(["hold", "release", "retry", "retry", "drop"])
            meant = [r["recipient"] for r in rows if r["id"] == row["id"]] if whole else [row["recipient"]]
            if order == "drop":
                # Before it is done: it may be done at any moment from now on.
                self.book.dropped.update(meant)
            status, _, errors = self.queue(order, target)
            self.book.note(meant, f"{order}: exit status {status} {errors.decode()[:60]}")
            self.counts["orders"] += 1

    def others(self, rng):
        """Another program with the queue file: it locks as mutt does."""
        while not self.over.wait(rng.random()):
            if not os.path.exists(self.mqueue):
                continue
            what = rng.random()
            if what < 0.4:
                text = letters.short(letters.token()).replace(b"\r\n", b"\n")
                foreign.append(self.mqueue, foreign.FROM + text + b"\n", dotlock_first=rng.random() < 0.5)
                self.strangers.append(mboxes.crlf(text))
            elif what < 0.7:
                self.edit(rng, rng.choice([foreign.rewrite_in_place, foreign.rewrite_by_rename]))
            else:
                rng.choice([foreign.rewrite_in_place, foreign.rewrite_by_rename])(self.mqueue, lambda content: content)
            self.counts["edits of another program"] += 1

    def edit(self, rng, rewrite):
        """A message of the queue is marked as read, as mutt does: a line more in its header."""
        def change(content):
            changed = foreign.marked_as_read(rng)(content)
            # Whoever's text may have been changed is not compared to the octet.
            self.book.edited.update(TOKEN.findall(changed))
            return changed

        rewrite(self.mqueue, change)

    def looks(self, rng):
        """The queue is always readable."""
        while not self.over.wait(0.2 * rng.random()):
            self.listed()
            self.counts["listings"] += 1

    def run(self, seconds, seed):
        jobs = [self.clients, self.clients, self.clients, self.runs, self.runs, self.kills, self.orders, self.others, self.looks]
        threads = [threading.Thread(target=self.guarded, args=(job, seed + nth)) for nth, job in enumerate(jobs)]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join(LONGEST_RUN + 30)
            if thread.is_alive():
                raise Off("something hangs")
        if self.faults:
            raise self.faults[0]

    def guarded(self, job, seed):
        try:
            job(random.Random(seed))
        except Exception as fault:  # whatever breaks a thread is a finding
            self.faults.append(fault)
            self.over.set()

    # The end

    def settle(self):
        """Servers end cleanly; what is held stays, what is dropped never comes; the rest is sent."""
        for server in self.servers:
            server.signal(signal.SIGTERM)
        for server in self.servers:
            if server.ended(20) != 0:
                raise Off(f"a server ended with {server.process.returncode}: {server.said[-3:]}")
        for host in self.hosts:
            host.rules = KIND
        self.hold_one()
        rows = self.listed()
        for row in {row["id"] for row in rows}:
            status, _, errors = self.queue("retry", row)
            if status != 0:
                raise Off(f"retry {row}: {errors.decode()}")
        status, _, errors = self.said(self.command("relay", self.directory, *self.routes()))
        left = self.listed()
        if status != 0 or left:
            raise Off(f"all hosts take all mail, and the relay ends with {status}, leaving {left[:3]}: {errors.decode()[-300:]}")

    def hold_one(self):
        rows = self.listed()
        if not rows:
            return
        held = rows[len(rows) // 2]["id"]
        self.queue("hold", held)
        of_it = [row["recipient"] for row in rows if row["id"] == held]
        before = [len(self.copies(recipient)) for recipient in of_it]
        self.said(self.command("relay", self.directory, *self.routes()))
        if [len(self.copies(recipient)) for recipient in of_it] != before:
            raise Off(f"{held} was held, and was sent")

    def host_of(self, recipient):
        return self.hosts[int(recipient.partition("@d")[2][0])]

    def copies(self, recipient):
        return self.host_of(recipient).copies[recipient]

    def check(self):
        for host in self.hosts:
            host.close()
        told = b"".join(mboxes.texts(self.mailbox))
        for recipient, fate in self.book.fates.items():
            copies, host = self.copies(recipient), self.host_of(recipient)
            most = 1 + host.forgiven[recipient]
            if fate == "refused" and copies:
                raise Lost(recipient, "was refused by SMTP, and was sent")
            if len(copies) > most:
                raise Lost(recipient, f"came {len(copies)} times, where {most} can be explained")
            text = self.book.texts[recipient]
            for copy in copies:
                self.check_text(recipient, copy, as_sent_on(mboxes.crlf(text)))
            accounted = copies or recipient in self.book.dropped or recipient.encode() in told
            if fate == "queued" and not accounted:
                raise Lost(recipient, "was acknowledged, and is lost")
        unknown = {r for host in self.hosts for r in host.copies} - self.book.fates.keys()
        if unknown:
            raise Off(f"recipients that nobody named: {unknown}")
        left = [text.replace(b"Status: RO\r\n", b"") for text in mboxes.texts(self.mqueue)]
        if sorted(left) != sorted(self.strangers):
            raise Off(f"of {len(self.strangers)} messages of another program {len(left)} are in the queue file")
        names = mboxes.strangers(self.directory)
        if names:
            raise Off(f"something is left beside the mail: {names}")

    def check_text(self, recipient, came, due):
        if TOKEN.search(due)[0] in self.book.edited:
            came, due = came.replace(b"Status: RO\r\n", b""), due.replace(b"Status: RO\r\n", b"")
        if came != due:
            raise Lost(recipient, f"is another text: {show(came)} instead of {show(due)}")


class Lost(Off):
    """What has become of the mail for a recipient is wrong."""

    def __init__(self, recipient, what):
        super().__init__(f"{recipient} {what}")
        self.recipient = recipient


def submit(server, sender, recipients, text):
    peer = server.smtp().hello()
    try:
        peer.say(f"MAIL FROM:<{sender}>", "250 OK")
        for recipient in recipients:
            peer.say(f"RCPT TO:<{recipient}>", "250 OK")
        peer.say("DATA", peer.go_ahead)
        peer.send(stuff(text) + b".\r\n")
        return peer.line()
    finally:
        peer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    print(f"seed {options.seed}", flush=True)
    directory = tempfile.mkdtemp(prefix="mailconsole-queue-")
    try:
        world = World(os.path.abspath(options.binary), directory, options.seed)
        world.run(options.seconds, options.seed)
        world.settle()
        world.check()
    except (Off, OSError, foreign.Stuck) as broken:
        print(f"FAIL {broken}\nseed {options.seed}; the directory is {directory}")
        for line in world.book.history.get(getattr(broken, "recipient", None), []):
            print(f"     {line}")
        return 1
    finally:
        terminate_all()
    shutil.rmtree(directory)
    copies = sum(len(texts) for host in world.hosts for texts in host.copies.values())
    print(f"PASS {len(world.book.fates)} recipients, {copies} copies; "
          + ", ".join(f"{count} {name}" for name, count in world.counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
