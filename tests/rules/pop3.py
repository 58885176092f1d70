"""POP3's commands, states and numbers (protocol 4.1 to 4.8)."""

import os

from rules.checks import check, holds, same, show, table
from rules.peer import md5

UNSUPPORTED = "-ERR Not supported"
FROM = b"From <s@example.org> Wed Sep 17 11:00:00 2025\n"
ONE, TWO, THREE = b"Subject: one\r\n\r\n1\r\n", b".dot\r\n..\r\n", b"three\r\n\r\n"


def mailbox(*texts):
    return b"".join(FROM + text + b"\n" for text in texts)


def three(hall):
    """A session of a user with three messages."""
    return hall.login(hall.user(mailbox(ONE, TWO, THREE)))


# Every command, and what it is answered before USER, after USER, and in TRANSACTION.
COMMANDS = [
    ("USER somebody", "+OK*", "+OK*", "-ERR*"), ("USER", "-ERR*", "-ERR*", "-ERR*"),
    ("USER ", "-ERR*", "-ERR*", "-ERR*"), ("PASS", "-ERR*", "-ERR*", "-ERR*"), ("PASS wrong", "-ERR*", "-ERR*", "-ERR*"),
    ("PASS cis505", "-ERR*", "+OK*", "-ERR*"), ("pass cis505", "-ERR*", "+OK*", "-ERR*"),
    ("STAT", "-ERR*", "-ERR*", "+OK 3 38"), ("stat", "-ERR*", "-ERR*", "+OK 3 38"), ("STAT 1", "-ERR*", "-ERR*", "-ERR*"),
    ("LIST 1", "-ERR*", "-ERR*", "+OK 1 19"), ("LIST 2", "-ERR*", "-ERR*", "+OK 2 10"), ("list 3", "-ERR*", "-ERR*", "+OK 3 9"),
    ("LIST 4", "-ERR*", "-ERR*", "-ERR*"), ("UIDL 1", "-ERR*", "-ERR*", f"+OK 1 {md5(ONE)}"),
    ("uidl 3", "-ERR*", "-ERR*", f"+OK 3 {md5(THREE)}"), ("UIDL 4", "-ERR*", "-ERR*", "-ERR*"),
    ("RETR", "-ERR*", "-ERR*", "-ERR*"), ("RETR 4", "-ERR*", "-ERR*", "-ERR*"), ("RETR 1 2", "-ERR*", "-ERR*", "-ERR*"),
    ("DELE", "-ERR*", "-ERR*", "-ERR*"), ("DELE 4", "-ERR*", "-ERR*", "-ERR*"), ("DELE 1 2", "-ERR*", "-ERR*", "-ERR*"),
    ("LIST 1 2", "-ERR*", "-ERR*", "-ERR*"), ("UIDL 1 2", "-ERR*", "-ERR*", "-ERR*"),
    ("NOOP", "-ERR*", "-ERR*", "+OK*"), ("noop", "-ERR*", "-ERR*", "+OK*"), ("NOOP x", "-ERR*", "-ERR*", "-ERR*"),
    ("RSET", "-ERR*", "-ERR*", "+OK*"), ("RSET x", "-ERR*", "-ERR*", "-ERR*"), ("QUIT x", "-ERR*", "-ERR*", "-ERR*"),
]
COMMANDS += [
    (command, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED)
    for command in ("CAPA", "capa", "TOP", "TOP 1 0", "APOP", "APOP u c4c9334bac560ecc979e58001b3e22fb", "AUTH", "AUTH PLAIN", "STLS",
                    "LAST", "UTF8", "LANG", "XTND XMIT", "BLAH", "", "   ", " STAT", " QUIT", "STATX", "RETR1", "LIST1", "HELO x",
                    "GET / HTTP/1.0", "ECHO x", "QUITx", "STA", "NOOPNOOP", "%s%n", "stat\x01", "\x1b[2J", "Stat:")
]


