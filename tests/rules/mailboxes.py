"""Mailboxes on disk: what is written, and what is read (files 3 and 4)."""

import mailbox as python_mailbox
import os
import re
import time

from rules.checks import check, holds, same, table
from rules.console import write
from rules.peer import md5

FORM = "files 3.1: `From <sender@domain> Wed Sep 17 11:00:00 2025`, the text with CRLF as sent, an empty line"
ASCTIME = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123]\d \d\d:\d\d:\d\d \d{4}"
KATHMANDU = 5 * 3600 + 45 * 60  # seconds east of UTC; the shared console runs there


def stored(hall, sender, text=b"Subject: x\r\n\r\nx\r\n"):
    """The file of a new user behind one delivery."""
    user = hall.user()
    hall.deliver(user, text, sender)
    return hall.disk(user)


@table(FORM, [
    ("mbox: the From_ line names the sender", "s@example.org", b"<s@example.org>"),
    ("mbox: the sender's case is kept", "Some.One@Example.ORG", b"<Some.One@Example.ORG>"),
    ("mbox: a sender with odd but valid atoms", "a+b=c!d#e@example.org", b"<a+b=c!d#e@example.org>"),
    ("mbox: the null sender", "", b"<MAILER-DAEMON>"),
    ("mbox: a sender with a blank", '"a b"@example.org', b"<MAILER-DAEMON>"),
    ("mbox: a sender with a > in it", '"a>b"@example.org', b"<MAILER-DAEMON>"),
    ("mbox: the source route of a sender is dropped", "@a.example,@b.example:s@example.org", b"<s@example.org>"),
    ("mbox: a sender at an address literal", "s@[127.0.0.1]", b"<s@[127.0.0.1]>"),
])
def _(hall, sender, wanted):
    came = stored(hall, sender)
    pattern = rb"From " + re.escape(wanted) + rb" " + ASCTIME + rb"\nSubject: x\r\n\r\nx\r\n\n"
    holds(re.fullmatch(pattern, came), f"from {sender!r}: stored {came!r}")


@check("mbox: the date is local time in asctime form", "files 3.1: the date is local time in the C `asctime` form")
def _(hall):
    before = int(time.time())
    came = stored(hall, "s@example.org").split(b"> ", 1)[1].split(b"\n", 1)[0].decode()
    due = [time.asctime(time.gmtime(t + KATHMANDU)) for t in range(before, int(time.time()) + 1)]
    holds(came in due, f"stored {came!r}, due {due}")


@check("mbox: no header field is added", "files 3.1: Nothing is added to the text, no Received, no Return-Path")
def _(hall):
    same(stored(hall, "s@example.org", b"x\r\n").split(b"\n", 1)[1], b"x\r\n\n", "behind the From_ line")


@check("mbox: an empty message", FORM)
def _(hall):
    holds(re.fullmatch(rb"From <s@example.org> " + ASCTIME + rb"\n\n", stored(hall, "s@example.org", b"")), "another form")


@table("files 3.2: a line that begins with `From ` (after any number of `>`; a lone LF starts a line too) gets one `>` more (mboxrd)", [
    (f"mbox: {text!r} is stored as {wanted!r}", text, wanted)
    for text, wanted in (
        (b"From x\r\n", b">From x\r\n"), (b">From x\r\n", b">>From x\r\n"), (b">>>From x\r\n", b">>>>From x\r\n"),
        (b"From \r\n", b">From \r\n"), (b"From x\r\nFrom y\r\n", b">From x\r\n>From y\r\n"), (b"a\nFrom x\r\n", b"a\n>From x\r\n"),
        (b"a\n>From x\r\n", b"a\n>>From x\r\n"), (b"a\rFrom x\r\n", b"a\rFrom x\r\n"), (b"from x\r\n", b"from x\r\n"),
        (b"FROM x\r\n", b"FROM x\r\n"), (b"From\tx\r\n", b"From\tx\r\n"), (b"From:x\r\n", b"From:x\r\n"), (b" From x\r\n", b" From x\r\n"),
        (b"> From x\r\n", b"> From x\r\n"), (b"From\r\n", b"From\r\n"), (b">\r\n", b">\r\n"), (b"xFrom y\r\n", b"xFrom y\r\n"),
        (b"\nFrom x\n\r\n", b"\n>From x\n\r\n"), (b">" * 300 + b"From x\r\n", b">" * 301 + b"From x\r\n"),
        (b"..\r\n.From x\r\n", b"..\r\n.From x\r\n"), (b">" * 70000 + b"From x\r\n", b">" * 70001 + b"From x\r\n"),
        (b">" * 70000 + b"Fro\r\n", b">" * 70000 + b"Fro\r\n"),
    ) if len(text) < 1000
])
def _(hall, text, wanted):
    same(stored(hall, "s@example.org", text).split(b"\n", 1)[1], wanted + b"\n", "behind the From_ line")


