"""What is kept of in-process handlers in a folder: the book, and the results of what is done.

The format is that of handlers of commands (:mod:`anabranch.handlers.book`). One process at a time
writes a folder; all its calls for that folder share one record.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from anabranch.errors import WorldError
from anabranch.files import take_lock
from anabranch.handlers import book
from anabranch.handlers.keeping import MOST_RESULT_BYTES, Ledger, Packs
from anabranch.in_process.outcomes import Counts, in_words
from anabranch.in_process.places import Place

LONGEST_TRACE = 64 * 1024
LONGEST_WHY = 300
NO_SLOT = -1
_OURS = os.path.join(os.path.dirname(__file__), "")

Span = tuple[int, int]


class NotKept(TypeError):
    """A result cannot be kept, so the handler has not done what it was asked for."""


class Kept(NamedTuple):
    """A handler that is done, and its result as it is kept."""

    value: Any


class Record:
    """The book of a folder and what belongs to it, as this process writes it."""

    def __init__(self, place: Place) -> None:
        """Open a folder, or make it.

        Raises WorldError if another process writes it, OSError if it cannot be written.
        """
        folder = place.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._is_in_stream = folder, place.is_in_stream
        self._lock = _locked(folder)
        path = f"{folder}/book"
        last, places = _last_attempt(path)
        self.attempt = place.attempt or last + 1
        self._places = count(places if self.attempt == last else 0)
        self.done = book.results_by_key(path, None if place.trusts_earlier else self.attempt)
        self.accounts: list[Counts] = []
        self._began = time.monotonic()
        doubts = book.in_doubt(path)
        self._ledger, self._packs = Ledger(path), Packs(str(folder))
        if not place.trusts_earlier and self.attempt > last > 0:
            self._ledger.note(book.anew_line(self.attempt))
        self._results = os.open(folder / "results.pack", os.O_RDONLY | os.O_CLOEXEC)
        for doubt in doubts:
            self._end(doubt.place, doubt.key, doubt.attempt, 0.0, code=None, why=book.IN_DOUBT)

    def begin(self, place: int, key: str, text: str) -> None:
        """Note that a handler begins, before it does."""
        line = book.begun_line(place, key, self.attempt, time.time(), NO_SLOT, text)
        self._ledger.note(line)
        self._ledger.write()

    def skip(self, place: int, key: str) -> None:
        """Note that a handler is left out, as it is done."""
        self._ledger.note(book.skipped_line(place, key, self.attempt))

    def succeed(self, place: int, key: str, seconds: float, text: bytes | None) -> None:
        """Note that a handler has succeeded, with its result as JSON if it is to be kept."""
        span = None if text is None else self._packs.keep_result(text)
        self._end(place, key, self.attempt, seconds, code=0, result=span)
        if span is not None:
            self.done[key] = span

    def fail(self, place: int, key: str, seconds: float, error: BaseException) -> None:
        """Note that a handler has failed; its trace is what it has to say."""
        trace = _trace(error)[-LONGEST_TRACE:]
        output = self._packs.keep_output(trace.encode("utf-8", "backslashreplace"))
        why = in_words(error)[:LONGEST_WHY]
        self._end(place, key, self.attempt, seconds, code=None, why=why, output=output)

    def result(self, span: Span) -> Kept | None:
        """Return a result that was kept; None if it is not whole: then nothing is proven done."""
        try:
            return Kept(json.loads(os.pread(self._results, span[1], span[0])))
        except (OSError, ValueError):
            return None

    def next_place(self) -> int:
        """Return where in the book the next handler stands."""
        return next(self._places)

    def write_counts(self) -> None:
        """Write down how many handlers have come how far, over all calls of this process."""
        self._ledger.write()
        found: dict[str, Any] = {
            name: sum(getattr(counts, name) for counts in self.accounts)
            for name in ("succeeded", "failed", "running")
        }
        ended = sum(counts.ended - counts.before for counts in self.accounts)
        found["total"] = sum(counts.expected or counts.total for counts in self.accounts)
        found["is_total_known"] = all(counts.expected is not None for counts in self.accounts)
        found["not_tried_again"] = 0
        found["rate"] = round(ended / max(time.monotonic() - self._began, 0.001), 3)
        beside = self._folder / "counts.new"
        beside.write_text(json.dumps(found), "utf-8")
        beside.replace(self._folder / "counts")

    def close(self) -> None:
        """Make everything durable, and let the folder go."""
        self._ledger.close()
        if self._is_in_stream:
            self._packs.write_results(self.attempt)
        self._packs.close()
        os.close(self._results)
        os.close(self._lock)

    def _end(
        self,
        place: int,
        key: str,
        attempt: int,
        seconds: float,
        *,
        code: int | None,
        why: str = "",
        output: Span = (0, 0),
        result: Span | None = None,
    ) -> None:
        ended = book.Ended(place, key, attempt, round(seconds, 4), code, None, why, *output, result)
        self._ledger.note(book.ended_line(ended))
        self._ledger.write()


def as_json(value: Any) -> bytes:
    """Return a result as it is kept. Raises NotKept."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotKept(f"its result cannot be kept, as it is not JSON: {error}") from None
    if len(text) > MOST_RESULT_BYTES:
        raise NotKept(f"its result has more than {MOST_RESULT_BYTES} bytes")
    return text


def _trace(error: BaseException) -> str:
    """Return the traceback of an error, from where the handler's own code begins."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename.startswith(_OURS):
        at = at.tb_next
    return "".join(traceback.format_exception(type(error), error, at))


# --- one record a folder -------------------------------------------------------------------------

_open: dict[tuple[int, str], tuple[Record, int]] = {}
_opening = threading.Lock()


@contextlib.contextmanager
def record_of(place: Place) -> Iterator[Record]:
    """Open the record of a folder, or share it with whoever in this process has it open.

    Raises WorldError if another process writes it, OSError if it cannot be written.
    """
    at = os.getpid(), os.path.realpath(place.folder)
    with _opening:
        record, users = _open[at] if at in _open else (Record(place), 0)
        _open[at] = record, users + 1
    try:
        yield record
    finally:
        with _opening:
            record, users = _open[at]
            if users > 1:
                _open[at] = record, users - 1
            else:
                del _open[at]
                record.close()


def _locked(folder: Path) -> int:
    """Return the lock of a folder. Raises WorldError if another process has it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if take_lock(lock, patience_seconds=0.5):
        return lock
    os.close(lock)
    raise WorldError(
        f"another program is at work on the run in {folder}", "wait for it, or name another run"
    )


def _last_attempt(path: str) -> tuple[int, int]:
    """Return the newest attempt in a book, and how many places it has used."""
    last = places = 0
    for line in book.lines(path):
        if line[0] == book.ANEW:
            continue
        place, attempt = line[1], line[3]
        if attempt >= last:
            places = max(places if attempt == last else 0, place + 1)
            last = attempt
    return last, places
