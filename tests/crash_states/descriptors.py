"""Which file a system call means: descriptors, positions and paths of every process of a trace."""

import re

from history import Ended, Names, Node, Resize, apply
from strace import TraceError

SYNCED_OPEN = {"O_SYNC", "O_DSYNC"}


class Open:
    """An open file: shared by all descriptors that were duplicated from one."""

    def __init__(self, node, flags=frozenset()):
        self.node = node
        self.appends = "O_APPEND" in flags
        self.synced = bool(flags & SYNCED_OPEN)
        self.writable = bool(flags & {"O_WRONLY", "O_RDWR"})
        self.position = 0
        self.pipe = None  # octets that a splice has put in


class Process:
    """What threads share: descriptors, and the working directory."""

    def __init__(self, number, descriptors=None, closed_at_exec=()):
        self.number = number
        self.descriptors = dict(descriptors or {})
        self.closed_at_exec = set(closed_at_exec)


class Descriptors:
    """Follows processes on a tree whose root stands for the path `prefix`."""

    def __init__(self, root, prefix):
        self.root = root
        self.prefix = prefix.encode()
        self.operations = []
        self.processes = {}
        self.parents = {}
        self.made = 0

    def note(self, kind, call, text="", **fields):
        text = text or call.name
        operation = kind(call.begin, call.end, call.ended, text, **fields)
        apply(operation)
        self.operations.append(operation)

    # Processes

    def process(self, thread):
        if thread not in self.processes:
            self.processes[thread] = self.child(thread)
        return self.processes[thread]

    def child(self, thread):
        call = self.parents.get(thread)
        if call is None:
            return Process(thread)
        parent = self.process(call.thread)
        if any("CLONE_FILES" in argument for argument in call.arguments):
            return parent
        return Process(thread, parent.descriptors, parent.closed_at_exec)

    def on_execve(self, call, process):
        if call.result == 0:
            kept = process.descriptors.keys() - process.closed_at_exec
            kept = {number: process.descriptors[number] for number in kept}
            self.processes[call.thread] = Process(call.thread, kept)

    def on_exit_group(self, call, process):
        self.note(Ended, call, process=process.number, status=call.number(0))

    # Paths

    def locate(self, call, process, path_at, directory_at=None):
        """The directory and name that a path stands for; None if it is not on the disk."""
        path = call.text(path_at)
        if path is None:
            raise TraceError(f"{call.name} names no path")
        if path.startswith(b"/"):
            if path != self.prefix and not path.startswith(self.prefix + b"/"):
                return None
            start, path = self.root, path[len(self.prefix) :]
        elif directory_at is None or call.arguments[directory_at].startswith("AT_FDCWD"):
            return None  # the harness starts programs in a directory elsewhere
        else:
            start = self.node_of(call, process, directory_at)
            if start is None:
                return None
        return self.walk(start, path)

    def walk(self, directory, path):
        parts = [part for part in path.decode("latin-1").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise TraceError(f"the path {path} goes up")
        for part in parts[:-1]:
            directory = directory.entries.get(part) if directory else None
        return directory, parts[-1] if parts else "."

    @staticmethod
    def look_up(place):
        directory, name = place
        if directory is None or name == ".":
            return directory
        return directory.entries.get(name)

    def open_of(self, call, process, position):
        return process.descriptors.get(call.number(position))

    def node_of(self, call, process, position):
        file = self.open_of(call, process, position)
        return file.node if file and file.node and file.node.inside else None

    # Descriptors

    def on_open(self, call, process):
        self.opened(call, process, self.locate(call, process, 0), call.flags(1), 2)

    def on_creat(self, call, process):
        flags = {"O_CREAT", "O_WRONLY", "O_TRUNC"}
        self.opened(call, process, self.locate(call, process, 0), flags, 1)

    def on_openat(self, call, process):
        self.opened(call, process, self.locate(call, process, 1, 0), call.flags(2), 3)

    def on_openat2(self, call, process):
        found = re.search(r"flags=([A-Z_|]+)", call.arguments[2])
        place = self.locate(call, process, 1, 0)
        self.opened(call, process, place, set(found[1].split("|")) if found else set(), 99)

    def opened(self, call, process, place, flags, mode_at):
        if call.result < 0:
            return
        node = self.opened_node(call, place, flags, mode_at)
        process.descriptors[call.result] = Open(node, flags)
        process.closed_at_exec.discard(call.result)
        if "O_CLOEXEC" in flags:
            process.closed_at_exec.add(call.result)

    def opened_node(self, call, place, flags, mode_at):
        if place is None:
            return Node(inside=False)
        mode = 0o666
        if mode_at < len(call.arguments) and call.arguments[mode_at].startswith("0"):
            mode = int(call.arguments[mode_at], 8)
        if "O_TMPFILE" in flags:
            return self.make(mode=mode, label="(nameless)")
        node = self.look_up(place)
        if node is None and "O_CREAT" in flags:
            node = self.make(mode=mode, label=place[1])
            self.note(Names, call, f"create {place[1]}", changes=[(*place, node)])
        elif node is None:
            raise TraceError(f"{place[1]} was opened, and should not be there")
        elif "O_TRUNC" in flags and not node.is_directory:
            self.note(Resize, call, f"truncate {node.label}", node=node, size=0)
        return node

    def make(self, **fields):
        self.made += 1
        return Node(order=self.made, **fields)

    def on_close(self, call, process):
        process.descriptors.pop(call.number(0), None)

    def on_close_range(self, call, process):
        if "CLOSE_RANGE_CLOEXEC" in call.arguments[2]:
            return
        for number in list(process.descriptors):
            if call.number(0) <= number <= call.number(1) & 0xFFFFFFFF:
                process.descriptors.pop(number)

    def on_dup(self, call, process):
        self.duplicated(call, process)

    on_dup2 = on_dup3 = on_dup

    def duplicated(self, call, process):
        file = self.open_of(call, process, 0)
        if call.result >= 0:
            process.descriptors.pop(call.result, None)
            process.closed_at_exec.discard(call.result)
            if file:
                process.descriptors[call.result] = file

    def on_fcntl(self, call, process):
        order = call.arguments[1]
        if order.startswith("F_DUPFD"):
            self.duplicated(call, process)
            if order == "F_DUPFD_CLOEXEC":
                process.closed_at_exec.add(call.result)
        elif order == "F_SETFD" and "FD_CLOEXEC" in call.arguments[2]:
            process.closed_at_exec.add(call.number(0))
        elif order == "F_SETFL":
            file = self.open_of(call, process, 0)
            if file:
                file.appends = "O_APPEND" in call.arguments[2]

    def on_pipe2(self, call, process):
        ends = [int(number) for number in re.findall(r"(\d+)<", call.arguments[0])]
        if call.result == 0 and len(ends) == 2:
            both = Open(None)
            both.pipe = bytearray()
            process.descriptors.update({end: both for end in ends})

    on_pipe = on_pipe2

    def on_lseek(self, call, process):
        file = self.open_of(call, process, 0)
        if file and call.result >= 0:
            file.position = call.result

    def on_read(self, call, process):
        file = self.open_of(call, process, 0)
        if file and call.result > 0:
            file.position += call.result

    on_readv = on_read
