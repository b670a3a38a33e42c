"""Telling a full disk from other reasons why something failed: it passes, so it is waited for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from anabranch.engine import workspaces as ws
from anabranch.errors import DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "Out of diskspace")
LEAST_ROOM_BYTES = 64 * 1024

T = TypeVar("T")


class OutOfRoom(Exception):
    """The disk is full; the effect can be tried again later."""


def given_room(places: Sequence[Path], work: Callable[[], T]) -> T:
    """Do some work that writes to ``places``; raises OutOfRoom if it failed for a full disk."""
    try:
        return work()
    except (OSError, ws.GitError, DiskFull) as error:
        raise_if_full(error, places)
        raise


def raise_if_full(error: Exception, places: Sequence[Path]) -> None:
    """Raise OutOfRoom if it is for want of room that something failed."""
    if is_for_want_of_room(error, places):
        raise OutOfRoom("the disk is full") from error


def is_for_want_of_room(error: Exception, places: Sequence[Path]) -> bool:
    """Whether something failed because a disk is full.

    git says it in many ways, and not always: so the disks are looked at, too.
    """
    is_told = isinstance(error, DiskFull)
    is_told = is_told or (isinstance(error, OSError) and error.errno in _FULL)
    text = error.stderr + error.reason if isinstance(error, ws.GitError) else str(error)
    is_told = is_told or any(words in text for words in _FULL_WORDS)
    return is_told or any(map(_is_full, places))


def _is_full(place: Path) -> bool:
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    has_no_files = found.f_files > 0 and found.f_favail == 0
    return found.f_bavail * found.f_frsize < LEAST_ROOM_BYTES or has_no_files
