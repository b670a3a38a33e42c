"""The book of a stream's handlers as somebody reads it who does not write it: while it grows.

Theory of operation. The book is read on from where the last look ended, whole lines only, so that
a look costs what is new. At each place stands what was said of it last: what a newer attempt left
out, as it was done before, as it ended then.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from anabranch.errors import WorldError
from anabranch.handlers.book import (
    BEGUN,
    ENDED,
    LEFT,
    SKIPPED,
    Begun,
    Ended,
    begun_of,
    ended_of,
    which_of,
)
from anabranch.plain_files import open_plain
from anabranch.undecodable import UNDECODABLE

LOOK_BYTES = 8 * 1024 * 1024
_NO_SLOT = -1
_LINE = msgspec.json.Decoder()


class HandlerState(StrEnum):
    """How far a handler is. What ended in doubt has failed: nobody knows how far it came."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Handler(NamedTuple):
    """A handler as the book has it last.

    ``began_at`` is a wall time in seconds since 1970; ``tries`` counts how often it was begun, over
    all attempts; ``slot`` is where a running one writes. ``left_by`` is the attempt that has left
    it as it had failed, 0 if none has.
    """

    place: int
    key: str
    text: str
    attempt: int
    began_at: float
    tries: int
    slot: int
    ended: Ended | None = None
    left_by: int = 0

    @property
    def state(self) -> HandlerState:
        if self.ended is None:
            return HandlerState.RUNNING
        return HandlerState.SUCCEEDED if self.ended.has_succeeded else HandlerState.FAILED

    def seconds(self, wall: float) -> float:
        """Return how long it took, or has taken by a wall time."""
        return max(0.0, wall - self.began_at) if self.ended is None else self.ended.seconds


class HandlerBook:
    """Every handler of a stream, by the place of its item, as of the last look.

    ``has_more`` says that the last look did not come to the end of what was there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        self.attempt = 0
        self.has_more = True
        self.handlers: dict[int, Handler] = {}
        self._done: dict[str, Handler] = {}
        self._tries: dict[str, int] = {}

    def look(self, most_bytes: int = LOOK_BYTES) -> list[int]:
        """Read on, and return the places of what has changed, in order; empty if nothing has.

        A book of many megabytes takes several looks. Raises OSError if it cannot be read.
        """
        data = self._read_on(most_bytes)
        changed: dict[int, None] = {}
        for line in data.split(b"\n"):
            place = self._take(decoded_line(line))
            if place is not None:
                changed[place] = None
        return list(changed)

    def _read_on(self, most_bytes: int) -> bytes:
        try:
            with open(open_plain(self._path), "rb") as file:
                file.seek(self.offset)
                data = file.read(most_bytes)
        except FileNotFoundError:
            self.has_more = False
            return b""
        whole = data[: data.rfind(b"\n") + 1]
        self.has_more = len(data) == most_bytes and bool(whole)
        self.offset += len(whole)
        return whole

    def _take(self, line: Any) -> int | None:
        try:
            kind = line[0] if isinstance(line, list) else None
            if kind not in (BEGUN, SKIPPED, LEFT, ENDED):
                return None
            place, key, attempt = which_of(line)
            if kind == BEGUN:
                self._begin(begun_of(line))
            elif kind == SKIPPED and key in self._done:
                self.handlers[place] = self._done[key]._replace(place=place)
            elif kind == LEFT and place in self.handlers:
                self.handlers[place] = self.handlers[place]._replace(left_by=attempt)
            elif kind == ENDED:
                self._end(ended_of(line))
        except (TypeError, ValueError, IndexError):
            return None  # a line that makes no sense, or one of another version
        self.attempt = max(self.attempt, attempt)
        return place

    def _begin(self, begun: Begun) -> None:
        place, key, attempt, slot, at, text = begun
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        self.handlers[place] = Handler(place, key, text, attempt, at, tries, slot)

    def _end(self, ended: Ended) -> None:
        begun = self.handlers.get(ended.place)
        if begun is None or begun.key != ended.key:
            begun = Handler(ended.place, ended.key, "", ended.attempt, 0.0, 0, _NO_SLOT)
        place, key, text, attempt, began_at, tries, *_ = begun
        handler = Handler(place, key, text, attempt, began_at, tries, _NO_SLOT, ended)
        self.handlers[ended.place] = handler
        if ended.has_succeeded:
            self._done[ended.key] = handler


def read_whole(path: Path) -> HandlerBook:
    """Return a book as it stands. Raises OSError if it cannot be read."""
    found = HandlerBook(path)
    while found.has_more:
        found.look()
    return found


def decoded_line(line: bytes) -> Any:
    """Return what a line of a book holds, None if that makes no sense.

    Items and reasons may hold bytes that are not text; those are shown as the stream's log does.
    """
    try:
        return _LINE.decode(line)
    except UNDECODABLE:
        return _with_bytes_shown(line)


def _with_bytes_shown(line: bytes) -> Any:
    try:
        found = json.loads(line)
    except UNDECODABLE:
        return None
    return [_shown(part) for part in found] if isinstance(found, list) else None


def _shown(part: Any) -> Any:
    is_text = isinstance(part, str)
    return part.encode("utf-8", "backslashreplace").decode() if is_text else part


def unreadable(error: OSError) -> WorldError:
    """Return what to say where a book cannot be read; a handler may have taken its place."""
    return WorldError(f"the book of the handlers cannot be read: {error.strerror}")
