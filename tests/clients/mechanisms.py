"""Each way to log in that a client can be told to use; and clients that trust nobody."""

import os
import sys
from dataclasses import dataclass, replace
from typing import Callable

import tools
from errands import CATCH, ESMTP, STARTTLS, TLS_PORT, WITH_TLS, Way
from matrix import PROGRAMS, needs

EVERY_LOGIN = replace(ESMTP, arguments=(*ESMTP.arguments, "--pop3-capabilities", "+SASL,+APOP"))


@dataclass(frozen=True)
class Login:
    """One program that logs in by one mechanism."""

    program: str
    mechanism: str  # as the client writes it
    way: Way
    service: str
    do: Callable

    @property
    def name(self):
        return f"{self.program} logs in by {self.mechanism}: {self.way.name}, {self.service}"

    def run(self, run):
        needs(self.program)
        run.carry_out(self.way, self.service, self.do, mechanism=self.mechanism)


def logins():
    for way in (CATCH, STARTTLS, TLS_PORT):
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
            yield Login("swaks", mechanism, way, "smtp", by_swaks(mechanism))
        for mechanism in ("XOAUTH2", "OAUTHBEARER"):
            # curl uses OAUTHBEARER if it can, whatever it is told.
            only = ("--auth-mechanisms", mechanism)
            only_way = replace(way, arguments=(*way.arguments, *only))
            yield Login("curl", mechanism, only_way, "smtp", by_curl)
    yield Login("curl", "AUTH PLAIN", EVERY_LOGIN, "pop3", fetched_by_curl("AUTH=PLAIN"))
    yield Login("curl", "APOP", EVERY_LOGIN, "pop3", fetched_by_curl("AUTH=+APOP"))


# Clients that do not know the authority: they must refuse, and the transcript must say why.


@dataclass(frozen=True)
class Distrust:
    """One program that has not been told whom to trust."""

    program: str
    do: Callable
    way: Way

    @property
    def name(self):
        return f"{self.program} does not trust an authority that it does not know: {self.way.name}"

    def run(self, run):
        needs(self.program)
        run.must_refuse(self.way, self.do, "TLS failed: client does not trust our certificate")


def distrusts():
    for way in WITH_TLS:
        yield Distrust("curl", tools.curl_sends, way)
        yield Distrust("openssl", tools.openssl_sends, way)
        yield Distrust("python3", python, way)


def python(errand):
    return tools.run(errand, [sys.executable, os.path.join(PROGRAMS, "python_smtplib.py")])


def by_swaks(mechanism):
    return lambda errand: tools.swaks(errand, mechanism)


def by_curl(errand):
    return tools.curl_sends(errand, "--oauth2-bearer", errand.password)


def fetched_by_curl(login_options):
    return lambda errand: tools.curl_fetches(errand, "--login-options", login_options)


FURTHER = [*logins(), *distrusts()]
