"""Programs that fetch: what they show is what was sent, to the byte, and what they delete is
gone and nothing else."""

import glob
import os
import poplib
import tempfile

from checks import Check, Failure, crlf, lf, run, same
from console import PASSWORD
from letters import EMPTY, HUGE, LETTERS

LONGEST_LINE_OF_POPLIB = 2_048
LONGEST_LINE_OF_FETCHMAIL = 8_000  # a longer one is cut, with rubbish at the cut


def filled(console, letters):
    """A user whose mailbox holds `letters`, and what RETR must send of them."""
    user = console.new_user()
    for letter in letters:
        console.send([user], letter.text)
    return user, [crlf(letter.text) for letter in letters]


def poplib_fetches(console):
    letters = [each for each in LETTERS if each.longest_line() <= LONGEST_LINE_OF_POPLIB]
    user, texts = filled(console, letters)
    server = poplib.POP3("127.0.0.1", console.pop3_port, timeout=60)
    server.user(user)
    server.pass_(PASSWORD)
    same(server.stat(), (len(texts), sum(map(len, texts))), "STAT")
    same([int(line.split()[1]) for line in server.list()[1]], [*map(len, texts)], "LIST")
    same([int(line.split()[0]) for line in server.uidl()[1]], [*numbers(texts)], "UIDL")
    for number, text in enumerate(texts, 1):
        got = b"".join(line + b"\r\n" for line in server.retr(number)[1])
        same(got, text, letters[number - 1].name)
    server.dele(2)
    server.quit()
    same(console.fetched(user), texts[:1] + texts[2:], "what is left")


def numbers(texts):
    return range(1, len(texts) + 1)


def curl(console, user, path="", *options):
    url = f"pop3://127.0.0.1:{console.pop3_port}/{path}"
    return run("curl", "-sS", "--max-time", "60", url, "-u", f"{user}:{PASSWORD}", *options)


def curl_fetches(console):
    # Of an empty message curl makes a line end.
    letters = [each for each in LETTERS if each is not EMPTY]
    user, texts = filled(console, letters)
    listing = b"".join(b"%d %d\r\n" % (n, len(text)) for n, text in enumerate(texts, 1))
    same(curl(console, user), listing, "LIST")
    for number, text in enumerate(texts, 1):
        same(curl(console, user, number), text, letters[number - 1].name)


def curl_deletes(console):
    user, texts = filled(console, LETTERS[:3])
    curl(console, user, 2, "-X", "DELE", "--list-only")
    same(console.fetched(user), [texts[0], texts[2]], "what is left")


def curl_fetches_20_mib(console):
    user, texts = filled(console, [HUGE])
    same(curl(console, user, 1), texts[0], "the message")


def text_letters():
    """What a program can put into files with LF line ends, unchanged."""
    return [each for each in LETTERS if each.has_headers() and each.is_text()]


def mpop_fetches(console):
    user, texts = filled(console, text_letters())
    with tempfile.TemporaryDirectory() as home:
        for name in ("cur", "new", "tmp"):
            os.mkdir(os.path.join(home, name))
        settings = {
            "account": "default",
            "host": "127.0.0.1",
            "port": console.pop3_port,
            "user": user,
            "password": PASSWORD,
            "auth": "user",
            "tls": "off",
            "keep": "off",
            "received_header": "off",
            "uidls_file": os.path.join(home, "uidls"),
            "delivery": f"maildir {home}",
        }
        lines = "".join(f"{key} {value}\n" for key, value in settings.items())
        run("mpop", "--quiet", "-C", write(home, "mpoprc", lines))
        got = [read(path) for path in glob.glob(os.path.join(home, "new", "*"))]
    same(sorted(got), sorted(map(lf, texts)), "the maildir")
    same(console.contents(user), b"", "the mailbox")


def fetchmail_fetches(console):
    short = [each for each in text_letters() if each.longest_line() <= LONGEST_LINE_OF_FETCHMAIL]
    user, texts = filled(console, short)
    with tempfile.TemporaryDirectory() as home:
        mda = f"cat >$(mktemp {home}/got.XXXXXX)"
        config = write(
            home,
            "fetchmailrc",
            "set invisible\n"
            f"poll 127.0.0.1 service {console.pop3_port} proto POP3 auth password\n"
            f'user "{user}" password "{PASSWORD}" is "root" here\n'
            f"sslproto '' mda \"{mda}\" options fetchall no rewrite no mimedecode pass8bits\n",
        )
        private = ["-f", config, "--pidfile", f"{home}/pid", "--idfile", f"{home}/ids"]
        run("fetchmail", "--silent", *private, env={**os.environ, "FETCHMAILHOME": home})
        got = [read(path) for path in glob.glob(os.path.join(home, "got.*"))]
    same(sorted(got), sorted(map(lf, texts)), "what the delivery agent got")
    same(console.contents(user), b"", "the mailbox")


def write(home, name, text):
    """A file that only its owner may read, as programs demand for passwords."""
    path = os.path.join(home, name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def wrong_password(console):
    user, _ = filled(console, LETTERS[:1])
    server = poplib.POP3("127.0.0.1", console.pop3_port, timeout=60)
    server.user(user)
    try:
        server.pass_("wrong")
    except poplib.error_proto:
        server.user(user)
        server.pass_(PASSWORD)
        server.quit()
        return
    raise Failure("a wrong password was accepted")


def checks():
    yield Check("poplib fetches and deletes", (), poplib_fetches)
    yield Check("poplib is refused a wrong password and tries again", (), wrong_password)
    yield Check("curl lists and fetches", ("curl",), curl_fetches)
    yield Check("curl deletes", ("curl",), curl_deletes)
    yield Check("curl fetches 20 MiB", ("curl",), curl_fetches_20_mib)
    yield Check("mpop fetches into a maildir and deletes", ("mpop",), mpop_fetches)
    yield Check("fetchmail fetches and deletes", ("fetchmail",), fetchmail_fetches)
