"""The relay's way out: through a real Postfix, to hosts that fail at every stage, and with a real
name server to port 25 in a network of its own."""

import glob
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager

from checks import PATIENCE, Check, Failure, Skip, find, lf, same
from console import free_ports
from letters import LETTERS, PLAIN

LEFT = 75  # exit status when something is left in the queue


def relay(console, *options):
    """One run over the queue; its exit status and what it said."""
    command = [console.binary, "relay", console.directory, "--timeout", "5", *map(str, options)]
    return ended(command, console)


def ended(command, console):
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PATIENCE, env=console.environment, text=True
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[1]} did not end within {PATIENCE} s") from None
    return done.returncode, (done.stdout + done.stderr).strip()


def expect_relay(console, status, *options):
    got, words = relay(console, *options)
    if got != status:
        raise Failure(f"relay exited with {got}, not {status}: {words[-300:]}")
    return words


def queued(console):
    """What waits, as a script reads it."""
    _, words = ended([console.binary, "queue", console.directory, "--json"], console)
    return [json.loads(line) for line in words.splitlines()]


def drop_all(console):
    ended([console.binary, "queue", "drop", console.directory, "--all"], console)


def wait_for_port(port, process, host="127.0.0.1"):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"nothing listens on port {port}") from None
            time.sleep(0.02)


@contextmanager
def running(command, **options):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **quiet, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# A host that fails


@contextmanager
def sink(*faults):
    """smtp-sink on a port of its own."""
    (port,) = free_ports(1)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [find("smtp-sink"), *user, *faults, f"127.0.0.1:{port}", "10"]
    with running(command) as process:
        wait_for_port(port, process)
        yield port


def fails_at(faults, state, reply):
    """Whoever is sent to a host with these faults is in `state` afterwards, and why."""

    def check(console):
        console.submit(["friend@sink.example"], PLAIN.text)
        with sink(*faults) as port:
            words = expect_relay(console, LEFT, f"--route=sink.example=127.0.0.1:{port}")
        left = queued(console)
        drop_all(console)
        if len(left) != 1 or left[0]["state"] != state or left[0]["attempts"] != 1:
            raise Failure(f"it is {left}, not one {state} recipient; {words}")
        if reply not in left[0]["last_reply"]:
            raise Failure(f"the last reply is {left[0]['last_reply']!r}, without {reply!r}")

    return check


def recovers(console):
    """What was deferred goes when the host has recovered."""
    console.submit(["friend@sink.example"], PLAIN.text)
    with sink("-r", "DATA") as port:
        expect_relay(console, LEFT, f"--route=sink.example=127.0.0.1:{port}")
    with sink() as port:
        expect_relay(console, 0, f"--route=sink.example=127.0.0.1:{port}")
    same(queued(console), [], "the queue")


def many(console):
    """A thousand messages to one host leave nothing."""
    with sink() as port:
        for _ in range(1_000):
            console.submit(["friend@sink.example"], PLAIN.text)
        words = expect_relay(console, 0, f"--route=sink.example=127.0.0.1:{port}")
    if not words.startswith("1000 delivered"):
        raise Failure(words)


FAULTS = [
    ("refuses DATA for now", ["-r", "DATA"], "pending", "450 "),
    ("refuses RCPT for good", ["-f", "RCPT"], "failed", "500 "),
    ("refuses MAIL for now", ["-r", "MAIL"], "pending", "450 "),
    ("refuses the text for good", ["-f", "."], "failed", "500 "),
    ("hangs up at the dot", ["-q", "."], "pending", "connection"),
    ("hangs up at RCPT", ["-q", "RCPT"], "pending", "connection"),
    ("says 421 at MAIL", ["-Q", "MAIL"], "pending", "421 "),
    ("answers DATA too late", ["-W", "DATA:20"], "pending", "5 s"),
]


