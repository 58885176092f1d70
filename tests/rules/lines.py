"""Lines, pieces of lines, and connections, as all three servers must treat them (protocol 1)."""

import os
import random
import socket
import time

from rules.checks import check, holds, same, show, table

NAMES = ("echo", "smtp", "pop3")


def each(name, rule, alone=False):
    """One check for each of the three servers; the function gets the Hall and a way to connect."""

    def register(function):
        for server in NAMES:
            check(f"{server}: {name}", rule, alone)(lambda hall, server=server: function(hall, server))
        return function

    return register


def connect(hall, server, **options):
    return getattr(hall, server)(**options)


def good(peer):
    """A command that is understood at any time, with its CRLF, and its reply."""
    command, reply = peer.still_there
    return command.encode() + b"\r\n", reply


ENDS = "protocol 1.2: lines end in CRLF and only in CRLF"
PIECES = "protocol 1.3: input arrives in arbitrary pieces; pipelined commands are answered in order"
LONG = "protocol 1.4: a longer line is answered once with the protocol's error, its rest is discarded"


@each("byte by byte", PIECES)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send_bytewise(command)
    peer.expect(reply)
    peer.alive().close()


@each("CR and LF in two segments", PIECES)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command[:-1])
    peer.silent(0.03)
    peer.send(b"\n")
    peer.expect(reply)
    peer.alive().close()


@each("a command cut at every place", PIECES)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    for cut in range(1, len(command)):
        peer.send(command[:cut])
        peer.silent(0.001)
        peer.send(command[cut:])
        peer.expect(reply)
    peer.alive().close()


@each("1,000 commands in one segment", PIECES)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command * 1000)
    peer.expect(*[reply] * 1000)
    peer.alive().close()


@each("the end of one command with the start of the next", PIECES)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command + command[:3])
    peer.expect(reply)
    peer.silent(0.03)
    peer.send(command[3:] + command + command[:1])
    peer.expect(reply, reply)
    peer.send(command[1:])
    peer.expect(reply)
    peer.alive().close()


@each("replies of one batch leave in few writes", "protocol 1.3: replies of one batch leave in as few writes as possible")
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command * 20)
    time.sleep(0.2)
    peer.expect(*[reply] * 20)
    holds(not peer.rest, "stray bytes")
    peer.alive().close()


@each("a lone LF does not end a line", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command[:-2] + b"\n")
    peer.silent(0.05)
    peer.send(b"\r\n")
    line = peer.raw_line(b"\r\n")
    if server == "echo":
        same(line, reply.encode() + b"\n\r\n", "the text with its LF")
    elif server == "smtp":
        holds(line[:2] == b"50", f"{peer.talk} was answered {show(line)}: the LF was left out")
    peer.alive().close()


