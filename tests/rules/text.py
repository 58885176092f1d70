"""Message text: where it ends, what becomes of its dots, and its size (protocol 3.6 to 3.8)."""

import resource
import os

from rules.checks import check, holds, same, table
from rules.console import limited, mbox

OK = "250 OK"
ONLY = "protocol 3.6: only CRLF . CRLF ends message text: a bare CR or LF never does"

# Octets that look like the end of message text and are not.
NO_ENDS = [
    ("LF . LF", b"\n.\n"), ("LF . CRLF", b"\n.\r\n"), ("CRLF . LF", b"\r\n.\n"), ("CR . CR", b"\r.\r"),
    ("CRLF . CR", b"\r\n.\r"), ("CRLF . CR CRLF", b"\r\n.\r\r\n"), ("CR . CRLF", b"\r.\r\n"), ("LF . CR", b"\n.\r"),
    ("CRLF NUL . CRLF", b"\r\n\0.\r\n"), ("CRLF . NUL CRLF", b"\r\n.\0\r\n"), ("CRLF . blank CRLF", b"\r\n. \r\n"),
    ("CRLF blank . CRLF", b"\r\n .\r\n"), ("CR CRLF . LF", b"\r\r\n.\n"), ("CRLF . LF CRLF", b"\r\n.\n\r\n"),
    ("CRLF .. CRLF", b"\r\n..\r\n"), ("CRLF . tab CRLF", b"\r\n.\t\r\n"),
]


def whole(octets):
    return [octets]


def bytewise(octets):
    return [bytes([octet]) for octet in octets]


def at_line_ends(octets):
    return [piece for line in octets.splitlines(keepends=True) for piece in (line[:-1], line[-1:]) if piece]


def around_dots(octets):
    first, *rest = octets.split(b".")
    return [first, *[piece for tail in rest for piece in (b".", tail) if piece]]


CUTS = (whole, bytewise, at_line_ends, around_dots)


def unstuffed(text):
    """The text without the dots that RFC 821 4.5.2 takes away: one behind every CRLF."""
    return (b"\r\n" + text).replace(b"\r\n.", b"\r\n")[2:]


@table(ONLY, [
    (f"smtp: {name} does not end the text, {cut.__name__}", octets, cut) for name, octets in NO_ENDS for cut in CUTS
])
def _(hall, octets, cut):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    text = b"before" + octets + b"MAIL FROM:<evil@example.org>\r\nQUIT\r\nafter\r\n"
    for piece in cut(text):
        peer.send(piece)
        peer.silent(0.001)
    peer.silent(0.02)
    peer.send(b".\r\n")
    peer.expect(OK)
    peer.alive().close()
    stored = hall.disk(user)
    body = stored[stored.index(b"\n") + 1:]
    same(body, unstuffed(text) + b"\n", "the text on disk")


@table("protocol 3.6: CRLF . CRLF ends message text, however it is cut; protocol 1.3", [
    (f"smtp: the end of data cut behind {cut} octets", cut) for cut in range(1, 5)
])
def _(hall, cut):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    end = b"\r\n.\r\n"
    peer.send(b"text" + end[:cut])
    peer.silent(0.03)
    peer.send(end[cut:])
    peer.expect(OK)
    same(hall.messages(user), [b"text\r\n"], "the mailbox")


