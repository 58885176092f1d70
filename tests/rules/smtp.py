"""SMTP's commands, states and addresses (protocol 3.1 to 3.5)."""

from rules.checks import Beside, check, holds, same, table
from rules.console import eventually, mbox, write

import os
import socket

OK = "250 OK"
STATES = {"G": "after the greeting", "H": "after HELO", "M": "after MAIL", "R": "after RCPT"}
MAIL, RCPT = "MAIL FROM:<s@example.org>", "RCPT TO:<{user}@localhost>"

# What every command is answered in the states G, H, M and R; and the state that it leads to,
# where it is another one. Rows: command, replies for G H M R, following states.
COMMANDS = [
    ("HELO client.example.org", ["250 localhost"] * 4, "HHHH"),
    ("helo client", ["250 localhost"] * 4, "HHHH"),
    ("HELO [127.0.0.1]", ["250 localhost"] * 4, "HHHH"),
    ("HELO [IPv6:::1]", ["250 localhost"] * 4, "HHHH"),
    ("HELO", ["501 *"] * 4, None),
    ("HELO ", ["501 *"] * 4, None),
    (MAIL, ["503 *", OK, "503 *", "503 *"], "GMMR"),
    ("MAIL FROM:<>", ["503 *", OK, "503 *", "503 *"], "GMMR"),
    ("MAIL FROM:s@example.org", ["50*", "501 *", "50*", "50*"], None),
    ("MAIL FROM:<s@example.org> SIZE=10", ["5*", "555 *", "5*", "5*"], None),
    (RCPT, ["503 *", "503 *", OK, OK], "GHRR"),
    ("RCPT TO:<nobody@localhost>", ["503 *", "503 *", "550 *", "550 *"], None),
    ("RCPT TO:<>", ["50*", "50*", "501 *", "501 *"], None),
    ("RCPT TO:<{user}@localhost> NOTIFY=NEVER", ["5*", "5*", "555 *", "555 *"], None),
    ("DATA", ["503 *", "503 *", "503 *", "354 *"], None),
    ("DATA x", ["50*", "50*", "50*", "501 *"], None),
    ("RSET", [OK] * 4, "GHHH"),
    ("rset", [OK] * 4, "GHHH"),
    ("RSET x", ["501 *"] * 4, None),
    ("NOOP", [OK] * 4, None),
    ("NOOP with words", [OK] * 4, None),
    ("QUIT x", ["501 *"] * 4, None),
    ("", ["500 Syntax error, command unrecognized"] * 4, None),
    ("BLAH", ["500 Syntax error, command unrecognized"] * 4, None),
    (" NOOP", ["500 *"] * 4, None),
    ("NOOPx", ["500 Syntax error, command unrecognized"] * 4, None),
    ("MAIL", ["50*", "501 *", "50*", "50*"], None),
    ("RCPT", ["50*", "50*", "501 *", "501 *"], None),
    ("MAILFROM:<s@example.org>", ["500 *"] * 4, None),
    ("MAIL FROM:<s@example.org>\0", ["50*"] * 4, None),
    ("MAIL FROM:<\u00fc@example.org>", ["5*", "501 *", "5*", "5*"], None),
]
COMMANDS += [
    (word, ["502 Command not implemented"] * 4, None)
    for word in ("EHLO client", "EHLO", "ehlo client", "VRFY user", "EXPN list", "HELP", "HELP MAIL",
                 "SEND FROM:<s@example.org>", "SOML FROM:<s@example.org>", "SAML FROM:<s@example.org>",
                 "TURN", "AUTH PLAIN AHUAcA==", "AUTH LOGIN", "STARTTLS", "vrfy x")
]
COMMANDS.append(("BDAT 10 LAST", ["50*"] * 4, None))


@table("protocol 3.1: the table of states; a failed command never changes the state", [
    (f"smtp: {command or 'an empty line'} {STATES[state]}", command, state, replies[i], (after or "GHMR")[i])
    for command, replies, after in COMMANDS
    for i, state in enumerate("GHMR")
])
def _(hall, command, state, reply, after):
    user = hall.user()
    peer = hall.smtp().in_state(state, user)
    line = peer.say(command.replace("{user}", user), reply)
    if line.startswith(b"354"):
        peer.send("text\r\n.\r\n")
        peer.expect(OK)
        after = "H"
    same(peer.state(user), after, f"{peer.talk}: the state")
    peer.alive().close()