@each("a lone CR does not end a line", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    command, _ = good(peer)
    peer.send(command[:-2] + b"\r")
    peer.silent(0.05)
    peer.send(b"x\r\n")
    first = peer.raw_line(b"\r\n")
    holds(first.endswith(b"\r\n"), f"{peer.talk} was answered {show(first)}")
    peer.alive().close()


@each("CR CR LF is a CR in the line and its end", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command[:-2] + b"\r\r\n")
    line = peer.raw_line(b"\r\n")
    if server == "echo":
        same(line, reply.encode() + b"\r\r\n", "the text with its CR")
    elif server == "smtp":
        holds(line[:2] == b"50", f"{peer.talk} was answered {show(line)}: the CR was left out")
    peer.alive().close()


@each("LF CR is no line end", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    command, _ = good(peer)
    peer.send(command[:-2] + b"\n\r")
    peer.silent(0.05)
    peer.send(b"\n")
    holds(peer.raw_line(b"\r\n").endswith(b"\r\n"), f"{peer.talk}: no reply")
    peer.alive().close()


@each("a smuggled command behind a lone LF is not run", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    peer.send(b"BLAH\nQUIT\r\n")
    peer.expect(peer.unknown if server != "smtp" else "50*")
    peer.alive().close()


@each("a smuggled command behind a lone CR is not run", ENDS)
def _(hall, server):
    peer = connect(hall, server)
    peer.send(b"BLAH\rQUIT\r\n")
    peer.expect(peer.unknown if server != "smtp" else "50*")
    peer.alive().close()


@each("a line of 1,000 octets is read", "protocol 1.4: a line may be at least 1,000 octets long")
def _(hall, server):
    peer = connect(hall, server)
    if server == "echo":
        peer.say("ECHO " + "x" * 993, "+OK " + "x" * 993)
    else:
        peer.say("BLAH " + "x" * 993, peer.unknown)
    peer.alive().close()


@each("a line of 4,096 octets is read", "protocol 1.4: limit: 4,096")
def _(hall, server):
    peer = connect(hall, server)
    start = "ECHO " if server == "echo" else "BLAH "
    line = start + "x" * (4096 - 2 - len(start))  # with its CRLF
    peer.say(line, "+OK " + line[5:] if server == "echo" else peer.unknown)
    peer.alive().close()


def overlong(size):
    """A check's body: a line of so many octets without its CRLF gets the error, once."""

    def body(hall, server):
        peer = connect(hall, server)
        peer.say(b"ECHO " + b"x" * (size - 5), peer.too_long)
        peer.alive().close()

    return body


for octets in (4097, 5000, 8191, 8192, 8193, 65536, 1_000_000):
    each(f"a line of {octets:,} octets is too long, once", LONG)(overlong(octets))


@table(LONG, [
    (f"{server}: an overlong line that holds {what} runs nothing of it", server, inner)
    for server in NAMES
    for what, inner in (
        ("LF and a command", b"\nQUIT\n"),
        ("CR and a command", b"\rQUIT\r"),
        ("LF CR and a command", b"\n\rQUIT\n\rz"),
        ("NUL and a command", b"\0QUIT\0"),
    )
])
def _(hall, server, inner):
    peer = connect(hall, server)
    for before in (4090, 4094, 4095, 4096, 4097, 8192):
        peer.send(b"x" * before + inner * 700 + b"y\r\n")
        peer.expect(peer.too_long)
        peer.alive()
    peer.close()


@each("an overlong line whose tail looks like a command", LONG)
def _(hall, server):
    peer = connect(hall, server)
    for size in (4094, 4095, 4096, 4097, 4098, 4100, 8192):
        peer.send(b"x" * size)
        peer.send(b"QUIT\r\n")
        peer.expect(peer.too_long)
        peer.alive()
    peer.close()


@each("CR and LF of an overlong line in two segments", LONG)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    for size in (4094, 4095, 4096, 5000):
        peer.send(b"ECHO " + b"x" * size + b"\r")
        peer.silent(0.02)
        peer.send(b"\n" + command)
        peer.expect(peer.too_long, reply)
    peer.close()


@each("overlong lines between commands in one segment", LONG)
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send((command + b"z" * 6000 + b"\r\n") * 5 + command)
    peer.expect(*[reply, peer.too_long] * 5, reply)
    peer.alive().close()


@each("an overlong line is answered at its end only", LONG)
def _(hall, server):
    peer = connect(hall, server)
    peer.send(b"x" * 20000)
    peer.silent(0.05)
    peer.send(b"\r\n")
    peer.expect(peer.too_long)
    peer.alive().close()


NUL = "protocol 1.5: NUL and 8-bit bytes in a line harm nothing; NUL: error, whole line refused"


@table(NUL, [
    (f"{server}: a NUL {where}", server, line)
    for server in NAMES
    for where, line in (
        ("behind a command", b"QUIT\0"),
        ("before a command", b"\0QUIT"),
        ("within a command", b"QU\0IT"),
        ("before an argument", b"QUIT\0 x"),
        ("alone", b"\0"),
    )
])
def _(hall, server, line):
    peer = connect(hall, server)
    peer.say(line, {"echo": "-ERR*", "smtp": "50*", "pop3": "-ERR*"}[server])
    peer.alive().close()


@table("protocol 1.5: 8-bit bytes in a line harm nothing", [
    (f"{server}: 8-bit octets as a command", server) for server in NAMES
])
def _(hall, server):
    peer = connect(hall, server)
    for line in (bytes(range(128, 256)), b"QUIT\x80", b"\xc3\xbc", b"\xff" * 900):
        peer.say(line, {"echo": "-ERR*", "smtp": "50*", "pop3": "-ERR*"}[server])
    peer.alive().close()


@each("every octet as a line of its own", "protocol 1.5: NUL and 8-bit bytes harm nothing; protocol 1.6: no stray bytes")
def _(hall, server):
    peer = connect(hall, server)
    octets = [bytes([o]) for o in range(256) if o not in (10, 13)]
    peer.send(b"\r\n".join(octets) + b"\r\n")
    peer.expect(*[{"echo": "-ERR*", "smtp": "50*", "pop3": "-ERR*"}[server]] * len(octets))
    peer.alive().close()


@each("the end of the stream in the middle of a line runs nothing", "protocol 1.8: the fragment is not executed")
def _(hall, server):
    peer = connect(hall, server)
    peer.send(b"QUIT")
    peer.end_sending()
    peer.ends()


@each("QUIT and a CR at the end of the stream is no QUIT", "protocol 1.8: the fragment is not executed")
def _(hall, server):
    peer = connect(hall, server)
    peer.send(b"QUIT\r")
    peer.end_sending()
    peer.ends()


@each("a half-closed connection is answered, then closed", "protocol 1.8: half-close counts as EOF: close")
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command * 3)
    peer.end_sending()
    peer.expect(reply, reply, reply)
    peer.ends()


@each("what is pipelined behind QUIT is ignored", "protocol 1.10: close; ignore what was pipelined behind it")
def _(hall, server):
    peer = connect(hall, server)
    command, reply = good(peer)
    peer.send(command + b"QUIT\r\n" + command * 10)
    peer.expect(reply, peer.bye[1])
    peer.ends()


@each("the reply to QUIT is not lost in a flood behind it", "protocol 1.10: the last reply is not destroyed by an RST")
def _(hall, server):
    for _ in range(5):
        peer = connect(hall, server)
        peer.send(b"QUIT\r\n" + b"x" * 50_000)
        time.sleep(0.02)
        peer.expect(peer.bye[1])
        peer.ends()


@each("a client that resets its connection harms nobody", "protocol 1.8: a client that resets its connection holds up nobody else")
def _(hall, server):
    other = connect(hall, server)
    for start in (b"", b"QUI", b"x" * 10000, good(other)[0] * 50):
        peer = connect(hall, server)
        peer.send(start)
        peer.reset()
    other.alive().close()


@each("a client that says nothing harms nobody", "protocol 1.8: a silent client blocks nobody")
def _(hall, server):
    silent = [connect(hall, server, greeted=False) for _ in range(50)]
    connect(hall, server).alive().close()
    for peer in silent:
        peer.close()


@each("a client that does not read harms nobody", "protocol 1.8: a non-reading client blocks nobody")
def _(hall, server):
    deaf = connect(hall, server)
    deaf.socket.settimeout(0.3)
    flood = good(deaf)[0] * 4000
    try:
        for _ in range(200):
            deaf.socket.sendall(flood)
    except socket.timeout:
        pass
    connect(hall, server).alive().close()
    deaf.reset()


@each("replies are complete for a client that reads late", "protocol 1.3: pipelining, in order; protocol 1.8")
def _(hall, server):
    late = connect(hall, server)
    command, reply = good(late)
    late.send(command * 5000)
    time.sleep(0.2)
    late.expect(*[reply] * 5000)
    late.alive().close()


@each("IPv6 as well as IPv4", "protocol 1.1: --bind: default 127.0.0.1 and, where the machine has it, ::1")
def _(hall, server):
    connect(hall, server, host="::1").alive().close()
    ports = {port for name, _, port in hall.shared.places if name == server}
    holds(len(ports) == 1, f"{server} listens on the ports {ports}: localhost is one port")


@each("what is sent before the greeting is answered behind it", PIECES)
def _(hall, server):
    peer = connect(hall, server, greeted=False)
    command, reply = good(peer)
    peer.send(command * 2)
    peer.expect(peer.greeting, reply, reply)
    peer.alive().close()


@each("garbage harms nothing", "protocol 1.5: garbage: alive, same pid, no files created")
def _(hall, server):
    dice = random.Random(server)
    console, directory = hall.own()
    before = os.listdir(directory)
    peers = [connect(console, server) for _ in range(8)]
    for peer in peers:
        peer.socket.settimeout(0.5)
        try:
            peer.socket.sendall(dice.randbytes(60_000).replace(b"Q", b"q"))
            peer.socket.sendall(bytes(dice.choice(b"\r\n\0. MAILFROMUSERPASSDATARETR<>@:\"\\") for _ in range(60_000)))
        except OSError:  # it may have closed, as POP3 does behind ten failed logins
            pass
        peer.reset()
    with console:
        connect(console, server).alive().close()
        same(os.listdir(directory), before, "the files in the directory")
