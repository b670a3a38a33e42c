"""A workspace that may be removed becomes a checkout again, as far as that can be proved.

Whoever worked in it may have left anything: permissions, attributes, a mount, a link that leads
out, a second name of a file, a process that still writes. So no folder of it is used again, and
nothing that the base does not have; its files are moved into new folders, where no name leads to
them that anybody knows. There each is judged: it is a plain file with one name, of the usual owner
and permissions, nobody has it open to write into it (the kernel tells, also of what is only mapped
or on its way to somebody), and its content is what a checkout would write, byte for byte. Any other
is removed, and git writes it anew; so it does with links. What git knows of the workspace is not
kept at all. Source: fcntl(2), "Leases".
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.direct.folder_changes import umask
from anabranch.engine.workspaces.direct.index_file import (
    GITLINK,
    LINK,
    IndexEntry,
    index_of,
    read_entries,
)
from anabranch.engine.workspaces.layers.mounting import mounted_below
from anabranch.engine.workspaces.names import base_ref
from anabranch.engine.workspaces.pool.bounds import Bounds
from anabranch.engine.workspaces.pool.checkouts import (
    VERSION,
    checkouts,
    give_name,
    unfinished,
)
from anabranch.engine.workspaces.pool.contents import checked_out
from anabranch.engine.workspaces.refs import read_ref
from anabranch.engine.workspaces.removing import make_writable
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, open_plain, read_plain

LEAST_SHARE = 0.5
"""Where less of the files can be used again, it is no less work to write them all."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def recycle(repo: Repository, run: RunId, folder: Path, bounds: Bounds) -> bool:
    """Make a checkout of a workspace's folder, all of which is kept elsewhere; say if it is gone.

    It is if it could be moved here, also if no checkout comes of it. Nothing is done if there are
    enough of them. Raises OSError.
    """
    tree = _base_tree(repo, run)
    if tree is None or len(checkouts(repo)) >= bounds.most or mounted_below(folder):
        return False
    with unfinished(repo) as made, suppress(GitError):
        (made / "files").mkdir()
        git = frozen_view(repo, run).at(work_tree=made / "files", index=made / "index")
        entries = _entries(repo, git, tree)
        if entries is not None and len(entries) >= bounds.fewest_files:
            folder.rename(made / "left")
            with suppress(OSError):
                if _is_made(git, made, entries, repo.object_format):
                    give_name(repo, run, made, tree)
    return not os.path.lexists(folder)


def _base_tree(repo: Repository, run: RunId) -> str | None:
    """Return what the next run is the likeliest to begin with."""
    commit = read_ref(repo, base_ref(run))
    with suppress(GitError):
        if commit is not None:
            return frozen_view(repo, run).run("rev-parse", f"{commit}^{{tree}}").text
    return None


def _entries(repo: Repository, git: Git, tree: str) -> list[IndexEntry] | None:
    assert git.index is not None
    git.run("read-tree", tree, config=VERSION)
    return read_entries(read_plain(git.index, LARGE_FILE_BYTES), repo.object_format)


def _is_made(git: Git, made: Path, entries: list[IndexEntry], object_format: str) -> bool:
    """Move what can be used again, and have git write the rest; False if that is too much."""
    assert git.index is not None
    left, files = os.fsencode(made / "left"), os.fsencode(made / "files")
    _move(entries, left, files)
    shutil.rmtree(made / "left", onerror=make_writable)
    good = dict(_judged(git, entries, files, _usual(made)))
    if len(good) < LEAST_SHARE * len(entries):
        return False
    rows = [good.get(entry.path, entry) for entry in entries]
    replace_whole(git.index, index_of(rows, object_format), mode=0o666)
    # What was moved and is not good is unlinked by git before it writes anew.
    missing = b"".join(entry.path + b"\0" for entry in entries if entry.path not in good)
    git.run("checkout-index", "-f", "-u", "-z", "--stdin", stdin=missing, config=VERSION)
    return True


# --- moving --------------------------------------------------------------------------------------