# Texts, as the sender means them, which SMTP stores and POP3 serves to the byte.
TEXTS = [
    ("a line", b"hello\r\n"), ("nothing", b""), ("an empty line", b"\r\n"), ("empty lines", b"\r\n\r\n\r\n"),
    ("a dot", b".\r\n"), ("two dots", b"..\r\n"), ("three dots", b"...\r\n"), ("a leading dot", b".hello\r\n"),
    ("a dot on the first line", b".first\r\nsecond\r\n"), ("a dot on the last line", b"first\r\n.\r\n"),
    ("many lines of dots", b".\r\n..\r\n.\r\n\r\n.\r\n...\r\n"), ("an inner dot", b"a.b\r\n.c.\r\n"),
    ("From at the start", b"From me to you\r\n"), ("a From_ line", b"a\r\n\r\nFrom x@y Wed Sep 17 11:00:00 2025\r\nb\r\n"),
    ("quoted From", b">From a\r\n>>From b\r\n>>>>>>From c\r\n"), ("From without a blank", b"From\r\nFrom:\r\nFromage\r\n"),
    ("a From_ line at the very start", b"From x@y Wed Sep 17 11:00:00 2025\r\nb\r\n"),
    ("> alone", b">\r\n>>\r\n> From\r\n>from x\r\n"), ("dot From", b".From x\r\n.>From x\r\n"),
    ("trailing blanks", b"a  \r\nb\t\r\n"), ("trailing empty lines", b"a\r\n\r\n\r\n\r\n"), ("leading empty lines", b"\r\n\r\na\r\n"),
    ("8-bit octets", bytes(range(128, 256)) + b"\r\n"), ("a NUL", b"a\0b\r\n\0\r\n"), ("UTF-8", "Grüße, 世界\r\n".encode()),
    ("control octets", bytes(o for o in range(32) if o not in (10, 13)) + b"\x7f\r\n"),
    ("escape sequences", b"\x1b]52;c;QUJD\x07\x1b[2J\r\n"), ("commands", b"QUIT\r\nRSET\r\nMAIL FROM:<a@b>\r\nDATA\r\n"),
    ("a line of 998 octets", b"x" * 998 + b"\r\n"), ("a line of 5,000 octets", b"x" * 5000 + b"\r\n"),
    ("a line of 1 MB", b"y" * 1_000_000 + b"\r\n"), ("64 KiB", (b"z" * 62 + b"\r\n") * 1024),
    ("100,000 short lines", b".\r\nFrom x\r\n" * 50_000), ("a line of dots", b"." * 3000 + b"\r\n"),
    ("header and body", b"Subject: x\r\nFrom: a@b\r\n\r\nbody\r\n"), ("MIME", b"Content-Type: text/plain\r\n\r\n=46rom x\r\n"),
]


@table("protocol 4.7: what POP3 serves is what SMTP got, to the byte; protocol 3.6: a leading dot that was doubled is removed once", [
    (f"mail: {name} comes back as it was sent", text) for name, text in TEXTS
])
def _(hall, text):
    user = hall.user()
    hall.deliver(user, text)
    hall.deliver(user, b"the next message\r\n")
    same(hall.messages(user), [text, b"the next message\r\n"], "the mailbox")


@table("protocol 4.7: to the byte; protocol 1.3: arbitrary pieces", [
    (f"mail: dots and From lines around octet {edge:,}", edge) for edge in (4096, 8192, 65_536, 131_072, 262_144, 524_288, 2_097_152)
])
def _(hall, edge):
    user = hall.user()
    peer = hall.sender()
    texts = []
    for before in range(1, 90, 11):
        odd = b"\r\n.\r\n..\r\nFrom a@b Wed Sep 17 11:00:00 2025\r\n>From x\r\n"
        texts.append(b"x" * (edge - before) + odd + b"y" * (edge - before % 7) + odd)
        peer.transaction("s@example.org", user).text(texts[-1])
    same(hall.messages(user), texts, "the mailbox")


