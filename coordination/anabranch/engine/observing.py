"""Telling observers what has happened: behind the engine, never in its way.

Each observer has a thread and a queue of its own. One that cannot keep up misses events, and is
reported; one that raises or hangs is a plugin at fault like any other, and is set aside.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from anabranch.core import events as ev
from anabranch.core.model.state import State
from anabranch.core.views.projections import event_line
from anabranch.engine.guarded_strategies import Guard
from anabranch.extending import Observer

LONGEST_QUEUE = 10_000
LAST_WORDS_SECONDS = 2.0

_Batch = tuple[State, Sequence[ev.Recorded], float] | None
"""Events, the state after them, and when they were handed over; None at the end."""


class Observing:
    """All observers of one run. :meth:`tell` never waits."""

    def __init__(
        self,
        observers: Mapping[str, Observer],
        guard: Guard,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._now = now
        self._queues: dict[str, queue.Queue[_Batch]] = {}
        self._threads: list[threading.Thread] = []
        self._heard = dict.fromkeys(observers, 0)
        self._seen = 0
        for name, observer in observers.items():
            batches: queue.Queue[_Batch] = queue.Queue(LONGEST_QUEUE)
            self._queues[name] = batches
            run = partial(self._run, name, observer, batches)
            self._threads.append(threading.Thread(target=run, name=f"ab-{name}", daemon=True))
        for thread in self._threads:
            thread.start()

    def tell(self, state: State, records: Sequence[ev.Recorded]) -> None:
        """Let everybody know of events that are durable; ``state`` is the one after them."""
        self._seen += len(records)
        for name, batches in self._queues.items():
            try:
                batches.put_nowait((state, records, self._now()))
            except queue.Full:
                self._guard.blame(f"observer {name}", "it cannot keep up, and missed events")

    def close(self) -> None:
        """Let everybody hear the rest, for a limited time in all."""
        for batches in self._queues.values():
            try:
                batches.put_nowait(None)
            except queue.Full:
                continue
        until = time.monotonic() + LAST_WORDS_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def last_words(self) -> list[str]:
        """What to say after the end: which observers have missed something of the run."""
        missed = {n: self._seen - heard for n, heard in self._heard.items()}
        return [
            f"observer {name} missed {count} of {self._seen} events: it fails, or cannot keep up"
            for name, count in missed.items()
            if count
        ]

    def _run(self, own: str, observer: Observer, batches: queue.Queue[_Batch]) -> None:
        name = f"observer {own}"
        while (batch := batches.get()) is not None:
            state, records, published_at = batch
            for record in records:
                saw = partial(_saw, observer, event_line(state, record))
                self._heard[own] += self._guard.ask(observer, name, saw, _nothing)
                if self._now() - published_at > LAST_WORDS_SECONDS:
                    late = f"it is more than {LAST_WORDS_SECONDS:g} s behind; what it has not heard"
                    self._guard.note(observer, name, "late", f"{late} by the end is lost to it")


def _saw(observer: Observer, event: Mapping[str, Any]) -> bool:
    observer.saw(event)
    return True


def _nothing() -> bool:
    return False
