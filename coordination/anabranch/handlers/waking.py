"""How the program that runs handlers waits, and what wakes it."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable


def wake_pipe() -> tuple[int, int]:
    """Return what becomes readable when there is something to do, and what makes it so."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def catch_signals(waker: int, stop: Callable[[], None]) -> None:
    """Be woken by ends of children, and stop when asked."""
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop())


def readable(sources: list[int], seconds: float) -> list[int]:
    """Return which become readable within a time; unlike `select`, beyond 1024 of them too."""
    poll = select.poll()
    for source in sources:
        poll.register(source, select.POLLIN)
    return [source for source, _ in poll.poll(seconds * 1000)]
