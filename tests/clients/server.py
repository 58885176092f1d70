"""A mailconsole for one errand: in a directory of its own, on ports that the system chooses."""

import os
import re
import signal
import smtplib
import ssl
import subprocess
import threading
import time

from checks import Failure
from errands import HOST, PASSWORD, USER, Errand

PATIENCE = 20  # seconds for whatever the server does itself
LISTENING = re.compile(r"(\w+): listening on \S*:(\d+)\n")


class Server:
    """Runs while the `with` lasts."""

    def __init__(self, binary, way, home, data, domain="localhost"):
        self.binary, self.way, self.domain = os.path.abspath(binary), way, domain
        self.home, self.data = home, data
        self.directory = os.path.join(home, "mail")
        self.transcript_path = os.path.join(home, "transcript")

    def environment(self):
        """Settings of whoever runs this are not what is tested."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILCONSOLE")}
        return {**kept, "XDG_CONFIG_HOME": self.home, "XDG_DATA_HOME": self.data}

    def __enter__(self):
        command = [self.binary, "--no-tui", "-v", "--dir", self.directory, "--bind", "127.0.0.1"]
        command += ["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"]
        command += ["--profile", self.way.profile, "--domain", self.domain, *self.way.arguments]
        wanted = {"echo", "smtp", "pop3"}
        if self.way.tls != "none":
            command += ["--smtps-port", "0", "--pop3s-port", "0"]
            wanted |= {"smtps", "pop3s"}
        with open(self.transcript_path, "wb") as transcript:
            files = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": transcript}
            self.process = subprocess.Popen(command, env=self.environment(), text=True, **files)
        self.ports = {}
        try:
            self._listen(wanted)
        except Failure:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def _listen(self, wanted):
        # Whoever does not speak is ended; then the line that is waited for is an empty one.
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            while wanted - self.ports.keys():
                line = self.process.stdout.readline()
                if not line:
                    raise Failure(f"mailconsole does not listen: {self.transcript()[-400:]!r}")
                if listening := LISTENING.fullmatch(line):
                    self.ports[listening[1]] = int(listening[2])
        finally:
            watchdog.cancel()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def port(self, service):
        """The port on which `smtp` or `pop3` is met on this way."""
        return self.ports[service + "s" if self.way.tls == "implicit" else service]

    # What can be seen of it

    def transcript(self):
        with open(self.transcript_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, words):
        """Until the transcript has them."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.transcript():
            if time.monotonic() > deadline:
                raise Failure(f"no {words!r} in the transcript: {self.transcript()[-900:]!r}")
            time.sleep(0.02)

    def finished_transcript(self):
        """The transcript after the server has ended: nothing is missing."""
        self.__exit__()
        return self.transcript()

    def mailbox(self):
        try:
            with open(os.path.join(self.directory, f"{USER}.mbox"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def queue(self):
        """What is queued for other hosts."""
        queues = [os.path.join(self.directory, name) for name in ("mqueue", ".mqueue")]
        return [path for path in queues if os.path.isfile(path) and os.path.getsize(path)]

    # What is done beside the client

    def authority(self):
        """The path of the authority's certificate, and the variables that make programs trust it."""
        if self.way.tls == "none":
            return "", {}
        path = self._ca("path").strip()
        trust = dict(re.findall(r"(?m)^export (\w+)='(.*)'$", self._ca("env")))
        return path, trust

    def authority_of_somebody_else(self):
        """Another authority of the same kind."""
        return self._ca("path", XDG_DATA_HOME=os.path.join(self.home, "stranger")).strip()

    def _ca(self, order, **others):
        command, environment = [self.binary, "ca", order], {**self.environment(), **others}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode != 0:
            raise Failure(f"mailconsole ca {order}: {done.stderr.strip()}")
        return done.stdout

    def errand(self, service, subject):
        path, trust = self.authority()
        login = service == "pop3" or self.way.login
        user, password = (USER, PASSWORD) if login else ("", "")
        if self.way.profile == "catch":
            password = "whatever-is-configured"
            user = USER if service == "pop3" else "app@example.com"
        port = self.port(service)
        return Errand(
            self.way, service, port, user, password, path, subject, self.home, trust, domain=self.domain
        )

    def deliver(self, subject):
        """Puts a message into the mailbox, by SMTP."""
        errand = self.errand("smtp", subject)
        context = ssl.create_default_context(cafile=errand.authority or None)
        with smtplib.SMTP(HOST, self.ports["smtp"], timeout=PATIENCE) as client:
            if errand.tls != "none":
                client.starttls(context=context)
            if errand.user:
                client.login(errand.user, errand.password)
            client.sendmail(errand.sender, [errand.to], errand.text().replace("\n", "\r\n"))