@table("protocol 3.1: QUIT is accepted at any time: 221 …, then close; its transaction is dropped", [
    (f"smtp: QUIT {words}", state) for state, words in STATES.items()
])
def _(hall, state):
    user = hall.user()
    peer = hall.smtp().in_state(state, user)
    peer.say("QUIT", "221 localhost Service closing transmission channel")
    peer.ends()
    same(hall.disk(user), b"", "the mailbox")


@table("protocol 3.3: trailing white space is tolerated everywhere; one or more spaces after the keyword", [
    (f"smtp: blanks and case: {sent!r}", sent, reply, state)
    for sent, reply, state in (
            ("HELO  client", "250 localhost", "G"), ("HELO client  ", "250 localhost", "G"),
            ("NOOP ", OK, "G"), ("RSET  ", OK, "H"), ("QUIT ", "221 *", "H"),
            ("DATA ", "354 *", "R"), ("DATA  ", "354 *", "R"), ("data", "354 *", "R"),
            ("MAIL  FROM:<s@example.org>", OK, "H"), ("MAIL FROM:<s@example.org> ", OK, "H"),
            ("MAIL FROM:<s@example.org>   ", OK, "H"), ("MAIL FROM: <s@example.org>", OK, "H"),
            ("MAIL FROM:   <s@example.org>", OK, "H"), ("mail from:<s@example.org>", OK, "H"),
            ("Mail From:<s@example.org>", OK, "H"), ("MAIL FROM:<> ", OK, "H"),
            ("MAIL FROM: <>", OK, "H"), ("RCPT TO:<w1@localhost> ", ("250 *", "550 *"), "M"),
            ("rcpt to:<nobody@localhost>", "550 *", "M"), ("RCPT  TO:  <nobody@localhost>  ", "550 *", "M"),
            ("MAIL FROM:<s@example.org>\t", OK, "H"), ("NOOP\t", OK, "G"),
    )
])
def _(hall, sent, reply, state):
    user = hall.user()
    hall.smtp().in_state(state, user).say(sent, reply)


LONG_LABEL = "a" * 63
DOMAIN_255 = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 63])  # 255 octets
LOCAL_64 = "u" * 64

# Paths as MAIL FROM takes them.
GOOD_REVERSE = [
    "<s@example.org>", "<s.t@example.org>", "<s@[127.0.0.1]>", "<s@[IPv6:::1]>", "<s@[IPv6:2001:db8::1]>",
    "<s@example>", "<S@EXAMPLE.ORG>", "<s+tag@example.org>", "<!#$%&'*+-/=?^_`{|}~@example.org>",
    "<s@a-b.example.org>", "<s@1.2.3.4.example>", "<s@3com.example>", '<"s"@example.org>', '<"s t"@example.org>',
    '<"a@b"@example.org>', '<"a>b"@example.org>', '<"a<b"@example.org>', '<"a\\"b"@example.org>',
    '<"a\\\\b"@example.org>', '<"a..b"@example.org>', '<".a"@example.org>', '<"a\\ b"@example.org>',
    "<@relay.example:s@example.org>", "<@one.example,@two.example:s@example.org>", "<1@example.org>",
    "<@ONE,@two.example,@three:s@example.org>", "<s@localhost>", f"<{LOCAL_64}@example.org>", f"<{'u' * 255}@example.org>", "<www-data@my_app_1>",
    f"<s@{'.'.join([LONG_LABEL, LONG_LABEL, LONG_LABEL])}>", "<s@x>", "<postmaster@example.org>", "<>", "<s@#123>", f'<"{LOCAL_64}"@example.org>',
]
BAD_REVERSE = [
    "s@example.org", "<s@example.org", "s@example.org>", "<<s@example.org>>", "<s@example.org>>", "<@>", "<s@>",
    "<@example.org>", "<s>", "<s@@example.org>", "<s@a@b>", "<.s@example.org>", "<s.@example.org>",
    "<s..t@example.org>", "<s t@example.org>", "<s@exa mple.org>", "<s@example..org>", "<s@.example.org>",
    "<s@-example.org>", "<s@example_.org>", "<s@example.org >", "< s@example.org>", "<s@[127.0.0.1>",
    "<s@127.0.0.1]>", "<s@[]>", "<s@[300.1.1.1]>", "<s@[1.2.3]>", "<s@[IPv6:xyz]>", '<"s@example.org>',
    '<"s"t@example.org>', '<s"t"@example.org>', '<""s@example.org>', "<@a@b>", "<@a,b:s@c>", "<@a:>", "<@:s@c>",
    "<@a,:s@c>", "<s,t@example.org>", "<s;t@example.org>", "<s:t@example.org>", "<s(c)@example.org>",
    "<s[t@example.org>", "<s@exam!ple.org>", "", " ", "<", ">", "<s@example.org>x", "<s@example.org><t@example.org>",
    "<s@example.org>,<t@example.org>", f"<{'u' * 256}@example.org>", f'<"{"u" * 256}"@example.org>', f"<{'u' * 65}@localhost>", "<s@example-.org>", "<s@example.org.>", f"<s@{'d' * 256}.org>", "<s@example.org\x7f>",
    "<s\x01@example.org>", "<s\x1b[2J@example.org>", "Joe <s@example.org>", "<s@example.org> Joe", "< >", "<;>",
]


