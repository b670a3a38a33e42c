"""One command at a time changes what is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anabranch.errors import WorldError, machine_errors
from anabranch.files import take_lock
from anabranch.plugin_store.generations import clear_leftovers
from anabranch.plugin_store.places import Places

PATIENCE_SECONDS = 60.0


@contextmanager
def changing(places: Places, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the store, cleared of what an interrupted command left.

    ``waits`` is called once if somebody else holds it. Raises WorldError when that goes on.
    """
    with machine_errors():
        places.create()
        handle = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with machine_errors():
            is_ours = take_lock(handle, PATIENCE_SECONDS, waits=waits)
        if not is_ours:
            raise WorldError("another command is changing the plugins", "try again when it is done")
        clear_leftovers(places)
        yield
    finally:
        os.close(handle)
