"""The calls of git that are under way in this process, by the thread that waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from functools import lru_cache

from anabranch.engine.performers.process_records import start_ticks

MARK = "ANABRANCH_GIT_OF"
"""By this variable a call knows whose it is, when nobody waits for it any more."""

_under_way: dict[int, subprocess.Popen[bytes]] = {}


@contextmanager
def under_way(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Know a call of this thread, which leads a session of its own, until it is over."""
    thread = threading.get_ident()
    _under_way[thread] = process
    try:
        yield
    finally:
        _under_way.pop(thread, None)


def mark_of_process() -> str:
    """Return what names this process for good: its number, and when it started."""
    return _mark_of(os.getpid())


@lru_cache(maxsize=1)
def _mark_of(pid: int) -> str:
    return f"{pid}.{start_ticks(pid)}"


def end_calls_of(threads: Set[int]) -> None:
    """Have git end what it does for these threads: upon TERM it takes its locks away."""
    for thread, process in list(_under_way.items()):
        if thread in threads and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
