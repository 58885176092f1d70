"""Starts the program on a disk, uses it as its clients would, and checks every promise."""

import json
import os
import signal
import subprocess

import clients
from clients import Reader, Refused, Sender
from ledger import Message, box, queue
from promises import CERTAIN, check_file, check_handed, check_queue, check_texts
from recorder import ENVIRONMENT, ports
from scenarios import OUTSIDE, left_over, text

SERVE = ["--no-tui", "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"]
SERVE += ["--bind", "127.0.0.1"]
FURTHER = "further"  # the name of the message that is delivered after the restart

# Who opens the directory first: that one must recover.
READ, DELIVER, LIST = "a POP3 session", "a delivery", "a list of the queue"


class Program:
    """The servers, on a directory."""

    def __init__(self, binary, directory):
        command = [binary, "--dir", directory, *SERVE]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=ENVIRONMENT, **pipes)
        try:
            self.ports = ports(self.process.stdout, 3)
        except Refused as refused:
            raise Refused(f"{refused} {self.kill()}") from None

    def stop(self):
        """Ends it as an operator would; Refused unless that goes well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            _, said = self.process.communicate(timeout=clients.PATIENCE)
        except subprocess.TimeoutExpired:
            raise Refused(f"does not end within {clients.PATIENCE} s") from None
        if self.process.returncode != 0:
            raise Refused(f"ended with status {self.process.returncode}: {said[-200:]!r}")

    def kill(self):
        """What it has said."""
        self.process.kill()
        return self.process.communicate()[1][-300:]


class Trial:
    """Trials on one machine."""

    def __init__(self, machine, binary, mail_host):
        self.machine = machine
        self.binary = binary
        self.mail_host = mail_host
        self.further = Message(FURTHER, text(FURTHER))

    def failures(self, expected):
        """What is wrong when the program is started on the disk as it is now."""
        ledger, kept, doubts = expected.ledger, expected.kept, expected.doubts
        boxes = [box(ledger, user, kept) for user in ledger.users]
        texts = {one.name: one.text for one in ledger.messages}
        queued = queue(ledger, kept) if any(one.queued for one in ledger.messages) else None
        try:
            failures = list(self.checked(boxes, texts, queued, expected, doubts))
        except (Refused, OSError) as refused:
            failures = [f"{refused}"]
        return failures

    def checked(self, boxes, texts, queued, expected, doubts):
        listed = None
        if expected.first == LIST:
            listed = self.list_queue()
        if expected.process:
            self.machine.next_process(expected.process)
        program = Program(self.binary, self.machine.directory)
        try:
            if expected.first == DELIVER:
                self.deliver_further(program, boxes)
            else:
                for one in boxes:
                    yield from self.check_read(program, one, texts, doubts)
                self.deliver_further(program, boxes)
            texts = {**texts, FURTHER: self.further.text}
            for one in boxes:
                one.texts[FURTHER] = self.further.text
                one.least[FURTHER] = one.most[FURTHER] = 1
                yield from self.check_read(program, one, texts, doubts)
            program.stop()
        finally:
            program.kill()
        if queued:
            yield from self.check_queue(queued, listed)
        for name in left_over(self.machine.directory):
            yield f"{name} is left in the directory"
        for one in boxes:
            yield from self.check_file(one, texts, doubts)

    def deliver_further(self, program, boxes):
        try:
            with Sender(program.ports["smtp"]) as session:
                users = [f"{one.user}@localhost" for one in boxes]
                session.deliver("further@client.example.org", users, self.further.text)
        except Refused as refused:
            raise Refused(f"a further delivery: {refused}") from None

    def check_read(self, program, one, texts, doubts):
        try:
            with Reader(program.ports["pop3"], one.user) as session:
                served = session.texts()
                session.quit()
        except Refused as refused:
            raise Refused(f"{one.user} cannot be read: {refused}") from None
        yield from check_texts(one, texts, served, doubts.get(one.user, CERTAIN))

    def check_file(self, one, texts, doubts):
        with open(os.path.join(self.machine.directory, f"{one.user}.mbox"), "rb") as file:
            content = file.read()
        yield from check_file(one, texts, content, doubts.get(one.user, CERTAIN))

    # The queue

    def check_queue(self, queued, listed):
        now = self.list_queue()
        if listed not in (None, now):
            yield "queue: its list changes though nothing happens"
        wrong = list(check_queue(queued, now))
        yield from wrong
        if wrong:
            return
        self.mail_host.take()
        route = f"{OUTSIDE}=127.0.0.1:{self.mail_host.port}"
        self.run("relay", self.machine.directory, "--route", route, "--timeout", "5")
        yield from check_handed(queued, now, self.mail_host.take())

    def list_queue(self):
        listed = self.run("queue", "--json", self.machine.directory).splitlines()
        return [(one["recipient"], one["state"]) for one in map(json.loads, listed)]

    def run(self, *arguments):
        command = [self.binary, *arguments]
        try:
            done = subprocess.run(
                command, env=ENVIRONMENT, capture_output=True, text=True, timeout=clients.PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise Refused(f"{arguments[0]} does not end within {clients.PATIENCE} s") from None
        if done.returncode not in (0, 75):
            raise Refused(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-200:]!r}")
        return done.stdout
