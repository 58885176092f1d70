#!/usr/bin/env python3
"""How much memory messages on their way in may take, over all sessions.

    tests/models/memory.py target/release/mailconsole [--sessions N] [--size OCTETS]

Many sessions are in the midst of DATA, each with a megabyte of text that has no end yet. The resident
size of the server stays below 64 MiB for texts and 100 MB for everything else, and falls when the
sessions are over. Needs as many descriptors as sessions, and disk space for all texts.
Exit status 1 if it takes more.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.dont_write_bytecode = True

import argparse  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

from models import foreign  # noqa: E402
from rules.checks import Off  # noqa: E402
from rules.console import Console, terminate_all  # noqa: E402

MOST = (64 << 20) + 100_000_000
MOST_BEHIND = 64_000_000  # more than before the load: what allocators may keep
PATIENCE = 20  # seconds until it has fallen


def resident(console):
    with open(f"/proc/{console.process.pid}/status", encoding="ascii") as status:
        (line,) = [line for line in status if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def load(console, sessions, size):
    """Sessions whose text has not ended."""
    line = b"x" * 62 + b"\r\n"
    text = line * (size // len(line))
    peers = []
    for _ in range(sessions):
        peer = console.smtp().hello().transaction("s@example.org", "u")
        peer.socket.sendall(text)
        peers.append(peer)
    return peers


def measure(console, sessions, size):
    before = resident(console)
    peers = load(console, sessions, size)
    most = resident(console)
    # Every fifth ends well, the others are cut off.
    for peer in peers[::5]:
        peer.send(b".\r\n")
        peer.expect("250 OK")
    for peer in peers:
        peer.close()
    deadline = time.monotonic() + PATIENCE
    while (behind := resident(console)) > before + MOST_BEHIND and time.monotonic() < deadline:
        time.sleep(0.2)
    megabytes = ", ".join(f"{octets / 1e6:.0f} MB {when}" for octets, when in ((before, "before"), (most, "under load"), (behind, "behind it")))
    if most > MOST:
        raise Off(f"it takes too much: {megabytes}")
    if behind > before + MOST_BEHIND:
        raise Off(f"it does not give back what it took: {megabytes}")
    return megabytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", nargs="?", default=os.environ.get("MAILCONSOLE_BINARY"))
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--size", type=int, default=1_000_000)
    options = parser.parse_args()
    if not options.binary:
        parser.error("name the mailconsole to test, or set MAILCONSOLE_BINARY")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="mailconsole-memory-") as directory:
        foreign.replace(os.path.join(directory, "u.mbox"), b"")
        try:
            with Console(options.binary, "smtp", "-p", "0", "--bind", "127.0.0.1", directory).listens("smtp") as console:
                print(f"PASS {measure(console, options.sessions, options.size)}")
        except (Off, OSError) as broken:
            print(f"FAIL {broken}")
            return 1
        finally:
            terminate_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
