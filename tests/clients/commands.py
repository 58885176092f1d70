"""The clients that `mailconsole check client` is tried on, and their commands.

Words in braces are those of `check client`; {limit} is how many seconds the client waits for a
reply, where it can be told. docs/clients-tested.md shows the commands as they stand here.
"""

from dataclasses import dataclass

import matrix

SENDING, FETCHING = "smtp", "pop3"
OF_RETR = ("cut-retr", "no-dot", "unstuffed", "lone-dot", "retr-later", "loop-retr", "pop-idle")


@dataclass(frozen=True)
class Client:
    """One client of one protocol."""

    name: str
    protocol: str
    plain: str
    # What stands in the place of the plain command where AUTH is offered, where STARTTLS is, and
    # where there are 101 recipients.
    login: str = ""
    tls: str = ""
    many: str = ""
    retr: str = ""  # and where the fault is one of RETR, which some say only if told to
    known_as: str = ""  # in matrix.py, if by another name

    def version(self, libraries):
        """Of what stands in matrix.py; raises Missing if that is not installed."""
        own = self.known_as or self.name
        return next((each.version(libraries).strip() for each in matrix.CLIENTS if each.name == own), "")

    def command(self, scenario):
        """With the plain one, `check client` itself says what the client does not come to."""
        own = {"auth": self.login, "tls": self.tls, "too": self.many}
        retr = self.retr if scenario in OF_RETR else ""
        return own.get(scenario.partition("-")[0]) or retr or self.plain

    def commands(self):
        """Each once, in the order of their scenarios."""
        return list(dict.fromkeys(filter(None, (self.plain, self.login, self.tls, self.many, self.retr))))


def shell(command, *words):
    """For what needs one; `"$@"` is the words behind the command."""
    return " ".join([f"sh -c '{command}' sh", *words])


def program(command, before):
    """A script beside this file, which is told the way that it goes."""
    begin = f"{command} {{host}} {{port}} {before}"
    rest = "{user} {password} {from} {message}"
    return {
        "plain": f"{begin}plain {rest} {{to}} {{to2}}",
        "login": f"{begin}login {rest} {{to}}",
        "tls": f"{begin}tls {rest} {{to}}",
        "many": f"{begin}plain {rest} {{to101}}",
    }


def curl(to="--mail-rcpt {to}", more=""):
    return f"curl -sS --crlf --mail-from {{from}} {to}{more} -T {{message}} smtp://{{host}}:{{port}}"


def msmtp(*to, more):
    own = "--file=/dev/null --host={host} --port={port} --from={from}"
    return shell(f'exec msmtp {own} {more} -- "$@" <{{message}}', *to)


def swaks(to="{to}", more=""):
    own = "--server {host} --port {port} --timeout {limit} --from {from}"
    return f"swaks {own} --to {to} --data @{{message}}{more}"


def mutt(*to, login="", more):
    own = f'set copy=no smtp_url="smtp://{login}{{host}}:{{port}}" {more}'
    return " ".join([f"mutt -n -F /dev/null -e '{own}' -H {{message}} --", *to])


LOGIN_OF_CURL = " --user {user}:{password}"
LOGIN_OF_MSMTP = '--user={user} --passwordeval="echo {password}"'
TLS_OF_MSMTP = '--tls=on --tls-trust-file="$MAILCONSOLE_CA"'
LOGIN_OF_SWAKS = " --auth PLAIN --auth-user {user} --auth-password {password}"
TLS_OF_SWAKS = '--tls --tls-verify --tls-ca-path "$MAILCONSOLE_CA"'
PASSWORD_OF_MUTT = 'smtp_pass="{password}"'

SENDERS = [
    Client(
        "a right client",
        SENDING,
        "python3 check_client.py none smtp {host} {port} {from} {message} {to} {to2}",
        many="python3 check_client.py none smtp {host} {port} {from} {message} {to101}",
    ),
    Client(
        "smtplib",
        SENDING,
        known_as="Python smtplib, poplib",
        **program("python3 programs/tested/smtplib_sends.py", "{limit} "),
    ),
    Client("nodemailer", SENDING, **program("node programs/tested/nodemailer_sends.js", "")),
    Client(
        "curl",
        SENDING,
        plain=curl("--mail-rcpt {to} --mail-rcpt {to2}"),
        login=curl(more=LOGIN_OF_CURL),
        tls=shell("exec " + curl(more=f'{LOGIN_OF_CURL} --ssl-reqd --cacert "$MAILCONSOLE_CA"')),
        many=shell("exec " + curl('$(printf " --mail-rcpt %s" "$@")'), "{to101}"),
    ),
    Client(
        "msmtp",
        SENDING,
        plain=msmtp("{to} {to2}", more="--tls=off"),
        login=msmtp("{to}", more=f"{LOGIN_OF_MSMTP} --auth=plain --tls=off"),
        tls=msmtp("{to}", more=f"{LOGIN_OF_MSMTP} --auth=on {TLS_OF_MSMTP}"),
        many=msmtp("{to101}", more="--tls=off"),
    ),
    Client(
        "swaks",
        SENDING,
        plain=swaks("{to},{to2}"),
        login=swaks(more=LOGIN_OF_SWAKS),
        tls=shell("exec " + swaks(more=f"{LOGIN_OF_SWAKS} {TLS_OF_SWAKS}")),
        many=shell("IFS=,; exec " + swaks('"$*"'), "{to101}"),
    ),
    # It takes the recipients of the message, too.
    Client(
        "mutt",
        SENDING,
        plain=mutt("{to2}", more="ssl_force_tls=no"),
        login=mutt(login="{user}@", more=f"{PASSWORD_OF_MUTT} ssl_force_tls=no"),
        tls=mutt(login="{user}@", more=f'{PASSWORD_OF_MUTT} ssl_ca_certificates_file="$MAILCONSOLE_CA"'),
        many=mutt("{to101}", more="ssl_force_tls=no"),
    ),
]

WORDS = "{host} {port} {limit} {user} {password} {out}"

FETCHERS = [
    Client(
        "a right client",
        FETCHING,
        f"python3 check_client.py none pop3 {WORDS.replace('{limit} ', '')}",
    ),
    Client(
        "poplib",
        FETCHING,
        f"python3 programs/tested/poplib_fetches.py {WORDS}",
        known_as="Python smtplib, poplib",
    ),
    Client(
        "curl",
        FETCHING,
        "curl -sS -m {limit} --fail-early --remove-on-error --user {user}:{password} "
        "-o {out}/list pop3://{host}:{port} -o {out}/#1 pop3://{host}:{port}/[1-3]",
    ),
    Client(
        "mpop",
        FETCHING,
        "mpop --file=/dev/null --host={host} --port={port} --timeout={limit} --tls=off --auth=user "
        "--user={user} --passwordeval='echo {password}' --uidls-file={out}/uidls --delivery=mbox,{out}/mbox",
    ),
    Client(
        "fetchmail",
        FETCHING,
        f"programs/tested/fetchmail.sh {WORDS}",
        retr=f"programs/tested/fetchmail.sh {WORDS} fetchall",
    ),
    Client("getmail", FETCHING, f"programs/tested/getmail.sh {WORDS}"),
    Client("mutt", FETCHING, f"python3 programs/tested/mutt_fetches.py {WORDS.replace('{limit} ', '')}"),
]
CLIENTS = SENDERS + FETCHERS
