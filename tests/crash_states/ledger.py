"""What a workload did, what was promised at which moment, and what a mailbox must hold after it.

The ledger knows only what a client knows: texts, recipients, and when it was told what.
"""

from dataclasses import dataclass, field


ALWAYS = "always"  # the mark of what was so from the beginning


@dataclass
class Message:
    """A message on its way to mailboxes, to the queue, or both."""

    name: str
    text: bytes  # as POP3 serves it
    boxes: tuple = ()
    queued: tuple = ()  # recipients at other domains
    promised: object = None  # a mark, once that was done
    stored: bytes = None  # as another program wrote it, to the octet


@dataclass
class Update:
    """Messages that a POP3 session removed."""

    user: str
    removed: tuple
    promised: object


@dataclass
class Handed:
    """Recipients to whom the relay had handed a message when it said its next word."""

    message: str
    recipients: tuple
    promised: object


@dataclass
class Order:
    """An order about a queued recipient: `drop`, `hold` or `retry`."""

    verb: str
    message: str
    recipients: tuple
    promised: object


@dataclass
class Ledger:
    """What a workload did, in lists that grow while it runs."""

    users: tuple
    messages: list = field(default_factory=list)
    updates: list = field(default_factory=list)
    handed: list = field(default_factory=list)
    orders: list = field(default_factory=list)

    def message(self, name):
        return next(one for one in self.messages if one.name == name)

    def entries(self):
        return [*self.messages, *self.updates, *self.handed, *self.orders]

    def marks(self):
        return {one.promised for one in self.entries()} - {None, ALWAYS}


@dataclass
class Box:
    """What a mailbox may hold: how often each text, and which texts only together."""

    user: str
    texts: dict  # by name
    least: dict  # by name
    most: dict
    together: list  # sets of names: all are there, or none
    stored: dict  # octets of other programs that must be in the file


@dataclass
class Queue:
    """What the queue may hold: for each recipient of a message the states allowed."""

    texts: dict
    allowed: dict  # (name, recipient) -> set of states; None among them: not there
    optional: set  # of those: what may as well never have been queued


GONE = None
PENDING, DELIVERED, FAILED, HELD = "pending", "delivered", "failed", "held"
ANY_STATE = frozenset({GONE, PENDING, DELIVERED, FAILED, HELD})


def box(ledger, user, kept):
    """What must hold for a mailbox, if the promises with the marks in `kept` were given."""
    kept = {*kept, ALWAYS}

    def given(entry):
        return entry.promised in kept

    made = Box(user, {}, {}, {}, [], {})
    for message in ledger.messages:
        if user not in message.boxes:
            continue
        made.texts[message.name] = message.text
        made.least[message.name] = 1 if given(message) else 0
        made.most[message.name] = 1
        if message.stored is not None:
            made.stored[message.name] = message.stored
    arrived = {message.name for message in ledger.messages if given(message)}
    for update in ledger.updates:
        if update.user != user:
            continue
        for name in update.removed:
            made.least[name] = 0
            made.most[name] = 0 if given(update) else made.most[name]
            made.stored.pop(name, None)
        if not given(update):
            made.together.append(arrived.intersection(update.removed))
    return made


def queue(ledger, kept):
    """What must hold for the queue."""
    kept = {*kept, ALWAYS}

    def given(entry):
        return entry.promised in kept

    made = Queue({}, {}, set())
    for message in ledger.messages:
        for recipient in message.queued:
            made.texts[message.name] = message.text
            made.allowed[message.name, recipient] = {PENDING}
            if not given(message):
                made.optional.add((message.name, recipient))
    for handed in ledger.handed:
        for recipient in handed.recipients:
            allow(made, handed, recipient, given(handed), {DELIVERED, GONE})
    for order in ledger.orders:
        for recipient in order.recipients:
            allow(made, order, recipient, given(order), AFTER[order.verb])
    return made


# A failure or a deferral is noted without a promise: the relay may find out once more.
AFTER = {"drop": {GONE}, "hold": {HELD}, "retry": {PENDING}, "refuse": {PENDING, FAILED}}


def allow(made, entry, recipient, is_given, states):
    allowed = made.allowed[entry.message, recipient]
    made.allowed[entry.message, recipient] = set(states) if is_given else allowed | states
