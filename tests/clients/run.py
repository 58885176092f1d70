#!/usr/bin/env python3
"""Real mail programs against a running mailconsole.

    tests/clients/run.py target/release/mailconsole [--require-all] [--only WORD]

One line a check: `PASS name`, `FAIL name: why`, `SKIP name: why`; then a line that counts them.
Exit status 1 if a check failed. A program that is not installed skips its checks, unless
--require-all makes that a failure. Python 3.11 and its standard library; loopback only.
"""

import argparse
import os
import sys
import tempfile
import traceback

import fetchers
import mailboxes
import relays
import senders
from checks import Failure, Skip
from console import Console


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--require-all", action="store_true", help="a missing program is a failure")
    parser.add_argument("--only", default="", metavar="WORD", help="checks whose name has WORD")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    with tempfile.TemporaryDirectory(prefix="mailconsole-clients-") as home:
        os.chmod(home, 0o755)
        return run_all(options, home)


def run_all(options, home):
    directory = os.path.join(home, "mail")
    os.mkdir(directory)
    console = Console(options.binary, directory)
    tally = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    try:
        console.wait_until_it_listens()
        for check in [*senders.checks(), *fetchers.checks(), *mailboxes.checks(), *relays.checks()]:
            if options.only in check.name:
                tell(tally, check.name, *outcome(check, console, options.require_all))
    except Failure as failure:
        tell(tally, "mailconsole runs", "FAIL", str(failure))
    finally:
        tell(tally, "mailconsole ends when told to", *ending(console))
    print(f"{tally['PASS']} passed, {tally['FAIL']} failed, {tally['SKIP']} skipped")
    return 1 if tally["FAIL"] else 0


def outcome(check, console, require_all):
    skipped = "FAIL" if require_all else "SKIP"
    missing = check.missing()
    if missing:
        return skipped, f"{', '.join(missing)} is not installed"
    try:
        check.run(console)
    except Skip as why:
        return skipped, str(why)
    except Failure as failure:
        return "FAIL", str(failure)
    except Exception as error:  # a client library's own complaint is a finding like any other
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(at.filename)}:{at.lineno}"
        return "FAIL", f"{type(error).__name__}: {error} ({where})"
    return "PASS", ""


def ending(console):
    try:
        console.stop()
    except Failure as failure:
        return "FAIL", str(failure)
    return "PASS", ""


def tell(tally, name, verdict, why):
    tally[verdict] += 1
    print(f"{verdict} {name}: {why}" if why else f"{verdict} {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
