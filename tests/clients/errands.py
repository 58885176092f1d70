"""What a client is to do: which server it finds, and what it may need to know."""

import os
from dataclasses import dataclass, field

HOST = "localhost"
USER, PASSWORD = "linhphan", "Sesam0effne-dich"


@dataclass(frozen=True)
class Way:
    """How clients come to a profile of the server."""

    name: str
    profile: str
    tls: str = "none"  # or starttls (POP3: STLS), or implicit
    login: bool = False  # of those who send; those who fetch log in always
    to: str = f"{USER}@{{domain}}"
    arguments: tuple[str, ...] = ()  # of the server


RFC821 = Way("rfc821", "rfc821", arguments=("--user", USER, "--password", PASSWORD))
ESMTP = Way("esmtp", "esmtp", arguments=("--user", USER, "--password", PASSWORD))
CATCH = Way("catch", "catch", login=True, to="anna@example.com", arguments=("--user", USER))
STARTTLS = Way("submission", "submission", "starttls", True, arguments=("--user", f"{USER}:{PASSWORD}"))
TLS_PORT = Way("submission, TLS ports", "submission", "implicit", True, arguments=STARTTLS.arguments)
WAYS = (RFC821, ESMTP, CATCH, STARTTLS, TLS_PORT)
IN_THE_CLEAR = (RFC821, ESMTP, CATCH)
WITH_TLS = (STARTTLS, TLS_PORT)


@dataclass(frozen=True)
class Errand:
    """One message to be sent, or fetched, by one client."""

    way: Way
    service: str  # smtp or pop3
    port: int
    user: str  # empty: no login
    password: str
    authority: str  # path of the certificate that is to be trusted
    subject: str = ""
    home: str = ""  # a directory of its own
    trust: dict = field(default_factory=dict)  # what `mailconsole ca env` sets
    host: str = HOST
    sender: str = "sender@example.org"
    domain: str = "localhost"

    @property
    def to(self):
        return self.way.to.format(domain=self.domain)

    @property
    def tls(self):
        return self.way.tls

    def environment(self):
        """What the programs beside this file read, and nothing of whoever runs this."""
        kept = ("PATH", "LANG", "LC_ALL", "TERM")
        own = {name: os.environ[name] for name in kept if name in os.environ}
        own["HOME"] = self.home
        own.update(self.trust if self.tls != "none" else {})
        for name in ("host", "port", "tls", "user", "password", "to", "subject"):
            own[f"MAIL_{name.upper()}"] = str(getattr(self, name))
        own["MAIL_FROM"] = self.sender
        return own

    def text(self):
        """The message, for clients that send what they are given; LF line ends."""
        fields = f"From: {self.sender}\nTo: {self.to}\nSubject: {self.subject}\n"
        return f"{fields}\nHello.\n.\nA dot stood alone.\n"

    def file(self, name, text):
        """The path of a new file that only its owner may read, as programs demand for passwords."""
        path = os.path.join(self.home, name)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path
