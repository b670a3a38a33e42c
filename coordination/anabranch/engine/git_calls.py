"""The calls of git that are under way in this process, by the thread that waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress

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


def end_calls_of(threads: Set[int]) -> None:
    """Have git end what it does for these threads: upon TERM it takes its locks away."""
    for thread, process in list(_under_way.items()):
        if thread in threads and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
