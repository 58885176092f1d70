"""Programs that send: what they sent is in the mailbox, and is what POP3 serves, to the byte."""

import smtplib
import tempfile
from dataclasses import dataclass
from typing import Callable

from checks import Check, Failure, crlf, lf, run, same
from letters import EMPTY, HUGE, LETTERS, PLAIN

SENDER = "sender@example.org"
MANY = 100  # recipients of one message (RFC 821 section 4.5.3)


@dataclass(frozen=True)
class Sender:
    program: str
    send: Callable  # (console, user, letter)
    carries: Callable  # whether the program can send a letter unchanged
    adds_to: Callable = lambda text: text  # what it makes of a text before it sends it


def ended(text):
    """Most programs end the last line, an empty one too, before they send the final dot."""
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def smtplib_sends(console, user, letter):
    with smtplib.SMTP("127.0.0.1", console.smtp_port, timeout=60) as server:
        refused = server.sendmail(SENDER, [f"{user}@localhost"], letter.text)
    if refused:
        raise Failure(f"recipients were refused: {refused}")


def curl_sends(console, user, letter):
    envelope = ["--mail-from", SENDER, "--mail-rcpt", f"{user}@localhost"]
    url = f"smtp://127.0.0.1:{console.smtp_port}"
    with tempfile.NamedTemporaryFile() as file:
        file.write(letter.text)
        file.flush()
        run("curl", "-sS", "--max-time", "60", url, *envelope, "-T", file.name)


def swaks_sends(console, user, letter):
    to = ["--server", "127.0.0.1", "--port", console.smtp_port, "--to", f"{user}@localhost"]
    # swaks ends the last line itself, even one that is ended.
    with tempfile.NamedTemporaryFile() as file:
        file.write(lf(letter.text)[:-1])
        file.flush()
        run("swaks", "--silent", "2", *to, "--from", SENDER, "--data", f"@{file.name}")


def msmtp_sends(console, user, letter):
    server = ["--host=127.0.0.1", f"--port={console.smtp_port}", "--auth=off", "--tls=off"]
    as_it_is = [f"--set-{header}-header=off" for header in ("from", "date", "msgid")]
    envelope = [f"--from={SENDER}", f"{user}@localhost"]
    run("msmtp", "--file=/dev/null", *server, *as_it_is, *envelope, data=lf(letter.text))


def swaks_carries(letter):
    """swaks makes a line end of a backslash and an n, and takes a lone dot at the end for its own."""
    no_tricks = b"\\n" not in letter.text and not letter.text.endswith(b"\r\n.\r\n")
    return letter.has_headers() and letter.is_text() and no_tricks


SENDERS = [
    Sender("smtplib", smtplib_sends, lambda letter: True, ended),
    Sender("curl", curl_sends, lambda letter: letter is not EMPTY, ended),
    Sender("swaks", swaks_sends, swaks_carries),
    Sender("msmtp", msmtp_sends, lambda letter: letter.has_headers() and letter.is_text()),
]


def delivers(sender, letter):
    def check(console):
        user = console.new_user()
        sender.send(console, user, letter)
        want = sender.adds_to(letter.text)
        same(console.stored(user), [want], "the mailbox")
        same(console.fetched(user), [crlf(want)], "RETR")

    needs = () if sender.program == "smtplib" else (sender.program,)
    return Check(f"{sender.program} sends: {letter.name}", needs, check)


def many_recipients(console):
    users = [console.new_user() for _ in range(MANY)]
    with smtplib.SMTP("127.0.0.1", console.smtp_port, timeout=60) as server:
        server.sendmail(SENDER, [f"{user}@localhost" for user in users], PLAIN.text)
    for user in users:
        same(console.stored(user), [PLAIN.text], f"the mailbox of {user}")


def unknown_recipient(console):
    user = console.new_user()
    to = [f"{user}@localhost", "nobody.at.all@localhost"]
    with smtplib.SMTP("127.0.0.1", console.smtp_port, timeout=60) as server:
        refused = server.sendmail(SENDER, to, PLAIN.text)
    if list(refused) != to[1:] or refused[to[1]][0] != 550:
        raise Failure(f"refused: {refused}")
    same(console.stored(user), [PLAIN.text], "the mailbox of the other one")


def letters_in_a_row(console):
    """One connection carries them all, an empty one and a lone dot among them."""
    user = console.new_user()
    texts = [ended(letter.text) for letter in LETTERS]
    with smtplib.SMTP("127.0.0.1", console.smtp_port, timeout=60) as server:
        for text in texts:
            server.sendmail(SENDER, [f"{user}@localhost"], text)
    same(console.stored(user), texts, "the mailbox")
    same(console.fetched(user), [crlf(text) for text in texts], "RETR")


def smtp_source(console):
    """400 messages over 20 sessions at once: each is there once and whole."""
    user = console.new_user()
    load = ["-s", "20", "-m", "400", "-l", "4000", "-f", SENDER, "-t", f"{user}@localhost"]
    run("smtp-source", *load, f"127.0.0.1:{console.smtp_port}")
    texts = console.stored(user)
    ids = {line for text in texts for line in text.split(b"\r\n") if line.startswith(b"Message-Id")}
    if len(texts) != 400 or len(ids) != 400:
        raise Failure(f"{len(texts)} messages with {len(ids)} different ids in the mailbox")
    bodies = {text.partition(b"\r\n\r\n")[2] for text in texts}
    if len(bodies) != 1:
        raise Failure(f"{len(bodies)} different bodies, although all were the same")
    same(console.fetched(user), texts, "RETR")


def checks():
    for sender in SENDERS:
        for letter in [*LETTERS, HUGE]:
            if sender.carries(letter):
                yield delivers(sender, letter)
    yield Check("smtplib sends all in one connection", (), letters_in_a_row)
    yield Check(f"smtplib sends to {MANY} recipients", (), many_recipients)
    yield Check("smtplib is told of an unknown recipient", (), unknown_recipient)
    yield Check("smtp-source sends 400 in 20 sessions", ("smtp-source",), smtp_source)
