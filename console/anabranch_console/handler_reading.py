"""The handlers of one stream as they are to be listed, for a thread that is not the console's.

A book of a hundred thousand handlers takes seconds to read and a tenth of one to sort. So each
call reads a piece, and says when another one is wanted; what is listed is put in order anew once a
second at most, so that rows do not jump, and at once when another order is wished for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anabranch.engine.handler_book import Handler, HandlerBook, HandlerState
from anabranch.engine.handler_output import OutputEnd, end_of_output
from anabranch_console.presenters.handler_lines import PLACE, text_of
from anabranch_console.text_filter import TextFilter

PIECE_BYTES = 1024 * 1024
LISTING_SECONDS = 1.0

_URGENCY = (HandlerState.FAILED, HandlerState.RUNNING, HandlerState.SUCCEEDED)
_STATES = {state: at for at, state in enumerate(_URGENCY)}
_SORT_KEYS: Mapping[str, Callable[[Handler, float], Any]] = {
    PLACE: lambda handler, wall: handler.place,
    "item": lambda handler, wall: handler.text,
    "state": lambda handler, wall: (_STATES[handler.state], handler.place),
    "seconds": lambda handler, wall: handler.seconds(wall),
    "tries": lambda handler, wall: handler.tries,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which handlers are to be listed, in which order, and of which one the output is wanted."""

    sort: str = PLACE
    is_reversed: bool = False
    filter: TextFilter = field(default_factory=TextFilter)
    chosen: int | None = None

    def lists_as(self, other: Wish | None) -> bool:
        """Return whether another wish is for the same rows in the same order."""
        if other is None:
            return False
        return (self.sort, self.is_reversed, self.filter.text) == (
            other.sort,
            other.is_reversed,
            other.filter.text,
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """Handlers in their order.

    Args:
        rows: the handlers.
        failed: where those stand that have failed, in order.
        total: how many there are, those that the filter hides too.
        total_failed: how many of all have failed.
        chosen: the one whose output was wished for; None if there is no such handler.
        chosen_at: where it stands, None if it is not listed.
        output: what that one wrote; None if that could not be told for sure just now.
        again_seconds: after how long there is more to list; None if that is not known.
        is_whole: whether the book has been read to its end.
        problem: why there is nothing to list, if something is wrong.
    """

    rows: Sequence[Handler] = ()
    failed: Sequence[int] = ()
    total: int = 0
    total_failed: int = 0
    chosen: Handler | None = None
    chosen_at: int | None = None
    output: OutputEnd | None = None
    again_seconds: float | None = None
    is_whole: bool = False
    problem: str = ""


class HandlerReader:
    """Reads on at each call. One thread at a time may call it.

    Args:
        folder: where what is kept of the stream's handlers lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book = HandlerBook(folder / "book")
        self._wish: Wish | None = None
        self._listed = Listing()
        self._listed_at = 0.0
        self._is_stale = True
        self._known: tuple[Handler, OutputEnd] | None = None

    def read(self, wish: Wish, now: float, wall: float) -> Listing:
        """Read a piece on and return what is wished for.

        Args:
            wish: the rows and the output.
            now: a monotonic time in seconds.
            wall: the time in seconds since 1970.

        Raises OSError if the book cannot be read.
        """
        before, was_behind = self._handler(wish), self._book.has_more
        said = self._output_of(before)
        self._is_stale |= bool(self._book.look(PIECE_BYTES))
        is_due = now - self._listed_at >= LISTING_SECONDS or not self._listed.rows
        is_read_now = was_behind and not self._book.has_more
        if not wish.lists_as(self._wish) or (self._is_stale and (is_due or is_read_now)):
            self._list(wish, now, wall)
        chosen = self._handler(wish)
        if chosen is not None and chosen.ended is not None:
            said = self._output_of(chosen)
        elif chosen is not before or self._book.has_more:
            said = None  # what its slot held may be another one's
        at, again = self._where(chosen), self._again_seconds(now)
        listed = self._listed
        return Listing(
            listed.rows,
            listed.failed,
            listed.total,
            listed.total_failed,
            chosen,
            at,
            said,
            again,
            is_whole=not self._book.has_more,
        )

    def _handler(self, wish: Wish) -> Handler | None:
        return None if wish.chosen is None else self._book.handlers.get(wish.chosen)

    def _output_of(self, handler: Handler | None) -> OutputEnd | None:
        if handler is None:
            return None
        if self._known is not None and self._known[0] is handler and handler.ended is not None:
            return self._known[1]
        found = end_of_output(self._folder, handler)
        self._known = (handler, found)
        return found

    def _again_seconds(self, now: float) -> float | None:
        if self._book.has_more:
            return 0.0
        return max(0.0, self._listed_at + LISTING_SECONDS - now) if self._is_stale else None

    def _list(self, wish: Wish, now: float, wall: float) -> None:
        handlers, key = self._book.handlers.values(), _SORT_KEYS[wish.sort]
        total_failed = sum(map(has_failed, handlers))
        wanted = wish.filter
        rows = [h for h in handlers if wanted.is_empty or wanted.matches(text_of(h))]
        rows.sort(key=lambda handler: handler.place)
        if wish.sort != PLACE or wish.is_reversed:
            rows.sort(key=lambda handler: key(handler, wall), reverse=wish.is_reversed)
        failed = [at for at, handler in enumerate(rows) if has_failed(handler)]
        self._listed = Listing(rows, failed, len(handlers), total_failed)
        self._wish, self._listed_at, self._is_stale = wish, now, False

    def _where(self, chosen: Handler | None) -> int | None:
        if chosen is None:
            return None
        rows = self._listed.rows
        return next((at for at, row in enumerate(rows) if row.place == chosen.place), None)


def has_failed(handler: Handler) -> bool:
    """Return whether a handler has ended, and not well."""
    return handler.ended is not None and not handler.ended.has_succeeded
