"""The ends of a stream's handlers as news for the engine: read from their book, each once.

Theory of operation. The state says up to where in the book everything was told; a look goes on from
there, whole lines only, so many at a time. What an end means depends on lines before it: of which
item it is, and whether the attempt had tried it before. Of those only what is still open is kept
in memory: the items of handlers that run, how often each one that failed was tried, and which ones
the attempt left as they had failed. Whoever
begins in the middle of a book, as after a resume, reads that from its beginning, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import BinaryIO, NamedTuple

from anabranch.core.events import HandlerFinished
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.inputs import HandlersSeen
from anabranch.engine.handler_book import decoded_line
from anabranch.handlers.book import (
    BEGUN,
    ENDED,
    HEARD,
    LEFT,
    LONGEST_LINE_BYTES,
    SKIPPED,
    STOPPED,
    Ended,
    begun_of,
    ended_of,
    heard_of,
    stopped_of,
    which_of,
)
from anabranch.hostile_text import shortened
from anabranch.plain_files import open_plain

MOST_ENDS = 250
"""How many ends are told at once: others wait no longer than for that."""
LOOK_BYTES = 512 * 1024
LONGEST_REASON = 500


class _Begun(NamedTuple):
    item: str
    at: float
    slot: int


_UNKNOWN = _Begun("", 0.0, 0)


class HandlerEnds:
    """Reads how the handlers of one stream have ended."""

    def __init__(self, stream: StreamId, path: Path, started_wall: float) -> None:
        """Prepare; nothing is read yet.

        Args:
            stream: whose handlers they are.
            path: their book.
            started_wall: when the run began, in seconds since 1970.
        """
        self._stream, self._path, self._started_wall = stream, path, started_wall
        self._begin_anew()

    @property
    def open_count(self) -> int:
        """How many handlers have begun and not ended, as of the last look."""
        return len(self._begun)

    @property
    def still_failed(self) -> Set[int]:
        """The places of those that the newest attempt has left as they had failed."""
        return self._still_failed

    def _begin_anew(self) -> None:
        self._offset = self._heard = 0
        self._attempt = Attempt(0)
        self._begun: dict[int, _Begun] = {}
        self._failures: dict[int, int] = {}
        self._still_failed: set[int] = set()
        self._left = 0
        self._taken_up: list[Seq] = []
        self._stopped = ""

    def look(self, heard: int) -> HandlersSeen | None:
        """Return what the book says beyond ``heard`` bytes of it, None if it is nothing to tell.

        There may be more when something is returned. Raises OSError if it cannot be read.
        """
        try:
            with open(open_plain(self._path), "rb") as file:
                if heard != self._heard:
                    self._begin_anew()
                    self._read_up_to(file, heard)
                return self._read_on(file)
        except FileNotFoundError:
            return None

    def _read_up_to(self, file: BinaryIO, heard: int) -> None:
        """Take note of what was told by somebody before us."""
        while self._offset < heard:
            before = self._offset
            for line, end in _lines(file, self._offset):
                if end > heard:
                    break
                self._take(line, end)
            if self._offset == before:  # the book is shorter than it was
                break
        self._offset = self._heard = heard

    def _read_on(self, file: BinaryIO) -> HandlersSeen | None:
        since, ended, skipped = self._heard, list[HandlerFinished](), 0
        self._stopped, self._left, self._taken_up = "", 0, []
        while not (ended or skipped or self._left or self._taken_up or self._stopped):
            before = self._offset
            for line, end in _lines(file, self._offset):
                found = self._take(line, end)
                if isinstance(found, HandlerFinished):
                    ended.append(found)
                else:
                    skipped += found
                if len(ended) == MOST_ENDS:
                    break
            if self._offset == before:
                return None
        # Heard is what the state will say: where others begin behind the last end is not told.
        reaches_further = skipped or self._left or self._taken_up or self._stopped
        self._heard = self._offset if reaches_further else ended[-1].book_offset
        return HandlersSeen(
            stream=self._stream,
            attempt=self._attempt,
            since=since,
            book_offset=self._heard,
            ended=tuple(ended),
            skipped=skipped,
            left=self._left,
            heard=tuple(self._taken_up),
            stopped=self._stopped,
        )

    def _take(self, data: bytes, end: int) -> HandlerFinished | int:
        """Take one line; return the end it tells of, or how many handlers it says are left out."""
        self._offset = end
        line = decoded_line(data)
        try:
            kind = line[0] if isinstance(line, list) else None
            if kind == ENDED:
                return self._finished(ended_of(line), end)
            if kind == STOPPED:
                attempt, why = stopped_of(line)
                self._attempt = Attempt(max(self._attempt, attempt))
                self._stopped = shortened(why, LONGEST_REASON)
            if kind == HEARD:
                attempt, cause = heard_of(line)
                self._taken_up.append(Seq(cause))
            if kind not in (BEGUN, SKIPPED, LEFT):
                return 0
            place, _, attempt = which_of(line)
            if attempt > self._attempt:
                self._attempt = attempt
                self._failures.clear()
                self._still_failed.clear()
            if kind == SKIPPED:
                return 1
            if kind == LEFT:
                self._left += 1
                self._still_failed.add(place)
                return 0
            begun = begun_of(line)
            self._begun[place] = _Begun(begun.text, begun.at, begun.slot)
        except (TypeError, ValueError, IndexError):
            pass  # a line that makes no sense, or one of another version
        return 0

    def _finished(self, ended: Ended, end: int) -> HandlerFinished:
        self._attempt = max(self._attempt, ended.attempt)
        tries = self._failures.get(ended.place, 0) + 1
        if not ended.has_succeeded:
            self._failures[ended.place] = tries
        begun = self._begun.pop(ended.place, _UNKNOWN)
        was_left = ended.place in self._still_failed
        self._still_failed.discard(ended.place)
        return HandlerFinished(
            stream=self._stream,
            attempt=ended.attempt,
            handler=ended.place,
            item=begun.item,
            outcome="succeeded" if ended.has_succeeded else "failed",
            exit_code=ended.code,
            signal=ended.signal,
            reason=shortened(ended.why, LONGEST_REASON),
            seconds=ended.seconds,
            began_at=round(max(0.0, begun.at - self._started_wall), 3),
            slot=begun.slot,
            tries=tries,
            was_left=was_left,
            book_offset=end,
        )


def all_ends(ends: HandlerEnds) -> Iterator[HandlerFinished]:
    """Yield every end that a book tells of. Raises OSError if it cannot be read."""
    seen = ends.look(0)
    while seen is not None:
        yield from seen.ended
        seen = ends.look(seen.book_offset)


def _lines(file: BinaryIO, offset: int) -> Iterator[tuple[bytes, int]]:
    """Yield some whole lines from an offset on, each with where it ends, and none at the end.

    What is longer than any line of ours is yielded in pieces: it makes no sense.
    """
    file.seek(offset)
    data = file.read(LOOK_BYTES)
    if len(data) == LOOK_BYTES and b"\n" not in data:
        data += file.read(LONGEST_LINE_BYTES)
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) >= LONGEST_LINE_BYTES:
        whole = len(data)
    for line in data[:whole].splitlines(keepends=True):
        offset += len(line)
        yield line, offset