def _move(entries: list[IndexEntry], left: bytes, files: bytes) -> None:
    """Move plain files out of a folder into new ones. Raises OSError."""
    by_folder: dict[bytes, list[bytes]] = {}
    for entry in entries:
        above, _, name = entry.path.rpartition(b"/")
        names = by_folder.setdefault(above, [])
        if _is_file(entry):
            names.append(name)
    for above, names in by_folder.items():
        os.makedirs(os.path.join(files, above), exist_ok=True)
        _move_from(left, above, names, os.path.join(files, above))


def _move_from(top: bytes, path: bytes, names: list[bytes], target: bytes) -> None:
    """Move plain files out of a folder below another; no link bends the way to it."""
    places = [os.open(top, _FOLDER)]
    try:
        with suppress(OSError):  # it is not there, or is no folder
            for part in filter(None, path.split(b"/")):
                places.append(os.open(part, _FOLDER, dir_fd=places[-1]))
            for name in names:
                _move_plain(name, places[-1], target)
    finally:
        for place in places:
            os.close(place)


def _move_plain(name: bytes, source: int, target: bytes) -> None:
    with suppress(OSError):  # it is not there, or cannot be moved
        if stat.S_ISREG(os.lstat(name, dir_fd=source).st_mode):
            os.rename(name, os.path.join(target, name), src_dir_fd=source)


# --- judging -------------------------------------------------------------------------------------


class _Usual(msgspec.Struct, frozen=True):
    """What a file is like that is new here: where it lies, whose it is, and what is said of it."""

    device: int
    owner: tuple[int, int]
    attributes: Mapping[str, bytes]
    mask: int

    def is_met_by(self, file: int, is_program: bool) -> bool:
        """Say whether a file is like that, as far as its inode tells."""
        found = os.fstat(file)
        mode = (0o777 if is_program else 0o666) & ~self.mask
        return (
            (found.st_dev, found.st_nlink) == (self.device, 1)
            and (found.st_uid, found.st_gid) == self.owner
            and found.st_mode == stat.S_IFREG | mode
            and _attributes(file) == self.attributes
        )


def _usual(made: Path) -> _Usual:
    place = made / "usual"
    with open(place, "xb") as file:
        found = os.fstat(file.fileno())
        attributes = _attributes(file.fileno())
    place.unlink()
    return _Usual(found.st_dev, (found.st_uid, found.st_gid), attributes, umask())


def _attributes(file: int) -> dict[str, bytes]:
    return {name: os.getxattr(file, name) for name in os.listxattr(file)}


def _judged(
    git: Git, entries: list[IndexEntry], files: bytes, usual: _Usual
) -> Iterator[tuple[bytes, IndexEntry]]:
    """Yield the entries of files that are as a checkout would write them. Raises GitError."""
    there = [e for e in entries if os.path.lexists(os.path.join(files, e.path)) and _is_file(e)]
    for entry, wanted in checked_out(git, there):
        place = os.path.join(files, entry.path)
        with suppress(OSError):
            if _is_good(place, entry, usual, wanted):
                yield entry.path, IndexEntry.of(entry.path, entry.mode, entry.blob, os.lstat(place))


def _is_file(entry: IndexEntry) -> bool:
    return entry.mode not in (LINK, GITLINK)


def _is_good(place: bytes, entry: IndexEntry, usual: _Usual, wanted: bytes) -> bool:
    """Say whether a file can be used again. Raises OSError, also if somebody may write to it."""
    file = open_plain(place)
    try:
        if not usual.is_met_by(file, is_program=entry.mode & 0o100 != 0):
            return False
        _require_nobody_writes(file)
        return os.fstat(file).st_size == len(wanted) and _holds(file, wanted)
    finally:
        os.close(file)


def _holds(file: int, wanted: bytes) -> bool:
    at = 0
    while piece := os.read(file, 1 << 20):
        if wanted[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return at == len(wanted)


def _require_nobody_writes(file: int) -> None:
    """Have the kernel say that nobody has a file open to write to it. Raises OSError if not.

    Should somebody come to do so meanwhile, it tells us by a signal that means nothing.
    """
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
