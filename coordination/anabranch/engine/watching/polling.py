"""Noticing changes by comparing the stamps of files: exact, portable, a few seconds late."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileSystemEvent,
)

from anabranch.engine.watching.pruning import is_real_directory, list_directory
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

# More files than this in one workspace are not compared: the poll must not eat the machine.
FILES_LIMIT = 100_000

_MOUNTS = Path("/proc/self/mounts")
_SILENT_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "ceph", "cifs", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
        "vmhgfs",
    }
)  # fmt: skip


class Stamp(NamedTuple):
    """What tells one content of a file from another without reading it."""

    changed_ns: int
    size: int
    inode: int


Snapshot = Mapping[str, Stamp]


def take_snapshot(root: str) -> Snapshot:
    """Return the stamps of all files in a workspace that count, links themselves included."""
    stamps: dict[str, Stamp] = {}
    pending = [root]
    while pending and len(stamps) < FILES_LIMIT:
        for entry in list_directory(pending.pop()):
            if is_real_directory(entry):
                pending.append(entry.path)
            elif (stamp := stamp_of(entry)) is not None:
                stamps[entry.path] = stamp
    return stamps


def stamp_of(entry: os.DirEntry[str]) -> Stamp | None:
    """Return the stamp of one file, None if it is gone.

    The time is that of the inode: unlike the time of the content, nobody can set it back.
    """
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return Stamp(found.st_ctime_ns, found.st_size, found.st_ino)


def differences(before: Snapshot, after: Snapshot) -> Iterator[FileSystemEvent]:
    """Yield what must have happened between two snapshots of a workspace."""
    for path, stamp in after.items():
        earlier = before.get(path)
        if earlier is None:
            yield FileCreatedEvent(path)
        elif earlier != stamp:
            yield FileModifiedEvent(path)
    for path in before.keys() - after.keys():
        yield FileDeletedEvent(path)


def is_silent_file_system(path: str) -> bool:
    """Say whether ``path`` lies where others may write without the kernel here noticing."""
    kind = _file_system_of(os.path.realpath(path))
    return kind in _SILENT_FILE_SYSTEMS or kind.startswith("fuse")


def _file_system_of(path: str) -> str:
    try:
        lines = os.fsdecode(read_plain(_MOUNTS, LARGE_FILE_BYTES)).splitlines()
    except OSError:
        return ""
    found = ("", "")
    for line in lines:
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ")
        holds = path == point or path.startswith(point.rstrip("/") + "/")
        if holds and len(point) >= len(found[0]):
            found = (point, fields[2])
    return found[1]
