"""The clients: what each can do, how it is run, what it needs, and its version."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Callable

import tools
from checks import Failure, find
from errands import CATCH, IN_THE_CLEAR, RFC821, TLS_PORT, WAYS, WITH_TLS

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(HERE, "programs")
JAKARTA = ":".join(
    f"/usr/share/java/{name}.jar" for name in ("jakarta-mail", "jakarta-activation")
)
PHPMAILER = "/usr/share/php/libphp-phpmailer"
BUILDING = 420  # seconds that a compiler may take


class Missing(Exception):
    """Something is not installed, and what."""


class Libraries:
    """Where the libraries are, and what is compiled of the programs; everything is made once."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.made = {}

    def python(self):
        """A Python that may have more modules than ours."""
        own = os.path.join(self.directory, "venv", "bin", "python")
        return own if os.path.exists(own) else sys.executable

    def python_module(self, module, package):
        self.once(module, lambda: said(f"pip install {package}", [self.python(), "-c", f"import {module}"]))
        return self.python()

    def node_modules(self):
        return os.path.join(self.directory, "node_modules")

    def once(self, name, make):
        """What `make` returns; what it raises it raises for every client that needs it."""
        if name not in self.made:
            try:
                self.made[name] = make(), None
            except (Failure, Missing) as error:
                self.made[name] = None, error
        value, error = self.made[name]
        if error:
            raise error
        return value

    def go_program(self):
        target = os.path.join(self.directory, "net_smtp")
        self.once("go", lambda: built(["go", "build", "-o", target, f"{PROGRAMS}/net_smtp.go"]))
        return target

    def java_classes(self):
        target = os.path.join(self.directory, "classes")
        command = ["javac", "-cp", JAKARTA, "-d", target, f"{PROGRAMS}/JakartaMail.java"]
        self.once("java", lambda: built(command))
        return target

    def lettre_test(self):
        return self.once("lettre", self._lettre_test)

    def _lettre_test(self):
        command = ["cargo", "test", "--locked", "--test", "lettre", "--no-run"]
        messages = built([*command, "--message-format", "json"]).splitlines()
        paths = [json.loads(line).get("executable") for line in messages if line.startswith(b"{")]
        return next(path for path in reversed(paths) if path and "lettre" in path)


def built(command):
    try:
        done = subprocess.run(command, capture_output=True, timeout=BUILDING, cwd=REPOSITORY)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not end within {BUILDING} s") from None
    if done.returncode != 0:
        raise Failure(f"{command[0]}: {done.stderr.decode('utf-8', 'replace').strip()[-500:]}")
    return done.stdout


def needs(program, package=None):
    if not find(program):
        raise Missing(f"{program} is not installed (Debian: {package or program})")


def needs_file(path, package):
    if not os.path.exists(path):
        raise Missing(f"{path} is missing (Debian: {package})")


def said(hint, command, environment=None):
    """What a program prints; where it prints is its own affair."""
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    if done.returncode != 0:
        raise Missing(f"a package is missing: {hint}")
    return done.stdout + done.stderr


# How the libraries are run: each function gets the libraries and an errand.


def interpreted(language, file):
    def run(_, errand):
        return tools.run(errand, [language, os.path.join(PROGRAMS, file)])

    return run


def python(module, package, file):
    def run(libraries, errand):
        interpreter = libraries.python_module(module, package) if package else sys.executable
        return tools.run(errand, [interpreter, os.path.join(PROGRAMS, file)])

    return run


def node(libraries, errand):
    with_modules = ["env", f"NODE_PATH={libraries.node_modules()}"]
    return tools.run(errand, [*with_modules, "node", os.path.join(PROGRAMS, "nodemailer.js")])


def go(libraries, errand):
    return tools.run(errand, [libraries.go_program()])


def java(order):
    def run(libraries, errand):
        command = ["java", "-cp", f"{libraries.java_classes()}:{JAKARTA}"]
        if errand.tls != "none":
            store = os.path.join(errand.home, "trust.p12")
            import_it = ["keytool", "-importcert", "-noprompt", "-alias", "mailconsole"]
            place = ["-file", errand.authority, "-keystore", store, "-storepass", "changeit"]
            tools.run(errand, [*import_it, *place])
            command += [f"-Djavax.net.ssl.trustStore={store}"]
            command += ["-Djavax.net.ssl.trustStorePassword=changeit"]
        return tools.run(errand, [*command, "JakartaMail", order])

    return run


