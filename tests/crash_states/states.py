"""Every disk that a power loss or a kill could leave, of a history; each of them once.

Of many moments that leave the same disk the last is kept: then the most has been promised.
"""

import hashlib
import random
from dataclasses import dataclass

from disk import SECTOR, Disk
from history import Ended, Sent, Write

PAGE = 4096
RANDOM_STATES = 2  # of each moment, beside the systematic ones
MIDDLE_CUTS = 3  # sectors in the middle of a write at which it is cut

POWER, KILL = "power loss", "kill"


@dataclass
class State:
    """A disk. `moment` is the last operation that had been done, or begun."""

    kind: str
    moment: int
    label: str
    files: list  # (path, node, content)
    directories: list  # (path, node)
    digest: bytes = b""
    cut: int = -1  # octets of the last write, where it is a kill in the middle of one


def enumerate_states(start, operations, kinds=(POWER, KILL), seed=0, moments=None, without=None):
    """The states of a history, by their digests: at the `moments` of a range, or at all of them.
    The sync with the index `without` counts as if it had not happened.
    """
    maker, disk = Maker(kinds, seed), Disk(start)
    for at, operation in enumerate(operations):
        changed = at != without and disk.step(operation)
        if moments is not None and at not in moments:
            continue
        if changed or not maker.latest:
            maker.look(disk, at, operation)
        elif isinstance(operation, (Sent, Ended)):
            # The disk is what it was, and more may have been promised.
            maker.look_again(at, operation)
    return maker.found


class Layout:
    """The names of a disk, and the files and directories that they stand for."""

    def __init__(self, root, entries):
        self.files, self.directories = [], []
        names, stack = [], [("", root)]
        while stack:
            path, directory = stack.pop()
            for name, node in sorted(entries.get(directory, {}).items()):
                names.append(f"{path}{name}\0{node.inode}")
                if node.is_directory:
                    self.directories.append((path + name, node))
                    stack.append((f"{path}{name}/", node))
                else:
                    self.files.append((path + name, node))
        self.key = "\0".join(names).encode()


class Maker:
    """Makes the states of one moment after the other."""

    def __init__(self, kinds, seed):
        self.kinds = kinds
        self.random = random.Random(seed)
        self.found = {}
        self.latest = []  # the states of the last moment
        self.moment = 0
        self.generation = None

    def look(self, disk, at, operation):
        self.latest = []
        self.moment = at
        self.lay_out(disk)
        if KILL in self.kinds:
            self.killed(disk, operation)
        if POWER in self.kinds:
            self.lost(disk, f"after {operation.text}")

    def look_again(self, at, operation):
        for state in self.latest:
            if state.cut < 0:  # a write that was cut off has ended by now
                state.moment = at
                if state.kind == KILL:
                    state.label = operation.text

    def lay_out(self, disk):
        """Works out what names there may be, if that has changed."""
        if self.generation == disk.generation:
            return
        self.generation = disk.generation
        self.undecided = disk.undecided()
        self.all_names = Layout(disk.root, disk.names(self.undecided))
        self.no_names = Layout(disk.root, disk.names([]))
        self.some_names = [
            (label, Layout(disk.root, disk.names(chosen)))
            for label, chosen in choices_of_names(self.undecided)
        ]

    def add(self, kind, disk, layout, pick, label, picked=None, cut=-1):
        """A state: of each file what `picked` says, else what `pick` makes of its versions."""
        contents = [
            picked[node] if picked and node in picked else pick(disk.versions(node))
            for _, node in layout.files
        ]
        digest = hashlib.sha1(kind.encode() + layout.key)
        digest.update(b"".join([content.digest() for content in contents]))
        digest = digest.digest()
        state = self.found.get(digest)
        if state is None:
            files = [(*file, content) for file, content in zip(layout.files, contents)]
            state = State(kind, self.moment, label, files, layout.directories, digest, cut)
            self.found[digest] = state
        state.moment, state.label, state.cut = self.moment, label, cut
        self.latest.append(state)

    # A kill: the page cache lives, and the last write may be cut.

    def killed(self, disk, operation):
        if isinstance(operation, Write):
            node = operation.node
            for cut, content in cuts_by_kill(disk.versions(node)):
                label = f"{operation.text}, cut after {cut} octets"
                self.add(KILL, disk, self.all_names, newest, label, {node: content}, cut)
        self.add(KILL, disk, self.all_names, newest, operation.text)

    # A power loss: names and files, each with what it may be.

    def lost(self, disk, where):
        self.add(POWER, disk, self.no_names, oldest, f"{where}: nothing unsynced")
        self.add(POWER, disk, self.all_names, newest, f"{where}: everything")
        self.add(POWER, disk, self.all_names, emptied, f"{where}: sizes, no data")
        for label, layout in self.some_names:
            self.add(POWER, disk, layout, newest, f"{where}: {label}, all data")
            self.add(POWER, disk, layout, oldest, f"{where}: {label}, no data")
        for node, versions in list(disk.files.items()):
            for label, content in choices_of_content(versions):
                what, picked = f"{where}: of {node.label} {label}", {node: content}
                self.add(POWER, disk, self.all_names, newest, f"{what}, all else", picked)
                self.add(POWER, disk, self.all_names, oldest, f"{what}, nothing else", picked)
                self.add(POWER, disk, self.no_names, oldest, f"{what}, no names", picked)
        for _ in range(RANDOM_STATES):
            self.at_random(disk, where)

    def at_random(self, disk, where):
        """Each file by itself; names by a prefix, as a journaling file system keeps them."""
        count = self.random.randint(0, len(self.undecided))
        layout = Layout(disk.root, disk.names(self.undecided[:count]))
        picked = {}
        for node, versions in disk.files.items():
            choices = [content for _, content in choices_of_content(versions)]
            picked[node] = self.random.choice([*choices, newest(versions), oldest(versions)])
        self.add(POWER, disk, layout, newest, f"{where}: at random", picked)


