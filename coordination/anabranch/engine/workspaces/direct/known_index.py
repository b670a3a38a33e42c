"""What an index says, read once for all workspaces that begin with the same one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from anabranch.engine.git import decode
from anabranch.engine.workspaces.direct.index_file import IndexEntry, read_entries
from anabranch.engine.workspaces.direct.trees import Folders, folders_of
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

_MOST_KNOWN = 4
_LARGEST_KEPT_BYTES = 4 << 20
"""Of more files nothing is kept: the engine's memory does not grow with the project."""


class KnownIndex:
    """The entries of an index by path, in its order, and the folders that they make.

    ``written_ns`` is when it was written, by the disk's clock.
    """

    def __init__(self, entries: list[IndexEntry], written_ns: int, object_format: str) -> None:
        self.entries: Mapping[bytes, IndexEntry] = {entry.path: entry for entry in entries}
        self.written_ns = written_ns
        self._format = object_format

    @cached_property
    def folders(self) -> Folders:
        return folders_of(self.entries.values(), self._format)

    @cached_property
    def has_attributes(self) -> bool:
        """Whether files have attributes by which git may treat others in its own way."""
        return self._has_file(b".gitattributes")

    @cached_property
    def has_ignore_rules(self) -> bool:
        """Whether files say what git is to ignore."""
        return self._has_file(b".gitignore")

    @cached_property
    def spelled(self) -> str:
        """All paths, each in a line of its own."""
        return decode(b"\n" + b"\n".join(self.entries) + b"\n")

    @cached_property
    def folded(self) -> str:
        """All paths without the case of their letters."""
        return self.spelled.casefold()

    def _has_file(self, name: bytes) -> bool:
        return any(path.rpartition(b"/")[2] == name for path in self.entries)


def known_index(place: Path, object_format: str) -> KnownIndex | None:
    """Return what an index of the engine's own says; None if it is of a kind not understood.

    Raises OSError.
    """
    found = place.stat()
    # Neither git nor we write into an index: another file is put in its place. When its inode was
    # changed says nothing: each workspace that begins with it is one more name of it.
    file = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
    read = _read if found.st_size <= _LARGEST_KEPT_BYTES else _read.__wrapped__
    return read(_File(place, file), object_format)


class _File:
    """A file by which it is, under whatever name."""

    def __init__(self, place: Path, identity: tuple[int, ...]) -> None:
        self.place = place
        self.identity = identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _File) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)


@lru_cache(maxsize=_MOST_KNOWN)
def _read(file: _File, object_format: str) -> KnownIndex | None:
    entries = read_entries(read_plain(file.place, LARGE_FILE_BYTES), object_format)
    return None if entries is None else KnownIndex(entries, file.identity[2], object_format)