@table("protocol 4.1: the table of states; everything else is `-ERR Not supported`", [
    (f"pop3: {row[0]!r} {where}", row[0], place, row[1 + place])
    for row in COMMANDS
    for place, where in enumerate(("before USER", "after USER", "in TRANSACTION"))
])
def _(hall, command, place, wanted):
    user = hall.user(mailbox(ONE, TWO, THREE))
    peer = hall.pop3()
    if place == 1:
        peer.say(f"USER {user}", "+OK*")
    elif place == 2:
        peer.login(user)
    peer.say(command, wanted)
    peer.alive()
    if place == 2:
        peer.say("STAT", "+OK 3 38")
    elif place == 0:
        peer.say("STAT", "-ERR*")
        peer.login(user)


@table("protocol 4.1: QUIT: +OK, close", [
    (f"pop3: {word} {where}", word, place)
    for word in ("QUIT", "quit", "QUIT ") for place, where in enumerate(("before USER", "after USER", "in TRANSACTION"))
])
def _(hall, word, place):
    user = hall.user(mailbox(ONE))
    peer = hall.pop3()
    if place == 1:
        peer.say(f"USER {user}", "+OK*")
    elif place == 2:
        peer.login(user)
    peer.say(word, "+OK*")
    peer.ends()
    same(hall.disk(user), mailbox(ONE), "the mailbox")


NUMBERS = ["0", "-1", "+1", "1x", "x1", "1abc", "0x1", "1.0", "1 2", "4", "99999", "4294967296", "4294967297",
           "18446744073709551615", "18446744073709551616", "18446744073709551617", "9" * 30, "1" * 255, "1e0", "1,", "²",
           "\u0661", "1\0", "1\x01", "--1", "1-", "1-2", "a", "''", "1;2", "00", "000"]


@table("protocol 4.3: Message numbers are plain digits: 0, -1, +1, 1x, numbers beyond 64 bits: `-ERR`", [
    (f"pop3: {command} {number[:32]!r} ({len(number)} octets) is an error", command, number) for command in ("LIST", "UIDL", "RETR", "DELE") for number in NUMBERS
])
def _(hall, command, number):
    peer = three(hall)
    peer.say(f"{command} {number}", "-ERR*")
    peer.say("STAT", "+OK 3 38")
    peer.alive()


@table("protocol 4.3: leading zeros and surrounding spaces accepted", [
    (f"pop3: {line!r}", line, wanted)
    for line, wanted in (("LIST 01", "+OK 1 19"), ("LIST  1", "+OK 1 19"), ("LIST 1 ", "+OK 1 19"), ("LIST   003  ", "+OK 3 9"),
                         ("UIDL 01 ", f"+OK 1 {md5(ONE)}"), ("STAT ", "+OK 3 38"), ("NOOP ", "+OK*"))
])
def _(hall, line, wanted):
    three(hall).say(line, wanted)


@table("protocol 4.3: surrounding spaces accepted: a listing of all", [
    (f"pop3: {line!r} lists all", line) for line in ("LIST", "LIST ", "UIDL", "UIDL ", "list", "uIdL")
])
def _(hall, line):
    same(list(three(hall).listing(line)), [1, 2, 3], line)


@check("pop3: LIST", "protocol 4.6: +OK, `n size` lines, `.`")
def _(hall):
    same(three(hall).lines("LIST"), [b"1 19\r\n", b"2 10\r\n", b"3 9\r\n"], "LIST")


@check("pop3: UIDL", "protocol 4.6: The unique-id is the lower-case hex MD5 over the text of the message, before dot-stuffing")
def _(hall):
    rows = [f"{n} {md5(text)}\r\n".encode() for n, text in enumerate((ONE, TWO, THREE), 1)]
    same(three(hall).lines("UIDL"), rows, "UIDL")


@check("pop3: RETR", "protocol 4.7: RETR dot-stuffs, the first line too; no extra blank line")
def _(hall):
    peer = three(hall)
    same(b"".join(peer.lines("RETR 2")), b"..dot\r\n...\r\n", "RETR 2")
    same(b"".join(peer.lines("RETR 3")), THREE, "RETR 3")
    same(b"".join(peer.lines("RETR 1")), ONE, "RETR 1")
    peer.alive()