def newest(versions):
    return versions.content(len(versions))


def oldest(versions):
    return versions.content(0)


def emptied(versions):
    """The newest size, and zeros where the data has not been written."""
    return versions.content(0, size=len(versions.at(len(versions))))


def choices_of_names(undecided):
    for count in range(1, len(undecided)):
        yield f"the first {count} names", undecided[:count]
    # Harsher than a journaling file system: any one alone, and all but any one.
    if len(undecided) > 1:
        for one in undecided:
            yield f"only {one.text}", [one]
            yield f"all but {one.text}", [other for other in undecided if other is not one]


def choices_of_content(versions):
    """What an unsynced file may hold, beside its newest and its durable version."""
    if versions.choices is None:
        versions.choices = list(make_choices(versions))
    return versions.choices


def make_choices(versions):
    last = len(versions)
    if last == 0:
        return
    yield "zeros", emptied(versions)
    for number in range(1, last):
        yield f"the first {number} writes", versions.content(number)
    for number, operation in enumerate(versions.operations, 1):
        yield from choices_without(versions, number, operation)
    for number in range(last, 0, -1):
        if isinstance(versions.operations[number - 1], Write):
            yield from cuts_by_power(versions, number)
            break


def choices_without(versions, number, operation):
    last = len(versions)
    if not isinstance(operation, Write):
        if last > 1:
            yield f"all but {operation.text}", versions.content(last, without=number)
        return
    touched = sectors(operation)
    size, newest_size = len(versions.at(number)), len(versions.at(last))
    yield f"all but {operation.text}", versions.content(
        last, ((*touched, number - 1),), newest_size
    )
    yield f"only {operation.text}", versions.content(0, ((*touched, number),), size)
    if size > len(versions.base):
        # The data is there, and the size is not: or the other way round.
        yield f"only {operation.text}, zeros up to the newest size", versions.content(
            0, ((*touched, number),), newest_size
        )


def sectors(operation):
    """The sectors that a write touches, whole."""
    end = operation.offset + len(operation.data)
    return operation.offset // SECTOR * SECTOR, -(-end // SECTOR) * SECTOR


def cuts_by_power(versions, number):
    operation = versions.operations[number - 1]
    begin, end = operation.offset, operation.offset + len(operation.data)
    before, size = len(versions.at(number - 1)), len(versions.at(number))
    for cut in sector_cuts(begin, end):
        # The sectors before the cut are new. The size has grown with them, or as far as it will.
        first = begin // SECTOR * SECTOR
        stretch = ((first, cut, number),)
        yield f"{operation.text} up to sector {cut}, zeros behind it", versions.content(
            number - 1, stretch, size
        )
        if size > before and cut > before:
            yield f"{operation.text} up to sector {cut}", versions.content(
                number - 1, stretch, cut
            )
        yield f"{operation.text} from sector {cut} on", versions.content(
            number - 1, ((cut, -(-end // SECTOR) * SECTOR, number),), size
        )
    if size > before:
        for cut in octet_cuts(max(begin, before), end):
            yield f"{operation.text} up to octet {cut}", versions.content(number, size=cut)


def cuts_by_kill(versions):
    """The last write, cut where a kill may cut it."""
    number = len(versions)
    operation = versions.operations[number - 1]
    begin, end = operation.offset, operation.offset + len(operation.data)
    before = len(versions.at(number - 1))
    pages = range((begin // PAGE + 1) * PAGE, end, PAGE)
    for cut in sorted({*some(list(pages)), *octet_cuts(begin, end)}):
        stretch = (begin, cut, number)
        yield cut - begin, versions.content(number - 1, (stretch,), max(before, cut))


def sector_cuts(begin, end):
    return some(list(range((begin // SECTOR + 1) * SECTOR, end, SECTOR)))


def octet_cuts(begin, end):
    middle = (begin + end) // 2
    return sorted({cut for cut in (begin + 1, middle, end - 1) if begin < cut < end})


def some(cuts):
    """The first, the last, and a few between."""
    if len(cuts) <= MIDDLE_CUTS + 2:
        return cuts
    step = (len(cuts) - 1) / (MIDDLE_CUTS + 1)
    return sorted({cuts[round(step * nth)] for nth in range(MIDDLE_CUTS + 2)})
