"""Programs that read and write mbox files themselves: each reads what mailconsole wrote, and
mailconsole serves what each has written, changed or is just writing.

They do not agree on quoting. mailconsole and mutt's copies are mboxrd. procmail and Python quote
`From ` and leave `>From ` (mboxo), Dovecot quotes nothing; what mailconsole then cannot know is
not tested.
"""

import mailbox
import os
import poplib
import pty
import pwd
import re
import select
import signal
import smtplib
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import from_lines
from checks import PATIENCE, Check, Failure, Skip, crlf, find, lf, run, same
from console import PASSWORD, Wire, delete_from, fetched_from, free_ports, quoted
from letters import LETTERS, PLAIN

SENDER = "sender@example.org"
COUNTED = "=="  # around mutt's count of messages
# Header fields in which programs keep their notes about a message.
NOTES = re.compile(
    rb"(?m)^(Status|X-Status|X-Keywords|X-UID|X-IMAPbase|X-IMAP|Content-Length|Lines):[^\n]*\n"
)


def readable():
    """Letters that a mail reader takes for messages."""
    return [each for each in LETTERS if each.has_headers() and each.is_text()]


def mboxo():
    """Letters that survive a writer that does not quote `>From `."""
    return [each for each in readable() if not re.search(rb"(?m)^>+From ", each.text)]


def unquotable():
    """Letters that survive a writer that quotes nothing."""
    return [each for each in mboxo() if not re.search(rb"(?m)^From .*\d{4}\r$", each.text)]


def texts_of(letters):
    return [letter.text for letter in letters]


def without_notes(text):
    head, blank, body = text.partition(b"\n\r\n")
    return NOTES.sub(b"", head + b"\n")[:-1] + blank + body


def served(console, user):
    return [without_notes(text) for text in console.fetched(user)]


def filled(console, letters):
    user = console.new_user()
    for letter in letters:
        console.send([user], letter.text, SENDER)
    return user


# Python


def python_reads(console):
    letters = [*LETTERS]
    user = filled(console, letters)
    box = mailbox.mbox(console.mailbox(user), create=False)
    want = [quoted(ended(letter.text)) for letter in letters]
    same([box.get_bytes(key) for key in box.keys()], want, "Python's mailbox.mbox")


def ended(text):
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"


def python_writes(console):
    user = console.new_user()
    box = mailbox.mbox(console.mailbox(user), create=False)
    box.lock()
    for letter in mboxo():
        box.add(lf(letter.text))
    box.close()
    same(console.fetched(user), texts_of(mboxo()), "RETR")


# mutt


def mutt(console, user, *functions):
    """Runs mutt on a mailbox, in a terminal of its own, and has it perform its functions."""
    return mutt_on(console.mailbox(user), console.directory, *functions)


def mutt_on(path, folder, *functions):
    """The same for any file; returns what mutt has drawn."""
    keys = "".join(functions)
    with tempfile.TemporaryDirectory() as home:
        rc = os.path.join(home, "muttrc")
        with open(rc, "w", encoding="ascii") as file:
            file.write(
                "set mbox_type=mbox copy=yes delete=yes quit=yes\n"
                "set confirmappend=no confirmcreate=no move=no mark_old=no beep=no\n"
                f"set folder={folder} status_format='{COUNTED}%m{COUNTED}'\n"
            )
        command = [find("mutt"), "-n", "-F", rc, "-f", path]
        environment = {**os.environ, "HOME": home, "TERM": "xterm"}
        return in_a_terminal([*command, "-e", f'push "{keys}"'], environment)


def in_a_terminal(command, environment):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    screen, deadline = b"", time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                screen += os.read(ours, 65_536)
            elif process.poll() is not None:
                break
    except OSError:  # the terminal is gone because the program has ended
        pass
    finally:
        os.close(ours)
    try:
        status = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        status = "no end"
    if status != 0:
        raise Failure(f"{command[0]}: status {status}; its screen ends in {screen[-200:]!r}")
    return screen


def mutt_copies(console):
    """What mutt copies to a new mailbox is what lay in ours; we serve the copy at once."""
    user, copy = filled(console, readable()), console.new_user()
    os.unlink(console.mailbox(copy))
    everything = "<tag-pattern>~A<enter><tag-prefix>"
    mutt(console, user, everything, f"<copy-message>={copy}.mbox<enter><exit>")
    same(served(console, copy), texts_of(readable()), "RETR of the copy")
    same(served(console, user), texts_of(readable()), "RETR of the original")


