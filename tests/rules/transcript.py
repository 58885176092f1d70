"""The transcript on stderr under -v and -vv (protocol 6)."""

import os
import re
import time

from rules.checks import check, holds, same, table
from rules.smtp import LETTER

FORM = "protocol 6.1: `[N] New connection`, `[N] C: <text>`, `[N] S: <text>`, `[N] Connection closed`"
LINE = re.compile(r"\[(\d+)\] (New connection|Connection closed|C: .*|S: .*|\.\. .*)|\.\. \d+ lines dropped|mailconsole: .*", re.S)


def talk(hall, verbosity, server, conversation):
    """Runs a server under -v; the transcript of a conversation, N for the connection's number."""
    console, _ = hall.own(verbosity)
    with console:
        peer = getattr(console, server)()
        conversation(peer)
        peer.close()
        console.wait_for(lambda: any("Connection closed" in line for line in console.said), "the end of the transcript")
        return [re.sub(r"^\[\d+\]", "[N]", line) for line in console.said if line.startswith("[")]


@check("transcript: echo under -v", FORM)
def _(hall):
    def conversation(peer):
        peer.say("ECHO Hello  world! ", "+OK*")
        peer.say("BLAH", "-ERR*")
        peer.say("QUIT", "+OK*")
        peer.ends()

    same(talk(hall, "-v", "echo", conversation), [
        "[N] New connection", "[N] S: +OK Server ready (Author: Mail Console / mailconsole)", "[N] C: ECHO Hello  world! ",
        "[N] S: +OK Hello  world! ", "[N] C: BLAH", "[N] S: -ERR Unknown command", "[N] C: QUIT", "[N] S: +OK Goodbye!",
        "[N] Connection closed"], "the transcript")


def a_delivery(peer):
    peer.hello().transaction("a@b", "u").text(b"Subject: x\r\n\r\nhello\r\n")
    peer.say("QUIT", "221 *")
    peer.ends()


BEFORE = ["[N] New connection", "[N] S: 220 localhost mailconsole service ready", "[N] C: HELO tester", "[N] S: 250 localhost",
          "[N] C: MAIL FROM:<a@b>", "[N] S: 250 OK", "[N] C: RCPT TO:<u@localhost>", "[N] S: 250 OK", "[N] C: DATA",
          "[N] S: 354 Start mail input; end with <CRLF>.<CRLF>"]
AFTER = ["[N] S: 250 OK", "[N] C: QUIT", "[N] S: 221 localhost Service closing transmission channel", "[N] Connection closed"]


@check("transcript: a message is summed up under -v", "protocol 6.2: one summary line `[N] .. 264 octets of message text` stands for it")
def _(hall):
    came = talk(hall, "-v", "smtp", a_delivery)
    came = [line for line in came if line != "[N] C: ."]
    same(came, [*BEFORE, "[N] .. 21 octets of message text", *AFTER], "the transcript")


@check("transcript: a message is printed under -vv", "protocol 6.2: `-vv` prints it all")
def _(hall):
    came = talk(hall, "-vv", "smtp", a_delivery)
    middle = came[len(BEFORE):-len(AFTER)]
    same([came[:len(BEFORE)], came[-len(AFTER):]], [BEFORE, AFTER], "the transcript around the text")
    due = ["[N] C: Subject: x", "[N] C: ", "[N] C: hello", "[N] C: ."]
    same(middle, due, "the text in the transcript")


def a_fetch(peer):
    peer.login("u")
    peer.retr(1)
    peer.listing("LIST")
    peer.say("QUIT", "+OK*")
    peer.ends()


def fetched(hall, verbosity):
    console, directory = hall.own(verbosity)
    with console:
        console.smtp().hello().transaction("a@b", "u").text(b"Subject: x\r\n\r\nhello\r\n").close()
        a_fetch(console.pop3())
        console.wait_for(lambda: sum("Connection closed" in line for line in console.said) == 2, "both ends")
        number = next(line.split("]")[0] for line in console.said if line.endswith("+OK POP3 ready [localhost]"))
        return [re.sub(r"^\[\d+\]", "[N]", line) for line in console.said if line.startswith(number + "]")]


