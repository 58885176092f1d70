#!/usr/bin/env python3
"""A model of POP3 over mailboxes that other programs change.

    tests/models/pop3.py target/release/mailconsole [--sessions N] [--minutes M] [--seed N]

Two processes serve one directory. Step by step, at random: mail is delivered, POP3 sessions fetch,
mark, and end in every way, and other programs append, rewrite, edit in place, empty, remove. After
each step every file is read, and what each reply promised is held against it:

- numbers, sizes and unique-ids of a session are those of its login;
- RETR sends what LIST meant, or -ERR, or the connection ends; never a wrong text that ends properly;
- +OK to QUIT removed the marked messages and nothing else, -ERR removed nothing;
- mail that arrived meanwhile is there, and nothing else writes to a mailbox at any time.

The seed makes a run come again. Exit status 1 if a promise was broken; the directory is kept then.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.dont_write_bytecode = True

import argparse  # noqa: E402
import collections  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

from models import foreign, letters, mboxes  # noqa: E402
from rules.checks import Off, show  # noqa: E402
from rules.console import Console, terminate_all  # noqa: E402
from rules.peer import md5, stuff  # noqa: E402

TOKEN = re.compile(rb"t\d{7}")
USERS = [f"u{number}" for number in range(6)]


class Box:
    """A mailbox: its file, the session that has it, and what has been done to it."""

    def __init__(self, directory, user):
        self.user = user
        self.path = os.path.join(directory, f"{user}.mbox")
        self.session = None
        self.history = collections.deque(maxlen=40)
        self.last = b""  # its content behind the last step; None while there is no file
        self.stamp = None  # what stat told of it then

    def note(self, what):
        self.history.append(what)

    def settle(self):
        """Remembers what the file is now."""
        if self.stamp is None or self.stamp != stamp_of(self.path):
            self.stamp, self.last = stamp_of(self.path), mboxes.read(self.path)

    def check_untouched(self):
        if self.stamp != stamp_of(self.path) and self.last != mboxes.read(self.path):
            raise Off(f"the file changed while nobody was at it: it had {length(self.last)} octets")


def stamp_of(path):
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class Session:
    """A POP3 session as it must look from its login on."""

    def __init__(self, peer, console, stored):
        self.peer, self.console = peer, console
        self.stored = stored
        self.texts = [message.text for message in stored]
        self.marked = set()
        self.disturbed = False  # whether another program did more than append

    def unmarked(self):
        return [n for n in range(1, len(self.texts) + 1) if n not in self.marked]


class World:
    """The directory, the processes that serve it, and the steps that are possible."""

    def __init__(self, binary, directory, rng):
        self.binary, self.directory, self.rng = binary, directory, rng
        self.boxes = [Box(directory, user) for user in USERS]
        for box in self.boxes:
            open(box.path, "wb").close()
            box.settle()
        self.consoles = [self.start(), self.start()]
        self.sessions = 0
        self.counts = collections.Counter()

    def start(self):
        ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0")
        console = Console(self.binary, "--no-tui", "--dir", self.directory, "--bind", "127.0.0.1", *ports)
        return console.listens("smtp", "pop3")

    def run(self, sessions, until):
        while self.sessions < sessions and time.monotonic() < until:
            box = self.rng.choice(self.boxes)
            try:
                self.step(box)
            except (Off, OSError, foreign.Stuck) as error:
                raise Broken(box, error) from error

    def step(self, box):
        for each in self.boxes:
            each.check_untouched()
        steps = IN_SESSION if box.session else OUT_OF_SESSION
        step = self.rng.choices([one for one, _ in steps], [weight for _, weight in steps])[0]
        self.counts[step.__name__.replace("_", " ")] += 1
        step(self, box)
        self.settle()

    def settle(self):
        for box in self.boxes:
            box.settle()

    # Deliveries

    def deliver(self, box):
        """To one mailbox or several; a file that is not there is no user."""
        rng = self.rng
        boxes = [box, *rng.sample([b for b in self.boxes if b is not box], rng.choice((0, 0, 0, 1, 2)))]
        text = letters.letter(rng)
        befores = {b: mboxes.stored(b.path) for b in boxes}
        there = [b for b in boxes if b.last is not None]
        peer = rng.choice(self.consoles).smtp().hello()
        peer.say("MAIL FROM:<s@example.org>", "250 OK")
        for b in boxes:
            peer.say(f"RCPT TO:<{b.user}@localhost>", "250 OK" if b in there else "550*")
        if there:
            peer.say("DATA", peer.go_ahead)
            peer.text(text)
        peer.close()
        for b in there:
            b.note(f"SMTP delivers {name_of(text)} to {len(there)}")
            due = [m.text for m in befores[b]] + [mboxes.crlf(text)]
            same_texts(mboxes.texts(b.path), due, f"{b.user} behind a delivery")

    def deliver_many(self, box):
        """Enough equally long messages that a check of samples is not enough."""
        if box.last is None or len(box.last) > 500_000:
            return
        shape = self.rng.choice(letters.SHAPES[:3])
        texts = [shape(letters.token()) for _ in range(self.rng.choice((20, 70, 150)))]
        before = mboxes.texts(box.path)
        peer = self.rng.choice(self.consoles).smtp().hello()
        for text in texts:
            peer.send(f"MAIL FROM:<s@example.org>\r\nRCPT TO:<{box.user}@localhost>\r\nDATA\r\n".encode() + stuff(text) + b".\r\n")
            peer.expect("250 OK", "250 OK", peer.go_ahead, "250 OK")
        peer.close()
        box.note(f"SMTP delivers {len(texts)} of {len(texts[0])} octets, {name_of(texts[0])} to {name_of(texts[-1])}")
        same_texts(mboxes.texts(box.path), before + texts, "the mailbox behind many deliveries")

    # Sessions

    def log_in(self, box):
        console = self.rng.choice(self.consoles)
        peer = console.pop3()
        peer.say(f"USER {box.user}", "+OK*")
        if box.last is None:
            peer.say("PASS cis505", "-ERR*")
            peer.close()
            return
        peer.say("PASS cis505", "+OK*")
        self.begin(box, Session(peer, console, mboxes.stored(box.path)))

    def log_in_under_a_lock(self, box):
        """PASS waits for the lock of a program that is just changing the mailbox."""
        if box.last is None:
            return
        console = self.rng.choice(self.consoles)
        peer = console.pop3()
        with foreign.locked(box.path, self.rng.random() < 0.5) as file:
            peer.say(f"USER {box.user}", "+OK*")
            peer.send("PASS cis505\r\n")
            peer.silent(0.02)
            self.change(box, file)
        peer.expect("+OK*")
        self.begin(box, Session(peer, console, mboxes.stored(box.path)))

    def begin(self, box, session):
        self.sessions += 1
        box.session = session
        box.note(f"login: {len(session.texts)} messages, {sum(map(len, session.texts))} octets")
        session.peer.say("STAT", f"+OK {len(session.texts)} {sum(map(len, session.texts))}")

    def log_in_twice(self, box):
        peer = self.rng.choice(self.consoles).pop3()
        peer.say(f"USER {box.user}", "+OK*")
        peer.say("PASS cis505", "-ERR*")
        peer.close()

    def stat(self, box):
        session = box.session
        left = [session.texts[n - 1] for n in session.unmarked()]
        self.ask(box, "STAT", f"+OK {len(left)} {sum(map(len, left))}")

    def list(self, box):
        session = box.session
        self.listing(box, "LIST", {n: str(len(session.texts[n - 1])) for n in session.unmarked()}, refusable=False)

    def list_one(self, box):
        number, there = self.number(box)
        due = f"+OK {number} {len(box.session.texts[number - 1])}" if there else "-ERR*"
        self.ask(box, f"LIST {number}", due)

    def uidl(self, box):
        session = box.session
        self.listing(box, "UIDL", {n: md5(session.texts[n - 1]) for n in session.unmarked()}, refusable=True)

    def uidl_one(self, box):
        number, there = self.number(box)
        if not there:
            self.ask(box, f"UIDL {number}", "-ERR*")
            return
        due = f"+OK {number} {md5(box.session.texts[number - 1])}"
        self.ask(box, f"UIDL {number}", [due, "-ERR*"] if box.session.disturbed else due)

    def retr(self, box):
        session = box.session
        number, there = self.number(box)
        reply = self.ask(box, f"RETR {number}", ["+OK*", "-ERR*"] if there and session.disturbed else "+OK*" if there else "-ERR*")
        if reply and reply.startswith(b"+OK"):
            text = received(session.peer)
            if text is None:
                self.cut_off(box)
            elif text != session.texts[number - 1]:
                raise Off(f"RETR {number} sent {show(text)} instead of {show(session.texts[number - 1])}")

    def dele(self, box):
        number, there = self.number(box)
        if self.ask(box, f"DELE {number}", "+OK*" if there else "-ERR*") and there:
            box.session.marked.add(number)

    def dele_many(self, box):
        for number in box.session.unmarked()[:self.rng.choice((2, 5, 200))]:
            if not self.ask(box, f"DELE {number}", "+OK*"):
                return
            box.session.marked.add(number)

    def rset(self, box):
        if self.ask(box, "RSET", "+OK*"):
            box.session.marked.clear()

    def noop(self, box):
        self.ask(box, "NOOP", "+OK*")

    def number(self, box):
        """A message number, and whether it names a message that is not marked."""
        most = len(box.session.texts)
        chosen = self.rng.choice([*box.session.unmarked(), self.rng.randint(0, most + 2)])
        return chosen, chosen in box.session.unmarked()

    def ask(self, box, command, due):
        """The reply, which must be as due; None if a disturbed session has ended instead."""
        session = box.session
        session.peer.send(f"{command}\r\n")
        reply = session.peer.raw_line()
        box.note(f"{command} -> {show(reply, 80)}")
        if not reply and session.disturbed:
            self.cut_off(box)
            return None
        wanted = due if isinstance(due, list) else [due]
        if not any(reply.startswith(w[:-1].encode()) if w.endswith("*") else reply == w.encode() + b"\r\n" for w in wanted):
            raise Off(f"{command} was answered {show(reply)}, due was {due}")
        return reply

    def listing(self, box, command, due, refusable):
        session = box.session
        refused = refusable and session.disturbed
        reply = self.ask(box, command, ["+OK*", "-ERR*"] if refused else "+OK*")
        if not reply or reply.startswith(b"-ERR"):
            return
        text = received(session.peer)
        if text is None:
            self.cut_off(box)
            return
        came = dict(line.split(" ", 1) for line in text.decode().splitlines())
        came = {int(number): value for number, value in came.items()}
        if came != due:
            wrong = [(n, came.get(n), due.get(n)) for n in sorted(came.keys() | due.keys()) if came.get(n) != due.get(n)]
            raise Off(f"{command}: number, what came, what was due: {wrong[:5]}")

    def cut_off(self, box):
        """The connection has ended within a session; nothing is removed."""
        if not box.session.disturbed:
            raise Off("the connection ended, though no other program changed the mailbox")
        box.note("the connection ended")
        self.leave(box)

    def leave(self, box):
        box.session.peer.close()
        box.session = None

    # Ends of sessions

    def quit(self, box):
        before = Snapshot(box.path)
        box.session.peer.send("QUIT\r\n")
        self.hear_end(box, before)

    def quit_under_a_lock(self, box):
        """UPDATE waits for the lock of a program that is just changing the mailbox."""
        if box.last is None or not box.session.marked:
            return
        with foreign.locked(box.path, self.rng.random() < 0.5) as file:
            box.session.peer.send("QUIT\r\n")
            box.session.peer.silent(0.02)
            self.change(box, file)
            before = Snapshot(box.path)
        self.hear_end(box, before)

    def hear_end(self, box, before):
        session = box.session
        reply = session.peer.raw_line()
        box.note(f"QUIT with {len(session.marked)} marked -> {show(reply, 80)}")
        if reply.startswith(b"+OK"):
            session.peer.ends()
            if not session.marked and Snapshot(box.path) != before:
                raise Off("QUIT without DELE changed the file, or made another")
            check_update(session, before, mboxes.stored(box.path))
        elif reply.startswith(b"-ERR") or not reply:
            if not session.disturbed:
                raise Off(f"QUIT was answered {show(reply)}, though no other program changed the mailbox")
            if Snapshot(box.path) != before:
                raise Off("QUIT was answered -ERR, but the file changed")
        else:
            raise Off(f"QUIT was answered {show(reply)}")
        self.leave(box)

    def disconnect(self, box):
        end = self.rng.choice(["close", "reset", "half a QUIT"])
        box.note(end)
        if end == "half a QUIT":
            box.session.peer.send("QUIT\r")
        if end == "reset":
            box.session.peer.reset()
        console, session = box.session.console, box.session
        self.leave(box)
        self.until_free(console, box, session)

    def until_free(self, console, box, session):
        """The lock of a session ends soon after its connection, and nothing is removed."""
        deadline = time.monotonic() + 20
        while box.last is not None:
            peer = console.pop3()
            peer.send(f"USER {box.user}\r\nPASS cis505\r\n")
            peer.expect("+OK*")
            ended = peer.line().startswith(b"+OK")
            peer.close()
            if ended:
                break
            if time.monotonic() > deadline:
                raise Off("20 s behind the end of a session its mailbox is still locked")
            time.sleep(0.002)
        self.until_free_of_probe(console, box)

    def until_free_of_probe(self, console, box):
        """The session of the last probe has ended as well."""
        deadline = time.monotonic() + 20
        while box.last is not None and time.monotonic() < deadline:
            peer = console.pop3()
            peer.send(f"USER {box.user}\r\nPASS cis505\r\n")
            peer.expect("+OK*")
            if peer.line().startswith(b"+OK"):
                peer.say("QUIT", "+OK*")
                peer.ends()
                return
            peer.close()
            time.sleep(0.002)

    def restart(self, box):
        """A process is killed or ended in the midst of its sessions: none of them removes anything."""
        nth = self.rng.randrange(len(self.consoles))
        console, kill = self.consoles[nth], self.rng.random() < 0.5
        for each in self.boxes:
            each.note("the process is killed" if kill else "the process ends")
            if each.session and each.session.console is console:
                each.session.peer.close()
                each.session = None
        if kill:
            console.kill()
        else:
            console.signal(signal.SIGTERM)
            console.ended(20)
        self.consoles[nth] = self.start()
        for each in self.boxes:
            each.check_untouched()

    # Other programs

    def foreign_append(self, box):
        if box.last is None:
            return
        text = self.rng.choice(letters.SHAPES[:3])(letters.token()).replace(b"\r\n", b"\n")
        how = self.rng.choice(["Python", "with an empty line", "without one", "without a line end"])
        if how == "Python":
            foreign.append_by_python(box.path, text)
        else:
            end = {"with an empty line": b"\n", "without one": b"", "without a line end": b""}[how]
            foreign.append(box.path, foreign.FROM + (text[:-1] if how == "without a line end" else text) + end)
        box.note(f"another program appends {name_of(text)}: {how}")
        if box.session and glued(box.session.stored, box.path):
            box.session.disturbed = True

    def foreign_change(self, box):
        if box.last is None:
            foreign.replace(box.path, b"")
            box.note("another program makes the file")
            return
        if self.rng.random() < 0.1:
            foreign.remove(box.path)
            box.note("another program removes the file")
            self.disturb(box)
            if self.rng.random() < 0.7:
                content = self.rng.choice([b"", box.last])
                foreign.replace(box.path, content)
                box.note(f"and makes it again with {len(content)} octets")
            return
        with foreign.locked(box.path, self.rng.random() < 0.5) as file:
            self.change(box, file)

    def change(self, box, file):
        """Any change of the content, by a new file or in place; the caller has the locks."""
        rng, before = self.rng, mboxes.read(box.path)
        if box.session:
            self.disturb(box)
        name, change = rng.choice([
            ("removes", foreign.without(rng)), ("removes", foreign.without(rng)), ("swaps", foreign.swapped(rng)),
            ("replaces", foreign.replaced(rng, TOKEN, letters.token)), ("marks", foreign.marked_as_read(rng)),
            ("puts one first", foreign.with_a_new_first(letters.short(letters.token()))), ("only rewrites", foreign.untouched),
            ("removes the first and appends", self.shift),
            *([("empties", foreign.emptied)] if rng.random() < 0.3 else []),
        ])
        content = change(before)
        how = rng.choice(["by rename", "in place", "in place, times kept"])
        if how == "by rename":
            foreign.replace(box.path, content)
        else:
            foreign.overwrite(file, content, times_kept="kept" in how)
        box.note(f"another program {name} {how}: {len(before)} octets, now {len(content)}")

    def shift(self, content):
        """The first is gone and equally long ones stand behind: every number means another message."""
        raws = foreign.parts(content)
        raws.append(foreign.FROM + self.rng.choice(letters.SHAPES[:3])(letters.token()).replace(b"\r\n", b"\n") + b"\n")
        if len(raws) > 1:
            copy = TOKEN.sub(letters.token(), raws[0])
            raws = [*raws[1:], copy]
        return b"".join(raws)

    def disturb(self, box):
        if box.session:
            box.session.disturbed = True

    # The end

    def close(self):
        """A last look at every mailbox, then clean stops: what killed processes left is gone too."""
        for box in self.boxes:
            if box.session:
                self.disconnect(box)
            if box.last is None:
                foreign.replace(box.path, b"")
                self.settle()
            self.deliver(box)
            self.log_in(box)
            self.quit(box)
            self.settle()
        for console in self.consoles:
            console.signal(signal.SIGTERM)
        for console in self.consoles:
            if console.ended(20) != 0:
                raise Off(f"a process ended with {console.process.returncode}: {console.said[-3:]}")
        for box in self.boxes:
            box.check_untouched()
        left = mboxes.strangers(self.directory)
        if left:
            raise Off(f"something is left beside the mailboxes: {left}")


OUT_OF_SESSION = [
    (World.log_in, 40), (World.log_in_under_a_lock, 3), (World.deliver, 30), (World.deliver_many, 1.5),
    (World.foreign_append, 8), (World.foreign_change, 10), (World.restart, 0.3),
]
IN_SESSION = [
    (World.stat, 5), (World.list, 5), (World.list_one, 5), (World.uidl, 5), (World.uidl_one, 5), (World.retr, 20),
    (World.dele, 15), (World.dele_many, 2), (World.rset, 2), (World.noop, 1), (World.log_in_twice, 1),
    (World.quit, 8), (World.quit_under_a_lock, 3), (World.disconnect, 1.5), (World.restart, 0.2),
    (World.deliver, 8), (World.foreign_append, 4), (World.foreign_change, 8),
]


class Broken(Exception):
    """A promise was broken in a step for this mailbox."""

    def __init__(self, box, why):
        super().__init__(str(why) or type(why).__name__)
        self.box = box


def take_apart(gone, new, due):
    """Where another program appended within the last line of a marked message, that message may be
    removed: what was appended is a message of its own then."""
    for text in list(gone):
        head = next((m for m in due if text != m and text.startswith(m.removesuffix(b"\r\n") + b"From ")), None)
        tail = next((n for n in new if text.endswith(n)), None)
        if head is not None and tail is not None:
            gone[text], gone[head], new[tail] = gone[text] - 1, gone[head] + 1, new[tail] - 1
    for counter in (gone, new):
        for text in [text for text, times in counter.items() if times <= 0]:
            del counter[text]


class Snapshot:
    """A file as it is now: which one it is, and its content."""

    def __init__(self, path):
        self.inode = os.stat(path).st_ino if os.path.exists(path) else None
        self.content = mboxes.read(path)

    def __eq__(self, other):
        return (self.inode, self.content) == (other.inode, other.content)


def check_update(session, before, after):
    """+OK to QUIT: by place where nobody rewrote the file, else by content."""
    before = mboxes.messages(before.content or b"")
    marked = [session.texts[number - 1] for number in session.marked]
    if not session.disturbed:
        due = [m for nth, m in enumerate(before, 1) if nth not in session.marked]
        if [m.raw for m in after] != [m.raw for m in due]:
            same_texts([m.text for m in after], [m.text for m in due], "the file behind QUIT")
            raise Off("QUIT changed the octets of a message that stays")
        return
    gone = collections.Counter(m.text for m in before) - collections.Counter(m.text for m in after)
    new = collections.Counter(m.text for m in after) - collections.Counter(m.text for m in before)
    due = collections.Counter(marked)
    take_apart(gone, new, due)
    if new:
        raise Off(f"QUIT put into the file: {name_of(next(iter(new)))}")
    if gone - due:
        raise Off(f"QUIT removed {[name_of(text) for text in gone - due]}, which nobody had marked")
    at_login = collections.Counter(session.texts)
    there = collections.Counter(m.text for m in before)
    for text, times in due.items():
        # Of equal messages another program may have removed the very one that was marked.
        least = max(0, min(times, there[text]) - max(0, at_login[text] - there[text]))
        if gone[text] < least:
            raise Off(f"QUIT said +OK, but {name_of(text)} is still there")
    rest = iter(m.raw for m in before)
    if not all(any(foreign.tidy(raw) == foreign.tidy(m.raw) for raw in rest) for m in after):
        raise Off("QUIT changed the order or the octets of messages that stay")


def received(peer):
    """A multi-line reply, unstuffed; None if the connection ended before its dot."""
    lines = []
    while True:
        line = peer.raw_line()
        if line == b".\r\n":
            return b"".join(lines)
        if not line.endswith(b"\n"):
            return None
        if not line.endswith(b"\r\n"):
            raise Off(f"a line of a multi-line reply ends without CRLF: {show(line)}")
        lines.append(line[1:] if line.startswith(b".") else line)


def glued(stored, path):
    """Whether the messages of a login are no longer the first of the file."""
    return [m.text for m in mboxes.stored(path)][:len(stored)] != [m.text for m in stored]


def same_texts(came, due, what):
    if came == due:
        return
    nth = next((n for n, pair in enumerate(zip(came, due)) if pair[0] != pair[1]), min(len(came), len(due)))
    pick = lambda texts: show(texts[nth]) if nth < len(texts) else "none"
    raise Off(f"{what}: {len(came)} messages, due {len(due)}; number {nth + 1} is {pick(came)}, due {pick(due)}")


def length(content):
    return "no file" if content is None else len(content)


def name_of(text):
    found = TOKEN.search(text)
    return found[0].decode() if found else show(text, 40)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--sessions", type=int, default=3000, help="end after so many")
    parser.add_argument("--minutes", type=float, default=60, help="end after so long")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    print(f"seed {options.seed}", flush=True)
    directory = tempfile.mkdtemp(prefix="mailconsole-pop3-")
    try:
        world = World(os.path.abspath(options.binary), directory, random.Random(options.seed))
        world.run(options.sessions, time.monotonic() + options.minutes * 60)
        world.close()
    except (Off, Broken) as broken:
        print(f"FAIL {broken}\nseed {options.seed}; the mailboxes are in {directory}")
        for line in getattr(getattr(broken, "box", None), "history", []):
            print(f"     {line}")
        return 1
    finally:
        terminate_all()
    shutil.rmtree(directory)
    print(f"PASS {world.sessions} sessions; " + ", ".join(f"{count} {name}" for name, count in world.counts.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
