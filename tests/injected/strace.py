"""Makes system calls of a running process fail, by strace (https://strace.io, --inject)."""

import glob
import os
import signal
import subprocess
import threading

# Calls that only the store makes, and calls that others make as well: of those only the ones that
# name the mail directory or a file in it are touched.
OF_THE_STORE = [
    "pwrite64", "pwritev", "pwritev2", "writev", "fdatasync", "fsync", "linkat", "unlinkat", "renameat", "renameat2",
    "ftruncate", "mkdirat", "fallocate", "pread64", "utimensat", "fchmod", "fchown",
]
OF_OTHERS_TOO = ["write", "openat", "newfstatat", "fstat", "fcntl", "statx"]
SYSCALLS = OF_THE_STORE + OF_OTHERS_TOO
ERRORS = ["EIO", "ENOSPC", "EDQUOT", "EPERM", "EOPNOTSUPP", "EMFILE"]


class Fault:
    """One kind of call that fails at its nth time in a thread ("2"), or always ("1+")."""

    def __init__(self, syscall, error, when):
        self.syscall, self.error, self.when = syscall, error, when

    def __str__(self):
        return f"{self.syscall} {self.error} {self.when}"

    @property
    def concerns_syncing(self):
        return "sync" in self.syscall

    def options(self, directory, log):
        """The arguments of strace in front of a command or of -p."""
        paths = [] if self.syscall in OF_THE_STORE else files_of(directory)
        return [
            "strace", "-f", "-o", log, "-e", f"trace={self.syscall}",
            "-e", f"inject={self.syscall}:error={self.error}:when={self.when}",
            "-e", "signal=none", *(word for path in paths for word in ("-P", path)),
        ]


def files_of(directory):
    """The directory and what may lie in it. strace follows descriptors, but knows no patterns."""
    names = ["a.mbox", "b.mbox", "c.mbox", "mqueue", ".mailconsole"]
    side_files = [f".{name}.{kind}" for name in names for kind in ("tmp", "wal", "pop")]
    known = [os.path.join(directory, name) for name in [*names, *side_files, ".mqueue.relay"]]
    journals = glob.glob(os.path.join(directory, ".mailconsole", "*"))
    return [directory, *known, *journals]


class Attached:
    """A fault in a process that runs already; it is over when this is closed."""

    def __init__(self, process_id, fault, directory, log):
        self.log = log
        command = [*fault.options(directory, log), "-p", str(process_id)]
        self.tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.tracer.stderr:
            if "attached" in line:
                break
        else:
            raise OSError(f"strace cannot attach: {command}")
        # It tells of every new thread; a full pipe would stop it.
        threading.Thread(target=self.tracer.stderr.read, daemon=True).start()

    def close(self):
        if self.tracer.poll() is None:
            self.tracer.send_signal(signal.SIGINT)
            self.tracer.wait(20)
        return hits(self.log)


def hits(log):
    """How many calls failed because of us."""
    if not os.path.exists(log):
        return 0
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read().count("(INJECTED)")
