"""Somebody who talks to a server in lines, and remembers the conversation for the report."""

import hashlib
import re
import select
import socket
import struct

from rules.checks import Off, holds, same, show

PATIENCE = 20  # seconds after which an answer will not come any more, on a busy machine


def fits(line, wanted):
    """A reply is wanted exactly, by its start (`250 *`), or as one of several."""
    if isinstance(wanted, (list, tuple)):
        return any(fits(line, one) for one in wanted)
    wanted = wanted.encode() if isinstance(wanted, str) else wanted
    return line.startswith(wanted[:-1]) if wanted.endswith(b"*") else line == wanted


class Peer:
    """A client. Every reply is held to the form that all protocols share."""

    greeting = None
    longest_reply = 512

    def __init__(self, port, host="127.0.0.1", greeted=True):
        self.talk = []
        self.rest = bytearray()
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if greeted:
            self.expect(self.greeting)

    def off(self, what):
        return Off(f"{' '.join(self.talk[-8:])} {what}")

    def send(self, octets):
        """Sends octets as they are."""
        octets = octets.encode() if isinstance(octets, str) else octets
        self.talk.append(f"C {show(octets)}")
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise self.off(f"cannot be sent: {error}") from None

    def send_bytewise(self, octets):
        """Sends octets one by one; nothing may come before the last is sent."""
        octets = octets.encode() if isinstance(octets, str) else octets
        for octet in octets:
            self.silent(0.0005)
            self.send(bytes([octet]))
            self.talk.pop()
        self.talk.append(f"C byte by byte {show(octets)}")

    def receive(self):
        """The next octets; empty at the end of the stream."""
        try:
            return self.socket.recv(1 << 18)
        except socket.timeout:
            raise self.off(f"got no answer within {PATIENCE} s, but {show(self.rest)}") from None
        except OSError as error:
            raise self.off(f"then the connection broke: {error}") from None

    def raw_line(self, end=b"\n"):
        """The next line with its line end, or what came before the end of the stream."""
        while end not in self.rest:
            more = self.receive()
            if not more:
                break
            self.rest += more
        at = self.rest.find(end) + len(end) if end in self.rest else len(self.rest)
        line = bytes(self.rest[:at])
        del self.rest[:at]
        return line

    def line(self):
        """The next reply line without its CRLF."""
        line = self.raw_line()
        self.talk.append(f"S {show(line)}")
        holds(line, f"{' '.join(self.talk[-8:])}: the stream ended")
        if not line.endswith(b"\r\n"):
            raise self.off("(a reply that does not end in CRLF)")
        if len(line) > self.longest_reply:
            raise self.off(f"(a reply of {len(line)} octets)")
        if b"\0" in line or b"\r" in line[:-2]:
            raise self.off("(a reply with a NUL or a CR in it)")
        return line[:-2]

    def expect(self, *wanted):
        """The next replies are these."""
        for one in wanted:
            line = self.line()
            if not fits(line, one):
                raise self.off(f"was not {one!r}")
        return line

    def say(self, line, wanted):
        """Sends a line and expects its reply, which is returned."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.expect(wanted)

    def ends(self):
        """The server closes, and says nothing more."""
        rest = self.raw_line()
        if rest:
            raise self.off(f"was followed by {show(rest)}, not by the end of the connection")
        self.close()

    def silent(self, seconds):
        """Nothing comes for so long, not even the end of the stream."""
        if self.rest:
            raise self.off(f"was followed by stray {show(self.rest)}")
        if select.select([self.socket], [], [], seconds)[0]:
            raise self.off(f"was followed by stray {show(self.receive())}")

    def end_sending(self):
        self.talk.append("C end of stream")
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class EchoPeer(Peer):
    greeting = "+OK Server ready (Author: Mail Console / mailconsole)"
    longest_reply = 4200  # ECHO answers with the text of the command
    still_there = ("ECHO still there", "+OK still there")
    unknown = "-ERR Unknown command"
    too_long = "-ERR Line too long"
    bye = ("QUIT", "+OK Goodbye!")

    def alive(self):
        """No stray byte has come, and the connection is usable."""
        self.say(*self.still_there)
        return self


class SmtpPeer(Peer):
    greeting = "220 localhost mailconsole service ready"
    still_there = ("NOOP", "250 OK")
    unknown = "500 Syntax error, command unrecognized"
    too_long = "500 *"
    bye = ("QUIT", "221 localhost Service closing transmission channel")
    go_ahead = "354 Start mail input; end with <CRLF>.<CRLF>"

    def alive(self):
        self.say(*self.still_there)
        return self

    def hello(self):
        self.say("HELO tester", "250 localhost")
        return self

    def transaction(self, sender, *recipients):
        """MAIL, RCPT for every recipient, DATA."""
        self.say(f"MAIL FROM:<{sender}>", "250 OK")
        for recipient in recipients:
            address = recipient if "@" in recipient else f"{recipient}@localhost"
            self.say(f"RCPT TO:<{address}>", "250 OK")
        self.say("DATA", self.go_ahead)
        return self

    def text(self, text, wanted="250 OK"):
        """A text that ends in CRLF or is empty, dot-stuffed, and the end of data."""
        self.send(stuff(text) + b".\r\n")
        self.expect(wanted)
        return self

    def in_state(self, state, user):
        """Goes from the greeting to G, H, M or R (protocol 3.1)."""
        if state in "HMR":
            self.hello()
        if state in "MR":
            self.say("MAIL FROM:<s@example.org>", "250 OK")
        if state == "R":
            self.say(f"RCPT TO:<{user}@localhost>", "250 OK")
        return self

    def state(self, user):
        """Finds out in which state the server is, by what it accepts."""
        self.send("DATA\r\n")
        if self.expect(("354 *", "503 *")).startswith(b"354"):
            self.send(".\r\n")
            self.expect("250 OK")
            return "R"
        self.send(f"RCPT TO:<{user}@localhost>\r\n")
        if self.expect(("250 OK", "503 *")).startswith(b"250"):
            return "M"
        self.send("MAIL FROM:<s@example.org>\r\n")
        return "H" if self.expect(("250 OK", "503 *")).startswith(b"250") else "G"


class Pop3Peer(Peer):
    greeting = "+OK POP3 ready [localhost]"
    still_there = ("BLAH", "-ERR Not supported")
    unknown = "-ERR Not supported"
    too_long = "-ERR*"
    bye = ("QUIT", "+OK*")

    def alive(self):
        self.say(*self.still_there)
        return self

    def login(self, user, password="cis505"):
        self.say(f"USER {user}", "+OK*")
        self.say(f"PASS {password}", "+OK*")
        return self

    def lines(self, command):
        """Sends a command and returns the lines of its multi-line reply, still dot-stuffed."""
        self.say(command, "+OK*")
        return self.lines_behind_ok()

    def lines_behind_ok(self):
        lines = []
        while True:
            line = self.raw_line()
            if line == b".\r\n":
                self.talk.append(f"S {len(lines)} lines and a dot")
                return lines
            if not line.endswith(b"\r\n"):
                raise self.off(f"sent {show(line)}, which does not end in CRLF")
            lines.append(line)

    def listing(self, command):
        """The lines of LIST or UIDL as {number: value}."""
        rows = [line[:-2].decode().split(" ") for line in self.lines(command)]
        if any(len(row) != 2 for row in rows):
            raise self.off(f"are no rows of number and value: {rows}")
        return {int(number): value for number, value in rows}

    def retr(self, number):
        """The message as it is without dot-stuffing."""
        self.say(f"RETR {number}", "+OK*")
        return self.text_behind_ok()

    def text_behind_ok(self):
        text = bytearray()
        for line in self.lines_behind_ok():
            if line.startswith(b"."):
                holds(line[1:2] == b".", f"RETR sent {show(line)}, which is not dot-stuffed")
                line = line[1:]
            text += line
        return bytes(text)

    def stat(self):
        self.send("STAT\r\n")
        reply = self.line()
        found = re.fullmatch(rb"\+OK (\d+) (\d+)", reply)
        if not found:
            raise self.off("is not '+OK count octets'")
        return int(found[1]), int(found[2])

    def everything(self):
        """All messages; LIST, UIDL and STAT must agree with what RETR sends (protocol 4.6)."""
        sizes, ids = self.listing("LIST"), self.listing("UIDL")
        numbers = list(range(1, len(sizes) + 1))
        same(list(sizes), numbers, "the numbers of LIST")
        same(list(ids), numbers, "the numbers of UIDL")
        texts = [self.retr(number) for number in numbers]
        same([int(sizes[n]) for n in numbers], [len(text) for text in texts], "LIST against RETR")
        same([ids[n] for n in numbers], [md5(text) for text in texts], "UIDL against MD5 of RETR")
        same(self.stat(), (len(texts), sum(map(len, texts))), "STAT against RETR")
        self.say("QUIT", "+OK*")
        self.ends()
        return texts


def md5(text):
    return hashlib.md5(text).hexdigest()


def stuff(text):
    """Doubles the dots at line starts (RFC 821 4.5.2); a line starts behind CRLF only."""
    text = text.encode() if isinstance(text, str) else text
    text = text.replace(b"\r\n.", b"\r\n..")
    return b"." + text if text.startswith(b".") else text
