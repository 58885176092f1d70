"""What a check is, how it fails, and how the list of all checks grows."""

import functools
from dataclasses import dataclass
from typing import Callable

CHECKS = []


class Off(Exception):
    """What came is not what the rule says. Its text says what was sent and what came."""


class Beside(Exception):
    """The machine lacks what the check needs, so that the rule cannot be tried here."""


@dataclass(frozen=True)
class Check:
    """One sentence or table cell of the rules, and how it is tried."""

    name: str
    rule: str
    run: Callable
    alone: bool = False  # measures time or memory: nothing else may run meanwhile


def check(name, rule, alone=False):
    """Registers the decorated function, which gets the Hall, as a check."""

    name = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name)

    def register(function):
        assert all(known.name != name for known in CHECKS), f"two checks are called {name}"
        CHECKS.append(Check(name, rule, function, alone))
        return function

    return register


def table(rule, rows):
    """One check for every row: (name, argument, ...). The function gets the Hall and the arguments."""

    def register(function):
        for name, *arguments in rows:
            check(name, rule)(functools.partial(_call, function, arguments))
        return function

    return register


def _call(function, arguments, hall):
    function(hall, *arguments)


def show(octets, limit=160):
    """Octets as they stand in a report: on one line, and not too many."""
    if isinstance(octets, str):
        octets = octets.encode()
    text = repr(bytes(octets))[1:]
    if len(text) > limit:
        text = f"{text[:limit // 2]}…{text[-limit // 3:]} ({len(octets)} octets)"
    return text


def same(came, wanted, what):
    """Off, with the first difference, unless both are equal to the byte."""
    if came == wanted:
        return
    if isinstance(wanted, (bytes, bytearray)):
        pairs = zip(came, wanted)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(came), len(wanted)))
        around = slice(max(at - 20, 0), at + 40)
        raise Off(
            f"{what}: {len(came)} octets came, {len(wanted)} were due; "
            f"at octet {at} {show(came[around])}, not {show(wanted[around])}"
        )
    raise Off(f"{what}: came {came!r:.300}, due {wanted!r:.300}")


def holds(fact, what):
    """Off unless the fact holds."""
    if not fact:
        raise Off(what)
