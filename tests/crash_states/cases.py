"""A case: a disk that a crash left, what another program did to it, and what must hold then."""

import os
import pickle
import shutil
from dataclasses import dataclass, replace

import foreign
from build import build
from ledger import ALWAYS, Message
from states import KILL
from trial import DELIVER, LIST, READ

SNAPSHOT = "case.pickle"


@dataclass
class Case:
    recording: object
    state: object
    programs: bool = False  # whether other programs are at the mailboxes

    @property
    def boot(self):
        """A kill leaves the machine running; after a power loss it has been started anew."""
        same = self.state.kind == KILL
        return self.recording.boot if same else f"{self.recording.boot}, and again"

    @property
    def first(self):
        """Who opens the directory first: by chance, but the same for the same disk."""
        has_queue = any(message.queued for message in self.recording.ledger.messages)
        return (READ, DELIVER, LIST)[self.state.digest[0] % (3 if has_queue else 2)]

    @property
    def process(self):
        """In some cases the program gets its old process id, as the first in a container does."""
        return self.recording.process if self.state.digest[1] % 4 == 0 else 0

    @property
    def digest(self):
        return self.state.digest.hex()[:12] + ("-changed" if self.programs else "")

    def told(self, machine):
        """What happened to the disk, in words."""
        origin = self.recording.origin and f"{self.recording.origin}, and while it recovers "
        changes = self.prepare(machine).changes if self.programs else ""
        return f"{origin}{self.state.kind}, {self.state.label}" + (changes and f", then {changes}")

    def prepare(self, machine):
        """Makes the disk; returns what is expected of it."""
        machine.boot(self.boot)
        build(machine, self.state, self.recording.next_inode)
        kept = self.recording.kept(self.state.moment)
        expected = Expected(
            self.recording.ledger, kept, self.first, self.boot, self.process, {}, ""
        )
        return self.with_programs(machine, expected) if self.programs else expected

    def with_programs(self, machine, expected):
        texts = {message.name: message.text for message in expected.ledger.messages}
        ledger, whats = replace(expected.ledger, messages=[*expected.ledger.messages]), []
        for nth, user in enumerate(ledger.users):
            made = foreign.change(machine.directory, user, texts, self.state.digest[nth:])
            expected.doubts[user] = made.doubt
            whats.append(f"{user}: {made.what}")
            if made.adds:
                stored, served = made.adds
                name = f"foreign-{user}"
                ledger.messages.append(Message(name, served, (user,), (), ALWAYS, stored))
        return replace(expected, ledger=ledger, changes="; ".join(whats))


@dataclass
class Expected:
    """All that a trial needs to know beside the disk."""

    ledger: object
    kept: set
    first: str
    boot: str
    process: int  # the process id that the program must get, if not 0
    doubts: dict
    changes: str

    def failures(self, trial):
        return trial.failures(self)


def keep(case, machine, target, failures):
    """Keeps the disk of a case so that it can be looked at, and tried again."""
    expected = case.prepare(machine)
    os.makedirs(target, exist_ok=True)
    shutil.copytree(machine.directory, os.path.join(target, "disk"), dirs_exist_ok=True)
    with open(os.path.join(target, "why.txt"), "w", encoding="utf-8") as file:
        print(case.told(machine), f"first comes {expected.first}",
              f"process id {expected.process or 'new'}", *failures, sep="\n", file=file)
    case.prepare(machine)
    kept = snapshot(machine.directory)
    # What another program made anew has a number behind those of the recording.
    numbers = [node.inode for _, node, _ in kept.files]
    next_inode = max(case.recording.next_inode, *(number + 1 for number in numbers))
    with open(os.path.join(target, SNAPSHOT), "wb") as file:
        pickle.dump((expected, kept, next_inode), file)


def again(machine, target):
    """Makes a disk that was kept; returns what is expected of it."""
    with open(os.path.join(target, SNAPSHOT), "rb") as file:
        expected, kept_state, next_inode = pickle.load(file)
    machine.boot(expected.boot)
    build(machine, kept_state, next_inode)
    return expected


def snapshot(directory):
    """The disk as it is, in the form of a state."""
    files, directories, nodes = [], [], {}
    for parent, below, names in os.walk(directory):
        for name in [*below, *names]:
            path = os.path.join(parent, name)
            stat = os.stat(path)
            node = nodes.setdefault(stat.st_ino, KeptNode(stat.st_ino, stat.st_mode & 0o7777))
            short = os.path.relpath(path, directory)
            if name in below:
                node.is_directory = True
                directories.append((short, node))
                continue
            with open(path, "rb") as file:
                files.append((short, node, KeptContent(file.read(), stat.st_mtime_ns / 1e9)))
    return KeptState(files, directories)


@dataclass(eq=False)
class KeptNode:
    inode: int
    mode: int
    is_directory: bool = False


@dataclass
class KeptContent:
    content: bytes
    when: float

    def octets(self):
        return self.content

    def modified(self):
        return self.when


@dataclass
class KeptState:
    files: list
    directories: list
