"""docs/clients.md: its tables say what a run has found, its settings are those of the run."""

import os
import re
import subprocess

from checks import Failure
from errands import CATCH, STARTTLS, TLS_PORT, USER, WAYS, Errand
from matrix import CLIENTS, PROGRAMS, Missing

SHOWN = re.compile(r"[^\n]*shown in docs/clients\.md: from here\n(.*?)\n[^\n]*to here\n", re.DOTALL)
LANGUAGES = {"py": "python", "js": "javascript", "rb": "ruby", "rs": "rust"}  # others are named as they end
PORTS = {("smtp", False): 2500, ("smtp", True): 4650, ("pop3", False): 11000, ("pop3", True): 9950}
AUTHORITY = "/home/me/.local/share/mailconsole/ca/ca.pem"


class Found:
    """What a run has found: a word for each cell, and the versions."""

    def __init__(self):
        self.cells = {}
        self.versions = {}

    def note(self, client, way, service, verdict):
        good = f"no: {client.cannot[way]}" if way in client.cannot else "yes"
        bad = "yes" if way in client.cannot else "fails"
        if verdict != "SKIP":
            self.cells[client.name, way.name, service] = good if verdict == "PASS" else bad

    def version(self, client, libraries):
        try:
            self.versions[client.name] = client.version(libraries).strip()
        except (Missing, Failure, TypeError, subprocess.SubprocessError):
            pass  # it was skipped

    def rows(self, service):
        """One row for each client of which every way was tried."""
        for client in CLIENTS:
            ways = ways_of(client, service)
            cells = [self.cells.get((client.name, way.name, service)) for way in ways]
            if ways and None not in cells and client.name in self.versions:
                yield client, [self.cell(client, way, service) for way in WAYS]

    def cell(self, client, way, service):
        if way not in ways_of(client, service):
            return "-"
        found = self.cells[client.name, way.name, service]
        own = client.setting if service == "smtp" else client.fetching_setting
        setting = own.get(way)
        return f"{found}, with {setting}" if setting and found == "yes" else found


def ways_of(client, service):
    if service == "smtp":
        return client.sends_by if client.sends else ()
    return client.fetches_by if client.fetches else ()


# The page


def write(path, found):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, service in (("sending", "smtp"), ("fetching", "pop3")):
        committed = committed_rows(text, name)
        committed.update(rows_of(found, service))
        order = [client.name for client in CLIENTS if client.name in committed]
        text = with_region(text, name, header() + "".join(committed[each] for each in order))
    text = with_region(text, "settings", settings())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def compare(path, found):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, service in (("sending", "smtp"), ("fetching", "pop3")):
        committed = committed_rows(text, name)
        if unknown := committed.keys() - {client.name for client in CLIENTS}:
            raise Failure(f"it has rows of clients that are not tried: {unknown}")
        for client, row in rows_of(found, service).items():
            if without_version(committed.get(client, "")) != without_version(row):
                raise Failure(f"it has {committed.get(client)!r}, the run found {row!r}: use --write")
    if region(text, "settings") != settings():
        raise Failure("its settings are not those of the run: use --write")


def rows_of(found, service):
    return {
        client.name: f"| {client.name} | {found.versions[client.name]} | {' | '.join(cells)} |\n"
        for client, cells in found.rows(service)
    }


def header():
    names = ["client", "version", *(f"`{way.profile}`{how(way)}" for way in WAYS)]
    return f"| {' | '.join(names)} |\n|{' --- |' * len(names)}\n"


def how(way):
    return {"none": "", "starttls": ", STARTTLS or STLS", "implicit": ", TLS ports"}[way.tls]


def committed_rows(text, name):
    rows = region(text, name).splitlines(keepends=True)[2:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def without_version(row):
    cells = row.split(" | ")
    return cells[:1] + cells[2:]


def bounds(text, name):
    begin = re.search(rf"<!-- {name}: made by tests/clients/\w+\.py -->\n", text)
    end = f"<!-- end of {name} -->\n"
    if not begin or end not in text:
        raise Failure(f"the page has no place for {name}")
    return begin.end(), text.index(end)


def region(text, name):
    start, stop = bounds(text, name)
    return text[start:stop]


def with_region(text, name, content):
    start, stop = bounds(text, name)
    return text[:start] + content + text[stop:]


# The settings


def settings():
    return "\n".join(part for client in CLIENTS for part in settings_of(client))


def settings_of(client):
    yield f"### {client.name}\n"
    if client.note:
        yield f"{client.note}\n"
    for file in filter(None, (client.file, client.fetching_file)):
        yield block(LANGUAGES.get(ending := file.rpartition(".")[2], ending), shown_part(file))
    for service, configure in (
        ("smtp", client.configuration),
        ("pop3", client.fetching_configuration),
    ):
        if configure:
            ways = [way for way in (CATCH, STARTTLS, TLS_PORT) if way in ways_of(client, service)]
            parts = [f"# {way.name}\n{configure(example(way, service))}" for way in ways]
            yield block("", "\n".join(parts))


def example(way, service):
    """An errand as a reader has it."""
    user, password = (USER, "anything" if way is CATCH else "secret")
    port = PORTS[service, way.tls == "implicit"]
    return Errand(way, service, port, user, password, AUTHORITY if way.tls != "none" else "", "hello")


def shown_part(file):
    with open(os.path.normpath(os.path.join(PROGRAMS, file)), encoding="utf-8") as source:
        text = SHOWN.search(source.read())[1]
    lines = text.split("\n")
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "".join(f"{line[indent:]}\n" for line in lines)


def block(language, text):
    return f"```{language}\n{text}```\n"
