"""Mailboxes with From_ lines of every form that is found in the field, three messages each.

Which lines separate messages is nowhere written down in full: every program takes what it likes.
So each mailbox here is counted by mutt and Dovecot too, and what one of them reads is what we must
read. Where neither reads a mailbox it may be refused, but must never be taken for fewer messages
than it has: what is taken for one message is deleted as one.
"""

from dataclasses import dataclass

MESSAGES = 3

# What stands in the texts, behind empty lines and others, and is no From_ line of any program.
DECOYS = [
    "From here on it is text",
    "From",
    ">From the beginning of a line",
    "",
    "From there to here",
    "From 11:00 to 12:00 in 2025",
    "from a@b.example Wed Sep 17 11:00:00 2025",
    "From: a@b.example",
    "",
]


@dataclass(frozen=True)
class Mailbox:
    name: str
    content: bytes


DAYS = [("Wed", "17"), ("Thu", "18"), ("Fri", "19")]

# Dates, with %a for the weekday and %d for the day.
DATES = [
    "%a Sep %d 11:00:00 2025",
    "%a Sep %d 11:00 2025",
    "%a Sep %d 1:02:03 2025",
    "%a Sep %d  1: 2: 3 2025",
    "%a Sep %d 11:00:00 25",
    "%a Sep %d 11:00 25",
    "%a Sep %d 11:00:00 +0200 2025",
    "%a Sep %d 11:00:00 2025 +0200",
    "%a Sep %d 11:00:00 (+0700) 2025",
    "%a Sep %d 11:00:00 2025 (+0700)",
    "%a Sep %d 11:00:00 EST 2025",
    "%a Sep %d 11:00:00 2025 EST",
    "%a Sep %d 11:00 EST 2025",
    "%a Sep %d 11:00:00 GMT+02:00 2025",
    "%a Sep %d 11:00:00 2025 GMT+02:00",
    "%a Sep %d 11:00:00 MET DST 2025",
    "%a Sep %d 11:00:00 2025 MET DST",
    "%a Sep %d 11:00:00 AM CEST 2025",
    "%a Sep %d 11:00:00 2025 remote from host",
    "%a Sep %d 11:00:00 +0200 2025 remote from host",
    "%a Sep %d 11:00:00 2025 and other words",
    "%a September %dth 11:00:00 2025",
    "%a Sep 32 25:61:99 2025",
    "%A SEP %d 11:00:00 2025",
    "%a, Sep %d 11:00:00 2025",
    "%a, %d Sep 2025 11:00:00 +0200",
    "%a, %d Sep 2025 11:00:00 +0200 (CEST)",
    "%a, %d Sep 2025 11:00 GMT",
    "%a, %d Sep 25 11:00:00 +0200",
    "%a %d Sep 2025 11:00:00",
    "%d Sep 2025 11:00:00 +0200",
    "%d Sep 25 11:00 EST",
    "2025-09-%dT11:00:00",
    "2025-09-%dT11:00:00Z",
    "2025-09-%dT11:00:00+02:00",
    "2025-09-%d 11:00:00 +0200",
    # Nobody knows these.
    "%d.09.2025 11:00",
    "%d/Sep/2025:11:00:00 +0200",
    "Mi %d. Sep 11:00:00 CEST 2025",
    "Sep %d, 2025 at 11:00 AM",
    "17581068%d",
]

ADDRESSES = [
    "<a%n@b.example>",
    "-",
    "MAILER-DAEMON",
    "123456789%n@xxx",
    "a%n at b.example",
    '"john q. doe"@b.example',
    '"a \\" b"@b.example',
    "a\\ b@b.example",
    "Mon",
    "???@???",
    "a%n b c",
    "",
]

# First lines without a date.
UNDATED = [
    "From ",
    "From  ",
    "From -",
    "From - ",
    "From a%n@b.example",
    "From <a%n@b.example>",
    "From a%n",
    "From a%n at b.example",
    "From some odd words",
    "From Message Number %n",
    "From a%n@b.example by some program",
]

# As these programs write them.
PROGRAMS = [
    ("Thunderbird", "From - %a Sep %d 11:00:00 2025"),
    ("mutt", "From a%n@b.example %a Sep %d 11:00:00 2025"),
    ("Dovecot", "From a%n@b.example  %a Sep %d 11:00:00 2025"),
    ("procmail", "From a%n@b.example  %a Sep %d 11:00:00 2025"),
    ("Python", "From MAILER-DAEMON %a Sep %d 11:00:00 2025"),
    ("Google Takeout", "From 123456789%n@xxx %a Sep %d 11:00:00 +0000 2025"),
    ("pipermail", "From a%n at b.example  %a Sep %d 11:00:00 2025"),
    ("Eudora", "From ???@??? %a Sep %d 11:00:00 2025"),
    ("git", "From 012345678901234567890123456789012345678%n %a Sep 17 00:00:00 2001"),
    ("sendmail", "From a%n@b.example %a Sep %d 11:00 MET 2025"),
    ("UUCP", "From a%n %a Sep %d 11:00 MET 2025 remote from host"),
]


def mailboxes():
    lines = [f"From {address}{date}" for date in DATES for address in ("", "a%n@b.example ")]
    lines += [f"From {address} {DATES[0]}" for address in ADDRESSES]
    named = [(line, line) for line in [*lines, *UNDATED]] + PROGRAMS
    for name, line in named:
        for ends, end in (("LF", b"\n"), ("CRLF", b"\r\n")):
            yield Mailbox(f"{name} ({ends})", content(line).replace(b"\n", end))


def content(line):
    messages = []
    for number, (weekday, day) in enumerate(DAYS, 1):
        from_line = line.replace("%A", weekday.upper()).replace("%a", weekday)
        from_line = from_line.replace("%d", day).replace("%n", str(number))
        head = f"Subject: {number}\nFrom: a@b.example\n"
        messages.append("\n".join([from_line, head, *DECOYS, f"end of {number}", "", ""]))
    return "".join(messages).encode()
