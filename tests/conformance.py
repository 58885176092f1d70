#!/usr/bin/env python3
"""What mailconsole promises, tried from outside: one check for each rule.

    tests/conformance.py target/release/mailconsole [--only WORD]

One line a check: `PASS name`, or `FAIL name: what was sent, what came, what the rule says`; then
a line that counts them. Exit status 1 if a check failed. Knows nothing of the source: bytes go
in, replies and files come out. "protocol 3.6" in a rule is that section of docs/protocol.md, "files
4.1" that of docs/files.md, "RFC" the RFC. Python 3.9 and its standard library; loopback only.
"""

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

sys.dont_write_bytecode = True

from rules import (  # noqa: E402
    directory, echo, ending, lines, mailboxes, pop3, queue, relay, rewritten, side_files, smtp, starting, text,
    transcript, update,
)
from rules.checks import CHECKS, Beside, Off  # noqa: E402
from rules.console import Hall, terminate_all  # noqa: E402

AT_ONCE = 16  # most checks wait for a disk or for time to pass
LONGEST = 300  # seconds after which whatever hangs is a failure


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--only", default="", metavar="WORD", help="checks whose name has WORD")
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="show the N slowest")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    raise_descriptor_limit()
    home = tempfile.mkdtemp(prefix="mailconsole-rules-")
    os.chmod(home, 0o755)
    try:
        return run_all(options, home)
    finally:
        terminate_all()
        remove(home)


def remove(home):
    """Everything, also what a check has made read-only."""
    for directory, _, _ in os.walk(home):
        with contextlib.suppress(OSError):
            os.chmod(directory, 0o700)
    shutil.rmtree(home, ignore_errors=True)


def run_all(options, home):
    hall = Hall(os.path.abspath(options.binary), home)
    chosen = [check for check in CHECKS if options.only in check.name]
    results = Results(chosen)
    results.end_if_it_hangs()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(results.run, check, hall) for check in chosen if not check.alone]
        for job in as_completed(jobs):
            job.result()
    for check in chosen:
        if check.alone:
            results.run(check, hall)
    return results.close(options.slowest)


class Results:
    """Tells every outcome as it comes, and counts."""

    def __init__(self, chosen):
        self.waiting = {check.name for check in chosen}
        self.passed, self.failed, self.times = 0, 0, []
        self.lock = threading.Lock()

    def run(self, check, hall):
        started = time.monotonic()
        why = outcome(check, hall)
        with self.lock:
            self.waiting.discard(check.name)
            self.times.append((time.monotonic() - started, check.name))
            self.passed += not why
            self.failed += bool(why)
            print(f"FAIL {check.name}: {why}" if why else f"PASS {check.name}", flush=True)

    def end_if_it_hangs(self):
        def give_up():
            with self.lock:
                for name in sorted(self.waiting):
                    print(f"FAIL {name}: not done after {LONGEST} s")
                print(f"{self.passed} passed, {self.failed + len(self.waiting)} failed", flush=True)
                terminate_all()
                os._exit(1)

        timer = threading.Timer(LONGEST, give_up)
        timer.daemon = True
        timer.start()

    def close(self, slowest):
        for seconds, name in sorted(self.times, reverse=True)[:slowest]:
            print(f"{seconds:6.2f} s  {name}")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def outcome(check, hall):
    """Why the check failed; empty if it did not."""
    try:
        check.run(hall)
    except Off as off:
        return f"{off}; the rule: {check.rule}"
    except Beside as why:
        print(f"     {check.name}: cannot be tried here: {why}", flush=True)
    except Exception as error:  # whatever breaks a check is a finding too
        line = error.__traceback__
        while line.tb_next:
            line = line.tb_next
        where = f"{os.path.basename(line.tb_frame.f_code.co_filename)}:{line.tb_lineno}"
        return f"{type(error).__name__} {error} ({where}); the rule: {check.rule}"
    return ""


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
