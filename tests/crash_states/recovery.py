"""A start on a disk that a crash left, traced: a second crash may come while it recovers."""

import dataclasses

from disk import Versions
from history import Write
from recorder import Stage
from recording import ATTEMPTS, LATER, Recording, Start, located, replayed
from scenarios import Play
from states import KILL
from strace import TraceError
from trial import LIST, READ

NAME = "recovered"  # of the message that is delivered meanwhile


def record_recovery(case, machine, binary, mail_host):
    """Traces the start on the disk of a case; the result is a recording like any other."""
    for attempt in range(ATTEMPTS):
        try:
            return record_once(case, machine, binary, mail_host)
        except TraceError:
            if attempt == ATTEMPTS - 1:
                raise


def record_once(case, machine, binary, mail_host):
    recording, state = case.recording, case.state
    expected = case.prepare(machine)
    root = recording.start.root
    entries, files = on_disk(root, state)
    ledger = copied(recording.ledger)
    with Stage(machine) as stage:
        play = Play(stage, binary, ledger, mail_host)
        path = restarted(play, expected.first)
    operations, made = replayed(machine, path, root, recording.next_inode, LATER)
    before = []
    start = Start(root, entries, files)
    if state.kind == KILL:
        # What was not durable before the kill is not durable after it either.
        start, before = recording.start, until(recording.operations, state)
    marks = ledger.marks() - recording.ledger.marks()
    given = {mark: at + len(before) for mark, at in located(operations, marks).items()}
    given.update({mark: -1 for mark in expected.kept})
    return Recording(
        start, [*before, *operations], ledger, given, recording.next_inode + made,
        play.first_process, case.boot, f"{state.kind}, {state.label}",
        first=len(before),
    )


def restarted(play, first):
    """What users do right after the restart; the path of its trace."""
    users = play.ledger.users
    if first == LIST:
        play.run("queue", "--json", play.directory)
    play.serve()
    if first == READ:
        play.look(users)
    play.deliver(NAME, users)
    play.look(users)
    play.stop()
    return play.stage.end()


def on_disk(root, state):
    """Makes the page cache hold a state; returns its entries and files."""
    directories = {"": root, **dict(state.directories)}
    entries = {node: {} for node in directories.values()}
    files = {}
    for path, node in [*state.directories, *((path, node) for path, node, _ in state.files)]:
        parent, _, name = path.rpartition("/")
        entries[directories[parent]][name] = node
        node.order = 0  # it has its number
    for _, node, content in state.files:
        files[node] = Versions(content.octets(), content.modified())
        node.content = bytearray(files[node].base)
        node.modified = content.modified()
    for node, there in entries.items():
        node.entries = dict(there)
    return entries, files


def copied(ledger):
    """A ledger that can grow without the first one."""
    lists = {
        field.name: list(getattr(ledger, field.name))
        for field in dataclasses.fields(ledger) if field.name != "users"
    }
    return dataclasses.replace(ledger, **lists)


def until(operations, state):
    """The operations before a kill; the last one cut off where it was."""
    done = list(operations[: state.moment + 1])
    if state.cut >= 0 and isinstance(done[-1], Write):
        done[-1] = dataclasses.replace(done[-1], data=done[-1].data[: state.cut])
    return done
