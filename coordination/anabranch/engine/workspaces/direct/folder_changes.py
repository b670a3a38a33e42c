"""What has changed in a folder since git wrote its index, where that is plain to see.

Plain are files and links whose content git takes as it is. As soon as something is met that git
treats in its own way, or that is too much, it is not plain, and git looks itself.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

import msgspec

from anabranch.engine.workspaces.direct.index_file import GITLINK, LINK, IndexEntry, mode_of
from anabranch.engine.workspaces.including.listing import IncludedFile, folders_of
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, open_plain, read_plain

MOST_FILES = 200
MOST_BYTES = 4 << 20
"""So many changed files, and so much of their contents, are read here."""

_GITS_OWN = re.compile(rb"\.git(?:[^0-9a-z].*|attributes|modules|ignore)?|gi[^~]*~.*", re.DOTALL)
"""Also as disks of other systems spell it: they pass over the case, and what follows a name."""
_DEEPEST = 64
_INCLUDED_CHANGED = "what was copied into it has changed"
NOTHING_INCLUDED: Mapping[bytes, IncludedFile] = MappingProxyType({})


class NotDirect(Exception):
    """Something is there that is left to git; the text says what, for the engine's own log."""


class FileNow(msgspec.Struct, frozen=True):
    """A file that is new or has changed: its entry as it is now, and its content."""

    entry: IndexEntry
    content: bytes


class FolderChanges(msgspec.Struct, frozen=True):
    """What has changed: files by their paths, each with its entry before if it had one.

    ``odd`` names what no checkout would make, and no result holds (permissions, an empty folder, a
    second name of a file), if there is such.
    """

    now: dict[bytes, FileNow]
    gone: dict[bytes, IndexEntry]
    before: Mapping[bytes, IndexEntry]
    odd: str = ""

    @property
    def added(self) -> list[bytes]:
        """The paths that are new."""
        return [path for path in self.now if path not in self.before]

    def without(self, is_left_out: Callable[[bytes], bool]) -> FolderChanges:
        """Return the changes without new files that do not belong to them."""
        added = set(self.added)
        kept = {p: f for p, f in self.now.items() if p not in added or not is_left_out(p)}
        return msgspec.structs.replace(self, now=kept)

    def entries(self) -> list[IndexEntry]:
        """Return the entries of all files as they are now, in the order of their paths."""
        kept = {p: e for p, e in self.before.items() if p not in self.gone and p not in self.now}
        kept |= {path: file.entry for path, file in self.now.items()}
        return [kept[path] for path in sorted(kept)]


def folder_changes(
    folder: str,
    before: Mapping[bytes, IndexEntry],
    written_ns: int,
    object_format: str,
    included: Mapping[bytes, IncludedFile] = NOTHING_INCLUDED,
) -> FolderChanges:
    """Return what has changed in a folder since its index was written.

    Args:
        folder: the work tree; what is called ``.git`` in it is not looked at.
        before: the entries of its index, by path.
        written_ns: when the index was written, by the disk's clock; a file that was changed then
            or later may have been changed again in the same tick, so its content is looked at.
        object_format: the hash of the repository.
        included: what was copied into the folder, and is nobody's change.

    Raises NotDirect if not all of it is plain, OSError.
    """
    reading = Reading(folder, before, written_ns, object_format, included)
    for path, found in _files(os.fsencode(folder), b"", 0, reading.odd):
        reading.look_at(path, found)
    reading.look_for_included()
    return reading.changes(before.keys())


class Reading:
    """Files of a folder looked at one by one, each compared with what the index says of it.

    Arguments and errors are those of :func:`folder_changes`.
    """

    def __init__(
        self,
        folder: str,
        before: Mapping[bytes, IndexEntry],
        written_ns: int,
        object_format: str,
        included: Mapping[bytes, IncludedFile],
    ) -> None:
        if any(entry.mode == GITLINK for entry in before.values()):
            raise NotDirect("a nested repository is known")
        self.before = before
        self.odd = Odd(umask())
        self._root, self._written_ns, self._format = os.fsencode(folder), written_ns, object_format
        self._seen: set[bytes] = set()
        self._now: dict[bytes, FileNow] = {}
        self._left_bytes = MOST_BYTES
        self._included, self._met = included, 0

    def shown(self, path: bytes) -> bytes:
        """Return where a path of the folder lies."""
        return os.path.join(self._root, path)

    def look_at(self, path: bytes, found: os.stat_result) -> None:
        """Read a file or link if it is new, or may have changed."""
        entry = self.before.get(path)
        if entry is None and path in self._included:
            self._meet(path, found)
            return
        if entry is None:
            _require_usual_name(path)
        else:
            self._seen.add(path)
            if entry.changed_ns < self._written_ns and entry.is_as(found):
                return
        self.odd.look_at_file(found)
        file = _read(self._root, path, found, self._format)
        self._left_bytes -= len(file.content)
        if entry is None or (entry.blob, entry.mode) != (file.entry.blob, file.entry.mode):
            self._now[path] = file
        if len(self._now) > MOST_FILES or self._left_bytes < 0:
            raise NotDirect("much has changed")

    def _meet(self, path: bytes, found: os.stat_result) -> None:
        """Note that a file lies there which was copied into the folder, whatever became of it."""
        self._met += 1
        if not self._included[path].is_as(found):
            self.odd.what = _INCLUDED_CHANGED

    def look_for_included(self) -> None:
        """Note it if not all is there any more that was copied into the folder."""
        if self._met < len(self._included):
            self.odd.what = _INCLUDED_CHANGED

    @cached_property
    def _with_included(self) -> set[bytes]:
        return {*self._included, *folders_of(self._included)}

    def note_covered(self, path: bytes) -> None:
        """Note that nothing of what lies below is shown at a path any more."""
        if path.rstrip(b"/") in self._with_included:
            self.odd.what = _INCLUDED_CHANGED

    def changes(self, missed: Iterable[bytes]) -> FolderChanges:
        """Return what was found; of the paths ``missed`` those that nobody saw are gone."""
        before = self.before
        gone = {path: before[path] for path in sorted(missed) if path not in self._seen}
        if len(gone) > MOST_FILES or any(_is_gits_own(path) for path in (*gone, *self._now)):
            raise NotDirect("much is gone, or files by which git goes have changed")
        return FolderChanges(self._now, gone, before, self.odd.what)