def mutt_deletes(console):
    letters = readable()
    user = filled(console, letters)
    mutt(console, user, "<delete-pattern>~s dots<enter><sync-mailbox><exit>")
    left = [each.text for each in letters if b"Subject: dots" not in each.text]
    same(served(console, user), left, "RETR of what is left")
    console.send([user], PLAIN.text)
    same(served(console, user), [*left, PLAIN.text], "RETR with new mail")


def mutt_keeps_a_copy_of_what_it_sends(console):
    user = console.new_user()
    record = f"set record={console.mailbox(user)} copy=yes sendmail=/bin/true"
    body = b"first\n.\nFrom the start of a line\nlast\n"
    command = ["mutt", "-n", "-F", "/dev/null", "-e", record, "-s", "kept", "someone@example.org"]
    run(*command, data=body)
    (text,) = console.fetched(user)
    head, _, got = text.partition(b"\r\n\r\n")
    if b"\r\nSubject: kept" not in head:
        raise Failure(f"no subject in the header: {head!r}")
    same(got, crlf(body), "the body")


def counted_by_mutt(path):
    drawn = mutt_on(path, os.path.dirname(path), "<refresh><exit>")
    counts = re.findall(rb"==(\d+)==", drawn)
    if not counts:
        raise Failure(f"mutt has shown no count of {path}: {drawn[-200:]!r}")
    return int(counts[-1])


# procmail


def procmail(console, user, text):
    recipe = f"LOCKSLEEP=1\nDEFAULT={console.mailbox(user)}\n:0:\n{console.mailbox(user)}\n"
    with tempfile.NamedTemporaryFile("w") as rc:
        rc.write(recipe)
        rc.flush()
        run("procmail", "-f", SENDER, "-m", rc.name, data=lf(text))


def procmail_writes(console):
    """procmail takes a blank line at the end of the text for the one that ends a message."""
    texts = [text for text in texts_of(mboxo()) if not text.endswith(b"\r\n\r\n")]
    user = console.new_user()
    for text in texts:
        procmail(console, user, text)
    same(console.fetched(user), texts, "RETR")


def procmail_and_smtp(console):
    """Two programs deliver into one mailbox at once, a third deletes: nothing else is lost.

    procmail sleeps for a second under its lock if the mailbox has just been read, hence so few.
    """
    user = filled(console, [PLAIN])
    texts = [numbered(number) for number in range(40)]

    def deliver(number):
        if number % 2:
            procmail(console, user, texts[number])
        else:
            with smtplib.SMTP("127.0.0.1", console.smtp_port, timeout=60) as server:
                server.sendmail(SENDER, f"{user}@localhost", texts[number])
        if number == 20:
            console.delete(user, 1)

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(deliver, range(40)))
    got = console.fetched(user)
    if PLAIN.text in got:
        raise Failure("the deleted message is still there")
    same(sorted(got), sorted(texts), "RETR")


def numbered(number):
    return b"Subject: %d\r\n\r\n%s\r\n" % (number, b"%d " % number * 50)


# Dovecot


class Dovecot:
    """Dovecot on the mailboxes of a console, with a configuration and a POP3 port of its own.

    It reads and writes mail as `nobody`, because it refuses to do so as root.
    """

    def __init__(self, console):
        if os.geteuid() != 0:
            raise Skip("Dovecot's own users need root")
        self.console = console
        (self.port,) = free_ports(1)

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="mailconsole-dovecot-")
        home = self.home.name
        os.chmod(home, 0o755)
        for name in ("base", "state", "users"):
            os.mkdir(os.path.join(home, name))
        os.chown(os.path.join(home, "users"), *nobody())
        self.config = os.path.join(home, "dovecot.conf")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(self.settings(home))
        command = [find("dovecot"), "-F", "-c", self.config]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        self.wait_until_it_listens()
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.home.cleanup()

    def settings(self, home):
        return f"""
            base_dir = {home}/base
            state_dir = {home}/state
            log_path = {home}/log
            protocols = pop3
            listen = 127.0.0.1
            ssl = no
            disable_plaintext_auth = no
            default_internal_user = nobody
            default_internal_group = nogroup
            default_login_user = nobody
            first_valid_uid = 1
            mail_privileged_group =
            mail_location = mbox:{home}/users/%u:INBOX={self.console.directory}/%u.mbox
            passdb {{
              driver = static
              args = password={PASSWORD}
            }}
            userdb {{
              driver = static
              args = uid=nobody gid=nogroup home={home}/users/%u
            }}
            service pop3-login {{
              chroot =
              inet_listener pop3 {{
                port = {self.port}
              }}
              inet_listener pop3s {{
                port = 0
              }}
            }}
            service anvil {{
              chroot =
            }}
            service stats {{
              chroot =
            }}
        """

    def wait_until_it_listens(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                poplib.POP3("127.0.0.1", self.port, timeout=10).quit()
                return
            except (OSError, poplib.error_proto):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"Dovecot does not listen: {self.last_words()}") from None
                time.sleep(0.05)

    def last_words(self):
        log = os.path.join(self.home.name, "log")
        if not os.path.exists(log):
            return "it wrote no log"
        with open(log, encoding="utf-8", errors="replace") as file:
            return file.read()[-300:]

    def fetched(self, user):
        _, texts = fetched_from(self.port, user)
        return texts

    def delete(self, user, number):
        delete_from(self.port, user, number)

    def deliver(self, user, text):
        run("dovecot-lda", "-c", self.config, "-d", user, "-f", SENDER, data=lf(text))


