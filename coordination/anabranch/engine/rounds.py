"""Work in rounds, in a thread that gives way to everything else and rests longer than it works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from anabranch.engine.beside import started_beside

_log = logging.getLogger(__name__)


class Rounds:
    """Rounds of one kind of work: one is begun when it is wanted, and never two at a time.

    Args:
        name: what the thread is called, and what its faults are told under.
        work: one round; what it raises ends that round alone.
        rest_factor: how many times as long as it worked it rests.
        rest_seconds: the shortest rest.
        rests_first: whether it rests before the first round, too.
        at_end: done in the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        *,
        rest_factor: float,
        rest_seconds: float,
        now: Callable[[], float] = time.monotonic,
        rests_first: bool = True,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._work, self._now, self._at_end = name, work, now, at_end
        self._rest_factor, self._rest_seconds = rest_factor, rest_seconds
        self._rests_first = rests_first
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def are_going_on(self) -> bool:
        """Whether there is a thread; the machine may not have had one to spare."""
        return self._thread is not None

    @property
    def are_closing(self) -> bool:
        """Whether a round that is under way had better come to an end."""
        return self._closing.is_set()

    def want(self) -> None:
        """Have a round be begun as soon as the rest is over; from any thread."""
        if self._thread is None and not self.are_closing:
            self._thread = started_beside(self._go_on, f"anabranch-{self._name}")
        self.want_one_more()

    def want_one_more(self) -> None:
        """The same from within a round, which begins no thread."""
        self._wanted.set()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _go_on(self) -> None:
        try:
            if self._rests_first:
                self._closing.wait(self._rest_seconds)
            while not self.are_closing:
                self._wanted.wait()
                self._wanted.clear()
                began = self._now()
                if not self.are_closing:
                    self._do_one()
                took = self._now() - began
                self._closing.wait(max(self._rest_seconds, self._rest_factor * took))
        finally:
            self._at_end()

    def _do_one(self) -> None:
        try:
            self._work()
        except Exception:
            _log.exception("%s: one round failed", self._name)
