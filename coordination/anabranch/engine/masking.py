"""What must not be repeated of the files that a run took along or read: their secrets.

A log is what a stream wrote, and is kept raw. Where its lines become evidence (the tail that a
failure is judged by, a prompt, a report, the words on a screen), they come through here: values of
variables are masked wherever they stand, and a line that is a line of a small file is masked whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from anabranch.engine.log_reading import last_line, read_tail, unfinished_line
from anabranch.env_files import LARGEST_BYTES, BadEnvFile, variables_in
from anabranch.files import replace_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there, read_plain
from anabranch.undecodable import UNDECODABLE

MASK = "***"
SHORTEST_VALUE = 8
SHORTEST_LINE = 12
"""Shorter ones say little, and would blot out words that mean something else."""

LARGEST_TEXT_BYTES = 16 << 10
_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*=\s*(.*?)\s*$", re.MULTILINE)


class Masks(msgspec.Struct, frozen=True, dict=True):
    """The ``values`` to mask wherever they stand, and digests of lines to mask whole."""

    values: tuple[str, ...] = ()
    lines: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, values: Iterable[str], lines: Iterable[str]) -> Masks:
        """Return masks of what is long enough to be meant."""
        long_values = {v for v in (value.strip() for value in values) if len(v) >= SHORTEST_VALUE}
        long_lines = (text for line in lines if len(text := line.strip()) >= SHORTEST_LINE)
        digests = frozenset(_digest(text) for text in long_lines)
        return cls(tuple(sorted(long_values, key=_longest_first)), digests)

    def with_those_of(self, others: Masks) -> Masks:
        """Return masks of what either masks."""
        values = {*self.values, *others.values}
        return Masks(tuple(sorted(values, key=_longest_first)), self.lines | others.lines)

    def masked(self, text: str) -> str:
        """Return a line of a log as it may be repeated."""
        stripped = text.strip()
        if self.lines and len(stripped) >= SHORTEST_LINE and _digest(stripped) in self.lines:
            return MASK
        return self._pattern.sub(MASK, text) if self.values else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.values)))


_NO_MASKS = Masks()


def _longest_first(value: str) -> tuple[int, str]:
    return -len(value), value


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def note_masks(folder: RunFolder, masks: Masks) -> None:
    """Write down what must not be repeated in a run either. Raises OSError."""
    known = masks_of(folder)
    both = known.with_those_of(masks)
    if both != known:
        replace_whole(folder.masks, msgspec.msgpack.encode(both))


def note_variables(folder: RunFolder, place: Path, names: Iterable[str]) -> None:
    """Write down that what is in files of variables must not be repeated; ``names`` in a place.

    Raises OSError.
    """
    for name in names:
        text = read_plain(os.path.realpath(place / name), LARGEST_BYTES).decode("utf-8", "replace")
        lines = text.splitlines() if len(text) <= LARGEST_TEXT_BYTES else ()
        note_masks(folder, Masks.of(values_in(text), lines))


def values_in(text: str) -> list[str]:
    """Return the values in a file of variables; one that is not quite one is read line by line."""
    try:
        found = list(variables_in(text).values())
    except BadEnvFile:
        found = []
    bare = [value.strip("'\"") for value in _ASSIGNMENT.findall(text)]
    lines = [line for value in found for line in value.splitlines()]
    return [*lines, *bare]


def masks_of(folder: RunFolder) -> Masks:
    """Return what must not be repeated in a run; nothing where nothing is noted."""
    try:
        found = folder.masks.lstat()
    except OSError:
        return _NO_MASKS
    return _read(folder.masks, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, *known_by: int) -> Masks:
    try:
        content = read_if_there(path, LARGE_FILE_BYTES)
        return msgspec.msgpack.decode(content or b"", type=Masks)
    except (OSError, *UNDECODABLE):
        return _NO_MASKS


def masked_tail(log: Path, lines: int) -> list[str]:
    """Return the last lines of a run's log as they may be repeated."""
    masks = _masks_beside(log)
    return [masks.masked(line) for line in read_tail(log, lines)]


def masked_last_line(log: Path) -> str:
    """Return the last line of a run's log as it may be repeated."""
    return _masks_beside(log).masked(last_line(log))


def masked_unfinished_line(log: Path) -> str:
    """Return the last line of a run's log, if it has no end, as it may be repeated."""
    return _masks_beside(log).masked(unfinished_line(log))


def masked_beside(log: Path, line: str) -> str:
    """Return a line of a run's log as it may be repeated."""
    return _masks_beside(log).masked(line)


def _masks_beside(log: Path) -> Masks:
    return masks_of(RunFolder(log.parent.parent))