@check("pop3: an empty maildrop", "protocol 4.6: empty maildrop: +OK and `.`")
def _(hall):
    peer = hall.login(hall.user())
    peer.say("STAT", "+OK 0 0")
    same([peer.lines("LIST"), peer.lines("UIDL")], [[], []], "LIST and UIDL")
    for command in ("LIST 1", "UIDL 1", "RETR 1", "DELE 1", "RETR 0"):
        peer.say(command, "-ERR*")
    peer.say("RSET", "+OK*")
    peer.say("QUIT", "+OK*")
    peer.ends()


@check("pop3: commands in one segment", "protocol 1.3: pipelining")
def _(hall):
    user = hall.user(mailbox(TWO, ONE))
    peer = hall.pop3()
    peer.send(f"USER {user}\r\nPASS cis505\r\nSTAT\r\nRETR 1\r\nLIST\r\nDELE 1\r\nBLAH\r\nLIST 2\r\nUIDL 2\r\nQUIT\r\nSTAT\r\n")
    peer.expect("+OK*", "+OK*", "+OK 2 29", "+OK*", "..dot", "...", ".", "+OK*", "1 10", "2 19", ".", "+OK*", UNSUPPORTED,
                "+OK 2 19", f"+OK 2 {md5(ONE)}", "+OK*")
    peer.ends()
    same(hall.disk(user), mailbox(ONE), "the mailbox")


@check("pop3: a session byte by byte", "protocol 1.3: input arrives in arbitrary pieces")
def _(hall):
    user = hall.user(mailbox(ONE))
    peer = hall.pop3()
    for line, reply in ((f"USER {user}", "+OK*"), ("PASS cis505", "+OK*"), ("STAT", "+OK 1 19"), ("DELE 1", "+OK*")):
        peer.send_bytewise(line + "\r\n")
        peer.expect(reply)
    peer.send_bytewise("QUIT\r\n")
    peer.expect("+OK*")
    peer.ends()
    same(hall.disk(user), b"", "the mailbox")


LOGIN = "protocol 4.4: a wrong password or user is `-ERR` at PASS, on a connection that stays usable, and USER is needed again"


@table(LOGIN, [
    (f"pop3: the password {password!r} is wrong", password)
    for password in ("wrong", "", "CIS505", " cis505", "cis505 ", "cis505 x", "cis", "cis5055", "cis505\t", "\0", "cis505\0", "x" * 900)
])
def _(hall, password):
    user = hall.user(mailbox(ONE))
    peer = hall.pop3()
    peer.say(f"USER {user}", "+OK*")
    peer.say(f"PASS {password}", "-ERR*")
    peer.say("STAT", "-ERR*")
    if "\0" not in password:
        peer.say("PASS cis505", "-ERR*")
    peer.login(user)
    peer.say("STAT", "+OK 1 19")


@table("protocol 4.4: USER always gets `+OK` (it tells nobody which users exist)", [
    (f"pop3: USER {name[:40]!r} ({len(name)} octets) is +OK, and its PASS an error", name)
    for name in ("nobody", "../x", "/etc/passwd", ".hidden", "a/b", "mqueue", "..", ".", "*", "-", "x" * 65, "x" * 400, "a b",
                 "mqueue.mbox", "u@localhost", "%s", "~root", "a\\b")
])
def _(hall, name):
    peer = hall.pop3()
    peer.say(f"USER {name}", "+OK*")
    peer.say("PASS cis505", "-ERR*")
    peer.alive()


@check("pop3: a wrong password and an unknown user look alike", "protocol 4.4: it tells nobody which users exist")
def _(hall):
    peer = hall.pop3()
    replies = []
    for user in (hall.user(), "nobody"):
        peer.say(f"USER {user}", "+OK*")
        replies.append(peer.say("PASS wrong", "-ERR*"))
    same(replies[0], replies[1], "the replies")


