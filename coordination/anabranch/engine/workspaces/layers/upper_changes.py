"""What has changed in a workspace of layers: its upper layer says it, no other is looked at.

There a changed or new file lies whole, a removed one is a character device 0:0, and a folder that
took the place of another one carries the attribute ``opaque`` (kernel documentation,
overlayfs.rst). A renamed folder is left to git, as is whatever is not plain.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from anabranch.engine.workspaces.direct.folder_changes import (
    NOTHING_INCLUDED,
    FolderChanges,
    NotDirect,
    Reading,
    require_no_repository,
)
from anabranch.engine.workspaces.direct.index_file import IndexEntry, mode_of
from anabranch.engine.workspaces.including.listing import IncludedFile

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_RENAMED = ("trusted.overlay.redirect", "user.overlay.redirect")
_DEEPEST = 64


def upper_changes(
    folder: str,
    upper: str,
    before: Mapping[bytes, IndexEntry],
    written_ns: int,
    object_format: str,
    included: Mapping[bytes, IncludedFile] = NOTHING_INCLUDED,
) -> FolderChanges:
    """Return what :func:`folder_changes` would, found in the upper layer.

    Args:
        folder: where the layers are shown.
        upper: the layer of what has changed since they were laid.
        before: the entries of the index, by path.
        written_ns: when that was written, by the disk's clock.
        object_format: the hash of the repository.
        included: what a lower layer shows besides, and is nobody's change.

    Raises NotDirect if not all of it is plain, OSError.
    """
    reading = Reading(folder, before, written_ns, object_format, included)
    looking = _Looking(os.fsencode(upper), reading)
    looking.look_at(b"", 0)
    return looking.reading.changes(looking.covered)


class _Looking:
    """A walk through an upper layer; ``covered`` are paths below it that it hides."""

    def __init__(self, upper: bytes, reading: Reading) -> None:
        self._upper = upper
        self.reading = reading
        self.covered: set[bytes] = set()
        self._paths: Sequence[bytes] = tuple(reading.before)  # an index is in order

    def look_at(self, prefix: bytes, depth: int) -> None:
        if depth > _DEEPEST:
            raise NotDirect("folders are nested deeply")
        folder, shown = os.path.join(self._upper, prefix), self.reading.shown(prefix)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name != b".git" or prefix:
                    self._look_at_entry(prefix + entry.name, entry, depth)
        is_empty = bool(prefix) and not os.listdir(shown)
        self.reading.odd.look_at_folder(os.lstat(shown), is_empty=is_empty)

    def _look_at_entry(self, path: bytes, entry: os.DirEntry[bytes], depth: int) -> None:
        if entry.is_dir(follow_symlinks=False):
            self.covered.update({path} & self.reading.before.keys())
            self._look_at_attributes(path, entry.path)
            require_no_repository(entry.name)
            self.look_at(path + b"/", depth + 1)
            return
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            self._cover(path)
        elif not mode_of(found):
            raise NotDirect("a pipe, a socket or a device is there")
        else:
            self._cover(path + b"/")
            self.reading.look_at(path, os.lstat(self.reading.shown(path)))

    def _look_at_attributes(self, path: bytes, place: bytes) -> None:
        names = os.listxattr(place, follow_symlinks=False)
        if any(name in names for name in _RENAMED):
            raise NotDirect("a folder was renamed")
        if any(name in names for name in _OPAQUE):
            self._cover(path + b"/")

    def _cover(self, path: bytes) -> None:
        """Note that nothing of the lower layers is shown at a path any more, and below it."""
        self.covered.update({path} & self.reading.before.keys())
        self.reading.note_covered(path)
        prefix = path.rstrip(b"/") + b"/"
        at = bisect_left(self._paths, prefix)
        while at < len(self._paths) and self._paths[at].startswith(prefix):
            self.covered.add(self._paths[at])
            at += 1