@table("protocol 3.4: the grammar of paths; `MAIL FROM:<reverse-path>` `250 OK`", [
    (f"smtp: MAIL FROM:{path[:60]} ({len(path)} octets) is valid", path) for path in GOOD_REVERSE
])
def _(hall, path):
    hall.sender().say(f"MAIL FROM:{path}", OK)


@table("protocol 3.4: the grammar of paths; malformed `501 …`", [
    (f"smtp: MAIL FROM:{path[:60]!r} ({len(path)} octets) is malformed", path) for path in BAD_REVERSE
])
def _(hall, path):
    peer = hall.sender()
    peer.say(f"MAIL FROM:{path}", "501 *" if path != "<s@example.org> Joe" else ("501 *", "555 *"))
    peer.say(MAIL, OK)


@table("protocol 3.3: anything after `>` except spaces or parameters: 501; parameters: 555", [
    (f"smtp: {line}", line, state, reply)
    for line, state, reply in (
        ("MAIL FROM:<s@example.org> SIZE=1000", "H", "555 *"),
        ("MAIL FROM:<s@example.org> BODY=8BITMIME", "H", "555 *"),
        ("MAIL FROM:<s@example.org>  SIZE=1 BODY=7BIT", "H", "555 *"),
        ("MAIL FROM:<> SIZE=1", "H", "555 *"),
        ("MAIL FROM:<s@example.org> SMTPUTF8", "H", "555 *"),
        ("RCPT TO:<s@localhost> ORCPT=rfc822;a@b", "M", "555 *"),
        ("MAIL FROM:<s@example.org>SIZE=1", "H", "501 *"),
        ("MAIL TO:<s@example.org>", "H", "501 *"),
        ("RCPT FROM:<s@localhost>", "M", "501 *"),
        ("MAIL FROM<s@example.org>", "H", "501 *"),
        ("MAIL FROM :<s@example.org>", "H", "501 *"),
        ("MAIL <s@example.org>", "H", "501 *"),
    )
])
def _(hall, line, state, reply):
    user = hall.user()
    peer = hall.smtp().in_state(state, user)
    peer.say(line, reply)
    same(peer.state(user), state, f"{peer.talk}: the state")


