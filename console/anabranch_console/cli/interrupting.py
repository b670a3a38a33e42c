"""What ends the hosting of a run from outside: a signal, or a limit of time."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from anabranch.core import inputs

if TYPE_CHECKING:
    from anabranch.engine.host import RunHost

ANSWER_SECONDS = 30.0
_POLITE_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def polite_ends() -> list[signal.Signals]:
    """Return the signals that ask this process to end; not those it was started to ignore, as by
    ``nohup``."""
    return [n for n in _POLITE_ENDS if signal.getsignal(n) is not signal.SIG_IGN]


class Interrupts:
    """How often this process was asked to end."""

    def __init__(self) -> None:
        self.count = 0
        self._seen = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.count += 1

    def news(self) -> bool:
        """Return whether it was asked again since the last call."""
        seen, self._seen = self._seen, self.count
        return self.count > seen


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Turn Ctrl-C and polite ends into a count, and let no terminal stop us for talking to it."""
    interrupts = Interrupts()
    before = {number: signal.signal(number, interrupts.note) for number in polite_ends()}
    before[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class TimeLimit:
    """Stops a run when its time is over, whatever shows it meanwhile.

    Args:
        host: the run.
        seconds: from now on; None for no limit.
    """

    def __init__(self, host: RunHost, seconds: float | None) -> None:
        self._host = host
        self._ends_at = None if seconds is None else host.now() + seconds
        self._is_over = threading.Event()
        self.was_reached = False

    def __enter__(self) -> TimeLimit:
        if self._ends_at is not None:
            threading.Thread(target=self._watch, name="anabranch-time-limit", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def _watch(self) -> None:
        assert self._ends_at is not None
        while (left := self._ends_at - self._host.now()) > 0:
            if self._is_over.wait(left):
                return
        stop = self._host.submit(inputs.StopRun(reason="the time limit was reached"))
        with contextlib.suppress(NoAnswer):
            self.was_reached = stop.result(ANSWER_SECONDS) is None
