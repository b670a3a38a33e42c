"""Ending what a killed holder left behind.

When a holder is killed, the kernel ends its command with it, but not what the command had started.
Those processes carry the holder's mark in their environment and are found by it. A program that
empties its environment escapes; nothing else does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from anabranch.engine.performers.process_records import (
    StartRecord,
    environment,
    signal_process,
    start_ticks,
)

MOST_ROUNDS = 20


def end_orphans(lost: Iterable[StartRecord]) -> None:
    """Kill the given attempts' holders, if they live, and every process that bears their mark.

    Blocks for one look at the process table, or a few if there is something to kill. Raises
    OSError if the machine cannot tell what there is: then some may live.
    """
    marks = set()
    for start in lost:
        signal_process(start.holder_pid, start.holder_starttime, signal.SIGKILL)
        signal_process(start.pid, start.starttime, signal.SIGKILL)
        marks.add(f"ANABRANCH_HOLDER={start.holder_pid}.{start.holder_starttime}".encode())
    for _ in range(MOST_ROUNDS if marks else 0):  # a process may fork while we look
        found = _marked(marks)
        for pid, starttime in found:
            signal_process(pid, starttime, signal.SIGKILL)
        if not found:
            return


def _marked(marks: set[bytes]) -> list[tuple[int, int]]:
    """Return the living processes whose environment holds one of the marks."""
    found = []
    for entry in os.listdir("/proc"):
        pid = int(entry) if entry.isdecimal() else os.getpid()
        starttime = None if pid == os.getpid() else start_ticks(pid)
        if starttime is not None and marks.intersection(environment(pid)):
            found.append((pid, starttime))
    return found