@check("pop3: USER tells nobody which users exist", "protocol 4.4: USER always gets `+OK`")
def _(hall):
    user, peer = hall.user(), hall.pop3()
    same(peer.say(f"USER {user}", "+OK*").replace(user.encode(), b""), peer.say("USER nobody", "+OK*").replace(b"nobody", b""), "USER")


@check("pop3: a second USER replaces the first", "protocol 4.4: second USER replaces the first")
def _(hall):
    one, two = hall.user(), hall.user(mailbox(ONE))
    peer = hall.pop3()
    peer.say(f"USER {one}", "+OK*")
    peer.login(two)
    peer.say("STAT", "+OK 1 19")


@check("pop3: ten failed logins close the connection", "protocol 4.4: any number of failures up to 10, then close")
def _(hall):
    user, peer = hall.user(), hall.pop3()
    for _ in range(10):
        peer.say(f"USER {user}", "+OK*")
        peer.say("PASS wrong", "-ERR*")
    peer.ends()


@check("pop3: nine failed logins do not", "protocol 4.4: any number of failures up to 10")
def _(hall):
    user, peer = hall.user(), hall.pop3()
    for _ in range(9):
        peer.say(f"USER {user}", "+OK*")
        peer.say("PASS wrong", "-ERR*")
    peer.login(user)


@check("pop3: user names are compared by case", "protocol 4.4: Local part is case-sensitive")
def _(hall):
    peer = hall.pop3()
    peer.say(f"USER {hall.user().upper()}", "+OK*")
    peer.say("PASS cis505", "-ERR*")


@check("pop3: --password, blanks included", "protocol 7.2: --password; protocol 4.4: Blanks belong to the password")
def _(hall):
    console, _ = hall.own("--password", " open  sesame ")
    with console:
        for wrong in ("cis505", "open  sesame", " open sesame ", " open  sesame"):
            peer = console.pop3()
            peer.say("USER u", "+OK*")
            peer.say(f"PASS {wrong}", "-ERR*")
        console.pop3().login("u", " open  sesame ")


@check("pop3: a deleted message is out until RSET", "protocol 4.8: A deleted message is out of STAT, LIST, UIDL and RETR until RSET")
def _(hall):
    peer = three(hall)
    peer.say("DELE 2", "+OK*")
    peer.say("STAT", "+OK 2 28")
    same([peer.lines("LIST"), list(peer.listing("UIDL"))], [[b"1 19\r\n", b"3 9\r\n"], [1, 3]], "LIST and UIDL")
    for command in ("LIST 2", "UIDL 2", "RETR 2", "DELE 2"):
        peer.say(command, "-ERR*")
    peer.say("LIST 3", "+OK 3 9")
    same(peer.retr(3), THREE, "RETR 3")
    peer.say("RSET", "+OK*")
    peer.say("STAT", "+OK 3 38")
    same([list(peer.listing("LIST")), peer.retr(2)], [[1, 2, 3], TWO], "LIST and RETR 2")


@check("pop3: all deleted", "protocol 4.8; protocol 4.6: of an empty maildrop the dot alone follows")
def _(hall):
    peer = three(hall)
    for number in (3, 1, 2):
        peer.say(f"DELE {number}", "+OK*")
    peer.say("STAT", "+OK 0 0")
    same([peer.lines("LIST"), peer.lines("UIDL")], [[], []], "LIST and UIDL")


@check("pop3: identical messages share their unique-id", "protocol 4.6: identical messages share it")
def _(hall):
    ids = hall.login(hall.user(mailbox(ONE, TWO, ONE))).listing("UIDL")
    same(ids, {1: md5(ONE), 2: md5(TWO), 3: md5(ONE)}, "UIDL")


@check("pop3: the unique-id does not depend on the line ends in the file", "protocol 4.6: independent of LF/CRLF in the file; persistent")
def _(hall):
    lf = hall.user(mailbox(ONE.replace(b"\r\n", b"\n"), TWO.replace(b"\r\n", b"\n")))
    crlf = hall.user(mailbox(ONE, TWO))
    same(hall.login(lf).listing("UIDL"), hall.login(crlf).listing("UIDL"), "UIDL")


