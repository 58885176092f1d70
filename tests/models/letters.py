"""Messages that can be told apart, in the forms that have tempted mail programs to mix them up."""

import itertools

TOKENS = itertools.count(1)


def token():
    """A word that is in one message only; all are equally long."""
    return f"t{next(TOKENS):07d}".encode()


def short(word):
    return b"Subject: " + word + b"\r\n\r\nbody\r\n"


def different_at_the_end(word):
    """The first 5,000 octets are those of every other such message."""
    return b"Subject: all alike\r\n\r\n" + b"the same line of sixty octets stands in all of these mails\r\n" * 84 + word + b"\r\n"


def different_in_the_middle(word):
    filler = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 100
    return b"Subject: all alike\r\n\r\n" + filler + word + b"\r\n" + filler


def odd(word):
    """Everything that must be quoted, stuffed or kept."""
    return b".\r\nFrom " + word + b"\r\n>From x\r\n..\r\n\xff\x80\0\rx\r\n.\r\n\r\n\r\n"


def bare_line_feeds(word):
    return b"Subject: " + word + b"\n\nFrom x\n.\nend\r\n"


def without_header(word):
    return b"\r\n" + word + b"\r\n"


def large(word):
    return b"Subject: " + word + b"\r\n\r\n" + (word + b" in a line of a large message\r\n") * 8_000


SHAPES = [short, different_at_the_end, different_in_the_middle, odd, bare_line_feeds, without_header]


def letter(rng):
    """A new message of any shape; few are large."""
    shape = large if rng.random() < 0.01 else rng.choice(SHAPES)
    return shape(token())
