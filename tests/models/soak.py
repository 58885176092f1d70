#!/usr/bin/env python3
"""Three processes on one directory, all killed at random, under load, with mutt and Dovecot.

    tests/models/soak.py target/release/mailconsole [--minutes M] [--seed N]

`mailconsole smtp`, `mailconsole pop3` and a whole one with a relay serve the same mailboxes; each is
killed again and again and started anew. Clients send, others fetch and delete; mutt reads, marks and
deletes; Dovecot saves, reads and expunges; Python appends. Every message has a word of its own, whose
first letter says who may delete it: p POP3, m mutt, d Dovecot, k nobody.

In the end: what was acknowledged is there once and whole, unless someone was told to delete it; what
was deleted stays deleted; nothing is torn or merged; nothing but mail is left behind clean stops.
Exit status 1 if not: the directory is kept, and the history of each word in question is shown.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.dont_write_bytecode = True

import argparse  # noqa: E402
import collections  # noqa: E402
import contextlib  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from models import foreign, letters, mboxes  # noqa: E402
from models.mail_host import KIND, Host  # noqa: E402
from models.mail_programs import Dovecot, Hangs, installed, mutt  # noqa: E402
from rules.checks import Off, show  # noqa: E402
from rules.console import NOBODY, Console, terminate_all  # noqa: E402
from rules.peer import stuff  # noqa: E402

WORD = re.compile(rb"[kpmd]-t\d{7}")
INTERNAL = re.compile(rb"(?m)^Subject: .*FOLDER INTERNAL DATA")
# Which programs work on which mailbox. Dovecot 2.3 tears messages whose header has CRLF line ends
# when it adds its own fields, beside any program; so its mailboxes get texts with LF alone.
MAILBOXES = {"plain": (), "muttish": ("mutt",), "dovecot": ("doveadm",), "crowded": ("mutt", "doveadm")}
# mutt takes a mailbox for the one that it has read if its length is the same or if a message begins
# where it ended, and then tears it, whoever else has removed messages and appended others meanwhile.
# So on its mailboxes whatever removes messages takes turns with it.
WHOLE = 2  # the process that has all servers and a relay


def become_nobody():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


class Book:
    """Every message that was sent, and what became of it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.bodies = {}  # of each (user, word)
        self.acknowledged, self.deleted, self.doubtful = set(), set(), set()
        self.prefixes = set()  # (user, prefix) that mutt or Dovecot was told to delete
        self.history = collections.defaultdict(list)
        self.began = time.monotonic()

    def begin(self, keys, body):
        """Somebody is about to put a message there."""
        with self.lock:
            self.bodies.update((key, body) for key in keys)

    def acknowledge(self, keys):
        with self.lock:
            self.acknowledged.update(keys)

    def delete(self, keys):
        with self.lock:
            self.deleted.update(keys)
            self.doubtful.difference_update(keys)

    def doubt(self, keys):
        """Somebody is about to delete these."""
        with self.lock:
            self.doubtful.update(keys)

    def keep(self, keys):
        """What was to be deleted was not."""
        with self.lock:
            self.doubtful.difference_update(keys)

    def words(self, user, beginning):
        """Of the messages that were ever on their way to a mailbox."""
        with self.lock:
            return [word for there, word in self.bodies if there == user and word.startswith(beginning)]

    def note(self, keys, what):
        with self.lock:
            for key in keys:
                self.history[key].append(f"{time.monotonic() - self.began:8.3f} {what}")

    def note_all(self, user, what):
        with self.lock:
            self.history[user, None].append(f"{time.monotonic() - self.began:8.3f} {what}")

    def tell(self, key):
        """What happened to a message, and to its mailbox meanwhile."""
        own = self.history[key]
        began = float(own[0].split()[0]) if own else 0
        ended = float(own[-1].split()[0]) + 5 if own else 0
        around = [line for line in self.history[key[0], None] if began <= float(line.split()[0]) <= ended]
        return sorted(own + [f"{line} (mailbox)" for line in around[-40:]])


