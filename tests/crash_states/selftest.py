"""Whether the harness would notice: a sync of the recorded history counts as if it had never
happened, and at least one of the disks that become possible by that must break a promise.
"""

import random
import re
from dataclasses import dataclass, field

from cases import Case
from history import Sync
from states import POWER, enumerate_states

TRIES = 400  # disks for one sync
# What shows that mail was lost or torn. A lock left over shows nothing about syncs.
LOST = re.compile(
    "not there|torn|glued|zeros|nobody sent|-ERR|no mbox|in part|may be|not its mess|there again"
)


@dataclass
class Verdict:
    noticed: list = field(default_factory=list)  # (text of the sync, failure)
    unnoticed: list = field(default_factory=list)  # (text, disks tried)
    needless: list = field(default_factory=list)  # texts: no new disk comes of it


def without_syncs(recording, possible, machine, trial, seed, most=None, enough=False):
    """Takes syncs out one by one: `most` of them, or all; with `enough` until one is noticed."""
    verdict = Verdict()
    syncs = [at for at, one in enumerate(recording.operations) if isinstance(one, Sync)]
    random.Random(seed).shuffle(syncs)
    for at in syncs[:most]:
        text = f"{recording.operations[at].text} (operation {at})"
        states = made_possible(recording, at, possible, seed)
        failure = next(failures(recording, states, machine, trial), None)
        if not states:
            verdict.needless.append(text)
        elif failure is None:
            verdict.unnoticed.append((text, min(len(states), TRIES)))
        else:
            verdict.noticed.append((text, failure))
            if enough:
                break
    return verdict


def made_possible(recording, at, possible, seed):
    """The disks that only the missing sync makes possible, those with most promises first."""
    operations = recording.operations
    same = (
        later for later in range(at + 1, len(operations))
        if isinstance(operations[later], Sync) and operations[later].node is operations[at].node
    )
    # From the next sync of the same file on, nothing is different.
    moments = range(at, next(same, len(operations)))
    found = enumerate_states(
        recording.start, operations, (POWER,), seed, moments, without=at
    )
    new = [state for digest, state in found.items() if digest not in possible]
    random.Random(seed).shuffle(new)
    promised = {state.moment: len(recording.kept(state.moment)) for state in new}
    return sorted(new, key=lambda state: -promised[state.moment])


def failures(recording, states, machine, trial):
    for state in states[:TRIES]:
        expected = Case(recording, state).prepare(machine)
        for failure in expected.failures(trial):
            if LOST.search(failure):
                yield failure
                break
