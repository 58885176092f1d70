"""Clients of the servers, and a mail host for the relay. They note where in a conversation each
acknowledgement begins, so that it can be found in a trace.
"""

import socket
import socketserver
import threading
from dataclasses import dataclass

PATIENCE = 5  # seconds that an answer may take


class Refused(Exception):
    """An answer that is not what must be."""


@dataclass(frozen=True)
class Mark:
    """Where an acknowledgement begins: an octet of what one port said to another."""

    local: int  # the port of the program
    peer: int
    first: int


@dataclass(frozen=True)
class ExitMark:
    """The end of a process, successful."""

    process: int


class Connection:
    """Lines to a server and back."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ports = port, self.socket.getsockname()[1]
        self.buffer = bytearray()
        self.received = 0  # octets before those in the buffer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def mark(self):
        """Where the next line begins."""
        return Mark(*self.ports, self.received)

    def until(self, end):
        """What comes next, up to `end` and with it."""
        start = 0
        while (at := self.buffer.find(end, start)) < 0:
            start = max(len(self.buffer) - len(end) + 1, 0)
            try:
                more = self.socket.recv(1 << 18)
            except TimeoutError:
                raise Refused(f"no answer within {PATIENCE} s") from None
            if not more:
                raise Refused(f"hung up after {bytes(self.buffer[-80:])!r}")
            self.buffer += more
        taken = bytes(self.buffer[: at + len(end)])
        del self.buffer[: len(taken)]
        self.received += len(taken)
        return taken

    def line(self, begin=b""):
        line = self.until(b"\r\n")[:-2]
        if not line.startswith(begin):
            raise Refused(line.decode("latin-1"))
        return line


class Sender(Connection):
    """An SMTP client that has said HELO."""

    def __init__(self, port):
        super().__init__(port)
        self.line(b"220")
        self.say("HELO client.example.org", b"250")

    def say(self, command, begin):
        self.send(command.encode() + b"\r\n")
        return self.line(begin)

    def begin(self, sender, recipients):
        """All up to the message text, in one piece."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        self.send("".join(f"{command}\r\n" for command in commands).encode())
        for _ in commands[:-1]:
            self.line(b"250")
        self.line(b"354")

    def text(self, text):
        """The text, all but the last dot."""
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        self.send(b"." + stuffed if stuffed.startswith(b".") else stuffed)

    def end(self):
        self.send(b".\r\n")

    def acknowledged(self):
        """Where the 250 for the text begins."""
        mark = self.mark()
        self.line(b"250")
        return mark

    def deliver(self, sender, recipients, text):
        self.begin(sender, recipients)
        self.text(text)
        self.end()
        return self.acknowledged()


class Reader(Connection):
    """A POP3 client that has logged in."""

    def __init__(self, port, user, password="cis505"):
        super().__init__(port)
        self.line(b"+OK")
        self.send(f"USER {user}\r\nPASS {password}\r\nSTAT\r\n".encode())
        self.line(b"+OK")
        self.line(b"+OK")
        self.count = int(self.line(b"+OK").split()[1])

    def texts(self):
        """All messages, as they were before dot-stuffing."""
        if self.count == 0:
            return []
        self.send("".join(f"RETR {nth}\r\n" for nth in range(1, self.count + 1)).encode())
        return [self.text() for _ in range(self.count)]

    def text(self):
        self.line(b"+OK")
        # An empty message has the dot alone.
        if self.peek(3) == b".\r\n":
            self.until(b".\r\n")
            return b""
        text = self.until(b"\r\n.\r\n")[:-3].replace(b"\r\n.", b"\r\n")
        return text.removeprefix(b".")

    def peek(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(1 << 18)
            if not more:
                raise Refused("hung up in a message")
            self.buffer += more
        return bytes(self.buffer[:count])

    def delete(self, numbers):
        for number in numbers:
            self.send(f"DELE {number}\r\n".encode())
            self.line(b"+OK")

    def quit(self):
        """Where the answer to QUIT begins, which ends the update."""
        mark = self.mark()
        self.send(b"QUIT\r\n")
        self.line(b"+OK")
        return mark


class MailHost:
    """A mail host on loopback: `later@` is deferred, `never@` refused, all others are taken."""

    def __init__(self):
        self.taken = []  # (recipients, text, where the client's next command begins)
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def handler(self):
        host = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    host.serve(self)
                except (ConnectionError, ValueError):
                    pass  # the program was killed

        return Session

    def serve(self, session):
        got, recipients = 0, []
        client = session.client_address[1]

        def say(line):
            session.wfile.write(line + b"\r\n")

        say(b"220 mail host")
        for line in session.rfile:
            got += len(line)
            verb = line[:4].upper().strip()
            if verb == b"RCPT":
                say(answer_to(line, recipients))
            elif verb == b"DATA":
                say(b"354 go on")
                text, octets = text_of(session.rfile)
                got += octets
                # What it says next it says knowing that the text was taken.
                self.taken.append((tuple(recipients), text, Mark(client, self.port, got)))
                recipients = []
                say(b"250 taken")
            elif verb == b"QUIT":
                say(b"221 bye")
                return
            else:
                say(b"250 yes")

    def take(self):
        """What has been taken since the last time."""
        taken, self.taken = self.taken, []
        return taken

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def answer_to(line, recipients):
    address = line.partition(b"<")[2].partition(b">")[0].decode()
    if address.startswith("later"):
        return b"450 later"
    if address.startswith("never"):
        return b"550 never"
    recipients.append(address)
    return b"250 yes"


def text_of(file):
    """A text up to its dot, and how many octets came."""
    lines, octets = [], 0
    for line in file:
        octets += len(line)
        if line == b".\r\n":
            break
        lines.append(line.removeprefix(b"."))
    return b"".join(lines), octets
