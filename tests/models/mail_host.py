"""A mail host that takes, defers, refuses and hangs up at random, and remembers what it was given.

How often may a message come to one recipient? Once, and once more each time that nobody can know:
where the host hung up behind the dot, or where the relay died before it said its next word, for
only then may it not have marked yet what the host took.
"""

import collections
import random
import re
import socket
import threading
import time

RECEIVED = re.compile(rb"\AReceived:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*")
ADDRESS = re.compile(rb"(?i)\ARCPT TO:<([^>]*)>")


class Rules:
    """How likely each kind of answer is."""

    def __init__(self, **likely):
        self.refuse_connection = self.hang_up = 0.0
        self.defer_recipient = self.refuse_recipient = 0.0
        self.defer_text = self.refuse_text = self.hang_up_behind_the_dot = self.silent_behind_the_dot = 0.0
        vars(self).update(likely)


KIND = Rules()
RULES = [
    KIND,
    Rules(defer_recipient=0.2, refuse_recipient=0.1, defer_text=0.1, refuse_text=0.05),
    Rules(hang_up=0.03, hang_up_behind_the_dot=0.15),
    Rules(refuse_connection=0.3, hang_up=0.05, defer_text=0.1),
    Rules(defer_recipient=0.1, hang_up_behind_the_dot=0.05, silent_behind_the_dot=0.01),
]


class Host:
    """One port. Kind if told so, else as its rules say."""

    def __init__(self, rules, seed):
        self.rules, self.rng = rules, random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.copies = collections.defaultdict(list)  # the texts that came to each recipient
        self.forgiven = collections.Counter()  # copies that may have come because nobody could know
        self.refused = set()  # recipients that were told 5xx
        self.conversations = []
        threading.Thread(target=self.accept, daemon=True).start()

    def happens(self, what):
        with self.lock:
            return self.rng.random() < getattr(self.rules, what)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.converse, args=(connection,), daemon=True)
            thread.start()
            self.conversations = [one for one in self.conversations if one.is_alive()] + [thread]

    def close(self):
        """Behind this everything is counted."""
        self.listener.close()
        for conversation in self.conversations:
            conversation.join(70)

    def converse(self, connection):
        unheard = []  # recipients of the text taken last, until the relay says its next word
        with connection, connection.makefile("rb") as lines:
            connection.settimeout(60)
            try:
                self.talk(connection, lines, unheard)
            except (OSError, HungUp):
                pass
        with self.lock:
            self.forgiven.update(unheard)

    def talk(self, connection, lines, unheard):
        say = lambda line: connection.sendall(line + b"\r\n")
        if self.happens("refuse_connection"):
            say(b"421 not now")
            return
        say(b"220 host.example")
        recipients = []
        while line := lines.readline():
            unheard.clear()
            if self.happens("hang_up"):
                raise HungUp
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = ADDRESS.match(line)[1].decode()
                if self.happens("defer_recipient"):
                    say(b"450 later")
                elif self.happens("refuse_recipient"):
                    self.refused.add(recipient)
                    say(b"550 never")
                else:
                    recipients.append(recipient)
                    say(b"250 ok")
            elif verb == b"DATA" and recipients:
                say(b"354 go on")
                self.take(say, read_text(lines), recipients, unheard)
                recipients = []
            elif verb == b"QUIT":
                say(b"221 bye")
                return
            elif verb == b"EHLO":
                say(b"502 no")
            else:
                recipients = [] if verb in (b"MAIL", b"RSET", b"HELO") else recipients
                say(b"250 ok")

    def take(self, say, text, recipients, unheard):
        if self.happens("defer_text"):
            say(b"451 later")
            return
        if self.happens("refuse_text"):
            self.refused.update(recipients)
            say(b"554 never")
            return
        with self.lock:
            for recipient in recipients:
                self.copies[recipient].append(text)
        unheard += recipients
        if self.happens("hang_up_behind_the_dot"):
            raise HungUp
        if self.happens("silent_behind_the_dot"):
            time.sleep(6)
            raise HungUp
        say(b"250 taken")


class HungUp(Exception):
    """The host ends the connection."""


def read_text(lines):
    text = []
    while (line := lines.readline()) != b".\r\n":
        if not line:
            raise HungUp
        text.append(line[1:] if line.startswith(b".") else line)
    return RECEIVED.sub(b"", b"".join(text))


def as_sent_on(text):
    """What of a text must arrive: a lone CR becomes a blank, a lone LF a line end."""
    return re.sub(rb"\r(?!\n)", b" ", re.sub(rb"(?<!\r)\n", b"\r\n", text))
