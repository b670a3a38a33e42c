"""Threads that work beside the engine, which does not fail when the machine can start none."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable

from anabranch.shortage import shortage_of

NICENESS = 15

_log = logging.getLogger(__name__)


def started_beside(work: Callable[[], None], name: str) -> threading.Thread | None:
    """Start a thread that gives way to everything else.

    Returns None if the machine can start none just now: whoever has work asks again.
    """

    def giving_way() -> None:
        with contextlib.suppress(OSError):  # it would be nicer, and need not be
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        work()

    thread = threading.Thread(target=giving_way, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if shortage_of(error) is None:
            raise
        _log.debug("%s is not started: %s", name, error)
        return None
    return thread
