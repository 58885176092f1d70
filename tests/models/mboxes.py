"""Mailbox files, read by the rules alone (RFC 4155, mboxrd), so that nothing of the program under
test is trusted: what messages does this file hold?"""

import os
import re
from dataclasses import dataclass

DAY, MONTH = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
FROM_LINE = re.compile(rb"From (?:\S.* )?" + DAY + rb" " + MONTH + rb" [ \d]\d \d\d:\d\d(?::\d\d)? (?:\S+ )?\d{4}\r?\n?\Z")
QUOTED = re.compile(rb"(?m)^>(>*From )")


@dataclass(frozen=True)
class Stored:
    """A message as it lies in a file."""

    raw: bytes  # From line, text, and the empty line that ends it, if there is one

    @property
    def text(self):
        """The octets that RETR must send, without dot-stuffing."""
        _, _, text = self.raw.partition(b"\n")
        for empty in (b"\r\n", b"\n"):
            if text == empty or text.endswith(b"\n" + empty):
                text = text[:-len(empty)]
                break
        return crlf(QUOTED.sub(rb"\1", text))


def crlf(text):
    """The text with every line end, the last one too, as CRLF."""
    text = re.sub(rb"\r?\n", b"\r\n", text)
    return text if not text or text.endswith(b"\n") else text + b"\r\n"


def messages(content):
    """The messages of a file; what stands before the first From line belongs to none."""
    found, lines = [], []
    for line in split(content):
        if line.startswith(b"From ") and FROM_LINE.match(line):
            found.append(lines)
            lines = []
        lines.append(line)
    found.append(lines)
    return [Stored(b"".join(lines)) for lines in found[1:]]


def split(content):
    """Lines that end in LF; a lone CR ends none."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def read(path):
    """The content of a file, or None if there is none of that name."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def stored(path):
    """The messages in a file; none if it is not there."""
    return messages(read(path) or b"")


def texts(path):
    return [message.text for message in stored(path)]


def strangers(directory, *known):
    """What lies in the directory beside mailboxes, the relay queue and the control socket of the servers."""
    mail = lambda name: name.endswith(".mbox") and not name.startswith(".")
    known = ("mqueue", ".mailconsole.sock", *known)
    return sorted(name for name in os.listdir(directory) if not mail(name) and name not in known)
