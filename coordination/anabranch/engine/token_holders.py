"""How many tokens the processes of an attempt could have: what is gone beyond that is nobody's.

A make that is killed takes its tokens along. Nobody can be asked which those were, but a client
that has tokens has the fifo open, and runs something for each of them: children beside its first,
as make and ninja do, or threads beside its first, as compilers do that run parts of a file at a
time. What no such process accounts for, and what shows in no use of the processors either, is lost.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from itertools import islice

from anabranch.core.ids import StreamId
from anabranch.engine.process_table import processes_below
from anabranch.plain_files import read_plain

MOST_PROCESSES = 4096
MOST_OPEN_FILES = 1024
"""A tree with more than that, or a process, is not looked through: others wait for the answer."""
_STAT_BYTES = 2048
_ONE = StreamId("one")


def most_held(holder_pid: int, fifo: tuple[int, int]) -> int | None:
    """Return the most tokens that what runs below a holder could have; None if nobody can tell.

    Args:
        holder_pid: the process of the holder.
        fifo: device and inode of its fifo.
    """
    try:
        below = processes_below({_ONE: holder_pid}).get(_ONE, [])
        if len(below) > MOST_PROCESSES:
            return None
        facts = {pid: _parent_and_threads(pid) for pid in below}
        children = Counter(fact[0] for fact in facts.values() if fact is not None)
        return sum(
            max(children[pid] - 1, fact[1] - 1, 0)
            for pid, fact in facts.items()
            if fact is not None and _has_open(pid, fifo)
        )
    except OSError:
        return None


def _parent_and_threads(pid: int) -> tuple[int, int] | None:
    """Return a process's parent and how many threads it has; None if it has ended."""
    try:
        line = read_plain(f"/proc/{pid}/stat", _STAT_BYTES)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = line[line.rfind(b")") + 2 :].split()
    return (int(fields[1]), int(fields[17])) if len(fields) > 17 and fields[0] != b"Z" else None


def _has_open(pid: int, fifo: tuple[int, int]) -> bool:
    """Say whether a process has a file open. Raises OSError if that cannot be told."""
    try:
        with os.scandir(f"/proc/{pid}/fd") as found:
            numbers = [entry.name for entry in islice(found, MOST_OPEN_FILES + 1)]
    except (FileNotFoundError, ProcessLookupError):
        return False
    if any(_identity(f"/proc/{pid}/fd/{number}") == fifo for number in numbers):
        return True
    if len(numbers) > MOST_OPEN_FILES:
        raise OSError(errno.E2BIG, "it has more files open than are looked at")
    return False


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:  # closed meanwhile, or of a kind that nobody can look at
        return None
    return found.st_dev, found.st_ino