def require_no_repository(name: bytes) -> None:
    """Raise NotDirect for a folder whose name is one of git's own."""
    if _is_gits_own(name):
        raise NotDirect("a nested repository is there")


class Odd:
    """What was seen that no checkout makes; files as git has written them need no look."""

    def __init__(self, mask: int) -> None:
        self._mask = mask
        self.what = ""

    def look_at_file(self, found: os.stat_result) -> None:
        usual = 0o777 if found.st_mode & 0o100 else 0o666
        if found.st_nlink > 1:
            self.what = "a file has a second name"
        elif stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != usual & ~self._mask:
            self.what = "a file has permissions of its own"

    def look_at_folder(self, found: os.stat_result, *, is_empty: bool) -> None:
        if is_empty:
            self.what = "a folder is empty"
        elif stat.S_IMODE(found.st_mode) & 0o1777 != 0o777 & ~self._mask:
            self.what = "a folder has permissions of its own"


def umask() -> int:
    """Return the permissions that new files of this process do not get.

    The call that tells them sets them as well, for all threads; the kernel tells them, too.
    """
    lines = read_plain("/proc/self/status", SMALL_FILE_BYTES).splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith(b"Umask:"))


def _files(
    root: bytes, prefix: bytes, depth: int, odd: Odd
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield the path of each file and link below a folder, and what it is."""
    if depth > _DEEPEST:
        raise NotDirect("folders are nested deeply")
    folder, is_empty = os.path.join(root, prefix), True
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == b".git" and not prefix:
                continue
            path, is_empty = prefix + entry.name, False
            if entry.is_dir(follow_symlinks=False):
                require_no_repository(entry.name)
                yield from _files(root, path + b"/", depth + 1, odd)
            else:
                found = entry.stat(follow_symlinks=False)
                if not mode_of(found):
                    raise NotDirect("a pipe, a socket or a device is there")
                yield path, found
    odd.look_at_folder(os.lstat(folder), is_empty=is_empty and bool(prefix))


def _read(root: bytes, path: bytes, found: os.stat_result, object_format: str) -> FileNow:
    """Return a file as it is, unless it changes meanwhile."""
    if found.st_size > MOST_BYTES:
        raise NotDirect("a large file has changed")
    at = os.path.join(root, path)
    try:
        if stat.S_ISLNK(found.st_mode):
            content, mode = os.readlink(at), LINK
        else:
            content, found, mode = _content(at)
    except (NotPlain, FileNotFoundError, NotADirectoryError) as error:
        raise NotDirect("a file is being changed") from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise NotDirect("a link is being changed") from error
        raise
    blob = hashlib.new(object_format, b"blob %d\0" % len(content) + content).digest()
    return FileNow(IndexEntry.of(path, mode, blob, found), content)


def _content(at: bytes) -> tuple[bytes, os.stat_result, int]:
    with open(open_plain(at), "rb") as file:
        content = file.read(MOST_BYTES + 1)
        found = os.fstat(file.fileno())
    if len(content) != found.st_size:
        raise NotDirect("a file is being changed")
    return content, found, mode_of(found)


def _require_usual_name(path: bytes) -> None:
    """Raise NotDirect if git might refuse a new path, or treat it in its own way."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotDirect("a name is not UTF-8") from error
    if b"\\" in path:
        raise NotDirect("a name is a path on some disks")


def _is_gits_own(path: bytes) -> bool:
    """Say whether a part of a path is what git goes by, with letters left out that nobody sees."""
    return any(_GITS_OWN.fullmatch(_ascii(part)) for part in path.lower().split(b"/"))


def _ascii(part: bytes) -> bytes:
    return part if part.isascii() else bytes(byte for byte in part if byte < 128)
