"""What is kept of a project to be used again by later workspaces, by kind.

One table for all: whoever adds a cache adds a row, and it is counted and ages like the others. An
entry is a folder. When it was used last is the time on it (:func:`mark_used`); whoever makes one,
or takes one away, holds the lock of its kind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

LOCK = "freezing.lock"
MOST_AGE_SECONDS = 14 * 86_400.0
"""What nothing has used for so long is not worth its room."""
LEAST_AGE_SECONDS = 900.0
"""What was used of late may be below a workspace that is not on record yet: it is never removed."""
MARKED_FRESH_SECONDS = 300.0


class CacheKind(msgspec.Struct, frozen=True):
    """A kind of cache: where its entries lie in the project's store, and what people call it."""

    folder: str
    name: str


class Aged(msgspec.Struct, frozen=True):
    """What became of an entry of a cache: ``removed``, ``found`` (a rehearsal) or ``kept``.

    ``bytes`` is what it takes of the disk, ``age_seconds`` how long nothing has used it.
    """

    kind: str
    path: str
    outcome: str
    bytes: int
    age_seconds: float
    reason: str = ""


POOL = CacheKind("pool", "checkouts made ahead")

CACHES = (
    CacheKind("bases", "frozen checkouts"),
    POOL,
    CacheKind("included", "copies of ignored files"),
    CacheKind("setups", "results of setups"),
)


def entries(store: Path, kind: CacheKind) -> Iterator[Path]:
    """Yield the entries of a cache, those that were never finished too. Raises OSError."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(store / kind.folder):
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def mark_used(entry: Path) -> bool:
    """Note that an entry is used now; False if the lock is needed for it, as it may be removed.

    Raises FileNotFoundError if it is not there.
    """
    if time.time() - entry.stat().st_mtime > MARKED_FRESH_SECONDS:
        return False
    os.utime(entry)
    return True
