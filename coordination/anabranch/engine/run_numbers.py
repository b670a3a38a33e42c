"""The order of runs: a number that each is given as it begins, one more than any before it.

Names of runs are times of day where somebody was, and clocks are put back: neither tells which run
is the latest. The number is kept in the run's folder and in its journal; what has none was begun by
an earlier version, and is older than anything that has one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anabranch.core.events import RunStarted
from anabranch.engine.journal import Journal
from anabranch.errors import AnabranchError
from anabranch.files import replace_whole, take_lock
from anabranch.paths import RunFolder
from anabranch.plain_files import open_plain, read_plain

LONGEST_NUMBER = 15
_PATIENCE_SECONDS = 2.0


def next_number(counter: Path, runs: Iterable[RunFolder]) -> int:
    """Return the number of a run that begins now.

    Args:
        counter: the file that holds the number given last, for all projects.
        runs: the project's runs so far, should the counter have been lost.

    Raises OSError.
    """
    highest = max((number_of(run) or 0 for run in runs), default=0)
    with _alone(counter) as file:
        number = 1 + max(highest, _number(os.pread(file, LONGEST_NUMBER + 1, 0)) or 0)
        os.pwrite(file, f"{number:{LONGEST_NUMBER}d}\n".encode(), 0)
    return number


def note_number(home: RunFolder, number: int) -> None:
    """Keep a run's number in its folder. Raises OSError."""
    replace_whole(home.number, f"{number}\n".encode())


def number_of(home: RunFolder) -> int | None:
    """Return the number in a run's folder, or None if there is none that can be read."""
    try:
        return _number(read_plain(home.number, LONGEST_NUMBER + 1))
    except OSError:
        return None


def newest_first(runs: Iterable[RunFolder]) -> list[RunFolder]:
    """Return runs in the order in which they began, the latest first."""
    return sorted(runs, key=_rank, reverse=True)


def _rank(home: RunFolder) -> tuple[bool, float, str]:
    number = number_of(home)
    if number is not None:
        return True, number, home.run
    number, began = _recorded(home)
    return (False, began, home.run) if number is None else (True, number, home.run)


def _recorded(home: RunFolder) -> tuple[int | None, float]:
    """Return what a journal knows: its number, and the time of day at which its run began."""
    try:
        journal = Journal.open(home.journal, "read")
    except AnabranchError:
        return None, 0.0
    try:
        first = next((r.event for r in journal.read(limit=1)), None)
        number = _number((journal.meta("number") or "").encode())
        return number, first.wall if isinstance(first, RunStarted) else 0.0
    except AnabranchError:
        return None, 0.0
    finally:
        journal.close()


def _number(written: bytes) -> int | None:
    text = written.strip()
    return int(text) if text.isdigit() and len(text) <= LONGEST_NUMBER else None


@contextmanager
def _alone(counter: Path) -> Iterator[int]:
    """Open the counter for nobody else, or for anybody if its lock is never given back."""
    file = open_plain(counter, flags=os.O_RDWR | os.O_CREAT)
    try:
        take_lock(file, _PATIENCE_SECONDS)
        yield file
    finally:
        os.close(file)