@check("mbox: From behind 70,000 >", "files 3.2: after any number of `>`")
def _(hall):
    user = hall.user()
    text = b">" * 70_000 + b"From x\r\n" + b">" * 70_000 + b"Fro\r\n"
    hall.deliver(user, text)
    same(hall.messages(user), [text], "the mailbox")
    holds(b"\n" + b">" * 70_001 + b"From x" in hall.disk(user), "not quoted")


@check("mbox: From that comes in pieces is quoted", "files 3.2: a line of the text that begins with `From `; protocol 1.3: arbitrary pieces")
def _(hall):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    for piece in ("Fr", "om ", "x\r", "\n>", ">F", "rom y\r\n", "..", "F\r\n", ".\r\n"):
        peer.silent(0.01)
        peer.send(piece)
    peer.expect("250 OK")
    same(hall.disk(user).split(b"\n", 1)[1], b">From x\r\n>>>From y\r\n.F\r\n\n", "behind the From_ line")


@table("files 3.3: if the file does not end in an empty line, add the missing newline(s)", [
    (f"mbox: delivery behind {show}", content, count)
    for show, content, count in (
        ("a file that ends in an empty line", b"From a@b Wed Sep 17 11:00:00 2025\nx\n\n", 1),
        ("one that ends in a line", b"From a@b Wed Sep 17 11:00:00 2025\nx\n", 1),
        ("one that ends within a line", b"From a@b Wed Sep 17 11:00:00 2025\nx", 1),
        ("one that ends in CRLF", b"From a@b Wed Sep 17 11:00:00 2025\r\nx\r\n", 1),
        ("one that ends in an empty CRLF line", b"From a@b Wed Sep 17 11:00:00 2025\r\nx\r\n\r\n", 1),
        ("one that ends in a From_ line", b"From a@b Wed Sep 17 11:00:00 2025\n", 1),
        ("one that is empty", b"", 0),
    )
])
def _(hall, content, count):
    user = hall.user(content)
    hall.deliver(user, b"new\r\n")
    hall.deliver(user, b"newer\r\n")
    after = hall.disk(user)
    holds(after.startswith(content), f"the file begins otherwise: {after!r}")
    holds(re.match(rb"\n*From <s@example.org> ", after[len(content):]), f"the appended part: {after[len(content):]!r}")
    boundary = after[:after.index(b"From <s@example.org>")]
    holds(not boundary or boundary.endswith((b"\n\n", b"\n\r\n")), f"no empty line before the new message: {boundary!r}")
    texts = hall.messages(user)
    same(texts[count:], [b"new\r\n", b"newer\r\n"], "the new messages")
    same(len(texts), count + 2, "messages")
    if count and content.strip().endswith(b"x"):
        same(texts[0], b"x\r\n", "the message that was there")


@check("mbox: Python reads what is written", "files 3.1: Dovecot, mutt, procmail and Python read it")
def _(hall):
    user = hall.user()
    for sender in ("s@example.org", "", '"a b"@example.org'):
        hall.deliver(user, b"Subject: x\r\n\r\nFrom here\r\nto there\r\n", sender)
    box = python_mailbox.mbox(hall.path(user))
    same([message["subject"] for message in box], ["x"] * 3, "the subjects that Python reads")
    box.close()


@check("mbox: no other file becomes a user", "files 2.1: DIR/user.mbox is the mailbox")
def _(hall):
    with open(os.path.join(hall.dir, "plainfile"), "wb"):
        pass
    peer = hall.sender()
    peer.say("MAIL FROM:<>", "250 OK")
    for name in ("plainfile", "plainfile.mbox", ".mbox", "mbox"):
        peer.say(f"RCPT TO:<{name}@localhost>", ("550 *", "501 *"))


DATE = b"Wed Sep 17 11:00:00 2025"
F = b"From a@b " + DATE + b"\n"

