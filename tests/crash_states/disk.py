"""What of a history is on the disk for certain, and what may or may not be there.

The model is weak, and legal for a file system such as ext4 with delayed allocation: a sync of a
file makes its octets and its size durable, but not its names; a sync of a directory makes the names
in it durable, but not what they stand for. Everything else may be on the disk or not, octets by
sectors: of each sector, the disk holds what the page cache held of it at some moment since.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from history import Names, Resize, Sync, Touch, Write, change, resize, write

SECTOR = 512


class Versions:
    """The versions of a file since its last sync: number 0 is durable for certain."""

    def __init__(self, base, modified, operations=()):
        self.base = base
        self.modified = modified
        self.operations = operations
        self.contents = {}  # those that have been made
        self.choices = None  # what the file may hold, once that has been worked out

    def content(self, number, stretches=(), size=-1, without=0):
        """What the file may hold; the same object for the same arguments."""
        key = number, stretches, size, without
        if key not in self.contents:
            self.contents[key] = Content(self, *key)
        return self.contents[key]

    def __len__(self):
        return len(self.operations)

    def and_then(self, operation):
        return Versions(self.base, self.modified, (*self.operations, operation))

    def since(self, synced):
        """The versions after a sync of the first so many operations."""
        modified = self.operations[synced - 1].time if synced else self.modified
        return Versions(self.at(synced), modified, self.operations[synced:])

    @lru_cache(maxsize=4)
    def at(self, number):
        return self.with_only(self.operations[:number])

    def with_only(self, operations):
        content = bytearray(self.base)
        for operation in operations:
            perform(operation, content)
        return bytes(content)

    def time(self, number):
        return self.operations[number - 1].time if number else self.modified


def perform(operation, content):
    if isinstance(operation, Write):
        write(content, operation.offset, operation.data)
    elif isinstance(operation, Resize):
        resize(content, operation.size)


@dataclass(eq=False)
class Content:
    """What a file holds in one state: version `number`, but for stretches of others, cut off or
    extended by zeros at `size`. Without the operation `without`, where that is given.
    """

    versions: Versions
    number: int
    stretches: tuple  # (from, to, number)
    size: int
    without: int
    known_digest: bytes = None

    def octets(self):
        if self.without:
            operations = self.versions.operations
            return self.versions.with_only(
                [one for nth, one in enumerate(operations, 1) if nth != self.without]
            )
        if not self.stretches and self.size < 0:
            return self.versions.at(self.number)
        content = bytearray(self.versions.at(self.number))
        if self.size >= 0:
            resize(content, self.size)
        for start, end, number in self.stretches:
            end = min(end, len(content))
            there = self.versions.at(number)[start:end]
            content[start:end] = there + bytes(max(end - start - len(there), 0))
        return bytes(content)

    def digest(self):
        if self.known_digest is None:
            self.known_digest = hashlib.sha1(self.octets()).digest()
        return self.known_digest

    def modified(self):
        """When the last write of it was that has survived."""
        numbers = [number for _, _, number in self.stretches]
        return self.versions.time(max([self.number, *numbers]))


class Disk:
    """Goes through a history, operation by operation."""

    def __init__(self, start):
        self.root = start.root
        self.entries = {node: dict(entries) for node, entries in start.entries.items()}
        self.pending = []  # changes of names, from the first undecided one on
        self.synced_of = {}  # of such a change: the directories that have been synced since
        self.files = dict(start.files)
        self.generation = 0  # of what names there may be

    def versions(self, node):
        """Those of a file; of one that was made and never written, the empty one."""
        if node not in self.files:
            self.files[node] = Versions(b"", 0.0)
        return self.files[node]

    def step(self, operation):
        """Goes on; whether anything can be on the disk now that could not before."""
        if isinstance(operation, (Write, Resize, Touch)):
            node = operation.node
            self.files[node] = self.versions(node).and_then(operation)
        elif isinstance(operation, Names):
            self.pending.append(operation)
            self.generation += 1
            self.synced_of[id(operation)] = set()
        elif isinstance(operation, Sync):
            self.sync(operation)
        else:
            return False
        return True

    def sync(self, sync):
        if sync.node is None:
            for node in list(self.files):
                self.sync_file(node, sync)
            for directory in {change[0] for one in self.pending for change in one.changes}:
                self.sync_directory(directory, sync)
        elif sync.node.is_directory:
            self.sync_directory(sync.node, sync)
        else:
            self.sync_file(sync.node, sync)

    def sync_file(self, node, sync):
        versions = self.versions(node)
        # What another thread wrote while the sync went on may have come too late for it.
        covered = sum(one.end <= sync.begin for one in versions.operations)
        if sync.only_last and covered > 1:
            return  # it may have synced that one write, and not the ones before
        if covered:
            self.files[node] = versions.since(covered)

    def sync_directory(self, directory, sync):
        self.generation += 1
        for one in self.pending:
            if one.end <= sync.begin:
                self.synced_of[id(one)].add(directory)
        # Only what nothing undecided stands before becomes the beginning: the order must stay.
        while self.pending and self.is_durable(self.pending[0]):
            for parent, name, node in self.pending.pop(0).changes:
                change(self.entries.setdefault(parent, {}), name, node)

    def is_durable(self, names):
        return {change[0] for change in names.changes} <= self.synced_of[id(names)]

    def undecided(self):
        """The changes of names that may be on the disk or not, in their order."""
        return [one for one in self.pending if not self.is_durable(one)]

    def names(self, chosen):
        """The entries of all directories with these of the undecided changes."""
        chosen = {id(one) for one in chosen}
        entries, copied = dict(self.entries), set()
        for one in self.pending:
            if id(one) not in chosen and not self.is_durable(one):
                continue
            for directory, name, node in one.changes:
                if directory not in copied:
                    copied.add(directory)
                    entries[directory] = dict(entries.get(directory, {}))
                change(entries[directory], name, node)
        return entries
