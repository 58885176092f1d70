"""The echo server (protocol 2)."""

from rules.checks import check, table

TABLE = "protocol 2.1: the table of the echo server"


@check("echo: greets with its author", "protocol 2.1: `+OK Server ready (Author: FULL NAME / LOGIN)`")
def _(hall):
    hall.echo().alive().close()


@table(TABLE, [
    ("echo: ECHO text is answered with the text", "ECHO Hello world!", "+OK Hello world!"),
    ("echo: inner blanks are kept", "ECHO a   b", "+OK a   b"),
    ("echo: trailing blanks are kept", "ECHO a  ", "+OK a  "),
    ("echo: further leading blanks belong to the text", "ECHO  a", "+OK  a"),
    ("echo: tabs are kept", "ECHO a\tb\t", "+OK a\tb\t"),
    ("echo: ECHO alone gives +OK and a blank", "ECHO", "+OK "),
    ("echo: ECHO and a blank gives +OK and a blank", "ECHO ", "+OK "),
    ("echo: ECHO and two blanks keeps the second", "ECHO  ", "+OK  "),
    ("echo: lower case", "echo x", "+OK x"),
    ("echo: mixed case leaves the text alone", "eChO MiXed", "+OK MiXed"),
    ("echo: UTF-8 is kept", "ECHO Grüße", "+OK Grüße"),
    ("echo: 8-bit octets are kept", b"ECHO \x80\xff\xfe", b"+OK \x80\xff\xfe"),
    ("echo: control octets are kept", b"ECHO \x01\x1b\x7f", b"+OK \x01\x1b\x7f"),
    ("echo: percent signs are kept", "ECHO %s%n%x", "+OK %s%n%x"),
    ("echo: a command within the text is text", "ECHO QUIT", "+OK QUIT"),
    ("echo: another word", "BLAH", "-ERR Unknown command"),
    ("echo: the empty line", "", "-ERR Unknown command"),
    ("echo: blanks only", "   ", "-ERR Unknown command"),
    ("echo: ECHOfoo", "ECHOfoo", "-ERR Unknown command"),
    ("echo: a leading blank", " ECHO x", "-ERR Unknown command"),
    ("echo: QUIT with an argument does not quit", "QUIT x", "-ERR Unknown command"),
    ("echo: QUITx does not quit", "QUITx", "-ERR Unknown command"),
    ("echo: a longer word", "ECHOO x", "-ERR Unknown command"),
    ("echo: a shorter word", "ECH x", "-ERR Unknown command"),
    ("echo: an unknown 8-bit word", b"\xff\xfe", "-ERR Unknown command"),
])
def _(hall, sent, wanted):
    peer = hall.echo()
    peer.say(sent, wanted)
    peer.alive().close()


@table("protocol 2.1: QUIT: `+OK Goodbye!`, then close; protocol 1.2: commands are case-insensitive", [
    (f"echo: {word} says goodbye and closes", word) for word in ("QUIT", "quit", "QuIt")
])
def _(hall, word):
    peer = hall.echo()
    peer.say(word, "+OK Goodbye!")
    peer.ends()


@check("echo: an overlong line", "protocol 2.1: `-ERR Line too long`")
def _(hall):
    peer = hall.echo()
    peer.say("ECHO " + "x" * 9000, "-ERR Line too long")
    peer.alive().close()


@check("echo: 300 connections at once", "protocol 2.2: hundreds of connections at once")
def _(hall):
    peers = [hall.echo() for _ in range(300)]
    for number, peer in enumerate(peers):
        peer.send(f"ECHO {number}\r\n")
    for number, peer in enumerate(peers):
        peer.expect(f"+OK {number}")
    for peer in peers:
        peer.close()


@check("echo: 300 connections one after the other", "protocol 2.2: any number one after the other")
def _(hall):
    for _ in range(300):
        peer = hall.echo()
        peer.say("QUIT", "+OK Goodbye!")
        peer.ends()
