"""Makes a history of a trace: operations on the mail directory of system calls.

Whatever it does not understand about the mail directory is an error: a history with a gap would
prove nothing.
"""

import re

from descriptors import Descriptors
from history import Names, Resize, Sent, Sync, Touch, Write, apply
from strace import TraceError

TCP = re.compile(r"\d+<TCP(?:v6)?:\[.*:(\d+)->.*:(\d+)\]>")
STAT_INODE = re.compile(r"\bstx?_ino=(\d+)")
DESCRIPTOR_PATH = re.compile(rb"/proc/(?:self|\d+|thread-self)/fd/(\d+)")
SYNCED_WRITE = {"RWF_SYNC", "RWF_DSYNC"}
FALLOC_KEEP_SIZE, FALLOC_PUNCH, FALLOC_ZERO = (
    "FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE", "FALLOC_FL_ZERO_RANGE",
)


def is_socket(place):
    """Whether this is the control socket of the servers, which holds nothing: binding it makes it."""
    return place[1].startswith(".mailconsole.") and place[1].endswith(".sock")


class Replay(Descriptors):
    """Does what the calls did."""

    def __init__(self, root, prefix):
        super().__init__(root, prefix)
        self.sent = {}  # octets, by connection

    def run(self, calls):
        for call in calls:
            if call.name in ("clone", "clone3", "fork", "vfork") and call.result > 0:
                self.parents[call.result] = call
        # A descriptor is free when close begins, an acknowledgement counts from its first octet
        # on; everything else is done when its call has ended.
        at_begin = {"close", "close_range", "exit_group", "sendto", "sendmsg", "sendmmsg"}
        moments = []
        for call in calls:
            early = call.name in at_begin or (call.name in ("write", "writev") and tcp(call))
            moments.append((call.begin if early or call.end < 0 else call.end, call))
        for _, call in sorted(moments, key=lambda pair: pair[0]):
            handler = getattr(self, f"on_{call.name}", None)
            if handler:
                handler(call, self.process(call.thread))
        return self.operations

    # Data

    def on_write(self, call, process):
        if tcp(call):
            self.sent_to_peer(call, call.octets(1))
        else:
            self.written(call, self.open_of(call, process, 0), call.octets(1))

    on_writev = on_write

    def on_pwrite64(self, call, process):
        self.written(call, self.open_of(call, process, 0), call.octets(1), call.number(3))

    def on_pwritev(self, call, process):
        self.written(call, self.open_of(call, process, 0), call.octets(1), call.number(3))

    def on_pwritev2(self, call, process):
        flags = call.flags(4)
        position = None if call.number(3) == -1 else call.number(3)
        file = self.open_of(call, process, 0)
        appends = "RWF_APPEND" in flags
        synced = bool(flags & SYNCED_WRITE)
        self.written(call, file, call.octets(1), position, appends=appends, synced=synced)

    def written(self, call, file, data, position=None, appends=False, synced=False):
        if file is None or file.node is None or call.result <= 0:
            return
        data, node = data[: call.result], file.node
        if len(data) != call.result:
            raise TraceError(f"{call.name} wrote {call.result} octets, and {len(data)} are known")
        # With O_APPEND, Linux appends whatever offset pwrite is given.
        at = file.position if position is None else position
        if file.appends or appends:
            at = len(node.content)
        text = f"write {len(data)} at {at} of {node.label}"
        if node.inside:
            self.note(Write, call, text, node=node, offset=at, data=data)
        else:
            apply(Write(0, 0, 0.0, "", node, at, data))
        if position is None:
            file.position = at + len(data)
        if node.inside and (file.synced or synced):
            text = f"O_DSYNC of {node.label}"
            self.operations.append(Sync(call.end, call.end, call.ended, text, node, True))

    def on_sendfile(self, call, process):
        self.copied(call, process, source=1, source_offset=2, target=0, target_offset=None)

    def on_copy_file_range(self, call, process):
        self.copied(call, process, source=0, source_offset=1, target=2, target_offset=3)

    def on_splice(self, call, process):
        self.copied(call, process, source=0, source_offset=1, target=2, target_offset=3)

    def copied(self, call, process, source, source_offset, target, target_offset):
        """Octets that the kernel copied: strace does not show them."""
        from_file, to_file = (self.open_of(call, process, at) for at in (source, target))
        if call.result <= 0:
            return
        data = self.taken(call, from_file, source_offset)
        if to_file is None:
            return  # to a socket
        if to_file.pipe is not None:
            to_file.pipe += data
            return
        offset = None if target_offset is None else first_number(call.arguments[target_offset])
        self.written(call, to_file, data, offset)

    def taken(self, call, file, offset_at):
        if file is None:
            return b""
        if file.pipe is not None:
            data = bytes(file.pipe[: call.result])
            del file.pipe[: call.result]
            return data
        offset = first_number(call.arguments[offset_at])
        at = file.position if offset is None else offset
        if offset is None:
            file.position += call.result
        return bytes(file.node.content[at : at + call.result])

    def on_ftruncate(self, call, process):
        node = self.node_of(call, process, 0)
        if node and call.result == 0:
            size = call.number(1)
            self.note(Resize, call, f"truncate {node.label} to {size}", node=node, size=size)

    def on_truncate(self, call, process):
        place = self.locate(call, process, 0)
        if place and call.result == 0:
            self.note(Resize, call, node=self.look_up(place), size=call.number(1))

    def on_fallocate(self, call, process):
        node = self.node_of(call, process, 0)
        if node is None or call.result != 0:
            return
        flags, offset, length = call.flags(1), call.number(2), call.number(3)
        if flags & {FALLOC_PUNCH, FALLOC_ZERO}:
            end = min(offset + length, len(node.content))
            self.note(Write, call, node=node, offset=offset, data=bytes(max(end - offset, 0)))
        elif not flags <= {"0", FALLOC_KEEP_SIZE}:
            raise TraceError(f"fallocate with {flags} is not understood")
        if FALLOC_KEEP_SIZE not in flags and offset + length > len(node.content):
            text = f"allocate {offset + length} of {node.label}"
            self.note(Resize, call, text, node=node, size=offset + length)

    # Names

    def on_rename(self, call, process):
        self.renamed(call, self.locate(call, process, 0), self.locate(call, process, 1))

    def on_renameat(self, call, process):
        self.renamed(call, self.locate(call, process, 1, 0), self.locate(call, process, 3, 2))

    def on_renameat2(self, call, process):
        places = self.locate(call, process, 1, 0), self.locate(call, process, 3, 2)
        self.renamed(call, *places, exchange="RENAME_EXCHANGE" in call.flags(4))

    def renamed(self, call, old, new, exchange=False):
        if call.result != 0 or old is None and new is None:
            return
        if old is None or new is None:
            raise TraceError("a file was renamed into or out of the disk")
        node, other = self.look_up(old), self.look_up(new)
        if node is other:
            return  # two names of one file: nothing happens
        node.label = new[1]
        changes = [(*old, other if exchange else None), (*new, node)]
        self.note(Names, call, f"rename {old[1]} to {new[1]}", changes=changes)

    def on_link(self, call, process):
        old = self.locate(call, process, 0)
        self.linked(call, old and self.look_up(old), self.locate(call, process, 1))

    def on_linkat(self, call, process):
        place = self.locate(call, process, 3, 2)
        path = call.text(1)
        by_descriptor = DESCRIPTOR_PATH.fullmatch(path)
        if by_descriptor:
            file = process.descriptors.get(int(by_descriptor[1]))
            node = file and file.node
        elif path == b"":
            node = self.node_of(call, process, 0)
        else:
            old = self.locate(call, process, 1, 0)
            node = old and self.look_up(old)
        self.linked(call, node, place)

    def linked(self, call, node, place):
        if call.result != 0 or place is None or is_socket(place):
            return
        if node is None:
            raise TraceError(f"{place[1]} became a link to an unknown file")
        if node.label == "(nameless)":
            node.label = place[1]
        self.note(Names, call, f"link {place[1]}", changes=[(*place, node)])

    def on_unlink(self, call, process):
        self.unlinked(call, self.locate(call, process, 0))

    def on_unlinkat(self, call, process):
        self.unlinked(call, self.locate(call, process, 1, 0))

    on_rmdir = on_unlink

    def unlinked(self, call, place):
        if place and call.result == 0 and not is_socket(place):
            self.note(Names, call, f"unlink {place[1]}", changes=[(*place, None)])

    def on_bind(self, call, process):
        # The control socket is a file: it takes the number that the next one would have had.
        if call.result == 0 and "AF_UNIX" in call.arguments[1]:
            self.made += 1

    def on_mkdir(self, call, process):
        self.made_directory(call, self.locate(call, process, 0))

    def on_mkdirat(self, call, process):
        self.made_directory(call, self.locate(call, process, 1, 0))

    def made_directory(self, call, place):
        if place and call.result == 0:
            node = self.make(is_directory=True, label=place[1], mode=0o700)
            self.note(Names, call, f"mkdir {place[1]}", changes=[(*place, node)])

    def on_symlink(self, call, process):
        self.refuse(call, self.locate(call, process, 1))

    def on_symlinkat(self, call, process):
        self.refuse(call, self.locate(call, process, 2, 1))

    def on_mknod(self, call, process):
        self.refuse(call, self.locate(call, process, 0))

    def on_mknodat(self, call, process):
        self.refuse(call, self.locate(call, process, 1, 0))

    def refuse(self, call, place):
        if place and call.result == 0:
            raise TraceError(f"{call.name} on the disk is not understood")

    # Durability

    def on_fsync(self, call, process):
        node = self.node_of(call, process, 0)
        if node and call.result == 0:
            self.note(Sync, call, f"{call.name} {node.label}", node=node)

    on_fdatasync = on_fsync

    def on_syncfs(self, call, process):
        if call.result == 0 and self.node_of(call, process, 0):
            self.note(Sync, call, node=None)

    def on_sync(self, call, process):
        self.note(Sync, call, node=None)

    # Other ways to write, which a trace cannot show

    def on_mmap(self, call, process):
        if "MAP_SHARED" not in call.arguments[3] or call.number(4) < 0:
            return
        file = self.open_of(call, process, 4)
        if file and file.node and file.node.inside and file.writable:
            raise TraceError(f"a writable file is mapped shared: {file.node.label}")

    def on_io_uring_setup(self, call, process):
        if call.result >= 0:
            raise TraceError("io_uring is used: its writes are in no trace")

    def on_io_submit(self, call, process):
        if call.result > 0:
            raise TraceError("io_submit is used: its writes are in no trace")

    def on_ioctl(self, call, process):
        if call.arguments[1].startswith("FICLONE") and self.node_of(call, process, 0):
            raise TraceError(f"{call.arguments[1]} on the disk is not understood")

    # Times and identities

    def on_utimensat(self, call, process):
        if call.result != 0:
            return
        path = call.text(1)
        if path is None:
            node = self.node_of(call, process, 0)
        else:
            place = self.locate(call, process, 1, 0)
            node = place and self.look_up(place)
        times = re.findall(r"tv_sec=(\d+), tv_nsec=(\d+)|(UTIME_NOW|UTIME_OMIT)", call.arguments[2])
        if node and len(times) == 2 and times[1][0]:
            when = int(times[1][0]) + int(times[1][1]) / 1e9
            self.operations.append(Touch(call.begin, call.end, when, "touch", node))
            node.modified = when

    def on_fstat(self, call, process):
        self.seen(self.node_of(call, process, 0), call.arguments[-1])

    def on_newfstatat(self, call, process):
        self.seen_at(call, process, call.arguments[2])

    def on_statx(self, call, process):
        self.seen_at(call, process, call.arguments[4])

    def seen_at(self, call, process, shown):
        if call.text(1) == b"":
            self.seen(self.node_of(call, process, 0), shown)
            return
        place = self.locate(call, process, 1, 0)
        self.seen(place and self.look_up(place), shown)

    def on_stat(self, call, process):
        place = self.locate(call, process, 0)
        self.seen(place and self.look_up(place), call.arguments[1])

    on_lstat = on_stat

    @staticmethod
    def seen(node, shown):
        found = STAT_INODE.search(shown)
        # Between two threads a name may just have changed hands: what is certain is checked last.
        if node and found and node.inode == 0:
            node.inode = int(found[1])

    # Acknowledgements

    def on_sendto(self, call, process):
        if tcp(call):
            self.sent_to_peer(call, call.octets(1))

    on_sendmsg = on_sendto

    def on_sendmmsg(self, call, process):
        if tcp(call):
            raise TraceError("sendmmsg to a peer is not understood")

    def sent_to_peer(self, call, data):
        if call.result <= 0:
            return
        local, peer = (int(port) for port in tcp(call).groups())
        first = self.sent.get((local, peer), 0)
        self.sent[local, peer] = first + call.result
        text = f"send {data[: min(call.result, 40)]!r}"
        fields = {"local": local, "peer": peer, "first": first, "count": call.result}
        self.note(Sent, call, text, **fields)


def tcp(call):
    return TCP.match(call.arguments[0]) if call.arguments else None


def first_number(argument):
    """`[5]` and `[5 => 9]` are 5, NULL is None."""
    found = re.match(r"\[?(-?\d+)", argument)
    return int(found[1]) if found else None
