#!/usr/bin/env python3
"""Mail clients and libraries as they come, against each profile of mailconsole.

    tests/clients/profiles.py BINARY [--only WORD] [--require-all] [--libraries DIR]
                              [--write PAGE | --compare PAGE]

One line for each client and way: `PASS name`, `FAIL name: why`, `SKIP name: what is missing`; then
a line that counts them. Exit status 1 if one failed. --write puts what was found into the tables of
docs/clients.md, --compare fails if they say something else; both leave alone what was skipped.
DIR (target/ci/clients) may have a Python venv and node_modules. Python 3.11; loopback only.
"""

import argparse
import os
import sys
import tempfile
import traceback
from dataclasses import replace

import page
from checks import Failure
from errands import WAYS
from evidence import checks_of_fetching, checks_of_sending, tail, transcript_of_client
from matrix import CLIENTS, REPOSITORY, Libraries, Missing
from mechanisms import FURTHER
from server import Server


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--only", default="", metavar="WORD", help="lines whose name has WORD")
    parser.add_argument("--require-all", action="store_true", help="what is missing is a failure")
    parser.add_argument("--libraries", default=f"{REPOSITORY}/target/ci/clients", metavar="DIR")
    parser.add_argument("--write", metavar="PAGE", help="put the tables into this page")
    parser.add_argument("--compare", metavar="PAGE", help="fail if its tables say something else")
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    os.makedirs(options.libraries, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mailconsole-profiles-") as home:
        return Run(options, home).everything()


class Run:
    """All clients, one after the other; remembers what was found."""

    def __init__(self, options, home):
        self.options, self.home = options, home
        self.libraries = Libraries(options.libraries)
        self.tally = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.found = page.Found()

    def everything(self):
        for client in CLIENTS:
            for name, way, service, errand in errands_of(client):
                if self.options.only in name:
                    verdict = self.tell(name, lambda: self.errand(client, way, service, errand))
                    self.found.note(client, way, service, verdict)
            self.found.version(client, self.libraries)
        for further in FURTHER:
            if self.options.only in further.name:
                self.tell(further.name, lambda: further.run(self))
        for path, act in ((self.options.write, page.write), (self.options.compare, page.compare)):
            if path:
                self.tell(f"{os.path.basename(path)} says what was found", lambda: act(path, self.found))
        tally = self.tally
        print(f"{tally['PASS']} passed, {tally['FAIL']} failed, {tally['SKIP']} skipped")
        return 1 if tally["FAIL"] else 0

    def errand(self, client, way, service, do):
        client.version(self.libraries)  # tells what is missing
        self.carry_out(way, service, lambda errand: do(self.libraries, errand), client)

    def carry_out(self, way, service, do, client=None, mechanism=None):
        """Starts a server, lets a client do one errand, and looks at what that has left."""
        subject = f"errand-{sum(self.tally.values())}"
        cannot = client.cannot.get(way) if client else None
        domain = client.domain if client else "localhost"
        data = os.path.join(self.home, "data")
        with tempfile.TemporaryDirectory(dir=self.home) as home:
            with Server(self.options.binary, way, home, data, domain) as server:
                errand = server.errand(service, subject)
                if service == "pop3":
                    server.deliver(subject)
                try:
                    got = do(errand)
                except Failure as failure:
                    if cannot and not server.mailbox():
                        return
                    transcript = transcript_of_client(server, errand)
                    raise Failure(f"{failure}; {tail(transcript)}") from None
                if cannot:
                    raise Failure(f"it {cannot}, and yet it did its errand")
                checks = checks_of_sending if service == "smtp" else checks_of_fetching
                checks(server, errand, got, mechanism)

    def must_refuse(self, way, do, line):
        """A client that trusts another authority fails, and the transcript says why."""
        with tempfile.TemporaryDirectory(dir=self.home) as home:
            data = os.path.join(self.home, "data")
            with Server(self.options.binary, way, home, data) as server:
                errand = server.errand("smtp", "not to be sent")
                stranger = server.authority_of_somebody_else()
                try:
                    do(replace(errand, authority=stranger, trust={"SSL_CERT_FILE": stranger}))
                except Failure:
                    server.wait_for(line)
                    return
        raise Failure("it trusts whom it does not know")

    def tell(self, name, act):
        verdict, why = outcome(act)
        if verdict == "SKIP" and self.options.require_all:
            verdict = "FAIL"
        self.tally[verdict] += 1
        print(f"{verdict} {name}: {why}" if why else f"{verdict} {name}", flush=True)
        return verdict


def errands_of(client):
    for service, verb, do, ways in (
        ("smtp", "sends", client.sends, client.sends_by),
        ("pop3", "fetches", client.fetches, client.fetches_by),
    ):
        for way in WAYS:
            if do and way in ways:
                verb_or_not = "is not served" if way in client.cannot else verb
                yield f"{client.name} {verb_or_not}: {way.name}", way, service, do


def outcome(act):
    try:
        act()
    except Missing as what:
        return "SKIP", str(what)
    except Failure as failure:
        return "FAIL", str(failure)
    except Exception as error:  # a library's own complaint is a finding like any other
        at = traceback.extract_tb(error.__traceback__)[-1]
        return "FAIL", f"{type(error).__name__}: {error} ({os.path.basename(at.filename)}:{at.lineno})"
    return "PASS", ""


if __name__ == "__main__":
    sys.exit(main())
