#!/usr/bin/env python3
"""Every disk that a power loss or a kill could leave, and whether each promise holds on it.

    tests/crash_states/run.py BINARY [--sample N] [--seed S] [--only SCENARIO] [--keep DIR]
    tests/crash_states/run.py BINARY --without-sync [--only SCENARIO]
    tests/crash_states/run.py BINARY --again DIR/CASE

One line a failure; at the end one line a scenario: disks possible, tried, failed. Exit status 1 if
a promise was broken, or if a sync that is taken out would not be noticed. Needs root, strace and
unshare. Python 3.11 and its standard library; loopback only, in a network of its own.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import clients
import selftest
from cases import Case, again, keep
from clients import MailHost
from machine import DiskLost, Machine, enter
from recording import record
from recovery import record_recovery
from scenarios import SCENARIOS
from states import POWER, enumerate_states
from trial import Trial

# Shares of a scenario's sample that go to other kinds of cases.
FOREIGN_SHARE = 0.4
RECOVERIES_SHARE = 0.04
DISKS_OF_A_RECOVERY = 8
# In a run of everything: so many of each.
FOREIGN_ALL, RECOVERIES_ALL, DISKS_OF_A_RECOVERY_ALL = 400, 40, 50
ATTEMPTS = 4  # at a scenario, should its disk be lost meanwhile
LINES_MOST = 20  # failures of a kind of cases that are told one by one; all are counted

# What failures have in common, to count them by.
KINDS = (
    "no answer", "does not end", "is left in the directory", "is in the directory", "glued",
    "torn piece", "zeros in the place", "which was promised, is not there", "nobody sent",
    "there again", "times", "in part", "have changed", "is no mbox", "for others", "cannot be read",
    "and may be", "was never queued", "handed over", "not its message", "further delivery",
)


@dataclass
class Tally:
    possible: int = 0
    tried: int = 0
    failed: int = 0
    kinds: Counter = field(default_factory=Counter)
    hung: int = 0
    given_up: int = 0  # disks not tried because of that

    def told(self, name):
        line = f"{name} {self.possible} possible, {self.tried} tried, {self.failed} failed"
        if self.kinds:
            line += f" ({', '.join(f'{count} {kind}' for kind, count in self.kinds.most_common())})"
        if self.given_up:
            line += f", {self.given_up} given up after {self.hung} hangs"
        return line


def main():
    options = arguments()
    enter()
    machine, mail_host = Machine(), MailHost()
    try:
        binary = os.path.abspath(options.binary)
        harness = Harness(options, machine, binary, mail_host)
        return harness.again(options.again) if options.again else harness.run()
    finally:
        mail_host.close()
        machine.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", help="the mailconsole to test")
    parser.add_argument("--sample", type=int, metavar="N", help="about N disks of each scenario")
    parser.add_argument("--seed", type=int, default=1, help="of what is picked by chance")
    parser.add_argument("--only", action="append", metavar="SCENARIO", help="may be repeated")
    parser.add_argument("--keep", metavar="DIR", help="keep the disks on which a promise failed")
    parser.add_argument("--without-sync", action="store_true",
                        help="only take syncs out, each of every scenario, and tell what shows it")
    parser.add_argument("--again", metavar="CASE", help="try a disk that was kept once more")
    parser.add_argument("--patience", type=float, default=clients.PATIENCE, metavar="SECONDS",
                        help="how long the program may be silent")
    parser.add_argument("--hangs", type=int, default=12, metavar="N",
                        help="give a kind of cases up after N disks on which it is")
    options = parser.parse_args()
    names = [scenario.name for scenario in SCENARIOS]
    for name in options.only or []:
        if name not in names:
            parser.error(f"there is no scenario {name}: choose from {', '.join(names)}")
    clients.PATIENCE = options.patience
    return options


class Harness:
    def __init__(self, options, machine, binary, mail_host):
        self.options = options
        self.machine = machine
        self.binary = binary
        self.mail_host = mail_host
        self.trial = Trial(machine, binary, mail_host)
        self.lines = []
        self.broken = False

    def run(self):
        for scenario in SCENARIOS:
            if not self.options.only or scenario.name in self.options.only:
                self.run_scenario(scenario)
        print("", *self.lines, sep="\n")
        return 1 if self.broken else 0

    def run_scenario(self, scenario):
        began = time.monotonic()
        line = f"{scenario.name}: {'; '.join(self.outcome(scenario))}"
        self.lines.append(f"{line} ({time.monotonic() - began:.0f} s)")
        print(self.lines[-1], flush=True)

    def outcome(self, scenario, attempts=ATTEMPTS):
        """Records a scenario and tries its disks; what came of it, in words."""
        try:
            recording = record(self.machine, self.binary, scenario, self.mail_host)
            return self.cases(scenario, recording)
        except clients.Refused as refused:
            self.broken = True
            return [f"FAIL while it was recorded: {refused}"]
        except DiskLost as lost:
            if attempts == 1:
                raise
            print(f"{scenario.name}: begun again: {lost}", flush=True)
            self.machine.new_disk()
            return self.outcome(scenario, attempts - 1)

    def cases(self, scenario, recording):
        """Tries the disks of a recording; returns what came of it, in words."""
        seed = f"{self.options.seed} {scenario.name}"
        possible = enumerate_states(recording.start, recording.operations, scenario.kinds, seed)
        tallies = {} if self.options.without_sync else {"crash": Tally(len(possible))}
        if tallies:
            pick = random.Random(seed)
            states = sample(list(possible.values()), self.share(scenario), pick)
            self.attempt(scenario, tallies["crash"], [Case(recording, one) for one in states])
            self.recoveries(scenario, tallies, recording, states, pick)
            self.foreign(scenario, tallies, recording, possible, pick)
        parts = [tally.told(name) for name, tally in tallies.items()]
        if POWER in scenario.kinds:
            parts.append(self.self_test(scenario, recording, possible, seed))
        return parts

    def share(self, scenario):
        sampled = self.options.sample
        return None if sampled is None else max(int(sampled * scenario.weight), 1)

    def part(self, scenario, share, everything):
        sampled = self.share(scenario)
        return everything if sampled is None else max(int(sampled * share), 1)

    def foreign(self, scenario, tallies, recording, possible, pick):
        """Disks at which other programs are before the restart."""
        if scenario.foreign:
            count = self.part(scenario, FOREIGN_SHARE, FOREIGN_ALL)
            states = sample(list(possible.values()), count, pick)
            tallies["other programs"] = Tally(len(possible))
            cases = [Case(recording, state, programs=True) for state in states]
            self.attempt(scenario, tallies["other programs"], cases)

    def recoveries(self, scenario, tallies, recording, states, pick):
        """Disks that a second crash leaves, while the program recovers from the first."""
        tally = tallies["recovery"] = Tally()
        count = self.part(scenario, RECOVERIES_SHARE, RECOVERIES_ALL)
        for state in sample(states, count, pick):
            case = Case(recording, state)
            try:
                recovery = record_recovery(case, self.machine, self.binary, self.mail_host)
            except clients.Refused as refused:
                self.fail(scenario, tally, case, [f"the start on it, traced: {refused}"])
                continue
            moments = range(recovery.first, len(recovery.operations))
            found = enumerate_states(
                recovery.start, recovery.operations, scenario.kinds, self.options.seed, moments
            )
            tally.possible += len(found)
            everything = self.options.sample is None
            limit = DISKS_OF_A_RECOVERY_ALL if everything else DISKS_OF_A_RECOVERY
            picked = sample(list(found.values()), limit, pick)
            self.attempt(scenario, tally, [Case(recovery, one) for one in picked])

    def attempt(self, scenario, tally, cases):
        for case in cases:
            if tally.hung >= self.options.hangs:
                tally.given_up += 1
                continue
            failures = case.prepare(self.machine).failures(self.trial)
            tally.tried += 1
            if failures:
                self.fail(scenario, tally, case, failures)

    def fail(self, scenario, tally, case, failures):
        self.broken = True
        tally.failed += 1
        tally.hung += any("no answer" in failure or "not end" in failure for failure in failures)
        tally.kinds[kind(failures[0])] += 1
        number = sum(tally.kinds.values())
        if number <= LINES_MOST:
            print(f"FAIL {scenario.name} {number}: {case.told(self.machine)}: {failures[0]}"
                  + (f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""), flush=True)
            if self.options.keep:
                name = f"{scenario.name}-{case.digest}"
                keep(case, self.machine, os.path.join(self.options.keep, name), failures)

    def self_test(self, scenario, recording, possible, seed):
        """Takes syncs out of the history; all of them, or until one is noticed."""
        sampled = self.options.sample is not None
        verdict = selftest.without_syncs(
            recording, possible, self.machine, self.trial, seed, enough=sampled
        )
        for text, failure in verdict.noticed if self.options.without_sync else ():
            print(f"{scenario.name}: without {text}: {failure}", flush=True)
        for text, tried in verdict.unnoticed:
            print(f"{scenario.name}: without {text} all holds on {tried} new disks", flush=True)
        for text in verdict.needless:
            print(f"{scenario.name}: without {text} no new disk is possible", flush=True)
        if not verdict.noticed:
            self.broken = True
            print(f"FAIL {scenario.name}: no sync that is taken out is noticed", flush=True)
        tried = len(verdict.noticed) + len(verdict.unnoticed) + len(verdict.needless)
        return f"{len(verdict.noticed)} of {tried} syncs taken out are noticed"

    def again(self, path):
        failures = again(self.machine, path).failures(self.trial)
        print(*failures or ["all promises hold"], sep="\n")
        return 1 if failures else 0


def sample(states, count, pick):
    if count is None or count >= len(states):
        return states
    return pick.sample(states, count)


def kind(failure):
    return next((words for words in KINDS if words in failure), failure)


if __name__ == "__main__":
    sys.exit(main())
