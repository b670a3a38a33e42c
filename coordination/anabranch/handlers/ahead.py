"""Taking items ahead, in a thread, from a source that may let one wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from .placeholders import ItemValue
from .sources import NotYet

MOST_AHEAD = 64
"""How many items are taken before they are needed: a source of millions fills no memory."""


class Ahead(Iterator[ItemValue]):
    """An iterator that never waits.

    Args:
        items: where items come from; it is gone through in a thread.
        wake: called, in that thread, whenever there is something new.
    """

    def __init__(self, items: Iterator[ItemValue], wake: Callable[[], None]) -> None:
        self._items, self._wake = items, wake
        self._taken: queue.Queue[tuple[ItemValue, Exception | None]] = queue.Queue(MOST_AHEAD)
        threading.Thread(target=self._take, daemon=True).start()

    def __next__(self) -> ItemValue:
        """Return the next item. Raises NotYet, StopIteration, and what the source raises."""
        try:
            item, end = self._taken.get_nowait()
        except queue.Empty:
            raise NotYet from None
        if end is not None:
            raise end
        return item

    def _take(self) -> None:
        end: Exception = StopIteration()
        try:
            for item in self._items:
                self._taken.put((item, None))
                self._wake()
        except Exception as error:  # it is raised where items are asked for
            end = error
        self._taken.put((None, end))
        self._wake()