# Files as other programs write them, and the messages that RETR must send.
FILES = [
    ("LF", F + b"Subject: x\n\nbody\n\n", [b"Subject: x\r\n\r\nbody\r\n"]),
    ("CRLF", b"From a@b " + DATE + b"\r\nSubject: x\r\n\r\nbody\r\n\r\n", [b"Subject: x\r\n\r\nbody\r\n"]),
    ("mixed line ends", F + b"a\r\nb\nc\r\n\n" + b"From a@b " + DATE + b"\r\nd\n\r\n", [b"a\r\nb\r\nc\r\n", b"d\r\n"]),
    ("two messages", F + b"a\n\n" + F + b"b\n\n", [b"a\r\n", b"b\r\n"]),
    ("no empty line between messages", F + b"a\n" + F + b"b\n", [b"a\r\n", b"b\r\n"]),
    ("no empty line between CRLF messages", F.replace(b"\n", b"\r\n") + b"a\r\n" + F.replace(b"\n", b"\r\n") + b"b\r\n", [b"a\r\n", b"b\r\n"]),
    ("no line end at the end", F + b"a", [b"a\r\n"]),
    ("no line end behind CRLF lines", F + b"a\r\nb", [b"a\r\nb\r\n"]),
    ("further empty lines belong to the message", F + b"a\n\n\n\n" + F + b"b\n\n", [b"a\r\n\r\n\r\n", b"b\r\n"]),
    ("an empty message", F + b"\n" + F + b"b\n\n", [b"", b"b\r\n"]),
    ("only a From_ line", F, [b""]),
    ("a From line without a date is text", F + b"a\n\nFrom here to there\nb\n\n", [b"a\r\n\r\nFrom here to there\r\nb\r\n"]),
    ("a From line with a year only is text", F + b"a\n\nFrom me 2025\nb\n\n", [b"a\r\n\r\nFrom me 2025\r\nb\r\n"]),
    ("a From line with a broken date is text", F + b"a\n\nFrom a@b Wed Sep 17 11:00:00\nb\n\n", [b"a\r\n\r\nFrom a@b Wed Sep 17 11:00:00\r\nb\r\n"]),
    ("a From line with another weekday word is text", F + b"a\n\nFrom a@b Xxx Sep 17 11:00:00 2025\nb\n\n",
     [b"a\r\n\r\nFrom a@b Xxx Sep 17 11:00:00 2025\r\nb\r\n"]),
    ("angle brackets", b"From <a@b> " + DATE + b"\na\n\n", [b"a\r\n"]),
    ("no address", b"From " + DATE + b"\na\n\nFrom " + DATE + b"\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("MAILER-DAEMON", b"From MAILER-DAEMON " + DATE + b"\na\n\n", [b"a\r\n"]),
    ("MAILER-DAEMON in brackets", b"From <MAILER-DAEMON> " + DATE + b"\na\n\n", [b"a\r\n"]),
    ("two blanks before the date (procmail)", b"From a@b  " + DATE + b"\na\n\nFrom c  " + DATE + b"\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a day of one digit", b"From a@b Mon Sep  1 01:02:03 2025\na\n\nFrom a@b Mon Sep 1 01:02:03 2025\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a time without seconds", F + b"a\n\nFrom a@b Wed Sep 17 11:00 2025\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a zone name before the year", F + b"a\n\nFrom a@b Wed Sep 17 11:00:00 CEST 2025\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a numeric zone before the year", F + b"a\n\nFrom a@b Wed Sep 17 11:00:00 +0200 2025\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a numeric zone behind the year (git, mutt)", F + b"a\n\nFrom a@b Wed Sep 17 11:00:00 2025 +0200\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("git's format-patch", b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\na\n\n", [b"a\r\n"]),
    ("mboxrd quoting", F + b">From x\n>>From y\n>Fromm\n\n", [b"From x\r\n>From y\r\n>Fromm\r\n"]),
    ("mutt", b"From me@host " + DATE + b"\nDate: Wed, 17 Sep 2025 11:00:00 +0200\nFrom: me@host\nStatus: RO\nContent-Length: 5\nLines: 1\n\nbody\n\n"
     b"From you@host " + DATE + b"\nSubject: y\n\n\n", [
         b"Date: Wed, 17 Sep 2025 11:00:00 +0200\r\nFrom: me@host\r\nStatus: RO\r\nContent-Length: 5\r\nLines: 1\r\n\r\nbody\r\n",
         b"Subject: y\r\n\r\n"]),
    ("Dovecot", b"From a@b  " + DATE + b"\nX-IMAP: 1758099600 0000000002\nX-UID: 1\nStatus: O\nSubject: x\n\nbody\n\n",
     [b"X-IMAP: 1758099600 0000000002\r\nX-UID: 1\r\nStatus: O\r\nSubject: x\r\n\r\nbody\r\n"]),
    ("Python", b"From MAILER-DAEMON Wed Sep 17 09:00:00 2025\nSubject: x\n\n>From y\n\n", [b"Subject: x\r\n\r\nFrom y\r\n"]),
    ("a Content-Length that lies", F + b"Content-Length: 99999\n\na\n\n" + F + b"b\n\n", [b"Content-Length: 99999\r\n\r\na\r\n", b"b\r\n"]),
    ("a bare CR within a line", F + b"a\rb\n\n", [b"a\rb\r\n"]),
    ("CR CR LF", F + b"a\r\r\n\n", [b"a\r\r\n"]),
    ("NUL and 8-bit octets", F + b"\0\xff\x80\n\n", [b"\0\xff\x80\r\n"]),
    ("dots", F + b".\n..\n.a\n\n", [b".\r\n..\r\n.a\r\n"]),
    ("From_ line with a blank at its end", b"From a@b " + DATE + b" \na\n\n", [b"a\r\n"]),
    ("a quoted sender with blanks", F + b'a\n\nFrom "a b"@c ' + DATE + b"\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a UUCP From_ line", F + b"a\n\nFrom a@b " + DATE + b" remote from host\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a line of 200,000 octets", F + b"x" * 200_000 + b"\n\n" + F + b"b\n\n", [b"x" * 200_000 + b"\r\n", b"b\r\n"]),
    ("a long From_ line", F + b"a\n\nFrom " + b"x" * 900 + b"@b " + DATE + b"\nb\n\n", [b"a\r\n", b"b\r\n"]),
    ("a first From line without a date", b"From nobody\nx\n\n" + F + b"b\n\n", [b"x\r\n", b"b\r\n"]),
    ("From lines in a message that are quoted in mboxo", F + b">From x\n\n", [b"From x\r\n"]),
    ("1,000 messages", b"".join(F + b"%d\n\n" % n for n in range(1000)), [b"%d\r\n" % n for n in range(1000)]),
]


@table("files 4.1 and 4.4: Reading is liberal; protocol 4.7: RETR turns LF into CRLF", [
    (f"reading: {name}", content, wanted) for name, content, wanted in FILES
])
def _(hall, content, wanted):
    user = hall.user(content)
    same(hall.messages(user), wanted, "the mailbox")
    same(hall.disk(user), content, "the file behind reading")


DATED = "files 4.1: a From_ line has a date in any form that mutt or Dovecot takes, or RFC 5322 or ISO 8601 has, and separates wherever it stands"


@table(DATED, [
    (f"reading: From_ lines with {line.strip()!r} ({where})", line, second)
    for line in (
        "a@b Wed Sep 17 11:00:00 2025 (+0700)", "a@b Wed Sep 17 11:00:00 (+0700) 2025", "Wed Sep 17 11:00 EST 2025",
        "a@b Wed Sep 17 11:00:00 GMT+02:00 2025", "a@b Wed Sep 17 11:00:00 MET DST 2025", "a@b Wed Sep 17 11:00:00 25",
        "a@b Wed Sep 17  1: 2: 3 2025", "a@b Fri, Jul 01 09:13:09 1994", "a@b Fri, 01 Jul 2005 09:13:09 +0200",
        "a@b 1 Jul 05 09:13 GMT", "Fri, 01 Jul 2005 09:13:09 +0200 (CEST)", "a@b 2025-09-17T11:00:00",
        "2025-09-17T11:00:00Z", "a@b 2025-09-17T11:00:00+02:00", '"a b"@c Wed Sep 17 11:00:00 2025',
        "user at example.org  Wed Sep 17 11:00:00 2025", "1234567890@xxx Wed Sep 17 11:00:00 +0000 2025",
        "a@b Wed Sep 17 11:00 MET 2025 remote from host", "some odd words Wed Sep 17 11:00:00 2025",
    )
    for where, second in (("behind themselves", None), ("behind asctime", F), ("not behind an empty line", b""))
])
def _(hall, line, second):
    line = b"From " + line.encode() + b"\n"
    first = F if second == F else line
    end = b"" if second == b"" else b"\n"
    for ends in (b"\n", b"\r\n"):
        content = (first + b"a\n" + end + line + b"From here on\n" + end + line + b"c\n\n").replace(b"\n", ends)
        same(hall.messages(hall.user(content)), [b"a\r\n", b"From here on\r\n", b"c\r\n"], "the mailbox")


UNDATED = "files 4.2: if the first line has no date but is bare, `From -`, an address or other words, lines of that form behind an empty line separate too"


@table(UNDATED, [
    ("reading: a mailbox of " + name, lines)
    for name, lines in (
        ("bare From lines (Thunderbird)", [b"From ", b"From ", b"From  "]), ("From - lines", [b"From - ", b"From -", b"From - "]),
        ("From lines with an address", [b"From a@b", b"From <c@d>", b"From root"]),
        ("From lines with a hidden address", [b"From a at b.c", b"From d at e.f", b"From g at h.i"]),
        ("From lines of the same words", [b"From the old days", b"From the old days", b"From  the old days"]),
        ("From lines with a date that nobody knows", [b"From a@b 17.9.2025 11 Uhr", b"From c@d 18.9.2025 12 Uhr", b"From e@f 7.9.2025 9 Uhr"]),
    )
])
def _(hall, lines):
    for end in (b"\n", b"\r\n"):
        first, second, third = (line + end for line in lines)
        text = b"b" + end + first + end + b"From here to there it is text" + end
        user = hall.user(first + b"a" + end + end + second + text + end + third + b"c" + end)
        hall.deliver(user, b"new\r\n")
        wanted = [b"a\r\n", text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), b"c\r\n", b"new\r\n"]
        same(hall.messages(user), wanted, "the mailbox")


@check("reading: From lines without a date are text behind a dated first line", UNDATED)
def _(hall):
    text = b"a\r\n" + b"".join(b"\r\nFrom %s\r\n" % word for word in (b"", b"-", b"a@b", b"the old days", b"a@b 17.9.2025"))
    same(hall.messages(hall.user(F + text.replace(b"\r\n", b"\n") + b"\n" + F + b"b\n\n")), [text, b"b\r\n"], "the mailbox")


@check("reading: 500 messages with bare From lines stay as many when one goes", UNDATED)
def _(hall):
    for gone in (1, 250, 501):
        user = hall.user(b"".join(b"From \nSubject: %d\n\nx\n\n" % n for n in range(500)))
        hall.deliver(user, b"Subject: new\r\n\r\nx\r\n")
        texts = hall.messages(user)
        same(len(texts), 501, "messages")
        peer = hall.login(user)
        peer.say(f"DELE {gone}", "+OK*")
        peer.say("QUIT", "+OK*")
        same(hall.messages(user), texts[:gone - 1] + texts[gone:], f"the mailbox without number {gone}")


@check("reading: no message is lost when one with a date becomes the first of those without", UNDATED)
def _(hall):
    user = hall.user(b"From \na\n\n" + F + b"b\n\nFrom \nc\n\nFrom \nd\n\n")
    for gone, left in ((1, [b"b\r\n", b"c\r\n", b"d\r\n"]), (1, [b"c\r\n", b"d\r\n"]), (2, [b"c\r\n"])):
        peer = hall.login(user)
        peer.say(f"DELE {gone}", "+OK*")
        peer.say("QUIT", "+OK*")
        write(hall.path(user), hall.disk(user))  # so that it is read anew
        same(hall.messages(user), left, "the mailbox")


RECORD = (
    b"From MAILER_DAEMON  Sat Nov 28 17:55:10 2026\nDate: Sat, 28 Nov 2026 17:55:10 +0000\n"
    b"From: Mail System Internal Data <MAILER-DAEMON@x.example>\n"
    b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nMessage-ID: <1795888510@x.example>\n"
    b"X-IMAP: 1795888510 0000000002\nStatus: RO\n\n"
    b"This text is part of the internal format of your mail folder, and is not\na real message.\n\n"
)
HIDDEN = "files 4.5: the record that Dovecot, UW-IMAP and Pine keep as first message of a file is no mail, and stays"


@table(HIDDEN, [
    (f"reading: a record of another program ({name})", record)
    for name, record in (("Dovecot", RECORD), ("CRLF", RECORD.replace(b"\n", b"\r\n")), ("X-IMAPbase", RECORD.replace(b"X-IMAP", b"X-IMAPbase")),
                         ("UW-IMAP", RECORD.replace(b"MAILER_DAEMON ", b"MAILER-DAEMON")))
])
def _(hall, record):
    user = hall.user(record)
    same(hall.messages(user), [], "the mailbox")
    for texts in ([b"a\r\n"], [b"b\r\n", b"c\r\n"]):
        for text in texts:
            hall.deliver(user, text)
        same(hall.messages(user), texts, "the mailbox")
        peer = hall.login(user)
        for number in range(len(texts)):
            peer.say(f"RETR {len(texts) + 1}", "-ERR*")
            peer.say(f"DELE {number + 1}", "+OK*")
        peer.say("QUIT", "+OK*")
        same(hall.disk(user), record, "the file when everything else is deleted")


@check("reading: a record of another program that is sent or not the first is mail", "protocol 4.7: what POP3 serves is what SMTP got; " + HIDDEN)
def _(hall):
    sent = RECORD.split(b"\n", 1)[1].replace(b"\n", b"\r\n")
    user = hall.user()
    hall.deliver(user, sent, "")
    same(hall.messages(user), [sent], "the mailbox")
    same(len(hall.messages(hall.user(F + b"a\n\n" + RECORD))), 2, "messages")


@check("reading: every file as one, in any order", "files 4.1 and 4.4: Reading is liberal")
def _(hall):
    chosen = [(content, wanted) for _, content, wanted in FILES if content.endswith(b"\n\n") and content.count(b"From nobody") == 0 and len(content) < 500]
    for files in (chosen, chosen[::-1]):
        user = hall.user(b"".join(content for content, _ in files))
        same(hall.messages(user), [text for _, wanted in files for text in wanted], "the mailbox")


@table("protocol 4.6: a mailbox of any size works as a small one does", [
    (f"reading: a From_ line around octet {edge:,}, {name}", edge, end)
    for edge in (4096, 8192, 65_536, 131_072, 524_288, 1_048_576) for name, end in (("LF", b"\n"), ("CRLF", b"\r\n"))
])
def _(hall, edge, end):
    separator = F.replace(b"\n", end)
    user = hall.user()
    for back in range(0, 48, 5):
        first = separator + b"x" * (edge - back - len(separator) - 2 * len(end))
        content = first + end + end + separator + b"b" + end + end
        write(hall.path(user), content)
        peer = hall.login(user)
        due = {1: str(len(first) - len(separator) + 2), 2: "3"}
        same(peer.listing("LIST"), due, f"LIST where the From_ line begins at octet {edge - back}")
        peer.say("QUIT", "+OK*")


@check("reading: what Python adds while the servers run", "files 4.4: written by … Python; files 7.1: the locks they take")
def _(hall):
    user = hall.user()
    hall.deliver(user, b"one\r\n")
    box = python_mailbox.mbox(hall.path(user))
    box.lock()
    box.add(b"Subject: two\n\nFrom body\nend\n")
    box.flush()
    box.unlock()
    box.close()
    hall.deliver(user, b"three\r\n")
    texts = hall.messages(user)
    same([texts[0], texts[2]], [b"one\r\n", b"three\r\n"], "the messages around Python's")
    holds(texts[1].startswith(b"Subject: two\r\n"), f"Python's: {texts[1]!r}")
    same(len(set(map(md5, texts))), 3, "different messages")


@check("reading: a mailbox that is replaced between sessions", "files 7.1: other programs may have the same files open")
def _(hall):
    user = hall.user(F + b"a\n\n" + F + b"b\n\n")
    same(hall.messages(user), [b"a\r\n", b"b\r\n"], "the mailbox")
    for texts in ([b"x"], [b"a", b"c"], [b"b", b"a"], []):
        write(hall.path(user), b"".join(F + text + b"\n\n" for text in texts))
        same(hall.messages(user), [text + b"\r\n" for text in texts], "the mailbox")


@check("reading: a mailbox that is edited in place between sessions", "protocol 4.6: UIDL is of the text as RETR sends it")
def _(hall):
    user = hall.user(F + b"aaaa\n\n" + F + b"bbbb\n\n")
    same(hall.messages(user), [b"aaaa\r\n", b"bbbb\r\n"], "the mailbox")
    before = os.stat(hall.path(user))
    with open(hall.path(user), "r+b") as file:
        file.seek(len(F))
        file.write(b"cccc")
    os.utime(hall.path(user), ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    same(hall.messages(user), [b"cccc\r\n", b"bbbb\r\n"], "the mailbox")