# Texts with bare CR and LF: kept on disk, and what POP3 serves of them.
BARE = [
    ("a bare LF", b"a\nb\r\n", b"a\r\nb\r\n"), ("a bare LF at the end", b"a\n\r\n", b"a\r\n\r\n"),
    ("a bare CR", b"a\rb\r\n", b"a\rb\r\n"), ("LF CR", b"a\n\rb\r\n", b"a\r\n\rb\r\n"),
    ("From behind a bare LF", b"a\nFrom x@y Wed Sep 17 11:00:00 2025\nb\r\n", b"a\r\nFrom x@y Wed Sep 17 11:00:00 2025\r\nb\r\n"),
    ("quoted From behind a bare LF", b"a\n>From x\r\n", b"a\r\n>From x\r\n"),
    ("From behind a bare CR", b"a\rFrom x@y Wed Sep 17 11:00:00 2025\r\n", b"a\rFrom x@y Wed Sep 17 11:00:00 2025\r\n"),
    ("a dot behind a bare LF", b"a\n.b\r\n", b"a\r\n.b\r\n"), ("two empty lines of LF", b"a\n\n\nFrom b\n\r\n", b"a\r\n\r\n\r\nFrom b\r\n\r\n"),
]


@table("protocol 3.6: bare CR/LF: accept and store as is, never a line end for dots; files 3.2: but one for quoting", [
    (f"mail: {name} is kept on disk, and served in CRLF lines", text, wanted) for name, text, wanted in BARE
])
def _(hall, text, wanted):
    user = hall.user()
    hall.deliver(user, text)
    came = hall.messages(user)
    same(len(came), 1, "messages")
    same(came[0], wanted, "the message")
    body = hall.disk(user).split(b"\n", 1)[1]
    same(body.replace(b"\n>From", b"\nFrom").replace(b"\n>>From", b"\n>From"), text + b"\n", "the text on disk without its quoting")


@check("smtp: a text that ends in a bare CR before its last CRLF", "protocol 3.6: kept exactly")
def _(hall):
    user = hall.user()
    hall.deliver(user, b"a\r\r\n")
    holds(hall.disk(user).endswith(b"\na\r\r\n\n"), f"stored {hall.disk(user)!r}")


@check("smtp: an empty message right behind DATA's CRLF", "protocol 3.6: An empty message is valid")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.say("MAIL FROM:<>", OK)
    peer.say(f"RCPT TO:<{user}@localhost>", OK)
    peer.send("DATA\r\n.\r\n")
    peer.expect("354 *", OK)
    same(hall.messages(user), [b""], "the mailbox")


@check("smtp: nothing is said while the text comes", "protocol 3.6: no reply before the end")
def _(hall):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    for line in ("a", "NOOP", "x" * 6000, ""):
        peer.send(line + "\r\n")
        peer.silent(0.02)
    peer.say(".", OK)


@check("smtp: only one dot is removed", "protocol 3.6: removed once; `..` -> `.`; `...` -> `..`")
def _(hall):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    peer.send("..\r\n...\r\n.a\r\n..b\r\n\r\n..\r\n.\r\n")
    peer.expect(OK)
    same(hall.messages(user), [b".\r\n..\r\na\r\n.b\r\n\r\n.\r\n"], "the mailbox")


@check("smtp: what follows the end of data in one segment is a command", "protocol 3.6: what follows the end is a command; protocol 1.3: pipelining")
def _(hall):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    peer.send("x\r\n.\r\nNOOP\r\nBLAH\r\n")
    peer.expect(OK, OK, "500 *")
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


SIZE = "protocol 3.7: `552 …` over `--max-message` (read to its end first)"


def accepted(console, size, wanted, line=50):
    """Sends a text of so many octets and expects this reply; then the connection must be usable."""
    peer = console.smtp().hello().transaction("s@example.org", "u")
    rows, rest = divmod(size, line)
    block = b"x" * (line - 2) + b"\r\n"
    text = block * rows if not rest else block * (rows - 1) + b"x" * (line + rest - 2) + b"\r\n"
    assert len(text) == size
    peer.text(text, wanted)
    same(peer.state("u"), "H", "the state")
    return text


@check("smtp: --max-message is the longest message", SIZE)
def _(hall):
    console, _ = hall.own("--max-message", "1000")
    with console:
        same(bool(accepted(console, 999, OK) and accepted(console, 1000, OK)), True, "taken")
        for size in (1001, 1002, 5000, 300_000):
            accepted(console, size, "552 *")
        same([len(m) for m in console.pop3().login("u").everything()], [999, 1000], "the mailbox")


