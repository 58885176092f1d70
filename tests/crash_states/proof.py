"""Whether a replayed trace is complete: the directory that it leads to must be the real one."""

import os

from history import tree
from strace import TraceError


def number_nodes(operations, first):
    """Gives every new file the number that the disk gave it, and checks what was seen."""
    nodes = {}
    for operation in operations:
        for _, _, node in getattr(operation, "changes", ()):
            if node is not None and node.order:
                nodes[node.order] = node
    for order, node in nodes.items():
        expected = first + order - 1
        if node.inode not in (0, expected):
            raise TraceError(f"{node.label} has inode {node.inode}, not {expected}")
        node.inode = expected


def differences(root, path):
    """How the real directory differs from the replayed one, in words; nothing if it does not."""
    wanted, there = dict(tree(root)), set()
    for directory, directories, files in os.walk(path):
        for name in directories + files:
            full = os.path.join(directory, name)
            short = os.path.relpath(full, path)
            there.add(short)
            yield from difference(wanted.get(short), short, full)
    yield from (f"{name} should be there" for name in wanted.keys() - there)


def difference(node, short, full):
    if node is None:
        yield f"{short} should not be there"
        return
    stat = os.stat(full)
    if stat.st_ino != node.inode:
        yield f"{short} has inode {stat.st_ino}, not {node.inode}"
    if not node.is_directory:
        with open(full, "rb") as file:
            if file.read() != node.content:
                yield f"{short} holds other octets"
