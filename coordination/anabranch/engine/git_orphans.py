"""Ending calls of git that an engine which is gone has left under way.

When an engine is killed, what it had begun goes on: a long call keeps a processor busy for hours,
and writes where the next engine works. Such calls, and whatever they have started, bear the mark of
their engine in their environment and are found by it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from anabranch.engine.git_calls import MARK
from anabranch.engine.performers.process_records import (
    environment,
    lives,
    signal_process,
    start_ticks,
)


def end_git_orphans() -> None:
    """Tell git to end where the process that began it is gone; upon TERM it removes its locks.

    Blocks for one look at the process table. Raises OSError if the machine cannot tell.
    """
    here = _number_space("self")
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        starttime = start_ticks(int(entry))
        mark = _mark_of(int(entry))
        if starttime is None or mark is None or _number_space(entry) != here:
            continue  # in another space of process numbers its engine has another number
        if lives(*mark) is False:
            signal_process(int(entry), starttime, signal.SIGTERM)


def _mark_of(pid: int) -> tuple[int, int] | None:
    """Return the number and the start time of the engine that began a process, if one did."""
    prefix = f"{MARK}=".encode()
    for variable in environment(pid):
        if variable.startswith(prefix):
            engine, _, starttime = variable.removeprefix(prefix).partition(b".")
            with suppress(ValueError):
                return int(engine), int(starttime)
    return None


def _number_space(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
