"""Telling observers what has happened: behind the engine, never in its way.

Each observer has a thread and a queue of its own. Whoever cannot keep up misses events, and is told
so; whoever raises or hangs is a plugin's fault like any other, and is set aside.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from functools import partial

from anabranch.core import events as ev
from anabranch.core.projections import event_line
from anabranch.core.state import State
from anabranch.engine.guarded_strategies import Guard
from anabranch.extending import Observer

LONGEST_QUEUE = 10_000
LAST_WORDS_SECONDS = 2.0

_Batch = tuple[State, Sequence[ev.Recorded]] | None


class Observing:
    """All observers of one run. :meth:`tell` never waits."""

    def __init__(self, observers: Mapping[str, Observer], guard: Guard) -> None:
        self._guard = guard
        self._queues: dict[str, queue.Queue[_Batch]] = {}
        self._threads: list[threading.Thread] = []
        for name, observer in observers.items():
            batches: queue.Queue[_Batch] = queue.Queue(LONGEST_QUEUE)
            self._queues[name] = batches
            told = partial(self._run, f"observer {name}", observer, batches)
            self._threads.append(threading.Thread(target=told, name=f"ab-{name}", daemon=True))
        for thread in self._threads:
            thread.start()

    def tell(self, state: State, records: Sequence[ev.Recorded]) -> None:
        """Let everybody know of events that are durable; ``state`` is the one after them."""
        for name, batches in self._queues.items():
            try:
                batches.put_nowait((state, records))
            except queue.Full:
                self._guard.blame(f"observer {name}", "it cannot keep up, and missed events")

    def close(self) -> None:
        """Let everybody hear the rest, for a limited time."""
        for batches in self._queues.values():
            try:
                batches.put_nowait(None)
            except queue.Full:
                continue
        for thread in self._threads:
            thread.join(LAST_WORDS_SECONDS)

    def _run(self, name: str, observer: Observer, batches: queue.Queue[_Batch]) -> None:
        while (batch := batches.get()) is not None:
            state, records = batch
            for record in records:
                saw = partial(observer.saw, event_line(state, record))
                self._guard.ask(observer, name, saw, _nothing)


def _nothing() -> None:
    return None