@check("pop3: a large message", "protocol 4.7: RETR")
def _(hall):
    text = b"".join(b".%d\r\n" % n for n in range(300_000))
    same(hall.messages(hall.user(mailbox(text, ONE))), [text, ONE], "the mailbox")


@check("pop3: 5,000 messages", "protocol 4.6: a mailbox of 100,000 messages works as a small one does")
def _(hall):
    texts = [b"Subject: %d\r\n\r\nx\r\n" % n for n in range(5000)]
    user = hall.user(mailbox(*texts))
    peer = hall.login(user)
    peer.say("STAT", f"+OK 5000 {sum(map(len, texts))}")
    same(peer.listing("UIDL"), {n: md5(t) for n, t in enumerate(texts, 1)}, "UIDL")
    same(peer.listing("LIST"), {n: str(len(t)) for n, t in enumerate(texts, 1)}, "LIST")
    peer.send("".join(f"RETR {n}\r\n" for n in range(4901, 5001)))
    for n in range(4900, 5000):
        peer.expect("+OK*", *texts[n].decode().split("\r\n")[:-1], ".")
    for number in range(1, 5001, 2):
        peer.send(f"DELE {number}\r\n")
    peer.expect(*["+OK*"] * 2500)
    peer.say("QUIT", "+OK*")
    same(hall.disk(user), mailbox(*texts[1::2]), "the mailbox")


LOCK = "protocol 4.5: a second session of that user gets `-ERR` at PASS until the first ends"


def is_locked(peer, user):
    peer.say(f"USER {user}", "+OK*")
    peer.say("PASS cis505", "-ERR*")
    return peer


@table(LOCK, [
    (f"pop3: the maildrop is locked until {name}", end)
    for name, end in (
        ("QUIT", lambda peer: (peer.say("QUIT", "+OK*"), peer.ends())), ("the connection closes", lambda peer: peer.close()),
        ("the connection is reset", lambda peer: peer.reset()), ("the client half-closes", lambda peer: (peer.end_sending(), peer.ends())),
    )
])
def _(hall, end):
    user = hall.user(mailbox(ONE))
    first, second = hall.login(user), hall.pop3()
    is_locked(second, user)
    is_locked(hall.pop3(host="::1"), user)
    first.say("STAT", "+OK 1 19")
    end(first)
    login_soon(second, user)


def login_soon(peer, user):
    """A closing connection is noticed in its own time, but soon."""
    for _ in range(8):
        peer.say(f"USER {user}", "+OK*")
        peer.send("PASS cis505\r\n")
        if peer.line().startswith(b"+OK"):
            return
        peer.silent(0.1)
    raise peer.off("still locked")


@check("pop3: the lock is gone when QUIT is answered", "protocol 4.5: gone at once after QUIT")
def _(hall):
    user = hall.user(mailbox(ONE))
    for _ in range(20):
        peer = hall.login(user)
        peer.say("QUIT", "+OK*")


@check("pop3: exactly one of 20 simultaneous logins wins", "protocol 4.5: exactly one of 20 simultaneous PASS wins")
def _(hall):
    user = hall.user(mailbox(ONE))
    peers = [hall.pop3() for _ in range(20)]
    for peer in peers:
        peer.say(f"USER {user}", "+OK*")
    for peer in peers:
        peer.send("PASS cis505\r\n")
    replies = [peer.line()[:3] for peer in peers]
    same(replies.count(b"+OK"), 1, f"logins among {replies}")


@check("pop3: the lock holds between processes, and dies with its holder", "protocol 4.5: across processes, gone the moment its holder dies")
def _(hall):
    user = hall.user(mailbox(ONE))
    other = hall.run("pop3", "-p", "0", hall.dir)
    with other:
        other.listens("pop3")
        holder = other.pop3().login(user)
        waiting = is_locked(hall.pop3(), user)
        other.kill()
        holder.close()
        waiting.login(user)


@check("pop3: another user is not locked", LOCK)
def _(hall):
    one, two = hall.user(), hall.user()
    peers = hall.login(one), hall.login(two)
    for peer in peers:
        peer.say("NOOP", "+OK*")


