#!/usr/bin/env python3
"""The verdicts of `mailconsole check client` on real mail programs.

    tests/clients/tested.py BINARY [--only WORD] [--scenarios GLOB...] [--patience SECONDS] [--jobs N]
                            [--require-all] [--libraries DIR] [--write PAGE | --compare PAGE]

One line for each client: `PASS`, `FAIL name: why` if it could not be tried, `SKIP name: what is
missing`; a client's own failures are findings, not failures of the run. Then a line that counts
them; exit status 1 if there is a FAIL. --write puts what was found into docs/clients-tested.md,
--compare fails if the page says something else of what was tried. Several are tried at the same
time, as most of the time is waiting. Python 3.11; loopback only.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import partial

import verdicts
from checks import Failure
from commands import CLIENTS, FETCHING, SENDING
from matrix import HERE, REPOSITORY, Libraries, Missing

LONGEST = 120  # seconds that one scenario may take, above twice the patience
ALONE = 3  # times that a scenario is tried once more if it ended otherwise than the page says


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--only", default="", metavar="WORD", help="clients whose name has WORD")
    parser.add_argument("--scenarios", nargs="+", default=["*"], metavar="GLOB", help="only these")
    parser.add_argument("--patience", type=int, default=20, metavar="SECONDS")
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="at the same time")
    parser.add_argument("--require-all", action="store_true", help="what is missing is a failure")
    parser.add_argument("--libraries", default=f"{REPOSITORY}/target/ci/clients", metavar="DIR")
    parser.add_argument("--write", metavar="PAGE", help="put the tables into this page")
    parser.add_argument("--compare", metavar="PAGE", help="fail if its tables say something else")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    if options.write and (options.only or options.scenarios != ["*"]):
        parser.error("--write needs all clients and all scenarios")
    with tempfile.TemporaryDirectory(prefix="mailconsole-tested-") as home:
        return Run(options, home).everything()


class Run:
    def __init__(self, options, home):
        self.options, self.home = options, home
        self.binary = os.path.abspath(options.binary)
        self.libraries = Libraries(options.libraries)
        self.tally = {"PASS": 0, "FAIL": 0, "SKIP": 0}

    def everything(self):
        names = {protocol: self.scenarios(protocol) for protocol in (SENDING, FETCHING)}
        if not any(names.values()):
            sys.exit(f"no scenario is called {' or '.join(self.options.scenarios)}")
        with ThreadPoolExecutor(self.options.jobs) as pool:
            waiting = []
            for client in CLIENTS:
                if self.options.only in client.name:
                    trying = partial(self.verdict, client)
                    waiting.append((client, pool.map(trying, names[client.protocol])))
            found = verdicts.Found(names)
            for client, tried in waiting:
                self.tell(f"{client.name} ({client.protocol})", lambda: self.note(found, client, tried))
        if self.options.compare:
            # Again, alone: on a busy machine a client may have come too late.
            for _ in range(ALONE):
                for client, name in list(verdicts.differing(self.options.compare, found)):
                    found.results[client][name] = self.once_more(client, name, found.results[client][name])
        for path, act in ((self.options.write, verdicts.write), (self.options.compare, verdicts.compare)):
            if path:
                self.tell(f"{os.path.basename(path)} says what was found", lambda: act(path, found))
        tally = self.tally
        print(f"{tally['PASS']} passed, {tally['FAIL']} failed, {tally['SKIP']} skipped")
        return 1 if tally["FAIL"] else 0

    def scenarios(self, protocol):
        command = [self.binary, "check", "client", protocol, "--list"]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return [name for name in names if any(fnmatch(name, glob) for glob in self.options.scenarios)]

    def note(self, found, client, tried):
        found.note(client, self.version(client), dict(tried))

    def version(self, client):
        """Raises Missing if it is not installed."""
        return self.libraries.once(f"{client.name}, its version", lambda: client.version(self.libraries))

    def verdict(self, client, name):
        """What `check client` says of a client in one scenario."""
        self.version(client)
        words = shlex.split(client.command(name).replace("{limit}", str(self.limit())))
        options = ["--json", "--patience", f"{self.options.patience}s"]
        command = [self.binary, "check", "client", client.protocol, name, *options, "--", *words]
        longest = 2 * self.options.patience + LONGEST
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=longest, cwd=HERE, env=self.environment()
        )
        if done.returncode not in (0, 1):
            raise Failure(f"{name}: status {done.returncode}: {done.stderr.strip()}")
        (result,) = json.loads(done.stdout)["results"]
        return name, result

    def once_more(self, client, name, before):
        result = self.verdict(client, name)[1]
        told = (f"{each['verdict']}: {each['reason']}" for each in (before, result))
        print(f"INFO {client.name}, {name}, tried once more: {'; then '.join(told)}", flush=True)
        return result

    def limit(self):
        """Longer than any delay, which is half of the patience, and shorter than that."""
        return self.options.patience * 3 // 4

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILCONSOLE")}
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "TMPDIR"), self.home)
        own = {**places, "NODE_PATH": self.libraries.node_modules()}
        return {**kept, **own, "CHECK_CLIENT_PATIENCE": str(self.limit())}

    def tell(self, name, act):
        try:
            verdict, why = "PASS", act() or ""
        except Missing as what:
            verdict, why = "FAIL" if self.options.require_all else "SKIP", str(what)
        except (Failure, subprocess.TimeoutExpired) as failure:
            verdict, why = "FAIL", str(failure)
        self.tally[verdict] += 1
        print(f"{verdict} {name}: {why}" if why else f"{verdict} {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
