"""Puts a disk of the model under the program, with the inode numbers that its files had."""

import os

FIRST_INODE = 3  # of a fresh disk: its root is 1, the mail directory 2


class BuildError(Exception):
    """The file system does not number its files as expected."""


def build(machine, state, next_inode):
    """Builds a state; new files get `next_inode` and the numbers behind it."""
    machine.renew_disk()
    os.mkdir(machine.directory)
    paths = {}
    for path, node, content in state.files:
        paths.setdefault(node, (content, []))[1].append(os.path.join(machine.directory, path))
    directories = {node: os.path.join(machine.directory, path) for path, node in state.directories}
    known = {node.inode: node for node in [*paths, *directories]}
    if len(known) != len(paths) + len(directories) or max(known, default=0) >= next_inode:
        raise BuildError("two files have one inode number, or one has none")
    for number in range(FIRST_INODE, next_inode):
        make(machine, number, known.get(number), paths)
    # Each has its number; now the names, from the top down.
    for node, path in sorted(directories.items(), key=lambda pair: pair[1].count("/")):
        os.rename(temporary(machine, node.inode), path)
    for node, (_, names) in paths.items():
        for name in names:
            os.link(temporary(machine, node.inode), name)
        os.unlink(temporary(machine, node.inode))


def temporary(machine, number):
    return os.path.join(machine.disk, str(number))


def make(machine, number, node, paths):
    if node is None:
        os.close(os.open(machine.directory, os.O_TMPFILE | os.O_WRONLY))
        return
    path = temporary(machine, number)
    if node.is_directory:
        os.mkdir(path, node.mode)
    else:
        content, _ = paths[node]
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, node.mode)
        with open(descriptor, "wb") as file:
            file.write(content.octets())
        when = int(content.modified() * 1e9)
        os.utime(path, ns=(when, when))
    if os.stat(path).st_ino != number:
        raise BuildError(f"a file got inode {os.stat(path).st_ino}, not {number}")
