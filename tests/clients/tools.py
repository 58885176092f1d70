"""Programs that are told in a configuration file or on the command line how to come to a server.

Each has a function that makes its configuration; what docs/clients.md shows is made by the same one.
"""

import base64
import os
import pty
import select
import subprocess
import time

import checks
from checks import Failure, find

PATIENCE = 60  # seconds that one client may take


def run(errand, command, data=b"", directory=None):
    """Runs a client in the errand's environment to its end; returns what it wrote to stdout."""
    return checks.run(*command, data=data, env=errand.environment(), cwd=directory or errand.home)


def run_on_a_terminal(errand, command):
    """Runs a client that wants a screen to its end; Failure if it is not content."""
    ours, theirs = pty.openpty()
    files = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    command = [find(command[0]), *map(str, command[1:])]
    environment = {**errand.environment(), "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **files)
    os.close(theirs)
    deadline, shown = time.monotonic() + PATIENCE, b""
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # the other end has gone
                    break
            elif process.poll() is not None:
                break
        else:
            raise Failure(f"{command[0]} did not end within {PATIENCE} s: {shown[-500:]!r}")
        if process.wait(PATIENCE) != 0:
            raise Failure(f"{command[0]} exited with {process.returncode}: {shown[-500:]!r}")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


# msmtp


def msmtprc(errand):
    lines = [f"host {errand.host}", f"port {errand.port}", f"from {errand.sender}"]
    if errand.user:
        # Without TLS, `on` finds PLAIN too weak.
        how = "plain" if errand.tls == "none" else "on"
        lines += [f"auth {how}", f"user {errand.user}", f"password {errand.password}"]
    return text_of(lines + tls_of_marlam(errand))


def tls_of_marlam(errand):
    """What msmtp and mpop, of one author, call it."""
    if errand.tls == "none":
        return ["tls off"]
    starttls = "on" if errand.tls == "starttls" else "off"
    return ["tls on", f"tls_starttls {starttls}", f"tls_trust_file {errand.authority}"]


def msmtp(errand):
    config = errand.file("msmtprc", "account default\n" + msmtprc(errand))
    run(errand, ["msmtp", "-C", config, errand.to], errand.text().encode())


# mutt


def muttrc(errand, service):
    login = f"{errand.user.replace('@', '%40')}@" if errand.user else ""
    scheme = service + ("s" if errand.tls == "implicit" else "")
    url = f"{scheme}://{login}{errand.host}:{errand.port}"
    lines = [f'set smtp_url="{url}"' if service == "smtp" else f'set pop_host="{url}"']
    if errand.user:
        lines += [f'set {service}_pass="{errand.password}"']
    if errand.tls == "none":
        lines += ["set ssl_force_tls=no"]
        # Otherwise it says EHLO, and gives up.
        without_ehlo = service == "smtp" and errand.way.profile == "rfc821"
        lines += ["set ssl_starttls=no"] * without_ehlo
    else:
        lines += [f'set ssl_ca_certificates_file="{errand.authority}"']
    return text_of(lines)


def mutt_sends(errand):
    more = f'set from="{errand.sender}"\nset copy=no\n'
    config = errand.file("muttrc", muttrc(errand, "smtp") + more)
    command = ["mutt", "-n", "-F", config, "-s", errand.subject, "--", errand.to]
    run(errand, command, b"Hello from mutt.\n")


def mutt_fetches(errand):
    spool = errand.file("spool", "")
    more = f'set spoolfile="{spool}"\nset pop_delete=yes\nset folder="{errand.home}"\nset move=no\n'
    config = errand.file("muttrc", muttrc(errand, "pop") + more)
    keys = "push <fetch-mail><sync-mailbox><exit>"
    run_on_a_terminal(errand, ["mutt", "-n", "-F", config, "-f", spool, "-e", keys])
    return read(spool)


# curl


def curl_command(errand, service):
    """What both ways need; what curl trusts stands in the environment."""
    scheme = service + ("s" if errand.tls == "implicit" else "")
    command = ["curl", f"{scheme}://{errand.host}:{errand.port}"]
    command += ["--ssl-reqd"] if errand.tls == "starttls" else []
    return command + (["--user", f"{errand.user}:{errand.password}"] if errand.user else [])


def curl_sends(errand, *more):
    letter = errand.file("letter", errand.text().replace("\n", "\r\n"))
    envelope = ["--mail-from", errand.sender, "--mail-rcpt", errand.to, "-T", letter]
    run(errand, [*curl_command(errand, "smtp"), *envelope, "-sS", "--max-time", 30, *more])


def curl_fetches(errand, *more):
    program, url, *rest = curl_command(errand, "pop3")
    return run(errand, [program, f"{url}/1", *rest, "-sS", "--max-time", 30, *more])


# swaks


def swaks_command(errand):
    command = ["swaks", "--server", errand.host, "--port", str(errand.port), "--to", errand.to]
    if errand.user:
        command += ["--auth", "--auth-user", errand.user, "--auth-password", errand.password]
    how = {"none": [], "starttls": ["--tls"], "implicit": ["--tlsc"]}[errand.tls]
    command += how
    return command + (["--tls-verify", "--tls-ca-path", errand.authority] if how else [])


def swaks(errand, mechanism=None):
    command = swaks_command(errand)
    if mechanism:
        command.insert(command.index("--auth") + 1, mechanism)
    more = ["--from", errand.sender, "--header", f"Subject: {errand.subject}", "--timeout", "20"]
    run(errand, [*command, *more])


# fetchmail


def fetchmailrc(errand):
    lines = [f"poll {errand.host} service {errand.port} protocol pop3"]
    lines += [f'    user "{errand.user}" password "{errand.password}"']
    if errand.tls == "implicit":
        lines += ["    ssl"]
    if errand.tls == "none":
        lines += ["    sslproto ''"]
    if errand.way.profile == "rfc821":
        lines += ["    fetchall"]  # otherwise it fetches with TOP
    return text_of(lines + [f'    sslcertfile "{errand.authority}"'] * (errand.tls != "none"))


def fetchmail(errand):
    got = os.path.join(errand.home, "got")
    more = f'    mda "cat >>{got}"\n'
    config = errand.file("fetchmailrc", fetchmailrc(errand) + more)
    private = ["--pidfile", f"{errand.home}/pid", "--idfile", f"{errand.home}/ids", "--timeout", 20]
    run(errand, ["fetchmail", "--silent", "-f", config, *private])
    return read(got)


# mpop


def mpoprc(errand):
    lines = [f"host {errand.host}", f"port {errand.port}"]
    lines += [f"user {errand.user}", f"password {errand.password}"]
    lines += ["auth user"] * (errand.tls == "none")
    return text_of(lines + tls_of_marlam(errand))


def mpop(errand):
    got = os.path.join(errand.home, "got")
    more = f"delivery mbox {got}\nuidls_file {errand.home}/uidls\n"
    config = errand.file("mpoprc", "account default\n" + mpoprc(errand) + more)
    run(errand, ["mpop", "-C", config])
    return read(got)


# getmail


def getmailrc(errand):
    kind = "SimplePOP3SSLRetriever" if errand.tls == "implicit" else "SimplePOP3Retriever"
    lines = ["[retriever]", f"type = {kind}", f"server = {errand.host}", f"port = {errand.port}"]
    lines += [f"username = {errand.user}", f"password = {errand.password}"]
    lines += [f"ca_certs = {errand.authority}"] * (errand.tls != "none")
    return text_of(lines)


def getmail(errand):
    got = os.path.join(errand.home, "got")
    more = '[destination]\ntype = MDA_external\npath = /bin/sh\n'
    more += f'arguments = ("-c", "cat >>{got}")\nallow_root_commands = true\n'
    config = errand.file("getmailrc", getmailrc(errand) + more)
    run(errand, ["getmail", "--rcfile", config, "--getmaildir", errand.home])
    return read(got)


# openssl


def openssl_command(errand, service):
    command = ["openssl", "s_client", "-quiet", "-crlf", "-connect", f"{errand.host}:{errand.port}"]
    command += ["-starttls", service] if errand.tls == "starttls" else []
    command += ["-CAfile", errand.authority, "-verify_return_error"]
    return command + ["-verify_hostname", errand.host]


def openssl_sends(errand):
    token = base64.b64encode(f"\0{errand.user}\0{errand.password}".encode()).decode()
    stuffed = errand.text().replace("\n.\n", "\n..\n")
    lines = ["EHLO openssl", f"AUTH PLAIN {token}", f"MAIL FROM:<{errand.sender}>"]
    lines += [f"RCPT TO:<{errand.to}>", "DATA", f"{stuffed}.", "QUIT"]
    run(errand, openssl_command(errand, "smtp"), text_of(lines).encode())


def openssl_fetches(errand):
    lines = [f"USER {errand.user}", f"PASS {errand.password}", "RETR 1", "QUIT"]
    return run(errand, openssl_command(errand, "pop3"), text_of(lines).encode())


def text_of(lines):
    return "".join(f"{line}\n" for line in lines)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