# Postfix

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = mx.mail.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
virtual_mailbox_domains = mail.example
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = inline:{{ {{ friend@mail.example = friend/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
message_size_limit = 20000000
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(*further):
    """A Postfix of our own, whose mail for friend@mail.example is in a maildir; its port."""
    if os.geteuid() != 0:
        raise Skip("Postfix must be started by root")
    (port,) = free_ports(1)
    home = tempfile.mkdtemp(prefix="mailconsole-postfix-")
    try:
        os.chmod(home, 0o755)
        for name in ("etc", "queue", "lib", "mail"):
            os.mkdir(os.path.join(home, name))
        nobody = pwd.getpwnam("nobody")
        os.chown(os.path.join(home, "mail"), nobody.pw_uid, nobody.pw_gid)
        os.chown(os.path.join(home, "lib"), pwd.getpwnam("postfix").pw_uid, -1)
        settings = {"home": home, "port": port, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
        for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
            with open(os.path.join(home, "etc", name), "w") as file:
                file.write(text.format(**settings))
        with open(os.path.join(home, "etc", "main.cf"), "a") as file:
            file.writelines(f"{line}\n" for line in further)
        control = [find("postfix"), "-c", os.path.join(home, "etc")]
        with running([*control, "start-fg"]) as process:
            try:
                wait_for_port(port, process)
                yield port, os.path.join(home, "mail", "friend")
            finally:
                subprocess.run([*control, "stop"], capture_output=True, timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


# Who brought it is the console's own client.
RECEIVED = re.compile(rb"Received: from \S+ \(\[[^]]+\]\) by localhost \(mailconsole\) [^\n]*\n")


def arrived(maildir, count):
    """The messages in a maildir, once there are `count`, from our own Received field on."""
    deadline = time.monotonic() + 30
    while len(files := glob.glob(os.path.join(maildir, "new", "*"))) < count:
        if time.monotonic() > deadline:
            raise Failure(f"{len(files)} of {count} messages have arrived")
        time.sleep(0.05)
    texts = []
    for path in files:
        with open(path, "rb") as file:
            text = file.read()
        if not (ours := RECEIVED.search(text)):
            raise Failure(f"a message has come without our Received field: {path}")
        texts.append(text[ours.end() :])
    return sorted(texts)


def through_postfix(*options):
    """What a real MTA takes from us is what was sent to us, to the byte."""

    def check(console):
        letters = [letter for letter in LETTERS if letter.has_headers() and letter.is_text()]
        for letter in letters:
            console.submit(["friend@mail.example"], letter.text)
        with postfix() as (port, maildir):
            expect_relay(console, 0, f"--route=mail.example=127.0.0.1:{port}", *options)
            got = arrived(maildir, len(letters))
        same(got, sorted(lf(letter.text) for letter in letters), "through Postfix")

    return check


ONE_CONNECTION = "smtpd_client_connection_count_limit = 1", "smtpd_client_event_limit_exceptions ="


def one_connection(host):
    """A host that takes one connection from each client gets all of the mail, and none fails."""

    def check(console):
        user = console.new_user()
        for _ in range(30):
            console.submit(["friend@mail.example"], PLAIN.text, f"{user}@localhost")
        with host() as (port, maildir):
            route = f"--route=mail.example=127.0.0.1:{port}"
            # It may still count a connection that has just ended: then some wait for the next run.
            for _ in range(5):
                relay(console, route, "--bounce")
                if not (left := queued(console)):
                    break
                if any(entry["state"] != "pending" for entry in left):
                    raise Failure(f"left in the queue is {left}")
            same(left, [], "the queue")
            arrived(maildir, 30)
        same(console.stored(user), [], "what the sender was told")

    return check


def postfix_refuses(console):
    """Its 550 for one of two recipients is told to the sender; the other one gets the mail."""
    user = console.new_user()
    recipients = ["friend@mail.example", "nobody-there@mail.example"]
    console.submit(recipients, PLAIN.text, f"{user}@localhost")
    with postfix() as (port, maildir):
        route = f"--route=mail.example=127.0.0.1:{port}"
        expect_relay(console, LEFT, route)
        left = queued(console)
        if [entry["state"] for entry in left] != ["failed"] or "5.1.1" not in left[0]["last_reply"]:
            raise Failure(f"left in the queue is {left}")
        ended([console.binary, "queue", "retry", console.directory, left[0]["id"]], console)
        expect_relay(console, 0, route, "--bounce")
        arrived(maildir, 1)
    (notification,) = console.stored(user)
    for words in (b"message/delivery-status", b"nobody-there@mail.example", b"Status: 5.1.1"):
        if words not in notification:
            raise Failure(f"the notification is without {words!r}: {notification[-600:]!r}")


# Exim

EXIM_CONF = """\
exim_path = {exim}
exim_user = {user}
exim_group = {group}
primary_hostname = mx.mail.example
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/exim.pid
smtp_accept_max_per_host = 1
domainlist ours = mail.example
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = rcpt
queue_only = false
smtp_accept_queue_per_connection = 0
never_users =

begin acl
rcpt:
  accept domains = +ours
  deny

begin routers
ours:
  driver = accept
  domains = +ours
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {home}/mail/friend
  create_directory
  delivery_date_add = false
  envelope_to_add = false
  return_path_add = false
  user = {user}
  group = {group}

begin retry
* * F,1h,1m
"""


def with_exim_user(home):
    """How to run an Exim whose package is only unpacked: it ends at once if its user is not known."""
    try:
        pwd.getpwnam("Debian-exim")
        return []
    except KeyError:
        pass
    steps = "exec"
    for name in ("passwd", "group"):
        own = os.path.join(home, name)
        shutil.copy(f"/etc/{name}", own)
        with open(own, "a") as file:
            file.write("Debian-exim:x:8:8::/:/bin/false\n" if name == "passwd" else "Debian-exim:x:8:\n")
        steps = f"mount --bind {own} /etc/{name} && {steps}"
    return [find("unshare"), "--mount", "sh", "-c", f'{steps} "$@"', "sh"]


@contextmanager
def exim():
    """An Exim of our own, whose mail for friend@mail.example is in a maildir; its port."""
    if os.geteuid() != 0:
        raise Skip("Exim must be started by root")
    (port,) = free_ports(1)
    home = tempfile.mkdtemp(prefix="mailconsole-exim-")
    try:
        os.chmod(home, 0o755)
        user = pwd.getpwnam("mail")
        for name in ("spool", "log", "mail"):
            os.mkdir(os.path.join(home, name))
            os.chown(os.path.join(home, name), user.pw_uid, user.pw_gid)
        settings = {"home": home, "port": port, "user": "mail", "group": "mail", "exim": find("exim4")}
        conf = os.path.join(home, "exim.conf")
        with open(conf, "w") as file:
            file.write(EXIM_CONF.format(**settings))
        command = [find("exim4"), "-C", conf, "-bdf", "-q1m"]
        with running([*with_exim_user(home), *command]) as process:
            wait_for_port(port, process)
            yield port, os.path.join(home, "mail", "friend")
    finally:
        shutil.rmtree(home, ignore_errors=True)


# Port 25 and MX records

OUTSIDE, INSIDE = "198.18.25.1", "198.18.25.2"


@contextmanager
def network():
    """Two network namespaces with a cable between them: how to run a program in each."""
    if os.geteuid() != 0:
        raise Skip("network namespaces are made by root")
    names = [f"mailconsole-{os.getpid()}-{side}" for side in ("a", "b")]
    ends = [f"mc{os.getpid()}a", f"mc{os.getpid()}b"]
    here, there = names
    try:
        steps = [f"netns add {name}" for name in names]
        steps += [f"-n {here} link add {ends[0]} type veth peer name {ends[1]} netns {there}"]
        for name, end, address in zip(names, ends, (OUTSIDE, INSIDE)):
            steps += [f"-n {name} addr add {address}/24 dev {end}"]
            steps += [f"-n {name} link set {device} up" for device in ("lo", end)]
        for step in steps:
            done = subprocess.run([find("ip"), *step.split()], capture_output=True, timeout=30)
            if done.returncode != 0:
                raise Skip(f"network namespaces are not permitted here: ip {step}")
        yield [[find("ip"), "netns", "exec", name] for name in names]
    finally:
        for name in names:
            subprocess.run([find("ip"), "netns", "del", name], capture_output=True, timeout=30)


ZONE = [
    f"--host-record=mx.domain.example,{INSIDE}",
    "--mx-host=domain.example,dead.domain.example,5",
    "--mx-host=domain.example,mx.domain.example,10",
    f"--host-record=dead.domain.example,{OUTSIDE[:-1]}77",
    f"--host-record=plain.example,{INSIDE}",
    "--mx-host=nullmx.example,.,0",
    "--mx-host=own.example,mx.own.example,10",
    f"--host-record=mx.own.example,{OUTSIDE}",
]


def by_mx_records(console):
    """A second-best MX, an implicit one, a null MX, a name that is not, and one that is ourselves."""
    with network() as (here, there):
        dnsmasq = [find("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts"]
        dnsmasq += ["--conf-file=/dev/null", "--user=root", "--pid-file="]
        dnsmasq += ["--listen-address", INSIDE, "--bind-interfaces", "--local=/example/", *ZONE]
        host = [find("smtp-sink"), "-u", "nobody", f"{INSIDE}:25", "10"]
        with running([*there, *dnsmasq]) as name_server, running([*there, *host]) as sink_there:
            wait_inside(here, 53, name_server)
            wait_inside(here, 25, sink_there)
            for domain in ("domain", "plain", "nullmx", "missing", "own"):
                console.submit([f"friend@{domain}.example"], PLAIN.text)
            command = [*here, console.binary, "relay", console.directory]
            command += ["--resolver", INSIDE, "--timeout", "5"]
            status, words = ended(command, console)
    left = {entry["recipient"]: entry for entry in queued(console)}
    drop_all(console)
    if status != LEFT or not words.startswith("2 delivered, 0 deferred, 3 failed"):
        raise Failure(f"status {status}: {words}")
    for domain, reason in (("nullmx", "null MX"), ("missing", "does not exist"), ("own", "loops")):
        reply = left[f"friend@{domain}.example"]["last_reply"]
        if reason not in reply:
            raise Failure(f"{domain}.example: {reply!r} is without {reason!r}")


def wait_inside(here, port, process):
    """As wait_for_port, from within the namespace."""
    connect = f"import socket; socket.create_connection(('{INSIDE}', {port}), 1)"
    deadline = time.monotonic() + 10
    while subprocess.run([*here, "python3", "-c", connect], capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"nothing listens on port {port} in the namespace")
        time.sleep(0.05)


def checks():
    for name, faults, state, reply in FAULTS:
        check = fails_at(faults, state, reply)
        yield Check(f"relay to a host that {name}", ("smtp-sink",), check)
    yield Check("relay to a host that has recovered", ("smtp-sink",), recovers)
    yield Check("relay of a thousand messages", ("smtp-sink",), many)
    yield Check("relay through Postfix", ("postfix",), through_postfix())
    yield Check("relay through Postfix with EHLO", ("postfix",), through_postfix("--ehlo"))
    limited = one_connection(lambda: postfix(*ONE_CONNECTION))
    yield Check("relay to a Postfix that takes one connection", ("postfix",), limited)
    yield Check("relay to an Exim that takes one connection", ("exim4",), one_connection(exim))
    yield Check("relay to somebody whom Postfix refuses", ("postfix",), postfix_refuses)
    needed = ("ip", "dnsmasq", "smtp-sink")
    yield Check("relay by MX records to port 25", needed, by_mx_records)
