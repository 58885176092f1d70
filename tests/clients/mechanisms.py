"""Each way to log in that a client can be told to use."""

from dataclasses import dataclass, replace
from typing import Callable

import tools
from errands import CATCH, ESMTP, STARTTLS, TLS_PORT, Way
from matrix import needs

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


def by_swaks(mechanism):
    return lambda errand: tools.swaks(errand, mechanism)


def by_curl(errand):
    return tools.curl_sends(errand, "--oauth2-bearer", errand.password)


def fetched_by_curl(login_options):
    return lambda errand: tools.curl_fetches(errand, "--login-options", login_options)


LOGINS = list(logins())