def nobody():
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def of_nobody(console, user):
    os.chown(console.mailbox(user), *nobody())
    return user


def dovecot_reads(console):
    """Dovecot does not unquote."""
    with Dovecot(console) as dovecot:
        user = of_nobody(console, filled(console, readable()))
        want = [quoted(text) for text in texts_of(readable())]
        same(dovecot.fetched(user), want, "RETR from Dovecot")
        # Now with Dovecot's notes in the file.
        same(served(console, user), texts_of(readable()), "RETR")


def dovecot_writes(console):
    with Dovecot(console) as dovecot:
        user = of_nobody(console, console.new_user())
        for letter in unquotable():
            dovecot.deliver(user, letter.text)
    same(served(console, user), texts_of(unquotable()), "RETR")


def dovecot_and_mailconsole_delete(console):
    """Each deletes a message from the mailbox that both serve; it stays the same user's file."""
    with Dovecot(console) as dovecot:
        texts = [numbered(number) for number in range(4)]
        user = of_nobody(console, console.new_user())
        for text in texts:
            console.send([user], text)
        dovecot.delete(user, 2)
        same(served(console, user), [texts[0], *texts[2:]], "RETR")
        console.delete(user, 1)
        console.send([user], PLAIN.text)
        same(dovecot.fetched(user), [*texts[2:], PLAIN.text], "RETR from Dovecot")
    if os.stat(console.mailbox(user)).st_uid != nobody()[0]:
        raise Failure("the mailbox has another owner now")


def dovecot_leaves_a_record(console):
    """Where it has removed all messages Dovecot leaves a record, which is no mail."""
    with Dovecot(console) as dovecot:
        user = of_nobody(console, filled(console, [PLAIN]))
        dovecot.delete(user, 1)
        record = console.contents(user)
        if b"FOLDER INTERNAL DATA" not in record:
            raise Failure(f"Dovecot has left no record: {record!r}")
        same(console.fetched(user), [], "RETR")
        console.send([user], numbered(1))
        same(served(console, user), [numbered(1)], "RETR")
        same(dovecot.fetched(user), [numbered(1)], "RETR from Dovecot")
        console.delete(user, 1)
        if not console.contents(user).startswith(record.partition(b"X-IMAP")[0]):
            raise Failure(f"the record is gone: {console.contents(user)!r}")
        same(dovecot.fetched(user), [], "RETR from Dovecot")


def counted_by_dovecot(directory):
    """How many messages Dovecot counts in each mailbox of a directory that it reads; it writes its
    notes into them."""
    as_nobody = ""
    if os.geteuid() == 0:
        as_nobody = "mail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\n"
        for name in (".", *os.listdir(directory)):
            os.chown(os.path.join(directory, name), *nobody())
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o777)
        config = os.path.join(home, "dovecot.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"mail_location = mbox:{directory}\nmail_privileged_group =\n{as_nobody}")
        command = [find("doveadm"), "-c", config, "mailbox", "status", "messages", "*"]
        environment = {**os.environ, "USER": "somebody", "HOME": home}
        # Its status tells that it did not read some of them.
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE)
    counts = re.findall(r"(?m)^(\S+) messages=(\d+)$", done.stdout.decode())
    if not counts:
        raise Failure(f"doveadm has counted nothing: {done.stderr[-300:]!r}")
    return {name: int(count) for name, count in counts}


