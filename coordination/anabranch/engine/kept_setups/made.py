"""Which files of a workspace its setup has made, and whether they are still as it made them.

Such a file can be made again, so nobody has to keep it. It is known by what any change of it, or of
what lies in its place, makes different: the time at which its inode was changed above all, which
only the kernel sets. A file that may have been changed in the same moment in which it was looked at
is left out, by the disk's own clock: then it is taken for work, like anything that nobody noted.

Of a workspace that shows a kept result (``below``) the files of that are known, too; noted besides
are those that it has above it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_if_there
from anabranch.undecodable import UNDECODABLE

Stamp = tuple[int, int, int, int, int]
"""Of a file: its kind and permissions, its size, when it and its inode were changed, its number."""

STAMPS = "stamps"
_A_TICK_SECONDS = 0.02
"""The clock of a disk goes by ticks of up to 10 ms: what was made before these is old."""


class Made(msgspec.Struct, frozen=True):
    """What a setup has made: files by path, those of the kept result ``below`` besides."""

    below: str = ""
    stamps: dict[bytes, Stamp] = {}


def made_in(note: Path) -> Made:
    """Return what was noted; nothing if nothing was, or it cannot be read."""
    try:
        return msgspec.msgpack.decode(read_if_there(note, LARGE_FILE_BYTES) or b"", type=Made)
    except (NotPlain, OSError, *UNDECODABLE):
        return Made()


def note_made(note: Path, made: Made) -> None:
    """Note what a setup has made. Raises OSError."""
    note.parent.mkdir(parents=True, exist_ok=True)
    replace_whole(note, msgspec.msgpack.encode(made))


def stamps_noted(note: Path) -> Mapping[bytes, Stamp]:
    """Return all files that a setup has made, as they were."""
    made = made_in(note)
    return {**stamps_of(Path(made.below)), **made.stamps} if made.below else made.stamps


def stamps_of(place: Path) -> dict[bytes, Stamp]:
    """Return what the files of a kept result are like; nothing if that cannot be read."""
    try:
        content = read_if_there(place / STAMPS, LARGE_FILE_BYTES) or b""
        return msgspec.msgpack.decode(content, type=dict[bytes, Stamp])
    except (NotPlain, OSError, *UNDECODABLE):
        return {}


def note_what_was_made(note: Path, root: Path, names: Iterable[bytes], below: str = "") -> None:
    """Note the files and links at and below some paths that nobody can change unseen from now on.

    Args:
        note: where it is noted, on the disk of the folder, whose clock it tells.
        root: the folder that the paths begin at.
        names: of files and folders.
        below: the kept result that is shown there, if one is.

    Raises OSError.
    """
    time.sleep(_A_TICK_SECONDS)
    note_made(note, Made(below))
    now = os.lstat(note).st_mtime_ns
    found = {p: _stamp(at) for p, at in files_at(root, names) if at.st_ctime_ns < now}
    note_made(note, Made(below, found))


def stamps_at(root: Path, names: Iterable[bytes]) -> dict[bytes, Stamp]:
    """Return what files and links are like at and below some paths. Raises OSError."""
    return {path: _stamp(at) for path, at in files_at(root, names)}


def as_made(root: Path, stamps: Mapping[bytes, Stamp]) -> frozenset[bytes]:
    """Return which files are in a folder as they were noted."""
    top = os.fsencode(root)
    return frozenset(path for path, stamp in stamps.items() if _is_as(top, path, stamp))


def holds_other(root: Path, name: bytes, stamps: Mapping[bytes, Stamp]) -> bool:
    """Say whether anything at or below a path is not as it was noted, or nobody can tell."""
    try:
        return any(stamps.get(path) != _stamp(at) for path, at in files_at(root, (name,)))
    except OSError:
        return True


def _is_as(top: bytes, path: bytes, stamp: Stamp) -> bool:
    try:
        return _stamp(os.lstat(os.path.join(top, path))) == stamp
    except OSError:
        return False


def _stamp(at: os.stat_result) -> Stamp:
    return (at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def files_at(root: Path, names: Iterable[bytes]) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield what lies at and below some paths, but for folders. Raises OSError."""
    top = os.fsencode(root)
    for name in (name.rstrip(b"/") for name in names):
        at = os.lstat(os.path.join(top, name))
        if stat.S_ISDIR(at.st_mode):
            yield from _files_below(top, name)
        else:
            yield name, at


def _files_below(top: bytes, name: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(os.path.join(top, name)) as entries:
        for entry in entries:
            path = os.path.join(name, entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(top, path)
            else:
                yield path, entry.stat(follow_symlinks=False)
