"""The book of a stream's handlers: what was begun, how each ended, and where its output lies.

Theory of operation. The book is a file of lines, each a JSON array, to which one program appends.
``["b", index, key, attempt, at, slot, text]`` says that a handler begins, before it does;
``["e", index, key, attempt, seconds, code, signal, why, offset, length, result]`` how it ended;
``["s", index, key, attempt]`` that an attempt leaves one out, as it is done;
``["l", index, key, attempt]`` that an attempt leaves one as it has failed: nobody asked for it;
``["a", attempt, cause]`` that an attempt has heard what a person asks for, and does it;
``["n", attempt]`` that an attempt works where nothing is that was done before: of all above it
nothing counts as done any more; ``["x", attempt, why]`` that an attempt has not run all there is. A
line is whole and makes sense, or it does not count: what a killed writer left half-written is cut
off when the next one opens the book, and handlers can get at the file. A handler that was begun and
has no end is in doubt, and is named.

``key`` is what an item is known by over attempts: a hash of the item, of the command it gets, and
of the contents of the inputs that were declared.
So a retry, or a resumed run, goes on wherever the last one was, whatever the order of the ends.
Items that are the same, with the same command, have one key: of them as many are done as have
succeeded, and which ones is all the same.

Outputs lie behind each other in a pack; a line says where. Results likewise.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

from .digests import blake2b
from .plain import plain

BEGUN, ENDED, SKIPPED, LEFT, HEARD, ANEW, STOPPED = "b", "e", "s", "l", "a", "n", "x"
KEY_BYTES = 9
LONGEST_TEXT = 200
LONGEST_WHY = 2_000
LONGEST_LINE_BYTES = 512 * 1024
"""What is longer is nothing that we wrote."""
MOST = 2**53
"""Numbers are below this: what counts, and where anything lies."""
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
    shown = quoted(text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…")
    return f'["{BEGUN}",{place},"{key}",{attempt},{at:.3f},{slot},{shown}]\n'


def skipped_line(place: int, key: str, attempt: int) -> str:
    """Return the line that says that an attempt leaves out what is done."""
    return f'["{SKIPPED}",{place},"{key}",{attempt}]\n'


def left_line(place: int, key: str, attempt: int) -> str:
    """Return the line that says that an attempt leaves what has failed as it is."""
    return f'["{LEFT}",{place},"{key}",{attempt}]\n'


def heard_line(attempt: int, cause: int) -> str:
    """Return the line that says that what a person asks for is being done; ``cause`` names it."""
    return f'["{HEARD}",{attempt},{cause}]\n'


def anew_line(attempt: int) -> str:
    """Return the line that says that of what was done before nothing is there any more."""
    return f'["{ANEW}",{attempt}]\n'


def stopped_line(attempt: int, why: str) -> str:
    """Return the line that says why an attempt has not run all that there is."""
    return f"{_AS_LINE.encode((STOPPED, attempt, why[:LONGEST_WHY]))}\n"


def ended_line(ended: Ended) -> str:
    """Return the line that says how a handler ended."""
    place, key, attempt, seconds, code, number, why, offset, length, result = ended
    shown = quoted(why if len(why) <= LONGEST_WHY else f"{why[: LONGEST_WHY - 1]}…")
    exit_ = f"{_number(code)},{_number(number)}"
    lies = "null" if result is None else f"[{result[0]},{result[1]}]"
    which = f"{place},{quoted(key)},{attempt}"
    return f'["{ENDED}",{which},{seconds!r},{exit_},{shown},{offset},{length},{lies}]\n'


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def lines(path: str) -> Iterator[list[Any]]:
    """Yield the whole lines of a book, none if there is no book; what makes no sense is skipped."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb", opener=plain) as book:
        while line := book.readline(LONGEST_LINE_BYTES):
            if not line.endswith(b"\n"):
                continue
            try:
                found = json.loads(line)
                _check(found)
            except (ValueError, RecursionError):
                continue
            yield found


def _check(line: Any) -> None:
    """Raise ValueError unless a line makes sense."""
    kind = line[0] if isinstance(line, list) and line else None
    if kind == ENDED:
        ended_of(line)
    elif kind == BEGUN:
        begun_of(line)
    elif kind in (SKIPPED, LEFT):
        which_of(line)
    elif kind == STOPPED:
        stopped_of(line)
    elif kind == HEARD:
        heard_of(line)
    elif kind != ANEW or not _is_number(line[-1]):
        raise ValueError("no line of a book")


def which_of(line: list[Any]) -> tuple[int, str, int]:
    """Return place, key and attempt that a line is about. Raises ValueError if it names none."""
    place, key, attempt = line[1:4]
    if not (_is_number(place) and isinstance(key, str) and _is_number(attempt)):
        raise ValueError("no line of a book")
    return place, key, attempt


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def heard_of(line: list[Any]) -> tuple[int, int]:
    """Return which attempt has heard, and what. Raises ValueError if that makes no sense."""
    attempt, cause = line[1:3]
    if not (_is_number(attempt) and _is_number(cause)):
        raise ValueError("no line of a book")
    return attempt, cause