@check("pop3: a failed login takes no lock", "protocol 4.5: A failed login takes no lock")
def _(hall):
    user = hall.user(mailbox(ONE))
    peer = hall.pop3()
    peer.say(f"USER {user}", "+OK*")
    peer.say("PASS wrong", "-ERR*")
    hall.login(user)


@check("pop3: SMTP delivers into a locked maildrop", "protocol 4.5: SMTP delivers into it all the while")
def _(hall):
    user = hall.user(mailbox(ONE))
    peer = hall.login(user)
    hall.deliver(user, b"new\r\n")
    peer.say("STAT", "+OK 1 19")
    peer.say("RETR 2", "-ERR*")
    peer.say("DELE 1", "+OK*")
    peer.say("QUIT", "+OK*")
    same(hall.messages(user), [b"new\r\n"], "the mailbox")


@check("pop3: a file that is no mbox", "files 4.3: Not an mbox at all: -ERR at PASS, file untouched")
def _(hall):
    for content in (b"hello\n", b"\x7fELF\0\0\0", b" From x@y Wed Sep 17 11:00:00 2025\n\nx\n", b"Fro"):
        user = hall.user(content)
        peer = hall.pop3()
        peer.say(f"USER {user}", "+OK*")
        peer.say("PASS cis505", "-ERR*")
        peer.alive()
        same(hall.disk(user), content, "the file")


@table("files 4.3: a file whose first line is no From_ line of any kind is refused at PASS in a sentence that quotes it; deliveries still append", [
    (f"pop3: a file that begins with {show(line, 60)}", line, quoted)
    for line, quoted in (
        (b"hello", "hello"), (b"From: a@b", "From: a@b"), (b"From", "From"), (b">From a@b Wed Sep 17 11:00:00 2025", ">From a@b Wed Sep 17"),
        (b"Return-Path: <a@b>", "Return-Path: <a@b>"), (b"\0\x1b[2J\xff\r", "\\x00\\x1b[2J\\xff\""), (b"x" * 5000, "x" * 40),
        (b"From " + b"x" * 2000 + b" Wed Sep 17 11:00:00 2025", "From " + "x" * 40), (b"\n\nhello", "hello"),
    )
])
def _(hall, line, quoted):
    content = line + b"\n\n" + mailbox(ONE)
    user = hall.user(content)
    peer = hall.pop3()
    for _ in range(2):
        peer.say(f"USER {user}", "+OK*")
        peer.send("PASS cis505\r\n")
        reply = peer.line()
        holds(reply.startswith(b"-ERR ") and b"not an mbox file" in reply and f'"{quoted}'.encode() in reply, f"{reply!r}")
        holds(len(reply) <= 510 and reply.decode("ascii").isprintable(), f"{reply!r}")
        hall.deliver(user, b"new\r\n")
        holds(hall.disk(user).startswith(content + b"From <"), f"the file: {hall.disk(user)[len(content):]!r}")


@check("pop3: a mailbox that vanishes between USER and PASS", "protocol 4.4: Missing/odd mailbox file: an -ERR line, not a dropped connection")
def _(hall):
    user = hall.user()
    peer = hall.pop3()
    peer.say(f"USER {user}", "+OK*")
    os.unlink(hall.path(user))
    peer.say("PASS cis505", "-ERR*")
    peer.alive()


@check("pop3: the long argument that RFC 2449 asks for", "protocol 4.3: an argument of 255 octets fits (RFC 2449)")
def _(hall):
    name = "n" * 40
    with open(hall.path(name), "wb"):
        hall.login(name)


@check("pop3: every reply begins with +OK or -ERR", "RFC 1939 3")
def _(hall):
    peer = three(hall)
    for command in ("STAT", "NOOP", "DELE 1", "DELE 1", "RSET", "BLAH", "LIST 9", "USER x", "PASS x", "UIDL 1", "LIST 1"):
        peer.send(command + "\r\n")
        reply = peer.line()
        holds(reply == b"+OK" or reply.startswith((b"+OK ", b"-ERR ")), f"{command}: {reply!r}")