# Forward paths that lead to the mailbox of the user, whose name stands for {u}.
GOOD_FORWARD = [
    "<{u}@localhost>", "<{u}@LOCALHOST>", "<{u}@LocalHost>", '<"{u}"@localhost>', '<"\\{u}"@localhost>',
    "<@a.example:{u}@localhost>", "<@a,@b:{u}@localhost>", "<@a,@b,@c.d.e:{u}@localhost>", " <{u}@localhost>",
    "<@[10.0.0.1]:{u}@localhost>", '<@a:"{u}"@localhost>',
]
BAD_FORWARD = [
    "{u}@localhost", "<{u}@localhost", "<>", "<{u}>", "<@localhost>", "<{u}@>", "<{u}@localhost>>", "", "<{u}@@localhost>",
    "<{u}.@localhost>", "<.{u}@localhost>", "< {u}@localhost>", "<{u} @localhost>", '<"{u}@localhost>', "<@a:>",
    "<{u}@localhost>x", "<{u}@localhost,{u}@localhost>", "<{u}@local host>", "<{u}@localhost\t>",
    "<\u00fc@localhost>", "<{u}@localhost\x01>", f"<{'u' * 300}@localhost>",
]
UNKNOWN = [
    "<nobody@localhost>", "<{U}@localhost>", "<../{u}@localhost>", "<./{u}@localhost>", "</{u}@localhost>", "<{u}.mbox@localhost>",
    "<mqueue@localhost>", '<"../{u}"@localhost>', '<"{u} "@localhost>', '<" {u}"@localhost>', '<".{u}"@localhost>', '<"a/b"@localhost>',
    '<".."@localhost>', '<"."@localhost>', '<""@localhost>', "<*@localhost>", "<?@localhost>", f"<{LOCAL_64}@localhost>",
    '<"{u}\\"@localhost>', "<{u}/@localhost>", "<%00@localhost>", "<a/../{u}@localhost>",
]


@table("protocol 3.4: source routes, quoted local parts; the domain compares without case", [
    (f"smtp: RCPT TO:{path} reaches the user", path) for path in GOOD_FORWARD
])
def _(hall, path):
    user = hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(f"RCPT TO:{path.replace('{u}', user)}", OK)
    peer.say("DATA", "354 *")
    peer.text("hello\r\n")
    same(hall.messages(user), [b"hello\r\n"], "the mailbox")


@table("protocol 3.4: RCPT: malformed `501 …`", [
    (f"smtp: RCPT TO:{path[:50]!r} is malformed", path) for path in BAD_FORWARD
])
def _(hall, path):
    user = hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(f"RCPT TO:{path.replace('{u}', user)}", "501 *")
    same(peer.state(user), "M", f"{peer.talk}: the state")


@table("files 2.1: a mailbox name is only ever a plain file name; protocol 3.5: a refusal looks like an unknown user", [
    (f"smtp: RCPT TO:{path[:50]} is nobody here", path) for path in UNKNOWN
])
def _(hall, path):
    user = hall.user()
    path = path.replace("{u}", user).replace("{U}", user.upper())
    peer = hall.sender()
    peer.say(MAIL, OK)
    reply = peer.say(f"RCPT TO:{path}", ("550 *", "501 *") if path[1] != '"' or '""' in path or '\\"' in path else "550 *")
    if reply.startswith(b"550"):
        same(reply, peer.say("RCPT TO:<nobody@localhost>", "550 *"), f"{path} against an unknown user")
    same(hall.disk(user), b"", "the mailbox")


@table("files 2.1: nothing over 64 octets; protocol 1.12: path at most 256", [
    ("smtp: a user of 64 octets", "x" * 64, OK),
    ("smtp: a user of 65 octets", "x" * 65, ("550 *", "501 *")),
    ("smtp: a user with every allowed octet", "aZ09!#$%&'*+=?^_{|}~-", OK),
    ("smtp: a user with inner dots", "a.b.c", OK),
    ("smtp: a user that is one letter", "q", OK),
    ("smtp: a user with a back quote", "a`b", "550 *"),
    ("smtp: a user that begins with a hyphen", "-rf", OK),
])
def _(hall, user, wanted):
    write(hall.path(user), b"")
    peer = hall.sender()
    peer.say(MAIL, OK)
    reply = peer.say(f"RCPT TO:<{user}@localhost>", wanted)
    if reply.startswith(b"250"):
        peer.say("DATA", "354 *")
        peer.text("x\r\n")
        same(hall.messages(user), [b"x\r\n"], "the mailbox")


