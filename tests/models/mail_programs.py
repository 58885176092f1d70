"""mutt and Dovecot on one mailbox file, each for one errand: mutt in a terminal of its own with its
keys pushed, Dovecot by doveadm, which needs no server."""

import os
import pty
import select
import shutil
import subprocess
import time

PATIENCE = 60  # seconds; both wait for locks


class Hangs(Exception):
    """The program does not end."""


def installed():
    return [name for name in ("mutt", "doveadm") if shutil.which(name)]


def mutt(home, path, keys, become):
    """Opens the mailbox, does what the keys say, and leaves. Whether it ended well."""
    settings = os.path.join(home, "muttrc")
    if not os.path.exists(settings):
        with open(settings, "w", encoding="ascii") as file:
            file.write(
                "set mbox_type=mbox delete=yes quit=yes move=no mark_old=no beep=no sleep_time=0 wait_key=no\n"
                f"set folder={home}\n"
                "set confirmappend=no confirmcreate=no timeout=1 mail_check=0 read_inc=0 write_inc=0\n")
    command = ["mutt", "-n", "-F", settings, "-f", path, "-e", f'push "{keys}"']
    environment = {"PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True, preexec_fn=become)
    os.close(theirs)
    screen, deadline = b"", time.monotonic() + PATIENCE
    try:
        while process.poll() is None:
            if select.select([ours], [], [], 0.1)[0]:
                screen = (screen + os.read(ours, 65_536))[-2_000:]
            elif time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise Hangs(f"mutt does not end; its screen: {screen[-500:]!r}")
    except OSError:  # the terminal is gone because mutt has ended
        pass
    finally:
        os.close(ours)
    return process.wait() == 0


class Dovecot:
    """doveadm with a configuration of its own, one inbox at a time."""

    def __init__(self, home, become):
        self.home, self.become = home, become
        self.config = os.path.join(home, "dovecot.conf")
        # Where a mailbox is rewritten behind Dovecot's back it finds a message again by the checksum of a
        # few fields that these messages do not have, and expunges another of the same checksum: so of all.
        with open(self.config, "w", encoding="ascii") as file:
            file.write(
                f"log_path = {home}/log\nbase_dir = {home}/base\nfirst_valid_uid = 0\nmail_privileged_group =\n"
                "mbox_lock_timeout = 40 secs\nmbox_dirty_syncs = no\nmbox_md5 = all\n")

    def __call__(self, path, *errand, text=b"", order="fcntl dotlock"):
        """Whether the errand was done. It waits for one lock while it holds the other: beside mutt,
        which has an order of its own, another order than mutt's is a deadlock."""
        user = os.path.basename(path).partition(".")[0]
        own = os.path.join(self.home, user)
        location = f"mail_location=mbox:{own}:INBOX={path}"
        environment = {"PATH": os.environ["PATH"], "HOME": own, "USER": user}
        command = ["doveadm", "-c", self.config, "-o", location, "-o", f"mbox_write_locks={order}", *errand]
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, env=environment, preexec_fn=self.become, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise Hangs(f"{command} does not end") from None
        self.last_words = done.stderr.decode("utf-8", "replace").strip()[-200:]
        return done.returncode == 0