def lettre(libraries, errand):
    name = "lettre_sends_as_the_environment_says"
    command = [libraries.lettre_test(), "--ignored", "--exact", name]
    if b"1 passed" not in tools.run(errand, command, directory=REPOSITORY):
        raise Failure(f"there is no test {name}")


def tool(function):
    return lambda _, errand: function(errand)


# The versions


def first_number(*command, package=None):
    def version(_):
        needs(command[0], package)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return re.search(r"\d+(\.\d+)*", done.stdout + done.stderr)[0]

    return version


def of_python(_):
    return ".".join(map(str, sys.version_info[:3]))


def of_module(module, package):
    code = f"import importlib.metadata as m; print(m.version('{package}'))"

    def version(libraries):
        return said(f"pip install {package}", [libraries.python_module(module, package), "-c", code])

    return version


def of_nodemailer(libraries):
    needs("node", "nodejs")
    code = "console.log(require('nodemailer/package.json').version)"
    place = {"NODE_PATH": libraries.node_modules()}
    return said("npm install nodemailer", ["node", "-e", code], place)


def of_phpmailer(_):
    needs("php", "php-cli")
    needs_file(PHPMAILER, "libphp-phpmailer")
    with open(f"{PHPMAILER}/src/PHPMailer.php", encoding="utf-8") as file:
        return re.search(r"const VERSION = '([\d.]+)'", file.read())[1]


def of_jakarta(_):
    needs("javac", "default-jdk-headless")
    for path in JAKARTA.split(":"):
        needs_file(path, "libjakarta-mail-java")
    names = " ".join(os.listdir("/usr/share/java"))
    return re.search(r"\bjakarta-mail-([\d.]+)\.jar", names)[1]


def of_lettre(_):
    needs("cargo")
    with open(os.path.join(REPOSITORY, "Cargo.lock"), encoding="utf-8") as file:
        return re.search(r'name = "lettre"\nversion = "([\d.]+)"', file.read())[1]


# The table


@dataclass(frozen=True)
class Client:
    """`sends` and `fetches` do an errand; `fetches` returns what it got."""

    name: str
    version: Callable
    sends: Callable | None = None
    fetches: Callable | None = None
    # The ways it can go.
    sends_by: tuple = WAYS
    fetches_by: tuple = WAYS
    # What it must fail at, and why: docs/clients.md says so, and the run holds it.
    cannot: dict = field(default_factory=dict)
    # A setting that it needs, in a few words, by way.
    setting: dict = field(default_factory=dict)
    fetching_setting: dict = field(default_factory=dict)
    domain: str = "localhost"  # the server's, of those that refuse addresses at localhost
    note: str = ""
    file: str = ""  # in programs/, of which docs/clients.md shows a part
    fetching_file: str = ""
    configuration: Callable | None = None  # for docs/clients.md, from an errand
    fetching_configuration: Callable | None = None


NO_TLS_OF_MUTT = dict.fromkeys(IN_THE_CLEAR, "`ssl_force_tls=no`")
HELO_OF_MUTT = {RFC821: "`ssl_force_tls=no ssl_starttls=no`"}

