"""What runs of a project teach, kept between them: one file, by machine.

A duration on one machine says nothing about another one, and the state folder may lie on a disk
that several share. Each work keeps its newest few samples, one a run; a run that goes on, and ends
once more, replaces its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from anabranch.core.plans.estimates import Learned, Sample
from anabranch.core.plans.plan import Work
from anabranch.files import replace_whole, take_lock
from anabranch.paths import ProjectFolder
from anabranch.plain_files import read_if_there
from anabranch.undecodable import UNDECODABLE

MOST_SAMPLES = 20
"""As many as 19 of 20 can be told from."""
MOST_WORKS = 5_000
"""Of more, those that were done longest ago are forgotten."""
LONGEST_COMMAND = 4_096
"""Longer ones are made by programs, and never the same."""
MOST_BYTES = 64 << 20
PATIENCE_SECONDS = 2.0
_IDENTITIES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


class _Kept(msgspec.Struct, frozen=True):
    """The file: what was learned on each machine, the work that was done last at the end."""

    machines: dict[str, list[tuple[Work, tuple[Sample, ...]]]] = {}


def read_learned(project: ProjectFolder, machine: str | None = None) -> Learned:
    """Return what earlier runs of a project teach; a file that cannot be read teaches nothing.

    Args:
        project: whose runs.
        machine: where they were; default: here.
    """
    kept = _read(project.durations)
    return Learned(dict(kept.machines.get(machine or this_machine(), ())))


def learn(
    project: ProjectFolder, samples: Mapping[Work, Sample], machine: str | None = None
) -> None:
    """Add what a run teaches. Raises OSError if it cannot be written."""
    if not samples:
        return
    folder = os.open(project.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_lock(
            folder, PATIENCE_SECONDS
        )  # in vain, what another run teaches may be lost: so be it
        kept = _with_samples(_read(project.durations), machine or this_machine(), samples)
        replace_whole(project.durations, msgspec.json.encode(kept))
    finally:
        os.close(folder)


def _with_samples(kept: _Kept, machine: str, samples: Mapping[Work, Sample]) -> _Kept:
    works = dict(kept.machines.get(machine, ()))
    for work, sample in samples.items():
        if len(work.command) <= LONGEST_COMMAND:
            others = [one for one in works.pop(work, ()) if one.run != sample.run]
            works[work] = (*others, sample)[-MOST_SAMPLES:]
    return _Kept(kept.machines | {machine: list(works.items())[-MOST_WORKS:]})


def this_machine() -> str:
    """Return what this machine is known by: its identity, and how many processors it has."""
    identity = next(filter(None, map(_identity, _IDENTITIES)), os.uname().nodename.encode())
    return blake2b(b"%s %d" % (identity, os.cpu_count() or 1), digest_size=6).hexdigest()


def _identity(path: str) -> bytes:
    try:
        return (read_if_there(path, 4096) or b"").strip()
    except OSError:
        return b""


def _read(path: Path) -> _Kept:
    try:
        content = read_if_there(path, MOST_BYTES)
        return msgspec.json.decode(content, type=_Kept) if content else _Kept()
    except (OSError, *UNDECODABLE):
        return _Kept()