@table("protocol 1.12: path <= 256 octets in all, local part <= 64, domain <= 255", [
    ("smtp: a reverse path of 256 octets", 256, OK),
    ("smtp: a reverse path of 257 octets", 257, "501 *"),
    ("smtp: a reverse path of 1,000 octets", 1000, "501 *"),
])
def _(hall, size, wanted):
    left = size - len("<s@>")
    labels = []
    while left > 64:
        labels.append("d" * 60)
        left -= 61
    path = f"<s@{'.'.join(labels + ['e' * left])}>"
    same(len(path), size, "the path of this check")
    hall.sender().say(f"MAIL FROM:{path}", wanted)


@check("smtp: <Postmaster> without a domain is nobody while there is no such mailbox", "protocol 3.5: postmaster.mbox if it exists, else 550")
def _(hall):
    console, directory = hall.own()
    with console:
        peer = console.smtp().hello()
        peer.say(MAIL, OK)
        peer.say("RCPT TO:<Postmaster>", "550 *")
        write(mbox(directory, "postmaster"), b"")
        for path in ("<Postmaster>", "<postmaster>", "<POSTMASTER>"):
            peer.say(f"RCPT TO:{path}", OK)
        peer.say("DATA", "354 *")
        peer.text("x\r\n")
        same(console.pop3().login("postmaster").everything(), [b"x\r\n"], "postmaster.mbox")


@table("protocol 3.4: `localhost.example.org` is not local: mail for other domains", [
    (f"smtp: a recipient at {domain} is remote", domain)
    for domain in ("example.org", "localhost.example.org", "xlocalhost", "[192.0.2.1]", "[IPv6:2001:db8::1]", "mx.example.org")
])
def _(hall, domain):
    user = hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(f"RCPT TO:<{user}@{domain}>", OK)
    peer.say("DATA", "354 *")
    peer.text("x\r\n")
    same(hall.disk(user), b"", "the mailbox of the local user of that name")


@check("smtp: a domain that ends in a dot is malformed", "protocol 3.4: a domain that ends in a dot is 501")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    for domain in ("localhost.", "example.org."):
        peer.say(f"RCPT TO:<{user}@{domain}>", "501 *")
    peer.say(f"RCPT TO:<{user}@localhost>", OK)
    peer.say("DATA", "354 *")
    peer.text("x\r\n")
    same(len(hall.messages(user)), 1, "copies")


@table("protocol 3.3: HELO: no or bad argument 501", [
    (f"smtp: HELO {argument!r}", argument, wanted)
    for argument, wanted in (
        ("client", "250 localhost"), ("client.example.org", "250 localhost"), ("[127.0.0.1]", "250 localhost"),
        ("[IPv6:2001:db8::1]", "250 localhost"), ("CLIENT", "250 localhost"), ("a" * 63, "250 localhost"),
        ("a b", "50*"), ("a\x01b", "50*"), ("\u00fc", "50*"), ("x" * 300, "50*"),
    )
])
def _(hall, argument, wanted):
    hall.smtp().say(f"HELO {argument}", wanted)


@check("smtp: a client that says EHLO first can go on with HELO", "protocol 3.10: a client that is refused EHLO says HELO on it, as Thunderbird does")
def _(hall):
    user = hall.user()
    peer = hall.smtp()
    peer.say("EHLO [127.0.0.1]", "502 Command not implemented")
    peer.say("HELO [127.0.0.1]", "250 localhost")
    peer.transaction("s@example.org", user).text("x\r\n").close()
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("smtp: the tester's conversation", "protocol 8.3: smtp")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.say("MAIL FROM:<benjamin.franklin@localhost>", OK)
    peer.say(f"RCPT TO:<{user}@localhost>", OK)
    peer.say("RCPT TO:<nonexistent.mailbox@localhost>", "550 *")
    peer.say("DATA", "354 *")
    for line in LETTER.splitlines(keepends=True):
        peer.send(line)
        peer.silent(0.01)
    peer.say(".", OK)
    peer.say("QUIT", "221 *")
    peer.ends()
    pop3 = hall.login(user)
    pop3.say("STAT", "+OK 1 264")
    pop3.say("UIDL 1", "+OK 1 01a8b60abe99fa806a5b559f4af46234")
    same(pop3.retr(1), LETTER, "the message")


