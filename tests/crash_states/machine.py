"""A machine of our own to break: mounts, process ids, loopback and a boot id that nobody else sees.

Process ids are our own because a lock file of a dead program names its id, and that id must not
belong to some other program of the host by chance. Knows nothing of mail.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import sys
import tempfile
import time
import uuid

INSIDE = "CRASH_STATES_INSIDE"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
LAST_PROCESS = "/proc/sys/kernel/ns_last_pid"
MS_BIND, MS_MOVE = 4096, 8192
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
DECOYS = 3
PATIENCE = 10  # seconds to wait for a device number that somebody else has taken

libc = ctypes.CDLL(None, use_errno=True)


def enter():
    """Runs this program once more in namespaces of its own, and returns there."""
    if os.environ.pop(INSIDE, None):
        bring_loopback_up()
        return
    if os.geteuid() != 0:
        sys.exit("crash_states needs root: it mounts file systems and changes the boot id it shows")
    for tool in ("unshare", "strace"):
        if shutil.which(tool) is None:
            sys.exit(f"crash_states needs {tool}: install the packages util-linux and strace")
    os.environ[INSIDE] = "1"
    spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
    os.execvp("unshare", ["unshare", *spaces, sys.executable, *sys.argv])


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def mount(source, target, kind=None, flags=0, options=None):
    arguments = [part and part.encode() for part in (source, target, kind)]
    if libc.mount(*arguments, flags, options and options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {source} on {target}")


def unmount(target):
    if libc.umount2(target.encode(), 0) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {target}")


class DiskLost(Exception):
    """Another program has the device number of our disk: what was recorded is of no more use."""


class Machine:
    """A directory for mail on a disk that can be replaced, and a boot id that can be changed."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="crash-states-")
        mount("home", self.home, "tmpfs")
        self.disk = os.path.join(self.home, "disk")
        # The program is given a directory below the root, so that it can sync what is above.
        self.directory = os.path.join(self.disk, "mail")
        os.mkdir(self.disk)
        self.new_disk()
        self.boot_file = self.path("boot_id")
        self.boot("recorded")
        mount(self.boot_file, BOOT_ID, flags=MS_BIND)

    def close(self):
        unmount(BOOT_ID)
        if os.path.ismount(self.disk):
            unmount(self.disk)
        unmount(self.home)
        os.rmdir(self.home)

    def path(self, name):
        """A path outside the disk."""
        return os.path.join(self.home, name)

    def boot(self, name):
        """Gives the machine the boot id that belongs to a name."""
        with open(self.boot_file, "w", encoding="ascii") as file:
            file.write(f"{uuid.uuid5(uuid.NAMESPACE_DNS, name)}\n")

    @staticmethod
    def next_process(number):
        """The next process that is started gets this id, if it is free."""
        with open(LAST_PROCESS, "w", encoding="ascii") as file:
            file.write(str(number - 1))

    def new_disk(self):
        """A disk with a new device number, below which some numbers are free."""
        if os.path.ismount(self.disk):
            unmount(self.disk)
        decoys = [self.mount_aside(f"decoy.{number}") for number in range(DECOYS)]
        mount("disk", self.disk, "tmpfs")
        self.device = os.stat(self.disk).st_dev
        self.release(decoys)

    def renew_disk(self):
        """An empty disk under the same device number, on which inode numbers begin anew.

        A tmpfs numbers its files in the order in which they are made and uses no number twice, so
        that a file can be made again with the number that it had; and its device number is the
        lowest that is free. Lower ones are left free for whoever mounts something meanwhile.
        """
        unmount(self.disk)
        deadline, others = time.monotonic() + PATIENCE, []
        while True:
            mount("disk", self.disk, "tmpfs")
            device = os.stat(self.disk).st_dev
            if device == self.device:
                self.release(others)
                return
            if device < self.device:
                others.append(self.move_aside(f"decoy.{len(others)}"))
                continue
            unmount(self.disk)
            if time.monotonic() > deadline:
                self.release(others)
                raise DiskLost("another program mounted something and has our device number")

    def mount_aside(self, name):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        mount("decoy", path, "tmpfs")
        return path

    def move_aside(self, name):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        mount(self.disk, path, flags=MS_MOVE)
        return path

    @staticmethod
    def release(paths):
        for path in paths:
            unmount(path)
