"""Kept results of setups: where one lies, what is said of it, and which can be used.

A result is a folder with what was made (``tree``), what is said of that (``kept``) and what its
files are like (``stamps``). It is renamed into place when it is whole, and never changed again:
workspaces may stand on it. One that is found to be damaged is marked and not used any more, and a
later one lies beside it. Nobody removes one here: results age like other caches.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from anabranch.engine.caches import LOCK, mark_used
from anabranch.engine.git import repository_lock
from anabranch.engine.kept_setups import FOLDER
from anabranch.engine.kept_setups.made import as_made, stamps_of
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain
from anabranch.undecodable import UNDECODABLE

TREE, KEPT, DAMAGED = "tree", "kept", "damaged"


class NotKept(Exception):
    """What a setup has made cannot be used again; the message says why."""


class InTheWay(NotKept):
    """Something stands in a workspace where a result would lie: nothing is wrong with that."""


class Kept(msgspec.Struct, frozen=True):
    """What is said of a kept result: where it was made, and which text and links name that.

    One with ``second_names`` has files of several names, which layers would part.
    """

    workspace: str
    entries: tuple[str, ...]
    texts: tuple[str, ...]
    links: tuple[str, ...]
    seconds: float
    second_names: bool = False


def place_of(store: Path, key: str) -> Path:
    """Return where a result lies that can be used, or is to lie."""
    names = (key if number == 1 else f"{key}.{number}" for number in count(1))
    places = (store / FOLDER / name for name in names)
    return next(place for place in places if not (place / DAMAGED).exists())


def kept_in(place: Path) -> Kept:
    """Return what is said of a kept result. Raises OSError, ValueError."""
    found: Any = json.loads(read_plain(place / KEPT, LARGE_FILE_BYTES))
    return msgspec.convert(found, Kept)


def is_there(place: Path) -> bool:
    """Say whether a result is there, and note that it is used. Raises GitError, OSError."""
    try:
        if mark_used(place):
            return True
    except FileNotFoundError:
        return False
    with alone_with_all(place), suppress(FileNotFoundError):
        os.utime(place)
        return True
    return False


def is_whole(place: Path) -> bool:
    """Say whether all files of a result are as they were when it was kept."""
    try:
        kept_in(place)
    except (OSError, *UNDECODABLE):
        return False
    stamps = stamps_of(place)
    return len(as_made(place / TREE, stamps)) == len(stamps)


def mark_damaged(place: Path) -> None:
    """Have nobody use a result any more; who stands on it goes on to."""
    with suppress(OSError):
        (place / DAMAGED).touch()


@contextmanager
def alone_with_all(place: Path) -> Iterator[None]:
    """Hold the lock of all results: whoever adds or removes one does (see ``caches``)."""
    with repository_lock(place.parent / LOCK):
        yield
