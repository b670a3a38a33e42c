"""What is noted of the handlers of one call: in a record, or nowhere if nobody asked for it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any, NamedTuple

from anabranch.errors import WorldError
from anabranch.handlers import book
from anabranch.in_process.identity import name_of, plain
from anabranch.in_process.outcomes import Counts
from anabranch.in_process.places import Place, Run, place_of
from anabranch.in_process.recording import Kept, Record, as_json, record_of
from anabranch.in_process.telling import say
from anabranch.in_process.threads import Threads


class Entry(NamedTuple):
    """Where in the book a handler stands, and what it is known by."""

    at: int = 0
    key: str = ""


class Account:
    """Notes nothing, and knows nothing from before."""

    is_in_stream = False

    def __init__(self) -> None:
        """Begin with no handlers."""
        self.counts = Counts()

    def identity(self, item: Any) -> str:
        """Return by what an item is known in another start. Raises NotKnowable."""
        return ""

    def known(self, identity: str) -> Kept | None:
        """Return the result of what is proven done."""
        return None

    def skip(self, identity: str) -> None:
        """Note that an item is left out, as it is done."""

    def enter(self, identity: str) -> Entry:
        """Give a handler its place in the book."""
        return Entry()

    def begin(self, entry: Entry, item: Any) -> None:
        """Note that a handler begins, before it does."""

    def succeed(self, entry: Entry, seconds: float, value: Any) -> Any:
        """Note that a handler has succeeded; return its result. Raises NotKept."""
        return value

    def fail(self, entry: Entry, seconds: float, error: BaseException) -> None:
        """Note that a handler has failed."""

    def write_counts(self) -> None:
        """Write down how many handlers have come how far."""


class Recorded(Account):
    """Notes everything in a record; with results, if somebody wants them in another start."""

    def __init__(self, record: Record, place: Place, call: Call) -> None:
        """Begin an account of one call in a record."""
        super().__init__()
        self.is_in_stream = place.is_in_stream
        self._record, self._call, self._keeps = record, call, place.keeps_results
        self._before = dict(record.done) if self._keeps else {}
        record.accounts.append(self.counts)

    def identity(self, item: Any) -> str:
        if not self._keeps:
            return ""
        item = item if self._call.key is None else self._call.key(item)
        return book.key_of(plain(item, "an item"), [self._call.known_by])

    def known(self, identity: str) -> Kept | None:
        if identity not in self._before:
            return None
        return self._record.result(self._before[identity])

    def skip(self, identity: str) -> None:
        self._record.skip(self._record.next_place(), identity)

    def enter(self, identity: str) -> Entry:
        at = self._record.next_place()
        return Entry(at, identity or book.key_of([self._record.attempt, at], []))

    def begin(self, entry: Entry, item: Any) -> None:
        text = item if isinstance(item, str) else reprlib.repr(item)
        self._record.begin(entry.at, entry.key, text)

    def succeed(self, entry: Entry, seconds: float, value: Any) -> Any:
        text = as_json(value) if self._keeps else None
        self._record.succeed(entry.at, entry.key, seconds, text)
        return value if text is None else json.loads(text)

    def fail(self, entry: Entry, seconds: float, error: BaseException) -> None:
        self._record.fail(entry.at, entry.key, seconds, error)

    def write_counts(self) -> None:
        with suppress(OSError):  # the book says it, too
            self._record.write_counts()


class Call(NamedTuple):
    """What tells one call's handlers from those of others.

    ``known_by`` is its function, and what else their results depend on; ``key`` makes of an item
    what that is known by.
    """

    known_by: str
    key: Callable[[Any], Any] | None


async def open_account(
    stack: AsyncExitStack,
    threads: Threads,
    function: Callable[..., Any],
    run: Run | None,
    key: Callable[[Any], Any] | None,
    version: Any,
) -> Account:
    """Open the account of a call; the stack closes it.

    Raises NotKnowable; WorldError if another process has the run, and OSError, unless nobody asked
    for it: then what a stream's handlers do is not accounted for, and its log says so.
    """
    place = place_of(run)
    if place is None:
        return Account()
    depends_on = [place.name, plain(version, "the version")]
    known_by = json.dumps([name_of(function), depends_on]) if place.keeps_results else ""
    files = ExitStack()
    stack.push_async_callback(_in_thread, threads, files.close)
    try:
        record = await _in_thread(threads, lambda: files.enter_context(record_of(place)))
    except (OSError, WorldError) as error:
        if place.keeps_results:
            raise
        say(f"handlers are not accounted for: {error}")
        return Account()
    return Recorded(record, place, Call(known_by, key))


async def _in_thread(threads: Threads, function: Callable[[], Any]) -> Any:
    """Call a function that waits for a disk, to its end whoever is cancelled."""
    return await threads.call(lambda _: function(), None, None, lambda: None)