LETTER = (
    b"From: Benjamin Franklin <benjamin.franklin@localhost>\r\nTo: Linh Thi Xuan Phan <linhphan@localhost>\r\n"
    b"Date: Fri, 21 Oct 2016 18:29:11 -0400\r\nSubject: Testing my new email account\r\n\r\nLinh,\r\n\r\n"
    b"I just wanted to see whether my new email account works.\r\n\r\n        - Ben\r\n"
)


@check("smtp: a whole session in one segment", "protocol 1.3: pipelining")
def _(hall):
    user = hall.user()
    peer = hall.smtp()
    rcpt = RCPT.format(user=user)
    peer.send(f"HELO c\r\n{MAIL}\r\n{rcpt}\r\nDATA\r\none\r\n.\r\n{MAIL}\r\n{rcpt}\r\nDATA\r\ntwo\r\n.\r\nRSET\r\nQUIT\r\nNOOP\r\n")
    peer.expect("250 localhost", OK, OK, "354 *", OK, OK, OK, "354 *", OK, OK, "221 *")
    peer.ends()
    same(hall.messages(user), [b"one\r\n", b"two\r\n"], "the mailbox")


@check("smtp: a whole session byte by byte", "protocol 1.3: input arrives in arbitrary pieces")
def _(hall):
    user = hall.user()
    peer = hall.smtp()
    peer.send_bytewise("HELO c\r\n")
    peer.expect("250 localhost")
    peer.send_bytewise(f"{MAIL}\r\n")
    peer.expect(OK)
    peer.send_bytewise(f"{RCPT.format(user=user)}\r\n")
    peer.expect(OK)
    peer.send_bytewise("DATA\r\n")
    peer.expect("354 *")
    peer.send_bytewise("..a\r\n\r\n.\r\n")
    peer.expect(OK)
    same(hall.messages(user), [b".a\r\n\r\n"], "the mailbox")


@check("smtp: three transactions on one connection", "protocol 3.8: the next one starts with MAIL, on the same connection")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    for number in range(3):
        peer.transaction("s@example.org", user).text(f"{number}\r\n")
    same(hall.messages(user), [b"0\r\n", b"1\r\n", b"2\r\n"], "the mailbox")


@check("smtp: the transaction is over when DATA has been answered", "protocol 3.8: A transaction ends with DATA's final reply, whatever its code")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.transaction("s@example.org", user).text("x\r\n")
    peer.say(RCPT.format(user=user), "503 *")
    peer.say("DATA", "503 *")
    same(peer.state(user), "H", "the state")


@table("protocol 3.8: a client that closes without QUIT drops its transaction; protocol 3.6", [
    (f"smtp: {name} with {end.upper()}, nothing is delivered", start, end)
    for name, start in (
        ("when the stream ends behind DATA", b""), ("when it ends within a line", b"half a li"),
        ("when it ends behind a line", b"a line\r\n"), ("when it ends behind CRLF and a dot", b"a line\r\n."),
        ("when it ends behind CRLF, a dot and CR", b"a line\r\n.\r"), ("when it ends behind LF, a dot and LF", b"a line\n.\n"),
    ) for end in ("fin", "rst") if end == "fin" or start == b"a line\r\n"
])
def _(hall, start, end):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    peer.send(start)
    if end == "rst":
        peer.reset()
    else:
        peer.end_sending()
        peer.ends()
    hall.sender().transaction("s@example.org", user).text("next\r\n")
    same(hall.messages(user), [b"next\r\n"], "the mailbox")


@check("smtp: when the stream ends behind the end of data, the message is delivered", "protocol 3.6: EOF right after it: delivering is right")
def _(hall):
    user = hall.user()
    peer = hall.sender().transaction("s@example.org", user)
    peer.send("x\r\n.\r\n")
    peer.end_sending()
    peer.expect(OK)
    peer.ends()
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("smtp: a refused recipient leaves the others", "protocol 3.1: a refused RCPT keeps the others")
def _(hall):
    one, two = hall.user(), hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    for user, reply in ((one, OK), ("nobody", "550 *"), ("x x", "501 *"), (two, OK)):
        peer.say(f"RCPT TO:<{user}@localhost>", reply)
    peer.say("DATA", "354 *")
    peer.text("x\r\n")
    for user in (one, two):
        same(hall.messages(user), [b"x\r\n"], f"the mailbox of {user}")