@check("smtp: doubled dots do not count for --max-message", SIZE)
def _(hall):
    console, _ = hall.own("--max-message", "30")
    with console:
        for text, wanted in ((b".\r\n" * 10, OK), (b".\r\n" * 10 + b"\r\n", "552 *")):
            console.smtp().hello().transaction("s@example.org", "u").text(text, wanted)


@check("smtp: commands within a message that is too long are not run", SIZE)
def _(hall):
    console, _ = hall.own("--max-message", "100")
    with console:
        peer = console.smtp().hello().transaction("s@example.org", "u")
        peer.send(b"RSET\r\nQUIT\r\n\n.\n" * 3000)
        peer.silent(0.05)
        peer.send(b"\r\n.\r\n")
        peer.expect("552 *")
        peer.alive()


@check("smtp: 64 MiB are taken, one octet more is not", "protocol 3.7: `--max-message` (default 64 MiB)", alone=True)
def _(hall):
    console, _ = hall.own("--no-sync")
    with console:
        accepted(console, (64 << 20) + 1, "552 *", 4096)
        accepted(console, 64 << 20, OK, 4096)


@check("smtp: a file that may not grow is 452 and leaves nothing", "protocol 3.2: `452 …` on no space; protocol 3.8: RLIMIT_FSIZE: EFBIG -> 452")
def _(hall):
    console, directory = hall.own(users=("u", "v"), before=limited(resource.RLIMIT_FSIZE, 100_000))
    with console:
        console.smtp().hello().transaction("s@example.org", "u").text(b"first\r\n")
        before = open(mbox(directory, "u"), "rb").read()
        peer = console.smtp().hello().transaction("s@example.org", "u", "v")
        peer.text(b"too much\r\n" * 20_000, "452 *")
        same(open(mbox(directory, "u"), "rb").read(), before, "the mailbox")
        same(open(mbox(directory, "v"), "rb").read(), b"", "the other mailbox")
        peer.transaction("s@example.org", "u", "v").text(b"second\r\n")
        same(console.pop3().login("u").everything(), [b"first\r\n", b"second\r\n"], "the mailbox")


@table("protocol 3.8: For every local recipient or for none: after a 4xx/5xx nothing of it is in any mailbox", [
    (f"smtp: a mailbox that {name} before the end of data spares the other", spoil)
    for name, spoil in (
        ("disappears", os.unlink), ("becomes a directory", lambda p: (os.unlink(p), os.mkdir(p))),
        ("becomes a symbolic link", lambda p: (os.unlink(p), os.symlink("/etc/passwd", p))),
        ("becomes a FIFO", lambda p: (os.unlink(p), os.mkfifo(p))),
    )
])
def _(hall, spoil):
    good, bad = hall.user(), hall.user()
    peer = hall.sender().transaction("s@example.org", good, bad)
    spoil(hall.path(bad))
    peer.text(b"x\r\n", ("4*", "5*"))
    same(hall.disk(good), b"", "the other mailbox")
    peer.transaction("s@example.org", good).text(b"y\r\n")
    same(hall.messages(good), [b"y\r\n"], "the other mailbox")


@check("smtp: local and remote recipients of one message", "protocol 3.9: relaying; protocol 3.8: all recipients")
def _(hall):
    user = hall.user()
    hall.sender().transaction("s@example.org", user, f"{user}@example.org").text(b"x\r\n")
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("smtp: 20 clients deliver to one mailbox at once", "protocol 3.8: 250 OK is a promise")
def _(hall):
    user = hall.user()
    peers = [hall.sender().transaction("s@example.org", user) for _ in range(20)]
    for number, peer in enumerate(peers):
        peer.send(f"{number}\r\n.\r\n")
    for peer in peers:
        peer.expect(OK)
    same(sorted(hall.messages(user)), sorted(f"{n}\r\n".encode() for n in range(20)), "the mailbox")
