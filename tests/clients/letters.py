"""Messages that have broken mail servers before. As they are on the wire, without dot stuffing."""

import base64
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Letter:
    name: str
    text: bytes

    def is_text(self):
        """Whether it is lines and nothing else, so that a program that reads LF lines from a
        file can carry it unchanged."""
        lines = self.text.replace(b"\r\n", b"")
        return self.text.endswith(b"\r\n") and not any(byte in lines for byte in b"\r\n\0")

    def has_headers(self):
        return self.text.startswith(b"Subject: ")

    def longest_line(self):
        return max(map(len, self.text.split(b"\r\n")))


def letter(name, *lines):
    head = f"Subject: {name}\r\nFrom: sender@example.org\r\n\r\n".encode()
    return Letter(name, head + b"".join(line + b"\r\n" for line in lines))


def attachment(octets):
    """Base64 of noise that is the same in every run."""
    noise = random.Random(octets).randbytes(octets)
    return base64.encodebytes(noise).rstrip(b"\n").split(b"\n")


PLAIN = letter("plain", b"Hello", b"", b"        - Ben")
LONE_DOT = Letter("lone dot", b".\r\n")
EMPTY = Letter("empty", b"")

LETTERS = [
    PLAIN,
    letter("dots", b".", b"..", b"...", b".x", b". ", b"", b".", b"last."),
    letter("a dot at its end", b"text", b"."),
    letter("From lines", b"From me", b" From x", b"From", b"from me", b"From "),
    letter("quoted From lines", b">From you", b">>From us", b">From me Wed Sep 17 11:00:00 2025"),
    letter("a From_ line", b"", b"From me@x.org Wed Sep 17 11:00:00 2025", b"To: x", b"", b"x"),
    letter("8-bit", bytes(range(0x80, 0x100)), "naïve 日本語 ✉".encode(), b"\x1b[2J\x7f\t"),
    letter("998 octets", b"x" * 998, b"." + b"y" * 997, b"From " + b"z" * 993),
    letter("blank lines at its end", b"text", b"", b"", b""),
    letter("replies", b"250 OK", b"+OK", b"-ERR", b"QUIT", b"DATA", b"\\n %FOO% $HOME `id`"),
    letter("attachment of 1 MiB", *attachment(1 << 20)),
    LONE_DOT,
    Letter("no header", b"\r\nbody\r\n"),
    Letter("From_ line first", b"From x@y Wed Sep 17 11:00:00 2025\r\nSubject: x\r\n\r\nbody\r\n"),
    Letter("one blank line", b"\r\n"),
    EMPTY,
    Letter("no final newline", b"Subject: x\r\n\r\nno line end here"),
    Letter("NUL", b"Subject: x\r\n\r\na\0b\r\n\0\r\n"),
    Letter("bare CR and LF", b"Subject: x\r\n\r\na\rb\nc\n\nFrom d\r\r\n"),
    letter("line of 20000 octets", b"x" * 20_000, b"end"),
]

HUGE = letter("20 MiB", *attachment(15 << 20))
