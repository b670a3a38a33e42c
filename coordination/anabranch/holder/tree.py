"""The descendants of the holder: who they are, and how to signal them and nobody else.

The holder is a subreaper: a process that was started under it cannot leave its tree, whatever it
does with sessions, groups and double forks. So the tree is complete without control groups.
"""

import _signal  # type: ignore[import-not-found]  # what signal wraps, without its enumerations
import os

from . import kernel

TYPE_CHECKING = False  # typing takes longer to import than a holder takes to start
if TYPE_CHECKING:
    from collections.abc import Iterator

Process = tuple[int, int]
"""A process: its number and its start time in clock ticks. The pair is never used again."""

KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _listed_children(pid: int) -> list[int]:
    """Read the children of every thread of a process from the kernel's own lists."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, kernel.read(f"/proc/{pid}/task/{task}/children").split())
    except OSError:
        pass  # it ended while we looked; its children are ours now
    return found


def _scanned_children() -> dict[int, list[int]]:
    """Group all processes by parent, for kernels that keep no lists of children."""
    grouped: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        fields = kernel.status_fields(int(entry)) if entry.isdigit() else []
        if fields:
            grouped.setdefault(int(fields[1]), []).append(int(entry))
    return grouped


def descendants() -> list[Process]:
    """Return the living processes under this one, parents before their children."""
    return _descendants((b"Z", b"X"))


def moving() -> list[Process]:
    """Return those of them that nobody has stopped."""
    return _descendants((b"Z", b"X", b"T", b"t"))


def _descendants(but: tuple[bytes, ...]) -> list[Process]:
    """Return the processes under this one, without those in some states."""
    return [process for process, _ in _walk(but)]


def _walk(but: tuple[bytes, ...]) -> "Iterator[tuple[Process, int]]":
    """Yield the processes under this one, each with its parent, parents before their children.

    A process's children are looked up before it is yielded: those that it begins because of what
    is then done to it are not among them.
    """
    scanned = {} if KERNEL_LISTS_CHILDREN else _scanned_children()
    waiting = children() if KERNEL_LISTS_CHILDREN else scanned.get(os.getpid(), [])
    for pid in waiting:
        fields = kernel.status_fields(pid)
        waiting += _listed_children(pid) if KERNEL_LISTS_CHILDREN else scanned.get(pid, [])
        if fields and fields[0] not in but:
            yield (pid, int(fields[19])), int(fields[1])


def children() -> list[int]:
    """Return the numbers of this process's own children, ended but unreaped ones included."""
    if KERNEL_LISTS_CHILDREN:
        return _listed_children(os.getpid())
    return _scanned_children().get(os.getpid(), [])


def send(process: Process, signal_number: int) -> None:
    """Send a signal to exactly this process; nothing happens if it has ended.

    The descriptor pins the number first; only then is the start time compared, so a number that
    was given to somebody else in the meantime is noticed.
    """
    pid, started = process
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if kernel.start_ticks(pid) == started:
            _signal.pidfd_send_signal(handle, signal_number)
    except OSError:
        pass  # it ended, or changed its user: neither is ours to mend
    finally:
        os.close(handle)


def signal_all(signal_number: int) -> list[Process]:
    """Send a signal once to every living descendant and return them, parents first.

    A second look catches what was passed from parent to parent during the first. What somebody
    begins who has had the signal is not meant: it may be how that one ends in good order.
    """
    reached: list[Process] = []
    for _ in range(2):
        before = {pid for pid, _ in reached}
        for process, parent in _walk((b"Z", b"X")):
            if parent in before:
                before.add(process[0])
            elif process not in reached:
                send(process, signal_number)
                reached.append(process)
    return reached
