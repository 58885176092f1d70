#!/usr/bin/env python3
"""Thunderbird with STARTTLS and a password, against the profile `submission`.

    thunderbird_tls.py BINARY [--out DIR]

It starts mailconsole and Thunderbird, which trusts mailconsole's authority (certutil puts it into the
profile's database), sends a message from a compose window and fetches it again. One line per check:
PASS name / FAIL name: why. Exit status 0 only if every check passed. Needs thunderbird, Xvfb and
certutil (Debian: libnss3-tools).
"""
import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from thunderbird_e2e import Run, need

USER, PASSWORD = "linhphan", "Sesam0effne-dich"
STARTTLS, NORMAL_PASSWORD = 2, 3


class Encrypted(Run):
    """As Run, but for what is set and what is tried."""

    def prefs(self):
        preferences = super().prefs()
        preferences.update({
            "mail.smtpserver.smtp1.try_ssl": STARTTLS,
            "mail.smtpserver.smtp1.authMethod": NORMAL_PASSWORD,
            "mail.smtpserver.smtp1.username": USER,
        })
        for number in (1, 2):
            preferences[f"mail.server.server{number}.socketType"] = STARTTLS
            preferences[f"mail.server.server{number}.authMethod"] = NORMAL_PASSWORD
        return preferences

    def prepare_profile(self):
        database = ["-d", f"sql:{self.profile}"]
        for order in (
            ["-N", *database, "--empty-password"],
            ["-A", *database, "-n", "mailconsole", "-t", "C,,", "-i", self.o.authority],
        ):
            done = subprocess.run(["certutil", *order], capture_output=True, text=True, timeout=60)
            need(done.returncode == 0, f"certutil {order[0]}: {done.stderr}")

    def run(self):
        if not self.check("mailboxes_empty", self.boxes_ready):
            return
        with open(os.path.join(self.out, "server1.log"), "wb") as log:
            files = {"stdout": log, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
            self.spawn("server", self.o.command, **files)
        if not self.check("servers_listen", self.ports_up):
            return
        if not self.check("thunderbird_starts", self.c_started):
            return
        self.m.tbx("storePassword", USER, PASSWORD)
        self.m.tbx("storeSmtpPassword", self.o.host, USER, PASSWORD)
        self.check("send", lambda: self.send("tls", self.addr(USER), body="Hello.\n", pics="01"))
        self.check("it_is_in_the_mailbox", self.c_mailbox)
        self.check("smtp_starttls_and_login", self.c_smtp)
        self.check("get_messages", lambda: self.get(USER))
        self.check("it_is_in_the_inbox", self.c_inbox)
        self.check("pop3_stls_and_login", self.c_pop3)
        self.check("no_unexpected_dialogs", self.c_dialogs)
        self.check("thunderbird_exits", self.c_exit)

    def c_mailbox(self):
        need(self.mbox(USER).count(b"\r\n\r\nHello.\r\n") == 1, f"the mailbox: {self.mbox(USER)[-300:]!r}")

    def c_inbox(self):
        need(len(self.inbox(USER, 1)) == 1, f"the inbox: {self.inbox(USER)}")

    def conversation(self, greeting):
        """What the server has written of the last connection that began so and came to TLS."""
        with open(os.path.join(self.out, "server1.log"), encoding="utf-8") as file:
            parts = re.split(r"\] New connection\n", file.read())
        found = [part for part in parts if greeting in part and ".. TLS 1." in part]
        need(found, "there was no TLS")
        return found[-1]

    def holds(self, greeting, *lines):
        conversation, at = self.conversation(greeting), 0
        for line in lines:
            found = re.compile(line).search(conversation, at)
            need(found, f"no {line!r} (in this order): {conversation[-900:]!r}")
            at = found.end()

    def c_smtp(self):
        self.holds("S: 220", r"C: STARTTLS\n", r"\.\. TLS 1\.", "C: EHLO", r"C: AUTH [A-Z0-9-]+\b", "S: 235", "C: MAIL")

    def c_pop3(self):
        self.holds("S: +OK", r"C: STLS\n", r"\.\. TLS 1\.", r"C: (USER|AUTH|APOP)\b", r"C: (RETR|TOP) 1\b")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--out", default="tb-tls-out", help="directory for screenshots and logs")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for the whole run")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--thunderbird", default="/usr/lib/thunderbird/thunderbird")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thunderbird-tls-") as home:
        return run(options, os.path.abspath(options.binary), home)


def run(options, binary, home):
    os.environ.update(XDG_DATA_HOME=os.path.join(home, "data"), XDG_CONFIG_HOME=os.path.join(home, "config"))
    path = subprocess.run([binary, "ca", "path"], capture_output=True, text=True, timeout=30, check=True)
    options.authority = path.stdout.strip()
    options.dir = os.path.join(home, "mail")
    os.mkdir(options.dir)
    options.out = os.path.abspath(options.out)
    options.host, options.wipe, options.server_cmd, options.no_from_lines = "localhost", False, True, False
    options.users = [USER, "bcpierce", "zives"]
    options.smtp_port, options.pop3_port = free_ports()
    options.headless, options.keep = not shutil.which("Xvfb"), False
    options.command = [binary, "--no-tui", "-v", "--dir", options.dir, "--profile", "submission"]
    options.command += ["--user", f"{USER}:{PASSWORD}", "--echo-port", "0", "--smtps-port", "0", "--pop3s-port", "0"]
    options.command += ["--smtp-port", str(options.smtp_port), "--pop3-port", str(options.pop3_port)]
    tried = Encrypted(options)

    def too_late():
        tried.report(tried.current, f"the whole run did not end within {options.timeout} s")
        os._exit(tried.finish(1))

    timer = threading.Timer(options.timeout, too_late)
    timer.daemon = True
    timer.start()
    code = None
    try:
        tried.run()
    except Exception as error:
        tried.report(tried.current, f"{type(error).__name__}: {error}")
        code = 1
    timer.cancel()
    return tried.finish(code)


def free_ports():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
