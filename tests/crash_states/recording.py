"""A workload that has been run and traced: its history, its ledger, and where in the history each
promise was given.
"""

import os
from dataclasses import dataclass

import proof
import strace
from build import FIRST_INODE
from clients import ExitMark, Refused
from disk import Versions
from history import Ended, Node, Sent, tree
from recorder import Stage
from replay import Replay
from scenarios import Play, left_over, mailboxes

ATTEMPTS = 3  # two threads may do things in an order that the trace shows the other way round
LATER = 1 << 40  # moments of a recovery are behind all moments of what it recovers from


@dataclass
class Start:
    """The disk at the beginning, all of it durable."""

    root: Node
    entries: dict  # directory -> entries
    files: dict  # file -> Versions


@dataclass
class Recording:
    start: Start
    operations: list
    ledger: object
    given: dict  # mark -> index of the operation with which the promise was given
    next_inode: int
    process: int = 0  # the id that the program had
    boot: str = "recorded"
    origin: str = ""  # the crash from which the program recovered, in words
    first: int = 0  # operations before belong to the recording that this one goes on with

    def kept(self, moment):
        """The promises that have been given when the operation at that index has begun."""
        return {mark for mark, at in self.given.items() if at <= moment}


def record(machine, binary, scenario, mail_host):
    """Runs a workload on a fresh disk."""
    for attempt in range(ATTEMPTS):
        machine.boot(Recording.boot)
        files, ledger = mailboxes()
        root = begin(machine, files)
        try:
            with Stage(machine) as stage:
                play = Play(stage, binary, ledger, mail_host)
                scenario.play(play)
                path = stage.end()
            for name in left_over(machine.directory):
                raise Refused(f"{name} is in the directory after a shutdown")
            start = started(root)
            operations, made = replayed(machine, path, root, FIRST_INODE + len(files))
            given = located(operations, ledger.marks())
            next_inode = FIRST_INODE + len(files) + made
            return Recording(start, operations, ledger, given, next_inode, play.first_process)
        except strace.TraceError as error:
            if attempt == ATTEMPTS - 1:
                raise
            print(f"{scenario.name}: recorded again: {error}", flush=True)


def begin(machine, files):
    """Writes the mailboxes with which a workload begins."""
    machine.renew_disk()
    os.mkdir(machine.directory)
    root = Node(is_directory=True, label="DIR")
    for name, content in files.items():
        path = os.path.join(machine.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        stat = os.stat(path)
        node = Node(inode=stat.st_ino, mode=0o644, content=bytearray(content), label=name)
        node.modified = stat.st_mtime
        root.entries[name] = node
    return root


def started(root):
    nodes = [("", root), *tree(root)]
    entries = {node: dict(node.entries) for _, node in nodes if node.is_directory}
    files = {
        node: Versions(bytes(node.content), node.modified)
        for _, node in nodes if not node.is_directory
    }
    return Start(root, entries, files)


def replayed(machine, path, root, next_inode, offset=0):
    """The operations of a trace, and how many files they made; proved against the real disk."""
    replaying = Replay(root, machine.directory)
    operations = replaying.run(strace.read(path, offset))
    proof.number_nodes(operations, next_inode)
    wrong = list(proof.differences(root, machine.directory))
    if wrong:
        raise strace.TraceError(f"the trace is not complete: {'; '.join(wrong[:5])}")
    return operations, replaying.made


def located(operations, marks):
    """Where in a history the promises with these marks were given."""
    given = {}
    for at, operation in enumerate(operations):
        if isinstance(operation, Sent):
            for mark in marks:
                if not isinstance(mark, ExitMark) and operation.holds(mark):
                    given.setdefault(mark, at)
        elif isinstance(operation, Ended) and operation.status == 0:
            given.setdefault(ExitMark(operation.process), at)
    missing = marks - given.keys()
    if missing:
        raise strace.TraceError(f"acknowledgements are not in the trace: {missing}")
    return {mark: at for mark, at in given.items() if mark in marks}
