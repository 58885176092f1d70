"""Reads what strace wrote: system calls with the moments at which they began and ended.

A moment is the number of a line in the trace. Knows the form of the lines, not what calls mean.
"""

import re
from dataclasses import dataclass

LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.S)
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)", re.S)
RESUMED = re.compile(r"<\.\.\. (\S+) resumed>(.*)", re.S)
UNFINISHED = " <unfinished ...>"
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
NUMBERED = re.compile(r'"(\d+)"')
OPENING, CLOSING = "([{<", ")]}>"


class TraceError(Exception):
    """The trace cannot be read, or says something that the harness does not understand."""


@dataclass
class Call:
    """A system call that has begun, and, once `end` is set, ended."""

    thread: int
    name: str
    begin: int
    arguments: list
    strings: list
    began: float = 0.0  # seconds since 1970
    ended: float = 0.0
    end: int = -1
    result: int = -1
    rest: str = ""

    def number(self, position):
        """The argument at a position as a number; of `3</a/path>` it is 3."""
        return int(re.match(r"-?\w+", self.arguments[position])[0], 0)

    def text(self, position):
        """The string at a position, as octets; None where strace shows none."""
        found = NUMBERED.fullmatch(self.arguments[position])
        return self.strings[int(found[1])] if found else None

    def octets(self, position):
        """All strings in the argument at a position, one after the other: of a list of buffers."""
        found = NUMBERED.findall(self.arguments[position])
        return b"".join(self.strings[int(number)] for number in found)

    def flags(self, position):
        return set(self.arguments[position].split("|")) if position < len(self.arguments) else set()


def read(path, offset=0):
    """The calls of a trace, by their end. The first line is the moment `offset`."""
    open_calls, calls = {}, []
    with open(path, encoding="latin-1") as file:
        for moment, line in enumerate(file, offset):
            thread, time, text = LINE.fullmatch(line.rstrip("\n")).groups()
            call = parse(int(thread), float(time), moment, text, open_calls)
            if call:
                calls.append(call)
    # What never came back: exit_group, or a call that the end of the program cut off.
    for thread, (moment, time, text) in open_calls.items():
        calls.append(finished(thread, moment, time, -1, time, f"{text}) = ?"))
    return calls


def parse(thread, time, moment, text, open_calls):
    # Signals, ends, and a call that the end of its thread hid.
    if text.startswith(("+++", "---", "???")):
        return None
    if text.endswith(UNFINISHED):
        open_calls[thread] = moment, time, text.removesuffix(UNFINISHED)
        return None
    begin, began = moment, time
    resumed = RESUMED.fullmatch(text)
    if resumed and resumed[1] == "???":
        open_calls.pop(thread, None)
        return None
    if resumed:
        # Begun before this part of the trace: it has been counted there, as one without an end.
        if thread not in open_calls:
            return None
        begin, began, first = open_calls.pop(thread)
        text = first + resumed[2]
    return finished(thread, begin, began, moment, time, text)


def finished(thread, begin, began, end, ended, text):
    strings = []

    def keep(found):
        if found[2]:
            raise TraceError(f"strace has cut a string short: {text[:200]}")
        strings.append(bytes.fromhex(found[1].replace("\\x", "")))
        return f'"{len(strings) - 1}"'

    # The octets first: what is left is short, and every bracket in it is one.
    shown = CALL.fullmatch(STRING.sub(keep, text))
    if shown is None:
        raise TraceError(f"a line of the trace has an unknown form: {text[:200]}")
    name, arguments, result, rest = shown.groups()
    number = -1 if result == "?" else int(result, 0)
    return Call(thread, name, begin, split(arguments), strings, began, ended, end, number, rest)


def split(arguments):
    """Splits at the commas that are in no bracket."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(arguments):
        # The arrow of "=> result" and of sockets, "a->b", is no bracket.
        if character == ">" and at and arguments[at - 1] in "-=":
            continue
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(arguments[start:at].strip())
            start = at + 1
    last = arguments[start:].strip()
    return parts + [last] if last or parts else []
