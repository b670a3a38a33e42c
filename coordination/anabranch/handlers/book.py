"""The book of a stream's handlers: what was begun, how each ended, and where its output lies.

Theory of operation. The book is a file of lines, each a JSON array, to which one program appends.
``["b", index, key, attempt, at, slot, text]`` says that a handler begins, before it does;
``["e", index, key, attempt, seconds, code, signal, why, offset, length, result]`` how it ended;
``["s", index, key, attempt]`` that an attempt leaves one out, as it is done. A
line is whole or it does not count: what a killed writer left half-written is cut off when the next
one opens the book. A handler that was begun and has no end is in doubt, and is named.

``key`` is what an item is known by over attempts: a hash of the item, of the command it gets, and
of the contents of the inputs that were declared.
So a retry, or a resumed run, goes on wherever the last one was, whatever the order of the ends.

Outputs lie behind each other in a pack; a line says where. Results likewise.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

BEGUN, ENDED, SKIPPED = "b", "e", "s"
KEY_BYTES = 9
LONGEST_TEXT = 200
IN_DOUBT = "killed with the program that ran it: how far it came is in doubt"
_AS_LINE = json.JSONEncoder(separators=(",", ":"))
_AS_TEXT = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


class Ended(NamedTuple):
    """How a handler ended: by ``code`` or by ``signal``; ``why`` if we ended it."""

    place: int
    key: str
    attempt: int
    seconds: float
    code: int | None
    signal: int | None
    why: str
    offset: int
    length: int
    result: tuple[int, int] | None

    @property
    def has_succeeded(self) -> bool:
        """Whether the item is done."""
        return self.code == 0 and not self.why


def key_of(value: Any, argv: list[str], inputs: str = "") -> str:
    """Return what an item with its command, and the contents of its inputs, is known by."""
    text = _AS_TEXT.encode([value, argv, inputs] if inputs else [value, argv])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).hexdigest()


def begun_line(place: int, key: str, attempt: int, at: float, slot: int, text: str) -> str:
    """Return the line that says that a handler begins, at a wall time, and what its item is."""
    shown = json.dumps(text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…")
    return f'["{BEGUN}",{place},"{key}",{attempt},{at:.3f},{slot},{shown}]\n'


def skipped_line(place: int, key: str, attempt: int) -> str:
    """Return the line that says that an attempt leaves out what is done."""
    return f'["{SKIPPED}",{place},"{key}",{attempt}]\n'


def ended_line(ended: Ended) -> str:
    """Return the line that says how a handler ended."""
    return f"{_AS_LINE.encode((ENDED, *ended))}\n"


def lines(path: str) -> Iterator[list[Any]]:
    """Yield the whole lines of a book, none if there is no book; what makes no sense is skipped."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as book:
        for line in book:
            if not line.endswith(b"\n"):
                return
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, list) and found and found[0] in (BEGUN, ENDED, SKIPPED):
                yield found


def ended_of(line: list[Any]) -> Ended:
    """Return what an ended line says."""
    result = tuple(line[10]) if line[10] else None
    return Ended._make([*line[1:10], result])


def done_keys(path: str) -> frozenset[str]:
    """Return the keys of the handlers that have succeeded."""
    return frozenset(
        line[2] for line in lines(path) if line[0] == ENDED and ended_of(line).has_succeeded
    )


def results_by_key(path: str, attempt: int | None = None) -> dict[str, tuple[int, int]]:
    """Return where the results lie of what has succeeded and left one, of one attempt or of all."""
    found: dict[str, tuple[int, int]] = {}
    for line in lines(path):
        if line[0] == ENDED and line[10] and attempt in (None, line[3]):
            ended = ended_of(line)
            if ended.has_succeeded and ended.result is not None:
                found[ended.key] = ended.result
    return found


class Begun(NamedTuple):
    """A handler that was begun: of which item, in which attempt and slot."""

    place: int
    key: str
    attempt: int
    slot: int


def in_doubt(path: str) -> dict[str, Begun]:
    """Return the items that were begun and have no end, by key: nobody knows how far they came."""
    open_ones: dict[str, Begun] = {}
    for line in lines(path):
        if line[0] == BEGUN:
            open_ones[line[2]] = Begun(line[1], line[2], line[3], line[5])
        elif line[0] == ENDED:
            open_ones.pop(line[2], None)
    return open_ones


def results_of_attempt(path: str, attempt: int) -> dict[int, tuple[int, int]]:
    """Return where the results lie of what is done by the end of an attempt, by place.

    Those that it left out, as they were done before, are among them; what the source has no more,
    or an earlier attempt did in a workspace that is gone, is not.
    """
    by_key: dict[str, tuple[int, int]] = {}
    found: dict[int, tuple[int, int]] = {}
    for line in lines(path):
        if line[0] == SKIPPED and line[3] == attempt and line[2] in by_key:
            found[line[1]] = by_key[line[2]]
        elif line[0] == ENDED and line[10]:
            ended = ended_of(line)
            if ended.has_succeeded and ended.result is not None:
                by_key[ended.key] = ended.result
                if ended.attempt == attempt:
                    found[ended.place] = ended.result
    return found


def cut_half_line(path: str) -> None:
    """Take away what a killed writer left half-written at the end of a book."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        end = at = os.fstat(descriptor).st_size
        while at > 0:
            begin = max(0, at - 4096)
            chunk = os.pread(descriptor, at - begin, begin)
            newline = chunk.rfind(b"\n")
            if newline >= 0:
                at = begin + newline + 1
                break
            at = begin
        if at < end:
            os.ftruncate(descriptor, at)
    finally:
        os.close(descriptor)