def counted(console, user):
    """How many messages we serve; None if the mailbox is refused by name."""
    with Wire(console.pop3_port) as wire:
        wire.reply(b"+OK")
        wire.ask(f"USER {user}", b"+OK")
        reply = wire.ask(f"PASS {PASSWORD}", b"")
        if reply.startswith(b"-ERR"):
            if b"it begins with" not in reply:
                raise Failure(f"refused without a reason: {reply!r}")
            return None
        count = int(wire.ask("STAT", b"+OK").split()[1])
        wire.ask("QUIT", b"+OK")
    return count


def every_form_is_counted(console):
    """Mailboxes with all forms of From_ lines: our count is mutt's or Dovecot's. Where neither
    reads a mailbox we count all messages, or refuse it."""
    boxes, wrong = list(from_lines.mailboxes()), []
    with tempfile.TemporaryDirectory() as copies:
        os.chmod(copies, 0o755)
        names = [f"box{number}" for number in range(len(boxes))]
        users = [console.new_user() for _ in boxes]
        for name, user, box in zip(names, users, boxes):
            for path in (console.mailbox(user), os.path.join(copies, name)):
                with open(path, "wb") as file:
                    file.write(box.content)
        dovecot = counted_by_dovecot(copies)
        with ThreadPoolExecutor(2) as crowd:
            mutt = list(crowd.map(counted_by_mutt, map(console.mailbox, users)))
        for name, user, box, by_mutt in zip(names, users, boxes, mutt):
            by_dovecot, ours = dovecot.get(name, 0), counted(console, user)
            due = {by_mutt, by_dovecot} - {0} or {from_lines.MESSAGES, None}
            if ours not in due:
                wrong.append(f"{box.name!r}: {ours}; mutt {by_mutt}, Dovecot {by_dovecot}")
            if console.contents(user) != box.content:
                wrong.append(f"{box.name!r}: the file has changed")
    if wrong:
        raise Failure(f"{len(wrong)} of {len(boxes)} mailboxes: {'; '.join(wrong)}")


def dovecot_and_smtp(console):
    """Two programs deliver into one mailbox at once: no message is lost, and none is there twice.

    Not that each is whole: Dovecot 2.3 adds its notes to headers in place, and if these have CRLF
    line ends and somebody appends meanwhile, it now and then leaves NULs and a piece of the body
    behind ("Sync failed for mbox: now needs 18446744073709551615 bytes"). It does so beside any
    program that takes its locks.
    """
    with Dovecot(console) as dovecot:
        user = of_nobody(console, console.new_user())

        def deliver(number):
            if number % 2:
                dovecot.deliver(user, numbered(number))
            else:
                console.send([user], numbered(number))

        with ThreadPoolExecutor(6) as crowd:
            list(crowd.map(deliver, range(60)))
    contents = console.contents(user)
    for number in range(60):
        subject, _, body = lf(numbered(number)).partition(b"\n\n")
        times = len(re.findall(rb"(?m)^%s\r?$" % subject, contents))
        if times != 1 or body.strip() not in contents:
            raise Failure(f"message {number} is there {times} times")


def checks():
    yield Check("Python's mailbox reads ours", (), python_reads)
    yield Check("Python's mailbox writes one that we serve", (), python_writes)
    yield Check("mutt copies ours to one that we serve", ("mutt",), mutt_copies)
    yield Check("mutt deletes from ours", ("mutt",), mutt_deletes)
    yield Check("mutt writes one that we serve", ("mutt",), mutt_keeps_a_copy_of_what_it_sends)
    yield Check("procmail writes one that we serve", ("procmail",), procmail_writes)
    yield Check("procmail and SMTP deliver at once", ("procmail",), procmail_and_smtp)
    dovecot = ("dovecot", "dovecot-lda")
    yield Check("Dovecot serves ours", dovecot, dovecot_reads)
    yield Check("Dovecot writes one that we serve", dovecot, dovecot_writes)
    yield Check("Dovecot and mailconsole delete in turn", dovecot, dovecot_and_mailconsole_delete)
    yield Check("Dovecot and SMTP deliver at once", dovecot, dovecot_and_smtp)
    yield Check("Dovecot's record of an empty mailbox is no mail", dovecot, dovecot_leaves_a_record)
    counters = ("mutt", "doveadm")
    yield Check("every form of From_ line is counted as by others", counters, every_form_is_counted)