CLIENTS = [
    Client(
        "Python smtplib, poplib",
        of_python,
        sends=python("smtplib", "", "python_smtplib.py"),
        fetches=python("poplib", "", "python_poplib.py"),
        file="python_smtplib.py",
        fetching_file="python_poplib.py",
    ),
    Client(
        "aiosmtplib",
        of_module("aiosmtplib", "aiosmtplib"),
        sends=python("aiosmtplib", "aiosmtplib", "python_aiosmtplib.py"),
        file="python_aiosmtplib.py",
    ),
    Client(
        "Django",
        of_module("django", "Django"),
        sends=python("django", "Django", "django_mail.py"),
        file="django_mail.py",
    ),
    Client("nodemailer", of_nodemailer, sends=node, file="nodemailer.js"),
    Client(
        "PHPMailer",
        of_phpmailer,
        sends=interpreted("php", "phpmailer.php"),
        domain="mail.test",
        file="phpmailer.php",
        note="It refuses addresses at `localhost` itself: start mailconsole with `--domain mail.test`, "
        "and send to `linhphan@mail.test`. `catch` needs no `--domain`.",
    ),
    Client("Go net/smtp", first_number("go", "version", package="golang-go"), sends=go, file="net_smtp.go"),
    Client(
        "Ruby Net::SMTP, Net::POP3",
        first_number("ruby", "--version"),
        sends=interpreted("ruby", "net_smtp.rb"),
        fetches=interpreted("ruby", "net_pop.rb"),
        fetches_by=(*IN_THE_CLEAR, TLS_PORT),
        file="net_smtp.rb",
        fetching_file="net_pop.rb",
    ),
    Client(
        "Jakarta Mail",
        of_jakarta,
        sends=java("send"),
        fetches=java("fetch"),
        file="JakartaMail.java",
        note="The trust store is made with `keytool -importcert -noprompt -alias mailconsole -file "
        '"$(mailconsole ca path)" -keystore trust.p12 -storepass changeit`.',
    ),
    Client(
        "lettre",
        of_lettre,
        sends=lettre,
        cannot={RFC821: "says EHLO only"},
        file="../../lettre.rs",
        note="With the features `rustls`, `ring` and `rustls-native-certs` it trusts `SSL_CERT_FILE`.",
    ),
    Client(
        "msmtp",
        first_number("msmtp", "--version"),
        sends=tool(tools.msmtp),
        setting={CATCH: "`auth plain`"},
        configuration=tools.msmtprc,
        note="Without TLS, `auth on` finds PLAIN too weak: say `auth plain`.",
    ),
    Client(
        "mutt",
        first_number("mutt", "-v"),
        sends=tool(tools.mutt_sends),
        fetches=tool(tools.mutt_fetches),
        setting={**NO_TLS_OF_MUTT, **HELO_OF_MUTT},
        fetching_setting=NO_TLS_OF_MUTT,
        configuration=lambda errand: tools.muttrc(errand, "smtp"),
        fetching_configuration=lambda errand: tools.muttrc(errand, "pop"),
        note="mutt 2.2 demands TLS unless `ssl_force_tls` is `no`. To send without EHLO (`rfc821`) it needs "
        "`set ssl_starttls=no` too.",
    ),
    Client(
        "curl",
        first_number("curl", "--version"),
        sends=tool(tools.curl_sends),
        fetches=tool(tools.curl_fetches),
        configuration=lambda errand: shell(tools.curl_command(errand, "smtp")),
        fetching_configuration=lambda errand: shell(tools.curl_command(errand, "pop3")),
        note="`CURL_CA_BUNDLE` or `--cacert` names the authority.",
    ),
    Client(
        "swaks",
        first_number("swaks", "--version"),
        sends=tool(tools.swaks),
        configuration=lambda errand: shell(tools.swaks_command(errand)),
    ),
    Client(
        "fetchmail",
        first_number("fetchmail", "-V", "-f", "/dev/null"),
        fetches=tool(tools.fetchmail),
        fetching_setting={**dict.fromkeys(IN_THE_CLEAR, "`sslproto ''`"), RFC821: "`sslproto '' fetchall`"},
        note="It demands TLS unless `sslproto` is empty. Without TOP (`rfc821`) it needs `fetchall`.",
        fetching_configuration=tools.fetchmailrc,
    ),
    Client(
        "mpop",
        first_number("mpop", "--version"),
        fetches=tool(tools.mpop),
        fetching_setting=dict.fromkeys(IN_THE_CLEAR, "`auth user`"),
        note="Without TLS it finds every way to log in too weak: say `auth user`; where SASL is offered "
        "(`--pop3-capabilities +SASL`), `auth plain` does as well.",
        fetching_configuration=tools.mpoprc,
    ),
    Client(
        "getmail",
        first_number("getmail", "--version", package="getmail6"),
        fetches=tool(tools.getmail),
        fetches_by=(*IN_THE_CLEAR, TLS_PORT),
        fetching_configuration=tools.getmailrc,
    ),
    Client(
        "openssl s_client",
        first_number("openssl", "version"),
        sends=tool(tools.openssl_sends),
        fetches=tool(tools.openssl_fetches),
        sends_by=WITH_TLS,
        fetches_by=WITH_TLS,
        configuration=lambda errand: shell(tools.openssl_command(errand, "smtp")),
        fetching_configuration=lambda errand: shell(tools.openssl_command(errand, "pop3")),
        note="`-quiet` also keeps it from taking a line that begins with R or Q for an order of its own.",
    ),
]


def shell(command):
    """A command as it is typed."""
    return " ".join(command) + "\n"
