"""What the program does while a system call fails: each scene acts under a fault, and enters every
reply into the book of its place."""

import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from injected import strace
from models import letters
from rules.checks import Off
from rules.console import clean_environment

QUIET = 3.2  # seconds after which a quiet directory holds nothing but mail


class Scene:
    """One act of a running program. `prepare` is behind its start and without the fault."""

    runs_on = True  # whether the program runs on behind the act
    settled = True  # whether all files must be right at once, not only when somebody looks again

    def __init__(self, name):
        self.name = name

    def prepare(self, place):
        """Nothing, usually."""

    def act(self, place):
        raise NotImplementedError

    def run(self, place, fault):
        """The act under the fault. How many calls failed."""
        place.start()
        self.prepare(place)
        attached = strace.Attached(place.console.process.pid, fault, place.directory, place.log)
        try:
            self.act(place)
        finally:
            hits = attached.close()
        return hits


class Deliveries(Scene):
    """Two, one after the other, so that the second finds what the first has left."""

    def __init__(self, name, users, shape):
        super().__init__(name)
        self.users, self.shape = users, shape

    def act(self, place):
        for _ in range(2):
            place.send(self.users, self.shape(letters.token()))


class Burst(Scene):
    """Sessions at once: what fails for one must not fail for all, nor be promised to any."""

    def act(self, place):
        choices = (["a"], ["b", "c"], ["c"], ["a", "b", "c"], ["b"], ["a"])
        with ThreadPoolExecutor(len(choices)) as crowd:
            list(crowd.map(lambda users: place.send(users, letters.short(letters.token())), choices))


class Update(Scene):
    def act(self, place):
        place.update("a", [1, 3])


class UpdateBehindDelivery(Scene):
    """The mailbox has appends that are in the journal only."""

    def act(self, place):
        place.send(["a"], letters.short(letters.token()))
        place.update("a", [2])


class Quiet(Scene):
    """What is cleaned up when nothing has happened for a while."""

    def prepare(self, place):
        place.send(["a", "b"], letters.short(letters.token()))

    def act(self, place):
        time.sleep(QUIET)


class Shutdown(Scene):
    runs_on = False

    def prepare(self, place):
        place.send(["a", "b"], letters.short(letters.token()))
        place.send(["c"], letters.large(letters.token()))

    def act(self, place):
        place.console.signal(15)
        place.console.ended(5)


class Recovery(Scene):
    """A mailbox has lost what was in the page cache when the power failed; the journal is there.
    The next program completes it, under the fault."""

    settled = False

    def __init__(self, name, shape):
        super().__init__(name)
        self.shape = shape

    def run(self, place, fault):
        place.start()
        before = os.path.getsize(place.path("a"))
        began = time.monotonic()
        place.send(["a", "c"], self.shape(letters.token()))
        place.kill()
        # Later the mailbox is on the disk without its journal.
        in_time = time.monotonic() - began < 0.09
        journals = os.path.join(place.directory, ".mailconsole")
        if in_time and os.path.isdir(journals) and self.shape is not letters.large:
            os.truncate(place.path("a"), before)
        place.start_behind_another_boot()
        attached = strace.Attached(place.console.process.pid, fault, place.directory, place.log)
        try:
            place.send(["b"], letters.short(letters.token()))
            place.update("c", [1])
            place.send(["a"], letters.short(letters.token()))
        finally:
            hits = attached.close()
        return hits


class QueueMark(Scene):
    """A relay run: what the host has taken is marked in the queue, and what is done leaves it."""

    runs_on = False

    def run(self, place, fault):
        place.start()
        tokens = [letters.token() for _ in range(3)]
        for word in tokens:
            queue(place, word)
        place.stop()
        with Host() as host:
            relay = ["relay", place.directory, "--smarthost", f"127.0.0.1:{host.port}", "--timeout", "5"]
            status, words = relay_run([*fault.options(place.directory, place.log), place.binary, *relay])
            if status != 0:
                place.said_no.append(f"{status} {words}")
            hits = strace.hits(place.log)
            status, words = relay_run([place.binary, *relay])
            if status != 0:
                raise Off(f"the fault is over, and a relay run ends with {status}: {words}")
            copies = [host.taken.count(word) for word in tokens]
            if not all(1 <= count <= 2 for count in copies):
                raise Off(f"copies that the host has taken: {copies}")
        with open(os.path.join(place.directory, "mqueue"), "rb") as file:
            if file.read():
                raise Off("the queue is not empty, though all is delivered")
        return hits


def queue(place, word):
    peer = place.console.smtp().hello()
    peer.transaction("s@example.org", "x@one.example", "y@two.example")
    peer.text(letters.short(word))
    peer.close()


def relay_run(command):
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, env=clean_environment(), text=True, check=False)
    except subprocess.TimeoutExpired:
        raise Off("a relay run did not end within 30 s") from None
    if "panicked" in done.stderr:
        raise Off(f"a relay run panicked: {done.stderr[-300:]}")
    return done.returncode, done.stderr.strip()[-300:]


class Host:
    """A mail host that takes everything."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            connection.settimeout(30)
            try:
                connection.sendall(b"220 host\r\n")
                while line := lines.readline():
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        connection.sendall(b"354 go on\r\n")
                        text = []
                        while (line := lines.readline()) != b".\r\n":
                            if not line:
                                return
                            text.append(line)
                        self.taken += [word.split()[1] for word in text if word.startswith(b"Subject: ")]
                    connection.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            except OSError:
                return


SCENES = [
    Deliveries("one mailbox", ["a"], letters.short),
    Deliveries("three mailboxes", ["a", "b", "c"], letters.short),
    Deliveries("300 KB", ["a", "b"], letters.large),
    Deliveries("2 MB", ["b"], lambda word: letters.large(word) * 8),
    Burst("burst"),
    Update("UPDATE"),
    UpdateBehindDelivery("UPDATE behind a delivery"),
    QueueMark("queue mark"),
    Quiet("quiet"),
    Shutdown("shutdown"),
    Recovery("recovery", letters.short),
    Recovery("recovery of a large message", letters.large),
]
