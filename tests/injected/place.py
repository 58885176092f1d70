"""A mail directory, the program that serves it, and the book of what must be where."""

import collections
import os
import shutil
import subprocess
import tempfile

from models import foreign, letters, mboxes
from rules.checks import Off, same, show
from rules.console import Console
from rules.peer import stuff

USERS = ("a", "b", "c")
OTHER_BOOT = "0b5e55ed-0000-4000-8000-000000000000"


class Place:
    """Three mailboxes, one of them empty. Every reply is entered into the book when it comes."""

    def __init__(self, binary, fault):
        self.binary, self.fault = binary, fault
        self.home = tempfile.mkdtemp(prefix="mailconsole-injected-")
        self.directory = os.path.join(self.home, "mail")
        os.mkdir(self.directory)
        old = {"a": [shape(letters.token()) for shape in letters.SHAPES[:3]], "b": [], "c": [letters.short(letters.token())]}
        self.due = {user: collections.Counter(texts) for user, texts in old.items()}
        self.refused = []
        self.said_no = []  # replies that were not 250 or +OK
        self.in_doubt = collections.defaultdict(collections.Counter)  # what was marked where QUIT said -ERR
        for user, texts in old.items():
            content = b"".join(foreign.FROM + text + b"\n" for text in texts)
            foreign.replace(self.path(user), content)
        self.console = None

    def path(self, user):
        return os.path.join(self.directory, f"{user}.mbox")

    @property
    def log(self):
        return os.path.join(self.home, "strace.log")

    # The program

    def start(self, *prefix):
        ports = ("--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0", "--bind", "127.0.0.1")
        command = [*prefix, self.binary, "--no-tui", "--dir", self.directory, *ports]
        self.console = Console(*command).listens("smtp", "pop3")
        return self.console

    def start_behind_another_boot(self):
        """As if the machine had been started again: a namespace with another boot id."""
        boot_id = os.path.join(self.home, "boot_id")
        with open(boot_id, "w", encoding="ascii") as file:
            file.write(OTHER_BOOT + "\n")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        return self.start("unshare", "--map-root-user", "--mount", "sh", "-c", script, boot_id)

    def stop(self):
        self.console.signal(15)
        status = self.console.ended(10)
        if status != 0:
            raise Off(f"it ended with {status}: {self.console.said[-3:]}")

    def kill(self):
        self.console.kill()
        panics = [line for line in self.console.said if "panicked" in line]
        if panics:
            raise Off(f"it panicked: {panics}")

    # Clients

    def send(self, users, text):
        """Delivers, and enters what was promised. The reply to DATA, or None if nobody was accepted."""
        peer = self.console.smtp().hello()
        peer.say("MAIL FROM:<s@example.org>", "250 OK")
        accepted = []
        for user in users:
            peer.send(f"RCPT TO:<{user}@localhost>\r\n")
            if self.answered(peer, "250", "4").startswith(b"250"):
                accepted.append(user)
        if not accepted:
            peer.close()
            return None
        peer.send("DATA\r\n")
        if not self.answered(peer, "354", "4").startswith(b"354"):
            peer.close()
            return None
        peer.send(stuff(text) + b".\r\n")
        reply = self.answered(peer, "250", "4")
        peer.close()
        if reply.startswith(b"250"):
            for user in accepted:
                self.due[user][mboxes.crlf(text)] += 1
        else:
            self.refused.append(mboxes.crlf(text))
        return reply

    def update(self, user, numbers):
        """A session that fetches and deletes these messages. Whether all was +OK."""
        peer = self.console.pop3()
        peer.say(f"USER {user}", "+OK*")
        peer.send("PASS cis505\r\n")
        if self.answered(peer, "+OK", "-ERR").startswith(b"-ERR"):
            peer.close()
            return False
        whole = True
        texts = mboxes.texts(self.path(user))
        for number in numbers:
            peer.send(f"RETR {number}\r\n")
            if self.answered(peer, "+OK", "-ERR").startswith(b"-ERR"):
                whole = False
            elif not fetched(peer, texts[number - 1]):
                return False
            peer.say(f"DELE {number}", "+OK*")
        peer.send("QUIT\r\n")
        marked = collections.Counter(texts[number - 1] for number in numbers)
        if self.answered(peer, "+OK", "-ERR").startswith(b"-ERR"):
            self.in_doubt[user] = marked
            return False
        self.due[user] -= marked
        return whole

    def answered(self, peer, yes, no):
        """A reply of one of these two kinds."""
        reply = peer.line()
        if not reply.startswith((yes.encode(), no.encode())):
            raise peer.off(f"is neither {yes} nor {no}")
        if not reply.startswith(yes.encode()):
            self.said_no.append(reply)
        return reply

    # What must hold

    def check_files(self, when):
        for user in USERS:
            self.check_mailbox(user, mboxes.texts(self.path(user)), f"{user}.mbox {when}")

    def check_pop3(self, when):
        for user in USERS:
            self.check_mailbox(user, self.console.pop3().login(user).everything(), f"{user} by POP3 {when}")

    def check_mailbox(self, user, texts, what):
        there = collections.Counter(texts)
        if self.fault.concerns_syncing and there == self.due[user] - self.in_doubt[user]:
            # Nobody can say whether the new file survives a power failure: -ERR, but it is there.
            self.due[user] = there
        for text in there - self.due[user]:
            if text in self.refused:
                raise Off(f"{what}: a message is there that was refused: {show(text, 60)}")
            if self.due[user][text]:
                raise Off(f"{what}: a message is there {there[text]} times: {show(text, 60)}")
            raise Off(f"{what}: a message is torn, or came back: {show(text)}")
        for text in self.due[user] - there:
            raise Off(f"{what}: a message is missing: {show(text, 60)}")

    def check_works(self):
        """Everything works."""
        for users, text in ((["a"], letters.short), (["a", "b", "c"], letters.odd), (["b"], letters.large)):
            reply = self.send(users, text(letters.token()))
            if not reply or not reply.startswith(b"250"):
                raise Off(f"the fault is over, and a delivery to {users} is answered {show(reply or b'nothing')}")
        if not self.update("a", [1]):
            raise Off("the fault is over, and an UPDATE is refused")

    def check_only_mail(self):
        left = mboxes.strangers(self.directory)
        if left:
            raise Off(f"behind a clean stop something is left: {left}")

    def close(self, keep):
        if self.console and self.console.process.poll() is None:
            self.console.kill()
        if not keep:
            shutil.rmtree(self.home, ignore_errors=True)


def fetched(peer, due):
    """Whether a text came whole. It may be cut off, for it cannot be taken back, but not be another."""
    came = []
    while (line := peer.raw_line()) != b".\r\n":
        if not line.endswith(b"\r\n"):
            peer.close()
            return False
        came.append(line[1:] if line.startswith(b".") else line)
    same(b"".join(came), due, "RETR")
    return True


def can_change_the_boot_id():
    script = "mount --bind /dev/null /proc/sys/kernel/random/boot_id"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
