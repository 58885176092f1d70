#!/usr/bin/env python3
"""One failing system call after another, while mail is delivered, fetched, deleted, relayed.

    tests/injected/faults.py target/release/mailconsole [--only WORD] [--seconds S [--seed N]] [--without-links]

For every scene, system call and error: the first call of a thread fails, then the second, until it
is not reached any more; then all of them. Promises: every client is answered, and soon; what was
answered 250 is there once and whole, what was refused is nowhere, all other mail stays, also for a
program started anew, on the same boot or another; behind the fault everything works; behind a clean
stop nothing but mail is left. One line a fault. With --seconds some are tried at random for so long;
--without-links is a file system that has no hard links, where everything must work.
Needs strace, Linux and Python 3.11. Exit status 1 if a promise was broken.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.dont_write_bytecode = True

import argparse  # noqa: E402
import itertools  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from injected import place as places  # noqa: E402
from injected.scenes import SCENES  # noqa: E402
from injected.strace import ERRORS, SYSCALLS, Fault  # noqa: E402
from models import foreign  # noqa: E402
from rules.checks import Off  # noqa: E402
from rules.console import terminate_all  # noqa: E402

MOST = 60  # calls of one kind that a thread makes in a scene, and more
ENDS = ("stopped", "killed", "killed, another boot")
# File systems without hard links say this to each attempt; everything must work there.
WITHOUT_LINKS = [("linkat", "EPERM"), ("linkat", "EOPNOTSUPP")]


class Report:
    def __init__(self):
        self.lock = threading.Lock()
        self.passed, self.failed, self.not_reached = 0, [], 0

    def tell(self, name, hits, why):
        with self.lock:
            if why:
                self.failed.append(name)
                print(f"FAIL {name}: {why}", flush=True)
            elif hits:
                self.passed += 1
                print(f"PASS {name}", flush=True)
            else:
                self.not_reached += 1

    def close(self):
        print(f"{self.passed} passed, {len(self.failed)} failed, {self.not_reached} not reached")
        return 1 if self.failed else 0


def attempt(binary, scene, fault, end, report):
    """One fault in one scene. How many calls failed."""
    place = places.Place(binary, fault)
    name = f"{scene.name}: {fault}, {end}"
    hits, why = 0, ""
    try:
        hits = scene.run(place, fault)
        look_behind(place, scene, fault, end)
        if (fault.syscall, fault.error) in WITHOUT_LINKS and fault.when == "1+" and place.said_no:
            raise Off(f"without hard links it says {place.said_no}")
    except (Off, OSError, foreign.Stuck, AssertionError) as error:
        why = f"{error or type(error).__name__}; see {place.home}"
        hits = hits or 1
    place.close(keep=bool(why))
    report.tell(name, hits, why)
    return hits


def look_behind(place, scene, fault, end):
    """What was promised holds now, behind the fault, and for the next program."""
    if scene.settled:
        place.check_files("behind the fault")
    if scene.runs_on and end == "stopped":
        place.check_works()
        place.stop()
        # What could not be synced may wait in a journal for the next program.
        if not fault.concerns_syncing:
            place.check_only_mail()
    elif scene.runs_on:
        place.kill()
    if end == "killed, another boot":
        place.start_behind_another_boot()
    else:
        place.start()
    place.check_pop3("of the next program")
    place.check_works()
    place.check_files("at the end")
    place.check_pop3("at the end")
    place.stop()
    place.check_only_mail()


def all_of(binary, scenes, report, jobs, ends):
    """Every fault there is."""
    def series(kind):
        scene, syscall, error = kind
        if next_unreached(scene, syscall) == 1:
            return
        for nth in range(1, MOST):
            if nth >= next_unreached(scene, syscall):
                break
            if not attempt(binary, scene, Fault(syscall, error, str(nth)), next(ends), report):
                reached[scene.name, syscall] = nth
                break
        attempt(binary, scene, Fault(syscall, error, "1+"), next(ends), report)

    reached = {}
    next_unreached = lambda scene, syscall: reached.get((scene.name, syscall), MOST)
    # The first error of each call finds out how often it is made.
    kinds = [(scene, syscall, error) for error in ERRORS for scene in scenes for syscall in SYSCALLS]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(series, kinds))


def some_of(binary, scenes, report, jobs, ends, seconds, seed):
    """Faults at random until the time is over."""
    rng, most, over = random.Random(seed), {}, time.monotonic() + seconds
    lock = threading.Lock()

    def choose():
        with lock:
            while True:
                scene, syscall = rng.choice(scenes), rng.choice(SYSCALLS)
                limit = most.get((scene.name, syscall), 12)
                if limit > 1:
                    when = "1+" if rng.random() < 0.15 else str(rng.randrange(1, limit))
                    return scene, Fault(syscall, rng.choice(ERRORS), when), next(ends)

    def work(_):
        while time.monotonic() < over:
            scene, fault, end = choose()
            if not attempt(binary, scene, fault, end, report) and fault.when != "1+":
                with lock:
                    kind = (scene.name, fault.syscall)
                    most[kind] = min(most.get(kind, MOST), int(fault.when))

    print(f"seed {seed}", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--only", default="", metavar="WORD", help="scenes whose name has WORD")
    parser.add_argument("--jobs", type=int, default=6, help="so many at once; most wait")
    parser.add_argument("--seconds", type=float, help="some at random, for so long")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--without-links", action="store_true", help="no link can be made, by two errors")
    parser.add_argument("--fault", nargs=3, metavar=("SYSCALL", "ERROR", "WHEN"), help="this one alone")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    if not shutil.which("strace"):
        parser.error("strace is not installed")
    possible = ENDS if places.can_change_the_boot_id() else ENDS[:2]
    if possible != ENDS:
        print("another boot cannot be tried here: no namespaces")
    binary = os.path.abspath(options.binary)
    scenes = [scene for scene in SCENES if options.only in scene.name]
    report, ends = Report(), itertools.cycle(possible)
    try:
        if options.fault or options.without_links:
            faults = [Fault(*options.fault)] if options.fault else [Fault(*kind, "1+") for kind in WITHOUT_LINKS]
            with ThreadPoolExecutor(options.jobs) as pool:
                for case in itertools.product(scenes, faults, possible):
                    pool.submit(attempt, binary, *case, report)
        elif options.seconds:
            some_of(binary, scenes, report, options.jobs, ends, options.seconds, options.seed)
        else:
            all_of(binary, scenes, report, options.jobs, ends)
    finally:
        terminate_all()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
