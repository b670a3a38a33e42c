"""What the holder asks of the Linux kernel beyond the standard library, and /proc in few words."""

import ctypes
import errno
import os
import time

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

READ_BYTES = 4096
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR)
MOST_WAITS = 100
WAIT_SECONDS = 0.05

WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95}
"""The number of the system call, by machine."""

_prctl = ctypes.CDLL(None).prctl
_syscall = ctypes.CDLL(None).syscall


def set_name(name: str) -> None:
    """Set the name that ``ps`` and ``top`` show for this process (15 bytes)."""
    _prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def become_subreaper() -> None:
    """Let orphaned descendants become children of this process instead of process 1's."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process the signal when its parent ends."""
    _prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def read(path: str, folder: int | None = None) -> bytes:
    """Return the whole content of a small file; raises OSError.

    A machine that is short of descriptors or memory is waited for, some seconds at the most: what
    cannot be read just now must not be taken for gone.
    """
    for _ in range(MOST_WAITS):
        try:
            return _read(path, folder)
        except OSError as error:
            if error.errno not in PASSING:
                raise
            time.sleep(WAIT_SECONDS)
    return _read(path, folder)


def _read(path: str, folder: int | None) -> bytes:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        content = os.read(descriptor, READ_BYTES)
        while part := os.read(descriptor, READ_BYTES):
            content += part
        return content
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return read("/proc/sys/kernel/random/boot_id").decode().strip()


def status_fields(pid: int) -> list[bytes]:
    """Return the fields of ``/proc/PID/stat`` after the command's name: state, parent, ...

    Empty if there is no such process.
    """
    try:
        status = read(f"/proc/{pid}/stat")
    except OSError:
        return []
    return status.rpartition(b")")[2].split()


def used(pid: int) -> tuple[float, float | None]:
    """Return what an ended child that is not reaped yet has used: CPU seconds, and memory in MB.

    Both are of all that it has waited for, and the first of what was reaped here as well: orphans
    of it. The memory is the most that any one process of them had in use, None if the machine
    cannot tell.
    """
    reaped, ticks = os.times(), status_fields(pid)[11:15]
    orphans = reaped.children_user + reaped.children_system
    return orphans + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), _peak_memory_mb(pid)


def _peak_memory_mb(pid: int) -> float | None:
    """Ask the system call itself, which tells more than its wrapper (``waitid``(2), Linux)."""
    number = WAITID.get(os.uname().machine)
    if number is None:
        return None
    usage = (ctypes.c_long * 18)()  # struct rusage; the fifth is the peak, in KiB
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    if _syscall(number, int(os.P_PID), pid, None, how, usage) != 0:
        return None
    return round(usage[4] / 1024, 1)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None if it is gone.

    A process number together with this time names one process and never another.
    """
    fields = status_fields(pid)
    return int(fields[19]) if fields else None