@check("smtp: RSET forgets the recipients", "protocol 3.1: RSET: the transaction is forgotten")
def _(hall):
    one, two = hall.user(), hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(RCPT.format(user=one), OK)
    peer.say("RSET", OK)
    peer.transaction("s@example.org", two).text("x\r\n")
    same([hall.messages(one), hall.messages(two)], [[], [b"x\r\n"]], "the mailboxes")


@check("smtp: HELO forgets the recipients", "protocol 3.1: HELO again later: as RSET")
def _(hall):
    one, two = hall.user(), hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(RCPT.format(user=one), OK)
    peer.hello()
    peer.transaction("s@example.org", two).text("x\r\n")
    same([hall.messages(one), hall.messages(two)], [[], [b"x\r\n"]], "the mailboxes")


@check("smtp: a nested MAIL leaves the transaction intact", "protocol 3.1: nested MAIL: 503, old transaction intact")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.say("MAIL FROM:<first@example.org>", OK)
    peer.say(RCPT.format(user=user), OK)
    peer.say("MAIL FROM:<second@example.org>", "503 *")
    peer.say("DATA", "354 *")
    peer.text("x\r\n")
    holds(hall.disk(user).startswith(b"From <first@example.org> "), f"stored: {hall.disk(user)!r}")


@check("smtp: a recipient named twice gets one copy", "protocol 3.5: A recipient named twice gets one copy")
def _(hall):
    user = hall.user()
    peer = hall.sender()
    peer.say(MAIL, OK)
    for path in (f"<{user}@localhost>", f"<{user}@LOCALHOST>", f'<"{user}"@localhost>', f"<@a:{user}@localhost>"):
        peer.say(f"RCPT TO:{path}", OK)
    peer.say("DATA", "354 *")
    peer.text("x\r\n")
    same(hall.messages(user), [b"x\r\n"], "the mailbox")


@check("smtp: 100 recipients, each gets the message", "protocol 1.12: >= 100 recipients must work")
def _(hall):
    users = [hall.user() for _ in range(100)]
    hall.sender().transaction("s@example.org", *users).text("x\r\n")
    for user in users:
        body = hall.disk(user)
        holds(body.startswith(b"From <s@example.org> ") and body.endswith(b"\nx\r\n\n"), f"{user}: {body!r}")


@check("smtp: 1,000 recipients are taken, the 1,001st is not", "protocol 3.5: the 1,001st recipient and on: `452 …`")
def _(hall):
    console, directory = hall.own(users=[f"u{n}" for n in range(1002)])
    with console:
        peer = console.smtp().hello()
        peer.say(MAIL, OK)
        peer.send("".join(f"RCPT TO:<u{n}@localhost>\r\n" for n in range(1002)))
        peer.expect(*[OK] * 1000, "452 *", "452 *")
        peer.say("DATA", "354 *")
        peer.text("x\r\n")
        sizes = [os.path.getsize(mbox(directory, f"u{n}")) for n in range(1002)]
        holds(all(sizes[:1000]) and sizes[1000:] == [0, 0], f"sizes {sizes[:3]} … {sizes[-4:]}")
        peer.say(MAIL, OK)
        peer.say("RCPT TO:<u1001@localhost>", OK)


@check("smtp: 1,000 recipients elsewhere", "protocol 3.5: the 1,001st recipient and on: `452 …`")
def _(hall):
    console, _ = hall.own()
    with console:
        peer = console.smtp().hello()
        peer.say(MAIL, OK)
        peer.send("".join(f"RCPT TO:<u{n}@example.org>\r\n" for n in range(1001)))
        peer.expect(*[OK] * 1000, "452 *")
        peer.say("DATA", "354 *")
        peer.text("x\r\n")


@check("smtp: a user appears and disappears while the server runs", "files 2.2: A file appears or disappears while the servers run: the user does too")
def _(hall):
    name = hall.word()
    peer = hall.sender()
    peer.say(MAIL, OK)
    peer.say(f"RCPT TO:<{name}@localhost>", "550 *")
    write(hall.path(name), b"")
    peer.say(f"RCPT TO:<{name}@localhost>", OK)
    os.unlink(hall.path(name))
    peer.say(f"RCPT TO:<{name}@localhost>", "550 *")


