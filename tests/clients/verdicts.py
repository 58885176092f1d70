"""docs/clients-tested.md: its tables say what a run of tested.py has found."""

import re

import page
from checks import Failure
from commands import CLIENTS, FETCHING, SENDING

TABLES = (("sending", SENDING), ("fetching", FETCHING))
# What differs from run to run in a reason, and from machine to machine: times, and the client's name.
CHANGES = re.compile(r"\d+\.\d+(?= s\b)|(?<=\b[EH][HE]LO )(?!had |although )[^\s,]+", re.IGNORECASE)


# How a line of the failures begins.
FAILURE = re.compile(r"- `([^`]+)`, ([^:]+): ")


class Found:
    """What a run has found: for each client, each scenario's verdict and reason."""

    def __init__(self, names):
        self.names = names
        self.results, self.versions = {}, {}

    def note(self, client, version, results):
        self.results[client] = results
        self.versions[client] = version

    def of(self, protocol):
        return [client for client in CLIENTS if client.protocol == protocol and client in self.results]

    def table(self, protocol):
        clients = self.of(protocol)
        heads = [f"{client.name} {self.versions[client]}".strip() for client in clients]
        yield f"| scenario | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}\n"
        for name in self.names[protocol]:
            cells = [shown(self.results[client][name]["verdict"]) for client in clients]
            yield f"| `{name}` | {' | '.join(cells)} |\n"

    def failures(self, protocol):
        for name in self.names[protocol]:
            for client in self.of(protocol):
                result = self.results[client][name]
                if result["verdict"] == "fail":
                    yield failure(name, client.name, result["reason"])

    def tried(self, line):
        """Whether a line of the failures is of a client and a scenario that were tried."""
        name, client = FAILURE.match(line).groups()
        return any(each.name == client and name in results for each, results in self.results.items())

    def commands(self, protocol):
        for client in self.of(protocol):
            yield f"    # {client.name}\n" + "".join(f"    {command}\n" for command in client.commands())


def shown(verdict):
    return "**fail**" if verdict == "fail" else verdict


def failure(name, client, reason):
    return f"- `{name}`, {client}: {CHANGES.sub('…', reason)}.\n"


def write(path, found):
    if set(found.results) != set(CLIENTS):
        raise Failure("it can be written only when all clients were tried")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, protocol in TABLES:
        text = page.with_region(text, name, "".join(found.table(protocol)))
        text = page.with_region(text, f"failures of {name}", "".join(found.failures(protocol)))
        text = page.with_region(text, f"commands of {name}", "\n".join(found.commands(protocol)))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def differing(path, found):
    """The clients and scenarios of which the page says something else."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, protocol in TABLES:
        written = cells(page.region(text, name))
        lines = page.region(text, f"failures of {name}").splitlines(keepends=True)
        for client in found.of(protocol):
            for scenario, result in found.results[client].items():
                is_same = shown(result["verdict"]) == written.get((client.name, scenario))
                if result["verdict"] == "fail":
                    is_same = is_same and failure(scenario, client.name, result["reason"]) in lines
                if not is_same:
                    yield client, scenario


def compare(path, found):
    """What was not tried is left alone."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wrong = []
    for name, protocol in TABLES:
        written = cells(page.region(text, name))
        for client in found.of(protocol):
            for scenario, result in found.results[client].items():
                now, then = shown(result["verdict"]), written.get((client.name, scenario))
                if now != then:
                    wrong.append(f"{client.name}, {scenario}: {then}, now {now}: {result['reason']}")
        now = set(found.failures(protocol))
        lines = page.region(text, f"failures of {name}").splitlines(keepends=True)
        then = set(filter(found.tried, lines))
        wrong += [f"not there: {line.strip()}" for line in sorted(now - then)]
        wrong += [f"no more: {line.strip()}" for line in sorted(then - now)]
        commands = page.region(text, f"commands of {name}")
        wrong += [f"another command: {part}" for part in found.commands(protocol) if part not in commands]
    if wrong:
        raise Failure("; ".join(wrong) + ": use --write")


def cells(table):
    """By client, without its version, and scenario."""
    head, _, *rows = [row.strip("| \n").split(" | ") for row in table.splitlines()]
    names = sorted({client.name for client in CLIENTS}, key=len, reverse=True)
    clients = [next((name for name in names if cell.startswith(name)), cell) for cell in head]
    return {
        (client, row[0].strip("`")): cell for row in rows for client, cell in zip(clients[1:], row[1:])
    }
