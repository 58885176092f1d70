#!/usr/bin/env python3
"""The default profile answers as it always has: every octet of recorded conversations.

    tests/default_profile.py BINARY               compare with tests/default_profile.json
    tests/default_profile.py BINARY --record N    make it anew, of N random conversations

Each conversation is one SMTP client and then one POP3 client of a directory with two mailboxes. Each sends all
its lines at once, valid ones and all kinds of others, and all that the server says until it closes is compared.
The record was made by the program as it was before it had profiles; a change of it is a change of what clients
of the default profile see. Standard library only; loopback only.
"""

import argparse
import json
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile

RECORD = pathlib.Path(__file__).with_suffix(".json")
MAILBOX = b"From a@b Wed Sep 17 11:00:00 2025\nSubject: one\n\n.dot\nFrom here\n\nFrom c@d Wed Sep 17 11:00:01 2025\nSubject: two\n\nx\n\n"
LIMIT = 20  # seconds that a conversation may take

NAMES = ["linhphan", "bcpierce", "nobody", "postmaster", "Linhphan", "a+b", '"linhphan"', "u*65", "", "é"]
DOMAINS = ["localhost", "LOCALHOST", "example.org", "[127.0.0.1]", "[IPv6:::1]", "a..b", "bücher.example", ""]
PARAMETERS = ["", "", "", " SIZE=10", " BODY=8BITMIME", " SMTPUTF8", " NOTIFY=NEVER", " RET=HDRS ENVID=x", " AUTH=<>", " x", "x", " =", " \t"]
SMTP = [
    "HELO client", "HELO", "HELO a b", "helo [127.0.0.1]", "EHLO client", "EHLO", "ehlo x y", "EHLO \x01", "NOOP", "NOOP é", "NOOP x", "RSET",
    "RSET x", "VRFY linhphan", "VRFY", "EXPN x", "HELP", "HELP x", "HELP \x7f", "SEND FROM:<a@b>", "TURN", "AUTH", "AUTH PLAIN", "AUTH PLAIN AGxpbmhwaGFuAGNpczUwNQ==",
    "AUTH LOGIN", "AUTH CRAM-MD5", "bGluaHBoYW4=", "*", "=", "STARTTLS", "STARTTLS x", "BDAT", "BDAT 0", "BDAT 5 LAST", "BDAT x", "bdat 1", "DATA x", "", " ",
    "FOO", "QUIT x", "MAIL", "MAIL FROM", "MAIL FROM:a@b", "RCPT", "RCPT TO:<>", "XCLIENT NAME=x", "LHLO x", "x*4096", "x*4097",
]
POP3 = [
    "CAPA", "capa", "TOP 1 0", "TOP", "APOP linhphan c4c9334bac560ecc979e58001b3e22fb", "AUTH", "AUTH PLAIN", "AUTH PLAIN =", "STLS", "UTF8", "LANG", "USER linhphan",
    "USER linhphan@localhost", "USER nobody", "USER", "USER é", "PASS cis505", "PASS wrong", "PASS", "PASS \x00", "STAT", "STAT x", "LIST", "LIST 1", "LIST 9", "LIST x", "UIDL",
    "UIDL 2", "UIDL 0", "RETR 1", "RETR 2", "RETR 3", "RETR", "DELE 1", "DELE 2", "DELE 9", "NOOP", "NOOP x", "RSET", "XYZ", "", "x*4097", "é",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--record", type=int, metavar="N")
    options = parser.parse_args()
    if options.record:
        conversations = [conversation(random.Random(seed)) for seed in range(options.record)]
        record(options.binary, conversations)
        return 0
    return compare(options.binary)


def record(binary, conversations):
    lines = [{"smtp": smtp, "pop3": pop3, "said": said(binary, smtp, pop3)} for smtp, pop3 in conversations]
    RECORD.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")


def compare(binary):
    kept = json.loads(RECORD.read_text())
    wrong = 0
    for nth, one in enumerate(kept):
        now = said(binary, one["smtp"], one["pop3"])
        for protocol, before, after in zip(("smtp", "pop3"), one["said"], now):
            if before != after:
                wrong += 1
                print(f"conversation {nth}, {protocol}: sent {one[protocol]!r}\n{difference(before, after)}")
    print(f"{len(kept)} conversations, {wrong} differ")
    return 1 if wrong or not kept else 0


def difference(before, after):
    before, after = before.split("\r\n"), after.split("\r\n")
    for nth, (old, new) in enumerate(zip(before, after)):
        if old != new:
            return f"line {nth}: {old!r} has become {new!r}"
    return f"{len(before)} lines have become {len(after)}"


def conversation(random):
    return smtp_lines(random), pop3_lines(random)


def path(random):
    return f"<{random.choice(NAMES)}@{random.choice(DOMAINS)}>"


def smtp_lines(random):
    lines = ["HELO client"] if random.random() < 0.8 else []
    for _ in range(random.randint(3, 25)):
        kind = random.random()
        if kind < 0.35:
            lines.append(random.choice(SMTP))
        elif kind < 0.55:
            lines.append(f"MAIL FROM:{random.choice([path(random), '<>', '<a@b>'])}{random.choice(PARAMETERS)}")
        elif kind < 0.75:
            lines.append(f"RCPT TO:{random.choice([path(random), '<Postmaster>', '<linhphan@localhost>'])}{random.choice(PARAMETERS)}")
        else:
            lines += ["RSET", "MAIL FROM:<a@b>", f"RCPT TO:<{random.choice(NAMES[:2])}@localhost>", "DATA", "Subject: x", "", "..", "From y"]
            lines += ["\x00é"] * random.randint(0, 2) + ["."]
    return [*lines, "QUIT"]


def pop3_lines(random):
    lines = ["USER linhphan", "PASS cis505"] if random.random() < 0.7 else []
    return [*lines, *(random.choice(POP3) for _ in range(random.randint(3, 20))), "QUIT"]


def said(binary, smtp, pop3):
    """What the servers say to both clients."""
    with tempfile.TemporaryDirectory(prefix="mailconsole-default-") as directory:
        for user in ("linhphan", "bcpierce"):
            pathlib.Path(directory, f"{user}.mbox").write_bytes(MAILBOX)
        arguments = ["--dir", directory, "--no-tui", "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"]
        server = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            ports = listening(server)
            return [talk(ports["smtp"], smtp), talk(ports["pop3"], pop3)]
        finally:
            server.terminate()
            server.wait(LIMIT)


def listening(server):
    ports = {}
    for line in server.stdout:
        service, _, address = line.partition(": listening on ")
        ports.setdefault(service, int(address.rpartition(":")[2]))
        if len(ports) == 3:
            return ports
    raise SystemExit(f"only {ports} came up")


def talk(port, lines):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
        client.settimeout(LIMIT)
        client.sendall(b"".join(expanded(line).encode("latin-1", "replace") + b"\r\n" for line in lines))
        replies = b""
        while octets := client.recv(65536):
            replies += octets
        return replies.decode("latin-1")


def expanded(line):
    """`x*3` stands for xxx, so that the record stays short."""
    return re.sub(r"([ux])\*([0-9]+)", lambda found: found[1] * int(found[2]), line)


if __name__ == "__main__":
    sys.exit(main())