@check("transcript: a fetched message is summed up under -v; the password is shown", "protocol 6.2: Message text (DATA, RETR); protocol 6.4: headless -v prints PASS arguments")
def _(hall):
    came = fetched(hall, "-v")
    holds("[N] C: PASS cis505" in came, f"no PASS line: {came}")
    holds("[N] .. 21 octets of message text" in came, f"no summary: {came}")
    holds(not any("hello" in line for line in came), f"message text: {came}")
    holds("[N] S: 1 21" in came, f"no listing: {came}")


@check("transcript: a fetched message is printed under -vv", "protocol 6.2: `-vv` prints it all")
def _(hall):
    came = fetched(hall, "-vv")
    for line in ("[N] S: Subject: x", "[N] S: hello", "[N] S: ."):
        holds(line in came, f"no line {line!r}: {came}")


@check("transcript: 264 octets", "protocol 6.2: `[N] .. 264 octets of message text`")
def _(hall):
    came = talk(hall, "-v", "smtp", lambda peer: peer.hello().transaction("a@b", "u").text(LETTER))
    holds("[N] .. 264 octets of message text" in came, f"{came}")


@table("protocol 6.3: Control bytes and bytes that are not UTF-8 are shown escaped (`\\x1b`), never sent raw to a terminal", [
    ("transcript: ESC", b"ECHO \x1b[2J", r"[N] C: ECHO \x1b[2J"), ("transcript: NUL", b"ECHO \0x", r"[N] C: ECHO \x00x"),
    ("transcript: DEL and BEL", b"ECHO \x7f\x07", r"[N] C: ECHO \x7f\x07"), ("transcript: no UTF-8", b"ECHO \xff\xfe", r"[N] C: ECHO \xff\xfe"),
    ("transcript: a lone LF", b"ECHO a\nb", r"[N] C: ECHO a\x0ab"), ("transcript: a lone CR", b"ECHO a\rb", r"[N] C: ECHO a\x0db"),
    ("transcript: UTF-8", "ECHO Grüße 世界".encode(), "[N] C: ECHO Grüße 世界"), ("transcript: half of a UTF-8 character", b"ECHO \xc3", r"[N] C: ECHO \xc3"),
])
def _(hall, sent, wanted):
    came = talk(hall, "-v", "echo", lambda peer: (peer.send(sent + b"\r\n"), peer.raw_line()))
    holds(wanted in came, f"sent {sent!r}: {came}")


@check("transcript: nothing raw reaches the terminal", "protocol 6.3: C1, bidi and zero-width characters too")
def _(hall):
    console, _ = hall.own("-vv")
    with console:
        peer = console.echo()
        octets = bytes(o for o in range(256) if o not in (10, 13))
        hostile = "\u009b2J \u202e \u200b \u2028 \u2066 \ufeff \U000e0041".encode()
        peer.send(b"ECHO " + octets + hostile + b"\r\nQUIT\r\n")
        peer.raw_line()
        console.wait_for(lambda: any("Goodbye" in line for line in console.said), "the transcript")
        for line in console.said:
            raw = [c for c in line if ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000
                   or c in "\u200b\u200e\u200f\u202e\u2028\u2066\ufeff\U000e0041"]
            holds(not raw, f"{raw!r} in {line!r}")


@check("transcript: a line of 1,000 columns is whole, a longer one is cut", "protocol 6.3: a line longer than 1,000 columns is cut with a note of what was left out")
def _(hall):
    def conversation(peer):
        peer.say("ECHO " + "x" * 900, "+OK*")
        peer.say("ECHO " + "y" * 3000, "+OK " + "y" * 3000)

    came = talk(hall, "-v", "echo", conversation)
    holds("[N] C: ECHO " + "x" * 900 in came, "a line of 912 columns is not whole")
    cut = next(line for line in came if line.startswith("[N] C: ECHO y"))
    holds(900 < cut.count("y") < 1010 and re.search(r"y[^y]*\d{4}[^y]*$", cut), f"the cut line: {cut[-80:]!r} ({len(cut)} columns)")