def odd_file(hall, kind):
    """A name below which something lies that is no mailbox."""
    name, target = hall.word(), os.path.join(hall.home, "outside")
    path = hall.path(name)
    if kind == "symbolic link":
        write(target, b"")
        os.symlink(target, path)
    elif kind == "symbolic link to nothing":
        os.symlink(target + "-nothing", path)
    elif kind == "link to another mailbox":
        os.symlink(hall.path(hall.user()), path)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path)
    return name


@table("files 1.3: no symbolic link followed, a regular file (no FIFO, no directory); protocol 3.5: a refusal looks like an unknown user", [
    (f"{server}: a {kind} is no mailbox", server, kind)
    for server in ("smtp", "pop3")
    for kind in ("symbolic link", "symbolic link to nothing", "link to another mailbox", "FIFO", "directory", "socket")
])
def _(hall, server, kind):
    name = odd_file(hall, kind)
    if server == "smtp":
        peer = hall.sender()
        peer.say(MAIL, OK)
        unknown = peer.say("RCPT TO:<nobody@localhost>", "550 *")
        same(peer.say(f"RCPT TO:<{name}@localhost>", "550 *"), unknown, "the refusal")
    else:
        peer = hall.pop3()
        peer.say("USER nobody", "+OK*")
        unknown = peer.say("PASS cis505", "-ERR*")
        peer.say(f"USER {name}", "+OK*")
        same(peer.say("PASS cis505", "-ERR*"), unknown, "the refusal")
    peer.alive()


def own_address():
    """An address of this machine that is no loopback address; asking sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise Beside("the machine has only loopback addresses") from None
        return probe.getsockname()[0]


RELAYING = "protocol 3.9: accepted from loopback clients (`--relay-from CIDR` adds more); from anyone else `550 Relaying denied`"


@check("smtp: relaying is denied to a client from elsewhere", RELAYING)
def _(hall):
    here = own_address()
    console, _ = hall.own("--bind", here)
    with console:
        peer = console.smtp(host=here).hello()
        peer.say(MAIL, OK)
        peer.say("RCPT TO:<x@example.org>", "550 Relaying denied")
        peer.say("DATA", "503 *")
        peer.say("RCPT TO:<u@localhost>", OK)


@check("smtp: --relay-from lets a client from elsewhere relay", RELAYING)
def _(hall):
    here = own_address()
    console, directory = hall.own("--bind", here, "--relay-from", "198.51.100.0/24", "--relay-from", f"{here}/32")
    with console:
        peer = console.smtp(host=here).hello()
        peer.transaction("s@example.org", "x@example.org").text("x\r\n")
        holds(b"x@example.org" in open(os.path.join(directory, "mqueue"), "rb").read(), "not queued")


@check("smtp: --relay-from of another network does not let a client relay", RELAYING)
def _(hall):
    here = own_address()
    console, _ = hall.own("--bind", here, "--relay-from", "198.51.100.0/24")
    with console:
        peer = console.smtp(host=here).hello()
        peer.say(MAIL, OK)
        peer.say("RCPT TO:<x@example.org>", "550 Relaying denied")


@check("smtp: relaying for loopback clients over IPv6", RELAYING)
def _(hall):
    peer = hall.smtp(host="::1").hello()
    peer.transaction("s@example.org", "x@example.org").text("x\r\n")


@check("smtp: --domain names the local domain", "protocol 7.2: --domain (default localhost)")
def _(hall):
    console, directory = hall.own("--domain", "mail.example.org")
    with console:
        peer = console.smtp(greeted=False)
        peer.expect("220 mail.example.org *")
        peer.say("HELO c", "250 mail.example.org")
        peer.say(MAIL, OK)
        peer.say("RCPT TO:<u@Mail.Example.ORG>", OK)
        peer.say("RCPT TO:<nobody@mail.example.org>", "550 *")
        peer.say("RCPT TO:<nobody@other.example.org>", OK)
        peer.say("DATA", "354 *")
        peer.text("x\r\n")
        eventually(lambda: os.path.getsize(mbox(directory, "u")) > 0, "delivery")
