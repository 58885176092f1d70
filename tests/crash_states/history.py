"""What a trace did to the mail directory: operations on files and directories, in order.

A `Node` is a file or directory, whatever its names. The history also follows what the page cache
held after each operation, so that at its end it can be compared with the real directory.
"""

from dataclasses import dataclass, field


@dataclass(eq=False)
class Node:
    """A file (with octets) or a directory (with entries) of the disk."""

    is_directory: bool = False
    inode: int = 0  # 0 until it is known
    inside: bool = True  # on the disk, and not somewhere else on the host
    mode: int = 0o600
    content: bytearray = field(default_factory=bytearray)
    entries: dict = field(default_factory=dict)
    modified: float = 0.0
    order: int = 0  # of making, from which inode numbers follow

    # Names in messages to people: the last one that it had.
    label: str = "?"


@dataclass
class Operation:
    """Something that happened. `begin` and `end` are moments of the trace."""

    begin: int
    end: int
    time: float
    text: str = ""


@dataclass
class Write(Operation):
    node: Node = None
    offset: int = 0
    data: bytes = b""


@dataclass
class Resize(Operation):
    node: Node = None
    size: int = 0


@dataclass
class Touch(Operation):
    node: Node = None


@dataclass
class Names(Operation):
    """A change of names: each of `changes` is (directory, name, node or None), all or nothing."""

    changes: list = field(default_factory=list)


@dataclass
class Sync(Operation):
    node: Node = None  # None: everything
    only_last: bool = False  # as O_DSYNC does: the last write, whatever was before


@dataclass
class Sent(Operation):
    """Octets that began to go to a peer: `first` counts those of the connection before."""

    local: int = 0
    peer: int = 0
    first: int = 0
    count: int = 0

    def holds(self, mark):
        """Whether the octet that a mark names is among them."""
        same = (self.local, self.peer) == (mark.local, mark.peer)
        return same and self.first <= mark.first < self.first + self.count


@dataclass
class Ended(Operation):
    """A process began to end."""

    process: int = 0
    status: int = 0


def apply(operation):
    """Does an operation to the page cache."""
    if isinstance(operation, Write):
        write(operation.node.content, operation.offset, operation.data)
        operation.node.modified = operation.time
    elif isinstance(operation, Resize):
        resize(operation.node.content, operation.size)
        operation.node.modified = operation.time
    elif isinstance(operation, Touch):
        operation.node.modified = operation.time
    elif isinstance(operation, Names):
        for directory, name, node in operation.changes:
            change(directory.entries, name, node)


def write(content, offset, data):
    if len(content) < offset:
        resize(content, offset)
    content[offset : offset + len(data)] = data


def resize(content, size):
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def change(entries, name, node):
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def tree(root, path=""):
    """Paths and nodes below a directory, in the page cache."""
    for name, node in sorted(root.entries.items()):
        yield path + name, node
        if node.is_directory:
            yield from tree(node, f"{path}{name}/")
