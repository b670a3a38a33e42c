"""Writing a result into a plain folder, file by file.

Nothing guards such a folder, so each file is looked at again right before it is replaced: it must
be what it was when the run began. New contents go to a temporary file beside the old one and take
its place by rename. No symbolic link is ever followed, neither at the end nor on the way. A file
that already has the result's content counts as done, so an application that was cut off is
finished by asking again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from anabranch.core.model.outcome import Refusal
from anabranch.core.wording import listing
from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.objects import Change, ObjectReader
from anabranch.engine.workspaces.values import Approved, FilesInTheWay, Repository
from anabranch.files import replacing, write_fresh
from anabranch.plain_files import open_plain

_LINK = "120000"
_GITLINK = "160000"
_EXECUTABLE = "100755"
_FOLDER = "folder"
_BLOCKED = "blocked"
_NO_FILE = (_FOLDER, _BLOCKED)
_READ_BYTES = 1 << 20
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = 20


def apply_to_folder(
    repo: Repository, git: Git, changed: Sequence[Change], commit: str
) -> Approved | Refusal:
    """Bring the folder from the base to the result, or refuse and list what differs."""
    files = [c for c in changed if _GITLINK not in (c.before_mode, c.after_mode)]
    folder = _Folder(repo.root, repo.object_format)
    removed = {change.path for change in files if change.after is None}
    differing = [change.path for change in files if not _may_write(folder, change, removed)]
    if differing:
        return _refusal(differing, "your files changed since the run began")
    ordered = sorted(files, key=lambda change: change.after is not None)
    with ObjectReader(git) as reader:
        for change in ordered:
            try:
                written = _apply(folder, reader, change, removed)
            except OSError as error:
                return FilesInTheWay(
                    f"{change.path} cannot be written: {error.strerror}",
                    "mend the cause and approve again; what was written stays written",
                    (change.path,),
                )
            if not written:
                return _refusal([change.path], "a file changed while the result was written")
    return Approved(None, commit, len(files))


def _refusal(paths: Sequence[str], reason: str) -> FilesInTheWay:
    hint = "put them back or copy what you need from the run's result folder"
    listed = tuple(paths[:_LISTED])
    return FilesInTheWay(f"{reason}: {listing(paths, 3)}", f"{hint}, then approve again", listed)


def _may_write(folder: _Folder, change: Change, removed: set[str]) -> bool:
    now = folder.state(change.path)
    if now in (_before(change), _after(change)):
        return True
    if now == _FOLDER and change.before is None:
        return all(path in removed for path in folder.files_below(change.path))
    if change.before is None and change.after is not None and now == _BLOCKED:
        # A file on the way that the result removes makes room for this one.
        parts = change.path.split("/")
        ways = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        return bool(ways & removed)
    return change.after is None and now in _NO_FILE


def _before(change: Change) -> str | None:
    return f"{change.before_mode} {change.before}" if change.before else None


def _after(change: Change) -> str | None:
    return f"{change.after_mode} {change.after}" if change.after else None


def _apply(folder: _Folder, reader: ObjectReader, change: Change, removed: set[str]) -> bool:
    now = folder.state(change.path)
    if now == _after(change):
        return True
    if change.after is None:
        if now == _before(change):
            folder.remove(change.path)
            return True
        return now in _NO_FILE
    if now == _FOLDER and not _may_write(folder, change, removed):
        return False
    if now not in (_before(change), None, _FOLDER):
        return False
    found = reader.read(change.after)
    if found is None:
        return False
    folder.write(change.path, change.after_mode, found[1])
    return True


class _Folder:
    """A folder whose files are reached without following any symbolic link."""

    def __init__(self, root: Path, object_format: str) -> None:
        self._root = root
        self._format = object_format

    def state(self, path: str) -> str | None:
        """Return ``mode blob-id`` of a file, "folder", "blocked" (no way there) or None."""
        try:
            with self._parent(path) as (parent, name):
                found = os.lstat(name, dir_fd=parent)
                if stat.S_ISDIR(found.st_mode):
                    return _FOLDER
                if stat.S_ISLNK(found.st_mode):
                    target = os.readlink(name, dir_fd=parent)
                    return f"{_LINK} {self._blob(len(target), iter((target,)))}"
                if not stat.S_ISREG(found.st_mode):
                    return "special"
                return self._file_state(parent, name)
        except FileNotFoundError:
            return None
        except (NotADirectoryError, OSError):
            return _BLOCKED

    def files_below(self, path: str) -> Iterator[str]:
        """Yield every file in a folder, as paths from the root."""
        for at, _, names in os.walk(self._root / path):
            for name in names:
                yield (Path(at) / name).relative_to(self._root).as_posix()

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that are empty then."""
        with self._parent(path) as (parent, name):
            os.unlink(name, dir_fd=parent)
        above = self._root / path
        while (above := above.parent) != self._root:
            with suppress(OSError):
                above.rmdir()
                continue
            break

    def write(self, path: str, mode: str, content: bytes) -> None:
        """Put a file or symbolic link in place by rename; an existing file keeps its mode."""
        with (
            self._parent(path, make=True) as (parent, name),
            replacing(name, at=parent, durable=True) as fresh,
        ):
            if mode == _LINK:
                os.symlink(content, fresh, dir_fd=parent)
            else:
                usual = 0o777 if mode == _EXECUTABLE else 0o666
                kept = self._mode(parent, name, mode)
                write_fresh(fresh, content, at=parent, mode=usual, exact_mode=kept, synced=True)
            with suppress(OSError):
                os.rmdir(name, dir_fd=parent)

    def _file_state(self, parent: int, name: bytes) -> str:
        with open(open_plain(name, at=parent), "rb") as file:
            found = os.fstat(file.fileno())
            mode = _EXECUTABLE if found.st_mode & 0o100 else "100644"
            chunks = iter(lambda: file.read(_READ_BYTES), b"")
            return f"{mode} {self._blob(found.st_size, chunks)}"

    def _blob(self, size: int, chunks: Iterator[bytes]) -> str:
        digest = hashlib.new(self._format, f"blob {size}\0".encode())
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()

    @staticmethod
    def _mode(parent: int, name: bytes, mode: str) -> int | None:
        """Return the permissions of the file being replaced, for an executable or another one."""
        try:
            found = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        old = stat.S_IMODE(found.st_mode)
        return old | (old & 0o444) >> 2 if mode == _EXECUTABLE else old & ~0o111

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, bytes]]:
        *folders, name = encode(path).split(b"/")
        at = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=at)
                below = os.open(folder, _FOLDER_FLAGS, dir_fd=at)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)
