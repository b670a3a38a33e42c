"""One command at a time changes what is installed."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anabranch.errors import WorldError, machine_errors
from anabranch.plugin_store.generations import clear_leftovers
from anabranch.plugin_store.places import Places

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.1


@contextmanager
def changing(places: Places, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the store, cleared of what an interrupted command left.

    ``waits`` is called once if somebody else holds it. Raises WorldError when that goes on.
    """
    with machine_errors():
        places.create()
        handle = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(handle, waits)
        clear_leftovers(places)
        yield
    finally:
        os.close(handle)


def _take(handle: int, waits: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    has_told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise WorldError(f"cannot lock the plugins' folder: {error.strerror}") from None
        if time.monotonic() > deadline:
            raise WorldError("another command is changing the plugins", "try again when it is done")
        if not has_told:
            waits()
            has_told = True
        time.sleep(LOOK_SECONDS)
