"""Whether mailboxes and the queue hold what was promised. Pure: texts in, failures in words out."""

import re
from collections import Counter
from dataclasses import dataclass

from ledger import DELIVERED, GONE, HELD, PENDING

FROM_LINE = re.compile(
    rb"(?:\A|(?<=\n))From \S+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\r?\n"
)
OUR_LINE = b"From <"
QUOTED = re.compile(rb"^>(>*From )", re.M)
QUOTABLE = re.compile(rb"^(>*From )", re.M)
LONE_LF = re.compile(rb"(?<!\r)\n")
STATUS = b"Status: RO\n"  # what a program that marks a message adds
SHOWN = 60  # octets of a strange text


@dataclass(frozen=True)
class Doubt:
    """What another program's change before the restart excuses."""

    twice: bool = False  # a message of ours may come twice
    pieces: bool = False  # it kept a torn piece, which is its mail now, and may have marked it
    missing: frozenset = frozenset()  # what it removed may stay removed


CERTAIN = Doubt()


def check_texts(box, texts, served, doubt=CERTAIN):
    """Yields what is wrong with the messages that a mailbox shows. `texts` is all that was sent."""
    names = {text: name for name, text in texts.items()}
    counts = Counter()
    for text in served:
        if doubt is not CERTAIN:
            text = without_separation(unmarked(text) if doubt.pieces else text, names)
        if doubt.pieces:
            text = own_text(text, texts)
        name = names.get(text)
        if name is None:
            if not (doubt.pieces and is_piece(text, texts)):
                yield f"{box.user}: {describe(text, texts)}"
        elif name not in box.texts:
            yield f"{box.user}: {name} is there, and was for others"
        counts[name] += 1
    for name in box.texts:
        yield from check_count(box, name, counts[name], doubt)
    for names in box.together:
        there = {name for name in names if counts[name]}
        if there and there != names and not doubt.missing:
            yield f"{box.user}: an update was done in part: of {sorted(names)} {sorted(there)} stay"


def check_count(box, name, count, doubt):
    least, most = box.least[name], box.most[name] + doubt.twice
    if count < least and name not in doubt.missing:
        yield f"{box.user}: {name}, which was promised, is not there"
    elif count > most:
        what = "was removed and is there again" if most == 0 else f"is there {count} times"
        yield f"{box.user}: {name} {what}"


def without_separation(text, names):
    """A text without the empty lines that another program put between it and its own message."""
    shorter = text
    while shorter not in names and shorter.endswith(b"\r\n"):
        shorter = shorter[:-2]
    return shorter if shorter in names else text


def unmarked(text):
    return text.replace(STATUS.replace(b"\n", b"\r\n"), b"")


def own_text(text, texts):
    """A message of ours without what a program that rewrote the file took for the end of it."""
    return max((known for known in texts.values() if text.startswith(known)), key=len, default=text)


def is_piece(text, texts):
    """Whether a text is one of ours, cut off, and zeros where sectors are missing."""
    piece = text.strip(b"\r\n\0")
    return any(
        piece in known or is_full_of_holes(text.rstrip(b"\r\n\0"), known)
        for sent in texts.values()
        for known in (sent, QUOTABLE.sub(rb">\1", sent))  # what is torn is not unquoted
    )


def is_full_of_holes(text, known):
    return len(text) <= len(known) and all(one in (0, two) for one, two in zip(text, known))


def describe(text, texts):
    shown = f"{text[:SHOWN]!r} ({len(text)} octets)"
    for name, known in texts.items():
        if known in text:
            return f"{name} is glued to something else: {shown}"
        start = text[:40]
        if start and known.startswith(start):
            return f"a torn piece of {name} is a message: {shown}"
        if known.startswith(text.rstrip(b"\0")[:40]) and text:
            return f"zeros in the place of {name} are a message: {shown}"
    return f"a message that nobody sent: {shown}"


def messages_of(content):
    """The messages of an mbox file as POP3 would serve them, read without the program's help;
    ValueError if they are not apart from each other.
    """
    starts = list(FROM_LINE.finditer(content))
    if content and (not starts or starts[0].start() != 0):
        raise ValueError(f"begins with {content[:SHOWN]!r}")
    ends = [*(found.start() for found in starts[1:]), len(content)]
    served = []
    for found, end in zip(starts, ends):
        body = content[found.end() : end]
        if body.endswith(b"\r\n"):
            body = body[:-2]
        elif body.endswith(b"\n"):
            body = body[:-1]
        if body and not body.endswith(b"\n"):
            # Another program may have left the empty line out; we never do.
            if content.startswith(OUR_LINE, end):
                raise ValueError(f"no empty line before octet {end}")
            body = content[found.end() : end]
        served.append(LONE_LF.sub(b"\r\n", QUOTED.sub(rb"\1", body)))
    return served


def check_file(box, texts, content, doubt=CERTAIN):
    """Yields what is wrong with a mailbox as any other program reads it."""
    try:
        served = messages_of(content)
    except ValueError as error:
        yield f"{box.user}: the file is no mbox: {error}"
        return
    for wrong in check_texts(box, texts, served, doubt):
        yield f"in the file: {wrong}"
    for name, stored in box.stored.items():
        if stored not in content.replace(STATUS, b"") and name not in doubt.missing:
            yield f"{box.user}: the octets of {name}, of another program, have changed"


def check_queue(queue, listed):
    """Yields what is wrong with the queue as it is listed: pairs of recipient and state."""
    states, count = dict(listed), Counter(recipient for recipient, _ in listed)
    for recipient in count:
        if count[recipient] > 1:
            yield f"queue: {recipient} is listed {count[recipient]} times"
    known = set()
    for (name, recipient), allowed in queue.allowed.items():
        known.add(recipient)
        state = states.get(recipient, GONE)
        if state is GONE and (name, recipient) in queue.optional:
            continue
        if state not in allowed:
            yield f"queue: {recipient} of {name} is {state or 'gone'}, and may be {said(allowed)}"
    for recipient in states.keys() - known:
        yield f"queue: {recipient} was never queued"


def said(states):
    return " or ".join(sorted(state or "gone" for state in states))


def check_handed(queue, listed, taken):
    """Yields what is wrong with what a mail host got, after the queue was as listed."""
    states = dict(listed)
    got = Counter()
    for recipients, octets, _ in taken:
        whole = {name for name, text in queue.texts.items() if octets.endswith(text)}
        for recipient in recipients:
            got[recipient] += 1
            names = {name for name, there in queue.allowed if there == recipient}
            if not names & whole:
                yield f"queue: {recipient} got {octets[-SHOWN:]!r}, which is not its message"
    for _, recipient in queue.allowed:
        state = states.get(recipient, GONE)
        refused = recipient.startswith(("later@", "never@"))
        expected = 1 if state == PENDING and not refused else 0
        if got[recipient] != expected and state in (GONE, PENDING, DELIVERED, HELD):
            yield f"queue: {recipient}, {state or 'gone'}, was handed over {got[recipient]} times"
