"""Telling what a machine is short of from other reasons why something failed: it passes.

An errno of our own calls is certain. What git and the programs it starts say is only words, and a
stream may have written them; so the machine is tried: can a file still be written, a process be
started, a descriptor be had? Words that no trial confirms are waited for too, but not for ever.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from anabranch.engine import workspaces as ws
from anabranch.errors import DiskFull, MachineShort
from anabranch.files import write_fresh
from anabranch.shortage import (
    LEAST_ROOM_BYTES,
    in_words,
    shortage_in,
    shortage_of,
    shortage_of_disk,
)

SPARE_DESCRIPTORS = 16


class Want(msgspec.Struct, frozen=True):
    """What is short, in words; ``is_certain`` unless only words say so."""

    what: str
    is_certain: bool


def want_of(error: BaseException, places: Sequence[Path], own: Path) -> Want | None:
    """Return what the machine was short of when work failed; None if nothing.

    git says it in many ways, and not always: so the disks are looked at, too. Blocks for moments.

    Args:
        error: what the work ended with.
        places: where it wrote.
        own: a folder of the engine's own, in which it may be tried whether one can write.
    """
    certain = _certain(error) or (_certain(error.__cause__) if error.__cause__ else None)
    if certain:
        return Want(certain, True)
    of_a_disk = next(filter(None, map(shortage_of_disk, places)), None)
    if of_a_disk:
        return Want(of_a_disk, True)
    said = shortage_in(error.stderr + error.reason if isinstance(error, ws.GitError) else "")
    return None if said is None else Want(said, not _has_all(own))


def _certain(error: BaseException) -> str | None:
    if isinstance(error, DiskFull):
        return in_words(errno.ENOSPC)
    return error.message if isinstance(error, MachineShort) else shortage_of(error)


def _has_all(own: Path) -> bool:
    """Try whether the machine has what work usually needs."""
    try:
        _write_there(own)
        with ExitStack() as taken:
            for _ in range(SPARE_DESCRIPTORS):
                taken.enter_context(socket.socket(socket.AF_UNIX))
        subprocess.run(["/bin/true"], check=False, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _write_there(place: Path) -> None:
    trial = place / f".trial-{os.urandom(8).hex()}"
    try:
        write_fresh(trial, b"\0" * LEAST_ROOM_BYTES, synced=True)
    finally:
        with suppress(OSError):
            trial.unlink()
