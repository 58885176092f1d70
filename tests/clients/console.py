"""The mailconsole under test: its process, its mailboxes on disk, and its bytes on the wire.

The two small clients here send and fetch without a library between them and the socket, so that
what a real client shows can be held against what is really there.
"""

import os
import re
import signal
import socket
import subprocess
import time

from checks import Failure

PASSWORD = "cis505"
FROM_LINE = re.compile(rb"From <[^ >]+> [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n")


class Console:
    def __init__(self, binary, directory):
        self.directory = directory
        self.smtp_port, self.pop3_port = free_ports(2)
        self.users = 0
        # Dovecot, which runs as somebody else, makes its lock files there.
        os.chmod(directory, 0o1777)
        self.log = open(os.path.join(os.path.dirname(directory), "console.log"), "wb")
        ports = ["--echo-port", "0", "--smtp-port", str(self.smtp_port)]
        ports += ["--pop3-port", str(self.pop3_port)]
        self.binary = os.path.abspath(binary)
        command = [self.binary, "--no-tui", "-v", "--dir", directory, *ports]
        files = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log}
        # Settings of whoever runs this are not what is tested.
        self.environment = {**os.environ, "XDG_CONFIG_HOME": os.path.dirname(directory)}
        self.process = subprocess.Popen(command, env=self.environment, **files)

    def wait_until_it_listens(self):
        for port in (self.smtp_port, self.pop3_port):
            deadline = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        raise Failure(f"mailconsole does not listen: {self.last_words()}") from None
                    time.sleep(0.02)

    def stop(self):
        """Ends it as an operator would, and fails if it does not end as it should."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("mailconsole did not end within 10 s of SIGTERM") from None
        if status != 0:
            raise Failure(f"mailconsole exited with {status}: {self.last_words()}")

    def last_words(self):
        self.log.flush()
        with open(self.log.name, "rb") as log:
            return log.read()[-400:].decode("utf-8", "replace")

    # Mailboxes

    def new_user(self):
        """A user with an empty mailbox."""
        self.users += 1
        user = f"user{self.users}"
        open(self.mailbox(user), "wb").close()
        return user

    def mailbox(self, user):
        return os.path.join(self.directory, f"{user}.mbox")

    def contents(self, user):
        with open(self.mailbox(user), "rb") as file:
            return file.read()

    def stored(self, user):
        """The texts in a mailbox that nobody but mailconsole has written, without quoting."""
        rest, texts = self.contents(user), []
        while rest:
            from_line = FROM_LINE.match(rest)
            if not from_line:
                raise Failure(f"no From_ line in {user}.mbox: {rest[:80]!r}")
            next_one = re.search(rb"\nFrom ", rest[from_line.end() - 1 :])
            end = from_line.end() + next_one.start() if next_one else len(rest)
            quoted, rest = rest[from_line.end() : end], rest[end:]
            if not quoted.endswith(b"\n"):
                raise Failure(f"no empty line at the end of a message: {quoted[-40:]!r}")
            texts.append(unquoted(quoted[:-1]))
        return texts

    # The wire

    def send(self, users, text, reverse_path="sender@example.org"):
        """Sends `text`, to the octet, by SMTP."""
        self.submit([f"{user}@localhost" for user in users], text, reverse_path)

    def submit(self, forward_paths, text, reverse_path="sender@example.org"):
        """The same, to anybody."""
        with Wire(self.smtp_port) as wire:
            wire.reply(b"220")
            wire.ask("HELO tester", b"250")
            wire.ask(f"MAIL FROM:<{reverse_path}>", b"250")
            for forward_path in forward_paths:
                wire.ask(f"RCPT TO:<{forward_path}>", b"250")
            wire.ask("DATA", b"354")
            stuffed = re.sub(rb"(\A|\r\n)\.", rb"\1..", text)
            ended = stuffed if not text or text.endswith(b"\r\n") else stuffed + b"\r\n"
            wire.socket.sendall(ended + b".\r\n")
            wire.reply(b"250")
            wire.ask("QUIT", b"221")

    def fetched(self, user):
        """The messages of a user; their octets are as many as LIST says."""
        octets, texts = fetched_from(self.pop3_port, user)
        if octets != [len(text) for text in texts]:
            raise Failure(f"LIST says {octets}, RETR sends {[len(text) for text in texts]} octets")
        return texts

    def delete(self, user, number):
        delete_from(self.pop3_port, user, number)


def fetched_from(port, user):
    """What LIST says of the octets, and the messages as RETR sends them, without dot stuffing."""
    with Wire(port) as wire:
        wire.log_in(user)
        wire.ask("LIST", b"+OK")
        octets = [int(line.split()[1]) for line in wire.text().splitlines()]
        texts = [wire.retrieve(number) for number in range(1, len(octets) + 1)]
        wire.ask("QUIT", b"+OK")
    return octets, texts


def delete_from(port, user, number):
    with Wire(port) as wire:
        wire.log_in(user)
        wire.ask(f"DELE {number}", b"+OK")
        wire.ask("QUIT", b"+OK")


class Wire:
    """A connection, line by line."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, command, expected):
        self.socket.sendall(command.encode() + b"\r\n")
        return self.reply(expected, command)

    def reply(self, expected, command="the connection"):
        line = self.file.readline()
        if not line.startswith(expected) or not line.endswith(b"\r\n"):
            raise Failure(f"{command} is answered {line!r}, not {expected.decode()}")
        return line

    def log_in(self, user):
        self.reply(b"+OK")
        self.ask(f"USER {user}", b"+OK")
        self.ask(f"PASS {PASSWORD}", b"+OK")

    def retrieve(self, number):
        self.ask(f"RETR {number}", b"+OK")
        return self.text()

    def text(self):
        """A multi-line reply, unstuffed."""
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                raise Failure(f"a line of a multi-line reply ends without CRLF: {line[-40:]!r}")
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)


def unquoted(text):
    return re.sub(rb"(?m)^>(>*From )", rb"\1", text)


def quoted(text):
    return re.sub(rb"(?m)^(>*From )", rb">\1", text)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