def stopped_of(line: list[Any]) -> tuple[int, str]:
    """Return which attempt has stopped, and why. Raises ValueError if that makes no sense."""
    attempt, why = line[1:3]
    if not (_is_number(attempt) and isinstance(why, str)):
        raise ValueError("no line of a book")
    return attempt, why


def ended_of(line: list[Any]) -> Ended:
    """Return what an ended line says. Raises ValueError if that makes no sense."""
    which = which_of(line)
    seconds, code, number, why, offset, length, result = line[4:11]
    if not (
        type(seconds) in (int, float)
        and 0 <= seconds < MOST
        and (code is None or (type(code) is int and abs(code) < MOST))
        and (number is None or _is_number(number))
        and isinstance(why, str)
        and _is_number(offset)
        and _is_number(length)
    ):
        raise ValueError("no end of a handler")
    if result is not None:
        if not (isinstance(result, list) and len(result) == 2 and all(map(_is_number, result))):
            raise ValueError("no place of a result")
        result = (result[0], result[1])
    return Ended(*which, seconds, code, number, why, offset, length, result)


def done_keys(path: str) -> Counter[str]:
    """Return how many handlers of each key have succeeded, where their work is."""
    done: Counter[str] = Counter()
    for line in lines(path):
        if line[0] == ANEW:
            done.clear()
        elif line[0] == ENDED and ended_of(line).has_succeeded:
            done[line[2]] += 1
    return done


def failed_keys(path: str) -> dict[int, str]:
    """Return by place as what each handler is known that failed last; one that did not has none."""
    found: dict[int, str] = {}
    for line in lines(path):
        if line[0] == SKIPPED or (line[0] == ENDED and ended_of(line).has_succeeded):
            found[line[1]] = ""
        elif line[0] == ENDED:
            found[line[1]] = line[2]
    return found


def results_by_key(path: str, attempt: int | None = None) -> dict[str, tuple[int, int]]:
    """Return where the results lie of what has succeeded and left one, of one attempt or of all."""
    found: dict[str, tuple[int, int]] = {}
    for line in lines(path):
        if line[0] == ANEW:
            found.clear()
        elif line[0] == ENDED and line[10] and attempt in (None, line[3]):
            ended = ended_of(line)
            if ended.has_succeeded and ended.result is not None:
                found[ended.key] = ended.result
    return found


class Begun(NamedTuple):
    """A handler that was begun: of which item, in which attempt and slot, at which wall time."""

    place: int
    key: str
    attempt: int
    slot: int
    at: float
    text: str


def begun_of(line: list[Any]) -> Begun:
    """Return what a begun line says; an old one has no text. Raises ValueError if it is none."""
    which = which_of(line)
    at, slot, *rest = line[4:7]
    text = rest[0] if rest else ""
    is_sound = type(at) in (int, float) and 0 <= at < MOST and isinstance(text, str)
    if not (is_sound and type(slot) is int and -1 <= slot < MOST):
        raise ValueError("no beginning of a handler")
    return Begun(*which, slot, at, text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT])


def in_doubt(path: str) -> list[Begun]:
    """Return the handlers that were begun and have no end: nobody knows how far they came."""
    open_ones: dict[tuple[int, str], Begun] = {}
    for line in lines(path):
        if line[0] == BEGUN:
            open_ones[line[1], line[2]] = begun_of(line)
        elif line[0] == ENDED:
            open_ones.pop((line[1], line[2]), None)
    return list(open_ones.values())


def results_of_attempt(path: str, attempt: int) -> dict[int, tuple[int, int]]:
    """Return where the results lie of what is done by the end of an attempt, by place.

    Those that it left out, as they were done before, are among them; what the source has no more,
    or an earlier attempt did in a workspace that is gone, is not.
    """
    by_key: defaultdict[str, deque[tuple[int, int] | None]] = defaultdict(deque)
    found: dict[int, tuple[int, int]] = {}
    for line in lines(path):
        if line[0] == ANEW:
            by_key.clear()
        elif line[0] == SKIPPED and line[3] == attempt and by_key.get(line[2]):
            results = by_key[line[2]]
            result = results.popleft() if len(results) > 1 else results[0]
            if result is not None:
                found[line[1]] = result
        elif line[0] == ENDED:
            ended = ended_of(line)
            if ended.has_succeeded:
                by_key[ended.key].append(ended.result)
                if ended.attempt == attempt and ended.result is not None:
                    found[ended.place] = ended.result
    return found


def cut_half_line(path: str) -> None:
    """Take away what a killed writer left half-written at the end of a book."""
    try:
        descriptor = plain(path, os.O_RDWR)
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
