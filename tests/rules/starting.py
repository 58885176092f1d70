"""Ways to start the program, its options, and the errors that a user meets (protocol 7)."""

import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time

from rules.checks import Beside, check, holds, same, table
from rules.console import RUNNING, clean_environment, eventually, free_port, limited, mbox, read, write
from rules.peer import EchoPeer, SmtpPeer
from rules.smtp import LETTER


def end_of(hall, *arguments, status, words=(), env=None, **options):
    """Runs to the end; the exit status, and one sentence on stderr that has the words."""
    done = subprocess.run(
        [hall.binary, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
        env=clean_environment(**(env or {})), **options,
    )
    said = done.stderr.decode()
    what = f"{arguments}: exit {done.returncode}, stdout {done.stdout.decode()!r}, stderr {said!r}"
    holds(done.returncode == status, f"{what}; due: exit {status}")
    for word in words:
        holds(re.search(word, said), f"{what}; lacks {word!r}")
    if status:
        same(said.count("\n"), 1, f"{what}; lines on stderr")
        same(done.stdout, b"", f"{what}; stdout")
    return said


ERRORS = "protocol 7.4: one sentence that names the thing, the reason and the remedy, on stderr, exit status 2 for wrong use"


@table(ERRORS, [
    (f"start: mailconsole {' '.join(arguments)} is wrong use", arguments, words)
    for arguments, words in (
        (["--nonsense"], ["--nonsense"]), (["nonsense"], ["nonsense"]), (["smtp", "--nonsense", "d"], ["--nonsense"]),
        (["echo", "-p", "65536"], ["65536"]), (["echo", "-p", "-1"], ["-1|-p"]), (["echo", "-p", "x"], ["x"]), (["echo", "-p"], ["-p|--port"]),
        (["smtp"], ["[Dd]irectory|DIR"]), (["pop3"], ["[Dd]irectory|DIR"]), ([], ["--dir"]), (["--no-tui"], ["--dir"]),
        (["--dir", "d", "--no-tui", "--bind", "nowhere"], ["nowhere"]), (["--dir", "d", "--no-tui", "--idle", "x"], ["x"]),
        (["--dir", "d", "--no-tui", "--idle", "-1"], ["-1|--idle"]), (["--dir", "d", "--no-tui", "--max-message", "lots"], ["lots"]),
        (["--dir", "d", "--no-tui", "--max-connections", "many"], ["many"]), (["--dir", "d", "--no-tui", "--relay-from", "x"], ["--relay-from"]),
        (["--dir", "d", "--no-tui", "--smtp-port", "99999"], ["99999"]), (["check"], ["check|echo"]), (["check", "imap"], ["imap"]),
        (["check", "echo", "x"], ["x"]), (["echo", "extra"], ["extra"]), (["smtp", "d", "extra"], ["extra"]),
        (["--config", "/nonexistent/config.toml", "echo", "-p", "0"], ["/nonexistent/config.toml"]),
    )
])
def _(hall, arguments, words):
    end_of(hall, *arguments, status=2, words=words)


@table("protocol 7.3: `--user NAME`: makes NAME.mbox; files 2.1: a plain file name", [
    (f"start: --user {name!r} is refused", name) for name in ("../x", "a/b", ".x", "mqueue", "", "x" * 65, "a b")
])
def _(hall, name):
    directory = hall.directory()
    said = subprocess.run(
        [hall.binary, "--no-tui", "--dir", directory, "--user", name, "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, env=clean_environment())
    holds(said.returncode in (1, 2) and said.stderr.count(b"\n") == 1, f"exit {said.returncode}, stderr {said.stderr!r}")
    same(os.listdir(directory), [], "files in the directory")


FAILURES = "protocol 7.4: Errors a user meets … exit status 1 for a failure"


@table(FAILURES, [
    (f"start: {show} {where}", where, arguments)
    for where, arguments in (("for smtp", ["smtp", "-p", "0"]), ("for pop3", ["pop3", "-p", "0"]),
                             ("for all", ["--no-tui", "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0", "--dir"]))
    for show in ("DIR is missing",)
])
def _(hall, where, arguments):
    end_of(hall, *arguments, os.path.join(hall.home, "missing"), status=1, words=["missing", "--user"])


@check("start: DIR is a file", FAILURES)
def _(hall):
    path = os.path.join(hall.home, "afile")
    write(path, b"")
    end_of(hall, "smtp", "-p", "0", path, status=1, words=[re.escape(path), "not a directory|no directory"])


@check("start: DIR is not writable", FAILURES)
def _(hall):
    directory = hall.directory("u")
    with hall.nobody("smtp", "-p", "0", "--dir", directory, mode=0o555) as console:
        same(console.ended(), 1, f"{console.said}: the exit status")
        holds(len(console.said) == 1 and "writ" in console.said[0], f"stderr {console.said}")


@check("start: no terminal", "protocol 7.4: no terminal (suggest `--no-tui`)")
def _(hall):
    end_of(hall, "--dir", hall.directory("u"), status=2, words=["terminal", "--no-tui"])


@check("start: a DIR without a mailbox is a warning", "protocol 7.3: a warning that says how to make one: mailboxes may come later")
def _(hall):
    console, directory = hall.own(users=())
    with console:
        console.wait_for(lambda: console.said, "the warning")
        holds("--user" in console.said[0] or ".mbox" in console.said[0], f"stderr {console.said}")
        write(mbox(directory, "later"), b"")
        console.smtp().hello().transaction("s@example.org", "later").text(b"x\r\n")


def port_in_use(hall, server, arguments, flag):
    """A port that somebody else has: the sentence names the port, the flag and the holder."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = end_of(hall, *[port if a == "PORT" else a for a in arguments], status=1,
                      words=[rf"\b{port}\b", f"(^|[^\\w-]){flag}\\b", rf"\b{os.getpid()}\b"])
        holds("in use" in said, f"stderr {said!r}")


@table("protocol 7.4: port in use (which port, which flag changes it, and which process holds it where that can be read)", [
    (f"start: the port is in use, {show}", server, arguments, flag)
    for show, server, arguments, flag in (
        ("echo alone", "echo", ["echo", "-p", "PORT"], "-p"), ("smtp alone", "smtp", ["smtp", "-p", "PORT", "DIR"], "-p"),
        ("pop3 alone", "pop3", ["pop3", "-p", "PORT", "DIR"], "-p"),
        ("echo of three", "echo", ["--no-tui", "--dir", "DIR", "--echo-port", "PORT", "--smtp-port", "0", "--pop3-port", "0"], "--echo-port"),
        ("smtp of three", "smtp", ["--no-tui", "--dir", "DIR", "--echo-port", "0", "--smtp-port", "PORT", "--pop3-port", "0"], "--smtp-port"),
        ("pop3 of three", "pop3", ["--no-tui", "--dir", "DIR", "--echo-port", "0", "--smtp-port", "0", "--pop3-port", "PORT"], "--pop3-port"),
    )
])
def _(hall, server, arguments, flag):
    directory = hall.directory("u")
    port_in_use(hall, server, [directory if a == "DIR" else a for a in arguments], flag)


@check("start: two servers cannot have one port", FAILURES)
def _(hall):
    port = free_port()
    end_of(hall, "--no-tui", "--dir", hall.directory("u"), "--echo-port", port, "--smtp-port", port, "--pop3-port", "0",
           status=1, words=[str(port)])


@check("start: either all servers run or none", "protocol 1.1: All listeners are bound before anything else starts: either all servers run or none")
def _(hall):
    directory = os.path.join(hall.home, hall.word())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        end_of(hall, "--no-tui", "--dir", directory, "--user", "u", "--echo-port", "0", "--smtp-port", "0",
               "--pop3-port", holder.getsockname()[1], status=1)


@check("start: an address that is not of this machine", FAILURES)
def _(hall):
    end_of(hall, "echo", "-p", "0", "--bind", "203.0.113.7", status=1, words=["203.0.113.7", "--bind"])


@table("protocol 7.2: `-a` shows the author on stderr, which then exits 0; default `Mail Console / mailconsole`", [
    (f"start: -a {' '.join(arguments)}", arguments, wanted)
    for arguments, wanted in (
        (["-a"], "Mail Console / mailconsole\n"), (["echo", "-a"], "Mail Console / mailconsole\n"),
        (["smtp", "-a"], "Mail Console / mailconsole\n"), (["pop3", "-a"], "Mail Console / mailconsole\n"),
        (["smtp", "-a", "/nonexistent"], "Mail Console / mailconsole\n"), (["-a", "--author", "Ann Other / ann"], "Ann Other / ann\n"),
        (["echo", "-a", "--author", "Ann Other / ann"], "Ann Other / ann\n"), (["echo", "-p", "1", "-v", "-a"], "Mail Console / mailconsole\n"),
        (["--dir", "/nonexistent", "-a"], "Mail Console / mailconsole\n"),
    )
])
def _(hall, arguments, wanted):
    same(end_of(hall, *arguments, status=0), wanted, "stderr")


@check("start: --author stands in the echo greeting", "protocol 2.1: the words of --author")
def _(hall):
    with hall.run("echo", "-p", "0", "--author", "Ann Other / ann") as console:
        peer = console.listens("echo").echo(greeted=False)
        peer.expect("+OK Server ready (Author: Ann Other / ann)")


@table("protocol 7.1: `mailconsole echo|smtp|pop3`: the server alone", [
    (f"start: {server} alone", server, others) for server, others in (("echo", ()), ("smtp", ("DIR",)), ("pop3", ("DIR",)))
])
def _(hall, server, others):
    directory = hall.directory("u")
    with hall.run(server, "-p", "0", *[directory for _ in others]) as console:
        getattr(console.listens(server), server)().alive()
        same(set(console.ports), {server}, "the servers that listen")
        console.signal(signal.SIGTERM)
        console.ended()


@table("protocol 1.1: default port 10000, 2500, 11000", [
    (f"start: the default port of {server} is {port}", server, port) for server, port in (("echo", 10000), ("smtp", 2500), ("pop3", 11000))
])
def _(hall, server, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Beside(f"port {port} is taken") from None
    with hall.run(server, *([] if server == "echo" else [hall.directory("u")])) as console:
        console.listens(server)
        same(console.ports[server], port, "the port")


@check("start: --user makes the mailbox and DIR", "protocol 7.3: `--user NAME` (repeatable: makes NAME.mbox if it is missing; DIR too)")
def _(hall):
    directory = os.path.join(hall.home, hall.word(), "deep")
    with hall.start("--dir", directory, "--user", "a", "--user", "b") as console:
        console.listens("smtp")
        names = sorted(name for name in os.listdir(directory) if name.endswith(".mbox"))
        same(names, ["a.mbox", "b.mbox"], "the mailboxes")
        same(read(mbox(directory, "a")), b"", "a.mbox")
        holds(stat.S_ISREG(os.lstat(mbox(directory, "a")).st_mode), "not a regular file")


@check("start: --user leaves a mailbox that exists", "protocol 7.3: makes NAME.mbox if it is missing")
def _(hall):
    directory = hall.directory("u")
    write(mbox(directory, "u"), b"From a@b Wed Sep 17 11:00:00 2025\nx\n\n")
    with hall.start("--dir", directory, "--user", "u") as console:
        same(console.listens("pop3").pop3().login("u").everything(), [b"x\r\n"], "the mailbox")


class BoundTwice(EchoPeer):
    greeting = "+OK Server ready (Author: Bound / twice)"


@check("start: --bind, repeated", "protocol 1.1: `--bind ADDR` (repeatable)")
def _(hall):
    arguments = ["--author", "Bound / twice", "--bind", "127.0.0.2", "--bind", "127.0.0.3"]
    with hall.run("echo", "-p", "0", *arguments) as console:
        console.listens("echo")
        console.wait_for(lambda: len(console.places) == 2, "two listeners")
        same(sorted(place for _, place, _ in console.places), ["127.0.0.2", "127.0.0.3"], "the addresses")
        for _, place, port in console.places:
            BoundTwice(port, host=place).alive()
        # Another program may have the same port there.
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as other:
                greeting = other.recv(512)
        except OSError:
            return
        holds(b"Bound / twice" not in greeting, "it listens on 127.0.0.1 too")


@table("protocol 7.2: flag over environment over file", [
    (f"config: {show}", flag, env, file, wanted)
    for show, flag, env, file, wanted in (
        ("the file alone", None, None, "F / f", "F / f"), ("the environment alone", None, "E / e", None, "E / e"),
        ("a flag alone", "A / a", None, None, "A / a"), ("environment over file", None, "E / e", "F / f", "E / e"),
        ("flag over environment", "A / a", "E / e", None, "A / a"), ("flag over file", "A / a", None, "F / f", "A / a"),
        ("flag over both", "A / a", "E / e", "F / f", "A / a"), ("none", None, None, None, "Mail Console / mailconsole"),
    )
])
def _(hall, flag, env, file, wanted):
    home = hall.directory()
    settings = {"XDG_CONFIG_HOME": home}
    if file:
        os.mkdir(os.path.join(home, "mailconsole"))
        write(os.path.join(home, "mailconsole", "config.toml"), f'author = "{file}"\n'.encode())
    if env:
        settings["MAILCONSOLE_AUTHOR"] = env
    flags = ["--author", flag] if flag else []
    same(end_of(hall, "-a", *flags, status=0, env=settings), wanted + "\n", "stderr")


@check("config: --config names another file", "protocol 7.2: `--config`")
def _(hall):
    path = os.path.join(hall.directory(), "other.toml")
    write(path, b'author = "O / o"\n')
    same(end_of(hall, "-a", "--config", path, status=0), "O / o\n", "stderr")


@check("config: the file below HOME", "protocol 7.2: default `$XDG_CONFIG_HOME/mailconsole/config.toml` (~/.config where it is unset)")
def _(hall):
    home = hall.directory()
    os.makedirs(os.path.join(home, ".config", "mailconsole"))
    write(os.path.join(home, ".config", "mailconsole", "config.toml"), b'author = "H / h"\n')
    same(end_of(hall, "-a", status=0, env={"HOME": home}), "H / h\n", "stderr")


@table("protocol 7.2: Every option that a user would set twice can stand in a config file", [
    (f"config: {key} in the {place}", place, key)
    for key in ("users", "password", "domain", "max-message", "bind", "dir") for place in ("file", "environment")
])
def _(hall, place, key):
    directory = os.path.join(hall.home, hall.word())
    values = {"users": (["cfg"], "user"), "password": ("secret", "password"), "domain": ("cfg.example", "domain"),
              "max-message": ("10", "max-message"), "bind": (["127.0.0.4"], "bind"), "dir": (directory, "dir")}
    value, name = values[key]
    env, arguments = {}, ["--user", "u"]
    if place == "file":
        path = os.path.join(hall.directory(), "c.toml")
        write(path, f"{name} = {value!r}\n".replace("'", '"').encode())
        arguments += ["--config", path]
    else:
        env["MAILCONSOLE_" + name.upper().replace("-", "_")] = value if isinstance(value, str) else ",".join(value)
    if key == "users":
        arguments = arguments[2:]
    if key != "dir":
        arguments += ["--dir", directory]
    with hall.start(*arguments, env=env) as console:
        console.listens("smtp", "pop3")
        host = "127.0.0.4" if key == "bind" else "127.0.0.1"
        user = "cfg" if key == "users" else "u"
        domain = "cfg.example" if key == "domain" else "localhost"
        peer = console.smtp(host=host, greeted=False)
        peer.expect(f"220 {domain} *")
        peer.say("HELO c", f"250 {domain}")
        peer.say("MAIL FROM:<>", "250 OK")
        peer.say(f"RCPT TO:<{user}@{domain}>", "250 OK")
        peer.say("DATA", "354 *")
        peer.text(b"12345678901234\r\n", "552 *" if key == "max-message" else "250 OK")
        pop3 = console.pop3(host=host, greeted=False)
        pop3.expect("+OK POP3 ready [*")
        pop3.login(user, "secret" if key == "password" else "cis505")
        holds(os.path.exists(mbox(directory, user)), "no mailbox in DIR")


@table("protocol 7.4: Errors a user meets: one sentence that names the thing", [
    (f"config: {show}", content, words)
    for show, content, words in (
        ("a file that is no TOML", b"smtp-port = = 1\n", ["bad.toml"]), ("an unknown name in it", b"smtp-prot = 1\n", ["bad.toml", "smtp-prot"]),
        ("a wrong type in it", b'smtp-port = "x"\n', ["bad.toml", "smtp-port|x"]), ("a port too large in it", b"smtp-port = 70000\n", ["bad.toml|smtp-port"]),
        ("a file that is not UTF-8", b"\xff\xfe", ["bad.toml"]),
    )
])
def _(hall, content, words):
    path = os.path.join(hall.directory("u"), "bad.toml")
    write(path, content)
    end_of(hall, "--no-tui", "--dir", hall.directory("u"), "--config", path, status=2, words=words)


@table("protocol 7.4: Errors a user meets: exit status 2 for wrong use", [
    (f"config: MAILCONSOLE_{name}={value} is wrong use", name, value)
    for name, value in (("SMTP_PORT", "x"), ("IDLE", "soon"), ("MAX_MESSAGE", "-"), ("BIND", "nowhere"))
])
def _(hall, name, value):
    end_of(hall, "--no-tui", "--dir", hall.directory("u"), status=2, words=[value], env={f"MAILCONSOLE_{name}": value})


@check("start: --help and --version", "protocol 7.2: both write to stdout and exit with 0")
def _(hall):
    for flags in (["--help"], ["-h"], ["--version"], ["smtp", "--help"], ["check", "--help"]):
        done = subprocess.run([hall.binary, *flags], capture_output=True, timeout=30, env=clean_environment())
        holds(done.returncode == 0 and done.stdout and not done.stderr, f"{flags}: exit {done.returncode}, stderr {done.stderr!r}")


ECHO_CHECK = """\
S: +OK Server ready (Author: Mail Console / mailconsole)<CR><LF> [OK]
C: ECHO Hello world!<CR><LF>
S: +OK Hello world!<CR><LF> [OK]
C: BLAH<CR><LF>
S: -ERR Unknown command<CR><LF> [OK]
C: ECH
C: O blah<CR><LF>EC
S: +OK blah<CR><LF> [OK]
C: HO blubb<CR><LF>ECHO xyz<CR><LF>
S: +OK blubb<CR><LF> [OK]
S: +OK xyz<CR><LF> [OK]
C: QUIT<CR><LF>
S: +OK Goodbye!<CR><LF> [OK]
"""


def tester(hall, server, port):
    return subprocess.run([hall.binary, "check", server, str(port)], capture_output=True, timeout=60, env=clean_environment())


@check("check: echo prints its conversation", "protocol 8.1: the form; protocol 8.2: the conversation, complete")
def _(hall):
    done = tester(hall, "echo", hall.shared.ports["echo"])
    same((done.returncode, done.stdout.decode()), (0, ECHO_CHECK), "exit status and output")


@check("check: smtp, then pop3", "protocol 8.3: smtp; protocol 8.4: pop3 after the smtp tester has run once on an empty mailbox")
def _(hall):
    console, directory = hall.own(users=("linhphan",))
    with console:
        for server in ("smtp", "pop3"):
            done = tester(hall, server, console.ports[server])
            holds(done.returncode == 0 and b"[OK]" in done.stdout and b"[Exp" not in done.stdout, f"{server}: {done.stdout.decode()}")
        same(read(mbox(directory, "linhphan")), b"", "the mailbox in the end")


@check("check: exit status 1 if anything is off", "protocol 8.1: exit status 1 if anything was off")
def _(hall):
    done = tester(hall, "echo", hall.shared.ports["pop3"])
    holds(done.returncode == 1 and b"[Expected: '" in done.stdout, f"exit {done.returncode}: {done.stdout.decode()}")


@check("check: exit status 3 where nobody listens", "protocol 8.1: stops with an error where it cannot connect, and a status of its own for that")
def _(hall):
    done = tester(hall, "smtp", free_port())
    holds(done.returncode == 3 and done.stderr.count(b"\n") == 1, f"exit {done.returncode}: {done.stderr!r}")


@check("limits: --max-connections", "protocol 1.7: Over `--max-connections`: one line of the protocol's busy reply, then close")
def _(hall):
    console, _ = hall.own("--max-connections", "3")
    with console:
        taken = [console.echo(), console.smtp(), console.pop3()]
        for server, busy in (("echo", "-ERR *"), ("smtp", "421 *"), ("pop3", "-ERR *")):
            over = getattr(console, server)(greeted=False)
            over.expect(busy)
            over.ends()
        for peer in taken:
            peer.alive()
        taken[0].say("QUIT", "+OK Goodbye!")
        taken[0].ends()
        for _ in range(100):
            again = console.smtp(greeted=False)
            if again.line().startswith(b"220"):
                return again.alive()
        holds(False, "a connection that has ended is still counted")


@check("limits: the soft limit of descriptors is raised to the hard one", "protocol 1.7: the soft limit is raised to the hard one at start")
def _(hall):
    console, _ = hall.own(before=limited(resource.RLIMIT_NOFILE, 64, 512))
    with console:
        limits = open(f"/proc/{console.process.pid}/limits").read()
        holds(re.search(r"Max open files +512 +512", limits), limits)


@check("limits: out of descriptors", "protocol 1.7: Out of descriptors: accepting pauses and resumes, no spinning, no exit")
def _(hall):
    console, _ = hall.own(before=limited(resource.RLIMIT_NOFILE, 48))
    with console:
        peers = []
        for _ in range(100):
            try:
                peers.append(console.echo(greeted=False))
            except OSError:
                break
        before = processor_time(console)
        time.sleep(1)
        holds(processor_time(console) - before < 0.5, "it spins")
        for peer in peers:
            peer.close()
        console.echo().alive().close()
        console.smtp().hello().transaction("s@example.org", "u").text(b"x\r\n")


def processor_time(console):
    fields = open(f"/proc/{console.process.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@check("limits: 2,000 idle connections", "protocol 1.7: 10,000 connections at once where the descriptor limit allows", alone=True)
def _(hall):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2200:
        raise Beside("the limit of descriptors is too low")
    console, _ = hall.own()
    with console:
        peers = [console.pop3(greeted=False) for _ in range(2000)]
        for peer in peers:
            peer.expect(peer.greeting)
        peers[0].alive()
        peers[-1].alive()
        grown = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{console.process.pid}/status").read())[1])
        holds(grown < 16 * 2000 + 40_000, f"{grown} KiB for 2,000 idle connections")
        for peer in peers:
            peer.close()


@check("limits: a line of 64 MB needs no memory", "protocol 1.4: discarded in constant memory", alone=True)
def _(hall):
    console, _ = hall.own()
    with console:
        for peer in (console.echo(), console.smtp(), console.pop3()):
            for _ in range(16):
                peer.socket.sendall(b"x" * (1 << 20) * 4)
            peer.send("\r\n")
            peer.expect(peer.too_long)
            peer.alive()
        peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{console.process.pid}/status").read())[1])
        holds(peak < 60_000, f"{peak} KiB at most")


@table("protocol 7.1: `mailconsole smtp [-p PORT] [-a] [-v] DIR`; protocol 7.2: options in any order", [
    (f"start: smtp {' '.join(arguments)}", arguments)
    for arguments in (["-p", "0", "DIR"], ["DIR", "-p", "0"], ["-p0", "-v", "DIR"], ["-v", "DIR", "-p=0"], ["--port", "0", "DIR"],
                      ["--port=0", "--", "DIR"], ["-p", "0", "--dir", "DIR"], ["-p", "0", "DIR/"])
])
def _(hall, arguments):
    directory = hall.directory("u")
    with hall.run("smtp", *[a.replace("DIR", directory) for a in arguments]) as console:
        console.listens("smtp").smtp().hello().transaction("s@example.org", "u").text(b"x\r\n")
        holds(read(mbox(directory, "u")), "nothing was stored")


@table("protocol 7.2: Every option that a user would set twice can stand in a config file and in the environment", [
    (f"config: the port of {server} in the {place}, {how}", server, place, how)
    for server in ("echo", "smtp", "pop3") for place in ("file", "environment") for how in ("of three", "alone")
])
def _(hall, server, place, how):
    port, directory = free_port(), hall.directory("u")
    env, arguments = {}, ["--bind", "127.0.0.1"]
    if place == "file":
        path = os.path.join(directory, "c.toml")
        write(path, f"{server}-port = {port}\n".encode())
        arguments += ["--config", path]
    else:
        env[f"MAILCONSOLE_{server.upper()}_PORT"] = str(port)
    if how == "alone":
        arguments = [server, *arguments, *([] if server == "echo" else [directory])]
    else:
        others = [f"--{other}-port=0" for other in ("echo", "smtp", "pop3") if other != server]
        arguments = ["--no-tui", "--dir", directory, *others, *arguments]
    with hall.run(*arguments, env=env) as console:
        same(console.listens(server).ports[server], port, "the port")


@table("protocol 3.7: --max-message: K, M and G are understood", [
    (f"config: --max-message {word}", word, octets) for word, octets in (("1K", 1024), ("1k", 1024), ("2000", 2000))
])
def _(hall, word, octets):
    console, _ = hall.own("--max-message", word)
    with console:
        for size, wanted in ((octets, "250 OK"), (octets + 1, "552 *")):
            console.smtp().hello().transaction("s@example.org", "u").text(b"x" * (size - 2) + b"\r\n", wanted)


@table("protocol 6.5: a reader that stops must not stop the servers", [
    (f"start: {show}", redirection, verbose)
    for show, redirection, verbose in (
        ("stdout is closed", ">&-", ""), ("stderr is closed under -v", "2>&-", "-v"), ("stdout is full", ">/dev/full", ""),
        ("stderr is full under -v", "2>/dev/full", "-v"), ("stdin, stdout and stderr are closed", "<&- >&- 2>&-", "-v"),
    )
])
def _(hall, redirection, verbose):
    port, directory = free_port(), hall.directory("u")
    command = f'exec "$0" --no-tui --dir "$1" --bind 127.0.0.1 --echo-port 0 --smtp-port {port} --pop3-port 0 {verbose} {redirection}'
    process = subprocess.Popen(["sh", "-c", command, hall.binary, directory], env=clean_environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    RUNNING.add(process)
    try:
        eventually(lambda: answers(port), "listening")
        SmtpPeer(port).hello().transaction("s@example.org", "u").text(b"x\r\n").close()
        content = read(mbox(directory, "u"))
        holds(re.fullmatch(rb"From <s@example.org> [^\n]*\nx\r\n\n", content), f"the mailbox: {content!r}")
        same(process.poll(), None, "the exit status")
    finally:
        process.kill()
        process.wait()
        RUNNING.discard(process)


def answers(port):
    try:
        SmtpPeer(port).close()
    except OSError:
        return False
    return True


@check("start: the reader of stderr goes away", "protocol 6.5: a reader that stops must not stop the servers")
def _(hall):
    console = hall.start("--dir", hall.directory("u"), "-v", read_stderr=False)
    with console:
        console.listens("echo")
        console.process.stderr.close()
        for _ in range(3):
            console.echo().alive().close()
        console.signal(signal.SIGTERM)
        console.ended()


@check("check: smtp and pop3 print their conversations", "protocol 8.3 and 8.4: the conversations; protocol 8.1: the form")
def _(hall):
    console, _ = hall.own(users=("linhphan",))
    text = [line.decode() for line in LETTER.split(b"\r\n")[:-1]]
    smtp = ["S: 220 localhost mailconsole service ready", "C: HELO tester", "S: 250 localhost", "C: MAIL FROM:<benjamin.franklin@localhost>",
            "S: 250 OK", "C: RCPT TO:<linhphan@localhost>", "S: 250 OK", "C: RCPT TO:<nonexistent.mailbox@localhost>", "S: 550 *", "C: DATA",
            "S: 354 Start mail input; end with <CRLF>.<CRLF>", *[f"C: {line}" for line in text], "C: .", "S: 250 OK", "C: QUIT",
            "S: 221 localhost Service closing transmission channel"]
    pop3 = ["S: +OK POP3 ready [localhost]", "C: USER linhphan", "S: +OK*", "C: PASS cis505", "S: +OK*", "C: STAT", "S: +OK 1 264", "C: BLAH",
            "S: -ERR Not supported", "C: RETR 1", "S: +OK*", *[f"S: {line}" for line in text], "S: .", "C: DELE 1", "S: +OK*", "C: QUIT", "S: +OK*"]
    with console:
        for server, wanted in (("smtp", smtp), ("pop3", pop3)):
            came = tester(hall, server, console.ports[server]).stdout.decode().splitlines()
            same(len(came), len(wanted), f"{came}: the number of lines")
            for line, due in zip(came, wanted):
                due = re.escape(due).replace(r"\*", ".*") + "<CR><LF>" + (r" \[OK\]" if due.startswith("S") else "")
                holds(re.fullmatch(due, line), f"{server}: {line!r} is not {due!r}")
