"""Runs programs under strace, by a shell that does what it is told, so that all of them together
leave one trace in one order. Knows nothing of mail.
"""

import os
import shlex
import signal
import subprocess

from clients import Refused

CALLS = """
    open openat openat2 creat close close_range dup dup2 dup3 fcntl lseek read readv
    write writev pwrite64 pwritev pwritev2 sendfile copy_file_range splice tee vmsplice ioctl
    truncate ftruncate fallocate rename renameat renameat2 link linkat symlink symlinkat
    unlink unlinkat mkdir mkdirat rmdir mknod mknodat utimensat utime utimes futimesat
    fsync fdatasync sync sync_file_range syncfs msync mmap io_uring_setup io_submit
    stat lstat fstat newfstatat statx pipe pipe2 bind sendto sendmsg sendmmsg
    clone clone3 fork vfork execve exit_group chdir fchdir
""".split()

# A sync on a tmpfs takes no time. With some, deliveries gather meanwhile as they do on a disk.
SYNC_TAKES = 1500  # microseconds
LONGEST_STRING = 1 << 24

# Nothing of the host's settings reaches the program.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "TZ": "UTC"}


class Stage:
    """A shell under strace."""

    def __init__(self, machine):
        self.machine = machine
        self.trace = machine.path("trace")
        self.outputs = 0
        strace = ["strace", "-f", "-q", "-ttt", "-yy", "-v", "-xx", "--seccomp-bpf"]
        strace += ["-s", str(LONGEST_STRING), "-o", self.trace]
        strace += ["-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
        strace += ["-e", f"inject=fsync,fdatasync,syncfs:delay_exit={SYNC_TAKES}"]
        # As programs of the host: the harness is the first process, which gets no signals.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.shell = subprocess.Popen([*strace, "sh"], env=ENVIRONMENT, text=True, **pipes)
        self.listeners = []
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure:
            self.abort()

    def start(self, *command, listeners=0):
        """Starts a program; returns its process id and the ports on which it says it listens."""
        self.outputs += 1
        output = self.machine.path(f"output.{self.outputs}")
        os.mkfifo(output)
        self.say(f"{shlex.join(command)} >{output} 2>/dev/null & echo $!")
        # Its end is ours as long as the program may write.
        file = open(output, encoding="utf-8", errors="replace")
        self.listeners.append(file)
        process = int(self.shell.stdout.readline())
        self.processes.append(process)
        return process, ports(file, listeners)

    def wait(self, process):
        """The exit status of a program that was started."""
        self.say(f"wait {process}; echo $?")
        status = int(self.shell.stdout.readline())
        self.processes.remove(process)
        return status

    def run(self, *command):
        """Runs a program to its end; returns its exit status, process id and output."""
        process, _ = self.start(*command)
        said = self.listeners[-1].read()
        return self.wait(process), process, said

    def end(self):
        """Ends the shell, which must have no programs any more; returns the path of the trace."""
        self.shell.stdin.close()
        self.shell.wait()
        self.shell.stdout.close()
        for file in self.listeners:
            file.close()
        for number in range(1, self.outputs + 1):
            os.unlink(self.machine.path(f"output.{number}"))
        return self.trace

    def abort(self):
        """Ends what is left of it after a failure."""
        for process in self.processes:
            os.kill(process, signal.SIGKILL)
        self.end()

    def say(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()


def ports(file, listeners):
    """Ports from lines such as `smtp: listening on 127.0.0.1:2500`, by the first word."""
    found = {}
    for _ in range(listeners):
        line = file.readline()
        if ": listening on " not in line:
            raise Refused(f"the program does not listen: {line!r}")
        found[line.partition(":")[0]] = int(line.rsplit(":", 1)[1])
    return found