class World:
    def __init__(self, binary, home, rng):
        self.home, self.rng = home, rng
        self.directory = os.path.join(home, "mail")
        os.chmod(home, 0o755)
        self.own = os.path.join(home, "programs")
        for path in (self.directory, self.own):
            os.mkdir(path)
            if os.getuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        self.binary = shutil.copy(binary, os.path.join(home, "mailconsole"))
        for user in MAILBOXES:
            foreign.replace(self.path(user), b"")
            if os.getuid() == 0:
                os.chown(self.path(user), NOBODY, NOBODY)
        self.programs = installed()
        self.dovecot = Dovecot(self.own, become_nobody)
        self.book, self.faults, self.counts = Book(), [], collections.Counter()
        self.host = Host(KIND, 0)
        self.over = threading.Event()
        self.turns = {user: threading.Lock() for user in MAILBOXES}
        self.processes = [self.start(nth) for nth in range(3)]

    def path(self, user):
        return os.path.join(self.directory, f"{user}.mbox")

    def start(self, nth):
        relay = ("--smarthost", f"127.0.0.1:{self.host.port}", "--timeout", "5")
        common = ("--bind", "127.0.0.1", *relay)
        if nth == WHOLE:
            ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0", "--relay-every", "1")
            console = Console(self.binary, "--no-tui", "--dir", self.directory, *ports, *common, before=become_nobody)
            return console.listens("smtp", "pop3")
        name = ("smtp", "pop3")[nth]
        return Console(self.binary, name, "-p", "0", *common, self.directory, before=become_nobody).listens(name)

    # What goes on at once

    def new_message(self, rng, user):
        """A message whose body cannot be mistaken, and who may delete it."""
        deleters = "kkp" + "".join({"mutt": "m", "doveadm": "d"}[program] for program in MAILBOXES[user])
        word = f"{rng.choice(deleters)}-".encode() + letters.token()
        lines = rng.choice((1, 5, 50, 50, 300, 8_000 if rng.random() < 0.1 else 100))
        body = b"".join(b"%s line %d of %d\r\n" % (word, nth, lines) for nth in range(1, lines + 1))
        return word, body

    def clients(self, rng):
        while not self.over.wait(rng.choice((0, 0.01, 0.05))):
            first = rng.choice(list(MAILBOXES))
            alike = [user for user in MAILBOXES if ("doveadm" in MAILBOXES[user]) == ("doveadm" in MAILBOXES[first])]
            users = alike if rng.random() < 0.2 else [first]
            word, body = self.new_message(rng, first)
            if len(users) > 1:
                word, body = b"k" + word[1:], body.replace(word, b"k" + word[1:])
            text = b"Subject: " + word + b"\r\n\r\n" + body
            if "doveadm" in MAILBOXES[first]:
                text = text.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\r\n"
            away = [f"{word.decode()}@away.example"] if rng.random() < 0.1 else []
            self.deliver(rng, users, away, word, body, text)

    def deliver(self, rng, users, away, word, body, text):
        keys = [(user, word) for user in [*users, *away]]
        nth = rng.choice((0, WHOLE))
        self.book.begin(keys, body)
        self.book.note(keys, f"sent to process {nth}")
        reply = b""
        try:
            peer = self.processes[nth].smtp().hello()
            addresses = [f"{user}@localhost" for user in users] + away
            peer.transaction("s@example.org", *addresses)
            peer.send(stuff(text) + b".\r\n")
            reply = peer.line()
            peer.close()
        except (Off, OSError):
            pass
        self.book.note(keys, f"answered {show(reply, 60)}")
        if reply.startswith(b"250"):
            self.book.acknowledge(keys)
        elif reply:
            # Refused: it must be nowhere.
            self.book.delete(keys)
        self.counts["messages acknowledged" if reply.startswith(b"250") else "messages refused" if reply else "messages cut off"] += 1

    def fetchers(self, rng):
        """POP3 sessions; what may be deleted here often is."""
        while not self.over.wait(rng.choice((0, 0.02, 0.2))):
            user, nth = rng.choice(list(MAILBOXES)), rng.choice((1, WHOLE))
            marked, replied = [], b""
            try:
                peer = self.processes[nth].pop3()
                peer.send(f"USER {user}\r\nPASS cis505\r\n")
                peer.expect("+OK*")
                if not peer.line().startswith(b"+OK"):
                    peer.close()
                    continue
                count, _ = peer.stat()
                for number in self.choose(rng, count):
                    peer.send(f"RETR {number}\r\n")
                    if not peer.line().startswith(b"+OK"):
                        continue
                    word = self.check_text(user, peer.text_behind_ok())
                    if word and word.startswith(b"p") and rng.random() < 0.7:
                        peer.say(f"DELE {number}", "+OK*")
                        marked.append((user, word))
                if rng.random() < 0.1:
                    peer.close()
                    marked = []
                    continue
                self.book.doubt(marked)
                self.book.note(marked, f"marked deleted, QUIT to process {nth}")
                with self.turn(user, marked):
                    peer.send("QUIT\r\n")
                    replied = peer.line()
                peer.close()
            except (Off, OSError) as error:
                if isinstance(error, Torn):
                    raise
            self.book.note(marked, f"QUIT answered {show(replied, 60)}")
            if replied.startswith(b"+OK"):
                self.book.delete(marked)
            elif replied:
                self.book.keep(marked)
            self.counts["POP3 sessions" if replied else "POP3 sessions cut off"] += 1

    def turn(self, user, removes=True):
        """The turn of a program that removes messages from a mailbox on which mutt works, too."""
        return self.turns[user] if removes and "mutt" in MAILBOXES[user] else contextlib.nullcontext()

    def choose(self, rng, count):
        """The newest, or anything."""
        numbers = list(range(1, count + 1))
        return numbers[-30:] if rng.random() < 0.5 else rng.sample(numbers, min(count, 30))

    def check_text(self, user, text):
        """A message as it was sent, but for header fields of other programs. Its word."""
        if INTERNAL.search(text[:1_000]):
            return None
        words = set(WORD.findall(text))
        if len(words) != 1:
            raise Torn(user, words, f"{user}: a message has the words {words}: {show(text)}")
        word = words.pop()
        _, _, body = text.partition(b"\r\n\r\n")
        due = self.book.bodies.get((user, word))
        if due is None:
            raise Torn(user, [word], f"{user} has {word}, which was never sent there")
        if body.rstrip() != due.rstrip():
            raise Torn(user, [word], f"{user}: {word} is torn: {show(body)}")
        return word

    def killers(self, rng):
        while not self.over.wait(0.2 + rng.random() * 1.5):
            nth = rng.randrange(3)
            self.processes[nth].kill()
            panics = [line for line in self.processes[nth].said if "panicked" in line]
            if panics:
                raise Off(f"process {nth} panicked: {panics}")
            for user in MAILBOXES:
                self.book.note_all(user, f"process {nth} is killed")
            self.processes[nth] = self.start(nth)
            self.counts["kills"] += 1

    def mutts(self, rng):
        while "mutt" in self.programs and not self.over.wait(rng.random()):
            user = rng.choice([user for user in MAILBOXES if "mutt" in MAILBOXES[user]])
            prefix = self.prefix(rng, user, b"m")
            what = rng.choice(["delete", "delete", "mark", "look"])
            keys = {
                "delete": f"<delete-pattern>~s {prefix}<enter><sync-mailbox><exit>",
                "mark": f"<tag-pattern>~s {prefix}<enter><tag-prefix><set-flag>!<sync-mailbox><exit>",
                "look": "<display-message><exit><exit>",
            }[what]
            if what == "delete":
                self.book.prefixes.add((user, prefix))
            self.book.note_all(user, f"mutt: {what} {prefix}")
            with self.turn(user):
                well = mutt(self.own, self.path(user), keys, become_nobody)
            self.book.note_all(user, f"mutt: {what} {prefix} ended {'well' if well else 'badly'}")
            self.counts[f"mutt {what}s"] += 1

    def dovecots(self, rng):
        while "doveadm" in self.programs and not self.over.wait(rng.random()):
            user = rng.choice([user for user in MAILBOXES if "doveadm" in MAILBOXES[user]])
            # With mutt's order of locks Dovecot does not look again whether its file is still the one
            # of that name: what it saves while UPDATE puts another there is lost, beside any program.
            what = rng.choice(["expunge", "fetch"] if "mutt" in MAILBOXES[user] else ["save", "save", "expunge", "fetch"])
            if what == "save":
                word, body = self.new_message(rng, user)
                self.book.begin([(user, word)], body)
                text = (b"Subject: " + word + b"\r\n\r\n" + body).replace(b"\r\n", b"\n")
                well = self.doveadm(user, "save", "-m", "INBOX", text=text)
                self.book.note([(user, word)], f"Dovecot saves it: {well}")
                if well:
                    self.book.acknowledge([(user, word)])
            elif what == "expunge":
                prefix = self.prefix(rng, user, b"d")
                self.book.prefixes.add((user, prefix))
                self.book.note_all(user, f"Dovecot expunges {prefix}")
                well = self.doveadm(user, "expunge", "mailbox", "INBOX", "SUBJECT", prefix)
                self.book.note_all(user, f"Dovecot expunged {prefix}: {well} {self.dovecot.last_words}")
            else:
                well = self.doveadm(user, "fetch", "hdr.subject uid", "mailbox", "INBOX", "ALL")
            self.counts[f"Dovecot {what}{'' if well else ' refused'}"] += 1

    def doveadm(self, user, *errand, **more):
        order = "fcntl dotlock" if "mutt" in MAILBOXES[user] else "dotlock fcntl"
        with self.turn(user):
            return self.dovecot(self.path(user), *errand, order=order, **more)

    def prefix(self, rng, user, letter):
        """What ten words begin with, of which one may be in the mailbox."""
        words = self.book.words(user, letter)
        return rng.choice(words)[:-1].decode() if words else f"{letter.decode()}-t999999"

    def pythons(self, rng):
        """Appends, and rewrites to the same, under the locks that mutt takes."""
        while not self.over.wait(rng.random() * 0.3):
            user = rng.choice(list(MAILBOXES))
            if rng.random() < 0.3:
                foreign.rewrite_in_place(self.path(user), foreign.untouched, dotlock_first=rng.random() < 0.5)
                continue
            word, body = self.new_message(rng, user)
            text = (b"Subject: " + word + b"\r\n\r\n" + body).replace(b"\r\n", b"\n")
            self.book.begin([(user, word)], body)
            foreign.append(self.path(user), foreign.FROM + text + b"\n", dotlock_first=rng.random() < 0.5)
            self.book.note([(user, word)], "appended by Python")
            self.book.acknowledge([(user, word)])
            self.counts["appends of Python"] += 1

    def run(self, seconds, seed):
        jobs = [self.clients] * 6 + [self.fetchers] * 3 + [self.killers, self.mutts, self.dovecots, self.pythons]
        threads = [threading.Thread(target=self.guarded, args=(job, seed + nth)) for nth, job in enumerate(jobs)]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join(120)
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
        """Clean stops; then one more program looks at everything and ends as well."""
        self.stop(self.processes)
        self.processes = [self.start(WHOLE)]
        for user in MAILBOXES:
            word, body = b"k-" + letters.token(), b"last\r\n"
            self.book.begin([(user, word)], body)
            peer = self.processes[0].smtp().hello().transaction("s@example.org", user)
            peer.text(b"Subject: " + word + b"\r\n\r\n" + body)
            peer.close()
            self.book.acknowledge([(user, word)])
            self.check_mailbox(user, self.processes[0].pop3().login(user).everything(), "by POP3")
        deadline = time.monotonic() + 30
        while (mboxes.read(os.path.join(self.directory, "mqueue")) or b"") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.stop(self.processes)
        for user in MAILBOXES:
            self.check_mailbox(user, mboxes.texts(self.path(user)), "in the file")
        self.check_relayed()
        left = mboxes.strangers(self.directory)
        if left:
            raise Off(f"something is left beside the mail: {left}")

    def stop(self, processes):
        for process in processes:
            process.signal(signal.SIGTERM)
        for process in processes:
            if process.ended(20) != 0:
                raise Off(f"a process ended with {process.process.returncode}: {process.said[-3:]}")

    def check_mailbox(self, user, texts, where):
        book, there = self.book, collections.Counter(self.check_text(user, text) for text in texts)
        del there[None]
        for word, times in there.items():
            if times > 1:
                raise Torn(user, [word], f"{user}: {word} is there {times} times {where}")
            if (user, word) in book.deleted:
                raise Torn(user, [word], f"{user}: {word} is there {where}, though it was refused or deleted")
        prefixes = tuple(prefix.encode() for of, prefix in book.prefixes if of == user)
        due = [word for of, word in book.acknowledged - book.deleted - book.doubtful if of == user]
        missing = sorted(word for word in due if word not in there and not word.startswith(prefixes))
        if missing:
            raise Torn(user, missing[:20], f"{user}: {len(missing)} are missing {where}, of {len(due)}")

    def check_relayed(self):
        self.host.close()
        for key in self.book.acknowledged:
            if "@" in key[0] and not 1 <= len(self.host.copies[key[0]]) <= 1 + self.host.forgiven[key[0]]:
                raise Torn(*key, f"{key[0]} came {len(self.host.copies[key[0]])} times")


class Torn(Off):
    """Messages are not what they must be."""

    def __init__(self, user, words, what):
        super().__init__(what)
        self.keys = [(user, word) for word in words]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    print(f"seed {options.seed}", flush=True)
    home = tempfile.mkdtemp(prefix="mailconsole-soak-")
    world = World(os.path.abspath(options.binary), home, random.Random(options.seed))
    absent = {"mutt", "doveadm"} - set(world.programs)
    if absent:
        print(f"without {' and '.join(sorted(absent))}, not installed")
    try:
        world.run(options.minutes * 60, options.seed)
        world.settle()
    except (Off, OSError, foreign.Stuck, Hangs) as broken:
        print(f"FAIL {broken}\nseed {options.seed}; the directory is {home}")
        for key in getattr(broken, "keys", []):
            print(f"     {key[0]} {key[1].decode()}")
            for line in world.book.tell(key):
                print(f"     {line}")
        return 1
    finally:
        terminate_all()
    shutil.rmtree(home)
    print("PASS " + ", ".join(f"{count} {name}" for name, count in sorted(world.counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
