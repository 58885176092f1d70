"""A mailconsole that runs: its process, its ports, what it writes, and its end."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from rules.checks import Off, holds
from rules.peer import PATIENCE, EchoPeer, Pop3Peer, SmtpPeer

LISTENING = re.compile(r"^(echo|smtp|pop3): listening on (.*):(\d+)$")
RUNNING = set()
NOBODY = 65534  # the user and group that own nothing


def clean_environment(**more):
    """The environment without settings of whoever runs the suite."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAILCONSOLE_", "XDG_"))}
    kept.update(HOME="/nonexistent", LC_ALL="C.UTF-8")
    kept.update(more)
    return kept


def no_limits():
    """Nothing to change in the process before it becomes mailconsole."""


def heed_hang_ups():
    """SIGHUP ends the program also where nohup has started the suite, which it would respect."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def limited(what, soft, hard=None):
    """Sets a resource limit in the process before it becomes mailconsole."""
    return lambda: resource.setrlimit(what, (soft, soft if hard is None else hard))


class Console:
    """One process of the program under test."""

    def __init__(self, binary, *arguments, env=None, before=no_limits, read_stderr=True):
        self.said, self.shown = [], []  # lines of stderr and stdout
        self.ports, self.places = {}, []
        self.process = subprocess.Popen(
            [binary, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(**(env or {})),
            preexec_fn=lambda: (heed_hang_ups(), before()),
        )
        RUNNING.add(self.process)
        self.news = threading.Condition()
        self.readers = [self._reader(self.process.stdout, self.shown)]
        if read_stderr:
            self.read_stderr()

    def read_stderr(self):
        self.readers.append(self._reader(self.process.stderr, self.said))

    def _reader(self, pipe, lines):
        def read():
            for line in pipe:
                with self.news:
                    lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
                    self._note_port(lines[-1])
                    self.news.notify_all()
            with self.news:
                self.news.notify_all()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _note_port(self, line):
        found = LISTENING.match(line)
        if found:
            self.places.append((found[1], found[2], int(found[3])))
            self.ports.setdefault(found[1], int(found[3]))

    def wait_for(self, fact, what, patience=PATIENCE):
        """Waits until the fact holds of what the process has written."""
        with self.news:
            if not self.news.wait_for(fact, patience):
                raise Off(f"{what} did not happen; stderr {self.said[-5:]}, stdout {self.shown[-5:]}")

    def listens(self, *names):
        """Waits for the lines that say where the servers listen."""
        ended = lambda: not any(reader.is_alive() for reader in self.readers)
        self.wait_for(lambda: all(n in self.ports for n in names) or ended(), f"listening of {names}")
        holds(all(n in self.ports for n in names), f"it ended with {self.said} instead of listening")
        return self

    def echo(self, **where):
        return EchoPeer(self.ports["echo"], **where)

    def smtp(self, **where):
        return SmtpPeer(self.ports["smtp"], **where)

    def pop3(self, **where):
        return Pop3Peer(self.ports["pop3"], **where)

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, within=PATIENCE):
        """The exit status; Off if the process does not end in time."""
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise Off(f"it did not end within {within} s; stderr {self.said[-5:]}") from None
        RUNNING.discard(self.process)
        for reader in self.readers:
            reader.join(PATIENCE)
        holds("panicked" not in "\n".join(self.said), f"it panicked: {self.said[-5:]}")
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        RUNNING.discard(self.process)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.kill()


class Hall:
    """What every check is given: the binary, the console that most share, and fresh names."""

    def __init__(self, binary, home):
        self.binary, self.home = binary, home
        self.names = 0
        self.lock = threading.Lock()
        self.dir = os.path.join(home, "mail")
        os.mkdir(self.dir)
        # Where anybody may run it; before there are threads, as a file that is open for writing
        # in a process just forked cannot be run.
        self.copy = shutil.copy(binary, os.path.join(home, "mailconsole"))
        self.shared = self.start("--dir", self.dir, env={"TZ": "Asia/Kathmandu"})
        self.shared.listens("echo", "smtp", "pop3")
        self.echo, self.smtp, self.pop3 = self.shared.echo, self.shared.smtp, self.shared.pop3

    def run(self, *arguments, **options):
        """A process whose arguments are given in full."""
        return Console(self.binary, *arguments, **options)

    def start(self, *arguments, **options):
        """A headless console at ports of the system's choice."""
        ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0")
        return self.run("--no-tui", *ports, *arguments, **options)

    def nobody(self, *arguments, mode=0o777):
        """A process without root's rights, which would let it write anywhere."""
        os.chmod(arguments[arguments.index("--dir") + 1], mode)
        if os.getuid() != 0:
            return self.run(*arguments)
        return Console(self.copy, *arguments, before=lambda: (os.setgid(NOBODY), os.setuid(NOBODY)))

    def own(self, *arguments, users=("u",), **options):
        """A console of its own on a directory of its own, and that directory."""
        directory = self.directory(*users)
        console = self.start("--dir", directory, *arguments, **options)
        return console.listens("echo", "smtp", "pop3"), directory

    def directory(self, *users):
        directory = tempfile.mkdtemp(dir=self.home)
        for user in users:
            write(mbox(directory, user), b"")
        return directory

    def word(self):
        with self.lock:
            self.names += 1
            return f"w{self.names}"

    def user(self, content=b""):
        """A new user of the shared console, whose mailbox has this content."""
        name = self.word()
        write(self.path(name), content)
        return name

    def path(self, user):
        return mbox(self.dir, user)

    def disk(self, user):
        return read(self.path(user))

    def sender(self):
        """A client of the shared SMTP server that has said HELO."""
        return self.smtp().hello()

    def login(self, user):
        """A client of the shared POP3 server in the TRANSACTION state."""
        return self.pop3().login(user)

    def deliver(self, user, text, sender="s@example.org"):
        """Sends a text, dot-stuffed, and expects that it is taken."""
        peer = self.sender()
        peer.transaction(sender, user)
        peer.text(text)
        peer.close()

    def messages(self, user):
        """Every message of the user as RETR sends it; checks STAT, LIST and UIDL on the way."""
        return self.login(user).everything()


def mbox(directory, user):
    return os.path.join(directory, f"{user}.mbox")


def write(path, content):
    """Writes a file whole: the name appears with its content."""
    fresh = f"{path}.fresh"
    with open(fresh, "wb") as file:
        file.write(content)
    os.rename(fresh, path)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def eventually(fact, what, patience=PATIENCE):
    """Waits for something that nobody announces."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if fact():
            return
        time.sleep(0.01)
    raise Off(f"{what} did not happen within {patience} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def terminate_all():
    for process in list(RUNNING):
        process.send_signal(signal.SIGKILL)
