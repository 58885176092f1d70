"""Idle clients, and how the program ends (protocol 1.9 and 1.11)."""

import fcntl
import os
import signal
import time

from rules.checks import check, holds, same, table
from rules.console import mbox, read, write
from rules.lines import connect
from rules.pop3 import ONE, mailbox

FAREWELLS = {"echo": "-ERR Server shutting down", "pop3": "-ERR Server shutting down", "smtp": "421 localhost Server shutting down"}
END = "protocol 1.11: every open connection is sent the farewell, then closed, then the process ends"


@table(END, [(f"ending: {name}", getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")])
def _(hall, number):
    console, _ = hall.own()
    with console:
        peers = {server: connect(console, server) for server in FAREWELLS}
        for peer in peers.values():
            peer.alive()
        console.signal(number)
        for server, peer in peers.items():
            peer.expect(FAREWELLS[server])
            peer.ends()
        same(console.ended(), 0, "the exit status")


@check("ending: in every state of SMTP and POP3", END)
def _(hall):
    console, directory = hall.own(users=("u", "v"))
    write(mbox(directory, "u"), mailbox(ONE))
    with console:
        smtp = [console.smtp().in_state(state, "u") for state in "GHMR"]
        text = console.smtp().hello().transaction("s@example.org", "v")
        text.send("half a message\r\n")
        pop3 = [console.pop3(), console.pop3(), console.pop3().login("u")]
        pop3[1].say("USER u", "+OK*")
        pop3[2].say("DELE 1", "+OK*")
        half = console.smtp()
        half.send("HELO half a li")
        console.signal(signal.SIGTERM)
        for peer in (*smtp, text, half):
            peer.expect(FAREWELLS["smtp"])
            peer.ends()
        for peer in pop3:
            peer.expect(FAREWELLS["pop3"])
            peer.ends()
        console.ended()
        same([read(mbox(directory, "u")), read(mbox(directory, "v"))], [mailbox(ONE), b""], "the mailboxes")


@check("ending: under a second with 100 clients", "protocol 1.11: in under a second with 100 clients", alone=True)
def _(hall):
    console, _ = hall.own()
    with console:
        peers = [connect(console, server) for server in FAREWELLS for _ in range(34)]
        started = time.monotonic()
        console.signal(signal.SIGINT)
        console.ended()
        took = time.monotonic() - started
        holds(took < 1, f"it took {took:.2f} s")
        for number, peer in enumerate(peers):
            peer.expect(FAREWELLS[list(FAREWELLS)[number // 34]])
            peer.ends()


@check("ending: with clients that do not read", END)
def _(hall):
    console, _ = hall.own()
    with console:
        deaf = console.echo()
        deaf.socket.settimeout(0.3)
        try:
            while True:
                deaf.socket.sendall(b"ECHO " + b"x" * 900 + b"\r\n")
        except OSError:
            pass
        console.signal(signal.SIGINT)
        console.ended(10)


@check("ending: nobody is there", END)
def _(hall):
    console, directory = hall.own()
    with console:
        console.signal(signal.SIGTERM)
        same(console.ended(), 0, "the exit status")
        same([name for name in os.listdir(directory) if name.endswith((".lock", ".fresh"))], [], "left files")


@check("ending: only mailboxes are left in DIR", "protocol 1.11: a delivery is finished; locks are removed, and only mail is left")
def _(hall):
    console, directory = hall.own()
    with console:
        console.smtp().hello().transaction("s@example.org", "u", "x@example.net").text(b"x\r\n")
        peer = console.pop3().login("u")
        peer.say("DELE 1", "+OK*")
        peer.say("QUIT", "+OK*")
        console.pop3().login("u")
        console.smtp().hello().transaction("s@example.org", "u").send("half")
        console.signal(signal.SIGTERM)
        console.ended()
        same(sorted(os.listdir(directory)), ["mqueue", "u.mbox"], "the files in DIR")


@check("ending: under -v the farewell stands in the transcript", "protocol 6.1; protocol 1.11")
def _(hall):
    console, _ = hall.own("-v")
    with console:
        peer = console.smtp()
        console.signal(signal.SIGINT)
        peer.expect(FAREWELLS["smtp"])
        peer.ends()
        console.ended()
        tail = [line.partition("] ")[2] for line in console.said[-2:]]
        same(tail, ["S: " + FAREWELLS["smtp"], "Connection closed"], "the end of the transcript")


@check("ending: --domain stands in the farewell", "protocol 7.2: --domain; protocol 1.11: `421 localhost Server shutting down`")
def _(hall):
    console, _ = hall.own("--domain", "mail.example.org")
    with console:
        peer = console.smtp(greeted=False)
        peer.expect("220 *")
        console.signal(signal.SIGINT)
        peer.expect("421 mail.example.org Server shutting down")
        peer.ends()
        console.ended()


class Foreign:
    """Another program that holds a mailbox locked, as mutt would."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        fcntl.lockf(self.file, fcntl.LOCK_EX)

    def release(self):
        self.file.close()


@check("ending: a delivery in progress is finished and answered first", "protocol 1.11: A delivery or POP3 update in progress is finished and answered first")
def _(hall):
    console, directory = hall.own(users=("u", "v"))
    write(mbox(directory, "v"), mailbox(ONE))
    with console:
        smtp = console.smtp().hello().transaction("s@example.org", "u")
        pop3 = console.pop3().login("v")
        pop3.say("DELE 1", "+OK*")
        other, another = Foreign(mbox(directory, "u")), Foreign(mbox(directory, "v"))
        smtp.send("x\r\n.\r\n")
        pop3.send("QUIT\r\n")
        smtp.silent(0.3)
        console.signal(signal.SIGINT)
        smtp.silent(0.3)
        other.release()
        another.release()
        smtp.expect("250 OK", FAREWELLS["smtp"])
        smtp.ends()
        pop3.expect("+OK*")
        pop3.ends()
        console.ended()
        holds(read(mbox(directory, "u")).endswith(b"\nx\r\n\n"), "the message is not stored")
        same(read(mbox(directory, "v")), b"", "the mailbox behind UPDATE")


@check("ending: a second Ctrl+C ends at once", "protocol 1.11: A second Ctrl+C ends at once")
def _(hall):
    console, directory = hall.own()
    with console:
        smtp = console.smtp().hello().transaction("s@example.org", "u")
        other = Foreign(mbox(directory, "u"))
        smtp.send("x\r\n.\r\n")
        smtp.silent(0.3)
        console.signal(signal.SIGINT)
        smtp.silent(0.3)
        holds(console.process.poll() is None, "it did not wait for the delivery")
        console.signal(signal.SIGINT)
        started = time.monotonic()
        console.ended(5)
        holds(time.monotonic() - started < 2, "it took its time")
        other.release()
        same(read(mbox(directory, "u")), b"", "the mailbox")


@check("ending: the ports are at once reusable", "protocol 1.1: port at once reusable (SO_REUSEADDR)")
def _(hall):
    console, directory = hall.own()
    arguments = ["--no-tui", "--dir", directory]
    for server, port in console.ports.items():
        arguments += [f"--{server}-port", port]
    peers = [connect(console, server) for server in FAREWELLS for _ in range(5)]
    for round in range(3):
        console.signal(signal.SIGTERM)
        console.ended()
        console = hall.run(*arguments).listens("echo", "smtp", "pop3")
        peers += [connect(console, server) for server in FAREWELLS]
        peers[-1].alive()
    console.kill()
    with hall.run(*arguments).listens("echo", "smtp", "pop3") as console:
        console.smtp().alive()


@check("ending: kill -9 loses nothing that was acknowledged", "protocol 3.8: `250 OK` after the dot is a promise")
def _(hall):
    console, directory = hall.own()
    with console:
        console.smtp().hello().transaction("s@example.org", "u").text(b"kept\r\n")
        console.smtp().hello().transaction("s@example.org", "u").send(b"x" * 500_000)
        console.kill()
    with hall.start("--dir", directory) as console:
        console.listens("smtp", "pop3")
        console.smtp().hello().transaction("s@example.org", "u").text(b"next\r\n")
        same(console.pop3().login("u").everything(), [b"kept\r\n", b"next\r\n"], "the mailbox")


IDLE = "protocol 1.9: Idle limit (`--idle SECONDS` changes it)"


def idle(hall, *users):
    return hall.own("--idle", "1", users=users or ("u",))


@check("idle: SMTP is told 421 and closed, in every state", IDLE + ": then `421`, close")
def _(hall):
    console, directory = idle(hall)
    with console:
        peers = [console.smtp().in_state(state, "u") for state in "GHMR"]
        peers.append(console.smtp().hello().transaction("s@example.org", "u"))
        peers[-1].send("half a message\r\n")
        peers.append(console.smtp())
        peers[-1].send("HELO half a li")
        for peer in peers:
            peer.expect("421 localhost*")
            peer.ends()
        same(read(mbox(directory, "u")), b"", "the mailbox")


@check("idle: POP3 is closed without a word and without UPDATE", "protocol 1.9: An idle session is closed after 10 min without a word and without UPDATE")
def _(hall):
    console, directory = idle(hall, "u", "v")
    write(mbox(directory, "u"), mailbox(ONE))
    with console:
        peers = [console.pop3(), console.pop3(), console.pop3().login("u")]
        peers[1].say("USER v", "+OK*")
        peers[2].say("DELE 1", "+OK*")
        for peer in peers:
            peer.ends()
        same(read(mbox(directory, "u")), mailbox(ONE), "the mailbox")
        console.pop3().login("u").say("STAT", "+OK 1 19")


@check("idle: echo is closed with --idle, and not without", IDLE + ": echo none by default")
def _(hall):
    patient = hall.echo()
    console, _ = idle(hall)
    with console:
        peer = console.echo()
        while peer.raw_line():
            pass
    patient.alive()


@check("idle: a client that talks is not idle", IDLE)
def _(hall):
    console, _ = idle(hall)
    with console:
        peers = [connect(console, server) for server in FAREWELLS]
        for _ in range(6):
            time.sleep(0.4)
            for peer in peers:
                peer.alive()


@check("idle: --idle 0 is for ever", "protocol 1.9: 0 is for ever")
def _(hall):
    console, _ = hall.own("--idle", "0")
    with console:
        peers = [connect(console, server) for server in FAREWELLS]
        peers[0].silent(1.5)
        for peer in peers:
            peer.alive()


@check("idle: the closing comes in time", IDLE)
def _(hall):
    console, _ = idle(hall)
    with console:
        peer = console.smtp()
        started = time.monotonic()
        peer.expect("421 *")
        took = time.monotonic() - started
        holds(0.8 < took < 4, f"it came after {took:.2f} s")
