"""Keeping the processes of an attempt still for a moment, so that files can be changed under them.

The holder does it, and lets them go on by itself when the moment is over: if the engine dies in the
middle, nobody stays stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anabranch.engine.performers.process_records import send_control
from anabranch.engine.process_table import is_still

LONGEST_SECONDS = 1.0
COMES_TO_REST_SECONDS = 0.5
SYSTEM_CALL_SECONDS = 0.1
"""What a process has begun inside the kernel is over by then."""

LOOK_AGAIN_SECONDS = 0.001


@contextmanager
def held_still(attempt_folder: Path, holder_pid: int | None) -> Iterator[bool]:
    """Keep an attempt's processes still; says whether they are. Blocks: for worker threads."""
    if holder_pid is None:
        yield False
        return
    try:
        send_control(attempt_folder, {"op": "pause", "seconds": LONGEST_SECONDS})
    except OSError:
        yield False
        return
    try:
        yield _comes_to_rest(holder_pid)
    finally:
        with suppress(OSError):
            send_control(attempt_folder, {"op": "go_on"})


def _comes_to_rest(holder_pid: int) -> bool:
    began = time.monotonic()
    while not is_still(holder_pid, or_waits=time.monotonic() - began > SYSTEM_CALL_SECONDS):
        if time.monotonic() - began > COMES_TO_REST_SECONDS:
            return False
        time.sleep(LOOK_AGAIN_SECONDS)
    return True
