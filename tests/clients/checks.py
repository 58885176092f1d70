"""What a check is, how it fails, and how bytes are compared."""

import shutil
import subprocess
from dataclasses import dataclass
from typing import Callable

PATIENCE = 120  # seconds that one client may take


class Failure(Exception):
    """What was seen is not what must be."""


class Skip(Exception):
    """The check cannot be made here, and why."""


@dataclass(frozen=True)
class Check:
    """One fact about one client. `run` gets the console and raises Failure if the fact is false."""

    name: str
    needs: tuple[str, ...]  # programs
    run: Callable

    def missing(self):
        return [program for program in self.needs if find(program) is None]


def find(program):
    """The path of a program; the system's daemons are found too."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/lib/dovecot")


def run(*command, data=b"", **options):
    """Runs a client to its end and returns what it wrote; Failure if it is not content."""
    command = [find(str(command[0])) or str(command[0]), *map(str, command[1:])]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not end within {PATIENCE} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:]
        raise Failure(f"{command[0]} exited with {done.returncode}: {said!r}")
    return done.stdout


def same(got, want, what):
    """Failure, with the first difference, unless both are equal to the byte."""
    if got == want:
        return
    if isinstance(want, (list, tuple)):
        if len(got) != len(want):
            raise Failure(f"{what}: {len(got)} messages, not {len(want)}")
        for number, pair in enumerate(zip(got, want), 1):
            same(*pair, f"{what}, message {number}")
    at = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), None)
    at = min(len(got), len(want)) if at is None else at
    around = slice(max(at - 20, 0), at + 40)
    sizes = f"{len(got)} octets, not {len(want)}"
    raise Failure(f"{what}: {sizes}; at octet {at} {got[around]!r}, not {want[around]!r}")


def lf(text):
    """Text as programs on Unix want it."""
    return text.replace(b"\r\n", b"\n")


def crlf(text):
    """Text as RETR must send it: every line, the last one too, ends in CRLF."""
    text = lf(text).replace(b"\n", b"\r\n")
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"