@check("transcript: N is the descriptor of the connection", "protocol 6.1: N is the connection's file descriptor")
def _(hall):
    console, _ = hall.own("-v")
    with console:
        peers = [console.echo() for _ in range(3)]
        for number, peer in enumerate(peers):
            peer.say(f"ECHO mark {number}", "+OK*")
        console.wait_for(lambda: sum("C: ECHO mark" in line for line in console.said) == 3, "the marks")
        for number, peer in enumerate(peers):
            line = next(line for line in console.said if f"C: ECHO mark {number}" in line)
            descriptor = re.match(r"\[(\d+)\]", line)[1]
            inode = os.readlink(f"/proc/{console.process.pid}/fd/{descriptor}")
            local, remote = peer.socket.getsockname()[1], console.ports["echo"]
            rows = [row.split() for row in open("/proc/net/tcp")]
            due = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{remote:04X}") and row[2].endswith(f":{local:04X}")}
            same({inode}, due, f"what descriptor {descriptor} is")


@check("transcript: lines of different connections never mix", "protocol 6.1: One transcript line is one write")
def _(hall):
    console, _ = hall.own("-v")
    with console:
        peers = [console.echo() for _ in range(20)]
        for peer in peers:
            peer.send(b"ECHO abcdefghijklmnopqrstuvwxyz\r\n" * 200)
        for peer in peers:
            peer.expect(*["+OK abcdefghijklmnopqrstuvwxyz"] * 200)
            peer.close()
        console.wait_for(lambda: sum(line.endswith("Connection closed") for line in console.said) == 20, "20 ends")
        same([line for line in console.said if not LINE.fullmatch(line)], [], "lines of another form")
        same(sum(line.endswith("S: +OK abcdefghijklmnopqrstuvwxyz") for line in console.said), 4000, "replies in the transcript")


@check("transcript: without -v there is none", "protocol 6: `-v` writes the transcript to stderr")
def _(hall):
    console, _ = hall.own()
    with console:
        console.echo().alive().close()
        console.smtp().alive().close()
        same(console.said, [], "stderr")


@check("transcript: overlong and unfinished lines", "protocol 6.1: a line that was never ended is no command; protocol 6.3: nothing raw")
def _(hall):
    def conversation(peer):
        peer.say(b"ECHO " + b"\x1b" * 9000, "-ERR*")
        peer.send(b"ECHO unfinished")

    came = talk(hall, "-v", "echo", conversation)
    holds("[N] S: -ERR Line too long" in came, f"{[line[:80] for line in came]}")
    holds(not any("unfinished" in line and "C: " in line for line in came), "a fragment stands as a command")


@check("transcript: a reader that is slow loses nothing", "protocol 6.5: Nothing is lost while stderr is read, however slowly, within a buffer of 64 MiB")
def _(hall):
    console = hall.start("--dir", hall.directory("u"), "-v", read_stderr=False)
    with console:
        console.listens("echo")
        peer = console.echo()
        for _ in range(20):
            peer.send(b"ECHO abcdefghijklmnopqrstuvwxyz\r\n" * 500)
            peer.expect(*["+OK abcdefghijklmnopqrstuvwxyz"] * 500)
        peer.close()
        console.read_stderr()
        console.wait_for(lambda: any("Connection closed" in line for line in console.said), "the end")
        same(sum("S: +OK abc" in line for line in console.said), 10_000, "replies in the transcript")


@check("transcript: a reader that stops does not stop the servers, and is told what it missed",
       "protocol 6.5: past the buffer lines are dropped, counted, and the count stands in the transcript", alone=True)
def _(hall):
    console = hall.start("--dir", hall.directory("u"), "-v", read_stderr=False)
    with console:
        console.listens("echo")
        peer, line = console.echo(), b"ECHO " + b"x" * 985 + b"\r\n"
        sent = 0
        for _ in range(400):
            peer.send(line * 100)
            sent += 100
            due = (len(line) - 1) * 100
            while len(peer.rest) < due:
                peer.rest += peer.receive()
            peer.rest.clear()
        peer.alive()
        peer.close()
        console.read_stderr()
        time.sleep(0.5)
        late = console.echo()
        late.alive()
        console.wait_for(lambda: any("still there" in said for said in console.said[-4:]), "the transcript's end")
        dropped = sum(int(re.match(r"\.\. (\d+) lines dropped", said)[1]) for said in console.said if said.startswith(".. "))
        shown = sum("xxx" in said for said in console.said)
        holds(dropped > 0 and shown > 50_000, f"{dropped} lines dropped, {shown} of {2 * sent} shown")
        holds(shown + dropped >= 2 * sent, f"{shown} shown and {dropped} dropped are fewer than {2 * sent}")
